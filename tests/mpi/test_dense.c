/* Dense results: what mappers add to numbers by their index is summed over workers and ranks, whatever the number of
 * numbers; rows that are made of it; and what there is no room for. */
#include "words.h"

/* Adds a word's size at a place that its bytes give. */
static size_t place_of(const char *data, size_t size, size_t n)
{
    size_t place = size;

    for (size_t i = 0; i < size; i++)
        place = place * 31 + (unsigned char)data[i];
    return place % n;
}

static int map(const tq_record *word, tq_emitter *emitter, void *user)
{
    int64_t *dense = tq_emitter_dense(emitter);
    const size_t *n = user;

    if (!dense)
        return tq_emit_fail(emitter, "there is no dense result");
    dense[place_of(word->data, word->size, *n)] -= (int64_t)word->size;
    return word->size == 3 ? (int)tq_emit_i64(emitter, (tq_slice){"three", 5}, 1) : 0;
}

static int make_rows(const int64_t *dense, size_t n, tq_emitter *emitter, void *user)
{
    const size_t *expected = user;
    char key[32];

    if (n != *expected || tq_emitter_rank(emitter) != 0)
        return tq_emit_fail(emitter, "%zu numbers, not %zu", n, *expected);
    for (size_t i = 0; i < n; i++) {
        int size = snprintf(key, sizeof key, "%08zu", i);

        if (dense[i] && tq_emit_i64(emitter, (tq_slice){key, (size_t)size}, dense[i]))
            return 1;
    }
    return 0;
}

static tq_job job_of(const char *const *input, size_t *n)
{
    tq_job job = count_words_in(input);

    job.map = map;
    job.dense = *n;
    job.split_bytes = 700;
    job.output = TQ_OUTPUT_GATHER;
    job.user = n;
    return job;
}

static int64_t *expected_of(const word_rows *words, size_t n, int64_t *threes)
{
    int64_t *sums = calloc(n, sizeof *sums);

    CHECK(sums);
    *threes = 0;
    for (size_t i = 0; i < words->n; i++) {
        const word_row *row = &words->rows[i];

        sums[place_of(row->data, row->size, n)] -= (int64_t)row->size * row->value;
        *threes += row->size == 3 ? row->value : 0;
    }
    return sums;
}

/* The rows are what is not 0, by its place, and behind that the one that mappers emit. */
static void check_made(const tq_future *future, const int64_t *sums, size_t n, int64_t threes)
{
    uint64_t at = 0;
    tq_row row;

    for (size_t i = 0; i < n; i++) {
        if (sums[i] == 0)
            continue;
        CHECK_STATUS(tq_job_row(future, at++, &row), TQ_OK);
        CHECK(strtoul(row.key.data, NULL, 10) == i && row.i64 == sums[i]);
    }
    CHECK_STATUS(tq_job_row(future, at, &row), TQ_OK);
    CHECK(row.key.size == 5 && row.i64 == threes && tq_job_rows(future) == at + 1);
}

static void test_sums(const struct trial *trial, const char *const *input, const word_rows *words, size_t n, bool rows)
{
    tq_job job = job_of(input, &n);
    int64_t threes, *sums = expected_of(words, n, &threes);
    size_t got;

    job.dense_rows = rows ? make_rows : NULL;
    tq_future *future = run_well(trial, &job);
    const int64_t *dense = tq_job_dense(future, &got);
    CHECK(dense && got == n && memcmp(dense, sums, n * sizeof *sums) == 0);
    CHECK(tq_job_dense(future, NULL) == dense && !tq_job_dense(NULL, NULL));
    if (trial->rank == 0 && rows)
        check_made(future, sums, n, threes);
    else
        CHECK(tq_job_rows(future) == (trial->rank == 0));
    tq_future_release(future);
    free(sums);
}

static int fail_rows(const int64_t *dense, size_t n, tq_emitter *emitter, void *user)
{
    (void)dense;
    (void)user;
    return n == 1 ? 17 : tq_emit_fail(emitter, "no rows today");
}

static void expect(const struct trial *trial, const tq_job *job, tq_status status, const char *said)
{
    tq_future *future = run_badly(trial, job, status, said);

    CHECK(!tq_job_dense(future, NULL));
    tq_future_release(future);
}

static void test_wrong(const struct trial *trial, const char *const *input)
{
    size_t one = 1, many = 100;
    tq_job job = job_of(input, &many);

    job.dense_rows = fail_rows;
    expect(trial, &job, TQ_E_USER, "no rows today");
    job = job_of(input, &one);
    job.dense_rows = fail_rows;
    expect(trial, &job, TQ_E_USER, "returned 17");
    job.dense = 0;
    expect(trial, &job, TQ_E_USAGE, "dense_rows needs a dense result");
    job = job_of(input, &many);
    job.dense = SIZE_MAX / 4;
    expect(trial, &job, TQ_E_USAGE, "dense is too large");
    job.dense = 1 << 20;
    job.memory_bytes = 16 << 20;
    expect(trial, &job, TQ_E_MEMORY, "more than half of the memory");
    job = job_of(input, &many);
    job.dense = 0;
    expect(trial, &job, TQ_E_USER, "there is no dense result");
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {1, 7, 512, 513, 100000};
    char path[PATH_SIZE], none_path[PATH_SIZE];
    struct trial trial;
    size_t size;

    begin_trial(&trial, argc, argv, "dense");
    const char *input = path_of(&trial, path, "in/text"), *none = path_of(&trial, none_path, "in/none");
    char *text = make_text(20000, 500, 79, &size);
    word_rows words = count_words(text, size), no_words = {0};
    if (trial.rank == 0) {
        write_file(path, text, size);
        write_file(none_path, "abc", 3);
    }
    meet(&trial);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int rows = 0; rows < 2; rows++)
            test_sums(&trial, &input, &words, sizes[i], rows);
    no_words = count_words("abc", 3);
    test_sums(&trial, &none, &no_words, 1000, true);
    test_wrong(&trial, &input);
    free(no_words.rows);
    free(words.rows);
    free(text);
    return end_trial(&trial);
}
