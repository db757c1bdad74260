/* Runs: what a table held comes back from its pages, each record in its partition. */
#include "node/run.h"

#include "common/account.h"
#include "node/rows.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static const tqi_value_shape shapes[] = {{TQ_I64, 0}, {TQ_FIXED, 5}, {TQ_FIXED, 24}, {TQ_BYTES, 0}};

/* Keys of all sizes around the inline one, values of the shape. */
static void fill(tqi_rows *rows, const tqi_value_shape *shape, size_t n, uint64_t *random)
{
    for (size_t i = 0; i < n; i++) {
        char key[400], value[200];
        size_t size = random_below(random, 8) ? random_below(random, 20) : random_below(random, sizeof key);
        size_t bytes = shape->type == TQ_FIXED ? shape->bytes : random_below(random, sizeof value);
        random_text(random, "abcdefgh\0\xff", 10, key, size);
        random_text(random, "0123456789", 10, value, bytes);
        int64_t number = (int64_t)random_next(random) >> random_below(random, 64);
        assert_int_equal(tqi_rows_append(rows, shape, (tq_slice){key, size}, number, (tq_slice){value, bytes}), TQ_OK);
    }
}

/* In the order of the entries, those of a partition must be the records of its page. */
static void assert_page(const tqi_value_shape *shape, const uint8_t *page, const tqi_rows *rows,
                        const uint32_t *partition_of, uint32_t partitions)
{
    tqi_page_header header = tqi_page_read_header(page);
    const uint8_t *at = page + TQI_PAGE_HEADER, *end = at + header.payload;
    tq_slice key, value;
    int64_t number = 0;
    uint32_t n = 0;

    for (size_t i = 0; i < rows->n; i++) {
        const tqi_entry *entry = &rows->entries[i];
        uint32_t partition = partition_of ? partition_of[i] : tqi_partition_of(entry->hash32, partitions);
        if (partition != header.partition)
            continue;
        assert_true(tqi_page_next(shape, &at, end, &key, &value, &number));
        assert_true(slice_equal(key, tqi_entry_key(entry)));
        if (shape->type == TQ_I64)
            assert_true(number == (int64_t)entry->value);
        else
            assert_true(slice_equal(value, tqi_entry_value(shape, entry)));
        n++;
    }
    assert_ptr_equal(at, end);
    assert_int_equal(n, header.records);
    assert_true(n > 0);
}

static uint64_t assert_run(const tqi_value_shape *shape, const tqi_run *run, const tqi_rows *rows,
                           const uint32_t *partition_of, uint32_t partitions)
{
    uint64_t records = 0;
    int64_t last = -1;

    for (const uint8_t *at = run->data, *end = at + run->bytes; at < end;) {
        assert_null(tqi_page_validate(at, (size_t)(end - at)));
        tqi_page_header header = tqi_page_read_header(at);
        assert_true((int64_t)header.partition > last && header.partition < partitions);
        last = header.partition;
        records += header.records;
        assert_page(shape, at, rows, partition_of, partitions);
        at += TQI_PAGE_HEADER + header.payload;
        assert_true(at <= end);
    }
    assert_int_equal(records, rows->n);
    assert_int_equal(run->records, rows->n);
    assert_true(run->capacity >= run->bytes + TQI_KEY_SLACK);
    return records;
}

/* The account of the entries, from the header's words: SUM is linear, everything else counts. */
static tq_account expected_account(const tqi_spec *spec, const tqi_value_shape *shape, const tqi_rows *rows)
{
    tq_account account = {0};

    for (size_t i = 0; i < rows->n; i++) {
        const tqi_entry *entry = &rows->entries[i];
        tq_slice key = tqi_entry_key(entry), value = tqi_entry_value(shape, entry);
        uint64_t hash = tqi_hash(key.data, key.size);
        account.records++;
        if (spec->combine == TQ_SUM && shape->type == TQ_I64) {
            account.weight += entry->value;
            account.check += hash * entry->value;
        } else {
            account.weight++;
            account.check += hash * (tqi_hash(value.data, value.size) | 1);
        }
    }
    return account;
}

static void check(tq_combine combine, const tqi_value_shape *shape, size_t n, uint32_t partitions, uint64_t *random)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(combine, shape->type, shape->bytes, partitions, &budget);
    tqi_run_builder builder;
    tqi_rows rows;
    uint32_t *given = malloc(n * sizeof *given);

    assert_non_null(given);
    tqi_rows_init(&rows, NULL);
    assert_int_equal(tqi_run_builder_init(&builder, &spec, shape, 0, partitions), TQ_OK);
    for (int round = 0; round < 2; round++) { /* the builder is used again */
        fill(&rows, shape, n - rows.n, random);
        for (size_t i = 0; i < n; i++)
            given[i] = (uint32_t)random_below(random, partitions);
        for (int by_hash = 0; by_hash < 2; by_hash++) {
            const uint32_t *partition_of = by_hash ? NULL : given;
            tq_account account = {1000, 1000, 1000}, expected = expected_account(&spec, shape, &rows);
            tqi_run *run = NULL;
            assert_int_equal(tqi_run_build(&builder, rows.entries, n, partition_of, &account, &run), TQ_OK);
            assert_run(shape, run, &rows, partition_of, partitions);
            assert_int_equal(account.records, expected.records + 1000);
            assert_int_equal(account.weight, expected.weight + 1000);
            assert_int_equal(account.check, expected.check + 1000);
            assert_true(budget.used >= run->bytes);
            tqi_run_free(&spec, run);
            assert_int_equal(budget.used, 0);
        }
        rows.n /= 2;
    }
    tqi_run_builder_free(&builder);
    tqi_rows_free(&rows);
    free(given);
}

static void test_round_trip(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 100, 3000};
    static const uint32_t partitions[] = {1, 2, 7, 64, 1000};
    uint64_t random = 41;

    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (size_t n = 0; n < 5; n++)
            for (size_t p = 0; p < 5; p++)
                check(TQ_COMBINE_NONE, &shapes[s], sizes[n], partitions[p], &random);
    for (size_t p = 0; p < 5; p++)
        check(TQ_SUM, &shapes[0], 500, partitions[p], &random);
}

/* A short key is copied as 16 bytes: in front of every header and at the run's very end nothing may be hurt. */
static void test_records_of_one_byte(void **state)
{
    uint64_t random = 42;

    (void)state;
    for (uint32_t partitions = 1; partitions < 40; partitions++) {
        tqi_spec spec = spec_of(TQ_COMBINE_NONE, TQ_BYTES, 0, partitions, NULL);
        tqi_run_builder builder;
        tqi_rows rows;
        tqi_run *run;
        tq_account account = {0};
        uint32_t given[80];
        tqi_rows_init(&rows, NULL);
        for (size_t i = 0; i < 80; i++) {
            tq_slice key = {"0123456789abcdef", random_below(&random, 17)};
            assert_int_equal(tqi_rows_append(&rows, &spec.shape, key, 0, (tq_slice){"xyz", i % 2}), TQ_OK);
            given[i] = (uint32_t)((79 - i) * partitions / 80);
        }
        assert_int_equal(tqi_run_builder_init(&builder, &spec, &spec.shape, 0, partitions), TQ_OK);
        assert_int_equal(tqi_run_build(&builder, rows.entries, rows.n, given, &account, &run), TQ_OK);
        assert_run(&spec.shape, run, &rows, given, partitions);
        tqi_run_free(&spec, run);
        tqi_run_builder_free(&builder);
        tqi_rows_free(&rows);
    }
}

/* A flush cannot wait: it is given its memory beyond the budget, and counted. */
static void test_beyond_the_budget(void **state)
{
    tqi_budget budget = {.limit = 1000};
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 3, &budget);
    tqi_run_builder builder;
    tqi_rows rows;
    tqi_run *run = NULL;
    tq_account account = {0};
    uint64_t random = 43;

    (void)state;
    tqi_rows_init(&rows, NULL);
    fill(&rows, &shapes[0], 500, &random);
    assert_int_equal(tqi_run_builder_init(&builder, &spec, &spec.shape, 0, 3), TQ_OK);
    assert_int_equal(tqi_run_build(&builder, rows.entries, rows.n, NULL, &account, &run), TQ_OK);
    assert_int_equal(account.records, rows.n);
    assert_true(budget.used > budget.limit && budget.used >= run->bytes);
    tqi_run_free(&spec, run);
    assert_int_equal(budget.used, 0);
    tqi_run_free(&spec, NULL);
    tqi_run_builder_free(&builder);
    tqi_rows_free(&rows);
}

/* A builder for some partitions in a row only, or for one. */
static void test_some_partitions(void **state)
{
    tqi_spec spec = spec_of(TQ_COMBINE_NONE, TQ_I64, 0, 50, NULL);
    tqi_run_builder builder;
    tqi_rows rows;
    tqi_run *run;
    tq_account account = {0}, alone = {0};
    uint32_t given[400];
    uint64_t random = 45;

    (void)state;
    tqi_rows_init(&rows, NULL);
    fill(&rows, &shapes[0], 400, &random);
    for (size_t i = 0; i < 400; i++)
        given[i] = 30 + (uint32_t)random_below(&random, 5);
    assert_int_equal(tqi_run_builder_init(&builder, &spec, &spec.shape, 30, 5), TQ_OK);
    assert_int_equal(tqi_run_build(&builder, rows.entries, rows.n, given, &account, &run), TQ_OK);
    assert_run(&spec.shape, run, &rows, given, 35);
    assert_int_equal(tqi_page_read_header(run->data).partition, 30);
    tqi_run_free(&spec, run);
    tqi_run_builder_free(&builder);
    for (size_t i = 0; i < 400; i++)
        given[i] = 33; /* whatever the hash says */
    assert_int_equal(tqi_run_build_one(&spec, &spec.shape, 33, rows.entries, rows.n, &alone, &run), TQ_OK);
    assert_run(&spec.shape, run, &rows, given, 34);
    assert_int_equal(alone.records, account.records);
    assert_int_equal(alone.weight, account.weight);
    assert_int_equal(alone.check, account.check);
    tqi_run_free(&spec, run);
    tqi_rows_free(&rows);
}

/* Room for a page: a block of the pool if it fits, memory of its own if not, and none if the budget does not allow it. */
static void test_room(void **state)
{
    tqi_budget budget = {0};
    tqi_pool pool;
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 3, &budget);

    (void)state;
    tqi_pool_init(&pool, &budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    spec.pool = &pool;
    for (size_t capacity = 0; capacity < 3 * TQI_SMALLEST_BLOCK_BYTES; capacity += 7) {
        bool fits = capacity + sizeof(tqi_run) <= TQI_SMALLEST_BLOCK_BYTES;
        tqi_run *run = tqi_run_new(&spec, capacity, false);
        assert_non_null(run);
        assert_ptr_equal(run->pool, fits ? &pool : NULL);
        assert_true(fits ? sizeof *run + run->capacity == TQI_SMALLEST_BLOCK_BYTES : run->capacity == capacity);
        memset(run->data, 0xee, run->capacity);
        tqi_run_free(&spec, run);
    }
    tqi_pool_free(&pool);
    assert_int_equal(budget.used, 0);
    budget.limit = 1;
    tqi_pool_init(&pool, &budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    assert_null(tqi_run_new(&spec, 100, false));
    assert_null(tqi_run_new(&spec, 10000, false));
    tqi_run *run = tqi_run_new(&spec, 100, true);
    assert_non_null(run);
    assert_true(budget.used > budget.limit);
    tqi_run_free(&spec, run);
    tqi_pool_free(&pool);
    assert_int_equal(budget.used, 0);
}

/* Accounts add up, and do not depend on how the records are divided. */
static void test_accounts_add_up(void **state)
{
    tq_account whole = {0}, left = {0}, right = {0};
    uint64_t random = 44;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t hash = random_next(&random), value = random_next(&random);
        tqi_account_sum(&whole, hash, value);
        tqi_account_sum(i % 3 ? &left : &right, hash, value - 7);
        tqi_account_sum(i % 5 ? &left : &right, hash, 7);
    }
    tqi_account_add(&left, &right);
    assert_int_equal(left.records, 2000);
    assert_int_equal(left.weight, whole.weight);
    assert_int_equal(left.check, whole.check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_records_of_one_byte),
        cmocka_unit_test(test_beyond_the_budget),
        cmocka_unit_test(test_some_partitions),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_accounts_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
