/* Rows: every order against qsort with a comparison that knows nothing of words. */
#include "node/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static const tqi_value_shape shapes[] = {{TQ_I64, 0}, {TQ_FIXED, 7}, {TQ_BYTES, 0}};

/* A row as the oracle has it. */
typedef struct plain_row {
    char *key, *value;
    size_t key_size, value_size;
    int64_t number;
    uint32_t hash32;
    int type;
} plain_row;

static int by_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
    for (size_t i = 0; i < a_size && i < b_size; i++)
        if (a[i] != b[i])
            return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
    return a_size == b_size ? 0 : a_size < b_size ? -1 : 1;
}

static int by_key(const void *left, const void *right)
{
    const plain_row *a = left, *b = right;
    int order = by_bytes(a->key, a->key_size, b->key, b->key_size);

    if (order)
        return order;
    if (a->type == TQ_I64)
        return a->number == b->number ? 0 : a->number < b->number ? -1 : 1;
    return by_bytes(a->value, a->value_size, b->value, b->value_size);
}

static int by_value_descending(const void *left, const void *right)
{
    const plain_row *a = left, *b = right;

    return a->number == b->number ? by_key(a, b) : a->number > b->number ? -1 : 1;
}

static int by_hash(const void *left, const void *right)
{
    const plain_row *a = left, *b = right;

    return a->hash32 == b->hash32 ? by_key(a, b) : a->hash32 < b->hash32 ? -1 : 1;
}

static int (*comparison_of(tq_order order))(const void *, const void *)
{
    return order == TQ_ORDER_KEY ? by_key : order == TQ_ORDER_VALUE_DESC ? by_value_descending : by_hash;
}

/* Keys that are hard to tell apart: common prefixes, zeros at the end, high bytes, sizes around 8 and 16. */
static void random_row(plain_row *row, const tqi_value_shape *shape, uint64_t *random)
{
    static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 18, 24, 40};
    size_t same = random_below(random, 20);

    *row = (plain_row){.type = shape->type, .key_size = sizes[random_below(random, 13)]};
    row->key = malloc(row->key_size + 1);
    row->value_size = shape->type == TQ_FIXED ? shape->bytes : random_below(random, 4);
    row->value = malloc(row->value_size + 1);
    assert_true(row->key && row->value);
    for (size_t i = 0; i < row->key_size; i++)
        row->key[i] = i < same ? 'p' : "a\0\xff\x80p"[random_below(random, 5)];
    for (size_t i = 0; i < row->value_size; i++)
        row->value[i] = "\0a\xff"[random_below(random, 3)];
    row->number = (int64_t)random_below(random, 5) - 2;
    if (random_below(random, 10) == 0)
        row->number = random_below(random, 2) ? INT64_MIN : INT64_MAX;
    row->hash32 = (uint32_t)(tqi_hash(row->key, row->key_size) >> 32);
}

static plain_row *random_rows(size_t n, const tqi_value_shape *shape, uint64_t *random)
{
    plain_row *plain = malloc((n + 1) * sizeof *plain);

    assert_non_null(plain);
    for (size_t i = 0; i < n; i++)
        random_row(&plain[i], shape, random);
    return plain;
}

static void free_rows(plain_row *plain, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(plain[i].key);
        free(plain[i].value);
    }
    free(plain);
}

static void append_all(tqi_rows *rows, const tqi_value_shape *shape, const plain_row *plain, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tqi_rows_append(rows, shape, (tq_slice){plain[i].key, plain[i].key_size}, plain[i].number,
                                         (tq_slice){plain[i].value, plain[i].value_size}),
                         TQ_OK);
}

static void assert_row(const tqi_value_shape *shape, const tqi_entry *entry, const plain_row *row)
{
    assert_true(slice_equal(tqi_entry_key(entry), (tq_slice){row->key, row->key_size}));
    assert_int_equal(entry->hash32, row->hash32);
    if (shape->type == TQ_I64)
        assert_true((int64_t)entry->value == row->number);
    else
        assert_true(slice_equal(tqi_entry_value(shape, entry), (tq_slice){row->value, row->value_size}));
}

/* Sort and prune rows that were appended in the order of plain; plain is sorted too. */
static void check_order(tq_order order, const tqi_value_shape *shape, plain_row *plain, size_t n)
{
    static const uint64_t limits[] = {0, 1, 2, 5, 24, 25, 100, 999, 1000, 1001, 100000};
    tqi_budget budget = {0};
    tqi_rows rows, pruned;

    tqi_rows_init(&rows, &budget);
    append_all(&rows, shape, plain, n);
    plain_row *sorted = malloc((n + 1) * sizeof *sorted);
    assert_non_null(sorted);
    memcpy(sorted, plain, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, comparison_of(order));
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        tqi_rows_init(&pruned, &budget);
        append_all(&pruned, shape, plain, n);
        pruned.n = tqi_entries_prune(pruned.entries, pruned.n, order, shape, limits[l]);
        assert_int_equal(pruned.n, limits[l] && limits[l] < n ? limits[l] : n);
        tqi_rows_sort(&pruned, order, shape);
        for (size_t i = 0; i < pruned.n; i++)
            assert_row(shape, &pruned.entries[i], &sorted[i]);
        tqi_rows_free(&pruned);
    }
    tqi_rows_sort(&rows, order, shape);
    assert_int_equal(rows.n, n);
    for (size_t i = 0; i < n; i++)
        assert_row(shape, &rows.entries[i], &sorted[i]);
    for (size_t i = 1; i < n; i++)
        assert_true(tqi_rows_compare(order, shape, &rows.entries[i - 1], &rows.entries[i]) <= 0);
    tqi_rows_free(&rows);
    assert_int_equal(budget.used, 0);
    free(sorted);
}

static void check_all_orders(const tqi_value_shape *shape, plain_row *plain, size_t n)
{
    check_order(TQ_ORDER_KEY, shape, plain, n);
    check_order(TQ_ORDER_NONE, shape, plain, n);
    if (shape->type == TQ_I64)
        check_order(TQ_ORDER_VALUE_DESC, shape, plain, n);
}

static void test_random_rows(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 23, 24, 25, 26, 49, 100, 1000, 5000};
    uint64_t random = 111;

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            plain_row *plain = random_rows(sizes[i], &shapes[s], &random);
            check_all_orders(&shapes[s], plain, sizes[i]);
            free_rows(plain, sizes[i]);
        }
    }
}

/* Two rows compare as their bytes do, and the other way round with the opposite sign. */
static void test_compare(void **state)
{
    enum { N = 300 };
    static const tq_order orders[] = {TQ_ORDER_KEY, TQ_ORDER_VALUE_DESC, TQ_ORDER_NONE};
    uint64_t random = 112;

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        plain_row *plain = random_rows(N, &shapes[s], &random);
        tqi_rows rows;
        tqi_rows_init(&rows, NULL);
        append_all(&rows, &shapes[s], plain, N);
        for (size_t o = 0; o < 3; o++) {
            if (orders[o] == TQ_ORDER_VALUE_DESC && shapes[s].type != TQ_I64)
                continue;
            for (size_t a = 0; a < N; a++)
                for (size_t b = 0; b < N; b++) {
                    int expected = comparison_of(orders[o])(&plain[a], &plain[b]);
                    int got = tqi_rows_compare(orders[o], &shapes[s], &rows.entries[a], &rows.entries[b]);
                    assert_int_equal((got > 0) - (got < 0), expected);
                }
        }
        tqi_rows_free(&rows);
        free_rows(plain, N);
    }
}

/* The i-th number of a pattern that sorting could stumble over. */
static int64_t pattern(int which, size_t i, size_t n)
{
    switch (which) {
    case 0: return (int64_t)i;                                                      /* sorted */
    case 1: return (int64_t)(n - i);                                                /* reversed */
    case 2: return 7;                                                               /* equal */
    case 3: return (int64_t)(i < n / 2 ? i : n - i);                                /* organ pipe */
    case 4: return (int64_t)(i % 2);                                                /* two values in turn */
    case 5: return (int64_t)(i % 2 ? n - i : i);                                    /* zigzag */
    case 6: return (int64_t)(i == n - 1 ? 0 : i + 1);                               /* sorted but for the last */
    case 7: return (int64_t)(i == 0 ? n : i);                                       /* sorted but for the first */
    case 8: return (int64_t)(i % (n / 10 + 1));                                     /* saw */
    case 9: return (int64_t)(i < n / 2 ? 2 * i + 1 : 2 * (i - n / 2));              /* two sorted halves, interleaved */
    default: return (int64_t)((i & 1 ? i : n / 2 + i / 2) * 2654435761u % (n + 1)); /* shuffled by multiplication */
    }
}

static void test_patterns(void **state)
{
    (void)state;
    for (int which = 0; which <= 10; which++) {
        for (size_t n = 20; n <= 20000; n = n * 10 + 3) {
            tqi_value_shape shape = {TQ_I64, 0};
            for (int long_keys = 0; long_keys < 2; long_keys++) {
                tqi_rows rows;
                tqi_rows_init(&rows, NULL);
                int64_t sum = 0;
                for (size_t i = 0; i < n; i++) {
                    char key[64];
                    int64_t number = pattern(which, i, n);
                    int size = sprintf(key, long_keys ? "a common prefix %08ld" : "%08ld", (long)number);
                    assert_int_equal(
                        tqi_rows_append(&rows, &shape, (tq_slice){key, (size_t)size}, -number, (tq_slice){NULL, 0}),
                        TQ_OK);
                    sum += number;
                }
                tqi_rows_sort(&rows, which % 2 ? TQ_ORDER_KEY : TQ_ORDER_VALUE_DESC, &shape);
                for (size_t i = 0; i < n; i++) {
                    sum += (int64_t)rows.entries[i].value;
                    assert_true(i == 0 || (int64_t)rows.entries[i].value <= (int64_t)rows.entries[i - 1].value);
                }
                assert_int_equal(sum, 0);
                tqi_rows_free(&rows);
            }
        }
    }
}

/* McIlroy's killer adversary (1999) cannot be used without a comparison of ours, but its median-of-three cousin can: an
 * input on which plain quicksort is quadratic must still be sorted in time, by the heap. */
static void test_median_of_three_killer(void **state)
{
    enum { N = 200000 };
    tqi_value_shape shape = {TQ_I64, 0};
    tqi_rows rows;

    (void)state;
    tqi_rows_init(&rows, NULL);
    for (int64_t i = 1; i <= N; i++) { /* Musser, 1997 */
        int64_t half = N / 2, number = i <= half ? (i % 2 ? i : half + i - 1) : 2 * (i - half);
        tq_slice key = {(const char *)&number, sizeof number};
        assert_int_equal(tqi_rows_append(&rows, &shape, key, -number, (tq_slice){NULL, 0}), TQ_OK);
    }
    tqi_rows_sort(&rows, TQ_ORDER_VALUE_DESC, &shape);
    for (size_t i = 0; i < N; i++)
        assert_true((int64_t)rows.entries[i].value == -(int64_t)(i + 1));
    tqi_rows_free(&rows);
}

/* A page made by hand: key size, key, value. */
static void test_append_page(void **state)
{
    static const char payload[] = "\x01"
                                  "a\x02"
                                  "\x00\x01"
                                  "\x12"
                                  "eighteen character\x03";
    uint8_t page[TQI_PAGE_HEADER + sizeof payload - 1];
    tqi_value_shape shape = {TQ_I64, 0};
    tqi_rows rows;

    (void)state;
    memcpy(page + TQI_PAGE_HEADER, payload, sizeof payload - 1);
    tqi_page_seal(page, 0, 3, sizeof payload - 1);
    tqi_rows_init(&rows, NULL);
    assert_int_equal(tqi_rows_append_page(&rows, &shape, page, false), TQ_OK);
    assert_int_equal(rows.n, 3);
    assert_true(slice_equal(tqi_entry_key(&rows.entries[0]), slice_of("a")) && rows.entries[0].value == 1);
    assert_true(rows.entries[1].size == 0 && (int64_t)rows.entries[1].value == -1);
    assert_true(slice_equal(tqi_entry_key(&rows.entries[2]), slice_of("eighteen character")));
    assert_true((int64_t)rows.entries[2].value == -2);
    for (uint32_t records = 0; records < 10; records++) {
        tqi_page_seal(page, 0, records, sizeof payload - 1);
        assert_int_equal(tqi_rows_append_page(&rows, &shape, page, false), records == 3 ? TQ_OK : TQ_E_ACCOUNT);
    }
    for (uint32_t cut = 1; cut < sizeof payload - 1; cut++) {
        tqi_page_seal(page, 0, 3, (uint32_t)sizeof payload - 1 - cut);
        assert_int_equal(tqi_rows_append_page(&rows, &shape, page, false), TQ_E_ACCOUNT);
    }
    tqi_rows_free(&rows);
}

/* Borrowed, long keys stay in the page, and everything else is copied; cleared, the rows begin again. */
static void test_borrow_and_clear(void **state)
{
    static const char payload[] = "\x01"
                                  "a\x02"
                                  "vv"
                                  "\x12"
                                  "eighteen character\x01"
                                  "w";
    uint8_t page[TQI_PAGE_HEADER + sizeof payload - 1];
    tqi_budget budget = {0};
    tqi_value_shape shape = {TQ_BYTES, 0};
    tqi_rows rows;

    (void)state;
    tqi_rows_init(&rows, &budget);
    for (int round = 0; round < 6; round++) {
        bool borrow = round % 2;
        memcpy(page + TQI_PAGE_HEADER, payload, sizeof payload - 1);
        tqi_page_seal(page, 0, 2, sizeof payload - 1);
        tqi_rows_clear(&rows);
        assert_int_equal(rows.n, 0);
        assert_int_equal(tqi_rows_append_page(&rows, &shape, page, borrow), TQ_OK);
        tq_slice key = tqi_entry_key(&rows.entries[1]);
        bool inside = (const uint8_t *)key.data > page && (const uint8_t *)key.data < page + sizeof page;
        assert_int_equal(inside, borrow);
        if (!borrow)
            memset(page, 0xee, sizeof page);
        assert_true(slice_equal(key, slice_of("eighteen character")));
        assert_true(slice_equal(tqi_entry_key(&rows.entries[0]), slice_of("a")));
        memset(page, 0xee, sizeof page);
        assert_true(slice_equal(tqi_entry_value(&shape, &rows.entries[0]), slice_of("vv")));
        assert_true(slice_equal(tqi_entry_value(&shape, &rows.entries[1]), slice_of("w")));
    }
    uint64_t used = budget.used;
    tqi_rows_clear(&rows); /* the memory is kept */
    assert_int_equal(budget.used, used);
    tqi_rows_free(&rows);
    assert_int_equal(budget.used, 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t limit = 0; limit < 60000; limit += 1111) {
        tqi_budget budget = {.limit = limit + 1};
        tqi_value_shape shape = {TQ_BYTES, 0};
        tqi_rows rows;
        char key[100];
        size_t n = 0;
        memset(key, 'k', sizeof key);
        tqi_rows_init(&rows, &budget);
        while (tqi_rows_append(&rows, &shape, (tq_slice){key, 10 + n % 90}, 0, (tq_slice){key, n % 100}) == TQ_OK)
            n++;
        assert_int_equal(rows.n, n);
        for (size_t i = 0; i < n; i++)
            assert_true(tqi_entry_key(&rows.entries[i]).size == 10 + i % 90 &&
                        slice_equal(tqi_entry_value(&shape, &rows.entries[i]), (tq_slice){key, i % 100}));
        assert_true(budget.used <= budget.limit);
        tqi_rows_free(&rows);
        tqi_rows_free(&rows);
        assert_int_equal(budget.used, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_rows), cmocka_unit_test(test_compare),
        cmocka_unit_test(test_patterns),    cmocka_unit_test(test_median_of_three_killer),
        cmocka_unit_test(test_append_page), cmocka_unit_test(test_borrow_and_clear),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
