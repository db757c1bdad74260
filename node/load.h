/* All that a file holds, decoded if it is compressed, in memory. Called by one thread. */
#ifndef TQI_LOAD_H
#define TQI_LOAD_H

#include "node/archive.h"

typedef struct tqi_loaded {
    char *bytes; /* of the budget, which gives size back: tqi_budget_free(budget, bytes, size); NULL: none */
    size_t size;
} tqi_loaded;

/* options say how it is read; what is said there of records is not looked at. most: what holds more, or is no regular file,
 * is not loaded, and *loaded is empty; 0 = the budget alone says how much, and no regular file is TQ_E_INPUT. TQ_E_INPUT,
 * TQ_E_MEMORY, TQ_E_CANCELLED. */
tq_status tqi_load(const char *path, uint64_t most, const tqi_archive_options *options, tqi_loaded *loaded,
                   tq_error *error);

#endif
