#include "node/emitter.h"

#include "common/account.h"
#include "common/error.h"
#include "common/fault.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

tq_status tqi_emitter_init(tq_emitter *emitter, const tqi_spec *spec, int worker, tqi_deliver_fn deliver, void *owner,
                           const atomic_bool *stop, size_t most_entries)
{
    memset(emitter, 0, sizeof *emitter);
    emitter->spec = spec;
    emitter->worker = worker;
    emitter->deliver = deliver;
    emitter->owner = owner;
    emitter->stop = stop;
    emitter->arena_bytes =
        most_entries * sizeof(tqi_entry) < TQI_MAP_ARENA_BYTES ? most_entries * sizeof(tqi_entry) : TQI_MAP_ARENA_BYTES;
    tqi_error_clear(&emitter->error);
    size_t first = most_entries < TQI_MAP_FIRST_ENTRIES ? most_entries : TQI_MAP_FIRST_ENTRIES;
    tq_status status =
        tqi_fault("enomem-map", spec->rank) ? TQ_E_MEMORY : tqi_table_init(&emitter->table, spec, first, most_entries);
    if (!status && spec->combine == TQ_SUM && most_entries >= (size_t)4 << TQI_FRONT_BITS)
        tqi_table_add_front(&emitter->table); /* without one it is slower, that is all */
    if (!status)
        status = tqi_run_builder_init(&emitter->builder, spec, &spec->shape, spec->partitions);
    if (status) {
        tqi_fail(&emitter->error, status, "no memory for a worker's table (see --memory)");
        emitter->status = status;
        tqi_emitter_free(emitter);
    }
    return status;
}

void tqi_emitter_free(tq_emitter *emitter)
{
    tqi_table_free(&emitter->table);
    tqi_run_builder_free(&emitter->builder);
}

static tq_status fail(tq_emitter *emitter, tq_status status, const char *message)
{
    if (!emitter->status) {
        emitter->status = status;
        tqi_fail(&emitter->error, status, "%s", message);
    }
    return emitter->status;
}

static bool is_stopped(const tq_emitter *emitter)
{
    return atomic_load_explicit(emitter->stop, memory_order_relaxed);
}

tq_status tqi_emitter_flush(tq_emitter *emitter)
{
    tqi_run *run;

    if (emitter->status)
        return emitter->status;
    if (is_stopped(emitter))
        return fail(emitter, TQ_E_CANCELLED, "cancelled");
    if (emitter->table.n == 0)
        return TQ_OK;
    tq_status status =
        tqi_run_build(&emitter->builder, emitter->table.entries, emitter->table.n, NULL, &emitter->flushed, &run);
    if (status == TQ_E_MEMORY)
        return fail(emitter, status, "no memory for the pages of a flush (see --memory)");
    if (status)
        return fail(emitter, status,
                    "more than 4 GiB for one partition in one flush: the keys or values are too large");
    tqi_table_clear(&emitter->table);
    emitter->deliver(emitter->owner, run);
    return TQ_OK;
}

tq_status tqi_emitter_finish(tq_emitter *emitter)
{
    while (!emitter->status && tqi_table_drain_front(&emitter->table) == TQ_E_AGAIN)
        tqi_emitter_flush(emitter);
    return tqi_emitter_flush(emitter);
}

static tq_status describe_failed_add(tq_emitter *emitter, tq_status status)
{
    char message[64];

    if (status == TQ_E_USER) {
        snprintf(message, sizeof message, "the combiner returned %d", emitter->table.user_code);
        return fail(emitter, status, message);
    }
    return fail(emitter, status, "no memory for a key or value (see --memory)");
}

/* Count a short key in the front, if it is there. */
static inline bool add_to_front(tq_emitter *emitter, const tqi_key *key, uint64_t hash, int64_t number)
{
    if (!emitter->table.front || key->size > TQI_KEY_INLINE)
        return false;
    tqi_entry *slot = tqi_front_slot(&emitter->table, hash);
    if (!tqi_front_holds(slot, key))
        return false;
    slot->value += (uint64_t)number;
    emitter->table.merged++;
    tqi_account_sum(&emitter->emitted, hash, (uint64_t)number);
    return true;
}

static inline tq_status add(tq_emitter *emitter, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value)
{
    if (add_to_front(emitter, key, hash, number))
        return TQ_OK;
    tq_status status = tqi_table_add(&emitter->table, key, hash, number, value);

    if (__builtin_expect(status == TQ_E_AGAIN || emitter->table.arena.used > emitter->arena_bytes, 0)) {
        bool again = status == TQ_E_AGAIN;

        if (again || status == TQ_OK)
            status = tqi_emitter_flush(emitter);
        if (!status && again)
            status = tqi_table_add(&emitter->table, key, hash, number, value);
    }
    if (__builtin_expect(status != TQ_OK, 0))
        return emitter->status ? emitter->status : describe_failed_add(emitter, status);
    tqi_account_pair(emitter->spec, hash, number, value, &emitter->emitted);
    return TQ_OK;
}

static inline tqi_key load_key(const tq_emitter *emitter, tq_slice key)
{
    if (key.size > TQI_KEY_INLINE)
        return tqi_key_borrow_long(key.data, key.size);
    if (key.data >= emitter->padded_begin && key.data < emitter->padded_end)
        return tqi_key_load_padded(key.data, key.size);
    return tqi_key_load_short(key.data, key.size);
}

static tq_status emit(tq_emitter *emitter, tq_slice key, int64_t number, tq_slice value)
{
    if (emitter->status)
        return emitter->status;
    if (is_stopped(emitter))
        return fail(emitter, TQ_E_CANCELLED, "cancelled");
    if (key.size > TQI_KEY_MAX || value.size > TQI_KEY_MAX)
        return fail(emitter, TQ_E_USER, "a key or value of more than 1 GiB was emitted");
    tqi_key loaded = load_key(emitter, key);
    return add(emitter, &loaded, tqi_key_hash(&loaded), number, value);
}

tq_status tq_emit_i64(tq_emitter *emitter, tq_slice key, int64_t value)
{
    if (emitter->spec->shape.type != TQ_I64)
        return fail(emitter, TQ_E_USER, "tq_emit_i64 in a job whose values are not TQ_I64");
    return emit(emitter, key, value, (tq_slice){NULL, 0});
}

tq_status tq_emit(tq_emitter *emitter, tq_slice key, tq_slice value)
{
    if (emitter->spec->shape.type == TQ_I64)
        return fail(emitter, TQ_E_USER, "tq_emit in a job whose values are TQ_I64: use tq_emit_i64");
    if (emitter->spec->shape.type == TQ_FIXED && value.size != emitter->spec->shape.bytes)
        return fail(emitter, TQ_E_USER, "a value has another size than the job's value_bytes");
    return emit(emitter, key, 0, value);
}

/* What became of a batch that stopped after added records: flush if that helps, then the one it stopped at goes in
 * alone. */
static tq_status after_stop(tq_emitter *emitter, const tqi_record *record, tq_status status)
{
    if (status != TQ_E_AGAIN)
        return describe_failed_add(emitter, status);
    status = tqi_emitter_flush(emitter);
    if (!status)
        status = tqi_table_add(&emitter->table, &record->key, record->hash, record->number, record->value);
    return !status || emitter->status ? status : describe_failed_add(emitter, status);
}

/* Add n records to the table, whatever it takes. */
static void add_records(tq_emitter *emitter, const tqi_record *records, size_t n)
{
    for (size_t done = 0; done < n;) {
        tq_status status;

        done += tqi_table_add_batch(&emitter->table, records + done, n - done, &status);
        if (status && after_stop(emitter, &records[done++], status))
            return;
    }
    if (emitter->table.arena.used > emitter->arena_bytes)
        tqi_emitter_flush(emitter);
}

/* The sums of a batch whose values are all the same. What the front holds is counted there; the rest is kept in
 * records, and that without a branch on which it is. Returns how many are kept. */
static size_t sum_in_front(tq_emitter *emitter, const tq_slice *keys, size_t n, int64_t value)
{
    tqi_record *records = emitter->batch;
    uint64_t hashes = 0;
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        tqi_record *record = &records[kept];

        record->key = load_key(emitter, keys[i]);
        record->hash = tqi_key_hash(&record->key);
        hashes += record->hash;
        tqi_entry *slot = tqi_front_slot(&emitter->table, record->hash);
        uint64_t found = tqi_front_holds(slot, &record->key);
        slot->value += (uint64_t)value & (0 - found);
        kept += 1 - (size_t)found;
    }
    emitter->table.merged += n - kept;
    emitter->emitted.records += n;
    emitter->emitted.weight += n * (uint64_t)value;
    emitter->emitted.check += hashes * (uint64_t)value;
    return kept;
}

static size_t keep_all(tq_emitter *emitter, const tq_slice *keys, size_t n, int64_t value)
{
    for (size_t i = 0; i < n; i++) {
        emitter->batch[i].key = load_key(emitter, keys[i]);
        emitter->batch[i].hash = tqi_key_hash(&emitter->batch[i].key);
        tqi_account_pair(emitter->spec, emitter->batch[i].hash, value, (tq_slice){NULL, 0}, &emitter->emitted);
    }
    return n;
}

static tq_status emit_batch(tq_emitter *emitter, const tq_slice *keys, size_t n, int64_t value)
{
    if (is_stopped(emitter))
        return fail(emitter, TQ_E_CANCELLED, "cancelled");
    for (size_t i = 0; i < n; i++)
        if (__builtin_expect(keys[i].size > TQI_KEY_MAX, 0))
            return fail(emitter, TQ_E_USER, "a key of more than 1 GiB was emitted");
    size_t kept = emitter->table.front ? sum_in_front(emitter, keys, n, value) : keep_all(emitter, keys, n, value);
    add_records(emitter, emitter->batch, kept);
    return emitter->status;
}

tq_status tq_emit_keys_i64(tq_emitter *emitter, const tq_slice *keys, size_t n, int64_t value)
{
    if (emitter->spec->shape.type != TQ_I64)
        return fail(emitter, TQ_E_USER, "tq_emit_keys_i64 in a job whose values are not TQ_I64");
    for (size_t i = 0; i < TQI_BATCH; i++)
        emitter->batch[i].number = value;
    for (size_t i = 0; i < n && !emitter->status; i += TQI_BATCH)
        emit_batch(emitter, keys + i, n - i < TQI_BATCH ? n - i : TQI_BATCH, value);
    return emitter->status;
}

int tq_emit_fail(tq_emitter *emitter, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(emitter->reason, sizeof emitter->reason, format, arguments);
    va_end(arguments);
    return 1;
}

int tq_emitter_rank(const tq_emitter *emitter)
{
    return emitter->spec->rank;
}

int tq_emitter_worker(const tq_emitter *emitter)
{
    return emitter->worker;
}

/* Where a failure of the mapper, or of what it emitted, belongs: the record that it had. */
static tq_status locate(tq_emitter *emitter, const tq_record *record, int code)
{
    tq_error said = emitter->error;

    if (emitter->status == TQ_E_CANCELLED)
        return emitter->status;
    if (!emitter->status)
        emitter->status = TQ_E_USER;
    if (said.message[0])
        tqi_fail_at(&emitter->error, emitter->status, record->file, record->offset, "%s", said.message);
    else if (emitter->reason[0])
        tqi_fail_at(&emitter->error, emitter->status, record->file, record->offset, "%s", emitter->reason);
    else
        tqi_fail_at(&emitter->error, emitter->status, record->file, record->offset, "the mapper returned %d", code);
    return emitter->status;
}

static tq_status call(tq_emitter *emitter, tq_map_fn map, const tq_record *record)
{
    if (is_stopped(emitter)) /* looked at for each record: they may take long */
        return fail(emitter, TQ_E_CANCELLED, "cancelled");
    int code = tqi_fault("fail-map", emitter->spec->rank) ? 42 : map(record, emitter, emitter->spec->user);

    if (code || emitter->status)
        return locate(emitter, record, code);
    emitter->reason[0] = '\0'; /* said, and thought better of */
    return TQ_OK;
}

static tq_status map_lines(tq_emitter *emitter, const tq_record *chunk)
{
    const char *at = chunk->data, *end = at + chunk->size;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        tq_record line = {at, (size_t)(line_end - at), chunk->file, chunk->offset + (uint64_t)(at - chunk->data)};
        tq_status status = call(emitter, emitter->spec->map, &line);

        if (status)
            return status;
        at = newline ? newline + 1 : end;
    }
    return TQ_OK;
}

static tq_status map_words(tq_emitter *emitter, const tq_record *chunk)
{
    tq_slice text = {chunk->data, chunk->size}, words[256];

    for (size_t n; (n = tq_next_words(&text, words, 256)) != 0;) {
        for (size_t i = 0; i < n; i++) {
            tq_record word = {words[i].data, words[i].size, chunk->file,
                              chunk->offset + (uint64_t)(words[i].data - chunk->data)};
            tq_status status = call(emitter, emitter->spec->map, &word);

            if (status)
                return status;
        }
    }
    return TQ_OK;
}

tq_status tqi_emitter_map(tq_emitter *emitter, const tq_record *chunk)
{
    tq_status status;

    if (emitter->status)
        return emitter->status;
    emitter->padded_begin = chunk->data;
    emitter->padded_end = chunk->data + chunk->size;
    if (emitter->spec->map_chunk)
        status = call(emitter, emitter->spec->map_chunk, chunk);
    else if (emitter->spec->records == TQ_LINES)
        status = map_lines(emitter, chunk);
    else
        status = map_words(emitter, chunk);
    emitter->padded_begin = emitter->padded_end = NULL;
    return status;
}
