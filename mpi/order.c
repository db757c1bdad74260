/* Ordering the rows over all ranks: a sample decides the ranges, the rows travel through a second exchange, and each
 * range is sorted by a task. Also the way to gather all rows on rank 0: then it owns every range. */
#include "mpi/job.h"

#include "common/account.h"
#include "common/error.h"
#include <stdlib.h>
#include <string.h>

/* So few rows are not worth spreading: they all go to the first range. */
static const uint64_t FEW_ROWS = 4096;

bool tqi_order_needed(const tqi_job *job)
{
    bool gather = job->description.output == TQ_OUTPUT_GATHER && job->comm->size > 1;

    return job->spec.order != TQ_ORDER_NONE || gather;
}

/* The number of rows on all ranks. */
static tq_status count_rows(tqi_job *job, uint64_t *mine, tq_error *error)
{
    *mine = 0;
    for (uint32_t p = 0; p < job->n_parts; p++)
        *mine += job->parts[p].n;
    job->total_rows = *mine;
    return tqi_comm_sum(job->comm, &job->total_rows, 1, error);
}

/* Rank 0: the splitters from what all ranks sent, as a page in malloc'ed memory. */
static tq_status choose(tqi_job *job, const char *pages, size_t size, char **chosen, size_t *chosen_size,
                        tq_error *error)
{
    tqi_rows samples;
    tqi_run *run = NULL;
    tq_status status = TQ_OK;

    tqi_rows_init(&samples, &job->budget);
    for (size_t at = 0; at < size && !status;) {
        const uint8_t *page = (const uint8_t *)pages + at;
        const char *broken = tqi_page_validate(page, size - at);

        if (broken) {
            tqi_rows_free(&samples);
            return tqi_fail(error, TQ_E_ACCOUNT, "%s (a sample of keys)", broken);
        }
        status = tqi_rows_append_page(&samples, &job->spec.result_shape, page);
        at += TQI_PAGE_HEADER + (size_t)tqi_page_read_header(page).payload;
    }
    if (!status)
        status = tqi_order_choose(&job->spec, &samples, job->spec.partitions, &run);
    tqi_rows_free(&samples);
    *chosen_size = run ? run->bytes : 0;
    *chosen = malloc(*chosen_size + 1);
    if (status || !*chosen)
        status = tqi_fail(error, TQ_E_MEMORY, "no memory to choose the ranges of keys (see --memory)");
    else if (run)
        memcpy(*chosen, run->data, run->bytes);
    tqi_run_free(&job->spec, run);
    return status;
}

/* Splitters for everybody. Each step is agreed on, so that nobody waits for somebody who failed. */
static tq_status make_splitters(tqi_job *job, uint64_t rows, tq_error *error)
{
    char *samples = NULL, *chosen = NULL;
    size_t samples_size = 0, chosen_size = 0;
    tqi_run *mine = NULL;
    uint64_t wanted =
        (uint64_t)((double)TQI_SAMPLES_PER_RANGE * job->spec.partitions * (double)rows / (double)job->total_rows) + 1;

    if (tqi_order_sample(&job->spec, job->parts, job->n_parts, wanted, &mine))
        tqi_fail(error, TQ_E_MEMORY, "no memory for a sample of the keys (see --memory)");
    tq_status status = tqi_comm_agree(job->comm, error);
    if (!status)
        status = tqi_comm_gather(job->comm, mine ? mine->data : NULL, mine ? mine->bytes : 0, &samples, &samples_size,
                                 error);
    tqi_run_free(&job->spec, mine);
    if (!status) {
        if (job->comm->rank == 0)
            choose(job, samples, samples_size, &chosen, &chosen_size, error);
        status = tqi_comm_agree(job->comm, error);
    }
    free(samples);
    if (!status)
        status = tqi_comm_broadcast(job->comm, 0, &chosen, &chosen_size, error);
    if (!status && chosen_size > 0 &&
        tqi_rows_append_page(&job->splitters, &job->spec.result_shape, (const uint8_t *)chosen))
        tqi_fail(error, TQ_E_MEMORY, "no memory for the ranges of keys (see --memory)");
    free(chosen);
    return status ? status : tqi_comm_agree(job->comm, error);
}

/* Who owns the ranges. Returns how many in a row belong to one rank. */
static uint32_t choose_owners(tqi_job *job)
{
    bool gather = job->description.output == TQ_OUTPUT_GATHER;

    job->order_spec = job->spec;
    job->order_spec.shape = job->spec.result_shape;
    if (gather) {
        job->order_spec.first_partition = 0;
        job->order_spec.own_partitions = job->comm->rank == 0 ? job->spec.partitions : 0;
    }
    return gather ? job->spec.partitions : job->spec.own_partitions;
}

tq_status tqi_order_start(tqi_job *job, tq_error *error)
{
    uint64_t rows;
    tq_status status = count_rows(job, &rows, error);

    tqi_rows_init(&job->splitters, &job->budget);
    if (!status && job->spec.order != TQ_ORDER_NONE && job->total_rows > FEW_ROWS)
        status = make_splitters(job, rows, error);
    if (status)
        return status;
    uint32_t parts_per_rank = choose_owners(job);
    job->next_part = 0;
    status = tqi_store_init(&job->store, &job->order_spec, job->description.memory_bytes / TQI_STORE_PART,
                            job->description.tmpdir);
    if (!status)
        status = tqi_exchange_init(&job->exchange, job->comm, &job->order_spec, &job->store, parts_per_rank,
                                   job->description.round_bytes);
    return status ? tqi_fail_memory(error, 0, "ordering the rows") : TQ_OK;
}

/* One part's rows on their way. Without an order a part stays together, and so keeps the order it has. */
static tq_status route(tqi_work *work, tqi_rows *rows, tqi_run **run)
{
    tqi_job *job = work->job;
    tqi_run_builder builder;

    if (job->spec.order != TQ_ORDER_NONE)
        return tqi_order_route(&job->spec, rows, &job->splitters, &work->account, run);
    *run = NULL;
    if (rows->n == 0)
        return TQ_OK;
    uint32_t *parts = tqi_budget_alloc(&job->budget, rows->n * sizeof *parts);
    tq_status status = tqi_run_builder_init(&builder, &job->spec, &job->spec.result_shape, job->spec.partitions);
    for (size_t i = 0; parts && i < rows->n; i++)
        parts[i] = job->spec.first_partition + work->part;
    if (parts && !status)
        status = tqi_run_build(&builder, rows->entries, rows->n, parts, &work->account, run);
    tqi_run_builder_free(&builder);
    tqi_budget_free(&job->budget, parts, rows->n * sizeof *parts);
    return parts ? status : TQ_E_MEMORY;
}

static void route_part(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_run *run;

    (void)worker;
    if (atomic_load_explicit(&job->stop, memory_order_relaxed))
        return;
    if (route(work, &job->parts[work->part], &run)) {
        tqi_fail(&work->error, TQ_E_MEMORY, "no memory to order the rows (see --memory)");
        return;
    }
    tqi_rows_free(&job->parts[work->part]);
    if (run)
        tqi_job_deliver(job, run);
}

static void routed(tqi_job *job, tqi_work *work)
{
    (void)job;
    (void)work;
}

bool tqi_route_step(tqi_job *job, tqi_vote *vote)
{
    bool moved = tqi_step_parts(job, vote, route_part, routed);

    moved |= tqi_job_take_runs(job);
    vote->wants_round =
        job->exchange.queued > 0 && (!vote->busy || job->exchange.queued >= job->description.round_bytes / 4);
    vote->busy |= job->exchange.queued > 0;
    return moved;
}

/* ---- Sorting the ranges ---- */

static tq_status collect(const tqi_job *job, uint32_t part, tqi_rows *rows, tq_error *error)
{
    tqi_page_buffer buffer = {0};
    tq_status status = TQ_OK;

    for (size_t i = 0; i < job->store.parts[part].n && !status; i++) {
        const uint8_t *page;

        status = tqi_store_page(&job->store, part, i, &buffer, &page, error);
        if (status)
            break;
        status = tqi_rows_append_page(rows, &job->order_spec.shape, page);
        if (status == TQ_E_MEMORY)
            tqi_fail(error, status, "no memory for the rows of the result (see --memory)");
        else if (status)
            tqi_fail(error, status, "a page of rows is malformed");
    }
    free(buffer.memory);
    return status;
}

static void sort_part(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_rows *rows = &job->parts[work->part];

    (void)worker;
    if (atomic_load_explicit(&job->stop, memory_order_relaxed) || collect(job, work->part, rows, &work->error))
        return;
    if (job->spec.order != TQ_ORDER_NONE)
        tqi_rows_sort(rows, job->spec.order, &job->order_spec.shape);
    for (size_t i = 0; i < rows->n; i++)
        tqi_account_entry(&job->order_spec, &job->order_spec.shape, &rows->entries[i], &work->account);
}

static void sorted(tqi_job *job, tqi_work *work)
{
    tqi_account_add(&job->ordered, &work->account);
}

tq_status tqi_sort_start(tqi_job *job, tq_error *error)
{
    free(job->parts);
    tqi_rows_free(&job->splitters);
    job->next_part = 0;
    job->n_parts = job->order_spec.own_partitions;
    job->parts = calloc(job->n_parts + 1, sizeof *job->parts);
    if (!job->parts) {
        job->n_parts = 0;
        return tqi_fail_memory(error, 0, "the rows");
    }
    for (uint32_t p = 0; p < job->n_parts; p++)
        tqi_rows_init(&job->parts[p], &job->budget);
    return tqi_store_seal(&job->store, error);
}

bool tqi_sort_step(tqi_job *job, tqi_vote *vote)
{
    return tqi_step_parts(job, vote, sort_part, sorted);
}
