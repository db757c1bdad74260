/* The exchange: moves the pages of runs to the ranks that own their partitions, in bounded rounds.
 *
 * To each rank goes one stream of bytes: the pages for it, back to back. A round moves at most round_bytes of a rank's
 * streams, the same share for each peer, so that nobody receives more than round_bytes in a round either; a page may be
 * cut by the end of a round, and goes on in the next. A round is MPI_Ialltoall of the counts and MPI_Ialltoallv of the
 * bytes, both collective; mpi/pulse.c decides when. Where all ranks are on one host they leave the counts at a gate
 * (mpi/bell.h), and look after the bytes when all have begun. Pages for the rank itself go straight to its store.
 *
 * Only the engine touches an exchange. Memory a peer costs: sizeof(tqi_peer) and four ints. */
#ifndef TQI_EXCHANGE_H
#define TQI_EXCHANGE_H

#include "mpi/comm.h"
#include "node/store.h"

typedef struct tqi_segment tqi_segment;

typedef struct tqi_peer {
    tqi_segment *first, *last;   /* what waits to be sent to it */
    uint64_t queued;             /* bytes of that */
    uint8_t *page;               /* a page of its that has not arrived whole: its bytes, */
    size_t page_have, page_size; /* how many of how many; page_size is 0 until the header is complete */
} tqi_peer;

/* The memory of a round, as large as the largest so far. It outlives an exchange, for the next one. All zero: none. */
typedef struct tqi_round {
    uint8_t *send, *receive;
    size_t send_capacity, receive_capacity;
} tqi_round;

typedef struct tqi_exchange {
    const tqi_comm *comm;
    const tqi_spec *spec;
    tqi_store *store;
    uint32_t parts_per_rank; /* partition p belongs to rank p / parts_per_rank */
    size_t peer_bytes;       /* most bytes to one peer in one round */
    tqi_peer *peers;
    int *send_counts, *receive_counts, *send_places, *receive_places;
    tqi_round *round;
    bool finds_counts; /* the half that is under way: counts that were left at a gate, */
    MPI_Request request; /* or this */
    uint64_t queued; /* bytes that wait to be sent, */
    uint64_t sent;   /* and that were */
    uint64_t rounds;
} tqi_exchange;

/* round, like all that is handed in, must outlive the exchange. TQ_E_MEMORY. */
tq_status tqi_exchange_init(tqi_exchange *exchange, const tqi_comm *comm, const tqi_spec *spec, tqi_store *store,
                            tqi_round *round, uint32_t parts_per_rank, uint64_t round_bytes);
void tqi_exchange_free(tqi_exchange *exchange);
void tqi_round_free(tqi_round *round, tqi_budget *budget);

/* Take over a run: its pages go to the store or into the streams. The run is gone in any case. */
tq_status tqi_exchange_add(tqi_exchange *exchange, tqi_run *run, tq_error *error);

/* Whether a good part of a round waits to be sent. */
bool tqi_exchange_is_full(const tqi_exchange *exchange);

/* The two halves of a round. begin starts a collective and *done of test says when it is over; after data, what has
 * arrived is in the store. */
tq_status tqi_exchange_begin_counts(tqi_exchange *exchange, tq_error *error);
tq_status tqi_exchange_begin_data(tqi_exchange *exchange, tq_error *error);
tq_status tqi_exchange_test(tqi_exchange *exchange, bool *done, tq_error *error);

/* Whether this rank will be rung when the half of a round that is under way can go on. */
bool tqi_exchange_waits_at_gate(const tqi_exchange *exchange);
tq_status tqi_exchange_finish(tqi_exchange *exchange, tq_error *error);

#endif
