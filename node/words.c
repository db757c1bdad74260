/* Cutting text into words: 64 bytes at a time. A mask says which bytes are part of a word; where the mask differs from
 * itself shifted by one, a word starts or ends. (The technique is that of simdjson's structural index: Langdale and
 * Lemire, "Parsing gigabytes of JSON per second", 2019.) */
#include "node/delimiters.h"
#include <string.h>
#include <tequio/mapreduce.h>

enum { BLOCK = 64, MOST_STARTS = BLOCK / 2 };

/* The same, byte by byte, for a few words at a time. */
static size_t next_words_plain(tq_slice *text, tq_slice *words, size_t capacity)
{
    const char *at = text->data, *end = at + text->size;
    size_t n = 0;

    while (n < capacity) {
        while (at < end && tqi_is_space(*at))
            at++;
        if (at == end)
            break;
        const char *start = at;
        while (at < end && !tqi_is_space(*at))
            at++;
        words[n++] = (tq_slice){start, (size_t)(at - start)};
    }
    *text = (tq_slice){at, (size_t)(end - at)};
    return n;
}

typedef struct cutter {
    tq_slice *words;
    size_t starts, ends; /* words that have begun, and that are complete */
    uint64_t carry;      /* 1 if the byte before this block was part of a word */
} cutter;

static inline void cut_block(cutter *cut, const char *block, uint64_t word_bytes)
{
    uint64_t before = word_bytes << 1 | cut->carry;
    uint64_t starts = word_bytes & ~before, ends = ~word_bytes & before;

    for (; starts; starts &= starts - 1)
        cut->words[cut->starts++].data = block + __builtin_ctzll(starts);
    for (; ends; ends &= ends - 1) {
        tq_slice *word = &cut->words[cut->ends++];

        word->size = (size_t)(block + __builtin_ctzll(ends) - word->data);
    }
    cut->carry = word_bytes >> 63;
}

size_t tq_next_words(tq_slice *text, tq_slice *words, size_t capacity)
{
    const char *at = text->data, *end = at + text->size;
    cutter cut = {words, 0, 0, 0};

    if (capacity < 2 * MOST_STARTS)
        return next_words_plain(text, words, capacity);
    while (end - at >= BLOCK && cut.starts <= capacity - MOST_STARTS) {
        cut_block(&cut, at, ~tqi_space_mask(at));
        at += BLOCK;
    }
    if (end - at < BLOCK && cut.starts <= capacity - MOST_STARTS) {
        char tail[BLOCK];
        size_t left = (size_t)(end - at);

        memset(tail, ' ', sizeof tail); /* at least one space, so that the last word ends */
        if (left)
            memcpy(tail, at, left);
        cut_block(&cut, at, ~tqi_space_mask(tail));
        at = end;
    }
    if (cut.ends < cut.starts) /* the last word has begun, but not ended: it comes first next time */
        at = words[cut.ends].data;
    *text = (tq_slice){at, (size_t)(end - at)};
    return cut.ends;
}
