/* A compressed file that a rank reads for itself, in chunks of whole records. It is decoded from its beginning to its end: by
 * many tasks one after the other, each of which takes a chunk and maps it, so that a worker looks up from its work as often
 * as with other files.
 *
 * Whoever has the archive may use it: the engine, or the one task that it gave it to. */
#ifndef TQI_ARCHIVE_H
#define TQI_ARCHIVE_H

#include "node/expander.h"
#include "node/inputs.h"
#include <stdatomic.h>

typedef struct tqi_archive {
    struct tqi_archive *next; /* the owner's */
    const tqi_file *file;
    const atomic_bool *stop;
    int fd;
    uint64_t offset; /* of the next byte to read */
    tqi_expander expander;
    tqi_chunker chunker;
    bool waits; /* for memory that other archives have */
    tqi_heading own; /* where the file has a header of its own */
} tqi_archive;

/* What all archives of a job have in common. */
typedef struct tqi_archive_options {
    tq_records records;
    uint64_t record_bytes; /* TQ_FIXED_RECORDS */
    size_t piece; /* bytes of a chunk */
    tqi_budget *budget, *decoders;
    const atomic_bool *stop; /* somebody wants the job to end */
    tqi_headed headed;       /* see node/chunker.h */
    bool as_they_are;        /* not decoded, whatever they are */
} tqi_archive_options;

/* Open a file, which is number in its table. *archive is valid on success. TQ_E_INPUT, TQ_E_MEMORY. */
tq_status tqi_archive_open(const tqi_file *file, size_t number, const tqi_archive_options *options,
                           tqi_archive **archive, tq_error *error);

/* The next chunk, NULL at the end (archive->chunker.over says already with the last chunk that it is the last), and NULL with
 * archive->waits when memory is wanting that others have: then this is to be
 * called again later, with insist if nobody else is left who could give some back. TQ_E_INPUT: the file cannot be read, is
 * damaged, or is shorter than it was. TQ_E_MEMORY: a record does not fit, or a decoder does not. TQ_E_CANCELLED. */
tq_status tqi_archive_next(tqi_archive *archive, bool insist, tqi_chunk **chunk, tq_error *error);

/* How many of the file's bytes are decoded. */
uint64_t tqi_archive_position(const tqi_archive *archive);

/* NULL is allowed. */
void tqi_archive_close(tqi_archive *archive);

#endif
