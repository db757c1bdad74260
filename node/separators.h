/* Where the delimiters and the line ends of a text are, 64 bytes at a time, with what the CPU at hand has: one kernel
 * for each set of instructions, all with the same answers. tq_next_fields (node/fields.c) calls the best of them.
 *
 * A block's delimiters and line ends are two masks; their places are listed together, and beside that which of the
 * list are line ends. With quotes a third mask says which bytes are inside a quoted field: a quotation mark is where
 * it changes, and one written twice changes it twice. (The technique is that of simdjson's structural index: Langdale
 * and Lemire, "Parsing gigabytes of JSON per second", 2019.) A line that breaks the rules of quotation is not listed;
 * the kernel stops in front of it.
 *
 * Any thread. All tables are constant; the best kernel is looked for once and kept in an atomic pointer that nobody
 * else sees. */
#ifndef TQI_SEPARATORS_H
#define TQI_SEPARATORS_H

#include <stdbool.h>
#include <stdint.h>
#include <tequio/columns.h>

enum {
    TQI_SEPARATORS_BLOCK = 64,
    TQI_SEPARATORS_ROOM = 64 + 16 /* a kernel writes so many beyond those that are there when it begins a block */
};

/* What of a quoted field goes on from one block to the next. All zero, but for may_open, at the beginning of a line. */
typedef struct tqi_quoting {
    uint64_t inside;   /* all ones: the block begins inside a quoted field */
    uint64_t may_open; /* 1: a quotation mark at its beginning may open a field, or go on with one */
    uint64_t closed;   /* 1: the byte before it has closed one */
    uint64_t returned; /* 1: that was a CR behind such a byte */
} tqi_quoting;

/* A text whose separators are listed. One thread's. */
typedef struct tqi_separators {
    uint32_t at;      /* place of the block that comes next, from the beginning of the text */
    uint32_t *places; /* of delimiters and line ends */
    uint32_t *ends;   /* numbers in places of those that are line ends */
    size_t n, n_ends;
    size_t most, most_ends; /* no block is begun with more of either */
    tqi_quoting quoting;
    bool stopped; /* the line behind the last end breaks the rules of quotation */
} tqi_separators;

/* List blocks of 64 bytes at bytes, up to as many as there are, or until one of the lists is full, or stopped. */
typedef void tqi_list_fn(tqi_separators *list, const char *bytes, size_t blocks, const tq_columns *columns);

typedef struct tqi_lister {
    const char *name;
    tqi_list_fn *list;
    bool (*supported)(void); /* by the CPU */
} tqi_lister;

/* The one that tq_next_fields takes: the last that this CPU supports. */
const tqi_lister *tqi_lister_best(void);

/* All that were compiled, the portable one first and the best last. For tests and measurements. */
const tqi_lister *tqi_listers(size_t *n);

/* tq_next_fields with this one. */
size_t tqi_cut_fields(const tqi_lister *lister, tq_slice *text, const tq_columns *columns, tq_slice *const *fields,
                      size_t capacity);

#endif
