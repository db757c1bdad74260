/* Futures on their own: states, hooks, callbacks, waits, and the races between them. Nothing here depends on how long
 * something takes: threads meet at semaphores, and the alarm in main only ends a test that hangs. */
#include "common/clock.h"
#include "node/future.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HANG_S 200

static void take(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0 && errno == EINTR) {
    }
}

static tq_future *plain(void)
{
    tq_future *future = tqi_future_create(NULL, NULL, NULL);
    assert_non_null(future);
    return future;
}

static void finish_ok(tq_future *future)
{
    tqi_future_finish(future, TQ_FUTURE_DONE, TQ_OK, 0, NULL);
}

/* A thread that finishes a future once it is told to. */
struct finisher {
    tq_future *future;
    sem_t go;
    pthread_t thread;
};

static void *finisher_main(void *arg)
{
    struct finisher *finisher = arg;
    take(&finisher->go);
    finish_ok(finisher->future);
    return NULL;
}

static void finisher_start(struct finisher *finisher, tq_future *future)
{
    finisher->future = future;
    assert_int_equal(sem_init(&finisher->go, 0, 0), 0);
    assert_int_equal(pthread_create(&finisher->thread, NULL, finisher_main, finisher), 0);
}

static void finisher_end(struct finisher *finisher)
{
    assert_int_equal(pthread_join(finisher->thread, NULL), 0);
    sem_destroy(&finisher->go);
}

/* Appends the number user points at to a log of calls. */
struct call_log {
    int calls[16];
    int n;
    pthread_t thread;
    tq_future *future;
};

struct call {
    struct call_log *log;
    int number;
};

static void log_call(tq_future *future, void *user)
{
    struct call *call = user;
    call->log->calls[call->log->n++] = call->number;
    call->log->thread = pthread_self();
    call->log->future = future;
}

static void count_call(tq_future *future, void *user)
{
    (void)future;
    atomic_fetch_add((atomic_int *)user, 1);
}

static void no_future_is_a_submission_without_memory(void **unused)
{
    (void)unused;
    assert_int_equal(tq_future_get_state(NULL), TQ_FUTURE_FAILED);
    assert_true(tq_future_done(NULL));
    assert_int_equal(tq_future_status(NULL), TQ_E_MEMORY);
    assert_int_equal(tq_future_code(NULL), 0);
    assert_true(strlen(tq_future_error(NULL)) > 0);
    assert_false(tq_future_cancel(NULL));
    assert_int_equal(tq_future_wait(NULL, TQ_FOREVER), TQ_OK);
    tq_future *none = NULL;
    size_t index = 9;
    assert_int_equal(tq_future_wait_any(&none, 1, TQ_FOREVER, &index), TQ_OK);
    assert_int_equal(index, 0);
    assert_int_equal(tq_future_wait_all(&none, 1, TQ_FOREVER), TQ_OK);
    atomic_int calls = 0;
    assert_int_equal(tq_future_on_done(NULL, count_call, &calls), TQ_OK);
    assert_int_equal(calls, 1);
    tq_future_release(NULL);
    tqi_future_retain(NULL);
    assert_null(tqi_future_owner(NULL));
}

static void a_future_goes_from_pending_to_done(void **unused)
{
    (void)unused;
    tq_future *future = plain();
    assert_int_equal(tq_future_get_state(future), TQ_FUTURE_PENDING);
    assert_false(tq_future_done(future));
    assert_int_equal(tq_future_status(future), TQ_E_AGAIN);
    assert_int_equal(tq_future_code(future), 0);
    assert_string_equal(tq_future_error(future), "");
    assert_true(tqi_future_start(future));
    assert_false(tqi_future_start(future));
    assert_int_equal(tq_future_get_state(future), TQ_FUTURE_RUNNING);
    assert_false(tq_future_done(future));
    assert_int_equal(tq_future_status(future), TQ_E_AGAIN);
    finish_ok(future);
    assert_int_equal(tq_future_get_state(future), TQ_FUTURE_DONE);
    assert_true(tq_future_done(future));
    assert_int_equal(tq_future_status(future), TQ_OK);
    assert_int_equal(tq_future_code(future), 0);
    assert_string_equal(tq_future_error(future), "");
    tq_future_release(future);
}

static void a_failure_keeps_its_status_code_and_message(void **unused)
{
    (void)unused;
    tq_future *future = plain();
    char message[] = "the disk is full";
    assert_true(tqi_future_start(future));
    tqi_future_finish(future, TQ_FUTURE_FAILED, TQ_E_OUTPUT, 42, message);
    memset(message, 'x', sizeof message - 1); /* it was copied */
    assert_int_equal(tq_future_get_state(future), TQ_FUTURE_FAILED);
    assert_int_equal(tq_future_status(future), TQ_E_OUTPUT);
    assert_int_equal(tq_future_code(future), 42);
    assert_string_equal(tq_future_error(future), "the disk is full");
    assert_false(tq_future_cancel(future));
    tq_future_release(future);
}

static void cancelling_without_a_hook(void **unused)
{
    (void)unused;
    tq_future *future = plain();
    atomic_int calls = 0;
    assert_int_equal(tq_future_on_done(future, count_call, &calls), TQ_OK);
    assert_true(tq_future_cancel(future));
    assert_int_equal(calls, 1);
    assert_true(tq_future_cancel(future)); /* it still does not happen */
    assert_int_equal(calls, 1);
    assert_false(tqi_future_start(future));
    assert_int_equal(tq_future_get_state(future), TQ_FUTURE_CANCELLED);
    assert_int_equal(tq_future_status(future), TQ_E_CANCELLED);
    assert_int_equal(tq_future_code(future), 0);
    assert_true(strlen(tq_future_error(future)) > 0);
    tq_future_release(future);

    future = plain();
    assert_true(tqi_future_start(future));
    assert_false(tq_future_cancel(future));
    assert_int_equal(tq_future_get_state(future), TQ_FUTURE_RUNNING);
    finish_ok(future);
    assert_false(tq_future_cancel(future));
    assert_int_equal(tq_future_get_state(future), TQ_FUTURE_DONE);
    tq_future_release(future);
}

struct owner {
    int cancels;
    int destroys;
    int releases;
    bool answer;
};

static bool owner_cancel(void *arg)
{
    struct owner *owner = arg;
    owner->cancels++;
    return owner->answer;
}

static void owner_destroy(void *arg)
{
    ((struct owner *)arg)->destroys++;
}

static void a_cancel_hook_decides(void **unused)
{
    (void)unused;
    struct owner owner = {.answer = false};
    tq_future *future = tqi_future_create(owner_cancel, owner_destroy, &owner);
    assert_non_null(future);
    assert_ptr_equal(tqi_future_owner(future), &owner);
    assert_false(tq_future_cancel(future));
    owner.answer = true;
    assert_true(tq_future_cancel(future));
    assert_int_equal(tq_future_get_state(future), TQ_FUTURE_PENDING);
    assert_true(tqi_future_start(future));
    assert_true(tq_future_cancel(future));
    assert_int_equal(owner.cancels, 3);
    assert_int_equal(tq_future_get_state(future), TQ_FUTURE_RUNNING);
    tqi_future_finish(future, TQ_FUTURE_CANCELLED, TQ_E_CANCELLED, 0, "by request");
    assert_true(tq_future_cancel(future));
    assert_int_equal(owner.cancels, 3); /* not asked once it is final */
    assert_string_equal(tq_future_error(future), "by request");
    tq_future_release(future);
    assert_int_equal(owner.destroys, 1);
}

static void the_last_reference_destroys(void **unused)
{
    (void)unused;
    struct owner owner = {.answer = false};
    tq_future *future = tqi_future_create(NULL, owner_destroy, &owner);
    assert_non_null(future);
    tqi_future_retain(future);
    tq_future_release(future);
    assert_int_equal(owner.destroys, 0);
    /* Given up while it is pending: the callback goes with it, uncalled. */
    atomic_int calls = 0;
    assert_int_equal(tq_future_on_done(future, count_call, &calls), TQ_OK);
    assert_int_equal(tq_future_on_done(future, count_call, &calls), TQ_OK);
    tq_future_release(future);
    assert_int_equal(owner.destroys, 1);
    assert_int_equal(calls, 0);
}

static void owner_release(void *arg)
{
    ((struct owner *)arg)->releases++;
}

static void a_release_hook_is_called_for_final_futures_only(void **unused)
{
    (void)unused;
    for (int final = 0; final <= 1; final++) {
        struct owner owner = {.answer = false};
        tq_future *future = tqi_future_create(NULL, owner_destroy, &owner);
        assert_non_null(future);
        tqi_future_on_release(future, owner_release);
        tqi_future_retain(future);
        if (final)
            finish_ok(future);
        assert_int_equal(owner.releases, 0);
        tq_future_release(future);
        assert_int_equal(owner.releases, final);
        assert_int_equal(owner.destroys, 0);
        tqi_future_drop(future);
        assert_int_equal(owner.releases, final);
        assert_int_equal(owner.destroys, 1);
    }
    tqi_future_drop(NULL);
}

static void callbacks_run_in_order_on_the_finishing_thread(void **unused)
{
    (void)unused;
    struct call_log log = {.n = 0};
    struct call calls[4] = {{&log, 0}, {&log, 1}, {&log, 2}, {&log, 3}};
    tq_future *future = plain();
    assert_int_equal(tq_future_on_done(future, NULL, NULL), TQ_E_USAGE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tq_future_on_done(future, log_call, &calls[i]), TQ_OK);
    assert_int_equal(log.n, 0);
    struct finisher finisher;
    finisher_start(&finisher, future);
    sem_post(&finisher.go);
    pthread_t other = finisher.thread;
    finisher_end(&finisher);
    assert_int_equal(log.n, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(log.calls[i], i);
    assert_true(pthread_equal(log.thread, other));
    assert_ptr_equal(log.future, future);
    /* Final already: now, on this thread. */
    assert_int_equal(tq_future_on_done(future, log_call, &calls[3]), TQ_OK);
    assert_int_equal(log.n, 4);
    assert_int_equal(log.calls[3], 3);
    assert_true(pthread_equal(log.thread, pthread_self()));
    tq_future_release(future);
}

struct busy_callback {
    atomic_int nested;
    tq_future *other;
};

/* Uses everything that takes the lock of a future; with a lock held it would hang. */
static void do_everything(tq_future *future, void *user)
{
    struct busy_callback *busy = user;
    size_t index;
    tq_future *both[2] = {future, busy->other};
    assert_true(tq_future_done(future));
    assert_int_equal(tq_future_wait(future, TQ_FOREVER), TQ_OK);
    assert_int_equal(tq_future_wait_any(both, 2, TQ_FOREVER, &index), TQ_OK);
    assert_int_equal(index, 0);
    assert_int_equal(tq_future_on_done(future, count_call, &busy->nested), TQ_OK);
    assert_int_equal(busy->nested, 1);
    tq_future_cancel(future);
    assert_true(tq_future_cancel(busy->other));
    tqi_future_retain(future);
    tq_future_release(future);
    tq_future_release(future); /* the caller's */
}

static void a_callback_may_do_anything_even_release(void **unused)
{
    (void)unused;
    struct owner owner = {.answer = false};
    struct busy_callback busy = {.other = plain()};
    atomic_int later = 0;
    tq_future *future = tqi_future_create(NULL, owner_destroy, &owner);
    assert_non_null(future);
    assert_int_equal(tq_future_on_done(future, do_everything, &busy), TQ_OK);
    assert_int_equal(tq_future_on_done(future, count_call, &later), TQ_OK);
    finish_ok(future); /* holds the future while callbacks run, so the second is called too */
    assert_int_equal(later, 1);
    assert_int_equal(owner.destroys, 1);
    tq_future_release(busy.other);

    /* The same when cancelling is what makes it final. */
    busy = (struct busy_callback){.other = plain()};
    future = tqi_future_create(NULL, owner_destroy, &owner);
    assert_non_null(future);
    assert_int_equal(tq_future_on_done(future, do_everything, &busy), TQ_OK);
    assert_true(tq_future_cancel(future));
    assert_int_equal(owner.destroys, 2);
    tq_future_release(busy.other);
}

static void settle_wakes_and_notify_calls(void **unused)
{
    (void)unused;
    atomic_int calls = 0;
    tq_future *future = plain();
    assert_int_equal(tq_future_on_done(future, count_call, &calls), TQ_OK);
    tqi_future_settle(future, TQ_FUTURE_FAILED, TQ_E_MPI, 3, "broken");
    assert_int_equal(tq_future_wait(future, 0.0), TQ_OK);
    assert_int_equal(tq_future_status(future), TQ_E_MPI);
    assert_int_equal(calls, 0);
    tqi_future_notify(future);
    assert_int_equal(calls, 1);
    tqi_future_notify(future);
    assert_int_equal(calls, 1);
    tq_future_release(future);
}

static void waiting_for_one(void **unused)
{
    (void)unused;
    const double long_waits[] = {TQ_FOREVER, 1e300, INFINITY, (double)HANG_S, -5.0};
    for (size_t i = 0; i < sizeof long_waits / sizeof long_waits[0]; i++) {
        tq_future *future = plain();
        assert_int_equal(tq_future_wait(future, 0.0), TQ_E_TIMEOUT);
        double start_s = tqi_now_s();
        assert_int_equal(tq_future_wait(future, 0.005), TQ_E_TIMEOUT);
        assert_true(tqi_now_s() - start_s > 0.00499);
        struct finisher finisher;
        finisher_start(&finisher, future);
        sem_post(&finisher.go);
        assert_int_equal(tq_future_wait(future, long_waits[i]), TQ_OK);
        assert_true(tq_future_done(future));
        assert_int_equal(tq_future_wait(future, 0.0), TQ_OK);
        finisher_end(&finisher);
        tq_future_release(future);
    }
}

#define MANY 40 /* more than wait_any keeps on its stack */

static void waiting_for_any_finds_the_lowest(void **unused)
{
    (void)unused;
    tq_future *futures[MANY];
    size_t index = 99;
    for (size_t i = 0; i < MANY; i++)
        futures[i] = plain();
    assert_int_equal(tq_future_wait_any(futures, 0, TQ_FOREVER, &index), TQ_E_USAGE);
    assert_int_equal(tq_future_wait_any(NULL, 3, TQ_FOREVER, &index), TQ_E_USAGE);
    assert_int_equal(tq_future_wait_any(futures, 3, 0.0, &index), TQ_E_TIMEOUT);
    assert_int_equal(tq_future_wait_any(futures, MANY, 0.001, &index), TQ_E_TIMEOUT);
    assert_int_equal(index, 99);
    finish_ok(futures[MANY - 1]);
    assert_int_equal(tq_future_wait_any(futures, MANY, 0.0, &index), TQ_OK);
    assert_int_equal(index, MANY - 1);
    assert_true(tq_future_cancel(futures[7]));
    finish_ok(futures[20]);
    assert_int_equal(tq_future_wait_any(futures, MANY, TQ_FOREVER, &index), TQ_OK);
    assert_int_equal(index, 7);
    assert_int_equal(tq_future_wait_any(futures, MANY, TQ_FOREVER, NULL), TQ_OK);
    tq_future *saved = futures[2];
    futures[2] = NULL;
    assert_int_equal(tq_future_wait_any(futures, MANY, TQ_FOREVER, &index), TQ_OK);
    assert_int_equal(index, 2);
    futures[2] = saved;
    for (size_t i = 0; i < MANY; i++)
        tq_future_release(futures[i]);
}

static void waiting_for_any_is_woken_by_each(void **unused)
{
    (void)unused;
    const size_t sizes[] = {1, 2, 5, MANY};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t n = sizes[s];
        size_t step = n > 5 ? 13 : 1;
        for (size_t which = 0; which < n; which += step) {
            tq_future *futures[MANY];
            for (size_t i = 0; i < n; i++)
                futures[i] = plain();
            struct finisher finisher;
            finisher_start(&finisher, futures[which]);
            sem_post(&finisher.go);
            size_t index = 99;
            assert_int_equal(tq_future_wait_any(futures, n, TQ_FOREVER, &index), TQ_OK);
            assert_int_equal(index, which);
            finisher_end(&finisher);
            for (size_t i = 0; i < n; i++)
                tq_future_release(futures[i]);
        }
    }
}

static void a_future_may_be_waited_for_twice(void **unused)
{
    (void)unused;
    tq_future *future = plain();
    tq_future *same[3] = {future, future, future};
    size_t index = 99;
    assert_int_equal(tq_future_wait_any(same, 3, 0.001, &index), TQ_E_TIMEOUT);
    struct finisher finisher;
    finisher_start(&finisher, future);
    sem_post(&finisher.go);
    assert_int_equal(tq_future_wait_any(same, 3, TQ_FOREVER, &index), TQ_OK);
    assert_int_equal(index, 0);
    assert_int_equal(tq_future_wait_all(same, 3, TQ_FOREVER), TQ_OK);
    finisher_end(&finisher);
    tq_future_release(future);
}

static void waiting_for_all(void **unused)
{
    (void)unused;
    tq_future *futures[4];
    struct finisher finishers[4];
    assert_int_equal(tq_future_wait_all(NULL, 0, TQ_FOREVER), TQ_OK);
    assert_int_equal(tq_future_wait_all(NULL, 2, TQ_FOREVER), TQ_E_USAGE);
    for (int i = 0; i < 4; i++)
        futures[i] = plain();
    assert_int_equal(tq_future_wait_all(futures, 4, 0.0), TQ_E_TIMEOUT);
    finish_ok(futures[0]);
    assert_int_equal(tq_future_wait_all(futures, 1, 0.0), TQ_OK);
    assert_int_equal(tq_future_wait_all(futures, 4, 0.001), TQ_E_TIMEOUT);
    for (int i = 3; i > 0; i--) {
        finisher_start(&finishers[i], futures[i]);
        sem_post(&finishers[i].go);
    }
    assert_int_equal(tq_future_wait_all(futures, 4, TQ_FOREVER), TQ_OK);
    for (int i = 0; i < 4; i++)
        assert_true(tq_future_done(futures[i]));
    for (int i = 1; i < 4; i++)
        finisher_end(&finishers[i]);
    for (int i = 0; i < 4; i++)
        tq_future_release(futures[i]);
}

/* ---- everything at once ---- */

#define ROUNDS 150
#define RACERS 9

/* Each round all threads fall upon one new future: one owner, two who cancel, two who add callbacks, two who wait and
 * two who wait for any of it and of a future that never ends. */
struct race {
    pthread_barrier_t barrier;
    tq_future *future;
    tq_future *never;
    atomic_int called[2];
    bool started;
    bool cancelled[2];
    atomic_int wrong;
};

struct racer {
    struct race *race;
    int number;
};

static void race_once(struct race *race, int number)
{
    size_t index = 99;
    switch (number) {
    case 0:
        race->started = tqi_future_start(race->future);
        if (race->started)
            finish_ok(race->future);
        break;
    case 1:
    case 2: race->cancelled[number - 1] = tq_future_cancel(race->future); break;
    case 3:
    case 4: race->wrong += tq_future_on_done(race->future, count_call, &race->called[number - 3]) != TQ_OK; break;
    case 5:
    case 6:
        race->wrong += tq_future_wait(race->future, TQ_FOREVER) != TQ_OK;
        race->wrong += !tq_future_done(race->future);
        break;
    default: {
        tq_future *both[2] = {race->never, race->future};
        race->wrong += tq_future_wait_any(both, 2, TQ_FOREVER, &index) != TQ_OK || index != 1;
    }
    }
}

static void *racer_main(void *arg)
{
    struct racer *racer = arg;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&racer->race->barrier);
        race_once(racer->race, racer->number);
        tq_future_release(racer->race->future);
        pthread_barrier_wait(&racer->race->barrier);
    }
    return NULL;
}

static void check_round(const struct race *race)
{
    assert_int_equal(race->wrong, 0);
    assert_int_equal(race->called[0], 1);
    assert_int_equal(race->called[1], 1);
    tq_future_state expected = race->started ? TQ_FUTURE_DONE : TQ_FUTURE_CANCELLED;
    assert_int_equal(tq_future_get_state(race->future), expected);
    assert_true(race->started || (race->cancelled[0] && race->cancelled[1]));
    assert_false(race->started && (race->cancelled[0] || race->cancelled[1]));
}

static void racing_threads_agree_and_callbacks_run_once(void **unused)
{
    (void)unused;
    struct race race = {.never = plain()};
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    assert_int_equal(pthread_barrier_init(&race.barrier, NULL, RACERS + 1), 0);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){&race, i};
        assert_int_equal(pthread_create(&threads[i], NULL, racer_main, &racers[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        race.future = plain();
        for (int i = 0; i < RACERS; i++)
            tqi_future_retain(race.future);
        race.called[0] = 0;
        race.called[1] = 0;
        pthread_barrier_wait(&race.barrier);
        pthread_barrier_wait(&race.barrier);
        check_round(&race);
        tq_future_release(race.future);
    }
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&race.barrier);
    tq_future_release(race.never);
}

/* One thread finishes futures, each as soon as another has begun to add callbacks to it, and a third waits for one
 * after the other: again and again they meet in the moment in which a future becomes final. */
#define ROW           6000
#define ROW_CALLBACKS 100 /* at most, for each future */

struct row {
    tq_future **futures;
    atomic_int *called;
    atomic_int turn; /* the future to which callbacks are being added */
    atomic_int wrong;
    pthread_barrier_t barrier;
};

static void *row_finish(void *arg)
{
    struct row *row = arg;
    pthread_barrier_wait(&row->barrier);
    for (int i = 0; i < ROW; i++) {
        while (row->turn < i)
            sched_yield();
        finish_ok(row->futures[i]);
    }
    return NULL;
}

static void *row_wait(void *arg)
{
    struct row *row = arg;
    pthread_barrier_wait(&row->barrier);
    for (int i = 0; i < ROW; i++)
        row->wrong += tq_future_wait(row->futures[i], TQ_FOREVER) != TQ_OK;
    return NULL;
}

static void *row_add(void *arg)
{
    struct row *row = arg;
    pthread_barrier_wait(&row->barrier);
    for (int i = 0; i < ROW; i++) {
        int added = 0;
        row->turn = i;
        while (added < ROW_CALLBACKS && !tq_future_done(row->futures[i])) {
            row->wrong += tq_future_on_done(row->futures[i], count_call, &row->called[i]) != TQ_OK;
            added++;
        }
        row->called[i] -= added;
    }
    return NULL;
}

static void the_moment_of_the_end_is_never_missed(void **unused)
{
    (void)unused;
    struct row row = {.futures = calloc(ROW, sizeof *row.futures), .called = calloc(ROW, sizeof *row.called)};
    void *(*const mains[3])(void *) = {row_finish, row_wait, row_add};
    pthread_t threads[3];
    assert_non_null(row.futures);
    assert_non_null(row.called);
    assert_int_equal(pthread_barrier_init(&row.barrier, NULL, 3), 0);
    for (int i = 0; i < ROW; i++)
        row.futures[i] = plain();
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, mains[i], &row), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(row.wrong, 0);
    for (int i = 0; i < ROW; i++) {
        assert_int_equal(row.called[i], 0); /* as many calls as callbacks */
        tq_future_release(row.futures[i]);
    }
    pthread_barrier_destroy(&row.barrier);
    free(row.called);
    free(row.futures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_future_is_a_submission_without_memory),
        cmocka_unit_test(a_future_goes_from_pending_to_done),
        cmocka_unit_test(a_failure_keeps_its_status_code_and_message),
        cmocka_unit_test(cancelling_without_a_hook),
        cmocka_unit_test(a_cancel_hook_decides),
        cmocka_unit_test(the_last_reference_destroys),
        cmocka_unit_test(a_release_hook_is_called_for_final_futures_only),
        cmocka_unit_test(callbacks_run_in_order_on_the_finishing_thread),
        cmocka_unit_test(a_callback_may_do_anything_even_release),
        cmocka_unit_test(settle_wakes_and_notify_calls),
        cmocka_unit_test(waiting_for_one),
        cmocka_unit_test(waiting_for_any_finds_the_lowest),
        cmocka_unit_test(waiting_for_any_is_woken_by_each),
        cmocka_unit_test(a_future_may_be_waited_for_twice),
        cmocka_unit_test(waiting_for_all),
        cmocka_unit_test(racing_threads_agree_and_callbacks_run_once),
        cmocka_unit_test(the_moment_of_the_end_is_never_missed),
    };
    alarm(HANG_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
