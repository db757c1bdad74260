#include "jobs/child.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Pipes so large that neither side waits for the other more often than it must. */
enum { PIPE_BYTES = 1 << 20, FIRST_ROOM = 256 << 10, LINE_BYTES = 1024 };
enum { LOOK_MS = 50, GRACE_MS = 200, QUIET_MS = 1000 };

typedef struct child {
    const child_plan *plan;
    child_outcome outcome;
    pid_t pid;        /* and its group's; not reaped before that is gone, so that both stay its own */
    bool exited;      /* but others of its group may still have our pipes */
    int in, out, err; /* our ends, -1 once closed */
    const char *data; /* of its input, what is not written yet */
    size_t size;
    char *room; /* of its output, what is not taken yet */
    size_t used, capacity;
    char line[LINE_BYTES];
    size_t line_used;
    int quiet_ms; /* since it exited, without a byte from its group */
} child;

/* ---- Environment ------------------------------------------------------------------------------------------------- */

/* By these MPI, and the command, find out that they were launched, and by whom. */
static bool is_of_ranks(const char *variable)
{
    static const char *const begins[] = {"OMPI_COMM_WORLD_", "OMPI_MCA_orte_", "OMPI_MCA_ess", "PMIX_", "PMI_",
                                         "MPI_LOCAL",        "TEQUIO_LAUNCHER"};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (strncmp(variable, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

static void add_variable(child_environment *environment, char *variable)
{
    char **list = variable != NULL ? realloc(environment->list, (environment->n + 2) * sizeof *list) : NULL;
    environment->failed = environment->failed || list == NULL;
    if (list == NULL) {
        free(variable);
        return;
    }
    environment->list = list;
    list[environment->n++] = variable;
    list[environment->n] = NULL;
}

static void inherit(child_environment *environment)
{
    for (char **variable = environ; *variable != NULL; variable++)
        if (!is_of_ranks(*variable))
            add_variable(environment, strdup(*variable));
}

static void forget_variable(child_environment *environment, const char *added)
{
    size_t name = strcspn(added, "=") + 1, kept = 0;
    for (size_t i = 0; i < environment->n; i++)
        if (strncmp(environment->list[i], added, name) == 0)
            free(environment->list[i]);
        else
            environment->list[kept++] = environment->list[i];
    environment->n = kept;
}

void child_export(child_environment *environment, const char *format, ...)
{
    char *variable = NULL;
    va_list arguments;
    if (environment->list == NULL)
        inherit(environment);
    va_start(arguments, format);
    if (vasprintf(&variable, format, arguments) < 0)
        variable = NULL;
    va_end(arguments);
    if (variable != NULL)
        forget_variable(environment, variable);
    add_variable(environment, variable);
}

char *const *child_environment_list(const child_environment *environment)
{
    return environment->failed ? NULL : environment->list;
}

void child_environment_free(child_environment *environment)
{
    for (size_t i = 0; i < environment->n; i++)
        free(environment->list[i]);
    free(environment->list);
    *environment = (child_environment){0};
}

/* ---- Starting ---------------------------------------------------------------------------------------------------- */

static void close_end(int *end)
{
    if (*end >= 0)
        close(*end);
    *end = -1;
}

/* Between vfork and exec: only system calls, on the parent's stack, while the parent waits. */
static _Noreturn void become(const child_plan *plan, const int *ends, pid_t parent)
{
    char *const arguments[] = {(char *)"sh", (char *)"-c", (char *)plan->command, NULL};
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before it was asked for the signal */
        _exit(127);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, &usual, NULL); /* also what is ignored here, as SIGPIPE under MPI */
    for (int i = 0; i < 3; i++)
        if (dup2(ends[i], i) < 0)
            _exit(127);
#ifdef SYS_close_range
    syscall(SYS_close_range, 3U, ~0U, 0U); /* those of libraries that forgot to say so */
#endif
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve("/bin/sh", arguments, plan->environment);
    _exit(127);
}

/* No handler of ours may run in the child while it has our memory. */
static pid_t start_process(const child_plan *plan, const int *ends)
{
    sigset_t all, before;
    pid_t parent = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork();
    if (pid == 0)
        become(plan, ends, parent);
    int code = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = code;
    return pid;
}

static bool give_up(child *c, const char *why)
{
    c->outcome = (child_outcome){.end = CHILD_FAILED, .code = errno, .why = why};
    return false;
}

/* Ends above the standard ones, which may be closed here: dup2 in the child must not meet one that it still needs. */
static bool lift(int *end)
{
    int lifted = *end <= STDERR_FILENO ? fcntl(*end, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : *end;
    if (lifted != *end)
        close(*end);
    *end = lifted;
    return lifted >= 0;
}

static bool open_pipe(int *from, int *to, bool large)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *from = ends[0];
    *to = ends[1];
    if (large)
        fcntl(*to, F_SETPIPE_SZ, PIPE_BYTES); /* as large as it is then */
    return lift(from) && lift(to);
}

static bool start(child *c)
{
    int ends[3] = {-1, -1, -1};
    bool opened =
        open_pipe(&ends[0], &c->in, true) && open_pipe(&c->out, &ends[1], true) && open_pipe(&c->err, &ends[2], false);
    if (opened) {
        c->pid = start_process(c->plan, ends);
        fcntl(c->in, F_SETFL, O_NONBLOCK);
        fcntl(c->out, F_SETFL, O_NONBLOCK);
        fcntl(c->err, F_SETFL, O_NONBLOCK);
    }
    bool started = c->pid > 0;
    if (!started)
        give_up(c, opened ? "vfork" : "pipe2");
    for (int i = 0; i < 3; i++)
        close_end(&ends[i]);
    return started;
}

/* ---- Its input --------------------------------------------------------------------------------------------------- */

/* Returns false if the child must be ended. */
static bool feed(child *c)
{
    while (c->in >= 0) {
        if (c->size == 0) {
            int more = c->plan->input(c->plan->user, &c->data, &c->size);
            if (more < 0)
                return false;
            if (more == 0) {
                c->outcome.read_all = true;
                close_end(&c->in);
            }
            continue;
        }
        ssize_t n = write(c->in, c->data, c->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0) { /* it reads no more, which is its own affair */
            close_end(&c->in);
            return true;
        }
        c->data += n;
        c->size -= (size_t)n;
    }
    return true;
}

/* ---- Its output -------------------------------------------------------------------------------------------------- */

static bool make_room(child *c)
{
    size_t capacity = c->capacity ? 2 * c->capacity : FIRST_ROOM;
    if (c->capacity - c->used >= FIRST_ROOM / 2)
        return true;
    char *room = realloc(c->room, capacity);
    if (room == NULL)
        return false;
    c->room = room;
    c->capacity = capacity;
    return true;
}

static bool hand_on(child *c, bool last)
{
    if (c->used == 0)
        return true;
    ptrdiff_t taken = c->plan->output(c->plan->user, c->room, c->used, last);
    if (taken < 0)
        return false;
    c->used -= (size_t)taken;
    memmove(c->room, c->room + taken, c->used);
    return true;
}

/* One read, so that the input is not forgotten. Returns false if the child must be ended. */
static bool drain(child *c)
{
    if (!make_room(c))
        return give_up(c, "realloc");
    ssize_t n = read(c->out, c->room + c->used, c->capacity - c->used);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN || give_up(c, "read");
    c->quiet_ms = 0;
    if (n == 0)
        close_end(&c->out);
    c->used += (size_t)n;
    return hand_on(c, n == 0);
}

static void say_line(child *c)
{
    if (c->plan->complaint != NULL)
        c->plan->complaint(c->plan->user, c->line, c->line_used);
    c->line_used = 0;
}

static void listen_to(child *c)
{
    char bytes[4096];
    ssize_t n = read(c->err, bytes, sizeof bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    c->quiet_ms = 0;
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] != '\n')
            c->line[c->line_used++] = bytes[i];
        if (bytes[i] == '\n' || c->line_used == sizeof c->line)
            say_line(c);
    }
    if (n > 0)
        return;
    if (c->line_used > 0)
        say_line(c);
    close_end(&c->err);
}

/* ---- From the first byte to the last ----------------------------------------------------------------------------- */

static void look_after(child *c)
{
    siginfo_t info = {.si_pid = 0};
    c->exited = c->exited || waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

/* What others of its group have to say when it is gone is waited for, but not for ever. */
static bool is_over(child *c, bool idle)
{
    if (c->out < 0 && c->err < 0)
        return true;
    if (idle)
        look_after(c);
    c->quiet_ms += idle && c->exited ? LOOK_MS : 0;
    return c->quiet_ms >= QUIET_MS;
}

/* Returns false if it must be ended. */
static bool talk(child *c)
{
    bool idle = false;
    while (!is_over(c, idle)) {
        struct pollfd ends[3] = {{c->out, POLLIN, 0}, {c->err, POLLIN, 0}, {c->in, POLLOUT, 0}};
        int n = poll(ends, 3, LOOK_MS);
        if (n < 0 && errno != EINTR)
            return give_up(c, "poll");
        idle = n == 0;
        if (c->plan->stopping != NULL && c->plan->stopping(c->plan->user))
            return false;
        if (n <= 0)
            continue;
        if (ends[0].revents != 0 && !drain(c))
            return false;
        if (ends[1].revents != 0)
            listen_to(c);
        if (ends[2].revents != 0 && !feed(c))
            return false;
    }
    close_end(&c->in);
    return c->out < 0 || hand_on(c, true);
}

/* It has closed its output, and will most likely have exited by now. */
static bool wait_for(child *c)
{
    for (long pause_us = 20;; pause_us = pause_us < LOOK_MS * 1000 ? 2 * pause_us : pause_us) {
        struct timespec pause = {0, pause_us * 1000};
        look_after(c);
        if (c->exited)
            return true;
        if (c->plan->stopping != NULL && c->plan->stopping(c->plan->user))
            return false;
        nanosleep(&pause, NULL);
    }
}

/* Ask first: it may have something to tidy up. */
static void end_group(child *c)
{
    const struct timespec pause = {0, 5 * 1000 * 1000};
    kill(-c->pid, SIGTERM);
    kill(-c->pid, SIGCONT);
    for (int waited_ms = 0; waited_ms < GRACE_MS && !c->exited; waited_ms += 5) {
        nanosleep(&pause, NULL);
        look_after(c);
    }
}

static void bury(child *c, bool by_itself)
{
    int status = 0;
    pid_t pid;
    kill(-c->pid, SIGKILL); /* what is left of its group */
    while ((pid = waitpid(c->pid, &status, 0)) < 0 && errno == EINTR)
        ;
    if (!by_itself && c->outcome.end != CHILD_FAILED)
        c->outcome.end = CHILD_STOPPED;
    if (!by_itself)
        return;
    if (pid < 0) { /* where SIGCHLD is ignored nobody will ever know */
        give_up(c, "waitpid");
        return;
    }
    c->outcome.end = WIFSIGNALED(status) ? CHILD_KILLED : CHILD_EXITED;
    c->outcome.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/* A write to a child that reads no more sends SIGPIPE to this thread, in which nobody else is interested. */
static bool hold_back_sigpipe(sigset_t *before)
{
    sigset_t sigpipe, pending;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &sigpipe, before);
    return sigismember(&pending, SIGPIPE) == 1;
}

static void let_sigpipe_go(const sigset_t *before, bool was_pending)
{
    const struct timespec at_once = {0, 0};
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    while (!was_pending && sigtimedwait(&sigpipe, NULL, &at_once) > 0)
        ;
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

child_outcome child_run(const child_plan *plan)
{
    child c = {.plan = plan, .in = -1, .out = -1, .err = -1};
    sigset_t before;
    bool was_pending = hold_back_sigpipe(&before);
    if (start(&c)) {
        bool by_itself = talk(&c) && wait_for(&c);
        if (!by_itself)
            end_group(&c);
        bury(&c, by_itself);
    }
    close_end(&c.in);
    close_end(&c.out);
    close_end(&c.err);
    free(c.room);
    let_sigpipe_go(&before, was_pending);
    return c.outcome;
}

void child_describe(const child_outcome *outcome, char *text, size_t size)
{
    int code = outcome->code;
    if (outcome->end == CHILD_KILLED)
        snprintf(text, size, "was killed by signal %d (%s)", code, strsignal(code));
    else if (outcome->end == CHILD_EXITED && code > 128 && code < 128 + NSIG) /* of a pipeline, say */
        snprintf(text, size, "exited with %d (as shells do for signal %d: %s)", code, code - 128,
                 strsignal(code - 128));
    else if (outcome->end == CHILD_EXITED)
        snprintf(text, size, "exited with %d", code);
    else if (outcome->end == CHILD_FAILED)
        snprintf(text, size, "could not be run: %s: %s", outcome->why, strerror(code));
    else
        snprintf(text, size, "was stopped");
}
