/* Chained jobs: the input is the rows that an earlier job of the cluster keeps on each rank (tq_job.rows). Each rank maps
 * its own, in ranges, where they lie. The earlier job is held until they are mapped, and its rows count against this
 * job's memory as long.
 *
 * The engine calls all of this but tqi_chain_map, which is a worker's. The rows are only read. */
#include "mpi/job.h"

#include "common/error.h"
#include "node/future.h"
#include "node/mapping.h"
#include <inttypes.h>

static const tqi_job *source_of(const tqi_job *job)
{
    return tqi_future_owner(job->source);
}

void tqi_chain_after(tqi_job *job, const tqi_job *source)
{
    tqi_future_retain(source->future);
    job->source = source->future;
    job->source_number = source->number;
}

tq_status tqi_chain_check(const tqi_job *job, tq_error *error)
{
    const tqi_job *source = source_of(job);

    if (!source)
        return TQ_OK;
    if (source->error.status) {
        *error = source->error;
        return error->status;
    }
    tq_output_kind kind = source->description.output;
    if (kind == TQ_OUTPUT_KEEP || kind == TQ_OUTPUT_GATHER)
        return TQ_OK;
    return tqi_fail(error, TQ_E_USAGE, "%s: the earlier job, %s, keeps no rows: its output is written",
                    job->description.name, source->description.name);
}

/* A budget that was chosen when the job was submitted knows nothing of rows that came later. */
void tqi_chain_count(tqi_job *job, uint64_t *rows, uint64_t *bytes)
{
    const tqi_job *source = source_of(job);

    *rows = *bytes = 0;
    if (!source)
        return;
    *rows = tq_job_rows(job->source);
    *bytes = job->source_bytes = atomic_load(&source->budget.used);
    tqi_budget_take_anyway(&job->budget, job->source_bytes);
    uint64_t chosen = job->description.memory_bytes ? 0 : tqi_default_budget(job->comm);
    if (chosen)
        job->budget.limit = chosen + job->source_bytes;
}

tq_status tqi_chain_share(tqi_job *job, tq_error *error)
{
    uint64_t limit = job->description.memory_bytes, rows = tq_job_rows(job->source);

    job->first_share = (tqi_range){0, rows};
    tq_status status = tqi_comm_sum_before(job->comm, rows, &job->source_first, error);
    if (status)
        return status;
    if (limit && job->source_bytes > limit / 2)
        tqi_fail(error, TQ_E_MEMORY,
                 "the rows of %s take %" PRIu64
                 " bytes, more than half of the memory that the job may take here, %" PRIu64 " bytes (see --memory)",
                 source_of(job)->description.name, job->source_bytes, limit);
    return tqi_comm_agree(job->comm, error);
}

void tqi_chain_map(tqi_work *work, tqi_mapper *mapper)
{
    tqi_job *job = work->job;
    const tqi_job *source = source_of(job);
    tqi_place *place = tqi_watch_place(&job->watch, mapper->emitter.worker);
    tqi_row_cursor at = tqi_find_row(source, work->begin);
    uint64_t before = mapper->emitter.emitted.records;

    tqi_place_enter(place, TQI_STAGE_MAP, job->comm->rank, mapper->emitter.worker);
    for (uint64_t row = work->begin, n; row < work->end && !work->error.status; row += n) {
        tqi_row_range rows = {
            .name = source->description.name, .shape = &source->spec.result_shape, .first = job->source_first + row};

        n = tqi_next_rows(&at, work->end - row, &rows.entries);
        rows.n = (size_t)n;
        if (tqi_map_rows(&mapper->emitter, &rows, &work->bytes, place))
            work->error = mapper->emitter.error;
    }
    tqi_place_leave(place);
    work->records = mapper->emitter.emitted.records - before;
}

void tqi_chain_drop(tqi_job *job)
{
    tqi_budget_give(&job->budget, job->source_bytes);
    tqi_future_drop(job->source);
    job->source_bytes = 0;
    job->source = NULL;
}
