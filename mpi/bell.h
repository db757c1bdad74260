/* Bells: how the ranks of one host wake each other. MPI has no way to sleep until a message comes, so a rank that waits
 * looks now and then, and each look costs what a sleep and a wake-up cost; the longer it sleeps in between, the longer
 * the others wait for it. A rank that rings behind its message lets the other sleep as long as it likes.
 *
 * Every engine has a bell of its own, which the workers ring too. Those of a host lie in memory that its ranks share, if
 * that can be had; between hosts, and where it cannot, nobody rings and a rank looks by the clock.
 *
 * A ring is not lost: who was rung since the last sleep does not sleep. It may be for nothing, and it says nothing of
 * what happened, but whether it was another rank: then there is mail, and a reason to look at MPI.
 *
 * Where all ranks are on one host, they also have gates: each comes to a gate, and is rung when all have. What a rank
 * leaves at a gate (a number for each rank) the others find behind it.
 *
 * Threads: tqi_bells_ring_own from any thread, the rest by the engine. A bell's numbers are atomic; any thread of any rank
 * of the host adds to rings, and clears asleep, other ranks add to mail, and only its owner sets asleep. Numbers that are
 * left belong to their rank before it comes to the gate, and to whom they are for behind it, until the gate after the
 * next. */
#ifndef TQI_BELL_H
#define TQI_BELL_H

#include <mpi.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tqi_bell {
    _Alignas(64) _Atomic uint32_t rings; /* how often it was rung: what its owner sleeps on */
    _Atomic uint32_t mail;               /* by other ranks */
    _Atomic uint32_t asleep;             /* whether the owner must be woken */
} tqi_bell;

typedef struct tqi_bells {
    atomic_int holders;
    tqi_bell *own;
    struct tqi_host *host; /* what the ranks of this host share; NULL: there is only own */
    size_t host_bytes;
    int ranks;      /* on this host */
    int *place;     /* of each rank of the cluster, the place of its bell there from 1 on, 0: it is elsewhere */
    int own_place;  /* from 0 on */
    bool all;       /* each rank of the cluster has its bell there */
    uint32_t heard; /* rings of own up to the end of the last sleep, */
    uint32_t read;  /* and mail up to the last look */
    bool timed_out; /* the last sleep was not ended by a ring */
    bool looks;     /* the engine looks for messages now: always, but while it runs a phase and knows that there is none */
    uint32_t gate;  /* how many this rank has come to */
    tqi_bell alone; /* own, if it is not shared */
} tqi_bells;

/* A bell that this process has for itself, held once. NULL: no memory. */
tqi_bells *tqi_bells_new(void);

/* Share it with the other ranks of this host: host has them, cluster all. Collective over both. What does not work leaves
 * things as they were, on all ranks of the host. Returns a code of MPI. */
int tqi_bells_share(tqi_bells *bells, MPI_Comm host, MPI_Comm cluster);

/* Whoever may ring holds the bells; the last to let go frees them. */
void tqi_bells_hold(tqi_bells *bells);
void tqi_bells_let_go(tqi_bells *bells);

/* Wake this process's engine. */
void tqi_bells_ring_own(tqi_bells *bells);

/* Wake the engine of a rank of the cluster, if it is on this host. */
void tqi_bells_ring(const tqi_bells *bells, int rank);

/* Sleep until rung, but not longer than us; not at all if rung since the last sleep. Returns whether it was. */
bool tqi_bells_sleep(tqi_bells *bells, unsigned us);

/* Look for messages from now on if there may be one that this rank has not looked for: it was rung by another since the last
 * look, or slept as long as it wanted, or there are ranks that cannot ring; or anyway. */
void tqi_bells_look(tqi_bells *bells, bool anyway);

/* Come to the next gate, and leave a number there for each rank (NULL: none). With bells->all only. */
void tqi_bells_come(tqi_bells *bells, const int *numbers);

/* Whether all ranks have come to the gate that this rank came to last. */
bool tqi_bells_all_came(const tqi_bells *bells);

/* What all ranks left there for this one. */
void tqi_bells_find(const tqi_bells *bells, int *numbers);

#endif
