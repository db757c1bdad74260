/* Making bins smaller, or empty: see node/emitter.h; and what else the parts of an emitter ask of each other. Called
 * by the worker that owns it. */
#ifndef TQI_COMPACT_H
#define TQI_COMPACT_H

#include "node/emitter.h"

/* The bins are full: combine each of them, and keep what is left if that is at most half of it; otherwise hand it on. */
tq_status tqi_compact(tq_emitter *emitter);

/* Hand everything on. */
tq_status tqi_compact_last(tq_emitter *emitter);

/* Put a pair of any kind into its bin; what cannot be is noted. */
tq_status tqi_emitter_put(tq_emitter *emitter, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value);

/* Look whether combining early has paid since the last look, and choose for the next records; again: try it again
 * whatever came of it. To be called when emitted.records has reached trial.until. */
void tqi_emitter_look(tq_emitter *emitter, bool again);

/* Whether keys lie in the text that is being mapped: then none is too large, and all have slack behind them. */
bool tqi_emitter_in_text(const tq_emitter *emitter, const tq_slice *keys, size_t n);

static inline tqi_key tqi_emitter_load_key(const tq_emitter *emitter, tq_slice key)
{
    if (key.size > TQI_KEY_INLINE)
        return tqi_key_borrow_long(key.data, key.size);
    if (key.data >= emitter->padded_begin && key.data < emitter->padded_end)
        return tqi_key_load_padded(key.data, key.size);
    return tqi_key_load_short(key.data, key.size);
}

/* Note a failure, unless there is one already, and return the one that is noted. */
tq_status tqi_emitter_fail(tq_emitter *emitter, tq_status status, const char *message);

static inline bool tqi_emitter_stopped(const tq_emitter *emitter)
{
    return atomic_load_explicit(emitter->stop, memory_order_relaxed);
}

#endif
