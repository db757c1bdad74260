/* Children that behave, and such as do not: they read nothing, write much before they read, close what they have, stay, and
 * leave others behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ctype.h>
#include <time.h>

#include "tests/unit/helpers.h"

/* The command is no library. */
#include "jobs/child.c"

/* What a child gets, in pieces, and what came of it. */
typedef struct trial {
    const char *piece;
    size_t piece_size, pieces;
    size_t stop_after; /* stopping was asked so often; 0: never */
    size_t asked;
    bool takes_lines; /* only whole ones */
    char *got;
    size_t size, lasts;
    char complaints[4096];
    child_outcome outcome;
} trial;

static int give(void *user, const char **data, size_t *size)
{
    trial *t = user;

    if (t->pieces == 0)
        return 0;
    t->pieces--;
    *data = t->piece;
    *size = t->piece_size;
    return 1;
}

static ptrdiff_t take(void *user, const char *data, size_t size, bool last)
{
    trial *t = user;
    const char *newline = t->takes_lines && !last ? memrchr(data, '\n', size) : data + size - 1;
    size_t taken = newline ? (size_t)(newline - data) + 1 : 0;

    t->lasts += last;
    t->got = realloc(t->got, t->size + taken + 1);
    assert_non_null(t->got);
    memcpy(t->got + t->size, data, taken);
    t->size += taken;
    t->got[t->size] = '\0';
    return (ptrdiff_t)taken;
}

static void hear(void *user, const char *line, size_t size)
{
    trial *t = user;

    if (strlen(t->complaints) + size + 2 < sizeof t->complaints)
        strcat(strncat(t->complaints, line, size), "\n");
}

static bool stop(void *user)
{
    trial *t = user;

    return ++t->asked >= t->stop_after && t->stop_after > 0;
}

static void run(trial *t, const char *command)
{
    child_environment environment = {0};

    child_export(&environment, "A_VARIABLE=%d", 17);
    child_plan plan = {.command = command,
                       .environment = child_environment_list(&environment),
                       .input = give,
                       .output = take,
                       .complaint = hear,
                       .stopping = stop,
                       .user = t};
    t->outcome = child_run(&plan);
    child_environment_free(&environment);
}

static void expect(trial *t, const char *command, child_end end, int code)
{
    run(t, command);
    assert_int_equal(t->outcome.end, end);
    if (end != CHILD_STOPPED)
        assert_int_equal(t->outcome.code, code);
}

static void test_filter(void **state)
{
    trial t = {.piece = "one\ntwo\n", .piece_size = 8, .pieces = 3};

    (void)state;
    expect(&t, "tr a-z A-Z; echo $A_VARIABLE >&2; printf rest >&2; printf end", CHILD_EXITED, 0);
    assert_string_equal(t.got, "ONE\nTWO\nONE\nTWO\nONE\nTWO\nend");
    assert_string_equal(t.complaints, "17\nrest\n");
    assert_true(t.outcome.read_all);
    free(t.got);
}

static void test_empty(void **state)
{
    trial t = {0};

    (void)state;
    expect(&t, "cat", CHILD_EXITED, 0);
    assert_int_equal(t.size, 0);
    assert_int_equal(t.lasts, 0);
}

/* More than any pipe holds, both ways. */
static void test_much(void **state)
{
    size_t size = 20 << 20;
    char *text = malloc(size);
    trial t = {.piece = text, .piece_size = size, .pieces = 2, .takes_lines = true};

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = i % 5000000 == 4999999 ? '\n' : (char)(i % 251 == 10 ? 0 : i % 251);
    expect(&t, "cat", CHILD_EXITED, 0);
    assert_int_equal(t.size, 2 * size);
    assert_memory_equal(t.got, text, size);
    assert_memory_equal(t.got + size, text, size);
    free(t.got);
    free(text);
}

static void test_writes_before_it_reads(void **state)
{
    trial t = {.piece = "x\n", .piece_size = 2, .pieces = 1000000};

    (void)state;
    expect(&t, "head -c 10000000 /dev/zero; wc -c", CHILD_EXITED, 0);
    assert_string_equal(t.got + 10000000, "2000000\n");
    free(t.got);
}

static void test_reads_little_or_nothing(void **state)
{
    static const char *const commands[] = {"head -n 1", "exec <&-; echo x", "true", "exec true <&- >&-"};

    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        trial t = {.piece = "x\n", .piece_size = 2, .pieces = 3000000};

        expect(&t, commands[i], CHILD_EXITED, 0);
        assert_false(t.outcome.read_all);
        assert_string_equal(t.got ? t.got : "x\n", "x\n");
        free(t.got);
    }
}

static void test_ends(void **state)
{
    char text[256];
    trial t = {.piece = "x", .piece_size = 1, .pieces = 1};

    (void)state;
    expect(&t, "exit 3", CHILD_EXITED, 3);
    child_describe(&t.outcome, text, sizeof text);
    assert_string_equal(text, "exited with 3");
    expect(&t, "kill -SEGV $$", CHILD_KILLED, SIGSEGV);
    child_describe(&t.outcome, text, sizeof text);
    assert_string_equal(text, "was killed by signal 11 (Segmentation fault)");
    expect(&t, "sh -c 'kill -SEGV $$' | cat; (kill -SEGV $(sh -c 'echo $PPID')); exit 139", CHILD_EXITED, 139);
    child_describe(&t.outcome, text, sizeof text);
    assert_non_null(strstr(text, "139 (as shells do for signal 11"));
    expect(&t, "there-is-no-such-command", CHILD_EXITED, 127);
    assert_non_null(strstr(t.complaints, "there-is-no-such-command"));
    free(t.got);
}

/* Whether somebody sleeps for so long; zombies, and the shell that was told to, do not count. */
static int sleepers(const char *seconds)
{
    char command[128];

    snprintf(command, sizeof command, "exit $(ps -eo stat,args | grep -v '^Z' | grep -c '[s]leep %s$')", seconds);
    return WEXITSTATUS(system(command));
}

/* What was killed may take a moment to be gone. */
static bool are_gone(const char *seconds)
{
    struct timespec pause = {0, 50 * 1000 * 1000};

    for (int i = 0; i < 200 && sleepers(seconds) > 0; i++)
        nanosleep(&pause, NULL);
    return sleepers(seconds) == 0;
}

static void test_stopped(void **state)
{
    static const char *const commands[] = {"exec sleep 98761",
                                           "sleep 98761",
                                           "sleep 98761 | sleep 98761",
                                           "trap '' TERM INT; sleep 98761 & sleep 98761; sleep 98761",
                                           "exec >&- 2>&- <&-; sleep 98761",
                                           "sleep 98761 & cat > /dev/null; wait"};

    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        trial t = {.piece = "x\n", .piece_size = 2, .pieces = 10, .stop_after = 5};

        expect(&t, commands[i], CHILD_STOPPED, 0);
        assert_true(are_gone("98761"));
        free(t.got);
    }
}

/* It ends, and what it started has its output: that is not waited for. */
static void test_leaves_somebody_behind(void **state)
{
    trial t = {0};

    (void)state;
    expect(&t, "sleep 98762 & echo started", CHILD_EXITED, 0);
    assert_string_equal(t.got, "started\n");
    assert_true(are_gone("98762"));
    free(t.got);
}

/* A process that runs a child, and is killed: the child goes with it. */
static void test_killed_parent(void **state)
{
    struct timespec pause = {0, 20 * 1000 * 1000};
    pid_t parent = fork();

    (void)state;
    if (parent == 0) {
        trial t = {0};
        run(&t, "exec sleep 98763");
        _exit(0);
    }
    while (sleepers("98763") == 0)
        nanosleep(&pause, NULL);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    for (int i = 0; i < 500 && sleepers("98763") > 0; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(sleepers("98763"), 0);
}

/* Nothing is open in it but the standard three, whatever is open here. */
static void test_descriptors(void **state)
{
    int open_here = dup(STDERR_FILENO);
    trial t = {0};

    (void)state;
    expect(&t, "exec ls /proc/self/fd", CHILD_EXITED, 0);
    for (char *line = strtok(t.got, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(atoi(line) <= 3); /* 3: the folder itself */
    free(t.got);
    close(open_here);
}

/* Signals that are ignored or blocked here are not in it; SIGPIPE here is as it was. */
static void test_signals(void **state)
{
    struct sigaction before;
    trial t = {.piece = "x\n", .piece_size = 2, .pieces = 10};

    (void)state;
    signal(SIGTERM, SIG_IGN);
    expect(&t, "grep -E 'Sig(Blk|Ign)' /proc/self/status", CHILD_EXITED, 0);
    signal(SIGTERM, SIG_DFL);
    for (char *at = t.got; *at; at++)
        assert_true(!isdigit((unsigned char)*at) || *at == '0');
    sigaction(SIGPIPE, NULL, &before);
    assert_true(before.sa_handler == SIG_DFL);
    free(t.got);
}

static void test_environment(void **state)
{
    child_environment environment = {0};
    bool has_path = false;
    int named = 0;

    (void)state;
    setenv("OMPI_COMM_WORLD_RANK", "3", 1);
    setenv("A_VARIABLE", "old", 1);
    child_export(&environment, "A_VARIABLE=%s", "new");
    child_export(&environment, "B_VARIABLE=1");
    child_export(&environment, "A_VARIABLE=%s", "newer");
    for (char *const *variable = child_environment_list(&environment); *variable; variable++) {
        assert_null(strstr(*variable, "OMPI_COMM_WORLD_RANK"));
        has_path |= strncmp(*variable, "PATH=", 5) == 0;
        named += strncmp(*variable, "A_VARIABLE=", 11) == 0;
        assert_true(strncmp(*variable, "A_VARIABLE=", 11) != 0 || strcmp(*variable, "A_VARIABLE=newer") == 0);
    }
    assert_true(has_path);
    assert_int_equal(named, 1);
    child_environment_free(&environment);
    unsetenv("OMPI_COMM_WORLD_RANK");
    unsetenv("A_VARIABLE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_much),
        cmocka_unit_test(test_writes_before_it_reads),
        cmocka_unit_test(test_reads_little_or_nothing),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_leaves_somebody_behind),
        cmocka_unit_test(test_killed_parent),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
