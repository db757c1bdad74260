/* The command line: one table of options, from which parsing, errors, environment variables and --help
 * (cli/help.h) come.
 * Called by main once, on its thread, before anything else runs. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "jobs/jobs.h"
#include <stdbool.h>
#include <stdint.h>

/* In the order of the words in the table. */
typedef enum cli_progress_mode {
    PROGRESS_AUTO,
    PROGRESS_BAR,
    PROGRESS_LINES,
    PROGRESS_JSON,
    PROGRESS_NONE
} cli_progress_mode;
typedef enum cli_format { FORMAT_TEXT, FORMAT_JSON } cli_format;
typedef enum cli_sort { SORT_KEY, SORT_NONE } cli_sort;

typedef struct cli_options {
    int64_t ranks; /* 0: not given */
    const char *hostfile;
    int64_t threads; /* OPTION_AUTO: the library's choice */
    bool recursive;
    const char *output;                                           /* NULL: the standard output */
    int64_t top;                                                  /* 0: all rows */
    int format;                                                   /* cli_format */
    int sort;                                                     /* cli_sort */
    uint64_t split_bytes, round_bytes, memory_bytes, spill_bytes; /* 0: the library's choice */
    const char *tmpdir;
    int decompress;        /* tq_decompress, in the order of the words in the table */
    int spill_compression; /* tq_compression, in the order of the words in the table */
    double interval_s;
    int progress; /* cli_progress_mode */
    bool quiet;
    const char *stats;
    bool version, help;

    bool interval_given; /* by the user, not preset */
    bool ranks_typed;    /* --ranks or --hostfile stood on the command line itself */

    const jobs_entry *job;
    void *settings;      /* of the job, NULL if it has no options */
    char *plugin;        /* the job's operand, as an absolute path; NULL if it takes none */
    const char **inputs; /* "-" if there was none on the command line */
    size_t n_inputs;

    /* The same command line without --ranks and --hostfile, for the ranks that the launcher starts. The first n_heads
     * entries are strings that cli_options_free frees. */
    char **forward;
    size_t n_forward, n_heads;
} cli_options;

/* Read argv and the environment. The result points into argv and the environment, and is given back with
 * cli_options_free in either case. Returns TQ_OK; or TQ_E_USAGE or TQ_E_MEMORY, and why (size bytes) says what is wrong
 * in one line. With --help or --version nothing else needs to be complete. */
tq_status cli_options_parse(int argc, char **argv, cli_options *options, char *why, size_t size);
void cli_options_free(cli_options *options);

/* Whether the job reads the standard input. */
bool cli_options_read_stdin(const cli_options *options);

/* The table, for those who want to list what was set. The struct its offsets mean is cli_options. */
const option_row *cli_options_rows(size_t *n);

#endif
