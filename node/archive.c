#include "node/archive.h"

#include "common/error.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static tq_status read_file(void *owner, char *bytes, size_t room, size_t *got, tq_error *error)
{
    tqi_archive *archive = owner;
    const tqi_file *file = archive->file;
    uint64_t left = file->size - archive->offset;

    *got = 0;
    if (atomic_load_explicit(archive->stop, memory_order_relaxed))
        return tqi_fail(error, TQ_E_CANCELLED, "cancelled");
    if (left < room)
        room = (size_t)left;
    while (room > 0) {
        ssize_t n = read(archive->fd, bytes, room);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tqi_fail_at(error, TQ_E_INPUT, file->path, archive->offset, "%s", strerror(errno));
        if (n == 0)
            return tqi_fail_at(error, TQ_E_INPUT, file->path, archive->offset,
                               "the file ends here, but had %" PRIu64 " bytes when the run began", file->size);
        *got = (size_t)n;
        archive->offset += (uint64_t)n;
        break;
    }
    return TQ_OK;
}

tq_status tqi_archive_open(const tqi_file *file, size_t number, const tqi_archive_options *options,
                           tqi_archive **result, tq_error *error)
{
    tqi_archive *archive = calloc(1, sizeof *archive);

    if (!archive)
        return tqi_fail_memory(error, sizeof *archive, "reading a compressed input");
    archive->file = file;
    archive->stop = options->stop;
    archive->expander = (tqi_expander){.path = file->path,
                                       .read = read_file,
                                       .owner = archive,
                                       .budget = options->budget,
                                       .decoders = options->decoders,
                                       .as_it_is = options->as_they_are};
    archive->chunker = (tqi_chunker){.budget = options->budget,
                                     .records = options->records,
                                     .record_bytes = options->record_bytes,
                                     .path = file->path,
                                     .file = number,
                                     .piece = options->piece,
                                     .headed = options->headed,
                                     .read = tqi_expander_read,
                                     .owner = &archive->expander};
    if (options->headed.inputs && options->headed.inputs->own_headers)
        archive->chunker.headed = (tqi_headed){options->headed.inputs, &archive->own, true};
    archive->fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (archive->fd < 0) {
        free(archive);
        return tqi_fail_file(error, TQ_E_INPUT, file->path, "%s", strerror(errno));
    }
    *result = archive;
    return TQ_OK;
}

tq_status tqi_archive_next(tqi_archive *archive, bool insist, tqi_chunk **chunk, tq_error *error)
{
    archive->expander.insist = insist;
    tq_status status = tqi_chunker_next(&archive->chunker, chunk, error);
    archive->waits = status == TQ_E_AGAIN;
    return archive->waits ? TQ_OK : status;
}

uint64_t tqi_archive_position(const tqi_archive *archive)
{
    return tqi_expander_position(&archive->expander);
}

void tqi_archive_close(tqi_archive *archive)
{
    if (!archive)
        return;
    close(archive->fd);
    tqi_chunker_free(&archive->chunker);
    tqi_expander_free(&archive->expander);
    free(archive->own.line);
    free(archive);
}
