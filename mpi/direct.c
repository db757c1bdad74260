/* Jobs whose records are rows already: what is mapped goes to its range, and a range is sorted when it is written.
 *
 * With TQ_ORDER_STABLE the ranges of keys are chosen before the input is mapped, from a sample of it, so that it goes there at
 * once.
 * The sample is mapped from short stretches at even distances over all of the input, a share of them by each rank. Where rank
 * 0 reads for everybody, a file is compressed, or the input is the rows of an earlier job, there is no input to look
 * into; and with TQ_ORDER_KEY the job has not agreed to have records mapped twice. Then the rows are kept on the rank that has
 * mapped them, and routed when all of them were seen (mpi/order.c). */
#include "mpi/job.h"

#include "common/account.h"
#include "common/error.h"
#include "node/codec.h"
#include "node/mapping.h"
#include <stdlib.h>

enum { SAMPLED_BYTES = 1 << 10, SAMPLE_GROWS = 4, TASKS_PER_WORKER = 2, PLACES_PER_RANGE = 8 };
enum { FEWEST_PLACES = 64, MOST_PLACES = 4096, SAMPLE_WINDOW = 8 << 10 };
/* So little input is not looked into: it is one range. */
static const uint64_t FEW_BYTES = 256 << 10, BYTES_PER_RANGE = 2 << 20;

bool tqi_is_direct(const tqi_job *job)
{
    return job->spec.direct;
}

/* The sampler of a worker: it outlives what fills it. */
tqi_sampler *tqi_direct_sampler(tqi_work *work, int worker)
{
    tqi_job *job = work->job;

    if (job->samplers[worker])
        return job->samplers[worker];
    job->samplers[worker] = calloc(1, sizeof(tqi_sampler));
    if (job->samplers[worker])
        tqi_sampler_init(job->samplers[worker], &job->sample_spec);
    else
        tqi_fail_memory(&work->error, sizeof(tqi_sampler), "a sample of the keys");
    return job->samplers[worker];
}

/* ---- Sampling the input ---- */

/* How many places of the input are looked at by all ranks. */
static uint64_t places(const tqi_job *job)
{
    uint64_t bytes = job->inputs.bytes, wanted = PLACES_PER_RANGE * (bytes / BYTES_PER_RANGE + 1);
    uint64_t by_memory =
        PLACES_PER_RANGE * (3 * bytes / (uint64_t)job->comm->size / job->range_bytes + 1) * (uint64_t)job->comm->size;

    wanted = wanted < by_memory ? by_memory : wanted;
    return wanted < FEWEST_PLACES ? FEWEST_PLACES : wanted > MOST_PLACES ? MOST_PLACES : wanted;
}

/* What maps samples: an emitter that keeps nothing but these, and a reader of small windows. */
static tqi_mapper *sampling_mapper(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_mapper *mapper = job->mappers[worker];
    tqi_sampler *sampler = tqi_direct_sampler(work, worker);

    if (mapper || !sampler)
        return sampler ? mapper : NULL;
    mapper = calloc(1, sizeof *mapper);
    if (!mapper) {
        tqi_fail_memory(&work->error, sizeof *mapper, "a mapper");
        return NULL;
    }
    tqi_reader_init(&mapper->reader, &job->budget, job->spec.record_bytes);
    mapper->reader.smallest = SAMPLE_WINDOW;
    mapper->reader.headed = tqi_headed_files(job);
    if (tqi_emitter_init(&mapper->emitter, &job->spec, worker, tqi_job_deliver, job, &job->stop, 0)) {
        work->error = mapper->emitter.error;
        free(mapper);
        return NULL;
    }
    sampler->step = 1;
    sampler->skip = 0;
    tqi_emitter_only_sample(&mapper->emitter, sampler);
    job->mappers[worker] = mapper;
    return mapper;
}

/* The file in which byte `at` of all files lies; *end: where the next place begins there, or the file ends. */
static const tqi_file *find_place(const tqi_inputs *inputs, uint64_t at, uint64_t next, uint64_t *begin, uint64_t *end)
{
    size_t low = 0, high = inputs->n;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (inputs->files[middle].first_byte <= at)
            low = middle;
        else
            high = middle;
    }
    const tqi_file *file = &inputs->files[low];
    *begin = at - file->first_byte;
    *end = next - file->first_byte < file->size ? next - file->first_byte : file->size;
    return file;
}

/* Whether a file is compressed, so that nobody can look into its middle. */
static bool is_compressed(tqi_work *work, tqi_mapper *mapper, const tqi_file *file)
{
    tq_slice head = {0};

    if (work->job->description.decompress != TQ_DECOMPRESS_AUTO || file->size == 0 || file == mapper->plain)
        return false;
    if (file->whole)
        return true;
    if (tqi_reader_head(&mapper->reader, file, file->size < TQI_HEAD_BYTES ? file->size : TQI_HEAD_BYTES, &head,
                        &work->error))
        return false;
    if (tqi_codec_recognize(head.data, head.size) != TQI_PLAIN)
        return true;
    mapper->plain = file;
    return false;
}

/* Map the first records that begin behind a place. */
static void sample_place(tqi_work *work, tqi_mapper *mapper, uint64_t place, uint64_t n)
{
    tqi_job *job = work->job;
    double step = (double)job->inputs.bytes / (double)n;
    uint64_t at = (uint64_t)(step * (double)place), next = (uint64_t)(step * (double)(place + 1)), begin, end;
    const tqi_file *file = find_place(&job->inputs, at, next, &begin, &end);
    tq_record chunk = {0};

    if (is_compressed(work, mapper, file))
        work->job->cannot_sample = true;
    if (work->job->cannot_sample || work->error.status)
        return;
    for (uint64_t bytes = SAMPLED_BYTES; begin < end && chunk.size == 0; bytes *= SAMPLE_GROWS) {
        uint64_t until = end - begin < bytes ? end : begin + bytes;

        if (tqi_reader_chunk(&mapper->reader, file, job->spec.records, begin, until, &chunk, &work->error))
            return;
        if (until == end)
            break;
    }
    chunk.file_number = (size_t)(file - job->inputs.files);
    chunk.files = job->inputs.n;
    int worker = mapper->emitter.worker;
    tqi_place *stands = tqi_watch_place(&job->watch, worker);
    tqi_place_enter(stands, TQI_STAGE_MAP, job->comm->rank, worker);
    if (chunk.size > 0 && tqi_map_chunk(&mapper->emitter, &chunk, stands))
        work->error = mapper->emitter.error;
    tqi_place_leave(stands);
    mapper->emitter.sampled.records += chunk.size;
}

/* Of the places of this rank, those of one task. */
static void sample_places(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_mapper *mapper = sampling_mapper(work, worker);
    uint64_t n = places(job), ranks = (uint64_t)job->comm->size;
    uint64_t first = (uint64_t)job->comm->rank + ranks * work->part, step = ranks * job->n_parts;

    for (uint64_t place = first; mapper && place < n && !work->error.status; place += step) {
        if (atomic_load_explicit(&job->stop, memory_order_relaxed))
            return;
        sample_place(work, mapper, place, n);
    }
}

static void sampled(tqi_job *job, tqi_work *work)
{
    (void)job;
    (void)work;
}

tq_status tqi_direct_start(tqi_job *job, tq_error *error)
{
    int workers = tq_executor_workers(job->executor);

    (void)error;
    job->sample_spec = tqi_direct_sample_spec(&job->spec);
    job->routes = job->spec.order == TQ_ORDER_STABLE && !job->shipped && !job->spec.map_row;
    job->next_part = 0;
    job->n_parts = job->routes && job->inputs.bytes > FEW_BYTES ? (uint32_t)(TASKS_PER_WORKER * (workers + 1)) : 0;
    return TQ_OK;
}

bool tqi_direct_sample_step(tqi_job *job, tqi_vote *vote)
{
    return tqi_step_parts(job, vote, sample_places, sampled);
}

tq_status tqi_direct_ready(tqi_job *job, tq_error *error)
{
    tqi_sample_size *all = &job->sampled;
    uint64_t numbers[4];

    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (!job->mappers[i])
            continue;
        all->records += job->mappers[i]->emitter.sampled.records; /* bytes of input */
        all->rows += job->mappers[i]->emitter.sampled.rows;
        all->bytes += job->mappers[i]->emitter.sampled.bytes;
    }
    tqi_map_end(job);
    if (!job->routes)
        return TQ_OK;
    numbers[0] = all->records, numbers[1] = all->rows, numbers[2] = all->bytes;
    numbers[3] = job->cannot_sample;
    tq_status status = tqi_comm_sum(job->comm, numbers, 4, error);
    if (status)
        return status;
    job->routes = numbers[3] == 0;
    if (!job->routes) {
        tqi_direct_free_samplers(job); /* what was seen is not all */
        return TQ_OK;
    }
    /* Each rank is taken to map as much as any other. */
    double factor = numbers[0] ? (double)job->inputs.bytes / (double)numbers[0] / job->comm->size : 0;
    tqi_share_memory(job);
    return tqi_order_start_direct(job, (uint64_t)(factor * (double)numbers[1]), (uint64_t)(factor * (double)numbers[2]),
                                  error);
}

/* ---- Mapping ---- */

tq_status tqi_direct_begin_worker(tqi_work *work, tqi_mapper *mapper)
{
    tqi_job *job = work->job;
    tqi_sampler *sampler = NULL;
    bool routes = job->routes;

    if (!routes && !(sampler = tqi_direct_sampler(work, mapper->emitter.worker)))
        return work->error.status;
    if (tqi_emitter_go_direct(&mapper->emitter, routes ? &job->order_spec : &job->spec, routes ? &job->splitters : NULL,
                              job->shares.routed, sampler))
        work->error = mapper->emitter.error;
    return work->error.status;
}

/* Nothing is reduced. Rows that were not routed yet are what is routed now. */
tq_status tqi_direct_pass(tqi_job *job, tq_error *error)
{
    if (job->routes)
        return TQ_OK;
    (void)error;
    job->rounds += job->exchange.rounds;
    tqi_exchange_free(&job->exchange);
    job->results = job->store;
    job->store = (tqi_store){.spill = -1};
    job->n_parts = job->spec.own_partitions;
    tqi_pool_trim(&job->pool); /* what comes now needs other memory */
    return TQ_OK;
}

void tqi_direct_free_samplers(tqi_job *job)
{
    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (job->samplers[i])
            tqi_sampler_free(job->samplers[i]);
        free(job->samplers[i]);
        job->samplers[i] = NULL;
    }
}

/* ---- Routing what was kept ---- */

static tqi_direct *router_of(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_direct *direct = job->directs[worker];

    if (direct)
        return direct;
    direct = calloc(1, sizeof *direct);
    if (!direct ||
        tqi_direct_init(direct, &job->order_spec, &job->splitters, job->shares.routed, tqi_job_deliver, job)) {
        tqi_fail_memory(&work->error, sizeof *direct, "the pages of ranges");
        free(direct);
        return NULL;
    }
    job->directs[worker] = direct;
    return direct;
}

static void route_records(tqi_work *work, tqi_direct *direct, const uint8_t *at, size_t bytes)
{
    const tqi_spec *spec = &work->job->order_spec;
    const uint8_t *end = at + bytes;
    tq_slice key, value;
    int64_t number = 0;

    while (tqi_page_next(&spec->result_shape, &at, end, &key, &value, &number) && !work->error.status) {
        tqi_key loaded = key.size > TQI_KEY_INLINE ? tqi_key_borrow_long(key.data, key.size)
                                                   : tqi_key_load_padded(key.data, key.size);
        tq_account pair = {0};

        tqi_account_pair(spec, tqi_key_hash(&loaded), number, value, &pair);
        if (tqi_direct_put(direct, &loaded, number, value, &pair))
            tqi_fail(&work->error, TQ_E_MEMORY, "no memory to order the rows (see --memory)");
    }
    if (at != end && !work->error.status)
        tqi_fail(&work->error, TQ_E_ACCOUNT, "a page of rows is malformed");
}

void tqi_direct_route_part(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_direct *direct = router_of(work, worker);
    tqi_page_buffer buffer = {0};

    for (size_t i = 0; direct && i < job->results.parts[work->part].n && !work->error.status; i++) {
        const uint8_t *page, *records;
        tqi_origin origin;
        size_t bytes;

        if (atomic_load_explicit(&job->stop, memory_order_relaxed) ||
            tqi_store_page(&job->results, work->part, i, &buffer, &page, &work->error))
            break;
        const uint8_t *at = page + TQI_PAGE_HEADER, *end = at + tqi_page_read_header(page).payload;
        while (!work->error.status && tqi_direct_next(&at, end, &origin, &records, &bytes)) {
            tqi_direct_begin(direct, origin);
            route_records(work, direct, records, bytes);
        }
    }
    tqi_store_drop(&job->results, work->part);
    tqi_page_buffer_free(&buffer);
}

/* A tqi_deliver_fn for the engine, which must not wait for itself. */
static void add_at_once(void *owner, tqi_run *run)
{
    tqi_job *job = owner;
    tq_error error;

    tqi_error_clear(&error);
    if (job->error.status)
        tqi_run_free(&job->order_spec, run);
    else if (tqi_exchange_add(&job->exchange, run, &error))
        tqi_job_fail(job, &error);
}

/* Hand on what is in the open pages, behind those that came before. No task runs. */
void tqi_direct_flush_routers(tqi_job *job)
{
    tqi_job_take_runs(job);
    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (!job->directs[i])
            continue;
        job->directs[i]->deliver = add_at_once;
        tqi_direct_flush(job->directs[i]);
        tqi_account_add(&job->left_out, &job->directs[i]->left_out);
        job->directs[i]->left_out = (tq_account){0};
    }
}

void tqi_direct_free_routers(tqi_job *job)
{
    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (job->directs[i])
            tqi_direct_free(job->directs[i]);
        free(job->directs[i]);
        job->directs[i] = NULL;
    }
}

/* ---- Writing ---- */

/* A range may be a few times as large as was planned; and rows of one key and one piece of input cannot be parted. */
static uint64_t planned_bytes(const tqi_job *job)
{
    uint64_t range = tqi_range_bytes(job);

    return 4 * (range > TQI_PIECE_BYTES ? range : TQI_PIECE_BYTES);
}

static tqi_sorting *sorting_of(tqi_work *work, int worker)
{
    tqi_job *job = work->job;

    if (job->sortings[worker])
        return job->sortings[worker];
    job->sortings[worker] = calloc(1, sizeof(tqi_sorting));
    if (job->sortings[worker])
        tqi_sorting_init(job->sortings[worker], &job->budget, planned_bytes(job));
    else
        tqi_fail_memory(&work->error, sizeof(tqi_sorting), "rows");
    return job->sortings[worker];
}

void tqi_direct_free_sortings(tqi_job *job)
{
    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (job->sortings[i])
            tqi_sorting_free(job->sortings[i]);
        free(job->sortings[i]);
        job->sortings[i] = NULL;
    }
}

void tqi_direct_unload(tqi_job *job, int worker)
{
    tqi_sorting_free(job->sortings[worker]);
    tqi_sorting_init(job->sortings[worker], &job->budget, planned_bytes(job));
}

tqi_sorting *tqi_direct_load(tqi_work *work, int worker, size_t kept, bool *too_large)
{
    tqi_job *job = work->job;
    tqi_sorting *sorting = sorting_of(work, worker);

    *too_large = false;
    if (!sorting)
        return NULL;
    if (tqi_sorting_load(sorting, job->final_spec, job->final, work->part, &work->loaded, &work->error)) {
        *too_large = work->error.status == TQ_E_MEMORY;
        tqi_direct_unload(job, worker);
        return NULL;
    }
    tqi_sorting_sort(sorting);
    if (job->spec.unique)
        tqi_sorting_unique(sorting, &work->dropped);
    else
        tqi_sorting_limit(sorting, kept, &work->dropped);
    return sorting;
}

tq_status tqi_direct_keep(const tqi_sorting *sorting, tqi_rows *rows)
{
    tq_status status = TQ_OK;
    tq_slice key, value;
    int64_t number = 0;

    for (size_t i = 0; i < sorting->n && !status; i++) {
        tqi_sorting_row(sorting, i, &key, &number, &value);
        status = tqi_rows_append(rows, &sorting->spec->result_shape, key, number, value);
    }
    return status;
}
