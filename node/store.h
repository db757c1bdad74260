/* The store: the pages that have arrived at this rank, by partition, in memory up to a bound and beyond it in a spill
 * file.
 *
 * What is spilled is staged in memory, sorted by partition and written as chunks: pages of one partition, in the order in
 * which they came, that are read back at once. Pages are often a few KiB, of rows in ranges some 100 bytes: read alone,
 * each would take a system call, and compressed alone it would hardly become smaller. A chunk is compressed as the job
 * says, unless that makes it no smaller.
 *
 * A job's stores together spill no more than spec->disk allows, and leave some of the disk to others.
 *
 * After a failure only tqi_store_free is allowed. While pages arrive only the engine touches a store. After
 * tqi_store_seal each partition belongs to one worker at a time, which reads its pages and may drop them. */
#ifndef TQI_STORE_H
#define TQI_STORE_H

#include "node/packing.h"
#include "node/run.h"

typedef struct tqi_page_ref {
    const uint8_t *memory; /* NULL: in a chunk of the spill file, */
    size_t offset;         /* there */
    size_t size;           /* with its header */
    union {
        tqi_run *alone; /* in memory: the run in which it is the only page, or NULL; freed with the page */
        size_t chunk;   /* spilled: the number of the chunk */
    };
} tqi_page_ref;

typedef struct tqi_spill_chunk {
    uint64_t offset; /* in the spill file */
    size_t size;     /* of its pages */
    size_t packed;   /* of what stands in the file: less than size if it is compressed */
    uint32_t part;
} tqi_spill_chunk;

typedef struct tqi_store_part {
    tqi_page_ref *pages;
    size_t n, capacity;
    uint64_t bytes, records;
    size_t staged; /* bytes of its pages that are staged, */
    size_t sorted; /* where they go when the staged pages are sorted, */
    size_t chunk;  /* and the chunk that takes the next of them */
} tqi_store_part;

typedef struct tqi_store {
    const tqi_spec *spec;
    tqi_store_part *parts; /* spec->own_partitions of them */
    tqi_run *runs;         /* in which several pages lie, */
    tqi_run *filling;      /* and that one of them to which copies of pages are added; NULL: none */
    uint64_t held, bound;  /* bytes of pages in memory, and how many may be (0 = no bound) */
    const char *tmpdir;
    int spill;                     /* -1 until something is spilled */
    uint64_t spilled, spilled_raw; /* bytes written there, and of pages before they were packed */
    uint64_t reserved, look_at;    /* bytes that were to be written; how many until the disk is looked at again */
    tqi_packer packer;
    tqi_spill_chunk *chunks;
    size_t n_chunks, chunks_capacity, n_written; /* the others are staged */
    uint8_t *staging, *sorted; /* pages on their way to the spill file, as they came, and by partition */
    size_t staged, staging_bytes;
    uint64_t bytes, records, pages;
} tqi_store;

/* tmpdir must outlive the store. TQ_E_MEMORY. */
tq_status tqi_store_init(tqi_store *store, const tqi_spec *spec, uint64_t bound, const char *tmpdir);
void tqi_store_free(tqi_store *store);

/* Take over a run all of whose pages belong here. TQ_E_MEMORY, TQ_E_TMPDIR; the run is gone in any case. */
tq_status tqi_store_take_run(tqi_store *store, tqi_run *run, tq_error *error);

/* Copy size bytes of whole pages, back to back; they may get checksums. TQ_E_MEMORY, TQ_E_TMPDIR, TQ_E_ACCOUNT (not pages
 * of this rank). */
tq_status tqi_store_copy_pages(tqi_store *store, uint8_t *pages, size_t size, tq_error *error);

/* Nothing more will come. TQ_E_TMPDIR. */
tq_status tqi_store_seal(tqi_store *store, tq_error *error);

/* Room for one chunk that is read back from the spill file. One thread at a time, and not longer than the store; all
 * zero = empty. */
typedef struct tqi_page_buffer {
    uint8_t *memory;
    size_t capacity;
    const tqi_store *store; /* whose chunk is in it; NULL: nothing is */
    size_t chunk;
    tqi_packer packer;
} tqi_page_buffer;

void tqi_page_buffer_free(tqi_page_buffer *buffer);

/* Page number i of part (0 .. own_partitions - 1), validated. *page stays valid until buffer is used again, and if it
 * was not spilled (tqi_store_keeps_page) until the store drops it. The pages of a part are read fastest in their order.
 * TQ_E_TMPDIR: cannot be read back. TQ_E_ACCOUNT: the page, or its chunk, is broken. TQ_E_MEMORY. */
tq_status tqi_store_page(const tqi_store *store, uint32_t part, size_t i, tqi_page_buffer *buffer, const uint8_t **page,
                         tq_error *error);

static inline bool tqi_store_keeps_page(const tqi_store *store, uint32_t part, size_t i)
{
    return store->parts[part].pages[i].memory != NULL;
}

/* Give back the memory of the pages of a part that lie alone; they are not read any more. Any thread, of another part at
 * the same time too. */
void tqi_store_drop(tqi_store *store, uint32_t part);

#endif
