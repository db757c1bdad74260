#include "node/compact.h"

enum { FIRST_SCRATCH = 1024 };

/* What combining has done to the bins of one round so far. */
typedef struct progress {
    uint64_t bytes_before, bytes_after;
    uint64_t records_before, records_after;
} progress;

/* Too few records were merged for the trouble, over several bins: an eighth of them, or, since that costs more than moving records
 * within a host, three quarters of those that go to another rank there. */
static bool is_useless(const tqi_spec *spec, const progress *so_far, bool last)
{
    uint64_t most = last && spec->one_host ? so_far->records_before / 4 : so_far->records_before / 8 * 7;

    return so_far->records_before >= 4096 && so_far->records_after > most;
}

static tq_status need_scratch(tq_emitter *emitter)
{
    size_t limit = emitter->bins.most / 4 / TQI_ENTRY_COST;

    if (emitter->has_scratch)
        return TQ_OK;
    limit = limit < FIRST_SCRATCH ? FIRST_SCRATCH : limit > TQI_TABLE_NO_LIMIT ? TQI_TABLE_NO_LIMIT : limit;
    emitter->has_scratch = !tqi_table_init(&emitter->scratch, emitter->spec, FIRST_SCRATCH, limit, true);
    return emitter->has_scratch ? TQ_OK : tqi_emitter_fail(emitter, TQ_E_MEMORY, "no memory to combine (see --memory)");
}

/* Divide the scratch table's entries, which belong to several partitions, into a run. */
static tq_status build(tq_emitter *emitter, tqi_run **run)
{
    const tqi_spec *spec = emitter->spec;
    const tqi_table *scratch = &emitter->scratch;
    uint32_t *partition_of = NULL;
    size_t bytes = scratch->n * sizeof *partition_of;

    if (tqi_spec_is_placed(spec)) {
        partition_of = tqi_budget_force(spec->budget, bytes);
        if (!partition_of)
            return TQ_E_MEMORY;
        for (size_t i = 0; i < scratch->n; i++)
            partition_of[i] = tqi_partition_of(tqi_spec_place(spec, tqi_entry_key(&scratch->entries[i])), spec->partitions);
    }
    tq_status status =
        tqi_run_build(&emitter->builder, scratch->entries, scratch->n, partition_of, &emitter->built, run);
    tqi_budget_free(spec->budget, partition_of, partition_of ? bytes : 0);
    return status;
}

/* Hand on the scratch table's entries, all of bin b, as a run. */
static tq_status send_scratch(tq_emitter *emitter, uint32_t b)
{
    tqi_table *scratch = &emitter->scratch;
    const tqi_spec *spec = emitter->spec;
    tqi_writer writer = {.spec = spec,
                         .shape = &spec->shape,
                         .partition = b,
                         .deliver = emitter->deliver,
                         .owner = emitter->owner,
                         .account = &emitter->built};
    tqi_run *run = NULL;
    tq_status status;

    if (scratch->n == 0)
        return TQ_OK;
    if (emitter->bins.whole)
        status = tqi_writer_put(&writer, scratch->entries, scratch->n);
    else
        status = build(emitter, &run);
    if (status)
        tqi_writer_discard(&writer);
    if (status == TQ_E_MEMORY)
        return tqi_emitter_fail(emitter, status, "no memory for the pages of a flush (see --memory)");
    if (status)
        return tqi_emitter_fail(emitter, status,
                                "more than 4 GiB for one partition in one flush: the keys or values are too large");
    tqi_writer_finish(&writer);
    if (run)
        emitter->deliver(emitter->owner, run);
    return TQ_OK;
}

/* Put the scratch table's entries back into the bins. */
static tq_status keep_scratch(tq_emitter *emitter)
{
    const tqi_table *scratch = &emitter->scratch;
    const tqi_value_shape *shape = &emitter->spec->shape;

    for (size_t i = 0; i < scratch->n; i++) {
        const tqi_entry *entry = &scratch->entries[i];
        tqi_key key = {{entry->word[0], entry->word[1]}, entry->size};
        tq_status status = tqi_bins_put(&emitter->bins, &key, tqi_entry_hash(entry), (int64_t)entry->value,
                                        tqi_entry_value(shape, entry), true);

        if (status)
            return tqi_emitter_fail(emitter, status, "no memory for a key or value (see --memory)");
    }
    return TQ_OK;
}

/* Merge a bin's pages into the scratch table, handing on what it holds when it is full. The pages are gone after. */
static tq_status merge_pages(tq_emitter *emitter, uint32_t b, tqi_run *pages, progress *so_far)
{
    tqi_table *scratch = &emitter->scratch;
    tqi_hashes hashes = {tqi_spec_is_placed(emitter->spec) ? 1 : emitter->bins.n, 0, 0};
    tq_status status = TQ_OK;

    tqi_table_clear(scratch, hashes);
    for (tqi_run *page = pages; page && !status; page = page->next) {
        tqi_merge_place place = {0};

        so_far->bytes_before += page->bytes;
        so_far->records_before += page->records;
        while ((status = tqi_merge_page(scratch, page->data, &place, &emitter->bins.taken, &emitter->error)) ==
               TQ_E_AGAIN) {
            so_far->records_after += scratch->n;
            status = send_scratch(emitter, b);
            tqi_table_clear(scratch, hashes);
            if (status)
                break;
        }
    }
    tqi_run_free_list(emitter->spec, pages);
    if (status && !emitter->status)
        emitter->status = status;
    return status;
}

static tq_status combine_bin(tq_emitter *emitter, uint32_t b, bool may_keep, progress *so_far)
{
    tqi_run *pages = tqi_bins_take(&emitter->bins, b);

    if (!pages)
        return TQ_OK;
    tq_status status = need_scratch(emitter);
    if (status) {
        tqi_run_free_list(emitter->spec, pages);
        return status;
    }
    status = merge_pages(emitter, b, pages, so_far);
    if (status)
        return status;
    so_far->records_after += emitter->scratch.n;
    for (size_t i = 0; i < emitter->scratch.n; i++)
        so_far->bytes_after += tqi_encoded_size(&emitter->spec->shape, &emitter->scratch.entries[i]);
    if (may_keep && so_far->bytes_after <= so_far->bytes_before / 2)
        return keep_scratch(emitter);
    return send_scratch(emitter, b);
}

/* Hand on a bin's pages as they are. */
static void send_pages(tq_emitter *emitter, uint32_t b)
{
    for (tqi_run *page = tqi_bins_take(&emitter->bins, b), *next; page; page = next) {
        tqi_page_header header = tqi_page_read_header(page->data);

        next = page->next;
        page->next = NULL;
        tqi_seal(emitter->spec, page->data, b, header.records, header.payload);
        emitter->deliver(emitter->owner, page);
    }
}

static tq_status compact(tq_emitter *emitter, bool last)
{
    const tqi_spec *spec = emitter->spec;
    const tqi_bins *bins = &emitter->bins;
    progress so_far = {0};
    tq_status status = emitter->status;

    for (uint32_t b = 0; b < bins->n && !status; b++) {
        bool combines = spec->combine != TQ_COMBINE_NONE && !is_useless(spec, &so_far, last);
        bool is_own = b - spec->first_partition < spec->own_partitions;

        if (tqi_emitter_stopped(emitter))
            return tqi_emitter_fail(emitter, TQ_E_CANCELLED, "cancelled");
        if (bins->whole && (!combines || (last && is_own)))
            send_pages(emitter, b);
        else
            status = combine_bin(emitter, b, !last && combines, &so_far);
    }
    return status;
}

tq_status tqi_compact(tq_emitter *emitter)
{
    return compact(emitter, false);
}

tq_status tqi_compact_last(tq_emitter *emitter)
{
    return compact(emitter, true);
}
