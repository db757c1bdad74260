/* Words as people see them, and folding of case. Text is UTF-8; a byte that is none of it is no part of any word of letters.
 *
 * One thread at a time with one cutter. */
#ifndef JOBS_WORDS_H
#define JOBS_WORDS_H

#include <stdbool.h>
#include <stdint.h>
#include <tequio/types.h>

typedef enum words_kind {
    WORDS_SPACE,  /* longest runs of bytes other than the six ASCII white-space bytes */
    WORDS_ALPHA,  /* longest runs of letters, with the marks that follow them (Unicode categories L and M) */
    WORDS_UNICODE /* what stands between word boundaries (Unicode Standard Annex 29) and has a letter or a number */
} words_kind;

typedef struct words_cutter {
    tq_slice text; /* what is left */
    tq_slice run;  /* unicode: of the newest run without ASCII white space, what is left */
    char *breaks;  /* unicode: for each byte of run, whether a boundary is in front of it */
    size_t at;     /* of run.data in breaks */
    size_t capacity;
    bool failed; /* no memory */
} words_cutter;

/* Cut text, which stays where it is. */
void words_begin(words_cutter *cutter, tq_slice text);
void words_end(words_cutter *cutter);

/* The next word of letters or by word boundaries; false when there is none, or no memory (failed). */
bool words_next_alpha(words_cutter *cutter, tq_slice *word);
bool words_next_unicode(words_cutter *cutter, tq_slice *word);

/* Fold the case of a word (Unicode's full folding; of what is not UTF-8 the ASCII letters alone) into memory of capacity
 * bytes. Returns the folded word: there, or in memory that the caller frees (*owned); data NULL: no memory. */
tq_slice words_fold(tq_slice word, char *memory, size_t capacity, char **owned);

#endif
