/* Rows by a function of the job's: each once and in order, whether from entries or packed and cut anywhere, and what is
 * said when it fails. */
#include "node/writing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static atomic_bool stop;
static tqi_place place;

/* "NUMBER OF THE ROW|KEY|VALUE OR NUMBER\n"; user counts the rows. */
static int write_numbered(const tq_row *row, tq_text *text, void *user)
{
    int *n = user;
    tq_slice bar = {"|", 1};

    if (tq_text_put_number(text, (*n)++) || tq_text_put(text, bar) || tq_text_put_json(text, row->key) ||
        tq_text_put(text, bar) || tq_text_put(text, row->value) || tq_text_put(text, bar) ||
        tq_text_put_number(text, row->i64))
        return 1;
    return (int)tq_text_put(text, slice_of("\n"));
}

static int write_until_three(const tq_row *row, tq_text *text, void *user)
{
    int *n = user;

    (void)row;
    return ++*n < 3 ? 0 : *n == 3 ? tq_text_fail(text, "no more than %d", 2) : 7;
}

static tqi_writer_fn function_of(tq_write_fn write, const tqi_value_shape *shape, int *n)
{
    *n = 0;
    return (tqi_writer_fn){.write = write, .user = n, .shape = shape, .place = &place, .stop = &stop};
}

static void make_rows(tqi_rows *rows, const tqi_value_shape *shape, size_t n, size_t longest)
{
    char bytes[300];
    uint64_t random = 5 + n;

    tqi_rows_init(rows, NULL);
    for (size_t i = 0; i < n; i++) {
        size_t size = random_below(&random, longest + 1);
        random_text(&random, "ab|\"\n", 5, bytes, sizeof bytes);
        tq_slice value = {bytes, random_below(&random, longest + 1)};
        assert_int_equal(tqi_rows_append(rows, shape, (tq_slice){bytes + 7, size}, (int64_t)i - 3, value), TQ_OK);
    }
}

/* Pieces of one size each, and of random sizes. */
static void assert_unpacks(const tqi_value_shape *shape, tq_slice packed, tq_slice expected, size_t piece)
{
    tqi_budget budget = {0};
    tqi_unpacker unpacker = {.rest = {.budget = &budget}};
    tqi_text text = {.budget = &budget};
    uint64_t random = piece + 1;
    tq_error error;
    int n;
    tqi_writer_fn fn = function_of(write_numbered, shape, &n);

    for (size_t at = 0; at < packed.size;) {
        size_t size = piece ? piece : random_below(&random, 90), left = packed.size - at;
        size = size < left ? size : left;
        assert_int_equal(tqi_unpack_rows(&unpacker, &fn, (tq_slice){packed.data + at, size}, &text, &error), TQ_OK);
        at += size;
    }
    assert_true(slice_equal((tq_slice){text.data, text.size}, expected));
    assert_int_equal(unpacker.rest.size, 0);
    tqi_unpacker_free(&unpacker);
    tqi_text_free(&text);
    assert_int_equal(budget.used, 0);
}

static void test_same_in_pieces(void **state)
{
    static const tqi_value_shape shapes[] = {{TQ_I64, 0}, {TQ_BYTES, 0}, {TQ_FIXED, 9}};

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        tqi_rows rows;
        tqi_text direct = {0}, packed = {0};
        tq_error error;
        int n;
        tqi_writer_fn fn = function_of(write_numbered, &shapes[s], &n);

        make_rows(&rows, &shapes[s], 60, shapes[s].bytes ? shapes[s].bytes : 40);
        for (size_t i = 0; s == 2 && i < rows.n; i++) /* fixed values have one size */
            assert_int_equal(tqi_entry_value(&shapes[s], &rows.entries[i]).size, 9);
        assert_int_equal(tqi_write_rows(&fn, rows.entries, rows.n, &direct, &error), TQ_OK);
        assert_int_equal(n, 60);
        assert_int_equal(tqi_pack_rows(&shapes[s], rows.entries, rows.n, &packed), TQ_OK);
        for (size_t piece = 0; piece < 130; piece++)
            assert_unpacks(&shapes[s], (tq_slice){packed.data, packed.size}, (tq_slice){direct.data, direct.size},
                           piece);
        assert_unpacks(&shapes[s], (tq_slice){packed.data, packed.size}, (tq_slice){direct.data, direct.size},
                       packed.size);
        tqi_text_free(&direct);
        tqi_text_free(&packed);
        tqi_rows_free(&rows);
    }
}

static void test_known_text(void **state)
{
    tqi_value_shape shape = {TQ_BYTES, 0};
    tqi_rows rows;
    tqi_text text = {0};
    tq_error error;
    int n;
    tqi_writer_fn fn = function_of(write_numbered, &shape, &n);

    (void)state;
    tqi_rows_init(&rows, NULL);
    assert_int_equal(tqi_rows_append(&rows, &shape, slice_of("a\"\xff"), 0, slice_of("v")), TQ_OK);
    assert_int_equal(tqi_rows_append(&rows, &shape, slice_of(""), 0, slice_of("")), TQ_OK);
    assert_int_equal(tqi_write_rows(&fn, rows.entries, rows.n, &text, &error), TQ_OK);
    assert_true(slice_equal((tq_slice){text.data, text.size}, slice_of("0|\"a\\\"\\udcff\"|v|0\n1|\"\"||0\n")));
    tqi_text_free(&text);
    tqi_rows_free(&rows);
}

static void test_failures(void **state)
{
    tqi_value_shape shape = {TQ_I64, 0};
    tqi_budget budget = {.limit = 8192};
    tqi_text text = {.budget = &budget};
    tqi_rows rows;
    tq_error error;
    int n;
    tqi_writer_fn fn = function_of(write_until_three, &shape, &n);

    (void)state;
    make_rows(&rows, &shape, 2000, 9);
    assert_int_equal(tqi_write_rows(&fn, rows.entries, rows.n, &text, &error), TQ_E_USER);
    assert_non_null(strstr(error.message, "no more than 2 (key '"));
    assert_int_equal(tqi_write_rows(&fn, rows.entries, rows.n, &text, &error), TQ_E_USER);
    assert_non_null(strstr(error.message, "returned 7 (key '"));
    fn = function_of(write_numbered, &shape, &n);
    assert_int_equal(tqi_write_rows(&fn, rows.entries, rows.n, &text, &error), TQ_E_MEMORY);
    atomic_store(&stop, true);
    assert_int_equal(tqi_write_rows(&fn, rows.entries, rows.n, &text, &error), TQ_E_CANCELLED);
    atomic_store(&stop, false);
    tqi_text_free(&text);
    tqi_rows_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_in_pieces),
        cmocka_unit_test(test_known_text),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
