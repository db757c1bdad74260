/* Knowing compressed streams by their first bytes, and decoding them: member after member, however the bytes come in; what is
 * cut off or damaged is noticed, wherever it is. */
#include "node/expander.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/helpers.h"

static const char TEXT[] = "one two\nthree\n";

/* The text as the tools of the formats compress it. */
static const struct sample {
    tqi_codec codec;
    size_t mark, size; /* mark: so many bytes say what it is */
    const char *bytes;
} samples[] = {
    {TQI_GZIP, 4, 34,
     "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\xcf\x4b\x55\x28\x29\xcf\xe7\x2a\xc9\x28\x4a\x4d\xe5"
     "\x02\x00\xe5\x02\xd5\x41\x0e\x00\x00\x00"},
    {TQI_BZIP2, 10, 53,
     "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x6d\x0e\x9b\xc4\x00\x00\x04\xd1\x80\x00\x10\x40\x00\x02"
     "\x41\x94\x80\x20\x00\x31\x06\x4c\x41\x0d\x18\x9a\x62\x14\x9f\x18\xe0\x8b\xc5\xdc\x91\x4e\x14\x24"
     "\x1b\x43\xa6\xf1\x00"},
    {TQI_XZ, 6, 72,
     "\xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3"
     "\x01\x00\x0d\x6f\x6e\x65\x20\x74\x77\x6f\x0a\x74\x68\x72\x65\x65\x0a\x00\x00\x00\xe7\xa7\x95\x0c"
     "\x7e\x71\xf5\x84\x00\x01\x26\x0e\x08\x1b\xe0\x04\x1f\xb6\xf3\x7d\x01\x00\x00\x00\x00\x04\x59\x5a"},
    {TQI_ZSTD, 4, 27,
     "\x28\xb5\x2f\xfd\x04\x58\x71\x00\x00\x6f\x6e\x65\x20\x74\x77\x6f\x0a\x74\x68\x72\x65\x65\x0a\x2b"
     "\x3a\x6d\xd2"},
    {TQI_LZ4, 4, 33,
     "\x04\x22\x4d\x18\x64\x40\xa7\x0e\x00\x00\x80\x6f\x6e\x65\x20\x74\x77\x6f\x0a\x74\x68\x72\x65\x65"
     "\x0a\x00\x00\x00\x00\x05\xdb\x0c\x30"},
};
enum { SAMPLES = sizeof samples / sizeof samples[0], TEXT_SIZE = sizeof TEXT - 1, ROOM = 1024 };

/* A stream in memory, which gives step bytes at a time. */
typedef struct stream {
    const char *bytes;
    size_t size, step;
} stream;

static tq_status give(void *owner, char *bytes, size_t room, size_t *got, tq_error *error)
{
    stream *from = owner;

    (void)error;
    *got = from->size < from->step ? from->size : from->step;
    *got = *got < room ? *got : room;
    memcpy(bytes, from->bytes, *got);
    from->bytes += *got;
    from->size -= *got;
    return TQ_OK;
}

/* Decode all of it, room bytes at a time. */
static tq_status expand(const char *bytes, size_t size, size_t step, size_t room, char *text, size_t *text_size,
                        tq_error *error)
{
    stream from = {bytes, size, step};
    tqi_budget budget = {0}, decoders = {0};
    tqi_expander expander = {.path = "f", .read = give, .owner = &from, .budget = &budget, .decoders = &decoders};
    tq_status status;
    size_t got;

    *text_size = 0;
    do {
        assert_true(*text_size + room <= ROOM);
        status = tqi_expander_read(&expander, text + *text_size, room, &got, error);
        *text_size += got;
    } while (!status && got > 0);
    if (!status)
        assert_int_equal(tqi_expander_position(&expander), size);
    tqi_expander_free(&expander);
    assert_int_equal(budget.used, 0);
    assert_int_equal(decoders.used, 0);
    return status;
}

static void expect_text(const char *bytes, size_t size, const char *text, size_t text_size)
{
    for (size_t step = 1; step <= size + 1; step = 3 * step + 1) {
        for (size_t room = 1; room < 100; room = 5 * room + 2) {
            char got[ROOM];
            size_t got_size;
            tq_error error;

            assert_int_equal(expand(bytes, size, step, room, got, &got_size, &error), TQ_OK);
            assert_int_equal(got_size, text_size);
            assert_memory_equal(got, text, text_size);
        }
    }
}

static void test_recognizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct sample *sample = &samples[i];

        for (size_t size = 0; size <= sample->size; size++)
            assert_int_equal(tqi_codec_recognize(sample->bytes, size), size < 4 ? TQI_PLAIN : sample->codec);
        for (size_t bit = 0; bit < 8 * sample->mark; bit++) {
            char changed[ROOM];
            bool level = sample->codec == TQI_BZIP2 && bit / 8 == 3; /* or a flag of gzip: */
            bool flag = sample->codec == TQI_GZIP && bit / 8 == 3 && bit % 8 < 5;

            memcpy(changed, sample->bytes, sample->size);
            changed[bit / 8] = (char)(changed[bit / 8] ^ 1 << bit % 8);
            if (!flag && !(level && bit % 8 < 4))
                assert_int_equal(tqi_codec_recognize(changed, sample->size), TQI_PLAIN);
        }
    }
    assert_int_equal(tqi_codec_recognize("BZh9 is not yet one", 19), TQI_PLAIN);
    assert_int_equal(tqi_codec_recognize("one two three four", 18), TQI_PLAIN);
    assert_int_equal(tqi_codec_recognize("\x5f\x2a\x4d\x18", 4), TQI_SKIPPABLE);
}

static void test_passes_through(void **state)
{
    (void)state;
    expect_text(TEXT, TEXT_SIZE, TEXT, TEXT_SIZE);
    expect_text("", 0, "", 0);
    expect_text("\x1f\x8b", 2, "\x1f\x8b", 2);
}

static void test_decodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++)
        if (tqi_codec_built(samples[i].codec))
            expect_text(samples[i].bytes, samples[i].size, TEXT, TEXT_SIZE);
}

/* Members of all formats in a row, with padding, and with a frame that holds nothing. */
static void test_members(void **state)
{
    char bytes[ROOM], text[ROOM];
    size_t size = 0, text_size = 0;

    (void)state;
    memcpy(bytes, "\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
    size = 11;
    for (size_t i = 0; i < SAMPLES; i++) {
        if (!tqi_codec_built(samples[i].codec))
            continue;
        memcpy(bytes + size, samples[i].bytes, samples[i].size);
        memcpy(text + text_size, TEXT, TEXT_SIZE);
        size += samples[i].size, text_size += TEXT_SIZE;
        memset(bytes + size, 0, i);
        size += i;
    }
    expect_text(bytes, size, text, text_size);
    expect_text(bytes, 11, "", 0);
}

static void test_cut_off(void **state)
{
    char text[ROOM];
    size_t text_size;
    tq_error error;

    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct sample *sample = &samples[i];

        for (size_t size = 4; size < sample->size && tqi_codec_built(sample->codec); size++) {
            assert_int_equal(expand(sample->bytes, size, 7, 100, text, &text_size, &error), TQ_E_INPUT);
            assert_string_equal(error.file, "f");
            assert_non_null(strstr(error.message, tqi_codec_name(sample->codec)));
            assert_int_equal(error.offset, size);
        }
    }
    assert_int_equal(expand("\x50\x2a\x4d\x18\x03\0\0\0ab", 10, 7, 100, text, &text_size, &error), TQ_E_INPUT);
    assert_int_equal(expand("\x50\x2a\x4d\x18\x03\0", 6, 7, 100, text, &text_size, &error), TQ_E_INPUT);
}

/* Behind its mark, a changed bit is either an error, or changes nothing of the text (the name of a file in gzip, say). */
static void test_damaged(void **state)
{
    size_t noticed = 0, all = 0;

    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct sample *sample = &samples[i];

        for (size_t bit = 8 * sample->mark; bit < 8 * sample->size && tqi_codec_built(sample->codec); bit++) {
            char changed[ROOM], text[ROOM];
            size_t text_size;
            tq_error error;

            memcpy(changed, sample->bytes, sample->size);
            changed[bit / 8] = (char)(changed[bit / 8] ^ 1 << bit % 8);
            tq_status status = expand(changed, sample->size, 11, 100, text, &text_size, &error);
            if (status) {
                assert_int_equal(status, TQ_E_INPUT);
                noticed++;
            } else {
                assert_int_equal(text_size, TEXT_SIZE);
                assert_memory_equal(text, TEXT, TEXT_SIZE);
            }
            all++;
        }
    }
    assert_true(all == 0 || noticed > all * 9 / 10);
}

static void test_something_else_behind(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        char bytes[ROOM], text[ROOM];
        size_t text_size, size = samples[i].size;
        tq_error error;

        if (!tqi_codec_built(samples[i].codec))
            continue;
        memcpy(bytes, samples[i].bytes, size);
        bytes[size] = 'x';
        assert_int_equal(expand(bytes, size + 1, 1, 100, text, &text_size, &error), TQ_E_INPUT);
        assert_int_equal(error.offset, size);
    }
}

static void test_memory(void **state)
{
    (void)state;
    /* The window, dictionary or block size of each. */
    static const size_t least[] = {32 << 10, 3600000, 8 << 20, 2 << 20, 2 * (64 << 10)};

    for (size_t i = 0; i < SAMPLES; i++) {
        uint64_t memory = tqi_codec_memory(samples[i].codec, samples[i].bytes, samples[i].size);

        assert_in_range(memory, least[i], least[i] + (1 << 20));
    }
    /* A window of 2 GiB. */
    assert_true(tqi_codec_memory(TQI_ZSTD, "\x28\xb5\x2f\xfd\x00\xa8", 6) >= UINT64_C(1) << 31);
}

/* Two streams that share what is enough for one: the second waits, and goes on when the first is through. */
static void test_waits_for_memory(void **state)
{
    const struct sample *xz = &samples[2];
    stream from[] = {{xz->bytes, xz->size, 100}, {xz->bytes, xz->size, 100}};
    tqi_budget budget = {0}, decoders = {.limit = 12 << 20}, small = {.limit = 1 << 20};
    tqi_expander expanders[2];
    char text[ROOM];
    size_t got;
    tq_error error;

    (void)state;
    if (!tqi_codec_built(TQI_XZ))
        skip();
    for (int i = 0; i < 2; i++)
        expanders[i] =
            (tqi_expander){.path = "f", .read = give, .owner = &from[i], .budget = &budget, .decoders = &decoders};
    assert_int_equal(tqi_expander_read(&expanders[0], text, 4, &got, &error), TQ_OK);
    assert_int_equal(tqi_expander_read(&expanders[1], text, 4, &got, &error), TQ_E_AGAIN);
    assert_int_equal(tqi_expander_read(&expanders[0], text + 4, ROOM - 4, &got, &error), TQ_OK);
    assert_int_equal(got, TEXT_SIZE - 4);
    while (got > 0)
        assert_int_equal(tqi_expander_read(&expanders[0], text + TEXT_SIZE, 1, &got, &error), TQ_OK);
    assert_memory_equal(text, TEXT, TEXT_SIZE);
    assert_int_equal(tqi_expander_read(&expanders[1], text, ROOM, &got, &error), TQ_OK);
    assert_int_equal(got, TEXT_SIZE);
    for (int i = 0; i < 2; i++)
        tqi_expander_free(&expanders[i]);
    assert_int_equal(decoders.used, 0);

    stream again = {xz->bytes, xz->size, 100};
    tqi_expander never = {.path = "f", .read = give, .owner = &again, .budget = &budget, .decoders = &small};
    assert_int_equal(tqi_expander_read(&never, text, ROOM, &got, &error), TQ_E_MEMORY);
    assert_non_null(strstr(error.message, "--memory"));
    tqi_expander_free(&never);
    assert_int_equal(budget.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recognizes),
        cmocka_unit_test(test_passes_through),
        cmocka_unit_test(test_decodes),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_something_else_behind),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_waits_for_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
