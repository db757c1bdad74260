/* Reading decimal numbers: one at a time, and many, with each set of instructions that this CPU has. */
#include "node/numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { ARENA = 1 << 16, MOST = 300 };

static const tqi_number_reader *reader; /* whose turn it is */
static char *arena;                     /* ARENA bytes between two pages that nobody may touch */

/* ---- One ---- */

struct example {
    const char *text;
    tq_number found;
    int64_t value;
    unsigned decimals;
};

static void test_one(void **state)
{
    static const struct example examples[] = {
        {"0", TQ_NUMBER, 0, 0},
        {"-0", TQ_NUMBER, 0, 0},
        {"+0.000", TQ_NUMBER, 0, 0},
        {"7", TQ_NUMBER, 7, 0},
        {"-12.3", TQ_NUMBER, -123, 1},
        {"+12.30", TQ_NUMBER, 123, 1},
        {"1200", TQ_NUMBER, 1200, 0},
        {"1e6", TQ_NUMBER, 1000000, 0},
        {"1.5E+3", TQ_NUMBER, 1500, 0},
        {"1500e-3", TQ_NUMBER, 15, 1},
        {"0.00001", TQ_NUMBER, 1, 5},
        {".5", TQ_NUMBER, 5, 1},
        {"5.", TQ_NUMBER, 5, 0},
        {"0005", TQ_NUMBER, 5, 0},
        {"0e999999999999999999999", TQ_NUMBER, 0, 0},
        {"1e-18", TQ_NUMBER, 1, 18},
        {"1e-19", TQ_NUMBER_TOO_FINE, 0, 0},
        {"10e-19", TQ_NUMBER, 1, 18},
        {"1e17", TQ_NUMBER, 100000000000000000, 0},
        {"1e18", TQ_NUMBER_TOO_LARGE, 0, 0},
        {"999999999999999999", TQ_NUMBER, 999999999999999999, 0},
        {"-999999999999999999", TQ_NUMBER, -999999999999999999, 0},
        {"1000000000000000000", TQ_NUMBER_TOO_LARGE, 0, 0},
        {"9999999999999999999999999999", TQ_NUMBER_TOO_LARGE, 0, 0},
        {"0.999999999999999999", TQ_NUMBER, 999999999999999999, 18},
        {"0.9999999999999999990000", TQ_NUMBER, 999999999999999999, 18},
        {"0.9999999999999999995", TQ_NUMBER_TOO_FINE, 0, 0},
        {"123456789.123456789", TQ_NUMBER, 123456789123456789, 9},
        {"123456789.1234567891", TQ_NUMBER_TOO_FINE, 0, 0},
        {"100000000000000000.5", TQ_NUMBER_TOO_FINE, 0, 0},
        {"12345678901234567800000000e-8", TQ_NUMBER, 123456789012345678, 0},
        {"0.000000000000000000000000001e27", TQ_NUMBER, 1, 0},
        {"1e99999999999999999999999", TQ_NUMBER_TOO_LARGE, 0, 0},
        {"1e-99999999999999999999999", TQ_NUMBER_TOO_FINE, 0, 0},
        {"", TQ_NUMBER_NONE, 0, 0},
        {"-", TQ_NUMBER_NONE, 0, 0},
        {".", TQ_NUMBER_NONE, 0, 0},
        {"-.", TQ_NUMBER_NONE, 0, 0},
        {"e5", TQ_NUMBER_NONE, 0, 0},
        {"1e", TQ_NUMBER_NONE, 0, 0},
        {"1e+", TQ_NUMBER_NONE, 0, 0},
        {"1.2.3", TQ_NUMBER_NONE, 0, 0},
        {"--1", TQ_NUMBER_NONE, 0, 0},
        {" 1", TQ_NUMBER_NONE, 0, 0},
        {"1 ", TQ_NUMBER_NONE, 0, 0},
        {"1,5", TQ_NUMBER_NONE, 0, 0},
        {"0x10", TQ_NUMBER_NONE, 0, 0},
        {"nan", TQ_NUMBER_NONE, 0, 0},
        {"inf", TQ_NUMBER_NONE, 0, 0},
        {"1e5.0", TQ_NUMBER_NONE, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        int64_t value = -1;
        unsigned decimals = 99;
        tq_number found = tq_read_number(slice_of(examples[i].text), &value, &decimals);

        if (found != examples[i].found ||
            (found == TQ_NUMBER && (value != examples[i].value || decimals != examples[i].decimals)))
            fail_msg("'%s': %d, %lld x 10^-%u", examples[i].text, (int)found, (long long)value, decimals);
    }
    assert_int_equal(tq_read_number((tq_slice){"1\0", 2}, &(int64_t){0}, &(unsigned){0}), TQ_NUMBER_NONE);
    assert_int_equal(tq_read_number((tq_slice){"1", TQ_NO_FIELD}, &(int64_t){0}, &(unsigned){0}), TQ_NUMBER_NONE);
}

/* ---- Many ---- */

/* Digits with a minus in front and a point among them, and no more. */
static bool is_plain(tq_slice field)
{
    size_t digits = 0, points = 0;

    for (size_t i = 0; i < field.size; i++) {
        bool is_sign = i == 0 && field.data[i] == '-';

        digits += field.data[i] >= '0' && field.data[i] <= '9';
        points += field.data[i] == '.';
        if (!is_sign && field.data[i] != '.' && (field.data[i] < '0' || field.data[i] > '9'))
            return false;
    }
    return digits > 0 && points <= 1;
}

/* What reading many must make of a field. */
static bool expected_of(tq_slice field, unsigned decimals, int64_t *value)
{
    const char *point = field.size <= 16 ? memchr(field.data, '.', field.size) : NULL;
    unsigned needed;

    if (field.size > 16 || !is_plain(field) || (point && (size_t)(field.data + field.size - point - 1) > decimals))
        return false;
    assert_int_equal(tq_read_number(field, value, &needed), TQ_NUMBER);
    for (; needed < decimals; needed++)
        if (__builtin_mul_overflow(*value, 10, value))
            return false;
    return true;
}

static void check(const tq_slice *fields, size_t n, unsigned decimals)
{
    int64_t values[MOST], expected;
    uint32_t left[MOST];
    size_t n_left = tqi_read_numbers(reader, fields, n, decimals, values, left), at = 0;

    for (size_t i = 0; i < n; i++) {
        bool is_left = at < n_left && left[at] == i;

        if (is_left == expected_of(fields[i], decimals, &expected))
            fail_msg("'%.*s' with %u decimals: left: %d", (int)fields[i].size, fields[i].data, decimals, is_left);
        if (!is_left && values[i] != expected)
            fail_msg("'%.*s' with %u decimals: %lld", (int)fields[i].size, fields[i].data, decimals,
                     (long long)values[i]);
        at += is_left;
    }
    assert_int_equal(at, n_left);
}

/* Texts of an alphabet, each at the end of the arena but for the 16 bytes from its beginning on. */
static void check_texts(const char *alphabet, size_t letters, uint64_t seed, size_t longest)
{
    uint64_t random = seed;

    for (int round = 0; round < 400; round++) {
        tq_slice fields[MOST];
        size_t n = random_below(&random, MOST);
        char *at = arena;

        random_text(&random, alphabet, letters, arena, ARENA);
        for (size_t i = 0; i < n; i++, at += 64)
            fields[i] = (tq_slice){at, random_below(&random, longest + 1)};
        if (n) {
            size_t size = random_below(&random, 17);

            fields[n - 1] = (tq_slice){arena + ARENA - 16, size};
        }
        check(fields, n, (unsigned)random_below(&random, TQ_DECIMALS_MAX + 1));
    }
}

static void test_digits(void **state)
{
    (void)state;
    check_texts("0123456789", 10, 61, 20);
}

static void test_numbers(void **state)
{
    (void)state;
    check_texts("0123456789.", 11, 62, 12);
    check_texts("01239-.", 7, 63, 9);
}

static void test_others(void **state)
{
    (void)state;
    check_texts("0123456789.-+eE \t/:;\"\xb0\xff", 22, 64, 20);
    check_texts("019/:.\xae\xb9", 8, 65, 9);
}

/* Every number of up to four bytes out of these. */
static void test_all_short(void **state)
{
    static const char alphabet[] = "09.-/:";
    enum { LETTERS = sizeof alphabet - 1, TEXTS = LETTERS * LETTERS * LETTERS * LETTERS };

    (void)state;
    for (unsigned text = 0; text < TEXTS; text++) {
        tq_slice fields[5];
        unsigned rest = text;

        for (int i = 0; i < 4; i++, rest /= LETTERS)
            arena[i] = alphabet[rest % LETTERS];
        for (size_t size = 0; size <= 4; size++)
            fields[size] = (tq_slice){arena, size};
        for (unsigned decimals = 0; decimals < 4; decimals++)
            check(fields, 5, decimals);
    }
}

/* At every size and place of the point, and every number of fields. */
static void test_shapes(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 18; size++) {
        for (size_t point = 0; point <= size; point++) {
            for (unsigned decimals = 0; decimals <= TQ_DECIMALS_MAX; decimals++) {
                tq_slice fields[3] = {{arena, size}, {arena + 100, size}, {arena + 200, TQ_NO_FIELD}};

                memcpy(arena, "987654321098765432", 18);
                memcpy(arena + 100, "-87654321098765432", 18);
                if (point < size)
                    arena[point] = arena[100 + point] = '.';
                check(fields, 3, decimals);
            }
        }
    }
    for (size_t n = 0; n < MOST; n++) {
        tq_slice fields[MOST];
        for (size_t i = 0; i < n; i++)
            fields[i] = (tq_slice){"12.5 and more than 16 bytes", i % 5};
        check(fields, n, 1);
    }
}

static void test_choice(void **state)
{
    size_t n;
    const tqi_number_reader *all = tqi_number_readers(&n), *best = tqi_number_reader_best();
    const tq_slice field = {"-12.3            ", 5};
    int64_t value;
    uint32_t left;

    (void)state;
    assert_true(all[0].supported() && best->supported());
    for (const tqi_number_reader *better = best + 1; better < all + n; better++)
        assert_false(better->supported());
    assert_int_equal(tq_read_numbers(&field, 1, 3, &value, &left), 0);
    assert_int_equal(value, -12300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits),    cmocka_unit_test(test_numbers), cmocka_unit_test(test_others),
        cmocka_unit_test(test_all_short), cmocka_unit_test(test_shapes),
    };
    const struct CMUnitTest once[] = {cmocka_unit_test(test_one), cmocka_unit_test(test_choice)};
    size_t n;
    const tqi_number_reader *all = tqi_number_readers(&n);
    int failed = cmocka_run_group_tests_name("one", once, NULL, NULL);

    arena = fenced_new(ARENA);
    for (reader = all; reader < all + n; reader++) {
        if (reader->supported())
            failed += cmocka_run_group_tests_name(reader->name, tests, NULL, NULL);
        else
            print_message("[ no CPU ] %s\n", reader->name);
    }
    return failed;
}
