/* Emitters: what stands between a mapper and the shuffle. Each worker has one of its own, so that emitting takes no
 * lock: the records land in its table; when that is full, or the piece of work is over, the table is flushed as a run,
 * and the run is handed on.
 *
 * Owned by one worker index at a time (see tq_worker). The engine may touch an emitter only while no task runs on
 * that index: to flush it at the end of the map phase, in a task of its own, and to read its accounts after. */
#ifndef TQI_EMITTER_H
#define TQI_EMITTER_H

#include "node/run.h"
#include "node/table.h"
#include <stdatomic.h>

/* A worker's table begins with so many entries, which with their index fit a 1 MiB L2 cache, and is flushed early when
 * its keys and values take more than the arena's bound. */
enum { TQI_MAP_FIRST_ENTRIES = 16 << 10, TQI_MAP_ARENA_BYTES = 64 << 20 };

/* What one entry costs, with its share of the index. */
enum { TQI_ENTRY_COST = sizeof(tqi_entry) + 2 * sizeof(uint64_t) };

/* Take over a run. Called by workers; must be safe for several at a time. */
typedef void (*tqi_deliver_fn)(void *owner, tqi_run *run);

struct tq_emitter {
    const tqi_spec *spec;
    tqi_table table;
    size_t arena_bytes; /* the arena's bound */
    tqi_run_builder builder;
    tqi_deliver_fn deliver;
    void *owner;
    const atomic_bool *stop; /* set by the engine when the job is ending early */
    int worker;
    tq_account emitted, flushed;
    tq_status status;                              /* sticky: the first failure */
    tq_error error;                                /* says more if status is not TQ_OK */
    char reason[sizeof(((tq_error *)0)->message)]; /* from tq_emit_fail */
    const char *padded_begin, *padded_end;         /* keys inside may be read with slack */
    tqi_record batch[TQI_BATCH];                   /* room for tq_emit_keys_i64 */
};

tq_status tqi_emitter_init(tq_emitter *emitter, const tqi_spec *spec, int worker, tqi_deliver_fn deliver, void *owner,
                           const atomic_bool *stop, size_t most_entries);
void tqi_emitter_free(tq_emitter *emitter);

/* Send the table's entries on their way; finish also what its front holds. */
tq_status tqi_emitter_flush(tq_emitter *emitter);
tq_status tqi_emitter_finish(tq_emitter *emitter);

/* Run the job's mapper over a row of whole records, whose memory has TQI_KEY_SLACK readable bytes behind it. What fails
 * is described in emitter->error. */
tq_status tqi_emitter_map(tq_emitter *emitter, const tq_record *chunk);

#endif
