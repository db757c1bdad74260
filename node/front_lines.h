/* How a key takes a place in a line of the front, and who gives way. For node/front.c and node/front_batch.c. */
#ifndef TQI_FRONT_LINES_H
#define TQI_FRONT_LINES_H

#include "node/front.h"

#define TQI_ALWAYS_INLINE static inline __attribute__((always_inline))

enum { TQI_FRONT_OTHER_PLACE = 64 };

static inline unsigned tqi_front_size_of_word(uint64_t word)
{
    return 8 - (unsigned)__builtin_clzll(word | 1) / 8;
}

static inline tqi_evicted tqi_front_evict8(const tqi_line8 *line, unsigned way)
{
    uint64_t word = line->word[way];

    return (tqi_evicted){{{word, 0}, word ? tqi_front_size_of_word(word) : 0}, line->value[way]};
}

static inline tqi_evicted tqi_front_evict16(const tqi_line16 *line, unsigned way)
{
    uint64_t word1 = line->word1[way];

    return (tqi_evicted){{{line->word0[way], word1}, word1 ? 8 + tqi_front_size_of_word(word1) : 0}, line->value[way]};
}

TQI_ALWAYS_INLINE tqi_evicted32 tqi_front_evict32(const tqi_line32 *line, unsigned way)
{
    tqi_evicted32 evicted = {
        {line->word[0][way], line->word[1][way], line->word[2][way], line->word[3][way]}, line->value[way], 0};

    if (evicted.word[2] | evicted.word[3])
        evicted.size = evicted.word[3] ? 24 + tqi_front_size_of_word(evicted.word[3]) : 16 + tqi_front_size_of_word(evicted.word[2]);
    return evicted;
}

/* The place of the least sum; now and then, another. Which it is cannot be predicted, so there is no branch on it. */
TQI_ALWAYS_INLINE unsigned tqi_front_weakest(tqi_front *front, const uint64_t *values)
{
    unsigned first = (int64_t)values[1] < (int64_t)values[0], second = 2U | ((int64_t)values[3] < (int64_t)values[2]);
    unsigned smaller = (int64_t)values[second] < (int64_t)values[first];
    unsigned way = first ^ ((first ^ second) & -smaller);

    if (__builtin_expect(++front->entered % TQI_FRONT_OTHER_PLACE == 0, 0))
        way = front->entered / TQI_FRONT_OTHER_PLACE % TQI_FRONT_WAYS;
    return way;
}

TQI_ALWAYS_INLINE bool tqi_front_enter8(tqi_front *front, const tqi_key8 *key, uint64_t value, tqi_evicted *evicted)
{
    tqi_line8 *line = &front->lines8[key->hash >> front->shift8];

    unsigned here = 0;

    for (unsigned w = 0; w < TQI_FRONT_WAYS; w++)
        here |= (unsigned)(line->word[w] == key->word) << w;
    if (__builtin_expect(here != 0, 0)) {
        line->value[__builtin_ctz(here)] += value;
        return true;
    }
    unsigned way = tqi_front_weakest(front, line->value);
    *evicted = tqi_front_evict8(line, way);
    line->word[way] = key->word;
    line->value[way] = value;
    return false;
}

TQI_ALWAYS_INLINE bool tqi_front_enter16(tqi_front *front, const tqi_key16 *key, uint64_t value, tqi_evicted *evicted)
{
    tqi_line16 *line = &front->lines16[key->hash >> front->shift16];

    unsigned here = 0;

    for (unsigned w = 0; w < TQI_FRONT_WAYS; w++)
        here |= (unsigned)(((line->word0[w] ^ key->word0) | (line->word1[w] ^ key->word1)) == 0) << w;
    if (__builtin_expect(here != 0, 0)) {
        line->value[__builtin_ctz(here)] += value;
        return true;
    }
    unsigned way = tqi_front_weakest(front, line->value);
    *evicted = tqi_front_evict16(line, way);
    line->word0[way] = key->word0;
    line->word1[way] = key->word1;
    line->value[way] = value;
    return false;
}

TQI_ALWAYS_INLINE bool tqi_front_enter32(tqi_front *front, const tqi_key32 *key, uint64_t value, tqi_evicted32 *evicted)
{
    tqi_line32 *line = &front->lines32[key->hash >> front->shift32];
    unsigned here = 0;

    for (unsigned w = 0; w < TQI_FRONT_WAYS; w++)
        here |= (unsigned)(((line->word[0][w] ^ key->word[0]) | (line->word[1][w] ^ key->word[1]) |
                            (line->word[2][w] ^ key->word[2]) | (line->word[3][w] ^ key->word[3])) == 0)
                << w;
    if (__builtin_expect(here != 0, 0)) {
        line->value[__builtin_ctz(here)] += value;
        return true;
    }
    unsigned way = tqi_front_weakest(front, line->value);
    *evicted = tqi_front_evict32(line, way);
    for (unsigned i = 0; i < 4; i++)
        line->word[i][way] = key->word[i];
    line->value[way] = value;
    return false;
}

#endif
