/* One job for bench/skew.py: counts the words of files without combining, so that every word travels and one reducer gets
 * all values of a key.
 *
 *     cc -O2 -o skew bench/skew.c -I... -L... -ltequio
 *     mpirun -n 2 skew FILE...
 *
 * Prints how long it took, in all and by phases, and how unevenly the records were spread over ranks. */
#include <stdio.h>
#include <tequio/tequio.h>

static int map(const tq_record *text, tq_emitter *emitter, void *user)
{
    tq_slice left = {text->data, text->size}, words[256];
    tq_status status = TQ_OK;

    (void)user;
    for (size_t n; status == TQ_OK && (n = tq_next_words(&left, words, 256)) != 0;)
        status = tq_emit_keys_i64(emitter, words, n, 1);
    return status != TQ_OK;
}

static int count(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int64_t value, sum = 0;

    (void)user;
    while (tq_values_next_i64(values, &value))
        sum += value;
    return tq_write_row_i64(out, key, sum) != TQ_OK;
}

static void print_figures(const tq_stats *stats)
{
    double phases[TQ_PHASES] = {0};

    for (int r = 0; r < stats->ranks; r++)
        for (int p = 0; p < TQ_PHASES; p++)
            if (stats->rank[r].seconds[p] > phases[p])
                phases[p] = stats->rank[r].seconds[p];
    printf("{\"seconds\": %.6f, \"map\": %.6f, \"reduce\": %.6f, \"write\": %.6f, \"load_max_over_mean\": %.3f}\n",
           stats->seconds, phases[TQ_PHASE_MAP], phases[TQ_PHASE_REDUCE], phases[TQ_PHASE_WRITE], stats->load_max_over_mean);
}

int main(int argc, char **argv)
{
    tq_cluster_options options = {1};
    tq_cluster *cluster;
    tq_error error;

    if (tq_cluster_open(&options, &cluster, &error) != TQ_OK)
        return fprintf(stderr, "skew: %s\n", error.message), 1;
    tq_job job = TQ_JOB_INIT;
    job.inputs = (const char *const *)argv + 1, job.n_inputs = (size_t)argc - 1;
    job.records = TQ_WORDS, job.map_chunk = map;
    job.combine = TQ_COMBINE_NONE, job.reduce = count, job.result_type = TQ_I64;
    job.order = TQ_ORDER_NONE, job.output = TQ_OUTPUT_KEEP;
    tq_future *future = tq_submit(cluster, &job);
    tq_future_wait(future, TQ_FOREVER);
    tq_status status = tq_future_status(future);
    if (status != TQ_OK && tq_cluster_rank(cluster) == 0)
        fprintf(stderr, "skew: %s\n", tq_future_error(future));
    if (status == TQ_OK && tq_cluster_rank(cluster) == 0)
        print_figures(tq_job_stats(future));
    tq_future_release(future);
    tq_cluster_close(cluster);
    return (int)status;
}
