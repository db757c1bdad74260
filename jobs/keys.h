/* What the jobs that look at keys alone take for a key: whole lines, or words.
 *
 * Any thread, each with a record and an emitter of its own. */
#ifndef JOBS_KEYS_H
#define JOBS_KEYS_H

#include "jobs/batch.h"
#include <tequio/tequio.h>

typedef struct keys_settings {
    int of; /* a keys_kind */
    bool ignore_case;
} keys_settings;

/* Behind KEYS_LINES in the order of words_kind. */
typedef enum keys_kind { KEYS_LINES, KEYS_WORDS, KEYS_ALPHA, KEYS_UNICODE } keys_kind;

/* Rows for the table of a job whose struct of settings has a keys_settings at offset. */
#define KEYS_ROWS(at)                                                                                                  \
    {.name = "of",                                                                                                     \
     .argument = "lines|words|alpha|unicode",                                                                          \
     .type = OPTION_CHOICE,                                                                                            \
     .offset = (at) + offsetof(keys_settings, of),                                                                     \
     .preset = "lines",                                                                                                \
     .help = "whole lines, or words"},                                                                                 \
    {                                                                                                                  \
        .name = "ignore-case", .letter = 'i', .type = OPTION_FLAG, .offset = (at) + offsetof(keys_settings, ignore_case),\
        .help = "keys that differ in case alone are one"                                                               \
    }

/* What job->records must be, for keys_of as its map_chunk. */
tq_records keys_records(const keys_settings *settings);

/* Hand the keys of a record to take, in their order. Returns what a mapper returns. */
int keys_of(const tq_record *record, tq_emitter *emitter, const keys_settings *settings, batch_take_fn take, void *to);

#endif
