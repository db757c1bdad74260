/* The pool of blocks: no two of them overlap, slabs come and go, and the budget knows. */
#include "node/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { MOST = 1500, THREADS = 4 };

/* A block that is in use is full of a number of its own. */
static void mark(void *block, size_t bytes, uint64_t number)
{
    uint64_t *words = block;

    for (size_t i = 0; i < bytes / sizeof number; i++)
        words[i] = number;
}

static bool is_marked(const void *block, size_t bytes, uint64_t number)
{
    const uint64_t *words = block;

    for (size_t i = 0; i < bytes / sizeof number; i++)
        if (words[i] != number)
            return false;
    return true;
}

static size_t slab_bytes(const tqi_pool *pool)
{
    return TQI_BLOCKS_PER_SLAB * pool->block_bytes;
}

static void check_random(size_t block_bytes)
{
    tqi_budget budget = {0};
    tqi_pool pool;
    void *blocks[MOST];
    uint64_t numbers[MOST], random = 161;
    size_t n = 0, most = 0;

    tqi_pool_init(&pool, &budget, block_bytes, TQI_BLOCKS_PER_SLAB * block_bytes);
    for (uint64_t i = 0; i < 30000; i++) {
        /* Mostly more, then mostly less. */
        bool more = random_below(&random, 100) < (i / 5000 % 2 ? 30 : 70);
        if (more && n < MOST) {
            blocks[n] = tqi_pool_take(&pool, false);
            assert_non_null(blocks[n]);
            assert_int_equal((uintptr_t)blocks[n] % block_bytes, 0);
            numbers[n] = i;
            mark(blocks[n++], block_bytes, i);
            most = n > most ? n : most;
        } else if (!more && n > 0) {
            size_t which = random_below(&random, n);
            assert_true(is_marked(blocks[which], block_bytes, numbers[which]));
            tqi_pool_give(&pool, blocks[which]);
            blocks[which] = blocks[--n];
            numbers[which] = numbers[n];
        }
        assert_true(budget.used >= n * block_bytes);
        assert_int_equal(budget.used % slab_bytes(&pool), 0);
    }
    assert_true(most > 2 * TQI_BLOCKS_PER_SLAB);
    while (n > 0) {
        assert_true(is_marked(blocks[n - 1], block_bytes, numbers[n - 1]));
        tqi_pool_give(&pool, blocks[--n]);
    }
    assert_true(budget.used <= 3 * slab_bytes(&pool)); /* a few are kept for the next */
    tqi_pool_free(&pool);
    assert_int_equal(budget.used, 0);
}

static void test_random(void **state)
{
    (void)state;
    check_random(TQI_SMALLEST_BLOCK_BYTES);
    check_random(4 * TQI_SMALLEST_BLOCK_BYTES);
}

/* Slabs of huge pages, aligned so that a block's slab is found by its address. */
static void test_large_blocks(void **state)
{
    tqi_budget budget = {0};
    tqi_pool pool;
    void *blocks[3 * TQI_BLOCKS_PER_SLAB];

    (void)state;
    tqi_pool_init(&pool, &budget, TQI_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_BLOCK_BYTES);
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        blocks[i] = tqi_pool_take(&pool, false);
        assert_non_null(blocks[i]);
        mark(blocks[i], TQI_BLOCK_BYTES, i);
    }
    assert_int_equal(budget.used, 4 * slab_bytes(&pool)); /* a slab's first block is its own */
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        assert_true(is_marked(blocks[i], TQI_BLOCK_BYTES, i));
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        tqi_pool_give(&pool, blocks[i]);
    assert_true(budget.used < 4 * slab_bytes(&pool));
    tqi_pool_free(&pool);
    assert_int_equal(budget.used, 0);
}

/* What is given back is used again before there is anything new. */
static void test_used_again(void **state)
{
    tqi_budget budget = {0};
    tqi_pool pool;
    void *blocks[TQI_BLOCKS_PER_SLAB - 1];

    (void)state;
    tqi_pool_init(&pool, &budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < TQI_BLOCKS_PER_SLAB - 1; i++)
            assert_non_null(blocks[i] = tqi_pool_take(&pool, false));
        assert_int_equal(budget.used, slab_bytes(&pool));
        for (size_t i = 0; i < TQI_BLOCKS_PER_SLAB - 1; i++)
            tqi_pool_give(&pool, blocks[round % 2 ? i : TQI_BLOCKS_PER_SLAB - 2 - i]);
    }
    tqi_pool_free(&pool);
    assert_int_equal(budget.used, 0);
}

/* The budget is asked for slabs, unless they are wanted anyway; blocks of a slab that is there are given. */
static void test_budget(void **state)
{
    tqi_budget budget = {0};
    tqi_pool pool;
    void *blocks[3 * TQI_BLOCKS_PER_SLAB];
    size_t n = 0;

    (void)state;
    tqi_pool_init(&pool, &budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    budget.limit = 2 * slab_bytes(&pool) + 1;
    while ((blocks[n] = tqi_pool_take(&pool, false)) != NULL)
        n++;
    assert_int_equal(n, 2 * (TQI_BLOCKS_PER_SLAB - 1));
    assert_int_equal(budget.used, 2 * slab_bytes(&pool));
    assert_non_null(blocks[n] = tqi_pool_take(&pool, true));
    assert_int_equal(budget.used, 3 * slab_bytes(&pool));
    assert_non_null(blocks[++n] = tqi_pool_take(&pool, false));
    tqi_pool_give(&pool, blocks[0]);
    assert_non_null(blocks[0] = tqi_pool_take(&pool, false));
    for (size_t i = 0; i <= n; i++)
        tqi_pool_give(&pool, blocks[i]);
    tqi_pool_free(&pool);
    assert_int_equal(budget.used, 0);
}

/* Trimmed, a pool has no more slabs than its blocks need, and goes on. */
static void test_trim(void **state)
{
    tqi_budget budget = {0};
    tqi_pool pool;
    void *blocks[5 * (TQI_BLOCKS_PER_SLAB - 1)];
    size_t n = sizeof blocks / sizeof blocks[0];

    (void)state;
    tqi_pool_init(&pool, &budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    tqi_pool_trim(&pool);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < n; i++) {
            assert_non_null(blocks[i] = tqi_pool_take(&pool, false));
            mark(blocks[i], TQI_SMALLEST_BLOCK_BYTES, i);
        }
        tqi_pool_trim(&pool); /* there is nothing to return */
        assert_int_equal(budget.used, 5 * slab_bytes(&pool));
        for (size_t i = 1; i < n; i++)
            tqi_pool_give(&pool, blocks[i]);
        tqi_pool_trim(&pool);
        assert_int_equal(budget.used, slab_bytes(&pool));
        assert_true(is_marked(blocks[0], TQI_SMALLEST_BLOCK_BYTES, 0));
        tqi_pool_give(&pool, blocks[0]);
        tqi_pool_trim(&pool);
        assert_int_equal(budget.used, 0);
    }
    tqi_pool_free(&pool);
}

/* Freed with blocks in use: all of it is given back. */
static void test_free_in_use(void **state)
{
    tqi_budget budget = {0};
    tqi_pool pool;

    (void)state;
    tqi_pool_init(&pool, &budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    tqi_pool_free(&pool);
    tqi_pool_init(&pool, &budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    for (int i = 0; i < 1000; i++)
        assert_non_null(tqi_pool_take(&pool, false));
    tqi_pool_free(&pool);
    assert_int_equal(budget.used, 0);
}

/* ---- Several threads: one takes, another gives back ---- */

enum { HANDED_ON = 64 };

typedef struct crowd {
    tqi_pool *pool;
    _Atomic(void *) handed[HANDED_ON]; /* blocks on their way from one thread to another */
} crowd;

static void *take_and_give(void *argument)
{
    crowd *all = argument;
    uint64_t random = 162 + (uint64_t)(uintptr_t)&random;
    size_t bytes = all->pool->block_bytes;

    for (int i = 0; i < 20000; i++) {
        uint64_t *block = tqi_pool_take(all->pool, false);
        if (!block)
            return argument;
        mark(block, bytes, (uint64_t)(uintptr_t)block);
        uint64_t *other = atomic_exchange(&all->handed[random_below(&random, HANDED_ON)], block);
        if (!other)
            continue;
        if (!is_marked(other, bytes, (uint64_t)(uintptr_t)other))
            return argument;
        tqi_pool_give(all->pool, other);
    }
    return NULL;
}

static void test_threads(void **state)
{
    tqi_budget budget = {0};
    tqi_pool pool;
    pthread_t threads[THREADS];
    static crowd all;

    (void)state;
    tqi_pool_init(&pool, &budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all.pool = &pool;
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, take_and_give, &all), 0);
    for (int t = 0; t < THREADS; t++) {
        void *failed;
        assert_int_equal(pthread_join(threads[t], &failed), 0);
        assert_null(failed);
    }
    for (size_t i = 0; i < HANDED_ON; i++)
        if (all.handed[i])
            tqi_pool_give(&pool, all.handed[i]);
    assert_true(budget.used <= 3 * slab_bytes(&pool));
    tqi_pool_free(&pool);
    assert_int_equal(budget.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random), cmocka_unit_test(test_large_blocks), cmocka_unit_test(test_used_again),
        cmocka_unit_test(test_budget), cmocka_unit_test(test_free_in_use),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_trim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
