/* Ordering over all ranks: from samples to splitters to ranges. */
#include "node/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { PARTS = 13 };

/* All parts of all ranks, and what they were ordered into. */
typedef struct world {
    tqi_budget budget;
    tqi_spec spec;
    tqi_pool pool;
    tqi_rows parts[PARTS], samples, *ranges;
    tqi_splitters splitters;
    size_t n;
} world;

static void world_open(world *all, tq_order order, int type, uint32_t ranges)
{
    memset(all, 0, sizeof *all);
    all->spec = spec_of(TQ_COMBINE_NONE, type, type == TQ_FIXED ? 6 : 0, ranges, &all->budget);
    all->spec.order = order;
    tqi_pool_init(&all->pool, &all->budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all->spec.pool = &all->pool;
    for (size_t p = 0; p < PARTS; p++)
        tqi_rows_init(&all->parts[p], &all->budget);
    tqi_rows_init(&all->samples, &all->budget);
    all->ranges = calloc(ranges, sizeof *all->ranges);
    assert_non_null(all->ranges);
    for (uint32_t r = 0; r < ranges; r++)
        tqi_rows_init(&all->ranges[r], &all->budget);
}

static void world_close(world *all)
{
    for (size_t p = 0; p < PARTS; p++)
        tqi_rows_free(&all->parts[p]);
    for (uint32_t r = 0; r < all->spec.partitions; r++)
        tqi_rows_free(&all->ranges[r]);
    free(all->ranges);
    tqi_rows_free(&all->samples);
    tqi_splitters_free(&all->splitters);
    tqi_pool_free(&all->pool);
    assert_int_equal(all->budget.used, 0);
}

static void add(world *all, size_t part, tq_slice key, int64_t number)
{
    char value[32];
    size_t size = (size_t)sprintf(value, "%06lu", (unsigned long)number % 1000000);

    assert_int_equal(tqi_rows_append(&all->parts[part], &all->spec.result_shape, key, number, (tq_slice){value, size}),
                     TQ_OK);
    all->n++;
}

/* One page in partition 0, read into rows and freed. */
static void take_page(world *all, tqi_run *run, tqi_rows *into)
{
    if (!run)
        return;
    assert_null(tqi_page_validate(run->data, run->bytes));
    tqi_page_header header = tqi_page_read_header(run->data);
    assert_int_equal(header.partition, 0);
    assert_int_equal(header.payload + TQI_PAGE_HEADER, run->bytes);
    assert_int_equal(tqi_rows_append_page(into, &all->spec.result_shape, run->data, false), TQ_OK);
    tqi_run_free(&all->spec, run);
}

/* A tqi_deliver_fn; owner is a world. Runs are full pages, or several in ascending order. */
static void take_ranges(void *owner, tqi_run *run)
{
    world *all = owner;
    uint32_t before = 0;

    assert_null(run->next);
    for (const uint8_t *at = run->data, *end = at + run->bytes; at < end;) {
        tqi_page_header header = tqi_page_read_header(at);
        assert_null(tqi_page_validate(at, (size_t)(end - at)));
        assert_true(header.partition < all->spec.partitions && header.partition >= before);
        before = header.partition;
        assert_int_equal(tqi_rows_append_page(&all->ranges[header.partition], &all->spec.result_shape, at, false),
                         TQ_OK);
        at += TQI_PAGE_HEADER + header.payload;
    }
    tqi_run_free(&all->spec, run);
}

/* Show a sampler some parts, in pieces of any size. */
static void show(world *all, tqi_sampler *sampler, const tqi_rows *parts, uint32_t n, uint64_t *random)
{
    for (uint32_t p = 0; p < n; p++) {
        size_t some;
        for (size_t at = 0; at < parts[p].n; at += some) {
            some = 1 + random_below(random, 3000);
            some = some < parts[p].n - at ? some : parts[p].n - at;
            tqi_sampler_see(sampler, parts[p].entries + at, some);
        }
    }
    assert_true(sampler->rows.n * sampler->step <= all->n + sampler->step);
}

/* Two ranks sample, as the engine does it: with two workers each, at one density, a number of samples in proportion to
 * the rows. */
static void order_everything(world *all)
{
    static const uint32_t first[] = {0, 2, 5, 11, PARTS}; /* parts of each worker */
    tqi_run *run;
    tq_account before = {0}, after = {0};
    tqi_sampler samplers[4];
    uint64_t random = 123, step = 0;

    for (int w = 0; w < 4; w++) {
        tqi_sampler_init(&samplers[w], &all->spec);
        show(all, &samplers[w], all->parts + first[w], first[w + 1] - first[w], &random);
        step = samplers[w].step > step ? samplers[w].step : step;
    }
    for (int rank = 0; rank < 2; rank++) {
        tqi_sampler *mine[] = {&samplers[2 * rank], &samplers[2 * rank + 1]};
        uint64_t rows = 0;
        for (uint32_t p = first[2 * rank]; p < first[2 * rank + 2]; p++)
            rows += all->parts[p].n;
        tqi_sampler_thin(mine[0], step);
        tqi_sampler_thin(mine[1], step);
        uint64_t wanted = TQI_SAMPLES_PER_RANGE * all->spec.partitions * rows / (all->n ? all->n : 1) + 1;
        uint64_t there = mine[0]->rows.n + mine[1]->rows.n;
        size_t had = all->samples.n;
        assert_true(there <= rows / step + 2 && there + 2 >= rows / step);
        assert_int_equal(tqi_order_sample(&all->spec, mine, 2, wanted, &run), TQ_OK);
        take_page(all, run, &all->samples);
        size_t got = all->samples.n - had;
        assert_true(got <= there && got <= 2 * wanted + 1);
        assert_true(got >= (wanted < there ? wanted : there));
    }
    for (int w = 0; w < 4; w++)
        tqi_sampler_free(&samplers[w]);
    assert_int_equal(tqi_order_choose(&all->spec, &all->samples, all->spec.partitions, &run), TQ_OK);
    assert_int_equal(tqi_splitters_init(&all->splitters, &all->spec, run ? run->data : NULL), TQ_OK);
    tqi_run_free(&all->spec, run);
    assert_true(all->splitters.rows.n < all->spec.partitions);
    tqi_router router;
    assert_int_equal(tqi_router_init(&router, &all->splitters, 0, take_ranges, all), TQ_OK);
    for (size_t p = 0; p < PARTS; p++) {
        for (size_t i = 0; i < all->parts[p].n; i++)
            tqi_account_entry(&all->spec, &all->spec.result_shape, &all->parts[p].entries[i], &before);
        assert_int_equal(tqi_router_put(&router, all->parts[p].entries, all->parts[p].n, &after), TQ_OK);
        if (p % 5 == 4 || p == PARTS - 1) { /* at any time, and at the end */
            assert_int_equal(tqi_router_take(&router, &run), TQ_OK);
            if (run)
                take_ranges(all, run);
            assert_int_equal(tqi_router_take(&router, &run), TQ_OK);
            assert_null(run);
        }
    }
    tqi_router_free(&router);
    assert_int_equal(before.records, after.records);
    assert_int_equal(before.weight, after.weight);
    assert_int_equal(before.check, after.check);
}

/* The ranges, each sorted, one behind the other, are all rows in order. */
static void assert_ordered(world *all)
{
    const tqi_value_shape *shape = &all->spec.result_shape;
    tqi_rows whole;
    size_t at = 0;

    tqi_rows_init(&whole, &all->budget);
    for (size_t p = 0; p < PARTS; p++)
        for (size_t i = 0; i < all->parts[p].n; i++) {
            const tqi_entry *entry = &all->parts[p].entries[i];
            assert_int_equal(tqi_rows_append(&whole, shape, tqi_entry_key(entry), (int64_t)entry->value,
                                             tqi_entry_value(shape, entry)),
                             TQ_OK);
        }
    tqi_rows_sort(&whole, all->spec.order, shape);
    for (uint32_t r = 0; r < all->spec.partitions; r++) {
        tqi_rows_sort(&all->ranges[r], all->spec.order, shape);
        for (size_t i = 0; i < all->ranges[r].n; i++, at++)
            assert_int_equal(tqi_rows_compare(all->spec.order, shape, &all->ranges[r].entries[i], &whole.entries[at]),
                             0);
    }
    assert_int_equal(at, all->n);
    tqi_rows_free(&whole);
}

static void assert_balanced(const world *all)
{
    for (uint32_t r = 0; r < all->spec.partitions; r++)
        assert_true(all->ranges[r].n <= 2 * all->n / all->spec.partitions);
}

/* 100 000 random keys in parts of different sizes, each sorted, as the reducers leave them, or not. */
static void check_random(tq_order order, int type, uint32_t ranges, bool sorted)
{
    world all;
    uint64_t random = 121;

    world_open(&all, order, type, ranges);
    for (int i = 0; i < 100000; i++) {
        char key[120];
        size_t size = 4 + random_below(&random, i % 10 ? 20 : sizeof key - 4);
        size_t part = random_below(&random, PARTS);
        for (size_t b = 0; b < size; b++)
            key[b] = (char)random_next(&random);
        add(&all, part * part / PARTS, (tq_slice){key, size}, (int64_t)random_next(&random) >> 10);
    }
    for (size_t p = 0; p < PARTS && sorted; p++)
        tqi_rows_sort(&all.parts[p], TQ_ORDER_NONE, &all.spec.result_shape);
    order_everything(&all);
    assert_int_equal(all.splitters.rows.n, ranges - 1); /* there are samples enough */
    assert_ordered(&all);
    assert_balanced(&all);
    world_close(&all);
}

static void test_random_keys(void **state)
{
    (void)state;
    check_random(TQ_ORDER_KEY, TQ_I64, 16, true);
    check_random(TQ_ORDER_KEY, TQ_FIXED, 5, false);
    check_random(TQ_ORDER_KEY, TQ_BYTES, 64, true);
    check_random(TQ_ORDER_KEY, TQ_I64, 300, false); /* more than may be open at once */
    check_random(TQ_ORDER_VALUE_DESC, TQ_I64, 16, false);
    check_random(TQ_ORDER_VALUE_DESC, TQ_I64, 2, true);
    check_random(TQ_ORDER_KEY, TQ_I64, 1, true);
}

/* Word counts: most values are small and equal, so only the keys can divide them. */
static void test_skewed_values(void **state)
{
    world all;
    uint64_t random = 122;

    (void)state;
    world_open(&all, TQ_ORDER_VALUE_DESC, TQ_I64, 12);
    for (int i = 0; i < 100000; i++) {
        char key[32];
        size_t size = (size_t)sprintf(key, "%d", i);
        add(&all, random_below(&random, PARTS), (tq_slice){key, size}, 1 + 100000 / (i + 1));
    }
    order_everything(&all);
    assert_ordered(&all);
    assert_balanced(&all);
    world_close(&all);
}

/* Keys that agree in all that a splitter keeps, and rows that are all alike. */
static void test_keys_alike(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        world all;
        char key[200];
        memset(key, 'k', sizeof key);
        world_open(&all, TQ_ORDER_KEY, TQ_BYTES, 7);
        for (int i = 0; i < 5000; i++) {
            if (way == 1)
                sprintf(key + 100, "%05d", i * 7 % 5000);
            add(&all, (size_t)i % PARTS, (tq_slice){key, way == 2 ? (size_t)(i * 13 % 200) : 150}, way ? i : 7);
        }
        order_everything(&all);
        assert_ordered(&all);
        world_close(&all);
    }
}

/* Fewer rows than ranges, down to none at all. */
static void test_few_rows(void **state)
{
    (void)state;
    for (int n = 0; n < 40; n++) {
        for (uint32_t ranges = 1; ranges < 40; ranges += 6) {
            world all;
            world_open(&all, TQ_ORDER_KEY, TQ_I64, ranges);
            for (int i = 0; i < n; i++) {
                char key[32];
                size_t size = (size_t)sprintf(key, "%d", i * 17 % 40);
                add(&all, (size_t)(i * i) % PARTS, (tq_slice){key, size}, i);
            }
            order_everything(&all);
            assert_ordered(&all);
            world_close(&all);
        }
    }
}

/* However many rows it sees, a sampler keeps a bounded number, evenly spread, of keys cut short. */
static void test_sampler(void **state)
{
    enum { ROWS = 2000000, AT_ONCE = 1000 };
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(TQ_COMBINE_NONE, TQ_I64, 0, 4, &budget);
    tqi_sampler sampler;
    tqi_rows rows;
    char key[500];

    (void)state;
    tqi_sampler_init(&sampler, &spec);
    tqi_rows_init(&rows, NULL);
    memset(key, 'k', sizeof key);
    for (int64_t i = 0; i < ROWS; i += AT_ONCE) {
        tqi_rows_clear(&rows);
        for (int64_t j = 0; j < AT_ONCE; j++)
            assert_int_equal(tqi_rows_append(&rows, &spec.result_shape, (tq_slice){key, j % 100 ? 3 : sizeof key},
                                             i + j, (tq_slice){NULL, 0}),
                             TQ_OK);
        tqi_sampler_see(&sampler, rows.entries, rows.n);
        assert_true(sampler.rows.n <= 20000);
    }
    assert_true(budget.used < 8 << 20);
    assert_true((sampler.step & (sampler.step - 1)) == 0);
    assert_true(sampler.rows.n >= 5000);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < sampler.rows.n; i++) {
            assert_true(sampler.rows.entries[i].size <= 64);
            uint64_t number = sampler.rows.entries[i].value;
            assert_true(i == 0 || number > sampler.rows.entries[i - 1].value);
            /* the i-th of every step rows, give or take what thinning has moved it by */
            assert_true(number / sampler.step + 2 >= i && number / sampler.step <= i + 2);
        }
        size_t before = sampler.rows.n;
        tqi_sampler_thin(&sampler, 2 * sampler.step);
        assert_int_equal(sampler.rows.n, (before + 1) / 2);
    }
    tqi_sampler_thin(&sampler, 1); /* never more again */
    tqi_rows_free(&rows);
    tqi_sampler_free(&sampler);
    assert_int_equal(budget.used, 0);
}

static void test_no_memory(void **state)
{
    world all;
    tqi_run *run = NULL;

    (void)state;
    world_open(&all, TQ_ORDER_KEY, TQ_I64, 4);
    for (int i = 0; i < 1000; i++) {
        char key[32];
        size_t size = (size_t)sprintf(key, "%d", i);
        add(&all, 0, (tq_slice){key, size}, i);
    }
    tqi_sampler sampler, fresh, *samplers[] = {&sampler};
    tqi_sampler_init(&sampler, &all.spec);
    tqi_sampler_see(&sampler, all.parts[0].entries, all.parts[0].n);
    assert_true(sampler.rows.n > 50);
    for (uint64_t more = 0; more < 3000; more += 500) {
        all.budget.limit = all.budget.used + more + 1;
        tqi_sampler_init(&fresh, &all.spec);
        tqi_sampler_see(&fresh, all.parts[0].entries, all.parts[0].n);
        assert_true(more < 64 * sizeof(tqi_entry) ? fresh.rows.n == 0 : fresh.rows.n > 0); /* fewer, but no failure */
        tqi_sampler_free(&fresh);
        assert_int_equal(tqi_order_sample(&all.spec, samplers, 1, 1000, &run),
                         more < 64 * sizeof(tqi_entry) ? TQ_E_MEMORY : TQ_OK);
        if (more >= 64 * sizeof(tqi_entry))
            tqi_run_free(&all.spec, run);
        run = NULL;
        assert_int_equal(all.budget.used, all.budget.limit - more - 1);
    }
    tqi_sampler_free(&sampler);
    world_close(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_keys), cmocka_unit_test(test_skewed_values), cmocka_unit_test(test_keys_alike),
        cmocka_unit_test(test_few_rows),    cmocka_unit_test(test_sampler),       cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
