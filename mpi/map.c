/* The map phase on one rank: shares of splits become pieces, pieces become tasks, the runs that the tasks deliver go
 * into the exchange; at the end the mappers' tables are flushed. */
#include "mpi/job.h"

#include "common/account.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/fault.h"
#include "node/mapping.h"
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE_ALIGNMENT = 4096,
    PIECES_OF_ARCHIVE = 2, /* an archive has a chunk that is mapped, and the beginning of the next */
    ROWS_PER_PIECE = 4096, /* of an earlier job, at most */
    PIECES_PER_WORKER = 16 /* of these, at least, so that workers end together */
};
/* As long as rank 0 may rest before it answers, and more than that. */
static const double AHEAD_S = 0.01;

/* For a reader: what it compares headers with. */
const tqi_inputs *tqi_headed_files(const tqi_job *job)
{
    return job->inputs.heading.line || job->inputs.own_headers ? &job->inputs : NULL;
}

/* The mapper's state of a worker. Only one task at a time runs with one index, so nobody else creates it. */
static tqi_mapper *mapper_of(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    tqi_mapper *mapper = job->mappers[worker];

    if (mapper)
        return mapper;
    mapper = calloc(1, sizeof *mapper);
    if (!mapper) {
        tqi_fail_memory(&work->error, sizeof *mapper, "a mapper");
        return NULL;
    }
    tqi_reader_init(&mapper->reader, &job->budget, job->spec.record_bytes);
    mapper->reader.headed = tqi_headed_files(job);
    if (tqi_emitter_init(&mapper->emitter, &job->spec, worker, tqi_job_deliver, job, &job->stop, job->shares.early)) {
        work->error = mapper->emitter.error;
        free(mapper);
        return NULL;
    }
    if (tqi_is_direct(job) && tqi_direct_begin_worker(work, mapper)) {
        tqi_emitter_free(&mapper->emitter);
        free(mapper);
        return NULL;
    }
    if (job->spec.dense && !(mapper->emitter.dense = tqi_dense_of_worker(job))) {
        tqi_fail_memory(&work->error, job->spec.dense * sizeof(int64_t), "a worker's dense numbers");
        tqi_emitter_free(&mapper->emitter);
        free(mapper);
        return NULL;
    }
    job->mappers[worker] = mapper;
    return mapper;
}

static void sleep_for(double seconds)
{
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&pause, NULL);
}

static void inject_faults(int rank)
{
    if (tqi_fault("slow-rank", rank))
        sleep_for(0.05);
    if (tqi_fault("kill-map", rank))
        raise(SIGKILL);
}

/* A file is at its beginning: is it compressed? */
static tq_status look_at_file(tqi_work *work, tqi_reader *reader)
{
    tqi_job *job = work->job;
    size_t number = (size_t)(work->file - job->inputs.files);
    tqi_archive_options options = {.records = job->spec.records,
                                   .record_bytes = job->spec.record_bytes,
                                   .piece = job->shares.piece / PIECES_OF_ARCHIVE,
                                   .budget = &job->budget,
                                   .decoders = &job->decoders,
                                   .stop = &job->stop,
                                   .headed = {job->inputs.has_header ? &job->inputs : NULL, &job->inputs.heading, false}};
    tq_slice head;
    uint64_t end = work->end < job->shares.piece ? work->end : job->shares.piece; /* a split may be more */
    tq_status status = tqi_reader_head(reader, work->file, end, &head, &work->error);

    if (status)
        return status;
    bool compressed = tqi_codec_recognize(head.data, head.size) != TQI_PLAIN;
    if (tqi_inputs_splits_of(&job->inputs, work->file) > 1 && compressed != work->file->whole)
        return tqi_fail_file(&work->error, TQ_E_INPUT, work->file->path, "changed while the run began");
    return compressed ? tqi_archive_open(work->file, number, &options, &work->archive, &work->error) : TQ_OK;
}

/* The next text of an archive becomes the work's chunk. */
static tq_status read_archive(tqi_work *work)
{
    work->archive_before = tqi_archive_position(work->archive);
    tq_status status = tqi_archive_next(work->archive, work->insist, &work->chunk, &work->error);
    work->archive_over = !status && work->archive->chunker.over;
    return status;
}

/* The records of a chunk that was cut off a stream. */
static tq_record records_of(const tqi_job *job, const tqi_chunk *chunk)
{
    tq_record records = {.data = chunk->data + chunk->header,
                         .size = chunk->size - chunk->header,
                         .file = job->inputs.files[chunk->file].path,
                         .offset = chunk->offset};

    if (chunk->header)
        records.header = tq_line_at((tq_slice){chunk->data, chunk->header});
    return records;
}

/* What there is to map, perhaps nothing; of a range of a file, nothing yet if the mapper pulls it. */
static tq_status read_chunk(tqi_work *work, tqi_reader *reader, tq_record *chunk)
{
    tqi_job *job = work->job;
    tq_status status = TQ_OK;

    *chunk = (tq_record){0};
    if (work->file && work->begin == 0 && job->description.decompress == TQ_DECOMPRESS_AUTO)
        status = look_at_file(work, reader);
    if (!status && work->archive)
        status = read_archive(work);
    else if (!status && work->file && !job->spec.map_split)
        status = tqi_reader_chunk(reader, work->file, job->spec.records, work->begin, work->end, chunk, &work->error);
    if (!status && work->chunk)
        *chunk = records_of(job, work->chunk);
    if (!status && (work->chunk || work->file))
        chunk->file_number = work->chunk ? work->chunk->file : (size_t)(work->file - job->inputs.files);
    chunk->files = job->inputs.n;
    return status;
}

/* chunk: all of the split if it is no range of a file. */
static void map_split(tqi_work *work, tqi_mapper *mapper, const tq_record *chunk, tqi_place *place)
{
    bool whole = work->chunk != NULL;
    tq_split split = {.emitter = &mapper->emitter,
                      .place = place,
                      .reader = &mapper->reader,
                      .file = whole ? NULL : work->file,
                      .chunk = *chunk,
                      .begin = whole ? chunk->offset : work->begin,
                      .end = whole ? chunk->offset + chunk->size : work->end,
                      .most = work->job->shares.piece,
                      .progress = whole ? NULL : &work->pulled};

    if (!whole)
        split.chunk.file = work->file->path;
    if (tqi_map_split(&split))
        work->error = mapper->emitter.error;
}

/* Whether a mapper of chunks is called. Each header is shown to one, be it without records. */
static bool has_something(const tqi_work *work, const tq_record *chunk)
{
    bool begins = work->chunk ? work->chunk->header && !work->chunk->repeated : work->begin == 0;

    return chunk->size > 0 || (chunk->header.data && begins);
}

static void read_and_map(tqi_work *work, tqi_mapper *mapper)
{
    tqi_job *job = work->job;
    uint64_t before = mapper->emitter.emitted.records;
    int worker = mapper->emitter.worker;
    tq_record chunk;

    if (read_chunk(work, &mapper->reader, &chunk))
        return;
    bool pulls = job->spec.map_split && (work->chunk || !work->archive);
    tqi_place *place = tqi_watch_place(&job->watch, worker);
    tqi_place_enter(place, TQI_STAGE_MAP, job->comm->rank, worker);
    if (pulls)
        map_split(work, mapper, &chunk, place);
    else if (has_something(work, &chunk) && tqi_map_chunk(&mapper->emitter, &chunk, place))
        work->error = mapper->emitter.error;
    tqi_place_leave(place);
    work->records = mapper->emitter.emitted.records - before;
}

static void map_piece(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    double begin_s = tqi_now_s();

    if (atomic_load_explicit(&job->stop, memory_order_relaxed))
        return;
    inject_faults(job->comm->rank);
    tqi_mapper *mapper = mapper_of(work, worker);
    if (mapper && job->spec.map_row)
        tqi_chain_map(work, mapper);
    else if (mapper)
        read_and_map(work, mapper);
    if (tqi_fault("slow-rank-10x", job->comm->rank))
        sleep_for(9 * (tqi_now_s() - begin_s));
    work->map_s = tqi_now_s() - begin_s;
}

static void flush_mapper(tqi_work *work, int worker)
{
    tqi_place *place = tqi_watch_place(&work->job->watch, worker); /* the combiner may be called */

    tqi_place_enter(place, TQI_STAGE_MAP, work->job->comm->rank, worker);
    if (tqi_emitter_finish(&work->mapper->emitter))
        work->error = work->mapper->emitter.error;
    tqi_place_leave(place);
}

/* ---- Archives begun ---- */

static void append_archive(tqi_mapping *mapping, tqi_archive *archive)
{
    archive->next = NULL;
    *mapping->archives_end = archive;
    mapping->archives_end = &archive->next;
}

static tqi_archive *take_archive(tqi_mapping *mapping)
{
    tqi_archive *archive = mapping->archives;

    mapping->archives = archive->next;
    if (!mapping->archives)
        mapping->archives_end = &mapping->archives;
    return archive;
}

static void let_waiting_try(tqi_mapping *mapping)
{
    while (mapping->waiting) {
        tqi_archive *archive = mapping->waiting;

        mapping->waiting = archive->next;
        append_archive(mapping, archive);
    }
}

/* The splits of a file that are behind byte position. */
static uint64_t splits_before(const tqi_inputs *inputs, const tqi_file *file, uint64_t position)
{
    return position == file->size ? tqi_inputs_splits_of(inputs, file) : position / inputs->split_bytes;
}

/* A piece of an archive is mapped. The end counts as done when all of it is: so a split of it is still left before. */
static void count_archive(tqi_job *job, tqi_work *work)
{
    const tqi_file *file = work->archive->file;
    uint64_t position = tqi_archive_position(work->archive), before = work->archive_before;
    uint64_t done = work->archive_over ? file->size : position - (position == file->size);

    before -= before == file->size;
    job->mapping.bytes += done - before;
    work->splits = splits_before(&job->inputs, file, done) - splits_before(&job->inputs, file, before);
}

static void keep_archive(tqi_job *job, tqi_work *work)
{
    tqi_mapping *mapping = &job->mapping;
    tqi_archive *archive = work->archive;

    mapping->n_archives += work->file != NULL; /* found by this work */
    if (work->error.status)
        return;
    count_archive(job, work);
    work->archive = NULL;
    if (work->archive_over) {
        tqi_archive_close(archive);
        mapping->n_archives--;
        let_waiting_try(mapping);
    } else if (archive->waits) {
        archive->next = mapping->waiting;
        mapping->waiting = archive;
    } else {
        append_archive(mapping, archive);
    }
}

static void close_archives(tqi_mapping *mapping)
{
    let_waiting_try(mapping);
    while (mapping->archives)
        tqi_archive_close(take_archive(mapping));
}

static void done(tqi_job *job, tqi_work *work)
{
    tqi_phase_count *map = &job->counts.phase[TQ_PHASE_MAP];
    tqi_mapping *mapping = &job->mapping;

    if (work->mapper)
        return;
    if (work->archive)
        keep_archive(job, work);
    else
        mapping->bytes += work->chunk ? tqi_chunk_bytes(work->chunk) : work->bytes;
    /* The mean of some of the newest pieces. */
    mapping->piece_s = mapping->piece_s > 0 ? 0.75 * mapping->piece_s + 0.25 * work->map_s : work->map_s;
    map->done += work->splits;
    map->records += work->records;
}

tq_status tqi_map_start(tqi_job *job, tq_error *error)
{
    tqi_mapping *mapping = &job->mapping;
    const tq_job *asked = &job->description;

    *mapping = (tqi_mapping){.share = job->first_share, .asking = !job->spec.map_row, .holds = job->spec.dense > 0};
    mapping->archives_end = &mapping->archives;
    mapping->dense_rows = mapping->holds && job->spec.dense_rows && job->comm->rank == 0;
    /* How long a piece of a file takes can be foreseen, more or less. What is fed may take any time: no chunk waits here
     * for another until it is seen that they are short. */
    if (asked->feed)
        mapping->piece_s = AHEAD_S;
    job->counts.phase[TQ_PHASE_MAP].total = job->first_share.count;
    tqi_share_memory(job);
    tqi_pool_init(&job->pool, &job->budget, job->shares.block, job->shares.slab);
    job->pool_open = true;
    job->spec.pool = job->order_spec.pool = &job->pool;
    if (job->comm->rank == 0 && job->shipped) {
        tqi_feeder_options options = {.records = job->spec.records,
                                      .record_bytes = job->spec.record_bytes,
                                      .budget = &job->budget,
                                      .decoders = &job->decoders,
                                      .chunk = job->shares.chunk,
                                      .as_they_are = asked->decompress == TQ_DECOMPRESS_NONE,
                                      .threaded = tq_executor_workers(job->executor) > 0};
        tq_status status = tqi_feeder_start(&job->inputs, &options, tqi_job_wake, job, &job->feeder, error);

        if (status)
            return status;
        job->control.feeder = job->feeder;
        if (asked->feed_chunks)
            tqi_hub_set_total(job->hub, TQ_PHASE_MAP, asked->feed_chunks, 0);
    } else if (job->comm->rank == 0) {
        /* What rows take in memory is no measure for the bytes of their keys and values. */
        tqi_hub_set_total(job->hub, TQ_PHASE_MAP, job->inputs.splits, job->spec.map_row ? 0 : job->inputs.bytes);
    }
    if (tqi_is_direct(job) && job->routes)
        return TQ_OK; /* the ranges have their store and exchange */
    tq_status status = tqi_store_init(&job->store, &job->spec, job->shares.store, asked->tmpdir);
    if (!status)
        status = tqi_exchange_init(&job->exchange, job->comm, &job->spec, &job->store, &job->round,
                                   job->spec.own_partitions, asked->round_bytes);
    return status ? tqi_fail_memory(error, 0, "the shuffle") : tqi_dense_start(job, error);
}

/* Pieces begin at offsets that are aligned like those of splits, and the last one of a split is no small rest. */
static uint64_t end_of_piece(uint64_t begin, uint64_t end, uint64_t most)
{
    uint64_t left = end - begin, pieces = left / most + (left % most != 0);
    uint64_t piece = (left / pieces + PIECE_ALIGNMENT - 1) / PIECE_ALIGNMENT * PIECE_ALIGNMENT;

    return pieces == 1 || piece >= left ? end : begin + (piece < most ? piece : most);
}

static void start_piece(tqi_job *job)
{
    tqi_mapping *mapping = &job->mapping;
    tqi_work *work = tqi_work_new(job, map_piece);
    bool whole = job->spec.map_split != NULL;
    uint64_t begin, end;

    if (!work)
        return;
    size_t file = tqi_inputs_locate(&job->inputs, mapping->share.first, &begin, &end);
    work->file = &job->inputs.files[file];
    work->begin = begin + mapping->offset;
    work->end = whole ? end : end_of_piece(work->begin, end, job->shares.piece);
    mapping->offset = work->end - begin;
    work->bytes = work->end - work->begin;
    work->splits = work->end == end;
    if (work->file->whole) { /* what this first piece finds out is how to go on */
        mapping->offset = 0;
        mapping->share.first += tqi_inputs_splits_of(&job->inputs, work->file);
        mapping->share.count -= tqi_inputs_splits_of(&job->inputs, work->file);
    } else if (work->splits) {
        mapping->offset = 0;
        mapping->share.first++;
        mapping->share.count--;
    }
    tqi_work_start(work);
}

static void start_archive(tqi_job *job, bool insist)
{
    tqi_work *work = tqi_work_new(job, map_piece);

    if (!work)
        return;
    work->archive = take_archive(&job->mapping);
    work->insist = insist;
    tqi_work_start(work);
}

static void start_chunk(tqi_job *job)
{
    tqi_work *work = tqi_work_new(job, map_piece);

    if (!work)
        return;
    work->chunk = job->mapping.chunk;
    work->splits = 1;
    job->mapping.chunk = NULL;
    tqi_work_start(work);
}

static uint64_t workers_of(const tqi_job *job)
{
    int workers = tq_executor_workers(job->executor);

    return workers ? (uint64_t)workers : 1;
}

/* Some of the rows of the earlier job. */
static void start_rows(tqi_job *job)
{
    tqi_range *share = &job->mapping.share;
    uint64_t n = job->first_share.count / (PIECES_PER_WORKER * workers_of(job)) + 1;
    tqi_work *work = tqi_work_new(job, map_piece);

    if (!work)
        return;
    n = n < ROWS_PER_PIECE ? n : ROWS_PER_PIECE;
    n = n < share->count ? n : share->count;
    work->begin = share->first;
    work->end = work->begin + n;
    work->splits = n;
    share->first += n;
    share->count -= n;
    tqi_work_start(work);
}

/* How many pieces should wait in the queue of the pool behind those that are being mapped: as many as hide what it takes to
 * hear of a piece's end and to get more from rank 0. Where a piece takes longer than that none waits: the rank is slow, or
 * the mapper is, and what waits here another rank could map. */
static uint64_t pieces_ahead(const tqi_job *job)
{
    uint64_t most = workers_of(job) + 2;
    double hidden = AHEAD_S * (double)workers_of(job);

    return job->mapping.piece_s * (double)most < hidden ? most : (uint64_t)(hidden / job->mapping.piece_s);
}

/* Pieces of input that this rank has, not counting that a split may be several: queued, or not. */
static uint64_t pieces_held(const tqi_job *job)
{
    return job->mapping.share.count + (uint64_t)job->works_used + (job->mapping.chunk != NULL);
}

/* Use an answer of rank 0 that has come, and ask again when little is left. */
static bool get_more(tqi_job *job)
{
    tqi_mapping *mapping = &job->mapping;
    tqi_phase_count *map = &job->counts.phase[TQ_PHASE_MAP];
    tqi_share share;
    bool got = false;

    if (mapping->share.count == 0 && !mapping->chunk) {
        tqi_chunk *chunk;

        tqi_control_take(&job->control, &got, &share, &chunk);
        if (got && share.kind == TQI_SHARE_OVER)
            mapping->asking = false;
        if (got && share.kind == TQI_SHARE_RANGE)
            mapping->share = share.range, map->total += share.range.count;
        if (got && share.kind == TQI_SHARE_CHUNK)
            mapping->chunk = chunk, map->total++, map->bytes_total += tqi_chunk_bytes(chunk);
    }
    if (mapping->asking && mapping->n_archives < workers_of(job) &&
        pieces_held(job) < workers_of(job) + pieces_ahead(job)) {
        tq_error error;

        tqi_error_clear(&error);
        if (tqi_control_ask(&job->control, &error))
            tqi_job_fail(job, &error);
    }
    return got;
}

static bool may_start(const tqi_job *job)
{
    bool inline_engine = tq_executor_workers(job->executor) == 0;
    uint64_t most = inline_engine ? 1 : workers_of(job) + pieces_ahead(job);

    return (uint64_t)job->works_used < most && !job->error.status && job->exchange.queued <= job->shares.queue;
}

/* If all that are begun wait for memory, and no work is under way that could give some back, the first of them insists. */
static void go_on_with_archive(tqi_job *job)
{
    tqi_mapping *mapping = &job->mapping;
    bool insist = !mapping->archives;

    if (insist)
        let_waiting_try(mapping);
    start_archive(job, insist);
}

static bool dispatch(tqi_job *job)
{
    tqi_mapping *mapping = &job->mapping;
    bool started = false;

    while (may_start(job)) {
        /* First what is begun: it cannot be shared, so it takes longest. And each archive has memory: more of them than there
         * are workers are of no use. */
        if (mapping->archives || (mapping->waiting && job->works_used == 0))
            go_on_with_archive(job);
        else if (mapping->n_archives >= workers_of(job))
            break;
        else if (mapping->chunk)
            start_chunk(job);
        else if (mapping->share.count > 0)
            job->spec.map_row ? start_rows(job) : start_piece(job);
        else
            break;
        started = true;
        if (tq_executor_workers(job->executor) == 0)
            break; /* inline: look after the other ranks between two pieces */
    }
    return started;
}

static void make_dense_rows(tqi_work *work, int worker)
{
    tqi_mapper *mapper = mapper_of(work, worker);
    tqi_place *place = tqi_watch_place(&work->job->watch, worker);

    if (!mapper)
        return;
    tqi_dense_free(work->job, &mapper->emitter.dense); /* of a worker that has mapped nothing */
    uint64_t before = mapper->emitter.emitted.records;
    tqi_place_enter(place, TQI_STAGE_MAP, work->job->comm->rank, worker);
    if (tqi_map_dense(&mapper->emitter, work->job->dense))
        work->error = mapper->emitter.error;
    tqi_place_leave(place);
    work->records = mapper->emitter.emitted.records - before;
}

/* Rank 0, when the dense result is whole. */
static bool start_dense_rows(tqi_job *job)
{
    tqi_work *work = tqi_work_new(job, make_dense_rows);

    job->mapping.dense_rows = false;
    if (work)
        tqi_work_start(work);
    return true;
}

/* Everything is mapped: send what is left in the tables on its way. */
static bool flush_all(tqi_job *job)
{
    job->mapping.flushing = true;
    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        if (!job->mappers[i])
            continue;
        tqi_work *work = tqi_work_new(job, flush_mapper);
        if (!work)
            return true;
        work->mapper = job->mappers[i];
        tqi_work_start(work);
    }
    return true;
}

static void count_shuffle(tqi_job *job)
{
    tqi_phase_count *shuffle = &job->counts.phase[TQ_PHASE_SHUFFLE];

    shuffle->done = shuffle->bytes = job->store.bytes;
    shuffle->records = job->store.records;
    /* What is still here is known to be on its way; what others have for this rank is not, and is theirs to tell. */
    shuffle->total = shuffle->bytes_total = job->store.bytes + job->exchange.queued;
}

/* A split that is pulled may take long: what is read of it counts already. */
static void count_bytes(tqi_job *job)
{
    uint64_t bytes = job->mapping.bytes;

    for (int i = 0; i < job->n_works && job->spec.map_split; i++)
        if (job->works[i]->used)
            bytes += atomic_load_explicit(&job->works[i]->pulled, memory_order_relaxed);
    job->counts.phase[TQ_PHASE_MAP].bytes = bytes;
}

bool tqi_map_step(tqi_job *job, tqi_vote *vote)
{
    tqi_mapping *mapping = &job->mapping;
    bool moved = tqi_work_reap(job, done);

    moved |= tqi_job_take_runs(job);
    moved |= get_more(job);
    moved |= dispatch(job);
    bool mapped = !mapping->asking && mapping->share.count == 0 && !mapping->chunk && mapping->n_archives == 0 &&
                  job->works_used == 0;
    if (mapped && !mapping->holds && !mapping->flushing && !job->error.status)
        moved |= mapping->dense_rows ? start_dense_rows(job) : flush_all(job);
    count_bytes(job);
    count_shuffle(job);
    /* Tasks that ended while we looked may have delivered runs after we took them. */
    mapped = mapped && (mapping->flushing || mapping->holds) && job->works_used == 0 && !tqi_job_take_runs(job);
    vote->busy = !mapped || job->exchange.queued > 0;
    vote->wants_round =
        job->exchange.queued > 0 && (mapped || job->exchange.queued >= job->description.round_bytes / 4);
    return moved;
}

void tqi_map_end(tqi_job *job)
{
    for (int i = 0; i < TQ_MAX_WORKERS; i++) {
        tqi_mapper *mapper = job->mappers[i];

        if (!mapper)
            continue;
        tqi_counters_add(job, mapper->emitter.counts);
        tqi_bad_merge(&job->bad, &mapper->emitter.bad);
        tqi_account_add(&job->emitted, &mapper->emitter.emitted);
        tqi_account_add(&job->flushed, &mapper->emitter.flushed);
        tqi_account_add(&job->left_out, &mapper->emitter.direct.left_out);
        job->merged_early += mapper->emitter.merged_early + mapper->emitter.table.merged;
        job->not_tried += mapper->emitter.trial.passed;
        job->merged_mapping += tqi_emitter_merged(&mapper->emitter);
        tqi_dense_free(job, &mapper->emitter.dense);
        tqi_emitter_free(&mapper->emitter);
        tqi_reader_free(&mapper->reader);
        free(mapper);
        job->mappers[i] = NULL;
    }
    close_archives(&job->mapping);
    tqi_chunk_free(job->mapping.chunk);
    job->mapping.chunk = NULL;
    tqi_feeder_stop(job->feeder);
    job->feeder = job->control.feeder = NULL;
}
