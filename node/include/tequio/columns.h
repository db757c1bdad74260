/* Text in columns: lines cut into fields, fields read as decimal numbers. Part of tequio/tequio.h; needs no MPI. For
 * mappers, but nothing here knows of a job: any thread may call all of it.
 *
 * A line ends with LF, or with the text; one CR at its end is no part of it. Between its columns stands a delimiter of
 * one byte. With quotes a field may also stand between quotation marks, as RFC 4180 has it: then it holds delimiters,
 * and each quotation mark in it is written twice. A quoted field cannot hold LF, since text is cut into records at
 * each LF: it must end on its line. */
#ifndef TEQUIO_COLUMNS_H
#define TEQUIO_COLUMNS_H

#include <stdbool.h>
#include <tequio/status.h>
#include <tequio/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TQ_COLUMNS_MAX 16

typedef struct tq_columns {
    char delimiter; /* neither LF nor CR, and with quotes not '"' */
    bool quotes;
    size_t n;                        /* wanted columns: 1 to TQ_COLUMNS_MAX, */
    uint32_t wanted[TQ_COLUMNS_MAX]; /* and their numbers, from 0, in any order */
} tq_columns;

/* The size of a field that is not there. */
#define TQ_NO_FIELD ((size_t)-1)

/* Cut lines off *text, at most capacity of them, and move *text behind the last. fields[c] has room for capacity
 * fields: the wanted columns number c. A quoted field comes with its quotation marks (see tq_unquote). Of a line that
 * is empty, lacks a wanted column, or breaks the rules of quotation, each field is {where the line begins,
 * TQ_NO_FIELD}: tq_next_field says more about it. The last line of *text may lack its LF. Returns the number of lines;
 * 0 when the text holds no more. */
TQ_API size_t tq_next_fields(tq_slice *text, const tq_columns *columns, tq_slice *const *fields, size_t capacity);

/* The line that begins text, without its end. */
TQ_API tq_slice tq_line_at(tq_slice text);

typedef enum tq_field {
    TQ_FIELD,          /* here it is */
    TQ_FIELD_NONE,     /* the line has no more */
    TQ_FIELD_UNCLOSED, /* a quoted field does not end on the line */
    TQ_FIELD_STRAY     /* a quotation mark in a field that is not quoted, or something behind a quoted one */
} tq_field;

/* Take the next field off a line without its end, column by column; wanted is not looked at. Start with a copy of the
 * line; line->data becomes NULL behind the last field. A line has one field more than delimiters. */
TQ_API tq_field tq_next_field(tq_slice *line, const tq_columns *columns, tq_slice *field);

/* What a quoted field holds: the field itself if it is not quoted, its inside if that has no quotation mark, and
 * otherwise the inside with single ones, written to room, which has field.size bytes. */
TQ_API tq_slice tq_unquote(tq_slice field, char *room);

/* A decimal number: digits with a sign in front, a point among or beside them, and an exponent (1e6, -2.5E-3) behind,
 * of which only one digit must be there. */
typedef enum tq_number {
    TQ_NUMBER,
    TQ_NUMBER_NONE,      /* it is no number */
    TQ_NUMBER_TOO_LARGE, /* 10^18 or more */
    TQ_NUMBER_TOO_FINE   /* more than 18 digits behind the point, or from the first to the last that is not 0 */
} tq_number;

/* Read a field as *value x 10^-*decimals, exactly, with the fewest decimals (0 to 18). *value is below 10^18 in size.
 */
TQ_API tq_number tq_read_number(tq_slice field, int64_t *value, unsigned *decimals);

/* Read n fields in units of 10^-decimals, which is much faster for short numbers. Fields must have 16 readable bytes
 * from their beginning on, as those that lie in a record of a mapper have. Returns how many were not read: their
 * numbers in ascending order in left, which has room for n. They are no numbers, or not whole in such units, or
 * written in a way that takes tq_read_number (longer than 16 bytes, an exponent, a plus); TQ_NO_FIELD is among them.
 * values[i] of these is anything. */
TQ_API size_t tq_read_numbers(const tq_slice *fields, size_t n, unsigned decimals, int64_t *values, uint32_t *left);

#ifdef __cplusplus
}
#endif
#endif
