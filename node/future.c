#include "node/future.h"

#include "common/clock.h"
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A deadline beyond it (a hundred years of uptime) is none; it also keeps the conversion to time_t in range. */
#define FAR_FUTURE_S 3e9

/* One thread that waits, on its own stack. A waiter, not the future, carries the condition variable, so that one thread
 * can wait for many futures at once without polling. */
struct waiter {
    /* Guards woken: the waiting thread and the threads that finish its futures. Innermost of all locks. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool woken;
};

/* A waiter's place in the list of one future. Belongs to the waiting thread; the links are guarded by the future's
 * lock, and once it is unlinked nobody else can reach the waiter. */
struct waiter_node {
    struct waiter *waiter;
    struct waiter_node *next;
    struct waiter_node **link; /* what points at this node; NULL = not in a list */
};

/* A callback that has been added and not been called. */
struct callback {
    void (*fn)(tq_future *future, void *user);
    void *user;
    struct callback *next;
};

struct tq_future {
    atomic_size_t references; /* any thread */
    /* Written under the lock, read by any thread without it. The step to a final state comes last: whoever sees it,
     * sees status, code and text, which never change again. */
    _Atomic(tq_future_state) state;
    tq_status status;
    int code;
    const char *text; /* message, or a constant */
    char *message;
    /* Guards both lists and every step of the state: any thread. */
    pthread_mutex_t lock;
    struct waiter_node *waiters;
    struct callback *first_callback;
    struct callback **last_link; /* where the next callback goes */
    /* Constant from the start. */
    bool (*cancel)(void *owner);
    void (*destroy)(void *owner);
    void (*release)(void *owner); /* from tqi_future_on_release: before the future is given to a second thread */
    void *owner;
};

static bool is_final(tq_future_state state)
{
    return state == TQ_FUTURE_DONE || state == TQ_FUTURE_FAILED || state == TQ_FUTURE_CANCELLED;
}

tq_future *tqi_future_create(bool (*cancel)(void *owner), void (*destroy)(void *owner), void *owner)
{
    tq_future *future = calloc(1, sizeof *future);
    if (future == NULL)
        return NULL;
    if (pthread_mutex_init(&future->lock, NULL) != 0) {
        free(future);
        return NULL;
    }
    atomic_init(&future->references, 1);
    atomic_init(&future->state, TQ_FUTURE_PENDING);
    future->text = "";
    future->last_link = &future->first_callback;
    future->cancel = cancel;
    future->destroy = destroy;
    future->owner = owner;
    return future;
}

void tqi_future_retain(tq_future *future)
{
    if (future != NULL) {
        /* Whoever retains already holds a reference, so nothing has to be ordered by this. */
        atomic_fetch_add_explicit(&future->references, 1, memory_order_relaxed);
    }
}

void tqi_future_on_release(tq_future *future, void (*release)(void *owner))
{
    future->release = release;
}

void tq_future_release(tq_future *future)
{
    if (future != NULL && future->release != NULL && is_final(atomic_load(&future->state)))
        future->release(future->owner);
    tqi_future_drop(future);
}

void tqi_future_drop(tq_future *future)
{
    if (future == NULL || atomic_fetch_sub_explicit(&future->references, 1, memory_order_acq_rel) != 1)
        return;
    assert(future->waiters == NULL);
    /* Callbacks are left only if the future never became final: its owner gave it up. */
    while (future->first_callback != NULL) {
        struct callback *callback = future->first_callback;
        future->first_callback = callback->next;
        free(callback);
    }
    pthread_mutex_destroy(&future->lock);
    free(future->message);
    void (*destroy)(void *owner) = future->destroy;
    void *owner = future->owner;
    free(future);
    if (destroy != NULL)
        destroy(owner);
}

void *tqi_future_owner(const tq_future *future)
{
    return future == NULL ? NULL : future->owner;
}

bool tqi_future_start(tq_future *future)
{
    pthread_mutex_lock(&future->lock);
    bool pending = atomic_load(&future->state) == TQ_FUTURE_PENDING;
    if (pending)
        atomic_store(&future->state, TQ_FUTURE_RUNNING);
    pthread_mutex_unlock(&future->lock);
    return pending;
}

/* With the future's lock held. */
static void settle_locked(tq_future *future, tq_future_state final, tq_status status, int code, const char *message)
{
    assert(is_final(final));
    assert(!is_final(atomic_load(&future->state)));
    future->status = status;
    future->code = code;
    if (message != NULL && message[0] != '\0') {
        future->message = strdup(message);
        future->text = future->message != NULL ? future->message : "no memory for the message";
    }
    atomic_store(&future->state, final);
    for (struct waiter_node *node = future->waiters; node != NULL; node = node->next) {
        pthread_mutex_lock(&node->waiter->lock);
        node->waiter->woken = true;
        pthread_cond_signal(&node->waiter->changed);
        pthread_mutex_unlock(&node->waiter->lock);
    }
}

void tqi_future_settle(tq_future *future, tq_future_state final, tq_status status, int code, const char *message)
{
    pthread_mutex_lock(&future->lock);
    settle_locked(future, final, status, code, message);
    pthread_mutex_unlock(&future->lock);
}

void tqi_future_notify(tq_future *future)
{
    /* No callback is added to a final future, so the list taken here is all there will ever be. */
    pthread_mutex_lock(&future->lock);
    struct callback *callback = future->first_callback;
    future->first_callback = NULL;
    future->last_link = &future->first_callback;
    pthread_mutex_unlock(&future->lock);
    while (callback != NULL) {
        struct callback *next = callback->next;
        callback->fn(future, callback->user);
        free(callback);
        callback = next;
    }
}

void tqi_future_finish(tq_future *future, tq_future_state final, tq_status status, int code, const char *message)
{
    /* A callback, or a thread that was waiting, may give up the reference by which the caller knows the future. */
    tqi_future_retain(future);
    tqi_future_settle(future, final, status, code, message);
    tqi_future_notify(future);
    tqi_future_drop(future);
}

tq_future_state tq_future_get_state(const tq_future *future)
{
    return future == NULL ? TQ_FUTURE_FAILED : atomic_load(&future->state);
}

bool tq_future_done(const tq_future *future)
{
    return is_final(tq_future_get_state(future));
}

tq_status tq_future_status(const tq_future *future)
{
    if (future == NULL)
        return TQ_E_MEMORY;
    return tq_future_done(future) ? future->status : TQ_E_AGAIN;
}

int tq_future_code(const tq_future *future)
{
    return future != NULL && tq_future_done(future) ? future->code : 0;
}

const char *tq_future_error(const tq_future *future)
{
    if (future == NULL)
        return "no memory for the submission";
    return tq_future_done(future) ? future->text : "";
}

static bool cancel_pending(tq_future *future)
{
    pthread_mutex_lock(&future->lock);
    tq_future_state before = atomic_load(&future->state);
    bool cancelled = before == TQ_FUTURE_PENDING;
    if (cancelled) {
        tqi_future_retain(future);
        settle_locked(future, TQ_FUTURE_CANCELLED, TQ_E_CANCELLED, 0, "cancelled before it started");
    }
    pthread_mutex_unlock(&future->lock);
    if (cancelled) {
        tqi_future_notify(future);
        tqi_future_drop(future);
    }
    return cancelled || before == TQ_FUTURE_CANCELLED;
}

bool tq_future_cancel(tq_future *future)
{
    tq_future_state state = tq_future_get_state(future);
    if (is_final(state))
        return state == TQ_FUTURE_CANCELLED;
    return future->cancel != NULL ? future->cancel(future->owner) : cancel_pending(future);
}

tq_status tq_future_on_done(tq_future *future, void (*fn)(tq_future *future, void *user), void *user)
{
    if (fn == NULL)
        return TQ_E_USAGE;
    if (!tq_future_done(future)) {
        struct callback *callback = malloc(sizeof *callback);
        if (callback == NULL)
            return TQ_E_MEMORY;
        *callback = (struct callback){.fn = fn, .user = user};
        pthread_mutex_lock(&future->lock);
        /* Under the lock the state cannot become final: either the callback gets into the list before that, and notify
         * finds it, or it is called below. */
        bool added = !tq_future_done(future);
        if (added) {
            *future->last_link = callback;
            future->last_link = &callback->next;
        }
        pthread_mutex_unlock(&future->lock);
        if (added)
            return TQ_OK;
        free(callback);
    }
    fn(future, user);
    return TQ_OK;
}

double tqi_deadline_s(double timeout_s)
{
    return timeout_s >= 0.0 ? tqi_now_s() + timeout_s : INFINITY;
}

bool tqi_cond_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool ok =
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return ok;
}

bool tqi_cond_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, double deadline_s)
{
    if (!(deadline_s < FAR_FUTURE_S)) {
        pthread_cond_wait(condition, lock);
        return true;
    }
    struct timespec deadline = {.tv_sec = (time_t)deadline_s};
    deadline.tv_nsec = (long)((deadline_s - (double)deadline.tv_sec) * 1e9);
    return pthread_cond_timedwait(condition, lock, &deadline) != ETIMEDOUT;
}

/* False if the future is final already. */
static bool add_waiter(tq_future *future, struct waiter_node *node, struct waiter *waiter)
{
    pthread_mutex_lock(&future->lock);
    bool added = !tq_future_done(future);
    if (added) {
        *node = (struct waiter_node){.waiter = waiter, .next = future->waiters, .link = &future->waiters};
        if (node->next != NULL)
            node->next->link = &node->next;
        future->waiters = node;
    }
    pthread_mutex_unlock(&future->lock);
    return added;
}

/* Also waits for a thread that is just waking the waiter: it does so under the future's lock. */
static void remove_waiter(tq_future *future, struct waiter_node *node)
{
    pthread_mutex_lock(&future->lock);
    *node->link = node->next;
    if (node->next != NULL)
        node->next->link = node->link;
    pthread_mutex_unlock(&future->lock);
}

/* Sleep until one of the futures is final or the deadline passes; the caller looks which it was. None of them may be
 * NULL; nodes has room for n. */
static tq_status sleep_for_one(tq_future *const *futures, struct waiter_node *nodes, size_t n, double deadline_s)
{
    struct waiter waiter = {.woken = false};
    if (pthread_mutex_init(&waiter.lock, NULL) != 0)
        return TQ_E_SYSTEM;
    if (!tqi_cond_init(&waiter.changed)) {
        pthread_mutex_destroy(&waiter.lock);
        return TQ_E_SYSTEM;
    }
    size_t added = 0;
    while (added < n && add_waiter(futures[added], &nodes[added], &waiter))
        added++;
    if (added == n) {
        pthread_mutex_lock(&waiter.lock);
        while (!waiter.woken && tqi_cond_wait_until(&waiter.changed, &waiter.lock, deadline_s)) {
        }
        pthread_mutex_unlock(&waiter.lock);
    }
    for (size_t i = 0; i < added; i++)
        remove_waiter(futures[i], &nodes[i]);
    pthread_cond_destroy(&waiter.changed);
    pthread_mutex_destroy(&waiter.lock);
    return TQ_OK;
}

tq_status tqi_future_wait_until(tq_future *future, double deadline_s)
{
    if (tq_future_done(future))
        return TQ_OK;
    struct waiter_node node;
    tq_status status = sleep_for_one(&future, &node, 1, deadline_s);
    if (status != TQ_OK)
        return status;
    return tq_future_done(future) ? TQ_OK : TQ_E_TIMEOUT;
}

tq_status tq_future_wait(tq_future *future, double timeout_s)
{
    return tqi_future_wait_until(future, tqi_deadline_s(timeout_s));
}

static bool find_done(tq_future *const *futures, size_t n, size_t *index)
{
    for (size_t i = 0; i < n; i++) {
        if (tq_future_done(futures[i])) {
            if (index != NULL)
                *index = i;
            return true;
        }
    }
    return false;
}

tq_status tq_future_wait_any(tq_future *const *futures, size_t n, double timeout_s, size_t *index)
{
    if (futures == NULL || n == 0)
        return TQ_E_USAGE;
    double deadline_s = tqi_deadline_s(timeout_s);
    if (find_done(futures, n, index))
        return TQ_OK;
    struct waiter_node few[16];
    struct waiter_node *nodes = few;
    if (n > sizeof few / sizeof few[0]) {
        nodes = calloc(n, sizeof *nodes);
        if (nodes == NULL)
            return TQ_E_MEMORY;
    }
    tq_status status = sleep_for_one(futures, nodes, n, deadline_s);
    if (nodes != few)
        free(nodes);
    if (status != TQ_OK)
        return status;
    return find_done(futures, n, index) ? TQ_OK : TQ_E_TIMEOUT;
}

tq_status tq_future_wait_all(tq_future *const *futures, size_t n, double timeout_s)
{
    if (futures == NULL && n > 0)
        return TQ_E_USAGE;
    double deadline_s = tqi_deadline_s(timeout_s);
    for (size_t i = 0; i < n; i++) {
        tq_status status = tqi_future_wait_until(futures[i], deadline_s);
        if (status != TQ_OK)
            return status;
    }
    return TQ_OK;
}
