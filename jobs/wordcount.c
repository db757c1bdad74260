/* wordcount: how often each word occurs. A word is a longest run of bytes other than the six ASCII white-space
 * bytes. */
#include "jobs/jobs.h"

enum { BATCH = 1024 }; /* words cut and emitted at a time: few calls, and small enough for the L1 cache */

static int count_words(const tq_record *record, tq_emitter *emitter, void *user)
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

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    (void)settings, (void)why, (void)size;
    job->records = TQ_WORDS;
    job->map_chunk = count_words;
    job->value_type = TQ_I64;
    job->combine = TQ_SUM;
    job->raw_text = true; /* no word holds a tab or a newline, and a backslash in one is only itself */
    job->key_name = "word";
    job->value_name = "count";
    return true;
}

const jobs_entry jobs_wordcount = {
    .name = "wordcount",
    .summary = "count each word; white space stands between words",
    .describe = describe,
};
