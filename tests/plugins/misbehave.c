/* A word count that does what a job should not, at a word and in a function of one's choice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tequio/plugin.h>
#include <time.h>
#include <unistd.h>

typedef struct settings {
    const char *how, *where, *word, *fail;
    int64_t rank; /* on this one alone; -1: on each */
} settings;

static const tq_setting choices[] = {
    {"how", TQ_SETTING_TEXT, offsetof(settings, how), "not",
     "crash|overflow|divide|abort|exit|sleep|spin|flood|code|reason"},
    {"where", TQ_SETTING_TEXT, offsetof(settings, where), "map", "map|partition|reduce|compare|describe|end"},
    {"word", TQ_SETTING_TEXT, offsetof(settings, word), "bad", "the word at which it happens"},
    {"fail", TQ_SETTING_TEXT, offsetof(settings, fail), NULL, "a word at which the mapper fails besides"},
    {"rank", TQ_SETTING_INTEGER, offsetof(settings, rank), "-1", "the rank on which it happens"},
};

static const settings *chosen; /* for end, which is called when they are still there */
static int own_rank;

static int *volatile nowhere;
static volatile int zero, deepest;

static int go_deeper(volatile char *above)
{
    volatile char here[1000] = {above[0]};

    return deepest++ < 0 ? 0 : go_deeper(here) + here[0];
}

static void sleep_for_ever(void)
{
    const struct timespec day = {.tv_sec = 86400};

    for (;;)
        nanosleep(&day, NULL);
}

/* A file that says that it has begun: those who wait for that need not guess how long it takes. */
static void tell(const char *how)
{
    FILE *file = fopen("begun", "w");

    if (file != NULL) {
        fputs(how, file);
        fclose(file);
    }
}

/* What ends nowhere or never. */
static void misbehave(const char *how)
{
    char here = 0;

    if (strcmp(how, "sleep") == 0 || strcmp(how, "spin") == 0)
        tell(how);

    if (strcmp(how, "crash") == 0)
        *nowhere = 1;
    else if (strcmp(how, "overflow") == 0)
        go_deeper(&here);
    else if (strcmp(how, "divide") == 0)
        zero = 100 / zero;
    else if (strcmp(how, "abort") == 0)
        abort();
    else if (strcmp(how, "exit") == 0)
        exit(0);
    else if (strcmp(how, "sleep") == 0)
        sleep_for_ever();
    else if (strcmp(how, "spin") == 0)
        for (;;)
            zero = 0;
}

static bool is_time(const char *where, tq_slice word)
{
    bool is_here = strcmp(chosen->where, where) == 0 && (chosen->rank < 0 || chosen->rank == own_rank);

    return is_here && (word.data == NULL ||
                       (word.size == strlen(chosen->word) && memcmp(word.data, chosen->word, word.size) == 0));
}

/* Emits until that is refused. */
static int flood_map(tq_emitter *emitter)
{
    char key[32];

    for (uint64_t i = 0;; i++) {
        memset(key, 'k', sizeof key);
        memcpy(key, &i, sizeof i);
        if (tq_emit_i64(emitter, (tq_slice){key, sizeof key}, 1) != TQ_OK)
            return 1;
    }
}

static int flood_reduce(tq_slice key, tq_rows_out *out)
{
    for (int64_t i = 0; tq_write_row_i64(out, key, i) == TQ_OK;)
        i++;
    return 1;
}

static int map(const tq_record *record, tq_emitter *emitter, void *user)
{
    tq_slice word = {record->data, record->size};

    (void)user;
    if (chosen->fail != NULL && word.size == strlen(chosen->fail) && memcmp(word.data, chosen->fail, word.size) == 0)
        return 17;
    if (is_time("map", word)) {
        if (strcmp(chosen->how, "code") == 0)
            return 17;
        if (strcmp(chosen->how, "reason") == 0)
            return tq_emit_fail(emitter, "the word %.*s is not liked", (int)word.size, word.data);
        if (strcmp(chosen->how, "flood") == 0)
            return flood_map(emitter);
        misbehave(chosen->how);
    }
    return (int)tq_emit_i64(emitter, word, 1);
}

static int reduce(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int64_t value;

    (void)user;
    if (is_time("reduce", key)) {
        if (strcmp(chosen->how, "flood") == 0)
            return flood_reduce(key, out);
        misbehave(chosen->how);
    }
    while (tq_values_next_i64(values, &value))
        if (tq_write_row_i64(out, key, value) != TQ_OK)
            return 1;
    return 0;
}

static uint64_t partition(tq_slice key, void *user)
{
    (void)user;
    if (is_time("partition", key))
        misbehave(chosen->how);
    return key.size;
}

/* Short words first. Whatever begins with the word will do. */
static int compare(const tq_row *a, const tq_row *b, void *user)
{
    size_t size = strlen(chosen->word);

    (void)user;
    if (is_time("compare", (tq_slice){a->key.data, a->key.size < size ? a->key.size : size}) ||
        is_time("compare", (tq_slice){b->key.data, b->key.size < size ? b->key.size : size}))
        misbehave(chosen->how);
    return (a->key.size > b->key.size) - (a->key.size < b->key.size);
}

static tq_status describe(tq_job *job, const tq_process *process, char *why, size_t size)
{
    chosen = job->user;
    own_rank = process->rank;
    if (is_time("describe", (tq_slice){NULL, 0})) {
        if (strcmp(chosen->how, "reason") == 0) {
            snprintf(why, size, "rank %d of %d does not want to", process->rank, process->ranks);
            return TQ_E_INPUT;
        }
        if (strcmp(chosen->how, "code") == 0)
            return TQ_E_CANCELLED; /* which it may not say */
        misbehave(chosen->how);
    }
    job->records = TQ_WORDS;
    job->map = map;
    job->combine = TQ_SUM;
    job->reduce = strcmp(chosen->where, "reduce") == 0 ? reduce : NULL;
    job->partition = strcmp(chosen->where, "partition") == 0 ? partition : NULL;
    job->compare = strcmp(chosen->where, "compare") == 0 ? compare : NULL;
    return TQ_OK;
}

static void end(void *user)
{
    (void)user;
    if (is_time("end", (tq_slice){NULL, 0}))
        misbehave(chosen->how);
}

const tq_plugin *tq_plugin_entry(void)
{
    static const tq_plugin plugin = {
        TQ_PLUGIN_INIT, "count words until something happens", choices, 5, sizeof(settings), describe, end};
    return &plugin;
}
