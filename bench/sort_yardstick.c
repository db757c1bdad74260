/* What a hand-written sort of TeraSort records takes: the yardstick for `tequio sort --record-bytes 100 --key 1-10`.
 *
 *     sort_yardstick THREADS INPUT OUTPUT [check]
 *
 * 100-byte records with keys of 10 bytes; records with the same key stay in their order. Records do not move: entries of 16 bytes
 * (the first 8 bytes of a key, and the record's number) are scattered by their first 16 bits, each bucket is sorted while it
 * is in the cache, and the records are gathered once, into a buffer that is written when it is full. check reads OUTPUT
 * back, and compares each key with the one before it, and the sums of all bytes of both files. Everything fits in memory.
 * It prints the seconds, without those for the check. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RECORD = 100, KEY = 10, BUCKETS = 1 << 16, MOST_THREADS = 64, AHEAD = 16, FEW = 64 };
enum { BUFFER_RECORDS = (4 << 20) / RECORD, READ_BYTES = 1 << 20 };

typedef struct entry {
    uint64_t prefix, number;
} entry;

static char *records;
static entry *entries, *sorted;
static size_t n;
static int n_threads, in, out;
static pthread_barrier_t barrier;
static uint32_t (*counts)[BUCKETS]; /* of each thread; then where its entries of a bucket go */
static size_t begins[BUCKETS + 1];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void *memory(size_t bytes)
{
    void *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (made == MAP_FAILED)
        die("mmap");
    madvise(made, bytes, MADV_HUGEPAGE);
    return made;
}

static uint64_t prefix_of(size_t record)
{
    uint64_t word;

    memcpy(&word, records + record * RECORD, sizeof word);
    return __builtin_bswap64(word);
}

/* This thread's part of all records, read from a multiple of the page size. */
static void read_part(size_t first, size_t last)
{
    size_t at = first * RECORD & ~(size_t)4095, end = last * RECORD;

    end = last == n ? end : end & ~(size_t)4095;
    while (at < end) {
        ssize_t got = pread(in, records + at, end - at < READ_BYTES ? end - at : READ_BYTES, (off_t)at);

        if (got <= 0)
            die("pread");
        at += (size_t)got;
    }
}

static bool is_before(const entry *a, const entry *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    int order = memcmp(records + a->number * RECORD + 8, records + b->number * RECORD + 8, KEY - 8);
    return order ? order < 0 : a->number < b->number;
}

static int compare(const void *a, const void *b)
{
    return is_before(a, b) ? -1 : 1;
}

static void sort_bucket(entry *bucket, size_t size)
{
    if (size > FEW) {
        qsort(bucket, size, sizeof *bucket, compare);
        return;
    }
    for (size_t i = 1; i < size; i++) {
        entry held = bucket[i];
        size_t at = i;

        for (; at > 0 && is_before(&held, &bucket[at - 1]); at--)
            bucket[at] = bucket[at - 1];
        bucket[at] = held;
    }
}

static void lay_out(void)
{
    size_t at = 0;

    for (size_t b = 0; b < BUCKETS; b++) {
        begins[b] = at;
        for (int t = 0; t < n_threads; t++) {
            uint32_t count = counts[t][b];

            counts[t][b] = (uint32_t)at;
            at += count;
        }
    }
    begins[BUCKETS] = at;
}

static void write_all(const char *bytes, size_t size, size_t at)
{
    while (size > 0) {
        ssize_t done = pwrite(out, bytes, size, (off_t)at);

        if (done <= 0)
            die("pwrite");
        bytes += done, at += (size_t)done, size -= (size_t)done;
    }
}

static void gather(char *buffer, size_t first, size_t last)
{
    for (size_t i = first, some; i < last; i += some) {
        some = last - i < BUFFER_RECORDS ? last - i : BUFFER_RECORDS;
        for (size_t k = 0; k < some; k++) {
            if (i + k + AHEAD < last) {
                const char *next = records + sorted[i + k + AHEAD].number * RECORD;

                __builtin_prefetch(next);
                __builtin_prefetch(next + 64);
            }
            memcpy(buffer + k * RECORD, records + sorted[i + k].number * RECORD, RECORD);
        }
        write_all(buffer, some * RECORD, i * RECORD);
    }
}

/* The bucket in which the t-th part of the entries begins. */
static size_t bucket_of_part(size_t t)
{
    size_t bucket = 0;

    while (bucket < BUCKETS && begins[bucket] < n * t / (size_t)n_threads)
        bucket++;
    return bucket;
}

static void *work(void *argument)
{
    size_t t = (size_t)(uintptr_t)argument, first = n * t / (size_t)n_threads;
    size_t last = n * (t + 1) / (size_t)n_threads;
    uint32_t *count = counts[t];

    read_part(first, last);
    pthread_barrier_wait(&barrier);
    for (size_t i = first; i < last; i++) {
        entries[i] = (entry){prefix_of(i), i};
        count[entries[i].prefix >> 48]++;
    }
    pthread_barrier_wait(&barrier);
    if (t == 0)
        lay_out();
    pthread_barrier_wait(&barrier);
    for (size_t i = first; i < last; i++)
        sorted[count[entries[i].prefix >> 48]++] = entries[i];
    pthread_barrier_wait(&barrier);
    size_t from = bucket_of_part(t), to = bucket_of_part(t + 1);
    for (size_t b = from; b < to; b++)
        sort_bucket(sorted + begins[b], begins[b + 1] - begins[b]);
    gather(memory((size_t)BUFFER_RECORDS * RECORD), begins[from], begins[to]);
    return NULL;
}

static void check(void)
{
    char *written = memory(n * RECORD + 1);
    uint64_t sum = 0;

    for (size_t at = 0; at < n * RECORD;) {
        ssize_t got = pread(out, written + at, n * RECORD - at, (off_t)at);

        if (got <= 0)
            die("pread");
        at += (size_t)got;
    }
    for (size_t i = 1; i < n; i++)
        if (memcmp(written + (i - 1) * RECORD, written + i * RECORD, KEY) > 0) {
            fprintf(stderr, "record %zu is less than the one before it\n", i);
            exit(1);
        }
    for (size_t i = 0; i < n * RECORD; i++)
        sum += (uint64_t)(unsigned char)written[i] - (uint64_t)(unsigned char)records[i];
    if (sum != 0) {
        fprintf(stderr, "the output has other bytes than the input\n");
        exit(1);
    }
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    pthread_t threads[MOST_THREADS];
    struct stat info;
    double begin_s = now_s();

    n_threads = argc > 3 ? atoi(argv[1]) : 0;
    if (n_threads < 1 || n_threads > MOST_THREADS)
        return fprintf(stderr, "usage: sort_yardstick THREADS INPUT OUTPUT [check]\n"), 2;
    in = open(argv[2], O_RDONLY);
    out = open(argv[3], O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (in < 0 || out < 0 || fstat(in, &info))
        die("open");
    n = (size_t)info.st_size / RECORD;
    records = memory(n * RECORD + 1);
    entries = memory(n * sizeof *entries + 1);
    sorted = memory(n * sizeof *sorted + 1);
    counts = memory((size_t)n_threads * sizeof *counts);
    pthread_barrier_init(&barrier, NULL, (unsigned)n_threads);
    for (int t = 0; t < n_threads; t++)
        if (pthread_create(&threads[t], NULL, work, (void *)(uintptr_t)t))
            die("pthread_create");
    for (int t = 0; t < n_threads; t++)
        pthread_join(threads[t], NULL);
    printf("%.3f\n", now_s() - begin_s);
    if (argc > 4)
        check();
    return 0;
}
