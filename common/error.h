/* Error records: filling them, and where they are kept until somebody asks.
 *
 * The first function that sees an error describes it with tqi_fail or tqi_fail_at; callers pass the status on and add
 * only what the callee cannot know (the rank, the phase). An error record belongs to whoever declared it: one thread at
 * a time. */
#ifndef TQI_ERROR_H
#define TQI_ERROR_H

#include <errno.h>
#include <tequio/status.h>

/* Fill error (NULL is allowed) and return status. Fields that are not named keep "not known". */
tq_status tqi_fail(tq_error *error, tq_status status, const char *format, ...) TQ_PRINTF(3, 4);

/* The same, at a byte of a file. file may be NULL. */
tq_status tqi_fail_at(tq_error *error, tq_status status, const char *file, uint64_t offset, const char *format, ...)
    TQ_PRINTF(5, 6);

/* The same for a file as a whole. */
tq_status tqi_fail_file(tq_error *error, tq_status status, const char *file, const char *format, ...) TQ_PRINTF(4, 5);

/* "out of memory (1234 bytes for what)". */
tq_status tqi_fail_memory(tq_error *error, uint64_t bytes, const char *what);

/* An error that says nothing yet. */
void tqi_error_clear(tq_error *error);

#endif
