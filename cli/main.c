/* The tequio command: read the options, and then either become the launcher or run the job here. */
#include "cli/help.h"
#include "cli/launcher.h"
#include "cli/options.h"
#include "cli/plugin.h"
#include "cli/run.h"
#include "cli/screen.h"
#include "cli/stats.h"
#include "cli/world.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A file opened later must not become the standard output because that was closed. What takes the place of a closed
 * file refuses to be read or written, as the closed one would. */
static void open_standard_files(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) < 0)
            _exit(TQ_E_SYSTEM);
}

static int refuse(const cli_options *options, tq_status status, const char *why)
{
    const char *job = options->job != NULL ? options->job->name : "";
    if (cli_world_rank() != 0) /* all ranks were given the same command line */
        return (int)status;
    if (status == TQ_E_USAGE)
        cli_print_line(STDERR_FILENO, "tequio: %s (see tequio %s%s--help)", why, job, *job != '\0' ? " " : "");
    else
        cli_print_line(STDERR_FILENO, "tequio: %s", why);
    return (int)status;
}

static tq_status print_help(const cli_options *options)
{
    char text[2048];
    cli_plugin plugin;
    tq_error error;
    if (options->plugin == NULL) {
        if (options->job != NULL)
            cli_help_job(options->job, stdout);
        else
            cli_help(stdout);
        return TQ_OK;
    }
    if (cli_plugin_load(&plugin, options->plugin, &error) == TQ_OK)
        cli_plugin_help(&plugin, stdout);
    else
        cli_print_line(STDERR_FILENO, "tequio: %s", tq_error_text(&error, text, sizeof text));
    return error.status;
}

/* Help and version are for rank 0 to print, and a full disk is no success. */
static int print_and_exit(const cli_options *options)
{
    tq_status status = TQ_OK;
    if (cli_world_rank() != 0)
        return TQ_OK;
    if (options->help)
        status = print_help(options);
    else
        printf("tequio %s\n", tq_version());
    if (status != TQ_OK)
        return (int)status;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return TQ_OK;
    cli_print_line(STDERR_FILENO, "tequio: cannot write to the standard output: %s", strerror(errno));
    return TQ_E_OUTPUT;
}

/* Better now than after hours. Of several ranks none can tell for rank 0's host. */
static tq_status check_stats(const cli_options *options, bool launched, char *why, size_t size)
{
    if (options->stats == NULL)
        return TQ_OK;
    if (strcmp(options->stats, "-") == 0) {
        snprintf(why, size, "--stats takes a file, not -");
        return TQ_E_USAGE;
    }
    return launched ? TQ_OK : cli_stats_check(options->stats, why, size);
}

int main(int argc, char **argv)
{
    char why[512];
    cli_options options;
    open_standard_files();
    if (argc == 1) {
        cli_help(stderr);
        return TQ_E_USAGE;
    }
    int status;
    bool launched = cli_world_is_launched();
    tq_status parsed = cli_options_parse(argc, argv, &options, why, sizeof why);
    if (parsed != TQ_OK)
        status = refuse(&options, parsed, why);
    else if (options.help || options.version)
        status = print_and_exit(&options);
    else if (launched && options.ranks_typed)
        status =
            refuse(&options, TQ_E_USAGE, "mpirun or srun has started the ranks already: leave out -n and --hostfile");
    else if ((parsed = check_stats(&options, launched, why, sizeof why)) != TQ_OK)
        status = refuse(&options, parsed, why);
    else if (!launched && (options.ranks > 0 || options.hostfile != NULL))
        status = cli_launch(&options);
    else
        status = cli_run(&options);
    cli_options_free(&options);
    return status;
}
