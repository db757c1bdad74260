/* Cutting text into words, with each set of instructions that this CPU has, against a loop over its bytes. */
#include "node/cutter.h"
#include "node/delimiters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <tequio/mapreduce.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { MOST = 4096, ARENA = 1 << 17 };

static const tqi_cutter *cutter; /* whose turn it is */

/* ARENA bytes between two pages that nobody may touch. */
static char *text_arena, *words_arena;

static bool plain_space(int byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\v' || byte == '\f' || byte == '\r';
}

static size_t plain_words(const char *text, size_t size, tq_slice *words)
{
    size_t n = 0;

    for (size_t at = 0; at < size;) {
        size_t start = at;
        while (at < size && !plain_space(text[at]))
            at++;
        if (at > start)
            words[n++] = (tq_slice){text + start, at - start};
        else
            at++;
    }
    return n;
}

/* All words of the text at exact, where nothing behind (or before) it may be read; and nothing behind capacity words
 * may be written. */
static void check_there(const char *exact, size_t size, size_t capacity)
{
    static tq_slice expected[MOST];
    tq_slice *words = (tq_slice *)(void *)(words_arena + ARENA) - capacity;
    size_t n = plain_words(exact, size, expected), got = 0;

    tq_slice rest = {exact, size};
    for (;;) {
        size_t some = tqi_cut_words(cutter, &rest, words, capacity);
        assert_true(some <= capacity);
        assert_true(rest.data + rest.size == exact + size);
        if (some == 0)
            break;
        assert_true(got + some <= n);
        for (size_t i = 0; i < some; i++)
            assert_true(words[i].data == expected[got + i].data && words[i].size == expected[got + i].size);
        got += some;
        assert_true(rest.data >= words[some - 1].data + words[some - 1].size);
        assert_true(got == n || rest.data <= expected[got].data);
    }
    assert_int_equal(got, n);
}

static void check(const char *text, size_t size, size_t capacity)
{
    memcpy(text_arena + ARENA - size, text, size);
    check_there(text_arena + ARENA - size, size, capacity);
    memcpy(text_arena, text, size);
    check_there(text_arena, size, capacity);
}

static void test_all_bytes(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[64];
        assert_int_equal(tqi_is_space((char)byte), plain_space(byte));
        memset(text, byte, sizeof text);
        check(text, sizeof text, 100);
        for (int at = 0; at < 64; at++) {
            memset(text, 'x', sizeof text);
            text[at] = (char)byte;
            check(text, sizeof text, 100);
        }
    }
}

/* Bytes next to the white space, with the high bit set, and what other alphabets take for spaces. */
static void test_lookalikes(void **state)
{
    static const char text[] = "\x08\x0e\x1c\x1d\x1e\x1f\x21 \x89\x8a\x8b\x8c\x8d\xa0\x85\0\xc2\xa0"
                               "\xe3\x80\x80\t\xff\v\x7f\f"
                               "a\rb\nc";

    (void)state;
    for (size_t capacity = 1; capacity <= 200; capacity++)
        check(text, sizeof text - 1, capacity);
    char padded[200];
    for (size_t shift = 0; shift + sizeof text < sizeof padded; shift++) {
        memset(padded, 'x', sizeof padded);
        memcpy(padded + shift, text, sizeof text - 1);
        check(padded, sizeof padded, 1);
        check(padded, sizeof padded, 64);
        check(padded, sizeof padded, 200);
    }
}

static void test_all_capacities(void **state)
{
    uint64_t random = 51;

    (void)state;
    for (size_t capacity = 1; capacity <= 200; capacity++) {
        for (int round = 0; round < 40; round++) {
            char text[1000];
            size_t size = random_below(&random, sizeof text);
            random_text(&random, "a b\tc\nd\ve\ff\rghijklmn", (size_t)(2 + random_below(&random, 19)), text, size);
            check(text, size, capacity);
        }
    }
}

static void test_random_bytes(void **state)
{
    uint64_t random = 52;

    (void)state;
    for (int round = 0; round < 5000; round++) {
        char text[600];
        size_t size = random_below(&random, sizeof text);
        for (size_t i = 0; i < size; i++)
            text[i] = (char)random_below(&random, round % 2 ? 256 : 40);
        check(text, size, 1 + random_below(&random, 300));
    }
}

/* All lengths, from nothing but words of one byte to hardly a space, and hardly a word. */
static void test_densities(void **state)
{
    static const size_t capacities[] = {1, 2, 32, 33, 34, 65, 66, 67, 100, 300};
    uint64_t random = 53;

    (void)state;
    for (size_t size = 0; size <= 300; size++) {
        for (uint64_t density = 0; density <= 64; density = density < 4 ? density + 1 : 2 * density) {
            for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
                char text[300];
                for (size_t at = 0; at < size; at++)
                    text[at] = random_below(&random, 64) < density ? ' ' : 'w';
                check(text, size, capacities[i]);
                for (size_t at = 0; at < size; at++)
                    text[at] = random_below(&random, 64) < density ? 'w' : '\n';
                check(text, size, capacities[i]);
            }
        }
    }
}

/* At any place in a cache line. */
static void test_alignments(void **state)
{
    uint64_t random = 54;

    (void)state;
    for (size_t shift = 0; shift < 64; shift++) {
        for (int round = 0; round < 20; round++) {
            size_t size = 500 + random_below(&random, 500);
            random_text(&random, "a b\tcdef", 8, text_arena + shift, size);
            check_there(text_arena + shift, size, 64 + random_below(&random, 300));
        }
    }
}

/* Words that start and end at and around the edge of a block. */
static void test_block_edges(void **state)
{
    static const size_t edges[] = {0, 1, 31, 32, 33, 62, 63, 64, 65, 66, 126, 127, 128, 129, 130, 191, 192, 193};
    enum { EDGES = sizeof edges / sizeof edges[0] };

    (void)state;
    for (size_t size = 0; size < EDGES; size++) {
        for (size_t from = 0; from < EDGES; from++) {
            for (size_t to = from; to < EDGES; to++) {
                char text[256];
                memset(text, ' ', sizeof text);
                memset(text + edges[from], 'w', edges[to] - edges[from]);
                check(text, edges[size], 64);
                check(text, edges[size], 1);
                memset(text, 'w', sizeof text);
                memset(text + edges[from], ' ', edges[to] - edges[from]);
                check(text, edges[size], 64);
                check(text, edges[size], 65);
            }
        }
    }
}

/* As many words as there can be, and a word of many blocks among them. */
static void test_dense_and_long(void **state)
{
    char text[2 * MOST];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? ' ' : 'w';
    for (size_t capacity = 1; capacity <= 200; capacity++) {
        check(text, 1500 + capacity, capacity);
        check(text + 1, 1500 + capacity, capacity);
    }
    memset(text + 101, 'w', 3000);
    for (size_t capacity = 1; capacity <= 200; capacity++)
        check(text, 4000, capacity);
    memset(text, 'w', sizeof text);
    for (size_t capacity = 1; capacity <= 200; capacity += 9)
        check(text, sizeof text, capacity);
    memset(text, '\n', sizeof text);
    for (size_t capacity = 1; capacity <= 200; capacity += 9)
        check(text, sizeof text, capacity);
}

static void test_nothing(void **state)
{
    tq_slice words[100], text;

    (void)state;
    for (size_t capacity = 1; capacity <= 100; capacity++) {
        text = (tq_slice){NULL, 0};
        assert_int_equal(tqi_cut_words(cutter, &text, words, capacity), 0);
        assert_int_equal(text.size, 0);
    }
    text = slice_of("some words");
    assert_int_equal(tqi_cut_words(cutter, &text, words, 0), 0);
    assert_int_equal(tqi_cut_words(cutter, &text, words, 100), 2);
    assert_int_equal(tqi_cut_words(cutter, &text, words, 100), 0);
}

static void test_choice(void **state)
{
    size_t n;
    const tqi_cutter *all = tqi_cutters(&n), *best = tqi_cutter_best();
    tq_slice words[100], text = slice_of("some words");

    (void)state;
    assert_true(all[0].supported() && best->supported());
    for (const tqi_cutter *better = best + 1; better < all + n; better++)
        assert_false(better->supported());
    assert_ptr_equal(tqi_cutter_best(), best);
    assert_int_equal(tq_next_words(&text, words, 100), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_bytes),      cmocka_unit_test(test_lookalikes),
        cmocka_unit_test(test_all_capacities), cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_densities),      cmocka_unit_test(test_alignments),
        cmocka_unit_test(test_block_edges),    cmocka_unit_test(test_dense_and_long),
        cmocka_unit_test(test_nothing),
    };
    const struct CMUnitTest choice[] = {cmocka_unit_test(test_choice)};
    size_t n;
    const tqi_cutter *all = tqi_cutters(&n);
    int failed = cmocka_run_group_tests_name("choice", choice, NULL, NULL);

    text_arena = fenced_new(ARENA);
    words_arena = fenced_new(ARENA);
    for (cutter = all; cutter < all + n; cutter++) {
        if (cutter->supported())
            failed += cmocka_run_group_tests_name(cutter->name, tests, NULL, NULL);
        else
            print_message("[ no CPU ] %s\n", cutter->name);
    }
    return failed;
}
