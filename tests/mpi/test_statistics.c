/* TQ_STATS: kept rows, rows of a reducer and text; in one file and in several with headers, read by each rank and by
 * rank 0 alone, and from a feed; and bad records, which are counted over all ranks. */
#include "words.h"

enum { LINES = 900, KEYS = 37, FILES = 3 };

/* What the lines of a key say: halves, so that the units are tenths. */
typedef struct expected {
    uint64_t count;
    int64_t sum, squares, min, max; /* in tenths */
} expected;

/* Written by the main thread before there are jobs. */
static expected keys[KEYS];
static uint64_t first_bad; /* where it stands in the first file */

/* in/stats0 and so on, each with the header "key;value" and its part of the lines; in some of them every fifth is bad.
 */
static void write_inputs(const struct trial *trial)
{
    uint64_t state = 815;

    for (int file = 0; file < FILES; file++) {
        char name[32], path[PATH_SIZE], *text = malloc((size_t)LINES * 40), *at = text;

        CHECK(text);
        at += sprintf(at, "key;value%s", file % 2 ? "\r\n" : "\n");
        for (int i = 0; i < LINES / FILES; i++) {
            int key = (int)(next_random(&state) % KEYS), halves = (int)(next_random(&state) % 2001) - 1000,
                tenths = 5 * halves;
            expected *one = &keys[key];

            at += sprintf(at, "key-%02d;%s%d.%d\n", key, tenths < 0 ? "-" : "", abs(tenths) / 10, abs(tenths) % 10);
            if (file == 0 && i == 0)
                first_bad = (uint64_t)(at - text);
            if (i % 5 == 0)
                at += sprintf(at, "key-%02d;not a number\n", key);
            one->min = one->count == 0 || tenths < one->min ? tenths : one->min;
            one->max = one->count == 0 || tenths > one->max ? tenths : one->max;
            one->count++;
            one->sum += tenths;
            one->squares += tenths * tenths;
        }
        snprintf(name, sizeof name, "in/stats%d", file);
        if (trial->rank == 0)
            write_file(path_of(trial, path, name), text, (size_t)(at - text));
        free(text);
    }
    meet(trial);
}

enum { BAD = FILES * (LINES / FILES / 5) };

static int map_lines(const tq_record *chunk, tq_emitter *emitter, void *user)
{
    tq_slice text = {chunk->data, chunk->size}, emitted[50], numbers[50], *fields[] = {emitted, numbers};
    const tq_columns columns = {.delimiter = ';', .n = 2, .wanted = {0, 1}};
    size_t n;

    if (user && (chunk->header.size != 9 || memcmp(chunk->header.data, "key;value", 9) != 0))
        return tq_emit_fail(emitter, "the header is '%.*s'", (int)chunk->header.size, chunk->header.data);
    while ((n = tq_next_fields(&text, &columns, fields, 50)) > 0) {
        int64_t values[50];
        uint32_t left[50];
        size_t n_left = tq_read_numbers(numbers, n, 1, values, left), kept = 0;

        for (size_t i = 0, l = 0; i < n; i++) {
            uint64_t offset = chunk->offset + (uint64_t)(emitted[i].data - chunk->data);

            if (l < n_left && left[l] == i) {
                l++;
                if (tq_emit_bad(emitter, chunk->file, offset, "it says '%.*s'", (int)numbers[i].size, numbers[i].data))
                    return 1;
                continue;
            }
            emitted[kept] = emitted[i];
            values[kept++] = values[i];
        }
        if (tq_emit_pairs_decimal(emitter, emitted, values, kept, 1))
            return 1;
    }
    return 0;
}

typedef struct inputs {
    char paths[FILES][PATH_SIZE];
    const char *pointers[FILES];
    int fed;    /* files, */
    char *text; /* and the last of them */
} inputs;

static tq_job job_of(const struct trial *trial, inputs *in)
{
    tq_job job = TQ_JOB_INIT;

    *in = (inputs){0};
    for (int i = 0; i < FILES; i++) {
        char name[32];

        snprintf(name, sizeof name, "in/stats%d", i);
        in->pointers[i] = path_of(trial, in->paths[i], name);
    }
    job.inputs = in->pointers;
    job.n_inputs = FILES;
    job.records = TQ_LINES;
    job.header = true;
    job.map_chunk = map_lines;
    job.combine = TQ_STATS;
    job.skip_bad = BAD;
    job.output = TQ_OUTPUT_GATHER;
    job.user = in;
    return job;
}

static void put_sum(const expected *one, char text[TQ_SUMMARY_TEXT])
{
    snprintf(text, TQ_SUMMARY_TEXT, one->sum % 10 ? "%s%" PRId64 ".5" : "%s%" PRId64, one->sum < 0 ? "-" : "",
             (one->sum < 0 ? -one->sum : one->sum) / 10);
}

static void check_summary(const expected *one, tq_slice value)
{
    char text[TQ_SUMMARY_TEXT], sum[TQ_SUMMARY_TEXT];
    tq_summary summary;

    CHECK(value.size == sizeof summary);
    memcpy(&summary, value.data, sizeof summary);
    CHECK(summary.count == one->count);
    int64_t unit = summary.decimals ? 1 : 10; /* of tenths */
    CHECK(summary.decimals <= 1);
    CHECK((int64_t)summary.sum[0] * unit == one->sum && (int64_t)summary.min[0] * unit == one->min);
    CHECK((int64_t)summary.max[0] * unit == one->max && (int64_t)summary.squares[0] * unit * unit == one->squares);
    tq_summary_text(&summary, TQ_STAT_SUM, text);
    put_sum(one, sum);
    CHECK_THAT(strcmp(text, sum) == 0, "%s, not %s", text, sum);
}

static void check_bad(const struct trial *trial, const tq_future *future)
{
    const tq_stats *stats = tq_job_stats(future);

    if (trial->rank != 0)
        return;
    CHECK(stats->bad_records == BAD && stats->n_bad == TQ_BAD_SHOWN);
    for (size_t i = 0; i < stats->n_bad; i++) {
        CHECK(strcmp(strrchr(stats->bad[i].file, '/'), "/stats0") == 0);
        CHECK(i == 0 || stats->bad[i].offset > stats->bad[i - 1].offset);
        CHECK(strcmp(stats->bad[i].reason, "it says 'not a number'") == 0);
    }
    CHECK(stats->bad[0].offset == first_bad);
    CHECK(stats->emitted.weight == LINES && stats->reduced.records == KEYS);
    CHECK(stats->written.check == stats->emitted.check);
}

static uint64_t last_digit(tq_slice key, void *user)
{
    (void)user;
    CHECK(key.size > 0);
    return (uint64_t)(key.data[key.size - 1] - '0');
}

static void test_kept(const struct trial *trial)
{
    static const uint64_t splits[] = {0, 1, 50, 3000};
    tq_row row;

    for (int i = 0; i < 4; i++) {
        inputs in;
        tq_job job = job_of(trial, &in);

        job.split_bytes = splits[i];
        job.round_bytes = i % 2 ? 100 : 0;
        job.partition = i % 2 ? last_digit : NULL;
        tq_future *future = run_well(trial, &job);
        CHECK(tq_job_rows(future) == (trial->rank == 0 ? KEYS : 0));
        for (uint64_t r = 0; r < tq_job_rows(future); r++) {
            CHECK_STATUS(tq_job_row(future, r, &row), TQ_OK);
            check_summary(&keys[r], row.value);
        }
        check_bad(trial, future);
        tq_future_release(future);
    }
}

/* One bad record more than may be, in all ranks together. */
static void test_too_many_bad(const struct trial *trial)
{
    inputs in;
    tq_job job = job_of(trial, &in);
    tq_error error;

    job.skip_bad = BAD - 1;
    job.split_bytes = 100;
    tq_future *future = tq_submit(trial->cluster, &job);
    CHECK_STATUS(await(future), TQ_E_INPUT);
    CHECK_STATUS(tq_job_error(future, &error), TQ_OK);
    CHECK(strstr(error.file, "/in/stats") && error.has_offset && strstr(error.message, "it says 'not a number'"));
    tq_future_release(future);
    meet(trial);
}

/* ---- A reducer sees the summary ---- */

static int write_mean(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    char text[TQ_SUMMARY_TEXT];
    tq_summary summary;
    tq_slice value;

    (void)user;
    if (tq_values_count(values) != 1 || !tq_values_next(values, &value) || value.size != sizeof summary)
        return tq_reduce_fail(out, "not one summary");
    memcpy(&summary, value.data, sizeof summary);
    size_t size = tq_summary_text(&summary, TQ_STAT_MEAN, text);
    return tq_write_row(out, key, (tq_slice){text, size}) != TQ_OK;
}

static void test_reducer(const struct trial *trial)
{
    inputs in;
    tq_job job = job_of(trial, &in);
    tq_row row;

    job.reduce = write_mean;
    job.result_type = TQ_BYTES;
    tq_future *future = run_well(trial, &job);
    for (uint64_t r = 0; r < tq_job_rows(future); r++) {
        char text[64];

        CHECK_STATUS(tq_job_row(future, r, &row), TQ_OK);
        snprintf(text, sizeof text, "%.*s", (int)row.value.size, row.value.data);
        double mean = (double)keys[r].sum / 10 / (double)keys[r].count, difference = strtod(text, NULL) - mean;
        CHECK_THAT(difference < 1e-9 && difference > -1e-9, "%s, not %.15g", text, mean);
    }
    tq_future_release(future);
}

/* ---- Groups: a summary for each whole key ---- */

static size_t before_last(tq_slice key, void *user)
{
    (void)user;
    return key.size - 1;
}

/* The last digit of each whole key, and its sum. */
static int write_sums(tq_slice group, tq_values *values, tq_rows_out *out, void *user)
{
    char text[10 * (TQ_SUMMARY_TEXT + 3)], *at = text, sum[TQ_SUMMARY_TEXT];
    tq_summary summary;
    tq_slice value;

    (void)user;
    if (tq_values_count(values) > 10)
        return tq_reduce_fail(out, "%" PRIu64 " summaries", tq_values_count(values));
    while (tq_values_next(values, &value)) {
        CHECK(value.size == sizeof summary);
        memcpy(&summary, value.data, sizeof summary);
        tq_summary_text(&summary, TQ_STAT_SUM, sum);
        at += sprintf(at, "%c:%s ", tq_values_key(values).data[group.size], sum);
    }
    return tq_write_row(out, group, (tq_slice){text, (size_t)(at - text)}) != TQ_OK;
}

static void test_group(const struct trial *trial, bool partitioned)
{
    inputs in;
    tq_job job = job_of(trial, &in);
    tq_row row;

    job.group = before_last;
    job.partition = partitioned ? last_digit : NULL;
    job.reduce = write_sums;
    job.result_type = TQ_BYTES;
    job.split_bytes = 200;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (trial->rank == 0 ? (KEYS + 9) / 10 : 0));
    for (uint64_t r = 0; r < tq_job_rows(future); r++) {
        char text[10 * (TQ_SUMMARY_TEXT + 3)], *at = text, sum[TQ_SUMMARY_TEXT];

        for (int k = (int)r * 10; k < (int)r * 10 + 10 && k < KEYS; k++) {
            put_sum(&keys[k], sum);
            at += sprintf(at, "%d:%s ", k % 10, sum);
        }
        CHECK_STATUS(tq_job_row(future, r, &row), TQ_OK);
        check_text(row.value.data, row.value.size, text, (size_t)(at - text), "sums of a group");
    }
    tq_future_release(future);
}

/* ---- The same bytes from files and from a pipe ---- */

static void test_same_bytes(const struct trial *trial)
{
    char path[PATH_SIZE], fifo[PATH_SIZE], *first = NULL;
    size_t first_size = 0, size;

    path_of(trial, fifo, "in/fifo");
    if (trial->rank == 0)
        CHECK(mkfifo(fifo, 0600) == 0);
    for (int way = 0; way < 3; way++) {
        inputs in;
        tq_job job = job_of(trial, &in);
        const char *pointers[FILES + 1] = {in.pointers[0], fifo, in.pointers[1], in.pointers[2]};
        int writer = -1;

        job.split_bytes = way == 1 ? 7 : 0;
        job.output = TQ_OUTPUT_FILE;
        job.output_path = path_of(trial, path, "out/stats");
        if (way == 2) { /* all go through rank 0, one of them a pipe with a header and nothing else */
            job.inputs = pointers;
            job.n_inputs = FILES + 1;
            if (trial->rank == 0) {
                writer = open(fifo, O_RDWR | O_CLOEXEC); /* does not wait for a reader */
                CHECK(writer >= 0 && write(writer, "key;value\n", 10) == 10);
            }
        }
        tq_future *future = tq_submit(trial->cluster, &job);
        if (writer >= 0) { /* the pipe is at its end when nobody can write to it any more */
            if (trial->threads)
                sleep_s(0.2);
            close(writer);
        }
        CHECK_STATUS(await(future), TQ_OK);
        tq_future_release(future);
        if (trial->rank != 0)
            continue;
        char *text = read_file(path, &size);
        if (way > 0)
            check_text(text, size, first, first_size, way == 1 ? "small splits" : "through rank 0");
        free(way > 0 ? text : first);
        if (way == 0) {
            first = text;
            first_size = size;
        }
    }
    free(first);
}

/* ---- The same from a feed, which is one input with one header ---- */

static int feed_file(tq_slice *chunk, char *why, size_t size, void *user)
{
    inputs *in = user;
    size_t bytes;

    (void)why, (void)size;
    free(in->text);
    in->text = NULL;
    if (in->fed == FILES)
        return 0;
    in->text = read_file(in->pointers[in->fed], &bytes);
    size_t header = in->fed++ ? (size_t)(strchr(in->text, '\n') + 1 - in->text) : 0;
    *chunk = (tq_slice){in->text + header, bytes - header};
    return 0;
}

static void test_fed(const struct trial *trial)
{
    inputs in;
    tq_job job = job_of(trial, &in);
    tq_row row;

    job.inputs = NULL, job.n_inputs = 0;
    job.feed = feed_file;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (trial->rank == 0 ? KEYS : 0));
    for (uint64_t r = 0; r < tq_job_rows(future); r++) {
        CHECK_STATUS(tq_job_row(future, r, &row), TQ_OK);
        check_summary(&keys[r], row.value);
    }
    if (trial->rank == 0) {
        const tq_stats *stats = tq_job_stats(future);

        CHECK(stats->bad_records == BAD && strcmp(stats->bad[0].file, "feed") == 0);
        CHECK(stats->bad[0].offset == first_bad);
    }
    tq_future_release(future);
}

/* ---- Where the input is sampled before it is mapped, what was sampled counts once ---- */

enum { SAMPLED_LINES = 30000, BAD_EVERY = 10 };

static int map_sampled(const tq_record *line, tq_emitter *emitter, void *user)
{
    (void)user;
    if (line->header.size != 9)
        return tq_emit_fail(emitter, "a header of %zu bytes", line->header.size);
    if (tq_emit_count(emitter, 0, 1))
        return 1;
    if (line->data[0] == '-')
        return tq_emit_bad(emitter, line->file, line->offset, "it is bad") != TQ_OK;
    return tq_emit(emitter, (tq_slice){line->data, line->size}, (tq_slice){NULL, 0}) != TQ_OK;
}

static void write_sampled(const char *path)
{
    char *text = malloc((size_t)SAMPLED_LINES * 20 + 20), *at = text;

    CHECK(text);
    at += sprintf(at, "the lines\n");
    for (int i = 0; i < SAMPLED_LINES; i++)
        at += sprintf(at, "%sline %d\n", i % BAD_EVERY ? "" : "-", i * 7919 % SAMPLED_LINES);
    write_file(path, text, (size_t)(at - text));
    free(text);
}

static void test_sampled(const struct trial *trial)
{
    static const char *const counters[] = {"lines"};
    const char *input[1];
    char path[PATH_SIZE];
    tq_job job = TQ_JOB_INIT;
    int64_t lines = 0;

    input[0] = path_of(trial, path, "in/sampled");
    if (trial->rank == 0)
        write_sampled(path);
    meet(trial);
    job.inputs = input, job.n_inputs = 1;
    job.records = TQ_LINES, job.header = true, job.map = map_sampled;
    job.value_type = TQ_BYTES, job.order = TQ_ORDER_STABLE;
    job.counters = counters, job.n_counters = 1;
    job.skip_bad = SAMPLED_LINES / BAD_EVERY;
    job.output = TQ_OUTPUT_GATHER;
    tq_future *future = run_well(trial, &job);
    CHECK_STATUS(tq_job_counter(future, 0, &lines), TQ_OK);
    CHECK_THAT(lines == SAMPLED_LINES, "%" PRId64 " lines", lines);
    if (trial->rank == 0) {
        CHECK(tq_job_stats(future)->bad_records == SAMPLED_LINES / BAD_EVERY);
        CHECK(tq_job_rows(future) == SAMPLED_LINES - SAMPLED_LINES / BAD_EVERY);
    }
    tq_future_release(future);
}

/* ---- Headers that differ ---- */

static void test_other_header(const struct trial *trial)
{
    char path[PATH_SIZE];
    inputs in;
    tq_job job = job_of(trial, &in);
    tq_error error;

    if (trial->rank == 0)
        write_file(path_of(trial, path, "in/other"), "key;values\nkey-01;1\n", 20);
    meet(trial);
    in.pointers[1] = path_of(trial, path, "in/other");
    tq_future *future = tq_submit(trial->cluster, &job);
    CHECK_STATUS(await(future), TQ_E_INPUT);
    CHECK_STATUS(tq_job_error(future, &error), TQ_OK);
    CHECK_THAT(strstr(error.file, "/in/other") && strstr(error.message, "its header is not that of") &&
                   strstr(error.message, "/in/stats0"),
               "%s: %s", error.file, error.message);
    tq_future_release(future);
    job.records = TQ_WORDS;
    future = tq_submit(trial->cluster, &job);
    CHECK_STATUS(await(future), TQ_E_USAGE);
    tq_future_release(future);
    meet(trial);
}

/* ---- Headers that may ---- */

/* Emits the header that a line is under. */
static int map_header(const tq_record *line, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit_i64(emitter, line->header, 1);
}

static void test_own_headers(const struct trial *trial)
{
    static const char *const headers[] = {"a", "", "a much longer header; with columns"};
    char paths[4][PATH_SIZE], command[PATH_SIZE + 32];
    const char *input[] = {paths[0], paths[1], paths[2], paths[3]};
    tq_job job = TQ_JOB_INIT;
    tq_row row;

    for (int i = 0; i < 3; i++) {
        char name[32], text[200];
        int size = snprintf(text, sizeof text, "%s\r\n1\n2\n3", headers[i]);

        snprintf(name, sizeof name, "in/own%d", i);
        path_of(trial, paths[i], name);
        if (trial->rank == 0)
            write_file(paths[i], text, (size_t)size);
    }
    snprintf(command, sizeof command, "gzip -kf %s", paths[2]);
    snprintf(paths[3], sizeof paths[3], "%.*s.gz", PATH_SIZE - 4, paths[2]);
    CHECK(trial->rank != 0 || system(command) == 0);
    meet(trial);
    job.inputs = input, job.n_inputs = 4;
    job.map = map_header, job.combine = TQ_SUM;
    job.header = job.own_headers = true;
    job.output = TQ_OUTPUT_GATHER;
    for (int way = 0; way < 2; way++) {
        job.split_bytes = way ? 1 : 0;
        tq_future *future = run_well(trial, &job);
        CHECK(tq_job_rows(future) == (trial->rank == 0 ? 3 : 0));
        for (uint64_t r = 0; r < tq_job_rows(future); r++) {
            const char *header = headers[r == 0 ? 1 : r == 1 ? 0 : 2];

            CHECK_STATUS(tq_job_row(future, r, &row), TQ_OK);
            CHECK(row.key.size == strlen(header) && memcmp(row.key.data, header, row.key.size) == 0);
            CHECK(row.i64 == (r == 2 ? 6 : 3));
        }
        tq_future_release(future);
    }
    job.header = false;
    tq_future_release(run_badly(trial, &job, TQ_E_USAGE, "own_headers needs header"));
}

int main(int argc, char **argv)
{
    struct trial trial;

    begin_trial(&trial, argc, argv, "statistics");
    write_inputs(&trial);
    test_kept(&trial);
    test_too_many_bad(&trial);
    test_reducer(&trial);
    test_group(&trial, false);
    test_group(&trial, true);
    if (trial.threads) /* without, the job runs before the pipe could end */
        test_same_bytes(&trial);
    test_fed(&trial);
    test_sampled(&trial);
    test_other_header(&trial);
    test_own_headers(&trial);
    return end_trial(&trial);
}
