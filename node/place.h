/* Where a worker stands in the job's own code: at which record of which file, or in which partition at which key. A worker
 * writes its own place, which is a few stores to memory of its own. The engine reads the places of all workers, to say who
 * does not get on (mpi/watch.h); a handler of SIGSEGV reads that of its own thread (tq_here).
 *
 * All members are atomic and relaxed. Who reads the place of another thread that moves meanwhile may see parts of two
 * places; one that has not moved since it was read last is whole. */
#ifndef TQI_PLACE_H
#define TQI_PLACE_H

#include <stdatomic.h>
#include <tequio/mapreduce.h>

typedef enum tqi_stage {
    TQI_STAGE_NONE,
    TQI_STAGE_MAP,
    TQI_STAGE_REDUCE,
    TQI_STAGE_ORDER,
    TQI_STAGE_WRITE
} tqi_stage;

typedef struct tqi_place {
    _Atomic(tqi_stage) stage;
    _Atomic(int) rank, worker;
    _Atomic(const char *) file; /* map; NULL between two pieces */
    _Atomic(uint64_t) offset;   /* map: of the record in file. reduce: the partition */
    _Atomic(uint64_t) keys;     /* reduce, order, write: how many keys the function was called for */
    _Atomic(const char *) key;  /* and the newest of them, */
    _Atomic(size_t) key_size;
    char apart[64]; /* no two places of an array share a line of the cache */
} tqi_place;

/* The calling worker is in the job's own code from now on. */
void tqi_place_enter(tqi_place *place, tqi_stage stage, int rank, int worker);

/* And is not any more. */
void tqi_place_leave(tqi_place *place);

/* The place of the calling thread; NULL: it is in no function of a job. */
tqi_place *tqi_place_here(void);

static inline void tqi_place_set_file(tqi_place *place, const char *file)
{
    atomic_store_explicit(&place->file, file, memory_order_relaxed);
}

static inline void tqi_place_set_offset(tqi_place *place, uint64_t offset)
{
    atomic_store_explicit(&place->offset, offset, memory_order_relaxed);
}

static inline void tqi_place_set_key(tqi_place *place, tq_slice key)
{
    uint64_t keys = atomic_load_explicit(&place->keys, memory_order_relaxed);

    atomic_store_explicit(&place->keys, keys + 1, memory_order_relaxed);
    atomic_store_explicit(&place->key_size, 0, memory_order_relaxed);
    atomic_store_explicit(&place->key, key.data, memory_order_relaxed);
    atomic_store_explicit(&place->key_size, key.size, memory_order_relaxed);
}

#endif
