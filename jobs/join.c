/* join: the lines of two texts that have a key in common.
 *
 * A line is emitted under its key: the byte of its side, and what stands in its other columns (of an object: all of it). The order is TQ_ORDER_STABLE:
 * by key, and then by place in the input, where RIGHT comes first. So whoever writes the rows in their order has all lines of
 * RIGHT with a key when those of LEFT come, and writes each of these with each of them: what is kept of a key are its lines
 * of RIGHT, never the product.
 *
 * With broadcast each rank has what RIGHT holds as side data, makes a set of its keys, and does not emit lines of LEFT whose
 * key is not among them. All else is the same.
 *
 * Who may touch what of a join: its settings and inputs nobody changes; keys is made under lock, by the worker that needs it
 * first, and not changed again; the writer is touched by write_text and write_json alone, which are called by one thread at
 * a time. */
#include "jobs/columns.h"
#include "jobs/joined.h"
#include "jobs/key_set.h"
#include "jobs/members.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BATCH = 256 };
enum { SMALL_BYTES = 16 << 20, PART_OF_MEMORY = 16, PART_OF_LEFT = 4 }; /* what may be broadcast without being asked for */

/* The places of the inputs: RIGHT is read as the first, so that its lines come first. */
enum { RIGHT, LEFT };
enum { METHOD_AUTO, METHOD_BROADCAST, METHOD_PARTITION };
enum { LEFT_LINES, RIGHT_LINES, BROADCAST_LINES, DROPPED_LINES, COUNTERS };

static const char *const counters[COUNTERS] = {"left_lines", "right_lines", "broadcast_lines", "dropped_lines"};
static const char *const wanted_columns[] = {"key"};

typedef struct join_settings {
    const char *key, *key_right;
    bool left;
    int method;
    columns_settings text;
} join_settings;

typedef struct join {
    const join_settings *settings;
    char delimiter;
    const char *inputs[2];
    pthread_mutex_t lock;
    struct {
        key_set set;
        char *unquoted; /* room for keys that are not written as they are, used bytes of it taken */
        size_t used;
        bool made, failed;
    } keys;
    joined writer;
} join;

/* ---- The keys of RIGHT ------------------------------------------------------------------------------------------- */

/* Bad lines are none here: whoever maps RIGHT says so. */
static bool add_keys(join *j, tq_slice text, const tq_columns *columns)
{
    tq_slice found[BATCH], *fields[] = {found};
    size_t n;

    j->keys.unquoted = columns->quotes ? malloc(text.size + 1) : NULL;
    if (columns->quotes && !j->keys.unquoted)
        return false;
    while ((n = tq_next_fields(&text, columns, fields, BATCH)) > 0)
        for (size_t i = 0; i < n; i++) {
            if (found[i].size == TQ_NO_FIELD)
                continue;
            tq_slice key = columns_unquoted(found[i], columns->quotes, j->keys.unquoted + j->keys.used);

            j->keys.used += key.data == j->keys.unquoted + j->keys.used ? key.size : 0;
            if (key.size > 0 && !key_set_add(&j->keys.set, key))
                return false;
        }
    return true;
}

static bool make_keys(join *j, tq_emitter *emitter, tq_slice side)
{
    const join_settings *settings = j->settings;
    tq_columns columns = {.delimiter = j->delimiter, .quotes = settings->text.csv, .n = 1};
    tq_record right = {.data = side.data, .size = side.size, .file = j->inputs[RIGHT]};

    if (settings->text.header) {
        const char *newline = memchr(side.data, '\n', side.size);
        size_t header = newline ? (size_t)(newline + 1 - side.data) : side.size;

        right.header = tq_line_at(side);
        side = (tq_slice){side.data + header, side.size - header};
    }
    if (!columns_find(&right, emitter, &settings->text, settings->key_right ? settings->key_right : settings->key,
                      &columns.wanted[0]))
        return false;
    if (!add_keys(j, side, &columns)) {
        tq_emit_fail(emitter, "no memory for the keys of %s", j->inputs[RIGHT]);
        return false;
    }
    return true;
}

/* *keys: NULL if RIGHT was not broadcast. False: the job ends. */
static bool find_keys(join *j, tq_emitter *emitter, const key_set **keys)
{
    tq_slice side = tq_emitter_side(emitter);
    bool well;

    *keys = NULL;
    if (side.size == 0)
        return true;
    pthread_mutex_lock(&j->lock);
    if (!j->keys.made) {
        j->keys.failed = !make_keys(j, emitter, side);
        j->keys.made = true;
    }
    well = !j->keys.failed;
    pthread_mutex_unlock(&j->lock);
    *keys = &j->keys.set;
    return well;
}

/* ---- Mapping ----------------------------------------------------------------------------------------------------- */

/* A chunk of lines being mapped. */
typedef struct mapping {
    const join *j;
    const tq_record *chunk;
    tq_emitter *emitter;
    tq_columns columns;
    const key_set *keys;
    lines_text key, value;
    uint64_t width; /* of RIGHT, with --left: most columns of a line but the key */
    int64_t counts[COUNTERS];
} mapping;

static bool is_left(const mapping *m)
{
    return m->chunk->file_number == LEFT;
}

static void count_columns(mapping *m, tq_slice line)
{
    uint64_t n = 0;
    tq_slice field;

    while (tq_next_field(&line, &m->columns, &field) == TQ_FIELD)
        n++;
    if (n > m->width + 1)
        m->width = n - 1;
}

/* The side, and each other column with a delimiter in front of it. */
static bool make_value(mapping *m, tq_slice line, tq_slice field)
{
    size_t before = (size_t)(field.data - line.data), behind = line.size - before - field.size;
    const char head[2] = {is_left(m) ? JOINED_LEFT : JOINED_RIGHT, m->columns.delimiter};

    m->value.size = 0;
    if (!lines_reserve(&m->value, line.size + sizeof head))
        return false;
    joined_append(&m->value, head, before > 0 ? 2 : 1);
    joined_append(&m->value, line.data, before > 0 ? before - 1 : 0);
    joined_append(&m->value, field.data + field.size, behind);
    return true;
}

static tq_status map_line(mapping *m, tq_slice line, tq_slice field)
{
    m->counts[is_left(m) ? LEFT_LINES : RIGHT_LINES]++;
    m->key.size = 0;
    if (!lines_reserve(&m->key, field.size))
        return (tq_status)tq_emit_fail(m->emitter, "no memory for a key of %zu bytes", field.size);
    tq_slice key = columns_unquoted(field, m->columns.quotes, m->key.data);
    if (key.size == 0)
        return tq_emit_bad(m->emitter, m->chunk->file, columns_offset(m->chunk, line.data), "the key is empty");
    if (m->keys) {
        m->counts[BROADCAST_LINES]++;
        if (!key_set_has(m->keys, key)) {
            m->counts[DROPPED_LINES]++;
            return TQ_OK;
        }
    }
    if (!is_left(m) && m->j->settings->left)
        count_columns(m, line);
    if (!make_value(m, line, field))
        return (tq_status)tq_emit_fail(m->emitter, "no memory for a line of %zu bytes", line.size);
    return tq_emit(m->emitter, key, (tq_slice){m->value.data, m->value.size});
}

static tq_status map_lines(mapping *m)
{
    tq_slice text = {m->chunk->data, m->chunk->size}, keys[BATCH], *fields[] = {keys};
    const char *begin = text.data, *end = begin + text.size;
    tq_status status = TQ_OK;
    size_t n;

    while (!status && (n = tq_next_fields(&text, &m->columns, fields, BATCH)) > 0)
        for (size_t i = 0; i < n && !status; i++) {
            bool found = keys[i].size != TQ_NO_FIELD;
            const char *from = found ? keys[i].data + keys[i].size : begin;
            const char *newline = memchr(from, '\n', (size_t)(end - from));
            tq_slice line = tq_line_at((tq_slice){begin, (size_t)((newline ? newline : end) - begin)});

            status = found ? map_line(m, line, keys[i])
                           : columns_irregular(m->chunk, m->emitter, &m->columns, wanted_columns, begin);
            begin = newline ? newline + 1 : end;
        }
    return status;
}

/* How many columns RIGHT has, as far as this chunk of it says. */
static tq_status emit_width(mapping *m)
{
    char value[1 + sizeof m->width] = {JOINED_WIDTH};

    if (m->chunk->header.data)
        count_columns(m, m->chunk->header);
    memcpy(value + 1, &m->width, sizeof m->width);
    return tq_emit(m->emitter, (tq_slice){"", 0}, (tq_slice){value, sizeof value});
}

/* Of a line that is an object the value is all of it. */
static tq_status map_object(void *to, tq_slice line, const tq_slice *key)
{
    mapping *m = to;
    const char side = is_left(m) ? JOINED_LEFT : JOINED_RIGHT;

    m->counts[is_left(m) ? LEFT_LINES : RIGHT_LINES]++;
    if (key->size == 0)
        return tq_emit_bad(m->emitter, m->chunk->file, columns_offset(m->chunk, line.data), "the key is empty");
    line = tq_line_at(line);
    m->value.size = 0;
    if (!lines_reserve(&m->value, line.size + 1))
        return (tq_status)tq_emit_fail(m->emitter, "no memory for a line of %zu bytes", line.size);
    joined_append(&m->value, &side, 1);
    joined_append(&m->value, line.data, line.size);
    return tq_emit(m->emitter, *key, (tq_slice){m->value.data, m->value.size});
}

static tq_status count_all(const mapping *m)
{
    tq_status status = TQ_OK;

    for (size_t i = 0; i < COUNTERS && !status; i++)
        status = tq_emit_count(m->emitter, i, m->counts[i]);
    return status;
}

static int map_chunk(mapping *m, join *j)
{
    const join_settings *settings = j->settings;
    const char *name = !is_left(m) && settings->key_right ? settings->key_right : settings->key;

    if (m->chunk->files != 2)
        return tq_emit_refuse(m->emitter, m->chunk->file, m->chunk->offset, "each of the two inputs of join is one file");
    if (settings->text.jsonl)
        return members_of(m->chunk, m->emitter, &(members_wanted){.name = name}, 1, map_object, m) || count_all(m);
    if (!columns_find(m->chunk, m->emitter, &settings->text, name, &m->columns.wanted[0]))
        return 1;
    if (is_left(m) && !find_keys(j, m->emitter, &m->keys))
        return 1;
    tq_status status = map_lines(m);
    if (!status && !is_left(m) && settings->left)
        status = emit_width(m);
    return status || count_all(m);
}

static int map(const tq_record *chunk, tq_emitter *emitter, void *user)
{
    join *j = user;
    mapping m = {.j = j,
                 .chunk = chunk,
                 .emitter = emitter,
                 .columns = {.delimiter = j->delimiter, .quotes = j->settings->text.csv, .n = 1}};
    int code = map_chunk(&m, j);

    lines_free(&m.key);
    lines_free(&m.value);
    return code;
}

/* ---- The job ----------------------------------------------------------------------------------------------------- */

static int write_text(const tq_row *row, tq_text *text, void *user)
{
    return joined_write(&((join *)user)->writer, row, text, false);
}

static int write_json(const tq_row *row, tq_text *text, void *user)
{
    return joined_write(&((join *)user)->writer, row, text, true);
}

static const char *wrong(const join_settings *settings, const tq_job *job)
{
    bool from_stdin = job->n_inputs == 2 && strcmp(job->inputs[1], "-") == 0;

    if (!settings->key)
        return "join needs --key COLUMN";
    if (!columns_known(&settings->text, settings->key) ||
        (settings->key_right && !columns_known(&settings->text, settings->key_right)))
        return "--key and --key-right take the number of a column, from 1 on, or with --header or --jsonl its name";
    if (job->n_inputs != 2)
        return "join takes two inputs: LEFT and RIGHT";
    if (from_stdin && strcmp(job->inputs[0], "-") == 0)
        return "only one of the two inputs can be the standard input";
    if (job->limit || job->order != TQ_ORDER_KEY)
        return "--top and --sort are not for this job: its rows have an order";
    if (settings->method == METHOD_BROADCAST && settings->left)
        return "--method broadcast does not go together with --left, which keeps all lines of LEFT";
    if (settings->method == METHOD_BROADCAST && settings->text.jsonl)
        return "--method broadcast does not go together with --jsonl: leave it out";
    if (settings->method == METHOD_BROADCAST && from_stdin)
        return "--method broadcast reads RIGHT twice, so it cannot be the standard input";
    return columns_wrong(&settings->text);
}

/* Without being asked, RIGHT is broadcast if it is small beside LEFT, and beside the memory. */
static size_t most_broadcast(const tq_job *job)
{
    uint64_t most = SMALL_BYTES, memory = job->memory_bytes / PART_OF_MEMORY;
    struct stat left;

    if (job->memory_bytes && memory < most)
        most = memory;
    if (stat(job->inputs[0], &left) == 0 && S_ISREG(left.st_mode) && (uint64_t)left.st_size / PART_OF_LEFT < most)
        most = (uint64_t)left.st_size / PART_OF_LEFT;
    return (size_t)(most > 0 ? most : 1);
}

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    const join_settings *own = settings;
    const char *reason = wrong(own, job);
    join *j = reason ? NULL : calloc(1, sizeof *j);

    if (!j) {
        snprintf(why, size, "%s", reason ? reason : "no memory");
        return false;
    }
    j->settings = own;
    j->delimiter = columns_delimiter(&own->text);
    j->writer = (joined){.delimiter = j->delimiter,
                         .quotes = own->text.csv,
                         .objects = own->text.jsonl,
                         .keeps_left = own->left};
    j->inputs[LEFT] = job->inputs[0];
    j->inputs[RIGHT] = job->inputs[1];
    pthread_mutex_init(&j->lock, NULL);
    if (own->method != METHOD_PARTITION && !own->left && !own->text.jsonl && strcmp(j->inputs[RIGHT], "-") != 0) {
        job->side_path = j->inputs[RIGHT];
        job->side_bytes = own->method == METHOD_AUTO ? most_broadcast(job) : 0;
    }
    job->user = j;
    job->inputs = j->inputs;
    job->records = TQ_LINES;
    job->header = job->own_headers = own->text.header;
    job->skip_bad = (uint64_t)own->text.skip_bad;
    job->map_chunk = map;
    job->value_type = TQ_BYTES;
    job->order = TQ_ORDER_STABLE;
    job->counters = counters;
    job->n_counters = COUNTERS;
    job->write_text = write_text;
    job->write_json = write_json;
    job->write_in_order = true;
    return true;
}

static int end(void *user, const tq_stats *stats)
{
    join *j = user;

    (void)stats;
    pthread_mutex_destroy(&j->lock);
    key_set_free(&j->keys.set);
    free(j->keys.unquoted);
    joined_free(&j->writer);
    free(j);
    return 0;
}

#define AT(member) offsetof(join_settings, member)

static const option_row rows[] = {
    {.name = "key",
     .argument = "COLUMN",
     .type = OPTION_STRING,
     .offset = AT(key),
     .help = "what to join by: a number from 1, or a name"},
    {.name = "key-right",
     .argument = "COLUMN",
     .type = OPTION_STRING,
     .offset = AT(key_right),
     .help = "the same of RIGHT (as of LEFT)"},
    {.name = "left", .type = OPTION_FLAG, .offset = AT(left), .help = "keep lines of LEFT that nothing is joined to"},
    {.name = "method",
     .argument = "auto|broadcast|partition",
     .type = OPTION_CHOICE,
     .offset = AT(method),
     .preset = "auto",
     .help = "who sees RIGHT"},
    COLUMNS_JSONL_ROW(AT(text)),
    COLUMNS_ROWS(AT(text)),
};

const jobs_entry jobs_join = {
    .name = "join",
    .summary = "the lines of two texts that have a key in common",
    .usage = "Takes two files, LEFT and RIGHT. For each line of LEFT and each of RIGHT with\n"
             "the same key it prints the key, the other columns of LEFT, and those of RIGHT,\n"
             "by the bytes of keys, then in the order of LEFT, then of RIGHT. With --left a\n"
             "line without a partner has empty columns there, as many as RIGHT has at most.\n"
             "With --format json: {\"key\":..., \"left\":[...], \"right\":[...]}, or null there;\n"
             "with --jsonl always so, and left and right are the objects as they are written.\n"
             "\n"
             "--method broadcast: all ranks know the keys of RIGHT, so that lines of LEFT\n"
             "without a partner go nowhere; partition: all lines are sorted; auto: by size.\n"
             "\n"
             "    tequio join --key 1 --key-right 2 orders.txt customers.txt\n"
             "    tequio join --csv --header --key id --left orders.csv.gz customers.csv\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .settings_bytes = sizeof(join_settings),
    .describe = describe,
    .end = end,
};
