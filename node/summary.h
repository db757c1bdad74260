/* Summaries, what TQ_STATS makes of a key's values: exact integers, wide enough for any number of any values. The sum
 * of up to 2^64 values, each below 2^63 units and scaled by 10^18 at most, takes 64 + 63 + 60 = 187 bits, the sum of
 * their squares 64 + 2 x 123 = 310: nothing here overflows.
 *
 * In memory a summary is a tq_summary, as a value of fixed size. In pages it is as short as it can be: a byte for its
 * decimals, and for one value that value as a zigzag varint; for more of them the count as a varint, sum, squares, min
 * and max as a byte that tells its size and that many bytes. It is written in its lowest terms: decimals is as small
 * as can be, so that it does not depend on the order in which values were merged.
 *
 * The account needs a number that adds up as summaries do: the digest, linear in count, sum and squares, which are
 * first brought to units of 10^-18 and 10^-36, so that decimals do not matter. Modulo 2^64.
 *
 * Any thread; a summary belongs to one. */
#ifndef TQI_SUMMARY_H
#define TQI_SUMMARY_H

#include "node/wide.h"
#include <tequio/mapreduce.h>

enum {
    TQI_SUMMARY_ENCODED = 128, /* bytes, more than the longest takes in a page */
    TQI_SUM_WORDS = 3,
    TQI_SQUARES_WORDS = 5,
    TQI_EXTREME_WORDS = 2
};

/* 10^n, n = 0 .. 18. */
extern const uint64_t tqi_powers_of_10[TQ_DECIMALS_MAX + 1];

/* The summary of one value. */
tq_summary tqi_summary_of(int64_t value, unsigned decimals);

/* Add the values of other to into; it stays in no particular terms. */
void tqi_summary_merge(tq_summary *into, const tq_summary *other);

/* Into lowest terms. */
void tqi_summary_normalize(tq_summary *summary);

/* As it stands in a page. Returns its bytes; to has room for TQI_SUMMARY_ENCODED, all of which may be written. */
size_t tqi_summary_encode(const tq_summary *summary, uint8_t *to);
size_t tqi_summary_encode_value(int64_t value, unsigned decimals, uint8_t *to);

/* And back. False: these size bytes are none. */
bool tqi_summary_decode(const uint8_t *from, size_t size, tq_summary *summary);

/* What one value adds to the digest: (squared x value + plain) x value + one, each modulo 2^64, for values of these
 * decimals. */
typedef struct tqi_digest {
    uint64_t squared, plain, one;
} tqi_digest;

tqi_digest tqi_digest_of(unsigned decimals);

static inline uint64_t tqi_digest_value(const tqi_digest *digest, int64_t value)
{
    return (digest->squared * (uint64_t)value + digest->plain) * (uint64_t)value + digest->one;
}

uint64_t tqi_summary_digest(const tq_summary *summary);

#endif
