#include "cli/values.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *cli_value_at(const option_row *row, void *base)
{
    return (char *)base + row->offset;
}

/* Unsigned digits alone: strtoull would also take blanks, signs and wrap around negative numbers. */
static bool digits(const char *text, const char **end, uint64_t *value)
{
    uint64_t sum = 0;
    const char *c = text;
    for (; isdigit((unsigned char)*c); c++)
        if (__builtin_mul_overflow(sum, 10u, &sum) || __builtin_add_overflow(sum, (uint64_t)(*c - '0'), &sum))
            return false;
    *end = c;
    *value = sum;
    return c > text;
}

static bool store_count(const option_row *row, int64_t *value, const char *text, const char *spelled, char *why,
                        size_t size)
{
    bool may_be_auto = row->preset != NULL && strcmp(row->preset, "auto") == 0;
    if (may_be_auto && strcmp(text, "auto") == 0) {
        *value = OPTION_AUTO;
        return true;
    }
    const char *end;
    uint64_t number;
    int64_t most = row->most != 0 ? row->most : INT64_MAX;
    if (digits(text, &end, &number) && *end == '\0' && number <= (uint64_t)most && number >= (uint64_t)row->least) {
        *value = (int64_t)number;
        return true;
    }
    if (row->most != 0)
        snprintf(why, size, "%s takes a number from %" PRId64 " to %" PRId64 "%s, not '%s'", spelled, row->least,
                 row->most, may_be_auto ? " or auto" : "", text);
    else
        snprintf(why, size, "%s takes a whole number of at least %" PRId64 ", not '%s'", spelled, row->least, text);
    return false;
}

static bool store_size(const option_row *row, uint64_t *value, const char *text, const char *spelled, char *why,
                       size_t size)
{
    const char *end;
    uint64_t number;
    unsigned shift = 0;
    bool valid = digits(text, &end, &number);
    if (valid && *end != '\0') {
        const char *unit = strchr("kKmMgGtT", *end);
        valid = unit != NULL && end[1] == '\0';
        shift = valid ? 10 * (unsigned)((unit - "kKmMgGtT") / 2 + 1) : 0;
    }
    valid = valid && number <= (UINT64_MAX >> shift) && (number << shift) >= (uint64_t)row->least;
    if (!valid) {
        snprintf(why, size, "%s takes a number of bytes of at least %" PRId64 ", such as 4096, 64k, 2M or 1G, not '%s'",
                 spelled, row->least, text);
        return false;
    }
    *value = number << shift;
    return true;
}

static bool store_seconds(const option_row *row, double *value, const char *text, const char *spelled, char *why,
                          size_t size)
{
    char *end;
    double most = row->most != 0 ? (double)row->most : HUGE_VAL;
    bool starts_well = isdigit((unsigned char)text[0]) || text[0] == '.';
    double number = starts_well ? strtod(text, &end) : 0;
    if (!starts_well || *end != '\0' || !(number > 0 && number <= most)) {
        snprintf(why, size, "%s takes a number of seconds above 0 and up to %g, not '%s'", spelled, most, text);
        return false;
    }
    *value = number;
    return true;
}

static bool store_choice(const option_row *row, int *value, const char *text, const char *spelled, char *why,
                         size_t size)
{
    size_t length = strlen(text);
    int place = 0;
    for (const char *word = row->argument; word != NULL; place++) {
        const char *bar = strchr(word, '|');
        size_t word_length = bar != NULL ? (size_t)(bar - word) : strlen(word);
        if (word_length == length && memcmp(word, text, length) == 0) {
            *value = place;
            return true;
        }
        word = bar != NULL ? bar + 1 : NULL;
    }
    snprintf(why, size, "%s takes %s, not '%s'", spelled, row->argument, text);
    return false;
}

static bool store_flag(bool *value, const char *text, const char *spelled, char *why, size_t size)
{
    static const char *const words[] = {"0", "1", "no", "yes", "false", "true"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(text, words[i]) == 0) {
            *value = i % 2 == 1;
            return true;
        }
    snprintf(why, size, "%s takes 1 or 0, not '%s'", spelled, text);
    return false;
}

static bool store_item(const option_row *row, option_list *list, const char *text, const char *spelled, char *why,
                       size_t size)
{
    if (row->type == OPTION_LIST && (text[0] == '=' || strchr(text, '=') == NULL)) {
        snprintf(why, size, "%s takes NAME=VALUE, not '%s'", spelled, text);
        return false;
    }
    const char **items = realloc(list->items, (list->n + 1) * sizeof *items);
    if (items == NULL) {
        snprintf(why, size, "out of memory");
        return false;
    }
    list->items = items;
    list->items[list->n++] = text;
    return true;
}

bool cli_value_store(const option_row *row, void *base, const char *text, const char *spelled, char *why, size_t size)
{
    void *value = cli_value_at(row, base);
    if (*text == '\0' && row->type != OPTION_TEXTS) {
        snprintf(why, size, "%s needs a value (%s)", spelled, row->argument != NULL ? row->argument : "1 or 0");
        return false;
    }
    switch (row->type) {
    case OPTION_FLAG: return store_flag(value, text, spelled, why, size);
    case OPTION_COUNT: return store_count(row, value, text, spelled, why, size);
    case OPTION_SIZE: return store_size(row, value, text, spelled, why, size);
    case OPTION_SECONDS: return store_seconds(row, value, text, spelled, why, size);
    case OPTION_CHOICE: return store_choice(row, value, text, spelled, why, size);
    case OPTION_STRING: *(const char **)value = text; return true;
    case OPTION_LIST:
    case OPTION_TEXTS: return store_item(row, value, text, spelled, why, size);
    }
    return false;
}

static void choice_text(const option_row *row, int place, char *text, size_t size)
{
    const char *word = row->argument;
    for (int i = 0; i < place; i++)
        word = strchr(word, '|') + 1;
    snprintf(text, size, "%.*s", (int)strcspn(word, "|"), word);
}

const char *cli_value_text(const option_row *row, const void *base, char *text, size_t size)
{
    const void *value = (const char *)base + row->offset;
    switch (row->type) {
    case OPTION_FLAG: snprintf(text, size, "%d", *(const bool *)value); break;
    case OPTION_SIZE: snprintf(text, size, "%" PRIu64, *(const uint64_t *)value); break;
    case OPTION_SECONDS: snprintf(text, size, "%.9g", *(const double *)value); break;
    case OPTION_CHOICE: choice_text(row, *(const int *)value, text, size); break;
    case OPTION_STRING: {
        const char *string = *(const char *const *)value;
        snprintf(text, size, "%s", string != NULL ? string : "");
        break;
    }
    case OPTION_LIST:
    case OPTION_TEXTS: { /* the last one counts, as with the others */
        const option_list *list = value;
        snprintf(text, size, "%s", list->n > 0 ? list->items[list->n - 1] : "");
        break;
    }
    case OPTION_COUNT: {
        int64_t count = *(const int64_t *)value;
        if (count == OPTION_AUTO)
            snprintf(text, size, "auto");
        else
            snprintf(text, size, "%" PRId64, count);
        break;
    }
    }
    return text;
}
