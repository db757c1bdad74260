/* Counters of a job's own: from mappers and reducers, by any number of workers and ranks; by name in the statistics; of
 * jobs that failed or were cancelled; and wrong ones. */
#include "words.h"

enum { SHORT, LONG, BYTES, GROUPS, COUNTERS };

static const char *const names[COUNTERS] = {"short-words", "long-words", "bytes", "groups"};

static int map(const tq_record *word, tq_emitter *emitter, void *user)
{
    (void)user;
    if (word->size == 3 && memcmp(word->data, "BAD", 3) == 0)
        return tq_emit_fail(emitter, "this word is bad");
    tq_emit_count(emitter, word->size < 8 ? SHORT : LONG, 1);
    tq_emit_count(emitter, BYTES, -(int64_t)word->size);
    return (int)tq_emit_i64(emitter, (tq_slice){word->data, word->size}, 1);
}

static int reduce(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int64_t n;

    (void)user;
    if (tq_reduce_count(out, GROUPS, 1) || !tq_values_next_i64(values, &n))
        return 1;
    return (int)tq_write_row_i64(out, key, n);
}

static tq_job job_of(const char *const *input)
{
    tq_job job = count_words_in(input);

    job.map = map;
    job.reduce = reduce;
    job.result_type = TQ_I64;
    job.counters = names;
    job.n_counters = COUNTERS;
    job.split_bytes = 900;
    return job;
}

static int64_t counter(const tq_future *future, size_t index)
{
    int64_t n = -1;

    CHECK_STATUS(tq_job_counter(future, index, &n), TQ_OK);
    return n;
}

static void test_sums(const struct trial *trial, const char *const *input, const word_rows *words)
{
    int64_t small = 0, bytes = 0, other;
    tq_job job = job_of(input);
    tq_future *future = run_well(trial, &job);

    for (size_t i = 0; i < words->n; i++) {
        small += words->rows[i].size < 8 ? words->rows[i].value : 0;
        bytes += words->rows[i].value * (int64_t)words->rows[i].size;
    }
    CHECK(counter(future, SHORT) == small && counter(future, LONG) == (int64_t)words->words - small);
    CHECK(counter(future, BYTES) == -bytes && counter(future, GROUPS) == (int64_t)words->n);
    CHECK_STATUS(tq_job_counter(future, COUNTERS, &other), TQ_E_USAGE);
    CHECK_STATUS(tq_job_counter(NULL, 0, &other), TQ_E_USAGE);
    const tq_stats *stats = tq_job_stats(future);
    CHECK((stats != NULL) == (trial->rank == 0));
    if (stats) {
        CHECK(stats->n_counters == COUNTERS && stats->counters[BYTES] == -bytes);
        CHECK(strcmp(stats->counter_names[GROUPS], "groups") == 0 && stats->counter_names[0] != names[0]);
    }
    tq_future_release(future);
}

/* Of a failed job: some, the same on all ranks, and never more than there is. */
static void test_failed(struct trial *trial, const char *const *input)
{
    int64_t counts[COUNTERS];
    tq_job job = job_of(input);
    tq_future *future = tq_submit(trial->cluster, &job);
    size_t size;

    CHECK_STATUS(await(future), TQ_E_USER);
    for (size_t i = 0; i < COUNTERS; i++)
        counts[i] = counter(future, i);
    CHECK(counts[SHORT] >= 1 && counts[SHORT] <= 3 && counts[GROUPS] == 0); /* the word before is counted for sure */
    tq_future_release(future);
    tell_all(trial, counts, sizeof counts);
    for (int r = 0; trial->rank == 0 && r < trial->size; r++) {
        char *theirs = told(trial, r, &size);

        CHECK(size == sizeof counts && memcmp(theirs, counts, size) == 0);
        free(theirs);
    }
}

static void test_cancelled(const struct trial *trial, const char *const *input)
{
    tq_job job = job_of(input), before = job_of(input);
    tq_future *first = tq_submit(trial->cluster, &before), *future = tq_submit(trial->cluster, &job);
    int64_t n = -1;

    tq_future_cancel(future);
    CHECK_STATUS(await(first), TQ_OK);
    tq_status status = await(future);
    CHECK(status == TQ_E_CANCELLED || status == TQ_OK); /* with threads = 0 it was over before */
    CHECK_STATUS(tq_job_counter(future, SHORT, &n), TQ_OK);
    CHECK(n >= 0);
    tq_future_release(first);
    tq_future_release(future);
}

static int map_wrongly(const tq_record *word, tq_emitter *emitter, void *user)
{
    (void)word;
    (void)user;
    return tq_emit_count(emitter, COUNTERS, 1) == TQ_E_USER ? 0 : 1; /* the job ends though nothing is returned */
}

static int reduce_wrongly(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    (void)key;
    (void)values;
    (void)user;
    return (int)tq_reduce_count(out, SIZE_MAX, 1);
}

static void test_wrong(const struct trial *trial, const char *const *input)
{
    static const char *const twice[] = {"same", "same"}, *const spaced[] = {"a b"}, *const none[] = {NULL};
    tq_job job = job_of(input);

    job.map = map_wrongly;
    tq_future_release(run_badly(trial, &job, TQ_E_USER, "tq_emit_count"));
    job = job_of(input);
    job.reduce = reduce_wrongly;
    tq_future_release(run_badly(trial, &job, TQ_E_USER, "tq_reduce_count"));
    job = job_of(input);
    job.counters = twice, job.n_counters = 2;
    tq_future_release(run_badly(trial, &job, TQ_E_USAGE, "the same name"));
    job.counters = spaced, job.n_counters = 1;
    tq_future_release(run_badly(trial, &job, TQ_E_USAGE, "graphic ASCII"));
    job.counters = none;
    tq_future_release(run_badly(trial, &job, TQ_E_USAGE, "NULL or empty"));
    job.counters = NULL;
    tq_future_release(run_badly(trial, &job, TQ_E_USAGE, "NULL or empty"));
}

int main(int argc, char **argv)
{
    char text_path[PATH_SIZE], bad_path[PATH_SIZE];
    struct trial trial;
    size_t size;

    begin_trial(&trial, argc, argv, "counters");
    const char *input = path_of(&trial, text_path, "in/text"), *bad = path_of(&trial, bad_path, "in/bad");
    char *text = make_text(40000, 300, 77, &size);
    word_rows words = count_words(text, size);
    if (trial.rank == 0) {
        write_file(text_path, text, size);
        write_file(bad_path, "good BAD more words", 19);
    }
    meet(&trial);
    test_sums(&trial, &input, &words);
    test_failed(&trial, &bad);
    test_cancelled(&trial, &input);
    test_wrong(&trial, &input);
    free(words.rows);
    free(text);
    return end_trial(&trial);
}
