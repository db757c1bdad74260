/* Keys and their hash. */
#include "common/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

/* The hash decides the order of TQ_ORDER_NONE and the partitions: it never changes. Those of up to 32
 * bytes were computed by an independent program in Python, the others are XXH3's. */
static void test_known_hashes(void **state)
{
    static const struct {
        tq_slice key;
        uint64_t hash;
    } known[] = {
        {{"", 0}, 0x0000000000000000U},          {{"a", 1}, 0x835f988749483d6cU},
        {{"a\0", 2}, 0x835f988749483d6cU},       {{"the", 3}, 0x54800a42a69b5d4aU},
        {{"tequio", 6}, 0xb248403ce0b6d541U},    {{"12345678", 8}, 0xb7a61b27bd76c614U},
        {{"123456789", 9}, 0xf998c930489d4750U}, {{"0123456789abcdef", 16}, 0xa9504d48e9311192U},
    };
    static const struct {
        size_t size;
        uint64_t hash;
    } longer[] = {{17, 0x2f551315ad54087bU},  {31, 0xb83dcbc7d9767025U},  {32, 0x8b70665e02ba15e9U},
                  {64, 0x13886553e7dc3fa3U},  {128, 0xc4399c7829d0628fU}, {129, 0x8433489056750b32U},
                  {240, 0x3c0bb96864e543a1U}, {241, 0xbff7215089202d8fU}, {300, 0x935960848d04785cU}};
    char bytes[300];

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_int_equal(tqi_hash(known[i].key.data, known[i].key.size), known[i].hash);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + 1);
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++)
        assert_int_equal(tqi_hash(bytes, longer[i].size), longer[i].hash);
    assert_int_equal(tqi_hash_long("", 0), 0x2d06800538d394c2U); /* XXH3's own test vector */
}

/* Padded loads mask what stands behind the key, short loads do not even read it. */
static void test_loads_agree(void **state)
{
    uint64_t random = 1;

    (void)state;
    for (int round = 0; round < 1000; round++) {
        char bytes[TQI_KEY_INLINE + TQI_KEY_SLACK];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = round == 0 ? (char)0xff : (char)random_next(&random);
        for (size_t size = 0; size <= TQI_KEY_INLINE; size++) {
            tqi_key padded = tqi_key_load_padded(bytes, size);
            char *exact = malloc(size ? size : 1);
            assert_non_null(exact);
            memcpy(exact, bytes, size);
            tqi_key plain = tqi_key_load_short(exact, size);
            char back[16] = {0};
            memcpy(back, bytes, size);
            assert_memory_equal(plain.word, back, 16);
            assert_memory_equal(padded.word, plain.word, 16);
            assert_int_equal(padded.size, size);
            assert_int_equal(plain.size, size);
            assert_int_equal(tqi_hash(exact, size), tqi_hash_short(padded.word[0], padded.word[1]));
            free(exact);
        }
    }
}

static void test_borrowed_key(void **state)
{
    const char *text = "a key of more than sixteen bytes";

    (void)state;
    tqi_key key = tqi_key_borrow_long(text, strlen(text));
    assert_memory_equal(&key.word[0], text, 8);
    assert_ptr_equal((const char *)(uintptr_t)key.word[1], text);
    assert_int_equal(key.size, strlen(text));
}

/* Zeros at the end of a short key do not count, which costs a collision at most; those of a longer key do. */
static void test_trailing_zeros(void **state)
{
    uint64_t hashes[65];
    char bytes[64] = "a";

    (void)state;
    for (size_t size = 1; size <= 64; size++)
        hashes[size] = tqi_hash(bytes, size);
    for (size_t size = 1; size <= TQI_KEY_INLINE; size++)
        assert_true(hashes[size] == hashes[1]);
    for (size_t a = TQI_KEY_INLINE; a <= 64; a++)
        for (size_t b = TQI_KEY_INLINE; b < a; b++)
            assert_true(hashes[a] >> 32 != hashes[b] >> 32);
}

enum { WORDS = 1 << 20 };

/* The i-th of many different short words: numbers, letters, and a common prefix in front of either. */
static size_t short_word(size_t i, char *word)
{
    static const char letters[] = "etaoinshrdlucmfwypvbgkqjxz";
    size_t n = 0, rest = i / 4;

    if (i & 1)
        n = (size_t)sprintf(word, "word-");
    if (i & 2)
        return n + (size_t)sprintf(word + n, "%zu", rest);
    do
        word[n++] = letters[rest % 26];
    while (rest /= 26);
    return n;
}

/* A chi-square test with far more room than chance needs: mean n - 1, deviation sqrt(2 (n - 1)). */
static void assert_uniform(const uint32_t *buckets, size_t n)
{
    double expected = (double)WORDS / (double)n, sum = 0, freedom = (double)n - 1;

    for (size_t i = 0; i < n; i++) {
        double difference = (double)buckets[i] - expected;
        sum += difference * difference / expected;
    }
    double distance = sum - freedom;
    assert_true(distance * distance < 2 * freedom * 36); /* six deviations */
}

/* Partitions take the high bits of hash32, the table's index its low ones. */
static void test_uniform_bits(void **state)
{
    enum { BUCKETS = 1024 };
    uint32_t *high = calloc(BUCKETS, sizeof *high), *low = calloc(BUCKETS, sizeof *low);
    uint32_t *thirds = calloc(1000, sizeof *thirds);
    uint8_t *seen = calloc(1 << 22, 1);
    size_t distinct = 0;

    (void)state;
    assert_true(high && low && thirds && seen);
    for (size_t i = 0; i < WORDS; i++) {
        char word[64];
        uint32_t hash32 = (uint32_t)(tqi_hash(word, short_word(i, word)) >> 32);
        uint32_t slot = hash32 & ((1 << 25) - 1);

        high[hash32 >> 22]++;
        low[hash32 & (BUCKETS - 1)]++;
        thirds[tqi_partition_of(hash32, 1000)]++;
        distinct += !(seen[slot / 8] >> slot % 8 & 1);
        seen[slot / 8] = (uint8_t)(seen[slot / 8] | 1 << slot % 8);
    }
    assert_uniform(high, BUCKETS);
    assert_uniform(low, BUCKETS);
    assert_uniform(thirds, 1000);
    /* Birthdays: n (1 - n / 2m) of n words in m = 2^25 slots are expected to be alone or first. */
    double expected = WORDS * (1 - (double)WORDS / (2.0 * (1 << 25)));
    assert_true((double)distinct > expected - 2000 && (double)distinct < expected + 2000);
    free(high);
    free(low);
    free(thirds);
    free(seen);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void test_no_full_collision(void **state)
{
    uint64_t *hashes = malloc(WORDS * sizeof *hashes);

    (void)state;
    assert_non_null(hashes);
    for (size_t i = 0; i < WORDS; i++) {
        char word[64];
        hashes[i] = tqi_hash(word, short_word(i, word));
    }
    qsort(hashes, WORDS, sizeof *hashes, by_number);
    for (size_t i = 1; i < WORDS; i++)
        assert_true(hashes[i] != hashes[i - 1]);
    free(hashes);
}

/* Each bit of the key changes about half of the hash's upper half, the one that is used. (Keys of one letter are too few to
 * tell.) */
static void test_avalanche(void **state)
{
    enum { ROUNDS = 2000 };
    uint64_t random = 7;

    (void)state;
    for (size_t size = 2; size <= 32; size++) {
        for (size_t bit = 0; bit < 8 * size; bit++) {
            unsigned flips = 0;
            for (int round = 0; round < ROUNDS; round++) {
                char key[32];
                random_text(&random, "abcdefghijklmnopqrstuvwxyz", 26, key, size);
                uint64_t before = tqi_hash(key, size);
                key[bit / 8] = (char)(key[bit / 8] ^ 1 << bit % 8);
                flips += (unsigned)__builtin_popcountll((before ^ tqi_hash(key, size)) >> 32);
            }
            assert_in_range(flips / ROUNDS, 11, 20);
        }
    }
}

static void test_partitions_ascend(void **state)
{
    static const uint32_t counts[] = {1, 2, 3, 7, 64, 1000, 65537, UINT32_MAX};

    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        uint32_t n = counts[c], last = 0, used = 1;
        assert_int_equal(tqi_partition_of(0, n), 0);
        assert_int_equal(tqi_partition_of(UINT32_MAX, n), n - 1);
        for (uint64_t hash32 = 0; hash32 <= UINT32_MAX; hash32 += 4093) {
            uint32_t partition = tqi_partition_of((uint32_t)hash32, n);
            assert_true(partition < n && partition >= last);
            used += partition != last;
            last = partition;
        }
        if (n <= 65537)
            assert_int_equal(used, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_hashes), cmocka_unit_test(test_loads_agree),
        cmocka_unit_test(test_borrowed_key), cmocka_unit_test(test_trailing_zeros),
        cmocka_unit_test(test_uniform_bits), cmocka_unit_test(test_no_full_collision),
        cmocka_unit_test(test_avalanche),    cmocka_unit_test(test_partitions_ascend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
