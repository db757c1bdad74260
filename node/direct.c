#include "node/direct.h"

#include "common/fault.h"
#include <stdlib.h>
#include <string.h>

enum { SMALLEST_PAGE = 1 << 10 };

tq_status tqi_direct_init(tqi_direct *direct, const tqi_spec *spec, const tqi_splitters *splitters, uint64_t memory,
                          tqi_deliver_fn deliver, void *owner)
{
    uint32_t lanes = splitters ? spec->partitions : 1;
    uint64_t bytes = memory / lanes, block = spec->pool->block_bytes - sizeof(tqi_run);

    *direct = (tqi_direct){.spec = spec, .splitters = splitters, .n_lanes = lanes, .deliver = deliver, .owner = owner};
    bytes = bytes < SMALLEST_PAGE ? SMALLEST_PAGE : bytes;
    direct->page_bytes = (size_t)(bytes < block ? bytes : block);
    direct->lanes = calloc(lanes, sizeof *direct->lanes);
    return direct->lanes ? TQ_OK : TQ_E_MEMORY;
}

void tqi_direct_free(tqi_direct *direct)
{
    for (uint32_t l = 0; direct->lanes && l < direct->n_lanes; l++)
        tqi_run_free(direct->spec, direct->lanes[l].page);
    free(direct->lanes);
    *direct = (tqi_direct){0};
}

static void put_big_endian(uint8_t *to, uint64_t number, int bytes)
{
    for (int i = bytes; i-- > 0; number >>= 8)
        to[i] = (uint8_t)number;
}

/* Rows of one key are ordered by their values, not by where they come from. */
static inline bool is_by_value(const tqi_direct *direct)
{
    return direct->spec->order == TQ_ORDER_KEY;
}

/* ---- Pages ---- */

static void close_stretch(tqi_lane *lane)
{
    tqi_stretch_header header;

    if (!lane->stretch)
        return;
    memcpy(&header, lane->stretch, sizeof header);
    header.bytes = (uint32_t)(lane->at - lane->stretch) - (uint32_t)sizeof header;
    memcpy(lane->stretch, &header, sizeof header);
    lane->stretch = NULL;
}

static uint32_t range_of_lane(const tqi_direct *direct, const tqi_lane *lane)
{
    if (direct->splitters)
        return (uint32_t)(lane - direct->lanes);
    return direct->spec->first_partition + (uint32_t)(direct->piece % direct->spec->own_partitions);
}

static void hand_on(tqi_direct *direct, tqi_lane *lane)
{
    tqi_run *page = lane->page;

    if (!page)
        return;
    close_stretch(lane);
    if (tqi_fault("corrupt-key", direct->spec->rank)) /* before its checksum is made */
        page->data[TQI_PAGE_HEADER + sizeof(tqi_stretch_header) + 1] ^= 1;
    page->bytes = (size_t)(lane->at - page->data);
    page->records = lane->records;
    tqi_seal(direct->spec, page->data, range_of_lane(direct, lane), (uint32_t)lane->records,
             (uint32_t)(page->bytes - TQI_PAGE_HEADER));
    lane->at = lane->end = NULL;
    lane->page = NULL;
    lane->records = 0;
    direct->piece += is_by_value(direct) && !direct->splitters; /* the next page goes elsewhere */
    direct->deliver(direct->owner, page);
}

/* Memory of its own for a page that is much smaller than a block of the pool. */
static tqi_run *new_page(const tqi_direct *direct, uint64_t needed)
{
    const tqi_spec *spec = direct->spec;
    size_t capacity = needed > direct->page_bytes ? (size_t)needed : direct->page_bytes;

    if (capacity > direct->page_bytes || capacity > spec->pool->block_bytes / 2)
        return tqi_run_new(spec, capacity, true);
    tqi_run *run = tqi_budget_force(spec->budget, sizeof *run + capacity);
    if (run)
        *run = (tqi_run){.capacity = capacity};
    return run;
}

static tq_status open_page(tqi_direct *direct, tqi_lane *lane, uint64_t size)
{
    uint64_t needed = TQI_PAGE_HEADER + sizeof(tqi_stretch_header) + size + TQI_KEY_SLACK;

    hand_on(direct, lane);
    if (needed > TQI_PAGE_PAYLOAD_MAX)
        return TQ_E_MEMORY;
    lane->page = new_page(direct, needed);
    if (!lane->page)
        return TQ_E_MEMORY;
    lane->at = lane->page->data + TQI_PAGE_HEADER;
    lane->end = lane->page->data + lane->page->capacity - TQI_KEY_SLACK;
    return TQ_OK;
}

/* Room for a record of size bytes in a stretch of the piece at hand. */
static __attribute__((noinline)) tq_status make_room(tqi_direct *direct, tqi_lane *lane, uint64_t size)
{
    tqi_stretch_header header = {direct->origin.offset, direct->origin.file, 0};

    close_stretch(lane);
    if (!lane->page || sizeof header + size > (uint64_t)(lane->end - lane->at)) {
        tq_status status = open_page(direct, lane, size);

        if (status)
            return status;
    }
    lane->stretch = lane->at;
    memcpy(lane->at, &header, sizeof header);
    lane->at += sizeof header;
    lane->piece = direct->piece;
    return TQ_OK;
}

void tqi_direct_begin(tqi_direct *direct, tqi_origin origin)
{
    if (is_by_value(direct))
        return;
    if (!direct->splitters && direct->lanes) /* its next records go elsewhere */
        hand_on(direct, &direct->lanes[0]);
    direct->origin = origin;
    direct->piece++;
    if (!direct->spec->unique) {
        put_big_endian(direct->value, origin.file, 4);
        put_big_endian(direct->value + 4, origin.offset, 8);
    }
}

/* ---- Records ---- */

tqi_spec tqi_direct_sample_spec(const tqi_spec *spec)
{
    tqi_spec made = *spec;

    made.budget = NULL; /* they are few, and what comes after them depends on them */
    made.shape = made.result_shape = (tqi_value_shape){TQ_FIXED, TQI_ORIGIN_BYTES};
    made.order = TQ_ORDER_STABLE;
    return made;
}

/* The first bytes of a value, with zeros behind its end; of a number, bytes that compare as it does. */
static void begin_of_value(const tqi_value_shape *shape, int64_t number, tq_slice value, uint8_t *to)
{
    memset(to, 0, TQI_ORIGIN_BYTES);
    if (shape->type == TQ_I64)
        put_big_endian(to, (uint64_t)number ^ (uint64_t)1 << 63, 8);
    else if (value.size)
        memcpy(to, value.data, value.size < TQI_ORIGIN_BYTES ? value.size : TQI_ORIGIN_BYTES);
}

static tqi_entry sample_of(const tqi_direct *direct, const tqi_key *key)
{
    return (tqi_entry){
        .word = {key->word[0], key->word[1]}, .value = (uint64_t)(uintptr_t)direct->value, .size = (uint32_t)key->size};
}

tqi_entry tqi_direct_sample(tqi_direct *direct, const tqi_key *key, int64_t number, tq_slice value)
{
    if (is_by_value(direct))
        begin_of_value(&direct->spec->result_shape, number, value, direct->value);
    return sample_of(direct, key);
}

static bool same_key(const tqi_entry *a, const tqi_entry *b)
{
    if (a->size != b->size || a->word[0] != b->word[0])
        return false;
    if (a->size <= TQI_KEY_INLINE)
        return a->word[1] == b->word[1];
    return memcmp((const char *)(uintptr_t)a->word[1], (const char *)(uintptr_t)b->word[1], a->size) == 0;
}

static bool is_before(const tqi_origin *a, const tqi_origin *b)
{
    return a->file != b->file ? a->file < b->file : a->offset < b->offset;
}

/* Whether a row with the key that its range begins with comes behind one that was seen here before. */
static bool comes_again(const tqi_direct *direct, tqi_lane *lane, uint32_t range, const tqi_entry *entry)
{
    if (range == 0 || !same_key(entry, &direct->splitters->rows.entries[range - 1]))
        return false;
    if (lane->thinned && !is_before(&direct->origin, &lane->first))
        return true;
    lane->thinned = true;
    lane->first = direct->origin;
    return false;
}

tq_status tqi_direct_put(tqi_direct *direct, const tqi_key *key, int64_t number, tq_slice value, const tq_account *pair)
{
    const tqi_value_shape *shape = &direct->spec->result_shape;
    const void *bytes = key->size <= TQI_KEY_INLINE ? (const void *)key->word : (const void *)(uintptr_t)key->word[1];
    uint64_t size = tqi_record_size(shape, key->size, number, value);
    tqi_lane *lane = direct->lanes;

    if (direct->splitters) {
        tqi_entry entry = sample_of(direct, key);
        uint32_t range;

        if (!tqi_range_by_prefix(direct->splitters, &entry, &range)) {
            if (is_by_value(direct))
                begin_of_value(shape, number, value, direct->value);
            range = tqi_range_of(direct->splitters, &entry);
        }

        lane += range;
        if (direct->spec->unique && comes_again(direct, lane, range, &entry)) {
            tqi_account_add(&direct->left_out, pair);
            return TQ_OK;
        }
    }
    if (lane->piece != direct->piece || !lane->stretch || size > (uint64_t)(lane->end - lane->at)) {
        tq_status status = make_room(direct, lane, size);

        if (status)
            return status;
    }
    lane->at = tqi_record_encode(shape, bytes, key->size, number, value, lane->at);
    lane->records++;
    tqi_account_add(&direct->written, pair);
    return TQ_OK;
}

void tqi_direct_flush(tqi_direct *direct)
{
    for (uint32_t l = 0; l < direct->n_lanes; l++)
        hand_on(direct, &direct->lanes[l]);
}

bool tqi_direct_next(const uint8_t **cursor, const uint8_t *end, tqi_origin *origin, const uint8_t **records,
                     size_t *bytes)
{
    tqi_stretch_header header;

    if ((size_t)(end - *cursor) < sizeof header)
        return false;
    memcpy(&header, *cursor, sizeof header);
    if (header.bytes > (size_t)(end - *cursor) - sizeof header)
        return false;
    *origin = (tqi_origin){header.offset, header.file};
    *records = *cursor + sizeof header;
    *bytes = header.bytes;
    *cursor = *records + header.bytes;
    return true;
}
