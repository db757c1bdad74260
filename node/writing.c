#include "node/writing.h"

#include "common/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_MOST = 40 };

enum { FLUSHED_BYTES = 1 << 20 };

struct tq_text {
    tqi_text *bytes;
    const tqi_writer_fn *fn;
    tq_error *error;  /* for a flush that fails, */
    bool is_said;     /* and that it did: nothing is to be added */
    tq_status status; /* of the first call that failed */
    char reason[256];
};

static tq_status note(tq_text *text, tq_status status)
{
    if (status && !text->status)
        text->status = status;
    return status;
}

/* A call may append more than fits the memory, where somebody takes it. */
static tq_status flush(tq_text *text)
{
    if (!text->fn->flush || text->bytes->size < FLUSHED_BYTES || text->status)
        return text->status;
    tq_status status = atomic_load_explicit(text->fn->stop, memory_order_relaxed)
                           ? tqi_fail(text->error, TQ_E_CANCELLED, "cancelled")
                           : text->fn->flush(text->fn->owner, text->bytes, text->error);
    text->is_said = status != TQ_OK;
    return note(text, status);
}

tq_status tq_text_put(tq_text *text, tq_slice bytes)
{
    tq_status status = note(text, tqi_text_put(text->bytes, bytes));
    return status ? status : flush(text);
}

tq_status tq_text_put_number(tq_text *text, int64_t number)
{
    return note(text, tqi_text_put_number(text->bytes, number));
}

tq_status tq_text_put_json(tq_text *text, tq_slice string)
{
    tq_status status = note(text, tqi_text_put_json(text->bytes, string));
    return status ? status : flush(text);
}

int tq_text_fail(tq_text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text->reason, sizeof text->reason, format, arguments);
    va_end(arguments);
    return 1;
}

static tq_status explain(const tq_text *text, tq_slice key, int code, tq_error *error)
{
    int shown = key.size < SHOWN_MOST ? (int)key.size : SHOWN_MOST;

    if (text->is_said)
        return text->status;
    if (text->status == TQ_E_MEMORY)
        return tqi_fail(error, TQ_E_MEMORY, "no memory for the text of the rows (see --memory)");
    if (text->reason[0])
        return tqi_fail(error, TQ_E_USER, "%s (key '%.*s')", text->reason, shown, key.data);
    return tqi_fail(error, TQ_E_USER, "the function that writes rows returned %d (key '%.*s')", code, shown, key.data);
}

static tq_status write_row(const tqi_writer_fn *fn, const tq_row *row, tq_text *text, tq_error *error)
{
    if (atomic_load_explicit(fn->stop, memory_order_relaxed))
        return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
    tqi_place_set_key(fn->place, row->key);
    int code = fn->write(row, text, fn->user);

    return code || text->status ? explain(text, row->key, code, error) : TQ_OK;
}

tq_status tqi_write_rows(const tqi_writer_fn *fn, const tqi_entry *entries, size_t n, tqi_text *bytes, tq_error *error)
{
    tq_text text = {.bytes = bytes, .fn = fn, .error = error};
    tq_status status = TQ_OK;

    for (size_t i = 0; i < n && !status; i++) {
        tq_row row = {tqi_entry_key(&entries[i]), tqi_entry_value(fn->shape, &entries[i]), 0};

        if (fn->shape->type == TQ_I64)
            row.i64 = (int64_t)entries[i].value;
        status = write_row(fn, &row, &text, error);
    }
    return status;
}

tq_status tqi_write_end(const tqi_writer_fn *fn, tqi_text *bytes, tq_error *error)
{
    tq_text text = {.bytes = bytes, .fn = fn, .error = error};
    int code = fn->write(NULL, &text, fn->user);

    return code || text.status ? explain(&text, (tq_slice){"", 0}, code, error) : TQ_OK;
}

/* ---- Packed rows: the size of the key, that of the value, key, value --------------------------------------------- */

enum { HEAD = 8 }; /* two sizes of four bytes: neither is more than 1 GiB */

tq_status tqi_pack_rows(const tqi_value_shape *shape, const tqi_entry *entries, size_t n, tqi_text *text)
{
    tq_status status = TQ_OK;

    for (size_t i = 0; i < n && !status; i++) {
        tq_slice key = tqi_entry_key(&entries[i]), value = tqi_entry_value(shape, &entries[i]);
        uint32_t head[2] = {(uint32_t)key.size, (uint32_t)value.size};

        status = tqi_text_put(text, (tq_slice){(const char *)head, HEAD});
        if (!status)
            status = tqi_text_put(text, key);
        if (!status)
            status = tqi_text_put(text, value);
    }
    return status;
}

/* How many bytes the first row of packed takes; 0 if that is not known yet. */
static size_t row_size(tq_slice packed)
{
    uint32_t head[2];

    if (packed.size < HEAD)
        return 0;
    memcpy(head, packed.data, HEAD);
    return HEAD + (size_t)head[0] + head[1];
}

/* Write the rows that are whole, and return how many bytes they took. */
static size_t take_rows(const tqi_writer_fn *fn, tq_slice packed, tq_text *text, tq_status *status, tq_error *error)
{
    size_t at = 0, size;

    while (!*status && (size = row_size((tq_slice){packed.data + at, packed.size - at})) > 0 &&
           size <= packed.size - at) {
        uint32_t key_size;
        memcpy(&key_size, packed.data + at, sizeof key_size);
        const char *key = packed.data + at + HEAD;
        tq_row row = {{key, key_size}, {key + key_size, size - HEAD - key_size}, 0};

        if (fn->shape->type == TQ_I64)
            memcpy(&row.i64, row.value.data, sizeof row.i64);
        *status = write_row(fn, &row, text, error);
        at += size;
    }
    return at;
}

void tqi_unpacker_free(tqi_unpacker *unpacker)
{
    tqi_text_free(&unpacker->rest);
}

/* Complete the row that is cut, if piece does; returns how much of piece that took. */
static size_t fill_rest(tqi_unpacker *unpacker, tq_slice piece, tq_status *status)
{
    tqi_text *rest = &unpacker->rest;
    size_t taken = 0;

    while (rest->size > 0 && taken < piece.size && !*status) {
        size_t whole = row_size((tq_slice){rest->data, rest->size}), missing = whole ? whole : HEAD;

        if (whole && rest->size == whole)
            break;
        missing -= rest->size;
        missing = missing < piece.size - taken ? missing : piece.size - taken;
        *status = tqi_text_put(rest, (tq_slice){piece.data + taken, missing});
        taken += missing;
    }
    return taken;
}

tq_status tqi_unpack_rows(tqi_unpacker *unpacker, const tqi_writer_fn *fn, tq_slice piece, tqi_text *bytes,
                          tq_error *error)
{
    tq_text text = {.bytes = bytes, .fn = fn, .error = error};
    tqi_text *rest = &unpacker->rest;
    tq_status status = TQ_OK, kept = TQ_OK;
    size_t taken = fill_rest(unpacker, piece, &kept);

    if (rest->size > 0 && take_rows(fn, (tq_slice){rest->data, rest->size}, &text, &status, error) > 0)
        rest->size = 0;
    if (!status && !kept && rest->size == 0) {
        taken += take_rows(fn, (tq_slice){piece.data + taken, piece.size - taken}, &text, &status, error);
        if (!status)
            kept = tqi_text_put(rest, (tq_slice){piece.data + taken, piece.size - taken});
    }
    return kept ? tqi_fail(error, TQ_E_MEMORY, "no memory for a row (see --memory)") : status;
}
