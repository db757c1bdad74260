/* Memory that is given back all at once: the bytes of long keys and of values. One thread at a time. */
#ifndef TQI_ARENA_H
#define TQI_ARENA_H

#include "common/budget.h"

typedef struct tqi_arena_block tqi_arena_block;

typedef struct tqi_arena {
    tqi_budget *budget;
    tqi_arena_block *newest;
    size_t used;       /* bytes handed out since the last reset */
    bool first_anyway; /* the first block, if small, is given whatever the budget says */
} tqi_arena;

void tqi_arena_init(tqi_arena *arena, tqi_budget *budget);

/* bytes of memory aligned to 8, or NULL. */
void *tqi_arena_alloc(tqi_arena *arena, size_t bytes);

/* A copy of bytes > 0 bytes, or NULL. */
char *tqi_arena_copy(tqi_arena *arena, const void *data, size_t bytes);

/* Forget everything; one block is kept for the next use. */
void tqi_arena_reset(tqi_arena *arena);
void tqi_arena_free(tqi_arena *arena);

#endif
