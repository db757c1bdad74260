/* What the unit tests share: a random generator with a fixed seed, a folder that is removed again, and a short way to a
 * tqi_spec. Included behind cmocka.h, since it asserts. */
#ifndef TEST_HELPERS_H
#define TEST_HELPERS_H

#include "node/spec.h"
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* xorshift64* (Vigna, 2016). */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dU;
}

/* 0 .. n - 1. */
static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
    return (random_next(state) >> 11) % n;
}

/* size bytes out of the alphabet's n. */
static inline void random_text(uint64_t *state, const char *alphabet, size_t n, char *to, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = alphabet[random_below(state, n)];
}

/* size bytes, a multiple of 64 KiB, between two pages that nobody may touch. */
static inline char *fenced_new(size_t size)
{
    const size_t fence = 1 << 16; /* a page, however large */
    char *base = mmap(NULL, size + 2 * fence, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(base != MAP_FAILED);
    assert_int_equal(mprotect(base + fence, size, PROT_READ | PROT_WRITE), 0);
    return base + fence;
}

static inline tq_slice slice_of(const char *text)
{
    return (tq_slice){text, strlen(text)};
}

static inline int slice_equal(tq_slice a, tq_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* A new folder, to be given to folder_remove. */
static inline char *folder_new(void)
{
    const char *base = getenv("TMPDIR");
    char *path = NULL;

    assert_true(asprintf(&path, "%s/tequio-unit-XXXXXX", base && base[0] ? base : "/tmp") > 0);
    assert_non_null(mkdtemp(path));
    return path;
}

static inline int folder_remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline void folder_remove(char *folder)
{
    assert_int_equal(nftw(folder, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(folder);
}

/* folder/name; the caller frees it. */
static inline char *path_in(const char *folder, const char *name)
{
    char *path = NULL;

    assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
    return path;
}

static inline void file_write(const char *path, const char *data, size_t size)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    if (size)
        assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* One rank with all partitions. */
static inline tqi_spec spec_of(tq_combine combine, int type, size_t value_bytes, uint32_t partitions,
                               tqi_budget *budget)
{
    tqi_value_shape shape = {type, value_bytes};

    return (tqi_spec){.records = TQ_LINES,
                      .shape = shape,
                      .combine = combine,
                      .result_shape = shape,
                      .order = TQ_ORDER_KEY,
                      .partitions = partitions,
                      .own_partitions = partitions,
                      .budget = budget};
}

#endif
