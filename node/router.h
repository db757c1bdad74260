/* Routing rows to the ranges of an order: for each range a small page that rows are written to, as large as the memory for
 * all of them allows. When it is full it is copied and handed on, and begins anew.
 *
 * One thread at a time. */
#ifndef TQI_ROUTER_H
#define TQI_ROUTER_H

#include "node/bins.h"
#include "node/order.h"
#include "node/writer.h"

typedef struct tqi_router {
    const tqi_spec *spec; /* of the ranges, which are its partitions */
    const tqi_splitters *splitters;
    tqi_bin *open;     /* the page of each range; newest is not used */
    uint8_t *memory;   /* of these pages, */
    size_t page_bytes; /* each so large */
    tqi_deliver_fn deliver;
    void *owner;
} tqi_router;

/* memory: of the pages of all ranges, unless that makes them tiny. TQ_E_MEMORY. */
tq_status tqi_router_init(tqi_router *router, const tqi_splitters *splitters, uint64_t memory, tqi_deliver_fn deliver,
                          void *owner);
void tqi_router_free(tqi_router *router);

/* Route n rows. What is written is added to account. TQ_E_MEMORY. */
tq_status tqi_router_put(tqi_router *router, const tqi_entry *rows, size_t n, tq_account *account);

/* What is in the pages now, as one run; NULL if there is nothing. TQ_E_MEMORY. */
tq_status tqi_router_take(tqi_router *router, tqi_run **run);

#endif
