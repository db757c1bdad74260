#include "node/header.h"

#include "common/error.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_PIECE = 64 << 10 }; /* that is read to find one: most are much shorter */

/* The first bytes of a file, at most size. */
static tq_status read_front(const tqi_file *file, int fd, char *to, size_t size, tq_error *error)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, to + done, size - done, (off_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tqi_fail_at(error, TQ_E_INPUT, file->path, done, "%s", strerror(errno));
        if (got == 0)
            return tqi_fail_at(error, TQ_E_INPUT, file->path, done,
                               "the file ends here, but had %" PRIu64 " bytes when the run began", file->size);
        done += (size_t)got;
    }
    return TQ_OK;
}

tq_status tqi_header_too_long(const tqi_inputs *inputs, size_t file, tq_error *error)
{
    return tqi_fail_at(error, TQ_E_INPUT, inputs->files[file].path, 0,
                       "the first line is no header: it has more than %d bytes", TQI_HEADER_MOST);
}

tq_status tqi_header_own(const tqi_inputs *inputs, const tqi_file *file, int fd, char **line, size_t *size,
                         size_t *bytes, tq_error *error)
{
    size_t most = file->size < TQI_HEADER_MOST + 1 ? (size_t)file->size : TQI_HEADER_MOST + 1;

    for (size_t there = FIRST_PIECE < most ? FIRST_PIECE : most;; there = 2 * there < most ? 2 * there : most) {
        char *front = malloc(there + 1);

        if (!front)
            return tqi_fail_memory(error, there, "a header");
        tq_status status = read_front(file, fd, front, there, error);
        const char *newline = status ? NULL : memchr(front, '\n', there);
        if (!status && (newline || there == file->size)) {
            *line = front;
            *size = tq_line_at((tq_slice){front, there}).size;
            *bytes = newline ? (size_t)(newline + 1 - front) : there;
            return TQ_OK;
        }
        free(front);
        if (status)
            return status;
        if (there == most)
            return tqi_header_too_long(inputs, (size_t)(file - inputs->files), error);
    }
}

tq_status tqi_header_read(tqi_inputs *inputs, const tqi_archive_options *options, tq_error *error)
{
    tqi_archive_options reading = *options;
    tq_status status = TQ_OK;

    reading.piece = FIRST_PIECE;
    reading.headed = (tqi_headed){inputs, &inputs->heading, true};
    for (size_t i = 0; i < inputs->n && !inputs->heading.line && !status; i++) {
        tqi_archive *archive;
        tqi_chunk *chunk = NULL;

        if (inputs->files[i].size == 0)
            continue;
        status = tqi_archive_open(&inputs->files[i], i, &reading, &archive, error);
        if (status)
            return status;
        status = tqi_archive_next(archive, true, &chunk, error);
        tqi_chunk_free(chunk);
        tqi_archive_close(archive);
    }
    return status;
}

static tq_status differs(const tqi_inputs *inputs, const tqi_heading *heading, const tqi_file *file, tq_error *error)
{
    if (!heading->line) /* it had no text when rank 0 looked */
        return tqi_fail_file(error, TQ_E_INPUT, file->path, "changed while the run began");
    return tqi_fail_at(error, TQ_E_INPUT, file->path, 0, "its header is not that of %s",
                       inputs->files[heading->file].path);
}

static bool is_header(const tqi_heading *heading, tq_slice line)
{
    return heading->line && line.size == heading->size &&
           (line.size == 0 || memcmp(line.data, heading->line, line.size) == 0);
}

tq_status tqi_header_meet(const tqi_headed *headed, size_t file, tq_slice line, tq_error *error)
{
    tqi_heading *heading = headed->heading;

    if (is_header(heading, line))
        return TQ_OK;
    if (heading->line || !headed->learns)
        return differs(headed->inputs, heading, &headed->inputs->files[file], error);
    heading->line = malloc(line.size + 1);
    if (!heading->line)
        return tqi_fail_memory(error, line.size, "a header");
    if (line.size)
        memcpy(heading->line, line.data, line.size);
    heading->size = line.size;
    heading->file = file;
    return TQ_OK;
}

tq_status tqi_header_check(const tqi_inputs *inputs, const tqi_file *file, int fd, size_t *bytes, tq_error *error)
{
    size_t wanted = inputs->heading.size + 2; /* with CR and LF */
    size_t size = file->size < wanted ? (size_t)file->size : wanted;
    char *front = malloc(size + 1);

    if (!front)
        return tqi_fail_memory(error, size, "a header");
    tq_status status = read_front(file, fd, front, size, error);
    tq_slice line = tq_line_at((tq_slice){front, size});
    const char *newline = status ? NULL : memchr(front, '\n', size);
    size_t length = newline ? (size_t)(newline + 1 - front) : size;
    bool goes_on = !newline && size < file->size;
    if (!status && (goes_on || !is_header(&inputs->heading, line)))
        status = differs(inputs, &inputs->heading, file, error);
    free(front);
    *bytes = length;
    return status;
}
