/* Side data: what rank 0 gives is what every mapper and reducer gets, whatever its size, given or in a file; what there is no room for; and
 * that other ranks' are not looked at. */
#include "words.h"

enum { WORDS = 2000 };

/* Emits words that the side data have, and checks the rest of these. */
static int map(const tq_record *word, tq_emitter *emitter, void *user)
{
    tq_slice side = tq_emitter_side(emitter);
    const size_t *expected = user;

    if (side.size != *expected)
        return tq_emit_fail(emitter, "%zu bytes of side data, not %zu", side.size, *expected);
    if (side.size > 0 && side.data[side.size - 1] != '!')
        return tq_emit_fail(emitter, "the last byte is wrong");
    if (side.size < WORDS || side.data[word->size] != 'x')
        return 0;
    return (int)tq_emit_i64(emitter, (tq_slice){word->data, word->size}, 1);
}

static int reduce(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    tq_slice side = tq_rows_side(out);
    int64_t n;

    (void)user;
    if (side.data[key.size] != 'x' || !tq_values_next_i64(values, &n))
        return tq_reduce_fail(out, "this word is not in the side data");
    return (int)tq_write_row_i64(out, key, n);
}

static tq_job job_of(const struct trial *trial, const char *const *input, const char *side, size_t *size)
{
    tq_job job = count_words_in(input);

    job.map = map;
    job.reduce = reduce;
    job.result_type = TQ_I64;
    job.split_bytes = 300;
    job.output = TQ_OUTPUT_GATHER;
    job.user = size;
    job.side = trial->rank == 0 ? side : "not looked at";
    job.side_bytes = trial->rank == 0 ? *size : 3;
    return job;
}

/* Of words of even length. */
static void test_words(const struct trial *trial, const char *const *input, const word_rows *words, size_t size)
{
    char *side = calloc(size + 1, 1);
    tq_job job = job_of(trial, input, side, &size);

    CHECK(side);
    for (size_t i = 0; i < size; i++)
        side[i] = i + 1 == size ? '!' : i % 2 ? 'o' : 'x';
    tq_future *future = run_well(trial, &job);
    word_rows rows = kept_rows(future);
    size_t n = 0;
    for (size_t i = 0; size >= WORDS && i < words->n; i++)
        n += words->rows[i].size % 2 == 0;
    CHECK_THAT(rows.n == (trial->rank == 0 ? n : 0), "%zu rows, not %zu", rows.n, n);
    free(rows.rows);
    tq_future_release(future);
    free(side);
}

/* The same from a file, as it is or compressed, and left out where it is larger than it may be. */
static void test_file(const struct trial *trial, const char *const *input, const word_rows *words, size_t size)
{
    char path[PATH_SIZE], zipped[PATH_SIZE + 4], command[2 * PATH_SIZE + 32], *side = malloc(size);
    size_t none = 0, n = 0;
    tq_job job = job_of(trial, input, NULL, &size);

    CHECK(side);
    for (size_t i = 0; i < size; i++)
        side[i] = i + 1 == size ? '!' : i % 2 ? 'o' : 'x';
    path_of(trial, path, "in/side");
    snprintf(zipped, sizeof zipped, "%s.gz", path);
    snprintf(command, sizeof command, "gzip -kf %s", path);
    if (trial->rank == 0)
        write_file(path, side, size);
    CHECK(trial->rank != 0 || system(command) == 0);
    meet(trial);
    for (size_t i = 0; i < words->n; i++)
        n += words->rows[i].size % 2 == 0;
    for (int way = 0; way < 4; way++) {
        job.side = NULL;
        job.side_path = way % 2 ? zipped : path;
        job.side_bytes = way < 2 ? 0 : trial->rank == 0 ? size : 1;
        tq_future *future = run_well(trial, &job);
        CHECK(tq_job_rows(future) == (trial->rank == 0 ? n : 0));
        tq_future_release(future);
    }
    job.side_bytes = size - 1;
    job.user = &none;
    tq_future_release(run_well(trial, &job));
    job.side_path = "/dev/null";
    tq_future_release(run_well(trial, &job));
    job.side_bytes = 0;
    tq_future_release(run_badly(trial, &job, TQ_E_INPUT, "no regular file"));
    job.side_path = "/no such file";
    tq_future_release(run_badly(trial, &job, TQ_E_INPUT, "No such file"));
    job.side = "x";
    tq_future_release(run_badly(trial, &job, TQ_E_USAGE, "not both"));
    free(side);
}

static void test_wrong(const struct trial *trial, const char *const *input)
{
    size_t size = 5 << 20;
    char *side = calloc(size, 1);
    tq_job job = job_of(trial, input, side, &size);

    CHECK(side);
    job.memory_bytes = 8 << 20;
    tq_future_release(run_badly(trial, &job, TQ_E_MEMORY, "more than half of the memory"));
    job.memory_bytes = trial->rank == trial->size - 1 ? 8 << 20 : 0; /* not enough on one rank */
    tq_future_release(run_badly(trial, &job, TQ_E_MEMORY, "more than half of the memory"));
    job = job_of(trial, input, NULL, &size);
    tq_future_release(run_badly(trial, &job, TQ_E_USAGE, "side is NULL"));
    free(side);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {0, 1, 1500, 4096, 4097, 300000, 5 << 20};
    char path[PATH_SIZE];
    struct trial trial;
    size_t size;

    begin_trial(&trial, argc, argv, "side");
    const char *input = path_of(&trial, path, "in/text");
    char *text = make_text(20000, WORDS, 78, &size);
    word_rows words = count_words(text, size);
    if (trial.rank == 0)
        write_file(path, text, size);
    meet(&trial);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        test_words(&trial, &input, &words, sizes[i]);
    test_file(&trial, &input, &words, WORDS);
    test_file(&trial, &input, &words, 300000);
    test_wrong(&trial, &input);
    free(words.rows);
    free(text);
    return end_trial(&trial);
}
