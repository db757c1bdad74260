/* Progress of one run: takes snapshots, from the library in this process or from rank 0 through the launcher, and shows
 * them in the way that fits. Every function may be called from any thread; they take turns. A NULL progress, which is
 * what nothing to show gives, is taken by all of them. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/options.h"
#include "cli/screen.h"
#include <tequio/tequio.h>

typedef struct cli_progress cli_progress;

/* What the options ask for, on standard error. Sets *progress, to NULL if nothing is to be shown. TQ_E_MEMORY. */
tq_status cli_progress_open(const cli_options *options, cli_progress **progress);

/* Whether bars are drawn: then whoever writes on the same terminal must go through print or freeze. */
bool cli_progress_draws(const cli_progress *progress);

void cli_progress_update(cli_progress *progress, const tq_progress *snapshot, tq_phase phase);

/* Time has passed (by the clock of the system) without a snapshot: redraw what depends on it or on the screen.
 * silent_rank is the rank whose snapshots are missing. */
void cli_progress_tick(cli_progress *progress, int silent_rank);

/* Print a line of somebody else's (no newline at its end) on standard error, above the bars if there are any. */
void cli_progress_print(cli_progress *progress, const char *line, size_t size);

/* Bytes of the result are about to appear on the terminal: draw no more. */
void cli_progress_freeze(cli_progress *progress);

/* The run is over, no other call will come: draw the end, put the terminal in order. */
void cli_progress_close(cli_progress *progress, bool succeeded);

#endif
