/* Integers in as few bytes as they need. */
#include "common/varint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

/* There and back in memory of exactly its size, and cut off at every byte. */
static void check(uint64_t value)
{
    uint8_t bytes[TQI_VARINT_MAX + 1];
    uint64_t back = ~value;

    memset(bytes, 0xee, sizeof bytes);
    size_t size = (size_t)(tqi_varint_put(bytes, value) - bytes);
    assert_true(size >= 1 && size <= TQI_VARINT_MAX);
    assert_int_equal(size, tqi_varint_size(value));
    assert_int_equal(bytes[size], 0xee);
    assert_true(size == 1 || value >> 7 * (size - 1) != 0);
    uint8_t *exact = malloc(size);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    assert_ptr_equal(tqi_varint_get(exact, exact + size, &back), exact + size);
    assert_int_equal(back, value);
    assert_ptr_equal(tqi_varint_get(bytes, bytes + sizeof bytes, &back), bytes + size);
    free(exact);
    for (size_t cut = 0; cut < size; cut++) {
        back = 42;
        assert_null(tqi_varint_get(bytes, bytes + cut, &back));
        assert_int_equal(back, 42);
    }
}

static void test_round_trip(void **state)
{
    uint64_t random = 3;

    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        check(power - 1);
        check(power);
        check(power + 1);
        check(~power);
        for (int i = 0; i < 100; i++)
            check(random_next(&random) >> bit);
    }
    check(0);
    check(UINT64_MAX);
}

static void test_known_bytes(void **state)
{
    uint8_t bytes[TQI_VARINT_MAX];

    (void)state;
    assert_int_equal(tqi_varint_put(bytes, 624485) - bytes, 3); /* the example of the DWARF standard */
    assert_memory_equal(bytes, "\xe5\x8e\x26", 3);
    assert_int_equal(tqi_varint_put(bytes, UINT64_MAX) - bytes, 10);
    assert_memory_equal(bytes, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
}

/* More than 64 bits, or no end in ten bytes. */
static void test_too_large(void **state)
{
    uint8_t bytes[16];
    uint64_t value = 42;

    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    assert_null(tqi_varint_get(bytes, bytes + sizeof bytes, &value));
    for (int last = 2; last < 256; last++) {
        bytes[9] = (uint8_t)last;
        assert_null(tqi_varint_get(bytes, bytes + sizeof bytes, &value));
    }
    assert_int_equal(value, 42);
    bytes[9] = 1;
    assert_ptr_equal(tqi_varint_get(bytes, bytes + sizeof bytes, &value), bytes + 10);
    assert_int_equal(value, UINT64_MAX);
}

static void test_zigzag(void **state)
{
    static const int64_t signs[] = {0, -1, 1, -2, 2, -3};
    uint64_t random = 5;

    (void)state;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        assert_int_equal(tqi_zigzag(signs[i]), i);
    assert_int_equal(tqi_zigzag(INT64_MAX), UINT64_MAX - 1);
    assert_int_equal(tqi_zigzag(INT64_MIN), UINT64_MAX);
    for (int i = 0; i < 100000; i++) {
        uint64_t any = random_next(&random) >> i % 64;
        assert_true(tqi_unzigzag(tqi_zigzag((int64_t)any)) == (int64_t)any);
        assert_int_equal(tqi_zigzag(tqi_unzigzag(any)), any);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_known_bytes),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_zigzag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
