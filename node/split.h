/* A split, as a mapper of whole splits pulls it: piece by piece from a range of a file, or the one piece that a chunk of a
 * stream is. It stands on the stack of the worker that maps it, whose emitter and reader it uses. */
#ifndef TQI_SPLIT_H
#define TQI_SPLIT_H

#include "node/emitter.h"
#include "node/place.h"
#include "node/reader.h"

struct tq_split {
    tq_emitter *emitter;
    tqi_place *place; /* of the worker, which follows the pieces */

    tqi_reader *reader;   /* of a range of a file; */
    const tqi_file *file; /* NULL: chunk is all of it */
    tq_record chunk;
    uint64_t begin, end; /* in the file */
    uint64_t most;       /* bytes of a piece */

    uint64_t next;               /* where the next piece begins */
    _Atomic(uint64_t) *progress; /* how far the first reading is, in bytes, for the engine; may be NULL */
    tq_record first;             /* looked at before the mapper was called: */
    bool is_first;               /* it comes next, and the reader still holds it */
};

/* Run the job's map_split over the split, unless no record begins in it. What fails is described in emitter->error. */
tq_status tqi_map_split(tq_split *split);

#endif
