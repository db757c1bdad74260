#include "jobs/columns.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 1000000 };

/* ---- Settings ---- */

char columns_delimiter(const columns_settings *settings)
{
    if (!settings->delimiter)
        return settings->csv ? ',' : ';';
    return strcmp(settings->delimiter, "\\t") == 0 ? '\t' : settings->delimiter[0];
}

const char *columns_wrong(const columns_settings *settings)
{
    const char *delimiter = settings->delimiter;

    if (settings->jsonl && (delimiter || settings->header || settings->csv))
        return "--jsonl does not go together with --delimiter, --header and --csv";
    if (delimiter && delimiter[1] != '\0' && strcmp(delimiter, "\\t") != 0)
        return "--delimiter takes one byte, or \\t for a tab";
    if (delimiter && (*delimiter == '\n' || *delimiter == '\r' || (settings->csv && *delimiter == '"')))
        return "--delimiter cannot be a line end, nor with --csv a quotation mark";
    return NULL;
}

/* The number of a column, from 1; 0: it is none. */
static uint32_t number_of(const char *column)
{
    char *end;
    unsigned long number = isdigit((unsigned char)column[0]) ? strtoul(column, &end, 10) : 0;

    return number >= 1 && number <= COLUMNS && *end == '\0' ? (uint32_t)number : 0;
}

bool columns_known(const columns_settings *settings, const char *name)
{
    return settings->header || settings->jsonl || number_of(name) != 0;
}

/* ---- Headers ---- */

/* Whether a field, which may be quoted, holds that. */
static bool holds(tq_slice field, bool may_be_quoted, const char *name)
{
    bool quoted = may_be_quoted && field.size >= 2 && *field.data == '"';
    const char *at = field.data + quoted, *end = field.data + field.size - quoted;

    for (; at < end && *name != '\0' && *at == *name; at++, name++)
        at += quoted && *at == '"';
    return at == end && *name == '\0';
}

/* Without the mark that some programs put in front of UTF-8. */
static tq_slice without_mark(tq_slice header)
{
    bool marked = header.size >= 3 && memcmp(header.data, "\xef\xbb\xbf", 3) == 0;

    return marked ? (tq_slice){header.data + 3, header.size - 3} : header;
}

/* The column of that name, from 0, or otherwise of that number. */
static bool find_named(const tq_record *chunk, tq_emitter *emitter, const tq_columns *columns, const char *name,
                       uint32_t *found)
{
    tq_slice line = without_mark(chunk->header), field;
    const char *file = chunk->file;
    uint32_t n = 0, times = 0;
    tq_field what;

    for (; (what = tq_next_field(&line, columns, &field)) == TQ_FIELD; n++) {
        if (!holds(field, columns->quotes, name))
            continue;
        times++;
        *found = n;
    }
    if (times == 0 && number_of(name) != 0 && number_of(name) <= n) {
        *found = number_of(name) - 1;
        times = 1;
    }
    if (what != TQ_FIELD_NONE)
        tq_emit_refuse(emitter, file, 0, "the header breaks the rules of quotation");
    else if (times == 0)
        tq_emit_refuse(emitter, file, 0, "the header names no column '%s'", name);
    else if (times > 1)
        tq_emit_refuse(emitter, file, 0, "the header names %" PRIu32 " columns '%s'", times, name);
    return what == TQ_FIELD_NONE && times == 1;
}

bool columns_find(const tq_record *chunk, tq_emitter *emitter, const columns_settings *settings, const char *name,
                  uint32_t *found)
{
    tq_columns columns = {.delimiter = columns_delimiter(settings), .quotes = settings->csv};

    if (settings->header)
        return find_named(chunk, emitter, &columns, name, found);
    *found = number_of(name) - 1;
    return true;
}

/* ---- Lines ---- */

tq_slice columns_unquote(tq_slice field, tq_emitter *emitter, char *room, char **owned)
{
    *owned = field.size > COLUMNS_ROOM ? malloc(field.size) : NULL;
    if (field.size > COLUMNS_ROOM && !*owned) {
        tq_emit_fail(emitter, "no memory for a key of %zu bytes", field.size);
        return (tq_slice){NULL, 0};
    }
    return tq_unquote(field, *owned ? *owned : room);
}

uint64_t columns_offset(const tq_record *chunk, const char *place)
{
    const char *begin = chunk->data, *newline = memrchr(begin, '\n', (size_t)(place - begin));

    return chunk->offset + (newline ? (uint64_t)(newline + 1 - begin) : 0);
}

tq_status columns_irregular(const tq_record *chunk, tq_emitter *emitter, const tq_columns *columns,
                            const char *const *what, const char *begin)
{
    tq_slice line = tq_line_at((tq_slice){begin, chunk->size - (size_t)(begin - chunk->data)}), field;
    uint64_t offset = chunk->offset + (uint64_t)(begin - chunk->data);
    uint32_t n = 0;
    size_t missing = 0;
    tq_field end;

    if (line.size == 0)
        return TQ_OK;
    for (; (end = tq_next_field(&line, columns, &field)) == TQ_FIELD;)
        n++;
    if (end == TQ_FIELD_UNCLOSED)
        return tq_emit_bad(emitter, chunk->file, offset, "a quoted field does not end on its line");
    if (end == TQ_FIELD_STRAY)
        return tq_emit_bad(emitter, chunk->file, offset,
                           "a quotation mark inside a field, or something behind a quoted one");
    while (missing + 1 < columns->n && n > columns->wanted[missing])
        missing++;
    return tq_emit_bad(emitter, chunk->file, offset, "the line has %" PRIu32 " column%s, but the %s is column %" PRIu32, n,
                       n == 1 ? "" : "s", what[missing], columns->wanted[missing] + 1);
}
