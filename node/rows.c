#include "node/rows.h"

#include "node/heap.h"
#include "node/prefix.h"
#include "node/summary.h"
#include <stdlib.h>
#include <string.h>

typedef tqi_sort_item item; /* prefix: of what it is ordered by, or of what comes behind what was looked at already */

void tqi_rows_init(tqi_rows *rows, tqi_budget *budget)
{
    *rows = (tqi_rows){.budget = budget};
    tqi_arena_init(&rows->arena, budget);
}

void tqi_rows_settle(tqi_rows *rows)
{
    if (!rows->sortable)
        return;
    tqi_budget_free(rows->budget, rows->copy, rows->sortable * sizeof *rows->copy);
    tqi_budget_free(rows->budget, rows->items, rows->sortable * 2 * sizeof(item));
    rows->copy = NULL;
    rows->items = NULL;
    rows->sortable = 0;
}

void tqi_rows_free(tqi_rows *rows)
{
    tqi_budget_free(rows->budget, rows->entries, rows->capacity * sizeof *rows->entries);
    tqi_rows_settle(rows);
    tqi_arena_free(&rows->arena);
    rows->entries = NULL;
    rows->n = rows->capacity = 0;
}

void tqi_rows_clear(tqi_rows *rows)
{
    rows->n = 0;
    tqi_arena_reset(&rows->arena);
}

static tq_status reserve(tqi_rows *rows, size_t more)
{
    size_t capacity = rows->capacity ? 2 * rows->capacity : 64;

    if (more <= rows->capacity - rows->n)
        return TQ_OK;
    if (capacity < rows->n + more)
        capacity = rows->n + more;
    tqi_entry *entries =
        tqi_budget_realloc(rows->budget, rows->entries, rows->capacity * sizeof *entries, capacity * sizeof *entries);
    if (!entries)
        return TQ_E_MEMORY;
    rows->entries = entries;
    rows->capacity = capacity;
    return TQ_OK;
}

static tq_status set_key(tqi_rows *rows, tqi_entry *entry, tq_slice key, bool borrow)
{
    if (key.size <= TQI_KEY_INLINE) {
        if (key.size)
            memcpy(entry->word, key.data, key.size);
        return TQ_OK;
    }
    const char *bytes = borrow ? key.data : tqi_arena_copy(&rows->arena, key.data, key.size);
    if (!bytes)
        return TQ_E_MEMORY;
    memcpy(&entry->word[0], bytes, 8);
    entry->word[1] = (uint64_t)(uintptr_t)bytes;
    return TQ_OK;
}

static tq_status set_value(tqi_rows *rows, const tqi_value_shape *shape, tqi_entry *entry, int64_t number,
                           tq_slice value)
{
    if (shape->type == TQ_I64) {
        entry->value = (uint64_t)number;
        return TQ_OK;
    }
    size_t head = shape->type == TQ_BYTES ? sizeof(tqi_blob) : 0;
    char *memory = tqi_arena_alloc(&rows->arena, head + value.size);
    if (!memory)
        return TQ_E_MEMORY;
    if (head)
        ((tqi_blob *)(void *)memory)->size = value.size;
    if (value.size)
        memcpy(memory + head, value.data, value.size);
    entry->value = (uint64_t)(uintptr_t)memory;
    return TQ_OK;
}

static tq_status append(tqi_rows *rows, const tqi_value_shape *shape, tq_slice key, int64_t number, tq_slice value,
                        bool borrow)
{
    tqi_entry entry = {.size = (uint32_t)key.size};
    tq_status status = set_key(rows, &entry, key, borrow);

    if (!status)
        status = set_value(rows, shape, &entry, number, value);
    if (status)
        return status;
    entry.hash32 = (uint32_t)(tqi_entry_hash(&entry) >> 32);
    rows->entries[rows->n++] = entry;
    return TQ_OK;
}

tq_status tqi_rows_append(tqi_rows *rows, const tqi_value_shape *shape, tq_slice key, int64_t number, tq_slice value)
{
    tq_status status = reserve(rows, 1);

    return status ? status : append(rows, shape, key, number, value, false);
}

tq_status tqi_rows_append_page(tqi_rows *rows, const tqi_value_shape *shape, const uint8_t *page, bool borrow)
{
    tqi_page_header header = tqi_page_read_header(page);
    const uint8_t *at = page + TQI_PAGE_HEADER, *end = at + header.payload;
    tq_slice key, value;
    tq_summary summary;
    int64_t number = 0;
    uint32_t n = 0;
    tq_status status = header.records <= header.payload ? reserve(rows, header.records) : TQ_E_ACCOUNT;

    for (; n < header.records && !status && tqi_page_next(shape, &at, end, &key, &value, &number); n++) {
        if (shape->type == TQI_SUMMARY) {
            if (!tqi_summary_decode((const uint8_t *)value.data, value.size, &summary))
                return TQ_E_ACCOUNT;
            value = (tq_slice){(const char *)&summary, sizeof summary};
        }
        status = append(rows, shape, key, number, value, borrow);
    }
    if (status)
        return status;
    return at == end && n == header.records ? TQ_OK : TQ_E_ACCOUNT;
}

static int compare_bytes(tq_slice a, tq_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;

    return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* Big-endian, the words of a key compare as its bytes do; equal words of two short keys leave only trailing zeros,
 * where the shorter key comes first. */
static inline int compare_keys(const tqi_entry *a, const tqi_entry *b)
{
    uint64_t a0 = __builtin_bswap64(a->word[0]), b0 = __builtin_bswap64(b->word[0]);

    if (a0 != b0)
        return a0 < b0 ? -1 : 1;
    if (a->size > TQI_KEY_INLINE || b->size > TQI_KEY_INLINE)
        return compare_bytes(tqi_entry_key(a), tqi_entry_key(b));
    uint64_t a1 = __builtin_bswap64(a->word[1]), b1 = __builtin_bswap64(b->word[1]);
    if (a1 != b1)
        return a1 < b1 ? -1 : 1;
    return (a->size > b->size) - (a->size < b->size);
}

static int compare_values(const tqi_value_shape *shape, const tqi_entry *a, const tqi_entry *b)
{
    if (shape->type == TQ_I64)
        return ((int64_t)a->value > (int64_t)b->value) - ((int64_t)a->value < (int64_t)b->value);
    return compare_bytes(tqi_entry_value(shape, a), tqi_entry_value(shape, b));
}

static inline int compare(tq_order order, const tqi_value_shape *shape, const tqi_entry *a, const tqi_entry *b)
{
    if (order == TQ_ORDER_VALUE_DESC && a->value != b->value)
        return (int64_t)a->value > (int64_t)b->value ? -1 : 1;
    if (order == TQ_ORDER_NONE && a->hash32 != b->hash32)
        return a->hash32 < b->hash32 ? -1 : 1;
    int by_key = compare_keys(a, b);
    return by_key ? by_key : compare_values(shape, a, b);
}

int tqi_rows_compare(tq_order order, const tqi_value_shape *shape, const tqi_entry *a, const tqi_entry *b)
{
    return compare(order, shape, a, b);
}

/* What sorting needs to know, in one place. */
typedef struct sorter {
    tq_order order;
    const tqi_value_shape *shape;
} sorter;

/* A tqi_before_fn. */
static inline bool before(const void *how, const tqi_entry *a, const tqi_entry *b)
{
    const sorter *by = how;

    return compare(by->order, by->shape, a, b) < 0;
}

static void insertion_sort(const sorter *by, tqi_entry *first, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        tqi_entry held = first[i];
        size_t at = i;

        for (; at > 0 && before(by, &held, &first[at - 1]); at--)
            first[at] = first[at - 1];
        first[at] = held;
    }
}

/* Hoare's partition around the median of three; returns how many rows stand in the left part, at least 1 and less than
 * n. */
static size_t split_around_median(const sorter *by, tqi_entry *first, size_t n)
{
    size_t middle = (n - 1) / 2, left = 0, right = n - 1;

    if (before(by, &first[middle], &first[0]))
        tqi_entry_swap(&first[middle], &first[0]);
    if (before(by, &first[n - 1], &first[0]))
        tqi_entry_swap(&first[n - 1], &first[0]);
    if (before(by, &first[n - 1], &first[middle]))
        tqi_entry_swap(&first[n - 1], &first[middle]);
    tqi_entry pivot = first[middle];
    for (;; left++, right--) {
        while (before(by, &first[left], &pivot))
            left++;
        while (before(by, &pivot, &first[right]))
            right--;
        if (left >= right)
            return right + 1;
        tqi_entry_swap(&first[left], &first[right]);
    }
}

static void intro_sort(const sorter *by, tqi_entry *first, size_t n, int depth)
{
    while (n > 24) {
        if (depth-- == 0) {
            tqi_heap_sort(before, by, first, n, NULL);
            return;
        }
        size_t left = split_around_median(by, first, n);
        intro_sort(by, first + left, n - left, depth);
        n = left;
    }
    insertion_sort(by, first, n);
}

void tqi_entries_sort(tqi_entry *entries, size_t n, tq_order order, const tqi_value_shape *shape)
{
    sorter by = {order, shape};
    int depth = n ? 2 * (64 - __builtin_clzll(n)) : 0;

    intro_sort(&by, entries, n, depth);
}

/* ---- Many rows: by 64 bits of what they are ordered by, and where these are the same by the next 64 ---- */

enum { FEW_ROWS = 512, FEW_TIES = 8, MOST_LEVELS = 16 };

/* Eight bytes of a key, from 8 x level on, with zeros behind its end: they compare as its bytes do. */
static inline uint64_t key_word(const tqi_entry *entry, size_t level)
{
    uint64_t word = 0;

    if (entry->size <= TQI_KEY_INLINE)
        return level < 2 ? __builtin_bswap64(entry->word[level]) : 0;
    const char *key = (const char *)(uintptr_t)entry->word[1];
    if (entry->size >= 8 * level + 8)
        memcpy(&word, key + 8 * level, 8);
    else if (entry->size > 8 * level)
        memcpy(&word, key + 8 * level, entry->size & 7);
    return __builtin_bswap64(word);
}

static void sort_items_by_comparing(const sorter *by, const tqi_entry *entries, item *items, size_t n)
{
    if (n <= FEW_TIES) {
        for (size_t i = 1; i < n; i++) {
            item held = items[i];
            size_t at = i;

            for (; at > 0 && before(by, &entries[held.index], &entries[items[at - 1].index]); at--)
                items[at] = items[at - 1];
            items[at] = held;
        }
        return;
    }
    /* Heaps need no stack, and this is seldom: many rows with the same key, or keys that differ very late. */
    for (size_t i = n / 2, end = n; end > 1;) {
        if (i > 0) {
            i--;
        } else {
            item last = items[--end];
            items[end] = items[0];
            items[0] = last;
        }
        item held = items[i];
        size_t at = i;
        for (size_t child; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && before(by, &entries[items[child].index], &entries[items[child + 1].index]))
                child++;
            if (!before(by, &entries[held.index], &entries[items[child].index]))
                break;
            items[at] = items[child];
        }
        items[at] = held;
    }
}

/* Those of n items whose keys end before 8 x level come first. Returns how many these are. */
static size_t ended_first(const tqi_entry *entries, item *items, size_t n, size_t level)
{
    size_t ended = 0;

    for (size_t i = 0; i < n; i++) {
        item held = items[i];

        if (entries[held.index].size > 8 * level)
            continue;
        items[i] = items[ended];
        items[ended++] = held;
    }
    return ended;
}

static void sort_ties(const sorter *by, const tqi_entry *entries, item *items, item *spare, size_t n, size_t level);

/* Items that are the same in all bytes before 8 x level of their keys. */
static void sort_level(const sorter *by, const tqi_entry *entries, item *items, item *spare, size_t n, size_t level)
{
    if (n <= FEW_TIES || level > MOST_LEVELS) {
        sort_items_by_comparing(by, entries, items, n);
        return;
    }
    size_t ended = ended_first(entries, items, n, level);
    sort_items_by_comparing(by, entries, items, ended);
    items += ended;
    n -= ended;
    for (size_t i = 0; i < n; i++)
        items[i].prefix = key_word(&entries[items[i].index], level);
    tqi_sort_by_prefix(items, spare, n);
    sort_ties(by, entries, items, spare, n, level + 1);
}

/* Items in the order of their prefixes: sort those with the same one by what comes behind it, keys from level on. */
static void sort_ties(const sorter *by, const tqi_entry *entries, item *items, item *spare, size_t n, size_t level)
{
    for (size_t first = 0, same; first < n; first += same) {
        for (same = 1; first + same < n && items[first + same].prefix == items[first].prefix;)
            same++;
        if (same > 1)
            sort_level(by, entries, items + first, spare, same, level);
    }
}

/* Room for as many entries again, and for two items a row. */
static bool reserve_to_sort(tqi_rows *rows)
{
    size_t items_bytes = rows->capacity * 2 * sizeof(item), copy_bytes = rows->capacity * sizeof *rows->copy;

    if (rows->sortable == rows->capacity)
        return true;
    tqi_rows_settle(rows);
    rows->items = tqi_budget_alloc(rows->budget, items_bytes);
    rows->copy = rows->items ? tqi_budget_alloc(rows->budget, copy_bytes) : NULL;
    if (rows->copy)
        rows->sortable = rows->capacity;
    else
        tqi_budget_free(rows->budget, rows->items, items_bytes);
    return rows->copy != NULL;
}

/* Returns false, and has done nothing, if there is no memory for it. */
static bool sort_by_parts(tqi_rows *rows, const sorter *by)
{
    size_t n = rows->n;

    if (!reserve_to_sort(rows))
        return false;
    item *items = rows->items;
    for (size_t i = 0; i < n; i++)
        items[i] = (item){tqi_row_prefix(by->order, &rows->entries[i]), .index = i};
    tqi_sort_by_prefix(items, items + n, n);
    /* Behind the value comes the whole key, behind 8 bytes of the key the rest of it. What comes behind a hash is seldom. */
    sort_ties(by, rows->entries, items, items + n, n,
              by->order == TQ_ORDER_KEY || by->order == TQ_ORDER_STABLE ? 1
              : by->order == TQ_ORDER_VALUE_DESC ? 0
                                                 : MOST_LEVELS + 1);
    tqi_entry *sorted = rows->copy;
    for (size_t i = 0; i < n; i++)
        sorted[i] = rows->entries[items[i].index];
    rows->copy = rows->entries;
    rows->entries = sorted;
    return true;
}

void tqi_rows_sort(tqi_rows *rows, tq_order order, const tqi_value_shape *shape)
{
    sorter by = {order, shape};

    if (rows->n < FEW_ROWS || rows->n > UINT32_MAX || !sort_by_parts(rows, &by))
        tqi_entries_sort(rows->entries, rows->n, order, shape);
}

size_t tqi_entries_prune(tqi_entry *heap, size_t n, tq_order order, const tqi_value_shape *shape, uint64_t limit)
{
    sorter by = {order, shape};

    if (limit == 0 || n <= limit)
        return n;
    tqi_heap_choose(before, &by, heap, n, (size_t)limit, NULL);
    return (size_t)limit;
}
