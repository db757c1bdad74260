/* The feeder: reads inputs that not every rank can read for itself (the standard input, pipes, files that only rank 0
 * sees), in order, and cuts them into chunks of whole records.
 *
 * With a thread of its own the feeder reads ahead by a few chunks, so that a pipe that has nothing to give never stops
 * the engine; without one, take reads. Only the engine calls start, take and stop; the thread touches the queue (under
 * its lock) and the reading state, which is its own from start to stop. A chunk belongs to whoever took it. */
#ifndef TQI_FEEDER_H
#define TQI_FEEDER_H

#include "common/budget.h"
#include "node/inputs.h"
#include <tequio/mapreduce.h>

typedef struct tqi_chunk {
    struct tqi_chunk *next;
    tqi_budget *budget;
    size_t file; /* its number in the table */
    uint64_t offset;
    size_t size;
    size_t capacity;
    char data[]; /* size bytes, and TQI_KEY_SLACK readable bytes behind them */
} tqi_chunk;

typedef struct tqi_feeder tqi_feeder;

/* wake(owner) is called by the thread whenever take may have something new. inputs must outlive the feeder. */
tq_status tqi_feeder_start(const tqi_inputs *inputs, tq_records records, tqi_budget *budget, bool threaded,
                           void (*wake)(void *owner), void *owner, tqi_feeder **feeder, tq_error *error);

/* The next chunk, if there is one. TQ_OK with *chunk = NULL: the inputs are over. TQ_E_AGAIN: nothing yet. Otherwise
 * what went wrong, in *error. */
tq_status tqi_feeder_take(tqi_feeder *feeder, tqi_chunk **chunk, tq_error *error);

/* Bytes read so far. */
uint64_t tqi_feeder_bytes(tqi_feeder *feeder);

/* Stop reading, free everything. NULL is allowed. */
void tqi_feeder_stop(tqi_feeder *feeder);

tqi_chunk *tqi_chunk_new(tqi_budget *budget, size_t capacity);
tqi_chunk *tqi_chunk_force(tqi_budget *budget, size_t capacity); /* beyond the budget if need be */
void tqi_chunk_free(tqi_chunk *chunk);

#endif
