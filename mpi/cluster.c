#include "mpi/cluster.h"

#include "common/error.h"
#include "node/future.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <tequio/mpi.h>
#include <unistd.h>

/* ---- Opening ---- */

/* The host's cores divided by the ranks on it; no more than the launcher lets this rank run on. */
static int cores_for_rank(const tqi_comm *comm)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t allowed;
    int threads = (int)(cores > 0 ? cores : 1) / comm->host_ranks;

    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && threads > CPU_COUNT(&allowed))
        threads = CPU_COUNT(&allowed);
    if (threads > TQ_MAX_WORKERS)
        threads = TQ_MAX_WORKERS;
    return threads < 1 ? 1 : threads;
}

/* MPI, then the pool. All ranks agree on the outcome as soon as they can. */
static tq_status open_inside(tq_cluster *cluster)
{
    bool inline_engine = cluster->options.threads == 0;
    int length;
    tq_status status = tqi_comm_open(&cluster->comm, cluster->parent, inline_engine, &cluster->error);

    if (status)
        return status;
    if (cluster->comm.collective != MPI_COMM_NULL)
        MPI_Get_library_version(cluster->mpi_version, &length);
    int threads =
        cluster->options.threads == TQ_THREADS_AUTO ? cores_for_rank(&cluster->comm) : cluster->options.threads;
    tq_executor_options options = {.max_workers = threads,
                                   .queue_capacity = 4 * TQ_MAX_WORKERS,
                                   .worker_init = cluster->options.worker_init,
                                   .worker_exit = cluster->options.worker_exit,
                                   .user = cluster->options.user};
    status = tq_executor_create(&options, &cluster->executor);
    if (status)
        tqi_fail(&cluster->error, status, "cannot start %d worker threads: %s", threads, tq_status_name(status));
    return tqi_comm_agree(&cluster->comm, &cluster->error);
}

static tqi_job *next_job(tq_cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    while (!cluster->queue && !cluster->closing)
        pthread_cond_wait(&cluster->changed, &cluster->lock);
    tqi_job *job = cluster->queue;
    if (job) {
        cluster->queue = job->next;
        if (!cluster->queue)
            cluster->queue_end = &cluster->queue;
    }
    pthread_mutex_unlock(&cluster->lock);
    return job;
}

static void run(tq_cluster *cluster, tqi_job *job)
{
    tq_future *future = job->future;

    tqi_future_start(future);
    if (job->gift)
        tqi_job_gather(job);
    else
        tqi_job_run(job);
    cluster->comm.broken |= tqi_pulse_broken(&job->error);
    tqi_future_drop(future); /* the engine's hold: the job may be gone now */
}

static void *engine(void *argument)
{
    tq_cluster *cluster = argument;
    tq_status status = open_inside(cluster);
    tqi_job *job;

    pthread_mutex_lock(&cluster->lock);
    cluster->opened = status;
    cluster->ready = true;
    pthread_cond_broadcast(&cluster->changed);
    pthread_mutex_unlock(&cluster->lock);
    while (!status && (job = next_job(cluster)) != NULL)
        run(cluster, job);
    tqi_comm_close(&cluster->comm);
    return NULL;
}

static tq_status start_engine(tq_cluster *cluster)
{
    if (cluster->options.threads == 0) {
        cluster->opened = open_inside(cluster);
        if (cluster->opened)
            tqi_comm_close(&cluster->comm);
        return cluster->opened;
    }
    int code = pthread_create(&cluster->engine, NULL, engine, cluster);
    if (code)
        return tqi_fail(&cluster->error, TQ_E_SYSTEM, "cannot start the engine's thread: %s", strerror(code));
    pthread_mutex_lock(&cluster->lock);
    while (!cluster->ready)
        pthread_cond_wait(&cluster->changed, &cluster->lock);
    pthread_mutex_unlock(&cluster->lock);
    if (cluster->opened)
        pthread_join(cluster->engine, NULL);
    return cluster->opened;
}

static void free_cluster(tq_cluster *cluster)
{
    tq_executor_destroy(cluster->executor);
    pthread_mutex_destroy(&cluster->lock);
    pthread_cond_destroy(&cluster->changed);
    free(cluster);
}

tq_status tqi_cluster_open(MPI_Comm parent, const tq_cluster_options *options, tq_cluster **result, tq_error *error)
{
    static const tq_cluster_options usual = TQ_CLUSTER_OPTIONS_INIT;
    int threads = options ? options->threads : TQ_THREADS_AUTO;

    if (error)
        tqi_error_clear(error);
    if (threads < TQ_THREADS_AUTO || threads > TQ_MAX_WORKERS)
        return tqi_fail(error, TQ_E_USAGE, "%d threads: 0 to %d are possible", threads, TQ_MAX_WORKERS);
    tq_cluster *cluster = calloc(1, sizeof *cluster);
    if (!cluster)
        return tqi_fail_memory(error, sizeof *cluster, "the cluster");
    cluster->options = options ? *options : usual;
    cluster->parent = parent;
    cluster->queue_end = &cluster->queue;
    tqi_error_clear(&cluster->error);
    pthread_mutex_init(&cluster->lock, NULL);
    pthread_cond_init(&cluster->changed, NULL);
    tq_status status = start_engine(cluster);
    if (status) {
        if (error)
            *error = cluster->error;
        free_cluster(cluster);
        return status;
    }
    *result = cluster;
    return TQ_OK;
}

tq_status tq_cluster_open(const tq_cluster_options *options, tq_cluster **cluster, tq_error *error)
{
    return tqi_cluster_open(MPI_COMM_NULL, options, cluster, error);
}

tq_status tq_cluster_open_on(MPI_Comm communicator, const tq_cluster_options *options, tq_cluster **cluster,
                             tq_error *error)
{
    int initialized = 0;

    MPI_Initialized(&initialized);
    if (!initialized || communicator == MPI_COMM_NULL)
        return tqi_fail(error, TQ_E_USAGE, "tq_cluster_open_on needs MPI to be initialized, and a communicator");
    return tqi_cluster_open(communicator, options, cluster, error);
}

/* ---- Closing ---- */

void tq_cluster_close(tq_cluster *cluster)
{
    if (!cluster)
        return;
    if (cluster->options.threads == 0) {
        tqi_comm_close(&cluster->comm);
    } else {
        pthread_mutex_lock(&cluster->lock);
        cluster->closing = true;
        pthread_cond_broadcast(&cluster->changed);
        pthread_mutex_unlock(&cluster->lock);
        pthread_join(cluster->engine, NULL);
    }
    /* Futures that are not released yet outlive the cluster; their callbacks do not. */
    while (cluster->alive) {
        tqi_job *job = cluster->alive;

        cluster->alive = job->next_alive;
        tqi_hub_join(job->hub);
        job->cluster = NULL;
    }
    free_cluster(cluster);
}

/* ---- Asking ---- */

int tq_cluster_rank(const tq_cluster *cluster)
{
    return cluster->comm.rank;
}

int tq_cluster_size(const tq_cluster *cluster)
{
    return cluster->comm.size;
}

int tq_cluster_hosts(const tq_cluster *cluster)
{
    return cluster->comm.hosts;
}

int tq_cluster_threads(const tq_cluster *cluster)
{
    return tq_executor_workers(cluster->executor);
}

const char *tq_cluster_mpi(const tq_cluster *cluster)
{
    return cluster->mpi_version;
}

tq_status tq_cluster_set_threads(tq_cluster *cluster, int threads)
{
    if (cluster->options.threads == 0)
        return TQ_E_STATE;
    return tq_executor_resize(cluster->executor, threads);
}

/* ---- Jobs ---- */

/* Take a job off the list of those that are alive. */
static void forget(tqi_job *job)
{
    tq_cluster *cluster = job->cluster;

    if (!cluster)
        return;
    pthread_mutex_lock(&cluster->lock);
    for (tqi_job **link = &cluster->alive; *link; link = &(*link)->next_alive) {
        if (*link != job)
            continue;
        *link = job->next_alive;
        break;
    }
    pthread_mutex_unlock(&cluster->lock);
}

/* Queue a job, or run it here. */
static tq_future *submit(tq_cluster *cluster, tqi_job *job)
{
    job->forget = forget;
    tq_future *future = job->future;
    tqi_future_retain(future); /* the engine's hold */
    pthread_mutex_lock(&cluster->lock);
    job->number = ++cluster->submitted;
    job->next_alive = cluster->alive;
    cluster->alive = job;
    if (cluster->options.threads != 0) {
        *cluster->queue_end = job;
        cluster->queue_end = &job->next;
        pthread_cond_broadcast(&cluster->changed);
    }
    pthread_mutex_unlock(&cluster->lock);
    if (cluster->options.threads == 0)
        run(cluster, job);
    return future;
}

static tqi_job *new_job(tq_cluster *cluster, const tq_job *description)
{
    return tqi_job_new(cluster, &cluster->comm, cluster->executor, description);
}

/* The job behind a future that the caller holds; NULL: it is of no job of this cluster. */
static const tqi_job *find_job(tq_cluster *cluster, const tq_future *future)
{
    pthread_mutex_lock(&cluster->lock);
    const tqi_job *job = cluster->alive;
    while (job && job->future != future)
        job = job->next_alive;
    pthread_mutex_unlock(&cluster->lock);
    return job;
}

tq_future *tq_submit(tq_cluster *cluster, const tq_job *description)
{
    tqi_job *job = new_job(cluster, description);

    if (!job)
        return NULL;
    if (job->description.rows) {
        const tqi_job *source = find_job(cluster, job->description.rows);

        if (source)
            tqi_chain_after(job, source);
        else if (!job->not_runnable.status)
            tqi_fail(&job->not_runnable, TQ_E_USAGE, "%s: rows is the future of no job of this cluster",
                     job->description.name);
    }
    return submit(cluster, job);
}

tq_future *tq_submit_failure(tq_cluster *cluster, const tq_error *error)
{
    static const tq_job nothing = TQ_JOB_INIT;
    tqi_job *job = new_job(cluster, &nothing);

    if (!job)
        return NULL;
    job->not_runnable = *error;
    return submit(cluster, job);
}

tq_future *tq_submit_gather(tq_cluster *cluster, tq_slice mine, bool everywhere)
{
    static const uint64_t most_bytes = 1 << 30;
    static const tq_job bytes = {.abi = TQ_JOB_ABI, .value_type = TQ_BYTES, .output = TQ_OUTPUT_KEEP};
    uint64_t size = mine.size < most_bytes ? mine.size : 0;
    tqi_job *job = new_job(cluster, &bytes);

    if (!job)
        return NULL;
    if (mine.size >= most_bytes) /* the others, who wait for this rank, must hear of it */
        tqi_fail(&job->not_runnable, TQ_E_USAGE, "a rank can give less than 1 GiB, not %zu bytes", mine.size);
    job->everywhere = everywhere;
    job->gift_bytes = sizeof size + size;
    job->gift = malloc(job->gift_bytes);
    if (!job->gift) {
        tqi_job_free(job);
        return NULL;
    }
    memcpy(job->gift, &size, sizeof size);
    if (size)
        memcpy(job->gift + sizeof size, mine.data, size);
    return submit(cluster, job);
}
