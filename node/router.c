#include "node/router.h"

#include "common/fault.h"
#include <stdlib.h>
#include <string.h>

enum { SMALLEST_PAGE = 512 };

static uint8_t *page_of(const tqi_router *router, uint32_t range)
{
    return router->memory + (size_t)range * router->page_bytes;
}

static void begin_page(tqi_router *router, uint32_t range)
{
    uint8_t *page = page_of(router, range);

    router->open[range] = (tqi_bin){.at = page + TQI_PAGE_HEADER, .end = page + router->page_bytes - TQI_SHORT_ROOM};
}

tq_status tqi_router_init(tqi_router *router, const tqi_splitters *splitters, uint64_t memory, tqi_deliver_fn deliver,
                          void *owner)
{
    const tqi_spec *spec = splitters->spec;
    size_t largest = spec->pool->block_bytes - sizeof(tqi_run) - TQI_KEY_SLACK;
    size_t bytes = (size_t)(memory / spec->partitions);

    *router = (tqi_router){.spec = spec, .splitters = splitters, .deliver = deliver, .owner = owner};
    router->page_bytes = bytes > largest ? largest : bytes < SMALLEST_PAGE ? SMALLEST_PAGE : bytes;
    router->open = calloc(spec->partitions, sizeof *router->open);
    router->memory = tqi_budget_force(spec->budget, spec->partitions * router->page_bytes);
    if (!router->open || !router->memory)
        return TQ_E_MEMORY;
    for (uint32_t r = 0; r < spec->partitions; r++)
        begin_page(router, r);
    return TQ_OK;
}

void tqi_router_free(tqi_router *router)
{
    if (!router->spec)
        return;
    tqi_budget_free(router->spec->budget, router->memory, router->spec->partitions * router->page_bytes);
    free(router->open);
    *router = (tqi_router){0};
}

/* A run of memory of its own, not more than it needs; or a block of the pool, if that is hardly more. */
static tqi_run *new_run(const tqi_spec *spec, size_t bytes)
{
    if (bytes > spec->pool->block_bytes / 2)
        return tqi_run_new(spec, bytes + TQI_KEY_SLACK, true);
    tqi_run *run = tqi_budget_force(spec->budget, sizeof *run + bytes + TQI_KEY_SLACK);
    if (run)
        *run = (tqi_run){.capacity = bytes + TQI_KEY_SLACK};
    return run;
}

/* Append the page of a range to a run, and begin it anew. */
static void move_page(tqi_router *router, uint32_t range, tqi_run *run)
{
    const tqi_bin *open = &router->open[range];
    const uint8_t *page = page_of(router, range);
    size_t bytes = (size_t)(open->at - page);
    uint8_t *copy = run->data + run->bytes;

    memcpy(copy + TQI_PAGE_HEADER, page + TQI_PAGE_HEADER, bytes - TQI_PAGE_HEADER);
    tqi_seal(router->spec, copy, range, (uint32_t)open->records, (uint32_t)(bytes - TQI_PAGE_HEADER));
    run->bytes += bytes;
    run->records += open->records;
    begin_page(router, range);
}

tq_status tqi_router_take(tqi_router *router, tqi_run **run)
{
    const tqi_spec *spec = router->spec;
    size_t total = 0;

    *run = NULL;
    for (uint32_t r = 0; r < spec->partitions; r++)
        if (router->open[r].records)
            total += (size_t)(router->open[r].at - page_of(router, r));
    if (total == 0)
        return TQ_OK;
    tqi_run *made = tqi_budget_force(spec->budget, sizeof *made + total + TQI_KEY_SLACK);
    if (!made)
        return TQ_E_MEMORY;
    *made = (tqi_run){.capacity = total + TQI_KEY_SLACK};
    for (uint32_t r = 0; r < spec->partitions; r++)
        if (router->open[r].records)
            move_page(router, r, made);
    memset(made->data + total, 0, TQI_KEY_SLACK);
    *run = made;
    return TQ_OK;
}

static tq_status hand_on(tqi_router *router, uint32_t range)
{
    size_t bytes = (size_t)(router->open[range].at - page_of(router, range));

    if (!router->open[range].records)
        return TQ_OK;
    tqi_run *run = new_run(router->spec, bytes);
    if (!run)
        return TQ_E_MEMORY;
    move_page(router, range, run);
    router->deliver(router->owner, run);
    return TQ_OK;
}

/* A row that fits no page gets one of its own. */
static tq_status hand_on_large(tqi_router *router, uint32_t range, const tqi_entry *row, uint64_t size)
{
    const tqi_spec *spec = router->spec;
    tqi_run *run = size > TQI_PAGE_PAYLOAD_MAX ? NULL : new_run(spec, TQI_PAGE_HEADER + size);

    if (!run)
        return TQ_E_MEMORY;
    tqi_encode(&spec->result_shape, row, run->data + TQI_PAGE_HEADER);
    tqi_seal(spec, run->data, range, 1, (uint32_t)size);
    run->bytes = TQI_PAGE_HEADER + size;
    run->records = 1;
    router->deliver(router->owner, run);
    return TQ_OK;
}

/* A row that does not fit what is left of its page, or may not. */
static tq_status put_slowly(tqi_router *router, uint32_t range, const tqi_entry *row)
{
    const tqi_value_shape *shape = &router->spec->result_shape;
    tqi_bin *open = &router->open[range];
    uint64_t size = tqi_encoded_size(shape, row);

    /* Behind open->end there is TQI_SHORT_ROOM, of which a key's copy may use TQI_KEY_INLINE. */
    if (size + TQI_KEY_INLINE > (size_t)(open->end + TQI_SHORT_ROOM - open->at)) {
        tq_status status = hand_on(router, range);

        if (status)
            return status;
        if (size + TQI_KEY_INLINE > (size_t)(open->end + TQI_SHORT_ROOM - open->at))
            return hand_on_large(router, range, row, size);
    }
    open->at = tqi_encode(shape, row, open->at);
    open->records++;
    return TQ_OK;
}

tq_status tqi_router_put(tqi_router *router, const tqi_entry *rows, size_t n, tq_account *account)
{
    const tqi_spec *spec = router->spec;
    bool numbers = spec->result_shape.type == TQ_I64;

    if (tqi_fault("drop-record", spec->rank))
        n -= n > 1;
    for (size_t i = 0; i < n; i++) {
        const tqi_entry *row = &rows[i];
        uint32_t range = tqi_range_of(router->splitters, row);
        tqi_bin *open = &router->open[range];
        tq_status status = TQ_OK;

        if (numbers && row->size <= TQI_KEY_INLINE && open->at < open->end)
            tqi_bin_write(open, row->word[0], row->word[1], row->size, tqi_zigzag((int64_t)row->value));
        else
            status = put_slowly(router, range, row);
        if (status)
            return status;
        tqi_account_entry(spec, &spec->result_shape, row, account);
    }
    if (n > 0 && tqi_fault("corrupt-key", spec->rank))
        page_of(router, tqi_range_of(router->splitters, &rows[n - 1]))[TQI_PAGE_HEADER + 1] ^= 1;
    return TQ_OK;
}
