/* TQ_ORDER_STABLE: rows by key, and of one key by the place in the input, whatever the values and outputs are; records of one
 * length; only the first row of a key; a limit; and jobs that are not allowed. */
#include "words.h"

enum { RECORDS = 30000, RECORD = 12, KEY = 4, KEYS = 300 };

/* A record is a key, which many have, and its number: "k012" "00004711". A third of them have one key. */
static char *make_records(void)
{
    uint64_t state = 99;
    char *text = malloc(RECORDS * RECORD + 1), *at = text;

    CHECK(text);
    for (int i = 0; i < RECORDS; i++, at += RECORD) {
        int key = i % 3 ? (int)(next_random(&state) % KEYS) : 7;
        char record[64];

        CHECK(snprintf(record, sizeof record, "k%03d%08d", key, i) == RECORD);
        memcpy(at, record, RECORD);
    }
    return text;
}

static int key_number(tq_slice key)
{
    CHECK_THAT(key.size == KEY && key.data[0] == 'k', "a key is '%.*s'", (int)key.size, key.data);
    return atoi((char[]){key.data[1], key.data[2], key.data[3], '\0'});
}

static int number_of(const char *record)
{
    char digits[RECORD - KEY + 1] = {0};

    memcpy(digits, record + KEY, RECORD - KEY);
    return atoi(digits);
}

static int map_number(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    if (record->size != RECORD || record->offset != RECORD * (uint64_t)number_of(record->data))
        return tq_emit_fail(emitter, "a record of %zu bytes", record->size);
    return (int)tq_emit_i64(emitter, (tq_slice){record->data, KEY}, number_of(record->data));
}

static int map_bytes(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit(emitter, (tq_slice){record->data, KEY}, (tq_slice){record->data + KEY, RECORD - KEY});
}

static tq_job job_of(const char *const *input)
{
    tq_job job = TQ_JOB_INIT;

    job.inputs = input;
    job.n_inputs = 1;
    job.records = TQ_FIXED_RECORDS;
    job.record_bytes = RECORD;
    job.map = map_number;
    job.order = TQ_ORDER_STABLE;
    job.output = TQ_OUTPUT_GATHER;
    return job;
}

/* Rows in order: keys ascend, and the numbers of one key. */
static void check_order(const word_rows *rows, bool unique)
{
    for (size_t i = 1; i < rows->n; i++) {
        int a = key_number((tq_slice){rows->rows[i - 1].data, rows->rows[i - 1].size});
        int b = key_number((tq_slice){rows->rows[i].data, rows->rows[i].size});

        CHECK_THAT(a < b || (a == b && !unique && rows->rows[i - 1].value < rows->rows[i].value),
                   "row %zu is k%03d %" PRId64 ", behind k%03d %" PRId64, i, b, rows->rows[i].value, a,
                   rows->rows[i - 1].value);
    }
}

static void test_gathered(const struct trial *trial, const char *const *input, const char *text)
{
    static const uint64_t splits[] = {0, 5000, 77777}, memory[] = {0, 4 << 20, 0};

    for (int i = 0; i < 3; i++) {
        tq_job job = job_of(input);

        job.split_bytes = splits[i];
        job.memory_bytes = memory[i];
        tq_future *future = run_well(trial, &job);
        word_rows rows = kept_rows(future);
        CHECK(rows.n == (trial->rank == 0 ? RECORDS : 0));
        check_order(&rows, false);
        for (size_t r = 0; r < rows.n; r++)
            CHECK(memcmp(rows.rows[r].data, text + rows.rows[r].value * RECORD, KEY) == 0);
        free(rows.rows);
        tq_future_release(future);
    }
}

/* Each rank keeps a range of keys, the first of each. */
static void test_unique(struct trial *trial, const char *const *input, const char *text)
{
    tq_job job = job_of(input);
    int firsts[KEYS];

    for (int i = RECORDS; i-- > 0;)
        firsts[key_number((tq_slice){text + i * RECORD, KEY})] = i;
    job.unique = true;
    job.output = TQ_OUTPUT_KEEP;
    job.split_bytes = 9999;
    tq_future *future = run_well(trial, &job);
    word_rows rows = kept_rows(future);
    check_order(&rows, true);
    for (size_t r = 0; r < rows.n; r++) {
        int key = key_number((tq_slice){rows.rows[r].data, rows.rows[r].size});

        CHECK_THAT(rows.rows[r].value == firsts[key], "the first k%03d is %d, not %" PRId64, key, firsts[key],
                   rows.rows[r].value);
    }
    const tq_stats *stats = tq_job_stats(future);
    CHECK(trial->rank != 0 || stats->rows == KEYS);
    tell_all(trial, &rows.n, sizeof rows.n);
    for (int r = 0; r < trial->size && trial->rank == 0; r++) {
        size_t size, n;
        char *said = told(trial, r, &size);

        memcpy(&n, said, sizeof n);
        firsts[0] = r ? firsts[0] + (int)n : (int)n;
        free(said);
    }
    CHECK(trial->rank != 0 || firsts[0] == KEYS);
    free(rows.rows);
    tq_future_release(future);
}

static const char *sorted_against; /* for the comparison; one thread */

static int compare_records(const void *a, const void *b)
{
    int i = *(const int *)a, j = *(const int *)b;
    int order = memcmp(sorted_against + i * RECORD, sorted_against + j * RECORD, KEY);

    return order ? order : i - j;
}

/* Records as they were, in their order, and the first of them only. */
static void test_text(const struct trial *trial, const char *const *input, const char *text)
{
    static int order[RECORDS];
    char path[PATH_SIZE], *expected = malloc(RECORDS * RECORD);

    CHECK(expected);
    for (int i = 0; i < RECORDS; i++)
        order[i] = i;
    sorted_against = text;
    qsort(order, RECORDS, sizeof *order, compare_records);
    for (int i = 0; i < RECORDS; i++)
        memcpy(expected + i * RECORD, text + order[i] * RECORD, RECORD);
    for (int limit = 0; limit < 2; limit++) {
        tq_job job = job_of(input);
        size_t size;

        job.map = map_bytes;
        job.value_type = limit ? TQ_FIXED : TQ_BYTES;
        job.value_bytes = RECORD - KEY;
        job.limit = limit ? 12345 : 0;
        job.row_text = TQ_ROW_BYTES;
        job.round_bytes = 3000;
        job.output = TQ_OUTPUT_FILE;
        job.output_path = path_of(trial, path, "out/records");
        tq_future_release(run_well(trial, &job));
        if (trial->rank != 0)
            continue;
        char *got = read_file(path, &size);
        check_text(got, size, expected, (limit ? 12345 : RECORDS) * RECORD, "records");
        free(got);
    }
    free(expected);
}

static void test_refused(const struct trial *trial, const char *const *input)
{
    for (int i = 0; i < 5; i++) {
        tq_job job = job_of(input);

        if (i == 0)
            job.combine = TQ_SUM;
        if (i == 1)
            job.unique = true, job.limit = 1;
        if (i == 2)
            job.unique = true, job.order = TQ_ORDER_KEY;
        if (i == 3)
            job.record_bytes = 0;
        if (i == 4)
            job.record_bytes = RECORD + 1;
        tq_future *future = tq_submit(trial->cluster, &job);
        CHECK_STATUS(await(future), i == 4 ? TQ_E_INPUT : TQ_E_USAGE);
        tq_future_release(future);
        meet(trial);
    }
}

int main(int argc, char **argv)
{
    struct trial trial;
    char path[PATH_SIZE];
    const char *input;
    char *text = make_records();

    begin_trial(&trial, argc, argv, "stable");
    input = path_of(&trial, path, "in/records");
    if (trial.rank == 0)
        write_file(path, text, RECORDS * RECORD);
    meet(&trial);
    test_gathered(&trial, &input, text);
    test_unique(&trial, &input, text);
    test_text(&trial, &input, text);
    test_refused(&trial, &input);
    free(text);
    return end_trial(&trial);
}
