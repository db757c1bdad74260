#include "common/budget.h"

#include <stdlib.h>
#include <sys/mman.h>

bool tqi_budget_take(tqi_budget *budget, uint64_t bytes)
{
    if (!budget)
        return true;
    uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    do { /* not add and take back: that would refuse others what they may have */
        if (budget->limit && (bytes > budget->limit || used > budget->limit - bytes))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool tqi_budget_take_anyway(tqi_budget *budget, uint64_t bytes)
{
    if (budget)
        atomic_fetch_add_explicit(&budget->used, bytes, memory_order_relaxed);
    return true;
}

void tqi_budget_give(tqi_budget *budget, uint64_t bytes)
{
    if (budget)
        atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
}

/* Ask for huge pages inside a block. What malloc makes of a large one is a mapping of its own, which realloc moves
 * without copying. */
static void *advise(void *memory, size_t bytes)
{
    uintptr_t begin = ((uintptr_t)memory + TQI_HUGE_PAGE - 1) & ~(uintptr_t)(TQI_HUGE_PAGE - 1);
    uintptr_t end = ((uintptr_t)memory + bytes) & ~(uintptr_t)(TQI_HUGE_PAGE - 1);

    if (memory && end > begin)
        madvise((void *)begin, end - begin, MADV_HUGEPAGE);
    return memory;
}

static void *allocate(size_t bytes)
{
    size_t whole = (bytes + TQI_HUGE_PAGE - 1) & ~(size_t)(TQI_HUGE_PAGE - 1);

    if (bytes <= SIZE_MAX - TQI_HUGE_PAGE && whole > 0 && whole - bytes <= TQI_HUGE_PAGE / 8)
        return advise(aligned_alloc(TQI_HUGE_PAGE, whole), whole);
    return advise(malloc(bytes ? bytes : 1), bytes);
}

void *tqi_budget_alloc(tqi_budget *budget, size_t bytes)
{
    void *memory;

    if (!tqi_budget_take(budget, bytes))
        return NULL;
    memory = allocate(bytes);
    if (!memory)
        tqi_budget_give(budget, bytes);
    return memory;
}

void *tqi_budget_force(tqi_budget *budget, size_t bytes)
{
    void *memory = allocate(bytes);

    if (memory)
        tqi_budget_take_anyway(budget, bytes);
    return memory;
}

void *tqi_budget_realloc(tqi_budget *budget, void *memory, size_t old_bytes, size_t bytes)
{
    void *moved;

    if (!memory)
        return tqi_budget_alloc(budget, bytes);
    if (bytes > old_bytes && !tqi_budget_take(budget, bytes - old_bytes))
        return NULL;
    moved = advise(realloc(memory, bytes ? bytes : 1), bytes);
    if (!moved && bytes > old_bytes)
        tqi_budget_give(budget, bytes - old_bytes);
    if (moved && bytes < old_bytes)
        tqi_budget_give(budget, old_bytes - bytes);
    return moved;
}

void tqi_budget_free(tqi_budget *budget, void *memory, size_t bytes)
{
    if (!memory)
        return;
    free(memory);
    tqi_budget_give(budget, bytes);
}
