/* Ordering a result over all ranks: rows are sampled as they are made, splitters chosen from the samples, and every row
 * goes to the range it falls into. (Sample sort: Frazer and McKellar, 1970.) Samples and splitters travel as pages. */
#ifndef TQI_ORDER_H
#define TQI_ORDER_H

#include "node/rows.h"
#include "node/run.h"

/* Samples a range: enough that the largest range is seldom more than 1.5 times the mean. */
enum { TQI_SAMPLES_PER_RANGE = 32 };

/* Every so-manieth of the rows that it saw: few enough to be kept, whatever their number is. One thread at a time. */
typedef struct tqi_sampler {
    const tqi_spec *spec;
    tqi_rows rows;
    uint64_t step; /* one row in so many is kept: a power of two */
    uint64_t skip; /* rows to pass over before the next */
} tqi_sampler;

/* A function of the job's that compares (TQ_ORDER_USER) must see whole rows: those that take more are no samples. */
enum { TQI_MOST_SAMPLE_BYTES = 16 << 10 };

/* What was sampled: records of pages, or bytes of input, and the rows that they become, with the bytes of these in pages. */
typedef struct tqi_sample_size {
    uint64_t records, rows, bytes;
} tqi_sample_size;

void tqi_sampler_init(tqi_sampler *sampler, const tqi_spec *spec);
void tqi_sampler_free(tqi_sampler *sampler);

/* Show it the next n rows. Long keys are shortened, which is good enough for a splitter;
 * with TQ_ORDER_STABLE only very long ones, since all of them could begin with the same bytes. Where the budget is used up it
 * keeps fewer. */
void tqi_sampler_see(tqi_sampler *sampler, const tqi_entry *entries, size_t n);

/* Keep only one row in step (a power of two), if it keeps more now. */
void tqi_sampler_thin(tqi_sampler *sampler, uint64_t step);

/* About wanted of the samplers' rows (the samplers of one rank, of equal steps), evenly spread, as a run of one page;
 * *run = NULL if there are none. TQ_E_MEMORY. */
tq_status tqi_order_sample(const tqi_spec *spec, tqi_sampler *const *samplers, int n, uint64_t wanted, tqi_run **run);

/* From all samples, sorted here (which may call the job's compare), to the splitters of n ranges: at most n - 1 rows, as a run of one page; NULL if none.
 * TQ_E_MEMORY. */
tq_status tqi_order_choose(const tqi_spec *spec, tqi_rows *samples, uint32_t ranges, tqi_run **run);

/* Where the ranges of an order begin, but for the first. Once filled they are only read, by all workers. */
typedef struct tqi_splitters {
    const tqi_spec *spec;
    tqi_rows rows;      /* in ascending order */
    uint64_t *prefixes; /* of each of them */
} tqi_splitters;

/* Take them from the page of tqi_order_choose, or none: page = NULL. TQ_E_MEMORY. */
tq_status tqi_splitters_init(tqi_splitters *splitters, const tqi_spec *spec, const uint8_t *page);
void tqi_splitters_free(tqi_splitters *splitters);

/* The range of a row: how many splitters do not come behind it. */
uint32_t tqi_range_of(const tqi_splitters *splitters, const tqi_entry *entry);

/* The same by the row's prefix alone; false if that does not tell. Not for TQ_ORDER_USER. */
bool tqi_range_by_prefix(const tqi_splitters *splitters, const tqi_entry *entry, uint32_t *range);

#endif
