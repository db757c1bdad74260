/* The front: a small cache of hot keys and what they have summed up to. Most words of a natural text end here, without a
 * branch on whether they did and without leaving the L2 cache; only what misses is written into bins.
 *
 * A key has one slot where it may be, which its hash tells. A hit makes the slot's key stronger, a miss makes it weaker, and
 * a key that has become too weak is replaced: what it has summed up moves on. (After the majority vote of Boyer and
 * Moore, with more weight on hits, since the most frequent of many keys seldom has the majority.) Keys of up to 16 bytes
 * only.
 *
 * One thread at a time. */
#ifndef TQI_FRONT_H
#define TQI_FRONT_H

#include "node/entry.h"

typedef struct tqi_front_slot {
    uint64_t word[2]; /* the key */
    uint64_t value;
    uint32_t size; /* of the key; TQI_FRONT_EMPTY: nobody's */
    int32_t strength;
} tqi_front_slot;

#define TQI_FRONT_EMPTY UINT32_MAX

typedef struct tqi_front {
    tqi_front_slot *slots; /* NULL: there is none */
    unsigned shift;        /* 64 - bits; 1 << bits slots */
} tqi_front;

enum { TQI_FRONT_GAIN = 4, TQI_FRONT_STRONGEST = 64, TQI_FRONT_LEAST_BITS = 8 };

static inline tqi_front_slot *tqi_front_slot_of(const tqi_front *front, uint64_t hash)
{
    return &front->slots[hash >> front->shift];
}

/* Add value if the slot is the key's; returns 1 if so, 0 if not. The key has at most 16 bytes, or any size: then it is
 * not found. */
static inline uint64_t tqi_front_add(tqi_front_slot *slot, const tqi_key *key, uint64_t value)
{
    uint64_t found = ((slot->word[0] ^ key->word[0]) | (slot->word[1] ^ key->word[1]) | (slot->size ^ key->size)) == 0;
    int32_t strength = slot->strength + TQI_FRONT_GAIN * (int32_t)found;

    slot->value += value & (0 - found);
    slot->strength = strength > TQI_FRONT_STRONGEST ? TQI_FRONT_STRONGEST : strength;
    return found;
}

/* A short key was not found. Returns whether it may take the slot: the caller moves on what is there then, and puts the
 * key in with tqi_front_take. */
static inline bool tqi_front_challenge(tqi_front_slot *slot)
{
    return --slot->strength < 0;
}

static inline void tqi_front_take(tqi_front_slot *slot, const tqi_key *key, uint64_t value)
{
    *slot = (tqi_front_slot){{key->word[0], key->word[1]}, value, (uint32_t)key->size, TQI_FRONT_GAIN};
}

#endif
