#include "mpi/progress.h"

#include "common/clock.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double DEFAULT_INTERVAL_S = 0.5;

typedef struct phase_state {
    bool started, finished;
    bool final_reported; /* the notifier's own */
    double begin, end;
    uint64_t total, bytes_total; /* from tqi_hub_set_total; 0 = add up the ranks' */
    uint64_t shown_total;        /* the largest done + not_done so far: it never shrinks */
    tqi_phase_count final;       /* of all ranks together; once finished */
} phase_state;

struct tqi_hub {
    tqi_hub_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a phase finished, or the job is over */
    pthread_t notifier;
    bool notifying; /* there is a notifier to join */
    bool joined;
    bool started, ended, success;
    double begin, end;
    phase_state phases[TQ_PHASES];
    tqi_rank_progress *ranks;
    double *heard; /* when each rank spoke last */
};

const char *tq_phase_tag(tq_phase phase)
{
    static const char *const tags[TQ_PHASES] = {"map", "shuffle", "reduce", "write"};

    return (unsigned)phase < TQ_PHASES ? tags[phase] : "";
}

void tqi_hub_start(tqi_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->started = true;
    hub->begin = tqi_now_s();
    for (int r = 0; r < hub->options.ranks; r++)
        hub->heard[r] = hub->begin;
    pthread_mutex_unlock(&hub->lock);
}

void tqi_hub_set_rank(tqi_hub *hub, int rank, const tqi_rank_progress *progress)
{
    pthread_mutex_lock(&hub->lock);
    hub->ranks[rank] = *progress;
    hub->heard[rank] = tqi_now_s();
    pthread_mutex_unlock(&hub->lock);
}

void tqi_hub_set_total(tqi_hub *hub, tq_phase phase, uint64_t total, uint64_t bytes_total)
{
    pthread_mutex_lock(&hub->lock);
    hub->phases[phase].total = total;
    hub->phases[phase].bytes_total = bytes_total;
    pthread_mutex_unlock(&hub->lock);
}

void tqi_hub_begin(tqi_hub *hub, tq_phase phase)
{
    pthread_mutex_lock(&hub->lock);
    hub->phases[phase].started = true;
    hub->phases[phase].begin = tqi_now_s();
    pthread_mutex_unlock(&hub->lock);
}

void tqi_hub_finish(tqi_hub *hub, tq_phase phase, const tqi_phase_count *final)
{
    pthread_mutex_lock(&hub->lock);
    hub->phases[phase].final = *final;
    hub->phases[phase].finished = true;
    hub->phases[phase].end = tqi_now_s();
    pthread_cond_signal(&hub->changed);
    pthread_mutex_unlock(&hub->lock);
}

void tqi_hub_end(tqi_hub *hub, bool success)
{
    pthread_mutex_lock(&hub->lock);
    hub->ended = true;
    hub->success = success;
    hub->end = tqi_now_s();
    pthread_cond_signal(&hub->changed);
    pthread_mutex_unlock(&hub->lock);
}

static double seconds_of(const phase_state *phase)
{
    if (!phase->started)
        return 0;
    return (phase->finished ? phase->end : tqi_now_s()) - phase->begin;
}

double tqi_hub_seconds(tqi_hub *hub, tq_phase phase)
{
    pthread_mutex_lock(&hub->lock);
    double seconds = seconds_of(&hub->phases[phase]);
    pthread_mutex_unlock(&hub->lock);
    return seconds;
}

/* The rank with the smallest share of its own work done. */
static void find_slowest(const tqi_hub *hub, tq_phase phase, tq_phase_progress *out)
{
    double smallest = 1;

    out->slowest_rank = -1;
    for (int r = 0; r < hub->options.ranks; r++) {
        const tqi_phase_count *count = &hub->ranks[r].phase[phase];
        double share = count->total ? (double)count->done / (double)count->total : 1;

        if (share >= smallest)
            continue;
        smallest = share;
        out->slowest_rank = r;
        out->slowest_done = count->done;
        out->slowest_not_done = count->total - count->done;
    }
}

static void sum_up(tqi_hub *hub, tq_phase phase, tq_phase_progress *out)
{
    phase_state *state = &hub->phases[phase];
    uint64_t total = 0;

    *out = (tq_phase_progress){.tag = tq_phase_tag(phase),
                               .started = state->started,
                               .finished = state->finished,
                               .seconds = seconds_of(state)};
    for (int r = 0; r < hub->options.ranks; r++) {
        const tqi_phase_count *count = &hub->ranks[r].phase[phase];

        out->done += count->done;
        total += count->total;
        out->bytes += count->bytes;
        out->bytes_total += count->bytes_total;
        out->records += count->records;
    }
    if (state->total)
        total = state->total;
    if (state->bytes_total)
        out->bytes_total = state->bytes_total;
    if (state->finished) {
        out->done = state->final.done;
        out->bytes = out->bytes_total = state->final.bytes;
        out->records = state->final.records;
    }
    if (total < out->done)
        total = out->done;
    if (total > state->shown_total)
        state->shown_total = total;
    if (state->finished)
        out->done = state->shown_total;
    out->not_done = state->shown_total - out->done;
    find_slowest(hub, phase, out);
}

/* Of all workers of all ranks, the one that has not moved for the longest time. */
static void find_still(const tqi_hub *hub, tq_still *out)
{
    const tqi_still *longest = NULL;

    *out = (tq_still){.rank = -1};
    for (int r = 0; r < hub->options.ranks && !hub->ended; r++) {
        const tqi_still *still = &hub->ranks[r].still;

        if (!still->is_known || (longest && still->seconds <= longest->seconds))
            continue;
        longest = still;
        out->rank = r;
    }
    if (!longest)
        return;
    out->seconds = longest->seconds;
    out->phase = longest->phase;
    out->offset = longest->offset;
    memcpy(out->file, longest->file, sizeof out->file);
}

static void snapshot_locked(tqi_hub *hub, tq_progress *progress)
{
    double now = tqi_now_s();

    memset(progress, 0, sizeof *progress);
    progress->ranks = hub->options.ranks;
    progress->silent_rank = -1;
    find_still(hub, &progress->still);
    progress->phase = TQ_PHASE_WRITE;
    for (int p = TQ_PHASES - 1; p >= 0; p--) {
        sum_up(hub, (tq_phase)p, &progress->phases[p]);
        if (!progress->phases[p].finished)
            progress->phase = (tq_phase)p;
    }
    if (!hub->started)
        return;
    progress->seconds = (hub->ended ? hub->end : now) - hub->begin;
    for (int r = 0; r < hub->options.ranks && hub->options.rank == 0; r++) {
        double silent = (hub->ended ? hub->end : now) - hub->heard[r];

        if (silent > progress->silent_s) {
            progress->silent_s = silent;
            progress->silent_rank = r;
        }
    }
}

void tqi_hub_snapshot(tqi_hub *hub, tq_progress *progress)
{
    pthread_mutex_lock(&hub->lock);
    snapshot_locked(hub, progress);
    pthread_mutex_unlock(&hub->lock);
}

/* ---- The notifier ---- */

/* Called without the lock. */
static int call(const tqi_hub *hub, const tq_progress *progress, tq_phase phase)
{
    const tqi_hub_options *options = &hub->options;
    const tq_phase_progress *now = &progress->phases[phase];
    int stop = 0;

    if (options->progress)
        stop = options->progress(now->tag, now->done, now->not_done, options->user);
    if (options->on_snapshot)
        stop |= options->on_snapshot(progress, phase, options->user);
    return stop;
}

/* Report every phase that is under way, and each that has ended once more. */
static void report(tqi_hub *hub, const tq_progress *progress)
{
    for (int p = 0; p < TQ_PHASES; p++) {
        const tq_phase_progress *now = &progress->phases[p];
        phase_state *state = &hub->phases[p];

        if (!now->started || state->final_reported)
            continue;
        state->final_reported = now->finished;
        if (call(hub, progress, (tq_phase)p)) {
            atomic_store(hub->options.cancel, true);
            hub->options.wake(hub->options.owner);
        }
    }
}

static bool something_to_say(const tqi_hub *hub)
{
    for (int p = 0; p < TQ_PHASES; p++)
        if (hub->phases[p].finished && !hub->phases[p].final_reported)
            return true;
    return hub->ended;
}

/* Sleep until the next report is due: a phase that ends is reported at once. */
static void await_tick(tqi_hub *hub)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    double due = (double)until.tv_sec + (double)until.tv_nsec * 1e-9 + hub->options.interval_s;
    until.tv_sec = (time_t)due;
    until.tv_nsec = (long)((due - (double)until.tv_sec) * 1e9);
    while (!something_to_say(hub))
        if (pthread_cond_timedwait(&hub->changed, &hub->lock, &until) != 0)
            return;
}

static void *notify(void *argument)
{
    tqi_hub *hub = argument;
    bool ended = false;

    while (!ended) {
        tq_progress progress;

        pthread_mutex_lock(&hub->lock);
        await_tick(hub);
        ended = hub->ended;
        bool speak = !ended || hub->success;
        snapshot_locked(hub, &progress);
        pthread_mutex_unlock(&hub->lock);
        if (speak)
            report(hub, &progress);
    }
    return NULL;
}

/* ---- ---- */

tq_status tqi_hub_create(const tqi_hub_options *options, tqi_hub **result)
{
    tqi_hub *hub = calloc(1, sizeof *hub);
    pthread_condattr_t monotonic;

    *result = NULL;
    if (!hub)
        return TQ_E_MEMORY;
    hub->options = *options;
    if (!(hub->options.interval_s > 0))
        hub->options.interval_s = DEFAULT_INTERVAL_S;
    hub->ranks = calloc((size_t)options->ranks, sizeof *hub->ranks);
    hub->heard = calloc((size_t)options->ranks, sizeof *hub->heard);
    pthread_mutex_init(&hub->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&hub->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!hub->ranks || !hub->heard) {
        tqi_hub_free(hub);
        return TQ_E_MEMORY;
    }
    *result = hub;
    if (options->rank != 0 || (!options->progress && !options->on_snapshot))
        return TQ_OK;
    hub->notifying = pthread_create(&hub->notifier, NULL, notify, hub) == 0;
    return hub->notifying ? TQ_OK : TQ_E_SYSTEM;
}

void tqi_hub_join(tqi_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    bool join = hub->notifying && !hub->joined;
    hub->joined = true;
    pthread_mutex_unlock(&hub->lock);
    if (join)
        pthread_join(hub->notifier, NULL);
}

void tqi_hub_free(tqi_hub *hub)
{
    if (!hub)
        return;
    tqi_hub_join(hub);
    pthread_mutex_destroy(&hub->lock);
    pthread_cond_destroy(&hub->changed);
    free(hub->ranks);
    free(hub->heard);
    free(hub);
}
