/* The small types that every layer shares. */
#ifndef TEQUIO_TYPES_H
#define TEQUIO_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that somebody else owns. data may be anything when size is 0. */
typedef struct tq_slice {
    const char *data;
    size_t size;
} tq_slice;

/* What a value is. */
typedef enum tq_value_type {
    TQ_I64,   /* a 64-bit integer; sums wrap around modulo 2^64 */
    TQ_FIXED, /* value_bytes bytes, 1 to 64 KiB */
    TQ_BYTES  /* any number of bytes up to 1 GiB; cannot be combined */
} tq_value_type;

/* What one stage of the run counted: records, the sum of their weights, and an order-independent checksum. */
typedef struct tq_account {
    uint64_t records;
    uint64_t weight; /* TQ_SUM: the sum of the values modulo 2^64; TQ_STATS: of the counts; otherwise the records */
    uint64_t check;  /* TQ_SUM: sum of hash(key) x value modulo 2^64; TQ_STATS: of hash(key) x a linear digest of
                      * count, sum and squares; otherwise of hash(key, value) */
} tq_account;

#ifdef __cplusplus
}
#endif
#endif
