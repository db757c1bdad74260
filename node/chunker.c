#include "node/chunker.h"

#include "common/error.h"
#include "common/key.h"
#include "node/header.h"
#include "node/reader.h"
#include <string.h>

static tqi_chunk *set_up(tqi_chunk *chunk, tqi_budget *budget, size_t capacity)
{
    if (!chunk)
        return NULL;
    *chunk = (tqi_chunk){.budget = budget, .capacity = capacity};
    memset(chunk->data + capacity, 0, TQI_KEY_SLACK);
    return chunk;
}

tqi_chunk *tqi_chunk_new(tqi_budget *budget, size_t capacity)
{
    return set_up(tqi_budget_alloc(budget, sizeof(tqi_chunk) + capacity + TQI_KEY_SLACK), budget, capacity);
}

tqi_chunk *tqi_chunk_force(tqi_budget *budget, size_t capacity)
{
    return set_up(tqi_budget_force(budget, sizeof(tqi_chunk) + capacity + TQI_KEY_SLACK), budget, capacity);
}

void tqi_chunk_free(tqi_chunk *chunk)
{
    if (chunk)
        tqi_budget_free(chunk->budget, chunk, sizeof *chunk + chunk->capacity + TQI_KEY_SLACK);
}

static tqi_chunk *usual_or_larger(tqi_chunker *chunker, size_t capacity)
{
    return capacity <= chunker->piece ? tqi_chunk_force(chunker->budget, chunker->piece)
                                      : tqi_chunk_new(chunker->budget, capacity);
}

static tq_status grow(tqi_chunker *chunker, tqi_chunk **chunk, tq_error *error)
{
    size_t capacity = 2 * (*chunk)->capacity;
    tqi_chunk *larger = tqi_chunk_new(chunker->budget, capacity);

    if (!larger)
        return tqi_fail_at(error, TQ_E_MEMORY, chunker->path, (*chunk)->offset,
                           "no memory for a record that spans %zu bytes (see --memory)", capacity);
    larger->file = (*chunk)->file;
    larger->offset = (*chunk)->offset;
    larger->header = (*chunk)->header;
    larger->repeated = (*chunk)->repeated;
    larger->size = (*chunk)->size;
    memcpy(larger->data, (*chunk)->data, larger->size);
    tqi_chunk_free(*chunk);
    *chunk = larger;
    return TQ_OK;
}

tq_status tqi_chunk_take_header(tqi_chunk *chunk, const tqi_headed *headed, bool ended, tq_error *error)
{
    tq_slice line = tq_line_at((tq_slice){chunk->data, chunk->size});
    const char *newline = memchr(chunk->data, '\n', chunk->size);

    if (!newline && !ended)
        return chunk->size > TQI_HEADER_MOST ? tqi_header_too_long(headed->inputs, chunk->file, error) : TQ_OK;
    tq_status status = tqi_header_meet(headed, chunk->file, line, error);
    if (status)
        return status;
    chunk->header = newline ? (size_t)(newline + 1 - chunk->data) : chunk->size;
    chunk->offset = chunk->header;
    return TQ_OK;
}

/* Bytes of whole records at the beginning of chunk. */
static size_t whole_records(const tqi_chunker *chunker, const tqi_chunk *chunk)
{
    if (chunker->records == TQ_FIXED_RECORDS)
        return chunk->size - chunk->size % chunker->record_bytes;
    size_t front = chunk->repeated ? chunk->header : 0;
    const char *delimiter = tqi_find_last_delimiter(chunker->records, chunk->data + front, chunk->size - front);
    return delimiter ? (size_t)(delimiter + 1 - chunk->data) : 0;
}

/* The stream is over: it must not end inside a record of one length. */
static tq_status check_end(const tqi_chunker *chunker, const tqi_chunk *chunk, tq_error *error)
{
    if (chunker->records != TQ_FIXED_RECORDS || chunk->size % chunker->record_bytes == 0)
        return TQ_OK;
    return tqi_inputs_fail_cut(chunker->path, chunk->offset + chunk->size, chunker->record_bytes, error);
}

/* Put what stands behind the whole records of chunk aside for the next one. */
static tq_status cut(tqi_chunker *chunker, tqi_chunk *chunk, size_t whole, tq_error *error)
{
    size_t left = chunk->size - whole, header = chunk->header;

    chunker->rest = usual_or_larger(chunker, 2 * (header + left));
    if (!chunker->rest)
        return tqi_fail_at(error, TQ_E_MEMORY, chunker->path, chunk->offset + whole - header,
                           "no memory to read ahead (see --memory)");
    chunker->rest->file = chunker->file;
    chunker->rest->offset = chunk->offset + whole - header;
    chunker->rest->header = header;
    chunker->rest->repeated = header > 0;
    chunker->rest->size = header + left;
    if (header)
        memcpy(chunker->rest->data, chunk->data, header);
    memcpy(chunker->rest->data + header, chunk->data + whole, left);
    chunk->size = whole;
    return TQ_OK;
}

/* If the chunk is the first of a stream with a header. */
static tq_status take_header(const tqi_chunker *chunker, tqi_chunk *chunk, tq_error *error)
{
    if (!chunker->headed.inputs || chunk->header || chunk->size == 0)
        return TQ_OK;
    return tqi_chunk_take_header(chunk, &chunker->headed, chunker->over, error);
}

/* Fill chunk with whole records; at the end of the stream with what is left. */
static tq_status fill(tqi_chunker *chunker, tqi_chunk **chunk, tq_error *error)
{
    for (;;) {
        tqi_chunk *now = *chunk;
        size_t got = 0;

        if (now->size < now->capacity) {
            tq_status status =
                chunker->read(chunker->owner, now->data + now->size, now->capacity - now->size, &got, error);

            if (status)
                return status;
            now->size += got;
            chunker->over = got == 0;
            if (!chunker->over)
                continue;
            status = take_header(chunker, now, error);
            return status ? status : check_end(chunker, now, error);
        }
        if (take_header(chunker, now, error))
            return error->status;
        size_t whole = whole_records(chunker, now);
        if (whole > 0)
            return cut(chunker, now, whole, error);
        tq_status status = grow(chunker, chunk, error);
        if (status)
            return status;
    }
}

tq_status tqi_chunker_next(tqi_chunker *chunker, tqi_chunk **result, tq_error *error)
{
    tqi_chunk *chunk = chunker->rest;

    *result = NULL;
    if (chunker->over)
        return TQ_OK;
    chunker->rest = NULL;
    if (!chunk && !(chunk = tqi_chunk_force(chunker->budget, chunker->piece)))
        return tqi_fail_memory(error, chunker->piece, "reading an input");
    chunk->file = chunker->file;
    tq_status status = fill(chunker, &chunk, error);
    if (status == TQ_E_AGAIN)
        chunker->rest = chunk;
    else if (status || tqi_chunk_bytes(chunk) == 0)
        tqi_chunk_free(chunk);
    else
        *result = chunk;
    return status;
}

void tqi_chunker_free(tqi_chunker *chunker)
{
    tqi_chunk_free(chunker->rest);
    chunker->rest = NULL;
}
