/* Faults on purpose, for the tests that must see a run fail. Compiled in only with -DTQ_FAULTS=1; elsewhere every
 * question is answered "no" at compile time.
 *
 * The environment variable TEQUIO_FAULT names one fault, with @RANK behind it to happen on that rank alone:
 *   drop-record     a flush of a worker's table, or routing rows, forgets one record
 *   lose-page       a page of a flush does not arrive at its partition
 *   duplicate-page  a page arrives twice
 *   corrupt-page    a byte of a page changes after its checksum was made
 *   corrupt-key     a byte of a key changes after reducing
 *   drop-row        a row is not written
 *   fail-map        the mapper returns 42
 *   enomem-map      a worker's table finds no memory
 *   fail-reduce     the reducer returns 43
 *   slow-rank       every piece of input takes 50 ms more
 *   slow-rank-10x   every piece of input takes ten times as long
 *   kill-map        the rank kills itself with SIGKILL while it maps */
#ifndef TQI_FAULT_H
#define TQI_FAULT_H

#include <stdbool.h>

#ifdef TQ_FAULTS
bool tqi_fault(const char *name, int rank);
#else
static inline bool tqi_fault(const char *name, int rank)
{
    (void)name;
    (void)rank;
    return false;
}
#endif

#endif
