/* Chained jobs: the rows that one keeps are the input of the next, whatever their order and type; what a whole chain comes
 * to that is submitted at once; what is sent, counted and freed; and that an error goes down the chain. */
#include "words.h"

enum { WORDS = 3000, LINKS = 10 };

/* What the mappers here do with a row. */
typedef struct plan {
    tq_slice fails_at; /* the key at which a mapper gives up */
} plan;

static int add_one(const tq_row *row, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit_i64(emitter, row->key, row->i64 + 1);
}

/* Under the size of the key, in a dense number and a counter too. */
static int sum_sizes(const tq_row *row, tq_emitter *emitter, void *user)
{
    int64_t *dense = tq_emitter_dense(emitter);
    char key[16];
    int size = snprintf(key, sizeof key, "%04zu", row->key.size);

    (void)user;
    if (dense)
        dense[row->key.size % 8] += row->i64;
    if (row->value.size != sizeof row->i64 || memcmp(row->value.data, &row->i64, sizeof row->i64) != 0)
        return tq_emit_fail(emitter, "value and i64 are not the same");
    return tq_emit_count(emitter, 0, 1) || tq_emit_i64(emitter, (tq_slice){key, (size_t)size}, row->i64);
}

static int give_up(const tq_row *row, tq_emitter *emitter, void *user)
{
    const plan *the = user;

    if (row->key.size == the->fails_at.size && memcmp(row->key.data, the->fails_at.data, row->key.size) == 0)
        return tq_emit_fail(emitter, "no such word");
    return 0;
}

static tq_job after(tq_future *rows, tq_map_row_fn map_row)
{
    tq_job job = TQ_JOB_INIT;

    job.name = "link";
    job.rows = rows;
    job.map_row = map_row;
    job.combine = TQ_SUM;
    return job;
}

static tq_job count_of(const char *const *input)
{
    tq_job job = count_words_in(input);

    job.name = "count";
    job.split_bytes = 900;
    job.output = TQ_OUTPUT_KEEP;
    return job;
}

static void check_phases(const tq_future *future, const word_rows *words)
{
    const tq_stats *stats = tq_job_stats(future);
    tq_progress progress;
    uint64_t bytes = 0;

    for (size_t i = 0; i < words->n; i++)
        bytes += words->rows[i].size + sizeof(int64_t);
    CHECK(stats && stats->splits == words->n && stats->files == 0 && stats->input_bytes == bytes);
    CHECK(stats->emitted.records == words->n);
    CHECK_STATUS(tq_job_progress(future, &progress), TQ_OK);
    CHECK(progress.phases[TQ_PHASE_MAP].done == words->n && progress.phases[TQ_PHASE_MAP].not_done == 0);
}

static uint64_t last_byte(tq_slice key, void *user)
{
    (void)user;
    return (unsigned char)key.data[key.size - 1];
}

/* Rows of any order, kept or gathered, mapped several times: all jobs see all of them, also one that has a partition. */
static void test_sizes(const struct trial *trial, const char *const *input, const word_rows *words, tq_order order,
                       tq_output_kind output)
{
    static const char *const counter = "rows";
    tq_job first = count_of(input), next;
    int64_t sums[128] = {0}, dense[8] = {0}, seen;

    for (size_t i = 0; i < words->n; i++) {
        sums[words->rows[i].size] += words->rows[i].value;
        dense[words->rows[i].size % 8] += words->rows[i].value;
    }
    first.order = order;
    first.output = output;
    tq_future *rows = tq_submit(trial->cluster, &first), *seconds[3];
    for (int i = 0; i < 3; i++) {
        next = after(rows, sum_sizes);
        next.counters = &counter, next.n_counters = 1;
        next.dense = i == 1 ? 8 : 0;
        next.partition = i == 2 ? last_byte : NULL;
        next.output = TQ_OUTPUT_GATHER;
        seconds[i] = tq_submit(trial->cluster, &next);
    }
    tq_future_release(rows);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(await(seconds[i]), TQ_OK);
        CHECK_STATUS(tq_job_counter(seconds[i], 0, &seen), TQ_OK);
        CHECK(seen == (int64_t)words->n);
        CHECK(i != 1 || memcmp(tq_job_dense(seconds[i], NULL), dense, sizeof dense) == 0);
        word_rows got = kept_rows(seconds[i]);
        for (size_t r = 0; r < got.n; r++)
            CHECK(got.rows[r].value == sums[strtoul(got.rows[r].data, NULL, 10)]);
        if (trial->rank == 0)
            check_phases(seconds[i], words);
        free(got.rows);
        tq_future_release(seconds[i]);
    }
}

/* Submitted all at once, each future released as soon as the next job has it. */
static void test_many(const struct trial *trial, const char *const *input, const word_rows *words, uint64_t memory)
{
    char path[PATH_SIZE];
    tq_job job = count_of(input);
    word_rows expected = sorted_rows(words, by_key);

    for (size_t i = 0; i < expected.n; i++)
        expected.rows[i].value += LINKS;
    job.tmpdir = path_of(trial, path, "tmp");
    job.order = TQ_ORDER_NONE;
    tq_future *future = tq_submit(trial->cluster, &job);
    for (int i = 1; i <= LINKS; i++) {
        job = after(future, add_one);
        job.memory_bytes = memory;
        job.order = i == LINKS ? TQ_ORDER_KEY : TQ_ORDER_NONE;
        job.output = i == LINKS ? TQ_OUTPUT_GATHER : TQ_OUTPUT_KEEP;
        tq_future *next = tq_submit(trial->cluster, &job);
        tq_future_release(future);
        future = next;
    }
    CHECK_THAT(await(future) == TQ_OK, "%s", tq_future_error(future));
    word_rows got = kept_rows(future);
    check_rows(&got, expected.rows, trial->rank == 0 ? expected.n : 0, "the end of a chain");
    free(got.rows);
    free(expected.rows);
    tq_future_release(future);
}

/* Keys that stay are not sent. */
static void test_sent(const struct trial *trial, const char *const *input)
{
    tq_job first = count_of(input);

    first.order = TQ_ORDER_NONE;
    tq_future *rows = run_well(trial, &first);
    tq_job job = after(rows, add_one);
    job.order = TQ_ORDER_NONE;
    tq_future *future = run_well(trial, &job);
    const tq_stats *stats = tq_job_stats(future), *before = tq_job_stats(rows);
    for (int r = 0; r < trial->size && trial->rank == 0; r++) {
        CHECK_THAT(stats->rank[r].sent_bytes == 0, "rank %d sent %" PRIu64 " bytes", r, stats->rank[r].sent_bytes);
        CHECK(trial->size == 1 || before->rank[r].sent_bytes > 0);
    }
    tq_future_release(rows);
    tq_future_release(future);
}

static int by_first_byte(const tq_row *row, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit(emitter, (tq_slice){row->key.data, 1}, row->key);
}

/* Rows with one key stay in the order of the rows they come from; their values are rows of bytes, which are mapped too. */
static int back(const tq_row *row, tq_emitter *emitter, void *user)
{
    (void)user;
    if (row->key.size != 1 || row->key.data[0] != row->value.data[0])
        return tq_emit_fail(emitter, "a wrong row");
    return (int)tq_emit_i64(emitter, row->value, 1);
}

static void test_stable(const struct trial *trial, const char *const *input, const word_rows *words)
{
    tq_job job = count_of(input);
    tq_row row;

    job.order = TQ_ORDER_VALUE_DESC;
    tq_future *rows = tq_submit(trial->cluster, &job);
    job = after(rows, by_first_byte);
    job.combine = TQ_COMBINE_NONE;
    job.value_type = TQ_BYTES;
    job.order = TQ_ORDER_STABLE;
    job.output = TQ_OUTPUT_GATHER;
    tq_future *stable = tq_submit(trial->cluster, &job);
    tq_future_release(rows);
    CHECK_THAT(await(stable) == TQ_OK, "%s", tq_future_error(stable));
    CHECK(tq_job_rows(stable) == (trial->rank == 0 ? words->n : 0));
    word_rows by_value = sorted_rows(words, by_value_desc);
    uint64_t at = 0;
    for (int first = 0; first < 256; first++) {
        for (size_t i = 0; trial->rank == 0 && i < by_value.n; i++) {
            if ((unsigned char)by_value.rows[i].data[0] != first)
                continue;
            CHECK_STATUS(tq_job_row(stable, at++, &row), TQ_OK);
            CHECK(row.value.size == by_value.rows[i].size &&
                  !memcmp(row.value.data, by_value.rows[i].data, row.value.size));
        }
    }
    job = after(stable, back);
    job.output = TQ_OUTPUT_GATHER;
    tq_future *last = run_well(trial, &job);
    CHECK(tq_job_rows(last) == tq_job_rows(stable));
    free(by_value.rows);
    tq_future_release(stable);
    tq_future_release(last);
}

static int keep_line(const tq_row *row, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit_i64(emitter, row->value, 1);
}

/* What ranks gave to a gather. */
static void test_gathered(const struct trial *trial)
{
    char mine[32];
    int size = snprintf(mine, sizeof mine, "rank %d", trial->rank);
    tq_future *rows = tq_submit_gather(trial->cluster, (tq_slice){mine, (size_t)size}, false);
    tq_job job = after(rows, keep_line);

    job.output = TQ_OUTPUT_GATHER;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (uint64_t)(trial->rank == 0 ? trial->size : 0));
    tq_future_release(rows);
    tq_future_release(future);
}

static void expect_same_error(tq_future *future, const tq_error *expected)
{
    tq_error error;

    CHECK_STATUS(await(future), expected->status);
    CHECK_STATUS(tq_job_error(future, &error), TQ_OK);
    CHECK_THAT(error.rank == expected->rank && strcmp(error.message, expected->message) == 0 &&
                   strcmp(error.phase, expected->phase) == 0,
               "rank %d: %s", error.rank, error.message);
    CHECK(tq_job_rows(future) == 0);
    tq_future_release(future);
}

/* A row is known by its number in the order of its job; and those behind it end as it did. */
static void test_failing(const struct trial *trial, const char *const *input, const word_rows *words)
{
    const word_row *word = &words->rows[words->n / 2];
    plan the = {{word->data, word->size}};
    tq_job job = count_of(input);
    char said[128];
    tq_error error;

    tq_future *rows = tq_submit(trial->cluster, &job);
    job = after(rows, give_up);
    job.user = &the;
    tq_future *failing = tq_submit(trial->cluster, &job);
    job = after(failing, add_one);
    tq_future *next = tq_submit(trial->cluster, &job);
    job = after(next, add_one);
    tq_future *last = tq_submit(trial->cluster, &job);
    CHECK_STATUS(await(failing), TQ_E_USER);
    CHECK_STATUS(tq_job_error(failing, &error), TQ_OK);
    snprintf(said, sizeof said, "row %zu of count: no such word", words->n / 2);
    CHECK_THAT(strcmp(error.message, said) == 0 && strcmp(error.phase, "map") == 0, "%s", error.message);
    expect_same_error(next, &error);
    expect_same_error(last, &error);
    job = after(rows, add_one); /* these are still there */
    tq_future_release(run_well(trial, &job));
    tq_future_release(failing);
    tq_future_release(rows);
}

static int dawdle(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    sleep_s(0.01);
    return (int)tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1);
}

static void test_cancelled(const struct trial *trial, const char *const *input)
{
    tq_job job = count_of(input);
    tq_error error;

    if (trial->threads == 0) /* it would be over when it could be cancelled */
        return;
    job.map = dawdle;
    tq_future *rows = tq_submit(trial->cluster, &job);
    job = after(rows, add_one);
    tq_future *next = tq_submit(trial->cluster, &job);
    if (trial->rank == trial->size - 1)
        tq_future_cancel(rows);
    CHECK_STATUS(await(rows), TQ_E_CANCELLED);
    CHECK_STATUS(tq_job_error(rows, &error), TQ_OK);
    CHECK(await(next) == TQ_E_CANCELLED && tq_future_get_state(next) == TQ_FUTURE_CANCELLED);
    expect_same_error(next, &error);
    tq_future_release(rows);
}

static int no_task(void *argument, const tq_worker *worker)
{
    (void)argument;
    (void)worker;
    return 0;
}

static void expect(const struct trial *trial, const tq_job *job, tq_status status, const char *said)
{
    tq_future_release(run_badly(trial, job, status, said));
}

static void test_wrong(const struct trial *trial, const char *const *input)
{
    char path[PATH_SIZE];
    tq_executor_options options = {.max_workers = 1, .queue_capacity = 1};
    tq_job job = count_of(input);
    tq_executor *executor;
    tq_future *task;

    tq_future *rows = run_well(trial, &job), *others = run_well(trial, &job);
    job = after(rows, NULL);
    expect(trial, &job, TQ_E_USAGE, "exactly one of map, map_chunk, map_split and map_row");
    job = after(rows, NULL);
    job.map = map_to_one;
    expect(trial, &job, TQ_E_USAGE, "need map_row");
    job = after(NULL, add_one);
    expect(trial, &job, TQ_E_USAGE, "map_row needs rows");
    job = after(rows, add_one);
    job.inputs = input, job.n_inputs = 1;
    expect(trial, &job, TQ_E_USAGE, "not two of them");
    job = after(trial->rank == 0 ? rows : others, add_one);
    if (trial->size > 1)
        expect(trial, &job, TQ_E_USAGE, "given another job");
    job = after(rows, add_one);
    job.memory_bytes = trial->rank == 0 ? 1 << 10 : 0; /* which has them */
    expect(trial, &job, TQ_E_MEMORY, "the rows of count take");
    CHECK_STATUS(tq_executor_create(&options, &executor), TQ_OK);
    CHECK_STATUS(tq_executor_submit(executor, no_task, NULL, &task), TQ_OK);
    job = after(task, add_one);
    expect(trial, &job, TQ_E_USAGE, "of no job of this cluster");
    tq_executor_destroy(executor);
    tq_future_release(task);
    tq_future_release(rows);
    tq_future_release(others);
    job = count_of(input);
    job.output = TQ_OUTPUT_FILE;
    job.output_path = path_of(trial, path, "out/counts");
    rows = run_well(trial, &job);
    job = after(rows, add_one);
    expect(trial, &job, TQ_E_USAGE, "keeps no rows");
    tq_future_release(rows);
}

/* Nothing to map, on some ranks or on all. */
static void test_few(const struct trial *trial, const char *const *input)
{
    for (uint64_t limit = 1; limit <= 2; limit++) {
        tq_job job = count_of(input);

        job.limit = limit;
        tq_future *rows = tq_submit(trial->cluster, &job);
        plan the = {{NULL, 1}};
        job = after(rows, limit == 1 ? add_one : give_up);
        job.user = &the;
        job.order = TQ_ORDER_NONE;
        tq_future *next = tq_submit(trial->cluster, &job);
        job = after(next, add_one);
        job.output = TQ_OUTPUT_GATHER;
        tq_future *last = run_well(trial, &job);
        CHECK(tq_job_rows(last) == (trial->rank == 0 && limit == 1));
        tq_future_release(rows);
        tq_future_release(next);
        tq_future_release(last);
    }
}

int main(int argc, char **argv)
{
    static const tq_order orders[] = {TQ_ORDER_KEY, TQ_ORDER_VALUE_DESC, TQ_ORDER_NONE};
    char path[PATH_SIZE];
    struct trial trial;
    size_t size;

    begin_trial(&trial, argc, argv, "chain");
    const char *input = path_of(&trial, path, "in/text");
    char *text = make_text(120000, WORDS, 79, &size);
    word_rows words = count_words(text, size);
    if (trial.rank == 0)
        write_file(path, text, size);
    meet(&trial);
    for (size_t i = 0; i < 3; i++) {
        test_sizes(&trial, &input, &words, orders[i], TQ_OUTPUT_KEEP);
        test_sizes(&trial, &input, &words, orders[i], TQ_OUTPUT_GATHER);
    }
    test_many(&trial, &input, &words, 0);
    test_many(&trial, &input, &words, 2 << 20);
    test_sent(&trial, &input);
    test_stable(&trial, &input, &words);
    test_gathered(&trial);
    test_few(&trial, &input);
    test_failing(&trial, &input, &words);
    test_cancelled(&trial, &input);
    test_wrong(&trial, &input);
    free(words.rows);
    free(text);
    return end_trial(&trial);
}
