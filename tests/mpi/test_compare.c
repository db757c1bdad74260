/* TQ_ORDER_USER: rows in the order of a function of the job's, with all outputs, a limit, little memory, reducers and values
 * of any size; functions that are no order, which must lose no row; and jobs that are not allowed. */
#include "words.h"

enum { TEXT = 300 << 10, DISTINCT = 60000 };

static int map_words(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1);
}

/* The word alone, with a value made of it. */
static int map_pairs(const tq_record *record, tq_emitter *emitter, void *user)
{
    char value[600];
    size_t size = record->size * 5;

    (void)user;
    memset(value, record->data[record->size - 1], size);
    return (int)tq_emit(emitter, (tq_slice){record->data, record->size}, (tq_slice){value, size});
}

static int shorter(tq_slice a, tq_slice b)
{
    return (a.size > b.size) - (a.size < b.size);
}

/* Short words first, of those the most frequent. */
static int by_size_and_count(const tq_row *a, const tq_row *b, void *user)
{
    int order = shorter(a->key, b->key);

    (void)user;
    return order ? order : (a->i64 < b->i64) - (a->i64 > b->i64);
}

/* By the value's last byte, which a value that was cut short would not have. */
static int by_last_byte(const tq_row *a, const tq_row *b, void *user)
{
    CHECK(a->value.size == 5 * a->key.size && b->value.size == 5 * b->key.size);
    unsigned char x = (unsigned char)a->value.data[a->value.size - 1];
    unsigned char y = (unsigned char)b->value.data[b->value.size - 1];

    (void)user;
    return (y > x) - (y < x);
}

/* By something that the text does not say, and differently on each call. */
static int by_nothing(const tq_row *a, const tq_row *b, void *user)
{
    (void)user;
    return (int)(((uintptr_t)a->key.data * 2654435761u ^ (uintptr_t)b->key.data * 40503u) >> 9 & 3) - 1;
}

static int always_behind(const tq_row *a, const tq_row *b, void *user)
{
    (void)a;
    (void)b;
    (void)user;
    return 1;
}

static int expected_order(const void *a, const void *b)
{
    const word_row *one = a, *other = b;
    int order = (one->size > other->size) - (one->size < other->size);

    if (!order)
        order = (one->value < other->value) - (one->value > other->value);
    return order ? order : compare_keys(one, other);
}

static tq_job job_of(const char *const *input)
{
    tq_job job = TQ_JOB_INIT;

    job.inputs = input;
    job.n_inputs = 1;
    job.records = TQ_WORDS;
    job.map = map_words;
    job.combine = TQ_SUM;
    job.order = TQ_ORDER_USER;
    job.compare = by_size_and_count;
    job.output = TQ_OUTPUT_GATHER;
    return job;
}

/* Two rows for a word: as it is, and with its first byte alone as key. */
static int write_twice(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int64_t n = 0;

    (void)user;
    tq_values_next_i64(values, &n);
    if (tq_write_row_i64(out, key, n))
        return 1;
    return (int)tq_write_row_i64(out, (tq_slice){key.data, 1}, -n);
}

static void test_gathered(const struct trial *trial, const char *const *input, const word_rows *expected)
{
    static const uint64_t splits[] = {0, 5000, 0}, memory[] = {0, 0, 3 << 20}, limits[] = {0, 1000, 6000};

    for (int i = 0; i < 3; i++) {
        tq_job job = job_of(input);

        job.split_bytes = splits[i];
        job.memory_bytes = memory[i];
        job.limit = limits[i];
        tq_future *future = run_well(trial, &job);
        word_rows rows = kept_rows(future);
        size_t n = limits[i] && limits[i] < expected->n ? limits[i] : expected->n;
        check_rows(&rows, expected->rows, trial->rank == 0 ? n : 0, "gathered");
        free(rows.rows);
        tq_future_release(future);
    }
}

/* Each rank keeps a range of the order. */
static void test_kept(struct trial *trial, const char *const *input, const word_rows *expected)
{
    tq_job job = job_of(input);
    size_t before = 0;

    job.output = TQ_OUTPUT_KEEP;
    tq_future *future = run_well(trial, &job);
    word_rows rows = kept_rows(future);
    tell_all(trial, &rows.n, sizeof rows.n);
    for (int r = 0; r < trial->rank; r++) {
        size_t size, n;
        char *said = told(trial, r, &size);

        memcpy(&n, said, sizeof n);
        before += n;
        free(said);
    }
    CHECK(before + rows.n <= expected->n && (trial->rank < trial->size - 1 || before + rows.n == expected->n));
    check_rows(&rows, expected->rows + before, rows.n, "kept");
    free(rows.rows);
    tq_future_release(future);
}

static void test_file(const struct trial *trial, const char *const *input, const word_rows *expected)
{
    char path[PATH_SIZE];
    size_t size, got_size;

    for (int limit = 0; limit < 2; limit++) {
        tq_job job = job_of(input);

        job.limit = limit ? 77 : 0;
        job.round_bytes = 5000;
        job.output = TQ_OUTPUT_FILE;
        job.output_path = path_of(trial, path, "out/compared");
        tq_future_release(run_well(trial, &job));
        if (trial->rank != 0)
            continue;
        char *text = text_of_rows(expected->rows, limit ? 77 : expected->n, &size), *got = read_file(path, &got_size);
        check_text(got, got_size, text, size, "a file");
        free(got);
        free(text);
    }
}

static void test_reduced(const struct trial *trial, const char *const *input, const word_rows *counted)
{
    tq_job job = job_of(input);
    word_rows expected = {calloc(2 * counted->n, sizeof(word_row)), 2 * counted->n, 0};

    CHECK(expected.rows);
    for (size_t i = 0; i < counted->n; i++) {
        expected.rows[2 * i] = counted->rows[i];
        expected.rows[2 * i + 1] = (word_row){counted->rows[i].data, 1, -counted->rows[i].value};
    }
    qsort(expected.rows, expected.n, sizeof *expected.rows, expected_order);
    job.reduce = write_twice;
    job.result_type = TQ_I64;
    tq_future *future = run_well(trial, &job);
    word_rows rows = kept_rows(future);
    check_rows(&rows, expected.rows, trial->rank == 0 ? expected.n : 0, "reduced");
    free(rows.rows);
    free(expected.rows);
    tq_future_release(future);
}

/* Values of any size, which do not fit the memory. */
static void test_bytes(const struct trial *trial, const char *const *input, uint64_t words)
{
    tq_job job = job_of(input);
    tq_row before = {0}, row;

    job.map = map_pairs;
    job.value_type = TQ_BYTES;
    job.combine = TQ_COMBINE_NONE;
    job.compare = by_last_byte;
    job.memory_bytes = 16 << 20;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (trial->rank == 0 ? words : 0));
    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        if (i > 0) {
            word_row one = {before.key.data, before.key.size, 0}, other = {row.key.data, row.key.size, 0};
            int order = by_last_byte(&before, &row, NULL);

            CHECK_THAT(order < 0 || (order == 0 && compare_keys(&one, &other) <= 0), "row %" PRIu64, i);
        }
        before = row;
    }
    tq_future_release(future);
}

/* Whatever order they come in, all rows come. */
static void test_no_order(const struct trial *trial, const char *const *input, const word_rows *counted)
{
    for (int way = 0; way < 4; way++) {
        tq_job job = job_of(input);

        job.compare = way % 2 ? by_nothing : always_behind;
        job.limit = way < 2 ? 0 : 5000;
        tq_future *future = run_well(trial, &job);
        word_rows rows = kept_rows(future);
        qsort(rows.rows, rows.n, sizeof *rows.rows, by_key);
        if (way < 2)
            check_rows(&rows, counted->rows, trial->rank == 0 ? counted->n : 0, "in no order");
        else
            CHECK(rows.n == (trial->rank == 0 ? 5000 : 0));
        free(rows.rows);
        tq_future_release(future);
    }
}

static void test_refused(const struct trial *trial, const char *const *input)
{
    tq_job job = job_of(input);

    job.compare = NULL;
    tq_future *future = tq_submit(trial->cluster, &job);
    CHECK_STATUS(await(future), TQ_E_USAGE);
    tq_future_release(future);
}

int main(int argc, char **argv)
{
    struct trial trial;
    char path[PATH_SIZE];
    const char *input;
    size_t size;
    char *text = make_text(TEXT, DISTINCT, 21, &size);
    word_rows counted = count_words(text, size), expected = sorted_rows(&counted, expected_order);

    begin_trial(&trial, argc, argv, "compare");
    CHECK(counted.n > 8000);
    input = path_of(&trial, path, "in/words");
    if (trial.rank == 0)
        write_file(path, text, size);
    meet(&trial);
    test_gathered(&trial, &input, &expected);
    test_kept(&trial, &input, &expected);
    test_file(&trial, &input, &expected);
    test_reduced(&trial, &input, &counted);
    test_bytes(&trial, &input, counted.words);
    test_no_order(&trial, &input, &counted);
    test_refused(&trial, &input);
    free(expected.rows);
    free(counted.rows);
    free(text);
    return end_trial(&trial);
}
