/* Cutting a stream of bytes into chunks of whole records.
 *
 * One thread at a time: the feeder's, or the worker that has the task. A chunk belongs to whoever took it. */
#ifndef TQI_CHUNKER_H
#define TQI_CHUNKER_H

#include "common/budget.h"
#include <tequio/mapreduce.h>

typedef struct tqi_chunk {
    struct tqi_chunk *next;
    tqi_budget *budget;
    size_t file; /* its number in the table */
    uint64_t offset;
    size_t size;
    size_t capacity;
    char data[]; /* size bytes, and TQI_KEY_SLACK readable bytes behind them */
} tqi_chunk;

tqi_chunk *tqi_chunk_new(tqi_budget *budget, size_t capacity);
tqi_chunk *tqi_chunk_force(tqi_budget *budget, size_t capacity); /* beyond the budget if need be */
void tqi_chunk_free(tqi_chunk *chunk);

/* Reads some bytes, up to room > 0. *got = 0: the stream is over. TQ_E_AGAIN: nothing can be had now. */
typedef tq_status (*tqi_source_fn)(void *owner, char *bytes, size_t room, size_t *got, tq_error *error);

typedef struct tqi_chunker {
    tqi_budget *budget;
    tq_records records;
    uint64_t record_bytes; /* TQ_FIXED_RECORDS */
    const char *path; /* for messages */
    size_t file;      /* of the chunks */
    size_t piece;     /* bytes of a chunk, as long as a record is not longer */
    tqi_source_fn read;
    void *owner;
    tqi_chunk *rest; /* what was read behind the last whole record, NULL if nothing */
    bool over;
} tqi_chunker;

/* The next chunk, of at least a byte; NULL at the end of the stream. TQ_E_AGAIN, and nothing is lost, where the source says
 * so. TQ_E_MEMORY: a record does not fit. TQ_E_INPUT: the stream ends inside a record of one length. Chunks of the usual size are taken whatever the budget says. */
tq_status tqi_chunker_next(tqi_chunker *chunker, tqi_chunk **chunk, tq_error *error);

/* Forget what is left. */
void tqi_chunker_free(tqi_chunker *chunker);

#endif
