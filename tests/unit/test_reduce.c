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

/* A job's records, sorted, and the store that they lie in. */
typedef struct world {
    tqi_budget budget;
    tqi_spec spec;
    tqi_store store;
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
    assert_int_equal(tqi_store_init(&all->store, &all->spec, 0, "/nowhere"), TQ_OK);
    assert_int_equal(tqi_run_builder_init(&builder, &all->spec, &all->spec.shape, PARTITIONS), TQ_OK);
    while (all->n < RECORDS) {
        tqi_rows rows;
        tqi_run *run;
        size_t n = 1 + random_below(&random, 700);
        tqi_rows_init(&rows, NULL);
        for (size_t i = 0; i < n && all->n < RECORDS; i++) {
            char key[LONGEST], value[LONGEST];
            size_t size = (size_t)sprintf(key, all->n % 5 ? "k%d" : "a key of some length %d",
                                          (int)random_below(&random, all->n % 2 ? 20 : 2000));
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

/* Reduce every partition and compare, in the order of keys, with the records of the oracle that belong there. */
static void assert_reduced(world *all, uint64_t limit)
{
    const tqi_value_shape *shape = &all->spec.result_shape;

    all->spec.limit = limit;
    for (uint32_t part = 0; part < PARTITIONS; part++) {
        tqi_reduce_result result;
        tq_error error;
        uint64_t expected = 0;
        assert_int_equal(tqi_reduce_partition(&all->spec, &all->store, part, &result, &error), TQ_OK);
        tqi_rows_sort(&result.rows, TQ_ORDER_KEY, shape);
        for (size_t i = 0; i < all->n; i++) {
            const plain_record *record = &all->records[i];
            if (record->partition != part || (limit && expected == limit))
                continue;
            assert_true(expected < result.rows.n);
            const tqi_entry *entry = &result.rows.entries[expected++];
            assert_true(slice_equal(tqi_entry_key(entry), (tq_slice){record->key, record->key_size}));
            if (shape->type == TQ_I64)
                assert_true((int64_t)entry->value == record->number);
            else
                assert_true(slice_equal(tqi_entry_value(shape, entry), (tq_slice){record->value, record->value_size}));
        }
        assert_int_equal(result.rows.n, expected);
        assert_int_equal(result.rows_account.records, expected);
        assert_int_equal(result.shuffled.records, all->store.parts[part].records);
        assert_int_equal(result.shuffled.records, result.reduced.records + result.merged);
        if (all->spec.combine == TQ_SUM || all->spec.combine == TQ_COMBINE_NONE) {
            assert_int_equal(result.shuffled.weight, result.reduced.weight);
            assert_int_equal(result.shuffled.check, result.reduced.check);
        }
        tqi_rows_free(&result.rows);
    }
}

static void check_combined(tq_combine combine, int type)
{
    world *all = world_new(combine, type);

    all->spec.combine_fn = or_values;
    if (combine != TQ_COMBINE_NONE)
        combine_oracle(all);
    assert_reduced(all, 0);
    assert_reduced(all, 1);
    assert_reduced(all, 10);
    assert_reduced(all, 100000);
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

/* With TQ_ORDER_NONE the rows are in order already, also with a limit. */
static void test_order_none(void **state)
{
    static const tq_combine combines[] = {TQ_SUM, TQ_COMBINE_NONE};

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        world *all = world_new(combines[c], TQ_I64);
        all->spec.order = TQ_ORDER_NONE;
        for (uint32_t part = 0; part < PARTITIONS; part++) {
            tqi_reduce_result whole, some;
            tq_error error;
            all->spec.limit = 0;
            assert_int_equal(tqi_reduce_partition(&all->spec, &all->store, part, &whole, &error), TQ_OK);
            all->spec.limit = 20;
            assert_int_equal(tqi_reduce_partition(&all->spec, &all->store, part, &some, &error), TQ_OK);
            assert_true(whole.rows.n > 20);
            assert_int_equal(some.rows.n, 20);
            for (size_t i = 1; i < whole.rows.n; i++)
                assert_true(tqi_rows_compare(TQ_ORDER_NONE, &all->spec.shape, &whole.rows.entries[i - 1],
                                             &whole.rows.entries[i]) <= 0);
            for (size_t i = 0; i < 20; i++)
                assert_int_equal(tqi_rows_compare(TQ_ORDER_NONE, &all->spec.shape, &whole.rows.entries[i],
                                                  &some.rows.entries[i]),
                                 0);
            tqi_rows_free(&whole.rows);
            tqi_rows_free(&some.rows);
        }
        world_free(all);
    }
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
        tqi_reduce_result result;
        tq_error error;
        assert_int_equal(tqi_reduce_partition(&all->spec, &all->store, part, &result, &error), TQ_OK);
        tqi_rows_sort(&result.rows, TQ_ORDER_KEY, &all->spec.result_shape);
        size_t at = 0;
        for (size_t i = 0; i < kept; i += 2) {
            if (all->records[i].partition != part)
                continue;
            tq_slice key = {all->records[i].key, all->records[i].key_size};
            while (at < result.rows.n && !slice_equal(tqi_entry_key(&result.rows.entries[at]), key))
                at++;
            assert_true(at + 1 < result.rows.n);
            assert_true((int64_t)result.rows.entries[at].value == all->records[i].number);
            assert_true((int64_t)result.rows.entries[at + 1].value == all->records[i + 1].number);
        }
        rows += result.rows.n;
        assert_int_equal(result.rows_account.records, result.rows.n);
        tqi_rows_free(&result.rows);
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
        tqi_reduce_result result;
        tq_error error;
        size_t row = 0;
        assert_int_equal(tqi_reduce_partition(&all->spec, &all->store, part, &result, &error), TQ_OK);
        tqi_rows_sort(&result.rows, TQ_ORDER_KEY, &all->spec.result_shape);
        for (size_t i = 0, n; i < all->n; i += n) {
            for (n = 1; i + n < all->n && same_key(&all->records[i], &all->records[i + n]);)
                n++;
            if (all->records[i].partition != part)
                continue;
            assert_true(row < result.rows.n);
            tq_slice joined = tqi_entry_value(&all->spec.result_shape, &result.rows.entries[row++]);
            assert_int_equal(joined.size, 10 * n);
            for (size_t v = 0; v < n; v++) {
                assert_memory_equal(joined.data + 10 * v, all->records[i + v].value, 9);
                assert_int_equal(joined.data[10 * v + 9], '|');
            }
        }
        assert_int_equal(row, result.rows.n);
        tqi_rows_free(&result.rows);
    }
    world_free(all);
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
    tqi_reduce_result result = {.merged = 77};
    tq_error error;

    assert_int_equal(tqi_reduce_partition(&all->spec, &all->store, 0, &result, &error), status);
    assert_int_equal(error.status, status);
    assert_non_null(strstr(error.message, said));
    assert_int_equal(result.merged, 77);
}

static void test_job_code_fails(void **state)
{
    world *all = world_new(TQ_COMBINE_NONE, TQ_I64);
    uint64_t used = all->budget.used;

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
    assert_int_equal(all->budget.used, used);
    world_free(all);
}

static void test_no_memory(void **state)
{
    static const tq_combine combines[] = {TQ_SUM, TQ_COMBINE_NONE};

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        world *all = world_new(combines[c], TQ_I64);
        uint64_t used = all->budget.used;
        for (uint64_t more = 1; more < 20000; more += 1500) {
            all->budget.limit = used + more;
            check_fails(all, TQ_E_MEMORY, "memory");
            assert_int_equal(all->budget.used, used);
        }
        all->budget.limit = 0;
        world_free(all);
    }
}

/* A page with a checksum that fits, but with other records than its header says, or with a broken one. */
static void test_malformed_page(void **state)
{
    static const char payload[] = "\x01" "a\x02" "\x01" "b\x02" "\x01" "c\x02";
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 1, NULL);

    (void)state;
    for (uint32_t records = 0; records < 6; records++) {
        for (uint32_t cut = 0; cut < 9; cut++) {
            uint8_t page[TQI_PAGE_HEADER + sizeof payload];
            tqi_store store;
            tqi_reduce_result result;
            tq_error error;
            uint32_t size = (uint32_t)sizeof payload - 1 - cut;
            memcpy(page + TQI_PAGE_HEADER, payload, sizeof payload - 1);
            tqi_page_seal(page, 0, records, size);
            assert_int_equal(tqi_store_init(&store, &spec, 0, "/nowhere"), TQ_OK);
            assert_int_equal(tqi_store_copy_pages(&store, page, TQI_PAGE_HEADER + size, &error), TQ_OK);
            tq_status status = tqi_reduce_partition(&spec, &store, 0, &result, &error);
            assert_int_equal(status, 3 * records == size ? TQ_OK : TQ_E_ACCOUNT);
            if (!status)
                tqi_rows_free(&result.rows);
            tqi_store_free(&store);
        }
    }
}

static void test_empty_partition(void **state)
{
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 3, NULL);
    tqi_store store;
    tqi_reduce_result result;
    tq_error error;

    (void)state;
    assert_int_equal(tqi_store_init(&store, &spec, 0, "/nowhere"), TQ_OK);
    for (int order = TQ_ORDER_KEY; order <= TQ_ORDER_NONE; order++) {
        for (spec.limit = 0; spec.limit < 3; spec.limit++) {
            spec.order = (tq_order)order;
            spec.reduce = order == TQ_ORDER_KEY ? count_and_smallest : NULL;
            assert_int_equal(tqi_reduce_partition(&spec, &store, 1, &result, &error), TQ_OK);
            assert_int_equal(result.rows.n, 0);
            assert_int_equal(result.shuffled.records + result.reduced.records + result.rows_account.records, 0);
            tqi_rows_free(&result.rows);
        }
    }
    tqi_store_free(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_combining),
        cmocka_unit_test(test_every_value_is_kept),
        cmocka_unit_test(test_order_none),
        cmocka_unit_test(test_reducer_of_numbers),
        cmocka_unit_test(test_reducer_of_bytes),
        cmocka_unit_test(test_job_code_fails),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_malformed_page),
        cmocka_unit_test(test_empty_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
