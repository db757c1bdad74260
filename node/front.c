#include "node/front_lines.h"

#include <string.h>

enum { MOST_BITS8 = 15, MOST_BITS16 = 14, MOST_BITS32 = 11, LEAST_BITS = 4 };

bool tqi_front_add32(tqi_front *front, const tqi_key32 *key, uint64_t value, tqi_evicted32 *evicted)
{
    return tqi_front_enter32(front, key, value, evicted);
}

bool tqi_front_add8(tqi_front *front, const tqi_key8 *key, uint64_t value, tqi_evicted *evicted)
{
    return tqi_front_enter8(front, key, value, evicted);
}

bool tqi_front_add16(tqi_front *front, const tqi_key16 *key, uint64_t value, tqi_evicted *evicted)
{
    return tqi_front_enter16(front, key, value, evicted);
}

static size_t bytes_of(unsigned bits8, unsigned bits16, unsigned bits32)
{
    return (sizeof(tqi_line8) << bits8) + (sizeof(tqi_line16) << bits16) + (sizeof(tqi_line32) << bits32);
}

bool tqi_front_init(tqi_front *front, tqi_budget *budget, size_t bytes)
{
    unsigned bits8 = MOST_BITS8, bits16 = MOST_BITS16, bits32 = MOST_BITS32;
    size_t n, all;
    const tqi_front_kernel *best = tqi_front_kernels(&n) + n - 1;

    *front = (tqi_front){.kernel = best};
    while ((all = bytes_of(bits8, bits16, bits32)) > bytes && bits8 > LEAST_BITS) {
        bits8--;
        bits16 -= bits16 > LEAST_BITS;
        bits32 -= bits32 > LEAST_BITS;
    }
    front->shift8 = 64 - bits8;
    front->shift16 = 64 - bits16;
    front->shift32 = 64 - bits32;
    front->bytes = all + sizeof(tqi_line8); /* to align it */
    char *memory = all <= bytes ? tqi_budget_alloc(budget, front->bytes) : NULL;
    if (!memory)
        return false;
    memset(memory, 0, all + sizeof(tqi_line8));
    front->memory = memory;
    front->lines8 = (tqi_line8 *)(void *)(memory + (-(uintptr_t)memory & (sizeof(tqi_line8) - 1)));
    front->lines16 = (tqi_line16 *)(void *)(front->lines8 + ((size_t)1 << bits8));
    front->lines32 = (tqi_line32 *)(void *)(front->lines16 + ((size_t)1 << bits16));
    return true;
}

void tqi_front_free(tqi_front *front, tqi_budget *budget)
{
    tqi_budget_free(budget, front->memory, front->bytes);
    front->memory = NULL;
    front->lines8 = NULL;
    front->lines16 = NULL;
    front->lines32 = NULL;
}

bool tqi_front_drain(tqi_front *front, size_t *next, tqi_evicted *evicted)
{
    if (!front->lines8)
        return false;
    size_t places8 = TQI_FRONT_WAYS * ((size_t)1 << (64 - front->shift8));
    size_t places16 = TQI_FRONT_WAYS * ((size_t)1 << (64 - front->shift16));

    while (*next < places8 + places16) {
        size_t place = (*next)++;

        if (place < places8) {
            tqi_line8 *line = &front->lines8[place / TQI_FRONT_WAYS];
            *evicted = tqi_front_evict8(line, (unsigned)(place % TQI_FRONT_WAYS));
            line->word[place % TQI_FRONT_WAYS] = 0;
        } else {
            tqi_line16 *line = &front->lines16[(place - places8) / TQI_FRONT_WAYS];
            *evicted = tqi_front_evict16(line, (unsigned)(place % TQI_FRONT_WAYS));
            line->word0[place % TQI_FRONT_WAYS] = line->word1[place % TQI_FRONT_WAYS] = 0;
        }
        if (evicted->key.size)
            return true;
    }
    return false;
}

bool tqi_front_drain32(tqi_front *front, size_t *next, tqi_evicted32 *evicted)
{
    if (!front->lines32)
        return false;
    size_t places = TQI_FRONT_WAYS * ((size_t)1 << (64 - front->shift32));

    while (*next < places) {
        tqi_line32 *line = &front->lines32[*next / TQI_FRONT_WAYS];
        unsigned way = (unsigned)(*next % TQI_FRONT_WAYS);

        ++*next;
        *evicted = tqi_front_evict32(line, way);
        line->word[2][way] = line->word[3][way] = 0;
        if (evicted->size)
            return true;
    }
    return false;
}
