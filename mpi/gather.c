/* A gather: bytes of each rank become the rows of a future, on rank 0 or everywhere (tq_submit_gather). */
#include "mpi/job.h"

#include "common/error.h"
#include "node/future.h"
#include <stdlib.h>
#include <string.h>

/* all: what each rank gave, its size in front, in the order of ranks. */
static tq_status make_rows(tqi_job *job, const char *all, tq_error *error)
{
    int ranks = job->comm->size;
    const tq_slice no_key = {NULL, 0};

    job->parts = calloc(1, sizeof *job->parts);
    job->first_row = calloc(2, sizeof *job->first_row);
    if (!job->parts || !job->first_row)
        return tqi_fail_memory(error, sizeof *job->parts, "what all ranks sent");
    job->n_parts = 1;
    tqi_rows_init(&job->parts[0], &job->budget);
    for (int rank = 0; rank < ranks; rank++) {
        uint64_t size;

        memcpy(&size, all, sizeof size);
        all += sizeof size;
        if (tqi_rows_append(&job->parts[0], &job->spec.result_shape, no_key, 0, (tq_slice){all, size}))
            return tqi_fail_memory(error, size, "what all ranks sent");
        all += size;
    }
    job->first_row[1] = (uint64_t)ranks;
    return TQ_OK;
}

static tq_status gather(tqi_job *job, tq_error *error)
{
    const tqi_comm *comm = job->comm;
    char *all = NULL;
    size_t total = 0;

    *error = job->not_runnable;
    if (tqi_comm_agree(comm, error))
        return error->status;
    tqi_comm_gather(comm, job->gift, job->gift_bytes, &all, &total, error);
    tq_status status = tqi_comm_agree(comm, error);
    if (!status && job->everywhere)
        tqi_comm_broadcast(comm, 0, &all, &total, error);
    if (!error->status && all)
        make_rows(job, all, error);
    free(all);
    return status ? status : tqi_comm_agree(comm, error);
}

void tqi_job_gather(tqi_job *job)
{
    char text[sizeof(tq_error)];
    tq_status status;

    tqi_hub_start(job->hub);
    if (job->comm->broken)
        status = tqi_fail(&job->error, TQ_E_MPI, "MPI failed in an earlier job");
    else
        status = gather(job, &job->error);
    tqi_hub_end(job->hub, status == TQ_OK);
    tq_error_text(&job->error, text, sizeof text);
    tqi_future_finish(job->future, status ? TQ_FUTURE_FAILED : TQ_FUTURE_DONE, status, 0, status ? text : "");
}
