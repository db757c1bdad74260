/* Pages: what is written comes back, and what is damaged is noticed. Pages are written by hand here, byte by byte. */
#include "common/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

enum { MOST = 64, LONGEST = 300 };

static const tqi_value_shape shapes[] = {{TQ_I64, 0},    {TQ_FIXED, 1},     {TQ_FIXED, 8},
                                         {TQ_FIXED, 13}, {TQ_FIXED, 65536}, {TQ_BYTES, 0}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

typedef struct sample {
    char key[LONGEST], *value;
    size_t key_size, value_size;
    int64_t number;
} sample;

/* A page and what should be in it; ends[i] is where record i ends. */
typedef struct sample_page {
    uint8_t *bytes;
    size_t size, n, ends[MOST];
    sample samples[MOST];
} sample_page;

static void fill(sample *one, const tqi_value_shape *shape, uint64_t *random)
{
    one->key_size = random_below(random, 4) ? random_below(random, 20) : random_below(random, LONGEST);
    for (size_t i = 0; i < one->key_size; i++)
        one->key[i] = (char)random_next(random);
    one->number = (int64_t)(random_next(random) >> random_below(random, 64));
    if (random_below(random, 2))
        one->number = (int64_t)(0 - (uint64_t)one->number);
    one->value_size = shape->type == TQ_FIXED ? shape->bytes : shape->type == TQ_BYTES ? random_below(random, 200) : 0;
    one->value = malloc(one->value_size ? one->value_size : 1);
    assert_non_null(one->value);
    for (size_t i = 0; i < one->value_size; i++)
        one->value[i] = (char)random_next(random);
}

static uint8_t *write_record(const sample *one, const tqi_value_shape *shape, uint8_t *at)
{
    at = tqi_varint_put(at, one->key_size);
    memcpy(at, one->key, one->key_size);
    at += one->key_size;
    if (shape->type == TQ_I64)
        return tqi_varint_put(at, tqi_zigzag(one->number));
    if (shape->type == TQ_BYTES)
        at = tqi_varint_put(at, one->value_size);
    memcpy(at, one->value, one->value_size);
    return at + one->value_size;
}

static sample_page *page_new(const tqi_value_shape *shape, size_t n, uint64_t *random)
{
    sample_page *page = calloc(1, sizeof *page);
    size_t room = TQI_PAGE_HEADER;

    assert_non_null(page);
    page->n = n;
    for (size_t i = 0; i < n; i++) {
        fill(&page->samples[i], shape, random);
        room += page->samples[i].key_size + page->samples[i].value_size + 2 * TQI_VARINT_MAX;
    }
    uint8_t *bytes = malloc(room), *at = bytes + TQI_PAGE_HEADER;
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        at = write_record(&page->samples[i], shape, at);
        page->ends[i] = (size_t)(at - bytes);
    }
    page->size = (size_t)(at - bytes);
    tqi_page_seal(bytes, 77, (uint32_t)n, (uint32_t)(page->size - TQI_PAGE_HEADER));
    page->bytes = malloc(page->size); /* exactly, so that a read beyond it is noticed */
    assert_non_null(page->bytes);
    memcpy(page->bytes, bytes, page->size);
    free(bytes);
    return page;
}

static void page_free(sample_page *page)
{
    for (size_t i = 0; i < page->n; i++)
        free(page->samples[i].value);
    free(page->bytes);
    free(page);
}

/* How many records begin at bytes and are whole; each is what was written. */
static size_t walk(const sample_page *page, const tqi_value_shape *shape, const uint8_t *bytes, size_t size)
{
    const uint8_t *at = bytes + TQI_PAGE_HEADER, *end = bytes + size;
    tq_slice key, value;
    int64_t number = 0;
    size_t n = 0;

    for (; tqi_page_next(shape, &at, end, &key, &value, &number); n++) {
        const sample *one = &page->samples[n];
        assert_true(n < page->n);
        assert_true(slice_equal(key, (tq_slice){one->key, one->key_size}));
        if (shape->type == TQ_I64) {
            assert_true(number == one->number);
            assert_int_equal(value.size, tqi_varint_size(tqi_zigzag(number)));
        } else {
            assert_true(slice_equal(value, (tq_slice){one->value, one->value_size}));
        }
        assert_ptr_equal(value.data + value.size, at);
        assert_ptr_equal(at, bytes + page->ends[n]);
    }
    if (size == page->size)
        assert_ptr_equal(at, end);
    assert_false(tqi_page_next(shape, &at, end, &key, &value, &number));
    return n;
}

static void test_round_trip(void **state)
{
    uint64_t random = 11;

    (void)state;
    for (size_t s = 0; s < N_SHAPES; s++) {
        for (size_t n = 0; n <= (shapes[s].bytes > 1000 ? 2 : MOST); n++) {
            sample_page *page = page_new(&shapes[s], n, &random);
            tqi_page_header header = tqi_page_read_header(page->bytes);
            assert_int_equal(header.magic, TQI_PAGE_MAGIC);
            assert_memory_equal(page->bytes, "TQG1", 4);
            assert_int_equal(header.partition, 77);
            assert_int_equal(header.records, n);
            assert_int_equal(header.payload, page->size - TQI_PAGE_HEADER);
            assert_null(tqi_page_validate(page->bytes, page->size));
            assert_int_equal(walk(page, &shapes[s], page->bytes, page->size), n);
            page_free(page);
        }
    }
}

/* A page stands at any address, with anything behind it. */
static void test_any_alignment(void **state)
{
    uint64_t random = 12;

    (void)state;
    sample_page *page = page_new(&shapes[5], 20, &random);
    for (size_t shift = 0; shift < 16; shift++) {
        uint8_t *moved = malloc(shift + page->size + 100);
        assert_non_null(moved);
        memset(moved, 0xaa, shift + page->size + 100);
        memcpy(moved + shift, page->bytes, page->size);
        assert_null(tqi_page_validate(moved + shift, page->size + 100));
        assert_int_equal(walk(page, &shapes[5], moved + shift, page->size), 20);
        free(moved);
    }
    page_free(page);
}

static void test_truncated_at_every_byte(void **state)
{
    uint64_t random = 13;

    (void)state;
    for (size_t s = 0; s < N_SHAPES; s++) {
        if (shapes[s].bytes > 1000)
            continue;
        sample_page *page = page_new(&shapes[s], 12, &random);
        for (size_t size = 0; size < page->size; size++) {
            uint8_t *cut = malloc(size ? size : 1);
            assert_non_null(cut);
            memcpy(cut, page->bytes, size);
            assert_non_null(tqi_page_validate(cut, size));
            if (size >= TQI_PAGE_HEADER) {
                size_t whole = 0;
                while (whole < page->n && page->ends[whole] <= size)
                    whole++;
                assert_int_equal(walk(page, &shapes[s], cut, size), whole);
            }
            free(cut);
        }
        page_free(page);
    }
}

static void test_every_flipped_bit_is_noticed(void **state)
{
    uint64_t random = 14;

    (void)state;
    for (size_t s = 0; s < N_SHAPES; s++) {
        if (shapes[s].bytes > 1000)
            continue;
        for (size_t n = 0; n <= 8; n += 4) {
            sample_page *page = page_new(&shapes[s], n, &random);
            for (size_t bit = 0; bit < 8 * page->size; bit++) {
                page->bytes[bit / 8] = (uint8_t)(page->bytes[bit / 8] ^ 1 << bit % 8);
                assert_non_null(tqi_page_validate(page->bytes, page->size));
                page->bytes[bit / 8] = (uint8_t)(page->bytes[bit / 8] ^ 1 << bit % 8);
            }
            assert_null(tqi_page_validate(page->bytes, page->size));
            page_free(page);
        }
    }
}

/* Moved to another partition, with another number of records, two bytes exchanged. */
static void test_other_damage_is_noticed(void **state)
{
    uint64_t random = 15;

    (void)state;
    sample_page *page = page_new(&shapes[0], 30, &random);
    for (size_t i = TQI_PAGE_HEADER + 1; i < page->size; i++) {
        uint8_t held = page->bytes[i];
        if (held == page->bytes[i - 1])
            continue;
        page->bytes[i] = page->bytes[i - 1];
        page->bytes[i - 1] = held;
        assert_non_null(tqi_page_validate(page->bytes, page->size));
        page->bytes[i - 1] = page->bytes[i];
        page->bytes[i] = held;
    }
    uint64_t sum = tqi_page_read_header(page->bytes).checksum;
    tqi_page_seal(page->bytes, 78, 30, (uint32_t)(page->size - TQI_PAGE_HEADER));
    assert_true(tqi_page_read_header(page->bytes).checksum != sum);
    memcpy(page->bytes + offsetof(tqi_page_header, checksum), &sum, sizeof sum);
    assert_non_null(tqi_page_validate(page->bytes, page->size));
    page_free(page);
}

static void test_plausible(void **state)
{
    tqi_page_header header = {TQI_PAGE_MAGIC, 10, 1, 100, 0};

    (void)state;
    assert_true(tqi_page_header_plausible(&header, 10, 1));
    assert_true(tqi_page_header_plausible(&header, 8, 3));
    assert_false(tqi_page_header_plausible(&header, 8, 2));
    assert_false(tqi_page_header_plausible(&header, 11, 5));
    assert_false(tqi_page_header_plausible(&header, 10, 0));
    assert_false(tqi_page_header_plausible(&header, 11, UINT32_MAX));
    header.magic ^= 1;
    assert_false(tqi_page_header_plausible(&header, 10, 1));
    header.magic ^= 1;
    header.payload = TQI_PAGE_PAYLOAD_MAX;
    assert_true(tqi_page_header_plausible(&header, 10, 1));
    header.payload++;
    assert_false(tqi_page_header_plausible(&header, 10, 1));
}

static void assert_malformed(const tqi_value_shape *shape, const char *bytes, size_t size)
{
    uint8_t *exact = malloc(size);
    const uint8_t *at = exact;
    tq_slice key, value;
    int64_t number;

    assert_non_null(exact);
    memcpy(exact, bytes, size);
    assert_false(tqi_page_next(shape, &at, exact + size, &key, &value, &number));
    assert_true(at != exact + size);
    free(exact);
}

static void test_malformed_records(void **state)
{
    (void)state;
    for (size_t s = 0; s < N_SHAPES; s++) {
        assert_malformed(&shapes[s],
                         "\x05"
                         "abc",
                         4);                     /* key cut off */
        assert_malformed(&shapes[s], "\x80", 1); /* key size cut off */
        assert_malformed(&shapes[s],
                         "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                         "abc",
                         13); /* key size 2^64 - 1 */
        assert_malformed(&shapes[s],
                         "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"
                         "abc",
                         13); /* more than 64 bits */
        assert_malformed(&shapes[s],
                         "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"
                         "abc",
                         14);
        assert_malformed(&shapes[s],
                         "\x01"
                         "a",
                         2); /* no value */
    }
    assert_malformed(&shapes[0],
                     "\x01"
                     "a\x80",
                     3);
    assert_malformed(&shapes[0],
                     "\x01"
                     "a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
                     12);
    assert_malformed(&shapes[2],
                     "\x01"
                     "a1234567",
                     9);
    assert_malformed(&shapes[5],
                     "\x01"
                     "a\x04"
                     "123",
                     6);
    assert_malformed(&shapes[5],
                     "\x01"
                     "a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                     "123",
                     15);
}

/* Random bytes: whatever they are taken for, nothing outside of them is read, and the walk ends. */
static void test_random_bytes(void **state)
{
    uint64_t random = 16;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        const tqi_value_shape *shape = &shapes[random_below(&random, N_SHAPES)];
        size_t size = random_below(&random, 64) + 1, n = 0;
        uint8_t *bytes = malloc(size);
        const uint8_t *at = bytes, *before = bytes;
        tq_slice key, value;
        int64_t number;

        assert_non_null(bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)random_below(&random, round % 2 ? 256 : 6);
        for (; tqi_page_next(shape, &at, bytes + size, &key, &value, &number); before = at, n++) {
            assert_true(at > before && at <= bytes + size);
            assert_true(key.data > (const char *)before && key.data + key.size <= value.data);
            assert_true(value.data + value.size == (const char *)at);
        }
        assert_true(n <= size && at == before);
        assert_non_null(tqi_page_validate(bytes, size));
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_any_alignment),
        cmocka_unit_test(test_truncated_at_every_byte),
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_other_damage_is_noticed),
        cmocka_unit_test(test_plausible),
        cmocka_unit_test(test_malformed_records),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
