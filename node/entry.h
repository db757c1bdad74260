/* An entry: one key with its value, as tables, flushes and results hold it. 32 bytes, two to a cache line. Plain data:
 * who owns the array owns the entries, and an arena beside it owns what they point to. */
#ifndef TQI_ENTRY_H
#define TQI_ENTRY_H

#include "common/key.h"
#include "common/page.h"
#include <tequio/mapreduce.h>

typedef struct tqi_entry {
    uint64_t word[2]; /* the key: see key.h */
    uint64_t value;   /* TQ_I64: the number. TQ_BYTES: a pointer to a tqi_blob. Others: a pointer to their bytes */
    uint32_t hash32;  /* the upper half of the key's hash */
    uint32_t size;    /* of the key */
} tqi_entry;

_Static_assert(sizeof(tqi_entry) == 32, "two entries share a cache line");

/* A value of any size. */
typedef struct tqi_blob {
    uint64_t size;
    char bytes[];
} tqi_blob;

static inline tq_slice tqi_entry_key(const tqi_entry *entry)
{
    const char *data =
        entry->size > TQI_KEY_INLINE ? (const char *)(uintptr_t)entry->word[1] : (const char *)entry->word;

    return (tq_slice){data, entry->size};
}

static inline uint64_t tqi_entry_hash(const tqi_entry *entry)
{
    if (entry->size <= TQI_KEY_INLINE)
        return tqi_hash_short(entry->word[0], entry->word[1]);
    return tqi_hash_large((const char *)(uintptr_t)entry->word[1], entry->size);
}

static inline tq_slice tqi_entry_value(const tqi_value_shape *shape, const tqi_entry *entry)
{
    if (shape->type == TQ_I64)
        return (tq_slice){(const char *)&entry->value, sizeof entry->value};
    if (shape->type != TQ_BYTES)
        return (tq_slice){(const char *)(uintptr_t)entry->value, shape->bytes};
    const tqi_blob *blob = (const tqi_blob *)(uintptr_t)entry->value;
    return (tq_slice){blob->bytes, blob->size};
}

/* The hash of a value, for the account. */
static inline uint64_t tqi_entry_value_hash(const tqi_value_shape *shape, const tqi_entry *entry)
{
    if (shape->type == TQ_I64)
        return tqi_hash_short(entry->value, 0);
    tq_slice value = tqi_entry_value(shape, entry);
    return tqi_hash(value.data, value.size);
}

#endif
