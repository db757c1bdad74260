#include "cli/progress.h"
#include "cli/render.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* When nobody asked for progress, a log stays empty if the run is over soon, and has ever rarer lines if not. */
static const double hold_lines_s = 2, rarest_lines_s = 60;

struct cli_progress {
    pthread_mutex_t lock; /* guards all below */
    cli_renderer *renderer;
    bool draws;
    cli_estimate estimate;
    tq_progress last;
    tq_phase last_phase;
    bool any;
    struct timespec last_at; /* when the last snapshot came */
};

static double seconds_since(const struct timespec *then)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + 1e-9 * (double)(now.tv_nsec - then->tv_nsec);
}

static cli_renderer *choose(const cli_options *options, bool *draws)
{
    cli_screen screen = cli_screen_detect(STDERR_FILENO);
    cli_progress_mode mode = (cli_progress_mode)options->progress;
    bool asked = mode != PROGRESS_AUTO;
    bool cannot_draw = isatty(STDERR_FILENO) == 1 && !screen.terminal; /* TERM=dumb */
    /* Where the user types, bars would be drawn into the text. */
    bool types = isatty(STDIN_FILENO) == 1 && cli_options_read_stdin(options);
    if (mode == PROGRESS_AUTO)
        mode = screen.terminal && !types ? PROGRESS_BAR : PROGRESS_LINES;
    if (mode == PROGRESS_BAR && cannot_draw)
        mode = PROGRESS_LINES;
    *draws = mode == PROGRESS_BAR;
    if (mode == PROGRESS_JSON)
        return cli_render_json(&screen);
    if (mode == PROGRESS_BAR)
        return cli_render_bar(&screen);
    if (options->interval_given) {
        double first_s = asked || options->interval_s > hold_lines_s ? options->interval_s : hold_lines_s;
        return cli_render_lines(&screen, first_s, options->interval_s, asked);
    }
    return cli_render_lines(&screen, hold_lines_s, rarest_lines_s, asked);
}

tq_status cli_progress_open(const cli_options *options, cli_progress **progress)
{
    *progress = NULL;
    if (options->quiet || options->progress == PROGRESS_NONE)
        return TQ_OK;
    cli_progress *created = calloc(1, sizeof *created);
    if (created == NULL)
        return TQ_E_MEMORY;
    created->renderer = choose(options, &created->draws);
    if (created->renderer == NULL) {
        free(created);
        return TQ_E_MEMORY;
    }
    pthread_mutex_init(&created->lock, NULL);
    *progress = created;
    return TQ_OK;
}

bool cli_progress_draws(const cli_progress *progress)
{
    return progress != NULL && progress->draws;
}

void cli_progress_update(cli_progress *progress, const tq_progress *snapshot, tq_phase phase)
{
    if (progress == NULL || phase < 0 || phase >= TQ_PHASES)
        return;
    pthread_mutex_lock(&progress->lock);
    progress->last = *snapshot;
    progress->last_phase = phase;
    progress->any = true;
    clock_gettime(CLOCK_MONOTONIC, &progress->last_at);
    cli_estimate_update(&progress->estimate, snapshot);
    progress->renderer->update(progress->renderer, snapshot, phase, &progress->estimate);
    pthread_mutex_unlock(&progress->lock);
}

void cli_progress_tick(cli_progress *progress, int silent_rank)
{
    if (progress == NULL)
        return;
    pthread_mutex_lock(&progress->lock);
    /* A phase that is over has had its last report: it must not be repeated. */
    if (progress->any && !progress->last.phases[progress->last_phase].finished) {
        tq_progress aged = progress->last;
        double age = seconds_since(&progress->last_at);
        aged.seconds += age;
        if (age > aged.silent_s) {
            aged.silent_s = age;
            aged.silent_rank = silent_rank;
        }
        if (progress->draws)
            progress->renderer->update(progress->renderer, &aged, progress->last_phase, &progress->estimate);
    }
    pthread_mutex_unlock(&progress->lock);
}

void cli_progress_print(cli_progress *progress, const char *line, size_t size)
{
    if (progress == NULL) {
        cli_write_line(STDERR_FILENO, line, size);
        return;
    }
    pthread_mutex_lock(&progress->lock);
    progress->renderer->print(progress->renderer, line, size);
    pthread_mutex_unlock(&progress->lock);
}

void cli_progress_freeze(cli_progress *progress)
{
    if (progress == NULL)
        return;
    pthread_mutex_lock(&progress->lock);
    progress->renderer->freeze(progress->renderer);
    pthread_mutex_unlock(&progress->lock);
}

void cli_progress_close(cli_progress *progress, bool succeeded)
{
    if (progress == NULL)
        return;
    progress->renderer->finish(progress->renderer, succeeded);
    pthread_mutex_destroy(&progress->lock);
    free(progress);
}
