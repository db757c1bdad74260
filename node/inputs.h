/* The inputs of a job: paths become a table of files, and files become splits, the units that are handed to ranks.
 *
 * Rank 0 makes the table and sends it to the others; after that nobody writes to it, and any thread may read. A split
 * is only a number: where it lies follows from the table, so a share of splits travels as two integers. */
#ifndef TQI_INPUTS_H
#define TQI_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tequio/status.h>
#include <tequio/types.h>

typedef struct tqi_file {
    char *path;          /* as it was found; "-" for the standard input */
    uint64_t size;       /* bytes when the table was made; of a stream 0 */
    int64_t modified_ns; /* since 1970 */
    bool stream;         /* the standard input or a pipe: only rank 0 can read it, once, in order */
    bool whole; /* compressed: its splits are handed out together, since it is read from its beginning to its end */
    uint64_t first_split; /* as many splits are in the files before it, */
    uint64_t first_byte;  /* and so many bytes */
} tqi_file;

/* The header that all files of a job must have. */
typedef struct tqi_heading {
    char *line; /* without its end (malloc); NULL: it is not known, or no file has one */
    size_t size;
    size_t file; /* whose it was first */
} tqi_heading;

/* As tq_feed_fn, which belongs to jobs. */
typedef int (*tqi_feed_fn)(tq_slice *chunk, char *why, size_t size, void *user);

typedef struct tqi_inputs {
    tqi_feed_fn feed; /* on rank 0, of a job that is fed: there is one file then, a stream, and this gives its chunks */
    void *feed_user;
    tqi_file *files;
    size_t n, capacity;
    uint64_t bytes;       /* of all files that are no streams */
    bool streams;         /* at least one */
    uint64_t whole_bytes; /* of files that are whole */
    uint64_t split_bytes;
    uint64_t splits;
    bool has_header;  /* the first line of each file is its header: see node/header.h */
    bool own_headers; /* and need not be that of the others; heading is not known then */
    tqi_heading heading;
} tqi_inputs;

/* Expand paths (files, folders if recursive, patterns, "-") in the order given, folders sorted by name. Symbolic links
 * are followed when named, not inside a folder. *inputs is valid on success; free it with tqi_inputs_free. TQ_E_INPUT:
 * missing, unreadable, a folder without recursive, neither a file nor a stream. TQ_E_MEMORY. */
tq_status tqi_inputs_expand(tqi_inputs *inputs, const char *const *paths, size_t n, bool recursive, tq_error *error);
void tqi_inputs_free(tqi_inputs *inputs);

/* The table of a job that is fed. TQ_E_MEMORY. */
tq_status tqi_inputs_feed(tqi_inputs *inputs, tqi_feed_fn feed, void *user, tq_error *error);

/* Cut all files into splits of split_bytes; 0 = a size that gives each of workers (in all ranks) some hundred splits, so
 * that the last of them are short beside the whole, but where the input is small not so many that they cost more than
 * what is in them: at least 64 KiB and at most 8 MiB, and a multiple of the page size either way. */
void tqi_inputs_split(tqi_inputs *inputs, uint64_t split_bytes, uint64_t workers);

/* Look at the beginning of each file of several splits, and mark those that are compressed as whole. A file of one split needs
 * no mark: whoever maps it sees what it is. So this opens few files, however many there are. TQ_E_INPUT. */
tq_status tqi_inputs_look(tqi_inputs *inputs, tq_error *error);

/* The splits that file is cut into. */
uint64_t tqi_inputs_splits_of(const tqi_inputs *inputs, const tqi_file *file);

/* The first split from this one on (1 .. inputs->splits) where a share may end: not inside a whole file. */
uint64_t tqi_inputs_share_end(const tqi_inputs *inputs, uint64_t split);
/* Whether all files, but streams, and compressed ones if these are decoded, hold whole records of so many bytes. TQ_E_INPUT. */
tq_status tqi_inputs_check_whole(const tqi_inputs *inputs, uint64_t record_bytes, bool decodes, tq_error *error);

/* The error of a file that ends inside a record. TQ_E_INPUT. */
tq_status tqi_inputs_fail_cut(const char *path, uint64_t size, uint64_t record_bytes, tq_error *error);

/* How much work all splits before this one are (0 .. inputs->splits): their bytes, and for each split something too. The
 * unit is what a split of no bytes takes. */
uint64_t tqi_inputs_work_before(const tqi_inputs *inputs, uint64_t split);

/* Where split lies: the index of its file, and the bytes [*begin, *end) of it. The first split of a whole
 * file is all of it. */
size_t tqi_inputs_locate(const tqi_inputs *inputs, uint64_t split, uint64_t *begin, uint64_t *end);

/* How many bytes of text there are, about: compressed files are taken to have several times their size. */
uint64_t tqi_inputs_text(const tqi_inputs *inputs);

/* The table as one block of bytes (malloc, the caller frees it), and back. */
tq_status tqi_inputs_pack(const tqi_inputs *inputs, char **bytes, size_t *size);
tq_status tqi_inputs_unpack(tqi_inputs *inputs, const char *bytes, size_t size);

/* Whether this process sees the same file: regular, of that size and time. */
bool tqi_file_same_here(const tqi_file *file);

#endif
