/* The combining table: one entry a key, values merged in place.
 *
 * Entries lie densely in the order in which their keys first came; an index of 8-byte slots (hash32 | entry number + 1, 0 =
 * empty, linear probing, at most half full) leads to them. So a flush or a result reads only what is there, growing moves
 * no entry, and a miss is mostly decided in the index alone. A worker's table has a fixed capacity that fits its L2 cache and
 * is emptied when full; a table for reducing grows.
 *
 * With TQ_COMBINE_NONE there is no index: every record is an entry of its own, in order of arrival.
 *
 * One thread at a time. */
#ifndef TQI_TABLE_H
#define TQI_TABLE_H

#include "node/arena.h"
#include "node/entry.h"
#include "node/spec.h"

typedef struct tqi_table {
    const tqi_spec *spec;
    tqi_entry *entries;
    uint64_t *index; /* NULL: not combining */
    size_t n, capacity;
    size_t index_mask;
    uint64_t merged; /* records that were combined into an entry that was there */
    bool growing;
    int user_code; /* what combine_fn returned when it failed */
    tqi_arena arena;
} tqi_table;

/* A table for capacity entries (at least 1). TQ_E_MEMORY. */
tq_status tqi_table_init(tqi_table *table, const tqi_spec *spec, size_t capacity, bool growing);
void tqi_table_free(tqi_table *table);

/* Forget all entries. */
void tqi_table_clear(tqi_table *table);

/* Merge a record. number is its value for TQ_I64, value its bytes otherwise. Key and value are copied.
 * TQ_E_AGAIN: full (never if growing), nothing was done. TQ_E_MEMORY. TQ_E_USER: combine_fn failed, see user_code. */
tq_status tqi_table_add(tqi_table *table, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value);

/* Hints for a batch: the slot of a hash, and then the entry it leads to, will soon be read. */
static inline void tqi_table_prefetch_slot(const tqi_table *table, uint64_t hash)
{
    if (table->index)
        __builtin_prefetch(&table->index[(uint32_t)(hash >> 32) & table->index_mask]);
}

/* Take the entries away: *entries (allocated from spec->budget, *capacity long) and *arena belong to the caller now, and the
 * table is as after tqi_table_free. */
void tqi_table_take(tqi_table *table, tqi_entry **entries, size_t *n, size_t *capacity, tqi_arena *arena);

#endif
