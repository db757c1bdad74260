#include "common/key.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "keys are kept in words in memory order");
_Static_assert(sizeof(void *) == 8, "a long key's pointer lies in a 64-bit word");

uint64_t tqi_hash_long(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}
