/* wordcount: how often each word occurs. What a word is is an option: see jobs/words.h. */
#include "jobs/batch.h"
#include "jobs/jobs.h"
#include "jobs/words.h"

enum { BATCH = 1024 }; /* words cut and emitted at a time */

static const option_row rows[] = {BATCH_WORDS_ROWS(0)};

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

static int count_words(const tq_record *record, tq_emitter *emitter, void *user)
{
    return batch_words_of(record, emitter, ((const jobs_context *)user)->settings, batch_count, emitter);
}

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    const batch_words *asked = settings;

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
    .settings_bytes = sizeof(batch_words),
    .describe = describe,
};
