#include "node/order.h"

#include "node/ordering.h"
#include <stdlib.h>

enum { SPLITTER_KEY_BYTES = 64, STABLE_SPLITTER_KEY_BYTES = 4 << 10 };

/* A sampler keeps so many rows, then half of them. */
enum { FIRST_STEP = 16, MOST_SAMPLES = 16 << 10, MOST_WHOLE_BYTES = 4 << 20 };

/* One page of rows, all in partition 0. */
static tq_status one_page(const tqi_spec *spec, const tqi_rows *rows, tqi_run **run)
{
    tq_account ignored = {0};

    *run = NULL;
    return rows->n ? tqi_run_build_one(spec, &spec->result_shape, 0, rows->entries, rows->n, &ignored, run) : TQ_OK;
}

/* Shorter, if that will do. */
static tq_status append_sample(const tqi_spec *spec, tqi_rows *to, const tqi_entry *entry)
{
    tq_slice key = tqi_entry_key(entry), value = tqi_entry_value(&spec->result_shape, entry);

    if (spec->order == TQ_ORDER_USER)
        return tqi_rows_append(to, &spec->result_shape, key, (int64_t)entry->value, value);
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

/* Give back the bytes of whole rows that were forgotten. */
static void compact(tqi_sampler *sampler)
{
    const tqi_spec *spec = sampler->spec;
    tqi_rows kept;
    tq_status status = TQ_OK;

    tqi_rows_init(&kept, spec->budget);
    for (size_t i = 0; i < sampler->rows.n && !status; i++) /* without memory for all of them: fewer */
        status = append_sample(spec, &kept, &sampler->rows.entries[i]);
    tqi_rows_free(&sampler->rows);
    sampler->rows = kept;
}

/* Whether a row can be a sample. */
static bool is_short(const tqi_spec *spec, const tqi_entry *entry)
{
    return spec->order != TQ_ORDER_USER ||
           entry->size + tqi_entry_value(&spec->result_shape, entry).size <= TQI_MOST_SAMPLE_BYTES;
}

/* Whether there are enough of them. */
static bool is_full(const tqi_sampler *sampler)
{
    return sampler->rows.n >= MOST_SAMPLES ||
           (sampler->spec->order == TQ_ORDER_USER && sampler->rows.arena.used > MOST_WHOLE_BYTES);
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
        if (sampler->spec->order == TQ_ORDER_USER)
            compact(sampler);
    }
}

void tqi_sampler_see(tqi_sampler *sampler, const tqi_entry *entries, size_t n)
{
    for (; sampler->skip < n; sampler->skip += sampler->step) {
        if (!is_short(sampler->spec, &entries[sampler->skip]))
            continue;
        if (is_full(sampler))
            tqi_sampler_thin(sampler, 2 * sampler->step);
        if (append_sample(sampler->spec, &sampler->rows, &entries[sampler->skip]))
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
            status = append_sample(spec, &samples, &rows->entries[next]);
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
    tqi_ordering_sort(spec, samples);
    bool few_will_do = spec->order == TQ_ORDER_STABLE || spec->order == TQ_ORDER_USER; /* empty ranges do no harm */
    bool enough = samples->n >= ranges || (few_will_do && samples->n > 0);
    for (uint64_t r = 1; r < ranges && enough && !status; r++)
        status = append_sample(spec, &chosen, &samples->entries[r * samples->n / ranges]);
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

/* The first of the splitters low .. high that comes behind the row. */
static uint32_t search(const tqi_splitters *splitters, const tqi_entry *entry, size_t low, size_t high)
{
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (tqi_ordering_compare(splitters->spec, &splitters->rows.entries[middle], entry) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

bool tqi_range_by_prefix(const tqi_splitters *splitters, const tqi_entry *entry, uint32_t *range)
{
    uint64_t prefix = tqi_row_prefix(splitters->spec->order, entry);
    size_t n = splitters->rows.n, low = count_less(splitters->prefixes, n, prefix);

    *range = (uint32_t)low;
    return low == n || splitters->prefixes[low] != prefix;
}

uint32_t tqi_range_of(const tqi_splitters *splitters, const tqi_entry *entry)
{
    const tqi_spec *spec = splitters->spec;
    uint64_t prefix = tqi_row_prefix(spec->order, entry);
    size_t n = splitters->rows.n;

    if (__builtin_expect(spec->order == TQ_ORDER_USER, 0))
        return search(splitters, entry, 0, n);
    size_t low = count_less(splitters->prefixes, n, prefix);
    if (low == n || splitters->prefixes[low] != prefix)
        return (uint32_t)low;
    size_t high = prefix == UINT64_MAX ? n : low + count_less(splitters->prefixes + low, n - low, prefix + 1);
    return search(splitters, entry, low, high);
}
