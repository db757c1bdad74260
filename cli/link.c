#include "cli/link.h"
#include "cli/screen.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

bool cli_link_exists(void)
{
    const char *value = getenv(CLI_LINK_VARIABLE);
    return value != NULL && strncmp(value, CLI_LINK_PREFIX, strlen(CLI_LINK_PREFIX)) == 0;
}

void cli_link_send_hello(void)
{
    cli_print_line(STDERR_FILENO, "%cH", CLI_FRAME_BEGIN);
}

void cli_link_send_end(int status)
{
    cli_print_line(STDERR_FILENO, "%cE %d", CLI_FRAME_BEGIN, status);
}

/* The file comes last, since it may hold blanks; what would end the line, or look like a frame, is changed. */
static int put_still(const tq_still *still, char *text, size_t size)
{
    int length = snprintf(text, size, " %d %.3f %d %" PRIu64 " %s", still->rank, still->seconds, (int)still->phase,
                          still->offset, still->file);
    for (int i = 0; i < length && (size_t)i < size; i++)
        if ((unsigned char)text[i] < ' ')
            text[i] = '?';
    return length;
}

size_t cli_frame_snapshot(const tq_progress *progress, tq_phase phase, char *text, size_t size)
{
    int length = snprintf(text, size, "%cS %d %.6f %d %d %.3f %d", CLI_FRAME_BEGIN, (int)phase, progress->seconds,
                          progress->ranks, (int)progress->phase, progress->silent_s, progress->silent_rank);
    for (int i = 0; i < TQ_PHASES && length > 0 && (size_t)length < size; i++) {
        const tq_phase_progress *p = &progress->phases[i];
        length +=
            snprintf(text + length, size - (size_t)length,
                     " %d %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %.6f %d %" PRIu64 " %" PRIu64,
                     p->started, p->finished, p->done, p->not_done, p->bytes, p->bytes_total, p->records, p->seconds,
                     p->slowest_rank, p->slowest_done, p->slowest_not_done);
    }
    if (length > 0 && (size_t)length < size)
        length += put_still(&progress->still, text + length, size - (size_t)length);
    if (length <= 0 || (size_t)length + 2 > size)
        return 0;
    text[length] = '\n';
    text[length + 1] = '\0';
    return (size_t)length + 1;
}

void cli_link_send_snapshot(const tq_progress *progress, tq_phase phase)
{
    char text[PIPE_BUF];
    cli_write_all(STDERR_FILENO, text, cli_frame_snapshot(progress, phase, text, sizeof text));
}

static bool parse_still(const char *text, tq_still *still)
{
    int phase, used = 0;
    if (sscanf(text, " %d %lf %d %" SCNu64 "%n", &still->rank, &still->seconds, &phase, &still->offset, &used) != 4 ||
        phase < 0 || phase >= TQ_PHASES || text[used] != ' ')
        return false;
    still->phase = (tq_phase)phase;
    snprintf(still->file, sizeof still->file, "%s", text + used + 1);
    return true;
}

static bool parse_snapshot(const char *text, cli_frame *frame)
{
    tq_progress *progress = &frame->progress;
    int phase, current, used = 0;
    if (sscanf(text, "%d %lf %d %d %lf %d%n", &phase, &progress->seconds, &progress->ranks, &current,
               &progress->silent_s, &progress->silent_rank, &used) != 6 ||
        phase < 0 || phase >= TQ_PHASES || current < 0 || current > TQ_PHASES)
        return false;
    frame->phase = (tq_phase)phase;
    progress->phase = (tq_phase)current;
    for (int i = 0; i < TQ_PHASES; i++) {
        tq_phase_progress *p = &progress->phases[i];
        int started, finished;
        text += used;
        if (sscanf(text,
                   " %d %d %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %lf %d %" SCNu64 " %" SCNu64
                   "%n",
                   &started, &finished, &p->done, &p->not_done, &p->bytes, &p->bytes_total, &p->records, &p->seconds,
                   &p->slowest_rank, &p->slowest_done, &p->slowest_not_done, &used) != 11)
            return false;
        p->started = started != 0;
        p->finished = finished != 0;
        p->tag = tq_phase_tag((tq_phase)i);
    }
    return parse_still(text + used, &progress->still);
}

bool cli_frame_parse(const char *text, cli_frame *frame)
{
    *frame = (cli_frame){0};
    if (text[0] != CLI_FRAME_BEGIN)
        return false;
    switch (text[1]) {
    case 'H': frame->kind = FRAME_HELLO; return text[2] == '\0';
    case 'E': frame->kind = FRAME_END; return sscanf(text + 2, "%d", &frame->status) == 1;
    case 'S': frame->kind = FRAME_SNAPSHOT; return parse_snapshot(text + 2, frame);
    default: return false;
    }
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* Names in the abstract namespace need no folder and vanish with the launcher. Whoever connects is asked for his user
 * id. */
static socklen_t address_of(const char *name, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t length = strnlen(name, sizeof address->sun_path - 2);
    memcpy(address->sun_path + 1, name, length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

static bool is_same_user(int connection)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

int cli_link_listen(char *value, size_t size)
{
    uint64_t random = 0;
    struct sockaddr_un address;
    snprintf(value, size, "%s", CLI_LINK_PREFIX);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        goto close_listener;
    snprintf(value, size, "%stequio-%d-%016" PRIx64, CLI_LINK_PREFIX, (int)getpid(), random);
    socklen_t length = address_of(value + strlen(CLI_LINK_PREFIX), &address);
    if (bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 4) == 0)
        return listener;
    snprintf(value, size, "%s", CLI_LINK_PREFIX);
close_listener:
    if (listener >= 0)
        close(listener);
    return -1;
}

/* Room for two descriptors, aligned as the kernel wants it. */
typedef union control_block {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
} control_block;

bool cli_link_give_files(int listener, int input, int output)
{
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0)
        return false;
    int files[2] = {output, input};
    size_t n = input >= 0 ? 2 : 1;
    char count = (char)n;
    control_block control = {.bytes = {0}};
    struct iovec part = {&count, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(header), files, n * sizeof(int));
    bool given = is_same_user(connection) && sendmsg(connection, &message, MSG_NOSIGNAL) == 1;
    close(connection);
    return given;
}

static void receive_files(int connection)
{
    char count = 0;
    control_block control;
    struct iovec part = {&count, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) != 1)
        return;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_type != SCM_RIGHTS || header->cmsg_len < CMSG_LEN(sizeof(int)))
        return;
    int files[2] = {-1, -1};
    size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(files, CMSG_DATA(header), (n < 2 ? n : 2) * sizeof(int));
    for (int i = 0; i < 2; i++)
        if (files[i] >= 0) {
            dup2(files[i], i == 0 ? STDOUT_FILENO : STDIN_FILENO);
            close(files[i]);
        }
}

void cli_link_take_files(void)
{
    const char *value = getenv(CLI_LINK_VARIABLE);
    struct sockaddr_un address;
    struct timeval patience = {.tv_sec = 5};
    if (!cli_link_exists() || value[strlen(CLI_LINK_PREFIX)] == '\0')
        return;
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0)
        return;
    socklen_t length = address_of(value + strlen(CLI_LINK_PREFIX), &address);
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(connection, (struct sockaddr *)&address, length) == 0 && is_same_user(connection))
        receive_files(connection);
    close(connection);
}
