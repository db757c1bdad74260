/* Keys as the tables hold them, and their hash.
 *
 * A key of up to 16 bytes lies in two words, padded with zeros, so that comparing it takes three integer comparisons
 * and no memory access. A longer one has its first 8 bytes in the first word and a pointer to all of it in the second.
 * Little-endian machines only (checked in key.c), so that the words hold the bytes in memory order.
 *
 * The hash is the same on every run and every machine: it decides the partition, the order of TQ_ORDER_NONE and the
 * account's checksum. Of up to 32 bytes it is a sum of products of the key's words with odd constants (multilinear hashing:
 * Carter and Wegman, 1979), whose upper half, the good one, is folded into the lower before a last product. That takes
 * few instructions, none of them a branch; its upper half is what is used. Of longer keys it is XXH3. */
#ifndef TQI_KEY_H
#define TQI_KEY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TQI_KEY_INLINE 16
#define TQI_KEY_MEDIUM 32
#define TQI_KEY_MAX    ((size_t)1 << 30)

/* Bytes that must be readable behind a key that is read by tqi_key_load_padded. */
#define TQI_KEY_SLACK 16

typedef struct tqi_key {
    uint64_t word[2];
    size_t size;
} tqi_key;

/* The bytes of a key's words that belong to it, by its size. */
extern const uint64_t tqi_key_masks[TQI_KEY_INLINE + 1][2];

/* XXH3 of any bytes. */
uint64_t tqi_hash_long(const void *data, size_t size);

#define TQI_HASH_0    0x9e3779b97f4a7c15U
#define TQI_HASH_1    0xd6e8feb86659fd93U
#define TQI_HASH_2    0xa0761d6478bd642fU
#define TQI_HASH_3    0xe7037ed1a0b428dbU
#define TQI_HASH_SIZE 0x8ebc6af09c88c6e3U
#define TQI_HASH_LAST 0xd1342543de82ef95U

static inline uint64_t tqi_hash_finish(uint64_t sum)
{
    return (sum ^ sum >> 32) * TQI_HASH_LAST;
}

/* Keys that differ only in zeros at the end have the same. */
static inline uint64_t tqi_hash_short(uint64_t word0, uint64_t word1)
{
    return tqi_hash_finish(word0 * TQI_HASH_0 + word1 * TQI_HASH_1);
}

/* 17 to 32 bytes: the first and the last 16 of them. These overlap in whole bytes, and where a bit stood in the same place of
 * two words its products could cancel each other: so one is turned by a number of bits that is not of whole bytes. */
static inline uint64_t tqi_hash_medium(const char *data, size_t size)
{
    uint64_t first[2], last[2];

    memcpy(first, data, sizeof first);
    memcpy(last, data + size - sizeof last, sizeof last);
    return tqi_hash_finish(first[0] * TQI_HASH_0 + first[1] * TQI_HASH_1 +
                           (last[0] >> 29 | last[0] << 35) * TQI_HASH_2 + last[1] * TQI_HASH_3 + size * TQI_HASH_SIZE);
}

static inline uint64_t tqi_hash_large(const char *data, size_t size)
{
    return size <= TQI_KEY_MEDIUM ? tqi_hash_medium(data, size) : tqi_hash_long(data, size);
}

/* Whether two keys of size bytes, more than TQI_KEY_INLINE, are the same. */
static inline int tqi_same_large(const char *a, const char *b, size_t size)
{
    uint64_t first[2][2], last[2][2];

    if (size > TQI_KEY_MEDIUM)
        return memcmp(a, b, size) == 0;
    memcpy(first[0], a, 16);
    memcpy(first[1], b, 16);
    memcpy(last[0], a + size - 16, 16);
    memcpy(last[1], b + size - 16, 16);
    return ((first[0][0] ^ first[1][0]) | (first[0][1] ^ first[1][1]) | (last[0][0] ^ last[1][0]) |
            (last[0][1] ^ last[1][1])) == 0;
}

/* A short key from memory of which nothing behind the key may be read. */
static inline tqi_key tqi_key_load_short(const char *data, size_t size)
{
    tqi_key key = {{0, 0}, size};

    if (size) /* data may be anything otherwise */
        memcpy(key.word, data, size);
    return key;
}

/* A short key from memory with TQI_KEY_SLACK readable bytes behind it: two loads and two masks, no branch. size <= 16. */
static inline tqi_key tqi_key_load_padded(const char *data, size_t size)
{
    tqi_key key;

    memcpy(key.word, data, 16);
    key.word[0] &= tqi_key_masks[size][0];
    key.word[1] &= tqi_key_masks[size][1];
    key.size = size;
    return key;
}

/* A long key that stays where it is. */
static inline tqi_key tqi_key_borrow_long(const char *data, size_t size)
{
    tqi_key key = {{0, (uint64_t)(uintptr_t)data}, size};

    memcpy(&key.word[0], data, 8);
    return key;
}

/* The hash of a loaded key. */
static inline uint64_t tqi_key_hash(const tqi_key *key)
{
    if (key->size <= TQI_KEY_INLINE)
        return tqi_hash_short(key->word[0], key->word[1]);
    return tqi_hash_large((const char *)(uintptr_t)key->word[1], key->size);
}

static inline uint64_t tqi_hash(const char *data, size_t size)
{
    if (size > TQI_KEY_INLINE)
        return tqi_hash_large(data, size);
    tqi_key key = tqi_key_load_short(data, size);
    return tqi_hash_short(key.word[0], key.word[1]);
}

/* The partition of a hash among n: its high bits, so that partitions are ranges of hashes, in ascending order. hash32
 * is the upper half of the hash. */
static inline uint32_t tqi_partition_of(uint32_t hash32, uint32_t n)
{
    return (uint32_t)(((uint64_t)hash32 * n) >> 32);
}

#endif
