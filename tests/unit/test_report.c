/* tq_report_progress. Where a test wants reports to come before the end, the end waits for them; where it wants none,
 * the interval is longer than the test may take. */
#include "common/clock.h"
#include "node/future.h"

#include <errno.h>
#include <math.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HANG_S  200
#define NEVER_S 1e6
#define REPORTS 64

/* What the callback was told; touched by the reporting thread only. */
struct diary {
    uint64_t done[REPORTS];
    uint64_t not_done[REPORTS];
    int n;
    const char *tag;
    int stop_at;      /* the report that asks to stop; -1 = none */
    int finish_after; /* from this report on, one future is finished in each; -1 = never */
    tq_future **futures;
    size_t n_futures;
    size_t next;
    double pause_s; /* how long the callback takes */
};

static int keep_diary(const char *tag, uint64_t done, uint64_t not_done, void *user)
{
    struct diary *diary = user;
    int report = diary->n++;
    assert_true(report < REPORTS);
    diary->done[report] = done;
    diary->not_done[report] = not_done;
    diary->tag = tag;
    if (diary->pause_s > 0.0)
        usleep((useconds_t)(diary->pause_s * 1e6));
    if (diary->finish_after >= 0 && report >= diary->finish_after && diary->next < diary->n_futures) {
        tq_future *future = diary->futures[diary->next++];
        if (!tq_future_done(future))
            tqi_future_finish(future, TQ_FUTURE_DONE, TQ_OK, 0, NULL);
    }
    return report == diary->stop_at ? 1 : 0;
}

static void make_futures(tq_future **futures, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        futures[i] = tqi_future_create(NULL, NULL, NULL);
        assert_non_null(futures[i]);
    }
}

static void release_futures(tq_future **futures, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tq_future_release(futures[i]);
}

static void what_makes_no_sense_is_refused(void **unused)
{
    (void)unused;
    tq_future *future = NULL;
    struct diary diary = {.stop_at = -1, .finish_after = -1};
    assert_int_equal(tq_report_progress(&future, 1, "map", 1.0, NULL, NULL), TQ_E_USAGE);
    assert_int_equal(tq_report_progress(NULL, 1, "map", 1.0, keep_diary, &diary), TQ_E_USAGE);
    assert_int_equal(diary.n, 0);
}

static void when_all_are_done_there_is_one_report(void **unused)
{
    (void)unused;
    tq_future *futures[3];
    make_futures(futures, 2);
    futures[2] = NULL; /* a failed submission counts as done */
    tqi_future_finish(futures[0], TQ_FUTURE_FAILED, TQ_E_USER, 1, "no");
    assert_true(tq_future_cancel(futures[1]));
    for (size_t n = 0; n <= 3; n++) {
        struct diary diary = {.stop_at = -1, .finish_after = -1};
        assert_int_equal(tq_report_progress(futures, n, "map", NEVER_S, keep_diary, &diary), TQ_OK);
        assert_int_equal(diary.n, 1);
        assert_int_equal(diary.done[0], n);
        assert_int_equal(diary.not_done[0], 0);
        assert_string_equal(diary.tag, "map");
    }
    struct diary diary = {.stop_at = -1, .finish_after = -1, .tag = "old"};
    assert_int_equal(tq_report_progress(NULL, 0, NULL, NEVER_S, keep_diary, &diary), TQ_OK);
    assert_int_equal(diary.n, 1);
    assert_null(diary.tag);
    release_futures(futures, 2);
}

struct finisher {
    tq_future **futures;
    size_t n;
    bool backwards;
};

static void *finisher_main(void *arg)
{
    struct finisher *finisher = arg;
    for (size_t i = 0; i < finisher->n; i++) {
        size_t which = finisher->backwards ? finisher->n - 1 - i : i;
        tqi_future_finish(finisher->futures[which], TQ_FUTURE_DONE, TQ_OK, 0, NULL);
    }
    return NULL;
}

/* With such an interval the test would never end if the report slept it out. */
static void the_end_is_reported_promptly(void **unused)
{
    (void)unused;
    const double intervals[] = {NEVER_S, 1e300, INFINITY};
    for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++) {
        for (int backwards = 0; backwards <= 1; backwards++) {
            tq_future *futures[20];
            pthread_t thread;
            make_futures(futures, 20);
            struct finisher finisher = {futures, 20, backwards};
            struct diary diary = {.stop_at = -1, .finish_after = -1};
            assert_int_equal(pthread_create(&thread, NULL, finisher_main, &finisher), 0);
            assert_int_equal(tq_report_progress(futures, 20, "t", intervals[i], keep_diary, &diary), TQ_OK);
            assert_int_equal(diary.n, 1);
            assert_int_equal(diary.done[0], 20);
            assert_int_equal(diary.not_done[0], 0);
            assert_int_equal(pthread_join(thread, NULL), 0);
            release_futures(futures, 20);
        }
    }
}

static void reports_come_at_every_interval(void **unused)
{
    (void)unused;
    tq_future *futures[5];
    make_futures(futures, 5);
    struct diary diary = {.stop_at = -1, .finish_after = 2, .futures = futures, .n_futures = 5};
    double start_s = tqi_now_s();
    assert_int_equal(tq_report_progress(futures, 5, "reduce", 0.004, keep_diary, &diary), TQ_OK);
    double spent_s = tqi_now_s() - start_s;
    /* Two reports without news, five that finish one future each; the end follows the last of them at once. */
    assert_int_equal(diary.n, 8);
    for (int i = 0; i < 8; i++) {
        uint64_t done = i <= 2 ? 0 : (uint64_t)i - 2;
        assert_int_equal(diary.done[i], done);
        assert_int_equal(diary.not_done[i], 5 - done);
    }
    assert_true(spent_s > 7 * 0.004 - 0.0001); /* never more often than asked for */
    release_futures(futures, 5);
}

/* Futures that end out of order are counted all the same. */
static void any_order_is_counted(void **unused)
{
    (void)unused;
    tq_future *futures[4];
    make_futures(futures, 4);
    tq_future *reversed[4] = {futures[3], futures[2], futures[1], futures[0]};
    struct diary diary = {.stop_at = -1, .finish_after = 0, .futures = reversed, .n_futures = 4};
    assert_int_equal(tq_report_progress(futures, 4, "t", 0.002, keep_diary, &diary), TQ_OK);
    assert_int_equal(diary.n, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(diary.done[i], i);
    release_futures(futures, 4);
}

static void no_interval_means_half_a_second(void **unused)
{
    (void)unused;
    const double intervals[] = {0.0, -3.0};
    for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++) {
        tq_future *future;
        make_futures(&future, 1);
        struct diary diary = {.stop_at = -1, .finish_after = 0, .futures = &future, .n_futures = 1};
        double start_s = tqi_now_s();
        assert_int_equal(tq_report_progress(&future, 1, "t", intervals[i], keep_diary, &diary), TQ_OK);
        assert_true(tqi_now_s() - start_s > 0.499);
        assert_int_equal(diary.n, 2);
        release_futures(&future, 1);
    }
}

static void a_tiny_interval_works(void **unused)
{
    (void)unused;
    tq_future *futures[3];
    make_futures(futures, 3);
    struct diary diary = {.stop_at = -1, .finish_after = 3, .futures = futures, .n_futures = 3};
    assert_int_equal(tq_report_progress(futures, 3, "t", 1e-300, keep_diary, &diary), TQ_OK);
    assert_int_equal(diary.n, 7);
    release_futures(futures, 3);
}

/* A callback slower than the interval loses reports: they do not pile up behind it. */
static void a_slow_callback_is_not_called_in_a_burst(void **unused)
{
    (void)unused;
    tq_future *future;
    make_futures(&future, 1);
    struct diary diary = {.stop_at = -1, .finish_after = 3, .futures = &future, .n_futures = 1, .pause_s = 0.011};
    double start_s = tqi_now_s();
    assert_int_equal(tq_report_progress(&future, 1, "t", 0.004, keep_diary, &diary), TQ_OK);
    /* Reports fall on multiples of the interval: at 4 ms, then not before 16, 28 and 40 ms; the last one at 51 ms. */
    assert_true(tqi_now_s() - start_s > 0.0615);
    assert_int_equal(diary.n, 5);
    release_futures(&future, 1);
}

static bool refuse(void *owner)
{
    (*(int *)owner)++;
    return false;
}

static void a_callback_can_stop_and_cancel(void **unused)
{
    (void)unused;
    int refused = 0;
    tq_future *futures[4];
    make_futures(futures, 3);
    futures[3] = tqi_future_create(refuse, NULL, &refused);
    assert_non_null(futures[3]);
    tqi_future_finish(futures[0], TQ_FUTURE_DONE, TQ_OK, 0, NULL);
    assert_true(tqi_future_start(futures[1])); /* cannot be cancelled */
    struct diary diary = {.stop_at = 1, .finish_after = -1};
    assert_int_equal(tq_report_progress(futures, 4, "t", 0.002, keep_diary, &diary), TQ_E_CANCELLED);
    assert_int_equal(diary.n, 2); /* no more reports */
    assert_int_equal(diary.done[1], 1);
    assert_int_equal(diary.not_done[1], 3);
    assert_int_equal(tq_future_get_state(futures[0]), TQ_FUTURE_DONE);
    assert_int_equal(tq_future_get_state(futures[1]), TQ_FUTURE_RUNNING);
    assert_int_equal(tq_future_get_state(futures[2]), TQ_FUTURE_CANCELLED);
    assert_int_equal(refused, 1);
    tqi_future_finish(futures[1], TQ_FUTURE_DONE, TQ_OK, 0, NULL);
    release_futures(futures, 4);
}

static void stopping_in_the_last_report_is_told_too(void **unused)
{
    (void)unused;
    struct diary diary = {.stop_at = 0, .finish_after = -1};
    assert_int_equal(tq_report_progress(NULL, 0, "t", 1.0, keep_diary, &diary), TQ_E_CANCELLED);
    assert_int_equal(diary.n, 1);
}

/* ---- on a pool ---- */

struct job {
    sem_t begun;
    sem_t open;
    atomic_int ran;
};

static int wait_for_it(void *arg, const tq_worker *worker)
{
    (void)worker;
    struct job *job = arg;
    sem_post(&job->begun);
    while (sem_wait(&job->open) != 0 && errno == EINTR) {
    }
    job->ran++;
    return 0;
}

static int run_it(void *arg, const tq_worker *worker)
{
    (void)worker;
    ((struct job *)arg)->ran++;
    return 0;
}

static void it_stops_the_tasks_of_a_pool(void **unused)
{
    (void)unused;
    tq_executor_options options = {.max_workers = 1};
    tq_executor *pool = NULL;
    tq_future *futures[6];
    struct job job = {.ran = 0};
    assert_int_equal(sem_init(&job.begun, 0, 0), 0);
    assert_int_equal(sem_init(&job.open, 0, 0), 0);
    assert_int_equal(tq_executor_create(&options, &pool), TQ_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(tq_executor_submit(pool, i == 0 ? wait_for_it : run_it, &job, &futures[i]), TQ_OK);
    while (sem_wait(&job.begun) != 0 && errno == EINTR) {
    }
    struct diary diary = {.stop_at = 2, .finish_after = -1};
    assert_int_equal(tq_report_progress(futures, 6, "t", 0.001, keep_diary, &diary), TQ_E_CANCELLED);
    assert_int_equal(diary.n, 3);
    assert_int_equal(diary.not_done[2], 6);
    assert_int_equal(tq_future_get_state(futures[0]), TQ_FUTURE_RUNNING);
    for (int i = 1; i < 6; i++)
        assert_int_equal(tq_future_get_state(futures[i]), TQ_FUTURE_CANCELLED);
    sem_post(&job.open);
    diary = (struct diary){.stop_at = -1, .finish_after = -1};
    assert_int_equal(tq_report_progress(futures, 6, "t", NEVER_S, keep_diary, &diary), TQ_OK);
    assert_int_equal(diary.n, 1);
    tq_executor_destroy(pool);
    assert_int_equal(job.ran, 1);
    release_futures(futures, 6);
    sem_destroy(&job.begun);
    sem_destroy(&job.open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_makes_no_sense_is_refused), cmocka_unit_test(when_all_are_done_there_is_one_report),
        cmocka_unit_test(the_end_is_reported_promptly),   cmocka_unit_test(reports_come_at_every_interval),
        cmocka_unit_test(any_order_is_counted),           cmocka_unit_test(no_interval_means_half_a_second),
        cmocka_unit_test(a_tiny_interval_works),          cmocka_unit_test(a_slow_callback_is_not_called_in_a_burst),
        cmocka_unit_test(a_callback_can_stop_and_cancel), cmocka_unit_test(stopping_in_the_last_report_is_told_too),
        cmocka_unit_test(it_stops_the_tasks_of_a_pool),
    };
    alarm(HANG_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
