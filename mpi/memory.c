/* How a rank's budget is divided. What stands here adds up to less than all of it, whichever phase a rank is in:
 *
 *   map      pages of the workers 1/4, early combining 1/16, input 1/16, runs 1/16, queue 1/16, a round 2/32, store 1/4
 *            and decoders of compressed files 1/8 beyond that
 *   reduce   store 1/4, results 1/4, tables 1/4, runs 1/16
 *   early    store 1/4, ranges 1/4, tables 1/8, open pages of ranges 1/16, runs, queue and round as above
 *   order    results 1/4, ranges 1/4, open pages of ranges 1/16, runs, queue and round as above
 *   direct   while mapping: open pages of ranges 1/16, input 1/16, runs, queue and round as above, ranges 1/4
 *   write    ranges 1/4, rows and texts of the ranges under way 1/4
 *
 * and 1/16 to stage what is spilled (node/store.c: 1/8 of a store's share, twice), of one store at a time: each is sealed
 * before the next is filled. All of it is of what side data and dense results leave.
 */
#include "common/available.h"
#include "mpi/job.h"

static const uint64_t MOST_WORKER_BYTES = 256 << 20, MOST_EARLY_BYTES = 8 << 20;
static const uint64_t MOST_RUN_BYTES = 64 << 20, MOST_QUEUED_BYTES = 256 << 20, MOST_RANGE_BYTES = 64 << 20;
static const uint64_t MOST_ROUTED_BYTES = 64 << 20;
static const uint64_t ROUND_BYTES = 8 << 20, HOST_ROUND_BYTES = 2 << 20;
static const uint64_t MOST_SPLIT_BYTES = 32 << 20, MOST_CHUNK_BYTES = 8 << 20;
enum { SMALLEST_PIECE = 64 << 10, EARLY_PART_OF_INPUT = 16, LEAST_EARLY_BYTES = 32 << 10 };
enum { BLOCKS_OF_INPUT = 8, SMALL_BLOCK_BYTES = 4 << 10, CHUNKS_READ_AHEAD = 16 };

static uint64_t at_most(uint64_t bytes, uint64_t most)
{
    return bytes < most ? bytes : most;
}

/* Half of what is free: what else runs here, and the page cache of the input, need some too. */
uint64_t tqi_default_budget(const tqi_comm *comm)
{
    uint64_t available = tqi_available_memory("");

    return available ? available / 2 / (uint64_t)comm->host_ranks + 1 : 0;
}

/* Between hosts large rounds, which hide the network's latency and the rests between them. On one host there is less to hide,
 * and what a round takes, twice, many ranks take of the same memory. */
uint64_t tqi_round_bytes(const tqi_job *job)
{
    const tqi_comm *comm = job->comm;
    uint64_t round = job->description.round_bytes, memory = job->description.memory_bytes;

    if (!round)
        round = comm->hosts > 1 ? ROUND_BYTES : HOST_ROUND_BYTES;
    return memory && round > memory / 32 ? memory / 32 + 1 : round;
}

/* What a worker can be expected to map; of a stream nobody knows. */
static uint64_t input_of_worker(const tqi_job *job)
{
    return job->inputs.streams ? UINT64_MAX : tqi_inputs_text(&job->inputs) / job->all_workers;
}

/* Blocks so small that most of a bin's only block is not memory which is touched for nothing (with many ranks each has a
 * small part of the input, but as many bins), and that each bin of each worker can have two of them. */
static uint64_t block_bytes(uint64_t worker_bytes, uint64_t input_bytes, uint32_t bins)
{
    uint64_t block = TQI_BLOCK_BYTES;

    while (block > SMALL_BLOCK_BYTES && BLOCKS_OF_INPUT * block > input_bytes / bins)
        block /= 2;
    while (block > TQI_SMALLEST_BLOCK_BYTES && 2 * block * bins > worker_bytes)
        block /= 2;
    return block;
}

/* Memory by the huge page if that much will be used. */
static uint64_t slab_bytes(uint64_t worker_bytes, uint64_t block, uint32_t bins)
{
    bool is_much = 2 * block * bins >= TQI_SLAB_BYTES && worker_bytes >= 2 * TQI_SLAB_BYTES;

    return is_much ? TQI_SLAB_BYTES : TQI_BLOCKS_PER_SLAB * block;
}

/* The same where records go to their ranges at once: a worker has an open block of each. */
static uint64_t direct_block_bytes(const tqi_job *job)
{
    uint64_t block = TQI_BLOCK_BYTES, ranges = job->order_spec.partitions;

    while (block > TQI_SMALLEST_BLOCK_BYTES &&
           (block * ranges > job->shares.routed || 2 * block * ranges > input_of_worker(job)))
        block /= 2;
    return block;
}

uint64_t tqi_range_bytes(const tqi_job *job)
{
    uint64_t memory = job->budget.limit ? job->budget.limit : UINT64_MAX / 2;

    /* As many ranges are under way as there may be tasks. */
    return at_most(memory / 4 / (uint64_t)tqi_work_limit(job) + 1, MOST_RANGE_BYTES);
}

/* What a mapper makes of a split, it may hold until it knows that it is whole: several times as much, perhaps. */
uint64_t tqi_most_split_bytes(const tqi_job *job)
{
    uint64_t memory = job->budget.limit ? job->budget.limit : UINT64_MAX / 2;
    uint64_t workers = (uint64_t)tq_executor_workers(job->executor);

    return at_most(memory / 32 / (workers ? workers : 1), MOST_SPLIT_BYTES);
}

/* A chunk is a split; some are read ahead. */
static uint64_t chunk_bytes(const tqi_job *job, uint64_t memory)
{
    uint64_t asked = job->description.split_bytes, chunk = at_most(memory / 16 / CHUNKS_READ_AHEAD, MOST_CHUNK_BYTES);

    if (!job->spec.map_split)
        return TQI_PIECE_BYTES;
    chunk = chunk < TQI_PIECE_BYTES ? TQI_PIECE_BYTES : chunk;
    asked = asked && asked < SMALLEST_PIECE ? SMALLEST_PIECE : asked;
    return asked && asked < chunk ? asked : chunk;
}

void tqi_share_memory(tqi_job *job)
{
    uint64_t limit = job->budget.limit ? job->budget.limit - tqi_own_bytes(job) : 0;
    uint64_t memory = limit ? limit : UINT64_MAX / 2;
    uint64_t workers = (uint64_t)tq_executor_workers(job->executor);
    uint32_t bins = tqi_bins_count(job->spec.partitions);
    tqi_shares *shares = &job->shares;

    workers = workers ? workers : 1;
    shares->worker = at_most(memory / 4 / workers, MOST_WORKER_BYTES);
    shares->block = block_bytes(shares->worker, input_of_worker(job), bins);
    if (shares->worker < 2 * shares->block * bins)
        shares->worker = 2 * shares->block * bins;
    shares->slab = slab_bytes(shares->worker, shares->block, bins);
    /* Early combining touches all of its memory, however little there is to combine. */
    shares->early = at_most(memory / 16 / workers, MOST_EARLY_BYTES);
    shares->early = at_most(shares->early, input_of_worker(job) / EARLY_PART_OF_INPUT + LEAST_EARLY_BYTES);
    shares->piece = at_most(memory / 16 / workers & ~(uint64_t)(SMALLEST_PIECE - 1), TQI_PIECE_BYTES);
    if (shares->piece < SMALLEST_PIECE)
        shares->piece = SMALLEST_PIECE;
    shares->chunk = chunk_bytes(job, memory);
    shares->runs = at_most(memory / 16, MOST_RUN_BYTES);
    shares->queue = at_most(memory / 16, MOST_QUEUED_BYTES);
    shares->store = limit / 4;
    shares->table = limit / (tqi_order_may_be_early(job) ? 8 : 4) / workers;
    shares->routed = at_most(memory / 16 / workers, MOST_ROUTED_BYTES);
    if (job->routes) {
        shares->block = direct_block_bytes(job);
        shares->slab = TQI_BLOCKS_PER_SLAB * shares->block;
    }
    job->spec.worker_bytes = shares->worker;
    job->spec.one_host = job->comm->hosts == 1;
}
