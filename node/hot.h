/* The hot table: what combines the values of a TQ_STATS job at once, while there are not too many keys. A line of the
 * cache holds a key with the count, sum, sum of squares, min and max of its values so far; the hash tells where it is,
 * or just behind. So a value costs one line, in the L1 or L2 cache mostly, and a few additions.
 *
 * A line has room for values of less than 2^31 units. Larger ones go to a second line beside it, which is made when the
 * first of them comes. All lines have the same units: 10^-decimals, those in which the first values came. Values in
 * larger units are multiplied; those in smaller ones are left to the caller, and those that become too large. The table
 * grows until it takes the bytes that it may take; then it is full, and what has other keys is left to the caller as
 * well, until it empties the table.
 *
 * One thread at a time. */
#ifndef TQI_HOT_H
#define TQI_HOT_H

#include "common/key.h"
#include "node/arena.h"
#include "node/summary.h"

typedef struct tqi_hot_entry {
    uint64_t sums[4]; /* of the values, of the lower and the upper halves of their squares, and how many they are */
    uint64_t word[2]; /* the key: see common/key.h. A long one's bytes are in the arena */
    int32_t most[2];  /* the largest value, and the largest complement of one */
    uint32_t tag;     /* size of the key + 1; 0: there is none */
    uint32_t hash32;
} tqi_hot_entry;

/* The large values of a key. */
typedef struct tqi_hot_large {
    uint64_t count;
    uint64_t sum[2];
    uint64_t squares[3];
    int64_t min, max;
} tqi_hot_large;

_Static_assert(sizeof(tqi_hot_entry) == 64 && sizeof(tqi_hot_large) == 64, "each is a line of the cache");

/* Pairs of keys and values that are added together. */
typedef struct tqi_hot_pairs {
    const tq_slice *keys;
    const int64_t *values;
    size_t n;          /* at most TQI_HOT_BATCH */
    unsigned decimals; /* of the values */
    bool padded;       /* the keys have TQI_KEY_SLACK readable bytes behind them */
} tqi_hot_pairs;

enum { TQI_HOT_BATCH = 256 }; /* few enough to stay in the L1 cache with what is done about them */

/* What became of pairs. */
typedef struct tqi_hot_done {
    uint64_t check;  /* of all of them, hash x digest */
    size_t n_others; /* those that were left: their numbers */
    uint32_t others[TQI_HOT_BATCH];
} tqi_hot_done;

typedef struct tqi_hot tqi_hot;

/* Add pairs. One for each set of instructions. */
typedef struct tqi_hot_kernel {
    const char *name;
    void (*add)(tqi_hot *hot, const tqi_hot_pairs *pairs, tqi_hot_done *done);
    bool wants_padded; /* it is faster with keys that are padded */
    bool (*supported)(void);
} tqi_hot_kernel;

struct tqi_hot {
    const tqi_hot_kernel *kernel;
    tqi_budget *budget;
    tqi_hot_entry *entries;   /* NULL: there is no table */
    tqi_hot_large *large;     /* of the same slots; NULL: there was no large value yet */
    size_t slots, most_slots; /* powers of two */
    unsigned shift;           /* from a hash to its slot */
    size_t n;
    uint64_t values;   /* that it was given since it was empty */
    unsigned decimals; /* of all its values */
    bool full;
    tqi_arena arena;
};

/* A table of at most bytes of memory, and as much again for large values if the budget allows it. Returns whether
 * there is one now. */
bool tqi_hot_init(tqi_hot *hot, tqi_budget *budget, size_t bytes);
void tqi_hot_free(tqi_hot *hot);

/* Add pairs, or leave them. A table may be given TQI_HOT_VALUES of them before it must be emptied: its sums could
 * overflow otherwise. */
#define TQI_HOT_VALUES ((uint64_t)1 << 31)
void tqi_hot_add(tqi_hot *hot, const tqi_hot_pairs *pairs, tqi_hot_done *done);

/* The kernels: the portable one first, the best for this CPU last. */
const tqi_hot_kernel *tqi_hot_kernels(size_t *n);

/* The next entry, NULL behind the last. *next is 0 at first, and belongs to this. */
const tqi_hot_entry *tqi_hot_next(const tqi_hot *hot, size_t *next);
tqi_key tqi_hot_key(const tqi_hot_entry *entry);
tq_summary tqi_hot_summary(const tqi_hot *hot, const tqi_hot_entry *entry);

/* Forget all entries. What comes next is in units of 10^-decimals, of which there are to be enough for most of it. */
void tqi_hot_clear(tqi_hot *hot, unsigned decimals);

#endif
