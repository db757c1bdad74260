/* The front: whatever kernel, whatever keys, what goes in comes out again, once. */
#include "node/front.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { KEYS = 600, KEY_ROOM = 64, ROUNDS = 400 };

typedef struct world {
    char bytes[KEYS][KEY_ROOM]; /* keys of all sizes, each with slack behind it */
    size_t sizes[KEYS];
    uint64_t in[KEYS], out[KEYS]; /* sums */
    tqi_budget budget;
    tqi_front front;
    tqi_batch batch;
} world;

/* Some keys share their first bytes, some end with zeros, and some have many in their middle. */
static void make_keys(world *all, uint64_t *random)
{
    for (size_t k = 0; k < KEYS; k++) {
        all->sizes[k] = random_below(random, 40);
        random_text(random, "ab\0\xff", 4, all->bytes[k], KEY_ROOM);
        if (k % 3)
            memcpy(all->bytes[k], &k, sizeof k);
        if (k % 7 == 0)
            memset(all->bytes[k] + 8, 0, 16);
        all->in[k] = all->out[k] = 0;
    }
}

static tq_slice key_of(const world *all, size_t k)
{
    return (tq_slice){all->bytes[k], all->sizes[k]};
}

/* Count a sum that has moved on. Of keys that are the same the first is counted, in and out. */
static size_t number_of(const world *all, tq_slice key)
{
    for (size_t k = 0; k < KEYS; k++)
        if (slice_equal(key_of(all, k), key))
            return k;
    fail_msg("a key came out that never went in");
    return 0;
}

static void take_evicted(world *all)
{
    const tqi_batch *batch = &all->batch;

    for (size_t i = 0; i < batch->n_evicted; i++) {
        const tqi_evicted *evicted = &batch->evicted[i];
        if (evicted->key.size)
            all->out[number_of(all, (tq_slice){(const char *)evicted->key.word, evicted->key.size})] += evicted->value;
    }
    for (size_t i = 0; i < batch->n_evicted32; i++) {
        const tqi_evicted32 *evicted = &batch->evicted32[i];
        if (evicted->size)
            all->out[number_of(all, (tq_slice){(const char *)evicted->word, evicted->size})] += evicted->value;
    }
}

static void drain(world *all)
{
    tqi_evicted evicted;
    tqi_evicted32 evicted32;

    for (size_t next = 0; tqi_front_drain(&all->front, &next, &evicted);)
        all->out[number_of(all, (tq_slice){(const char *)evicted.key.word, evicted.key.size})] += evicted.value;
    for (size_t next = 0; tqi_front_drain32(&all->front, &next, &evicted32);)
        all->out[number_of(all, (tq_slice){(const char *)evicted32.word, evicted32.size})] += evicted32.value;
}

/* A batch of n random keys, a few of them much more often than the others, with values below most. */
static void add_batch(world *all, uint64_t *random, size_t n, uint64_t most)
{
    tq_slice keys[TQI_FRONT_BATCH] = {{NULL, 0}};
    size_t numbers[TQI_FRONT_BATCH];
    uint64_t values[TQI_FRONT_BATCH] = {0};
    tq_account held = {0};

    for (size_t i = 0; i < n; i++) {
        numbers[i] = random_below(random, 2) ? random_below(random, 20) : random_below(random, KEYS);
        keys[i] = key_of(all, numbers[i]);
        values[i] = random_below(random, most);
    }
    all->front.kernel->add(&all->front, keys, values, n, &all->batch);
    for (size_t i = 0; i < n; i++) {
        all->in[number_of(all, keys[i])] += values[i];
        tqi_account_sum(&held, tqi_hash(keys[i].data, keys[i].size), values[i]);
    }
    for (size_t i = 0; i < all->batch.n_others; i++) {
        size_t k = all->batch.others[i];
        tq_slice other = keys[k];
        assert_true(other.size == 0 || other.size > TQI_KEY_MEDIUM || other.data[other.size - 1] == 0);
        all->in[number_of(all, other)] -= values[k];
        held.records--;
        held.weight -= values[k];
        held.check -= tqi_hash(other.data, other.size) * values[k];
    }
    assert_memory_equal(&held, &all->batch.held, sizeof held);
    take_evicted(all);
}

static void open_world(world *all, size_t bytes, const tqi_front_kernel *kernel)
{
    all->budget = (tqi_budget){0};
    assert_true(tqi_front_init(&all->front, &all->budget, bytes));
    if (kernel)
        all->front.kernel = kernel;
}

/* Small fronts, so that keys drive each other out. */
static void test_sums(void **state)
{
    static const size_t sizes[] = {20 << 10, 64 << 10, 1 << 20};
    world *all = calloc(1, sizeof *all);
    uint64_t random = 1;
    size_t n;
    const tqi_front_kernel *kernels = tqi_front_kernels(&n);

    (void)state;
    assert_non_null(all);
    for (size_t k = 0; k < n; k++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            make_keys(all, &random);
            open_world(all, sizes[s], &kernels[k]);
            for (int round = 0; round < ROUNDS; round++)
                add_batch(all, &random, random_below(&random, TQI_FRONT_BATCH + 1), 1000);
            drain(all);
            assert_memory_equal(all->in, all->out, sizeof all->in);
            tqi_front_free(&all->front, &all->budget);
            assert_int_equal(all->budget.used, 0);
        }
    free(all);
}

static void assert_same(const world *a, const world *b)
{
    assert_int_equal(a->batch.n_evicted, b->batch.n_evicted);
    assert_int_equal(a->batch.n_evicted32, b->batch.n_evicted32);
    assert_int_equal(a->batch.n_others, b->batch.n_others);
    assert_memory_equal(a->batch.others, b->batch.others, a->batch.n_others * sizeof a->batch.others[0]);
    assert_memory_equal(a->batch.evicted, b->batch.evicted, a->batch.n_evicted * sizeof a->batch.evicted[0]);
    assert_memory_equal(a->batch.evicted32, b->batch.evicted32, a->batch.n_evicted32 * sizeof a->batch.evicted32[0]);
}

/* All kernels do the same with the same keys, down to what moves on and when. */
static void test_kernels_agree(void **state)
{
    world *first = calloc(1, sizeof *first), *second = calloc(1, sizeof *second);
    uint64_t random = 2;
    size_t n;
    const tqi_front_kernel *kernels = tqi_front_kernels(&n);

    (void)state;
    assert_non_null(first);
    assert_non_null(second);
    for (size_t k = 1; k < n; k++) {
        uint64_t seed = random, random_1 = seed, random_2 = seed;
        make_keys(first, &random_1);
        make_keys(second, &random_2);
        open_world(first, 20 << 10, &kernels[0]);
        open_world(second, 20 << 10, &kernels[k]);
        for (int round = 0; round < ROUNDS; round++) {
            size_t keys = random_below(&random, TQI_FRONT_BATCH + 1);
            add_batch(first, &random_1, keys, 3);
            add_batch(second, &random_2, keys, 3);
            assert_same(first, second);
        }
        tqi_front_free(&first->front, &first->budget);
        tqi_front_free(&second->front, &second->budget);
    }
    free(first);
    free(second);
}

/* One key at a time does as a batch of one. */
static void test_single_keys(void **state)
{
    world *all = calloc(1, sizeof *all);
    tqi_evicted evicted;

    (void)state;
    assert_non_null(all);
    open_world(all, 1 << 20, NULL);
    tqi_key short_key = tqi_key_load_short("word", 4), long_key = tqi_key_load_short("a longer word", 13);
    tqi_key8 key8 = {short_key.word[0], tqi_key_hash(&short_key)};
    tqi_key16 key16 = {long_key.word[0], long_key.word[1], tqi_key_hash(&long_key)};
    assert_int_equal(tqi_front_class(&short_key), 0);
    assert_int_equal(tqi_front_class(&long_key), 1);
    assert_int_equal(tqi_front_class(&(tqi_key){{0, 0}, 0}), 2);
    assert_int_equal(tqi_front_class(&(tqi_key){{'a', 0}, 2}), 2);
    assert_false(tqi_front_add8(&all->front, &key8, 5, &evicted));
    assert_int_equal(evicted.key.size, 0);
    assert_true(tqi_front_add8(&all->front, &key8, 6, &evicted));
    assert_false(tqi_front_add16(&all->front, &key16, 7, &evicted));
    assert_true(tqi_front_add16(&all->front, &key16, 8, &evicted));
    size_t next = 0;
    assert_true(tqi_front_drain(&all->front, &next, &evicted));
    assert_int_equal(evicted.value, 11);
    assert_memory_equal(evicted.key.word, "word", 4);
    assert_true(tqi_front_drain(&all->front, &next, &evicted));
    assert_int_equal(evicted.value, 15);
    assert_int_equal(evicted.key.size, 13);
    assert_false(tqi_front_drain(&all->front, &next, &evicted));
    tqi_front_free(&all->front, &all->budget);
    free(all);
}

static void test_no_memory(void **state)
{
    tqi_budget budget = {.limit = 4096};
    tqi_front front;

    (void)state;
    assert_false(tqi_front_init(&front, &budget, 100));
    assert_false(tqi_front_init(&front, &budget, 1 << 20));
    assert_int_equal(budget.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_kernels_agree),
        cmocka_unit_test(test_single_keys),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
