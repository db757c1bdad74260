#include "cli/pump.h"
#include "cli/screen.h"
#include <errno.h>
#include <limits.h>
#include <unistd.h>

void cli_pump_open(cli_pump *pump, int from, int to, bool keep_to)
{
    pump->from = from;
    pump->to = to;
    pump->keep_to = keep_to;
    pump->broken = false;
    pump->begin = pump->end = 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void cli_pump_close(cli_pump *pump)
{
    close_fd(&pump->from);
    if (!pump->keep_to)
        close_fd(&pump->to);
    pump->to = -1;
    pump->begin = pump->end = 0;
}

bool cli_pump_holds(const cli_pump *pump)
{
    return pump->begin < pump->end;
}

struct pollfd cli_pump_wants(const cli_pump *pump)
{
    if (cli_pump_holds(pump))
        return (struct pollfd){.fd = pump->to, .events = POLLOUT};
    return (struct pollfd){.fd = pump->from, .events = POLLIN};
}

static void fill(cli_pump *pump)
{
    ssize_t n = read(pump->from, pump->data, sizeof pump->data);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        cli_pump_close(pump);
        return;
    }
    pump->begin = 0;
    pump->end = pump->broken ? 0 : (size_t)n;
}

/* A pipe that poll calls writable takes PIPE_BUF bytes without blocking, but not surely more. */
static size_t spill(cli_pump *pump)
{
    size_t size = pump->end - pump->begin;
    ssize_t n = write(pump->to, pump->data + pump->begin, size < PIPE_BUF ? size : PIPE_BUF);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n < 0) {
        pump->broken = true;
        pump->begin = pump->end = 0;
        return 0;
    }
    pump->begin += (size_t)n;
    return (size_t)n;
}

size_t cli_pump_move(cli_pump *pump, const struct pollfd *ready)
{
    if (ready->fd < 0 || ready->revents == 0)
        return 0;
    if (cli_pump_holds(pump))
        return spill(pump);
    fill(pump);
    return 0;
}

void cli_pump_run(int from, int to, void (*first)(void *user), void *user)
{
    static const size_t size = 65536;
    char data[65536];
    bool any = false;
    for (;;) {
        ssize_t n = read(from, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        if (!any)
            first(user);
        any = true;
        cli_write_all(to, data, (size_t)n);
    }
}
