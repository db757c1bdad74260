/* The combining table: one entry a key, values merged in place.
 *
 * Entries lie densely in the order in which their keys first came; an index of 8-byte slots (hash32 | entry number + 1,
 * 0 = empty, linear probing, at most half full) leads to them. So a flush or a result reads only what is there, and a
 * miss is mostly decided in the index alone. A table begins small and doubles; a worker's table is emptied when it has
 * reached its limit, or when the budget does not let it grow.
 *
 * A worker's table for sums has a front: a small array, addressed by the hash alone, that holds keys which were seen
 * often. Most words of a natural text end there, without a branch on where they were found and without leaving the
 * cache. A key gets in when its entry is merged often; its counts go back into its entry when it is driven out, and at
 * the end.
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
    uint64_t *index;  /* NULL: not combining */
    tqi_entry *front; /* NULL, or 1 << TQI_FRONT_BITS entries; size = TQI_FRONT_EMPTY: nobody */
    size_t n, capacity;
    size_t index_mask;
    size_t limit;    /* most entries */
    uint64_t merged; /* records that were combined into an entry that was there */
    int user_code;   /* what combine_fn returned when it failed */
    tqi_arena arena;
} tqi_table;

/* 8192 entries of 32 bytes are a quarter of a 1 MiB L2 cache. */
enum { TQI_FRONT_BITS = 13 };
#define TQI_FRONT_EMPTY UINT32_MAX

#define TQI_TABLE_NO_LIMIT ((size_t)UINT32_MAX - 1)

/* A table for capacity entries at first (at least 1), and limit at last. TQ_E_MEMORY. */
tq_status tqi_table_init(tqi_table *table, const tqi_spec *spec, size_t capacity, size_t limit);
void tqi_table_free(tqi_table *table);

/* Forget all entries. */
void tqi_table_clear(tqi_table *table);

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

/* Give the table a front. TQ_SUM only. TQ_E_MEMORY: it has none, and works without. */
tq_status tqi_table_add_front(tqi_table *table);

/* The place of a short key in the front. */
static inline tqi_entry *tqi_front_slot(const tqi_table *table, uint64_t hash)
{
    return &table->front[hash >> (64 - TQI_FRONT_BITS)];
}

static inline bool tqi_front_holds(const tqi_entry *slot, const tqi_key *key)
{
    return ((slot->word[0] ^ key->word[0]) | (slot->word[1] ^ key->word[1]) | (slot->size ^ key->size)) == 0;
}

/* Move what the front has counted since into entries. TQ_E_AGAIN: the table is full, flush it and call again. */
tq_status tqi_table_drain_front(tqi_table *table);

/* Take the entries away: *entries (allocated from spec->budget, *capacity long) and *arena belong to the caller now,
 * and the table is as after tqi_table_free. */
void tqi_table_take(tqi_table *table, tqi_entry **entries, size_t *n, size_t *capacity, tqi_arena *arena);

#endif
