/* Cutting lines into fields: many at once from a list of separators, and one after the other. */
#include "node/separators.h"

#include <string.h>

enum { MOST_LINES = 1024, MOST_PLACES = 4096 };

/* The lists of one call, and one place in front of the first, so that each field begins behind a place. */
typedef struct lists {
    uint32_t places[1 + MOST_PLACES + TQI_SEPARATORS_ROOM];
    uint32_t ends[MOST_LINES + TQI_SEPARATORS_ROOM];
} lists;

static const size_t MOST_BYTES = (size_t)1 << 31; /* in one call: places have 32 bits */

/* ---- One line ---- */

tq_slice tq_line_at(tq_slice text)
{
    const char *newline = text.size ? memchr(text.data, '\n', text.size) : NULL;

    if (newline)
        text.size = (size_t)(newline - text.data);
    if (text.size > 0 && text.data[text.size - 1] == '\r')
        text.size--;
    return text;
}

/* The first size bytes of the line are a field. */
static tq_field take(tq_slice *line, size_t size, tq_slice *field)
{
    bool is_last = size == line->size;

    *field = (tq_slice){line->data, size};
    line->data = is_last ? NULL : line->data + size + 1;
    line->size -= is_last ? size : size + 1;
    return TQ_FIELD;
}

static tq_field take_quoted(tq_slice *line, char delimiter, tq_slice *field)
{
    size_t at = 1;

    for (;; at += 2) { /* behind two quotation marks */
        const char *quote = memchr(line->data + at, '"', line->size - at);

        if (!quote)
            return TQ_FIELD_UNCLOSED;
        at = (size_t)(quote - line->data);
        if (at + 1 == line->size || quote[1] != '"')
            break;
    }
    if (at + 1 < line->size && line->data[at + 1] != delimiter)
        return TQ_FIELD_STRAY;
    return take(line, at + 1, field);
}

tq_field tq_next_field(tq_slice *line, const tq_columns *columns, tq_slice *field)
{
    if (!line->data)
        return TQ_FIELD_NONE;
    if (columns->quotes && line->size > 0 && *line->data == '"')
        return take_quoted(line, columns->delimiter, field);
    const char *delimiter = line->size ? memchr(line->data, columns->delimiter, line->size) : NULL;
    size_t size = delimiter ? (size_t)(delimiter - line->data) : line->size;
    if (columns->quotes && size > 0 && memchr(line->data, '"', size))
        return TQ_FIELD_STRAY;
    return take(line, size, field);
}

tq_slice tq_unquote(tq_slice field, char *room)
{
    if (field.size < 2 || *field.data != '"')
        return field;
    field = (tq_slice){field.data + 1, field.size - 2};
    if (field.size == 0 || !memchr(field.data, '"', field.size))
        return field;
    char *to = room;
    for (size_t i = 0; i < field.size; i++) {
        *to++ = field.data[i];
        i += field.data[i] == '"';
    }
    return (tq_slice){room, (size_t)(to - room)};
}

/* ---- Many lines ---- */

static void put_none(const tq_columns *columns, const char *line, tq_slice *const *fields, size_t i)
{
    for (size_t c = 0; c < columns->n; c++)
        fields[c][i] = (tq_slice){line, TQ_NO_FIELD};
}

static uint32_t last_wanted(const tq_columns *columns)
{
    uint32_t last = 0;

    for (size_t c = 0; c < columns->n; c++)
        last = columns->wanted[c] > last ? columns->wanted[c] : last;
    return last;
}

/* The wanted fields of n listed lines; n_columns is columns->n, and a constant where this is inlined. Returns the
 * place behind the last line. */
static inline __attribute__((always_inline)) uint32_t put_lines(const char *text, const tqi_separators *list, size_t n,
                                                                const tq_columns *columns, size_t n_columns,
                                                                tq_slice *const *fields)
{
    const uint32_t *places = list->places, last = last_wanted(columns);
    uint32_t first = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t end = list->ends[i], start = places[(ptrdiff_t)first - 1] + 1;
        bool is_empty = first == end && places[end] - start <= (places[end] > start && text[start] == '\r');

        if (__builtin_expect(first + (uint64_t)last > end || is_empty, 0)) {
            put_none(columns, text + start, fields, i);
            first = end + 1;
            continue;
        }
        for (size_t c = 0; c < n_columns; c++) {
            uint32_t number = first + columns->wanted[c];
            uint32_t from = places[(ptrdiff_t)number - 1] + 1, size = places[number] - from;

            size -= number == end && size > 0 && text[from + size - 1] == '\r';
            fields[c][i] = (tq_slice){text + from, size};
        }
        first = end + 1;
    }
    return places[(ptrdiff_t)first - 1] + 1;
}

static uint32_t put_some_lines(const char *text, const tqi_separators *list, size_t n, const tq_columns *columns,
                               tq_slice *const *fields)
{
    if (columns->n == 1)
        return put_lines(text, list, n, columns, 1, fields);
    if (columns->n == 2)
        return put_lines(text, list, n, columns, 2, fields);
    return put_lines(text, list, n, columns, columns->n, fields);
}

/* The bytes behind the last whole block, and a line end if the last line has none. */
static void list_tail(const tqi_lister *lister, tqi_separators *list, const char *tail, size_t size,
                      const tq_columns *columns)
{
    char block[TQI_SEPARATORS_BLOCK];
    char filler = columns->delimiter == 'x' ? 'y' : 'x';

    memset(block, filler, sizeof block);
    if (size)
        memcpy(block, tail, size);
    block[size] = '\n'; /* behind a line end it makes another line, which put_lines is not asked for */
    lister->list(list, block, 1, columns);
}

/* A line that was not listed, as the fields number i: it breaks the rules of quotation, or has too many columns, or
 * bytes, for the lists. Returns its bytes with its end. */
static size_t put_line_alone(tq_slice text, const tq_columns *columns, tq_slice *const *fields, size_t i)
{
    const char *newline = memchr(text.data, '\n', text.size);
    tq_slice line = tq_line_at(text), field;
    uint32_t last = last_wanted(columns), number = 0;
    tq_field found = line.size ? TQ_FIELD : TQ_FIELD_NONE;

    put_none(columns, text.data, fields, i);
    for (; found == TQ_FIELD && number <= last && (found = tq_next_field(&line, columns, &field)) == TQ_FIELD; number++)
        for (size_t c = 0; c < columns->n; c++)
            if (columns->wanted[c] == number)
                fields[c][i] = field;
    while (found == TQ_FIELD) /* the columns behind may break the rules, too */
        found = tq_next_field(&line, columns, &field);
    if (number <= last || found != TQ_FIELD_NONE)
        put_none(columns, text.data, fields, i);
    return newline ? (size_t)(newline + 1 - text.data) : text.size;
}

size_t tqi_cut_fields(const tqi_lister *lister, tq_slice *text, const tq_columns *columns, tq_slice *const *fields,
                      size_t capacity)
{
    size_t size = text->size < MOST_BYTES ? text->size : MOST_BYTES, n = capacity < MOST_LINES ? capacity : MOST_LINES;
    lists room;

    if (size == 0 || capacity == 0)
        return 0;
    room.places[0] = UINT32_MAX; /* so that the first line begins at 0 */
    tqi_separators list = {.places = room.places + 1,
                           .ends = room.ends,
                           .most = MOST_PLACES,
                           .most_ends = n - 1,
                           .quoting = {.may_open = 1}};
    lister->list(&list, text->data, size / TQI_SEPARATORS_BLOCK, columns);
    if (list.at == size / TQI_SEPARATORS_BLOCK * TQI_SEPARATORS_BLOCK && size == text->size)
        list_tail(lister, &list, text->data + list.at, size - list.at, columns);
    if (list.n_ends && list.places[list.ends[list.n_ends - 1]] >= size && text->data[size - 1] == '\n')
        list.n_ends--; /* that line end was added, but nothing stands before it */
    n = list.n_ends < n ? list.n_ends : n;
    uint32_t behind = put_some_lines(text->data, &list, n, columns, fields);
    if (behind > size)
        behind = (uint32_t)size;
    *text = (tq_slice){text->data + behind, text->size - behind};
    if (text->size > 0 && n < capacity && (n == 0 || (list.stopped && n == list.n_ends))) {
        size_t whole = put_line_alone(*text, columns, fields, n++);

        *text = (tq_slice){text->data + whole, text->size - whole};
    }
    return n;
}

size_t tq_next_fields(tq_slice *text, const tq_columns *columns, tq_slice *const *fields, size_t capacity)
{
    return tqi_cut_fields(tqi_lister_best(), text, columns, fields, capacity);
}
