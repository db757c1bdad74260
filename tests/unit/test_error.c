/* Error records: what they hold, and how they read. */
#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_text(const tq_error *error, const char *expected)
{
    char text[2048];

    assert_ptr_equal(tq_error_text(error, text, sizeof text), text);
    assert_string_equal(text, expected);
}

static void test_status_names_are_distinct(void **state)
{
    (void)state;
    for (int a = 0; a <= TQ_E_STATE; a++) {
        assert_non_null(tq_status_name((tq_status)a));
        assert_true(tq_status_name((tq_status)a)[0]);
        for (int b = 0; b < a; b++)
            assert_string_not_equal(tq_status_name((tq_status)a), tq_status_name((tq_status)b));
    }
    assert_string_equal(tq_status_name(TQ_E_INPUT), "input error");
    assert_non_null(tq_status_name((tq_status)99));
    assert_non_null(tq_status_name((tq_status)-1));
}

/* A status is the command's exit code: the numbers stay. */
static void test_status_numbers(void **state)
{
    (void)state;
    assert_int_equal(TQ_OK, 0);
    assert_int_equal(TQ_E_INTERNAL, 1);
    assert_int_equal(TQ_E_USAGE, 2);
    assert_int_equal(TQ_E_INPUT, 3);
    assert_int_equal(TQ_E_OUTPUT, 4);
    assert_int_equal(TQ_E_MEMORY, 5);
    assert_int_equal(TQ_E_USER, 6);
    assert_int_equal(TQ_E_ACCOUNT, 7);
    assert_int_equal(TQ_E_MPI, 8);
    assert_int_equal(TQ_E_RANK_LOST, 9);
    assert_int_equal(TQ_E_CANCELLED, 10);
    assert_int_equal(TQ_E_TMPDIR, 11);
    assert_int_equal(TQ_E_SYSTEM, 12);
    assert_int_equal(TQ_E_TIMEOUT, 13);
    assert_int_equal(TQ_E_AGAIN, 14);
    assert_int_equal(TQ_E_STATE, 15);
}

static void test_clear(void **state)
{
    tq_error error;

    (void)state;
    memset(&error, 0x5a, sizeof error);
    tqi_error_clear(&error);
    assert_int_equal(error.status, TQ_OK);
    assert_int_equal(error.rank, -1);
    assert_false(error.has_offset);
    assert_string_equal(error.phase, "");
    assert_string_equal(error.file, "");
    assert_string_equal(error.message, "");
    assert_text(&error, "ok");
}

static void test_fields(void **state)
{
    tq_error error;

    (void)state;
    memset(&error, 0x5a, sizeof error);
    assert_int_equal(tqi_fail(&error, TQ_E_USAGE, "%d of %s", 3, "four"), TQ_E_USAGE);
    assert_int_equal(error.status, TQ_E_USAGE);
    assert_int_equal(error.rank, -1);
    assert_false(error.has_offset);
    assert_text(&error, "3 of four");

    memset(&error, 0x5a, sizeof error);
    assert_int_equal(tqi_fail_at(&error, TQ_E_INPUT, "notes.txt", 4096, "Permission denied"), TQ_E_INPUT);
    assert_true(error.has_offset);
    assert_int_equal(error.offset, 4096);
    assert_text(&error, "notes.txt at byte 4096: Permission denied");
    error.rank = 2;
    strcpy(error.phase, "map");
    assert_text(&error, "rank 2: map: notes.txt at byte 4096: Permission denied");
    error.rank = 0;
    error.offset = UINT64_MAX;
    assert_text(&error, "rank 0: map: notes.txt at byte 18446744073709551615: Permission denied");

    assert_int_equal(tqi_fail_at(&error, TQ_E_INPUT, NULL, 7, "gone"), TQ_E_INPUT);
    assert_string_equal(error.file, "");
    assert_int_equal(error.rank, -1);
    assert_text(&error, "gone");

    assert_int_equal(tqi_fail_file(&error, TQ_E_OUTPUT, "out", "No space left on device"), TQ_E_OUTPUT);
    assert_false(error.has_offset);
    assert_text(&error, "out: No space left on device");
}

static void test_memory(void **state)
{
    tq_error error;

    (void)state;
    assert_int_equal(tqi_fail_memory(&error, 1234, "the list of files"), TQ_E_MEMORY);
    assert_non_null(strstr(error.message, "out of memory"));
    assert_non_null(strstr(error.message, "1234"));
    assert_non_null(strstr(error.message, "the list of files"));
}

static void test_null_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(tqi_fail(NULL, TQ_E_USAGE, "%d", 3), TQ_E_USAGE);
    assert_int_equal(tqi_fail_at(NULL, TQ_E_INPUT, "a", 4096, "b"), TQ_E_INPUT);
    assert_int_equal(tqi_fail_file(NULL, TQ_E_OUTPUT, "a", "b"), TQ_E_OUTPUT);
    assert_int_equal(tqi_fail_memory(NULL, 1, "b"), TQ_E_MEMORY);
}

static void test_empty_message_names_the_status(void **state)
{
    tq_error error;

    (void)state;
    tqi_error_clear(&error);
    error.status = TQ_E_RANK_LOST;
    error.rank = 12;
    assert_text(&error, "rank 12: rank lost");
}

/* A path that is too long keeps its end. Every length around the room that there is. */
static void test_long_paths(void **state)
{
    tq_error error;
    const size_t room = sizeof error.file - 1;

    (void)state;
    for (size_t size = room - 2; size < room + 5; size++) {
        char *path = malloc(size + 1);
        assert_non_null(path);
        for (size_t i = 0; i < size; i++)
            path[i] = (char)('a' + i % 26);
        path[size] = 0;
        memset(&error, 0x5a, sizeof error);
        tqi_fail_file(&error, TQ_E_INPUT, path, "x");
        if (size <= room) {
            assert_string_equal(error.file, path);
        } else {
            assert_int_equal(strlen(error.file), room);
            assert_memory_equal(error.file, "...", 3);
            assert_string_equal(error.file + 3, path + size - (room - 3));
        }
        assert_string_equal(error.message, "x");
        free(path);
    }
}

static void test_long_message_is_cut(void **state)
{
    tq_error error;
    char message[2000];

    (void)state;
    memset(message, 'm', sizeof message - 1);
    message[sizeof message - 1] = 0;
    tqi_fail(&error, TQ_E_USER, "%s", message);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

/* Everything as long as it can be, into every size of text: always a NUL, never a byte more. */
static void test_text_of_every_size(void **state)
{
    tq_error error;
    char path[2000], whole[4096];

    (void)state;
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = 0;
    tqi_fail_at(&error, TQ_E_INPUT, path, UINT64_MAX, "%s", path);
    error.rank = 2147483647;
    strcpy(error.phase, "123456789012345");
    tq_error_text(&error, whole, sizeof whole);
    assert_memory_equal(whole, "rank 2147483647: 123456789012345: ...ppp", 40);
    assert_true(strlen(whole) > sizeof error.file + sizeof error.message);
    for (size_t size = 0; size < strlen(whole) + 3; size++) {
        char *text = malloc(size + 1);
        assert_non_null(text);
        memset(text, '#', size + 1);
        assert_ptr_equal(tq_error_text(&error, text, size), text);
        assert_int_equal(text[size], '#');
        if (size > 0) {
            size_t kept = strlen(whole) < size ? strlen(whole) : size - 1;
            assert_int_equal(strlen(text), kept);
            assert_memory_equal(text, whole, kept);
        }
        free(text);
    }
}

static void test_version(void **state)
{
    (void)state;
    assert_non_null(strchr(tq_version(), '.'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_names_are_distinct),
        cmocka_unit_test(test_status_numbers),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_null_is_allowed),
        cmocka_unit_test(test_empty_message_names_the_status),
        cmocka_unit_test(test_long_paths),
        cmocka_unit_test(test_long_message_is_cut),
        cmocka_unit_test(test_text_of_every_size),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
