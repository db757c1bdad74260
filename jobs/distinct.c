/* distinct: the different keys, each once; or how many there are, exactly or by HyperLogLog.
 *
 * HyperLogLog (Flajolet and others, 2007), with the estimator of Ertl (New cardinality estimation algorithms for HyperLogLog
 * sketches, 2017), which needs no corrections for few or many keys: 2^14 registers of the largest position of a first 1 bit
 * in hashes of 64 bits (XXH3). Its standard error is 1.04 / sqrt(2^14), 0.81 %. A register is a key of the job, and its
 * number a value of which the largest is kept, so the estimate is the same for any ranks, threads and splits. */
#include "jobs/jobs.h"
#include "jobs/keys.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { INDEX_BITS = 14, REGISTERS = 1 << INDEX_BITS, MOST = 64 - INDEX_BITS + 1 };

static const double standard_error = 1.04 / 128; /* sqrt of REGISTERS */

typedef struct distinct_settings {
    keys_settings keys;
    bool count, approx;
} distinct_settings;

static const option_row rows[] = {
    KEYS_ROWS(offsetof(distinct_settings, keys)),
    {.name = "count",
     .type = OPTION_FLAG,
     .offset = offsetof(distinct_settings, count),
     .help = "print only how many there are"},
    {.name = "approx",
     .type = OPTION_FLAG,
     .offset = offsetof(distinct_settings, approx),
     .help = "estimate how many, in little memory (+- 0.8 %)"},
};

/* The mapper reads settings; the rest belongs to the function that writes. */
typedef struct distinct_run {
    const distinct_settings *settings;
    int64_t keys;
    uint8_t registers[REGISTERS];
} distinct_run;

/* ---- All keys ---------------------------------------------------------------------------------------------------- */

static int map_keys(const tq_record *record, tq_emitter *emitter, void *user)
{
    const distinct_run *run = user;

    return keys_of(record, emitter, &run->settings->keys, batch_count, emitter);
}

static int write_text(const tq_row *row, tq_text *text, void *user)
{
    (void)user;
    return tq_text_put(text, row->key) || tq_text_put(text, (tq_slice){"\n", 1});
}

static int write_json(const tq_row *row, tq_text *text, void *user)
{
    (void)user;
    return tq_text_put(text, (tq_slice){"{\"key\":", 7}) || tq_text_put_json(text, row->key) ||
           tq_text_put(text, (tq_slice){"}\n", 2});
}

static int put_count(tq_text *text, int64_t count, bool json)
{
    return (json && tq_text_put(text, (tq_slice){"{\"distinct\":", 12})) || tq_text_put_number(text, count) ||
           tq_text_put(text, json ? (tq_slice){"}\n", 2} : (tq_slice){"\n", 1});
}

static int write_count(const tq_row *row, tq_text *text, void *user)
{
    distinct_run *run = user;

    run->keys += row != NULL;
    return row ? 0 : put_count(text, run->keys, false);
}

static int write_count_json(const tq_row *row, tq_text *text, void *user)
{
    distinct_run *run = user;

    run->keys += row != NULL;
    return row ? 0 : put_count(text, run->keys, true);
}

/* ---- An estimate ------------------------------------------------------------------------------------------------- */

static tq_status note(void *to, const tq_slice *keys, size_t n)
{
    uint8_t *registers = to;

    for (size_t i = 0; i < n; i++) {
        uint64_t hash = XXH3_64bits(keys[i].data, keys[i].size), rest = hash << INDEX_BITS;
        int position = rest ? __builtin_clzll(rest) + 1 : MOST;
        uint8_t *its = &registers[hash >> (64 - INDEX_BITS)];

        *its = position > *its ? (uint8_t)position : *its;
    }
    return TQ_OK;
}

static int map_registers(const tq_record *record, tq_emitter *emitter, void *user)
{
    const distinct_run *run = user;
    uint8_t registers[REGISTERS] = {0};
    int code = keys_of(record, emitter, &run->settings->keys, note, registers);

    for (int i = 0; i < REGISTERS && !code; i++) {
        char key[2] = {(char)(i >> 8), (char)i};

        if (registers[i])
            code = (int)tq_emit_i64(emitter, (tq_slice){key, sizeof key}, registers[i]);
    }
    return code;
}

/* Ertl's sigma and tau: sums until they do not change any more. */
static double sum_of_zeros(double x)
{
    double y = 1, z = x, before;

    if (x == 1)
        return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

static double sum_of_full(double x)
{
    double y = 1, z = 1 - x, before;

    if (x == 0 || x == 1)
        return 0;
    do {
        x = sqrt(x);
        before = z;
        y /= 2;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

static double estimate(const uint8_t *registers)
{
    double have[MOST + 1] = {0}, m = REGISTERS;

    for (int i = 0; i < REGISTERS; i++)
        have[registers[i]]++;
    double z = m * sum_of_full(1 - have[MOST] / m);
    for (int k = MOST - 1; k >= 1; k--)
        z = (z + have[k]) / 2;
    z += m * sum_of_zeros(have[0] / m);
    return m * m / (2 * log(2) * z);
}

static int take_register(const tq_row *row, tq_text *text, distinct_run *run, bool json)
{
    char line[128];

    if (row) {
        run->registers[(unsigned char)row->key.data[0] << 8 | (unsigned char)row->key.data[1]] = (uint8_t)row->i64;
        return 0;
    }
    int length = snprintf(line, sizeof line, json ? "{\"distinct\":%.0f,\"standard_error\":%.4f}\n" : "%.0f\t%.4f\n",
                          estimate(run->registers), standard_error);
    return (int)tq_text_put(text, (tq_slice){line, (size_t)length});
}

static int write_estimate(const tq_row *row, tq_text *text, void *user)
{
    return take_register(row, text, user, false);
}

static int write_estimate_json(const tq_row *row, tq_text *text, void *user)
{
    return take_register(row, text, user, true);
}

/* ---- The job ----------------------------------------------------------------------------------------------------- */

static bool describe(tq_job *job, const void *settings, char *why, size_t size)
{
    const distinct_settings *asked = settings;
    const char *wrong = keys_describe(&asked->keys, job);
    distinct_run *run = NULL;

    if (wrong)
        snprintf(why, size, "%s", wrong);
    else if (job->order == TQ_ORDER_VALUE_DESC)
        snprintf(why, size, "--top is not for distinct: see tequio top --help");
    else if (asked->count && asked->approx)
        snprintf(why, size, "--count is exact, and --approx an estimate: leave out one of them");
    else if (!(run = calloc(1, sizeof *run)))
        snprintf(why, size, "no memory");
    if (!run)
        return false;
    run->settings = asked;
    job->user = run;
    job->map_chunk = asked->approx ? map_registers : map_keys;
    job->value_type = TQ_I64;
    job->combine = asked->approx ? TQ_MAX : TQ_SUM;
    job->write_in_order = asked->count || asked->approx;
    job->write_text = asked->approx ? write_estimate : asked->count ? write_count : write_text;
    job->write_json = asked->approx ? write_estimate_json : asked->count ? write_count_json : write_json;
    if (job->write_in_order)
        job->order = TQ_ORDER_NONE; /* there is but one line */
    return true;
}

static int end(void *user, const tq_stats *stats)
{
    (void)stats;
    free(user);
    return 0;
}

const jobs_entry jobs_distinct = {
    .name = "distinct",
    .summary = "different lines, words or fields, or their number",
    .usage = "Rows are the keys, each once, by their bytes. With --count one number; with\n"
             "--approx an estimate of it by HyperLogLog, TAB, its standard error (0.0081: two\n"
             "of three estimates are within 0.81 % of the truth).\n"
             "\n"
             "    tequio distinct FILE                      like LC_ALL=C sort -u\n"
             "    tequio distinct --count --of unicode -i -r FOLDER\n"
             "    tequio distinct --approx FILE\n"
             "    tequio distinct --key 3 --delimiter '\\t' access.tsv\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .settings_bytes = sizeof(distinct_settings),
    .describe = describe,
    .end = end,
};
