#include "cli/banner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 8192, DASHES = 70 };

struct cli_banner {
    const char *hostfile;
    cli_pass_fn pass;
    void *user;
    char mpirun[32]; /* ":PID] ", as it stands in lines about a crash of mpirun itself */
    bool in_crash;   /* such lines have begun */
    bool in_block;
    char block[BLOCK_SIZE]; /* lines as they came, each with a newline, the opening dashes left out */
    size_t used;
    char opening[160]; /* the line of dashes */
    cli_verdict verdict;
};

/* ---- What a block means ------------------------------------------------------------------------------------------ */

/* Each reader gets the block's text with single blanks for all white space. The texts are Open MPI's, in
 * share/openmpi/help-*.txt; those of 4.1 and 5.0 are alike in what is looked for here. */
typedef void (*read_fn)(const char *text, const char *hostfile, cli_verdict *verdict);

/* The word behind label in text, "?" if there is none. */
static const char *word_after(const char *text, const char *label, char *word, size_t size)
{
    const char *at = strstr(text, label);
    size_t length = 0;
    snprintf(word, size, "?");
    if (at == NULL)
        return word;
    at += strlen(label);
    at += strspn(at, " ");
    length = strcspn(at, " ");
    if (length > 0)
        snprintf(word, size, "%.*s", (int)length, at);
    return word;
}

static int number_after(const char *text, const char *label, int otherwise)
{
    char word[32];
    int number;
    return sscanf(word_after(text, label, word, sizeof word), "%d", &number) == 1 ? number : otherwise;
}

static void read_nothing(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)text, (void)hostfile, (void)verdict;
}

static void read_signal(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)hostfile;
    char host[128];
    verdict->status = TQ_E_RANK_LOST;
    verdict->rank = number_after(text, "process rank ", -1);
    verdict->signal = number_after(text, "exited on signal ", 0);
    word_after(text, "on node ", host, sizeof host);
    const char *name = strsignal(verdict->signal);
    snprintf(verdict->message, sizeof verdict->message, "rank %d on host %s was killed by signal %d (%s)",
             verdict->rank, host, verdict->signal, name != NULL ? name : "unknown");
}

static void read_exit(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)hostfile;
    const char *name = strstr(text, "Process name: [[");
    const char *comma = name != NULL ? strstr(name, "],") : NULL;
    verdict->status = TQ_E_RANK_LOST;
    verdict->rank = comma != NULL ? atoi(comma + 2) : -1;
    verdict->exit_code = number_after(text, "Exit code: ", 0);
    snprintf(verdict->message, sizeof verdict->message, "rank %d ended with exit code %d and gave no reason",
             verdict->rank, verdict->exit_code);
}

static void read_vanished(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)hostfile;
    char host[128];
    verdict->status = TQ_E_RANK_LOST;
    verdict->rank = number_after(text, "process rank ", -1);
    snprintf(verdict->message, sizeof verdict->message,
             "rank %d on host %s ended in the middle of the run and gave no reason", verdict->rank,
             word_after(text, "on node ", host, sizeof host));
}

static void read_abort(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)hostfile;
    verdict->status = TQ_E_RANK_LOST;
    verdict->rank = number_after(text, "invoked on rank ", -1);
    snprintf(verdict->message, sizeof verdict->message, "rank %d called MPI_Abort with code %d", verdict->rank,
             number_after(text, "with errorcode ", -1));
}

static void read_unknown_loss(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)text, (void)hostfile;
    verdict->status = TQ_E_RANK_LOST;
    snprintf(verdict->message, sizeof verdict->message,
             "a rank ended in the middle of the run; mpirun cannot say which");
}

static void read_lost_host(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)hostfile;
    char host[128];
    const char *remote = strstr(text, "Remote daemon");
    verdict->status = TQ_E_RANK_LOST;
    snprintf(verdict->message, sizeof verdict->message, "lost the connection to host %s and with it the ranks there",
             word_after(remote != NULL ? remote : text, "on node ", host, sizeof host));
}

static void read_lost_daemon(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)text, (void)hostfile;
    verdict->status = TQ_E_RANK_LOST;
    snprintf(verdict->message, sizeof verdict->message, "lost one of the hosts in the middle of the run");
}

static void read_slots(const char *text, const char *hostfile, cli_verdict *verdict)
{
    verdict->status = TQ_E_MPI;
    int wanted = number_after(text, "satisfy the ", 0);
    if (hostfile != NULL)
        snprintf(verdict->message, sizeof verdict->message,
                 "%s has fewer than %d slots: ask for fewer ranks (-n), or raise slots= there", hostfile, wanted);
    else
        snprintf(verdict->message, sizeof verdict->message,
                 "this allocation has fewer than %d slots: ask for fewer ranks (-n)", wanted);
}

static void read_no_start(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)text;
    verdict->status = TQ_E_MPI;
    snprintf(verdict->message, sizeof verdict->message,
             "mpirun could not start on one of the hosts%s%s: each must take ssh without a password, and have Open MPI "
             "installed as here",
             hostfile != NULL ? " in " : "", hostfile != NULL ? hostfile : "");
}

static void read_no_program(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)hostfile;
    char program[256], host[128];
    verdict->status = TQ_E_MPI;
    snprintf(verdict->message, sizeof verdict->message,
             "host %s cannot run %s: install tequio there under the same path",
             word_after(text, "Node: ", host, sizeof host), word_after(text, "Executable: ", program, sizeof program));
}

static void read_no_folder(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)hostfile;
    char folder[256], host[128];
    verdict->status = TQ_E_MPI;
    snprintf(verdict->message, sizeof verdict->message, "host %s has no folder %s, in which tequio was started",
             word_after(text, "Node: ", host, sizeof host), word_after(text, "directory: ", folder, sizeof folder));
}

static void read_no_connection(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)hostfile;
    char host[128];
    verdict->status = TQ_E_MPI;
    snprintf(verdict->message, sizeof verdict->message, "host %s cannot be reached from another host of the run",
             word_after(text, "target node: ", host, sizeof host));
}

/* Often an echo of a host that is lost; mpirun then says so later. */
static void read_no_tcp(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)hostfile;
    char host[128];
    verdict->status = TQ_E_MPI;
    snprintf(verdict->message, sizeof verdict->message, "host %s cannot reach another host of the run by TCP",
             word_after(text, "Local host: ", host, sizeof host));
}

static void read_disconnected(const char *text, const char *hostfile, cli_verdict *verdict)
{
    (void)hostfile;
    char host[128];
    verdict->status = TQ_E_MPI;
    snprintf(verdict->message, sizeof verdict->message, "a rank on host %s is gone: its connection broke",
             word_after(text, "Peer host: ", host, sizeof host));
}

static const struct {
    const char *phrase;
    read_fn read;
} readers[] = {
    {"exited on signal", read_signal},
    {"exited with non-zero status", read_exit},
    {"exiting improperly", read_vanished},
    {"calling \"abort\"", read_vanished},
    {"MPI_ABORT was invoked on rank", read_abort},
    {"no info as to the process that caused that situation", read_unknown_loss},
    {"lost communication with a remote daemon", read_lost_host},
    {"required daemon terminated during execution", read_lost_daemon},
    {"There are not enough slots available", read_slots},
    {"unable to reliably start one or more daemons", read_no_start},
    {"daemon has unexpectedly failed after launch", read_no_start},
    {"could not access or execute an executable", read_no_program},
    {"unable to find the specified executable file", read_no_program},
    {"could not change to the specified working directory", read_no_folder},
    {"is unable to establish a communication connection", read_no_connection},
    {"does not know how to route a message", read_no_connection},
    {"failed to TCP connect to a peer MPI process", read_no_tcp},
    {"peer process has unexpectedly disconnected", read_disconnected},
    /* What says nothing that the others do not. */
    {"terminated normally, but", read_nothing},
    {"has exited before it received notification that all started processes had terminated", read_nothing},
    {"unable to cleanly terminate the daemons", read_nothing},
    {"is in the process of killing a job", read_nothing},
};

/* A death by signal says more than the rest, a loss more than what may follow from one, and the first of a kind more
 * than those it drew along. */
static int weight_of(const cli_verdict *verdict)
{
    if (verdict->status == TQ_OK)
        return 0;
    if (verdict->signal != 0)
        return 3;
    return verdict->status == TQ_E_RANK_LOST && verdict->exit_code == 0 ? 2 : 1;
}

static void squeeze(const char *from, char *to)
{
    size_t n = 0;
    for (; *from != '\0'; from++) {
        bool blank = strchr(" \t\r\n", *from) != NULL;
        if (!blank)
            to[n++] = *from;
        else if (n > 0 && to[n - 1] != ' ')
            to[n++] = ' ';
    }
    to[n] = '\0';
}

static bool understand(cli_banner *banner)
{
    char text[BLOCK_SIZE];
    banner->block[banner->used] = '\0';
    squeeze(banner->block, text);
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        if (strstr(text, readers[i].phrase) == NULL)
            continue;
        cli_verdict verdict = {.status = TQ_OK, .rank = -1};
        readers[i].read(text, banner->hostfile, &verdict);
        if (weight_of(&verdict) > weight_of(&banner->verdict))
            banner->verdict = verdict;
        return true;
    }
    return false;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

static bool is_dashes(const char *line, size_t size)
{
    size_t n = 0;
    while (n < size && line[n] == '-')
        n++;
    return n >= DASHES && (n == size || (n + 1 == size && line[n] == '\r'));
}

/* Lines of mpirun's outside of blocks that say nothing to the user. */
static bool is_chatter(const char *line, size_t size)
{
    static const char *const phrases[] = {"sent help message",        "orte_base_help_aggregate",
                                          "mpirun: killing job",      "mpirun: abort is already in progress",
                                          "mpirun: SIGPIPE detected", "mpirun: Forwarding signal"};
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)(size < sizeof text ? size : sizeof text - 1), line);
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (strstr(text, phrases[i]) != NULL)
            return true;
    return false;
}

/* From "[host:PID] *** Process received signal ***" to the end of what Open MPI says of a crash, if it is mpirun's own. */
static bool is_of_crash(cli_banner *banner, const char *line, size_t size)
{
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)(size < sizeof text ? size : sizeof text - 1), line);
    if (text[0] != '[' || banner->mpirun[0] == '\0' || strstr(text, banner->mpirun) == NULL)
        return false;
    bool begins = strstr(text, "*** Process received signal") != NULL;
    bool is_of_it = begins || banner->in_crash;
    banner->in_crash = is_of_it && strstr(text, "*** End of error message") == NULL;
    return is_of_it;
}

void cli_banner_set_mpirun(cli_banner *banner, int pid)
{
    snprintf(banner->mpirun, sizeof banner->mpirun, ":%05d] ", pid);
}

void cli_banner_flush(cli_banner *banner)
{
    if (!banner->in_block)
        return;
    banner->in_block = false;
    banner->pass(banner->opening, strlen(banner->opening), banner->user);
    for (size_t at = 0; at < banner->used;) {
        size_t length = (size_t)((char *)memchr(banner->block + at, '\n', banner->used - at) - (banner->block + at));
        banner->pass(banner->block + at, length, banner->user);
        at += length + 1;
    }
}

static void open_block(cli_banner *banner, const char *line, size_t size)
{
    banner->in_block = true;
    banner->used = 0;
    snprintf(banner->opening, sizeof banner->opening, "%.*s", (int)size, line);
}

static void close_block(cli_banner *banner, const char *line, size_t size)
{
    if (understand(banner)) {
        banner->in_block = false;
        return;
    }
    cli_banner_flush(banner);
    /* Where a block of somebody else's ends, another may begin: only what follows can tell. */
    banner->pass(line, size, banner->user);
}

void cli_banner_line(cli_banner *banner, const char *line, size_t size)
{
    if (size > 0 && line[size - 1] == '\r') /* ssh, on a raw terminal */
        size--;
    if (is_dashes(line, size)) {
        if (banner->in_block && banner->used > 0)
            close_block(banner, line, size);
        else
            open_block(banner, line, size);
        return;
    }
    if (banner->in_block && banner->used + size + 2 > BLOCK_SIZE)
        cli_banner_flush(banner);
    if (!banner->in_block) {
        if (!is_chatter(line, size) && !is_of_crash(banner, line, size))
            banner->pass(line, size, banner->user);
        return;
    }
    memcpy(banner->block + banner->used, line, size);
    banner->used += size;
    banner->block[banner->used++] = '\n';
}

cli_banner *cli_banner_create(const char *hostfile, cli_pass_fn pass, void *user)
{
    cli_banner *banner = calloc(1, sizeof *banner);
    if (banner != NULL) {
        banner->hostfile = hostfile;
        banner->pass = pass;
        banner->user = user;
        banner->verdict.rank = -1;
    }
    return banner;
}

bool cli_banner_holds(const cli_banner *banner)
{
    return banner->in_block;
}

const cli_verdict *cli_banner_verdict(const cli_banner *banner)
{
    return &banner->verdict;
}

void cli_banner_destroy(cli_banner *banner)
{
    free(banner);
}
