#include "cli/units.h"
#include <inttypes.h>
#include <stdio.h>

static const char *const byte_units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

/* The unit in which value has at most three digits before the point. 999.5 would be printed as 1000. */
static int unit_of(double value, double step, double *scale)
{
    int unit = 0;
    *scale = 1;
    while (value / *scale >= 999.5 && unit < 6) {
        *scale *= step;
        unit++;
    }
    return unit;
}

/* Three digits, or two for whole units. */
static const char *three_digits(double value, int unit, char *text, size_t size)
{
    int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, size, "%.*f", decimals, value);
    return text;
}

const char *cli_bytes(uint64_t bytes, char *text, size_t size)
{
    char number[16];
    double scale;
    int unit = unit_of((double)bytes, 1024, &scale);
    snprintf(text, size, "%s %s", three_digits((double)bytes / scale, unit, number, sizeof number), byte_units[unit]);
    return text;
}

const char *cli_bytes_of(uint64_t done, uint64_t total, char *text, size_t size)
{
    double scale;
    int unit = unit_of((double)total, 1024, &scale);
    int decimals = unit == 0 || (double)total / scale >= 99.95 ? 0 : 1;
    snprintf(text, size, "%.*f/%.*f %s", decimals, (double)done / scale, decimals, (double)total / scale,
             byte_units[unit]);
    return text;
}

const char *cli_count(uint64_t count, char *text, size_t size)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
    char number[16];
    double scale;
    int unit = unit_of((double)count, 1000, &scale);
    snprintf(text, size, "%s%s", three_digits((double)count / scale, unit, number, sizeof number), units[unit]);
    return text;
}

const char *cli_rate(double bytes_per_s, char *text, size_t size)
{
    char amount[24];
    snprintf(text, size, "%s/s", cli_bytes(bytes_per_s > 0 ? (uint64_t)bytes_per_s : 0, amount, sizeof amount));
    return text;
}

const char *cli_count_rate(double per_s, char *text, size_t size)
{
    char amount[24];
    snprintf(text, size, "%s/s", cli_count(per_s > 0 ? (uint64_t)per_s : 0, amount, sizeof amount));
    return text;
}

const char *cli_clock(double seconds, char *text, size_t size)
{
    uint64_t whole = seconds > 0 ? (uint64_t)(seconds + 0.5) : 0;
    uint64_t minutes = whole / 60;
    if (minutes < 60)
        snprintf(text, size, "%" PRIu64 ":%02" PRIu64, minutes, whole % 60);
    else
        snprintf(text, size, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, minutes / 60, minutes % 60, whole % 60);
    return text;
}

const char *cli_elapsed(double seconds, char *text, size_t size)
{
    if (seconds >= 59.95)
        return cli_clock(seconds, text, size);
    snprintf(text, size, "%.*f s", seconds < 0.9995 ? 2 : 1, seconds > 0 ? seconds : 0);
    return text;
}
