/* More than fits an int, between ranks: a shuffle of gigabytes of pages and billions of records, from an input of 128
 * MiB that takes hardly any disk. Every line of it is expanded by the mapper, nothing is combined, and the reducer
 * looks at each record again.
 *
 *     mpicc -O2 -o shuffle bench/shuffle.c -I... -L... -ltequio
 *     mpirun -n 2 shuffle FOLDER RECORDS VALUE_BYTES [MEMORY_MIB [ROUND_MIB]]
 *
 * FOLDER: on a local disk, for the input and what is spilled. VALUE_BYTES: of each record; 0: a small number instead.
 * bench/shuffle.py builds it and runs both.
 *
 * Record i of RECORDS has i as its key, in KEY_BYTES bytes, and a value that follows from i. What is expected is
 * computed without tequio: each i once, with its value, and the sum of a hash of each. Exits with 1 if it is not so. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mpi.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tequio/mpi.h>
#include <time.h>
#include <unistd.h>

enum { KEY_BYTES = 5, LINES = 8192, LINE_BYTES = 16 << 10, PATTERN_BYTES = 64 << 10, MOST_VALUE_BYTES = 4096 };

/* Set before the job, and only read by it. */
typedef struct shuffle_setting {
    uint64_t records;
    size_t value_bytes;
    char pattern[PATTERN_BYTES + MOST_VALUE_BYTES]; /* the value of record i begins somewhere in it */
} shuffle_setting;

/* What reducers saw. They add to it once a key, which is rare beside what else is done for one. */
typedef struct shuffle_totals {
    _Atomic uint64_t records, wrong, sum;
} shuffle_totals;

typedef struct shuffle_driver {
    shuffle_setting setting;
    shuffle_totals seen;
} shuffle_driver;

static uint64_t mix(uint64_t x) /* the finalizer of splitmix64 */
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static int64_t number_of(uint64_t i)
{
    return (int64_t)(mix(i) & 63);
}

static const char *value_of(const shuffle_setting *setting, uint64_t i)
{
    return setting->pattern + mix(i) % PATTERN_BYTES;
}

/* Line n of the input stands for these records. */
static uint64_t first_of_line(const shuffle_setting *setting, uint64_t n)
{
    return setting->records * n / LINES; /* less than 2^53 */
}

static int expand(const tq_record *line, tq_emitter *emitter, void *user)
{
    const shuffle_setting *setting = &((shuffle_driver *)user)->setting;
    uint64_t n = line->offset / LINE_BYTES, end = first_of_line(setting, n + 1);

    for (uint64_t i = first_of_line(setting, n); i < end; i++) {
        tq_slice key = {(const char *)&i, KEY_BYTES}; /* little-endian, as all that tequio runs on */
        tq_status status = setting->value_bytes
                               ? tq_emit(emitter, key, (tq_slice){value_of(setting, i), setting->value_bytes})
                               : tq_emit_i64(emitter, key, number_of(i));

        if (status)
            return 1;
    }
    return 0;
}

static int look(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    shuffle_driver *driver = user;
    const shuffle_setting *setting = &driver->setting;
    uint64_t i = 0;
    int64_t number = 0;
    tq_slice value = {0};
    bool right = key.size == KEY_BYTES && tq_values_count(values) == 1;

    (void)out;
    memcpy(&i, key.data, right ? KEY_BYTES : 0);
    if (setting->value_bytes)
        right = right && tq_values_next(values, &value) && value.size == setting->value_bytes &&
                memcmp(value.data, value_of(setting, i), value.size) == 0;
    else
        right = right && tq_values_next_i64(values, &number) && number == number_of(i);
    atomic_fetch_add_explicit(&driver->seen.records, tq_values_count(values), memory_order_relaxed);
    atomic_fetch_add_explicit(&driver->seen.wrong, !right, memory_order_relaxed);
    atomic_fetch_add_explicit(&driver->seen.sum, mix(i + 1), memory_order_relaxed);
    return 0;
}

/* Lines of nothing, with holes where a file system has them. */
static void make_input(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int failed = fd < 0;

    for (uint64_t n = 1; n <= LINES && !failed; n++)
        failed = pwrite(fd, "\n", 1, (off_t)(n * LINE_BYTES - 1)) != 1;
    if (failed || close(fd) != 0) {
        fprintf(stderr, "shuffle: %s: %s\n", path, strerror(errno));
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

/* The sum over this rank's share of all records, by a loop of its own. */
static uint64_t expected_sum(uint64_t records, int rank, int ranks)
{
    uint64_t sum = 0, begin = records / (uint64_t)ranks * (uint64_t)rank;
    uint64_t end = rank == ranks - 1 ? records : begin + records / (uint64_t)ranks;

    for (uint64_t i = begin; i < end; i++)
        sum += mix(i + 1);
    return sum;
}

static void print_figures(const tq_stats *stats, const shuffle_setting *setting)
{
    uint64_t pages = 0, sent = 0, most = 0, spilled = 0, peak = 0;
    double map_s = 0, reduce_s = 0;

    for (int r = 0; r < stats->ranks; r++) {
        const tq_rank_stats *rank = &stats->rank[r];

        pages += rank->bytes[TQ_PHASE_SHUFFLE];
        sent += rank->sent_bytes;
        spilled += rank->spilled_bytes;
        most = rank->sent_bytes > most ? rank->sent_bytes : most;
        peak = rank->peak_bytes > peak ? rank->peak_bytes : peak;
        map_s = rank->seconds[TQ_PHASE_MAP] > map_s ? rank->seconds[TQ_PHASE_MAP] : map_s;
        reduce_s = rank->seconds[TQ_PHASE_REDUCE] > reduce_s ? rank->seconds[TQ_PHASE_REDUCE] : reduce_s;
    }
    printf("{\"ranks\": %d, \"records\": %" PRIu64 ", \"value_bytes\": %zu, \"page_bytes\": %" PRIu64
           ", \"sent_bytes\": %" PRIu64 ", \"most_sent_by_a_rank\": %" PRIu64 ", \"rounds\": %" PRIu64
           ", \"spilled_bytes\": %" PRIu64 ", \"peak_bytes\": %" PRIu64
           ", \"seconds\": %.2f, \"map_and_shuffle_s\": %.2f, \"reduce_s\": %.2f}\n",
           stats->ranks, setting->records, setting->value_bytes, pages, sent, most, stats->rounds, spilled, peak,
           stats->seconds, map_s, reduce_s);
}

static tq_future *submit(tq_cluster *cluster, shuffle_driver *driver, const char *const *input, const char *folder,
                         uint64_t memory_mib, uint64_t round_mib)
{
    tq_job job = TQ_JOB_INIT;

    job.name = "shuffle";
    job.inputs = input;
    job.n_inputs = 1;
    job.records = TQ_LINES;
    job.map = expand;
    job.value_type = driver->setting.value_bytes ? TQ_BYTES : TQ_I64;
    job.combine = TQ_COMBINE_NONE;
    job.reduce = look;
    job.order = TQ_ORDER_NONE;
    job.output = TQ_OUTPUT_KEEP;
    job.memory_bytes = memory_mib << 20;
    job.round_bytes = round_mib << 20;
    job.tmpdir = folder;
    job.user = driver;
    return tq_submit(cluster, &job);
}

/* Whether all ranks together saw what was expected. */
static bool check(const shuffle_driver *driver, int rank, int ranks)
{
    uint64_t expected = expected_sum(driver->setting.records, rank, ranks);
    uint64_t mine[4] = {driver->seen.records, driver->seen.wrong, driver->seen.sum, expected}, all[4];

    MPI_Allreduce(mine, all, 4, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    bool right = all[0] == driver->setting.records && all[1] == 0 && all[2] == all[3];
    if (rank == 0 && !right)
        fprintf(stderr,
                "shuffle: %" PRIu64 " records, not %" PRIu64 "; %" PRIu64 " wrong; sum %016" PRIx64 ", not %016" PRIx64
                "\n",
                all[0], driver->setting.records, all[1], all[2], all[3]);
    return right;
}

static int run(shuffle_driver *driver, char **argv, int rank, int ranks)
{
    char path[4096];
    const char *input = path;
    tq_cluster *cluster;
    tq_cluster_options options = {1};
    tq_error error;
    bool right = false;

    snprintf(path, sizeof path, "%s/shuffle.in", argv[1]);
    if (rank == 0)
        make_input(path);
    MPI_Barrier(MPI_COMM_WORLD);
    if (tq_cluster_open_on(MPI_COMM_WORLD, &options, &cluster, &error) != TQ_OK)
        return fprintf(stderr, "shuffle: %s\n", error.message), 1;
    tq_future *future = submit(cluster, driver, &input, argv[1], argv[4] ? strtoull(argv[4], NULL, 10) : 0,
                               argv[4] && argv[5] ? strtoull(argv[5], NULL, 10) : 0);
    tq_future_wait(future, TQ_FOREVER);
    if (tq_future_status(future) != TQ_OK && rank == 0)
        fprintf(stderr, "shuffle: %s\n", tq_future_error(future));
    if (tq_future_status(future) == TQ_OK) {
        right = check(driver, rank, ranks);
        if (rank == 0)
            print_figures(tq_job_stats(future), &driver->setting);
    }
    tq_future_release(future);
    tq_cluster_close(cluster);
    if (rank == 0)
        unlink(path);
    return right ? 0 : 1;
}

int main(int argc, char **argv)
{
    int rank, ranks, level;
    shuffle_driver *driver = calloc(1, sizeof *driver);

    MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc < 4 || !driver) {
        fprintf(stderr, "usage: shuffle FOLDER RECORDS VALUE_BYTES [MEMORY_MIB [ROUND_MIB]]\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
        return 2;
    }
    shuffle_setting *setting = &driver->setting;
    setting->records = strtoull(argv[2], NULL, 10);
    setting->value_bytes = strtoull(argv[3], NULL, 10);
    if (setting->records >> (8 * KEY_BYTES) || setting->value_bytes > MOST_VALUE_BYTES)
        MPI_Abort(MPI_COMM_WORLD, 2);
    for (size_t at = 0; at < sizeof setting->pattern; at++)
        setting->pattern[at] = (char)mix(at);
    int code = run(driver, argv, rank, ranks);
    free(driver);
    MPI_Finalize();
    return code;
}
