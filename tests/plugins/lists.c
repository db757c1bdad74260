/* Of lines "GROUP KEY VALUE" a row for each group: its keys and values, by key, and those of one key in ascending order or as
 * they stand in the input. */
#include <stdlib.h>
#include <string.h>
#include <tequio/plugin.h>

enum { MOST = 200 }; /* bytes of a line */

typedef struct settings {
    const char *values;
} settings;

static const tq_setting choices[] = {
    {"values", TQ_SETTING_TEXT, offsetof(settings, values), "ascending", "of one key: ascending|arrival"},
};

/* The key of a pair is GROUP SPACE KEY. */
static int map(const tq_record *line, tq_emitter *emitter, void *user)
{
    const char *last = memrchr(line->data, ' ', line->size);

    (void)user;
    if (line->size > MOST || last == NULL || memchr(line->data, ' ', line->size) == last)
        return tq_emit_fail(emitter, "this line is not GROUP KEY VALUE");
    size_t size = (size_t)(last - line->data);
    return (int)tq_emit(emitter, (tq_slice){line->data, size}, (tq_slice){last + 1, line->size - size - 1});
}

static size_t group(tq_slice key, void *user)
{
    const char *space = memchr(key.data, ' ', key.size);

    (void)user;
    return space ? (size_t)(space - key.data) : key.size;
}

static int reduce(tq_slice group_key, tq_values *values, tq_rows_out *out, void *user)
{
    char *text = malloc(tq_values_count(values) * MOST + 1), *at = text;
    tq_slice value;

    (void)user;
    if (text == NULL)
        return tq_reduce_fail(out, "no memory");
    while (tq_values_next(values, &value)) {
        tq_slice key = tq_values_key(values);
        size_t size = key.size - group_key.size;

        memcpy(at, key.data + group_key.size, size);
        at[size] = '=';
        memcpy(at + size + 1, value.data, value.size);
        at += size + 1 + value.size;
    }
    tq_status status = tq_write_row(out, group_key, (tq_slice){text, (size_t)(at - text)});
    free(text);
    return (int)status;
}

static tq_status describe(tq_job *job, const tq_process *process, char *why, size_t size)
{
    const settings *chosen = job->user;

    (void)process, (void)why, (void)size;
    job->records = TQ_LINES;
    job->map = map;
    job->value_type = TQ_BYTES;
    job->group = group;
    job->reduce = reduce;
    job->result_type = TQ_BYTES;
    job->values_order = strcmp(chosen->values, "arrival") == 0 ? TQ_VALUES_ARRIVAL : TQ_VALUES_ASCENDING;
    return TQ_OK;
}

const tq_plugin *tq_plugin_entry(void)
{
    static const tq_plugin plugin = {TQ_PLUGIN_INIT, "lists of groups", choices, 1, sizeof(settings), describe, NULL};
    return &plugin;
}
