#include "jobs/pattern.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MOST = 100, CLASS_MOST = 4, GROWTH = 20 };

/* What an expression, or a part of one, matches. */
typedef struct part {
    bool listed; /* no string but those in strings, of which one may be empty */
    literal_set strings;
    literal_set required; /* or else: one of these is in each match; n = 0: not known */
} part;

typedef struct reader {
    const char *at, *end;
    char *out; /* has room for all */
    size_t used;
    bool utf, fold, plain;
    bool known; /* there was nothing yet that is not known here */
    int depth;
} reader;

static void read_choice(reader *r, part *result);

/* ---- Sets of strings --------------------------------------------------------------------------------------------- */

static void set_to_empty(literal_set *set)
{
    set->n = 1;
    set->strings[0].size = 0;
}

static bool has_empty(const literal_set *set)
{
    for (int i = 0; i < set->n; i++)
        if (set->strings[i].size == 0)
            return true;
    return set->n == 0;
}

/* Both together; false if they are too many. */
static bool join(literal_set *to, const literal_set *from)
{
    if (to->n + from->n > LITERALS_MOST)
        return false;
    memcpy(to->strings + to->n, from->strings, (size_t)from->n * sizeof *from->strings);
    to->n += from->n;
    return true;
}

/* Each of one with each of the other behind it; false if they are too many or too long. */
static bool multiply(literal_set *to, const literal_set *by)
{
    literal_set product = {.n = 0};
    if (to->n * by->n > LITERALS_MOST)
        return false;
    for (int i = 0; i < to->n; i++)
        for (int j = 0; j < by->n; j++) {
            size_t first = to->strings[i].size, second = by->strings[j].size;
            if (first + second > LITERAL_BYTES)
                return false;
            product.strings[product.n].size = (uint8_t)(first + second);
            memcpy(product.strings[product.n].bytes, to->strings[i].bytes, first);
            memcpy(product.strings[product.n++].bytes + first, by->strings[j].bytes, second);
        }
    *to = product;
    return true;
}

/* Keep in best the set that a search stops at less often. */
static void prefer(literal_set *best, const literal_set *other)
{
    if (has_empty(other))
        return;
    if (best->n == 0 || literals_cost(other) < literals_cost(best))
        *best = *other;
}

static void set_unknown(part *result)
{
    result->listed = false;
    result->required.n = 0;
}

static void set_to_byte(part *result, char byte)
{
    result->listed = true;
    result->strings.n = 1;
    result->strings.strings[0].size = 1;
    result->strings.strings[0].bytes[0] = byte;
}

/* It matches a place, not a string. */
static void set_to_place(reader *r, part *result)
{
    r->plain = false;
    result->listed = true;
    set_to_empty(&result->strings);
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static void put(reader *r, const char *bytes, size_t size)
{
    memcpy(r->out + r->used, bytes, size);
    r->used += size;
}

static void put_text(reader *r, const char *text)
{
    put(r, text, strlen(text));
}

static bool next_is(const reader *r, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(r->end - r->at) >= size && memcmp(r->at, text, size) == 0;
}

/* Pass on what is there up to behind the next closer. */
static void pass_through(reader *r, char closer)
{
    const char *found = memchr(r->at, closer, (size_t)(r->end - r->at));
    const char *stop = found != NULL ? found + 1 : r->end;
    put(r, r->at, (size_t)(stop - r->at));
    r->at = stop;
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* A character that stands for itself. Where case is ignored, what has letters of other sizes in Unicode is not known. */
static void read_literal(reader *r, char byte, part *result)
{
    bool has_others = r->utf && strchr("kKsS", byte) != NULL;
    set_to_byte(result, byte);
    if (byte == '\0' || (r->fold && (((unsigned char)byte >= 0x80) || (is_letter(byte) && has_others))))
        set_unknown(result);
}

/* Behind a backslash, outside of brackets. */
static void read_escape(reader *r, part *result)
{
    static const struct {
        char letter;
        const char *text;
    } others[] = {{'s', "[^\\S\n]"}, {'W', "[^\\w\n]"}, {'D', "[^\\d\n]"}, {'H', "[^\\h\n]"}, {'v', "[^\\V\n]"},
                  {'d', "\\d"},      {'w', "\\w"},      {'S', "\\S"},      {'h', "\\h"},      {'V', "\\V"},
                  {'t', "\\t"},      {'f', "\\f"},      {'a', "\\a"},      {'e', "\\e"},      {'r', "\\r"}};
    char letter = *r->at++;
    set_unknown(result);
    if (!is_letter(letter) && !is_digit(letter) && (unsigned char)letter < 0x80) {
        put(r, (char[]){'\\', letter}, 2);
        read_literal(r, letter, result);
        return;
    }
    r->plain = false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (letter == others[i].letter) {
            put_text(r, others[i].text);
            return;
        }
    if (letter == 'b' || letter == 'B') {
        put(r, (char[]){'\\', letter}, 2);
        set_to_place(r, result);
    } else if (letter == 'A' || letter == 'z' || letter == 'Z') { /* the line's */
        put_text(r, letter == 'A' ? "^" : "$");
        set_to_place(r, result);
    } else if ((letter == 'p' || letter == 'P') && r->at < r->end) {
        put(r, (char[]){'(', '?', ':', '(', '?', '!', '\n', ')', '\\', letter}, 10);
        if (*r->at == '{')
            pass_through(r, '}');
        else
            put(r, r->at++, 1);
        put_text(r, ")");
    } else if (letter >= '1' && letter <= '9' && (r->at == r->end || !is_digit(*r->at))) {
        put(r, (char[]){'\\', letter}, 2);
    } else {
        r->known = false;
    }
}

/* Whether "[:" begins one of the classes with a name that have no newline. What looks like one and is none is not known. */
static bool is_named_class(reader *r)
{
    static const char *const names[] = {"alpha:]",  "digit:]", "alnum:]", "upper:]", "lower:]", "punct:]",
                                        "xdigit:]", "word:]",  "blank:]", "print:]", "graph:]"};
    const char *at = r->at;
    bool found = false;
    r->at += 2;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        found = found || next_is(r, names[i]);
    r->known = r->known && at[1] == ':' && (found || next_is(r, "space:]") || next_is(r, "cntrl:]"));
    r->at = at;
    return found;
}

/* From behind the opening bracket (and ^) to behind the closing one. Returns whether the class can, as far as is known,
 * have a newline; *single: it is nothing but a few characters, which are in result. */
static bool read_class_items(reader *r, part *result, bool *single)
{
    bool may_have_newline = false;
    const char *first = r->at;
    *single = true;
    result->strings.n = 0;
    while (r->at < r->end && (*r->at != ']' || r->at == first)) {
        char byte = *r->at;
        part one;
        if (next_is(r, "[:") || next_is(r, "[.") || next_is(r, "[=")) {
            may_have_newline |= !is_named_class(r);
            *single = false;
            pass_through(r, ']');
            continue;
        }
        if (byte == '\\' && r->end - r->at > 1) {
            char letter = r->at[1];
            bool is_mark = letter > ' ' && !is_letter(letter) && !is_digit(letter);
            may_have_newline |= !is_mark && (letter == '\0' || strchr("wdSh", letter) == NULL);
            r->known = r->known && (letter == '\0' || strchr("QEc", letter) == NULL);
            *single = false;
            put(r, r->at, 2);
            r->at += 2;
            continue;
        }
        may_have_newline |= (unsigned char)byte < ' ';
        read_literal(r, byte, &one);
        *single = *single && byte != '-' && (unsigned char)byte < 0x80 && one.listed &&
                  result->strings.n < CLASS_MOST && join(&result->strings, &one.strings);
        put(r, r->at++, 1);
    }
    return may_have_newline;
}

static void read_class(reader *r, part *result)
{
    bool is_negated = r->at < r->end && *r->at == '^', single;
    size_t begin = r->used;
    put_text(r, "[");
    if (is_negated)
        put(r, r->at++, 1);
    bool may_have_newline = read_class_items(r, result, &single);
    put_text(r, is_negated ? "\n]" : "]");
    r->at += r->at < r->end;
    result->listed = single && !is_negated && !may_have_newline;
    result->required.n = 0;
    r->plain = r->plain && result->listed;
    if (is_negated || !may_have_newline)
        return;
    static const char guard[] = "(?:(?!\n)";
    memmove(r->out + begin + sizeof guard - 1, r->out + begin, r->used - begin);
    memcpy(r->out + begin, guard, sizeof guard - 1);
    r->used += sizeof guard - 1;
    put_text(r, ")");
}

/* Behind "(?". False: that is no group that is known here. *is_place: it looks, and matches nothing. */
static bool read_group_kind(reader *r, bool *is_place)
{
    static const char *const kinds[] = {":", "|", ">", "=", "!", "<=", "<!"};
    put_text(r, "?");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (next_is(r, kinds[i])) {
            *is_place = i > 2;
            r->plain = r->plain && i < 2;
            put_text(r, kinds[i]);
            r->at += strlen(kinds[i]);
            return true;
        }
    if (next_is(r, "i)") || next_is(r, "i:")) {
        r->fold = true;
        r->plain = false;
        put(r, r->at++, 1);
        if (*r->at == ':')
            put(r, r->at++, 1);
        return true;
    }
    bool is_named = next_is(r, "<") || next_is(r, "P<") || next_is(r, "'");
    if (is_named) {
        char closer = *r->at == '\'' ? '\'' : '>';
        size_t opener = *r->at == 'P' ? 2 : 1;
        put(r, r->at, opener);
        r->at += opener;
        pass_through(r, closer);
    }
    return is_named;
}

/* From behind the opening parenthesis to behind the closing one. */
static void read_group(reader *r, part *result)
{
    bool is_place = false;
    put_text(r, "(");
    if (r->at < r->end && (*r->at == '*' || ++r->depth > DEPTH_MOST)) {
        r->known = false;
        return;
    }
    if (r->at < r->end && *r->at == '?') {
        r->at++;
        r->known = r->known && read_group_kind(r, &is_place);
    }
    if (r->known)
        read_choice(r, result);
    if (!r->known || r->at == r->end) {
        r->known = false;
        return;
    }
    r->at++;
    r->depth--;
    put_text(r, ")");
    if (is_place)
        set_to_place(r, result);
}

static void read_atom(reader *r, part *result)
{
    char byte = *r->at++;

    set_unknown(result); /* which it stays where reading ends in the middle of the atom */
    switch (byte) {
    case '\\': read_escape(r, result); return;
    case '[': read_class(r, result); return;
    case '(': read_group(r, result); return;
    case '^':
    case '$':
        put(r, &byte, 1);
        set_to_place(r, result);
        return;
    case '.':
        put(r, &byte, 1);
        r->plain = false;
        return;
    case '\n': r->known = false; return;
    default: put(r, &byte, 1); read_literal(r, byte, result);
    }
}

/* A character of several bytes is one atom, to which a quantifier belongs as a whole. */
static void read_character(reader *r, part *result)
{
    read_atom(r, result);
    while (r->utf && result->listed && r->at < r->end && ((unsigned char)r->at[0] & 0xc0) == 0x80 &&
           (unsigned char)r->at[-1] >= 0x80) {
        part next;
        read_atom(r, &next);
        if (!next.listed || !multiply(&result->strings, &next.strings))
            set_unknown(result);
    }
    while (r->utf && r->at < r->end && ((unsigned char)r->at[0] & 0xc0) == 0x80) /* of one that is not known */
        put(r, r->at++, 1);
}

/* {2}, {2,} or {2,5}; a brace that is none of these stands for itself. Returns how many bytes, 0 if it is none. */
static size_t count_size(const reader *r)
{
    const char *at = r->at + 1;
    const char *digits = at;
    while (at < r->end && is_digit(*at))
        at++;
    if (at == digits)
        return 0;
    if (at < r->end && *at == ',')
        at++;
    while (at < r->end && is_digit(*at))
        at++;
    return at < r->end && *at == '}' ? (size_t)(at + 1 - r->at) : 0;
}

/* What comes behind an atom: how often. */
static void read_quantifier(reader *r, part *atom)
{
    char kind = r->at < r->end ? *r->at : '\0';
    size_t size = kind == '*' || kind == '+' || kind == '?' ? 1 : kind == '{' ? count_size(r) : 0;
    if (size == 0)
        return;
    bool may_be_none = kind == '*' || kind == '?' || (kind == '{' && r->at[1] == '0');
    put(r, r->at, size);
    r->at += size;
    if (r->at < r->end && (*r->at == '+' || *r->at == '?')) {
        r->plain = false;
        put(r, r->at++, 1);
    }
    literal_set empty;
    set_to_empty(&empty);
    if (kind == '?' && atom->listed && join(&atom->strings, &empty))
        return;
    r->plain = false;
    atom->required = atom->listed ? atom->strings : atom->required;
    atom->listed = false;
    if (may_be_none || has_empty(&atom->required))
        atom->required.n = 0;
}

/* Atoms one behind the other. */
static void read_sequence(reader *r, part *result)
{
    literal_set run, best = {.n = 0};
    bool listed = true;
    result->listed = false; /* until its end is known */
    result->strings.n = result->required.n = 0;
    set_to_empty(&run);
    while (r->known && r->at < r->end && *r->at != '|' && *r->at != ')') {
        part atom;
        read_character(r, &atom);
        if (!r->known)
            return;
        read_quantifier(r, &atom);
        if (atom.listed && multiply(&run, &atom.strings))
            continue;
        prefer(&best, &run);
        listed = false;
        set_to_empty(&run);
        if (atom.listed)
            run = atom.strings;
        else
            prefer(&best, &atom.required);
    }
    result->listed = listed;
    result->strings = run;
    prefer(&best, &run);
    result->required = best;
}

/* Sequences with bars between them. */
static void read_choice(reader *r, part *result)
{
    part one;
    bool all_required, all_listed;
    read_sequence(r, result);
    all_required = result->required.n > 0;
    all_listed = result->listed;
    while (r->known && r->at < r->end && *r->at == '|') {
        put(r, r->at++, 1);
        read_sequence(r, &one);
        all_required = all_required && one.required.n > 0 && join(&result->required, &one.required);
        all_listed = all_listed && one.listed && join(&result->strings, &one.strings);
    }
    result->listed = all_listed;
    if (!all_required)
        result->required.n = 0;
}

void pattern_read(pattern_plan *plan, tq_slice expression, bool fold, bool utf)
{
    reader r = {expression.data, expression.data + expression.size, NULL, 0, utf, fold, true, true, 0};
    part all;
    *plan = (pattern_plan){.text = r.out = malloc(GROWTH * (expression.size + 1))};
    if (plan->text == NULL)
        return;
    read_choice(&r, &all);
    plan->whole = r.known && r.at == r.end;
    plan->fold = r.fold;
    if (!plan->whole)
        return;
    plan->size = r.used;
    plan->required = all.required;
    if (all.listed && !has_empty(&all.strings))
        plan->required = all.strings;
    plan->plain = r.plain && all.listed && plan->required.n > 0;
}
