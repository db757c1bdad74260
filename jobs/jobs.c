#include "jobs/jobs.h"
#include <string.h>

static const jobs_entry *const all[] = {
    &jobs_wordcount, &jobs_grep, &jobs_sort, &jobs_index, &jobs_top, &jobs_distinct, &jobs_histogram, &jobs_stats,
    &jobs_join, &jobs_stream, &jobs_run,
};

const jobs_entry *jobs_at(size_t index)
{
    return index < sizeof all / sizeof all[0] ? all[index] : NULL;
}

const jobs_entry *jobs_find(const char *name)
{
    for (size_t i = 0; jobs_at(i) != NULL; i++)
        if (strcmp(jobs_at(i)->name, name) == 0)
            return jobs_at(i);
    return NULL;
}
