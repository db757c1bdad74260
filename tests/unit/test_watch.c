/* Watching workers: where each stands, for how long, and which of them is named. */
#include "mpi/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static tqi_watch *watch_new(void)
{
    tqi_watch *watch = calloc(1, sizeof *watch);

    assert_non_null(watch);
    return watch;
}

static void test_nobody(void **state)
{
    tqi_watch *watch = watch_new();
    tqi_still still;
    tq_place place;

    (void)state;
    assert_false(tq_here(&place));
    tqi_watch_look(watch, 5, &still);
    assert_false(still.is_known);
    tqi_place_enter(tqi_watch_place(watch, 3), TQI_STAGE_MAP, 1, 3);
    tqi_place_leave(tqi_watch_place(watch, 3));
    tqi_watch_look(watch, 6, &still);
    assert_false(still.is_known);
    free(watch);
}

/* The one that has not moved for the longest time is named, and forgotten once it moves. */
static void test_longest(void **state)
{
    tqi_watch *watch = watch_new();
    tqi_place *first = tqi_watch_place(watch, 0), *last = tqi_watch_place(watch, TQ_MAX_WORKERS - 1);
    tqi_still still;

    (void)state;
    tqi_place_enter(first, TQI_STAGE_MAP, 0, 0);
    tqi_place_set_file(first, "a.txt");
    tqi_place_set_offset(first, 100);
    for (int i = 0; i <= 10; i++)
        tqi_watch_look(watch, 50 + 0.1 * i, &still);
    assert_true(still.seconds > 0.95 && still.seconds < 1.05);
    tqi_place_enter(last, TQI_STAGE_REDUCE, 0, TQ_MAX_WORKERS - 1);
    tqi_place_set_offset(last, 17);
    tqi_watch_look(watch, 51.1, &still);
    tqi_watch_look(watch, 51.2, &still);
    assert_string_equal(still.file, "a.txt");
    assert_int_equal(still.offset, 100);
    assert_int_equal(still.phase, TQ_PHASE_MAP);
    tqi_place_set_offset(first, 101);
    tqi_watch_look(watch, 51.3, &still);
    assert_int_equal(still.phase, TQ_PHASE_REDUCE);
    assert_int_equal(still.offset, 17);
    assert_string_equal(still.file, "");
    assert_true(still.seconds > 0.15 && still.seconds < 0.25);
    tqi_place_set_key(last, (tq_slice){"k", 1}); /* the same key may come at the same place, but not the same number */
    tqi_watch_look(watch, 51.4, &still);
    assert_true(still.seconds < 0.15);
    tqi_place_leave(last);
    tqi_place_leave(first);
    tqi_watch_look(watch, 51.5, &still);
    assert_false(still.is_known);
    free(watch);
}

/* A process that was stopped for a minute finds that its workers have moved by nothing: that says little. */
static void test_stopped_process(void **state)
{
    tqi_watch *watch = watch_new();
    tqi_still still;

    (void)state;
    tqi_place_enter(tqi_watch_place(watch, 0), TQI_STAGE_MAP, 0, 0);
    tqi_watch_look(watch, 10, &still);
    tqi_watch_look(watch, 70, &still);
    assert_true(still.seconds <= 1);
    tqi_place_leave(tqi_watch_place(watch, 0));
    free(watch);
}

static void test_long_path(void **state)
{
    tqi_watch *watch = watch_new();
    char path[2 * TQ_STILL_FILE];
    tqi_still still;

    (void)state;
    memset(path, 'd', sizeof path);
    strcpy(path + sizeof path - 6, "/name");
    tqi_place_enter(tqi_watch_place(watch, 0), TQI_STAGE_MAP, 0, 0);
    tqi_place_set_file(tqi_watch_place(watch, 0), path);
    tqi_watch_look(watch, 10, &still);
    assert_int_equal(strlen(still.file), TQ_STILL_FILE - 1);
    assert_memory_equal(still.file, "...d", 4);
    assert_string_equal(still.file + TQ_STILL_FILE - 6, "/name");
    path[sizeof path - TQ_STILL_FILE] = '\0';
    tqi_place_set_file(tqi_watch_place(watch, 0), path + 1);
    tqi_watch_look(watch, 10, &still);
    assert_string_equal(still.file, path + 1);
    tqi_place_leave(tqi_watch_place(watch, 0));
    free(watch);
}

static void test_here(void **state)
{
    tqi_place own = {0};
    tq_place place;

    (void)state;
    tqi_place_enter(&own, TQI_STAGE_MAP, 2, 5);
    assert_true(tq_here(&place));
    assert_string_equal(place.phase, "map");
    assert_null(place.file);
    tqi_place_set_file(&own, "b");
    tqi_place_set_offset(&own, 9);
    assert_true(tq_here(&place));
    assert_int_equal(place.rank, 2);
    assert_int_equal(place.worker, 5);
    assert_int_equal(place.offset, 9);
    assert_string_equal(place.file, "b");
    tqi_place_leave(&own);
    assert_false(tq_here(&place));
    tqi_place_enter(&own, TQI_STAGE_REDUCE, 2, 5);
    tqi_place_set_offset(&own, 40);
    assert_true(tq_here(&place));
    assert_string_equal(place.phase, "reduce");
    assert_int_equal(place.partition, 40);
    assert_int_equal(place.key.size, 0);
    tqi_place_set_key(&own, (tq_slice){"key", 3});
    assert_true(tq_here(&place));
    assert_int_equal(place.key.size, 3);
    assert_memory_equal(place.key.data, "key", 3);
    assert_null(place.file);
    tqi_place_leave(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody),    cmocka_unit_test(test_longest), cmocka_unit_test(test_stopped_process),
        cmocka_unit_test(test_long_path), cmocka_unit_test(test_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
