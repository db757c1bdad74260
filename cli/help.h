/* What --help prints: of the command, and of each of its jobs. Everything comes from the tables of options and the list
 * of jobs. Called by main, on its thread. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "jobs/jobs.h"
#include <stdio.h>

/* The jobs, and the options that all of them have. At most a screen, however many jobs there are. */
void cli_help(FILE *out);

/* What a job does, how it is used, and its own options. */
void cli_help_job(const jobs_entry *job, FILE *out);

#endif
