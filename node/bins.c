#include "node/bins.h"

#include <stdlib.h>

tq_status tqi_bins_init(tqi_bins *bins, const tqi_spec *spec, uint32_t n, uint64_t most)
{
    *bins = (tqi_bins){.spec = spec, .n = n, .whole = n == spec->partitions, .most = most};
    bins->bins = calloc(bins->n, sizeof *bins->bins);
    return bins->bins ? TQ_OK : TQ_E_MEMORY;
}

void tqi_bins_free(tqi_bins *bins)
{
    for (uint32_t b = 0; bins->bins && b < bins->n; b++)
        tqi_run_free_list(bins->spec, bins->bins[b].newest);
    free(bins->bins);
    bins->bins = NULL;
}

static size_t memory_of(const tqi_run *page)
{
    return sizeof *page + page->capacity;
}

static void close_page(const tqi_bins *bins, tqi_bin *bin)
{
    tqi_run *page = bin->newest;

    if (!bin->end)
        return;
    tqi_page_header header = {.magic = TQI_PAGE_MAGIC,
                              .partition = (uint32_t)(bin - bins->bins),
                              .records = (uint32_t)bin->records,
                              .payload = (uint32_t)(bin->at - page->data - TQI_PAGE_HEADER)};
    memcpy(page->data, &header, sizeof header);
    page->bytes = TQI_PAGE_HEADER + header.payload;
    page->records = bin->records;
    bin->at = bin->end = NULL;
    bin->records = 0;
}

tq_status tqi_bins_open(tqi_bins *bins, tqi_bin *bin, uint64_t size, bool anyway)
{
    if (size > TQI_PAGE_PAYLOAD_MAX)
        return TQ_E_MEMORY;
    if (!anyway && bins->bytes + bins->spec->pool->block_bytes > bins->most)
        return TQ_E_AGAIN;
    tqi_run *page = tqi_run_new(bins->spec, TQI_PAGE_HEADER + size + TQI_SHORT_ROOM, anyway);
    if (!page)
        return anyway ? TQ_E_MEMORY : TQ_E_AGAIN;
    close_page(bins, bin);
    page->next = bin->newest;
    bin->newest = page;
    bin->at = page->data + TQI_PAGE_HEADER;
    bin->end = page->data + page->capacity - TQI_SHORT_ROOM;
    bins->bytes += memory_of(page);
    return TQ_OK;
}

tq_status tqi_bins_put(tqi_bins *bins, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value, bool anyway)
{
    const tqi_spec *spec = bins->spec;
    tqi_bin *bin = tqi_bin_of(bins, hash);
    const void *bytes = key->size <= TQI_KEY_INLINE ? (const void *)key->word : (const void *)(uintptr_t)key->word[1];
    uint64_t size = tqi_record_size(&spec->shape, key->size, number, value);

    if (tqi_spec_is_placed(spec))
        bin = &bins->bins[tqi_partition_of(tqi_spec_place(spec, (tq_slice){bytes, key->size}), bins->n)];
    /* Behind bin->end there is TQI_SHORT_ROOM, of which a key's copy may use TQI_KEY_INLINE. */
    if (!bin->end || size + TQI_KEY_INLINE > (size_t)(bin->end + TQI_SHORT_ROOM - bin->at)) {
        tq_status status = tqi_bins_open(bins, bin, size, anyway);

        if (status)
            return status;
    }
    tqi_account_pair(spec, hash, number, value, &bins->written);
    bin->at = tqi_record_encode(&spec->shape, bytes, key->size, number, value, bin->at);
    bin->records++;
    return TQ_OK;
}

tqi_run *tqi_bins_take(tqi_bins *bins, uint32_t b)
{
    tqi_bin *bin = &bins->bins[b];
    tqi_run *pages = bin->newest;

    close_page(bins, bin);
    for (tqi_run *page = pages; page; page = page->next)
        bins->bytes -= memory_of(page);
    *bin = (tqi_bin){0};
    return pages;
}
