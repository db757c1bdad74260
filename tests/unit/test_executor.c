/* The executor: every sentence of tequio/executor.h about pools. Nothing here depends on how long something takes:
 * tasks and tests meet at semaphores, and the alarm in main only ends a test that hangs. */
#include <tequio/executor.h>

#include <errno.h>
#include <pthread.h>
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

#define HANG_S        200
#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* ---- what the tests are made of ---- */

static void take(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0 && errno == EINTR) {
    }
}

static void give(sem_t *semaphore, int n)
{
    for (int i = 0; i < n; i++)
        sem_post(semaphore);
}

/* A task that says that it has begun, and ends when it is let. */
struct gate {
    sem_t begun;
    sem_t open;
    atomic_int inside;
    atomic_int most;
    atomic_int index; /* of the last worker in it */
};

static void gate_init(struct gate *gate)
{
    assert_int_equal(sem_init(&gate->begun, 0, 0), 0);
    assert_int_equal(sem_init(&gate->open, 0, 0), 0);
    gate->inside = 0;
    gate->most = 0;
    gate->index = -1;
}

static void gate_free(struct gate *gate)
{
    sem_destroy(&gate->begun);
    sem_destroy(&gate->open);
}

static int pass_gate(void *arg, const tq_worker *worker)
{
    struct gate *gate = arg;
    int inside = atomic_fetch_add(&gate->inside, 1) + 1;
    int most = gate->most;
    while (most < inside && !atomic_compare_exchange_weak(&gate->most, &most, inside)) {
    }
    gate->index = worker->index;
    sem_post(&gate->begun);
    take(&gate->open);
    atomic_fetch_sub(&gate->inside, 1);
    return 0;
}

/* Numbers in the order in which tasks ran. Tasks of one worker only, or behind a drain. */
struct sequence {
    int numbers[256];
    int n;
};

struct entry {
    struct sequence *sequence;
    int number;
};

static int note(void *arg, const tq_worker *worker)
{
    (void)worker;
    struct entry *entry = arg;
    entry->sequence->numbers[entry->sequence->n++] = entry->number;
    return 0;
}

static int count(void *arg, const tq_worker *worker)
{
    (void)worker;
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static int return_arg(void *arg, const tq_worker *worker)
{
    (void)worker;
    return *(int *)arg;
}

static void count_call(tq_future *future, void *user)
{
    (void)future;
    atomic_fetch_add((atomic_int *)user, 1);
}

static tq_executor *start_pool(int workers, size_t capacity)
{
    tq_executor_options options = {.max_workers = workers, .queue_capacity = capacity};
    tq_executor *pool = NULL;
    assert_int_equal(tq_executor_create(&options, &pool), TQ_OK);
    assert_non_null(pool);
    return pool;
}

static tq_future *must_submit(tq_executor *pool, tq_task_fn task, void *arg)
{
    tq_future *future = NULL;
    assert_int_equal(tq_executor_submit(pool, task, arg, &future), TQ_OK);
    assert_non_null(future);
    return future;
}

static void check_final(tq_future *future, tq_future_state state, tq_status status)
{
    assert_int_equal(tq_future_wait(future, TQ_FOREVER), TQ_OK);
    assert_int_equal(tq_future_get_state(future), state);
    assert_int_equal(tq_future_status(future), status);
    assert_int_equal(strlen(tq_future_error(future)) > 0, status != TQ_OK);
    tq_future_release(future);
}

/* A pool of one worker who is busy inside the gate. */
static tq_executor *start_busy_pool(struct gate *gate, size_t capacity)
{
    tq_executor *pool = start_pool(1, capacity);
    gate_init(gate);
    assert_int_equal(tq_executor_submit(pool, pass_gate, gate, NULL), TQ_OK);
    take(&gate->begun);
    return pool;
}

/* A thread that submits one counting task; what it saw on its return is checked by the test. */
struct submitter {
    tq_executor *pool;
    atomic_int counted;
    atomic_bool *allowed; /* whether submit may return by now */
    bool was_allowed;
    bool wants_future;
    tq_future *future;
    tq_status status;
    sem_t begun;
    pthread_t thread;
};

static void *submitter_main(void *arg)
{
    struct submitter *submitter = arg;
    sem_post(&submitter->begun);
    submitter->status = tq_executor_submit(submitter->pool, count, &submitter->counted,
                                           submitter->wants_future ? &submitter->future : NULL);
    submitter->was_allowed = submitter->allowed == NULL || atomic_load(submitter->allowed);
    return NULL;
}

static void submitter_start(struct submitter *submitter, tq_executor *pool, atomic_bool *allowed, bool wants_future)
{
    *submitter = (struct submitter){.pool = pool, .allowed = allowed, .wants_future = wants_future};
    assert_int_equal(sem_init(&submitter->begun, 0, 0), 0);
    assert_int_equal(pthread_create(&submitter->thread, NULL, submitter_main, submitter), 0);
    take(&submitter->begun);
    usleep(2000); /* most likely it waits by now; the test holds if it does not */
}

static void submitter_end(struct submitter *submitter)
{
    assert_int_equal(pthread_join(submitter->thread, NULL), 0);
    sem_destroy(&submitter->begun);
}

/* Initializers and exits that keep account. */
struct staff {
    atomic_int inits;
    atomic_int exits;
    atomic_int wrong;
    pthread_t threads[TQ_MAX_WORKERS]; /* guarded by the exclusiveness of an index, which is what is tested */
    atomic_bool present[TQ_MAX_WORKERS];
    int states[TQ_MAX_WORKERS];
    sem_t initialized;
    sem_t exiting; /* given when worker_exit begins */
    sem_t may_exit;
    bool exits_wait;
    int failing_index; /* whose initializer fails; -1 = none */
    sem_t may_fail;
    atomic_int last_index;
};

static int staff_init(int index, void *user, void **state)
{
    struct staff *staff = user;
    staff->wrong += atomic_exchange(&staff->present[index], true);
    staff->threads[index] = pthread_self();
    staff->inits++;
    staff->last_index = index;
    if (index == staff->failing_index) {
        take(&staff->may_fail);
        atomic_store(&staff->present[index], false);
        return 5;
    }
    *state = &staff->states[index];
    sem_post(&staff->initialized);
    return 0;
}

static void staff_exit(int index, void *user, void *state)
{
    struct staff *staff = user;
    sem_post(&staff->exiting);
    if (staff->exits_wait)
        take(&staff->may_exit);
    staff->wrong += state != &staff->states[index];
    staff->wrong += !pthread_equal(staff->threads[index], pthread_self());
    staff->exits++;
    staff->wrong += !atomic_exchange(&staff->present[index], false);
}

static struct staff *hire_staff(void)
{
    struct staff *staff = calloc(1, sizeof *staff);
    assert_non_null(staff);
    staff->failing_index = -1;
    assert_int_equal(sem_init(&staff->initialized, 0, 0), 0);
    assert_int_equal(sem_init(&staff->exiting, 0, 0), 0);
    assert_int_equal(sem_init(&staff->may_exit, 0, 0), 0);
    assert_int_equal(sem_init(&staff->may_fail, 0, 0), 0);
    return staff;
}

static void dismiss_staff(struct staff *staff)
{
    assert_int_equal(staff->wrong, 0);
    sem_destroy(&staff->initialized);
    sem_destroy(&staff->exiting);
    sem_destroy(&staff->may_exit);
    sem_destroy(&staff->may_fail);
    free(staff);
}

static tq_status create_staffed(struct staff *staff, int workers, size_t capacity, tq_executor **pool)
{
    tq_executor_options options = {.max_workers = workers,
                                   .queue_capacity = capacity,
                                   .worker_init = staff_init,
                                   .worker_exit = staff_exit,
                                   .user = staff};
    *pool = NULL;
    return tq_executor_create(&options, pool);
}

/* ---- create and the simple life of tasks ---- */

static void create_refuses_what_makes_no_sense(void **unused)
{
    (void)unused;
    const int refused[] = {-1, TQ_MAX_WORKERS + 1, -1000};
    tq_executor *pool = NULL;
    for (size_t i = 0; i < LENGTH(refused); i++) {
        tq_executor_options options = {.max_workers = refused[i]};
        assert_int_equal(tq_executor_create(&options, &pool), TQ_E_USAGE);
        assert_null(pool);
    }
    tq_executor_options options = {.max_workers = 1};
    assert_int_equal(tq_executor_create(NULL, &pool), TQ_E_USAGE);
    assert_int_equal(tq_executor_create(&options, NULL), TQ_E_USAGE);
    assert_null(pool);
    tq_executor_destroy(NULL);
}

static void as_many_workers_as_allowed(void **unused)
{
    (void)unused;
#ifdef TEQUIO_SANITIZED
    const int workers = 64; /* the thread sanitizer takes long to start threads */
#else
    const int workers = TQ_MAX_WORKERS;
#endif
    tq_executor *pool = start_pool(workers, 0);
    assert_int_equal(tq_executor_workers(pool), workers);
    atomic_int counted = 0;
    for (int i = 0; i < 3000; i++)
        assert_int_equal(tq_executor_submit(pool, count, &counted, NULL), TQ_OK);
    tq_executor_destroy(pool);
    assert_int_equal(counted, 3000);
}

/* The size of a thread's stack is what makes pthread_create fail here. */
static void threads_that_cannot_be_started(void **unused)
{
    (void)unused;
    tq_executor *pool = start_pool(2, 0);
    pthread_attr_t before, huge;
    assert_int_equal(pthread_getattr_default_np(&before), 0);
    assert_int_equal(pthread_getattr_default_np(&huge), 0);
    if (pthread_attr_setstacksize(&huge, (size_t)1 << 50) != 0 || pthread_setattr_default_np(&huge) != 0) {
        tq_executor_destroy(pool);
        skip();
    }
    tq_executor_options options = {.max_workers = 3};
    tq_executor *none = NULL;
    assert_int_equal(tq_executor_create(&options, &none), TQ_E_SYSTEM);
    assert_null(none);
    assert_int_equal(tq_executor_resize(pool, 4), TQ_E_SYSTEM);
    atomic_int counted = 0;
    assert_int_equal(tq_executor_submit(pool, count, &counted, NULL), TQ_OK);
    assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
    assert_int_equal(counted, 1);
    assert_int_equal(pthread_setattr_default_np(&before), 0);
    /* Asking again starts what is missing. */
    struct gate gate;
    gate_init(&gate);
    assert_int_equal(tq_executor_resize(pool, 4), TQ_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(tq_executor_submit(pool, pass_gate, &gate, NULL), TQ_OK);
    for (int i = 0; i < 4; i++)
        take(&gate.begun);
    give(&gate.open, 4);
    tq_executor_destroy(pool);
    gate_free(&gate);
    pthread_attr_destroy(&before);
    pthread_attr_destroy(&huge);
}

static void a_future_tells_what_the_task_returned(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 3; workers++) {
        tq_executor *pool = start_pool(workers, 0);
        int codes[] = {0, 7, -1};
        tq_future *futures[LENGTH(codes)];
        for (size_t i = 0; i < LENGTH(codes); i++)
            futures[i] = must_submit(pool, return_arg, &codes[i]);
        for (size_t i = 0; i < LENGTH(codes); i++) {
            assert_int_equal(tq_future_wait(futures[i], TQ_FOREVER), TQ_OK);
            assert_int_equal(tq_future_code(futures[i]), codes[i]);
        }
        assert_non_null(strstr(tq_future_error(futures[1]), "7"));
        check_final(futures[0], TQ_FUTURE_DONE, TQ_OK);
        check_final(futures[1], TQ_FUTURE_FAILED, TQ_E_USER);
        check_final(futures[2], TQ_FUTURE_FAILED, TQ_E_USER);
        assert_int_equal(tq_executor_submit(pool, return_arg, &codes[1], NULL), TQ_OK); /* nobody asks */
        tq_executor_destroy(pool);
    }
}

static void submit_refuses_no_task(void **unused)
{
    (void)unused;
    tq_executor *pool = start_pool(1, 0);
    tq_future *future = NULL;
    assert_int_equal(tq_executor_submit(pool, NULL, NULL, &future), TQ_E_USAGE);
    assert_int_equal(tq_executor_try_submit(NULL, count, NULL, &future), TQ_E_USAGE);
    assert_null(future);
    tq_executor_destroy(pool);
}

static void a_released_future_does_not_stop_its_task(void **unused)
{
    (void)unused;
    struct gate gate;
    tq_executor *pool = start_busy_pool(&gate, 0);
    atomic_int counted = 0;
    for (int i = 0; i < 10; i++)
        tq_future_release(must_submit(pool, count, &counted));
    sem_post(&gate.open);
    tq_executor_destroy(pool);
    assert_int_equal(counted, 10);
    gate_free(&gate);
}

static void tasks_start_in_the_order_of_submission(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 1; workers++) {
        tq_executor *pool = start_pool(workers, 4);
        struct sequence sequence = {.n = 0};
        struct entry entries[200];
        for (int i = 0; i < 200; i++) {
            entries[i] = (struct entry){&sequence, i};
            if (i % 3 == 0)
                tq_future_release(must_submit(pool, note, &entries[i]));
            else
                assert_int_equal(tq_executor_submit(pool, note, &entries[i], NULL), TQ_OK);
        }
        assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
        assert_int_equal(sequence.n, 200);
        for (int i = 0; i < 200; i++)
            assert_int_equal(sequence.numbers[i], i);
        tq_executor_destroy(pool);
    }
}

static int check_staff(void *arg, const tq_worker *worker)
{
    struct staff *staff = arg;
    staff->wrong += worker->index < 0 || worker->index >= TQ_MAX_WORKERS;
    staff->wrong += worker->state != &staff->states[worker->index];
    staff->wrong += !staff->present[worker->index];
    staff->wrong += !pthread_equal(staff->threads[worker->index], pthread_self());
    staff->states[worker->index]++; /* not atomic: the next task with this index sees it */
    return 0;
}

static void workers_are_initialized_and_ended_on_their_own_threads(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 4; workers += 2) {
        struct staff *staff = hire_staff();
        tq_executor *pool;
        assert_int_equal(create_staffed(staff, workers, 8, &pool), TQ_OK);
        for (int i = 0; i < 500; i++)
            assert_int_equal(tq_executor_submit(pool, check_staff, staff, NULL), TQ_OK);
        tq_executor_destroy(pool);
        int expected = workers == 0 ? 1 : workers;
        assert_int_equal(staff->inits, expected);
        assert_int_equal(staff->exits, expected);
        int total = 0;
        for (int i = 0; i < expected; i++)
            total += staff->states[i];
        assert_int_equal(total, 500);
        dismiss_staff(staff);
    }
}

static int expect_no_state(void *arg, const tq_worker *worker)
{
    (void)arg;
    return worker->state != NULL || worker->index != 0;
}

static void without_an_initializer_the_state_is_null(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 1; workers++) {
        tq_executor *pool = start_pool(workers, 0);
        check_final(must_submit(pool, expect_no_state, NULL), TQ_FUTURE_DONE, TQ_OK);
        tq_executor_destroy(pool);
    }
}

/* ---- the bounded queue ---- */

static void the_queue_holds_its_capacity(void **unused)
{
    (void)unused;
    const size_t capacities[] = {1, 7, 0};
    for (int workers = 0; workers <= 2; workers++) {
        for (size_t c = 0; c < LENGTH(capacities); c++) {
            tq_executor *pool = start_pool(workers, capacities[c]);
            size_t expected = capacities[c] == 0 ? 1024 : capacities[c];
            atomic_int counted = 0;
            tq_executor_pause(pool);
            for (size_t i = 0; i < expected; i++)
                assert_int_equal(tq_executor_try_submit(pool, count, &counted, NULL), TQ_OK);
            tq_future *future = NULL;
            assert_int_equal(tq_executor_try_submit(pool, count, &counted, &future), TQ_E_AGAIN);
            assert_int_equal(tq_executor_try_submit(pool, count, &counted, NULL), TQ_E_AGAIN);
            assert_null(future);
            assert_int_equal(counted, 0);
            tq_executor_resume(pool);
            assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
            assert_int_equal(counted, expected);
            assert_int_equal(tq_executor_try_submit(pool, count, &counted, NULL), TQ_OK);
            tq_executor_destroy(pool);
            assert_int_equal(counted, expected + 1);
        }
    }
}

static void submit_waits_while_the_queue_is_full(void **unused)
{
    (void)unused;
    for (int wants_future = 0; wants_future <= 1; wants_future++) {
        struct gate gate;
        tq_executor *pool = start_busy_pool(&gate, 1);
        atomic_int counted = 0;
        atomic_bool opened = false;
        assert_int_equal(tq_executor_submit(pool, count, &counted, NULL), TQ_OK);
        struct submitter submitters[3];
        for (int i = 0; i < 3; i++)
            submitter_start(&submitters[i], pool, &opened, wants_future);
        assert_int_equal(tq_executor_try_submit(pool, count, &counted, NULL), TQ_E_AGAIN);
        opened = true;
        sem_post(&gate.open);
        for (int i = 0; i < 3; i++) {
            submitter_end(&submitters[i]);
            assert_int_equal(submitters[i].status, TQ_OK);
            assert_true(submitters[i].was_allowed);
            if (wants_future)
                check_final(submitters[i].future, TQ_FUTURE_DONE, TQ_OK);
        }
        tq_executor_destroy(pool);
        for (int i = 0; i < 3; i++)
            assert_int_equal(submitters[i].counted, 1);
        assert_int_equal(counted, 1);
        gate_free(&gate);
    }
}

/* A task that submits more than the queue holds. */
struct flood {
    tq_executor *pool;
    struct sequence sequence;
    struct entry entries[50];
    int refused;
};

static void flood_the_pool(struct flood *flood)
{
    for (int i = 0; i < 50; i++) {
        flood->entries[i] = (struct entry){&flood->sequence, i};
        tq_status status = tq_executor_submit(flood->pool, note, &flood->entries[i], NULL);
        flood->refused += status != TQ_OK;
    }
    flood->refused += tq_executor_try_submit(flood->pool, note, &flood->entries[0], NULL) != TQ_E_AGAIN;
}

static int flood_task(void *arg, const tq_worker *worker)
{
    (void)worker;
    flood_the_pool(arg);
    return 0;
}

static void flood_callback(tq_future *future, void *user)
{
    (void)future;
    flood_the_pool(user);
}

static void a_worker_queues_beyond_the_bound(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 1; workers++) {
        for (int from_callback = 0; from_callback <= 1; from_callback++) {
            struct flood flood = {.pool = start_pool(workers, 3)};
            if (from_callback) {
                tq_executor_pause(flood.pool);
                atomic_int counted = 0;
                tq_future *future = must_submit(flood.pool, count, &counted);
                assert_int_equal(tq_future_on_done(future, flood_callback, &flood), TQ_OK);
                tq_executor_resume(flood.pool);
                check_final(future, TQ_FUTURE_DONE, TQ_OK);
            } else {
                check_final(must_submit(flood.pool, flood_task, &flood), TQ_FUTURE_DONE, TQ_OK);
            }
            tq_executor_drain(flood.pool, TQ_FOREVER);
            assert_int_equal(flood.refused, 0);
            assert_int_equal(flood.sequence.n, 50);
            for (int i = 0; i < 50; i++)
                assert_int_equal(flood.sequence.numbers[i], i);
            tq_executor_destroy(flood.pool);
        }
    }
}

static void after_shutdown_nothing_is_taken(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 1; workers++) {
        tq_executor *pool = start_pool(workers, 0);
        tq_executor_shutdown(pool, false);
        tq_future *future = NULL;
        atomic_int counted = 0;
        assert_int_equal(tq_executor_submit(pool, count, &counted, &future), TQ_E_STATE);
        assert_int_equal(tq_executor_try_submit(pool, count, &counted, NULL), TQ_E_STATE);
        assert_null(future);
        tq_executor_destroy(pool);
        assert_int_equal(counted, 0);
    }
}

static void shutdown_wakes_waiting_submitters(void **unused)
{
    (void)unused;
    struct gate gate;
    tq_executor *pool = start_busy_pool(&gate, 1);
    atomic_int counted = 0;
    assert_int_equal(tq_executor_submit(pool, count, &counted, NULL), TQ_OK);
    struct submitter submitters[2];
    submitter_start(&submitters[0], pool, NULL, true);
    submitter_start(&submitters[1], pool, NULL, false);
    tq_executor_shutdown(pool, false);
    for (int i = 0; i < 2; i++) {
        submitter_end(&submitters[i]);
        assert_int_equal(submitters[i].status, TQ_E_STATE);
        assert_null(submitters[i].future);
        assert_int_equal(submitters[i].counted, 0);
    }
    sem_post(&gate.open);
    tq_executor_destroy(pool);
    assert_int_equal(counted, 1);
    gate_free(&gate);
}

/* ---- cancelling ---- */

static void what_waits_is_cancelled_and_makes_room(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 2; workers++) {
        tq_executor *pool = start_pool(workers, 3);
        atomic_int counted = 0;
        atomic_int calls = 0;
        tq_executor_pause(pool);
        tq_future *futures[3];
        for (int i = 0; i < 3; i++) {
            futures[i] = must_submit(pool, count, &counted);
            assert_int_equal(tq_future_get_state(futures[i]), TQ_FUTURE_PENDING);
            assert_int_equal(tq_future_on_done(futures[i], count_call, &calls), TQ_OK);
        }
        const int order[] = {1, 0, 2}; /* out of the middle, the front, and the last one */
        for (int i = 0; i < 3; i++) {
            assert_int_equal(tq_executor_try_submit(pool, count, &counted, NULL), i == 0 ? TQ_E_AGAIN : TQ_OK);
            assert_true(tq_future_cancel(futures[order[i]]));
            assert_int_equal(calls, i + 1);
            assert_true(tq_future_cancel(futures[order[i]]));
            assert_int_equal(calls, i + 1);
            check_final(futures[order[i]], TQ_FUTURE_CANCELLED, TQ_E_CANCELLED);
        }
        assert_int_equal(tq_executor_drain(pool, 0.0), TQ_E_TIMEOUT);
        tq_executor_resume(pool);
        assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
        assert_int_equal(counted, 2);
        tq_executor_destroy(pool);
    }
}

static void cancelling_the_last_one_drains_and_wakes_a_submitter(void **unused)
{
    (void)unused;
    struct gate gate;
    tq_executor *pool = start_busy_pool(&gate, 1);
    atomic_int counted = 0;
    tq_future *future = must_submit(pool, count, &counted);
    struct submitter submitter;
    submitter_start(&submitter, pool, NULL, true);
    assert_true(tq_future_cancel(future));
    submitter_end(&submitter); /* while the worker is still busy */
    assert_int_equal(submitter.status, TQ_OK);
    tq_executor_pause(pool);
    sem_post(&gate.open);
    assert_true(tq_future_cancel(submitter.future));
    assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK); /* although it is paused */
    tq_executor_destroy(pool);
    assert_int_equal(counted + submitter.counted, 0);
    tq_future_release(future);
    tq_future_release(submitter.future);
    gate_free(&gate);
}

static void a_running_task_cannot_be_cancelled(void **unused)
{
    (void)unused;
    struct gate gate;
    gate_init(&gate);
    tq_executor *pool = start_pool(1, 0);
    tq_future *future = must_submit(pool, pass_gate, &gate);
    take(&gate.begun);
    assert_int_equal(tq_future_get_state(future), TQ_FUTURE_RUNNING);
    assert_false(tq_future_cancel(future));
    assert_int_equal(tq_future_status(future), TQ_E_AGAIN);
    sem_post(&gate.open);
    assert_int_equal(tq_future_wait(future, TQ_FOREVER), TQ_OK);
    assert_false(tq_future_cancel(future));
    check_final(future, TQ_FUTURE_DONE, TQ_OK);
    tq_executor_destroy(pool);
    gate_free(&gate);
}

static void futures_outlive_their_pool(void **unused)
{
    (void)unused;
    int code = 3;
    atomic_int calls = 0;
    tq_executor *pool = start_pool(2, 0);
    tq_future *failed = must_submit(pool, return_arg, &code);
    tq_executor_pause(pool);
    tq_future *cancelled = must_submit(pool, return_arg, &code);
    assert_true(tq_future_cancel(cancelled));
    tq_executor_destroy(pool);
    assert_true(tq_future_done(failed)); /* destroy waits for every task */
    assert_false(tq_future_cancel(failed));
    assert_true(tq_future_cancel(cancelled));
    assert_int_equal(tq_future_on_done(failed, count_call, &calls), TQ_OK);
    assert_int_equal(calls, 1);
    assert_int_equal(tq_future_code(failed), 3);
    check_final(failed, TQ_FUTURE_FAILED, TQ_E_USER);
    check_final(cancelled, TQ_FUTURE_CANCELLED, TQ_E_CANCELLED);
}

#define RACE_TASKS 400

struct cancel_race {
    tq_future *futures[RACE_TASKS];
    atomic_int ran[RACE_TASKS];
    atomic_int called[RACE_TASKS];
    sem_t go;
};

struct canceller {
    struct cancel_race *race;
    bool backwards;
    bool answers[RACE_TASKS];
    pthread_t thread;
};

static void *canceller_main(void *arg)
{
    struct canceller *canceller = arg;
    take(&canceller->race->go);
    for (int i = 0; i < RACE_TASKS; i++) {
        int which = canceller->backwards ? RACE_TASKS - 1 - i : i;
        canceller->answers[which] = tq_future_cancel(canceller->race->futures[which]);
    }
    return NULL;
}

static void check_cancel_race(struct cancel_race *race, const struct canceller *cancellers)
{
    for (int i = 0; i < RACE_TASKS; i++) {
        bool cancelled = tq_future_get_state(race->futures[i]) == TQ_FUTURE_CANCELLED;
        assert_int_equal(race->ran[i], cancelled ? 0 : 1);
        assert_int_equal(race->called[i], 1);
        assert_int_equal(cancellers[0].answers[i], cancelled);
        assert_int_equal(cancellers[1].answers[i], cancelled);
        tq_future_release(race->futures[i]);
    }
}

static void a_task_either_runs_or_is_cancelled(void **unused)
{
    (void)unused;
    for (int round = 0; round < 5; round++) {
        struct cancel_race *race = calloc(1, sizeof *race);
        struct canceller *cancellers = calloc(2, sizeof *cancellers);
        assert_non_null(race);
        assert_non_null(cancellers);
        assert_int_equal(sem_init(&race->go, 0, 0), 0);
        tq_executor *pool = start_pool(3, RACE_TASKS);
        tq_executor_pause(pool);
        for (int i = 0; i < RACE_TASKS; i++) {
            race->futures[i] = must_submit(pool, count, &race->ran[i]);
            assert_int_equal(tq_future_on_done(race->futures[i], count_call, &race->called[i]), TQ_OK);
        }
        for (int i = 0; i < 2; i++) {
            cancellers[i].race = race;
            cancellers[i].backwards = i == 1;
            assert_int_equal(pthread_create(&cancellers[i].thread, NULL, canceller_main, &cancellers[i]), 0);
        }
        give(&race->go, 2);
        tq_executor_resume(pool);
        assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
        for (int i = 0; i < RACE_TASKS; i++)
            assert_true(tq_future_done(race->futures[i]));
        for (int i = 0; i < 2; i++)
            assert_int_equal(pthread_join(cancellers[i].thread, NULL), 0);
        tq_executor_destroy(pool);
        check_cancel_race(race, cancellers);
        sem_destroy(&race->go);
        free(cancellers);
        free(race);
    }
}

/* ---- callbacks ---- */

struct chain {
    tq_executor *pool;
    int left;
    atomic_int *counted;
    atomic_int failed;
    sem_t *ended;
};

/* Gives up its future and submits the next task, from the thread that made the future final. */
static void next_link(tq_future *future, void *user)
{
    struct chain *chain = user;
    tq_future_release(future);
    if (chain->left-- == 0) {
        sem_post(chain->ended);
        return;
    }
    tq_future *next = NULL;
    chain->failed += tq_executor_submit(chain->pool, count, chain->counted, &next) != TQ_OK;
    chain->failed += tq_future_on_done(next, next_link, chain) != TQ_OK;
}

static void a_callback_may_submit_and_release(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 3; workers++) {
        tq_executor *pool = start_pool(workers, 1);
        sem_t ended;
        atomic_int counted = 0;
        assert_int_equal(sem_init(&ended, 0, 0), 0);
        struct chain chain = {.pool = pool, .left = 100, .counted = &counted, .ended = &ended};
        tq_future *first = must_submit(pool, count, &counted);
        assert_int_equal(tq_future_on_done(first, next_link, &chain), TQ_OK);
        take(&ended);
        assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
        assert_int_equal(chain.failed, 0);
        assert_int_equal(counted, 101);
        tq_executor_destroy(pool);
        sem_destroy(&ended);
    }
}

struct place {
    pthread_t thread;
    tq_executor *pool;
    tq_status drained;
    sem_t begun;
    sem_t open;
};

static void note_place(tq_future *future, void *user)
{
    (void)future;
    ((struct place *)user)->thread = pthread_self();
}

static void callbacks_of_a_cancelled_task_run_where_it_was_cancelled(void **unused)
{
    (void)unused;
    tq_executor *pool = start_pool(1, 0);
    struct place place = {.pool = pool};
    atomic_int counted = 0;
    tq_executor_pause(pool);
    tq_future *future = must_submit(pool, count, &counted);
    assert_int_equal(tq_future_on_done(future, note_place, &place), TQ_OK);
    assert_true(tq_future_cancel(future));
    assert_true(pthread_equal(place.thread, pthread_self()));
    tq_future_release(future);

    place = (struct place){.pool = pool};
    future = must_submit(pool, count, &counted);
    assert_int_equal(tq_future_on_done(future, note_place, &place), TQ_OK);
    tq_executor_shutdown(pool, true);
    assert_true(pthread_equal(place.thread, pthread_self()));
    check_final(future, TQ_FUTURE_CANCELLED, TQ_E_CANCELLED);
    tq_executor_destroy(pool);
    assert_int_equal(counted, 0);
}

static void destroy_the_pool(tq_future *future, void *user)
{
    (void)future;
    struct place *place = user;
    tq_executor_destroy(place->pool);
    place->pool = NULL;
}

/* Outside its tasks a pool may be ended by a callback, too. */
static void a_callback_of_shutdown_may_destroy(void **unused)
{
    (void)unused;
    struct place place = {.pool = start_pool(2, 0)};
    atomic_int counted = 0;
    atomic_int calls = 0;
    tq_executor_pause(place.pool);
    tq_future *first = must_submit(place.pool, count, &counted);
    tq_future *second = must_submit(place.pool, count, &counted);
    assert_int_equal(tq_future_on_done(first, destroy_the_pool, &place), TQ_OK);
    assert_int_equal(tq_future_on_done(second, count_call, &calls), TQ_OK);
    tq_executor_shutdown(place.pool, true);
    assert_null(place.pool);
    assert_int_equal(calls, 1);
    check_final(first, TQ_FUTURE_CANCELLED, TQ_E_CANCELLED);
    check_final(second, TQ_FUTURE_CANCELLED, TQ_E_CANCELLED);
}

/* ---- pause, resume, drain ---- */

static void a_paused_pool_starts_nothing(void **unused)
{
    (void)unused;
    struct gate gate;
    gate_init(&gate);
    tq_executor *pool = start_pool(2, 0);
    atomic_int counted = 0;
    tq_future *running = must_submit(pool, pass_gate, &gate);
    take(&gate.begun);
    tq_executor_pause(pool);
    tq_executor_pause(pool);
    tq_future *waiting = must_submit(pool, count, &counted);
    sem_post(&gate.open);
    check_final(running, TQ_FUTURE_DONE, TQ_OK); /* a running one ends */
    assert_int_equal(tq_executor_drain(pool, 0.01), TQ_E_TIMEOUT);
    assert_int_equal(tq_future_get_state(waiting), TQ_FUTURE_PENDING);
    assert_int_equal(counted, 0);
    tq_executor_resume(pool);
    check_final(waiting, TQ_FUTURE_DONE, TQ_OK);
    assert_int_equal(counted, 1);
    tq_executor_resume(pool);
    check_final(must_submit(pool, count, &counted), TQ_FUTURE_DONE, TQ_OK);
    tq_executor_destroy(pool);
    gate_free(&gate);
}

static int drain_from_inside(void *arg, const tq_worker *worker)
{
    (void)worker;
    struct place *place = arg;
    place->drained = tq_executor_drain(place->pool, TQ_FOREVER);
    return 0;
}

static void drain_from_callback(tq_future *future, void *user)
{
    (void)future;
    struct place *place = user;
    sem_post(&place->begun);
    take(&place->open);
    place->drained = tq_executor_drain(place->pool, TQ_FOREVER);
}

static void drain_waits_for_tasks_and_their_callbacks(void **unused)
{
    (void)unused;
    struct gate gate;
    gate_init(&gate);
    tq_executor *pool = start_pool(1, 0);
    struct place place = {.pool = pool};
    assert_int_equal(sem_init(&place.begun, 0, 0), 0);
    assert_int_equal(sem_init(&place.open, 0, 0), 0);
    assert_int_equal(tq_executor_drain(pool, 0.0), TQ_OK);
    assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
    tq_future *future = must_submit(pool, pass_gate, &gate);
    assert_int_equal(tq_future_on_done(future, drain_from_callback, &place), TQ_OK);
    take(&gate.begun);
    assert_int_equal(tq_executor_drain(pool, 0.0), TQ_E_TIMEOUT);
    assert_int_equal(tq_executor_drain(pool, 0.01), TQ_E_TIMEOUT);
    sem_post(&gate.open);
    take(&place.begun);
    assert_int_equal(tq_future_wait(future, TQ_FOREVER), TQ_OK); /* final, although a callback is still at it */
    assert_int_equal(tq_executor_drain(pool, 0.01), TQ_E_TIMEOUT);
    sem_post(&place.open);
    assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
    assert_int_equal(place.drained, TQ_E_STATE);
    check_final(future, TQ_FUTURE_DONE, TQ_OK);
    tq_executor_destroy(pool);
    sem_destroy(&place.begun);
    sem_destroy(&place.open);
    gate_free(&gate);
}

static void drain_is_refused_inside_a_task(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 2; workers++) {
        tq_executor *pool = start_pool(workers, 0);
        tq_executor *other = start_pool(workers, 0);
        struct place same = {.pool = pool};
        struct place different = {.pool = other};
        check_final(must_submit(pool, drain_from_inside, &same), TQ_FUTURE_DONE, TQ_OK);
        check_final(must_submit(pool, drain_from_inside, &different), TQ_FUTURE_DONE, TQ_OK);
        assert_int_equal(same.drained, TQ_E_STATE);
        assert_int_equal(different.drained, TQ_OK);
        tq_executor_destroy(other);
        tq_executor_destroy(pool);
    }
}

/* ---- shutdown, destroy ---- */

static void shutdown_lets_the_queue_run(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 2; workers++) {
        tq_executor *pool = start_pool(workers, 0);
        atomic_int counted = 0;
        tq_executor_pause(pool);
        for (int i = 0; i < 20; i++)
            assert_int_equal(tq_executor_submit(pool, count, &counted, NULL), TQ_OK);
        tq_executor_shutdown(pool, false); /* resumes */
        assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
        assert_int_equal(counted, 20);
        tq_executor_destroy(pool);
    }
}

static void shutdown_can_cancel_what_waits(void **unused)
{
    (void)unused;
    struct gate gate;
    tq_executor *pool = start_busy_pool(&gate, 0);
    atomic_int counted = 0;
    atomic_int calls = 0;
    tq_future *futures[10];
    for (int i = 0; i < 10; i++) {
        futures[i] = must_submit(pool, count, &counted);
        assert_int_equal(tq_future_on_done(futures[i], count_call, &calls), TQ_OK);
        assert_int_equal(tq_executor_submit(pool, count, &counted, NULL), TQ_OK);
    }
    tq_executor_shutdown(pool, false); /* returns at once: the worker is in the gate */
    assert_int_equal(tq_future_get_state(futures[0]), TQ_FUTURE_PENDING);
    tq_executor_pause(pool); /* no pause any more */
    tq_executor_shutdown(pool, true);
    assert_int_equal(calls, 10);
    for (int i = 0; i < 10; i++)
        check_final(futures[i], TQ_FUTURE_CANCELLED, TQ_E_CANCELLED);
    tq_executor_shutdown(pool, false);
    sem_post(&gate.open);
    tq_executor_destroy(pool);
    assert_int_equal(counted, 0);
    assert_int_equal(gate.inside, 0); /* the running one ended by itself */
    gate_free(&gate);
}

static void a_pause_after_shutdown_does_not_hold(void **unused)
{
    (void)unused;
    struct gate gate;
    tq_executor *pool = start_busy_pool(&gate, 0);
    atomic_int counted = 0;
    assert_int_equal(tq_executor_submit(pool, count, &counted, NULL), TQ_OK);
    tq_executor_shutdown(pool, false);
    tq_executor_pause(pool);
    sem_post(&gate.open);
    assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
    assert_int_equal(counted, 1);
    tq_executor_destroy(pool);
    gate_free(&gate);
}

static void destroy_waits_for_every_task(void **unused)
{
    (void)unused;
    for (int workers = 0; workers <= 3; workers++) {
        for (int paused = 0; paused <= 1; paused++) {
            tq_executor *pool = start_pool(workers, 0);
            atomic_int counted = 0;
            atomic_int calls = 0;
            if (paused)
                tq_executor_pause(pool);
            for (int i = 0; i < 50; i++) {
                tq_future *future = must_submit(pool, count, &counted);
                assert_int_equal(tq_future_on_done(future, count_call, &calls), TQ_OK);
                tq_future_release(future);
            }
            tq_executor_destroy(pool);
            assert_int_equal(counted, 50);
            assert_int_equal(calls, 50);
        }
    }
}

/* ---- resize ---- */

static void resize_refuses_what_makes_no_sense(void **unused)
{
    (void)unused;
    tq_executor *pool = start_pool(2, 0);
    assert_int_equal(tq_executor_resize(pool, 0), TQ_E_USAGE);
    assert_int_equal(tq_executor_resize(pool, -3), TQ_E_USAGE);
    assert_int_equal(tq_executor_resize(pool, TQ_MAX_WORKERS + 1), TQ_E_USAGE);
    assert_int_equal(tq_executor_resize(NULL, 1), TQ_E_USAGE);
    assert_int_equal(tq_executor_workers(pool), 2);
    assert_int_equal(tq_executor_resize(pool, 2), TQ_OK);
    tq_executor_destroy(pool);
    pool = start_pool(0, 0);
    assert_int_equal(tq_executor_resize(pool, 1), TQ_E_USAGE);
    assert_int_equal(tq_executor_workers(pool), 0);
    tq_executor_destroy(pool);
}

static void a_busy_pool_grows_and_shrinks(void **unused)
{
    (void)unused;
    struct staff *staff = hire_staff();
    struct gate gate;
    tq_executor *pool;
    gate_init(&gate);
    assert_int_equal(create_staffed(staff, 1, 0, &pool), TQ_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(tq_executor_submit(pool, pass_gate, &gate, NULL), TQ_OK);
    take(&gate.begun);
    assert_int_equal(tq_executor_resize(pool, 4), TQ_OK);
    assert_int_equal(tq_executor_workers(pool), 4);
    for (int i = 0; i < 3; i++)
        take(&gate.begun); /* all four are inside at the same time */
    assert_int_equal(gate.most, 4);
    for (int i = 0; i < 4; i++)
        assert_true(staff->present[i]);

    atomic_int counted = 0;
    for (int i = 0; i < 30; i++)
        assert_int_equal(tq_executor_submit(pool, count, &counted, NULL), TQ_OK);
    assert_int_equal(tq_executor_resize(pool, 1), TQ_OK); /* at once, although all are busy */
    assert_int_equal(tq_executor_workers(pool), 1);
    assert_int_equal(staff->exits, 0);
    give(&gate.open, 4);
    for (int i = 0; i < 3; i++)
        take(&staff->exiting);
    assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
    assert_int_equal(counted, 30);
    gate.most = 0;
    for (int i = 0; i < 5; i++)
        assert_int_equal(tq_executor_submit(pool, pass_gate, &gate, NULL), TQ_OK);
    give(&gate.open, 5);
    assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
    assert_int_equal(gate.most, 1);
    assert_int_equal(gate.index, 0);
    assert_true(staff->present[0]);
    tq_executor_destroy(pool);
    assert_int_equal(staff->inits, 4);
    assert_int_equal(staff->exits, 4);
    dismiss_staff(staff);
    gate_free(&gate);
}

static void idle_workers_leave_and_the_lowest_index_is_taken_first(void **unused)
{
    (void)unused;
    struct staff *staff = hire_staff();
    tq_executor *pool;
    assert_int_equal(create_staffed(staff, 5, 0, &pool), TQ_OK);
    for (int i = 0; i < 5; i++)
        take(&staff->initialized);
    assert_int_equal(tq_executor_resize(pool, 2), TQ_OK);
    for (int i = 0; i < 3; i++)
        take(&staff->exiting);
    for (int workers = 3; workers <= 5; workers++) {
        assert_int_equal(tq_executor_resize(pool, workers), TQ_OK);
        take(&staff->initialized);
        assert_int_equal(staff->last_index, workers - 1);
    }
    tq_executor_destroy(pool);
    assert_int_equal(staff->inits, 8);
    assert_int_equal(staff->exits, 8);
    dismiss_staff(staff);
}

static void an_index_is_free_only_after_worker_exit(void **unused)
{
    (void)unused;
    struct staff *staff = hire_staff();
    tq_executor *pool;
    staff->exits_wait = true;
    assert_int_equal(create_staffed(staff, 2, 0, &pool), TQ_OK);
    take(&staff->initialized);
    take(&staff->initialized);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(tq_executor_resize(pool, 1), TQ_OK);
        take(&staff->exiting); /* index 1 is in worker_exit, and stays there */
        assert_int_equal(tq_executor_resize(pool, 2), TQ_OK);
        assert_int_equal(tq_executor_resize(pool, 1), TQ_OK);
        assert_int_equal(tq_executor_resize(pool, 2), TQ_OK);
        atomic_int counted = 0;
        check_final(must_submit(pool, count, &counted), TQ_FUTURE_DONE, TQ_OK); /* index 0 works on */
        usleep(1000);
        assert_int_equal(staff->inits, 2 + round);
        sem_post(&staff->may_exit);
        take(&staff->initialized); /* staff_init has found that nobody else was present */
        assert_int_equal(staff->last_index, 1);
    }
    give(&staff->may_exit, 2);
    tq_executor_destroy(pool);
    assert_int_equal(staff->exits, 5);
    dismiss_staff(staff);
}

struct self_resize {
    tq_executor *pool;
    int size;
};

static int resize_from_inside(void *arg, const tq_worker *worker)
{
    (void)worker;
    struct self_resize *change = arg;
    return (int)tq_executor_resize(change->pool, change->size);
}

static void a_task_may_resize_its_pool(void **unused)
{
    (void)unused;
    struct staff *staff = hire_staff();
    tq_executor *pool;
    assert_int_equal(create_staffed(staff, 1, 0, &pool), TQ_OK);
    struct self_resize up = {pool, 6};
    struct self_resize down = {pool, 1};
    for (int i = 0; i < 40; i++) {
        check_final(must_submit(pool, resize_from_inside, i % 2 == 0 ? &up : &down), TQ_FUTURE_DONE, TQ_OK);
        assert_int_equal(tq_executor_workers(pool), i % 2 == 0 ? 6 : 1);
    }
    tq_executor_destroy(pool);
    assert_int_equal(staff->inits, staff->exits);
    dismiss_staff(staff);
}

/* Under load: several submit and cancel, one resizes and pauses; each index is used by one task at a time, and the
 * plain counters (ThreadSanitizer watches) are handed from one task to the next. */
#define LOAD_SUBMITTERS 3
#define LOAD_TASKS      700
#define LOAD_WORKERS    9

struct load {
    tq_executor *pool;
    struct staff *staff;
    atomic_bool busy[TQ_MAX_WORKERS];
    int plain[TQ_MAX_WORKERS];
    atomic_int ran;
    atomic_int nested;
    atomic_int cancelled;
    atomic_int calls;
    atomic_int wrong;
    atomic_bool over;
};

static int load_nested(void *arg, const tq_worker *worker)
{
    struct load *load = arg;
    load->wrong += atomic_exchange(&load->busy[worker->index], true);
    load->plain[worker->index]++;
    load->nested++;
    load->wrong += !atomic_exchange(&load->busy[worker->index], false);
    return 0;
}

static int load_task(void *arg, const tq_worker *worker)
{
    struct load *load = arg;
    load->wrong += atomic_exchange(&load->busy[worker->index], true);
    load->wrong += worker->state != &load->staff->states[worker->index];
    load->plain[worker->index]++;
    load->ran++;
    load->wrong += tq_executor_submit(load->pool, load_nested, load, NULL) != TQ_OK;
    load->wrong += !atomic_exchange(&load->busy[worker->index], false);
    return 0;
}

static void *load_submitter(void *arg)
{
    struct load *load = arg;
    for (int i = 0; i < LOAD_TASKS; i++) {
        if (i % 3 == 0) {
            load->wrong += tq_executor_submit(load->pool, load_task, load, NULL) != TQ_OK;
            continue;
        }
        tq_future *future = NULL;
        load->wrong += tq_executor_submit(load->pool, load_task, load, &future) != TQ_OK;
        load->wrong += tq_future_on_done(future, count_call, &load->calls) != TQ_OK;
        if (i % 3 == 1 && tq_future_cancel(future))
            load->cancelled++;
        if (i % 50 == 2)
            load->wrong += tq_future_wait(future, TQ_FOREVER) != TQ_OK;
        tq_future_release(future);
    }
    return NULL;
}

static void *load_changer(void *arg)
{
    struct load *load = arg;
    unsigned seed = 7;
    while (!load->over) {
        seed = seed * 1103515245u + 12345u;
        load->wrong += tq_executor_resize(load->pool, 1 + (int)(seed >> 16) % LOAD_WORKERS) != TQ_OK;
        if (seed >> 28 == 0) {
            tq_executor_pause(load->pool);
            sched_yield();
            tq_executor_resume(load->pool);
        }
        sched_yield();
    }
    return NULL;
}

static void resize_under_load(void **unused)
{
    (void)unused;
    struct load *load = calloc(1, sizeof *load);
    assert_non_null(load);
    load->staff = hire_staff();
    assert_int_equal(create_staffed(load->staff, 3, 5, &load->pool), TQ_OK);
    pthread_t submitters[LOAD_SUBMITTERS], changer;
    for (int i = 0; i < LOAD_SUBMITTERS; i++)
        assert_int_equal(pthread_create(&submitters[i], NULL, load_submitter, load), 0);
    assert_int_equal(pthread_create(&changer, NULL, load_changer, load), 0);
    for (int i = 0; i < LOAD_SUBMITTERS; i++)
        assert_int_equal(pthread_join(submitters[i], NULL), 0);
    assert_int_equal(tq_executor_drain(load->pool, TQ_FOREVER), TQ_OK);
    load->over = true;
    assert_int_equal(pthread_join(changer, NULL), 0);
    tq_executor_destroy(load->pool);
    assert_int_equal(load->wrong, 0);
    assert_int_equal(load->ran + load->cancelled, LOAD_SUBMITTERS * LOAD_TASKS);
    assert_int_equal(load->nested, load->ran);
    assert_int_equal(load->calls, LOAD_SUBMITTERS * (LOAD_TASKS - (LOAD_TASKS + 2) / 3));
    int total = 0;
    for (int i = 0; i < LOAD_WORKERS; i++)
        total += load->plain[i];
    assert_int_equal(total, load->ran + load->nested);
    assert_int_equal(load->staff->inits, load->staff->exits);
    dismiss_staff(load->staff);
    free(load);
}

/* ---- an initializer that fails ---- */

static void a_failing_initializer_breaks_the_pool(void **unused)
{
    (void)unused;
    struct staff *staff = hire_staff();
    tq_executor *pool;
    atomic_int counted = 0;
    atomic_int calls = 0;
    staff->failing_index = 0;
    assert_int_equal(create_staffed(staff, 1, 3, &pool), TQ_OK);
    tq_future *futures[2];
    for (int i = 0; i < 2; i++) {
        futures[i] = must_submit(pool, count, &counted);
        assert_int_equal(tq_future_on_done(futures[i], count_call, &calls), TQ_OK);
    }
    assert_int_equal(tq_executor_submit(pool, count, &counted, NULL), TQ_OK);
    struct submitter submitters[2]; /* the queue is full */
    submitter_start(&submitters[0], pool, NULL, true);
    submitter_start(&submitters[1], pool, NULL, false);
    sem_post(&staff->may_fail);
    for (int i = 0; i < 2; i++) {
        submitter_end(&submitters[i]);
        check_final(futures[i], TQ_FUTURE_FAILED, TQ_E_USER);
    }
    assert_int_equal(submitters[0].status, TQ_OK);
    check_final(submitters[0].future, TQ_FUTURE_FAILED, TQ_E_USER);
    assert_int_equal(submitters[1].status, TQ_E_USER);
    /* It stays broken. */
    tq_future *late = must_submit(pool, count, &counted);
    assert_non_null(strstr(tq_future_error(late), "worker_init returned 5"));
    check_final(late, TQ_FUTURE_FAILED, TQ_E_USER);
    assert_int_equal(tq_executor_submit(pool, count, &counted, NULL), TQ_E_USER);
    assert_int_equal(tq_executor_resize(pool, 4), TQ_OK);
    check_final(must_submit(pool, count, &counted), TQ_FUTURE_FAILED, TQ_E_USER);
    assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
    tq_executor_destroy(pool);
    assert_int_equal(calls, 2);
    assert_int_equal(counted + submitters[0].counted + submitters[1].counted, 0);
    assert_int_equal(staff->inits, 1);
    assert_int_equal(staff->exits, 0);
    dismiss_staff(staff);
}

static void what_runs_when_the_pool_breaks_still_ends(void **unused)
{
    (void)unused;
    struct staff *staff = hire_staff();
    struct gate gate;
    tq_executor *pool;
    atomic_int counted = 0;
    gate_init(&gate);
    staff->failing_index = 1;
    assert_int_equal(create_staffed(staff, 1, 0, &pool), TQ_OK);
    tq_future *running = must_submit(pool, pass_gate, &gate);
    take(&gate.begun);
    tq_future *waiting = must_submit(pool, count, &counted);
    assert_int_equal(tq_executor_resize(pool, 2), TQ_OK);
    sem_post(&staff->may_fail);
    check_final(waiting, TQ_FUTURE_FAILED, TQ_E_USER);
    assert_int_equal(tq_future_get_state(running), TQ_FUTURE_RUNNING);
    sem_post(&gate.open);
    check_final(running, TQ_FUTURE_DONE, TQ_OK);
    tq_executor_destroy(pool);
    assert_int_equal(counted, 0);
    assert_int_equal(staff->exits, 1); /* only what was initialized is ended */
    dismiss_staff(staff);
    gate_free(&gate);
}

/* ---- no threads ---- */

static void inline_tasks_run_at_once_on_the_callers_thread(void **unused)
{
    (void)unused;
    struct staff *staff = hire_staff();
    tq_executor *pool;
    assert_int_equal(create_staffed(staff, 0, 0, &pool), TQ_OK);
    assert_int_equal(staff->inits, 1); /* inside create */
    assert_true(pthread_equal(staff->threads[0], pthread_self()));
    assert_int_equal(tq_executor_workers(pool), 0);
    tq_future *future = must_submit(pool, check_staff, staff);
    assert_int_equal(staff->states[0], 1);
    assert_true(tq_future_done(future));
    check_final(future, TQ_FUTURE_DONE, TQ_OK);
    assert_int_equal(tq_executor_try_submit(pool, check_staff, staff, NULL), TQ_OK);
    assert_int_equal(staff->states[0], 2);
    tq_executor_destroy(pool);
    assert_int_equal(staff->exits, 1);
    dismiss_staff(staff);
}

static void an_inline_initializer_that_fails_makes_no_pool(void **unused)
{
    (void)unused;
    struct staff *staff = hire_staff();
    tq_executor *pool;
    staff->failing_index = 0;
    sem_post(&staff->may_fail);
    assert_int_equal(create_staffed(staff, 0, 0, &pool), TQ_E_USER);
    assert_null(pool);
    assert_int_equal(staff->inits, 1);
    assert_int_equal(staff->exits, 0);
    dismiss_staff(staff);
}

struct parent {
    tq_executor *pool;
    struct entry *entries; /* before, two children, after */
    tq_future *child;
    bool child_was_done;
    int wrong;
};

static int run_parent(void *arg, const tq_worker *worker)
{
    struct parent *parent = arg;
    note(&parent->entries[0], worker);
    parent->wrong += tq_executor_submit(parent->pool, note, &parent->entries[1], &parent->child) != TQ_OK;
    parent->wrong += tq_executor_try_submit(parent->pool, note, &parent->entries[2], NULL) != TQ_OK;
    parent->child_was_done = tq_future_done(parent->child);
    note(&parent->entries[3], worker);
    return 0;
}

static void nested_inline_tasks_run_after_the_current_one(void **unused)
{
    (void)unused;
    tq_executor *pool = start_pool(0, 0);
    struct sequence sequence = {.n = 0};
    struct entry entries[4] = {{&sequence, 0}, {&sequence, 1}, {&sequence, 2}, {&sequence, 3}};
    struct parent parent = {.pool = pool, .entries = entries};
    assert_int_equal(tq_executor_submit(pool, run_parent, &parent, NULL), TQ_OK);
    assert_int_equal(parent.wrong, 0);
    assert_false(parent.child_was_done);
    check_final(parent.child, TQ_FUTURE_DONE, TQ_OK);
    const int expected[] = {0, 3, 1, 2};
    assert_int_equal(sequence.n, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(sequence.numbers[i], expected[i]);
    tq_executor_destroy(pool);
}

struct descent {
    tq_executor *pool;
    int left;
    int wrong;
};

static int descend(void *arg, const tq_worker *worker)
{
    (void)worker;
    struct descent *descent = arg;
    if (descent->left-- > 0)
        descent->wrong += tq_executor_submit(descent->pool, descend, descent, NULL) != TQ_OK;
    return 0;
}

static void a_long_chain_of_inline_tasks_needs_no_stack(void **unused)
{
    (void)unused;
    struct descent descent = {.pool = start_pool(0, 1), .left = 300000};
    assert_int_equal(tq_executor_submit(descent.pool, descend, &descent, NULL), TQ_OK);
    assert_int_equal(descent.left, -1);
    assert_int_equal(descent.wrong, 0);
    tq_executor_destroy(descent.pool);
}

static void resume_runs_what_waited_inline(void **unused)
{
    (void)unused;
    tq_executor *pool = start_pool(0, 8);
    struct sequence sequence = {.n = 0};
    struct entry entries[8];
    tq_future *futures[8];
    tq_executor_pause(pool);
    for (int i = 0; i < 8; i++) {
        entries[i] = (struct entry){&sequence, i};
        futures[i] = must_submit(pool, note, &entries[i]);
    }
    assert_int_equal(sequence.n, 0);
    assert_int_equal(tq_executor_drain(pool, 0.0), TQ_E_TIMEOUT);
    assert_true(tq_future_cancel(futures[3]));
    tq_executor_resume(pool);
    const int expected[] = {0, 1, 2, 4, 5, 6, 7};
    assert_int_equal(sequence.n, 7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(sequence.numbers[i], expected[i]);
    for (int i = 0; i < 8; i++)
        tq_future_release(futures[i]);
    tq_executor_destroy(pool);
}

struct inside {
    tq_executor *pool;
    struct entry *entries;
    tq_future *future;
    int wrong;
};

static int pause_and_submit(void *arg, const tq_worker *worker)
{
    (void)worker;
    struct inside *inside = arg;
    tq_executor_pause(inside->pool);
    inside->wrong += tq_executor_submit(inside->pool, note, &inside->entries[0], &inside->future) != TQ_OK;
    return 0;
}

static int resume_inside(void *arg, const tq_worker *worker)
{
    struct inside *inside = arg;
    tq_executor_pause(inside->pool);
    inside->wrong += tq_executor_submit(inside->pool, note, &inside->entries[1], NULL) != TQ_OK;
    tq_executor_resume(inside->pool); /* leaves it to the loop this task is called from */
    return note(&inside->entries[0], worker);
}

static void inline_pause_and_resume_inside_a_task(void **unused)
{
    (void)unused;
    struct sequence sequence = {.n = 0};
    struct entry entries[2] = {{&sequence, 0}, {&sequence, 1}};
    struct inside inside = {.pool = start_pool(0, 0), .entries = entries};
    assert_int_equal(tq_executor_submit(inside.pool, pause_and_submit, &inside, NULL), TQ_OK);
    assert_int_equal(sequence.n, 0);
    assert_int_equal(tq_future_get_state(inside.future), TQ_FUTURE_PENDING);
    tq_executor_resume(inside.pool);
    check_final(inside.future, TQ_FUTURE_DONE, TQ_OK);
    assert_int_equal(sequence.n, 1);
    sequence.n = 0;
    assert_int_equal(tq_executor_submit(inside.pool, resume_inside, &inside, NULL), TQ_OK);
    assert_int_equal(sequence.n, 2);
    assert_int_equal(sequence.numbers[0], 0);
    assert_int_equal(sequence.numbers[1], 1);
    assert_int_equal(inside.wrong, 0);
    tq_executor_destroy(inside.pool);
}

static void inline_shutdown_cancels_or_runs(void **unused)
{
    (void)unused;
    for (int cancel = 0; cancel <= 1; cancel++) {
        tq_executor *pool = start_pool(0, 0);
        atomic_int counted = 0;
        tq_executor_pause(pool);
        tq_future *future = must_submit(pool, count, &counted);
        tq_executor_shutdown(pool, cancel);
        assert_int_equal(counted, cancel ? 0 : 1);
        check_final(future, cancel ? TQ_FUTURE_CANCELLED : TQ_FUTURE_DONE, cancel ? TQ_E_CANCELLED : TQ_OK);
        tq_executor_destroy(pool);
    }
}

struct inline_thread {
    tq_executor *pool;
    struct gate *gate;
    pthread_t ran_on;
    bool on_own_thread;
    pthread_t thread;
};

static int note_thread(void *arg, const tq_worker *worker)
{
    (void)worker;
    ((struct inline_thread *)arg)->ran_on = pthread_self();
    return 0;
}

static void *inline_gate_main(void *arg)
{
    struct inline_thread *own = arg;
    tq_executor_submit(own->pool, pass_gate, own->gate, NULL);
    return NULL;
}

static void *inline_note_main(void *arg)
{
    struct inline_thread *own = arg;
    own->on_own_thread =
        tq_executor_submit(own->pool, note_thread, own, NULL) == TQ_OK && pthread_equal(own->ran_on, pthread_self());
    return NULL;
}

static void inline_callers_take_turns(void **unused)
{
    (void)unused;
    struct gate gate;
    gate_init(&gate);
    tq_executor *pool = start_pool(0, 0);
    struct inline_thread first = {.pool = pool, .gate = &gate};
    struct inline_thread others[3];
    atomic_int counted = 0;
    assert_int_equal(pthread_create(&first.thread, NULL, inline_gate_main, &first), 0);
    take(&gate.begun);
    assert_int_equal(tq_executor_try_submit(pool, count, &counted, NULL), TQ_E_AGAIN);
    assert_int_equal(tq_executor_drain(pool, 0.001), TQ_E_TIMEOUT);
    for (int i = 0; i < 3; i++) {
        others[i] = (struct inline_thread){.pool = pool};
        assert_int_equal(pthread_create(&others[i].thread, NULL, inline_note_main, &others[i]), 0);
    }
    assert_int_equal(counted, 0);
    sem_post(&gate.open);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(others[i].thread, NULL), 0);
        assert_true(others[i].on_own_thread);
    }
    assert_int_equal(pthread_join(first.thread, NULL), 0);
    assert_int_equal(tq_executor_drain(pool, TQ_FOREVER), TQ_OK);
    tq_executor_destroy(pool);
    gate_free(&gate);
}

static void *inline_load_main(void *arg)
{
    struct load *load = arg;
    for (int i = 0; i < 300; i++) {
        tq_future *future = NULL;
        load->wrong += tq_executor_submit(load->pool, load_nested, load, i % 2 == 0 ? &future : NULL) != TQ_OK;
        load->wrong += i % 2 == 0 && !tq_future_done(future);
        tq_future_release(future);
    }
    return NULL;
}

static void inline_callers_never_run_two_tasks_at_once(void **unused)
{
    (void)unused;
    struct load *load = calloc(1, sizeof *load);
    pthread_t threads[4];
    assert_non_null(load);
    load->pool = start_pool(0, 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, inline_load_main, load), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    tq_executor_destroy(load->pool);
    assert_int_equal(load->wrong, 0);
    assert_int_equal(load->plain[0], 1200);
    free(load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_refuses_what_makes_no_sense),
        cmocka_unit_test(as_many_workers_as_allowed),
        cmocka_unit_test(threads_that_cannot_be_started),
        cmocka_unit_test(a_future_tells_what_the_task_returned),
        cmocka_unit_test(submit_refuses_no_task),
        cmocka_unit_test(a_released_future_does_not_stop_its_task),
        cmocka_unit_test(tasks_start_in_the_order_of_submission),
        cmocka_unit_test(workers_are_initialized_and_ended_on_their_own_threads),
        cmocka_unit_test(without_an_initializer_the_state_is_null),
        cmocka_unit_test(the_queue_holds_its_capacity),
        cmocka_unit_test(submit_waits_while_the_queue_is_full),
        cmocka_unit_test(a_worker_queues_beyond_the_bound),
        cmocka_unit_test(after_shutdown_nothing_is_taken),
        cmocka_unit_test(shutdown_wakes_waiting_submitters),
        cmocka_unit_test(what_waits_is_cancelled_and_makes_room),
        cmocka_unit_test(cancelling_the_last_one_drains_and_wakes_a_submitter),
        cmocka_unit_test(a_running_task_cannot_be_cancelled),
        cmocka_unit_test(futures_outlive_their_pool),
        cmocka_unit_test(a_task_either_runs_or_is_cancelled),
        cmocka_unit_test(a_callback_may_submit_and_release),
        cmocka_unit_test(callbacks_of_a_cancelled_task_run_where_it_was_cancelled),
        cmocka_unit_test(a_callback_of_shutdown_may_destroy),
        cmocka_unit_test(a_paused_pool_starts_nothing),
        cmocka_unit_test(drain_waits_for_tasks_and_their_callbacks),
        cmocka_unit_test(drain_is_refused_inside_a_task),
        cmocka_unit_test(shutdown_lets_the_queue_run),
        cmocka_unit_test(shutdown_can_cancel_what_waits),
        cmocka_unit_test(a_pause_after_shutdown_does_not_hold),
        cmocka_unit_test(destroy_waits_for_every_task),
        cmocka_unit_test(resize_refuses_what_makes_no_sense),
        cmocka_unit_test(a_busy_pool_grows_and_shrinks),
        cmocka_unit_test(idle_workers_leave_and_the_lowest_index_is_taken_first),
        cmocka_unit_test(an_index_is_free_only_after_worker_exit),
        cmocka_unit_test(a_task_may_resize_its_pool),
        cmocka_unit_test(resize_under_load),
        cmocka_unit_test(a_failing_initializer_breaks_the_pool),
        cmocka_unit_test(what_runs_when_the_pool_breaks_still_ends),
        cmocka_unit_test(inline_tasks_run_at_once_on_the_callers_thread),
        cmocka_unit_test(an_inline_initializer_that_fails_makes_no_pool),
        cmocka_unit_test(nested_inline_tasks_run_after_the_current_one),
        cmocka_unit_test(a_long_chain_of_inline_tasks_needs_no_stack),
        cmocka_unit_test(resume_runs_what_waited_inline),
        cmocka_unit_test(inline_pause_and_resume_inside_a_task),
        cmocka_unit_test(inline_shutdown_cancels_or_runs),
        cmocka_unit_test(inline_callers_take_turns),
        cmocka_unit_test(inline_callers_never_run_two_tasks_at_once),
    };
    alarm(HANG_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
