#include "mpi/exchange.h"

#include "common/error.h"
#include <stdlib.h>
#include <string.h>

enum { LEAST_ROUND_ROOM = 4 << 10 };

/* A part of a run for one rank. The run is freed with its last segment. */
struct tqi_segment {
    tqi_segment *next;
    struct shared_run *owner;
    const uint8_t *bytes;
    size_t size;
};

struct shared_run {
    tqi_run *run;
    size_t segments;
};

tq_status tqi_exchange_init(tqi_exchange *exchange, const tqi_comm *comm, const tqi_spec *spec, tqi_store *store,
                            tqi_round *round, uint32_t parts_per_rank, uint64_t round_bytes)
{
    size_t n = (size_t)comm->size;

    *exchange = (tqi_exchange){.comm = comm,
                               .spec = spec,
                               .store = store,
                               .round = round,
                               .parts_per_rank = parts_per_rank,
                               .request = MPI_REQUEST_NULL};
    if (n == 1)
        return TQ_OK;
    uint64_t share = round_bytes / (n - 1);
    /* The whole of a round must fit the int displacements of MPI_Ialltoallv. */
    uint64_t largest = (uint64_t)INT32_MAX / n;
    exchange->peer_bytes = (size_t)(share < 1 ? 1 : share > largest ? largest : share);
    exchange->peers = calloc(n, sizeof *exchange->peers);
    exchange->send_counts = calloc(4 * n, sizeof(int));
    if (!exchange->peers || !exchange->send_counts) {
        tqi_exchange_free(exchange);
        return TQ_E_MEMORY;
    }
    exchange->receive_counts = exchange->send_counts + n;
    exchange->send_places = exchange->receive_counts + n;
    exchange->receive_places = exchange->send_places + n;
    return TQ_OK;
}

static void release(const tqi_exchange *exchange, struct shared_run *owner)
{
    if (--owner->segments > 0)
        return;
    tqi_run_free(exchange->spec, owner->run);
    free(owner);
}

void tqi_exchange_free(tqi_exchange *exchange)
{
    for (int r = 0; exchange->peers && r < exchange->comm->size; r++) {
        tqi_peer *peer = &exchange->peers[r];

        while (peer->first) {
            tqi_segment *next = peer->first->next;

            release(exchange, peer->first->owner);
            free(peer->first);
            peer->first = next;
        }
        free(peer->page);
    }
    free(exchange->peers);
    free(exchange->send_counts);
    *exchange = (tqi_exchange){.request = MPI_REQUEST_NULL};
}

void tqi_round_free(tqi_round *round, tqi_budget *budget)
{
    tqi_budget_free(budget, round->send, round->send_capacity);
    tqi_budget_free(budget, round->receive, round->receive_capacity);
    *round = (tqi_round){0};
}

static tq_status queue_segment(tqi_exchange *exchange, int rank, struct shared_run *owner, const uint8_t *bytes,
                               size_t size, tq_error *error)
{
    tqi_peer *peer = &exchange->peers[rank];
    tqi_segment *segment = malloc(sizeof *segment);

    if (!segment)
        return tqi_fail_memory(error, sizeof *segment, "the shuffle");
    *segment = (tqi_segment){NULL, owner, bytes, size};
    owner->segments++;
    if (peer->last)
        peer->last->next = segment;
    else
        peer->first = segment;
    peer->last = segment;
    peer->queued += size;
    exchange->queued += size;
    return TQ_OK;
}

/* The bytes at the start of size bytes of pages that go to the same rank, and which. */
static size_t pages_of_one_rank(const tqi_exchange *exchange, const uint8_t *pages, size_t size, int *rank)
{
    size_t at = 0;

    *rank = (int)(tqi_page_read_header(pages).partition / exchange->parts_per_rank);
    while (at < size) {
        tqi_page_header header = tqi_page_read_header(pages + at);

        if ((int)(header.partition / exchange->parts_per_rank) != *rank)
            break;
        at += TQI_PAGE_HEADER + (size_t)header.payload;
    }
    return at;
}

tq_status tqi_exchange_add(tqi_exchange *exchange, tqi_run *run, tq_error *error)
{
    tq_status status = TQ_OK;

    int owner_of_first;
    bool one_rank = pages_of_one_rank(exchange, run->data, run->bytes, &owner_of_first) == run->bytes;
    if (exchange->comm->size == 1 || (one_rank && owner_of_first == exchange->comm->rank))
        return tqi_store_take_run(exchange->store, run, error);
    struct shared_run *owner = malloc(sizeof *owner);
    if (!owner) {
        tqi_run_free(exchange->spec, run);
        return tqi_fail_memory(error, sizeof *owner, "the shuffle");
    }
    *owner = (struct shared_run){run, 1};
    for (size_t at = 0, size; at < run->bytes && !status; at += size) {
        int rank;

        size = pages_of_one_rank(exchange, run->data + at, run->bytes - at, &rank);
        if (rank == exchange->comm->rank)
            status = tqi_store_copy_pages(exchange->store, run->data + at, size, error);
        else
            status = queue_segment(exchange, rank, owner, run->data + at, size, error);
    }
    release(exchange, owner);
    return status;
}

bool tqi_exchange_is_full(const tqi_exchange *exchange)
{
    return exchange->queued >= exchange->peer_bytes * (size_t)(exchange->comm->size - 1) / 4;
}

/* Room for a round of size bytes, by powers of two: rounds that are each a little larger than the last would get new memory each
 * time. Without room this rank cannot take part, and the others would wait for ever: so it is given beyond the budget (a
 * round is bounded anyway), and no memory at all ends this rank, and with it the run. */
static tq_status reserve(const tqi_exchange *exchange, uint8_t **buffer, size_t *capacity, size_t size, tq_error *error)
{
    tqi_budget *budget = exchange->spec->budget;
    size_t room = LEAST_ROUND_ROOM, most = exchange->peer_bytes * (size_t)(exchange->comm->size - 1);

    if (size <= *capacity)
        return TQ_OK;
    while (room < size)
        room *= 2;
    if (room > most)
        room = most;
    tqi_budget_free(budget, *buffer, *capacity);
    *capacity = 0;
    *buffer = tqi_budget_force(budget, room);
    if (!*buffer)
        return tqi_fail(error, TQ_E_MPI, "no memory for %zu bytes of a round of the shuffle", room);
    *capacity = room;
    return TQ_OK;
}

/* Move the next size bytes of a peer's stream into the send buffer. */
static void take_from_stream(tqi_exchange *exchange, tqi_peer *peer, uint8_t *to, size_t size)
{
    peer->queued -= size;
    exchange->queued -= size;
    exchange->sent += size;
    while (size > 0) {
        tqi_segment *segment = peer->first;
        size_t part = segment->size < size ? segment->size : size;

        memcpy(to, segment->bytes, part);
        to += part;
        size -= part;
        segment->bytes += part;
        segment->size -= part;
        if (segment->size > 0)
            continue;
        peer->first = segment->next;
        if (!peer->first)
            peer->last = NULL;
        release(exchange, segment->owner);
        free(segment);
    }
}

tq_status tqi_exchange_begin_counts(tqi_exchange *exchange, tq_error *error)
{
    size_t total = 0;
    tq_status status;

    for (int r = 0; r < exchange->comm->size; r++) {
        uint64_t queued = exchange->peers[r].queued;

        exchange->send_counts[r] = (int)(queued < exchange->peer_bytes ? queued : exchange->peer_bytes);
        exchange->send_places[r] = (int)total;
        total += (size_t)exchange->send_counts[r];
    }
    status = reserve(exchange, &exchange->round->send, &exchange->round->send_capacity, total, error);
    if (status)
        return status;
    for (int r = 0; r < exchange->comm->size; r++)
        take_from_stream(exchange, &exchange->peers[r], exchange->round->send + exchange->send_places[r],
                         (size_t)exchange->send_counts[r]);
    if (exchange->comm->bells->all) {
        exchange->finds_counts = true;
        tqi_bells_come(exchange->comm->bells, exchange->send_counts);
        return TQ_OK;
    }
    int code = MPI_Ialltoall(exchange->send_counts, 1, MPI_INT, exchange->receive_counts, 1, MPI_INT,
                             exchange->comm->collective, &exchange->request);
    return tqi_mpi_check(code, "MPI_Ialltoall", error);
}

tq_status tqi_exchange_begin_data(tqi_exchange *exchange, tq_error *error)
{
    size_t total = 0;

    for (int r = 0; r < exchange->comm->size; r++) {
        exchange->receive_places[r] = (int)total;
        total += (size_t)exchange->receive_counts[r];
    }
    tqi_round *round = exchange->round;
    tq_status status = reserve(exchange, &round->receive, &round->receive_capacity, total, error);
    if (status)
        return status;
    exchange->rounds++;
    int code = MPI_Ialltoallv(round->send, exchange->send_counts, exchange->send_places, MPI_BYTE, round->receive,
                              exchange->receive_counts, exchange->receive_places, MPI_BYTE, exchange->comm->collective,
                              &exchange->request);
    if (exchange->comm->bells->all)
        tqi_bells_come(exchange->comm->bells, NULL);
    return tqi_mpi_check(code, "MPI_Ialltoallv", error);
}

bool tqi_exchange_waits_at_gate(const tqi_exchange *exchange)
{
    return exchange->comm->bells->all && !tqi_bells_all_came(exchange->comm->bells);
}

tq_status tqi_exchange_test(tqi_exchange *exchange, bool *done, tq_error *error)
{
    int flag = 0;

    *done = false;
    if (tqi_exchange_waits_at_gate(exchange))
        return TQ_OK;
    if (exchange->finds_counts) {
        tqi_bells_find(exchange->comm->bells, exchange->receive_counts);
        exchange->finds_counts = false;
        *done = true;
        return TQ_OK;
    }
    tq_status status = tqi_mpi_check(MPI_Test(&exchange->request, &flag, MPI_STATUS_IGNORE), "MPI_Test", error);
    *done = flag != 0;
    return status;
}

/* Whole pages at the start of size bytes. */
static size_t whole_pages(const uint8_t *bytes, size_t size)
{
    size_t at = 0;

    while (size - at >= TQI_PAGE_HEADER) {
        size_t page = TQI_PAGE_HEADER + (size_t)tqi_page_read_header(bytes + at).payload;

        if (page > size - at)
            break;
        at += page;
    }
    return at;
}

/* Add to the page of a peer that was cut. Returns how many bytes belong to it. */
static size_t go_on_with_page(tqi_peer *peer, const uint8_t *bytes, size_t size)
{
    size_t wanted = (peer->page_size ? peer->page_size : TQI_PAGE_HEADER) - peer->page_have;
    size_t part = wanted < size ? wanted : size;

    memcpy(peer->page + peer->page_have, bytes, part);
    peer->page_have += part;
    return part;
}

static tq_status start_page(const tqi_exchange *exchange, tqi_peer *peer, tq_error *error)
{
    if (peer->page_size || peer->page_have < TQI_PAGE_HEADER)
        return TQ_OK;
    tqi_page_header header = tqi_page_read_header(peer->page);
    if (!tqi_page_header_plausible(&header, exchange->spec->first_partition, exchange->spec->own_partitions))
        return tqi_fail(error, TQ_E_ACCOUNT, "what arrived in the shuffle is not a page of this rank");
    peer->page_size = TQI_PAGE_HEADER + (size_t)header.payload;
    uint8_t *page = realloc(peer->page, peer->page_size);
    if (!page)
        return tqi_fail_memory(error, peer->page_size, "a page");
    peer->page = page;
    return TQ_OK;
}

/* What came from one peer in this round: the rest of a page that was cut, whole pages, and the beginning of the next.
 */
static tq_status receive_from(tqi_exchange *exchange, tqi_peer *peer, uint8_t *bytes, size_t size, tq_error *error)
{
    tq_status status = TQ_OK;

    while (size > 0 && !status) {
        if (!peer->page) {
            size_t whole = whole_pages(bytes, size);

            if (whole > 0)
                status = tqi_store_copy_pages(exchange->store, bytes, whole, error);
            bytes += whole;
            size -= whole;
            if (size == 0 || status)
                break;
            peer->page = malloc(TQI_PAGE_HEADER);
            peer->page_have = peer->page_size = 0;
            if (!peer->page)
                return tqi_fail_memory(error, TQI_PAGE_HEADER, "a page");
        }
        size_t part = go_on_with_page(peer, bytes, size);
        bytes += part;
        size -= part;
        status = start_page(exchange, peer, error);
        if (!status && peer->page_size && peer->page_have == peer->page_size) {
            status = tqi_store_copy_pages(exchange->store, peer->page, peer->page_size, error);
            free(peer->page);
            peer->page = NULL;
        }
    }
    return status;
}

tq_status tqi_exchange_finish(tqi_exchange *exchange, tq_error *error)
{
    tq_status status = TQ_OK;

    for (int r = 0; r < exchange->comm->size && !status; r++)
        status = receive_from(exchange, &exchange->peers[r], exchange->round->receive + exchange->receive_places[r],
                              (size_t)exchange->receive_counts[r], error);
    return status;
}
