#include "node/spool.h"

#include "common/error.h"
#include "node/writer.h"
#include <stdlib.h>
#include <string.h>

/* So that the store writes chunks of the size that is read at once. */
enum { STORE_BYTES = 512 << 10 };

static tq_status open_store(tqi_spool *spool, tq_error *error)
{
    if (tqi_store_init(&spool->store, spool->runs, STORE_BYTES, spool->tmpdir))
        return tqi_fail_memory(error, TQI_MOST_RUNS * sizeof(tqi_store_part), "runs");
    return TQ_OK;
}

tq_status tqi_spool_init(tqi_spool *spool, const tqi_spec *spec, tqi_before_fn before, uint64_t memory,
                            const char *tmpdir, tq_error *error)
{
    uint64_t most = memory / TQI_RUN_READ_BYTES;

    most = most < TQI_LEAST_RUNS ? TQI_LEAST_RUNS : most > TQI_MOST_RUNS ? TQI_MOST_RUNS : most;
    *spool = (tqi_spool){.spec = spec, .before = before, .tmpdir = tmpdir, .most = (uint32_t)most};
    spool->runs = malloc(sizeof *spool->runs);
    if (!spool->runs)
        return tqi_fail_memory(error, sizeof *spool->runs, "runs");
    *spool->runs = *spec;
    spool->runs->partitions = spool->runs->own_partitions = spool->most;
    spool->runs->first_partition = 0;
    spool->runs->budget = NULL; /* few pages at a time, when the table has all of the memory */
    return open_store(spool, error);
}

void tqi_spool_free(tqi_spool *spool)
{
    if (spool->store.spec)
        tqi_store_free(&spool->store);
    free(spool->runs);
    spool->runs = NULL;
}

/* ---- Writing runs ---- */

/* A tqi_deliver_fn. */
static void take_page(void *owner, tqi_run *page)
{
    tqi_spool *spool = owner;

    if (spool->error->status)
        tqi_run_free(spool->runs, page);
    else
        tqi_store_take_run(&spool->store, page, spool->error);
}

/* A writer of one more run. */
static tqi_writer new_run(tqi_spool *spool, tq_account *ignored)
{
    return (tqi_writer){.spec = spool->runs,
                        .shape = &spool->spec->shape,
                        .partition = spool->n++,
                        .deliver = take_page,
                        .owner = spool,
                        .account = ignored};
}

static tq_status put(tqi_spool *spool, tqi_writer *writer, const tqi_entry *entries, size_t n)
{
    if (tqi_writer_put(writer, entries, n))
        tqi_fail(spool->error, TQ_E_MEMORY, "no memory for a page of a run (see --memory)");
    return spool->error->status;
}

static tq_status finish(tqi_spool *spool, tqi_writer *writer)
{
    if (spool->error->status)
        tqi_writer_discard(writer);
    else
        tqi_writer_finish(writer);
    return spool->error->status;
}

/* All runs become one. */
static tq_status merge_all(tqi_spool *spool, tq_error *error)
{
    tqi_spool old = *spool;
    tq_account ignored = {0};
    tqi_spool_reader reader = {0};
    const tqi_entry *entry;

    if (tqi_store_seal(&old.store, error) || open_store(spool, error)) {
        spool->store = old.store;
        return error->status;
    }
    spool->n = 0;
    tqi_writer writer = new_run(spool, &ignored);
    tqi_spool_reader_open(&reader, &old, error);
    while (!error->status && (entry = tqi_spool_reader_next(&reader, error)) != NULL)
        put(spool, &writer, entry, 1);
    finish(spool, &writer);
    tqi_spool_reader_close(&reader);
    tqi_spool_spilled(&old, &spool->spilled, &spool->spilled_raw);
    tqi_store_free(&old.store);
    return error->status;
}

tq_status tqi_spool_add(tqi_spool *spool, const tqi_entry *entries, size_t n, tq_error *error)
{
    tq_account ignored = {0};

    spool->error = error;
    if (spool->n == spool->most && merge_all(spool, error))
        return error->status;
    tqi_writer writer = new_run(spool, &ignored);
    put(spool, &writer, entries, n);
    return finish(spool, &writer);
}

tq_status tqi_spool_seal(tqi_spool *spool, tq_error *error)
{
    return tqi_store_seal(&spool->store, error);
}

void tqi_spool_spilled(const tqi_spool *spool, uint64_t *spilled, uint64_t *raw)
{
    *spilled = spool->spilled + spool->store.spilled;
    *raw = spool->spilled_raw + spool->store.spilled_raw;
}

/* ---- Reading them ---- */

/* Where reading one run is: its newest page, and the next entry of that. */
typedef struct tqi_run_reader {
    tqi_page_buffer buffer;
    tqi_rows rows;
    size_t page, at;
} tqi_run_reader;

/* What a page does not have: the hash of a job with groups is that of the group. */
static void set_hashes(const tqi_spec *spec, tqi_rows *rows)
{
    for (size_t i = 0; i < rows->n && tqi_spec_groups(spec); i++) {
        tq_slice group = tqi_spec_group(spec, tqi_entry_key(&rows->entries[i]));

        rows->entries[i].hash32 = (uint32_t)(tqi_hash(group.data, group.size) >> 32);
    }
}

/* The entry that reader is at; NULL: its run is over, or error says why. */
static const tqi_entry *look(const tqi_spool *spool, uint32_t run, tqi_run_reader *reader, tq_error *error)
{
    const tqi_store *store = &spool->store;

    while (reader->at == reader->rows.n) {
        const uint8_t *page;

        if (reader->page == store->parts[run].n)
            return NULL;
        if (tqi_store_page(store, run, reader->page, &reader->buffer, &page, error))
            return NULL;
        tqi_rows_clear(&reader->rows);
        tq_status status = tqi_rows_append_page(&reader->rows, &spool->spec->shape, page, true);
        if (status == TQ_E_MEMORY)
            tqi_fail(error, status, "no memory to read runs (see --memory)");
        else if (status)
            tqi_fail(error, status, "a page of a run is malformed");
        if (status)
            return NULL;
        set_hashes(spool->spec, &reader->rows);
        reader->page++;
        reader->at = 0;
    }
    return &reader->rows.entries[reader->at];
}

static const tqi_entry *entry_of(const tqi_spool_reader *from, uint32_t run)
{
    const tqi_run_reader *reader = &from->readers[run];

    return &reader->rows.entries[reader->at];
}

/* Equal entries are the same, whatever run they are from. */
static bool comes_before(const tqi_spool_reader *from, uint32_t a, uint32_t b)
{
    return from->spool->before(from->spool->spec, entry_of(from, a), entry_of(from, b));
}

/* Restore the heap whose root is at. */
static void sift(tqi_spool_reader *from, uint32_t at)
{
    uint32_t held = from->heap[at];

    for (uint32_t child; (child = 2 * at + 1) < from->n; at = child) {
        if (child + 1 < from->n && comes_before(from, from->heap[child + 1], from->heap[child]))
            child++;
        if (!comes_before(from, from->heap[child], held))
            break;
        from->heap[at] = from->heap[child];
    }
    from->heap[at] = held;
}

tq_status tqi_spool_reader_open(tqi_spool_reader *from, const tqi_spool *spool, tq_error *error)
{
    *from = (tqi_spool_reader){.spool = spool};
    from->readers = calloc(spool->n + 1, sizeof *from->readers);
    from->heap = calloc(spool->n + 1, sizeof *from->heap);
    if (!from->readers || !from->heap)
        return tqi_fail_memory(error, spool->n * sizeof *from->readers, "reading runs");
    tqi_budget_take_anyway(spool->spec->budget, spool->n * (uint64_t)TQI_RUN_READ_BYTES);
    for (uint32_t run = 0; run < spool->n; run++) {
        tqi_rows_init(&from->readers[run].rows, NULL);
        if (look(spool, run, &from->readers[run], error))
            from->heap[from->n++] = run;
        if (error->status)
            return error->status;
    }
    for (uint32_t i = from->n / 2; i-- > 0;)
        sift(from, i);
    return TQ_OK;
}

void tqi_spool_reader_close(tqi_spool_reader *from)
{
    for (uint32_t run = 0; from->readers && run < from->spool->n; run++) {
        tqi_page_buffer_free(&from->readers[run].buffer);
        tqi_rows_free(&from->readers[run].rows);
    }
    if (from->readers && from->heap)
        tqi_budget_give(from->spool->spec->budget, from->spool->n * (uint64_t)TQI_RUN_READ_BYTES);
    free(from->readers);
    free(from->heap);
    *from = (tqi_spool_reader){0};
}

const tqi_entry *tqi_spool_reader_next(tqi_spool_reader *from, tq_error *error)
{
    if (from->n == 0)
        return NULL;
    if (from->begun) {
        uint32_t run = from->heap[0];

        from->readers[run].at++;
        if (!look(from->spool, run, &from->readers[run], error))
            from->heap[0] = from->heap[--from->n];
        if (error->status || from->n == 0)
            return NULL;
        sift(from, 0);
    }
    from->begun = true;
    return entry_of(from, from->heap[0]);
}
