/* Writing a run of a sort that does not fit the memory (node/external.h): rows in their order become pages in the form
 * of node/direct.h, which are a partition of a store.
 *
 * One thread at a time. */
#ifndef TQI_RUN_WRITER_H
#define TQI_RUN_WRITER_H

#include "node/direct.h"
#include "node/store.h"

#define TQI_NO_MEMORY_FOR_RUNS "no memory to sort a range that does not fit it (see --memory)"

/* Made with the first three alone. page is freed by the owner (tqi_run_free) when it is not handed on. */
typedef struct tqi_run_writer {
    const tqi_spec *spec; /* of the runs, which are its partitions */
    tqi_store *store;
    uint32_t run;
    tqi_run *page; /* that is being filled, or NULL */
    uint8_t *at, *end;
    uint8_t *stretch;
    tqi_origin origin;
    uint32_t records;
} tqi_run_writer;

/* Room for a record of size bytes, which the caller writes there, and moves at behind it. NULL: error says why. */
uint8_t *tqi_run_writer_room(tqi_run_writer *to, const tqi_origin *origin, uint64_t size, tq_error *error);

/* Write a row. TQ_E_MEMORY, TQ_E_TMPDIR. */
tq_status tqi_run_writer_put(tqi_run_writer *to, const tqi_origin *origin, const tqi_entry *entry, tq_error *error);

/* Give the store what was written, at the end of the run. Errors as above. */
tq_status tqi_run_writer_hand_on(tqi_run_writer *to, tq_error *error);

#endif
