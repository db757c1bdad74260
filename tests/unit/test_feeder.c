/* The feeder: inputs that are read once, in order, and cut into chunks of whole records. */
#include "node/feeder.h"

#include "common/key.h"
#include "node/reader.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static void wake(void *owner)
{
    sem_post(owner);
}

/* Writes text into a pipe, in small pieces and with pauses, then closes it. */
typedef struct writer {
    int fd;
    const char *text;
    size_t size;
    bool slow;
    pthread_t thread;
} writer;

static void *write_pieces(void *argument)
{
    writer *self = argument;
    uint64_t random = 91;

    for (size_t done = 0; done < self->size;) {
        size_t piece = self->slow ? 1 + random_below(&random, 60000) : 65536;
        ssize_t n = write(self->fd, self->text + done, self->size - done < piece ? self->size - done : piece);
        if (n <= 0)
            break;
        done += (size_t)n;
        if (self->slow && random_below(&random, 4) == 0)
            usleep(200);
    }
    close(self->fd);
    return NULL;
}

/* Standard input becomes a pipe; returns the descriptor of what it was. */
static int redirect_stdin(int *write_end)
{
    int ends[2], held = dup(STDIN_FILENO);

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    *write_end = ends[1];
    return held;
}

static void restore_stdin(int held)
{
    if (held >= 0) {
        dup2(held, STDIN_FILENO);
        close(held);
    } else {
        close(STDIN_FILENO);
    }
}

static int start_writer(writer *self, const char *text, size_t size, bool slow)
{
    *self = (writer){.text = text, .size = size, .slow = slow};
    int held = redirect_stdin(&self->fd);
    assert_int_equal(pthread_create(&self->thread, NULL, write_pieces, self), 0);
    return held;
}

static tq_status take_next(tqi_feeder *feeder, sem_t *woken, tqi_chunk **chunk, tq_error *error)
{
    for (;;) {
        *chunk = NULL;
        tq_status status = tqi_feeder_take(feeder, chunk, error);
        if (status != TQ_E_AGAIN)
            return status;
        assert_null(*chunk);
        sem_wait(woken);
    }
}

/* What one input should yield. */
typedef struct expected {
    const char *text;
    size_t size;
} expected;

static void assert_chunk(const tqi_chunk *chunk, tq_records records, const expected *file, size_t at)
{
    assert_int_equal(chunk->offset, at);
    assert_true(chunk->size > 0 && chunk->size <= file->size - at);
    assert_memory_equal(chunk->data, file->text + at, chunk->size);
    if (at + chunk->size < file->size)
        assert_true(tqi_is_delimiter(records, chunk->data[chunk->size - 1]));
    volatile char readable = 0; /* for the sanitizer */
    for (size_t i = 0; i < TQI_KEY_SLACK; i++)
        readable = chunk->data[chunk->size + i];
    (void)readable;
}

/* Read everything and compare. */
static void check(const tqi_inputs *inputs, tq_records records, bool threaded, const expected *files)
{
    tqi_budget budget = {0};
    tqi_feeder *feeder;
    tqi_chunk *chunk;
    tq_error error;
    sem_t woken;
    size_t file = 0, at = 0, total = 0;

    sem_init(&woken, 0, 0);
    assert_int_equal(
        tqi_feeder_start(inputs, &(tqi_feeder_options){.records = records, .budget = &budget, .threaded = threaded},
                         wake, &woken, &feeder, &error),
        TQ_OK);
    for (;;) {
        assert_int_equal(take_next(feeder, &woken, &chunk, &error), TQ_OK);
        if (!chunk)
            break;
        for (; file < chunk->file; file++, at = 0)
            assert_int_equal(at, files[file].size);
        assert_int_equal(chunk->file, file);
        assert_true(file < inputs->n);
        assert_chunk(chunk, records, &files[file], at);
        at += chunk->size;
        total += chunk->size;
        tqi_chunk_free(chunk);
    }
    for (; file < inputs->n; file++, at = 0)
        assert_int_equal(at, files[file].size);
    assert_int_equal(tqi_feeder_bytes(feeder), total);
    assert_int_equal(take_next(feeder, &woken, &chunk, &error), TQ_OK); /* it stays over */
    assert_null(chunk);
    tqi_feeder_stop(feeder);
    assert_int_equal(budget.used, 0);
    sem_destroy(&woken);
}

static char *random_lines(size_t size, uint64_t longest, uint64_t *random)
{
    char *text = malloc(size + 1);

    assert_non_null(text);
    for (size_t at = 0; at < size;) {
        size_t length = random_below(random, longest);
        for (size_t i = 0; i < length && at < size; i++, at++)
            text[at] = i % 11 == 10 ? ' ' : (char)('a' + (at ^ i) % 26);
        if (at < size)
            text[at++] = '\n';
    }
    return text;
}

static void test_pipe(void **state)
{
    static const size_t sizes[] = {0,      1, 100, 65536, TQI_PIECE_BYTES - 1, TQI_PIECE_BYTES, TQI_PIECE_BYTES + 1,
                                   3500000};
    uint64_t random = 92;
    tqi_file file = {.path = (char[]){"-"}, .stream = true};
    tqi_inputs inputs = {.files = &file, .n = 1, .streams = true};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int way = 0; way < 8; way++) {
            char *text = random_lines(sizes[i], way & 4 ? 200 : 5000, &random);
            writer writes;
            int held = start_writer(&writes, text, sizes[i], sizes[i] < 3000000 || way & 2);
            check(&inputs, way & 2 ? TQ_LINES : TQ_WORDS, way & 1, &(expected){text, sizes[i]});
            assert_int_equal(pthread_join(writes.thread, NULL), 0);
            restore_stdin(held);
            free(text);
        }
    }
}

/* Longer than a chunk, in the middle and at the end, with and without a delimiter behind it. */
static void test_long_records(void **state)
{
    tqi_file file = {.path = (char[]){"-"}, .stream = true};
    tqi_inputs inputs = {.files = &file, .n = 1, .streams = true};
    size_t size = 6000000;
    char *text = malloc(size);

    (void)state;
    assert_non_null(text);
    for (int way = 0; way < 6; way++) {
        memset(text, 'x', size);
        if (way & 1)
            memcpy(text + 3000000, "\nshort\nshort\n", 13);
        if (way & 2)
            text[size - 1] = '\n';
        if (way & 4)
            text[0] = '\n';
        for (int threaded = 0; threaded < 2; threaded++) {
            writer writes;
            int held = start_writer(&writes, text, size, false);
            check(&inputs, TQ_LINES, threaded, &(expected){text, size});
            assert_int_equal(pthread_join(writes.thread, NULL), 0);
            restore_stdin(held);
        }
    }
    free(text);
}

/* Files, empty ones among them, with the standard input in between. No record goes over the end of a file. */
static void test_several_inputs(void **state)
{
    static const size_t sizes[] = {2500000, 0, 1300000, 10, 0, TQI_PIECE_BYTES, 2 * TQI_PIECE_BYTES};
    enum { FILES = sizeof sizes / sizeof sizes[0] };
    char *folder = folder_new();
    tqi_file files[FILES];
    expected texts[FILES];
    tqi_inputs inputs = {.files = files, .n = FILES, .streams = true};
    uint64_t random = 93;

    (void)state;
    for (size_t i = 0; i < FILES; i++) {
        char name[32];
        sprintf(name, "file%zu", i);
        texts[i] = (expected){random_lines(sizes[i], 300, &random), sizes[i]};
        files[i] = (tqi_file){.path = i == 2 ? strdup("-") : path_in(folder, name), .size = sizes[i]};
        if (i == 2)
            files[i].stream = true, files[i].size = 0;
        else
            file_write(files[i].path, texts[i].text, sizes[i]);
    }
    for (int way = 0; way < 4; way++) {
        writer writes;
        int held = start_writer(&writes, texts[2].text, sizes[2], true);
        check(&inputs, way & 2 ? TQ_WORDS : TQ_LINES, way & 1, texts);
        assert_int_equal(pthread_join(writes.thread, NULL), 0);
        restore_stdin(held);
    }
    for (size_t i = 0; i < FILES; i++) {
        free(files[i].path);
        free((void *)(uintptr_t)texts[i].text);
    }
    folder_remove(folder);
}

/* A file that has grown since is read as far as the table says. */
static void test_grown_file(void **state)
{
    char *folder = folder_new();
    tqi_file file = {.path = path_in(folder, "file"), .size = 7};
    tqi_inputs inputs = {.files = &file, .n = 1};

    (void)state;
    file_write(file.path, "one\ntwo\nthree\n", 14);
    check(&inputs, TQ_LINES, false, &(expected){"one\ntwo", 7});
    check(&inputs, TQ_LINES, true, &(expected){"one\ntwo", 7});
    free(file.path);
    folder_remove(folder);
}

static void check_fails(const tqi_inputs *inputs, tqi_budget *budget, bool threaded, tq_status status, tq_error *error)
{
    tqi_feeder *feeder;
    tqi_chunk *chunk;
    sem_t woken;

    sem_init(&woken, 0, 0);
    assert_int_equal(
        tqi_feeder_start(inputs, &(tqi_feeder_options){.records = TQ_LINES, .budget = budget, .threaded = threaded},
                         wake, &woken, &feeder, error),
        TQ_OK);
    tq_status got;
    while ((got = take_next(feeder, &woken, &chunk, error)) == TQ_OK && chunk)
        tqi_chunk_free(chunk);
    assert_int_equal(got, status);
    assert_int_equal(error->status, status);
    assert_null(chunk);
    tqi_feeder_stop(feeder);
    assert_int_equal(budget->used, 0);
    sem_destroy(&woken);
}

static void test_failures(void **state)
{
    char *folder = folder_new(), *text = calloc(1, 5000000);
    tqi_file file = {.path = path_in(folder, "file"), .size = 5000000};
    tqi_inputs inputs = {.files = &file, .n = 1};
    tqi_budget budget = {0};
    tq_error error;

    (void)state;
    assert_non_null(text);
    for (int threaded = 0; threaded < 2; threaded++) {
        budget.limit = 0;
        check_fails(&inputs, &budget, threaded, TQ_E_INPUT, &error);
        assert_string_equal(error.file, file.path);
        assert_string_equal(error.message, "No such file or directory");

        file_write(file.path, text, 1234567);
        check_fails(&inputs, &budget, threaded, TQ_E_INPUT, &error);
        assert_string_equal(error.file, file.path);
        assert_true(error.has_offset);
        assert_int_equal(error.offset, 1234567);

        file_write(file.path, text, 5000000); /* one record of 5 MB */
        for (uint64_t limit = 1000; limit < 16000000; limit *= 2) {
            budget.limit = limit;
            check_fails(&inputs, &budget, threaded, TQ_E_MEMORY, &error);
        }
        assert_string_equal(error.file, file.path);
        assert_int_equal(remove(file.path), 0);
    }
    free(text);
    free(file.path);
    folder_remove(folder);
}

/* The pipe has nothing to give, and its writer does not close it. */
static void test_stop_while_blocked(void **state)
{
    tqi_file file = {.path = (char[]){"-"}, .stream = true};
    tqi_inputs inputs = {.files = &file, .n = 1, .streams = true};

    (void)state;
    for (int way = 0; way < 3; way++) {
        tqi_budget budget = {0};
        tqi_feeder *feeder;
        tqi_chunk *chunk = NULL;
        tq_error error;
        sem_t woken;
        int write_end, held = redirect_stdin(&write_end);
        sem_init(&woken, 0, 0);
        if (way == 1)
            assert_int_equal(write(write_end, "a\nb", 3), 3);
        assert_int_equal(
            tqi_feeder_start(&inputs, &(tqi_feeder_options){.records = TQ_LINES, .budget = &budget, .threaded = true},
                             wake, &woken, &feeder, &error),
            TQ_OK);
        if (way == 2)
            usleep(20000); /* mostly blocked by now; either way it must end */
        assert_int_equal(tqi_feeder_take(feeder, &chunk, &error), TQ_E_AGAIN);
        assert_null(chunk);
        tqi_feeder_stop(feeder);
        assert_int_equal(budget.used, 0);
        close(write_end);
        restore_stdin(held);
        sem_destroy(&woken);
    }
}

/* More is read ahead than the queue takes, and nobody takes anything, or only a part. */
static void test_stop_with_a_full_queue(void **state)
{
    char *folder = folder_new();
    size_t size = 14 << 20;
    uint64_t random = 94;
    char *text = random_lines(size, 100, &random);
    tqi_file file = {.path = path_in(folder, "file"), .size = size};
    tqi_inputs inputs = {.files = &file, .n = 1};

    (void)state;
    file_write(file.path, text, size);
    for (int taken = 0; taken < 6; taken += 2) {
        tqi_budget budget = {0};
        tqi_feeder *feeder;
        tqi_chunk *chunk;
        tq_error error;
        sem_t woken;
        sem_init(&woken, 0, 0);
        assert_int_equal(
            tqi_feeder_start(&inputs, &(tqi_feeder_options){.records = TQ_LINES, .budget = &budget, .threaded = true},
                             wake, &woken, &feeder, &error),
            TQ_OK);
        for (int i = 0; i < taken; i++) {
            assert_int_equal(take_next(feeder, &woken, &chunk, &error), TQ_OK);
            tqi_chunk_free(chunk);
        }
        for (int i = 0; i < 5; i++)
            sem_wait(&woken);
        assert_true(budget.used < size); /* it reads ahead by a few chunks only */
        tqi_feeder_stop(feeder);
        assert_int_equal(budget.used, 0);
        sem_destroy(&woken);
    }
    tqi_feeder_stop(NULL);
    free(text);
    free(file.path);
    folder_remove(folder);
}

/* Ends a stop that hangs, so that the test fails instead: it opens the pipe's other end. */
typedef struct rescue {
    const char *path;
    sem_t safe;
    bool needed;
} rescue;

static void *wait_or_rescue(void *argument)
{
    rescue *self = argument;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 8;
    while (sem_timedwait(&self->safe, &until) != 0) {
        if (errno != ETIMEDOUT)
            continue;
        self->needed = true;
        int fd = open(self->path, O_WRONLY | O_NONBLOCK);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    return NULL;
}

/* A named pipe that nobody has opened for writing. */
static void test_stop_while_a_named_pipe_waits_for_its_writer(void **state)
{
    char *folder = folder_new();
    tqi_file file = {.path = path_in(folder, "pipe"), .stream = true};
    tqi_inputs inputs = {.files = &file, .n = 1, .streams = true};
    rescue helper = {.path = file.path};
    pthread_t thread;
    tqi_feeder *feeder;
    tq_error error;
    sem_t woken;

    (void)state;
    assert_int_equal(mkfifo(file.path, 0600), 0);
    sem_init(&woken, 0, 0);
    sem_init(&helper.safe, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_or_rescue, &helper), 0);
    assert_int_equal(tqi_feeder_start(&inputs, &(tqi_feeder_options){.records = TQ_LINES, .threaded = true}, wake,
                                      &woken, &feeder, &error),
                     TQ_OK);
    tqi_feeder_stop(feeder);
    sem_post(&helper.safe);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sem_destroy(&helper.safe);
    sem_destroy(&woken);
    free(file.path);
    folder_remove(folder);
    assert_false(helper.needed);
}

static void *write_named_pipe(void *argument)
{
    const char *path = argument;
    int fd = open(path, O_WRONLY);

    if (fd >= 0) {
        usleep(2000); /* open, but nothing to read yet */
        if (write(fd, "one\ntwo\n", 8) != 8)
            path = NULL;
        close(fd);
    }
    return NULL;
}

/* A named pipe whose writer comes later is read to its end. */
static void test_named_pipe(void **state)
{
    char *folder = folder_new();
    tqi_file file = {.path = path_in(folder, "pipe"), .stream = true};
    tqi_inputs inputs = {.files = &file, .n = 1, .streams = true};

    (void)state;
    assert_int_equal(mkfifo(file.path, 0600), 0);
    for (int threaded = 0; threaded < 2; threaded++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, write_named_pipe, file.path), 0);
        check(&inputs, TQ_LINES, threaded, &(expected){"one\ntwo\n", 8});
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    free(file.path);
    folder_remove(folder);
}

static int ignore_broken_pipes(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* a failed test must not end the program */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_long_records),
        cmocka_unit_test(test_several_inputs),
        cmocka_unit_test(test_grown_file),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_stop_while_blocked),
        cmocka_unit_test(test_stop_with_a_full_queue),
        cmocka_unit_test(test_named_pipe),
        cmocka_unit_test(test_stop_while_a_named_pipe_waits_for_its_writer),
    };
    return cmocka_run_group_tests(tests, ignore_broken_pipes, NULL);
}
