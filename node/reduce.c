#include "node/reduce.h"

#include "common/error.h"
#include "common/fault.h"
#include "node/grouping.h"
#include "node/ordering.h"
#include "node/reducing.h"
#include "node/table.h"
#include <inttypes.h>

enum { FIRST_ENTRIES = 4096, FEWEST_ENTRIES = 64, MOST_HALVINGS = 24 };

/* TQ_E_MEMORY. */
static tq_status open_table(tqi_reducer *reducer)
{
    uint64_t limit = reducer->table_bytes / (TQI_ENTRY_COST + sizeof(tqi_entry)); /* once more for tqi_table_sorted */
    size_t first = FIRST_ENTRIES;

    if (!reducer->table_bytes || limit > TQI_TABLE_NO_LIMIT)
        limit = TQI_TABLE_NO_LIMIT;
    limit = limit < FEWEST_ENTRIES ? FEWEST_ENTRIES : limit;
    if (first > limit)
        first = limit;
    tq_status status = tqi_table_init(&reducer->table, reducer->spec, first, limit, true);
    if (!status && tqi_spec_groups(reducer->spec))
        tqi_table_keep_all(&reducer->table);
    return status;
}

tq_status tqi_reducer_init(tqi_reducer *reducer, const tqi_spec *spec, uint64_t table_bytes, const char *tmpdir,
                           tqi_deliver_fn deliver, void *owner)
{
    *reducer = (tqi_reducer){
        .spec = spec, .table_bytes = table_bytes, .tmpdir = tmpdir, .deliver = deliver, .owner = owner};
    tqi_sampler_init(&reducer->sampler, spec);
    return open_table(reducer);
}

void tqi_reducer_free(tqi_reducer *reducer)
{
    if (!reducer->spec)
        return;
    tqi_table_free(&reducer->table);
    tqi_sampler_free(&reducer->sampler);
    tqi_router_free(&reducer->router);
}

tq_status tqi_reducer_route(tqi_reducer *reducer, const tqi_splitters *splitters, uint64_t open_bytes)
{
    reducer->routes = true;
    return tqi_router_init(&reducer->router, splitters, open_bytes, reducer->deliver, reducer->owner);
}

/* ---- Handing on ---- */

static void count_entries(const tqi_spec *spec, const tqi_value_shape *shape, const tqi_entry *entries, size_t n,
                          tq_account *account)
{
    for (size_t i = 0; i < n; i++)
        tqi_account_entry(spec, shape, &entries[i], account);
}

static tq_status no_memory(const tqi_reducer *reducer, uint32_t part, tq_error *error)
{
    return tqi_fail(error, TQ_E_MEMORY, "no memory to reduce partition %" PRIu32 " (see --memory)",
                    reducer->spec->first_partition + part);
}

/* n rows of the result, as pages, without those that cannot be among the first of the order; *sent says how many are
 * left, the first of them. */
static tq_status send_rows(tqi_reducer *reducer, uint32_t part, tqi_entry *rows, size_t n, size_t *sent,
                           tq_account *account, tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tqi_writer writer = {.spec = spec,
                         .shape = &spec->result_shape,
                         .partition = spec->first_partition + part,
                         .deliver = reducer->deliver,
                         .owner = reducer->owner,
                         .account = account};

    if (spec->limit && tqi_spec_orders(spec))
        n = tqi_ordering_prune(spec, rows, n);
    else if (spec->limit && n > spec->limit)
        n = spec->limit; /* they are in order already */
    *sent = n;
    if (reducer->routes)
        return tqi_router_put(&reducer->router, rows, n, account) ? no_memory(reducer, part, error) : TQ_OK;
    if (tqi_spec_orders(spec))
        tqi_sampler_see(&reducer->sampler, rows, n);
    if (tqi_writer_put(&writer, rows, n)) {
        tqi_writer_discard(&writer);
        return no_memory(reducer, part, error);
    }
    if (n > 0 && tqi_fault("corrupt-key", spec->rank))
        writer.page->data[TQI_PAGE_HEADER + 1] ^= 1; /* before its checksum is made */
    tqi_writer_finish(&writer);
    return TQ_OK;
}

/* Without a reducer of the job, what was reduced is the rows, and those behind the limit. */
static tq_status send_entries(tqi_reducer *reducer, uint32_t part, tqi_entry *entries, size_t n,
                              tqi_reduce_account *account, tq_error *error)
{
    tq_account rows = {0};
    size_t sent = 0;
    tq_status status = send_rows(reducer, part, entries, n, &sent, &rows, error);

    tqi_account_add(&account->reduced, &rows);
    tqi_account_add(&account->rows, &rows);
    count_entries(reducer->spec, &reducer->spec->shape, entries + sent, n - sent, &account->reduced);
    return status;
}

/* A reducer, or a function that compares, is to see the same whatever the order in which values were merged. */
static void normalize_all(const tqi_spec *spec, const tqi_entry *entries, size_t n)
{
    for (size_t i = 0; i < n && spec->shape.type == TQI_SUMMARY; i++)
        tqi_summary_normalize((tq_summary *)(uintptr_t)entries[i].value);
}

/* Whether the job's function still puts keys where they are; entries of one key stand together, or are seldom many. */
static tq_status check_places(const tqi_reducer *reducer, uint32_t part, const tqi_entry *entries, size_t n,
                              tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    uint32_t here = spec->first_partition + part;

    for (size_t i = 0; i < n; i++) {
        tq_slice whole = tqi_entry_key(&entries[i]), key = tqi_spec_emitted(spec, whole);
        int shown = key.size < 64 ? (int)key.size : 64;

        if (i > 0 && tqi_reducing_same_key(&entries[i - 1], &entries[i]))
            continue;
        if (spec->stop && atomic_load_explicit(spec->stop, memory_order_relaxed))
            return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        if (reducer->place)
            tqi_place_set_key(reducer->place, key);
        uint32_t now = tqi_partition_of(tqi_spec_place(spec, whole), spec->partitions);
        if (now != here)
            return tqi_fail(error, TQ_E_USER,
                            "the job's partition or group function puts key '%.*s' into partition %" PRIu32 " now, and has put it into %" PRIu32
                            ": it must depend on nothing but the key",
                            shown, key.data, now, here);
    }
    return TQ_OK;
}

static tq_status sort_groups(tqi_reducer *reducer, uint32_t part, tq_error *error)
{
    tq_status status = tqi_grouping_sort(&reducer->table);

    if (status == TQ_E_CANCELLED)
        return tqi_fail(error, status, "cancelled");
    if (status == TQ_E_USER)
        return tqi_fail(error, status, "the combiner returned %d", reducer->table.user_code);
    return status ? no_memory(reducer, part, error) : TQ_OK;
}

/* The table's entries in the order in which a reducer gets them, and rows of TQ_ORDER_NONE come. NULL: error says why. */
static tqi_entry *sort_table(tqi_reducer *reducer, uint32_t part, tq_error *error)
{
    tqi_table *table = &reducer->table;

    if (tqi_spec_groups(reducer->spec))
        return sort_groups(reducer, part, error) ? NULL : table->entries;
    tqi_entry *entries = reducer->spec->reduce_keys ? tqi_table_sorted_by_key(table) : tqi_table_sorted(table);
    if (!entries)
        no_memory(reducer, part, error);
    return entries;
}

/* What the table holds becomes rows. */
static tq_status make_rows(tqi_reducer *reducer, uint32_t part, tqi_reduce_account *account, tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tqi_table *table = &reducer->table;
    bool ordered = tqi_spec_has_reducer(spec) || spec->order == TQ_ORDER_NONE;
    tqi_entry *entries = ordered ? sort_table(reducer, part, error) : table->entries;
    tqi_rows rows;
    size_t sent;

    if (!entries)
        return error->status;
    if (tqi_spec_is_placed(spec) && check_places(reducer, part, entries, table->n, error))
        return error->status;
    if (tqi_spec_has_reducer(spec) || spec->order == TQ_ORDER_USER)
        normalize_all(spec, entries, table->n);
    if (!tqi_spec_has_reducer(spec))
        return send_entries(reducer, part, entries, table->n, account, error);
    count_entries(spec, &spec->shape, entries, table->n, &account->reduced);
    tqi_rows_init(&rows, spec->budget);
    tq_status status = TQ_OK;
    if (table->n > 0)
        status = tqi_reducing_call(reducer, entries, table->n, &rows, error);
    if (!status)
        status = send_rows(reducer, part, rows.entries, rows.n, &sent, &account->rows, error);
    tqi_rows_free(&rows);
    return status;
}

/* ---- What the memory has no room for ---- */

/* A tqi_before_fn; by: the spec of a job. That of sort_table. */
static bool comes_before(const void *by, const tqi_entry *a, const tqi_entry *b)
{
    const tqi_spec *spec = by;

    if (tqi_spec_groups(spec))
        return tqi_grouping_before(spec, a, b);
    return tqi_rows_compare(spec->reduce_keys ? TQ_ORDER_KEY : TQ_ORDER_NONE, &spec->shape, a, b) < 0;
}

/* Whether more than half of the table's entries have one hash: a smaller part of the hashes will be as full. (A majority is found
 * in one pass: Boyer and Moore, 1981.) */
static bool is_of_one_hash(const tqi_table *table)
{
    size_t votes = 0, n = 0;
    uint32_t hash32 = 0;

    for (size_t i = 0; i < table->n; i++) {
        if (votes == 0)
            hash32 = table->entries[i].hash32;
        votes += table->entries[i].hash32 == hash32 ? 1 : (size_t)-1;
    }
    for (size_t i = 0; i < table->n; i++)
        n += table->entries[i].hash32 == hash32;
    return n > table->n / 2;
}

/* What the table holds becomes a run. */
static tq_status end_run(tqi_reducer *reducer, uint32_t part, tqi_spool *spool, tq_error *error)
{
    tqi_table *table = &reducer->table;
    const tqi_entry *entries = sort_table(reducer, part, error);
    tq_status status = !entries ? error->status : TQ_OK;

    if (reducer->spec->stop && atomic_load_explicit(reducer->spec->stop, memory_order_relaxed))
        return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
    if (!status && table->n > 0)
        status = tqi_spool_add(spool, entries, table->n, error);
    tqi_table_clear(table, table->hashes);
    return status;
}

/* Merge what the table is for. Where it is full, what it holds becomes a run of the spool; without one: TQ_E_AGAIN, and error is
 * not set. */
static tq_status merge_pages(tqi_reducer *reducer, const tqi_store *store, uint32_t part, tqi_spool *spool,
                             tq_account *account, tq_error *error)
{
    tqi_page_buffer buffer = {0};
    tq_status status = TQ_OK;

    for (size_t i = 0; i < store->parts[part].n && !status; i++) {
        tqi_merge_place place = {0};
        const uint8_t *page;

        if (reducer->spec->stop && atomic_load_explicit(reducer->spec->stop, memory_order_relaxed))
            status = tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        if (!status)
            status = tqi_store_page(store, part, i, &buffer, &page, error);
        if (!status)
            status = tqi_merge_page(&reducer->table, page, &place, account, error);
        while (status == TQ_E_AGAIN && spool) {
            status = end_run(reducer, part, spool, error);
            if (!status)
                status = tqi_merge_page(&reducer->table, page, &place, account, error);
        }
    }
    tqi_page_buffer_free(&buffer);
    return status;
}

/* All that the table is for, as runs. */
static tq_status write_runs(tqi_reducer *reducer, const tqi_store *store, uint32_t part, tqi_spool *spool,
                            tq_account *account, tq_error *error)
{
    tqi_table_clear(&reducer->table, reducer->table.hashes);
    tq_status status = merge_pages(reducer, store, part, spool, account, error);
    if (!status)
        status = end_run(reducer, part, spool, error);
    return status ? status : tqi_spool_seal(spool, error);
}

/* Where the groups and rows of one partition's stream go. */
typedef struct tqi_streaming {
    tqi_reducer *reducer;
    uint32_t part;
    tqi_reduce_account *account;
} tqi_streaming;

static tq_status see_group(void *owner, const tqi_entry *first, tq_error *error)
{
    const tqi_streaming *streaming = owner;

    return tqi_spec_is_placed(streaming->reducer->spec)
               ? check_places(streaming->reducer, streaming->part, first, 1, error)
               : TQ_OK;
}

static tq_status take_rows(void *owner, tqi_rows *rows, tq_error *error)
{
    const tqi_streaming *streaming = owner;
    size_t sent;
    tq_status status = send_rows(streaming->reducer, streaming->part, rows->entries, rows->n, &sent,
                                 &streaming->account->rows, error);

    tqi_rows_clear(rows);
    return status;
}

/* Reduce what the table is for, which does not fit it, by sorting it in the spill folder. The table's memory is that of the readers
 * meanwhile. */
static tq_status reduce_spooled(tqi_reducer *reducer, const tqi_store *store, uint32_t part,
                                   tqi_reduce_account *account, tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tqi_hashes hashes = reducer->table.hashes;
    tqi_streaming streaming = {reducer, part, account};
    tqi_stream_sink sink = {see_group, take_rows, &streaming, &account->reduced, reducer->place};
    tqi_spool spool;

    tqi_error_clear(error);
    if (tqi_spool_init(&spool, spec, comes_before, reducer->table_bytes / 4, reducer->tmpdir, error))
        return error->status;
    if (!write_runs(reducer, store, part, &spool, &account->shuffled, error)) {
        tqi_table_free(&reducer->table);
        tqi_reducing_stream(reducer, &spool, &sink, error);
        if (open_table(reducer) && !error->status)
            no_memory(reducer, part, error);
        reducer->table.hashes = hashes;
    }
    uint64_t spilled, raw;
    tqi_spool_spilled(&spool, &spilled, &raw);
    account->spilled += spilled;
    account->spilled_raw += raw;
    tqi_spool_free(&spool);
    return error->status;
}

static tq_status does_not_fit(const tqi_reducer *reducer, uint32_t part, tq_error *error)
{
    return tqi_fail(error, TQ_E_MEMORY, "the values of one key in partition %" PRIu32 " do not fit (see --memory)",
                    reducer->spec->first_partition + part);
}

/* The next part of a partition's hashes. Parts grow again behind a key that has very many values: what the last one left
 * of the table says whether twice as much will fit. full: the entries with which the table was full. */
static tqi_hashes next_hashes(tqi_hashes hashes, size_t entries, size_t full)
{
    uint32_t step = hashes.halvings ? (uint32_t)1 << (32 - hashes.halvings) : 0;

    hashes.base += step;
    if (hashes.halvings && (hashes.base & step) == 0 && entries <= full / 2)
        hashes.halvings--;
    return hashes;
}

tq_status tqi_reduce_sample(tqi_reducer *reducer, const tqi_store *store, uint32_t part, tqi_sample_size *size,
                            tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tqi_table *table = &reducer->table;
    tqi_hashes hashes = {spec->partition ? 1 : spec->partitions, 0, 0};
    tq_status status;

    *size = (tqi_sample_size){.records = store->parts[part].records};
    do {
        tq_account ignored = {0};

        tqi_table_clear(table, hashes);
        status = merge_pages(reducer, store, part, NULL, &ignored, error);
    } while (status == TQ_E_AGAIN && ++hashes.halvings < MOST_HALVINGS);
    if (status)
        return status == TQ_E_AGAIN ? does_not_fit(reducer, part, error) : status;
    tqi_sampler_see(&reducer->sampler, table->entries, table->n);
    for (size_t i = 0; i < table->n; i++)
        size->bytes += tqi_encoded_size(&spec->shape, &table->entries[i]);
    size->rows = (uint64_t)table->n << hashes.halvings;
    size->bytes <<= hashes.halvings;
    return TQ_OK;
}

/* Pairs that are combined take little memory however many there are; others may be of one key, and more than it has room for. */
static bool may_spool(const tqi_spec *spec)
{
    return spec->combine == TQ_COMBINE_NONE;
}

static tq_status reduce_table(tqi_reducer *reducer, uint32_t part, const tq_account *shuffled, tqi_reduce_account *made,
                              tq_error *error)
{
    tqi_account_add(&made->shuffled, shuffled);
    return make_rows(reducer, part, made, error);
}

tq_status tqi_reduce_partition(tqi_reducer *reducer, const tqi_store *store, uint32_t part, tqi_reduce_account *account,
                               tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tqi_table *table = &reducer->table;
    tqi_hashes hashes = {spec->partition ? 1 : spec->partitions, 0, 0};
    tqi_reduce_account made = {0};
    size_t full = 0;
    tq_status status;

    do {
        tq_account shuffled = {0};

        table->merged = 0;
        tqi_table_clear(table, hashes);
        status = merge_pages(reducer, store, part, NULL, &shuffled, error);
        made.passes++;
        bool spools = status == TQ_E_AGAIN && may_spool(spec) &&
                        (hashes.halvings == MOST_HALVINGS || is_of_one_hash(table));
        if (status == TQ_E_AGAIN && !spools && hashes.halvings < MOST_HALVINGS) {
            hashes.halvings++;
            full = table->n;
            continue;
        }
        if (spools)
            status = reduce_spooled(reducer, store, part, &made, error);
        else if (status)
            return status == TQ_E_AGAIN ? does_not_fit(reducer, part, error) : status;
        else
            status = reduce_table(reducer, part, &shuffled, &made, error);
        if (status)
            return status;
        made.merged += table->merged;
        hashes = next_hashes(hashes, table->n, full);
    } while (hashes.base != 0 || status == TQ_E_AGAIN);
    *account = made;
    return TQ_OK;
}
