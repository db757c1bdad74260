/* Entries by key and value, where many of them share a key: keys are found by their hashes, so that only different ones
 * are compared with each other, and values only with those of the same key. */
#ifndef TQI_GROUP_H
#define TQI_GROUP_H

#include "common/budget.h"
#include "node/entry.h"

/* Put n entries, n < 2^31, into to (room for n), in the order of TQ_ORDER_KEY. TQ_E_MEMORY: nothing was done. */
tq_status tqi_group_entries(const tqi_entry *entries, size_t n, const tqi_value_shape *shape, tqi_budget *budget,
                            tqi_entry *to);

#endif
