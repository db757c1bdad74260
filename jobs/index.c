/* index: an inverted index: for each word the files that hold it, and how often each of them does.
 *
 * What is counted is (word, file), so that the engine combines and sorts it as any other count: the key is the word, a byte
 * 0 and the number of the file, highest byte first. A 0 or 1 in a word is written as 1 1 or 1 2, which keeps the order of
 * words and leaves no 0 but that. Keys that begin with 0 come first, since no word is empty, and carry the files' names:
 *
 *     0 | width | number | path        one for each file that has a word, and the width of numbers in bytes
 *     word | 0 | number
 *
 * Rank 0 gets all of them in order when it writes, and makes a line of all keys of a word. */
#include "jobs/batch.h"
#include "jobs/big_endian.h"
#include "jobs/jobs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MOST = 1024, KEY_BYTES = 32 << 10 }; /* made and emitted at a time */
enum { MARK = 0, ESCAPE = 1, NUMBER_MOST = 8 };

typedef struct index_settings {
    batch_words words;
    bool no_counts;
} index_settings;

static const option_row rows[] = {
    BATCH_WORDS_ROWS(offsetof(index_settings, words)),
    {.name = "no-counts",
     .type = OPTION_FLAG,
     .offset = offsetof(index_settings, no_counts),
     .help = "only in which files, not how often"},
};

typedef struct named_file {
    char *path;
    size_t place; /* among all paths in order; the same for equal ones */
} named_file;

typedef struct posting {
    size_t place;
    int64_t count;
} posting;

typedef struct word_bytes {
    char *bytes;
    size_t size, capacity;
} word_bytes;

/* The mapper reads settings; the rest belongs to the function that writes, on rank 0. */
typedef struct index_run {
    const index_settings *settings;
    size_t width; /* of the files' numbers */
    named_file *files;
    size_t n_files, files_capacity;
    const char **paths; /* by place; NULL until all files are known */
    tq_slice *shown;    /* by place: what stands for the file in a line, but its count */
    word_bytes shown_bytes;
    word_bytes word;    /* whose postings these are, as in its keys */
    word_bytes line;    /* the word as it is shown */
    posting *postings;
    size_t n_postings, postings_capacity;
} index_run;

/* ---- Map --------------------------------------------------------------------------------------------------------- */

typedef struct key_batch {
    tq_emitter *emitter;
    char number[NUMBER_MOST];
    size_t width;
    bool escapes; /* there is a byte in the record that must not stand in a key as it is */
    size_t n, used;
    tq_slice keys[KEYS_MOST];
    char bytes[KEY_BYTES];
} key_batch;

static size_t width_of(size_t files)
{
    size_t width = 1;

    while (width < sizeof files && (files - 1) >> 8 * width > 0)
        width++;
    return width;
}

static tq_status send(key_batch *batch)
{
    tq_status status = batch->n ? tq_emit_keys_i64(batch->emitter, batch->keys, batch->n, 1) : TQ_OK;

    batch->n = batch->used = 0;
    return status;
}

static size_t put_escaped(char *to, tq_slice word)
{
    size_t size = 0;

    for (size_t i = 0; i < word.size; i++) {
        unsigned char byte = (unsigned char)word.data[i];

        if (byte <= ESCAPE)
            to[size++] = ESCAPE;
        to[size++] = byte <= ESCAPE ? (char)(byte + 1) : (char)byte;
    }
    return size;
}

/* Writes the key of a word, and returns its size. */
static size_t put_key(const key_batch *batch, char *to, tq_slice word)
{
    size_t size = word.size;

    if (batch->escapes)
        size = put_escaped(to, word);
    else
        memcpy(to, word.data, size);
    to[size++] = MARK;
    memcpy(to + size, batch->number, batch->width);
    return size + batch->width;
}

static tq_status send_alone(key_batch *batch, tq_slice word, size_t most)
{
    char *bytes = malloc(most);

    if (!bytes) {
        tq_emit_fail(batch->emitter, "no memory for a word of %zu bytes", word.size);
        return TQ_E_USER;
    }
    tq_slice key = {bytes, put_key(batch, bytes, word)};
    tq_status status = tq_emit_keys_i64(batch->emitter, &key, 1, 1);
    free(bytes);
    return status;
}

static tq_status take(void *to, const tq_slice *words, size_t n)
{
    key_batch *batch = to;
    tq_status status = TQ_OK;

    for (size_t i = 0; i < n && !status; i++) {
        size_t most = (batch->escapes ? 2 : 1) * words[i].size + 1 + batch->width;

        if (batch->n == KEYS_MOST || most > sizeof batch->bytes - batch->used)
            status = send(batch);
        if (status)
            break;
        if (most > sizeof batch->bytes) {
            status = send_alone(batch, words[i], most);
            continue;
        }
        char *at = batch->bytes + batch->used;
        batch->keys[batch->n++] = (tq_slice){at, put_key(batch, at, words[i])};
        batch->used += most;
    }
    return status;
}

static tq_status send_name(const key_batch *batch, const char *path)
{
    size_t length = strlen(path), size = 2 + batch->width + length;
    char *key = malloc(size);

    if (!key) {
        tq_emit_fail(batch->emitter, "no memory for the name of a file");
        return TQ_E_USER;
    }
    key[0] = MARK;
    key[1] = (char)batch->width;
    memcpy(key + 2, batch->number, batch->width);
    memcpy(key + 2 + batch->width, path, length);
    tq_status status = tq_emit_keys_i64(batch->emitter, &(tq_slice){key, size}, 1, 1);
    free(key);
    return status;
}

static int map(const tq_record *record, tq_emitter *emitter, void *user)
{
    const index_run *run = user;
    key_batch batch;

    batch.emitter = emitter;
    batch.n = batch.used = 0;
    batch.width = width_of(record->files);
    put_big_endian(batch.number, record->file_number, batch.width);
    batch.escapes = memchr(record->data, MARK, record->size) || memchr(record->data, ESCAPE, record->size);
    if (send_name(&batch, record->file))
        return 1;
    return batch_words_of(record, emitter, &run->settings->words, take, &batch) || send(&batch);
}

/* ---- Write: memory ----------------------------------------------------------------------------------------------- */

static bool grow(void *array, size_t *capacity, size_t wanted, size_t each)
{
    if (wanted <= *capacity)
        return true;
    size_t enough = wanted + wanted / 2 + 16;
    void *grown = realloc(*(void **)array, enough * each);
    if (!grown)
        return false;
    *(void **)array = grown;
    *capacity = enough;
    return true;
}

static bool put_bytes(word_bytes *to, const char *bytes, size_t size)
{
    if (!grow(&to->bytes, &to->capacity, to->size + size, 1))
        return false;
    if (size > 0)
        memcpy(to->bytes + to->size, bytes, size);
    to->size += size;
    return true;
}

/* As TQ_TEXT has it, so that what stands between tabs and newlines is what was meant. */
static bool put_field(word_bytes *to, const char *bytes, size_t size)
{
    bool held = true;
    size_t plain = 0;

    for (size_t i = 0; i < size && held; i++) {
        char byte = bytes[i], letter = byte == '\t' ? 't' : byte == '\n' ? 'n' : byte == '\\' ? '\\' : '\0';

        if (!letter)
            continue;
        held = put_bytes(to, bytes + plain, i - plain) && put_bytes(to, (char[]){'\\', letter}, 2);
        plain = i + 1;
    }
    return held && put_bytes(to, bytes + plain, size - plain);
}

/* ---- Write: files ------------------------------------------------------------------------------------------------ */

static bool add_file(index_run *run, tq_slice key)
{
    size_t head = 2 + (size_t)key.data[1];

    run->width = (size_t)key.data[1];
    size_t number = (size_t)get_big_endian(key.data + 2, run->width);
    if (!grow(&run->files, &run->files_capacity, number + 1, sizeof *run->files))
        return false;
    while (run->n_files <= number)
        run->files[run->n_files++] = (named_file){0};
    run->files[number].path = strndup(key.data + head, key.size - head);
    return run->files[number].path != NULL;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* TAB PATH COLON, or without the last, for each of the paths. */
static bool show_paths(index_run *run, size_t places)
{
    word_bytes *bytes = &run->shown_bytes;

    run->shown = calloc(places + 1, sizeof *run->shown);
    if (!run->shown)
        return false;
    for (size_t i = 0; i < places; i++) {
        size_t before = bytes->size;

        if (!put_bytes(bytes, "\t", 1) || !put_field(bytes, run->paths[i], strlen(run->paths[i])) ||
            (!run->settings->no_counts && !put_bytes(bytes, ":", 1)))
            return false;
        run->shown[i].size = bytes->size - before;
    }
    for (size_t i = 0, at = 0; i < places; at += run->shown[i++].size)
        run->shown[i].data = bytes->bytes + at;
    return true;
}

/* All files are known: give each its place. */
static bool place_files(index_run *run)
{
    size_t n = 0, places = 0;
    const char **paths = calloc(run->n_files + 1, sizeof *paths);

    if (!paths)
        return false;
    for (size_t i = 0; i < run->n_files; i++)
        if (run->files[i].path)
            paths[n++] = run->files[i].path;
    if (n > 0)
        qsort(paths, n, sizeof *paths, by_path);
    for (size_t i = 0; i < n; i++)
        if (places == 0 || strcmp(paths[places - 1], paths[i]) != 0)
            paths[places++] = paths[i];
    for (size_t i = 0; i < run->n_files; i++)
        if (run->files[i].path) {
            const char *path = run->files[i].path;
            run->files[i].place = (size_t)((const char **)bsearch(&path, paths, places, sizeof *paths, by_path) - paths);
        }
    run->paths = paths;
    return show_paths(run, places);
}

/* ---- Write: lines ------------------------------------------------------------------------------------------------ */

static int by_place(const void *a, const void *b)
{
    size_t left = ((const posting *)a)->place, right = ((const posting *)b)->place;

    return (left > right) - (left < right);
}

/* By path, each file once. */
static void order_postings(index_run *run)
{
    posting *postings = run->postings;
    size_t n = 0;
    bool sorted = true;

    for (size_t i = 1; i < run->n_postings && sorted; i++)
        sorted = postings[i - 1].place < postings[i].place;
    if (sorted)
        return;
    qsort(postings, run->n_postings, sizeof *postings, by_place);
    for (size_t i = 0; i < run->n_postings; i++)
        if (n > 0 && postings[n - 1].place == postings[i].place)
            postings[n - 1].count += postings[i].count;
        else
            postings[n++] = postings[i];
    run->n_postings = n;
}

/* The word as it was, in place. */
static void unescape(word_bytes *word)
{
    size_t size = 0;

    if (!memchr(word->bytes, ESCAPE, word->size))
        return;
    for (size_t i = 0; i < word->size; i++) {
        bool escaped = word->bytes[i] == ESCAPE;

        i += escaped;
        word->bytes[size++] = (char)(word->bytes[i] - escaped);
    }
    word->size = size;
}

static int put_line(index_run *run, tq_text *text)
{
    tq_status status = TQ_OK;
    bool counts = !run->settings->no_counts;

    run->line.size = 0;
    if (!put_field(&run->line, run->word.bytes, run->word.size))
        return tq_text_fail(text, "no memory for a word");
    status = tq_text_put(text, (tq_slice){run->line.bytes, run->line.size});
    for (size_t i = 0; i < run->n_postings && !status; i++) {
        status = tq_text_put(text, run->shown[run->postings[i].place]);
        if (!status && counts)
            status = tq_text_put_number(text, run->postings[i].count);
    }
    return status || tq_text_put(text, (tq_slice){"\n", 1});
}

static tq_status put_object(const index_run *run, tq_text *text)
{
    bool counts = !run->settings->no_counts;
    tq_slice open = counts ? (tq_slice){",\"files\":{", 10} : (tq_slice){",\"files\":[", 10};
    tq_status status = tq_text_put(text, (tq_slice){"{\"word\":", 8});

    if (!status)
        status = tq_text_put_json(text, (tq_slice){run->word.bytes, run->word.size});
    if (!status)
        status = tq_text_put(text, open);
    for (size_t i = 0; i < run->n_postings && !status; i++) {
        const char *path = run->paths[run->postings[i].place];

        if (i > 0)
            status = tq_text_put(text, (tq_slice){",", 1});
        if (!status)
            status = tq_text_put_json(text, (tq_slice){path, strlen(path)});
        if (!status && counts)
            status = tq_text_put(text, (tq_slice){":", 1});
        if (!status && counts)
            status = tq_text_put_number(text, run->postings[i].count);
    }
    return status ? status : tq_text_put(text, counts ? (tq_slice){"}}\n", 3} : (tq_slice){"]}\n", 3});
}

/* All keys of a word have been seen. */
static int end_word(index_run *run, tq_text *text, bool json)
{
    if (run->n_postings == 0)
        return 0;
    unescape(&run->word);
    order_postings(run);
    if (json ? put_object(run, text) != TQ_OK : put_line(run, text) != 0)
        return 1;
    run->n_postings = 0;
    return 0;
}

static int write_row(const tq_row *row, tq_text *text, index_run *run, bool json)
{
    if (!row)
        return end_word(run, text, json);
    if (row->key.data[0] == MARK)
        return add_file(run, row->key) ? 0 : tq_text_fail(text, "no memory for the names of the files");
    if (!run->paths && !place_files(run))
        return tq_text_fail(text, "no memory for the names of the files");
    size_t size = row->key.size - run->width - 1;
    size_t number = (size_t)get_big_endian(row->key.data + size + 1, run->width);
    if (size != run->word.size || memcmp(row->key.data, run->word.bytes, size) != 0 || run->n_postings == 0) {
        if (end_word(run, text, json))
            return 1;
        run->word.size = 0;
        if (!put_bytes(&run->word, row->key.data, size))
            return tq_text_fail(text, "no memory for a word");
    }
    if (!grow(&run->postings, &run->postings_capacity, run->n_postings + 1, sizeof *run->postings))
        return tq_text_fail(text, "no memory for the files of a word");
    run->postings[run->n_postings++] = (posting){run->files[number].place, row->i64};
    return 0;
}

static int write_text(const tq_row *row, tq_text *text, void *user)
{
    return write_row(row, text, user, false);
}

static int write_json(const tq_row *row, tq_text *text, void *user)
{
    return write_row(row, text, user, true);
}

/* ---- The job ----------------------------------------------------------------------------------------------------- */

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    index_run *run = NULL;

    if (job->order != TQ_ORDER_KEY || job->limit > 0)
        snprintf(why, size, "index is in the order of the words: leave out --top and --sort none");
    else if (!(run = calloc(1, sizeof *run)))
        snprintf(why, size, "no memory");
    if (!run)
        return false;
    run->settings = settings;
    job->user = run;
    job->records = TQ_WORDS;
    job->map_chunk = map;
    job->value_type = TQ_I64;
    job->combine = TQ_SUM;
    job->write_text = write_text;
    job->write_json = write_json;
    job->write_in_order = true;
    return true;
}

static int end(void *user, const tq_stats *stats)
{
    index_run *run = user;

    (void)stats;
    for (size_t i = 0; i < run->n_files; i++)
        free(run->files[i].path);
    free(run->files);
    free(run->paths);
    free(run->shown);
    free(run->shown_bytes.bytes);
    free(run->word.bytes);
    free(run->line.bytes);
    free(run->postings);
    free(run);
    return 0;
}

const jobs_entry jobs_index = {
    .name = "index",
    .summary = "for each word the files that hold it",
    .usage = "Rows are WORD TAB FILE:COUNT TAB FILE:COUNT ..., by the bytes of the words, and\n"
             "in each row by those of the paths; or objects of JSON with word and files. A\n"
             "tab, newline or backslash in a path or word is written \\t \\n \\\\.\n"
             "\n"
             "    tequio index -r FOLDER\n"
             "    tequio index --no-counts --words alpha -i --format json *.txt\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .settings_bytes = sizeof(index_settings),
    .describe = describe,
    .end = end,
};
