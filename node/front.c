#include "node/front.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { MOST_BITS8 = 12, MOST_BITS16 = 11, LEAST_BITS = 4, OTHER_PLACE = 64 };

/* ---- Batches: portable ---- */

static inline __attribute__((always_inline)) void divide(const tq_slice *keys, size_t n, tqi_divided *divided)
{
    size_t n8 = 0, n16 = 0, others = 0;
    uint64_t hashes = 0;

    for (size_t i = 0; i < n; i++) {
        size_t size = keys[i].size, held = size < TQI_KEY_INLINE ? size : TQI_KEY_INLINE;
        tqi_key key = tqi_key_load_padded(keys[i].data, held);
        uint64_t hash = tqi_hash_short(key.word[0], key.word[1], held);
        /* Of a key without bytes, or with more than the words hold, the last one does not matter. */
        bool other = (size - 1 >= TQI_KEY_INLINE) | (keys[i].data[held - (held > 0)] == 0), large = size > 8;

        divided->keys8[n8] = (tqi_key8){key.word[0], hash};
        divided->keys16[n16] = (tqi_key16){key.word[0], key.word[1], hash};
        divided->others[others] = (uint32_t)i;
        n8 += !other & !large;
        n16 += !other & large;
        others += other;
        hashes += hash & (other - (uint64_t)1);
    }
    divided->n8 = n8;
    divided->n16 = n16;
    divided->n_others = others;
    divided->hashes = hashes;
}

static void portable_divide(const tq_slice *keys, size_t n, tqi_divided *divided)
{
    divide(keys, n, divided);
}

static size_t portable_add8(const tqi_front *front, tqi_key8 *keys, size_t n, uint64_t value)
{
    size_t missed = 0;

    for (size_t i = 0; i < n; i++) {
        tqi_key8 key = keys[i];
        tqi_line8 *line = &front->lines8[key.hash >> front->shift8];
        uint64_t found = 0;

        for (int w = 0; w < TQI_FRONT_WAYS; w++) {
            uint64_t here = line->word[w] == key.word;

            line->value[w] += value & -here;
            found |= here;
        }
        keys[missed] = key;
        missed += !found;
    }
    return missed;
}

static size_t portable_add16(const tqi_front *front, tqi_key16 *keys, size_t n, uint64_t value)
{
    size_t missed = 0;

    for (size_t i = 0; i < n; i++) {
        tqi_key16 key = keys[i];
        tqi_line16 *line = &front->lines16[key.hash >> front->shift16];
        uint64_t found = 0;

        for (int w = 0; w < TQI_FRONT_WAYS; w++) {
            uint64_t here = ((line->word0[w] ^ key.word0) | (line->word1[w] ^ key.word1)) == 0;

            line->value[w] += value & -here;
            found |= here;
        }
        keys[missed] = key;
        missed += !found;
    }
    return missed;
}

static bool always(void)
{
    return true;
}

/* ---- Batches: AVX2 ---- */

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2,bmi,bmi2")))

AVX2 static void avx2_divide(const tq_slice *keys, size_t n, tqi_divided *divided)
{
    divide(keys, n, divided);
}

AVX2 static inline __m256i load(const uint64_t *words)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)words);
}

AVX2 static inline size_t add_where(uint64_t *values, __m256i here, __m256i value)
{
    _mm256_storeu_si256((__m256i *)(void *)values, _mm256_add_epi64(load(values), _mm256_and_si256(here, value)));
    return (size_t)_mm256_testz_si256(here, here);
}

AVX2 static size_t avx2_add8(const tqi_front *front, tqi_key8 *keys, size_t n, uint64_t value)
{
    const __m256i values = _mm256_set1_epi64x((long long)value);
    size_t missed = 0;

    for (size_t i = 0; i < n; i++) {
        tqi_key8 key = keys[i];
        tqi_line8 *line = &front->lines8[key.hash >> front->shift8];
        __m256i here = _mm256_cmpeq_epi64(load(line->word), _mm256_set1_epi64x((long long)key.word));

        keys[missed] = key;
        missed += add_where(line->value, here, values);
    }
    return missed;
}

AVX2 static size_t avx2_add16(const tqi_front *front, tqi_key16 *keys, size_t n, uint64_t value)
{
    const __m256i values = _mm256_set1_epi64x((long long)value);
    size_t missed = 0;

    for (size_t i = 0; i < n; i++) {
        tqi_key16 key = keys[i];
        tqi_line16 *line = &front->lines16[key.hash >> front->shift16];
        __m256i low = _mm256_cmpeq_epi64(load(line->word0), _mm256_set1_epi64x((long long)key.word0));
        __m256i high = _mm256_cmpeq_epi64(load(line->word1), _mm256_set1_epi64x((long long)key.word1));

        keys[missed] = key;
        missed += add_where(line->value, _mm256_and_si256(low, high), values);
    }
    return missed;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

#endif

static const tqi_front_kernel kernels[] = {
    {"portable", portable_divide, portable_add8, portable_add16, always},
#if defined(__x86_64__)
    {"avx2", avx2_divide, avx2_add8, avx2_add16, has_avx2},
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
    unsigned bits8 = MOST_BITS8, bits16 = MOST_BITS16;
    size_t n;
    const tqi_front_kernel *best = tqi_front_kernels(&n) + n - 1;

    *front = (tqi_front){.kernel = best};
    while (bits16 > LEAST_BITS && (sizeof(tqi_line8) << bits8) + (sizeof(tqi_line16) << bits16) > bytes)
        bits8--, bits16--;
    front->shift8 = 64 - bits8;
    front->shift16 = 64 - bits16;
    front->bytes = (sizeof(tqi_line8) << bits8) + (sizeof(tqi_line16) << bits16) + sizeof(tqi_line8);
    char *memory = front->bytes <= bytes + sizeof(tqi_line8) ? tqi_budget_alloc(budget, front->bytes) : NULL;
    if (!memory)
        return false;
    memset(memory, 0, front->bytes);
    front->memory = memory;
    front->lines8 = (tqi_line8 *)(void *)(memory + (-(uintptr_t)memory & (sizeof(tqi_line8) - 1)));
    front->lines16 = (tqi_line16 *)(void *)(front->lines8 + ((size_t)1 << bits8));
    return true;
}

void tqi_front_free(tqi_front *front, tqi_budget *budget)
{
    tqi_budget_free(budget, front->memory, front->bytes);
    front->memory = NULL;
    front->lines8 = NULL;
    front->lines16 = NULL;
}

/* ---- One key ---- */

static unsigned size_of_word(uint64_t word)
{
    return 8 - (unsigned)__builtin_clzll(word) / 8;
}

static tqi_evicted evict8(const tqi_line8 *line, int way)
{
    uint64_t word = line->word[way];

    return (tqi_evicted){{{word, 0}, word ? size_of_word(word) : 0}, line->value[way]};
}

static tqi_evicted evict16(const tqi_line16 *line, int way)
{
    uint64_t word1 = line->word1[way];

    return (tqi_evicted){{{line->word0[way], word1}, word1 ? 8 + size_of_word(word1) : 0}, line->value[way]};
}

/* The place of the least sum; now and then, another. */
static int weakest(tqi_front *front, const uint64_t *values)
{
    int first = (int64_t)values[1] < (int64_t)values[0], second = 2 + ((int64_t)values[3] < (int64_t)values[2]);

    if (++front->replaced % OTHER_PLACE == 0)
        return (int)(front->replaced / OTHER_PLACE % TQI_FRONT_WAYS);
    return (int64_t)values[second] < (int64_t)values[first] ? second : first;
}

bool tqi_front_add8(tqi_front *front, const tqi_key8 *key, uint64_t value, tqi_evicted *evicted)
{
    tqi_line8 *line = &front->lines8[key->hash >> front->shift8];

    for (int w = 0; w < TQI_FRONT_WAYS; w++)
        if (line->word[w] == key->word) {
            line->value[w] += value;
            return true;
        }
    int way = weakest(front, line->value);
    *evicted = evict8(line, way);
    line->word[way] = key->word;
    line->value[way] = value;
    return false;
}

bool tqi_front_add16(tqi_front *front, const tqi_key16 *key, uint64_t value, tqi_evicted *evicted)
{
    tqi_line16 *line = &front->lines16[key->hash >> front->shift16];

    for (int w = 0; w < TQI_FRONT_WAYS; w++)
        if (line->word0[w] == key->word0 && line->word1[w] == key->word1) {
            line->value[w] += value;
            return true;
        }
    int way = weakest(front, line->value);
    *evicted = evict16(line, way);
    line->word0[way] = key->word0;
    line->word1[way] = key->word1;
    line->value[way] = value;
    return false;
}

bool tqi_front_drain(tqi_front *front, size_t *next, tqi_evicted *evicted)
{
    size_t places8 = TQI_FRONT_WAYS * ((size_t)1 << (64 - front->shift8));
    size_t places16 = TQI_FRONT_WAYS * ((size_t)1 << (64 - front->shift16));

    while (front->lines8 && *next < places8 + places16) {
        size_t place = (*next)++;

        if (place < places8) {
            tqi_line8 *line = &front->lines8[place / TQI_FRONT_WAYS];
            *evicted = evict8(line, (int)(place % TQI_FRONT_WAYS));
            line->word[place % TQI_FRONT_WAYS] = 0;
        } else {
            tqi_line16 *line = &front->lines16[(place - places8) / TQI_FRONT_WAYS];
            *evicted = evict16(line, (int)(place % TQI_FRONT_WAYS));
            line->word0[place % TQI_FRONT_WAYS] = line->word1[place % TQI_FRONT_WAYS] = 0;
        }
        if (evicted->key.size)
            return true;
    }
    return false;
}
