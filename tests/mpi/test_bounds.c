/* The same rows, however little memory there is, however short the rounds and the splits: each kind of job is run once
 * without bounds, and then with many, in every order, with limits, into every kind of output. A run that has too little
 * memory may say so; it may not do anything else. */
#include "tests/mpi/check.h"

enum { KEYS = 1500, LINES = 8000, PATTERNS = 6 };

static uint64_t next(uint64_t *random)
{
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return *random * 0x2545f4914f6cdd1dU;
}

/* Lines of a key and a number; few keys are in very many of them, many are long, some are very long. */
static char *make_input(size_t *size)
{
    char *text = malloc((size_t)LINES * 100 + 40 * 5000), *to = text;
    uint64_t random = 201;

    CHECK(text);
    for (int line = 0; line < LINES; line++) {
        uint64_t key = next(&random) % (line % 3 ? 1 + next(&random) % KEYS : 4);

        to += sprintf(to, key % 7 ? "%" PRIu64 : "%" PRIu64 "-is-a-key-that-fits-no-entry-at-all", key);
        if (line % 1000 == 999) {
            memset(to, 'x', 3000);
            to += 3000;
        }
        to += sprintf(to, " %d\n", (int)(next(&random) % 2000) - 1000);
    }
    *size = (size_t)(to - text);
    return text;
}

static tq_slice key_of_line(const tq_record *record, int64_t *number)
{
    const char *space = memrchr(record->data, ' ', record->size);

    CHECK(space);
    *number = atoll(space + 1);
    return (tq_slice){record->data, (size_t)(space - record->data)};
}

static int map_number(const tq_record *record, tq_emitter *emitter, void *user)
{
    int64_t number;
    tq_slice key = key_of_line(record, &number);

    (void)user;
    return tq_emit_i64(emitter, key, number) != TQ_OK;
}

/* As bytes whose order is that of the numbers. */
static int map_fixed(const tq_record *record, tq_emitter *emitter, void *user)
{
    int64_t number;
    tq_slice key = key_of_line(record, &number);
    char text[16];

    (void)user;
    snprintf(text, sizeof text, "%05d", (int)number + 5000);
    return tq_emit(emitter, key, (tq_slice){text, 5}) != TQ_OK;
}

static int map_bytes(const tq_record *record, tq_emitter *emitter, void *user)
{
    int64_t number;
    tq_slice key = key_of_line(record, &number);
    size_t size = (size_t)(number + 1000) % 300;

    (void)user;
    return tq_emit(emitter, key, (tq_slice){record->data, size < record->size ? size : record->size}) != TQ_OK;
}

static int larger_bytes(tq_slice key, void *into, const void *value, void *user)
{
    (void)key;
    (void)user;
    if (memcmp(into, value, 5) < 0)
        memcpy(into, value, 5);
    return 0;
}

/* The number of values, their digest, and their sum: three rows a key, two of them of other keys. */
static int digest(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int64_t number, sum = 0, n = 0;
    uint64_t mixed = 0;
    char other[64];

    (void)user;
    for (; tq_values_next_i64(values, &number); n++) {
        sum += number;
        mixed = mixed * 31 + (uint64_t)number; /* the order of the values counts */
    }
    CHECK((uint64_t)n == tq_values_count(values));
    int size = snprintf(other, sizeof other, "count-%.*s", key.size < 40 ? (int)key.size : 40, key.data);
    if (tq_write_row_i64(out, (tq_slice){other, (size_t)size}, n))
        return 1;
    size = snprintf(other, sizeof other, "sum-%" PRId64, sum % 100);
    return tq_write_row_i64(out, (tq_slice){other, (size_t)size}, sum) || tq_write_row_i64(out, key, (int64_t)(mixed % 1000));
}

typedef struct pattern {
    const char *name;
    tq_map_fn map;
    tq_value_type type;
    tq_combine combine;
    tq_reduce_fn reduce;
    bool by_value; /* TQ_ORDER_VALUE_DESC is possible */
} pattern;

static const pattern patterns[PATTERNS] = {
    {"sum", map_number, TQ_I64, TQ_SUM, NULL, true},
    {"min", map_number, TQ_I64, TQ_MIN, NULL, true},
    {"fixed", map_fixed, TQ_FIXED, TQ_COMBINE_USER, NULL, false},
    {"all", map_number, TQ_I64, TQ_COMBINE_NONE, NULL, true},
    {"reducer", map_number, TQ_I64, TQ_COMBINE_NONE, digest, true},
    {"bytes", map_bytes, TQ_BYTES, TQ_COMBINE_NONE, NULL, false},
};

static tq_job job_of(const pattern *what, const char *const *input)
{
    tq_job job = TQ_JOB_INIT;

    job.inputs = input;
    job.n_inputs = 1;
    job.records = TQ_LINES;
    job.map = what->map;
    job.value_type = what->type;
    job.value_bytes = what->type == TQ_FIXED ? 5 : 0;
    job.combine = what->combine;
    job.combine_fn = what->combine == TQ_COMBINE_USER ? larger_bytes : NULL;
    job.reduce = what->reduce;
    job.result_type = TQ_I64;
    return job;
}

/* The rows that a rank keeps, as the text that it would have written. */
static char *text_of(const tq_future *future, tq_value_type type, size_t *size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, size);

    CHECK(to);
    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        tq_row row;

        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        fwrite(row.key.data, 1, row.key.size, to);
        if (type == TQ_I64)
            fprintf(to, "\t%" PRId64 "\n", row.i64);
        else
            fprintf(to, "\t%.*s\n", (int)row.value.size, row.value.data);
    }
    CHECK(fclose(to) == 0);
    return text;
}

/* Run, and give rank 0 the whole result as text; NULL if there was too little memory. Collective. */
static char *result_of(struct trial *trial, tq_job *job, size_t *size)
{
    char path[PATH_SIZE], tmp[PATH_SIZE];
    char *whole = NULL;

    job->raw_text = true;
    job->output_path = path_of(trial, path, "out/rows");
    job->tmpdir = path_of(trial, tmp, "tmp");
    tq_future *future = tq_submit(trial->cluster, job);
    tq_status status = await(future);
    if (status) {
        CHECK_THAT(status == TQ_E_MEMORY && job->memory_bytes, "%s", tq_future_error(future));
        CHECK_THAT(strstr(tq_future_error(future), "--memory"), "%s", tq_future_error(future));
        tq_future_release(future);
        return NULL;
    }
    if (job->output == TQ_OUTPUT_FILE) {
        if (trial->rank == 0)
            whole = read_file(path, size);
        tq_future_release(future);
        return whole;
    }
    size_t mine;
    char *text = text_of(future, job->reduce ? job->result_type : job->value_type, &mine);
    CHECK(job->output == TQ_OUTPUT_KEEP || trial->rank == 0 || mine == 0);
    tell_all(trial, text, mine);
    *size = 0;
    for (int rank = 0; rank < trial->size && trial->rank == 0; rank++) {
        size_t part;
        char *said = told(trial, rank, &part);

        whole = realloc(whole, *size + part + 1);
        CHECK(whole);
        memcpy(whole + *size, said, part);
        *size += part;
        free(said);
    }
    free(text);
    tq_future_release(future);
    return whole;
}

typedef struct bounds {
    uint64_t memory, round, split;
    tq_output_kind output;
} bounds;

static const bounds all_bounds[] = {
    {0, 0, 0, TQ_OUTPUT_KEEP},
    {0, 0, 777, TQ_OUTPUT_GATHER},
    {0, 500, 5000, TQ_OUTPUT_FILE},
    {0, UINT64_MAX, 0, TQ_OUTPUT_GATHER}, /* more than MPI can count */
    {64 << 20, 0, 0, TQ_OUTPUT_FILE},
    {16 << 20, 0, 10000, TQ_OUTPUT_GATHER},
    {8 << 20, 0, 0, TQ_OUTPUT_KEEP},
    {4 << 20, 20000, 100000, TQ_OUTPUT_FILE},
    {1 << 20, 0, 0, TQ_OUTPUT_FILE},
    {100 << 10, 0, 0, TQ_OUTPUT_FILE},
    {1000, 0, 50000, TQ_OUTPUT_KEEP},
};

static int refused, succeeded; /* runs for which memory was too little, and others of a small budget */

static void check_bounds(struct trial *trial, const pattern *what, const char *const *input, tq_order order,
                         uint64_t limit)
{
    size_t expected_size = 0, size = 0;
    tq_job job = job_of(what, input);

    job.order = order;
    job.limit = limit;
    job.output = TQ_OUTPUT_FILE;
    char *expected = result_of(trial, &job, &expected_size);
    for (size_t b = 0; b < sizeof all_bounds / sizeof all_bounds[0]; b++) {
        const bounds *bound = &all_bounds[b];

        if ((limit || trial->size > 3) && b % 3 != (limit + (uint64_t)order) % 3) /* not all of everything */
            continue;
        job.memory_bytes = bound->memory;
        job.round_bytes = bound->round;
        job.split_bytes = bound->split;
        job.output = bound->output;
        char *got = result_of(trial, &job, &size);
        if (trial->rank != 0)
            continue;
        succeeded += got && bound->memory;
        refused += !got;
        CHECK_THAT(got || bound->memory < 64 << 20, "%s: no memory with %" PRIu64, what->name, bound->memory);
        CHECK_THAT(!got || (size == expected_size && memcmp(got, expected, size) == 0),
                   "%s, order %d, limit %" PRIu64 ", bounds %zu: %zu bytes, not %zu, or others", what->name, (int)order,
                   limit, b, size, expected_size);
        free(got);
    }
    free(expected);
}

int main(int argc, char **argv)
{
    static const uint64_t limits[] = {0, 50, 1400};
    struct trial trial;
    char path[PATH_SIZE];
    const char *input;
    size_t size;

    char *text = make_input(&size);
    begin_trial(&trial, argc, argv, "bounds");
    input = path_of(&trial, path, "in/lines");
    if (trial.rank == 0)
        write_file(path, text, size);
    free(text);
    for (int p = 0; p < PATTERNS; p++)
        for (int order = TQ_ORDER_KEY; order <= TQ_ORDER_NONE; order++)
            for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++)
                if (order != TQ_ORDER_VALUE_DESC || patterns[p].by_value)
                    check_bounds(&trial, &patterns[p], &input, (tq_order)order, limits[l]);
    if (trial.rank == 0 && getenv("VERBOSE"))
        printf("%d runs of a small budget, and %d for which it was too small\n", succeeded, refused);
    return end_trial(&trial);
}
