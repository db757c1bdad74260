/* Messages between rank 0 and the other ranks while a job runs: requests for work and the shares that answer them, the
 * chunks of inputs that only rank 0 can read, progress, and the farewell that ends a job's traffic.
 *
 * A rank has at most one request under way, rank 0 answers every request, and a farewell is the last message of a rank:
 * so when all farewells are there, no message of the job is left in the communicator, whatever went wrong before.
 *
 * Only the engine touches a control. With one rank no MPI call is made. */
#ifndef TQI_CONTROL_H
#define TQI_CONTROL_H

#include "mpi/comm.h"
#include "mpi/progress.h"
#include "mpi/schedule.h"
#include "node/feeder.h"

typedef enum tqi_share_kind { TQI_SHARE_OVER, TQI_SHARE_RANGE, TQI_SHARE_CHUNK } tqi_share_kind;

/* The answer to a request; it travels as it is. */
typedef struct tqi_share {
    uint64_t kind;                /* a tqi_share_kind */
    tqi_range range;              /* TQI_SHARE_RANGE */
    uint64_t file, offset, bytes; /* TQI_SHARE_CHUNK: its bytes follow in messages of their own, */
    uint64_t header, repeated;    /* with a header in front: see tqi_chunk */
} tqi_share;

typedef struct tqi_control {
    const tqi_comm *comm;
    tqi_hub *hub;
    tqi_budget *budget;
    bool closing; /* the job is ending: requests are answered with "over" */

    /* Rank 0. */
    tqi_schedule schedule;
    tqi_feeder *feeder; /* NULL: ranks read for themselves */
    bool fed;           /* the feeder's inputs are over */
    uint64_t chunks;    /* that came out of the feeder */
    int *waiting;       /* ranks whose request is not answered yet, a ring of comm->size */
    int waiting_first, waiting_n;
    struct tqi_delivery *deliveries; /* shares and chunks that are being sent */
    int farewells;

    /* Every rank, for itself. */
    bool asked;    /* a request is under way */
    bool answered; /* share holds the answer */
    tqi_share share;
    tqi_chunk *chunk;  /* being received, or the answer's */
    uint64_t received; /* bytes of it */
    MPI_Request receiving, requesting, reporting;
    tqi_rank_progress report;
} tqi_control;

tq_status tqi_control_init(tqi_control *control, const tqi_comm *comm, tqi_hub *hub, tqi_budget *budget);
void tqi_control_free(tqi_control *control);

/* Ask for work, unless a request is under way. */
tq_status tqi_control_ask(tqi_control *control, tq_error *error);

/* The answer, if it is there: *got says so. A chunk belongs to the caller then, in *chunk. */
void tqi_control_take(tqi_control *control, bool *got, tqi_share *share, tqi_chunk **chunk);

/* Send this rank's progress to rank 0, unless the message before it is still on its way. */
tq_status tqi_control_report(tqi_control *control, const tqi_rank_progress *progress, tq_error *error);

/* Handle what has arrived and go on with what is being sent. *moved says that something happened. */
tq_status tqi_control_serve(tqi_control *control, bool *moved, tq_error *error);

/* End the job's traffic. Collective; returns when nothing of it is left. */
tq_status tqi_control_close(tqi_control *control, tq_error *error);

#endif
