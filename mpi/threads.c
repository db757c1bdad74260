#include "mpi/threads.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAUSE_US = 500 };

void tqi_threads_list(tqi_threads *threads)
{
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *entry;

    threads->count = 0;
    if (!folder)
        return;
    while (threads->count < TQI_MAX_THREADS && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            threads->ids[threads->count++] = atoi(entry->d_name);
    closedir(folder);
}

static bool is_in(const tqi_threads *threads, int id)
{
    for (int i = 0; i < threads->count; i++)
        if (threads->ids[i] == id)
            return true;
    return false;
}

void tqi_threads_leave_out(tqi_threads *threads, const tqi_threads *others)
{
    int kept = 0;

    for (int i = 0; i < threads->count; i++)
        if (!is_in(others, threads->ids[i]))
            threads->ids[kept++] = threads->ids[i];
    threads->count = kept;
}

/* "12 (a name) S 1 ...", and a name may have any bytes. */
static bool sleeps(int id)
{
    char path[64], text[128];

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
    FILE *file = fopen(path, "re");
    if (!file)
        return true;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    const char *end = strrchr(text, ')');
    return !end || end[1] != ' ' || end[2] == 'S' || end[2] == 'Z' || end[2] == 'X';
}

static bool all_sleep(const tqi_threads *threads)
{
    for (int i = 0; i < threads->count; i++)
        if (!sleeps(threads->ids[i]))
            return false;
    return true;
}

bool tqi_threads_await_rest(const tqi_threads *threads, unsigned longest_us)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_US * 1000};

    /* Twice, as one that was seen asleep may have been woken by one that was looked at after it. */
    for (unsigned us = 0; !all_sleep(threads) || !all_sleep(threads); us += PAUSE_US) {
        if (us >= longest_us)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}
