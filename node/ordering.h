/* The order that a job asked for, whichever it is: one of those in node/rows.h, or that of a function of its own
 * (TQ_ORDER_USER). That function is not believed: whatever it answers, each loop here ends, no row is read that is not there,
 * and all of them stay. If it is no order, which row comes first may depend on how they met.
 *
 * While it is called, the place of the calling worker, if it has one, follows the rows (node/place.h). Workers, several at
 * a time, on rows of their own. */
#ifndef TQI_ORDERING_H
#define TQI_ORDERING_H

#include "node/rows.h"

/* How two rows of the result compare: by the order, then by key, then by value. */
int tqi_ordering_compare(const tqi_spec *spec, const tqi_entry *a, const tqi_entry *b);

/* Put rows in order. Where there is no memory for it, that takes longer. They are in no order if the job is ending. */
void tqi_ordering_sort(const tqi_spec *spec, tqi_rows *rows);

/* Move the first spec->limit of n rows to the front, in no particular order. Returns how many are left: n, if that is less
 * or there is no limit. */
size_t tqi_ordering_prune(const tqi_spec *spec, tqi_entry *entries, size_t n);

#endif
