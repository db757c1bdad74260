/* Emitting what TQ_STATS combines: tq_emit_pairs_decimal. Called by the worker that owns the emitter. */
#ifndef TQI_PAIRS_H
#define TQI_PAIRS_H

#include "node/emitter.h"

/* Everything in the hot table, on its way. What comes next is in units of 10^-decimals. */
tq_status tqi_pairs_pour(tq_emitter *emitter, unsigned decimals);

#endif
