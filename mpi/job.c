#include "mpi/job.h"

#include "common/clock.h"
#include "common/error.h"
#include "mpi/stats.h"
#include "node/future.h"
#include <stdlib.h>
#include <string.h>

static const uint64_t DEFAULT_ROUND_BYTES = 8 << 20;
static const double REPORT_EVERY_S = 0.05; /* to rank 0: often enough for any progress bar */

/* ---- Making and freeing ---- */

static char *copy(const char *text, bool *failed)
{
    char *made = text ? strdup(text) : NULL;

    *failed |= text && !made;
    return made;
}

static bool copy_description(tqi_job *job, const tq_job *from)
{
    tq_job *to = &job->description;
    const char *tmpdir = from->tmpdir ? from->tmpdir : getenv("TMPDIR");
    bool failed = false;

    if (from->abi != TQ_JOB_ABI) { /* nothing else can be believed */
        *to = (tq_job){.abi = from->abi};
        return true;
    }
    *to = *from;
    char **inputs = calloc(from->n_inputs + 1, sizeof *inputs);
    for (size_t i = 0; inputs && from->inputs && i < from->n_inputs; i++)
        inputs[i] = copy(from->inputs[i], &failed);
    to->inputs = (const char *const *)inputs;
    to->name = copy(from->name ? from->name : "job", &failed);
    to->output_path = copy(from->output_path, &failed);
    to->tmpdir = copy(tmpdir && tmpdir[0] ? tmpdir : "/tmp", &failed);
    to->key_name = copy(from->key_name ? from->key_name : "key", &failed);
    to->value_name = copy(from->value_name ? from->value_name : "value", &failed);
    if (!to->round_bytes)
        to->round_bytes = DEFAULT_ROUND_BYTES;
    if (from->memory_bytes && to->round_bytes > from->memory_bytes / 32)
        to->round_bytes = from->memory_bytes / 32 + 1;
    return inputs && !failed;
}

static void free_description(tq_job *description)
{
    char **inputs = (char **)description->inputs;

    for (size_t i = 0; inputs && i < description->n_inputs; i++)
        free(inputs[i]);
    free(inputs);
    free((char *)description->name);
    free((char *)description->output_path);
    free((char *)description->tmpdir);
    free((char *)description->key_name);
    free((char *)description->value_name);
}

static void fill_spec(tqi_job *job)
{
    const tq_job *from = &job->description;

    job->budget.limit = from->memory_bytes;
    job->spec = (tqi_spec){.records = from->records, .map = from->map, .map_chunk = from->map_chunk,
                           .shape = {(int)from->value_type, from->value_bytes}, .combine = from->combine,
                           .combine_fn = from->combine_fn, .reduce = from->reduce, .order = from->order,
                           .limit = from->limit, .user = from->user, .rank = job->comm->rank, .budget = &job->budget, .stop = &job->stop};
    job->spec.result_shape = job->spec.shape;
    if (from->reduce)
        job->spec.result_shape = (tqi_value_shape){(int)from->result_type, 0};
}

static bool request_cancel(void *owner)
{
    tqi_job *job = owner;

    atomic_store(&job->cancel, true);
    tqi_job_wake(job);
    return true;
}

/* After tq_future_release no callback runs. */
static void end_callbacks(void *owner)
{
    tqi_hub_join(((tqi_job *)owner)->hub);
}

static void destroy(void *owner)
{
    tqi_job_free(owner);
}

tqi_job *tqi_job_new(tq_cluster *cluster, const tqi_comm *comm, tq_executor *executor, const tq_job *description)
{
    tqi_job *job = calloc(1, sizeof *job);
    pthread_condattr_t monotonic;

    if (!job)
        return NULL;
    job->cluster = cluster;
    job->comm = comm;
    job->executor = executor;
    job->runs_end = &job->runs;
    job->exchange.request = MPI_REQUEST_NULL;
    job->store.spill = -1;
    job->writing = (tqi_writing){.receiving = MPI_REQUEST_NULL, .sends = {MPI_REQUEST_NULL, MPI_REQUEST_NULL}};
    tqi_error_clear(&job->error);
    tqi_error_clear(&job->not_runnable);
    pthread_mutex_init(&job->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&job->woken, &monotonic);
    pthread_cond_init(&job->runs_taken, NULL);
    pthread_condattr_destroy(&monotonic);
    /* What fails here on one rank is told to the others when the job runs: they are waiting for this rank. */
    if (!copy_description(job, description))
        tqi_fail_memory(&job->not_runnable, description->n_inputs, "the job's description");
    fill_spec(job);
    tqi_hub_options options = {comm->rank, comm->size, description->interval_s, description->progress,
                               description->on_snapshot, description->user, &job->cancel, tqi_job_wake, job};
    tq_status status = tqi_hub_create(&options, &job->hub);
    if (status && !job->not_runnable.status)
        tqi_fail(&job->not_runnable, status, "cannot start the thread that reports progress");
    if (job->hub)
        job->future = tqi_future_create(request_cancel, destroy, job);
    if (job->future) {
        tqi_future_on_release(job->future, end_callbacks);
        return job;
    }
    tqi_job_free(job);
    return NULL;
}

static void free_parts(tqi_job *job)
{
    for (uint32_t p = 0; job->parts && p < job->n_parts; p++)
        tqi_rows_free(&job->parts[p]);
    free(job->parts);
    job->parts = NULL;
    job->n_parts = 0;
}

/* What is needed only while the job runs. */
static void free_workings(tqi_job *job)
{
    for (uint32_t p = 0; job->texts && p < job->n_parts; p++)
        tqi_text_free(&job->texts[p].text);
    free(job->texts);
    job->texts = NULL;
    tqi_map_end(job);
    while (job->runs) {
        tqi_run *next = job->runs->next;

        tqi_run_free(&job->spec, job->runs);
        job->runs = next;
    }
    job->runs_end = &job->runs;
    tqi_exchange_free(&job->exchange);
    tqi_store_free(&job->store);
    tqi_rows_free(&job->splitters);
    tqi_control_free(&job->control);
    tqi_inputs_free(&job->inputs);
    if (job->output_open)
        tqi_output_discard(&job->output);
    job->output_open = false;
    for (int i = 0; i < job->n_works; i++)
        free(job->works[i]);
    free(job->works);
    job->works = NULL;
    job->n_works = 0;
}

void tqi_job_free(tqi_job *job)
{
    if (!job)
        return;
    tqi_cluster_forget(job);
    tqi_hub_free(job->hub);
    free_workings(job);
    free_parts(job);
    free(job->first_row);
    free(job->rank_stats);
    free_description(&job->description);
    pthread_mutex_destroy(&job->lock);
    pthread_cond_destroy(&job->woken);
    pthread_cond_destroy(&job->runs_taken);
    free(job);
}

/* ---- Checking the description ---- */

static const char *wrong_values(const tq_job *job)
{
    if ((unsigned)job->value_type > TQ_BYTES || (unsigned)job->combine > TQ_COMBINE_USER)
        return "value_type or combine is none of the known ones";
    if (job->value_type == TQ_FIXED && (job->value_bytes < 1 || job->value_bytes > 65536))
        return "value_bytes must be 1 to 65536 for TQ_FIXED values";
    if (job->value_type == TQ_BYTES && job->combine != TQ_COMBINE_NONE)
        return "TQ_BYTES values cannot be combined";
    if (job->value_type != TQ_I64 && job->combine != TQ_COMBINE_NONE && job->combine != TQ_COMBINE_USER)
        return "TQ_SUM, TQ_MIN and TQ_MAX need TQ_I64 values";
    if (job->combine == TQ_COMBINE_USER && !job->combine_fn)
        return "TQ_COMBINE_USER needs a combine_fn";
    if (job->reduce && job->result_type != TQ_I64 && job->result_type != TQ_BYTES)
        return "result_type must be TQ_I64 or TQ_BYTES";
    return NULL;
}

static const char *wrong_output(const tq_job *job)
{
    tq_value_type result = job->reduce ? job->result_type : job->value_type;

    if ((unsigned)job->order > TQ_ORDER_NONE || (unsigned)job->output > TQ_OUTPUT_FD || (unsigned)job->format > TQ_JSON)
        return "order, output or format is none of the known ones";
    if (job->order == TQ_ORDER_VALUE_DESC && result != TQ_I64)
        return "TQ_ORDER_VALUE_DESC needs TQ_I64 results";
    if (job->output == TQ_OUTPUT_FILE && (!job->output_path || !job->output_path[0]))
        return "TQ_OUTPUT_FILE needs an output_path";
    return NULL;
}

static const char *wrong(const tq_job *job)
{
    const char *reason;

    if (job->abi != TQ_JOB_ABI)
        return "the job was not initialized with TQ_JOB_INIT, or was compiled for another version of tequio";
    if (!job->map == !job->map_chunk)
        return "exactly one of map and map_chunk must be set";
    for (size_t i = 0; i < job->n_inputs; i++)
        if (!job->inputs[i])
            return "inputs, or one of them, is NULL";
    if (job->n_inputs == 0)
        return "no input is given";
    if ((unsigned)job->records > TQ_WORDS)
        return "records is none of the known ones";
    reason = wrong_values(job);
    return reason ? reason : wrong_output(job);
}

/* ---- Running ---- */

static void name_error(tqi_job *job, tq_error *error, const char *phase)
{
    if (error->status == TQ_OK)
        return;
    if (error->rank < 0)
        error->rank = job->comm->rank;
    if (!error->phase[0])
        strncpy(error->phase, phase, sizeof error->phase - 1);
}

static void send_report(tqi_job *job)
{
    double now = tqi_now_s();
    tq_error error;

    if (now - job->reported_at < REPORT_EVERY_S)
        return;
    job->reported_at = now;
    if (tqi_control_report(&job->control, &job->counts, &error))
        tqi_job_fail(job, &error);
}

static void serve(tqi_job *job, bool *moved)
{
    tq_error error;

    tqi_error_clear(&error);
    if (tqi_control_serve(&job->control, moved, &error))
        tqi_job_fail(job, &error);
    send_report(job);
}

/* All ranks know that the job is ending: stop the workers here, learn why. */
static tq_status end_early(tqi_job *job, const tqi_outcome *outcome)
{
    atomic_store(&job->stop, true);
    pthread_mutex_lock(&job->lock);
    pthread_cond_broadcast(&job->runs_taken);
    pthread_mutex_unlock(&job->lock);
    tqi_work_abandon(job);
    if (outcome->failed_rank >= 0)
        return tqi_comm_share_error(job->comm, outcome->failed_rank, &job->error);
    return tqi_fail(&job->error, TQ_E_CANCELLED, "cancelled");
}

/* Repeat step until no rank is busy, or until one fails or wants to stop. */
static tq_status run_phase(tqi_job *job, const char *phase, tqi_exchange *exchange, tqi_step step)
{
    tqi_pulse pulse;
    unsigned rest_us = 0;

    tqi_pulse_start(&pulse, job->comm, exchange);
    for (;;) {
        tqi_vote vote = {0};
        tqi_outcome outcome;
        bool completed, moved = step(job, &vote);

        serve(job, &moved);
        vote.failed = job->error.status != TQ_OK;
        vote.cancelled = atomic_load_explicit(&job->cancel, memory_order_relaxed);
        name_error(job, &job->error, phase);
        tqi_pulse_step(&pulse, &vote, &moved, &completed, &outcome, &job->error);
        if (tqi_pulse_broken(&job->error)) {
            name_error(job, &job->error, phase);
            atomic_store(&job->stop, true);
            return job->error.status;
        }
        if (completed && (outcome.failed_rank >= 0 || outcome.cancelled))
            return end_early(job, &outcome);
        if (completed && !outcome.busy)
            return TQ_OK;
        if (moved)
            rest_us = 0;
        else
            tqi_job_rest(job, &rest_us);
    }
}

/* One step that all ranks take, and agree on. */
static tq_status take_step(tqi_job *job, const char *phase, tq_status (*take)(tqi_job *job, tq_error *error))
{
    tq_error error;

    tqi_error_clear(&error);
    take(job, &error);
    name_error(job, &error, phase);
    if (!tqi_pulse_broken(&error))
        tqi_comm_agree(job->comm, &error);
    if (error.status)
        job->error = error;
    return error.status;
}

/* Sum up what all ranks did in phases first .. last, and report their ends: on rank 0 for all ranks, elsewhere for its own. */
static tq_status finish_phases(tqi_job *job, tq_phase first, tq_phase last)
{
    uint64_t numbers[3 * TQ_PHASES] = {0};

    for (int p = 0; p < TQ_PHASES; p++) {
        numbers[3 * p] = job->counts.phase[p].done;
        numbers[3 * p + 1] = job->counts.phase[p].bytes;
        numbers[3 * p + 2] = job->counts.phase[p].records;
    }
    tq_status status = tqi_comm_sum(job->comm, numbers, 3 * TQ_PHASES, &job->error);
    for (int p = (int)first; p <= (int)last && !status; p++) {
        tqi_phase_count all = {.done = numbers[3 * p], .bytes = numbers[3 * p + 1], .records = numbers[3 * p + 2]};

        tqi_hub_finish(job->hub, (tq_phase)p, job->comm->rank == 0 ? &all : &job->counts.phase[p]);
    }
    return status;
}

static tq_status check_description(tqi_job *job, tq_error *error)
{
    if (job->not_runnable.status) {
        *error = job->not_runnable;
        return error->status;
    }
    const char *reason = wrong(&job->description);
    return reason ? tqi_fail(error, TQ_E_USAGE, "%s", reason) : TQ_OK;
}

static tq_status map_and_shuffle(tqi_job *job)
{
    tq_status status = take_step(job, "map", tqi_map_start);

    if (status)
        return status;
    tqi_hub_begin(job->hub, TQ_PHASE_MAP);
    tqi_hub_begin(job->hub, TQ_PHASE_SHUFFLE);
    status = run_phase(job, "map", &job->exchange, tqi_map_step);
    if (status)
        return status;
    tqi_map_end(job);
    return finish_phases(job, TQ_PHASE_MAP, TQ_PHASE_SHUFFLE);
}

static void free_shuffle(tqi_job *job)
{
    job->rounds += job->exchange.rounds;
    job->spilled += job->store.spilled;
    tqi_exchange_free(&job->exchange);
    tqi_store_free(&job->store);
}

static tq_status reduce(tqi_job *job)
{
    if (job->comm->rank == 0)
        tqi_hub_set_total(job->hub, TQ_PHASE_REDUCE, job->spec.partitions, 0);
    tqi_hub_begin(job->hub, TQ_PHASE_REDUCE);
    tq_status status = take_step(job, "reduce", tqi_reduce_start);
    if (!status)
        status = run_phase(job, "reduce", NULL, tqi_reduce_step);
    if (!status)
        status = take_step(job, "reduce", tqi_account_check_reduced);
    if (!status)
        status = finish_phases(job, TQ_PHASE_REDUCE, TQ_PHASE_REDUCE);
    free_shuffle(job);
    return status;
}

static tq_status order(tqi_job *job)
{
    tq_status status;

    if (!tqi_order_needed(job)) {
        job->ordered = job->result;
        return take_step(job, "write", tqi_account_check_ordered);
    }
    status = take_step(job, "write", tqi_order_start);
    if (!status)
        status = run_phase(job, "write", &job->exchange, tqi_route_step);
    if (!status)
        status = take_step(job, "write", tqi_sort_start);
    if (!status)
        status = run_phase(job, "write", NULL, tqi_sort_step);
    if (!status)
        status = take_step(job, "write", tqi_account_check_ordered);
    free_shuffle(job);
    return status;
}

static tq_status commit(tqi_job *job, tq_error *error)
{
    if (!job->output_open)
        return TQ_OK;
    job->stats.output_bytes = job->output.written;
    job->output_open = false;
    return tqi_output_commit(&job->output, error);
}

static tq_status order_and_write(tqi_job *job)
{
    tqi_hub_begin(job->hub, TQ_PHASE_WRITE);
    tq_status status = order(job);
    if (!status)
        status = take_step(job, "write", tqi_write_start);
    if (!status)
        status = run_phase(job, "write", NULL, tqi_write_step);
    if (!status)
        status = take_step(job, "write", tqi_account_check_written);
    if (!status)
        status = take_step(job, "write", commit);
    return status ? status : finish_phases(job, TQ_PHASE_WRITE, TQ_PHASE_WRITE);
}

static tq_status run_stages(tqi_job *job)
{
    tq_status status = take_step(job, "", check_description);

    if (!status)
        status = take_step(job, "plan", tqi_plan);
    if (!status)
        status = map_and_shuffle(job);
    if (!status)
        status = reduce(job);
    if (!status)
        status = order_and_write(job);
    return status;
}

/* End the traffic of the job, so that the next one finds the communicators empty. */
static tq_status close_traffic(tqi_job *job, tq_status status)
{
    tq_error error;

    if (tqi_pulse_broken(&job->error))
        return status;
    tqi_error_clear(&error);
    tqi_write_abandon(job);
    if (!tqi_control_close(&job->control, &error))
        return status;
    if (!job->error.status)
        job->error = error;
    return job->error.status;
}

void tqi_job_run(tqi_job *job)
{
    char text[sizeof(tq_error)];
    tq_status status;

    job->cpu_begin_s = tqi_cpu_seconds();
    tqi_hub_start(job->hub);
    if (job->comm->broken)
        tqi_fail(&job->error, TQ_E_MPI, "MPI failed in an earlier job");
    else if (tqi_control_init(&job->control, job->comm, job->hub, &job->budget))
        tqi_fail(&job->error, TQ_E_MPI, "no memory for the job's messages");
    status = job->error.status ? job->error.status : run_stages(job);
    status = close_traffic(job, status);
    if (!status)
        status = take_step(job, "", tqi_stats_collect);
    tqi_work_abandon(job);
    free_workings(job);
    if (status)
        free_parts(job);
    tqi_hub_end(job->hub, status == TQ_OK);
    tq_error_text(&job->error, text, sizeof text);
    tqi_future_finish(job->future,
                      !status                     ? TQ_FUTURE_DONE
                      : status == TQ_E_CANCELLED ? TQ_FUTURE_CANCELLED
                                                  : TQ_FUTURE_FAILED,
                      status, 0, status ? text : "");
}
