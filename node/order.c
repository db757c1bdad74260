#include "node/order.h"

#include <stdlib.h>

enum { SPLITTER_KEY_BYTES = 64, STABLE_SPLITTER_KEY_BYTES = 4 << 10 };

/* A sampler keeps so many rows, then half of them. */
enum { FIRST_STEP = 16, MOST_SAMPLES = 16 << 10 };

/* One page of rows, all in partition 0. */
static tq_status one_page(const tqi_spec *spec, const tqi_rows *rows, tqi_run **run)
{
    tq_account ignored = {0};

    *run = NULL;
    return rows->n ? tqi_run_build_one(spec, &spec->result_shape, 0, rows->entries, rows->n, &ignored, run) : TQ_OK;
}

static tq_status append_short(const tqi_spec *spec, tqi_rows *to, const tqi_entry *entry)
{
    tq_slice key = tqi_entry_key(entry), value = tqi_entry_value(&spec->result_shape, entry);

    size_t most = spec->order == TQ_ORDER_STABLE ? STABLE_SPLITTER_KEY_BYTES : SPLITTER_KEY_BYTES;

    if (key.size > most)
        key.size = most;
    if (spec->result_shape.type == TQ_BYTES)
        value.size = 0;
    return tqi_rows_append(to, &spec->result_shape, key, (int64_t)entry->value, value);
}

void tqi_sampler_init(tqi_sampler *sampler, const tqi_spec *spec)
{
    *sampler = (tqi_sampler){.spec = spec, .step = FIRST_STEP, .skip = FIRST_STEP / 2};
    tqi_rows_init(&sampler->rows, spec->budget);
}

void tqi_sampler_free(tqi_sampler *sampler)
{
    tqi_rows_free(&sampler->rows);
}

void tqi_sampler_thin(tqi_sampler *sampler, uint64_t step)
{
    tqi_rows *rows = &sampler->rows;

    while (sampler->step < step) {
        size_t n = 0;

        for (size_t i = 0; i < rows->n; i += 2)
            rows->entries[n++] = rows->entries[i];
        rows->n = n;
        sampler->step *= 2;
    }
}

void tqi_sampler_see(tqi_sampler *sampler, const tqi_entry *entries, size_t n)
{
    for (; sampler->skip < n; sampler->skip += sampler->step) {
        if (sampler->rows.n >= MOST_SAMPLES)
            tqi_sampler_thin(sampler, 2 * sampler->step);
        if (append_short(sampler->spec, &sampler->rows, &entries[sampler->skip]))
            tqi_sampler_thin(sampler, 2 * sampler->step); /* fewer have to do */
    }
    sampler->skip -= n;
}

tq_status tqi_order_sample(const tqi_spec *spec, tqi_sampler *const *samplers, int n, uint64_t wanted, tqi_run **run)
{
    tqi_rows samples;
    uint64_t total = 0, next = 0;
    tq_status status = TQ_OK;

    tqi_rows_init(&samples, spec->budget);
    for (int s = 0; s < n; s++)
        total += samplers[s]->rows.n;
    uint64_t step = wanted && total > wanted ? total / wanted : 1;
    for (int s = 0; s < n && !status; s++) {
        const tqi_rows *rows = &samplers[s]->rows;

        for (; next < rows->n && !status; next += step)
            status = append_short(spec, &samples, &rows->entries[next]);
        next -= rows->n;
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
    bool enough = samples->n >= ranges || (spec->order == TQ_ORDER_STABLE && samples->n > 0); /* empty ranges do no harm */
    for (uint64_t r = 1; r < ranges && enough && !status; r++)
        status = append_short(spec, &chosen, &samples->entries[r * samples->n / ranges]);
    if (!status)
        status = one_page(spec, &chosen, run);
    tqi_rows_free(&chosen);
    return status;
}

tq_status tqi_splitters_init(tqi_splitters *splitters, const tqi_spec *spec, const uint8_t *page)
{
    *splitters = (tqi_splitters){.spec = spec};
    tqi_rows_init(&splitters->rows, spec->budget);
    tq_status status = page ? tqi_rows_append_page(&splitters->rows, &spec->result_shape, page, false) : TQ_OK;
    size_t n = splitters->rows.n;
    if (!status && n > 0) {
        splitters->prefixes = tqi_budget_alloc(spec->budget, n * sizeof *splitters->prefixes);
        status = splitters->prefixes ? TQ_OK : TQ_E_MEMORY;
    }
    for (size_t i = 0; i < n && !status; i++)
        splitters->prefixes[i] = tqi_row_prefix(spec->order, &splitters->rows.entries[i]);
    return status;
}

void tqi_splitters_free(tqi_splitters *splitters)
{
    if (!splitters->spec)
        return;
    tqi_budget_free(splitters->spec->budget, splitters->prefixes, splitters->rows.n * sizeof *splitters->prefixes);
    tqi_rows_free(&splitters->rows);
    *splitters = (tqi_splitters){0};
}

/* How many of n ascending numbers are less than x. No branch depends on x: what is not predicted costs more than the rest. */
static inline size_t count_less(const uint64_t *numbers, size_t n, uint64_t x)
{
    const uint64_t *base = numbers;

    while (n > 1) {
        size_t half = n / 2;

        base += half & (0 - (size_t)(base[half - 1] < x));
        n -= half;
    }
    return (size_t)(base - numbers) + (n == 1 && *base < x);
}

uint32_t tqi_range_of(const tqi_splitters *splitters, const tqi_entry *entry)
{
    const tqi_spec *spec = splitters->spec;
    uint64_t prefix = tqi_row_prefix(spec->order, entry);
    size_t n = splitters->rows.n, low = count_less(splitters->prefixes, n, prefix);

    if (low == n || splitters->prefixes[low] != prefix)
        return (uint32_t)low;
    size_t high = prefix == UINT64_MAX ? n : low + count_less(splitters->prefixes + low, n - low, prefix + 1);
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (tqi_rows_compare(spec->order, &spec->result_shape, &splitters->rows.entries[middle], entry) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}
