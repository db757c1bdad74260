/* Writing entries of one partition into pages that are as large as the pool's blocks, each handed on when it is full. One
 * thread at a time. */
#ifndef TQI_WRITER_H
#define TQI_WRITER_H

#include "node/run.h"

/* Take over a run. Called by workers; must be safe for several at a time. */
typedef void (*tqi_deliver_fn)(void *owner, tqi_run *run);

typedef struct tqi_writer {
    const tqi_spec *spec;
    const tqi_value_shape *shape; /* of the entries' values */
    uint32_t partition;
    tqi_deliver_fn deliver;
    void *owner;
    tq_account *account; /* what is written is added to it */
    tqi_run *page;       /* the open one, or NULL */
    uint8_t *at;         /* where its next record goes */
} tqi_writer;

/* Write n entries. TQ_E_MEMORY. After a failure only tqi_writer_discard is allowed. */
tq_status tqi_writer_put(tqi_writer *writer, const tqi_entry *entries, size_t n);

/* Hand on the last page; or give it up. */
void tqi_writer_finish(tqi_writer *writer);
void tqi_writer_discard(tqi_writer *writer);

#endif
