/* `tequio -n 4 ...`: this process becomes the launcher. It runs mpirun with the same job, owns the terminal, shows the
 * progress that rank 0 reports, turns signals into a clean cancelling, and mpirun's pages about failures into one line.
 * One thread, one poll loop, no waiting anywhere else. */
#ifndef CLI_LAUNCHER_H
#define CLI_LAUNCHER_H

#include "cli/options.h"

/* Run the job on options->ranks ranks. Returns the exit status of the command. */
int cli_launch(const cli_options *options);

#endif
