/* Rows of several outputs: put together by output in the order that they had, and frames that are read in pieces cut
 * anywhere. */
#include "node/parting.h"

#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { MANY = 200 };

static atomic_bool stop;
static tqi_place place;
static const tqi_value_shape numbers = {TQ_I64, 0};

static size_t by_number(const tq_row *row, void *user)
{
    const size_t *n = user;

    return (size_t)row->i64 % *n;
}

static size_t nowhere(const tq_row *row, void *user)
{
    (void)user;
    return row->i64 == 3 ? MANY : 0;
}

static tqi_parting parting_of(tq_choose_fn choose, size_t *n)
{
    return (tqi_parting){
        .choose = choose, .user = n, .n_outputs = *n, .shape = &numbers, .place = &place, .stop = &stop};
}

/* Row i has the number i * 7 and the key of as many bytes as i is. */
static void make_rows(tqi_rows *rows, size_t n)
{
    char key[MANY];

    memset(key, 'k', sizeof key);
    tqi_rows_init(rows, NULL);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(
            tqi_rows_append(rows, &numbers, (tq_slice){key, i % MANY}, 7 * (int64_t)i, (tq_slice){NULL, 0}), TQ_OK);
}

static void test_parting(void **state)
{
    static const size_t counts[] = {0, 1, 5, 1000}, outputs[] = {1, 2, 3, MANY};
    tq_error error;

    (void)state;
    for (size_t c = 0; c < 16; c++) {
        size_t n = counts[c / 4], n_outputs = outputs[c % 4], at = 0;
        tqi_parting parting = parting_of(by_number, &n_outputs);
        tqi_rows rows;

        make_rows(&rows, n);
        tqi_error_clear(&error);
        assert_int_equal(tqi_parting_make(&parting, rows.entries, rows.n, &error), TQ_OK);
        for (size_t k = 0; k < n_outputs; k++) {
            int64_t before = -1;

            for (; at < parting.ends[k]; at++) {
                assert_int_equal(parting.entries[at].value % n_outputs, k);
                assert_true((int64_t)parting.entries[at].value > before);
                before = (int64_t)parting.entries[at].value;
            }
        }
        assert_int_equal(at, n);
        tqi_parting_free(&parting);
        tqi_rows_free(&rows);
    }
}

static void test_failing(void **state)
{
    size_t n = 2;
    tq_error error;
    tqi_rows rows;

    (void)state;
    tqi_rows_init(&rows, NULL);
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(tqi_rows_append(&rows, &numbers, slice_of("key"), i, (tq_slice){NULL, 0}), TQ_OK);
    for (int stopped = 0; stopped < 2; stopped++) {
        tqi_parting parting = parting_of(nowhere, &n);

        stop = stopped;
        tqi_error_clear(&error);
        assert_int_equal(tqi_parting_make(&parting, rows.entries, rows.n, &error),
                         stopped ? TQ_E_CANCELLED : TQ_E_USER);
        assert_non_null(
            strstr(error.message, stopped ? "cancelled" : "returned 200, and there are 2 outputs (key 'key')"));
        tqi_parting_free(&parting);
    }
    stop = false;
    tqi_rows_free(&rows);
}

/* What comes out of frames that are cut into pieces, by output. */
static void assert_reads(const tqi_text *framed, size_t piece, const char *const *expected, size_t n)
{
    tqi_frame_reader reader = {0};
    tqi_text got[3] = {{0}};
    size_t output;

    for (size_t at = 0; at < framed->size; at += piece) {
        tq_slice rest = {framed->data + at, framed->size - at < piece ? framed->size - at : piece}, text;

        while ((text = tqi_frame_next(&reader, &rest, &output)).size > 0) {
            assert_true(output < n);
            assert_int_equal(tqi_text_put(&got[output], text), TQ_OK);
        }
        assert_int_equal(rest.size, 0);
    }
    for (size_t k = 0; k < n; k++) {
        assert_int_equal(got[k].size, strlen(expected[k]));
        assert_memory_equal(got[k].data ? got[k].data : "", expected[k], got[k].size);
        tqi_text_free(&got[k]);
    }
}

static void test_frames(void **state)
{
    static const struct {
        size_t output;
        const char *text;
    } frames[] = {{1, "one"}, {0, "zero and more"}, {2, ""}, {1, "!"}, {1, ""}};
    static const char *const expected[] = {"zero and more", "one!", ""};
    tqi_text framed = {0};

    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        size_t at = framed.size;

        assert_int_equal(tqi_frame_begin(&framed), TQ_OK);
        assert_int_equal(tqi_text_put(&framed, slice_of(frames[i].text)), TQ_OK);
        tqi_frame_end(&framed, at, frames[i].output);
    }
    for (size_t piece = 1; piece <= framed.size + 1; piece++)
        assert_reads(&framed, piece, expected, 3);
    tqi_text_free(&framed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parting), cmocka_unit_test(test_failing),
                                       cmocka_unit_test(test_frames)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
