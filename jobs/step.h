/* A step of the job stream: one command run over one split, or over the keys of one partition, until it has ended well or
 * been tried often enough. Tells the command where it is, passes on what it says on its standard error, and says what went
 * wrong. It stands on the stack of the worker that runs it, and nobody else touches it. */
#ifndef JOBS_STEP_H
#define JOBS_STEP_H

#include "jobs/child.h"
#include "jobs/jobs.h"

enum { STEP_WHERE_BYTES = 256, STEP_TAIL_LINES = 3, STEP_TAIL_BYTES = 90 };

typedef struct step {
    const jobs_context *context; /* these four: given */
    const char *role;            /* "map", "combine", "reduce" */
    const char *command;
    int64_t retries;

    tq_place place;               /* of the worker */
    tq_split_place split;         /* map, combine; file NULL: reduce */
    char where[STEP_WHERE_BYTES]; /* for messages: "notes.txt at byte 4096", "partition 3" */
    int64_t tries;                /* so far */
    unsigned complaints;          /* of this try: lines on its standard error, */
    char tail[STEP_TAIL_LINES][STEP_TAIL_BYTES]; /* and the last of them */
} step;

/* Find out where the calling worker is. split: NULL for a reducer. */
void step_begin(step *s, const tq_split *split);

typedef enum step_verdict { STEP_DONE, STEP_AGAIN, STEP_STOPPED, STEP_FAILED } step_verdict;

/* Run the command once, and say what that means. plan has the functions that feed and drain it; its user must point to the
 * step, or to a struct that begins with it. STEP_FAILED: why (size bytes) says what happened. STEP_STOPPED: so that the job can
 * end, for a reason that is known already. */
step_verdict step_try(step *s, child_plan *plan, char *why, size_t size);

#endif
