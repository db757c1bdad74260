/* grep: the lines that match a pattern, in the order of the input.
 *
 * What the mapper emits is not lines but blocks of a few KiB of what it finds, under keys that say where they begin. The
 * order of the keys is that of the input, so no line is sorted for itself, and where the input was cut does not show.
 * Nothing is combined (TQ_ORDER_STABLE): a block is copied into a page of where it belongs, and written from there. The
 * value of a block is
 *
 *     text, as it is written       where a line needs nothing but itself and the name of its file
 *     items (see put_item)         where it needs its number, which is known only when what is before it is; and for JSON
 *
 * Counts are sums, whose keys are the files. */
#include "jobs/big_endian.h"
#include "jobs/jobs.h"
#include "jobs/search.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct grep_settings {
    option_list patterns;
    bool fixed, ignore_case, invert, words, lines, bytes;
    bool only_matching, count, files, line_number, byte_offset;
    int file_names; /* NAMES_... */
} grep_settings;

enum { NAMES_AUTO, NAMES_ALWAYS, NAMES_NEVER };

/* Bytes that grow, of one worker. */
typedef struct buffer {
    char *data;
    size_t size, capacity;
} buffer;

typedef struct worker {
    search_state *state;
    buffer found;
} worker;

/* Shared, and constant while the job runs, but for: workers[i], which is worker i's alone; matched, file_number and lines,
 * which are those of the functions that write rows in order. */
typedef struct grep {
    const grep_settings *settings;
    search *search;
    bool names; /* several files are meant, whatever they become */
    bool items; /* see above */
    worker *workers[TQ_MAX_WORKERS];
    bool matched;                /* if rows are written in order */
    uint64_t file_number, lines; /* the file of the row before, and its lines so far */
} grep;

/* The search of one piece of input. */
typedef struct piece {
    const grep *job;
    tq_emitter *emitter;
    const tq_record *record;
    worker *worker;
    const char *name;    /* in front of lines, NULL for none */
    const char *block;   /* where the block begins that is being filled */
    const char *counted; /* newlines of the block up to here are counted in: */
    uint32_t line;
    uint64_t selected; /* lines */
} piece;

/* ---- Bytes ------------------------------------------------------------------------------------------------------- */

/* Room for size bytes more; NULL: no memory. */
static char *reserve(buffer *to, size_t size)
{
    if (to->capacity - to->size < size) {
        size_t capacity = to->capacity + to->capacity / 2 + size + 4096;
        char *grown = realloc(to->data, capacity);
        if (grown == NULL)
            return NULL;
        to->data = grown;
        to->capacity = capacity;
    }
    return to->data + to->size;
}

static bool put(buffer *to, const char *bytes, size_t size)
{
    char *at = reserve(to, size);
    if (at != NULL && size > 0)
        memcpy(at, bytes, size);
    to->size += at != NULL ? size : 0;
    return at != NULL;
}

/* Sums of bytes, so that compilers make vectors of it. */
static uint32_t count_newlines(const char *from, const char *end)
{
    enum { LANES = 32 };
    uint32_t count = 0;

    while (end - from >= LANES) {
        uint8_t lanes[LANES] = {0};
        for (int rounds = 0; rounds < 255 && end - from >= LANES; rounds++, from += LANES)
            for (int i = 0; i < LANES; i++)
                lanes[i] = (uint8_t)(lanes[i] + (from[i] == '\n'));
        for (int i = 0; i < LANES; i++)
            count += lanes[i];
    }
    for (; from < end; from++)
        count += *from == '\n';
    return count;
}

/* ---- Mapping ----------------------------------------------------------------------------------------------------- */

/* A block is emitted when it has so much: three fill a page. */
enum { BLOCK_BYTES = 5250, HEAD_SIZE = 3 * sizeof(uint32_t) };

/* "(standard input)" is what people know it by. */
static const char *shown_name(const tq_record *record)
{
    return strcmp(record->file, "-") == 0 ? "(standard input)" : record->file;
}

/* Items begin with the number of newlines in the block, two bits, and the name with its size. */
enum { SHOWS_NAME = 1, HAS_SOME = 2 };

static bool begin_block(piece *p, const char *at)
{
    const char *name = shown_name(p->record);
    uint32_t head[3] = {0, 0, (uint32_t)strlen(name)};
    p->block = at;
    p->worker->found.size = 0;
    return !p->job->items ||
           (put(&p->worker->found, (const char *)head, HEAD_SIZE) && put(&p->worker->found, name, head[2]));
}

static bool emit_block(piece *p)
{
    buffer *found = &p->worker->found;
    char key[12];
    uint32_t head[2] = {p->line, (p->name != NULL ? SHOWS_NAME : 0) | (p->selected > 0 ? HAS_SOME : 0)};
    if (p->job->items)
        memcpy(found->data, head, sizeof head);
    put_big_endian(key, p->record->file_number, 4);
    put_big_endian(key + 4, p->record->offset + (uint64_t)(p->block - p->record->data), 8);
    return tq_emit(p->emitter, (tq_slice){key, sizeof key}, (tq_slice){found->data, found->size}) == TQ_OK;
}

/* What begins at text has been put. What comes next begins behind that place, and so may the next block, whose key must be
 * another. */
static bool end_put(piece *p, const char *text)
{
    p->counted = text;
    if (p->worker->found.size < BLOCK_BYTES)
        return true;
    bool is_emitted = emit_block(p);
    p->line = 0;
    return is_emitted && begin_block(p, text + 1);
}

/* An item: where in the block, the number of newlines before it there, its size, its bytes. */
static bool put_item(piece *p, tq_slice text)
{
    if (p->job->settings->line_number)
        p->line += count_newlines(p->counted, text.data);
    uint32_t head[3] = {(uint32_t)(text.data - p->block), p->line, (uint32_t)text.size};
    return put(&p->worker->found, (const char *)head, HEAD_SIZE) && put(&p->worker->found, text.data, text.size);
}

/* "NAME:", "NAME:OFFSET:" or nothing. */
static bool put_front(piece *p, const char *at)
{
    char offset[24];
    if (p->name != NULL && (!put(&p->worker->found, p->name, strlen(p->name)) || !put(&p->worker->found, ":", 1)))
        return false;
    if (!p->job->settings->byte_offset)
        return true;
    int size = snprintf(offset, sizeof offset,
                        "%llu:", (unsigned long long)(p->record->offset + (uint64_t)(at - p->record->data)));
    return put(&p->worker->found, offset, (size_t)size);
}

/* A line, or a part of one. */
static bool put_selected(piece *p, tq_slice text)
{
    if (p->job->items)
        return put_item(p, text) && end_put(p, text.data);
    if ((p->name != NULL || p->job->settings->byte_offset) && !put_front(p, text.data))
        return false;
    char *at = reserve(&p->worker->found, text.size + 1);
    if (at == NULL)
        return false;
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    at[text.size] = '\n';
    p->worker->found.size += text.size + 1;
    return end_put(p, text.data);
}

static int fail(const piece *p, search_result result)
{
    return result == SEARCH_FAILED ? tq_emit_fail(p->emitter, "%s", search_why(p->worker->state))
                                   : tq_emit_fail(p->emitter, "no memory for the lines that were found");
}

/* As they are, many at a time. */
static bool copy_lines(piece *p, const char *begin, const char *end)
{
    while (begin < end) {
        const char *most = end - begin > BLOCK_BYTES ? begin + BLOCK_BYTES : end;
        const char *newline = most < end ? memchr(most, '\n', (size_t)(end - most)) : NULL;
        const char *stop = newline != NULL ? newline + 1 : end;
        if (!put(&p->worker->found, begin, (size_t)(stop - begin)) ||
            (stop[-1] != '\n' && !put(&p->worker->found, "\n", 1)) || !end_put(p, begin))
            return false;
        p->selected++;
        begin = stop;
    }
    return true;
}

/* The whole lines in [begin, end), which are all selected. */
static bool select_lines(piece *p, const char *begin, const char *end)
{
    const grep_settings *settings = p->job->settings;
    bool counts = settings->count || settings->files;
    if (!counts && !p->job->items && p->name == NULL && !settings->byte_offset)
        return copy_lines(p, begin, end);
    while (begin < end) {
        const char *newline = memchr(begin, '\n', (size_t)(end - begin));
        const char *line_end = newline != NULL ? newline : end;
        if (!counts && !put_selected(p, (tq_slice){begin, (size_t)(line_end - begin)}))
            return false;
        p->selected++;
        begin = newline != NULL ? newline + 1 : end;
    }
    return true;
}

static search_result select_matches(piece *p, tq_slice line)
{
    search_result result;
    tq_slice found;
    size_t from = 0;
    while ((result = search_in_line(p->job->search, p->worker->state, line, &from, &found)) == SEARCH_FOUND)
        if (!put_selected(p, found))
            return SEARCH_FOUND; /* no memory */
    return result;
}

/* A line that matches. SEARCH_NONE: all went well. */
static search_result select_line(piece *p, tq_slice line)
{
    const grep_settings *settings = p->job->settings;
    p->selected++;
    if (settings->count || settings->files)
        return SEARCH_NONE;
    if (settings->only_matching)
        return select_matches(p, line);
    return put_selected(p, line) ? SEARCH_NONE : SEARCH_FOUND;
}

/* Select what is to be selected. SEARCH_NONE: all went well; SEARCH_FOUND: no memory. */
static search_result select_all(piece *p)
{
    const grep_settings *settings = p->job->settings;
    tq_slice text = {p->record->data, p->record->size}, line;
    const char *end = text.data + text.size;
    search_result result;
    while ((result = search_line(p->job->search, p->worker->state, text, &line)) == SEARCH_FOUND) {
        if (settings->invert && !select_lines(p, text.data, line.data))
            return SEARCH_FOUND;
        if (!settings->invert && (result = select_line(p, line)) != SEARCH_NONE)
            return result;
        const char *next = line.data + line.size + 1;
        text = next < end ? (tq_slice){next, (size_t)(end - next)} : (tq_slice){end, 0};
        if (settings->files && p->selected > 0)
            return SEARCH_NONE;
    }
    if (result == SEARCH_NONE && settings->invert && !select_lines(p, text.data, end))
        return SEARCH_FOUND;
    return result;
}

/* The state of this worker, which nobody else looks at; made when it is needed first. */
static worker *worker_of(grep *job, int index)
{
    worker *w = job->workers[index];
    if (w != NULL)
        return w;
    w = calloc(1, sizeof *w);
    if (w == NULL || (w->state = search_state_new(job->search)) == NULL) {
        free(w);
        return NULL;
    }
    return job->workers[index] = w;
}

/* The number of the file, whether its name is shown, and the name. */
static int emit_count(const piece *p)
{
    buffer *key = &p->worker->found;
    const char *name = shown_name(p->record);
    char head[5];
    put_big_endian(head, p->record->file_number, 4);
    head[4] = p->name != NULL;
    if (!put(key, head, sizeof head) || !put(key, name, strlen(name)))
        return fail(p, SEARCH_FOUND);
    return (int)tq_emit_i64(p->emitter, (tq_slice){key->data, key->size}, (int64_t)p->selected);
}

/* The last block. With line numbers one is emitted of each piece, for its newlines. */
static int emit_rest(piece *p)
{
    const char *end = p->record->data + p->record->size;
    if (p->selected == 0 && !p->job->settings->line_number)
        return 0;
    if (p->job->settings->line_number)
        p->line += count_newlines(p->counted, end);
    return emit_block(p) ? 0 : fail(p, SEARCH_FOUND);
}

static int search_piece(const tq_record *record, tq_emitter *emitter, void *user)
{
    grep *job = user;
    const grep_settings *settings = job->settings;
    worker *w = worker_of(job, tq_emitter_worker(emitter));
    bool shows =
        settings->file_names == NAMES_AUTO ? job->names || record->files > 1 : settings->file_names == NAMES_ALWAYS;
    if (w == NULL)
        return tq_emit_fail(emitter, "no memory for a search");
    piece p = {.job = job, .emitter = emitter, .record = record, .worker = w};
    p.name = shows ? shown_name(record) : NULL;
    p.counted = record->data;
    if (!begin_block(&p, record->data))
        return fail(&p, SEARCH_FOUND);
    search_result result = select_all(&p);
    if (result != SEARCH_NONE)
        return fail(&p, result);
    if (settings->files && p.selected == 0)
        return 0;
    return settings->count || settings->files ? emit_count(&p) : emit_rest(&p);
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static const tq_slice newline = {"\n", 1}, colon = {":", 1};

static bool put_string(tq_text *text, const char *string)
{
    return tq_text_put(text, (tq_slice){string, strlen(string)}) == TQ_OK;
}

/* NAME:COUNT, COUNT, or with --files NAME. */
static int write_count(const tq_row *row, tq_text *text, void *user)
{
    grep *job = user;
    if (row == NULL) /* there are no more */
        return 0;
    tq_slice name = {row->key.data + 5, row->key.size - 5};
    job->matched |= row->i64 > 0;
    if (job->settings->files)
        return tq_text_put(text, name) || tq_text_put(text, newline);
    if (row->key.data[4] && (tq_text_put(text, name) || tq_text_put(text, colon)))
        return 1;
    return tq_text_put_number(text, row->i64) || tq_text_put(text, newline);
}

static int write_json_count(const tq_row *row, tq_text *text, void *user)
{
    grep *job = user;
    if (row == NULL) /* there are no more */
        return 0;
    job->matched |= row->i64 > 0;
    if (!put_string(text, "{\"file\":") || tq_text_put_json(text, (tq_slice){row->key.data + 5, row->key.size - 5}))
        return 1;
    if (!job->settings->files && (!put_string(text, ",\"count\":") || tq_text_put_number(text, row->i64)))
        return 1;
    return !put_string(text, "}\n");
}

/* The items of a block, one after the other. */
typedef struct items {
    tq_slice name;
    bool shows_name;
    uint64_t line, offset; /* of the block */
    const char *at, *end;
} items;

typedef struct item {
    uint64_t line, offset;
    tq_slice text;
} item;

static items open_items(grep *job, const tq_row *row)
{
    uint32_t head[3];
    memcpy(head, row->value.data, sizeof head);
    const char *name = row->value.data + sizeof head;
    uint64_t file_number = get_big_endian(row->key.data, 4);
    items result = {{name, head[2]}, (head[1] & SHOWS_NAME) != 0,      0, get_big_endian(row->key.data + 4, 8),
                    name + head[2],  row->value.data + row->value.size};
    if (!job->settings->line_number)
        return result;
    result.line = file_number == job->file_number ? job->lines : 0;
    job->file_number = file_number;
    job->lines = result.line + head[0];
    job->matched |= (head[1] & HAS_SOME) != 0;
    return result;
}

static bool next_item(items *all, item *next)
{
    uint32_t head[3];
    if (all->at == all->end)
        return false;
    memcpy(head, all->at, sizeof head);
    *next = (item){all->line + head[1] + 1, all->offset + head[0], {all->at + HEAD_SIZE, head[2]}};
    all->at = next->text.data + next->text.size;
    return true;
}

static int write_items(const tq_row *row, tq_text *text, void *user)
{
    grep *job = user;
    if (row == NULL)
        return 0;
    items all = open_items(job, row);
    item one;
    while (next_item(&all, &one)) {
        if (all.shows_name && (tq_text_put(text, all.name) || tq_text_put(text, colon)))
            return 1;
        if (tq_text_put_number(text, (int64_t)one.line) || tq_text_put(text, colon))
            return 1;
        if (job->settings->byte_offset && (tq_text_put_number(text, (int64_t)one.offset) || tq_text_put(text, colon)))
            return 1;
        if (tq_text_put(text, one.text) || tq_text_put(text, newline))
            return 1;
    }
    return 0;
}

static int write_json_items(const tq_row *row, tq_text *text, void *user)
{
    grep *job = user;
    if (row == NULL)
        return 0;
    items all = open_items(job, row);
    item one;
    while (next_item(&all, &one)) {
        if (!put_string(text, "{\"file\":") || tq_text_put_json(text, all.name))
            return 1;
        if (job->settings->line_number &&
            (!put_string(text, ",\"line\":") || tq_text_put_number(text, (int64_t)one.line)))
            return 1;
        if (!put_string(text, ",\"offset\":") || tq_text_put_number(text, (int64_t)one.offset) ||
            !put_string(text, ",\"text\":") || tq_text_put_json(text, one.text) || !put_string(text, "}\n"))
            return 1;
    }
    return 0;
}

/* ---- The job ----------------------------------------------------------------------------------------------------- */

static bool check(const tq_job *job, const grep_settings *asked, char *why, size_t size)
{
    const char *wrong = NULL;
    if (asked->count && asked->files)
        wrong = "--count and --files cannot both be meant";
    else if (asked->invert && asked->only_matching)
        wrong = "--invert and --only-matching cannot both be meant: such a line has no match";
    else if (job->order == TQ_ORDER_NONE)
        wrong = "the lines of grep have one order: leave out --sort none";
    else if (job->order == TQ_ORDER_VALUE_DESC && !asked->count)
        wrong = "--top is for the largest counts: it needs --count";
    if (wrong != NULL)
        snprintf(why, size, "%s", wrong);
    return wrong == NULL;
}

static void describe_rows(tq_job *job, grep *made)
{
    const grep_settings *asked = made->settings;
    if (asked->count || asked->files) {
        job->value_type = TQ_I64;
        job->combine = TQ_SUM;
        job->write_text = write_count;
        job->write_json = write_json_count;
        job->write_in_order = true; /* they are few */
        return;
    }
    job->value_type = TQ_BYTES;
    job->order = TQ_ORDER_STABLE;
    job->raw_text = true;
    job->row_text = TQ_ROW_VALUE_BYTES;
    job->write_text = made->items ? write_items : NULL;
    job->write_json = write_json_items;
    job->write_in_order = asked->line_number;
}

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    const grep_settings *asked = settings;
    search_options options = {asked->patterns.items, asked->patterns.n, asked->fixed, asked->ignore_case,
                              asked->words,          asked->lines,      asked->bytes};
    if (!check(job, asked, why, size))
        return false;
    grep *made = calloc(1, sizeof *made);
    snprintf(why, size, "out of memory");
    if (made == NULL || (made->search = search_new(&options, why, size)) == NULL) {
        free(made);
        return false;
    }
    made->settings = asked;
    made->names = job->n_inputs > 1 || job->recursive;
    made->items = !asked->count && !asked->files && (asked->line_number || job->format == TQ_JSON);
    made->file_number = UINT64_MAX;
    job->user = made;
    job->records = TQ_LINES;
    job->map_chunk = search_piece;
    describe_rows(job, made);
    return true;
}

static int end(void *user, const tq_stats *stats)
{
    grep *job = user;
    const grep_settings *settings = job->settings;
    bool in_order = settings->count || settings->files || settings->line_number;
    bool matched = in_order ? job->matched : stats != NULL && stats->rows > 0;
    for (int i = 0; i < TQ_MAX_WORKERS; i++)
        if (job->workers[i] != NULL) {
            search_state_free(job->workers[i]->state);
            free(job->workers[i]->found.data);
            free(job->workers[i]);
        }
    search_free(job->search);
    free(job);
    return matched ? 0 : 1;
}

#define AT(member) offsetof(grep_settings, member)

static const option_row rows[] = {
    {.name = "regexp",
     .letter = 'e',
     .argument = "PATTERN",
     .type = OPTION_TEXTS,
     .offset = AT(patterns),
     .help = "instead of PATTERN; given again: either"},
    {.name = "fixed",
     .letter = 'F',
     .type = OPTION_FLAG,
     .offset = AT(fixed),
     .help = "PATTERN is a string, not an expression"},
    {.name = "ignore-case",
     .letter = 'i',
     .type = OPTION_FLAG,
     .offset = AT(ignore_case),
     .help = "letters of either case match"},
    {.name = "invert", .letter = 'v', .type = OPTION_FLAG, .offset = AT(invert), .help = "lines that do not match"},
    {.name = "whole-words",
     .letter = 'w',
     .type = OPTION_FLAG,
     .offset = AT(words),
     .help = "no letter, digit or _ beside a match"},
    {.name = "whole-lines",
     .letter = 'x',
     .type = OPTION_FLAG,
     .offset = AT(lines),
     .help = "a match is all of its line"},
    {.name = "bytes", .type = OPTION_FLAG, .offset = AT(bytes), .help = "characters are bytes, not those of UTF-8"},
    {.name = "only-matching",
     .type = OPTION_FLAG,
     .offset = AT(only_matching),
     .help = "each match, not its whole line"},
    {.name = "count",
     .letter = 'c',
     .type = OPTION_FLAG,
     .offset = AT(count),
     .help = "how many lines, of each file but empty ones"},
    {.name = "files",
     .letter = 'l',
     .type = OPTION_FLAG,
     .offset = AT(files),
     .help = "the names of files with such a line"},
    {.name = "line-number",
     .type = OPTION_FLAG,
     .offset = AT(line_number),
     .help = "its number in front (-n is --ranks)"},
    {.name = "byte-offset",
     .letter = 'b',
     .type = OPTION_FLAG,
     .offset = AT(byte_offset),
     .help = "where it begins in its file in front"},
    {.name = "filename",
     .argument = "auto|always|never",
     .type = OPTION_CHOICE,
     .offset = AT(file_names),
     .preset = "auto",
     .help = "in front; auto: of several"},
};

const jobs_entry jobs_grep = {
    .name = "grep",
    .summary = "find the lines that match a pattern",
    .usage = "Prints the lines in which PATTERN, an expression in the syntax of PCRE2 (Perl), is\n"
             "found, in the order of the input, each without regard to those around it.\n"
             "\n"
             "    tequio grep -i 'colou?r' *.txt           in either case\n"
             "    tequio grep -F -e one -e two FILE        lines with one of two strings\n"
             "    tequio grep --count --top 9 TODO -r DIR  the files with the most of them\n"
             "\n"
             "The exit code is 1 if there is no such line. NUL and other bytes are searched\n"
             "like any. What the command uses -o, -n and -h for has no letter here:\n"
             "--only-matching, --line-number, --filename never.\n",
    .operand = "PATTERN",
    .operand_row = &rows[0],
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .settings_bytes = sizeof(grep_settings),
    .describe = describe,
    .end = end,
};
