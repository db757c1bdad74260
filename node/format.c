#include "node/format.h"

#include "node/summary.h"
#include <string.h>

enum { DIGITS_MAX = 20, JSON_BYTE_MAX = 6 };

/* The columns of a summary, in this order. */
static const struct {
    tq_statistic statistic;
    const char *name;
} columns[] = {{TQ_STAT_COUNT, "count"}, {TQ_STAT_SUM, "sum"}, {TQ_STAT_MIN, "min"},
               {TQ_STAT_MEAN, "mean"},   {TQ_STAT_MAX, "max"}, {TQ_STAT_DEVIATION, "stddev"}};

enum { COLUMNS = sizeof columns / sizeof columns[0], COLUMN_MAX = TQ_SUMMARY_TEXT + 16 };

void tqi_text_free(tqi_text *text)
{
    tqi_budget_free(text->budget, text->data, text->capacity);
    text->data = NULL;
    text->size = text->capacity = 0;
}

static tq_status reserve(tqi_text *text, size_t more)
{
    size_t capacity = text->capacity ? text->capacity : 4096;

    if (text->capacity - text->size >= more)
        return TQ_OK;
    while (capacity - text->size < more)
        capacity *= 2;
    char *data = tqi_budget_realloc(text->budget, text->data, text->capacity, capacity);
    if (!data)
        return TQ_E_MEMORY;
    text->data = data;
    text->capacity = capacity;
    return TQ_OK;
}

static char *put(char *to, const char *from, size_t size)
{
    if (size)
        memcpy(to, from, size);
    return to + size;
}

/* The bytes of a key, behind which some of to may change. */
static inline char *put_key(char *to, const tqi_entry *entry)
{
    if (entry->size > TQI_KEY_INLINE)
        return put(to, (const char *)(uintptr_t)entry->word[1], entry->size);
    memcpy(to, entry->word, TQI_KEY_INLINE);
    return to + entry->size;
}

static char *put_number(char *to, int64_t number)
{
    char digits[DIGITS_MAX], *at = digits + sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    if (number >= 0 && number < 10) { /* most often */
        *to = (char)('0' + number);
        return to + 1;
    }
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0)
        *to++ = '-';
    return put(to, at, (size_t)(digits + sizeof digits - at));
}

static char *put_escaped(char *to, tq_slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        char byte = bytes.data[i];

        if (byte == '\t' || byte == '\n' || byte == '\\') {
            *to++ = '\\';
            byte = byte == '\t' ? 't' : byte == '\n' ? 'n' : '\\';
        }
        *to++ = byte;
    }
    return to;
}

/* The size of the valid UTF-8 sequence at the start of size bytes, or 0: RFC 3629, no overlong forms, no surrogates. */
static size_t utf8_size(const unsigned char *at, size_t size)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t n;

    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        n = 2;
    else if (at[0] >= 0xe0 && at[0] <= 0xef)
        n = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;
    if (size < n || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return n;
}

static char *put_unicode_escape(char *to, unsigned code)
{
    static const char hex[] = "0123456789abcdef";

    *to++ = '\\';
    *to++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *to++ = hex[code >> shift & 15];
    return to;
}

static char *put_json_ascii(char *to, char byte)
{
    const char *found;

    if (byte == '"' || byte == '\\') {
        *to++ = '\\';
        *to++ = byte;
    } else if ((unsigned char)byte >= ' ' && byte != 0x7f) {
        *to++ = byte;
    } else if (byte && (found = strchr("\bb\tt\nn\ff\rr", byte)) != NULL) {
        *to++ = '\\';
        *to++ = found[1];
    } else {
        to = put_unicode_escape(to, (unsigned char)byte);
    }
    return to;
}

static char *put_json_string(char *to, tq_slice bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data, *end = at + bytes.size;

    *to++ = '"';
    while (at < end) {
        size_t n = utf8_size(at, (size_t)(end - at));

        if (n == 0)
            to = put_unicode_escape(to, 0xdc00U + *at++);
        else if (n == 1)
            to = put_json_ascii(to, (char)*at++);
        else
            to = put(to, (const char *)at, n), at += n;
    }
    *to++ = '"';
    return to;
}

tq_status tqi_text_put(tqi_text *text, tq_slice bytes)
{
    tq_status status = reserve(text, bytes.size);

    if (!status && bytes.size) {
        memcpy(text->data + text->size, bytes.data, bytes.size);
        text->size += bytes.size;
    }
    return status;
}

tq_status tqi_text_put_number(tqi_text *text, int64_t number)
{
    tq_status status = reserve(text, DIGITS_MAX);

    if (!status)
        text->size = (size_t)(put_number(text->data + text->size, number) - text->data);
    return status;
}

tq_status tqi_text_put_json(tqi_text *text, tq_slice string)
{
    tq_status status = reserve(text, JSON_BYTE_MAX * string.size + 2);

    if (!status)
        text->size = (size_t)(put_json_string(text->data + text->size, string) - text->data);
    return status;
}

/* A row to be written. */
typedef struct output_row {
    tq_slice key, value;
    int64_t number;
} output_row;

static const tq_summary *summary_of(const output_row *row)
{
    return (const tq_summary *)(const void *)row->value.data;
}

/* The columns of a summary, with a comma or tab between them. */
static char *put_summary(char *to, const tq_summary *summary, bool json)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        if (c > 0)
            *to++ = json ? ',' : '\t';
        if (json) {
            to = put_json_string(to, (tq_slice){columns[c].name, strlen(columns[c].name)});
            *to++ = ':';
        }
        to += tq_summary_text(summary, columns[c].statistic, to);
    }
    return to;
}

static char *put_json_pair(char *to, const char *name, tq_slice bytes)
{
    to = put_json_string(to, (tq_slice){name, strlen(name)});
    *to++ = ':';
    return put_json_string(to, bytes);
}

/* Key and value in a row, beyond where the object can reach: see reserve_row. */
static tq_slice join(const output_row *row, char *memory)
{
    put(put(memory, row->key.data, row->key.size), row->value.data, row->value.size);
    return (tq_slice){memory, row->key.size + row->value.size};
}

/* Whether key and value are one string. */
static bool is_joined(tq_row_text shown)
{
    return shown == TQ_ROW_BYTES || shown == TQ_ROW_LINE;
}

static char *put_json_row(const tqi_format *format, const tqi_value_shape *shape, const output_row *row, char *to, char *spare)
{
    bool joined = is_joined(format->columns);
    bool has_key = format->columns == TQ_ROW_PAIR || format->columns == TQ_ROW_KEY || joined;
    bool has_value = format->columns != TQ_ROW_KEY && !joined;

    *to++ = '{';
    if (has_key)
        to = put_json_pair(to, format->key_name, joined ? join(row, spare) : row->key);
    if (has_key && has_value)
        *to++ = ',';
    if (has_value && shape->type == TQI_SUMMARY) {
        to = put_summary(to, summary_of(row), true);
    } else if (has_value && shape->type != TQ_I64) {
        to = put_json_pair(to, format->value_name, row->value);
    } else if (has_value) {
        to = put_json_string(to, (tq_slice){format->value_name, strlen(format->value_name)});
        *to++ = ':';
        to = put_number(to, row->number);
    }
    *to++ = '}';
    *to++ = '\n';
    return to;
}

static char *put_column(const tqi_format *format, tq_slice bytes, char *to)
{
    return format->raw ? put(to, bytes.data, bytes.size) : put_escaped(to, bytes);
}

static char *put_text_row(const tqi_format *format, const tqi_value_shape *shape, const output_row *row, char *to)
{
    if (is_joined(format->columns))
        to = put(to, row->key.data, row->key.size);
    if (format->columns == TQ_ROW_PAIR || format->columns == TQ_ROW_KEY)
        to = put_column(format, row->key, to);
    if (format->columns == TQ_ROW_PAIR)
        *to++ = '\t';
    if (format->columns != TQ_ROW_KEY && shape->type == TQ_I64)
        to = put_number(to, row->number);
    else if (format->columns != TQ_ROW_KEY && shape->type == TQI_SUMMARY)
        to = put_summary(to, summary_of(row), false);
    else if (format->columns == TQ_ROW_VALUE_BYTES || is_joined(format->columns))
        to = put(to, row->value.data, row->value.size);
    else if (format->columns != TQ_ROW_KEY)
        to = put_column(format, row->value, to);
    if (format->columns != TQ_ROW_VALUE_BYTES && format->columns != TQ_ROW_BYTES)
        *to++ = '\n';
    return to;
}

/* Most of all rows of wordcounts are so: the key, a tab, the number. */
static char *put_raw_number(const tqi_entry *entry, char *to)
{
    to = put_key(to, entry);
    *to++ = '\t';
    to = put_number(to, (int64_t)entry->value);
    *to++ = '\n';
    return to;
}

/* Append a row of any kind. In front of what it may become there is room for what it is: an object of joined bytes needs
 * them in a row. */
static tq_status append_row(const tqi_format *format, const tqi_value_shape *shape, const output_row *row, tqi_text *text)
{
    bool is_json = format->format == TQ_JSON;
    size_t names = is_json ? strlen(format->key_name) + strlen(format->value_name) : 0;
    size_t per_byte = is_json ? JSON_BYTE_MAX : format->raw ? 1 : 2;
    size_t bytes = row->key.size + (shape->type != TQ_I64 ? row->value.size : 0);
    size_t numbers = shape->type == TQI_SUMMARY ? COLUMNS * COLUMN_MAX : DIGITS_MAX;
    size_t most = per_byte * bytes + JSON_BYTE_MAX * names + numbers + TQI_KEY_INLINE;
    tq_status status = reserve(text, most + (is_json ? bytes : 0));

    if (status)
        return status;
    char *at = text->data + text->size;
    char *end = is_json ? put_json_row(format, shape, row, at, at + most) : put_text_row(format, shape, row, at);
    text->size += (size_t)(end - at);
    return TQ_OK;
}

tq_status tqi_format_rows(const tqi_format *format, const tqi_value_shape *shape, const tqi_entry *entries, size_t n,
                          tqi_text *text)
{
    bool numbers =
        format->format == TQ_TEXT && format->raw && shape->type == TQ_I64 && format->columns == TQ_ROW_PAIR;
    tq_status status = TQ_OK;

    for (size_t i = 0; i < n && !status; i++) {
        const tqi_entry *entry = &entries[i];
        output_row row = {tqi_entry_key(entry), {0}, (int64_t)entry->value};

        if (shape->type != TQ_I64)
            row.value = tqi_entry_value(shape, entry);
        if (!numbers) {
            status = append_row(format, shape, &row, text);
            continue;
        }
        status = reserve(text, row.key.size + DIGITS_MAX + TQI_KEY_INLINE);
        if (!status)
            text->size = (size_t)(put_raw_number(entry, text->data + text->size) - text->data);
    }
    return status;
}

enum { AHEAD = 16 };

/* A text of a size that is known, where there is none yet. What a range was planned to take is there for it. */
static tq_status begin_text(tqi_text *text, size_t size, uint64_t planned)
{
    if (text->size > 0 || size <= text->capacity || size > planned)
        return reserve(text, size);
    tqi_text_free(text);
    size += size / 4; /* so that it does for the next range too */
    text->data = tqi_budget_force(text->budget, size);
    text->capacity = text->data ? size : 0;
    return text->data ? TQ_OK : TQ_E_MEMORY;
}

/* Sorted records lie all over their pages: fetch them before their turn comes. */
tq_status tqi_format_sorted(const tqi_format *format, const tqi_sorting *sorting, tqi_text *text)
{
    const tqi_value_shape *shape = &sorting->spec->result_shape;
    bool plain = format->format == TQ_TEXT && (format->raw || format->columns >= TQ_ROW_VALUE_BYTES) &&
                 shape->type != TQ_I64;
    tq_status status = begin_text(text, sorting->bytes + 2 * sorting->n, sorting->planned);

    for (size_t i = 0; i < sorting->n && !status; i++) {
        output_row row = {0};

        if (i + AHEAD < sorting->n) {
            __builtin_prefetch(sorting->items[i + AHEAD].record);
            __builtin_prefetch(sorting->items[i + AHEAD].record + 64);
        }
        tqi_sorting_row(sorting, i, &row.key, &row.number, &row.value);
        if (plain)
            text->size = (size_t)(put_text_row(format, shape, &row, text->data + text->size) - text->data);
        else
            status = append_row(format, shape, &row, text);
    }
    return status;
}
