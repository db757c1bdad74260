/* What a rank has heard in one turn of a job, from itself and from each rank below it, what that is together, and, on rank 0,
 * what follows from it. No MPI here; mpi/pulse.c carries the statements and the decisions. Only the engine touches a
 * tally. */
#ifndef TQI_TALLY_H
#define TQI_TALLY_H

#include <stdbool.h>
#include <stdint.h>

/* What ranks may say of themselves; a statement is some of these together. Whoever has said nothing is busy. Together
 * ranks say what any of them says. */
enum {
    TQI_SAYS_BUSY = 1,       /* there is something else to do in this phase than to send pages */
    TQI_SAYS_ROUND = 2,      /* there are pages to send, and nothing against waiting for more of them */
    TQI_SAYS_URGENT = 4,     /* there are so many that they should be sent now */
    TQI_SAYS_FAILED = 8,     /* the run must end */
    TQI_SAYS_CANCELLED = 16, /* somebody wants it to end */
    TQI_SAYS_LAST = 32       /* nothing more is said in this job */
};

/* Of one rank, or of one and all below it. It travels as it is. */
typedef struct tqi_statement {
    uint64_t turn;
    uint32_t said;
    int32_t failed; /* the lowest rank that failed, -1: none */
} tqi_statement;

typedef enum tqi_decision {
    TQI_GO_ON, /* nothing to decide yet */
    TQI_ROUND, /* all ranks make a round of the exchange */
    TQI_OVER,  /* nobody is busy: the phase is over */
    TQI_STOP   /* somebody failed or cancelled */
} tqi_decision;

typedef struct tqi_tally {
    int speakers;
    uint64_t turn;         /* the number of the next decision */
    tqi_statement *newest; /* of each speaker in this turn */
    double wanted;         /* when somebody asked for a round first in this turn, 0 if nobody did */
} tqi_tally;

/* False: no memory, 16 bytes a speaker. */
bool tqi_tally_init(tqi_tally *tally, int speakers);
void tqi_tally_free(tqi_tally *tally);

/* The next turn: nobody has said anything. */
void tqi_tally_next(tqi_tally *tally);

/* A statement of a speaker, the newest one counts. What was said before the last decision is old: everybody says anew. */
void tqi_tally_hear(tqi_tally *tally, int speaker, const tqi_statement *statement, double now);

/* What all speakers say together. */
tqi_statement tqi_tally_sum(const tqi_tally *tally);

/* What to do now, if these are all ranks. *failed is the lowest rank that failed, -1 if none did. */
tqi_decision tqi_tally_decide(const tqi_tally *tally, double now, int *failed);

#endif
