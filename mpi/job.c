#include "mpi/job.h"

#include "common/clock.h"
#include "common/error.h"
#include "mpi/description.h"
#include "mpi/stats.h"
#include "node/future.h"
#include <stdlib.h>
#include <string.h>

/* Reports to rank 0 come often enough for any progress bar, and from many ranks not more than 320 a second as long as
 * each still speaks twice a second. */
static const double REPORT_EVERY_S = 0.05, REPORT_AT_LEAST_EVERY_S = 0.5;
enum { RANKS_AT_FULL_RATE = 16 };

/* ---- Making and freeing ---- */

/* Whether what is emitted goes straight to the ranges of the order. Where a limit leaves few rows, each worker finds those that
 * may be among them first. */
static bool emits_rows(const tqi_job *job)
{
    const tqi_spec *spec = &job->spec;
    bool by_key = spec->order == TQ_ORDER_KEY && !spec->limit && !spec->dense && !tqi_spec_is_placed(spec);

    return spec->order == TQ_ORDER_STABLE ||
           (by_key && spec->combine == TQ_COMBINE_NONE && !tqi_spec_has_reducer(spec));
}

static void fill_spec(tqi_job *job)
{
    const tq_job *from = &job->description;

    job->budget.limit = from->memory_bytes ? from->memory_bytes : tqi_default_budget(job->comm);
    job->decoders.limit = job->budget.limit / 8; /* see mpi/memory.c */
    job->disk.limit = from->spill_bytes;
    job->spec = (tqi_spec){.records = from->records,
                           .record_bytes = from->record_bytes,
                           .map = from->map,
                           .map_chunk = from->map_chunk,
                           .map_split = from->map_split,
                           .map_row = from->map_row,
                           .shape = {(int)from->value_type, from->value_bytes},
                           .combine = from->combine,
                           .combine_fn = from->combine_fn,
                           .arrival = from->values_order == TQ_VALUES_ARRIVAL,
                           .group = from->group,
                           .partition = from->partition,
                           .reduce = from->reduce,
                           .reduce_keys = from->reduce_keys,
                           .dense = from->dense,
                           .dense_rows = from->dense_rows,
                           .n_counters = from->n_counters,
                           .order = from->order,
                           .compare = from->compare,
                           .limit = from->limit,
                           .unique = from->unique,
                           .spill_compression = from->spill_compression,
                           .user = from->user,
                           .skip_bad = from->skip_bad,
                           .n_bad = &job->n_bad,
                           .rank = job->comm->rank,
                           .budget = &job->budget,
                           .disk = &job->disk,
                           .stop = &job->stop};
    if (from->combine == TQ_STATS)
        job->spec.shape = (tqi_value_shape){TQI_SUMMARY, sizeof(tq_summary)};
    job->spec.result_shape = job->spec.shape;
    bool stays = from->output == TQ_OUTPUT_KEEP && !from->limit; /* as its partitions are */
    job->spec.mixed = from->order == TQ_ORDER_NONE && from->partition && !stays;
    job->spec.direct = emits_rows(job);
    if (tqi_spec_has_reducer(&job->spec))
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

    if (!job)
        return NULL;
    job->cluster = cluster;
    job->comm = comm;
    job->bells = comm->bells;
    tqi_bells_hold(job->bells);
    job->executor = executor;
    job->runs_end = &job->runs;
    job->exchange.request = MPI_REQUEST_NULL;
    job->store.spill = job->results.spill = -1;
    job->writing = (tqi_writing){.receiving = MPI_REQUEST_NULL, .sends = {MPI_REQUEST_NULL, MPI_REQUEST_NULL}};
    tqi_error_clear(&job->error);
    tqi_error_clear(&job->not_runnable);
    tqi_error_clear(&job->ending);
    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->runs_taken, NULL);
    /* What fails here on one rank is told to the others when the job runs: they are waiting for this rank. */
    if (!tqi_description_copy(&job->description, description))
        tqi_fail_memory(&job->not_runnable, description->n_inputs, "the job's description");
    fill_spec(job);
    tqi_hub_options options = {comm->rank,
                               comm->size,
                               description->interval_s,
                               description->progress,
                               description->on_snapshot,
                               description->progress_user ? description->progress_user : description->user,
                               &job->cancel,
                               tqi_job_wake,
                               job};
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

void tqi_job_free_store(tqi_job *job, tqi_store *store)
{
    job->spilled += store->spilled;
    job->spilled_raw += store->spilled_raw;
    tqi_store_free(store);
}

void tqi_job_end_exchange(tqi_job *job)
{
    job->rounds += job->exchange.rounds;
    job->sent += job->exchange.sent;
    tqi_exchange_free(&job->exchange);
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
        tqi_text_free(&job->texts[p].text), tqi_external_free(job->texts[p].rest);
    free(job->texts);
    job->texts = NULL;
    while (job->writing.n_outputs)
        tqi_text_free(&job->writing.outputs[--job->writing.n_outputs]);
    tqi_unpacker_free(&job->writing.unpacker);
    tqi_text_free(&job->writing.unpacked);
    tqi_map_end(job);
    tqi_run_free_list(&job->spec, job->runs);
    job->runs = NULL;
    job->runs_end = &job->runs;
    tqi_exchange_free(&job->exchange);
    tqi_round_free(&job->round, &job->budget);
    tqi_store_free(&job->store);
    tqi_store_free(&job->results);
    job->final = NULL;
    tqi_order_free(job);
    tqi_direct_free_samplers(job);
    tqi_direct_free_sortings(job);
    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (job->reducers[i])
            tqi_reducer_free(job->reducers[i]);
        free(job->reducers[i]);
        job->reducers[i] = NULL;
    }
    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (job->scratch[i])
            tqi_rows_free(job->scratch[i]);
        free(job->scratch[i]);
        job->scratch[i] = NULL;
    }
    while (job->n_spares)
        tqi_text_free(&job->spares[--job->n_spares]);
    if (job->pool_open)
        tqi_pool_free(&job->pool);
    job->pool_open = false;
    tqi_control_free(&job->control);
    tqi_pulse_free(&job->pulse);
    tqi_inputs_free(&job->inputs);
    tqi_chain_drop(job);
    tqi_side_free(job);
    tqi_outputs_discard(&job->outputs);
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
    if (job->forget)
        job->forget(job);
    tqi_hub_free(job->hub);
    free_workings(job);
    free_parts(job);
    tqi_dense_free(job, &job->dense);
    free(job->first_row);
    free(job->rank_stats);
    free(job->gift);
    tqi_bad_free(&job->bad);
    tqi_description_free(&job->description);
    pthread_mutex_destroy(&job->lock);
    pthread_cond_destroy(&job->runs_taken);
    tqi_bells_let_go(job->bells);
    free(job);
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

static double report_every_s(int ranks)
{
    double every_s = REPORT_EVERY_S * ranks / RANKS_AT_FULL_RATE;

    return every_s < REPORT_EVERY_S            ? REPORT_EVERY_S
           : every_s < REPORT_AT_LEAST_EVERY_S ? every_s
                                               : REPORT_AT_LEAST_EVERY_S;
}

static void send_report(tqi_job *job)
{
    double now = tqi_now_s();
    tq_error error;

    if (now - job->reported_at < report_every_s(job->comm->size))
        return;
    job->reported_at = now;
    tqi_watch_look(&job->watch, now, &job->counts.still);
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

/* Also those that wait for the engine to take their runs. */
static void stop_workers(tqi_job *job)
{
    atomic_store(&job->stop, true);
    pthread_mutex_lock(&job->lock);
    pthread_cond_broadcast(&job->runs_taken);
    pthread_mutex_unlock(&job->lock);
}

/* Workers look up from their work soon, but not from the job's own code: that one of them stands still there is worth a
 * report. */
static void await_workers(tqi_job *job)
{
    for (int i = 0; i < job->n_works; i++)
        while (job->works[i]->used && tq_future_wait(job->works[i]->future, REPORT_EVERY_S) == TQ_E_TIMEOUT)
            send_report(job);
    tqi_work_abandon(job);
}

static void tell_why(tqi_job *job, const tq_error *error)
{
    pthread_mutex_lock(&job->lock);
    job->ending = *error;
    pthread_mutex_unlock(&job->lock);
}

tq_status tqi_job_await(tqi_job *job, tqi_work *work, tq_error *error)
{
    tq_error cancelled;

    tqi_error_clear(&cancelled);
    tqi_work_start(work);
    while (tq_future_wait(work->future, REPORT_EVERY_S) == TQ_E_TIMEOUT) {
        send_report(job);
        if (cancelled.status || !atomic_load_explicit(&job->cancel, memory_order_relaxed))
            continue;
        tqi_fail(&cancelled, TQ_E_CANCELLED, "cancelled");
        stop_workers(job);
        tell_why(job, &cancelled);
    }
    *error = cancelled.status ? cancelled : work->error;
    tqi_work_retire(job, work);
    return error->status;
}

/* All ranks know that the job is ending: learn why, and stop the workers here. One that does not return from the job's own
 * code keeps its rank, and then all of them, from ending it; so whoever waits for the job can ask for the reason before. */
static tq_status end_early(tqi_job *job, const tqi_outcome *outcome)
{
    stop_workers(job);
    if (outcome->failed_rank >= 0)
        tqi_comm_share_error(job->comm, outcome->failed_rank, &job->error);
    else
        tqi_fail(&job->error, TQ_E_CANCELLED, "cancelled");
    tell_why(job, &job->error);
    await_workers(job);
    return job->error.status;
}

/* Repeat step until no rank is busy, or until one fails or wants to stop. */
static tq_status repeat(tqi_job *job, const char *phase, tqi_step step)
{
    unsigned rest_us = 0;
    bool completed = true;

    for (;;) {
        tqi_vote vote = {0};
        tqi_outcome outcome;

        tqi_bells_look(job->bells, completed); /* statements may have come while there was something else to do */
        bool moved = step(job, &vote);
        serve(job, &moved);
        vote.failed = job->error.status != TQ_OK;
        vote.cancelled = atomic_load_explicit(&job->cancel, memory_order_relaxed);
        name_error(job, &job->error, phase);
        tqi_pulse_step(&job->pulse, &vote, &moved, &completed, &outcome, &job->error);
        if (tqi_pulse_broken(&job->error)) {
            name_error(job, &job->error, phase);
            stop_workers(job);
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

static tq_status run_phase(tqi_job *job, const char *phase, tqi_exchange *exchange, tqi_step step)
{
    tqi_pulse_start(&job->pulse, exchange);
    tq_status status = repeat(job, phase, step);
    tqi_bells_look(job->bells, true);
    return status;
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
    if (error.status == TQ_E_CANCELLED)
        error.rank = -1; /* it is no rank's doing, but that of an earlier job */
    if (error.status)
        job->error = error;
    return error.status;
}

/* Sum up what all ranks did in phases first .. last, and report their ends: on rank 0 for all ranks, elsewhere for its
 * own. */
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
    const char *reason = tqi_description_wrong(&job->description), *name = job->description.name;
    return reason ? tqi_fail(error, TQ_E_USAGE, "%s: %s", name ? name : "job", reason) : tqi_chain_check(job, error);
}

/* Ranges of keys, before there are any rows. */
static tq_status sample_input(tqi_job *job)
{
    tq_status status = take_step(job, "map", tqi_direct_start);

    if (!status)
        status = run_phase(job, "map", NULL, tqi_direct_sample_step);
    return status ? status : take_step(job, "map", tqi_direct_ready);
}

static tq_status map_and_shuffle(tqi_job *job)
{
    tq_status status = tqi_is_direct(job) ? sample_input(job) : TQ_OK;

    if (!status)
        status = take_step(job, "map", tqi_map_start);

    if (status)
        return status;
    tqi_hub_begin(job->hub, TQ_PHASE_MAP);
    tqi_hub_begin(job->hub, TQ_PHASE_SHUFFLE);
    if (job->spec.dense) {
        status = run_phase(job, "map", &job->exchange, tqi_map_step);
        if (!status)
            status = take_step(job, "map", tqi_dense_sum);
    }
    if (!status)
        status = run_phase(job, "map", &job->exchange, tqi_map_step);
    if (status)
        return status;
    tqi_map_end(job);
    tqi_chain_drop(job);
    if (job->description.skip_bad)
        status = take_step(job, "map", tqi_bad_gather);
    return status ? status : finish_phases(job, TQ_PHASE_MAP, TQ_PHASE_SHUFFLE);
}

/* The pages of the shuffle, and what they were reduced with, are not needed any more. */
static void free_shuffle(tqi_job *job)
{
    tqi_job_end_exchange(job);
    tqi_job_free_store(job, &job->store);
    tqi_pool_trim(&job->pool); /* what comes now needs other memory */
}

/* Records that are rows already: there is nothing to reduce. */
static tq_status pass_on(tqi_job *job)
{
    tqi_hub_begin(job->hub, TQ_PHASE_REDUCE);
    tq_status status = take_step(job, "reduce", tqi_direct_pass);
    return status ? status : finish_phases(job, TQ_PHASE_REDUCE, TQ_PHASE_REDUCE);
}

static tq_status reduce(tqi_job *job)
{
    if (tqi_is_direct(job))
        return pass_on(job);
    if (job->comm->rank == 0)
        tqi_hub_set_total(job->hub, TQ_PHASE_REDUCE, job->spec.partitions, 0);
    tqi_hub_begin(job->hub, TQ_PHASE_REDUCE);
    tq_status status = take_step(job, "reduce", tqi_reduce_start);
    if (!status && job->early)
        status = run_phase(job, "reduce", NULL, tqi_sample_step);
    if (!status)
        status = take_step(job, "reduce", tqi_reduce_ready);
    if (!status)
        status = run_phase(job, "reduce", job->early ? &job->exchange : NULL, tqi_reduce_step);
    if (!status)
        status = take_step(job, "reduce", tqi_account_check_reduced);
    if (!status)
        status = finish_phases(job, TQ_PHASE_REDUCE, TQ_PHASE_REDUCE);
    tqi_reduce_end(job);
    free_shuffle(job);
    return status;
}

static tq_status order(tqi_job *job)
{
    tq_status status;

    if (!tqi_order_needed(job))
        return TQ_OK;
    bool ordered = job->early || job->routes;
    status = ordered ? TQ_OK : take_step(job, "write", tqi_order_start);
    if (!status && !ordered)
        status = run_phase(job, "write", &job->exchange, tqi_route_step);
    if (!status)
        status = take_step(job, "write", tqi_order_end);
    tqi_job_end_exchange(job);
    tqi_round_free(&job->round, &job->budget);
    tqi_pool_trim(&job->pool);
    return status;
}

static tq_status commit(tqi_job *job, tq_error *error)
{
    return job->outputs.each ? tqi_outputs_commit(&job->outputs, &job->stats.output_bytes, error) : TQ_OK;
}

static tq_status order_and_write(tqi_job *job)
{
    tqi_hub_begin(job->hub, TQ_PHASE_WRITE);
    tq_status status = order(job);
    if (!status)
        status = take_step(job, "write", tqi_write_start);
    if (!status)
        status = run_phase(job, "write", NULL, tqi_write_step);
    if (!status && job->spec.unique)
        tqi_write_number_kept(job);
    if (!status)
        status = take_step(job, "write", tqi_is_direct(job) ? tqi_account_check_direct : tqi_account_check_ordered);
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
        status = take_step(job, "plan", tqi_side_share);
    job->planned = status == TQ_OK;
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
    if (!tqi_pulse_finish(&job->pulse, &error)) {
        tqi_write_abandon(job); /* waits for rank 0, which is past its children's last statements then */
        if (!tqi_control_close(&job->control, &error))
            return status;
    }
    if (!job->error.status)
        job->error = error;
    return job->error.status;
}

/* However the job ended: what is known of its counters is known to all ranks. */
static tq_status sum_counters(tqi_job *job, tq_status status)
{
    tq_error error;

    if (!job->planned || tqi_pulse_broken(&job->error))
        return status;
    tqi_error_clear(&error);
    if (tqi_counters_sum(job, &error) && !status)
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
    else if (tqi_control_init(&job->control, job->comm, job->hub, &job->budget) ||
             !tqi_pulse_init(&job->pulse, job->comm))
        tqi_fail(&job->error, TQ_E_MPI, "no memory for the job's messages");
    status = job->error.status ? job->error.status : run_stages(job);
    status = close_traffic(job, status);
    tqi_work_abandon(job);
    status = sum_counters(job, status);
    if (!status)
        status = take_step(job, "", tqi_stats_collect);
    free_workings(job);
    if (status)
        free_parts(job);
    tqi_hub_end(job->hub, status == TQ_OK);
    tq_error_text(&job->error, text, sizeof text);
    tqi_future_finish(job->future,
                      !status                    ? TQ_FUTURE_DONE
                      : status == TQ_E_CANCELLED ? TQ_FUTURE_CANCELLED
                                                 : TQ_FUTURE_FAILED,
                      status, 0, status ? text : "");
}
