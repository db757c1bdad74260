/* The arena: memory that is given back all at once. */
#include "node/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { MOST = 5000 };

/* Blocks of all sizes do not overlap: each keeps the byte it was filled with. */
static void fill_and_check(tqi_arena *arena, uint64_t *random)
{
    static struct {
        unsigned char *memory;
        size_t size;
    } blocks[MOST];
    size_t total = 0;

    for (size_t i = 0; i < MOST; i++) {
        blocks[i].size = i % 1000 == 999 ? 1500000 : random_below(random, i % 10 ? 40 : 3000);
        blocks[i].memory = tqi_arena_alloc(arena, blocks[i].size);
        assert_non_null(blocks[i].memory);
        assert_int_equal((uintptr_t)blocks[i].memory % 8, 0);
        memset(blocks[i].memory, (int)(i % 251), blocks[i].size);
        total += blocks[i].size;
    }
    assert_true(arena->used >= total && arena->used < total + 8 * (size_t)MOST);
    for (size_t i = 0; i < MOST; i++)
        for (size_t at = 0; at < blocks[i].size; at++)
            if (blocks[i].memory[at] != i % 251)
                fail_msg("block %zu has changed", i);
}

static void test_blocks_do_not_overlap(void **state)
{
    tqi_budget budget = {0};
    tqi_arena arena;
    uint64_t random = 21;

    (void)state;
    tqi_arena_init(&arena, &budget);
    for (int round = 0; round < 3; round++) {
        fill_and_check(&arena, &random);
        assert_true(budget.used >= arena.used);
        tqi_arena_reset(&arena);
        assert_int_equal(arena.used, 0);
        assert_true(budget.used < 2 << 20); /* one block is kept, and no huge one */
    }
    tqi_arena_free(&arena);
    assert_int_equal(budget.used, 0);
}

/* After a reset the memory is used again: the budget does not grow. */
static void test_reset_reuses(void **state)
{
    tqi_budget budget = {0};
    tqi_arena arena;

    (void)state;
    tqi_arena_init(&arena, &budget);
    tqi_arena_reset(&arena);
    uint64_t most = 0;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 100; i++)
            assert_non_null(tqi_arena_alloc(&arena, 100));
        if (round == 0)
            most = budget.used;
        assert_true(budget.used <= most);
        tqi_arena_reset(&arena);
    }
    tqi_arena_free(&arena);
    tqi_arena_free(&arena);
    assert_int_equal(budget.used, 0);
}

static void test_huge_block_is_not_kept(void **state)
{
    tqi_budget budget = {0};
    tqi_arena arena;

    (void)state;
    tqi_arena_init(&arena, &budget);
    assert_non_null(tqi_arena_alloc(&arena, 50 << 20));
    tqi_arena_reset(&arena);
    assert_true(budget.used <= 2 << 20);
    assert_non_null(tqi_arena_alloc(&arena, 8));
    assert_true(budget.used <= 2 << 20);
    tqi_arena_free(&arena);
    assert_int_equal(budget.used, 0);
}

/* What the budget refuses changes nothing: what is there stays, and smaller things still go. */
static void test_budget_refuses(void **state)
{
    tqi_budget budget = {.limit = 40000};
    tqi_arena arena;

    (void)state;
    tqi_arena_init(&arena, &budget);
    char *first = tqi_arena_alloc(&arena, 1000);
    assert_non_null(first);
    memset(first, 'x', 1000);
    uint64_t used = budget.used;
    assert_null(tqi_arena_alloc(&arena, 40000));
    assert_int_equal(budget.used, used);
    assert_int_equal(arena.used, 1000);
    assert_non_null(tqi_arena_alloc(&arena, 1000));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(first[i], 'x');
    while (tqi_arena_alloc(&arena, 64))
        assert_true(budget.used <= budget.limit);
    tqi_arena_free(&arena);
    assert_int_equal(budget.used, 0);
}

static void test_nothing(void **state)
{
    tqi_arena arena;

    (void)state;
    tqi_arena_init(&arena, NULL);
    assert_non_null(tqi_arena_alloc(&arena, 0));
    assert_non_null(tqi_arena_alloc(&arena, 0));
    assert_int_equal(arena.used, 0);
    tqi_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_do_not_overlap),
        cmocka_unit_test(test_reset_reuses),
        cmocka_unit_test(test_huge_block_is_not_kept),
        cmocka_unit_test(test_budget_refuses),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
