/* The job's own counters: each worker has numbers of its own in its emitter and its reducer, which the engine adds up when
 * no task of theirs runs any more. */
#include "mpi/job.h"

void tqi_counters_add(tqi_job *job, uint64_t *counts)
{
    for (size_t i = 0; i < job->spec.n_counters; i++) {
        job->counters[i] = (int64_t)((uint64_t)job->counters[i] + counts[i]);
        counts[i] = 0;
    }
}

tq_status tqi_counters_sum(tqi_job *job, tq_error *error)
{
    uint64_t sums[TQ_MAX_COUNTERS];
    size_t n = job->spec.n_counters;

    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (job->mappers[i]) /* the job ended while it mapped */
            tqi_counters_add(job, job->mappers[i]->emitter.counts);
        if (job->reducers[i])
            tqi_counters_add(job, job->reducers[i]->counts);
    }
    for (size_t i = 0; i < n; i++)
        sums[i] = (uint64_t)job->counters[i];
    tq_status status = n ? tqi_comm_sum(job->comm, sums, (int)n, error) : TQ_OK;
    for (size_t i = 0; i < n && !status; i++)
        job->counters[i] = (int64_t)sums[i];
    return status;
}
