/* A set of keys, whose bytes are somebody else's. One thread at a time; once it is made, any number of them may look. */
#ifndef JOBS_KEY_SET_H
#define JOBS_KEY_SET_H

#include <stdbool.h>
#include <stdint.h>
#include <tequio/types.h>

typedef struct key_slot {
    uint64_t hash;
    tq_slice key; /* data NULL: free */
} key_slot;

/* All zero: empty. */
typedef struct key_set {
    key_slot *slots;
    size_t n, capacity; /* capacity: a power of two */
} key_set;

/* False: no memory. key is not copied, and its data not NULL. */
bool key_set_add(key_set *set, tq_slice key);

bool key_set_has(const key_set *set, tq_slice key);

void key_set_free(key_set *set);

#endif
