#include "mpi/comm.h"

#include "common/error.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* One MPI call moves at most this much: counts are ints, and several versions break near 2 GiB. */
enum { PIECE_BYTES = 256 << 20 };
enum { FIRST_REST_US = 20, MOST_FIRST_REST_US = 500, LONGEST_REST_US = 4000, MOST_LONGEST_REST_US = 20000 };
/* Nothing depends on it but reports, which many ranks send less often. */
enum { LONGEST_REST_TILL_RUNG_US = 50000, MOST_LONGEST_REST_TILL_RUNG_US = 200000, RANKS_OF_LONGEST_REST = 16 };
/* Of MPI's threads: some libraries keep one that never sleeps. */
enum { LONGEST_UNREST_US = 1000000 };

tq_status tqi_mpi_check(int code, const char *what, tq_error *error)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int size = 0;

    if (code == MPI_SUCCESS)
        return TQ_OK;
    MPI_Error_string(code, text, &size);
    return tqi_fail(error, TQ_E_MPI, "%s failed: %s", what, text);
}

static unsigned at_most(unsigned us, unsigned most)
{
    return us < most ? us : most;
}

unsigned tqi_comm_first_rest_us(const tqi_comm *comm)
{
    return at_most(FIRST_REST_US * comm->crowd, MOST_FIRST_REST_US);
}

unsigned tqi_comm_longest_rest_us(const tqi_comm *comm)
{
    return at_most(LONGEST_REST_US * comm->crowd, MOST_LONGEST_REST_US);
}

unsigned tqi_comm_longest_rest_till_rung_us(const tqi_comm *comm)
{
    unsigned longest = LONGEST_REST_TILL_RUNG_US / RANKS_OF_LONGEST_REST * (unsigned)comm->size;

    if (!comm->bells->all)
        return tqi_comm_longest_rest_us(comm);
    return at_most(longest > LONGEST_REST_TILL_RUNG_US ? longest : LONGEST_REST_TILL_RUNG_US,
                   MOST_LONGEST_REST_TILL_RUNG_US);
}

static void pause_at_most(const tqi_comm *comm, unsigned longest_us, unsigned *rest_us)
{
    /* Steps that all take one after the other wait for whoever rests longest: with rests as long as the wait so far each
     * step takes longer than the one before. Where ranks share a core they pay for that, rather than for looking. */
    unsigned more = comm->crowd > 1 ? *rest_us : *rest_us / 8;

    *rest_us = *rest_us ? at_most(*rest_us + more, longest_us) : tqi_comm_first_rest_us(comm);
    if (tqi_bells_sleep(comm->bells, *rest_us))
        *rest_us = 0;
}

void tqi_comm_pause(const tqi_comm *comm, unsigned *rest_us)
{
    pause_at_most(comm, tqi_comm_longest_rest_us(comm), rest_us);
}

int tqi_comm_parent(const tqi_comm *comm)
{
    return (comm->rank - 1) / TQI_CHILDREN;
}

int tqi_comm_first_child(const tqi_comm *comm)
{
    return TQI_CHILDREN * comm->rank + 1; /* may be beyond the last rank */
}

int tqi_comm_children(const tqi_comm *comm)
{
    int left = comm->size - tqi_comm_first_child(comm);

    return left < 0 ? 0 : left < TQI_CHILDREN ? left : TQI_CHILDREN;
}

static tq_status poll_on(MPI_Comm comm, int tag, void *buffer, int size, int *from, tq_error *error)
{
    MPI_Status status;
    int there = 0;
    int code = MPI_Iprobe(MPI_ANY_SOURCE, tag, comm, &there, &status);

    *from = -1;
    if (code == MPI_SUCCESS && there) {
        code = MPI_Recv(buffer, size, MPI_BYTE, status.MPI_SOURCE, tag, comm, MPI_STATUS_IGNORE);
        *from = status.MPI_SOURCE;
    }
    return tqi_mpi_check(code, "receiving a message", error);
}

tq_status tqi_comm_poll(const tqi_comm *comm, int tag, void *buffer, int size, int *from, tq_error *error)
{
    *from = -1;
    return comm->bells->looks ? poll_on(comm->control, tag, buffer, size, from, error) : TQ_OK;
}

static tq_status await_at_most(const tqi_comm *comm, unsigned longest_us, MPI_Request *request, const char *what,
                               tq_error *error)
{
    unsigned rest_us = 0;

    for (;;) {
        int done = 0;
        tq_status status = tqi_mpi_check(MPI_Test(request, &done, MPI_STATUS_IGNORE), what, error);

        if (status || done)
            return status;
        pause_at_most(comm, longest_us, &rest_us);
    }
}

tq_status tqi_comm_await(const tqi_comm *comm, MPI_Request *request, const char *what, tq_error *error)
{
    return await_at_most(comm, tqi_comm_longest_rest_us(comm), request, what, error);
}

/* Whether this process is one of several ranks that a launcher started: only then MPI needs to be initialized. */
static tq_status started_by_launcher(bool *launched, tq_error *error)
{
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");

    if (!size)
        size = getenv("PMI_SIZE");
    *launched = size ? atoi(size) > 1 : getenv("PMIX_RANK") || getenv("PMI_RANK") || getenv("MPI_LOCALNRANKS");
    if (!*launched && !size && tasks && atoi(tasks) > 1 && getenv("SLURM_STEP_ID"))
        return tqi_fail(error, TQ_E_USAGE,
                        "srun started %s tasks, but without MPI between them: use srun --mpi=pmix (srun --mpi=list)",
                        tasks);
    return TQ_OK;
}

/* PMIx, which MPI_Finalize says goodbye to, takes small messages over TCP, and waits 40 ms for an acknowledgement that
 * the kernel delays, unless Nagle's algorithm is off. MPI opened the connection itself and has no setting for this. */
static void send_at_once(void)
{
    enum { LAST = 255 };
    int on = 1;

    for (int fd = STDERR_FILENO + 1; fd <= LAST; fd++) /* it fails for all that is no TCP socket */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static tq_status initialize(tqi_comm *comm, bool inline_engine, tq_error *error)
{
    int initialized = 0, finalized = 0, level = MPI_THREAD_SINGLE;

    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    if (finalized)
        return tqi_fail(error, TQ_E_USAGE, "MPI is finalized already, and cannot be started twice");
    if (!initialized) {
        tqi_threads before;

        comm->finalize = true;
        tqi_threads_list(&before);
        int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
        tqi_threads_list(&comm->threads);
        tqi_threads_leave_out(&comm->threads, &before);
        send_at_once();
        return tqi_mpi_check(code, "MPI_Init_thread", error);
    }
    MPI_Query_thread(&level);
    if (level < MPI_THREAD_SERIALIZED && !inline_engine)
        return tqi_fail(error, TQ_E_USAGE,
                        "MPI was initialized without threads: call MPI_Init_thread with "
                        "MPI_THREAD_SERIALIZED or more, or open the cluster with threads = 0");
    return TQ_OK;
}

static unsigned crowd_of(int host_ranks)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    cores = cores > 0 ? cores : 1;
    return (unsigned)((host_ranks + cores - 1) / cores);
}

/* How many hosts there are: each host's first rank counts for one. */
static tq_status count_hosts(tqi_comm *comm, tq_error *error)
{
    MPI_Comm host;
    int host_rank = 0, first = 0;
    int code = MPI_Comm_split_type(comm->collective, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &host);

    if (code != MPI_SUCCESS)
        return tqi_mpi_check(code, "MPI_Comm_split_type", error);
    MPI_Comm_rank(host, &host_rank);
    MPI_Comm_size(host, &comm->host_ranks);
    code = tqi_bells_share(comm->bells, host, comm->collective);
    MPI_Comm_free(&host);
    if (code != MPI_SUCCESS)
        return tqi_mpi_check(code, "sharing memory with the ranks of this host", error);
    comm->crowd = crowd_of(comm->host_ranks);
    first = host_rank == 0;
    code = MPI_Allreduce(&first, &comm->hosts, 1, MPI_INT, MPI_SUM, comm->collective);
    return tqi_mpi_check(code, "MPI_Allreduce", error);
}

static tq_status duplicate(tqi_comm *comm, MPI_Comm parent, tq_error *error)
{
    int code = MPI_Comm_dup(parent, &comm->collective);

    if (code == MPI_SUCCESS)
        code = MPI_Comm_dup(parent, &comm->control);
    if (code != MPI_SUCCESS)
        return tqi_mpi_check(code, "MPI_Comm_dup", error);
    MPI_Comm_set_errhandler(comm->collective, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(comm->control, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm->collective, &comm->rank);
    MPI_Comm_size(comm->collective, &comm->size);
    return count_hosts(comm, error);
}

tq_status tqi_comm_open(tqi_comm *comm, MPI_Comm parent, bool inline_engine, tq_error *error)
{
    int initialized = 0;
    bool launched;

    *comm = (tqi_comm){
        .size = 1, .hosts = 1, .host_ranks = 1, .crowd = 1, .collective = MPI_COMM_NULL, .control = MPI_COMM_NULL};
    comm->bells = tqi_bells_new();
    if (!comm->bells)
        return tqi_fail_memory(error, sizeof *comm->bells, "the cluster");
    tq_status status = started_by_launcher(&launched, error);
    if (status)
        return status;
    MPI_Initialized(&initialized);
    if (!launched && !initialized)
        return TQ_OK;
    status = initialize(comm, inline_engine, error);
    if (!status)
        status = duplicate(comm, parent == MPI_COMM_NULL ? MPI_COMM_WORLD : parent, error);
    return status;
}

/* Open MPI 4.1 leaves MPI_Init with an event queued for a thread of its own (the declaration of its programming model,
 * which comes back from PMIx), and MPI_Finalize unloads the code of the event before it ends that thread. On a busy host a
 * thread may get no core from the one to the other when a job is small, and crashes then. */
static void finalize(const tqi_comm *comm)
{
    tqi_threads_await_rest(&comm->threads, LONGEST_UNREST_US);
    MPI_Finalize();
}

void tqi_comm_close(tqi_comm *comm)
{
    tqi_bells_let_go(comm->bells);
    comm->bells = NULL;
    if (comm->broken) /* MPI_Finalize would wait for ranks that will not come; the launcher ends them */
        return;
    if (comm->collective != MPI_COMM_NULL)
        MPI_Comm_free(&comm->collective);
    if (comm->control != MPI_COMM_NULL)
        MPI_Comm_free(&comm->control);
    if (comm->finalize)
        finalize(comm);
    comm->finalize = false;
}

/* ---- Small things all together ----
 *
 * The library's non-blocking collectives take a dozen steps among 64 ranks, and each step waits until the rank that has
 * to take it looks again. In a flat tree there are two, up and down, and a rank that hears something looks again soon. */

enum { SMALL_BYTES = 4096 };

typedef void (*merge_fn)(void *into, const void *from, size_t bytes);

/* A child sends no second message before it has heard from above, so whatever comes belongs to this step. What each
 * child sent is kept in each, one behind the other, unless that is NULL. */
static tq_status hear_children(const tqi_comm *comm, void *mine, size_t bytes, merge_fn merge, char *each,
                               tq_error *error)
{
    char theirs[SMALL_BYTES];
    unsigned rest_us = 0;

    for (int missing = tqi_comm_children(comm); missing > 0;) {
        int from;
        tq_status status = poll_on(comm->collective, TQI_TAG_UP, theirs, SMALL_BYTES, &from, error);

        if (status)
            return status;
        if (from < 0) {
            pause_at_most(comm, tqi_comm_longest_rest_till_rung_us(comm), &rest_us);
            continue;
        }
        merge(mine, theirs, bytes);
        if (each)
            memcpy(each + (size_t)(from - tqi_comm_first_child(comm)) * bytes, theirs, bytes);
        missing--;
        rest_us = 0;
    }
    return TQ_OK;
}

/* Each child gets size bytes, the first at bytes, the next stride behind them, and so on. */
static tq_status tell_children(const tqi_comm *comm, const char *bytes, size_t stride, size_t size, tq_error *error)
{
    MPI_Request requests[TQI_CHILDREN];
    int n = tqi_comm_children(comm), first = tqi_comm_first_child(comm);
    int code = MPI_SUCCESS;
    tq_status status = TQ_OK;

    for (int i = 0; i < TQI_CHILDREN; i++)
        requests[i] = MPI_REQUEST_NULL;
    for (int i = 0; i < n && code == MPI_SUCCESS; i++) {
        code = MPI_Isend(bytes + (size_t)i * stride, (int)size, MPI_BYTE, first + i, TQI_TAG_DOWN, comm->collective,
                         &requests[i]);
        tqi_bells_ring(comm->bells, first + i);
    }
    status = tqi_mpi_check(code, "MPI_Isend", error);
    for (int i = 0; i < n && !status; i++)
        status = tqi_comm_await(comm, &requests[i], "MPI_Isend", error);
    return status;
}

static tq_status hear_parent(const tqi_comm *comm, void *bytes, size_t size, tq_error *error)
{
    MPI_Request request;

    if (comm->rank == 0)
        return TQ_OK;
    int code = MPI_Irecv(bytes, (int)size, MPI_BYTE, tqi_comm_parent(comm), TQI_TAG_DOWN, comm->collective, &request);
    tq_status status = tqi_mpi_check(code, "MPI_Irecv", error);
    return status ? status
                  : await_at_most(comm, tqi_comm_longest_rest_till_rung_us(comm), &request, "MPI_Irecv", error);
}

/* What rank 0 has goes to everybody. At most SMALL_BYTES. */
static tq_status down(const tqi_comm *comm, void *bytes, size_t size, tq_error *error)
{
    tq_status status = hear_parent(comm, bytes, size, error);

    return status ? status : tell_children(comm, bytes, 0, size, error);
}

/* All ranks' bytes are merged on rank 0. At most SMALL_BYTES. each: as for hear_children. */
static tq_status up(const tqi_comm *comm, void *bytes, size_t size, merge_fn merge, char *each, tq_error *error)
{
    MPI_Request request;
    tq_status status = hear_children(comm, bytes, size, merge, each, error);

    if (status || comm->rank == 0)
        return status;
    int code = MPI_Isend(bytes, (int)size, MPI_BYTE, tqi_comm_parent(comm), TQI_TAG_UP, comm->collective, &request);
    tqi_bells_ring(comm->bells, tqi_comm_parent(comm));
    status = tqi_mpi_check(code, "MPI_Isend", error);
    return status ? status : tqi_comm_await(comm, &request, "MPI_Isend", error);
}

static tq_status merge_all(const tqi_comm *comm, void *bytes, size_t size, merge_fn merge, tq_error *error)
{
    tq_status status = up(comm, bytes, size, merge, NULL, error);

    return status ? status : down(comm, bytes, size, error);
}

/* ---- All together ---- */

static tq_status broadcast_piece(const tqi_comm *comm, int root, void *bytes, size_t size, tq_error *error)
{
    MPI_Request request;

    if (root == 0 && size <= SMALL_BYTES)
        return down(comm, bytes, size, error);
    int code = MPI_Ibcast(bytes, (int)size, MPI_BYTE, root, comm->collective, &request);
    if (code != MPI_SUCCESS)
        return tqi_mpi_check(code, "MPI_Ibcast", error);
    return tqi_comm_await(comm, &request, "MPI_Ibcast", error);
}

tq_status tqi_comm_broadcast_into(const tqi_comm *comm, int root, char *bytes, uint64_t size, tq_error *error)
{
    tq_status status = TQ_OK;

    for (uint64_t at = 0; at < size && !status && comm->size > 1; at += PIECE_BYTES)
        status = broadcast_piece(comm, root, bytes + at, size - at < PIECE_BYTES ? size - at : PIECE_BYTES, error);
    return status;
}

tq_status tqi_comm_broadcast(const tqi_comm *comm, int root, char **bytes, size_t *size, tq_error *error)
{
    uint64_t total = *size;

    if (comm->size == 1)
        return TQ_OK;
    tq_status status = broadcast_piece(comm, root, &total, sizeof total, error);
    if (status)
        return status;
    if (comm->rank != root) {
        *bytes = malloc(total ? total : 1);
        *size = total;
        if (!*bytes)
            return tqi_fail_memory(error, total, "what another rank sends");
    }
    return tqi_comm_broadcast_into(comm, root, *bytes, total, error);
}

static void add_up(void *into, const void *from, size_t bytes)
{
    uint64_t a, b;

    for (size_t at = 0; at < bytes; at += sizeof a) {
        memcpy(&a, (char *)into + at, sizeof a);
        memcpy(&b, (const char *)from + at, sizeof b);
        a += b;
        memcpy((char *)into + at, &a, sizeof a);
    }
}

static void keep_larger(void *into, const void *from, size_t bytes)
{
    uint64_t a, b;

    for (size_t at = 0; at < bytes; at += sizeof a) {
        memcpy(&a, (char *)into + at, sizeof a);
        memcpy(&b, (const char *)from + at, sizeof b);
        a = b > a ? b : a;
        memcpy((char *)into + at, &a, sizeof a);
    }
}

static tq_status merge_numbers(const tqi_comm *comm, uint64_t *numbers, int n, merge_fn merge, tq_error *error)
{
    enum { MOST = SMALL_BYTES / sizeof(uint64_t) };
    tq_status status = TQ_OK;

    for (int at = 0; at < n && !status && comm->size > 1; at += MOST) {
        int part = n - at < MOST ? n - at : MOST;

        status = merge_all(comm, numbers + at, (size_t)part * sizeof *numbers, merge, error);
    }
    return status;
}

tq_status tqi_comm_sum(const tqi_comm *comm, uint64_t *numbers, int n, tq_error *error)
{
    return merge_numbers(comm, numbers, n, add_up, error);
}

tq_status tqi_comm_max(const tqi_comm *comm, uint64_t *numbers, int n, tq_error *error)
{
    return merge_numbers(comm, numbers, n, keep_larger, error);
}

static int level_of(int rank)
{
    int level = 0;

    for (; rank > 0; rank = (rank - 1) / TQI_CHILDREN)
        level++;
    return level;
}

/* What stands before each child in each level, from what stands before this rank and from the children's sums. */
static void divide(uint64_t *before, uint64_t *each, int children, int levels)
{
    for (int c = 0; c < children; c++)
        for (int l = 0; l < levels; l++) {
            uint64_t own = each[c * levels + l];

            each[c * levels + l] = before[l];
            before[l] += own;
        }
}

/* The ranks of a level of the tree are numbered one after the other, and those below a rank before those below its
 * next sibling. So one number a level is enough, instead of one a rank: up go the sums, by level, over the ranks below;
 * down, by level, the sums over all that stand before the first rank below. */
tq_status tqi_comm_sum_before(const tqi_comm *comm, uint64_t mine, uint64_t *before, tq_error *error)
{
    int levels = level_of(comm->size - 1) + 1, level = level_of(comm->rank), children = tqi_comm_children(comm);
    size_t size = (size_t)levels * sizeof(uint64_t);

    *before = 0;
    if (comm->size == 1)
        return TQ_OK;
    uint64_t *sums = calloc((size_t)children + 2, size);
    if (!sums)
        return tqi_fail(error, TQ_E_MPI, "no memory for a number of each rank");
    uint64_t *places = sums + levels, *each = places + levels;
    sums[level] = mine;
    tq_status status = up(comm, sums, size, add_up, (char *)each, error);
    for (int l = 1; comm->rank == 0 && l < levels; l++)
        places[l] = places[l - 1] + sums[l - 1];
    if (!status)
        status = hear_parent(comm, places, size, error);
    *before = places[level];
    divide(places, each, children, levels);
    if (!status)
        status = tell_children(comm, (const char *)each, size, size, error);
    free(sums);
    return status;
}

/* Sizes to places. Returns the total, or -1 if it does not fit an int. */
static int64_t places_of(const int *sizes, int *places, int n)
{
    int64_t total = 0;

    for (int i = 0; i < n; i++) {
        places[i] = (int)total;
        total += sizes[i];
        if (total > INT32_MAX)
            return -1;
    }
    return total;
}

static tq_status gather_sized(const tqi_comm *comm, const void *mine, int size, int *sizes, char **all, size_t *total,
                              tq_error *error)
{
    MPI_Request request;
    int *places = sizes + comm->size;
    int code = MPI_Igather(&size, 1, MPI_INT, sizes, 1, MPI_INT, 0, comm->collective, &request);
    int64_t sum = 0;
    int room = 1;
    tq_status status = tqi_mpi_check(code, "MPI_Igather", error);

    if (!status)
        status = tqi_comm_await(comm, &request, "MPI_Igather", error);
    if (status)
        return status;
    if (comm->rank == 0) {
        sum = places_of(sizes, places, comm->size);
        *all = sum < 0 ? NULL : malloc(sum ? (size_t)sum : 1);
        *total = (size_t)sum;
        room = *all != NULL;
    }
    status =
        broadcast_piece(comm, 0, &room, sizeof room, error); /* so that nobody waits for a gather that never comes */
    if (status)
        return status;
    if (!room)
        return tqi_fail(error, TQ_E_MEMORY, "no memory on rank 0 to gather %s", "what all ranks sent");
    code = MPI_Igatherv(mine, size, MPI_BYTE, comm->rank == 0 ? *all : NULL, sizes, places, MPI_BYTE, 0,
                        comm->collective, &request);
    status = tqi_mpi_check(code, "MPI_Igatherv", error);
    return status ? status : tqi_comm_await(comm, &request, "MPI_Igatherv", error);
}

tq_status tqi_comm_gather(const tqi_comm *comm, const void *mine, size_t size, char **all, size_t *total,
                          tq_error *error)
{
    *all = NULL;
    *total = 0;
    if (comm->size == 1) {
        *all = malloc(size ? size : 1);
        if (!*all)
            return tqi_fail_memory(error, size, "gathering on rank 0");
        if (size)
            memcpy(*all, mine, size);
        *total = size;
        return TQ_OK;
    }
    int *sizes = calloc(2 * (size_t)comm->size, sizeof *sizes);
    if (!sizes)
        return tqi_fail_memory(error, 8 * (uint64_t)comm->size, "gathering on rank 0");
    tq_status status = gather_sized(comm, mine, (int)size, sizes, all, total, error);
    free(sizes);
    return status;
}

tq_status tqi_comm_scatter(const tqi_comm *comm, const void *all, void *mine, size_t bytes, tq_error *error)
{
    MPI_Request request;
    int code;

    if (comm->size == 1) {
        memcpy(mine, all, bytes);
        return TQ_OK;
    }
    code = MPI_Iscatter(all, (int)bytes, MPI_BYTE, mine, (int)bytes, MPI_BYTE, 0, comm->collective, &request);
    if (code != MPI_SUCCESS)
        return tqi_mpi_check(code, "MPI_Iscatter", error);
    return tqi_comm_await(comm, &request, "MPI_Iscatter", error);
}

tq_status tqi_comm_share_error(const tqi_comm *comm, int failed, tq_error *error)
{
    if (comm->size > 1) {
        tq_error ignored;
        tq_status status = broadcast_piece(comm, failed, error, sizeof *error, &ignored);

        if (status)
            *error = ignored;
    }
    return error->status;
}

tq_status tqi_comm_agree(const tqi_comm *comm, tq_error *error)
{
    /* The largest of (ranks - rank) over those that failed belongs to the lowest of them. */
    uint64_t largest = error->status ? (uint64_t)(comm->size - comm->rank) : 0;

    if (error->status && error->rank < 0)
        error->rank = comm->rank;
    tq_error ours;
    tqi_error_clear(&ours);
    if (tqi_comm_max(comm, &largest, 1, &ours)) {
        *error = ours;
        return error->status;
    }
    return largest ? tqi_comm_share_error(comm, comm->size - (int)largest, error) : TQ_OK;
}
