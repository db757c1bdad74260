#include "mpi/job.h"

#include "common/error.h"
#include <stdlib.h>
#include <string.h>

/* Workers wake the engine when they are about to run out of tasks, so its rest is about messages and about what they have
 * handed on. With one rank there are no messages. Where nobody rings behind a message: with a task under way here nobody
 * waits for this rank, but to join a round or to stop. */
enum { REST_ALONE_US = 20000, LONGEST_REST_WORKING_US = 50000, LONGEST_REST_AWAITED_US = 4000, ROUND_HURRY = 4 };

/* Runs wait until the engine looks around, or until there are enough of them: a part of their share, or of a round. */
enum { RUNS_PER_WAKE = 4 };

int tqi_work_limit(const tqi_job *job)
{
    int workers = tq_executor_workers(job->executor);

    return workers ? 2 * workers + 2 : 1;
}

tqi_work *tqi_work_new(tqi_job *job, void (*run)(tqi_work *work, int worker))
{
    int i = 0;

    while (i < job->n_works && job->works[i]->used)
        i++;
    if (i == job->n_works) {
        tqi_work **works = realloc(job->works, (size_t)(i + 1) * sizeof(tqi_work *));
        tqi_work *work = calloc(1, sizeof *work);

        if (works)
            job->works = works;
        if (!works || !work) {
            free(work);
            tqi_fail_memory(&job->error, sizeof *work, "a task");
            return NULL;
        }
        job->works[job->n_works++] = work;
    }
    tqi_work *work = job->works[i];
    memset(work, 0, sizeof *work);
    work->job = job;
    work->run = run;
    work->used = true;
    work->text.budget = &job->budget;
    tqi_error_clear(&work->error);
    job->works_used++;
    return work;
}

static int run_work(void *argument, const tq_worker *worker)
{
    tqi_work *work = argument;
    tqi_job *job = work->job;

    work->run(work, worker->index);
    bool failed = work->error.status != TQ_OK;
    atomic_store_explicit(&work->over, true, memory_order_release);
    /* Waking the engine is two switches of threads, which is much beside a short task. */
    int left = atomic_fetch_sub(&job->works_left, 1) - 1;
    if (failed || left <= tq_executor_workers(job->executor))
        tqi_job_wake(job);
    return 0;
}

void tqi_work_start(tqi_work *work)
{
    atomic_fetch_add(&work->job->works_left, 1);
    tq_status status = tq_executor_submit(work->job->executor, run_work, work, &work->future);

    if (status) {
        atomic_fetch_sub(&work->job->works_left, 1);
        tqi_fail(&work->error, status, "cannot start a task: %s", tq_status_name(status));
        atomic_store(&work->over, true);
    }
}

void tqi_job_fail(tqi_job *job, const tq_error *error)
{
    /* A worker that stopped because the job is ending is no reason of its own. */
    if (job->error.status == TQ_OK && error->status != TQ_E_CANCELLED)
        job->error = *error;
}

void tqi_work_reuse_text(tqi_job *job, tqi_text *text)
{
    text->size = 0;
    if (text->data && job->n_spares < TQI_SPARES)
        job->spares[job->n_spares++] = *text;
    else
        tqi_text_free(text);
    *text = (tqi_text){.budget = &job->budget};
}

tqi_text tqi_work_spare_text(tqi_job *job)
{
    return job->n_spares ? job->spares[--job->n_spares] : (tqi_text){.budget = &job->budget};
}

void tqi_work_retire(tqi_job *job, tqi_work *work)
{
    tq_future_wait(work->future, TQ_FOREVER); /* it has returned, so this is short */
    tq_future_release(work->future);
    tqi_chunk_free(work->chunk);
    tqi_archive_close(work->archive);
    tqi_external_free(work->rest);
    tqi_work_reuse_text(job, &work->text);
    work->used = false;
    job->works_used--;
}

bool tqi_work_reap(tqi_job *job, void (*done)(tqi_job *job, tqi_work *work))
{
    bool some = false;

    for (int i = 0; i < job->n_works; i++) {
        tqi_work *work = job->works[i];

        if (!work->used || !atomic_load_explicit(&work->over, memory_order_acquire))
            continue;
        some = true;
        if (work->error.status)
            tqi_job_fail(job, &work->error);
        done(job, work);
        tqi_work_retire(job, work);
    }
    return some;
}

void tqi_work_abandon(tqi_job *job)
{
    for (int i = 0; i < job->n_works; i++)
        if (job->works[i]->used)
            tqi_work_retire(job, job->works[i]);
}

tqi_rows *tqi_scratch_rows(tqi_work *work, int worker)
{
    tqi_job *job = work->job;

    if (!job->scratch[worker]) {
        job->scratch[worker] = calloc(1, sizeof(tqi_rows));
        if (job->scratch[worker])
            tqi_rows_init(job->scratch[worker], &job->budget);
        else
            tqi_fail_memory(&work->error, sizeof(tqi_rows), "rows");
    }
    if (job->scratch[worker])
        tqi_rows_clear(job->scratch[worker]);
    return job->scratch[worker];
}

void tqi_job_wake(void *owner)
{
    tqi_bells_ring_own(((tqi_job *)owner)->bells);
}

static uint64_t wake_at_bytes(const tqi_job *job)
{
    uint64_t share = job->shares.runs, round = job->description.round_bytes;

    return (share < round ? share : round) / RUNS_PER_WAKE;
}

void tqi_job_deliver(void *owner, tqi_run *run)
{
    tqi_job *job = owner;
    bool inline_engine = tq_executor_workers(job->executor) == 0;

    run->next = NULL;
    pthread_mutex_lock(&job->lock);
    while (!inline_engine && job->run_bytes > job->shares.runs && !atomic_load(&job->stop))
        pthread_cond_wait(&job->runs_taken, &job->lock);
    *job->runs_end = run;
    job->runs_end = &run->next;
    job->run_bytes += run->bytes;
    bool enough = job->run_bytes >= wake_at_bytes(job);
    pthread_mutex_unlock(&job->lock);
    if (enough)
        tqi_job_wake(job);
}

bool tqi_job_take_runs(tqi_job *job)
{
    pthread_mutex_lock(&job->lock);
    tqi_run *run = job->runs;
    job->runs = NULL;
    job->runs_end = &job->runs;
    job->run_bytes = 0;
    pthread_cond_broadcast(&job->runs_taken);
    pthread_mutex_unlock(&job->lock);
    bool some = run != NULL;
    while (run) {
        tqi_run *next = run->next;
        tq_error error;

        tqi_error_clear(&error);
        if (job->error.status)
            tqi_run_free(&job->spec, run);
        else if (job->reducing ? tqi_store_take_run(&job->results, run, &error)
                               : tqi_exchange_add(&job->exchange, run, &error))
            tqi_job_fail(job, &error);
        run = next;
    }
    return some;
}

/* What takes more than one message gets on only while both sides look after it. */
static bool is_moving_much(const tqi_job *job)
{
    return job->control.deliveries || job->control.receiving != MPI_REQUEST_NULL ||
           job->writing.receiving != MPI_REQUEST_NULL;
}

static unsigned longest_rest_us(const tqi_job *job)
{
    const tqi_comm *comm = job->comm;
    unsigned longest = tqi_comm_longest_rest_us(comm);
    bool in_round = job->pulse.state != TQI_LISTENING;

    if (in_round && !tqi_exchange_waits_at_gate(job->pulse.exchange)) /* the same */
        longest /= ROUND_HURRY;
    else if (comm->bells->all && !is_moving_much(job))
        return tqi_comm_longest_rest_till_rung_us(comm);
    else if (job->works_used > 0 && comm->crowd > 1)
        longest = LONGEST_REST_WORKING_US;
    /* Others wait for rank 0, and for who passes on what it says. */
    return tqi_comm_children(comm) > 0 && longest > LONGEST_REST_AWAITED_US ? LONGEST_REST_AWAITED_US : longest;
}

/* A rank with nothing to do but to listen hears soon what all wait for, as in tqi_comm_pause. */
static unsigned longer_rest_us(const tqi_job *job, unsigned rest_us)
{
    bool listens = job->works_used == 0 && job->comm->crowd == 1;

    return rest_us + (listens ? rest_us / 8 : rest_us);
}

void tqi_job_rest(tqi_job *job, unsigned *rest_us)
{
    if (job->comm->size == 1) { /* it hears of nothing but its workers, who wake it */
        tqi_bells_sleep(job->bells, REST_ALONE_US);
        return;
    }
    unsigned longest = longest_rest_us(job);
    *rest_us = *rest_us ? longer_rest_us(job, *rest_us) : tqi_comm_first_rest_us(job->comm);
    if (*rest_us > longest)
        *rest_us = longest;
    if (tqi_bells_sleep(job->bells, *rest_us))
        *rest_us = 0;
}
