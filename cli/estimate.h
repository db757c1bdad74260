/* How fast each phase goes and how long it will still take, from a row of snapshots. The clock is the snapshots' own,
 * so the same snapshots always give the same estimates. One thread at a time. */
#ifndef CLI_ESTIMATE_H
#define CLI_ESTIMATE_H

#include <tequio/tequio.h>

typedef struct cli_phase_estimate {
    bool known;      /* how much there is in all; otherwise fraction and left_s say nothing */
    double fraction; /* 0 .. 1, and 1 only when the phase is finished */
    double per_s;    /* bytes a second where the phase counts bytes, otherwise its items; 0 = not known yet */
    bool rate_in_bytes;
    double left_s; /* -1 = not known */
} cli_phase_estimate;

typedef struct cli_estimate {
    cli_phase_estimate phase[TQ_PHASES];
    /* The smoothed speeds, in fraction and in amount a second, and when and where they were updated last. */
    struct {
        double seconds, fraction, amount;
        double fraction_per_s, amount_per_s;
        double weight; /* of what the smoothed speeds have seen: below 1 while they are young */
    } track[TQ_PHASES];
} cli_estimate;

/* Whether bytes are what a phase's work is measured by; otherwise its items are. */
bool cli_counts_bytes(tq_phase phase);

/* Take a new snapshot into account. estimate is all zero before the first. */
void cli_estimate_update(cli_estimate *estimate, const tq_progress *progress);

#endif
