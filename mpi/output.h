/* Where the rows go: a file that appears only when it is whole, or a descriptor that is open already. Used on rank 0,
 * by one thread at a time: the engine opens and ends an output, a task of the pool writes. */
#ifndef TQI_OUTPUT_H
#define TQI_OUTPUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <tequio/tequio.h>

typedef struct tqi_output {
    char *name;      /* for messages; NULL for a descriptor */
    char *path;      /* the final name, resolved; NULL if nothing is renamed at the end */
    char *temporary; /* the name until then; NULL if the file has none yet (O_TMPFILE) */
    int fd;
    bool close;              /* fd is ours, and open */
    bool regular;            /* writing cannot block for long */
    const atomic_bool *stop; /* give up writing to a pipe that nobody reads */
    uint64_t written;
} tqi_output;

/* kind is TQ_OUTPUT_FILE (path) or TQ_OUTPUT_FD (fd). A path that exists and is no regular file (a device, a pipe) is
 * written to as it is. TQ_E_OUTPUT, TQ_E_MEMORY. */
tq_status tqi_output_open(tqi_output *output, tq_output_kind kind, const char *path, int fd, const atomic_bool *stop,
                          tq_error *error);

/* TQ_E_OUTPUT; TQ_E_CANCELLED when stop was set while a pipe was full. */
tq_status tqi_output_write(tqi_output *output, const char *data, size_t size, tq_error *error);

/* All that may fail for want of room, so that what is left of tqi_output_commit is to change a name. Nothing is written
 * after it. TQ_E_OUTPUT. */
tq_status tqi_output_complete(tqi_output *output, tq_error *error);

/* Complete the file, unless it is, and give it its name. After this, or tqi_output_discard, the output is closed.
 * TQ_E_OUTPUT: nothing has changed. */
tq_status tqi_output_commit(tqi_output *output, tq_error *error);
void tqi_output_discard(tqi_output *output);

#endif
