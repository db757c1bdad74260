/* The plan of a job: rank 0 finds the inputs and chooses what is left to choose, everybody gets the same table, checks
 * that it was given the same job, and looks whether it can read the files for itself. */
#include "mpi/job.h"

#include "common/error.h"
#include "node/header.h"
#include <stdlib.h>
#include <string.h>

/* Partitions: so many that one fits a cache when it is reduced, and that each rank has some to balance with. A small
 * input needs few; how much a stream holds is not known. */
enum { MANY_PARTITIONS = 512, STREAM_PARTITIONS = 256, FEWEST_PER_RANK = 4, MOST_PARTITIONS = 16384 };
static const uint64_t BYTES_PER_PARTITION = 64 << 20, SMALL_BYTES_PER_PARTITION = 256 << 10;
/* A call of a reducer that pulls its keys is worth beginning for so much; what does not fit takes several. */
static const uint64_t BYTES_PER_CALL = 8 << 20;
enum { STREAM_CALLS = 32, CALLS_PER_WORKER = 4 };
/* Of a job that maps whole splits: so many a worker, so that the last ones are short beside the whole. */
enum { WHOLE_SPLITS_PER_WORKER = 4, SPLIT_ALIGNMENT = 4096 };
static const uint64_t LEAST_WHOLE_SPLIT = 1 << 20;

/* What must be the same on all ranks, travelling as it is, with the packed inputs behind it. */
typedef struct plan_header {
    uint64_t fingerprint;
    uint64_t parts_per_rank;
    uint64_t round_bytes;
    uint64_t workers;
    uint64_t range_bytes;
} plan_header;

/* A hash of those parts of the description which must not differ between ranks. source: the number of the earlier job,
 * or 0. */
static uint64_t fingerprint(const tq_job *job, uint64_t source)
{
    uint64_t parts[] = {job->records,        job->value_type,  job->value_bytes, job->combine,
                        job->reduce != NULL, job->result_type, job->order,       job->limit,
                        job->output,         job->format,      job->raw_text,    job->map_chunk != NULL,
                        job->decompress,     job->record_bytes, job->unique,     job->row_text,
                        job->feed != NULL,   job->reduce_keys != NULL, job->n_counters, job->dense,
                        job->dense_rows != NULL, job->map_split != NULL, job->header, job->skip_bad,
                        job->map_row != NULL, source, job->compare != NULL, job->partition != NULL,
                        job->own_headers,    job->side_path != NULL, job->group != NULL,
                        job->values_order,   job->n_outputs};

    return tqi_hash_long(parts, sizeof parts);
}

static uint64_t parts_per_rank(const tqi_inputs *inputs, uint64_t ranks, uint64_t workers, const tq_job *asked)
{
    bool pulls = asked->reduce_keys != NULL;
    uint64_t text = tqi_inputs_text(inputs);
    uint64_t wanted = text / BYTES_PER_PARTITION, small = text / SMALL_BYTES_PER_PARTITION;

    if (wanted < MANY_PARTITIONS)
        wanted = small > MANY_PARTITIONS ? MANY_PARTITIONS : small;
    if (pulls)
        wanted = text / BYTES_PER_CALL > CALLS_PER_WORKER * workers ? text / BYTES_PER_CALL : CALLS_PER_WORKER * workers;
    uint64_t of_streams = pulls && !asked->feed ? STREAM_CALLS : STREAM_PARTITIONS;
    if (inputs->streams && wanted < of_streams)
        wanted = of_streams;
    if (wanted > MOST_PARTITIONS)
        wanted = MOST_PARTITIONS;
    uint64_t each = (wanted + ranks - 1) / ranks;
    return each < FEWEST_PER_RANK ? FEWEST_PER_RANK : each;
}

static uint64_t whole_split_bytes(const tqi_job *job, uint64_t workers)
{
    uint64_t split = job->inputs.bytes / workers / WHOLE_SPLITS_PER_WORKER, most = tqi_most_split_bytes(job);

    split = split < most ? split : most;
    split = split > LEAST_WHOLE_SPLIT ? split : LEAST_WHOLE_SPLIT;
    return split & ~(uint64_t)(SPLIT_ALIGNMENT - 1);
}

/* The header, before anything is mapped, unless rank 0 comes across it when it reads for everybody. */
static tq_status read_header(tqi_job *job, tq_error *error)
{
    tqi_archive_options options = {.records = job->spec.records,
                                   .budget = &job->budget,
                                   .decoders = &job->decoders,
                                   .stop = &job->stop,
                                   .as_they_are = job->description.decompress == TQ_DECOMPRESS_NONE};

    job->inputs.has_header = true;
    job->inputs.own_headers = job->description.own_headers;
    return job->inputs.streams || job->inputs.own_headers ? TQ_OK : tqi_header_read(&job->inputs, &options, error);
}

/* The table of files. */
static tq_status find_inputs(tqi_job *job, uint64_t workers, tq_error *error)
{
    const tq_job *asked = &job->description;
    tq_status status = asked->feed
                           ? tqi_inputs_feed(&job->inputs, asked->feed, asked->user, error)
                           : tqi_inputs_expand(&job->inputs, asked->inputs, asked->n_inputs, asked->recursive, error);

    if (status)
        return status;
    bool decodes = asked->decompress == TQ_DECOMPRESS_AUTO;
    if (asked->records == TQ_FIXED_RECORDS &&
        tqi_inputs_check_whole(&job->inputs, asked->record_bytes, decodes, error))
        return error->status;
    uint64_t split_bytes = asked->split_bytes;
    if (!split_bytes && asked->map_split)
        split_bytes = whole_split_bytes(job, workers);
    tqi_inputs_split(&job->inputs, split_bytes, workers);
    if (decodes)
        status = tqi_inputs_look(&job->inputs, error);
    if (!status && asked->header)
        status = read_header(job, error);
    return status;
}

static tq_status make_plan(tqi_job *job, uint64_t workers, char **bytes, size_t *size, tq_error *error)
{
    char *packed;
    size_t packed_size;
    tq_status status = job->spec.map_row ? TQ_OK : find_inputs(job, workers, error);

    if (status)
        return status;
    status = tqi_inputs_pack(&job->inputs, &packed, &packed_size);
    if (status)
        return tqi_fail_memory(error, job->inputs.n * sizeof(tqi_file), "the list of files");
    plan_header header = {fingerprint(&job->description, job->source_number),
                          parts_per_rank(&job->inputs, (uint64_t)job->comm->size, workers, &job->description),
                          tqi_round_bytes(job), workers, tqi_range_bytes(job)};
    *size = sizeof header + packed_size;
    *bytes = malloc(*size);
    if (*bytes)
        memcpy(mempcpy(*bytes, &header, sizeof header), packed, packed_size);
    free(packed);
    return *bytes ? TQ_OK : tqi_fail_memory(error, *size, "the plan");
}

static tq_status read_plan(tqi_job *job, const char *bytes, size_t size, plan_header *header, tq_error *error)
{
    memcpy(header, bytes, sizeof *header);
    if (header->fingerprint != fingerprint(&job->description, job->source_number))
        return tqi_fail(error, TQ_E_USAGE, "this rank was given another job than rank 0");
    if (job->comm->rank != 0 && !job->spec.map_row &&
        tqi_inputs_unpack(&job->inputs, bytes + sizeof *header, size - sizeof *header))
        return tqi_fail_memory(error, size, "the list of files");
    job->description.round_bytes = header->round_bytes;
    job->all_workers = header->workers;
    job->range_bytes = header->range_bytes;
    return TQ_OK;
}

/* Whether rank 0 must read for everybody: a stream, or a file that some rank does not see as rank 0 does. */
static tq_status choose_reader(tqi_job *job, tq_error *error)
{
    uint64_t strangers = job->inputs.streams;

    for (size_t i = 0; i < job->inputs.n && !strangers && job->comm->rank != 0; i++)
        strangers = !tqi_file_same_here(&job->inputs.files[i]);
    tq_status status = tqi_comm_sum(job->comm, &strangers, 1, error);
    job->shipped = strangers > 0;
    return status;
}

static tq_status scatter_first_shares(tqi_job *job, tq_error *error)
{
    tqi_range *first = NULL;

    if (job->comm->rank == 0) {
        first = calloc((size_t)job->comm->size, sizeof *first);
        if (!first)
            return tqi_fail(error, TQ_E_MPI, "no memory to hand out the first shares");
        tqi_schedule_start(&job->control.schedule, job->shipped ? NULL : &job->inputs, job->comm->size, first);
    }
    tq_status status = tqi_comm_scatter(job->comm, first, &job->first_share, sizeof job->first_share, error);
    free(first);
    return status;
}

/* Who reads files, and which first. */
static tq_status read_shares(tqi_job *job, tq_error *error)
{
    tq_status status = choose_reader(job, error);

    return status ? status : scatter_first_shares(job, error);
}

static void set_partitions(tqi_job *job, uint64_t each)
{
    job->spec.own_partitions = (uint32_t)each;
    job->spec.first_partition = (uint32_t)each * (uint32_t)job->comm->rank;
    job->spec.partitions = (uint32_t)each * (uint32_t)job->comm->size;
}

static tq_status open_output(tqi_job *job, tq_error *error)
{
    tq_output_kind kind = job->description.output;

    if (job->comm->rank != 0 || (kind != TQ_OUTPUT_FILE && kind != TQ_OUTPUT_FD))
        return TQ_OK;
    return tqi_outputs_open(&job->outputs, &job->description, &job->stop, error);
}

tq_status tqi_plan(tqi_job *job, tq_error *error)
{
    uint64_t workers = (uint64_t)tq_executor_workers(job->executor);
    plan_header header;
    char *bytes = NULL;
    size_t size = 0;
    tq_status status;

    workers = workers ? workers : 1;
    uint64_t numbers[3] = {workers};
    tqi_chain_count(job, &numbers[1], &numbers[2]);
    status = tqi_comm_sum(job->comm, numbers, 3, error);
    if (status)
        return status;
    workers = numbers[0];
    job->inputs.splits = numbers[1]; /* for who reads files, the table will say */
    job->inputs.bytes = numbers[2];
    if (job->comm->rank == 0) {
        if (!make_plan(job, workers, &bytes, &size, error))
            open_output(job, error);
    }
    status = tqi_comm_agree(job->comm, error);
    if (!status)
        status = tqi_comm_broadcast(job->comm, 0, &bytes, &size, error);
    if (!status) {
        read_plan(job, bytes, size, &header, error);
        status = tqi_comm_agree(job->comm, error);
    }
    free(bytes);
    if (!status && job->spec.map_row)
        status = tqi_chain_share(job, error);
    else if (!status)
        status = read_shares(job, error);
    if (!status)
        set_partitions(job, header.parts_per_rank);
    return status;
}
