/* Reading decimal numbers, many at a time, with what the CPU at hand has: one kernel for each set of instructions, all
 * with the same answers. tq_read_numbers calls the best of them.
 *
 * A kernel takes numbers of up to eight bytes, each in a 64-bit lane: they are moved to the lane's end, the digits in
 * front of the point move up by one byte over it, and three multiplications make eight digits one number. Nothing
 * branches on what a number looks like; what is none is only marked. Numbers of up to 16 bytes are read in the same
 * way, one at a time.
 *
 * Any thread. All tables are constant; the best kernel is looked for once and kept in an atomic pointer that nobody
 * else sees. */
#ifndef TQI_NUMBERS_H
#define TQI_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>
#include <tequio/columns.h>

enum {
    TQI_NUMBERS_LANES = 8,   /* of a group */
    TQI_NUMBERS_DECIMALS = 9 /* and no more decimals: factors and digits fit 32 bits */
};

/* Read groups of eight numbers. words are their first eight bytes each, sizes their sizes (0, and more than 8: not one
 * that it takes); factors[f] is 10^(decimals - f), or 0 where that is no integer. Bit i of left[g] says whether number
 * i of group g was not read. */
typedef void tqi_read_fn(const uint64_t *words, const uint64_t *sizes, size_t groups,
                         const uint32_t factors[TQI_NUMBERS_LANES], int64_t *values, uint8_t *left);

typedef struct tqi_number_reader {
    const char *name;
    tqi_read_fn *read;
    bool (*supported)(void); /* by the CPU */
} tqi_number_reader;

/* The one that tq_read_numbers takes: the last that this CPU supports. */
const tqi_number_reader *tqi_number_reader_best(void);

/* All that were compiled, the portable one first and the best last. For tests and measurements. */
const tqi_number_reader *tqi_number_readers(size_t *n);

/* tq_read_numbers with this one. */
size_t tqi_read_numbers(const tqi_number_reader *reader, const tq_slice *fields, size_t n, unsigned decimals,
                        int64_t *values, uint32_t *left);

#endif
