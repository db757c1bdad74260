#include "jobs/batch.h"
#include "jobs/members.h"
#include "jobs/words.h"
#include <stdlib.h>
#include <string.h>

enum { BATCH = 1024 };          /* words cut and handed on at a time: few calls, and small enough for the L1 cache */
enum { FOLD_BYTES = 32 << 10 }; /* for those of a batch that are folded */
enum { FIELDS = 256 };          /* fields cut at a time */

/* Words on their way. */
typedef struct batch {
    tq_emitter *emitter;
    batch_take_fn take;
    void *to;
    bool folds;
    size_t n, used; /* words, and bytes of folded */
    tq_slice words[BATCH];
    char folded[FOLD_BYTES];
} batch;

static tq_status send(batch *out)
{
    tq_status status = out->n ? out->take(out->to, out->words, out->n) : TQ_OK;

    out->n = out->used = 0;
    return status;
}

static tq_status add_folded(batch *out, tq_slice word)
{
    char *owned;

    /* A folded letter takes at most three times the bytes. */
    if (out->n == BATCH || 3 * word.size > sizeof out->folded - out->used) {
        tq_status status = send(out);

        if (status)
            return status;
    }
    tq_slice key = words_fold(word, out->folded + out->used, sizeof out->folded - out->used, &owned);
    if (!key.data)
        return tq_emit_fail(out->emitter, "no memory to fold a word of %zu bytes", word.size), TQ_E_USER;
    if (owned) {
        tq_status status = out->take(out->to, &key, 1);

        free(owned);
        return status;
    }
    out->words[out->n++] = key;
    out->used += key.size;
    return TQ_OK;
}

static tq_status add(batch *out, tq_slice word)
{
    if (out->folds)
        return add_folded(out, word);
    out->words[out->n++] = word;
    return out->n == BATCH ? send(out) : TQ_OK;
}

static tq_status add_all(batch *out, tq_slice text, int kind, words_cutter *cutter)
{
    tq_slice word, plain[64];
    tq_status status = TQ_OK;
    size_t n;

    words_begin(cutter, text);
    if (kind == WORDS_SPACE)
        while (!status && (n = tq_next_words(&text, plain, sizeof plain / sizeof *plain)) > 0)
            for (size_t i = 0; i < n && !status; i++)
                status = add(out, plain[i]);
    else
        while (!status && (kind == WORDS_ALPHA ? words_next_alpha(cutter, &word) : words_next_unicode(cutter, &word)))
            status = add(out, word);
    return status;
}

tq_status batch_count(void *to, const tq_slice *words, size_t n)
{
    return tq_emit_keys_i64(to, words, n, 1);
}

static void begin(batch *out, tq_emitter *emitter, bool folds, batch_take_fn take, void *to)
{
    out->emitter = emitter;
    out->take = take;
    out->to = to;
    out->folds = folds;
    out->n = out->used = 0;
}

int batch_words_of(const tq_record *record, tq_emitter *emitter, const batch_words *settings, batch_take_fn take, void *to)
{
    words_cutter cutter = {0};
    batch out;

    begin(&out, emitter, settings->ignore_case, take, to);
    tq_status status = add_all(&out, (tq_slice){record->data, record->size}, settings->words, &cutter);
    bool no_memory = cutter.failed;
    words_end(&cutter);
    if (no_memory)
        return tq_emit_fail(emitter, "no memory to find the words");
    return status || send(&out);
}

int batch_lines_of(const tq_record *record, tq_emitter *emitter, bool ignore_case, batch_take_fn take, void *to)
{
    const char *at = record->data, *end = at + record->size;
    tq_status status = TQ_OK;
    batch out;

    begin(&out, emitter, ignore_case, take, to);
    while (at < end && !status) {
        const char *found = memchr(at, '\n', (size_t)(end - at)), *stop = found ? found : end;

        status = add(&out, (tq_slice){at, (size_t)(stop - at)});
        at = stop + 1;
    }
    return status || send(&out);
}

/* A key that does not stay where it is. */
static tq_status add_alone(batch *out, tq_slice key)
{
    tq_status status = add(out, key);

    return status ? status : send(out);
}

/* A field with quotation marks inside is taken by itself. */
static tq_status add_quoted(batch *out, tq_slice field)
{
    char room[COLUMNS_ROOM], *owned;
    tq_slice key = columns_unquote(field, out->emitter, room, &owned);
    tq_status status = key.data ? add_alone(out, key) : TQ_E_USER;

    free(owned);
    return status;
}

static tq_status add_field(batch *out, tq_slice field, bool quotes)
{
    bool quoted = quotes && field.size >= 2 && *field.data == '"';

    if (quoted && memchr(field.data + 1, '"', field.size - 2))
        return add_quoted(out, field);
    return add(out, quoted ? (tq_slice){field.data + 1, field.size - 2} : field);
}

int batch_fields_of(const tq_record *record, tq_emitter *emitter, bool ignore_case, const columns_settings *text,
                    const char *column, batch_take_fn take, void *to)
{
    static const char *const what[] = {"key"};
    tq_columns columns = {.delimiter = columns_delimiter(text), .quotes = text->csv, .n = 1};
    tq_slice rest = {record->data, record->size}, fields[FIELDS];
    tq_slice *const wanted[] = {fields};
    tq_status status = TQ_OK;
    size_t n;
    batch out;

    if (!columns_find(record, emitter, text, column, &columns.wanted[0]))
        return 1;
    begin(&out, emitter, ignore_case, take, to);
    while (!status && (n = tq_next_fields(&rest, &columns, wanted, FIELDS)) > 0)
        for (size_t i = 0; i < n && !status; i++)
            status = fields[i].size == TQ_NO_FIELD ? columns_irregular(record, emitter, &columns, what, fields[i].data)
                                                   : add_field(&out, fields[i], text->csv);
    return status || send(&out);
}

static tq_status add_member(void *to, tq_slice line, const tq_slice *members)
{
    (void)line;
    return add_alone(to, members[0]);
}

int batch_members_of(const tq_record *record, tq_emitter *emitter, bool ignore_case, const char *name, batch_take_fn take,
                     void *to)
{
    batch out;

    begin(&out, emitter, ignore_case, take, to);
    return (int)members_of(record, emitter, &(members_wanted){.name = name}, 1, add_member, &out);
}
