/* The command line: every option by letter and name, on either side of the job, from the environment, and what is refused. */
#include <tequio/tequio.h>

#include "cli/options.h"
#include "cli/values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The command is no library: what is tested here is compiled into the test. */
#include "cli/help.c"
#include "cli/options.c"
#include "cli/values.c"

typedef struct parsed {
    cli_options options;
    tq_status status;
    char why[512];
} parsed;

/* Split a command line at blanks and parse it; the first word is the program. */
static parsed parse_line(const char *line)
{
    static char text[1024];
    static char *argv[64]; /* the options point into both */
    parsed result = {.status = TQ_OK};
    int argc = 0;

    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    result.status = cli_options_parse(argc, argv, &result.options, result.why, sizeof result.why);
    return result;
}

static void assert_refused(const char *line, const char *named)
{
    parsed p = parse_line(line);

    if (p.status != TQ_E_USAGE || !strstr(p.why, named) || strchr(p.why, '\n'))
        fail_msg("%s: status %d, \"%s\", without %s", line, (int)p.status, p.why, named);
    cli_options_free(&p.options);
}

static void test_presets(void **state)
{
    (void)state;
    parsed p = parse_line("tequio wordcount");

    assert_int_equal(p.status, TQ_OK);
    assert_ptr_equal(p.options.job, &jobs_wordcount);
    assert_int_equal(p.options.ranks, 0);
    assert_int_equal(p.options.threads, OPTION_AUTO);
    assert_null(p.options.output);
    assert_int_equal(p.options.top, 0);
    assert_int_equal(p.options.format, FORMAT_TEXT);
    assert_int_equal(p.options.sort, SORT_KEY);
    assert_int_equal(p.options.progress, PROGRESS_AUTO);
    assert_true(p.options.interval_s > 0.499 && p.options.interval_s < 0.501);
    assert_false(p.options.interval_given);
    assert_int_equal(p.options.n_inputs, 1);
    assert_string_equal(p.options.inputs[0], "-");
    assert_true(cli_options_read_stdin(&p.options));
    cli_options_free(&p.options);
}

/* What each option of the table does with one value. */
static void assert_all_set(const parsed *p)
{
    const cli_options *o = &p->options;

    assert_string_equal(p->why, "out of memory"); /* untouched */
    assert_int_equal(p->status, TQ_OK);
    assert_int_equal(o->ranks, 4);
    assert_string_equal(o->hostfile, "hosts");
    assert_int_equal(o->threads, 0);
    assert_true(o->recursive);
    assert_string_equal(o->output, "out");
    assert_int_equal(o->top, 7);
    assert_int_equal(o->format, FORMAT_JSON);
    assert_int_equal(o->sort, SORT_NONE);
    assert_true(o->split_bytes == 1);
    assert_true(o->round_bytes == 64 << 10);
    assert_true(o->memory_bytes == (uint64_t)3 << 30);
    assert_string_equal(o->tmpdir, "/big");
    assert_true(o->spill_bytes == (uint64_t)5 << 30);
    assert_int_equal(o->spill_compression, TQ_COMPRESSION_ZSTD);
    assert_true(o->interval_s > 0.249 && o->interval_s < 0.251);
    assert_true(o->interval_given);
    assert_int_equal(o->progress, PROGRESS_LINES);
    assert_true(o->quiet);
    assert_string_equal(o->stats, "s.json");
    assert_true(o->ranks_typed);
    assert_int_equal(o->n_inputs, 2);
    assert_string_equal(o->inputs[0], "a");
    assert_string_equal(o->inputs[1], "b");
    assert_false(cli_options_read_stdin(o));
}

#define LONG_OPTIONS                                                                                                   \
    "--ranks=4 --hostfile hosts --threads=0 --recursive --output=out --top 7 --format=json --sort none --split-size "  \
    "1 "                                                                                                               \
    "--round-bytes 64k --memory=3G --tmpdir /big --spill-limit 5G --spill-compression zstd --interval .25 "            \
    "--progress=lines --quiet "                                                                                        \
    "--stats s.json"
#define SHORT_OPTIONS                                                                                                  \
    "-n4 --hostfile=hosts -t 0 -rq -oout --top=7 --format json --sort=none --split-size=1 --round-bytes=65536 "        \
    "--memory 3072M --tmpdir=/big --spill-limit=5g --spill-compression=zstd --interval=0.25 --progress lines "         \
    "--stats=s.json"

static void test_all_options(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "tequio " LONG_OPTIONS " wordcount a b",  "tequio wordcount " LONG_OPTIONS " a b",
        "tequio wordcount a b " LONG_OPTIONS,     "tequio " SHORT_OPTIONS " wordcount a b",
        "tequio wordcount a " SHORT_OPTIONS " b", "tequio wordcount " LONG_OPTIONS " -- a b",
    };

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        parsed p = parse_line(lines[i]);
        assert_all_set(&p);
        cli_options_free(&p.options);
    }
}

/* The ranks' command line means the same, but for the ranks. */
static void test_forwarded(void **state)
{
    (void)state;
    parsed p = parse_line("tequio " SHORT_OPTIONS " wordcount a b");
    char line[1024] = "tequio";

    for (size_t i = 0; i < p.options.n_forward; i++) {
        strcat(line, " ");
        strcat(line, p.options.forward[i]);
    }
    cli_options_free(&p.options);
    assert_null(strstr(line, "--ranks"));
    assert_null(strstr(line, "--hostfile"));
    p = parse_line(line);
    assert_false(p.options.ranks_typed);
    assert_int_equal(p.options.ranks, 0);
    p.options.ranks = 4;
    p.options.hostfile = "hosts";
    p.options.ranks_typed = true;
    assert_all_set(&p);
    cli_options_free(&p.options);
}

static void test_end_of_options(void **state)
{
    (void)state;
    parsed p = parse_line("tequio wordcount -t2 -- -r --top - --");

    assert_int_equal(p.status, TQ_OK);
    assert_false(p.options.recursive);
    assert_int_equal(p.options.threads, 2);
    assert_int_equal(p.options.n_inputs, 4);
    assert_string_equal(p.options.inputs[0], "-r");
    assert_string_equal(p.options.inputs[1], "--top");
    assert_string_equal(p.options.inputs[2], "-");
    assert_string_equal(p.options.inputs[3], "--");
    cli_options_free(&p.options);
}

/* A job in a file: its path becomes absolute, here and on the ranks' command line; its settings are kept in order. */
static void test_run(void **state)
{
    (void)state;
    char here[512], expected[600], line[1024] = "tequio";
    const jobs_run_settings *settings;

    assert_non_null(getcwd(here, sizeof here));
    snprintf(expected, sizeof expected, "%s/sub/job.so", here);
    parsed p = parse_line("tequio run --set a=1 ./sub/job.so x --set b= --set=a=2=3 -- --set");
    assert_int_equal(p.status, TQ_OK);
    assert_ptr_equal(p.options.job, &jobs_run);
    assert_string_equal(p.options.plugin, expected);
    assert_int_equal(p.options.n_inputs, 2);
    assert_string_equal(p.options.inputs[0], "x");
    assert_string_equal(p.options.inputs[1], "--set");
    for (size_t i = 0; i < p.options.n_forward; i++) {
        strcat(line, " ");
        strcat(line, p.options.forward[i]);
    }
    cli_options_free(&p.options);
    assert_non_null(strstr(line, expected));
    p = parse_line(line);
    assert_int_equal(p.status, TQ_OK);
    settings = p.options.settings;
    assert_int_equal(settings->set.n, 3);
    assert_string_equal(settings->set.items[0], "a=1");
    assert_string_equal(settings->set.items[1], "b=");
    assert_string_equal(settings->set.items[2], "a=2=3");
    assert_string_equal(p.options.plugin, expected);
    cli_options_free(&p.options);

    p = parse_line("tequio run /job.so");
    assert_string_equal(p.options.plugin, "/job.so");
    assert_string_equal(p.options.inputs[0], "-");
    cli_options_free(&p.options);
    p = parse_line("tequio run job.so --help");
    assert_true(p.options.help && p.options.plugin != NULL);
    cli_options_free(&p.options);
    p = parse_line("tequio run --help");
    assert_true(p.options.help && p.options.plugin == NULL);
    cli_options_free(&p.options);
    assert_refused("tequio run", "which job?");
    assert_refused("tequio run -t 2", "tequio run ./job.so");
    assert_refused("tequio run job.so --set a", "NAME=VALUE, not 'a'");
    assert_refused("tequio run job.so --set =1", "NAME=VALUE, not '=1'");
    assert_refused("tequio wordcount --set a=1", "option of the job run");
}

static void assert_patterns(const char *line, const char *first, size_t n, size_t inputs)
{
    parsed p = parse_line(line);

    assert_int_equal(p.status, TQ_OK);
    assert_ptr_equal(p.options.job, &jobs_grep);
    const option_list *list = cli_value_at(jobs_grep.operand_row, p.options.settings);
    assert_int_equal(list->n, n);
    assert_string_equal(list->items[0], first);
    assert_int_equal(p.options.n_inputs, inputs);
    assert_null(p.options.plugin);
    cli_options_free(&p.options);
}

/* An operand that is the value of an option, and is none where that option is given. */
static void test_operand(void **state)
{
    (void)state;
    assert_patterns("tequio grep a b c", "a", 1, 2);
    assert_patterns("tequio grep a", "a", 1, 1);
    assert_patterns("tequio grep -e a b c", "a", 1, 2);
    assert_patterns("tequio -e a grep -ex --regexp= b", "a", 3, 1);
    assert_patterns("tequio grep -- -e f", "-e", 1, 1);
    assert_patterns("tequio grep -iF a=b f g h", "a=b", 1, 3);
    assert_refused("tequio grep", "grep needs a PATTERN");
    assert_refused("tequio grep -e", "-e needs a value");
}

static void test_last_one_counts(void **state)
{
    (void)state;
    parsed p = parse_line("tequio -t 1 wordcount -t 5 --threads=auto");

    assert_int_equal(p.options.threads, OPTION_AUTO);
    cli_options_free(&p.options);
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused("tequio wordcount --bogus", "--bogus");
    assert_refused("tequio wordcount -Z", "-Z");
    assert_refused("tequio wordcount -rZ", "-Z");
    assert_refused("tequio wordcuont", "wordcuont");
    assert_refused("tequio -n 4", "which job");
    assert_refused("tequio wordcount --top", "--top needs a value");
    assert_refused("tequio wordcount -t", "-t needs a value");
    assert_refused("tequio wordcount --output=", "--output needs a value");
    assert_refused("tequio wordcount --quiet=yes", "--quiet takes no value");
    assert_refused("tequio wordcount --top 0", "'0'");
    assert_refused("tequio wordcount -n 0", "'0'");
    assert_refused("tequio wordcount -n -1", "'-1'");
    assert_refused("tequio wordcount -n auto", "'auto'");
    assert_refused("tequio wordcount -t 1025", "1024");
    assert_refused("tequio wordcount -t 3x", "'3x'");
    assert_refused("tequio wordcount -t +3", "'+3'");
    assert_refused("tequio wordcount --format xml", "text|json, not 'xml'");
    assert_refused("tequio wordcount --format tex", "'tex'");
    assert_refused("tequio wordcount --progress text|json", "--progress");
    assert_refused("tequio wordcount --interval 0", "'0'");
    assert_refused("tequio wordcount --interval nan", "'nan'");
    assert_refused("tequio wordcount --interval 1s", "'1s'");
    assert_refused("tequio wordcount --interval 1e99", "'1e99'");
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes; /* 0: refused */
    } cases[] = {
        {"1", 1},
        {"4096", 4096},
        {"1k", 1024},
        {"1K", 1024},
        {"2m", 2 << 20},
        {"2M", 2 << 20},
        {"1G", 1 << 30},
        {"1g", 1 << 30},
        {"1T", 1ull << 40},
        {"18446744073709551615", UINT64_MAX},
        {"17179869183G", 17179869183ull << 30},
        {"0", 0},
        {"0k", 0},
        {"", 0},
        {"k", 0},
        {"1kB", 0},
        {"1 k", 0},
        {"-1", 0},
        {"1.5G", 0},
        {"1e3", 0},
        {"0x10", 0},
        {"17179869184G", 0},
        {"18446744073709551616", 0},
        {"99999999999999999999", 0},
        {"5q", 0},
    };
    const option_row row = {.name = "size", .type = OPTION_SIZE, .argument = "SIZE", .least = 1};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 0;
        char why[256] = "";
        bool stored = cli_value_store(&row, &bytes, cases[i].text, "--size", why, sizeof why);
        if (stored != (cases[i].bytes != 0) || bytes != cases[i].bytes || (why[0] == '\0') != stored)
            fail_msg("'%s': %llu %s", cases[i].text, (unsigned long long)bytes, why);
    }
}

static void test_environment(void **state)
{
    (void)state;
    setenv("TEQUIO_RANKS", "3", 1);
    setenv("TEQUIO_THREADS", "2", 1);
    setenv("TEQUIO_QUIET", "yes", 1);
    setenv("TEQUIO_TMPDIR", "", 1);
    parsed p = parse_line("tequio wordcount -t 5");
    assert_int_equal(p.status, TQ_OK);
    assert_int_equal(p.options.ranks, 3);
    assert_false(p.options.ranks_typed); /* so the ranks do not mind that they inherit it */
    assert_int_equal(p.options.threads, 5);
    assert_true(p.options.quiet);
    assert_null(p.options.tmpdir);
    cli_options_free(&p.options);

    setenv("TEQUIO_THREADS", "many", 1);
    assert_refused("tequio wordcount", "TEQUIO_THREADS takes a number");
    unsetenv("TEQUIO_RANKS");
    unsetenv("TEQUIO_THREADS");
    unsetenv("TEQUIO_QUIET");
    unsetenv("TEQUIO_TMPDIR");
}

static void test_help_and_version(void **state)
{
    (void)state;
    static const char *const lines[] = {"tequio --help",
                                        "tequio -h",
                                        "tequio --help wordcount",
                                        "tequio wordcount --help",
                                        "tequio --help nothing-of-that-name",
                                        "tequio wordcount -th --help"};
    for (size_t i = 0; i < 5; i++) {
        parsed p = parse_line(lines[i]);
        assert_int_equal(p.status, TQ_OK);
        assert_true(p.options.help);
        cli_options_free(&p.options);
    }
    assert_refused(lines[5], "'h'");
    parsed p = parse_line("tequio --version");
    assert_int_equal(p.status, TQ_OK);
    assert_true(p.options.version);
    cli_options_free(&p.options);
}

/* Each option is there with its letter. */
static void assert_names(const char *text, const option_row *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char name[64];
        if (options[i].letter != 0)
            snprintf(name, sizeof name, "  -%c, --%s ", options[i].letter, options[i].name);
        else
            snprintf(name, sizeof name, "      --%s ", options[i].name);
        assert_non_null(strstr(text, name));
    }
}

static void assert_fits_a_screen(char *text)
{
    size_t lines = 0;

    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        lines++;
        if (strlen(line) > 82)
            fail_msg("too wide: %s", line);
    }
    assert_true(lines <= 40);
    free(text);
}

/* What the command prints, or a job if it is not NULL. */
static char *help_of(const jobs_entry *job)
{
    static char *text; /* the stream points to both */
    static size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    if (job)
        cli_help_job(job, out);
    else
        cli_help(out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_help_text(void **state)
{
    (void)state;
    char *text = help_of(NULL);

    assert_names(text, table, TABLE_ROWS);
    for (size_t i = 0; jobs_at(i); i++)
        assert_non_null(strstr(text, jobs_at(i)->summary));
    assert_fits_a_screen(text);
    for (size_t i = 0; jobs_at(i); i++) {
        text = help_of(jobs_at(i));
        assert_names(text, jobs_at(i)->rows, jobs_at(i)->n_rows);
        assert_non_null(strstr(text, jobs_at(i)->summary));
        assert_non_null(strstr(text, "tequio --help"));
        assert_fits_a_screen(text);
    }
}

/* The table keeps its own rules: names and letters are unique, presets are valid, text and value are inverses. */
static void test_table(void **state)
{
    (void)state;
    char why[256], text[64];

    for (size_t i = 0; i < TABLE_ROWS; i++) {
        cli_options options = {.help = false};
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(table[i].name, table[j].name);
            assert_true(table[i].letter == 0 || table[i].letter != table[j].letter);
        }
        assert_int_equal(table[i].argument == NULL, table[i].type == OPTION_FLAG);
        if (table[i].preset == NULL)
            continue;
        assert_true(cli_value_store(&table[i], &options, table[i].preset, "preset", why, sizeof why));
        assert_string_equal(cli_value_text(&table[i], &options, text, sizeof text), table[i].preset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_all_options),
        cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_end_of_options),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_operand),
        cmocka_unit_test(test_last_one_counts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_help_text),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
