#include "jobs/keys.h"
#include "jobs/words.h"

const char *keys_describe(const keys_settings *settings, tq_job *job)
{
    const columns_settings *text = &settings->text;

    if (!settings->column && (text->delimiter || text->header || text->csv || text->jsonl || text->skip_bad))
        return "--delimiter, --header, --csv, --jsonl and --skip-bad are for the column that --key says";
    if (settings->column && settings->of != KEYS_LINES)
        return "--key takes what a column holds as it is: leave out --of";
    if (settings->column && !columns_known(text, settings->column))
        return "--key takes the number of a column, from 1 on, or with --header or --jsonl its name";
    job->records = settings->of == KEYS_LINES ? TQ_LINES : TQ_WORDS;
    job->header = text->header;
    job->skip_bad = (uint64_t)text->skip_bad;
    return columns_wrong(text);
}

int keys_of(const tq_record *record, tq_emitter *emitter, const keys_settings *settings, batch_take_fn take, void *to)
{
    batch_words words = {settings->of - KEYS_WORDS, settings->ignore_case};

    if (settings->column && settings->text.jsonl)
        return batch_members_of(record, emitter, settings->ignore_case, settings->column, take, to);
    if (settings->column)
        return batch_fields_of(record, emitter, settings->ignore_case, &settings->text, settings->column, take, to);
    return settings->of == KEYS_LINES ? batch_lines_of(record, emitter, settings->ignore_case, take, to)
                                      : batch_words_of(record, emitter, &words, take, to);
}
