/* Reducing one partition: its pages are merged into a table, and the table's entries, or what the job's reducer makes of
 * them, become the partition's rows, which are handed on as pages. Where not all of a partition fits the table, its pages
 * are read several times, each time for one part of its hashes, in ascending order.
 *
 * A reducer belongs to one worker index at a time. */
#ifndef TQI_REDUCE_H
#define TQI_REDUCE_H

#include "node/emitter.h"
#include "node/order.h"
#include "node/store.h"

typedef struct tqi_reducer {
    const tqi_spec *spec;
    tqi_table table;
    tqi_sampler sampler; /* of the rows, if an order needs splitters */
    tqi_deliver_fn deliver;
    void *owner;
} tqi_reducer;

typedef struct tqi_reduce_account {
    tq_account shuffled; /* read from the pages */
    tq_account reduced;  /* after combining, before the job's reducer */
    tq_account rows;     /* of the result */
    uint64_t merged;
    uint64_t passes; /* over the pages; 1 if everything fitted */
} tqi_reduce_account;

/* table_bytes: of the table, 0 = no bound but the budget's. TQ_E_MEMORY. */
tq_status tqi_reducer_init(tqi_reducer *reducer, const tqi_spec *spec, uint64_t table_bytes, tqi_deliver_fn deliver,
                           void *owner);
void tqi_reducer_free(tqi_reducer *reducer);

/* Reduce part (0 .. spec->own_partitions - 1) of the store. With TQ_ORDER_NONE the rows come out in their final order;
 * with a limit only those are kept that may be among the first of the order. account is complete on success. */
tq_status tqi_reduce_partition(tqi_reducer *reducer, const tqi_store *store, uint32_t part, tqi_reduce_account *account,
                               tq_error *error);

#endif
