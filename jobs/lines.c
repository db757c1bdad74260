#include "jobs/lines.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 64 << 10 };

size_t lines_capacity_for(const lines_text *text, size_t bytes)
{
    size_t capacity = text->capacity ? text->capacity : FIRST_BYTES;
    while (capacity - text->size < bytes)
        capacity *= 2;
    return capacity;
}

bool lines_reserve(lines_text *text, size_t bytes)
{
    size_t capacity = lines_capacity_for(text, bytes);
    if (capacity == text->capacity)
        return true;
    char *data = realloc(text->data, capacity);
    if (data == NULL)
        return false;
    text->data = data;
    text->capacity = capacity;
    return true;
}

void lines_free(lines_text *text)
{
    free(text->data);
    *text = (lines_text){0};
}

bool lines_next(tq_slice *text, bool last, tq_slice *line)
{
    if (text->size == 0)
        return false;
    const char *newline = memchr(text->data, '\n', text->size);
    if (newline == NULL && !last)
        return false;
    *line = (tq_slice){text->data, newline != NULL ? (size_t)(newline - text->data) : text->size};
    size_t taken = line->size + (newline != NULL);
    text->data += taken;
    text->size -= taken;
    return true;
}

void lines_cut(tq_slice line, tq_slice *key, tq_slice *rest)
{
    const char *tab = line.size > 0 ? memchr(line.data, '\t', line.size) : NULL;
    size_t size = tab != NULL ? (size_t)(tab - line.data) : line.size;
    *key = (tq_slice){line.data, size};
    *rest = (tq_slice){line.data + size, line.size - size};
}

static void put(lines_text *text, const char *data, size_t size)
{
    if (size > 0)
        memcpy(text->data + text->size, data, size);
    text->size += size;
}

bool lines_append(lines_text *text, tq_slice key, tq_slice value)
{
    if (!lines_reserve(text, key.size + value.size + 2))
        return false;
    put(text, key.data, key.size);
    put(text, "\t", 1);
    put(text, value.data, value.size);
    put(text, "\n", 1);
    return true;
}

/* ---- Sorting ----------------------------------------------------------------------------------------------------- */

size_t lines_count(tq_slice text)
{
    tq_slice line;
    size_t n = 0;
    while (lines_next(&text, true, &line))
        n++;
    return n;
}

static uint64_t prefix_of(tq_slice key)
{
    unsigned char bytes[sizeof(uint64_t)] = {0};
    uint64_t prefix = 0;
    memcpy(bytes, key.data, key.size < sizeof bytes ? key.size : sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        prefix = prefix << 8 | bytes[i];
    return prefix;
}

static int compare_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare(const void *left, const void *right)
{
    const lines_pair *a = left, *b = right;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    int order = compare_bytes(a->line, a->key, b->line, b->key);
    return order != 0 ? order : compare_bytes(a->line + a->key, a->size - a->key, b->line + b->key, b->size - b->key);
}

lines_pair *lines_sorted(tq_slice text, size_t *n)
{
    tq_slice line, key, rest;
    size_t lines = lines_count(text), i = 0;
    lines_pair *pairs = malloc((lines + 1) * sizeof *pairs);
    while (pairs != NULL && lines_next(&text, true, &line)) {
        if (line.size > LINES_LONGEST) {
            free(pairs);
            return NULL;
        }
        lines_cut(line, &key, &rest);
        pairs[i++] = (lines_pair){prefix_of(key), line.data, (uint32_t)key.size, (uint32_t)line.size};
    }
    if (pairs != NULL)
        qsort(pairs, lines, sizeof *pairs, compare);
    *n = lines;
    return pairs;
}
