/* Progress of one job: what each rank has done, summed up on rank 0, and the notifier thread that tells the callback.
 *
 * The engine writes (its own numbers, the messages of other ranks, the beginning and end of phases), any thread may
 * take a snapshot, and the notifier takes one every interval: all under the one lock, which is never held while a
 * callback runs. */
#ifndef TQI_PROGRESS_H
#define TQI_PROGRESS_H

#include <stdatomic.h>
#include <tequio/tequio.h>

/* What one rank says of one phase; it travels as it is. total is what the rank knows to be its own. */
typedef struct tqi_phase_count {
    uint64_t done, total;
    uint64_t bytes, bytes_total;
    uint64_t records;
} tqi_phase_count;

/* Where a rank's worker stands that has not moved for the longest time. */
typedef struct tqi_still {
    int is_known; /* 0: no worker is in the job's own code */
    double seconds;
    tq_phase phase;  /* map or reduce */
    uint64_t offset; /* of the record in file, or the partition */
    char file[TQ_STILL_FILE];
} tqi_still;

typedef struct tqi_rank_progress {
    tqi_phase_count phase[TQ_PHASES];
    tqi_still still;
} tqi_rank_progress;

typedef struct tqi_hub tqi_hub;

typedef struct tqi_hub_options {
    int rank, ranks;
    double interval_s;
    tq_progress_fn progress; /* either or both may be NULL: no notifier then */
    tq_snapshot_fn on_snapshot;
    void *user;
    atomic_bool *cancel;       /* set when a callback returns non-zero, */
    void (*wake)(void *owner); /* and the engine is woken */
    void *owner;
} tqi_hub_options;

/* TQ_E_MEMORY: *hub is NULL. TQ_E_SYSTEM: the notifier could not be started, and the hub works without. */
tq_status tqi_hub_create(const tqi_hub_options *options, tqi_hub **hub);

/* Engine: the job runs now; the numbers of a rank; the phases; totals that are known better than by adding up the
 * ranks'. final is what was done in all, since the last messages of other ranks may still be on their way. */
void tqi_hub_start(tqi_hub *hub);
void tqi_hub_set_rank(tqi_hub *hub, int rank, const tqi_rank_progress *progress);
void tqi_hub_set_total(tqi_hub *hub, tq_phase phase, uint64_t total, uint64_t bytes_total);
void tqi_hub_begin(tqi_hub *hub, tq_phase phase);
void tqi_hub_finish(tqi_hub *hub, tq_phase phase, const tqi_phase_count *final);

/* Engine: the job is over. After success the notifier still delivers the last report of each phase, then it ends. */
void tqi_hub_end(tqi_hub *hub, bool success);

/* Any thread. */
void tqi_hub_snapshot(tqi_hub *hub, tq_progress *progress);

/* Seconds a phase took so far. */
double tqi_hub_seconds(tqi_hub *hub, tq_phase phase);

/* Wait for the notifier; after this no callback runs. May be called more than once, but not from a callback. */
void tqi_hub_join(tqi_hub *hub);
void tqi_hub_free(tqi_hub *hub);

#endif
