/* Heaps of entries, for sorting and choosing without memory: the entry that comes last is on top. Always inline, so that
 * before is compiled into each use. One thread at a time on an array. */
#ifndef TQI_HEAP_H
#define TQI_HEAP_H

#include "node/entry.h"
#include "node/mergesort.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define TQI_HEAP_INLINE static inline __attribute__((always_inline))

static inline void tqi_entry_swap(tqi_entry *a, tqi_entry *b)
{
    tqi_entry held = *a;

    *a = *b;
    *b = held;
}

/* Restore the heap whose root is at. */
TQI_HEAP_INLINE void tqi_heap_sift(tqi_before_fn before, const void *by, tqi_entry *heap, size_t at, size_t n)
{
    tqi_entry held = heap[at];

    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(by, &heap[child], &heap[child + 1]))
            child++;
        if (!before(by, &held, &heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = held;
}

TQI_HEAP_INLINE bool tqi_heap_stopped(const atomic_bool *stop)
{
    return stop && atomic_load_explicit(stop, memory_order_relaxed);
}

/* Sort n entries. When *stop is set (NULL: it never is), they are left as they are then. */
TQI_HEAP_INLINE void tqi_heap_sort(tqi_before_fn before, const void *by, tqi_entry *first, size_t n, const atomic_bool *stop)
{
    for (size_t i = n / 2; i-- > 0 && !tqi_heap_stopped(stop);)
        tqi_heap_sift(before, by, first, i, n);
    while (n > 1 && !tqi_heap_stopped(stop)) {
        tqi_entry_swap(&first[0], &first[--n]);
        tqi_heap_sift(before, by, first, 0, n);
    }
}

/* Bring those of n entries that come first, limit of them, limit <= n, to the front, in no order. stop: as above. */
TQI_HEAP_INLINE void tqi_heap_choose(tqi_before_fn before, const void *by, tqi_entry *entries, size_t n, size_t limit,
                                     const atomic_bool *stop)
{
    for (size_t i = limit / 2; i-- > 0;)
        tqi_heap_sift(before, by, entries, i, limit);
    for (size_t i = limit; i < n && !tqi_heap_stopped(stop); i++) {
        if (!before(by, &entries[i], &entries[0]))
            continue;
        tqi_entry_swap(&entries[0], &entries[i]);
        tqi_heap_sift(before, by, entries, 0, limit);
    }
}

#endif
