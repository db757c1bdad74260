#include "jobs/words.h"

#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <unistr.h>
#include <uniwbrk.h>

static bool is_ascii_letter(unsigned char byte)
{
    return (unsigned char)((byte | 32) - 'a') < 26;
}

static bool is_ascii_digit(unsigned char byte)
{
    return (unsigned char)(byte - '0') < 10;
}

static bool is_white_space(unsigned char byte)
{
    return byte == ' ' || (unsigned char)(byte - 9) < 5;
}

void words_begin(words_cutter *cutter, tq_slice text)
{
    cutter->text = text;
    cutter->run = (tq_slice){0};
}

void words_end(words_cutter *cutter)
{
    free(cutter->breaks);
    *cutter = (words_cutter){0};
}

static bool in_category(ucs4_t c, uint32_t mask)
{
    return uc_is_general_category_withtable(c, mask);
}

/* The character at the start of text, which is not empty, and its bytes; a byte that begins none is 0xfffd. */
static ucs4_t first_character(tq_slice text, size_t *bytes)
{
    ucs4_t c;
    int n = u8_mbtoucr(&c, (const uint8_t *)text.data, text.size);

    *bytes = n > 0 ? (size_t)n : 1;
    return n > 0 ? c : 0xfffd;
}

/* Bytes of the letter at the start of text, 0 if none is there. goes_on: a mark is as good. */
static size_t letter_at(tq_slice text, bool goes_on)
{
    size_t bytes;

    if (text.size == 0)
        return 0;
    if ((unsigned char)*text.data < 0x80)
        return is_ascii_letter((unsigned char)*text.data);
    ucs4_t c = first_character(text, &bytes);
    return in_category(c, UC_CATEGORY_MASK_L | (goes_on ? UC_CATEGORY_MASK_M : 0)) ? bytes : 0;
}

static void pass(tq_slice *text, size_t bytes)
{
    text->data += bytes;
    text->size -= bytes;
}

bool words_next_alpha(words_cutter *cutter, tq_slice *word)
{
    tq_slice text = cutter->text;
    size_t bytes;

    while (text.size > 0 && !letter_at(text, false)) {
        first_character(text, &bytes);
        pass(&text, bytes);
    }
    word->data = text.data;
    while ((bytes = letter_at(text, text.data > word->data)) > 0)
        pass(&text, bytes);
    word->size = (size_t)(text.data - word->data);
    cutter->text = text;
    return word->size > 0;
}

/* A run of ASCII letters, digits and underscores is one word: nothing in it is a boundary. */
static bool is_plain(tq_slice run, bool *has_letter)
{
    *has_letter = false;
    for (size_t i = 0; i < run.size; i++) {
        unsigned char byte = (unsigned char)run.data[i];
        bool letter = is_ascii_letter(byte) || is_ascii_digit(byte);

        if (!letter && byte != '_')
            return false;
        *has_letter |= letter;
    }
    return true;
}

static bool has_letter(tq_slice text)
{
    size_t bytes;

    for (; text.size > 0; pass(&text, bytes))
        if (in_category(first_character(text, &bytes), UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_N))
            return true;
    return false;
}

/* The next run of valid UTF-8 without ASCII white space. A byte that is not UTF-8 ends one, as white space does. */
static bool next_run(words_cutter *cutter)
{
    tq_slice *text = &cutter->text;
    const uint8_t *wrong;
    size_t n = 0;

    for (;;) {
        while (text->size > 0 && is_white_space((unsigned char)*text->data))
            pass(text, 1);
        if (text->size == 0)
            return false;
        for (n = 0; n < text->size && !is_white_space((unsigned char)text->data[n]);)
            n++;
        wrong = u8_check((const uint8_t *)text->data, n);
        if (wrong != (const uint8_t *)text->data)
            break;
        pass(text, 1);
    }
    cutter->run = (tq_slice){text->data, wrong ? (size_t)(wrong - (const uint8_t *)text->data) : n};
    pass(text, cutter->run.size + (wrong != NULL));
    return true;
}

static bool find_breaks(words_cutter *cutter)
{
    if (cutter->run.size > cutter->capacity) {
        char *breaks = realloc(cutter->breaks, cutter->run.size);

        cutter->failed = breaks == NULL;
        if (!breaks)
            return false;
        cutter->breaks = breaks;
        cutter->capacity = cutter->run.size;
    }
    u8_wordbreaks((const uint8_t *)cutter->run.data, cutter->run.size, cutter->breaks);
    cutter->at = 0;
    return true;
}

bool words_next_unicode(words_cutter *cutter, tq_slice *word)
{
    for (;;) {
        bool good;

        if (cutter->run.size == 0) {
            if (!next_run(cutter))
                return false;
            if (is_plain(cutter->run, &good)) {
                *word = cutter->run;
                cutter->run.size = 0;
                if (good)
                    return true;
                continue;
            }
            if (!find_breaks(cutter))
                return false;
        }
        size_t n = 1;
        while (n < cutter->run.size && !cutter->breaks[cutter->at + n])
            n++;
        *word = (tq_slice){cutter->run.data, n};
        pass(&cutter->run, n);
        cutter->at += n;
        if (has_letter(*word))
            return true;
    }
}

static bool is_ascii(tq_slice word)
{
    unsigned char bytes = 0;

    for (size_t i = 0; i < word.size; i++)
        bytes |= (unsigned char)word.data[i];
    return bytes < 0x80;
}

tq_slice words_fold(tq_slice word, char *memory, size_t capacity, char **owned)
{
    char *to = memory;

    *owned = NULL;
    if (!is_ascii(word)) {
        size_t size = capacity;
        uint8_t *folded = u8_casefold((const uint8_t *)word.data, word.size, NULL, NULL, (uint8_t *)memory, &size);

        if (folded) {
            *owned = folded == (uint8_t *)memory ? NULL : (char *)folded;
            return (tq_slice){(const char *)folded, size};
        }
    }
    if (word.size > capacity)
        to = *owned = malloc(word.size);
    for (size_t i = 0; to && i < word.size; i++)
        to[i] = (char)(is_ascii_letter((unsigned char)word.data[i]) ? word.data[i] | 32 : word.data[i]);
    return (tq_slice){to, word.size};
}
