#include "node/grouping.h"

#include "node/mergesort.h"
#include "node/rows.h"
#include <string.h>

static bool is_stopped(const tqi_spec *spec)
{
    return spec->stop && atomic_load_explicit(spec->stop, memory_order_relaxed);
}

static tq_slice group_of(const tqi_spec *spec, const tqi_entry *entry)
{
    return tqi_spec_group(spec, tqi_entry_key(entry));
}

static int compare_bytes(tq_slice a, tq_slice b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static bool same_key(const tqi_entry *a, const tqi_entry *b)
{
    return a->hash32 == b->hash32 && compare_bytes(tqi_entry_key(a), tqi_entry_key(b)) == 0;
}

/* ---- In order ---- */

/* A tqi_before_fn among entries of one hash; by: a tqi_spec. */
static bool group_before(const void *by, const tqi_entry *a, const tqi_entry *b)
{
    const tqi_spec *spec = by;
    int order = compare_bytes(group_of(spec, a), group_of(spec, b));

    return order ? order < 0 : tqi_rows_compare(TQ_ORDER_KEY, &spec->shape, a, b) < 0;
}

/* Entries of one hash, by key, may be of two groups or more, which then need not stand together: "a" may stand between "ab" and
 * "a-". That is seldom. */
static tq_status part_groups(const tqi_spec *spec, tqi_entry *entries, size_t n)
{
    tq_slice first = group_of(spec, &entries[0]);
    size_t same = 1, bytes = n / 2 * sizeof *entries;

    while (same < n && compare_bytes(group_of(spec, &entries[same]), first) == 0)
        same++;
    if (same == n)
        return TQ_OK;
    tqi_entry *spare = tqi_budget_force(spec->budget, bytes);
    if (!spare)
        return TQ_E_MEMORY;
    tqi_merge_sort(entries, n, spare, group_before, spec, spec->stop);
    tqi_budget_free(spec->budget, spare, bytes);
    return TQ_OK;
}

static tq_status combine_equal(tqi_table *table)
{
    size_t kept = 0;
    tq_status status = TQ_OK;

    if (table->spec->combine == TQ_COMBINE_NONE)
        return TQ_OK;
    for (size_t i = 0; i < table->n && !status; i++) {
        if (kept > 0 && same_key(&table->entries[kept - 1], &table->entries[i]))
            status = tqi_table_merge(table, &table->entries[kept - 1], &table->entries[i]);
        else
            table->entries[kept++] = table->entries[i];
    }
    table->n = kept;
    return status;
}

tq_status tqi_grouping_sort(tqi_table *table)
{
    const tqi_spec *spec = table->spec;
    tqi_entry *entries = table->entries;
    tq_status status = TQ_OK;

    tqi_entries_sort(entries, table->n, TQ_ORDER_NONE, &spec->shape);
    for (size_t first = 0, n; first < table->n && !status; first += n) {
        for (n = 1; first + n < table->n && entries[first + n].hash32 == entries[first].hash32;)
            n++;
        status = is_stopped(spec) ? TQ_E_CANCELLED : part_groups(spec, entries + first, n);
    }
    return status ? status : combine_equal(table);
}

/* ---- One by one ---- */

size_t tqi_grouping_end(const tqi_spec *spec, const tqi_entry *entries, size_t first, size_t n, tq_slice *group)
{
    size_t end = first + 1;

    *group = group_of(spec, &entries[first]);
    while (end < n && entries[end].hash32 == entries[first].hash32 &&
           (same_key(&entries[end - 1], &entries[end]) || compare_bytes(group_of(spec, &entries[end]), *group) == 0))
        end++;
    return end;
}
