/* The combining table: one entry a key, values merged in place.
 *
 * Entries lie densely in the order in which their keys first came; an index of 8-byte slots (hash32 | entry number + 1,
 * 0 = empty, linear probing, at most half full) leads to them. So a flush or a result reads only what is there, and a
 * miss is mostly decided in the index alone. A table begins small and doubles, up to its limit or as far as the budget
 * lets it.
 *
 * A table is for a range of hashes, and the place of a key in the index grows with its hash. So the index, read from one
 * end to the other, gives the entries in the order of their hashes, but for neighbours that have collided.
 *
 * With TQ_COMBINE_NONE there is no index: every record is an entry of its own, in order of arrival.
 *
 * One thread at a time. */
#ifndef TQI_TABLE_H
#define TQI_TABLE_H

#include "node/arena.h"
#include "node/entry.h"
#include "node/spec.h"

/* Which hashes. All of them are divided into ranges of equal size, as many as there are partitions or bins; a table takes
 * one of these, or 1 / (1 << halvings) of one, beginning at base (in units of range / 2^32). */
typedef struct tqi_hashes {
    uint32_t ranges;
    uint32_t base;
    unsigned halvings;
} tqi_hashes;

typedef struct tqi_table {
    const tqi_spec *spec;
    tqi_hashes hashes;
    tqi_entry *entries;
    uint64_t *index; /* NULL: not combining */
    size_t n, capacity;
    size_t slots;    /* of the index: a power of two */
    unsigned shift;  /* from a place in the range to one in the index */
    size_t limit;    /* most entries */
    uint64_t merged; /* records that were combined into an entry that was there */
    int user_code;   /* what combine_fn returned when it failed */
    bool keeps_all;  /* see tqi_table_keep_all */
    bool anyway;     /* the first memory is given whatever the budget says */
    tqi_arena arena;
    tqi_entry *sorted; /* room for tqi_table_sorted */
    size_t sorted_capacity;
} tqi_table;

#define TQI_TABLE_NO_LIMIT ((size_t)INT32_MAX)

/* What one entry costs, with its share of the index. */
enum { TQI_ENTRY_COST = sizeof(tqi_entry) + 2 * sizeof(uint64_t) };

/* A table for capacity entries at first (at least 1), and limit at last. anyway: what it needs to begin with is taken
 * whatever the budget says. TQ_E_MEMORY. */
tq_status tqi_table_init(tqi_table *table, const tqi_spec *spec, size_t capacity, size_t limit, bool anyway);
void tqi_table_free(tqi_table *table);

/* From now on keep every record as an entry of its own, whatever the job's combiner is, under the hash of its key's group
 * (tq_job.group), so that groups are whole in the table's share of hashes. It must be empty. */
void tqi_table_keep_all(tqi_table *table);

/* Merge the value of an entry into that of another with the same key. TQ_E_USER as below. */
tq_status tqi_table_merge(tqi_table *table, tqi_entry *into, const tqi_entry *from);

/* Forget all entries, and be for these hashes from now on. At first a table is for all. merged is kept. */
void tqi_table_clear(tqi_table *table, tqi_hashes hashes);

/* Where a hash lies in its range: 0 is the beginning, 2^32 would be the end. */
static inline uint32_t tqi_place_in_range(uint32_t hash32, uint32_t ranges)
{
    return (uint32_t)((uint64_t)hash32 * ranges);
}

static inline size_t tqi_table_slot(const tqi_table *table, uint32_t hash32)
{
    uint32_t place = tqi_place_in_range(hash32, table->hashes.ranges);

    return (uint32_t)((place - table->hashes.base) << table->hashes.halvings) >> table->shift;
}

static inline size_t tqi_table_next_slot(const tqi_table *table, size_t slot)
{
    return (slot + 1) & (table->slots - 1);
}

/* Whether the table is for the key of this hash. */
static inline bool tqi_table_is_for(const tqi_table *table, uint32_t hash32)
{
    uint32_t place = tqi_place_in_range(hash32, table->hashes.ranges);

    return (uint64_t)(uint32_t)(place - table->hashes.base) << table->hashes.halvings <= UINT32_MAX;
}

/* Have the place of a hash in the index on its way into the cache; then, the entry that it most likely leads to. */
static inline void tqi_table_fetch_slot(const tqi_table *table, uint32_t hash32)
{
    __builtin_prefetch(&table->index[tqi_table_slot(table, hash32)], 1);
}

static inline void tqi_table_fetch_entry(const tqi_table *table, uint32_t hash32)
{
    uint64_t at = table->index[tqi_table_slot(table, hash32)];

    __builtin_prefetch(&table->entries[(uint32_t)(at - (at != 0))], 1);
}

/* The entry of a short key, or NULL: it belongs into slot *empty of the index. The table must have an index. */
static inline tqi_entry *tqi_table_find_short(const tqi_table *table, const tqi_key *key, uint32_t hash32,
                                              size_t *empty)
{
    size_t slot = tqi_table_slot(table, hash32);

    *empty = slot;
    for (uint64_t at; (at = table->index[slot]) != 0; *empty = slot = tqi_table_next_slot(table, slot)) {
        tqi_entry *entry = &table->entries[(uint32_t)at - 1];

        if (at >> 32 == hash32 && ((entry->word[0] ^ key->word[0]) | (entry->word[1] ^ key->word[1]) |
                                   (entry->size ^ (uint32_t)key->size)) == 0)
            return entry;
    }
    return NULL;
}

/* A new short key, for the slot that tqi_table_find_short gave, of a job with TQ_I64 values; false: there is no room. */
static inline bool tqi_table_insert_short(tqi_table *table, const tqi_key *key, uint32_t hash32, int64_t number,
                                          size_t slot)
{
    if (table->n == table->capacity)
        return false;
    table->entries[table->n] = (tqi_entry){{key->word[0], key->word[1]}, (uint64_t)number, hash32, (uint32_t)key->size};
    table->index[slot] = (uint64_t)hash32 << 32 | ++table->n;
    return true;
}

/* Merge a record. number is its value for TQ_I64, value its bytes otherwise. Key and value are copied.
 * TQ_E_AGAIN: full, nothing was done: flush and try again. TQ_E_MEMORY: full, and empty. TQ_E_USER: combine_fn failed,
 * see user_code. */
tq_status tqi_table_add(tqi_table *table, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value);

/* One record of a batch. */
typedef struct tqi_record {
    tqi_key key;
    uint64_t hash;
    int64_t number;
    tq_slice value;
} tqi_record;

/* Records that are worth looking up together: enough to hide a cache miss. */
enum { TQI_BATCH = 128 };

/* tqi_table_add for n records, at most TQI_BATCH, in order; their cache misses overlap. Returns how many were added:
 * less than n only if *status is not TQ_OK. */
size_t tqi_table_add_batch(tqi_table *table, const tqi_record *records, size_t n, tq_status *status);

/* The table's entries in the order of their hashes, those of one hash by key, those of one key (TQ_COMBINE_NONE) by
 * value. Valid until the table is used again. NULL: no memory. */
tqi_entry *tqi_table_sorted(tqi_table *table);

/* The same by key and then by value; the table is of no use then before it is cleared. */
tqi_entry *tqi_table_sorted_by_key(tqi_table *table);

#endif
