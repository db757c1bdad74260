/* run: a job of the user's own, from a shared object. What it does, its file says (tequio/plugin.h); the command loads it. */
#include "jobs/jobs.h"

static const option_row run_rows[] = {
    {"set", 0, "NAME=VALUE", OPTION_LIST, offsetof(jobs_run_settings, set), NULL,
     "a setting of the job; may be given again", NULL, 0, 0},
};

const jobs_entry jobs_run = {
    .name = "run",
    .summary = "a job of your own, in C: see tequio run --help",
    .operand = "JOB.so",
    .rows = run_rows,
    .n_rows = sizeof run_rows / sizeof run_rows[0],
    .settings_bytes = sizeof(jobs_run_settings),
};
