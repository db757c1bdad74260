/* Lines: taken out of text, and the different ones of a text in order, against an ordinary sort of all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

/* The command is no library. */
#include "jobs/lines.c"

enum { MOST_LINES = 20000, LINE_BYTES = 40 };

static bool always(void *user, size_t bytes)
{
    *(size_t *)user += bytes;
    return true;
}

static bool up_to(void *user, size_t bytes)
{
    size_t *left = user;

    if (bytes > *left)
        return false;
    *left -= bytes;
    return true;
}

/* By the bytes in front of the first TAB, and then by what is behind. */
static int by_key_and_rest(const void *left, const void *right)
{
    tq_slice key[2], rest[2];

    lines_cut(*(const tq_slice *)left, &key[0], &rest[0]);
    lines_cut(*(const tq_slice *)right, &key[1], &rest[1]);
    int order = compare_bytes(key[0].data, key[0].size, key[1].data, key[1].size);
    return order ? order : compare_bytes(rest[0].data, rest[0].size, rest[1].data, rest[1].size);
}

/* n lines of so many different ones, the last without its LF. */
static void check(size_t n, size_t different, uint64_t seed)
{
    char *text = malloc(n * LINE_BYTES + 1);
    tq_slice *lines = malloc((n + 1) * sizeof *lines), left = {text, 0}, line;
    size_t found = 0, at = 0, asked = 0;
    lines_sorting sorting;

    assert_true(text && lines);
    for (size_t i = 0; i < n; i++) {
        size_t number = random_below(&seed, different);

        left.size += (size_t)sprintf(text + left.size, number % 3 == 0 ? "%zu\t%zu" : number % 3 == 1 ? "key%zu" : "\t%zu\t",
                                     number / 7, number);
        if (i + 1 < n)
            text[left.size++] = '\n';
    }
    for (tq_slice rest = left; lines_next(&rest, true, &line);)
        lines[found++] = line;
    assert_int_equal(found, n);
    if (n > 0)
        qsort(lines, n, sizeof *lines, by_key_and_rest);
    assert_true(lines_sort(&sorting, left, always, &asked));
    assert_int_equal(sorting.bytes, asked);
    for (size_t p = 0; p < sorting.n; p++) {
        const lines_pair *pair = &sorting.pairs[p];

        assert_true(pair->count > 0);
        for (uint64_t i = 0; i < pair->count; i++, at++) {
            assert_true(at < n);
            assert_int_equal(pair->size, lines[at].size);
            assert_memory_equal(pair->line, lines[at].data, pair->size);
        }
    }
    assert_int_equal(at, n);
    lines_sorting_free(&sorting);
    free(lines);
    free(text);
}

static void test_sort(void **state)
{
    (void)state;
    check(0, 1, 1);
    check(1, 1, 2);
    check(1000, 1, 3);
    check(1000, 10, 4);
    check(MOST_LINES, 700, 5);
    check(MOST_LINES, 1000000, 6);
}

static void test_no_memory(void **state)
{
    static char text[3 * 5000];
    lines_sorting sorting;
    bool fitted = false;

    (void)state;
    for (size_t i = 0; i < sizeof text / 3; i++) {
        text[3 * i] = (char)('0' + i % 64);
        text[3 * i + 1] = (char)('0' + i / 64);
        text[3 * i + 2] = '\n';
    }
    for (size_t limit = 1000; !fitted; limit *= 2) {
        size_t left = limit;

        fitted = lines_sort(&sorting, (tq_slice){text, sizeof text}, up_to, &left);
        assert_int_equal(left + sorting.bytes, limit);
        assert_true(limit > 100000 || !fitted);
        lines_sorting_free(&sorting);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
