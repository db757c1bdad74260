/* histogram: how many values of a column are in each of so many equal intervals. The counts are a dense result, so that nothing
 * is emitted for a value. Numbers are decimals, in units of 10^-18, and compared exactly: no bound is rounded. */
#include "jobs/jobs.h"
#include "jobs/members.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 18, MOST_BINS = 1 << 20 };
enum { VALUES, BELOW, ABOVE, COUNTERS };

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 uwide;

static const char *const counters[COUNTERS] = {"values", "below", "above"};

typedef struct histogram_settings {
    const char *value, *delimiter, *from, *to;
    bool jsonl;
    int64_t bins, skip_bad;
} histogram_settings;

/* What the settings mean. */
typedef struct histogram {
    size_t column;
    const char *member; /* of objects */
    char delimiter;
    wide from, to;
    uint64_t bins;
} histogram;

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

/* A decimal: sign, digits with a point among them, at least one. Rounded down to PLACES places; what has more than 18 digits in
 * front of the point is as good as 10^18. */
static bool parse(const char *at, size_t size, wide *number)
{
    static const wide most = (wide)1000000000000000000 * 1000000000000000000;
    const char *end = at + size;
    bool negative = size > 0 && *at == '-', rest = false, some = false;
    wide whole = 0;
    int places = -1;

    for (at += size > 0 && (*at == '-' || *at == '+'); at < end; at++) {
        if (*at == '.' && places < 0) {
            places = 0;
            continue;
        }
        if (*at < '0' || *at > '9')
            return false;
        some = true;
        if (places >= PLACES)
            rest |= *at != '0';
        else
            whole = whole * 10 + (*at - '0');
        places += places >= 0 && places < PLACES;
        if (places < 0 && whole > most / 1000000000000000000)
            whole = most / 1000000000000000000;
    }
    for (places = places < 0 ? 0 : places; places < PLACES; places++)
        whole *= 10;
    *number = negative ? -whole - rest : whole;
    return some;
}

/* a x b of 128 and 64 bits, compared with c x d. */
static bool product_less(uwide a, uint64_t b, uwide c, uint64_t d)
{
    uwide low_ab = (uwide)(uint64_t)a * b, low_cd = (uwide)(uint64_t)c * d;
    uwide high_ab = (a >> 64) * b + (low_ab >> 64), high_cd = (c >> 64) * d + (low_cd >> 64);

    return high_ab != high_cd ? high_ab < high_cd : (uint64_t)low_ab < (uint64_t)low_cd;
}

/* The place of a value: 0 below, 1 .. bins, bins + 1 above. Guessed, and then put right. */
static uint64_t place_of(const histogram *h, wide value)
{
    if (value < h->from)
        return 0;
    if (value >= h->to)
        return h->bins + 1;
    uwide in = (uwide)(value - h->from), all = (uwide)(h->to - h->from);
    uint64_t bin = (uint64_t)((double)in / (double)all * (double)h->bins);
    while (bin > 0 && product_less(in, h->bins, all, bin))
        bin--;
    while (bin + 1 < h->bins && !product_less(in, h->bins, all, bin + 1))
        bin++;
    return bin + 1;
}

/* ---- Mapping ----------------------------------------------------------------------------------------------------- */

static int map(const tq_record *line, tq_emitter *emitter, void *user)
{
    const histogram *h = user;
    const char *at = line->data, *end = at + line->size;
    wide value;

    for (size_t column = 1; column < h->column; column++) {
        at = memchr(at, h->delimiter, (size_t)(end - at));
        if (at == NULL)
            return (int)tq_emit_bad(emitter, line->file, line->offset, "this line has no column %zu", h->column);
        at++;
    }
    const char *delimiter = memchr(at, h->delimiter, (size_t)(end - at));
    size_t size = (size_t)((delimiter != NULL ? delimiter : end) - at);
    if (size > 0 && delimiter == NULL && at[size - 1] == '\r')
        size--;
    if (!parse(at, size, &value))
        return (int)tq_emit_bad(emitter, line->file, line->offset, "column %zu is no decimal number: '%.*s'", h->column,
                                size < 40 ? (int)size : 40, at);
    tq_emitter_dense(emitter)[place_of(h, value)]++;
    return 0;
}

/* A number of JSON, which may have an exponent. */
static bool parse_member(tq_slice text, wide *number)
{
    int64_t value;
    unsigned decimals;

    if (parse(text.data, text.size, number))
        return true;
    if (tq_read_number(text, &value, &decimals) != TQ_NUMBER)
        return false;
    for (*number = value; decimals < PLACES; decimals++)
        *number *= 10;
    return true;
}

typedef struct objects {
    const histogram *h;
    const tq_record *chunk;
    tq_emitter *emitter;
} objects;

static tq_status count_member(void *to, tq_slice line, const tq_slice *member)
{
    const objects *o = to;
    wide value;

    if (!parse_member(*member, &value))
        return tq_emit_bad(o->emitter, o->chunk->file, o->chunk->offset + (uint64_t)(line.data - o->chunk->data),
                           "member '%s' has too many digits: '%.*s'", o->h->member,
                           member->size < 40 ? (int)member->size : 40, member->data);
    tq_emitter_dense(o->emitter)[place_of(o->h, value)]++;
    return TQ_OK;
}

static int map_objects(const tq_record *chunk, tq_emitter *emitter, void *user)
{
    const histogram *h = user;
    objects o = {h, chunk, emitter};

    return (int)members_of(chunk, emitter, &(members_wanted){h->member, true}, 1, count_member, &o);
}

/* ---- Rows: the key is the place, in big-endian order ------------------------------------------------------------- */

static int make_rows(const int64_t *dense, size_t n, tq_emitter *emitter, void *user)
{
    (void)user;
    for (size_t i = 0; i < n; i++) {
        char key[4] = {(char)(i >> 24), (char)(i >> 16), (char)(i >> 8), (char)i};

        tq_emit_count(emitter, VALUES, dense[i]);
        if (tq_emit_i64(emitter, (tq_slice){key, sizeof key}, dense[i]) != TQ_OK)
            return 1;
    }
    tq_emit_count(emitter, BELOW, dense[0]);
    return (int)tq_emit_count(emitter, ABOVE, dense[n - 1]);
}

/* Where an interval begins, to PLACES places. text: 64 bytes. */
static void print_bound(const histogram *h, const tq_row *row, char *text)
{
    const unsigned char *key = (const unsigned char *)row->key.data;
    uint64_t place = (uint64_t)key[0] << 24 | (uint64_t)key[1] << 16 | (uint64_t)key[2] << 8 | key[3], unit = 1;
    wide all = h->to - h->from, bins = (wide)h->bins;

    if (place == 0) {
        strcpy(text, "-inf");
        return;
    }
    wide bound = h->from + all / bins * (wide)(place - 1) + all % bins * (wide)(place - 1) / bins;
    for (int i = 0; i < PLACES; i++)
        unit *= 10;
    uwide size = (uwide)(bound < 0 ? -bound : bound);
    int length = sprintf(text, "%s%llu.%018llu", bound < 0 ? "-" : "", (unsigned long long)(size / unit),
                         (unsigned long long)(size % unit));
    while (text[length - 1] == '0')
        text[--length] = '\0';
    if (text[length - 1] == '.')
        text[length - 1] = '\0';
}

static int write_text(const tq_row *row, tq_text *text, void *user)
{
    char bound[64];

    print_bound(user, row, bound);
    return tq_text_put(text, (tq_slice){bound, strlen(bound)}) || tq_text_put(text, (tq_slice){"\t", 1}) ||
           tq_text_put_number(text, row->i64) || tq_text_put(text, (tq_slice){"\n", 1});
}

/* JSON has no infinity. */
static int write_json(const tq_row *row, tq_text *text, void *user)
{
    char bound[64];

    print_bound(user, row, bound);
    const char *shown = strcmp(bound, "-inf") == 0 ? "null" : bound;
    return tq_text_put(text, (tq_slice){"{\"from\":", 8}) || tq_text_put(text, (tq_slice){shown, strlen(shown)}) ||
           tq_text_put(text, (tq_slice){",\"count\":", 9}) || tq_text_put_number(text, row->i64) ||
           tq_text_put(text, (tq_slice){"}\n", 2});
}

/* ---- Describing -------------------------------------------------------------------------------------------------- */

static bool read_bound(const char *text, wide *bound)
{
    static const wide most = (wide)1000000000000000000 * 1000000000000000000;

    return text != NULL && parse(text, strlen(text), bound) && *bound > -most && *bound < most;
}

static const char *read_settings(const histogram_settings *settings, histogram *h)
{
    char *end = NULL;
    unsigned long column = settings->value != NULL ? strtoul(settings->value, &end, 10) : 0;
    const char *delimiter = settings->delimiter != NULL ? settings->delimiter : ";";
    bool is_tab = strcmp(delimiter, "\\t") == 0;

    if (settings->value == NULL ||
        (!settings->jsonl && (column == 0 || column > 1000000 || *end != '\0' || *settings->value == '-')))
        return "histogram needs --value, the number of a column from 1 on, or with --jsonl the name of a member";
    if (settings->jsonl && settings->delimiter != NULL)
        return "--jsonl does not go together with --delimiter";
    if (!is_tab && (strlen(delimiter) != 1 || strchr("\n\r", *delimiter) != NULL))
        return "--delimiter is one byte, or \\t";
    *h = (histogram){.column = column, .delimiter = is_tab ? '\t' : *delimiter};
    h->member = settings->jsonl ? settings->value : NULL;
    if (!read_bound(settings->from, &h->from) || !read_bound(settings->to, &h->to))
        return "histogram needs --from and --to, decimal numbers of up to 18 digits before the point";
    if (h->from >= h->to)
        return "--from must be less than --to";
    h->bins = (uint64_t)settings->bins;
    return NULL;
}

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    histogram *h = calloc(1, sizeof *h);
    const char *wrong = h != NULL ? read_settings(settings, h) : "no memory";

    if (wrong != NULL) {
        snprintf(why, size, "%s", wrong);
        free(h);
        return false;
    }
    job->user = h;
    job->skip_bad = (uint64_t)((const histogram_settings *)settings)->skip_bad;
    job->records = TQ_LINES;
    if (h->member != NULL)
        job->map_chunk = map_objects;
    else
        job->map = map;
    job->value_type = TQ_I64;
    job->combine = TQ_SUM;
    job->dense = h->bins + 2;
    job->dense_rows = make_rows;
    job->counters = counters;
    job->n_counters = COUNTERS;
    job->write_text = write_text;
    job->write_json = write_json;
    return true;
}

static int end(void *user, const tq_stats *stats)
{
    (void)stats;
    free(user);
    return 0;
}

#define AT(member) offsetof(histogram_settings, member)

static const option_row rows[] = {
    {.name = "value", .argument = "COLUMN", .type = OPTION_STRING, .offset = AT(value), .help = "the numbers"},
    {.name = "delimiter",
     .argument = "BYTE",
     .type = OPTION_STRING,
     .offset = AT(delimiter),
     .help = "between columns (;); \\t is a tab"},
    {.name = "jsonl",
     .type = OPTION_FLAG,
     .offset = AT(jsonl),
     .help = "a line is an object, a column its member"},
    {.name = "from",
     .argument = "A",
     .type = OPTION_STRING,
     .offset = AT(from),
     .help = "where the first interval begins"},
    {.name = "to", .argument = "B", .type = OPTION_STRING, .offset = AT(to), .help = "where the last interval ends"},
    {.name = "bins",
     .argument = "N",
     .type = OPTION_COUNT,
     .offset = AT(bins),
     .preset = "10",
     .least = 1,
     .most = MOST_BINS,
     .help = "how many intervals"},
    JOBS_SKIP_BAD(AT(skip_bad)),
};

const jobs_entry jobs_histogram = {
    .name = "histogram",
    .summary = "numbers of a column, counted by intervals",
    .usage = "Rows are FROM TAB COUNT, one for each of N equal intervals, which hold their FROM\n"
             "and not their end. Before them stands -inf with what is below A, behind them B\n"
             "with what is B or above. Numbers are decimals, compared exactly; one that is none\n"
             "ends the run, unless --skip-bad allows it.\n"
             "\n"
             "    tequio histogram --value 2 --from -30 --to 50 --bins 16 measurements.txt\n"
             "    tequio histogram --value 1 --delimiter '\\t' --from 0 --to 1 -r FOLDER\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .settings_bytes = sizeof(histogram_settings),
    .describe = describe,
    .end = end,
};
