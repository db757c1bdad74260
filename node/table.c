#include "node/table.h"

#include "node/group.h"
#include "node/rows.h"
#include "node/summary.h"
#include <stdlib.h>
#include <string.h>

/* Looked up without fetching ahead: what is smaller stays in the cache anyway. */
static const size_t SMALL_INDEX_BYTES = 512 << 10;

static void *first_memory(const tqi_table *table, size_t bytes)
{
    tqi_budget *budget = table->spec->budget;

    return table->anyway ? tqi_budget_force(budget, bytes) : tqi_budget_alloc(budget, bytes);
}

static void set_slots(tqi_table *table, uint64_t *index, size_t slots)
{
    table->index = index;
    table->slots = slots;
    table->shift = 32 - (unsigned)__builtin_ctzll(slots);
    memset(index, 0, slots * sizeof *index);
}

tq_status tqi_table_init(tqi_table *table, const tqi_spec *spec, size_t capacity, size_t limit, bool anyway)
{
    size_t slots = 16;

    *table = (tqi_table){.spec = spec, .hashes = {1, 0, 0}, .capacity = capacity, .limit = limit, .anyway = anyway};
    tqi_arena_init(&table->arena, spec->budget);
    table->arena.first_anyway = anyway;
    table->entries = first_memory(table, capacity * sizeof *table->entries);
    if (!table->entries)
        return TQ_E_MEMORY;
    if (spec->combine == TQ_COMBINE_NONE)
        return TQ_OK;
    while (slots < 2 * capacity)
        slots *= 2;
    uint64_t *index = first_memory(table, slots * sizeof *index);
    if (!index) {
        tqi_table_free(table);
        return TQ_E_MEMORY;
    }
    set_slots(table, index, slots);
    return TQ_OK;
}

void tqi_table_free(tqi_table *table)
{
    if (!table->spec)
        return;
    tqi_budget *budget = table->spec->budget;
    tqi_budget_free(budget, table->entries, table->capacity * sizeof *table->entries);
    tqi_budget_free(budget, table->index, table->slots * sizeof *table->index);
    tqi_budget_free(budget, table->sorted, table->sorted_capacity * sizeof *table->sorted);
    tqi_arena_free(&table->arena);
    table->entries = table->sorted = NULL;
    table->index = NULL;
    table->n = table->capacity = table->sorted_capacity = 0;
}

void tqi_table_keep_all(tqi_table *table)
{
    table->keeps_all = true;
    tqi_budget_free(table->spec->budget, table->index, table->slots * sizeof *table->index);
    table->index = NULL;
    table->slots = 0;
}

void tqi_table_clear(tqi_table *table, tqi_hashes hashes)
{
    table->n = 0;
    table->hashes = hashes;
    tqi_arena_reset(&table->arena);
    if (table->index)
        memset(table->index, 0, table->slots * sizeof *table->index);
}

static void index_all(tqi_table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        size_t slot = tqi_table_slot(table, table->entries[i].hash32);

        while (table->index[slot])
            slot = tqi_table_next_slot(table, slot);
        table->index[slot] = (uint64_t)table->entries[i].hash32 << 32 | (i + 1);
    }
}

/* Twice the capacity. What fails leaves the table as it was. */
static bool grow(tqi_table *table)
{
    tqi_budget *budget = table->spec->budget;
    size_t capacity = 2 * table->capacity, slots = 2 * table->slots;
    uint64_t *index = NULL;
    tqi_entry *entries;

    if (capacity > table->limit)
        capacity = table->limit;
    if (capacity <= table->capacity)
        return false;
    if (table->index && !(index = tqi_budget_alloc(budget, slots * sizeof *index)))
        return false;
    entries = tqi_budget_realloc(budget, table->entries, table->capacity * sizeof *entries, capacity * sizeof *entries);
    if (!entries) {
        tqi_budget_free(budget, index, slots * sizeof *index);
        return false;
    }
    table->entries = entries;
    table->capacity = capacity;
    if (index) {
        tqi_budget_free(budget, table->index, table->slots * sizeof *index);
        set_slots(table, index, slots);
        index_all(table);
    }
    return true;
}

static inline bool same_key(const tqi_entry *entry, const tqi_key *key)
{
    if (entry->size != key->size || entry->word[0] != key->word[0])
        return false;
    if (key->size <= TQI_KEY_INLINE)
        return entry->word[1] == key->word[1];
    return tqi_same_large((const char *)(uintptr_t)entry->word[1], (const char *)(uintptr_t)key->word[1], key->size);
}

static tq_status store_value(tqi_table *table, tqi_entry *entry, int64_t number, tq_slice value)
{
    if (table->spec->shape.type == TQ_I64) {
        entry->value = (uint64_t)number;
        return TQ_OK;
    }
    if (table->spec->shape.type != TQ_BYTES) {
        const char *bytes = tqi_arena_copy(&table->arena, value.data, value.size);

        if (!bytes)
            return TQ_E_MEMORY;
        entry->value = (uint64_t)(uintptr_t)bytes;
        return TQ_OK;
    }
    tqi_blob *blob = tqi_arena_alloc(&table->arena, sizeof *blob + value.size);
    if (!blob)
        return TQ_E_MEMORY;
    blob->size = value.size;
    if (value.size)
        memcpy(blob->bytes, value.data, value.size);
    entry->value = (uint64_t)(uintptr_t)blob;
    return TQ_OK;
}

/* A new entry at the end. Nothing is changed on failure. */
static tq_status append(tqi_table *table, const tqi_key *key, uint32_t hash32, int64_t number, tq_slice value)
{
    if (table->n == table->capacity && !grow(table))
        return TQ_E_AGAIN;
    tqi_entry *entry = &table->entries[table->n];
    *entry = (tqi_entry){{key->word[0], key->word[1]}, 0, hash32, (uint32_t)key->size};
    if (key->size > TQI_KEY_INLINE) {
        const char *copy = tqi_arena_copy(&table->arena, (const void *)(uintptr_t)key->word[1], key->size);

        if (!copy)
            return table->n ? TQ_E_AGAIN : TQ_E_MEMORY;
        entry->word[1] = (uint64_t)(uintptr_t)copy;
    }
    if (store_value(table, entry, number, value))
        return table->n ? TQ_E_AGAIN : TQ_E_MEMORY;
    table->n++;
    return TQ_OK;
}

static inline tq_status merge(tqi_table *table, tqi_entry *entry, int64_t number, tq_slice value)
{
    const tqi_spec *spec = table->spec;

    table->merged++;
    switch (spec->combine) {
    case TQ_SUM: entry->value += (uint64_t)number; return TQ_OK;
    case TQ_MIN:
        if (number < (int64_t)entry->value)
            entry->value = (uint64_t)number;
        return TQ_OK;
    case TQ_MAX:
        if (number > (int64_t)entry->value)
            entry->value = (uint64_t)number;
        return TQ_OK;
    case TQ_STATS:
        tqi_summary_merge((tq_summary *)(uintptr_t)entry->value, (const tq_summary *)(const void *)value.data);
        return TQ_OK;
    case TQ_COMBINE_USER: {
        bool is_number = spec->shape.type == TQ_I64;
        void *into = is_number ? (void *)&entry->value : (void *)(uintptr_t)entry->value;
        const void *from = is_number ? (const void *)&number : (const void *)value.data;

        table->user_code = spec->combine_fn(tqi_entry_key(entry), into, from, spec->user);
        return table->user_code ? TQ_E_USER : TQ_OK;
    }
    case TQ_COMBINE_NONE: break;
    }
    return TQ_E_INTERNAL;
}

tq_status tqi_table_merge(tqi_table *table, tqi_entry *into, const tqi_entry *from)
{
    return merge(table, into, (int64_t)from->value, tqi_entry_value(&table->spec->shape, from));
}

static inline tq_status add(tqi_table *table, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value)
{
    uint32_t hash32 = (uint32_t)(hash >> 32);

    if (!table->index)
        return append(table, key, hash32, number, value);
    size_t slot = tqi_table_slot(table, hash32);
    for (uint64_t at; (at = table->index[slot]) != 0; slot = tqi_table_next_slot(table, slot)) {
        tqi_entry *entry = &table->entries[(uint32_t)at - 1];

        if (at >> 32 == hash32 && same_key(entry, key))
            return merge(table, entry, number, value);
    }
    uint64_t *index = table->index;
    tq_status status = append(table, key, hash32, number, value);
    if (status)
        return status;
    if (index != table->index) { /* it grew: the place is another one now */
        slot = tqi_table_slot(table, hash32);
        while (table->index[slot])
            slot = tqi_table_next_slot(table, slot);
    }
    table->index[slot] = (uint64_t)hash32 << 32 | table->n;
    return TQ_OK;
}

tq_status tqi_table_add(tqi_table *table, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value)
{
    return add(table, key, hash, number, value);
}

/* First every slot of the index is fetched, then the entry that it most likely leads to, then the records are added. */
static void prefetch(const tqi_table *table, const tqi_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tqi_table_fetch_slot(table, (uint32_t)(records[i].hash >> 32));
    for (size_t i = 0; i < n; i++)
        tqi_table_fetch_entry(table, (uint32_t)(records[i].hash >> 32));
}

size_t tqi_table_add_batch(tqi_table *table, const tqi_record *records, size_t n, tq_status *status)
{
    if (table->index && table->slots * sizeof *table->index > SMALL_INDEX_BYTES)
        prefetch(table, records, n);
    *status = TQ_OK;
    for (size_t i = 0; i < n; i++) {
        *status = add(table, &records[i].key, records[i].hash, records[i].number, records[i].value);
        if (__builtin_expect(*status != TQ_OK, 0))
            return i;
    }
    return n;
}

/* ---- In the order of the hashes ---- */

static bool in_order(const tqi_table *table, const tqi_entry *a, const tqi_entry *b)
{
    return tqi_rows_compare(TQ_ORDER_NONE, &table->spec->shape, a, b) <= 0;
}

/* The entries that the index leads to, in its order; then those collisions are mended that put one behind another. An
 * entry that found no place at the end of the index stands at its beginning, before the first empty slot: it comes
 * last. */
static void read_index(tqi_table *table)
{
    size_t n = 0, first_empty = 0;

    while (table->index[first_empty])
        first_empty++;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t slot = 0; slot < first_empty; slot++) {
            const tqi_entry *entry = &table->entries[(uint32_t)table->index[slot] - 1];

            if ((tqi_table_slot(table, entry->hash32) > slot) == (pass == 1))
                table->sorted[n++] = *entry;
        }
        for (size_t slot = first_empty; slot < table->slots && pass == 0; slot++)
            if (table->index[slot])
                table->sorted[n++] = table->entries[(uint32_t)table->index[slot] - 1];
    }
    for (size_t i = 1; i < n; i++) {
        tqi_entry held = table->sorted[i];
        size_t at = i;

        for (; at > 0 && !in_order(table, &table->sorted[at - 1], &held); at--)
            table->sorted[at] = table->sorted[at - 1];
        table->sorted[at] = held;
    }
}

static bool make_room_to_sort(tqi_table *table)
{
    tqi_budget *budget = table->spec->budget;

    if (table->sorted && table->sorted_capacity >= table->n)
        return true;
    tqi_budget_free(budget, table->sorted, table->sorted_capacity * sizeof *table->sorted);
    /* There is some memory even for no entries: NULL says that there is none. */
    table->sorted_capacity = table->n + table->n / 4 + 1;
    table->sorted = tqi_budget_force(budget, table->sorted_capacity * sizeof *table->sorted);
    if (!table->sorted)
        table->sorted_capacity = 0;
    return table->sorted != NULL;
}

tqi_entry *tqi_table_sorted(tqi_table *table)
{
    if (!table->index) {
        tqi_entries_sort(table->entries, table->n, TQ_ORDER_NONE, &table->spec->shape);
        return table->entries;
    }
    if (!make_room_to_sort(table))
        return NULL;
    read_index(table);
    return table->sorted;
}

tqi_entry *tqi_table_sorted_by_key(tqi_table *table)
{
    const tqi_spec *spec = table->spec;

    /* With an index no key has two entries. */
    if (!table->index && make_room_to_sort(table) &&
        !tqi_group_entries(table->entries, table->n, &spec->shape, spec->budget, table->sorted))
        return table->sorted;
    tqi_entries_sort(table->entries, table->n, TQ_ORDER_KEY, &spec->shape);
    return table->entries;
}
