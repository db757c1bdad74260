/* Integers in as few bytes as they need: seven bits a byte, low bits first, the high bit set while more follow (LEB128,
 * as in the DWARF standard), and zigzag for signed numbers. Used in pages only. */
#ifndef TQI_VARINT_H
#define TQI_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define TQI_VARINT_MAX 10 /* bytes of the longest */

static inline size_t tqi_varint_size(uint64_t value)
{
    return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

static inline uint8_t *tqi_varint_put(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

/* The byte behind the number, or NULL if it does not end before end or does not fit 64 bits. */
static inline const uint8_t *tqi_varint_get(const uint8_t *from, const uint8_t *end, uint64_t *value)
{
    uint64_t result = 0;

    for (unsigned shift = 0; from < end && shift < 64; shift += 7) {
        uint64_t byte = *from++;

        if (shift == 63 && byte > 1)
            return NULL;
        result |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return from;
        }
    }
    return NULL;
}

static inline uint64_t tqi_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t tqi_unzigzag(uint64_t value)
{
    return (int64_t)((value >> 1) ^ (0 - (value & 1)));
}

#endif
