#include "mpi/control.h"

#include "common/error.h"
#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 64 << 20 };

/* A share on its way to a rank, with its chunk behind it. */
struct tqi_delivery {
    struct tqi_delivery *next;
    tqi_share share;
    tqi_chunk *chunk; /* NULL without one */
    int n_requests;
    MPI_Request requests[];
};

tq_status tqi_control_init(tqi_control *control, const tqi_comm *comm, tqi_hub *hub, tqi_budget *budget)
{
    *control = (tqi_control){.comm = comm,
                             .hub = hub,
                             .budget = budget,
                             .receiving = MPI_REQUEST_NULL,
                             .requesting = MPI_REQUEST_NULL,
                             .reporting = MPI_REQUEST_NULL};
    control->waiting = calloc((size_t)comm->size, sizeof *control->waiting);
    return control->waiting ? TQ_OK : TQ_E_MEMORY;
}

void tqi_control_free(tqi_control *control)
{
    free(control->waiting);
    control->waiting = NULL;
    tqi_chunk_free(control->chunk);
    control->chunk = NULL;
}

/* ---- Rank 0 ---- */

static tq_status send_share(tqi_control *control, int rank, const tqi_share *share, tqi_chunk *chunk, tq_error *error)
{
    uint64_t bytes = chunk ? chunk->size : 0;
    int pieces = (int)(bytes / PIECE_BYTES + (bytes % PIECE_BYTES != 0));
    struct tqi_delivery *delivery = malloc(sizeof *delivery + (size_t)(1 + pieces) * sizeof(MPI_Request));
    MPI_Comm comm = control->comm->control;

    if (!delivery) {
        tqi_chunk_free(chunk);
        return tqi_fail_memory(error, sizeof *delivery, "handing out work");
    }
    *delivery = (struct tqi_delivery){control->deliveries, *share, chunk, 1 + pieces};
    control->deliveries = delivery;
    int code = MPI_Isend(&delivery->share, sizeof delivery->share, MPI_BYTE, rank, TQI_TAG_SHARE, comm,
                         &delivery->requests[0]);
    for (int i = 0; i < pieces && code == MPI_SUCCESS; i++) {
        uint64_t at = (uint64_t)i * PIECE_BYTES;
        int size = (int)(bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES);

        code = MPI_Isend(chunk->data + at, size, MPI_BYTE, rank, TQI_TAG_CHUNK, comm, &delivery->requests[1 + i]);
    }
    tqi_bells_ring(control->comm->bells, rank);
    return tqi_mpi_check(code, "MPI_Isend", error);
}

static tq_status reap_deliveries(tqi_control *control, bool *moved, tq_error *error)
{
    struct tqi_delivery **link = &control->deliveries;

    while (*link) {
        struct tqi_delivery *delivery = *link;
        int done = 0;
        int code = MPI_Testall(delivery->n_requests, delivery->requests, &done, MPI_STATUSES_IGNORE);

        if (code != MPI_SUCCESS)
            return tqi_mpi_check(code, "MPI_Testall", error);
        if (!done) {
            link = &delivery->next;
            continue;
        }
        *moved = true;
        *link = delivery->next;
        tqi_chunk_free(delivery->chunk);
        free(delivery);
    }
    return TQ_OK;
}

static void answer_self(tqi_control *control, const tqi_share *share, tqi_chunk *chunk)
{
    control->share = *share;
    control->chunk = chunk;
    control->answered = true;
}

static tq_status answer(tqi_control *control, int rank, const tqi_share *share, tqi_chunk *chunk, tq_error *error)
{
    if (rank != 0)
        return send_share(control, rank, share, chunk, error);
    answer_self(control, share, chunk);
    return TQ_OK;
}

/* What the next request gets. *ready = false: the feeder has nothing yet. */
static tq_status next_share(tqi_control *control, bool *ready, tqi_share *share, tqi_chunk **chunk, tq_error *error)
{
    *share = (tqi_share){.kind = TQI_SHARE_OVER};
    *chunk = NULL;
    *ready = true;
    if (control->closing || (control->feeder && control->fed))
        return TQ_OK;
    if (!control->feeder) {
        share->range = tqi_schedule_next(&control->schedule);
        share->kind = share->range.count ? TQI_SHARE_RANGE : TQI_SHARE_OVER;
        return TQ_OK;
    }
    tq_status status = tqi_feeder_take(control->feeder, chunk, error);
    if (status == TQ_E_AGAIN) {
        *ready = false;
        return TQ_OK;
    }
    if (status)
        return status;
    if (!*chunk) {
        control->fed = true;
        return TQ_OK;
    }
    control->chunks++;
    *share = (tqi_share){.kind = TQI_SHARE_CHUNK,
                         .file = (*chunk)->file,
                         .offset = (*chunk)->offset,
                         .bytes = (*chunk)->size,
                         .header = (*chunk)->header,
                         .repeated = (*chunk)->repeated};
    return TQ_OK;
}

static tq_status answer_waiting(tqi_control *control, bool *moved, tq_error *error)
{
    while (control->waiting_n > 0) {
        tqi_share share;
        tqi_chunk *chunk;
        bool ready;
        tq_status status = next_share(control, &ready, &share, &chunk, error);

        if (status || !ready)
            return status;
        int rank = control->waiting[control->waiting_first];
        control->waiting_first = (control->waiting_first + 1) % control->comm->size;
        control->waiting_n--;
        *moved = true;
        status = answer(control, rank, &share, chunk, error);
        if (status)
            return status;
    }
    return TQ_OK;
}

static void enqueue(tqi_control *control, int rank)
{
    control->waiting[(control->waiting_first + control->waiting_n++) % control->comm->size] = rank;
}

static tq_status serve_rank0(tqi_control *control, bool *moved, tq_error *error)
{
    tqi_rank_progress progress;
    int from = 0;
    tq_status status = TQ_OK;

    while (!status && from >= 0) {
        status = tqi_comm_poll(control->comm, TQI_TAG_REQUEST, NULL, 0, &from, error);
        if (!status && from >= 0)
            enqueue(control, from);
    }
    for (from = 0; !status && from >= 0;) {
        status = tqi_comm_poll(control->comm, TQI_TAG_PROGRESS, &progress, sizeof progress, &from, error);
        if (!status && from >= 0)
            tqi_hub_set_rank(control->hub, from, &progress);
    }
    if (!status)
        status = reap_deliveries(control, moved, error);
    return status;
}

/* ---- Every rank ---- */

tq_status tqi_control_ask(tqi_control *control, tq_error *error)
{
    if (control->asked)
        return TQ_OK;
    control->asked = true;
    if (control->comm->rank == 0) {
        enqueue(control, 0);
        return TQ_OK;
    }
    int code = MPI_Isend(NULL, 0, MPI_BYTE, 0, TQI_TAG_REQUEST, control->comm->control, &control->requesting);
    tqi_bells_ring(control->comm->bells, 0);
    return tqi_mpi_check(code, "MPI_Isend", error);
}

void tqi_control_take(tqi_control *control, bool *got, tqi_share *share, tqi_chunk **chunk)
{
    *got = control->answered;
    if (!control->answered)
        return;
    *share = control->share;
    *chunk = control->chunk;
    control->chunk = NULL;
    control->answered = control->asked = false;
}

tq_status tqi_control_report(tqi_control *control, const tqi_rank_progress *progress, tq_error *error)
{
    int done = 1;

    if (control->comm->rank == 0) {
        tqi_hub_set_rank(control->hub, 0, progress);
        return TQ_OK;
    }
    tqi_hub_set_rank(control->hub, control->comm->rank, progress);
    int code = MPI_Test(&control->reporting, &done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS || !done)
        return tqi_mpi_check(code, "MPI_Test", error);
    control->report = *progress;
    code = MPI_Isend(&control->report, sizeof control->report, MPI_BYTE, 0, TQI_TAG_PROGRESS, control->comm->control,
                     &control->reporting);
    return tqi_mpi_check(code, "MPI_Isend", error);
}

static tq_status receive_piece(tqi_control *control, tq_error *error)
{
    uint64_t left = control->share.bytes - control->received;
    int size = (int)(left < PIECE_BYTES ? left : PIECE_BYTES);
    int code = MPI_Irecv(control->chunk->data + control->received, size, MPI_BYTE, 0, TQI_TAG_CHUNK,
                         control->comm->control, &control->receiving);

    control->received += (uint64_t)size;
    return tqi_mpi_check(code, "MPI_Irecv", error);
}

/* The bytes of a chunk must be received, budget or not: rank 0 is sending them. */
static tq_status start_chunk(tqi_control *control, tq_error *error)
{
    control->chunk = tqi_chunk_force(control->budget, control->share.bytes);
    if (!control->chunk)
        return tqi_fail(error, TQ_E_MPI, "no memory to receive %llu bytes of input",
                        (unsigned long long)control->share.bytes);
    control->chunk->file = control->share.file;
    control->chunk->offset = control->share.offset;
    control->chunk->size = control->share.bytes;
    control->chunk->header = control->share.header;
    control->chunk->repeated = control->share.repeated;
    control->received = 0;
    return receive_piece(control, error);
}

static tq_status serve_other(tqi_control *control, bool *moved, tq_error *error)
{
    int from, done = 0;
    tq_status status;

    if (!control->asked || control->answered)
        return TQ_OK;
    if (control->chunk) { /* a chunk is coming in */
        int code = MPI_Test(&control->receiving, &done, MPI_STATUS_IGNORE);

        if (code != MPI_SUCCESS || !done)
            return tqi_mpi_check(code, "MPI_Test", error);
        *moved = true;
        tqi_bells_ring(control->comm->bells, 0); /* it waits for this piece to be taken */
        if (control->received < control->share.bytes)
            return receive_piece(control, error);
        control->answered = true;
        return TQ_OK;
    }
    status = tqi_comm_poll(control->comm, TQI_TAG_SHARE, &control->share, sizeof control->share, &from, error);
    if (status || from < 0)
        return status;
    *moved = true;
    if (control->share.kind == TQI_SHARE_CHUNK)
        return start_chunk(control, error);
    control->answered = true;
    return TQ_OK;
}

tq_status tqi_control_serve(tqi_control *control, bool *moved, tq_error *error)
{
    tq_status status = TQ_OK;

    if (control->comm->size > 1)
        status = control->comm->rank == 0 ? serve_rank0(control, moved, error) : serve_other(control, moved, error);
    if (!status && control->comm->rank == 0)
        status = answer_waiting(control, moved, error);
    return status;
}

/* Output that nobody wants any more, and farewells. */
static tq_status take_leave_messages(tqi_control *control, bool *moved, tq_error *error)
{
    MPI_Status probed;
    MPI_Message message;
    int there = 0, size = 0, from;
    tq_status status = tqi_comm_poll(control->comm, TQI_TAG_FAREWELL, NULL, 0, &from, error);

    if (!status && from >= 0) {
        control->farewells++;
        *moved = true;
    }
    if (status)
        return status;
    int code = MPI_Improbe(MPI_ANY_SOURCE, TQI_TAG_TEXT, control->comm->control, &there, &message, &probed);
    if (code != MPI_SUCCESS || !there)
        return tqi_mpi_check(code, "MPI_Improbe", error);
    MPI_Get_count(&probed, MPI_BYTE, &size);
    void *discarded = malloc(size ? (size_t)size : 1);
    if (!discarded)
        return tqi_fail(error, TQ_E_MPI, "no memory to take leave of the other ranks");
    code = MPI_Mrecv(discarded, size, MPI_BYTE, &message, MPI_STATUS_IGNORE);
    free(discarded);
    *moved = true;
    return tqi_mpi_check(code, "MPI_Mrecv", error);
}

static tq_status say_farewell(tqi_control *control, tq_error *error)
{
    MPI_Request request;
    tq_status status = TQ_OK;
    int code;

    if (control->requesting != MPI_REQUEST_NULL)
        status = tqi_comm_await(control->comm, &control->requesting, "MPI_Isend", error);
    if (!status && control->reporting != MPI_REQUEST_NULL)
        status = tqi_comm_await(control->comm, &control->reporting, "MPI_Isend", error);
    if (status)
        return status;
    code = MPI_Isend(NULL, 0, MPI_BYTE, 0, TQI_TAG_FAREWELL, control->comm->control, &request);
    tqi_bells_ring(control->comm->bells, 0);
    status = tqi_mpi_check(code, "MPI_Isend", error);
    return status ? status : tqi_comm_await(control->comm, &request, "MPI_Isend", error);
}

tq_status tqi_control_close(tqi_control *control, tq_error *error)
{
    const tqi_comm *comm = control->comm;
    unsigned rest_us = 0;
    tq_status status = TQ_OK;

    control->closing = true;
    if (comm->size == 1)
        return TQ_OK;
    /* A rank waits for the answer to its request, rank 0 for all farewells and for its own deliveries. */
    while (!status && (comm->rank == 0 ? control->farewells < comm->size - 1 || control->deliveries != NULL
                                       : control->asked && !control->answered)) {
        bool moved = false;

        status = tqi_control_serve(control, &moved, error);
        if (!status && comm->rank == 0)
            status = take_leave_messages(control, &moved, error);
        if (moved)
            rest_us = 0;
        else
            tqi_comm_pause(comm, &rest_us);
    }
    if (!status && comm->rank != 0)
        return say_farewell(control, error);
    /* What was sent before the farewells is here by now; take it, so that the next job does not. */
    bool moved;
    return status ? status : tqi_control_serve(control, &moved, error);
}
