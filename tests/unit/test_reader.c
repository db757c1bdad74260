/* Whole records from byte ranges: the bytes [f(begin), f(end)), whatever the ranges are. */
#include "node/reader.h"

#include "common/key.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

/* A file that was written, and what is in it. */
typedef struct sample {
    char *folder;
    char *text;
    tqi_file file;
} sample;

static void sample_open(sample *one, const char *text, size_t size)
{
    one->folder = folder_new();
    one->text = malloc(size ? size : 1);
    assert_non_null(one->text);
    memcpy(one->text, text, size);
    one->file = (tqi_file){.path = path_in(one->folder, "file"), .size = size};
    file_write(one->file.path, text, size);
}

static void sample_close(sample *one)
{
    free(one->file.path);
    free(one->text);
    folder_remove(one->folder);
}

static bool ends_record(tq_records records, char byte)
{
    return byte == '\n' || (records == TQ_WORDS && (byte == ' ' || (byte >= '\t' && byte <= '\r')));
}

static size_t f(const sample *one, tq_records records, size_t at)
{
    if (at == 0)
        return 0;
    while (at < one->file.size && !ends_record(records, one->text[at - 1]))
        at++;
    return at;
}

/* Returns how many bytes the range's records have. */
static size_t check_range(tqi_reader *reader, const sample *one, tq_records records, size_t begin, size_t end)
{
    tq_record chunk = {0};
    tq_error error;
    size_t first = f(one, records, begin), stop = f(one, records, end);

    assert_int_equal(tqi_reader_chunk(reader, &one->file, records, begin, end, &chunk, &error), TQ_OK);
    assert_int_equal(chunk.size, stop - first);
    assert_non_null(chunk.data);
    assert_string_equal(chunk.file, one->file.path);
    if (chunk.size > 0) {
        assert_int_equal(chunk.offset, first);
        assert_memory_equal(chunk.data, one->text + first, chunk.size);
        volatile char readable = 0; /* for the sanitizer */
        for (size_t i = 0; i < TQI_KEY_SLACK; i++)
            readable = chunk.data[chunk.size + i];
        (void)readable;
    }
    return chunk.size;
}

static void check_split_size(tqi_reader *reader, const sample *one, tq_records records, size_t split)
{
    size_t size = one->file.size, total = 0;

    for (size_t begin = 0; begin < size; begin += split)
        total += check_range(reader, one, records, begin, size - begin < split ? size : begin + split);
    assert_int_equal(total, size);
}

static void random_file(sample *one, size_t size, uint64_t *random)
{
    char *text = malloc(size + 1);
    size_t letters = 2 + random_below(random, 60);

    assert_non_null(text);
    for (size_t i = 0; i < size; i++) {
        uint64_t which = random_below(random, letters);
        text[i] = which == 0 ? '\n' : which == 1 ? " \t\v\f\r"[random_below(random, 5)] : (char)('a' + which % 26);
    }
    sample_open(one, text, size);
    free(text);
}

static void test_every_split_size(void **state)
{
    uint64_t random = 61;

    (void)state;
    for (int round = 0; round < 60; round++) {
        sample one;
        tqi_budget budget = {0};
        tqi_reader reader;
        random_file(&one, 1 + random_below(&random, 300), &random);
        tqi_reader_init(&reader, &budget, 0);
        for (size_t split = 1; split <= one.file.size + 1; split++) {
            check_split_size(&reader, &one, TQ_LINES, split);
            check_split_size(&reader, &one, TQ_WORDS, split);
        }
        tqi_reader_free(&reader);
        assert_int_equal(budget.used, 0);
        sample_close(&one);
    }
}

/* Records of one length: those that begin in a range. */
static void test_fixed_records(void **state)
{
    uint64_t random = 63;

    (void)state;
    for (size_t bytes = 1; bytes < 400; bytes += 1 + bytes / 3) {
        sample one;
        tqi_reader reader;
        tq_record chunk;
        tq_error error;
        random_file(&one, bytes * (1 + random_below(&random, 50)), &random);
        tqi_reader_init(&reader, NULL, bytes);
        for (size_t split = 1; split <= one.file.size + 1; split += 1 + split / 7) {
            size_t total = 0;

            for (size_t begin = 0; begin < one.file.size; begin += split) {
                size_t end = one.file.size - begin < split ? one.file.size : begin + split;
                assert_int_equal(
                    tqi_reader_chunk(&reader, &one.file, TQ_FIXED_RECORDS, begin, end, &chunk, &error), TQ_OK);
                if (chunk.size > 0)
                    assert_int_equal(chunk.offset, total);
                assert_int_equal(chunk.size % bytes, 0);
                assert_memory_equal(chunk.data, one.text + total, chunk.size);
                total += chunk.size;
            }
            assert_int_equal(total, one.file.size);
        }
        tqi_reader_free(&reader);
        sample_close(&one);
    }
}

/* No delimiter, only delimiters, one at either end. */
static void test_extreme_files(void **state)
{
    static const char *const texts[] = {
        "x",        "\n",        "no delimiter at all?", "\n\n\n\n\n", "a\n", "\na", "\na\n", "a\nb", "   ", " x", "x ",
        "\r\n\r\n", "a\r\nb\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        sample one;
        tqi_reader reader;
        sample_open(&one, texts[i], strlen(texts[i]));
        tqi_reader_init(&reader, NULL, 0);
        for (size_t split = 1; split <= one.file.size; split++) {
            check_split_size(&reader, &one, TQ_LINES, split);
            check_split_size(&reader, &one, TQ_WORDS, split);
        }
        tqi_reader_free(&reader);
        sample_close(&one);
    }
}

/* Ranges in no order, of a file of many windows, and of several files in turn. */
static void test_ranges_in_any_order(void **state)
{
    uint64_t random = 62;
    sample files[3];
    tqi_reader reader;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        random_file(&files[i], 700000 + i * 333333, &random);
    tqi_reader_init(&reader, NULL, 0);
    for (int round = 0; round < 600; round++) {
        const sample *one = &files[random_below(&random, 3)];
        size_t size = one->file.size, begin = random_below(&random, size);
        size_t most = round % 4 ? 5000 : size, end = begin + 1 + random_below(&random, most);
        if (round % 7 == 0)
            begin = begin & ~(size_t)4095, end = (end + 4095) & ~(size_t)4095;
        check_range(&reader, one, round % 2 ? TQ_LINES : TQ_WORDS, begin, end < size ? end : size);
    }
    tqi_reader_free(&reader);
    for (size_t i = 0; i < 3; i++)
        sample_close(&files[i]);
}

/* Records longer than a window, several windows long, at the beginning, in the middle and at the end. */
static void test_long_records(void **state)
{
    static const size_t lengths[] = {300000, 5, 1, 262143, 262144, 262145, 9, 900000, 4095, 4096, 4097, 1200000};
    static const size_t splits[] = {30000, 65536, 100000, 262144, 262145, 1000000, 5000000};
    size_t size = 0;

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        size += lengths[i] + 1;
    char *text = malloc(size), *at = text;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        memset(at, (int)('a' + i), lengths[i]);
        at += lengths[i];
        *at++ = '\n';
    }
    for (int ended = 0; ended < 2; ended++) {
        sample one;
        tqi_reader reader;
        tqi_budget budget = {0};
        sample_open(&one, text, size - (ended ? 0 : 1));
        tqi_reader_init(&reader, &budget, 0);
        for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
            check_split_size(&reader, &one, TQ_LINES, splits[i]);
            check_split_size(&reader, &one, TQ_WORDS, splits[i]);
        }
        tqi_reader_free(&reader);
        assert_int_equal(budget.used, 0);
        sample_close(&one);
    }
    free(text);
}

/* Where windows and pages end, a delimiter on either side. */
static void test_delimiters_at_window_edges(void **state)
{
    static const size_t edges[] = {4096, 8192, 262144, 266240};

    (void)state;
    for (size_t e = 0; e < sizeof edges / sizeof edges[0]; e++) {
        for (size_t at = edges[e] - 2; at <= edges[e] + 1; at++) {
            sample one;
            tqi_reader reader;
            size_t size = 300000;
            char *text = malloc(size);
            assert_non_null(text);
            memset(text, 'x', size);
            text[at] = '\n';
            sample_open(&one, text, size);
            free(text);
            tqi_reader_init(&reader, NULL, 0);
            for (size_t begin = edges[e] - 3; begin <= edges[e] + 3; begin++) {
                check_range(&reader, &one, TQ_LINES, 0, begin);
                check_range(&reader, &one, TQ_LINES, begin, begin + 1);
                check_range(&reader, &one, TQ_LINES, begin, size);
            }
            tqi_reader_free(&reader);
            sample_close(&one);
        }
    }
}

/* The table says more than there is: noticed, with the place where the file ends now. */
static void test_shrunken_file(void **state)
{
    sample one;
    tqi_reader reader;
    uint64_t random = 63;

    (void)state;
    random_file(&one, 1000000, &random);
    for (size_t left = 0; left < 1000000; left += 249999) {
        tq_record chunk = {0};
        tq_error error;
        file_write(one.file.path, one.text, left);
        tqi_reader_init(&reader, NULL, 0);
        assert_int_equal(tqi_reader_chunk(&reader, &one.file, TQ_LINES, 900000, 1000000, &chunk, &error), TQ_E_INPUT);
        assert_int_equal(error.status, TQ_E_INPUT);
        assert_string_equal(error.file, one.file.path);
        assert_true(error.has_offset && error.offset >= left && error.offset <= 1000000);
        assert_int_equal(tqi_reader_chunk(&reader, &one.file, TQ_LINES, 0, 1000000, &chunk, &error), TQ_E_INPUT);
        assert_true(error.has_offset);
        assert_int_equal(error.offset, left);
        tqi_reader_free(&reader);
    }
    sample_close(&one);
}

static void test_missing_file(void **state)
{
    sample one;
    tqi_reader reader;
    tq_record chunk = {0};
    tq_error error;

    (void)state;
    sample_open(&one, "a\nb\n", 4);
    tqi_file missing = {.path = path_in(one.folder, "missing"), .size = 10};
    tqi_reader_init(&reader, NULL, 0);
    check_range(&reader, &one, TQ_LINES, 0, 4);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(tqi_reader_chunk(&reader, &missing, TQ_LINES, 0, 10, &chunk, &error), TQ_E_INPUT);
        assert_string_equal(error.file, missing.path);
        assert_string_equal(error.message, "No such file or directory");
        check_range(&reader, &one, TQ_LINES, 0, 4);
    }
    tqi_reader_free(&reader);
    free(missing.path);
    sample_close(&one);
}

/* A folder can be opened, but not read. */
static void test_unreadable(void **state)
{
    sample one;
    tqi_reader reader;
    tq_record chunk = {0};
    tq_error error;

    (void)state;
    sample_open(&one, "a\n", 2);
    tqi_file folder = {.path = one.folder, .size = 10};
    tqi_reader_init(&reader, NULL, 0);
    assert_int_equal(tqi_reader_chunk(&reader, &folder, TQ_LINES, 0, 10, &chunk, &error), TQ_E_INPUT);
    assert_string_equal(error.file, one.folder);
    tqi_reader_free(&reader);
    sample_close(&one);
}

/* A piece is read whatever the budget says; a record that is longer must fit. */
static void test_budget(void **state)
{
    tqi_budget budget = {.limit = 600000};
    sample one;
    tqi_reader reader;
    tq_record chunk = {0};
    tq_error error;
    size_t size = 2000000;
    char *text = malloc(size);

    (void)state;
    assert_non_null(text);
    memset(text, 'x', size);
    text[99] = '\n';
    sample_open(&one, text, size);
    free(text);
    tqi_reader_init(&reader, &budget, 0);
    check_range(&reader, &one, TQ_LINES, 0, 50);
    assert_int_equal(tqi_reader_chunk(&reader, &one.file, TQ_LINES, 100, 200, &chunk, &error), TQ_E_MEMORY);
    assert_int_equal(error.status, TQ_E_MEMORY);
    assert_string_equal(error.file, one.file.path);
    assert_true(budget.used <= TQI_PIECE_BYTES + 5 * 4096);
    check_range(&reader, &one, TQ_LINES, 0, 50);
    check_range(&reader, &one, TQ_LINES, 200, 300);
    tqi_reader_free(&reader);
    assert_int_equal(budget.used, 0);
    sample_close(&one);
}

static void test_find_delimiters(void **state)
{
    static const char text[] = "ab cd\nef\tgh";

    (void)state;
    assert_ptr_equal(tqi_find_delimiter(TQ_LINES, text, 11), text + 5);
    assert_ptr_equal(tqi_find_delimiter(TQ_WORDS, text, 11), text + 2);
    assert_ptr_equal(tqi_find_last_delimiter(TQ_LINES, text, 11), text + 5);
    assert_ptr_equal(tqi_find_last_delimiter(TQ_WORDS, text, 11), text + 8);
    assert_null(tqi_find_delimiter(TQ_LINES, text, 5));
    assert_null(tqi_find_delimiter(TQ_WORDS, text, 2));
    assert_null(tqi_find_last_delimiter(TQ_LINES, text, 5));
    assert_null(tqi_find_last_delimiter(TQ_WORDS, text, 2));
    assert_ptr_equal(tqi_find_last_delimiter(TQ_WORDS, text + 2, 1), text + 2);
    assert_null(tqi_find_delimiter(TQ_WORDS, NULL, 0));
    assert_null(tqi_find_last_delimiter(TQ_LINES, NULL, 0));
    for (int byte = 0; byte < 256; byte++) {
        assert_int_equal(tqi_is_delimiter(TQ_LINES, (char)byte), byte == '\n');
        assert_int_equal(tqi_is_delimiter(TQ_WORDS, (char)byte), ends_record(TQ_WORDS, (char)byte));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split_size),
        cmocka_unit_test(test_fixed_records),
        cmocka_unit_test(test_extreme_files),
        cmocka_unit_test(test_ranges_in_any_order),
        cmocka_unit_test(test_long_records),
        cmocka_unit_test(test_delimiters_at_window_edges),
        cmocka_unit_test(test_shrunken_file),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_find_delimiters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
