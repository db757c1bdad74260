/* Run the job in this process: alone, or as one of the ranks that mpirun, srun or the launcher has started. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/options.h"

/* Returns the exit status of this process. What went wrong has been told: by rank 0 for all, to the launcher if there
 * is one. */
int cli_run(const cli_options *options);

#endif
