/* Rows as text: the expected lines were made by a program in Python (bytes.decode with surrogateescape, json). */
#include "node/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static const struct {
    tq_slice bytes, text, json;
} known[] = {
    {{"", 0}, {"", 0}, {"\"\"", 2}},
    {{"a", 1}, {"a", 1}, {"\"a\"", 3}},
    {{"the", 3}, {"the", 3}, {"\"the\"", 5}},
    {{"tab\x09here", 8}, {"tab\\there", 9}, {"\"tab\\there\"", 11}},
    {{"line\x0a"
      "break",
      10},
     {"line\\nbreak", 11},
     {"\"line\\nbreak\"", 13}},
    {{"back\\slash", 10}, {"back\\\\slash", 11}, {"\"back\\\\slash\"", 13}},
    {{"\\t", 2}, {"\\\\t", 3}, {"\"\\\\t\"", 5}},
    {{"quote\"", 6}, {"quote\"", 6}, {"\"quote\\\"\"", 9}},
    {{"/", 1}, {"/", 1}, {"\"/\"", 3}},
    {{"'", 1}, {"'", 1}, {"\"'\"", 3}},
    {{"\x0d\x08\x0c\x0b", 4}, {"\x0d\x08\x0c\x0b", 4}, {"\"\\r\\b\\f\\u000b\"", 14}},
    {{"\x00", 1}, {"\x00", 1}, {"\"\\u0000\"", 8}},
    {{"a\x00"
      "b",
      3},
     {"a\x00"
      "b",
      3},
     {"\"a\\u0000b\"", 10}},
    {{"\x7f", 1}, {"\x7f", 1}, {"\"\\u007f\"", 8}},
    {{"\x1f", 1}, {"\x1f", 1}, {"\"\\u001f\"", 8}},
    {{"caf\xc3\xa9", 5}, {"caf\xc3\xa9", 5}, {"\"caf\xc3\xa9\"", 7}},
    {{"caf\xe9", 4}, {"caf\xe9", 4}, {"\"caf\\udce9\"", 11}},
    {{"\xff\xfe", 2}, {"\xff\xfe", 2}, {"\"\\udcff\\udcfe\"", 14}},
    {{"\xe2\x82\xac", 3}, {"\xe2\x82\xac", 3}, {"\"\xe2\x82\xac\"", 5}},
    {{"\xe2\x82", 2}, {"\xe2\x82", 2}, {"\"\\udce2\\udc82\"", 14}},
    {{"\xf0\x9f\x98\x80", 4}, {"\xf0\x9f\x98\x80", 4}, {"\"\xf0\x9f\x98\x80\"", 6}},
    {{"\xf0\x9f\x98", 3}, {"\xf0\x9f\x98", 3}, {"\"\\udcf0\\udc9f\\udc98\"", 20}},
    {{"\xed\xb2\x80", 3}, {"\xed\xb2\x80", 3}, {"\"\\udced\\udcb2\\udc80\"", 20}},
    {{"\xed\xa0\x80", 3}, {"\xed\xa0\x80", 3}, {"\"\\udced\\udca0\\udc80\"", 20}},
    {{"\xc0\x80", 2}, {"\xc0\x80", 2}, {"\"\\udcc0\\udc80\"", 14}},
    {{"\xe0\x80\x80", 3}, {"\xe0\x80\x80", 3}, {"\"\\udce0\\udc80\\udc80\"", 20}},
    {{"\xf4\x90\x80\x80", 4}, {"\xf4\x90\x80\x80", 4}, {"\"\\udcf4\\udc90\\udc80\\udc80\"", 26}},
    {{"\xf5", 1}, {"\xf5", 1}, {"\"\\udcf5\"", 8}},
    {{"\xc3\xa9\xa9\xc3", 4}, {"\xc3\xa9\xa9\xc3", 4}, {"\"\xc3\xa9\\udca9\\udcc3\"", 16}},
    {{"\x80", 1}, {"\x80", 1}, {"\"\\udc80\"", 8}},
    {{"0123456789abcdefghij", 20}, {"0123456789abcdefghij", 20}, {"\"0123456789abcdefghij\"", 22}},
    {{"\xc2\x80", 2}, {"\xc2\x80", 2}, {"\"\xc2\x80\"", 4}},
    {{"\xef\xbf\xbf", 3}, {"\xef\xbf\xbf", 3}, {"\"\xef\xbf\xbf\"", 5}},
    {{"\xef\xbb\xbfx", 4}, {"\xef\xbb\xbfx", 4}, {"\"\xef\xbb\xbfx\"", 6}},
    {{"\xe2\x80\xa8", 3}, {"\xe2\x80\xa8", 3}, {"\"\xe2\x80\xa8\"", 5}},
};
enum { KNOWN = sizeof known / sizeof known[0] };

static const tqi_format text_format = {.format = TQ_TEXT}, raw_format = {.format = TQ_TEXT, .raw = true};
static const tqi_format json_format = {.format = TQ_JSON, .key_name = "key", .value_name = "value"};

/* Format one row, and give its line, which is valid until the next call. */
static tq_slice line_of(const tqi_format *format, int type, tq_slice key, int64_t number, tq_slice value)
{
    static char line[8192];
    tqi_value_shape shape = {type, value.size};
    tqi_budget budget = {0};
    tqi_rows rows;
    tqi_text text = {.budget = &budget};

    tqi_rows_init(&rows, NULL);
    assert_int_equal(tqi_rows_append(&rows, &shape, key, number, value), TQ_OK);
    assert_int_equal(tqi_format_rows(format, &shape, rows.entries, 1, &text), TQ_OK);
    assert_true(text.size < sizeof line);
    memcpy(line, text.data, text.size);
    size_t size = text.size;
    tqi_text_free(&text);
    tqi_rows_free(&rows);
    assert_int_equal(budget.used, 0);
    return (tq_slice){line, size};
}

/* What of a row is shown. */
static void test_columns(void **state)
{
    static const char *const texts[] = {"k\\t\tv\\n\n", "k\\t\n", "v\\n\n", "v\n", "k\tv\n",
                                        "k\tv\n\n"};
    static const char *const objects[] = {"{\"key\":\"k\\t\",\"value\":\"v\\n\"}\n", "{\"key\":\"k\\t\"}\n",
                                          "{\"value\":\"v\\n\"}\n", "{\"value\":\"v\\n\"}\n",
                                          "{\"key\":\"k\\tv\\n\"}\n", "{\"key\":\"k\\tv\\n\"}\n"};

    (void)state;
    for (int columns = TQ_ROW_PAIR; columns <= TQ_ROW_LINE; columns++) {
        tqi_format text = text_format, json = json_format;

        text.columns = json.columns = (tq_row_text)columns;
        tq_slice line = line_of(&text, TQ_BYTES, (tq_slice){"k\t", 2}, 0, (tq_slice){"v\n", 2});
        assert_int_equal(line.size, strlen(texts[columns]));
        assert_memory_equal(line.data, texts[columns], line.size);
        line = line_of(&json, TQ_BYTES, (tq_slice){"k\t", 2}, 0, (tq_slice){"v\n", 2});
        assert_int_equal(line.size, strlen(objects[columns]));
        assert_memory_equal(line.data, objects[columns], line.size);
    }
}

/* The parts one behind the other, up to one without data. */
static void assert_line(tq_slice line, const tq_slice *parts)
{
    size_t at = 0;

    for (; parts->data; parts++) {
        assert_true(line.size - at >= parts->size);
        assert_memory_equal(line.data + at, parts->data, parts->size);
        at += parts->size;
    }
    assert_int_equal(at, line.size);
}

#define TEXT(literal)                                                                                                  \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }
#define END                                                                                                            \
    {                                                                                                                  \
        NULL, 0                                                                                                        \
    }

static void test_known_rows(void **state)
{
    const tq_slice none = {NULL, 0};

    (void)state;
    for (size_t i = 0; i < KNOWN; i++) {
        tq_slice bytes = known[i].bytes, text = known[i].text, json = known[i].json;
        assert_line(line_of(&text_format, TQ_I64, bytes, -42, none), (tq_slice[]){text, TEXT("\t-42\n"), END});
        assert_line(line_of(&raw_format, TQ_I64, bytes, 42, none), (tq_slice[]){bytes, TEXT("\t42\n"), END});
        assert_line(line_of(&json_format, TQ_I64, bytes, 7, none),
                    (tq_slice[]){TEXT("{\"key\":"), json, TEXT(",\"value\":7}\n"), END});
        for (int type = TQ_FIXED; type <= TQ_BYTES; type++) {
            assert_line(line_of(&text_format, type, bytes, 0, bytes),
                        (tq_slice[]){text, TEXT("\t"), text, TEXT("\n"), END});
            assert_line(line_of(&raw_format, type, bytes, 0, bytes),
                        (tq_slice[]){bytes, TEXT("\t"), bytes, TEXT("\n"), END});
            assert_line(line_of(&json_format, type, bytes, 0, bytes),
                        (tq_slice[]){TEXT("{\"key\":"), json, TEXT(",\"value\":"), json, TEXT("}\n"), END});
        }
    }
}

static void test_numbers(void **state)
{
    static const struct {
        int64_t number;
        const char *line;
    } numbers[] = {{0, "k\t0\n"},
                   {1, "k\t1\n"},
                   {-1, "k\t-1\n"},
                   {10, "k\t10\n"},
                   {INT64_MAX, "k\t9223372036854775807\n"},
                   {INT64_MIN, "k\t-9223372036854775808\n"}};
    uint64_t random = 131;

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_true(slice_equal(line_of(&text_format, TQ_I64, slice_of("k"), numbers[i].number, (tq_slice){NULL, 0}),
                                slice_of(numbers[i].line)));
    for (int i = 0; i < 2000; i++) {
        char expected[64];
        int64_t number = (int64_t)random_next(&random) >> i % 64;
        sprintf(expected, "{\"key\":\"k\",\"value\":%lld}\n", (long long)number);
        assert_true(
            slice_equal(line_of(&json_format, TQ_I64, slice_of("k"), number, (tq_slice){NULL, 0}), slice_of(expected)));
    }
}

static void test_names(void **state)
{
    tqi_format format = {.format = TQ_JSON, .key_name = "a \"word\"\n", .value_name = ""};

    (void)state;
    tq_slice line = line_of(&format, TQ_I64, slice_of("k"), 1, (tq_slice){NULL, 0});
    assert_true(slice_equal(line, slice_of("{\"a \\\"word\\\"\\n\":\"k\",\"\":1}\n")));
}

/* The code point at the start of size bytes of UTF-8, or 0x110000. Worked out from what a code point may be, not from
 * what its bytes may be. */
static unsigned code_point(const unsigned char *at, size_t size, size_t *used)
{
    static const unsigned smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf8 ? 4 : 0;
    unsigned code = n == 1 ? at[0] : at[0] & (0xffU >> (n + 1));

    if (n == 0 || n > size)
        return 0x110000;
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0x110000;
        code = code << 6 | (at[i] & 0x3f);
    }
    *used = n;
    return code < smallest[n] || (code >= 0xd800 && code <= 0xdfff) ? 0x110000 : code;
}

/* A strict reader of a JSON string: back to the bytes. Returns how many characters of text it took. */
static size_t read_json_string(tq_slice text, char *bytes, size_t *size)
{
    static const char names[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    const unsigned char *start = (const unsigned char *)text.data, *at = start, *end = at + text.size;

    assert_true(at < end && *at++ == '"');
    for (*size = 0; assert_true(at < end), *at != '"';) {
        size_t used = 1;
        unsigned code = code_point(at, (size_t)(end - at), &used);
        assert_true(code >= ' ' && code < 0x110000); /* valid UTF-8, and no control character as it is */
        if (code != '\\') {
            memcpy(bytes + *size, at, used);
            *size += used;
            at += used;
            continue;
        }
        if (at[1] == 'u') {
            char digits[5] = {(char)at[2], (char)at[3], (char)at[4], (char)at[5], 0}, *digits_end;
            code = (unsigned)strtoul(digits, &digits_end, 16);
            assert_true(digits_end == digits + 4);
            assert_true(code < 0x80 || (code >= 0xdc80 && code <= 0xdcff));
            bytes[(*size)++] = (char)(code & 0xff);
            at += 6;
            continue;
        }
        const char *name = strchr(names, at[1]);
        assert_true(at[1] && name && (name - names) % 2 == 0);
        bytes[(*size)++] = name[1];
        at += 2;
    }
    return (size_t)(at + 1 - start);
}

static void assert_json_line(tq_slice line, tq_slice key)
{
    char back[200];
    size_t size;

    assert_memory_equal(line.data, "{\"key\":", 7);
    size_t used = read_json_string((tq_slice){line.data + 7, line.size - 7}, back, &size);
    assert_true(slice_equal((tq_slice){line.data + 7 + used, line.size - 7 - used}, slice_of(",\"value\":1}")));
    assert_true(slice_equal((tq_slice){back, size}, key));
}

static void assert_text_line(tq_slice line, tq_slice key)
{
    char back[200];
    size_t size = 0;

    for (size_t i = 0; i < line.size && line.data[i] != '\t'; i++) {
        char byte = line.data[i];
        if (byte == '\\') {
            byte = line.data[++i];
            assert_true(byte == 't' || byte == 'n' || byte == '\\');
            byte = byte == 't' ? '\t' : byte == 'n' ? '\n' : '\\';
        }
        back[size++] = byte;
    }
    assert_true(slice_equal((tq_slice){back, size}, key));
}

/* Format all rows, each of which has the value 1: one line a row, and the key comes back from it. */
static void assert_lossless(const tqi_rows *rows, const tqi_format *format, void (*assert_it)(tq_slice, tq_slice))
{
    tqi_value_shape shape = {TQ_I64, 0};
    tqi_text text = {0};

    assert_int_equal(tqi_format_rows(format, &shape, rows->entries, rows->n, &text), TQ_OK);
    const char *at = text.data, *end = text.data + text.size;
    for (size_t i = 0; i < rows->n; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(newline);
        assert_it((tq_slice){at, (size_t)(newline - at)}, tqi_entry_key(&rows->entries[i]));
        at = newline + 1;
    }
    assert_ptr_equal(at, end);
    tqi_text_free(&text);
}

/* All keys of one and two bytes, and longer ones of the bytes that matter: each comes back. */
static void test_lossless(void **state)
{
    static const char matter[] = "\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xf7\xff"
                                 "\x80\x8f\x90\x9f\xa0\xaf\xb0\xb2\xbf"
                                 "a\"\\\n\t\0\x1f\x7f";
    const tq_slice none = {NULL, 0};
    tqi_value_shape shape = {TQ_I64, 0};
    uint64_t random = 132;
    tqi_rows rows;
    char bytes[64];

    (void)state;
    tqi_rows_init(&rows, NULL);
    for (int pair = 0; pair < 65536; pair++) {
        bytes[0] = (char)(pair >> 8);
        bytes[1] = (char)pair;
        for (size_t size = 1; size <= 2; size++)
            assert_int_equal(tqi_rows_append(&rows, &shape, (tq_slice){bytes, size}, 1, none), TQ_OK);
    }
    for (int i = 0; i < 60000; i++) {
        size_t size = i % 2 ? 3 + random_below(&random, 2) : random_below(&random, sizeof bytes);
        random_text(&random, matter, sizeof matter - 1, bytes, size);
        assert_int_equal(tqi_rows_append(&rows, &shape, (tq_slice){bytes, size}, 1, none), TQ_OK);
    }
    assert_lossless(&rows, &json_format, assert_json_line);
    assert_lossless(&rows, &text_format, assert_text_line);
    tqi_rows_free(&rows);
}

/* Many rows, appended in several calls, with keys of any length: the text grows, and is one line a row. */
static void test_many_rows(void **state)
{
    tqi_value_shape shape = {TQ_BYTES, 0};
    tqi_budget budget = {0};
    tqi_text text = {.budget = &budget};
    tqi_rows rows;
    char *bytes = malloc(100000);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 1, 100000); /* six characters each in JSON */
    tqi_rows_init(&rows, NULL);
    for (size_t i = 0; i < 300; i++) {
        tq_slice key = {bytes, i == 200 ? 100000 : i}, value = {bytes, i == 100 ? 50000 : i % 10};
        assert_int_equal(tqi_rows_append(&rows, &shape, key, 0, value), TQ_OK);
    }
    for (size_t i = 0; i < 300; i += 50)
        assert_int_equal(tqi_format_rows(&json_format, &shape, rows.entries + i, 50, &text), TQ_OK);
    const char *at = text.data;
    for (size_t i = 0; i < 300; i++) {
        size_t n = rows.entries[i].size + tqi_entry_value(&shape, &rows.entries[i]).size;
        const char *newline = memchr(at, '\n', (size_t)(text.data + text.size - at));
        assert_non_null(newline);
        assert_int_equal(newline - at, sizeof "{\"key\":\"\",\"value\":\"\"}" - 1 + 6 * n);
        at = newline + 1;
    }
    assert_ptr_equal(at, text.data + text.size);
    assert_int_equal(budget.used, text.capacity);
    tqi_text_free(&text);
    tqi_text_free(&text);
    assert_int_equal(budget.used, 0);
    tqi_rows_free(&rows);
    free(bytes);
}

static void test_no_memory(void **state)
{
    tqi_value_shape shape = {TQ_I64, 0};
    tqi_budget budget = {.limit = 20000};
    tqi_text text = {.budget = &budget};
    tqi_rows rows;

    (void)state;
    tqi_rows_init(&rows, NULL);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(tqi_rows_append(&rows, &shape, slice_of("a key"), i, (tq_slice){NULL, 0}), TQ_OK);
    assert_int_equal(tqi_format_rows(&text_format, &shape, rows.entries, 3000, &text), TQ_E_MEMORY);
    assert_true(budget.used <= budget.limit);
    tqi_text_free(&text);
    assert_int_equal(budget.used, 0);
    tqi_rows_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_known_rows), cmocka_unit_test(test_numbers),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_lossless),   cmocka_unit_test(test_many_rows), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
