/* Cancelling: by another thread on any rank, by the callback, before the job starts, while mappers are slow. All ranks
 * see TQ_E_CANCELLED, and the next job works. How long it took is printed, and decides nothing. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LINES = 4000 };

/* What a job and the thread that cancels it share. */
struct race {
    atomic_int mapped;     /* records, on this rank */
    atomic_int calls;      /* of the callback */
    atomic_bool cancelled; /* tq_future_cancel was called, or the callback asked */
    atomic_bool open;      /* mappers that wait may go on */
    double pause_s;        /* that a record takes */
    double asked_at;       /* by the thread that cancels, before the future is final */
    tq_future *future;
};

static struct trial trial;
static char input_path[PATH_SIZE], *const input_paths[] = {input_path};

static int map_slowly(const tq_record *record, tq_emitter *emitter, void *user)
{
    struct race *race = user;

    atomic_fetch_add(&race->mapped, 1);
    sleep_s(race->pause_s);
    return tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1) != TQ_OK;
}

static tq_job job_of(struct race *race)
{
    tq_job job = count_words_in((const char *const *)input_paths);

    job.map = map_slowly;
    job.split_bytes = 64;
    job.user = race;
    return job;
}

/* All ranks ended the job as cancelled, and it left nothing. Releases the future. Collective. */
static void check_cancelled(tq_future *future, const char *what)
{
    char path[PATH_SIZE];
    tq_error error;
    size_t size;

    CHECK_STATUS(tq_job_error(future, &error), TQ_OK);
    CHECK_THAT(tq_future_status(future) == TQ_E_CANCELLED && error.status == TQ_E_CANCELLED,
               "%s: '%s' (%s), error '%s'", what, tq_future_error(future), tq_status_name(tq_future_status(future)),
               error.message);
    CHECK(tq_future_get_state(future) == TQ_FUTURE_CANCELLED);
    CHECK(tq_future_cancel(future)); /* it has been cancelled before */
    CHECK(tq_job_rows(future) == 0 && tq_job_stats(future) == NULL);
    tq_future_release(future);
    tell_all(&trial, &error.rank, sizeof error.rank);
    if (trial.rank != 0)
        return;
    for (int r = 0; r < trial.size; r++) {
        char *rank = told(&trial, r, &size);

        CHECK_THAT(memcmp(rank, &error.rank, sizeof error.rank) == 0, "%s: rank %d names another rank", what, r);
        free(rank);
    }
    CHECK(count_names(path_of(&trial, path, "out"), NULL) == 0);
    CHECK(count_names(path_of(&trial, path, "tmp"), NULL) == 0);
}

/* ---- By another thread ---- */

static void *cancel_when_mapping(void *argument)
{
    struct race *race = argument;

    while (atomic_load(&race->mapped) == 0)
        sleep_s(0.001);
    race->asked_at = now_s();
    CHECK(tq_future_cancel(race->future));
    return NULL;
}

static void cancel_from_thread(int rank)
{
    struct race race = {.pause_s = 0.005};
    tq_job job = job_of(&race);
    char path[PATH_SIZE];
    pthread_t thread;

    job.output = TQ_OUTPUT_FILE;
    job.output_path = path_of(&trial, path, "out/words");
    race.future = tq_submit(trial.cluster, &job);
    if (trial.rank == rank)
        CHECK(pthread_create(&thread, NULL, cancel_when_mapping, &race) == 0);
    await(race.future);
    if (trial.rank == rank) {
        CHECK(pthread_join(thread, NULL) == 0);
        printf("cancelled by a thread of rank %d of %d: over after %.3f s\n", rank, trial.size,
               now_s() - race.asked_at);
    }
    check_cancelled(race.future, "by a thread");
}

static void test_threads(void)
{
    /* With threads = 0 the job is over before anybody has its future. */
    if (trial.threads == 0)
        return;
    for (int rank = 0; rank<trial.size; rank += trial.size> 3 ? 3 : 1)
        cancel_from_thread(rank);
}

/* Records that take long, all of them in one piece: the rest of the piece must not be waited for. */
static void test_slow_mapper(void)
{
    struct race race = {.pause_s = 0.02};
    tq_job job = job_of(&race);
    double began = now_s();

    if (trial.threads == 0)
        return;
    job.split_bytes = 0;
    job.output = TQ_OUTPUT_KEEP;
    race.future = tq_submit(trial.cluster, &job);
    if (trial.rank == trial.size - 1) {
        sleep_s(0.05);
        CHECK(tq_future_cancel(race.future));
    }
    await(race.future);
    int mapped = atomic_load(&race.mapped);
    if (mapped > 0)
        printf("rank %d of %d mapped %d slow records in %.3f s\n", trial.rank, trial.size, mapped, now_s() - began);
    CHECK_THAT(mapped < LINES, "all %d records were mapped before the job ended", mapped);
    check_cancelled(race.future, "slow mappers");
}

/* A mapper that does not return keeps the job from ending, but not the ranks from knowing why it ends. */
static int map_when_open(const tq_record *record, tq_emitter *emitter, void *user)
{
    struct race *race = user;

    atomic_fetch_add(&race->mapped, 1);
    for (double began = now_s(); !atomic_load(&race->open);) {
        CHECK(now_s() - began < HANG_S);
        sleep_s(0.005);
    }
    return tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1) != TQ_OK;
}

static void test_stuck_mapper(void)
{
    struct race race = {0};
    tq_job job = job_of(&race);
    tq_error error;

    if (trial.threads == 0)
        return;
    job.map = map_when_open;
    job.output = TQ_OUTPUT_KEEP;
    race.future = tq_submit(trial.cluster, &job);
    for (double began = now_s(); trial.rank == trial.size - 1 && atomic_load(&race.mapped) == 0; sleep_s(0.001))
        CHECK(now_s() - began < HANG_S);
    if (trial.rank == trial.size - 1)
        CHECK(tq_future_cancel(race.future));
    for (double began = now_s(); tq_job_error(race.future, &error) == TQ_E_AGAIN && !error.status; sleep_s(0.001))
        CHECK(now_s() - began < HANG_S);
    CHECK_STATUS(error.status, TQ_E_CANCELLED);
    atomic_store(&race.open, true);
    await(race.future);
    check_cancelled(race.future, "stuck mappers");
}

/* ---- By the callback ---- */

static int stop_at_second_call(const char *tag, uint64_t done, uint64_t not_done, void *user)
{
    struct race *race = user;

    (void)done;
    (void)not_done;
    CHECK(tag && trial.rank == 0);
    if (atomic_fetch_add(&race->calls, 1) < 1)
        return 0;
    if (!atomic_exchange(&race->cancelled, true))
        race->asked_at = now_s();
    return 1;
}

static int stop_at_once(const tq_progress *progress, tq_phase phase, void *user)
{
    struct race *race = user;

    CHECK(progress->ranks == trial.size && phase < TQ_PHASES);
    if (!atomic_exchange(&race->cancelled, true))
        race->asked_at = now_s();
    return 17;
}

static void cancel_from_callback(bool snapshots)
{
    struct race race = {.pause_s = 0.005};
    tq_job job = job_of(&race);

    job.progress = snapshots ? NULL : stop_at_second_call;
    job.on_snapshot = snapshots ? stop_at_once : NULL;
    job.interval_s = 0.02;
    race.future = tq_submit(trial.cluster, &job);
    await(race.future);
    if (trial.rank == 0) {
        CHECK(atomic_load(&race.cancelled));
        printf("cancelled by the callback with %d ranks: over after %.3f s\n", trial.size, now_s() - race.asked_at);
    }
    check_cancelled(race.future, "by the callback");
}

/* ---- Before it starts ---- */

static int map_behind_gate(const tq_record *record, tq_emitter *emitter, void *user)
{
    struct race *race = user;

    while (!atomic_load(&race->open))
        sleep_s(0.001);
    return tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1) != TQ_OK;
}

static int map_never(const tq_record *record, tq_emitter *emitter, void *user)
{
    struct race *race = user;

    (void)record;
    (void)emitter;
    atomic_fetch_add(&race->mapped, 1);
    return 0;
}

static void test_queued(int rank)
{
    struct race first = {0}, second = {0};
    tq_job job = job_of(&first), queued = job_of(&second);

    if (trial.threads == 0)
        return;
    job.map = map_behind_gate;
    queued.map = map_never;
    first.future = tq_submit(trial.cluster, &job);
    second.future = tq_submit(trial.cluster, &queued);
    CHECK(first.future && second.future);
    if (trial.rank == rank) {
        CHECK(!tq_future_done(second.future));
        CHECK(tq_future_cancel(second.future));
        CHECK(tq_future_cancel(second.future)); /* twice is as good as once */
    }
    atomic_store(&first.open, true);
    await(first.future);
    CHECK_STATUS(tq_future_status(first.future), TQ_OK);
    CHECK(!tq_future_cancel(first.future)); /* what is done stays so */
    CHECK_STATUS(tq_future_status(first.future), TQ_OK);
    await(second.future);
    if (trial.rank == rank)
        CHECK_THAT(trial.size > 1 || atomic_load(&second.mapped) < LINES, "a cancelled job mapped everything");
    tq_future_release(first.future);
    check_cancelled(second.future, "before it starts");
}

/* All ranks at once, and cancelling on and on from several threads while it ends. */
static void *cancel_on_and_on(void *argument)
{
    struct race *race = argument;

    while (!tq_future_done(race->future))
        tq_future_cancel(race->future);
    return NULL;
}

static void test_everybody(void)
{
    struct race race = {.pause_s = 0.005};
    tq_job job = job_of(&race);
    pthread_t threads[2];

    if (trial.threads == 0)
        return;
    race.future = tq_submit(trial.cluster, &job);
    CHECK(race.future);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, cancel_on_and_on, &race) == 0);
    await(race.future);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    check_cancelled(race.future, "by everybody");
}

/* A job that is cancelled at any moment ends in one of two ways, the same on all ranks. */
static void test_any_moment(void)
{
    for (int i = 0; i < 12 && trial.threads > 0; i++) {
        struct race race = {0};
        tq_job job = job_of(&race);
        size_t size;

        job.order = TQ_ORDER_VALUE_DESC;
        job.split_bytes = 0;
        race.future = tq_submit(trial.cluster, &job);
        if (trial.rank == i % trial.size) {
            sleep_s(0.002 * i);
            tq_future_cancel(race.future);
        }
        tq_status status = await(race.future);
        CHECK_THAT(status == TQ_OK || status == TQ_E_CANCELLED, "%s", tq_future_error(race.future));
        tq_future_release(race.future);
        tell_all(&trial, &status, sizeof status);
        for (int r = 1; r < trial.size && trial.rank == 0; r++) {
            char *other = told(&trial, r, &size);

            CHECK_THAT(memcmp(other, &status, sizeof status) == 0, "rank %d: not '%s'", r, tq_status_name(status));
            free(other);
        }
    }
}

static void make_lines(void)
{
    char *text = malloc(16 * LINES + 1);

    CHECK(text);
    for (int i = 0; i < LINES; i++)
        sprintf(text + 16 * i, "word-%010d\n", i);
    write_file(input_path, text, 16 * LINES);
    free(text);
}

int main(int argc, char **argv)
{
    begin_trial(&trial, argc, argv, "cancel");
    path_of(&trial, input_path, "in/lines");
    if (trial.rank == 0)
        make_lines();
    test_threads();
    test_slow_mapper();
    test_stuck_mapper();
    cancel_from_callback(false);
    cancel_from_callback(true);
    test_queued(trial.size - 1);
    test_queued(0);
    test_everybody();
    test_any_moment();
    return end_trial(&trial);
}
