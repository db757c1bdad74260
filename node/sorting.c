#include "node/sorting.h"

#include "common/error.h"
#include <stdlib.h>
#include <string.h>

typedef tqi_sort_item item;

typedef struct tqi_stretch {
    tqi_origin origin;
    const uint8_t *records;
    size_t bytes, number; /* number: as it came */
} stretch;

enum { FEW_ITEMS = 32 };

void tqi_sorting_init(tqi_sorting *sorting, tqi_budget *budget, uint64_t planned)
{
    *sorting = (tqi_sorting){.budget = budget, .planned = planned};
}

static void free_items(tqi_sorting *sorting)
{
    tqi_budget_free(sorting->budget, sorting->items, sorting->capacity * sizeof(item));
    tqi_budget_free(sorting->budget, sorting->spare, sorting->capacity * sizeof(item));
    sorting->items = sorting->spare = NULL;
    sorting->capacity = 0;
}

void tqi_sorting_free(tqi_sorting *sorting)
{
    free_items(sorting);
    free(sorting->stretches);
    tqi_budget_free(sorting->budget, sorting->pages, sorting->pages_size);
}

/* ---- Loading ---- */

static void *take(tqi_sorting *sorting, size_t bytes)
{
    return bytes <= sorting->planned ? tqi_budget_force(sorting->budget, bytes)
                                     : tqi_budget_alloc(sorting->budget, bytes);
}

static bool reserve_items(tqi_sorting *sorting, uint64_t n)
{
    size_t capacity = n + n / 4 + 64;

    if (n <= sorting->capacity)
        return true;
    free_items(sorting);
    sorting->items = take(sorting, capacity * sizeof(item));
    sorting->spare = take(sorting, capacity * sizeof(item));
    sorting->capacity = capacity;
    if (sorting->items && sorting->spare)
        return true;
    free_items(sorting);
    return false;
}

/* Room for those pages that were spilled. */
static bool reserve_pages(tqi_sorting *sorting, const tqi_store *store, uint32_t part, size_t first, size_t end)
{
    size_t size = TQI_KEY_SLACK;

    for (size_t i = first; i < end; i++)
        size += tqi_store_keeps_page(store, part, i) ? 0 : store->parts[part].pages[i].size;
    if (size == TQI_KEY_SLACK || size <= sorting->pages_size)
        return true;
    tqi_budget_free(sorting->budget, sorting->pages, sorting->pages_size);
    size += size / 4;
    sorting->pages = take(sorting, size);
    sorting->pages_size = sorting->pages ? size : 0;
    if (sorting->pages)
        memset(sorting->pages + size - TQI_KEY_SLACK, 0, TQI_KEY_SLACK);
    return sorting->pages != NULL;
}

static tq_status add_stretches(tqi_sorting *sorting, const uint8_t *page, tq_error *error)
{
    tqi_page_header header = tqi_page_read_header(page);
    const uint8_t *at = page + TQI_PAGE_HEADER, *end = at + header.payload;
    stretch found = {0};

    while (tqi_direct_next(&at, end, &found.origin, &found.records, &found.bytes)) {
        if (sorting->n_stretches == sorting->stretch_capacity) {
            size_t capacity = sorting->stretch_capacity ? 2 * sorting->stretch_capacity : 256;
            stretch *stretches = realloc(sorting->stretches, capacity * sizeof *stretches);

            if (!stretches)
                return tqi_fail_memory(error, capacity * sizeof *stretches, "the pages of a range");
            sorting->stretches = stretches;
            sorting->stretch_capacity = capacity;
        }
        found.number = sorting->n_stretches;
        sorting->stretches[sorting->n_stretches++] = found;
    }
    return at == end ? TQ_OK : tqi_fail(error, TQ_E_ACCOUNT, "a page of rows is malformed");
}

/* *records: how many they have. */
static tq_status load_pages(tqi_sorting *sorting, const tqi_store *store, uint32_t part, size_t first, size_t end,
                            uint64_t *records, tq_error *error)
{
    tqi_page_buffer buffer = {0};
    uint8_t *to = sorting->pages;
    tq_status status = TQ_OK;

    for (size_t i = first; i < end && !status; i++) {
        const uint8_t *page;

        status = tqi_store_page(store, part, i, &buffer, &page, error);
        if (!status)
            *records += tqi_page_read_header(page).records;
        if (!status && !tqi_store_keeps_page(store, part, i)) {
            memcpy(to, page, store->parts[part].pages[i].size);
            page = to;
            to += store->parts[part].pages[i].size;
        }
        if (!status)
            status = add_stretches(sorting, page, error);
    }
    tqi_page_buffer_free(&buffer);
    return status;
}

static int compare_stretches(const void *left, const void *right)
{
    const stretch *a = left, *b = right;

    if (a->origin.file != b->origin.file)
        return a->origin.file < b->origin.file ? -1 : 1;
    if (a->origin.offset != b->origin.offset)
        return a->origin.offset < b->origin.offset ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

/* Zeros where a key of size bytes does not reach. key has slack behind it. */
static inline uint64_t first_bytes(const char *key, size_t size)
{
    uint64_t word;

    memcpy(&word, key, sizeof word);
    word = __builtin_bswap64(word);
    return size >= 8 ? word : size ? word & ~(uint64_t)0 << (64 - 8 * size) : 0;
}

static tq_status parse(tqi_sorting *sorting, const stretch *from, tq_account *account, uint64_t most)
{
    const tqi_spec *spec = sorting->spec;
    const uint8_t *at = from->records, *end = at + from->bytes, *record = at;
    tq_slice key, value;
    int64_t number = 0;
    tq_account sum = {0};

    for (; sorting->n < most && tqi_page_next(&spec->result_shape, &at, end, &key, &value, &number); record = at) {
        sorting->items[sorting->n++] = (item){first_bytes(key.data, key.size), .record = record};
        sorting->bytes += key.size + value.size;
        tqi_account_pair(spec, tqi_hash(key.data, key.size), number, value, &sum);
    }
    tqi_account_add(account, &sum);
    return at == end ? TQ_OK : TQ_E_ACCOUNT;
}

tq_status tqi_sorting_load_pages(tqi_sorting *sorting, const tqi_spec *spec, const tqi_store *store, uint32_t part,
                                 size_t first, size_t end, tq_account *account, tq_error *error)
{
    uint64_t records = 0;

    sorting->spec = spec;
    sorting->n = sorting->n_stretches = 0;
    sorting->bytes = 0;
    if (!reserve_pages(sorting, store, part, first, end))
        return tqi_fail(error, TQ_E_MEMORY, "no memory for the rows of a range (see --memory)");
    tq_status status = load_pages(sorting, store, part, first, end, &records, error);
    if (!status && !reserve_items(sorting, records))
        status = tqi_fail(error, TQ_E_MEMORY, "no memory for the rows of a range (see --memory)");
    if (!status && sorting->n_stretches > 1)
        qsort(sorting->stretches, sorting->n_stretches, sizeof *sorting->stretches, compare_stretches);
    for (size_t i = 0; i < sorting->n_stretches && !status; i++)
        if (parse(sorting, &sorting->stretches[i], account, records))
            status = tqi_fail(error, TQ_E_ACCOUNT, "a page of rows is malformed");
    return status;
}

tq_status tqi_sorting_load(tqi_sorting *sorting, const tqi_spec *spec, const tqi_store *store, uint32_t part,
                           tq_account *account, tq_error *error)
{
    const tqi_store_part *all = &store->parts[part];

    if (!reserve_items(sorting, all->records)) /* before anything is read */
        return tqi_fail(error, TQ_E_MEMORY, "no memory for the rows of a range (see --memory)");
    return tqi_sorting_load_pages(sorting, spec, store, part, 0, all->n, account, error);
}

static int compare_places(const void *left, const void *right)
{
    const stretch *a = left, *b = right;

    return ((uintptr_t)a->records > (uintptr_t)b->records) - ((uintptr_t)a->records < (uintptr_t)b->records);
}

void tqi_sorting_find_origins(tqi_sorting *sorting)
{
    if (sorting->n_stretches > 1)
        qsort(sorting->stretches, sorting->n_stretches, sizeof *sorting->stretches, compare_places);
}

tqi_origin tqi_sorting_origin(const tqi_sorting *sorting, size_t i)
{
    uintptr_t record = (uintptr_t)sorting->items[i].record;
    size_t low = 0, high = sorting->n_stretches;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if ((uintptr_t)sorting->stretches[middle].records <= record)
            low = middle;
        else
            high = middle;
    }
    return sorting->stretches[low].origin;
}

/* ---- Keys, and values that follow them in an order ---- */

/* What rows are ordered by. */
typedef struct sorter {
    const tqi_value_shape *shape;
    bool by_value; /* rows with the same key are ordered by their values */
    bool in_value; /* the keys are the same: what is looked at is the values */
} sorter;

static inline tq_slice key_of(const uint8_t *record)
{
    uint64_t size = *record;
    const uint8_t *key = record + 1;

    if (size >= 128)
        key = tqi_varint_get(record, record + TQI_VARINT_MAX, &size);
    return (tq_slice){(const char *)key, size};
}

/* Of a number its varint. */
static tq_slice value_of(const tqi_value_shape *shape, const uint8_t *record)
{
    tq_slice key, value;
    int64_t number;

    tqi_page_next(shape, &record, record + UINT32_MAX, &key, &value, &number);
    return value;
}

static int64_t number_of(const tqi_value_shape *shape, const uint8_t *record)
{
    tq_slice key, value;
    int64_t number = 0;

    tqi_page_next(shape, &record, record + UINT32_MAX, &key, &value, &number);
    return number;
}

/* The bytes that are sorted by. */
static inline tq_slice bytes_of(const sorter *by, const uint8_t *record)
{
    return by->in_value ? value_of(by->shape, record) : key_of(record);
}

static int compare_bytes(tq_slice x, tq_slice y)
{
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);

    return order ? order : (x.size > y.size) - (x.size < y.size);
}

static int compare_keys(const uint8_t *a, const uint8_t *b)
{
    return compare_bytes(key_of(a), key_of(b));
}

static int compare(const sorter *by, const uint8_t *a, const uint8_t *b)
{
    int order = by->in_value ? 0 : compare_keys(a, b);

    if (order || !by->by_value)
        return order;
    if (by->shape->type != TQ_I64)
        return compare_bytes(value_of(by->shape, a), value_of(by->shape, b));
    int64_t x = number_of(by->shape, a), y = number_of(by->shape, b);
    return (x > y) - (x < y);
}

void tqi_sorting_row(const tqi_sorting *sorting, size_t i, tq_slice *key, int64_t *number, tq_slice *value)
{
    const uint8_t *at = sorting->items[i].record;

    /* It was walked over when it was loaded: no end is needed. */
    tqi_page_next(&sorting->spec->result_shape, &at, at + UINT32_MAX, key, value, number);
}

/* ---- Sorting: all of it is stable ---- */

static bool is_sorted(const sorter *by, const item *items, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (compare(by, items[i - 1].record, items[i].record) > 0)
            return false;
    return true;
}

static void insert_by_comparing(const sorter *by, item *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        item held = items[i];
        size_t at = i;

        for (; at > 0 && compare(by, held.record, items[at - 1].record) < 0; at--)
            items[at] = items[at - 1];
        items[at] = held;
    }
}

static void sort_behind(const sorter *by, item *items, item *spare, size_t n, size_t from);

/* Items that have the same key. */
static void sort_values(const sorter *by, item *items, item *spare, size_t n)
{
    sorter values = {by->shape, true, true};

    if (by->shape->type != TQ_I64) {
        sort_behind(&values, items, spare, n, 0);
        return;
    }
    for (size_t i = 0; i < n; i++)
        items[i].prefix = (uint64_t)number_of(by->shape, items[i].record) ^ (uint64_t)1 << 63;
    tqi_sort_by_prefix(items, spare, n);
}

/* Move the items whose bytes end at or before byte `from` to the front, the shortest first: the others have more behind what
 * is the same in all. Returns how many they are. */
static size_t ended_first(const sorter *by, item *items, item *spare, size_t n, size_t from)
{
    size_t ended = 0, others = 0;

    for (size_t i = 0; i < n; i++) {
        size_t size = bytes_of(by, items[i].record).size;

        if (size <= from)
            items[ended++] = (item){size, .record = items[i].record};
        else
            spare[others++] = items[i];
    }
    memcpy(items + ended, spare, others * sizeof *items);
    tqi_sort_by_prefix(items, spare, ended);
    for (size_t first = 0, same; by->by_value && !by->in_value && first < ended; first += same) {
        for (same = 1; first + same < ended && items[first + same].prefix == items[first].prefix;)
            same++;
        if (same > 1)
            sort_values(by, items + first, spare, same);
    }
    return ended;
}

static void sort_ties(const sorter *by, item *items, item *spare, size_t n, size_t from);

/* Items that are the same in all bytes before `from`, with zeros behind their ends. */
static void sort_behind(const sorter *by, item *items, item *spare, size_t n, size_t from)
{
    if (n <= FEW_ITEMS) {
        insert_by_comparing(by, items, n);
        return;
    }
    while (!is_sorted(by, items, n)) {
        size_t ended = ended_first(by, items, spare, n, from);
        bool differ = false;

        items += ended;
        n -= ended;
        for (size_t i = 0; i < n; i++) {
            tq_slice bytes = bytes_of(by, items[i].record);

            items[i].prefix = first_bytes(bytes.data + from, bytes.size - from);
            differ |= items[i].prefix != items[0].prefix;
        }
        from += 8;
        if (differ) {
            tqi_sort_by_prefix(items, spare, n);
            sort_ties(by, items, spare, n, from);
            return;
        }
    }
}

/* Items in the order of their prefixes, which end at byte `from`: sort those with the same one by what comes behind it. */
static void sort_ties(const sorter *by, item *items, item *spare, size_t n, size_t from)
{
    for (size_t first = 0, same; first < n; first += same) {
        for (same = 1; first + same < n && items[first + same].prefix == items[first].prefix;)
            same++;
        if (same > 1)
            sort_behind(by, items + first, spare, same, from);
    }
}

void tqi_sorting_sort(tqi_sorting *sorting)
{
    sorter by = {&sorting->spec->result_shape, sorting->spec->order == TQ_ORDER_KEY, false};

    tqi_sort_by_prefix(sorting->items, sorting->spare, sorting->n);
    sort_ties(&by, sorting->items, sorting->spare, sorting->n, sizeof sorting->items->prefix);
}

/* ---- Leaving out ---- */

static void drop(tqi_sorting *sorting, size_t i, tq_account *dropped)
{
    tq_slice key, value;
    int64_t number = 0;

    tqi_sorting_row(sorting, i, &key, &number, &value);
    sorting->bytes -= key.size + value.size;
    tqi_account_pair(sorting->spec, tqi_hash(key.data, key.size), number, value, dropped);
}

void tqi_sorting_unique(tqi_sorting *sorting, tq_account *dropped)
{
    size_t kept = sorting->n > 0;

    for (size_t i = 1; i < sorting->n; i++) {
        if (compare_keys(sorting->items[kept - 1].record, sorting->items[i].record) == 0)
            drop(sorting, i, dropped);
        else
            sorting->items[kept++] = sorting->items[i];
    }
    sorting->n = kept;
}

void tqi_sorting_limit(tqi_sorting *sorting, size_t n, tq_account *dropped)
{
    for (size_t i = n; i < sorting->n; i++)
        drop(sorting, i, dropped);
    sorting->n = n < sorting->n ? n : sorting->n;
}
