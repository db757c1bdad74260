/* A word count in an order of its own: long words first. */
#include <tequio/plugin.h>

static int map(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    return (int)tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1);
}

static int compare(const tq_row *a, const tq_row *b, void *user)
{
    (void)user;
    return (a->key.size < b->key.size) - (a->key.size > b->key.size);
}

static tq_status describe(tq_job *job, const tq_process *process, char *why, size_t size)
{
    (void)process, (void)why, (void)size;
    job->records = TQ_WORDS;
    job->map = map;
    job->combine = TQ_SUM;
    job->compare = compare;
    job->raw_text = true;
    return TQ_OK;
}

const tq_plugin *tq_plugin_entry(void)
{
    static const tq_plugin plugin = {TQ_PLUGIN_INIT, NULL, NULL, 0, 0, describe, NULL};
    return &plugin;
}
