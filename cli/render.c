#include "cli/render.h"
#include <stdio.h>

static const double silence_s = 5;      /* several heartbeats: a rank reports at least each interval */
static const double patience_s = 3;     /* at first, ranks differ by where they started */
static const double behind_share = 0.7; /* of what the others have done */

const char *cli_phase_unit(tq_phase phase)
{
    static const char *const units[TQ_PHASES] = {[TQ_PHASE_MAP] = "splits",
                                                 [TQ_PHASE_SHUFFLE] = "bytes",
                                                 [TQ_PHASE_REDUCE] = "parts",
                                                 [TQ_PHASE_WRITE] = "rows"};
    return units[phase];
}

const char *cli_trouble(const tq_progress *progress, const cli_estimate *estimate, char *text, size_t size)
{
    text[0] = '\0';
    if (progress->silent_s >= silence_s && progress->silent_rank >= 0) {
        snprintf(text, size, "rank %d has been silent for %.0f s", progress->silent_rank, progress->silent_s);
        return text;
    }
    if (progress->phase >= TQ_PHASES || progress->ranks < 2)
        return text;
    const tq_phase_progress *p = &progress->phases[progress->phase];
    double total = (double)p->slowest_done + (double)p->slowest_not_done;
    if (!p->started || p->finished || p->slowest_rank < 0 || p->seconds < patience_s || total <= 0)
        return text;
    double own = (double)p->slowest_done / total;
    double all = estimate->phase[progress->phase].fraction;
    if (own < behind_share * all)
        snprintf(text, size, "rank %d is behind in %s: %.0f%% of its %s, all together %.0f%%", p->slowest_rank, p->tag,
                 100 * own, cli_phase_unit(progress->phase), 100 * all);
    return text;
}
