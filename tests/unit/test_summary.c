/* Summaries: exact whatever the values, their units and the order in which they are merged; the same in pages; and as
 * text. (tests/oracle/stats.py compares the text with Python's fractions.) */
#include "node/summary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { MOST = 60 };

typedef struct number {
    int64_t value;
    unsigned decimals;
} number;

static number random_number(uint64_t *random)
{
    static const int64_t edges[] = {0, 1, -1, 10, -10, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 1000000000000000000};
    number made = {edges[random_below(random, 10)], (unsigned)random_below(random, TQ_DECIMALS_MAX + 1)};

    switch (random_below(random, 4)) {
    case 0: made.value = (int64_t)random_next(random); break;
    case 1: made.value = (int64_t)random_below(random, 2000) - 1000; break;
    case 2:
        made.value = (int64_t)(random_below(random, 2000)) * (int64_t)tqi_powers_of_10[random_below(random, 15)];
        break;
    default: break;
    }
    return made;
}

/* Merge n numbers in a random order and grouping: two summaries are merged until one is left. */
static tq_summary merge_all(const number *numbers, size_t n, uint64_t *random)
{
    tq_summary summaries[MOST];

    for (size_t i = 0; i < n; i++)
        summaries[i] = tqi_summary_of(numbers[i].value, numbers[i].decimals);
    for (; n > 1; n--) {
        size_t a = random_below(random, n), b = random_below(random, n - 1);
        tq_summary last = summaries[n - 1];

        summaries[n - 1] = summaries[a];
        summaries[a] = last;
        tqi_summary_merge(&summaries[b], &summaries[n - 1]);
        if (random_below(random, 3) == 0)
            tqi_summary_normalize(&summaries[b]);
    }
    tqi_summary_normalize(&summaries[0]);
    return summaries[0];
}

static void test_any_order(void **state)
{
    uint64_t random = 81;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        number numbers[MOST];
        size_t n = 1 + random_below(&random, MOST);
        uint64_t digest = 0;

        for (size_t i = 0; i < n; i++) {
            numbers[i] = random_number(&random);
            tqi_digest of_value = tqi_digest_of(numbers[i].decimals);
            digest += tqi_digest_value(&of_value, numbers[i].value);
        }
        tq_summary first = merge_all(numbers, n, &random), second = merge_all(numbers, n, &random);
        assert_memory_equal(&first, &second, sizeof first);
        assert_int_equal(first.count, n);
        assert_int_equal(tqi_summary_digest(&first), digest);
    }
}

static void test_lowest_terms(void **state)
{
    tq_summary same[] = {tqi_summary_of(5, 1), tqi_summary_of(50, 2), tqi_summary_of(500000000000000000, 18)};
    tq_summary whole = tqi_summary_of(-7000, 3), zero = tqi_summary_of(0, 18);

    (void)state;
    for (int i = 0; i < 3; i++) {
        tqi_summary_normalize(&same[i]);
        assert_memory_equal(&same[i], &same[0], sizeof same[0]);
    }
    tqi_summary_normalize(&whole);
    assert_int_equal(whole.decimals, 0);
    assert_int_equal((int64_t)whole.sum[0], -7);
    assert_int_equal(whole.squares[0], 49);
    tqi_summary_normalize(&zero);
    assert_int_equal(zero.decimals, 0);
    /* 0.5 and 0.5 sum up to 1, but are not whole. */
    tqi_summary_merge(&same[0], &same[1]);
    tqi_summary_normalize(&same[0]);
    assert_int_equal(same[0].decimals, 1);
}

static void test_pages(void **state)
{
    uint64_t random = 82;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        number numbers[MOST];
        uint8_t bytes[TQI_SUMMARY_ENCODED];
        size_t n = 1 + random_below(&random, round % 2 ? 1 : MOST);
        tq_summary read;

        for (size_t i = 0; i < n; i++)
            numbers[i] = random_number(&random);
        tq_summary made = merge_all(numbers, n, &random);
        size_t size = tqi_summary_encode(&made, bytes);
        assert_true(size < TQI_SUMMARY_ENCODED);
        assert_true(tqi_summary_decode(bytes, size, &read));
        assert_memory_equal(&read, &made, sizeof made);
        for (size_t less = 0; less < size; less++)
            assert_false(tqi_summary_decode(bytes, less, &read));
        bytes[size] = 0;
        assert_false(tqi_summary_decode(bytes, size + 1, &read));
        size = tqi_summary_encode_value(numbers[0].value, numbers[0].decimals, bytes);
        assert_true(tqi_summary_decode(bytes, size, &read));
        made = tqi_summary_of(numbers[0].value, numbers[0].decimals);
        assert_memory_equal(&read, &made, sizeof made);
    }
}

/* Bytes that are no summary are refused, or are one; nothing behind them is read. */
static void test_dirt(void **state)
{
    uint64_t random = 83;

    (void)state;
    for (int round = 0; round < 200000; round++) {
        size_t size = random_below(&random, 60);
        uint8_t *bytes = malloc(size + !size);
        tq_summary read;

        assert_non_null(bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)random_below(&random, i == 0 ? 70 : round % 2 ? 256 : 12);
        if (tqi_summary_decode(bytes, size, &read))
            assert_true(read.decimals <= TQ_DECIMALS_MAX);
        free(bytes);
    }
}

/* ---- Text ---- */

struct example {
    const char *numbers; /* "value/decimals" each */
    const char *text;    /* count, sum, min, mean, max, deviation */
};

static void test_text(void **state)
{
    static const struct example examples[] = {
        {"0/0", "1 0 0 0 0 0"},
        {"-123/1", "1 -12.3 -12.3 -12.3 -12.3 0"},
        {"1200/0", "1 1200 1200 1200 1200 0"},
        {"1/18", "1 0.000000000000000001 0.000000000000000001 0.000000000000000001 0.000000000000000001 0"},
        {"1/0 2/0", "2 3 1 1.5 2 0.5"},
        {"1/0 2/0 3/0", "3 6 1 2 3 0.816496580927726"},
        {"1/0 1/0 2/0", "3 4 1 1.33333333333333 2 0.471404520791032"},
        {"-1/0 -1/0 -2/0", "3 -4 -2 -1.33333333333333 -1 0.471404520791032"},
        {"5/1 -5/1", "2 0 -0.5 0 0.5 0.5"},
        {"999999999999999999/0 1/18", /* the deviation is 499999999999999999.4999... */
         "2 999999999999999999.000000000000000001 0.000000000000000001 500000000000000000 999999999999999999"
         " 500000000000000000"},
        {"-9223372036854775808/0 -9223372036854775808/18",
         "2 -9223372036854775817.223372036854775808 -9223372036854775808 -4611686018427390000 -9.223372036854775808"
         " 4611686018427390000"},
        /* 15 digits, and a 5 behind them: half to even. */
        {"1000000000000005/0 1000000000000006/0",
         "2 2000000000000011 1000000000000005 1000000000000010 1000000000000006 0.5"},
        {"1000000000000005/0", "1 1000000000000005 1000000000000005 1000000000000000 1000000000000005 0"},
        {"1000000000000015/0", "1 1000000000000015 1000000000000015 1000000000000020 1000000000000015 0"},
        {"9999999999999996/1", "1 999999999999999.6 999999999999999.6 1000000000000000 999999999999999.6 0"},
    };

    (void)state;
    for (size_t e = 0; e < sizeof examples / sizeof examples[0]; e++) {
        char made[6 * TQ_SUMMARY_TEXT] = "", *at = made;
        const char *numbers = examples[e].numbers;
        tq_summary summary;
        bool some = false;

        for (char *end; *numbers; some = true) {
            int64_t value = strtoll(numbers, &end, 10);
            tq_summary one = tqi_summary_of(value, (unsigned)strtoul(end + 1, (char **)&numbers, 10));

            if (some)
                tqi_summary_merge(&summary, &one);
            else
                summary = one;
        }
        for (int s = TQ_STAT_COUNT; s <= TQ_STAT_DEVIATION; s++) {
            size_t size = tq_summary_text(&summary, (tq_statistic)s, at);

            assert_true(size == strlen(at) && size < TQ_SUMMARY_TEXT);
            at = stpcpy(at + size, s < TQ_STAT_DEVIATION ? " " : "");
        }
        if (strcmp(made, examples[e].text) != 0)
            fail_msg("%s: %s\nnot %s", examples[e].numbers, made, examples[e].text);
    }
}

/* The largest that there can be, and what nobody made, fit their room. */
static void test_extremes(void **state)
{
    uint64_t random = 84;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[TQ_SUMMARY_TEXT];
        uint64_t words[sizeof(tq_summary) / sizeof(uint64_t)];
        tq_summary summary;

        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            words[i] = random_below(&random, 3) ? random_next(&random) : 0 - random_below(&random, 2);
        memcpy(&summary, words, sizeof summary);
        if (round % 4)
            summary.decimals %= TQ_DECIMALS_MAX + 1;
        for (int s = TQ_STAT_COUNT; s <= TQ_STAT_DEVIATION; s++)
            assert_true(tq_summary_text(&summary, (tq_statistic)s, text) < sizeof text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order), cmocka_unit_test(test_lowest_terms), cmocka_unit_test(test_pages),
        cmocka_unit_test(test_dirt),      cmocka_unit_test(test_text),         cmocka_unit_test(test_extremes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
