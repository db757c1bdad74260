/* Reducing a partition against an oracle that sorts all records and looks at neighbours. */
#include "node/reduce.h"

#include "common/account.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { RECORDS = 4000, PARTITIONS = 6, LONGEST = 40 };

/* A record, by key and then by value. */
typedef struct plain_record {
    char key[LONGEST], value[LONGEST];
    size_t key_size, value_size;
    int64_t number;
    uint32_t partition;
} plain_record;

static int by_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int by_key_and_value(const void *left, const void *right)
{
    const plain_record *a = left, *b = right;
    int order = by_bytes(a->key, a->key_size, b->key, b->key_size);

    if (!order)
        order = (a->number > b->number) - (a->number < b->number);
    return order ? order : by_bytes(a->value, a->value_size, b->value, b->value_size);
}

static bool same_key(const plain_record *a, const plain_record *b)
{
    return by_bytes(a->key, a->key_size, b->key, b->key_size) == 0;
}

/* A job's records, sorted, the store that they lie in, and what becomes of one partition. */
typedef struct world {
    tqi_budget budget;
    tqi_pool pool;
    tqi_spec spec;
    tqi_store store;
    uint64_t table_bytes; /* of the reducer */
    const char *tmpdir;
    tqi_rows rows;        /* delivered, in this order */
    uint64_t runs, passes, sampled;
    uint32_t part;
    plain_record records[RECORDS];
    size_t n;
} world;

static void add_record(world *all, tqi_rows *rows, tq_slice key, int64_t number, tq_slice value)
{
    plain_record *record = &all->records[all->n++];

    *record = (plain_record){.key_size = key.size};
    memcpy(record->key, key.data, key.size);
    if (all->spec.shape.type == TQ_I64) {
        record->number = number;
    } else {
        memcpy(record->value, value.data, value.size);
        record->value_size = value.size;
    }
    record->partition = tqi_partition_of((uint32_t)(tqi_hash(key.data, key.size) >> 32), PARTITIONS);
    assert_int_equal(tqi_rows_append(rows, &all->spec.shape, key, number, value), TQ_OK);
}

static int n_hot = 20; /* keys that half of the records, or all of them if it is 1, have */

/* Several runs of random records. Not combined, so that the reducing side has something to do. */
static world *world_new(tq_combine combine, int type)
{
    world *all = calloc(1, sizeof *all);
    tqi_run_builder builder;
    tq_account account = {0};
    tq_error error;
    uint64_t random = 141;

    assert_non_null(all);
    all->spec = spec_of(combine, type, 9, PARTITIONS, &all->budget);
    tqi_pool_init(&all->pool, &all->budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all->spec.pool = &all->pool;
    tqi_rows_init(&all->rows, NULL);
    assert_int_equal(tqi_store_init(&all->store, &all->spec, 0, "/nowhere"), TQ_OK);
    assert_int_equal(tqi_run_builder_init(&builder, &all->spec, &all->spec.shape, 0, PARTITIONS), TQ_OK);
    while (all->n < RECORDS) {
        tqi_rows rows;
        tqi_run *run;
        size_t n = 1 + random_below(&random, 700);
        tqi_rows_init(&rows, NULL);
        for (size_t i = 0; i < n && all->n < RECORDS; i++) {
            char key[LONGEST], value[LONGEST];
            size_t size = (size_t)sprintf(key, all->n % 5 ? "k%d" : "a key of some length %d",
                                          (int)random_below(&random, all->n % 2 || n_hot == 1 ? (uint64_t)n_hot : 2000));
            size_t bytes = type == TQ_FIXED ? 9 : random_below(&random, LONGEST);
            random_text(&random, "\0az\xff", 4, value, bytes);
            add_record(all, &rows, (tq_slice){key, all->n % 97 ? size : 0}, (int64_t)random_next(&random) >> 50,
                       (tq_slice){value, bytes});
        }
        assert_int_equal(tqi_run_build(&builder, rows.entries, rows.n, NULL, &account, &run), TQ_OK);
        assert_int_equal(tqi_store_take_run(&all->store, run, &error), TQ_OK);
        tqi_rows_free(&rows);
    }
    tqi_run_builder_free(&builder);
    assert_int_equal(tqi_store_seal(&all->store, &error), TQ_OK);
    qsort(all->records, all->n, sizeof all->records[0], by_key_and_value);
    return all;
}

static void world_free(world *all)
{
    tqi_store_free(&all->store);
    tqi_rows_free(&all->rows);
    tqi_pool_free(&all->pool);
    assert_int_equal(all->budget.used, 0);
    free(all);
}

/* Combining neighbours of one key, in place: what is left stands in records[0 .. n - 1]. */
static void combine_oracle(world *all)
{
    size_t kept = 0;

    for (size_t i = 0; i < all->n; i++) {
        plain_record *into = &all->records[kept ? kept - 1 : 0], *from = &all->records[i];
        if (i == 0 || !same_key(into, from)) {
            all->records[kept++] = *from;
            continue;
        }
        int64_t a = into->number, b = from->number;
        if (all->spec.combine == TQ_SUM)
            into->number = a + b;
        else
            into->number = (all->spec.combine == TQ_MIN) == (a < b) ? a : b;
        for (size_t at = 0; at < from->value_size; at++)
            into->value[at] = (char)(into->value[at] | from->value[at]);
    }
    all->n = kept;
}

static int or_values(tq_slice key, void *into, const void *value, void *user)
{
    (void)key;
    (void)user;
    for (int i = 0; i < 9; i++)
        ((char *)into)[i] = (char)(((char *)into)[i] | ((const char *)value)[i]);
    return 0;
}

/* Bytes of a table that holds all entries of one key, whichever it is, and few more. */
static uint64_t smallest_table(const world *all)
{
    size_t most = 1;

    if (all->spec.combine != TQ_COMBINE_NONE)
        return 1; /* there is a fewest number of entries */
    for (size_t i = 0, n; i < all->n; i += n) {
        for (n = 1; i + n < all->n && same_key(&all->records[i], &all->records[i + n]);)
            n++;
        most = n > most ? n : most;
    }
    return most * (TQI_ENTRY_COST + sizeof(tqi_entry));
}

/* The rows of a page belong to the partition that is reduced. */
static void deliver(void *owner, tqi_run *run)
{
    world *all = owner;

    assert_null(tqi_page_validate(run->data, run->bytes));
    tqi_page_header header = tqi_page_read_header(run->data);
    assert_int_equal(header.partition, all->spec.first_partition + all->part);
    assert_int_equal(header.payload + TQI_PAGE_HEADER, run->bytes);
    assert_int_equal(header.records, run->records);
    assert_true(run->records > 0);
    assert_int_equal(tqi_rows_append_page(&all->rows, &all->spec.result_shape, run->data, false), TQ_OK);
    all->runs++;
    tqi_run_free(&all->spec, run);
}

/* Reduce one partition into all->rows, with a reducer of its own. */
static tq_status reduce(world *all, uint32_t part, tqi_reduce_account *account, tq_error *error)
{
    tqi_reducer reducer;

    tqi_rows_clear(&all->rows);
    all->runs = 0;
    all->part = part;
    assert_int_equal(tqi_reducer_init(&reducer, &all->spec, all->table_bytes, all->tmpdir, deliver, all), TQ_OK);
    tq_status status = tqi_reduce_partition(&reducer, &all->store, part, account, error);
    all->sampled = reducer.sampler.rows.n;
    tqi_reducer_free(&reducer);
    if (status)
        return status;
    all->passes = account->passes;
    assert_true((all->runs == 0) == (all->rows.n == 0));
    assert_int_equal(account->rows.records, all->rows.n);
    tq_account rows = {0};
    for (size_t i = 0; i < all->rows.n; i++)
        tqi_account_entry(&all->spec, &all->spec.result_shape, &all->rows.entries[i], &rows);
    assert_int_equal(account->rows.weight, rows.weight);
    assert_int_equal(account->rows.check, rows.check);
    return TQ_OK;
}

/* Reduce every partition and compare, in the order of keys, with the records of the oracle that belong there. With a
 * limit and several passes there may be more rows than the limit says; the first of them count. */
static void assert_reduced(world *all, uint64_t limit)
{
    const tqi_value_shape *shape = &all->spec.result_shape;

    all->spec.limit = limit;
    for (uint32_t part = 0; part < PARTITIONS; part++) {
        tqi_reduce_account account;
        tq_error error;
        uint64_t expected = 0;
        assert_int_equal(reduce(all, part, &account, &error), TQ_OK);
        assert_true(limit == 0 || all->rows.n <= limit * account.passes);
        tqi_rows_sort(&all->rows, TQ_ORDER_KEY, shape);
        for (size_t i = 0; i < all->n; i++) {
            const plain_record *record = &all->records[i];
            if (record->partition != part || (limit && expected == limit))
                continue;
            assert_true(expected < all->rows.n);
            const tqi_entry *entry = &all->rows.entries[expected++];
            assert_true(slice_equal(tqi_entry_key(entry), (tq_slice){record->key, record->key_size}));
            if (shape->type == TQ_I64)
                assert_true((int64_t)entry->value == record->number);
            else
                assert_true(slice_equal(tqi_entry_value(shape, entry), (tq_slice){record->value, record->value_size}));
        }
        assert_true(account.passes == 1 || limit ? all->rows.n >= expected : all->rows.n == expected);
        assert_int_equal(account.shuffled.records, all->store.parts[part].records);
        assert_int_equal(account.shuffled.records, account.reduced.records + account.merged);
        assert_int_equal(account.reduced.records, limit ? account.reduced.records : expected);
        if (all->spec.combine == TQ_SUM || all->spec.combine == TQ_COMBINE_NONE) {
            assert_int_equal(account.shuffled.weight, account.reduced.weight);
            assert_int_equal(account.shuffled.check, account.reduced.check);
        }
    }
}

static void check_combined(tq_combine combine, int type)
{
    world *all = world_new(combine, type);

    all->spec.combine_fn = or_values;
    if (combine != TQ_COMBINE_NONE)
        combine_oracle(all);
    for (int small = 0; small < 2; small++) {
        all->table_bytes = small ? smallest_table(all) : 0;
        assert_reduced(all, 0);
        assert_true(small ? all->passes > 1 : all->passes == 1);
        assert_reduced(all, 1);
        assert_reduced(all, 10);
        assert_reduced(all, 100000);
    }
    world_free(all);
}

static void test_combining(void **state)
{
    (void)state;
    check_combined(TQ_SUM, TQ_I64);
    check_combined(TQ_MIN, TQ_I64);
    check_combined(TQ_MAX, TQ_I64);
    check_combined(TQ_COMBINE_USER, TQ_FIXED);
}

static void test_every_value_is_kept(void **state)
{
    (void)state;
    check_combined(TQ_COMBINE_NONE, TQ_I64);
    check_combined(TQ_COMBINE_NONE, TQ_FIXED);
    check_combined(TQ_COMBINE_NONE, TQ_BYTES);
}

/* With TQ_ORDER_NONE the rows are in order already, also with a limit, and in several passes. */
static void test_order_none(void **state)
{
    static const tq_combine combines[] = {TQ_SUM, TQ_COMBINE_NONE};

    (void)state;
    for (size_t c = 0; c < 4; c++) {
        world *all = world_new(combines[c % 2], TQ_I64);
        all->spec.order = TQ_ORDER_NONE;
        all->table_bytes = c / 2 ? smallest_table(all) : 0;
        for (uint32_t part = 0; part < PARTITIONS; part++) {
            tqi_reduce_account account;
            tqi_rows whole;
            tq_error error;
            all->spec.limit = 0;
            assert_int_equal(reduce(all, part, &account, &error), TQ_OK);
            assert_true((account.passes > 1) == (all->table_bytes > 0));
            assert_int_equal(all->sampled, 0);
            whole = all->rows;
            tqi_rows_init(&all->rows, NULL);
            all->spec.limit = 20;
            assert_int_equal(reduce(all, part, &account, &error), TQ_OK);
            assert_true(whole.n > 20 && all->rows.n >= 20);
            assert_true(all->table_bytes || all->rows.n == 20);
            for (size_t i = 1; i < whole.n; i++)
                assert_true(
                    tqi_rows_compare(TQ_ORDER_NONE, &all->spec.shape, &whole.entries[i - 1], &whole.entries[i]) <= 0);
            for (size_t i = 0; i < 20; i++)
                assert_int_equal(
                    tqi_rows_compare(TQ_ORDER_NONE, &all->spec.shape, &whole.entries[i], &all->rows.entries[i]), 0);
            tqi_rows_free(&whole);
        }
        world_free(all);
    }
}

/* However many passes it takes, the rows are the same: for every combiner, order and limit, with a reducer and without. */
static void check_passes(tq_combine combine, int type, tq_order order, uint64_t limit, tq_reduce_fn reduce_fn)
{
    world *all = world_new(combine, type);
    const uint64_t table_bytes[] = {0, smallest_table(all), 15000, 20000, 100000};
    uint64_t most_passes = 0;

    all->spec.combine_fn = or_values;
    all->spec.order = order;
    all->spec.limit = limit;
    all->spec.reduce = reduce_fn;
    for (uint32_t part = 0; part < PARTITIONS; part++) {
        tqi_rows first = {0};
        for (size_t t = 0; t < sizeof table_bytes / sizeof table_bytes[0]; t++) {
            tqi_reduce_account account;
            tq_error error;
            all->table_bytes = table_bytes[t];
            assert_int_equal(reduce(all, part, &account, &error), TQ_OK);
            most_passes = account.passes > most_passes ? account.passes : most_passes;
            if (order != TQ_ORDER_NONE)
                tqi_rows_sort(&all->rows, order, &all->spec.result_shape);
            if (t == 0) {
                first = all->rows;
                tqi_rows_init(&all->rows, NULL);
                continue;
            }
            assert_true(limit ? all->rows.n >= first.n : all->rows.n == first.n);
            for (size_t i = 0; i < first.n; i++)
                assert_int_equal(
                    tqi_rows_compare(order, &all->spec.result_shape, &first.entries[i], &all->rows.entries[i]), 0);
        }
        tqi_rows_free(&first);
    }
    assert_true(most_passes > 4);
    world_free(all);
}

static int count_and_smallest(tq_slice key, tq_values *values, tq_rows_out *out, void *user);

static void test_passes(void **state)
{
    static const tq_order orders[] = {TQ_ORDER_KEY, TQ_ORDER_VALUE_DESC, TQ_ORDER_NONE};

    (void)state;
    for (size_t o = 0; o < 3; o++) {
        for (uint64_t limit = 0; limit < 40; limit += 13) {
            check_passes(TQ_SUM, TQ_I64, orders[o], limit, NULL);
            check_passes(TQ_MIN, TQ_I64, orders[o], limit, NULL);
            check_passes(TQ_COMBINE_NONE, TQ_I64, orders[o], limit, NULL);
            check_passes(TQ_COMBINE_NONE, TQ_I64, orders[o], limit, count_and_smallest);
            if (orders[o] == TQ_ORDER_VALUE_DESC)
                continue;
            check_passes(TQ_COMBINE_USER, TQ_FIXED, orders[o], limit, NULL);
            check_passes(TQ_COMBINE_NONE, TQ_BYTES, orders[o], limit, NULL);
        }
    }
}

/* A key whose values fill the table nearly: the rest of its partition must not be read once for each key. */
static void test_hot_key(void **state)
{
    world *all = world_new(TQ_COMBINE_NONE, TQ_I64);
    tqi_reduce_account account;
    tq_error error;

    (void)state;
    all->table_bytes = smallest_table(all);
    for (uint32_t part = 0; part < PARTITIONS; part++) {
        assert_int_equal(reduce(all, part, &account, &error), TQ_OK);
        assert_int_equal(account.rows.records, all->store.parts[part].records);
        assert_true(account.passes <= 128);
    }
    /* Values that do not fit it are sorted in the spill folder. */
    char *folder = folder_new();
    all->tmpdir = folder;
    all->table_bytes -= TQI_ENTRY_COST + sizeof(tqi_entry);
    assert_reduced(all, 0);
    assert_true(all->passes <= 128);
    folder_remove(folder);
    world_free(all);
}

/* A reducer is used for one partition after another, and its sampler sees the rows of all. */
static void test_reused(void **state)
{
    world *all = world_new(TQ_SUM, TQ_I64);
    tqi_reducer reducer;
    tqi_reduce_account account = {0};
    tq_error error;
    uint64_t rows = 0;

    (void)state;
    assert_int_equal(tqi_reducer_init(&reducer, &all->spec, 0, NULL, deliver, all), TQ_OK);
    for (uint32_t i = 0; i < 3 * PARTITIONS; i++) {
        all->part = i % PARTITIONS;
        assert_int_equal(tqi_reduce_partition(&reducer, &all->store, all->part, &account, &error), TQ_OK);
        rows += account.rows.records;
    }
    assert_int_equal(rows, all->rows.n);
    assert_int_equal(reducer.sampler.rows.n, (rows + reducer.sampler.step / 2) / reducer.sampler.step);
    tqi_reducer_free(&reducer);
    world_free(all);
}

static void test_cancelled(void **state)
{
    world *all = world_new(TQ_SUM, TQ_I64);
    atomic_bool stop = true;
    tqi_reduce_account account;
    tq_error error;

    (void)state;
    all->spec.stop = &stop;
    assert_int_equal(reduce(all, 0, &account, &error), TQ_E_CANCELLED);
    assert_int_equal(all->runs, 0);
    world_free(all);
}

/* ---- Reducers ---- */

/* Counts the values, checks that they ascend, and writes two rows: the number of values, and the smallest. */
static int count_and_smallest(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int64_t value, last = INT64_MIN, smallest = 0;
    uint64_t n = 0;
    tq_slice bytes;

    (void)user;
    for (; tq_values_next_i64(values, &value); n++) {
        assert_true(value >= last);
        smallest = n ? smallest : value;
        last = value;
    }
    assert_int_equal(n, tq_values_count(values));
    assert_false(tq_values_next_i64(values, &value));
    assert_false(tq_values_next(values, &bytes));
    assert_int_equal(tq_write_row_i64(out, key, (int64_t)n), TQ_OK);
    assert_int_equal(tq_write_row_i64(out, key, smallest), TQ_OK);
    return 0;
}

static void test_reducer_of_numbers(void **state)
{
    world *all = world_new(TQ_COMBINE_NONE, TQ_I64);
    size_t kept = 0;

    (void)state;
    all->spec.reduce = count_and_smallest;
    for (size_t i = 0, n; i < all->n; i += n) {
        for (n = 1; i + n < all->n && same_key(&all->records[i], &all->records[i + n]);)
            n++;
        plain_record counted = all->records[i], least = all->records[i];
        if (n == 1) /* two rows of one record: they need room that is not there */
            continue;
        counted.number = (int64_t)n;
        all->records[kept++] = counted.number < least.number ? counted : least;
        all->records[kept++] = counted.number < least.number ? least : counted;
    }
    size_t rows = 0;
    for (uint32_t part = 0; part < PARTITIONS; part++) {
        tqi_reduce_account account;
        tq_error error;
        assert_int_equal(reduce(all, part, &account, &error), TQ_OK);
        tqi_rows_sort(&all->rows, TQ_ORDER_KEY, &all->spec.result_shape);
        size_t at = 0;
        for (size_t i = 0; i < kept; i += 2) {
            if (all->records[i].partition != part)
                continue;
            tq_slice key = {all->records[i].key, all->records[i].key_size};
            while (at < all->rows.n && !slice_equal(tqi_entry_key(&all->rows.entries[at]), key))
                at++;
            assert_true(at + 1 < all->rows.n);
            assert_true((int64_t)all->rows.entries[at].value == all->records[i].number);
            assert_true((int64_t)all->rows.entries[at + 1].value == all->records[i + 1].number);
        }
        rows += all->rows.n;
    }
    assert_true(rows >= kept && rows % 2 == 0);
    world_free(all);
}

/* Glues all values together; the row is not of the type of what was emitted. */
static int join(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    char text[RECORDS];
    size_t size = 0;
    tq_slice value;
    int64_t number;

    (void)user;
    assert_false(tq_values_next_i64(values, &number)); /* not numbers */
    while (tq_values_next(values, &value)) {
        assert_true(size + value.size + 1 < sizeof text);
        memcpy(text + size, value.data, value.size);
        size += value.size;
        text[size++] = '|';
    }
    return tq_write_row(out, key, (tq_slice){text, size}) != TQ_OK;
}

/* The bytes of all values of a key, in ascending order, and each partition's rows as the oracle joins them. */
static void test_reducer_of_bytes(void **state)
{
    world *all = world_new(TQ_COMBINE_NONE, TQ_FIXED);

    (void)state;
    all->spec.reduce = join;
    all->spec.result_shape = (tqi_value_shape){TQ_BYTES, 0};
    for (uint32_t part = 0; part < PARTITIONS; part++) {
        tqi_reduce_account account;
        tq_error error;
        size_t row = 0;
        assert_int_equal(reduce(all, part, &account, &error), TQ_OK);
        tqi_rows_sort(&all->rows, TQ_ORDER_KEY, &all->spec.result_shape);
        for (size_t i = 0, n; i < all->n; i += n) {
            for (n = 1; i + n < all->n && same_key(&all->records[i], &all->records[i + n]);)
                n++;
            if (all->records[i].partition != part)
                continue;
            assert_true(row < all->rows.n);
            tq_slice joined = tqi_entry_value(&all->spec.result_shape, &all->rows.entries[row++]);
            assert_int_equal(joined.size, 10 * n);
            for (size_t v = 0; v < n; v++) {
                assert_memory_equal(joined.data + 10 * v, all->records[i + v].value, 9);
                assert_int_equal(joined.data[10 * v + 9], '|');
            }
        }
        assert_int_equal(row, all->rows.n);
    }
    world_free(all);
}

/* ---- Values that do not fit the memory ---- */

/* One key has nearly all records, and the table room for a hundredth of them: many runs, which are merged into fewer first. Whatever
 * the values are, and whether or how they are reduced, the rows are those of a table that has room. */
static int pull_sums(tq_keys *keys, tq_rows_out *out, void *user)
{
    tq_values *values;
    tq_slice key;
    int64_t value;
    size_t n_keys = 0;

    (void)user;
    while (tq_keys_next(keys, &key, &values)) /* without looking at any value */
        n_keys++;
    tq_keys_rewind(keys);
    for (; tq_keys_next(keys, &key, &values); n_keys--) {
        int64_t sum = 0, last = INT64_MIN;
        uint64_t n = 0;

        while (n < 1000 && tq_values_next_i64(values, &value)) { /* not always to the end */
            assert_true(value >= last);
            last = value;
            sum += value * (int64_t)++n;
        }
        tq_write_row_i64(out, key, sum);
        tq_write_row_i64(out, key, (int64_t)tq_values_count(values));
    }
    assert_int_equal(n_keys, 0);
    return 0;
}

static int pull_groups(tq_keys *keys, tq_rows_out *out, void *user)
{
    tq_groups groups;

    (void)user;
    while (tq_keys_next_groups(keys, &groups) == TQ_OK && groups.n > 0) {
        const char *key = groups.keys;

        for (size_t i = 0, at = 0; i < groups.n; key += groups.key_sizes[i++]) {
            int64_t sum = 0;

            for (uint64_t v = 0; v < groups.counts[i]; v++)
                sum += ((const int64_t *)(const void *)groups.values)[at++] * (int64_t)(v + 1);
            tq_write_row_i64(out, (tq_slice){key, groups.key_sizes[i]}, sum);
        }
    }
    return 0;
}

static int count_bytes(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    uint64_t n = 0, sum = 0;
    tq_slice value;

    (void)user;
    for (; tq_values_next(values, &value); n++)
        sum = sum * 31 + tqi_hash(value.data, value.size); /* depends on their order */
    assert_int_equal(n, tq_values_count(values));
    tq_write_row_i64(out, key, (int64_t)(sum >> 1));
    return tq_write_row_i64(out, key, (int64_t)n) != TQ_OK;
}

static uint64_t rows_of(world *all, uint64_t table_bytes, tqi_rows *rows)
{
    uint64_t passes = 0;

    tqi_rows_init(rows, NULL);
    all->table_bytes = table_bytes;
    for (uint32_t part = 0; part < PARTITIONS; part++) {
        tqi_reduce_account account;
        tq_error error;

        assert_int_equal(reduce(all, part, &account, &error), TQ_OK);
        assert_int_equal(account.shuffled.records, all->store.parts[part].records);
        assert_int_equal(account.reduced.records, account.shuffled.records);
        assert_int_equal(account.reduced.check, account.shuffled.check);
        for (size_t i = 0; i < all->rows.n; i++)
            assert_int_equal(tqi_rows_append(rows, &all->spec.result_shape, tqi_entry_key(&all->rows.entries[i]),
                                             (int64_t)all->rows.entries[i].value,
                                             tqi_entry_value(&all->spec.result_shape, &all->rows.entries[i])),
                             TQ_OK);
        passes += account.passes;
    }
    return passes;
}

static void compare_spooled(world *all)
{
    tqi_rows whole, spooled;
    char *folder = folder_new();

    all->tmpdir = folder;
    assert_int_equal(rows_of(all, 0, &whole), PARTITIONS);
    rows_of(all, 1, &spooled);
    if (all->spec.order != TQ_ORDER_NONE) {
        tqi_rows_sort(&whole, TQ_ORDER_KEY, &all->spec.result_shape);
        tqi_rows_sort(&spooled, TQ_ORDER_KEY, &all->spec.result_shape);
    }
    assert_int_equal(whole.n, spooled.n);
    for (size_t i = 0; i < whole.n; i++)
        assert_int_equal(tqi_rows_compare(TQ_ORDER_KEY, &all->spec.result_shape, &whole.entries[i], &spooled.entries[i]), 0);
    tqi_rows_free(&whole);
    tqi_rows_free(&spooled);
    folder_remove(folder);
    world_free(all);
}

static void test_spooled(void **state)
{
    static const int types[] = {TQ_I64, TQ_FIXED, TQ_BYTES};

    (void)state;
    n_hot = 1;
    for (int way = 0; way < 12; way++) {
        world *all = world_new(TQ_COMBINE_NONE, types[way % 3]);

        all->spec.order = way < 6 ? TQ_ORDER_NONE : TQ_ORDER_KEY;
        if (way / 3 % 2) {
            all->spec.reduce = types[way % 3] == TQ_I64 ? count_and_smallest : count_bytes;
            all->spec.result_shape = (tqi_value_shape){TQ_I64, 0};
        }
        compare_spooled(all);
    }
    for (int pull = 0; pull < 2; pull++) {
        world *all = world_new(TQ_COMBINE_NONE, TQ_I64);

        all->spec.reduce_keys = pull ? pull_groups : pull_sums;
        compare_spooled(all);
    }
    n_hot = 20;
}

static int return_five(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    (void)key;
    (void)values;
    (void)out;
    (void)user;
    return 5;
}

static int say_why(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    (void)key;
    (void)values;
    (void)user;
    return tq_reduce_fail(out, "no %s, %d", "reason", 7);
}

static int write_wrong_type(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    (void)values;
    (void)user;
    assert_int_equal(tq_write_row(out, key, slice_of("text")), TQ_E_USER);
    assert_int_equal(tq_write_row_i64(out, key, 1), TQ_E_USER); /* it stays failed */
    return 0;
}

static int return_nine(tq_slice key, void *into, const void *value, void *user)
{
    (void)key;
    (void)into;
    (void)value;
    (void)user;
    return 9;
}

static void check_fails(world *all, tq_status status, const char *said)
{
    tqi_reduce_account account = {.merged = 77};
    tq_error error;

    assert_int_equal(reduce(all, 0, &account, &error), status);
    assert_int_equal(error.status, status);
    assert_non_null(strstr(error.message, said));
    assert_int_equal(account.merged, 77);
    assert_true(all->runs == 0 || all->budget.limit); /* else there was one pass only */
}

static void test_job_code_fails(void **state)
{
    world *all = world_new(TQ_COMBINE_NONE, TQ_I64);
    (void)state;
    all->spec.reduce = return_five;
    check_fails(all, TQ_E_USER, "the reducer returned 5");
    all->spec.reduce = say_why;
    check_fails(all, TQ_E_USER, "no reason, 7");
    all->spec.reduce = write_wrong_type;
    check_fails(all, TQ_E_USER, "result_type");
    all->spec.reduce = NULL;
    all->spec.combine = TQ_COMBINE_USER;
    all->spec.combine_fn = return_nine;
    check_fails(all, TQ_E_USER, "the combiner returned 9");
    world_free(all);
}

/* Long values of one key need an arena that grows: a budget that does not allow it fails. What does allow the table's
 * first memory only costs passes. */
static void test_no_memory(void **state)
{
    world *all = world_new(TQ_COMBINE_NONE, TQ_BYTES);
    uint64_t used = all->budget.used;
    tqi_reduce_account account;
    tqi_rows rows;
    tqi_run *run;
    tq_account ignored = {0};
    tq_error error;
    char *value = calloc(1, 100000);

    (void)state;
    assert_non_null(value);
    all->tmpdir = "/nowhere";
    for (uint64_t more = 1; more < 2000000; more *= 3) {
        all->budget.limit = used + more;
        tq_status status = reduce(all, 0, &account, &error);
        assert_true(status == TQ_OK || status == TQ_E_MEMORY);
        if (status == TQ_OK) {
            assert_int_equal(account.rows.records, all->store.parts[0].records);
            assert_int_equal(account.shuffled.records, all->store.parts[0].records);
        }
        assert_true(status == TQ_OK || strstr(error.message, "--memory"));
        assert_true(more < 500000 || status == TQ_OK);
    }
    all->budget.limit = 0;
    tqi_rows_init(&rows, NULL);
    for (int i = 0; i < 100; i++)
        assert_int_equal(tqi_rows_append(&rows, &all->spec.shape, slice_of("hot"), 0, (tq_slice){value, 100000}),
                         TQ_OK);
    assert_int_equal(tqi_run_build_one(&all->spec, &all->spec.shape, 0, rows.entries, rows.n, &ignored, &run), TQ_OK);
    tqi_rows_free(&rows);
    free(value);
    assert_int_equal(tqi_store_take_run(&all->store, run, &error), TQ_OK);
    all->budget.limit = all->budget.used + 2000000;
    check_fails(all, TQ_E_TMPDIR, "cannot create a spill file");
    char *folder = folder_new();
    all->tmpdir = folder;
    assert_int_equal(reduce(all, 0, &account, &error), TQ_OK);
    assert_int_equal(account.rows.records, all->store.parts[0].records);
    folder_remove(folder);
    all->budget.limit = 0;
    assert_int_equal(reduce(all, 0, &account, &error), TQ_OK);
    world_free(all);
}

/* A page with a checksum that fits, but with other records than its header says, or with a broken one. */
static void test_malformed_page(void **state)
{
    static const char payload[] = "\x01"
                                  "a\x02"
                                  "\x01"
                                  "b\x02"
                                  "\x01"
                                  "c\x02";

    (void)state;
    for (uint32_t records = 0; records < 6; records++) {
        for (uint32_t cut = 0; cut < 9; cut++) {
            world *all = calloc(1, sizeof *all);
            uint8_t page[TQI_PAGE_HEADER + sizeof payload];
            tqi_reduce_account account;
            tq_error error;
            uint32_t size = (uint32_t)sizeof payload - 1 - cut;
            assert_non_null(all);
            all->spec = spec_of(TQ_SUM, TQ_I64, 0, 1, &all->budget);
            tqi_pool_init(&all->pool, &all->budget, TQI_SMALLEST_BLOCK_BYTES,
                          TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
            all->spec.pool = &all->pool;
            tqi_rows_init(&all->rows, NULL);
            memcpy(page + TQI_PAGE_HEADER, payload, sizeof payload - 1);
            tqi_page_seal(page, 0, records, size);
            assert_int_equal(tqi_store_init(&all->store, &all->spec, 0, "/nowhere"), TQ_OK);
            assert_int_equal(tqi_store_copy_pages(&all->store, page, TQI_PAGE_HEADER + size, &error), TQ_OK);
            assert_int_equal(reduce(all, 0, &account, &error), 3 * records == size ? TQ_OK : TQ_E_ACCOUNT);
            world_free(all);
        }
    }
}

/* Also as the first thing that a reducer does. */
static void test_empty_partition(void **state)
{
    static const tq_order orders[] = {TQ_ORDER_KEY, TQ_ORDER_VALUE_DESC, TQ_ORDER_NONE};
    world *all = world_new(TQ_SUM, TQ_I64);
    tqi_reduce_account account;
    tq_error error;

    (void)state;
    tqi_store_free(&all->store);
    assert_int_equal(tqi_store_init(&all->store, &all->spec, 0, "/nowhere"), TQ_OK);
    for (int way = 0; way < 12; way++) {
        all->spec.combine = way % 2 ? TQ_SUM : TQ_COMBINE_NONE;
        all->spec.reduce = way / 2 % 2 ? count_and_smallest : NULL;
        all->spec.order = orders[way / 4];
        for (all->spec.limit = 0; all->spec.limit < 3; all->spec.limit++) {
            assert_int_equal(reduce(all, 1, &account, &error), TQ_OK);
            assert_int_equal(all->rows.n, 0);
            assert_int_equal(account.shuffled.records + account.reduced.records + account.rows.records, 0);
            assert_int_equal(account.passes, 1);
        }
    }
    world_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_combining),        cmocka_unit_test(test_every_value_is_kept),
        cmocka_unit_test(test_order_none),       cmocka_unit_test(test_passes),
        cmocka_unit_test(test_hot_key),          cmocka_unit_test(test_reused),
        cmocka_unit_test(test_cancelled),        cmocka_unit_test(test_reducer_of_numbers),
        cmocka_unit_test(test_reducer_of_bytes), cmocka_unit_test(test_job_code_fails),
        cmocka_unit_test(test_no_memory),        cmocka_unit_test(test_malformed_page),
        cmocka_unit_test(test_empty_partition),  cmocka_unit_test(test_spooled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
