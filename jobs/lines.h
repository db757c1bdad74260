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

/* A line to be sorted: 24 bytes. */
typedef struct lines_pair {
    uint64_t prefix; /* of the key */
    const char *line;
    uint32_t key, size;
} lines_pair;

enum { LINES_LONGEST = 1 << 30 };

/* The lines of text, by key and then by the rest, in one block of memory for the caller to free. *n = how many. NULL: no
 * memory, or a line is longer than LINES_LONGEST. text must live as long as they. */
lines_pair *lines_sorted(tq_slice text, size_t *n);

/* How many lines text holds. */
size_t lines_count(tq_slice text);

#endif
