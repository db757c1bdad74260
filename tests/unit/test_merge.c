/* Merging pages into tables: whole, in several goes, or for a part of the hashes, with the same account. */
#include "node/merge.h"

#include "common/account.h"
#include "common/error.h"
#include "node/rows.h"
#include "node/run.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { RECORDS = 3000 };

static const tqi_hashes all_hashes = {1, 0, 0};

/* A page of records, and the same records as rows. */
typedef struct world {
    tqi_budget budget;
    tqi_spec spec;
    tqi_run *page;
    tqi_rows rows;
    tq_account account;
} world;

static int or_values(tq_slice key, void *into, const void *value, void *user)
{
    (void)key;
    (void)user;
    for (int i = 0; i < 6; i++)
        ((char *)into)[i] = (char)(((char *)into)[i] | ((const char *)value)[i]);
    return 0;
}

/* Keys of all lengths, most of them several times; numbers of one byte and of many. */
static void world_open(world *all, tq_combine combine, int type)
{
    uint64_t random = 191;

    memset(all, 0, sizeof *all);
    all->spec = spec_of(combine, type, 6, 1, &all->budget);
    all->spec.combine_fn = or_values;
    tqi_rows_init(&all->rows, NULL);
    for (int i = 0; i < RECORDS; i++) {
        char key[100], value[40];
        int which = (int)random_below(&random, RECORDS / 4);
        size_t size = (size_t)sprintf(key, which % 6 ? "%d" : "%d is a key of some more bytes", which);
        size_t bytes = type == TQ_FIXED ? 6 : random_below(&random, sizeof value);
        int64_t number = i % 2 ? (int64_t)random_below(&random, 100) : (int64_t)random_next(&random);
        random_text(&random, "0123456789", 10, value, bytes);
        if (i % 500 == 0)
            size = 0;
        assert_int_equal(
            tqi_rows_append(&all->rows, &all->spec.shape, (tq_slice){key, size}, number, (tq_slice){value, bytes}),
            TQ_OK);
    }
    assert_int_equal(
        tqi_run_build_one(&all->spec, &all->spec.shape, 0, all->rows.entries, all->rows.n, &all->account, &all->page),
        TQ_OK);
}

static void world_close(world *all)
{
    tqi_run_free(&all->spec, all->page);
    tqi_rows_free(&all->rows);
    assert_int_equal(all->budget.used, 0);
}

static void assert_account(const tq_account *account, const tq_account *expected)
{
    assert_int_equal(account->records, expected->records);
    assert_int_equal(account->weight, expected->weight);
    assert_int_equal(account->check, expected->check);
}

/* All records put into one table, one after the other, in order of their hashes. */
static void expected_entries(const world *all, tqi_rows *expected, tqi_hashes hashes)
{
    tqi_table table;

    assert_int_equal(tqi_table_init(&table, &all->spec, 1, TQI_TABLE_NO_LIMIT, false), TQ_OK);
    tqi_table_clear(&table, hashes);
    for (size_t i = 0; i < all->rows.n; i++) {
        const tqi_entry *entry = &all->rows.entries[i];
        tqi_key key = {{entry->word[0], entry->word[1]}, entry->size};
        if (tqi_table_is_for(&table, entry->hash32))
            assert_int_equal(tqi_table_add(&table, &key, tqi_entry_hash(entry), (int64_t)entry->value,
                                           tqi_entry_value(&all->spec.shape, entry)),
                             TQ_OK);
    }
    const tqi_entry *sorted = tqi_table_sorted(&table);
    tqi_rows_clear(expected);
    for (size_t i = 0; i < table.n; i++)
        assert_int_equal(tqi_rows_append(expected, &all->spec.shape, tqi_entry_key(&sorted[i]),
                                         (int64_t)sorted[i].value, tqi_entry_value(&all->spec.shape, &sorted[i])),
                         TQ_OK);
    tqi_table_free(&table);
}

static void assert_entries(const world *all, tqi_table *table, const tqi_rows *expected)
{
    const tqi_entry *sorted = tqi_table_sorted(table);

    assert_int_equal(table->n, expected->n);
    for (size_t i = 0; i < table->n; i++)
        assert_int_equal(tqi_rows_compare(TQ_ORDER_NONE, &all->spec.shape, &sorted[i], &expected->entries[i]), 0);
}

/* One go into a table that is large enough. */
static void check_whole(world *all)
{
    tqi_merge_place place = {0};
    tq_account account = {0};
    tqi_table table;
    tqi_rows expected;
    tq_error error;

    tqi_rows_init(&expected, NULL);
    expected_entries(all, &expected, all_hashes);
    assert_int_equal(tqi_table_init(&table, &all->spec, 1, TQI_TABLE_NO_LIMIT, false), TQ_OK);
    assert_int_equal(tqi_merge_page(&table, all->page->data, &place, &account, &error), TQ_OK);
    assert_int_equal(place.records, RECORDS);
    assert_int_equal(place.offset, tqi_page_read_header(all->page->data).payload);
    assert_account(&account, &all->account);
    assert_int_equal(table.n + table.merged, RECORDS);
    assert_entries(all, &table, &expected);
    /* At its end there is nothing more of a page. */
    assert_int_equal(tqi_merge_page(&table, all->page->data, &place, &account, &error), TQ_OK);
    assert_account(&account, &all->account);
    tqi_table_free(&table);
    tqi_rows_free(&expected);
}

/* A small table that is emptied whenever it is full: what was in it, merged into a large one, is all there was. */
static void check_resume(world *all, size_t limit)
{
    tqi_merge_place place = {0};
    tq_account account = {0};
    tqi_table table, whole;
    tqi_rows expected;
    tq_error error;
    tq_status status;
    uint64_t records = 0, merged = 0;

    tqi_error_clear(&error);
    tqi_rows_init(&expected, NULL);
    expected_entries(all, &expected, all_hashes);
    assert_int_equal(tqi_table_init(&table, &all->spec, 1, limit, false), TQ_OK);
    assert_int_equal(tqi_table_init(&whole, &all->spec, 1, TQI_TABLE_NO_LIMIT, false), TQ_OK);
    do {
        uint64_t before = place.records;
        status = tqi_merge_page(&table, all->page->data, &place, &account, &error);
        assert_true(status == TQ_OK || status == TQ_E_AGAIN);
        assert_int_equal(error.status, TQ_OK);
        assert_true(status == TQ_OK || (table.n == limit && place.records > before));
        assert_int_equal(account.records, place.records);
        records += table.n;
        for (size_t i = 0; i < table.n; i++) {
            const tqi_entry *entry = &table.entries[i];
            tqi_key key = {{entry->word[0], entry->word[1]}, entry->size};
            assert_int_equal(tqi_table_add(&whole, &key, tqi_entry_hash(entry), (int64_t)entry->value,
                                           tqi_entry_value(&all->spec.shape, entry)),
                             TQ_OK);
        }
        merged = table.merged;
        tqi_table_clear(&table, all_hashes);
    } while (status);
    assert_int_equal(place.records, RECORDS);
    assert_int_equal(records + merged, RECORDS);
    assert_account(&account, &all->account);
    assert_entries(all, &whole, &expected);
    tqi_table_free(&table);
    tqi_table_free(&whole);
    tqi_rows_free(&expected);
}

/* One pass for each part of the hashes: each record is in exactly one of them, also when the table is full in between. */
static void check_parts(world *all, unsigned halvings, size_t limit)
{
    tq_account account = {0};
    tqi_hashes hashes = {1, 0, halvings};
    tqi_table table;
    tqi_rows expected;
    tq_error error;

    tqi_rows_init(&expected, NULL);
    assert_int_equal(tqi_table_init(&table, &all->spec, 1, limit, false), TQ_OK);
    do {
        tqi_merge_place place = {0};
        tq_status status;
        size_t goes = 0;
        expected_entries(all, &expected, hashes);
        tqi_table_clear(&table, hashes);
        while ((status = tqi_merge_page(&table, all->page->data, &place, &account, &error)) == TQ_E_AGAIN) {
            for (size_t i = 0; i < table.n; i++)
                assert_true(tqi_table_is_for(&table, table.entries[i].hash32));
            tqi_table_clear(&table, hashes);
            goes++;
        }
        assert_int_equal(status, TQ_OK);
        assert_int_equal(place.records, RECORDS);
        if (goes == 0)
            assert_entries(all, &table, &expected);
        hashes.base += (uint32_t)((uint64_t)1 << (32 - halvings));
    } while (hashes.base != 0);
    assert_account(&account, &all->account);
    tqi_table_free(&table);
    tqi_rows_free(&expected);
}

static void check(tq_combine combine, int type)
{
    world all;

    world_open(&all, combine, type);
    check_whole(&all);
    for (size_t limit = 1; limit < 2 * RECORDS; limit = limit * 3 + 1)
        check_resume(&all, limit);
    for (unsigned halvings = 1; halvings < 6; halvings++) {
        check_parts(&all, halvings, TQI_TABLE_NO_LIMIT);
        check_parts(&all, halvings, 5);
        check_parts(&all, halvings, 100);
    }
    world_close(&all);
}

static void test_all_combiners(void **state)
{
    (void)state;
    check(TQ_SUM, TQ_I64);
    check(TQ_MIN, TQ_I64);
    check(TQ_MAX, TQ_I64);
    check(TQ_COMBINE_USER, TQ_FIXED);
    check(TQ_COMBINE_NONE, TQ_I64);
    check(TQ_COMBINE_NONE, TQ_FIXED);
    check(TQ_COMBINE_NONE, TQ_BYTES);
}

/* ---- What fails ---- */

static int refuse(tq_slice key, void *into, const void *value, void *user)
{
    (void)key;
    (void)into;
    (void)value;
    (void)user;
    return 23;
}

static void test_combiner_that_fails(void **state)
{
    world all;
    tqi_merge_place place = {0};
    tq_account account = {0};
    tqi_table table;
    tq_error error;

    (void)state;
    world_open(&all, TQ_COMBINE_USER, TQ_I64);
    all.spec.combine_fn = refuse;
    assert_int_equal(tqi_table_init(&table, &all.spec, 1, TQI_TABLE_NO_LIMIT, false), TQ_OK);
    assert_int_equal(tqi_merge_page(&table, all.page->data, &place, &account, &error), TQ_E_USER);
    assert_int_equal(error.status, TQ_E_USER);
    assert_non_null(strstr(error.message, "the combiner returned 23"));
    tqi_table_free(&table);
    world_close(&all);
}

/* A record that does not even fit an empty table. */
static void test_no_memory(void **state)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 1, &budget);
    tqi_rows rows;
    tqi_run *page;
    tqi_table table;
    tqi_merge_place place = {0};
    tq_account account = {0}, read = {0};
    tq_error error;
    char *key = calloc(1, 100000);

    (void)state;
    assert_non_null(key);
    tqi_rows_init(&rows, NULL);
    assert_int_equal(tqi_rows_append(&rows, &spec.shape, slice_of("short"), 1, (tq_slice){NULL, 0}), TQ_OK);
    assert_int_equal(tqi_rows_append(&rows, &spec.shape, (tq_slice){key, 100000}, 2, (tq_slice){NULL, 0}), TQ_OK);
    assert_int_equal(tqi_run_build_one(&spec, &spec.shape, 0, rows.entries, rows.n, &account, &page), TQ_OK);
    assert_int_equal(tqi_table_init(&table, &spec, 4, TQI_TABLE_NO_LIMIT, false), TQ_OK);
    budget.limit = budget.used + 50000;
    assert_int_equal(tqi_merge_page(&table, page->data, &place, &read, &error), TQ_E_AGAIN);
    assert_int_equal(place.records, 1);
    tqi_table_clear(&table, all_hashes);
    assert_int_equal(tqi_merge_page(&table, page->data, &place, &read, &error), TQ_E_MEMORY);
    assert_non_null(strstr(error.message, "--memory"));
    budget.limit = 0;
    assert_int_equal(tqi_merge_page(&table, page->data, &place, &read, &error), TQ_OK);
    assert_account(&read, &account);
    tqi_table_free(&table);
    tqi_run_free(&spec, page);
    tqi_rows_free(&rows);
    free(key);
    assert_int_equal(budget.used, 0);
}

/* Any payload cut anywhere, and any number of records that is not the page's: it is noticed, for part of the hashes too. */
static void check_malformed(tq_combine combine, int type, const char *payload, uint32_t size, uint32_t records,
                            unsigned halvings)
{
    tqi_spec spec = spec_of(combine, type, 2, 1, NULL);
    tqi_hashes hashes = {1, 0, halvings};

    for (uint32_t said = 0; said < records + 3; said++) {
        for (uint32_t cut = 0; cut <= size; cut++) {
            uint8_t page[TQI_PAGE_HEADER + 100 + TQI_KEY_SLACK] = {0};
            tqi_merge_place place = {0};
            tq_account account = {0};
            tqi_table table;
            tq_error error;
            uint32_t whole = 0; /* records that end where the payload is cut */
            bool fits = false;
            const uint8_t *at = (const uint8_t *)payload, *end = at + size - cut;
            tq_slice key, value;
            int64_t number;
            memcpy(page + TQI_PAGE_HEADER, payload, size - cut);
            tqi_page_seal(page, 0, said, size - cut);
            while (tqi_page_next(&spec.shape, &at, end, &key, &value, &number))
                whole++;
            fits = at == end && whole == said;
            assert_int_equal(tqi_table_init(&table, &spec, 1, TQI_TABLE_NO_LIMIT, false), TQ_OK);
            tqi_table_clear(&table, hashes);
            assert_int_equal(tqi_merge_page(&table, page, &place, &account, &error), fits ? TQ_OK : TQ_E_ACCOUNT);
            assert_true(fits || strstr(error.message, "malformed"));
            tqi_table_free(&table);
        }
    }
}

static void test_malformed(void **state)
{
    static const char numbers[] = "\x01"
                                  "a\x02"
                                  "\x00\xff\x01"
                                  "\x12"
                                  "eighteen character\x81\x82\x03"
                                  "\x01"
                                  "c\x02";
    static const char fixed[] = "\x01"
                                "avv"
                                "\x00ww"
                                "\x12"
                                "eighteen characterxx";
    static const char bytes[] = "\x01"
                                "a\x02vv"
                                "\x00\x00"
                                "\x12"
                                "eighteen character\x01x"
                                "\x01"
                                "c\x00";
    static const char huge[] = "\x01"
                               "a\x02"
                               "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
                               "b\x02";

    (void)state;
    for (unsigned halvings = 0; halvings < 3; halvings++) {
        check_malformed(TQ_SUM, TQ_I64, numbers, sizeof numbers - 1, 4, halvings);
        check_malformed(TQ_MIN, TQ_I64, numbers, sizeof numbers - 1, 4, halvings);
        check_malformed(TQ_COMBINE_NONE, TQ_FIXED, fixed, sizeof fixed - 1, 3, halvings);
        check_malformed(TQ_COMBINE_NONE, TQ_BYTES, bytes, sizeof bytes - 1, 4, halvings);
        check_malformed(TQ_SUM, TQ_I64, huge, sizeof huge - 1, 2, halvings);
        check_malformed(TQ_COMBINE_NONE, TQ_BYTES, huge, sizeof huge - 1, 2, halvings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_combiners),
        cmocka_unit_test(test_combiner_that_fails),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
