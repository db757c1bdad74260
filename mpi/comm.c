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
static const long LONGEST_SLEEP_NS = 1000000;

tq_status tqi_mpi_check(int code, const char *what, tq_error *error)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int size = 0;

    if (code == MPI_SUCCESS)
        return TQ_OK;
    MPI_Error_string(code, text, &size);
    return tqi_fail(error, TQ_E_MPI, "%s failed: %s", what, text);
}

tq_status tqi_comm_wait(MPI_Request *request, const char *what, tq_error *error)
{
    struct timespec pause = {0, 10000};

    for (;;) {
        int done = 0;
        tq_status status = tqi_mpi_check(MPI_Test(request, &done, MPI_STATUS_IGNORE), what, error);

        if (status || done)
            return status;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < LONGEST_SLEEP_NS)
            pause.tv_nsec *= 2;
    }
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
        comm->finalize = true;
        int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
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
    MPI_Comm_free(&host);
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

    *comm = (tqi_comm){.size = 1, .hosts = 1, .host_ranks = 1, .collective = MPI_COMM_NULL, .control = MPI_COMM_NULL};
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

void tqi_comm_close(tqi_comm *comm)
{
    if (comm->broken) /* MPI_Finalize would wait for ranks that will not come; the launcher ends them */
        return;
    if (comm->collective != MPI_COMM_NULL)
        MPI_Comm_free(&comm->collective);
    if (comm->control != MPI_COMM_NULL)
        MPI_Comm_free(&comm->control);
    if (comm->finalize)
        MPI_Finalize();
    comm->finalize = false;
}

static tq_status broadcast_piece(const tqi_comm *comm, int root, void *bytes, size_t size, tq_error *error)
{
    MPI_Request request;
    int code = MPI_Ibcast(bytes, (int)size, MPI_BYTE, root, comm->collective, &request);

    if (code != MPI_SUCCESS)
        return tqi_mpi_check(code, "MPI_Ibcast", error);
    return tqi_comm_wait(&request, "MPI_Ibcast", error);
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
    for (uint64_t at = 0; at < total && !status; at += PIECE_BYTES)
        status = broadcast_piece(comm, root, *bytes + at, total - at < PIECE_BYTES ? total - at : PIECE_BYTES, error);
    return status;
}

tq_status tqi_comm_sum(const tqi_comm *comm, uint64_t *numbers, int n, tq_error *error)
{
    MPI_Request request;
    int code;

    if (comm->size == 1)
        return TQ_OK;
    code = MPI_Iallreduce(MPI_IN_PLACE, numbers, n, MPI_UINT64_T, MPI_SUM, comm->collective, &request);
    if (code != MPI_SUCCESS)
        return tqi_mpi_check(code, "MPI_Iallreduce", error);
    return tqi_comm_wait(&request, "MPI_Iallreduce", error);
}

tq_status tqi_comm_sum_before(const tqi_comm *comm, uint64_t mine, uint64_t *before, tq_error *error)
{
    MPI_Request request;
    uint64_t sum = 0;
    int code;

    *before = 0;
    if (comm->size == 1)
        return TQ_OK;
    code = MPI_Iexscan(&mine, &sum, 1, MPI_UINT64_T, MPI_SUM, comm->collective, &request);
    if (code != MPI_SUCCESS)
        return tqi_mpi_check(code, "MPI_Iexscan", error);
    tq_status status = tqi_comm_wait(&request, "MPI_Iexscan", error);
    if (!status && comm->rank > 0) /* on rank 0 the standard leaves the sum undefined */
        *before = sum;
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
        status = tqi_comm_wait(&request, "MPI_Igather", error);
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
    return status ? status : tqi_comm_wait(&request, "MPI_Igatherv", error);
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
    return tqi_comm_wait(&request, "MPI_Iscatter", error);
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
    int mine = error->status ? comm->size - comm->rank : 0, largest = mine;

    if (error->status && error->rank < 0)
        error->rank = comm->rank;
    if (comm->size > 1) {
        MPI_Request request;
        int code = MPI_Iallreduce(&mine, &largest, 1, MPI_INT, MPI_MAX, comm->collective, &request);
        tq_status status = tqi_mpi_check(code, "MPI_Iallreduce", error);

        if (!status)
            status = tqi_comm_wait(&request, "MPI_Iallreduce", error);
        if (status)
            return status;
    }
    return largest ? tqi_comm_share_error(comm, comm->size - largest, error) : TQ_OK;
}
