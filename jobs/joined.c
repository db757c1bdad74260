#include "jobs/joined.h"

#include "jobs/columns.h"
#include <string.h>

void joined_append(lines_text *buffer, const char *bytes, size_t size)
{
    if (size > 0)
        memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
}

/* ---- The lines of a key ------------------------------------------------------------------------------------------ */

static int no_memory(tq_text *text)
{
    return tq_text_fail(text, "no memory for the lines of one key");
}

/* Whether row is the first of its key: then the lines of the key before are forgotten. */
static bool begin_key(joined *j, tq_slice key)
{
    if (j->key.size == key.size && memcmp(j->key.data, key.data, key.size) == 0)
        return true;
    j->key.size = j->rights.size = 0;
    if (!lines_reserve(&j->key, key.size))
        return false;
    joined_append(&j->key, key.data, key.size);
    return true;
}

static bool keep_right(joined *j, tq_slice rest)
{
    size_t size = rest.size + 1;

    if (!lines_reserve(&j->rights, sizeof size + size))
        return false;
    joined_append(&j->rights, (const char *)&size, sizeof size);
    joined_append(&j->rights, rest.data, rest.size);
    joined_append(&j->rights, "\n", 1);
    return true;
}

/* The next line of RIGHT, with its newline; at: 0 for the first. */
static bool next_right(const joined *j, size_t *at, tq_slice *right)
{
    size_t size;

    if (*at == j->rights.size)
        return false;
    memcpy(&size, j->rights.data + *at, sizeof size);
    *right = (tq_slice){j->rights.data + *at + sizeof size, size};
    *at += sizeof size + size;
    return true;
}

/* A key as a field: between quotation marks if it takes them. */
static void append_key(joined *j, tq_slice key)
{
    bool quoted = j->quotes &&
                  (memchr(key.data, '"', key.size) != NULL || memchr(key.data, j->delimiter, key.size) != NULL);

    if (!quoted) {
        joined_append(&j->line, key.data, key.size);
        return;
    }
    joined_append(&j->line, "\"", 1);
    for (size_t i = 0; i < key.size; i++)
        joined_append(&j->line, key.data[i] == '"' ? "\"\"" : key.data + i, key.data[i] == '"' ? 2 : 1);
    joined_append(&j->line, "\"", 1);
}

static int put_lines(joined *j, tq_slice key, tq_slice left, tq_text *text)
{
    tq_slice right;
    size_t at = 0;

    j->line.size = 0;
    if (!lines_reserve(&j->line, 2 * key.size + 2 + left.size + j->width + 1))
        return no_memory(text);
    append_key(j, key);
    joined_append(&j->line, left.data, left.size);
    tq_slice front = {j->line.data, j->line.size};
    while (next_right(j, &at, &right))
        if (tq_text_put(text, front) || tq_text_put(text, right))
            return 1;
    if (j->rights.size > 0 || !j->keeps_left)
        return 0;
    memset(j->line.data + j->line.size, j->delimiter, j->width);
    j->line.size += j->width;
    joined_append(&j->line, "\n", 1);
    return (int)tq_text_put(text, (tq_slice){j->line.data, j->line.size});
}

static tq_status put_string(tq_text *text, const char *string)
{
    return tq_text_put(text, (tq_slice){string, strlen(string)});
}

/* The columns of a line, each with a delimiter in front, as an array of strings; or its object. */
static int put_columns(joined *j, tq_slice rest, tq_text *text)
{
    tq_columns columns = {.delimiter = j->delimiter, .quotes = j->quotes};
    tq_slice line, field;
    const char *between = "[";

    if (j->objects)
        return (int)tq_text_put(text, rest);
    if (rest.size == 0)
        return (int)put_string(text, "[]");
    j->line.size = 0;
    if (!lines_reserve(&j->line, rest.size))
        return no_memory(text);
    line = (tq_slice){rest.data + 1, rest.size - 1};
    for (; tq_next_field(&line, &columns, &field) == TQ_FIELD; between = ",")
        if (put_string(text, between) || tq_text_put_json(text, columns_unquoted(field, columns.quotes, j->line.data)))
            return 1;
    return (int)put_string(text, "]");
}

static int put_object(joined *j, tq_slice key, tq_slice left, const tq_slice *right, tq_text *text)
{
    if (put_string(text, "{\"key\":") || tq_text_put_json(text, key) || put_string(text, ",\"left\":") ||
        put_columns(j, left, text) || put_string(text, ",\"right\":"))
        return 1;
    if (!right)
        return (int)put_string(text, "null}\n");
    return put_columns(j, (tq_slice){right->data, right->size - 1}, text) || put_string(text, "}\n");
}

static int put_objects(joined *j, tq_slice key, tq_slice left, tq_text *text)
{
    tq_slice right;
    size_t at = 0;

    while (next_right(j, &at, &right))
        if (put_object(j, key, left, &right, text))
            return 1;
    return j->rights.size == 0 && j->keeps_left ? put_object(j, key, left, NULL, text) : 0;
}

int joined_write(joined *j, const tq_row *row, tq_text *text, bool json)
{
    if (!row) /* there is nothing left to say */
        return 0;
    tq_slice rest = {row->value.data + 1, row->value.size - 1};
    if (*row->value.data == JOINED_WIDTH) {
        uint64_t width;

        memcpy(&width, rest.data, sizeof width);
        j->width = width > j->width ? width : j->width;
        return 0;
    }
    if (!begin_key(j, row->key) || (*row->value.data == JOINED_RIGHT && !keep_right(j, rest)))
        return no_memory(text);
    if (*row->value.data == JOINED_RIGHT)
        return 0;
    return json || j->objects ? put_objects(j, row->key, rest, text) : put_lines(j, row->key, rest, text);
}

void joined_free(joined *j)
{
    lines_free(&j->key);
    lines_free(&j->rights);
    lines_free(&j->line);
}
