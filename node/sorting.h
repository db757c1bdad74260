/* Sorting the rows of a range where they lie (node/direct.h): what moves is an item of 16 bytes for each, the first 8 bytes
 * of its key and where its record is; the records stay in their pages until they become text. Equal keys stay in the order
 * of the input, or, with TQ_ORDER_KEY, are ordered by their values.
 *
 * A sorting belongs to one worker, which uses it for one range after the other. */
#ifndef TQI_SORTING_H
#define TQI_SORTING_H

#include "node/direct.h"
#include "node/prefix.h"
#include "node/store.h"

struct tqi_stretch; /* of a page that was loaded */

typedef struct tqi_sorting {
    tqi_budget *budget;
    uint64_t planned;             /* bytes of memory that a range may take however much of the budget is left */
    tqi_sort_item *items, *spare; /* capacity of each; the two change places */
    size_t n, capacity;
    struct tqi_stretch *stretches;
    size_t n_stretches, stretch_capacity;
    uint64_t bytes;       /* of all keys and values */
    uint8_t *pages;       /* that were spilled, read back, */
    size_t pages_size;    /* and how much room there is for them */
    const tqi_spec *spec; /* of what was loaded; its result_shape is that of the records */
} tqi_sorting;

void tqi_sorting_init(tqi_sorting *sorting, tqi_budget *budget, uint64_t planned);
void tqi_sorting_free(tqi_sorting *sorting);

/* Load part of the store, which must stay until the records are not needed any more, in the order of the input. What
 * is loaded is added to account. TQ_E_MEMORY, TQ_E_ACCOUNT, TQ_E_TMPDIR. */
tq_status tqi_sorting_load(tqi_sorting *sorting, const tqi_spec *spec, const tqi_store *store, uint32_t part,
                           tq_account *account, tq_error *error);

/* The same of pages first .. end - 1 of it. */
tq_status tqi_sorting_load_pages(tqi_sorting *sorting, const tqi_spec *spec, const tqi_store *store, uint32_t part,
                                 size_t first, size_t end, tq_account *account, tq_error *error);

void tqi_sorting_sort(tqi_sorting *sorting);

/* Where the pieces of input lie that rows came from: the first before the second, and nothing is loaded behind the first. */
void tqi_sorting_find_origins(tqi_sorting *sorting);
tqi_origin tqi_sorting_origin(const tqi_sorting *sorting, size_t i);

/* Of rows with the same key, which are sorted, keep the first. The others are added to dropped. */
void tqi_sorting_unique(tqi_sorting *sorting, tq_account *dropped);

/* Keep the first n. The others are added to dropped. */
void tqi_sorting_limit(tqi_sorting *sorting, size_t n, tq_account *dropped);

/* Row i. */
void tqi_sorting_row(const tqi_sorting *sorting, size_t i, tq_slice *key, int64_t *number, tq_slice *value);

#endif
