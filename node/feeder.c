#include "node/feeder.h"

#include "common/error.h"
#include "node/expander.h"
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
    tqi_feeder_options options;
    void (*wake)(void *owner);
    void *owner;
    bool threaded;

    /* Reading: the thread's, or without one the engine's. */
    size_t file;
    int fd;                /* -1: the file is not open yet */
    uint64_t offset;       /* of the next byte to read */
    tqi_expander expander; /* on top of that, */
    tqi_chunker chunker;   /* and on top of that */
    tqi_heading heading;   /* of the inputs so far */

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

/* A tqi_source_fn. */
static tq_status read_some(void *owner, char *bytes, size_t room, size_t *got, tq_error *error)
{
    tqi_feeder *feeder = owner;
    const tqi_file *file = &feeder->inputs->files[feeder->file];
    struct pollfd ready = {feeder->fd, POLLIN, 0};

    *got = 0;
    if (!file->stream && file->size - feeder->offset < room)
        room = (size_t)(file->size - feeder->offset);
    while (room > 0) {
        if (atomic_load_explicit(&feeder->stop, memory_order_relaxed))
            return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        if (poll(&ready, 1, STOP_CHECK_MS) <= 0)
            continue; /* nothing yet, or a signal: look at stop again before a read that may block */
        ssize_t n = read(feeder->fd, bytes, room);
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

static tqi_headed headed_of(tqi_feeder *feeder)
{
    return (tqi_headed){feeder->inputs->has_header ? feeder->inputs : NULL, &feeder->heading, true};
}

static tq_status open_current(tqi_feeder *feeder, tq_error *error)
{
    const tqi_feeder_options *options = &feeder->options;
    const char *path = feeder->inputs->files[feeder->file].path;

    feeder->offset = 0;
    if (feeder->inputs->own_headers) {
        free(feeder->heading.line);
        feeder->heading = (tqi_heading){0};
    }
    if (strcmp(path, "-") == 0)
        feeder->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        feeder->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hold us up */
    if (feeder->fd < 0)
        return tqi_fail_file(error, TQ_E_INPUT, path, "%s", strerror(errno));
    feeder->expander = (tqi_expander){.path = path,
                                      .read = read_some,
                                      .owner = feeder,
                                      .budget = options->budget,
                                      .decoders = options->decoders,
                                      .as_it_is = options->as_they_are,
                                      .insist = true};
    feeder->chunker = (tqi_chunker){.budget = options->budget,
                                    .records = options->records,
                                    .record_bytes = options->record_bytes,
                                    .path = path,
                                    .file = feeder->file,
                                    .piece = options->chunk ? options->chunk : TQI_PIECE_BYTES,
                                    .headed = headed_of(feeder),
                                    .read = tqi_expander_read,
                                    .owner = &feeder->expander};
    return TQ_OK;
}

static void close_current(tqi_feeder *feeder)
{
    tqi_chunker_free(&feeder->chunker);
    tqi_expander_free(&feeder->expander);
    if (feeder->fd >= 0)
        close(feeder->fd);
    feeder->fd = -1;
}

/* What the feed gave becomes a chunk. The header is the first line of all that it gives; later chunks have it in front. */
static tq_status take_fed(tqi_feeder *feeder, tq_slice given, tqi_chunk **result, tq_error *error)
{
    const tqi_heading *heading = &feeder->heading;
    tqi_headed headed = headed_of(feeder);
    size_t header = heading->line ? heading->size + 1 : 0;
    tqi_chunk *chunk = tqi_chunk_new(feeder->options.budget, header + given.size);

    if (!chunk)
        return tqi_fail_at(error, TQ_E_MEMORY, feeder->inputs->files[0].path, feeder->offset,
                           "no memory for a chunk of %zu bytes (see --memory)", given.size);
    if (header) {
        memcpy(chunk->data, heading->line, heading->size);
        chunk->data[heading->size] = '\n';
    }
    memcpy(chunk->data + header, given.data, given.size);
    chunk->size = header + given.size;
    chunk->header = header;
    chunk->repeated = header > 0;
    chunk->offset = feeder->offset;
    if (headed.inputs && !header && given.size > 0 && tqi_chunk_take_header(chunk, &headed, true, error)) {
        tqi_chunk_free(chunk);
        return error->status;
    }
    *result = chunk;
    return TQ_OK;
}

/* The next chunk of the job's own feed. */
static tq_status feed_chunk(tqi_feeder *feeder, tqi_chunk **result, tq_error *error)
{
    const tqi_inputs *inputs = feeder->inputs;
    char why[sizeof error->message] = "";
    tq_slice given = {NULL, 0};
    int code = inputs->feed(&given, why, sizeof why, inputs->feed_user);

    why[strcspn(why, "\n")] = '\0';
    if (code && why[0])
        return tqi_fail_at(error, TQ_E_USER, inputs->files[0].path, feeder->offset, "%s", why);
    if (code)
        return tqi_fail_at(error, TQ_E_USER, inputs->files[0].path, feeder->offset, "it returned %d", code);
    if (!given.data)
        return TQ_OK;
    tq_status status = take_fed(feeder, given, result, error);
    if (status)
        return status;
    feeder->offset += given.size;
    atomic_fetch_add_explicit(&feeder->bytes, given.size, memory_order_relaxed);
    return TQ_OK;
}

/* The next chunk of all inputs, NULL when they are over. */
static tq_status next_chunk(tqi_feeder *feeder, tqi_chunk **chunk, tq_error *error)
{
    *chunk = NULL;
    if (feeder->inputs->feed)
        return feed_chunk(feeder, chunk, error);
    while (feeder->file < feeder->inputs->n) {
        tq_status status = feeder->fd < 0 ? open_current(feeder, error) : TQ_OK;

        if (!status)
            status = tqi_chunker_next(&feeder->chunker, chunk, error);
        if (status || *chunk)
            return status;
        close_current(feeder);
        feeder->file++;
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

tq_status tqi_feeder_start(const tqi_inputs *inputs, const tqi_feeder_options *options, void (*wake)(void *owner),
                           void *owner, tqi_feeder **result, tq_error *error)
{
    tqi_feeder *feeder = calloc(1, sizeof *feeder);

    if (!feeder)
        return tqi_fail_memory(error, sizeof *feeder, "reading an input");
    feeder->inputs = inputs;
    feeder->options = *options;
    feeder->wake = wake;
    feeder->owner = owner;
    feeder->threaded = options->threaded;
    feeder->fd = -1;
    feeder->status = TQ_E_AGAIN;
    pthread_mutex_init(&feeder->lock, NULL);
    pthread_cond_init(&feeder->room, NULL);
    if (options->threaded) {
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
    close_current(feeder);
    pthread_mutex_destroy(&feeder->lock);
    pthread_cond_destroy(&feeder->room);
    free(feeder->heading.line);
    free(feeder);
}
