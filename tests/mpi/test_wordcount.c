/* Counting words, against a count of its own: every order and output, limits, split sizes down to one byte, rounds of a
 * few bytes, and a budget that makes pages spill. */
#include "words.h"

/* A text, on disk as in/NAME, and its words in each order. */
struct corpus {
    char *text;
    size_t size;
    char path[PATH_SIZE];
    const char *input;
    word_rows expected[3]; /* by tq_order; that of TQ_ORDER_NONE is what the first run gave, checked as a set */
};

/* One job. */
struct variant {
    tq_order order;
    tq_output_kind output;
    uint64_t limit, split_bytes, round_bytes;
    bool chunks;
};

static int map_chunk(const tq_record *record, tq_emitter *emitter, void *user)
{
    tq_slice text = {record->data, record->size}, words[37];
    tq_status status = TQ_OK;

    (void)user;
    for (size_t n; !status && (n = tq_next_words(&text, words, 37)) != 0;)
        status = tq_emit_keys_i64(emitter, words, n, 1);
    return status != TQ_OK;
}

static const char *describe(const struct variant *variant, char text[256])
{
    static const char *const orders[] = {"key", "value_desc", "none"}, *const outputs[] = {"keep", "gather", "file",
                                                                                           "fd"};

    snprintf(text, 256, "order %s, output %s, limit %" PRIu64 ", splits of %" PRIu64 ", rounds of %" PRIu64 "%s",
             orders[variant->order], outputs[variant->output], variant->limit, variant->split_bytes,
             variant->round_bytes, variant->chunks ? ", chunks" : "");
    return text;
}

static size_t expected_rows(const struct corpus *corpus, const struct variant *variant)
{
    size_t n = corpus->expected[variant->order].n;

    return variant->limit && variant->limit < n ? (size_t)variant->limit : n;
}

/* The parts that the ranks keep, put together. */
static void check_kept(struct trial *trial, const struct corpus *corpus, const struct variant *variant,
                       tq_future *future)
{
    const word_rows *expected = &corpus->expected[variant->order];
    size_t size, all_size = 0, expected_size;
    char what[256], *all = NULL;

    word_rows kept = kept_rows(future);
    char *text = text_of_rows(kept.rows, kept.n, &size);
    tell_all(trial, text, size);
    free(text);
    free(kept.rows);
    if (trial->rank != 0)
        return;
    for (int r = 0; r < trial->size; r++) {
        text = told(trial, r, &size);
        all = realloc(all, all_size + size + 1);
        CHECK(all);
        memcpy(all + all_size, text, size);
        all_size += size;
        free(text);
    }
    text = text_of_rows(expected->rows, expected_rows(corpus, variant), &expected_size);
    check_text(all, all_size, text, expected_size, describe(variant, what));
    free(text);
    free(all);
}

static void check_file(const struct corpus *corpus, const struct variant *variant, const char *path)
{
    size_t size, expected_size;
    char what[256], *text = read_file(path, &size);
    char *expected =
        text_of_rows(corpus->expected[variant->order].rows, expected_rows(corpus, variant), &expected_size);

    check_text(text, size, expected, expected_size, describe(variant, what));
    free(expected);
    free(text);
    CHECK(unlink(path) == 0);
}

static void check_gathered(const struct trial *trial, struct corpus *corpus, const struct variant *variant,
                           tq_future *future)
{
    word_rows kept = kept_rows(future);
    char what[256];

    describe(variant, what);
    if (trial->rank != 0)
        CHECK_THAT(kept.n == 0, "%s: rank %d keeps rows", what, trial->rank);
    else
        check_rows(&kept, corpus->expected[variant->order].rows, expected_rows(corpus, variant), what);
    free(kept.rows);
}

static void check_stats(const struct trial *trial, const struct corpus *corpus, const struct variant *variant,
                        const tq_future *future)
{
    const tq_stats *stats = tq_job_stats(future);
    char what[256];

    CHECK((stats != NULL) == (trial->rank == 0));
    if (!stats)
        return;
    describe(variant, what);
    CHECK_THAT(stats->rows == expected_rows(corpus, variant), "%s: %" PRIu64 " rows", what, stats->rows);
    CHECK_THAT(stats->written.records == stats->rows, "%s: %" PRIu64 " written", what, stats->written.records);
    CHECK(stats->files == 1 && stats->ranks == trial->size);
    CHECK_THAT(stats->input_bytes == corpus->size, "%s: %" PRIu64 " bytes read", what, stats->input_bytes);
    CHECK(stats->emitted.records == corpus->expected[TQ_ORDER_KEY].words);
    if (variant->split_bytes)
        CHECK(stats->splits == (corpus->size + variant->split_bytes - 1) / variant->split_bytes);
}

static tq_future *start(struct trial *trial, const struct corpus *corpus, const struct variant *variant,
                        const char *output, int *fd)
{
    tq_job job = count_words_in(&corpus->input);

    if (variant->chunks) {
        job.map = NULL;
        job.map_chunk = map_chunk;
    }
    job.order = variant->order;
    job.output = variant->output;
    job.limit = variant->limit;
    job.split_bytes = variant->split_bytes;
    job.round_bytes = variant->round_bytes;
    if (variant->output == TQ_OUTPUT_FILE)
        job.output_path = output;
    if (variant->output == TQ_OUTPUT_FD && trial->rank == 0) {
        *fd = open(output, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        CHECK(*fd >= 0);
        job.output_fd = *fd;
    }
    return run_well(trial, &job);
}

static void run(struct trial *trial, struct corpus *corpus, const struct variant *variant)
{
    char path[PATH_SIZE];
    const char *output = path_of(trial, path, "out/words");
    int fd = -1;
    tq_future *future = start(trial, corpus, variant, output, &fd);

    check_stats(trial, corpus, variant, future);
    if (fd >= 0)
        CHECK(close(fd) == 0);
    if (variant->output == TQ_OUTPUT_KEEP)
        check_kept(trial, corpus, variant, future);
    else if (variant->output == TQ_OUTPUT_GATHER)
        check_gathered(trial, corpus, variant, future);
    else
        CHECK(tq_job_rows(future) == 0);
    if (trial->rank == 0 && (variant->output == TQ_OUTPUT_FILE || variant->output == TQ_OUTPUT_FD))
        check_file(corpus, variant, output);
    tq_future_release(future);
}

/* What order the rows have without one is tequio's own business, but it is one order: learn it. */
static void learn_order(struct trial *trial, struct corpus *corpus)
{
    struct variant first = {TQ_ORDER_NONE, TQ_OUTPUT_GATHER, 0, 0, 0, false};
    tq_future *future = start(trial, corpus, &first, NULL, NULL);
    word_rows got = kept_rows(future), *expected = corpus->expected;

    if (trial->rank == 0) {
        word_rows sorted = sorted_rows(&got, by_key);

        check_rows(&sorted, expected[TQ_ORDER_KEY].rows, expected[TQ_ORDER_KEY].n, "as a set");
        /* The keys that were got live in the future, those that were counted longer. */
        for (size_t i = 0; i < got.n; i++)
            got.rows[i] =
                *(word_row *)bsearch(&got.rows[i], expected[TQ_ORDER_KEY].rows, got.n, sizeof *got.rows, by_key);
        free(sorted.rows);
    }
    expected[TQ_ORDER_NONE] = trial->rank == 0 ? got : (word_rows){got.rows, expected[TQ_ORDER_KEY].n, 0};
    tq_future_release(future);
}

static void make_corpus(struct trial *trial, struct corpus *corpus, const char *name, size_t size, uint64_t distinct,
                        uint64_t seed)
{
    char file[64];

    *corpus = (struct corpus){0};
    corpus->text = make_text(size, distinct, seed, &corpus->size);
    snprintf(file, sizeof file, "in/%s", name);
    corpus->input = path_of(trial, corpus->path, file);
    if (trial->rank == 0)
        write_file(corpus->path, corpus->text, corpus->size);
    corpus->expected[TQ_ORDER_KEY] = count_words(corpus->text, corpus->size);
    corpus->expected[TQ_ORDER_VALUE_DESC] = sorted_rows(&corpus->expected[TQ_ORDER_KEY], by_value_desc);
    learn_order(trial, corpus);
}

static void free_corpus(struct corpus *corpus)
{
    for (int order = 0; order < 3; order++)
        free(corpus->expected[order].rows);
    free(corpus->text);
}

static void test_outputs(struct trial *trial, struct corpus *corpus)
{
    static const uint64_t limits[] = {0, 1, 17, UINT64_MAX};

    for (int order = TQ_ORDER_KEY; order <= TQ_ORDER_NONE; order++)
        for (int output = TQ_OUTPUT_KEEP; output <= TQ_OUTPUT_FD; output++)
            for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
                struct variant variant = {(tq_order)order, (tq_output_kind)output, limits[i], 4096, 0, i % 2 != 0};

                /* With many ranks each order and output with one limit, with few ranks with all of them. */
                if (trial->size > 3 ? (int)i == (order + output) % 4 : i < 3 || output == TQ_OUTPUT_GATHER)
                    run(trial, corpus, &variant);
            }
}

static void test_splits_and_rounds(struct trial *trial, struct corpus *corpus)
{
    static const uint64_t splits[] = {1, 7, 4096}, rounds[] = {64, 300, 0};

    for (size_t s = 0; s < 3; s++)
        for (size_t r = 0; r < 3; r++) {
            struct variant variant = {
                (tq_order)((s + r) % 3), r == 1 ? TQ_OUTPUT_FILE : TQ_OUTPUT_GATHER, 0, splits[s], rounds[r],
                (s + r) % 2 != 0};

            run(trial, corpus, &variant);
        }
}

/* Enough rows for ranges that a sample decides. */
static void test_ranges(struct trial *trial, struct corpus *corpus)
{
    for (int order = TQ_ORDER_KEY; order <= TQ_ORDER_NONE; order++)
        for (int output = TQ_OUTPUT_KEEP; output <= TQ_OUTPUT_FILE; output++) {
            struct variant variant = {(tq_order)order, (tq_output_kind)output, 0, 0, 0, true};

            run(trial, corpus, &variant);
            variant.limit = 5000;
            if (output == TQ_OUTPUT_KEEP)
                run(trial, corpus, &variant);
        }
}

/* ---- A budget ---- */

enum { SPILL_DISTINCT = 20000, SPILL_KEY = 200 };

/* A budget that has room for what a worker needs, and for a part of the pages. */
static uint64_t spill_memory(const struct trial *trial)
{
    return (uint64_t)(16 + 8 * trial->threads) << 20;
}

/* Words for each rank: with few ranks so many that their pages are larger than the budget. */
static int spill_words(const struct trial *trial)
{
    return trial->size > 3 ? 15000 : (int)(spill_memory(trial) / SPILL_KEY);
}

/* A key of 200 bytes for each word, so that little text makes many pages. */
static int map_to_long_keys(const tq_record *record, tq_emitter *emitter, void *user)
{
    char key[SPILL_KEY];

    (void)user;
    memset(key, '.', sizeof key);
    memcpy(key, record->data, record->size);
    return tq_emit_i64(emitter, (tq_slice){key, sizeof key}, 1) != TQ_OK;
}

static int64_t *make_spill_text(const struct trial *trial, const char *path)
{
    int n = spill_words(trial) * trial->size;
    char *text = malloc(7 * (size_t)n + 1);
    int64_t *counts = calloc(SPILL_DISTINCT, sizeof *counts);
    uint64_t state = 12345;

    CHECK(text && counts);
    for (int i = 0; i < n; i++) {
        unsigned number = (unsigned)(next_random(&state) % SPILL_DISTINCT);

        counts[number]++;
        snprintf(text + 7 * i, 8, "%06u ", number);
    }
    if (trial->rank == 0)
        write_file(path, text, 7 * (size_t)n);
    free(text);
    return counts;
}

static void check_spill_rows(const struct trial *trial, const tq_future *future, const int64_t *counts)
{
    word_rows rows = kept_rows(future);
    size_t n = 0;

    for (unsigned number = 0; number < SPILL_DISTINCT; number++) {
        char word[16];

        if (!counts[number])
            continue;
        snprintf(word, sizeof word, "%06u", number);
        if (trial->rank == 0)
            CHECK_THAT(n < rows.n && rows.rows[n].size == SPILL_KEY && memcmp(rows.rows[n].data, word, 6) == 0 &&
                           rows.rows[n].value == counts[number],
                       "spilled: row %zu is not %s %" PRId64, n, word, counts[number]);
        n++;
    }
    CHECK(rows.n == (trial->rank == 0 ? n : 0));
    free(rows.rows);
}

static void test_spill(struct trial *trial)
{
    char path[PATH_SIZE], tmpdir[PATH_SIZE];
    const char *input = path_of(trial, path, "in/spill");
    int64_t *counts = make_spill_text(trial, input);
    tq_job job = count_words_in(&input);

    job.map = map_to_long_keys;
    job.output = TQ_OUTPUT_GATHER;
    job.memory_bytes = spill_memory(trial);
    job.tmpdir = path_of(trial, tmpdir, "tmp");
    tq_future *future = run_well(trial, &job);
    check_spill_rows(trial, future, counts);
    if (trial->rank == 0) {
        const tq_stats *stats = tq_job_stats(future);
        uint64_t spilled = 0;

        for (int r = 0; r < stats->ranks; r++)
            spilled += stats->rank[r].spilled_bytes;
        CHECK_THAT(spilled > 0 || trial->size > 3, "nothing was spilled, so the test tests nothing");
        CHECK(count_names(tmpdir, NULL) == 0);
    }
    tq_future_release(future);
    free(counts);
}

/* Inputs at the edges of what is a text. */
static void test_small_texts(struct trial *trial)
{
    static const char *const texts[] = {"", "\n", " \t\r\n", "a", "a\n", "\na", "aa aa\n", "\n\n\nb\n\n\na b"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct corpus corpus = {.text = strdup(texts[i]), .size = strlen(texts[i])};
        char name[32];

        CHECK(corpus.text);
        snprintf(name, sizeof name, "in/small-%zu", i);
        corpus.input = path_of(trial, corpus.path, name);
        if (trial->rank == 0)
            write_file(corpus.path, corpus.text, corpus.size);
        corpus.expected[TQ_ORDER_KEY] = count_words(corpus.text, corpus.size);
        struct variant variant = {TQ_ORDER_KEY, i % 2 ? TQ_OUTPUT_FILE : TQ_OUTPUT_GATHER, 0, 1 + i % 3, 0, i % 4 >= 2};
        run(trial, &corpus, &variant);
        free(corpus.expected[TQ_ORDER_KEY].rows);
        free(corpus.text);
    }
}

int main(int argc, char **argv)
{
    struct trial trial;
    struct corpus small, medium, large;
    char path[PATH_SIZE];

    begin_trial(&trial, argc, argv, "wordcount");
    test_small_texts(&trial);
    make_corpus(&trial, &small, "small", 1500, 60, 1);
    test_splits_and_rounds(&trial, &small);
    make_corpus(&trial, &medium, "medium", 40000, 700, 2);
    test_outputs(&trial, &medium);
    make_corpus(&trial, &large, "large", 300000, 20000, 3);
    CHECK(large.expected[TQ_ORDER_KEY].n > 6000);
    test_ranges(&trial, &large);
    test_spill(&trial);
    if (trial.rank == 0)
        CHECK(count_names(path_of(&trial, path, "out"), NULL) == 0);
    free_corpus(&small);
    free_corpus(&medium);
    free_corpus(&large);
    return end_trial(&trial);
}
