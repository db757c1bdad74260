/* The memory promise of one rank: how many bytes the job's large buffers may take, and how many they take now. Small
 * things (futures, headers, a few KiB) are not counted. The counter is atomic and any thread may use it; limit is set
 * before the workers start. */
#ifndef TQI_BUDGET_H
#define TQI_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Large blocks are worth huge pages: their first touch is four times faster (in some virtual machines forty times), and
 * random access to them misses the TLB less. */
enum { TQI_HUGE_PAGE = 2 << 20 };

typedef struct tqi_budget {
    uint64_t limit; /* 0 = no bound */
    _Atomic uint64_t used;
} tqi_budget;

/* Take bytes, or answer false and take nothing. */
bool tqi_budget_take(tqi_budget *budget, uint64_t bytes);

/* Take them whatever the limit says: for what cannot wait and is bounded otherwise. Always true. */
bool tqi_budget_take_anyway(tqi_budget *budget, uint64_t bytes);
void tqi_budget_give(tqi_budget *budget, uint64_t bytes);

/* Memory that is taken anyway. NULL only when there is no memory at all. */
void *tqi_budget_force(tqi_budget *budget, size_t bytes);

/* malloc, realloc and free of counted memory. old_bytes and bytes are what was and is asked for. NULL when there is no
 * memory or the budget does not allow it; realloc leaves the old block alone then. budget may be NULL (not counted). */
void *tqi_budget_alloc(tqi_budget *budget, size_t bytes);
void *tqi_budget_realloc(tqi_budget *budget, void *memory, size_t old_bytes, size_t bytes);
void tqi_budget_free(tqi_budget *budget, void *memory, size_t bytes);

#endif
