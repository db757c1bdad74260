/* What one process must know of a job to map, combine, reduce and order: the job's own functions and the shapes of its
 * data. Filled once by the job driver before the workers start, read by all threads after. */
#ifndef TQI_SPEC_H
#define TQI_SPEC_H

#include "common/budget.h"
#include "common/key.h"
#include "common/page.h"
#include "node/pool.h"
#include <stdatomic.h>
#include <tequio/mapreduce.h>

/* Of a place in the input, behind a key. */
enum { TQI_ARRIVAL_BYTES = 16 };

typedef struct tqi_spec {
    tq_records records;
    uint64_t record_bytes; /* TQ_FIXED_RECORDS */
    tq_map_fn map;
    tq_map_fn map_chunk;
    tq_map_split_fn map_split;
    tq_map_row_fn map_row; /* exactly one of the four */
    tqi_value_shape shape; /* of what is emitted */
    tq_combine combine;
    tq_combine_fn combine_fn;
    bool arrival;              /* keys carry at their end where they were emitted: see node/arrival.h */
    tq_group_fn group;         /* NULL: each key is a group */
    tq_partition_fn partition; /* NULL: groups go by their hashes */
    tq_reduce_fn reduce; /* at most one of the two */
    tq_reduce_keys_fn reduce_keys;
    tqi_value_shape result_shape; /* of the rows */
    size_t dense; /* numbers of the dense result */
    tq_dense_fn dense_rows;
    tq_slice side;                /* the same bytes on all ranks */
    size_t n_counters;            /* at most TQ_MAX_COUNTERS */
    tq_order order;
    tq_compare_fn compare; /* TQ_ORDER_USER */
    uint64_t limit;
    bool unique;
    bool direct; /* records are rows already: see node/direct.h */
    bool mixed; /* TQ_ORDER_NONE, and partitions are no ranges of hashes: rows are put in that order when all are made */
    tq_compression spill_compression; /* one that this build has */
    void *user;
    uint64_t skip_bad;       /* bad records that may be passed over, */
    _Atomic uint64_t *n_bad; /* and how many have been on this rank: all its workers add to it. NULL: none may be */

    uint32_t partitions;      /* of the whole job */
    uint32_t first_partition; /* of this rank: first_partition .. first_partition + own_partitions - 1 */
    uint32_t own_partitions;
    int rank;
    bool one_host; /* all ranks are there */
    tqi_budget *budget;
    tqi_budget *disk;        /* of bytes that may be spilled; NULL: no bound but the disk */
    tqi_pool *pool;          /* of the workers' pages */
    uint64_t worker_bytes;   /* of memory that one worker may hold in pages while it maps */
    const atomic_bool *stop; /* set when the job is ending early; NULL: it never does */
} tqi_spec;

static inline bool tqi_spec_has_reducer(const tqi_spec *spec)
{
    return spec->reduce || spec->reduce_keys;
}

/* Whether rows must be put in their order when they are made; otherwise partitions are in order as they are. */
static inline bool tqi_spec_orders(const tqi_spec *spec)
{
    return spec->order != TQ_ORDER_NONE || spec->mixed;
}

/* Whether the job decides which keys are in one partition. Then hashes say nothing about that. */
static inline bool tqi_spec_is_placed(const tqi_spec *spec)
{
    return spec->partition || spec->group || spec->arrival;
}

/* Whether the pairs of a partition are kept and sorted before they are reduced (node/grouping.h). */
static inline bool tqi_spec_groups(const tqi_spec *spec)
{
    return spec->group || spec->arrival;
}

/* What the mapper emitted of a key. */
static inline tq_slice tqi_spec_emitted(const tqi_spec *spec, tq_slice key)
{
    size_t tail = !spec->arrival ? 0 : key.size < TQI_ARRIVAL_BYTES ? key.size : TQI_ARRIVAL_BYTES;

    return (tq_slice){key.data, key.size - tail};
}

/* The key of the group that a key belongs to: its beginning, or all of it. */
static inline tq_slice tqi_spec_group(const tqi_spec *spec, tq_slice key)
{
    key = tqi_spec_emitted(spec, key);
    size_t size = spec->group ? spec->group(key, spec->user) : key.size;

    return (tq_slice){key.data, size < key.size ? size : key.size};
}

/* Where a key belongs, if the job decides: by the hash of its group, or by the number that it gives for that, in the place of a
 * hash. Consecutive numbers come to lie evenly (multiplicative hashing: Knuth, The Art of Computer Programming 3, 6.4). */
static inline uint32_t tqi_spec_place(const tqi_spec *spec, tq_slice key)
{
    key = tqi_spec_group(spec, key);
    if (!spec->partition)
        return (uint32_t)(tqi_hash(key.data, key.size) >> 32);
    return (uint32_t)(spec->partition(key, spec->user) * 0x9e3779b97f4a7c15U >> 32);
}

#endif
