/* Pairs in the order of their groups, against a plain sort: with groups of one hash, prefixes of each other, combiners, and
 * functions that say anything. */
#include "node/grouping.h"

#include "common/account.h"
#include "node/rows.h"
#include "node/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { PAIRS = 5000, LONGEST = 40 };

typedef struct pair {
    char key[LONGEST];
    size_t size, group; /* group: bytes of it */
    uint32_t hash32;
    int64_t number;
} pair;

static pair pairs[PAIRS];

/* The first byte says how many bytes the group has: it may be a prefix of another group, and stand between two of its keys. */
static size_t by_first_byte(tq_slice key, void *user)
{
    (void)user;
    return key.size ? (size_t)(key.data[0] - '0') : 0;
}

static size_t everything(tq_slice key, void *user)
{
    (void)user;
    return key.size + 1000;
}

static size_t nothing(tq_slice key, void *user)
{
    (void)key;
    (void)user;
    return 0;
}

/* 2 for some, 3 for others: "ab" stands between "ab!" and "abz". */
static size_t two_or_three(tq_slice key, void *user)
{
    (void)user;
    return key.size > 3 && key.data[3] == 'b' ? 2 : 3;
}

static uint64_t answers;

static size_t anything(tq_slice key, void *user)
{
    (void)user;
    return random_below(&answers, key.size + 3);
}

static int by_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int in_order(const void *left, const void *right)
{
    const pair *a = left, *b = right;
    int order = (a->hash32 > b->hash32) - (a->hash32 < b->hash32);

    if (!order)
        order = by_bytes(a->key, a->group, b->key, b->group);
    if (!order)
        order = by_bytes(a->key, a->size, b->key, b->size);
    return order ? order : (a->number > b->number) - (a->number < b->number);
}

/* Fill a table with random pairs. one_hash: all groups have the same. */
static void fill(tqi_table *table, size_t n, bool one_hash)
{
    uint64_t random = 31;

    for (size_t i = 0; i < n; i++) {
        pair *one = &pairs[i];

        memset(one, 0, sizeof *one);
        one->size = 1 + random_below(&random, i % 3 ? 4 : LONGEST - 1);
        random_text(&random, "ab", 2, one->key, one->size);
        one->key[0] = (char)('0' + random_below(&random, 4));
        one->group = table->spec->group((tq_slice){one->key, one->size}, NULL);
        one->group = one->group < one->size ? one->group : one->size;
        one->number = (int64_t)random_below(&random, 50);
        uint64_t hash = one_hash ? 7 : tqi_hash(one->key, one->group);
        one->hash32 = (uint32_t)(hash >> 32);
        tqi_key key = one->size > TQI_KEY_INLINE ? tqi_key_borrow_long(one->key, one->size)
                                                 : tqi_key_load_short(one->key, one->size);
        assert_int_equal(tqi_table_add(table, &key, hash, one->number, (tq_slice){NULL, 0}), TQ_OK);
    }
    assert_int_equal(table->n, n);
}

static size_t combine_pairs(size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && by_bytes(pairs[kept - 1].key, pairs[kept - 1].size, pairs[i].key, pairs[i].size) == 0 &&
            pairs[kept - 1].hash32 == pairs[i].hash32)
            pairs[kept - 1].number += pairs[i].number;
        else
            pairs[kept++] = pairs[i];
    }
    return kept;
}

static void check(tq_group_fn group, tq_combine combine, size_t n, bool one_hash)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(combine, TQ_I64, 0, 1, &budget);
    tqi_table table;
    size_t groups = 0, expected_groups = 0;

    spec.group = group;
    assert_int_equal(tqi_table_init(&table, &spec, 16, TQI_TABLE_NO_LIMIT, true), TQ_OK);
    tqi_table_keep_all(&table);
    fill(&table, n, one_hash);
    qsort(pairs, n, sizeof *pairs, in_order);
    assert_int_equal(tqi_grouping_sort(&table), TQ_OK);
    size_t kept = combine == TQ_SUM ? combine_pairs(n) : n;
    assert_int_equal(table.n, kept);
    assert_int_equal(table.merged, n - kept);
    for (size_t i = 0; i < kept; i++) {
        assert_true(slice_equal(tqi_entry_key(&table.entries[i]), (tq_slice){pairs[i].key, pairs[i].size}));
        assert_int_equal(table.entries[i].value, pairs[i].number);
        expected_groups += i == 0 || pairs[i - 1].hash32 != pairs[i].hash32 ||
                           by_bytes(pairs[i - 1].key, pairs[i - 1].group, pairs[i].key, pairs[i].group) != 0;
    }
    for (size_t first = 0, end; first < kept; first = end, groups++) {
        tq_slice key;

        end = tqi_grouping_end(&spec, table.entries, first, kept, &key);
        assert_true(slice_equal(key, (tq_slice){pairs[first].key, pairs[first].group}));
    }
    assert_int_equal(groups, expected_groups);
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
}

static void test_groups(void **state)
{
    static const tq_group_fn functions[] = {by_first_byte, everything, nothing, two_or_three};
    static const size_t sizes[] = {0, 1, 2, 30, PAIRS};

    (void)state;
    for (size_t f = 0; f < 4; f++)
        for (size_t s = 0; s < 5; s++)
            for (int way = 0; way < 4; way++)
                check(functions[f], way % 2 ? TQ_SUM : TQ_COMBINE_NONE, sizes[s], way / 2);
}

/* Groups that are never the same: all pairs stay, and each is in one group of those that are walked over. */
static void test_no_groups(void **state)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(TQ_COMBINE_NONE, TQ_I64, 0, 1, &budget);
    tqi_table table;
    tq_account before = {0}, after = {0};

    (void)state;
    answers = 9;
    spec.group = anything;
    assert_int_equal(tqi_table_init(&table, &spec, 16, TQI_TABLE_NO_LIMIT, true), TQ_OK);
    tqi_table_keep_all(&table);
    fill(&table, PAIRS, true);
    for (size_t i = 0; i < PAIRS; i++)
        tqi_account_entry(&spec, &spec.shape, &table.entries[i], &before);
    assert_int_equal(tqi_grouping_sort(&table), TQ_OK);
    for (size_t first = 0, end; first < table.n; first = end) {
        tq_slice key;

        end = tqi_grouping_end(&spec, table.entries, first, table.n, &key);
        assert_true(end > first && end <= table.n && key.size <= table.entries[first].size);
    }
    for (size_t i = 0; i < table.n; i++)
        tqi_account_entry(&spec, &spec.shape, &table.entries[i], &after);
    assert_memory_equal(&before, &after, sizeof before);
    tqi_table_free(&table);
}

static int refuse(tq_slice key, void *into, const void *value, void *user)
{
    (void)key;
    (void)into;
    (void)value;
    (void)user;
    return 3;
}

static void test_failures(void **state)
{
    tqi_budget budget = {0};
    atomic_bool stop = false;
    tqi_spec spec = spec_of(TQ_COMBINE_USER, TQ_I64, 0, 1, &budget);
    tqi_table table;

    (void)state;
    spec.group = nothing;
    spec.combine_fn = refuse;
    spec.stop = &stop;
    assert_int_equal(tqi_table_init(&table, &spec, 16, TQI_TABLE_NO_LIMIT, true), TQ_OK);
    tqi_table_keep_all(&table);
    fill(&table, PAIRS, false);
    assert_int_equal(tqi_grouping_sort(&table), TQ_E_USER);
    assert_int_equal(table.user_code, 3);
    tqi_table_clear(&table, (tqi_hashes){1, 0, 0});
    fill(&table, 10, false);
    stop = true;
    assert_int_equal(tqi_grouping_sort(&table), TQ_E_CANCELLED);
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_groups), cmocka_unit_test(test_no_groups),
                                       cmocka_unit_test(test_failures)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
