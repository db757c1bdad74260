#include "jobs/members.h"
#include "jobs/lines.h"
#include <string.h>
#include <yajl/yajl_parse.h>

typedef enum member_kind { MISSING, TEXT, NUMBER, WORD, NESTED } member_kind;

/* The lines of a chunk, one after the other in one parser. */
typedef struct reader {
    const members_wanted *wanted;
    size_t n;
    yajl_handle parser; /* NULL: the last line broke it, or there was none */
    /* Of the line at hand: */
    int depth;
    bool has_object;
    unsigned next; /* bits of the wanted members whose value comes next */
    struct {
        member_kind kind;
        size_t begin, size; /* of bytes */
    } found[MEMBERS_MOST];
    lines_text bytes;
    bool no_memory;
} reader;

/* ---- What the parser calls: 0 stops it --------------------------------------------------------------------------- */

enum { STOP, GO_ON };

static int note(reader *r, member_kind kind, const void *text, size_t size)
{
    if (r->depth != 1 || r->next == 0)
        return r->depth > 0 ? GO_ON : STOP; /* outside of an object there is nothing else */
    r->no_memory = !lines_reserve(&r->bytes, size + 1); /* an empty string has a place, too */
    if (r->no_memory)
        return STOP;
    for (size_t i = 0; i < r->n; i++)
        if (r->next >> i & 1) {
            r->found[i].kind = kind;
            r->found[i].begin = r->bytes.size;
            r->found[i].size = size;
        }
    if (size > 0)
        memcpy(r->bytes.data + r->bytes.size, text, size);
    r->bytes.size += size;
    r->next = 0;
    return GO_ON;
}

static int on_null(void *to)
{
    return note(to, WORD, "null", 4);
}

static int on_boolean(void *to, int is_true)
{
    return is_true ? note(to, WORD, "true", 4) : note(to, WORD, "false", 5);
}

static int on_number(void *to, const char *text, size_t size)
{
    return note(to, NUMBER, text, size);
}

static int on_string(void *to, const unsigned char *text, size_t size)
{
    return note(to, TEXT, text, size);
}

static int on_name(void *to, const unsigned char *name, size_t size)
{
    reader *r = to;

    for (size_t i = 0; i < r->n && r->depth == 1; i++)
        if (strlen(r->wanted[i].name) == size && memcmp(r->wanted[i].name, name, size) == 0)
            r->next |= 1U << i;
    return GO_ON;
}

static int on_array(void *to)
{
    reader *r = to;

    if (note(r, NESTED, "", 0) == STOP)
        return STOP;
    r->depth++;
    return GO_ON;
}

static int on_object(void *to)
{
    reader *r = to;

    if (r->depth > 0)
        return on_array(to);
    if (r->has_object)
        return STOP;
    r->has_object = true;
    r->depth = 1;
    return GO_ON;
}

static int on_end(void *to)
{
    ((reader *)to)->depth--;
    return GO_ON;
}

static const yajl_callbacks callbacks = {.yajl_null = on_null,
                                         .yajl_boolean = on_boolean,
                                         .yajl_number = on_number,
                                         .yajl_string = on_string,
                                         .yajl_start_map = on_object,
                                         .yajl_map_key = on_name,
                                         .yajl_end_map = on_end,
                                         .yajl_start_array = on_array,
                                         .yajl_end_array = on_end};

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

/* A parser takes values one after the other, until one breaks it. */
static bool begin(reader *r)
{
    r->depth = 0;
    r->has_object = false;
    r->next = 0;
    r->bytes.size = 0;
    memset(r->found, 0, sizeof r->found);
    if (r->parser == NULL && (r->parser = yajl_alloc(&callbacks, NULL, r)) != NULL)
        yajl_config(r->parser, yajl_allow_multiple_values, 1);
    r->no_memory = r->parser == NULL;
    return !r->no_memory;
}

/* The LF is what says that a last word of the line has ended. */
static bool parse(reader *r, tq_slice line)
{
    if (yajl_parse(r->parser, (const unsigned char *)line.data, line.size) == yajl_status_ok &&
        yajl_parse(r->parser, (const unsigned char *)"\n", 1) == yajl_status_ok && r->depth == 0)
        return true;
    yajl_free(r->parser);
    r->parser = NULL;
    return false;
}

/* Which member is not what is wanted, and why; n: none. */
static size_t find_wrong(const reader *r, const char **why)
{
    size_t i = 0;

    for (; i < r->n; i++) {
        member_kind kind = r->found[i].kind;

        *why = kind == MISSING                              ? "is not there"
               : kind == NESTED                             ? "is an object or an array"
               : r->wanted[i].number && kind != NUMBER      ? "is no number"
                                                            : NULL;
        if (*why != NULL)
            break;
    }
    return i;
}

static tq_status take_line(reader *r, const tq_record *chunk, tq_emitter *emitter, tq_slice line, members_take_fn take,
                           void *to)
{
    uint64_t offset = chunk->offset + (uint64_t)(line.data - chunk->data);
    tq_slice members[MEMBERS_MOST];
    const char *why;
    bool is_whole = begin(r) && parse(r, line);

    if (r->no_memory)
        return (tq_status)tq_emit_fail(emitter, "no memory for the members of an object");
    if (!is_whole)
        return tq_emit_bad(emitter, chunk->file, offset, "the line is no JSON object");
    if (!r->has_object)
        return TQ_OK;
    size_t wrong = find_wrong(r, &why);
    if (wrong < r->n)
        return tq_emit_bad(emitter, chunk->file, offset, "member '%s' %s", r->wanted[wrong].name, why);
    for (size_t i = 0; i < r->n; i++)
        members[i] = (tq_slice){r->bytes.data + r->found[i].begin, r->found[i].size};
    return take(to, line, members);
}

tq_status members_of(const tq_record *chunk, tq_emitter *emitter, const members_wanted *wanted, size_t n,
                     members_take_fn take, void *to)
{
    reader r = {.wanted = wanted, .n = n};
    tq_slice text = {chunk->data, chunk->size}, line;
    tq_status status = TQ_OK;

    while (!status && lines_next(&text, true, &line))
        status = take_line(&r, chunk, emitter, line, take, to);
    if (r.parser != NULL)
        yajl_free(r.parser);
    lines_free(&r.bytes);
    return status;
}
