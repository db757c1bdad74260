/* Progress as bars that are redrawn in place: one line a phase, and one for the slowest or silent rank when it matters.
 *
 * The cursor always rests at the start of the line below the bars and is never hidden, so that whatever ends the
 * process, even SIGKILL, leaves the terminal in order. Each redraw is one write: no flicker, no half frames. */
#include "cli/render.h"
#include "cli/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_LINES = TQ_PHASES + 1,
    WIDEST = 110, /* a longer bar says no more */
    TAG = 8,
    PERCENT = 5,
    AMOUNT = 16,
    RATE = 11,
    TIME = 13, /* columns, with the blanks before them */
    FRAME_SIZE = 8192
};

/* The least width at which each column is worth its place. */
enum { WIDTH_RATE = 68, WIDTH_AMOUNT = 54, WIDTH_TIME = 34, WIDTH_BAR = 20 };

typedef struct frame {
    char text[FRAME_SIZE];
    size_t used;
    int columns; /* of the line that is being written, colours not counted */
} frame;

typedef struct bar_renderer {
    cli_renderer base;
    cli_screen screen;
    bool frozen;
    bool any; /* a snapshot has come */
    tq_progress last;
    cli_estimate estimate;
    double drawn_s; /* the run's seconds at the last drawing */
    int drawn_lines;
    int drawn_columns[MOST_LINES]; /* of each line on the screen */
} bar_renderer;

static const char green[] = "\033[32m", cyan[] = "\033[36m", yellow[] = "\033[33m", grey[] = "\033[90m",
                  plain[] = "\033[0m";

/* ---- Putting a frame together ------------------------------------------------------------------------------------ */

static void put(frame *f, const char *text)
{
    size_t length = strlen(text);
    if (f->used + length < FRAME_SIZE) {
        memcpy(f->text + f->used, text, length);
        f->used += length;
    }
}

static void put_columns(frame *f, const char *ascii)
{
    put(f, ascii);
    f->columns += (int)strlen(ascii);
}

static void put_cells(const bar_renderer *self, frame *f, int n, const char *colour, const char *utf8,
                      const char *ascii)
{
    if (n <= 0)
        return;
    if (self->screen.colour)
        put(f, colour);
    for (int i = 0; i < n; i++)
        put(f, self->screen.utf8 ? utf8 : ascii);
    if (self->screen.colour)
        put(f, plain);
    f->columns += n;
}

static void put_bar(const bar_renderer *self, frame *f, const tq_phase_progress *p, const cli_phase_estimate *e,
                    int width)
{
    const char *colour = p->finished ? green : cyan;
    int before = 0, full = (int)(e->fraction * width + 1e-9);
    if (!e->known) { /* a block that wanders, as long as nobody knows how much there is */
        full = width / 5;
        int way = width - full, step = way > 0 ? (int)(p->seconds * 4) % (2 * way) : 0;
        before = step < way ? step : 2 * way - step;
    }
    put_cells(self, f, before, grey, "\u2591", ".");
    put_cells(self, f, full, colour, "\u2588", "#");
    put_cells(self, f, width - before - full, grey, "\u2591", ".");
}

static void put_amount(frame *f, const tq_phase_progress *p, tq_phase phase)
{
    char amount[80], done[32], total[32], cell[96];
    if (p->finished && p->bytes > 0)
        cli_bytes(p->bytes, amount, sizeof amount);
    else if (p->finished)
        snprintf(amount, sizeof amount, "%s %s", cli_count(p->done, done, sizeof done), cli_phase_unit(phase));
    else if (cli_counts_bytes(phase) && p->bytes_total > 0)
        cli_bytes_of(p->bytes, p->bytes_total, amount, sizeof amount);
    else if (cli_counts_bytes(phase))
        cli_bytes(p->bytes, amount, sizeof amount);
    else if (p->done + p->not_done == 0)
        amount[0] = '\0';
    else
        snprintf(amount, sizeof amount, "%s/%s %s", cli_count(p->done, done, sizeof done),
                 cli_count(p->done + p->not_done, total, sizeof total), cli_phase_unit(phase));
    snprintf(cell, sizeof cell, " %*s", AMOUNT - 1, amount);
    put_columns(f, cell);
}

static void put_rate(frame *f, const cli_phase_estimate *e)
{
    char rate[32] = "", cell[64];
    if (e->per_s > 0 && e->rate_in_bytes)
        cli_rate(e->per_s, rate, sizeof rate);
    else if (e->per_s > 0)
        cli_count_rate(e->per_s, rate, sizeof rate);
    snprintf(cell, sizeof cell, " %*s", RATE - 1, rate);
    put_columns(f, cell);
}

static void put_time(frame *f, const tq_phase_progress *p, const cli_phase_estimate *e)
{
    char clock[32], text[48], cell[64];
    if (p->finished)
        snprintf(text, sizeof text, "%s", cli_elapsed(p->seconds, clock, sizeof clock));
    else if (e->left_s >= 0 && e->left_s < 100 * 3600)
        snprintf(text, sizeof text, "%s left", cli_clock(e->left_s, clock, sizeof clock));
    else
        snprintf(text, sizeof text, "%s", cli_clock(p->seconds, clock, sizeof clock));
    snprintf(cell, sizeof cell, " %*s", TIME - 1, text);
    put_columns(f, cell);
}

static void put_phase(const bar_renderer *self, frame *f, tq_phase phase, int width)
{
    const tq_phase_progress *p = &self->last.phases[phase];
    const cli_phase_estimate *e = &self->estimate.phase[phase];
    int fixed = TAG + PERCENT + (width >= WIDTH_AMOUNT ? AMOUNT : 0) + (width >= WIDTH_RATE ? RATE : 0) +
                (width >= WIDTH_TIME ? TIME : 0);
    char cell[32];
    snprintf(cell, sizeof cell, "%-*s", TAG, p->tag);
    put_columns(f, cell);
    if (width >= WIDTH_BAR)
        put_bar(self, f, p, e, width - fixed);
    if (e->known)
        snprintf(cell, sizeof cell, " %3d%%", (int)(100 * e->fraction));
    else
        snprintf(cell, sizeof cell, "%*s", PERCENT, "");
    put_columns(f, cell);
    if (width >= WIDTH_AMOUNT)
        put_amount(f, p, phase);
    if (width >= WIDTH_RATE)
        put_rate(f, e);
    if (width >= WIDTH_TIME)
        put_time(f, p, e);
}

static void put_trouble(const bar_renderer *self, frame *f, int width)
{
    char text[160];
    cli_find_trouble(&self->last, &self->estimate, text, sizeof text);
    if ((size_t)width < sizeof text)
        text[width] = '\0';
    if (self->screen.colour)
        put(f, yellow);
    put_columns(f, text);
    if (self->screen.colour)
        put(f, plain);
}

/* ---- The screen -------------------------------------------------------------------------------------------------- */

/* Move to the first line of the last frame. A terminal that became narrower has wrapped its lines meanwhile. */
static void put_home(bar_renderer *self, frame *f, int screen_columns)
{
    int up = 0;
    for (int i = 0; i < self->drawn_lines; i++)
        up += self->drawn_columns[i] > screen_columns ? (self->drawn_columns[i] + screen_columns - 1) / screen_columns
                                                      : 1;
    char move[16];
    if (up > 0) {
        snprintf(move, sizeof move, "\033[%dA\r", up);
        put(f, move);
    }
    self->drawn_lines = 0;
}

static void end_line(bar_renderer *self, frame *f)
{
    put(f, "\033[K\n");
    self->drawn_columns[self->drawn_lines++] = f->columns;
    f->columns = 0;
}

/* Draw everything anew, with note (size bytes, may be NULL) as a line above. only_finished: what is left for good. */
static void draw(bar_renderer *self, const char *note, size_t size, bool only_finished, bool with_trouble)
{
    frame f = {.used = 0};
    int columns, rows;
    cli_screen_size(&self->screen, &columns, &rows);
    int width = columns - 1 < WIDEST ? columns - 1 : WIDEST; /* the last column is where some terminals wrap early */
    bool erases = self->drawn_lines > 0;
    put_home(self, &f, columns);
    if (note != NULL) {
        if (erases)
            put(&f, "\033[J");
        cli_write_all(self->screen.fd, f.text, f.used);
        cli_write_line(self->screen.fd, note, size);
        f.used = 0;
    }
    for (int i = 0; i < TQ_PHASES && self->drawn_lines < rows - 1 && !self->frozen; i++) {
        const tq_phase_progress *p = &self->last.phases[i];
        if (!p->started || (only_finished && !p->finished))
            continue;
        put_phase(self, &f, (tq_phase)i, width);
        end_line(self, &f);
    }
    char text[160];
    if (with_trouble && !self->frozen && self->drawn_lines < rows - 1 &&
        cli_find_trouble(&self->last, &self->estimate, text, sizeof text) != TROUBLE_NONE) {
        put_trouble(self, &f, width);
        end_line(self, &f);
    }
    if (erases)
        put(&f, "\033[J");
    cli_write_all(self->screen.fd, f.text, f.used);
    self->drawn_s = self->last.seconds;
}

static bool is_drawn(const bar_renderer *self)
{
    return self->any && !self->frozen;
}

static void bar_update(cli_renderer *base, const tq_progress *progress, tq_phase phase, const cli_estimate *estimate)
{
    bar_renderer *self = (bar_renderer *)base;
    bool ended = self->any && progress->phases[phase].finished && !self->last.phases[phase].finished;
    self->any = true;
    self->last = *progress;
    self->estimate = *estimate;
    /* Reports of several phases come together: one drawing is enough for them, unless something ended. */
    bool due = self->drawn_lines == 0 || ended || progress->seconds - self->drawn_s >= 0.05 ||
               progress->seconds < self->drawn_s;
    if (is_drawn(self) && due)
        draw(self, NULL, 0, false, true);
}

static void bar_print(cli_renderer *base, const char *line, size_t size)
{
    bar_renderer *self = (bar_renderer *)base;
    if (is_drawn(self))
        draw(self, line, size, false, true);
    else
        cli_write_line(self->screen.fd, line, size);
}

static void bar_freeze(cli_renderer *base)
{
    bar_renderer *self = (bar_renderer *)base;
    if (self->drawn_lines > 0 && !self->frozen)
        draw(self, NULL, 0, true, false);
    self->frozen = true;
}

static void bar_finish(cli_renderer *base, bool succeeded)
{
    bar_renderer *self = (bar_renderer *)base;
    if (self->drawn_lines > 0 && !self->frozen)
        draw(self, NULL, 0, false, !succeeded);
    free(self);
}

cli_renderer *cli_render_bar(const cli_screen *screen)
{
    bar_renderer *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->base = (cli_renderer){.update = bar_update, .print = bar_print, .freeze = bar_freeze, .finish = bar_finish};
    self->screen = *screen;
    return &self->base;
}
