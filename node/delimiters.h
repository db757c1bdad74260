/* The six ASCII white-space bytes (space, \t \n \v \f \r), one byte and 64 bytes at a time. SSE2 belongs to every
 * x86-64; elsewhere eight bytes are tested at once in a word. Any thread. */
#ifndef TQI_DELIMITERS_H
#define TQI_DELIMITERS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool tqi_is_space(char byte)
{
    return byte == ' ' || (unsigned char)(byte - '\t') <= '\r' - '\t';
}

#ifdef __SSE2__

/* Bit i is set if byte i of the 64 bytes at text is white space. */
static inline uint64_t tqi_space_mask(const char *text)
{
    const __m128i space = _mm_set1_epi8(' '), tab = _mm_set1_epi8('\t'), width = _mm_set1_epi8('\r' - '\t');
    uint64_t mask = 0;

    for (int i = 0; i < 4; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + 16 * i));
        __m128i shifted = _mm_sub_epi8(bytes, tab);
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(shifted, width), shifted);
        __m128i both = _mm_or_si128(control, _mm_cmpeq_epi8(bytes, space));

        mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(both) << (16 * i);
    }
    return mask;
}

#else

static inline uint64_t tqi_space_mask(const char *text)
{
    uint64_t mask = 0;

    for (int i = 0; i < 64; i++)
        mask |= (uint64_t)tqi_is_space(text[i]) << i;
    return mask;
}

#endif
#endif
