/* Ordering the rows over all ranks: a sample decides the ranges, and the rows travel through a second exchange. Each
 * range is sorted when it is written (mpi/write.c). Also the way to gather all rows on rank 0: then it owns every
 * range.
 *
 * Where rows are as many as keys, a few partitions say well enough what all rows will be like: the ranges are chosen before
 * reducing, and rows go to theirs at once. Otherwise, say with a reducer that makes what it likes, the rows are kept, and routed when
 * all of them were seen. */
#include "mpi/job.h"

#include "common/account.h"
#include "common/error.h"
#include <stdlib.h>
#include <string.h>

/* So few rows of so few bytes are not worth spreading: they all go to the first range. */
static const uint64_t FEW_ROWS = 4096, FEW_BYTES = 1 << 20;
/* What a range has, beside rows: at least, if there is enough, and about. */
static const uint64_t LEAST_BYTES = 1 << 20, CACHED_BYTES = 4 << 20;
/* What a row takes beside its long bytes: an array that may be twice as long, a copy to sort it, room for its text. */
enum { ROW_BYTES = 5 * sizeof(tqi_entry), DIRECT_ROW_BYTES = 3 * sizeof(tqi_sort_item) };
enum { RANGES_PER_WORKER = 8, CACHED_ROWS = 32 << 10, LEAST_ROWS = 8 << 10, ENOUGH_RANGES = 4096, MOST_RANGES = 1 << 16 };

bool tqi_order_needed(const tqi_job *job)
{
    bool gather = job->description.output == TQ_OUTPUT_GATHER && job->comm->size > 1;

    return tqi_spec_orders(&job->spec) || gather;
}

bool tqi_order_may_be_early(const tqi_job *job)
{
    const tqi_spec *spec = &job->spec;

    /* Keys that the job has put into a partition are no random sample. */
    if (tqi_spec_is_placed(spec))
        return false;
    return spec->order != TQ_ORDER_NONE && spec->combine != TQ_COMBINE_NONE && !tqi_spec_has_reducer(spec) && !spec->limit;
}

tq_status tqi_order_decide(tqi_job *job, tq_error *error)
{
    uint64_t records = job->store.records;
    tq_status status = tqi_comm_sum(job->comm, &records, 1, error);

    job->early = !status && tqi_order_may_be_early(job) && records > FEW_ROWS;
    return status;
}

/* Rows and bytes of their pages, on all ranks, from those of this rank. */
static tq_status count_rows(tqi_job *job, uint64_t rows, uint64_t *bytes, tq_error *error)
{
    uint64_t numbers[2] = {rows, *bytes};
    tq_status status = tqi_comm_sum(job->comm, numbers, 2, error);

    job->total_rows = numbers[0];
    *bytes = numbers[1];
    return status;
}

/* How many ranges a rank gets: some for each worker, so that they can be sorted at the same time, or one where they would be
 * short (each rank has an open page for each of all ranges); more if that makes them fit the cache, but not more than
 * ENOUGH_RANGES in all; and so many that each of them fits what may be sorted at once. */
static uint32_t ranges_per_rank(const tqi_job *job, uint64_t bytes)
{
    bool direct = tqi_is_direct(job);
    uint64_t memory = direct ? job->total_rows * DIRECT_ROW_BYTES + 3 * bytes : job->total_rows * ROW_BYTES + 2 * bytes;
    uint64_t ranks = (uint64_t)job->comm->size;
    uint64_t wanted = RANGES_PER_WORKER * job->all_workers, each = memory / ranks / job->range_bytes + 1;

    if (wanted > job->total_rows / LEAST_ROWS + bytes / LEAST_BYTES)
        wanted = job->total_rows / LEAST_ROWS + bytes / LEAST_BYTES;
    if (wanted < job->all_workers)
        wanted = job->all_workers;
    if (wanted < job->total_rows / CACHED_ROWS)
        wanted = job->total_rows / CACHED_ROWS;
    if (wanted < bytes / CACHED_BYTES)
        wanted = bytes / CACHED_BYTES;
    if (wanted > ENOUGH_RANGES)
        wanted = ENOUGH_RANGES;
    if (each < wanted / ranks + 1)
        each = wanted / ranks + 1;
    return (uint32_t)(each > MOST_RANGES ? MOST_RANGES : each);
}

/* What samples and splitters are made of. */
static const tqi_spec *spec_of_samples(const tqi_job *job)
{
    return tqi_is_direct(job) ? &job->sample_spec : &job->spec;
}

/* Rank 0: the splitters from what all ranks sent, as a page in malloc'ed memory. A task, since the job's own function may
 * have to compare the samples. */
static void choose(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_choosing *choosing = work->choosing;
    const tqi_spec *spec = spec_of_samples(job);
    tqi_rows samples;
    tqi_run *run = NULL;
    tq_status status = TQ_OK;

    tqi_rows_init(&samples, spec->budget);
    for (size_t at = 0; at < choosing->samples_size && !status;) {
        const uint8_t *page = (const uint8_t *)choosing->samples + at;
        const char *broken = tqi_page_validate(page, choosing->samples_size - at);

        status = broken ? tqi_fail(&work->error, TQ_E_ACCOUNT, "%s (a sample of keys)", broken)
                        : tqi_rows_append_page(&samples, &spec->result_shape, page, false);
        at += TQI_PAGE_HEADER + (size_t)tqi_page_read_header(page).payload;
    }
    tqi_place *place = tqi_enter_order(job, worker);
    if (!status)
        status = tqi_order_choose(spec, &samples, job->order_spec.partitions, &run);
    tqi_leave_order(place);
    tqi_rows_free(&samples);
    choosing->chosen_size = run ? run->bytes : 0;
    choosing->chosen = malloc(choosing->chosen_size + 1);
    if (choosing->chosen && run)
        memcpy(choosing->chosen, run->data, run->bytes);
    if (status == TQ_E_ACCOUNT && !work->error.status)
        tqi_fail(&work->error, status, "a page of samples is malformed");
    else if ((status || !choosing->chosen) && !work->error.status)
        tqi_fail(&work->error, TQ_E_MEMORY, "no memory to choose the ranges of keys (see --memory)");
    tqi_run_free(spec, run);
}

static tq_status choose_in_task(tqi_job *job, tqi_choosing *choosing, tq_error *error)
{
    tqi_work *work = tqi_work_new(job, choose);

    if (!work) {
        *error = job->error;
        return error->status;
    }
    work->choosing = choosing;
    return tqi_job_await(job, work, error);
}

/* This rank's samples, of the same density as everybody's. rows: of this rank. */
static tq_status sample(tqi_job *job, uint64_t rows, tqi_run **run, tq_error *error)
{
    tqi_sampler *samplers[TQ_MAX_WORKERS];
    uint64_t step = 0;
    uint64_t wanted = TQI_SAMPLES_PER_RANGE * (uint64_t)job->order_spec.partitions;
    int n = 0;

    for (int i = 0; i < TQ_MAX_WORKERS; i++)
        if (job->reducers[i])
            samplers[n++] = &job->reducers[i]->sampler;
        else if (job->samplers[i])
            samplers[n++] = job->samplers[i];
    for (int i = 0; i < n; i++)
        step = samplers[i]->step > step ? samplers[i]->step : step;
    tq_status status = tqi_comm_max(job->comm, &step, 1, error);
    if (status)
        return status;
    for (int i = 0; i < n; i++)
        tqi_sampler_thin(samplers[i], step);
    wanted = (uint64_t)((double)wanted * (double)rows / (double)job->total_rows) + 1;
    if (tqi_order_sample(spec_of_samples(job), samplers, n, wanted, run))
        tqi_fail(error, TQ_E_MEMORY, "no memory for a sample of the keys (see --memory)");
    return error->status;
}

static const tqi_spec *splitters_spec(const tqi_job *job)
{
    return tqi_is_direct(job) ? &job->sample_spec : &job->order_spec;
}

/* Splitters for everybody. Each step is agreed on, so that nobody waits for somebody who failed. rows: of this rank. */
static tq_status make_splitters(tqi_job *job, uint64_t rows, tq_error *error)
{
    tqi_choosing choosing = {0};
    tqi_run *mine = NULL;

    sample(job, rows, &mine, error);
    tq_status status = tqi_pulse_broken(error) ? error->status : tqi_comm_agree(job->comm, error);
    if (!status)
        status = tqi_comm_gather(job->comm, mine ? mine->data : NULL, mine ? mine->bytes : 0, &choosing.samples,
                                 &choosing.samples_size, error);
    tqi_run_free(spec_of_samples(job), mine);
    if (!status) {
        if (job->comm->rank == 0)
            choose_in_task(job, &choosing, error);
        status = tqi_comm_agree(job->comm, error);
    }
    free(choosing.samples);
    if (!status)
        status = tqi_comm_broadcast(job->comm, 0, &choosing.chosen, &choosing.chosen_size, error);
    if (!status) { /* what fails here on one rank, all agree on below */
        tq_status made = tqi_splitters_init(&job->splitters, splitters_spec(job),
                                            choosing.chosen_size > 0 ? (const uint8_t *)choosing.chosen : NULL);

        if (made)
            tqi_fail(error, made,
                     made == TQ_E_MEMORY ? "no memory for the ranges of keys (see --memory)"
                                         : "a page of splitters is malformed");
    }
    free(choosing.chosen);
    return status ? status : tqi_comm_agree(job->comm, error);
}

/* The ranges and who owns them: each rank the same number, or, to gather, rank 0 all of them. Without an order a range is
 * a partition. Returns how many in a row belong to one rank. */
static uint32_t choose_owners(tqi_job *job, uint64_t bytes)
{
    tqi_spec *spec = &job->order_spec;

    *spec = job->spec;
    spec->shape = job->spec.result_shape;
    if (tqi_spec_orders(&job->spec)) {
        spec->own_partitions = ranges_per_rank(job, bytes);
        spec->partitions = spec->own_partitions * (uint32_t)job->comm->size;
        spec->first_partition = spec->own_partitions * (uint32_t)job->comm->rank;
    }
    if (job->description.output != TQ_OUTPUT_GATHER)
        return spec->own_partitions;
    spec->first_partition = 0;
    spec->own_partitions = job->comm->rank == 0 ? spec->partitions : 0;
    return spec->partitions;
}

/* The ranges for rows of this rank, whose pages have bytes, and the way there. into: where rows of ranges arrive. */
static tq_status start(tqi_job *job, uint64_t rows, uint64_t bytes, tqi_store *into, tq_error *error)
{
    tq_status status = count_rows(job, rows, &bytes, error);

    if (status)
        return status;
    uint32_t parts_per_rank = choose_owners(job, bytes);
    if (job->shares.routed > bytes / job->all_workers)
        job->shares.routed = bytes / job->all_workers; /* more would only be touched: it is what a worker has to route */
    bool many = job->total_rows > FEW_ROWS || bytes > FEW_BYTES;
    if (tqi_spec_orders(&job->spec) && many)
        status = make_splitters(job, rows, error);
    else if (tqi_splitters_init(&job->splitters, splitters_spec(job), NULL))
        status = tqi_fail_memory(error, 0, "the ranges of keys");
    if (status)
        return status;
    status = tqi_store_init(into, &job->order_spec, job->shares.store, job->description.tmpdir);
    if (!status)
        status = tqi_exchange_init(&job->exchange, job->comm, &job->order_spec, into, &job->round, parts_per_rank,
                                   job->description.round_bytes);
    return status ? tqi_fail_memory(error, 0, "ordering the rows") : TQ_OK;
}

tq_status tqi_order_start_early(tqi_job *job, tq_error *error)
{
    const tqi_sample_size *sampled = &job->sampled;
    double factor = sampled->records ? (double)job->store.records / (double)sampled->records : 0;

    tqi_job_end_exchange(job);
    return start(job, (uint64_t)(factor * (double)sampled->rows), (uint64_t)(factor * (double)sampled->bytes),
                 &job->results, error);
}

tq_status tqi_order_start_direct(tqi_job *job, uint64_t rows, uint64_t bytes, tq_error *error)
{
    return start(job, rows, bytes, &job->store, error);
}

tq_status tqi_order_start(tqi_job *job, tq_error *error)
{
    tq_status status = tqi_store_seal(&job->results, error);

    job->next_part = 0;
    if (!status)
        status = start(job, job->results.records, job->results.bytes, &job->store, error);
    return status;
}

void tqi_order_flush(tqi_job *job, tqi_router *router)
{
    tqi_run *run;
    tq_error error;

    tqi_error_clear(&error);
    if (tqi_router_take(router, &run))
        tqi_fail(&error, TQ_E_MEMORY, "no memory to order the rows (see --memory)");
    else if (run && job->error.status)
        tqi_run_free(&job->order_spec, run);
    else if (run)
        tqi_exchange_add(&job->exchange, run, &error);
    if (error.status)
        tqi_job_fail(job, &error);
}

void tqi_order_vote(const tqi_job *job, tqi_vote *vote)
{
    vote->wants_round =
        job->exchange.queued > 0 && (!vote->busy || job->exchange.queued >= job->description.round_bytes / 4);
    vote->busy |= job->exchange.queued > 0;
}

tqi_place *tqi_enter_order(tqi_job *job, int worker)
{
    if (job->spec.order != TQ_ORDER_USER)
        return NULL;
    tqi_place *place = tqi_watch_place(&job->watch, worker);
    tqi_place_enter(place, TQI_STAGE_ORDER, job->comm->rank, worker);
    return place;
}

void tqi_leave_order(tqi_place *place)
{
    if (place)
        tqi_place_leave(place);
}

/* The router of a worker, of which only one task at a time runs. */
static tqi_router *router_of(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_router *router = job->routers[worker];

    if (router)
        return router;
    router = calloc(1, sizeof *router);
    if (!router || tqi_router_init(router, &job->splitters, job->shares.routed, tqi_job_deliver, job)) {
        tqi_fail_memory(&work->error, sizeof *router, "the pages of ranges");
        free(router);
        return NULL;
    }
    job->routers[worker] = router;
    return router;
}

/* Rows on their way. Without an order they stay in their partition, in the order that they have. */
static void route_rows(tqi_work *work, tqi_router *router, tqi_rows *rows)
{
    tqi_job *job = work->job;
    uint32_t partition = job->spec.first_partition + work->part;
    tqi_run *run = NULL;
    tq_status status = TQ_OK;

    if (router)
        status = tqi_router_put(router, rows->entries, rows->n, &work->account);
    else if (rows->n > 0)
        status = tqi_run_build_one(&job->spec, &job->spec.result_shape, partition, rows->entries, rows->n,
                                   &work->account, &run);
    if (status)
        tqi_fail(&work->error, TQ_E_MEMORY, "no memory to order the rows (see --memory)");
    else if (run)
        tqi_job_deliver(job, run);
    tqi_rows_clear(rows);
}

/* A page at a time. */
static void route_part(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_rows *rows = tqi_scratch_rows(work, worker);
    tqi_router *router = tqi_spec_orders(&job->spec) ? router_of(work, worker) : NULL;
    tqi_place *place = tqi_enter_order(job, worker);
    tqi_page_buffer buffer = {0};

    for (size_t i = 0; rows && i < job->results.parts[work->part].n && !work->error.status; i++) {
        const uint8_t *page;

        if (atomic_load_explicit(&job->stop, memory_order_relaxed) ||
            tqi_store_page(&job->results, work->part, i, &buffer, &page, &work->error))
            break;
        tq_status status = tqi_rows_append_page(rows, &job->spec.result_shape, page, true);
        if (status == TQ_E_MEMORY)
            tqi_fail(&work->error, status, "no memory to order the rows (see --memory)");
        else if (status)
            tqi_fail(&work->error, status, "a page of rows is malformed");
        else
            route_rows(work, router, rows);
    }
    tqi_leave_order(place);
    tqi_store_drop(&job->results, work->part);
    tqi_page_buffer_free(&buffer);
}

static void routed(tqi_job *job, tqi_work *work)
{
    (void)job;
    (void)work;
}

bool tqi_route_step(tqi_job *job, tqi_vote *vote)
{
    bool moved = tqi_step_parts(job, vote, tqi_is_direct(job) ? tqi_direct_route_part : route_part, routed);

    if (!vote->busy)
        tqi_direct_flush_routers(job);
    moved |= tqi_job_take_runs(job);
    for (int i = 0; i < TQ_MAX_WORKERS && !vote->busy; i++)
        if (job->routers[i])
            tqi_order_flush(job, job->routers[i]);
    tqi_order_vote(job, vote);
    return moved;
}

void tqi_order_free(tqi_job *job)
{
    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (job->routers[i])
            tqi_router_free(job->routers[i]);
        free(job->routers[i]);
        job->routers[i] = NULL;
    }
    tqi_direct_free_routers(job);
    tqi_splitters_free(&job->splitters);
}

tq_status tqi_order_end(tqi_job *job, tq_error *error)
{
    tqi_order_free(job);
    if (!job->early)
        tqi_job_free_store(job, &job->results);
    job->final = job->early ? &job->results : &job->store;
    job->final_spec = &job->order_spec;
    return tqi_store_seal(job->final, error);
}
