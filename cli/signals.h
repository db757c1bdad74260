/* SIGINT, SIGTERM and SIGUSR1 (the launcher's way to ask) mean: cancel. They set a flag, and whoever waits for the job
 * looks at it. What must not wait for the job is done by the handler: a second signal, or no end within 0.7 s of a
 * SIGTERM (a rank that died never agrees to anything, and mpirun follows up with SIGKILL after 1 s) or 3 s of another,
 * ends the process. The only mutable state of the command that is global is here. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <stdbool.h>

/* Catch them. last_words is written to standard error when the handler ends the process: a string constant, "" for
 * silence. */
void cli_signals_install(const char *last_words);

/* Whether the run shall be cancelled. Any thread. */
bool cli_signals_caught(void);

/* The outcome is known: signals during what is left (MPI's own clean-up, say) end the process silently, with this exit
 * status. */
void cli_signals_settle(int exit_status);

#endif
