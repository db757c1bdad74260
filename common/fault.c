#include "common/fault.h"

#ifdef TQ_FAULTS

#include <stdlib.h>
#include <string.h>

bool tqi_fault(const char *name, int rank)
{
    const char *wanted = getenv("TEQUIO_FAULT");
    size_t size = strlen(name);

    if (!wanted || strncmp(wanted, name, size) != 0)
        return false;
    return wanted[size] == '\0' || (wanted[size] == '@' && atoi(wanted + size + 1) == rank);
}

#else

/* ISO C wants a declaration in every file. */
typedef int tqi_fault_nothing;

#endif
