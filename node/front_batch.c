#include "node/cpu.h"
#include "node/front_lines.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ALWAYS_INLINE TQI_ALWAYS_INLINE

/* Divide keys by their size: the numbers of small, large and medium ones, and of others, and in counts how many of each. */
typedef void divide_fn(const tq_slice *keys, size_t n, tqi_batch *batch, size_t counts[4]);
/* Add value where the key is; returns whether it is anywhere. */
typedef bool find8_fn(tqi_line8 *line, uint64_t word, uint64_t value);
typedef bool find16_fn(tqi_line16 *line, uint64_t word0, uint64_t word1, uint64_t value);
typedef bool find32_fn(tqi_line32 *line, const uint64_t word[4], uint64_t value);

/* Keys that have one kind of line go through loops of their own: all are loaded, hashed, looked for, and then those that
 * were not found take places. Where a loop writes follows from its counter alone, not from what was found before:
 * otherwise no line could be loaded before it is known whether the last key was there. */

/* Key k was loaded behind *loaded others: it stays there, unless its last byte is 0. Then it is no key for the front. */
ALWAYS_INLINE void keep(const tq_slice *keys, const uint64_t *values, uint32_t k, tqi_batch *batch, size_t *loaded)
{
    batch->values[*loaded] = values[k];
    if (__builtin_expect(keys[k].data[keys[k].size - 1] == 0, 0))
        batch->others[batch->n_others++] = k;
    else
        ++*loaded;
}

ALWAYS_INLINE size_t load_small(const tq_slice *keys, const uint64_t *values, size_t n, tqi_batch *batch)
{
    size_t loaded = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t k = batch->small[i];
        uint64_t word;

        memcpy(&word, keys[k].data, sizeof word);
        batch->words[0][loaded] = word & tqi_key_masks[keys[k].size][0];
        keep(keys, values, k, batch, &loaded);
    }
    return loaded;
}

ALWAYS_INLINE size_t load_large(const tq_slice *keys, const uint64_t *values, size_t n, tqi_batch *batch)
{
    size_t loaded = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t k = batch->large[i];
        uint64_t word[2];

        memcpy(word, keys[k].data, sizeof word);
        batch->words[0][loaded] = word[0];
        batch->words[1][loaded] = word[1] & tqi_key_masks[keys[k].size][1];
        keep(keys, values, k, batch, &loaded);
    }
    return loaded;
}

/* These are hashed, too: their hash is that of bytes. */
ALWAYS_INLINE size_t load_medium(const tq_slice *keys, const uint64_t *values, size_t n, tqi_batch *batch)
{
    size_t loaded = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t k = batch->medium[i];
        tqi_key32 *key = &batch->keys32[loaded];

        memcpy(key->word, keys[k].data, sizeof key->word);
        key->word[2] &= tqi_key_masks[keys[k].size - 16][0];
        key->word[3] &= tqi_key_masks[keys[k].size - 16][1];
        key->hash = tqi_hash_medium(keys[k].data, keys[k].size);
        batch->hashes[loaded] = key->hash;
        keep(keys, values, k, batch, &loaded);
    }
    return loaded;
}

/* Account for n keys, and have their lines on the way. */
ALWAYS_INLINE void fetch(tqi_batch *batch, size_t n, const void *lines, size_t line_bytes, unsigned shift)
{
    uint64_t check = 0, weight = 0;

    for (size_t i = 0; i < n; i++) {
        check += batch->hashes[i] * batch->values[i];
        weight += batch->values[i];
    }
    tqi_account_add(&batch->held, &(tq_account){n, weight, check});
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < line_bytes; at += 64)
            __builtin_prefetch((const char *)lines + (batch->hashes[i] >> shift) * line_bytes + at, 1);
}

/* The number of the next key that was not found, of 64 from the first on; there is one. */
ALWAYS_INLINE size_t next_missed(uint64_t *missed, size_t first)
{
    size_t i = first + (size_t)__builtin_ctzll(*missed);

    *missed &= *missed - 1;
    return i;
}

ALWAYS_INLINE void add_small(tqi_front *front, size_t n, tqi_batch *batch, find8_fn *find8)
{
    const uint64_t *words = batch->words[0], *hashes = batch->hashes, *values = batch->values;
    size_t moved = batch->n_evicted;

    for (size_t i = 0; i < n; i++)
        batch->hashes[i] = tqi_hash_short(words[i], 0);
    fetch(batch, n, front->lines8, sizeof(tqi_line8), front->shift8);
    for (size_t first = 0; first < n; first += 64) {
        uint64_t missed = 0;

        for (size_t i = first; i < n && i < first + 64; i++)
            missed |= (uint64_t)!find8(&front->lines8[hashes[i] >> front->shift8], words[i], values[i]) << (i - first);
        batch->missed[first / 64] = missed;
    }
    for (size_t first = 0; first < n; first += 64)
        for (uint64_t missed = batch->missed[first / 64]; missed;) {
            size_t i = next_missed(&missed, first);

            moved += !tqi_front_enter8(front, &(tqi_key8){words[i], hashes[i]}, values[i], &batch->evicted[moved]);
        }
    batch->n_evicted = moved;
}

ALWAYS_INLINE void add_large(tqi_front *front, size_t n, tqi_batch *batch, find16_fn *find16)
{
    const uint64_t *words0 = batch->words[0], *words1 = batch->words[1], *hashes = batch->hashes, *values = batch->values;
    size_t moved = batch->n_evicted;

    for (size_t i = 0; i < n; i++)
        batch->hashes[i] = tqi_hash_short(words0[i], words1[i]);
    fetch(batch, n, front->lines16, sizeof(tqi_line16), front->shift16);
    for (size_t first = 0; first < n; first += 64) {
        uint64_t missed = 0;

        for (size_t i = first; i < n && i < first + 64; i++) {
            tqi_line16 *line = &front->lines16[hashes[i] >> front->shift16];

            missed |= (uint64_t)!find16(line, words0[i], words1[i], values[i]) << (i - first);
        }
        batch->missed[first / 64] = missed;
    }
    for (size_t first = 0; first < n; first += 64)
        for (uint64_t missed = batch->missed[first / 64]; missed;) {
            size_t i = next_missed(&missed, first);
            tqi_key16 key = {words0[i], words1[i], hashes[i]};

            moved += !tqi_front_enter16(front, &key, values[i], &batch->evicted[moved]);
        }
    batch->n_evicted = moved;
}

ALWAYS_INLINE void add_medium(tqi_front *front, size_t n, tqi_batch *batch, find32_fn *find32)
{
    const tqi_key32 *keys = batch->keys32;
    const uint64_t *values = batch->values;
    size_t moved = 0;

    fetch(batch, n, front->lines32, sizeof(tqi_line32), front->shift32);
    for (size_t first = 0; first < n; first += 64) {
        uint64_t missed = 0;

        for (size_t i = first; i < n && i < first + 64; i++) {
            tqi_line32 *line = &front->lines32[keys[i].hash >> front->shift32];

            missed |= (uint64_t)!find32(line, keys[i].word, values[i]) << (i - first);
        }
        batch->missed[first / 64] = missed;
    }
    for (size_t first = 0; first < n; first += 64)
        for (uint64_t missed = batch->missed[first / 64]; missed;) {
            size_t i = next_missed(&missed, first);

            moved += !tqi_front_enter32(front, &keys[i], values[i], &batch->evicted32[moved]);
        }
    batch->n_evicted32 = moved;
}

/* The body of a kernel. First everything that is there is counted, without a branch on whether it is; then what was
 * missed makes room for itself. A key that was missed twice in one batch is found the second time. */
ALWAYS_INLINE void add_batch(tqi_front *front, const tq_slice *keys, const uint64_t *values, size_t n, tqi_batch *batch,
                             divide_fn *divide, find8_fn *find8, find16_fn *find16, find32_fn *find32)
{
    size_t counts[4] = {0};

    batch->held = (tq_account){0};
    batch->n_evicted = 0;
    divide(keys, n, batch, counts);
    batch->n_others = counts[3];
    add_small(front, load_small(keys, values, counts[0], batch), batch, find8);
    add_large(front, load_large(keys, values, counts[1], batch), batch, find16);
    add_medium(front, load_medium(keys, values, counts[2], batch), batch, find32);
}

ALWAYS_INLINE void divide_from(const tq_slice *keys, size_t first, size_t n, tqi_batch *batch, size_t counts[4])
{
    size_t small = counts[0], large = counts[1], medium = counts[2], others = counts[3];

    for (size_t i = first; i < n; i++) {
        size_t size = keys[i].size;

        batch->small[small] = batch->large[large] = batch->medium[medium] = batch->others[others] = (uint32_t)i;
        small += size - 1 < 8;
        large += size - 9 < 8;
        medium += size - 17 < 16;
        others += size - 1 >= TQI_KEY_MEDIUM;
    }
    counts[0] = small;
    counts[1] = large;
    counts[2] = medium;
    counts[3] = others;
}

static inline void portable_divide(const tq_slice *keys, size_t n, tqi_batch *batch, size_t counts[4])
{
    divide_from(keys, 0, n, batch, counts);
}

static inline bool portable_find8(tqi_line8 *line, uint64_t word, uint64_t value)
{
    uint64_t found = 0;

    for (int w = 0; w < TQI_FRONT_WAYS; w++) {
        uint64_t here = line->word[w] == word;

        line->value[w] += value & -here;
        found |= here;
    }
    return found;
}

static inline bool portable_find16(tqi_line16 *line, uint64_t word0, uint64_t word1, uint64_t value)
{
    uint64_t found = 0;

    for (int w = 0; w < TQI_FRONT_WAYS; w++) {
        uint64_t here = ((line->word0[w] ^ word0) | (line->word1[w] ^ word1)) == 0;

        line->value[w] += value & -here;
        found |= here;
    }
    return found;
}

static inline bool portable_find32(tqi_line32 *line, const uint64_t word[4], uint64_t value)
{
    uint64_t found = 0;

    for (int w = 0; w < TQI_FRONT_WAYS; w++) {
        uint64_t here = ((line->word[0][w] ^ word[0]) | (line->word[1][w] ^ word[1]) | (line->word[2][w] ^ word[2]) |
                         (line->word[3][w] ^ word[3])) == 0;

        line->value[w] += value & -here;
        found |= here;
    }
    return found;
}

static void portable_add(tqi_front *front, const tq_slice *keys, const uint64_t *values, size_t n, tqi_batch *batch)
{
    add_batch(front, keys, values, n, batch, portable_divide, portable_find8, portable_find16, portable_find32);
}

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2,bmi,bmi2")))

AVX2 static inline __m256i load_4(const uint64_t *words)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)words);
}

AVX2 static inline bool add_where(uint64_t *values, __m256i here, uint64_t value)
{
    __m256i added = _mm256_and_si256(here, _mm256_set1_epi64x((long long)value));

    _mm256_storeu_si256((__m256i *)(void *)values, _mm256_add_epi64(load_4(values), added));
    return !_mm256_testz_si256(here, here);
}

AVX2 static inline bool avx2_find8(tqi_line8 *line, uint64_t word, uint64_t value)
{
    return add_where(line->value, _mm256_cmpeq_epi64(load_4(line->word), _mm256_set1_epi64x((long long)word)), value);
}

AVX2 static inline bool avx2_find16(tqi_line16 *line, uint64_t word0, uint64_t word1, uint64_t value)
{
    __m256i low = _mm256_cmpeq_epi64(load_4(line->word0), _mm256_set1_epi64x((long long)word0));
    __m256i high = _mm256_cmpeq_epi64(load_4(line->word1), _mm256_set1_epi64x((long long)word1));

    return add_where(line->value, _mm256_and_si256(low, high), value);
}

AVX2 static inline __m256i equal_4(const uint64_t *words, uint64_t word)
{
    return _mm256_cmpeq_epi64(load_4(words), _mm256_set1_epi64x((long long)word));
}

AVX2 static inline bool avx2_find32(tqi_line32 *line, const uint64_t word[4], uint64_t value)
{
    __m256i low = _mm256_and_si256(equal_4(line->word[0], word[0]), equal_4(line->word[1], word[1]));
    __m256i high = _mm256_and_si256(equal_4(line->word[2], word[2]), equal_4(line->word[3], word[3]));

    return add_where(line->value, _mm256_and_si256(low, high), value);
}

AVX2 static void avx2_add(tqi_front *front, const tq_slice *keys, const uint64_t *values, size_t n, tqi_batch *batch)
{
    add_batch(front, keys, values, n, batch, portable_divide, avx2_find8, avx2_find16, avx2_find32);
}

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,popcnt")))

/* Write the numbers that the mask chooses; returns how many. To a register first: a compressing store is slow on Zen 4. */
AVX512 static inline size_t put_numbers(uint32_t *to, __mmask8 mask, __m256i numbers)
{
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_maskz_compress_epi32(mask, numbers));
    return (size_t)__builtin_popcount(mask);
}

AVX512 static inline void avx512_divide(const tq_slice *keys, size_t n, tqi_batch *batch, size_t counts[4])
{
    const __m512i odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), one = _mm512_set1_epi64(1);
    const __m512i eight = _mm512_set1_epi64(8), sixteen = _mm512_set1_epi64(16), most = _mm512_set1_epi64(32);
    __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        __m512i low = _mm512_loadu_si512(&keys[i]), high = _mm512_loadu_si512(&keys[i + 4]);
        __m512i less_one = _mm512_sub_epi64(_mm512_permutex2var_epi64(low, odd, high), one);
        unsigned small = _mm512_cmplt_epu64_mask(less_one, eight), held = _mm512_cmplt_epu64_mask(less_one, most);
        unsigned inlined = _mm512_cmplt_epu64_mask(less_one, sixteen);

        counts[0] += put_numbers(batch->small + counts[0], (__mmask8)small, numbers);
        counts[1] += put_numbers(batch->large + counts[1], (__mmask8)(inlined & ~small), numbers);
        counts[2] += put_numbers(batch->medium + counts[2], (__mmask8)(held & ~inlined), numbers);
        counts[3] += put_numbers(batch->others + counts[3], (__mmask8)~held, numbers);
        numbers = _mm256_add_epi32(numbers, _mm256_set1_epi32(8));
    }
    divide_from(keys, i, n, batch, counts);
}

AVX512 static inline bool add_at(uint64_t *values, __mmask8 here, uint64_t value)
{
    __m256i added = _mm256_mask_add_epi64(_mm256_loadu_si256((const __m256i *)(const void *)values), here,
                                          _mm256_loadu_si256((const __m256i *)(const void *)values),
                                          _mm256_set1_epi64x((long long)value));

    _mm256_storeu_si256((__m256i *)(void *)values, added);
    return here != 0;
}

AVX512 static inline bool avx512_find8(tqi_line8 *line, uint64_t word, uint64_t value)
{
    __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)line->word);

    return add_at(line->value, _mm256_cmpeq_epi64_mask(words, _mm256_set1_epi64x((long long)word)), value);
}

AVX512 static inline bool avx512_find16(tqi_line16 *line, uint64_t word0, uint64_t word1, uint64_t value)
{
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)line->word0);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)line->word1);
    __mmask8 here = _mm256_cmpeq_epi64_mask(low, _mm256_set1_epi64x((long long)word0));

    here = _mm256_mask_cmpeq_epi64_mask(here, high, _mm256_set1_epi64x((long long)word1));
    return add_at(line->value, here, value);
}

AVX512 static inline __mmask8 equal_where(__mmask8 where, const uint64_t *words, uint64_t word)
{
    return _mm256_mask_cmpeq_epi64_mask(where, _mm256_loadu_si256((const __m256i *)(const void *)words),
                                        _mm256_set1_epi64x((long long)word));
}

AVX512 static inline bool avx512_find32(tqi_line32 *line, const uint64_t word[4], uint64_t value)
{
    __mmask8 here = equal_where(0xf, line->word[0], word[0]);

    for (int i = 1; i < 4; i++)
        here = equal_where(here, line->word[i], word[i]);
    return add_at(line->value, here, value);
}

AVX512 static void avx512_add(tqi_front *front, const tq_slice *keys, const uint64_t *values, size_t n,
                              tqi_batch *batch)
{
    add_batch(front, keys, values, n, batch, avx512_divide, avx512_find8, avx512_find16, avx512_find32);
}

#endif

static const tqi_front_kernel kernels[] = {
    {"portable", portable_add, tqi_cpu_any},
#if defined(__x86_64__)
    {"avx2", avx2_add, tqi_cpu_avx2},
    {"avx512", avx512_add, tqi_cpu_avx512},
#endif
};

const tqi_front_kernel *tqi_front_kernels(size_t *n)
{
    *n = sizeof kernels / sizeof kernels[0];
    while (!kernels[*n - 1].supported())
        --*n;
    return kernels;
}
