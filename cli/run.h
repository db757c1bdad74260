/* Run the job in this process: alone, or as one of the ranks that mpirun, srun or the launcher has started. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/options.h"

/* Returns the exit status of the command. What went wrong has been told: by rank 0 for all. */
int cli_run(const cli_options *options);

#endif
