/* The built-in jobs, by name. A job is one file in this folder: it is written against the public API alone, and adds
 * itself to the list in jobs.c. The command (cli/) looks a job up, lets the user set the job's own options, and has it
 * describe itself. Everything here is constant; any thread may read it. */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "jobs/option.h"
#include <stdbool.h>
#include <tequio/tequio.h>

/* What the mapper, combiner and reducer of a built-in job get as their user pointer. */
typedef struct jobs_context {
    const void *settings; /* the struct that the job's option rows filled, NULL if it has none */

    /* Show a line to the user while the job runs, unless that is not wanted. Any thread. NULL: nobody listens. */
    void (*say)(const char *line, size_t size, void *user);
    void *say_user;
} jobs_context;

typedef struct jobs_entry {
    const char *name;
    const char *summary; /* for --help, within one line */
    const char *usage;   /* for --help behind the job's name: whole lines, with an example or two */
    const char *operand; /* what stands in front of the inputs; NULL: nothing does */
    const option_row
        *operand_row; /* the option (OPTION_TEXTS) that the operand is a value of, and that does without it when
                                    * it is given; NULL: the operand is the file that the job is in */

    /* The job's own options, and the size of the struct that their offsets mean. None of the names may be an option of
     * the command; of options of two jobs that have the same name both take a value, or neither does. */
    const option_row *rows;
    size_t n_rows;
    size_t settings_bytes;

    /* NULL if the job is in a file: the command loads that, and lets it describe the job (tequio/plugin.h).
     * Fill in what the job is: records, map, values, combining, reducing, names of the columns, how rows are written. Input,
     * order, output and limits are the command's, and there already; a job with an order of its own may replace that. job->user is a jobs_context, or what describe puts in its
     * place. False if the settings make no sense together, or with what is there; why (size bytes) then says so in a line. */
    bool (*describe)(tq_job *job, const void *settings, char *why, size_t size);

    /* The job has ended: give back what describe made. user: as describe left it. Called on each rank where describe went
     * well. stats: on rank 0 of a job that ended well, else NULL. Returns the exit code of such a run. NULL: there is nothing
     * to give back, and the code is 0. */
    int (*end)(void *user, const tq_stats *stats);
} jobs_entry;

/* --skip-bad, for the rows of a job that calls records bad (tq_emit_bad): an int64_t at that offset of its settings, which
 * describe copies to skip_bad. */
#define JOBS_SKIP_BAD(at)                                                                                              \
    {                                                                                                                  \
        .name = "skip-bad", .argument = "N", .type = OPTION_COUNT, .offset = (at),                                     \
        .help = "pass over up to N bad records, and list them (0)"                                                     \
    }

/* Job number index, in the order of --help; NULL behind the last. */
const jobs_entry *jobs_at(size_t index);

/* The job of that name, NULL if there is none. */
const jobs_entry *jobs_find(const char *name);

/* Of the job run. */
typedef struct jobs_run_settings {
    option_list set;
} jobs_run_settings;

extern const jobs_entry jobs_wordcount, jobs_grep, jobs_sort, jobs_index, jobs_top, jobs_distinct, jobs_histogram,
    jobs_stats, jobs_join, jobs_stream, jobs_run;

#endif
