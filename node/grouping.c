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

/* By the keys as they were emitted. */
static int compare_emitted(const tqi_spec *spec, const tqi_entry *a, const tqi_entry *b)
{
    return compare_bytes(tqi_spec_emitted(spec, tqi_entry_key(a)), tqi_spec_emitted(spec, tqi_entry_key(b)));
}

static bool same_key(const tqi_spec *spec, const tqi_entry *a, const tqi_entry *b)
{
    return a->hash32 == b->hash32 && compare_emitted(spec, a, b) == 0;
}

/* ---- In order ---- */

/* A tqi_before_fn among entries of one hash; by: a tqi_spec. */
static bool group_before(const void *by, const tqi_entry *a, const tqi_entry *b)
{
    const tqi_spec *spec = by;
    int order = compare_bytes(group_of(spec, a), group_of(spec, b));

    if (!order)
        order = compare_emitted(spec, a, b);
    return order ? order < 0 : tqi_rows_compare(TQ_ORDER_KEY, &spec->shape, a, b) < 0;
}

/* A tqi_before_fn; by: a tqi_spec. */
static bool emitted_before(const void *by, const tqi_entry *a, const tqi_entry *b)
{
    const tqi_spec *spec = by;

    if (a->hash32 != b->hash32)
        return a->hash32 < b->hash32;
    int order = compare_emitted(spec, a, b);
    return order ? order < 0 : tqi_rows_compare(TQ_ORDER_KEY, &spec->shape, a, b) < 0;
}

bool tqi_grouping_before(const tqi_spec *spec, const tqi_entry *a, const tqi_entry *b)
{
    return a->hash32 != b->hash32 ? a->hash32 < b->hash32 : group_before(spec, a, b);
}

static tq_status merge_sort(const tqi_spec *spec, tqi_entry *entries, size_t n, tqi_before_fn before)
{
    size_t bytes = n / 2 * sizeof *entries;
    tqi_entry *spare = bytes ? tqi_budget_force(spec->budget, bytes) : NULL;

    if (bytes && !spare)
        return TQ_E_MEMORY;
    tqi_merge_sort(entries, n, spare, before, spec, spec->stop);
    tqi_budget_free(spec->budget, spare, bytes);
    return TQ_OK;
}

/* By hash, the key that was emitted, and place or value. With a place behind it, a key that is the beginning of another may
 * come behind that as bytes do; where both are of one group that matters. */
static tq_status sort_by_keys(tqi_table *table)
{
    const tqi_spec *spec = table->spec;

    if (spec->arrival && spec->group)
        return merge_sort(spec, table->entries, table->n, emitted_before);
    tqi_entries_sort(table->entries, table->n, TQ_ORDER_NONE, &spec->shape);
    return TQ_OK;
}

/* Entries of one hash, by key, may be of two groups or more, which then need not stand together: "a" may stand between "ab" and
 * "a-". That is seldom. */
static tq_status part_groups(const tqi_spec *spec, tqi_entry *entries, size_t n)
{
    tq_slice first = group_of(spec, &entries[0]);
    size_t same = 1;

    while (same < n && compare_bytes(group_of(spec, &entries[same]), first) == 0)
        same++;
    return same == n ? TQ_OK : merge_sort(spec, entries, n, group_before);
}

static tq_status combine_equal(tqi_table *table)
{
    size_t kept = 0;
    tq_status status = TQ_OK;

    if (table->spec->combine == TQ_COMBINE_NONE)
        return TQ_OK;
    for (size_t i = 0; i < table->n && !status; i++) {
        if (kept > 0 && same_key(table->spec, &table->entries[kept - 1], &table->entries[i]))
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
    tq_status status = sort_by_keys(table);

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
           (same_key(spec, &entries[end - 1], &entries[end]) || compare_bytes(group_of(spec, &entries[end]), *group) == 0))
        end++;
    return end;
}
