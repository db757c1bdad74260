/* driver INPUT OUTPUT SPLIT_BYTES SPLIT_US SPREAD ORDER: word count through the public API, with threads = 0, as a
 * simulated program.
 *
 * Simulated time is that of messages and of rests. Computing takes none, but for mapping: each split takes SPLIT_US
 * microseconds, up to SPREAD percent more or less from rank to rank. ORDER is key, value or none; OUTPUT may be "-" for
 * rows that stay where they are. Rank 0 writes lines of names and numbers. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tequio/tequio.h>
#include <unistd.h>

/* All ranks share this machine's memory. So much holds what a rank maps here many times over: nothing is flushed early or
 * spilled; but the blocks of the bins are small ones. */
enum { RANK_BYTES = 48 << 20 };

static int map_slowly(const tq_record *record, tq_emitter *emitter, void *user)
{
    enum { AT_ONCE = 64 };
    const double *us_per_byte = user;
    tq_slice text = {record->data, record->size}, words[AT_ONCE];
    tq_status status = TQ_OK;
    size_t n;

    usleep((useconds_t)(*us_per_byte * (double)record->size));
    while (!status && (n = tq_next_words(&text, words, AT_ONCE)) > 0)
        status = tq_emit_keys_i64(emitter, words, n, 1);
    return (int)status;
}

static void print(const tq_stats *stats)
{
    unsigned long long shuffled = 0;

    for (int r = 0; r < stats->ranks; r++)
        shuffled += stats->rank[r].bytes[TQ_PHASE_SHUFFLE];
    printf("ranks %d splits %llu rows %llu rounds %llu flushed %llu shuffle_bytes %llu\n", stats->ranks,
           (unsigned long long)stats->splits, (unsigned long long)stats->rows, (unsigned long long)stats->rounds,
           (unsigned long long)stats->flushed.records, shuffled);
}

int main(int argc, char **argv)
{
    tq_cluster *cluster;
    tq_cluster_options options = {.threads = 0};
    tq_job job = TQ_JOB_INIT;
    tq_error error;
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
    double spread = atof(argv[5]) / 100, place = (double)((unsigned)rank * 2654435761U) / 4294967296.0;
    double us_per_byte = atof(argv[4]) / atof(argv[3]) * (1 + spread * (2 * place - 1));
    const char *input = argv[1];
    job.inputs = &input;
    job.n_inputs = 1;
    job.split_bytes = strtoull(argv[3], NULL, 10);
    job.memory_bytes = RANK_BYTES;
    job.records = TQ_WORDS;
    job.map_chunk = map_slowly;
    job.user = &us_per_byte;
    job.combine = TQ_SUM;
    job.raw_text = true;
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
