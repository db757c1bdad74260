#include "node/order.h"

#include <stdlib.h>

enum { SPLITTER_KEY_BYTES = 64 };

/* One page of rows, all in partition 0. */
static tq_status one_page(const tqi_spec *spec, const tqi_rows *rows, tqi_run **run)
{
    tqi_run_builder builder;
    tq_account ignored = {0};
    tq_status status = tqi_run_builder_init(&builder, spec, &spec->result_shape, 1);

    *run = NULL;
    if (!status && rows->n > 0)
        status = tqi_run_build(&builder, rows->entries, rows->n, NULL, &ignored, run);
    tqi_run_builder_free(&builder);
    return status;
}

static tq_status append_short(const tqi_spec *spec, tqi_rows *to, const tqi_entry *entry)
{
    tq_slice key = tqi_entry_key(entry), value = tqi_entry_value(&spec->result_shape, entry);

    if (key.size > SPLITTER_KEY_BYTES)
        key.size = SPLITTER_KEY_BYTES;
    if (spec->result_shape.type == TQ_BYTES)
        value.size = 0;
    return tqi_rows_append(to, &spec->result_shape, key, (int64_t)entry->value, value);
}

tq_status tqi_order_sample(const tqi_spec *spec, const tqi_rows *parts, uint32_t n_parts, uint64_t wanted,
                           tqi_run **run)
{
    tqi_rows samples;
    uint64_t total = 0, next = 0;
    tq_status status = TQ_OK;

    tqi_rows_init(&samples, spec->budget);
    for (uint32_t p = 0; p < n_parts; p++)
        total += parts[p].n;
    uint64_t step = wanted && total > wanted ? total / wanted : 1;
    for (uint32_t p = 0; p < n_parts && !status; p++) {
        for (; next < parts[p].n && !status; next += step)
            status = append_short(spec, &samples, &parts[p].entries[next]);
        next -= parts[p].n;
    }
    if (!status)
        status = one_page(spec, &samples, run);
    tqi_rows_free(&samples);
    return status;
}

tq_status tqi_order_choose(const tqi_spec *spec, tqi_rows *samples, uint32_t ranges, tqi_run **run)
{
    tqi_rows chosen;
    tq_status status = TQ_OK;

    tqi_rows_init(&chosen, spec->budget);
    tqi_rows_sort(samples, spec->order, &spec->result_shape);
    for (uint64_t r = 1; r < ranges && samples->n >= ranges && !status; r++)
        status = append_short(spec, &chosen, &samples->entries[r * samples->n / ranges]);
    if (!status)
        status = one_page(spec, &chosen, run);
    tqi_rows_free(&chosen);
    return status;
}

/* How many splitters do not come behind the row: its range. */
static uint32_t range_of(const tqi_spec *spec, const tqi_rows *splitters, const tqi_entry *entry)
{
    size_t low = 0, high = splitters->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (tqi_rows_compare(spec->order, &spec->result_shape, &splitters->entries[middle], entry) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

tq_status tqi_order_route(const tqi_spec *spec, const tqi_rows *rows, const tqi_rows *splitters, tq_account *account,
                          tqi_run **run)
{
    tqi_run_builder builder;
    uint32_t *range;

    *run = NULL;
    if (rows->n == 0)
        return TQ_OK;
    range = tqi_budget_alloc(spec->budget, rows->n * sizeof *range);
    tq_status status = tqi_run_builder_init(&builder, spec, &spec->result_shape, spec->partitions);
    if (!range || status) {
        status = TQ_E_MEMORY;
    } else {
        for (size_t i = 0; i < rows->n; i++)
            range[i] = range_of(spec, splitters, &rows->entries[i]);
        status = tqi_run_build(&builder, rows->entries, rows->n, range, account, run);
    }
    tqi_run_builder_free(&builder);
    tqi_budget_free(spec->budget, range, rows->n * sizeof *range);
    return status;
}
