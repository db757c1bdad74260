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
#if defined(__x86_64__)
    found->wide = __builtin_cpu_supports("avx2");
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
/* The strings that have the byte of each place there, as bits. */
__attribute__((target("avx2"))) static inline __m256i look_up(__m256i bytes, __m256i lower, __m256i upper)
{
    const __m256i half = _mm256_set1_epi8(15);
    return _mm256_and_si256(_mm256_shuffle_epi8(lower, _mm256_and_si256(bytes, half)),
                            _mm256_shuffle_epi8(upper, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half)));
}

__attribute__((target("avx2"))) static inline __m256i load(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

__attribute__((target("avx2"))) static inline __m256i load_table(const uint8_t table[16])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
}

__attribute__((target("avx2"))) static const char *find_wide(const literals *searched, const char *from,
                                                             const char *end)
{
    __m256i lower0 = load_table(searched->lower[0]), upper0 = load_table(searched->upper[0]);
    __m256i lower1 = load_table(searched->lower[1]), upper1 = load_table(searched->upper[1]);
    __m256i lower2 = load_table(searched->lower[2]), upper2 = load_table(searched->upper[2]);
    const char *at = from;
    for (; end - at >= 32 + LITERALS_WINDOW - 1; at += 32) {
        __m256i all = look_up(load(at), lower0, upper0);
        all = _mm256_and_si256(all, look_up(load(at + 1), lower1, upper1));
        all = _mm256_and_si256(all, look_up(load(at + 2), lower2, upper2));
        if (__builtin_expect(_mm256_testz_si256(all, all), 1))
            continue;
        unsigned places = ~(unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(all, _mm256_setzero_si256()));
        uint8_t buckets[32];
        _mm256_storeu_si256((__m256i *)(void *)buckets, all);
        for (; places != 0; places &= places - 1) {
            int place = __builtin_ctz(places);
            if (is_there(searched, buckets[place], at + place, from, end))
                return at + place;
        }
    }
    return find_narrow(searched, at, from, end);
}
#endif

const char *literals_find(const literals *searched, const char *from, const char *end)
{
#if defined(__x86_64__)
    if (searched->wide)
        return find_wide(searched, from, end);
#endif
    return find_narrow(searched, from, from, end);
}
