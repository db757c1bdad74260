/* The front: a small cache of hot keys and what they have summed up to. Most words of a natural text end here, without a
 * branch on whether they did and without leaving the L2 cache; only what does not is written into bins.
 *
 * The hash of a key tells its line, which holds four keys and their sums. A key that is not there takes the place of the one
 * with the least sum, which moves on: the three largest sums stay, and the fourth place sees whether one comes that is
 * larger. Now and then another place is taken, so that keys that were hot once do not stay for ever.
 *
 * Keys of 1 to 8, of 9 to 16 and of 17 to 32 bytes have lines of their own; a key whose last byte is 0 is not held here, so
 * that the padded words of the others tell their size. 0 is no key.
 *
 * One thread at a time. */
#ifndef TQI_FRONT_H
#define TQI_FRONT_H

#include "common/account.h"
#include "common/budget.h"
#include "common/key.h"
#include <stdbool.h>
#include <tequio/types.h>

enum { TQI_FRONT_WAYS = 4 };

typedef struct tqi_line8 {
    uint64_t word[TQI_FRONT_WAYS];
    uint64_t value[TQI_FRONT_WAYS];
} tqi_line8;

typedef struct tqi_line16 {
    uint64_t word0[TQI_FRONT_WAYS];
    uint64_t word1[TQI_FRONT_WAYS];
    uint64_t value[TQI_FRONT_WAYS];
} tqi_line16;

typedef struct tqi_line32 {
    uint64_t word[4][TQI_FRONT_WAYS]; /* first, second, third and fourth words */
    uint64_t value[TQI_FRONT_WAYS];
} tqi_line32;

/* A key and its hash, from a batch. */
typedef struct tqi_key8 {
    uint64_t word, hash;
} tqi_key8;

typedef struct tqi_key16 {
    uint64_t word0, word1, hash;
} tqi_key16;

typedef struct tqi_key32 {
    uint64_t word[4], hash;
} tqi_key32;

enum { TQI_FRONT_BATCH = 256 }; /* few enough to stay in the L1 cache */

typedef struct tqi_front tqi_front;

/* A sum that moved on to make room. */
typedef struct tqi_evicted {
    tqi_key key; /* size 0: nobody was there */
    uint64_t value;
} tqi_evicted;

/* The same of 17 to 32 bytes. */
typedef struct tqi_evicted32 {
    uint64_t word[4];
    uint64_t value;
    size_t size;
} tqi_evicted32;

/* What became of a batch of keys, with room for the work on it. */
typedef struct tqi_batch {
    tq_account held;               /* all keys but the others */
    size_t n_evicted, n_evicted32; /* these moved on, */
    size_t n_others;               /* and these are not for the front: their numbers */
    tqi_evicted evicted[TQI_FRONT_BATCH];
    uint32_t others[TQI_FRONT_BATCH + 8];
    tqi_evicted32 evicted32[TQI_FRONT_BATCH];
    uint32_t small[TQI_FRONT_BATCH + 8], large[TQI_FRONT_BATCH + 8]; /* numbers of keys of up to 8, up to 16, */
    uint32_t medium[TQI_FRONT_BATCH + 8];                            /* and up to 32 bytes */
    /* Of the keys of one size, while they are looked for: */
    uint64_t words[2][TQI_FRONT_BATCH], hashes[TQI_FRONT_BATCH], values[TQI_FRONT_BATCH];
    tqi_key32 keys32[TQI_FRONT_BATCH];
    uint64_t missed[TQI_FRONT_BATCH / 64]; /* a bit for each that is not there */
} tqi_batch;

/* Add values[i] to the sum of keys[i], for each of n keys, n <= TQI_FRONT_BATCH, which have TQI_KEY_SLACK readable bytes behind them. One
 * for each set of instructions. */
typedef struct tqi_front_kernel {
    const char *name;
    void (*add)(tqi_front *front, const tq_slice *keys, const uint64_t *values, size_t n, tqi_batch *batch);
    bool (*supported)(void);
} tqi_front_kernel;

struct tqi_front {
    const tqi_front_kernel *kernel;
    tqi_line8 *lines8; /* NULL: there is no front */
    tqi_line16 *lines16;
    tqi_line32 *lines32;
    unsigned shift8, shift16, shift32; /* of a hash, to the number of its line */
    char *memory;
    size_t bytes;     /* of memory */
    uint64_t entered; /* keys that took a place */
};

/* A front of at most bytes of memory, if that is enough for one. Returns whether there is one now. */
bool tqi_front_init(tqi_front *front, tqi_budget *budget, size_t bytes);
void tqi_front_free(tqi_front *front, tqi_budget *budget);

/* Add value to the sum of one key if it is there. Otherwise put it in, and say what had its place. */
bool tqi_front_add8(tqi_front *front, const tqi_key8 *key, uint64_t value, tqi_evicted *evicted);
bool tqi_front_add16(tqi_front *front, const tqi_key16 *key, uint64_t value, tqi_evicted *evicted);
bool tqi_front_add32(tqi_front *front, const tqi_key32 *key, uint64_t value, tqi_evicted32 *evicted);

/* Take out one of the keys of up to 16 bytes, or of the others, that are left; false when there is none. All calls
 * together cost as much as the front is large: *next is 0 at first, and belongs to it. */
bool tqi_front_drain(tqi_front *front, size_t *next, tqi_evicted *evicted);
bool tqi_front_drain32(tqi_front *front, size_t *next, tqi_evicted32 *evicted);

/* The kernels: the portable one first, the best for this CPU last. */
const tqi_front_kernel *tqi_front_kernels(size_t *n);

/* Which lines a key of size bytes, padded, belongs to: 0 (8 bytes), 1 (16 bytes), or 2: it is not held here. */
static inline unsigned tqi_front_class(const tqi_key *key)
{
    /* The word with the last byte, moved up until that byte is the highest. */
    uint64_t last = key->word[key->size > 8] << (64 - 8 * ((key->size - 1) % 8 + 1));
    unsigned held = key->size - 1 < TQI_KEY_INLINE && last >> 56 != 0;

    return held ? key->size > 8 : 2;
}

#endif
