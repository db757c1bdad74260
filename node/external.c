#include "node/external.h"

#include "common/error.h"
#include "node/ordering.h"
#include "node/run_writer.h"
#include <stdlib.h>
#include <string.h>

/* A chunk of a store is read at once, and unpacked beside itself: so much a run takes when it is merged. */
enum { BYTES_PER_RUN = 160 << 10, FEWEST_RUNS = 4 };

/* Where a run is read. */
typedef struct cursor {
    uint32_t run;
    size_t page; /* the next of its pages */
    tqi_page_buffer buffer;
    const uint8_t *at, *end;           /* what is left of the page at hand, */
    const uint8_t *record, *stretch_end; /* and of its stretch */
    tqi_origin origin;
    tqi_rows row; /* the row at hand */
} cursor;

struct tqi_external {
    tqi_spec spec;  /* of the runs, which are its partitions */
    tqi_store runs;
    uint32_t n_runs;
    uint64_t memory;
    const char *tmpdir;
    cursor *cursors; /* a heap of those that have a row: the first is on top */
    size_t n;
    uint64_t spilled, spilled_raw; /* of runs that were merged into others */
    uint64_t left; /* rows that are still wanted */
    bool has_last;
    tqi_rows last; /* the row that was given last */
};

static tq_status fail_memory(tq_error *error)
{
    return tqi_fail(error, TQ_E_MEMORY, TQI_NO_MEMORY_FOR_RUNS);
}

static bool is_stopped(const tqi_external *external)
{
    return external->spec.stop && atomic_load_explicit(external->spec.stop, memory_order_relaxed);
}

/* ---- Making runs of what fits the memory ---- */

/* Records that lie where they are, sorted. */
static tq_status write_sorted(tqi_external *external, tqi_sorting *sorting, uint32_t run, tq_error *error)
{
    tqi_run_writer to = {.spec = &external->spec, .store = &external->runs, .run = run};
    tq_status status = TQ_OK;

    for (size_t i = 0; i < sorting->n && !status; i++) {
        const uint8_t *record = sorting->items[i].record, *end = record;
        tqi_origin origin = tqi_sorting_origin(sorting, i);
        tq_slice key, value;
        int64_t number;

        tqi_page_next(&external->spec.result_shape, &end, record + UINT32_MAX, &key, &value, &number);
        uint8_t *at = tqi_run_writer_room(&to, &origin, (uint64_t)(end - record), error);
        if (!at)
            status = error->status;
        else
            to.at = (uint8_t *)mempcpy(at, record, (size_t)(end - record));
    }
    if (!status)
        status = tqi_run_writer_hand_on(&to, error);
    tqi_run_free(&external->spec, to.page);
    return status;
}

static tq_status write_rows(tqi_external *external, const tqi_rows *rows, uint32_t run, tq_error *error)
{
    tqi_run_writer to = {.spec = &external->spec, .store = &external->runs, .run = run};
    tqi_origin none = {0};
    tq_status status = TQ_OK;

    for (size_t i = 0; i < rows->n && !status; i++)
        status = tqi_run_writer_put(&to, &none, &rows->entries[i], error);
    if (!status)
        status = tqi_run_writer_hand_on(&to, error);
    tqi_run_free(&external->spec, to.page);
    return status;
}

/* Pages first .. end - 1 of the part, as rows that were made before. */
static tq_status run_of_rows(tqi_external *external, const tqi_store *store, uint32_t part, size_t first, size_t end,
                             uint32_t run, tq_account *account, tq_error *error)
{
    const tqi_value_shape *shape = &external->spec.result_shape;
    tqi_page_buffer buffer = {0};
    tqi_rows rows;
    tq_status status = TQ_OK;

    tqi_rows_init(&rows, NULL); /* it has to get on, however much others have */
    tqi_budget_take_anyway(external->spec.budget, external->memory);
    for (size_t i = first; i < end && !status; i++) {
        const uint8_t *page;

        status = tqi_store_page(store, part, i, &buffer, &page, error);
        if (status)
            break;
        status = tqi_rows_append_page(&rows, shape, page, tqi_store_keeps_page(store, part, i));
        if (status == TQ_E_MEMORY)
            fail_memory(error);
        else if (status)
            tqi_fail(error, status, "a page of rows is malformed");
    }
    tqi_page_buffer_free(&buffer);
    if (!status) {
        tqi_ordering_sort(&external->spec, &rows);
        for (size_t i = 0; i < rows.n; i++)
            tqi_account_entry(&external->spec, shape, &rows.entries[i], account);
        status = write_rows(external, &rows, run, error);
    }
    tqi_rows_free(&rows);
    tqi_budget_give(external->spec.budget, external->memory);
    return status;
}

static tq_status run_of_records(tqi_external *external, const tqi_store *store, uint32_t part, size_t first, size_t end,
                                uint32_t run, tq_account *account, tq_error *error)
{
    tqi_sorting sorting;

    tqi_sorting_init(&sorting, external->spec.budget, UINT64_MAX); /* it has to get on, as above */
    tq_status status = tqi_sorting_load_pages(&sorting, &external->spec, store, part, first, end, account, error);
    if (!status) {
        tqi_sorting_sort(&sorting);
        tqi_sorting_find_origins(&sorting);
        status = write_sorted(external, &sorting, run, error);
    }
    tqi_sorting_free(&sorting);
    return status;
}

/* Behind the last page, from first on, of a run: as many as fit the memory with what it takes to sort them, at least one. */
static size_t end_of_run(const tqi_external *external, const tqi_store_part *part, size_t first)
{
    uint64_t each = external->spec.direct ? 3 * sizeof(tqi_sort_item) : 5 * sizeof(tqi_entry);
    double factor = 1.25 + (double)each * (double)part->records / (double)(part->bytes + 1);
    uint64_t most = (uint64_t)((double)external->memory / factor), bytes = part->pages[first].size;
    size_t end = first + 1;

    while (end < part->n && bytes + part->pages[end].size <= most)
        bytes += part->pages[end++].size;
    return end;
}

/* A store of n runs, all of which go to the disk. */
static tq_status open_runs(tqi_external *external, tqi_store *runs, uint32_t n, tq_error *error)
{
    external->spec.partitions = external->spec.own_partitions = n;
    external->spec.first_partition = 0;
    external->n_runs = n;
    return tqi_store_init(runs, &external->spec, 1, external->tmpdir) ? fail_memory(error) : TQ_OK;
}

static tq_status make_runs(tqi_external *external, const tqi_store *store, uint32_t part, tq_account *account,
                           tq_error *error)
{
    const tqi_store_part *pages = &store->parts[part];
    uint32_t n = 0;

    for (size_t first = 0; first < pages->n; first = end_of_run(external, pages, first))
        n++;
    tq_status status = open_runs(external, &external->runs, n, error);
    size_t first = 0, end;
    for (uint32_t run = 0; run < n && !status; run++, first = end) {
        end = end_of_run(external, pages, first);
        if (is_stopped(external))
            status = tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        else if (external->spec.direct)
            status = run_of_records(external, store, part, first, end, run, account, error);
        else
            status = run_of_rows(external, store, part, first, end, run, account, error);
    }
    return status ? status : tqi_store_seal(&external->runs, error);
}

/* ---- Merging ---- */

/* The next record of a run becomes its row at hand; *over: there is none. */
static tq_status advance(tqi_external *external, cursor *from, bool *over, tq_error *error)
{
    const tqi_value_shape *shape = &external->spec.result_shape;
    tq_slice key, value;
    int64_t number = 0;
    tq_summary summary;

    *over = false;
    while (!tqi_page_next(shape, &from->record, from->stretch_end, &key, &value, &number)) {
        size_t bytes;

        if (from->record != from->stretch_end)
            return tqi_fail(error, TQ_E_ACCOUNT, "a page of a run is malformed");
        if (tqi_direct_next(&from->at, from->end, &from->origin, &from->record, &bytes)) {
            from->stretch_end = from->record + bytes;
            continue;
        }
        if (from->page == external->runs.parts[from->run].n) {
            *over = true;
            return TQ_OK;
        }
        const uint8_t *page;
        if (tqi_store_page(&external->runs, from->run, from->page++, &from->buffer, &page, error))
            return error->status;
        from->at = page + TQI_PAGE_HEADER;
        from->end = from->at + tqi_page_read_header(page).payload;
        from->record = from->stretch_end = from->at;
    }
    if (shape->type == TQI_SUMMARY) {
        if (!tqi_summary_decode((const uint8_t *)value.data, value.size, &summary))
            return tqi_fail(error, TQ_E_ACCOUNT, "a page of a run is malformed");
        value = (tq_slice){(const char *)&summary, sizeof summary};
    }
    tqi_rows_clear(&from->row);
    return tqi_rows_append(&from->row, shape, key, number, value) ? fail_memory(error) : TQ_OK;
}

static int compare_keys(const tqi_entry *a, const tqi_entry *b)
{
    tq_slice x = tqi_entry_key(a), y = tqi_entry_key(b);
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);

    return order ? order : (x.size > y.size) - (x.size < y.size);
}

static bool is_before(const tqi_external *external, const cursor *a, const cursor *b)
{
    const tqi_entry *x = a->row.entries, *y = b->row.entries;
    bool is_stable = external->spec.order == TQ_ORDER_STABLE;
    int order = is_stable ? compare_keys(x, y) : tqi_ordering_compare(&external->spec, x, y);

    if (order)
        return order < 0;
    if (a->origin.file != b->origin.file)
        return a->origin.file < b->origin.file;
    if (a->origin.offset != b->origin.offset)
        return a->origin.offset < b->origin.offset;
    return a->run < b->run; /* pages of one piece have come in their order */
}

static void sift(tqi_external *external, size_t at)
{
    cursor *heap = external->cursors, held = heap[at];

    for (size_t child; (child = 2 * at + 1) < external->n; at = child) {
        if (child + 1 < external->n && is_before(external, &heap[child + 1], &heap[child]))
            child++;
        if (!is_before(external, &heap[child], &held))
            break;
        heap[at] = heap[child];
    }
    heap[at] = held;
}

static void close_cursor(tqi_external *external, cursor *from)
{
    tqi_page_buffer_free(&from->buffer);
    tqi_rows_free(&from->row);
    tqi_budget_give(external->spec.budget, BYTES_PER_RUN);
}

static void close_merge(tqi_external *external)
{
    for (size_t i = 0; i < external->n; i++)
        close_cursor(external, &external->cursors[i]);
    free(external->cursors);
    external->cursors = NULL;
    external->n = 0;
}

/* Begin to merge runs first .. end - 1. */
static tq_status open_merge(tqi_external *external, uint32_t first, uint32_t end, tq_error *error)
{
    external->cursors = calloc(end - first + 1, sizeof *external->cursors);
    if (!external->cursors)
        return fail_memory(error);
    for (uint32_t run = first; run < end; run++) {
        cursor *from = &external->cursors[external->n++];
        bool over;

        from->run = run;
        tqi_rows_init(&from->row, NULL);
        tqi_budget_take_anyway(external->spec.budget, BYTES_PER_RUN);
        if (advance(external, from, &over, error))
            return error->status;
        if (over)
            close_cursor(external, &external->cursors[--external->n]);
    }
    for (size_t i = external->n / 2; i-- > 0;)
        sift(external, i);
    return TQ_OK;
}

/* The row on top was used. */
static tq_status pass_row(tqi_external *external, tq_error *error)
{
    bool over;
    tq_status status = advance(external, &external->cursors[0], &over, error);

    if (status)
        return status;
    if (over) {
        close_cursor(external, &external->cursors[0]);
        external->cursors[0] = external->cursors[--external->n];
    }
    if (external->n > 0)
        sift(external, 0);
    return TQ_OK;
}

/* Runs first .. end - 1 become one of other runs. */
static tq_status merge_some(tqi_external *external, uint32_t first, uint32_t end, tqi_store *into, uint32_t run,
                            tq_error *error)
{
    tqi_run_writer to = {.spec = &external->spec, .store = into, .run = run};
    tq_status status = open_merge(external, first, end, error);

    while (!status && external->n > 0) {
        const cursor *top = &external->cursors[0];

        if (is_stopped(external))
            status = tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        if (!status)
            status = tqi_run_writer_put(&to, &top->origin, top->row.entries, error);
        if (!status)
            status = pass_row(external, error);
    }
    close_merge(external);
    if (!status)
        status = tqi_run_writer_hand_on(&to, error);
    tqi_run_free(&external->spec, to.page);
    return status;
}

/* Until they are few enough to be read at once. */
static tq_status reduce_runs(tqi_external *external, uint32_t most, tq_error *error)
{
    while (external->n_runs > most) {
        uint32_t before = external->n_runs, n = (before + most - 1) / most;
        tqi_spec old = external->spec;
        tqi_store fewer;
        tq_status status = open_runs(external, &fewer, n, error);

        external->runs.spec = &old;
        for (uint32_t run = 0; run < n && !status; run++) {
            uint32_t first = run * most, end = first + most < before ? first + most : before;

            status = merge_some(external, first, end, &fewer, run, error);
        }
        if (!status)
            status = tqi_store_seal(&fewer, error);
        external->spilled += external->runs.spilled;
        external->spilled_raw += external->runs.spilled_raw;
        tqi_store_free(&external->runs);
        external->runs = fewer;
        if (status)
            return status;
    }
    return TQ_OK;
}

/* ---- All of it ---- */

tq_status tqi_external_sort(const tqi_spec *spec, const tqi_store *store, uint32_t part, uint64_t memory,
                            tq_account *account, tqi_external **sorted, tq_error *error)
{
    tqi_external *external = calloc(1, sizeof *external);
    uint64_t most = memory / BYTES_PER_RUN;

    *sorted = NULL;
    if (!external)
        return fail_memory(error);
    external->spec = *spec;
    external->spec.pool = NULL; /* its blocks are of another size */
    external->memory = memory;
    external->tmpdir = store->tmpdir;
    external->left = UINT64_MAX;
    external->runs.spill = -1;
    tqi_rows_init(&external->last, NULL);
    tq_status status = make_runs(external, store, part, account, error);
    if (!status)
        status = reduce_runs(external, most < FEWEST_RUNS ? FEWEST_RUNS : (uint32_t)most, error);
    if (!status)
        status = open_merge(external, 0, external->n_runs, error);
    if (status)
        tqi_external_free(external);
    else
        *sorted = external;
    return status;
}

void tqi_external_free(tqi_external *external)
{
    if (!external)
        return;
    close_merge(external);
    tqi_rows_free(&external->last);
    tqi_store_free(&external->runs);
    free(external);
}

void tqi_external_limit(tqi_external *external, uint64_t rows)
{
    external->left = rows;
}

bool tqi_external_is_over(const tqi_external *external)
{
    return external->n == 0;
}

void tqi_external_spilled(const tqi_external *external, uint64_t *spilled, uint64_t *raw)
{
    *spilled = external->spilled + external->runs.spilled;
    *raw = external->spilled_raw + external->runs.spilled_raw;
}

/* Whether a row has the key of the one before. That of this one is kept for the next. */
static tq_status comes_again(tqi_external *external, const tqi_entry *entry, bool *again, tq_error *error)
{
    const tqi_value_shape *shape = &external->spec.result_shape;

    *again = external->has_last && compare_keys(external->last.entries, entry) == 0;
    if (*again)
        return TQ_OK;
    external->has_last = true;
    tqi_rows_clear(&external->last);
    return tqi_rows_append(&external->last, shape, tqi_entry_key(entry), (int64_t)entry->value,
                           tqi_entry_value(shape, entry))
               ? fail_memory(error)
               : TQ_OK;
}

tq_status tqi_external_next(tqi_external *external, uint64_t bytes, tqi_rows *rows, tq_account *dropped, tq_error *error)
{
    const tqi_value_shape *shape = &external->spec.result_shape;
    uint64_t taken = 0;
    tq_status status = TQ_OK;

    while (!status && external->n > 0 && taken < bytes) {
        const tqi_entry *entry = external->cursors[0].row.entries;
        tq_slice key = tqi_entry_key(entry), value = tqi_entry_value(shape, entry);
        bool again = false;

        if (is_stopped(external))
            return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        if (external->spec.unique)
            status = comes_again(external, entry, &again, error);
        if (again || external->left == 0) {
            tqi_account_entry(&external->spec, shape, entry, dropped);
        } else if (!status) {
            external->left--;
            taken += sizeof *entry + key.size + value.size;
            if (tqi_rows_append(rows, shape, key, (int64_t)entry->value, value))
                status = fail_memory(error);
        }
        if (!status)
            status = pass_row(external, error);
    }
    return status;
}
