/* What the jobs that read text in columns have in common: their options, which column is meant, and what is wrong with a line.
 *
 * Any thread, each with a record and an emitter of its own. */
#ifndef JOBS_COLUMNS_H
#define JOBS_COLUMNS_H

#include "jobs/jobs.h"
#include <stdbool.h>
#include <tequio/tequio.h>

typedef struct columns_settings {
    const char *delimiter; /* NULL: a comma with csv, a semicolon without */
    bool header, csv;
    bool jsonl; /* lines are objects, and columns their members: jobs/members.h */
    int64_t skip_bad; /* for tq_job.skip_bad */
} columns_settings;

/* Rows for the table of a job whose struct of settings has a columns_settings at offset. */
#define COLUMNS_ROWS(at)                                                                                               \
    {.name = "delimiter",                                                                                              \
     .argument = "BYTE",                                                                                               \
     .type = OPTION_STRING,                                                                                            \
     .offset = (at) + offsetof(columns_settings, delimiter),                                                           \
     .help = "between columns; \\t is a tab (; or with --csv ,)"},                                                     \
    {.name = "header",                                                                                                 \
     .type = OPTION_FLAG,                                                                                              \
     .offset = (at) + offsetof(columns_settings, header),                                                              \
     .help = "the first line of each file names the columns"},                                                         \
    {.name = "csv",                                                                                                    \
     .type = OPTION_FLAG,                                                                                              \
     .offset = (at) + offsetof(columns_settings, csv),                                                                 \
     .help = "fields may be quoted, as in RFC 4180"},                                                                  \
    JOBS_SKIP_BAD((at) + offsetof(columns_settings, skip_bad))

/* One more, for a job that can do that. */
#define COLUMNS_JSONL_ROW(at)                                                                                          \
    {.name = "jsonl",                                                                                                  \
     .type = OPTION_FLAG,                                                                                              \
     .offset = (at) + offsetof(columns_settings, jsonl),                                                               \
     .help = "a line is an object, a column its member"}

/* What is wrong with the settings; NULL: nothing. */
const char *columns_wrong(const columns_settings *settings);

char columns_delimiter(const columns_settings *settings);

/* Whether a column may be called so: by its number from 1, or with a header, and of objects, by any name. */
bool columns_known(const columns_settings *settings, const char *name);

/* The column, from 0, that name means in the file of chunk. False: its header has none or several of that name, and the job
 * ends. */
bool columns_find(const tq_record *chunk, tq_emitter *emitter, const columns_settings *settings, const char *name,
                  uint32_t *found);

/* What a field holds: as tq_unquote has it if fields may be quoted. */
static inline tq_slice columns_unquoted(tq_slice field, bool quotes, char *room)
{
    return quotes && field.size > 0 && *field.data == '"' ? tq_unquote(field, room) : field;
}

/* What a quoted field with quotation marks inside holds: in room, of COLUMNS_ROOM bytes, or where that is too small in *owned,
 * which is for the caller to free (NULL otherwise). Its data is NULL if there is no memory; then the emitter says so. */
enum { COLUMNS_ROOM = 1024 };
tq_slice columns_unquote(tq_slice field, tq_emitter *emitter, char *room, char **owned);

/* The offset in its file of the line that a place of chunk is in. */
uint64_t columns_offset(const tq_record *chunk, const char *place);

/* A line of chunk whose fields tq_next_fields has not found: it is empty, or bad, which is said. what: what each of the wanted
 * columns is. */
tq_status columns_irregular(const tq_record *chunk, tq_emitter *emitter, const tq_columns *columns,
                            const char *const *what, const char *begin);

#endif
