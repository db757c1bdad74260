#include "node/reader.h"

#include "common/error.h"
#include "common/key.h"
#include "node/delimiters.h"
#include "node/header.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, SMALLEST_WINDOW = 256 << 10 };

bool tqi_is_delimiter(tq_records records, char byte)
{
    return records == TQ_LINES ? byte == '\n' : tqi_is_space(byte);
}

const char *tqi_find_delimiter(tq_records records, const char *data, size_t size)
{
    if (size == 0)
        return NULL;
    if (records == TQ_LINES)
        return memchr(data, '\n', size);
    for (size_t i = 0; i < size; i++)
        if (tqi_is_space(data[i]))
            return data + i;
    return NULL;
}

const char *tqi_find_last_delimiter(tq_records records, const char *data, size_t size)
{
    if (size == 0)
        return NULL;
    if (records == TQ_LINES)
        return memrchr(data, '\n', size);
    while (size > 0)
        if (tqi_is_space(data[--size]))
            return data + size;
    return NULL;
}

void tqi_reader_init(tqi_reader *reader, tqi_budget *budget, uint64_t record_bytes)
{
    *reader = (tqi_reader){.budget = budget, .fd = -1, .smallest = SMALLEST_WINDOW, .record_bytes = record_bytes};
}

static void close_file(tqi_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    free(reader->own_header);
    reader->own_header = NULL;
    reader->header = (tq_slice){NULL, 0};
    reader->fd = -1;
    reader->file = NULL;
    reader->window_size = 0;
}

static void free_buffer(tqi_reader *reader)
{
    if (reader->buffer)
        tqi_budget_give(reader->budget, reader->capacity);
    free(reader->buffer);
    reader->buffer = NULL;
    reader->capacity = 0;
}

void tqi_reader_free(tqi_reader *reader)
{
    close_file(reader);
    free_buffer(reader);
}

static tq_status open_file(tqi_reader *reader, const tqi_file *file, tq_error *error)
{
    if (reader->file == file)
        return TQ_OK;
    close_file(reader);
    reader->fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0)
        return tqi_fail_file(error, TQ_E_INPUT, file->path, "%s", strerror(errno));
    reader->file = file;
    reader->header_bytes = 0;
    return TQ_OK;
}

/* Once for each file; not when it is opened, since its first bytes may say that somebody else reads it. */
static tq_status check_header(tqi_reader *reader, tq_error *error)
{
    const tqi_inputs *headed = reader->headed;

    if (!headed || reader->header_bytes)
        return TQ_OK;
    if (headed->own_headers) {
        tq_status status = tqi_header_own(headed, reader->file, reader->fd, &reader->own_header, &reader->header.size,
                                          &reader->header_bytes, error);
        reader->header.data = reader->own_header;
        return status;
    }
    reader->header = (tq_slice){headed->heading.line, headed->heading.size};
    return tqi_header_check(headed, reader->file, reader->fd, &reader->header_bytes, error);
}

/* A buffer of at least capacity bytes that keeps the window. */
static tq_status reserve(tqi_reader *reader, size_t capacity, uint64_t at, tq_error *error)
{
    char *buffer = NULL;

    if (capacity <= reader->capacity)
        return TQ_OK;
    capacity = (capacity + PAGE - 1) & ~(size_t)(PAGE - 1);
    /* A piece must be read, however little is left of the budget; only records that are longer have to fit. */
    bool counted = capacity <= TQI_PIECE_BYTES + 4 * PAGE ? tqi_budget_take_anyway(reader->budget, capacity)
                                                          : tqi_budget_take(reader->budget, capacity);
    if (counted) {
        buffer = aligned_alloc(PAGE, capacity + PAGE);
        if (!buffer)
            tqi_budget_give(reader->budget, capacity);
    }
    if (!buffer)
        return tqi_fail_at(error, TQ_E_MEMORY, reader->file->path, at,
                           "no memory for a record that spans %zu bytes (see --memory)", capacity);
    memset(buffer + capacity, 0, PAGE);
    if (reader->window_size)
        memcpy(buffer, reader->buffer, reader->window_size);
    free_buffer(reader);
    reader->buffer = buffer;
    reader->capacity = capacity;
    return TQ_OK;
}

/* Read on at the window's end until the window holds the file up to byte end. */
static tq_status extend(tqi_reader *reader, uint64_t end, tq_error *error)
{
    while (reader->window + reader->window_size < end) {
        uint64_t at = reader->window + reader->window_size;
        ssize_t got = pread(reader->fd, reader->buffer + reader->window_size, (size_t)(end - at), (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tqi_fail_at(error, TQ_E_INPUT, reader->file->path, at, "%s", strerror(errno));
        if (got == 0)
            return tqi_fail_at(error, TQ_E_INPUT, reader->file->path, at,
                               "the file ends here, but had %" PRIu64 " bytes when the run began", reader->file->size);
        reader->window_size += (size_t)got;
    }
    return TQ_OK;
}

/* Make the window hold [begin, end) of the file; it may hold more. */
static tq_status show(tqi_reader *reader, uint64_t begin, uint64_t end, tq_error *error)
{
    uint64_t size = reader->file->size;

    if (reader->window_size && begin >= reader->window && end <= reader->window + reader->window_size)
        return TQ_OK;
    reader->window = begin & ~(uint64_t)(PAGE - 1);
    reader->window_size = 0;
    end = size - end < PAGE ? size : end + PAGE; /* the last record's end is mostly near */
    if (end - reader->window < reader->smallest)
        end = size - reader->window < reader->smallest ? size : reader->window + reader->smallest;
    tq_status status = reserve(reader, (size_t)(end - reader->window), begin, error);
    return status ? status : extend(reader, end, error);
}

/* f(end), reading on as far as it takes. The window holds byte end - 1. */
static tq_status find_end(tqi_reader *reader, tq_records records, uint64_t end, uint64_t *found, tq_error *error)
{
    uint64_t size = reader->file->size, from = end - 1, step = PAGE;

    for (;;) {
        size_t at = (size_t)(from - reader->window);
        const char *delimiter = tqi_find_delimiter(records, reader->buffer + at, reader->window_size - at);

        if (delimiter) {
            *found = reader->window + (uint64_t)(delimiter - reader->buffer) + 1;
            return TQ_OK;
        }
        from = reader->window + reader->window_size;
        if (from == size) {
            *found = size;
            return TQ_OK;
        }
        uint64_t until = size - from < step ? size : from + step;
        tq_status status = reserve(reader, (size_t)(until - reader->window), end, error);
        if (!status)
            status = extend(reader, until, error);
        if (status)
            return status;
        step *= 2; /* so that a long record is copied and searched in linear time */
    }
}

tq_status tqi_reader_head(tqi_reader *reader, const tqi_file *file, uint64_t end, tq_slice *head, tq_error *error)
{
    tq_status status = open_file(reader, file, error);

    if (!status)
        status = show(reader, 0, end, error);
    if (!status)
        *head = (tq_slice){reader->buffer, reader->window_size};
    return status;
}

/* The records of one length that begin in [begin, end). */
static tq_status fixed_chunk(tqi_reader *reader, uint64_t begin, uint64_t end, tq_record *chunk, tq_error *error)
{
    uint64_t bytes = reader->record_bytes, start = (begin + bytes - 1) / bytes * bytes;
    uint64_t stop = (end + bytes - 1) / bytes * bytes;

    stop = stop > reader->file->size ? reader->file->size : stop;
    *chunk = (tq_record){.data = reader->buffer, .file = reader->file->path, .offset = start};
    if (start >= stop)
        return TQ_OK;
    tq_status status = show(reader, start, stop, error);
    if (status)
        return status;
    chunk->data = reader->buffer + (start - reader->window);
    chunk->size = (size_t)(stop - start);
    return TQ_OK;
}

tq_status tqi_reader_chunk(tqi_reader *reader, const tqi_file *file, tq_records records, uint64_t begin, uint64_t end,
                           tq_record *chunk, tq_error *error)
{
    uint64_t first = begin ? begin - 1 : 0, start = begin, stop;
    tq_status status = open_file(reader, file, error);

    if (!status && records == TQ_FIXED_RECORDS)
        return fixed_chunk(reader, begin, end, chunk, error);
    if (!status)
        status = check_header(reader, error);
    if (!status)
        status = show(reader, first, end, error);
    if (status)
        return status;
    *chunk = (tq_record){.data = reader->buffer, .file = file->path, .offset = begin, .header = reader->header};
    if (begin > 0) {
        /* Only up to end: a record that starts no earlier is not ours, however far away its end is. */
        const char *from = reader->buffer + (first - reader->window);
        const char *delimiter = tqi_find_delimiter(records, from, (size_t)(end - 1 - first));

        if (!delimiter)
            return TQ_OK;
        start = first + (uint64_t)(delimiter - from) + 1;
    }
    status = find_end(reader, records, end, &stop, error);
    if (status)
        return status;
    if (begin == 0)
        start = reader->header_bytes; /* all of it is before stop: it begins in front of end */
    chunk->data = reader->buffer + (start - reader->window);
    chunk->size = (size_t)(stop - start);
    chunk->offset = start;
    return TQ_OK;
}
