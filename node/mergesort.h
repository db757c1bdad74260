/* Sorting entries by a comparison that is dear, or that need not be an order: by merging, so that no entry is read that is not
 * there and none is lost, whatever the comparison says. One thread at a time on an array of entries. */
#ifndef TQI_MERGESORT_H
#define TQI_MERGESORT_H

#include "node/entry.h"
#include <stdatomic.h>
#include <stdbool.h>

/* Whether a comes before b, and not if they are equal. by: what sorting was given. */
typedef bool (*tqi_before_fn)(const void *by, const tqi_entry *a, const tqi_entry *b);

/* Sort n entries; those that are equal stay in their order. spare: room for n / 2. When *stop is set (NULL: it never is), they
 * are left as they are then. */
void tqi_merge_sort(tqi_entry *entries, size_t n, tqi_entry *spare, tqi_before_fn before, const void *by,
                    const atomic_bool *stop);

#endif
