/* Progress of a set of futures, reported from the thread that waits for them.
 *
 * The loop sleeps on the futures themselves: it wakes for a report that is due and when a future it is waiting for
 * becomes final, never in between just to look. No state outlives the call. */
#include "common/clock.h"
#include "node/future.h"

#include <math.h>

/* A shorter one would be lost in the resolution of the clock. */
#define SHORTEST_INTERVAL_S 1e-6

static size_t count_done(tq_future *const *futures, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++)
        done += tq_future_done(futures[i]);
    return done;
}

/* Wait for the futures from *next on, one after the other: all must end anyway, so the order does not matter, and each
 * is waited for only once. */
static tq_status wait_in_turn(tq_future *const *futures, size_t n, size_t *next, double deadline_s)
{
    for (; *next < n; (*next)++) {
        tq_status status = tqi_future_wait_until(futures[*next], deadline_s);
        if (status != TQ_OK)
            return status;
    }
    return TQ_OK;
}

static tq_status cancel_rest(tq_future *const *futures, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tq_future_cancel(futures[i]);
    return TQ_E_CANCELLED;
}

/* The next multiple of the interval that is still to come: a slow callback makes reports drop out, not pile up. */
static double next_due(double last_due_s, double interval_s)
{
    double now_s = tqi_now_s();
    double due_s = last_due_s + interval_s;
    if (due_s > now_s)
        return due_s;
    return due_s + (double)((uint64_t)((now_s - due_s) / interval_s) + 1) * interval_s;
}

tq_status tq_report_progress(tq_future *const *futures, size_t n, const char *tag, double interval_s,
                             tq_progress_fn callback, void *user)
{
    if (callback == NULL || (futures == NULL && n > 0))
        return TQ_E_USAGE;
    double interval = interval_s > 0.0 ? fmax(interval_s, SHORTEST_INTERVAL_S) : 0.5;
    double due_s = tqi_now_s() + interval;
    size_t next = 0;
    for (;;) {
        tq_status status = wait_in_turn(futures, n, &next, due_s);
        if (status != TQ_OK && status != TQ_E_TIMEOUT)
            return status;
        size_t done = status == TQ_OK ? n : count_done(futures, n);
        if (callback(tag, done, n - done, user) != 0)
            return cancel_rest(futures, n);
        if (done == n)
            return TQ_OK;
        due_s = next_due(due_s, interval);
    }
}
