/* When the code of a plug-in crashes, or calls exit: say on which rank, in which plug-in and at which record, and end the
 * process with TQ_E_USER. What crashed stays as it is: nothing is unwound, no file is written, and what MPI does about a
 * rank that is gone it does as ever. A crash outside of the plug-in's code, which may still be its fault, is named so, and
 * then takes its usual way.
 *
 * A process has signal handlers only once, so the state of this module is the process's: set by the main thread before the
 * plug-in is loaded, and read by handlers on any thread. */
#ifndef CLI_CRASH_H
#define CLI_CRASH_H

/* From now on. plugin (its name) must live until the process ends. After MPI is started, which has handlers of its own. */
void cli_crash_catch(const char *plugin, int rank);

/* The main thread is in the plug-in's code between these two. what: " in describe". */
void cli_crash_enter(const char *what);
void cli_crash_leave(void);

/* The run is over: from now on exit is no surprise. */
void cli_crash_settle(void);

/* Hooks for the workers of a cluster (tq_cluster_options): a handler needs a stack of its own where the thread's has
 * overflowed. */
int cli_crash_begin_worker(int index, void *user, void **state);
void cli_crash_end_worker(int index, void *user, void *state);

#endif
