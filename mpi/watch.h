/* Watching the workers of this rank: which of them has stood longest at one place of the job's own code, and for how long.
 * So a mapper that never returns can be seen from outside, with the record that it has.
 *
 * The engine looks whenever it reports to rank 0. The workers do nothing for it but write down where they stand
 * (node/place.h), and what time it is they need not know. */
#ifndef TQI_WATCH_H
#define TQI_WATCH_H

#include "mpi/progress.h"
#include "node/place.h"

/* What was seen of one worker at the last look. */
typedef struct tqi_watched {
    tqi_stage stage;
    const char *file;
    uint64_t offset, keys;
    double seconds; /* for how long that has been so */
} tqi_watched;

/* The engine's, but n and places. */
typedef struct tqi_watch {
    _Atomic(int) n;   /* more than the index of any worker that has had a task */
    double looked_at; /* 0: not yet */
    tqi_watched workers[TQ_MAX_WORKERS];
    tqi_place places[TQ_MAX_WORKERS]; /* each its worker's */
} tqi_watch;

/* The place of a worker, which it may write from now on. The worker itself. */
tqi_place *tqi_watch_place(tqi_watch *watch, int worker);

/* Look at all places, and fill in still with the one that has not changed for the longest time. now: of tqi_now_s. The
 * engine. */
void tqi_watch_look(tqi_watch *watch, double now, tqi_still *still);

#endif
