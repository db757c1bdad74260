#include "cli/run.h"
#include "cli/crash.h"
#include "cli/link.h"
#include "cli/plugin.h"
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
/* A plug-in that does not return keeps a run from ending that all ranks want to end: so long until that is said, and until
 * the run ends without it. */
static const double say_stuck_s = 1, give_up_s = 1.5;
/* What is worth a word at the end: a run of so many seconds, a rank or a partition with so many times the mean. */
static const double notable_run_s = 2, notable_load = 1.25, notable_heat = 4;

typedef struct run {
    jobs_context context; /* of a built-in job, */
    void *user;           /* which is described, if this is not NULL: its user pointer then; */
    cli_plugin plugin;    /* or where the job comes from */
    int exit_code;        /* of a job that ended well */
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

static void say_for_job(const char *line, size_t size, void *user)
{
    run *r = user;
    if (!r->options->quiet)
        cli_progress_print(r->progress, line, size);
}

/* A plug-in's compare is what it means by the order of its rows. */
static tq_order order_of(const cli_options *options, const tq_job *job)
{
    if (options->top == 0 && options->sort == SORT_NONE)
        return TQ_ORDER_NONE;
    return job->compare != NULL ? TQ_ORDER_USER : options->top > 0 ? TQ_ORDER_VALUE_DESC : TQ_ORDER_KEY;
}

/* What the command is asked for: a plug-in has no say in that. */
static void fill_in(run *r, tq_job *job)
{
    const cli_options *options = r->options;
    job->abi = TQ_JOB_ABI;
    job->name = options->plugin != NULL ? cli_plugin_name(options->plugin) : options->job->name;
    job->inputs = options->inputs;
    job->n_inputs = options->n_inputs;
    job->recursive = options->recursive;
    job->split_bytes = options->split_bytes;
    job->order = order_of(options, job);
    job->limit = (uint64_t)options->top;
    job->output = writes_stdout(options) ? TQ_OUTPUT_FD : TQ_OUTPUT_FILE;
    job->output_path = options->output;
    job->output_fd = r->relayed ? r->relay_to : STDOUT_FILENO;
    job->format = options->format == FORMAT_JSON ? TQ_JSON : TQ_TEXT;
    job->round_bytes = options->round_bytes;
    job->memory_bytes = options->memory_bytes;
    job->tmpdir = options->tmpdir;
    job->spill_bytes = options->spill_bytes;
    job->decompress = (tq_decompress)options->decompress;
    job->spill_compression = (tq_compression)options->spill_compression;
    job->interval_s = options->interval_s;
    job->progress = NULL;
    job->on_snapshot = on_snapshot;
    job->progress_user = r;
}

static tq_status describe_plugin(run *r, tq_job *job, tq_error *error)
{
    const jobs_run_settings *settings = r->options->settings;
    tq_process process = {r->rank, tq_cluster_size(r->cluster), tq_cluster_threads(r->cluster)};
    tq_status status = cli_plugin_load(&r->plugin, r->options->plugin, error);
    if (status == TQ_OK)
        status = cli_plugin_describe(&r->plugin, &settings->set, &process, job, error);
    fill_in(r, job);
    return status;
}

/* What the job does it says itself: a built-in one may look at what is asked for. */
static tq_status describe(run *r, tq_job *job, tq_error *error)
{
    const cli_options *options = r->options;
    if (options->plugin != NULL)
        return describe_plugin(r, job, error);
    fill_in(r, job);
    job->user = &r->context;
    if (options->job->describe(job, options->settings, error->message, sizeof error->message))
        r->user = job->user;
    else
        error->status = TQ_E_USAGE;
    return error->status;
}

/* No function of the job is called any more. */
static void end_job(run *r, const tq_stats *stats)
{
    const jobs_entry *job = r->options->job;
    int code = r->user != NULL && job->end != NULL ? job->end(r->user, stats) : 0;
    r->exit_code = stats != NULL ? code : 0;
    cli_plugin_end(&r->plugin);
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

/* "tequio: job.so has not returned from byte 4096 of notes.txt on rank 1" */
static void say_stuck(const run *r, const tq_future *future)
{
    tq_progress progress;
    const tq_still *still = &progress.still;
    const char *name = cli_plugin_name(r->options->plugin);
    if (tq_job_progress(future, &progress) != TQ_OK || still->rank < 0)
        return;
    if (still->phase == TQ_PHASE_MAP)
        cli_print_line(STDERR_FILENO, "tequio: %s has not returned from byte %llu of %s on rank %d", name,
                       (unsigned long long)still->offset, still->file, still->rank);
    else if (still->phase == TQ_PHASE_WRITE)
        cli_print_line(STDERR_FILENO, "tequio: %s has not returned from ordering or writing a row on rank %d", name, still->rank);
    else
        cli_print_line(STDERR_FILENO, "tequio: %s has not returned from reducing partition %llu on rank %d", name,
                       (unsigned long long)still->offset, still->rank);
}

/* On rank 0, of a plug-in: how long the job has been ending. Says so once. */
static double ending_s(const run *r, const tq_future *future, double began_s, tq_error *error)
{
    if (r->options->plugin == NULL || r->rank != 0 || tq_job_error(future, error) != TQ_E_AGAIN ||
        error->status == TQ_OK)
        return 0;
    double after_s = began_s + look_s;
    if (began_s < say_stuck_s && after_s >= say_stuck_s)
        say_stuck(r, future);
    return after_s;
}

/* Wait until the job is done, and cancel it if a signal comes. False: the plug-in keeps it from ending, for the reason in
 * error. */
static bool wait_for(const run *r, tq_future *future, tq_error *error)
{
    bool asked = false;
    double waited_s = 0;
    while (tq_future_wait(future, r->rank == 0 ? look_s : look_other_s) == TQ_E_TIMEOUT) {
        if (!asked && cli_signals_caught())
            asked = tq_future_cancel(future);
        waited_s = ending_s(r, future, waited_s, error);
        if (waited_s > give_up_s)
            return false;
    }
    return true;
}

/* The job's worker cannot be stopped, so the process goes with it. mpirun ends the other ranks. */
static _Noreturn void give_up(run *r, const tq_error *error)
{
    cli_progress_freeze(r->progress);
    say(r, error);
    if (r->launched)
        cli_link_send_end((int)error->status);
    _exit((int)error->status);
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

/* Records that were passed over are no error, but nobody should have to ask for them. */
static void say_bad(const run *r, const tq_future *future)
{
    const tq_stats *stats = tq_job_stats(future);

    if (r->options->quiet || stats == NULL || stats->bad_records == 0)
        return;
    bool some = stats->bad_records > stats->n_bad;
    cli_print_line(STDERR_FILENO, "tequio: %llu bad record%s passed over%s", (unsigned long long)stats->bad_records,
                   stats->bad_records == 1 ? " was" : "s were", some ? "; the first:" : ":");
    for (size_t i = 0; i < stats->n_bad; i++)
        cli_print_line(STDERR_FILENO, "%s:%llu: %s", stats->bad[i].file, (unsigned long long)stats->bad[i].offset,
                       stats->bad[i].reason);
}

static void run_job(run *r, tq_error *error)
{
    tq_job job = TQ_JOB_INIT;
    tq_future *future =
        describe(r, &job, error) == TQ_OK ? tq_submit(r->cluster, &job) : tq_submit_failure(r->cluster, error);
    if (!wait_for(r, future, error))
        give_up(r, error);
    tq_status status = tq_future_status(future);
    tq_job_error(future, error);
    if (error->status != status) /* there is no more to know: a future without memory, say */
        *error = (tq_error){.status = status, .rank = -1};
    write_stats(r, future, error);
    if (error->status == TQ_OK) {
        say_bad(r, future);
        say_skew(r, future);
    }
    end_job(r, error->status == TQ_OK ? tq_job_stats(future) : NULL);
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
    if (r->options->plugin != NULL) {
        cluster_options.worker_init = cli_crash_begin_worker;
        cluster_options.worker_exit = cli_crash_end_worker;
    }
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
    if (error->status == TQ_OK && r->options->plugin != NULL)
        cli_crash_catch(cli_plugin_name(r->options->plugin), tq_cluster_rank(r->cluster));
    return error->status;
}

int cli_run(const cli_options *options)
{
    run r = {.context = {.settings = options->settings, .say = say_for_job, .say_user = &r},
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
    int status = error.status == TQ_OK ? r.exit_code : (int)error.status;
    if (status == TQ_E_OUTPUT && is_output_gone(options))
        status = CLI_STATUS_PIPE;
    /* The launcher knows the status from rank 0. To mpirun the run ended well in any case: a rank that ends with
     * another code makes it kill the rest and wait for that, which takes a second or two. */
    int exit_status = r.launched ? TQ_OK : status;
    cli_signals_settle(exit_status);
    cli_crash_settle();
    if (r.rank == 0 && error.status != TQ_OK && status != CLI_STATUS_PIPE)
        say(&r, &error);
    if (r.rank == 0 && r.launched)
        cli_link_send_end(status);
    tq_cluster_close(r.cluster);
    return exit_status;
}
