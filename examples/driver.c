/* Drives two jobs at once:  driver FILE...  or  mpirun -n 4 driver FILE...
 *
 * Both are submitted at once and run in that order. The first is fed with lines that never end, and is cancelled; the
 * second counts words, of which the five most frequent are printed. Meanwhile both are watched, by a callback and by
 * looking, and each rank gets another worker. Every rank does the same, but what is for one to do. */
#include <inttypes.h>
#include <stdio.h>
#include <tequio/tequio.h>
#include <time.h>

/* A feed: rank 0 gives a line every 10 ms. A job ends when its feed has returned, so one should not wait for long. */
static int tick(tq_slice *chunk, char *why, size_t size, void *user)
{
    const struct timespec pause = {.tv_nsec = 10000000};

    (void)why, (void)size, (void)user;
    nanosleep(&pause, NULL);
    *chunk = (tq_slice){"tick\n", 5};
    return 0;
}

static int count_line(const tq_record *line, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit_i64(emitter, (tq_slice){line->data, line->size}, 1);
}

static int count_words(const tq_record *chunk, tq_emitter *emitter, void *user)
{
    tq_slice text = {chunk->data, chunk->size}, words[256];

    (void)user;
    for (size_t n; (n = tq_next_words(&text, words, 256)) > 0;)
        if (tq_emit_keys_i64(emitter, words, n, 1) != TQ_OK)
            return 1;
    return 0;
}

/* On a thread of the library, on rank 0; what is not 0 would cancel the job. */
static int report(const char *tag, uint64_t done, uint64_t not_done, void *name)
{
    fprintf(stderr, "%s: %s: %" PRIu64 " done, %" PRIu64 " to go\n", (const char *)name, tag, done, not_done);
    return 0;
}

/* Any thread may look, at any time. Returns how many splits are mapped. */
static uint64_t look(const char *name, const tq_future *future)
{
    tq_progress progress;

    if (tq_job_progress(future, &progress) != TQ_OK)
        return 0;
    fprintf(stderr, "%s: %s, for %.1f s, %" PRIu64 " splits mapped\n", name,
            tq_future_get_state(future) == TQ_FUTURE_PENDING ? "queued" : "begun", progress.seconds,
            progress.phases[TQ_PHASE_MAP].done);
    return progress.phases[TQ_PHASE_MAP].done;
}

int main(int argc, char **argv)
{
    tq_job ticks = TQ_JOB_INIT, words = TQ_JOB_INIT;
    tq_cluster *cluster;
    tq_future *futures[2];
    tq_error error;
    tq_row row;

    if (argc < 2)
        return fprintf(stderr, "usage: driver FILE...\n"), 2;
    if (tq_cluster_open(NULL, &cluster, &error) != TQ_OK)
        return fprintf(stderr, "%s\n", error.message), (int)error.status;
    int rank = tq_cluster_rank(cluster);

    ticks.feed = tick, ticks.map = count_line, ticks.combine = TQ_SUM;
    ticks.progress = report, ticks.progress_user = "ticks", ticks.interval_s = 0.1;
    words.inputs = (const char *const *)argv + 1, words.n_inputs = (size_t)argc - 1;
    words.map_chunk = count_words, words.combine = TQ_SUM;
    words.order = TQ_ORDER_VALUE_DESC, words.limit = 5, words.output = TQ_OUTPUT_GATHER;
    words.progress = report, words.progress_user = "words";
    futures[0] = tq_submit(cluster, &ticks);
    futures[1] = tq_submit(cluster, &words);

    tq_cluster_set_threads(cluster, tq_cluster_threads(cluster) + 1);
    while (rank == 0 && tq_future_wait(futures[0], 0.25) == TQ_E_TIMEOUT) {
        look("words", futures[1]);
        if (look("ticks", futures[0]) > 0)
            tq_future_cancel(futures[0]); /* one rank is enough: the job ends on all of them */
    }
    tq_future_wait_all(futures, 2, TQ_FOREVER);

    tq_status status = tq_future_status(futures[1]);
    if (rank == 0)
        fprintf(stderr, "ticks: %s\n", tq_status_name(tq_future_status(futures[0])));
    if (rank == 0 && status != TQ_OK)
        fprintf(stderr, "words: %s\n", tq_future_error(futures[1]));
    for (uint64_t i = 0; tq_job_row(futures[1], i, &row) == TQ_OK; i++)
        printf("%" PRId64 " %.*s\n", row.i64, (int)row.key.size, row.key.data);
    for (int i = 0; i < 2; i++)
        tq_future_release(futures[i]);
    tq_cluster_close(cluster);
    return (int)status;
}
