#include "node/store.h"

#include "common/error.h"
#include "common/fault.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAGING_BYTES = 1 << 20, COPY_BLOCK = 1 << 20 };

tq_status tqi_store_init(tqi_store *store, const tqi_spec *spec, uint64_t bound, const char *tmpdir)
{
    *store = (tqi_store){.spec = spec, .bound = bound, .tmpdir = tmpdir, .spill = -1};
    store->parts = calloc(spec->own_partitions ? spec->own_partitions : 1, sizeof *store->parts);
    return store->parts ? TQ_OK : TQ_E_MEMORY;
}

void tqi_store_drop(tqi_store *store, uint32_t p)
{
    tqi_store_part *part = &store->parts[p];

    for (size_t i = 0; i < part->n; i++) {
        if (!part->pages[i].alone)
            continue;
        tqi_run_free(store->spec, part->pages[i].alone);
        part->pages[i] = (tqi_page_ref){0};
    }
}

void tqi_store_free(tqi_store *store)
{
    for (uint32_t p = 0; store->parts && p < store->spec->own_partitions; p++) {
        tqi_store_drop(store, p);
        free(store->parts[p].pages);
    }
    free(store->parts);
    while (store->runs) {
        tqi_run *next = store->runs->next;

        tqi_run_free(store->spec, store->runs);
        store->runs = next;
    }
    if (store->staging)
        tqi_budget_free(store->spec->budget, store->staging, STAGING_BYTES);
    if (store->spec && store->spill >= 0)
        close(store->spill);
    *store = (tqi_store){.spill = -1};
}

static tq_status add_ref(tqi_store *store, const tqi_page_header *header, tqi_page_ref ref, tq_error *error)
{
    tqi_store_part *part = &store->parts[header->partition - store->spec->first_partition];

    if (part->n == part->capacity) {
        size_t capacity = part->capacity ? 2 * part->capacity : 8;
        tqi_page_ref *pages = realloc(part->pages, capacity * sizeof *pages);

        if (!pages)
            return tqi_fail_memory(error, capacity * sizeof *pages, "the list of pages");
        part->pages = pages;
        part->capacity = capacity;
    }
    part->pages[part->n++] = ref;
    part->bytes += ref.size;
    part->records += header->records;
    store->bytes += ref.size;
    store->records += header->records;
    store->pages++;
    return TQ_OK;
}

/* A file without a name, so that nothing is left of it however the process ends. */
static tq_status open_spill(tqi_store *store, tq_error *error)
{
    char *path = NULL;

    store->staging = tqi_budget_force(store->spec->budget, STAGING_BYTES);
    if (!store->staging)
        return tqi_fail_memory(error, STAGING_BYTES, "spilling");
    store->spill = open(store->tmpdir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (store->spill < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        if (asprintf(&path, "%s/tequio-spill-XXXXXX", store->tmpdir) < 0)
            return tqi_fail_memory(error, 64, "a path");
        store->spill = mkostemp(path, O_CLOEXEC);
        if (store->spill >= 0)
            unlink(path);
        free(path);
    }
    if (store->spill < 0)
        return tqi_fail_file(error, TQ_E_TMPDIR, store->tmpdir, "cannot create a spill file here: %s (see --tmpdir)",
                             strerror(errno));
    return TQ_OK;
}

static tq_status write_spill(tqi_store *store, const uint8_t *bytes, size_t size, tq_error *error)
{
    while (size > 0) {
        ssize_t done = write(store->spill, bytes, size);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return tqi_fail_at(error, TQ_E_TMPDIR, store->tmpdir, store->spilled, "cannot write the spill file: %s",
                               strerror(errno));
        bytes += done;
        size -= (size_t)done;
        store->spilled += (uint64_t)done;
    }
    return TQ_OK;
}

static tq_status flush_staging(tqi_store *store, tq_error *error)
{
    tq_status status = write_spill(store, store->staging, store->staged, error);

    store->staged = 0;
    return status;
}

static tq_status spill_page(tqi_store *store, const uint8_t *page, size_t size, tqi_page_ref *ref, tq_error *error)
{
    tq_status status = store->staging ? TQ_OK : open_spill(store, error);

    if (!status && store->staged + size > STAGING_BYTES)
        status = flush_staging(store, error);
    if (status)
        return status;
    *ref = (tqi_page_ref){NULL, store->spilled + store->staged, size, NULL};
    if (size > STAGING_BYTES)
        return write_spill(store, page, size, error);
    memcpy(store->staging + store->staged, page, size);
    store->staged += size;
    return TQ_OK;
}

/* Note all pages of size bytes at pages; where they lie is decided by spilling. alone: the run in which there is one page
 * only, if it is kept, or NULL. */
static tq_status note_pages(tqi_store *store, const uint8_t *pages, size_t size, tqi_run *alone, bool spilling,
                            tq_error *error)
{
    const uint8_t *at = pages, *end = pages + size;

    while (at < end) {
        size_t left = (size_t)(end - at);
        tqi_page_header header = {0};

        if (left >= TQI_PAGE_HEADER)
            header = tqi_page_read_header(at);
        if (!tqi_page_header_plausible(&header, store->spec->first_partition, store->spec->own_partitions) ||
            header.payload > left - TQI_PAGE_HEADER)
            return tqi_fail(error, TQ_E_ACCOUNT, "what arrived is not a page of this rank");
        tqi_page_ref ref = {at, 0, TQI_PAGE_HEADER + (size_t)header.payload, alone};
        tq_status status = spilling ? spill_page(store, at, ref.size, &ref, error) : TQ_OK;
        if (!status && !tqi_fault("lose-page", store->spec->rank))
            status = add_ref(store, &header, ref, error);
        ref.alone = NULL;
        if (!status && tqi_fault("duplicate-page", store->spec->rank))
            status = add_ref(store, &header, ref, error);
        if (status)
            return status;
        at += ref.size;
    }
    return TQ_OK;
}

static bool over_bound(const tqi_store *store, size_t size)
{
    return store->bound && store->held + size > store->bound;
}

tq_status tqi_store_take_run(tqi_store *store, tqi_run *run, tq_error *error)
{
    bool spilling = over_bound(store, run->bytes);
    bool alone = !spilling && run->bytes >= TQI_PAGE_HEADER &&
                 tqi_page_read_header(run->data).payload == run->bytes - TQI_PAGE_HEADER &&
                 !tqi_fault("lose-page", store->spec->rank);
    tq_status status = note_pages(store, run->data, run->bytes, alone ? run : NULL, spilling, error);

    if (spilling || status) {
        tqi_run_free(store->spec, run);
        return status;
    }
    store->held += run->bytes;
    if (alone)
        return TQ_OK;
    run->next = store->runs;
    store->runs = run;
    return TQ_OK;
}

/* A block with room for size more bytes of copied pages. */
static tqi_run *copy_block(tqi_store *store, size_t size)
{
    tqi_run *block = store->runs;
    size_t usual = store->bound && store->bound / 8 < COPY_BLOCK ? (size_t)store->bound / 8 : COPY_BLOCK;
    size_t capacity = size > usual ? size : usual;

    if (block && block->capacity - TQI_KEY_SLACK - block->bytes >= size)
        return block;
    block = tqi_budget_force(store->spec->budget, sizeof *block + capacity + TQI_KEY_SLACK);
    if (!block)
        return NULL;
    *block = (tqi_run){.capacity = capacity + TQI_KEY_SLACK, .next = store->runs};
    memset(block->data + capacity, 0, TQI_KEY_SLACK);
    store->runs = block;
    return block;
}

tq_status tqi_store_copy_pages(tqi_store *store, const uint8_t *pages, size_t size, tq_error *error)
{
    if (over_bound(store, size))
        return note_pages(store, pages, size, NULL, true, error);
    tqi_run *block = copy_block(store, size);
    if (!block)
        return tqi_fail_memory(error, size, "pages (see --memory)");
    uint8_t *copy = block->data + block->bytes;
    memcpy(copy, pages, size);
    block->bytes += size;
    store->held += size;
    return note_pages(store, copy, size, NULL, false, error);
}

tq_status tqi_store_seal(tqi_store *store, tq_error *error)
{
    return store->staged ? flush_staging(store, error) : TQ_OK;
}

static tq_status read_back(const tqi_store *store, const tqi_page_ref *ref, tqi_page_buffer *buffer, tq_error *error)
{
    if (buffer->capacity < ref->size) {
        free(buffer->memory);
        buffer->memory = calloc(1, ref->size + TQI_KEY_SLACK);
        buffer->capacity = buffer->memory ? ref->size : 0;
        if (!buffer->memory)
            return tqi_fail_memory(error, ref->size, "a spilled page");
    }
    for (size_t done = 0; done < ref->size;) {
        ssize_t got = pread(store->spill, buffer->memory + done, ref->size - done, (off_t)(ref->offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return tqi_fail_at(error, TQ_E_TMPDIR, store->tmpdir, ref->offset + done, "cannot read the spill file: %s",
                               got < 0 ? strerror(errno) : "it is shorter than what was written");
        done += (size_t)got;
    }
    return TQ_OK;
}

tq_status tqi_store_page(const tqi_store *store, uint32_t part, size_t i, tqi_page_buffer *buffer, const uint8_t **page,
                         tq_error *error)
{
    const tqi_page_ref *ref = &store->parts[part].pages[i];
    const uint8_t *bytes = ref->memory;

    if (!bytes) {
        tq_status status = read_back(store, ref, buffer, error);

        if (status)
            return status;
        bytes = buffer->memory;
    }
    const char *broken = tqi_page_validate(bytes, ref->size);
    if (broken)
        return tqi_fail(error, TQ_E_ACCOUNT, "%s (partition %" PRIu32 ")", broken, store->spec->first_partition + part);
    *page = bytes;
    return TQ_OK;
}
