/* Jobs that fail: on every rank the same error, nothing left behind, and the next job on the same cluster works. */
#include "check.h"

/* 64 bytes a line and a split, 64 lines a rank: of its first share, a sixteenth of an equal part, rank R surely maps the
 * four lines from 4 R on. */
enum { LINE = 64, LINES_A_RANK = 64, FIRST_SHARE = LINES_A_RANK / 16 };

/* What the functions of a job are told. Constant while the job runs. */
struct plan {
    int rank;         /* the rank this is on */
    int failing_rank; /* -1: every */
    uint64_t offset;  /* of the record to fail at */
    int code;
    bool says_why;
};

static struct trial trial; /* the main thread's; rank, size and folder are read by all */
static char input_path[PATH_SIZE], *const input_paths[] = {input_path};

static tq_job job_of(struct plan *plan)
{
    tq_job job = count_words_in((const char *const *)input_paths);

    job.records = TQ_LINES;
    job.split_bytes = LINE;
    job.user = plan;
    return job;
}

static bool is_failing(const struct plan *plan)
{
    return plan->failing_rank < 0 || plan->failing_rank == plan->rank;
}

/* ---- What ranks must agree on ---- */

/* The error of a job that failed with a status, the same on all ranks; only rank 0 knows of the others. The next job
 * works, and nothing is left. Releases the future. Collective. */
static tq_error check_failure(tq_future *future, tq_status expected, const char *what)
{
    char path[PATH_SIZE], last[PATH_SIZE];
    tq_status status = await(future);
    tq_error error, other;
    size_t size;

    CHECK_STATUS(tq_job_error(future, &error), TQ_OK);
    CHECK_THAT(status == expected && error.status == expected, "%s: '%s' (%s), error '%s' (%s)", what,
               tq_future_error(future), tq_status_name(status), error.message, tq_status_name(error.status));
    CHECK(tq_future_get_state(future) == (expected == TQ_E_CANCELLED ? TQ_FUTURE_CANCELLED : TQ_FUTURE_FAILED));
    CHECK_THAT(error.message[0] && !strchr(error.message, '\n'), "%s: no message", what);
    CHECK(strstr(tq_future_error(future), error.message));
    CHECK(tq_job_rows(future) == 0 && tq_job_stats(future) == NULL);
    tq_future_release(future);
    tell_all(&trial, &error, sizeof error);
    if (trial.rank != 0)
        return error;
    for (int r = 1; r < trial.size; r++) {
        char *bytes = told(&trial, r, &size);

        memcpy(&other, bytes, sizeof other);
        free(bytes);
        CHECK_THAT(other.status == error.status && other.rank == error.rank && other.has_offset == error.has_offset &&
                       other.offset == error.offset && strcmp(other.phase, error.phase) == 0 &&
                       strcmp(other.file, error.file) == 0 && strcmp(other.message, error.message) == 0,
                   "%s: rank 0 says '%s' (rank %d, %s, %s, %" PRIu64 "), rank %d '%s' (rank %d, %s, %s, %" PRIu64 ")",
                   what, error.message, error.rank, error.phase, error.file, error.offset, r, other.message, other.rank,
                   other.phase, other.file, other.offset);
    }
    int n = count_names(path_of(&trial, path, "out"), last);
    CHECK_THAT(n == 0, "%s: %s is left", what, last);
    CHECK(count_names(path_of(&trial, path, "tmp"), NULL) == 0);
    return error;
}

static void check_where(const tq_error *error, int rank, const char *phase, const char *file, const char *what)
{
    CHECK_THAT(error->rank == rank, "%s: said to be on rank %d, not %d", what, error->rank, rank);
    CHECK_THAT(strcmp(error->phase, phase) == 0, "%s: said to be in phase '%s', not '%s'", what, error->phase, phase);
    CHECK_THAT(strcmp(error->file, file) == 0, "%s: said to be in file '%s', not '%s'", what, error->file, file);
}

/* ---- Mappers ---- */

static int map_and_fail(const tq_record *record, tq_emitter *emitter, void *user)
{
    const struct plan *plan = user;
    int rank = tq_emitter_rank(emitter), worker = tq_emitter_worker(emitter);

    CHECK(rank == plan->rank && worker >= 0 && worker < TQ_MAX_WORKERS);
    if (record->offset != plan->offset || !is_failing(plan))
        return tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1) != TQ_OK;
    if (plan->says_why)
        return tq_emit_fail(emitter, "rank %d does not like %.5s", rank, record->data);
    return plan->code;
}

/* The same for a mapper that gets chunks: what is known is then the chunk. */
static int map_chunk_and_fail(const tq_record *record, tq_emitter *emitter, void *user)
{
    const struct plan *plan = user;

    (void)emitter;
    if (!is_failing(plan) || plan->offset < record->offset || plan->offset >= record->offset + record->size)
        return 0;
    return plan->code;
}

static void test_mappers(void)
{
    for (int r = 0; r < trial.size; r++) {
        /* Every rank in one way, the last one in each. */
        for (int way = r < trial.size - 1 ? r % 3 : 0; way < 3; way += r < trial.size - 1 ? 3 : 1) {
            struct plan plan = {trial.rank, r, (uint64_t)(FIRST_SHARE * r + 1) * LINE, 5 + r, way == 1};
            tq_job job = job_of(&plan);
            char message[64];

            job.map = way == 2 ? NULL : map_and_fail;
            job.map_chunk = way == 2 ? map_chunk_and_fail : NULL;
            tq_error error = check_failure(tq_submit(trial.cluster, &job), TQ_E_USER, "a mapper");
            check_where(&error, r, "map", input_path, "a mapper");
            CHECK_THAT(error.has_offset && error.offset == plan.offset, "said to be at byte %" PRIu64, error.offset);
            if (way == 1)
                snprintf(message, sizeof message, "rank %d does not like w%04d", r, FIRST_SHARE * r + 1);
            else
                snprintf(message, sizeof message, "the mapper returned %d", 5 + r);
            CHECK_THAT(strcmp(error.message, message) == 0, "'%s', not '%s'", error.message, message);
        }
    }
}

/* All ranks fail: the error is that of one of them, and still the same everywhere. */
static int fail_always(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)record;
    (void)user;
    return tq_emit_fail(emitter, "rank %d fails", tq_emitter_rank(emitter));
}

static int emit_wrong_type(const tq_record *record, tq_emitter *emitter, void *user)
{
    tq_slice slice = {record->data, record->size};

    (void)user;
    tq_emit(emitter, slice, slice);
    return 0; /* not noticed by the mapper, but all the same */
}

static int emit_wrong_size(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    tq_emit(emitter, (tq_slice){record->data, record->size}, (tq_slice){"12345", 5});
    return 0;
}

static void test_all_mappers(void)
{
    struct plan plan = {trial.rank, -1, 0, 1, false};
    char message[64];

    for (int i = 0; i < 3; i++) {
        tq_job job = job_of(&plan);

        job.map = fail_always;
        tq_error error = check_failure(tq_submit(trial.cluster, &job), TQ_E_USER, "all mappers");
        CHECK(error.rank >= 0 && error.rank < trial.size);
        check_where(&error, error.rank, "map", input_path, "all mappers");
        snprintf(message, sizeof message, "rank %d fails", error.rank);
        CHECK_THAT(strcmp(error.message, message) == 0, "rank %d says '%s'", error.rank, error.message);
    }
    tq_job job = job_of(&plan);
    job.map = emit_wrong_type;
    check_failure(tq_submit(trial.cluster, &job), TQ_E_USER, "tq_emit instead of tq_emit_i64");
    job.map = emit_wrong_size;
    job.value_type = TQ_FIXED;
    job.value_bytes = 4;
    job.combine = TQ_COMBINE_NONE;
    check_failure(tq_submit(trial.cluster, &job), TQ_E_USER, "a value of another size");
    job.map = map_to_one;
    check_failure(tq_submit(trial.cluster, &job), TQ_E_USER, "tq_emit_i64 instead of tq_emit");
}

/* ---- Combiners and reducers ---- */

static int emit_same_key(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)record;
    (void)user;
    return tq_emit_i64(emitter, (tq_slice){"same", 4}, 1) != TQ_OK;
}

static int fail_to_combine(tq_slice key, void *into, const void *value, void *user)
{
    const struct plan *plan = user;

    (void)into;
    (void)value;
    CHECK(key.size == 4);
    return is_failing(plan) ? plan->code : 0;
}

static void test_combiners(void)
{
    for (int r = -1; r < trial.size; r++) {
        struct plan plan = {trial.rank, r, 0, 70 + r, false};
        tq_job job = job_of(&plan);
        char message[64];

        job.map = emit_same_key;
        job.combine = TQ_COMBINE_USER;
        job.combine_fn = fail_to_combine;
        tq_error error = check_failure(tq_submit(trial.cluster, &job), TQ_E_USER, "a combiner");
        if (r >= 0) /* it fails while it maps, with two lines of its own at least, or if it reduces */
            CHECK_THAT(error.rank == r, "said to be on rank %d, not %d", error.rank, r);
        CHECK_THAT(strcmp(error.phase, "map") == 0 || strcmp(error.phase, "reduce") == 0, "in phase '%s'", error.phase);
        snprintf(message, sizeof message, "the combiner returned %d", plan.code);
        CHECK_THAT(strstr(error.message, message), "'%s', not '%s'", error.message, message);
    }
}

static int fail_to_reduce(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    const struct plan *plan = user;

    (void)values;
    if (key.size != LINE - 1 || memcmp(key.data, "w0003", 5) != 0)
        return tq_write_row_i64(out, key, 1) != TQ_OK;
    return plan->says_why ? tq_reduce_fail(out, "no %.5s", key.data) : plan->code;
}

static int write_wrong_type(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    (void)values;
    (void)user;
    tq_write_row(out, key, key);
    return 0;
}

static void test_reducers(void)
{
    for (int says_why = 0; says_why < 2; says_why++) {
        struct plan plan = {trial.rank, -1, 0, 9, says_why != 0};
        tq_job job = job_of(&plan);
        char path[PATH_SIZE];

        job.reduce = fail_to_reduce;
        job.result_type = TQ_I64;
        job.output = TQ_OUTPUT_FILE;
        job.output_path = path_of(&trial, path, "out/reduced");
        tq_error error = check_failure(tq_submit(trial.cluster, &job), TQ_E_USER, "a reducer");
        CHECK(error.rank >= 0 && error.rank < trial.size && !error.has_offset);
        check_where(&error, error.rank, "reduce", "", "a reducer");
        CHECK_THAT(strstr(error.message, says_why ? "no w0003" : "the reducer returned 9"), "'%s'", error.message);
        CHECK_THAT(strstr(error.message, "w0003"), "'%s' does not name the key", error.message);
        job.reduce = write_wrong_type;
        check_failure(tq_submit(trial.cluster, &job), TQ_E_USER, "a row of another type");
    }
}

/* ---- Inputs ---- */

static void fail_with_input(const char *input, bool recursive, const char *what)
{
    struct plan plan = {trial.rank, -1, 0, 0, false};
    const char *inputs[] = {input_path, input};
    tq_job job = job_of(&plan);
    char output[PATH_SIZE];

    job.inputs = inputs;
    job.n_inputs = 2;
    job.recursive = recursive;
    job.output = TQ_OUTPUT_FILE;
    job.output_path = path_of(&trial, output, "out/words");
    tq_error error = check_failure(tq_submit(trial.cluster, &job), TQ_E_INPUT, what);
    check_where(&error, 0, "plan", input, what);
}

static void test_inputs(void)
{
    char path[PATH_SIZE];

    fail_with_input(path_of(&trial, path, "in/missing"), false, "a missing file");
    fail_with_input(path_of(&trial, path, "in/missing"), true, "a missing folder");
    fail_with_input(path_of(&trial, path, "in/lines/file"), false, "a file below a file");
    fail_with_input(path_of(&trial, path, "in"), false, "a folder");
    fail_with_input(path_of(&trial, path, "in/no-such-*"), false, "a pattern that nothing fits");
    fail_with_input("", false, "an empty path");
}

/* ---- Outputs ---- */

static void test_outputs(void)
{
    struct plan plan = {trial.rank, -1, 0, 0, false};
    char path[PATH_SIZE];
    tq_job job = job_of(&plan);

    job.output = TQ_OUTPUT_FILE;
    job.output_path = path_of(&trial, path, "out/missing/words");
    tq_error error = check_failure(tq_submit(trial.cluster, &job), TQ_E_OUTPUT, "a missing folder");
    check_where(&error, 0, "plan", path, "a missing folder");
    path_of(&trial, path, "in/lines/words");
    error = check_failure(tq_submit(trial.cluster, &job), TQ_E_OUTPUT, "a file below a file");
    check_where(&error, 0, "plan", path, "a file below a file");
    path_of(&trial, path, "out");
    error = check_failure(tq_submit(trial.cluster, &job), TQ_E_OUTPUT, "a folder");
    check_where(&error, 0, "plan", path, "a folder");
    if (access("/dev/full", W_OK) == 0) {
        job.output_path = "/dev/full";
        error = check_failure(tq_submit(trial.cluster, &job), TQ_E_OUTPUT, "a full disk");
        CHECK(error.rank == 0 && strcmp(error.phase, "write") == 0);
        CHECK_THAT(strcmp(error.file, "/dev/full") == 0, "said to be '%s', not /dev/full", error.file);
    }
    job.output = TQ_OUTPUT_FD;
    job.output_fd = 1000000;
    error = check_failure(tq_submit(trial.cluster, &job), TQ_E_OUTPUT, "a descriptor that is not open");
    check_where(&error, 0, "plan", "", "a descriptor that is not open");
}

/* A file that was there stays as it was when the job that should replace it fails. */
static void test_old_output(void)
{
    struct plan plan = {trial.rank, -1, 0, 3, false};
    tq_job job = job_of(&plan);
    char path[PATH_SIZE];
    size_t size;

    job.map = map_and_fail;
    job.output = TQ_OUTPUT_FILE;
    job.output_path = path_of(&trial, path, "told/old");
    if (trial.rank == 0)
        write_file(path, "as it was", 9);
    check_failure(tq_submit(trial.cluster, &job), TQ_E_USER, "replacing a file");
    if (trial.rank != 0)
        return;
    char *bytes = read_file(path, &size);
    CHECK(size == 9 && memcmp(bytes, "as it was", 9) == 0);
    free(bytes);
}

/* A spill folder that is not there, and is needed. */
static int map_much(const tq_record *record, tq_emitter *emitter, void *user)
{
    char value[1024];

    (void)user;
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 100; i++)
        if (tq_emit(emitter, (tq_slice){record->data, record->size}, (tq_slice){value, sizeof value}))
            return 1;
    return 0;
}

static void test_tmpdir(void)
{
    struct plan plan = {trial.rank, -1, 0, 0, false};
    tq_job job = job_of(&plan);
    char tmpdir[PATH_SIZE];

    job.map = map_much;
    job.value_type = TQ_BYTES;
    job.combine = TQ_COMBINE_NONE;
    job.memory_bytes = 4 << 20;
    job.tmpdir = path_of(&trial, tmpdir, "tmp/missing");
    tq_error error = check_failure(tq_submit(trial.cluster, &job), TQ_E_TMPDIR, "a missing spill folder");
    CHECK(error.rank >= 0 && error.rank < trial.size);
    check_where(&error, error.rank, "map", tmpdir, "a missing spill folder");
}

/* ---- Descriptions ---- */

static int reduce_nothing(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    (void)key;
    (void)values;
    (void)out;
    (void)user;
    return 0;
}

static const char *const missing_input = NULL;

/* Make one thing of a description wrong. False: there is no such case. */
static bool spoil(tq_job *job, int which)
{
    switch (which) {
    case 0: job->abi = 0; return true;
    case 1: job->abi = TQ_JOB_ABI + 1; return true;
    case 2: job->map = NULL; return true;
    case 3: job->map_chunk = map_to_one; return true;
    case 4: job->n_inputs = 0; return true;
    case 5: job->records = (tq_records)2; return true;
    case 6: job->value_type = (tq_value_type)3; return true;
    case 7: job->combine = (tq_combine)(TQ_STATS + 1); return true;
    case 8:
        job->value_type = TQ_FIXED;
        job->combine = TQ_COMBINE_NONE;
        job->value_bytes = 0;
        return true;
    case 9:
        job->value_type = TQ_FIXED;
        job->combine = TQ_COMBINE_NONE;
        job->value_bytes = 65537;
        return true;
    case 10:
        job->value_type = TQ_BYTES;
        job->combine = TQ_COMBINE_USER;
        job->combine_fn = fail_to_combine;
        return true;
    case 11:
        job->value_type = TQ_BYTES;
        job->combine = TQ_SUM;
        return true;
    case 12:
        job->value_type = TQ_FIXED;
        job->value_bytes = 8;
        job->combine = TQ_SUM;
        return true;
    case 13:
        job->value_type = TQ_FIXED;
        job->value_bytes = 8;
        job->combine = TQ_MIN;
        return true;
    case 14:
        job->value_type = TQ_FIXED;
        job->value_bytes = 8;
        job->combine = TQ_MAX;
        return true;
    case 15: job->combine = TQ_COMBINE_USER; return true;
    case 16:
        job->reduce = reduce_nothing;
        job->result_type = TQ_FIXED;
        return true;
    case 17:
        job->reduce = reduce_nothing;
        job->result_type = (tq_value_type)7;
        return true;
    case 18: job->order = (tq_order)(TQ_ORDER_USER + 1); return true;
    case 19: job->output = (tq_output_kind)4; return true;
    case 20: job->format = (tq_format)2; return true;
    case 21:
        job->order = TQ_ORDER_VALUE_DESC;
        job->value_type = TQ_BYTES;
        job->combine = TQ_COMBINE_NONE;
        return true;
    case 22:
        job->order = TQ_ORDER_VALUE_DESC;
        job->reduce = reduce_nothing;
        job->result_type = TQ_BYTES;
        return true;
    case 23:
        job->output = TQ_OUTPUT_FILE;
        job->output_path = NULL;
        return true;
    case 24:
        job->output = TQ_OUTPUT_FILE;
        job->output_path = "";
        return true;
    case 25: job->inputs = NULL; return true;
    case 26: job->inputs = &missing_input; return true;
    default: return false;
    }
}

static void test_descriptions(void)
{
    struct plan plan = {trial.rank, -1, 0, 0, false};
    tq_job job = job_of(&plan);
    char what[64];

    for (int which = 0; spoil(&job, which); which++) {
        if (trial.size > 3 && which % 4 != trial.threads) { /* with few ranks all of them */
            job = job_of(&plan);
            continue;
        }
        snprintf(what, sizeof what, "wrong description %d", which);
        tq_error error = check_failure(tq_submit(trial.cluster, &job), TQ_E_USAGE, what);
        CHECK_THAT(error.rank == 0, "%s: on rank %d", what, error.rank);
        CHECK(!error.has_offset);
        job = job_of(&plan);
    }
}

/* Descriptions that are right, but not the same on all ranks: the last rank has another. */
static void test_other_descriptions(void)
{
    struct plan plan = {trial.rank, -1, 0, 0, false};

    for (int which = 0; which < 5 && trial.size > 1; which++) {
        tq_job job = job_of(&plan);

        if (trial.rank == trial.size - 1) {
            job.limit = which == 0 ? 7 : 0;
            job.order = which == 1 ? TQ_ORDER_VALUE_DESC : TQ_ORDER_KEY;
            job.records = which == 2 ? TQ_WORDS : TQ_LINES;
            job.combine = which == 3 ? TQ_MAX : TQ_SUM;
            job.abi = which == 4 ? 0 : TQ_JOB_ABI;
        }
        tq_error error = check_failure(tq_submit(trial.cluster, &job), TQ_E_USAGE, "a rank with another job");
        CHECK_THAT(error.rank == trial.size - 1, "said to be rank %d", error.rank);
    }
}

/* A rank that cannot even describe the job says so in its place. */
static void test_no_description(void)
{
    struct plan plan = {trial.rank, -1, 0, 0, false};
    tq_job job = job_of(&plan);
    tq_error failure = {.status = TQ_E_INPUT, .rank = -1, .file = "job.so", .message = "cannot be loaded"};

    for (int r = -1; r < trial.size; r++) { /* -1: no rank can */
        bool fails = r == trial.rank || r == -1;
        tq_future *future = fails ? tq_submit_failure(trial.cluster, &failure) : tq_submit(trial.cluster, &job);
        tq_error error = check_failure(future, TQ_E_INPUT, "no description");
        check_where(&error, r < 0 ? 0 : r, "", "job.so", "no description");
        CHECK(strcmp(error.message, failure.message) == 0);
    }
}

static void make_lines(void)
{
    int n = LINES_A_RANK * trial.size;
    char *text = malloc((size_t)(LINE * n + 1));

    CHECK(text);
    memset(text, 'x', (size_t)(LINE * n));
    for (int i = 0; i < n; i++) {
        char name[16];
        int size = snprintf(name, sizeof name, "w%04d ", i);

        memcpy(text + LINE * i, name, (size_t)size);
        text[LINE * i + LINE - 1] = '\n';
    }
    write_file(input_path, text, (size_t)(LINE * n));
    free(text);
}

int main(int argc, char **argv)
{
    begin_trial(&trial, argc, argv, "failure");
    path_of(&trial, input_path, "in/lines");
    if (trial.rank == 0)
        make_lines();
    test_mappers();
    test_all_mappers();
    test_combiners();
    test_reducers();
    test_inputs();
    test_outputs();
    test_old_output();
    test_tmpdir();
    test_descriptions();
    test_other_descriptions();
    test_no_description();
    return end_trial(&trial);
}
