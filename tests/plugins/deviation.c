/* What the built-in job stats is made of, in a plug-in: the mean and the standard deviation of a column that the header
 * names, for each key in the first one. To compare with that job. */
#include <string.h>
#include <tequio/plugin.h>

typedef struct settings {
    const char *column;
    int64_t skip_bad;
} settings;

static const tq_setting choices[] = {
    {"column", TQ_SETTING_TEXT, offsetof(settings, column), "value", "the numbers"},
    {"skip_bad", TQ_SETTING_INTEGER, offsetof(settings, skip_bad), "0", "so many bad lines are passed over"},
};

static const tq_columns comma = {.delimiter = ',', .quotes = true};

/* Field number wanted of a line, from 0. */
static bool find_field(tq_slice line, size_t wanted, tq_slice *field)
{
    for (size_t i = 0; tq_next_field(&line, &comma, field) == TQ_FIELD; i++)
        if (i == wanted)
            return true;
    return false;
}

static bool find_column(tq_slice header, const char *name, size_t *column)
{
    tq_slice field;

    for (*column = 0; tq_next_field(&header, &comma, &field) == TQ_FIELD; ++*column)
        if (field.size == strlen(name) && memcmp(field.data, name, field.size) == 0)
            return true;
    return false;
}

/* One line at a time, as a plug-in may do that has no need to be fast. */
static int map(const tq_record *record, tq_emitter *emitter, void *user)
{
    const settings *chosen = user;
    tq_slice line = tq_line_at((tq_slice){record->data, record->size}), key, number;
    char room[200];
    size_t column;
    unsigned decimals;
    int64_t value;

    if (!find_column(record->header, chosen->column, &column))
        return tq_emit_refuse(emitter, record->file, 0, "the header names no column '%s'", chosen->column);
    if (!find_field(line, 0, &key) || !find_field(line, column, &number) || key.size > sizeof room ||
        tq_read_number(number, &value, &decimals) != TQ_NUMBER)
        return (int)tq_emit_bad(emitter, record->file, record->offset, "no key, or no number");
    key = tq_unquote(key, room);
    return (int)tq_emit_pairs_decimal(emitter, &key, &value, 1, decimals);
}

/* One row a key: the summary of its values comes as one value. */
static int reduce(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    char text[2 * TQ_SUMMARY_TEXT];
    tq_summary summary;
    tq_slice bytes;

    (void)user;
    if (!tq_values_next(values, &bytes) || bytes.size != sizeof summary || tq_values_count(values) != 1)
        return tq_reduce_fail(out, "the values of a key are no summary");
    memcpy(&summary, bytes.data, sizeof summary);
    size_t size = tq_summary_text(&summary, TQ_STAT_MEAN, text);
    text[size++] = ' ';
    size += tq_summary_text(&summary, TQ_STAT_DEVIATION, text + size);
    return (int)tq_write_row(out, key, (tq_slice){text, size});
}

static tq_status describe(tq_job *job, const tq_process *process, char *why, size_t size)
{
    const settings *chosen = job->user;

    (void)process, (void)why, (void)size;
    job->records = TQ_LINES;
    job->map = map;
    job->header = true;
    job->skip_bad = (uint64_t)chosen->skip_bad;
    job->value_type = TQ_I64;
    job->combine = TQ_STATS;
    job->reduce = reduce;
    job->result_type = TQ_BYTES;
    return TQ_OK;
}

const tq_plugin *tq_plugin_entry(void)
{
    static const tq_plugin plugin = {
        TQ_PLUGIN_INIT, "mean and standard deviation of a column", choices, 2, sizeof(settings), describe, NULL};
    return &plugin;
}
