/* The private side of futures: making one, moving it through its states, and the waits that futures, the executor and
 * the progress report share.
 *
 * Who calls it: whoever fulfils a future, that is the executor (one per task) and the engine (one per job). Users of a
 * future only see tequio/executor.h.
 *
 * Threads: every function may be called from any thread. A future has a lock of its own, which is held for a few
 * instructions only and never while a hook or a callback runs. An owner may call tqi_future_start and
 * tqi_future_settle while it holds its own lock (the order is: owner's lock, future's lock, waiter's lock); everything
 * else here may run user code or free memory, and is called without a lock. */
#ifndef TQI_FUTURE_H
#define TQI_FUTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <tequio/executor.h>

/* A pending future with one reference, the caller's. NULL without memory.
 * cancel: called by tq_future_cancel while the state is not final; its answer is that function's answer, and the owner
 * is the one to finish the future as cancelled. NULL: tq_future_cancel itself makes a pending future cancelled.
 * destroy: called when the last reference goes, on the thread that gave it up. May be NULL.
 * owner: passed to both. */
tq_future *tqi_future_create(bool (*cancel)(void *owner), void (*destroy)(void *owner), void *owner);

/* One more reference, given back with tqi_future_drop. */
void tqi_future_retain(tq_future *future);
void tqi_future_drop(tq_future *future);

/* From now on tq_future_release of a future that is final calls release(owner) first: to end what still uses things of
 * the caller's, such as a progress callback. tqi_future_drop does not. Called once, before the future is handed out. */
void tqi_future_on_release(tq_future *future, void (*release)(void *owner));

/* What was passed to tqi_future_create. */
void *tqi_future_owner(const tq_future *future);

/* Pending becomes running; false if it was cancelled before. */
bool tqi_future_start(tq_future *future);

/* Make the state final, wake every waiter, and call the callbacks in the order in which they were added. Exactly once
 * for a future. message is copied; NULL is "". A future without a cancel hook is started first, so that a cancellation
 * cannot come in between. */
void tqi_future_finish(tq_future *future, tq_future_state final, tq_status status, int code, const char *message);

/* The two halves of tqi_future_finish, for an owner who must change the state under a lock of its own: settle makes it
 * final and wakes the waiters, notify calls the callbacks. The caller holds a reference until notify has returned. */
void tqi_future_settle(tq_future *future, tq_future_state final, tq_status status, int code, const char *message);
void tqi_future_notify(tq_future *future);

/* The time on the clock of tqi_now_s timeout_s seconds from now; infinity if timeout_s is negative. */
double tqi_deadline_s(double timeout_s);

/* A condition variable whose time-outs follow that clock. */
bool tqi_cond_init(pthread_cond_t *condition);

/* Wait once; false if the deadline has passed. Like any wait on a condition it may also return early. */
bool tqi_cond_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, double deadline_s);

/* tq_future_wait with a point in time. */
tq_status tqi_future_wait_until(tq_future *future, double deadline_s);

#endif
