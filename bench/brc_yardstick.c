/* The yardstick for rows of numbers: count, sum, min and max of each station in the rows of brc.c, written by hand for
 * these rows, for one kind of machine and for nothing else.
 *
 *     cc -O3 -march=native -pthread -o brc_yardstick bench/brc_yardstick.c    (x86-64 with AVX-512 VBMI2)
 *     brc_yardstick [-t THREADS] [-o OUT] FILE
 *
 * Prints how many rows and stations there are, and the seconds; OUT gets a line "station TAB count TAB sum TAB min TAB
 * max" of each station, in the order of their bytes. A row is a name of 1 to 100 bytes, a semicolon, a number from
 * -99.9 to 99.9 with one digit behind the point; anything else gives a wrong result, not an error.
 *
 * Threads take blocks of the file from a counter. The semicolons of a block are found 64 bytes at a time and listed;
 * where a row ends follows from its number, whose point is found in the eight bytes behind the semicolon. The number
 * is shifted until its last digit is the highest byte, so that its three digits have fixed places and one
 * multiplication adds them up. A name of up to 16 bytes is two words in registers; its hash tells its line of 32 bytes
 * in the thread's table. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <inttypes.h>
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
    SLACK = 128,       /* longer than a row */
    BATCH = 512,       /* rows */
    TABLE_BITS = 16,
    SHORT = 16, /* bytes of a name that fit a line; no name has a NUL */
    MOST_THREADS = 256
};

typedef struct Line {
    uint64_t word[2]; /* the name; of a long one its hash and a pointer to its size and bytes */
    int64_t sum;
    uint32_t count; /* 0: nobody is here */
    int16_t min, max;
} Line;

typedef struct LongName {
    uint32_t size;
    char bytes[];
} LongName;

typedef struct Thread {
    pthread_t id;
    Line *shorts, *longs;
    char *text;
    uint32_t semicolons[BATCH + 64];
    uint64_t rows;
} Thread;

static int file_;
static uint64_t size_;
static atomic_uint_fast64_t next_block_;

static void die(const char *what)
{
    fprintf(stderr, "brc_yardstick: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *map(size_t size)
{
    size_t huge = 2 << 20;
    char *area = mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        die("memory");
    area += -(uintptr_t)area & (huge - 1);
    madvise(area, size, MADV_HUGEPAGE);
    return area;
}

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ---- The table ---- */

static inline uint64_t hash_of(uint64_t word0, uint64_t word1)
{
    uint64_t product = (word0 ^ (word1 << 23 | word1 >> 41)) * 0x9e3779b97f4a7c15U;
    return product ^ product >> 29;
}

static inline void add(Line *line, int16_t tenths)
{
    line->sum += tenths;
    line->count++;
    line->min = tenths < line->min ? tenths : line->min;
    line->max = tenths > line->max ? tenths : line->max;
}

static inline size_t line_of(uint64_t hash)
{
    return hash * 0xd1342543de82ef95U >> (64 - TABLE_BITS);
}

static __attribute__((noinline)) Line *enter(Line *line, uint64_t word0, uint64_t word1)
{
    *line = (Line){.word = {word0, word1}, .min = INT16_MAX, .max = INT16_MIN};
    return line;
}

static inline Line *find_short(Line *table, const char *name, uint32_t size)
{
    uint64_t word[2];
    __m128i bytes = _mm_maskz_loadu_epi8((__mmask16)_bzhi_u32(0xffff, size), name);
    memcpy(word, &bytes, sizeof word);
    for (size_t at = line_of(hash_of(word[0], word[1]));; at = (at + 1) & ((1 << TABLE_BITS) - 1)) {
        Line *line = &table[at];
        if (((line->word[0] ^ word[0]) | (line->word[1] ^ word[1])) == 0)
            return line;
        if (line->count == 0)
            return enter(line, word[0], word[1]);
    }
}

static const LongName *long_name(const Line *line)
{
    return (const LongName *)line->word[1];
}

static __attribute__((noinline)) Line *find_long(Line *table, const char *name, uint32_t size)
{
    uint64_t word[4], hash;
    memcpy(word, name, 16);
    memcpy(word + 2, name + size - 16, 16);
    hash = hash_of(word[0], word[1]) + 3 * hash_of(word[2], word[3]) + size;
    for (size_t at = line_of(hash);; at = (at + 1) & ((1 << TABLE_BITS) - 1)) {
        Line *line = &table[at];
        if (line->count && line->word[0] == hash && long_name(line)->size == size &&
            memcmp(long_name(line)->bytes, name, size) == 0)
            return line;
        if (line->count)
            continue;
        LongName *copy = malloc(sizeof *copy + size);
        if (!copy)
            die("memory");
        copy->size = size;
        memcpy(copy->bytes, name, size);
        return enter(line, hash, (uint64_t)copy);
    }
}

/* ---- Rows ---- */

/* Where the semicolons of one block of 64 bytes are, behind those that are listed. */
static inline size_t list_semicolons(const char *text, uint32_t at, uint32_t *list)
{
    __m512i bytes = _mm512_loadu_si512(text + at);
    uint64_t mask = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(';'));
    static const uint8_t numbers[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                        32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                        48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    __m128i places = _mm512_castsi512_si128(_mm512_maskz_compress_epi8(mask, _mm512_loadu_si512(numbers)));
    _mm512_storeu_si512(list, _mm512_add_epi32(_mm512_cvtepu8_epi32(places), _mm512_set1_epi32((int)at)));
    return (size_t)_mm_popcnt_u64(mask); /* at most 12: a row has at least 6 bytes */
}

/* The number behind a semicolon, in tenths, and in *end where its row ends. */
static inline int16_t read_tenths(const char *number, const char **end)
{
    uint64_t bytes;
    memcpy(&bytes, number, sizeof bytes);
    /* Digits have bit 4 set, the point has not, and stands at place 1, 2 or 3. */
    unsigned point = (unsigned)_tzcnt_u64(~bytes & 0x10101000U) / 8;
    uint64_t negative = (bytes & 0xff) == '-';
    uint64_t digits = bytes << (8 * (6 - point)); /* the digit behind the point becomes the highest byte but one */
    uint64_t below_point = digits >> 56 & 15, ones = digits >> 40 & 15, tens = digits >> 32 & 15;
    tens &= -(uint64_t)(point - negative == 2); /* there may be no other digit */
    int32_t tenths = (int32_t)(100 * tens + 10 * ones + below_point);
    *end = number + point + 2;
    return (int16_t)((tenths ^ -(int32_t)negative) +
                     (int32_t)negative); /* a branch on the sign would be mispredicted */
}

/* All rows of text from begin on that begin before end. */
static void count_rows(Thread *thread, const char *begin, const char *end)
{
    const char *text = begin, *row = begin;
    Line *shorts = thread->shorts, *longs = thread->longs;
    uint32_t at = 0, size = (uint32_t)(end - begin);
    uint64_t rows = 0;

    while (row < end) {
        size_t n = 0;
        while (n < BATCH && at < size + SLACK) {
            n += list_semicolons(text, at, thread->semicolons + n);
            at += 64;
        }
        for (size_t i = 0; i < n && row < end; i++) {
            const char *semicolon = text + thread->semicolons[i], *newline;
            uint32_t length = (uint32_t)(semicolon - row);
            int16_t tenths = read_tenths(semicolon + 1, &newline);
            Line *line = length <= SHORT ? find_short(shorts, row, length) : find_long(longs, row, length);
            add(line, tenths);
            rows++;
            row = newline + 1;
        }
    }
    thread->rows += rows;
}

/* The rows that begin in a block; the one that began before it belongs to the block before. */
static void count_block(Thread *thread, uint64_t from)
{
    uint64_t first = from ? from - PAGE : 0, got = 0, until = from + BLOCK + SLACK;
    if (until > size_)
        until = size_;
    while (first + got < until) {
        ssize_t n = pread(file_, thread->text + got, until - first - got, (off_t)(first + got));
        if (n <= 0)
            die("read");
        got += (uint64_t)n;
    }
    memset(thread->text + got, 0, 4 * SLACK);
    const char *begin = thread->text + (from - first);
    if (from)
        begin = (const char *)memchr(begin - 1, '\n', BLOCK) + 1;
    count_rows(thread, begin, thread->text + (from + BLOCK < size_ ? from + BLOCK : size_) - first);
}

static void *work(void *argument)
{
    Thread *thread = argument;
    for (uint64_t from; (from = atomic_fetch_add(&next_block_, 1) * BLOCK) < size_;)
        count_block(thread, from);
    return NULL;
}

/* ---- The result ---- */

typedef struct Row {
    const char *name;
    uint32_t size;
    const Line *line;
} Row;

static int by_name(const void *a, const void *b)
{
    const Row *first = a, *second = b;
    uint32_t common = first->size < second->size ? first->size : second->size;
    int order = memcmp(first->name, second->name, common);
    return order ? order : (first->size > second->size) - (first->size < second->size);
}

static void merge(Line *into, const Line *from)
{
    into->sum += from->sum;
    into->count += from->count;
    into->min = from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
}

static void merge_all(Thread *into, const Thread *from)
{
    for (size_t i = 0; i < 1 << TABLE_BITS; i++) {
        const Line *one = &from->shorts[i], *other = &from->longs[i];
        if (one->count)
            merge(find_short(into->shorts, (const char *)one->word, (uint32_t)strnlen((const char *)one->word, SHORT)),
                  one);
        if (other->count)
            merge(find_long(into->longs, long_name(other)->bytes, long_name(other)->size), other);
    }
}

static void print_tenths(FILE *out, int64_t tenths, char behind)
{
    uint64_t size = tenths < 0 ? -(uint64_t)tenths : (uint64_t)tenths;
    fprintf(out, "%s%" PRIu64, tenths < 0 ? "-" : "", size / 10);
    if (size % 10)
        fprintf(out, ".%" PRIu64, size % 10);
    fputc(behind, out);
}

static size_t print(const Thread *all, const char *path)
{
    static Row rows[2 << TABLE_BITS];
    size_t n = 0;
    for (size_t i = 0; i < 1 << TABLE_BITS; i++) {
        const Line *one = &all->shorts[i], *other = &all->longs[i];
        if (one->count)
            rows[n++] = (Row){(const char *)one->word, (uint32_t)strnlen((const char *)one->word, SHORT), one};
        if (other->count)
            rows[n++] = (Row){long_name(other)->bytes, long_name(other)->size, other};
    }
    qsort(rows, n, sizeof *rows, by_name);
    FILE *out = path ? fopen(path, "wb") : NULL;
    if (path && !out)
        die(path);
    for (size_t i = 0; i < n && out; i++) {
        fprintf(out, "%.*s\t%" PRIu32 "\t", (int)rows[i].size, rows[i].name, rows[i].line->count);
        print_tenths(out, rows[i].line->sum, '\t');
        print_tenths(out, rows[i].line->min, '\t');
        print_tenths(out, rows[i].line->max, '\n');
    }
    if (out && fclose(out) != 0)
        die(path);
    return n;
}

int main(int argc, char **argv)
{
    static Thread threads[MOST_THREADS];
    const char *output = NULL;
    int n = 1;
    double begin_s = now_s();

    for (int option; (option = getopt(argc, argv, "t:o:")) != -1;) {
        if (option == 't')
            n = atoi(optarg);
        else if (option == 'o')
            output = optarg;
        else
            optind = argc;
    }
    if (optind + 1 != argc || n < 1 || n > MOST_THREADS) {
        fprintf(stderr, "usage: brc_yardstick [-t THREADS] [-o OUT] FILE\n");
        return 2;
    }
    struct stat info;
    file_ = open(argv[optind], O_RDONLY);
    if (file_ < 0 || fstat(file_, &info) != 0)
        die(argv[optind]);
    size_ = (uint64_t)info.st_size;
    for (int i = 0; i < n; i++) {
        threads[i].shorts = map(sizeof(Line) << TABLE_BITS);
        threads[i].longs = map(sizeof(Line) << TABLE_BITS);
        threads[i].text = map(PAGE + BLOCK + 8 * SLACK);
        if (i > 0 && pthread_create(&threads[i].id, NULL, work, &threads[i]) != 0)
            die("thread");
    }
    work(&threads[0]);
    uint64_t rows = threads[0].rows;
    for (int i = 1; i < n; i++) {
        pthread_join(threads[i].id, NULL);
        merge_all(&threads[0], &threads[i]);
        rows += threads[i].rows;
    }
    size_t stations = print(&threads[0], output);
    printf("%" PRIu64 " rows, %zu stations, %.3f s\n", rows, stations, now_s() - begin_s);
    return 0;
}
