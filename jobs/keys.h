/* What the jobs that look at keys alone take for a key: whole lines, words, or what a column holds.
 *
 * Any thread, each with a record and an emitter of its own. */
#ifndef JOBS_KEYS_H
#define JOBS_KEYS_H

#include "jobs/batch.h"
#include <tequio/tequio.h>

typedef struct keys_settings {
    int of; /* a keys_kind */
    bool ignore_case;
    const char *column; /* NULL: not the fields of one */
    columns_settings text;
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
    {.name = "ignore-case",                                                                                            \
     .letter = 'i',                                                                                                    \
     .type = OPTION_FLAG,                                                                                              \
     .offset = (at) + offsetof(keys_settings, ignore_case),                                                            \
     .help = "keys that differ in case alone are one"},                                                                \
    {.name = "key",                                                                                                    \
     .argument = "COLUMN",                                                                                             \
     .type = OPTION_STRING,                                                                                            \
     .offset = (at) + offsetof(keys_settings, column),                                                                 \
     .help = "what a column holds: its number, or its name"},                                                          \
    COLUMNS_JSONL_ROW((at) + offsetof(keys_settings, text)), COLUMNS_ROWS((at) + offsetof(keys_settings, text))

/* Fill in what a job with keys_of as its map_chunk must have. What is wrong with the settings; NULL: nothing. */
const char *keys_describe(const keys_settings *settings, tq_job *job);

/* Hand the keys of a record to take, in their order. Returns what a mapper returns. */
int keys_of(const tq_record *record, tq_emitter *emitter, const keys_settings *settings, batch_take_fn take, void *to);

#endif
