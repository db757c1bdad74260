#include "node/hot_rows.h"

#include "node/cpu.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- Getting ready ---- */

static tqi_hot_scale scale_of(const tqi_hot *hot, unsigned decimals)
{
    int64_t factor = (int64_t)tqi_powers_of_10[hot->decimals - decimals];

    return (tqi_hot_scale){factor, INT32_MAX / factor, INT64_MAX / factor, tqi_digest_of(decimals)};
}

static uint64_t check_of(const tqi_hot_pairs *pairs, size_t first, size_t n, const tqi_hot_rows *rows,
                         const tqi_hot_scale *by)
{
    uint64_t check = 0;

    for (size_t r = 0; r < n; r++)
        check += rows->hash[r] * tqi_digest_value(&by->digest, pairs->values[first + r]);
    return check;
}

/* Mark a pair whose value is not small. */
static inline void mark(const tqi_hot_pairs *pairs, size_t i, const tqi_hot_scale *by, tqi_hot_rows *rows, size_t r)
{
    if (__builtin_expect(!tqi_hot_is_within(pairs->values[i], by->most_small), 0))
        rows->tag[r] = TQI_HOT_SPECIAL;
}

/* The words, hash and tag of a long key. No entry has its second word. */
static void prepare_long(tq_slice key, tqi_hot_rows *rows, size_t r)
{
    rows->word[r][0] = rows->word[r][1] = 0;
    rows->hash[r] = tqi_hash_large(key.data, key.size);
    rows->tag[r] = key.size > TQI_HOT_LONGEST_KEY ? TQI_HOT_SPECIAL : (uint32_t)key.size + 1;
}

ALWAYS_INLINE void prepare_short(tq_slice bytes, bool padded, tqi_hot_rows *rows, size_t r)
{
    tqi_key key = padded ? tqi_key_load_padded(bytes.data, bytes.size) : tqi_key_load_short(bytes.data, bytes.size);

    rows->word[r][0] = key.word[0];
    rows->word[r][1] = key.word[1];
    rows->hash[r] = tqi_hash_short(key.word[0], key.word[1]);
    rows->tag[r] = (uint32_t)bytes.size + 1;
}

/* Pair number i is row number r. */
ALWAYS_INLINE void prepare_key(const tqi_hot_pairs *pairs, size_t i, tqi_hot_rows *rows, size_t r)
{
    tq_slice key = pairs->keys[i];

    if (__builtin_expect(key.size > TQI_KEY_INLINE, 0))
        prepare_long(key, rows, r);
    else if (pairs->padded)
        prepare_short(key, true, rows, r);
    else
        prepare_short(key, false, rows, r);
}

/* ---- Portable ---- */

static void portable_prepare(const tqi_hot_pairs *pairs, size_t first, size_t n, const tqi_hot_scale *by,
                             tqi_hot_rows *rows)
{
    for (size_t r = 0; r < n; r++) {
        int64_t value = (int64_t)((uint64_t)pairs->values[first + r] * (uint64_t)by->factor);
        uint64_t square = (uint64_t)value * (uint64_t)value;

        prepare_key(pairs, first + r, rows, r);
        rows->sums[r][0] = (uint64_t)value;
        rows->sums[r][1] = square & UINT32_MAX;
        rows->sums[r][2] = square >> 32;
        rows->sums[r][3] = 1;
        rows->most[r] = (uint32_t)value | (uint64_t)(uint32_t)~value << 32;
        mark(pairs, first + r, by, rows, r);
    }
}

static inline bool portable_is(const tqi_hot_entry *entry, const tqi_hot_rows *rows, size_t r)
{
    return ((entry->word[0] ^ rows->word[r][0]) | (entry->word[1] ^ rows->word[r][1]) | (entry->tag ^ rows->tag[r])) ==
           0;
}

typedef void prepare_fn(const tqi_hot_pairs *pairs, size_t first, size_t n, const tqi_hot_scale *by,
                        tqi_hot_rows *rows);
typedef uint64_t check_fn(const tqi_hot_pairs *pairs, size_t first, size_t n, const tqi_hot_rows *rows,
                          const tqi_hot_scale *by);
typedef bool is_fn(const tqi_hot_entry *entry, const tqi_hot_rows *rows, size_t r);
typedef void add_fn(tqi_hot_entry *entry, const tqi_hot_rows *rows, size_t r);

/* The body of a kernel; the functions are inlined. */
ALWAYS_INLINE void add_pairs(tqi_hot *hot, const tqi_hot_pairs *pairs, tqi_hot_done *done, prepare_fn *prepare,
                             check_fn *check, is_fn *is, add_fn *add)
{
    tqi_hot_scale by = scale_of(hot, pairs->decimals);
    tqi_hot_rows rows;
    size_t n;

    for (size_t first = 0; first < pairs->n; first += n) {
        n = pairs->n - first < TQI_HOT_ROWS ? pairs->n - first : TQI_HOT_ROWS;
        prepare(pairs, first, n, &by, &rows);
        done->check += check(pairs, first, n, &rows, &by);
        for (size_t r = 0; r < n; r++) {
            tqi_hot_entry *entry = &hot->entries[rows.hash[r] >> hot->shift];

            if (__builtin_expect(is(entry, &rows, r), 1))
                add(entry, &rows, r);
            else
                tqi_hot_add_slowly(hot, pairs, first + r, &rows, r, &by, done);
        }
    }
}

static void portable_add(tqi_hot *hot, const tqi_hot_pairs *pairs, tqi_hot_done *done)
{
    add_pairs(hot, pairs, done, portable_prepare, check_of, portable_is, tqi_hot_add_row);
}

/* ---- x86-64 ---- */

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2,bmi,bmi2")))

AVX2 static inline __m256i load_4(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

/* Sums and extremes of four values: rows of each, from columns of each. */
AVX2 static inline void avx2_put_values(__m256i values, tqi_hot_rows *rows, size_t r)
{
    const __m256i low = _mm256_set1_epi64x(UINT32_MAX);
    __m256i squares = _mm256_mul_epi32(values, values), one = _mm256_set1_epi64x(1);
    __m256i lower = _mm256_and_si256(squares, low), upper = _mm256_srli_epi64(squares, 32);
    __m256i even0 = _mm256_unpacklo_epi64(values, lower), odd0 = _mm256_unpackhi_epi64(values, lower);
    __m256i even1 = _mm256_unpacklo_epi64(upper, one), odd1 = _mm256_unpackhi_epi64(upper, one);
    __m256i *to = (__m256i *)(void *)rows->sums[r];

    _mm256_store_si256(to, _mm256_permute2x128_si256(even0, even1, 0x20));
    _mm256_store_si256(to + 1, _mm256_permute2x128_si256(odd0, odd1, 0x20));
    _mm256_store_si256(to + 2, _mm256_permute2x128_si256(even0, even1, 0x31));
    _mm256_store_si256(to + 3, _mm256_permute2x128_si256(odd0, odd1, 0x31));
    __m256i complements = _mm256_slli_epi64(_mm256_xor_si256(values, _mm256_set1_epi64x(-1)), 32);
    _mm256_store_si256((__m256i *)(void *)&rows->most[r], _mm256_or_si256(_mm256_and_si256(values, low), complements));
}

AVX2 static inline void avx2_prepare(const tqi_hot_pairs *pairs, size_t first, size_t n, const tqi_hot_scale *by,
                                     tqi_hot_rows *rows)
{
    const __m256i factor = _mm256_set1_epi64x(by->factor);
    int64_t last[4] = {0};

    for (size_t r = 0; r < n; r++) {
        prepare_key(pairs, first + r, rows, r);
        mark(pairs, first + r, by, rows, r);
    }
    memcpy(last, pairs->values + first + n / 4 * 4, n % 4 * sizeof *last);
    for (size_t r = 0; r < n; r += 4) /* small values, and their factors, are numbers of 32 bits */
        avx2_put_values(_mm256_mul_epi32(load_4(r + 4 <= n ? pairs->values + first + r : last), factor), rows, r);
}

AVX2 static inline bool avx2_is(const tqi_hot_entry *entry, const tqi_hot_rows *rows, size_t r)
{
    __m128i differ = _mm_xor_si128(_mm_load_si128((const __m128i *)(const void *)entry->word),
                                   _mm_load_si128((const __m128i *)(const void *)rows->word[r]));

    return _mm_testz_si128(differ, differ) && entry->tag == rows->tag[r];
}

AVX2 static inline void avx2_add_row(tqi_hot_entry *entry, const tqi_hot_rows *rows, size_t r)
{
    __m256i *sums = (__m256i *)(void *)entry->sums;
    __m128i *most = (__m128i *)(void *)entry->most;

    _mm256_store_si256(sums, _mm256_add_epi64(_mm256_load_si256(sums), load_4(rows->sums[r])));
    _mm_storel_epi64(
        most, _mm_max_epi32(_mm_loadl_epi64(most), _mm_loadl_epi64((const __m128i *)(const void *)&rows->most[r])));
}

AVX2 static void avx2_add(tqi_hot *hot, const tqi_hot_pairs *pairs, tqi_hot_done *done)
{
    add_pairs(hot, pairs, done, avx2_prepare, check_of, avx2_is, avx2_add_row);
}

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,popcnt")))

/* The hashes of eight short keys. */
AVX512 static inline __m512i avx512_hash(const tqi_hot_rows *rows, size_t r)
{
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14),
                  odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    __m512i low = _mm512_load_si512(rows->word[r]), high = _mm512_load_si512(rows->word[r + 4]);
    __m512i word0 = _mm512_permutex2var_epi64(low, even, high), word1 = _mm512_permutex2var_epi64(low, odd, high);
    __m512i sum = _mm512_add_epi64(_mm512_mullo_epi64(word0, _mm512_set1_epi64((long long)TQI_HASH_0)),
                                   _mm512_mullo_epi64(word1, _mm512_set1_epi64((long long)TQI_HASH_1)));

    sum = _mm512_xor_si512(sum, _mm512_srli_epi64(sum, 32));
    return _mm512_mullo_epi64(sum, _mm512_set1_epi64((long long)TQI_HASH_LAST));
}

AVX512 static inline void avx512_put_values(__m512i values, tqi_hot_rows *rows, size_t r)
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    const __m512i one = _mm512_set1_epi64(1), low = _mm512_set1_epi64(UINT32_MAX);
    __m512i squares = _mm512_mul_epi32(values, values);
    __m512i lower = _mm512_and_si512(squares, low), upper = _mm512_srli_epi64(squares, 32);
    __m512i even0 = _mm512_unpacklo_epi64(values, lower), odd0 = _mm512_unpackhi_epi64(values, lower);
    __m512i even1 = _mm512_unpacklo_epi64(upper, one), odd1 = _mm512_unpackhi_epi64(upper, one);
    __m512i rows02 = _mm512_permutex2var_epi64(even0, first, even1),
            rows13 = _mm512_permutex2var_epi64(odd0, first, odd1);
    __m512i rows46 = _mm512_permutex2var_epi64(even0, second, even1),
            rows57 = _mm512_permutex2var_epi64(odd0, second, odd1);
    uint64_t(*to)[4] = &rows->sums[r];

    _mm512_store_si512(to, _mm512_shuffle_i64x2(rows02, rows13, 0x44));
    _mm512_store_si512(to + 2, _mm512_shuffle_i64x2(rows02, rows13, 0xee));
    _mm512_store_si512(to + 4, _mm512_shuffle_i64x2(rows46, rows57, 0x44));
    _mm512_store_si512(to + 6, _mm512_shuffle_i64x2(rows46, rows57, 0xee));
    __m512i complements = _mm512_slli_epi64(_mm512_xor_si512(values, _mm512_set1_epi64(-1)), 32);
    _mm512_store_si512(&rows->most[r], _mm512_or_si512(_mm512_and_si512(values, low), complements));
}

/* Bytes that a mask leaves out are not read: the keys need no slack. */
AVX512 static inline void avx512_prepare(const tqi_hot_pairs *pairs, size_t first, size_t n, const tqi_hot_scale *by,
                                         tqi_hot_rows *rows)
{
    const __m512i factor = _mm512_set1_epi64(by->factor), most = _mm512_set1_epi64(by->most_small);
    const __m512i twice = _mm512_slli_epi64(most, 1);
    size_t n_longs = 0;

    for (size_t r = 0; r < n; r++) {
        tq_slice key = pairs->keys[first + r];
        __mmask16 mask = (__mmask16)_bzhi_u32(0xffff, (uint32_t)key.size);

        _mm_store_si128((__m128i *)(void *)rows->word[r], _mm_maskz_loadu_epi8(mask, key.data));
        rows->tag[r] = (uint32_t)key.size + 1;
        rows->longs[n_longs] = (uint32_t)r;
        n_longs += key.size > TQI_KEY_INLINE;
    }
    for (size_t r = 0; r < n; r += 8) {
        __mmask8 there = (__mmask8)_bzhi_u32(0xff, (uint32_t)(n - r));
        __m512i values = _mm512_maskz_loadu_epi64(there, pairs->values + first + r);
        unsigned large = _mm512_cmpgt_epu64_mask(_mm512_add_epi64(values, most), twice);

        _mm512_store_si512(&rows->hash[r], avx512_hash(rows, r));
        avx512_put_values(_mm512_mul_epi32(values, factor), rows, r); /* numbers of 32 bits, if they are small */
        for (; __builtin_expect(large != 0, 0); large &= large - 1)
            rows->tag[r + (unsigned)__builtin_ctz(large)] = TQI_HOT_SPECIAL;
    }
    for (size_t i = 0; i < n_longs; i++) {
        size_t r = rows->longs[i];
        uint32_t tag = rows->tag[r];

        prepare_long(pairs->keys[first + r], rows, r);
        rows->tag[r] = tag == TQI_HOT_SPECIAL ? tag : rows->tag[r];
    }
}

AVX512 static inline uint64_t avx512_check(const tqi_hot_pairs *pairs, size_t first, size_t n, const tqi_hot_rows *rows,
                                           const tqi_hot_scale *by)
{
    const __m512i squared = _mm512_set1_epi64((long long)by->digest.squared);
    const __m512i plain = _mm512_set1_epi64((long long)by->digest.plain),
                  one = _mm512_set1_epi64((long long)by->digest.one);
    __m512i check = _mm512_setzero_si512();
    uint64_t lanes[8], sum = 0;

    for (size_t r = 0; r < n; r += 8) {
        __mmask8 there = (__mmask8)_bzhi_u32(0xff, (uint32_t)(n - r));
        __m512i values = _mm512_maskz_loadu_epi64(there, pairs->values + first + r);
        __m512i hashes = _mm512_maskz_load_epi64(there, &rows->hash[r]);
        __m512i digests = _mm512_add_epi64(_mm512_mullo_epi64(squared, values), plain);

        digests = _mm512_add_epi64(_mm512_mullo_epi64(digests, values), one);
        check = _mm512_add_epi64(check, _mm512_mullo_epi64(hashes, digests));
    }
    _mm512_storeu_si512(lanes, check); /* _mm512_reduce_add_epi64 adds signed numbers, which may overflow */
    for (size_t i = 0; i < 8; i++)
        sum += lanes[i];
    return sum;
}

AVX512 static inline bool avx512_is(const tqi_hot_entry *entry, const tqi_hot_rows *rows, size_t r)
{
    return avx2_is(entry, rows, r);
}

AVX512 static inline void avx512_add_row(tqi_hot_entry *entry, const tqi_hot_rows *rows, size_t r)
{
    avx2_add_row(entry, rows, r);
}

AVX512 static void avx512_add(tqi_hot *hot, const tqi_hot_pairs *pairs, tqi_hot_done *done)
{
    add_pairs(hot, pairs, done, avx512_prepare, avx512_check, avx512_is, avx512_add_row);
}

#endif

static const tqi_hot_kernel kernels[] = {
    {"portable", portable_add, true, tqi_cpu_any},
#if defined(__x86_64__)
    {"avx2", avx2_add, true, tqi_cpu_avx2},
    {"avx512", avx512_add, false, tqi_cpu_avx512},
#endif
};

const tqi_hot_kernel *tqi_hot_kernels(size_t *n)
{
    *n = sizeof kernels / sizeof kernels[0];
    while (!kernels[*n - 1].supported())
        --*n;
    return kernels;
}
