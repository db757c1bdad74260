/* The reduce phase on one rank: a task for each own partition. */
#include "mpi/job.h"

#include "common/account.h"
#include "common/error.h"
#include <stdlib.h>

static void reduce_part(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_reduce_result result;

    (void)worker;
    if (atomic_load_explicit(&job->stop, memory_order_relaxed))
        return;
    if (tqi_reduce_partition(&job->spec, &job->store, work->part, &result, &work->error))
        return;
    job->parts[work->part] = result.rows;
    work->shuffled = result.shuffled;
    work->reduced = result.reduced;
    work->account = result.rows_account;
    work->records = result.merged;
}

static void done(tqi_job *job, tqi_work *work)
{
    tqi_phase_count *reduce = &job->counts.phase[TQ_PHASE_REDUCE];
    const tqi_store_part *part = &job->store.parts[work->part];

    tqi_account_add(&job->shuffled, &work->shuffled);
    tqi_account_add(&job->reduced, &work->reduced);
    tqi_account_add(&job->result, &work->account);
    job->merged_reducing += work->records;
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

tq_status tqi_reduce_start(tqi_job *job, tq_error *error)
{
    tqi_phase_count *reduce = &job->counts.phase[TQ_PHASE_REDUCE];

    job->next_part = 0;
    job->n_parts = job->spec.own_partitions;
    job->parts = calloc(job->n_parts, sizeof *job->parts);
    if (!job->parts)
        return tqi_fail_memory(error, job->n_parts * sizeof *job->parts, "the rows");
    for (uint32_t p = 0; p < job->n_parts; p++)
        tqi_rows_init(&job->parts[p], &job->budget);
    reduce->total = job->n_parts;
    reduce->bytes_total = job->store.bytes;
    find_hottest(job);
    return tqi_store_seal(&job->store, error);
}

bool tqi_start_part(tqi_job *job, void (*run)(tqi_work *work, int worker))
{
    if (job->next_part == job->n_parts || job->works_used >= tqi_work_limit(job) || job->error.status)
        return false;
    tqi_work *work = tqi_work_new(job, run);
    if (!work)
        return false;
    work->part = job->next_part++;
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

bool tqi_reduce_step(tqi_job *job, tqi_vote *vote)
{
    return tqi_step_parts(job, vote, reduce_part, done);
}
