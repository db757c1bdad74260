/* One row of an option table: everything that is known about an option stands in its row, and --help, parsing, errors
 * and the environment's names all come from there. The command has a table (cli/options.c), and so may a job have one
 * for what is its own (jobs/jobs.h). Rows are constant; any thread may read them. */
#ifndef JOBS_OPTION_H
#define JOBS_OPTION_H

#include <stddef.h>
#include <stdint.h>

typedef enum option_type {
    OPTION_FLAG,    /* bool: given or not */
    OPTION_COUNT,   /* int64_t between least and most; OPTION_AUTO for the word "auto" if the preset is "auto" */
    OPTION_SIZE,    /* uint64_t bytes, at least `least`: 4096, 64k, 2M, 1G */
    OPTION_SECONDS, /* double, more than 0, at most `most` */
    OPTION_STRING,  /* const char *, not empty */
    OPTION_CHOICE,  /* int: the place, from 0, of the word in `argument`, where | stands between the words */
    OPTION_LIST,    /* option_list: each NAME=VALUE that was given, in order */
    OPTION_TEXTS    /* option_list: each text that was given, in order; it may be empty */
} option_type;

typedef struct option_list {
    const char **items; /* made by realloc */
    size_t n;
} option_list;

#define OPTION_AUTO (-1)

typedef struct option_row {
    const char *name;     /* behind "--" */
    char letter;          /* behind "-", 0 for none */
    const char *argument; /* how help calls the value: "SIZE", "text|json"; NULL for a flag */
    option_type type;
    size_t offset;           /* of the value in the struct that the table fills */
    const char *preset;      /* the value when it is not given, as one would type it; NULL = 0, NULL or false */
    const char *help;        /* what --help says of it, within one line */
    const char *environment; /* variable that gives the value when the command line does not; NULL for none */
    int64_t least, most;     /* see the types above; most = 0: no bound */
} option_row;

#endif
