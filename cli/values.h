/* From the text of an option's value to the value itself, by the option's row. Any thread; no state. */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include "jobs/option.h"
#include <stdbool.h>

/* Parse text and store it in base + row->offset. spelled is how the user wrote the option ("-t", "TEQUIO_THREADS"), for
 * the message: on failure, false is returned, nothing is stored, and why (size bytes) says what is wrong. A flag takes
 * 1, yes, true, 0, no, false. A string, or an item of a list, is not copied: text must live as long as base. */
bool cli_value_store(const option_row *row, void *base, const char *text, const char *spelled, char *why, size_t size);

/* The inverse, for a command line that parses to the same value. Returns text (size bytes). */
const char *cli_value_text(const option_row *row, const void *base, char *text, size_t size);

/* Where the value of row is kept. */
void *cli_value_at(const option_row *row, void *base);

#endif
