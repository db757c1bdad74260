/* The words or lines of a piece of input, cut, folded and handed on many at a time: what the jobs that count them share.
 *
 * Any thread, each with a record and an emitter of its own. */
#ifndef JOBS_BATCH_H
#define JOBS_BATCH_H

#include "jobs/columns.h"
#include "jobs/option.h"
#include <stdbool.h>
#include <tequio/mapreduce.h>

/* What a word is: the settings of a job that has these options. */
typedef struct batch_words {
    int words; /* a words_kind */
    bool ignore_case;
} batch_words;

/* Two rows for the table of a job whose struct of settings has a batch_words at offset. */
#define BATCH_WORDS_ROWS(at)                                                                                           \
    {.name = "words",                                                                                                  \
     .argument = "space|alpha|unicode",                                                                                \
     .type = OPTION_CHOICE,                                                                                            \
     .offset = (at) + offsetof(batch_words, words),                                                                    \
     .preset = "space",                                                                                                \
     .help = "how words are cut: UAX 29 = unicode"},                                                                   \
    {                                                                                                                  \
        .name = "ignore-case", .letter = 'i', .type = OPTION_FLAG, .offset = (at) + offsetof(batch_words, ignore_case),\
        .help = "words that differ in case alone are one"                                                              \
    }

/* Takes n words, which are valid during the call. to is the caller's. */
typedef tq_status (*batch_take_fn)(void *to, const tq_slice *words, size_t n);

/* One that counts them. to: the emitter. */
tq_status batch_count(void *to, const tq_slice *words, size_t n);

/* Hand the words of a record to take, in their order. Returns what a mapper returns. */
int batch_words_of(const tq_record *record, tq_emitter *emitter, const batch_words *settings, batch_take_fn take, void *to);

/* The same with its lines, without their ends. */
int batch_lines_of(const tq_record *record, tq_emitter *emitter, bool ignore_case, batch_take_fn take, void *to);

/* The same with what the fields of one column hold, which is found and told of as jobs/columns.h has it. */
int batch_fields_of(const tq_record *record, tq_emitter *emitter, bool ignore_case, const columns_settings *text,
                    const char *column, batch_take_fn take, void *to);

/* The same with one member of the objects of JSON Lines: jobs/members.h. */
int batch_members_of(const tq_record *record, tq_emitter *emitter, bool ignore_case, const char *name, batch_take_fn take,
                     void *to);

#endif
