#include "node/prefix.h"

#include <string.h>

enum { DIGITS = 8, DIGIT_VALUES = 256, FEW_ITEMS = 24 };

static void insertion_sort(tqi_sort_item *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        tqi_sort_item held = items[i];
        size_t at = i;

        for (; at > 0 && held.prefix < items[at - 1].prefix; at--)
            items[at] = items[at - 1];
        items[at] = held;
    }
}

/* Least significant digit first; digits that are the same everywhere are left out. Returns where the sorted ones are.
 * (Knuth, The Art of Computer Programming 3, 5.2.5.) */
static tqi_sort_item *radix_sort(tqi_sort_item *items, tqi_sort_item *spare, size_t n)
{
    uint32_t counts[DIGITS][DIGIT_VALUES] = {{0}};

    for (size_t i = 0; i < n; i++)
        for (int d = 0; d < DIGITS; d++)
            counts[d][items[i].prefix >> 8 * d & 255]++;
    for (int d = 0; d < DIGITS; d++) {
        uint32_t before = 0;

        if (counts[d][items[0].prefix >> 8 * d & 255] == n)
            continue;
        for (int v = 0; v < DIGIT_VALUES; v++) {
            uint32_t count = counts[d][v];

            counts[d][v] = before;
            before += count;
        }
        for (size_t i = 0; i < n; i++)
            spare[counts[d][items[i].prefix >> 8 * d & 255]++] = items[i];
        tqi_sort_item *sorted = spare;
        spare = items;
        items = sorted;
    }
    return items;
}

void tqi_sort_by_prefix(tqi_sort_item *items, tqi_sort_item *spare, size_t n)
{
    if (n <= FEW_ITEMS) {
        insertion_sort(items, n);
        return;
    }
    tqi_sort_item *sorted = radix_sort(items, spare, n);
    if (sorted != items)
        memcpy(items, sorted, n * sizeof *items);
}
