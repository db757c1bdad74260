/* What a regular expression says about the lines that it matches, read from its text.
 *
 * A search wants to run over a whole buffer, not over one line after the other, but a match is one in a line that stands
 * alone. So the expression is rewritten: whatever could match a newline is made not to ([^a] becomes [^a\n], \s becomes
 * [^\S\n]). Then no match, and nothing that one looks at, crosses the end of a line, and both ways find the same. An
 * expression with something that is not known here (recursion, verbs, options but (?i)) is left to the slow way.
 *
 * Beside that it says which strings one of must be in each line that matches: most lines have none of them.
 *
 * No state; any thread. */
#ifndef JOBS_PATTERN_H
#define JOBS_PATTERN_H

#include "jobs/literals.h"
#include <tequio/types.h>

typedef struct pattern_plan {
    char *text; /* rewritten, malloc'ed; NULL: no memory */
    size_t size;
    bool whole;           /* it may run over many lines at once */
    bool fold;            /* it ignores the case of letters somewhere: so must who looks for the strings */
    bool plain;           /* a line matches if and only if one of the strings is in it */
    literal_set required; /* n = 0: not known */
} pattern_plan;

/* expression: in the syntax of PCRE2, already known to be valid. fold: without regard to case. utf: its characters are
 * those of Unicode. */
void pattern_read(pattern_plan *plan, tq_slice expression, bool fold, bool utf);

#endif
