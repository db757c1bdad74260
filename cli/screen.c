#include "cli/screen.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && *value != '\0';
}

/* The first of these three that is set decides, as in setlocale(3). */
static bool locale_is_utf8(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        if (is_set(variables[i])) {
            const char *value = getenv(variables[i]);
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
        }
    return false;
}

cli_screen cli_screen_detect(int fd)
{
    const char *term = getenv("TERM");
    bool dumb = term == NULL || *term == '\0' || strcmp(term, "dumb") == 0;
    cli_screen screen = {.fd = fd, .terminal = isatty(fd) == 1 && !dumb, .utf8 = locale_is_utf8()};
    screen.colour = screen.terminal && !is_set("NO_COLOR");
    return screen;
}

void cli_screen_size(const cli_screen *screen, int *columns, int *rows)
{
    struct winsize size = {0};
    bool known = ioctl(screen->fd, TIOCGWINSZ, &size) == 0;
    *columns = screen->columns;
    if (*columns <= 0)
        *columns = known && size.ws_col > 0 ? size.ws_col : 80;
    *rows = known && size.ws_row > 0 ? size.ws_row : 24;
}

void cli_write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EAGAIN) { /* somebody else's non-blocking terminal */
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
            continue;
        }
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
}

void cli_write_line(int fd, const char *line, size_t size)
{
    struct iovec parts[] = {{(void *)line, size}, {(void *)"\n", 1}};
    ssize_t n = writev(fd, parts, 2);
    size_t written = n > 0 ? (size_t)n : 0;
    if (written < size)
        cli_write_all(fd, line + written, size - written);
    if (written <= size)
        cli_write_all(fd, "\n", 1);
}

void cli_print_line(int fd, const char *format, ...)
{
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t used = (size_t)length < sizeof line - 1 ? (size_t)length : sizeof line - 2;
    line[used++] = '\n';
    cli_write_all(fd, line, used);
}
