/* Ranks whose mpirun is gone: it does not always wait for them, and cannot when it is killed. The launcher adopts them,
 * so that none runs on when the command has ended. One thread. */
#ifndef CLI_ORPHANS_H
#define CLI_ORPHANS_H

/* From now on, descendants that lose their parent become our children. */
void cli_orphans_adopt(void);

/* Once mpirun has ended: bury the ranks among our children that have ended too, wait up to patience_s seconds for the
 * others, and kill those that are left then. Ranks are the processes that run program (ssh's master connections, say,
 * are left alone). */
void cli_orphans_end(const char *program, double patience_s);

#endif
