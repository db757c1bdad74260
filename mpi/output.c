#include "mpi/output.h"

#include "common/error.h"
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* POSIX promises that a pipe which poll calls writable takes this much without blocking. */
enum { PIPE_BYTES = 4096, STOP_CHECK_MS = 50, NAME_TRIES = 100 };

static tq_status fail(const tqi_output *output, const char *what, tq_error *error)
{
    return tqi_fail_file(error, TQ_E_OUTPUT, output->name ? output->name : "the output", "%s: %s", what,
                         strerror(errno));
}

static bool is_regular(int fd)
{
    struct stat info;

    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

/* The folder that the file will stand in; the caller frees it. */
static char *folder_of(const char *path)
{
    char *copy = strdup(path), *folder = copy ? strdup(dirname(copy)) : NULL;

    free(copy);
    return folder;
}

/* The umask, which can otherwise be read only by changing it, under the eyes of other threads. */
static mode_t current_umask(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    unsigned mask = 022;

    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "Umask: %o", &mask) == 1)
            break;
    if (status)
        fclose(status);
    return (mode_t)mask;
}

static mode_t mode_of_new_file(const char *path)
{
    struct stat info;

    if (stat(path, &info) == 0)
        return info.st_mode & 07777;
    return 0666 & ~current_umask();
}

/* A file with a name of its own, where the file system knows no files without one. */
static int open_named(tqi_output *output)
{
    if (asprintf(&output->temporary, "%s.tequio-XXXXXX", output->path) < 0) {
        output->temporary = NULL;
        errno = ENOMEM;
        return -1;
    }
    int fd = mkostemp(output->temporary, O_CLOEXEC);
    if (fd < 0) {
        free(output->temporary);
        output->temporary = NULL;
    }
    return fd;
}

static tq_status open_new_file(tqi_output *output, tq_error *error)
{
    char *folder = folder_of(output->path);

    if (!folder)
        return tqi_fail_memory(error, strlen(output->path), "a path");
    output->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (output->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        output->fd = open_named(output);
    free(folder);
    if (output->fd < 0)
        return fail(output, "cannot create it", error);
    fchmod(output->fd, mode_of_new_file(output->path));
    output->regular = true;
    return TQ_OK;
}

static tq_status open_existing(tqi_output *output, const struct stat *info, tq_error *error)
{
    if (S_ISDIR(info->st_mode))
        return tqi_fail_file(error, TQ_E_OUTPUT, output->name, "is a folder");
    output->fd = open(output->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (output->fd < 0)
        return fail(output, "cannot write to it", error);
    free(output->path); /* nothing to rename at the end */
    output->path = NULL;
    return TQ_OK;
}

/* A symbolic link is followed, so that the rename replaces the file and not the link. */
static tq_status resolve(tqi_output *output, const char *path, tq_error *error)
{
    output->path = realpath(path, NULL);
    if (!output->path)
        output->path = strdup(path);
    output->name = strdup(path);
    return output->path && output->name ? TQ_OK : tqi_fail_memory(error, strlen(path), "a path");
}

tq_status tqi_output_open(tqi_output *output, tq_output_kind kind, const char *path, int fd, const atomic_bool *stop,
                          tq_error *error)
{
    struct stat info;
    tq_status status;

    *output = (tqi_output){.fd = fd, .stop = stop};
    if (kind == TQ_OUTPUT_FD) {
        if (fcntl(fd, F_GETFL) < 0)
            return tqi_fail(error, TQ_E_OUTPUT, "descriptor %d: %s", fd, strerror(errno));
        output->regular = is_regular(fd);
        return TQ_OK;
    }
    output->fd = -1;
    output->close = true;
    status = resolve(output, path, error);
    if (!status)
        status = stat(output->path, &info) == 0 && !S_ISREG(info.st_mode) ? open_existing(output, &info, error)
                                                                          : open_new_file(output, error);
    if (status)
        tqi_output_discard(output);
    return status;
}

/* Wait until a pipe takes bytes, but not longer than the job goes on. */
static tq_status await_writable(const tqi_output *output, tq_error *error)
{
    struct pollfd ready = {output->fd, POLLOUT, 0};

    for (;;) {
        if (atomic_load_explicit(output->stop, memory_order_relaxed))
            return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
        int n = poll(&ready, 1, STOP_CHECK_MS);
        if (n > 0 || (n < 0 && errno != EINTR))
            return TQ_OK;
    }
}

tq_status tqi_output_write(tqi_output *output, const char *data, size_t size, tq_error *error)
{
    while (size > 0) {
        size_t part = output->regular || size < PIPE_BYTES ? size : PIPE_BYTES;
        tq_status status = output->regular ? TQ_OK : await_writable(output, error);

        if (status)
            return status;
        ssize_t done = write(output->fd, data, part);
        if (done < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (done < 0)
            return fail(output, "cannot write to it", error);
        data += done;
        size -= (size_t)done;
        output->written += (uint64_t)done;
    }
    return TQ_OK;
}

/* Give a file without a name a temporary one beside the final one. */
static tq_status link_temporary(tqi_output *output, tq_error *error)
{
    char open_file[64];

    snprintf(open_file, sizeof open_file, "/proc/self/fd/%d", output->fd);
    for (int i = 0; i < NAME_TRIES; i++) {
        if (asprintf(&output->temporary, "%s.tequio-%d-%d", output->path, (int)getpid(), i) < 0) {
            output->temporary = NULL;
            return tqi_fail_memory(error, strlen(output->path), "a path");
        }
        if (linkat(AT_FDCWD, open_file, AT_FDCWD, output->temporary, AT_SYMLINK_FOLLOW) == 0)
            return TQ_OK;
        free(output->temporary);
        output->temporary = NULL;
        if (errno != EEXIST)
            break;
    }
    return fail(output, "cannot give it a name", error);
}

tq_status tqi_output_complete(tqi_output *output, tq_error *error)
{
    tq_status status = TQ_OK;

    if (output->path && !output->temporary)
        status = link_temporary(output, error);
    /* Some file systems tell of a full disk only here. */
    if (!status && output->close) {
        int fd = output->fd;

        output->fd = -1;
        output->close = false;
        if (close(fd) != 0)
            status = fail(output, "cannot finish writing it", error);
    }
    return status;
}

tq_status tqi_output_commit(tqi_output *output, tq_error *error)
{
    tq_status status = tqi_output_complete(output, error);

    if (!status && output->path && rename(output->temporary, output->path) != 0)
        status = fail(output, "cannot give it its name", error);
    if (!status) {
        free(output->temporary);
        output->temporary = NULL;
    }
    tqi_output_discard(output);
    return status;
}

void tqi_output_discard(tqi_output *output)
{
    if (output->temporary)
        unlink(output->temporary);
    if (output->close && output->fd >= 0)
        close(output->fd);
    free(output->temporary);
    free(output->path);
    free(output->name);
    *output = (tqi_output){.fd = -1};
}
