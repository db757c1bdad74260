#include "jobs/lines.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 64 << 10, FIRST_PAIRS = 1024 };

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

bool lines_append_line(lines_text *text, tq_slice line, bool with_tab)
{
    if (!lines_reserve(text, line.size + 2))
        return false;
    put(text, line.data, line.size);
    if (with_tab)
        put(text, "\t", 1);
    put(text, "\n", 1);
    return true;
}

/* ---- Sorting ----------------------------------------------------------------------------------------------------- */

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

/* A product for each eight bytes, of which every bit is in the upper half at the end. */
static uint32_t hash_of(tq_slice line)
{
    uint64_t hash = line.size, word;
    size_t i = 0;
    for (; i + sizeof word <= line.size; i += sizeof word) {
        memcpy(&word, line.data + i, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
        hash ^= hash >> 32;
    }
    word = 0;
    if (i < line.size)
        memcpy(&word, line.data + i, line.size - i);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    return (uint32_t)((hash ^ hash >> 29) * 0xbf58476d1ce4e5b9U >> 32);
}

/* The slot of a line, or the empty one in which it belongs. A slot is the hash, and the number of the pair from 1 on. */
static size_t find_slot(const lines_sorting *s, uint32_t hash, const tq_slice *line)
{
    size_t slot = hash & (s->n_slots - 1);
    for (; s->slots[slot] != 0; slot = (slot + 1) & (s->n_slots - 1)) {
        const lines_pair *pair = &s->pairs[(uint32_t)s->slots[slot] - 1];
        if (line != NULL && s->slots[slot] >> 32 == hash && pair->size == line->size &&
            memcmp(pair->line, line->data, line->size) == 0)
            break;
    }
    return slot;
}

/* Room for twice as many pairs. */
static bool grow(lines_sorting *s, lines_more_fn more, void *user)
{
    size_t capacity = s->capacity != 0 ? 2 * s->capacity : FIRST_PAIRS, n_slots = 2 * capacity;
    size_t bytes = (capacity - s->capacity) * sizeof *s->pairs + (n_slots - s->n_slots) * sizeof *s->slots;
    if (capacity > UINT32_MAX || !more(user, bytes))
        return false;
    s->bytes += bytes;
    lines_pair *pairs = realloc(s->pairs, capacity * sizeof *pairs);
    if (pairs != NULL) {
        s->pairs = pairs;
        s->capacity = capacity;
    }
    lines_sorting larger = {.pairs = pairs, .slots = calloc(n_slots, sizeof *larger.slots), .n_slots = n_slots};
    for (size_t i = 0; pairs != NULL && larger.slots != NULL && i < s->n_slots; i++)
        if (s->slots[i] != 0)
            larger.slots[find_slot(&larger, (uint32_t)(s->slots[i] >> 32), NULL)] = s->slots[i];
    free(s->slots);
    s->slots = larger.slots;
    s->n_slots = larger.slots != NULL ? n_slots : 0;
    return pairs != NULL && larger.slots != NULL;
}

bool lines_sort(lines_sorting *s, tq_slice text, lines_more_fn more, void *user)
{
    tq_slice line, key, rest;
    *s = (lines_sorting){0};
    while (lines_next(&text, true, &line)) {
        uint32_t hash = hash_of(line);
        if (line.size > LINES_LONGEST || (s->n == s->capacity && !grow(s, more, user)))
            return false;
        size_t slot = find_slot(s, hash, &line);
        if (s->slots[slot] != 0) {
            s->pairs[(uint32_t)s->slots[slot] - 1].count++;
            continue;
        }
        lines_cut(line, &key, &rest);
        s->pairs[s->n++] = (lines_pair){prefix_of(key), line.data, (uint32_t)key.size, (uint32_t)line.size, 1};
        s->slots[slot] = (uint64_t)hash << 32 | s->n;
    }
    if (s->n > 0) /* or there is no array */
        qsort(s->pairs, s->n, sizeof *s->pairs, compare);
    return true;
}

void lines_sorting_free(lines_sorting *s)
{
    free(s->pairs);
    free(s->slots);
    *s = (lines_sorting){0};
}
