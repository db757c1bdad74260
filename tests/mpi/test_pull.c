/* Mappers that pull the pieces of a split, and reducers that pull their keys: against the same job with a mapper of lines
 * and a reducer of keys. */
#include "tests/mpi/check.h"
#include <stdatomic.h>

enum { LINES = 6000, KEYS = 400 };

static char *make_lines(size_t *size)
{
    char *text = malloc((size_t)LINES * 60 + 400000), *to = text;
    uint64_t random = 77;

    CHECK(text);
    for (int line = 0; line < LINES; line++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        if (line == LINES / 2) { /* longer than a split and a piece */
            memset(to, 'y', 300000);
            to += 300000;
        }
        to += sprintf(to, random >> 60 ? "key%d value%d\n" : "a-key-of-more-bytes-%d v%d\n", (int)(random >> 40) % KEYS,
                      (int)(random >> 33) % 50);
    }
    *size = (size_t)(to - text) - 1; /* no newline at the end */
    return text;
}

static tq_status emit_line(tq_slice line, tq_emitter *emitter)
{
    const char *space = memchr(line.data, ' ', line.size);
    size_t key = space ? (size_t)(space - line.data) : line.size;

    return tq_emit(emitter, (tq_slice){line.data, key}, (tq_slice){line.data + key, line.size - key});
}

static int map_line(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    return emit_line((tq_slice){record->data, record->size}, emitter) != TQ_OK;
}

static int emit_lines(const tq_record *piece, tq_emitter *emitter)
{
    const char *at = piece->data, *end = at + piece->size;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *line_end = newline ? newline : end;

        if (emit_line((tq_slice){at, (size_t)(line_end - at)}, emitter))
            return 1;
        at = line_end + (newline != NULL);
    }
    return 0;
}

/* Reads a part, begins again, and does it then. */
static int map_split(tq_split *split, tq_emitter *emitter, void *user)
{
    tq_split_place place = tq_split_where(split);
    uint64_t bytes = 0, before = place.begin, again = 0;
    tq_record piece;

    (void)user;
    CHECK(place.file && place.begin < place.end);
    CHECK(!tq_emitter_stopping(emitter));
    CHECK_STATUS(tq_emitter_reserve(emitter, 1000), TQ_OK); /* and not all is given back */
    tq_emitter_give_back(emitter, 300);
    if (place.begin % 2 == 0)
        while (tq_split_next(split, &piece) == TQ_OK && piece.size > 0)
            bytes += piece.size;
    tq_split_rewind(split);
    for (;;) {
        if (tq_split_next(split, &piece))
            return 1;
        if (piece.size == 0)
            break;
        CHECK(piece.offset >= before && piece.file_number == place.file_number && strcmp(piece.file, place.file) == 0);
        before = piece.offset + piece.size;
        again += piece.size;
        if (emit_lines(&piece, emitter))
            return 1;
    }
    CHECK(again > 0 && (place.begin % 2 || again == bytes));
    CHECK_STATUS(tq_split_next(split, &piece), TQ_OK);
    CHECK(piece.size == 0);
    return 0;
}

static size_t put_values(char *text, tq_values *values)
{
    uint64_t sum = 0, n = 0;
    tq_slice value;

    for (uint64_t i = 1; tq_values_next(values, &value); i++, n++)
        for (size_t b = 0; b < value.size; b++)
            sum = sum * 31 + (unsigned char)value.data[b] + i;
    CHECK(n == tq_values_count(values));
    return (size_t)sprintf(text, "%" PRIu64 " %" PRIu64, n, sum);
}

static int reduce(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    char text[64];
    size_t size = put_values(text, values);

    (void)user;
    CHECK_STATUS(tq_write_row(out, key, (tq_slice){"to be forgotten", 15}), TQ_OK);
    tq_rows_forget(out);
    return tq_write_row(out, key, (tq_slice){text, size}) != TQ_OK;
}

static int reduce_keys(tq_keys *keys, tq_rows_out *out, void *user)
{
    tq_slice key;
    tq_values *values;
    size_t n = 0, calls = 0, size = 0;
    char text[64], last[64];

    (void)user;
    for (; n < 3 && tq_keys_next(keys, &key, &values); n++)
        tq_write_row(out, key, (tq_slice){"no", 2});
    CHECK(n > 0 && !tq_rows_stopping(out));
    tq_rows_forget(out);
    tq_keys_rewind(keys);
    while (tq_keys_next(keys, &key, &values)) {
        size_t compared = key.size < sizeof last ? key.size : sizeof last;
        int order = calls++ ? memcmp(last, key.data, compared < size ? compared : size) : -1;

        CHECK(order < 0 || (order == 0 && (size < compared || size == sizeof last)));
        memcpy(last, key.data, compared);
        size = compared;
        size_t bytes = put_values(text, values);
        if (tq_write_row(out, key, (tq_slice){text, bytes}))
            return 1;
    }
    return calls < n;
}

/* All rows of a run, as text on rank 0. */
static char *rows_of(const struct trial *trial, tq_job *job, size_t *size)
{
    char path[PATH_SIZE];

    job->output = TQ_OUTPUT_FILE;
    job->output_path = path_of(trial, path, "out/rows");
    tq_future_release(run_well(trial, job));
    return trial->rank == 0 ? read_file(path, size) : NULL;
}

static void test_same_rows(struct trial *trial, const char *const *input, bool reduces)
{
    tq_job plain = TQ_JOB_INIT;
    size_t wanted_size = 0, size = 0;

    plain.inputs = input, plain.n_inputs = 1;
    plain.map = map_line;
    plain.value_type = plain.result_type = TQ_BYTES;
    plain.reduce = reduces ? reduce : NULL;
    char *wanted = rows_of(trial, &plain, &wanted_size);
    for (int i = 0; i < 6; i++) {
        tq_job job = plain;

        job.map = i % 3 == 2 ? map_line : NULL;
        job.map_split = i % 3 == 2 ? NULL : map_split;
        job.reduce = NULL;
        job.reduce_keys = reduces ? reduce_keys : NULL;
        job.split_bytes = (uint64_t[]){0, 1000, 10000, 4097, 0, 65536}[i];
        job.memory_bytes = i > 3 ? 8 << 20 : 0;
        job.order = i == 4 && reduces ? TQ_ORDER_NONE : TQ_ORDER_KEY; /* which is the same then */
        char *got = rows_of(trial, &job, &size);
        CHECK_THAT(trial->rank || (size == wanted_size && memcmp(got, wanted, size) == 0), "variant %d", i);
        free(got);
    }
    free(wanted);
}

/* ---- Failing ----------------------------------------------------------------------------------------------------- */

static int fail_to_map(tq_split *split, tq_emitter *emitter, void *user)
{
    (void)split;
    (void)user;
    return tq_emit_fail(emitter, "enough of this");
}

static int map_too_much(tq_split *split, tq_emitter *emitter, void *user)
{
    (void)split;
    (void)user;
    CHECK_STATUS(tq_emitter_reserve(emitter, (size_t)1 << 40), TQ_E_MEMORY);
    return 1;
}

static int fail_to_reduce(tq_keys *keys, tq_rows_out *out, void *user)
{
    tq_slice key;
    tq_values *values;

    (void)user;
    if (!tq_keys_next(keys, &key, &values)) {
        CHECK(tq_rows_stopping(out)); /* another one has failed */
        return 1;
    }
    return tq_reduce_fail(out, "no more of this");
}

/* Until it is told to stop. */
static int map_for_ever(tq_split *split, tq_emitter *emitter, void *user)
{
    tq_record piece;

    atomic_store((atomic_bool *)user, true);
    while (!tq_emitter_stopping(emitter))
        sleep_s(0.005);
    CHECK_STATUS(tq_split_next(split, &piece), TQ_E_CANCELLED);
    return 1;
}

static void expect(const struct trial *trial, const tq_job *job, tq_status wanted, const char *said)
{
    tq_future *future = tq_submit(trial->cluster, job);

    CHECK_STATUS(await(future), wanted);
    CHECK_THAT(strstr(tq_future_error(future), said) != NULL, "%s", tq_future_error(future));
    tq_future_release(future);
}

static void test_failures(struct trial *trial, const char *const *input)
{
    tq_job job = TQ_JOB_INIT;

    job.inputs = input, job.n_inputs = 1;
    job.map_split = fail_to_map;
    job.value_type = job.result_type = TQ_BYTES;
    expect(trial, &job, TQ_E_USER, "enough of this");
    job.memory_bytes = 64 << 20;
    job.map_split = map_too_much;
    expect(trial, &job, TQ_E_MEMORY, "--memory");
    job.map_split = map_split;
    job.reduce_keys = fail_to_reduce;
    expect(trial, &job, TQ_E_USER, "no more of this (key '");
    job.reduce = reduce;
    expect(trial, &job, TQ_E_USAGE, "reduce_keys");
    job.reduce = NULL;
    job.map = map_line;
    expect(trial, &job, TQ_E_USAGE, "map_split");
}

/* Every rank that has a split waits in it. */
static void test_cancel(struct trial *trial, const char *const *input)
{
    atomic_bool begun = false;
    tq_job job = TQ_JOB_INIT;

    if (trial->threads == 0)
        return; /* it would run inside tq_submit */
    job.inputs = input, job.n_inputs = 1;
    job.map_split = map_for_ever;
    job.value_type = TQ_BYTES;
    job.user = &begun;
    tq_future *future = tq_submit(trial->cluster, &job);
    while (trial->rank == 0 && !atomic_load(&begun))
        sleep_s(0.005);
    if (trial->rank == 0)
        CHECK(tq_future_cancel(future));
    CHECK_STATUS(await(future), TQ_E_CANCELLED);
    tq_future_release(future);
}

int main(int argc, char **argv)
{
    struct trial trial;
    char path[PATH_SIZE];
    const char *input;
    size_t size;

    char *text = make_lines(&size);
    begin_trial(&trial, argc, argv, "pull");
    input = path_of(&trial, path, "in/lines");
    if (trial.rank == 0)
        write_file(path, text, size);
    free(text);
    test_same_rows(&trial, &input, false);
    test_same_rows(&trial, &input, true);
    test_failures(&trial, &input);
    test_cancel(&trial, &input);
    return end_trial(&trial);
}
