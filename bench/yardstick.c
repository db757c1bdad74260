/* The yardstick: a word count of one file, written by hand for one kind of machine and for nothing else.
 *
 *     cc -O3 -march=native -pthread -o yardstick bench/yardstick.c      (x86-64 with AVX-512 VBMI2: Zen 4, Ice Lake or later)
 *     yardstick [-t THREADS] [--table shared|partitioned] [-v] [-o OUT] FILE
 *
 * A word is a longest run of bytes other than the six of ASCII white space. Prints how many words there are, how many
 * different ones, and the seconds; OUT gets a line "word TAB count" of each word, in no order. FILE is at most 4 GiB - 1.
 *
 * Threads take blocks of the file from a counter. A block is cut with masks of 64 bytes into a batch of words, the batch is
 * split by length without branches, and each length has its own tables:
 *
 *     1-8, 9-16, 17-32 bytes   64-byte lines of 5, 3 or 1 keys and their 32-bit counts, compared all at once. A small
 *                              "front" of such lines, which stays in the cache, counts the frequent words without a branch.
 *                              What misses it goes, by --table,
 *         shared                   into one large table a thread (hash and prefetch ahead, then probe); a word that has
 *                                  become more frequent there than one in its front line changes places with it;
 *         partitioned              once the front has settled: into blocks of 16 KiB, one list for each of 512 ranges of
 *                                  the hash, counted only at the end, a range at a time, in a table that fits the L2 cache.
 *     longer ones              a table of hash and place, the bytes in an arena; in three steps (slot, bytes, compare).
 *
 * A word that ends with a NUL byte counts as "longer", so that a padded key tells its length. At the end the ranges of the
 * hash are shared out to the threads, which merge their parts and write them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    BLOCK = 256 << 10, /* of the file */
    BATCH = 4096,      /* words */
    RANGE_BITS = 9,
    RANGES = 1 << RANGE_BITS, /* of the hash */
    LIST_BLOCK = 16 << 10,
    LIST_HEAD = 32,
    AHEAD = 24,          /* how far to prefetch */
    SETTLED = 256 << 10, /* different words in a table: the front is as good as it gets */
    OUT_SIZE = 1 << 20,
    CLASSES = 3
};
#define INLINE static inline __attribute__((always_inline))

/* Keys of `w` 8-byte words (1, 2 or 4): `ways(w)` of them in a line, then a 32-bit count of each. */
typedef struct Line {
    _Alignas(64) uint64_t word[8];
} Line;

typedef struct Table {
    Line *lines;
    size_t count, used, limit;
    size_t wrap; /* probing stays within so many lines (a mask), so that a range of the hash stays together */
    int skip, shift;
} Table;

typedef struct Slot { /* of a longer word */
    uint64_t hash;
    uint32_t place, count; /* in units of 16 bytes: the length (8 bytes), then the bytes */
} Slot;

typedef struct Longs {
    Slot *slots;
    size_t count, used;
    size_t wrap;
    int skip, shift;
} Longs;

typedef struct Thread {
    pthread_t id;
    uint8_t *text;
    size_t text_size;
    Line *front[CLASSES];
    Table table[CLASSES], part[CLASSES];
    Longs longs, long_part;
    uint8_t
        *list[CLASSES][RANGES]; /* where the next key goes; at a multiple of LIST_BLOCK the block is full, or none */
    uint8_t *fresh, *fresh_end; /* memory for lists */
    uint8_t *arena, *arena_end;
    uint32_t start[BATCH + 64], end[BATCH + 64];
    uint32_t cut[CLASSES][BATCH + 64], long_start[BATCH + 64], long_end[BATCH + 64];
    _Alignas(64) uint64_t miss[(BATCH + 64) * 4];
    uint32_t index[BATCH + 64];
    uint64_t hash[BATCH + 64];
    _Alignas(64) uint64_t evicted[(BATCH + 64) * 4];
    uint32_t evicted_count[BATCH + 64];
    uint8_t *out;
    size_t out_used;
    uint64_t words, different, cut_words[CLASSES + 1], missed[CLASSES], listed;
} Thread;

static const int front_bits[CLASSES] = {12, 12, 11};
static int file_, out_ = -1;
static size_t size_;
static bool partitioned_;
static int thread_count_ = 1;
static Thread **threads_;
static uint8_t *arena_; /* reserved address space; each thread takes pieces of it */
static atomic_size_t next_block_, next_range_, arena_used_, out_offset_;
static pthread_barrier_t counted_;

static void die(const char *what)
{
    fprintf(stderr, "yardstick: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *map(size_t size)
{
    size_t huge = 2 << 20;
    uint8_t *area = mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        die("memory");
    size_t before = -(uintptr_t)area & (huge - 1);
    if (before)
        munmap(area, before);
    if (before < huge)
        munmap(area + before + size, huge - before);
    madvise(area + before, size, MADV_HUGEPAGE);
    return area + before;
}

/* ---- Keys and lines ---- */

INLINE int width(int class)
{
    return 1 << class;
}

INLINE int ways(int w)
{
    return w == 1 ? 5 : w == 2 ? 3 : 1;
}

INLINE uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

INLINE uint64_t hash_words(uint64_t k0, uint64_t k1, uint64_t k2, uint64_t k3, int w)
{
    const uint64_t a = 0xa0761d6478bd642f, b = 0xe7037ed1a0b428db, c = 0x8ebc6af09c88c6e3;
    if (w == 1)
        return mix(k0 ^ a, b);
    uint64_t hash = mix(k0 ^ a, k1 ^ b);
    return w == 2 ? hash : hash ^ mix(k2 ^ b, k3 ^ c);
}

INLINE uint64_t hash_key(const uint64_t *key, int w)
{
    return hash_words(key[0], w > 1 ? key[1] : 0, w > 2 ? key[2] : 0, w > 2 ? key[3] : 0, w);
}

/* Up to 8 bytes, of a word that has `length` of them from here on (or less than none). */
INLINE uint64_t load_some(const uint8_t *at, int length)
{
    return length > 0 ? _bzhi_u64(*(const uint64_t *)at, (unsigned)length * 8) : 0;
}

INLINE __m512i spread(const uint64_t *key, int w)
{
    if (w == 1)
        return _mm512_set1_epi64((long long)key[0]);
    if (w == 2)
        return _mm512_broadcast_i64x2(_mm_loadu_si128((const __m128i *)key));
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)key));
}

/* One bit for each key of the line that is equal to `key`. */
INLINE unsigned match(__m512i line, __m512i key, int w)
{
    unsigned equal = _mm512_cmpeq_epi64_mask(line, key);
    if (w == 1)
        return equal & 0x1f;
    if (w == 2)
        return _pext_u32(equal & equal >> 1, 0x15);
    return (equal & 0xf) == 0xf;
}

INLINE __m512i add_at(__m512i line, unsigned lanes, uint32_t count, int w)
{
    return _mm512_mask_add_epi32(line, (__mmask16)(lanes << (2 * w * ways(w))), line, _mm512_set1_epi32((int)count));
}

INLINE uint32_t *counts_of(Line *line, int w)
{
    return (uint32_t *)line->word + 2 * w * ways(w);
}

/* Empty if its last words are all zero: the last byte of a key is not, so one of the last (w + 1) / 2 words is not either. */
INLINE bool is_empty(const Line *line, int lane, int w)
{
    const uint64_t *key = line->word + lane * w;
    return w == 4 ? !(key[2] | key[3]) : !key[w - 1];
}

/* ---- Tables of lines ---- */

static void table_make(Table *table, size_t lines, int skip, int w)
{
    table->lines = map(lines * sizeof(Line));
    table->count = lines;
    table->used = 0;
    table->limit = lines * (size_t)ways(w) * (w == 4 ? 5 : 7) / 10;
    table->wrap = skip ? lines - 1 : lines / RANGES - 1;
    table->skip = skip;
    table->shift = 64 - __builtin_ctzll(lines);
}

INLINE size_t home(const Table *table, uint64_t hash)
{
    return hash << table->skip >> table->shift;
}

/* The count of the key, after `count` is added; *lane and *at say where. */
INLINE uint32_t *table_add(Table *table, size_t at, const uint64_t *key, uint32_t count, int w)
{
    __m512i wanted = spread(key, w);
    for (;; at = (at & ~table->wrap) | ((at + 1) & table->wrap)) {
        Line *line = table->lines + at;
        __m512i value = _mm512_load_si512(line);
        unsigned lanes = match(value, wanted, w);
        if (__builtin_expect(lanes != 0, 1)) {
            _mm512_store_si512(line, add_at(value, lanes, count, w));
            return counts_of(line, w) + __builtin_ctz(lanes);
        }
        for (int lane = 0; lane < ways(w); lane++) {
            if (is_empty(line, lane, w)) {
                memcpy(line->word + lane * w, key, sizeof *key * (size_t)w);
                counts_of(line, w)[lane] = count;
                table->used++;
                return counts_of(line, w) + lane;
            }
        }
    }
}

/* Room for `more` keys. The old lines are read in the order of the hash, so the new ones are written in order. */
INLINE void table_reserve(Table *table, size_t more, int w)
{
    while (__builtin_expect(table->used + more > table->limit, 0)) {
        Table old = *table;
        table_make(table, old.count * 2, old.skip, w);
        for (size_t i = 0; i < old.count; i++) {
            for (int lane = 0; lane < ways(w) && !is_empty(old.lines + i, lane, w); lane++) {
                const uint64_t *key = old.lines[i].word + lane * w;
                table_add(table, home(table, hash_key(key, w)), key, counts_of(old.lines + i, w)[lane], w);
            }
        }
        munmap(old.lines, old.count * sizeof(Line));
    }
}

/* A word that is counted in the table `count` times: if one in its front line is rarer, they change places. */
INLINE size_t promote(Thread *my, Line *front, const uint64_t *key, uint32_t *count, size_t evicted, int w)
{
    uint32_t *counts = counts_of(front, w);
    int least = 0;
    for (int lane = 1; lane < ways(w); lane++)
        least = counts[lane] < counts[least] ? lane : least;
    if (counts[least] >= *count ||
        match(_mm512_load_si512(front), spread(key, w), w)) /* it may have moved in this batch */
        return evicted;
    memcpy(my->evicted + evicted * (size_t)w, front->word + least * w, sizeof *key * (size_t)w);
    my->evicted_count[evicted] = counts[least];
    evicted += counts[least] != 0;
    memcpy(front->word + least * w, key, sizeof *key * (size_t)w);
    counts[least] = *count;
    *count = 0;
    return evicted;
}

/* ---- A batch ---- */

/* Counts the words that are in the front; the keys of the others are left in my->miss. */
INLINE size_t front_pass(Thread *my, const uint8_t *text, size_t count, int class)
{
    const int w = width(class);
    Line *front = my->front[class];
    size_t missed = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *word = text + (my->cut[class][i] >> 8);
        int length = my->cut[class][i] & 0xff;
        uint64_t k0 = load_some(word, w == 1 ? length : 8), k1 = 0, k2 = 0, k3 = 0;
        uint64_t *key = my->miss + missed * (size_t)w; /* written only: to read it back would wait for `missed` */
        __m512i wanted;
        if (w == 1) {
            wanted = _mm512_set1_epi64((long long)k0);
            key[0] = k0;
        } else if (w == 2) {
            k1 = load_some(word + 8, length - 8);
            __m128i value = _mm_maskz_loadu_epi8((__mmask16)_bzhi_u32(~0u, (unsigned)length), word);
            wanted = _mm512_broadcast_i64x2(value);
            _mm_storeu_si128((__m128i *)key, value);
        } else {
            k1 = load_some(word + 8, 8);
            k2 = load_some(word + 16, length - 16);
            k3 = load_some(word + 24, length - 24);
            __m256i value = _mm256_maskz_loadu_epi8(_bzhi_u32(~0u, (unsigned)length), word);
            wanted = _mm512_broadcast_i64x4(value);
            _mm256_storeu_si256((__m256i *)key, value);
        }
        Line *line = front + (hash_words(k0, k1, k2, k3, w) >> (64 - front_bits[class]));
        __m512i value = _mm512_load_si512(line);
        unsigned lanes = match(value, wanted, w);
        _mm512_store_si512(line, add_at(value, lanes, 1, w));
        missed += lanes == 0;
    }
    return missed;
}

INLINE void table_pass(Thread *my, size_t count, int class)
{
    const int w = width(class);
    Table *table = &my->table[class];
    Line *front = my->front[class];
    size_t evicted = 0;
    table_reserve(table, 2 * count, w);
    for (size_t i = 0; i < count + AHEAD; i++) {
        if (i < count) {
            my->hash[i] = hash_key(my->miss + i * (size_t)w, w);
            __builtin_prefetch(table->lines + home(table, my->hash[i]), 1);
        }
        if (i < AHEAD)
            continue;
        const uint64_t *key = my->miss + (i - AHEAD) * (size_t)w;
        uint64_t hash = my->hash[i - AHEAD];
        uint32_t *place = table_add(table, home(table, hash), key, 1, w);
        if (__builtin_expect((*place & 7) == 0, 0))
            evicted = promote(my, front + (hash >> (64 - front_bits[class])), key, place, evicted, w);
    }
    for (size_t i = 0; i < evicted; i++) {
        const uint64_t *key = my->evicted + i * (size_t)w;
        table_add(table, home(table, hash_key(key, w)), key, my->evicted_count[i], w);
    }
}

static uint8_t *list_block(Thread *my, uint8_t *full)
{
    if (my->fresh == my->fresh_end) {
        my->fresh = map(32 << 20);
        my->fresh_end = my->fresh + (32 << 20);
    }
    uint8_t *block = my->fresh;
    my->fresh += LIST_BLOCK;
    *(uint8_t **)block = full ? full - LIST_BLOCK : NULL;
    return block + LIST_HEAD;
}

INLINE void list_pass(Thread *my, size_t count, int class)
{
    const int w = width(class);
    my->listed += count;
    for (size_t i = 0; i < count; i++) {
        const uint64_t *key = my->miss + i * (size_t)w;
        uint8_t **list = &my->list[class][hash_key(key, w) >> (64 - RANGE_BITS)];
        if (__builtin_expect(((uintptr_t)*list & (LIST_BLOCK - 1)) == 0, 0))
            *list = list_block(my, *list);
        memcpy(*list, key, sizeof *key * (size_t)w);
        *list += sizeof *key * (size_t)w;
    }
}

INLINE void class_pass(Thread *my, const uint8_t *text, size_t count, int class)
{
    size_t missed = front_pass(my, text, count, class);
    my->cut_words[class] += count;
    my->missed[class] += missed;
    if (partitioned_ && my->table[class].used >= SETTLED)
        list_pass(my, missed, class);
    else
        table_pass(my, missed, class);
}

/* ---- Longer words ---- */

INLINE uint64_t load(const uint8_t *at)
{
    return *(const uint64_t *)at;
}

INLINE uint64_t hash_long(const uint8_t *word, size_t length)
{
    const uint64_t a = 0xa0761d6478bd642f, b = 0xe7037ed1a0b428db;
    uint64_t hash = length * b;
    for (; length > 16; word += 16, length -= 16)
        hash = mix(load(word) ^ a ^ hash, load(word + 8) ^ b);
    uint64_t low = _bzhi_u64(load(word), (unsigned)length * 8);
    uint64_t high = length > 8 ? _bzhi_u64(load(word + 8), (unsigned)(length - 8) * 8) : 0;
    return mix(low ^ a ^ hash, high ^ b);
}

static void longs_make(Longs *longs, size_t slots, int skip)
{
    longs->slots = map(slots * sizeof(Slot));
    longs->count = slots;
    longs->used = 0;
    longs->wrap = skip ? slots - 1 : slots / RANGES - 1;
    longs->skip = skip;
    longs->shift = 64 - __builtin_ctzll(slots);
}

INLINE size_t longs_next(const Longs *longs, size_t at)
{
    return (at & ~longs->wrap) | ((at + 1) & longs->wrap);
}

INLINE size_t longs_home(const Longs *longs, uint64_t hash)
{
    return hash << longs->skip >> longs->shift;
}

INLINE const uint8_t *long_at(uint32_t place, size_t *length)
{
    const uint8_t *record = arena_ + (size_t)place * 16;
    *length = load(record);
    return record + 8;
}

static void longs_reserve(Longs *longs, size_t more)
{
    while (longs->used + more > longs->count / 2) {
        Longs old = *longs;
        longs_make(longs, old.count * 2, old.skip);
        longs->used = old.used;
        for (size_t i = 0; i < old.count; i++) {
            size_t at = longs_home(longs, old.slots[i].hash);
            if (!old.slots[i].count)
                continue;
            while (longs->slots[at].count)
                at = longs_next(longs, at);
            longs->slots[at] = old.slots[i];
        }
        munmap(old.slots, old.count * sizeof(Slot));
    }
}

/* Its slot, from `at` on; one with no count if it is not there. */
INLINE Slot *longs_find(Longs *longs, size_t at, uint64_t hash, const uint8_t *word, size_t length)
{
    for (;; at = longs_next(longs, at)) {
        Slot *slot = longs->slots + at;
        size_t known = 0;
        if (!slot->count)
            return slot;
        if (slot->hash == hash) {
            const uint8_t *bytes = long_at(slot->place, &known);
            if (known == length && !memcmp(bytes, word, length))
                return slot;
        }
    }
}

static uint32_t long_store(Thread *my, const uint8_t *word, size_t length)
{
    size_t need = (8 + length + 15) / 16 * 16;
    if ((size_t)(my->arena_end - my->arena) < need) {
        size_t piece = need > 4 << 20 ? need : 4 << 20;
        my->arena = arena_ + atomic_fetch_add(&arena_used_, piece);
        my->arena_end = my->arena + piece;
    }
    uint8_t *record = my->arena;
    my->arena += need;
    memcpy(record, &(uint64_t){length}, 8);
    memcpy(record + 8, word, length);
    return (uint32_t)((size_t)(record - arena_) / 16);
}

static void long_pass(Thread *my, const uint8_t *text, size_t count)
{
    Longs *longs = &my->longs;
    longs_reserve(longs, count);
    my->cut_words[CLASSES] += count;
    for (size_t i = 0; i < count; i++) {
        my->hash[i] = hash_long(text + my->long_start[i], my->long_end[i] - my->long_start[i]);
        __builtin_prefetch(longs->slots + longs_home(longs, my->hash[i]), 1);
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = longs_home(longs, my->hash[i]);
        while (longs->slots[at].count && longs->slots[at].hash != my->hash[i])
            at = longs_next(longs, at);
        my->index[i] = (uint32_t)at;
        if (longs->slots[at].count)
            __builtin_prefetch(arena_ + (size_t)longs->slots[at].place * 16);
    }
    for (size_t i = 0; i < count; i++) {
        const uint8_t *word = text + my->long_start[i];
        size_t length = my->long_end[i] - my->long_start[i];
        Slot *slot = longs_find(longs, my->index[i], my->hash[i], word, length);
        if (!slot->count) {
            *slot = (Slot){my->hash[i], long_store(my, word, length), 0};
            longs->used++;
        }
        slot->count++;
    }
}

/* ---- Cutting ---- */

INLINE size_t put(uint32_t *to, size_t used, __m512i values, __mmask16 which)
{
    _mm512_storeu_si512(to + used, _mm512_maskz_compress_epi32(which, values));
    return used + (size_t)__builtin_popcount(which);
}

/* The words of the batch by length, and then into the tables. */
static void batch(Thread *my, const uint8_t *text, size_t count, bool nul)
{
    size_t n[CLASSES] = {0}, longer = 0;
    for (size_t i = 0; i < count; i += 16) {
        __m512i start = _mm512_loadu_si512(my->start + i), end = _mm512_loadu_si512(my->end + i);
        __m512i length = _mm512_sub_epi32(end, start);
        __mmask16 all = (__mmask16)_bzhi_u32(0xffff, count - i > 16 ? 16 : (unsigned)(count - i));
        if (__builtin_expect(nul, 0)) { /* any length that ends with NUL is as good as a long one */
            for (size_t j = i; j < i + 16 && j < count; j++) {
                if (!text[my->end[j] - 1])
                    length = _mm512_mask_set1_epi32(length, (__mmask16)(1 << (j - i)), 255);
            }
        }
        __m512i both = _mm512_or_si512(_mm512_slli_epi32(start, 8), length);
        __mmask16 up_to_8 = _mm512_mask_cmple_epu32_mask(all, length, _mm512_set1_epi32(8));
        __mmask16 up_to_16 = _mm512_mask_cmple_epu32_mask(all, length, _mm512_set1_epi32(16));
        __mmask16 up_to_32 = _mm512_mask_cmple_epu32_mask(all, length, _mm512_set1_epi32(32));
        n[0] = put(my->cut[0], n[0], both, up_to_8);
        n[1] = put(my->cut[1], n[1], both, up_to_16 ^ up_to_8);
        n[2] = put(my->cut[2], n[2], both, up_to_32 ^ up_to_16);
        put(my->long_start, longer, start, all ^ up_to_32);
        longer = put(my->long_end, longer, end, all ^ up_to_32);
    }
    class_pass(my, text, n[0], 0);
    class_pass(my, text, n[1], 1);
    class_pass(my, text, n[2], 2);
    long_pass(my, text, longer);
}

static uint8_t iota_[64]; /* 0 to 63 */

/* The places where `mask` has a bit, as offsets in the text. */
INLINE size_t put_places(uint32_t *to, size_t used, uint64_t mask, size_t base)
{
    const __m512i iota = _mm512_loadu_si512(iota_);
    __m512i places = _mm512_maskz_compress_epi8(mask, iota), from = _mm512_set1_epi32((int)base);
    size_t count = (size_t)__builtin_popcountll(mask);
    _mm512_storeu_si512(to + used, _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(places))));
    if (__builtin_expect(count > 16, 0))
        _mm512_storeu_si512(to + used + 16,
                            _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(places, 1))));
    return used + count;
}

INLINE uint64_t spaces(__m512i bytes)
{
    /* at each low half-byte the one white space that has it, or a byte that has not */
    const __m512i table = _mm512_broadcast_i32x4(_mm_set_epi8(0, 0, 13, 12, 11, 10, 9, 0, 0, 0, 0, 0, 0, 0, 0, 32));
    return _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(table, bytes), bytes);
}

/* Text from a word's start or white space up to `size`, with 64 bytes of white space after it. */
static void cut(Thread *my, const uint8_t *text, size_t size)
{
    size_t starts = 0, ends = 0;
    uint64_t inside = 0, nul = 0;
    for (size_t base = 0; base <= size; base += 64) {
        __m512i bytes = _mm512_loadu_si512(text + base);
        uint64_t space = spaces(bytes), before = ~space << 1 | inside;
        nul |= _mm512_testn_epi8_mask(bytes, bytes);
        inside = ~space >> 63;
        starts = put_places(my->start, starts, ~space & ~before, base);
        ends = put_places(my->end, ends, space & before, base);
        if (__builtin_expect(ends >= BATCH - 32, 0)) {
            batch(my, text, ends, nul != 0);
            my->start[0] = my->start[starts - 1]; /* of a word whose end is to come, if any */
            starts -= ends;
            ends = nul = 0;
        }
    }
    batch(my, text, ends, nul != 0);
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= 9 && byte <= 13);
}

static size_t read_at(uint8_t *to, size_t size, size_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(file_, to + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno != EINTR)
            die("read");
        if (got == 0)
            break;
        done += got > 0 ? (size_t)got : 0;
    }
    return done;
}

/* All words that start in the block at `offset`. */
static void count_block(Thread *my, size_t offset)
{
    uint8_t before = ' ';
    size_t have = read_at(my->text, BLOCK + PAGE, offset), size = have < BLOCK ? have : BLOCK;
    bool end = have < BLOCK + PAGE;
    if (offset > 0)
        read_at(&before, 1, offset - 1);
    for (size_t i = 0; i < size && !is_space(before); i++) {
        before = my->text[i];
        my->text[i] = ' ';
    }
    for (; size >= BLOCK && !is_space(my->text[size - 1]); size++) { /* up to the white space after the last word */
        if (size < have)
            continue;
        if (end)
            break;
        if (my->text_size < have * 2 + PAGE) {
            uint8_t *larger = map(have * 2 + PAGE);
            memcpy(larger, my->text, have);
            munmap(my->text, my->text_size);
            my->text = larger;
            my->text_size = have * 2 + PAGE;
        }
        size_t more = read_at(my->text + have, have, offset + have);
        end = more < have;
        have += more;
        size--;
    }
    memset(my->text + size, ' ', 128);
    cut(my, my->text, size);
}

/* ---- The end: each range of the hash for itself ---- */

INLINE uint8_t *put_row(uint8_t *to, uint32_t count)
{
    uint8_t digits[10];
    size_t n = 0;
    *to++ = '\t';
    do {
        digits[n++] = (uint8_t)('0' + count % 10);
        count /= 10;
    } while (count);
    while (n)
        *to++ = digits[--n];
    *to++ = '\n';
    return to;
}

static void write_out(const uint8_t *bytes, size_t size)
{
    size_t offset = atomic_fetch_add(&out_offset_, size);
    for (size_t done = 0; done < size;) {
        ssize_t put = pwrite(out_, bytes + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR)
            die("write");
        done += put > 0 ? (size_t)put : 0;
    }
}

static void flush(Thread *my)
{
    write_out(my->out, my->out_used);
    my->out_used = 0;
}

INLINE void emit_lines(Thread *my, Line *lines, size_t count, int w)
{
    for (size_t i = 0; i < count; i++) {
        for (int lane = 0; lane < ways(w) && !is_empty(lines + i, lane, w); lane++) {
            const uint64_t *key = lines[i].word + lane * w;
            uint32_t times = counts_of(lines + i, w)[lane];
            int last = w - 1;
            if (!times)
                continue;
            my->different++;
            my->words += times;
            if (out_ < 0)
                continue;
            if (my->out_used > OUT_SIZE - 64)
                flush(my);
            memcpy(my->out + my->out_used, key, sizeof *key * (size_t)w);
            while (!key[last])
                last--;
            size_t length = (size_t)last * 8 + 8 - (size_t)__builtin_clzll(key[last]) / 8;
            my->out_used = (size_t)(put_row(my->out + my->out_used + length, times) - my->out);
        }
    }
}

static void emit_slots(Thread *my, const Slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = 0;
        if (!slots[i].count)
            continue;
        my->different++;
        my->words += slots[i].count;
        if (out_ < 0)
            continue;
        const uint8_t *word = long_at(slots[i].place, &length);
        if (my->out_used + length > OUT_SIZE - 64)
            flush(my);
        if (length > OUT_SIZE / 2) { /* in pieces would do if nobody else wrote: so all of it at once */
            uint8_t *row = map(length + 64);
            memcpy(row, word, length);
            write_out(row, (size_t)(put_row(row + length, slots[i].count) - row));
            munmap(row, length + 64);
            continue;
        }
        memcpy(my->out + my->out_used, word, length);
        my->out_used = (size_t)(put_row(my->out + my->out_used + length, slots[i].count) - my->out);
    }
}

INLINE void merge_class(Thread *my, size_t range, int class)
{
    const int w = width(class);
    Table *part = &my->part[class];
    size_t each = threads_[0]->table[class].count / RANGES;
    if (thread_count_ == 1 && !my->list[class][range]) {
        emit_lines(my, my->table[class].lines + range * each, each, w);
        return;
    }
    memset(part->lines, 0, part->count * sizeof(Line));
    part->used = 0;
    for (int i = 0; i < thread_count_; i++) {
        Table *from = &threads_[i]->table[class];
        each = from->count / RANGES;
        table_reserve(part, each * (size_t)ways(w), w);
        for (Line *line = from->lines + range * each, *end = line + each; line < end; line++) {
            for (int lane = 0; lane < ways(w) && !is_empty(line, lane, w); lane++) {
                const uint64_t *key = line->word + lane * w;
                table_add(part, home(part, hash_key(key, w)), key, counts_of(line, w)[lane], w);
            }
        }
        uint8_t *to = threads_[i]->list[class][range];
        while (to) {
            uint8_t *block = (uint8_t *)((uintptr_t)(to - 1) & ~(uintptr_t)(LIST_BLOCK - 1));
            table_reserve(part, LIST_BLOCK / 8 / (size_t)w, w);
            for (uint8_t *at = block + LIST_HEAD; at < to; at += 8 * w) {
                const uint64_t *key = (const uint64_t *)at;
                table_add(part, home(part, hash_key(key, w)), key, 1, w);
            }
            to = *(uint8_t **)block ? *(uint8_t **)block + LIST_BLOCK : NULL;
        }
    }
    emit_lines(my, part->lines, part->count, w);
}

static void merge_longs(Thread *my, size_t range)
{
    Longs *part = &my->long_part;
    size_t each = my->longs.count / RANGES;
    if (thread_count_ == 1) {
        emit_slots(my, my->longs.slots + range * each, each);
        return;
    }
    memset(part->slots, 0, part->count * sizeof(Slot));
    part->used = 0;
    for (int i = 0; i < thread_count_; i++) {
        Longs *from = &threads_[i]->longs;
        each = from->count / RANGES;
        longs_reserve(part, each);
        for (Slot *slot = from->slots + range * each, *end = slot + each; slot < end; slot++) {
            size_t length = 0;
            if (!slot->count)
                continue;
            const uint8_t *word = long_at(slot->place, &length);
            Slot *found = longs_find(part, longs_home(part, slot->hash), slot->hash, word, length);
            uint32_t before = found->count;
            part->used += before == 0;
            *found = *slot;
            found->count += before;
        }
    }
    emit_slots(my, part->slots, part->count);
}

/* What the front counted, into the table. */
INLINE void front_end(Thread *my, int class)
{
    const int w = width(class);
    size_t lines = (size_t)1 << front_bits[class];
    Table *table = &my->table[class];
    table_reserve(table, lines * (size_t)ways(w), w);
    for (size_t i = 0; i < lines; i++) {
        for (int lane = 0; lane < ways(w) && !is_empty(my->front[class] + i, lane, w); lane++) {
            const uint64_t *key = my->front[class][i].word + lane * w;
            table_add(table, home(table, hash_key(key, w)), key, counts_of(my->front[class] + i, w)[lane], w);
        }
    }
}

static void *work(void *argument)
{
    Thread *my = argument;
    my->text_size = BLOCK + 2 * PAGE;
    my->text = map(my->text_size);
    my->out = map(OUT_SIZE);
    for (int class = 0; class < CLASSES; class ++) {
        my->front[class] = map(sizeof(Line) << front_bits[class]);
        table_make(&my->table[class], 1 << 16, 0, width(class));
        table_make(&my->part[class], 1 << 10, RANGE_BITS, width(class));
    }
    longs_make(&my->longs, 1 << 17, 0);
    longs_make(&my->long_part, 1 << 10, RANGE_BITS);
    for (size_t offset; (offset = atomic_fetch_add(&next_block_, 1) * BLOCK) < size_;)
        count_block(my, offset);
    front_end(my, 0);
    front_end(my, 1);
    front_end(my, 2);
    pthread_barrier_wait(&counted_);
    for (size_t range; (range = atomic_fetch_add(&next_range_, 1)) < RANGES;) {
        merge_class(my, range, 0);
        merge_class(my, range, 1);
        merge_class(my, range, 2);
        merge_longs(my, range);
    }
    flush(my);
    return NULL;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    const char *path = NULL, *out = NULL;
    bool verbose = false, usage = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "-v"))
            verbose = true;
        else if (argv[i][0] != '-' && !path)
            path = argv[i];
        else if (!strcmp(argv[i], "-t") && (thread_count_ = atoi(value)) > 0)
            i++;
        else if (!strcmp(argv[i], "-o") && *value)
            out = argv[++i];
        else if (!strcmp(argv[i], "--table") && (!strcmp(value, "shared") || !strcmp(value, "partitioned")))
            partitioned_ = *argv[++i] == 'p';
        else
            usage = true;
    }
    if (!path || usage) {
        fprintf(stderr, "usage: yardstick [-t THREADS] [--table shared|partitioned] [-v] [-o OUT] FILE\n");
        return 2;
    }
    double begin = now();
    for (uint8_t i = 0; i < sizeof iota_; i++)
        iota_[i] = i;
    struct stat status;
    if ((file_ = open(path, O_RDONLY)) < 0 || fstat(file_, &status))
        die(path);
    size_ = (size_t)status.st_size;
    errno = EFBIG;
    if (size_ > UINT32_MAX)
        die(path);
    if (out && (out_ = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666)) < 0)
        die(out);
    arena_ = map((size_t)64 << 30);
    threads_ = calloc((size_t)thread_count_, sizeof *threads_);
    pthread_barrier_init(&counted_, NULL, (unsigned)thread_count_);
    for (int i = 0; i < thread_count_; i++) {
        threads_[i] = map(sizeof(Thread));
        if (pthread_create(&threads_[i]->id, NULL, work, threads_[i]))
            die("thread");
    }
    Thread sum = {0};
    for (int i = 0; i < thread_count_; i++) {
        Thread *one = threads_[i];
        pthread_join(one->id, NULL);
        sum.words += one->words;
        sum.different += one->different;
        sum.listed += one->listed;
        sum.cut_words[CLASSES] += one->cut_words[CLASSES];
        for (int class = 0; class < CLASSES; class ++) {
            sum.cut_words[class] += one->cut_words[class];
            sum.missed[class] += one->missed[class];
        }
    }
    if (out_ >= 0 && close(out_))
        die(out);
    printf("%llu words, %llu different, %.3f s\n", (unsigned long long)sum.words, (unsigned long long)sum.different,
           now() - begin);
    if (verbose) {
        for (int class = 0; class < CLASSES; class ++)
            printf("up to %2d bytes: %llu words, %.1f %% in the front\n", 8 << class,
                   (unsigned long long)sum.cut_words[class],
                   100 - 100 * (double)sum.missed[class] / (double)sum.cut_words[class]);
        printf("longer: %llu words; to lists: %llu keys\n", (unsigned long long)sum.cut_words[CLASSES],
               (unsigned long long)sum.listed);
    }
    return 0;
}
