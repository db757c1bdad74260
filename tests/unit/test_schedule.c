/* Which rank maps which splits: each split is handed out exactly once, the shares shrink, and ranks that are slow, or files
 * that are large, do not hold up the others. */
#include "mpi/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { SPLIT = 1 << 20 };

/* Inputs of files that are there by their sizes only; the caller frees the files. */
static tqi_inputs inputs_of(const uint64_t *sizes, size_t n, uint64_t split_bytes, uint64_t workers)
{
    tqi_inputs inputs = {.files = calloc(n + 1, sizeof *inputs.files), .n = n};

    assert_non_null(inputs.files);
    for (size_t i = 0; i < n; i++) {
        inputs.files[i].size = sizes[i];
        inputs.bytes += sizes[i];
    }
    tqi_inputs_split(&inputs, split_bytes, workers);
    return inputs;
}

static tqi_inputs one_file(uint64_t splits)
{
    uint64_t size = splits * SPLIT;

    return inputs_of(&size, 1, SPLIT, 1);
}

static uint64_t most_of(uint64_t splits, int ranks)
{
    return splits / ((uint64_t)ranks * TQI_SHARE_PART) + 1;
}

/* Shares follow each other without a gap, so that all splits are there once if the last one ends at the end. Returns how
 * many there were. */
static uint64_t check(const tqi_inputs *inputs, int ranks)
{
    tqi_schedule schedule;
    tqi_range *first = calloc((size_t)ranks, sizeof *first);
    uint64_t next = 0, shares = 0;

    assert_non_null(first);
    tqi_schedule_start(&schedule, inputs, ranks, first);
    for (int r = 0; r < ranks; r++) {
        if (first[r].count)
            assert_int_equal(first[r].first, next);
        next += first[r].count;
    }
    for (;;) {
        tqi_range share = tqi_schedule_next(&schedule);
        if (share.count == 0)
            break;
        assert_int_equal(share.first, next);
        next += share.count;
        shares++;
    }
    assert_int_equal(next, inputs->splits);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tqi_schedule_next(&schedule).count, 0);
    free(first);
    return shares;
}

static void test_all_small_ones(void **state)
{
    (void)state;
    for (uint64_t splits = 0; splits <= 200; splits++) {
        tqi_inputs inputs = one_file(splits);

        for (int ranks = 1; ranks <= 20; ranks++)
            check(&inputs, ranks);
        free(inputs.files);
    }
}

static void test_many_files(void **state)
{
    uint64_t random = 82, sizes[40];

    (void)state;
    for (int round = 0; round < 3000; round++) {
        size_t n = random_below(&random, 41);

        for (size_t i = 0; i < n; i++)
            sizes[i] = random_below(&random, 3) ? random_next(&random) >> (40 + random_below(&random, 24)) : 0;
        tqi_inputs inputs = inputs_of(sizes, n, 1 + (random_next(&random) >> (44 + random_below(&random, 20))), 1);
        check(&inputs, (int)(1 + random_below(&random, 70)));
        free(inputs.files);
    }
}

static void test_fewer_splits_than_ranks(void **state)
{
    tqi_schedule schedule;
    tqi_range first[64];
    tqi_inputs inputs = one_file(5);

    (void)state;
    tqi_schedule_start(&schedule, &inputs, 64, first);
    for (int r = 0; r < 64; r++)
        assert_int_equal(first[r].count, r < 5);
    assert_int_equal(tqi_schedule_next(&schedule).count, 0);
    free(inputs.files);
}

static void test_nothing_to_hand_out(void **state)
{
    tqi_schedule schedule;
    tqi_range first[3] = {{9, 9}, {9, 9}, {9, 9}};
    tqi_inputs none = {0};
    const tqi_inputs *inputs[] = {NULL, &none};

    (void)state;
    tqi_inputs_split(&none, 0, 4);
    for (int i = 0; i < 2; i++) {
        tqi_schedule_start(&schedule, inputs[i], 3, first);
        for (int r = 0; r < 3; r++)
            assert_int_equal(first[r].count, 0);
        assert_int_equal(tqi_schedule_next(&schedule).count, 0);
    }
}

/* Each is a part of what is left, so they shrink, and there are few: their number grows with the logarithm of the splits. */
static void test_shares_shrink(void **state)
{
    static const int ranks[] = {1, 2, 7, 64, 1000};
    tqi_inputs inputs = one_file(1000000);
    tqi_range first[1000];

    (void)state;
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        tqi_schedule schedule;
        uint64_t last = UINT64_MAX;

        assert_true(check(&inputs, ranks[i]) < (uint64_t)ranks[i] * TQI_SHARE_PART * 15);
        tqi_schedule_start(&schedule, &inputs, ranks[i], first);
        for (int r = 0; r < ranks[i]; r++)
            assert_int_equal(first[r].count, first[0].count);
        assert_true(first[0].count <= most_of(inputs.splits, ranks[i]));
        for (tqi_range share; (share = tqi_schedule_next(&schedule)).count > 0; last = share.count) {
            assert_true(share.count <= last);
            assert_true(share.count <= most_of(inputs.splits - share.first, ranks[i]));
        }
        assert_int_equal(last, 1);
    }
    free(inputs.files);
}

/* ---- How long it would take ---- */

/* Ranks of these speeds map all splits; each asks when it has none left. Returns the time of the last over the work
 * divided by all speeds, and the part of the work that rank 0 did. */
static double simulate(const tqi_inputs *inputs, int ranks, const double *speed, double *part_of_rank_0)
{
    tqi_schedule schedule;
    tqi_range *share = calloc((size_t)ranks, sizeof *share);
    double *busy_until = calloc((size_t)ranks, sizeof *busy_until), all = 0, last = 0, mine = 0;
    bool *over = calloc((size_t)ranks, sizeof *over);

    assert_true(share && busy_until && over);
    tqi_schedule_start(&schedule, inputs, ranks, share);
    for (int r = 0, next = 0; next >= 0;) {
        double work = (double)(tqi_inputs_work_before(inputs, share[r].first + share[r].count) -
                               tqi_inputs_work_before(inputs, share[r].first));

        busy_until[r] += work / speed[r];
        mine += r == 0 ? work : 0;
        if (next + 1 < ranks) {
            r = ++next; /* the first shares */
            continue;
        }
        r = -1;
        for (int other = 0; other < ranks; other++)
            if (!over[other] && (r < 0 || busy_until[other] < busy_until[r]))
                r = other;
        if (r < 0)
            break;
        share[r] = tqi_schedule_next(&schedule);
        over[r] = share[r].count == 0;
    }
    for (int r = 0; r < ranks; r++) {
        last = busy_until[r] > last ? busy_until[r] : last;
        all += speed[r];
    }
    double total = (double)tqi_inputs_work_before(inputs, inputs->splits);
    *part_of_rank_0 = mine / total;
    free(share);
    free(busy_until);
    free(over);
    return last / (total / all);
}

static void test_slow_rank(void **state)
{
    static const int counts[] = {2, 3, 4, 7, 16, 64, 256};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint64_t size = (uint64_t)counts[i] << 30;
        tqi_inputs inputs = inputs_of(&size, 1, 0, (uint64_t)counts[i]);
        double speed[256], part;

        for (int r = 0; r < counts[i]; r++)
            speed[r] = r == 0 ? 0.1 : 1;
        assert_true(simulate(&inputs, counts[i], speed, &part) < 1.1);
        assert_true(part * (counts[i] - 0.9) < 0.12); /* a tenth of what each of the others does */
        for (int r = 0; r < counts[i]; r++)
            speed[r] = 1 + r % 5;
        assert_true(simulate(&inputs, counts[i], speed, &part) < 1.1);
        free(inputs.files);
    }
}

/* One file with as many bytes as a hundred others, or as ten thousand tiny ones, wherever it stands among them. */
static void test_large_file(void **state)
{
    enum { OTHERS = 10000 };
    static const struct {
        uint64_t large, other;
        size_t others;
    } cases[] = {{300 << 20, 3 << 20, 100}, {300 << 20, 3 << 10, OTHERS}, {100 << 20, 1, 100}};
    static uint64_t sizes[OTHERS + 1];
    double speed[16], part;

    (void)state;
    for (int r = 0; r < 16; r++)
        speed[r] = 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t at = 0; at <= cases[i].others; at += cases[i].others / 2)
            for (int ranks = 1; ranks <= 16; ranks++) {
                for (size_t f = 0; f <= cases[i].others; f++)
                    sizes[f] = f == at ? cases[i].large : cases[i].other;
                tqi_inputs inputs = inputs_of(sizes, cases[i].others + 1, 0, (uint64_t)ranks);
                assert_true(simulate(&inputs, ranks, speed, &part) < 1.1);
                free(inputs.files);
            }
}

/* The splits of a whole file go to one rank, whatever else a share has. */
static void test_whole_files(void **state)
{
    enum { FILES = 40 };
    uint64_t random = 11;

    (void)state;
    for (int round = 0; round < 50; round++) {
        uint64_t sizes[FILES];
        for (size_t i = 0; i < FILES; i++)
            sizes[i] = random_below(&random, 30 * SPLIT);
        tqi_inputs inputs = inputs_of(sizes, FILES, SPLIT, 4);
        for (size_t i = 0; i < FILES; i++)
            inputs.files[i].whole = random_below(&random, 2) == 0;

        tqi_schedule schedule;
        tqi_range share, first[4];
        uint64_t next = 0;
        tqi_schedule_start(&schedule, &inputs, 4, first);
        for (int i = 0; (share = i < 4 ? first[i] : tqi_schedule_next(&schedule)).count > 0; i++) {
            uint64_t begin, end;

            assert_int_equal(share.first, next);
            next += share.count;
            const tqi_file *file = &inputs.files[tqi_inputs_locate(&inputs, next - 1, &begin, &end)];
            if (file->whole)
                assert_int_equal(next, file->first_split + tqi_inputs_splits_of(&inputs, file));
        }
        assert_int_equal(next, inputs.splits);
        free(inputs.files);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_small_ones),
        cmocka_unit_test(test_many_files),
        cmocka_unit_test(test_fewer_splits_than_ranks),
        cmocka_unit_test(test_nothing_to_hand_out),
        cmocka_unit_test(test_shares_shrink),
        cmocka_unit_test(test_slow_rank),
        cmocka_unit_test(test_large_file),
        cmocka_unit_test(test_whole_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
