/* What rank 0 has heard from all ranks in one phase of a job, and what follows from it. No MPI here; mpi/pulse.c carries
 * the statements and the decisions. Only the engine touches a tally. */
#ifndef TQI_TALLY_H
#define TQI_TALLY_H

#include <stdbool.h>
#include <stdint.h>

/* What a rank may say of itself; a statement is some of these together. A rank that has said nothing is busy. */
enum {
    TQI_SAYS_BUSY = 1,      /* it still has something to do in this phase */
    TQI_SAYS_ROUND = 2,     /* it has pages to send, and nothing against waiting for more of them */
    TQI_SAYS_URGENT = 4,    /* it has so many that it wants to send them now */
    TQI_SAYS_FAILED = 8,    /* the run must end */
    TQI_SAYS_CANCELLED = 16 /* somebody there wants it to end */
};

typedef enum tqi_decision {
    TQI_GO_ON, /* nothing to decide yet */
    TQI_ROUND, /* all ranks make a round of the exchange */
    TQI_OVER,  /* nobody is busy: the phase is over */
    TQI_STOP   /* somebody failed or cancelled */
} tqi_decision;

typedef struct tqi_tally {
    int ranks;
    uint64_t turn; /* the number of the next decision */
    uint8_t *said; /* by each rank in this turn */
    double wanted; /* when somebody asked for a round first in this turn, 0 if nobody did */
} tqi_tally;

/* False: no memory, a byte a rank. */
bool tqi_tally_init(tqi_tally *tally, int ranks);
void tqi_tally_free(tqi_tally *tally);

/* The next turn: nobody has said anything. */
void tqi_tally_next(tqi_tally *tally);

/* A statement of a rank, the newest one counts. What was said before the last decision is old: everybody says anew. */
void tqi_tally_hear(tqi_tally *tally, int rank, uint64_t turn, unsigned statement, double now);

/* What to do now. *failed is the lowest rank that failed, -1 if none did. */
tqi_decision tqi_tally_decide(const tqi_tally *tally, double now, int *failed);

#endif
