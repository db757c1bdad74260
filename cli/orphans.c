#include "cli/orphans.h"
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const double step_s = 0.01;

void cli_orphans_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static bool runs(pid_t pid, const char *program)
{
    char link[64], target[4096];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length <= 0)
        return false;
    target[length] = '\0';
    return strcmp(target, program) == 0;
}

/* How many of our children run program. Each is sent signal, if that is not 0: it is our child, so its pid cannot have
 * passed to another process. */
static int count(const char *program, int signal)
{
    char path[64];
    int n = 0, pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *children = fopen(path, "re");
    if (children == NULL)
        return 0;
    while (fscanf(children, "%d", &pid) == 1)
        if (runs(pid, program)) {
            n++;
            if (signal != 0)
                kill(pid, signal);
        }
    fclose(children);
    return n;
}

static void bury(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

void cli_orphans_end(const char *program, double patience_s)
{
    const struct timespec step = {.tv_nsec = (long)(step_s * 1e9)};
    bury();
    for (double waited = 0; count(program, 0) > 0 && waited < patience_s; waited += step_s) {
        nanosleep(&step, NULL);
        bury();
    }
    for (int i = 0; i < 100 && count(program, SIGKILL) > 0; i++) {
        nanosleep(&step, NULL);
        bury();
    }
    bury();
}
