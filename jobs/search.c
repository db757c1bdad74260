#define PCRE2_CODE_UNIT_WIDTH 8
#include "jobs/search.h"
#include "jobs/literals.h"
#include "jobs/pattern.h"
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_LEAST = 32 << 10, STACK_MOST = 8 << 20, WHY_SIZE = 160, SHOWN_MOST = 60 };

struct search {
    pcre2_compile_context *context;
    pcre2_code *line;  /* for a line that stands alone */
    pcre2_code *whole; /* for many at once; NULL: that would not find the same */
    bool bytes;        /* characters are bytes */
    bool has_literals; /* each line that matches has one of them */
    bool plain;        /* and each that has one matches */
    literals literals;
};

struct search_state {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    char why[WHY_SIZE];
};

/* ---- Putting the expression together ----------------------------------------------------------------------------- */

typedef struct expression {
    char *text; /* has room for all */
    size_t size;
} expression;

static void add(expression *e, const char *text, size_t size)
{
    memcpy(e->text + e->size, text, size);
    e->size += size;
}

static void add_text(expression *e, const char *text)
{
    add(e, text, strlen(text));
}

/* Each byte of it stands for itself. */
static void add_fixed(expression *e, tq_slice string)
{
    for (size_t i = 0; i < string.size; i++) {
        unsigned char byte = (unsigned char)string.data[i];
        bool is_plain = byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                        (byte >= 'a' && byte <= 'z') || byte == ' ' || byte == '_';
        if (!is_plain)
            add_text(e, "\\");
        add(e, string.data + i, 1);
    }
}

/* The patterns, one a newline. The caller frees the list; NULL: no memory. */
static tq_slice *list_patterns(const search_options *options, size_t *n)
{
    size_t most = options->n_patterns;
    for (size_t i = 0; i < options->n_patterns; i++)
        for (const char *at = options->patterns[i]; (at = strchr(at, '\n')) != NULL; at++)
            most++;
    tq_slice *list = malloc((most + 1) * sizeof *list);
    *n = 0;
    for (size_t i = 0; list != NULL && i < options->n_patterns; i++)
        for (const char *at = options->patterns[i]; at != NULL;) {
            size_t size = strcspn(at, "\n");
            list[(*n)++] = (tq_slice){at, size};
            at = at[size] == '\n' ? at + size + 1 : NULL;
        }
    return list;
}

/* Longer ones first: of two that begin at the same place the longer is the match. */
static int by_size(const void *a, const void *b)
{
    size_t one = ((const tq_slice *)a)->size, other = ((const tq_slice *)b)->size;
    return (one < other) - (one > other);
}

/* One expression of all patterns. Groups count anew in each (?|...), so that \1 means what its pattern says. False: no
 * memory. */
static bool combine(expression *e, const search_options *options, const tq_slice *list, size_t n)
{
    enum { AROUND = 64, BESIDE = 8, MOST_OF_BYTE = 2 };
    size_t room = AROUND;
    for (size_t i = 0; i < n; i++)
        room += MOST_OF_BYTE * list[i].size + BESIDE;
    *e = (expression){.text = malloc(room)};
    if (e->text == NULL)
        return false;
    add_text(e, options->lines ? "^(?:" : options->words ? "(?<!\\w)(?:" : "");
    if (n > 1 && !options->fixed)
        add_text(e, "(?|");
    for (size_t i = 0; i < n; i++) {
        add_text(e, i > 0 ? "|" : "");
        if (options->fixed) {
            add_fixed(e, list[i]);
            continue;
        }
        add_text(e, n > 1 ? "(?:" : "");
        add(e, list[i].data, list[i].size);
        add_text(e, n > 1 ? ")" : "");
    }
    if (n > 1 && !options->fixed)
        add_text(e, ")");
    add_text(e, options->lines ? ")$" : options->words ? ")(?!\\w)" : "");
    return true;
}

/* ---- Compiling --------------------------------------------------------------------------------------------------- */

static uint32_t flags_of(const search_options *options)
{
    uint32_t flags = PCRE2_NEVER_BACKSLASH_C;
    if (!options->bytes)
        flags |= PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF;
    return flags | (options->ignore_case ? PCRE2_CASELESS : 0);
}

/* NULL: not valid, and *code and *at say why and where. Without a just-in-time compiler for this machine it is only slower. */
static pcre2_code *compile(const search *made, const char *text, size_t size, uint32_t flags, int *code, size_t *at)
{
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)text, size, flags, code, at, made->context);
    if (compiled != NULL)
        pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    return compiled;
}

static void say_wrong(tq_slice pattern, int code, size_t at, char *why, size_t size)
{
    PCRE2_UCHAR message[120];
    int shown = pattern.size < SHOWN_MOST ? (int)pattern.size : SHOWN_MOST;
    pcre2_get_error_message(code, message, sizeof message);
    snprintf(why, size, "the pattern '%.*s%s' is wrong at byte %zu: %s", shown, pattern.data,
             pattern.size > SHOWN_MOST ? "..." : "", at, (const char *)message);
}

/* Each pattern for itself, so that what is said of it does not depend on the others. */
static bool check_patterns(const search *made, const search_options *options, const tq_slice *list, size_t n, char *why,
                           size_t size)
{
    uint32_t flags = flags_of(options) | (options->fixed ? PCRE2_LITERAL : 0);
    for (size_t i = 0; i < n; i++) {
        int code;
        size_t at;
        if (options->fixed)
            flags &= ~PCRE2_NEVER_BACKSLASH_C & ~PCRE2_UCP;
        pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)list[i].data, list[i].size, flags, &code, &at, made->context);
        if (compiled == NULL) {
            say_wrong(list[i], code, at, why, size);
            return false;
        }
        pcre2_code_free(compiled);
    }
    return true;
}

/* What can be known from the text of the expression. */
static void plan(search *made, const search_options *options, const expression *e)
{
    pattern_plan read;
    int code;
    size_t at;
    pattern_read(&read, (tq_slice){e->text, e->size}, options->ignore_case, !options->bytes);
    if (read.text != NULL && read.whole)
        made->whole = compile(made, read.text, read.size, flags_of(options) | PCRE2_MULTILINE, &code, &at);
    made->has_literals = made->whole != NULL && read.required.n > 0;
    made->plain = made->has_literals && read.plain;
    if (made->has_literals)
        literals_prepare(&made->literals, &read.required, read.fold);
    free(read.text);
}

static bool build(search *made, const search_options *options, const tq_slice *list, size_t n, char *why, size_t size)
{
    expression e;
    int code = 0;
    size_t at = 0;
    if (!check_patterns(made, options, list, n, why, size) || !combine(&e, options, list, n))
        return false;
    made->line = compile(made, e.text, e.size, flags_of(options) | PCRE2_DOLLAR_ENDONLY, &code, &at);
    if (made->line == NULL)
        say_wrong((tq_slice){e.text, e.size}, code, at, why, size);
    else
        plan(made, options, &e);
    free(e.text);
    return made->line != NULL;
}

search *search_new(const search_options *options, char *why, size_t size)
{
    search *made = calloc(1, sizeof *made);
    size_t n = 0;
    tq_slice *list = list_patterns(options, &n);
    snprintf(why, size, "out of memory");
    bool is_built = false;
    if (made != NULL && list != NULL && (made->context = pcre2_compile_context_create(NULL)) != NULL) {
        made->bytes = options->bytes;
        pcre2_set_newline(made->context, PCRE2_NEWLINE_LF);
        if (options->fixed)
            qsort(list, n, sizeof *list, by_size);
        is_built = build(made, options, list, n, why, size);
    }
    free(list);
    if (is_built)
        return made;
    search_free(made);
    return NULL;
}

void search_free(search *made)
{
    if (made == NULL)
        return;
    pcre2_code_free(made->line);
    pcre2_code_free(made->whole);
    pcre2_compile_context_free(made->context);
    free(made);
}

/* ---- Searching --------------------------------------------------------------------------------------------------- */

search_state *search_state_new(const search *searched)
{
    search_state *state = calloc(1, sizeof *state);
    if (state == NULL)
        return NULL;
    state->data = pcre2_match_data_create_from_pattern(searched->line, NULL);
    state->context = pcre2_match_context_create(NULL);
    state->stack = pcre2_jit_stack_create(STACK_LEAST, STACK_MOST, NULL); /* NULL where there is no such compiler */
    if (state->data == NULL || state->context == NULL) {
        search_state_free(state);
        return NULL;
    }
    if (state->stack != NULL)
        pcre2_jit_stack_assign(state->context, NULL, state->stack);
    return state;
}

void search_state_free(search_state *state)
{
    if (state == NULL)
        return;
    pcre2_match_data_free(state->data);
    pcre2_match_context_free(state->context);
    pcre2_jit_stack_free(state->stack);
    free(state);
}

const char *search_why(const search_state *state)
{
    return state->why;
}

static search_result match(const pcre2_code *code, search_state *state, tq_slice text, size_t from, tq_slice *found)
{
    static const char none[1];
    const char *data = text.data != NULL ? text.data : none;
    int answer = pcre2_match(code, (PCRE2_SPTR)data, text.size, from, 0, state->data, state->context);
    if (answer == PCRE2_ERROR_NOMATCH)
        return SEARCH_NONE;
    if (answer < 0) {
        PCRE2_UCHAR message[120];
        pcre2_get_error_message(answer, message, sizeof message);
        snprintf(state->why, sizeof state->why, "the pattern cannot be matched: %s", (const char *)message);
        return SEARCH_FAILED;
    }
    const size_t *ends = pcre2_get_ovector_pointer(state->data);
    *found = (tq_slice){data + ends[0], ends[1] > ends[0] ? ends[1] - ends[0] : 0};
    return SEARCH_FOUND;
}

/* The line around at. */
static tq_slice line_around(tq_slice text, const char *at)
{
    const char *end = text.data + text.size;
    const char *newline = memrchr(text.data, '\n', (size_t)(at - text.data));
    const char *begin = newline != NULL ? newline + 1 : text.data;
    newline = memchr(at, '\n', (size_t)(end - at));
    return (tq_slice){begin, (size_t)((newline != NULL ? newline : end) - begin)};
}

/* text, from behind line on. */
static tq_slice behind(tq_slice text, tq_slice line)
{
    const char *end = text.data + text.size, *next = line.data + line.size + 1;
    return next < end ? (tq_slice){next, (size_t)(end - next)} : (tq_slice){end, 0};
}

static search_result search_by_literals(const search *searched, search_state *state, tq_slice text, tq_slice *line)
{
    search_result result = SEARCH_NONE;
    tq_slice found;
    while (result == SEARCH_NONE && text.size > 0) {
        const char *at = literals_find(&searched->literals, text.data, text.data + text.size);
        if (at == NULL)
            return SEARCH_NONE;
        *line = line_around(text, at);
        text = behind(text, *line);
        result = searched->plain ? SEARCH_FOUND : match(searched->line, state, *line, 0, &found);
    }
    return result;
}

static search_result search_each_line(const search *searched, search_state *state, tq_slice text, tq_slice *line)
{
    search_result result = SEARCH_NONE;
    tq_slice found;
    while (result == SEARCH_NONE && text.size > 0) {
        *line = line_around(text, text.data);
        text = behind(text, *line);
        result = match(searched->line, state, *line, 0, &found);
    }
    return result;
}

search_result search_line(const search *searched, search_state *state, tq_slice text, tq_slice *line)
{
    tq_slice found;
    if (text.size == 0)
        return SEARCH_NONE;
    if (searched->has_literals)
        return search_by_literals(searched, state, text, line);
    if (searched->whole == NULL)
        return search_each_line(searched, state, text, line);
    search_result result = match(searched->whole, state, text, 0, &found);
    /* An empty match behind the last newline is in no line. */
    if (result == SEARCH_FOUND && found.data == text.data + text.size && found.data[-1] == '\n')
        return SEARCH_NONE;
    if (result == SEARCH_FOUND)
        *line = line_around(text, found.data);
    return result;
}

search_result search_in_line(const search *searched, search_state *state, tq_slice line, size_t *from, tq_slice *found)
{
    while (*from <= line.size) {
        search_result result = match(searched->line, state, line, *from, found);
        if (result != SEARCH_FOUND)
            return result;
        size_t end = (size_t)(found->data + found->size - line.data);
        *from = end;
        if (found->size > 0)
            return SEARCH_FOUND;
        do
            ++*from;
        while (!searched->bytes && *from < line.size && (line.data[*from] & 0xc0) == 0x80);
    }
    return SEARCH_NONE;
}
