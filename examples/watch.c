/* A job of one's own that runs behind the caller's back: how long are the lines of these files?
 *
 *     watch [--stop-after SECONDS] FILE...          or under mpirun
 *
 * It shows what a program may do while a job runs: read a snapshot of the progress, change the number of workers, cancel
 * it; and afterwards read the rows and the statistics. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tequio/tequio.h>

/* Step 1: a mapper. One line a call; the key is the decimal length of the line, rounded up to tens. */
static int map_line_length(const tq_record *line, tq_emitter *emitter, void *user)
{
    char key[24];
    int size = snprintf(key, sizeof key, "%6zu", (line->size + 9) / 10 * 10);

    (void)user;
    return (int)tq_emit_i64(emitter, (tq_slice){key, (size_t)size}, 1);
}

/* Step 2: look at a snapshot. Any thread may do so at any time before the future is released. */
static void show_progress(const tq_future *future)
{
    tq_progress progress;

    if (tq_job_progress(future, &progress) != TQ_OK)
        return;
    const tq_phase_progress *phase = &progress.phases[progress.phase < TQ_PHASES ? progress.phase : TQ_PHASE_WRITE];
    fprintf(stderr, "%5.1f s  %s: %" PRIu64 " of %" PRIu64 "\n", progress.seconds, phase->tag, phase->done,
            phase->done + phase->not_done);
}

/* Step 3: wait with a time-out, so that there is time for other things. */
static void watch(tq_cluster *cluster, tq_future *future, double stop_after_s)
{
    double waited_s = 0;

    while (tq_future_wait(future, 0.25) == TQ_E_TIMEOUT) {
        waited_s += 0.25;
        if (tq_cluster_rank(cluster) == 0)
            show_progress(future);
        if (waited_s == 1.0)
            tq_cluster_set_threads(cluster, 1); /* somebody else wants the cores */
        if (stop_after_s > 0 && waited_s >= stop_after_s)
            tq_future_cancel(future); /* one rank is enough: the job ends on all of them */
    }
}

/* Step 4: the result. With TQ_OUTPUT_GATHER all rows are on rank 0, in order. */
static void show_rows(const tq_future *future)
{
    tq_row row;

    for (uint64_t i = 0; i < tq_job_rows(future); i++)
        if (tq_job_row(future, i, &row) == TQ_OK)
            printf("up to %.*s bytes: %" PRId64 " lines\n", (int)row.key.size, row.key.data, row.i64);
    const tq_stats *stats = tq_job_stats(future);
    if (stats)
        fprintf(stderr, "%" PRIu64 " bytes in %.2f s on %d ranks\n", stats->input_bytes, stats->seconds, stats->ranks);
}

int main(int argc, char **argv)
{
    double stop_after_s = 0;
    int first = 1;

    if (argc > 2 && strcmp(argv[1], "--stop-after") == 0) {
        stop_after_s = atof(argv[2]);
        first = 3;
    }

    tq_cluster *cluster;
    tq_error error;
    if (tq_cluster_open(NULL, &cluster, &error) != TQ_OK) {
        fprintf(stderr, "watch: %s\n", error.message);
        return (int)error.status;
    }

    tq_job job = TQ_JOB_INIT;
    job.name = "line lengths";
    job.inputs = (const char *const *)argv + first;
    job.n_inputs = (size_t)(argc - first);
    job.records = TQ_LINES;
    job.map = map_line_length;
    job.combine = TQ_SUM;
    job.output = TQ_OUTPUT_GATHER;

    tq_future *future = tq_submit(cluster, &job);
    watch(cluster, future, stop_after_s);

    tq_status status = tq_future_status(future);
    if (status == TQ_OK)
        show_rows(future);
    else if (tq_cluster_rank(cluster) == 0)
        fprintf(stderr, "watch: %s\n", tq_future_error(future));
    tq_future_release(future);
    tq_cluster_close(cluster);
    return (int)status;
}
