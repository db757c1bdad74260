/* A range that does not fit the memory, sorted in the spill folder: against qsort. So little memory is given that each page is
 * a run, and runs are merged on several levels. */
#include "node/external.h"

#include "node/direct.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { PIECES = 70, IN_PIECE = 60, MOST = PIECES * IN_PIECE, LONGEST = 40, LIMIT = 1000 };

/* A row as it was emitted. */
typedef struct given {
    char key[LONGEST + TQI_KEY_SLACK];
    size_t size;
    int number; /* its place in the input */
    int64_t value;
} given;

typedef struct world {
    tqi_budget budget;
    tqi_pool pool;
    tqi_spec spec;
    tqi_store store;
    given rows[MOST];
    tq_account emitted;
} world;

static int compare_keys(const given *a, const given *b)
{
    int order = memcmp(a->key, b->key, a->size < b->size ? a->size : b->size);

    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static int by_place(const void *left, const void *right)
{
    const given *a = left, *b = right;
    int order = compare_keys(a, b);

    return order ? order : (a->number > b->number) - (a->number < b->number);
}

static int by_value(const void *left, const void *right)
{
    const given *a = left, *b = right;
    int order = compare_keys(a, b);

    return order ? order : (a->value > b->value) - (a->value < b->value);
}

static void deliver(void *owner, tqi_run *run)
{
    world *all = owner;
    tq_error error;

    assert_int_equal(tqi_store_take_run(&all->store, run, &error), TQ_OK);
}

static void map(world *all, size_t different)
{
    tqi_direct worker;
    uint64_t random = 5 + different;
    tq_error error;

    assert_int_equal(tqi_direct_init(&worker, &all->spec, NULL, 4 << 10, deliver, all), TQ_OK);
    for (int i = 0; i < MOST; i++) {
        given *row = &all->rows[i];
        tq_account pair = {0};

        if (i % IN_PIECE == 0) {
            tqi_direct_flush(&worker); /* a page for each piece */
            tqi_direct_begin(&worker, (tqi_origin){.offset = (uint64_t)i});
        }
        row->size = random_below(&random, different);
        random_text(&random, "\0a", 2, row->key, row->size);
        row->number = i;
        row->value = (int64_t)random_below(&random, 1000) - 500;
        tqi_key key = row->size > TQI_KEY_INLINE ? tqi_key_borrow_long(row->key, row->size)
                                                 : tqi_key_load_padded(row->key, row->size);
        tqi_account_pair(&all->spec, tqi_key_hash(&key), row->value, (tq_slice){NULL, 0}, &pair);
        tqi_account_add(&all->emitted, &pair);
        assert_int_equal(tqi_direct_put(&worker, &key, row->value, (tq_slice){NULL, 0}, &pair), TQ_OK);
    }
    tqi_direct_flush(&worker);
    tqi_direct_free(&worker);
    assert_int_equal(tqi_store_seal(&all->store, &error), TQ_OK);
}

/* All rows, a few at a time; returns how many. */
static size_t compare_all(const world *all, tqi_external *sorted, tq_account *dropped)
{
    tqi_rows rows;
    tq_error error = {0};
    size_t next = 0, n = 0;

    tqi_rows_init(&rows, NULL);
    while (!tqi_external_is_over(sorted)) {
        tqi_rows_clear(&rows);
        assert_int_equal(tqi_external_next(sorted, 500, &rows, dropped, &error), TQ_OK);
        for (size_t i = 0; i < rows.n; i++, n++, next++) {
            tq_slice key = tqi_entry_key(&rows.entries[i]);

            assert_true(next < MOST);
            assert_int_equal(key.size, all->rows[next].size);
            assert_memory_equal(key.data, all->rows[next].key, key.size);
            assert_int_equal((int64_t)rows.entries[i].value, all->rows[next].value);
            while (all->spec.unique && next + 1 < MOST && compare_keys(&all->rows[next], &all->rows[next + 1]) == 0)
                next++;
        }
    }
    tqi_rows_free(&rows);
    return n;
}

static void check(tq_order order, bool unique, uint64_t limit, size_t different, const char *folder)
{
    world *all = calloc(1, sizeof *all);
    tqi_external *sorted;
    tq_account loaded = {0}, dropped = {0};
    tq_error error = {0};
    uint64_t spilled, raw;

    assert_non_null(all);
    all->spec = spec_of(TQ_COMBINE_NONE, TQ_I64, 0, 1, &all->budget);
    all->spec.order = order;
    all->spec.unique = unique;
    all->spec.direct = true;
    tqi_pool_init(&all->pool, &all->budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all->spec.pool = &all->pool;
    assert_int_equal(tqi_store_init(&all->store, &all->spec, 0, folder), TQ_OK);
    map(all, different);
    qsort(all->rows, MOST, sizeof *all->rows, order == TQ_ORDER_KEY ? by_value : by_place);
    all->budget.limit = 1; /* others have all of it */
    assert_int_equal(tqi_external_sort(&all->spec, &all->store, 0, 1, &loaded, &sorted, &error), TQ_OK);
    assert_memory_equal(&loaded, &all->emitted, sizeof loaded);
    tqi_external_spilled(sorted, &spilled, &raw);
    assert_true(raw > 2 * all->store.parts[0].bytes); /* on several levels */
    tqi_external_limit(sorted, limit);
    size_t n = compare_all(all, sorted, &dropped);
    assert_int_equal(n + dropped.records, MOST);
    if (!unique)
        assert_int_equal(n, limit < MOST ? limit : MOST);
    tqi_external_free(sorted);
    tqi_store_free(&all->store);
    tqi_pool_free(&all->pool);
    assert_int_equal(all->budget.used, 0);
    free(all);
}

static void test_orders(void **state)
{
    static const size_t different[] = {1, 4, 10, LONGEST};
    char *folder = folder_new();

    (void)state;
    for (size_t i = 0; i < sizeof different / sizeof *different; i++) {
        check(TQ_ORDER_STABLE, false, UINT64_MAX, different[i], folder);
        check(TQ_ORDER_STABLE, true, UINT64_MAX, different[i], folder);
        check(TQ_ORDER_KEY, false, UINT64_MAX, different[i], folder);
        check(TQ_ORDER_KEY, false, LIMIT, different[i], folder);
    }
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_orders)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
