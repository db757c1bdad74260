/* The pulse of a job: all ranks vote, again and again, whether something went wrong, whether anybody is still busy, and
 * whether somebody has enough pages to make a round of the exchange worth it; if so, the round follows. The votes are
 * the only way in which ranks leave a phase, and they leave it at the same vote. So no rank is ever left alone in a
 * collective, an error or a wish to cancel reaches everybody within one vote, and the communicator is clean afterwards
 * for the next job.
 *
 * A vote is one MPI_Iallreduce of four numbers. A rank that has nothing new joins it after a short rest that grows to
 * 10 ms, so an idle cluster votes a hundred times a second. Only the engine touches a pulse. */
#ifndef TQI_PULSE_H
#define TQI_PULSE_H

#include "mpi/exchange.h"

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

typedef enum tqi_pulse_state { TQI_RESTING, TQI_VOTING, TQI_COUNTING, TQI_MOVING } tqi_pulse_state;

typedef struct tqi_pulse {
    const tqi_comm *comm;
    tqi_exchange *exchange; /* NULL in phases that move no pages */
    tqi_pulse_state state;
    tqi_vote last; /* what this rank said in the last vote */
    double due, rest_s;
    int64_t mine[4], all[4];
    MPI_Request request;
} tqi_pulse;

/* A pulse for one phase. */
void tqi_pulse_start(tqi_pulse *pulse, const tqi_comm *comm, tqi_exchange *exchange);

/* Go on as far as it goes without waiting. *completed says that a vote, and the round that it called for, is over;
 * *outcome tells it. *moved says that something happened. What fails here is a failure of the exchange or of MPI:
 * *error is filled, and the caller votes failed from now on. */
void tqi_pulse_step(tqi_pulse *pulse, const tqi_vote *vote, bool *moved, bool *completed, tqi_outcome *outcome,
                    tq_error *error);

/* Whether a vote or a round is under way, and not a rest. */
bool tqi_pulse_under_way(const tqi_pulse *pulse);

/* Whether MPI itself no longer works, so that voting would never end. */
bool tqi_pulse_broken(const tq_error *error);

#endif
