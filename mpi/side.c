/* Side data: rank 0's bytes on every rank, before anybody maps. They are counted on rank 0 too, though they are the
 * caller's there: the memory of the process is what a budget promises. */
#include "mpi/job.h"

#include "common/error.h"
#include "node/load.h"
#include "node/reader.h"
#include <inttypes.h>

uint64_t tqi_own_bytes(const tqi_job *job)
{
    uint64_t workers = (uint64_t)tq_executor_workers(job->executor),
             arrays = job->spec.dense ? (workers ? workers : 1) + 1 : 0;

    return job->source_bytes + job->spec.side.size + arrays * job->spec.dense * sizeof(int64_t);
}

static tq_status check(const tqi_job *job, uint64_t bytes, tq_error *error)
{
    /* The job has the side data already if rank 0 has loaded them. */
    uint64_t own = tqi_own_bytes(job) - job->source_bytes + (job->side ? 0 : bytes);
    uint64_t room = job->budget.limit - job->source_bytes;

    if (job->comm->rank == 0 && bytes && !job->description.side && !job->side)
        return tqi_fail(error, TQ_E_USAGE, "side_bytes is %" PRIu64 ", but side is NULL", bytes);
    if (job->budget.limit && own > room / 2)
        return tqi_fail(error, TQ_E_MEMORY,
                        "side data and dense results take %" PRIu64
                        " bytes, more than half of the memory that the job may take here, %" PRIu64
                        " bytes (see --memory)",
                        own, room);
    return TQ_OK;
}

static tq_status make_room(tqi_job *job, uint64_t bytes, tq_error *error)
{
    if (job->side) /* loaded */
        return TQ_OK;
    if (job->comm->rank == 0)
        tqi_budget_take_anyway(&job->budget, bytes);
    else
        job->side = tqi_budget_alloc(&job->budget, bytes);
    return job->comm->rank == 0 || job->side ? TQ_OK : tqi_fail_memory(error, bytes, "side data");
}

/* Rank 0: what side_path holds. */
static uint64_t load(tqi_job *job, tq_error *error)
{
    const tq_job *asked = &job->description;
    tqi_archive_options options = {.piece = TQI_PIECE_BYTES,
                                   .budget = &job->budget,
                                   .decoders = &job->decoders,
                                   .stop = &job->stop,
                                   .as_they_are = asked->decompress == TQ_DECOMPRESS_NONE};
    tqi_loaded loaded;

    if (tqi_load(asked->side_path, asked->side_bytes, &options, &loaded, error))
        return 0;
    job->side = loaded.bytes;
    job->spec.side.size = loaded.size; /* what tqi_side_free gives back, whatever fails */
    return loaded.size;
}

tq_status tqi_side_share(tqi_job *job, tq_error *error)
{
    const tq_job *asked = &job->description;
    uint64_t bytes = 0;

    if (job->comm->rank == 0)
        bytes = asked->side_path ? load(job, error) : asked->side_bytes;
    tq_status status = asked->side_path ? tqi_comm_agree(job->comm, error) : TQ_OK;
    if (!status)
        status = tqi_comm_sum(job->comm, &bytes, 1, error);
    if (status || (bytes == 0 && job->spec.dense == 0))
        return status;
    if (!check(job, bytes, error) && bytes && !make_room(job, bytes, error))
        job->spec.side.size = bytes;
    status = tqi_comm_agree(job->comm, error);
    if (status)
        return status;
    /* Rank 0 only reads its bytes. */
    char *here = job->side ? job->side : (char *)(uintptr_t)asked->side;
    job->spec.side.data = here;
    return tqi_comm_broadcast_into(job->comm, 0, here, bytes, error);
}

void tqi_side_free(tqi_job *job)
{
    if (job->side)
        tqi_budget_free(&job->budget, job->side, job->spec.side.size);
    else
        tqi_budget_give(&job->budget, job->spec.side.size);
    job->side = NULL;
    job->spec.side = (tq_slice){NULL, 0};
}
