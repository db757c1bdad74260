/* A child process as a filter: fed through its standard input, drained of its standard output and error at the same time,
 * whatever it does with them. child_run is its whole life; when that has returned, the child and all processes of its
 * group are gone, however it ended.
 *
 * Knows nothing of jobs. Any thread, each with a child of its own; the calling thread is blocked meanwhile. It uses vfork,
 * not fork: nothing of this process's memory is copied or marked, whatever MPI has registered of it. A child has the three
 * standard descriptors and no other. It dies with the thread that runs it: the kernel sees to that (PR_SET_PDEATHSIG), and
 * so it does when this process is killed. */
#ifndef JOBS_CHILD_H
#define JOBS_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* The environment of a child: this process's, without what would make a program of MPI, or tequio, in it believe that it is
 * a rank; and then what is added. All zero is a new one; memory that is lacking shows when it is finished. */
typedef struct child_environment {
    char **list;
    size_t n;
    bool failed;
} child_environment;

/* Add one "NAME=value", in place of any of that name. */
void child_export(child_environment *environment, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The list for a plan, valid until the environment is freed. NULL: no memory. */
char *const *child_environment_list(const child_environment *environment);
void child_environment_free(child_environment *environment);

/* What runs, and who gives and takes. The functions are called on the thread that called child_run. */
typedef struct child_plan {
    const char *command;      /* for /bin/sh -c */
    char *const *environment; /* NULL at its end */

    /* The next bytes for its standard input, valid until the next call: 1; 0: there are no more; -1: end it. */
    int (*input)(void *user, const char **data, size_t *size);

    /* What it wrote to its standard output, from the first byte that was not taken yet: returns how many are taken now;
     * the rest comes again with more behind it. last: nothing comes behind it, so all must be taken. -1: end it. */
    ptrdiff_t (*output)(void *user, const char *data, size_t size, bool last);

    /* A line that it wrote to its standard error, without its end; long ones come in parts. May be NULL. */
    void (*complaint)(void *user, const char *line, size_t size);

    /* Whether to end it, whatever it does: asked about 20 times a second. May be NULL. */
    bool (*stopping)(void *user);
    void *user;
} child_plan;

typedef enum child_end {
    CHILD_EXITED,  /* by itself; code is its exit code */
    CHILD_KILLED,  /* by a signal of others, or its own doing; code is its number */
    CHILD_STOPPED, /* by us, since stopping, input or output said so */
    CHILD_FAILED   /* it did not run, or could not be talked to; code is an errno, why the call that failed */
} child_end;

typedef struct child_outcome {
    child_end end;
    int code;
    const char *why;
    bool read_all; /* it took all of its input */
} child_outcome;

/* Run a child to its end. It has ended well if end is CHILD_EXITED and code 0, whether or not it has read all. Processes
 * that it leaves behind in its group are killed. */
child_outcome child_run(const child_plan *plan);

/* Say in words how it ended, when that was not well: "exited with 3", "was killed by signal 11 (Segmentation fault)". */
void child_describe(const child_outcome *outcome, char *text, size_t size);

#endif
