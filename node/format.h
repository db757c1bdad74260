/* Rows as text: tab-separated lines or JSON lines. The columns of a summary are count, sum, min, mean, max and stddev.
 * Called by workers, each with a buffer of its own. */
#ifndef TQI_FORMAT_H
#define TQI_FORMAT_H

#include "node/rows.h"
#include "node/sorting.h"

typedef struct tqi_format {
    tq_format format;
    bool raw;               /* TQ_TEXT: no escapes */
    tq_row_text columns;
    const char *key_name;   /* TQ_JSON */
    const char *value_name; /* TQ_JSON */
} tqi_format;

/* Bytes that grow. data is malloc'ed, and counted in budget. */
typedef struct tqi_text {
    tqi_budget *budget;
    char *data;
    size_t size, capacity;
} tqi_text;

void tqi_text_free(tqi_text *text);

/* Append bytes; a number in decimal; a string of JSON with its quotes. TQ_E_MEMORY: nothing is appended. */
tq_status tqi_text_put(tqi_text *text, tq_slice bytes);
tq_status tqi_text_put_number(tqi_text *text, int64_t number);
tq_status tqi_text_put_json(tqi_text *text, tq_slice string);

/* Append n rows. TQ_E_MEMORY. */
tq_status tqi_format_rows(const tqi_format *format, const tqi_value_shape *shape, const tqi_entry *entries, size_t n,
                          tqi_text *text);

/* The same of all that was sorted. */
tq_status tqi_format_sorted(const tqi_format *format, const tqi_sorting *sorting, tqi_text *text);

#endif
