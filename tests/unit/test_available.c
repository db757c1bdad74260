/* What a process may still take, from trees of files as Linux has them. */
#include "common/available.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static char root[] = "/tmp/tequio-available-XXXXXX";

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static void run(const char *command)
{
    char line[4096];

    snprintf(line, sizeof line, "cd %s && %s", root, command);
    assert_int_equal(system(line), 0);
}

static int remove_root(void **state)
{
    char line[256];

    (void)state;
    snprintf(line, sizeof line, "rm -rf %s", root);
    return system(line);
}

static void begin(const char *meminfo, const char *groups)
{
    char line[1024];

    run("rm -rf proc sys && mkdir -p proc/self");
    snprintf(line, sizeof line, "printf '%s' >proc/meminfo && printf '%s' >proc/self/cgroup", meminfo, groups);
    run(line);
}

#define MEMINFO "MemTotal: 1000 kB\\nMemFree: 1 kB\\nMemAvailable:   600 kB\\n"

static void test_host_alone(void **state)
{
    (void)state;
    begin(MEMINFO, "");
    assert_int_equal(tqi_available_memory(root), 600 * 1024);
    begin(MEMINFO, "0::/\\n");
    assert_int_equal(tqi_available_memory(root), 600 * 1024);
}

static void test_nothing_known(void **state)
{
    (void)state;
    run("rm -rf proc sys");
    assert_int_equal(tqi_available_memory(root), 0);
}

/* A group without a bound, below one that has one: page cache of it can be had back. */
static void test_version_2(void **state)
{
    (void)state;
    begin(MEMINFO, "1:name=systemd:/\\n0::/a/b\\n");
    run("mkdir -p sys/fs/cgroup/a/b && echo max >sys/fs/cgroup/a/b/memory.max"
        " && echo 77777 >sys/fs/cgroup/a/b/memory.current && echo 100000 >sys/fs/cgroup/a/memory.max"
        " && echo 80000 >sys/fs/cgroup/a/memory.current"
        " && printf 'anon 5\\ninactive_file 30000\\n' >sys/fs/cgroup/a/memory.stat");
    assert_int_equal(tqi_available_memory(root), 50000);
    run("echo 90000 >sys/fs/cgroup/a/b/memory.max");
    assert_int_equal(tqi_available_memory(root), 90000 - 77777);
    run("echo 70000 >sys/fs/cgroup/a/b/memory.max");
    assert_int_equal(tqi_available_memory(root), 0);
}

static void test_version_1(void **state)
{
    (void)state;
    begin(MEMINFO, "4:memory:/job\\n3:cpu:/other\\n");
    run("mkdir -p sys/fs/cgroup/memory/job && echo 300000 >sys/fs/cgroup/memory/job/memory.limit_in_bytes"
        " && echo 100000 >sys/fs/cgroup/memory/job/memory.usage_in_bytes"
        " && printf 'inactive_file 1\\ntotal_inactive_file 50000\\n' >sys/fs/cgroup/memory/job/memory.stat"
        " && echo 9223372036854771712 >sys/fs/cgroup/memory/memory.limit_in_bytes"
        " && echo 5 >sys/fs/cgroup/memory/memory.usage_in_bytes");
    assert_int_equal(tqi_available_memory(root), 250000);
}

/* In a container the path is the host's, and the group's own files are what is mounted. */
static void test_container(void **state)
{
    (void)state;
    begin(MEMINFO, "0::/host/path/of/the/container\\n");
    run("mkdir -p sys/fs/cgroup && echo 200000 >sys/fs/cgroup/memory.max && echo 60000 >sys/fs/cgroup/memory.current");
    assert_int_equal(tqi_available_memory(root), 140000);
}

static void test_this_host(void **state)
{
    (void)state;
    assert_true(tqi_available_memory("") > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_alone), cmocka_unit_test(test_nothing_known), cmocka_unit_test(test_version_2),
        cmocka_unit_test(test_version_1),  cmocka_unit_test(test_container),     cmocka_unit_test(test_this_host),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
