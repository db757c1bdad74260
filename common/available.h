/* How much memory this process may still take: the least of what the host and each of its control groups has free. Any
 * thread; reads a few small files each time. */
#ifndef TQI_AVAILABLE_H
#define TQI_AVAILABLE_H

#include <stdint.h>

/* Bytes; 0 if it cannot be told. root stands before every path that is read: "" but for tests. Page cache counts as free,
 * as it is where memory is asked for. Control groups of both versions are looked at, the group itself and all above it
 * (Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst). */
uint64_t tqi_available_memory(const char *root);

#endif
