/* Whether keys lie in a text, so that what is behind them may be read, too. Any thread. */
#ifndef TQI_INSIDE_H
#define TQI_INSIDE_H

#include <stdbool.h>
#include <tequio/types.h>

/* Whether all of n keys begin in [begin, end), and none has more than 1 GiB. */
bool tqi_keys_inside(const tq_slice *keys, size_t n, const char *begin, const char *end);

typedef struct tqi_inside_kernel {
    const char *name;
    bool (*inside)(const tq_slice *keys, size_t n, const char *begin, const char *end);
    bool (*supported)(void);
} tqi_inside_kernel;

/* All that this CPU has, the portable one first. */
const tqi_inside_kernel *tqi_inside_kernels(size_t *n);

#endif
