/* A run: pages back to back, in ascending order of partition, in one block of memory, so that the part for one rank is
 * contiguous. Made by a worker, then handed on; it belongs to one owner at a time. */
#ifndef TQI_RUN_H
#define TQI_RUN_H

#include "common/account.h"
#include "node/entry.h"
#include "node/pool.h"
#include "node/spec.h"
#include "node/summary.h"

typedef struct tqi_run {
    struct tqi_run *next; /* for the owner's lists */
    tqi_pool *pool;       /* where its memory goes back to; NULL: it was allocated alone */
    size_t bytes;         /* of pages */
    size_t capacity;      /* of data */
    uint64_t records;
    uint8_t data[]; /* bytes of pages, and TQI_KEY_SLACK readable bytes behind them */
} tqi_run;

/* Room for the counting of one run, reused by the next. One thread at a time. */
typedef struct tqi_run_builder {
    const tqi_spec *spec;
    const tqi_value_shape *shape;         /* of the entries' values: spec->shape or spec->result_shape */
    uint32_t first_partition, partitions; /* all that the entries may belong to */
    struct tqi_run_part {
        uint64_t bytes;
        uint32_t records;
        uint8_t *cursor;
    } * parts;
} tqi_run_builder;

tq_status tqi_run_builder_init(tqi_run_builder *builder, const tqi_spec *spec, const tqi_value_shape *shape,
                               uint32_t first_partition, uint32_t partitions);
void tqi_run_builder_free(tqi_run_builder *builder);

/* Make a run of n entries, n > 0. partition_of[i] is the partition of entry i, or NULL: by the hash, unless there is
 * only one. What is written is added to account. *run is set on success. TQ_E_MEMORY, TQ_E_USAGE (more than 4 GiB for
 * one partition). */
tq_status tqi_run_build(tqi_run_builder *builder, const tqi_entry *entries, size_t n, const uint32_t *partition_of,
                        tq_account *account, tqi_run **run);

/* Room for at least capacity bytes of data: a block of the pool, or, if that is too small, memory of its own. anyway: a
 * block is given whatever the budget says. NULL: the budget does not allow it, or there is no memory. */
tqi_run *tqi_run_new(const tqi_spec *spec, size_t capacity, bool anyway);

/* tqi_run_build for entries that all belong to one partition. */
tq_status tqi_run_build_one(const tqi_spec *spec, const tqi_value_shape *shape, uint32_t partition,
                            const tqi_entry *entries, size_t n, tq_account *account, tqi_run **run);

void tqi_run_free(const tqi_spec *spec, tqi_run *run);
void tqi_run_free_list(const tqi_spec *spec, tqi_run *first);

/* Bytes that a record takes in a page: number is its value for TQ_I64, value its bytes otherwise. */
uint64_t tqi_record_size(const tqi_value_shape *shape, size_t key_size, int64_t number, tq_slice value);

/* Write one record, and return where it ends. key: its bytes, or the two words of a short one, which are copied as 16 bytes
 * whatever its size, so that many bytes behind the record's key may change. */
uint8_t *tqi_record_encode(const tqi_value_shape *shape, const void *key, size_t key_size, int64_t number,
                           tq_slice value, uint8_t *to);

/* The same of an entry. */
uint64_t tqi_encoded_size(const tqi_value_shape *shape, const tqi_entry *entry);
uint8_t *tqi_encode(const tqi_value_shape *shape, const tqi_entry *entry, uint8_t *to);

/* Make the header of a page whose records are there, and its checksum if it is for another rank. */
void tqi_seal(const tqi_spec *spec, uint8_t *page, uint32_t partition, uint32_t records, uint32_t payload);

static inline void tqi_account_summary(tq_account *account, uint64_t hash, const tq_summary *summary)
{
    tqi_account_linear(account, hash, summary->count, tqi_summary_digest(summary));
}

/* Add a pair as it was emitted, or as a page has it, to an account, as the job's combiner has it: number is the value
 * of TQ_I64 pairs, value that of others (of a TQ_STATS job, a tq_summary). */
static inline void tqi_account_pair(const tqi_spec *spec, uint64_t hash, int64_t number, tq_slice value,
                                    tq_account *account)
{
    if (spec->combine == TQ_SUM)
        tqi_account_sum(account, hash, (uint64_t)number);
    else if (spec->shape.type == TQI_SUMMARY)
        tqi_account_summary(account, hash, (const tq_summary *)(const void *)value.data);
    else if (spec->shape.type == TQ_I64)
        tqi_account_record(account, hash, tqi_hash_short((uint64_t)number, 0));
    else
        tqi_account_record(account, hash, tqi_hash(value.data, value.size));
}

/* The same for an entry, whose value has another shape when it is a row. */
void tqi_account_entry(const tqi_spec *spec, const tqi_value_shape *shape, const tqi_entry *entry, tq_account *account);

#endif
