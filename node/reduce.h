/* Reducing one partition: its pages are merged into a table, and the table's entries, or what the job's reducer makes of
 * them, become the partition's rows, which are handed on as pages. Where not all of a partition fits the table, its pages
 * are read several times, each time for one part of its hashes, in ascending order.
 *
 * Where the ranges of the result's order are known before it is reduced, a router takes the rows to their ranges at once. They
 * are known from a sample: the keys of a few partitions, which are as good as random since partitions are made by hash.
 *
 * A reducer belongs to one worker index at a time. */
#ifndef TQI_REDUCE_H
#define TQI_REDUCE_H

#include "node/emitter.h"
#include "node/place.h"
#include "node/router.h"
#include "node/store.h"

typedef struct tqi_reducer {
    const tqi_spec *spec;
    tqi_table table;
    tqi_sampler sampler; /* of the rows, if an order needs splitters */
    tqi_router router;   /* open if routes */
    bool routes;
    uint64_t table_bytes;
    const char *tmpdir; /* for what neither the table nor a part of it has room for */
    tqi_deliver_fn deliver;
    void *owner;
    uint64_t counts[TQ_MAX_COUNTERS]; /* of the job's own counters */
    tqi_place *place; /* of the worker, which follows the keys; NULL: nobody asks */
} tqi_reducer;

typedef struct tqi_reduce_account {
    tq_account shuffled; /* read from the pages */
    tq_account reduced;  /* after combining, before the job's reducer */
    tq_account rows;     /* of the result */
    uint64_t merged;
    uint64_t passes; /* over the pages; 1 if everything fitted */
    uint64_t spilled, spilled_raw; /* bytes of runs in the spill folder, and of their pages before they were packed */
} tqi_reduce_account;

/* table_bytes: of the table, 0 = no bound but the budget's. TQ_E_MEMORY. */
tq_status tqi_reducer_init(tqi_reducer *reducer, const tqi_spec *spec, uint64_t table_bytes, const char *tmpdir,
                           tqi_deliver_fn deliver, void *owner);
void tqi_reducer_free(tqi_reducer *reducer);

/* Show the sampler the rows that part will have, or, if not all of them fit the table, those that do. Without a reducer of
 * the job. size: as if all of the part had been seen. The same errors as tqi_reduce_partition. */
tq_status tqi_reduce_sample(tqi_reducer *reducer, const tqi_store *store, uint32_t part, tqi_sample_size *size,
                            tq_error *error);

/* From now on rows go to the ranges of splitters. open_bytes: see tqi_router_init. TQ_E_MEMORY. */
tq_status tqi_reducer_route(tqi_reducer *reducer, const tqi_splitters *splitters, uint64_t open_bytes);

/* Reduce part (0 .. spec->own_partitions - 1) of the store. With TQ_ORDER_NONE the rows come out in their final order;
 * with a limit only those are kept that may be among the first of the order. account is complete on success. */
tq_status tqi_reduce_partition(tqi_reducer *reducer, const tqi_store *store, uint32_t part, tqi_reduce_account *account,
                               tq_error *error);

#endif
