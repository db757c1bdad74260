/* Mapping: the job's mapper over the records of a piece of text, what it says of them (tq_emit_fail, tq_emit_bad,
 * tq_emit_refuse), and where in the input its failures belong.
 *
 * Called by the worker that owns the emitter. */
#ifndef TQI_MAPPING_H
#define TQI_MAPPING_H

#include "node/emitter.h"
#include "node/place.h"

/* Run the job's mapper over a row of whole records, whose memory has TQI_KEY_SLACK readable bytes behind it. What fails
 * is described in emitter->error. place, the worker's, follows the records. */
tq_status tqi_map_chunk(tq_emitter *emitter, const tq_record *chunk, tqi_place *place);

/* Describe in emitter->error what the mapper failed with, or what it emitted: code is what it returned, record what it
 * had. */
tq_status tqi_map_blame(tq_emitter *emitter, const tq_record *record, int code);

/* Let the job's function emit rows of its dense result. */
tq_status tqi_map_dense(tq_emitter *emitter, const int64_t *dense);

#endif
