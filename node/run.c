#include "node/run.h"

#include "common/account.h"
#include "common/fault.h"
#include <stdlib.h>
#include <string.h>

tq_status tqi_run_builder_init(tqi_run_builder *builder, const tqi_spec *spec, const tqi_value_shape *shape,
                               uint32_t partitions)
{
    *builder = (tqi_run_builder){.spec = spec, .shape = shape, .partitions = partitions};
    builder->parts = calloc(partitions, sizeof *builder->parts);
    return builder->parts ? TQ_OK : TQ_E_MEMORY;
}

void tqi_run_builder_free(tqi_run_builder *builder)
{
    free(builder->parts);
    builder->parts = NULL;
}

static uint64_t encoded_size(const tqi_value_shape *shape, const tqi_entry *entry)
{
    uint64_t size = tqi_varint_size(entry->size) + entry->size;

    if (shape->type == TQ_I64)
        return size + tqi_varint_size(tqi_zigzag((int64_t)entry->value));
    tq_slice value = tqi_entry_value(shape, entry);
    return size + value.size + (shape->type == TQ_BYTES ? tqi_varint_size(value.size) : 0);
}

/* Write one record. Short keys are copied as 16 bytes whatever their size: what follows overwrites the rest, and behind
 * the run's last record there is slack. */
static uint8_t *encode(const tqi_value_shape *shape, const tqi_entry *entry, uint8_t *to)
{
    to = tqi_varint_put(to, entry->size);
    if (entry->size <= TQI_KEY_INLINE)
        memcpy(to, entry->word, TQI_KEY_INLINE);
    else
        memcpy(to, (const void *)(uintptr_t)entry->word[1], entry->size);
    to += entry->size;
    if (shape->type == TQ_I64)
        return tqi_varint_put(to, tqi_zigzag((int64_t)entry->value));
    tq_slice value = tqi_entry_value(shape, entry);
    if (shape->type == TQ_BYTES)
        to = tqi_varint_put(to, value.size);
    if (value.size)
        memcpy(to, value.data, value.size);
    return to + value.size;
}

void tqi_account_entry(const tqi_spec *spec, const tqi_value_shape *shape, const tqi_entry *entry, tq_account *account)
{
    if (spec->combine == TQ_SUM && shape->type == TQ_I64)
        tqi_account_sum(account, tqi_entry_hash(entry), entry->value);
    else
        tqi_account_record(account, tqi_entry_hash(entry), tqi_entry_value_hash(shape, entry));
}

static inline uint32_t partition_at(const tqi_run_builder *builder, const tqi_entry *entries,
                                    const uint32_t *partition_of, size_t i)
{
    return partition_of ? partition_of[i] : tqi_partition_of(entries[i].hash32, builder->partitions);
}

/* Sizes a partition, then the place of each partition's page. Returns the size of all pages, 0 if one would be too
 * large. */
static uint64_t lay_out(tqi_run_builder *builder, const tqi_entry *entries, size_t n, const uint32_t *partition_of)
{
    uint64_t total = 0;

    memset(builder->parts, 0, builder->partitions * sizeof *builder->parts);
    for (size_t i = 0; i < n; i++) {
        struct tqi_run_part *part = &builder->parts[partition_at(builder, entries, partition_of, i)];

        part->bytes += encoded_size(builder->shape, &entries[i]);
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
        tqi_page_seal(page, p, part->records, (uint32_t)part->bytes);
        if (tqi_fault("corrupt-page", builder->spec->rank))
            page[TQI_PAGE_HEADER + part->bytes / 2] ^= 1;
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
        struct tqi_run_part *part = &builder->parts[partition_at(builder, entries, partition_of, i)];

        part->cursor = encode(builder->shape, &entries[i], part->cursor);
        tqi_account_entry(spec, builder->shape, &entries[i], account);
    }
    memset(made->data + total, 0, TQI_KEY_SLACK);
    seal_all(builder, made->data);
    *run = made;
    return TQ_OK;
}

void tqi_run_free(const tqi_spec *spec, tqi_run *run)
{
    if (run)
        tqi_budget_free(spec->budget, run, sizeof *run + run->capacity);
}
