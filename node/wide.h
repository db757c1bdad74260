/* Integers of several 64-bit words, the lowest first: what exact sums and their roots are made of. Any thread. */
#ifndef TQI_WIDE_H
#define TQI_WIDE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 tqi_u128;

/* ---- Of a fixed number of words, modulo their power of two: negative numbers are two's complements ---- */

static inline bool tqi_words_negative(const uint64_t *words, size_t n)
{
    return words[n - 1] >> 63;
}

static inline void tqi_words_add(uint64_t *into, const uint64_t *other, size_t n)
{
    tqi_u128 carry = 0;

    for (size_t i = 0; i < n; i++) {
        carry += (tqi_u128)into[i] + other[i];
        into[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static inline void tqi_words_negate(uint64_t *words, size_t n)
{
    uint64_t carry = 1;

    for (size_t i = 0; i < n; i++) {
        words[i] = ~words[i] + carry;
        carry &= words[i] == 0;
    }
}

static inline void tqi_words_multiply(uint64_t *words, size_t n, uint64_t factor)
{
    tqi_u128 carry = 0;

    for (size_t i = 0; i < n; i++) {
        carry += (tqi_u128)words[i] * factor;
        words[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

/* Of a number that is not negative; returns what is left over. */
static inline uint64_t tqi_words_divide(uint64_t *words, size_t n, uint64_t divisor)
{
    uint64_t rest = 0;

    while (n-- > 0) {
        tqi_u128 part = (tqi_u128)rest << 64 | words[n];

        words[n] = (uint64_t)(part / divisor);
        rest = (uint64_t)(part % divisor);
    }
    return rest;
}

/* Less than, of two's complements. */
static inline bool tqi_words_less(const uint64_t *a, const uint64_t *b, size_t n)
{
    if (a[n - 1] != b[n - 1])
        return (int64_t)a[n - 1] < (int64_t)b[n - 1];
    for (size_t i = n - 1; i-- > 0;)
        if (a[i] != b[i])
            return a[i] < b[i];
    return false;
}

/* value as n words. */
static inline void tqi_words_set(uint64_t *words, size_t n, int64_t value)
{
    words[0] = (uint64_t)value;
    for (size_t i = 1; i < n; i++)
        words[i] = (uint64_t)(value >> 63);
}

/* ---- Of as many words as it takes: no negative numbers ---- */

enum { TQI_WIDE_WORDS = 12 }; /* 768 bits: see node/summary_text.c for why that is enough */

typedef struct tqi_wide {
    size_t n; /* words that count: the last of them is not 0 */
    uint64_t word[TQI_WIDE_WORDS];
} tqi_wide;

static inline tqi_wide tqi_wide_of(const uint64_t *words, size_t n)
{
    tqi_wide made;

    made.n = n;
    for (size_t i = 0; i < n; i++)
        made.word[i] = words[i];
    while (made.n > 0 && made.word[made.n - 1] == 0)
        made.n--;
    return made;
}

static inline void tqi_wide_multiply_word(tqi_wide *wide, uint64_t factor)
{
    tqi_u128 carry = 0;

    for (size_t i = 0; i < wide->n; i++) {
        carry += (tqi_u128)wide->word[i] * factor;
        wide->word[i] = (uint64_t)carry;
        carry >>= 64;
    }
    if (carry) {
        assert(wide->n < TQI_WIDE_WORDS);
        wide->word[wide->n++] = (uint64_t)carry;
    }
    if (factor == 0)
        wide->n = 0;
}

static inline tqi_wide tqi_wide_product(const tqi_wide *a, const tqi_wide *b)
{
    tqi_wide product;

    product.n = a->n + b->n;
    memset(product.word, 0, product.n * sizeof *product.word);
    assert(a->n + b->n <= TQI_WIDE_WORDS);
    for (size_t i = 0; i < a->n; i++) {
        tqi_u128 carry = 0;

        for (size_t j = 0; j < b->n; j++) {
            carry += (tqi_u128)a->word[i] * b->word[j] + product.word[i + j];
            product.word[i + j] = (uint64_t)carry;
            carry >>= 64;
        }
        product.word[i + b->n] = (uint64_t)carry;
    }
    return tqi_wide_of(product.word, a->n + b->n);
}

/* -1, 0 or 1. */
static inline int tqi_wide_compare(const tqi_wide *a, const tqi_wide *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (size_t i = a->n; i-- > 0;)
        if (a->word[i] != b->word[i])
            return a->word[i] < b->word[i] ? -1 : 1;
    return 0;
}

/* from less other, which is not larger. */
static inline tqi_wide tqi_wide_difference(const tqi_wide *from, const tqi_wide *other)
{
    tqi_wide result = *from;
    uint64_t borrow = 0;

    for (size_t i = 0; i < from->n; i++) {
        uint64_t take = i < other->n ? other->word[i] : 0, before = result.word[i];

        result.word[i] = before - take - borrow;
        borrow = before < take || (before == take && borrow);
    }
    assert(borrow == 0);
    return tqi_wide_of(result.word, from->n);
}

/* About. */
static inline double tqi_wide_double(const tqi_wide *wide)
{
    double value = 0;

    for (size_t i = wide->n; i-- > 0;)
        value = value * 0x1p64 + (double)wide->word[i];
    return value;
}

#endif
