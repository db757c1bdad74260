/* Reducing one partition: its pages are merged into one table, and the table's entries, or what the job's reducer makes
 * of them, become the partition's rows. Called by workers, each with a partition of its own. */
#ifndef TQI_REDUCE_H
#define TQI_REDUCE_H

#include "node/rows.h"
#include "node/store.h"

typedef struct tqi_reduce_result {
    tqi_rows rows;
    tq_account shuffled; /* read from the pages */
    tq_account reduced;  /* after combining, before the reducer */
    tq_account rows_account;
    uint64_t merged;
} tqi_reduce_result;

/* Reduce part (0 .. spec->own_partitions - 1). With TQ_ORDER_NONE the rows come out in their final order; with a limit
 * only the first rows of the order are kept. *result is valid on success, and the caller frees its rows. */
tq_status tqi_reduce_partition(const tqi_spec *spec, const tqi_store *store, uint32_t part, tqi_reduce_result *result,
                               tq_error *error);

#endif
