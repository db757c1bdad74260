/* Cutting a stream of bytes into chunks of whole records.
 *
 * Where files have headers (node/header.h), each chunk begins with the header of its file: the mapper wants to see it, and
 * may be on another rank than the one that had the chunk before. A header alone is a chunk too.
 *
 * One thread at a time: the feeder's, or the worker that has the task. A chunk belongs to whoever took it. */
#ifndef TQI_CHUNKER_H
#define TQI_CHUNKER_H

#include "common/budget.h"
#include <tequio/mapreduce.h>

typedef struct tqi_chunk {
    struct tqi_chunk *next;
    tqi_budget *budget;
    size_t file;     /* its number in the table */
    uint64_t offset; /* of the records */
    size_t header;   /* bytes of a header, with its end, in front of them, */
    bool repeated;   /* which a chunk before this had already */
    size_t size;     /* of both */
    size_t capacity;
    char data[]; /* size bytes, and TQI_KEY_SLACK readable bytes behind them */
} tqi_chunk;

/* Bytes of text that a chunk stands for. */
static inline uint64_t tqi_chunk_bytes(const tqi_chunk *chunk)
{
    return chunk->size - (chunk->repeated ? chunk->header : 0);
}

tqi_chunk *tqi_chunk_new(tqi_budget *budget, size_t capacity);
tqi_chunk *tqi_chunk_force(tqi_budget *budget, size_t capacity); /* beyond the budget if need be */
void tqi_chunk_free(tqi_chunk *chunk);

/* Reads some bytes, up to room > 0. *got = 0: the stream is over. TQ_E_AGAIN: nothing can be had now. */
typedef tq_status (*tqi_source_fn)(void *owner, char *bytes, size_t room, size_t *got, tq_error *error);

/* What a stream's header is compared with. */
typedef struct tqi_headed {
    const struct tqi_inputs *inputs; /* that have headers; NULL: the stream has none */
    struct tqi_heading *heading;
    bool learns; /* if it is not known, that of this stream is it */
} tqi_headed;

typedef struct tqi_chunker {
    tqi_budget *budget;
    tq_records records;
    uint64_t record_bytes; /* TQ_FIXED_RECORDS */
    const char *path; /* for messages */
    size_t file;      /* of the chunks */
    size_t piece;     /* bytes of a chunk, as long as a record is not longer */
    tqi_headed headed;
    tqi_source_fn read;
    void *owner;
    tqi_chunk *rest; /* what was read behind the last whole record, NULL if nothing */
    bool over;
} tqi_chunker;

/* Take the header off the first line of a stream, which is in chunk, if it is whole: ended says that nothing comes behind.
 * TQ_E_INPUT: it is another than that of the files before, or too long. */
tq_status tqi_chunk_take_header(tqi_chunk *chunk, const tqi_headed *headed, bool ended, tq_error *error);

/* The next chunk, of at least a byte; NULL at the end of the stream. TQ_E_AGAIN, and nothing is lost, where the source says
 * so. TQ_E_MEMORY: a record does not fit. TQ_E_INPUT: the stream ends inside a record of one length. Chunks of the usual size are taken whatever the budget says. */
tq_status tqi_chunker_next(tqi_chunker *chunker, tqi_chunk **chunk, tq_error *error);

/* Forget what is left. */
void tqi_chunker_free(tqi_chunker *chunker);

#endif
