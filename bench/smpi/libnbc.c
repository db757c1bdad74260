/* The non-blocking collectives that tequio uses, as Open MPI 4.1's libnbc sends them by default: a schedule of sends
 * and receives, in rounds, that goes on when MPI is called and not in between.
 *
 *     MPI_Ibcast                     a binomial tree (libnbc's own choice for more than 4 ranks)
 *     MPI_Igather(v), MPI_Iscatter   rank 0 and every other rank
 *     MPI_Ialltoall(v)               everybody and everybody, at once; without messages of no bytes in the latter
 *
 * All ranks are contexts in one thread of one process, and nothing here is privatized: tables are indexed by rank. */
#include "bench/smpi/meter.h"
#include "bench/smpi/shim.h"

#include "mpi/comm.h"
#include <stdlib.h>
#include <string.h>

/* Tags behind tequio's own (mpi/comm.h), which it uses on the same communicator. */
enum { FIRST_TAG = 100, TAGS = 30000 };

static int ranks;

static int world_rank(void)
{
    int rank;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

/* ---- Schedules ---- */

typedef enum action_kind { SEND, RECEIVE, BARRIER } action_kind;

typedef struct action {
    action_kind kind;
    void *bytes;
    int count, peer;
    MPI_Datatype type;
} action;

typedef struct schedule {
    struct schedule *next; /* of the same rank */
    tqs_kind what;
    int rank, tag;
    MPI_Comm comm;
    double begun;
    action *actions;
    size_t n, capacity, at;
    MPI_Request *requests;
    size_t n_requests;
} schedule;

static schedule *under_way[TQS_MOST_RANKS];
static int sequence[TQS_MOST_RANKS];

static schedule *schedule_new(tqs_kind what, MPI_Comm comm)
{
    schedule *made = calloc(1, sizeof *made);

    made->what = what;
    made->comm = comm;
    made->begun = MPI_Wtime();
    made->rank = world_rank();
    MPI_Comm_size(comm, &ranks);
    made->tag = FIRST_TAG + sequence[made->rank]++ % TAGS;
    return made;
}

static void add(schedule *to, action what)
{
    if (to->n == to->capacity) {
        to->capacity = to->capacity ? 2 * to->capacity : 16;
        to->actions = realloc(to->actions, to->capacity * sizeof *to->actions);
    }
    to->actions[to->n++] = what;
}

static void send_to(schedule *to, const void *bytes, int count, MPI_Datatype type, int peer)
{
    add(to, (action){SEND, (void *)bytes, count, peer, type});
}

static void receive_from(schedule *to, void *bytes, int count, MPI_Datatype type, int peer)
{
    add(to, (action){RECEIVE, bytes, count, peer, type});
}

static void barrier(schedule *to)
{
    add(to, (action){.kind = BARRIER});
}

/* Post the messages of the next round. */
static void start_round(schedule *of)
{
    for (; of->at < of->n && of->actions[of->at].kind != BARRIER; of->at++) {
        const action *now = &of->actions[of->at];

        MPI_Request *request = &of->requests[of->n_requests++];
        if (now->kind == RECEIVE) {
            MPI_Irecv(now->bytes, now->count, now->type, now->peer, of->tag, of->comm, request);
        } else {
            tqs_count_message(of->what, now->count, now->type);
            PMPI_Isend(now->bytes, now->count, now->type, now->peer, of->tag, of->comm, request);
        }
    }
    if (of->at < of->n)
        of->at++;
}

/* Go on as far as it goes without waiting. Returns whether it is over. */
static int advance(schedule *of)
{
    for (;;) {
        while (of->n_requests > 0) {
            int done = 0;

            PMPI_Test(&of->requests[of->n_requests - 1], &done, MPI_STATUS_IGNORE);
            if (!done)
                return 0;
            of->n_requests--;
        }
        if (of->at == of->n)
            return 1;
        start_round(of);
    }
}

static void finish(schedule *of)
{
    schedule **link = &under_way[of->rank];

    while (*link != of)
        link = &(*link)->next;
    *link = of->next;
    if (of->rank == 0)
        tqs_count_call(of->what, of->begun);
    free(of->actions);
    free(of->requests);
    free(of);
}

static int start(schedule *of, MPI_Request *request)
{
    of->requests = malloc((of->n + 1) * sizeof *of->requests);
    of->next = under_way[of->rank];
    under_way[of->rank] = of;
    *request = (MPI_Request)(void *)of;
    start_round(of);
    return MPI_SUCCESS;
}

/* Any MPI call lets the collectives of its rank go on. */
static void progress(int rank)
{
    for (schedule *of = under_way[rank]; of; of = of->next)
        advance(of);
}

int tqs_test(MPI_Request *request, int *done, MPI_Status *status)
{
    int rank = world_rank();

    for (schedule *of = under_way[rank]; of; of = of->next) {
        if ((void *)of != (void *)*request)
            continue;
        *done = advance(of);
        if (*done) {
            finish(of);
            *request = MPI_REQUEST_NULL;
        }
        return MPI_SUCCESS;
    }
    progress(rank);
    if (*request == MPI_REQUEST_NULL) { /* SMPI says nothing of such a request if no status is asked for */
        *done = 1;
        return MPI_SUCCESS;
    }
    return PMPI_Test(request, done, status);
}

int tqs_iprobe(int from, int tag, MPI_Comm comm, int *there, MPI_Status *status)
{
    int rank = world_rank();

    progress(rank);
    int code = PMPI_Iprobe(from, tag, comm, there, status);
    if (code == MPI_SUCCESS && *there && tag != TQI_TAG_TEXT)
        tqs_note_seen(tag, status->MPI_SOURCE, rank);
    return code;
}

int tqs_isend(const void *bytes, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
    tqs_count_message(tqs_kind_of(tag), count, type);
    tqs_note_sent(tag, world_rank(), to);
    return PMPI_Isend(bytes, count, type, to, tag, comm, request);
}

struct tqs_message {
    int from, tag;
    MPI_Comm comm;
};

int tqs_improbe(int from, int tag, MPI_Comm comm, int *there, tqs_message *message, MPI_Status *status)
{
    int code = tqs_iprobe(from, tag, comm, there, status);

    if (code != MPI_SUCCESS || !*there)
        return code;
    *message = malloc(sizeof **message);
    **message = (struct tqs_message){status->MPI_SOURCE, tag, comm};
    return MPI_SUCCESS;
}

static struct tqs_message take(tqs_message *message)
{
    struct tqs_message taken = **message;

    free(*message);
    *message = NULL;
    return taken;
}

int tqs_imrecv(void *bytes, int count, MPI_Datatype type, tqs_message *message, MPI_Request *request)
{
    struct tqs_message of = take(message);

    return MPI_Irecv(bytes, count, type, of.from, of.tag, of.comm, request);
}

int tqs_mrecv(void *bytes, int count, MPI_Datatype type, tqs_message *message, MPI_Status *status)
{
    struct tqs_message of = take(message);

    return MPI_Recv(bytes, count, type, of.from, of.tag, of.comm, status);
}

/* ---- The collectives ---- */

static void copy(void *to, const void *from, int count, MPI_Datatype type)
{
    int size;

    MPI_Type_size(type, &size);
    memcpy(to, from, (size_t)count * (size_t)size);
}

static int rank_in(MPI_Comm comm)
{
    int rank;

    MPI_Comm_rank(comm, &rank);
    return rank;
}

/* From root to all: who has the bytes sends them on. place is the distance from root. */
static void tree_down(schedule *of, void *bytes, int count, MPI_Datatype type, int root, int place)
{
    int bit = 1;

    if (place > 0) {
        while (2 * bit <= place)
            bit *= 2;
        receive_from(of, bytes, count, type, (place - bit + root) % ranks);
        barrier(of);
        bit *= 2;
    }
    for (; place + bit < ranks; bit *= 2)
        send_to(of, bytes, count, type, (place + bit + root) % ranks);
}

int tqs_ibcast(void *bytes, int count, MPI_Datatype type, int root, MPI_Comm comm, MPI_Request *request)
{
    schedule *of = schedule_new(TQS_BCAST, comm);

    tree_down(of, bytes, count, type, root, (rank_in(comm) - root + ranks) % ranks);
    return start(of, request);
}

static char *place_in(const void *base, MPI_Datatype type, long index)
{
    int size;

    MPI_Type_size(type, &size);
    return (char *)base + index * size;
}

int tqs_igather(const void *mine, int count, MPI_Datatype type, void *all, int each, MPI_Datatype all_type, int root,
                MPI_Comm comm, MPI_Request *request)
{
    schedule *of = schedule_new(TQS_GATHER, comm);
    int rank = rank_in(comm);

    if (rank == root)
        copy(place_in(all, all_type, (long)rank * each), mine, count, type);
    else
        send_to(of, mine, count, type, root);
    for (int r = 0; r < ranks && rank == root; r++)
        if (r != rank)
            receive_from(of, place_in(all, all_type, (long)r * each), each, all_type, r);
    return start(of, request);
}

int tqs_igatherv(const void *mine, int count, MPI_Datatype type, void *all, const int *counts, const int *places,
                 MPI_Datatype all_type, int root, MPI_Comm comm, MPI_Request *request)
{
    schedule *of = schedule_new(TQS_GATHERV, comm);
    int rank = rank_in(comm);

    if (rank == root)
        copy(place_in(all, all_type, places[rank]), mine, count, type);
    else
        send_to(of, mine, count, type, root);
    for (int r = 0; r < ranks && rank == root; r++)
        if (r != rank)
            receive_from(of, place_in(all, all_type, places[r]), counts[r], all_type, r);
    return start(of, request);
}

int tqs_iscatter(const void *all, int each, MPI_Datatype all_type, void *mine, int count, MPI_Datatype type, int root,
                 MPI_Comm comm, MPI_Request *request)
{
    schedule *of = schedule_new(TQS_SCATTER, comm);
    int rank = rank_in(comm);

    if (rank == root)
        copy(mine, place_in(all, all_type, (long)rank * each), count, type);
    else
        receive_from(of, mine, count, type, root);
    for (int r = 0; r < ranks && rank == root; r++)
        if (r != rank)
            send_to(of, place_in(all, all_type, (long)r * each), each, all_type, r);
    return start(of, request);
}

int tqs_ialltoall(const void *send, int count, MPI_Datatype type, void *receive, int each, MPI_Datatype receive_type,
                  MPI_Comm comm, MPI_Request *request)
{
    schedule *of = schedule_new(TQS_COUNTS, comm);
    int rank = rank_in(comm);

    copy(place_in(receive, receive_type, (long)rank * each), place_in(send, type, (long)rank * count), count, type);
    for (int r = 0; r < ranks; r++) {
        if (r == rank)
            continue;
        receive_from(of, place_in(receive, receive_type, (long)r * each), each, receive_type, r);
        send_to(of, place_in(send, type, (long)r * count), count, type, r);
    }
    return start(of, request);
}

int tqs_ialltoallv(const void *send, const int *counts, const int *places, MPI_Datatype type, void *receive,
                   const int *receive_counts, const int *receive_places, MPI_Datatype receive_type, MPI_Comm comm,
                   MPI_Request *request)
{
    schedule *of = schedule_new(TQS_DATA, comm);
    int rank = rank_in(comm);

    if (counts[rank])
        copy(place_in(receive, receive_type, receive_places[rank]), place_in(send, type, places[rank]), counts[rank],
             type);
    for (int r = 0; r < ranks; r++) {
        if (r == rank)
            continue;
        if (counts[r])
            send_to(of, place_in(send, type, places[r]), counts[r], type, r);
        if (receive_counts[r])
            receive_from(of, place_in(receive, receive_type, receive_places[r]), receive_counts[r], receive_type, r);
    }
    return start(of, request);
}
