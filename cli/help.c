#include "cli/help.h"
#include "cli/options.h"
#include <string.h>

enum { COLUMN = 29, WIDTH = 79 };

static void print_row(FILE *out, const option_row *row)
{
    char left[80];
    int length = snprintf(left, sizeof left, "  %c%c%c --%s%s%s", row->letter != 0 ? '-' : ' ',
                          row->letter != 0 ? row->letter : ' ', row->letter != 0 ? ',' : ' ', row->name,
                          row->argument != NULL ? " " : "", row->argument != NULL ? row->argument : "");
    int gap = length + 2 > COLUMN ? 2 : COLUMN - length;
    fprintf(out, "%s%*s%s", left, gap, "", row->help);
    fprintf(out, row->preset != NULL ? " (%s)\n" : "\n", row->preset);
}

static void print_environment(FILE *out)
{
    size_t n;
    const option_row *rows = cli_options_rows(&n);
    int column = fprintf(out, "The environment presets, as in TEQUIO_THREADS=4, these:");
    for (size_t i = 0; i < n; i++) {
        if (rows[i].environment == NULL)
            continue;
        int length = (int)strlen(rows[i].name) + 1;
        bool wraps = column + length > WIDTH;
        column = wraps ? length - 1 : column + length;
        fprintf(out, "%s%s", wraps ? "\n" : " ", rows[i].name);
    }
    fputs("\n", out);
}

void cli_help(FILE *out)
{
    size_t n;
    const option_row *rows = cli_options_rows(&n);
    fputs("usage: tequio [OPTION]... JOB [OPTION]... [FILE]...    - or no FILE: stdin\n"
          "jobs (tequio JOB --help says more):\n",
          out);
    for (size_t i = 0; jobs_at(i) != NULL; i++) {
        char name[COLUMN];
        const char *operand = jobs_at(i)->operand;
        snprintf(name, sizeof name, "%s %s", jobs_at(i)->name, operand != NULL ? operand : "");
        fprintf(out, "  %-*s%s\n", COLUMN - 2, name, jobs_at(i)->summary);
    }
    fputs("options of all jobs:\n", out);
    for (size_t i = 0; i < n; i++)
        print_row(out, &rows[i]);
    print_environment(out);
}

void cli_help_job(const jobs_entry *job, FILE *out)
{
    const char *operand = job->operand;
    fprintf(out, "usage: tequio [OPTION]... %s [OPTION]... %s%s[FILE]...\n\n%s: %s\n\n%s", job->name,
            operand != NULL ? operand : "", operand != NULL ? " " : "", job->name, job->summary, job->usage);
    if (job->n_rows > 0)
        fputs("\noptions:\n", out);
    for (size_t i = 0; i < job->n_rows; i++)
        print_row(out, &job->rows[i]);
    fputs("\nWithout FILE, or where it is -, the standard input is read. Order, format, ranks,\nthreads and memory are "
          "chosen as for all jobs: see tequio --help.\n",
          out);
}
