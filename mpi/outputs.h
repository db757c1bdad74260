/* All that a job writes: one output, or several files, whose text comes in frames (node/parting.h). Used on rank 0, by one
 * thread at a time, as an output is. */
#ifndef TQI_OUTPUTS_H
#define TQI_OUTPUTS_H

#include "mpi/output.h"
#include "node/parting.h"

/* All zero: closed. */
typedef struct tqi_outputs {
    tqi_output *each;
    size_t n;
    bool framed;
    tqi_frame_reader reader;
} tqi_outputs;

/* What asked says, whose output is TQ_OUTPUT_FILE or TQ_OUTPUT_FD. TQ_E_OUTPUT, TQ_E_MEMORY. */
tq_status tqi_outputs_open(tqi_outputs *outputs, const tq_job *asked, const atomic_bool *stop, tq_error *error);

/* As tqi_output_write. */
tq_status tqi_outputs_write(tqi_outputs *outputs, const char *data, size_t size, tq_error *error);

/* When all of them are whole, give them their names, one after the other. Closes them in any case; *written is how many
 * bytes they have. TQ_E_OUTPUT: nothing has changed, unless a name is refused behind others that were given. */
tq_status tqi_outputs_commit(tqi_outputs *outputs, uint64_t *written, tq_error *error);
void tqi_outputs_discard(tqi_outputs *outputs);

#endif
