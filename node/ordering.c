#include "node/ordering.h"

#include "node/heap.h"
#include "node/mergesort.h"
#include "node/place.h"

/* Rows to be put in order by the job's function. */
typedef struct sorter {
    const tqi_spec *spec;
    tqi_place *place; /* of the worker; NULL: nobody asks */
} sorter;

static sorter sorter_of(const tqi_spec *spec)
{
    return (sorter){spec, tqi_place_here()};
}

static tq_row row_of(const tqi_value_shape *shape, const tqi_entry *entry)
{
    tq_row row = {tqi_entry_key(entry), tqi_entry_value(shape, entry), 0};

    if (shape->type == TQ_I64)
        row.i64 = (int64_t)entry->value;
    return row;
}

static int compare(const sorter *by, const tqi_entry *a, const tqi_entry *b)
{
    const tqi_spec *spec = by->spec;
    tq_row first = row_of(&spec->result_shape, a), second = row_of(&spec->result_shape, b);

    if (by->place)
        tqi_place_set_key(by->place, first.key);
    int order = spec->compare(&first, &second, spec->user);
    return order ? order : tqi_rows_compare(TQ_ORDER_KEY, &spec->result_shape, a, b);
}

/* A tqi_before_fn. */
static bool before(const void *by, const tqi_entry *a, const tqi_entry *b)
{
    return compare(by, a, b) < 0;
}

int tqi_ordering_compare(const tqi_spec *spec, const tqi_entry *a, const tqi_entry *b)
{
    if (spec->order != TQ_ORDER_USER)
        return tqi_rows_compare(spec->order, &spec->result_shape, a, b);
    sorter by = sorter_of(spec);
    return compare(&by, a, b);
}

/* ---- Sorting: not by partitioning around a row, which is only safe if the rows behind it are really behind it ---- */

void tqi_ordering_sort(const tqi_spec *spec, tqi_rows *rows)
{
    size_t bytes = rows->n / 2 * sizeof(tqi_entry);

    if (spec->order != TQ_ORDER_USER) {
        tqi_rows_sort(rows, spec->order, &spec->result_shape);
        return;
    }
    sorter by = sorter_of(spec);
    tqi_entry *spare = bytes ? tqi_budget_alloc(rows->budget, bytes) : NULL;
    if (spare || !bytes)
        tqi_merge_sort(rows->entries, rows->n, spare, before, &by, spec->stop);
    else
        tqi_heap_sort(before, &by, rows->entries, rows->n, spec->stop);
    tqi_budget_free(rows->budget, spare, bytes);
}

size_t tqi_ordering_prune(const tqi_spec *spec, tqi_entry *entries, size_t n)
{
    size_t limit = spec->limit && spec->limit < n ? (size_t)spec->limit : n;

    if (spec->order != TQ_ORDER_USER)
        return tqi_entries_prune(entries, n, spec->order, &spec->result_shape, spec->limit);
    if (limit == n)
        return n;
    sorter by = sorter_of(spec);
    tqi_heap_choose(before, &by, entries, n, limit, spec->stop);
    return limit;
}
