/* Whether mpirun or srun has started this process, and which rank it is: from the environment, since it must be known
 * before MPI is. The same signs as the library's own (mpi/comm.c). Any thread. */
#ifndef CLI_WORLD_H
#define CLI_WORLD_H

#include <stdbool.h>

/* One of several ranks, or told so by an MPI launcher. */
bool cli_world_is_launched(void);

/* This process' rank; 0 where nothing says otherwise. */
int cli_world_rank(void);

#endif
