/* What mpirun itself says on standard error, between lines of dashes, and what it means: the launcher shows one clear
 * line instead of a page. Lines that are not mpirun's pass. One thread. */
#ifndef CLI_BANNER_H
#define CLI_BANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <tequio/status.h>

typedef struct cli_banner cli_banner;

/* What mpirun told about the end of the run. */
typedef struct cli_verdict {
    tq_status status;  /* TQ_OK: nothing */
    int signal;        /* that ended a rank, 0 if none did */
    int exit_code;     /* with which a rank ended by itself, 0 if none did */
    int rank;          /* which one, -1 if that is not known */
    char message[512]; /* one line */
} cli_verdict;

typedef void (*cli_pass_fn)(const char *line, size_t size, void *user);

/* Lines that pass go to pass(line, size, user), without a newline. hostfile (may be NULL) is for messages. NULL: no
 * memory. */
cli_banner *cli_banner_create(const char *hostfile, cli_pass_fn pass, void *user);

/* The process of mpirun, to know its own last words: it may crash at its end, when a rank has ended early. */
void cli_banner_set_mpirun(cli_banner *banner, int pid);

/* A line of mpirun's standard error, without its newline. */
void cli_banner_line(cli_banner *banner, const char *line, size_t size);

/* Whether a block has begun that may be a rank's own text: if nothing follows soon, let it pass by cli_banner_flush. */
bool cli_banner_holds(const cli_banner *banner);
void cli_banner_flush(cli_banner *banner);

const cli_verdict *cli_banner_verdict(const cli_banner *banner);
void cli_banner_destroy(cli_banner *banner);

#endif
