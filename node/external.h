/* A range of an order that does not fit the memory: it is sorted by parts, which are written to the spill folder as runs, and
 * these are merged. (Knuth, The Art of Computer Programming 3, 5.4.) So a range may be of any size and have any keys: the sample
 * that chose it may have been a bad one, or its rows all the same.
 *
 * A run is the pages of a partition in a store of its own, in the form of node/direct.h, so that rows of TQ_ORDER_STABLE have
 * their origins beside them. Where there are more runs than buffers to read them, several are merged into one first.
 *
 * Belongs to one worker at a time, which may change between two calls. */
#ifndef TQI_EXTERNAL_H
#define TQI_EXTERNAL_H

#include "node/rows.h"
#include "node/sorting.h"
#include "node/store.h"

typedef struct tqi_external tqi_external;

/* Sort part of the store, which is not needed any more then. memory: about what may be taken to sort a part, and to merge.
 * What is loaded is added to account. TQ_E_MEMORY, TQ_E_ACCOUNT, TQ_E_TMPDIR; TQ_E_CANCELLED: spec->stop is set. */
tq_status tqi_external_sort(const tqi_spec *spec, const tqi_store *store, uint32_t part, uint64_t memory,
                            tq_account *account, tqi_external **sorted, tq_error *error);
void tqi_external_free(tqi_external *external);

/* Of the rows only the first, however many came already; the others are added to dropped. Rows of which the key was seen last
 * are left out with spec->unique. */
void tqi_external_limit(tqi_external *external, uint64_t rows);

/* Append the next rows, until they take about as many bytes. None: that was all. What is left out is added to dropped. Errors as
 * above. */
tq_status tqi_external_next(tqi_external *external, uint64_t bytes, tqi_rows *rows, tq_account *dropped, tq_error *error);
bool tqi_external_is_over(const tqi_external *external);

/* Bytes that were written to the spill folder so far, and of pages before they were packed. */
void tqi_external_spilled(const tqi_external *external, uint64_t *spilled, uint64_t *raw);

#endif
