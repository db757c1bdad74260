#include "cli/estimate.h"
#include <math.h>

/* The speed is an exponential mean over about this time: long enough to be calm, short enough to follow a change. */
static const double memory_s = 8;

bool cli_counts_bytes(tq_phase phase)
{
    return phase == TQ_PHASE_MAP || phase == TQ_PHASE_SHUFFLE;
}

/* Of the input, bytes say more than splits: these are few, and not of one size. */
static double fraction_of(const tq_phase_progress *p, int phase, bool *known)
{
    double total = (double)p->done + (double)p->not_done;
    *known = p->finished || total > 0;
    if (p->finished)
        return 1;
    double fraction = total > 0 ? (double)p->done / total : 0;
    if (phase == TQ_PHASE_MAP && p->bytes_total > 0)
        fraction = (double)p->bytes / (double)p->bytes_total;
    return fraction < 0.999 ? fraction : 0.999;
}

static void update_phase(cli_estimate *estimate, int i, const tq_phase_progress *p)
{
    cli_phase_estimate *e = &estimate->phase[i];
    e->fraction = fraction_of(p, i, &e->known);
    e->rate_in_bytes = cli_counts_bytes((tq_phase)i) || p->bytes > 0;
    double amount = e->rate_in_bytes ? (double)p->bytes : (double)p->done;
    e->left_s = -1;
    if (p->finished) {
        e->per_s = p->seconds > 0 ? amount / p->seconds : 0;
        e->left_s = 0;
        return;
    }
    double passed = p->seconds - estimate->track[i].seconds;
    if (passed > 0) {
        double keep = exp(-passed / memory_s);
        double weight = estimate->track[i].weight * keep + (1 - keep);
        double share = (1 - keep) / weight;
        double fraction_speed = (e->fraction - estimate->track[i].fraction) / passed;
        double amount_speed = (amount - estimate->track[i].amount) / passed;
        estimate->track[i].fraction_per_s += share * (fraction_speed - estimate->track[i].fraction_per_s);
        estimate->track[i].amount_per_s += share * (amount_speed - estimate->track[i].amount_per_s);
        estimate->track[i].weight = weight;
        estimate->track[i].seconds = p->seconds;
        estimate->track[i].fraction = e->fraction;
        estimate->track[i].amount = amount;
    }
    e->per_s = estimate->track[i].amount_per_s;
    if (e->known && estimate->track[i].fraction_per_s > 1e-9)
        e->left_s = (1 - e->fraction) / estimate->track[i].fraction_per_s;
}

void cli_estimate_update(cli_estimate *estimate, const tq_progress *progress)
{
    for (int i = 0; i < TQ_PHASES; i++)
        if (progress->phases[i].started)
            update_phase(estimate, i, &progress->phases[i]);
}
