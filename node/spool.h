/* A spool: more entries in order than the memory has room for. Sorted parts of them, runs, are written to the spill folder, then all are
 * read at once and merged (Knuth, The Art of Computer Programming 3, 5.4). Where there are too many runs to read at once, they are
 * merged into one first.
 *
 * One thread at a time. */
#ifndef TQI_SPOOL_H
#define TQI_SPOOL_H

#include "node/mergesort.h"
#include "node/rows.h"
#include "node/store.h"

/* What one run takes while it is read. */
enum { TQI_RUN_READ_BYTES = 128 << 10, TQI_LEAST_RUNS = 4, TQI_MOST_RUNS = 128 };

typedef struct tqi_spool {
    const tqi_spec *spec;
    tqi_spec *runs; /* as spec, but a partition is a run */
    tqi_store store;
    tqi_before_fn before; /* by = spec */
    const char *tmpdir;
    uint32_t n, most; /* runs, and how many there may be */
    uint64_t spilled, spilled_raw; /* bytes of runs that were merged into one, and of their pages */
    tq_error *error;  /* while pages are delivered */
} tqi_spool;

/* Entries are of spec->shape, and those of jobs with groups have the hash of their group. memory: of all runs while they are read.
 * tmpdir and spec must outlive it. TQ_E_MEMORY. */
tq_status tqi_spool_init(tqi_spool *spool, const tqi_spec *spec, tqi_before_fn before, uint64_t memory,
                            const char *tmpdir, tq_error *error);
void tqi_spool_free(tqi_spool *spool);

/* A run of n entries, which are in order. TQ_E_MEMORY, TQ_E_TMPDIR, TQ_E_ACCOUNT (what was spilled is read back broken),
 * TQ_E_CANCELLED. */
tq_status tqi_spool_add(tqi_spool *spool, const tqi_entry *entries, size_t n, tq_error *error);

/* No run will come any more. The same errors. */
tq_status tqi_spool_seal(tqi_spool *spool, tq_error *error);

/* Bytes that were written to the spill folder so far, and of pages before they were packed. */
void tqi_spool_spilled(const tqi_spool *spool, uint64_t *spilled, uint64_t *raw);

/* The entries of all runs, in order. Several readers may read the same runs. */
typedef struct tqi_spool_reader {
    const tqi_spool *spool;
    struct tqi_run_reader *readers;
    uint32_t *heap; /* of those that have an entry: the one with the first of them on top */
    uint32_t n;
    bool begun; /* the entry on top was given */
} tqi_spool_reader;

/* TQ_E_MEMORY, TQ_E_TMPDIR, TQ_E_ACCOUNT. After a failure, too, close it. */
tq_status tqi_spool_reader_open(tqi_spool_reader *from, const tqi_spool *spool, tq_error *error);
void tqi_spool_reader_close(tqi_spool_reader *from);

/* The next entry, with the bytes that it points to, valid until the next call; NULL: there is none, or error says why. */
const tqi_entry *tqi_spool_reader_next(tqi_spool_reader *from, tq_error *error);

#endif
