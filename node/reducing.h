/* The job's reducer, called with pairs that are in order: those of a table, or, where the memory has no room for them, of a
 * spool, which are read as the reducer asks for them. */
#ifndef TQI_REDUCING_H
#define TQI_REDUCING_H

#include "node/group_stream.h"
#include "node/reduce.h"

/* n entries, of whole groups, become rows. A job whose reducer pulls has n > 0. TQ_E_USER, TQ_E_MEMORY, TQ_E_CANCELLED. */
tq_status tqi_reducing_call(tqi_reducer *reducer, const tqi_entry *entries, size_t n, tqi_rows *rows, tq_error *error);

/* All entries of a spool that is sealed, in whole groups, become rows; without a reducer, they are the rows. The errors of
 * a spool, too. */
tq_status tqi_reducing_stream(tqi_reducer *reducer, const tqi_spool *spool, const tqi_stream_sink *sink,
                              tq_error *error);

/* Whether two entries have the same key. */
bool tqi_reducing_same_key(const tqi_entry *a, const tqi_entry *b);

#endif
