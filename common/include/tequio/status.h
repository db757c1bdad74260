/* Status codes and the error record that every part of tequio uses.
 *
 * A status is also the exit code of the `tequio` command, so the numbers below are part of its contract and stay as
 * they are. The library never exits or aborts: it returns one of these. */
#ifndef TEQUIO_STATUS_H
#define TEQUIO_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TQ_PRINTF(position, first) __attribute__((format(printf, position, first)))
#define TQ_API __attribute__((visibility("default")))
#else
#define TQ_PRINTF(position, first)
#define TQ_API
#endif

typedef enum tq_status {
    TQ_OK = 0,
    TQ_E_INTERNAL = 1,   /* a bug in tequio: please report it (the command's grep also ends with 1 if it finds nothing) */
    TQ_E_USAGE = 2,      /* an argument or option that makes no sense */
    TQ_E_INPUT = 3,      /* an input is missing, unreadable, changed while it was read, or holds a bad record */
    TQ_E_OUTPUT = 4,     /* the output cannot be created, written or renamed (a full disk, say) */
    TQ_E_MEMORY = 5,     /* no memory, or more than the budget allows */
    TQ_E_USER = 6,       /* the job's own code (mapper, combiner, reducer) returned an error */
    TQ_E_ACCOUNT = 7,    /* records were lost, duplicated or corrupted on the way, and the run noticed */
    TQ_E_MPI = 8,        /* MPI could not start, or a call failed */
    TQ_E_RANK_LOST = 9,  /* a rank died or was killed */
    TQ_E_CANCELLED = 10, /* cancelled by a signal, by a callback, or by tq_future_cancel */
    TQ_E_TMPDIR = 11,    /* the spill folder cannot be used (missing, full) */
    TQ_E_SYSTEM = 12,    /* the operating system refused something else (a thread, say) */
    /* The codes below never end a run: they only answer a call. */
    TQ_E_TIMEOUT = 13, /* a wait ended before what it waited for */
    TQ_E_AGAIN = 14,   /* the queue is full: try again later */
    TQ_E_STATE = 15    /* the call is not allowed in this state (after shutdown, say) */
} tq_status;

/* What went wrong, where. Filled by the first function that sees the error; the same on all ranks at the end of a
 * job. */
typedef struct tq_error {
    tq_status status;
    int rank;          /* the rank where it happened, -1 if that says nothing */
    int has_offset;    /* whether offset means something */
    uint64_t offset;   /* byte offset in file */
    char phase[16];    /* "plan", "map", "shuffle", "reduce", "write"; "" if none */
    char file[1024];   /* "" if none; shortened at its front when longer */
    char message[512]; /* the reason, one line, no newline at its end */
} tq_error;

/* A short name in English, such as "input error". Never NULL. Any thread. */
TQ_API const char *tq_status_name(tq_status status);

/* Write the whole error as one line into text (at most size bytes, always ended by a NUL):
 * "rank 2: map: notes.txt at byte 4096: Permission denied". Returns text. Any thread. */
TQ_API char *tq_error_text(const tq_error *error, char *text, unsigned long size);

/* The version of the library, such as "0.1.0". */
TQ_API const char *tq_version(void);

#ifdef __cplusplus
}
#endif
#endif
