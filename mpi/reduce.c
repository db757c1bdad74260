/* The reduce phase on one rank: a task for each own partition. */
#include "mpi/job.h"

#include "common/account.h"
#include "common/error.h"
#include <stdlib.h>

enum { SAMPLED_ONE_IN = 64 };

/* The reducer of a worker. Only one task at a time runs with one index, so nobody else creates it. */
static tqi_reducer *reducer_of(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_reducer *reducer = job->reducers[worker];

    if (reducer)
        return reducer;
    reducer = calloc(1, sizeof *reducer);
    if (!reducer || tqi_reducer_init(reducer, &job->spec, job->shares.table, job->description.tmpdir, tqi_job_deliver, job)) {
        tqi_fail_memory(&work->error, sizeof *reducer, "a worker's table");
        free(reducer);
        return NULL;
    }
    job->reducers[worker] = reducer;
    return reducer;
}

/* The same, ready to route rows if that is done here. */
static tqi_reducer *routing_reducer_of(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_reducer *reducer = reducer_of(work, worker);

    if (!reducer || !job->early || reducer->routes)
        return reducer;
    if (!tqi_reducer_route(reducer, &job->splitters, job->shares.routed))
        return reducer;
    tqi_fail_memory(&work->error, 0, "the pages of ranges");
    return NULL;
}

static void sample_part(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_reducer *reducer = reducer_of(work, worker);

    if (reducer && !atomic_load_explicit(&job->stop, memory_order_relaxed))
        tqi_reduce_sample(reducer, &job->store, work->part, &work->sampled, &work->error);
}

static void sampled(tqi_job *job, tqi_work *work)
{
    job->sampled.records += work->sampled.records;
    job->sampled.rows += work->sampled.rows;
    job->sampled.bytes += work->sampled.bytes;
}

static void reduce_part(tqi_work *work, int worker)
{
    tqi_job *job = work->job;

    if (atomic_load_explicit(&job->stop, memory_order_relaxed))
        return;
    tqi_reducer *reducer = routing_reducer_of(work, worker);
    if (!reducer)
        return;
    tqi_place *place = tqi_watch_place(&job->watch, worker);
    tqi_place_enter(place, TQI_STAGE_REDUCE, job->comm->rank, worker);
    tqi_place_set_offset(place, job->spec.first_partition + work->part);
    reducer->place = place;
    tqi_reduce_partition(reducer, &job->store, work->part, &work->reduced, &work->error);
    tqi_place_leave(place);
    tqi_store_drop(&job->store, work->part);
}

static void done(tqi_job *job, tqi_work *work)
{
    tqi_phase_count *reduce = &job->counts.phase[TQ_PHASE_REDUCE];
    const tqi_store_part *part = &job->store.parts[work->part];

    tqi_account_add(&job->shuffled, &work->reduced.shuffled);
    tqi_account_add(&job->reduced, &work->reduced.reduced);
    tqi_account_add(&job->result, &work->reduced.rows);
    job->merged_reducing += work->reduced.merged;
    job->spilled += work->reduced.spilled;
    job->spilled_raw += work->reduced.spilled_raw;
    job->passes = work->reduced.passes > job->passes ? work->reduced.passes : job->passes;
    reduce->done++;
    reduce->bytes += part->bytes;
    reduce->records += part->records;
}

static void find_hottest(tqi_job *job)
{
    for (uint32_t p = 0; p < job->spec.own_partitions; p++) {
        if (job->store.parts[p].bytes <= job->hottest_bytes)
            continue;
        job->hottest_bytes = job->store.parts[p].bytes;
        job->hottest_partition = job->spec.first_partition + p;
    }
}

/* Some for each worker, and enough for a sample; the first, for one is as good as another. */
static uint32_t parts_to_sample(const tqi_job *job)
{
    uint32_t parts = (uint32_t)tq_executor_workers(job->executor), own = job->spec.own_partitions;

    if (parts < own / SAMPLED_ONE_IN + 1)
        parts = own / SAMPLED_ONE_IN + 1;
    return parts < own ? parts : own;
}

tq_status tqi_reduce_start(tqi_job *job, tq_error *error)
{
    tqi_phase_count *reduce = &job->counts.phase[TQ_PHASE_REDUCE];

    reduce->total = job->spec.own_partitions;
    reduce->bytes_total = job->store.bytes;
    find_hottest(job);
    if (tqi_store_seal(&job->store, error))
        return error->status;
    tq_status status = tqi_order_decide(job, error);
    job->next_part = 0;
    job->n_parts = parts_to_sample(job);
    return status;
}

tq_status tqi_reduce_ready(tqi_job *job, tq_error *error)
{
    job->next_part = 0;
    job->n_parts = job->spec.own_partitions;
    job->reducing = !job->early;
    if (job->early)
        return tqi_order_start_early(job, error);
    if (tqi_store_init(&job->results, &job->spec, job->shares.store, job->description.tmpdir))
        return tqi_fail_memory(error, 0, "the rows");
    return TQ_OK;
}

bool tqi_start_part(tqi_job *job, void (*run)(tqi_work *work, int worker))
{
    if (job->next_part == job->n_parts || job->works_used >= tqi_work_limit(job) || job->error.status)
        return false;
    tqi_work *work = tqi_work_new(job, run);
    if (!work)
        return false;
    work->part = job->next_part++;
    work->text = tqi_work_spare_text(job);
    tqi_work_start(work);
    return true;
}

bool tqi_step_parts(tqi_job *job, tqi_vote *vote, void (*run)(tqi_work *work, int worker),
                    void (*finished)(tqi_job *job, tqi_work *work))
{
    bool moved = tqi_work_reap(job, finished);

    while (tqi_start_part(job, run)) {
        moved = true;
        if (tq_executor_workers(job->executor) == 0)
            break; /* inline: look after the other ranks between two parts */
    }
    vote->busy = job->next_part < job->n_parts || job->works_used > 0;
    return moved;
}

bool tqi_sample_step(tqi_job *job, tqi_vote *vote)
{
    return tqi_step_parts(job, vote, sample_part, sampled);
}

bool tqi_reduce_step(tqi_job *job, tqi_vote *vote)
{
    bool moved = tqi_step_parts(job, vote, reduce_part, done);

    moved |= tqi_job_take_runs(job); /* after looking whether all tasks are over: nothing comes behind these */
    for (int i = 0; i < TQ_MAX_WORKERS && job->early && !vote->busy; i++)
        if (job->reducers[i] && job->reducers[i]->routes)
            tqi_order_flush(job, &job->reducers[i]->router);
    if (job->early)
        tqi_order_vote(job, vote);
    return moved;
}

void tqi_reduce_end(tqi_job *job)
{
    job->reducing = false;
    for (int i = 0; i < TQ_MAX_WORKERS; i++)
        if (job->reducers[i])
            tqi_table_free(&job->reducers[i]->table); /* what it sampled is still needed */
}
