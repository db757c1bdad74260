#include "mpi/tally.h"

#include <stdlib.h>

/* A round costs all ranks the more the more ranks there are. A rank that is done and has some pages left can wait a
 * little, so that one round takes the pages of several. */
static const double PATIENCE_S = 0.05;

static void forget(tqi_tally *tally)
{
    for (int i = 0; i < tally->speakers; i++)
        tally->newest[i] = (tqi_statement){tally->turn, TQI_SAYS_BUSY, -1};
}

bool tqi_tally_init(tqi_tally *tally, int speakers)
{
    *tally = (tqi_tally){.speakers = speakers, .newest = malloc((size_t)speakers * sizeof *tally->newest)};
    if (!tally->newest)
        return false;
    forget(tally);
    return true;
}

void tqi_tally_free(tqi_tally *tally)
{
    free(tally->newest);
    tally->newest = NULL;
}

void tqi_tally_next(tqi_tally *tally)
{
    tally->turn++;
    tally->wanted = 0;
    forget(tally);
}

void tqi_tally_hear(tqi_tally *tally, int speaker, const tqi_statement *statement, double now)
{
    if (statement->turn != tally->turn)
        return;
    tally->newest[speaker] = *statement;
    if ((statement->said & TQI_SAYS_ROUND) && tally->wanted <= 0)
        tally->wanted = now;
}

tqi_statement tqi_tally_sum(const tqi_tally *tally)
{
    tqi_statement sum = {tally->turn, 0, -1};

    for (int i = 0; i < tally->speakers; i++) {
        const tqi_statement *one = &tally->newest[i];

        sum.said |= one->said;
        if ((one->said & TQI_SAYS_FAILED) && (sum.failed < 0 || one->failed < sum.failed))
            sum.failed = one->failed;
    }
    return sum;
}

tqi_decision tqi_tally_decide(const tqi_tally *tally, double now, int *failed)
{
    tqi_statement all = tqi_tally_sum(tally);

    *failed = all.failed;
    if (all.said & (TQI_SAYS_FAILED | TQI_SAYS_CANCELLED))
        return TQI_STOP;
    if (!(all.said & TQI_SAYS_ROUND))
        return all.said & TQI_SAYS_BUSY ? TQI_GO_ON : TQI_OVER;
    bool working = all.said & TQI_SAYS_BUSY, urgent = all.said & TQI_SAYS_URGENT;
    return urgent || !working || now - tally->wanted >= PATIENCE_S ? TQI_ROUND : TQI_GO_ON;
}
