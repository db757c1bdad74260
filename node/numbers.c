#include "node/numbers.h"

#include "node/cpu.h"
#include "node/summary.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { LANES = TQI_NUMBERS_LANES, CHUNK = 64, LONGEST = 16 };

#define EACH_BYTE 0x0101010101010101U

/* ---- One number, however it is written ---- */

/* What has been read of one: digits that count, without zeros in front of them. */
typedef struct reading {
    const char *at, *end;
    uint64_t digits;      /* the first TQ_DECIMALS_MAX + 1 of them */
    int64_t n_digits;     /* all of them */
    int64_t zeros;        /* at their end */
    int64_t behind_point; /* digits of any kind */
    bool some;            /* there is a digit */
} reading;

static void read_digits(reading *r, bool behind_point)
{
    for (; r->at < r->end && (unsigned)(*r->at - '0') < 10; r->at++) {
        unsigned digit = (unsigned)(*r->at - '0');

        r->some = true;
        r->behind_point += behind_point;
        if (r->n_digits == 0 && digit == 0)
            continue;
        if (r->n_digits++ <= TQ_DECIMALS_MAX)
            r->digits = 10 * r->digits + digit;
        r->zeros = digit ? 0 : r->zeros + 1;
    }
}

/* False: there is none where one should be. One that is far too large is no larger than that. */
static bool read_exponent(reading *r, int64_t *exponent)
{
    bool negative = false, some = false;
    int64_t value = 0;

    *exponent = 0;
    if (r->at == r->end)
        return true;
    if (*r->at != 'e' && *r->at != 'E')
        return false;
    r->at++;
    if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
        negative = *r->at++ == '-';
    for (; r->at < r->end && (unsigned)(*r->at - '0') < 10; r->at++, some = true)
        if (value < INT64_MAX / 16)
            value = 10 * value + (*r->at - '0');
    *exponent = negative ? -value : value;
    return some && r->at == r->end;
}

tq_number tq_read_number(tq_slice field, int64_t *value, unsigned *decimals)
{
    reading r = {.at = field.data, .end = field.data + field.size};
    bool negative = false;
    int64_t exponent;

    if (field.size == 0 || field.size == TQ_NO_FIELD)
        return TQ_NUMBER_NONE;
    if (*r.at == '-' || *r.at == '+')
        negative = *r.at++ == '-';
    read_digits(&r, false);
    if (r.at < r.end && *r.at == '.') {
        r.at++;
        read_digits(&r, true);
    }
    if (!r.some || !read_exponent(&r, &exponent))
        return TQ_NUMBER_NONE;
    *value = 0;
    *decimals = 0;
    if (r.n_digits == 0)
        return TQ_NUMBER;
    /* m x 10^e, where m has no zeros at its end. */
    int64_t m_digits = r.n_digits - r.zeros, e = exponent - r.behind_point + r.zeros;
    if (m_digits + e > TQ_DECIMALS_MAX)
        return TQ_NUMBER_TOO_LARGE;
    if (m_digits > TQ_DECIMALS_MAX || e < -TQ_DECIMALS_MAX)
        return TQ_NUMBER_TOO_FINE;
    int64_t read = r.n_digits <= TQ_DECIMALS_MAX + 1 ? r.n_digits : TQ_DECIMALS_MAX + 1;
    int64_t m = (int64_t)(r.digits / tqi_powers_of_10[read - m_digits]);
    *decimals = e < 0 ? (unsigned)-e : 0;
    *value = (negative ? -m : m) * (int64_t)tqi_powers_of_10[e < 0 ? 0 : e];
    return TQ_NUMBER;
}

/* ---- Eight digits ---- */

/* Digits '0' to '9' in all bytes, the first in the lowest. */
static inline uint64_t number_of_digits(uint64_t digits)
{
    const uint64_t pairs = 0x00ff00ff00ff00ffU, fours = 0x0000ffff0000ffffU;

    digits = (digits & pairs) * 10 + (digits >> 8 & pairs);
    digits = (digits & fours) * 100 + (digits >> 16 & fours);
    return (digits & 0xffffffff) * 10000 + (digits >> 32);
}

static inline bool all_digits(uint64_t values)
{
    return (((values + EACH_BYTE * (0x80 - 10)) | values) & EACH_BYTE * 0x80) == 0;
}

/* 0x80 in each byte that is a point. (No sum of seven-bit numbers carries into the byte next to it.) */
static inline uint64_t points_in(uint64_t word)
{
    uint64_t v = word ^ EACH_BYTE * '.';

    return ~(((v & EACH_BYTE * 0x7f) + EACH_BYTE * 0x7f) | v) & EACH_BYTE * 0x80;
}

/* ---- Up to 16 bytes, one at a time ---- */

static tqi_u128 load_16(const char *data)
{
    uint64_t words[2];

    memcpy(words, data, sizeof words);
    return (tqi_u128)words[1] << 64 | words[0];
}

static bool read_16(tq_slice field, unsigned decimals, int64_t *value)
{
    if (field.size - 1 >= LONGEST)
        return false;
    tqi_u128 word = load_16(field.data);
    uint64_t negative = *field.data == '-';
    unsigned size = (unsigned)(field.size - negative), behind = 0;

    if (size == 0)
        return false;
    word = word >> 8 * negative << (128 - 8 * size);
    uint64_t low = points_in((uint64_t)word), high = points_in((uint64_t)(word >> 64));
    if (low | high) {
        unsigned bit =
            high ? 64 + (unsigned)__builtin_ctzll(high) : (unsigned)__builtin_ctzll(low); /* of 0x80 in its byte */
        tqi_u128 before = ((tqi_u128)1 << (bit - 7)) - 1, behind_point = bit == 127 ? 0 : ~(tqi_u128)0 << (bit + 1);

        behind = (127 - bit) / 8;
        word = (word & before) << 8 | (word & behind_point);
        size--;
    }
    if (size == 0 || (low & (low - 1)) || (high & (high - 1)) || (low && high) || behind > decimals)
        return false;
    word ^= ((tqi_u128)(EACH_BYTE * '0') << 64 | EACH_BYTE * '0') << (128 - 8 * size);
    if (!all_digits((uint64_t)word) || !all_digits((uint64_t)(word >> 64)))
        return false;
    uint64_t number = number_of_digits((uint64_t)word) * 100000000 + number_of_digits((uint64_t)(word >> 64));
    if (__builtin_mul_overflow((int64_t)number, (int64_t)tqi_powers_of_10[decimals - behind], value))
        return false;
    *value = negative ? -*value : *value;
    return true;
}

/* ---- Portable ---- */

static inline bool portable_read_one(uint64_t word, uint64_t size, const uint32_t *factors, int64_t *value)
{
    uint64_t negative = (word & 0xff) == '-', digits = size - negative;

    if (size - 1 >= 8 || digits == 0)
        return false;
    word = word >> 8 * negative << 8 * (8 - digits);
    uint64_t points = points_in(word),
             point = (points & (0 - points)) >> 7; /* of several the upper ones are no digits */
    uint64_t before = point ? point - 1 : 0, behind_point = ~(before | point * 0xff);
    uint64_t behind = point ? (behind_point & EACH_BYTE) * EACH_BYTE >> 56 : 0;

    digits -= point != 0;
    if (digits == 0 || factors[behind] == 0)
        return false;
    word = ((word & before) << 8 | (word & behind_point)) ^ EACH_BYTE * '0' << 8 * (8 - digits);
    *value = (int64_t)(number_of_digits(word) * factors[behind]);
    *value = negative ? -*value : *value;
    return all_digits(word);
}

static void portable_read(const uint64_t *words, const uint64_t *sizes, size_t groups, const uint32_t *factors,
                          int64_t *values, uint8_t *left)
{
    for (size_t g = 0; g < groups; g++) {
        left[g] = 0;
        for (size_t i = LANES * g; i < LANES * (g + 1); i++)
            left[g] |= (uint8_t)(!portable_read_one(words[i], sizes[i], factors, &values[i]) << i % LANES);
    }
}

/* ---- x86-64 ---- */

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

AVX2 static inline __m256i load_4(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

/* Four numbers; returns which were not read. What is true is -1. Shifts by 64 give 0 here. */
AVX2 static inline unsigned avx2_read_4(const uint64_t *words, const uint64_t *sizes, __m256i factors, int64_t *values)
{
    const __m256i one = _mm256_set1_epi64x(1), zero = _mm256_setzero_si256(), all = _mm256_set1_epi64x(-1);
    const __m256i bits = _mm256_set1_epi64x(64), nine = _mm256_set1_epi8(9);
    __m256i word = load_4(words), size = load_4(sizes);
    __m256i negative = _mm256_cmpeq_epi64(_mm256_and_si256(word, _mm256_set1_epi64x(0xff)), _mm256_set1_epi64x('-'));
    __m256i wrong = _mm256_cmpgt_epi64(size, _mm256_set1_epi64x(8)), digits = _mm256_add_epi64(size, negative);

    word = _mm256_srlv_epi64(word, _mm256_and_si256(negative, _mm256_set1_epi64x(8)));
    word = _mm256_sllv_epi64(word, _mm256_sub_epi64(bits, _mm256_slli_epi64(digits, 3)));
    __m256i points = _mm256_cmpeq_epi8(word, _mm256_set1_epi8('.'));
    __m256i point =
        _mm256_and_si256(points, _mm256_sub_epi64(zero, points)); /* of several the upper ones are no digits */
    __m256i none = _mm256_cmpeq_epi64(point, zero);
    __m256i before = _mm256_andnot_si256(none, _mm256_add_epi64(point, all));
    __m256i at_point = _mm256_sub_epi64(_mm256_slli_epi64(point, 8), point);
    __m256i behind_point = _mm256_andnot_si256(_mm256_or_si256(before, at_point), all);
    __m256i behind = _mm256_sad_epu8(_mm256_and_si256(behind_point, _mm256_set1_epi8(1)), zero);
    __m256i factor = _mm256_permutevar8x32_epi32(factors, _mm256_andnot_si256(none, behind));

    digits = _mm256_sub_epi64(digits, _mm256_andnot_si256(none, one));
    wrong = _mm256_or_si256(wrong, _mm256_cmpgt_epi64(one, digits));
    wrong = _mm256_or_si256(wrong, _mm256_cmpeq_epi64(_mm256_mul_epu32(factor, one), zero));
    word = _mm256_or_si256(_mm256_slli_epi64(_mm256_and_si256(word, before), 8), _mm256_and_si256(word, behind_point));
    word = _mm256_xor_si256(
        word, _mm256_sllv_epi64(_mm256_set1_epi8('0'), _mm256_sub_epi64(bits, _mm256_slli_epi64(digits, 3))));
    __m256i good = _mm256_cmpeq_epi64(_mm256_cmpeq_epi8(_mm256_max_epu8(word, nine), nine), all);
    wrong = _mm256_or_si256(wrong, _mm256_xor_si256(good, all));

    __m256i fours =
        _mm256_madd_epi16(_mm256_maddubs_epi16(word, _mm256_set1_epi16(256 + 10)), _mm256_set1_epi32(65536 + 100));
    __m256i number = _mm256_add_epi64(_mm256_mul_epu32(fours, _mm256_set1_epi64x(10000)), _mm256_srli_epi64(fours, 32));
    number = _mm256_sub_epi64(_mm256_xor_si256(_mm256_mul_epu32(number, factor), negative), negative);
    _mm256_storeu_si256((__m256i *)(void *)values, number);
    return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(wrong));
}

AVX2 static void avx2_read(const uint64_t *words, const uint64_t *sizes, size_t groups, const uint32_t *factors,
                           int64_t *values, uint8_t *left)
{
    const __m256i table = load_4(factors);

    for (size_t i = 0; i < LANES * groups; i += LANES)
        left[i / LANES] = (uint8_t)(avx2_read_4(words + i, sizes + i, table, values + i) |
                                    avx2_read_4(words + i + 4, sizes + i + 4, table, values + i + 4) << 4);
}

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,popcnt")))

/* The same for eight. */
AVX512 static inline unsigned avx512_read_8(const uint64_t *words, const uint64_t *sizes, __m512i factors,
                                            int64_t *values)
{
    const __m512i one = _mm512_set1_epi64(1), zero = _mm512_setzero_si512(), bits = _mm512_set1_epi64(64);
    __m512i word = _mm512_loadu_si512(words), size = _mm512_loadu_si512(sizes), low_byte = _mm512_set1_epi64(0xff);
    __mmask8 negative = _mm512_cmpeq_epi64_mask(_mm512_and_si512(word, low_byte), _mm512_set1_epi64('-'));
    __mmask8 wrong = _mm512_cmpgt_epi64_mask(size, _mm512_set1_epi64(8));
    __m512i digits = _mm512_mask_sub_epi64(size, negative, size, one);

    word = _mm512_mask_srli_epi64(word, negative, word, 8);
    word = _mm512_sllv_epi64(word, _mm512_sub_epi64(bits, _mm512_slli_epi64(digits, 3)));
    __m512i points = _mm512_maskz_set1_epi8(_mm512_cmpeq_epi8_mask(word, _mm512_set1_epi8('.')), 1);
    __m512i point = _mm512_and_si512(points, _mm512_sub_epi64(zero, points));
    __mmask8 some = _mm512_test_epi64_mask(point, point);
    __m512i before = _mm512_maskz_sub_epi64(some, point, one);
    __m512i at_point = _mm512_sub_epi64(_mm512_slli_epi64(point, 8), point);
    __m512i behind_point = _mm512_ternarylogic_epi64(before, at_point, at_point, 0x03); /* in neither */
    __m512i behind = _mm512_sad_epu8(_mm512_and_si512(behind_point, _mm512_set1_epi8(1)), zero);
    __m512i factor = _mm512_permutexvar_epi64(_mm512_maskz_mov_epi64(some, behind), factors);

    digits = _mm512_mask_sub_epi64(digits, some, digits, one);
    wrong |= _mm512_cmplt_epi64_mask(digits, one) | _mm512_testn_epi64_mask(factor, factor);
    word = _mm512_or_si512(_mm512_slli_epi64(_mm512_and_si512(word, before), 8), _mm512_and_si512(word, behind_point));
    word = _mm512_xor_si512(
        word, _mm512_sllv_epi64(_mm512_set1_epi8('0'), _mm512_sub_epi64(bits, _mm512_slli_epi64(digits, 3))));
    __m512i no_digits = _mm512_maskz_set1_epi8(_mm512_cmpgt_epu8_mask(word, _mm512_set1_epi8(9)), 1);
    wrong |= _mm512_test_epi64_mask(no_digits, no_digits);

    __m512i fours =
        _mm512_madd_epi16(_mm512_maddubs_epi16(word, _mm512_set1_epi16(256 + 10)), _mm512_set1_epi32(65536 + 100));
    __m512i number = _mm512_add_epi64(_mm512_mul_epu32(fours, _mm512_set1_epi64(10000)), _mm512_srli_epi64(fours, 32));
    number = _mm512_mul_epu32(number, factor);
    _mm512_storeu_si512(values, _mm512_mask_sub_epi64(number, negative, zero, number));
    return wrong;
}

AVX512 static void avx512_read(const uint64_t *words, const uint64_t *sizes, size_t groups, const uint32_t *factors,
                               int64_t *values, uint8_t *left)
{
    const __m512i table = _mm512_cvtepu32_epi64(load_4(factors));

    for (size_t i = 0; i < LANES * groups; i += LANES)
        left[i / LANES] = (uint8_t)avx512_read_8(words + i, sizes + i, table, values + i);
}

#endif

/* ---- AArch64 ---- */

#if defined(__aarch64__)

/* Two numbers; the mask of those that were not read. What is true is all ones. Shifts by 64 give 0 here. */
static inline unsigned neon_read_2(const uint64_t *words, const uint64_t *sizes, const uint32_t *factors,
                                   int64_t *values)
{
    static const uint8_t tens[16] = {10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1};
    static const uint16_t hundreds[8] = {100, 1, 100, 1, 100, 1, 100, 1};
    static const uint32_t ten_thousands[4] = {10000, 1, 10000, 1};
    const uint64x2_t one = vdupq_n_u64(1);
    const int64x2_t bits = vdupq_n_s64(64);
    uint64x2_t word = vld1q_u64(words), size = vld1q_u64(sizes);
    uint64x2_t negative = vceqq_u64(vandq_u64(word, vdupq_n_u64(0xff)), vdupq_n_u64('-'));
    uint64x2_t wrong = vcgtq_u64(vsubq_u64(size, one), vdupq_n_u64(7));
    int64x2_t digits = vreinterpretq_s64_u64(vaddq_u64(size, negative));

    word = vshlq_u64(word, vnegq_s64(vreinterpretq_s64_u64(vandq_u64(negative, vdupq_n_u64(8)))));
    word = vshlq_u64(word, vsubq_s64(bits, vshlq_n_s64(digits, 3)));
    uint64x2_t points = vreinterpretq_u64_u8(vceqq_u8(vreinterpretq_u8_u64(word), vdupq_n_u8('.')));
    uint64x2_t point =
        vandq_u64(points, vsubq_u64(vdupq_n_u64(0), points)); /* of several the upper ones are no digits */
    uint64x2_t some = vtstq_u64(point, point);
    uint64x2_t before = vandq_u64(some, vsubq_u64(point, one)), at_point = vsubq_u64(vshlq_n_u64(point, 8), point);
    uint64x2_t behind_point = vbicq_u64(vdupq_n_u64(UINT64_MAX), vorrq_u64(before, at_point));
    uint8x16_t counted = vandq_u8(vreinterpretq_u8_u64(vandq_u64(behind_point, some)), vdupq_n_u8(1));
    uint64x2_t behind = vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(counted)));

    digits = vaddq_s64(digits, vreinterpretq_s64_u64(some)); /* all ones are -1 */
    wrong = vorrq_u64(wrong, vcltq_s64(digits, vdupq_n_s64(1)));
    word = vorrq_u64(vshlq_n_u64(vandq_u64(word, before), 8), vandq_u64(word, behind_point));
    word = veorq_u64(word, vshlq_u64(vreinterpretq_u64_u8(vdupq_n_u8('0')), vsubq_s64(bits, vshlq_n_s64(digits, 3))));
    uint8x16_t no_digits = vcgtq_u8(vreinterpretq_u8_u64(word), vdupq_n_u8(9));
    wrong = vorrq_u64(wrong, vtstq_u64(vreinterpretq_u64_u8(no_digits), vreinterpretq_u64_u8(no_digits)));

    uint16x8_t twos = vpaddlq_u8(vmulq_u8(vreinterpretq_u8_u64(word), vld1q_u8(tens)));
    uint32x4_t fours = vpaddlq_u16(vmulq_u16(twos, vld1q_u16(hundreds)));
    uint64x2_t number = vpaddlq_u32(vmulq_u32(fours, vld1q_u32(ten_thousands)));
    uint64_t factor[2] = {factors[vgetq_lane_u64(behind, 0)], factors[vgetq_lane_u64(behind, 1)]};
    int64_t sign[2] = {vgetq_lane_u64(negative, 0) ? -1 : 1, vgetq_lane_u64(negative, 1) ? -1 : 1};
    values[0] = sign[0] * (int64_t)(vgetq_lane_u64(number, 0) * factor[0]);
    values[1] = sign[1] * (int64_t)(vgetq_lane_u64(number, 1) * factor[1]);
    return (unsigned)(vgetq_lane_u64(wrong, 0) != 0 || factor[0] == 0) |
           (unsigned)(vgetq_lane_u64(wrong, 1) != 0 || factor[1] == 0) << 1;
}

static void neon_read(const uint64_t *words, const uint64_t *sizes, size_t groups, const uint32_t *factors,
                      int64_t *values, uint8_t *left)
{
    for (size_t g = 0; g < groups; g++) {
        left[g] = 0;
        for (size_t i = 0; i < LANES; i += 2)
            left[g] |=
                (uint8_t)(neon_read_2(words + LANES * g + i, sizes + LANES * g + i, factors, values + LANES * g + i)
                          << i);
    }
}

#endif

/* ---- The choice ---- */

static const tqi_number_reader readers[] = {
    {"portable", portable_read, tqi_cpu_any},
#if defined(__x86_64__)
    {"avx2", avx2_read, tqi_cpu_avx2},
    {"avx512", avx512_read, tqi_cpu_avx512},
#elif defined(__aarch64__)
    {"neon", neon_read, tqi_cpu_any},
#endif
};

const tqi_number_reader *tqi_number_readers(size_t *n)
{
    *n = sizeof readers / sizeof readers[0];
    return readers;
}

const tqi_number_reader *tqi_number_reader_best(void)
{
    TQI_CPU_BEST(tqi_number_reader, readers);
}

/* ---- Many numbers ---- */

/* n fields in groups of eight; of the last group some are not there. Returns the groups. */
static size_t load(const tq_slice *fields, size_t n, uint64_t *words, uint64_t *sizes)
{
    size_t groups = (n + LANES - 1) / LANES;

    for (size_t i = 0; i < n; i++) {
        memcpy(&words[i], fields[i].data, sizeof words[i]);
        sizes[i] = fields[i].size;
    }
    memset(words + n, 0, (LANES * groups - n) * sizeof *words);
    memset(sizes + n, 0, (LANES * groups - n) * sizeof *sizes);
    return groups;
}

/* Up to CHUNK fields, of which the first is number first of all. Returns how many are in left now. */
static size_t read_chunk(const tqi_number_reader *reader, const tq_slice *fields, size_t first, size_t n,
                         unsigned decimals, const uint32_t *factors, int64_t *values, uint32_t *left, size_t n_left)
{
    uint64_t words[CHUNK], sizes[CHUNK];
    int64_t room[CHUNK], *read = n % LANES ? room : values;
    uint8_t missed[CHUNK / LANES];
    size_t groups = load(fields, n, words, sizes);

    reader->read(words, sizes, groups, factors, read, missed);
    if (read == room)
        memcpy(values, read, n * sizeof *values);
    for (size_t g = 0; g < groups; g++) {
        for (unsigned bits = missed[g]; bits; bits &= bits - 1) {
            size_t i = LANES * g + (unsigned)__builtin_ctz(bits);

            if (i < n && !read_16(fields[i], decimals, &values[i]))
                left[n_left++] = (uint32_t)(first + i);
        }
    }
    return n_left;
}

size_t tqi_read_numbers(const tqi_number_reader *reader, const tq_slice *fields, size_t n, unsigned decimals,
                        int64_t *values, uint32_t *left)
{
    uint32_t factors[LANES] = {0};
    size_t n_left = 0;

    if (decimals > TQ_DECIMALS_MAX)
        decimals = TQ_DECIMALS_MAX;
    if (decimals > TQI_NUMBERS_DECIMALS) {
        for (size_t i = 0; i < n; i++)
            if (!read_16(fields[i], decimals, &values[i]))
                left[n_left++] = (uint32_t)i;
        return n_left;
    }
    for (unsigned f = 0; f < LANES && f <= decimals; f++)
        factors[f] = (uint32_t)tqi_powers_of_10[decimals - f];
    for (size_t i = 0; i < n; i += CHUNK)
        n_left = read_chunk(reader, fields + i, i, n - i < CHUNK ? n - i : CHUNK, decimals, factors, values + i, left,
                            n_left);
    return n_left;
}

size_t tq_read_numbers(const tq_slice *fields, size_t n, unsigned decimals, int64_t *values, uint32_t *left)
{
    return tqi_read_numbers(tqi_number_reader_best(), fields, n, decimals, values, left);
}
