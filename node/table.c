#include "node/table.h"

#include <stdlib.h>
#include <string.h>

enum { FRONT_BYTES = sizeof(tqi_entry) << TQI_FRONT_BITS };
/* A key whose sum passes a multiple of this asks for a place in the front; one that has gathered as much there since
 * keeps it. */
static const uint64_t HOT = 64;

/* A worker's table (one with a limit) gets its first entries whatever the budget says: without any it could not work.
 */
static void *first_memory(const tqi_table *table, size_t bytes)
{
    bool worker = table->limit < TQI_TABLE_NO_LIMIT;

    return worker ? tqi_budget_force(table->spec->budget, bytes) : tqi_budget_alloc(table->spec->budget, bytes);
}

static uint64_t *new_index(const tqi_spec *spec, size_t slots)
{
    uint64_t *index = tqi_budget_alloc(spec->budget, slots * sizeof *index);

    if (index)
        memset(index, 0, slots * sizeof *index);
    return index;
}

tq_status tqi_table_init(tqi_table *table, const tqi_spec *spec, size_t capacity, size_t limit)
{
    size_t slots = 16;

    *table = (tqi_table){.spec = spec, .capacity = capacity, .limit = limit};
    tqi_arena_init(&table->arena, spec->budget);
    table->arena.first_anyway = limit < TQI_TABLE_NO_LIMIT;
    table->entries = first_memory(table, capacity * sizeof *table->entries);
    if (!table->entries)
        return TQ_E_MEMORY;
    if (spec->combine == TQ_COMBINE_NONE)
        return TQ_OK;
    while (slots < 2 * capacity)
        slots *= 2;
    table->index = first_memory(table, slots * sizeof *table->index);
    table->index_mask = slots - 1;
    if (!table->index) {
        tqi_table_free(table);
        return TQ_E_MEMORY;
    }
    memset(table->index, 0, slots * sizeof *table->index);
    return TQ_OK;
}

static void free_index(tqi_table *table)
{
    tqi_budget_free(table->spec->budget, table->index, (table->index_mask + 1) * sizeof *table->index);
    table->index = NULL;
}

void tqi_table_free(tqi_table *table)
{
    if (!table->spec)
        return;
    tqi_budget_free(table->spec->budget, table->entries, table->capacity * sizeof *table->entries);
    table->entries = NULL;
    free_index(table);
    tqi_budget_free(table->spec->budget, table->front, FRONT_BYTES);
    table->front = NULL;
    tqi_arena_free(&table->arena);
    table->n = table->capacity = 0;
}

void tqi_table_clear(tqi_table *table)
{
    table->n = 0;
    tqi_arena_reset(&table->arena);
    if (table->index)
        memset(table->index, 0, (table->index_mask + 1) * sizeof *table->index);
}

static void index_all(tqi_table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        size_t slot = table->entries[i].hash32 & table->index_mask;

        while (table->index[slot])
            slot = (slot + 1) & table->index_mask;
        table->index[slot] = (uint64_t)table->entries[i].hash32 << 32 | (i + 1);
    }
}

/* Twice the capacity. What fails leaves the table as it was. */
static bool grow(tqi_table *table)
{
    tqi_budget *budget = table->spec->budget;
    size_t capacity = 2 * table->capacity, slots = 2 * (table->index_mask + 1);
    uint64_t *index = NULL;
    tqi_entry *entries;

    if (capacity > table->limit)
        capacity = table->limit;
    if (capacity <= table->capacity)
        return false;
    if (table->index && !(index = new_index(table->spec, slots)))
        return false;
    entries = tqi_budget_realloc(budget, table->entries, table->capacity * sizeof *entries, capacity * sizeof *entries);
    if (!entries) {
        tqi_budget_free(budget, index, slots * sizeof *index);
        return false;
    }
    table->entries = entries;
    table->capacity = capacity;
    if (index) {
        free_index(table);
        table->index = index;
        table->index_mask = slots - 1;
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
    return memcmp((const void *)(uintptr_t)entry->word[1], (const void *)(uintptr_t)key->word[1], key->size) == 0;
}

static tq_status store_value(tqi_table *table, tqi_entry *entry, int64_t number, tq_slice value)
{
    if (table->spec->shape.type == TQ_I64) {
        entry->value = (uint64_t)number;
        return TQ_OK;
    }
    if (table->spec->shape.type == TQ_FIXED) {
        void *bytes = tqi_arena_alloc(&table->arena, value.size);

        if (!bytes)
            return TQ_E_MEMORY;
        memcpy(bytes, value.data, value.size);
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
        char *copy = tqi_arena_alloc(&table->arena, key->size);

        if (!copy)
            return table->n ? TQ_E_AGAIN : TQ_E_MEMORY;
        memcpy(copy, (const void *)(uintptr_t)key->word[1], key->size);
        entry->word[1] = (uint64_t)(uintptr_t)copy;
    }
    if (store_value(table, entry, number, value))
        return table->n ? TQ_E_AGAIN : TQ_E_MEMORY;
    table->n++;
    return TQ_OK;
}

static inline tq_status add(tqi_table *table, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value);

/* Move a front entry's sum into the table. All the records in it were counted as merged; now one of them is a record
 * again. */
static tq_status drain_slot(tqi_table *table, tqi_entry *slot)
{
    tqi_key key = {{slot->word[0], slot->word[1]}, slot->size};

    if (slot->size == TQI_FRONT_EMPTY || slot->value == 0)
        return TQ_OK;
    tq_status status = add(table, &key, (uint64_t)slot->hash32 << 32, (int64_t)slot->value, (tq_slice){NULL, 0});
    if (status)
        return status;
    table->merged--;
    slot->value = 0;
    return TQ_OK;
}

/* The entry is hot: give it its place in the front, unless one that is as hot has it. That one is drained, and must
 * prove itself again until the next time. */
static __attribute__((noinline)) void promote(tqi_table *table, const tqi_entry *entry)
{
    tqi_entry *slot = &table->front[entry->hash32 >> (32 - TQI_FRONT_BITS)];
    tqi_entry hot = *entry;
    bool keeps = slot->size != TQI_FRONT_EMPTY && slot->value >= HOT;
    tqi_entry *front = table->front;

    if (hot.size > TQI_KEY_INLINE)
        return;
    table->front = NULL; /* draining merges, and must not lead back here */
    tq_status status = drain_slot(table, slot);
    table->front = front;
    if (status || keeps)
        return;
    hot.value = 0;
    *slot = hot;
}

static inline tq_status merge(tqi_table *table, tqi_entry *entry, int64_t number, tq_slice value)
{
    const tqi_spec *spec = table->spec;

    table->merged++;
    switch (spec->combine) {
    case TQ_SUM: {
        uint64_t before = entry->value;

        entry->value += (uint64_t)number;
        if (__builtin_expect((before ^ entry->value) >= HOT, 0) && table->front)
            promote(table, entry);
        return TQ_OK;
    }
    case TQ_MIN:
        if (number < (int64_t)entry->value)
            entry->value = (uint64_t)number;
        return TQ_OK;
    case TQ_MAX:
        if (number > (int64_t)entry->value)
            entry->value = (uint64_t)number;
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

static inline tq_status add(tqi_table *table, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value)
{
    uint32_t hash32 = (uint32_t)(hash >> 32);

    if (!table->index)
        return append(table, key, hash32, number, value);
    size_t slot = hash32 & table->index_mask;
    for (uint64_t at; (at = table->index[slot]) != 0; slot = (slot + 1) & table->index_mask) {
        tqi_entry *entry = &table->entries[(uint32_t)at - 1];

        if (at >> 32 == hash32 && same_key(entry, key))
            return merge(table, entry, number, value);
    }
    uint64_t *index = table->index;
    tq_status status = append(table, key, hash32, number, value);
    if (status)
        return status;
    if (index != table->index) { /* it grew: the place is another one now */
        slot = hash32 & table->index_mask;
        while (table->index[slot])
            slot = (slot + 1) & table->index_mask;
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
        __builtin_prefetch(&table->index[(uint32_t)(records[i].hash >> 32) & table->index_mask]);
    for (size_t i = 0; i < n; i++) {
        uint64_t at = table->index[(uint32_t)(records[i].hash >> 32) & table->index_mask];

        __builtin_prefetch(&table->entries[(uint32_t)(at - (at != 0))], 1);
    }
}

size_t tqi_table_add_batch(tqi_table *table, const tqi_record *records, size_t n, tq_status *status)
{
    if (table->index)
        prefetch(table, records, n);
    *status = TQ_OK;
    for (size_t i = 0; i < n; i++) {
        *status = add(table, &records[i].key, records[i].hash, records[i].number, records[i].value);
        if (__builtin_expect(*status != TQ_OK, 0))
            return i;
    }
    return n;
}

tq_status tqi_table_add_front(tqi_table *table)
{
    tqi_entry *front = tqi_budget_alloc(table->spec->budget, FRONT_BYTES);

    if (!front)
        return TQ_E_MEMORY;
    memset(front, 0, FRONT_BYTES);
    for (size_t i = 0; i < (size_t)1 << TQI_FRONT_BITS; i++)
        front[i].size = TQI_FRONT_EMPTY;
    table->front = front;
    return TQ_OK;
}

tq_status tqi_table_drain_front(tqi_table *table)
{
    tqi_entry *front = table->front;
    tq_status status = TQ_OK;

    if (!front)
        return TQ_OK;
    table->front = NULL;
    for (size_t i = 0; i < (size_t)1 << TQI_FRONT_BITS && !status; i++)
        status = drain_slot(table, &front[i]);
    table->front = front;
    return status;
}

void tqi_table_take(tqi_table *table, tqi_entry **entries, size_t *n, size_t *capacity, tqi_arena *arena)
{
    tqi_budget *budget = table->spec->budget;
    size_t spare = table->capacity - table->n;

    free_index(table);
    if (table->n > 0 && spare > table->n / 8) { /* what doubling left over is worth having back */
        void *trimmed = tqi_budget_realloc(budget, table->entries, table->capacity * sizeof(tqi_entry),
                                           table->n * sizeof(tqi_entry));

        if (trimmed) {
            table->entries = trimmed;
            table->capacity = table->n;
        }
    }
    *entries = table->entries;
    *n = table->n;
    *capacity = table->capacity;
    *arena = table->arena;
    table->entries = NULL;
    table->n = table->capacity = 0;
    tqi_arena_init(&table->arena, table->spec->budget);
    tqi_table_free(table);
}
