/* Emitters: what a mapper emits arrives in the runs that are delivered, and what fails says where. */
#include "node/emitter.h"

#include "common/account.h"
#include "node/rows.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

/* All that one emitter delivers: the records of its runs. */
typedef struct world {
    tqi_budget budget;
    tqi_spec spec;
    atomic_bool stop;
    tqi_rows rows;
    uint64_t runs;
    tq_emitter emitter;
    /* What the mapper does. */
    uint64_t called;
    const char *fail_at;
} world;

static void deliver(void *owner, tqi_run *run)
{
    world *all = owner;

    assert_true(run->records > 0);
    all->runs++;
    for (const uint8_t *at = run->data, *end = at + run->bytes; at < end;) {
        tqi_page_header header = tqi_page_read_header(at);
        assert_null(tqi_page_validate(at, (size_t)(end - at)));
        assert_int_equal(tqi_rows_append_page(&all->rows, &all->spec.shape, at), TQ_OK);
        at += TQI_PAGE_HEADER + header.payload;
    }
    tqi_run_free(&all->spec, run);
}

static void world_open(world *all, tq_combine combine, int type, size_t most_entries)
{
    memset(all, 0, sizeof *all);
    all->spec = spec_of(combine, type, 4, 5, &all->budget);
    all->spec.user = all;
    tqi_rows_init(&all->rows, NULL);
    assert_int_equal(tqi_emitter_init(&all->emitter, &all->spec, 3, deliver, all, &all->stop, most_entries), TQ_OK);
}

static void world_close(world *all)
{
    tqi_emitter_free(&all->emitter);
    tqi_rows_free(&all->rows);
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
    assert_int_equal(all->emitter.emitted.records, delivered.records + all->emitter.table.merged);
    if (all->spec.combine == TQ_SUM || all->spec.combine == TQ_COMBINE_NONE) {
        assert_int_equal(all->emitter.emitted.weight, delivered.weight);
        assert_int_equal(all->emitter.emitted.check, delivered.check);
    }
    uint64_t runs = all->runs;
    assert_int_equal(tqi_emitter_finish(&all->emitter), TQ_OK); /* nothing is left */
    assert_int_equal(tqi_emitter_flush(&all->emitter), TQ_OK);
    assert_int_equal(all->runs, runs);
}

/* Map text as a chunk of file "input" that begins at byte 1000; behind it is the promised slack, full of dirt. */
static tq_status map_text(world *all, const char *text, size_t size)
{
    char *padded = malloc(size + TQI_KEY_SLACK);

    assert_non_null(padded);
    memcpy(padded, text, size);
    memset(padded + size, 0xee, TQI_KEY_SLACK);
    tq_record chunk = {padded, size, "input", 1000};
    tq_status status = tqi_emitter_map(&all->emitter, &chunk);
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
    world_open(&all, TQ_SUM, TQ_I64, 100);
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
    world_open(&all, TQ_SUM, TQ_I64, 100);
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

/* Words of all lengths, one at a time and in batches, with tables of all sizes: nothing is lost or counted twice. */
static void check_flushes(tq_combine combine, bool in_chunks, size_t most_entries)
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
    world_open(&all, combine, TQ_I64, most_entries);
    all.spec.records = TQ_WORDS;
    all.spec.map = count_record;
    all.spec.map_chunk = in_chunks ? count_chunk : NULL;
    for (int round = 0; round < 2; round++)
        assert_int_equal(map_text(&all, text, (size_t)(at - text)), TQ_OK);
    finish(&all);
    assert_int_equal(all.called, in_chunks ? 2 : 2 * WORDS);
    assert_int_equal(all.emitter.emitted.records, 2 * WORDS);
    assert_true(most_entries < DIFFERENT ? all.runs > 1 : combine == TQ_COMBINE_NONE || all.runs == 1);
    for (int i = 0; i < DIFFERENT && combine != TQ_MAX; i++)
        assert_int_equal(sum_of(&all, slice_of(names[i])), 2 * expected[i]);
    world_close(&all);
    free(text);
}

static void test_flushes_sum_up(void **state)
{
    static const size_t sizes[] = {1, 2, 31, 32, 33, 59, 1000, 100000};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int in_chunks = 0; in_chunks < 2; in_chunks++) {
            check_flushes(TQ_SUM, in_chunks, sizes[i]);
            check_flushes(TQ_COMBINE_NONE, in_chunks, sizes[i]);
            check_flushes(TQ_MAX, in_chunks, sizes[i]);
        }
    }
}

/* Words as a text has them, few of them very often: the hot ones are counted in the front, with values of either sign,
 * one by one or in batches, with flushes in between. In the end each key has its sum. */
static void check_hot_words(size_t most_entries, uint64_t limit)
{
    enum { EMITS = 24000, DIFFERENT = 400, AT_ONCE = 300 };
    world all;
    int64_t *expected = calloc(DIFFERENT, sizeof *expected);
    uint64_t random = 152;

    assert_non_null(expected);
    world_open(&all, TQ_SUM, TQ_I64, most_entries);
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
    check_hot_words(1, 0);
    check_hot_words(10, 0);
    check_hot_words(500, 0);
    check_hot_words(100000, 0);
    check_hot_words(100000, 100000);
}

/* Long keys fill the arena before the table is full: it is flushed early. */
static void test_arena_bound(void **state)
{
    world all;
    char key[1000];

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, 1000); /* 32 000 bytes of keys */
    memset(key, 'k', sizeof key);
    for (int i = 0; i < 200; i++) {
        sprintf(key, "%04d", i);
        key[4] = 'k';
        tq_slice slice = {key, sizeof key};
        if (i % 2)
            assert_int_equal(tq_emit_i64(&all.emitter, slice, i), TQ_OK);
        else
            assert_int_equal(tq_emit_keys_i64(&all.emitter, &slice, 1, i), TQ_OK);
    }
    assert_true(all.runs >= 5);
    finish(&all);
    assert_int_equal(all.rows.n, 200);
    world_close(&all);
}

/* "data may be anything when size is 0": keys and values without a byte, wherever they point. */
static void test_empty_keys_and_values(void **state)
{
    const tq_slice nothing = {NULL, 0};
    world all;

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, 10);
    assert_int_equal(tq_emit_i64(&all.emitter, nothing, 5), TQ_OK);
    assert_int_equal(tq_emit_keys_i64(&all.emitter, (tq_slice[]){{"x", 0}, {NULL, 0}}, 2, 1), TQ_OK);
    assert_int_equal(tq_emit_keys_i64(&all.emitter, NULL, 0, 1), TQ_OK);
    finish(&all);
    assert_int_equal(all.rows.n, 1);
    assert_int_equal(sum_of(&all, nothing), 7);
    world_close(&all);
    world_open(&all, TQ_COMBINE_NONE, TQ_BYTES, 10);
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
    world_open(&all, TQ_COMBINE_NONE, TQ_BYTES, 7);
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
        assert_true(slice_equal(tqi_entry_value(&all.spec.shape, &all.rows.entries[i]),
                                (tq_slice){value, (size_t)number}));
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

    world_open(&all, TQ_SUM, TQ_I64, 10);
    all.spec.records = records;
    all.spec.map = count_record;
    all.fail_at = fail_at;
    assert_int_equal(map_text(&all, text, strlen(text)), TQ_E_USER);
    assert_failed(&all, TQ_E_USER, offset, "the mapper returned 42");
    uint64_t called = all.called;
    assert_int_equal(map_text(&all, text, strlen(text)), TQ_E_USER);
    assert_int_equal(all.called, called);
    assert_int_equal(tqi_emitter_flush(&all.emitter), TQ_E_USER);
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
    world_open(&all, TQ_SUM, TQ_I64, 10);
    all.spec.map = fail_with_reason;
    assert_int_equal(map_text(&all, "four\nbad\n", 9), TQ_E_USER);
    assert_failed(&all, TQ_E_USER, 1005, "cannot read 'bad', 5");
    world_close(&all);
    world_open(&all, TQ_SUM, TQ_I64, 10);
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
        world_open(&all, TQ_COMBINE_NONE, cases[i].type, 10);
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
        world_open(&all, TQ_COMBINE_NONE, way < 2 ? TQ_I64 : TQ_BYTES, 10);
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
        world_open(&all, TQ_COMBINE_USER, TQ_I64, 10);
        all.spec.combine_fn = refuse;
        all.spec.records = TQ_WORDS;
        all.spec.map = count_record;
        all.spec.map_chunk = in_chunks ? count_chunk : NULL;
        assert_int_equal(map_text(&all, "a b a c", 7), TQ_E_USER);
        assert_failed(&all, TQ_E_USER, in_chunks ? 1000 : 1004, "the combiner returned 17");
        world_close(&all);
    }
}

static void test_cancelled(void **state)
{
    world all;

    (void)state;
    world_open(&all, TQ_SUM, TQ_I64, 2);
    all.spec.records = TQ_WORDS;
    all.spec.map = count_record;
    atomic_store(&all.stop, true);
    assert_int_equal(map_text(&all, "a b c d e f", 11), TQ_E_CANCELLED);
    assert_int_equal(all.emitter.error.status, TQ_E_CANCELLED);
    assert_int_equal(all.runs, 0);
    assert_int_equal(tqi_emitter_flush(&all.emitter), TQ_E_CANCELLED);
    assert_int_equal(tqi_emitter_finish(&all.emitter), TQ_E_CANCELLED);
    world_close(&all);
}

/* However small the budget, a worker gets on: its first memory is given anyway, and what it cannot grow it flushes. */
static void test_budgets(void **state)
{
    (void)state;
    for (uint64_t limit = 100; limit < 2000000; limit += limit / 4) {
        world all = {.budget = {.limit = limit}};
        char text[16000], *at = text;
        all.spec = spec_of(TQ_SUM, TQ_I64, 0, 5, &all.budget);
        all.spec.user = &all;
        all.spec.records = TQ_WORDS;
        all.spec.map_chunk = count_chunk;
        tqi_rows_init(&all.rows, NULL);
        for (int i = 0; i < 300; i++)
            at += sprintf(at, i % 3 ? "%d " : "a-word-that-is-too-long-for-an-entry-%d ", i);
        tq_status status = tqi_emitter_init(&all.emitter, &all.spec, 3, deliver, &all, &all.stop, 200);
        if (!status)
            status = map_text(&all, text, (size_t)(at - text));
        if (!status)
            status = tqi_emitter_finish(&all.emitter);
        assert_int_equal(status, TQ_OK);
        finish(&all);
        assert_int_equal(all.rows.n, 300);
        world_close(&all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_flushes_sum_up),
        cmocka_unit_test(test_hot_words),
        cmocka_unit_test(test_arena_bound),
        cmocka_unit_test(test_empty_keys_and_values),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_emit_fail),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_combiner_that_fails),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_budgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
