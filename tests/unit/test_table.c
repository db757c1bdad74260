/* The combining table against an array that is searched from its beginning. */
#include "node/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { MOST_KEYS = 2000, LONGEST = 100, VALUE = 12 };

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

static void random_operations(const tqi_spec *spec, int n, uint64_t *random)
{
    oracle *all = calloc(1, sizeof *all);
    tqi_table table;
    uint64_t added = 0;

    assert_non_null(all);
    all->combine = spec->combine;
    assert_int_equal(tqi_table_init(&table, spec, 1, TQI_TABLE_NO_LIMIT), TQ_OK);
    for (int i = 0; i < n; i++) {
        char key[LONGEST], value[VALUE];
        size_t size = random_key(random, key);
        int64_t number = (int64_t)(random_next(random) >> random_below(random, 64));
        number = random_below(random, 2) ? number : (int64_t)(0 - (uint64_t)number);
        random_text(random, "0123456789", 10, value, VALUE);
        if (all->n == MOST_KEYS || random_below(random, 1500) == 0) {
            assert_same(all, &table);
            tqi_table_clear(&table);
            all->n = 0;
        }
        size_t before = table.n;
        uint64_t merged = table.merged;
        assert_int_equal(add(&table, key, size, number, (tq_slice){value, VALUE}), TQ_OK);
        assert_int_equal(table.n - before + table.merged - merged, 1);
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
    assert_int_equal(tqi_table_init(&table, &spec, 1, TQI_TABLE_NO_LIMIT), TQ_OK);
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
    static const tq_slice keys[] = {{"", 0}, {"\0", 1}, {"\0\0", 2}, {"a", 1}, {"a\0", 2}, {"a\0\0\0\0\0\0\0", 8},
                                    {"a\0\0\0\0\0\0\0\0", 9}, {"0123456789abcdef", 16}, {"0123456789abcdef\0", 17},
                                    {"0123456789abcdef\0\0", 18}, {"0123456789abcdefg", 17}};
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, NULL);
    tqi_table table;

    (void)state;
    assert_int_equal(tqi_table_init(&table, &spec, 4, TQI_TABLE_NO_LIMIT), TQ_OK);
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
        assert_int_equal(tqi_table_init(&table, &spec, 1, TQI_TABLE_NO_LIMIT), TQ_OK);
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
    assert_int_equal(tqi_table_init(&table, &spec, 4, 4), TQ_OK);
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

    assert_int_equal(tqi_table_init(&table, &spec, capacity, limit), TQ_OK);
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
        tqi_table_clear(&table);
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
        assert_int_equal(tqi_table_init(&table, &spec, capacity, 3 * capacity + 1), TQ_OK);
        for (size_t i = 0; i < 3 * capacity + 1; i++) {
            sprintf(key, "%zu", i);
            assert_int_equal(add_text(&table, key, 1), TQ_OK);
            assert_true(2 * table.n <= table.index_mask + 1);
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
    assert_int_equal(tqi_table_init(&table, &spec, 4, 4), TQ_OK);
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

    assert_int_equal(tqi_table_init(&single, spec, 1, limit), TQ_OK);
    assert_int_equal(tqi_table_init(&batch, spec, 1, limit), TQ_OK);
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
            tqi_table_clear(&single);
            tqi_table_clear(&batch);
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
    tq_status made = tqi_table_init(&table, &spec, 2, TQI_TABLE_NO_LIMIT);
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
        tqi_table_clear(&table);
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
    assert_int_equal(tqi_table_init(&table, &spec, 4, TQI_TABLE_NO_LIMIT), TQ_OK);
    assert_int_equal(add(&table, key, sizeof key, 1, (tq_slice){NULL, 0}), TQ_E_MEMORY);
    assert_int_equal(table.n, 0);
    assert_int_equal(add_text(&table, "short", 1), TQ_OK);
    assert_int_equal(add(&table, key, sizeof key, 1, (tq_slice){NULL, 0}), TQ_E_AGAIN);
    assert_int_equal(table.n, 1);
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
}

/* ---- The front ---- */

enum { FRONT_KEYS = 400 };

/* What a table with a front has given away, and what it should give in all. */
typedef struct front_sums {
    int64_t got[FRONT_KEYS], expected[FRONT_KEYS];
    uint64_t entries;
} front_sums;

static void collect(front_sums *sums, tqi_table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        char name[64] = {0};
        tq_slice key = tqi_entry_key(&table->entries[i]);
        memcpy(name, key.data, key.size);
        size_t which = (size_t)atoi(strrchr(name, '-') + 1);
        sums->got[which] = (int64_t)((uint64_t)sums->got[which] + table->entries[i].value);
    }
    sums->entries += table->n;
    tqi_table_clear(table);
}

/* As the emitter does it: a key that the front holds is counted there. */
static void add_through_front(front_sums *sums, tqi_table *table, const char *name, int64_t number)
{
    tqi_record record = record_of(name, strlen(name), number, (tq_slice){NULL, 0});

    if (record.key.size <= TQI_KEY_INLINE && tqi_front_holds(tqi_front_slot(table, record.hash), &record.key)) {
        tqi_front_slot(table, record.hash)->value += (uint64_t)number;
        table->merged++;
        return;
    }
    while (tqi_table_add(table, &record.key, record.hash, number, record.value) == TQ_E_AGAIN)
        collect(sums, table);
}

static void check_front(size_t limit, int64_t largest, uint64_t *random)
{
    enum { RECORDS = 30000 };
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, &budget);
    front_sums *sums = calloc(1, sizeof *sums);
    tqi_table table;

    assert_non_null(sums);
    assert_int_equal(tqi_table_init(&table, &spec, 1, limit), TQ_OK);
    assert_int_equal(tqi_table_add_front(&table), TQ_OK);
    for (int i = 0; i < RECORDS; i++) {
        char name[64];
        size_t which = random_below(random, 1 + random_below(random, FRONT_KEYS));
        int64_t number = (int64_t)random_below(random, (uint64_t)(2 * largest + 1)) - (i % 2 ? largest : 0);
        sprintf(name, which % 9 ? "w-%zu" : "some-longer-word-%zu", which);
        sums->expected[which] += number;
        add_through_front(sums, &table, name, number);
        if (random_below(random, 5000) == 0)
            while (tqi_table_drain_front(&table) == TQ_E_AGAIN)
                collect(sums, &table);
    }
    while (tqi_table_drain_front(&table) == TQ_E_AGAIN)
        collect(sums, &table);
    collect(sums, &table);
    assert_int_equal(tqi_table_drain_front(&table), TQ_OK);
    assert_int_equal(table.n, 0);
    assert_int_equal(sums->entries + table.merged, RECORDS);
    for (size_t i = 0; i < FRONT_KEYS; i++)
        assert_true(sums->got[i] == sums->expected[i]);
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
    free(sums);
}

static void test_front(void **state)
{
    static const size_t limits[] = {1, 2, 10, 100, 1000};
    uint64_t random = 35;

    (void)state;
    for (size_t l = 0; l < 5; l++) {
        check_front(limits[l], 1, &random);
        check_front(limits[l], 1000, &random);
    }
}

/* Keys that fall on one place of the front drive each other out; nothing of either is lost. */
static void test_front_collisions(void **state)
{
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, NULL);
    tqi_table table;

    (void)state;
    assert_int_equal(tqi_table_init(&table, &spec, 1, TQI_TABLE_NO_LIMIT), TQ_OK);
    assert_int_equal(tqi_table_add_front(&table), TQ_OK);
    int64_t expected[3] = {0};
    for (int i = 0; i < 5000; i++) {
        int which = i / 100 % 3;
        char name[16];
        sprintf(name, "k%d", which);
        tqi_record record = record_of(name, 2, i, (tq_slice){NULL, 0});
        uint64_t hash = (uint64_t)which << 32; /* one and the same place */
        expected[which] += i;
        if (tqi_front_holds(tqi_front_slot(&table, hash), &record.key))
            tqi_front_slot(&table, hash)->value += (uint64_t)i;
        else
            assert_int_equal(tqi_table_add(&table, &record.key, hash, i, record.value), TQ_OK);
    }
    assert_int_equal(tqi_table_drain_front(&table), TQ_OK);
    assert_int_equal(table.n, 3);
    for (int which = 0; which < 3; which++)
        assert_true((int64_t)table.entries[which].value == expected[which]);
    tqi_table_free(&table);
}

static void test_no_memory_for_a_front(void **state)
{
    tqi_budget budget = {.limit = 10000};
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, &budget);
    tqi_table table;

    (void)state;
    assert_int_equal(tqi_table_init(&table, &spec, 4, TQI_TABLE_NO_LIMIT), TQ_OK);
    assert_int_equal(tqi_table_drain_front(&table), TQ_OK);
    assert_int_equal(tqi_table_add_front(&table), TQ_E_MEMORY);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(add_text(&table, "k", 1), TQ_OK);
    assert_int_equal(tqi_table_drain_front(&table), TQ_OK);
    assert_int_equal(table.entries[0].value, 1000);
    tqi_table_free(&table);
    assert_int_equal(budget.used, 0);
}

static void test_take(void **state)
{
    tqi_budget budget = {0};
    tqi_spec spec = spec_of(TQ_SUM, TQ_I64, 0, 4, &budget);
    tqi_table table;
    tqi_entry *entries;
    size_t n, capacity;
    tqi_arena arena;

    (void)state;
    assert_int_equal(tqi_table_init(&table, &spec, 1, TQI_TABLE_NO_LIMIT), TQ_OK);
    assert_int_equal(add_text(&table, "one", 1), TQ_OK);
    assert_int_equal(add_text(&table, "a key that lies in the arena", 2), TQ_OK);
    assert_int_equal(add_text(&table, "three", 3), TQ_OK);
    tqi_table_take(&table, &entries, &n, &capacity, &arena);
    tqi_table_free(&table);
    assert_int_equal(n, 3);
    assert_true(capacity >= 3);
    assert_true(slice_equal(tqi_entry_key(&entries[1]), slice_of("a key that lies in the arena")));
    assert_int_equal(entries[2].value, 3);
    tqi_budget_free(&budget, entries, capacity * sizeof *entries);
    tqi_arena_free(&arena);
    assert_int_equal(budget.used, 0);
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
        cmocka_unit_test(test_front),
        cmocka_unit_test(test_front_collisions),
        cmocka_unit_test(test_no_memory_for_a_front),
        cmocka_unit_test(test_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
