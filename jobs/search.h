/* Searching for lines: regular expressions (PCRE2) or fixed strings, in a buffer of whole lines at a time. A line is matched
 * as if it stood alone, without its newline.
 *
 * A search is constant once it is made, and shared by all threads; each thread has a state of its own. */
#ifndef JOBS_SEARCH_H
#define JOBS_SEARCH_H

#include <stdbool.h>
#include <tequio/types.h>

typedef struct search_options {
    const char *const *patterns; /* a newline in one separates two; a line matches if one of them does */
    size_t n_patterns;
    bool fixed; /* strings, not regular expressions */
    bool ignore_case;
    bool words, lines; /* a match is a whole word, or a whole line */
    bool bytes;        /* characters are bytes; otherwise UTF-8, and what is none of it matches nothing but itself */
} search_options;

typedef struct search search;
typedef struct search_state search_state;

/* NULL: why (size bytes) says in one line what is wrong with a pattern, and where in it; or that there is no memory. */
search *search_new(const search_options *options, char *why, size_t size);
void search_free(search *made);

/* NULL: no memory. */
search_state *search_state_new(const search *searched);
void search_state_free(search_state *state);

typedef enum search_result { SEARCH_FOUND, SEARCH_NONE, SEARCH_FAILED } search_result;

/* The first line of text that matches; text begins where a line does. *line: without its newline. SEARCH_FAILED: the line
 * takes too much memory or time to match, search_why says which. */
search_result search_line(const search *searched, search_state *state, tq_slice text, tq_slice *line);

/* The first match in a line at or behind byte *from of it. *from moves to where the next may be. Empty ones are passed
 * over. */
search_result search_in_line(const search *searched, search_state *state, tq_slice line, size_t *from, tq_slice *match);

/* Why the newest call with this state failed. */
const char *search_why(const search_state *state);

#endif
