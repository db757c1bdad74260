/* What a job's future answers about its job. A result is read only once the future is final, and nobody writes to it
 * then; what is read before is guarded by a lock. */
#include "mpi/job.h"
#include "node/future.h"
#include <string.h>

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

tqi_row_cursor tqi_find_row(const tqi_job *job, uint64_t index)
{
    uint32_t low = 0, high;

    /* The last part whose first row is not behind index. */
    for (high = job->n_parts; high - low > 1;) {
        uint32_t middle = low + (high - low) / 2;

        if (job->first_row[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return (tqi_row_cursor){job, low, index - job->first_row[low]};
}

size_t tqi_next_rows(tqi_row_cursor *at, uint64_t most, const tqi_entry **entries)
{
    const tqi_job *job = at->job;
    uint64_t left;

    while ((left = job->first_row[at->part + 1] - job->first_row[at->part] - at->index) == 0) {
        at->part++;
        at->index = 0;
    }
    left = left < most ? left : most;
    *entries = &job->parts[at->part].entries[at->index];
    at->index += left;
    return (size_t)left;
}

static const tqi_entry *next_row(tqi_row_cursor *at)
{
    const tqi_entry *entry;

    tqi_next_rows(at, 1, &entry);
    return entry;
}

tq_status tq_job_row(const tq_future *future, uint64_t index, tq_row *row)
{
    if (index >= tq_job_rows(future))
        return TQ_E_USAGE;
    const tqi_job *job = job_of(future);
    tqi_row_cursor at = tqi_find_row(job, index);
    const tqi_entry *entry = next_row(&at);
    row->key = tqi_entry_key(entry);
    row->value = tqi_entry_value(&job->spec.result_shape, entry);
    row->i64 = job->spec.result_shape.type == TQ_I64 ? (int64_t)entry->value : 0;
    return TQ_OK;
}

static bool has_rows(const tq_future *future, uint64_t first, uint64_t n)
{
    uint64_t rows = tq_job_rows(future);

    return first <= rows && n <= rows - first;
}

tq_status tq_job_block_size(const tq_future *future, uint64_t first, uint64_t n, size_t *key_bytes, size_t *value_bytes)
{
    *key_bytes = *value_bytes = 0;
    if (!has_rows(future, first, n))
        return TQ_E_USAGE;
    if (n == 0)
        return TQ_OK;
    const tqi_job *job = job_of(future);
    tqi_row_cursor at = tqi_find_row(job, first);
    for (uint64_t i = 0; i < n; i++) {
        const tqi_entry *entry = next_row(&at);

        *key_bytes += entry->size;
        *value_bytes += tqi_entry_value(&job->spec.result_shape, entry).size;
    }
    return TQ_OK;
}

tq_status tq_job_block(const tq_future *future, uint64_t first, uint64_t n, char *keys, uint32_t *key_sizes,
                       char *values, uint32_t *value_sizes)
{
    if (!has_rows(future, first, n))
        return TQ_E_USAGE;
    if (n == 0)
        return TQ_OK;
    const tqi_job *job = job_of(future);
    tqi_row_cursor at = tqi_find_row(job, first);
    for (uint64_t i = 0; i < n; i++) {
        const tqi_entry *entry = next_row(&at);
        tq_slice key = tqi_entry_key(entry), value = tqi_entry_value(&job->spec.result_shape, entry);

        keys = mempcpy(keys, key.data, key.size);
        key_sizes[i] = (uint32_t)key.size;
        values = mempcpy(values, value.data, value.size);
        if (value_sizes)
            value_sizes[i] = (uint32_t)value.size;
    }
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
