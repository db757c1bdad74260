/* Finding any of a few strings in a text: 64 or 32 places at a time (AVX-512, AVX2), where the machine can. Each string has a window of up
 * to three bytes, its rarest; tables of the lower and the upper half of a byte say which strings have such a byte at each
 * place of the window. (The idea is that of Teddy, by Geoffrey Langdale, in Hyperscan.)
 *
 * Constant once prepared; any thread may search. */
#ifndef JOBS_LITERALS_H
#define JOBS_LITERALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LITERALS_MOST = 16, LITERAL_BYTES = 24, LITERALS_WINDOW = 3 };

/* Strings without a newline. n = 0: nothing is known. */
typedef struct literal_set {
    int n;
    struct {
        uint8_t size;
        char bytes[LITERAL_BYTES];
    } strings[LITERALS_MOST];
} literal_set;

typedef struct literals {
    literal_set set;
    bool fold;                                                      /* ASCII letters of either case are the same */
    int places;                                                     /* of the text that are looked at at a time */
    uint8_t place[LITERALS_MOST];                                   /* of the window in each string */
    uint8_t lower[LITERALS_WINDOW][16], upper[LITERALS_WINDOW][16]; /* a bit for every eighth string */
    uint8_t either[LITERALS_WINDOW][256];
} literals;

/* About how many places of a text an average search stops at: what makes one set better than another. */
double literals_cost(const literal_set *set);

/* Prepare to find the strings of set, none of which is empty. */
void literals_prepare(literals *found, const literal_set *set, bool fold);

/* A byte of the first string in [from, end), by the places of their windows, or NULL. Where a line begins at from, no string
 * is in a line before. */
const char *literals_find(const literals *searched, const char *from, const char *end);

#endif
