/* The pulse of a job: the ranks say whether something went wrong, whether they are still busy, whether they have enough
 * pages to make a round of the exchange worth it; rank 0 decides and tells all of them: go on with a round, leave the
 * phase, or stop. The decisions are the only way in which ranks leave a phase, and they all get the same ones in the same
 * order. So no rank is ever left alone in a collective, an error or a wish to cancel reaches everybody, and the
 * communicator is clean afterwards for the next job.
 *
 * Statements go up the flat tree of mpi/comm.h and decisions down: a rank passes on what it and the ranks below it say
 * together (mpi/tally.h), so rank 0 is busy with 64 ranks at most for each level. Messages are sent only when there is
 * something new, at most two a rank between two decisions as a rule: while everybody works or waits nothing is sent, and
 * all that a rank does for the others is to look for a message now and then. Only the engine touches a pulse. Memory: 24
 * bytes for each child. */
#ifndef TQI_PULSE_H
#define TQI_PULSE_H

#include "mpi/exchange.h"
#include "mpi/tally.h"

/* How a rank sees itself. */
typedef struct tqi_vote {
    bool failed;
    bool cancelled;
    bool wants_round;
    bool busy;
} tqi_vote;

typedef struct tqi_outcome {
    int failed_rank; /* the lowest that failed, -1 if none */
    bool cancelled;
    bool busy; /* some rank is */
} tqi_outcome;

typedef enum tqi_pulse_state { TQI_LISTENING, TQI_COUNTING, TQI_MOVING } tqi_pulse_state;

/* What is passed on from rank 0. */
typedef struct tqi_order {
    int64_t decision; /* a tqi_decision */
    int64_t failed;   /* the lowest rank that failed, -1: none */
} tqi_order;

typedef struct tqi_pulse {
    const tqi_comm *comm;
    tqi_exchange *exchange; /* NULL in phases that move no pages */
    tqi_pulse_state state;
    tqi_tally tally; /* of this rank, first, and its children */

    tqi_statement stated; /* newest, being sent to the parent, or there already */
    MPI_Request stating;
    tqi_order decided, telling; /* for this rank, and the one on its way to its children: the one before, or the same */
    bool has_decided;
    MPI_Request *tellings; /* one for each child */
    int silent;            /* children that have nothing more to say */
} tqi_pulse;

/* A pulse for one job; false: no memory. */
bool tqi_pulse_init(tqi_pulse *pulse, const tqi_comm *comm);
void tqi_pulse_free(tqi_pulse *pulse);

/* The next phase begins. */
void tqi_pulse_start(tqi_pulse *pulse, tqi_exchange *exchange);

/* Go on as far as it goes without waiting. *completed says that there was a decision, and that the round that it called
 * for is over; *outcome tells it. *moved says that something happened. What fails here is a failure of the exchange or
 * of MPI: *error is filled, and the caller votes failed from now on. */
void tqi_pulse_step(tqi_pulse *pulse, const tqi_vote *vote, bool *moved, bool *completed, tqi_outcome *outcome,
                    tq_error *error);

/* Whether MPI itself no longer works, so that a decision would never come. */
bool tqi_pulse_broken(const tq_error *error);

/* Wait until all messages of this rank have arrived, and all that its children sent to it; when the phases are over. */
tq_status tqi_pulse_finish(tqi_pulse *pulse, tq_error *error);

#endif
