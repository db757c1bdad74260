/* A pool of threads and futures, in the shape of Python's concurrent.futures. No MPI: usable on its own.
 *
 * Threads: every function here may be called from any thread, also from a task or a completion callback, unless it says
 * otherwise. No callback is ever called with a lock held. */
#ifndef TEQUIO_EXECUTOR_H
#define TEQUIO_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tequio/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TQ_FOREVER (-1.0) /* a time-out that never comes */
#define TQ_MAX_WORKERS 1024

typedef struct tq_executor tq_executor;
typedef struct tq_future tq_future;

/* The worker a task runs on. At most one task at a time runs with one index, and what a task wrote is visible to the
 * next task with that index. */
typedef struct tq_worker {
    int index;   /* 0 .. TQ_MAX_WORKERS-1 */
    void *state; /* what worker_init stored, NULL without an initializer */
} tq_worker;

/* A task. Returns 0 when done; any other number makes the future failed, with that number as its code. */
typedef int (*tq_task_fn)(void *arg, const tq_worker *worker);

typedef struct tq_executor_options {
    int max_workers;       /* threads; 0 = no thread at all: submit runs the task at once on the caller's thread */
    size_t queue_capacity; /* tasks that may wait in the queue; 0 = 1024 */
    /* Called on each worker's own thread before its first task, and with max_workers = 0 once inside create. Non-zero =
     * this worker cannot work: the executor is broken for good, every task not yet started fails with TQ_E_USER, and so
     * does what is submitted later (without a future: submit returns TQ_E_USER). May be NULL. */
    int (*worker_init)(int index, void *user, void **state);
    /* Called on the worker's own thread when it ends (resize, destroy), unless its initializer failed; with
     * max_workers = 0 inside destroy. May be NULL. */
    void (*worker_exit)(int index, void *user, void *state);
    void *user; /* passed to both; must outlive the executor */
} tq_executor_options;

/* Start a pool. *executor is set only on success; the caller owns it and ends it with tq_executor_destroy.
 * TQ_E_USAGE: max_workers outside 0..TQ_MAX_WORKERS. TQ_E_MEMORY. TQ_E_SYSTEM: a thread could not be started.
 * TQ_E_USER: with max_workers = 0, worker_init failed. */
TQ_API tq_status tq_executor_create(const tq_executor_options *options, tq_executor **executor);

/* Queue task(arg, worker). arg must live until the future is done. Tasks start in the order in which they were queued.
 * submit waits while the queue is full (called from a worker of this executor it never waits, but queues beyond the
 * bound, so that tasks that submit tasks cannot deadlock); try_submit returns TQ_E_AGAIN instead. With future = NULL
 * nobody will ask for the outcome. Otherwise *future is set on success, and the caller releases it.
 * With max_workers = 0, a task submitted from within a task runs after that one has returned (so do not wait for it in
 * there), and a thread that submits while another one's task runs waits for its turn, or is told TQ_E_AGAIN.
 * TQ_E_STATE after shutdown. TQ_E_USER on a broken executor, without a future. TQ_E_USAGE for no task. TQ_E_MEMORY. */
TQ_API tq_status tq_executor_submit(tq_executor *executor, tq_task_fn task, void *arg, tq_future **future);
TQ_API tq_status tq_executor_try_submit(tq_executor *executor, tq_task_fn task, void *arg, tq_future **future);

/* Change the number of workers while the pool works. Returns at once: new workers start now, surplus ones end after the
 * task they are running. TQ_E_USAGE: outside 1..TQ_MAX_WORKERS, or a pool made with 0. TQ_E_SYSTEM: not all threads
 * could be started; the pool has as many as could. */
TQ_API tq_status tq_executor_resize(tq_executor *executor, int max_workers);

/* The number of workers asked for last. */
TQ_API int tq_executor_workers(const tq_executor *executor);

/* After pause no task starts; running ones end. Submitting goes on until the queue is full. With max_workers = 0, tasks
 * submitted while paused are run by resume, in order. */
TQ_API void tq_executor_pause(tq_executor *executor);
TQ_API void tq_executor_resume(tq_executor *executor);

/* Wait until no task is queued or running, and the callbacks of those that ran have returned. TQ_E_TIMEOUT if that was
 * not so within timeout_s seconds. TQ_E_STATE from a task of this executor or a callback on one of its workers. */
TQ_API tq_status tq_executor_drain(tq_executor *executor, double timeout_s);

/* Take no more tasks. cancel_pending: those that have not started become cancelled; otherwise they still run (a paused
 * pool is resumed, and cannot be paused again). Returns at once; with max_workers = 0, after it has run them. */
TQ_API void tq_executor_shutdown(tq_executor *executor, bool cancel_pending);

/* Shut down without cancelling (unless shutdown said otherwise before), wait for every task and worker, free the pool.
 * Futures live on until they are released. Not from a task of this executor, nor from a callback on one of its workers.
 * NULL is allowed. */
TQ_API void tq_executor_destroy(tq_executor *executor);

typedef enum tq_future_state {
    TQ_FUTURE_PENDING,   /* queued */
    TQ_FUTURE_RUNNING,
    TQ_FUTURE_DONE,      /* the task returned 0 */
    TQ_FUTURE_FAILED,    /* the task returned something else */
    TQ_FUTURE_CANCELLED  /* cancelled before it could finish */
} tq_future_state;

TQ_API tq_future_state tq_future_get_state(const tq_future *future);

/* Whether the state is final: done, failed or cancelled. */
TQ_API bool tq_future_done(const tq_future *future);

/* Wait for a final state, whichever it is. TQ_OK, or TQ_E_TIMEOUT after timeout_s seconds (0 = just look). */
TQ_API tq_status tq_future_wait(tq_future *future, double timeout_s);

/* Wait for one of n futures, and say in *index which (the lowest that is done); or for all. With n = 0, wait_any
 * returns TQ_E_USAGE and wait_all TQ_OK. TQ_E_TIMEOUT as above. wait_any needs memory for many: TQ_E_MEMORY. */
TQ_API tq_status tq_future_wait_any(tq_future *const *futures, size_t n, double timeout_s, size_t *index);
TQ_API tq_status tq_future_wait_all(tq_future *const *futures, size_t n, double timeout_s);

/* The outcome: TQ_OK when done; TQ_E_USER (or, for a job, its own status) when failed; TQ_E_CANCELLED; TQ_E_AGAIN while
 * it is not final. A NULL future, which is what a submission without memory gives, is TQ_E_MEMORY. */
TQ_API tq_status tq_future_status(const tq_future *future);

/* What the task returned; 0 unless it failed. */
TQ_API int tq_future_code(const tq_future *future);

/* What went wrong, one line; "" unless the future failed or was cancelled. Lives as long as the future. */
TQ_API const char *tq_future_error(const tq_future *future);

/* Ask that it does not happen. A task that has not started becomes cancelled, and true is returned, also when it had
 * been cancelled before. A running task cannot be stopped, and what is done or failed stays so: false. A job (tequio.h)
 * takes the request while it is queued or running, answers true, and ends soon after, on all ranks. */
TQ_API bool tq_future_cancel(tq_future *future);

/* Call fn(future, user) exactly once when the state is final: on the thread that made it final, or, if it is already
 * final, now. Several may be added; those added before it is final are called in that order. TQ_E_USAGE for a NULL fn.
 * TQ_E_MEMORY. */
TQ_API tq_status tq_future_on_done(tq_future *future, void (*fn)(tq_future *future, void *user), void *user);

/* Give up the caller's hold. The task still runs if it has not. NULL is allowed. */
TQ_API void tq_future_release(tq_future *future);

/* How far a set of futures is: called with how many are final and how many are not. Non-zero = cancel what can still be
 * cancelled and stop reporting. */
typedef int (*tq_progress_fn)(const char *tag, uint64_t done, uint64_t not_done, void *user);

/* Watch n futures from the calling thread until all are done: call callback(tag, done, not_done, user) every interval_s
 * seconds (0 or less = 0.5), and once more, with not_done = 0, when all are done. TQ_OK; TQ_E_CANCELLED if the callback
 * asked to stop; TQ_E_USAGE for a NULL callback. */
TQ_API tq_status tq_report_progress(tq_future *const *futures, size_t n, const char *tag, double interval_s,
                                    tq_progress_fn callback, void *user);

#ifdef __cplusplus
}
#endif
#endif
