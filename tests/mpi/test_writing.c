/* Rows that the job's own functions write: on any rank and thread, or in order with state from row to row; their failures;
 * and which file a mapper is told that its record is in. */
#include "words.h"

enum { FILES = 5, LINES = 300 };

static char names[FILES][PATH_SIZE];
static const char *inputs[FILES];

/* Line l of file f is "f l"; one of the files is empty. */
static void make_files(const struct trial *trial)
{
    char *text = malloc(LINES * 16), name[16];

    CHECK(text);
    for (int f = 0; f < FILES; f++) {
        size_t size = 0;

        snprintf(name, sizeof name, "in/file-%d", FILES - f); /* not in the order of their names */
        inputs[f] = path_of(trial, names[f], name);
        for (int l = 0; f != 2 && l < LINES; l++)
            size += (size_t)sprintf(text + size, "%d %d\n", f, l);
        if (trial->rank == 0)
            write_file(names[f], text, size);
    }
    free(text);
    meet(trial);
}

/* The key is where the line stands in the input, so that the order of the rows is that of the lines. */
static int map_line(const tq_record *line, tq_emitter *emitter, void *user)
{
    unsigned char key[5] = {(unsigned char)line->file_number, (unsigned char)(line->offset >> 24),
                            (unsigned char)(line->offset >> 16), (unsigned char)(line->offset >> 8),
                            (unsigned char)line->offset};

    (void)user;
    if (line->files != FILES || line->file_number >= FILES || strcmp(line->file, names[line->file_number]) != 0)
        return tq_emit_fail(emitter, "file %zu of %zu is %s", line->file_number, line->files, line->file);
    return (int)tq_emit(emitter, (tq_slice){(const char *)key, sizeof key}, (tq_slice){line->data, line->size});
}

static int write_line(const tq_row *row, tq_text *text, void *user)
{
    (void)user;
    return tq_text_put(text, row->value) || tq_text_put(text, (tq_slice){"\n", 1});
}

/* With its number, and at the end how many there were. */
typedef struct counted {
    int64_t lines;
    int ends;
} counted;

static int write_counted(const tq_row *row, tq_text *text, void *user)
{
    counted *state = user;

    if (!row) {
        state->ends++;
        return tq_text_put_number(text, state->lines) || tq_text_put(text, (tq_slice){" lines\n", 7});
    }
    if (tq_text_put_number(text, ++state->lines) || tq_text_put(text, (tq_slice){":", 1}))
        return 1;
    return write_line(row, text, NULL);
}

static int write_json(const tq_row *row, tq_text *text, void *user)
{
    (void)user;
    if (!row)
        return 0;
    return tq_text_put_json(text, row->value) || tq_text_put(text, (tq_slice){"\n", 1});
}

static int write_badly(const tq_row *row, tq_text *text, void *user)
{
    (void)user;
    return row && row->value.size == 5 && memcmp(row->value.data, "3 217", 5) == 0 ? tq_text_fail(text, "not this one") : 0;
}

static tq_job job_of(const struct trial *trial, char path[PATH_SIZE])
{
    tq_job job = TQ_JOB_INIT;

    job.inputs = inputs;
    job.n_inputs = FILES;
    job.split_bytes = 170;
    job.map = map_line;
    job.value_type = TQ_BYTES;
    job.output = TQ_OUTPUT_FILE;
    job.output_path = path_of(trial, path, "out/lines");
    return job;
}

/* What is written must be all lines in order: numbered, or as strings of JSON. */
static void test_all(const struct trial *trial, bool counts, bool json)
{
    char path[PATH_SIZE], line[64];
    tq_job job = job_of(trial, path);
    counted state = {0};
    size_t size, at = 0;

    job.write_text = counts ? write_counted : write_line;
    job.write_json = json ? write_json : NULL;
    job.format = json ? TQ_JSON : TQ_TEXT;
    job.write_in_order = counts;
    job.user = &state;
    tq_future *future = run_well(trial, &job);
    tq_future_release(future);
    CHECK(state.lines == (counts && !json && trial->rank == 0 ? LINES * (FILES - 1) : 0));
    meet(trial);
    if (trial->rank != 0)
        return;
    char *text = read_file(path, &size);
    for (int f = 0, n = 0; f < FILES; f++)
        for (int l = 0; f != 2 && l < LINES; l++) {
            int length = counts && !json ? sprintf(line, "%d:%d %d\n", ++n, f, l)
                         : json          ? sprintf(line, "\"%d %d\"\n", f, l)
                                         : sprintf(line, "%d %d\n", f, l);
            CHECK_THAT(strncmp(text + at, line, (size_t)length) == 0, "%.20s instead of %s", text + at, line);
            at += (size_t)length;
        }
    if (counts && !json)
        at += (size_t)sprintf(line, "%d lines\n", LINES * (FILES - 1));
    CHECK(at == size && (!counts || json || memcmp(text + size - strlen(line), line, strlen(line)) == 0));
    free(text);
}

static int map_nothing(const tq_record *line, tq_emitter *emitter, void *user)
{
    (void)line, (void)emitter, (void)user;
    return 0;
}

/* The function is told that there are no more rows, even if there was none, and not in a run that fails. */
static void test_end(const struct trial *trial, bool fails)
{
    char path[PATH_SIZE];
    tq_job job = job_of(trial, path);
    counted state = {0};

    job.map = fails ? map_line : map_nothing;
    job.write_text = write_counted;
    job.write_in_order = true;
    job.user = &state;
    if (fails)
        job.output_path = "/nowhere/lines";
    tq_future *future = tq_submit(trial->cluster, &job);
    CHECK_STATUS(await(future), fails ? TQ_E_OUTPUT : TQ_OK);
    tq_future_release(future);
    CHECK(state.lines == 0 && state.ends == (!fails && trial->rank == 0 ? 1 : 0));
    meet(trial);
}

/* A call may append any number of bytes where text is written in order: 5 MiB of 'x' for the first row. */
enum { MUCH = 5 << 10 };

static int write_much(const tq_row *row, tq_text *text, void *user)
{
    counted *state = user;
    char some[1024];

    if (!row)
        return 0;
    memset(some, 'x', sizeof some);
    for (int i = 0; i < MUCH && state->lines == 0; i++)
        if (tq_text_put(text, (tq_slice){some, sizeof some}))
            return 1;
    state->lines++;
    return tq_text_put_number(text, state->lines % 10) || tq_text_put_json(text, (tq_slice){"y", 1});
}

static void test_much(const struct trial *trial)
{
    char path[PATH_SIZE];
    tq_job job = job_of(trial, path);
    counted state = {0};
    size_t size, lines = (FILES - 1) * LINES, much = (size_t)MUCH << 10;

    job.write_text = write_much;
    job.write_in_order = true;
    job.user = &state;
    job.memory_bytes = 16 << 20;
    tq_future_release(run_well(trial, &job));
    meet(trial);
    if (trial->rank != 0)
        return;
    char *text = read_file(path, &size);
    CHECK_THAT(size == much + 4 * lines, "%zu bytes", size);
    CHECK(text[0] == 'x' && text[much - 1] == 'x' && memcmp(text + much, "1\"y\"2\"y\"", 8) == 0);
    free(text);
}

/* Only one format has a function of its own: the other is the usual one. */
static void test_other_format(const struct trial *trial)
{
    char path[PATH_SIZE];
    tq_job job = job_of(trial, path);
    size_t size;

    job.write_text = write_badly;
    job.write_in_order = true;
    job.format = TQ_JSON;
    tq_future_release(run_well(trial, &job));
    meet(trial);
    if (trial->rank != 0)
        return;
    char *text = read_file(path, &size);
    CHECK(size > 40 && strstr(text, ",\"value\":\"0 1\"}\n"));
    free(text);
}

static void test_failure(const struct trial *trial, bool in_order)
{
    char path[PATH_SIZE];
    tq_job job = job_of(trial, path);
    tq_error error;

    job.write_text = write_badly;
    job.write_in_order = in_order;
    job.output_path = path_of(trial, path, "out/never");
    tq_future *future = tq_submit(trial->cluster, &job);
    CHECK_STATUS(await(future), TQ_E_USER);
    CHECK_STATUS(tq_job_error(future, &error), TQ_OK);
    CHECK_THAT(strncmp(error.message, "not this one (key '", 19) == 0, "%s", error.message);
    CHECK(strcmp(error.phase, "write") == 0 && (!in_order || error.rank == 0));
    tq_future_release(future);
    CHECK(access(path, F_OK) != 0);
    meet(trial);
}

int main(int argc, char **argv)
{
    struct trial trial;

    begin_trial(&trial, argc, argv, "writing");
    make_files(&trial);
    for (int kind = 0; kind < 4; kind++)
        test_all(&trial, kind & 1, kind & 2);
    test_end(&trial, false);
    test_end(&trial, true);
    test_much(&trial);
    test_other_format(&trial);
    test_failure(&trial, false);
    test_failure(&trial, true);
    return end_trial(&trial);
}
