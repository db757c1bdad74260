/* wordcount: how often each word occurs. What a word is is an option: see jobs/words.h. */
#include "jobs/jobs.h"
#include "jobs/words.h"
#include <stdlib.h>

enum { BATCH = 1024 };          /* words cut and emitted at a time: few calls, and small enough for the L1 cache */
enum { FOLD_BYTES = 32 << 10 }; /* for those of a batch that are folded */

typedef struct wordcount_settings {
    int words; /* a words_kind */
    bool ignore_case;
} wordcount_settings;

static const option_row rows[] = {
    {.name = "words",
     .argument = "space|alpha|unicode",
     .type = OPTION_CHOICE,
     .offset = offsetof(wordcount_settings, words),
     .preset = "space",
     .help = "how words are cut: UAX 29 = unicode"},
    {.name = "ignore-case",
     .letter = 'i',
     .type = OPTION_FLAG,
     .offset = offsetof(wordcount_settings, ignore_case),
     .help = "words that differ in case alone are one"},
};

/* Words on their way to the emitter. */
typedef struct batch {
    tq_emitter *emitter;
    bool folds;
    size_t n, used; /* words, and bytes of folded */
    tq_slice words[BATCH];
    char folded[FOLD_BYTES];
} batch;

static tq_status send(batch *out)
{
    tq_status status = out->n ? tq_emit_keys_i64(out->emitter, out->words, out->n, 1) : TQ_OK;

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
        tq_status status = tq_emit_keys_i64(out->emitter, &key, 1, 1);

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

/* White space between words is what the input is split at, so this is what everything else is measured against. */
static int count_plain(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    tq_slice text = {record->data, record->size};
    tq_slice words[BATCH];
    size_t n;
    while ((n = tq_next_words(&text, words, BATCH)) > 0)
        if (tq_emit_keys_i64(emitter, words, n, 1) != TQ_OK)
            return 1;
    return 0;
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

static int count_words(const tq_record *record, tq_emitter *emitter, void *user)
{
    const wordcount_settings *settings = ((const jobs_context *)user)->settings;
    words_cutter cutter = {0};
    batch out;

    out.emitter = emitter;
    out.folds = settings->ignore_case;
    out.n = out.used = 0;
    tq_status status = add_all(&out, (tq_slice){record->data, record->size}, settings->words, &cutter);
    bool no_memory = cutter.failed;
    words_end(&cutter);
    if (no_memory)
        return tq_emit_fail(emitter, "no memory to find the words");
    return status || send(&out);
}

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    const wordcount_settings *asked = settings;

    (void)why, (void)size;
    job->records = TQ_WORDS;
    job->map_chunk = asked->words == WORDS_SPACE && !asked->ignore_case ? count_plain : count_words;
    job->value_type = TQ_I64;
    job->combine = TQ_SUM;
    job->raw_text = true; /* no word holds a tab or a newline, and a backslash in one is only itself */
    job->key_name = "word";
    job->value_name = "count";
    return true;
}

const jobs_entry jobs_wordcount = {
    .name = "wordcount",
    .summary = "count each word",
    .usage = "A word is a longest run of bytes other than ASCII white space, a run of letters\n"
             "(--words alpha), or what stands between Unicode's word boundaries and has a letter\n"
             "or a number (--words unicode). Rows are WORD TAB COUNT, by the bytes of the words.\n"
             "\n"
             "    tequio wordcount --top 20 -r FOLDER       the most frequent ones in all files\n"
             "    tequio wordcount --words unicode -i FILE  as people count, in any case\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .settings_bytes = sizeof(wordcount_settings),
    .describe = describe,
};
