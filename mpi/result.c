/* What a job's future answers about its job. A result is read only once the future is final, and nobody writes to it
 * then; what is read before is guarded by a lock. */
#include "mpi/job.h"
#include "node/future.h"

static tqi_job *job_of(const tq_future *future)
{
    return future ? tqi_future_owner(future) : NULL;
}

static tqi_job *finished_job(const tq_future *future)
{
    tqi_job *job = job_of(future);

    return job && tq_future_done(future) ? job : NULL;
}

tq_status tq_job_progress(const tq_future *future, tq_progress *progress)
{
    tqi_job *job = job_of(future);

    if (!job)
        return TQ_E_USAGE;
    tqi_hub_snapshot(job->hub, progress);
    return TQ_OK;
}

tq_status tq_job_error(const tq_future *future, tq_error *error)
{
    tqi_job *job = job_of(future);

    if (!job)
        return TQ_E_USAGE;
    if (tq_future_done(future)) {
        *error = job->error;
        return TQ_OK;
    }
    pthread_mutex_lock(&job->lock);
    *error = job->ending;
    pthread_mutex_unlock(&job->lock);
    return TQ_E_AGAIN;
}

uint64_t tq_job_rows(const tq_future *future)
{
    tqi_job *job = finished_job(future);

    if (!job || !job->first_row || !job->parts)
        return 0;
    bool kept = job->description.output == TQ_OUTPUT_KEEP || job->description.output == TQ_OUTPUT_GATHER;
    return kept ? job->first_row[job->n_parts] : 0;
}

tq_status tq_job_row(const tq_future *future, uint64_t index, tq_row *row)
{
    tqi_job *job;
    uint32_t low = 0, high;

    if (index >= tq_job_rows(future))
        return TQ_E_USAGE;
    job = job_of(future);
    /* The last part whose first row is not behind index. */
    for (high = job->n_parts; high - low > 1;) {
        uint32_t middle = low + (high - low) / 2;

        if (job->first_row[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    const tqi_entry *entry = &job->parts[low].entries[index - job->first_row[low]];
    row->key = tqi_entry_key(entry);
    row->value = tqi_entry_value(&job->spec.result_shape, entry);
    row->i64 = job->spec.result_shape.type == TQ_I64 ? (int64_t)entry->value : 0;
    return TQ_OK;
}

tq_status tq_job_counter(const tq_future *future, size_t index, int64_t *n)
{
    tqi_job *job = job_of(future);

    if (!job || index >= job->spec.n_counters || index >= TQ_MAX_COUNTERS)
        return TQ_E_USAGE;
    if (!tq_future_done(future))
        return TQ_E_AGAIN;
    *n = job->counters[index];
    return TQ_OK;
}

const int64_t *tq_job_dense(const tq_future *future, size_t *n)
{
    tqi_job *job = finished_job(future);
    bool is_whole = job && tq_future_get_state(future) == TQ_FUTURE_DONE && job->dense;

    if (n)
        *n = is_whole ? job->spec.dense : 0;
    return is_whole ? job->dense : NULL;
}

const tq_stats *tq_job_stats(const tq_future *future)
{
    tqi_job *job = finished_job(future);

    return job && job->rank_stats ? &job->stats : NULL;
}
