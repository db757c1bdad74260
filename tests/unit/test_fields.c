/* Cutting lines into fields: one after the other against a plain reading of the rules, and many at once, with each set
 * of instructions that this CPU has, against that. */
#include "node/separators.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { ARENA = 1 << 16, MOST = 2000 };

static const tqi_lister *lister; /* whose turn it is */

/* ARENA bytes between two pages that nobody may touch. */
static char *arena, *fields_arena;

/* ---- One line ---- */

/* The fields of a line, each in brackets, and what is behind them. */
static void check_line(const char *text, char delimiter, bool quotes, const char *expected)
{
    tq_columns columns = {.delimiter = delimiter, .quotes = quotes};
    tq_slice line = slice_of(text), field;
    char found[200] = "", room[100];
    tq_field what;

    while ((what = tq_next_field(&line, &columns, &field)) == TQ_FIELD) {
        tq_slice inside = quotes ? tq_unquote(field, room) : field;

        snprintf(found + strlen(found), sizeof found - strlen(found), "[%.*s]", (int)inside.size, inside.data);
    }
    strcat(found, what == TQ_FIELD_NONE ? "" : what == TQ_FIELD_STRAY ? " stray" : " unclosed");
    assert_string_equal(found, expected);
}

static void test_one_line(void **state)
{
    (void)state;
    check_line("", ';', false, "[]");
    check_line("a", ';', false, "[a]");
    check_line(";", ';', false, "[][]");
    check_line("a;b;;c;", ';', false, "[a][b][][c][]");
    check_line("\"a;b\"", ';', false, "[\"a][b\"]");
    check_line("a,b", ',', true, "[a][b]");
    check_line("\"a,b\",c", ',', true, "[a,b][c]");
    check_line("\"\",\"\"\"\"", ',', true, "[][\"]");
    check_line("\"say \"\"hi\"\"\",2", ',', true, "[say \"hi\"][2]");
    check_line("\"a\"\"\",", ',', true, "[a\"][]");
    check_line("a,\"b", ',', true, "[a] unclosed");
    check_line("a,\"b\"\"", ',', true, "[a] unclosed");
    check_line("a,\"", ',', true, "[a] unclosed");
    check_line("a\"b,c", ',', true, " stray");
    check_line("x,\"b\"c,d", ',', true, "[x] stray");
    check_line("\"b\" ,d", ',', true, " stray");
    check_line(" \"b\",d", ',', true, " stray");
}

static void test_line_at(void **state)
{
    static const char *const texts[][2] = {{"", ""},     {"a", "a"},         {"a\nb", "a"},
                                           {"\n", ""},   {"\r\n", ""},       {"a\r\nb", "a"},
                                           {"a\r", "a"}, {"a\r\r\n", "a\r"}, {"\ra\n", "\ra"}};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(slice_equal(tq_line_at(slice_of(texts[i][0])), slice_of(texts[i][1])));
}

/* ---- Many lines ---- */

/* What tq_next_fields must make of the line that begins text. Returns its bytes with its end. */
static size_t expected_of(tq_slice text, const tq_columns *columns, tq_slice *fields)
{
    const char *newline = memchr(text.data, '\n', text.size);
    tq_slice line = tq_line_at(text), rest = line, field;
    bool good = line.size > 0;
    uint32_t n = 0;
    tq_field what = TQ_FIELD_NONE;

    for (size_t c = 0; c < columns->n; c++)
        fields[c] = (tq_slice){NULL, 0};
    for (; good && (what = tq_next_field(&rest, columns, &field)) == TQ_FIELD; n++)
        for (size_t c = 0; c < columns->n; c++)
            if (columns->wanted[c] == n)
                fields[c] = field;
    for (size_t c = 0; c < columns->n; c++)
        good = good && what == TQ_FIELD_NONE && columns->wanted[c] < n;
    for (size_t c = 0; c < columns->n && !good; c++)
        fields[c] = (tq_slice){text.data, TQ_NO_FIELD};
    return newline ? (size_t)(newline + 1 - text.data) : text.size;
}

/* All lines of the text at exact, where nothing behind it (or before) may be read; and nothing behind capacity fields
 * may be written. */
static void check_there(const char *exact, size_t size, const tq_columns *columns, size_t capacity)
{
    tq_slice expected_rest = {exact, size}, rest = {exact, size}, *fields[TQ_COLUMNS_MAX];

    for (size_t c = 0; c < columns->n; c++)
        fields[c] = (tq_slice *)(void *)(fields_arena + ARENA) - (c + 1) * capacity;
    while (expected_rest.size > 0) {
        size_t n = tqi_cut_fields(lister, &rest, columns, fields, capacity);

        assert_true(n > 0 && n <= capacity);
        for (size_t i = 0; i < n; i++) {
            tq_slice expected[TQ_COLUMNS_MAX];

            assert_true(expected_rest.size > 0);
            size_t whole = expected_of(expected_rest, columns, expected);
            for (size_t c = 0; c < columns->n; c++)
                if (fields[c][i].data != expected[c].data || fields[c][i].size != expected[c].size)
                    fail_msg("column %u of the line at byte %td: %zd at %td, not %zd at %td", columns->wanted[c],
                             expected_rest.data - exact, (ssize_t)fields[c][i].size, fields[c][i].data - exact,
                             (ssize_t)expected[c].size, expected[c].data - exact);
            expected_rest = (tq_slice){expected_rest.data + whole, expected_rest.size - whole};
        }
        assert_true(rest.size == expected_rest.size && (rest.size == 0 || rest.data == expected_rest.data));
    }
    assert_int_equal(tqi_cut_fields(lister, &rest, columns, fields, capacity), 0);
}

static void check(const char *text, size_t size, const tq_columns *columns, size_t capacity)
{
    memcpy(arena + ARENA - size, text, size);
    check_there(arena + ARENA - size, size, columns, capacity);
    memcpy(arena, text, size);
    check_there(arena, size, columns, capacity);
}

static const tq_columns shapes[] = {{';', false, 2, {0, 1}},    {';', false, 1, {0}},    {';', false, 1, {2}},
                                    {';', false, 3, {2, 0, 2}}, {';', false, 2, {1, 5}}, {'\0', false, 2, {0, 1}},
                                    {'x', false, 2, {1, 0}},    {' ', false, 1, {0}},    {';', true, 2, {0, 1}},
                                    {';', true, 1, {0}},        {';', true, 1, {1}},     {'\t', true, 2, {1, 0}},
                                    {';', true, 3, {2, 0, 1}}};

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void check_random(const char *alphabet, size_t letters, uint64_t seed, size_t longest, int rounds)
{
    uint64_t random = seed;

    for (int round = 0; round < rounds; round++) {
        char text[MOST];
        size_t size = random_below(&random, longest);

        random_text(&random, alphabet, 2 + random_below(&random, letters - 1), text, size);
        check(text, size, &shapes[random_below(&random, SHAPES)], 1 + random_below(&random, 100));
    }
}

static void test_random(void **state)
{
    (void)state;
    check_random(";\nab;c\rd0123456", 15, 71, MOST, 1500);
    check_random("\n;\r", 3, 72, 300, 1000);
    check_random("a;\nbcdefghijklmnopqrstuvwxyz012345678", 37, 73, MOST, 1000);
}

static void test_random_quotes(void **state)
{
    (void)state;
    check_random("\";\nab\"\r;", 8, 74, 200, 6000);
    check_random("a;\nb\"c\"defghijk;lmnop\r\nq", 24, 75, MOST, 1500);
}

/* Lines that keep the rules of quotation, and one in a hundred that does not. */
static void test_good_quotes(void **state)
{
    static const char *const pieces[] = {
        "a",          "bc", "\"d\"",    "\"e;f\"", "\"\"",
        "\"g\"\"h\"", "",   "\"\"\"\"", "12.5",    "\"a field, of some length, with ;;; in it\"",
        "\"\r\""};
    uint64_t random = 76;

    (void)state;
    for (int round = 0; round < 1500; round++) {
        char text[MOST];
        size_t size = 0;

        while (size < MOST - 200 && random_below(&random, 100)) {
            for (uint64_t fields = 1 + random_below(&random, 4); fields > 0; fields--) {
                size += (size_t)sprintf(text + size, "%s%s",
                                        pieces[random_below(&random, sizeof pieces / sizeof pieces[0])],
                                        fields > 1                 ? ";"
                                        : random_below(&random, 2) ? "\r\n"
                                                                   : "\n");
            }
            if (random_below(&random, 100) == 0)
                text[random_below(&random, size)] = '"';
        }
        check(text, size, &shapes[8 + random_below(&random, SHAPES - 8)], 1 + random_below(&random, 100));
    }
}

/* Every text of up to seven bytes out of these: all states, and all ways to end. */
static void test_all_short(void **state)
{
    static const char alphabet[] = "\";\n\ra";
    enum { LETTERS = sizeof alphabet - 1, SIZE = 7 };
    unsigned texts = 1;

    (void)state;
    for (size_t size = 0; size <= SIZE; size++, texts *= LETTERS) {
        for (unsigned text = 0; text < texts; text++) {
            char bytes[SIZE];
            unsigned rest = text;

            for (size_t i = 0; i < size; i++, rest /= LETTERS)
                bytes[i] = alphabet[rest % LETTERS];
            check(bytes, size, &shapes[8 + text % 2], 4);
        }
    }
}

/* The same around the edge of a block. */
static void test_block_edges(void **state)
{
    static const char alphabet[] = "\";\n\ra";
    enum { LETTERS = sizeof alphabet - 1, SIZE = 5 };

    (void)state;
    for (size_t before = 59; before <= 64; before++) {
        for (unsigned text = 0; text < LETTERS * LETTERS * LETTERS * LETTERS * LETTERS; text++) {
            char bytes[80];
            unsigned rest = text;

            memset(bytes, 'b', sizeof bytes);
            bytes[before % 7] = ';';
            for (size_t i = 0; i < SIZE; i++, rest /= LETTERS)
                bytes[before + i] = alphabet[rest % LETTERS];
            check(bytes, before + SIZE + text % 3, &shapes[text % 2 ? 0 : 8], 9);
        }
    }
}

/* More columns in a line, and more lines, than are listed at once. */
static void test_large(void **state)
{
    const size_t size = ARENA / 2;
    char *text = malloc(size);

    (void)state;
    assert_non_null(text);
    for (size_t shape = 0; shape < SHAPES; shape++) {
        memset(text, ';', size);
        check(text, size, &shapes[shape], 10);
        memcpy(text + 10000, "\na;b;c;d\n", 9);
        check(text, size, &shapes[shape], 10);
        memset(text, 'y', size);
        memcpy(text + 20000, "\n\"a;b\";c;d\n", 11);
        check(text, size, &shapes[shape], 10);
        memset(text, '\n', size);
        check(text, 5000, &shapes[shape], 10);
        for (size_t i = 0; i < size; i += 4)
            memcpy(text + i, "a;b\n", 4);
        for (size_t capacity = 1; capacity < 1400; capacity += capacity < 4 ? 1 : 97)
            check(text, 8000, &shapes[shape], capacity);
    }
    tq_slice rest = {text, size}, *fields[1] = {(tq_slice *)(void *)fields_arena};
    tq_columns columns = {.delimiter = ';', .n = 1};
    assert_int_equal(tqi_cut_fields(lister, &rest, &columns, fields, 1024), 1024);
    free(text);
}

static void test_choice(void **state)
{
    size_t n;
    const tqi_lister *all = tqi_listers(&n), *best = tqi_lister_best();
    tq_slice text = slice_of("a;1\nb;2"), keys[4], values[4], *fields[] = {keys, values};
    tq_columns columns = {';', false, 2, {0, 1}};

    (void)state;
    assert_true(all[0].supported() && best->supported());
    for (const tqi_lister *better = best + 1; better < all + n; better++)
        assert_false(better->supported());
    assert_int_equal(tq_next_fields(&text, &columns, fields, 4), 2);
    assert_true(slice_equal(keys[1], slice_of("b")) && slice_equal(values[0], slice_of("1")));
    assert_int_equal(tq_next_fields(&(tq_slice){NULL, 0}, &columns, fields, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),    cmocka_unit_test(test_random_quotes), cmocka_unit_test(test_good_quotes),
        cmocka_unit_test(test_all_short), cmocka_unit_test(test_block_edges),   cmocka_unit_test(test_large),
    };
    const struct CMUnitTest once[] = {cmocka_unit_test(test_one_line), cmocka_unit_test(test_line_at),
                                      cmocka_unit_test(test_choice)};
    size_t n;
    const tqi_lister *all = tqi_listers(&n);
    int failed = cmocka_run_group_tests_name("one", once, NULL, NULL);

    arena = fenced_new(ARENA);
    fields_arena = fenced_new(ARENA);
    for (lister = all; lister < all + n; lister++) {
        if (lister->supported())
            failed += cmocka_run_group_tests_name(lister->name, tests, NULL, NULL);
        else
            print_message("[ no CPU ] %s\n", lister->name);
    }
    return failed;
}
