/* The ranks of one cluster and the few MPI calls that are made outside the shuffle: everything is non-blocking
 * underneath and sleeps while it waits, so that a rank that has nothing to do uses no core. With one rank none of these
 * functions calls MPI.
 *
 * A look at MPI with the sleep before it costs some 20 us, in a virtual machine 40: a thousand a second are 4 % of a core,
 * and with 32 ranks a core all of it. So a sleep grows with the time that was waited already, to an eighth of it, or
 * all of it where ranks share a core, and all bounds grow with the number of ranks that share a core. Where a rank rings
 * behind its message (mpi/bell.h) the other may sleep long, and hears of it at once.
 *
 * Only the engine (the thread that runs the cluster's jobs) may call anything here. All but tqi_mpi_check, tqi_comm_await,
 * tqi_comm_pause and tqi_comm_poll are collective over the cluster. */
#ifndef TQI_COMM_H
#define TQI_COMM_H

#include "mpi/bell.h"
#include "mpi/threads.h"
#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tequio/tequio.h>

/* Every tag. TQI_TAG_UP and TQI_TAG_DOWN belong to the collective communicator, the others to that for control. */
typedef enum tqi_tag {
    TQI_TAG_REQUEST = 1, /* rank -> 0: nothing left to map, give me a share */
    TQI_TAG_SHARE,       /* 0 -> rank: a tqi_share */
    TQI_TAG_CHUNK,       /* 0 -> rank: the bytes of a share that is a chunk */
    TQI_TAG_PROGRESS,    /* rank -> 0: a tqi_rank_progress */
    TQI_TAG_TEXT,        /* rank -> 0: a packet of it; one that is not full is the last */
    TQI_TAG_STATEMENT,   /* rank -> parent: how it and the ranks below it see themselves in this phase */
    TQI_TAG_DECISION,    /* parent -> rank: what all do now */
    TQI_TAG_FAREWELL,    /* rank -> 0: the last message of a job */
    TQI_TAG_UP,          /* rank -> parent: small things that all ranks do together */
    TQI_TAG_DOWN         /* parent -> rank */
} tqi_tag;

typedef struct tqi_comm {
    int rank, size;
    int hosts;           /* how many hosts the ranks are on */
    int host_ranks;      /* how many ranks are on this one */
    unsigned crowd;      /* ranks for each core of this host, at least 1 */
    bool finalize;       /* MPI was initialized here, */
    tqi_threads threads; /* and started these */
    bool broken;         /* MPI failed: nothing that waits for other ranks may be called any more */
    tqi_bells *bells;
    MPI_Comm collective; /* rounds and what else all ranks do together; MPI_COMM_NULL with one rank */
    MPI_Comm control;    /* messages between rank 0 and the others; MPI_COMM_NULL with one rank */
} tqi_comm;

/* The flat tree through which small things go that concern all ranks: 0 above 1 to 64, 1 above 65 to 128, and so on. Few
 * levels, since at each of them a rank must wake up and look; few children, since a rank is busy with one after the
 * other. (Tests have fewer, so that few ranks make several levels.) */
#ifndef TQI_CHILDREN
#define TQI_CHILDREN 64
#endif
int tqi_comm_parent(const tqi_comm *comm); /* not of rank 0 */
int tqi_comm_first_child(const tqi_comm *comm);
int tqi_comm_children(const tqi_comm *comm); /* how many */

/* Turn an MPI return code into a status. what names the call. */
tq_status tqi_mpi_check(int code, const char *what, tq_error *error);

/* Initialize MPI if that is needed, and duplicate parent (MPI_COMM_NULL: the world). inline_engine: MPI will be called
 * by the threads that call tq_ functions. */
tq_status tqi_comm_open(tqi_comm *comm, MPI_Comm parent, bool inline_engine, tq_error *error);
void tqi_comm_close(tqi_comm *comm);

/* The shortest and the longest sleep of a rank that waits for another: together they are the bounds of everything that
 * sleeps and looks again. */
unsigned tqi_comm_first_rest_us(const tqi_comm *comm);
unsigned tqi_comm_longest_rest_us(const tqi_comm *comm);

/* The longest sleep of a rank that waits for nothing but messages behind which others ring. */
unsigned tqi_comm_longest_rest_till_rung_us(const tqi_comm *comm);

/* Sleep, and longer the next time, but not if rung: *rest_us is 0 at first. */
void tqi_comm_pause(const tqi_comm *comm, unsigned *rest_us);

/* Receive one small message of a tag on the control communicator, if there is one, and bells->looks. *from is its rank or
 * -1. */
tq_status tqi_comm_poll(const tqi_comm *comm, int tag, void *buffer, int size, int *from, tq_error *error);

/* Wait for a request: test, pause, test. */
tq_status tqi_comm_await(const tqi_comm *comm, MPI_Request *request, const char *what, tq_error *error);

/* Rank 0's bytes on every rank. *bytes is malloc'ed on the others. */
tq_status tqi_comm_broadcast(const tqi_comm *comm, int root, char **bytes, size_t *size, tq_error *error);

/* The same into size bytes that every rank has room for. */
tq_status tqi_comm_broadcast_into(const tqi_comm *comm, int root, char *bytes, uint64_t size, tq_error *error);

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
