/* Reading whole records from a byte range of a file.
 *
 * Let f(x) be the first place at or behind byte x where a record may start: byte 0, a byte behind a delimiter, or the
 * end of the file. The records of the range [begin, end) are the bytes [f(begin), f(end)). f never decreases, so ranges
 * that cover a file without a gap yield each of its records exactly once, however short the ranges and long the records
 * are. For records of one length f(x) is the next multiple of it.
 *
 * The reader keeps a window of the file in memory, so that neighbouring small ranges cost no system call each. A window
 * begins at a multiple of the page size, in a buffer that does too: pread is up to four times slower otherwise.
 *
 * A reader belongs to one worker index at a time, as its emitter does. */
#ifndef TQI_READER_H
#define TQI_READER_H

#include "common/budget.h"
#include "node/inputs.h"
#include <tequio/mapreduce.h>

/* Files are read and mapped in pieces of at most this much: it stays in the L2 cache between reading and mapping, and a
 * worker looks up from its work that often. */
enum { TQI_PIECE_BYTES = 1 << 20 };

typedef struct tqi_reader {
    tqi_budget *budget;
    int fd; /* of file, -1 if none is open */
    const tqi_file *file;
    const tqi_inputs *headed; /* whose header each file must begin with; NULL: there is none */
    size_t header_bytes;      /* of file, with its end; 0: it was not looked at yet */
    tq_slice header;          /* without */
    char *own_header;         /* where that is, if it is the file's own */
    char *buffer;
    size_t capacity;    /* of buffer, without the slack behind it */
    uint64_t window;    /* offset in file of buffer[0] */
    size_t window_size; /* bytes of it that are there */
    size_t smallest;    /* bytes that are read at once at least */
    uint64_t record_bytes; /* TQ_FIXED_RECORDS */
} tqi_reader;

/* record_bytes: of TQ_FIXED_RECORDS, whose files hold whole ones; 0 otherwise. */
void tqi_reader_init(tqi_reader *reader, tqi_budget *budget, uint64_t record_bytes);
void tqi_reader_free(tqi_reader *reader);

/* The first bytes of file, at least TQI_HEAD_BYTES (node/codec.h) of them if it has so many. They are read together with those
 * up to byte end that tqi_reader_chunk will be asked for next. */
tq_status tqi_reader_head(tqi_reader *reader, const tqi_file *file, uint64_t end, tq_slice *head, tq_error *error);

/* The records of [begin, end) of file, begin < end <= size, without a header. They may be none: chunk->size = 0. chunk
 * points into the reader's buffer, with TQI_KEY_SLACK readable bytes behind it, until the next call. TQ_E_INPUT:
 * cannot be opened or read, or is shorter than it was, or has another header. TQ_E_MEMORY: a record does not fit. */
tq_status tqi_reader_chunk(tqi_reader *reader, const tqi_file *file, tq_records records, uint64_t begin, uint64_t end,
                           tq_record *chunk, tq_error *error);

/* Whether byte ends a record. These three are not for TQ_FIXED_RECORDS. */
bool tqi_is_delimiter(tq_records records, char byte);

/* The first delimiter in size bytes at data, or NULL; and the last. */
const char *tqi_find_delimiter(tq_records records, const char *data, size_t size);
const char *tqi_find_last_delimiter(tq_records records, const char *data, size_t size);

#endif
