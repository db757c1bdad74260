/* Sorting by 64 bits: what the orders of rows have in common (node/rows.c, node/sorting.c). */
#ifndef TQI_PREFIX_H
#define TQI_PREFIX_H

#include <stddef.h>
#include <stdint.h>

/* A row to be sorted: eight bytes of what it is ordered by, and which it is. */
typedef struct tqi_sort_item {
    uint64_t prefix; /* big-endian, zeros behind the end */
    union {
        uint64_t index;        /* its number, or */
        const uint8_t *record; /* as tqi_record_encode wrote it, with TQI_KEY_SLACK readable bytes behind it */
    };
} tqi_sort_item;

/* Sort n items by prefix; those of the same one stay in their order. spare has room for n. */
void tqi_sort_by_prefix(tqi_sort_item *items, tqi_sort_item *spare, size_t n);

#endif
