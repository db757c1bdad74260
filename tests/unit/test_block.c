/* Blocks are read pair by pair, and groups made of entries, for values of each type. */
#include "node/block.h"
#include "node/rows.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const tqi_value_shape shapes[] = {{TQ_I64, 0}, {TQ_FIXED, 3}, {TQ_BYTES, 0}};

/* ---- Reading ---- */

static void test_read(void **state)
{
    static const int64_t numbers[] = {7, -1};
    static const uint32_t key_sizes[] = {0, 2}, value_sizes[] = {3, 0};
    tq_slice key, value;
    int64_t number;

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        bool is_i64 = shapes[s].type == TQ_I64, is_fixed = shapes[s].type == TQ_FIXED;
        tq_block block = {2, "ab", key_sizes, is_i64 ? (const char *)numbers : "xyzXYZ",
                          shapes[s].type == TQ_BYTES ? value_sizes : NULL};
        tqi_block_reader reader = tqi_block_read(&block, &shapes[s]);

        assert_true(tqi_block_next(&reader, &key, &number, &value));
        assert_int_equal(key.size, 0);
        if (is_i64)
            assert_int_equal(number, 7);
        else
            assert_true(value.size == 3 && memcmp(value.data, "xyz", 3) == 0);
        assert_true(tqi_block_next(&reader, &key, &number, &value));
        assert_true(key.size == 2 && memcmp(key.data, "ab", 2) == 0);
        if (is_i64)
            assert_int_equal(number, -1);
        else
            assert_true(value.size == (is_fixed ? 3u : 0u));
        assert_false(tqi_block_next(&reader, &key, &number, &value));
    }
}

/* ---- Groups ---- */

static bool same(const tqi_entry *a, const tqi_entry *b)
{
    tq_slice key_a = tqi_entry_key(a), key_b = tqi_entry_key(b);

    return key_a.size == key_b.size && memcmp(key_a.data, key_b.data, key_a.size) == 0;
}

/* Entries of n_keys keys, of which number k has k % 3 + 1 values. */
static void make_entries(tqi_rows *rows, const tqi_value_shape *shape, size_t n_keys, size_t key_bytes)
{
    char key[64], text[8];

    for (size_t k = 0; k < n_keys; k++)
        for (size_t v = 0; v <= k % 3; v++) {
            int size = snprintf(key, sizeof key, "%0*zu", (int)key_bytes, k);
            tq_slice value = {text, (size_t)snprintf(text, sizeof text, "%03zu", (k + v) % 1000)};

            assert_int_equal(tqi_rows_append(rows, shape, (tq_slice){key, (size_t)size}, (int64_t)(k + v), value),
                             TQ_OK);
        }
}

/* Takes as many keys off the front of rows as fit, and compares them with what make_entries made. */
static size_t check_groups(tqi_groups *packed, const tqi_rows *rows, size_t first, size_t first_key, size_t key_bytes)
{
    const tq_groups *groups = &packed->groups;
    size_t end = first, v = 0;

    tqi_groups_clear(packed);
    for (size_t k = first_key; end < rows->n && tqi_groups_has_room(packed); k++) {
        tqi_groups_count(packed, &rows->entries[end], k % 3 + 1);
        end += k % 3 + 1;
    }
    assert_true(end > first);
    assert_int_equal(tqi_groups_fill(packed, &rows->entries[first], end - first, same), TQ_OK);
    assert_int_equal(groups->n_values, end - first);
    for (size_t g = 0; g < groups->n; g++) {
        size_t k = first_key + g;
        char key[64];

        snprintf(key, sizeof key, "%0*zu", (int)key_bytes, k);
        assert_int_equal(groups->key_sizes[g], key_bytes);
        assert_memory_equal(groups->keys + g * key_bytes, key, key_bytes);
        assert_int_equal(groups->counts[g], k % 3 + 1);
        for (size_t i = 0; i < groups->counts[g]; i++, v++) {
            char text[8];
            int64_t number;

            snprintf(text, sizeof text, "%03zu", (k + i) % 1000);
            if (packed->shape->type == TQ_I64) {
                memcpy(&number, groups->values + 8 * v, sizeof number);
                assert_int_equal(number, k + i);
            } else {
                assert_memory_equal(groups->values + 3 * v, text, 3);
            }
            assert_true((groups->value_sizes != NULL) == (packed->shape->type == TQ_BYTES));
            if (groups->value_sizes)
                assert_int_equal(groups->value_sizes[v], 3);
        }
    }
    return end;
}

static void test_groups(void **state)
{
    enum { KEYS = 20000 };

    (void)state;
    for (size_t s = 0; s < 3; s++)
        for (size_t key_bytes = 5; key_bytes < 60; key_bytes += 28) {
            tqi_budget budget = {0};
            tqi_groups packed = {.budget = &budget, .shape = &shapes[s]};
            tqi_rows rows;
            size_t calls = 0;

            tqi_rows_init(&rows, &budget);
            make_entries(&rows, &shapes[s], KEYS, key_bytes);
            for (size_t first = 0, key = 0; first < rows.n; calls++) {
                first = check_groups(&packed, &rows, first, key, key_bytes);
                key += packed.groups.n;
            }
            assert_true(calls > 1 && calls < KEYS / 100);
            tqi_groups_free(&packed);
            tqi_rows_free(&rows);
        }
}

/* The first group is taken however large it is, if there is memory for it. */
static void test_large_group(void **state)
{
    static char value[1 << 20];
    tqi_budget budget = {.limit = 3 << 20};
    tqi_groups packed = {.budget = &budget, .shape = &shapes[2]};
    tqi_rows rows;

    (void)state;
    tqi_rows_init(&rows, &budget);
    assert_int_equal(tqi_rows_append(&rows, &shapes[2], (tq_slice){"k", 1}, 0, (tq_slice){value, sizeof value}), TQ_OK);
    assert_true(tqi_groups_has_room(&packed));
    tqi_groups_count(&packed, rows.entries, 1);
    assert_false(tqi_groups_has_room(&packed));
    assert_int_equal(tqi_groups_fill(&packed, rows.entries, 1, same), TQ_OK);
    assert_int_equal(packed.groups.value_sizes[0], sizeof value);
    tqi_groups_free(&packed);
    budget.limit = 1;
    assert_int_equal(tqi_groups_fill(&packed, rows.entries, 1, same), TQ_E_MEMORY);
    tqi_rows_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_large_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
