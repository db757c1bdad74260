/* Pairs got ready for the hot table (node/hot.h), many at a time, and added, with what the CPU at hand has: one kernel
 * for each set of instructions, all with the same answers. Words, hashes, squares and digests are made for a block of
 * pairs first, in wide registers where there are some; then each pair finds its line and is added to it. What is not
 * where its hash says, or not small, goes the slow way of node/hot.c.
 *
 * One thread at a time. */
#ifndef TQI_HOT_ROWS_H
#define TQI_HOT_ROWS_H

#include "node/hot.h"

enum { TQI_HOT_ROWS = 64 };

/* Longer keys are not held in the table. */
enum { TQI_HOT_LONGEST_KEY = 1 << 10 };

/* The tag of a pair that is not added as it is: that of no key. */
#define TQI_HOT_SPECIAL UINT32_MAX

/* A block of pairs: the numbers of an entry, for each. */
typedef struct tqi_hot_rows {
    _Alignas(64) uint64_t word[TQI_HOT_ROWS][2];
    _Alignas(64) uint64_t sums[TQI_HOT_ROWS][4];
    _Alignas(64) uint64_t hash[TQI_HOT_ROWS];
    _Alignas(64) uint64_t most[TQI_HOT_ROWS]; /* both numbers of 32 bits */
    uint32_t tag[TQI_HOT_ROWS];
    uint32_t longs[TQI_HOT_ROWS + 1]; /* numbers of those with long keys */
} tqi_hot_rows;

/* What multiplies the values, and how large they may be before. */
typedef struct tqi_hot_scale {
    int64_t factor, most_small, most_large;
    tqi_digest digest;
} tqi_hot_scale;

/* Whether -most <= value <= most. */
static inline bool tqi_hot_is_within(int64_t value, int64_t most)
{
    return (uint64_t)value + (uint64_t)most <= 2 * (uint64_t)most;
}

static inline void tqi_hot_add_row(tqi_hot_entry *entry, const tqi_hot_rows *rows, size_t r)
{
    int32_t most[2] = {(int32_t)(uint32_t)rows->most[r], (int32_t)(uint32_t)(rows->most[r] >> 32)};

    for (int i = 0; i < 4; i++)
        entry->sums[i] += rows->sums[r][i];
    entry->most[0] = most[0] > entry->most[0] ? most[0] : entry->most[0];
    entry->most[1] = most[1] > entry->most[1] ? most[1] : entry->most[1];
}

/* Pair i, which is row r, in whatever way it takes, or among the others: node/hot.c. */
void tqi_hot_add_slowly(tqi_hot *hot, const tqi_hot_pairs *pairs, size_t i, const tqi_hot_rows *rows, size_t r,
                        const tqi_hot_scale *by, tqi_hot_done *done);

#endif
