/* Text made from a seed, and the count of its words by a way of its own: sort them all. */
#ifndef WORDS_H
#define WORDS_H

#include "check.h"

/* Rows as a result should have them. Keys point into the text they were counted in. */
typedef struct word_row {
    const char *data;
    size_t size;
    int64_t value;
} word_row;

typedef struct word_rows {
    word_row *rows;
    size_t n;
    uint64_t words; /* in all */
} word_rows;

/* Marsaglia's xorshift64. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One word, by its number: mostly short, some of exactly 8, 15, 16 or 17 bytes, some long, some not ASCII. Returns its
 * size. */
static inline size_t make_word(char word[128], uint64_t number)
{
    static const int widths[] = {1, 3, 1, 8, 2, 15, 1, 16, 4, 17, 1, 60, 5, 100};
    int width = widths[number % (sizeof widths / sizeof widths[0])];
    int size = snprintf(word, 128, "%0*" PRIu64, width, number);

    if (number % 5 == 0)
        word[0] = '\\';
    if (number % 7 == 0)
        word[size - 1] = (char)0xc3;
    return (size_t)size;
}

/* About size bytes of words out of distinct many, the first of them far more often; the caller frees it. */
static inline char *make_text(size_t size, uint64_t distinct, uint64_t seed, size_t *length)
{
    static const char gaps[] = " \n \t \r\n\v\f  \n\n";
    uint64_t state = seed * 2654435761u + 88172645463325252u;
    char *text = malloc(size + 256);

    CHECK(text);
    *length = 0;
    while (*length < size) {
        uint64_t number = next_random(&state) % distinct;

        if (next_random(&state) % 3)
            number = number * (next_random(&state) % distinct) / distinct / 4;
        *length += make_word(text + *length, number);
        for (uint64_t n = next_random(&state) % 16 ? 1 : 3; n > 0; n--)
            text[(*length)++] = gaps[next_random(&state) % (sizeof gaps - 1)];
    }
    return text;
}

static inline int compare_keys(const word_row *a, const word_row *b)
{
    int order = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);

    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static inline int by_key(const void *a, const void *b)
{
    return compare_keys(a, b);
}

static inline int by_value_desc(const void *a, const void *b)
{
    const word_row *one = a, *other = b;
    int order = (one->value < other->value) - (one->value > other->value);

    return order ? order : compare_keys(one, other);
}

static inline bool is_gap(char byte)
{
    return strchr(" \t\n\v\f\r", byte) != NULL && byte != '\0';
}

/* The words of a text and how often each is there, by key. */
static inline word_rows count_words(const char *text, size_t size)
{
    word_rows counted = {calloc(size / 2 + 2, sizeof(word_row)), 0, 0};
    size_t n = 0;

    CHECK(counted.rows);
    for (size_t at = 0; at < size;) {
        size_t end = at;

        while (end < size && !is_gap(text[end]))
            end++;
        if (end > at)
            counted.rows[n++] = (word_row){text + at, end - at, 1};
        at = end + 1;
    }
    counted.words = n;
    qsort(counted.rows, n, sizeof *counted.rows, by_key);
    for (size_t i = 0; i < n; i++) {
        if (counted.n > 0 && compare_keys(&counted.rows[counted.n - 1], &counted.rows[i]) == 0)
            counted.rows[counted.n - 1].value += counted.rows[i].value;
        else
            counted.rows[counted.n++] = counted.rows[i];
    }
    return counted;
}

/* A copy in another order. */
static inline word_rows sorted_rows(const word_rows *rows, int (*compare)(const void *, const void *))
{
    word_rows sorted = {calloc(rows->n + 1, sizeof(word_row)), rows->n, rows->words};

    CHECK(sorted.rows);
    memcpy(sorted.rows, rows->rows, rows->n * sizeof *rows->rows);
    qsort(sorted.rows, sorted.n, sizeof *sorted.rows, compare);
    return sorted;
}

static inline char *put_escaped(char *to, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const char *escaped = bytes[i] == '\t' ? "\\t" : bytes[i] == '\n' ? "\\n" : bytes[i] == '\\' ? "\\\\" : NULL;

        if (escaped) {
            *to++ = escaped[0];
            *to++ = escaped[1];
        } else {
            *to++ = bytes[i];
        }
    }
    return to;
}

/* The first n rows as a file has them; the caller frees it. */
static inline char *text_of_rows(const word_row *rows, size_t n, size_t *size)
{
    size_t room = 1;

    for (size_t i = 0; i < n; i++)
        room += 2 * rows[i].size + 24;
    char *text = malloc(room), *at = text;
    CHECK(text);
    for (size_t i = 0; i < n; i++) {
        at = put_escaped(at, rows[i].data, rows[i].size);
        at += sprintf(at, "\t%" PRId64 "\n", rows[i].value);
    }
    *size = (size_t)(at - text);
    return text;
}

/* The rows that this rank keeps, which live as long as the future; the caller frees .rows. */
static inline word_rows kept_rows(const tq_future *future)
{
    word_rows kept = {NULL, (size_t)tq_job_rows(future), 0};
    tq_row row;

    kept.rows = calloc(kept.n + 1, sizeof *kept.rows);
    CHECK(kept.rows);
    for (size_t i = 0; i < kept.n; i++) {
        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        kept.rows[i] = (word_row){row.key.data, row.key.size, row.i64};
    }
    CHECK_STATUS(tq_job_row(future, kept.n, &row), TQ_E_USAGE);
    return kept;
}

static inline void check_rows(const word_rows *got, const word_row *expected, size_t n, const char *what)
{
    CHECK_THAT(got->n == n, "%s: %zu rows, not %zu", what, got->n, n);
    for (size_t i = 0; i < n; i++) {
        const word_row *one = &got->rows[i], *other = &expected[i];

        CHECK_THAT(compare_keys(one, other) == 0 && one->value == other->value,
                   "%s: row %zu is '%.*s' %" PRId64 ", not '%.*s' %" PRId64, what, i, (int)one->size, one->data,
                   one->value, (int)other->size, other->data, other->value);
    }
}

/* Whether two texts are equal, and where they first differ. */
static inline void check_text(const char *got, size_t got_size, const char *expected, size_t size, const char *what)
{
    size_t at = 0;

    while (at < got_size && at < size && got[at] == expected[at])
        at++;
    CHECK_THAT(at == got_size && at == size, "%s: %zu bytes, not %zu, and the first that differs is byte %zu", what,
               got_size, size, at);
}

#endif
