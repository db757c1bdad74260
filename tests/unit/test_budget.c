/* The budget: what is taken is counted, what does not fit is refused and not counted. */
#include "common/budget.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static void test_take_and_give(void **state)
{
    tqi_budget budget = {.limit = 100};

    (void)state;
    assert_true(tqi_budget_take(&budget, 60));
    assert_false(tqi_budget_take(&budget, 41));
    assert_int_equal(budget.used, 60);
    assert_true(tqi_budget_take(&budget, 40));
    assert_int_equal(budget.used, 100);
    assert_false(tqi_budget_take(&budget, 1));
    assert_true(tqi_budget_take(&budget, 0));
    tqi_budget_give(&budget, 100);
    assert_int_equal(budget.used, 0);
    assert_true(tqi_budget_take(&budget, 100));
}

static void test_no_bound(void **state)
{
    tqi_budget budget = {0};

    (void)state;
    assert_true(tqi_budget_take(&budget, (uint64_t)1 << 62));
    assert_int_equal(budget.used, (uint64_t)1 << 62);
    assert_true(tqi_budget_take(NULL, UINT64_MAX));
    tqi_budget_give(NULL, UINT64_MAX);
}

/* A number so large that the sum wraps around is refused too. */
static void test_sum_does_not_wrap(void **state)
{
    tqi_budget budget = {.limit = 100};

    (void)state;
    assert_true(tqi_budget_take(&budget, 50));
    assert_false(tqi_budget_take(&budget, UINT64_MAX));
    assert_int_equal(budget.used, 50);
    assert_false(tqi_budget_take(&budget, UINT64_MAX - 40));
    assert_int_equal(budget.used, 50);
}

static void test_alloc_and_free(void **state)
{
    tqi_budget budget = {.limit = 1000};

    (void)state;
    char *memory = tqi_budget_alloc(&budget, 600);
    assert_non_null(memory);
    memset(memory, 1, 600);
    assert_int_equal(budget.used, 600);
    assert_null(tqi_budget_alloc(&budget, 401));
    assert_int_equal(budget.used, 600);
    void *nothing = tqi_budget_alloc(&budget, 0);
    assert_non_null(nothing);
    assert_int_equal(budget.used, 600);
    tqi_budget_free(&budget, nothing, 0);
    tqi_budget_free(&budget, NULL, 600);
    assert_int_equal(budget.used, 600);
    tqi_budget_free(&budget, memory, 600);
    assert_int_equal(budget.used, 0);
    memory = tqi_budget_alloc(NULL, 10);
    assert_non_null(memory);
    tqi_budget_free(NULL, memory, 10);
}

/* What the system does not have is not counted either. The sanitizers end a program that asks for that much. */
static void test_no_memory(void **state)
{
    tqi_budget budget = {0};

    (void)state;
#ifdef TEQUIO_SANITIZED
    skip();
#endif
    assert_null(tqi_budget_alloc(&budget, SIZE_MAX / 2 + 1));
    assert_int_equal(budget.used, 0);
    assert_null(tqi_budget_alloc(&budget, SIZE_MAX - 10));
    assert_int_equal(budget.used, 0);
}

static void test_realloc_keeps_bytes(void **state)
{
    tqi_budget budget = {.limit = 1000};

    (void)state;
    char *memory = tqi_budget_realloc(&budget, NULL, 0, 100);
    assert_non_null(memory);
    for (int i = 0; i < 100; i++)
        memory[i] = (char)i;
    assert_int_equal(budget.used, 100);
    assert_null(tqi_budget_realloc(&budget, memory, 100, 1001));
    assert_int_equal(budget.used, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(memory[i], i);
    memory = tqi_budget_realloc(&budget, memory, 100, 500);
    assert_non_null(memory);
    assert_int_equal(budget.used, 500);
    for (int i = 0; i < 100; i++)
        assert_int_equal(memory[i], i);
    memory = tqi_budget_realloc(&budget, memory, 500, 50);
    assert_non_null(memory);
    for (int i = 0; i < 50; i++)
        assert_int_equal(memory[i], i);
    assert_int_equal(budget.used, 50);
    tqi_budget_free(&budget, memory, 50);
    assert_int_equal(budget.used, 0);
}

/* Large blocks come from huge pages; they are counted as they were asked for, and grow with what is in them. */
static void test_large_blocks(void **state)
{
    tqi_budget budget = {0};
    const size_t sizes[] = {1 << 20, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (9 << 20) + 12345};

    (void)state;
    char *memory = NULL;
    size_t old = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memory = tqi_budget_realloc(&budget, memory, old, sizes[i]);
        assert_non_null(memory);
        assert_int_equal(budget.used, sizes[i]);
        for (size_t at = 0; at < old; at += 4096)
            assert_int_equal(memory[at], (char)(at >> 12));
        for (size_t at = old; at < sizes[i]; at++)
            memory[at] = (char)(at >> 12);
        old = (sizes[i] + 4095) & ~(size_t)4095;
        old = old > sizes[i] ? sizes[i] : old;
    }
    tqi_budget_free(&budget, memory, old);
    assert_int_equal(budget.used, 0);
}

enum { ROUNDS = 300000 };

typedef struct greedy {
    tqi_budget budget;
    pthread_barrier_t start;
    atomic_bool stop;
    int got;
} greedy;

static void *ask_for_too_much(void *argument)
{
    greedy *shared = argument;

    pthread_barrier_wait(&shared->start);
    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed))
        shared->got += tqi_budget_take(&shared->budget, 1000);
    return NULL;
}

/* A refusal takes nothing, not even for a moment: others who ask meanwhile get what is there. */
static void test_refusals_do_not_disturb_others(void **state)
{
    greedy shared = {.budget = {.limit = 1000}};
    pthread_t thread;
    int refused = 0;

    (void)state;
    assert_true(tqi_budget_take(&shared.budget, 1));
    assert_int_equal(pthread_barrier_init(&shared.start, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, ask_for_too_much, &shared), 0);
    pthread_barrier_wait(&shared.start);
    for (int i = 0; i < 10 * ROUNDS; i++) {
        if (tqi_budget_take(&shared.budget, 10))
            tqi_budget_give(&shared.budget, 10);
        else
            refused++;
    }
    atomic_store(&shared.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&shared.start);
    assert_int_equal(shared.got, 0);
    assert_int_equal(refused, 0);
    assert_int_equal(shared.budget.used, 1);
}

static void *take_and_give(void *argument)
{
    tqi_budget *budget = argument;

    for (int i = 0; i < ROUNDS; i++)
        if (tqi_budget_take(budget, 3))
            tqi_budget_give(budget, 3);
    return NULL;
}

static void test_threads_leave_nothing(void **state)
{
    tqi_budget budget = {.limit = 7};
    pthread_t threads[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &budget), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(budget.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_and_give),
        cmocka_unit_test(test_no_bound),
        cmocka_unit_test(test_sum_does_not_wrap),
        cmocka_unit_test(test_alloc_and_free),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_realloc_keeps_bytes),
        cmocka_unit_test(test_large_blocks),
        cmocka_unit_test(test_refusals_do_not_disturb_others),
        cmocka_unit_test(test_threads_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
