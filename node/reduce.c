#include "node/reduce.h"

#include "common/error.h"
#include "common/fault.h"
#include "node/block.h"
#include "node/grouping.h"
#include "node/ordering.h"
#include "node/table.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ENTRIES = 4096, FEWEST_ENTRIES = 64, MOST_HALVINGS = 24, AHEAD = 8 };

tq_status tqi_reducer_init(tqi_reducer *reducer, const tqi_spec *spec, uint64_t table_bytes, tqi_deliver_fn deliver,
                           void *owner)
{
    uint64_t limit = table_bytes / (TQI_ENTRY_COST + sizeof(tqi_entry)); /* once more for tqi_table_sorted */
    size_t first = FIRST_ENTRIES;

    *reducer = (tqi_reducer){.spec = spec, .deliver = deliver, .owner = owner};
    if (!table_bytes || limit > TQI_TABLE_NO_LIMIT)
        limit = TQI_TABLE_NO_LIMIT;
    limit = limit < FEWEST_ENTRIES ? FEWEST_ENTRIES : limit;
    if (first > limit)
        first = limit;
    tqi_sampler_init(&reducer->sampler, spec);
    tq_status status = tqi_table_init(&reducer->table, spec, first, limit, true);
    if (!status && tqi_spec_groups(spec))
        tqi_table_keep_all(&reducer->table);
    return status;
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

/* Merge what the table is for. TQ_E_AGAIN: it does not fit; error is not set. */
static tq_status merge_pages(tqi_reducer *reducer, const tqi_store *store, uint32_t part, tq_account *account,
                             tq_error *error)
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
    }
    tqi_page_buffer_free(&buffer);
    return status;
}

/* ---- The job's reducer ---- */

struct tq_values {
    const tqi_value_shape *shape;
    const tqi_entry *entries; /* of one key, in ascending order of their values */
    size_t n, next;
    const tqi_spec *spec;
};

struct tq_rows_out {
    const tqi_spec *spec;
    tqi_rows *rows;
    size_t first; /* of rows: what this call of the reducer has written begins there */
    const tqi_value_shape *shape;
    uint64_t *counts;
    tq_status status;
    char reason[sizeof(((tq_error *)0)->message)];
};

uint64_t tq_values_count(const tq_values *values)
{
    return values->n;
}

bool tq_values_next_i64(tq_values *values, int64_t *value)
{
    if (values->next == values->n || values->shape->type != TQ_I64)
        return false;
    *value = (int64_t)values->entries[values->next++].value;
    return true;
}

bool tq_values_next(tq_values *values, tq_slice *value)
{
    if (values->next == values->n)
        return false;
    if (values->next + AHEAD < values->n && values->shape->type != TQ_I64)
        __builtin_prefetch((const void *)(uintptr_t)values->entries[values->next + AHEAD].value);
    *value = tqi_entry_value(values->shape, &values->entries[values->next++]);
    return true;
}

tq_slice tq_values_key(const tq_values *values)
{
    return values->next ? tqi_spec_emitted(values->spec, tqi_entry_key(&values->entries[values->next - 1])) : (tq_slice){NULL, 0};
}

bool tq_rows_stopping(const tq_rows_out *out)
{
    return out->spec->stop && atomic_load_explicit(out->spec->stop, memory_order_relaxed);
}

static tq_status write_row(tq_rows_out *out, int type, tq_slice key, int64_t number, tq_slice value)
{
    if (out->status)
        return out->status;
    if (out->shape->type != type) {
        snprintf(out->reason, sizeof out->reason, "the reducer wrote a row that is not of the job's result_type");
        out->status = TQ_E_USER;
    } else if (key.size > TQI_KEY_MAX || value.size > TQI_KEY_MAX) {
        snprintf(out->reason, sizeof out->reason, "the reducer wrote a key or value of more than 1 GiB");
        out->status = TQ_E_USER;
    } else if (tq_rows_stopping(out)) {
        out->status = TQ_E_CANCELLED; /* the reducer may write without end */
    } else {
        out->status = tqi_rows_append(out->rows, out->shape, key, number, value);
    }
    return out->status;
}

tq_status tq_write_row_i64(tq_rows_out *out, tq_slice key, int64_t value)
{
    return write_row(out, TQ_I64, key, value, (tq_slice){NULL, 0});
}

tq_status tq_write_row(tq_rows_out *out, tq_slice key, tq_slice value)
{
    return write_row(out, TQ_BYTES, key, 0, value);
}

tq_status tq_write_block(tq_rows_out *out, const tq_block *block)
{
    tqi_block_reader reader = tqi_block_read(block, out->shape);
    tq_slice key, value;
    int64_t number;

    while (!out->status && tqi_block_next(&reader, &key, &number, &value))
        write_row(out, out->shape->type, key, number, value);
    return out->status;
}

int tq_reduce_fail(tq_rows_out *out, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(out->reason, sizeof out->reason, format, arguments);
    va_end(arguments);
    return 1;
}

tq_status tq_reduce_count(tq_rows_out *out, size_t index, int64_t n)
{
    if (!out->status && index >= out->spec->n_counters) {
        snprintf(out->reason, sizeof out->reason, "tq_reduce_count of a counter that the job does not have");
        out->status = TQ_E_USER;
    }
    if (!out->status)
        out->counts[index] += (uint64_t)n;
    return out->status;
}

tq_slice tq_rows_side(const tq_rows_out *out)
{
    return out->spec->side;
}

void tq_rows_forget(tq_rows_out *out)
{
    out->rows->n = out->first;
}

static tq_status describe_reducer(const tq_rows_out *out, int code, tq_slice key, tq_error *error)
{
    int shown = key.size < 64 ? (int)key.size : 64;

    if (out->status == TQ_E_CANCELLED)
        return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
    if (out->status == TQ_E_MEMORY)
        return tqi_fail(
            error, TQ_E_MEMORY,
            "no memory for the rows of the reducer: %zu, with those of key '%.*s' (see --memory; or does it "
            "write without end?)",
            out->rows->n, shown, key.data);
    if (out->reason[0])
        return tqi_fail(error, TQ_E_USER, "%s (key '%.*s')", out->reason, shown, key.data);
    return tqi_fail(error, TQ_E_USER, "the reducer returned %d (key '%.*s')", code, shown, key.data);
}

static bool same_key(const tqi_entry *a, const tqi_entry *b)
{
    tq_slice key_a = tqi_entry_key(a), key_b = tqi_entry_key(b);

    return a->hash32 == b->hash32 && a->size == b->size && memcmp(key_a.data, key_b.data, key_a.size) == 0;
}

/* The end of the group that begins at first. */
static size_t end_of_group(const tqi_entry *entries, size_t first, size_t n_entries)
{
    size_t end = first + 1;

    while (end < n_entries && same_key(&entries[first], &entries[end]))
        end++;
    return end;
}

/* groups: n_entries entries, by hash, key and value, so that the rows' order depends on nothing else. */
static tq_status call_reducer(tqi_reducer *reducer, const tqi_entry *groups, size_t n_entries, tqi_rows *rows,
                              tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tq_rows_out out = {.spec = spec, .rows = rows, .shape = &spec->result_shape, .counts = reducer->counts};

    for (size_t first = 0, n; first < n_entries; first += n) {
        tq_slice key = tqi_entry_key(&groups[first]);

        n = (tqi_spec_groups(spec) ? tqi_grouping_end(spec, groups, first, n_entries, &key)
                         : end_of_group(groups, first, n_entries)) -
            first;
        tq_values values = {&spec->shape, &groups[first], n, 0, spec};
        if (tq_rows_stopping(&out))
            return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        if (reducer->place)
            tqi_place_set_key(reducer->place, key);
        out.first = rows->n;
        int code = tqi_fault("fail-reduce", spec->rank) ? 43 : spec->reduce(key, &values, &out, spec->user);
        if (code || out.status)
            return describe_reducer(&out, code, key, error);
        out.reason[0] = '\0'; /* said, and thought better of */
    }
    return TQ_OK;
}

/* ---- The job's reducer, if it pulls ---- */

struct tq_keys {
    const tqi_reducer *reducer;
    const tq_rows_out *out;
    const tqi_entry *entries; /* by key and value */
    size_t n, next;
    tq_slice key; /* the newest that was given */
    tq_values values;
    tqi_groups packed; /* for tq_keys_next_groups */
    tq_status status;  /* of that */
};

static void stand_at(tq_keys *keys, const tqi_entry *first)
{
    keys->key = tqi_entry_key(first);
    if (keys->reducer->place)
        tqi_place_set_key(keys->reducer->place, keys->key);
}

bool tq_keys_next(tq_keys *keys, tq_slice *key, tq_values **values)
{
    size_t first = keys->next;

    if (first == keys->n || tq_rows_stopping(keys->out))
        return false;
    stand_at(keys, &keys->entries[first]);
    keys->next = end_of_group(keys->entries, first, keys->n);
    keys->values = (tq_values){&keys->reducer->spec->shape, &keys->entries[first], keys->next - first, 0,
                                keys->reducer->spec};
    *key = keys->key;
    *values = &keys->values;
    return true;
}

tq_status tq_keys_next_groups(tq_keys *keys, tq_groups *groups)
{
    size_t first = keys->next, end = first;

    if (tq_rows_stopping(keys->out))
        return TQ_E_CANCELLED;
    tqi_groups_clear(&keys->packed);
    while (end < keys->n && tqi_groups_has_room(&keys->packed)) {
        size_t next = end_of_group(keys->entries, end, keys->n);

        tqi_groups_count(&keys->packed, &keys->entries[end], next - end);
        end = next;
    }
    if (end > first) {
        stand_at(keys, &keys->entries[first]);
        keys->status = tqi_groups_fill(&keys->packed, &keys->entries[first], end - first, same_key);
    }
    if (!keys->status) {
        keys->next = end;
        *groups = keys->packed.groups;
    }
    return keys->status;
}

void tq_keys_rewind(tq_keys *keys)
{
    keys->next = 0;
}

/* n_entries > 0, by key and value. */
static tq_status call_pulling_reducer(tqi_reducer *reducer, const tqi_entry *entries, size_t n_entries, tqi_rows *rows,
                                      tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tq_rows_out out = {.spec = spec, .rows = rows, .shape = &spec->result_shape, .counts = reducer->counts};
    tq_keys keys = {.reducer = reducer,
                    .out = &out,
                    .entries = entries,
                    .n = n_entries,
                    .packed = {.budget = spec->budget, .shape = &spec->shape}};
    int code = tqi_fault("fail-reduce", spec->rank) ? 43 : spec->reduce_keys(&keys, &out, spec->user);

    tqi_groups_free(&keys.packed);
    if (tq_rows_stopping(&out))
        return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
    if (keys.status)
        return tqi_fail(error, TQ_E_MEMORY, "no memory for the values of some keys (see --memory)");
    return code || out.status ? describe_reducer(&out, code, keys.key, error) : TQ_OK;
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

        if (i > 0 && same_key(&entries[i - 1], &entries[i]))
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

/* What the table holds becomes rows. */
static tq_status make_rows(tqi_reducer *reducer, uint32_t part, tqi_reduce_account *account, tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tqi_table *table = &reducer->table;
    bool by_hash = !tqi_spec_groups(spec) && (spec->reduce || (!spec->reduce_keys && spec->order == TQ_ORDER_NONE));
    tqi_entry *entries = by_hash             ? tqi_table_sorted(table)
                         : spec->reduce_keys ? tqi_table_sorted_by_key(table)
                                             : table->entries;
    tqi_rows rows;
    size_t sent;

    if (!entries)
        return no_memory(reducer, part, error);
    if (tqi_spec_groups(spec) && sort_groups(reducer, part, error))
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
    if (!spec->reduce_keys)
        status = call_reducer(reducer, entries, table->n, &rows, error);
    else if (table->n > 0)
        status = call_pulling_reducer(reducer, entries, table->n, &rows, error);
    if (!status)
        status = send_rows(reducer, part, rows.entries, rows.n, &sent, &account->rows, error);
    tqi_rows_free(&rows);
    return status;
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
        status = merge_pages(reducer, store, part, &ignored, error);
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
        status = merge_pages(reducer, store, part, &shuffled, error);
        made.passes++;
        if (status == TQ_E_AGAIN && hashes.halvings < MOST_HALVINGS) {
            hashes.halvings++;
            full = table->n;
            continue;
        }
        if (status)
            return status == TQ_E_AGAIN ? does_not_fit(reducer, part, error) : status;
        tqi_account_add(&made.shuffled, &shuffled);
        status = make_rows(reducer, part, &made, error);
        if (status)
            return status;
        made.merged += table->merged;
        hashes = next_hashes(hashes, table->n, full);
    } while (hashes.base != 0 || status == TQ_E_AGAIN);
    *account = made;
    return TQ_OK;
}
