/* What a simulated run is measured by: messages and bytes of each kind over all ranks; how long after it was sent a
 * message was noticed; how long rank 0 waited for what all ranks do together; and when it went from phase to phase.
 *
 * All ranks are contexts in one thread of one process: nothing here needs a lock, and tables are indexed by rank. */
#ifndef TQS_METER_H
#define TQS_METER_H

#include <mpi.h>

enum { TQS_MOST_RANKS = 4096 };

typedef enum tqs_kind {
    TQS_TREE, /* not messages: what tqi_comm_sum and the like take as a whole */
    TQS_BROADCAST,
    TQS_UP,
    TQS_DOWN,
    TQS_STATEMENT,
    TQS_DECISION,
    TQS_BCAST,
    TQS_GATHER,
    TQS_GATHERV,
    TQS_SCATTER,
    TQS_COUNTS,
    TQS_DATA,
    TQS_REQUEST,
    TQS_SHARE,
    TQS_CHUNK,
    TQS_PROGRESS,
    TQS_TEXT,
    TQS_FAREWELL,
    TQS_KINDS
} tqs_kind;

/* The kind of a message that tequio sends itself, by its tag (mpi/comm.h). */
tqs_kind tqs_kind_of(int tag);

/* A message is sent, of any kind. */
void tqs_count_message(tqs_kind what, int count, MPI_Datatype type);

/* A message with one of tequio's tags is sent to a rank, and noticed by the rank to which it came. */
void tqs_note_sent(int tag, int sender, int receiver);
void tqs_note_seen(int tag, int sender, int receiver);

/* Rank 0 is through with something that all do together. */
void tqs_count_call(tqs_kind what, double begun);

#endif
