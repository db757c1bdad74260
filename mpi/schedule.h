/* Which rank maps which splits: guided self-scheduling (Polychronopoulos and Kuck, 1987). A first share for everybody,
 * handed out together; after that each rank that asks gets a share of what is left, and the shares shrink, so that the
 * ranks end together although some are slower. Shares are measured by the bytes of their splits, since one file may have
 * as many bytes as all others together. Kept by rank 0's engine; no MPI here. */
#ifndef TQI_SCHEDULE_H
#define TQI_SCHEDULE_H

#include "node/inputs.h"

/* A share is this part of an equal part of what is left. A rank that is so many times slower than the others maps its
 * first share for as long as they map everything else. */
enum { TQI_SHARE_PART = 16 };

typedef struct tqi_range {
    uint64_t first, count; /* splits; count = 0: none is left */
} tqi_range;

typedef struct tqi_schedule {
    const tqi_inputs *inputs; /* NULL: there is nothing to hand out */
    uint64_t next;            /* the first split that nobody has */
    uint64_t ranks;
} tqi_schedule;

/* Plan the splits of inputs, which must outlive the schedule, for ranks, and write the first share of each rank into
 * first[0 .. ranks-1]. */
void tqi_schedule_start(tqi_schedule *schedule, const tqi_inputs *inputs, int ranks, tqi_range *first);

/* The next share. */
tqi_range tqi_schedule_next(tqi_schedule *schedule);

#endif
