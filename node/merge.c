#include "node/merge.h"

#include "common/error.h"
#include "node/run.h"
#include <inttypes.h>

static inline tqi_key load_key(tq_slice key)
{
    /* Pages have slack behind them, wherever they lie. */
    return key.size > TQI_KEY_INLINE ? tqi_key_borrow_long(key.data, key.size)
                                     : tqi_key_load_padded(key.data, key.size);
}

static tq_status malformed(const tqi_page_header *header, tq_error *error)
{
    return tqi_fail(error, TQ_E_ACCOUNT, "a page of partition %" PRIu32 " is malformed", header->partition);
}

/* What became of adding records. */
static tq_status describe(const tqi_table *table, tq_status status, const tqi_page_header *header, tq_error *error)
{
    if (status == TQ_E_USER)
        return tqi_fail(error, status, "the combiner returned %d", table->user_code);
    if (status == TQ_E_MEMORY)
        return tqi_fail(error, status, "no memory for a key or value of partition %" PRIu32 " (see --memory)",
                        header->partition);
    return status;
}

/* ---- Sums: loops of their own, since there are most of them ---- */

typedef struct sum {
    tqi_key key;
    uint64_t hash;
    int64_t number;
    tqi_merge_place place; /* of the record */
} sum;

/* The next record, as tqi_page_next has it; those with small values are decoded without a call. */
static inline bool next_sum(const uint8_t **cursor, const uint8_t *end, tq_slice *key, int64_t *number)
{
    static const tqi_value_shape shape = {TQ_I64, 0};
    const uint8_t *at = *cursor;
    tq_slice value;

    if (at < end && *at <= TQI_KEY_MEDIUM && end - at > *at + 1 && at[*at + 1] < 0x80) {
        *key = (tq_slice){(const char *)at + 1, *at};
        *number = tqi_unzigzag(at[*at + 1]);
        *cursor = at + *at + 2;
        return true;
    }
    return tqi_page_next(&shape, cursor, end, key, &value, number);
}

/* Up to TQI_BATCH records of a page from *place on that the table is for. */
static size_t decode_sums(const tqi_table *table, const uint8_t *first, const uint8_t *end, tqi_merge_place *place,
                          sum *sums)
{
    bool all = table->hashes.halvings == 0;
    const uint8_t *at = first + place->offset;
    tq_slice bytes;
    size_t n = 0;

    while (n < TQI_BATCH && next_sum(&at, end, &bytes, &sums[n].number)) {
        sums[n].key = load_key(bytes);
        sums[n].hash = tqi_key_hash(&sums[n].key);
        sums[n].place = *place;
        *place = (tqi_merge_place){(size_t)(at - first), place->records + 1};
        n += all || tqi_table_is_for(table, (uint32_t)(sums[n].hash >> 32));
    }
    return n;
}

static inline tq_status add_sum(tqi_table *table, const sum *added)
{
    uint32_t hash32 = (uint32_t)(added->hash >> 32);
    size_t slot;

    if (added->key.size <= TQI_KEY_INLINE) {
        tqi_entry *entry = tqi_table_find_short(table, &added->key, hash32, &slot);

        if (entry) {
            entry->value += (uint64_t)added->number;
            table->merged++;
            return TQ_OK;
        }
        if (tqi_table_insert_short(table, &added->key, hash32, added->number, slot))
            return TQ_OK;
    }
    return tqi_table_add(table, &added->key, added->hash, added->number, (tq_slice){NULL, 0});
}

static tq_status merge_sums(tqi_table *table, const uint8_t *page, tqi_merge_place *place, tq_account *account,
                            tq_error *error)
{
    tqi_page_header header = tqi_page_read_header(page);
    const uint8_t *first = page + TQI_PAGE_HEADER, *end = first + header.payload;
    sum sums[TQI_BATCH];
    tq_account added = *account;
    tq_status status = TQ_OK;

    for (size_t n; !status && (n = decode_sums(table, first, end, place, sums)) != 0;) {
        for (size_t i = 0; i < n; i++)
            tqi_table_fetch_slot(table, (uint32_t)(sums[i].hash >> 32));
        for (size_t i = 0; i < n; i++)
            tqi_table_fetch_entry(table, (uint32_t)(sums[i].hash >> 32));
        for (size_t i = 0; i < n; i++) {
            status = add_sum(table, &sums[i]);
            if (__builtin_expect(status != TQ_OK, 0)) {
                *place = sums[i].place;
                break;
            }
            tqi_account_sum(&added, sums[i].hash, (uint64_t)sums[i].number);
        }
    }
    *account = added;
    if (status)
        return describe(table, status, &header, error);
    return first + place->offset == end && place->records == header.records ? TQ_OK : malformed(&header, error);
}

/* ---- Everything else: in batches, for tables that leave the cache ---- */

/* The next record, with a summary unpacked into *summary; false: there is none, or none that is whole. */
static inline bool next_record(const tqi_value_shape *shape, const uint8_t **at, const uint8_t *end, tq_slice *key,
                               tqi_record *record, tq_summary *summary)
{
    const uint8_t *from = *at;

    if (!tqi_page_next(shape, at, end, key, &record->value, &record->number))
        return false;
    if (shape->type != TQI_SUMMARY)
        return true;
    if (!tqi_summary_decode((const uint8_t *)record->value.data, record->value.size, summary)) {
        *at = from;
        return false;
    }
    record->value = (tq_slice){(const char *)summary, sizeof *summary};
    return true;
}

/* Up to TQI_BATCH records from *at on that the table is for; *passed counts those that it is not for. */
static size_t decode(const tqi_table *table, const uint8_t **at, const uint8_t *end, tqi_record *records,
                     tq_summary *summaries, uint64_t *passed)
{
    bool all = table->hashes.halvings == 0;
    size_t n = 0;

    for (tq_slice key; n < TQI_BATCH;) {
        tqi_record *record = &records[n];

        if (!next_record(&table->spec->shape, at, end, &key, record, &summaries[n]))
            break;
        record->key = load_key(key);
        record->hash = tqi_key_hash(&record->key);
        if (all || tqi_table_is_for(table, (uint32_t)(record->hash >> 32)))
            n++;
        else
            ++*passed;
    }
    return n;
}

/* Behind the first added of the records that the table is for, from a place on. */
static void advance(const tqi_table *table, const uint8_t *page, tqi_merge_place *place, size_t added)
{
    tqi_page_header header = tqi_page_read_header(page);
    const uint8_t *first = page + TQI_PAGE_HEADER, *at = first + place->offset, *end = first + header.payload;

    for (size_t n = 0; n < added;) {
        tq_slice key, value;
        int64_t number;

        tqi_page_next(&table->spec->shape, &at, end, &key, &value, &number);
        place->records++;
        n += tqi_table_is_for(table, (uint32_t)(tqi_hash(key.data, key.size) >> 32));
    }
    place->offset = (size_t)(at - first);
}

static tq_status merge_any(tqi_table *table, const uint8_t *page, tqi_merge_place *place, tq_account *account,
                           tq_error *error)
{
    tqi_page_header header = tqi_page_read_header(page);
    const uint8_t *first = page + TQI_PAGE_HEADER, *at = first + place->offset, *end = first + header.payload;
    tqi_record records[TQI_BATCH];
    tq_summary summaries[TQI_BATCH];
    uint64_t passed = 0;

    for (size_t n; (n = decode(table, &at, end, records, summaries, &passed)) != 0; passed = 0) {
        tq_status status;
        size_t added = tqi_table_add_batch(table, records, n, &status);

        for (size_t i = 0; i < added; i++)
            tqi_account_pair(table->spec, records[i].hash, records[i].number, records[i].value, account);
        if (status) {
            advance(table, page, place, added);
            return describe(table, status, &header, error);
        }
        *place = (tqi_merge_place){(size_t)(at - first), place->records + n + passed};
    }
    place->records += passed;
    return at == end && place->records == header.records ? TQ_OK : malformed(&header, error);
}

/* ---- Pairs of groups: by the hash of the group, accounted for by that of the key ---- */

static tq_status merge_grouped(tqi_table *table, const uint8_t *page, tqi_merge_place *place, tq_account *account,
                               tq_error *error)
{
    const tqi_spec *spec = table->spec;
    tqi_page_header header = tqi_page_read_header(page);
    const uint8_t *first = page + TQI_PAGE_HEADER, *at = first + place->offset, *end = first + header.payload;
    tqi_record record;
    tq_summary summary;
    tq_slice bytes;

    for (; next_record(&spec->shape, &at, end, &bytes, &record, &summary); place->records++) {
        tq_slice group = tqi_spec_group(spec, bytes);
        uint64_t hash = tqi_hash(group.data, group.size);
        tqi_key key = load_key(bytes);

        if (tqi_table_is_for(table, (uint32_t)(hash >> 32))) {
            tq_status status = tqi_table_add(table, &key, hash, record.number, record.value);

            if (status)
                return describe(table, status, &header, error);
            tqi_account_pair(spec, tqi_key_hash(&key), record.number, record.value, account);
        }
        place->offset = (size_t)(at - first);
    }
    return at == end && place->records == header.records ? TQ_OK : malformed(&header, error);
}

tq_status tqi_merge_page(tqi_table *table, const uint8_t *page, tqi_merge_place *place, tq_account *account,
                         tq_error *error)
{
    if (table->keeps_all)
        return merge_grouped(table, page, place, account, error);
    if (table->spec->combine == TQ_SUM)
        return merge_sums(table, page, place, account, error);
    return merge_any(table, page, place, account, error);
}
