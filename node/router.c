#include "node/router.h"

#include "common/fault.h"
#include <string.h>

enum { FEWEST_OPEN = 64 };

tq_status tqi_router_init(tqi_router *router, const tqi_splitters *splitters, uint64_t open_bytes,
                          tqi_deliver_fn deliver, void *owner)
{
    const tqi_spec *spec = splitters->spec;
    uint64_t least = (uint64_t)FEWEST_OPEN * spec->pool->block_bytes;

    *router = (tqi_router){.splitters = splitters, .deliver = deliver, .owner = owner};
    return tqi_bins_init(&router->bins, spec, spec->partitions, open_bytes > least ? open_bytes : least);
}

void tqi_router_free(tqi_router *router)
{
    if (router->splitters)
        tqi_bins_free(&router->bins);
}

static void seal(const tqi_spec *spec, uint8_t *page)
{
    tqi_page_header header = tqi_page_read_header(page);

    tqi_seal(spec, page, header.partition, header.records, header.payload);
}

tq_status tqi_router_take(tqi_router *router, tqi_run **run)
{
    tqi_bins *bins = &router->bins;
    const tqi_spec *spec = bins->spec;
    size_t total = 0;

    *run = NULL;
    if (bins->bytes == 0)
        return TQ_OK;
    for (uint32_t b = 0; b < bins->n; b++)
        if (bins->bins[b].end)
            total += (size_t)(bins->bins[b].at - bins->bins[b].newest->data);
    tqi_run *made = tqi_budget_force(spec->budget, sizeof *made + total + TQI_KEY_SLACK);
    if (!made)
        return TQ_E_MEMORY;
    *made = (tqi_run){.capacity = total + TQI_KEY_SLACK};
    for (uint32_t b = 0; b < bins->n; b++) {
        tqi_run *page = tqi_bins_take(bins, b);

        if (!page)
            continue;
        memcpy(made->data + made->bytes, page->data, page->bytes);
        seal(spec, made->data + made->bytes);
        made->bytes += page->bytes;
        made->records += page->records;
        tqi_run_free(spec, page);
    }
    memset(made->data + total, 0, TQI_KEY_SLACK);
    *run = made;
    return TQ_OK;
}

/* A new page for a range: the one before is full, or there is none. */
static tq_status open_page(tqi_router *router, uint32_t range, uint64_t size)
{
    tqi_bins *bins = &router->bins;
    tqi_run *page = tqi_bins_take(bins, range);
    tq_status status = TQ_OK;

    if (page) {
        seal(bins->spec, page->data);
        router->deliver(router->owner, page);
    } else if (bins->bytes + bins->spec->pool->block_bytes > bins->most) {
        tqi_run *run;

        status = tqi_router_take(router, &run);
        if (!status && run)
            router->deliver(router->owner, run);
    }
    return status ? status : tqi_bins_open(bins, &bins->bins[range], size, true);
}

tq_status tqi_router_put(tqi_router *router, const tqi_entry *rows, size_t n, tq_account *account)
{
    tqi_bins *bins = &router->bins;
    const tqi_spec *spec = bins->spec;
    const tqi_value_shape *shape = &spec->result_shape;
    tqi_bin *bin = NULL;

    if (tqi_fault("drop-record", spec->rank))
        n -= n > 1;
    for (size_t i = 0; i < n; i++) {
        const tqi_entry *row = &rows[i];
        uint32_t range = tqi_range_of(router->splitters, row);

        bin = &bins->bins[range];
        if (shape->type == TQ_I64 && row->size <= TQI_KEY_INLINE && bin->at < bin->end) {
            tqi_bin_write(bin, row->word[0], row->word[1], row->size, tqi_zigzag((int64_t)row->value));
        } else {
            uint64_t size = tqi_encoded_size(shape, row);

            /* Behind bin->end there is TQI_SHORT_ROOM, of which a key's copy may use TQI_KEY_INLINE. */
            if (!bin->end || size + TQI_KEY_INLINE > (size_t)(bin->end + TQI_SHORT_ROOM - bin->at)) {
                tq_status status = open_page(router, range, size);

                if (status)
                    return status;
            }
            bin->at = tqi_encode(shape, row, bin->at);
            bin->records++;
        }
        tqi_account_entry(spec, shape, row, account);
    }
    if (bin && tqi_fault("corrupt-key", spec->rank))
        bin->newest->data[TQI_PAGE_HEADER + 1] ^= 1; /* before its checksum is made */
    return TQ_OK;
}
