/* Merging pages into a table: what combines a worker's bins and what reduces a partition. Each page by one thread at a
 * time. */
#ifndef TQI_MERGE_H
#define TQI_MERGE_H

#include "node/table.h"

/* How far a page was merged; all zero at its beginning. */
typedef struct tqi_merge_place {
    size_t offset;    /* of the next record, behind the page's header */
    uint64_t records; /* in front of it */
} tqi_merge_place;

/* Merge the records of a validated page, from *place on, whose hashes the table is for, and add these, as they are in
 * the page, to account. The page has TQI_KEY_SLACK readable bytes behind it. TQ_E_AGAIN: the table is full; *place is
 * the record that did not fit, error is not set. TQ_E_MEMORY: it does not fit though the table is empty. TQ_E_USER: the
 * combiner failed. TQ_E_ACCOUNT: the page is malformed. */
tq_status tqi_merge_page(tqi_table *table, const uint8_t *page, tqi_merge_place *place, tq_account *account,
                         tq_error *error);

#endif
