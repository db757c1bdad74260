/* The threads that MPI starts for itself, seen from outside: which they are, and whether they have anything to do. The
 * kernel knows both (/proc), whatever the MPI library is. Where it does not tell, there are none.
 *
 * Any thread may call these. */
#ifndef TQI_THREADS_H
#define TQI_THREADS_H

#include <stdbool.h>

enum { TQI_MAX_THREADS = 64 }; /* more are not kept */

typedef struct tqi_threads {
    int count;
    int ids[TQI_MAX_THREADS]; /* as gettid gives them */
} tqi_threads;

/* All threads of this process. */
void tqi_threads_list(tqi_threads *threads);

/* Leave out those that are in others as well. */
void tqi_threads_leave_out(tqi_threads *threads, const tqi_threads *others);

/* Wait until all of them sleep or have ended, at most that long; time in which this process is stopped does not count. A
 * thread that was woken, but had no core since, does not sleep. Returns whether they do. */
bool tqi_threads_await_rest(const tqi_threads *threads, unsigned longest_us);

#endif
