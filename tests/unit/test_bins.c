/* Bins: every record comes out of the bin of its key's hash, as it was put in. */
#include "node/bins.h"

#include "common/account.h"
#include "node/rows.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { LONGEST = 5000 };

typedef struct world {
    tqi_budget budget;
    tqi_pool pool;
    tqi_spec spec;
    tqi_bins bins;
    tqi_rows put, got; /* got: one bin behind the other */
} world;

static void world_open(world *all, int type, uint32_t partitions, uint64_t most)
{
    memset(all, 0, sizeof *all);
    all->spec = spec_of(TQ_COMBINE_NONE, type, 6, partitions, &all->budget);
    tqi_pool_init(&all->pool, &all->budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all->spec.pool = &all->pool;
    assert_int_equal(tqi_bins_init(&all->bins, &all->spec, tqi_bins_count(all->spec.partitions), most), TQ_OK);
    tqi_rows_init(&all->put, NULL);
    tqi_rows_init(&all->got, NULL);
}

static void world_close(world *all)
{
    tqi_bins_free(&all->bins);
    tqi_rows_free(&all->put);
    tqi_rows_free(&all->got);
    tqi_pool_free(&all->pool);
    assert_int_equal(all->budget.used, 0);
}

static tq_status put(world *all, tq_slice key, int64_t number, tq_slice value, bool anyway)
{
    tqi_key loaded =
        key.size > TQI_KEY_INLINE ? tqi_key_borrow_long(key.data, key.size) : tqi_key_load_short(key.data, key.size);
    tq_status status = tqi_bins_put(&all->bins, &loaded, tqi_key_hash(&loaded), number, value, anyway);

    if (!status)
        assert_int_equal(tqi_rows_append(&all->put, &all->spec.shape, key, number, value), TQ_OK);
    return status;
}

/* A random record, from one byte to much more than a block. */
static tq_status put_random(world *all, uint64_t *random, bool anyway)
{
    char key[LONGEST], value[LONGEST];
    size_t size = random_below(random, 10) ? random_below(random, 25) : random_below(random, 300);
    size_t bytes = all->spec.shape.type == TQ_FIXED ? 6 : random_below(random, 60);

    if (random_below(random, 200) == 0)
        size = random_below(random, LONGEST);
    if (random_below(random, 200) == 0 && all->spec.shape.type == TQ_BYTES)
        bytes = random_below(random, LONGEST);
    random_text(random, "abc\0\xff", 5, key, size);
    random_text(random, "0123456789", 10, value, bytes);
    int64_t number = (int64_t)random_next(random) >> random_below(random, 64);
    return put(all, (tq_slice){key, size}, number, (tq_slice){value, bytes}, anyway);
}

static void take(world *all, uint32_t b)
{
    for (tqi_run *page = tqi_bins_take(&all->bins, b), *next; page; page = next) {
        tqi_page_header header = tqi_page_read_header(page->data);
        size_t before = all->got.n;
        next = page->next;
        assert_int_equal(header.magic, TQI_PAGE_MAGIC);
        assert_int_equal(header.partition, b);
        assert_int_equal(header.records, page->records);
        assert_int_equal(header.payload + TQI_PAGE_HEADER, page->bytes);
        assert_true(page->records > 0);
        assert_true(page->capacity >= page->bytes + TQI_KEY_SLACK);
        assert_int_equal(tqi_rows_append_page(&all->got, &all->spec.shape, page->data, false), TQ_OK);
        for (size_t i = before; i < all->got.n; i++)
            assert_int_equal(tqi_partition_of(all->got.entries[i].hash32, all->bins.n), b);
        tqi_run_free(&all->spec, page);
    }
    assert_null(tqi_bins_take(&all->bins, b));
}

/* What was put in and what was taken out, both sorted, are the same. */
static void assert_same(world *all)
{
    tq_account account = {0};

    assert_int_equal(all->got.n, all->put.n);
    for (size_t i = 0; i < all->put.n; i++)
        tqi_account_entry(&all->spec, &all->spec.shape, &all->put.entries[i], &account);
    assert_int_equal(all->bins.written.records, account.records);
    assert_int_equal(all->bins.written.weight, account.weight);
    assert_int_equal(all->bins.written.check, account.check);
    tqi_rows_sort(&all->put, TQ_ORDER_NONE, &all->spec.shape);
    tqi_rows_sort(&all->got, TQ_ORDER_NONE, &all->spec.shape);
    for (size_t i = 0; i < all->put.n; i++)
        assert_int_equal(tqi_rows_compare(TQ_ORDER_NONE, &all->spec.shape, &all->put.entries[i], &all->got.entries[i]),
                         0);
}

static void check_random(int type, uint32_t partitions)
{
    world all;
    uint64_t random = 171;

    world_open(&all, type, partitions, UINT64_MAX / 2);
    assert_int_equal(all.bins.n, partitions <= TQI_MOST_BINS ? partitions : TQI_FEWER_BINS);
    assert_int_equal(all.bins.whole, partitions <= TQI_MOST_BINS);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(put_random(&all, &random, i % 2), TQ_OK);
        assert_true(all.budget.used >= all.bins.bytes);
        if (random_below(&random, 500) == 0)
            take(&all, (uint32_t)random_below(&random, all.bins.n));
    }
    for (uint32_t b = 0; b < all.bins.n; b++)
        take(&all, b);
    assert_int_equal(all.bins.bytes, 0);
    assert_same(&all);
    world_close(&all);
}

static void test_random(void **state)
{
    static const uint32_t partitions[] = {1, 2, 7, 512, TQI_MOST_BINS, TQI_MOST_BINS + 1, 16384};

    (void)state;
    for (size_t p = 0; p < sizeof partitions / sizeof partitions[0]; p++) {
        check_random(TQ_I64, partitions[p]);
        check_random(TQ_FIXED, partitions[p]);
        check_random(TQ_BYTES, partitions[p]);
    }
}

/* Short records written directly fit wherever the bin says that they do, up to its last byte. */
static void test_short_records(void **state)
{
    world all;
    uint64_t random = 172;

    (void)state;
    world_open(&all, TQ_I64, 3, UINT64_MAX / 2);
    for (int i = 0; i < 20000; i++) {
        char text[] = "0123456789abcdef";
        size_t size = i < 5000 ? TQI_KEY_INLINE : i < 10000 ? 0 : random_below(&random, TQI_KEY_INLINE + 1);
        int64_t number = i % 3 ? INT64_MIN : i;
        text[0] = (char)('a' + i % 26);
        tqi_key key = tqi_key_load_short(text, size);
        uint64_t hash = tqi_key_hash(&key);
        tqi_bin *bin = tqi_bin_of(&all.bins, hash);
        if (bin->at >= bin->end) {
            assert_int_equal(put(&all, (tq_slice){text, size}, number, (tq_slice){NULL, 0}, false), TQ_OK);
            continue;
        }
        tqi_account_pair(&all.spec, hash, number, (tq_slice){NULL, 0}, &all.bins.written);
        tqi_bin_write(bin, key.word[0], key.word[1], (uint32_t)size, tqi_zigzag(number));
        assert_true(bin->at + TQI_KEY_SLACK <= bin->newest->data + bin->newest->capacity);
        assert_int_equal(
            tqi_rows_append(&all.put, &all.spec.shape, (tq_slice){text, size}, number, (tq_slice){NULL, 0}), TQ_OK);
    }
    for (uint32_t b = 0; b < 3; b++)
        take(&all, b);
    assert_same(&all);
    world_close(&all);
}

/* Full bins refuse a new page, and change nothing; anyway they do not. */
static void test_full(void **state)
{
    world all;
    uint64_t random = 173;
    tq_status status;

    (void)state;
    world_open(&all, TQ_BYTES, 5, 20 * TQI_SMALLEST_BLOCK_BYTES);
    for (int round = 0; round < 20; round++) {
        while ((status = put_random(&all, &random, false)) == TQ_OK)
            assert_true(all.bins.bytes <= all.bins.most + 2 * LONGEST + 2 * TQI_SMALLEST_BLOCK_BYTES);
        assert_int_equal(status, TQ_E_AGAIN);
        assert_int_equal(all.bins.written.records, all.put.n);
        uint64_t bytes = all.bins.bytes;
        char large[TQI_SMALLEST_BLOCK_BYTES] = {0};
        assert_int_equal(put(&all, (tq_slice){large, sizeof large}, 0, (tq_slice){NULL, 0}, false), TQ_E_AGAIN);
        assert_int_equal(put(&all, (tq_slice){large, sizeof large}, 0, (tq_slice){NULL, 0}, true), TQ_OK);
        assert_true(all.bins.bytes > bytes);
        for (uint32_t b = 0; b < all.bins.n; b++)
            take(&all, b);
        assert_int_equal(all.bins.bytes, 0);
    }
    assert_same(&all);
    world_close(&all);
}

/* The budget is like full bins; what is larger than a block is not given, even anyway. */
static void test_budget(void **state)
{
    world all;
    char large[TQI_SMALLEST_BLOCK_BYTES] = {0};

    (void)state;
    world_open(&all, TQ_I64, 5, UINT64_MAX / 2);
    all.budget.limit = 1;
    assert_int_equal(put(&all, slice_of("key"), 1, (tq_slice){NULL, 0}, false), TQ_E_AGAIN);
    assert_int_equal(put(&all, (tq_slice){large, sizeof large}, 1, (tq_slice){NULL, 0}, false), TQ_E_AGAIN);
    assert_int_equal(put(&all, (tq_slice){large, sizeof large}, 1, (tq_slice){NULL, 0}, true), TQ_E_MEMORY);
    assert_int_equal(all.bins.bytes, 0);
    assert_int_equal(put(&all, slice_of("key"), 1, (tq_slice){NULL, 0}, true), TQ_OK);
    assert_int_equal(put(&all, slice_of("key"), 2, (tq_slice){NULL, 0}, false), TQ_OK);
    all.budget.limit = 0;
    assert_int_equal(put(&all, (tq_slice){large, sizeof large}, 3, (tq_slice){NULL, 0}, false), TQ_OK);
    for (uint32_t b = 0; b < all.bins.n; b++)
        take(&all, b);
    assert_same(&all);
    world_close(&all);
}

/* A page cannot hold it, whatever the memory. */
static void test_too_large_for_a_page(void **state)
{
    world all;

    (void)state;
    world_open(&all, TQ_BYTES, 5, UINT64_MAX / 2);
    assert_int_equal(tqi_bins_open(&all.bins, &all.bins.bins[0], (uint64_t)TQI_PAGE_PAYLOAD_MAX + 1, true),
                     TQ_E_MEMORY);
    world_close(&all);
}

/* Freed with pages in it, and twice. */
static void test_freed_with_pages(void **state)
{
    world all;
    uint64_t random = 174;

    (void)state;
    world_open(&all, TQ_BYTES, 5, UINT64_MAX / 2);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(put_random(&all, &random, false), TQ_OK);
    tqi_bins_free(&all.bins);
    world_close(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_short_records),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_too_large_for_a_page),
        cmocka_unit_test(test_freed_with_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
