/* top: the most frequent keys, with how often they occur, exactly. */
#include "jobs/jobs.h"
#include "jobs/keys.h"
#include <stdio.h>

enum { USUAL = 10 };

static const option_row rows[] = {KEYS_ROWS(0)};

static int map(const tq_record *record, tq_emitter *emitter, void *user)
{
    return keys_of(record, emitter, ((const jobs_context *)user)->settings, batch_count, emitter);
}

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    const char *wrong = keys_describe(settings, job);

    if (wrong) {
        snprintf(why, size, "%s", wrong);
        return false;
    }
    job->map_chunk = map;
    job->value_type = TQ_I64;
    job->combine = TQ_SUM;
    job->order = TQ_ORDER_VALUE_DESC;
    if (job->limit == 0)
        job->limit = USUAL;
    job->value_name = "count";
    return true;
}

const jobs_entry jobs_top = {
    .name = "top",
    .summary = "the most frequent lines, words or fields",
    .usage = "Rows are KEY TAB COUNT, the largest count first, then by the bytes of the keys;\n"
             "ten of them, or as many as --top says. All are counted, nothing is estimated.\n"
             "\n"
             "    tequio top access.log               like sort | uniq -c | sort -rn | head\n"
             "    tequio top --of unicode -i --top 100 -r FOLDER\n"
             "    tequio top --key city --header --csv sales.csv\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .settings_bytes = sizeof(keys_settings),
    .describe = describe,
};
