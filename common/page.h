/* Pages: the one format in which records leave a worker's table, lie in memory, travel, are spilled and, later, are
 * written into a checkpoint.
 *
 * A page is a header of 24 bytes and records behind it, all of one partition. A record is
 *     varint key size | key bytes | value
 * and the value is a zigzag varint (TQ_I64), value_bytes bytes (TQ_FIXED), or a varint size and bytes (TQ_BYTES, and
 * TQI_SUMMARY, whose bytes node/summary.h explains). All numbers are little-endian. The checksum is XXH3 over the
 * header in front of it and the payload, so that a page that was cut, moved to another partition or changed is
 * noticed. A page knows its size from its header, so pages can stand back to back.
 *
 * A page that stays in the memory of the process has another mark and no checksum yet: what happens to it there shows in the
 * account, and it gets its checksum when it leaves.
 *
 * Any thread; a page is not written while it is read. */
#ifndef TQI_PAGE_H
#define TQI_PAGE_H

#include "common/varint.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tequio/types.h>

#define TQI_PAGE_MAGIC       0x31475154U /* "TQG1" */
#define TQI_PAGE_LOCAL_MAGIC 0x4c475154U /* "TQGL" */
#define TQI_PAGE_HEADER      24
#define TQI_PAGE_PAYLOAD_MAX 0xffff0000U

typedef struct tqi_page_header {
    uint32_t magic;
    uint32_t partition;
    uint32_t records;
    uint32_t payload; /* bytes behind the header */
    uint64_t checksum;
} tqi_page_header;

/* A type of values that only TQ_STATS makes: a tq_summary, in memory as a TQ_FIXED value of its size, and shorter in
 * pages. */
enum { TQI_SUMMARY = TQ_BYTES + 1 };

/* What the values of a job's pages look like. */
typedef struct tqi_value_shape {
    int type;     /* a tq_value_type, or TQI_SUMMARY */
    size_t bytes; /* of a TQ_FIXED value or a summary, in memory */
} tqi_value_shape;

/* Write the header of a page whose payload stands at page + TQI_PAGE_HEADER; and the same of one that stays in this
 * process. */
void tqi_page_seal(uint8_t *page, uint32_t partition, uint32_t records, uint32_t payload);
void tqi_page_mark_local(uint8_t *page, uint32_t partition, uint32_t records, uint32_t payload);

/* The header of a page, unchecked, from memory of any alignment. */
tqi_page_header tqi_page_read_header(const uint8_t *page);

/* Whether a header can be one of ours: magic, and a partition in first .. first + n - 1. The cheap check that comes
 * before the payload has arrived. */
bool tqi_page_header_plausible(const tqi_page_header *header, uint32_t first_partition, uint32_t n_partitions);

/* Whether size bytes at page begin with a whole page whose checksum fits, if it has one. NULL if so, otherwise what is wrong with it.
 */
const char *tqi_page_validate(const uint8_t *page, size_t size);

/* Walk over the records of a validated page. Start with cursor = page + TQI_PAGE_HEADER, end = cursor + payload.
 * Returns false when a record does not end before end (a malformed page) and, with *cursor == end, behind the last one.
 * An integer comes back in *number, and value holds its size and place as it stands in the page. */
bool tqi_page_next(const tqi_value_shape *shape, const uint8_t **cursor, const uint8_t *end, tq_slice *key,
                   tq_slice *value, int64_t *number);

#endif
