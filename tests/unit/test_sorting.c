/* Rows that go straight to the ranges of their keys, and are sorted there where they lie: against qsort by key, piece of input
 * and place in it. The keys are such as begin alike, end in zeros, or are all the same. */
#include "node/sorting.h"

#include "node/direct.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { RANGES = 7, WORKERS = 3, PIECES = 40, MOST_IN_PIECE = 90, MOST = PIECES * MOST_IN_PIECE, LONGEST = 300 };

typedef enum key_shape { SHORT, ALIKE, ZEROS, ONE, HOT, SHAPES } key_shape;

/* A row as it was emitted, in the order of the input. */
typedef struct given {
    char key[LONGEST + TQI_KEY_SLACK];
    size_t size;
    int number; /* its place in the input, and its value */
    int piece;
} given;

typedef struct world {
    tqi_budget budget;
    tqi_pool pool;
    tqi_spec spec, sample_spec;
    tqi_store store;
    tqi_splitters splitters;
    given *rows;
    size_t n;
    uint64_t random;
} world;

static void make_key(world *all, key_shape shape, given *row)
{
    uint64_t *random = &all->random;

    memset(row->key, 0, sizeof row->key);
    row->size = random_below(random, 13);
    if (shape == ALIKE)
        row->size = 100 + random_below(random, LONGEST - 100);
    if (shape == ONE)
        row->size = 20;
    if (shape == HOT)
        row->size = random_below(random, 10) ? 5 : 1 + random_below(random, 4);
    random_text(random, shape == ZEROS ? "\0\0\0a" : "\0abc", 4, row->key, row->size);
    if (shape == ALIKE)
        memset(row->key, 'p', row->size - random_below(random, 12));
    if (shape == ONE || (shape == HOT && row->size == 5))
        memset(row->key, 'h', row->size);
}

static tqi_origin origin_of(int piece)
{
    return (tqi_origin){.file = (uint32_t)(piece % 2), .offset = (uint64_t)(piece / 2) * 300};
}

/* Pieces of two files in turn: the order of the input is that of their origins. */
static bool is_earlier(int a, int b)
{
    return a % 2 != b % 2 ? a % 2 < b % 2 : a < b;
}

static int compare_given(const void *left, const void *right)
{
    const given *a = left, *b = right;
    size_t common = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->key, b->key, common);

    if (order || a->size != b->size)
        return order ? order : a->size < b->size ? -1 : 1;
    if (a->piece != b->piece)
        return is_earlier(a->piece, b->piece) ? -1 : 1;
    return a->number - b->number;
}

static void deliver(void *owner, tqi_run *run)
{
    world *all = owner;
    tq_error error;

    assert_int_equal(tqi_store_take_run(&all->store, run, &error), TQ_OK);
}

static void open_world(world *all, bool unique, uint64_t bound, const char *folder)
{
    *all = (world){.random = 77 + unique + bound, .rows = calloc(MOST, sizeof(given))};
    assert_non_null(all->rows);
    all->spec = spec_of(TQ_COMBINE_NONE, TQ_BYTES, 0, RANGES, &all->budget);
    all->spec.order = TQ_ORDER_STABLE;
    all->spec.unique = unique;
    tqi_pool_init(&all->pool, &all->budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all->spec.pool = &all->pool;
    all->sample_spec = tqi_direct_sample_spec(&all->spec);
    assert_int_equal(tqi_store_init(&all->store, &all->spec, bound, folder), TQ_OK);
}

static void close_world(world *all)
{
    tqi_splitters_free(&all->splitters);
    tqi_store_free(&all->store);
    tqi_pool_free(&all->pool);
    free(all->rows);
    assert_int_equal(all->budget.used, 0);
}

static tqi_key load(const given *row)
{
    return row->size > TQI_KEY_INLINE ? tqi_key_borrow_long(row->key, row->size)
                                      : tqi_key_load_padded(row->key, row->size);
}

/* Splitters from one row in ten. */
static void choose(world *all)
{
    tqi_direct direct = {.spec = &all->spec};
    tqi_rows samples;
    tqi_run *run;

    tqi_rows_init(&samples, NULL);
    for (size_t i = 0; i < all->n; i += 10) {
        tqi_key key = load(&all->rows[i]);

        tqi_direct_begin(&direct, origin_of(all->rows[i].piece));
        tqi_entry entry = tqi_direct_sample(&direct, &key, 0, (tq_slice){NULL, 0});
        tq_slice value = tqi_entry_value(&all->sample_spec.result_shape, &entry);
        assert_int_equal(tqi_rows_append(&samples, &all->sample_spec.result_shape, tqi_entry_key(&entry), 0, value),
                         TQ_OK);
    }
    assert_int_equal(tqi_order_choose(&all->sample_spec, &samples, RANGES, &run), TQ_OK);
    assert_int_equal(tqi_splitters_init(&all->splitters, &all->sample_spec, run->data), TQ_OK);
    tqi_run_free(&all->sample_spec, run);
    tqi_rows_free(&samples);
}

static void make_rows(world *all, key_shape shape)
{
    for (int piece = 0; piece < PIECES; piece++)
        for (uint64_t left = random_below(&all->random, MOST_IN_PIECE); left > 0; left--) {
            given *row = &all->rows[all->n];

            make_key(all, shape, row);
            row->piece = piece;
            row->number = (int)all->n++;
        }
}

/* Each piece by one of several workers, which take them in ascending order, but not in turn. */
static void map(world *all, tq_account *emitted, tq_account *left_out)
{
    tqi_direct workers[WORKERS];
    size_t next = 0;

    for (int w = 0; w < WORKERS; w++)
        assert_int_equal(tqi_direct_init(&workers[w], &all->spec, &all->splitters, 8 << 10, deliver, all), TQ_OK);
    for (int piece = 0; piece < PIECES; piece++) {
        tqi_direct *worker = &workers[random_below(&all->random, WORKERS)];

        tqi_direct_begin(worker, origin_of(piece));
        for (; next < all->n && all->rows[next].piece == piece; next++) {
            tqi_key key = load(&all->rows[next]);
            tq_slice value = {(const char *)&all->rows[next].number, sizeof(int)};
            tq_account pair = {0};

            tqi_account_pair(&all->spec, tqi_key_hash(&key), 0, value, &pair);
            tqi_account_add(emitted, &pair);
            assert_int_equal(tqi_direct_put(worker, &key, 0, value, &pair), TQ_OK);
        }
    }
    for (int w = 0; w < WORKERS; w++) {
        tqi_direct_flush(&workers[w]);
        tqi_account_add(left_out, &workers[w].left_out);
        tqi_direct_free(&workers[w]);
    }
}

static bool same_key(const given *a, const given *b)
{
    return a->size == b->size && memcmp(a->key, b->key, a->size) == 0;
}

/* The sorted rows of all ranges, against the given ones in order. */
static void assert_sorted(world *all, tq_account *loaded, tq_account *dropped)
{
    tqi_sorting sorting;
    tq_error error;
    size_t next = 0;

    qsort(all->rows, all->n, sizeof *all->rows, compare_given);
    tqi_sorting_init(&sorting, &all->budget, 1 << 20);
    for (uint32_t range = 0; range < RANGES; range++) {
        assert_int_equal(tqi_sorting_load(&sorting, &all->spec, &all->store, range, loaded, &error), TQ_OK);
        tqi_sorting_sort(&sorting);
        if (all->spec.unique)
            tqi_sorting_unique(&sorting, dropped);
        for (size_t i = 0; i < sorting.n; i++, next++) {
            tq_slice key, value;
            int64_t ignored;
            const given *expected = &all->rows[next];

            tqi_sorting_row(&sorting, i, &key, &ignored, &value);
            assert_true(next < all->n);
            assert_int_equal(key.size, expected->size);
            assert_memory_equal(key.data, expected->key, key.size);
            assert_int_equal(value.size, sizeof(int));
            assert_memory_equal(value.data, &expected->number, sizeof(int));
            while (all->spec.unique && next + 1 < all->n && same_key(expected, &all->rows[next + 1]))
                next++;
        }
    }
    assert_int_equal(next, all->n);
    tqi_sorting_free(&sorting);
}

static void check(key_shape shape, bool unique, uint64_t bound, const char *folder)
{
    tq_account emitted = {0}, left_out = {0}, loaded = {0}, dropped = {0};
    world all;
    tq_error error;

    open_world(&all, unique, bound, folder);
    make_rows(&all, shape);
    choose(&all);
    map(&all, &emitted, &left_out);
    assert_int_equal(tqi_store_seal(&all.store, &error), TQ_OK);
    assert_int_equal(all.store.spilled > 0, bound > 0);
    assert_sorted(&all, &loaded, &dropped);
    tqi_account_add(&loaded, &left_out);
    assert_memory_equal(&loaded, &emitted, sizeof emitted);
    if (!unique)
        assert_int_equal(left_out.records + dropped.records, 0);
    if (unique && shape == ONE) /* of a frequent key a worker lets one row pass, or some that were earlier ones each */
        assert_true(left_out.records > all.n / 2);
    close_world(&all);
}

static void test_shapes(void **state)
{
    char *folder = folder_new();

    (void)state;
    for (key_shape shape = 0; shape < SHAPES; shape++)
        for (int unique = 0; unique < 2; unique++) {
            check(shape, unique, 0, folder);
            if (!unique || (shape != ONE && shape != HOT)) /* what is left of those is not worth a spill */
                check(shape, unique, 4 << 10, folder);
        }
    folder_remove(folder);
}

/* Rows of one key are divided by where they come from, so that no range has all of them. */
static void test_one_key_is_spread(void **state)
{
    tq_account emitted = {0}, left_out = {0};
    world all;

    (void)state;
    open_world(&all, false, 0, NULL);
    make_rows(&all, ONE);
    choose(&all);
    map(&all, &emitted, &left_out);
    for (uint32_t range = 0; range < RANGES; range++)
        assert_true(all.store.parts[range].records < all.n / 2);
    close_world(&all);
}

static void test_limit(void **state)
{
    tq_account emitted = {0}, left_out = {0}, loaded = {0}, dropped = {0};
    tqi_sorting sorting;
    tq_error error;
    world all;

    (void)state;
    open_world(&all, false, 0, NULL);
    make_rows(&all, SHORT);
    choose(&all);
    map(&all, &emitted, &left_out);
    tqi_sorting_init(&sorting, &all.budget, 0);
    assert_int_equal(tqi_sorting_load(&sorting, &all.spec, &all.store, 2, &loaded, &error), TQ_OK);
    tqi_sorting_sort(&sorting);
    tqi_sorting_limit(&sorting, 3, &dropped);
    assert_int_equal(sorting.n, 3);
    assert_int_equal(dropped.records + 3, loaded.records);
    tqi_sorting_free(&sorting);
    close_world(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_one_key_is_spread),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
