/* Several outputs: each has the rows that were chosen for it, in the job's order and format, whatever makes the rows; none is
 * there when the job failed; and what is said of outputs that cannot be. */
#include "words.h"

enum { WORDS = 3000, MOST = TQ_MAX_OUTPUTS };

static char names[MOST][PATH_SIZE];
static const char *paths[MOST + 1];

static size_t choice(const char *key, size_t size, size_t n)
{
    return size == 17 ? 0 : (size * 7 + (unsigned char)key[size - 1]) % n;
}

static size_t choose(const tq_row *row, void *user)
{
    const size_t *n = user;

    return choice(row->key.data, row->key.size, *n);
}

static size_t choose_none(const tq_row *row, void *user)
{
    const size_t *n = user;

    return row->key.size == 60 ? *n : 0;
}

static int map_value(const tq_record *word, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit(emitter, (tq_slice){word->data, word->size}, (tq_slice){"1", 1});
}

static int sum(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int64_t all = 0, n;

    (void)user;
    while (tq_values_next_i64(values, &n))
        all += n;
    return (int)tq_write_row_i64(out, key, all);
}

/* As TQ_TEXT does, but for what it escapes. */
static int write_row(const tq_row *row, tq_text *text, void *user)
{
    (void)user;
    return tq_text_put(text, row->key) || tq_text_put(text, (tq_slice){"\t", 1}) ||
           tq_text_put_number(text, row->i64) || tq_text_put(text, (tq_slice){"\n", 1});
}

static tq_job job_of(const char *const *input, size_t *n)
{
    tq_job job = count_words_in(input);

    job.split_bytes = 900;
    job.output = TQ_OUTPUT_FILE;
    job.output_paths = paths;
    job.n_outputs = *n;
    job.choose_output = choose;
    job.user = n;
    return job;
}

/* The first `limit` of the rows, by output. */
static void check_files(const word_row *rows, size_t limit, size_t n, uint64_t *bytes)
{
    word_row *chosen = calloc(limit + 1, sizeof *chosen);

    CHECK(chosen);
    *bytes = 0;
    for (size_t k = 0; k < n; k++) {
        size_t found = 0, size, got_size;

        for (size_t i = 0; i < limit; i++)
            if (choice(rows[i].data, rows[i].size, n) == k)
                chosen[found++] = rows[i];
        char *expected = text_of_rows(chosen, found, &size), *got = read_file(paths[k], &got_size);
        check_text(got, got_size, expected, size, paths[k]);
        *bytes += size;
        free(expected);
        free(got);
    }
    free(chosen);
}

static void remove_files(const struct trial *trial, size_t n)
{
    char path[PATH_SIZE];

    for (size_t k = 0; k < n; k++)
        unlink(paths[k]);
    CHECK(count_names(path_of(trial, path, "out"), NULL) == 0);
}

static void test_order(const struct trial *trial, tq_job job, const word_rows *words, size_t n)
{
    word_rows rows = sorted_rows(words, job.order == TQ_ORDER_KEY ? by_key : by_value_desc);
    uint64_t bytes;
    tq_progress progress;

    tq_future *future = run_well(trial, &job);
    if (trial->rank == 0) {
        check_files(rows.rows, job.limit ? (size_t)job.limit : rows.n, n, &bytes);
        CHECK(tq_job_stats(future)->output_bytes == bytes);
        CHECK_STATUS(tq_job_progress(future, &progress), TQ_OK);
        CHECK(progress.phases[TQ_PHASE_WRITE].bytes == bytes);
        remove_files(trial, n);
    }
    free(rows.rows);
    tq_future_release(future);
}

static void test_ways(const struct trial *trial, const char *const *input, const word_rows *words, size_t n)
{
    char path[PATH_SIZE];
    tq_job job = job_of(input, &n);

    test_order(trial, job, words, n);
    job.order = TQ_ORDER_VALUE_DESC;
    test_order(trial, job, words, n);
    job.limit = 100;
    job.reduce = sum;
    job.combine = TQ_COMBINE_NONE;
    job.result_type = TQ_I64;
    test_order(trial, job, words, n);
    job = job_of(input, &n);
    job.memory_bytes = 8 << 20;
    job.tmpdir = path_of(trial, path, "tmp");
    test_order(trial, job, words, n);
}

/* As many lines as there are of each word, in all files together the whole text; sorted where they lie. */
static void test_stable(const struct trial *trial, const char *const *input, const word_rows *words)
{
    size_t n = 3;
    tq_job job = job_of(input, &n);

    job.map = map_value;
    job.value_type = TQ_BYTES;
    job.combine = TQ_COMBINE_NONE;
    job.order = TQ_ORDER_STABLE;
    job.row_text = TQ_ROW_KEY;
    job.raw_text = true;
    tq_future_release(run_well(trial, &job));
    for (size_t k = 0; k < n && trial->rank == 0; k++) {
        size_t at = 0, size;
        char *got = read_file(paths[k], &size);

        for (size_t i = 0; i < words->n; i++) {
            const word_row *row = &words->rows[i];

            for (int64_t c = 0; c < row->value && choice(row->data, row->size, n) == k; c++) {
                CHECK(size - at > row->size && memcmp(got + at, row->data, row->size) == 0 &&
                      got[at + row->size] == '\n');
                at += row->size + 1;
            }
        }
        CHECK(at == size);
        free(got);
    }
    if (trial->rank == 0)
        remove_files(trial, n);
}

static int longest_first(const tq_row *a, const tq_row *b, void *user)
{
    (void)user;
    return (a->key.size < b->key.size) - (a->key.size > b->key.size);
}

static int by_size_desc(const void *a, const void *b)
{
    const word_row *one = a, *other = b;
    int order = (one->size < other->size) - (one->size > other->size);

    return order ? order : compare_keys(one, other);
}

/* Each output has the lines of what the job writes into a single one, whose order is that of the rows. */
static void test_parts(const struct trial *trial, tq_job job, const word_rows *rows)
{
    enum { PARTS = 5 };
    size_t n = 1, sizes[PARTS] = {0}, size;
    char *parts[PARTS];

    job.user = &n;
    job.n_outputs = n;
    tq_future_release(run_well(trial, &job));
    if (trial->rank == 0) {
        char *whole = read_file(paths[0], &size), *line = whole;

        for (int k = 0; k < PARTS; k++)
            CHECK(parts[k] = malloc(size + 1));
        for (size_t i = 0; i < rows->n; i++) {
            char *end = strchr(line, '\n');
            size_t k = choice(rows->rows[i].data, rows->rows[i].size, PARTS);

            CHECK(end);
            memcpy(parts[k] + sizes[k], line, (size_t)(end + 1 - line));
            sizes[k] += (size_t)(end + 1 - line);
            line = end + 1;
        }
        CHECK(line == whole + size);
        free(whole);
    }
    job.n_outputs = n = PARTS;
    tq_future_release(run_well(trial, &job));
    for (int k = 0; k < PARTS && trial->rank == 0; k++) {
        char *got = read_file(paths[k], &size);

        check_text(got, size, parts[k], sizes[k], paths[k]);
        free(got);
        free(parts[k]);
    }
    if (trial->rank == 0)
        remove_files(trial, PARTS);
}

/* An order of the job's own, statistics, JSON. */
static void test_formats(const struct trial *trial, const char *const *input, const word_rows *words)
{
    size_t n = 1;
    word_rows longest = sorted_rows(words, by_size_desc);

    for (int i = 1; i < 8; i++) {
        bool is_own = i & 1;
        tq_job job = job_of(input, &n);

        job.compare = is_own ? longest_first : NULL;
        job.order = is_own ? TQ_ORDER_USER : TQ_ORDER_KEY;
        job.combine = i & 2 ? TQ_STATS : TQ_SUM;
        job.format = i & 4 ? TQ_JSON : TQ_TEXT;
        test_parts(trial, job, is_own ? &longest : words);
    }
    free(longest.rows);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *sorted_lines(const char *path)
{
    size_t size, n = 0;
    char *text = read_file(path, &size), **lines = calloc(size + 1, sizeof *lines), *sorted = calloc(size + 1, 1),
         *at = sorted;

    CHECK(lines && sorted);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        lines[n++] = line;
    qsort(lines, n, sizeof *lines, compare_lines);
    for (size_t i = 0; i < n; i++)
        at += sprintf(at, "%s\n", lines[i]);
    free(text);
    free(lines);
    return sorted;
}

/* By a function of the job's and by hash: the same lines as by key. */
static void test_none(const struct trial *trial, const char *const *input)
{
    size_t n = 4;
    tq_job job = job_of(input, &n);
    char *expected[4];

    job.raw_text = true;
    tq_future_release(run_well(trial, &job));
    for (size_t k = 0; k < n && trial->rank == 0; k++)
        expected[k] = sorted_lines(paths[k]);
    job.order = TQ_ORDER_NONE;
    job.write_text = write_row;
    tq_future_release(run_well(trial, &job));
    for (size_t k = 0; k < n && trial->rank == 0; k++) {
        char *got = sorted_lines(paths[k]);

        CHECK(strcmp(got, expected[k]) == 0);
        free(got);
        free(expected[k]);
    }
    if (trial->rank == 0)
        remove_files(trial, n);
}

static void expect(const struct trial *trial, const tq_job *job, tq_status status, const char *said)
{
    tq_future_release(run_badly(trial, job, status, said));
    if (trial->rank == 0)
        remove_files(trial, 0);
}

static void test_failing(const struct trial *trial, const char *const *input)
{
    static const char *const same[] = {"/tmp/a", "/tmp/b", "/tmp/a"};
    char path[PATH_SIZE];
    size_t n = 3;
    tq_job job = job_of(input, &n);
    const char *bad[] = {paths[0], path_of(trial, path, "out/no/folder"), paths[2]};

    job.choose_output = choose_none;
    expect(trial, &job, TQ_E_USER, "choose_output returned 3, and there are 3 outputs");
    job.choose_output = choose;
    job.output_paths = bad;
    expect(trial, &job, TQ_E_OUTPUT, "cannot create it");
    job.output_paths = same;
    expect(trial, &job, TQ_E_USAGE, "the same path");
    job.output_paths = NULL;
    expect(trial, &job, TQ_E_USAGE, "NULL or empty");
    job.output_paths = paths;
    job.n_outputs = 0;
    expect(trial, &job, TQ_E_USAGE, "need each other");
    job.n_outputs = MOST + 1;
    expect(trial, &job, TQ_E_USAGE, "more outputs than TQ_MAX_OUTPUTS");
    job.n_outputs = n;
    job.output = TQ_OUTPUT_KEEP;
    expect(trial, &job, TQ_E_USAGE, "need TQ_OUTPUT_FILE");
    job.output = TQ_OUTPUT_FILE;
    job.output_path = paths[0];
    expect(trial, &job, TQ_E_USAGE, "not both");
    job.output_path = NULL;
    job.write_text = write_row;
    job.write_in_order = true;
    expect(trial, &job, TQ_E_USAGE, "cannot be written in order");
    if (trial->rank == 0)
        CHECK(mkdir(paths[1], 0700) == 0); /* the name is taken, by a folder */
    meet(trial);
    job = job_of(input, &n);
    tq_future_release(run_badly(trial, &job, TQ_E_OUTPUT, "is a folder"));
    if (trial->rank == 0)
        CHECK(rmdir(paths[1]) == 0 && count_names(path_of(trial, path, "out"), NULL) == 0);
}

int main(int argc, char **argv)
{
    static const size_t counts[] = {1, 2, 5, MOST};
    char path[PATH_SIZE], name[32];
    struct trial trial;
    size_t size;

    begin_trial(&trial, argc, argv, "outputs");
    const char *input = path_of(&trial, path, "in/text");
    char *text = make_text(120000, WORDS, 80, &size);
    word_rows words = count_words(text, size);
    for (int k = 0; k < MOST; k++) {
        snprintf(name, sizeof name, "out/%d", k);
        paths[k] = path_of(&trial, names[k], name);
    }
    if (trial.rank == 0)
        write_file(path, text, size);
    meet(&trial);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        test_ways(&trial, &input, &words, counts[i]);
    test_stable(&trial, &input, &words);
    test_formats(&trial, &input, &words);
    test_none(&trial, &input);
    test_failing(&trial, &input);
    free(words.rows);
    free(text);
    return end_trial(&trial);
}
