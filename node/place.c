#include "node/place.h"

/* The place of this thread: what a signal handler, which is given nothing, can find. */
static _Thread_local tqi_place *_Atomic here;

void tqi_place_enter(tqi_place *place, tqi_stage stage, int rank, int worker)
{
    atomic_store_explicit(&place->rank, rank, memory_order_relaxed);
    atomic_store_explicit(&place->worker, worker, memory_order_relaxed);
    tqi_place_set_file(place, NULL);
    tqi_place_set_offset(place, 0);
    atomic_store_explicit(&place->key_size, 0, memory_order_relaxed);
    atomic_store_explicit(&place->stage, stage, memory_order_relaxed);
    atomic_store_explicit(&here, place, memory_order_relaxed);
}

void tqi_place_leave(tqi_place *place)
{
    atomic_store_explicit(&here, NULL, memory_order_relaxed);
    atomic_store_explicit(&place->stage, TQI_STAGE_NONE, memory_order_relaxed);
}

tqi_place *tqi_place_here(void)
{
    return atomic_load_explicit(&here, memory_order_relaxed);
}

static const char *name_of(tqi_stage stage)
{
    static const char *const names[] = {"", "map", "reduce", "order", "write"};

    return names[stage];
}

bool tq_here(tq_place *result)
{
    tqi_place *place = tqi_place_here();

    if (!place)
        return false;
    tqi_stage stage = atomic_load_explicit(&place->stage, memory_order_relaxed);
    bool maps = stage == TQI_STAGE_MAP;
    uint64_t offset = atomic_load_explicit(&place->offset, memory_order_relaxed);
    *result = (tq_place){.phase = name_of(stage),
                         .rank = atomic_load_explicit(&place->rank, memory_order_relaxed),
                         .worker = atomic_load_explicit(&place->worker, memory_order_relaxed),
                         .file = maps ? atomic_load_explicit(&place->file, memory_order_relaxed) : NULL,
                         .offset = maps ? offset : 0,
                         .partition = stage == TQI_STAGE_REDUCE ? (uint32_t)offset : 0,
                         .key = {atomic_load_explicit(&place->key, memory_order_relaxed),
                                 atomic_load_explicit(&place->key_size, memory_order_relaxed)}};
    return true;
}
