/* Routing rows to the ranges of an order: an open page for each range, as the bins of a map have them. Pages that are full are
 * handed on one by one; when the open ones take too much memory, all of them as one run.
 *
 * One thread at a time. */
#ifndef TQI_ROUTER_H
#define TQI_ROUTER_H

#include "node/bins.h"
#include "node/order.h"
#include "node/writer.h"

typedef struct tqi_router {
    const tqi_splitters *splitters; /* spec of these: of the ranges, which are its partitions */
    tqi_bins bins;
    tqi_deliver_fn deliver;
    void *owner;
} tqi_router;

/* open_bytes: of memory that open pages may take. TQ_E_MEMORY. */
tq_status tqi_router_init(tqi_router *router, const tqi_splitters *splitters, uint64_t open_bytes,
                          tqi_deliver_fn deliver, void *owner);
void tqi_router_free(tqi_router *router);

/* Route n rows. What is written is added to account. TQ_E_MEMORY. */
tq_status tqi_router_put(tqi_router *router, const tqi_entry *rows, size_t n, tq_account *account);

/* All open pages as one run, NULL if there are none. TQ_E_MEMORY. */
tq_status tqi_router_take(tqi_router *router, tqi_run **run);

#endif
