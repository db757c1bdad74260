/* Emitters: what stands between a mapper and the shuffle. Each worker has one of its own, so that emitting takes no
 * lock. What is emitted is combined early if that is cheap: sums in a front of hot keys (node/front.h), statistics in
 * a hot table (node/hot.h), other combiners in a small table, all of which stay in the cache, and all of which are
 * left out for a while when they find too little to combine. The rest is written into bins (node/bins.h). Bins that
 * are full are combined, each in a table that fits the cache; what is left stays, or is handed on when that has not
 * helped much. So are all bins at the end: what belongs to this rank as it is, since it will be combined when it is
 * reduced, and what belongs to others combined, if that makes it less.
 *
 * Where records are rows already there are no bins: pairs go straight into the ranges of their keys (node/direct.h), or, while the
 * input is sampled to find out where these lie, to a sampler alone.
 *
 * Owned by one worker index at a time (see tq_worker). The engine may touch an emitter only while no task runs on
 * that index: to finish it at the end of the map phase, in a task of its own, and to read its accounts after. */
#ifndef TQI_EMITTER_H
#define TQI_EMITTER_H

#include "node/bad.h"
#include "node/arrival.h"
#include "node/bins.h"
#include "node/direct.h"
#include "node/front.h"
#include "node/hot.h"
#include "node/merge.h"
#include "node/table.h"
#include "node/writer.h"
#include <stdatomic.h>

/* How many values came in which units since the last look, and how many of them were not for the hot table. */
typedef struct tqi_units {
    uint64_t seen[TQ_DECIMALS_MAX + 1];
    uint64_t misfits;
} tqi_units;

/* Since it was last looked whether a full hot table should be emptied: values, and those that it had no key for. */
typedef struct tqi_full {
    uint64_t values, left;
} tqi_full;

/* Whether combining early pays, found out as it goes: of each so many records some are tried. */
typedef struct tqi_trial {
    bool on;
    uint64_t until;   /* the number of emitted records at which to look again */
    uint64_t records; /* emitted, */
    uint64_t merged;  /* and merged early, at the last look */
    uint64_t passed;  /* records for which it was off, in all */
} tqi_trial;

/* What a mapper has emitted one at a time: it waits here until it is as many as go through front or hot table at once, or
 * until its text ends. A key that lies in the text stays there. */
typedef struct tqi_pending {
    bool open;         /* something may wait */
    uintptr_t text;    /* where the text begins, */
    size_t text_bytes; /* and how long it is; 0 unless open */
    size_t n;
    tq_slice keys[TQI_FRONT_BATCH];
    int64_t values[TQI_FRONT_BATCH];
    char copies[TQI_FRONT_BATCH][TQI_KEY_MEDIUM]; /* of keys that lie elsewhere */
} tqi_pending;

struct tq_emitter {
    const tqi_spec *spec;
    bool special; /* pairs take a way of their own: they are rows already, or have their places behind the keys */
    tqi_arrival arrival; /* of the latter */
    bool sums; /* of a kind that goes through the front and straight into bins */
    tqi_front front;
    tqi_table table; /* of early combining, if it is no sum; has no entries otherwise */
    bool has_table;
    tqi_hot hot; /* of early combining with TQ_STATS */
    tqi_units units;
    tqi_full full;
    tqi_trial trial;
    tqi_bins bins;
    tqi_table scratch; /* of combining bins; made when it is first needed */
    bool has_scratch;
    tqi_run_builder builder;
    tqi_deliver_fn deliver;
    void *owner;
    const atomic_bool *stop; /* set by the engine when the job is ending early */
    int worker;
    size_t reserved;                               /* of the budget, by the mapper for itself */
    uint64_t merged_early;                         /* in front or hot table */
    tq_account emitted, flushed;                   /* flushed: complete once the emitter is finished */
    int64_t *dense; /* spec->dense numbers, of who made the emitter; NULL: the job has none */
    uint64_t counts[TQ_MAX_COUNTERS];              /* of the job's own counters */
    tq_account built;                              /* in runs that were made of combined bins */
    tqi_bad bad;
    tq_status status;                              /* sticky: the first failure */
    tq_error error;                                /* says more if status is not TQ_OK */
    char reason[sizeof(((tq_error *)0)->message)]; /* from tq_emit_fail */
    const char *padded_begin, *padded_end;         /* keys inside may be read with slack */
    tqi_batch batch;                               /* room for the work on a batch of sums, */
    tqi_hot_done hot_done;                         /* and of statistics */
    tqi_pending pending;
    tqi_direct direct; /* spec->direct */
    tqi_sampler *sampler; /* of what is emitted then; NULL: none is wanted, */
    bool samples;         /* or it is all that is wanted: */
    tqi_sample_size sampled;
};

/* Pages take spec->worker_bytes at most, early combining early_bytes. */
tq_status tqi_emitter_init(tq_emitter *emitter, const tqi_spec *spec, int worker, tqi_deliver_fn deliver, void *owner,
                           const atomic_bool *stop, size_t early_bytes);
void tqi_emitter_free(tq_emitter *emitter);

/* spec->direct: where pairs go, before the first of them. See tqi_direct_init; sampler is shown them, and may be NULL.
 * TQ_E_MEMORY. */
tq_status tqi_emitter_go_direct(tq_emitter *emitter, const tqi_spec *ranges, const tqi_splitters *splitters,
                                uint64_t memory, tqi_sampler *sampler);

/* spec->direct: pairs are shown to sampler, and forgotten. */
void tqi_emitter_only_sample(tq_emitter *emitter, tqi_sampler *sampler);

/* Send everything on its way. Nothing is emitted after that. */
tq_status tqi_emitter_finish(tq_emitter *emitter);

/* Records that were merged into others so far. */
uint64_t tqi_emitter_merged(const tq_emitter *emitter);

/* From begin to end keys that lie in chunk may be read with TQI_KEY_SLACK bytes behind them, and stay there, so that sums
 * emitted one at a time can wait. */
void tqi_emitter_begin(tq_emitter *emitter, const tq_record *chunk);
tq_status tqi_emitter_end(tq_emitter *emitter);

#endif
