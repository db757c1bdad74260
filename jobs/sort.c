/* sort: the lines of the input, or records of one length, in the order of their bytes or of keys in them. Records with the same
 * keys stay in the order of the input.
 *
 * Rows are ordered by the bytes of their keys. So what a record is compared by is written in a way that compares as bytes
 * do: see "Keys as bytes" below. Where that is a part of the record as it is, the record is not copied for it. */
#include "jobs/jobs.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEYS = 32 };

typedef struct sort_settings {
    uint64_t record_bytes; /* 0: lines */
    option_list keys;
    const char *delimiter; /* NULL: where blanks begin */
    bool numeric, reverse, unique;
} sort_settings;

static const option_row sort_rows[] = {
    {.name = "record-bytes",
     .argument = "N",
     .type = OPTION_SIZE,
     .offset = offsetof(sort_settings, record_bytes),
     .help = "records of N bytes each instead of lines",
     .least = 1},
    {.name = "key",
     .letter = 'k',
     .argument = "KEY",
     .type = OPTION_TEXTS,
     .offset = offsetof(sort_settings, keys),
     .help = "fields F[,F], or bytes FROM-[TO]; n, r behind"},
    {.name = "delimiter",
     .letter = 'd',
     .argument = "C",
     .type = OPTION_STRING,
     .offset = offsetof(sort_settings, delimiter),
     .help = "of fields, or \\t (where blanks begin)"},
    {.name = "numeric",
     .type = OPTION_FLAG,
     .offset = offsetof(sort_settings, numeric),
     .help = "by decimal numbers such as -12.5 (n in a KEY)"},
    {.name = "reverse",
     .type = OPTION_FLAG,
     .offset = offsetof(sort_settings, reverse),
     .help = "the largest first (r in a KEY)"},
    {.name = "unique",
     .letter = 'u',
     .type = OPTION_FLAG,
     .offset = offsetof(sort_settings, unique),
     .help = "of records with the same keys the first"},
};

/* ---- What is asked for ------------------------------------------------------------------------------------------- */

typedef struct sort_key {
    uint64_t from, to; /* fields or bytes, from 1 on; to = 0: up to the end */
    bool numeric, reverse;
} sort_key;

typedef struct sort_plan {
    uint64_t record_bytes;
    int delimiter; /* -1: where blanks begin */
    sort_key keys[MOST_KEYS];
    size_t n;
} sort_plan;

static bool refuse(char *why, size_t size, const char *key, const char *reason)
{
    snprintf(why, size, "--key '%s' %s", key, reason);
    return false;
}

/* A number from 1 on. */
static bool take_number(const char **text, uint64_t *number)
{
    char *end;

    if (!isdigit((unsigned char)**text))
        return false;
    errno = 0;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0 && *number > 0;
}

/* "2,3nr", or of records of one length "11-20nr". Letters of its own take the place of --numeric and --reverse. */
static bool parse_key(const sort_settings *asked, const char *text, sort_key *key, char *why, size_t size)
{
    bool is_fixed = asked->record_bytes > 0;
    const char *at = text, *form = is_fixed ? "is not FROM-TO or FROM-, bytes from 1 on, with n or r behind it"
                                            : "is not F or F,F, fields from 1 on, with n or r behind it";

    *key = (sort_key){0};
    if (!take_number(&at, &key->from) || (is_fixed && *at != '-'))
        return refuse(why, size, text, form);
    if (*at == (is_fixed ? '-' : ',')) {
        at++;
        bool has_end = take_number(&at, &key->to);
        if (!has_end && (!is_fixed || isdigit((unsigned char)*at)))
            return refuse(why, size, text, form);
    }
    bool has_letters = *at != '\0';
    for (; *at == 'n' || *at == 'r'; at++)
        *(*at == 'n' ? &key->numeric : &key->reverse) = true;
    if (*at != '\0')
        return refuse(why, size, text, form);
    if (key->to > 0 && key->to < key->from)
        return refuse(why, size, text, "ends before it begins");
    if (is_fixed && (key->from > asked->record_bytes || key->to > asked->record_bytes))
        return refuse(why, size, text, "is not inside a record: see --record-bytes");
    if (!has_letters)
        key->numeric = asked->numeric, key->reverse = asked->reverse;
    return true;
}

static bool parse_delimiter(const sort_settings *asked, int *delimiter, char *why, size_t size)
{
    const char *text = asked->delimiter;

    *delimiter = text ? (unsigned char)text[0] : -1;
    if (text && strcmp(text, "\\t") == 0)
        *delimiter = '\t';
    else if (text && text[1] != '\0')
        return snprintf(why, size, "--delimiter takes one byte, or \\t, not '%s'", text), false;
    if (text && asked->record_bytes)
        return snprintf(why, size, "--delimiter is for lines: a key of records of one length is FROM-TO"), false;
    return true;
}

static bool make_plan(const sort_settings *asked, sort_plan *plan, char *why, size_t size)
{
    *plan = (sort_plan){.record_bytes = asked->record_bytes};
    if (asked->record_bytes > (uint64_t)1 << 30)
        return snprintf(why, size, "--record-bytes is at most 1G"), false;
    if (asked->keys.n > MOST_KEYS)
        return snprintf(why, size, "there are more than %d keys", MOST_KEYS), false;
    if (!parse_delimiter(asked, &plan->delimiter, why, size))
        return false;
    for (; plan->n < asked->keys.n; plan->n++)
        if (!parse_key(asked, asked->keys.items[plan->n], &plan->keys[plan->n], why, size))
            return false;
    if (plan->n == 0) /* all of the record */
        plan->keys[plan->n++] = (sort_key){1, 0, asked->numeric, asked->reverse};
    return true;
}

/* A record of one length begins with the only key, as it is: then key and rest are the record. */
static bool begins_with_key(const sort_plan *plan)
{
    return plan->record_bytes && plan->n == 1 && plan->keys[0].from == 1 && !plan->keys[0].numeric &&
           !plan->keys[0].reverse;
}

/* The only key of a line is all of it, as it is. */
static bool is_key_alone(const sort_plan *plan)
{
    return !plan->record_bytes && plan->n == 1 && plan->keys[0].from == 1 && plan->keys[0].to == 0 &&
           !plan->keys[0].numeric && !plan->keys[0].reverse;
}

/* ---- Where a key lies -------------------------------------------------------------------------------------------- */

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Behind n fields: behind the delimiter of the last of them or, if not past it, in front of that. Without a delimiter a field
 * is blanks and what is not blank. */
static const char *skip_fields(const sort_plan *plan, const char *at, const char *end, uint64_t n, bool past)
{
    for (; n > 0 && at < end; n--) {
        if (plan->delimiter < 0) {
            while (at < end && is_blank(*at))
                at++;
            while (at < end && !is_blank(*at))
                at++;
            continue;
        }
        const char *found = memchr(at, plan->delimiter, (size_t)(end - at));
        at = !found ? end : found + (n > 1 || past);
    }
    return at;
}

static tq_slice find_key(const sort_plan *plan, const sort_key *key, tq_slice record)
{
    const char *end = record.data + record.size;

    if (plan->record_bytes) {
        uint64_t to = key->to ? key->to : record.size;

        return (tq_slice){record.data + key->from - 1, to - key->from + 1};
    }
    const char *from = skip_fields(plan, record.data, end, key->from - 1, true);
    const char *to = key->to ? skip_fields(plan, record.data, end, key->to, false) : end;
    return (tq_slice){from, to > from ? (size_t)(to - from) : 0};
}

/* ---- Keys as bytes ----------------------------------------------------------------------------------------------- */

/* A buffer that grows. */
typedef struct sort_buffer {
    unsigned char *data;
    size_t size, capacity;
} sort_buffer;

static bool reserve(sort_buffer *buffer, size_t more)
{
    size_t capacity = 2 * (buffer->size + more) + 64;

    if (more <= buffer->capacity - buffer->size)
        return true;
    unsigned char *data = realloc(buffer->data, capacity);
    if (!data)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

/* Bytes of any number, so that what comes behind them does not matter where they differ: a zero becomes 0 1, the end is
 * 0 0. */
static unsigned char *put_bytes(unsigned char *to, tq_slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        *to++ = (unsigned char)bytes.data[i];
        if (bytes.data[i] == '\0')
            *to++ = 1;
    }
    *to++ = 0;
    *to++ = 0;
    return to;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && isdigit((unsigned char)*at))
        at++;
    return at;
}

/* Digits as halves of bytes, each one more than it is. */
static unsigned char *put_digits(unsigned char *to, const char *at, const char *end, bool *half)
{
    for (; at < end; at++) {
        unsigned digit = (unsigned)(*at - '0' + 1);

        if (*half)
            to[-1] = (unsigned char)(to[-1] | digit);
        else
            *to++ = (unsigned char)(digit << 4);
        *half = !*half;
    }
    return to;
}

/* A number of any length: its sign and how many digits stand in front of the point, then the digits without zeros that say
 * nothing, and a half of zero behind the last. Of a negative one all bits are turned. What begins with no number is 0. */
static unsigned char *put_number(unsigned char *to, tq_slice text)
{
    const char *at = text.data, *end = at + text.size;
    unsigned char *begin = to;
    bool half = false;

    while (at < end && is_blank(*at))
        at++;
    bool negative = at < end && *at == '-';
    at += negative;
    while (at < end && *at == '0')
        at++;
    const char *whole = at, *point = skip_digits(at, end), *last = point;
    if (point < end && *point == '.')
        last = skip_digits(point + 1, end);
    while (last > point && (last[-1] == '0' || last[-1] == '.'))
        last--;
    uint64_t digits = (uint64_t)(point - whole);
    if (digits == 0 && last == point)
        return *to++ = 0x80, to;
    if (digits < 0x7e) {
        *to++ = (unsigned char)(0x81 + digits);
    } else {
        *to++ = 0xff;
        for (int shift = 56; shift >= 0; shift -= 8)
            *to++ = (unsigned char)(digits >> shift);
    }
    to = put_digits(to, whole, point, &half);
    if (last > point)
        to = put_digits(to, point + 1, last, &half);
    if (!half)
        *to++ = 0;
    for (unsigned char *byte = begin; negative && byte < to; byte++)
        *byte = (unsigned char)~*byte;
    return to;
}

enum { NUMBER_HEAD = 16 };

static bool add_key(const sort_plan *plan, const sort_key *key, tq_slice bytes, sort_buffer *buffer)
{
    if (!reserve(buffer, 2 * bytes.size + NUMBER_HEAD))
        return false;
    unsigned char *begin = buffer->data + buffer->size, *end = begin;
    if (key->numeric)
        end = put_number(begin, bytes);
    else if (plan->record_bytes) /* always as many */
        end = (unsigned char *)mempcpy(begin, bytes.data, bytes.size);
    else
        end = put_bytes(begin, bytes);
    for (unsigned char *byte = begin; key->reverse && byte < end; byte++)
        *byte = (unsigned char)~*byte;
    buffer->size += (size_t)(end - begin);
    return true;
}

/* ---- Mapping ----------------------------------------------------------------------------------------------------- */

static tq_status emit_record(const sort_plan *plan, tq_emitter *emitter, tq_slice record, sort_buffer *buffer)
{
    const sort_key *only = plan->n == 1 && !plan->keys[0].numeric && !plan->keys[0].reverse ? plan->keys : NULL;

    if (only)
        return tq_emit(emitter, find_key(plan, only, record), record);
    buffer->size = 0;
    for (size_t i = 0; i < plan->n; i++)
        if (!add_key(plan, &plan->keys[i], find_key(plan, &plan->keys[i], record), buffer))
            return tq_emit_fail(emitter, "no memory for the keys of a record of %zu bytes", record.size), TQ_E_USER;
    return tq_emit(emitter, (tq_slice){(const char *)buffer->data, buffer->size}, record);
}

static tq_status emit_lines(const sort_plan *plan, const tq_record *chunk, tq_emitter *emitter, sort_buffer *buffer)
{
    const char *at = chunk->data, *end = at + chunk->size;
    bool is_alone = is_key_alone(plan);
    tq_status status = TQ_OK;

    while (at < end && !status) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        tq_slice line = {at, (size_t)((newline ? newline : end) - at)};

        status = is_alone ? tq_emit(emitter, line, (tq_slice){at, 0}) : emit_record(plan, emitter, line, buffer);
        at = newline ? newline + 1 : end;
    }
    return status;
}

static tq_status emit_fixed(const sort_plan *plan, const tq_record *chunk, tq_emitter *emitter, sort_buffer *buffer)
{
    size_t bytes = (size_t)plan->record_bytes, key = plan->keys[0].to ? (size_t)plan->keys[0].to : bytes;
    bool begins = begins_with_key(plan);
    tq_status status = TQ_OK;

    for (const char *at = chunk->data, *end = at + chunk->size; at < end && !status; at += bytes)
        status = begins ? tq_emit(emitter, (tq_slice){at, key}, (tq_slice){at + key, bytes - key})
                        : emit_record(plan, emitter, (tq_slice){at, bytes}, buffer);
    return status;
}

static int map_sort(const tq_record *chunk, tq_emitter *emitter, void *user)
{
    const sort_settings *settings = ((const jobs_context *)user)->settings;
    sort_buffer buffer = {0};
    sort_plan plan;
    char why[256];

    if (!make_plan(settings, &plan, why, sizeof why))
        return tq_emit_fail(emitter, "%s", why);
    tq_status status =
        plan.record_bytes ? emit_fixed(&plan, chunk, emitter, &buffer) : emit_lines(&plan, chunk, emitter, &buffer);
    free(buffer.data);
    return (int)status;
}

static bool describe_sort(tq_job *job, const void *settings, char *why, size_t size)
{
    const sort_settings *asked = settings;
    sort_plan plan;

    if (!make_plan(asked, &plan, why, size))
        return false;
    if (job->order == TQ_ORDER_NONE)
        return snprintf(why, size, "--sort is not for this job: its rows have an order"), false;
    if (job->limit && asked->unique)
        return snprintf(why, size, "--top does not go together with --unique"), false;
    job->records = plan.record_bytes ? TQ_FIXED_RECORDS : TQ_LINES;
    job->record_bytes = plan.record_bytes;
    job->map_chunk = map_sort;
    job->value_type = TQ_BYTES;
    job->order = TQ_ORDER_STABLE;
    job->unique = asked->unique;
    job->raw_text = true;
    job->row_text = begins_with_key(&plan) ? TQ_ROW_BYTES
                    : plan.record_bytes    ? TQ_ROW_VALUE_BYTES
                    : is_key_alone(&plan)  ? TQ_ROW_KEY
                                           : TQ_ROW_VALUE;
    job->key_name = job->value_name = plan.record_bytes ? "record" : "line";
    return true;
}

const jobs_entry jobs_sort = {
    .name = "sort",
    .summary = "sort lines, or records of one length, by keys",
    .usage = "Records are compared by their bytes: by all of them, or by one --key after the\n"
             "other. Those that are equal in all keys stay in the order of the input. What is\n"
             "written are the records: lines with LF behind each, others as they are.\n"
             "\n"
             "A key of lines is fields F to G, from 1 on: --key F,G (F: up to the end of\n"
             "the line). Without --delimiter a field begins with the blanks in front of it.\n"
             "A key of records of one length is bytes FROM to TO, from 1 on: --key FROM-TO\n"
             "(FROM-: up to the end). n behind a key: as a number; r: the largest first; a\n"
             "key with neither is as --numeric and --reverse say. --top N: the first N.\n"
             "\n"
             "    tequio sort --key 2,2n --key 1,1 FILE    as LC_ALL=C sort -s -k 2,2n -k 1,1\n"
             "    tequio sort --record-bytes 100 --key 1-10 -o OUT FILE\n",
    .rows = sort_rows,
    .n_rows = sizeof sort_rows / sizeof *sort_rows,
    .settings_bytes = sizeof(sort_settings),
    .describe = describe_sort,
};
