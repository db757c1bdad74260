/* Copies bytes from one file to another within a poll loop, without ever waiting for either. One thread. */
#ifndef CLI_PUMP_H
#define CLI_PUMP_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct cli_pump {
    int from, to; /* owned; -1 once it is closed. `to` is not closed if keep_to. */
    bool keep_to;
    bool broken; /* the reader of `to` went away: what comes is thrown away */
    size_t begin, end;
    char data[65536];
} cli_pump;

/* Both -1 is a pump that does nothing. */
void cli_pump_open(cli_pump *pump, int from, int to, bool keep_to);
void cli_pump_close(cli_pump *pump);

/* What to wait for: one entry, its fd -1 if nothing. */
struct pollfd cli_pump_wants(const cli_pump *pump);

/* Move what can be moved. ready is the entry after poll. Returns how many bytes reached `to`. */
size_t cli_pump_move(cli_pump *pump, const struct pollfd *ready);

/* Whether bytes are held back because `to` is slow. */
bool cli_pump_holds(const cli_pump *pump);

/* Copy until the end of from, waiting as needed; before the first byte, call first(user). For a thread of its own. */
void cli_pump_run(int from, int to, void (*first)(void *user), void *user);

#endif
