/* The combining table against an array that is searched from its beginning. */
#include "node/table.h"

#include "node/rows.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { MOST_KEYS = 2000, LONGEST = 100, VALUE = 12 };

static const tqi_hashes all_hashes = {1, 0, 0};

/* One key of the oracle. */
typedef struct known {
    char key[LONGEST];
    size_t size;
    int64_t number;
    char value[VALUE];
} known;

typedef struct oracle {
    tq_combine combine;
    size_t n;
    known keys[MOST_KEYS];
} oracle;

static int64_t combined(tq_combine combine, int64_t a, int64_t b)
{
    switch (combine) {
    case TQ_SUM: return (int64_t)((uint64_t)a + (uint64_t)b);
    case TQ_MIN: return a < b ? a : b;
    case TQ_MAX: return a > b ? a : b;
    default: return (int64_t)((uint64_t)a ^ (uint64_t)b);
    }
}

/* The user's combiner: exclusive or, of whichever type. */
static int xor_values(tq_slice key, void *into, const void *value, void *user)
{
    size_t bytes = *(const size_t *)user;

    assert_true(key.size <= LONGEST);
    for (size_t i = 0; i < bytes; i++)
        ((char *)into)[i] = (char)(((char *)into)[i] ^ ((const char *)value)[i]);
    return 0;
}

static void oracle_add(oracle *all, const char *key, size_t size, int64_t number, const char *value)
{
    for (size_t i = 0; i < all->n && all->combine != TQ_COMBINE_NONE; i++) {
        known *one = &all->keys[i];
        if (one->size != size || memcmp(one->key, key, size) != 0)
            continue;
        one->number = combined(all->combine, one->number, number);
        for (int at = 0; at < VALUE; at++)
            one->value[at] = (char)(one->value[at] ^ value[at]);
        return;
    }
    assert_true(all->n < MOST_KEYS);
    known *fresh = &all->keys[all->n++];
    memcpy(fresh->key, key, size);
    fresh->size = size;
    fresh->number = number;
    memcpy(fresh->value, value, VALUE);
}

/* Entries come in the order in which their keys came first. */
static void assert_same(const oracle *all, const tqi_table *table)
{
    assert_int_equal(table->n, all->n);
    for (size_t i = 0; i < all->n; i++) {
        const known *one = &all->keys[i];
        const tqi_entry *entry = &table->entries[i];
        assert_true(slice_equal(tqi_entry_key(entry), (tq_slice){one->key, one->size}));
        assert_int_equal(entry->hash32, tqi_hash(one->key, one->size) >> 32);
        assert_int_equal(tqi_entry_hash(entry), tqi_hash(one->key, one->size));
        if (table->spec->shape.type == TQ_I64)
            assert_true((int64_t)entry->value == one->number);
        else
            assert_true(slice_equal(tqi_entry_value(&table->spec->shape, entry), (tq_slice){one->value, VALUE}));
    }
}

/* Few of them short, some long, some equal but for their end, one empty. */
static size_t random_key(uint64_t *random, char *key)
{
    size_t size = random_below(random, 10) ? random_below(random, 4) : 14 + random_below(random, 6);

    if (random_below(random, 20) == 0)
        size = LONGEST - random_below(random, 2);
    random_text(random, "ab\0", size > 8 ? 1 : 3, key, size);
    if (size > 0)
        key[size - 1] = (char)('a' + random_below(random, 3));
    return size;
}

static tqi_record record_of(const char *key, size_t size, int64_t number, tq_slice value)
{
    tqi_record record = {.hash = tqi_hash(key, size), .number = number, .value = value};

    record.key = size > TQI_KEY_INLINE ? tqi_key_borrow_long(key, size) : tqi_key_load_short(key, size);
    return record;
}

static tq_status add(tqi_table *table, const char *key, size_t size, int64_t number, tq_slice value)
{
    tqi_record record = record_of(key, size, number, value);

    return tqi_table_add(table, &record.key, record.hash, number, value);
}

static tq_status add_text(tqi_table *table, const char *key, int64_t number)
{
    return add(table, key, strlen(key), number, (tq_slice){NULL, 0});
}

/* A short key that was added is found where it is. */
static void assert_found(const tqi_table *table, const char *key, size_t size)
{
    tqi_record record = record_of(key, size, 0, (tq_slice){NULL, 0});

    if (!table->index || size > TQI_KEY_INLINE)
        return;
    size_t empty;
    const tqi_entry *entry = tqi_table_find_short(table, &record.key, (uint32_t)(record.hash >> 32), &empty);
    assert_non_null(entry);
    assert_true(slice_equal(tqi_entry_key(entry), (tq_slice){key, size}));
    record = record_of("not a key", 9, 0, (tq_slice){NULL, 0});
    assert_null(tqi_table_find_short(table, &record.key, (uint32_t)(record.hash >> 32), &empty));
    assert_true(table->index[empty] == 0);
}

static void random_operations(const tqi_spec *spec, int n, uint64_t *random)
{
    oracle *all = calloc(1, sizeof *all);
    tqi_table table;
    uint64_t added = 0;

    assert_non_null(all);
    all->combine = spec->combine;
    assert_int_equal(tqi_table_init(&table, spec, 1, TQI_TABLE_NO_LIMIT, false), TQ_OK);
    for (int i = 0; i < n; i++) {
        char key[LONGEST], value[VALUE];
        size_t size = random_key(random, key);
        int64_t number = (int64_t)(random_next(random) >> random_below(random, 64));
        number = random_below(random, 2) ? number : (int64_t)(0 - (uint64_t)number);
        random_text(random, "0123456789", 10, value, VALUE);
        if (all->n == MOST_KEYS || random_below(random, 1500) == 0) {
            assert_same(all, &table);
            tqi_table_clear(&table, all_hashes);
            all->n = 0;
        }
        size_t before = table.n;
        uint64_t merged = table.merged;
        assert_int_equal(add(&table, key, size, number, (tq_slice){value, VALUE}), TQ_OK);
        assert_int_equal(table.n - before + table.merged - merged, 1);
        assert_found(&table, key, size);
        oracle_add(all, key, size, number, value);
        memset(key, '#', sizeof key); /* keys and values are copied */
        memset(value, '#', sizeof value);
        added++;
    }
    assert_same(all, &table);
    assert_true(table.merged <= added);
    tqi_table_free(&table);
    tqi_table_free(&table);
    free(all);
}

static void test_against_an_array(void **state)
{
    static const tq_combine combines[] = {TQ_SUM, TQ_MIN, TQ_MAX, TQ_COMBINE_USER, TQ_COMBINE_NONE};
    tqi_budget budget = {0};
    uint64_t random = 31;

    (void)state;
    for (size_t c = 0; c < 5; c++) {
        size_t bytes = sizeof(int64_t);
        tqi_spec spec = spec_of(combines[c], TQ_I64, 0, 4, &budget);
        spec.combine_fn = xor_values;
        spec.user = &bytes;
        random_operations(&spec, 20000, &random);
        assert_int_equal(budget.used, 0);
    }
}

static void test_bytes_against_an_array(void **state)
{
    tqi_budget budget = {0};
    size_t bytes = VALUE;
    uint64_t random = 32;

    (void)state;
    tqi_spec fixed = spec_of(TQ_COMBINE_USER, TQ_FIXED, VALUE, 4, &budget);
    fixed.combine_fn = xor_values;
    fixed.user = &bytes;
    random_operations(&fixed, 10000, &random);
    fixed.combine = TQ_COMBINE_NONE;
    random_operations(&fixed, 10000, &random);
    tqi_spec any = spec_of(TQ_COMBINE_NONE, TQ_BYTES, 0, 4, &budget);
    random_operations(&any, 10000, &random);
    assert_int_equal(budget.used, 0);
}

/* Values of every size, none of them in place of another. */
static void test_values_of_every_size(void **state)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(TQ_COMBINE_NONE, TQ_BYTES, 0, 4, &budget);
    tqi_table table;
    char bytes[300];

    (void)state;
    assert_int_equal(tqi_table_init(&table, &spec, 1, TQI_TABLE_NO_LIMIT, false), TQ_OK);
    for (size_t size = 0; size < sizeof bytes; size++) {
        memset(bytes, (int)size, size);
        assert_int_equal(add(&table, "k", 1, 0, (tq_slice){size ? bytes : NULL, size}), TQ_OK);
    }
    for (size_t size = 0; size < sizeof bytes; size++) {
        memset(bytes, (int)size, size);
        assert_true(slice_equal(tqi_entry_value(&spec.shape, &table.entries[size]), (tq_slice){bytes, size}));
    }
    tqi_table_free(&table);
}

static void test_keys_that_look_alike(void **state)
{
    static const tq_slice keys[] = {{"", 0},
                                    {"\0", 1},
                                    {"\0\0", 2},
                                    {"a", 1},
                                    {"a\0", 2},
                                    {"a\0\0\0\0\0\0\0", 8},
                                    {"a\0\0\0\0\0\0\0\0", 9},
                                    {"0123456789abcdef", 16},
                                    {"0123456789abcdef\0", 17},
                                    {"0123456789abcdef\0\0", 18},
                                    {"0123456789abcdefg", 17}};
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, NULL);
    tqi_table table;

    (void)state;
    assert_int_equal(tqi_table_init(&table, &spec, 4, TQI_TABLE_NO_LIMIT, false), TQ_OK);
    for (int round = 1; round <= 3; round++)
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
            assert_int_equal(add(&table, keys[i].data, keys[i].size, (int64_t)i, (tq_slice){NULL, 0}), TQ_OK);
    assert_int_equal(table.n, sizeof keys / sizeof keys[0]);
    for (size_t i = 0; i < table.n; i++) {
        assert_true(slice_equal(tqi_entry_key(&table.entries[i]), keys[i]));
        assert_int_equal(table.entries[i].value, 3 * i);
    }
    tqi_table_free(&table);
}

/* Different keys with one and the same hash are still different keys. */
static void test_equal_hashes(void **state)
{
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, NULL);
    tqi_table table;

    (void)state;
    for (int which = 0; which < 2; which++) {
        uint64_t hash = which ? UINT64_MAX : 0;
        assert_int_equal(tqi_table_init(&table, &spec, 1, TQI_TABLE_NO_LIMIT, false), TQ_OK);
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < 200; i++) {
                char text[40];
                size_t size = (size_t)sprintf(text, i % 2 ? "%d" : "a rather long key with %d", i);
                tqi_record record = record_of(text, size, i, (tq_slice){NULL, 0});
                assert_int_equal(tqi_table_add(&table, &record.key, hash, i, record.value), TQ_OK);
            }
        }
        assert_int_equal(table.n, 200);
        for (size_t i = 0; i < 200; i++)
            assert_int_equal(table.entries[i].value, 2 * i);
        tqi_table_free(&table);
    }
}

static void test_sums_wrap(void **state)
{
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, NULL);
    tqi_table table;

    (void)state;
    assert_int_equal(tqi_table_init(&table, &spec, 4, 4, false), TQ_OK);
    assert_int_equal(add_text(&table, "k", INT64_MAX), TQ_OK);
    assert_int_equal(add_text(&table, "k", 1), TQ_OK);
    assert_true((int64_t)table.entries[0].value == INT64_MIN);
    assert_int_equal(add_text(&table, "k", -1), TQ_OK);
    assert_true((int64_t)table.entries[0].value == INT64_MAX);
    tqi_table_free(&table);
}

/* A full table refuses new keys, and still merges into those that it has. */
static void check_limit(tq_combine combine, size_t capacity, size_t limit)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(combine, TQ_I64, 0, 4, &budget);
    tqi_table table;
    char key[40];

    assert_int_equal(tqi_table_init(&table, &spec, capacity, limit, false), TQ_OK);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < limit; i++) {
            sprintf(key, i % 3 ? "%zu" : "key of some length %zu", i);
            assert_int_equal(add_text(&table, key, (int64_t)i), TQ_OK);
        }
        assert_int_equal(table.n, limit);
        assert_int_equal(table.capacity, limit);
        assert_int_equal(add_text(&table, "another", 1), TQ_E_AGAIN);
        assert_int_equal(add_text(&table, "another one that is longer", 1), TQ_E_AGAIN);
        assert_int_equal(table.n, limit);
        sprintf(key, "key of some length 0");
        assert_int_equal(add_text(&table, key, 10), combine == TQ_COMBINE_NONE ? TQ_E_AGAIN : TQ_OK);
        assert_int_equal(table.n, limit);
        assert_int_equal(table.entries[0].value, combine == TQ_COMBINE_NONE ? 0 : 10);
        for (size_t i = 1; i < limit; i++)
            assert_int_equal(table.entries[i].value, i);
        tqi_table_clear(&table, all_hashes);
        assert_int_equal(table.n, 0);
    }
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
}

static void test_limits(void **state)
{
    (void)state;
    for (size_t limit = 1; limit < 70; limit++) {
        check_limit(TQ_SUM, 1, limit);
        check_limit(TQ_COMBINE_NONE, 1, limit);
        check_limit(TQ_SUM, limit, limit);
    }
    check_limit(TQ_SUM, 100, 1000);
    check_limit(TQ_MAX, 64, 5000);
}

/* The index is at most half full, whatever the capacity. */
static void test_index_is_half_full_at_most(void **state)
{
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, NULL);
    tqi_table table;
    char key[32];

    (void)state;
    for (size_t capacity = 1; capacity < 300; capacity += 7) {
        assert_int_equal(tqi_table_init(&table, &spec, capacity, 3 * capacity + 1, false), TQ_OK);
        for (size_t i = 0; i < 3 * capacity + 1; i++) {
            sprintf(key, "%zu", i);
            assert_int_equal(add_text(&table, key, 1), TQ_OK);
            assert_true(2 * table.n <= table.slots);
        }
        tqi_table_free(&table);
    }
}

static int refuse_after(tq_slice key, void *into, const void *value, void *user)
{
    int *left = user;

    (void)key;
    (void)into;
    (void)value;
    return (*left)-- > 0 ? 0 : 17;
}

static void test_combiner_that_fails(void **state)
{
    int left = 1;
    tqi_spec spec = spec_of(TQ_COMBINE_USER, TQ_I64, 0, 4, NULL);
    tqi_table table;

    (void)state;
    spec.combine_fn = refuse_after;
    spec.user = &left;
    assert_int_equal(tqi_table_init(&table, &spec, 4, 4, false), TQ_OK);
    assert_int_equal(add_text(&table, "k", 1), TQ_OK);
    assert_int_equal(add_text(&table, "k", 1), TQ_OK);
    assert_int_equal(add_text(&table, "k", 1), TQ_E_USER);
    assert_int_equal(table.user_code, 17);
    tqi_table_free(&table);
}

/* Batches of all sizes give what one at a time gives, also across flushes. */
static void check_batches(const tqi_spec *spec, size_t limit, uint64_t *random)
{
    tqi_table single, batch;

    assert_int_equal(tqi_table_init(&single, spec, 1, limit, false), TQ_OK);
    assert_int_equal(tqi_table_init(&batch, spec, 1, limit, false), TQ_OK);
    for (int round = 0; round < 500; round++) {
        char keys[TQI_BATCH][LONGEST];
        tqi_record records[TQI_BATCH];
        size_t n = random_below(random, TQI_BATCH + 1), added;
        tq_status status = TQ_E_INTERNAL, expected = TQ_OK;
        for (size_t i = 0; i < n; i++)
            records[i] = record_of(keys[i], random_key(random, keys[i]), (int64_t)i, (tq_slice){"0123456789ab", VALUE});
        added = tqi_table_add_batch(&batch, records, n, &status);
        size_t alone = 0;
        for (; alone < n && !expected; alone += !expected)
            expected = tqi_table_add(&single, &records[alone].key, records[alone].hash, records[alone].number,
                                     records[alone].value);
        assert_int_equal(status, expected);
        assert_int_equal(added, alone);
        assert_true(status ? added < n : added == n);
        assert_int_equal(batch.n, single.n);
        assert_int_equal(batch.merged, single.merged);
        for (size_t i = 0; i < batch.n; i++)
            assert_true(slice_equal(tqi_entry_key(&batch.entries[i]), tqi_entry_key(&single.entries[i])) &&
                        slice_equal(tqi_entry_value(&spec->shape, &batch.entries[i]),
                                    tqi_entry_value(&spec->shape, &single.entries[i])));
        if (status) {
            assert_int_equal(status, TQ_E_AGAIN);
            tqi_table_clear(&single, all_hashes);
            tqi_table_clear(&batch, all_hashes);
        }
    }
    tqi_table_free(&single);
    tqi_table_free(&batch);
}

static void test_batch_is_single(void **state)
{
    size_t bytes = VALUE;
    uint64_t random = 33;

    (void)state;
    tqi_spec sum = spec_of(TQ_SUM, TQ_I64, 0, 4, NULL), none = spec_of(TQ_COMBINE_NONE, TQ_BYTES, 0, 4, NULL);
    tqi_spec user = spec_of(TQ_COMBINE_USER, TQ_FIXED, VALUE, 4, NULL);
    user.combine_fn = xor_values;
    user.user = &bytes;
    for (size_t limit = 1; limit < 200; limit += 13) {
        check_batches(&sum, limit, &random);
        check_batches(&none, limit, &random);
        check_batches(&user, limit, &random);
    }
}

/* Whatever the budget allows: what is refused leaves the table as it was, and after a flush it goes on. */
static void check_budget(tq_combine combine, int type, uint64_t limit, uint64_t *random)
{
    tqi_budget budget = {.limit = limit};
    size_t bytes = VALUE;
    tqi_spec spec = spec_of(combine, type, VALUE, 4, &budget);
    oracle *all = calloc(1, sizeof *all);
    tqi_table table;

    assert_non_null(all);
    spec.combine_fn = xor_values;
    spec.user = &bytes;
    all->combine = combine;
    tq_status made = tqi_table_init(&table, &spec, 2, TQI_TABLE_NO_LIMIT, false);
    for (int i = 0; i < 3000 && !made; i++) {
        char key[LONGEST], value[VALUE];
        size_t size = random_key(random, key);
        random_text(random, "0123456789", 10, value, VALUE);
        tq_status status = add(&table, key, size, i, (tq_slice){value, VALUE});
        assert_true(budget.used <= limit);
        if (status == TQ_OK) {
            oracle_add(all, key, size, i, value);
            continue;
        }
        assert_int_equal(status, table.n ? TQ_E_AGAIN : TQ_E_MEMORY);
        assert_same(all, &table);
        tqi_table_clear(&table, all_hashes);
        all->n = 0;
    }
    assert_same(all, &table);
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
    free(all);
}

static void test_budget(void **state)
{
    uint64_t random = 34;

    (void)state;
    for (uint64_t limit = 100; limit < 100000; limit += limit / 3) {
        check_budget(TQ_SUM, TQ_I64, limit, &random);
        check_budget(TQ_COMBINE_NONE, TQ_BYTES, limit, &random);
        check_budget(TQ_COMBINE_USER, TQ_FIXED, limit, &random);
        check_budget(TQ_COMBINE_NONE, TQ_FIXED, limit, &random);
    }
}

/* A record that does not even fit an empty table. */
static void test_no_memory_for_one(void **state)
{
    tqi_budget budget = {.limit = 20000};
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, &budget);
    tqi_table table;
    char key[30000];

    (void)state;
    memset(key, 'k', sizeof key);
    assert_int_equal(tqi_table_init(&table, &spec, 4, TQI_TABLE_NO_LIMIT, false), TQ_OK);
    assert_int_equal(add(&table, key, sizeof key, 1, (tq_slice){NULL, 0}), TQ_E_MEMORY);
    assert_int_equal(table.n, 0);
    assert_int_equal(add_text(&table, "short", 1), TQ_OK);
    assert_int_equal(add(&table, key, sizeof key, 1, (tq_slice){NULL, 0}), TQ_E_AGAIN);
    assert_int_equal(table.n, 1);
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
}

/* What a table needs to begin with is given anyway, if that is asked for, and counted; the rest is not. */
static void test_anyway(void **state)
{
    tqi_budget budget = {.limit = 1};
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, &budget);
    tqi_table table;
    char key[40];

    (void)state;
    assert_int_equal(tqi_table_init(&table, &spec, 100, 1000, false), TQ_E_MEMORY);
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
    assert_int_equal(tqi_table_init(&table, &spec, 100, 1000, true), TQ_OK);
    assert_true(budget.used >= 100 * TQI_ENTRY_COST);
    for (int i = 0; i < 100; i++) {
        sprintf(key, i % 2 ? "%d" : "a key that needs the arena %d", i);
        assert_int_equal(add_text(&table, key, 1), TQ_OK);
    }
    assert_int_equal(add_text(&table, "one too many", 1), TQ_E_AGAIN);
    tqi_table_clear(&table, all_hashes);
    assert_int_equal(add_text(&table, "again a key that needs the arena", 1), TQ_OK);
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
}

/* ---- Ranges of hashes ---- */

/* Every hash belongs to exactly one of the tables that divide a range, and only if it is in that range. */
static void test_hashes_are_divided(void **state)
{
    static const uint32_t ranges[] = {1, 2, 3, 7, 512, 1000, 16384};
    uint64_t random = 36;

    (void)state;
    for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
        for (unsigned halvings = 0; halvings <= 24; halvings += 3) {
            tqi_table table = {.shift = 32 - 4};
            for (int i = 0; i < 300; i++) {
                uint32_t hash = i ? (uint32_t)random_next(&random) : UINT32_MAX, place;
                place = tqi_place_in_range(hash, ranges[r]);
                uint32_t step = halvings ? (uint32_t)1 << (32 - halvings) : 0, mine = step ? place / step * step : 0;
                table.hashes = (tqi_hashes){ranges[r], mine, halvings};
                assert_true(tqi_table_is_for(&table, hash));
                assert_int_equal(tqi_table_slot(&table, hash), ((uint64_t)(place - mine) << halvings) >> (32 - 4));
                if (!halvings)
                    continue;
                table.hashes.base = mine + step;
                assert_false(tqi_table_is_for(&table, hash));
                table.hashes.base = mine - step;
                assert_false(tqi_table_is_for(&table, hash));
            }
        }
    }
}

/* Hashes of one partition ascend with their places in it. */
static void test_places_ascend(void **state)
{
    (void)state;
    for (uint32_t ranges = 1; ranges < 3000; ranges = ranges * 2 + 1) {
        uint32_t last = 0, partition = 0;
        for (uint64_t hash = 0; hash <= UINT32_MAX; hash += 654321) {
            uint32_t now = tqi_partition_of((uint32_t)hash, ranges), place = tqi_place_in_range((uint32_t)hash, ranges);
            assert_true(now > partition || place >= last);
            partition = now;
            last = place;
        }
    }
}

/* ---- In order ---- */

static void assert_sorted(tqi_table *table)
{
    const tqi_value_shape *shape = &table->spec->shape;
    uint64_t sum = 0, sum_sorted = 0;
    size_t n = table->n;

    for (size_t i = 0; i < n; i++)
        sum += tqi_entry_hash(&table->entries[i]) * (2 * table->entries[i].value + 1);
    for (int again = 0; again < 2; again++) {
        const tqi_entry *sorted = tqi_table_sorted(table);
        assert_non_null(sorted);
        assert_int_equal(table->n, n);
        sum_sorted = 0;
        for (size_t i = 0; i < n; i++) {
            sum_sorted += tqi_entry_hash(&sorted[i]) * (2 * sorted[i].value + 1);
            assert_true(i == 0 || tqi_rows_compare(TQ_ORDER_NONE, shape, &sorted[i - 1], &sorted[i]) <= 0);
        }
        assert_true(sum == sum_sorted);
    }
}

/* Tables of any fill, for one of several ranges of hashes or all of them. */
static void check_sorted(tq_combine combine, size_t n, uint32_t ranges, unsigned halvings, uint64_t *random)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(combine, TQ_I64, 0, 4, &budget);
    tqi_hashes hashes = {ranges, 0, halvings};
    tqi_table table;

    assert_int_equal(tqi_table_init(&table, &spec, 1, TQI_TABLE_NO_LIMIT, false), TQ_OK);
    for (int round = 0; round < 2; round++) {
        tqi_table_clear(&table, hashes);
        while (table.n < n) {
            char key[40];
            sprintf(key, random_below(random, 5) ? "%lu" : "some longer key %lu",
                    (unsigned long)random_below(random, 100 * n));
            uint32_t hash32 = (uint32_t)(tqi_hash(key, strlen(key)) >> 32);
            if (tqi_table_is_for(&table, hash32))
                assert_int_equal(add_text(&table, key, (int64_t)random_below(random, 3)), TQ_OK);
        }
        assert_sorted(&table);
        hashes.base += halvings ? (uint32_t)1 << (32 - halvings) : 0;
    }
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
}

static void test_sorted(void **state)
{
    uint64_t random = 37;

    (void)state;
    for (size_t n = 0; n < 40; n++)
        check_sorted(TQ_SUM, n, 1, 0, &random);
    for (size_t n = 50; n < 5000; n = n * 2 + 1) {
        check_sorted(TQ_SUM, n, 1, 0, &random);
        check_sorted(TQ_SUM, n, 7, 0, &random); /* several ranges in one table: places that wrap around */
        check_sorted(TQ_MAX, n, 3, 2, &random);
        check_sorted(TQ_COMBINE_NONE, n, 1, 0, &random);
    }
}

/* Hashes that all want the same few slots, at the end of the index too: there the last ones stand at its beginning. */
static void test_sorted_collisions(void **state)
{
    static const uint32_t where[] = {0, 1, 0x7fffffff, 0xffffff00, UINT32_MAX - 3, UINT32_MAX};
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, NULL);
    tqi_table table;
    uint64_t random = 38;

    (void)state;
    for (size_t w = 0; w < sizeof where / sizeof where[0]; w++) {
        assert_int_equal(tqi_table_init(&table, &spec, 1, TQI_TABLE_NO_LIMIT, false), TQ_OK);
        for (int i = 0; i < 300; i++) {
            char text[40];
            size_t size = (size_t)sprintf(text, i % 2 ? "%d" : "a rather long key with %d", i);
            uint64_t place = i % 10 ? where[w] : random_next(&random) >> 32;
            if (i % 10 && place < UINT32_MAX - 8)
                place += random_below(&random, 8);
            tqi_record record = record_of(text, size, i, (tq_slice){NULL, 0});
            assert_int_equal(tqi_table_add(&table, &record.key, place << 32, i, record.value), TQ_OK);
        }
        const tqi_entry *sorted = tqi_table_sorted(&table);
        bool seen[300] = {false};
        for (size_t i = 0; i < 300; i++) {
            assert_true(i == 0 || tqi_rows_compare(TQ_ORDER_NONE, &spec.shape, &sorted[i - 1], &sorted[i]) < 0);
            assert_false(seen[sorted[i].value]);
            seen[sorted[i].value] = true;
        }
        tqi_table_free(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_bytes_against_an_array),
        cmocka_unit_test(test_values_of_every_size),
        cmocka_unit_test(test_keys_that_look_alike),
        cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_sums_wrap),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_index_is_half_full_at_most),
        cmocka_unit_test(test_combiner_that_fails),
        cmocka_unit_test(test_batch_is_single),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_no_memory_for_one),
        cmocka_unit_test(test_anyway),
        cmocka_unit_test(test_hashes_are_divided),
        cmocka_unit_test(test_places_ascend),
        cmocka_unit_test(test_sorted),
        cmocka_unit_test(test_sorted_collisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
