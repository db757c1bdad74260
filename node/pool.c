#include "node/pool.h"

#include <sys/mman.h>

enum { EMPTY_KEPT = 2 };

typedef struct free_block {
    struct free_block *next;
} free_block;

struct tqi_slab {
    tqi_slab *next, *previous;               /* all slabs */
    tqi_slab *next_usable, *previous_usable; /* those with free blocks */
    free_block *given_back;
    size_t used;    /* blocks in use */
    size_t touched; /* blocks that were ever in use; those behind are fresh memory */
};

void tqi_pool_init(tqi_pool *pool, tqi_budget *budget, size_t block_bytes, size_t slab_bytes)
{
    *pool = (tqi_pool){.budget = budget, .block_bytes = block_bytes, .slab_bytes = slab_bytes};
    pthread_mutex_init(&pool->lock, NULL);
}

static size_t blocks_of_slab(const tqi_pool *pool)
{
    return pool->slab_bytes / pool->block_bytes;
}

/* Memory aligned to its size, so that a block's slab is found by a mask. */
static void *map_aligned(size_t bytes)
{
    char *memory = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    size_t before = (bytes - (uintptr_t)memory % bytes) % bytes;
    if (before)
        munmap(memory, before);
    munmap(memory + before + bytes, bytes - before);
    if (bytes >= TQI_HUGE_PAGE)
        madvise(memory + before, bytes, MADV_HUGEPAGE);
    return memory + before;
}

static void make_usable(tqi_pool *pool, tqi_slab *slab)
{
    slab->previous_usable = NULL;
    slab->next_usable = pool->usable;
    if (pool->usable)
        pool->usable->previous_usable = slab;
    pool->usable = slab;
}

static void make_unusable(tqi_pool *pool, tqi_slab *slab)
{
    if (slab->previous_usable)
        slab->previous_usable->next_usable = slab->next_usable;
    else
        pool->usable = slab->next_usable;
    if (slab->next_usable)
        slab->next_usable->previous_usable = slab->previous_usable;
}

/* Without the lock: its first page is touched here, which may be a huge one that the system has to clear. */
static tqi_slab *new_slab(tqi_pool *pool, bool anyway)
{
    size_t bytes = pool->slab_bytes;

    if (anyway)
        tqi_budget_take_anyway(pool->budget, bytes);
    else if (!tqi_budget_take(pool->budget, bytes))
        return NULL;
    tqi_slab *slab = map_aligned(bytes);
    if (!slab) {
        tqi_budget_give(pool->budget, bytes);
        return NULL;
    }
    *slab = (tqi_slab){.touched = 1};
    return slab;
}

static void add_slab(tqi_pool *pool, tqi_slab *slab)
{
    slab->next = pool->all;
    if (pool->all)
        pool->all->previous = slab;
    pool->all = slab;
    pool->empty++;
    make_usable(pool, slab);
}

static void remove_slab(tqi_pool *pool, tqi_slab *slab)
{
    make_unusable(pool, slab);
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        pool->all = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
    pool->empty--;
    munmap(slab, pool->slab_bytes);
    tqi_budget_give(pool->budget, pool->slab_bytes);
}

void *tqi_pool_take(tqi_pool *pool, bool anyway)
{
    void *block = NULL;

    pthread_mutex_lock(&pool->lock);
    if (!pool->usable) {
        pthread_mutex_unlock(&pool->lock);
        tqi_slab *made = new_slab(pool, anyway);
        pthread_mutex_lock(&pool->lock);
        if (made)
            add_slab(pool, made);
    }
    tqi_slab *slab = pool->usable; /* whoever made it: blocks may have been given back meanwhile */
    if (slab) {
        pool->empty -= slab->used == 0;
        slab->used++;
        if (slab->given_back) {
            block = slab->given_back;
            slab->given_back = slab->given_back->next;
        } else {
            block = (char *)slab + slab->touched++ * pool->block_bytes;
        }
        if (!slab->given_back && slab->touched == blocks_of_slab(pool))
            make_unusable(pool, slab);
    }
    pthread_mutex_unlock(&pool->lock);
    return block;
}

void tqi_pool_give(tqi_pool *pool, void *block)
{
    tqi_slab *slab = (tqi_slab *)((uintptr_t)block & ~(uintptr_t)(pool->slab_bytes - 1));
    free_block *given = block;

    pthread_mutex_lock(&pool->lock);
    if (!slab->given_back && slab->touched == blocks_of_slab(pool))
        make_usable(pool, slab);
    given->next = slab->given_back;
    slab->given_back = given;
    slab->used--;
    pool->empty += slab->used == 0;
    if (slab->used == 0 && pool->empty > EMPTY_KEPT)
        remove_slab(pool, slab);
    pthread_mutex_unlock(&pool->lock);
}

void tqi_pool_trim(tqi_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    for (tqi_slab *slab = pool->all, *next; slab; slab = next) {
        next = slab->next;
        if (slab->used == 0)
            remove_slab(pool, slab);
    }
    pthread_mutex_unlock(&pool->lock);
}

void tqi_pool_free(tqi_pool *pool)
{
    for (tqi_slab *slab = pool->all, *next; slab; slab = next) {
        next = slab->next;
        munmap(slab, pool->slab_bytes);
        tqi_budget_give(pool->budget, pool->slab_bytes);
    }
    pool->all = pool->usable = NULL;
    pthread_mutex_destroy(&pool->lock);
}
