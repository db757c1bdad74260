/* How the launcher calls mpirun: which one, with which flags, in which environment. Open MPI 4.1 is what is known and
 * tested; 5.0 takes the same flags. One thread. */
#ifndef CLI_MPIRUN_H
#define CLI_MPIRUN_H

#include "cli/options.h"
#include <sys/types.h>

/* Several hosts may take part: there is a hostfile, or a batch system gave us its allocation. */
bool cli_mpirun_has_hosts(const cli_options *options);

typedef struct cli_mpirun {
    char program[4096];
    char self[4096]; /* this executable, which the ranks run */
    char **argv;     /* the strings are borrowed from here, from the options, from the environment, or in pool */
    size_t n, capacity;
    bool one_host;
    char pool[64];
} cli_mpirun;

/* Find mpirun and put its command line together. On failure, why (size bytes) is one line: TQ_E_MPI, TQ_E_USAGE (the
 * hostfile), TQ_E_MEMORY, TQ_E_SYSTEM. Given back with cli_mpirun_free in either case. */
tq_status cli_mpirun_prepare(const cli_options *options, cli_mpirun *mpirun, char *why, size_t size);
void cli_mpirun_free(cli_mpirun *mpirun);

/* Start it, in a process group of its own, with these as its standard files. It gets a SIGTERM if we die. link is the
 * value of TEQUIO_LAUNCHER for the ranks. -1 and errno on failure. */
pid_t cli_mpirun_start(const cli_mpirun *mpirun, const char *link, int input, int output, int errors);

#endif
