#include "cli/world.h"
#include <stddef.h>
#include <stdlib.h>

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && *value != '\0';
}

/* Open MPI; MPICH, Intel MPI and Slurm's own; PMIx. A Slurm step of several tasks without any of them is one that MPI
 * cannot connect: the library says so, rather than that each task runs the whole job. */
bool cli_world_is_launched(void)
{
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    return is_set("OMPI_COMM_WORLD_SIZE") || is_set("PMI_SIZE") || is_set("PMIX_RANK") || is_set("PMI_RANK") ||
           is_set("MPI_LOCALNRANKS") || (is_set("SLURM_STEP_ID") && tasks != NULL && atoi(tasks) > 1);
}

int cli_world_rank(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
    if (!cli_world_is_launched())
        return 0;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        if (is_set(variables[i]))
            return atoi(getenv(variables[i]));
    return 0;
}
