/* A job of your own for the tequio command: how often each word occurs, in lower case, without the short ones.
 *
 *     cc -O2 -shared -fPIC $(pkg-config --cflags tequio) plugin.c -o plugin.so
 *     tequio run ./plugin.so --set least=5 --top 10 kjv.txt
 *     tequio run ./plugin.so --help
 *
 * Copy this file and change map and describe. <tequio/plugin.h> and <tequio/mapreduce.h> say what else there is. */
#include <ctype.h>
#include <string.h>
#include <tequio/plugin.h>

/* What the user may choose by --set NAME=VALUE. */
typedef struct settings {
    int64_t least;
    const char *skip;
} settings;

static const tq_setting choices[] = {
    {"least", TQ_SETTING_INTEGER, offsetof(settings, least), "3", "the shortest word that counts"},
    {"skip", TQ_SETTING_TEXT, offsetof(settings, skip), NULL, "a word that does not count"},
};

static const char *const counters[] = {"left-out"}; /* what is counted beside: totals for --stats FILE */

/* Called for each record, here a word, by several threads at a time: so it keeps nothing outside of itself. */
static int map(const tq_record *record, tq_emitter *emitter, void *user)
{
    const settings *chosen = user;
    char word[64];

    /* To end the run with a message: return tq_emit_fail(emitter, "cannot read '%.*s'", (int)record->size, ...); */
    if (record->size < (size_t)chosen->least || record->size > sizeof word)
        return (int)tq_emit_count(emitter, 0, 1);
    for (size_t i = 0; i < record->size; i++)
        word[i] = (char)tolower((unsigned char)record->data[i]);
    if (chosen->skip != NULL && strlen(chosen->skip) == record->size && memcmp(chosen->skip, word, record->size) == 0)
        return 0;
    /* A key and a value; values of the same key are added up. The key is copied, so word may be used again. */
    return (int)tq_emit_i64(emitter, (tq_slice){word, record->size}, 1);
}

/* Called once, before the run. */
static tq_status describe(tq_job *job, const tq_process *process, char *why, size_t size)
{
    (void)process, (void)why, (void)size;
    job->records = TQ_WORDS; /* or TQ_LINES: then map gets lines */
    job->map = map;
    job->counters = counters, job->n_counters = 1;
    job->combine = TQ_SUM; /* or TQ_MIN, TQ_MAX, a function of yours, or a reducer in job->reduce */
    return TQ_OK;
}

/* The one function that the command looks for. */
const tq_plugin *tq_plugin_entry(void)
{
    static const tq_plugin plugin = {
        TQ_PLUGIN_INIT, "count words of some length, in lower case", choices, 2, sizeof(settings), describe, NULL};
    return &plugin;
}
