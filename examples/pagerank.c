/* Ranks the nodes of a graph:  pagerank ROUNDS TOP FILE  or  mpirun -n 4 pagerank ROUNDS TOP FILE
 * A line of FILE is a link, "FROM TO". Jobs in a chain, all submitted at once: a row for each node; rounds, which pass 85
 * % of a node's weight on along its links, and give it 15 % of one; nodes by weight. Divided by their sum, weights are as
 * if what nodes without links have went to all. Weights are integers: their sums are the same in any order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tequio/tequio.h>

/* A value: names that a node links to, white space before each, or alone; or CARRIED, weight. A row: weight, names. */
enum { CARRIED = 'x', UNIT = 1000000000, ANEW = UNIT / 20 * 3, WEIGHT = sizeof(int64_t), NAMES = 64 };

static int read_link(const tq_record *line, tq_emitter *emitter, void *user)
{
    tq_slice text = {line->data, line->size}, names[3], none = {" ", 1};

    (void)user;
    if (tq_next_words(&text, names, 3) != 2)
        return tq_emit_fail(emitter, "this line is no link");
    tq_slice link = {names[1].data - 1, names[1].size + 1};
    return tq_emit(emitter, names[0], link) || tq_emit(emitter, names[1], none);
}

static int make_node(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int64_t weight = ANEW, carried;
    size_t size = WEIGHT;
    char *row = malloc(size);
    tq_slice value;

    (void)user;
    while (row && tq_values_next(values, &value)) {
        if (value.data[0] == CARRIED) {
            memcpy(&carried, value.data + 1, WEIGHT);
            weight += carried;
        } else if (size == WEIGHT || value.size > 1) {
            char *longer = realloc(row, size + value.size);

            if (longer)
                memcpy(longer + size, value.data, value.size);
            else
                free(row);
            row = longer;
            size += value.size;
        }
    }
    if (row)
        memcpy(row, &weight, WEIGHT);
    tq_status status = row ? tq_write_row(out, key, (tq_slice){row, size}) : TQ_E_MEMORY;
    free(row);
    return (int)status;
}

static int pass_on(const tq_row *node, tq_emitter *emitter, void *user)
{
    const tq_slice links = {node->value.data + WEIGHT, node->value.size - WEIGHT};
    tq_slice names[NAMES], rest = links;
    char carried[1 + WEIGHT] = {CARRIED};
    int64_t weight, all = 0;

    (void)user;
    for (size_t n; (n = tq_next_words(&rest, names, NAMES)) > 0;)
        all += (int64_t)n;
    memcpy(&weight, node->value.data, WEIGHT);
    weight = all ? (weight - weight / 20 * 3) / all : 0;
    memcpy(carried + 1, &weight, WEIGHT);
    rest = links;
    for (size_t n; (n = tq_next_words(&rest, names, NAMES)) > 0;)
        for (size_t i = 0; i < n; i++)
            if (tq_emit(emitter, names[i], (tq_slice){carried, sizeof carried}))
                return 1;
    return (int)tq_emit(emitter, node->key, links);
}

static int weigh(const tq_row *node, tq_emitter *emitter, void *user)
{
    int64_t weight;

    (void)user;
    memcpy(&weight, node->value.data, WEIGHT);
    return tq_emit_count(emitter, 0, weight) || tq_emit_i64(emitter, node->key, weight);
}

int main(int argc, char **argv)
{
    tq_job graph = TQ_JOB_INIT, last = TQ_JOB_INIT;
    tq_cluster *cluster;
    tq_error error;
    int64_t all = 0;
    tq_row row;

    if (argc != 4)
        return fprintf(stderr, "usage: pagerank ROUNDS TOP FILE\n"), 2;
    if (tq_cluster_open(NULL, &cluster, &error) != TQ_OK)
        return fprintf(stderr, "%s\n", error.message), (int)error.status;
    graph.inputs = (const char *const *)&argv[3], graph.n_inputs = 1, graph.map = read_link, graph.reduce = make_node;
    graph.value_type = graph.result_type = TQ_BYTES, graph.order = TQ_ORDER_NONE;
    tq_job round = graph;
    round.n_inputs = 0, round.map = NULL, round.map_row = pass_on;
    last.map_row = weigh, last.counters = (const char *const[]){"weight"}, last.n_counters = 1;
    last.order = TQ_ORDER_VALUE_DESC, last.limit = strtoull(argv[2], NULL, 10), last.output = TQ_OUTPUT_GATHER;
    tq_future *future = tq_submit(cluster, &graph);
    for (int rounds = atoi(argv[1]); rounds >= 0; rounds--) {
        tq_job *job = rounds > 0 ? &round : &last;
        job->rows = future;
        future = tq_submit(cluster, job);
        tq_future_release(job->rows); /* the job has what it needs of it */
    }
    tq_future_wait(future, TQ_FOREVER);
    tq_status status = tq_future_status(future);
    tq_job_counter(future, 0, &all);
    for (uint64_t i = 0; tq_job_row(future, i, &row) == TQ_OK; i++)
        printf("%.9f %.*s\n", (double)row.i64 / (double)all, (int)row.key.size, row.key.data);
    if (status != TQ_OK && tq_cluster_rank(cluster) == 0)
        fprintf(stderr, "pagerank: %s\n", tq_future_error(future));
    tq_future_release(future);
    tq_cluster_close(cluster);
    return (int)status;
}
