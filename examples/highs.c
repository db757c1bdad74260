/* When has a station measured more than ever before?  highs FILE...  or  mpirun -n 4 highs FILE...
 *
 * A line is "STATION TIME DEGREES", such as "Oslo 2024-07-01T12:00 21.4", in any order, files and ranks mixed. Of each station
 * the readings are printed that are higher than all before them, in the order of time: a secondary sort. The key is composite,
 * STATION TAB TIME, and its group ends before the TAB; so one call of the reducer gets the readings of one station, by time,
 * and need not hold nor sort them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tequio/tequio.h>

enum { MOST = 200 }; /* bytes of a line */

/* Finite degrees, and nothing behind them. */
static int parse(const char *text, double *degrees)
{
    char *end;

    *degrees = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*degrees);
}

static int map(const tq_record *line, tq_emitter *emitter, void *user)
{
    char text[MOST + 1], key[2 * MOST + 2], station[MOST + 1], time[MOST + 1], number[MOST + 1], rest;
    double degrees;

    (void)user;
    if (line->size > MOST)
        return tq_emit_fail(emitter, "a line of more than %d bytes", MOST);
    memcpy(text, line->data, line->size);
    text[line->size] = '\0';
    if (sscanf(text, "%200s %200s %200s %c", station, time, number, &rest) != 3 || !parse(number, &degrees))
        return tq_emit_fail(emitter, "this line is not STATION TIME DEGREES");
    int size = snprintf(key, sizeof key, "%s\t%s", station, time);
    return (int)tq_emit(emitter, (tq_slice){key, (size_t)size}, (tq_slice){number, strlen(number)});
}

static size_t group(tq_slice key, void *user)
{
    const char *tab = memchr(key.data, '\t', key.size);

    (void)user;
    return tab ? (size_t)(tab - key.data) : key.size;
}

/* Of several readings at one time the least comes first as bytes, not as numbers; so all of one time are looked at before the
 * highest of them is written. */
static int reduce(tq_slice station, tq_values *values, tq_rows_out *out, void *user)
{
    char key[2 * MOST + 2] = "", best[MOST + 1] = "", text[MOST + 1];
    size_t key_size = 0;
    double highest = -HUGE_VAL, degrees;
    tq_slice value;
    tq_status status = TQ_OK;

    (void)user;
    (void)station;
    while (status == TQ_OK && tq_values_next(values, &value)) {
        tq_slice whole = tq_values_key(values);

        if (best[0] && (whole.size != key_size || memcmp(whole.data, key, key_size) != 0)) {
            status = tq_write_row(out, (tq_slice){key, key_size}, (tq_slice){best, strlen(best)});
            best[0] = '\0';
        }
        memcpy(text, value.data, value.size);
        text[value.size] = '\0';
        if (!parse(text, &degrees) || degrees <= highest)
            continue;
        highest = degrees;
        memcpy(best, text, value.size + 1);
        memcpy(key, whole.data, whole.size);
        key_size = whole.size;
    }
    if (status == TQ_OK && best[0])
        status = tq_write_row(out, (tq_slice){key, key_size}, (tq_slice){best, strlen(best)});
    return (int)status;
}

int main(int argc, char **argv)
{
    tq_job job = TQ_JOB_INIT;
    tq_cluster *cluster;
    tq_error error;

    if (argc < 2)
        return fputs("usage: highs FILE...\n", stderr), 2;
    if (tq_cluster_open(NULL, &cluster, &error) != TQ_OK)
        return fprintf(stderr, "%s\n", error.message), (int)error.status;
    job.inputs = (const char *const *)argv + 1;
    job.n_inputs = (size_t)argc - 1;
    job.records = TQ_LINES;
    job.map = map;
    job.value_type = TQ_BYTES;
    job.group = group;
    job.reduce = reduce;
    job.result_type = TQ_BYTES;
    job.raw_text = true; /* the TAB of the keys divides columns */
    job.output = TQ_OUTPUT_FD;
    job.output_fd = 1;
    tq_future *future = tq_submit(cluster, &job);
    tq_future_wait(future, TQ_FOREVER);
    tq_status status = tq_future_status(future);
    if (status != TQ_OK && tq_cluster_rank(cluster) == 0)
        fprintf(stderr, "highs: %s\n", tq_future_error(future));
    tq_future_release(future);
    tq_cluster_close(cluster);
    return (int)status;
}
