#include "node/reduce.h"

#include "common/error.h"
#include "common/fault.h"
#include "node/table.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST_TABLE = 64 };

static tqi_key load_key(tq_slice key)
{
    /* Pages have slack behind them, wherever they lie. */
    return key.size > TQI_KEY_INLINE ? tqi_key_borrow_long(key.data, key.size)
                                     : tqi_key_load_padded(key.data, key.size);
}

/* Up to TQI_BATCH records from *at on. */
static size_t decode(const tqi_value_shape *shape, const uint8_t **at, const uint8_t *end, tqi_record *records)
{
    size_t n = 0;

    for (tq_slice key; n < TQI_BATCH; n++) {
        tqi_record *record = &records[n];

        if (!tqi_page_next(shape, at, end, &key, &record->value, &record->number))
            break;
        record->key = load_key(key);
        record->hash = tqi_key_hash(&record->key);
    }
    return n;
}

static tq_status merge_page(tqi_table *table, const uint8_t *page, tq_account *account, tq_error *error)
{
    tqi_page_header header = tqi_page_read_header(page);
    const uint8_t *at = page + TQI_PAGE_HEADER, *end = at + header.payload;
    tqi_record records[TQI_BATCH];
    uint64_t total = 0;

    for (size_t n; (n = decode(&table->spec->shape, &at, end, records)) != 0; total += n) {
        tq_status status;

        tqi_table_add_batch(table, records, n, &status);
        if (status == TQ_E_USER)
            return tqi_fail(error, status, "the combiner returned %d", table->user_code);
        if (status)
            return tqi_fail(error, TQ_E_MEMORY, "no memory to reduce partition %" PRIu32 " (see --memory)",
                            header.partition);
        for (size_t i = 0; i < n; i++)
            tqi_account_pair(table->spec, records[i].hash, records[i].number, records[i].value, account);
    }
    if (at != end || total != header.records)
        return tqi_fail(error, TQ_E_ACCOUNT, "a page of partition %" PRIu32 " is malformed", header.partition);
    return TQ_OK;
}

static tq_status merge_pages(tqi_table *table, const tqi_store *store, uint32_t part, tq_account *account,
                             tq_error *error)
{
    tqi_page_buffer buffer = {0};
    tq_status status = TQ_OK;

    for (size_t i = 0; i < store->parts[part].n && !status; i++) {
        const uint8_t *page;

        status = tqi_store_page(store, part, i, &buffer, &page, error);
        if (!status)
            status = merge_page(table, page, account, error);
    }
    free(buffer.memory);
    return status;
}

/* ---- The job's reducer ---- */

struct tq_values {
    const tqi_value_shape *shape;
    const tqi_entry *entries; /* of one key, in ascending order of their values */
    size_t n, next;
};

struct tq_rows_out {
    tqi_rows *rows;
    const tqi_value_shape *shape;
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
    *value = tqi_entry_value(values->shape, &values->entries[values->next++]);
    return true;
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

int tq_reduce_fail(tq_rows_out *out, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(out->reason, sizeof out->reason, format, arguments);
    va_end(arguments);
    return 1;
}

static tq_status describe_reducer(const tq_rows_out *out, int code, tq_slice key, tq_error *error)
{
    int shown = key.size < 64 ? (int)key.size : 64;

    if (out->status == TQ_E_MEMORY)
        return tqi_fail(error, TQ_E_MEMORY, "no memory for the rows of the reducer (see --memory)");
    if (out->reason[0])
        return tqi_fail(error, TQ_E_USER, "%s (key '%.*s')", out->reason, shown, key.data);
    return tqi_fail(error, TQ_E_USER, "the reducer returned %d (key '%.*s')", code, shown, key.data);
}

static bool same_key(const tqi_entry *a, const tqi_entry *b)
{
    tq_slice key_a = tqi_entry_key(a), key_b = tqi_entry_key(b);

    return a->hash32 == b->hash32 && a->size == b->size && memcmp(key_a.data, key_b.data, key_a.size) == 0;
}

/* Groups are visited by hash, key and value, so that the rows' order depends on nothing else. */
static tq_status call_reducer(const tqi_spec *spec, tqi_rows *groups, tqi_rows *rows, tq_error *error)
{
    tq_rows_out out = {.rows = rows, .shape = &spec->result_shape};

    tqi_rows_sort(groups, TQ_ORDER_NONE, &spec->shape);
    for (size_t first = 0, n; first < groups->n; first += n) {
        tq_slice key = tqi_entry_key(&groups->entries[first]);

        for (n = 1; first + n < groups->n && same_key(&groups->entries[first], &groups->entries[first + n]);)
            n++;
        tq_values values = {&spec->shape, &groups->entries[first], n, 0};
        if (spec->stop && atomic_load_explicit(spec->stop, memory_order_relaxed))
            return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        int code = tqi_fault("fail-reduce", spec->rank) ? 43 : spec->reduce(key, &values, &out, spec->user);
        if (code || out.status)
            return describe_reducer(&out, code, key, error);
        out.reason[0] = '\0'; /* said, and thought better of */
    }
    return TQ_OK;
}

/* ---- ---- */

static tq_status make_rows(const tqi_spec *spec, tqi_rows *groups, tqi_rows *rows, tq_error *error)
{
    if (spec->reduce) {
        tq_status status = call_reducer(spec, groups, rows, error);

        tqi_rows_free(groups);
        if (status)
            return status;
    } else {
        tqi_rows_free(rows);
        *rows = *groups;
        *groups = (tqi_rows){.budget = rows->budget};
        if (spec->order == TQ_ORDER_NONE && spec->limit == 0)
            tqi_rows_sort(rows, spec->order, &spec->shape);
    }
    if (spec->order != TQ_ORDER_NONE) {
        tqi_rows_prune(rows, spec->order, &spec->result_shape, spec->limit);
    } else if (spec->limit && !spec->reduce) {
        tqi_rows_prune(rows, spec->order, &spec->result_shape, spec->limit);
        tqi_rows_sort(rows, spec->order, &spec->shape);
    } else if (spec->limit && rows->n > spec->limit) {
        rows->n = spec->limit; /* they are in order already */
    }
    return TQ_OK;
}

static void count_entries(const tqi_spec *spec, const tqi_value_shape *shape, const tqi_rows *rows, tq_account *account)
{
    for (size_t i = 0; i < rows->n; i++)
        tqi_account_entry(spec, shape, &rows->entries[i], account);
}

static size_t first_capacity(const tqi_spec *spec, uint64_t records)
{
    /* Combining leaves fewer keys than records, mostly far fewer: grow into it. */
    uint64_t guess = spec->combine == TQ_COMBINE_NONE ? records : records / 4;

    return (size_t)(guess < SMALLEST_TABLE ? SMALLEST_TABLE : guess);
}

tq_status tqi_reduce_partition(const tqi_spec *spec, const tqi_store *store, uint32_t part, tqi_reduce_result *result,
                               tq_error *error)
{
    tqi_reduce_result made = {0};
    tqi_rows groups;
    tqi_table table;
    tq_status status =
        tqi_table_init(&table, spec, first_capacity(spec, store->parts[part].records), TQI_TABLE_NO_LIMIT);

    tqi_rows_init(&made.rows, spec->budget);
    tqi_rows_init(&groups, spec->budget);
    if (status)
        return tqi_fail(error, status, "no memory to reduce partition %" PRIu32 " (see --memory)",
                        spec->first_partition + part);
    status = merge_pages(&table, store, part, &made.shuffled, error);
    if (!status) {
        made.merged = table.merged;
        tqi_table_take(&table, &groups.entries, &groups.n, &groups.capacity, &groups.arena);
        count_entries(spec, &spec->shape, &groups, &made.reduced);
        status = make_rows(spec, &groups, &made.rows, error);
    }
    tqi_table_free(&table);
    tqi_rows_free(&groups);
    if (status) {
        tqi_rows_free(&made.rows);
        return status;
    }
    count_entries(spec, &spec->result_shape, &made.rows, &made.rows_account);
    if (tqi_fault("corrupt-key", spec->rank) && made.rows.n)
        made.rows.entries[0].word[0] ^= 1;
    *result = made;
    return TQ_OK;
}
