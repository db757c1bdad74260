/* Lines that match: each expression is searched for in a buffer at once, and must find what it finds in each line alone; and
 * what its text says of it (jobs/pattern.h) must not be too much. */
#include <tequio/tequio.h>

#include "jobs/pattern.h"
#include "jobs/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *searched_pattern; /* for messages */

enum { TEXT_SIZE = 3000, TEXTS = 12, NAIVE_LINES = 4000 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static tq_slice slice_of(const char *text)
{
    return (tq_slice){text, strlen(text)};
}

static search *search_of(const char *pattern, bool fixed, bool fold, bool bytes)
{
    char why[300];
    searched_pattern = pattern;
    search_options options = {
        .patterns = &pattern, .n_patterns = 1, .fixed = fixed, .ignore_case = fold, .bytes = bytes};
    search *made = search_new(&options, why, sizeof why);

    if (!made)
        fail_msg("%s: %s", pattern, why);
    return made;
}

/* The numbers of the lines that match, in a buffer at once. */
static size_t find_all(const search *searched, search_state *state, tq_slice text, size_t *lines)
{
    const char *begin = text.data, *end = text.data + text.size;
    size_t n = 0, number = 0;
    tq_slice line;
    search_result result;

    while ((result = search_line(searched, state, text, &line)) == SEARCH_FOUND) {
        assert_true(line.data >= text.data && line.data + line.size <= end);
        assert_true(line.data == text.data || line.data[-1] == '\n');
        assert_true(line.data + line.size == end || line.data[line.size] == '\n');
        for (; begin < line.data; begin++)
            number += *begin == '\n';
        lines[n++] = number;
        const char *next = line.data + line.size + 1;
        text = next < end ? (tq_slice){next, (size_t)(end - next)} : (tq_slice){end, 0};
    }
    if (result != SEARCH_NONE)
        fail_msg("%s: %s", searched_pattern, search_why(state));
    return n;
}

/* Each line in memory of its own, so that nothing is around it. */
static size_t find_one_by_one(const search *searched, search_state *state, tq_slice text, size_t *lines)
{
    const char *at = text.data, *end = text.data + text.size;
    size_t n = 0;

    for (size_t number = 0; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((newline ? newline : end) - at), count;
        char *alone = malloc(size + 1);
        tq_slice line;

        assert_non_null(alone);
        memcpy(alone, at, size);
        alone[size] = '\n';
        count = search_line(searched, state, (tq_slice){alone, size + 1}, &line) == SEARCH_FOUND;
        if (count)
            lines[n++] = number;
        free(alone);
        at = newline ? newline + 1 : end;
    }
    return n;
}

static const char *const patterns[] = {
    "ab",
    "a.b",
    "a[^x]b",
    "a[^x]*b",
    "a\\sb",
    "a\\s*b",
    "[^a]b",
    "\\W",
    "\\Wb",
    "a\\W+b",
    "\\D\\D",
    "^",
    "$",
    "^$",
    "^a",
    "a$",
    "^a.*b$",
    "\\Aa",
    "b\\z",
    "b\\Z",
    "(?<!a)b",
    "(?<=\\s)b",
    "a(?=\\s)",
    "a(?!\\s*b)",
    "a(?![^x]*b)",
    "a(?!.)",
    "(?<!.)b",
    "\\bab\\b",
    "\\Bb",
    "a[^b]*+$",
    "(?>a[^x]*)b",
    "(a|b)\\1",
    "(?i)AB",
    "(?i:A)b",
    "a(?-i)b",
    "(?s)a.b",
    "(?m)^b",
    "a\\nb",
    "a\\x0ab",
    "a[\\n]b",
    "a[\\s,]b",
    "[\\x00-\\x20]b",
    "a[[:space:]]b",
    "a[[:^alpha:]]b",
    "[[:alpha:]]+ab",
    "a|b",
    "abc|bca|cab",
    "(abc|b.c)a",
    "ab?c",
    "(ab|c)?a",
    "a{2}b",
    "a{0}b",
    "a{2,3}",
    "(ab){2}",
    "[ab]c[ab]",
    "[]a]b",
    "[^]a]b",
    "a\\Kb",
    "a\\Rb",
    "\\Qa.b\\E",
    "(*COMMIT)ab",
    "(?x) a b",
    "a(?#x)b",
    "(?<n>a)b\\k<n>",
    "(?<n>a)b",
    "(?'n'a)b",
    "(?P<n>a)(b)",
    "\\x{61}b",
    "\\p{L}b",
    "\\P{L}b",
    "a\\p{Zs}",
    "\\Na",
    "\\hb",
    "\\Hb",
    "a\\vb",
    "a\\Vb",
    "\xc3\xa9",
    "\xc3\xa9+b",
    "a\xc3\xa9?b",
    "[\xc3\xa9x]b",
    "(?i)\xc3\xa9",
    ".\xc3",
    "[^\xc3\xa9]b",
    "a\\.b",
    "a\\tb",
    "[\\t-z]b",
    "[a\\-z]c",
    "a[\\]]b",
    "a{,2}",
    "a{b",
    "()",
    "(|a)b",
    "a||b",
    "(?:)",
    "(?|(a)|(b))c\\1",
    "[^\\s]b",
    "[^\\W\\d]b",
    "\\S+\\s\\S+",
    "(a+)+c",
    "a.{0,3}c",
    "\\A\\z",
    "x*",
    "(?<=^)a",
    "(?=a)",
    "(?!a)",
    "a*?b",
    "abcabcabcabcabcabcabcabcabcabc",
    "(a|b)(a|b)(a|b)(a|b)(a|b)c",
    "[abc][abc]x",
    "\\1(a)",
    "a(?R)?b",
    "(a)(?1)",
    "\\cJb",
    "\\012b",
    "\\o{12}b",
    "\\Xb",
    "[\\Qa]\\E]b",
    "[[:]",
    "[a[:digit:]]b",
    "k|s",
    "(?i)ks",
    "\\_b",
    "\\<a",
    "\\x41?b",
};

static size_t make_text(uint64_t seed, char *text)
{
    static const char *const bits[] = {
        "a",    "b",    "c",        "ab",   "abc",          "\n", "\n", " ", "x",
        "\r\n", "\t",   "\xc3\xa9", "\xc3", "\x80",         "A",  "B",  "1", ",",
        ".",    "\xff", "a\nb",     "]",    "\xe2\x80\xa8", "\v", "\f", "k", "\xe2\x84\xaa"};
    uint64_t random = seed * 7919 + 1;
    size_t size = 0;

    for (int i = 0; i < 9; i++)
        next_random(&random);
    size_t n = seed == 0 ? 0 : next_random(&random) % 900;
    for (size_t i = 0; i < n; i++) {
        const char *bit = bits[next_random(&random) % (seed % 3 ? 10 : sizeof bits / sizeof *bits)];
        size_t length = strlen(bit);
        memcpy(text + size, bit, length);
        size += length;
        if (next_random(&random) % 97 == 0)
            text[size++] = '\0';
    }
    return size;
}

static void assert_same(const char *pattern, const search *searched, search_state *state, tq_slice text)
{
    static size_t at_once[NAIVE_LINES], alone[NAIVE_LINES];
    size_t n = find_all(searched, state, text, at_once), m = find_one_by_one(searched, state, text, alone);

    for (size_t i = 0; i < n && i < m; i++)
        if (at_once[i] != alone[i])
            fail_msg("%s: line %zu, not %zu", pattern, at_once[i], alone[i]);
    if (n != m)
        fail_msg("%s: %zu lines, not %zu", pattern, n, m);
}

static void test_same_as_alone(void **state)
{
    char *text = malloc(4 * TEXT_SIZE);

    (void)state;
    assert_non_null(text);
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++)
        for (int kind = 0; kind < 8; kind++) {
            if ((strcmp(patterns[p], "[[:]") == 0 && !(kind & 1)) || (strcmp(patterns[p], ".\xc3") == 0 && !(kind & 4)))
                continue; /* no expression, and no UTF-8 */
            search *searched = search_of(patterns[p], kind & 1, kind & 2, kind & 4);
            search_state *matching = search_state_new(searched);
            assert_non_null(matching);
            for (uint64_t seed = 0; seed < TEXTS; seed++) {
                size_t size = make_text(seed, text);
                char *exact = malloc(size + 1); /* so that sanitizers see who reads on */
                assert_non_null(exact);
                memcpy(exact, text, size);
                assert_same(patterns[p], searched, matching, (tq_slice){exact, size});
                free(exact);
            }
            search_state_free(matching);
            search_free(searched);
        }
    free(text);
}

/* Which strings are found in the text of an expression. */
static void test_required(void **state)
{
    static const struct {
        const char *pattern;
        bool whole, plain;
        const char *strings; /* separated by bars */
    } known[] = {
        {"abc", true, true, "abc"},
        {"abc|xyz", true, true, "abc|xyz"},
        {"[Tt]he", true, true, "The|the"},
        {"colou?r", true, true, "colour|color"},
        {"(Sher|Wat)son", true, true, "Sherson|Watson"},
        {"ab.*xyz", true, false, "xyz"},
        {"\\bword\\b", true, false, "word"},
        {"^word$", true, false, "word"},
        {"(kernel|socket)[0-9]+ [a-z]+", true, false, "kernel|socket"},
        {"[0-9]+", true, false, ""},
        {"(ab)+c", true, false, "ab"},
        {"(ab)*cd", true, false, "cd"},
        {"a|.", true, false, ""},
        {"(?i)word", true, false, "word"},
        {"a\\Kb", false, false, ""},
        {"(?s)a", false, false, ""},
        {"a\\.b\\*", true, true, "a.b*"},
        {"x?", true, false, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        pattern_plan plan;
        char found[500] = "";

        pattern_read(&plan, slice_of(known[i].pattern), false, true);
        assert_non_null(plan.text);
        for (int s = 0; s < plan.required.n; s++) {
            strcat(found, s ? "|" : "");
            strncat(found, plan.required.strings[s].bytes, plan.required.strings[s].size);
        }
        if (plan.whole != known[i].whole || plan.plain != known[i].plain || strcmp(found, known[i].strings) != 0)
            fail_msg("%s: whole %d, plain %d, %s", known[i].pattern, plan.whole, plan.plain, found);
        free(plan.text);
    }
}

static void assert_matches(const char *pattern, bool bytes, const char *line, const char *expected)
{
    search *searched = search_of(pattern, false, false, bytes);
    search_state *matching = search_state_new(searched);
    char found[200] = "";
    tq_slice match;
    size_t from = 0;

    assert_non_null(matching);
    while (search_in_line(searched, matching, slice_of(line), &from, &match) == SEARCH_FOUND) {
        strncat(found, match.data, match.size);
        strcat(found, "/");
    }
    assert_string_equal(found, expected);
    search_state_free(matching);
    search_free(searched);
}

static void test_matches(void **state)
{
    (void)state;
    assert_matches("a+", false, "aa b a", "aa/a/");
    assert_matches("x*", false, "axxb\xc3\xa9x", "xx/x/");
    assert_matches(".", false, "a\xc3\xa9", "a/\xc3\xa9/");
    assert_matches("[^a]", true, "a\xc3\xa9", "\xc3/\xa9/");
    assert_matches("^a", false, "aaa", "a/");
    assert_matches("abcd\nab", false, "abcdab", "abcd/ab/");
}

static void test_several(void **state)
{
    const char *list[] = {"(a)\\1", "(b)\\1\nccc"};
    char why[300];
    search_options options = {.patterns = list, .n_patterns = 2};
    tq_slice text = slice_of("ab\nba\nbb\nxccc\ncc\naa");
    size_t lines[8];

    (void)state;
    search *searched = search_new(&options, why, sizeof why);
    assert_non_null(searched);
    search_state *matching = search_state_new(searched);
    assert_non_null(matching);
    assert_int_equal(find_all(searched, matching, text, lines), 3);
    assert_true(lines[0] == 2 && lines[1] == 3 && lines[2] == 5);
    search_state_free(matching);
    search_free(searched);
    list[1] = "a(b";
    assert_null(search_new(&options, why, sizeof why));
    assert_string_equal(why, "the pattern 'a(b' is wrong at byte 3: missing closing parenthesis");
    list[1] = "\xff";
    assert_null(search_new(&options, why, sizeof why));
    assert_non_null(strstr(why, "at byte 0: UTF-8 error"));
}

/* What backtracks without end is an error, not a wait. */
static void test_too_much(void **state)
{
    search *searched = search_of("(a+)+(b|c)\\d\\z", false, false, false);
    search_state *matching = search_state_new(searched);
    char line[64];
    tq_slice found;
    size_t from = 0;

    (void)state;
    assert_non_null(matching);
    memset(line, 'a', sizeof line);
    line[60] = 'c';
    assert_int_equal(search_in_line(searched, matching, (tq_slice){line, sizeof line}, &from, &found), SEARCH_FAILED);
    assert_non_null(strstr(search_why(matching), "limit"));
    search_state_free(matching);
    search_free(searched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_alone), cmocka_unit_test(test_required), cmocka_unit_test(test_matches),
        cmocka_unit_test(test_several),       cmocka_unit_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
