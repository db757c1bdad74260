#include "node/cutter.h"

#include "node/cpu.h"
#include <stddef.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
    BLOCK = TQI_CUT_BLOCK,
    BATCH = 4, /* blocks listed before the first is read back: a load that spans several stores waits for them */
    FIRST = 12 /* words written without a look at how many there are */
};

_Static_assert(sizeof(tq_slice) == 16 && offsetof(tq_slice, data) == 0, "words are stored as pairs of 64-bit numbers");

/* ---- Lists of positions ------------------------------------------------------------------------------------------ */

/* LIST(m): the positions of the 1s of the byte m, a byte each, from the lowest up. (CRoaring's and simdjson's bitset
 * decoders have such a table.) */
#define ONES_OF(m)                                                                                                     \
    (((m)&1) + ((m) >> 1 & 1) + ((m) >> 2 & 1) + ((m) >> 3 & 1) + ((m) >> 4 & 1) + ((m) >> 5 & 1) + ((m) >> 6 & 1))
#define PLACE(m, bit) ((uint64_t)((m) >> (bit)&1) * (bit) << 8 * ONES_OF((m) & ((1 << (bit)) - 1)))
#define LIST(m)       PLACE(m, 1) | PLACE(m, 2) | PLACE(m, 3) | PLACE(m, 4) | PLACE(m, 5) | PLACE(m, 6) | PLACE(m, 7)
#define LIST_4(m)     LIST(m), LIST((m) + 1), LIST((m) + 2), LIST((m) + 3)
#define LIST_16(m)    LIST_4(m), LIST_4((m) + 4), LIST_4((m) + 8), LIST_4((m) + 12)
#define LIST_64(m)    LIST_16(m), LIST_16((m) + 16), LIST_16((m) + 32), LIST_16((m) + 48)

static const uint64_t list_of_byte[256] = {LIST_64(0), LIST_64(64), LIST_64(128), LIST_64(192)};

#define EACH_BYTE 0x0101010101010101U

/* Byte i: how many 1s bytes 0 to i of bits have. (Warren, "Hacker's Delight", 5-1; no CPU needs an instruction.) */
ALWAYS_INLINE uint64_t running_counts(uint64_t bits)
{
    bits -= bits >> 1 & 0x5555555555555555U;
    bits = (bits & 0x3333333333333333U) + (bits >> 2 & 0x3333333333333333U);
    bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fU;
    return bits * EACH_BYTE;
}

/* A block: which bytes are of words, and where in it words start and end, in turns. */
typedef struct listed {
    uint64_t word_bytes;
    size_t complete;      /* words with both in the block */
    uint8_t edges[BLOCK]; /* the rest of it is anything */
} listed;

ALWAYS_INLINE void list_block(listed *block, uint64_t word_bytes)
{
    uint64_t bits = word_bytes ^ word_bytes << 1, counts = running_counts(bits);

    /* Eight bytes each, over the unused ones of the list before: at most to edges[63]. */
    for (size_t i = 0; i < 8; i++) {
        uint64_t list = list_of_byte[bits >> 8 * i & 255] + EACH_BYTE * 8 * i;
        size_t before = i ? counts >> 8 * (i - 1) & 255 : 0;

        memcpy(block->edges + before, &list, sizeof list);
    }
    block->word_bytes = word_bytes;
    block->complete = (counts >> 56) / 2;
}

/* ---- From lists to words ----------------------------------------------------------------------------------------- */

/* The word that is open when a block begins ends there, if the block begins with a space. If not, it has been listed
 * as one that starts with the block: what it lacks is returned. */
ALWAYS_INLINE size_t close_or_go_on(tqi_cut *cut, uint64_t word_bytes)
{
    size_t goes_on = word_bytes & 1, ends = (cut->open != 0) & ~goes_on;

    cut->words[cut->count] = (tq_slice){cut->at - cut->open, cut->open};
    cut->count += ends;
    return cut->open & -goes_on;
}

ALWAYS_INLINE void leave_block(tqi_cut *cut, uint64_t word_bytes, size_t complete)
{
    uint64_t spaces = ~word_bytes;

    cut->count += complete;
    cut->open = spaces ? (size_t)__builtin_clzll(spaces) : cut->open + BLOCK;
    cut->at += BLOCK;
}

typedef uint64_t spaces_fn(const char *block);                                     /* bit i: byte i of 64 is one */
typedef void four_words_fn(tq_slice *words, const char *at, const uint8_t *edges); /* edges[0 .. 7] to words[0 .. 3] */

ALWAYS_INLINE void write_block(tqi_cut *cut, const listed *block, four_words_fn *four_words)
{
    size_t lacks = close_or_go_on(cut, block->word_bytes);
    tq_slice *words = cut->words + cut->count;

    for (size_t i = 0; i < FIRST; i += 4)
        four_words(words + i, cut->at, block->edges + 2 * i);
    for (size_t i = FIRST; i < block->complete; i += 4)
        four_words(words + i, cut->at, block->edges + 2 * i);
    words->data -= lacks;
    words->size += lacks;
    leave_block(cut, block->word_bytes, block->complete);
}

/* Both functions are inlined: this is the body of a kernel, not called by one. */
ALWAYS_INLINE void cut_listed(tqi_cut *kept, const char *bytes, size_t blocks, spaces_fn *spaces,
                              four_words_fn *four_words)
{
    listed batch[BATCH] = {0};
    tqi_cut cut = *kept;

    while (blocks && cut.count <= cut.most) {
        size_t n = blocks < BATCH ? blocks : BATCH;

        for (size_t i = 0; i < n; i++)
            list_block(&batch[i], ~spaces(bytes + BLOCK * i));
        for (size_t i = 0; i < n && cut.count <= cut.most; i++)
            write_block(&cut, &batch[i], four_words);
        bytes += BLOCK * n;
        blocks -= n;
    }
    *kept = cut;
}

/* ---- Portable ---------------------------------------------------------------------------------------------------- */

/* The spaces among eight bytes, as bits 0 to 7. */
ALWAYS_INLINE uint64_t spaces_of_8(uint64_t v)
{
    /* No sum of seven-bit numbers carries into the byte next to it. */
    const uint64_t high = EACH_BYTE << 7;
    uint64_t low = v & ~high, from_tab = low + EACH_BYTE * (128 - '\t'), behind = low + EACH_BYTE * (128 - '\r' - 1);
    uint64_t not_blank = (low ^ EACH_BYTE * ' ') + EACH_BYTE * 127;
    uint64_t spaces = ((from_tab & ~behind) | ~not_blank) & ~v & high;

    return (spaces >> 7) * 0x0102040810204080U >> 56; /* moves bit 8 i to bit 56 + i */
}

static inline uint64_t portable_spaces(const char *block)
{
    uint64_t spaces = 0;

    for (size_t i = 0; i < 8; i++) {
        uint64_t v;

        memcpy(&v, block + 8 * i, sizeof v);
        spaces |= spaces_of_8(v) << 8 * i;
    }
    return spaces;
}

static inline void portable_four_words(tq_slice *words, const char *at, const uint8_t *edges)
{
    for (size_t i = 0; i < 4; i++)
        words[i] = (tq_slice){at + edges[2 * i], (size_t)(edges[2 * i + 1] - edges[2 * i])};
}

static void portable_cut(tqi_cut *cut, const char *bytes, size_t blocks)
{
    cut_listed(cut, bytes, blocks, portable_spaces, portable_four_words);
}

/* ---- x86-64 ------------------------------------------------------------------------------------------------------ */

#if defined(__x86_64__)

static inline uint64_t sse2_spaces(const char *block)
{
    const __m128i blank = _mm_set1_epi8(' '), tab = _mm_set1_epi8('\t'), width = _mm_set1_epi8('\r' - '\t');
    uint64_t spaces = 0;

    for (size_t i = 0; i < 4; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i));
        __m128i from_tab = _mm_sub_epi8(v, tab);
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(from_tab, width), from_tab);
        __m128i both = _mm_or_si128(control, _mm_cmpeq_epi8(v, blank));

        spaces |= (uint64_t)(uint32_t)_mm_movemask_epi8(both) << 16 * i;
    }
    return spaces;
}

/* Pairs of start and end become pairs of start and length. */
ALWAYS_INLINE __m128i load_pairs(const uint8_t *edges)
{
    __m128i v = _mm_loadl_epi64((const __m128i *)(const void *)edges);

    return _mm_sub_epi8(v, _mm_slli_epi16(v, 8));
}

static inline void sse2_four_words(tq_slice *words, const char *at, const uint8_t *edges)
{
    const __m128i zero = _mm_setzero_si128(), base = _mm_set_epi64x(0, (long long)(uintptr_t)at);
    __m128i by_16 = _mm_unpacklo_epi8(load_pairs(edges), zero);
    __m128i low = _mm_unpacklo_epi16(by_16, zero), high = _mm_unpackhi_epi16(by_16, zero);
    __m128i *to = (__m128i *)(void *)words;

    _mm_storeu_si128(to, _mm_add_epi64(_mm_unpacklo_epi32(low, zero), base));
    _mm_storeu_si128(to + 1, _mm_add_epi64(_mm_unpackhi_epi32(low, zero), base));
    _mm_storeu_si128(to + 2, _mm_add_epi64(_mm_unpacklo_epi32(high, zero), base));
    _mm_storeu_si128(to + 3, _mm_add_epi64(_mm_unpackhi_epi32(high, zero), base));
}

static void sse2_cut(tqi_cut *cut, const char *bytes, size_t blocks)
{
    cut_listed(cut, bytes, blocks, sse2_spaces, sse2_four_words);
}

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

/* By its low four bits, the only byte with these that is a space; where there is none, a byte that has others. */
#define SPACES_BY_LOW_BITS _mm_setr_epi8(' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', '\v', '\f', '\r', 0, 0)

AVX2 static inline uint32_t avx2_spaces_of_32(const char *bytes)
{
    const __m256i table = _mm256_broadcastsi128_si256(SPACES_BY_LOW_BITS);
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)bytes);

    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, v), v));
}

AVX2 static inline uint64_t avx2_spaces(const char *block)
{
    return avx2_spaces_of_32(block) | (uint64_t)avx2_spaces_of_32(block + 32) << 32;
}

AVX2 static inline void avx2_four_words(tq_slice *words, const char *at, const uint8_t *edges)
{
    const __m256i base = _mm256_broadcastsi128_si256(_mm_set_epi64x(0, (long long)(uintptr_t)at));
    __m128i pairs = load_pairs(edges);
    __m256i *to = (__m256i *)(void *)words;

    _mm256_storeu_si256(to, _mm256_add_epi64(_mm256_cvtepu8_epi64(pairs), base));
    _mm256_storeu_si256(to + 1, _mm256_add_epi64(_mm256_cvtepu8_epi64(_mm_srli_si128(pairs, 4)), base));
}

AVX2 static void avx2_cut(tqi_cut *cut, const char *bytes, size_t blocks)
{
    cut_listed(cut, bytes, blocks, avx2_spaces, avx2_four_words);
}

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi,bmi2,popcnt")))

/* Words 4 i to 4 i + 3: each byte of the pairs to 64 bits of its own. */
AVX512 ALWAYS_INLINE void avx512_four_words(tq_slice *words, size_t i, __m512i pairs, __m512i base)
{
    const __m512i which =
        _mm512_add_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(8 * (long long)i));

    _mm512_storeu_si512(words + 4 * i, _mm512_add_epi64(_mm512_maskz_permutexvar_epi8(EACH_BYTE, which, pairs), base));
}

/* One instruction makes the list, which never leaves the registers. (To a register and not to memory: that is slow
 * on Zen 4.) */
AVX512 static void avx512_cut(tqi_cut *kept, const char *bytes, size_t blocks)
{
    static const uint8_t numbers[BLOCK] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                           16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                           32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                           48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const __m512i positions = _mm512_loadu_si512(numbers), table = _mm512_broadcast_i32x4(SPACES_BY_LOW_BITS);
    tqi_cut cut = *kept;

    for (; blocks && cut.count <= cut.most; blocks--, bytes += BLOCK) {
        __m512i v = _mm512_loadu_si512(bytes);
        uint64_t word_bytes = ~(uint64_t)_mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(table, v), v);
        uint64_t edges = word_bytes ^ word_bytes << 1;
        size_t complete = (size_t)__builtin_popcountll(edges) / 2;
        long long lacks = (long long)close_or_go_on(&cut, word_bytes);
        tq_slice *words = cut.words + cut.count;
        __m512i list = _mm512_maskz_compress_epi8(edges, positions);
        __m512i pairs = _mm512_sub_epi8(list, _mm512_slli_epi16(list, 8)); /* start and length, as in load_pairs */
        __m512i base = _mm512_maskz_set1_epi64(0x55, (long long)(uintptr_t)cut.at);
        __m512i to_first = _mm512_zextsi128_si512(_mm_set_epi64x(lacks, -lacks));

        avx512_four_words(words, 0, pairs, _mm512_add_epi64(base, to_first));
        for (size_t i = 1; i < FIRST / 4; i++)
            avx512_four_words(words, i, pairs, base);
        for (size_t i = FIRST / 4; 4 * i < complete; i++)
            avx512_four_words(words, i, pairs, base);
        leave_block(&cut, word_bytes, complete);
    }
    *kept = cut;
}

#endif

/* ---- AArch64 ----------------------------------------------------------------------------------------------------- */

#if defined(__aarch64__)

/* Bit i % 8 of byte i, if it is a space: sums of eight neighbours are bytes of the mask. */
static inline uint8x16_t neon_bits_of_16(const char *bytes)
{
    static const uint8_t bit[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t v = vld1q_u8((const uint8_t *)bytes);
    uint8x16_t control = vcleq_u8(vsubq_u8(v, vdupq_n_u8('\t')), vdupq_n_u8('\r' - '\t'));

    return vandq_u8(vorrq_u8(control, vceqq_u8(v, vdupq_n_u8(' '))), vld1q_u8(bit));
}

static inline uint64_t neon_spaces(const char *block)
{
    uint8x16_t low = vpaddq_u8(neon_bits_of_16(block), neon_bits_of_16(block + 16));
    uint8x16_t high = vpaddq_u8(neon_bits_of_16(block + 32), neon_bits_of_16(block + 48));
    uint8x16_t sums = vpaddq_u8(low, high);

    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

static inline void neon_four_words(tq_slice *words, const char *at, const uint8_t *edges)
{
    const uint64x2_t base = vsetq_lane_u64((uint64_t)(uintptr_t)at, vdupq_n_u64(0), 0);
    uint8x8_t v = vld1_u8(edges);
    uint8x8_t pairs = vsub_u8(v, vreinterpret_u8_u16(vshl_n_u16(vreinterpret_u16_u8(v), 8)));
    uint16x8_t by_16 = vmovl_u8(pairs);
    uint32x4_t low = vmovl_u16(vget_low_u16(by_16)), high = vmovl_u16(vget_high_u16(by_16));
    uint8_t *to = (uint8_t *)words;

    vst1q_u8(to, vreinterpretq_u8_u64(vaddw_u32(base, vget_low_u32(low))));
    vst1q_u8(to + 16, vreinterpretq_u8_u64(vaddw_u32(base, vget_high_u32(low))));
    vst1q_u8(to + 32, vreinterpretq_u8_u64(vaddw_u32(base, vget_low_u32(high))));
    vst1q_u8(to + 48, vreinterpretq_u8_u64(vaddw_u32(base, vget_high_u32(high))));
}

static void neon_cut(tqi_cut *cut, const char *bytes, size_t blocks)
{
    cut_listed(cut, bytes, blocks, neon_spaces, neon_four_words);
}

#endif

/* ---- The choice -------------------------------------------------------------------------------------------------- */

static const tqi_cutter cutters[] = {
    {"portable", portable_cut, tqi_cpu_any},
#if defined(__x86_64__)
    {"sse2", sse2_cut, tqi_cpu_any}, /* belongs to every x86-64, as NEON to every AArch64 */
    {"avx2", avx2_cut, tqi_cpu_avx2},
    {"avx512", avx512_cut, tqi_cpu_avx512_bytes},
#elif defined(__aarch64__)
    {"neon", neon_cut, tqi_cpu_any},
#endif
};

const tqi_cutter *tqi_cutters(size_t *n)
{
    *n = sizeof cutters / sizeof cutters[0];
    return cutters;
}

const tqi_cutter *tqi_cutter_best(void)
{
    TQI_CPU_BEST(tqi_cutter, cutters);
}
