/* run: a job of the user's own, from a shared object. What it does, its file says (tequio/plugin.h); the command loads it. */
#include "jobs/jobs.h"

static const option_row run_rows[] = {
    {"set", 0, "NAME=VALUE", OPTION_LIST, offsetof(jobs_run_settings, set), NULL,
     "a setting of the job; may be given again", NULL, 0, 0},
};

static const char usage[] = "What it does with a record, and how the values of a key become one, you write in\n"
                            "C, and compile to a shared object:\n"
                            "\n"
                            "    cc -O2 -shared -fPIC $(pkg-config --cflags tequio) job.c -o job.so\n"
                            "    tequio run ./job.so FILE...\n"
                            "    tequio -n 4 run ./job.so --set least=5 --top 20 -r FOLDER\n"
                            "\n"
                            "Begin with a copy of examples/plugin.c (installed: share/doc/tequio/examples);\n"
                            "<tequio/plugin.h> says the rest. --help behind JOB.so says what that job does, and\n"
                            "its settings.\n"
                            "\n"
                            "JOB.so is loaded by each rank, on all hosts by the same path. If its code returns\n"
                            "an error, crashes or calls exit, the run ends with exit code 6 and a line that\n"
                            "names the rank and the file and byte of the record. If it does not return, the\n"
                            "progress says where it stands, and Ctrl-C ends the run with exit code 10. What it\n"
                            "prints on the standard output stands among the rows: print on stderr.\n";

const jobs_entry jobs_run = {
    .name = "run",
    .summary = "a job of your own, in C",
    .usage = usage,
    .operand = "JOB.so",
    .rows = run_rows,
    .n_rows = sizeof run_rows / sizeof run_rows[0],
    .settings_bytes = sizeof(jobs_run_settings),
};
