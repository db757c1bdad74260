/* Which rank maps which splits: guided self-scheduling (Polychronopoulos and Kuck, 1987). A first share for everybody,
 * handed out together; after that each rank that asks gets a share of what is left, and the shares shrink, so that the
 * ranks end together although some are slower. Kept by rank 0's engine; no MPI here. */
#ifndef TQI_SCHEDULE_H
#define TQI_SCHEDULE_H

#include <stdint.h>

typedef struct tqi_range {
    uint64_t first, count; /* splits; count = 0: none is left */
} tqi_range;

typedef struct tqi_schedule {
    uint64_t next, splits;
    uint64_t ranks;
} tqi_schedule;

/* Plan splits for ranks, and write the first share of each rank into first[0 .. ranks-1]. */
void tqi_schedule_start(tqi_schedule *schedule, uint64_t splits, int ranks, tqi_range *first);

/* The next share. */
tqi_range tqi_schedule_next(tqi_schedule *schedule);

#endif
