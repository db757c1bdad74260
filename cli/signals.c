#include "cli/signals.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <tequio/status.h>
#include <time.h>
#include <unistd.h>

/* timeout(1) and some batch systems send a signal to the process and to its group at once: that is one request. */
static const double same_request_s = 0.2;
static const struct itimerspec grace_term = {.it_value = {.tv_nsec = 700 * 1000 * 1000}};
static const struct itimerspec grace_other = {.it_value = {.tv_sec = 3}};

/* Atomic, not only sig_atomic_t: a signal comes to any thread, and the notifier asks as well as the main thread. */
static struct {
    atomic_int caught;
    atomic_int exit_status;   /* -1 until it is settled */
    struct timespec first_at; /* written by the first signal, before caught */
    const char *last_words;
    timer_t timer;
    bool has_timer;
} state = {.exit_status = -1};

static void end_now(void)
{
    int status = state.exit_status;
    if (status < 0 && write(STDERR_FILENO, state.last_words, strlen(state.last_words)) < 0)
        status = TQ_E_CANCELLED; /* nobody to tell */
    _exit(status < 0 ? TQ_E_CANCELLED : status);
}

static double since_first(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - state.first_at.tv_sec) + 1e-9 * (double)(now.tv_nsec - state.first_at.tv_nsec);
}

/* Signals of the set block each other while this runs, so within one thread it never interrupts itself. */
static void handle(int number)
{
    int saved = errno;
    if (number == SIGALRM || (state.caught && since_first() > same_request_s))
        end_now();
    if (!state.caught) {
        clock_gettime(CLOCK_MONOTONIC, &state.first_at);
        state.caught = 1;
    }
    if (state.has_timer)
        timer_settime(state.timer, 0, number == SIGTERM ? &grace_term : &grace_other, NULL);
    errno = saved;
}

void cli_signals_install(const char *last_words)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGALRM};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&action.sa_mask, numbers[i]);
    state.last_words = last_words;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    state.has_timer = timer_create(CLOCK_MONOTONIC, &event, &state.timer) == 0;
    /* Also where the parent had SIGINT ignored, as shells do for background jobs of scripts: it is meant for us by
     * name. */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
}

bool cli_signals_caught(void)
{
    return state.caught != 0;
}

void cli_signals_settle(int exit_status)
{
    state.exit_status = exit_status;
}
