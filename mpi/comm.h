/* The ranks of one cluster and the few MPI calls that are made outside the shuffle: everything is non-blocking
 * underneath and sleeps while it waits, so that a rank that has nothing to do uses no core. With one rank none of these
 * functions calls MPI.
 *
 * Only the engine (the thread that runs the cluster's jobs) may call anything here. All but tqi_mpi_check and
 * tqi_comm_wait are collective over the cluster. */
#ifndef TQI_COMM_H
#define TQI_COMM_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tequio/tequio.h>

/* Every tag of the control communicator. */
typedef enum tqi_tag {
    TQI_TAG_REQUEST = 1, /* rank -> 0: nothing left to map, give me a share */
    TQI_TAG_SHARE,       /* 0 -> rank: a tqi_share */
    TQI_TAG_CHUNK,       /* 0 -> rank: the bytes of a share that is a chunk */
    TQI_TAG_PROGRESS,    /* rank -> 0: a tqi_rank_progress */
    TQI_TAG_TEXT,        /* rank -> 0: a piece of it; an empty one is the end */
    TQI_TAG_FAREWELL     /* rank -> 0: the last message of a job */
} tqi_tag;

typedef struct tqi_comm {
    int rank, size;
    int hosts;           /* how many hosts the ranks are on */
    int host_ranks;      /* how many ranks are on this one */
    bool finalize;       /* MPI was initialized here */
    bool broken;         /* MPI failed: nothing that waits for other ranks may be called any more */
    MPI_Comm collective; /* votes, rounds and what else all ranks do together; MPI_COMM_NULL with one rank */
    MPI_Comm control;    /* messages between rank 0 and the others; MPI_COMM_NULL with one rank */
} tqi_comm;

/* While a collective is under way a rank sleeps for about this part of the time it has waited, up to 1 ms. A tree over
 * many ranks takes 2 log2(ranks) steps, each of which goes on only when a rank wakes up: sleeps that double would delay
 * each step by as long as all steps before it took. */
enum { TQI_REST_PART = 8 };

/* Turn an MPI return code into a status. what names the call. */
tq_status tqi_mpi_check(int code, const char *what, tq_error *error);

/* Initialize MPI if that is needed, and duplicate parent (MPI_COMM_NULL: the world). inline_engine: MPI will be called
 * by the threads that call tq_ functions. */
tq_status tqi_comm_open(tqi_comm *comm, MPI_Comm parent, bool inline_engine, tq_error *error);
void tqi_comm_close(tqi_comm *comm);

/* Wait for a request: test, sleep, test. */
tq_status tqi_comm_wait(MPI_Request *request, const char *what, tq_error *error);

/* Rank 0's bytes on every rank. *bytes is malloc'ed on the others. */
tq_status tqi_comm_broadcast(const tqi_comm *comm, int root, char **bytes, size_t *size, tq_error *error);

/* Element-wise sums, or the largest, of n numbers, in place. */
tq_status tqi_comm_sum(const tqi_comm *comm, uint64_t *numbers, int n, tq_error *error);
tq_status tqi_comm_max(const tqi_comm *comm, uint64_t *numbers, int n, tq_error *error);

/* The sum of mine over all lower ranks. */
tq_status tqi_comm_sum_before(const tqi_comm *comm, uint64_t mine, uint64_t *before, tq_error *error);

/* size bytes of every rank, in rank order, on rank 0, back to back: *all is malloc'ed there. In all less than 2 GiB. */
tq_status tqi_comm_gather(const tqi_comm *comm, const void *mine, size_t size, char **all, size_t *total,
                          tq_error *error);

/* Rank 0's ranks x bytes block, the part for this rank on each. */
tq_status tqi_comm_scatter(const tqi_comm *comm, const void *all, void *mine, size_t bytes, tq_error *error);

/* Agree on the outcome of a step: if error->status is not TQ_OK on any rank, all ranks get the error of the lowest such
 * rank and its status. */
tq_status tqi_comm_agree(const tqi_comm *comm, tq_error *error);

/* The error of rank failed, on all ranks. */
tq_status tqi_comm_share_error(const tqi_comm *comm, int failed, tq_error *error);

#endif
