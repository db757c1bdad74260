#include "cli/stats.h"
#include "cli/values.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* jansson takes valid UTF-8 alone, and names of files and hosts may be anything: bytes that are not become U+FFFD. */
static json_t *text_of(const char *bytes)
{
    json_t *string = json_string(bytes);
    if (string != NULL)
        return string;
    size_t n = 0;
    char *text = malloc(3 * strlen(bytes) + 1);
    if (text == NULL)
        return NULL;
    while (*bytes != '\0') {
        size_t length = 0;
        json_t *character = NULL; /* jansson itself is asked how long a valid character is here */
        while (character == NULL && length < 4 && bytes[length] != '\0')
            character = json_stringn(bytes, ++length);
        if (character == NULL)
            length = 1;
        memcpy(text + n, character != NULL ? bytes : "\xef\xbf\xbd", character != NULL ? length : 3);
        n += character != NULL ? length : 3;
        bytes += length;
        json_decref(character);
    }
    string = json_stringn(text, n);
    free(text);
    return string;
}

/* JSON has no size for numbers, but jansson's are signed with 64 bits: what is larger becomes text. */
static json_t *number_of(uint64_t value)
{
    return value <= INT64_MAX ? json_integer((json_int_t)value) : json_sprintf("%llu", (unsigned long long)value);
}

static json_t *account_of(const tq_account *account)
{
    return json_pack("{s:o, s:o, s:o}", "records", number_of(account->records), "weight", number_of(account->weight),
                     "check", json_sprintf("%016llx", (unsigned long long)account->check));
}

static json_t *option_of(const option_row *row, const void *base)
{
    const void *value = (const char *)base + row->offset;
    char text[64];
    switch (row->type) {
    case OPTION_FLAG: return json_boolean(*(const bool *)value);
    case OPTION_SIZE: return *(const uint64_t *)value != 0 ? number_of(*(const uint64_t *)value) : json_null();
    case OPTION_SECONDS: return json_real(*(const double *)value);
    case OPTION_CHOICE: return json_string(cli_value_text(row, base, text, sizeof text));
    case OPTION_STRING: return *(const char *const *)value != NULL ? text_of(*(const char *const *)value) : json_null();
    case OPTION_LIST:
    case OPTION_TEXTS: {
        const option_list *list = value;
        json_t *items = json_array();
        for (size_t i = 0; i < list->n; i++)
            json_array_append_new(items, text_of(list->items[i]));
        return items;
    }
    case OPTION_COUNT: {
        int64_t count = *(const int64_t *)value;
        bool is_given = count > 0 || (count == 0 && row->least == 0);
        return is_given ? json_integer(count) : count == OPTION_AUTO ? json_string("auto") : json_null();
    }
    }
    return json_null();
}

/* Which hosts and how many ranks is not for the ranks' options to say: mpirun has settled it. */
static json_t *options_of(const cli_options *options, int ranks)
{
    size_t n;
    const option_row *rows = cli_options_rows(&n);
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++)
        if (rows[i].offset != offsetof(cli_options, help) && rows[i].offset != offsetof(cli_options, version) &&
            rows[i].offset != offsetof(cli_options, hostfile))
            json_object_set_new(object, rows[i].name, option_of(&rows[i], options));
    json_object_set_new(object, "ranks", json_integer(ranks));
    if (options->plugin != NULL)
        json_object_set_new(object, "plugin", text_of(options->plugin));
    for (size_t i = 0; i < options->job->n_rows; i++)
        json_object_set_new(object, options->job->rows[i].name, option_of(&options->job->rows[i], options->settings));
    return object;
}

static json_t *phase_of(const tq_stats *stats, int phase)
{
    json_t *ranks = json_array();
    double longest = 0;
    int longest_rank = 0;
    uint64_t bytes = 0, records = 0;
    for (int r = 0; r < stats->ranks; r++) {
        const tq_rank_stats *rank = &stats->rank[r];
        bytes += rank->bytes[phase];
        records += rank->records[phase];
        if (rank->seconds[phase] > longest) {
            longest = rank->seconds[phase];
            longest_rank = r;
        }
        json_array_append_new(ranks,
                              json_pack("{s:i, s:f, s:o, s:o}", "rank", r, "seconds", rank->seconds[phase], "bytes",
                                        number_of(rank->bytes[phase]), "records", number_of(rank->records[phase])));
    }
    return json_pack("{s:s, s:f, s:i, s:o, s:o, s:o}", "tag", tq_phase_tag((tq_phase)phase), "seconds", longest,
                     "slowest_rank", longest_rank, "bytes", number_of(bytes), "records", number_of(records), "ranks",
                     ranks);
}

static json_t *rank_of(const tq_stats *stats, int r)
{
    const tq_rank_stats *rank = &stats->rank[r];
    char host[sizeof rank->host + 1];
    snprintf(host, sizeof host, "%.*s", (int)sizeof rank->host, rank->host);
    return json_pack("{s:i, s:o, s:i, s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "rank", r, "host", text_of(host), "threads",
                     rank->threads, "cpu_s", rank->cpu_s, "sent_bytes", number_of(rank->sent_bytes),
                     "peak_memory_bytes", number_of(rank->peak_bytes), "budget_bytes", number_of(rank->budget_bytes),
                     "spilled_bytes", number_of(rank->spilled_bytes), "spilled_raw_bytes",
                     number_of(rank->spilled_raw_bytes), "reduce_passes", number_of(rank->reduce_passes));
}

static json_t *accounts_of(const tq_stats *stats)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "emitted", account_of(&stats->emitted), "flushed",
                     account_of(&stats->flushed), "shuffled", account_of(&stats->shuffled), "reduced",
                     account_of(&stats->reduced), "ordered", account_of(&stats->ordered), "written",
                     account_of(&stats->written));
}

static json_t *counters_of(const tq_stats *stats)
{
    json_t *object = json_object();
    for (size_t i = 0; i < stats->n_counters; i++)
        json_object_set_new(object, stats->counter_names[i], json_integer(stats->counters[i]));
    return object;
}

static json_t *versions_of(const tq_cluster *cluster)
{
#if defined(__clang__)
    const char *compiler = __VERSION__; /* begins with the compiler's name */
#else
    const char *compiler = "gcc " __VERSION__;
#endif
    return json_pack("{s:s, s:s, s:o}", "tequio", tq_version(), "compiler", compiler, "mpi",
                     text_of(tq_cluster_mpi(cluster)));
}

static json_t *totals_of(const tq_stats *stats, const tq_cluster *cluster)
{
    return json_pack(
        "{s:f, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:{s:i, s:i, s:o}, s:{s:f, s:i}}",
        "seconds", stats->seconds, "ranks", stats->ranks, "hosts", tq_cluster_hosts(cluster), "threads_of_rank_0",
        tq_cluster_threads(cluster), "files", number_of(stats->files), "splits", number_of(stats->splits),
        "input_bytes", number_of(stats->input_bytes), "bad_records", number_of(stats->bad_records), "rows",
        number_of(stats->rows), "output_bytes", number_of(stats->output_bytes), "shuffle_rounds",
        number_of(stats->rounds), "partitions", number_of(stats->partitions), "combining", "merged_early",
        number_of(stats->merged_early), "switched_off_for", number_of(stats->not_tried), "hottest_partition",
        "partition", stats->hottest_partition, "rank", stats->hottest_rank, "bytes", number_of(stats->hottest_bytes),
        "load", "max_over_mean", stats->load_max_over_mean, "max_rank", stats->load_max_rank);
}

/* jansson's setters and packers take a NULL, which is what lack of memory gives, and answer with a failure. */
static json_t *document(const cli_options *options, const tq_cluster *cluster, const tq_stats *stats)
{
    json_t *phases = json_array(), *ranks = json_array();
    for (int i = 0; i < TQ_PHASES; i++)
        json_array_append_new(phases, phase_of(stats, i));
    for (int r = 0; r < stats->ranks; r++)
        json_array_append_new(ranks, rank_of(stats, r));
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "job", options->job->name, "versions", versions_of(cluster),
                     "options", options_of(options, stats->ranks), "totals", totals_of(stats, cluster), "phases",
                     phases, "ranks", ranks, "account", accounts_of(stats), "counters", counters_of(stats));
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

static tq_status fail(const char *what, const char *path, char *why, size_t size)
{
    snprintf(why, size, "cannot %s %.300s: %s", what, path, strerror(errno));
    return TQ_E_OUTPUT;
}

tq_status cli_stats_check(const char *path, char *why, size_t size)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return TQ_E_MEMORY;
    bool writable = access(dirname(copy), W_OK) == 0;
    free(copy);
    return writable ? TQ_OK : fail("write the statistics to", path, why, size);
}

static tq_status write_file(const char *path, const char *temporary, const json_t *json, char *why, size_t size)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail("create", temporary, why, size);
    bool written = json_dumpfd(json, fd, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) == 0 && write(fd, "\n", 1) == 1;
    if (close(fd) == 0 && written && rename(temporary, path) == 0)
        return TQ_OK;
    tq_status status = fail("write", path, why, size);
    unlink(temporary);
    return status;
}

tq_status cli_stats_write(const cli_options *options, const tq_cluster *cluster, const tq_stats *stats, char *why,
                          size_t size)
{
    snprintf(why, size, "out of memory for the statistics");
    size_t length = strlen(options->stats) + 32;
    char *temporary = malloc(length);
    json_t *json = document(options, cluster, stats);
    tq_status status = TQ_E_MEMORY;
    if (temporary != NULL && json != NULL) {
        snprintf(temporary, length, "%s.tmp.%d", options->stats, (int)getpid());
        status = write_file(options->stats, temporary, json, why, size);
    }
    json_decref(json);
    free(temporary);
    return status;
}
