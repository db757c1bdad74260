/* Values in the order in which they were emitted (TQ_VALUES_ARRIVAL). Behind each key stand 16 bytes that say where: the file, where
 * in it the piece of input begins, and the how many-th pair of that piece it is. They compare as bytes as places do, so sorting
 * by whole keys, which composite keys have anyway (node/grouping.h), gives the order, and they need no way of their own through
 * bins, pages and disks. Pieces are cut differently on each run, but the places of pairs always ascend alike.
 *
 * Belongs to one emitter, and so to one worker at a time. */
#ifndef TQI_ARRIVAL_H
#define TQI_ARRIVAL_H

#include "common/budget.h"
#include "common/key.h"
#include "node/spec.h"

typedef struct tqi_arrival {
    uint64_t file, offset, pairs; /* of the piece at hand, and how many were emitted for it */
    char *key; /* the newest, with its place */
    size_t capacity;
} tqi_arrival;

/* What is emitted now is of this piece. */
void tqi_arrival_begin(tqi_arrival *arrival, uint64_t file, uint64_t offset);

/* A key with its place behind it, which is the next one; valid until the next call. TQ_E_MEMORY. */
tq_status tqi_arrival_add(tqi_arrival *arrival, tqi_budget *budget, const tqi_key *key, tqi_key *longer);

void tqi_arrival_free(tqi_arrival *arrival, tqi_budget *budget);

#endif
