/* Bins: what a worker has emitted and not yet sent, divided by the hash of the keys (or as the job has it: tqi_spec_place). Each bin is a chain of pages; a record
 * is written to the end of its bin's open page, once, in the form in which it may travel and be reduced. Dividing first
 * and combining each bin later, in a table that fits the cache, touches main memory in streams only, where one large
 * table would miss the cache for each new key. (Radix partitioning: Manegold, Boncz and Kersten, 2002.)
 *
 * The bins are as many as the job has partitions, and the same, as long as those are few: then a page of a bin can be
 * handed on as it is. Otherwise they are fewer, and a bin's records must be divided again.
 *
 * One thread at a time. */
#ifndef TQI_BINS_H
#define TQI_BINS_H

#include "node/run.h"

/* So many streams of writes still go well together with the caches. */
enum { TQI_MOST_BINS = 1024, TQI_FEWER_BINS = 512 };

/* What a record with a key of up to TQI_KEY_MEDIUM bytes and a number, or one value for TQ_STATS, may take, with the
 * bytes behind it that writing it may change. */
enum { TQI_SHORT_RECORD = 1 + TQI_KEY_MEDIUM + 2 + TQI_VARINT_MAX, TQI_SHORT_ROOM = TQI_SHORT_RECORD + TQI_KEY_INLINE };

/* How many bins a job with so many partitions has: one for each, or fewer. */
static inline uint32_t tqi_bins_count(uint32_t partitions)
{
    return partitions <= TQI_MOST_BINS ? partitions : TQI_FEWER_BINS;
}

typedef struct tqi_bin {
    uint8_t *at;      /* where the next record goes */
    uint8_t *end;     /* a short or medium record fits wherever it begins before this; NULL: there is no open page */
    tqi_run *newest;  /* the open page first, behind it those that are full */
    uint64_t records; /* in the open page */
} tqi_bin;

typedef struct tqi_bins {
    const tqi_spec *spec;
    tqi_bin *bins;
    uint32_t n;
    bool whole;         /* a bin is a partition */
    uint64_t bytes;     /* of memory that the pages take */
    uint64_t most;      /* of these */
    tq_account written; /* all records that were ever put in, */
    tq_account taken;   /* and all that were taken out again to be combined */
} tqi_bins;

/* n bins; most: bytes of memory for all pages. TQ_E_MEMORY. */
tq_status tqi_bins_init(tqi_bins *bins, const tqi_spec *spec, uint32_t n, uint64_t most);
void tqi_bins_free(tqi_bins *bins);

/* A new page for a record of size bytes. TQ_E_AGAIN: the bins are full, or the budget does not allow it (anyway: neither
 * is looked at, but a page of the record's own needs its share of the budget). TQ_E_MEMORY. */
tq_status tqi_bins_open(tqi_bins *bins, tqi_bin *bin, uint64_t size, bool anyway);

/* Put a record of any kind into the bin of its key's hash, or of what the job's partition function says. The same errors. */
tq_status tqi_bins_put(tqi_bins *bins, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value, bool anyway);

/* Close the open page of a bin, and take all its pages. Their checksums are not made yet. NULL: it is empty. */
tqi_run *tqi_bins_take(tqi_bins *bins, uint32_t bin);

static inline tqi_bin *tqi_bin_of(const tqi_bins *bins, uint64_t hash)
{
    return &bins->bins[tqi_partition_of((uint32_t)(hash >> 32), bins->n)];
}

/* Write a record with a short key, for which there is room. code: the zigzag of a TQ_I64 value. */
static inline void tqi_bin_write(tqi_bin *bin, uint64_t word0, uint64_t word1, uint32_t size, uint64_t code)
{
    uint8_t *to = bin->at;

    *to = (uint8_t)size;
    memcpy(to + 1, &word0, sizeof word0);
    memcpy(to + 9, &word1, sizeof word1);
    __builtin_prefetch(to + 64, 1); /* the line that comes next: it has left the cache when its turn comes */
    bin->at = tqi_varint_put(to + 1 + size, code);
    bin->records++;
}

/* The same for a key of more than TQI_KEY_INLINE and up to TQI_KEY_MEDIUM bytes. */
static inline void tqi_bin_write_medium(tqi_bin *bin, const char *key, size_t size, uint64_t code)
{
    uint8_t *to = bin->at;

    *to = (uint8_t)size;
    memcpy(to + 1, key, TQI_KEY_INLINE);
    memcpy(to + 1 + size - TQI_KEY_INLINE, key + size - TQI_KEY_INLINE, TQI_KEY_INLINE);
    __builtin_prefetch(to + 64, 1);
    bin->at = tqi_varint_put(to + 1 + size, code);
    bin->records++;
}

/* The same of one value for TQ_STATS, with a key of up to TQI_KEY_MEDIUM bytes: see node/summary.h. */
static inline void tqi_bin_write_value(tqi_bin *bin, const tqi_key *key, int64_t value, unsigned decimals)
{
    uint8_t *to = bin->at + 1 + key->size;

    if (key->size > TQI_KEY_INLINE)
        tqi_bin_write_medium(bin, (const char *)(uintptr_t)key->word[1], key->size, 0);
    else
        tqi_bin_write(bin, key->word[0], key->word[1], (uint32_t)key->size, 0);
    *to = (uint8_t)tqi_summary_encode_value(value, decimals, to + 1);
    bin->at = to + 1 + *to;
}

#endif
