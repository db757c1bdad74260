#include "node/arena.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 16 << 10, LARGEST_BLOCK = 1 << 20 };

struct tqi_arena_block {
    tqi_arena_block *older;
    size_t capacity, used;
    uint64_t bytes[];
};

void tqi_arena_init(tqi_arena *arena, tqi_budget *budget)
{
    *arena = (tqi_arena){.budget = budget};
}

static tqi_arena_block *add_block(tqi_arena *arena, size_t bytes)
{
    size_t capacity = arena->newest ? 2 * arena->newest->capacity : FIRST_BLOCK;

    if (capacity > LARGEST_BLOCK)
        capacity = LARGEST_BLOCK;
    if (capacity < bytes)
        capacity = bytes;
    bool anyway = arena->first_anyway && !arena->newest && capacity <= LARGEST_BLOCK;
    tqi_arena_block *block = anyway ? tqi_budget_force(arena->budget, sizeof *block + capacity)
                                    : tqi_budget_alloc(arena->budget, sizeof *block + capacity);
    if (!block)
        return NULL;
    *block = (tqi_arena_block){.older = arena->newest, .capacity = capacity};
    arena->newest = block;
    return block;
}

void *tqi_arena_alloc(tqi_arena *arena, size_t bytes)
{
    tqi_arena_block *block = arena->newest;

    bytes = (bytes + 7) & ~(size_t)7;
    if (!block || block->capacity - block->used < bytes) {
        block = add_block(arena, bytes);
        if (!block)
            return NULL;
    }
    void *memory = (char *)block->bytes + block->used;
    block->used += bytes;
    arena->used += bytes;
    return memory;
}

char *tqi_arena_copy(tqi_arena *arena, const void *data, size_t bytes)
{
    void *copy = tqi_arena_alloc(arena, bytes);

    return copy ? memcpy(copy, data, bytes) : NULL;
}

static void free_blocks(tqi_arena *arena, tqi_arena_block *block)
{
    while (block) {
        tqi_arena_block *older = block->older;

        tqi_budget_free(arena->budget, block, sizeof *block + block->capacity);
        block = older;
    }
}

void tqi_arena_reset(tqi_arena *arena)
{
    arena->used = 0;
    if (!arena->newest)
        return;
    free_blocks(arena, arena->newest->older);
    arena->newest->older = NULL;
    arena->newest->used = 0;
    if (arena->newest->capacity > LARGEST_BLOCK) {
        free_blocks(arena, arena->newest);
        arena->newest = NULL;
    }
}

void tqi_arena_free(tqi_arena *arena)
{
    free_blocks(arena, arena->newest);
    arena->newest = NULL;
    arena->used = 0;
}
