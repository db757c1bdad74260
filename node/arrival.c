#include "node/arrival.h"

/* A file has less than 2^48 bytes, and a piece of it less than 2^48 pairs. */
enum { FILE_BYTES = 4, OFFSET_BYTES = 6, PAIR_BYTES = 6, FIRST_CAPACITY = 256 };

_Static_assert(FILE_BYTES + OFFSET_BYTES + PAIR_BYTES == TQI_ARRIVAL_BYTES, "that is what stands behind a key");

void tqi_arrival_begin(tqi_arrival *arrival, uint64_t file, uint64_t offset)
{
    arrival->file = file;
    arrival->offset = offset;
    arrival->pairs = 0;
}

static char *put_big_endian(char *to, uint64_t number, int bytes)
{
    for (int i = bytes; i-- > 0; number >>= 8)
        to[i] = (char)number;
    return to + bytes;
}

tq_status tqi_arrival_add(tqi_arrival *arrival, tqi_budget *budget, const tqi_key *key, tqi_key *longer)
{
    const void *bytes = key->size <= TQI_KEY_INLINE ? (const void *)key->word : (const void *)(uintptr_t)key->word[1];
    size_t size = key->size + TQI_ARRIVAL_BYTES;

    if (size > arrival->capacity) {
        size_t capacity = size < FIRST_CAPACITY ? FIRST_CAPACITY : size + size / 2;
        char *larger = tqi_budget_force(budget, capacity);

        if (!larger)
            return TQ_E_MEMORY;
        tqi_arrival_free(arrival, budget);
        arrival->key = larger;
        arrival->capacity = capacity;
    }
    memcpy(arrival->key, bytes, key->size);
    char *at = put_big_endian(arrival->key + key->size, arrival->file, FILE_BYTES);
    at = put_big_endian(at, arrival->offset, OFFSET_BYTES);
    put_big_endian(at, arrival->pairs++, PAIR_BYTES);
    *longer = size > TQI_KEY_INLINE ? tqi_key_borrow_long(arrival->key, size) : tqi_key_load_short(arrival->key, size);
    return TQ_OK;
}

void tqi_arrival_free(tqi_arrival *arrival, tqi_budget *budget)
{
    tqi_budget_free(budget, arrival->key, arrival->capacity);
    arrival->key = NULL;
    arrival->capacity = 0;
}
