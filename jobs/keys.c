#include "jobs/keys.h"
#include "jobs/words.h"

tq_records keys_records(const keys_settings *settings)
{
    return settings->of == KEYS_LINES ? TQ_LINES : TQ_WORDS;
}

int keys_of(const tq_record *record, tq_emitter *emitter, const keys_settings *settings, batch_take_fn take, void *to)
{
    batch_words words = {settings->of - KEYS_WORDS, settings->ignore_case};

    return settings->of == KEYS_LINES ? batch_lines_of(record, emitter, settings->ignore_case, take, to)
                                      : batch_words_of(record, emitter, &words, take, to);
}
