#include "node/mergesort.h"

#include <string.h>

enum { FEW_ENTRIES = 8 };

typedef struct sorter {
    tqi_before_fn before;
    const void *by;
    const atomic_bool *stop;
} sorter;

static void insertion_sort(const sorter *how, tqi_entry *first, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        tqi_entry held = first[i];
        size_t at = i;

        for (; at > 0 && how->before(how->by, &held, &first[at - 1]); at--)
            first[at] = first[at - 1];
        first[at] = held;
    }
}

/* Two sorted halves become one. */
static void merge(const sorter *how, tqi_entry *first, size_t half, size_t n, tqi_entry *spare)
{
    size_t left = 0, right = half, to = 0;

    memcpy(spare, first, half * sizeof *spare);
    while (left < half && right < n)
        first[to++] = how->before(how->by, &first[right], &spare[left]) ? first[right++] : spare[left++];
    memcpy(first + to, spare + left, (half - left) * sizeof *spare);
}

static void sort(const sorter *how, tqi_entry *first, size_t n, tqi_entry *spare)
{
    size_t half = n / 2;

    if (n <= FEW_ENTRIES) {
        insertion_sort(how, first, n);
        return;
    }
    if (how->stop && atomic_load_explicit(how->stop, memory_order_relaxed))
        return;
    sort(how, first, half, spare);
    sort(how, first + half, n - half, spare);
    if (how->before(how->by, &first[half], &first[half - 1]))
        merge(how, first, half, n, spare);
}

void tqi_merge_sort(tqi_entry *entries, size_t n, tqi_entry *spare, tqi_before_fn before, const void *by,
                    const atomic_bool *stop)
{
    sorter how = {before, by, stop};

    sort(&how, entries, n, spare);
}
