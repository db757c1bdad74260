#include "node/group.h"

#include "node/rows.h"
#include <string.h>

enum { FIRST_KEYS = 1024, AHEAD = 8 };

/* What is known of the keys so far. */
typedef struct grouping {
    tqi_budget *budget;
    uint32_t *key_of; /* of each entry, its key's number */
    size_t n_entries;
    tqi_entry *keys;  /* the first entry of each, but the value is the key's number; */
    uint32_t *counts; /* how many entries have it; later: where the next of them goes */
    size_t n, capacity;
    uint64_t *index; /* hash32 | number + 1, 0 = empty, linear probing; twice the capacity */
} grouping;

static void forget(grouping *all)
{
    tqi_budget_free(all->budget, all->key_of, all->n_entries * sizeof *all->key_of);
    tqi_budget_free(all->budget, all->keys, all->capacity * sizeof *all->keys);
    tqi_budget_free(all->budget, all->counts, all->capacity * sizeof *all->counts);
    tqi_budget_free(all->budget, all->index, 2 * all->capacity * sizeof *all->index);
}

static inline size_t slot_of(const grouping *all, uint32_t hash32)
{
    return (hash32 * 0x9e3779b1U) & (2 * all->capacity - 1); /* the upper bits are the partition's, the same for all */
}

static void put_in_index(grouping *all, uint32_t hash32, size_t number)
{
    size_t slot = slot_of(all, hash32);

    while (all->index[slot])
        slot = (slot + 1) & (2 * all->capacity - 1);
    all->index[slot] = (uint64_t)hash32 << 32 | (number + 1);
}

/* Room for capacity keys, a power of two. */
static bool grow(grouping *all, size_t capacity)
{
    grouping larger = *all;

    larger.capacity = capacity;
    larger.key_of = NULL; /* stays where it is */
    larger.n_entries = 0;
    larger.keys = tqi_budget_alloc(all->budget, capacity * sizeof *larger.keys);
    larger.counts = tqi_budget_alloc(all->budget, capacity * sizeof *larger.counts);
    larger.index = tqi_budget_alloc(all->budget, 2 * capacity * sizeof *larger.index);
    if (!larger.keys || !larger.counts || !larger.index) {
        forget(&larger);
        return false;
    }
    memset(larger.index, 0, 2 * capacity * sizeof *larger.index);
    if (all->n) {
        memcpy(larger.keys, all->keys, all->n * sizeof *larger.keys);
        memcpy(larger.counts, all->counts, all->n * sizeof *larger.counts);
    }
    for (size_t i = 0; i < all->n; i++)
        put_in_index(&larger, larger.keys[i].hash32, i);
    larger.key_of = all->key_of;
    larger.n_entries = all->n_entries;
    all->key_of = NULL;
    all->n_entries = 0;
    forget(all);
    *all = larger;
    return true;
}

static inline bool same_key(const tqi_entry *a, const tqi_entry *b)
{
    if (a->size != b->size || a->word[0] != b->word[0])
        return false;
    if (a->size <= TQI_KEY_INLINE)
        return a->word[1] == b->word[1];
    return memcmp((const void *)(uintptr_t)a->word[1], (const void *)(uintptr_t)b->word[1], a->size) == 0;
}

/* The number of the entry's key; all->n: it is new. */
static inline size_t find(const grouping *all, const tqi_entry *entry)
{
    size_t slot = slot_of(all, entry->hash32);

    for (uint64_t at; (at = all->index[slot]) != 0; slot = (slot + 1) & (2 * all->capacity - 1)) {
        size_t number = (uint32_t)at - 1;

        if (at >> 32 == entry->hash32 && same_key(&all->keys[number], entry))
            return number;
    }
    return all->n;
}

static bool find_keys(grouping *all, const tqi_entry *entries)
{
    for (size_t i = 0; i < all->n_entries; i++) {
        size_t number = find(all, &entries[i]);

        if (number == all->n) {
            if (all->n == all->capacity && !grow(all, 2 * all->capacity))
                return false;
            all->keys[number] = entries[i];
            all->keys[number].value = number;
            all->counts[number] = 0;
            put_in_index(all, entries[i].hash32, number);
            all->n++;
        }
        all->key_of[i] = (uint32_t)number;
        all->counts[number]++;
    }
    return true;
}

static int compare_values(const tqi_value_shape *shape, const tqi_entry *a, const tqi_entry *b)
{
    int64_t left = (int64_t)a->value, right = (int64_t)b->value;

    if (shape->type == TQ_I64)
        return (left > right) - (left < right);
    tq_slice x = tqi_entry_value(shape, a), y = tqi_entry_value(shape, b);
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    return order ? order : (x.size > y.size) - (x.size < y.size);
}

/* n entries of one key. Often all have the same value, or few do. */
static void sort_values(const tqi_value_shape *shape, tqi_entry *entries, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (shape->type != TQ_I64 && i + AHEAD < n)
            __builtin_prefetch((const void *)(uintptr_t)entries[i + AHEAD].value);
        if (compare_values(shape, &entries[i - 1], &entries[i]) > 0) {
            tqi_entries_sort(entries, n, TQ_ORDER_KEY, shape);
            return;
        }
    }
}

tq_status tqi_group_entries(const tqi_entry *entries, size_t n, const tqi_value_shape *shape, tqi_budget *budget,
                            tqi_entry *to)
{
    static const tqi_value_shape numbers = {TQ_I64, 0};
    grouping all = {.budget = budget, .n_entries = n};

    all.key_of = tqi_budget_alloc(budget, n * sizeof *all.key_of);
    if (!all.key_of || !grow(&all, FIRST_KEYS) || !find_keys(&all, entries)) {
        forget(&all);
        return TQ_E_MEMORY;
    }
    tqi_entries_sort(all.keys, all.n, TQ_ORDER_KEY, &numbers);
    uint32_t next = 0;
    for (size_t i = 0; i < all.n; i++) {
        uint32_t *count = &all.counts[all.keys[i].value], begin = next;

        next += *count;
        *count = begin;
    }
    for (size_t i = 0; i < n; i++)
        to[all.counts[all.key_of[i]]++] = entries[i];
    for (size_t i = 0, begin = 0, end; i < all.n; i++, begin = end) {
        end = all.counts[all.keys[i].value]; /* where the next would go */
        sort_values(shape, to + begin, end - begin);
    }
    forget(&all);
    return TQ_OK;
}
