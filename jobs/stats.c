/* stats: count, sum, min, mean, max and standard deviation of the numbers in one column of a text, for each key in
 * another.
 *
 * A line is a record; an empty one is none. Columns are numbered from 1; with --header they can be named, by the first
 * line of each file. With --csv fields may be quoted as RFC 4180 has it, but not hold a line end. A key is the bytes
 * of its field, of which there must be at least one; a value is a decimal number as tq_read_number takes it. A line
 * that lacks one of the two is a bad record, named by the byte at which it begins. With --jsonl a line is an object, whose
 * members the two are.
 *
 * Lines are cut, and numbers read, many at a time, in units of 10^-decimals, where decimals is what the first numbers
 * of a chunk mostly have. What does not fit these units, or is bad, is looked at once more by itself. */
#include "jobs/columns.h"
#include "jobs/members.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 256, /* lines cut and emitted at a time: few calls, and small enough for the L1 cache */
    SAMPLE = 64, /* numbers that choose the units, */
    RARE = 16,   /* of which one in so many may be finer, */
    FINEST = 9,  /* and these are the most decimals: more would leave too little room in front of the point */
    SHOWN = 40   /* bytes of a field in a message */
};

typedef struct stats_settings {
    const char *key, *value; /* a number, or with header a name */
    columns_settings text;
} stats_settings;

enum { KEY, VALUE }; /* the wanted columns, in this order */

static const char *const wanted_columns[] = {[KEY] = "key", [VALUE] = "value"};

/* A chunk of lines being mapped. */
typedef struct mapping {
    const tq_record *chunk;
    tq_emitter *emitter;
    tq_columns columns;
    unsigned decimals; /* of the units */
    bool has_units;
    tq_slice keys[BATCH], numbers[BATCH];
    int64_t values[BATCH];
    bool alone[BATCH]; /* to be looked at by itself */
} mapping;

static bool find_columns(mapping *m, const stats_settings *settings)
{
    const columns_settings *text = &settings->text;

    m->columns = (tq_columns){.delimiter = columns_delimiter(text), .quotes = text->csv, .n = 2};
    return columns_find(m->chunk, m->emitter, text, settings->key, &m->columns.wanted[KEY]) &&
           columns_find(m->chunk, m->emitter, text, settings->value, &m->columns.wanted[VALUE]);
}

/* ---- Lines by themselves ---- */

/* A field for a message, in room of SHOWN + 4 bytes. */
static const char *show(tq_slice field, char *room)
{
    size_t n = field.size < SHOWN ? field.size : SHOWN;

    for (size_t i = 0; i < n; i++)
        room[i] = iscntrl((unsigned char)field.data[i]) ? '?' : field.data[i];
    strcpy(room + n, n < field.size ? "..." : "");
    return room;
}

static tq_status say_number(const mapping *m, tq_slice number, tq_number what, uint64_t offset)
{
    const char *file = m->chunk->file;
    char shown[SHOWN + 4];

    show(number, shown);
    if (what == TQ_NUMBER_TOO_LARGE)
        return tq_emit_bad(m->emitter, file, offset, "'%s' is too large: numbers must be less than 10^18", shown);
    if (what == TQ_NUMBER_TOO_FINE)
        return tq_emit_bad(m->emitter, file, offset,
                           "'%s' has too many digits: 18 in all, and behind the point, are the most", shown);
    return tq_emit_bad(m->emitter, file, offset, "'%s' is no number", shown);
}

/* A pair whose key has quotation marks in it. */
static tq_status emit_quoted(const mapping *m, tq_slice key, int64_t value, unsigned decimals)
{
    char room[COLUMNS_ROOM], *owned;

    key = columns_unquote(key, m->emitter, room, &owned);
    tq_status status = key.data ? tq_emit_pairs_decimal(m->emitter, &key, &value, 1, decimals) : TQ_E_USER;
    free(owned);
    return status;
}

static tq_status map_alone(const mapping *m, tq_slice key, tq_slice number)
{
    int64_t value;
    unsigned decimals;

    if (number.size == TQ_NO_FIELD)
        return columns_irregular(m->chunk, m->emitter, &m->columns, wanted_columns, number.data);
    tq_number what = tq_read_number(number, &value, &decimals);
    if (key.size == 0)
        return tq_emit_bad(m->emitter, m->chunk->file, columns_offset(m->chunk, key.data), "the key is empty");
    if (what != TQ_NUMBER)
        return say_number(m, number, what, columns_offset(m->chunk, number.data));
    if (m->columns.quotes && *key.data == '"')
        return emit_quoted(m, key, value, decimals);
    return tq_emit_pairs_decimal(m->emitter, &key, &value, 1, decimals);
}

/* ---- Many lines ---- */

/* The largest units in which nearly all numbers of a sample are whole. */
static void choose_units(mapping *m, size_t n)
{
    size_t seen[TQ_DECIMALS_MAX + 1] = {0}, some = 0, finer = 0;

    for (size_t i = 0; i < n && i < SAMPLE; i++) {
        unsigned decimals;
        int64_t value;

        if (tq_read_number(m->numbers[i], &value, &decimals) != TQ_NUMBER)
            continue;
        seen[decimals]++;
        some++;
    }
    for (m->decimals = TQ_DECIMALS_MAX; m->decimals > 0; m->decimals--) {
        finer += seen[m->decimals];
        if (m->decimals <= FINEST && finer * RARE > some)
            break;
    }
    m->has_units = some > 0;
}

/* Take quotation marks off. Keys that have others inside keep theirs. Returns how many these are. */
static size_t unquote(mapping *m, size_t n)
{
    size_t alone = 0;

    for (size_t i = 0; i < n; i++) {
        tq_slice key = m->keys[i], number = m->numbers[i];

        if (number.size == TQ_NO_FIELD)
            continue;
        if (number.size >= 2 && *number.data == '"')
            m->numbers[i] = (tq_slice){number.data + 1, number.size - 2};
        if (key.size < 2 || *key.data != '"')
            continue;
        m->alone[i] = memchr(key.data + 1, '"', key.size - 2) != NULL;
        if (!m->alone[i])
            m->keys[i] = (tq_slice){key.data + 1, key.size - 2};
        alone += m->alone[i];
    }
    return alone;
}

/* Map those that are to be looked at by themselves. Returns how many others there are, which move to the front. */
static size_t map_some_alone(mapping *m, size_t n, tq_status *status)
{
    size_t kept = 0;

    for (size_t i = 0; i < n && !*status; i++) {
        if (m->alone[i] || m->keys[i].size == 0) {
            *status = map_alone(m, m->keys[i], m->numbers[i]);
            continue;
        }
        m->keys[kept] = m->keys[i];
        m->values[kept++] = m->values[i];
    }
    return kept;
}

static tq_status map_batch(mapping *m, size_t n)
{
    uint32_t left[BATCH];
    size_t alone = 0, empty = 0;
    tq_status status = TQ_OK;

    memset(m->alone, 0, n * sizeof *m->alone);
    if (m->columns.quotes)
        alone = unquote(m, n);
    if (!m->has_units)
        choose_units(m, n);
    size_t n_left = tq_read_numbers(m->numbers, n, m->decimals, m->values, left);
    for (size_t i = 0; i < n; i++)
        empty += m->keys[i].size == 0;
    for (size_t i = 0; i < n_left; i++)
        m->alone[left[i]] = true;
    if (alone + empty + n_left > 0)
        n = map_some_alone(m, n, &status);
    return status ? status : tq_emit_pairs_decimal(m->emitter, m->keys, m->values, n, m->decimals);
}

static int map(const tq_record *chunk, tq_emitter *emitter, void *user)
{
    const jobs_context *context = user;
    mapping m = {.chunk = chunk, .emitter = emitter};
    tq_slice text = {chunk->data, chunk->size};
    tq_slice *const fields[] = {[KEY] = m.keys, [VALUE] = m.numbers};
    size_t n;

    if (!find_columns(&m, context->settings))
        return 1;
    while ((n = tq_next_fields(&text, &m.columns, fields, BATCH)) > 0)
        if (map_batch(&m, n) != TQ_OK)
            return 1;
    return 0;
}

/* ---- Objects ---- */

static tq_status map_members(void *to, tq_slice line, const tq_slice *members)
{
    const mapping *m = to;
    uint64_t offset = columns_offset(m->chunk, line.data);
    int64_t value;
    unsigned decimals;
    tq_number what = tq_read_number(members[VALUE], &value, &decimals);

    if (members[KEY].size == 0)
        return tq_emit_bad(m->emitter, m->chunk->file, offset, "the key is empty");
    if (what != TQ_NUMBER)
        return say_number(m, members[VALUE], what, offset);
    return tq_emit_pairs_decimal(m->emitter, &members[KEY], &value, 1, decimals);
}

static int map_objects(const tq_record *chunk, tq_emitter *emitter, void *user)
{
    const stats_settings *settings = ((const jobs_context *)user)->settings;
    const members_wanted wanted[] = {[KEY] = {settings->key, false}, [VALUE] = {settings->value, true}};
    mapping m = {.chunk = chunk, .emitter = emitter};

    return (int)members_of(chunk, emitter, wanted, 2, map_members, &m);
}

/* ---- The job ---- */

static const char *wrong(const stats_settings *settings)
{
    if (!settings->key || !settings->value)
        return "stats needs --key COLUMN and --value COLUMN";
    if (!columns_known(&settings->text, settings->key) || !columns_known(&settings->text, settings->value))
        return "--key and --value take the number of a column, from 1 on, or with --header or --jsonl its name";
    return columns_wrong(&settings->text);
}

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    const stats_settings *own = settings;
    const char *reason = wrong(own);

    if (!reason && job->limit)
        reason = "--top goes by the number in a row, and a row of stats has not one";
    if (reason) {
        snprintf(why, size, "%s", reason);
        return false;
    }
    job->records = TQ_LINES;
    job->header = own->text.header;
    job->skip_bad = (uint64_t)own->text.skip_bad;
    job->map_chunk = own->text.jsonl ? map_objects : map;
    job->value_type = TQ_I64;
    job->combine = TQ_STATS;
    return true;
}

#define AT(member) offsetof(stats_settings, member)

static const option_row rows[] = {
    {.name = "key",
     .argument = "COLUMN",
     .type = OPTION_STRING,
     .offset = AT(key),
     .help = "what to group by: a number from 1, or a name"},
    {.name = "value", .argument = "COLUMN", .type = OPTION_STRING, .offset = AT(value), .help = "the numbers"},
    COLUMNS_JSONL_ROW(AT(text)),
    COLUMNS_ROWS(AT(text)),
};

const jobs_entry jobs_stats = {
    .name = "stats",
    .summary = "count, sum, min, mean, max, stddev of a column",
    .usage = "Cuts lines into columns, and prints for each key, in the order of their bytes,\n"
             "KEY COUNT SUM MIN MEAN MAX STDDEV with tabs between them. Sums are exact.\n"
             "\n"
             "    tequio stats --key 1 --value 2 FILE    of lines such as Hamburg;12.3\n"
             "    tequio stats --csv --header --key city --value price FILE    by names\n"
             "    tequio stats --jsonl --key city --value price FILE    members of objects\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .settings_bytes = sizeof(stats_settings),
    .describe = describe,
};
