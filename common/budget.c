#include "common/budget.h"

#include <stdlib.h>

bool tqi_budget_take(tqi_budget *budget, uint64_t bytes)
{
    if (!budget)
        return true;
    uint64_t before = atomic_fetch_add_explicit(&budget->used, bytes, memory_order_relaxed);
    if (budget->limit == 0 || before + bytes <= budget->limit)
        return true;
    atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
    return false;
}

void tqi_budget_give(tqi_budget *budget, uint64_t bytes)
{
    if (budget)
        atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
}

void *tqi_budget_alloc(tqi_budget *budget, size_t bytes)
{
    void *memory;

    if (!tqi_budget_take(budget, bytes))
        return NULL;
    memory = malloc(bytes ? bytes : 1);
    if (!memory)
        tqi_budget_give(budget, bytes);
    return memory;
}

void *tqi_budget_realloc(tqi_budget *budget, void *memory, size_t old_bytes, size_t bytes)
{
    void *moved;

    if (!memory)
        return tqi_budget_alloc(budget, bytes);
    if (bytes > old_bytes && !tqi_budget_take(budget, bytes - old_bytes))
        return NULL;
    moved = realloc(memory, bytes ? bytes : 1);
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
