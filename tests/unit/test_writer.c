/* Writing entries into pages: all of them, in order, in pages of one partition that fit their blocks. */
#include "node/writer.h"

#include "common/account.h"
#include "node/rows.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static const tqi_value_shape shapes[] = {{TQ_I64, 0}, {TQ_FIXED, 5}, {TQ_BYTES, 0}};

typedef struct world {
    tqi_budget budget;
    tqi_pool pool;
    tqi_spec spec;
    tqi_rows rows, got;
    uint64_t pages, own_memory; /* of its own: not a block */
} world;

static void deliver(void *owner, tqi_run *run)
{
    world *all = owner;
    tqi_page_header header = tqi_page_read_header(run->data);

    assert_null(tqi_page_validate(run->data, run->bytes));
    assert_int_equal(header.partition, 77);
    assert_int_equal(header.payload + TQI_PAGE_HEADER, run->bytes);
    assert_int_equal(header.records, run->records);
    assert_true(run->records > 0 && run->capacity >= run->bytes + TQI_KEY_SLACK);
    assert_int_equal(tqi_rows_append_page(&all->got, &all->spec.shape, run->data, false), TQ_OK);
    all->pages++;
    all->own_memory += run->pool == NULL;
    tqi_run_free(&all->spec, run);
}

static void world_open(world *all, tq_combine combine, const tqi_value_shape *shape)
{
    memset(all, 0, sizeof *all);
    all->spec = spec_of(combine, shape->type, shape->bytes, 100, &all->budget);
    tqi_pool_init(&all->pool, &all->budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all->spec.pool = &all->pool;
    tqi_rows_init(&all->rows, NULL);
    tqi_rows_init(&all->got, NULL);
}

static void world_close(world *all)
{
    tqi_rows_free(&all->rows);
    tqi_rows_free(&all->got);
    tqi_pool_free(&all->pool);
    assert_int_equal(all->budget.used, 0);
}

static void fill(world *all, size_t n, size_t longest, uint64_t *random)
{
    char *key = malloc(longest + 1), *value = malloc(longest + 1);

    assert_true(key && value);
    for (size_t i = 0; i < n; i++) {
        size_t size = random_below(random, 20) ? random_below(random, 20) : random_below(random, longest + 1);
        size_t bytes = all->spec.shape.type == TQ_FIXED ? 5 : random_below(random, size + 1);
        size = size < longest ? size : longest;
        bytes = bytes < longest || all->spec.shape.type == TQ_FIXED ? bytes : longest;
        random_text(random, "abc\0\xff", 5, key, size);
        memset(value, (int)i, longest + 1);
        assert_int_equal(tqi_rows_append(&all->rows, &all->spec.shape, (tq_slice){key, size},
                                         (int64_t)random_next(random) >> random_below(random, 64),
                                         (tq_slice){value, bytes}),
                         TQ_OK);
    }
    free(key);
    free(value);
}

static tqi_writer writer_of(world *all, tq_account *account)
{
    return (tqi_writer){.spec = &all->spec,
                        .shape = &all->spec.shape,
                        .partition = 77,
                        .deliver = deliver,
                        .owner = all,
                        .account = account};
}

static void assert_written(const world *all, const tq_account *account)
{
    tq_account expected = {0};

    assert_int_equal(all->got.n, all->rows.n);
    for (size_t i = 0; i < all->rows.n; i++) {
        tqi_account_entry(&all->spec, &all->spec.shape, &all->rows.entries[i], &expected);
        assert_int_equal(tqi_rows_compare(TQ_ORDER_KEY, &all->spec.shape, &all->rows.entries[i], &all->got.entries[i]),
                         0);
    }
    assert_int_equal(account->records, expected.records);
    assert_int_equal(account->weight, expected.weight);
    assert_int_equal(account->check, expected.check);
}

static void check(tq_combine combine, const tqi_value_shape *shape, size_t n, size_t longest, size_t at_once)
{
    world all;
    tq_account account = {0};
    uint64_t random = 181;

    world_open(&all, combine, shape);
    fill(&all, n, longest, &random);
    tqi_writer writer = writer_of(&all, &account);
    for (size_t at = 0, some; at < n; at += some) {
        some = n - at < at_once ? n - at : at_once;
        assert_int_equal(tqi_writer_put(&writer, all.rows.entries + at, some), TQ_OK);
    }
    tqi_writer_finish(&writer);
    assert_null(writer.page);
    uint64_t pages = all.pages;
    tqi_writer_finish(&writer); /* there is nothing more */
    assert_int_equal(all.pages, pages);
    assert_written(&all, &account);
    assert_true(n == 0 ? pages == 0 : pages > 0 && pages <= n);
    assert_true(longest > 2 * TQI_SMALLEST_BLOCK_BYTES ? n < 1000 || all.own_memory > 0
                                                       : longest > 300 || all.own_memory == 0);
    world_close(&all);
}

static void test_round_trip(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 100, 5000}, longest[] = {16, 40, 300, 5000};

    (void)state;
    for (size_t s = 0; s < 3; s++)
        for (size_t n = 0; n < 5; n++)
            for (size_t l = 0; l < 4; l++) {
                check(TQ_COMBINE_NONE, &shapes[s], sizes[n], longest[l], 1);
                check(TQ_COMBINE_NONE, &shapes[s], sizes[n], longest[l], 70);
                check(TQ_COMBINE_NONE, &shapes[s], sizes[n], longest[l], SIZE_MAX);
            }
    check(TQ_SUM, &shapes[0], 5000, 40, 13);
}

/* Pages are filled: no more of them than the bytes need. */
static void test_pages_are_full(void **state)
{
    world all;
    tq_account account = {0};
    uint64_t random = 182, bytes = 0;

    (void)state;
    world_open(&all, TQ_COMBINE_NONE, &shapes[0]);
    fill(&all, 20000, 16, &random);
    for (size_t i = 0; i < all.rows.n; i++)
        bytes += tqi_encoded_size(&shapes[0], &all.rows.entries[i]);
    tqi_writer writer = writer_of(&all, &account);
    assert_int_equal(tqi_writer_put(&writer, all.rows.entries, all.rows.n), TQ_OK);
    tqi_writer_finish(&writer);
    assert_true(all.pages <= bytes / (TQI_SMALLEST_BLOCK_BYTES - sizeof(tqi_run) - TQI_PAGE_HEADER - 2 * 27) + 1);
    world_close(&all);
}

/* Blocks are given whatever the budget says; a record larger than a block is not. Given up, nothing is delivered. */
static void test_budget(void **state)
{
    world all;
    tq_account account = {0};
    char large[TQI_SMALLEST_BLOCK_BYTES] = {0};

    (void)state;
    world_open(&all, TQ_COMBINE_NONE, &shapes[0]);
    all.budget.limit = 1;
    assert_int_equal(tqi_rows_append(&all.rows, &shapes[0], slice_of("key"), 1, (tq_slice){NULL, 0}), TQ_OK);
    assert_int_equal(tqi_rows_append(&all.rows, &shapes[0], (tq_slice){large, sizeof large}, 2, (tq_slice){NULL, 0}),
                     TQ_OK);
    tqi_writer writer = writer_of(&all, &account);
    assert_int_equal(tqi_writer_put(&writer, all.rows.entries, 1), TQ_OK);
    assert_true(all.budget.used > all.budget.limit);
    tqi_writer_discard(&writer);
    tqi_writer_discard(&writer);
    assert_int_equal(all.pages, 0);
    writer = writer_of(&all, &account);
    assert_int_equal(tqi_writer_put(&writer, all.rows.entries, 2), TQ_E_MEMORY);
    tqi_writer_discard(&writer);
    all.budget.limit = 0;
    account = (tq_account){0};
    all.got.n = 0;
    writer = writer_of(&all, &account);
    assert_int_equal(tqi_writer_put(&writer, all.rows.entries, 2), TQ_OK);
    tqi_writer_finish(&writer);
    assert_written(&all, &account);
    world_close(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_pages_are_full),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
