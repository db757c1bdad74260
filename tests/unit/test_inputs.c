/* Paths become a table of files, and files become splits. */
#include "node/inputs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

/* A folder with
 *   a.txt (3 bytes)  b.txt (empty)  c.log (10 bytes)  link -> a.txt  dangling -> nowhere  folder_link -> sub
 *   sub/B (1 byte)  sub/a (2 bytes)  sub/deep/z (4 bytes)  sub/.hidden (5 bytes)  sub/inner_link -> a
 *   sub/pipe (a FIFO) */
static int make_tree(void **state)
{
    static const struct {
        const char *name, *text;
    } files[] = {{"a.txt", "123"}, {"b.txt", ""},          {"c.log", "1234567890"}, {"sub/B", "1"},
                 {"sub/a", "12"},  {"sub/deep/z", "1234"}, {"sub/.hidden", "12345"}};
    static const char *const links[][2] = {
        {"a.txt", "link"}, {"nowhere", "dangling"}, {"sub", "folder_link"}, {"a", "sub/inner_link"}};
    char *folder = folder_new(), *path;

    assert_int_equal(mkdir(path = path_in(folder, "sub"), 0700), 0);
    free(path);
    assert_int_equal(mkdir(path = path_in(folder, "sub/deep"), 0700), 0);
    free(path);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        file_write(path = path_in(folder, files[i].name), files[i].text, strlen(files[i].text));
        free(path);
    }
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        assert_int_equal(symlink(links[i][0], path = path_in(folder, links[i][1])), 0);
        free(path);
    }
    assert_int_equal(mkfifo(path = path_in(folder, "sub/pipe"), 0600), 0);
    free(path);
    *state = folder;
    return 0;
}

static int remove_tree(void **state)
{
    folder_remove(*state);
    return 0;
}

/* Expand folder/name for each name ("-" as it is), and compare with the NULL-ended list of expected names. */
static void check(const char *folder, const char *const *names, bool recursive, const char *const *expected)
{
    const char *paths[8];
    char *made[8];
    size_t n = 0;
    tqi_inputs inputs;
    tq_error error;

    for (; names[n]; n++)
        paths[n] = made[n] = strcmp(names[n], "-") == 0 ? strdup("-") : path_in(folder, names[n]);
    tq_status status = tqi_inputs_expand(&inputs, paths, n, recursive, &error);
    assert_int_equal(status, TQ_OK);
    size_t i = 0;
    for (; expected[i]; i++) {
        char *path = strcmp(expected[i], "-") == 0 ? strdup("-") : path_in(folder, expected[i]);
        assert_true(i < inputs.n);
        assert_string_equal(inputs.files[i].path, path);
        free(path);
    }
    assert_int_equal(inputs.n, i);
    tqi_inputs_free(&inputs);
    assert_int_equal(inputs.n, 0);
    while (n > 0)
        free(made[--n]);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_files_in_the_order_given(void **state)
{
    check(*state, NAMES("c.log", "a.txt", "b.txt"), false, NAMES("c.log", "a.txt", "b.txt"));
    check(*state, NAMES("a.txt", "a.txt"), false, NAMES("a.txt", "a.txt"));
    check(*state, NAMES("-", "a.txt"), false, NAMES("-", "a.txt"));
    check(*state, NAMES("link"), false, NAMES("link"));
    check(*state, NAMES("sub/pipe"), false, NAMES("sub/pipe"));
}

/* Sorted by bytes; what is hidden is taken, links and pipes inside a folder are not. */
static void test_folders(void **state)
{
    check(*state, NAMES("sub"), true, NAMES("sub/.hidden", "sub/B", "sub/a", "sub/deep/z"));
    check(*state, NAMES("sub/"), true, NAMES("sub/.hidden", "sub/B", "sub/a", "sub/deep/z"));
    check(*state, NAMES("sub/deep", "a.txt"), true, NAMES("sub/deep/z", "a.txt"));
    check(*state, NAMES("folder_link"), true,
          NAMES("folder_link/.hidden", "folder_link/B", "folder_link/a", "folder_link/deep/z"));
    check(*state, NAMES("."), true,
          NAMES("./a.txt", "./b.txt", "./c.log", "./sub/.hidden", "./sub/B", "./sub/a", "./sub/deep/z"));
}

static void test_empty_folder(void **state)
{
    char *path = path_in(*state, "empty");

    assert_int_equal(mkdir(path, 0700), 0);
    check(*state, NAMES("empty"), true, (const char *const[]){NULL});
    assert_int_equal(rmdir(path), 0);
    free(path);
}

static void test_patterns(void **state)
{
    check(*state, NAMES("*.txt"), false, NAMES("a.txt", "b.txt"));
    check(*state, NAMES("[bc].*"), false, NAMES("b.txt", "c.log"));
    check(*state, NAMES("?.log", "sub/?"), false, NAMES("c.log", "sub/B", "sub/a"));
    check(*state, NAMES("su?"), true, NAMES("sub/.hidden", "sub/B", "sub/a", "sub/deep/z"));
    check(*state, NAMES("sub/*/z"), false, NAMES("sub/deep/z"));
}

/* A file whose name looks like a pattern is that file. */
static void test_name_like_a_pattern(void **state)
{
    char *path = path_in(*state, "[a].txt");

    file_write(path, "x", 1);
    check(*state, NAMES("[a].txt"), false, NAMES("[a].txt"));
    assert_int_equal(remove(path), 0);
    check(*state, NAMES("[a].txt"), false, NAMES("a.txt"));
    free(path);
}

static void check_fails(const char *folder, const char *name, bool recursive)
{
    char *path = folder ? path_in(folder, name) : strdup(name);
    char *good = folder ? path_in(folder, "a.txt") : strdup("-");
    const char *paths[] = {good, path};
    tqi_inputs inputs = {.splits = 77};
    tq_error error;

    assert_int_equal(tqi_inputs_expand(&inputs, paths, 2, recursive, &error), TQ_E_INPUT);
    assert_int_equal(error.status, TQ_E_INPUT);
    assert_string_equal(error.file, path);
    assert_true(error.message[0]);
    assert_int_equal(inputs.splits, 77); /* outputs are set on success only */
    free(path);
    free(good);
}

static void test_failures(void **state)
{
    check_fails(*state, "missing", false);
    check_fails(*state, "missing", true);
    check_fails(*state, "missing/more", false);
    check_fails(*state, "a.txt/more", false);
    check_fails(*state, "*.nothing", false);
    check_fails(*state, "dangling", false);
    check_fails(*state, "sub", false);
    check_fails(*state, "folder_link", false);
    check_fails(NULL, "", false);
}

static void test_unreadable_file(void **state)
{
    char *path = path_in(*state, "sub/secret");

    if (geteuid() == 0) { /* root reads everything */
        free(path);
        skip();
        return;
    }
    file_write(path, "x", 1);
    assert_int_equal(chmod(path, 0), 0);
    check_fails(*state, "sub/secret", false);
    const char *folder = *state;
    tqi_inputs inputs;
    tq_error error;
    assert_int_equal(tqi_inputs_expand(&inputs, &folder, 1, true, &error), TQ_E_INPUT);
    assert_int_equal(remove(path), 0);
    free(path);
}

/* A link to nowhere whose name is a pattern for itself: expanding it must end. In a process of its own, in case it does
 * not. */
static void test_dangling_link_like_a_pattern(void **state)
{
    char *path = path_in(*state, "odd*");
    int status = -1;

    assert_int_equal(symlink("nowhere", path), 0);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        const char *paths[] = {path};
        tqi_inputs inputs;
        tq_error error;
        setrlimit(RLIMIT_CORE, &none);
        if (!freopen("/dev/null", "w", stderr))
            _exit(99);
        _exit((int)tqi_inputs_expand(&inputs, paths, 1, false, &error));
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(remove(path), 0);
    free(path);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), TQ_E_INPUT);
}

static void test_sizes_and_streams(void **state)
{
    char *paths[] = {path_in(*state, "c.log"), path_in(*state, "sub/pipe"), path_in(*state, "b.txt"), strdup("-"),
                     strdup("/dev/null")};
    tqi_inputs inputs;
    tq_error error;
    struct stat info;

    assert_int_equal(tqi_inputs_expand(&inputs, (const char *const *)paths, 5, false, &error), TQ_OK);
    assert_int_equal(inputs.n, 5);
    assert_int_equal(inputs.bytes, 10);
    assert_true(inputs.streams);
    assert_int_equal(inputs.files[0].size, 10);
    assert_false(inputs.files[0].stream);
    assert_int_equal(stat(paths[0], &info), 0);
    assert_true(inputs.files[0].modified_ns == info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec);
    assert_true(inputs.files[1].stream && inputs.files[1].size == 0);
    assert_false(inputs.files[2].stream);
    assert_true(inputs.files[3].stream && inputs.files[3].size == 0);
    assert_true(inputs.files[4].stream && inputs.files[4].size == 0);
    tqi_inputs_free(&inputs);
    assert_int_equal(tqi_inputs_expand(&inputs, (const char *const *)paths, 1, false, &error), TQ_OK);
    assert_false(inputs.streams);
    tqi_inputs_free(&inputs);
    for (size_t i = 0; i < 5; i++)
        free(paths[i]);
}

static void test_same_here(void **state)
{
    const char *path = path_in(*state, "same");
    tqi_inputs inputs;
    tq_error error;

    file_write(path, "12345", 5);
    assert_int_equal(tqi_inputs_expand(&inputs, &path, 1, false, &error), TQ_OK);
    assert_true(tqi_file_same_here(&inputs.files[0]));
    inputs.files[0].size++;
    assert_false(tqi_file_same_here(&inputs.files[0]));
    inputs.files[0].size--;
    inputs.files[0].modified_ns++;
    assert_false(tqi_file_same_here(&inputs.files[0]));
    inputs.files[0].modified_ns--;
    assert_true(tqi_file_same_here(&inputs.files[0]));
    assert_int_equal(remove(path), 0);
    assert_false(tqi_file_same_here(&inputs.files[0]));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(tqi_file_same_here(&inputs.files[0]));
    assert_int_equal(rmdir(path), 0);
    tqi_inputs_free(&inputs);
    free((void *)(uintptr_t)path);
}

/* ---- Splits: no file is needed, the table says it all ---- */

enum { MOST_FILES = 20 };

static void check_splits(tqi_inputs *inputs, uint64_t split_bytes)
{
    uint64_t split = 0, work = 0;

    tqi_inputs_split(inputs, split_bytes, 4);
    assert_true(inputs->split_bytes > 0 && (split_bytes == 0 || inputs->split_bytes == split_bytes));
    for (size_t i = 0; i < inputs->n; i++) {
        uint64_t size = inputs->files[i].size, at = 0;
        assert_int_equal(inputs->files[i].first_split, split);
        while (at < size) {
            uint64_t begin = 77, end = 77, left = size - at;
            uint64_t before = tqi_inputs_work_before(inputs, split);
            assert_true(split == 0 ? before == 0 : before > work);
            work = before;
            assert_int_equal(tqi_inputs_locate(inputs, split++, &begin, &end), i);
            assert_int_equal(begin, at);
            assert_int_equal(end - begin, left < inputs->split_bytes ? left : inputs->split_bytes);
            at = end;
        }
    }
    assert_int_equal(inputs->splits, split);
}

static void test_splits(void **state)
{
    static const uint64_t sizes[] = {1, 2, 3, 7, 64, 99, 100, 4096, UINT64_MAX - 1, UINT64_MAX};
    uint64_t random = 71;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        tqi_file files[MOST_FILES] = {0};
        tqi_inputs inputs = {.files = files, .n = random_below(&random, MOST_FILES + 1)};
        for (size_t i = 0; i < inputs.n; i++) {
            files[i].size = random_below(&random, 3) ? random_below(&random, 200) : 0;
            files[i].stream = files[i].size == 0 && random_below(&random, 4) == 0;
            inputs.bytes += files[i].size;
        }
        check_splits(&inputs, sizes[round % 10]);
    }
}

static void test_huge_files(void **state)
{
    tqi_file files[] = {{.size = UINT64_MAX / 2}, {.size = 0}, {.size = 5}};
    tqi_inputs inputs = {.files = files, .n = 3, .bytes = UINT64_MAX / 2 + 5};
    uint64_t begin, end;

    (void)state;
    check_splits(&inputs, UINT64_MAX);
    check_splits(&inputs, UINT64_MAX / 4);
    tqi_inputs_split(&inputs, 1, 1);
    assert_int_equal(inputs.splits, UINT64_MAX / 2 + 5);
    assert_int_equal(tqi_inputs_locate(&inputs, inputs.splits - 1, &begin, &end), 2);
    assert_true(begin == 4 && end == 5);
    assert_int_equal(tqi_inputs_locate(&inputs, UINT64_MAX / 2 - 1, &begin, &end), 0);
    assert_true(begin == UINT64_MAX / 2 - 1 && end == UINT64_MAX / 2);
}

/* A size that is chosen: in its bounds, a multiple of the page size, and in between some hundred splits a worker, or fewer of
 * 256 KiB. */
static void test_chosen_split_size(void **state)
{
    static const uint64_t workers[] = {0, 1, 2, 16, 1024, 100000};

    (void)state;
    for (int bit = 0; bit < 50; bit++) {
        for (size_t w = 0; w < 6; w++) {
            tqi_file file = {.size = (uint64_t)1 << bit | 12345};
            tqi_inputs inputs = {.files = &file, .n = 1, .bytes = file.size};
            tqi_inputs_split(&inputs, 0, workers[w]);
            assert_true(inputs.split_bytes >= 64 << 10 && inputs.split_bytes <= 8 << 20);
            assert_int_equal(inputs.split_bytes % 4096, 0);
            uint64_t each = inputs.splits / (workers[w] ? workers[w] : 1);
            if (inputs.split_bytes > 64 << 10 && inputs.split_bytes < 8 << 20)
                assert_true(each >= 8 && each <= 160);
            if (inputs.split_bytes > 256 << 10 && inputs.split_bytes < 8 << 20)
                assert_true(each >= 100);
        }
    }
    tqi_inputs none = {0};
    tqi_inputs_split(&none, 0, 4);
    assert_int_equal(none.splits, 0);
}

static void test_pack(void **state)
{
    char *paths[] = {path_in(*state, "c.log"), strdup("-"), path_in(*state, "b.txt"), path_in(*state, "a.txt")};
    tq_error error;

    for (size_t n = 0; n <= 4; n++) {
        tqi_inputs inputs, back = {0};
        char *bytes = NULL;
        size_t size = 0;
        assert_int_equal(tqi_inputs_expand(&inputs, (const char *const *)paths, n, false, &error), TQ_OK);
        tqi_inputs_split(&inputs, 4, 3);
        assert_int_equal(tqi_inputs_pack(&inputs, &bytes, &size), TQ_OK);
        assert_int_equal(tqi_inputs_unpack(&back, bytes, size), TQ_OK);
        free(bytes);
        assert_int_equal(back.n, n);
        assert_int_equal(back.bytes, inputs.bytes);
        assert_int_equal(back.streams, inputs.streams);
        assert_int_equal(back.split_bytes, 4);
        assert_int_equal(back.splits, inputs.splits);
        for (size_t i = 0; i < n; i++) {
            assert_string_equal(back.files[i].path, inputs.files[i].path);
            assert_int_equal(back.files[i].size, inputs.files[i].size);
            assert_true(back.files[i].modified_ns == inputs.files[i].modified_ns);
            assert_int_equal(back.files[i].stream, inputs.files[i].stream);
            assert_int_equal(back.files[i].first_split, inputs.files[i].first_split);
        }
        tqi_inputs_free(&inputs);
        tqi_inputs_free(&back);
    }
    for (size_t i = 0; i < 4; i++)
        free(paths[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_in_the_order_given),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_empty_folder),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_name_like_a_pattern),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_unreadable_file),
        cmocka_unit_test(test_dangling_link_like_a_pattern),
        cmocka_unit_test(test_sizes_and_streams),
        cmocka_unit_test(test_same_here),
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_huge_files),
        cmocka_unit_test(test_chosen_split_size),
        cmocka_unit_test(test_pack),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
