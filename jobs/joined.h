/* Writing the rows of a join: they come in the order of their keys, lines of RIGHT before those of LEFT, and each of the latter
 * becomes as many lines as there are of the former. A row's value is the byte of its side and what stands in the columns
 * beside the key, each with a delimiter in front.
 *
 * One thread at a time. */
#ifndef JOBS_JOINED_H
#define JOBS_JOINED_H

#include "jobs/lines.h"
#include <tequio/tequio.h>

/* The first byte of a value. A row of widths says how many columns RIGHT has at least, as a uint64_t; it has the empty key,
 * which no line has, and so comes before all others. */
enum { JOINED_RIGHT = 'r', JOINED_LEFT = 'l', JOINED_WIDTH = 'w' };

typedef struct joined {
    /* Set by the caller, the rest zero. */
    char delimiter;
    bool quotes;
    bool objects;    /* the value is the whole line, an object, and rows are JSON whatever is asked for */
    bool keeps_left; /* lines of LEFT that there are none of RIGHT for */

    lines_text key;    /* of the row before, */
    lines_text rights; /* and its lines of RIGHT: the size of one and its bytes, with a newline behind, and so on */
    lines_text line;   /* being made */
    uint64_t width;       /* columns of RIGHT without the key */
} joined;

/* Append bytes where lines_reserve has made room. */
void joined_append(lines_text *buffer, const char *bytes, size_t size);

/* A tq_write_fn, to be called in order. */
int joined_write(joined *j, const tq_row *row, tq_text *text, bool json);

void joined_free(joined *j);

#endif
