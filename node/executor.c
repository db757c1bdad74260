#include "node/future.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_CAPACITY 1024

/* A submission that waits in the queue. One with a future belongs to that future and is freed with it, so that a late
 * tq_future_cancel still finds it; one without is recycled. */
struct task {
    tq_task_fn run;
    void *arg;
    tq_future *future;     /* NULL, or with one reference held by the queue */
    tq_executor *executor; /* with a future: one reference, so that the lock outlives the pool if the future does */
    bool queued;           /* guarded by the executor's lock, like the links */
    struct task *next;
    struct task *previous;
};

/* The place of the worker with one index; every field but executor is guarded by the executor's lock.
 *
 * A thread that decides to end gives up the slot at once (live becomes false) and then calls worker_exit. A resize may
 * start the slot's next thread meanwhile; that one joins the thread before it first, so no two use an index. */
struct slot {
    tq_executor *executor;
    pthread_t thread; /* while live: the thread that works here */
    bool live;
    pthread_t leaver; /* while unjoined: the thread that worked here before */
    bool unjoined;
    bool leaving; /* the leaver still runs user code */
};

struct tq_executor {
    atomic_size_t references; /* the caller's until destroy, and one for each future; any thread */
    /* Constant after create. */
    size_t capacity;
    bool inline_mode; /* no threads: slot 0 is live while some caller's thread runs tasks */
    int (*worker_init)(int index, void *user, void **state);
    void (*worker_exit)(int index, void *user, void *state);
    void *user;
    tq_worker inline_worker; /* its state is set in create */

    atomic_int asked; /* workers asked for last: written under the lock, read by any thread */
    /* Guards everything below; any thread. Never held while user code runs. It comes before a future's lock. */
    pthread_mutex_t lock;
    pthread_cond_t work;  /* a worker may find a task, or has to end */
    pthread_cond_t room;  /* a submitter may find room, or (inline) its turn */
    pthread_cond_t quiet; /* nothing is queued or running, or the last thread gave up its slot */
    struct task *first;
    struct task *last;
    size_t queued;
    size_t running;     /* tasks, each including the callbacks of its future */
    struct task *spare; /* recycled tasks, at most capacity of them */
    size_t spares;
    bool paused;
    bool closed; /* shut down: no more submissions */
    bool broken; /* a worker_init failed: broken_text says which */
    bool ending; /* destroy: every worker ends */
    char broken_text[96];
    struct slot *slots; /* TQ_MAX_WORKERS of them */
    int slots_used;     /* slots beyond it never had a thread */
    int live;           /* slots that are live (with threads) */
};

/* ---- tasks and the queue; with the lock held unless a function says otherwise ---- */

static void executor_unref(tq_executor *executor)
{
    if (atomic_fetch_sub(&executor->references, 1) != 1)
        return;
    pthread_cond_destroy(&executor->quiet);
    pthread_cond_destroy(&executor->room);
    pthread_cond_destroy(&executor->work);
    pthread_mutex_destroy(&executor->lock);
    free(executor);
}

/* Hook of a task's future: its last reference is gone. Without a lock. */
static void destroy_task(void *owner)
{
    struct task *task = owner;
    tq_executor *executor = task->executor;
    free(task);
    executor_unref(executor);
}

static bool is_quiet(const tq_executor *executor)
{
    return executor->first == NULL && executor->running == 0;
}

static void announce(tq_executor *executor)
{
    if (executor->inline_mode) {
        /* Some wait for room and some for their turn: one signal could reach the wrong one. */
        pthread_cond_broadcast(&executor->room);
    } else if (executor->queued < executor->capacity) {
        pthread_cond_signal(&executor->room);
    }
    if (is_quiet(executor))
        pthread_cond_broadcast(&executor->quiet);
}

static void unlink_task(tq_executor *executor, struct task *task)
{
    *(task->previous != NULL ? &task->previous->next : &executor->first) = task->next;
    *(task->next != NULL ? &task->next->previous : &executor->last) = task->previous;
    task->queued = false;
    executor->queued--;
}

static void append_task(tq_executor *executor, struct task *task)
{
    task->next = NULL;
    task->previous = executor->last;
    *(executor->last != NULL ? &executor->last->next : &executor->first) = task;
    executor->last = task;
    task->queued = true;
    executor->queued++;
}

/* NULL without memory. Allocates only until as many exist as have ever been queued at once. */
static struct task *take_spare(tq_executor *executor)
{
    struct task *task = executor->spare;
    if (task == NULL)
        return malloc(sizeof *task);
    executor->spare = task->next;
    executor->spares--;
    return task;
}

/* What went beyond the bound once is not kept for ever. */
static void put_spare(tq_executor *executor, struct task *task)
{
    if (executor->spares >= executor->capacity) {
        free(task);
        return;
    }
    task->next = executor->spare;
    executor->spare = task;
    executor->spares++;
}

/* Hook of a task's future, called by tq_future_cancel. Without a lock. */
static bool cancel_task(void *owner)
{
    struct task *task = owner;
    tq_executor *executor = task->executor;
    tq_future *future = task->future;
    pthread_mutex_lock(&executor->lock);
    if (!task->queued) {
        pthread_mutex_unlock(&executor->lock);
        return tq_future_get_state(future) == TQ_FUTURE_CANCELLED;
    }
    unlink_task(executor, task);
    /* Settled under the lock: whoever sees the pool quiet after this, also sees the future final. */
    tqi_future_settle(future, TQ_FUTURE_CANCELLED, TQ_E_CANCELLED, 0, "cancelled before it started");
    announce(executor);
    pthread_mutex_unlock(&executor->lock);
    tqi_future_notify(future);
    tqi_future_drop(future);
    return true;
}

/* Empty the queue without running anything. Returns the tasks with a future, linked by next, for notify_dropped. */
static struct task *drop_queue(tq_executor *executor, tq_future_state final, tq_status status, const char *message)
{
    struct task *dropped = NULL;
    struct task **end = &dropped;
    while (executor->first != NULL) {
        struct task *task = executor->first;
        unlink_task(executor, task);
        if (task->future == NULL) {
            put_spare(executor, task);
            continue;
        }
        tqi_future_settle(task->future, final, status, 0, message);
        task->next = NULL;
        *end = task;
        end = &task->next;
    }
    pthread_cond_broadcast(&executor->room);
    if (is_quiet(executor))
        pthread_cond_broadcast(&executor->quiet);
    return dropped;
}

/* Without the lock: callbacks run. */
static void notify_dropped(struct task *task)
{
    while (task != NULL) {
        struct task *next = task->next; /* the release may free the task */
        tq_future *future = task->future;
        tqi_future_notify(future);
        tqi_future_drop(future);
        task = next;
    }
}

/* ---- workers ---- */

/* Whether the calling thread is one of this pool's. Under the lock, and only when the answer matters: the search is
 * linear. Kept here and not in a thread-local variable, because a thread may be inside several inline pools. */
static bool on_worker(const tq_executor *executor)
{
    pthread_t self = pthread_self();
    for (int i = 0; i < executor->slots_used; i++) {
        const struct slot *slot = &executor->slots[i];
        if ((slot->live && pthread_equal(slot->thread, self)) || (slot->leaving && pthread_equal(slot->leaver, self)))
            return true;
    }
    return false;
}

/* Without the lock. */
static void run_task(const struct task *task, const tq_worker *worker)
{
    int code = task->run(task->arg, worker);
    if (task->future == NULL)
        return;
    if (code == 0) {
        tqi_future_finish(task->future, TQ_FUTURE_DONE, TQ_OK, 0, NULL);
    } else {
        char message[48];
        snprintf(message, sizeof message, "the task returned %d", code);
        tqi_future_finish(task->future, TQ_FUTURE_FAILED, TQ_E_USER, code, message);
    }
    tqi_future_drop(task->future);
}

/* Take the first task of the queue and run it. Called with the lock, which is given up meanwhile. */
static void run_first(tq_executor *executor, const tq_worker *worker)
{
    struct task *first = executor->first;
    unlink_task(executor, first);
    struct task task = *first;
    if (task.future == NULL) {
        put_spare(executor, first);
    } else {
        bool started = tqi_future_start(task.future);
        assert(started); /* a cancelled task would not be in the queue */
        (void)started;
    }
    executor->running++;
    announce(executor);
    pthread_mutex_unlock(&executor->lock);
    run_task(&task, worker);
    pthread_mutex_lock(&executor->lock);
    executor->running--;
    if (is_quiet(executor))
        pthread_cond_broadcast(&executor->quiet);
}

/* Without the lock. False, and the pool is broken, if the initializer failed. */
static bool init_worker(tq_executor *executor, tq_worker *worker)
{
    int code = executor->worker_init == NULL ? 0 : executor->worker_init(worker->index, executor->user, &worker->state);
    if (code == 0)
        return true;
    pthread_mutex_lock(&executor->lock);
    if (!executor->broken) {
        executor->broken = true;
        snprintf(executor->broken_text, sizeof executor->broken_text, "worker %d: worker_init returned %d",
                 worker->index, code);
    }
    struct task *dropped = drop_queue(executor, TQ_FUTURE_FAILED, TQ_E_USER, executor->broken_text);
    pthread_mutex_unlock(&executor->lock);
    notify_dropped(dropped);
    return false;
}

/* Without the lock. Wait for the end of the thread that had this slot before. */
static void join_leaver(struct slot *slot)
{
    pthread_mutex_lock(&slot->executor->lock);
    bool unjoined = slot->unjoined;
    pthread_t leaver = slot->leaver;
    slot->unjoined = false;
    pthread_mutex_unlock(&slot->executor->lock);
    if (unjoined)
        pthread_join(leaver, NULL);
}

/* Run tasks until this worker is surplus. Called and returns with the lock. */
static void work(tq_executor *executor, const tq_worker *worker)
{
    while (!executor->ending && worker->index < atomic_load(&executor->asked)) {
        if (executor->first != NULL && !executor->paused)
            run_first(executor, worker);
        else
            pthread_cond_wait(&executor->work, &executor->lock);
    }
}

static void *worker_main(void *arg)
{
    struct slot *slot = arg;
    tq_executor *executor = slot->executor;
    join_leaver(slot);
    tq_worker worker = {.index = (int)(slot - executor->slots), .state = NULL};
    bool ready = init_worker(executor, &worker);
    pthread_mutex_lock(&executor->lock);
    if (ready)
        work(executor, &worker);
    slot->live = false;
    slot->leaver = slot->thread;
    slot->leaving = true;
    slot->unjoined = true;
    executor->live--;
    if (executor->live == 0)
        pthread_cond_broadcast(&executor->quiet);
    pthread_mutex_unlock(&executor->lock);
    if (ready && executor->worker_exit != NULL)
        executor->worker_exit(worker.index, executor->user, worker.state);
    pthread_mutex_lock(&executor->lock);
    slot->leaving = false;
    pthread_mutex_unlock(&executor->lock);
    return NULL;
}

/* Give every index below the number asked for a thread. With the lock, so that a new one finds its slot filled in. */
static tq_status start_missing(tq_executor *executor)
{
    int asked = atomic_load(&executor->asked);
    if (executor->broken || executor->ending)
        return TQ_OK; /* nothing will ever be queued again */
    for (int i = 0; i < asked; i++) {
        struct slot *slot = &executor->slots[i];
        if (slot->live)
            continue;
        slot->executor = executor;
        if (pthread_create(&slot->thread, NULL, worker_main, slot) != 0)
            return TQ_E_SYSTEM;
        slot->live = true;
        executor->live++;
        if (executor->slots_used <= i)
            executor->slots_used = i + 1;
    }
    return TQ_OK;
}

/* Run what is queued on the caller's thread, unless some thread (perhaps this one, further up its stack) is at it: then
 * that one does the rest. Tasks that tasks submit are therefore run one after the other and the stack does not grow.
 * Called and returns with the lock. */
static void run_inline(tq_executor *executor)
{
    struct slot *slot = &executor->slots[0];
    if (!executor->inline_mode || slot->live)
        return;
    slot->thread = pthread_self();
    slot->live = true;
    while (executor->first != NULL && !executor->paused)
        run_first(executor, &executor->inline_worker);
    slot->live = false;
    pthread_cond_broadcast(&executor->room);
}

/* ---- the public functions ---- */

static bool init_sync(tq_executor *executor)
{
    if (pthread_mutex_init(&executor->lock, NULL) != 0)
        return false;
    if (!tqi_cond_init(&executor->work))
        goto destroy_lock;
    if (!tqi_cond_init(&executor->room))
        goto destroy_work;
    if (!tqi_cond_init(&executor->quiet))
        goto destroy_room;
    return true;
destroy_room:
    pthread_cond_destroy(&executor->room);
destroy_work:
    pthread_cond_destroy(&executor->work);
destroy_lock:
    pthread_mutex_destroy(&executor->lock);
    return false;
}

/* A pool without threads, NULL without memory. */
static tq_executor *allocate(const tq_executor_options *options)
{
    tq_executor *executor = calloc(1, sizeof *executor);
    if (executor == NULL)
        return NULL;
    executor->slots = calloc(TQ_MAX_WORKERS, sizeof *executor->slots);
    if (executor->slots == NULL || !init_sync(executor)) {
        free(executor->slots);
        free(executor);
        return NULL;
    }
    atomic_init(&executor->references, 1);
    atomic_init(&executor->asked, options->max_workers);
    executor->capacity = options->queue_capacity == 0 ? DEFAULT_CAPACITY : options->queue_capacity;
    executor->inline_mode = options->max_workers == 0;
    executor->slots_used = executor->inline_mode ? 1 : 0;
    executor->worker_init = options->worker_init;
    executor->worker_exit = options->worker_exit;
    executor->user = options->user;
    return executor;
}

/* End the threads, which have nothing left to do, and free all but what futures may still need. */
static void dismantle(tq_executor *executor)
{
    pthread_mutex_lock(&executor->lock);
    executor->ending = true;
    pthread_cond_broadcast(&executor->work);
    while (executor->live > 0)
        pthread_cond_wait(&executor->quiet, &executor->lock);
    int used = executor->slots_used;
    pthread_mutex_unlock(&executor->lock);
    for (int i = 0; i < used; i++)
        if (!executor->inline_mode)
            join_leaver(&executor->slots[i]);
    while (executor->spare != NULL)
        free(take_spare(executor));
    free(executor->slots);
    executor->slots = NULL;
    executor_unref(executor);
}

tq_status tq_executor_create(const tq_executor_options *options, tq_executor **executor)
{
    if (options == NULL || executor == NULL || options->max_workers < 0 || options->max_workers > TQ_MAX_WORKERS)
        return TQ_E_USAGE;
    tq_executor *made = allocate(options);
    if (made == NULL)
        return TQ_E_MEMORY;
    tq_status status;
    if (made->inline_mode) {
        status = init_worker(made, &made->inline_worker) ? TQ_OK : TQ_E_USER;
    } else {
        pthread_mutex_lock(&made->lock);
        status = start_missing(made);
        pthread_mutex_unlock(&made->lock);
    }
    if (status != TQ_OK) {
        dismantle(made);
        return status;
    }
    *executor = made;
    return TQ_OK;
}

/* Wait until a task may be queued. With the lock. TQ_E_USER: the pool is broken. */
static tq_status await_room(tq_executor *executor, bool may_wait)
{
    for (;;) {
        if (executor->closed)
            return TQ_E_STATE;
        if (executor->broken)
            return TQ_E_USER;
        bool full = executor->queued >= executor->capacity;
        /* Inline tasks share one index, so another thread's must end first. */
        bool taken = executor->inline_mode && !executor->paused && executor->slots[0].live;
        if (!full && !taken)
            return TQ_OK;
        if ((may_wait || !full) && on_worker(executor))
            return TQ_OK;
        if (!may_wait)
            return TQ_E_AGAIN;
        pthread_cond_wait(&executor->room, &executor->lock);
    }
}

/* Without the lock. A task with a future, for which the caller has the only reference. NULL without memory. */
static struct task *create_task(tq_executor *executor)
{
    struct task *task = calloc(1, sizeof *task);
    if (task == NULL)
        return NULL;
    task->executor = executor;
    task->future = tqi_future_create(cancel_task, destroy_task, task);
    if (task->future == NULL) {
        free(task);
        return NULL;
    }
    atomic_fetch_add(&executor->references, 1);
    return task;
}

/* Queue a task; made is the one to take if there is to be a future. With the lock. */
static tq_status enqueue(tq_executor *executor, struct task *made, tq_task_fn run, void *arg)
{
    struct task *task = made != NULL ? made : take_spare(executor);
    if (task == NULL)
        return TQ_E_MEMORY;
    task->run = run;
    task->arg = arg;
    if (made != NULL) {
        tqi_future_retain(task->future); /* the queue's */
    } else {
        task->future = NULL;
        task->executor = NULL;
    }
    append_task(executor, task);
    if (!executor->inline_mode)
        pthread_cond_signal(&executor->work);
    else if (!executor->paused)
        run_inline(executor);
    return TQ_OK;
}

static tq_status submit(tq_executor *executor, tq_task_fn run, void *arg, tq_future **future, bool may_wait)
{
    if (executor == NULL || run == NULL)
        return TQ_E_USAGE;
    struct task *made = NULL;
    tq_future *promise = NULL;
    if (future != NULL) {
        made = create_task(executor);
        if (made == NULL)
            return TQ_E_MEMORY;
        promise = made->future;
    }
    pthread_mutex_lock(&executor->lock);
    tq_status status = await_room(executor, may_wait);
    if (status == TQ_OK)
        status = enqueue(executor, made, run, arg);
    pthread_mutex_unlock(&executor->lock);
    if (status == TQ_E_USER && promise != NULL) {
        /* As for the tasks that were queued when the pool broke: the future tells. */
        tqi_future_finish(promise, TQ_FUTURE_FAILED, TQ_E_USER, 0, executor->broken_text);
        status = TQ_OK;
    }
    if (status != TQ_OK) {
        tqi_future_drop(promise);
        return status;
    }
    if (future != NULL)
        *future = promise;
    return TQ_OK;
}

tq_status tq_executor_submit(tq_executor *executor, tq_task_fn task, void *arg, tq_future **future)
{
    return submit(executor, task, arg, future, true);
}

tq_status tq_executor_try_submit(tq_executor *executor, tq_task_fn task, void *arg, tq_future **future)
{
    return submit(executor, task, arg, future, false);
}

tq_status tq_executor_resize(tq_executor *executor, int max_workers)
{
    if (executor == NULL || executor->inline_mode || max_workers < 1 || max_workers > TQ_MAX_WORKERS)
        return TQ_E_USAGE;
    pthread_mutex_lock(&executor->lock);
    atomic_store(&executor->asked, max_workers);
    tq_status status = start_missing(executor);
    /* All of them: so the surplus ones end, and if the signal for a task went to one of those, another takes it. */
    pthread_cond_broadcast(&executor->work);
    pthread_mutex_unlock(&executor->lock);
    return status;
}

int tq_executor_workers(const tq_executor *executor)
{
    return executor == NULL ? 0 : atomic_load(&executor->asked);
}

void tq_executor_pause(tq_executor *executor)
{
    if (executor == NULL)
        return;
    pthread_mutex_lock(&executor->lock);
    /* After shutdown what is queued still runs: a pause would make destroy wait for ever. */
    executor->paused = !executor->closed;
    pthread_cond_broadcast(&executor->room); /* inline: a caller who waits for his turn may now queue his task */
    pthread_mutex_unlock(&executor->lock);
}

/* With the lock. */
static void unpause(tq_executor *executor)
{
    executor->paused = false;
    pthread_cond_broadcast(&executor->work);
    run_inline(executor);
}

void tq_executor_resume(tq_executor *executor)
{
    if (executor == NULL)
        return;
    pthread_mutex_lock(&executor->lock);
    unpause(executor);
    pthread_mutex_unlock(&executor->lock);
}

tq_status tq_executor_drain(tq_executor *executor, double timeout_s)
{
    if (executor == NULL)
        return TQ_E_USAGE;
    double deadline_s = tqi_deadline_s(timeout_s);
    tq_status status = TQ_OK;
    pthread_mutex_lock(&executor->lock);
    if (on_worker(executor))
        status = TQ_E_STATE;
    while (status == TQ_OK && !is_quiet(executor))
        if (!tqi_cond_wait_until(&executor->quiet, &executor->lock, deadline_s) && !is_quiet(executor))
            status = TQ_E_TIMEOUT;
    pthread_mutex_unlock(&executor->lock);
    return status;
}

void tq_executor_shutdown(tq_executor *executor, bool cancel_pending)
{
    if (executor == NULL)
        return;
    struct task *dropped = NULL;
    pthread_mutex_lock(&executor->lock);
    executor->closed = true;
    pthread_cond_broadcast(&executor->room); /* submitters who wait get TQ_E_STATE */
    if (cancel_pending) {
        dropped =
            drop_queue(executor, TQ_FUTURE_CANCELLED, TQ_E_CANCELLED, "cancelled by the shutdown of its executor");
    }
    unpause(executor);
    pthread_mutex_unlock(&executor->lock);
    notify_dropped(dropped);
}

void tq_executor_destroy(tq_executor *executor)
{
    if (executor == NULL)
        return;
    tq_executor_shutdown(executor, false);
    tq_status status = tq_executor_drain(executor, TQ_FOREVER);
    assert(status == TQ_OK); /* not from a task of this executor */
    (void)status;
    if (executor->inline_mode && executor->worker_exit != NULL)
        executor->worker_exit(0, executor->user, executor->inline_worker.state);
    dismantle(executor);
}
