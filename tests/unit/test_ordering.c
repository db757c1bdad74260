/* Orders of a job's own function: as a plain sort has them, with and without memory; the first rows alone; functions that are
 * no order, with which every row must stay; and samples that are whole rows. */
#include "node/ordering.h"

#include "node/order.h"
#include "node/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static uint64_t answers; /* the state of functions that answer at random */

/* By the last byte of the key, descending; many rows are equal in that. */
static int by_last(const tq_row *a, const tq_row *b, void *user)
{
    unsigned char x = a->key.size ? (unsigned char)a->key.data[a->key.size - 1] : 0;
    unsigned char y = b->key.size ? (unsigned char)b->key.data[b->key.size - 1] : 0;

    ++*(uint64_t *)user;
    return (y > x) - (y < x);
}

static int by_number(const tq_row *a, const tq_row *b, void *user)
{
    int64_t x = 0;

    ++*(uint64_t *)user;
    memcpy(&x, a->value.data, sizeof x);
    assert_int_equal(x, a->i64);
    return (a->i64 > b->i64) - (a->i64 < b->i64);
}

static int at_random(const tq_row *a, const tq_row *b, void *user)
{
    (void)a;
    (void)b;
    (void)user;
    return (int)random_below(&answers, 3) - 1;
}

static int always_before(const tq_row *a, const tq_row *b, void *user)
{
    (void)a;
    (void)b;
    (void)user;
    return -1;
}

static int always_behind(const tq_row *a, const tq_row *b, void *user)
{
    return -always_before(a, b, user);
}

/* Stone, scissors, paper. */
static int in_a_circle(const tq_row *a, const tq_row *b, void *user)
{
    int x = (int)(a->i64 % 3), y = (int)(b->i64 % 3);

    (void)user;
    return x == y ? 0 : (x + 1) % 3 == y ? -1 : 1;
}

static const tq_compare_fn wrong[] = {at_random, always_before, always_behind, in_a_circle};

static void fill(tqi_rows *rows, const tqi_spec *spec, size_t n, uint64_t seed)
{
    uint64_t random = seed;

    for (size_t i = 0; i < n; i++) {
        char key[40], value[16];
        size_t size = random_below(&random, sizeof key), bytes = random_below(&random, sizeof value);

        random_text(&random, "abcdefgh", 8, key, size);
        random_text(&random, "xyz", 3, value, bytes);
        assert_int_equal(tqi_rows_append(rows, &spec->result_shape, (tq_slice){key, size},
                                         (int64_t)random_below(&random, 1000), (tq_slice){value, bytes}),
                         TQ_OK);
    }
}

/* The same rows by a way of its own: each is put behind all that are not behind it. */
static int reference_compare(const tqi_spec *spec, const tqi_entry *a, const tqi_entry *b)
{
    tq_row x = {tqi_entry_key(a), tqi_entry_value(&spec->result_shape, a), (int64_t)a->value};
    tq_row y = {tqi_entry_key(b), tqi_entry_value(&spec->result_shape, b), (int64_t)b->value};
    uint64_t ignored = 0;
    int order = spec->compare(&x, &y, &ignored);

    return order ? order : tqi_rows_compare(TQ_ORDER_KEY, &spec->result_shape, a, b);
}

static void check_sorted(tq_compare_fn compare, int type, size_t n, bool has_memory)
{
    tqi_budget budget = {0};
    uint64_t calls = 0;
    tqi_spec spec = spec_of(TQ_COMBINE_NONE, type, 0, 1, &budget);
    tqi_rows rows, pruned;

    spec.order = TQ_ORDER_USER;
    spec.compare = compare;
    spec.user = &calls;
    tqi_rows_init(&rows, &budget);
    tqi_rows_init(&pruned, &budget);
    fill(&rows, &spec, n, 7 + n);
    fill(&pruned, &spec, n, 7 + n);
    if (!has_memory)
        budget.limit = budget.used;
    tqi_ordering_sort(&spec, &rows);
    assert_int_equal(rows.n, n);
    for (size_t i = 1; i < n; i++)
        assert_true(reference_compare(&spec, &rows.entries[i - 1], &rows.entries[i]) <= 0);
    assert_true(calls <= 2 * n * 20);
    for (spec.limit = 1; spec.limit <= n + 1; spec.limit = 3 * spec.limit + 1) {
        pruned.n = tqi_ordering_prune(&spec, pruned.entries, n);
        assert_int_equal(pruned.n, spec.limit < n ? spec.limit : n);
        tqi_ordering_sort(&spec, &pruned);
        for (size_t i = 0; i < pruned.n; i++)
            assert_int_equal(reference_compare(&spec, &pruned.entries[i], &rows.entries[i]), 0);
        tqi_rows_clear(&pruned);
        budget.limit = 0;
        fill(&pruned, &spec, n, 7 + n);
    }
    tqi_rows_free(&rows);
    tqi_rows_free(&pruned);
    assert_int_equal(budget.used, 0);
}

static void test_sorted(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 17, 100, 1000, 4097};

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int memory = 0; memory < 2; memory++) {
            check_sorted(by_last, TQ_I64, sizes[s], memory);
            check_sorted(by_number, TQ_I64, sizes[s], memory);
            check_sorted(by_last, TQ_BYTES, sizes[s], memory);
        }
}

/* What does not depend on the order of rows. */
static uint64_t digest(const tqi_spec *spec, const tqi_entry *entries, size_t n)
{
    tq_account sum = {0};

    for (size_t i = 0; i < n; i++)
        tqi_account_entry(spec, &spec->result_shape, &entries[i], &sum);
    return sum.check + sum.records;
}

static void test_no_order(void **state)
{
    (void)state;
    answers = 5;
    for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
        for (size_t n = 0; n < 3000; n = 2 * n + 1) {
            tqi_budget budget = {0};
            tqi_spec spec = spec_of(TQ_COMBINE_NONE, TQ_I64, 0, 9, &budget);
            tqi_rows rows;

            spec.order = TQ_ORDER_USER;
            spec.compare = wrong[w];
            tqi_rows_init(&rows, &budget);
            fill(&rows, &spec, n, 11);
            uint64_t before = digest(&spec, rows.entries, n);
            tqi_ordering_sort(&spec, &rows);
            assert_int_equal(digest(&spec, rows.entries, n), before);
            budget.limit = budget.used;
            tqi_ordering_sort(&spec, &rows); /* without memory */
            assert_int_equal(digest(&spec, rows.entries, n), before);
            spec.limit = n / 3 + 1;
            assert_int_equal(tqi_ordering_prune(&spec, rows.entries, n), spec.limit < n ? spec.limit : n);
            assert_int_equal(digest(&spec, rows.entries, n), before);
            tqi_rows_free(&rows);
        }
    }
}

/* Rows to ranges: by splitters that are whole rows, and, by a function that is no order, to one of the ranges still. */
static void test_ranges(void **state)
{
    (void)state;
    for (size_t w = 0; w <= sizeof wrong / sizeof *wrong; w++) {
        tqi_budget budget = {0};
        uint64_t calls = 0;
        tqi_spec spec = spec_of(TQ_COMBINE_NONE, TQ_I64, 0, 9, &budget);
        tqi_sampler sampler, *samplers[] = {&sampler};
        tqi_splitters splitters;
        tqi_rows rows, samples;
        tqi_run *run;

        spec.order = TQ_ORDER_USER;
        spec.compare = w ? wrong[w - 1] : by_last;
        spec.user = &calls;
        tqi_rows_init(&rows, &budget);
        tqi_rows_init(&samples, &budget);
        fill(&rows, &spec, 20000, 13);
        tqi_sampler_init(&sampler, &spec);
        tqi_sampler_see(&sampler, rows.entries, rows.n);
        assert_int_equal(tqi_order_sample(&spec, samplers, 1, 300, &run), TQ_OK);
        assert_int_equal(tqi_rows_append_page(&samples, &spec.result_shape, run->data, false), TQ_OK);
        tqi_run_free(&spec, run);
        assert_int_equal(tqi_order_choose(&spec, &samples, spec.partitions, &run), TQ_OK);
        assert_int_equal(tqi_splitters_init(&splitters, &spec, run->data), TQ_OK);
        tqi_run_free(&spec, run);
        assert_int_equal(splitters.rows.n, spec.partitions - 1);
        for (size_t i = 0; i < rows.n; i++) {
            uint32_t range = tqi_range_of(&splitters, &rows.entries[i]);

            assert_true(range < spec.partitions);
            if (w > 0)
                continue;
            assert_true(range == 0 || reference_compare(&spec, &splitters.rows.entries[range - 1], &rows.entries[i]) <= 0);
            assert_true(range == splitters.rows.n ||
                        reference_compare(&spec, &splitters.rows.entries[range], &rows.entries[i]) > 0);
        }
        tqi_splitters_free(&splitters);
        tqi_sampler_free(&sampler);
        tqi_rows_free(&samples);
        tqi_rows_free(&rows);
        assert_int_equal(budget.used, 0);
    }
}

/* Samples are whole rows, as many as a bound on their bytes allows; none are very long. */
static void test_samples_are_whole(void **state)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(TQ_COMBINE_NONE, TQ_BYTES, 0, 4, &budget);
    static char value[TQI_MOST_SAMPLE_BYTES + 1];
    tqi_sampler sampler;
    tqi_rows rows;

    (void)state;
    spec.order = TQ_ORDER_USER;
    spec.compare = by_last;
    tqi_sampler_init(&sampler, &spec);
    tqi_rows_init(&rows, NULL);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 40000; i++) {
        char key[100];
        size_t bytes = i % 3 ? (size_t)i % 8000 : sizeof value;

        memset(key, 'k', sizeof key);
        tqi_rows_clear(&rows);
        assert_int_equal(tqi_rows_append(&rows, &spec.result_shape, (tq_slice){key, sizeof key}, 0, (tq_slice){value, bytes}),
                         TQ_OK);
        tqi_sampler_see(&sampler, rows.entries, rows.n);
        assert_true(budget.used < 12 << 20);
    }
    assert_true(sampler.rows.n > 200);
    for (size_t i = 0; i < sampler.rows.n; i++) {
        assert_int_equal(sampler.rows.entries[i].size, 100);
        assert_true(tqi_entry_value(&spec.result_shape, &sampler.rows.entries[i]).size < 8000);
    }
    tqi_sampler_free(&sampler);
    tqi_rows_free(&rows);
    assert_int_equal(budget.used, 0);
}

/* The job is ending: rows are not compared any more. The worker's place follows those that are. */
static void test_stopped(void **state)
{
    tqi_budget budget = {0};
    atomic_bool stop = false;
    uint64_t calls = 0;
    tqi_spec spec = spec_of(TQ_COMBINE_NONE, TQ_I64, 0, 1, &budget);
    tqi_place place = {0};
    tq_place here;
    tqi_rows rows;

    (void)state;
    spec.order = TQ_ORDER_USER;
    spec.compare = by_last;
    spec.user = &calls;
    spec.stop = &stop;
    tqi_rows_init(&rows, &budget);
    fill(&rows, &spec, 3000, 3);
    tqi_place_enter(&place, TQI_STAGE_ORDER, 2, 3);
    tqi_ordering_sort(&spec, &rows);
    assert_int_equal(place.keys, calls);
    assert_true(tq_here(&here));
    assert_string_equal(here.phase, "order");
    assert_true(here.rank == 2 && here.worker == 3);
    tqi_place_leave(&place);
    calls = 0;
    stop = true;
    tqi_ordering_sort(&spec, &rows);
    assert_int_equal(calls, 0);
    assert_int_equal(rows.n, 3000);
    tqi_rows_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sorted), cmocka_unit_test(test_no_order),
                                       cmocka_unit_test(test_ranges), cmocka_unit_test(test_samples_are_whole),
                                       cmocka_unit_test(test_stopped)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
