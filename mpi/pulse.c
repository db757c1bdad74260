#include "mpi/pulse.h"

#include "common/clock.h"
#include "common/error.h"
#include <string.h>

static const double SHORTEST_REST_S = 0.0002, LONGEST_REST_S = 0.01;

/* What the numbers of a vote mean. */
enum { FAILED, CANCELLED, WANTS_ROUND, BUSY };

void tqi_pulse_start(tqi_pulse *pulse, const tqi_comm *comm, tqi_exchange *exchange)
{
    *pulse = (tqi_pulse){.comm = comm,
                         .exchange = exchange,
                         .state = TQI_RESTING,
                         .rest_s = SHORTEST_REST_S,
                         .request = MPI_REQUEST_NULL};
}

bool tqi_pulse_under_way(const tqi_pulse *pulse)
{
    return pulse->state != TQI_RESTING;
}

bool tqi_pulse_broken(const tq_error *error)
{
    return error->status == TQ_E_MPI;
}

/* Alone, a vote is what this rank says. */
static void vote_alone(const tqi_vote *vote, tqi_outcome *outcome)
{
    *outcome = (tqi_outcome){vote->failed ? 0 : -1, vote->cancelled, vote->busy};
}

static bool same_vote(const tqi_vote *a, const tqi_vote *b)
{
    return a->failed == b->failed && a->cancelled == b->cancelled && a->wants_round == b->wants_round &&
           a->busy == b->busy;
}

static tq_status begin_vote(tqi_pulse *pulse, const tqi_vote *vote, tq_error *error)
{
    /* The largest of (ranks - rank) belongs to the lowest rank that failed. */
    pulse->mine[FAILED] = vote->failed ? pulse->comm->size - pulse->comm->rank : 0;
    pulse->mine[CANCELLED] = vote->cancelled;
    pulse->mine[WANTS_ROUND] = vote->wants_round;
    pulse->mine[BUSY] = vote->busy;
    pulse->last = *vote;
    pulse->state = TQI_VOTING;
    int code =
        MPI_Iallreduce(pulse->mine, pulse->all, 4, MPI_INT64_T, MPI_MAX, pulse->comm->collective, &pulse->request);
    return tqi_mpi_check(code, "MPI_Iallreduce", error);
}

static void rest(tqi_pulse *pulse)
{
    pulse->state = TQI_RESTING;
    pulse->due = tqi_now_s() + pulse->rest_s;
    pulse->rest_s = pulse->rest_s * 2 < LONGEST_REST_S ? pulse->rest_s * 2 : LONGEST_REST_S;
}

static void complete(tqi_pulse *pulse, bool *completed, tqi_outcome *outcome)
{
    *completed = true;
    outcome->failed_rank = pulse->all[FAILED] ? pulse->comm->size - (int)pulse->all[FAILED] : -1;
    outcome->cancelled = pulse->all[CANCELLED] != 0;
    outcome->busy = pulse->all[BUSY] != 0;
    rest(pulse);
}

/* After a vote: a round if somebody wants one, unless the job is ending anyway. */
static tq_status after_vote(tqi_pulse *pulse, bool *completed, tqi_outcome *outcome, tq_error *error)
{
    bool ending = pulse->all[FAILED] || pulse->all[CANCELLED];

    if (ending || !pulse->all[WANTS_ROUND] || !pulse->exchange) {
        complete(pulse, completed, outcome);
        return TQ_OK;
    }
    pulse->rest_s = SHORTEST_REST_S;
    pulse->state = TQI_COUNTING;
    return tqi_exchange_begin_counts(pulse->exchange, error);
}

/* One transition, if the collective that is under way is over. */
static tq_status advance(tqi_pulse *pulse, bool *done, bool *completed, tqi_outcome *outcome, tq_error *error)
{
    int flag = 0;
    tq_status status;

    if (pulse->state == TQI_VOTING) {
        status = tqi_mpi_check(MPI_Test(&pulse->request, &flag, MPI_STATUS_IGNORE), "MPI_Test", error);
        *done = flag != 0;
        return status || !flag ? status : after_vote(pulse, completed, outcome, error);
    }
    status = tqi_exchange_test(pulse->exchange, done, error);
    if (status || !*done)
        return status;
    if (pulse->state == TQI_COUNTING) {
        pulse->state = TQI_MOVING;
        return tqi_exchange_begin_data(pulse->exchange, error);
    }
    status = tqi_exchange_finish(pulse->exchange, error);
    complete(pulse, completed, outcome);
    return status;
}

void tqi_pulse_step(tqi_pulse *pulse, const tqi_vote *vote, bool *moved, bool *completed, tqi_outcome *outcome,
                    tq_error *error)
{
    tq_error ours;
    bool done = true;

    *completed = false;
    if (pulse->comm->size == 1) {
        vote_alone(vote, outcome);
        *completed = true;
        return;
    }
    tqi_error_clear(&ours);
    if (pulse->state == TQI_RESTING) {
        if (same_vote(vote, &pulse->last) && !vote->wants_round && tqi_now_s() < pulse->due)
            return;
        begin_vote(pulse, vote, &ours);
        *moved = true;
    }
    while (done && !*completed && !ours.status) {
        advance(pulse, &done, completed, outcome, &ours);
        *moved |= done;
    }
    if (ours.status && !error->status)
        *error = ours;
}
