/* Progress as JSON lines. Field names are a contract: docs and tests name them. */
#include "cli/render.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct json_renderer {
    cli_renderer base;
    int fd;
    bool ended[TQ_PHASES]; /* its last report is out */
} json_renderer;

static const char *rank_or_null(int rank, char *text, size_t size)
{
    if (rank < 0)
        snprintf(text, size, "null");
    else
        snprintf(text, size, "%d", rank);
    return text;
}

/* A name of a file may be anything: a byte that is no plain ASCII becomes \udc80 .. \udcff, as Python's surrogateescape
 * has it. */
static const char *string_or_null(const char *bytes, char *text, size_t size)
{
    size_t used = 0;
    if (*bytes == '\0')
        return "null";
    text[used++] = '"';
    for (; *bytes != '\0' && used + 8 < size; bytes++) {
        unsigned char byte = (unsigned char)*bytes;
        if (byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\')
            text[used++] = (char)byte;
        else
            used += (size_t)snprintf(text + used, size - used, "\\u%s%02x", byte < 0x80 ? "00" : "dc", byte);
    }
    text[used++] = '"';
    text[used] = '\0';
    return text;
}

static void json_update(cli_renderer *base, const tq_progress *progress, tq_phase phase, const cli_estimate *estimate)
{
    json_renderer *self = (json_renderer *)base;
    const tq_phase_progress *p = &progress->phases[phase];
    if (self->ended[phase])
        return;
    self->ended[phase] = p->finished && p->not_done == 0;
    char slowest[16], silent[16], still[16], file[6 * TQ_STILL_FILE + 16], left[32] = "null";
    const cli_phase_estimate *e = &estimate->phase[phase];
    if (e->left_s >= 0)
        snprintf(left, sizeof left, "%.3f", e->left_s);
    cli_print_line(
        self->fd,
        "{\"tag\":\"%s\",\"done\":%" PRIu64 ",\"not_done\":%" PRIu64 ",\"unit\":\"%s\",\"bytes\":%" PRIu64
        ",\"bytes_total\":%" PRIu64 ",\"records\":%" PRIu64 ",\"seconds\":%.6f,\"rate\":%.1f,\"rate_unit\":\"%s/s\","
        "\"left_s\":%s,\"finished\":%s,\"run_s\":%.6f,\"ranks\":%d,\"slowest_rank\":%s,\"silent_rank\":%s,"
        "\"silent_s\":%.3f,\"still_rank\":%s,\"still_s\":%.3f,\"still_phase\":\"%s\",\"still_offset\":%" PRIu64
        ",\"still_file\":%s}",
        p->tag, p->done, p->not_done, cli_phase_unit(phase), p->bytes, p->bytes_total, p->records, p->seconds, e->per_s,
        e->rate_in_bytes ? "bytes" : cli_phase_unit(phase), left, p->finished ? "true" : "false", progress->seconds,
        progress->ranks, rank_or_null(p->slowest_rank, slowest, sizeof slowest),
        rank_or_null(progress->silent_rank, silent, sizeof silent), progress->silent_s,
        rank_or_null(progress->still.rank, still, sizeof still), progress->still.seconds,
        tq_phase_tag(progress->still.phase), progress->still.offset,
        string_or_null(progress->still.file, file, sizeof file));
}

static void json_print(cli_renderer *base, const char *line, size_t size)
{
    cli_write_line(((json_renderer *)base)->fd, line, size);
}

static void json_freeze(cli_renderer *base)
{
    (void)base;
}

static void json_finish(cli_renderer *base, bool succeeded)
{
    (void)succeeded;
    free(base);
}

cli_renderer *cli_render_json(const cli_screen *screen)
{
    json_renderer *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->base =
        (cli_renderer){.update = json_update, .print = json_print, .freeze = json_freeze, .finish = json_finish};
    self->fd = screen->fd;
    return &self->base;
}
