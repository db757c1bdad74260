/* Rows as text by the job's own function, and rows as bytes on their way to where that is called in their order.
 *
 * One thread at a time for each text and unpacker. */
#ifndef TQI_WRITING_H
#define TQI_WRITING_H

#include "node/format.h"
#include "node/place.h"

/* What calls of the function need. place: of the worker, which is in the job's own code. */
typedef struct tqi_writer_fn {
    tq_write_fn write;
    void *user;
    const tqi_value_shape *shape;
    tqi_place *place;
    const atomic_bool *stop; /* looked at before each call */
    /* Takes what has been appended off text, once that is a lot; NULL: all of it is kept. */
    tq_status (*flush)(void *owner, tqi_text *text, tq_error *error);
    void *owner;
} tqi_writer_fn;

/* Append n rows to text by the job's function. TQ_E_USER, TQ_E_MEMORY, TQ_E_CANCELLED. */
tq_status tqi_write_rows(const tqi_writer_fn *fn, const tqi_entry *entries, size_t n, tqi_text *text, tq_error *error);

/* Append what the job's function has to say behind the last row. TQ_E_USER, TQ_E_MEMORY. */
tq_status tqi_write_end(const tqi_writer_fn *fn, tqi_text *text, tq_error *error);

/* Append n rows as they are: sizes, key, value. TQ_E_MEMORY. */
tq_status tqi_pack_rows(const tqi_value_shape *shape, const tqi_entry *entries, size_t n, tqi_text *text);

/* Takes packed rows in pieces that are cut anywhere, and writes each row that is whole. */
typedef struct tqi_unpacker {
    tqi_text rest; /* of a row whose end has not come */
} tqi_unpacker;

void tqi_unpacker_free(tqi_unpacker *unpacker);

/* The next piece: append its rows to text by the job's function. TQ_E_USER, TQ_E_MEMORY, TQ_E_CANCELLED. */
tq_status tqi_unpack_rows(tqi_unpacker *unpacker, const tqi_writer_fn *fn, tq_slice piece, tqi_text *text,
                          tq_error *error);

#endif
