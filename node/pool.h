/* Blocks of memory of one size, in which pages are written while the input is mapped. They come from slabs that are
 * asked of the system a few at a time, so that a block costs neither a system call nor fresh memory while others are
 * given back; a slab whose blocks are all back is returned. Counted by the budget, slab by slab.
 *
 * Any thread; one lock, taken for each block, which is long compared to it. */
#ifndef TQI_POOL_H
#define TQI_POOL_H

#include "common/budget.h"
#include <pthread.h>

/* A slab of so many blocks of this size fills a huge page; the first of them holds the slab's own data. */
enum { TQI_BLOCKS_PER_SLAB = 128, TQI_BLOCK_BYTES = 16 << 10 };
enum { TQI_SMALLEST_BLOCK_BYTES = 1 << 10, TQI_SLAB_BYTES = TQI_BLOCKS_PER_SLAB * TQI_BLOCK_BYTES };

typedef struct tqi_slab tqi_slab;

typedef struct tqi_pool {
    tqi_budget *budget;
    size_t block_bytes; /* both are powers of two */
    size_t slab_bytes;
    pthread_mutex_t lock;
    tqi_slab *usable; /* slabs with free blocks; guarded by lock, as all below */
    tqi_slab *all;
    size_t empty; /* slabs without a block in use */
} tqi_pool;

/* Both sizes are powers of two, and there are at least two blocks in a slab. */
void tqi_pool_init(tqi_pool *pool, tqi_budget *budget, size_t block_bytes, size_t slab_bytes);

/* Free all slabs. No block may be in use any more, or be used after. */
void tqi_pool_free(tqi_pool *pool);

/* A block of block_bytes, or NULL: the budget does not allow it (anyway: it is not asked), or there is no memory. */
void *tqi_pool_take(tqi_pool *pool, bool anyway);
void tqi_pool_give(tqi_pool *pool, void *block);

/* Return the slabs without a block in use, of which otherwise a few are kept: blocks are hardly needed any more. */
void tqi_pool_trim(tqi_pool *pool);

#endif
