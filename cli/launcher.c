#include "cli/launcher.h"
#include "cli/banner.h"
#include "cli/link.h"
#include "cli/mpirun.h"
#include "cli/orphans.h"
#include "cli/progress.h"
#include "cli/pump.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* After being asked to cancel, the ranks have this long; then mpirun is told to end them, and at last is ended
 * itself. */
static const double ask_s = 2, terminate_s = 4;
static const double hello_s = 0.3;        /* ranks that are still starting have this long until they can be asked */
static const double same_request_s = 0.2; /* a signal to the process and to its group is one request */
static const double tick_s = 1;           /* between looks at the clock and the screen */
/* mpirun 4.1 may block for ever in its own end after a rank has ended early. So long it has from when the outcome is known:
 * from a rank 0 that ended well long, since very many ranks may take that to end. */
static const double failed_s = 8, succeeded_s = 120;
static const double block_s = 0.3;  /* mpirun writes its blocks in one go: what is still open then is a rank's text */
static const double drain_s = 2;    /* for what is left in the pipes when mpirun has ended */
static const double orphan_s = 0.8; /* for ranks that outlive mpirun: they end by themselves after 0.7 s */

typedef enum stage { RUNNING, ASKED, TERMINATED, KILLED } stage;

enum { LINE_SIZE = 8192 };

typedef struct launcher {
    const cli_options *options;
    cli_progress *progress;
    cli_banner *banner;

    pid_t child;      /* mpirun; 0 once it was waited for */
    int child_status; /* of waitpid */
    int signals, listener;
    int errors;                  /* mpirun's standard error */
    cli_pump forwarded;          /* mpirun's standard output */
    cli_pump result;             /* what rank 0 writes, if it must pass here */
    cli_pump input;              /* the terminal's keyboard, which mpirun may not read */
    int give_input, give_output; /* for rank 0, -1 if none; ours to close if above 2 */

    char line[LINE_SIZE]; /* the unfinished last line of errors */
    size_t used;
    double line_at; /* when something was added to the banner's block last */

    stage stage;
    double stage_at, ended_at;
    bool ranks_listen; /* rank 0 catches signals */
    int end_status;    /* as rank 0 reported it, -1 if it did not */
    double known_at;   /* when that, or what mpirun said of a failure, was seen; 0: it was not */
    bool gave_up;      /* mpirun was ended, since it did not end */
    bool printed;      /* a line of a rank's was shown */
    double ticked_at;
} launcher;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void close_fd(int *fd)
{
    if (*fd > STDERR_FILENO)
        close(*fd);
    *fd = -1;
}

/* ---- Stopping them ----------------------------------------------------------------------------------------------- */

/* Open MPI forwards SIGUSR1 to the ranks, where it means: cancel. Before they catch it, it would kill them. */
static void ask(launcher *l)
{
    if (l->child > 0 && l->ranks_listen)
        kill(l->child, SIGUSR1);
}

/* The next harsher step. */
static void escalate(launcher *l)
{
    if (l->stage < KILLED)
        l->stage++;
    l->stage_at = now();
    if (l->stage == ASKED)
        ask(l);
    else if (l->child > 0)
        kill(l->child, l->stage == TERMINATED ? SIGTERM : SIGKILL);
}

/* ---- What the ranks say ------------------------------------------------------------------------------------------ */

static void pass_line(const char *line, size_t size, void *user)
{
    launcher *l = user;
    l->printed = true;
    cli_progress_print(l->progress, line, size);
}

static void take_frame(launcher *l, const char *text)
{
    cli_frame frame;
    if (!cli_frame_parse(text, &frame))
        return;
    switch (frame.kind) {
    case FRAME_HELLO:
        l->ranks_listen = true;
        if (l->stage == ASKED) /* too early then */
            ask(l);
        break;
    case FRAME_SNAPSHOT: cli_progress_update(l->progress, &frame.progress, frame.phase); break;
    case FRAME_END:
        l->end_status = frame.status;
        l->stage_at = now(); /* they have answered: what is left to do is mpirun's */
        break;
    }
}

/* A frame may stand behind the unfinished line of another rank. */
static void take_line(launcher *l, char *line, size_t size)
{
    char *frame = memchr(line, CLI_FRAME_BEGIN, size);
    size_t before = frame != NULL ? (size_t)(frame - line) : size;
    if (before > 0 || frame == NULL) {
        cli_banner_line(l->banner, line, before);
        l->line_at = now();
    }
    if (frame != NULL) {
        line[size] = '\0';
        take_frame(l, frame);
    }
}

/* Cut what has come into lines. all: also an unfinished one, or one that is too long. */
static void take_lines(launcher *l, bool all)
{
    size_t at = 0;
    char *end;
    while (at < l->used && (end = memchr(l->line + at, '\n', l->used - at)) != NULL) {
        take_line(l, l->line + at, (size_t)(end - (l->line + at)));
        at = (size_t)(end - l->line) + 1;
    }
    if (at < l->used && (all || (at == 0 && l->used == LINE_SIZE - 1))) {
        take_line(l, l->line + at, l->used - at);
        at = l->used;
    }
    memmove(l->line, l->line + at, l->used - at);
    l->used -= at;
}

static void read_errors(launcher *l)
{
    ssize_t n = read(l->errors, l->line + l->used, LINE_SIZE - 1 - l->used);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n > 0)
        l->used += (size_t)n;
    take_lines(l, n <= 0);
    if (n <= 0) {
        cli_banner_flush(l->banner);
        close_fd(&l->errors);
    }
}

/* ---- Signals and time -------------------------------------------------------------------------------------------- */

static void reap(launcher *l)
{
    if (l->child > 0 && waitpid(l->child, &l->child_status, WNOHANG) == l->child) {
        l->child = 0;
        l->ended_at = now();
    }
}

static void take_signals(launcher *l)
{
    struct signalfd_siginfo info;
    while (read(l->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(l);
        else if (info.ssi_signo == SIGWINCH)
            cli_progress_tick(l->progress, 0);
        else if (l->stage == RUNNING || now() - l->stage_at > same_request_s)
            escalate(l);
    }
}

static void look_at_end(launcher *l, double t)
{
    bool failed = l->end_status > TQ_OK || cli_banner_verdict(l->banner)->status != TQ_OK;
    bool is_known = failed || l->end_status == TQ_OK;
    /* Somebody reads, in a pager, say: he may take his time. */
    bool is_reading = cli_pump_holds(&l->forwarded) || cli_pump_holds(&l->result);
    if (!is_known || is_reading || l->known_at <= 0)
        l->known_at = is_known ? t : 0;
    else if (l->child > 0 && t - l->known_at > (failed ? failed_s : succeeded_s)) {
        l->gave_up = true;
        kill(l->child, SIGKILL);
    }
}

static void look_at_clock(launcher *l)
{
    double t = now();
    look_at_end(l, t);
    double patience_s = l->stage == TERMINATED ? terminate_s : l->ranks_listen ? ask_s : hello_s;
    if (l->child > 0 && (l->stage == ASKED || l->stage == TERMINATED) && t - l->stage_at > patience_s)
        escalate(l);
    if (cli_banner_holds(l->banner) && t - l->line_at > block_s)
        cli_banner_flush(l->banner);
    if (t - l->ticked_at >= tick_s) {
        l->ticked_at = t;
        cli_progress_tick(l->progress, 0);
    }
    bool gone = l->result.broken || l->forwarded.broken;
    if (gone && l->stage == RUNNING) /* nobody reads the result any more */
        escalate(l);
}

/* ---- The loop ---------------------------------------------------------------------------------------------------- */

static void move_result(launcher *l, cli_pump *pump, const struct pollfd *ready)
{
    /* Bars and text on one screen do not go together: the bars stop before the first byte. */
    if (cli_pump_holds(pump) || (ready->revents & POLLIN) != 0)
        cli_progress_freeze(l->progress);
    cli_pump_move(pump, ready);
}

static void give_files(launcher *l)
{
    if (!cli_link_give_files(l->listener, l->give_input, l->give_output))
        return;
    close_fd(&l->listener);
    close_fd(&l->give_input);
    close_fd(&l->give_output); /* so that the end of rank 0 is the end of the result */
}

static bool has_more(const launcher *l)
{
    if (l->child > 0)
        return true;
    bool open = l->errors >= 0 || l->forwarded.from >= 0 || l->result.from >= 0;
    /* A reader that is slow (a pager) may take its time; a forgotten child that holds a pipe open may not. */
    bool slow = cli_pump_holds(&l->forwarded) || cli_pump_holds(&l->result);
    return open && (slow || now() - l->ended_at < drain_s) && l->stage < TERMINATED;
}

static void loop(launcher *l)
{
    while (has_more(l)) {
        enum { SIGNALS, ERRORS, LISTENER, FORWARDED, RESULT, INPUT, N };
        struct pollfd fds[N] = {
            [SIGNALS] = {.fd = l->signals, .events = POLLIN},
            [ERRORS] = {.fd = l->errors, .events = POLLIN},
            [LISTENER] = {.fd = l->listener, .events = POLLIN},
            [FORWARDED] = cli_pump_wants(&l->forwarded),
            [RESULT] = cli_pump_wants(&l->result),
            [INPUT] = cli_pump_wants(&l->input),
        };
        bool hurry = l->child == 0 || cli_banner_holds(l->banner) || l->stage != RUNNING;
        if (poll(fds, N, hurry ? 50 : (int)(tick_s * 1000)) < 0 && errno != EINTR)
            return;
        if (fds[SIGNALS].revents != 0)
            take_signals(l);
        if (fds[ERRORS].revents != 0)
            read_errors(l);
        if (fds[LISTENER].revents != 0)
            give_files(l);
        move_result(l, &l->forwarded, &fds[FORWARDED]);
        move_result(l, &l->result, &fds[RESULT]);
        cli_pump_move(&l->input, &fds[INPUT]);
        if (l->child == 0 && l->give_output >= 0 && l->listener >= 0) { /* nobody fetched it */
            close_fd(&l->listener);
            close_fd(&l->give_output);
        }
        look_at_clock(l);
    }
}

/* ---- Beginning --------------------------------------------------------------------------------------------------- */

static int catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&set, numbers[i]);
    /* A signal that is ignored would never reach the signalfd; as in signals.c, what is sent to us is meant. */
    signal(SIGINT, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool make_pipe(int *read_end, int *write_end)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *read_end = ends[0];
    *write_end = ends[1];
    return true;
}

/* Decide what rank 0 gets for a standard output: ours, or a pipe where bars would be in the way. */
static bool open_output(launcher *l)
{
    struct stat file;
    bool is_regular = fstat(STDOUT_FILENO, &file) == 0 && S_ISREG(file.st_mode);
    l->give_output = STDOUT_FILENO;
    if (!cli_progress_draws(l->progress) || is_regular)
        return true;
    int from;
    if (!make_pipe(&from, &l->give_output))
        return false;
    cli_pump_open(&l->result, from, STDOUT_FILENO, true);
    return true;
}

/* Decide what the ranks get for a standard input: nothing, ours, or a pipe from the keyboard, which a process group in
 * the background may not read. Sets what mpirun gets. */
static bool open_input(launcher *l, int *for_mpirun)
{
    int input = STDIN_FILENO;
    if (!cli_options_read_stdin(l->options)) {
        *for_mpirun = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return *for_mpirun >= 0;
    }
    if (isatty(STDIN_FILENO) == 1) {
        int to;
        if (!make_pipe(&input, &to))
            return false;
        fcntl(to, F_SETFL, O_NONBLOCK);
        cli_pump_open(&l->input, STDIN_FILENO, to, false);
    }
    if (cli_mpirun_has_hosts(l->options)) { /* rank 0 may be anywhere: mpirun must forward it */
        *for_mpirun = input;
        return true;
    }
    l->give_input = input;
    *for_mpirun = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return *for_mpirun >= 0;
}

static tq_status start(launcher *l, const cli_mpirun *mpirun)
{
    char link[64];
    int input = -1, output = -1, output_from = -1, errors = -1;
    l->signals = catch_signals();
    l->listener = cli_link_listen(link, sizeof link);
    bool ready = l->signals >= 0 && open_output(l) && open_input(l, &input) && make_pipe(&output_from, &output) &&
                 make_pipe(&l->errors, &errors);
    if (ready) {
        cli_orphans_adopt();
        cli_pump_open(&l->forwarded, output_from, STDOUT_FILENO, true);
        l->child = cli_mpirun_start(mpirun, link, input, output, errors);
    }
    cli_banner_set_mpirun(l->banner, (int)l->child);
    if (l->child <= 0)
        cli_print_line(STDERR_FILENO, "tequio: cannot start mpirun: %s", strerror(errno));
    if (input != l->give_input)
        close_fd(&input);
    close_fd(&output);
    close_fd(&errors);
    return l->child > 0 ? TQ_OK : TQ_E_SYSTEM;
}

/* ---- End --------------------------------------------------------------------------------------------------------- */

/* A reader that went away (`| head`) ends us the way it ends any other program. */
static void die_of_pipe(void)
{
    sigset_t set;
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(SIGPIPE);
}

/* Whether mpirun knows a cause that came before what rank 0 reported: when a rank dies, mpirun ends the others, and
 * rank 0 sees no more than that it was told to stop. */
static bool is_deeper(const cli_verdict *verdict, int end_status)
{
    if (verdict->signal != 0)
        return verdict->signal != SIGTERM; /* that is how mpirun ends a rank */
    bool knows_nothing = end_status < 0 || end_status == TQ_OK || end_status == TQ_E_CANCELLED;
    return verdict->status != TQ_OK && knows_nothing && verdict->exit_code != end_status;
}

/* The exit status, and the line that explains it unless one was given already. */
static int judge(launcher *l, const char **message)
{
    const cli_verdict *verdict = cli_banner_verdict(l->banner);
    int code = WIFEXITED(l->child_status) ? WEXITSTATUS(l->child_status) : 128 + WTERMSIG(l->child_status);
    bool mpirun_agrees = code == 0 || (l->gave_up && verdict->status == TQ_OK);
    if (mpirun_agrees && l->end_status == TQ_OK)
        return TQ_OK;
    if (l->stage != RUNNING) {
        *message = "cancelled";
        return TQ_E_CANCELLED;
    }
    if (is_deeper(verdict, l->end_status)) {
        if (l->printed && verdict->exit_code > 0 && verdict->exit_code < 125)
            return verdict->exit_code; /* that rank said why itself */
        *message = verdict->message;
        return (int)verdict->status;
    }
    if (l->end_status > 0) {
        *message = l->end_status == TQ_E_CANCELLED ? "cancelled" : NULL;
        return l->end_status;
    }
    if (code == 205) { /* what mpirun ends with when a host is gone */
        *message = "lost the connection to a host and with it the ranks there";
        return TQ_E_RANK_LOST;
    }
    if (WIFSIGNALED(l->child_status)) {
        *message = "mpirun was killed, and the ranks with it";
        return TQ_E_RANK_LOST;
    }
    if (code > 0 && code < 125 && l->printed)
        return code;
    *message = code == 0 ? "mpirun ended, but rank 0 never said how the run went" : "mpirun failed and gave no reason";
    return TQ_E_MPI;
}

static int end(launcher *l)
{
    const char *message = NULL;
    bool output_gone = l->end_status == CLI_STATUS_PIPE || l->result.broken || l->forwarded.broken ||
                       cli_banner_verdict(l->banner)->signal == SIGPIPE;
    int status = output_gone ? CLI_STATUS_PIPE : judge(l, &message);
    cli_progress_close(l->progress, status == TQ_OK);
    if (message != NULL)
        cli_print_line(STDERR_FILENO, "tequio: %s", message);
    if (output_gone)
        die_of_pipe();
    return status;
}

static void close_all(launcher *l)
{
    cli_pump_close(&l->forwarded);
    cli_pump_close(&l->result);
    cli_pump_close(&l->input);
    close_fd(&l->errors);
    close_fd(&l->listener);
    close_fd(&l->signals);
    close_fd(&l->give_input);
    close_fd(&l->give_output);
    cli_banner_destroy(l->banner);
}

int cli_launch(const cli_options *options)
{
    char why[512] = "out of memory";
    cli_mpirun mpirun;
    int status = (int)cli_mpirun_prepare(options, &mpirun, why, sizeof why);
    launcher *l = status == TQ_OK ? calloc(1, sizeof *l) : NULL; /* the pumps' buffers are too big for a stack */
    if (l == NULL || (status = (int)cli_progress_open(options, &l->progress)) != TQ_OK) {
        cli_print_line(STDERR_FILENO, "tequio: %s", why);
        status = status != TQ_OK ? status : TQ_E_MEMORY;
        goto free_mpirun;
    }
    l->options = options;
    l->signals = l->listener = l->errors = l->give_input = l->give_output = l->end_status = -1;
    l->ticked_at = now();
    cli_pump_open(&l->forwarded, -1, -1, true);
    cli_pump_open(&l->result, -1, -1, true);
    cli_pump_open(&l->input, -1, -1, true);
    l->banner = cli_banner_create(options->hostfile, pass_line, l);
    status = l->banner != NULL ? (int)start(l, &mpirun) : (int)TQ_E_MEMORY;
    if (status == TQ_OK) {
        loop(l);
        cli_orphans_end(mpirun.self, orphan_s);
        status = end(l);
    } else {
        cli_progress_close(l->progress, false);
    }
    close_all(l);
free_mpirun:
    free(l);
    cli_mpirun_free(&mpirun);
    return status;
}
