/* Programs that use MPI themselves: each thread level, clusters on communicators of theirs, MPI after and between jobs.
 *
 * MPI can be started once a process, so each run tries one level: by its number of threads and of ranks. */
#include "check.h"

#include <mpi.h>
#include <tequio/mpi.h>

static struct trial trial; /* its cluster is the one that is open, if any */

enum { KEYS = 30, REPEATS = 50 };

/* ---- A job whose result is known ---- */

static int map_word(const tq_record *record, tq_emitter *emitter, void *user)
{
    const int *factor = user;

    return tq_emit_i64(emitter, (tq_slice){record->data, record->size}, *factor) != TQ_OK;
}

static tq_job job_of(const char *const *input, int *factor)
{
    tq_job job = count_words_in(input);

    job.map = map_word;
    job.split_bytes = 32;
    job.user = factor;
    return job;
}

/* Word k is there REPEATS + k times. */
static void make_text_file(const char *path)
{
    FILE *file = fopen(path, "w");

    CHECK_THAT(file, "%s: %s", path, strerror(errno));
    for (int i = 0; i < REPEATS + KEYS; i++)
        for (int k = 0; k < KEYS; k++)
            if (i < REPEATS + k)
                fprintf(file, "word-%02d%c", k, k % 5 ? ' ' : '\n');
    CHECK(fclose(file) == 0);
}

static void check_rows(const tq_future *future, bool keeps, int factor, const char *what)
{
    tq_row row;

    CHECK_THAT(tq_job_rows(future) == (keeps ? KEYS : 0), "%s: %" PRIu64 " rows", what, tq_job_rows(future));
    for (uint64_t k = 0; k < tq_job_rows(future); k++) {
        CHECK_STATUS(tq_job_row(future, k, &row), TQ_OK);
        CHECK_THAT(row.key.size == 7 && row.i64 == (int64_t)(REPEATS + (int)k) * factor,
                   "%s: row %" PRIu64 " is '%.*s' %" PRId64, what, k, (int)row.key.size, row.key.data, row.i64);
    }
}

static void run_job(tq_cluster *cluster, int factor, const char *what)
{
    char path[PATH_SIZE];
    const char *input = path_of(&trial, path, "in/words");
    tq_job job = job_of(&input, &factor);

    job.output = TQ_OUTPUT_GATHER;
    tq_future *future = tq_submit(cluster, &job);
    tq_status status = await(future);
    CHECK_THAT(status == TQ_OK, "%s: %s", what, tq_future_error(future));
    check_rows(future, tq_cluster_rank(cluster) == 0, factor, what);
    tq_future_release(future);
}

/* MPI works, on this communicator. Collective. */
static void use_mpi(MPI_Comm communicator, const char *what)
{
    int rank, size, sum = -1, next;
    MPI_Status status;

    CHECK(MPI_Comm_rank(communicator, &rank) == MPI_SUCCESS && MPI_Comm_size(communicator, &size) == MPI_SUCCESS);
    CHECK(MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, communicator) == MPI_SUCCESS);
    CHECK_THAT(sum == size * (size - 1) / 2, "%s: the sum of the ranks is %d", what, sum);
    CHECK(MPI_Sendrecv(&rank, 1, MPI_INT, (rank + 1) % size, 7, &next, 1, MPI_INT, (rank + size - 1) % size,
                       MPI_ANY_TAG, communicator, &status) == MPI_SUCCESS);
    CHECK_THAT(next == (rank + size - 1) % size && status.MPI_TAG == 7, "%s: a message of tag %d", what,
               status.MPI_TAG);
}

static tq_cluster *open_on(MPI_Comm communicator, int threads)
{
    tq_cluster_options options = {.threads = threads};
    tq_cluster *cluster = NULL;
    tq_error error;
    int rank, size;

    tq_status status = tq_cluster_open_on(communicator, &options, &cluster, &error);
    CHECK_THAT(status == TQ_OK, "%s", error.message);
    MPI_Comm_rank(communicator, &rank);
    MPI_Comm_size(communicator, &size);
    CHECK(tq_cluster_rank(cluster) == rank && tq_cluster_size(cluster) == size);
    CHECK(tq_cluster_threads(cluster) == threads && tq_cluster_hosts(cluster) == 1);
    return cluster;
}

static void check_running(const char *what)
{
    int finalized = 1;

    CHECK(MPI_Finalized(&finalized) == MPI_SUCCESS);
    CHECK_THAT(!finalized, "%s: MPI is finalized", what);
}

/* ---- What is tried ---- */

static void test_refused(void)
{
    tq_cluster_options options = {.threads = 1};
    tq_cluster *cluster = NULL;
    tq_error error;

    CHECK_STATUS(tq_cluster_open_on(MPI_COMM_WORLD, &options, &cluster, &error), TQ_E_USAGE);
    CHECK(!cluster && error.status == TQ_E_USAGE && error.message[0]);
    CHECK_STATUS(tq_cluster_open(&options, &cluster, &error), TQ_E_USAGE);
    CHECK(!cluster && error.status == TQ_E_USAGE);
    CHECK_STATUS(tq_cluster_open_on(MPI_COMM_WORLD, NULL, &cluster, NULL), TQ_E_USAGE);
    check_running("refused");
    use_mpi(MPI_COMM_WORLD, "refused");
}

static void test_null_communicator(void)
{
    tq_cluster *cluster = NULL;
    tq_error error;

    CHECK_STATUS(tq_cluster_open_on(MPI_COMM_NULL, NULL, &cluster, &error), TQ_E_USAGE);
    CHECK(!cluster && error.message[0]);
}

static void test_world(void)
{
    tq_cluster_options options = {.threads = trial.threads};
    tq_cluster *cluster = NULL;

    for (int i = 0; i < 2; i++) {
        tq_cluster *on = open_on(MPI_COMM_WORLD, trial.threads);

        run_job(on, 1 + i, "on the world");
        use_mpi(MPI_COMM_WORLD, "between jobs");
        run_job(on, -7, "on the world again");
        tq_cluster_close(on);
        check_running("closed");
        use_mpi(MPI_COMM_WORLD, "after closing");
    }
    CHECK_STATUS(tq_cluster_open(&options, &cluster, NULL), TQ_OK);
    CHECK(tq_cluster_size(cluster) == trial.size && tq_cluster_rank(cluster) == trial.rank);
    run_job(cluster, 3, "opened without a communicator");
    tq_cluster_close(cluster);
    check_running("closed");
    use_mpi(MPI_COMM_WORLD, "after closing");
}

/* Odd and even ranks run different jobs, and not equally many. */
static void test_halves(void)
{
    int odd = trial.rank % 2;
    MPI_Comm half;

    CHECK(MPI_Comm_split(MPI_COMM_WORLD, odd, -trial.rank, &half) == MPI_SUCCESS);
    tq_cluster *cluster = open_on(half, trial.threads);
    for (int i = 0; i < 3 + 2 * odd; i++)
        run_job(cluster, 10 * i + odd + 1, odd ? "odd ranks" : "even ranks");
    use_mpi(half, "the half is still ours");
    tq_cluster_close(cluster);
    use_mpi(half, "the half, after closing");
    CHECK(MPI_Comm_free(&half) == MPI_SUCCESS);
    use_mpi(MPI_COMM_WORLD, "after the halves");
}

/* Only some ranks open a cluster; the others go on. */
static void test_some_ranks(void)
{
    MPI_Comm some;

    CHECK(MPI_Comm_split(MPI_COMM_WORLD, trial.rank == 0 ? MPI_UNDEFINED : 0, 0, &some) == MPI_SUCCESS);
    if (some != MPI_COMM_NULL) {
        tq_cluster *cluster = open_on(some, trial.threads);

        run_job(cluster, 5, "all but one");
        tq_cluster_close(cluster);
        CHECK(MPI_Comm_free(&some) == MPI_SUCCESS);
    }
    use_mpi(MPI_COMM_WORLD, "after some");
}

/* Two clusters at once on the same ranks; with threads of their own only where MPI takes calls of many. */
static void test_two_clusters(int level)
{
    char path[PATH_SIZE];
    const char *input = path_of(&trial, path, "in/words");
    int factors[2] = {1, 100};
    tq_job jobs[2] = {job_of(&input, &factors[0]), job_of(&input, &factors[1])};

    if (trial.threads > 0 && level < MPI_THREAD_MULTIPLE)
        return;
    tq_cluster *clusters[2] = {open_on(MPI_COMM_WORLD, trial.threads), open_on(MPI_COMM_WORLD, trial.threads)};
    tq_future *futures[4];
    for (int i = 0; i < 4; i++) {
        jobs[i % 2].output = TQ_OUTPUT_GATHER;
        futures[i] = tq_submit(clusters[i % 2], &jobs[i % 2]);
    }
    if (level == MPI_THREAD_MULTIPLE)
        use_mpi(MPI_COMM_WORLD, "while jobs run");
    CHECK_STATUS(tq_future_wait_all(futures, 4, HANG_S), TQ_OK);
    for (int i = 0; i < 4; i++) {
        CHECK_THAT(tq_future_status(futures[i]) == TQ_OK, "two clusters: %s", tq_future_error(futures[i]));
        check_rows(futures[i], trial.rank == 0, factors[i % 2], "two clusters");
        tq_future_release(futures[i]);
    }
    tq_cluster_close(clusters[0]);
    tq_cluster_close(clusters[1]);
}

/* The result is the same bytes for any number of ranks, whatever the order. */
static void test_any_ranks(void)
{
    char path[PATH_SIZE], alone_path[PATH_SIZE], together_path[PATH_SIZE], name[32];
    const char *input = path_of(&trial, path, "in/words");
    int factor = 2;
    size_t alone_size, together_size;

    snprintf(name, sizeof name, "out/alone-%d", trial.rank);
    path_of(&trial, alone_path, name);
    path_of(&trial, together_path, "out/together");
    for (int order = TQ_ORDER_KEY; order <= TQ_ORDER_NONE; order++) {
        for (int i = 0; i < 2; i++) {
            tq_cluster *cluster = open_on(i ? MPI_COMM_WORLD : MPI_COMM_SELF, trial.threads);
            tq_job job = job_of(&input, &factor);

            job.order = (tq_order)order;
            job.limit = 20;
            job.output = TQ_OUTPUT_FILE;
            job.output_path = i ? together_path : alone_path;
            tq_future *future = tq_submit(cluster, &job);
            CHECK_THAT(await(future) == TQ_OK, "%s", tq_future_error(future));
            tq_future_release(future);
            tq_cluster_close(cluster);
        }
        char *alone = read_file(alone_path, &alone_size), *together = read_file(together_path, &together_size);
        CHECK_THAT(alone_size == together_size && memcmp(alone, together, alone_size) == 0,
                   "order %d: %d ranks have another result than one", order, trial.size);
        free(alone);
        free(together);
        MPI_Barrier(MPI_COMM_WORLD); /* before the next order replaces the file */
    }
}

/* An error of the job leaves MPI as it was, for the program and for the next job. */
static int fail_on_last(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)record;
    (void)user;
    return tq_emit_fail(emitter, "on purpose");
}

static void test_failing(void)
{
    char path[PATH_SIZE];
    const char *input = path_of(&trial, path, "in/words");
    int factor = 1;
    tq_cluster *cluster = open_on(MPI_COMM_WORLD, trial.threads);
    tq_job job = job_of(&input, &factor);

    job.map = fail_on_last;
    tq_future *future = tq_submit(cluster, &job);
    CHECK_STATUS(await(future), TQ_E_USER);
    tq_future_release(future);
    use_mpi(MPI_COMM_WORLD, "after a failure");
    run_job(cluster, 1, "after a failure");
    tq_cluster_close(cluster);
    use_mpi(MPI_COMM_WORLD, "after a failure and closing");
}

/* The same on all ranks, before MPI says how many there are. Over all numbers of ranks and threads that are run, every
 * level is tried with and without threads. */
static int level_to_try(void)
{
    static const int levels[] = {MPI_THREAD_FUNNELED, MPI_THREAD_SERIALIZED, MPI_THREAD_MULTIPLE};
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");

    if (!size)
        size = getenv("PMI_SIZE");
    return levels[(trial.threads + (size ? atoi(size) : 1)) % 3];
}

int main(int argc, char **argv)
{
    char path[PATH_SIZE];
    int level;

    CHECK(argc == 2);
    trial.threads = atoi(argv[1]);
    tq_cluster *none = NULL;
    CHECK_STATUS(tq_cluster_open_on(MPI_COMM_WORLD, NULL, &none, NULL), TQ_E_USAGE); /* too early */
    CHECK(MPI_Init_thread(&argc, &argv, level_to_try(), &level) == MPI_SUCCESS);
    MPI_Comm_rank(MPI_COMM_WORLD, &trial.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &trial.size);
    check_rank = trial.rank;
    name_folder(&trial, "own_mpi");
    if (trial.rank == 0) {
        make_folders(&trial);
        make_text_file(path_of(&trial, path, "in/words"));
    }
    MPI_Barrier(MPI_COMM_WORLD);
    test_null_communicator();
    if (level < MPI_THREAD_SERIALIZED) {
        test_refused();
        trial.threads = 0;
    }
    test_world();
    test_halves();
    test_some_ranks();
    test_two_clusters(level);
    test_any_ranks();
    test_failing();
    MPI_Barrier(MPI_COMM_WORLD);
    if (trial.rank == 0)
        remove_folder(trial.folder);
    CHECK(MPI_Finalize() == MPI_SUCCESS);
    CHECK_STATUS(tq_cluster_open(NULL, &none, NULL), TQ_E_USAGE); /* too late */
    return 0;
}
