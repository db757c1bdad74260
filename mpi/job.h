/* A job: everything one tq_submit leads to on this rank, from the copy of its description to its result.
 *
 * Who may touch what:
 *   the engine    everything, but what is listed below.
 *   workers       the one tqi_work they were given; their own mapper state (mappers[worker index]) and place
 *                 (tqi_watch_place); spec, inputs, splitters and their own reducer, router and scratch; the stores after they
 *                 were sealed (read only); parts[part] of the part that
 *                 their work names; tqi_job_deliver.
 *   both          works_left.
 *   any thread    cancel, tqi_job_wake, the hub; and once the future is final, the results.
 * lock guards the list of runs and ending, nothing else. */
#ifndef TQI_JOB_H
#define TQI_JOB_H

#include "mpi/control.h"
#include "mpi/exchange.h"
#include "mpi/outputs.h"
#include "mpi/pulse.h"
#include "mpi/watch.h"
#include "node/archive.h"
#include "node/emitter.h"
#include "node/external.h"
#include "node/feeder.h"
#include "node/format.h"
#include "node/order.h"
#include "node/reader.h"
#include "node/reduce.h"
#include "node/sorting.h"
#include "node/split.h"
#include "node/writing.h"
#include <pthread.h>

typedef struct tqi_job tqi_job;

/* What a worker keeps from one piece of input to the next. */
typedef struct tqi_mapper {
    tq_emitter emitter;
    tqi_reader reader;
    const tqi_file *plain; /* sampling: the last file that was seen not to be compressed */
} tqi_mapper;

/* How the budget is divided: see mpi/memory.c. All in bytes. */
typedef struct tqi_shares {
    uint64_t block;  /* of a page that a worker writes, */
    uint64_t slab;   /* and of the memory that they are cut from */
    uint64_t worker; /* pages of one worker while it maps */
    uint64_t early;  /* of one worker, to combine at once */
    uint64_t piece;  /* of input that is read at once, */
    uint64_t chunk;  /* and by rank 0 for everybody */
    uint64_t runs;   /* pages on their way to the engine, from which on workers wait */
    uint64_t queue;  /* pages that wait to be sent, from which on no input is read */
    uint64_t store;  /* pages in memory, of the input and of the result each; more are spilled */
    uint64_t table;  /* of one worker that reduces, */
    uint64_t routed; /* and open pages of one that routes rows */
} tqi_shares;

enum { TQI_SPARES = 8, TQI_OUTPUTS = 4 };

/* Bytes of text in a message, but for the last. (Tests have fewer, so that a short text makes several.) */
#ifndef TQI_PACKET
#define TQI_PACKET (1 << 20)
#endif

/* A place among the rows that a job keeps here. */
typedef struct tqi_row_cursor {
    const tqi_job *job;
    uint32_t part;
    uint64_t index; /* in the part */
} tqi_row_cursor;

/* Rank 0, between a task that chooses ranges and who waits for it: pages of samples, and a page of splitters. */
typedef struct tqi_choosing {
    char *samples, *chosen;
    size_t samples_size, chosen_size;
} tqi_choosing;

/* One task of the pool. The engine fills it, a worker runs it, the engine reaps it. */
typedef struct tqi_work {
    tqi_job *job;
    void (*run)(struct tqi_work *work, int worker);
    tq_future *future;
    bool used;
    atomic_bool over; /* run has returned */
    tq_error error;

    const tqi_file *file; /* map: a range of a file, */
    uint64_t begin, end;  /* or, in a chained job, of the rows that the earlier one keeps here, */
    tqi_chunk *chunk; /* or a chunk, */
    tqi_archive
        *archive;      /* or what comes next in a compressed file: given, or found where file was thought to be one */
    bool insist;       /* (see tqi_archive_next) */
    bool archive_over; /* it was the end of it */
    uint64_t archive_before;    /* where it was */
    uint64_t bytes;             /* map: of input, but for archives. write: of text that is no text but frames */
    uint64_t splits;            /* that end with this work; chained: rows */
    _Atomic(uint64_t) pulled;   /* bytes of the split that map_split has read; the worker writes it, the engine looks */
    double map_s;               /* how long it took, */
    uint64_t records;           /* and what it emitted */
    tqi_mapper *mapper;         /* flush */
    uint32_t part;              /* reduce, route, sort, format, count */
    tqi_sample_size sampled;    /* sample */
    tqi_choosing *choosing;     /* choose */
    tqi_text text;              /* format, write */
    tqi_external *rest;         /* format: rows of the part that are no text yet, before and after */
    uint64_t spilled, spilled_raw; /* for it, if there are none any more */
    tqi_reduce_account reduced; /* reduce */
    tq_account account;         /* of the rows it routed, or wrote, */
    tq_account loaded, dropped; /* that it loaded, and of those that are behind the limit */
} tqi_work;

/* The map phase's own state. */
typedef struct tqi_mapping {
    tqi_range share;                       /* splits that are left of the newest share (chained: rows), */
    uint64_t offset;                       /* and how much of the first of them is under way already */
    tqi_chunk *chunk;                      /* or a chunk that no task has yet */
    tqi_archive *archives, **archives_end; /* begun, without a task that goes on with them */
    tqi_archive *waiting;                  /* those that wait for memory */
    uint64_t n_archives;                   /* begun and not over, in all */
    bool asking;                           /* rank 0 may have more */
    uint64_t bytes;                        /* of pieces that are mapped */
    double piece_s;                        /* how long a piece takes here, about; 0: not known yet */
    bool holds;                            /* what mappers have is kept: their dense numbers are summed first, */
    bool dense_rows;                       /* and rank 0 makes rows of the sums then */
    bool flushing;                         /* the tasks that empty the tables are started */
} tqi_mapping;

/* The text of one part, between the task that made it and the one that writes or sends it. */
typedef struct tqi_part_text {
    tqi_text text;
    bool made;
    tqi_external *rest; /* what is not text yet of a part that is too large for the memory */
} tqi_part_text;

/* The write phase's own state. */
typedef struct tqi_writing {
    uint32_t taken;   /* parts whose text was taken */
    bool goes_on;     /* some of the text of the next of them was taken, and no task makes more of it yet */
    bool output_busy; /* rank 0: a task is writing these texts, which are the task's until it is over */
    tqi_text outputs[TQI_OUTPUTS];
    int n_outputs;
    /* Rank 0, rows that are written in order: outputs hold packed rows. The task's, until it is over. */
    tqi_unpacker unpacker;
    tqi_text unpacked;
    bool ended; /* rank 0: the job's function has been told that there are no more rows */
    int turn; /* rank 0: the rank whose text comes next, 0 before the first */
    bool incoming_open;
    tqi_text incoming; /* rank 0: being received, or waiting for the writing task */
    MPI_Request receiving;
    tqi_text text;    /* others: going into packets, */
    size_t copied;    /* so much of it */
    char *packets;    /* two of TQI_PACKET bytes; NULL before the first use */
    int packet;       /* the one that is being filled, if it is not being sent, */
    size_t packed;    /* so far */
    bool sent_end;
    MPI_Request sends[2];
} tqi_writing;

struct tqi_job {
    tqi_job *next;                /* in the cluster's queue, */
    tqi_job *next_alive;          /* and in its list of jobs that are not freed yet */
    uint64_t number;              /* among all jobs of the cluster, from 1: the same on all ranks */
    tq_cluster *cluster;          /* NULL once it is closed */
    void (*forget)(tqi_job *job); /* the cluster's: the job is about to be freed */
    const tqi_comm *comm;
    tqi_bells *bells; /* comm's, held: the job may be woken until it is freed */
    tq_executor *executor;
    tq_job description; /* with copies of its own of all strings */
    tq_future *future;
    tqi_hub *hub;
    atomic_bool cancel; /* somebody wants the job to end; the ranks have not agreed yet */
    atomic_bool stop;   /* workers should not go on */

    pthread_mutex_t lock;
    tqi_run *runs, **runs_end; /* delivered by workers, not yet taken by the engine */
    uint64_t run_bytes;        /* of these */
    pthread_cond_t runs_taken;
    tq_error ending; /* once all ranks know that the job ends early: why */

    tqi_spec spec, order_spec; /* order_spec: the partitions of the second exchange */
    tqi_spec sample_spec;      /* direct: of samples and splitters, whose values are positions */
    tqi_budget budget, disk;   /* memory, and what may be spilled */
    tqi_budget decoders;       /* part of the memory: of compressed inputs */
    tqi_pool pool;
    bool pool_open;
    tqi_shares shares;
    tqi_inputs inputs;
    bool shipped; /* rank 0 reads, the others are sent chunks */
    tq_future *source;      /* chained: the earlier job's, held until its rows are mapped */
    uint64_t source_number; /* which of the cluster's jobs that is; 0: none */
    uint64_t source_bytes;  /* what its rows take of the budget here */
    uint64_t source_first;  /* so many of its rows lower ranks have */
    tqi_range first_share;
    tqi_feeder *feeder;
    tqi_control control;
    tqi_pulse pulse;
    tqi_mapping mapping;
    tqi_store store; /* what came through the exchange: pages of the shuffle, then rows by ranges */
    tqi_exchange exchange;
    tqi_round round;
    tqi_store results; /* rows by partition, as they were reduced */
    bool reducing;     /* delivered runs belong to results, not into the exchange */
    bool early;        /* rows go to their ranges as they are reduced; results are then rows by ranges */
    tqi_sample_size sampled;
    tqi_outputs outputs; /* rank 0 */

    tqi_work **works;
    int n_works, works_used;
    atomic_int works_left;       /* started, and not over; counted up by the engine, down by workers */
    tqi_text spares[TQI_SPARES]; /* memory of texts that are written, for the next */
    int n_spares;
    tqi_watch watch;
    tqi_mapper *mappers[TQ_MAX_WORKERS];
    tqi_reducer *reducers[TQ_MAX_WORKERS];
    tqi_store *final; /* results, or store: the parts that are written */
    const tqi_spec *final_spec;
    tqi_rows *scratch[TQ_MAX_WORKERS]; /* of each worker, see tqi_scratch_rows */
    tqi_rows *parts;                   /* the rows of each part, if this rank keeps them */
    uint32_t n_parts, next_part;       /* next_part: the first without a task in this phase */
    tqi_splitters splitters;
    tqi_router *routers[TQ_MAX_WORKERS]; /* of each worker, while it routes rows after reducing */
    atomic_bool cannot_sample;             /* direct: some input is compressed; set by workers */
    bool routes;                           /* direct: records go to their ranges as they are mapped */
    tqi_sampler *samplers[TQ_MAX_WORKERS]; /* direct: of each worker, as are */
    tqi_direct *directs[TQ_MAX_WORKERS];   /* routers of rows that were kept, */
    tqi_sorting *sortings[TQ_MAX_WORKERS]; /* and room to sort */
    tqi_part_text *texts;
    tqi_writing writing;
    uint64_t *first_row;  /* n_parts + 1: the number of each part's first row, without those behind the limit */
    uint64_t all_workers; /* of all ranks */
    uint64_t range_bytes; /* rank 0's share for a range, so that all ranks choose the same number of ranges */

    tqi_rank_progress counts;
    double reported_at;
    char *gift;            /* of a gather, which is no MapReduce job: what this rank gives, */
    size_t gift_bytes;     /* with its size in front */
    bool everywhere;       /* and whether all ranks get what all give */
    tq_error not_runnable; /* what failed when the job was submitted */
    tq_error error;        /* this rank's first, then the one all ranks agreed on */
    tq_account emitted, flushed, shuffled, reduced, result, ordered, written, dropped;
    tq_account left_out; /* direct: further rows of one key, before they were in a range */
    int64_t *dense; /* the dense result: of this rank, then of all; NULL: none */
    char *side; /* rank 0's side data on another rank */
    bool planned;                     /* all ranks have found that they were given the same job */
    int64_t counters[TQ_MAX_COUNTERS]; /* of this rank's workers that are done, then of all ranks */
    uint64_t merged_mapping, merged_reducing;
    uint64_t merged_early, not_tried; /* records: see tq_stats */
    _Atomic uint64_t n_bad;           /* records that were bad: counted by the workers of this rank */
    tqi_bad bad;                      /* of this rank; on rank 0, once the map phase is over, of all */
    tq_bad bad_shown[TQI_BAD_KEPT];
    uint64_t passes;                  /* most over the pages of one partition */
    uint64_t rounds, total_rows;
    uint64_t sent;                 /* bytes of pages, to other ranks */
    uint64_t spilled, spilled_raw; /* by stores that are freed */
    uint64_t hottest_bytes;
    uint32_t hottest_partition;
    double cpu_begin_s;
    tq_stats stats; /* rank 0 */
    tq_rank_stats *rank_stats;
};

/* ---- mpi/work.c: tasks and waiting ---- */

/* How many tasks should be under way: enough that no worker waits for the engine. With an inline executor 1. */
int tqi_work_limit(const tqi_job *job);

/* Run a task. A free work comes from tqi_work_new, is filled, and then started. */
tqi_work *tqi_work_new(tqi_job *job, void (*run)(tqi_work *work, int worker));
void tqi_work_start(tqi_work *work);

/* Call done for each task that is over; the first error becomes the job's. Returns whether there was one. */
bool tqi_work_reap(tqi_job *job, void (*done)(tqi_job *job, tqi_work *work));

/* Forget a task that is over. */
void tqi_work_retire(tqi_job *job, tqi_work *work);

/* Keep the memory of a text for the next, or give it back. */
void tqi_work_reuse_text(tqi_job *job, tqi_text *text);

/* An empty text, with the memory of one that was kept if there is one. */
tqi_text tqi_work_spare_text(tqi_job *job);

/* Wait for all tasks and forget them. */
void tqi_work_abandon(tqi_job *job);

/* Rows in memory that the worker uses again and again; none are in it. NULL: no memory, and the work's error says so. */
tqi_rows *tqi_scratch_rows(tqi_work *work, int worker);

/* Note an error of this rank, unless there is one already. The phase is filled in by the driver. */
void tqi_job_fail(tqi_job *job, const tq_error *error);

/* Let the engine look around. owner is a tqi_job. Any thread. */
void tqi_job_wake(void *owner);

/* Hand a finished run to the engine. owner is a tqi_job. Workers; waits while the engine is far behind. */
void tqi_job_deliver(void *owner, tqi_run *run);

/* Move delivered runs into the exchange or, while reducing, to the results. Returns whether there was one. */
bool tqi_job_take_runs(tqi_job *job);

/* Sleep until something may have happened. *rest_us grows from call to call; the caller sets it to 0 when something
 * did. */
void tqi_job_rest(tqi_job *job, unsigned *rest_us);

/* ---- The phases ---- */

/* A phase is a step that never waits: it starts tasks and reaps them, fills in the vote, and returns whether it got
 * anywhere. run_phase in mpi/job.c repeats it until all ranks agree that nobody is busy. */
typedef bool (*tqi_step)(tqi_job *job, tqi_vote *vote);

/* Start a task for the next part, if there is one and room for a task. */
bool tqi_start_part(tqi_job *job, void (*run)(tqi_work *work, int worker));

/* A step that runs one task a part. */
bool tqi_step_parts(tqi_job *job, tqi_vote *vote, void (*run)(tqi_work *work, int worker),
                    void (*finished)(tqi_job *job, tqi_work *work));

tq_status tqi_plan(tqi_job *job, tq_error *error); /* mpi/plan.c; collective, waits */
tq_status tqi_map_start(tqi_job *job, tq_error *error);
bool tqi_map_step(tqi_job *job, tqi_vote *vote);
void tqi_map_end(tqi_job *job);
/* For a reader: what it compares headers with, NULL if there are none. */
const tqi_inputs *tqi_headed_files(const tqi_job *job);
tq_status tqi_reduce_start(tqi_job *job, tq_error *error);
bool tqi_sample_step(tqi_job *job, tqi_vote *vote); /* if early */
tq_status tqi_reduce_ready(tqi_job *job, tq_error *error);
bool tqi_reduce_step(tqi_job *job, tqi_vote *vote);
void tqi_reduce_end(tqi_job *job);
/* Ordering over ranks: choose splitters (collective, waits), route rows to their ranges. Early: after sampling, before
 * reducing. */
bool tqi_order_needed(const tqi_job *job);
bool tqi_order_may_be_early(const tqi_job *job);
tq_status tqi_order_decide(tqi_job *job, tq_error *error); /* whether early; collective, waits */
tq_status tqi_order_start_early(tqi_job *job, tq_error *error);
/* Before and after the job's own function may be called to compare rows; place: NULL if it has none. */
tqi_place *tqi_enter_order(tqi_job *job, int worker);
void tqi_leave_order(tqi_place *place);
/* Direct: rows and bytes are guesses. */
tq_status tqi_order_start_direct(tqi_job *job, uint64_t rows, uint64_t bytes, tq_error *error);
void tqi_order_flush(tqi_job *job, tqi_router *router);
void tqi_order_vote(const tqi_job *job, tqi_vote *vote);
tq_status tqi_order_start(tqi_job *job, tq_error *error);
bool tqi_route_step(tqi_job *job, tqi_vote *vote);
tq_status tqi_order_end(tqi_job *job, tq_error *error);
void tqi_order_free(tqi_job *job);

/* ---- mpi/direct.c: records that are rows already ---- */

bool tqi_is_direct(const tqi_job *job);

/* Sample the input, choose the ranges (collective, waits): before mapping. */
tq_status tqi_direct_start(tqi_job *job, tq_error *error);
bool tqi_direct_sample_step(tqi_job *job, tqi_vote *vote);
tq_status tqi_direct_ready(tqi_job *job, tq_error *error);

/* Mapping: where the pairs of a worker go. */
tq_status tqi_direct_begin_worker(tqi_work *work, tqi_mapper *mapper);

/* In the place of reducing. */
tq_status tqi_direct_pass(tqi_job *job, tq_error *error);

/* Route a part of the rows that were kept; hand on what is left in the pages when all parts are. */
void tqi_direct_route_part(tqi_work *work, int worker);
void tqi_direct_flush_routers(tqi_job *job);

/* Writing: the rows of a range, sorted, the first `kept` of them or of each key the first; NULL: the work's error says why, or
 * they do not fit the memory, and *too_large is set.
 * And append them to rows that stay. TQ_E_MEMORY. */
tqi_sorting *tqi_direct_load(tqi_work *work, int worker, size_t kept, bool *too_large);
/* Give back the memory of what the worker has loaded. */
void tqi_direct_unload(tqi_job *job, int worker);
tq_status tqi_direct_keep(const tqi_sorting *sorting, tqi_rows *rows);

void tqi_direct_free_samplers(tqi_job *job);
void tqi_direct_free_routers(tqi_job *job);
void tqi_direct_free_sortings(tqi_job *job);

tq_status tqi_write_start(tqi_job *job, tq_error *error);
bool tqi_write_step(tqi_job *job, tqi_vote *vote);
/* The numbers of the rows that this rank keeps, now that it is known how many are unique. */
void tqi_write_number_kept(tqi_job *job);
/* Complete this rank's sends of text; the job is ending early. */
void tqi_write_abandon(tqi_job *job);
/* Of the functions of mpi/write.c what mpi/write_external.c needs: whether rows become text, or are kept; add rows from .. to - 1
 * to account; append the text of rows to that of the task. */
bool tqi_makes_text(const tqi_job *job);
void tqi_count_rows(const tqi_job *job, const tqi_rows *rows, size_t from, size_t to, tq_account *account);
void tqi_make_text(tqi_work *work, int worker, const tqi_rows *rows);

/* ---- mpi/write_external.c ---- */

/* A range, or its text, does not fit the memory: sort it in the spill folder, and make the first of its text. work->rest: there
 * is more. Rows that are kept have to fit: then nothing is done. kept: how many rows are written, at most. */
void tqi_write_externally(tqi_work *work, int worker, size_t kept);
/* The next text of such a range. */
void tqi_write_more(tqi_work *work, int worker);

/* ---- mpi/memory.c ---- */

/* The budget of a job that asks for none: this rank's share of what the host, or its control group, has free. 0: that is
 * not known, and there is no bound. */
uint64_t tqi_default_budget(const tqi_comm *comm);

/* What a rank sends in one round at most. */
uint64_t tqi_round_bytes(const tqi_job *job);

/* Divide the budget among this rank's workers and buffers; spec.partitions is known. */
void tqi_share_memory(tqi_job *job);

/* The largest splits of a job with map_split. */
uint64_t tqi_most_split_bytes(const tqi_job *job);

/* The rows that one task may sort at once. */
uint64_t tqi_range_bytes(const tqi_job *job);

/* ---- mpi/job.c ---- */

/* A job for description, copied. NULL: no memory. */
tqi_job *tqi_job_new(tq_cluster *cluster, const tqi_comm *comm, tq_executor *executor, const tq_job *description);
void tqi_job_free(tqi_job *job);

/* Free one of the job's stores, and keep in mind how much it spilled: only then is all of it written. */
void tqi_job_free_store(tqi_job *job, tqi_store *store);

/* Free the exchange, and keep in mind what it moved. */
void tqi_job_end_exchange(tqi_job *job);

/* Start a task and wait until it is over, within a step that all ranks take; its error becomes *error. Progress is reported
 * meanwhile, and if the job is cancelled, the task is told to stop. mpi/job.c, since it is the engine that waits. */
tq_status tqi_job_await(tqi_job *job, tqi_work *work, tq_error *error);

/* Run it to its end and make its future final. Collective; the engine. */
void tqi_job_run(tqi_job *job);

/* The same for a gather. mpi/gather.c */
void tqi_job_gather(tqi_job *job);

/* ---- mpi/result.c ---- */

/* Row index of those that a finished job keeps here; there must be one. */
tqi_row_cursor tqi_find_row(const tqi_job *job, uint64_t index);

/* The next rows, at least one and at most `most`, that lie in a row; the cursor moves behind them. There must be one. */
size_t tqi_next_rows(tqi_row_cursor *at, uint64_t most, const tqi_entry **entries);

/* ---- mpi/chain.c ---- */

/* The job maps the rows of source, which is held: before it is queued. */
void tqi_chain_after(tqi_job *job, const tqi_job *source);

/* Whether there are such rows, if the job is chained: the error that ended the earlier job; TQ_E_USAGE. */
tq_status tqi_chain_check(const tqi_job *job, tq_error *error);

/* Count them, and what memory they take, against the job's budget: 0 if it is not chained. */
void tqi_chain_count(tqi_job *job, uint64_t *rows, uint64_t *bytes);

/* This rank's share of the input is its rows. Collective, waits. TQ_E_MEMORY: they are too many on some rank. */
tq_status tqi_chain_share(tqi_job *job, tq_error *error);

/* Map a range of them. */
void tqi_chain_map(tqi_work *work, tqi_mapper *mapper);

/* They are not needed any more. */
void tqi_chain_drop(tqi_job *job);

/* ---- mpi/side.c ---- */

/* What the job's own data take of the budget: rows of an earlier job, side data and dense results. */
uint64_t tqi_own_bytes(const tqi_job *job);

/* Give all ranks rank 0's side data. Collective, waits. TQ_E_MEMORY: they take too much of the budget of some rank. */
tq_status tqi_side_share(tqi_job *job, tq_error *error);
void tqi_side_free(tqi_job *job);

/* ---- mpi/dense.c ---- */

/* Make room for the dense result, if the job has one; for a worker's part of it. TQ_E_MEMORY. */
tq_status tqi_dense_start(tqi_job *job, tq_error *error);
int64_t *tqi_dense_of_worker(tqi_job *job);

/* Sum the workers' parts, and then all ranks'. Collective, waits. */
tq_status tqi_dense_sum(tqi_job *job, tq_error *error);

/* Give a part back, or the result. */
void tqi_dense_free(tqi_job *job, int64_t **numbers);

/* ---- mpi/counters.c ---- */

/* Add what a worker has counted, and forget it there. */
void tqi_counters_add(tqi_job *job, uint64_t *counts);

/* Sum the job's counters over all ranks. Collective, once, when no worker is at work any more. */
tq_status tqi_counters_sum(tqi_job *job, tq_error *error);

/* ---- mpi/bad.c ---- */

/* Rank 0 gets the bad records of all ranks. Collective; TQ_E_INPUT on all ranks if they are too many. */
tq_status tqi_bad_gather(tqi_job *job, tq_error *error);

/* ---- mpi/account.c ---- */

/* Compare the stages, summed over all ranks. Collective. TQ_E_ACCOUNT on all ranks if records were lost. */
tq_status tqi_account_check_reduced(tqi_job *job, tq_error *error);
tq_status tqi_account_check_direct(tqi_job *job, tq_error *error);
tq_status tqi_account_check_ordered(tqi_job *job, tq_error *error);
tq_status tqi_account_check_written(tqi_job *job, tq_error *error);

#endif
