/* Several jobs on one cluster: queued at once, watched, cancelled, while the number of threads changes; futures that
 * outlive the cluster; waiting for one and for all; callbacks of futures; many jobs in a row. */
#include "words.h"

#include <pthread.h>
#include <stdatomic.h>

static struct trial trial;

/* A text and what is in it. */
struct text {
    char path[PATH_SIZE];
    const char *input;
    char *bytes;
    word_rows expected;
};

static struct text texts[2]; /* written before there are jobs */

/* What the functions of a job share. */
struct shared {
    atomic_int mapped;
    atomic_int calls;
    double pause_s; /* that a record takes */
};

static int map_with_pauses(const tq_record *record, tq_emitter *emitter, void *user)
{
    struct shared *shared = user;

    atomic_fetch_add(&shared->mapped, 1);
    if (shared->pause_s > 0)
        sleep_s(shared->pause_s);
    return tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1) != TQ_OK;
}

static tq_job job_of(const struct text *text, struct shared *shared)
{
    tq_job job = count_words_in(&text->input);

    job.map = map_with_pauses;
    job.split_bytes = 256;
    job.output = TQ_OUTPUT_GATHER;
    job.user = shared;
    return job;
}

static void make_text_file(struct text *text, const char *name, size_t bytes, uint64_t distinct, uint64_t seed)
{
    size_t size;

    text->bytes = make_text(bytes, distinct, seed, &size);
    text->input = path_of(&trial, text->path, name);
    if (trial.rank == 0)
        write_file(text->path, text->bytes, size);
    text->expected = count_words(text->bytes, size);
}

static void check_result(const struct text *text, const tq_future *future, const char *what)
{
    CHECK_THAT(tq_future_status(future) == TQ_OK, "%s: %s", what, tq_future_error(future));
    word_rows rows = kept_rows(future);

    if (trial.rank == 0)
        check_rows(&rows, text->expected.rows, text->expected.n, what);
    else
        CHECK(rows.n == 0);
    free(rows.rows);
}

/* ---- Two at once ---- */

static int watch(const char *tag, uint64_t done, uint64_t not_done, void *user)
{
    struct shared *shared = user;

    CHECK(strcmp(tag, "jobs") == 0 && done + not_done == 2);
    atomic_fetch_add(&shared->calls, 1);
    return 0;
}

static void *change_threads(void *argument)
{
    struct shared *shared = argument;

    for (int i = 0; i < 40; i++) {
        int threads = 1 + (i * 3) % 5;

        CHECK_STATUS(tq_cluster_set_threads(trial.cluster, threads), TQ_OK);
        CHECK(tq_cluster_threads(trial.cluster) == threads);
        sleep_s(0.002);
    }
    atomic_fetch_add(&shared->calls, 0);
    return NULL;
}

static void test_two(void)
{
    struct shared first = {.pause_s = 0.0002}, second = {.pause_s = 0.0002}, watching = {0};
    tq_job one = job_of(&texts[0], &first), other = job_of(&texts[1], &second);
    tq_future *futures[2];
    pthread_t thread;

    other.order = TQ_ORDER_KEY;
    futures[0] = tq_submit(trial.cluster, &one);
    futures[1] = tq_submit(trial.cluster, &other);
    CHECK(futures[0] && futures[1]);
    if (trial.threads > 0)
        CHECK(pthread_create(&thread, NULL, change_threads, &watching) == 0);
    CHECK_STATUS(tq_report_progress(futures, 2, "jobs", 0.01, watch, &watching), TQ_OK);
    CHECK(atomic_load(&watching.calls) >= 1);
    check_result(&texts[0], futures[0], "the first of two");
    check_result(&texts[1], futures[1], "the second of two");
    if (trial.threads > 0)
        CHECK(pthread_join(thread, NULL) == 0);
    tq_future_release(futures[1]);
    tq_future_release(futures[0]);
}

/* One of three is cancelled; those before and behind it are right. */
static void test_cancel_one(void)
{
    for (int which = 0; which < 3 && trial.threads > 0; which++) {
        struct shared shared[3] = {{.pause_s = 0.0005}, {.pause_s = 0.0005}, {.pause_s = 0.0005}};
        tq_future *futures[3];
        size_t index;

        for (int i = 0; i < 3; i++) {
            tq_job job = job_of(&texts[i % 2], &shared[i]);

            if (i == which)
                job.map = map_with_pauses, shared[i].pause_s = 0.01;
            futures[i] = tq_submit(trial.cluster, &job);
            CHECK(futures[i]);
        }
        if (trial.rank == which % trial.size)
            CHECK(tq_future_cancel(futures[which]));
        CHECK_STATUS(tq_future_wait_any(futures, 3, HANG_S, &index), TQ_OK);
        CHECK_THAT(index == 0, "job %zu of three was done first", index);
        CHECK_STATUS(tq_future_wait_all(futures, 3, HANG_S), TQ_OK);
        for (int i = 0; i < 3; i++) {
            if (i == which)
                CHECK_THAT(tq_future_status(futures[i]) == TQ_E_CANCELLED, "job %d: %s", i,
                           tq_future_error(futures[i]));
            else
                check_result(&texts[i % 2], futures[i], "one that was not cancelled");
        }
        for (int i = 0; i < 3; i++)
            tq_future_release(futures[i]);
    }
}

/* ---- Waiting ---- */

static void test_waiting(void)
{
    struct shared shared[2] = {{.pause_s = 0.0005}, {.pause_s = 0}};
    tq_job one = job_of(&texts[0], &shared[0]), other = job_of(&texts[1], &shared[1]);
    tq_future *futures[2] = {tq_submit(trial.cluster, &one), tq_submit(trial.cluster, &other)};
    size_t index = 7;
    tq_error error;

    CHECK(futures[0] && futures[1]);
    tq_status status = tq_future_wait_all(futures, 2, 0);
    CHECK(status == TQ_OK || status == TQ_E_TIMEOUT);
    CHECK(trial.threads > 0 || status == TQ_OK);
    if (!tq_future_done(futures[1])) {
        status = tq_job_error(futures[1], &error);
        CHECK(status == TQ_E_AGAIN || tq_future_done(futures[1]));
        status = tq_future_status(futures[1]);
        CHECK(status == TQ_E_AGAIN || tq_future_done(futures[1]));
    }
    CHECK_STATUS(tq_future_wait_any(futures, 2, HANG_S, &index), TQ_OK);
    CHECK(index == 0);
    CHECK_STATUS(tq_future_wait_any(futures + 1, 1, HANG_S, &index), TQ_OK);
    CHECK(index == 0);
    CHECK_STATUS(tq_future_wait_all(futures, 2, 0), TQ_OK);
    CHECK_STATUS(tq_job_error(futures[1], &error), TQ_OK);
    CHECK(error.status == TQ_OK && tq_future_code(futures[1]) == 0);
    CHECK(tq_future_get_state(futures[1]) == TQ_FUTURE_DONE && strcmp(tq_future_error(futures[1]), "") == 0);
    check_result(&texts[0], futures[0], "waiting, the first");
    check_result(&texts[1], futures[1], "waiting, the second");
    tq_future_release(futures[0]);
    tq_future_release(futures[1]);
}

static void count_call(tq_future *future, void *user)
{
    struct shared *shared = user;

    CHECK(tq_future_done(future));
    CHECK_STATUS(tq_future_status(future), TQ_OK);
    check_result(&texts[1], future, "in a callback");
    atomic_fetch_add(&shared->calls, 1);
}

static void await_calls(struct shared *shared, int calls)
{
    double began = now_s();

    /* The thread that ends a job wakes those who wait before it calls. */
    while (atomic_load(&shared->calls) < calls) {
        CHECK_THAT(now_s() - began < HANG_S, "%d calls of %d", atomic_load(&shared->calls), calls);
        sleep_s(0.001);
    }
}

static void test_on_done(void)
{
    struct shared shared = {.pause_s = 0.0002};
    tq_job job = job_of(&texts[1], &shared);
    tq_future *future = tq_submit(trial.cluster, &job);

    CHECK_STATUS(tq_future_on_done(future, NULL, NULL), TQ_E_USAGE);
    CHECK_STATUS(tq_future_on_done(future, count_call, &shared), TQ_OK);
    CHECK_STATUS(tq_future_on_done(future, count_call, &shared), TQ_OK);
    await(future);
    await_calls(&shared, 2);
    CHECK_STATUS(tq_future_on_done(future, count_call, &shared), TQ_OK);
    CHECK(atomic_load(&shared.calls) == 3);
    tq_future_release(future);
    meet(&trial);
    CHECK(atomic_load(&shared.calls) == 3);
}

/* A callback may be the one that gives up the future. */
static void release_it(tq_future *future, void *user)
{
    struct shared *shared = user;

    tq_future_release(future);
    atomic_fetch_add(&shared->calls, 1);
}

static void test_release_early(void)
{
    struct shared released = {.pause_s = 0.0002}, called = {.pause_s = 0.0002};
    tq_job job = job_of(&texts[0], &released);

    job.progress = NULL;
    tq_future_release(tq_submit(trial.cluster, &job)); /* it runs all the same, */
    meet(&trial);                                      /* and before this one */
    int mapped = atomic_load(&released.mapped);
    tell_all(&trial, &mapped, sizeof mapped);
    if (trial.rank == 0) {
        uint64_t all = 0;
        size_t size;

        for (int r = 0; r < trial.size; r++) {
            char *other = told(&trial, r, &size);

            memcpy(&mapped, other, sizeof mapped);
            all += (uint64_t)mapped;
            free(other);
        }
        CHECK_THAT(all == texts[0].expected.words, "a released job mapped %" PRIu64 " of %" PRIu64 " words", all,
                   texts[0].expected.words);
    }
    job.user = &called;
    CHECK_STATUS(tq_future_on_done(tq_submit(trial.cluster, &job), release_it, &called), TQ_OK);
    await_calls(&called, 1);
}

/* ---- Many ---- */

static void test_many(void)
{
    enum { MANY = 20 };
    struct shared shared = {0};
    tq_future *futures[MANY];
    size_t index = 99;

    for (int i = 0; i < MANY; i++) {
        tq_job job = job_of(&texts[i % 2], &shared);

        job.name = "one of many";
        job.split_bytes = 0;
        futures[i] = tq_submit(trial.cluster, &job);
    }
    /* More than wait_any has room for on its stack. */
    CHECK_STATUS(tq_future_wait_any(futures, MANY, HANG_S, &index), TQ_OK);
    CHECK(index == 0);
    CHECK_STATUS(tq_future_wait_all(futures, MANY, HANG_S), TQ_OK);
    for (int i = 0; i < MANY; i++)
        check_result(&texts[i % 2], futures[i], "one of many");
    for (int i = MANY - 1; i >= 0; i--)
        tq_future_release(futures[i]);
}

static void test_set_threads(void)
{
    int before = tq_cluster_threads(trial.cluster);

    CHECK(tq_cluster_hosts(trial.cluster) == 1);
    if (trial.threads == 0) {
        CHECK(before == 0);
        CHECK_STATUS(tq_cluster_set_threads(trial.cluster, 2), TQ_E_STATE);
        return;
    }
    CHECK(before == trial.threads);
    CHECK_STATUS(tq_cluster_set_threads(trial.cluster, 0), TQ_E_USAGE);
    CHECK_STATUS(tq_cluster_set_threads(trial.cluster, -1), TQ_E_USAGE);
    CHECK_STATUS(tq_cluster_set_threads(trial.cluster, TQ_MAX_WORKERS + 1), TQ_E_USAGE);
    CHECK(tq_cluster_threads(trial.cluster) == before);
}

/* Futures that are released after the cluster was closed: of jobs that were done before, and that closing waits for. */
static void test_outliving(void)
{
    struct shared shared[3] = {{0}, {.pause_s = 0.0005}, {0}};
    tq_future *futures[3];
    tq_progress progress;
    tq_error error;

    for (int i = 0; i < 3; i++) {
        tq_job job = job_of(&texts[i % 2], &shared[i]);

        if (i == 2)
            job.map = NULL; /* wrong */
        futures[i] = tq_submit(trial.cluster, &job);
        CHECK(futures[i]);
        if (i == 0)
            await(futures[i]);
    }
    tq_cluster_close(trial.cluster);
    trial.cluster = NULL;
    for (int i = 0; i < 3; i++)
        CHECK_THAT(tq_future_done(futures[i]), "closing did not wait for job %d", i);
    check_result(&texts[0], futures[0], "outliving, done before");
    check_result(&texts[1], futures[1], "outliving, done by closing");
    CHECK_STATUS(tq_future_status(futures[2]), TQ_E_USAGE);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(tq_job_error(futures[i], &error), TQ_OK);
        CHECK_STATUS(tq_job_progress(futures[i], &progress), TQ_OK);
        CHECK(!tq_future_cancel(futures[i]));
        CHECK((tq_job_stats(futures[i]) != NULL) == (trial.rank == 0 && i < 2));
        tq_future_release(futures[i]);
    }
    tq_cluster_close(NULL);
    tq_future_release(NULL);
}

/* What the hooks of workers have seen. */
struct hooks {
    atomic_int began, ended;
};

static int begin_worker(int index, void *user, void **state)
{
    struct hooks *hooks = user;

    CHECK(index >= 0 && index < TQ_MAX_WORKERS);
    atomic_fetch_add(&hooks->began, 1);
    *state = hooks;
    return 0;
}

static void end_worker(int index, void *user, void *state)
{
    struct hooks *hooks = user;

    (void)index;
    CHECK(state == hooks);
    atomic_fetch_add(&hooks->ended, 1);
}

/* tequio started MPI, so that it ended with the cluster, and cannot start again; one rank alone never starts it. */
static void test_open_again(void)
{
    struct hooks hooks = {0};
    tq_cluster_options options = {trial.threads, begin_worker, end_worker, &hooks};
    tq_cluster *again = NULL;
    tq_error error;
    tq_status status = tq_cluster_open(&options, &again, &error);

    if (trial.size == 1) {
        CHECK_STATUS(status, TQ_OK);
        tq_cluster_close(again);
        int workers = trial.threads ? trial.threads : 1;
        CHECK(atomic_load(&hooks.began) == workers && atomic_load(&hooks.ended) == workers);
        return;
    }
    CHECK_STATUS(status, TQ_E_USAGE);
    CHECK(error.status == TQ_E_USAGE && error.message[0] && again == NULL);
}

static void test_wrong_options(void)
{
    static const int wrong[] = {-2, TQ_MAX_WORKERS + 1};

    for (int i = 0; i < 2; i++) {
        tq_cluster_options options = {.threads = wrong[i]};
        tq_cluster *none = NULL;
        tq_error error;

        CHECK_STATUS(tq_cluster_open(&options, &none, &error), TQ_E_USAGE);
        CHECK(!none && error.status == TQ_E_USAGE && error.message[0]);
        CHECK_STATUS(tq_cluster_open(&options, &none, NULL), TQ_E_USAGE);
    }
}

int main(int argc, char **argv)
{
    test_wrong_options();
    begin_trial(&trial, argc, argv, "jobs");
    make_text_file(&texts[0], "in/first", 6000, 300, 11);
    make_text_file(&texts[1], "in/second", 4000, 900, 12);
    test_set_threads();
    test_two();
    test_cancel_one();
    test_waiting();
    test_on_done();
    test_release_early();
    test_many();
    test_outliving();
    test_open_again();
    for (int i = 0; i < 2; i++) {
        free(texts[i].expected.rows);
        free(texts[i].bytes);
    }
    return end_trial(&trial);
}
