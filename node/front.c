#include "node/front.h"

#include "node/cpu.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { MOST_BITS8 = 12, MOST_BITS16 = 11, MOST_BITS32 = 9, LEAST_BITS = 4, OTHER_PLACE = 64 };

/* ---- Making room ---- */

static inline unsigned size_of_word(uint64_t word)
{
    return 8 - (unsigned)__builtin_clzll(word | 1) / 8;
}

static inline tqi_evicted evict8(const tqi_line8 *line, unsigned way)
{
    uint64_t word = line->word[way];

    return (tqi_evicted){{{word, 0}, word ? size_of_word(word) : 0}, line->value[way]};
}

static inline tqi_evicted evict16(const tqi_line16 *line, unsigned way)
{
    uint64_t word1 = line->word1[way];

    return (tqi_evicted){{{line->word0[way], word1}, word1 ? 8 + size_of_word(word1) : 0}, line->value[way]};
}

ALWAYS_INLINE tqi_evicted32 evict32(const tqi_line32 *line, unsigned way)
{
    tqi_evicted32 evicted = {
        {line->word[0][way], line->word[1][way], line->word[2][way], line->word[3][way]}, line->value[way], 0};

    if (evicted.word[2] | evicted.word[3])
        evicted.size = evicted.word[3] ? 24 + size_of_word(evicted.word[3]) : 16 + size_of_word(evicted.word[2]);
    return evicted;
}

/* The place of the least sum; now and then, another. Which it is cannot be predicted, so there is no branch on it. */
ALWAYS_INLINE unsigned weakest(tqi_front *front, const uint64_t *values)
{
    unsigned first = (int64_t)values[1] < (int64_t)values[0], second = 2U | ((int64_t)values[3] < (int64_t)values[2]);
    unsigned smaller = (int64_t)values[second] < (int64_t)values[first];
    unsigned way = first ^ ((first ^ second) & -smaller);

    if (__builtin_expect(++front->entered % OTHER_PLACE == 0, 0))
        way = front->entered / OTHER_PLACE % TQI_FRONT_WAYS;
    return way;
}

ALWAYS_INLINE bool enter8(tqi_front *front, const tqi_key8 *key, uint64_t value, tqi_evicted *evicted)
{
    tqi_line8 *line = &front->lines8[key->hash >> front->shift8];

    unsigned here = 0;

    for (unsigned w = 0; w < TQI_FRONT_WAYS; w++)
        here |= (unsigned)(line->word[w] == key->word) << w;
    if (__builtin_expect(here != 0, 0)) {
        line->value[__builtin_ctz(here)] += value;
        return true;
    }
    unsigned way = weakest(front, line->value);
    *evicted = evict8(line, way);
    line->word[way] = key->word;
    line->value[way] = value;
    return false;
}

ALWAYS_INLINE bool enter16(tqi_front *front, const tqi_key16 *key, uint64_t value, tqi_evicted *evicted)
{
    tqi_line16 *line = &front->lines16[key->hash >> front->shift16];

    unsigned here = 0;

    for (unsigned w = 0; w < TQI_FRONT_WAYS; w++)
        here |= (unsigned)(((line->word0[w] ^ key->word0) | (line->word1[w] ^ key->word1)) == 0) << w;
    if (__builtin_expect(here != 0, 0)) {
        line->value[__builtin_ctz(here)] += value;
        return true;
    }
    unsigned way = weakest(front, line->value);
    *evicted = evict16(line, way);
    line->word0[way] = key->word0;
    line->word1[way] = key->word1;
    line->value[way] = value;
    return false;
}

ALWAYS_INLINE bool enter32(tqi_front *front, const tqi_key32 *key, uint64_t value, tqi_evicted32 *evicted)
{
    tqi_line32 *line = &front->lines32[key->hash >> front->shift32];
    unsigned here = 0;

    for (unsigned w = 0; w < TQI_FRONT_WAYS; w++)
        here |= (unsigned)(((line->word[0][w] ^ key->word[0]) | (line->word[1][w] ^ key->word[1]) |
                            (line->word[2][w] ^ key->word[2]) | (line->word[3][w] ^ key->word[3])) == 0)
                << w;
    if (__builtin_expect(here != 0, 0)) {
        line->value[__builtin_ctz(here)] += value;
        return true;
    }
    unsigned way = weakest(front, line->value);
    *evicted = evict32(line, way);
    for (unsigned i = 0; i < 4; i++)
        line->word[i][way] = key->word[i];
    line->value[way] = value;
    return false;
}

bool tqi_front_add32(tqi_front *front, const tqi_key32 *key, uint64_t value, tqi_evicted32 *evicted)
{
    return enter32(front, key, value, evicted);
}

bool tqi_front_add8(tqi_front *front, const tqi_key8 *key, uint64_t value, tqi_evicted *evicted)
{
    return enter8(front, key, value, evicted);
}

bool tqi_front_add16(tqi_front *front, const tqi_key16 *key, uint64_t value, tqi_evicted *evicted)
{
    return enter16(front, key, value, evicted);
}

/* ---- Batches ---- */

/* Divide keys by their size: the numbers of small, large and medium ones, and of others, and in counts how many of each. */
typedef void divide_fn(const tq_slice *keys, size_t n, tqi_batch *batch, size_t counts[4]);
/* Add value where the key is; returns whether it is anywhere. */
typedef bool find8_fn(tqi_line8 *line, uint64_t word, uint64_t value);
typedef bool find16_fn(tqi_line16 *line, uint64_t word0, uint64_t word1, uint64_t value);
typedef bool find32_fn(tqi_line32 *line, const uint64_t word[4], uint64_t value);

ALWAYS_INLINE size_t add_small(tqi_front *front, const tq_slice *keys, const uint64_t *values, size_t n,
                               tqi_batch *batch, find8_fn *find8)
{
    uint64_t check = 0;
    size_t missed = 0, others = batch->n_others;

    for (size_t i = 0; i < n; i++) {
        uint32_t k = batch->small[i];
        uint64_t word, value = values[k];

        memcpy(&word, keys[k].data, sizeof word);
        word &= tqi_key_masks[keys[k].size][0];
        if (__builtin_expect(keys[k].data[keys[k].size - 1] == 0, 0)) {
            batch->others[others++] = k;
            continue;
        }
        uint64_t hash = tqi_hash_short(word, 0);
        check += hash * value;
        batch->missed8[missed] = (tqi_key8){word, hash};
        batch->values8[missed] = value;
        missed += !find8(&front->lines8[hash >> front->shift8], word, value);
    }
    batch->check += check;
    batch->n_others = others;
    return missed;
}

ALWAYS_INLINE size_t add_large(tqi_front *front, const tq_slice *keys, const uint64_t *values, size_t n,
                               tqi_batch *batch, find16_fn *find16)
{
    uint64_t check = 0;
    size_t missed = 0, others = batch->n_others;

    for (size_t i = 0; i < n; i++) {
        uint32_t k = batch->large[i];
        uint64_t word[2], value = values[k];

        memcpy(word, keys[k].data, sizeof word);
        word[1] &= tqi_key_masks[keys[k].size][1];
        if (__builtin_expect(keys[k].data[keys[k].size - 1] == 0, 0)) {
            batch->others[others++] = k;
            continue;
        }
        uint64_t hash = tqi_hash_short(word[0], word[1]);
        check += hash * value;
        batch->missed16[missed] = (tqi_key16){word[0], word[1], hash};
        batch->values16[missed] = value;
        missed += !find16(&front->lines16[hash >> front->shift16], word[0], word[1], value);
    }
    batch->check += check;
    batch->n_others = others;
    return missed;
}

ALWAYS_INLINE size_t add_medium(tqi_front *front, const tq_slice *keys, const uint64_t *values, size_t n,
                                tqi_batch *batch, find32_fn *find32)
{
    uint64_t check = 0;
    size_t missed = 0, others = batch->n_others;

    for (size_t i = 0; i < n; i++) {
        uint32_t k = batch->medium[i];
        uint64_t value = values[k];
        tqi_key32 key;

        memcpy(key.word, keys[k].data, sizeof key.word);
        key.word[2] &= tqi_key_masks[keys[k].size - 16][0];
        key.word[3] &= tqi_key_masks[keys[k].size - 16][1];
        if (__builtin_expect(keys[k].data[keys[k].size - 1] == 0, 0)) {
            batch->others[others++] = k;
            continue;
        }
        key.hash = tqi_hash_medium(keys[k].data, keys[k].size);
        check += key.hash * value;
        batch->missed32[missed] = key;
        batch->values32[missed] = value;
        missed += !find32(&front->lines32[key.hash >> front->shift32], key.word, value);
    }
    batch->check += check;
    batch->n_others = others;
    return missed;
}

/* The body of a kernel. First everything that is there is counted, without a branch on whether it is; then what was
 * missed makes room for itself. A key that was missed twice in one batch is found the second time. */
ALWAYS_INLINE void add_batch(tqi_front *front, const tq_slice *keys, const uint64_t *values, size_t n, tqi_batch *batch,
                             divide_fn *divide, find8_fn *find8, find16_fn *find16, find32_fn *find32)
{
    size_t counts[4] = {0}, moved = 0, moved32 = 0;

    batch->check = 0;
    divide(keys, n, batch, counts);
    batch->n_others = counts[3];
    size_t missed8 = add_small(front, keys, values, counts[0], batch, find8);
    size_t missed16 = add_large(front, keys, values, counts[1], batch, find16);
    size_t missed32 = add_medium(front, keys, values, counts[2], batch, find32);
    for (size_t i = 0; i < missed8; i++)
        moved += !enter8(front, &batch->missed8[i], batch->values8[i], &batch->evicted[moved]);
    for (size_t i = 0; i < missed16; i++)
        moved += !enter16(front, &batch->missed16[i], batch->values16[i], &batch->evicted[moved]);
    for (size_t i = 0; i < missed32; i++)
        moved32 += !enter32(front, &batch->missed32[i], batch->values32[i], &batch->evicted32[moved32]);
    batch->n_evicted = moved;
    batch->n_evicted32 = moved32;
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

/* ---- ---- */

bool tqi_front_init(tqi_front *front, tqi_budget *budget, size_t bytes)
{
    unsigned bits8 = MOST_BITS8, bits16 = MOST_BITS16, bits32 = MOST_BITS32;
    size_t n, all;
    const tqi_front_kernel *best = tqi_front_kernels(&n) + n - 1;

    *front = (tqi_front){.kernel = best};
    for (;; bits8--, bits16--, bits32--) {
        all = (sizeof(tqi_line8) << bits8) + (sizeof(tqi_line16) << bits16) + (sizeof(tqi_line32) << bits32);
        if (all <= bytes || bits32 == LEAST_BITS)
            break;
    }
    front->shift8 = 64 - bits8;
    front->shift16 = 64 - bits16;
    front->shift32 = 64 - bits32;
    front->bytes = all + sizeof(tqi_line8); /* to align it */
    if (front->bytes <= TQI_HUGE_PAGE && bytes / 4 >= TQI_HUGE_PAGE) /* a page of its own costs less than the misses of the TLB */
        front->bytes = TQI_HUGE_PAGE;
    char *memory = all <= bytes ? tqi_budget_alloc(budget, front->bytes) : NULL;
    if (!memory)
        return false;
    memset(memory, 0, all + sizeof(tqi_line8));
    front->memory = memory;
    front->lines8 = (tqi_line8 *)(void *)(memory + (-(uintptr_t)memory & (sizeof(tqi_line8) - 1)));
    front->lines16 = (tqi_line16 *)(void *)(front->lines8 + ((size_t)1 << bits8));
    front->lines32 = (tqi_line32 *)(void *)(front->lines16 + ((size_t)1 << bits16));
    return true;
}

void tqi_front_free(tqi_front *front, tqi_budget *budget)
{
    tqi_budget_free(budget, front->memory, front->bytes);
    front->memory = NULL;
    front->lines8 = NULL;
    front->lines16 = NULL;
    front->lines32 = NULL;
}

bool tqi_front_drain(tqi_front *front, size_t *next, tqi_evicted *evicted)
{
    if (!front->lines8)
        return false;
    size_t places8 = TQI_FRONT_WAYS * ((size_t)1 << (64 - front->shift8));
    size_t places16 = TQI_FRONT_WAYS * ((size_t)1 << (64 - front->shift16));

    while (*next < places8 + places16) {
        size_t place = (*next)++;

        if (place < places8) {
            tqi_line8 *line = &front->lines8[place / TQI_FRONT_WAYS];
            *evicted = evict8(line, (unsigned)(place % TQI_FRONT_WAYS));
            line->word[place % TQI_FRONT_WAYS] = 0;
        } else {
            tqi_line16 *line = &front->lines16[(place - places8) / TQI_FRONT_WAYS];
            *evicted = evict16(line, (unsigned)(place % TQI_FRONT_WAYS));
            line->word0[place % TQI_FRONT_WAYS] = line->word1[place % TQI_FRONT_WAYS] = 0;
        }
        if (evicted->key.size)
            return true;
    }
    return false;
}

bool tqi_front_drain32(tqi_front *front, size_t *next, tqi_evicted32 *evicted)
{
    if (!front->lines32)
        return false;
    size_t places = TQI_FRONT_WAYS * ((size_t)1 << (64 - front->shift32));

    while (*next < places) {
        tqi_line32 *line = &front->lines32[*next / TQI_FRONT_WAYS];
        unsigned way = (unsigned)(*next % TQI_FRONT_WAYS);

        ++*next;
        *evicted = evict32(line, way);
        line->word[2][way] = line->word[3][way] = 0;
        if (evicted->size)
            return true;
    }
    return false;
}
