#include "common/page.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Over the payload first and the header's numbers then: the payload's hash seeds the other. */
static uint64_t checksum_of(const uint8_t *page, uint32_t payload)
{
    uint64_t seed = XXH3_64bits(page + TQI_PAGE_HEADER, payload);

    return XXH3_64bits_withSeed(page, offsetof(tqi_page_header, checksum), seed);
}

void tqi_page_seal(uint8_t *page, uint32_t partition, uint32_t records, uint32_t payload)
{
    tqi_page_header header = {TQI_PAGE_MAGIC, partition, records, payload, 0};

    memcpy(page, &header, sizeof header);
    header.checksum = checksum_of(page, payload);
    memcpy(page, &header, sizeof header);
}

void tqi_page_mark_local(uint8_t *page, uint32_t partition, uint32_t records, uint32_t payload)
{
    tqi_page_header header = {TQI_PAGE_LOCAL_MAGIC, partition, records, payload, 0};

    memcpy(page, &header, sizeof header);
}

static bool has_mark(const tqi_page_header *header)
{
    return header->magic == TQI_PAGE_MAGIC || header->magic == TQI_PAGE_LOCAL_MAGIC;
}

tqi_page_header tqi_page_read_header(const uint8_t *page)
{
    tqi_page_header header;

    memcpy(&header, page, sizeof header);
    return header;
}

bool tqi_page_header_plausible(const tqi_page_header *header, uint32_t first_partition, uint32_t n_partitions)
{
    return has_mark(header) && header->partition - first_partition < n_partitions &&
           header->payload <= TQI_PAGE_PAYLOAD_MAX;
}

const char *tqi_page_validate(const uint8_t *page, size_t size)
{
    if (size < TQI_PAGE_HEADER)
        return "a page is cut off inside its header";
    tqi_page_header header = tqi_page_read_header(page);
    if (!has_mark(&header))
        return "a page does not begin with the mark of a page";
    if (header.payload > size - TQI_PAGE_HEADER)
        return "a page is cut off";
    if (header.magic == TQI_PAGE_MAGIC && header.checksum != checksum_of(page, header.payload))
        return "the checksum of a page does not fit its bytes";
    return NULL;
}

bool tqi_page_next(const tqi_value_shape *shape, const uint8_t **cursor, const uint8_t *end, tq_slice *key,
                   tq_slice *value, int64_t *number)
{
    const uint8_t *at = *cursor;
    uint64_t size;

    if (at >= end)
        return false;
    at = tqi_varint_get(at, end, &size);
    if (!at || size > (uint64_t)(end - at))
        return false;
    *key = (tq_slice){(const char *)at, size};
    at += size;
    if (shape->type == TQ_I64) {
        const uint8_t *next = tqi_varint_get(at, end, &size);

        if (!next)
            return false;
        *value = (tq_slice){(const char *)at, (size_t)(next - at)};
        *number = tqi_unzigzag(size);
        *cursor = next;
        return true;
    }
    if (shape->type == TQ_FIXED) {
        size = shape->bytes;
    } else {
        at = tqi_varint_get(at, end, &size);
        if (!at)
            return false;
    }
    if (size > (uint64_t)(end - at))
        return false;
    *value = (tq_slice){(const char *)at, size};
    *cursor = at + size;
    return true;
}
