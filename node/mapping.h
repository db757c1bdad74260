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

/* Rows of an earlier job that lie in a row. */
typedef struct tqi_row_range {
    const char *name; /* of that job */
    const tqi_value_shape *shape;
    const tqi_entry *entries;
    size_t n;
    uint64_t first; /* the number of the first of them among all that the job made */
} tqi_row_range;

/* Run the job's mapper over these, and add the bytes of their keys and values to *bytes. Otherwise as tqi_map_chunk:
 * place and errors name the number of a row. */
tq_status tqi_map_rows(tq_emitter *emitter, const tqi_row_range *rows, uint64_t *bytes, tqi_place *place);

/* Let the job's function emit rows of its dense result. */
tq_status tqi_map_dense(tq_emitter *emitter, const int64_t *dense);

#endif
