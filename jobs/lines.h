/* Lines of key TAB value: taking them out of text, putting them together, and sorting them.
 *
 * The key is a line up to its first TAB, or all of it. One thread at a time with one text. */
#ifndef JOBS_LINES_H
#define JOBS_LINES_H

#include <stdbool.h>
#include <stdint.h>
#include <tequio/types.h>

/* Bytes that grow. All zero is an empty one. */
typedef struct lines_text {
    char *data;
    size_t size, capacity;
} lines_text;

/* Make room for bytes behind size. False: no memory. */
bool lines_reserve(lines_text *text, size_t bytes);

/* The room that lines_reserve would make. */
size_t lines_capacity_for(const lines_text *text, size_t bytes);
void lines_free(lines_text *text);

/* Take the next line off *text, without its LF. last: what stands behind the last LF is a line, too, if there is any.
 * False: there is none, and *text is what is left. */
bool lines_next(tq_slice *text, bool last, tq_slice *line);

/* Cut a line into its key and the rest, which begins with the TAB or is empty. */
void lines_cut(tq_slice line, tq_slice *key, tq_slice *rest);

/* Append key TAB value LF. False: no memory. */
bool lines_append(lines_text *text, tq_slice key, tq_slice value);

/* Append line LF, or line TAB LF. False: no memory. */
bool lines_append_line(lines_text *text, tq_slice line, bool with_tab);

/* A line, and how often it is there: 32 bytes. */
typedef struct lines_pair {
    uint64_t prefix; /* of the key */
    const char *line;
    uint32_t key, size;
    uint64_t count;
} lines_pair;

enum { LINES_LONGEST = 1 << 30 };

/* The different lines of a text, in an order. All zero: none. */
typedef struct lines_sorting {
    lines_pair *pairs;
    size_t n, capacity;
    uint64_t *slots; /* where the line of a hash is, while they are collected */
    size_t n_slots;
    size_t bytes; /* of memory, that more was asked for */
} lines_sorting;

/* Whether there may be so many bytes more. */
typedef bool (*lines_more_fn)(void *user, size_t bytes);

/* The different lines of text, which must live as long as they, by key and then by the rest: equal ones are found by their hash,
 * and only different ones compared with each other. False: no memory, more said no, or a line is longer than
 * LINES_LONGEST. To be freed in any case. */
bool lines_sort(lines_sorting *sorting, tq_slice text, lines_more_fn more, void *user);
void lines_sorting_free(lines_sorting *sorting);

#endif
