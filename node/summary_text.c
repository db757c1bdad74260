/* Summaries as decimal text. Count, sum, min and max are exact. Mean and standard deviation are rounded to TQ_DIGITS
 * digits, half to even, and correctly: a first guess comes from floating point, and whether it is right is decided in
 * integers. So every machine prints the same.
 *
 * The mean is sum / (n 10^d), the deviation the root of N / (n^2 10^2d) with N = n squares - sum^2: 64 + 310 bits. Of
 * either we look for the integer q of 15 digits that is next to value x 10^p. What is compared is 4 V with (2 q + 1)^2 W,
 * where V = N 10^2p and W = n^2 10^2d if p is positive, and V = N and W = n^2 10^2d 10^-2p otherwise. W is less than
 * 2^(128 + 120) in the first case, less than N in the second; q^2 is less than 2^100. So all are less than 2^480. */
#include "node/summary.h"

#include <math.h>

static const uint64_t LEAST = 100000000000000; /* of TQ_DIGITS digits */

_Static_assert(TQ_DIGITS == 15, "LEAST has so many digits");

/* ---- Writing digits ---- */

/* The digits of number x 10^-places, with a point where it belongs and without zeros behind the last other digit behind
 * it. */
static size_t put_decimal(char *to, bool negative, tqi_wide number, size_t places)
{
    char digits[TQ_SUMMARY_TEXT], *at = digits + sizeof digits, *end = at;

    while (number.n > 1) {
        uint64_t rest = tqi_words_divide(number.word, number.n, tqi_powers_of_10[TQ_DECIMALS_MAX]);

        number = tqi_wide_of(number.word, number.n);
        for (int i = 0; i < TQ_DECIMALS_MAX; i++, rest /= 10)
            *--at = (char)('0' + rest % 10);
    }
    for (uint64_t rest = number.n ? number.word[0] : 0; rest; rest /= 10)
        *--at = (char)('0' + rest % 10);
    while ((size_t)(end - at) <= places) /* one digit at least in front of the point */
        *--at = '0';
    for (; places > 0 && end[-1] == '0'; places--)
        end--;
    size_t whole = (size_t)(end - at) - places;
    char *put = to;
    if (negative)
        *put++ = '-';
    put = mempcpy(put, at, whole);
    if (places > 0)
        *put++ = '.';
    put = mempcpy(put, at + whole, places);
    return (size_t)(put - to);
}

static size_t put_words(char *to, const uint64_t *words, size_t n, uint64_t decimals)
{
    uint64_t copy[TQI_SQUARES_WORDS];
    bool negative = tqi_words_negative(words, n);

    memcpy(copy, words, n * sizeof *words);
    if (negative)
        tqi_words_negate(copy, n);
    return put_decimal(to, negative, tqi_wide_of(copy, n), decimals);
}

/* q x 10^-p. */
static size_t put_rounded(char *to, bool negative, uint64_t q, int p)
{
    tqi_wide number = tqi_wide_of(&q, 1);

    for (; p < 0; p++)
        tqi_wide_multiply_word(&number, 10);
    return put_decimal(to, negative, number, (size_t)p);
}

/* ---- Rounding ---- */

/* numerator / denominator, or its root. */
typedef struct ratio {
    tqi_wide numerator, denominator;
    bool root;
} ratio;

static void multiply_power(tqi_wide *wide, unsigned exponent)
{
    for (; exponent > TQ_DECIMALS_MAX; exponent -= TQ_DECIMALS_MAX)
        tqi_wide_multiply_word(wide, tqi_powers_of_10[TQ_DECIMALS_MAX]);
    tqi_wide_multiply_word(wide, tqi_powers_of_10[exponent]);
}

/* The ratio times 10^p (under the root, 10^2p). */
static void scale(ratio *value, int p)
{
    unsigned exponent = (unsigned)(p < 0 ? -p : p) * (value->root ? 2 : 1);

    multiply_power(p < 0 ? &value->denominator : &value->numerator, exponent);
}

/* Whether twice the value is less (-1), the same (0) or more (1) than twice. */
static int compare_twice(const ratio *value, uint64_t twice)
{
    tqi_wide right = tqi_wide_of(value->denominator.word, value->denominator.n);
    tqi_wide left = tqi_wide_of(value->numerator.word, value->numerator.n);

    tqi_wide_multiply_word(&right, twice);
    if (value->root)
        tqi_wide_multiply_word(&right, twice);
    tqi_wide_multiply_word(&left, value->root ? 4 : 2);
    return tqi_wide_compare(&left, &right);
}

/* The integer next to the value, from one that is near it; of two the even one. */
static uint64_t nearest(const ratio *value, uint64_t guess)
{
    int order;

    while ((order = compare_twice(value, 2 * guess + 1)) > 0)
        guess++;
    if (order == 0)
        return guess + guess % 2;
    while (guess > 0 && (order = compare_twice(value, 2 * guess - 1)) < 0)
        guess--;
    return order == 0 ? guess - guess % 2 : guess;
}

static double power_of_10(int p)
{
    return p >= 0 && p <= TQ_DECIMALS_MAX ? (double)tqi_powers_of_10[p] : pow(10, p);
}

/* A value above 0. */
static size_t put_ratio(char *to, bool negative, const ratio *value)
{
    double about = tqi_wide_double(&value->numerator) / tqi_wide_double(&value->denominator);

    about = value->root ? sqrt(about) : about;
    for (int p = TQ_DIGITS - 1 - (int)floor(log10(about));;) {
        ratio scaled = *value;

        scale(&scaled, p);
        uint64_t q = nearest(&scaled, (uint64_t)(about * power_of_10(p)));
        /* The logarithm may have been next to an integer: there must be so many digits, before rounding as well. */
        if (q > 10 * LEAST)
            p--;
        else if (q < LEAST || (q == LEAST && compare_twice(&scaled, 2 * LEAST) < 0))
            p++;
        else
            return put_rounded(to, negative, q, p);
    }
}

/* n x 10^decimals. */
static tqi_wide units_of(const tq_summary *summary)
{
    tqi_wide units = tqi_wide_of(&summary->count, 1);

    tqi_wide_multiply_word(&units, tqi_powers_of_10[summary->decimals]);
    return units;
}

static tqi_wide size_of_sum(const tq_summary *summary)
{
    uint64_t sum[TQI_SUM_WORDS];

    memcpy(sum, summary->sum, sizeof sum);
    if (tqi_words_negative(sum, TQI_SUM_WORDS))
        tqi_words_negate(sum, TQI_SUM_WORDS);
    return tqi_wide_of(sum, TQI_SUM_WORDS);
}

static size_t put_mean(char *to, const tq_summary *summary)
{
    ratio mean = {size_of_sum(summary), units_of(summary), false};

    if (mean.numerator.n == 0)
        return put_rounded(to, false, 0, 0);
    return put_ratio(to, tqi_words_negative(summary->sum, TQI_SUM_WORDS), &mean);
}

static size_t put_deviation(char *to, const tq_summary *summary)
{
    tqi_wide sum = size_of_sum(summary), units = units_of(summary);
    tqi_wide squares = tqi_wide_of(summary->squares, TQI_SQUARES_WORDS), sum_squared = tqi_wide_product(&sum, &sum);

    tqi_wide_multiply_word(&squares, summary->count);
    if (tqi_wide_compare(&squares, &sum_squared) <= 0) /* less than 0 it cannot be */
        return put_rounded(to, false, 0, 0);
    ratio variance = {tqi_wide_difference(&squares, &sum_squared), tqi_wide_product(&units, &units), true};
    return put_ratio(to, false, &variance);
}

size_t tq_summary_text(const tq_summary *summary, tq_statistic statistic, char *text)
{
    size_t size = 0;

    if (summary->count == 0 || summary->decimals > TQ_DECIMALS_MAX) /* none that tequio made */
        statistic = TQ_STAT_COUNT;
    switch (statistic) {
    case TQ_STAT_COUNT: size = put_words(text, (uint64_t[]){summary->count, 0}, 2, 0); break;
    case TQ_STAT_SUM: size = put_words(text, summary->sum, TQI_SUM_WORDS, summary->decimals); break;
    case TQ_STAT_MIN: size = put_words(text, summary->min, TQI_EXTREME_WORDS, summary->decimals); break;
    case TQ_STAT_MEAN: size = put_mean(text, summary); break;
    case TQ_STAT_MAX: size = put_words(text, summary->max, TQI_EXTREME_WORDS, summary->decimals); break;
    case TQ_STAT_DEVIATION: size = put_deviation(text, summary); break;
    }
    text[size] = '\0';
    return size;
}
