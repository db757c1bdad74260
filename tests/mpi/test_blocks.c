/* What programs in other languages use: an input that is fed, many pairs and many groups a call, rows back to back, bytes
 * between ranks, and where the members of structs lie. */
#include "check.h"

#include <stddef.h>

enum { CHUNKS = 60, LINES_PER_CHUNK = 7, KEYS = 29, MOST_PAIRS = 64 };

static struct trial trial;

/* ---- A job that is fed ---- */

struct feed {
    int given;    /* chunks so far */
    int fails_at; /* that many */
    char chunk[4096];
};

/* Lines "kNN V": line number i has key i % KEYS and value i. */
static int feed_lines(tq_slice *chunk, char *why, size_t size, void *user)
{
    struct feed *feed = user;
    size_t used = 0;

    CHECK(trial.rank == 0 && chunk->data == NULL && chunk->size == 0 && why[0] == '\0');
    if (feed->given == CHUNKS)
        return 0;
    if (feed->given == feed->fails_at) {
        snprintf(why, size, "the source is dry\nno second line");
        return 9;
    }
    for (int i = 0; i < LINES_PER_CHUNK; i++) {
        int number = feed->given * LINES_PER_CHUNK + i;

        used += (size_t)snprintf(feed->chunk + used, sizeof feed->chunk - used, "k%02d %d\n", number % KEYS, number);
    }
    feed->given++;
    *chunk = (tq_slice){feed->chunk, used};
    return 0;
}

/* The whole chunk as one block. */
static int map_chunk(const tq_record *chunk, tq_emitter *emitter, void *user)
{
    uint32_t key_sizes[MOST_PAIRS], value_sizes[MOST_PAIRS];
    char keys[1024], values[1024];
    size_t n = 0, keys_used = 0, values_used = 0;

    (void)user;
    if (strcmp(chunk->file, "feed") != 0 || chunk->file_number != 0 || chunk->files != 1)
        return tq_emit_fail(emitter, "file '%s' number %zu of %zu", chunk->file, chunk->file_number, chunk->files);
    for (const char *at = chunk->data, *end = at + chunk->size; at < end; n++) {
        const char *space = memchr(at, ' ', (size_t)(end - at)), *newline = memchr(at, '\n', (size_t)(end - at));

        key_sizes[n] = (uint32_t)(space - at);
        value_sizes[n] = (uint32_t)(newline - space - 1);
        memcpy(keys + keys_used, at, key_sizes[n]);
        memcpy(values + values_used, space + 1, value_sizes[n]);
        keys_used += key_sizes[n];
        values_used += value_sizes[n];
        at = newline + 1;
    }
    return n != LINES_PER_CHUNK ||
           tq_emit_block(emitter, &(tq_block){n, keys, key_sizes, values, value_sizes}) != TQ_OK;
}

/* One line of text for the values of each key: how many, and their sum. */
static int reduce_groups(const tq_groups *groups, tq_rows_out *out)
{
    const char *key = groups->keys, *value = groups->values;
    size_t v = 0;

    for (size_t g = 0; g < groups->n; g++) {
        char text[64], before[32] = "";
        long sum = 0;

        for (uint64_t i = 0; i < groups->counts[g]; i++, v++) {
            char number[32] = "";

            memcpy(number, value, groups->value_sizes[v]);
            if (strcmp(before, number) >= 0)
                return tq_reduce_fail(out, "%s before %s", before, number);
            strcpy(before, number);
            sum += atol(number);
            value += groups->value_sizes[v];
        }
        uint32_t size = (uint32_t)snprintf(text, sizeof text, "%llu %ld", (unsigned long long)groups->counts[g], sum);
        if (tq_write_block(out, &(tq_block){1, key, &groups->key_sizes[g], text, &size}) != TQ_OK)
            return 1;
        key += groups->key_sizes[g];
    }
    return v != groups->n_values;
}

/* The first key is pulled alone, and then all by groups, which begin behind it unless they begin again. */
static int reduce_keys(tq_keys *keys, tq_rows_out *out, void *user)
{
    size_t n = 0, again = 0;
    tq_groups groups;
    tq_values *values;
    tq_slice key;

    (void)user;
    CHECK(tq_keys_next(keys, &key, &values));
    while (tq_keys_next_groups(keys, &groups) == TQ_OK && groups.n > 0)
        n += groups.n;
    tq_keys_rewind(keys);
    while (tq_keys_next_groups(keys, &groups) == TQ_OK && groups.n > 0) {
        again += groups.n;
        if (reduce_groups(&groups, out))
            return 1;
    }
    CHECK(again == n + 1 && !tq_keys_next(keys, &key, &values));
    return 0;
}

static tq_job fed_job(struct feed *feed)
{
    tq_job job = TQ_JOB_INIT;

    job.feed = feed_lines;
    job.feed_chunks = CHUNKS;
    job.map_chunk = map_chunk;
    job.value_type = job.result_type = TQ_BYTES;
    job.reduce_keys = reduce_keys;
    job.output = TQ_OUTPUT_GATHER;
    job.user = feed;
    return job;
}

/* Rows first .. first + n - 1 by tq_job_block are what tq_job_row says. */
static void check_block(const tq_future *future, uint64_t first, uint64_t n)
{
    size_t key_bytes, value_bytes;
    uint32_t key_sizes[KEYS], value_sizes[KEYS];

    CHECK_STATUS(tq_job_block_size(future, first, n, &key_bytes, &value_bytes), TQ_OK);
    char *keys = malloc(key_bytes + 1), *values = malloc(value_bytes + 1);
    CHECK_STATUS(tq_job_block(future, first, n, keys, key_sizes, values, value_sizes), TQ_OK);
    const char *key = keys, *value = values;
    for (uint64_t i = 0; i < n; i++) {
        tq_row row;

        CHECK_STATUS(tq_job_row(future, first + i, &row), TQ_OK);
        CHECK(row.key.size == key_sizes[i] && memcmp(row.key.data, key, key_sizes[i]) == 0);
        CHECK(row.value.size == value_sizes[i] && memcmp(row.value.data, value, value_sizes[i]) == 0);
        key += key_sizes[i];
        value += value_sizes[i];
    }
    CHECK(key == keys + key_bytes && value == values + value_bytes);
    free(keys);
    free(values);
}

static void test_feed(void)
{
    struct feed feed = {.fails_at = -1};
    tq_job job = fed_job(&feed);
    tq_future *future = run_well(&trial, &job);
    size_t bytes;

    if (trial.rank != 0) {
        CHECK(tq_job_rows(future) == 0 && feed.given == 0);
        tq_future_release(future);
        return;
    }
    CHECK(tq_job_rows(future) == KEYS && feed.given == CHUNKS);
    for (uint64_t k = 0; k < KEYS; k++) {
        char key[8], text[64];
        long count = 0, sum = 0;
        tq_row row;

        for (long i = (long)k; i < (long)CHUNKS * LINES_PER_CHUNK; i += KEYS)
            count++, sum += i;
        snprintf(key, sizeof key, "k%02d", (int)k);
        int size = snprintf(text, sizeof text, "%ld %ld", count, sum);
        CHECK_STATUS(tq_job_row(future, k, &row), TQ_OK);
        CHECK(row.key.size == 3 && memcmp(row.key.data, key, 3) == 0);
        CHECK(row.value.size == (size_t)size && memcmp(row.value.data, text, row.value.size) == 0);
    }
    check_block(future, 0, KEYS);
    check_block(future, 3, KEYS - 5);
    check_block(future, KEYS, 0);
    CHECK_STATUS(tq_job_block_size(future, 1, KEYS, &bytes, &bytes), TQ_E_USAGE);
    CHECK_STATUS(tq_job_block_size(future, UINT64_MAX, 2, &bytes, &bytes), TQ_E_USAGE);
    const tq_stats *stats = tq_job_stats(future);
    CHECK(stats->splits == CHUNKS && stats->emitted.records == CHUNKS * LINES_PER_CHUNK);
    tq_future_release(future);
}

static void test_feed_fails(void)
{
    struct feed feed = {.fails_at = 5};
    tq_job job = fed_job(&feed);
    tq_future *future = tq_submit(trial.cluster, &job);
    tq_error error;

    CHECK_STATUS(await(future), TQ_E_USER);
    CHECK_STATUS(tq_job_error(future, &error), TQ_OK);
    CHECK_THAT(error.rank == 0 && strcmp(error.file, "feed") == 0 && strcmp(error.message, "the source is dry") == 0,
               "%s", tq_future_error(future));
    tq_future_release(future);
    meet(&trial);
}

static void test_wrong(void)
{
    struct feed feed = {.fails_at = -1};
    const char *input = "-";

    for (int i = 0; i < 2; i++) {
        tq_job job = fed_job(&feed);

        if (i == 0)
            job.inputs = &input, job.n_inputs = 1;
        else
            job.reduce = (tq_reduce_fn)abort; /* never called */
        tq_future *future = tq_submit(trial.cluster, &job);
        CHECK_STATUS(await(future), TQ_E_USAGE);
        tq_future_release(future);
    }
    CHECK(feed.given == 0);
}

/* ---- Bytes between ranks ---- */

static void test_gather(bool everywhere)
{
    char mine[64];

    memset(mine, 'a' + trial.rank, sizeof mine);
    tq_future *future = tq_submit_gather(trial.cluster, (tq_slice){mine, 3 * (size_t)trial.rank}, everywhere);
    memset(mine, 0, sizeof mine); /* it was copied */
    CHECK_STATUS(await(future), TQ_OK);
    CHECK(tq_job_rows(future) == (everywhere || trial.rank == 0 ? (uint64_t)trial.size : 0));
    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        tq_row row;

        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        CHECK(row.key.size == 0 && row.value.size == 3 * i);
        for (size_t k = 0; k < row.value.size; k++)
            CHECK(row.value.data[k] == (char)('a' + (int)i));
    }
    tq_future_release(future);
}

/* The last rank gives too much: all hear of it. */
static void test_gather_too_much(void)
{
    tq_slice mine = {"x", trial.rank == trial.size - 1 ? (size_t)1 << 30 : 1};
    tq_future *future = tq_submit_gather(trial.cluster, mine, true);
    tq_error error;

    CHECK_STATUS(await(future), TQ_E_USAGE);
    CHECK_STATUS(tq_job_error(future, &error), TQ_OK);
    CHECK(error.rank == trial.size - 1);
    tq_future_release(future);
}

/* ---- Layouts ---- */

static void test_layouts(void)
{
    size_t n, found = 0;
    const tq_layout *layouts = tq_layouts(&n);

    CHECK(tq_abi() == TQ_JOB_ABI);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(layouts[i].name, "tq_job") == 0)
            found += layouts[i].offset == 0 && layouts[i].bytes == sizeof(tq_job);
        if (strcmp(layouts[i].name, "tq_job.reduce_keys") == 0)
            found += layouts[i].offset == offsetof(tq_job, reduce_keys) &&
                     layouts[i].bytes == sizeof(tq_reduce_keys_fn);
    }
    CHECK(found == 2);
}

int main(int argc, char **argv)
{
    begin_trial(&trial, argc, argv, "blocks");
    test_layouts();
    test_feed();
    test_feed_fails();
    test_wrong();
    test_gather(true);
    test_gather(false);
    test_gather_too_much();
    test_feed();
    return end_trial(&trial);
}
