#include "node/store.h"

#include "common/error.h"
#include "common/fault.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Most bytes between two looks at the disk, and what is spared of it. */
static const uint64_t LOOK_EVERY = 64 << 20, MOST_SPARED = 1 << 30;
enum { SPARED_SHARE = 32 };
enum { MOST_STAGING = 4 << 20, LEAST_STAGING = 64 << 10, CHUNK_BYTES = 64 << 10 };

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
        if (!part->pages[i].memory || !part->pages[i].alone)
            continue;
        tqi_run_free(store->spec, part->pages[i].alone);
        part->pages[i] = (tqi_page_ref){0};
    }
}

static void close_staging(tqi_store *store)
{
    tqi_budget *budget = store->spec ? store->spec->budget : NULL;

    tqi_budget_free(budget, store->staging, store->staging_bytes);
    tqi_budget_free(budget, store->sorted, store->staging_bytes);
    store->staging = store->sorted = NULL;
    tqi_packer_free(&store->packer);
}

void tqi_store_free(tqi_store *store)
{
    for (uint32_t p = 0; store->parts && p < store->spec->own_partitions; p++) {
        tqi_store_drop(store, p);
        free(store->parts[p].pages);
    }
    free(store->parts);
    tqi_run_free_list(store->spec, store->runs);
    free(store->chunks);
    close_staging(store);
    if (store->spec && store->spill >= 0)
        close(store->spill);
    if (store->spec && store->spec->disk)
        tqi_budget_give(store->spec->disk, store->reserved);
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

/* Its two buffers come on top of the bound: see mpi/memory.c. */
static tq_status open_staging(tqi_store *store, tq_error *error)
{
    size_t bytes = store->bound / 8 < MOST_STAGING ? (size_t)store->bound / 8 : MOST_STAGING;

    store->staging_bytes = bytes > LEAST_STAGING ? bytes : LEAST_STAGING;
    store->staging = tqi_budget_force(store->spec->budget, store->staging_bytes);
    store->sorted = tqi_budget_force(store->spec->budget, store->staging_bytes);
    store->packer.compression = store->spec->spill_compression;
    return store->staging && store->sorted ? TQ_OK : tqi_fail_memory(error, 2 * store->staging_bytes, "spilling");
}

/* A file without a name, so that nothing is left of it however the process ends. */
static tq_status open_spill(tqi_store *store, tq_error *error)
{
    char *path = NULL;

    if (open_staging(store, error))
        return error->status;
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

/* Whether size more bytes may be written. A job that emits without end is to fail while there is still a disk: so what is
 * left on that is looked at now and then, and a part of it spared for others. */
static tq_status reserve_disk(tqi_store *store, size_t size, tq_error *error)
{
    tqi_budget *disk = store->spec->disk;
    struct statvfs info;

    if (disk && !tqi_budget_take(disk, size))
        return tqi_fail_at(error, TQ_E_TMPDIR, store->tmpdir, store->spilled,
                           "%" PRIu64 " bytes have been spilled, and no more than %" PRIu64
                           " may be (see --spill-limit; or does the job emit without end?)",
                           atomic_load(&disk->used), disk->limit);
    store->reserved += size;
    if (store->reserved < store->look_at || fstatvfs(store->spill, &info) != 0)
        return TQ_OK;
    uint64_t all = (uint64_t)info.f_blocks * info.f_frsize, left = (uint64_t)info.f_bavail * info.f_frsize;
    uint64_t spared = all / SPARED_SHARE < MOST_SPARED ? all / SPARED_SHARE : MOST_SPARED;
    store->look_at = store->reserved + (spared / 2 < LOOK_EVERY ? spared / 2 : LOOK_EVERY);
    if (all == 0 || left >= spared) /* some file systems do not know */
        return TQ_OK;
    return tqi_fail_at(error, TQ_E_TMPDIR, store->tmpdir, store->spilled,
                       "this disk is nearly full: %" PRIu64 " bytes are left, behind %" PRIu64
                       " that were spilled here (see --tmpdir; or does the job emit without end?)",
                       left, store->spilled);
}

static tq_status write_spill(tqi_store *store, const uint8_t *bytes, size_t size, tq_error *error)
{
    if (reserve_disk(store, size, error))
        return error->status;
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

/* A new chunk, for the next page of a part. */
static tq_status open_chunk(tqi_store *store, uint32_t part, tq_error *error)
{
    if (store->n_chunks == store->chunks_capacity) {
        size_t capacity = store->chunks_capacity ? 2 * store->chunks_capacity : 64;
        tqi_spill_chunk *chunks = realloc(store->chunks, capacity * sizeof *chunks);

        if (!chunks)
            return tqi_fail_memory(error, capacity * sizeof *chunks, "the list of chunks");
        store->chunks = chunks;
        store->chunks_capacity = capacity;
    }
    store->parts[part].chunk = store->n_chunks;
    store->chunks[store->n_chunks++] = (tqi_spill_chunk){.part = part};
    return TQ_OK;
}

/* Put the staged pages in the order of their parts; pages of one part stay in theirs. part->sorted: where its begin. */
static void sort_staged(tqi_store *store)
{
    size_t place = 0;

    for (uint32_t p = 0; p < store->spec->own_partitions; p++) {
        store->parts[p].sorted = place;
        place += store->parts[p].staged;
    }
    for (size_t at = 0, size; at < store->staged; at += size) {
        tqi_page_header header = tqi_page_read_header(store->staging + at);
        tqi_store_part *part = &store->parts[header.partition - store->spec->first_partition];

        size = TQI_PAGE_HEADER + (size_t)header.payload;
        memcpy(store->sorted + part->sorted, store->staging + at, size);
        part->sorted += size;
    }
    for (uint32_t p = 0; p < store->spec->own_partitions; p++) {
        store->parts[p].sorted -= store->parts[p].staged;
        store->parts[p].staged = 0;
    }
}

/* Write the staged pages by chunks, packed into the memory where they were staged. Chunks of one part are filled one after
 * the other, and so they stand in sorted. */
static tq_status flush_staging(tqi_store *store, tq_error *error)
{
    size_t filled = 0;

    sort_staged(store);
    for (; store->n_written < store->n_chunks; store->n_written++) {
        tqi_spill_chunk *chunk = &store->chunks[store->n_written];
        tqi_store_part *part = &store->parts[chunk->part];
        const uint8_t *pages = store->sorted + part->sorted;

        part->sorted += chunk->size;
        chunk->offset = store->spilled + filled;
        chunk->packed = tqi_pack(&store->packer, pages, chunk->size, store->staging + filled);
        if (!chunk->packed) {
            memcpy(store->staging + filled, pages, chunk->size);
            chunk->packed = chunk->size;
        }
        filled += chunk->packed;
    }
    tq_status status = write_spill(store, store->staging, filled, error);
    store->spilled_raw += store->staged;
    store->staged = 0;
    return status;
}

/* A page that does not fit the staging is a chunk that is written at once; packed if there is memory for that. */
static tq_status spill_large_page(tqi_store *store, uint32_t part, const uint8_t *page, size_t size, tqi_page_ref *ref,
                                  tq_error *error)
{
    if (open_chunk(store, part, error))
        return error->status;
    bool packs = store->packer.compression != TQ_COMPRESSION_NONE;
    uint8_t *room = packs ? tqi_budget_alloc(store->spec->budget, size) : NULL;
    size_t packed = room ? tqi_pack(&store->packer, page, size, room) : 0;
    tqi_spill_chunk *chunk = &store->chunks[store->n_written++];
    *chunk = (tqi_spill_chunk){store->spilled, size, packed ? packed : size, part};
    *ref = (tqi_page_ref){.size = size, .chunk = store->parts[part].chunk};
    tq_status status = write_spill(store, packed ? room : page, chunk->packed, error);
    store->spilled_raw += size;
    tqi_budget_free(store->spec->budget, room, size);
    return status;
}

static tq_status spill_page(tqi_store *store, uint32_t p, const uint8_t *page, size_t size, tqi_page_ref *ref,
                            tq_error *error)
{
    tqi_store_part *part = &store->parts[p];
    tq_status status = store->staging ? TQ_OK : open_spill(store, error);

    if (!status && store->staged + size > store->staging_bytes)
        status = flush_staging(store, error);
    if (!status && size > store->staging_bytes)
        return spill_large_page(store, p, page, size, ref, error);
    if (!status && (!part->staged || store->chunks[part->chunk].size + size > CHUNK_BYTES))
        status = open_chunk(store, p, error);
    if (status)
        return status;
    tqi_spill_chunk *chunk = &store->chunks[part->chunk];
    *ref = (tqi_page_ref){.offset = chunk->size, .size = size, .chunk = part->chunk};
    memcpy(store->staging + store->staged, page, size);
    store->staged += size;
    part->staged += size;
    chunk->size += size;
    return TQ_OK;
}

/* Note all pages of size bytes at pages; where they lie is decided by spilling. alone: the run in which there is one page
 * only, if it is kept, or NULL. */
static tq_status note_pages(tqi_store *store, uint8_t *pages, size_t size, tqi_run *alone, bool spilling,
                            tq_error *error)
{
    uint8_t *at = pages, *end = pages + size;

    while (at < end) {
        size_t left = (size_t)(end - at);
        tqi_page_header header = {0};

        if (left >= TQI_PAGE_HEADER)
            header = tqi_page_read_header(at);
        if (!tqi_page_header_plausible(&header, store->spec->first_partition, store->spec->own_partitions) ||
            header.payload > left - TQI_PAGE_HEADER)
            return tqi_fail(error, TQ_E_ACCOUNT, "what arrived is not a page of this rank");
        size_t size_of_page = TQI_PAGE_HEADER + (size_t)header.payload;
        uint32_t part = header.partition - store->spec->first_partition;
        tqi_page_ref ref = {.memory = at, .size = size_of_page, .alone = alone};
        if (spilling && header.magic == TQI_PAGE_LOCAL_MAGIC) /* it leaves this process */
            tqi_page_seal(at, header.partition, header.records, header.payload);
        tq_status status = spilling ? spill_page(store, part, at, size_of_page, &ref, error) : TQ_OK;
        if (!status && !tqi_fault("lose-page", store->spec->rank))
            status = add_ref(store, &header, ref, error);
        if (ref.memory)
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

static void keep_run(tqi_store *store, tqi_run *run)
{
    run->next = store->runs;
    store->runs = run;
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
    if (!alone)
        keep_run(store, run);
    return TQ_OK;
}

/* A run for the copy of one page: a block of the pool, or what it takes. */
static tqi_run *run_of_one_page(const tqi_store *store, size_t size, size_t room)
{
    tqi_budget *budget = store->spec->budget;

    if (size <= room)
        return tqi_run_new(store->spec, size + TQI_KEY_SLACK, true);
    tqi_run *run = tqi_budget_force(budget, sizeof *run + size + TQI_KEY_SLACK);
    if (run)
        *run = (tqi_run){.capacity = size + TQI_KEY_SLACK};
    return run;
}

/* A run with room for the copy of a small page behind others. */
static tqi_run *run_of_many_pages(tqi_store *store, size_t size)
{
    tqi_run *run = store->filling;

    if (run && size + TQI_KEY_SLACK <= run->capacity - run->bytes)
        return run;
    run = store->filling = tqi_run_new(store->spec, size + TQI_KEY_SLACK, true);
    if (run)
        keep_run(store, run);
    return run;
}

/* A page that fills a good part of a block gets one for itself, and can be given back as soon as it was reduced. So what
 * arrives takes the memory of what was just sent away, and none that must be touched for the first time. */
static tq_status copy_page(tqi_store *store, const uint8_t *page, size_t size, tq_error *error)
{
    const tqi_pool *pool = store->spec->pool;
    size_t room = pool ? pool->block_bytes - sizeof(tqi_run) - TQI_KEY_SLACK : 0;
    bool alone = size > room / 4 * 3;
    tqi_run *run = alone ? run_of_one_page(store, size, room) : run_of_many_pages(store, size);

    if (!run)
        return tqi_fail_memory(error, size, "pages (see --memory)");
    if (alone && tqi_fault("lose-page", store->spec->rank)) {
        alone = false;
        keep_run(store, run);
    }
    uint8_t *copy = run->data + run->bytes;
    memcpy(copy, page, size);
    memset(copy + size, 0, TQI_KEY_SLACK);
    run->bytes += size;
    store->held += size;
    tq_status status = note_pages(store, copy, size, alone ? run : NULL, false, error);
    if (status && alone)
        tqi_run_free(store->spec, run);
    return status;
}

/* The size of the page at the start of size bytes; all of them if it is not whole. */
static size_t size_of_first(const uint8_t *pages, size_t size)
{
    size_t page = size < TQI_PAGE_HEADER ? size : TQI_PAGE_HEADER + (size_t)tqi_page_read_header(pages).payload;

    return page < size ? page : size;
}

tq_status tqi_store_copy_pages(tqi_store *store, uint8_t *pages, size_t size, tq_error *error)
{
    tq_status status = TQ_OK;

    if (over_bound(store, size))
        return note_pages(store, pages, size, NULL, true, error);
    for (size_t at = 0, page; at < size && !status; at += page) {
        page = size_of_first(pages + at, size - at);
        status = copy_page(store, pages + at, page, error);
    }
    return status;
}

tq_status tqi_store_seal(tqi_store *store, tq_error *error)
{
    tq_status status = store->staged ? flush_staging(store, error) : TQ_OK;

    close_staging(store);
    return status;
}

void tqi_page_buffer_free(tqi_page_buffer *buffer)
{
    free(buffer->memory);
    tqi_packer_free(&buffer->packer);
    *buffer = (tqi_page_buffer){0};
}

static tq_status read_spill(const tqi_store *store, uint64_t offset, uint8_t *bytes, size_t size, tq_error *error)
{
    while (size > 0) {
        ssize_t got = pread(store->spill, bytes, size, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return tqi_fail_at(error, TQ_E_TMPDIR, store->tmpdir, offset, "cannot read the spill file: %s",
                               got < 0 ? strerror(errno) : "it is shorter than what was written");
        bytes += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return TQ_OK;
}

/* Have a chunk in buffer. What is packed is read to behind where the pages go. */
static tq_status load_chunk(const tqi_store *store, size_t number, tqi_page_buffer *buffer, tq_error *error)
{
    const tqi_spill_chunk *chunk = &store->chunks[number];
    bool is_packed = chunk->packed < chunk->size;

    if (buffer->store == store && buffer->chunk == number)
        return TQ_OK;
    buffer->store = NULL;
    size_t pages = chunk->size + TQI_KEY_SLACK, needed = pages + (is_packed ? chunk->packed : 0);
    if (buffer->capacity < needed) {
        free(buffer->memory);
        buffer->memory = calloc(1, needed);
        buffer->capacity = buffer->memory ? needed : 0;
        if (!buffer->memory)
            return tqi_fail_memory(error, needed, "spilled pages");
    }
    uint8_t *read = buffer->memory + (is_packed ? pages : 0);
    tq_status status = read_spill(store, chunk->offset, read, chunk->packed, error);
    if (status)
        return status;
    buffer->packer.compression = store->spec->spill_compression;
    if (is_packed && !tqi_unpack(&buffer->packer, read, chunk->packed, buffer->memory, chunk->size))
        return tqi_fail_at(error, TQ_E_ACCOUNT, store->tmpdir, chunk->offset,
                           "what stands in the spill file is not what was written: it cannot be unpacked");
    buffer->store = store;
    buffer->chunk = number;
    return TQ_OK;
}

tq_status tqi_store_page(const tqi_store *store, uint32_t part, size_t i, tqi_page_buffer *buffer, const uint8_t **page,
                         tq_error *error)
{
    const tqi_page_ref *ref = &store->parts[part].pages[i];
    const uint8_t *bytes = ref->memory;

    if (!bytes) {
        tq_status status = load_chunk(store, ref->chunk, buffer, error);

        if (status)
            return status;
        bytes = buffer->memory + ref->offset;
    }
    const char *broken = tqi_page_validate(bytes, ref->size);
    if (broken)
        return tqi_fail(error, TQ_E_ACCOUNT, "%s (partition %" PRIu32 ")", broken, store->spec->first_partition + part);
    *page = bytes;
    return TQ_OK;
}
