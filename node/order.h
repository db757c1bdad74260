/* Ordering a result over all ranks: keys are sampled, splitters chosen from the samples, and every row goes to the
 * range it falls into. (Sample sort: Frazer and McKellar, 1970.) Samples and splitters travel as pages. */
#ifndef TQI_ORDER_H
#define TQI_ORDER_H

#include "node/rows.h"
#include "node/run.h"

/* How many samples a range: enough that the largest range is seldom more than 1.5 times the mean. */
enum { TQI_SAMPLES_PER_RANGE = 32 };

/* Take about wanted rows of n_parts arrays of rows, evenly spread, as a run of one page; *run = NULL if there are no
 * rows. Long keys are shortened, which is good enough for a splitter. TQ_E_MEMORY. */
tq_status tqi_order_sample(const tqi_spec *spec, const tqi_rows *parts, uint32_t n_parts, uint64_t wanted,
                           tqi_run **run);

/* From all samples, sorted here, to the splitters of n ranges: at most n - 1 rows, as a run of one page; NULL if none.
 * TQ_E_MEMORY. */
tq_status tqi_order_choose(const tqi_spec *spec, tqi_rows *samples, uint32_t ranges, tqi_run **run);

/* Route one part's rows to their ranges, as a run; NULL if it has none. What is written is added to account.
 * TQ_E_MEMORY, TQ_E_USAGE (see tqi_run_build). */
tq_status tqi_order_route(const tqi_spec *spec, const tqi_rows *rows, const tqi_rows *splitters, tq_account *account,
                          tqi_run **run);

#endif
