/* Progress as plain lines, for logs: few of them, each complete in itself. */
#include "cli/render.h"
#include "cli/units.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct lines_renderer {
    cli_renderer base;
    int fd;
    double first_s, most_s, interval_s;
    bool every_end;
    double next_s[TQ_PHASES]; /* when the phase may have its next line, in the run's seconds */
    double next_trouble_s[TROUBLES]; /* the same for each kind of trouble */
    bool ended[TQ_PHASES];
    bool printed;
    tq_progress last;
} lines_renderer;

static void append(char *text, size_t size, size_t *used, const char *separator, const char *what)
{
    if (what[0] != '\0' && *used < size)
        *used += (size_t)snprintf(text + *used, size - *used, "%s%s", separator, what);
}

/* "1.2/1.9 GiB", "12/64 parts", "830 MiB" */
static void amount_of(const tq_phase_progress *p, tq_phase phase, char *text, size_t size)
{
    char done[32], total[32];
    if (cli_counts_bytes(phase) && p->bytes_total > 0 && !p->finished)
        cli_bytes_of(p->bytes, p->bytes_total, text, size);
    else if (cli_counts_bytes(phase) || (p->bytes > 0 && p->finished))
        cli_bytes(p->bytes, text, size);
    else if (p->finished)
        snprintf(text, size, "%s %s", cli_count(p->done, done, sizeof done), cli_phase_unit(phase));
    else
        snprintf(text, size, "%s/%s %s", cli_count(p->done, done, sizeof done),
                 cli_count(p->done + p->not_done, total, sizeof total), cli_phase_unit(phase));
}

static void rate_of(const cli_phase_estimate *e, char *text, size_t size)
{
    text[0] = '\0';
    if (e->per_s > 0 && e->rate_in_bytes)
        cli_rate(e->per_s, text, size);
    else if (e->per_s > 0)
        cli_count_rate(e->per_s, text, size);
}

static void print_running(lines_renderer *self, const tq_progress *progress, tq_phase phase,
                          const cli_phase_estimate *e)
{
    const tq_phase_progress *p = &progress->phases[phase];
    char line[512], part[128], clock[32];
    size_t used = (size_t)snprintf(line, sizeof line, "tequio: %s", p->tag);
    if (e->known) {
        snprintf(part, sizeof part, "%.0f%%", 100 * e->fraction);
        append(line, sizeof line, &used, " ", part);
    }
    amount_of(p, phase, part, sizeof part);
    append(line, sizeof line, &used, e->known ? ", " : " ", part);
    rate_of(e, part, sizeof part);
    append(line, sizeof line, &used, ", ", part);
    if (e->left_s >= 0)
        snprintf(part, sizeof part, "%s left", cli_clock(e->left_s, clock, sizeof clock));
    else
        snprintf(part, sizeof part, "after %s", cli_elapsed(p->seconds, clock, sizeof clock));
    append(line, sizeof line, &used, ", ", part);
    cli_print_line(self->fd, "%s", line);
    self->printed = true;
}

static void print_end(lines_renderer *self, const tq_progress *progress, tq_phase phase, const cli_phase_estimate *e)
{
    const tq_phase_progress *p = &progress->phases[phase];
    char amount[128], rate[32], elapsed[32];
    amount_of(p, phase, amount, sizeof amount);
    rate_of(e, rate, sizeof rate);
    cli_print_line(self->fd, "tequio: %s done, %s in %s%s%s", p->tag, amount,
                   cli_elapsed(p->seconds, elapsed, sizeof elapsed), rate[0] != '\0' ? ", " : "", rate);
    self->printed = true;
}

static void print_trouble(lines_renderer *self, const tq_progress *progress, const cli_estimate *estimate)
{
    char text[160];
    cli_trouble trouble = cli_find_trouble(progress, estimate, text, sizeof text);
    if (trouble == TROUBLE_NONE || progress->seconds < self->next_trouble_s[trouble])
        return;
    cli_print_line(self->fd, "tequio: %s", text);
    self->next_trouble_s[trouble] = progress->seconds + self->most_s;
    self->printed = true;
}

static void lines_update(cli_renderer *base, const tq_progress *progress, tq_phase phase, const cli_estimate *estimate)
{
    lines_renderer *self = (lines_renderer *)base;
    const tq_phase_progress *p = &progress->phases[phase];
    self->last = *progress;
    if (p->finished && !self->ended[phase]) {
        self->ended[phase] = true;
        if (self->every_end)
            print_end(self, progress, phase, &estimate->phase[phase]);
    }
    print_trouble(self, progress, estimate);
    /* Without a line for each end, only the phase that all wait for is worth one while it runs, and they share their
     * turns. */
    bool matters = self->every_end || phase == progress->phase;
    double *next_s = &self->next_s[self->every_end ? phase : 0];
    if (!p->started || p->finished || !matters || progress->seconds < *next_s || progress->seconds < self->first_s)
        return;
    print_running(self, progress, phase, &estimate->phase[phase]);
    self->interval_s = self->interval_s * 2 < self->most_s ? self->interval_s * 2 : self->most_s;
    *next_s = progress->seconds + self->interval_s;
}

static void lines_print(cli_renderer *base, const char *line, size_t size)
{
    cli_write_line(((lines_renderer *)base)->fd, line, size);
}

static void lines_freeze(cli_renderer *base)
{
    (void)base;
}

/* "tequio: done in 8.0 s: map 6.1 s (1.9 GiB), shuffle 0.4 s, ..." */
static void print_summary(lines_renderer *self)
{
    char line[512], part[96], elapsed[32], bytes[32];
    size_t used = (size_t)snprintf(line, sizeof line, "tequio: done in %s",
                                   cli_elapsed(self->last.seconds, elapsed, sizeof elapsed));
    const char *separator = ": ";
    for (int i = 0; i < TQ_PHASES; i++) {
        const tq_phase_progress *p = &self->last.phases[i];
        if (!p->started)
            continue;
        cli_elapsed(p->seconds, elapsed, sizeof elapsed);
        if (p->bytes > 0)
            snprintf(part, sizeof part, "%s %s (%s)", p->tag, elapsed, cli_bytes(p->bytes, bytes, sizeof bytes));
        else
            snprintf(part, sizeof part, "%s %s", p->tag, elapsed);
        append(line, sizeof line, &used, separator, part);
        separator = ", ";
    }
    cli_print_line(self->fd, "%s", line);
}

static void lines_finish(cli_renderer *base, bool succeeded)
{
    lines_renderer *self = (lines_renderer *)base;
    if (succeeded && !self->every_end && (self->printed || self->last.seconds >= self->first_s))
        print_summary(self);
    free(self);
}

cli_renderer *cli_render_lines(const cli_screen *screen, double first_s, double most_s, bool every_end)
{
    lines_renderer *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->base =
        (cli_renderer){.update = lines_update, .print = lines_print, .freeze = lines_freeze, .finish = lines_finish};
    self->fd = screen->fd;
    self->first_s = first_s;
    self->most_s = most_s;
    self->interval_s = first_s < most_s ? first_s : most_s;
    self->every_end = every_end;
    return &self->base;
}
