/* Numbers in keys, highest byte first, so that keys are in the order of the numbers. Any thread. */
#ifndef JOBS_BIG_ENDIAN_H
#define JOBS_BIG_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

static inline void put_big_endian(char *to, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (char)(number >> 8 * (size - 1 - i));
}

static inline uint64_t get_big_endian(const char *from, size_t size)
{
    uint64_t number = 0;

    for (size_t i = 0; i < size; i++)
        number = number << 8 | (unsigned char)from[i];
    return number;
}

#endif
