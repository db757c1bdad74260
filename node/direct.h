/* The way of records that are rows already (TQ_ORDER_STABLE, and TQ_ORDER_KEY of many jobs): there is nothing to combine or to
 * reduce, so they need not meet by hash first. A worker writes what its mapper emits into the page of the range of keys it belongs to, once.
 *
 * With TQ_ORDER_STABLE rows of one key must come out in the order of the input. A position for each record would cost as much as a short
 * record; but a worker emits the records of a piece of input in their order, so it is enough to say where the piece began.
 * The payload of such a page is a row of stretches: a header of 16 bytes, and records of one piece as they were emitted.
 * Pages of one piece and range are handed on in their order, and keep it on their way.
 *
 * So the order of all rows is total, and a splitter can lie between rows of one key: it has a position too, as the value of
 * its row, and ranges stay small whatever the keys are. Where only the first row of a key is wanted, splitters have no
 * position, and a key that is so frequent that a range begins with it is thinned out here already.
 *
 * With TQ_ORDER_KEY the value takes the place of the position: a splitter has the first bytes of its sample's, and origins are
 * all the same.
 *
 * One thread at a time. */
#ifndef TQI_DIRECT_H
#define TQI_DIRECT_H

#include "node/order.h"
#include "node/writer.h"

/* Where a piece of input begins. */
typedef struct tqi_origin {
    uint64_t offset;
    uint32_t file; /* its number in the inputs */
} tqi_origin;

/* What stands in front of the records of a piece in a page. */
typedef struct tqi_stretch_header {
    uint64_t offset; /* of the piece */
    uint32_t file;
    uint32_t bytes; /* of the records */
} tqi_stretch_header;

_Static_assert(sizeof(tqi_stretch_header) == 16, "it is written as it is");

/* The value of a sample: an origin, big-endian, so that values compare as origins do; or, with TQ_ORDER_KEY, the first bytes of
 * the pair's own, which compare as that does. */
enum { TQI_ORIGIN_BYTES = 12 };

/* The open page of a range. */
typedef struct tqi_lane {
    uint8_t *at, *end; /* where the next record goes, and where the last may end; NULL: there is no page */
    tqi_run *page;
    uint8_t *stretch; /* the header of the stretch at its end */
    uint64_t records, piece;
    bool thinned; /* unique: the key that the range begins with was seen, first in a piece of this origin */
    tqi_origin first;
} tqi_lane;

typedef struct tqi_direct {
    const tqi_spec *spec; /* of the ranges, which are its partitions */
    const tqi_splitters
        *splitters; /* NULL: a piece's records, or a page of them, go to one partition of this rank, whatever their keys */
    tqi_lane *lanes;
    uint32_t n_lanes;
    size_t page_bytes;
    tqi_deliver_fn deliver;
    void *owner;
    tqi_origin origin; /* of the piece at hand, */
    uint64_t piece;    /* and its number here, from 1 on; with TQ_ORDER_KEY, of a page */
    uint8_t value[TQI_ORIGIN_BYTES]; /* of a sample */
    tq_account written, left_out;
} tqi_direct;

/* memory: of the open pages of all ranges, unless that makes them tiny. TQ_E_MEMORY. */
tq_status tqi_direct_init(tqi_direct *direct, const tqi_spec *spec, const tqi_splitters *splitters, uint64_t memory,
                          tqi_deliver_fn deliver, void *owner);
void tqi_direct_free(tqi_direct *direct);

/* What comes now was emitted for a piece that begins there, behind all that came for the same one. */
void tqi_direct_begin(tqi_direct *direct, tqi_origin origin);

/* Put a pair; pair is what it adds to an account. TQ_E_MEMORY. */
tq_status tqi_direct_put(tqi_direct *direct, const tqi_key *key, int64_t number, tq_slice value,
                         const tq_account *pair);

/* Hand on all open pages. */
void tqi_direct_flush(tqi_direct *direct);

/* A sample of a pair: an entry for a sampler whose spec is made by tqi_direct_sample_spec, valid until the next. */
tqi_entry tqi_direct_sample(tqi_direct *direct, const tqi_key *key, int64_t number, tq_slice value);
tqi_spec tqi_direct_sample_spec(const tqi_spec *spec);

/* Walk over the stretches of a validated page, from page + TQI_PAGE_HEADER on. False at the end, with *cursor == end, or
 * where a stretch does not end before end. */
bool tqi_direct_next(const uint8_t **cursor, const uint8_t *end, tqi_origin *origin, const uint8_t **records,
                     size_t *bytes);

#endif
