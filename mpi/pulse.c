#include "mpi/pulse.h"

#include "common/clock.h"
#include "common/error.h"
#include <stdlib.h>

/* What a statement and a decision are made of. */
enum { TURN, SAID };
enum { DECISION, FAILED_RANK };

bool tqi_pulse_init(tqi_pulse *pulse, const tqi_comm *comm)
{
    *pulse = (tqi_pulse){.comm = comm, .stating = MPI_REQUEST_NULL};
    if (comm->size == 1 || comm->rank != 0)
        return true;
    pulse->telling = malloc((size_t)comm->size * sizeof *pulse->telling);
    for (int r = 0; pulse->telling && r < comm->size; r++)
        pulse->telling[r] = MPI_REQUEST_NULL;
    return tqi_tally_init(&pulse->tally, comm->size) && pulse->telling;
}

void tqi_pulse_free(tqi_pulse *pulse)
{
    tqi_tally_free(&pulse->tally);
    free(pulse->telling);
    pulse->telling = NULL;
}

static void next_turn(tqi_pulse *pulse)
{
    pulse->state = TQI_LISTENING;
    pulse->turn++;
    pulse->said = TQI_SAYS_BUSY;
    if (pulse->tally.said)
        tqi_tally_next(&pulse->tally);
}

void tqi_pulse_start(tqi_pulse *pulse, tqi_exchange *exchange)
{
    pulse->exchange = exchange;
    next_turn(pulse);
}

bool tqi_pulse_broken(const tq_error *error)
{
    return error->status == TQ_E_MPI;
}

/* Alone, the decision is what this rank says. */
static void decide_alone(const tqi_vote *vote, tqi_outcome *outcome)
{
    *outcome = (tqi_outcome){vote->failed ? 0 : -1, vote->cancelled, vote->busy};
}

static unsigned statement_of(const tqi_pulse *pulse, const tqi_vote *vote)
{
    unsigned said = (vote->busy ? TQI_SAYS_BUSY : 0) | (vote->failed ? TQI_SAYS_FAILED : 0) |
                    (vote->cancelled ? TQI_SAYS_CANCELLED : 0);

    if (!vote->wants_round || !pulse->exchange)
        return said;
    return said | TQI_SAYS_ROUND | (tqi_exchange_is_full(pulse->exchange) ? TQI_SAYS_URGENT : 0);
}

/* ---- Rank 0 ---- */

static tq_status hear(tqi_pulse *pulse, bool *moved, tq_error *error)
{
    uint64_t statement[2];
    int from = 0;

    for (;;) {
        tq_status status = tqi_comm_poll(pulse->comm, TQI_TAG_STATEMENT, statement, sizeof statement, &from, error);

        if (status || from < 0)
            return status;
        *moved = true;
        tqi_tally_hear(&pulse->tally, from, statement[TURN], (unsigned)statement[SAID], tqi_now_s());
    }
}

/* *told = false: a message of the decision before is still on its way. */
static tq_status tell(tqi_pulse *pulse, const int64_t decision[2], bool *told, tq_error *error)
{
    const tqi_comm *comm = pulse->comm;
    int done = 0;
    int code = MPI_Testall(comm->size, pulse->telling, &done, MPI_STATUSES_IGNORE);

    *told = done != 0;
    if (code != MPI_SUCCESS || !done)
        return tqi_mpi_check(code, "MPI_Testall", error);
    pulse->decision[DECISION] = decision[DECISION];
    pulse->decision[FAILED_RANK] = decision[FAILED_RANK];
    for (int r = 1; r < comm->size && code == MPI_SUCCESS; r++) {
        code = MPI_Isend(pulse->decision, sizeof pulse->decision, MPI_BYTE, r, TQI_TAG_DECISION, comm->control,
                         &pulse->telling[r]);
        tqi_bells_ring(comm->bells, r);
    }
    return tqi_mpi_check(code, "MPI_Isend", error);
}

static tq_status decide(tqi_pulse *pulse, unsigned said, bool *moved, int64_t decision[2], tq_error *error)
{
    int failed;
    bool told = false;
    tq_status status = hear(pulse, moved, error);

    decision[DECISION] = TQI_GO_ON;
    if (status)
        return status;
    tqi_tally_hear(&pulse->tally, 0, pulse->turn, said, tqi_now_s());
    int64_t made[2] = {tqi_tally_decide(&pulse->tally, tqi_now_s(), &failed), failed};
    if (made[DECISION] == TQI_GO_ON)
        return TQ_OK;
    status = tell(pulse, made, &told, error);
    if (told) {
        decision[DECISION] = made[DECISION];
        decision[FAILED_RANK] = made[FAILED_RANK];
    }
    return status;
}

/* ---- The others ---- */

/* Tell rank 0 what is new, unless the statement before is still on its way. */
static tq_status state(tqi_pulse *pulse, unsigned said, tq_error *error)
{
    int done = 0;

    if (said == pulse->said)
        return TQ_OK;
    int code = MPI_Test(&pulse->stating, &done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS || !done)
        return tqi_mpi_check(code, "MPI_Test", error);
    pulse->said = said;
    pulse->statement[TURN] = pulse->turn;
    pulse->statement[SAID] = said;
    code = MPI_Isend(pulse->statement, sizeof pulse->statement, MPI_BYTE, 0, TQI_TAG_STATEMENT, pulse->comm->control,
                     &pulse->stating);
    tqi_bells_ring(pulse->comm->bells, 0);
    return tqi_mpi_check(code, "MPI_Isend", error);
}

static tq_status state_and_listen(tqi_pulse *pulse, unsigned said, int64_t decision[2], tq_error *error)
{
    int from;
    tq_status status = state(pulse, said, error);

    decision[DECISION] = TQI_GO_ON;
    return status ? status
                  : tqi_comm_poll(pulse->comm, TQI_TAG_DECISION, decision, 2 * sizeof decision[0], &from, error);
}

/* ---- All ---- */

static tq_status follow(tqi_pulse *pulse, const int64_t decision[2], bool *completed, tqi_outcome *outcome,
                        tq_error *error)
{
    if (decision[DECISION] == TQI_ROUND) {
        pulse->state = TQI_COUNTING;
        return tqi_exchange_begin_counts(pulse->exchange, error);
    }
    bool stop = decision[DECISION] == TQI_STOP;
    *completed = true;
    *outcome = (tqi_outcome){stop ? (int)decision[FAILED_RANK] : -1, stop && decision[FAILED_RANK] < 0, false};
    return TQ_OK;
}

/* The next step of a round, if the one that is under way is over. */
static tq_status go_on_with_round(tqi_pulse *pulse, bool *done, bool *completed, tqi_outcome *outcome, tq_error *error)
{
    tq_status status = tqi_exchange_test(pulse->exchange, done, error);

    if (status || !*done)
        return status;
    if (pulse->state == TQI_COUNTING) {
        pulse->state = TQI_MOVING;
        return tqi_exchange_begin_data(pulse->exchange, error);
    }
    status = tqi_exchange_finish(pulse->exchange, error);
    next_turn(pulse);
    *completed = true;
    *outcome = (tqi_outcome){-1, false, true};
    return status;
}

void tqi_pulse_step(tqi_pulse *pulse, const tqi_vote *vote, bool *moved, bool *completed, tqi_outcome *outcome,
                    tq_error *error)
{
    tq_error ours;
    bool done = true;

    *completed = false;
    if (pulse->comm->size == 1) {
        decide_alone(vote, outcome);
        *completed = true;
        return;
    }
    tqi_error_clear(&ours);
    if (pulse->state == TQI_LISTENING) {
        int64_t decision[2];
        unsigned said = statement_of(pulse, vote);
        tq_status status = pulse->comm->rank == 0 ? decide(pulse, said, moved, decision, &ours)
                                                  : state_and_listen(pulse, said, decision, &ours);

        done = !status && decision[DECISION] != TQI_GO_ON;
        if (done)
            follow(pulse, decision, completed, outcome, &ours);
        *moved |= done;
    }
    while (done && !*completed && !ours.status) {
        go_on_with_round(pulse, &done, completed, outcome, &ours);
        *moved |= done;
    }
    if (ours.status && !error->status)
        *error = ours;
}

tq_status tqi_pulse_finish(tqi_pulse *pulse, tq_error *error)
{
    tq_status status = TQ_OK;

    if (pulse->stating != MPI_REQUEST_NULL)
        status = tqi_comm_await(pulse->comm, &pulse->stating, "MPI_Isend", error);
    for (int r = 1; pulse->telling && r < pulse->comm->size && !status; r++)
        if (pulse->telling[r] != MPI_REQUEST_NULL)
            status = tqi_comm_await(pulse->comm, &pulse->telling[r], "MPI_Isend", error);
    return status;
}

tq_status tqi_pulse_clear(tqi_pulse *pulse, tq_error *error)
{
    bool moved;

    return pulse->comm->size > 1 && pulse->comm->rank == 0 ? hear(pulse, &moved, error) : TQ_OK;
}
