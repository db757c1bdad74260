#include "node/feeder.h"

#include "common/error.h"
#include "common/key.h"
#include "node/reader.h"
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { QUEUE_BOUND = 8, STOP_CHECK_MS = 100 };

struct tqi_feeder {
    const tqi_inputs *inputs;
    tq_records records;
    tqi_budget *budget;
    void (*wake)(void *owner);
    void *owner;
    bool threaded;

    /* Reading: the thread's, or without one the engine's. */
    size_t file;
    int fd;          /* -1: the file is not open yet */
    uint64_t offset; /* of the next byte to read */
    tqi_chunk *rest; /* what was read behind the last whole record, NULL if nothing */

    atomic_bool stop;
    _Atomic uint64_t bytes;

    /* Between the thread and the engine, under lock. */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t room;
    tqi_chunk *first, *last;
    size_t queued;
    tq_status status; /* TQ_E_AGAIN while the thread works, then how it ended */
    tq_error error;
};

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

static tq_status grow(tqi_feeder *feeder, tqi_chunk **chunk, tq_error *error)
{
    size_t capacity = 2 * (*chunk)->capacity;
    tqi_chunk *larger = tqi_chunk_new(feeder->budget, capacity);

    if (!larger)
        return tqi_fail_at(error, TQ_E_MEMORY, feeder->inputs->files[feeder->file].path, (*chunk)->offset,
                           "no memory for a record that spans %zu bytes (see --memory)", capacity);
    larger->file = (*chunk)->file;
    larger->offset = (*chunk)->offset;
    larger->size = (*chunk)->size;
    memcpy(larger->data, (*chunk)->data, larger->size);
    tqi_chunk_free(*chunk);
    *chunk = larger;
    return TQ_OK;
}

static tq_status open_current(tqi_feeder *feeder, tq_error *error)
{
    const char *path = feeder->inputs->files[feeder->file].path;

    feeder->offset = 0;
    if (strcmp(path, "-") == 0)
        feeder->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        feeder->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hold us up */
    if (feeder->fd < 0)
        return tqi_fail_file(error, TQ_E_INPUT, path, "%s", strerror(errno));
    return TQ_OK;
}

/* Read some bytes behind what chunk holds. *got = 0 at the end of the input. */
static tq_status read_some(tqi_feeder *feeder, tqi_chunk *chunk, size_t *got, tq_error *error)
{
    const tqi_file *file = &feeder->inputs->files[feeder->file];
    size_t room = chunk->capacity - chunk->size;
    struct pollfd ready = {feeder->fd, POLLIN, 0};

    *got = 0;
    if (!file->stream && file->size - feeder->offset < room)
        room = (size_t)(file->size - feeder->offset);
    while (room > 0) {
        if (atomic_load_explicit(&feeder->stop, memory_order_relaxed))
            return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        if (poll(&ready, 1, STOP_CHECK_MS) <= 0)
            continue; /* nothing yet, or a signal: look at stop again before a read that may block */
        ssize_t n = read(feeder->fd, chunk->data + chunk->size, room);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return tqi_fail_at(error, TQ_E_INPUT, file->path, feeder->offset, "%s", strerror(errno));
        if (n == 0 && !file->stream)
            return tqi_fail_at(error, TQ_E_INPUT, file->path, feeder->offset,
                               "the file ends here, but had %" PRIu64 " bytes when the run began", file->size);
        *got = (size_t)n;
        feeder->offset += (uint64_t)n;
        atomic_fetch_add_explicit(&feeder->bytes, (uint64_t)n, memory_order_relaxed);
        return TQ_OK;
    }
    return TQ_OK;
}

/* Put what stands behind the last delimiter of chunk aside for the next one. */
static tq_status cut(tqi_feeder *feeder, tqi_chunk *chunk, const char *delimiter, tq_error *error)
{
    size_t whole = (size_t)(delimiter + 1 - chunk->data), left = chunk->size - whole;
    size_t capacity = 2 * left > TQI_PIECE_BYTES ? 2 * left : TQI_PIECE_BYTES;

    feeder->rest = tqi_chunk_new(feeder->budget, capacity);
    if (!feeder->rest)
        return tqi_fail_at(error, TQ_E_MEMORY, feeder->inputs->files[feeder->file].path, chunk->offset,
                           "no memory to read ahead (see --memory)");
    feeder->rest->file = feeder->file;
    feeder->rest->offset = chunk->offset + whole;
    feeder->rest->size = left;
    memcpy(feeder->rest->data, delimiter + 1, left);
    chunk->size = whole;
    return TQ_OK;
}

/* Fill chunk with whole records; at the end of the input with what is left. *ended says that the input is over. */
static tq_status fill(tqi_feeder *feeder, tqi_chunk **chunk, bool *ended, tq_error *error)
{
    for (;;) {
        size_t got;
        tq_status status = read_some(feeder, *chunk, &got, error);

        if (status)
            return status;
        (*chunk)->size += got;
        *ended = got == 0 && (*chunk)->size < (*chunk)->capacity;
        if (*ended)
            return TQ_OK;
        if ((*chunk)->size < (*chunk)->capacity)
            continue;
        const char *delimiter = tqi_find_last_delimiter(feeder->records, (*chunk)->data, (*chunk)->size);
        if (delimiter)
            return cut(feeder, *chunk, delimiter, error);
        status = grow(feeder, chunk, error);
        if (status)
            return status;
    }
}

/* The next chunk of all inputs, NULL when they are over. */
static tq_status next_chunk(tqi_feeder *feeder, tqi_chunk **result, tq_error *error)
{
    *result = NULL;
    while (feeder->file < feeder->inputs->n) {
        tq_status status = feeder->fd < 0 ? open_current(feeder, error) : TQ_OK;
        tqi_chunk *chunk = feeder->rest;
        bool ended = false;

        if (status)
            return status;
        feeder->rest = NULL;
        if (!chunk && !(chunk = tqi_chunk_new(feeder->budget, TQI_PIECE_BYTES)))
            return tqi_fail_memory(error, TQI_PIECE_BYTES, "reading an input (see --memory)");
        chunk->file = feeder->file;
        status = fill(feeder, &chunk, &ended, error);
        if (status) {
            tqi_chunk_free(chunk);
            return status;
        }
        if (ended) {
            close(feeder->fd);
            feeder->fd = -1;
            feeder->file++;
        }
        if (chunk->size > 0) {
            *result = chunk;
            return TQ_OK;
        }
        tqi_chunk_free(chunk);
    }
    return TQ_OK;
}

static void *read_ahead(void *argument)
{
    tqi_feeder *feeder = argument;
    tqi_chunk *chunk;

    do {
        tq_error error;
        tq_status status = next_chunk(feeder, &chunk, &error);

        pthread_mutex_lock(&feeder->lock);
        if (chunk) {
            while (feeder->queued >= QUEUE_BOUND && !atomic_load(&feeder->stop))
                pthread_cond_wait(&feeder->room, &feeder->lock);
            if (feeder->last)
                feeder->last->next = chunk;
            else
                feeder->first = chunk;
            feeder->last = chunk;
            feeder->queued++;
        } else {
            feeder->status = status;
            if (status)
                feeder->error = error;
        }
        pthread_mutex_unlock(&feeder->lock);
        feeder->wake(feeder->owner);
    } while (chunk && !atomic_load(&feeder->stop));
    return NULL;
}

tq_status tqi_feeder_start(const tqi_inputs *inputs, tq_records records, tqi_budget *budget, bool threaded,
                           void (*wake)(void *owner), void *owner, tqi_feeder **result, tq_error *error)
{
    tqi_feeder *feeder = calloc(1, sizeof *feeder);

    if (!feeder)
        return tqi_fail_memory(error, sizeof *feeder, "reading an input");
    feeder->inputs = inputs;
    feeder->records = records;
    feeder->budget = budget;
    feeder->wake = wake;
    feeder->owner = owner;
    feeder->threaded = threaded;
    feeder->fd = -1;
    feeder->status = TQ_E_AGAIN;
    pthread_mutex_init(&feeder->lock, NULL);
    pthread_cond_init(&feeder->room, NULL);
    if (threaded) {
        int code = pthread_create(&feeder->thread, NULL, read_ahead, feeder);

        if (code) {
            feeder->threaded = false;
            tqi_feeder_stop(feeder);
            return tqi_fail(error, TQ_E_SYSTEM, "cannot start the thread that reads: %s", strerror(code));
        }
    }
    *result = feeder;
    return TQ_OK;
}

tq_status tqi_feeder_take(tqi_feeder *feeder, tqi_chunk **chunk, tq_error *error)
{
    tq_status status = TQ_OK;

    if (!feeder->threaded)
        return next_chunk(feeder, chunk, error);
    pthread_mutex_lock(&feeder->lock);
    *chunk = feeder->first;
    if (feeder->first) {
        feeder->first = feeder->first->next;
        if (!feeder->first)
            feeder->last = NULL;
        (*chunk)->next = NULL;
        feeder->queued--;
        pthread_cond_signal(&feeder->room);
    } else {
        status = feeder->status;
        if (status && status != TQ_E_AGAIN)
            *error = feeder->error;
    }
    pthread_mutex_unlock(&feeder->lock);
    return status;
}

uint64_t tqi_feeder_bytes(tqi_feeder *feeder)
{
    return atomic_load_explicit(&feeder->bytes, memory_order_relaxed);
}

void tqi_feeder_stop(tqi_feeder *feeder)
{
    if (!feeder)
        return;
    atomic_store(&feeder->stop, true);
    if (feeder->threaded) {
        pthread_mutex_lock(&feeder->lock);
        pthread_cond_signal(&feeder->room);
        pthread_mutex_unlock(&feeder->lock);
        pthread_join(feeder->thread, NULL);
    }
    while (feeder->first) {
        tqi_chunk *next = feeder->first->next;

        tqi_chunk_free(feeder->first);
        feeder->first = next;
    }
    tqi_chunk_free(feeder->rest);
    if (feeder->fd >= 0)
        close(feeder->fd);
    pthread_mutex_destroy(&feeder->lock);
    pthread_cond_destroy(&feeder->room);
    free(feeder);
}
