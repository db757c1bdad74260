/* Rows: the entries of one partition of a result, their bytes, and the orders they can be put in.
 *
 * Rows belong to one task at a time while they are made and sorted; after that they are only read. */
#ifndef TQI_ROWS_H
#define TQI_ROWS_H

#include "node/arena.h"
#include "node/entry.h"
#include "node/spec.h"

typedef struct tqi_rows {
    tqi_budget *budget;
    tqi_entry *entries;
    size_t n, capacity;
    tqi_arena arena;
    struct tqi_sort_item *items; /* room for sorting, kept for the next time, */
    tqi_entry *copy;
    size_t sortable; /* of so many rows: the capacity, or 0 */
} tqi_rows;

void tqi_rows_init(tqi_rows *rows, tqi_budget *budget);
void tqi_rows_free(tqi_rows *rows);

/* Give back the memory that was there to sort them. */
void tqi_rows_settle(tqi_rows *rows);

/* Forget the rows, and keep the memory for the next. */
void tqi_rows_clear(tqi_rows *rows);

/* Append one row; key and value are copied. number is the value of a TQ_I64 row. TQ_E_MEMORY. */
tq_status tqi_rows_append(tqi_rows *rows, const tqi_value_shape *shape, tq_slice key, int64_t number, tq_slice value);

/* Append the records of a validated page. borrow: long keys stay in the page, which must live as long as the rows.
 * TQ_E_MEMORY; TQ_E_ACCOUNT: its records do not end where the page does. */
tq_status tqi_rows_append_page(tqi_rows *rows, const tqi_value_shape *shape, const uint8_t *page, bool borrow);

/* How rows compare: the order asked for, then the key's bytes, then the value (integers by value, others by bytes).
 * TQ_ORDER_NONE compares the hashes first. */
int tqi_rows_compare(tq_order order, const tqi_value_shape *shape, const tqi_entry *a, const tqi_entry *b);

/* The first 64 bits of what an order compares: rows whose prefixes differ are in the order of their prefixes. */
static inline uint64_t tqi_row_prefix(tq_order order, const tqi_entry *entry)
{
    uint64_t key = __builtin_bswap64(entry->word[0]);

    if (order == TQ_ORDER_VALUE_DESC)
        return ~(entry->value ^ (uint64_t)1 << 63);
    return order == TQ_ORDER_NONE ? (uint64_t)entry->hash32 << 32 | key >> 32 : key;
}

/* Sort. Not stable, which nobody can see: rows that compare equal are equal. Introspective sort (Musser, 1997); many rows by
 * eight bytes at a time, those by radix, for which they are copied, if the budget allows that. */
void tqi_entries_sort(tqi_entry *entries, size_t n, tq_order order, const tqi_value_shape *shape);
void tqi_rows_sort(tqi_rows *rows, tq_order order, const tqi_value_shape *shape);

/* Move the first limit of n rows of the order (limit > 0) to the front, in no particular order. Returns how many are
 * left: limit, or n if that is less. */
size_t tqi_entries_prune(tqi_entry *entries, size_t n, tq_order order, const tqi_value_shape *shape, uint64_t limit);

#endif
