/* Bad records: each rank has those that its workers came across (node/bad.h); rank 0 gets them all, and decides. */
#include "mpi/job.h"

#include "common/error.h"
#include <inttypes.h>
#include <stdlib.h>

tq_status tqi_bad_gather(tqi_job *job, tq_error *error)
{
    char *mine = NULL, *all = NULL;
    size_t size = 0, total = 0;

    if (tqi_bad_pack(&job->bad, &mine, &size))
        tqi_fail_memory(error, size, "the bad records");
    tq_status status = tqi_comm_agree(job->comm, error);
    if (!status)
        status = tqi_comm_gather(job->comm, mine, size, &all, &total, error);
    free(mine);
    if (status || job->comm->rank != 0)
        return status;
    tqi_bad_free(&job->bad);
    status = tqi_bad_unpack(&job->bad, all, total);
    free(all);
    if (status)
        return tqi_fail_memory(error, total, "the bad records");
    const tqi_bad_place *first = &job->bad.places[0];
    if (job->bad.count > job->spec.skip_bad)
        status = tqi_fail_at(error, TQ_E_INPUT, first->file, first->offset,
                             "%s (%" PRIu64 " bad records, and %" PRIu64 " may be passed over)", first->reason,
                             job->bad.count, job->spec.skip_bad);
    return status;
}
