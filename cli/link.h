/* Between the launcher and the ranks it starts with mpirun.
 *
 * Frames: rank 0 tells how the run goes in lines on its standard error, which mpirun forwards whatever host it is on.
 * Such a line begins with the byte 0x1e, so that nothing else looks like one, and is written in one piece of less than
 * PIPE_BUF bytes. Files: what mpirun forwards of stdin and stdout is slow (about 80 MB/s) and breaks when the reader
 * goes away (`| head`), so a rank 0 on the launcher's own host fetches the launcher's files themselves, over a socket.
 *
 * The environment variable TEQUIO_LAUNCHER says that there is a launcher: the protocol's version, a colon, and the
 * socket's name in the abstract namespace. */
#ifndef CLI_LINK_H
#define CLI_LINK_H

#include <tequio/tequio.h>

#define CLI_LINK_VARIABLE "TEQUIO_LAUNCHER"
#define CLI_LINK_PREFIX   "1:"
#define CLI_FRAME_BEGIN   '\036'

/* Sent as the final status when the reader of the standard output went away. */
#define CLI_STATUS_PIPE (128 + 13)

/* ---- The rank's side ---- */

/* Whether this process was started by a launcher. */
bool cli_link_exists(void);

/* Take the launcher's files over: its standard output in place of ours, and its input if it gives one. Does nothing
 * where the launcher cannot be reached. Rank 0, before anything is read or written. */
void cli_link_take_files(void);

void cli_link_send_hello(void); /* signals are caught, cancelling works from now on */
void cli_link_send_snapshot(const tq_progress *progress, tq_phase phase);
void cli_link_send_end(int status);

/* ---- The launcher's side ---- */

typedef enum cli_frame_kind { FRAME_HELLO, FRAME_SNAPSHOT, FRAME_END } cli_frame_kind;

typedef struct cli_frame {
    cli_frame_kind kind;
    int status;           /* FRAME_END */
    tq_phase phase;       /* FRAME_SNAPSHOT */
    tq_progress progress; /* FRAME_SNAPSHOT */
} cli_frame;

/* Read a frame (text ended by a NUL, without the newline). False if it is none of this version's. */
bool cli_frame_parse(const char *text, cli_frame *frame);

/* Write a snapshot's frame, newline included. Returns its length, 0 if it does not fit. */
size_t cli_frame_snapshot(const tq_progress *progress, tq_phase phase, char *text, size_t size);

/* A socket for cli_link_take_files; value (size bytes) is then what TEQUIO_LAUNCHER must be. -1: none could be made,
 * and value says so to the ranks. */
int cli_link_listen(char *value, size_t size);

/* Accept one rank and hand it input (-1: none) and output. True if it has them. */
bool cli_link_give_files(int listener, int input, int output);

#endif
