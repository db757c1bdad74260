#include "node/load.h"

#include "common/error.h"
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { FIRST_ROOM = 64 << 10 };

static tq_status grow(tqi_budget *budget, tqi_loaded *loaded, size_t size, const char *path, tq_error *error)
{
    char *larger = tqi_budget_realloc(budget, loaded->bytes, loaded->size, size);

    if (!larger)
        return tqi_fail_at(error, TQ_E_MEMORY, path, loaded->size, "no memory for more of it (see --memory)");
    *loaded = (tqi_loaded){larger, size};
    return TQ_OK;
}

/* *done bytes are there when it is over, or more than most. */
static tq_status read_all(tqi_archive *archive, uint64_t most, tqi_budget *budget, tqi_loaded *loaded, size_t *done,
                          tq_error *error)
{
    const char *path = archive->file->path;

    archive->expander.insist = true;
    for (size_t got = 1; got > 0 && (most == 0 || *done <= most); *done += got) {
        tq_status status = TQ_OK;

        if (*done == loaded->size)
            status = grow(budget, loaded, loaded->size ? 2 * loaded->size : FIRST_ROOM, path, error);
        if (!status)
            status = tqi_expander_read(&archive->expander, loaded->bytes + *done, loaded->size - *done, &got, error);
        if (status)
            return status;
    }
    return TQ_OK;
}

static void drop(tqi_budget *budget, tqi_loaded *loaded)
{
    if (loaded->bytes)
        tqi_budget_free(budget, loaded->bytes, loaded->size);
    *loaded = (tqi_loaded){0};
}

tq_status tqi_load(const char *path, uint64_t most, const tqi_archive_options *options, tqi_loaded *loaded,
                   tq_error *error)
{
    struct stat info;
    tqi_loaded made = {0};
    tqi_archive *archive;
    size_t done = 0;

    *loaded = made;
    if (stat(path, &info) != 0)
        return tqi_fail_file(error, TQ_E_INPUT, path, "%s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return most ? TQ_OK : tqi_fail_file(error, TQ_E_INPUT, path, "is no regular file, and must be read twice");
    if (most && (uint64_t)info.st_size > most)
        return TQ_OK;
    tqi_file file = {.path = (char *)(uintptr_t)path, .size = (uint64_t)info.st_size};
    tq_status status = tqi_archive_open(&file, 0, options, &archive, error);
    if (status)
        return status;
    status = read_all(archive, most, options->budget, &made, &done, error);
    tqi_archive_close(archive);
    if (status || done == 0 || (most && done > most)) {
        drop(options->budget, &made);
        return status;
    }
    if (done < made.size && grow(options->budget, &made, done, path, error)) {
        drop(options->budget, &made);
        return error->status;
    }
    *loaded = made;
    return TQ_OK;
}
