/* Making bins smaller, or empty: see node/emitter.h. Called by the worker that owns the emitter. */
#ifndef TQI_COMPACT_H
#define TQI_COMPACT_H

#include "node/emitter.h"

/* The bins are full: combine each of them, and keep what is left if that is at most half of it; otherwise hand it on. */
tq_status tqi_compact(tq_emitter *emitter);

/* Hand everything on. */
tq_status tqi_compact_last(tq_emitter *emitter);

/* Note a failure, unless there is one already, and return the one that is noted. */
tq_status tqi_emitter_fail(tq_emitter *emitter, tq_status status, const char *message);

static inline bool tqi_emitter_stopped(const tq_emitter *emitter)
{
    return atomic_load_explicit(emitter->stop, memory_order_relaxed);
}

#endif
