/* The word count, one word at a time, as plain as it can be: to compare with the built-in one. */
#include <tequio/plugin.h>

static int map(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1);
}

static tq_status describe(tq_job *job, const tq_process *process, char *why, size_t size)
{
    (void)process, (void)why, (void)size;
    job->records = TQ_WORDS;
    job->map = map;
    job->combine = TQ_SUM;
    job->raw_text = true;
    job->key_name = "word";
    job->value_name = "count";
    return TQ_OK;
}

const tq_plugin *tq_plugin_entry(void)
{
    static const tq_plugin plugin = {TQ_PLUGIN_INIT, NULL, NULL, 0, 0, describe, NULL};
    return &plugin;
}
