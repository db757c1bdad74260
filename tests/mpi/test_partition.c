/* A job's own partition function: the result is what it is without one, in all orders, with all combiners, with little memory
 * and when all keys belong together; kept rows stay where their numbers are; and a function whose answers differ ends the job. */
#include "words.h"
#include <stdatomic.h>

enum { TEXT = 300 << 10, DISTINCT = 40000 };

static int map_words(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1);
}

static uint64_t number_of(tq_slice key)
{
    return (key.data[0] == '\\') * 100u + key.size;
}

static uint64_t by_size(tq_slice key, void *user)
{
    (void)user;
    return number_of(key);
}

static uint64_t all_together(tq_slice key, void *user)
{
    (void)key;
    (void)user;
    return 7;
}

/* Numbers that differ in their upper bits alone. */
static uint64_t by_upper_bits(tq_slice key, void *user)
{
    (void)user;
    return (uint64_t)(unsigned char)key.data[key.size - 1] << 50;
}

static atomic_uint_fast64_t calls; /* relaxed: any thread */

static uint64_t by_the_call(tq_slice key, void *user)
{
    (void)key;
    (void)user;
    return atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

static uint64_t by_rank(tq_slice key, void *user)
{
    return number_of(key) + (uint64_t) * (int *)user;
}

static int add(tq_slice key, void *into, const void *value, void *user)
{
    int64_t a, b;

    (void)key;
    (void)user;
    memcpy(&a, into, sizeof a);
    memcpy(&b, value, sizeof b);
    a += b;
    memcpy(into, &a, sizeof a);
    return 0;
}

static int count(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int64_t sum = 0, value;

    (void)user;
    while (tq_values_next_i64(values, &value))
        sum += value;
    return (int)tq_write_row_i64(out, key, sum);
}

static tq_job job_of(const char *const *input)
{
    tq_job job = TQ_JOB_INIT;

    job.inputs = input;
    job.n_inputs = 1;
    job.records = TQ_WORDS;
    job.map = map_words;
    job.combine = TQ_SUM;
    job.partition = by_size;
    job.output = TQ_OUTPUT_GATHER;
    return job;
}

/* One of the ways to count. */
static void choose_way(tq_job *job, int way)
{
    job->combine = way == 0 ? TQ_SUM : way == 1 ? TQ_COMBINE_USER : TQ_COMBINE_NONE;
    job->combine_fn = add;
    job->reduce = way == 2 ? count : NULL;
    job->result_type = TQ_I64;
}

static char *run_to_file(const struct trial *trial, tq_job *job, size_t *size)
{
    char path[PATH_SIZE], *text = NULL;

    job->output = TQ_OUTPUT_FILE;
    job->output_path = path_of(trial, path, "out/counted");
    tq_future_release(run_well(trial, job));
    if (trial->rank == 0)
        text = read_file(path, size);
    return text;
}

static void test_same_text(const struct trial *trial, const char *const *input)
{
    static const tq_partition_fn functions[] = {by_size, all_together, by_upper_bits};
    static const tq_order orders[] = {TQ_ORDER_KEY, TQ_ORDER_VALUE_DESC, TQ_ORDER_NONE};

    for (int o = 0; o < 3; o++) {
        for (int limit = 0; limit <= 1000; limit += 1000) {
            tq_job plain = job_of(input);
            size_t expected_size = 0, size = 0;

            plain.partition = NULL;
            plain.order = orders[o];
            plain.limit = (uint64_t)limit;
            char *expected = run_to_file(trial, &plain, &expected_size);
            for (int way = 0; way < 3; way++) {
                tq_job job = plain;

                choose_way(&job, way);
                job.partition = functions[(o + way) % 3];
                job.memory_bytes = way == 1 ? 0 : 3 << 20;
                job.split_bytes = way == 1 ? 7777 : 0;
                char *got = run_to_file(trial, &job, &size);
                if (trial->rank == 0)
                    check_text(got, size, expected, expected_size, "counted");
                free(got);
            }
            free(expected);
        }
    }
}

/* Each rank keeps the words whose numbers are its own, and all that have these. */
static void test_kept(struct trial *trial, const char *const *input, const word_rows *expected)
{
    for (int way = 0; way < 3; way++) {
        tq_job job = job_of(input);
        uint64_t here[256] = {0}, all[256] = {0}; /* words of each number */

        choose_way(&job, way);
        job.order = TQ_ORDER_NONE;
        job.output = TQ_OUTPUT_KEEP;
        tq_future *future = run_well(trial, &job);
        word_rows rows = kept_rows(future);
        for (size_t i = 0; i < rows.n; i++)
            here[number_of((tq_slice){rows.rows[i].data, rows.rows[i].size})]++;
        qsort(rows.rows, rows.n, sizeof *rows.rows, by_key);
        for (size_t i = 0, e = 0; i < rows.n; i++, e++) {
            while (e < expected->n && compare_keys(&expected->rows[e], &rows.rows[i]) < 0)
                e++;
            CHECK(e < expected->n && compare_keys(&expected->rows[e], &rows.rows[i]) == 0 &&
                  expected->rows[e].value == rows.rows[i].value);
        }
        for (size_t e = 0; e < expected->n; e++)
            all[number_of((tq_slice){expected->rows[e].data, expected->rows[e].size})]++;
        for (int n = 0; n < 256; n++)
            CHECK_THAT(here[n] == 0 || here[n] == all[n], "%" PRIu64 " of %" PRIu64 " words of number %d", here[n], all[n], n);
        tell_all(trial, here, sizeof here);
        for (int r = 0; r < trial->size && trial->rank == 0; r++) {
            size_t size;
            char *said = told(trial, r, &size);

            memcpy(here, said, size);
            free(said);
            for (int n = 0; n < 256; n++)
                all[n] -= here[n];
        }
        for (int n = 0; n < 256; n++)
            CHECK(trial->rank != 0 || all[n] == 0);
        free(rows.rows);
        tq_future_release(future);
    }
}

static void test_no_function(struct trial *trial, const char *const *input)
{
    for (int way = 0; way < 3; way++) {
        tq_job job = job_of(input);

        choose_way(&job, way);
        job.partition = by_the_call;
        tq_future_release(run_badly(trial, &job, TQ_E_USER, "partition"));
        meet(trial);
        if (trial->size == 1)
            continue;
        job.partition = by_rank;
        job.user = &trial->rank;
        tq_future_release(run_badly(trial, &job, TQ_E_USER, "partition"));
        meet(trial);
    }
}

static void test_refused(const struct trial *trial, const char *const *input)
{
    tq_job job = job_of(input);

    job.combine = TQ_COMBINE_NONE;
    job.order = TQ_ORDER_STABLE;
    tq_future_release(run_badly(trial, &job, TQ_E_USAGE, "partition"));
}

int main(int argc, char **argv)
{
    struct trial trial;
    char path[PATH_SIZE];
    const char *input;
    size_t size;
    char *text = make_text(TEXT, DISTINCT, 22, &size);
    word_rows counted = count_words(text, size);

    begin_trial(&trial, argc, argv, "partition");
    input = path_of(&trial, path, "in/words");
    if (trial.rank == 0)
        write_file(path, text, size);
    meet(&trial);
    test_same_text(&trial, &input);
    test_kept(&trial, &input, &counted);
    test_no_function(&trial, &input);
    test_refused(&trial, &input);
    free(counted.rows);
    free(text);
    return end_trial(&trial);
}
