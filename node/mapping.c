#include "node/mapping.h"

#include "common/error.h"
#include "common/fault.h"
#include "node/compact.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- What mappers say -------------------------------------------------------------------------------------------- */

int tq_emit_fail(tq_emitter *emitter, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(emitter->reason, sizeof emitter->reason, format, arguments);
    va_end(arguments);
    return 1;
}

/* Fail at a place that the mapper has named. */
static void fail_at(tq_emitter *emitter, const char *file, uint64_t offset, const char *reason)
{
    if (emitter->status)
        return;
    emitter->status = TQ_E_INPUT;
    tqi_fail_at(&emitter->error, TQ_E_INPUT, file, offset, "%s", reason);
}

tq_status tq_emit_bad(tq_emitter *emitter, const char *file, uint64_t offset, const char *format, ...)
{
    const tqi_spec *spec = emitter->spec;
    char reason[TQI_BAD_REASON];
    va_list arguments;

    if (emitter->samples) /* it is mapped again, and counted then */
        return TQ_OK;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    if (spec->n_bad && atomic_fetch_add_explicit(spec->n_bad, 1, memory_order_relaxed) < spec->skip_bad)
        tqi_bad_add(&emitter->bad, file, offset, reason);
    else
        fail_at(emitter, file, offset, reason);
    return emitter->status;
}

int tq_emit_refuse(tq_emitter *emitter, const char *file, uint64_t offset, const char *format, ...)
{
    char reason[sizeof emitter->error.message];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    fail_at(emitter, file, offset, reason);
    return 1;
}

/* ---- Calling them ------------------------------------------------------------------------------------------------ */

/* Where a failure of the mapper, or of what it emitted, belongs: the record that it had. */
tq_status tqi_map_blame(tq_emitter *emitter, const tq_record *record, int code)
{
    tq_error said = emitter->error;

    if (emitter->status == TQ_E_CANCELLED || said.has_offset)
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

bool tq_emitter_stopping(const tq_emitter *emitter)
{
    return tqi_emitter_stopped(emitter);
}

tq_status tq_emitter_reserve(tq_emitter *emitter, size_t bytes)
{
    char message[128];

    if (emitter->status)
        return emitter->status;
    if (tqi_budget_take(emitter->spec->budget, bytes)) {
        emitter->reserved += bytes;
        return TQ_OK;
    }
    snprintf(message, sizeof message, "no memory for %zu bytes more of the mapper's own, which has %zu (see --memory)",
             bytes, emitter->reserved);
    return tqi_emitter_fail(emitter, TQ_E_MEMORY, message);
}

void tq_emitter_give_back(tq_emitter *emitter, size_t bytes)
{
    bytes = bytes < emitter->reserved ? bytes : emitter->reserved;
    emitter->reserved -= bytes;
    tqi_budget_give(emitter->spec->budget, bytes);
}

static tq_status call(tq_emitter *emitter, tq_map_fn map, const tq_record *record, tqi_place *place)
{
    tqi_place_set_offset(place, record->offset);
    if (tqi_emitter_stopped(emitter)) /* looked at for each record: they may take long */
        return tqi_emitter_fail(emitter, TQ_E_CANCELLED, "cancelled");
    int code = tqi_fault("fail-map", emitter->spec->rank) ? 42 : map(record, emitter, emitter->spec->user);

    if (code || emitter->status)
        return tqi_map_blame(emitter, record, code);
    emitter->reason[0] = '\0'; /* said, and thought better of */
    return TQ_OK;
}

static tq_status map_lines(tq_emitter *emitter, const tq_record *chunk, tqi_place *place)
{
    const char *at = chunk->data, *end = at + chunk->size;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        tq_record line = *chunk;

        line.data = at;
        line.size = (size_t)(line_end - at);
        line.offset += (uint64_t)(at - chunk->data);
        tq_status status = call(emitter, emitter->spec->map, &line, place);

        if (status)
            return status;
        at = newline ? newline + 1 : end;
    }
    return TQ_OK;
}

static tq_status map_words(tq_emitter *emitter, const tq_record *chunk, tqi_place *place)
{
    tq_slice text = {chunk->data, chunk->size}, words[256];

    for (size_t n; (n = tq_next_words(&text, words, 256)) != 0;) {
        for (size_t i = 0; i < n; i++) {
            tq_record word = *chunk;

            word.data = words[i].data;
            word.size = words[i].size;
            word.offset += (uint64_t)(words[i].data - chunk->data);
            tq_status status = call(emitter, emitter->spec->map, &word, place);

            if (status)
                return status;
        }
    }
    return TQ_OK;
}

static tq_status map_fixed(tq_emitter *emitter, const tq_record *chunk, tqi_place *place)
{
    size_t bytes = (size_t)emitter->spec->record_bytes;
    tq_status status = TQ_OK;

    for (size_t at = 0; at < chunk->size && !status; at += bytes) {
        tq_record record = *chunk;

        record.data = chunk->data + at;
        record.size = bytes;
        record.offset += at;
        status = call(emitter, emitter->spec->map, &record, place);
    }
    return status;
}

tq_status tqi_map_chunk(tq_emitter *emitter, const tq_record *chunk, tqi_place *place)
{
    tq_status status;

    if (emitter->status)
        return emitter->status;
    tqi_emitter_begin(emitter, chunk);
    tqi_place_set_file(place, chunk->file);
    if (emitter->spec->map_chunk)
        status = call(emitter, emitter->spec->map_chunk, chunk, place);
    else if (emitter->spec->records == TQ_LINES)
        status = map_lines(emitter, chunk, place);
    else if (emitter->spec->records == TQ_FIXED_RECORDS)
        status = map_fixed(emitter, chunk, place);
    else
        status = map_words(emitter, chunk, place);
    tq_status ended = tqi_emitter_end(emitter);
    tq_emitter_give_back(emitter, emitter->reserved);
    tqi_place_set_file(place, NULL);
    return status || !ended ? status : tqi_map_blame(emitter, chunk, 0);
}

/* Where a failure belongs that has to do with row number `number`. */
static tq_status locate_row(tq_emitter *emitter, const char *name, uint64_t number, int code)
{
    tq_error said = emitter->error;

    if (emitter->status == TQ_E_CANCELLED)
        return emitter->status;
    if (!emitter->status)
        emitter->status = TQ_E_USER;
    if (said.message[0] || emitter->reason[0])
        tqi_fail(&emitter->error, emitter->status, "row %" PRIu64 " of %s: %s", number, name,
                 said.message[0] ? said.message : emitter->reason);
    else
        tqi_fail(&emitter->error, emitter->status, "row %" PRIu64 " of %s: the mapper returned %d", number, name, code);
    return emitter->status;
}

static tq_status call_with_row(tq_emitter *emitter, const tqi_row_range *rows, size_t i, uint64_t *bytes)
{
    const tqi_entry *entry = &rows->entries[i];
    tq_row row = {tqi_entry_key(entry), tqi_entry_value(rows->shape, entry),
                  rows->shape->type == TQ_I64 ? (int64_t)entry->value : 0};

    if (tqi_emitter_stopped(emitter))
        return tqi_emitter_fail(emitter, TQ_E_CANCELLED, "cancelled");
    *bytes += row.key.size + row.value.size;
    int code =
        tqi_fault("fail-map", emitter->spec->rank) ? 42 : emitter->spec->map_row(&row, emitter, emitter->spec->user);
    if (code || emitter->status)
        return locate_row(emitter, rows->name, rows->first + i, code);
    emitter->reason[0] = '\0';
    return TQ_OK;
}

tq_status tqi_map_rows(tq_emitter *emitter, const tqi_row_range *rows, uint64_t *bytes, tqi_place *place)
{
    /* Keys do not lie in a text, where more could be read than they are long. */
    const tq_record origin = {.data = "", .offset = rows->first};
    tq_status status = TQ_OK;

    if (emitter->status)
        return emitter->status;
    tqi_emitter_begin(emitter, &origin);
    tqi_place_set_file(place, rows->name);
    for (size_t i = 0; i < rows->n && !status; i++) {
        tqi_place_set_offset(place, rows->first + i);
        status = call_with_row(emitter, rows, i, bytes);
    }
    tq_status ended = tqi_emitter_end(emitter);
    tq_emitter_give_back(emitter, emitter->reserved);
    tqi_place_set_file(place, NULL);
    return status || !ended ? status : locate_row(emitter, rows->name, rows->first + rows->n - 1, 0);
}

tq_status tqi_map_dense(tq_emitter *emitter, const int64_t *dense)
{
    const tqi_spec *spec = emitter->spec;

    if (emitter->status)
        return emitter->status;
    int code = spec->dense_rows(dense, spec->dense, emitter, spec->user);
    if (!code || emitter->status == TQ_E_CANCELLED)
        return emitter->status;
    if (!emitter->status)
        emitter->status = TQ_E_USER;
    if (emitter->reason[0])
        tqi_fail(&emitter->error, emitter->status, "%s (in the rows of the dense result)", emitter->reason);
    else if (!emitter->error.message[0])
        tqi_fail(&emitter->error, emitter->status, "the function that makes rows of the dense result returned %d", code);
    return emitter->status;
}
