#include "node/run.h"

#include "common/account.h"
#include "common/fault.h"
#include "node/summary.h"
#include <stdlib.h>
#include <string.h>

tq_status tqi_run_builder_init(tqi_run_builder *builder, const tqi_spec *spec, const tqi_value_shape *shape,
                               uint32_t first_partition, uint32_t partitions)
{
    *builder =
        (tqi_run_builder){.spec = spec, .shape = shape, .first_partition = first_partition, .partitions = partitions};
    builder->parts = calloc(partitions, sizeof *builder->parts);
    return builder->parts ? TQ_OK : TQ_E_MEMORY;
}

void tqi_run_builder_free(tqi_run_builder *builder)
{
    free(builder->parts);
    builder->parts = NULL;
}

uint64_t tqi_record_size(const tqi_value_shape *shape, size_t key_size, int64_t number, tq_slice value)
{
    uint64_t size = tqi_varint_size(key_size) + key_size;

    if (shape->type == TQ_I64)
        return size + tqi_varint_size(tqi_zigzag(number));
    if (shape->type == TQI_SUMMARY) {
        uint8_t encoded[TQI_SUMMARY_ENCODED];

        return size + 1 + tqi_summary_encode((const tq_summary *)(const void *)value.data, encoded);
    }
    return size + value.size + (shape->type == TQ_BYTES ? tqi_varint_size(value.size) : 0);
}

uint8_t *tqi_record_encode(const tqi_value_shape *shape, const void *key, size_t key_size, int64_t number,
                           tq_slice value, uint8_t *to)
{
    to = tqi_varint_put(to, key_size);
    if (key_size <= TQI_KEY_INLINE)
        memcpy(to, key, TQI_KEY_INLINE);
    else
        memcpy(to, key, key_size);
    to += key_size;
    if (shape->type == TQ_I64)
        return tqi_varint_put(to, tqi_zigzag(number));
    if (shape->type == TQI_SUMMARY) {
        uint8_t encoded[TQI_SUMMARY_ENCODED];

        *to = (uint8_t)tqi_summary_encode((const tq_summary *)(const void *)value.data, encoded);
        memcpy(to + 1, encoded, *to);
        return to + 1 + *to;
    }
    if (shape->type == TQ_BYTES)
        to = tqi_varint_put(to, value.size);
    if (value.size)
        memcpy(to, value.data, value.size);
    return to + value.size;
}

uint64_t tqi_encoded_size(const tqi_value_shape *shape, const tqi_entry *entry)
{
    return tqi_record_size(shape, entry->size, (int64_t)entry->value, tqi_entry_value(shape, entry));
}

uint8_t *tqi_encode(const tqi_value_shape *shape, const tqi_entry *entry, uint8_t *to)
{
    return tqi_record_encode(shape, tqi_entry_key(entry).data, entry->size, (int64_t)entry->value,
                             tqi_entry_value(shape, entry), to);
}

void tqi_seal(const tqi_spec *spec, uint8_t *page, uint32_t partition, uint32_t records, uint32_t payload)
{
    if (partition - spec->first_partition < spec->own_partitions)
        tqi_page_mark_local(page, partition, records, payload);
    else
        tqi_page_seal(page, partition, records, payload);
    if (tqi_fault("corrupt-page", spec->rank))
        page[TQI_PAGE_HEADER + payload / 2] ^= 1;
}

void tqi_account_entry(const tqi_spec *spec, const tqi_value_shape *shape, const tqi_entry *entry, tq_account *account)
{
    if (spec->combine == TQ_SUM && shape->type == TQ_I64)
        tqi_account_sum(account, tqi_entry_hash(entry), entry->value);
    else if (shape->type == TQI_SUMMARY)
        tqi_account_summary(account, tqi_entry_hash(entry), (const tq_summary *)(uintptr_t)entry->value);
    else
        tqi_account_record(account, tqi_entry_hash(entry), tqi_entry_value_hash(shape, entry));
}

/* The partition of entry i, as a place in builder->parts. */
static inline uint32_t part_at(const tqi_run_builder *builder, const tqi_entry *entries, const uint32_t *partition_of,
                               size_t i)
{
    if (builder->partitions == 1)
        return 0;
    uint32_t partition =
        partition_of ? partition_of[i] : tqi_partition_of(entries[i].hash32, builder->spec->partitions);
    return partition - builder->first_partition;
}

/* Sizes a partition, then the place of each partition's page. Returns the size of all pages, 0 if one would be too
 * large. */
static uint64_t lay_out(tqi_run_builder *builder, const tqi_entry *entries, size_t n, const uint32_t *partition_of)
{
    uint64_t total = 0;

    memset(builder->parts, 0, builder->partitions * sizeof *builder->parts);
    for (size_t i = 0; i < n; i++) {
        struct tqi_run_part *part = &builder->parts[part_at(builder, entries, partition_of, i)];

        part->bytes += tqi_encoded_size(builder->shape, &entries[i]);
        part->records++;
    }
    for (uint32_t p = 0; p < builder->partitions; p++) {
        if (builder->parts[p].bytes > TQI_PAGE_PAYLOAD_MAX)
            return 0;
        if (builder->parts[p].records)
            total += TQI_PAGE_HEADER + builder->parts[p].bytes;
    }
    return total;
}

/* Headers and checksums. A page's records are there by now. */
static void seal_all(tqi_run_builder *builder, uint8_t *page)
{
    for (uint32_t p = 0; p < builder->partitions; p++) {
        struct tqi_run_part *part = &builder->parts[p];

        if (!part->records)
            continue;
        tqi_seal(builder->spec, page, builder->first_partition + p, part->records, (uint32_t)part->bytes);
        page += TQI_PAGE_HEADER + part->bytes;
    }
}

tq_status tqi_run_build(tqi_run_builder *builder, const tqi_entry *entries, size_t n, const uint32_t *partition_of,
                        tq_account *account, tqi_run **run)
{
    const tqi_spec *spec = builder->spec;
    uint64_t records = n;

    if (tqi_fault("drop-record", spec->rank))
        n -= n > 1;
    uint64_t total = lay_out(builder, entries, n, partition_of);
    if (!total)
        return TQ_E_USAGE;
    tqi_run *made = tqi_budget_force(spec->budget, sizeof *made + total + TQI_KEY_SLACK);
    if (!made)
        return TQ_E_MEMORY;
    *made = (tqi_run){.bytes = total, .capacity = total + TQI_KEY_SLACK, .records = records};
    uint8_t *page = made->data;
    for (uint32_t p = 0; p < builder->partitions; p++) {
        builder->parts[p].cursor = page + TQI_PAGE_HEADER;
        if (builder->parts[p].records)
            page += TQI_PAGE_HEADER + builder->parts[p].bytes;
    }
    /* A short key's copy reaches at most 15 bytes past its record. Within a page the next record overwrites them;
     * behind the last record stands the next page's header of 24 bytes, which is written by seal_all, later. */
    for (size_t i = 0; i < n; i++) {
        struct tqi_run_part *part = &builder->parts[part_at(builder, entries, partition_of, i)];

        part->cursor = tqi_encode(builder->shape, &entries[i], part->cursor);
        tqi_account_entry(spec, builder->shape, &entries[i], account);
    }
    memset(made->data + total, 0, TQI_KEY_SLACK);
    seal_all(builder, made->data);
    *run = made;
    return TQ_OK;
}

tq_status tqi_run_build_one(const tqi_spec *spec, const tqi_value_shape *shape, uint32_t partition,
                            const tqi_entry *entries, size_t n, tq_account *account, tqi_run **run)
{
    struct tqi_run_part part;
    tqi_run_builder builder = {spec, shape, partition, 1, &part};

    return tqi_run_build(&builder, entries, n, NULL, account, run);
}

tqi_run *tqi_run_new(const tqi_spec *spec, size_t capacity, bool anyway)
{
    bool fits = spec->pool && sizeof(tqi_run) + capacity <= spec->pool->block_bytes;
    tqi_run *run = fits ? tqi_pool_take(spec->pool, anyway) : tqi_budget_alloc(spec->budget, sizeof *run + capacity);

    if (run && fits)
        *run = (tqi_run){.pool = spec->pool, .capacity = spec->pool->block_bytes - sizeof *run};
    else if (run)
        *run = (tqi_run){.capacity = capacity};
    return run;
}

void tqi_run_free(const tqi_spec *spec, tqi_run *run)
{
    if (run && run->pool)
        tqi_pool_give(run->pool, run);
    else if (run)
        tqi_budget_free(spec->budget, run, sizeof *run + run->capacity);
}

void tqi_run_free_list(const tqi_spec *spec, tqi_run *first)
{
    for (tqi_run *next; first; first = next) {
        next = first->next;
        tqi_run_free(spec, first);
    }
}
