/* Composite keys: one call of the reducer for each group, with the values in the order of whole keys, whatever the ranks,
 * threads and memory; combiners of whole keys; with a partition function; large groups; functions that say anything. */
#include "words.h"
#include <pthread.h>
#include <stdatomic.h>

enum { LINES = 20000, GROUPS = 60, TIMES = 500 };

struct reading {
    int group, time;
    int64_t number;
};

/* Written by the main thread before there are jobs: as they are in the input, and sorted by group, time, number. */
static struct reading arrived[LINES], readings[LINES];

static int compare_readings(const void *left, const void *right)
{
    const struct reading *a = left, *b = right;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

/* Lines "GROUP-TIME NUMBER". A third of them are of one group, whose name is the beginning of others. */
static char *make_lines(size_t *size)
{
    uint64_t state = 815;
    char *text = malloc((size_t)LINES * 48), *at = text;

    CHECK(text);
    for (int i = 0; i < LINES; i++) {
        struct reading *one = &readings[i];

        one->group = i % 3 ? (int)(next_random(&state) % GROUPS) : 1;
        one->time = (int)(next_random(&state) % TIMES);
        one->number = (int64_t)(next_random(&state) % 2000) - 1000;
        at += sprintf(at, "%d-%04d %" PRId64 "\n", one->group, one->time, one->number);
    }
    *size = (size_t)(at - text);
    memcpy(arrived, readings, sizeof arrived);
    qsort(readings, LINES, sizeof *readings, compare_readings);
    return text;
}

/* The number at the end of a line, which has no NUL behind it. */
static int64_t number_in(const char *from, const tq_record *line)
{
    char digits[32] = {0};

    memcpy(digits, from, line->size - (size_t)(from - line->data));
    return strtoll(digits, NULL, 10);
}

static int map_reading(const tq_record *line, tq_emitter *emitter, void *user)
{
    const char *space = memchr(line->data, ' ', line->size);

    (void)user;
    CHECK(space);
    return (int)tq_emit_i64(emitter, (tq_slice){line->data, (size_t)(space - line->data)}, number_in(space + 1, line));
}

static int map_bytes(const tq_record *line, tq_emitter *emitter, void *user)
{
    const char *space = memchr(line->data, ' ', line->size);

    (void)user;
    CHECK(space);
    return (int)tq_emit(emitter, (tq_slice){line->data, (size_t)(space - line->data)},
                        (tq_slice){space + 1, line->size - (size_t)(space + 1 - line->data)});
}

static size_t before_dash(tq_slice key, void *user)
{
    const char *dash = memchr(key.data, '-', key.size);

    (void)user;
    CHECK(dash);
    return (size_t)(dash - key.data);
}

static size_t all_in_one(tq_slice key, void *user)
{
    (void)key;
    (void)user;
    return 0;
}

static atomic_uint_fast64_t calls; /* relaxed: any thread */

static size_t by_the_call(tq_slice key, void *user)
{
    (void)user;
    return atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) % (key.size + 1);
}

/* The first digit of a group. */
static uint64_t first_digit(tq_slice key, void *user)
{
    (void)user;
    CHECK(key.size > 0 && !memchr(key.data, '-', key.size));
    return (uint64_t)(key.data[0] - '0');
}

/* A line of all that a group has, in the order in which it comes. */
static int write_all(tq_slice group, tq_values *values, tq_rows_out *out, void *user)
{
    char *text = malloc(tq_values_count(values) * 32 + 1);
    size_t size = 0;
    tq_slice value;
    int64_t number;

    (void)user;
    CHECK(text);
    CHECK(tq_values_key(values).size == 0);
    for (;;) {
        bool is_number = tq_values_next_i64(values, &number);

        if (!is_number && !tq_values_next(values, &value))
            break;
        tq_slice key = tq_values_key(values);
        CHECK(key.size == group.size + 5 && memcmp(key.data, group.data, group.size) == 0);
        size += (size_t)sprintf(text + size, "%.4s", key.data + group.size + 1);
        size += is_number ? (size_t)sprintf(text + size, "=%" PRId64 ",", number)
                          : (size_t)sprintf(text + size, "=%.*s,", (int)value.size, value.data);
    }
    tq_status status = tq_write_row(out, group, (tq_slice){text, size});
    free(text);
    return (int)status;
}

static tq_job job_of(const char *const *input)
{
    tq_job job = TQ_JOB_INIT;

    job.inputs = input;
    job.n_inputs = 1;
    job.records = TQ_LINES;
    job.map = map_reading;
    job.group = before_dash;
    job.reduce = write_all;
    job.result_type = TQ_BYTES;
    job.output = TQ_OUTPUT_GATHER;
    return job;
}

/* What write_all should write of a group. */
static char *expected_of(int group, bool summed, size_t *size)
{
    char *text = malloc((size_t)LINES * 32);

    CHECK(text);
    *size = 0;
    for (int i = 0; i < LINES; i++) {
        const struct reading *one = &readings[i];
        int64_t number = one->number;

        if (one->group != group)
            continue;
        while (summed && i + 1 < LINES && readings[i + 1].group == group && readings[i + 1].time == one->time)
            number += readings[++i].number;
        *size += (size_t)sprintf(text + *size, "%04d=%" PRId64 ",", one->time, number);
    }
    return text;
}

static int group_number(tq_slice key)
{
    char text[16] = {0};

    CHECK(key.size > 0 && key.size < 4);
    memcpy(text, key.data, key.size);
    return atoi(text);
}

static void check_groups(const tq_future *future, bool summed)
{
    tq_row row;

    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        size_t size;

        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        char *expected = expected_of(group_number(row.key), summed, &size);
        check_text(row.value.data, row.value.size, expected, size, "a group");
        free(expected);
    }
}

static void test_groups(const struct trial *trial, const char *const *input)
{
    static const uint64_t splits[] = {0, 3000, 0, 7777}, memory[] = {0, 0, 8 << 20, 0};

    for (int i = 0; i < 4; i++) {
        for (int summed = 0; summed < 2; summed++) {
            tq_job job = job_of(input);

            job.split_bytes = splits[i];
            job.memory_bytes = memory[i];
            job.combine = summed ? TQ_SUM : TQ_COMBINE_NONE;
            job.partition = i == 3 ? first_digit : NULL;
            job.order = i == 1 ? TQ_ORDER_NONE : TQ_ORDER_KEY;
            tq_future *future = run_well(trial, &job);
            CHECK(tq_job_rows(future) == (trial->rank == 0 ? GROUPS : 0));
            check_groups(future, summed);
            tq_future_release(future);
        }
    }
}

/* Values that are bytes: of equal keys they are ordered as bytes, so only their number is looked at. */
static void test_bytes(const struct trial *trial, const char *const *input)
{
    tq_job job = job_of(input);
    uint64_t commas = 0;
    tq_row row;

    job.map = map_bytes;
    job.value_type = TQ_BYTES;
    tq_future *future = run_well(trial, &job);
    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        for (size_t b = 0; b < row.value.size; b++)
            commas += row.value.data[b] == ',';
        for (size_t b = 0, next; b < row.value.size; b = next) {
            const char *comma = memchr(row.value.data + b, ',', row.value.size - b);

            next = (size_t)(comma - row.value.data) + 1;
            CHECK(next >= row.value.size || memcmp(row.value.data + b, row.value.data + next, 4) <= 0);
        }
    }
    CHECK(commas == (trial->rank == 0 ? LINES : 0));
    tq_future_release(future);
}

static int count_pairs(tq_slice group, tq_values *values, tq_rows_out *out, void *user)
{
    tq_slice before = {NULL, 0};
    int64_t number;

    (void)user;
    while (tq_values_next_i64(values, &number)) {
        tq_slice key = tq_values_key(values);
        word_row one = {before.data, before.size, 0}, other = {key.data, key.size, 0};

        CHECK(before.size == 0 || compare_keys(&one, &other) <= 0);
        before = key;
    }
    return (int)tq_write_row_i64(out, group, (int64_t)tq_values_count(values));
}

/* All pairs of the job in one group; and groups that change from call to call, which end the job if that is noticed. */
static void test_other_groups(const struct trial *trial, const char *const *input)
{
    tq_job job = job_of(input);
    tq_row row;

    job.group = all_in_one;
    job.reduce = count_pairs;
    job.result_type = TQ_I64;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (trial->rank == 0));
    if (trial->rank == 0) {
        CHECK_STATUS(tq_job_row(future, 0, &row), TQ_OK);
        CHECK(row.key.size == 0 && row.i64 == LINES);
    }
    tq_future_release(future);
    job.group = by_the_call;
    tq_future_release(run_badly(trial, &job, TQ_E_USER, "group function"));
    meet(trial);
}

static int compare_arrivals(const void *left, const void *right)
{
    const struct reading *a = *(const struct reading *const *)left, *b = *(const struct reading *const *)right;

    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return (a > b) - (a < b); /* by their places: a stable sort */
}

/* As in the input, which is read so many times; by_time: those of one time together. */
static char *expected_arrivals(int group, bool by_time, int times, size_t *size)
{
    char *text = malloc((size_t)LINES * 64);
    const struct reading **ones = malloc(LINES * sizeof *ones);
    size_t n = 0;

    CHECK(text && ones);
    for (int i = 0; i < LINES; i++)
        if (arrived[i].group == group)
            ones[n++] = &arrived[i];
    if (by_time)
        qsort(ones, n, sizeof *ones, compare_arrivals);
    *size = 0;
    for (size_t begin = 0, end = n; begin < n; begin = end) {
        if (by_time)
            for (end = begin + 1; end < n && ones[end]->time == ones[begin]->time; end++)
                ;
        for (int time = 0; time < times; time++)
            for (size_t i = begin; i < end; i++)
                *size += (size_t)sprintf(text + *size, "%04d=%" PRId64 ",", ones[i]->time, ones[i]->number);
    }
    free(ones);
    return text;
}

/* The group alone as key, and the time in the value. */
static int map_arrival(const tq_record *line, tq_emitter *emitter, void *user)
{
    const char *dash = memchr(line->data, '-', line->size);
    char value[64];

    (void)user;
    CHECK(dash && line->data + line->size - dash < 40);
    int size = sprintf(value, "%.*s", (int)(line->data + line->size - dash) - 1, dash + 1);
    *(char *)memchr(value, ' ', (size_t)size) = '=';
    return (int)tq_emit(emitter, (tq_slice){line->data, (size_t)(dash - line->data)}, (tq_slice){value, (size_t)size});
}

static int join(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    char *text = malloc(tq_values_count(values) * 32 + 1);
    size_t size = 0;
    tq_slice value;

    (void)user;
    CHECK(text);
    while (tq_values_next(values, &value)) {
        tq_slice whole = tq_values_key(values);

        CHECK(whole.size == key.size && memcmp(whole.data, key.data, key.size) == 0);
        size += (size_t)sprintf(text + size, "%.*s,", (int)value.size, value.data);
    }
    tq_status status = tq_write_row(out, key, (tq_slice){text, size});
    free(text);
    return (int)status;
}

static void check_arrivals(const tq_future *future, bool by_time, int times)
{
    tq_row row;

    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        size_t size;

        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        char *expected = expected_arrivals(group_number(row.key), by_time, times, &size);
        check_text(row.value.data, row.value.size, expected, size, "arrivals");
        free(expected);
    }
}

/* Values as they were emitted, of keys and of groups of them. */
static void test_arrival(const struct trial *trial, const char *const *input)
{
    static const uint64_t splits[] = {0, 3000, 0}, memory[] = {0, 0, 16 << 20};
    const char *const twice[] = {*input, *input};

    for (int i = 0; i < 3; i++) {
        for (int grouped = 0; grouped < 2; grouped++) {
            tq_job job = job_of(twice);

            job.n_inputs = 2;
            job.values_order = TQ_VALUES_ARRIVAL;
            job.split_bytes = splits[i];
            job.memory_bytes = memory[i];
            job.partition = i == 1 ? first_digit : NULL;
            if (!grouped) {
                job.map = map_arrival;
                job.value_type = TQ_BYTES;
                job.group = NULL;
                job.reduce = join;
            }
            tq_future *future = run_well(trial, &job);
            CHECK(tq_job_rows(future) == (trial->rank == 0 ? GROUPS : 0));
            check_arrivals(future, grouped, 2);
            tq_future_release(future);
        }
    }
}

/* The text is written by a thread of rank 0, which reads it for all. */
struct pipe {
    const char *path, *text;
    size_t size;
};

static void *fill_pipe(void *user)
{
    const struct pipe *to = user;

    write_file(to->path, to->text, to->size);
    return NULL;
}

static void test_arrival_of_pipe(const struct trial *trial, const char *text, size_t size)
{
    char path[PATH_SIZE];
    struct pipe to = {path_of(trial, path, "in/pipe"), text, size};
    const char *const input = path;
    tq_job job = job_of(&input);
    pthread_t writer;

    if (trial->rank == 0)
        CHECK(mkfifo(path, 0600) == 0 && pthread_create(&writer, NULL, fill_pipe, &to) == 0);
    job.values_order = TQ_VALUES_ARRIVAL;
    job.split_bytes = 5000;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (trial->rank == 0 ? GROUPS : 0));
    check_arrivals(future, true, 1);
    tq_future_release(future);
    if (trial->rank == 0)
        CHECK(pthread_join(writer, NULL) == 0);
}

/* The rows of an earlier job, whose keys are GROUP-TIME. */
static int map_row(const tq_row *row, tq_emitter *emitter, void *user)
{
    size_t group = before_dash(row->key, user);
    char value[64];
    int size = sprintf(value, "%.*s=%" PRId64, (int)(row->key.size - group) - 1, row->key.data + group + 1, row->i64);

    return (int)tq_emit(emitter, (tq_slice){row->key.data, group}, (tq_slice){value, (size_t)size});
}

static int largest_first(const void *left, const void *right)
{
    const struct reading *a = left, *b = right;

    return a->number != b->number ? (a->number < b->number ? 1 : -1) : compare_readings(a, b);
}

/* Values arrive in the order of the rows: by number, the largest first, and of one number by time. */
static void test_arrival_of_rows(const struct trial *trial, const char *const *input, bool partitioned)
{
    tq_job first = job_of(input), job = job_of(NULL);

    first.group = NULL;
    first.reduce = NULL;
    first.order = TQ_ORDER_VALUE_DESC;
    first.output = TQ_OUTPUT_KEEP;
    job.n_inputs = 0;
    job.records = ((tq_job)TQ_JOB_INIT).records;
    job.map = NULL;
    job.map_row = map_row;
    job.value_type = TQ_BYTES;
    job.group = NULL;
    job.partition = partitioned ? first_digit : NULL;
    job.reduce = join;
    job.values_order = TQ_VALUES_ARRIVAL;
    tq_future *rows = tq_submit(trial->cluster, &first);
    job.rows = rows;
    tq_future *future = run_well(trial, &job);
    tq_future_release(rows);
    CHECK(tq_job_rows(future) == (trial->rank == 0 ? GROUPS : 0));
    qsort(readings, LINES, sizeof *readings, largest_first);
    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        tq_row row;
        size_t size;

        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        char *expected = expected_of(group_number(row.key), false, &size);
        check_text(row.value.data, row.value.size, expected, size, "rows of an earlier job");
        free(expected);
    }
    qsort(readings, LINES, sizeof *readings, compare_readings);
    tq_future_release(future);
}

static void test_refused(const struct trial *trial, const char *const *input)
{
    tq_job job = job_of(input);

    job.reduce = NULL;
    tq_future_release(run_badly(trial, &job, TQ_E_USAGE, "group"));
    meet(trial);
    job = job_of(input);
    job.values_order = TQ_VALUES_ARRIVAL;
    job.combine = TQ_SUM;
    tq_future_release(run_badly(trial, &job, TQ_E_USAGE, "TQ_VALUES_ARRIVAL"));
}

int main(int argc, char **argv)
{
    struct trial trial;
    char path[PATH_SIZE];
    const char *input;
    size_t size;
    char *text = make_lines(&size);

    begin_trial(&trial, argc, argv, "group");
    input = path_of(&trial, path, "in/readings");
    if (trial.rank == 0)
        write_file(path, text, size);
    meet(&trial);
    test_groups(&trial, &input);
    test_bytes(&trial, &input);
    test_arrival(&trial, &input);
    test_arrival_of_pipe(&trial, text, size);
    test_arrival_of_rows(&trial, &input, false);
    test_arrival_of_rows(&trial, &input, true);
    test_other_groups(&trial, &input);
    test_refused(&trial, &input);
    free(text);
    return end_trial(&trial);
}
