/* stream: mappers, combiners and reducers that are commands. They read lines and write lines, a key in front of the first
 * TAB and a value behind it, as Hadoop Streaming has it. A command runs once for each split of the input, or for some keys,
 * so a failed one can run again: on the same bytes, and with nothing kept of what it wrote. Where no try is left over that
 * could come again, and no combiner waits for all of it, what a mapper writes is emitted as it comes. */
#include "jobs/big_endian.h"
#include "jobs/jobs.h"
#include "jobs/lines.h"
#include "jobs/step.h"
#include <stdio.h>
#include <string.h>

enum { FEED_BYTES = 256 << 10 }; /* handed to a child at a time */
enum { BLOCK_BYTES = 4000 }; /* of lines in the order of the input: four of them fill a page */

typedef struct stream_settings {
    const char *map, *combine, *reduce;
    int64_t retries;
} stream_settings;

static const option_row rows[] = {
    {.name = "map",
     .argument = "CMD",
     .type = OPTION_STRING,
     .offset = offsetof(stream_settings, map),
     .help = "reads lines, writes lines of key TAB value"},
    {.name = "combine",
     .argument = "CMD",
     .type = OPTION_STRING,
     .offset = offsetof(stream_settings, combine),
     .help = "merges early: key TAB value, sorted, to the same"},
    {.name = "reduce",
     .argument = "CMD",
     .type = OPTION_STRING,
     .offset = offsetof(stream_settings, reduce),
     .help = "reads key TAB value, sorted by key; writes rows"},
    {.name = "retries",
     .argument = "N",
     .type = OPTION_COUNT,
     .offset = offsetof(stream_settings, retries),
     .preset = "0",
     .help = "run a command that failed so often again",
     .least = 0,
     .most = 1000},
};

static step step_of(const jobs_context *context, const char *role, const char *command)
{
    int64_t retries = ((const stream_settings *)context->settings)->retries;
    return (step){.context = context, .role = role, .command = command, .retries = retries};
}

/* ---- Mapping ----------------------------------------------------------------------------------------------------- */

/* The mapper's and the combiner's side of a split. */
typedef struct mapping {
    step step; /* first: see step_try */
    tq_split *split;
    tq_emitter *emitter;
    bool reduces; /* there is a reducer, which gets values without the TAB */
    bool holds;   /* what the child writes is kept until it has ended well */
    bool in_order;  /* lines are emitted by blocks, */
    uint32_t block; /* of which this is the next, whose key is its place in the output of all mappers */
    lines_text held;
    const lines_pair *pairs; /* that the combiner still has to get, */
    size_t n_pairs;
    uint64_t times;  /* and how often it got the first of them */
    lines_text feed; /* of the combiner */
} mapping;

static bool is_ending(void *user)
{
    return tq_emitter_stopping(((mapping *)user)->emitter);
}

/* Emit the whole lines of text; what is left is behind the last of them. */
static bool emit_lines(mapping *m, tq_slice *text, bool last)
{
    tq_slice line, key, value;
    while (lines_next(text, last, &line)) {
        lines_cut(line, &key, &value);
        if (m->reduces && value.size > 0)
            value.data++, value.size--;
        if (tq_emit(m->emitter, key, value) != TQ_OK)
            return false;
    }
    return true;
}

/* The end of the lines that begin at text and make a block: as many as fit, or a longer one. NULL: that one has no end yet. */
static const char *end_of_block(tq_slice text, bool last)
{
    size_t most = text.size < BLOCK_BYTES ? text.size : BLOCK_BYTES;
    const char *newline = memrchr(text.data, '\n', most);
    if (last && text.size <= BLOCK_BYTES)
        return text.data + text.size;
    if (newline == NULL)
        newline = memchr(text.data + most, '\n', text.size - most);
    if (newline != NULL)
        return newline + 1;
    return last ? text.data + text.size : NULL;
}

/* The same as emit_lines, by blocks of lines. */
static bool emit_blocks(mapping *m, tq_slice *text, bool last)
{
    while (text->size > 0 && (last || text->size >= BLOCK_BYTES)) {
        char key[16];
        const char *end = end_of_block(*text, last);
        if (end == NULL)
            break;
        put_big_endian(key, m->step.split.file_number, 4);
        put_big_endian(key + 4, m->step.split.begin, 8);
        put_big_endian(key + 12, m->block, 4);
        size_t size = (size_t)(end - text->data);
        if (tq_emit(m->emitter, (tq_slice){key, sizeof key}, (tq_slice){text->data, size}) != TQ_OK)
            return false;
        if (++m->block == 0)
            return tq_emit_fail(m->emitter, "the command wrote too much for one split (see --split-size)"), false;
        text->data += size;
        text->size -= size;
    }
    return true;
}

static bool emit_text(mapping *m, tq_slice *text, bool last)
{
    return m->in_order ? emit_blocks(m, text, last) : emit_lines(m, text, last);
}

/* Keep bytes, and have them counted. */
static bool hold(mapping *m, const char *data, size_t size)
{
    size_t before = m->held.capacity, after = lines_capacity_for(&m->held, size);
    if (after > before && tq_emitter_reserve(m->emitter, after - before) != TQ_OK)
        return false;
    if (!lines_reserve(&m->held, size))
        return tq_emit_fail(m->emitter, "no memory to hold back what the command writes"), false;
    memcpy(m->held.data + m->held.size, data, size);
    m->held.size += size;
    return true;
}

static void let_go(mapping *m, lines_text *held)
{
    tq_emitter_give_back(m->emitter, held->capacity);
    lines_free(held);
}

static ptrdiff_t take_output(void *user, const char *data, size_t size, bool last)
{
    mapping *m = user;
    tq_slice text = {data, size};
    if (m->holds)
        return hold(m, data, size) ? (ptrdiff_t)size : -1;
    return emit_text(m, &text, last) ? (ptrdiff_t)(size - text.size) : -1;
}

static int next_piece(void *user, const char **data, size_t *size)
{
    mapping *m = user;
    tq_record piece;
    if (tq_split_next(m->split, &piece) != TQ_OK)
        return -1;
    *data = piece.data;
    *size = piece.size;
    return piece.size > 0;
}

static int next_pairs(void *user, const char **data, size_t *size)
{
    mapping *m = user;
    m->feed.size = 0;
    while (m->n_pairs > 0 && m->feed.size < FEED_BYTES) {
        const lines_pair *pair = m->pairs;
        if (!lines_append_line(&m->feed, (tq_slice){pair->line, pair->size}, pair->size == pair->key))
            return -1;
        if (++m->times == pair->count) {
            m->pairs++;
            m->n_pairs--;
            m->times = 0;
        }
    }
    *data = m->feed.data;
    *size = m->feed.size;
    return m->feed.size > 0;
}

/* Emit what was held: it is whole. */
static int emit_held(mapping *m)
{
    tq_slice text = {m->held.data, m->held.size};
    bool emitted = emit_text(m, &text, true);
    let_go(m, &m->held);
    return emitted ? 0 : 1;
}

/* Run the combiner over sorted pairs; what it writes is held if it may run again. */
static int combine_pairs(mapping *m, const lines_pair *pairs, size_t n)
{
    const stream_settings *settings = m->step.context->settings;
    char why[400];
    step_verdict ended = STEP_AGAIN;
    m->step = step_of(m->step.context, "combine", settings->combine);
    step_begin(&m->step, m->split);
    m->holds = settings->retries > 0;
    while (ended == STEP_AGAIN) {
        child_plan plan = {.input = next_pairs, .output = take_output, .stopping = is_ending, .user = m};
        m->pairs = pairs;
        m->n_pairs = n;
        m->times = 0;
        m->held.size = 0;
        ended = step_try(&m->step, &plan, why, sizeof why);
    }
    lines_free(&m->feed);
    if (ended == STEP_FAILED)
        return tq_emit_fail(m->emitter, "%s", why);
    return ended == STEP_DONE ? emit_held(m) : 1;
}

static bool may_have_more(void *user, size_t bytes)
{
    return tq_emitter_reserve(((mapping *)user)->emitter, bytes) == TQ_OK;
}

/* Sort what the mapper has written, and hand it to the combiner. */
static int combine(mapping *m)
{
    lines_text mapped = m->held;
    lines_sorting sorting;
    int result = 0;
    m->held = (lines_text){0};
    if (!lines_sort(&sorting, (tq_slice){mapped.data, mapped.size}, may_have_more, m))
        result = tq_emit_fail(m->emitter, "no memory to sort %zu bytes of lines for the combiner", mapped.size);
    else if (sorting.n > 0)
        result = combine_pairs(m, sorting.pairs, sorting.n);
    tq_emitter_give_back(m->emitter, sorting.bytes);
    lines_sorting_free(&sorting);
    let_go(m, &mapped);
    return result;
}

static int map(tq_split *split, tq_emitter *emitter, const jobs_context *context, bool in_order)
{
    const stream_settings *settings = context->settings;
    mapping m = {.step = step_of(context, "map", settings->map),
                 .split = split,
                 .emitter = emitter,
                 .reduces = settings->reduce != NULL,
                 .in_order = in_order};
    char why[400];
    step_verdict ended = STEP_AGAIN;
    step_begin(&m.step, split);
    m.holds = settings->retries > 0 || settings->combine != NULL;
    while (ended == STEP_AGAIN) {
        child_plan plan = {.input = next_piece, .output = take_output, .stopping = is_ending, .user = &m};
        if (m.step.tries > 0)
            tq_split_rewind(split);
        m.held.size = 0;
        ended = step_try(&m.step, &plan, why, sizeof why);
    }
    int result = 1;
    if (ended == STEP_FAILED)
        result = tq_emit_fail(emitter, "%s", why);
    else if (ended == STEP_DONE)
        result = settings->combine != NULL ? combine(&m) : emit_held(&m);
    lines_free(&m.held);
    return result;
}

static int map_split(tq_split *split, tq_emitter *emitter, void *user)
{
    return map(split, emitter, user, false);
}

static int map_split_in_order(tq_split *split, tq_emitter *emitter, void *user)
{
    return map(split, emitter, user, true);
}

/* ---- Reducing ---------------------------------------------------------------------------------------------------- */

typedef struct reducing {
    step step; /* first: see step_try */
    tq_keys *keys;
    tq_rows_out *out;
    tq_slice key;
    tq_values *values; /* of key, that the reducer still has to get; NULL before the first */
    lines_text feed;
} reducing;

static bool is_ending_early(void *user)
{
    return tq_rows_stopping(((reducing *)user)->out);
}

static int next_values(void *user, const char **data, size_t *size)
{
    reducing *r = user;
    tq_slice value;
    r->feed.size = 0;
    while (r->feed.size < FEED_BYTES) {
        if (r->values == NULL && !tq_keys_next(r->keys, &r->key, &r->values))
            break;
        if (!tq_values_next(r->values, &value))
            r->values = NULL;
        else if (!lines_append(&r->feed, r->key, value))
            return -1;
    }
    *data = r->feed.data;
    *size = r->feed.size;
    return r->feed.size > 0;
}

static ptrdiff_t take_rows(void *user, const char *data, size_t size, bool last)
{
    reducing *r = user;
    tq_slice text = {data, size}, line, key, value;
    while (lines_next(&text, last, &line)) {
        lines_cut(line, &key, &value);
        if (tq_write_row(r->out, key, value) != TQ_OK)
            return -1;
    }
    return (ptrdiff_t)(size - text.size);
}

static int reduce_keys(tq_keys *keys, tq_rows_out *out, void *user)
{
    const jobs_context *context = user;
    const stream_settings *settings = context->settings;
    reducing r = {.step = step_of(context, "reduce", settings->reduce), .keys = keys, .out = out};
    char why[400];
    step_verdict ended = STEP_AGAIN;
    step_begin(&r.step, NULL);
    while (ended == STEP_AGAIN) {
        child_plan plan = {.input = next_values, .output = take_rows, .stopping = is_ending_early, .user = &r};
        if (r.step.tries > 0) {
            tq_keys_rewind(keys);
            tq_rows_forget(out);
        }
        r.values = NULL;
        ended = step_try(&r.step, &plan, why, sizeof why);
    }
    lines_free(&r.feed);
    return ended == STEP_FAILED ? tq_reduce_fail(out, "%s", why) : ended != STEP_DONE;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* A row's value begins with its TAB, or is empty where the line had none: so TQ_ROW_LINE is the line as it was written. */
static int write_object(const tq_row *row, tq_text *text, void *user)
{
    size_t tab = row->value.size > 0;
    tq_slice value = {row->value.data + tab, row->value.size - tab};
    (void)user;
    return tq_text_put(text, (tq_slice){"{\"key\":", 7}) != TQ_OK || tq_text_put_json(text, row->key) != TQ_OK ||
           tq_text_put(text, (tq_slice){",\"value\":", 9}) != TQ_OK || tq_text_put_json(text, value) != TQ_OK ||
           tq_text_put(text, (tq_slice){"}\n", 2}) != TQ_OK;
}

/* Of a block; the last line of a split may lack its end. */
static int write_lines(const tq_row *row, tq_text *text, void *user)
{
    bool whole = row->value.data[row->value.size - 1] == '\n';
    (void)user;
    return tq_text_put(text, row->value) != TQ_OK || (!whole && tq_text_put(text, (tq_slice){"\n", 1}) != TQ_OK);
}

static int write_objects(const tq_row *row, tq_text *text, void *user)
{
    tq_slice left = row->value, line;
    tq_row one = {0};
    int result = 0;
    while (result == 0 && lines_next(&left, true, &line)) {
        lines_cut(line, &one.key, &one.value);
        result = write_object(&one, text, user);
    }
    return result;
}

/* ---- The job ----------------------------------------------------------------------------------------------------- */

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    const stream_settings *asked = settings;
    if (asked->map == NULL) {
        snprintf(why, size, "stream needs --map CMD: see tequio stream --help");
        return false;
    }
    if (asked->combine != NULL && asked->reduce == NULL) {
        snprintf(why, size, "--combine needs --reduce: alone, its rows would depend on how the input is split");
        return false;
    }
    job->records = TQ_LINES;
    job->value_type = job->result_type = TQ_BYTES;
    job->reduce_keys = asked->reduce != NULL ? reduce_keys : NULL;
    if (job->order == TQ_ORDER_NONE && asked->reduce == NULL && job->limit == 0) { /* the order of the input costs least */
        job->order = TQ_ORDER_KEY;
        job->map_split = map_split_in_order;
        job->write_text = write_lines;
        job->write_json = write_objects;
        return true;
    }
    job->map_split = map_split;
    job->row_text = TQ_ROW_LINE;
    job->write_json = write_object;
    return true;
}

static const char usage[] = "Each CMD is run by /bin/sh -c, once for each split of the input (or for some\n"
                            "keys), on all threads of all ranks. A line is a key, and behind its first TAB a\n"
                            "value.\n"
                            "\n"
                            "    tequio stream --map './map.py' --reduce './reduce.py' FILE...\n"
                            "    tequio -n 4 stream --map 'grep -o \"[a-z]*\"' --reduce 'uniq -c' -r FOLDER\n"
                            "\n"
                            "The mapper reads lines of the input. The reducer reads key TAB value, sorted,\n"
                            "all lines of a key together, and writes rows, which come out sorted; without\n"
                            "one, what the mapper writes does, or, with --sort none, in the order of the\n"
                            "input. The combiner does the same to what one mapper has written, and writes\n"
                            "less for the reducer. What they write for a key should not depend on other keys\n"
                            "in the same run of the command.\n"
                            "\n"
                            "A command that does not exit with 0 ends the job with exit code 6, and a line\n"
                            "that says which, how, where, and what it said last on its standard error. With\n"
                            "--retries it runs again on the same input; until it has succeeded, what it\n"
                            "writes is held in memory. Exiting with 0 before all is read is no failure. What\n"
                            "commands find in their environment: TEQUIO_PHASE, TEQUIO_RANK, TEQUIO_WORKER,\n"
                            "TEQUIO_TRY; mappers and combiners TEQUIO_INPUT_FILE, TEQUIO_SPLIT_OFFSET,\n"
                            "TEQUIO_SPLIT_END; reducers TEQUIO_PARTITION.\n";

const jobs_entry jobs_stream = {
    .name = "stream",
    .summary = "mappers and reducers that are commands",
    .usage = usage,
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .settings_bytes = sizeof(stream_settings),
    .describe = describe,
};
