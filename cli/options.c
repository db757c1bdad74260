#include "cli/options.h"
#include "cli/values.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The table --------------------------------------------------------------------------------------------------- */

#define AT(member) offsetof(cli_options, member)

static const option_row table[] = {
    {"ranks", 'n', "N", OPTION_COUNT, AT(ranks), NULL, "processes, started here by mpirun (this one alone)",
     "TEQUIO_RANKS", 1, 1000000},
    {"hostfile", 0, "FILE", OPTION_STRING, AT(hostfile), NULL, "hosts to run on: lines of NAME slots=N",
     "TEQUIO_HOSTFILE", 0, 0},
    {"threads", 't', "N", OPTION_COUNT, AT(threads), "auto", "threads a rank; 0: all in one, in order",
     "TEQUIO_THREADS", 0, TQ_MAX_WORKERS},
    {"recursive", 'r', NULL, OPTION_FLAG, AT(recursive), NULL, "read folders and all that is in them", NULL, 0, 0},
    {"decompress", 0, "auto|none", OPTION_CHOICE, AT(decompress), "auto", "read gzip, bzip2, xz, zstd, lz4 as text", NULL, 0,
     0},
    {"output", 'o', "FILE", OPTION_STRING, AT(output), NULL, "write here, when it is whole (standard output)", NULL, 0,
     0},
    {"top", 0, "N", OPTION_COUNT, AT(top), NULL, "only the N rows of the largest values, these first", NULL, 1, 0},
    {"format", 0, "text|json", OPTION_CHOICE, AT(format), "text", "key TAB value, or a JSON object, a line", NULL, 0,
     0},
    {"sort", 0, "key|none", OPTION_CHOICE, AT(sort), "key", "order of the rows, without --top", NULL, 0, 0},
    {"split-size", 0, "SIZE", OPTION_SIZE, AT(split_bytes), NULL, "bytes handed out at a time (by input)",
     "TEQUIO_SPLIT_SIZE", 1, 0},
    {"round-bytes", 0, "SIZE", OPTION_SIZE, AT(round_bytes), NULL, "most bytes a rank sends at a time (8M or 2M)",
     "TEQUIO_ROUND_BYTES", 1, 0},
    {"memory", 0, "SIZE", OPTION_SIZE, AT(memory_bytes), NULL, "most memory of a rank (half of the free / ranks)",
     "TEQUIO_MEMORY", 1, 0},
    {"tmpdir", 0, "DIR", OPTION_STRING, AT(tmpdir), NULL, "for what does not fit in memory ($TMPDIR or /tmp)",
     "TEQUIO_TMPDIR", 0, 0},
    {"spill-limit", 0, "SIZE", OPTION_SIZE, AT(spill_bytes), NULL, "most that a rank writes there (disk less 1G)",
     "TEQUIO_SPILL_LIMIT", 1, 0},
    {"spill-compression", 0, "none|lz4|zstd", OPTION_CHOICE, AT(spill_compression), "none", "of what goes to --tmpdir",
     "TEQUIO_SPILL_COMPRESSION", 0, 0},
    {"interval", 0, "SECONDS", OPTION_SECONDS, AT(interval_s), "0.5", "time between progress reports",
     "TEQUIO_INTERVAL", 0, 86400},
    {"progress", 0, "auto|bar|lines|json|none", OPTION_CHOICE, AT(progress), "auto", "on standard error",
     "TEQUIO_PROGRESS", 0, 0},
    {"quiet", 'q', NULL, OPTION_FLAG, AT(quiet), NULL, "print nothing but the result and errors", "TEQUIO_QUIET", 0, 0},
    {"stats", 0, "FILE", OPTION_STRING, AT(stats), NULL, "write seconds, bytes, records, memory as JSON", NULL, 0, 0},
    {"version", 0, NULL, OPTION_FLAG, AT(version), NULL, "print the version", NULL, 0, 0},
    {"help", 'h', NULL, OPTION_FLAG, AT(help), NULL, "print this", NULL, 0, 0},
};

enum { TABLE_ROWS = sizeof table / sizeof table[0], SPELLED_SIZE = 128 };

const option_row *cli_options_rows(size_t *n)
{
    *n = TABLE_ROWS;
    return table;
}

/* ---- Walking over argv ------------------------------------------------------------------------------------------- */

typedef struct walker {
    char **argv;
    int argc, at;          /* at: the next argument */
    const char *cluster;   /* what is left of an argument such as "-rt4", NULL if nothing */
    bool options_ended;    /* "--" was seen */
    const jobs_entry *job; /* whose option is meant where jobs share a name; NULL while that is not known */
    char *why;
    size_t why_size;
} walker;

typedef struct item {
    const option_row *row;   /* NULL: not an option but value itself */
    const jobs_entry *owner; /* the job whose option it is, NULL for the command's */
    const char *value;       /* NULL for a flag */
    char spelled[SPELLED_SIZE];
} item;

typedef enum walk { WALK_ITEM, WALK_END, WALK_ERROR } walk;

static bool row_is(const option_row *row, const char *name, size_t length, char letter)
{
    return letter != 0 ? row->letter == letter : strlen(row->name) == length && memcmp(row->name, name, length) == 0;
}

static bool find_in_job(const jobs_entry *job, const char *name, size_t length, char letter, item *found)
{
    for (size_t i = 0; job != NULL && i < job->n_rows; i++)
        if (row_is(&job->rows[i], name, length, letter)) {
            found->row = &job->rows[i];
            found->owner = job;
            return true;
        }
    return false;
}

/* Whether an option is the command's own that fills the member at offset. */
static bool is_own(const item *given, size_t offset)
{
    return given->row != NULL && given->owner == NULL && given->row->offset == offset;
}

/* By letter, or by name if letter is 0. */
static bool find_row(const walker *w, const char *name, size_t length, char letter, item *found)
{
    for (size_t i = 0; i < TABLE_ROWS; i++)
        if (row_is(&table[i], name, length, letter)) {
            found->row = &table[i];
            found->owner = NULL;
            return true;
        }
    bool is_found = find_in_job(w->job, name, length, letter, found);
    for (size_t i = 0; !is_found && jobs_at(i) != NULL; i++)
        is_found = find_in_job(jobs_at(i), name, length, letter, found);
    return is_found;
}

/* Take the value of found from attached (NULL if nothing is) or from the next argument. */
static walk take_value(walker *w, const char *attached, item *found)
{
    if (attached == NULL && w->at < w->argc)
        attached = w->argv[w->at++];
    if (attached == NULL) {
        snprintf(w->why, w->why_size, "%s needs a value (%s)", found->spelled, found->row->argument);
        return WALK_ERROR;
    }
    found->value = attached;
    return WALK_ITEM;
}

static walk next_letter(walker *w, item *found)
{
    char letter = *w->cluster++;
    const char *rest = *w->cluster != '\0' ? w->cluster : NULL;
    w->cluster = rest;
    snprintf(found->spelled, sizeof found->spelled, "-%c", letter);
    if (!find_row(w, NULL, 0, letter, found)) {
        snprintf(w->why, w->why_size, "there is no option -%c", letter);
        return WALK_ERROR;
    }
    if (found->row->type == OPTION_FLAG)
        return WALK_ITEM;
    w->cluster = NULL;
    return take_value(w, rest, found);
}

static walk next_long(walker *w, const char *argument, item *found)
{
    const char *name = argument + 2;
    size_t length = strcspn(name, "=");
    const char *attached = name[length] == '=' ? name + length + 1 : NULL;
    snprintf(found->spelled, sizeof found->spelled, "--%.*s", (int)(length < 100 ? length : 100), name);
    if (!find_row(w, name, length, 0, found)) {
        snprintf(w->why, w->why_size, "there is no option %s", found->spelled);
        return WALK_ERROR;
    }
    if (found->row->type != OPTION_FLAG)
        return take_value(w, attached, found);
    if (attached != NULL) {
        snprintf(w->why, w->why_size, "%s takes no value", found->spelled);
        return WALK_ERROR;
    }
    return WALK_ITEM;
}

static walk next_item(walker *w, item *found)
{
    *found = (item){0};
    if (w->cluster != NULL)
        return next_letter(w, found);
    if (w->at == w->argc)
        return WALK_END;
    const char *argument = w->argv[w->at++];
    if (!w->options_ended && strcmp(argument, "--") == 0) {
        w->options_ended = true;
        return next_item(w, found);
    }
    if (w->options_ended || argument[0] != '-' || argument[1] == '\0') {
        found->value = argument;
        return WALK_ITEM;
    }
    if (argument[1] == '-')
        return next_long(w, argument, found);
    w->cluster = argument + 1;
    return next_letter(w, found);
}

/* ---- Parsing ----------------------------------------------------------------------------------------------------- */

/* The presets, and on top of them the environment. */
static bool preset_rows(const option_row *rows, size_t n, void *base, cli_options *options, char *why, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = rows[i].environment != NULL ? getenv(rows[i].environment) : NULL;
        bool is_set = text != NULL && *text != '\0';
        if (rows[i].preset != NULL && !cli_value_store(&rows[i], base, rows[i].preset, rows[i].name, why, size))
            return false;
        if (is_set && !cli_value_store(&rows[i], base, text, rows[i].environment, why, size))
            return false;
        if (is_set && base == options && rows[i].offset == AT(interval_s))
            options->interval_given = true;
    }
    return true;
}

/* The job's name is the first argument that is no option; which ones are is known without knowing the job. */
static tq_status find_job(walker w, cli_options *options)
{
    item found;
    walk step = next_item(&w, &found);
    while (step == WALK_ITEM && found.row != NULL) {
        options->help = options->help || is_own(&found, AT(help));
        step = next_item(&w, &found);
    }
    if (step == WALK_ERROR)
        return TQ_E_USAGE;
    options->job = step == WALK_ITEM ? jobs_find(found.value) : NULL;
    if (step == WALK_ITEM && options->job == NULL) {
        int used = snprintf(w.why, w.why_size, "there is no job '%.100s'; the jobs are:", found.value);
        for (size_t i = 0; jobs_at(i) != NULL && used > 0 && (size_t)used < w.why_size; i++)
            used += snprintf(w.why + used, w.why_size - (size_t)used, " %s", jobs_at(i)->name);
        return TQ_E_USAGE;
    }
    return TQ_OK;
}

/* Keep an option for the command line of the ranks. */
static bool forward_option(cli_options *options, const item *given)
{
    size_t size = strlen(given->row->name) + (given->value != NULL ? strlen(given->value) : 0) + 4;
    char *text = malloc(size);
    if (text == NULL)
        return false;
    snprintf(text, size, given->value != NULL ? "--%s=%s" : "--%s", given->row->name, given->value);
    options->forward[options->n_forward++] = text;
    options->n_heads = options->n_forward;
    return true;
}

static tq_status apply_option(walker *w, cli_options *options, const item *given)
{
    if (given->owner != NULL && given->owner != options->job) {
        snprintf(w->why, w->why_size, "%s is an option of the job %s", given->spelled, given->owner->name);
        return TQ_E_USAGE;
    }
    void *base = given->owner != NULL ? options->settings : options;
    const char *text = given->value != NULL ? given->value : "1";
    if (!cli_value_store(given->row, base, text, given->spelled, w->why, w->why_size))
        return TQ_E_USAGE;
    bool is_for_launcher = is_own(given, AT(ranks)) || is_own(given, AT(hostfile));
    options->ranks_typed = options->ranks_typed || is_for_launcher;
    options->interval_given = options->interval_given || is_own(given, AT(interval_s));
    return is_for_launcher || forward_option(options, given) ? TQ_OK : TQ_E_MEMORY;
}

static tq_status apply_items(walker *w, cli_options *options)
{
    item found;
    walk step;
    while ((step = next_item(w, &found)) == WALK_ITEM) {
        if (found.row == NULL) {
            options->inputs[options->n_inputs++] = found.value;
            continue;
        }
        tq_status status = apply_option(w, options, &found);
        if (status != TQ_OK)
            return status;
    }
    return step == WALK_END ? TQ_OK : TQ_E_USAGE;
}

/* Whether something stands in front of the inputs: not where the option that it would be a value of is given. */
static bool has_operand(const cli_options *options)
{
    const jobs_entry *job = options->job;
    if (job == NULL || job->operand == NULL)
        return false;
    return job->operand_row == NULL || ((option_list *)cli_value_at(job->operand_row, options->settings))->n == 0;
}

/* What is loaded stands where it was named, not where libraries are, and ranks may be in another folder. In one that has
 * no name any more the path must do as it is. */
static char *absolute(const char *path)
{
    char *folder = path[0] != '/' ? getcwd(NULL, 0) : NULL, *result = NULL;
    if (folder != NULL && strncmp(path, "./", 2) == 0)
        path += 2;
    int length = folder != NULL ? asprintf(&result, "%s/%s", folder, path) : asprintf(&result, "%s", path);
    free(folder);
    return length >= 0 ? result : NULL;
}

/* A file becomes a path that is the same for all ranks. */
static tq_status take_operand(walker *w, cli_options *options, const char **operand)
{
    const jobs_entry *job = options->job;
    if (job->operand_row != NULL)
        return cli_value_store(job->operand_row, options->settings, *operand, job->operand, w->why, w->why_size)
                   ? TQ_OK
                   : TQ_E_MEMORY;
    options->plugin = absolute(*operand);
    *operand = options->plugin;
    return options->plugin != NULL ? TQ_OK : TQ_E_MEMORY;
}

/* inputs holds the job's name, its operand and the files: take the first two off, and finish the command line of the
 * ranks. */
static tq_status finish_lists(walker *w, cli_options *options)
{
    size_t first = has_operand(options) ? 2 : 1;
    if (options->n_inputs < first)
        return TQ_OK; /* help */
    if (first == 2 && take_operand(w, options, &options->inputs[1]) != TQ_OK)
        return TQ_E_MEMORY;
    options->forward[options->n_forward++] = (char *)"--";
    for (size_t i = 0; i < options->n_inputs; i++)
        options->forward[options->n_forward++] = (char *)options->inputs[i];
    options->n_inputs -= first;
    memmove(options->inputs, options->inputs + first, options->n_inputs * sizeof *options->inputs);
    if (options->n_inputs == 0)
        options->inputs[options->n_inputs++] = "-";
    return TQ_OK;
}

static tq_status allocate(int argc, cli_options *options)
{
    size_t most = (size_t)argc + 4;
    options->inputs = calloc(most, sizeof *options->inputs);
    options->forward = calloc(most, sizeof *options->forward);
    if (options->inputs == NULL || options->forward == NULL)
        return TQ_E_MEMORY;
    if (options->job != NULL && options->job->settings_bytes > 0 &&
        (options->settings = calloc(1, options->job->settings_bytes)) == NULL)
        return TQ_E_MEMORY;
    return TQ_OK;
}

static tq_status parse(walker *w, cli_options *options)
{
    tq_status status = find_job(*w, options);
    if (options->help || status != TQ_OK)
        return options->help ? TQ_OK : status;
    if ((status = allocate(w->argc, options)) != TQ_OK)
        return status;
    const jobs_entry *job = w->job = options->job;
    if (!preset_rows(table, TABLE_ROWS, options, options, w->why, w->why_size) ||
        (job != NULL && !preset_rows(job->rows, job->n_rows, options->settings, options, w->why, w->why_size)))
        return TQ_E_USAGE;
    if ((status = apply_items(w, options)) != TQ_OK)
        return status;
    if (job == NULL && !options->help && !options->version) {
        snprintf(w->why, w->why_size, "which job? For example: tequio wordcount FILE");
        return TQ_E_USAGE;
    }
    if (has_operand(options) && options->n_inputs < 2 && !options->help && !options->version) {
        if (job->operand_row != NULL)
            snprintf(w->why, w->why_size, "%s needs a %s", job->name, job->operand);
        else
            snprintf(w->why, w->why_size, "which job? For example: tequio %s ./job.so FILE", job->name);
        return TQ_E_USAGE;
    }
    return finish_lists(w, options);
}

tq_status cli_options_parse(int argc, char **argv, cli_options *options, char *why, size_t size)
{
    *options = (cli_options){0};
    snprintf(why, size, "out of memory");
    walker w = {.argv = argv, .argc = argc, .at = 1, .why = why, .why_size = size};
    return parse(&w, options);
}

void cli_options_free(cli_options *options)
{
    for (size_t i = 0; i < options->n_heads; i++)
        free(options->forward[i]);
    free(options->forward);
    free(options->inputs);
    for (size_t i = 0; options->settings != NULL && i < options->job->n_rows; i++)
        if (options->job->rows[i].type == OPTION_LIST || options->job->rows[i].type == OPTION_TEXTS)
            free(((option_list *)cli_value_at(&options->job->rows[i], options->settings))->items);
    free(options->settings);
    free(options->plugin);
    *options = (cli_options){0};
}

bool cli_options_read_stdin(const cli_options *options)
{
    for (size_t i = 0; i < options->n_inputs; i++)
        if (strcmp(options->inputs[i], "-") == 0)
            return true;
    return false;
}
