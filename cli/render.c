#include "cli/render.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const double silence_s = 5;   /* several heartbeats: a rank reports at least each interval */
static const double stillness_s = 5; /* most records take microseconds */
static const size_t longest_path = 60;
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

/* "rank 1 has stood still for 12 s at byte 4096 of ...s/notes.txt": a worker of it has. */
static void describe_still(const tq_progress *progress, char *text, size_t size)
{
    const tq_still *still = &progress->still;
    char who[32] = "a worker";
    size_t length = strlen(still->file), cut = length > longest_path ? length - longest_path : 0;
    if (progress->ranks > 1)
        snprintf(who, sizeof who, "rank %d", still->rank);
    if (still->phase == TQ_PHASE_MAP)
        snprintf(text, size, "%s has stood still for %.0f s at byte %" PRIu64 " of %s%s", who, still->seconds,
                 still->offset, cut > 0 ? "..." : "", still->file + cut);
    else if (still->phase == TQ_PHASE_WRITE)
        snprintf(text, size, "%s has stood still for %.0f s ordering or writing a row", who, still->seconds);
    else
        snprintf(text, size, "%s has stood still for %.0f s reducing partition %" PRIu64, who, still->seconds,
                 still->offset);
}

cli_trouble cli_find_trouble(const tq_progress *progress, const cli_estimate *estimate, char *text, size_t size)
{
    text[0] = '\0';
    if (progress->silent_s >= silence_s && progress->silent_rank >= 0) {
        snprintf(text, size, "rank %d has been silent for %.0f s", progress->silent_rank, progress->silent_s);
        return TROUBLE_SILENT;
    }
    if (progress->still.rank >= 0 && progress->still.seconds >= stillness_s) {
        describe_still(progress, text, size);
        return TROUBLE_STILL;
    }
    if (progress->phase >= TQ_PHASES || progress->ranks < 2)
        return TROUBLE_NONE;
    const tq_phase_progress *p = &progress->phases[progress->phase];
    double total = (double)p->slowest_done + (double)p->slowest_not_done;
    if (!p->started || p->finished || p->slowest_rank < 0 || p->seconds < patience_s || total <= 0)
        return TROUBLE_NONE;
    double own = (double)p->slowest_done / total;
    double all = estimate->phase[progress->phase].fraction;
    if (own >= behind_share * all)
        return TROUBLE_NONE;
    snprintf(text, size, "rank %d is behind in %s: %.0f%% of its %s, all together %.0f%%", p->slowest_rank, p->tag,
             100 * own, cli_phase_unit(progress->phase), 100 * all);
    return TROUBLE_BEHIND;
}
