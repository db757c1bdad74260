#include "cli/crash.h"
#include "cli/screen.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <tequio/tequio.h>
#include <unistd.h>

/* strsignal is not for handlers. */
static const struct {
    int number;
    const char *name;
} crashes[] = {
    {SIGSEGV, "SIGSEGV, a bad pointer or too deep a recursion"},
    {SIGBUS, "SIGBUS, memory that is not there"},
    {SIGFPE, "SIGFPE, such as a division by zero"},
    {SIGILL, "SIGILL, no valid instruction"},
    {SIGABRT, "SIGABRT, by abort or assert"},
};

enum { CRASHES = sizeof crashes / sizeof crashes[0], LINE_SIZE = 2048, STACK_SIZE = 64 << 10, MOST_KEY = 40 };

static struct {
    const char *plugin;
    int rank;
    struct sigaction usual[CRASHES];
    _Atomic(const char *) where; /* in the plug-in's code, on the main thread */
    pthread_t main_thread;
    atomic_bool running; /* exit would be a surprise */
    atomic_flag ending;
    void *main_stack; /* see below */
} state = {.ending = ATOMIC_FLAG_INIT};

/* ---- Putting a line together, with what a handler may call ------------------------------------------------------- */

typedef struct line {
    char text[LINE_SIZE];
    size_t used;
} line;

static void put_bytes(line *l, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size && l->used < LINE_SIZE - 1; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        l->text[l->used++] = byte < ' ' || byte == 0x7f ? '?' : (char)byte;
    }
}

static void put(line *l, const char *text)
{
    put_bytes(l, text, strlen(text));
}

static void put_number(line *l, uint64_t number)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (n > 0)
        put_bytes(l, &digits[--n], 1);
}

static void put_place(line *l, const tq_place *place)
{
    put(l, place->phase);
    put(l, ": ");
    if (place->file != NULL) {
        put(l, place->file);
        put(l, " at byte ");
        put_number(l, place->offset);
        put(l, ": ");
        return;
    }
    if (strcmp(place->phase, "reduce") == 0) {
        put(l, "partition ");
        put_number(l, place->partition);
        put(l, place->key.size > 0 ? ", " : ": ");
    }
    if (place->key.size > 0) {
        put(l, "key '");
        put_bytes(l, place->key.data, place->key.size < MOST_KEY ? place->key.size : MOST_KEY);
        put(l, place->key.size > MOST_KEY ? "...': " : "': ");
    }
}

/* "tequio: rank 1: map: notes.txt at byte 4096: job.so", and then what it did. Returns whether this thread is in the
 * plug-in's code. */
static bool put_event(line *l, const char *what)
{
    tq_place place;
    const char *where = pthread_equal(pthread_self(), state.main_thread) ? atomic_load(&state.where) : NULL;
    bool is_here = tq_here(&place);
    /* There all ranks do the same, and one line is enough: when rank 0 has ended, mpirun ends the others, with a signal
     * after 1 s that a sleep does not outlast. */
    for (unsigned left_s = where != NULL && state.rank > 0 ? 3 : 0; left_s > 0;)
        left_s = sleep(left_s);
    put(l, "tequio: rank ");
    put_number(l, (uint64_t)state.rank);
    put(l, ": ");
    if (is_here)
        put_place(l, &place);
    put(l, state.plugin);
    put(l, what);
    if (where != NULL)
        put(l, where);
    return is_here || where != NULL;
}

static void end(line *l)
{
    l->text[l->used++] = '\n';
    cli_write_all(STDERR_FILENO, l->text, l->used);
}

/* ---- Crashes ----------------------------------------------------------------------------------------------------- */

/* When this handler returns, the signal comes again, and takes the way that it would have taken without us. */
static void let_go(int number, size_t which)
{
    sigaction(number, &state.usual[which], NULL);
    raise(number);
}

static void handle(int number, siginfo_t *info, void *context)
{
    (void)context;
    line l = {.used = 0};
    size_t which = 0;
    while (which < CRASHES - 1 && crashes[which].number != number)
        which++;
    if (info->si_code == SI_USER && info->si_pid != getpid()) { /* sent by somebody, about whom we know nothing */
        let_go(number, which);
        return;
    }
    while (atomic_flag_test_and_set(&state.ending)) /* another thread has crashed, and is ending the process */
        pause();
    bool is_inside = put_event(&l, " crashed");
    put(&l, is_inside ? " (" : ", but outside of its own code: it may have written where it should not (");
    put(&l, crashes[which].name);
    put(&l, ")");
    end(&l);
    if (is_inside)
        _exit(TQ_E_USER);
    let_go(number, which);
}

/* On whichever thread calls exit. */
static void at_exit(void)
{
    line l = {.used = 0};
    if (!atomic_load(&state.running))
        return;
    put_event(&l, " ended the process by exit");
    end(&l);
    _exit(TQ_E_USER);
}

void cli_crash_catch(const char *plugin, int rank)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    state.plugin = plugin;
    state.rank = rank;
    state.main_thread = pthread_self();
    sigemptyset(&action.sa_mask);
    cli_crash_begin_worker(0, NULL, &state.main_stack);
    for (size_t i = 0; i < CRASHES; i++)
        sigaction(crashes[i].number, &action, &state.usual[i]);
    atomic_store(&state.running, atexit(at_exit) == 0);
}

void cli_crash_enter(const char *what)
{
    atomic_store(&state.where, what);
}

void cli_crash_leave(void)
{
    atomic_store(&state.where, NULL);
}

void cli_crash_settle(void)
{
    atomic_store(&state.running, false);
}

/* ---- Stacks ------------------------------------------------------------------------------------------------------ */

/* A worker's stack for handlers, and what was there before (sanitizers have one of their own). */
typedef struct handler_stack {
    stack_t before;
    char memory[STACK_SIZE];
} handler_stack;

int cli_crash_begin_worker(int index, void *user, void **worker)
{
    (void)index, (void)user;
    handler_stack *stack = malloc(sizeof *stack);
    *worker = stack;
    if (stack == NULL) /* then an overflow is told by nobody but the shell, or mpirun */
        return 0;
    stack_t ours = {.ss_sp = stack->memory, .ss_size = sizeof stack->memory};
    if (sigaltstack(&ours, &stack->before) == 0)
        return 0;
    free(stack);
    *worker = NULL;
    return 0;
}

void cli_crash_end_worker(int index, void *user, void *worker)
{
    (void)index, (void)user;
    handler_stack *stack = worker;
    if (stack == NULL)
        return;
    sigaltstack(&stack->before, NULL);
    free(stack);
}
