/* driver INPUT OUTPUT SPLIT_BYTES SPLIT_US SPREAD ORDER: word count through the public API, with threads = 0, as a
 * simulated program.
 *
 * Simulated time is that of messages and of rests. Computing takes none, but for mapping: each split takes SPLIT_US
 * microseconds, up to SPREAD percent more or less from rank to rank. ORDER is key, value or none; OUTPUT may be "-" for
 * rows that stay where they are. Rank 0 writes lines of names and numbers. */
#include "jobs/jobs.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const jobs_entry jobs_wordcount;

/* All ranks share this machine's memory. So much holds what a rank maps here many times over: nothing is flushed early or
 * spilled; but the blocks of the bins are small ones. */
enum { RANK_BYTES = 48 << 20 };

typedef struct settings {
    tq_map_fn map;
    double us_per_byte;
} settings;

static int map_slowly(const tq_record *record, tq_emitter *emitter, void *user)
{
    const settings *with = user;

    usleep((useconds_t)(with->us_per_byte * (double)record->size));
    return with->map(record, emitter, NULL);
}

static void print(const tq_stats *stats)
{
    printf("ranks %d seconds %.9f input_bytes %llu splits %llu rows %llu output_bytes %llu rounds %llu\n", stats->ranks,
           stats->seconds, (unsigned long long)stats->input_bytes, (unsigned long long)stats->splits,
           (unsigned long long)stats->rows, (unsigned long long)stats->output_bytes, (unsigned long long)stats->rounds);
    printf("flushed %llu", (unsigned long long)stats->flushed.records);
    for (int p = 0; p < TQ_PHASES; p++) {
        unsigned long long bytes = 0;

        for (int r = 0; r < stats->ranks; r++)
            bytes += stats->rank[r].bytes[p];
        printf(" %s_s %.9f %s_bytes %llu", tq_phase_tag((tq_phase)p), stats->rank[0].seconds[p],
               tq_phase_tag((tq_phase)p), bytes);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    tq_cluster *cluster;
    tq_cluster_options options = {.threads = 0};
    tq_job job = TQ_JOB_INIT;
    tq_error error;
    char why[256];
    int rank;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (argc != 7) {
        fprintf(stderr, "driver INPUT OUTPUT SPLIT_BYTES SPLIT_US SPREAD ORDER\n");
        MPI_Abort(MPI_COMM_WORLD, TQ_E_USAGE);
    }
    if (tq_cluster_open(&options, &cluster, &error)) {
        fprintf(stderr, "%s\n", error.message);
        MPI_Abort(MPI_COMM_WORLD, error.status);
    }
    jobs_wordcount.describe(&job, NULL, why, sizeof why);
    double spread = atof(argv[5]) / 100, place = (double)((unsigned)rank * 2654435761U) / 4294967296.0;
    settings with = {job.map_chunk, atof(argv[4]) / atof(argv[3]) * (1 + spread * (2 * place - 1))};
    const char *input = argv[1];
    job.inputs = &input;
    job.n_inputs = 1;
    job.split_bytes = strtoull(argv[3], NULL, 10);
    job.memory_bytes = RANK_BYTES;
    job.map_chunk = map_slowly;
    job.user = &with;
    job.order = !strcmp(argv[6], "key")     ? TQ_ORDER_KEY
                : !strcmp(argv[6], "value") ? TQ_ORDER_VALUE_DESC
                                            : TQ_ORDER_NONE;
    job.output = strcmp(argv[2], "-") ? TQ_OUTPUT_FILE : TQ_OUTPUT_KEEP;
    job.output_path = argv[2];

    tq_future *future = tq_submit(cluster, &job);
    if (tq_job_error(future, &error) || error.status) {
        if (rank == 0 || error.rank == rank)
            fprintf(stderr, "%s\n", error.message);
        MPI_Abort(MPI_COMM_WORLD, error.status);
    }
    if (rank == 0) {
        print(tq_job_stats(future));
        tqs_report(stdout);
    }
    tq_future_release(future);
    tq_cluster_close(cluster);
    MPI_Finalize();
    return 0;
}
