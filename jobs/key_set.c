#include "jobs/key_set.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 1024 };

static uint64_t hash_of(tq_slice key)
{
    uint64_t hash = key.size, word;

    for (size_t at = 0; at < key.size; at += sizeof word) {
        size_t some = key.size - at < sizeof word ? key.size - at : sizeof word;

        word = 0;
        memcpy(&word, key.data + at, some);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash;
}

/* The slot of a key, or the free one where it belongs. */
static size_t find_slot(const key_set *set, tq_slice key, uint64_t hash)
{
    size_t at = hash & (set->capacity - 1);

    while (set->slots[at].key.data &&
           (set->slots[at].hash != hash || set->slots[at].key.size != key.size ||
            memcmp(set->slots[at].key.data, key.data, key.size) != 0))
        at = (at + 1) & (set->capacity - 1);
    return at;
}

bool key_set_has(const key_set *set, tq_slice key)
{
    return set->n > 0 && set->slots[find_slot(set, key, hash_of(key))].key.data;
}

static bool grow(key_set *set)
{
    key_set larger = {.capacity = set->capacity ? 2 * set->capacity : FIRST_SLOTS};

    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i].key.data)
            larger.slots[find_slot(&larger, set->slots[i].key, set->slots[i].hash)] = set->slots[i];
    free(set->slots);
    set->slots = larger.slots;
    set->capacity = larger.capacity;
    return true;
}

bool key_set_add(key_set *set, tq_slice key)
{
    uint64_t hash = hash_of(key);

    if (2 * set->n >= set->capacity && !grow(set))
        return false;
    size_t slot = find_slot(set, key, hash);
    set->n += !set->slots[slot].key.data;
    if (!set->slots[slot].key.data) {
        set->slots[slot].hash = hash;
        set->slots[slot].key = key;
    }
    return true;
}

void key_set_free(key_set *set)
{
    free(set->slots);
    *set = (key_set){0};
}
