/* The threads of a process, as the kernel sees them: which are new, and whether they sleep. */
#include "mpi/threads.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static atomic_bool busy;
static atomic_int id;
static sem_t gate;

/* Busy as long as it is told to be, and then asleep. */
static void *run(void *unused)
{
    (void)unused;
    atomic_store(&id, (int)gettid());
    while (atomic_load(&busy))
        ;
    sem_wait(&gate);
    return NULL;
}

static pthread_t start(bool at_work)
{
    pthread_t thread;

    atomic_store(&busy, at_work);
    atomic_store(&id, 0);
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
    while (atomic_load(&id) == 0)
        usleep(100);
    return thread;
}

static void end(pthread_t thread)
{
    atomic_store(&busy, false);
    sem_post(&gate);
    pthread_join(thread, NULL);
    sem_destroy(&gate);
}

static bool is_in(const tqi_threads *threads, int wanted)
{
    for (int i = 0; i < threads->count; i++)
        if (threads->ids[i] == wanted)
            return true;
    return false;
}

static void test_new_ones(void **state)
{
    tqi_threads before, now;

    (void)state;
    tqi_threads_list(&before);
    assert_true(is_in(&before, (int)gettid()));
    pthread_t thread = start(false);
    tqi_threads_list(&now);
    tqi_threads_leave_out(&now, &before);
    assert_true(is_in(&now, atomic_load(&id))); /* a sanitizer may have started one as well */
    assert_false(is_in(&now, (int)gettid()));
    end(thread);
}

static void test_busy(void **state)
{
    (void)state;
    pthread_t thread = start(true);
    tqi_threads threads = {1, {atomic_load(&id)}};
    assert_false(tqi_threads_await_rest(&threads, 20000));
    atomic_store(&busy, false);
    assert_true(tqi_threads_await_rest(&threads, 60000000));
    end(thread);
}

static void test_nobody(void **state)
{
    tqi_threads none = {0};

    (void)state;
    assert_true(tqi_threads_await_rest(&none, 0));
    pthread_t thread = start(false);
    tqi_threads ended = {1, {atomic_load(&id)}};
    end(thread);
    assert_true(tqi_threads_await_rest(&ended, 60000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_ones),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
