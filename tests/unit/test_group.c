/* Entries by key and value, against an ordinary sort of the same ones. */
#include "node/group.h"

#include "node/rows.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { MOST = 9000 };

static void append_random(tqi_rows *rows, const tqi_value_shape *shape, uint64_t *random, size_t keys)
{
    char key[64], value[16];
    size_t number = random_below(random, keys), bytes = random_below(random, sizeof value);
    size_t size = (size_t)sprintf(key, number % 3 ? "%zu" : "a key that is longer than an entry %zu", number);

    random_text(random, "\0az", 3, value, bytes);
    if (number % 5 == 0)
        bytes = 0; /* all values are the same */
    assert_int_equal(tqi_rows_append(rows, shape, (tq_slice){key, number ? size : 0},
                                     (int64_t)random_below(random, 7) - 3, (tq_slice){value, bytes}),
                     TQ_OK);
}

static void check(int type, size_t n, size_t keys, uint64_t seed)
{
    tqi_value_shape shape = {type, 0};
    tqi_rows rows;
    tqi_budget budget = {0};
    tqi_entry *grouped = malloc((n + 1) * sizeof *grouped);

    assert_non_null(grouped);
    tqi_rows_init(&rows, NULL);
    for (size_t i = 0; i < n; i++)
        append_random(&rows, &shape, &seed, keys);
    for (size_t i = 0; i < n; i++)
        rows.entries[i].hash32 = (uint32_t)(tqi_entry_hash(&rows.entries[i]) >> 32) >> (seed % 2 ? 0 : 28);
    assert_int_equal(tqi_group_entries(rows.entries, n, &shape, &budget, grouped), TQ_OK);
    assert_int_equal(budget.used, 0);
    tqi_entries_sort(rows.entries, n, TQ_ORDER_KEY, &shape);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tqi_rows_compare(TQ_ORDER_KEY, &shape, &rows.entries[i], &grouped[i]), 0);
    free(grouped);
    tqi_rows_free(&rows);
}

static void test_grouped(void **state)
{
    (void)state;
    for (int type = TQ_I64; type <= TQ_BYTES; type += TQ_BYTES - TQ_I64) {
        check(type, 1, 1, 3);
        check(type, 2, 1, 4);
        check(type, 1000, 1, 5);
        check(type, MOST, 40, 6);
        check(type, MOST, 5000, 7);
        check(type, 3000, 1000000, 8);
        check(type, 3000, 1000000, 9);
    }
}

static void test_no_memory(void **state)
{
    tqi_value_shape shape = {TQ_I64, 0};
    tqi_rows rows;
    tqi_entry grouped[2000];
    uint64_t seed = 10;
    bool fitted = false;

    (void)state;
    tqi_rows_init(&rows, NULL);
    for (size_t i = 0; i < 2000; i++)
        append_random(&rows, &shape, &seed, 100000);
    for (uint64_t limit = 1000; !fitted; limit *= 2) {
        tqi_budget budget = {.limit = limit};

        fitted = tqi_group_entries(rows.entries, rows.n, &shape, &budget, grouped) == TQ_OK;
        assert_int_equal(budget.used, 0);
        assert_true(limit > 10000 || !fitted);
    }
    tqi_rows_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grouped),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
