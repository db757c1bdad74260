/* The hot table: what comes out is what was put in, with each set of instructions that this CPU has. */
#include "node/hot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { KEYS = 3000, MOST_KEY = 1500, PLENTY = 16 << 20 };

static const tqi_hot_kernel *kernel; /* whose turn it is */

/* What each key must have: its bytes stand at the end of their memory, so that nothing behind them may be read. */
typedef struct expected {
    char *bytes;
    size_t size;
    tq_summary summary;
} expected;

typedef struct world {
    tqi_budget budget;
    tqi_hot hot;
    tqi_hot_done done;
    expected keys[KEYS];
    size_t n_keys;
    uint64_t random, added;
} world;

static size_t random_size(uint64_t *random)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 200, 1024, 1025};

    return random_below(random, 4) ? 1 + random_below(random, 16) : sizes[random_below(random, 14)];
}

static void world_open(world *all, size_t bytes, size_t n_keys, uint64_t seed)
{
    memset(all, 0, sizeof *all);
    all->random = seed;
    all->n_keys = n_keys;
    assert_true(tqi_hot_init(&all->hot, &all->budget, bytes));
    all->hot.kernel = kernel;
    for (size_t i = 0; i < n_keys; i++) {
        expected *key = &all->keys[i];

        key->size = random_size(&all->random);
        key->bytes = malloc(key->size + !key->size);
        assert_non_null(key->bytes);
        random_text(&all->random, "ab\0c", 4, key->bytes, key->size);
        for (size_t j = 0; j < i; j++)
            if (all->keys[j].size == key->size && memcmp(all->keys[j].bytes, key->bytes, key->size) == 0)
                all->keys[j].size = SIZE_MAX; /* never used */
    }
}

static void world_close(world *all)
{
    for (size_t i = 0; i < all->n_keys; i++)
        free(all->keys[i].bytes);
    tqi_hot_free(&all->hot);
    assert_int_equal(all->budget.used, 0);
}

static void expect(expected *key, const tq_summary *summary)
{
    if (key->summary.count)
        tqi_summary_merge(&key->summary, summary);
    else
        key->summary = *summary;
}

/* What the table holds goes off the account of the keys. */
static void drain(world *all)
{
    const tqi_hot_entry *entry;
    size_t n = 0;

    for (size_t next = 0; (entry = tqi_hot_next(&all->hot, &next)) != NULL; n++) {
        tqi_key key = tqi_hot_key(entry);
        const char *bytes = key.size > TQI_KEY_INLINE ? (const char *)(uintptr_t)key.word[1] : (const char *)key.word;
        tq_summary found = tqi_hot_summary(&all->hot, entry);
        size_t i = 0;

        while (i < all->n_keys && (all->keys[i].size != key.size || memcmp(all->keys[i].bytes, bytes, key.size) != 0))
            i++;
        assert_true(i < all->n_keys);
        tqi_summary_normalize(&found);
        tqi_summary_normalize(&all->keys[i].summary);
        assert_memory_equal(&found, &all->keys[i].summary, sizeof found);
        all->keys[i].summary.count = 0;
    }
    assert_int_equal(n, all->hot.n);
    for (size_t i = 0; i < all->n_keys; i++)
        assert_int_equal(all->keys[i].summary.count, 0);
}

/* Add pairs; those that the table leaves are counted in *others. */
static void add(world *all, const tq_slice *keys, const size_t *numbers, const int64_t *values, size_t n,
                unsigned decimals, size_t *others)
{
    tqi_hot_pairs pairs = {keys, values, n, decimals, false};
    tqi_digest digest = tqi_digest_of(decimals);
    uint64_t check = 0;
    bool left[TQI_HOT_BATCH] = {0};

    tqi_hot_add(&all->hot, &pairs, &all->done);
    assert_true(all->done.n_others <= n);
    for (size_t i = 0; i < all->done.n_others; i++)
        left[all->done.others[i]] = true;
    for (size_t i = 0; i < n; i++) {
        tq_summary one = tqi_summary_of(values[i], decimals);

        check += tqi_hash(keys[i].data, keys[i].size) * tqi_digest_value(&digest, values[i]);
        if (left[i])
            ++*others;
        else
            expect(&all->keys[numbers[i]], &one);
    }
    assert_int_equal(all->done.check, check);
    if (all->hot.full && random_below(&all->random, 10) == 0) {
        drain(all);
        tqi_hot_clear(&all->hot, all->hot.decimals);
    }
}

static void add_random(world *all, int rounds, uint64_t magnitude, unsigned least, unsigned decimals, size_t *others)
{
    for (int round = 0; round < rounds; round++) {
        tq_slice keys[TQI_HOT_BATCH];
        size_t numbers[TQI_HOT_BATCH], n = random_below(&all->random, TQI_HOT_BATCH + 1);
        int64_t values[TQI_HOT_BATCH];

        for (size_t i = 0; i < n; i++) {
            do
                numbers[i] = random_below(&all->random, all->n_keys);
            while (all->keys[numbers[i]].size == SIZE_MAX);
            keys[i] = (tq_slice){all->keys[numbers[i]].bytes, all->keys[numbers[i]].size};
            values[i] = (int64_t)random_below(&all->random, 2 * magnitude + 1) - (int64_t)magnitude;
        }
        add(all, keys, numbers, values, n, least + (unsigned)random_below(&all->random, decimals - least + 1), others);
        all->added += n;
    }
}

static void test_few_keys(void **state)
{
    world *all = malloc(sizeof *all);

    (void)state;
    for (size_t n_keys = 1; n_keys <= 300; n_keys = 2 * n_keys + 1) {
        size_t others = 0;

        world_open(all, PLENTY, n_keys, n_keys);
        add_random(all, 200, 999, 1, 1, &others);
        drain(all);
        world_close(all);
    }
    free(all);
}

/* Keys for which the table grows, and more than it may hold. */
static void test_many_keys(void **state)
{
    world *all = malloc(sizeof *all);

    (void)state;
    for (size_t bytes = 4096; bytes <= PLENTY; bytes *= 8) {
        size_t others = 0;

        world_open(all, bytes, KEYS, bytes);
        add_random(all, 100, 1000000, 0, 0, &others);
        drain(all);
        assert_int_equal(all->hot.full, bytes == 4096);
        assert_true(bytes < PLENTY || all->hot.n > 2000);
        world_close(all);
    }
    free(all);
}

/* Small and large values of the same keys, at every edge. */
static void test_large_values(void **state)
{
    static const int64_t edges[] = {
        INT32_MAX, -(int64_t)INT32_MAX, (int64_t)INT32_MAX + 1, INT32_MIN,         INT64_MAX,        INT64_MIN, 0, -1,
        1,         (int64_t)1 << 40,    INT64_MAX / 10000,      INT64_MIN / 10000, INT32_MAX / 10000};
    world *all = malloc(sizeof *all);
    size_t others = 0;

    (void)state;
    world_open(all, PLENTY, 20, 91);
    for (int round = 0; round < 3000; round++) {
        size_t number = random_below(&all->random, 20);
        int64_t value = edges[random_below(&all->random, sizeof edges / sizeof edges[0])];
        tq_slice key = {all->keys[number].bytes, all->keys[number].size};

        if (key.size != SIZE_MAX)
            add(all, &key, &number, &value, 1, round ? (unsigned)random_below(&all->random, 5) : 4, &others);
        if (round % 16 == 0)
            add_random(all, 1, UINT32_MAX, 4, 4, &others);
    }
    assert_int_equal(all->hot.decimals, 4);
    drain(all);
    world_close(all);
    free(all);
}

/* Units that do not fit: values in finer ones are left, others multiplied. */
static void test_units(void **state)
{
    world *all = malloc(sizeof *all);
    size_t others = 0, before;

    (void)state;
    world_open(all, PLENTY, 50, 93);
    add_random(all, 20, 100, 3, 3, &others);
    add_random(all, 20, 100, 0, 3, &others);
    assert_true(others < all->added / 16); /* very long keys alone */
    before = all->added - others;
    add_random(all, 20, 100, 4, TQ_DECIMALS_MAX, &others);
    assert_int_equal(all->added - others, before); /* not one was taken */
    drain(all);
    tqi_hot_clear(&all->hot, TQ_DECIMALS_MAX);
    add_random(all, 40, INT32_MAX, 0, TQ_DECIMALS_MAX, &others);
    drain(all);
    world_close(all);
    free(all);
}

/* No memory for large values, or for long keys: they are left, or the table is full; nothing is lost. */
static void test_budget(void **state)
{
    world *all = malloc(sizeof *all);
    size_t others = 0;

    (void)state;
    world_open(all, PLENTY, 300, 94);
    all->budget.limit = all->budget.used + 20000;
    add_random(all, 100, 1, 0, 0, &others);
    all->budget.limit = all->budget.used;
    add_random(all, 20, UINT32_MAX, 0, 0, &others);
    assert_true(others > 100);
    drain(all);
    world_close(all);
    assert_false(tqi_hot_init(&all->hot, &all->budget, 1000)); /* too little */
    free(all);
}

/* Padded keys, with dirt behind them. */
static void test_padded(void **state)
{
    world *all = malloc(sizeof *all);
    char text[64 * TQI_HOT_BATCH];

    (void)state;
    world_open(all, PLENTY, 0, 95);
    for (int round = 0; round < 100; round++) {
        tq_slice keys[TQI_HOT_BATCH];
        int64_t values[TQI_HOT_BATCH];
        tqi_hot_pairs pairs = {keys, values, TQI_HOT_BATCH, 0, true};

        random_text(&all->random, "ab\0", 3, text, sizeof text);
        for (size_t i = 0; i < TQI_HOT_BATCH; i++) {
            keys[i] = (tq_slice){text + 32 * i, random_below(&all->random, 6)};
            values[i] = 1;
        }
        tqi_hot_add(&all->hot, &pairs, &all->done);
        assert_int_equal(all->done.n_others, 0);
    }
    assert_int_equal(all->hot.n, 1 + 3 + 9 + 27 + 81 + 243); /* all keys that there are */
    world_close(all);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_keys), cmocka_unit_test(test_many_keys), cmocka_unit_test(test_large_values),
        cmocka_unit_test(test_units),    cmocka_unit_test(test_budget),    cmocka_unit_test(test_padded),
    };
    size_t n;
    const tqi_hot_kernel *all = tqi_hot_kernels(&n);
    int failed = 0;

    for (kernel = all; kernel < all + n; kernel++)
        failed += cmocka_run_group_tests_name(kernel->name, tests, NULL, NULL);
    return failed;
}
