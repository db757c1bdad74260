/* Counts the words of files:  wordcount FILE...  or  mpirun -n 4 wordcount FILE... */
#include <stdio.h>
#include <tequio/tequio.h>

static int map(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1);
}

static int progress(const char *tag, uint64_t done, uint64_t not_done, void *user)
{
    (void)user;
    fprintf(stderr, "%s: %llu done, %llu to go\n", tag, (unsigned long long)done, (unsigned long long)not_done);
    return 0;
}

int main(int argc, char **argv)
{
    tq_cluster *cluster;
    tq_error error;
    if (tq_cluster_open(NULL, &cluster, &error) != TQ_OK)
        return fprintf(stderr, "%s\n", error.message), (int)error.status;

    tq_job job = TQ_JOB_INIT;
    job.inputs = (const char *const *)argv + 1, job.n_inputs = (size_t)argc - 1;
    job.records = TQ_WORDS, job.map = map, job.combine = TQ_SUM;
    job.output = TQ_OUTPUT_FD, job.output_fd = 1;
    job.progress = progress;

    tq_future *future = tq_submit(cluster, &job); /* returns at once */
    tq_future_wait(future, TQ_FOREVER);
    tq_status status = tq_future_status(future);
    if (status != TQ_OK && tq_cluster_rank(cluster) == 0)
        fprintf(stderr, "wordcount: %s\n", tq_future_error(future));
    tq_future_release(future);
    tq_cluster_close(cluster);
    return (int)status;
}
