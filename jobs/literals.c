#include "jobs/literals.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* From the most frequent byte of texts down; what is not here is rare. */
static const char by_frequency[] = " etaoinsrhldcumpfgyb\nw.v,k-_()0\"x1:/='2ATSICPE;*jq3RMNDLO<>5#4BFzHG8967W";

static double frequency(char byte)
{
    const char *found = byte != '\0' ? strchr(by_frequency, byte) : NULL;
    return found != NULL ? 0.13 / (1 + 0.35 * (double)(found - by_frequency)) : 0.001;
}

static char lower_case(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + 'a' - 'A') : byte;
}

static char other_case(char byte)
{
    char lower = lower_case(byte);
    return lower != byte ? lower : byte >= 'a' && byte <= 'z' ? (char)(byte - 'a' + 'A') : byte;
}

static size_t shortest(const literal_set *set)
{
    size_t least = LITERAL_BYTES;
    for (int i = 0; i < set->n; i++)
        least = set->strings[i].size < least ? set->strings[i].size : least;
    return least;
}

/* The rarest window of size bytes in string i, and how frequent it is. */
static size_t best_window(const literal_set *set, int i, size_t size, double *rate)
{
    size_t best = 0;
    *rate = 2;
    for (size_t at = 0; at + size <= set->strings[i].size; at++) {
        double product = 1;
        for (size_t j = 0; j < size; j++)
            product *= frequency(lower_case(set->strings[i].bytes[at + j]));
        if (product < *rate) {
            *rate = product;
            best = at;
        }
    }
    return best;
}

double literals_cost(const literal_set *set)
{
    double sum = 0, rate;
    size_t size = shortest(set) < LITERALS_WINDOW ? shortest(set) : LITERALS_WINDOW;
    for (int i = 0; i < set->n; i++) {
        best_window(set, i, size, &rate);
        sum += rate;
    }
    return sum;
}

static void add_byte(literals *found, size_t place, char byte, uint8_t bit)
{
    unsigned code = (unsigned char)byte;
    found->lower[place][code & 15] |= bit;
    found->upper[place][code >> 4] |= bit;
}

void literals_prepare(literals *found, const literal_set *set, bool fold)
{
    size_t size = shortest(set) < LITERALS_WINDOW ? shortest(set) : LITERALS_WINDOW;
    double rate;
    *found = (literals){.set = *set, .fold = fold};
    for (int i = 0; i < set->n; i++) {
        uint8_t bit = (uint8_t)(1 << i % 8);
        found->place[i] = (uint8_t)best_window(set, i, size, &rate);
        for (size_t j = 0; j < size; j++) {
            char byte = set->strings[i].bytes[found->place[i] + j];
            add_byte(found, j, byte, bit);
            if (fold)
                add_byte(found, j, other_case(byte), bit);
        }
    }
    for (size_t j = size; j < LITERALS_WINDOW; j++) { /* any byte will do */
        memset(found->lower[j], 0xff, 16);
        memset(found->upper[j], 0xff, 16);
    }
    for (size_t j = 0; j < LITERALS_WINDOW; j++)
        for (unsigned code = 0; code < 256; code++)
            found->either[j][code] = found->lower[j][code & 15] & found->upper[j][code >> 4];
    found->places = 1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        found->places = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? 64 : 32;
#endif
}

/* Whether one of the strings in buckets has its window at window; the text is [from, end). */
static bool is_there(const literals *searched, unsigned buckets, const char *window, const char *from, const char *end)
{
    for (int i = 0; i < searched->set.n; i++) {
        const char *bytes = searched->set.strings[i].bytes, *begin = window - searched->place[i];
        size_t size = searched->set.strings[i].size;
        if ((buckets >> i % 8 & 1) == 0 || window - from < searched->place[i] || (size_t)(end - begin) < size)
            continue;
        bool is_same = searched->fold;
        for (size_t j = 0; j < size && is_same; j++)
            is_same = lower_case(begin[j]) == lower_case(bytes[j]);
        if (is_same || (!searched->fold && memcmp(begin, bytes, size) == 0))
            return true;
    }
    return false;
}

/* One place at a time; behind the end there is no byte to look at. */
static const char *find_narrow(const literals *searched, const char *at, const char *from, const char *end)
{
    for (; at < end; at++) {
        unsigned buckets = searched->either[0][(unsigned char)at[0]];
        if (buckets != 0 && end - at > 1)
            buckets &= searched->either[1][(unsigned char)at[1]];
        if (buckets != 0 && end - at > 2)
            buckets &= searched->either[2][(unsigned char)at[2]];
        if (buckets != 0 && is_there(searched, buckets, at, from, end))
            return at;
    }
    return NULL;
}

#if defined(__x86_64__)
/* Behind a place a window ends before so many bytes more. */
enum { WINDOW_REST = LITERALS_WINDOW - 1 };

/* A block of the text in which the window of some string may begin: at which places, and of which strings (by buckets). No
 * places: there is none before at, and behind it no whole block. */
typedef struct block {
    const char *at;
    uint64_t places;
    uint8_t buckets[64];
} block;

#define AVX2   __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw")))

/* The strings that have the byte of each place there, as bits. */
AVX2 static inline __m256i avx2_look_up(const char *at, __m256i lower, __m256i upper)
{
    const __m256i half = _mm256_set1_epi8(15), bytes = _mm256_loadu_si256((const __m256i *)(const void *)at);
    return _mm256_and_si256(_mm256_shuffle_epi8(lower, _mm256_and_si256(bytes, half)),
                            _mm256_shuffle_epi8(upper, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half)));
}

AVX2 static inline __m256i avx2_table(const uint8_t table[16])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
}

/* The next such block from at on. It calls nothing, so the tables stay in registers. */
AVX2 static void avx2_next(const literals *searched, const char *at, const char *end, block *found)
{
    __m256i lower0 = avx2_table(searched->lower[0]), upper0 = avx2_table(searched->upper[0]);
    __m256i lower1 = avx2_table(searched->lower[1]), upper1 = avx2_table(searched->upper[1]);
    __m256i lower2 = avx2_table(searched->lower[2]), upper2 = avx2_table(searched->upper[2]);
    for (; end - at >= 32 + WINDOW_REST; at += 32) {
        __m256i all = _mm256_and_si256(avx2_look_up(at, lower0, upper0), avx2_look_up(at + 1, lower1, upper1));
        all = _mm256_and_si256(all, avx2_look_up(at + 2, lower2, upper2));
        if (__builtin_expect(_mm256_testz_si256(all, all), 1))
            continue;
        found->at = at;
        found->places = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(all, _mm256_setzero_si256()));
        _mm256_storeu_si256((__m256i *)(void *)found->buckets, all);
        return;
    }
    found->at = at;
    found->places = 0;
}

AVX512 static inline __m512i avx512_look_up(const char *at, __m512i lower, __m512i upper)
{
    const __m512i half = _mm512_set1_epi8(15), bytes = _mm512_loadu_si512(at);
    return _mm512_and_si512(_mm512_shuffle_epi8(lower, _mm512_and_si512(bytes, half)),
                            _mm512_shuffle_epi8(upper, _mm512_and_si512(_mm512_srli_epi16(bytes, 4), half)));
}

AVX512 static inline __m512i avx512_table(const uint8_t table[16])
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)table));
}

AVX512 static void avx512_next(const literals *searched, const char *at, const char *end, block *found)
{
    __m512i lower0 = avx512_table(searched->lower[0]), upper0 = avx512_table(searched->upper[0]);
    __m512i lower1 = avx512_table(searched->lower[1]), upper1 = avx512_table(searched->upper[1]);
    __m512i lower2 = avx512_table(searched->lower[2]), upper2 = avx512_table(searched->upper[2]);
    for (; end - at >= 64 + WINDOW_REST; at += 64) {
        __m512i all = _mm512_and_si512(avx512_look_up(at, lower0, upper0), avx512_look_up(at + 1, lower1, upper1));
        all = _mm512_and_si512(all, avx512_look_up(at + 2, lower2, upper2));
        uint64_t places = _mm512_test_epi8_mask(all, all);
        if (__builtin_expect(places == 0, 1))
            continue;
        found->at = at;
        found->places = places;
        _mm512_storeu_si512(found->buckets, all);
        return;
    }
    found->at = at;
    found->places = 0;
}

static const char *find_wide(const literals *searched, const char *from, const char *end)
{
    bool is_wider = searched->places == 64;
    block found;
    for (const char *at = from;; at = found.at + searched->places) {
        if (is_wider)
            avx512_next(searched, at, end, &found);
        else
            avx2_next(searched, at, end, &found);
        if (found.places == 0)
            return find_narrow(searched, found.at, from, end);
        for (; found.places != 0; found.places &= found.places - 1) {
            int place = __builtin_ctzll(found.places);
            if (is_there(searched, found.buckets[place], found.at + place, from, end))
                return found.at + place;
        }
    }
}
#endif

const char *literals_find(const literals *searched, const char *from, const char *end)
{
#if defined(__x86_64__)
    if (searched->places > 1)
        return find_wide(searched, from, end);
#endif
    return find_narrow(searched, from, from, end);
}
