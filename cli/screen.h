/* Where progress is drawn: a file descriptor, and what the terminal behind it can show. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_screen {
    int fd;
    bool terminal; /* it is one, and understands cursor movements */
    bool colour;   /* and colours are wanted: neither NO_COLOR (https://no-color.org) nor TERM=dumb says otherwise */
    bool utf8;     /* the locale's encoding, by its name */
    int columns;   /* 0: ask the terminal whenever something is drawn */
} cli_screen;

/* What fd is, from the terminal and the environment. */
cli_screen cli_screen_detect(int fd);

/* Its size now; 80 x 24 where nobody knows. At least 1. */
void cli_screen_size(const cli_screen *screen, int *columns, int *rows);

/* Write all of it, whatever signals come; an error ends it silently, since there is nowhere to report it. */
void cli_write_all(int fd, const char *data, size_t size);

/* The same with a newline behind it, in one piece if the kernel plays along. */
void cli_write_line(int fd, const char *line, size_t size);

/* One formatted line, cut at 2 KiB. */
void cli_print_line(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
