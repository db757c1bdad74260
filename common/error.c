#include "common/error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifndef TEQUIO_VERSION
#define TEQUIO_VERSION "0.1.0"
#endif

const char *tq_version(void)
{
    return TEQUIO_VERSION;
}

const char *tq_status_name(tq_status status)
{
    switch (status) {
    case TQ_OK: return "ok";
    case TQ_E_INTERNAL: return "internal error";
    case TQ_E_USAGE: return "usage error";
    case TQ_E_INPUT: return "input error";
    case TQ_E_OUTPUT: return "output error";
    case TQ_E_MEMORY: return "out of memory";
    case TQ_E_USER: return "error in the job's code";
    case TQ_E_ACCOUNT: return "account mismatch";
    case TQ_E_MPI: return "MPI error";
    case TQ_E_RANK_LOST: return "rank lost";
    case TQ_E_CANCELLED: return "cancelled";
    case TQ_E_TMPDIR: return "spill folder error";
    case TQ_E_SYSTEM: return "system error";
    case TQ_E_TIMEOUT: return "timed out";
    case TQ_E_AGAIN: return "try again";
    case TQ_E_STATE: return "not allowed in this state";
    }
    return "unknown status";
}

void tqi_error_clear(tq_error *error)
{
    memset(error, 0, sizeof *error);
    error->rank = -1;
}

/* Long paths keep their end, which tells more than their beginning. */
static void set_file(tq_error *error, const char *file)
{
    size_t size = strlen(file), room = sizeof error->file - 1;

    if (size <= room) {
        memcpy(error->file, file, size + 1);
        return;
    }
    memcpy(error->file, "...", 3);
    memcpy(error->file + 3, file + size - (room - 3), room - 3 + 1);
}

static void set_message(tq_error *error, tq_status status, const char *format, va_list arguments)
{
    tqi_error_clear(error);
    error->status = status;
    vsnprintf(error->message, sizeof error->message, format, arguments);
}

tq_status tqi_fail(tq_error *error, tq_status status, const char *format, ...)
{
    va_list arguments;

    if (!error)
        return status;
    va_start(arguments, format);
    set_message(error, status, format, arguments);
    va_end(arguments);
    return status;
}

tq_status tqi_fail_at(tq_error *error, tq_status status, const char *file, uint64_t offset, const char *format, ...)
{
    va_list arguments;

    if (!error)
        return status;
    va_start(arguments, format);
    set_message(error, status, format, arguments);
    va_end(arguments);
    if (file)
        set_file(error, file);
    error->has_offset = 1;
    error->offset = offset;
    return status;
}

tq_status tqi_fail_file(tq_error *error, tq_status status, const char *file, const char *format, ...)
{
    va_list arguments;

    if (!error)
        return status;
    va_start(arguments, format);
    set_message(error, status, format, arguments);
    va_end(arguments);
    set_file(error, file);
    return status;
}

tq_status tqi_fail_memory(tq_error *error, uint64_t bytes, const char *what)
{
    return tqi_fail(error, TQ_E_MEMORY, "out of memory: %" PRIu64 " bytes for %s", bytes, what);
}

char *tq_error_text(const tq_error *error, char *text, unsigned long size)
{
    char where[sizeof error->file + 64] = "", rank[32] = "", phase[sizeof error->phase + 4] = "";

    if (size == 0)
        return text;
    if (error->rank >= 0)
        snprintf(rank, sizeof rank, "rank %d: ", error->rank);
    if (error->phase[0])
        snprintf(phase, sizeof phase, "%s: ", error->phase);
    if (error->file[0] && error->has_offset)
        snprintf(where, sizeof where, "%s at byte %" PRIu64 ": ", error->file, error->offset);
    else if (error->file[0])
        snprintf(where, sizeof where, "%s: ", error->file);
    snprintf(text, size, "%s%s%s%s", rank, phase, where,
             error->message[0] ? error->message : tq_status_name(error->status));
    return text;
}
