#include "node/separators.h"

#include "node/cpu.h"
#include <stddef.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { BLOCK = TQI_SEPARATORS_BLOCK };

/* Bit i: byte i of a block is that byte. */
typedef uint64_t find_fn(const char *block, char byte);

/* Append the places of the block's separators, and which of them are line ends. */
typedef void append_fn(tqi_separators *list, uint64_t separators, uint64_t ends);

/* ---- Quoted fields ---- */

/* Bit i: whether an odd number of bits 0 to i is set. */
static uint64_t parities(uint64_t bits)
{
    for (unsigned shift = 1; shift < 64; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

typedef struct masks {
    uint64_t separators, ends, quotes, returns;
} masks;

/* Leave only separators outside of quoted fields. Returns the bytes that may not be where they are. */
static uint64_t apply_quoting(tqi_quoting *quoting, masks *block)
{
    uint64_t inside = parities(block->quotes) ^ quoting->inside;
    uint64_t opens = block->quotes & inside, closes = block->quotes & ~inside;
    uint64_t outer = block->separators & ~inside, wrong = block->ends & inside;
    uint64_t behind_close = closes << 1 | quoting->closed, returns = behind_close & block->returns & ~inside;

    wrong |= opens & ~((outer | closes) << 1 | quoting->may_open);
    wrong |= behind_close & ~(outer | opens | returns);
    wrong |= (returns << 1 | quoting->returned) & ~block->ends;
    block->separators = outer;
    block->ends &= outer;
    *quoting = (tqi_quoting){0 - (inside >> 63), (outer | closes) >> 63, closes >> 63, returns >> 63};
    return wrong;
}

/* Forget what comes behind the last line end before the byte wrong, here and in the list. */
static void stop_before(tqi_separators *list, masks *block, uint64_t wrong)
{
    uint64_t before = block->ends & ((wrong & (0 - wrong)) - 1);
    uint64_t kept = before ? UINT64_MAX >> __builtin_clzll(before) : 0;

    if (!before)
        list->n = list->n_ends ? list->ends[list->n_ends - 1] + 1 : 0;
    block->separators &= kept;
    block->ends &= kept;
    list->stopped = true;
}

/* A block with quotation marks, or that begins behind one. */
static __attribute__((noinline)) void look_at_quotes(tqi_separators *list, masks *block)
{
    uint64_t wrong = apply_quoting(&list->quoting, block);

    if (wrong)
        stop_before(list, block, wrong);
}

/* ---- The body of a kernel; find and append are inlined ---- */

ALWAYS_INLINE void list_these(tqi_separators *kept, const char *bytes, size_t blocks, char delimiter, bool quotes,
                              find_fn *find, append_fn *append)
{
    tqi_separators list = *kept;

    for (; blocks && list.n <= list.most && list.n_ends <= list.most_ends && !list.stopped; blocks--, bytes += BLOCK) {
        uint64_t ends = find(bytes, '\n');
        masks block = {find(bytes, delimiter) | ends, ends, 0, 0};

        if (quotes) {
            block.quotes = find(bytes, '"');
            block.returns = find(bytes, '\r');
            if (block.quotes | list.quoting.inside | list.quoting.closed | list.quoting.returned)
                look_at_quotes(&list, &block);
            else
                list.quoting.may_open = block.separators >> 63;
        }
        append(&list, block.separators, block.ends);
        list.at += BLOCK;
    }
    *kept = list;
}

ALWAYS_INLINE void list_blocks(tqi_separators *list, const char *bytes, size_t blocks, const tq_columns *columns,
                               find_fn *find, append_fn *append)
{
    if (columns->quotes)
        list_these(list, bytes, blocks, columns->delimiter, true, find, append);
    else
        list_these(list, bytes, blocks, columns->delimiter, false, find, append);
}

/* ---- Portable ---- */

#define EACH_BYTE 0x0101010101010101U

static inline uint64_t portable_find(const char *block, char byte)
{
    /* No sum of seven-bit numbers carries into the byte next to it. */
    const uint64_t low = EACH_BYTE * 0x7f, wanted = EACH_BYTE * (unsigned char)byte;
    uint64_t found = 0;

    for (size_t i = 0; i < 8; i++) {
        uint64_t v;

        memcpy(&v, block + 8 * i, sizeof v);
        v ^= wanted;
        v = ~(((v & low) + low) | v) & ~low;                      /* 0x80 where it was equal */
        found |= ((v >> 7) * 0x0102040810204080U >> 56) << 8 * i; /* moves bit 8 i to bit 56 + i */
    }
    return found;
}

ALWAYS_INLINE void append_ones(tqi_separators *list, uint64_t separators, uint64_t ends)
{
    uint32_t *to = list->places + list->n;

    for (uint64_t bits = ends; bits; bits &= bits - 1)
        list->ends[list->n_ends++] =
            (uint32_t)list->n + (uint32_t)__builtin_popcountll(separators & ((bits & (0 - bits)) - 1));
    list->n += (size_t)__builtin_popcountll(separators);
    for (; separators; separators &= separators - 1)
        *to++ = list->at + (uint32_t)__builtin_ctzll(separators);
}

static inline void portable_append(tqi_separators *list, uint64_t separators, uint64_t ends)
{
    append_ones(list, separators, ends);
}

static void portable_list(tqi_separators *list, const char *bytes, size_t blocks, const tq_columns *columns)
{
    list_blocks(list, bytes, blocks, columns, portable_find, portable_append);
}

/* ---- x86-64 ---- */

#if defined(__x86_64__)

static inline uint64_t sse2_find(const char *block, char byte)
{
    const __m128i wanted = _mm_set1_epi8(byte);
    uint64_t found = 0;

    for (size_t i = 0; i < 4; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i));

        found |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, wanted)) << 16 * i;
    }
    return found;
}

static void sse2_list(tqi_separators *list, const char *bytes, size_t blocks, const tq_columns *columns)
{
    list_blocks(list, bytes, blocks, columns, sse2_find, portable_append);
}

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

AVX2 static inline uint64_t avx2_find(const char *block, char byte)
{
    const __m256i wanted = _mm256_set1_epi8(byte);
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)block);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(block + 32));
    uint32_t in_low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted));
    uint32_t in_high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted));

    return in_low | (uint64_t)in_high << 32;
}

/* Eight at a time: how many there are is random, and a loop that ends at it would be mispredicted. (The count of
 * trailing zeros of 0 is 64 here: what is written behind the last is not read.) */
AVX2 static inline void avx2_append(tqi_separators *list, uint64_t separators, uint64_t ends)
{
    uint32_t *to = list->places + list->n, *to_ends = list->ends + list->n_ends;
    int count = __builtin_popcountll(separators), ends_count = __builtin_popcountll(ends);
    uint64_t numbers = _pext_u64(ends, separators), bits = separators;

    for (int i = 0; i < count; i += 8)
        for (int j = 0; j < 8; j++, bits &= bits - 1)
            *to++ = list->at + (uint32_t)_tzcnt_u64(bits);
    for (int i = 0; i < ends_count; i += 8)
        for (int j = 0; j < 8; j++, numbers &= numbers - 1)
            *to_ends++ = (uint32_t)list->n + (uint32_t)_tzcnt_u64(numbers);
    list->n += (size_t)count;
    list->n_ends += (size_t)ends_count;
}

AVX2 static void avx2_list(tqi_separators *list, const char *bytes, size_t blocks, const tq_columns *columns)
{
    list_blocks(list, bytes, blocks, columns, avx2_find, avx2_append);
}

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi,bmi2,popcnt")))

AVX512 static inline uint64_t avx512_find(const char *block, char byte)
{
    return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(block), _mm512_set1_epi8(byte));
}

/* The numbers of the 1s, as 32-bit numbers, base added to each: sixteen at least are written. */
AVX512 ALWAYS_INLINE void append_numbers(uint32_t *to, uint64_t bits, size_t count, uint32_t base)
{
    static const uint8_t numbers[BLOCK] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                           16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                           32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                           48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const __m512i base_16 = _mm512_set1_epi32((int)base);
    /* To a register and not to memory: that is slow on Zen 4. */
    __m512i list = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(numbers));

    _mm512_storeu_si512(to, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(list)), base_16));
    if (__builtin_expect(count <= 16, 1))
        return;
    _mm512_storeu_si512(to + 16, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(list, 1)), base_16));
    _mm512_storeu_si512(to + 32, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(list, 2)), base_16));
    _mm512_storeu_si512(to + 48, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(list, 3)), base_16));
}

AVX512 static inline void avx512_append(tqi_separators *list, uint64_t separators, uint64_t ends)
{
    size_t count = (size_t)__builtin_popcountll(separators), ends_count = (size_t)__builtin_popcountll(ends);

    append_numbers(list->places + list->n, separators, count, list->at);
    append_numbers(list->ends + list->n_ends, _pext_u64(ends, separators), ends_count, (uint32_t)list->n);
    list->n += count;
    list->n_ends += ends_count;
}

AVX512 static void avx512_list(tqi_separators *list, const char *bytes, size_t blocks, const tq_columns *columns)
{
    list_blocks(list, bytes, blocks, columns, avx512_find, avx512_append);
}

#endif

/* ---- AArch64 ---- */

#if defined(__aarch64__)

/* Bit i % 8 of byte i, if it is the one: sums of eight neighbours are bytes of the mask. */
static inline uint8x16_t neon_bits_of_16(const char *bytes, uint8x16_t wanted)
{
    static const uint8_t bit[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};

    return vandq_u8(vceqq_u8(vld1q_u8((const uint8_t *)bytes), wanted), vld1q_u8(bit));
}

static inline uint64_t neon_find(const char *block, char byte)
{
    const uint8x16_t wanted = vdupq_n_u8((uint8_t)byte);
    uint8x16_t low = vpaddq_u8(neon_bits_of_16(block, wanted), neon_bits_of_16(block + 16, wanted));
    uint8x16_t high = vpaddq_u8(neon_bits_of_16(block + 32, wanted), neon_bits_of_16(block + 48, wanted));
    uint8x16_t sums = vpaddq_u8(low, high);

    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

static void neon_list(tqi_separators *list, const char *bytes, size_t blocks, const tq_columns *columns)
{
    list_blocks(list, bytes, blocks, columns, neon_find, portable_append);
}

#endif

/* ---- The choice ---- */

static const tqi_lister listers[] = {
    {"portable", portable_list, tqi_cpu_any},
#if defined(__x86_64__)
    {"sse2", sse2_list, tqi_cpu_any}, /* belongs to every x86-64, as NEON to every AArch64 */
    {"avx2", avx2_list, tqi_cpu_avx2},
    {"avx512", avx512_list, tqi_cpu_avx512_bytes},
#elif defined(__aarch64__)
    {"neon", neon_list, tqi_cpu_any},
#endif
};

const tqi_lister *tqi_listers(size_t *n)
{
    *n = sizeof listers / sizeof listers[0];
    return listers;
}

const tqi_lister *tqi_lister_best(void)
{
    TQI_CPU_BEST(tqi_lister, listers);
}
