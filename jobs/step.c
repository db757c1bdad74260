#include "jobs/step.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_COMPLAINTS = 100, SHOWN_COMMAND = 80 };

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

static TQ_PRINTF(2, 3) void say(const step *s, const char *format, ...)
{
    char line[2048];
    if (s->context->say == NULL)
        return;
    int used = snprintf(line, sizeof line, "tequio: rank %d: %s: %s: ", s->place.rank, s->role, s->where);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
    va_end(arguments);
    s->context->say(line, strlen(line), s->context->say_user);
}

static void complain(void *user, const char *line, size_t size)
{
    step *s = user;
    snprintf(s->tail[s->complaints % STEP_TAIL_LINES], STEP_TAIL_BYTES, "%.*s", (int)size, line);
    if (++s->complaints <= MOST_COMPLAINTS)
        say(s, "%.*s", (int)size, line);
    else if (s->complaints == MOST_COMPLAINTS + 1)
        say(s, "(what else it writes to its standard error is left out)");
}

/* The last words of a try: "; it said: a | b | c". */
static void put_tail(const step *s, char *text, size_t size)
{
    unsigned n = s->complaints < STEP_TAIL_LINES ? s->complaints : STEP_TAIL_LINES, first = s->complaints - n;
    char *at = text, *end = text + size - 1;
    for (unsigned i = first; i < s->complaints; i++) {
        at = stpncpy(at, i == first ? "; it said: " : " | ", (size_t)(end - at));
        at = stpncpy(at, s->tail[i % STEP_TAIL_LINES], (size_t)(end - at));
    }
    *at = '\0';
}

/* "--map 'python3 map.py' exited with 3 (try 2 of 2) on bytes 0 to 4096; it said: ..." */
static void describe_failure(const step *s, const child_outcome *outcome, char *text, size_t size)
{
    char how[128], tries[48] = "", what[STEP_WHERE_BYTES], tail[STEP_TAIL_LINES * STEP_TAIL_BYTES + 32];
    child_describe(outcome, how, sizeof how);
    if (s->retries > 0)
        snprintf(tries, sizeof tries, " (try %lld of %lld)", (long long)s->tries,
                 (long long)s->retries + 1);
    if (s->split.file != NULL)
        snprintf(what, sizeof what, "bytes %llu to %llu", (unsigned long long)s->split.begin,
                 (unsigned long long)s->split.end);
    else
        snprintf(what, sizeof what, "%s", s->where);
    put_tail(s, tail, sizeof tail);
    bool cut = strlen(s->command) > SHOWN_COMMAND;
    int length = snprintf(text, size, "--%s '%.*s%s' %s%s on %s%s", s->role, SHOWN_COMMAND, s->command,
                          cut ? "..." : "", how, tries, what, tail);
    if (length >= (int)size)
        memcpy(text + size - 4, "...", 4);
}

/* ---- Running a command ------------------------------------------------------------------------------------------- */

void step_begin(step *s, const tq_split *split)
{
    tq_here(&s->place);
    if (split == NULL) {
        snprintf(s->where, STEP_WHERE_BYTES, "partition %u", (unsigned)s->place.partition);
        return;
    }
    s->split = tq_split_where(split);
    const char *file = s->split.file;
    size_t length = strlen(file), most = STEP_WHERE_BYTES - 40;
    snprintf(s->where, sizeof s->where, "%s%s at byte %llu", length > most ? "..." : "",
             file + (length > most ? length - most : 0), (unsigned long long)s->split.begin);
}

/* What a child is told of where it is. */
static void describe_place(const step *s, child_environment *environment)
{
    child_export(environment, "TEQUIO_PHASE=%s", s->role);
    child_export(environment, "TEQUIO_RANK=%d", s->place.rank);
    child_export(environment, "TEQUIO_WORKER=%d", s->place.worker);
    child_export(environment, "TEQUIO_TRY=%lld", (long long)s->tries);
    if (s->split.file == NULL) {
        child_export(environment, "TEQUIO_PARTITION=%u", (unsigned)s->place.partition);
        return;
    }
    child_export(environment, "TEQUIO_INPUT_FILE=%s", s->split.file);
    child_export(environment, "TEQUIO_SPLIT_OFFSET=%llu", (unsigned long long)s->split.begin);
    child_export(environment, "TEQUIO_SPLIT_END=%llu", (unsigned long long)s->split.end);
}

static child_outcome run_once(step *s, child_plan *plan)
{
    child_outcome outcome = {.end = CHILD_FAILED, .code = ENOMEM, .why = "malloc"};
    child_environment environment = {0};
    s->tries++;
    s->complaints = 0;
    describe_place(s, &environment);
    plan->command = s->command;
    plan->environment = child_environment_list(&environment);
    plan->complaint = complain;
    if (plan->environment != NULL)
        outcome = child_run(plan);
    child_environment_free(&environment);
    return outcome;
}

step_verdict step_try(step *s, child_plan *plan, char *why, size_t size)
{
    child_outcome outcome = run_once(s, plan);
    if (outcome.end == CHILD_EXITED && outcome.code == 0)
        return STEP_DONE;
    if (outcome.end == CHILD_STOPPED)
        return STEP_STOPPED;
    describe_failure(s, &outcome, why, size);
    if (s->tries > s->retries)
        return STEP_FAILED;
    say(s, "%s; it runs again", why);
    return STEP_AGAIN;
}
