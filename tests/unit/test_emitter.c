/* Emitters: what a mapper emits arrives in the runs that are delivered, and what fails says where. */
#include "node/emitter.h"

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

/* Pages of one worker: less than what a few blocks take, some blocks for each bin, or no bound that is reached. */
enum { TIGHT = 1000, SOME = 40000, PLENTY = 64 << 20 };

/* All that one emitter delivers: the records of its runs. */
typedef struct world {
    tqi_budget budget;
    tqi_pool pool;
    tqi_spec spec;
    atomic_bool stop;
    tqi_rows rows;
    uint64_t runs;
    tq_emitter emitter;
    tqi_place place;
    /* What the mapper does. */
    uint64_t called;
    const char *fail_at;
} world;

static void deliver(void *owner, tqi_run *run)
{
    world *all = owner;

    size_t before = all->rows.n;

    assert_true(run->records > 0);
    all->runs++;
    for (const uint8_t *at = run->data, *end = at + run->bytes; at < end;) {
        tqi_page_header header = tqi_page_read_header(at);
        size_t first = all->rows.n;
        assert_null(tqi_page_validate(at, (size_t)(end - at)));
        assert_int_equal(tqi_rows_append_page(&all->rows, &all->spec.shape, at, false), TQ_OK);
        assert_true(all->rows.n > first);
        for (size_t i = first; i < all->rows.n; i++) {
            const tqi_entry *entry = &all->rows.entries[i];
            bool placed = tqi_spec_is_placed(&all->spec);
            uint32_t place = placed ? tqi_spec_place(&all->spec, tqi_entry_key(entry)) : entry->hash32;
            assert_int_equal(tqi_partition_of(place, all->spec.partitions), header.partition);
        }
        at += TQI_PAGE_HEADER + header.payload;
    }
    assert_int_equal(all->rows.n - before, run->records);
    tqi_run_free(&all->spec, run);
}

/* worker_bytes: of pages; a small one for early combining too. */
static void world_open(world *all, tq_combine combine, int type, uint64_t worker_bytes)
{
    memset(all, 0, sizeof *all);
    all->spec = spec_of(combine, type, 4, 5, &all->budget);
    tqi_pool_init(&all->pool, &all->budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all->spec.pool = &all->pool;
    all->spec.worker_bytes = worker_bytes;
    all->spec.user = all;
    tqi_rows_init(&all->rows, NULL);
    assert_int_equal(tqi_emitter_init(&all->emitter, &all->spec, 3, deliver, all, &all->stop, worker_bytes), TQ_OK);
}

static void world_close(world *all)
{
    tqi_emitter_free(&all->emitter);
    tqi_rows_free(&all->rows);
    tqi_pool_free(&all->pool);
    assert_int_equal(all->budget.used, 0);
}

/* Finish; then what was delivered sums up to what was emitted. */
static void finish(world *all)
{
    tq_account delivered = {0};

    assert_int_equal(tqi_emitter_finish(&all->emitter), TQ_OK);
    for (size_t i = 0; i < all->rows.n; i++)
        tqi_account_entry(&all->spec, &all->spec.shape, &all->rows.entries[i], &delivered);
    assert_int_equal(all->emitter.flushed.records, delivered.records);
    assert_int_equal(all->emitter.flushed.weight, delivered.weight);
    assert_int_equal(all->emitter.flushed.check, delivered.check);
    assert_int_equal(all->emitter.emitted.records, delivered.records + tqi_emitter_merged(&all->emitter));
    if (all->spec.combine == TQ_SUM || all->spec.combine == TQ_COMBINE_NONE) {
        assert_int_equal(all->emitter.emitted.weight, delivered.weight);
        assert_int_equal(all->emitter.emitted.check, delivered.check);
    }
    uint64_t runs = all->runs;
    assert_int_equal(tqi_emitter_finish(&all->emitter), TQ_OK); /* nothing is left */
    assert_int_equal(all->runs, runs);
    assert_int_equal(all->emitter.bins.bytes, 0);
}

/* Map text as a chunk of file "input" that begins at byte 1000; behind it is the promised slack, full of dirt. */
static tq_status map_text(world *all, const char *text, size_t size)
{
    char *padded = malloc(size + TQI_KEY_SLACK);

    assert_non_null(padded);
    memcpy(padded, text, size);
    memset(padded + size, 0xee, TQI_KEY_SLACK);
    tq_record chunk = {.data = padded, .size = size, .file = "input", .offset = 1000};
    tq_status status = tqi_map_chunk(&all->emitter, &chunk, &all->place);
    free(padded);
    return status;
}

static uint64_t sum_of(const world *all, tq_slice key)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < all->rows.n; i++)
        if (slice_equal(tqi_entry_key(&all->rows.entries[i]), key))
            sum += all->rows.entries[i].value;
    return sum;
}

/* Emits the record with 1, unless it is the one to fail at. The record is where it says it is. */
static int count_record(const tq_record *record, tq_emitter *emitter, void *user)
{
    world *all = user;

    all->called++;
    assert_string_equal(record->file, "input");
    if (all->fail_at && slice_equal((tq_slice){record->data, record->size}, slice_of(all->fail_at)))
        return 42;
    return tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1) != TQ_OK;
}

static void test_lines(void **state)
{
    static const char text[] = "one\ntwo\n\none\r\n two \nlast";
    world all;

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, PLENTY);
    all.spec.map = count_record;
    assert_int_equal(map_text(&all, text, sizeof text - 1), TQ_OK);
    assert_int_equal(all.called, 6);
    assert_int_equal(map_text(&all, "one\nthree\n", 10), TQ_OK); /* no empty line behind the last LF */
    assert_int_equal(all.called, 8);
    assert_int_equal(map_text(&all, "", 0), TQ_OK);
    assert_int_equal(all.called, 8);
    finish(&all);
    assert_int_equal(sum_of(&all, slice_of("one")), 2);
    assert_int_equal(sum_of(&all, slice_of("one\r")), 1);
    assert_int_equal(sum_of(&all, slice_of(" two ")), 1);
    assert_int_equal(sum_of(&all, slice_of("")), 1);
    assert_int_equal(sum_of(&all, slice_of("last")), 1);
    assert_int_equal(sum_of(&all, slice_of("three")), 1);
    assert_int_equal(all.rows.n, 7);
    world_close(&all);
}

static void test_words(void **state)
{
    static const char text[] = " one two\t\ttwo\nthree\v one\ftwo\r\n";
    world all;

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, PLENTY);
    all.spec.records = TQ_WORDS;
    all.spec.map = count_record;
    assert_int_equal(map_text(&all, text, sizeof text - 1), TQ_OK);
    assert_int_equal(map_text(&all, " \n", 2), TQ_OK);
    assert_int_equal(all.called, 6);
    finish(&all);
    assert_int_equal(sum_of(&all, slice_of("one")), 2);
    assert_int_equal(sum_of(&all, slice_of("two")), 3);
    assert_int_equal(sum_of(&all, slice_of("three")), 1);
    assert_int_equal(all.rows.n, 3);
    world_close(&all);
}

/* Counts the words of a chunk, in batches. */
static int count_chunk(const tq_record *chunk, tq_emitter *emitter, void *user)
{
    world *all = user;
    tq_slice text = {chunk->data, chunk->size}, words[100];

    all->called++;
    assert_int_equal(tq_emitter_worker(emitter), 3);
    assert_int_equal(tq_emitter_rank(emitter), 0);
    for (size_t n; (n = tq_next_words(&text, words, 100)) != 0;)
        if (tq_emit_keys_i64(emitter, words, n, 1))
            return 1;
    return 0;
}

/* Words of all lengths, one at a time and in batches, with room of all sizes: nothing is lost or counted twice. */
static void check_words(tq_combine combine, bool in_chunks, uint64_t worker_bytes)
{
    enum { WORDS = 3000, DIFFERENT = 60 };
    world all;
    char *text = malloc(WORDS * 64), *at = text, names[DIFFERENT][64];
    uint64_t random = 151, expected[DIFFERENT] = {0};

    assert_non_null(text);
    for (int i = 0; i < DIFFERENT; i++)
        sprintf(names[i], "%.*s%d", i, "a-word-of-some-length-that-grows-and-grows-and-grows-and-grows", i);
    for (int i = 0; i < WORDS; i++) {
        size_t which = random_below(&random, DIFFERENT);
        expected[which]++;
        at += sprintf(at, "%s ", names[which]);
    }
    world_open(&all, combine, TQ_I64, worker_bytes);
    all.spec.records = TQ_WORDS;
    all.spec.map = count_record;
    all.spec.map_chunk = in_chunks ? count_chunk : NULL;
    for (int round = 0; round < 2; round++)
        assert_int_equal(map_text(&all, text, (size_t)(at - text)), TQ_OK);
    finish(&all);
    assert_int_equal(all.called, in_chunks ? 2 : 2 * WORDS);
    assert_int_equal(all.emitter.emitted.records, 2 * WORDS);
    assert_true(combine == TQ_COMBINE_NONE ? all.rows.n == 2 * WORDS : all.rows.n < 2 * WORDS);
    if (worker_bytes == PLENTY && combine == TQ_MAX) /* each word is in the table: then each bin is a page or more */
        assert_int_equal(all.rows.n, DIFFERENT);
    for (int i = 0; i < DIFFERENT && combine != TQ_MAX; i++)
        assert_int_equal(sum_of(&all, slice_of(names[i])), 2 * expected[i]);
    world_close(&all);
    free(text);
}

/* Emits each word as it stands in the text, its first half, and the word backwards from a buffer that is used again: each
 * with a value of its own. */
static int emit_one_by_one(const tq_record *record, tq_emitter *emitter, void *user)
{
    world *all = user;
    char backwards[64];
    int64_t value = (int64_t)(record->offset % 7) - 3;

    assert_true(record->size < sizeof backwards);
    for (size_t i = 0; i < record->size; i++)
        backwards[i] = record->data[record->size - 1 - i];
    bool failed = tq_emit_i64(emitter, (tq_slice){record->data, record->size}, value) ||
                  tq_emit_i64(emitter, (tq_slice){record->data, record->size / 2}, value * 1000) ||
                  tq_emit_i64(emitter, (tq_slice){backwards, record->size}, -5);
    memset(backwards, 0xee, sizeof backwards);
    all->called++;
    return failed;
}

/* The same, by hand, into a table without any waiting: what came out must be what went in, key by key. */
static void check_one_by_one(const char *text, size_t size, uint64_t worker_bytes)
{
    world all, plain;
    tq_slice rest = {text, size}, word;

    world_open(&all, TQ_SUM, TQ_I64, worker_bytes);
    world_open(&plain, TQ_SUM, TQ_I64, PLENTY);
    all.spec.records = TQ_WORDS;
    all.spec.map = emit_one_by_one;
    assert_int_equal(map_text(&all, text, size), TQ_OK);
    while (tq_next_words(&rest, &word, 1)) {
        tq_record record = {
            .data = word.data, .size = word.size, .file = "input", .offset = 1000 + (uint64_t)(word.data - text)};
        assert_int_equal(emit_one_by_one(&record, &plain.emitter, &plain), 0); /* not while mapping: nothing waits */
    }
    assert_int_equal(all.called, plain.called);
    finish(&all);
    finish(&plain);
    assert_int_equal(all.emitter.emitted.records, 3 * all.called);
    assert_int_equal(all.emitter.emitted.weight, plain.emitter.emitted.weight);
    assert_int_equal(all.emitter.emitted.check, plain.emitter.emitted.check);
    for (size_t i = 0; i < plain.rows.n; i++) {
        tq_slice key = tqi_entry_key(&plain.rows.entries[i]);
        assert_int_equal(sum_of(&all, key), sum_of(&plain, key));
    }
    world_close(&all);
    world_close(&plain);
}

/* Keys of all sizes, numbers of words around those of full batches, and room of all sizes. */
static void test_one_by_one(void **state)
{
    static const size_t words[] = {0, 1, 84, 85, 86, 255, 256, 257, 2000};
    char *text = malloc(2000 * 64);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        uint64_t random = 152;
        char *at = text;
        for (size_t w = 0; w < words[i]; w++) {
            size_t size = 1 + random_below(&random, 45);
            random_text(&random, "ab\0\xff", random_below(&random, 3) ? 2 : 4, at, size);
            at += size;
            *at++ = w % 9 ? ' ' : '\n';
        }
        check_one_by_one(text, (size_t)(at - text), TIGHT);
        check_one_by_one(text, (size_t)(at - text), SOME);
        check_one_by_one(text, (size_t)(at - text), PLENTY);
    }
    free(text);
}

static void test_words_sum_up(void **state)
{
    static const uint64_t sizes[] = {0,    TIGHT, 5 * TQI_SMALLEST_BLOCK_BYTES, 10 * TQI_SMALLEST_BLOCK_BYTES,
                                     SOME, PLENTY};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int in_chunks = 0; in_chunks < 2; in_chunks++) {
            check_words(TQ_SUM, in_chunks, sizes[i]);
            check_words(TQ_COMBINE_NONE, in_chunks, sizes[i]);
            check_words(TQ_MAX, in_chunks, sizes[i]);
        }
    }
}

/* Words as a text has them, few of them very often: the hot ones are counted at once, with values of either sign, one
 * by one or in batches. In the end each key has its sum. */
static void check_hot_words(uint64_t worker_bytes, uint64_t limit)
{
    enum { EMITS = 24000, DIFFERENT = 400, AT_ONCE = 300 };
    world all;
    int64_t *expected = calloc(DIFFERENT, sizeof *expected);
    uint64_t random = 152;

    assert_non_null(expected);
    world_open(&all, TQ_SUM, TQ_I64, worker_bytes);
    all.budget.limit = limit ? all.budget.used + limit : 0;
    for (int done = 0; done < EMITS; done += AT_ONCE) {
        char names[AT_ONCE][40];
        tq_slice keys[AT_ONCE];
        int64_t value = (int64_t)random_below(&random, 9) - (done % 3 ? 0 : 4);
        for (int i = 0; i < AT_ONCE; i++) {
            size_t which = random_below(&random, 1 + random_below(&random, 1 + random_below(&random, DIFFERENT)));
            keys[i].data = names[i];
            keys[i].size = (size_t)sprintf(names[i], which % 8 ? "%zu" : "a key of many bytes %zu", which);
            expected[which] += value;
        }
        if (random_below(&random, 2))
            assert_int_equal(tq_emit_keys_i64(&all.emitter, keys, AT_ONCE, value), TQ_OK);
        else
            for (int i = 0; i < AT_ONCE; i++)
                assert_int_equal(tq_emit_i64(&all.emitter, keys[i], value), TQ_OK);
    }
    finish(&all);
    assert_int_equal(all.emitter.emitted.records, EMITS);
    assert_true(all.rows.n < EMITS / 2);
    for (size_t which = 0; which < DIFFERENT; which++) {
        char name[40];
        sprintf(name, which % 8 ? "%zu" : "a key of many bytes %zu", which);
        assert_true((int64_t)sum_of(&all, slice_of(name)) == expected[which]);
    }
    world_close(&all);
    free(expected);
}

static void test_hot_words(void **state)
{
    (void)state;
    check_hot_words(0, 0);
    check_hot_words(TIGHT, 0);
    check_hot_words(SOME, 0);
    check_hot_words(PLENTY, 0);
    check_hot_words(PLENTY, 100000);
}

/* ---- Bins that are full ---- */

enum { MOST_DIFFERENT = 20000, LONG_KEY = 3000 };

/* The key of this number: short ones, long ones, and now and then one that is larger than a block. */
static tq_slice key_of(size_t which, char *buffer)
{
    int size = sprintf(buffer, which % 5 ? "%zu" : "%zu is a key that fits no entry", which);

    if (which % 5000 == 1) {
        memset(buffer + size, '-', LONG_KEY - (size_t)size);
        size = LONG_KEY;
    }
    return (tq_slice){buffer, (size_t)size};
}

static uint32_t number_of(const world *all, const tqi_entry *entry)
{
    uint32_t number = (uint32_t)entry->value;

    if (all->spec.shape.type == TQ_FIXED)
        memcpy(&number, tqi_entry_value(&all->spec.shape, entry).data, sizeof number);
    return number;
}

/* The job's combiner of TQ_FIXED values. */
static int add_numbers(tq_slice key, void *into, const void *value, void *user)
{
    uint32_t a, b;

    (void)user;
    assert_true(key.size > 0);
    memcpy(&a, into, sizeof a);
    memcpy(&b, value, sizeof b);
    a += b;
    memcpy(into, &a, sizeof a);
    return 0;
}

static uint32_t combined(tq_combine combine, uint32_t a, uint32_t b)
{
    return combine == TQ_MIN ? (a < b ? a : b) : combine == TQ_MAX ? (a > b ? a : b) : a + b;
}

typedef struct compaction {
    tq_combine combine;
    int type;
    uint32_t partitions, first, own;
    uint64_t worker_bytes, early_bytes;
    size_t emits, different; /* keys, each as often as any other */
} compaction;

static void emit_number(world *all, const compaction *what, size_t which, uint32_t number)
{
    char buffer[LONG_KEY + 100], value[6000];
    tq_slice key = key_of(which, buffer);

    if (what->type == TQ_I64) {
        assert_int_equal(tq_emit_i64(&all->emitter, key, number), TQ_OK);
        return;
    }
    memset(value, (int)which, sizeof value);
    memcpy(value, &number, sizeof number);
    size_t size = what->type == TQ_FIXED ? 4 : which % 1000 == 2 ? sizeof value : 4 + which % 50;
    assert_int_equal(tq_emit(&all->emitter, key, (tq_slice){value, size}), TQ_OK);
}

/* Everything that was delivered, combined once more, is what was emitted. */
static void assert_all_there(const world *all, const compaction *what, const uint32_t *expected, const bool *emitted)
{
    uint32_t *got = calloc(what->different, sizeof *got);
    bool *seen = calloc(what->different, sizeof *seen);

    assert_true(got && seen);
    for (size_t i = 0; i < all->rows.n; i++) {
        const tqi_entry *entry = &all->rows.entries[i];
        char text[64] = {0}, buffer[LONG_KEY + 100];
        tq_slice key = tqi_entry_key(entry);
        memcpy(text, key.data, key.size < 20 ? key.size : 20);
        size_t which = strtoul(text, NULL, 10);
        assert_true(which < what->different && slice_equal(key, key_of(which, buffer)));
        uint32_t number = what->type == TQ_BYTES ? 0 : number_of(all, entry);
        got[which] = seen[which] ? combined(what->combine, got[which], number) : number;
        seen[which] = true;
    }
    assert_memory_equal(seen, emitted, what->different * sizeof *seen);
    if (what->type != TQ_BYTES)
        assert_memory_equal(got, expected, what->different * sizeof *got);
    free(got);
    free(seen);
}

/* Emit, and return how many runs were delivered before the end. merged: how many records when bins were combined. */
static uint64_t check_placed(compaction what, tq_partition_fn partition, uint64_t *merged)
{
    world all = {0};
    uint32_t *expected = calloc(what.different, sizeof *expected);
    bool *emitted = calloc(what.different, sizeof *emitted);
    uint64_t random = 153;

    assert_true(expected && emitted);
    all.spec = spec_of(what.combine, what.type, 4, what.partitions, &all.budget);
    all.spec.first_partition = what.first;
    all.spec.own_partitions = what.own;
    all.spec.combine_fn = add_numbers;
    all.spec.partition = partition;
    tqi_pool_init(&all.pool, &all.budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all.spec.pool = &all.pool;
    all.spec.worker_bytes = what.worker_bytes;
    tqi_rows_init(&all.rows, NULL);
    assert_int_equal(tqi_emitter_init(&all.emitter, &all.spec, 3, deliver, &all, &all.stop, (size_t)what.early_bytes),
                     TQ_OK);
    for (size_t i = 0; i < what.emits; i++) {
        size_t which = random_below(&random, what.different);
        uint32_t number = (uint32_t)random_below(&random, 1000);
        expected[which] = emitted[which] ? combined(what.combine, expected[which], number) : number;
        emitted[which] = true;
        emit_number(&all, &what, which, number);
        /* What is kept stays within what it may take, but for the last page. */
        assert_true(all.emitter.bins.bytes <= what.worker_bytes + 2 * TQI_SMALLEST_BLOCK_BYTES + 2 * sizeof expected +
                                                  (what.type == TQ_BYTES ? 6000 : LONG_KEY) +
                                                  TQI_SMALLEST_BLOCK_BYTES * (uint64_t)all.emitter.bins.n);
    }
    uint64_t runs = all.runs;
    finish(&all);
    *merged = all.emitter.scratch.merged;
    assert_all_there(&all, &what, expected, emitted);
    world_close(&all);
    free(expected);
    free(emitted);
    return runs;
}

static uint64_t check_compaction(compaction what, uint64_t *merged)
{
    return check_placed(what, NULL, merged);
}

/* Keys that come again and again: what is combined stays, and nothing is delivered before the end. */
static void test_compaction_keeps(void **state)
{
    static const compaction cases[] = {
        {TQ_SUM, TQ_I64, 5, 0, 5, 300000, 1, 300000, 3000},
        {TQ_MIN, TQ_I64, 5, 0, 5, 500000, 1, 600000, 5000},
        {TQ_COMBINE_USER, TQ_FIXED, 5, 1, 2, 500000, 1, 600000, 5000},
        {TQ_SUM, TQ_I64, 40, 3, 4, 300000, 1, 300000, 3000},
        {TQ_MAX, TQ_I64, TQI_MOST_BINS, 0, 1, 4 << 20, 1, 1200000, 6000},
        {TQ_SUM, TQ_I64, TQI_MOST_BINS + 1, 0, 1, 2 << 20, 1, 600000, 6000},
        {TQ_MIN, TQ_I64, 5000, 100, 10, 2 << 20, 1, 600000, 6000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t merged;
        uint64_t runs = check_compaction(cases[i], &merged);
        assert_int_equal(runs, 0);
        assert_true(merged > cases[i].emits / 10);
    }
}

/* Keys of which few come again, or that are not combined: they are delivered as soon as there is no room. */
static void test_compaction_delivers(void **state)
{
    static const compaction cases[] = {
        {TQ_SUM, TQ_I64, 5, 0, 5, 20000, 1, 60000, MOST_DIFFERENT},
        {TQ_MIN, TQ_I64, 5, 0, 5, 20000, 1, 60000, MOST_DIFFERENT},
        {TQ_MAX, TQ_I64, 5, 2, 1, 20000, 100000, 60000, MOST_DIFFERENT},
        {TQ_COMBINE_USER, TQ_FIXED, 5, 0, 1, 20000, 1, 60000, MOST_DIFFERENT},
        {TQ_COMBINE_NONE, TQ_I64, 5, 0, 5, 20000, 1, 60000, MOST_DIFFERENT},
        {TQ_COMBINE_NONE, TQ_FIXED, 5, 0, 2, 20000, 1, 60000, MOST_DIFFERENT},
        {TQ_COMBINE_NONE, TQ_BYTES, 5, 0, 2, 20000, 1, 60000, MOST_DIFFERENT},
        {TQ_COMBINE_NONE, TQ_BYTES, TQI_MOST_BINS + 1, 0, 300, 600 << 10, 1, 60000, MOST_DIFFERENT},
        {TQ_SUM, TQ_I64, 2000, 100, 300, 600 << 10, 1, 60000, MOST_DIFFERENT},
        {TQ_MIN, TQ_I64, 16384, 16000, 384, 600 << 10, 1, 60000, MOST_DIFFERENT},
        {TQ_COMBINE_USER, TQ_FIXED, 16384, 0, 384, 600 << 10, 1, 60000, MOST_DIFFERENT},
        {TQ_SUM, TQ_I64, 1, 0, 1, 1, 1, 20000, MOST_DIFFERENT},
        {TQ_COMBINE_NONE, TQ_BYTES, 1, 0, 1, 1, 1, 20000, MOST_DIFFERENT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t merged, runs = check_compaction(cases[i], &merged);
        assert_true(runs > 1);
    }
}

static uint64_t number_of_key(tq_slice key, void *user)
{
    (void)user;
    return key.size > 2 ? (uint64_t)key.data[0] * 10 + (uint64_t)key.data[1] : 0;
}

static uint64_t last_of_key(tq_slice key, void *user)
{
    (void)user;
    return (uint64_t)(unsigned char)key.data[key.size - 1] << 40;
}

/* Partitions that the job chose: as many as bins, or more; large ones, and many that are empty. */
static void test_placed(void **state)
{
    static const struct placed {
        compaction what;
        tq_partition_fn partition;
    } cases[] = {
        {{TQ_SUM, TQ_I64, 5, 0, 5, 20000, 1, 60000, MOST_DIFFERENT}, number_of_key},
        {{TQ_SUM, TQ_I64, 5, 0, 5, 300000, 1, 300000, 3000}, number_of_key},
        {{TQ_SUM, TQ_I64, 40, 3, 4, 40000, 100000, 60000, MOST_DIFFERENT}, last_of_key},
        {{TQ_SUM, TQ_I64, 2000, 100, 300, 600 << 10, 1, 60000, MOST_DIFFERENT}, number_of_key},
        {{TQ_MIN, TQ_I64, 16384, 16000, 384, 600 << 10, 1, 60000, MOST_DIFFERENT}, last_of_key},
        {{TQ_COMBINE_USER, TQ_FIXED, 5000, 0, 384, 2 << 20, 1, 600000, 6000}, number_of_key},
        {{TQ_COMBINE_NONE, TQ_BYTES, TQI_MOST_BINS + 1, 0, 300, 600 << 10, 1, 60000, MOST_DIFFERENT}, number_of_key},
        {{TQ_COMBINE_NONE, TQ_I64, 5, 0, 1, 20000, 1, 60000, MOST_DIFFERENT}, last_of_key},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t merged;
        check_placed(cases[i].what, cases[i].partition, &merged);
    }
}

/* At the end what belongs to others is combined, and what belongs to this rank is not. */
static void test_last_compaction(void **state)
{
    static const tq_combine combines[] = {TQ_SUM, TQ_MIN, TQ_COMBINE_NONE};

    (void)state;
    for (size_t c = 0; c < 3; c++) {
        for (uint32_t partitions = 8; partitions < 4000; partitions *= 20) {
            uint64_t own, others;
            compaction what = {combines[c], TQ_I64, partitions, 0, partitions, PLENTY, 1, 60000, 5000};
            assert_int_equal(check_compaction(what, &own), 0);
            what.own = 1;
            assert_int_equal(check_compaction(what, &others), 0);
            if (partitions <= TQI_MOST_BINS)
                assert_int_equal(own, 0);
            assert_true(combines[c] == TQ_COMBINE_NONE ? others == 0 : others > 10000);
        }
    }
}

/* Long keys and values fill the arena of a small table: it is emptied before it has many entries. */
static void test_early_arena_bound(void **state)
{
    world all;
    char key[1000];

    (void)state;
    world_open(&all, TQ_MAX, TQ_I64, PLENTY);
    memset(key, 'k', sizeof key);
    for (int i = 0; i < 5000; i++) {
        sprintf(key, "%04d", i % 4000);
        key[4] = 'k';
        tq_slice slice = {key, sizeof key};
        if (i % 2)
            assert_int_equal(tq_emit_i64(&all.emitter, slice, i), TQ_OK);
        else
            assert_int_equal(tq_emit_keys_i64(&all.emitter, &slice, 1, i), TQ_OK);
        assert_true(all.emitter.table.arena.used < 2 << 20);
    }
    finish(&all);
    assert_true(all.rows.n >= 4000 && all.rows.n <= 5000);
    world_close(&all);
}

/* "data may be anything when size is 0": keys and values without a byte, wherever they point. */
static void test_empty_keys_and_values(void **state)
{
    const tq_slice nothing = {NULL, 0};
    world all;

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, PLENTY);
    assert_int_equal(tq_emit_i64(&all.emitter, nothing, 5), TQ_OK);
    assert_int_equal(tq_emit_keys_i64(&all.emitter, (tq_slice[]){{"x", 0}, {NULL, 0}}, 2, 1), TQ_OK);
    assert_int_equal(tq_emit_keys_i64(&all.emitter, NULL, 0, 1), TQ_OK);
    finish(&all);
    assert_in_range(all.rows.n, 1, 3); /* the front may leave them to the reducer */
    assert_int_equal(sum_of(&all, nothing), 7);
    world_close(&all);
    world_open(&all, TQ_COMBINE_NONE, TQ_BYTES, SOME);
    assert_int_equal(tq_emit(&all.emitter, nothing, nothing), TQ_OK);
    assert_int_equal(tq_emit(&all.emitter, slice_of("key"), nothing), TQ_OK);
    assert_int_equal(tq_emit(&all.emitter, nothing, slice_of("a value")), TQ_OK);
    finish(&all);
    assert_int_equal(all.rows.n, 3);
    world_close(&all);
}

static void test_bytes(void **state)
{
    world all;

    (void)state;
    world_open(&all, TQ_COMBINE_NONE, TQ_BYTES, SOME);
    for (int i = 0; i < 100; i++) {
        char key[16], value[120];
        tq_slice k = {key, (size_t)sprintf(key, "%d", i)};
        memset(value, i, sizeof value);
        assert_int_equal(tq_emit(&all.emitter, k, (tq_slice){value, (size_t)i}), TQ_OK);
    }
    finish(&all);
    assert_int_equal(all.rows.n, 100);
    for (size_t i = 0; i < 100; i++) {
        char value[120];
        int number = atoi(tqi_entry_key(&all.rows.entries[i]).data);
        memset(value, number, sizeof value);
        assert_true(
            slice_equal(tqi_entry_value(&all.spec.shape, &all.rows.entries[i]), (tq_slice){value, (size_t)number}));
    }
    world_close(&all);
}

/* ---- What fails ---- */

static void assert_failed(const world *all, tq_status status, uint64_t offset, const char *said)
{
    const tq_error *error = &all->emitter.error;

    assert_int_equal(all->emitter.status, status);
    assert_int_equal(error->status, status);
    assert_string_equal(error->file, "input");
    assert_true(error->has_offset);
    assert_int_equal(error->offset, offset);
    assert_non_null(strstr(error->message, said));
}

/* The offset is that of the failing record in the file, and the failure stays. */
static void check_offset(tq_records records, const char *text, const char *fail_at, uint64_t offset)
{
    world all;

    world_open(&all, TQ_SUM, TQ_I64, PLENTY);
    all.spec.records = records;
    all.spec.map = count_record;
    all.fail_at = fail_at;
    assert_int_equal(map_text(&all, text, strlen(text)), TQ_E_USER);
    assert_failed(&all, TQ_E_USER, offset, "the mapper returned 42");
    uint64_t called = all.called;
    assert_int_equal(map_text(&all, text, strlen(text)), TQ_E_USER);
    assert_int_equal(all.called, called);
    assert_int_equal(tqi_emitter_finish(&all.emitter), TQ_E_USER);
    assert_int_equal(tq_emit_i64(&all.emitter, slice_of("k"), 1), TQ_E_USER);
    assert_int_equal(all.runs, 0);
    world_close(&all);
}

static void test_offsets(void **state)
{
    (void)state;
    check_offset(TQ_LINES, "bad\ngood\n", "bad", 1000);
    check_offset(TQ_LINES, "good\nbad\ngood\n", "bad", 1005);
    check_offset(TQ_LINES, "good\n\n\nbad", "bad", 1007);
    check_offset(TQ_LINES, "good\n\n\nbad", "", 1005);
    check_offset(TQ_WORDS, "bad good", "bad", 1000);
    check_offset(TQ_WORDS, "  good \n\n bad", "bad", 1010);
    char text[1000];
    memset(text, ' ', sizeof text - 1);
    for (size_t i = 0; i < 700; i += 2)
        text[i] = 'g';
    strcpy(text + 900, "bad");
    check_offset(TQ_WORDS, text, "bad", 1900);
}

static int fail_with_reason(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    return record->size == 3 ? tq_emit_fail(emitter, "cannot read '%.*s', %d", 3, record->data, 5) : 0;
}

static int fail_chunk(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)record;
    (void)user;
    return tq_emit_fail(emitter, "the chunk is odd");
}

static void test_emit_fail(void **state)
{
    world all;

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, PLENTY);
    all.spec.map = fail_with_reason;
    assert_int_equal(map_text(&all, "four\nbad\n", 9), TQ_E_USER);
    assert_failed(&all, TQ_E_USER, 1005, "cannot read 'bad', 5");
    world_close(&all);
    world_open(&all, TQ_SUM, TQ_I64, PLENTY);
    all.spec.map_chunk = fail_chunk;
    assert_int_equal(map_text(&all, "four\nbad\n", 9), TQ_E_USER);
    assert_failed(&all, TQ_E_USER, 1000, "the chunk is odd");
    world_close(&all);
}

static int emit_wrong_type(const tq_record *record, tq_emitter *emitter, void *user)
{
    const world *all = user;
    tq_slice key = {record->data, record->size};

    if (record->size != 3)
        return 0;
    if (all->spec.shape.type == TQ_I64)
        assert_int_equal(tq_emit(emitter, key, key), TQ_E_USER);
    else if (all->spec.shape.type == TQ_FIXED)
        assert_int_equal(tq_emit(emitter, key, key), TQ_E_USER); /* 3 bytes instead of 4 */
    else if (record->data[0] == 'a')
        assert_int_equal(tq_emit_i64(emitter, key, 1), TQ_E_USER);
    else
        assert_int_equal(tq_emit_keys_i64(emitter, &key, 1, 1), TQ_E_USER);
    return 0; /* the failure counts all the same */
}

static void test_wrong_types(void **state)
{
    static const struct {
        int type;
        const char *text, *said;
    } cases[] = {{TQ_I64, "x\nabc\n", "tq_emit_i64"},
                 {TQ_FIXED, "x\nabc\n", "size"},
                 {TQ_BYTES, "x\nabc\n", "not TQ_I64"},
                 {TQ_BYTES, "x\nbcd\n", "not TQ_I64"}};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        world all;
        world_open(&all, TQ_COMBINE_NONE, cases[i].type, SOME);
        all.spec.map = emit_wrong_type;
        assert_int_equal(map_text(&all, cases[i].text, strlen(cases[i].text)), TQ_E_USER);
        assert_failed(&all, TQ_E_USER, 1002, cases[i].said);
        world_close(&all);
    }
}

static void test_too_large(void **state)
{
    const tq_slice huge = {"never read", TQI_KEY_MAX + 1};
    world all;

    (void)state;
    for (int way = 0; way < 4; way++) {
        world_open(&all, TQ_COMBINE_NONE, way < 2 ? TQ_I64 : TQ_BYTES, SOME);
        if (way == 0)
            assert_int_equal(tq_emit_i64(&all.emitter, huge, 1), TQ_E_USER);
        else if (way == 1)
            assert_int_equal(tq_emit_keys_i64(&all.emitter, &huge, 1, 1), TQ_E_USER);
        else
            assert_int_equal(tq_emit(&all.emitter, way == 2 ? huge : slice_of("k"), way == 3 ? huge : slice_of("v")),
                             TQ_E_USER);
        assert_non_null(strstr(all.emitter.error.message, "1 GiB"));
        world_close(&all);
    }
}

static int refuse(tq_slice key, void *into, const void *value, void *user)
{
    (void)key;
    (void)into;
    (void)value;
    (void)user;
    return 17;
}

static void test_combiner_that_fails(void **state)
{
    (void)state;
    for (int in_chunks = 0; in_chunks < 2; in_chunks++) {
        world all;
        world_open(&all, TQ_COMBINE_USER, TQ_I64, PLENTY);
        all.spec.combine_fn = refuse;
        all.spec.records = TQ_WORDS;
        all.spec.map = count_record;
        all.spec.map_chunk = in_chunks ? count_chunk : NULL;
        assert_int_equal(map_text(&all, "a b a c", 7), TQ_E_USER);
        assert_failed(&all, TQ_E_USER, in_chunks ? 1000 : 1004, "the combiner returned 17");
        world_close(&all);
    }
}

/* Without early combining it fails when bins are combined: then too it is said. */
static void test_combiner_that_fails_late(void **state)
{
    (void)state;
    for (int last = 0; last < 2; last++) {
        world all = {.budget = {.limit = 1}};
        tq_status status = TQ_OK;
        all.spec = spec_of(TQ_COMBINE_USER, TQ_I64, 0, 5, &all.budget);
        all.spec.own_partitions = 0;
        all.spec.combine_fn = refuse;
        tqi_pool_init(&all.pool, &all.budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
        all.spec.pool = &all.pool;
        all.spec.worker_bytes = last ? PLENTY : SOME;
        tqi_rows_init(&all.rows, NULL);
        assert_int_equal(tqi_emitter_init(&all.emitter, &all.spec, 3, deliver, &all, &all.stop, 1), TQ_OK);
        all.budget.limit = 0;
        for (int i = 0; i < 100000 && !status; i++)
            status = tq_emit_i64(&all.emitter, slice_of(i % 2 ? "a" : "b"), i);
        assert_int_equal(status, last ? TQ_OK : TQ_E_USER);
        assert_int_equal(tqi_emitter_finish(&all.emitter), TQ_E_USER);
        assert_int_equal(all.emitter.error.status, TQ_E_USER);
        assert_non_null(strstr(all.emitter.error.message, "the combiner returned 17"));
        assert_int_equal(all.runs, 0);
        world_close(&all);
    }
}

/* The job ends while bins are full: nothing is delivered any more. */
static void test_cancelled_with_full_bins(void **state)
{
    world all;

    (void)state;
    world_open(&all, TQ_COMBINE_NONE, TQ_I64, PLENTY);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(tq_emit_i64(&all.emitter, slice_of("key"), i), TQ_OK);
    atomic_store(&all.stop, true);
    assert_int_equal(tqi_emitter_finish(&all.emitter), TQ_E_CANCELLED);
    assert_int_equal(all.runs, 0);
    world_close(&all);
}

static void test_cancelled(void **state)
{
    world all;

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, TIGHT);
    all.spec.records = TQ_WORDS;
    all.spec.map = count_record;
    atomic_store(&all.stop, true);
    assert_int_equal(map_text(&all, "a b c d e f", 11), TQ_E_CANCELLED);
    assert_int_equal(all.emitter.error.status, TQ_E_CANCELLED);
    assert_int_equal(all.runs, 0);
    assert_int_equal(tqi_emitter_finish(&all.emitter), TQ_E_CANCELLED);
    world_close(&all);
}

/* The job ends while sums wait: the end of the text says so. */
static int cancel_after(const tq_record *record, tq_emitter *emitter, void *user)
{
    world *all = user;

    (void)tq_emit_i64(emitter, (tq_slice){record->data, 1}, 1);
    atomic_store(&all->stop, true);
    return 0;
}

static void test_cancelled_while_sums_wait(void **state)
{
    world all;

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, PLENTY);
    all.spec.map_chunk = cancel_after;
    assert_int_equal(map_text(&all, "a b c", 5), TQ_E_CANCELLED);
    assert_int_equal(all.emitter.emitted.records, 0);
    world_close(&all);
}

/* However small the budget, a worker gets on: what cannot wait is given anyway, and what it cannot keep it hands on. */
static void check_budget(tq_combine combine, uint64_t limit)
{
    world all = {.budget = {.limit = limit}};
    char text[16000], *at = text;

    all.spec = spec_of(combine, TQ_I64, 0, 5, &all.budget);
    tqi_pool_init(&all.pool, &all.budget, TQI_SMALLEST_BLOCK_BYTES, TQI_BLOCKS_PER_SLAB * TQI_SMALLEST_BLOCK_BYTES);
    all.spec.pool = &all.pool;
    all.spec.worker_bytes = limit;
    all.spec.user = &all;
    all.spec.records = TQ_WORDS;
    all.spec.map_chunk = count_chunk;
    tqi_rows_init(&all.rows, NULL);
    for (int i = 0; i < 300; i++)
        at += sprintf(at, i % 3 ? "%d " : "a-word-that-is-too-long-for-an-entry-%d ", i);
    tq_status status = tqi_emitter_init(&all.emitter, &all.spec, 3, deliver, &all, &all.stop, 20000);
    for (int round = 0; round < 20 && !status; round++)
        status = map_text(&all, text, (size_t)(at - text));
    assert_int_equal(status, TQ_OK);
    finish(&all);
    assert_true(all.rows.n >= 300 && all.rows.n <= 6000);
    world_close(&all);
}

static void test_budgets(void **state)
{
    (void)state;
    for (uint64_t limit = 100; limit < 2000000; limit += limit / 4) {
        check_budget(TQ_SUM, limit);
        check_budget(TQ_MIN, limit);
        check_budget(TQ_COMBINE_NONE, limit);
    }
}

/* A record for which there is no memory at all is named by its size. */
static void test_huge_record(void **state)
{
    world all;
    char *key = calloc(1, 4 << 20);

    (void)state;
    assert_non_null(key);
    for (int way = 0; way < 3; way++) {
        world_open(&all, way == 0 ? TQ_SUM : way == 1 ? TQ_MAX : TQ_COMBINE_NONE, TQ_I64, SOME);
        all.budget.limit = all.budget.used + (2 << 20);
        assert_int_equal(tq_emit_i64(&all.emitter, slice_of("k"), 1), TQ_OK);
        assert_int_equal(tq_emit_i64(&all.emitter, (tq_slice){key, 4 << 20}, 1), TQ_E_MEMORY);
        assert_non_null(strstr(all.emitter.error.message, "4194304 bytes"));
        assert_non_null(strstr(all.emitter.error.message, "--memory"));
        world_close(&all);
        world_open(&all, way == 0 ? TQ_SUM : way == 1 ? TQ_MAX : TQ_COMBINE_NONE, TQ_I64, SOME);
        for (int i = 0; i < 3; i++)
            assert_int_equal(tq_emit_i64(&all.emitter, (tq_slice){key, 4 << 20}, 1), TQ_OK);
        finish(&all);
        world_close(&all);
    }
    free(key);
}

/* Counts a record, and another one that the job does not have at the record fail_at. */
static int count_in_counters(const tq_record *record, tq_emitter *emitter, void *user)
{
    world *all = user;
    bool fails = all->fail_at && slice_equal((tq_slice){record->data, record->size}, slice_of(all->fail_at));

    tq_emit_count(emitter, 1, (int64_t)record->size);
    return fails ? (int)tq_emit_count(emitter, 2, 1) : (int)tq_emit_count(emitter, 0, -1);
}

static void test_counters(void **state)
{
    static const char text[] = "one\ntwo\nthree\nfour";
    world all;

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, PLENTY);
    all.spec.map = count_in_counters;
    all.spec.n_counters = 2;
    assert_int_equal(map_text(&all, text, sizeof text - 1), TQ_OK);
    assert_int_equal((int64_t)all.emitter.counts[0], -4);
    assert_int_equal(all.emitter.counts[1], 15);
    all.fail_at = "three";
    assert_int_equal(map_text(&all, text, sizeof text - 1), TQ_E_USER);
    assert_int_equal((int64_t)all.emitter.counts[0], -6);
    assert_non_null(strstr(all.emitter.error.message, "a counter that the job does not have"));
    assert_int_equal(all.emitter.error.offset, 1008);
    world_close(&all);
}

static int count_if_in_side(const tq_record *record, tq_emitter *emitter, void *user)
{
    tq_slice side = tq_emitter_side(emitter);

    (void)user;
    return (int)tq_emit_count(emitter, 0, memmem(side.data, side.size, record->data, record->size) != NULL);
}

static void test_side(void **state)
{
    static const char text[] = "one\ntwo\nthree\nfour";
    world all;

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, PLENTY);
    all.spec.map = count_if_in_side;
    all.spec.n_counters = 1;
    all.spec.side = slice_of("three or one");
    assert_int_equal(map_text(&all, text, sizeof text - 1), TQ_OK);
    assert_int_equal(all.emitter.counts[0], 2);
    world_close(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_words_sum_up),
        cmocka_unit_test(test_hot_words),
        cmocka_unit_test(test_compaction_keeps),
        cmocka_unit_test(test_compaction_delivers),
        cmocka_unit_test(test_placed), cmocka_unit_test(test_last_compaction),
        cmocka_unit_test(test_early_arena_bound),
        cmocka_unit_test(test_empty_keys_and_values),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_emit_fail),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_side),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_combiner_that_fails),
        cmocka_unit_test(test_combiner_that_fails_late),
        cmocka_unit_test(test_cancelled_with_full_bins),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_cancelled_while_sums_wait),
        cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_huge_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
