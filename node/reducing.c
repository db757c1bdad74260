#include "node/reducing.h"

#include "common/account.h"
#include "common/error.h"
#include "common/fault.h"
#include "node/block.h"
#include "node/grouping.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { AHEAD = 8, MANY_ROWS = 4096, MANY_BYTES = 256 << 10 };

bool tqi_reducing_same_key(const tqi_entry *a, const tqi_entry *b)
{
    tq_slice key_a = tqi_entry_key(a), key_b = tqi_entry_key(b);

    return a->hash32 == b->hash32 && a->size == b->size && memcmp(key_a.data, key_b.data, key_a.size) == 0;
}

/* The end of the group that begins at first. */
static size_t end_of_group(const tqi_entry *entries, size_t first, size_t n_entries)
{
    size_t end = first + 1;

    while (end < n_entries && tqi_reducing_same_key(&entries[first], &entries[end]))
        end++;
    return end;
}


struct tq_values {
    const tqi_spec *spec;
    const tqi_entry *entries; /* of one key, in ascending order of their values; NULL: they come from the stream */
    uint64_t n, next;
    tqi_group_stream *stream;
    const tqi_entry *newest; /* that was given */
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

/* ---- Values ---- */

uint64_t tq_values_count(const tq_values *values)
{
    return values->n;
}

/* The next entry, or NULL. */
static inline const tqi_entry *next_value(tq_values *values)
{
    if (values->next == values->n)
        return NULL;
    values->newest = values->entries ? &values->entries[values->next] : tqi_group_stream_value(values->stream);
    values->next = values->newest ? values->next + 1 : values->n;
    return values->newest;
}

bool tq_values_next_i64(tq_values *values, int64_t *value)
{
    const tqi_entry *entry = values->spec->shape.type == TQ_I64 ? next_value(values) : NULL;

    if (entry)
        *value = (int64_t)entry->value;
    return entry != NULL;
}

bool tq_values_next(tq_values *values, tq_slice *value)
{
    const tqi_value_shape *shape = &values->spec->shape;

    if (values->entries && values->next + AHEAD < values->n && shape->type != TQ_I64)
        __builtin_prefetch((const void *)(uintptr_t)values->entries[values->next + AHEAD].value);
    const tqi_entry *entry = next_value(values);
    if (entry)
        *value = tqi_entry_value(shape, entry);
    return entry != NULL;
}

tq_slice tq_values_key(const tq_values *values)
{
    return values->newest ? tqi_spec_emitted(values->spec, tqi_entry_key(values->newest)) : (tq_slice){NULL, 0};
}

/* ---- Rows ---- */

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

/* ---- The job's reducer ---- */

static tq_rows_out rows_out(tqi_reducer *reducer, tqi_rows *rows)
{
    const tqi_spec *spec = reducer->spec;

    return (tq_rows_out){.spec = spec, .rows = rows, .shape = &spec->result_shape, .counts = reducer->counts};
}

static tq_status call_once(tqi_reducer *reducer, tq_slice key, tq_values *values, tq_rows_out *out, tq_error *error)
{
    const tqi_spec *spec = reducer->spec;

    if (tq_rows_stopping(out))
        return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
    out->first = out->rows->n;
    int code = tqi_fault("fail-reduce", spec->rank) ? 43 : spec->reduce(key, values, out, spec->user);
    if (error->status) /* the stream of the values broke off */
        return error->status;
    if (code || out->status)
        return describe_reducer(out, code, key, error);
    out->reason[0] = '\0'; /* said, and thought better of */
    return TQ_OK;
}

/* groups: n_entries entries, by hash, key and value, so that the rows' order depends on nothing else. */
static tq_status call_reducer(tqi_reducer *reducer, const tqi_entry *groups, size_t n_entries, tqi_rows *rows,
                              tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tq_rows_out out = rows_out(reducer, rows);
    tq_status status = TQ_OK;

    for (size_t first = 0, n; first < n_entries && !status; first += n) {
        tq_slice key = tqi_entry_key(&groups[first]);

        n = (tqi_spec_groups(spec) ? tqi_grouping_end(spec, groups, first, n_entries, &key)
                                   : end_of_group(groups, first, n_entries)) -
            first;
        tq_values values = {.spec = spec, .entries = &groups[first], .n = n};
        if (reducer->place)
            tqi_place_set_key(reducer->place, key);
        status = call_once(reducer, key, &values, &out, error);
    }
    return status;
}

static bool are_many(const tqi_rows *rows)
{
    return rows->n >= MANY_ROWS || rows->arena.used >= MANY_BYTES;
}

/* The same of a stream. */
static void stream_to_reducer(tqi_reducer *reducer, tqi_group_stream *from, tqi_rows *rows)
{
    tq_rows_out out = rows_out(reducer, rows);

    while (tqi_group_stream_next(from)) {
        tq_values values = {.spec = from->spool->spec, .n = from->left, .stream = from};

        if (call_once(reducer, (tq_slice){from->group, from->size}, &values, &out, from->error))
            return;
        if (are_many(rows) && from->sink->rows(from->sink->owner, rows, from->error))
            return;
    }
}

/* Without a reducer: pairs are rows. */
static void stream_to_rows(tqi_group_stream *from, tqi_rows *rows)
{
    const tqi_value_shape *shape = &from->spool->spec->shape;

    for (; from->next && !from->error->status; tqi_group_stream_pass(from)) {
        tq_slice value = tqi_entry_value(shape, from->next);

        if (tqi_rows_append(rows, shape, tqi_entry_key(from->next), (int64_t)from->next->value, value))
            tqi_fail(from->error, TQ_E_MEMORY, "no memory for the rows of the result (see --memory)");
        else if (are_many(rows))
            from->sink->rows(from->sink->owner, rows, from->error);
    }
}

/* ---- The job's reducer, if it pulls ---- */

struct tq_keys {
    tqi_reducer *reducer;
    const tq_rows_out *out;
    const tqi_entry *entries; /* by key and value; NULL: they come from the stream */
    size_t n, next;
    tqi_group_stream *stream;
    tq_slice key; /* the newest that was given */
    tq_values values;
    tqi_groups packed; /* for tq_keys_next_groups, */
    tqi_rows held;     /* and what it has taken from the stream */
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

    if (tq_rows_stopping(keys->out))
        return false;
    if (keys->stream) {
        if (!tqi_group_stream_next(keys->stream))
            return false;
        keys->key = (tq_slice){keys->stream->group, keys->stream->size};
        keys->values = (tq_values){.spec = keys->reducer->spec, .n = keys->stream->left, .stream = keys->stream};
    } else {
        if (first == keys->n)
            return false;
        stand_at(keys, &keys->entries[first]);
        keys->next = end_of_group(keys->entries, first, keys->n);
        keys->values = (tq_values){
            .spec = keys->reducer->spec, .entries = &keys->entries[first], .n = keys->next - first};
    }
    *key = keys->key;
    *values = &keys->values;
    return true;
}

/* Groups of the stream into memory, as many as there is room for. */
static void hold_groups(tq_keys *keys)
{
    tqi_group_stream *from = keys->stream;
    const tqi_value_shape *shape = &keys->reducer->spec->shape;
    const tqi_entry *entry;

    tqi_rows_clear(&keys->held);
    while (tqi_groups_has_room(&keys->packed) && !keys->status && tqi_group_stream_next(from)) {
        size_t first = keys->held.n;

        keys->key = (tq_slice){from->group, from->size};
        while (!keys->status && (entry = tqi_group_stream_value(from)) != NULL)
            keys->status = tqi_rows_append(&keys->held, shape, keys->key, (int64_t)entry->value,
                                           tqi_entry_value(shape, entry));
        tqi_groups_count(&keys->packed, keys->held.entries + first, keys->held.n - first);
    }
}

tq_status tq_keys_next_groups(tq_keys *keys, tq_groups *groups)
{
    size_t first = keys->next, end = first;

    if (tq_rows_stopping(keys->out))
        return TQ_E_CANCELLED;
    tqi_groups_clear(&keys->packed);
    if (keys->stream) {
        hold_groups(keys);
        keys->entries = keys->held.entries;
        first = 0;
        end = keys->held.n;
        if (keys->stream->error->status)
            return keys->stream->error->status;
    }
    while (!keys->stream && end < keys->n && tqi_groups_has_room(&keys->packed)) {
        size_t next = end_of_group(keys->entries, end, keys->n);

        tqi_groups_count(&keys->packed, &keys->entries[end], next - end);
        end = next;
    }
    if (end > first && !keys->status) {
        stand_at(keys, &keys->entries[first]);
        keys->status = tqi_groups_fill(&keys->packed, &keys->entries[first], end - first, tqi_reducing_same_key);
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
    if (keys->stream)
        tqi_group_stream_rewind(keys->stream);
}

/* entries: n_entries > 0 of them, by key and value; NULL: from the stream. */
static tq_status call_pulling_reducer(tqi_reducer *reducer, const tqi_entry *entries, size_t n_entries,
                                      tqi_group_stream *from, tqi_rows *rows, tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tq_rows_out out = rows_out(reducer, rows);
    tq_keys keys = {.reducer = reducer,
                    .out = &out,
                    .entries = entries,
                    .n = n_entries,
                    .stream = from,
                    .packed = {.budget = spec->budget, .shape = &spec->shape}};

    tqi_rows_init(&keys.held, spec->budget);
    int code = tqi_fault("fail-reduce", spec->rank) ? 43 : spec->reduce_keys(&keys, &out, spec->user);

    tqi_groups_free(&keys.packed);
    tqi_rows_free(&keys.held);
    if (tq_rows_stopping(&out))
        return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
    if (error->status) /* the stream broke off */
        return error->status;
    if (keys.status)
        return tqi_fail(error, TQ_E_MEMORY, "no memory for the values of some keys (see --memory)");
    return code || out.status ? describe_reducer(&out, code, keys.key, error) : TQ_OK;
}

/* ---- ---- */

tq_status tqi_reducing_call(tqi_reducer *reducer, const tqi_entry *entries, size_t n, tqi_rows *rows, tq_error *error)
{
    tqi_error_clear(error);
    return reducer->spec->reduce_keys ? call_pulling_reducer(reducer, entries, n, NULL, rows, error)
                                      : call_reducer(reducer, entries, n, rows, error);
}

tq_status tqi_reducing_stream(tqi_reducer *reducer, const tqi_spool *spool, const tqi_stream_sink *sink,
                              tq_error *error)
{
    const tqi_spec *spec = reducer->spec;
    tqi_group_stream from;
    tqi_rows rows;

    tqi_error_clear(error);
    tqi_rows_init(&rows, tqi_spec_has_reducer(spec) ? spec->budget : NULL); /* the others are few at a time */
    tqi_group_stream_open(&from, spool, sink, error);
    if (!error->status && spec->reduce_keys)
        call_pulling_reducer(reducer, NULL, 0, &from, &rows, error);
    else if (!error->status && spec->reduce)
        stream_to_reducer(reducer, &from, &rows);
    else if (!error->status)
        stream_to_rows(&from, &rows);
    while (!error->status && from.next) /* what the reducer has not looked at */
        tqi_group_stream_pass(&from);
    if (!error->status)
        sink->rows(sink->owner, &rows, error);
    tqi_group_stream_close(&from);
    tqi_rows_free(&rows);
    return error->status;
}
