#include "common/key.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "keys are kept in words in memory order");
_Static_assert(sizeof(void *) == 8, "a long key's pointer lies in a 64-bit word");

#define FIRST(n) (UINT64_MAX >> (64 - 8 * (n)))
#define ALL      UINT64_MAX

const uint64_t tqi_key_masks[TQI_KEY_INLINE + 1][2] = {
    {0, 0},          {FIRST(1), 0},   {FIRST(2), 0},   {FIRST(3), 0},   {FIRST(4), 0},   {FIRST(5), 0},
    {FIRST(6), 0},   {FIRST(7), 0},   {ALL, 0},        {ALL, FIRST(1)}, {ALL, FIRST(2)}, {ALL, FIRST(3)},
    {ALL, FIRST(4)}, {ALL, FIRST(5)}, {ALL, FIRST(6)}, {ALL, FIRST(7)}, {ALL, ALL}};

uint64_t tqi_hash_long(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}
