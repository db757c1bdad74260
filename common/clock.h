/* Time for measuring and waiting: seconds of a clock that never jumps. Any thread. */
#ifndef TQI_CLOCK_H
#define TQI_CLOCK_H

#include <time.h>

static inline double tqi_now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#endif
