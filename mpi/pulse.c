#include "mpi/pulse.h"

#include "common/clock.h"
#include "common/error.h"
#include <stdlib.h>

bool tqi_pulse_init(tqi_pulse *pulse, const tqi_comm *comm)
{
    int children = tqi_comm_children(comm);

    *pulse = (tqi_pulse){.comm = comm, .stating = MPI_REQUEST_NULL};
    pulse->tellings = malloc(((size_t)children + 1) * sizeof *pulse->tellings);
    for (int i = 0; pulse->tellings && i < children; i++)
        pulse->tellings[i] = MPI_REQUEST_NULL;
    return tqi_tally_init(&pulse->tally, 1 + children) && pulse->tellings;
}

void tqi_pulse_free(tqi_pulse *pulse)
{
    tqi_tally_free(&pulse->tally);
    free(pulse->tellings);
    pulse->tellings = NULL;
}

static void next_turn(tqi_pulse *pulse)
{
    pulse->state = TQI_LISTENING;
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

static tqi_statement statement_of(const tqi_pulse *pulse, const tqi_vote *vote)
{
    uint32_t said = (vote->failed ? TQI_SAYS_FAILED : 0) | (vote->cancelled ? TQI_SAYS_CANCELLED : 0);

    if (vote->wants_round && pulse->exchange)
        said |= TQI_SAYS_ROUND | (tqi_exchange_is_full(pulse->exchange) ? TQI_SAYS_URGENT : 0);
    else
        said |= vote->busy ? TQI_SAYS_BUSY : 0;
    return (tqi_statement){pulse->tally.turn, said, vote->failed ? pulse->comm->rank : -1};
}

/* ---- Up the tree ---- */

static tq_status hear_children(tqi_pulse *pulse, bool *moved, tq_error *error)
{
    const tqi_comm *comm = pulse->comm;
    tqi_statement statement;
    int from = 0;

    while (pulse->tally.speakers > 1) {
        tq_status status = tqi_comm_poll(comm, TQI_TAG_STATEMENT, &statement, sizeof statement, &from, error);

        if (status || from < 0)
            return status;
        *moved = true;
        pulse->silent += statement.said == TQI_SAYS_LAST ? 1 : 0;
        tqi_tally_hear(&pulse->tally, 1 + from - tqi_comm_first_child(comm), &statement, tqi_now_s());
    }
    return TQ_OK;
}

static bool is_news(const tqi_pulse *pulse, const tqi_statement *statement)
{
    const tqi_statement *before = &pulse->stated;

    if (statement->turn != before->turn) /* nothing was said in this turn, which stands for busy */
        return statement->said != TQI_SAYS_BUSY;
    return statement->said != before->said || statement->failed != before->failed;
}

/* Tell the parent what is new, unless the statement before is still on its way. */
static tq_status state(tqi_pulse *pulse, const tqi_statement *statement, bool *stated, tq_error *error)
{
    const tqi_comm *comm = pulse->comm;
    int done = 0;
    int code = MPI_Test(&pulse->stating, &done, MPI_STATUS_IGNORE);

    *stated = done != 0;
    if (code != MPI_SUCCESS || !done)
        return tqi_mpi_check(code, "MPI_Test", error);
    pulse->stated = *statement;
    code = MPI_Isend(&pulse->stated, sizeof pulse->stated, MPI_BYTE, tqi_comm_parent(comm), TQI_TAG_STATEMENT,
                     comm->control, &pulse->stating);
    tqi_bells_ring(comm->bells, tqi_comm_parent(comm));
    return tqi_mpi_check(code, "MPI_Isend", error);
}

/* ---- Down the tree ---- */

/* A decision: rank 0 makes it, the others are told. */
static tq_status get_decision(tqi_pulse *pulse, tq_error *error)
{
    tqi_statement all;
    tq_status status = TQ_OK;
    bool stated;
    int failed, from;

    if (pulse->comm->rank == 0) {
        pulse->decided.decision = tqi_tally_decide(&pulse->tally, tqi_now_s(), &failed);
        pulse->decided.failed = failed;
        pulse->has_decided = pulse->decided.decision != TQI_GO_ON;
        return TQ_OK;
    }
    all = tqi_tally_sum(&pulse->tally);
    if (is_news(pulse, &all))
        status = state(pulse, &all, &stated, error);
    if (!status)
        status = tqi_comm_poll(pulse->comm, TQI_TAG_DECISION, &pulse->decided, sizeof pulse->decided, &from, error);
    pulse->has_decided = !status && from >= 0;
    return status;
}

/* *passed = false: a message of the decision before is still on its way. */
static tq_status pass_on(tqi_pulse *pulse, bool *passed, tq_error *error)
{
    const tqi_comm *comm = pulse->comm;
    int done = 0;
    int code = MPI_Testall(tqi_comm_children(comm), pulse->tellings, &done, MPI_STATUSES_IGNORE);

    *passed = done != 0;
    if (code != MPI_SUCCESS || !done)
        return tqi_mpi_check(code, "MPI_Testall", error);
    pulse->telling = pulse->decided;
    pulse->has_decided = false;
    for (int i = 0; i < tqi_comm_children(comm) && code == MPI_SUCCESS; i++) {
        int child = tqi_comm_first_child(comm) + i;

        code = MPI_Isend(&pulse->telling, sizeof pulse->telling, MPI_BYTE, child, TQI_TAG_DECISION, comm->control,
                         &pulse->tellings[i]);
        tqi_bells_ring(comm->bells, child);
    }
    return tqi_mpi_check(code, "MPI_Isend", error);
}

/* *passed: there is a decision for this rank, and its children are being told. */
static tq_status listen(tqi_pulse *pulse, const tqi_vote *vote, bool *moved, bool *passed, tq_error *error)
{
    tqi_statement own = statement_of(pulse, vote);
    tq_status status = TQ_OK;

    *passed = false;
    if (!pulse->has_decided) {
        status = hear_children(pulse, moved, error);
        tqi_tally_hear(&pulse->tally, 0, &own, tqi_now_s());
        if (!status)
            status = get_decision(pulse, error);
    }
    return status || !pulse->has_decided ? status : pass_on(pulse, passed, error);
}

/* ---- What was decided ---- */

static tq_status follow(tqi_pulse *pulse, bool *completed, tqi_outcome *outcome, tq_error *error)
{
    const tqi_order *order = &pulse->decided;
    bool stop = order->decision == TQI_STOP;

    if (order->decision == TQI_ROUND) {
        pulse->state = TQI_COUNTING;
        return tqi_exchange_begin_counts(pulse->exchange, error);
    }
    *completed = true;
    *outcome = (tqi_outcome){stop ? (int)order->failed : -1, stop && order->failed < 0, false};
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
        listen(pulse, vote, moved, &done, &ours);
        if (done && !ours.status)
            follow(pulse, completed, outcome, &ours);
        *moved |= done;
    }
    while (done && !*completed && !ours.status) {
        go_on_with_round(pulse, &done, completed, outcome, &ours);
        *moved |= done;
    }
    if (ours.status && !error->status)
        *error = ours;
}

/* Behind a child's last statement there is none that came too late to matter, and a child that has made it knows all
 * decisions. */
tq_status tqi_pulse_finish(tqi_pulse *pulse, tq_error *error)
{
    const tqi_comm *comm = pulse->comm;
    const tqi_statement last = {pulse->tally.turn, TQI_SAYS_LAST, -1};
    bool stated = comm->rank == 0;
    unsigned rest_us = 0;
    tq_status status = TQ_OK;

    while (!status && comm->size > 1 && (!stated || pulse->silent < tqi_comm_children(comm))) {
        bool moved = false;

        if (!stated) {
            status = state(pulse, &last, &stated, error);
            moved = stated;
        }
        if (!status)
            status = hear_children(pulse, &moved, error);
        if (moved)
            rest_us = 0;
        else
            tqi_comm_pause(comm, &rest_us);
    }
    if (!status && pulse->stating != MPI_REQUEST_NULL)
        status = tqi_comm_await(comm, &pulse->stating, "MPI_Isend", error);
    for (int i = 0; i < tqi_comm_children(comm) && !status; i++)
        if (pulse->tellings[i] != MPI_REQUEST_NULL)
            status = tqi_comm_await(comm, &pulse->tellings[i], "MPI_Isend", error);
    return status;
}
