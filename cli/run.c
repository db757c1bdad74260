#include "cli/run.h"
#include "cli/link.h"
#include "cli/progress.h"
#include "cli/pump.h"
#include "cli/signals.h"
#include "cli/stats.h"
#include "cli/units.h"
#include "cli/world.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Between looks at the signal flag. Rank 0 is told of a signal to the run like the others, and cancels for all. */
static const double look_s = 0.05, look_other_s = 0.25;
/* What is worth a word at the end: a run of so many seconds, a rank or a partition with so many times the mean. */
static const double notable_run_s = 2, notable_load = 1.25, notable_heat = 4;

typedef struct run {
    jobs_context context; /* first: the job's user pointer, for its own functions and for our callback */
    const cli_options *options;
    tq_cluster *cluster;
    cli_progress *progress;
    int rank;
    bool launched; /* there is a launcher, which shows the progress */
    bool relayed;  /* what the job writes comes through a pipe, so that bars stop before it appears */
    int relay_from, relay_to;
    pthread_t relay;
} run;

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

static void say(const run *r, const tq_error *error)
{
    char text[2048];
    if (error->status == TQ_E_CANCELLED && r->launched)
        return; /* the launcher says so, also when the ranks cannot */
    if (error->status == TQ_E_CANCELLED)
        cli_print_line(STDERR_FILENO, "tequio: cancelled");
    else
        cli_print_line(STDERR_FILENO, "tequio: %s", tq_error_text(error, text, sizeof text));
}

/* Opening failed, and nobody may know the ranks yet. What all see alike is told by rank 0 alone. */
static int fail_to_open(const run *r, const tq_error *error)
{
    bool is_everywhere = error->status == TQ_E_USAGE || (error->rank >= 0 && error->rank != r->rank);
    if (r->rank == 0 || !is_everywhere)
        say(r, error);
    if (r->launched && r->rank == 0)
        cli_link_send_end((int)error->status);
    return (int)error->status;
}

/* ---- The job ----------------------------------------------------------------------------------------------------- */

static bool writes_stdout(const cli_options *options)
{
    return options->output == NULL || strcmp(options->output, "-") == 0;
}

/* On the library's notifier thread of rank 0. Without worker threads the job runs inside tq_submit, and this is the
 * only place that sees a signal in time. */
static int on_snapshot(const tq_progress *progress, tq_phase phase, void *user)
{
    run *r = user;
    cli_progress_update(r->progress, progress, phase);
    if (r->launched && !r->options->quiet && r->options->progress != PROGRESS_NONE)
        cli_link_send_snapshot(progress, phase);
    return cli_signals_caught();
}

static bool describe(run *r, tq_job *job, char *why, size_t size)
{
    const cli_options *options = r->options;
    job->name = options->job->name;
    job->inputs = options->inputs;
    job->n_inputs = options->n_inputs;
    job->recursive = options->recursive;
    job->split_bytes = options->split_bytes;
    job->order = options->top > 0 ? TQ_ORDER_VALUE_DESC : options->sort == SORT_NONE ? TQ_ORDER_NONE : TQ_ORDER_KEY;
    job->limit = (uint64_t)options->top;
    job->output = writes_stdout(options) ? TQ_OUTPUT_FD : TQ_OUTPUT_FILE;
    job->output_path = options->output;
    job->output_fd = r->relayed ? r->relay_to : STDOUT_FILENO;
    job->format = options->format == FORMAT_JSON ? TQ_JSON : TQ_TEXT;
    job->round_bytes = options->round_bytes;
    job->memory_bytes = options->memory_bytes;
    job->tmpdir = options->tmpdir;
    job->spill_bytes = options->spill_bytes;
    job->spill_compression = (tq_compression)options->spill_compression;
    job->interval_s = options->interval_s;
    job->on_snapshot = on_snapshot;
    job->user = r;
    return options->job->describe(job, options->settings, why, size);
}

/* ---- The way of the result to the terminal ----------------------------------------------------------------------- */

static void stop_bars(void *user)
{
    cli_progress_freeze(user);
}

static void *relay_main(void *user)
{
    run *r = user;
    cli_pump_run(r->relay_from, STDOUT_FILENO, stop_bars, r->progress);
    return NULL;
}

static void open_relay(run *r)
{
    struct stat file;
    int ends[2];
    bool is_regular = fstat(STDOUT_FILENO, &file) == 0 && S_ISREG(file.st_mode);
    if (!cli_progress_draws(r->progress) || is_regular || !writes_stdout(r->options) || pipe2(ends, O_CLOEXEC) != 0)
        return;
    r->relay_from = ends[0];
    r->relay_to = ends[1];
    r->relayed = pthread_create(&r->relay, NULL, relay_main, r) == 0;
    if (!r->relayed) {
        close(ends[0]);
        close(ends[1]);
    }
}

static void close_relay(run *r)
{
    if (!r->relayed)
        return;
    close(r->relay_to);
    pthread_join(r->relay, NULL);
    close(r->relay_from);
    r->relayed = false;
}

/* The reader of our standard output went away (`| head`), which is no error worth a word. */
static bool is_output_gone(const cli_options *options)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return writes_stdout(options) && poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

/* ---- From submitting to the end ---------------------------------------------------------------------------------- */

static void wait_for(tq_future *future, bool is_rank_0)
{
    bool asked = false;
    while (tq_future_wait(future, is_rank_0 ? look_s : look_other_s) == TQ_E_TIMEOUT)
        if (!asked && cli_signals_caught())
            asked = tq_future_cancel(future);
}

static void write_stats(const run *r, const tq_future *future, tq_error *error)
{
    const tq_stats *stats = tq_job_stats(future);
    if (r->options->stats == NULL || stats == NULL || error->status != TQ_OK)
        return;
    error->status = cli_stats_write(r->options, r->cluster, stats, error->message, sizeof error->message);
}

/* At the end of a run of some length: who had more to do than others, and where it came from. */
static void say_skew(const run *r, const tq_future *future)
{
    const tq_stats *stats = tq_job_stats(future);
    uint64_t bytes = 0;
    char hottest[32];

    if (r->options->quiet || stats == NULL || stats->seconds < notable_run_s || stats->partitions == 0)
        return;
    for (int i = 0; i < stats->ranks; i++)
        bytes += stats->rank[i].bytes[TQ_PHASE_SHUFFLE];
    double hot = bytes ? (double)stats->hottest_bytes * (double)stats->partitions / (double)bytes : 1;
    if (stats->ranks > 1 && stats->load_max_over_mean >= notable_load)
        fprintf(stderr, "tequio: rank %d had %.1f times the mean to reduce\n", stats->load_max_rank,
                stats->load_max_over_mean);
    if (hot >= notable_heat)
        fprintf(stderr, "tequio: partition %d, on rank %d, is hot: %s, %.1f times the mean\n", stats->hottest_partition,
                stats->hottest_rank, cli_bytes(stats->hottest_bytes, hottest, sizeof hottest), hot);
}

static void run_job(run *r, tq_error *error)
{
    tq_job job = TQ_JOB_INIT;
    if (!describe(r, &job, error->message, sizeof error->message)) {
        error->status = TQ_E_USAGE;
        return;
    }
    tq_future *future = tq_submit(r->cluster, &job);
    wait_for(future, r->rank == 0);
    tq_status status = tq_future_status(future);
    tq_job_error(future, error);
    if (error->status != status) /* there is no more to know: a future without memory, say */
        *error = (tq_error){.status = status, .rank = -1};
    write_stats(r, future, error);
    if (error->status == TQ_OK)
        say_skew(r, future);
    tq_future_release(future); /* no callback runs after this */
}

/* What a signal's handler says when it must end the process by itself. */
static const char *last_words(const run *r)
{
    if (r->launched || r->rank != 0)
        return "";
    return cli_world_is_launched() ? "tequio: stopped by a signal, and the other ranks did not answer\n"
                                   : "tequio: cancelled\n";
}

static tq_status prepare(run *r, tq_error *error)
{
    tq_cluster_options cluster_options = TQ_CLUSTER_OPTIONS_INIT;
    bool many = cli_world_is_launched();
    if (r->options->threads != OPTION_AUTO)
        cluster_options.threads = (int)r->options->threads;
    if (r->launched && r->rank == 0)
        cli_link_take_files();
    if (!many)
        cli_signals_install(last_words(r));
    error->status = tq_cluster_open(&cluster_options, &r->cluster, error);
    /* While MPI starts, which takes long, a signal just ends a rank. One process dies of a broken pipe as any other
     * does; a rank must not, be it by a socket of MPI's. */
    if (many) {
        cli_signals_install(last_words(r));
        signal(SIGPIPE, SIG_IGN);
    }
    return error->status;
}

int cli_run(const cli_options *options)
{
    run r = {.context = {.settings = options->settings},
             .options = options,
             .rank = cli_world_rank(),
             .launched = cli_link_exists() && cli_world_is_launched()};
    tq_error error = {.status = TQ_OK, .rank = -1};
    if (prepare(&r, &error) != TQ_OK)
        return fail_to_open(&r, &error);
    r.rank = tq_cluster_rank(r.cluster);
    if (r.rank == 0 && r.launched)
        cli_link_send_hello();
    else if (r.rank == 0)
        cli_progress_open(options, &r.progress); /* without memory for it: no progress */
    open_relay(&r);
    run_job(&r, &error);
    close_relay(&r);
    cli_progress_close(r.progress, error.status == TQ_OK);
    int status = (int)error.status;
    if (status == TQ_E_OUTPUT && is_output_gone(options))
        status = CLI_STATUS_PIPE;
    /* The launcher knows the status from rank 0. To mpirun the run ended well in any case: a rank that ends with
     * another code makes it kill the rest and wait for that, which takes a second or two. */
    int exit_status = r.launched ? TQ_OK : status;
    cli_signals_settle(exit_status);
    if (r.rank == 0 && status != TQ_OK && status != CLI_STATUS_PIPE)
        say(&r, &error);
    if (r.rank == 0 && r.launched)
        cli_link_send_end(status);
    tq_cluster_close(r.cluster);
    return exit_status;
}
