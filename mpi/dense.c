/* Dense results: an array of numbers for each worker, in the job's own hands while it maps. The engine adds them up when no
 * mapper runs, and then those of all ranks, in pieces. */
#include "mpi/job.h"

#include "common/error.h"
#include <string.h>

/* What goes through the tree of small things, and what one call of MPI moves. */
enum { FEW = 512, PIECE = 1 << 20 };

static int64_t *make(tqi_job *job)
{
    size_t bytes = job->spec.dense * sizeof(int64_t);
    int64_t *numbers = tqi_budget_alloc(&job->budget, bytes);

    return numbers ? memset(numbers, 0, bytes) : NULL;
}

tq_status tqi_dense_start(tqi_job *job, tq_error *error)
{
    if (job->spec.dense == 0)
        return TQ_OK;
    job->dense = make(job);
    return job->dense ? TQ_OK : tqi_fail_memory(error, job->spec.dense * sizeof(int64_t), "the dense result");
}

int64_t *tqi_dense_of_worker(tqi_job *job)
{
    return make(job);
}

void tqi_dense_free(tqi_job *job, int64_t **numbers)
{
    if (*numbers)
        tqi_budget_free(&job->budget, *numbers, job->spec.dense * sizeof(int64_t));
    *numbers = NULL;
}

static void add(int64_t *into, const int64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        into[i] = (int64_t)((uint64_t)into[i] + (uint64_t)from[i]);
}

/* Unsigned, so that a sum may wrap around. */
static tq_status add_ranks(tqi_job *job, tq_error *error)
{
    tq_status status = TQ_OK;

    if (job->spec.dense <= FEW)
        return tqi_comm_sum(job->comm, (uint64_t *)job->dense, (int)job->spec.dense, error);
    for (size_t at = 0; at < job->spec.dense && !status; at += PIECE) {
        size_t n = job->spec.dense - at < PIECE ? job->spec.dense - at : PIECE;
        MPI_Request request;
        int code = MPI_Iallreduce(MPI_IN_PLACE, job->dense + at, (int)n, MPI_UINT64_T, MPI_SUM, job->comm->collective,
                                  &request);

        status = tqi_mpi_check(code, "MPI_Iallreduce", error);
        if (!status)
            status = tqi_comm_await(job->comm, &request, "MPI_Iallreduce", error);
    }
    return status;
}

tq_status tqi_dense_sum(tqi_job *job, tq_error *error)
{
    job->mapping.holds = false;
    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (!job->mappers[i])
            continue;
        add(job->dense, job->mappers[i]->emitter.dense, job->spec.dense);
        tqi_dense_free(job, &job->mappers[i]->emitter.dense);
    }
    return job->comm->size > 1 ? add_ranks(job, error) : TQ_OK;
}
