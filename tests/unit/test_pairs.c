/* Pairs emitted many at a time: what arrives in the delivered runs has the sums, or the statistics, of what was
 * emitted, whatever the units, the number of keys and the memory. And bad records, which are counted and listed. */
#include "node/pairs.h"

#include "common/account.h"
#include "node/mapping.h"
#include "node/rows.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

/* Pages of one worker, and bytes to combine early: less than what a few blocks take, some, or no bound that is
 * reached. */
enum { TIGHT = 1000, SOME = 40000, PLENTY = 64 << 20, KEYS = 40000, KEY_ROOM = 48 };

typedef struct world {
    tqi_budget budget;
    tqi_pool pool;
    tqi_spec spec;
    atomic_bool stop;
    tqi_rows rows;
    tq_emitter emitter;
    tqi_place place;
    _Atomic uint64_t n_bad;
    uint64_t random;
    tq_summary expected[KEYS];
    int64_t sums[KEYS];
} world;

static void deliver(void *owner, tqi_run *run)
{
    world *all = owner;

    for (const uint8_t *at = run->data, *end = at + run->bytes; at < end;) {
        tqi_page_header header = tqi_page_read_header(at);

        assert_null(tqi_page_validate(at, (size_t)(end - at)));
        assert_int_equal(tqi_rows_append_page(&all->rows, &all->spec.shape, at, false), TQ_OK);
        at += TQI_PAGE_HEADER + header.payload;
    }
    tqi_run_free(&all->spec, run);
}

static void world_open(world *all, tq_combine combine, uint64_t worker_bytes, uint64_t seed)
{
    memset(all, 0, sizeof *all);
    all->random = seed;
    if (combine == TQ_STATS)
        all->spec = spec_of(combine, TQI_SUMMARY, sizeof(tq_summary), 5, &all->budget);
    else
        all->spec = spec_of(combine, TQ_I64, 0, 5, &all->budget);
    tqi_pool_init(&all->pool, &all->budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all->spec.pool = &all->pool;
    all->spec.worker_bytes = worker_bytes;
    all->spec.n_bad = &all->n_bad;
    all->spec.user = all;
    tqi_rows_init(&all->rows, NULL);
    assert_int_equal(tqi_emitter_init(&all->emitter, &all->spec, 0, deliver, all, &all->stop, worker_bytes), TQ_OK);
}

static void world_close(world *all)
{
    tqi_emitter_free(&all->emitter);
    tqi_rows_free(&all->rows);
    tqi_pool_free(&all->pool);
    assert_int_equal(all->budget.used, 0);
}

/* Keys of 1 to 44 bytes, by number; some end with a NUL. */
static size_t key_of(size_t number, char *key)
{
    size_t size = (size_t)snprintf(key, KEY_ROOM, "%zx", number);

    while (number % 7 == 3 && size < 17 + number % 28)
        key[size++] = 'x';
    if (number % 11 == 5)
        key[size++] = '\0';
    return size;
}

static size_t number_of(tq_slice key)
{
    char text[KEY_ROOM] = "";

    memcpy(text, key.data, key.size);
    return (size_t)strtoul(text, NULL, 16);
}

/* The account holds; then forget what came. */
static void finish(world *all)
{
    tq_account delivered = {0};

    assert_int_equal(tqi_emitter_finish(&all->emitter), TQ_OK);
    for (size_t i = 0; i < all->rows.n; i++)
        tqi_account_entry(&all->spec, &all->spec.shape, &all->rows.entries[i], &delivered);
    assert_memory_equal(&all->emitter.flushed, &delivered, sizeof delivered);
    assert_int_equal(all->emitter.emitted.weight, delivered.weight);
    assert_int_equal(all->emitter.emitted.check, delivered.check);
    assert_int_equal(all->emitter.emitted.records, delivered.records + tqi_emitter_merged(&all->emitter));
}

static void check_statistics(world *all)
{
    tq_summary *found = calloc(KEYS, sizeof *found);

    assert_non_null(found);
    finish(all);
    for (size_t i = 0; i < all->rows.n; i++) {
        const tq_summary *summary = (const tq_summary *)(uintptr_t)all->rows.entries[i].value;
        size_t number = number_of(tqi_entry_key(&all->rows.entries[i]));

        if (found[number].count)
            tqi_summary_merge(&found[number], summary);
        else
            found[number] = *summary;
    }
    for (size_t i = 0; i < KEYS; i++) {
        tqi_summary_normalize(&found[i]);
        tqi_summary_normalize(&all->expected[i]);
        assert_memory_equal(&found[i], &all->expected[i], sizeof found[i]);
    }
    free(found);
}

/* Emit n pairs with keys below keys, values up to magnitude, and mostly so many decimals. */
static void emit_random(world *all, size_t n, size_t keys, uint64_t magnitude, unsigned decimals)
{
    while (n > 0) {
        char bytes[600][KEY_ROOM];
        tq_slice emitted[600];
        int64_t values[600];
        size_t some = 1 + random_below(&all->random, 600);
        unsigned units = random_below(&all->random, 50) ? decimals : (unsigned)random_below(&all->random, 19);

        some = some < n ? some : n;
        for (size_t i = 0; i < some; i++) {
            size_t number = random_below(&all->random, keys);

            emitted[i] = (tq_slice){bytes[i], key_of(number, bytes[i])};
            values[i] = (int64_t)random_below(&all->random, 2 * magnitude + 1) - (int64_t)magnitude;
            tq_summary one = tqi_summary_of(values[i], units);
            if (all->expected[number].count)
                tqi_summary_merge(&all->expected[number], &one);
            else
                all->expected[number] = one;
        }
        assert_int_equal(tq_emit_pairs_decimal(&all->emitter, emitted, values, some, units), TQ_OK);
        n -= some;
    }
}

static void test_statistics(void **state)
{
    static const uint64_t bytes[] = {TIGHT, SOME, PLENTY};
    static const size_t keys[] = {1, 50, 3000, KEYS};
    world *all = malloc(sizeof *all);

    (void)state;
    for (size_t b = 0; b < 3; b++) {
        for (size_t k = 0; k < 4; k++) {
            world_open(all, TQ_STATS, bytes[b], 10 * b + k + 1);
            emit_random(all, 100000, keys[k], 999, 1);
            check_statistics(all);
            world_close(all);
        }
    }
    free(all);
}

/* Units change for good, are finer than at first, and leave no room for what comes. */
static void test_other_units(void **state)
{
    world *all = malloc(sizeof *all);

    (void)state;
    world_open(all, TQ_STATS, PLENTY, 21);
    emit_random(all, 50000, 100, 999, 0);
    emit_random(all, 200000, 100, 99999, 4);
    assert_int_equal(all->emitter.hot.decimals, 4);
    emit_random(all, 200000, 100, (uint64_t)1 << 40, 18);
    assert_int_equal(all->emitter.hot.decimals, 18);
    emit_random(all, 200000, 100, (uint64_t)1 << 60, 2); /* too large in units of 10^-18 */
    assert_int_equal(all->emitter.hot.decimals, 2);
    assert_true(all->emitter.merged_early > 400000);
    check_statistics(all);
    world_close(all);
    free(all);
}

/* Of too many keys nothing is combined at once, and after a while that is not tried. */
static void test_switched_off(void **state)
{
    world *all = malloc(sizeof *all);

    (void)state;
    world_open(all, TQ_STATS, SOME, 22);
    emit_random(all, 200000, KEYS, INT32_MAX, 2);
    assert_false(all->emitter.trial.on);
    check_statistics(all);
    world_close(all);
    free(all);
}

/* Keys that come in groups, one after the other: a table that is full of those that are over makes room. */
static void test_sorted_keys(void **state)
{
    world *all = malloc(sizeof *all);

    (void)state;
    world_open(all, TQ_STATS, SOME, 28);
    for (size_t number = 0; number < KEYS; number++) {
        char bytes[KEY_ROOM];
        tq_slice key = {bytes, key_of(number, bytes)}, keys[20];
        int64_t values[20];

        for (size_t i = 0; i < 20; i++) {
            tq_summary one = tqi_summary_of((int64_t)i, 2);

            keys[i] = key;
            values[i] = (int64_t)i;
            if (i == 0)
                all->expected[number] = one;
            else
                tqi_summary_merge(&all->expected[number], &one);
        }
        assert_int_equal(tq_emit_pairs_decimal(&all->emitter, keys, values, 20, 2), TQ_OK);
    }
    assert_true(all->emitter.merged_early > KEYS * 20 / 2);
    check_statistics(all);
    world_close(all);
    free(all);
}

/* One at a time, and the same value for many keys. mapping: those that come one at a time wait for others. */
static void check_single_values(bool mapping)
{
    world *all = malloc(sizeof *all);
    tq_record chunk = {.data = "text", .size = 4, .file = "input"};

    world_open(all, TQ_STATS, SOME, 23);
    if (mapping)
        tqi_emitter_begin(&all->emitter, &chunk);
    for (size_t i = 0; i < 3000; i++) {
        char bytes[KEY_ROOM];
        tq_slice key = {bytes, key_of(i % 30, bytes)}, keys[300];
        int64_t value = (int64_t)random_next(&all->random);
        tq_summary one = tqi_summary_of(i % 10 ? value : 7, 0), *expected = &all->expected[i % 30];

        for (size_t j = 0; j < 300; j++)
            keys[j] = key;
        for (size_t times = i % 10 ? 1 : 300; times > 0; times--) {
            if (expected->count)
                tqi_summary_merge(expected, &one);
            else
                *expected = one;
        }
        assert_int_equal(
            i % 10 ? tq_emit_i64(&all->emitter, key, value) : tq_emit_keys_i64(&all->emitter, keys, 300, 7), TQ_OK);
    }
    assert_int_equal(tqi_emitter_end(&all->emitter), TQ_OK);
    check_statistics(all);
    world_close(all);
    free(all);
}

static void test_single_values(void **state)
{
    (void)state;
    check_single_values(false);
    check_single_values(true);
}

static void test_budgets(void **state)
{
    world *all = malloc(sizeof *all);

    (void)state;
    for (uint64_t more = 0; more <= 1 << 20; more = 4 * more + 1000) {
        world_open(all, TQ_STATS, SOME, more + 1);
        all->budget.limit = all->budget.used + more;
        for (int i = 0; i < 100 && !all->emitter.status; i++) {
            char bytes[KEY_ROOM];
            int64_t values[2] = {i, INT64_MAX};
            tq_slice keys[2] = {{bytes, key_of((size_t)i, bytes)}, {bytes, key_of((size_t)i, bytes)}};

            tq_emit_pairs_decimal(&all->emitter, keys, values, 2, 0);
        }
        if (all->emitter.status)
            assert_int_equal(all->emitter.status, TQ_E_MEMORY);
        else
            assert_true(tqi_emitter_finish(&all->emitter) == TQ_OK || all->emitter.status == TQ_E_MEMORY);
        world_close(all);
    }
    free(all);
}

/* Pairs of numbers for the other combiners. */
static void test_sums(void **state)
{
    world *all = malloc(sizeof *all);
    char bytes[100][KEY_ROOM];
    tq_slice keys[100];
    int64_t values[100];
    uint64_t found[100] = {0};

    (void)state;
    world_open(all, TQ_SUM, SOME, 24);
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < 100; i++) {
            keys[i] = (tq_slice){bytes[i], key_of(i, bytes[i])};
            values[i] = (int64_t)random_next(&all->random);
            all->sums[i] = (int64_t)((uint64_t)all->sums[i] + (uint64_t)values[i]);
        }
        assert_int_equal(tq_emit_pairs_i64(&all->emitter, keys, values, 100), TQ_OK);
    }
    finish(all);
    for (size_t i = 0; i < all->rows.n; i++)
        found[number_of(tqi_entry_key(&all->rows.entries[i]))] += all->rows.entries[i].value; /* modulo 2^64 */
    assert_memory_equal(found, all->sums, sizeof found);
    world_close(all);
    free(all);
}

static void test_wrong(void **state)
{
    world *all = malloc(sizeof *all);
    tq_slice key = slice_of("key");
    const int64_t value = 1;

    (void)state;
    world_open(all, TQ_SUM, SOME, 25);
    assert_int_equal(tq_emit_pairs_decimal(&all->emitter, &key, &value, 1, 0), TQ_E_USER);
    world_close(all);
    world_open(all, TQ_STATS, SOME, 25);
    assert_int_equal(tq_emit_pairs_decimal(&all->emitter, &key, &value, 1, 19), TQ_E_USER);
    world_close(all);
    world_open(all, TQ_STATS, SOME, 25);
    assert_int_equal(tq_emit(&all->emitter, key, key), TQ_E_USER);
    world_close(all);
    world_open(all, TQ_STATS, SOME, 25);
    key.size = TQI_KEY_MAX + 1;
    assert_int_equal(tq_emit_pairs_decimal(&all->emitter, &key, &value, 1, 0), TQ_E_USER);
    assert_int_equal(tq_emit_pairs_decimal(&all->emitter, &key, &value, 1, 0), TQ_E_USER);
    world_close(all);
    world_open(all, TQ_STATS, SOME, 25);
    atomic_store(&all->stop, true);
    assert_int_equal(tq_emit_pairs_decimal(&all->emitter, &key, &value, 1, 0), TQ_E_CANCELLED);
    world_close(all);
    free(all);
}

/* ---- Bad records ---- */

/* Calls a line bad that begins with "bad", refuses one that begins with "no". */
static int look_at(const tq_record *line, tq_emitter *emitter, void *user)
{
    (void)user;
    if (line->size >= 2 && memcmp(line->data, "no", 2) == 0)
        return tq_emit_refuse(emitter, line->file, line->offset, "refused: %.*s", (int)line->size, line->data);
    if (line->size >= 3 && memcmp(line->data, "bad", 3) == 0)
        return tq_emit_bad(emitter, line->file, line->offset, "bad: %.*s", (int)line->size, line->data) != TQ_OK;
    return 0;
}

static tq_status map_text(world *all, const char *text)
{
    tq_record chunk = {.data = text, .size = strlen(text), .file = "input", .offset = 1000};

    all->spec.map = look_at;
    return tqi_map_chunk(&all->emitter, &chunk, &all->place);
}

static void assert_failed(const world *all, uint64_t offset, const char *said)
{
    assert_int_equal(all->emitter.error.status, TQ_E_INPUT);
    assert_string_equal(all->emitter.error.file, "input");
    assert_int_equal(all->emitter.error.offset, offset);
    assert_string_equal(all->emitter.error.message, said);
}

static void test_bad_records(void **state)
{
    world *all = malloc(sizeof *all);

    (void)state;
    world_open(all, TQ_SUM, SOME, 26);
    assert_int_equal(map_text(all, "good\nbad 1\ngood\nbad 2\n"), TQ_E_INPUT);
    assert_failed(all, 1005, "bad: bad 1");
    world_close(all);
    world_open(all, TQ_SUM, SOME, 26);
    all->spec.skip_bad = 2;
    assert_int_equal(map_text(all, "good\nbad 1\ngood\nbad 2\n"), TQ_OK);
    assert_int_equal(all->emitter.bad.count, 2);
    assert_int_equal(all->emitter.bad.places[1].offset, 1016);
    assert_string_equal(all->emitter.bad.places[1].reason, "bad: bad 2");
    assert_int_equal(map_text(all, "bad 3"), TQ_E_INPUT);
    assert_failed(all, 1000, "bad: bad 3");
    world_close(all);
    world_open(all, TQ_SUM, SOME, 26);
    all->spec.skip_bad = 1000;
    assert_int_equal(map_text(all, "bad\nno way\n"), TQ_E_INPUT);
    assert_failed(all, 1004, "refused: no way");
    world_close(all);
    free(all);
}

/* Lists that were made in pieces and put together in any way are the first of all. */
static void test_bad_lists(void **state)
{
    uint64_t random = 27;

    (void)state;
    for (int round = 0; round < 200; round++) {
        tqi_bad lists[4] = {0}, merged = {0}, unpacked = {0};
        uint64_t n = random_below(&random, 100);
        char *bytes[4], all[4 * TQI_BAD_KEPT * 200];
        size_t size, total = 0;

        for (uint64_t i = 0; i < n; i++) {
            uint64_t place = i * 37 % n; /* each once, if n is no multiple of 37 */
            char file[20], reason[400];

            snprintf(file, sizeof file, "file %02d", (int)(place / 10));
            memset(reason, 'r', sizeof reason);
            reason[random_below(&random, sizeof reason)] = '\0';
            reason[sizeof reason - 1] = '\0';
            tqi_bad_add(&lists[random_below(&random, 4)], file, place % 10, reason);
        }
        for (int i = 0; i < 4; i++) {
            assert_int_equal(tqi_bad_pack(&lists[i], &bytes[i], &size), TQ_OK);
            memcpy(all + total, bytes[i], size);
            total += size;
            free(bytes[i]);
            tqi_bad_merge(&merged, &lists[i]);
            assert_int_equal(lists[i].n, 0);
        }
        assert_int_equal(tqi_bad_unpack(&unpacked, all, total), TQ_OK);
        assert_int_equal(merged.count, n);
        assert_int_equal(unpacked.count, n);
        assert_int_equal(merged.n, n < TQI_BAD_KEPT ? n : TQI_BAD_KEPT);
        assert_int_equal(unpacked.n, merged.n);
        for (size_t i = 0; i < merged.n; i++) {
            assert_string_equal(merged.places[i].file, unpacked.places[i].file);
            assert_int_equal(merged.places[i].offset, unpacked.places[i].offset);
            if (n % 37)
                assert_int_equal(atoi(merged.places[i].file + 5) * 10 + (int)merged.places[i].offset, i);
        }
        tqi_bad_free(&merged);
        tqi_bad_free(&unpacked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics),  cmocka_unit_test(test_other_units),   cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_sorted_keys), cmocka_unit_test(test_single_values), cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_sums),        cmocka_unit_test(test_wrong),         cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_bad_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
