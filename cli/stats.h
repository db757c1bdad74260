/* --stats FILE: what a run did, as one JSON document. Rank 0, once, after the job. */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include "cli/options.h"
#include <tequio/tequio.h>

/* Before a run that may take hours: could path be written? TQ_E_OUTPUT, and why (size bytes) says in a line why not. */
tq_status cli_stats_check(const char *path, char *why, size_t size);

/* Write the document under a temporary name and rename it to options->stats. TQ_E_OUTPUT or TQ_E_MEMORY, and why. */
tq_status cli_stats_write(const cli_options *options, const tq_cluster *cluster, const tq_stats *stats, char *why,
                          size_t size);

#endif
