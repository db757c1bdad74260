/* Rows of several outputs: a task that makes text puts those of each output together, and what travels to the writer is
 * frames, each the text of one output. The writer may get them in pieces that are cut anywhere.
 *
 * Parting is a worker's, with rows of its own; a frame reader is the task's that writes. */
#ifndef TQI_PARTING_H
#define TQI_PARTING_H

#include "node/format.h"
#include "node/place.h"

/* What stands in front of the text. It travels as it is. */
typedef struct tqi_frame {
    uint64_t output, bytes;
} tqi_frame;

typedef struct tqi_parting {
    tq_choose_fn choose;
    void *user;
    size_t n_outputs;
    const tqi_value_shape *shape;
    tqi_place *place;        /* of the worker, which is in the job's own code */
    const atomic_bool *stop; /* looked at before each call */
    tqi_budget *budget;

    tqi_entry *entries; /* the rows by output, otherwise in the order that they had: */
    size_t *ends;       /* those of output k end before ends[k] */
    size_t n;
} tqi_parting;

/* Ask for each row, and fill in the last three; free them in any case. TQ_E_USER, TQ_E_MEMORY, TQ_E_CANCELLED. */
tq_status tqi_parting_make(tqi_parting *parting, const tqi_entry *entries, size_t n, tq_error *error);
void tqi_parting_free(tqi_parting *parting);

/* Begin a frame at the end of text, and end the one that begins at byte at. TQ_E_MEMORY. */
tq_status tqi_frame_begin(tqi_text *text);
void tqi_frame_end(tqi_text *text, size_t at, size_t output);

/* All zero: between two frames. */
typedef struct tqi_frame_reader {
    char head[sizeof(tqi_frame)];
    size_t head_bytes; /* of them that are there */
    tqi_frame frame;   /* once all are: bytes are those that are left */
} tqi_frame_reader;

/* The next text in *piece, which moves behind it, and its output; an empty text when piece is used up. */
tq_slice tqi_frame_next(tqi_frame_reader *reader, tq_slice *piece, size_t *output);

#endif
