/* Which rank maps which splits: each split is handed out exactly once, and the shares shrink. */
#include "mpi/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static uint64_t fair_part(uint64_t splits, int ranks)
{
    return splits / (uint64_t)ranks + (splits % (uint64_t)ranks != 0);
}

/* Shares follow each other without a gap, so that all splits are there once if the last one ends at the end. */
static uint64_t check(uint64_t splits, int ranks)
{
    tqi_schedule schedule;
    tqi_range *first = calloc((size_t)ranks, sizeof *first);
    uint64_t next = 0, last = UINT64_MAX, shares = 0;

    assert_non_null(first);
    tqi_schedule_start(&schedule, splits, ranks, first);
    for (int r = 0; r < ranks; r++) {
        if (first[r].count)
            assert_int_equal(first[r].first, next);
        next += first[r].count;
        assert_true(r == 0 || first[r].count <= first[r - 1].count);
        /* Nobody gets more at first than his part of everything. */
        assert_true(first[r].count <= fair_part(splits, ranks));
    }
    for (;;) {
        tqi_range share = tqi_schedule_next(&schedule);
        if (share.count == 0)
            break;
        assert_int_equal(share.first, next);
        assert_true(share.count <= last);
        assert_true(share.count <= fair_part(splits - next, ranks));
        last = share.count;
        next += share.count;
        shares++;
    }
    assert_int_equal(next, splits);
    assert_true(last == UINT64_MAX || last == 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tqi_schedule_next(&schedule).count, 0);
    free(first);
    return shares;
}

static void test_all_small_ones(void **state)
{
    (void)state;
    for (uint64_t splits = 0; splits <= 200; splits++)
        for (int ranks = 1; ranks <= 20; ranks++)
            check(splits, ranks);
}

static void test_fewer_splits_than_ranks(void **state)
{
    tqi_schedule schedule;
    tqi_range first[64];

    (void)state;
    tqi_schedule_start(&schedule, 5, 64, first);
    for (int r = 0; r < 64; r++)
        assert_int_equal(first[r].count, r < 5);
    assert_int_equal(tqi_schedule_next(&schedule).count, 0);
}

static void test_no_splits(void **state)
{
    tqi_schedule schedule;
    tqi_range first[3] = {{9, 9}, {9, 9}, {9, 9}};

    (void)state;
    tqi_schedule_start(&schedule, 0, 3, first);
    for (int r = 0; r < 3; r++)
        assert_int_equal(first[r].count, 0);
    assert_int_equal(tqi_schedule_next(&schedule).count, 0);
}

/* Few messages: the number of shares grows with the logarithm of the splits. */
static void test_few_shares(void **state)
{
    uint64_t random = 81;

    (void)state;
    assert_true(check(1000000, 1) < 60);
    assert_true(check(1000000, 64) < 64 * 60);
    for (int round = 0; round < 200; round++) {
        int ranks = (int)(1 + random_below(&random, 300));
        uint64_t splits = random_next(&random) >> random_below(&random, 64);
        assert_true(check(splits, ranks) <= (uint64_t)ranks * 2 * 64);
    }
    check(UINT64_MAX, 1);
    check(UINT64_MAX, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_small_ones),
        cmocka_unit_test(test_fewer_splits_than_ranks),
        cmocka_unit_test(test_no_splits),
        cmocka_unit_test(test_few_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
