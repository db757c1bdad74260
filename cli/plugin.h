/* A job of the user's own: loading its shared object, reading its settings, and describing the job by it. The other side
 * is tequio/plugin.h.
 *
 * On the main thread of each rank. Nothing here is collective: what fails on one rank, that rank tells the others. */
#ifndef CLI_PLUGIN_H
#define CLI_PLUGIN_H

#include "jobs/option.h"
#include <stdio.h>
#include <tequio/plugin.h>

typedef struct cli_plugin {
    const char *path;       /* as it was loaded */
    const tq_plugin *table; /* NULL: not loaded */
    void *settings;         /* the struct that the table's settings mean, NULL if it has none */
    void *user;             /* for end */
    bool described;         /* end must be called */
} cli_plugin;

/* Load path, which must live as long as plugin. Its code stays loaded for good, whatever comes after: threads of its own
 * may run on. TQ_E_INPUT: cannot be read. TQ_E_USAGE: no plug-in, or not for this tequio. */
tq_status cli_plugin_load(cli_plugin *plugin, const char *path, tq_error *error);

/* Read the settings that are set, and let the plug-in fill in job. TQ_E_USAGE; or what the plug-in says. */
tq_status cli_plugin_describe(cli_plugin *plugin, const option_list *set, const tq_process *process, tq_job *job,
                              tq_error *error);

/* The job has ended, or will not begin. */
void cli_plugin_end(cli_plugin *plugin);

/* What it does and its settings, as help. */
void cli_plugin_help(const cli_plugin *plugin, FILE *out);

/* The last part of a path. */
const char *cli_plugin_name(const char *path);

#endif
