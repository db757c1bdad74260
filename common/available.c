#include "common/available.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The files of one version of control groups: a group's limit, what it uses, and in its statistics the page cache that can
 * be had back. */
typedef struct cgroup_files {
    const char *mount, *limit, *usage, *cache;
} cgroup_files;

static const cgroup_files version_1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                       "total_inactive_file "};
static const cgroup_files version_2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "};

static FILE *open_at(const char *root, const char *folder, const char *name)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s%s/%s", root, folder, name) >= (int)sizeof path)
        return NULL;
    return fopen(path, "re");
}

/* The number behind name at the start of a line, or, without a name, the first in the file. A file that is not there, or
 * holds the word "max", has none. */
static bool read_number(const char *root, const char *folder, const char *file, const char *name, uint64_t *number)
{
    FILE *stream = open_at(root, folder, file);
    char line[256];
    bool found = false;

    while (stream && !found && fgets(line, sizeof line, stream))
        if (strncmp(line, name, strlen(name)) == 0)
            found = sscanf(line + strlen(name), "%" SCNu64, number) == 1;
    if (stream)
        fclose(stream);
    return found;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What the group in folder leaves free; UINT64_MAX: it sets no bound. */
static uint64_t free_of_group(const char *root, const char *folder, const cgroup_files *files)
{
    uint64_t limit, usage, cache = 0;

    if (!read_number(root, folder, files->limit, "", &limit) || !read_number(root, folder, files->usage, "", &usage))
        return UINT64_MAX;
    read_number(root, folder, "memory.stat", files->cache, &cache);
    usage -= lesser(usage, cache);
    return limit - lesser(limit, usage);
}

/* The least that the group at path and those above it leave free. Inside a container the path may be the host's, and what
 * is mounted is the group's own folder: that is looked at in any case. */
static uint64_t free_of_groups(const char *root, char *path, const cgroup_files *files)
{
    uint64_t least = free_of_group(root, files->mount, files);
    char folder[PATH_MAX];

    for (char *end = path + strlen(path); end > path; end = strrchr(path, '/')) {
        *end = '\0';
        if (snprintf(folder, sizeof folder, "%s%s", files->mount, path) < (int)sizeof folder)
            least = lesser(least, free_of_group(root, folder, files));
        if (!strrchr(path, '/'))
            break;
    }
    return least;
}

uint64_t tqi_available_memory(const char *root)
{
    uint64_t kib, least = UINT64_MAX;
    FILE *groups = open_at(root, "/proc/self", "cgroup");
    char line[PATH_MAX];

    if (read_number(root, "/proc", "meminfo", "MemAvailable:", &kib))
        least = kib * 1024;
    while (groups && fgets(line, sizeof line, groups)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

        line[strcspn(line, "\n")] = '\0';
        if (!path)
            continue;
        *path++ = '\0';
        if (controllers[1] == '\0')
            least = lesser(least, free_of_groups(root, path, &version_2));
        else if (strcmp(controllers + 1, "memory") == 0)
            least = lesser(least, free_of_groups(root, path, &version_1));
    }
    if (groups)
        fclose(groups);
    return least == UINT64_MAX ? 0 : least;
}
