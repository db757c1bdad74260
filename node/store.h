/* The store: the pages that have arrived at this rank, by partition, in memory up to a bound and beyond it in a spill
 * file.
 *
 * After a failure only tqi_store_free is allowed. While pages arrive only the engine touches a store. After
 * tqi_store_seal each partition belongs to one worker at a time, which reads its pages and may drop them. */
#ifndef TQI_STORE_H
#define TQI_STORE_H

#include "node/run.h"

typedef struct tqi_page_ref {
    const uint8_t *memory; /* NULL: in the spill file, */
    uint64_t offset;       /* there */
    size_t size;           /* with its header */
    tqi_run *alone;        /* the run in which it is the only page, if so: freed with the page */
} tqi_page_ref;

typedef struct tqi_store_part {
    tqi_page_ref *pages;
    size_t n, capacity;
    uint64_t bytes, records;
} tqi_store_part;

typedef struct tqi_store {
    const tqi_spec *spec;
    tqi_store_part *parts; /* spec->own_partitions of them */
    tqi_run *runs;         /* in which several pages lie */
    uint64_t held, bound;  /* bytes of pages in memory, and how many may be (0 = no bound) */
    const char *tmpdir;
    int spill; /* -1 until something is spilled */
    uint64_t spilled;
    uint8_t *staging; /* pages on their way to the spill file */
    size_t staged;
    uint64_t bytes, records, pages;
} tqi_store;

/* tmpdir must outlive the store. TQ_E_MEMORY. */
tq_status tqi_store_init(tqi_store *store, const tqi_spec *spec, uint64_t bound, const char *tmpdir);
void tqi_store_free(tqi_store *store);

/* Take over a run all of whose pages belong here. TQ_E_MEMORY, TQ_E_TMPDIR; the run is gone in any case. */
tq_status tqi_store_take_run(tqi_store *store, tqi_run *run, tq_error *error);

/* Copy size bytes of whole pages, back to back. TQ_E_MEMORY, TQ_E_TMPDIR, TQ_E_ACCOUNT (not pages of this rank). */
tq_status tqi_store_copy_pages(tqi_store *store, const uint8_t *pages, size_t size, tq_error *error);

/* Nothing more will come. TQ_E_TMPDIR. */
tq_status tqi_store_seal(tqi_store *store, tq_error *error);

/* Room for one page that is read back from the spill file. One thread at a time; all zero = empty; free(memory) at the
 * end. */
typedef struct tqi_page_buffer {
    uint8_t *memory;
    size_t capacity;
} tqi_page_buffer;

/* Page number i of part (0 .. own_partitions - 1), validated. *page stays valid until buffer is used again.
 * TQ_E_TMPDIR: cannot be read back. TQ_E_ACCOUNT: the page is broken. TQ_E_MEMORY. */
tq_status tqi_store_page(const tqi_store *store, uint32_t part, size_t i, tqi_page_buffer *buffer, const uint8_t **page,
                         tq_error *error);

/* Give back the memory of the pages of a part that lie alone; they are not read any more. Any thread, of another part at
 * the same time too. */
void tqi_store_drop(tqi_store *store, uint32_t part);

#endif
