/* tequio: MapReduce over MPI. The public API: a cluster of ranks, jobs, their progress and their results.
 *
 * The shape of a program, the same on every rank:
 *
 *     tq_cluster *cluster;
 *     tq_cluster_open(NULL, &cluster, NULL);           collective
 *     tq_job job = TQ_JOB_INIT;                         describe the job: inputs, map, combine, output
 *     tq_future *future = tq_submit(cluster, &job);     collective; returns at once
 *     tq_future_wait(future, TQ_FOREVER);               or test it, watch it, cancel it
 *     tq_future_release(future);
 *     tq_cluster_close(cluster);                        collective
 *
 * What a job finds may be the input of the next without leaving the memory of its rank: tq_job.rows.
 *
 * "Collective" means: every rank of the cluster calls it, and in the same order as other collective calls on it.
 * A job is submitted with the same description on every rank; only the pointers may differ.
 *
 * Threads: one cluster handle may be used from any thread, but collective calls must have one order. MPI itself is
 * called by a thread of the cluster's own, never by workers or callbacks. */
#ifndef TEQUIO_H
#define TEQUIO_H

#include <tequio/columns.h>
#include <tequio/executor.h>
#include <tequio/mapreduce.h>
#include <tequio/status.h>
#include <tequio/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Cluster ----------------------------------------------------------------------------------------------------- */

typedef struct tq_cluster tq_cluster;

#define TQ_THREADS_AUTO (-1)

typedef struct tq_cluster_options {
    /* Worker threads of this rank. TQ_THREADS_AUTO: the host's cores divided by the ranks on it, at least 1.
     * 0: no thread maps; a job runs to its end inside tq_submit, on the caller's thread, in a fixed order. */
    int threads;
    /* As in tq_executor_options: called on each worker's own thread when it starts and ends; with threads = 0 inside open
     * and close. worker_init must return 0. Either may be NULL. */
    int (*worker_init)(int index, void *user, void **state);
    void (*worker_exit)(int index, void *user, void *state);
    void *user; /* passed to both; must outlive the cluster */
} tq_cluster_options;

#define TQ_CLUSTER_OPTIONS_INIT {.threads = TQ_THREADS_AUTO}

/* Open a cluster of all ranks of this run. Collective. options NULL = TQ_CLUSTER_OPTIONS_INIT. *cluster is set on
 * success and belongs to the caller. *error (may be NULL) is filled on failure.
 * Started by mpirun or srun, and MPI not initialized: MPI is initialized here and finalized by tq_cluster_close.
 * MPI initialized by the caller: a duplicate of MPI_COMM_WORLD is used (see tequio/mpi.h for another communicator, and
 * for the thread level that takes). Started by hand: a cluster of one rank, which never calls MPI.
 * threads must be 0 on all ranks or on none. TQ_E_USAGE, TQ_E_MPI, TQ_E_SYSTEM, TQ_E_MEMORY. */
TQ_API tq_status tq_cluster_open(const tq_cluster_options *options, tq_cluster **cluster, tq_error *error);

/* Wait for submitted jobs, then give everything back. Collective. NULL is allowed. Futures may be released later, but
 * not by another thread while this runs. */
TQ_API void tq_cluster_close(tq_cluster *cluster);

TQ_API int tq_cluster_rank(const tq_cluster *cluster);
TQ_API int tq_cluster_size(const tq_cluster *cluster);
TQ_API int tq_cluster_hosts(const tq_cluster *cluster); /* how many hosts the ranks are on */
TQ_API const char *tq_cluster_mpi(const tq_cluster *cluster); /* the MPI library's version; "" if it is not called */
TQ_API int tq_cluster_threads(const tq_cluster *cluster); /* this rank's workers now */

/* Change the number of this rank's workers, also while a job runs. Not collective. TQ_E_USAGE: outside
 * 1..TQ_MAX_WORKERS. TQ_E_STATE: the cluster was opened with threads = 0. */
TQ_API tq_status tq_cluster_set_threads(tq_cluster *cluster, int threads);

/* ---- Job: output ------------------------------------------------------------------------------------------------- */

typedef enum tq_output_kind {
    TQ_OUTPUT_KEEP,   /* each rank keeps its part of the rows, rank 0 the first: tq_job_row */
    TQ_OUTPUT_GATHER, /* rank 0 keeps all rows, the others none */
    TQ_OUTPUT_FILE,   /* rank 0 writes all rows to the file output_path, which appears only when it is whole */
    TQ_OUTPUT_FD      /* rank 0 writes all rows to output_fd (1 is the standard output) */
} tq_output_kind;

/* ---- Progress ---------------------------------------------------------------------------------------------------- */

typedef enum tq_phase { TQ_PHASE_MAP, TQ_PHASE_SHUFFLE, TQ_PHASE_REDUCE, TQ_PHASE_WRITE, TQ_PHASES } tq_phase;

/* "map", "shuffle", "reduce", "write". */
TQ_API const char *tq_phase_tag(tq_phase phase);

/* What is counted: map: splits, or, with map_row, rows. shuffle: bytes of pages. reduce: partitions. write: rows.
 * not_done may grow by work that was not known before, but done + not_done never shrinks. */
typedef struct tq_phase_progress {
    const char *tag;
    bool started, finished;
    uint64_t done, not_done;
    uint64_t bytes, bytes_total; /* map: input, as it is compressed (what rank 0 reads for all: text); shuffle: pages; write: text; bytes_total 0 = not known */
    uint64_t records;            /* map: emitted; shuffle, reduce: records of pages; write: rows */
    double seconds;              /* since the phase started, until it finished */
    int slowest_rank;            /* the rank with the smallest share of its own work done, -1 if none is behind */
    uint64_t slowest_done, slowest_not_done;
} tq_phase_progress;

#define TQ_STILL_FILE 256

/* Where a worker stands in the job's own code that has not moved for the longest time: it has had one record (a piece,
 * for map_chunk and map_split), or one key to reduce, all the while. Not known of a rank without worker threads. */
typedef struct tq_still {
    double seconds;
    int rank;                 /* -1: no worker is in the job's own code */
    tq_phase phase;           /* map: */
    uint64_t offset;          /* where the record begins, */
    char file[TQ_STILL_FILE]; /* and in which file; shortened at its front when longer. With map_row: as in
                               * tq_place. reduce: offset is the partition. write: neither says anything */
} tq_still;

typedef struct tq_progress {
    double seconds; /* since the job started; 0 before */
    int ranks;
    tq_phase phase;           /* the earliest that is not finished */
    double silent_s;          /* how long the most silent rank has sent no sign of life, */
    int silent_rank;          /* and which that is */
    tq_still still;
    tq_phase_progress phases[TQ_PHASES];
} tq_progress;

/* Called on a thread of its own with the newest snapshot, on rank 0. Non-zero cancels the job on all ranks. A slow
 * callback misses ticks, but never holds up the job. Each phase ends with a report of not_done = 0. A callback may
 * still run after the future is done; it does not once tq_future_release of the finished future, or tq_cluster_close,
 * has returned, so neither may be called from a callback. */
typedef int (*tq_snapshot_fn)(const tq_progress *progress, tq_phase phase, void *user);

/* Gives the next chunk of a job's input: one or more whole records, which the mapper gets as one split. Called on rank 0,
 * on a thread of its own (with threads = 0 on the caller of tq_submit), one call at a time. *chunk is {NULL, 0} before;
 * left so, the input is over. Its bytes must stay until the next call, or until the job is done. Returns 0, or another
 * number to end the job with TQ_E_USER; why (size bytes, "" at first) then says why in one line. A job ends only after
 * its feed has returned. */
typedef int (*tq_feed_fn)(tq_slice *chunk, char *why, size_t size, void *user);

/* ---- Job --------------------------------------------------------------------------------------------------------- */

typedef struct tq_job {
    int abi;          /* TQ_JOB_ABI, set by TQ_JOB_INIT */
    const char *name; /* for messages; NULL = "job" */

    /* Input. Each path is a file, a folder (with recursive), a pattern for glob(3) if no file has that name, or "-" for
     * the standard input of rank 0. A pipe is read as a stream by rank 0. */
    const char *const *inputs;
    size_t n_inputs;
    bool recursive;
    tq_decompress decompress; /* of inputs that are compressed. The splits of a compressed file are done in order, by one
                               * rank, as it is read; many files go in parallel. */
    /* Or records that are in no file, instead of inputs: set on all ranks, called on rank 0. A mapper sees them as a file
     * named "feed". */
    tq_feed_fn feed;
    uint64_t feed_chunks; /* how many chunks there will be, for the progress; 0 = not known */
    uint64_t split_bytes; /* 0 = chosen from the size of the input */
    tq_records records;
    uint64_t record_bytes; /* TQ_FIXED_RECORDS: 1 to 1 GiB */
    tq_map_fn map;       /* one record a call; or */
    tq_map_fn map_chunk; /* many whole records a call, with their delimiters; or */
    tq_map_split_fn map_split; /* a whole split, which it pulls; or map_row, below. Exactly one of the four is set. */
    bool header;         /* TQ_LINES, with map or map_chunk: the first line of each file that is not empty (of what it
                          * holds, if it is compressed; of all that feed gives) is its header, the same in all of them
                          * (otherwise TQ_E_INPUT). It is no record; mappers see it beside each. map_chunk is called for the beginning of a file even if
                          * nothing stands behind its header. */
    bool own_headers;    /* the header of a file need not be that of the others */
    uint64_t skip_bad;   /* so many bad records (tq_emit_bad) are passed over, of all ranks together */

    /* Or the rows that an earlier job of this cluster keeps (TQ_OUTPUT_KEEP, TQ_OUTPUT_GATHER; tq_submit_gather), instead
     * of inputs: each rank maps those it has, where they lie, and no other rank's. map_row gets one a call. The earlier job
     * may still be queued or running, so that a whole chain of jobs can be submitted at once; when it has failed or was
     * cancelled, this one ends with the same error. Several jobs may map the same rows.
     *
     * The job holds on to what it needs of the earlier one: that future may be released as soon as tq_submit has returned.
     * (Then its rows are freed when they are mapped, and what its user points to must stay until it is over.) Until they are
     * mapped, the rows count against memory_bytes, of which they may take half: more is TQ_E_MEMORY. A budget that is chosen
     * is chosen beside them.
     *
     * With TQ_ORDER_STABLE the place of a row is that in the order of the earlier job. TQ_ORDER_NONE keeps rows on the rank
     * where the hash of their key belongs (of the key that was emitted, if a reducer writes another): what map_row emits
     * under that key is not sent anywhere. */
    tq_future *rows;
    tq_map_row_fn map_row;

    /* Side data: bytes that rank 0 has, and every mapper and reducer gets (tq_emitter_side, tq_rows_side): a dictionary, say,
     * or what an earlier job found. They are broadcast once, before the map phase; what other ranks give here is not looked
     * at. Rank 0's are not copied there: they must stay as they are until the future is final. On each rank they count against
     * memory_bytes, of which they may take half: more is TQ_E_MEMORY. */
    const void *side;
    size_t side_bytes;
    /* Or what this file holds, decoded as decompress says: set on all ranks, read on rank 0. side_bytes: if it holds more, or is
     * no regular file, there are no side data; 0 = as many as may be, and then that is an error. */
    const char *side_path;

    /* A dense result: so many numbers, 0 for none, that mappers add to by their index (tq_emitter_dense) instead of emitting keys:
     * summed over workers and ranks, modulo 2^64, when all is mapped, and then on every rank (tq_job_dense). Each worker, and
     * each rank, takes 8 bytes for a number of what memory_bytes allow; with side data all that may take half of it. */
    size_t dense;
    tq_dense_fn dense_rows; /* makes rows of it; may be NULL */

    tq_value_type value_type;
    size_t value_bytes; /* TQ_FIXED */
    tq_combine combine;
    tq_combine_fn combine_fn; /* TQ_COMBINE_USER */
    tq_values_order values_order;
    tq_group_fn group;         /* may be NULL. For jobs with reduce. */
    tq_partition_fn partition; /* may be NULL. Not with TQ_ORDER_STABLE, which has no partitions. */
    tq_reduce_fn reduce;           /* one key a call; may be NULL. Or */
    tq_reduce_keys_fn reduce_keys; /* many keys, which it pulls. At most one of the two is set. */
    tq_value_type result_type; /* TQ_I64 or TQ_BYTES: what the reducer writes. Not looked at without one. */

    /* Numbers of the job's own, that its mappers and reducers add to: tq_emit_count, tq_reduce_count. n_counters names, at
     * most TQ_MAX_COUNTERS, of graphic ASCII and different from each other; a counter is known by its place among them. */
    const char *const *counters;
    size_t n_counters;

    tq_order order;
    tq_compare_fn compare; /* TQ_ORDER_USER; not looked at otherwise */
    uint64_t limit; /* keep only the first rows of that order; 0 = all */
    bool unique;    /* TQ_ORDER_STABLE, without a limit: of the rows of one key only the first */
    tq_output_kind output;
    const char *output_path;
    int output_fd;
    /* Or several outputs: with TQ_OUTPUT_FILE n_outputs different paths, at most TQ_MAX_OUTPUTS, instead of output_path.
     * choose_output says of each row to which of them it is written. Each gets the rows that were chosen for it, in the
     * job's order and format; one without rows is empty. Their names appear one after the other, when all are whole. */
    const char *const *output_paths;
    size_t n_outputs;
    tq_choose_fn choose_output;
    tq_format format;
    tq_row_text row_text;    /* what of a row is written */
    bool raw_text;           /* TQ_TEXT: no escapes */
    const char *key_name;    /* TQ_JSON; NULL = "key" */
    const char *value_name;  /* TQ_JSON; NULL = "value" */
    /* How rows are written, for TQ_TEXT and for TQ_JSON; NULL: as tq_format says. For rows that are kept neither is. */
    tq_write_fn write_text, write_json;
    bool write_in_order; /* both, on rank 0: see tq_write_fn */

    uint64_t round_bytes;  /* most bytes a rank sends in one round of the shuffle; 0 = 8 MiB, on one host 2 MiB */
    uint64_t memory_bytes; /* budget of this rank; 0 = half of what its host, or its control group, has free, divided among
                            * the ranks there. What does not fit is spilled to tmpdir. */
    const char *tmpdir;    /* NULL = $TMPDIR or /tmp */
    uint64_t spill_bytes;  /* most bytes of this rank there; 0 = all its disk, but 1 GiB, or 1/32 if that is less */
    tq_compression spill_compression; /* of what goes there */

    double interval_s;         /* between reports; 0 = 0.5 */
    tq_progress_fn progress;   /* callback(tag, done, not_done, user), on rank 0; may be NULL */
    tq_snapshot_fn on_snapshot; /* the same with everything that is known; may be NULL */
    void *user; /* handed to every function above; must live until the future is released */
    void *progress_user; /* handed to progress and on_snapshot instead; NULL = user */
} tq_job;

#define TQ_JOB_ABI 5
#define TQ_JOB_INIT {.abi = TQ_JOB_ABI}

/* Queue a job. Collective. Everything job points to is copied, but user. Returns at once with a future that the caller
 * releases (tq_future_release waits for nothing but callbacks in progress); a job that cannot run gives a failed
 * future, and lack of memory gives NULL, which every tq_future function takes. Jobs of one cluster run one after the
 * other. With threads = 0 the job is over when tq_submit returns.
 * tq_future_cancel: on any rank, from any thread; the job ends with TQ_E_CANCELLED on all of them. */
TQ_API tq_future *tq_submit(tq_cluster *cluster, const tq_job *job);

/* What a rank calls that should submit a job and cannot, since something failed before: the other ranks, which may have
 * submitted theirs, must not wait for it. Collective with tq_submit. The job ends on all ranks with *error, whose status
 * is not TQ_OK; its rank is filled in if it is -1. */
TQ_API tq_future *tq_submit_failure(tq_cluster *cluster, const tq_error *error);

/* The newest snapshot: on rank 0 of all ranks, elsewhere of this rank. Any thread, any time before the release. */
TQ_API tq_status tq_job_progress(const tq_future *future, tq_progress *progress);

/* What ended the job, the same on all ranks; error->status is TQ_OK when it ended well. Returns TQ_OK once the job is
 * done. TQ_E_AGAIN before: error->status is then TQ_OK, or all ranks know already why the job ends, and wait for workers to
 * return from the job's own code. TQ_E_USAGE if the future is no job's. */
TQ_API tq_status tq_job_error(const tq_future *future, tq_error *error);

/* ---- Result ------------------------------------------------------------------------------------------------------ */

/* The rows that this rank keeps (TQ_OUTPUT_KEEP, TQ_OUTPUT_GATHER), in order. 0 unless the job is done. */
TQ_API uint64_t tq_job_rows(const tq_future *future);

/* Row index of this rank, 0 .. tq_job_rows-1. The slices live as long as the future. TQ_E_USAGE: no such row. */
TQ_API tq_status tq_job_row(const tq_future *future, uint64_t index, tq_row *row);

/* What counter number index came to, summed over all workers and ranks, modulo 2^64: the same on every rank. Any thread,
 * from when the future is final until it is released, also when the job failed or was cancelled: then it is what had been
 * counted by its end, and on a rank where MPI failed what was counted there. TQ_E_AGAIN before. TQ_E_USAGE: the future is no
 * job's, or the job has no such counter. */
TQ_API tq_status tq_job_counter(const tq_future *future, size_t index, int64_t *n);

/* The dense result, *n numbers (n may be NULL), the same on every rank; lives as long as the future. Any thread. NULL unless
 * the job is done, and has one. */
TQ_API const int64_t *tq_job_dense(const tq_future *future, size_t *n);

/* Copy rows first .. first + n - 1 of this rank, back to back: keys and values into room of the sizes that
 * tq_job_block_size says, key_sizes and (if it is not NULL) value_sizes into room for n numbers. TQ_E_USAGE: there are
 * not so many rows. */
TQ_API tq_status tq_job_block_size(const tq_future *future, uint64_t first, uint64_t n, size_t *key_bytes,
                                   size_t *value_bytes);
TQ_API tq_status tq_job_block(const tq_future *future, uint64_t first, uint64_t n, char *keys, uint32_t *key_sizes,
                              char *values, uint32_t *value_sizes);

/* ---- Bytes between ranks ----------------------------------------------------------------------------------------- */

/* Bring bytes of each rank together, on rank 0 or everywhere. Collective; takes its turn among the jobs, and gives a
 * future like theirs, whose rows (with an empty key) are what rank 0, rank 1, ... gave. mine, less than 1 GiB, is copied.
 * For small things beside jobs: all of it, less than 2 GiB, is in the memory of each rank that gets it. */
TQ_API tq_future *tq_submit_gather(tq_cluster *cluster, tq_slice mine, bool everywhere);

typedef struct tq_rank_stats {
    double seconds[TQ_PHASES];
    uint64_t bytes[TQ_PHASES];
    uint64_t records[TQ_PHASES];
    uint64_t sent_bytes;    /* of pages, to other ranks, in the shuffle and for an order */
    uint64_t peak_bytes;    /* resident set, from the operating system */
    uint64_t budget_bytes;  /* memory_bytes, or what was chosen for it */
    uint64_t spilled_bytes; /* written to the spill file, */
    uint64_t spilled_raw_bytes; /* and what that was before it was compressed */
    uint64_t reduce_passes; /* most over the pages of one partition: more than 1 if it did not fit its table */
    double cpu_s;
    int threads;
    char host[64];
} tq_rank_stats;

/* A bad record that was passed over. */
typedef struct tq_bad {
    const char *file;
    uint64_t offset;
    const char *reason;
} tq_bad;

#define TQ_BAD_SHOWN 24

typedef struct tq_stats {
    double seconds;
    uint64_t files, splits, input_bytes; /* map_row: no files, rows, and the bytes of their keys and values */
    uint64_t rows, output_bytes;
    uint64_t rounds;         /* of the shuffle */
    uint64_t partitions;     /* on all ranks */
    tq_account emitted;      /* by the mappers */
    tq_account flushed;      /* left the workers' tables as pages */
    tq_account shuffled;     /* arrived at their partitions */
    tq_account reduced;      /* came out of combining */
    tq_account ordered;      /* came out of the last exchange */
    tq_account written;      /* in the result */
    uint64_t merged_early;   /* records combined at once, before anything was stored */
    uint64_t not_tried;      /* records for which that was switched off, because few of those before them could be */
    uint64_t bad_records;    /* that were passed over (tq_emit_bad), */
    size_t n_bad;            /* and the first of them, at most TQ_BAD_SHOWN, by their files' names and their places */
    const tq_bad *bad;
    uint64_t hottest_bytes;  /* the partition with most bytes of pages */
    int hottest_partition, hottest_rank;
    double load_max_over_mean; /* records reduced: the busiest rank over the mean, */
    int load_max_rank;         /* and that rank */
    size_t n_counters;
    const char *const *counter_names; /* n_counters of them, */
    const int64_t *counters;          /* and what they came to */
    int ranks;
    const tq_rank_stats *rank; /* ranks of them */
} tq_stats;

/* On rank 0, once the job is done; lives as long as the future. NULL elsewhere, and when the job failed before it
 * ran. */
TQ_API const tq_stats *tq_job_stats(const tq_future *future);

/* ---- For other languages ----------------------------------------------------------------------------------------- */

/* Where a member of a struct lies, so that a program which cannot include these headers need not guess: name is
 * "tq_job.inputs", or "tq_job" for the whole. */
typedef struct tq_layout {
    const char *name;
    size_t offset, bytes;
} tq_layout;

/* The structs of this header, of those that it includes, and of tequio/plugin.h: *n entries, constant. */
TQ_API const tq_layout *tq_layouts(size_t *n);

/* TQ_JOB_ABI of the library. */
TQ_API int tq_abi(void);

#ifdef __cplusplus
}
#endif
#endif
