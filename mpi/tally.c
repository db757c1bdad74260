#include "mpi/tally.h"

#include <stdlib.h>
#include <string.h>

/* A round costs all ranks the more the more ranks there are. A rank that is done and has some pages left can wait a
 * little, so that one round takes the pages of several. */
static const double PATIENCE_S = 0.05;

bool tqi_tally_init(tqi_tally *tally, int ranks)
{
    *tally = (tqi_tally){.ranks = ranks, .said = malloc((size_t)ranks)};
    if (!tally->said)
        return false;
    memset(tally->said, TQI_SAYS_BUSY, (size_t)ranks);
    return true;
}

void tqi_tally_free(tqi_tally *tally)
{
    free(tally->said);
    tally->said = NULL;
}

void tqi_tally_next(tqi_tally *tally)
{
    tally->turn++;
    tally->wanted = 0;
    memset(tally->said, TQI_SAYS_BUSY, (size_t)tally->ranks);
}

void tqi_tally_hear(tqi_tally *tally, int rank, uint64_t turn, unsigned statement, double now)
{
    if (turn != tally->turn)
        return;
    tally->said[rank] = (uint8_t)statement;
    if ((statement & TQI_SAYS_ROUND) && tally->wanted <= 0)
        tally->wanted = now;
}

tqi_decision tqi_tally_decide(const tqi_tally *tally, double now, int *failed)
{
    unsigned any = 0;
    bool working = false; /* somebody is busy with something else than pages to send */

    *failed = -1;
    for (int r = 0; r < tally->ranks; r++) {
        unsigned said = tally->said[r];

        any |= said;
        working |= (said & TQI_SAYS_BUSY) && !(said & TQI_SAYS_ROUND);
        if ((said & TQI_SAYS_FAILED) && *failed < 0)
            *failed = r;
    }
    if (any & (TQI_SAYS_FAILED | TQI_SAYS_CANCELLED))
        return TQI_STOP;
    if (any & TQI_SAYS_ROUND)
        return (any & TQI_SAYS_URGENT) || !working || now - tally->wanted >= PATIENCE_S ? TQI_ROUND : TQI_GO_ON;
    return any & TQI_SAYS_BUSY ? TQI_GO_ON : TQI_OVER;
}
