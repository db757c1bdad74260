/* The three ways to show progress, behind one interface. progress.c feeds a renderer with snapshots, one thread at a
 * time; what is drawn depends on the snapshots (their clock included) and on the screen's size alone, so tests can
 * compare it. */
#ifndef CLI_RENDER_H
#define CLI_RENDER_H

#include "cli/estimate.h"
#include "cli/screen.h"

typedef struct cli_renderer cli_renderer;

struct cli_renderer {
    /* A new snapshot: a report about phase. */
    void (*update)(cli_renderer *self, const tq_progress *progress, tq_phase phase, const cli_estimate *estimate);
    /* Print somebody else's line (size bytes, no newline at its end) so that it disturbs nothing. */
    void (*print)(cli_renderer *self, const char *line, size_t size);
    /* Something else will be written on the terminal from now on: leave what is finished, draw no more. */
    void (*freeze)(cli_renderer *self);
    /* The run is over; nothing is called after this. Frees self. */
    void (*finish)(cli_renderer *self, bool succeeded);
};

/* Bars, redrawn in place. Each of these three returns NULL without memory. */
cli_renderer *cli_render_bar(const cli_screen *screen);

/* Plain lines. The first one comes after first_s seconds, then each time after twice as long, up to most_s (equal
 * numbers: a steady interval). With every_end each phase has a line when it ends; otherwise a run that printed
 * anything, or took longer than first_s, ends with one line about all phases. */
cli_renderer *cli_render_lines(const cli_screen *screen, double first_s, double most_s, bool every_end);

/* One JSON object a line, for each report. */
cli_renderer *cli_render_json(const cli_screen *screen);

/* What a phase counts when it does not count bytes: "splits", "parts", "rows". */
const char *cli_phase_unit(tq_phase phase);

/* What may keep a run from getting on. */
typedef enum cli_trouble {
    TROUBLE_NONE,
    TROUBLE_SILENT, /* a rank sends no sign of life */
    TROUBLE_STILL,  /* a worker does not return from the job's own code */
    TROUBLE_BEHIND, /* a rank is slower than the others */
    TROUBLES
} cli_trouble;

/* The gravest of these that matters, as one line in text; "" if none does. */
cli_trouble cli_find_trouble(const tq_progress *progress, const cli_estimate *estimate, char *text, size_t size);

#endif
