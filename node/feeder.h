/* The feeder: reads inputs that not every rank can read for itself (the standard input, pipes, files that only rank 0
 * sees), in order, decodes those that are compressed, and cuts them into chunks of whole records; or copies the chunks
 * that a job's own feed gives.
 *
 * With a thread of its own the feeder reads ahead by a few chunks, so that a pipe that has nothing to give never stops
 * the engine; without one, take reads. Only the engine calls start, take and stop; the thread touches the queue (under
 * its lock) and the reading state, which is its own from start to stop. A chunk belongs to whoever took it.
 *
 * Where files have headers (see node/header.h), each chunk begins with the header of its file: the mapper wants to see
 * it, and may be on another rank than the one that had the chunk before. A header alone is a chunk too. */
#ifndef TQI_FEEDER_H
#define TQI_FEEDER_H

#include "node/chunker.h"
#include "node/inputs.h"

typedef struct tqi_feeder_options {
    tq_records records;
    uint64_t record_bytes;         /* TQ_FIXED_RECORDS */
    tqi_budget *budget, *decoders; /* see node/expander.h */
    size_t chunk;                  /* bytes of one, if no record is longer; 0 = as a piece of a file */
    bool as_they_are;              /* compressed inputs are not decoded */
    bool threaded;
} tqi_feeder_options;

typedef struct tqi_feeder tqi_feeder;

/* wake(owner) is called by the thread whenever take may have something new. inputs must outlive the feeder. */
tq_status tqi_feeder_start(const tqi_inputs *inputs, const tqi_feeder_options *options, void (*wake)(void *owner),
                           void *owner, tqi_feeder **feeder, tq_error *error);

/* The next chunk, if there is one. TQ_OK with *chunk = NULL: the inputs are over. TQ_E_AGAIN: nothing yet. Otherwise
 * what went wrong, in *error. */
tq_status tqi_feeder_take(tqi_feeder *feeder, tqi_chunk **chunk, tq_error *error);

/* Bytes read so far, of compressed inputs as they are. */
uint64_t tqi_feeder_bytes(tqi_feeder *feeder);

/* Stop reading, free everything. NULL is allowed. */
void tqi_feeder_stop(tqi_feeder *feeder);

#endif
