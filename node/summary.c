#include "node/summary.h"

#include "common/varint.h"

const uint64_t tqi_powers_of_10[TQ_DECIMALS_MAX + 1] = {1,
                                                        10,
                                                        100,
                                                        1000,
                                                        10000,
                                                        100000,
                                                        1000000,
                                                        10000000,
                                                        100000000,
                                                        1000000000,
                                                        10000000000,
                                                        100000000000,
                                                        1000000000000,
                                                        10000000000000,
                                                        100000000000000,
                                                        1000000000000000,
                                                        10000000000000000,
                                                        100000000000000000,
                                                        1000000000000000000};

/* Odd, and otherwise arbitrary. */
static const uint64_t DIGEST_COUNT = 0xb5297a4d3f84d5b5U, DIGEST_SUM = 0x68e31da4c1e7b2e9U,
                      DIGEST_SQUARES = 0x1b56c4e9a7d30f4bU;

enum { MANY = 32 }; /* added to the first byte of a summary of several values */

static void square(int64_t value, uint64_t squares[TQI_SQUARES_WORDS])
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    tqi_u128 product = (tqi_u128)size * size;

    memset(squares, 0, TQI_SQUARES_WORDS * sizeof *squares);
    squares[0] = (uint64_t)product;
    squares[1] = (uint64_t)(product >> 64);
}

tq_summary tqi_summary_of(int64_t value, unsigned decimals)
{
    tq_summary made = {.count = 1, .decimals = decimals};

    tqi_words_set(made.sum, TQI_SUM_WORDS, value);
    tqi_words_set(made.min, TQI_EXTREME_WORDS, value);
    tqi_words_set(made.max, TQI_EXTREME_WORDS, value);
    square(value, made.squares);
    return made;
}

/* Into units that are not larger. */
static void refine(tq_summary *summary, uint64_t decimals)
{
    uint64_t factor = tqi_powers_of_10[decimals - summary->decimals];

    tqi_words_multiply(summary->sum, TQI_SUM_WORDS, factor);
    tqi_words_multiply(summary->squares, TQI_SQUARES_WORDS, factor);
    tqi_words_multiply(summary->squares, TQI_SQUARES_WORDS, factor);
    tqi_words_multiply(summary->min, TQI_EXTREME_WORDS, factor);
    tqi_words_multiply(summary->max, TQI_EXTREME_WORDS, factor);
    summary->decimals = decimals;
}

void tqi_summary_merge(tq_summary *into, const tq_summary *other)
{
    tq_summary finer;

    if (__builtin_expect(into->decimals < other->decimals, 0))
        refine(into, other->decimals);
    if (__builtin_expect(into->decimals > other->decimals, 0)) {
        finer = *other;
        refine(&finer, into->decimals);
        other = &finer;
    }
    into->count += other->count;
    tqi_words_add(into->sum, other->sum, TQI_SUM_WORDS);
    tqi_words_add(into->squares, other->squares, TQI_SQUARES_WORDS);
    if (tqi_words_less(other->min, into->min, TQI_EXTREME_WORDS))
        memcpy(into->min, other->min, sizeof into->min);
    if (tqi_words_less(into->max, other->max, TQI_EXTREME_WORDS))
        memcpy(into->max, other->max, sizeof into->max);
}

/* ---- Lowest terms ---- */

/* Modulo 10, where 2^64 is 6, and so are all its powers. Of a two's complement: 0 or not 0. */
static bool divides_by_10(const uint64_t *words, size_t n)
{
    uint64_t copy[TQI_SQUARES_WORDS], upper = 0;

    memcpy(copy, words, n * sizeof *words);
    if (n != TQI_SQUARES_WORDS && tqi_words_negative(copy, n))
        tqi_words_negate(copy, n);
    for (size_t i = 1; i < n; i++)
        upper += copy[i] % 10;
    return (copy[0] % 10 + 6 * upper) % 10 == 0;
}

static void divide(uint64_t *words, size_t n, uint64_t divisor)
{
    bool negative = n != TQI_SQUARES_WORDS && tqi_words_negative(words, n);

    if (negative)
        tqi_words_negate(words, n);
    tqi_words_divide(words, n, divisor);
    if (negative)
        tqi_words_negate(words, n);
}

/* Whether all of it is whole in units ten times as large. That follows from the numbers alone, and not from the order
 * in which values were merged. */
static bool can_be_shortened(const tq_summary *summary)
{
    uint64_t squares[TQI_SQUARES_WORDS];

    if (summary->decimals == 0 || ((summary->sum[0] | summary->min[0] | summary->max[0]) & 1) != 0 ||
        !divides_by_10(summary->sum, TQI_SUM_WORDS) || !divides_by_10(summary->min, TQI_EXTREME_WORDS) ||
        !divides_by_10(summary->max, TQI_EXTREME_WORDS))
        return false;
    memcpy(squares, summary->squares, sizeof squares);
    return tqi_words_divide(squares, TQI_SQUARES_WORDS, 100) == 0;
}

void tqi_summary_normalize(tq_summary *summary)
{
    while (can_be_shortened(summary)) {
        divide(summary->sum, TQI_SUM_WORDS, 10);
        divide(summary->squares, TQI_SQUARES_WORDS, 100);
        divide(summary->min, TQI_EXTREME_WORDS, 10);
        divide(summary->max, TQI_EXTREME_WORDS, 10);
        summary->decimals--;
    }
}

/* ---- In pages ---- */

/* The fewest bytes that say the same. More may be written behind them: as many as the words have. */
static uint8_t *put_words(uint8_t *to, const uint64_t *words, size_t n, bool is_signed)
{
    uint64_t fill = is_signed && tqi_words_negative(words, n) ? UINT64_MAX : 0;
    size_t top = n - 1;

    while (top > 0 && words[top] == fill)
        top--;
    size_t bits = 64 - (size_t)__builtin_clzll((words[top] ^ fill) | 1) + is_signed;
    size_t size = top * sizeof *words + (bits + 7) / 8;
    *to++ = (uint8_t)size;
    memcpy(to, words, n * sizeof *words);
    return to + size;
}

/* NULL: they do not end before end, or are too many. */
static const uint8_t *get_words(const uint8_t *from, const uint8_t *end, uint64_t *words, size_t n, bool is_signed)
{
    uint8_t bytes[TQI_SQUARES_WORDS * sizeof *words];
    size_t room = n * sizeof *words, size = from && from < end ? *from++ : 0;

    if (size == 0 || size > room || size > (size_t)(end - from))
        return NULL;
    memset(bytes, is_signed && from[size - 1] >= 0x80 ? 0xff : 0, room);
    memcpy(bytes, from, size);
    memcpy(words, bytes, room);
    return from + size;
}

size_t tqi_summary_encode_value(int64_t value, unsigned decimals, uint8_t *to)
{
    *to = (uint8_t)decimals;
    return (size_t)(tqi_varint_put(to + 1, tqi_zigzag(value)) - to);
}

/* One value in lowest terms, if it is an integer of 64 bits before that. */
static bool is_one_value(const tq_summary *summary, int64_t *value, unsigned *decimals)
{
    *value = (int64_t)summary->sum[0];
    *decimals = (unsigned)summary->decimals;
    if (summary->count != 1 || summary->sum[1] != (uint64_t)(*value >> 63))
        return false;
    while (*decimals > 0 && *value % 10 == 0) {
        *value /= 10;
        --*decimals;
    }
    return true;
}

size_t tqi_summary_encode(const tq_summary *summary, uint8_t *to)
{
    tq_summary shortened;
    uint8_t *at = to;
    unsigned decimals;
    int64_t value;

    if (is_one_value(summary, &value, &decimals))
        return tqi_summary_encode_value(value, decimals, to);
    if (can_be_shortened(summary)) {
        shortened = *summary;
        tqi_summary_normalize(&shortened);
        summary = &shortened;
    }
    if (summary->count == 1) /* in lowest terms it is no larger than what was emitted */
        return tqi_summary_encode_value((int64_t)summary->sum[0], (unsigned)summary->decimals, to);
    *at++ = (uint8_t)(summary->decimals + MANY);
    at = tqi_varint_put(at, summary->count);
    at = put_words(at, summary->sum, TQI_SUM_WORDS, true);
    at = put_words(at, summary->squares, TQI_SQUARES_WORDS, false);
    at = put_words(at, summary->min, TQI_EXTREME_WORDS, true);
    at = put_words(at, summary->max, TQI_EXTREME_WORDS, true);
    return (size_t)(at - to);
}

bool tqi_summary_decode(const uint8_t *from, size_t size, tq_summary *summary)
{
    const uint8_t *end = from + size, *at;
    uint64_t code = 0;

    if (size < 2 || *from % MANY > TQ_DECIMALS_MAX || *from >= 2 * MANY)
        return false;
    at = tqi_varint_get(from + 1, end, &code);
    if (*from < MANY) {
        *summary = tqi_summary_of(tqi_unzigzag(code), *from);
        return at == end;
    }
    summary->count = code;
    summary->decimals = *from % MANY;
    at = get_words(at, end, summary->sum, TQI_SUM_WORDS, true);
    at = get_words(at, end, summary->squares, TQI_SQUARES_WORDS, false);
    at = get_words(at, end, summary->min, TQI_EXTREME_WORDS, true);
    at = get_words(at, end, summary->max, TQI_EXTREME_WORDS, true);
    return at == end;
}

/* ---- The digest ---- */

tqi_digest tqi_digest_of(unsigned decimals)
{
    uint64_t power = tqi_powers_of_10[TQ_DECIMALS_MAX - decimals];

    return (tqi_digest){power * power * DIGEST_SQUARES, power * DIGEST_SUM, DIGEST_COUNT};
}

uint64_t tqi_summary_digest(const tq_summary *summary)
{
    tqi_digest digest = tqi_digest_of((unsigned)summary->decimals);

    return digest.squared * summary->squares[0] + digest.plain * summary->sum[0] + digest.one * summary->count;
}
