/* tq_next_words: whole blocks of text for a kernel, and what does not fill one. */
#include "node/cutter.h"
#include "node/delimiters.h"
#include <string.h>

/* The same, byte by byte, for a few words at a time. */
static size_t cut_plainly(tq_slice *text, tq_slice *words, size_t capacity)
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

size_t tqi_cut_words(const tqi_cutter *cutter, tq_slice *text, tq_slice *words, size_t capacity)
{
    if (text->size == 0) /* its data may be NULL */
        return 0;
    if (capacity < 2 * (size_t)TQI_CUT_ROOM)
        return cut_plainly(text, words, capacity);
    const char *end = text->data + text->size;
    tqi_cut cut = {.at = text->data, .words = words, .most = capacity - TQI_CUT_ROOM};
    cutter->cut_blocks(&cut, cut.at, text->size / TQI_CUT_BLOCK);
    if (end - cut.at < TQI_CUT_BLOCK && cut.count <= cut.most) {
        char tail[TQI_CUT_BLOCK];
        size_t left = (size_t)(end - cut.at);

        memset(tail, ' ', sizeof tail); /* at least one space, so that the last word ends */
        if (left)
            memcpy(tail, cut.at, left);
        cutter->cut_blocks(&cut, tail, 1);
        cut.at = end;
        cut.open = 0;
    }
    cut.at -= cut.open; /* a word that has begun, but not ended, comes first next time */
    *text = (tq_slice){cut.at, (size_t)(end - cut.at)};
    return cut.count;
}

size_t tq_next_words(tq_slice *text, tq_slice *words, size_t capacity)
{
    return tqi_cut_words(tqi_cutter_best(), text, words, capacity);
}
