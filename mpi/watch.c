#include "mpi/watch.h"

#include <stdio.h>
#include <string.h>

/* A look that comes late, since the whole process was stopped for a while, says nothing about the workers. */
static const double LONGEST_STEP_S = 1;

static tqi_watched see(const tqi_place *place)
{
    return (tqi_watched){.stage = atomic_load_explicit(&place->stage, memory_order_relaxed),
                         .file = atomic_load_explicit(&place->file, memory_order_relaxed),
                         .offset = atomic_load_explicit(&place->offset, memory_order_relaxed),
                         .keys = atomic_load_explicit(&place->keys, memory_order_relaxed)};
}

static bool is_same(const tqi_watched *a, const tqi_watched *b)
{
    return a->stage == b->stage && a->file == b->file && a->offset == b->offset && a->keys == b->keys;
}

/* Long paths keep their end, which tells more than their beginning. */
static void describe(const tqi_watched *worker, tqi_still *still)
{
    size_t length = worker->file ? strlen(worker->file) : 0, room = sizeof still->file - 1;

    *still = (tqi_still){.is_known = 1,
                         .seconds = worker->seconds,
                         .phase = worker->stage == TQI_STAGE_MAP      ? TQ_PHASE_MAP
                                  : worker->stage == TQI_STAGE_REDUCE ? TQ_PHASE_REDUCE
                                                                      : TQ_PHASE_WRITE,
                         .offset = worker->offset};
    if (length > room)
        snprintf(still->file, sizeof still->file, "...%s", worker->file + length - (room - 3));
    else if (worker->file)
        memcpy(still->file, worker->file, length + 1);
}

tqi_place *tqi_watch_place(tqi_watch *watch, int worker)
{
    int n = atomic_load_explicit(&watch->n, memory_order_relaxed);

    while (n <= worker && !atomic_compare_exchange_weak_explicit(&watch->n, &n, worker + 1, memory_order_relaxed,
                                                                 memory_order_relaxed))
        continue;
    return &watch->places[worker];
}

void tqi_watch_look(tqi_watch *watch, double now, tqi_still *still)
{
    int n = atomic_load_explicit(&watch->n, memory_order_relaxed);
    double step_s = watch->looked_at > 0 ? now - watch->looked_at : 0;
    const tqi_watched *longest = NULL;

    watch->looked_at = now;
    step_s = step_s < LONGEST_STEP_S ? step_s : LONGEST_STEP_S;
    for (int i = 0; i < n; i++) {
        tqi_watched seen = see(&watch->places[i]), *before = &watch->workers[i];

        seen.seconds = is_same(&seen, before) ? before->seconds + step_s : 0;
        *before = seen;
        if (seen.stage != TQI_STAGE_NONE && (!longest || seen.seconds > longest->seconds))
            longest = before;
    }
    if (longest)
        describe(longest, still);
    else
        *still = (tqi_still){0};
}
