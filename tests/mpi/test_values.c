/* Values other than sums, and reducers: TQ_MIN, TQ_MAX, combiners of the job's own, values that are not combined; rows
 * of other keys; records as lines, words and chunks; and that the result never depends on how the input was cut. */
#include "words.h"

enum { LINES = 700, KEYS = 41 };

/* What a line says: a key and a number. The text is made of them, and what is expected is computed from them. */
struct line {
    int key;
    int64_t number;
};

static struct line lines[LINES]; /* written by the main thread before there are jobs */

static char *make_lines(size_t *size)
{
    uint64_t state = 4711;
    char *text = malloc((size_t)LINES * 48), *at = text;

    CHECK(text);
    for (int i = 0; i < LINES; i++) {
        lines[i].key = (int)(next_random(&state) % KEYS);
        lines[i].number = (int64_t)next_random(&state) / (i % 3 ? 1 : (int64_t)1 << 55);
        at += sprintf(at, "key-%02d %" PRId64 "\n", lines[i].key, lines[i].number);
    }
    *size = (size_t)(at - text);
    return text;
}

/* Cut "KEY NUMBER". */
static int parse(const tq_record *record, tq_slice *key, int64_t *number)
{
    const char *space = memchr(record->data, ' ', record->size);
    char digits[32];

    if (!space || record->data + record->size - space > 30)
        return 1;
    *key = (tq_slice){record->data, (size_t)(space - record->data)};
    size_t n = record->size - key->size - 1;
    memcpy(digits, space + 1, n);
    digits[n] = '\0';
    *number = strtoll(digits, NULL, 10);
    return 0;
}

static int map_number(const tq_record *line, tq_emitter *emitter, void *user)
{
    tq_slice key;
    int64_t number;

    (void)user;
    return parse(line, &key, &number) ? tq_emit_fail(emitter, "no line: '%.*s'", (int)line->size, line->data)
                                      : (int)tq_emit_i64(emitter, key, number);
}

static tq_job job_of(const char *const *input)
{
    tq_job job = TQ_JOB_INIT;

    job.inputs = input;
    job.n_inputs = 1;
    job.records = TQ_LINES;
    job.map = map_number;
    job.output = TQ_OUTPUT_GATHER;
    job.split_bytes = 100;
    return job;
}

static int key_number(tq_slice key)
{
    CHECK_THAT(key.size == 6 && memcmp(key.data, "key-", 4) == 0, "a key is '%.*s'", (int)key.size, key.data);
    return atoi((char[]){key.data[4], key.data[5], '\0'});
}

/* ---- TQ_MIN, TQ_MAX and a combiner of the job's own on numbers ---- */

static int combine_xor(tq_slice key, void *into, const void *value, void *user)
{
    int64_t a, b;

    (void)key;
    (void)user;
    memcpy(&a, into, sizeof a);
    memcpy(&b, value, sizeof b);
    a ^= b;
    memcpy(into, &a, sizeof a);
    return 0;
}

static int64_t combined(tq_combine combine, int key)
{
    int64_t result = 0;
    bool some = false;

    for (int i = 0; i < LINES; i++) {
        int64_t number = lines[i].number;

        if (lines[i].key != key)
            continue;
        if (!some)
            result = number;
        else if (combine == TQ_MIN)
            result = number < result ? number : result;
        else if (combine == TQ_MAX)
            result = number > result ? number : result;
        else if (combine == TQ_SUM)
            result = (int64_t)((uint64_t)result + (uint64_t)number);
        else
            result ^= number;
        some = true;
    }
    return result;
}

static void test_numbers(const struct trial *trial, const char *const *input)
{
    for (int combine = TQ_SUM; combine <= TQ_COMBINE_USER; combine++) {
        tq_job job = job_of(input);

        job.combine = (tq_combine)combine;
        if (combine == TQ_COMBINE_USER)
            job.combine_fn = combine_xor;
        tq_future *future = run_well(trial, &job);
        word_rows rows = kept_rows(future);
        CHECK(rows.n == (trial->rank == 0 ? KEYS : 0));
        for (size_t i = 0; i < rows.n; i++) {
            int key = key_number((tq_slice){rows.rows[i].data, rows.rows[i].size});

            CHECK(key == (int)i);
            CHECK_THAT(rows.rows[i].value == combined((tq_combine)combine, key), "combine %d of key %d is %" PRId64,
                       combine, key, rows.rows[i].value);
        }
        free(rows.rows);
        tq_future_release(future);
    }
}

/* ---- TQ_FIXED ---- */

/* A value of 9 bytes, so that it is aligned nowhere: the sum of the numbers' last bytes, and how many there were. */
enum { FIXED = 9 };

static int map_fixed(const tq_record *line, tq_emitter *emitter, void *user)
{
    unsigned char value[FIXED] = {0};
    tq_slice key;
    int64_t number;

    (void)user;
    if (parse(line, &key, &number))
        return 1;
    value[0] = (unsigned char)number;
    value[FIXED - 1] = 1;
    return tq_emit(emitter, key, (tq_slice){(const char *)value, sizeof value}) != TQ_OK;
}

static int combine_fixed(tq_slice key, void *into, const void *value, void *user)
{
    unsigned char *a = into;
    const unsigned char *b = value;

    (void)user;
    key_number(key);
    for (int i = 0; i < FIXED; i++)
        a[i] = (unsigned char)(a[i] + b[i]);
    return 0;
}

static void test_fixed(const struct trial *trial, const char *const *input)
{
    tq_job job = job_of(input);
    tq_row row;

    job.map = map_fixed;
    job.value_type = TQ_FIXED;
    job.value_bytes = FIXED;
    job.combine = TQ_COMBINE_USER;
    job.combine_fn = combine_fixed;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (trial->rank == 0 ? KEYS : 0));
    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        unsigned char expected[FIXED] = {0};

        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        for (int l = 0; l < LINES; l++) {
            if (lines[l].key != key_number(row.key))
                continue;
            expected[0] = (unsigned char)(expected[0] + (unsigned char)lines[l].number);
            expected[FIXED - 1]++;
        }
        CHECK(row.value.size == FIXED && memcmp(row.value.data, expected, FIXED) == 0);
    }
    tq_future_release(future);
}

/* ---- TQ_BYTES, not combined ---- */

/* The offset of the line, as text: an inverted index. */
static int map_offset(const tq_record *line, tq_emitter *emitter, void *user)
{
    char value[32];
    tq_slice key;
    int64_t number;

    (void)user;
    if (parse(line, &key, &number))
        return 1;
    int size = snprintf(value, sizeof value, "%" PRIu64, line->offset);
    return tq_emit(emitter, key, (tq_slice){value, (size_t)size}) != TQ_OK;
}

/* All values joined by commas; they must come in order, and as many as were promised. */
static int join(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    char joined[LINES * 8];
    size_t size = 0;
    uint64_t n = 0;
    tq_slice value, before = {NULL, 0};

    (void)user;
    for (; tq_values_next(values, &value); n++) {
        word_row one = {before.data, before.size, 0}, other = {value.data, value.size, 0};

        if (n > 0 && compare_keys(&one, &other) > 0)
            return tq_reduce_fail(out, "values are not in order");
        if (n > 0)
            joined[size++] = ',';
        memcpy(joined + size, value.data, value.size);
        size += value.size;
        before = value;
    }
    if (n != tq_values_count(values))
        return tq_reduce_fail(out, "%" PRIu64 " values, not %" PRIu64, n, tq_values_count(values));
    return tq_write_row(out, key, (tq_slice){joined, size}) != TQ_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(a, b);
}

static size_t expected_index(int key, char *joined)
{
    static char offsets[LINES][16]; /* the main thread's */
    size_t n = 0, size = 0;
    uint64_t offset = 0;

    for (int i = 0; i < LINES; i++) {
        if (lines[i].key == key)
            snprintf(offsets[n++], sizeof offsets[0], "%" PRIu64, offset);
        offset += (uint64_t)snprintf(NULL, 0, "key-%02d %" PRId64 "\n", lines[i].key, lines[i].number);
    }
    qsort(offsets, n, sizeof offsets[0], by_bytes);
    for (size_t i = 0; i < n; i++) {
        size_t digits = strlen(offsets[i]);

        if (i > 0)
            joined[size++] = ',';
        memcpy(joined + size, offsets[i], digits);
        size += digits;
    }
    joined[size] = '\0';
    return size;
}

static void test_index(const struct trial *trial, const char *const *input)
{
    tq_job job = job_of(input);
    char expected[LINES * 8 + 1];
    tq_row row;

    job.map = map_offset;
    job.value_type = TQ_BYTES;
    job.combine = TQ_COMBINE_NONE;
    job.reduce = join;
    job.result_type = TQ_BYTES;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (trial->rank == 0 ? KEYS : 0));
    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        CHECK(key_number(row.key) == (int)i);
        size_t size = expected_index((int)i, expected);
        CHECK_THAT(row.value.size == size && memcmp(row.value.data, expected, size) == 0, "key %d: '%.*s', not '%s'",
                   (int)i, (int)row.value.size, row.value.data, expected);
    }
    tq_future_release(future);
}

/* Without a reducer every key comes with every value, ordered by key and then by value. */
static void test_all_pairs(const struct trial *trial, const char *const *input)
{
    tq_job job = job_of(input);
    tq_row row, before = {{NULL, 0}, {NULL, 0}, 0};

    job.map = map_offset;
    job.value_type = TQ_BYTES;
    job.combine = TQ_COMBINE_NONE;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (trial->rank == 0 ? LINES : 0));
    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        word_row one = {before.key.data, before.key.size, 0}, other = {row.key.data, row.key.size, 0};
        int keys = i ? compare_keys(&one, &other) : -1;
        one = (word_row){before.value.data, before.value.size, 0};
        other = (word_row){row.value.data, row.value.size, 0};
        CHECK_THAT(keys < 0 || (keys == 0 && compare_keys(&one, &other) < 0), "row %" PRIu64 " is out of order", i);
        before = row;
    }
    tq_future_release(future);
}

/* ---- Reducers of numbers ---- */

/* The median, which needs the values in order. */
static int median(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    uint64_t n = tq_values_count(values), seen = 0;
    int64_t value, before = INT64_MIN, middle = 0;

    (void)user;
    for (; tq_values_next_i64(values, &value); before = value, seen++) {
        if (value < before)
            return tq_reduce_fail(out, "values are not in order");
        if (seen == n / 2)
            middle = value;
    }
    return seen != n || tq_write_row_i64(out, key, middle) != TQ_OK;
}

static int by_number(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;

    return (one > other) - (one < other);
}

static void test_median(const struct trial *trial, const char *const *input)
{
    tq_job job = job_of(input);
    tq_row row;

    job.combine = TQ_COMBINE_NONE;
    job.reduce = median;
    job.result_type = TQ_I64;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (trial->rank == 0 ? KEYS : 0));
    for (uint64_t i = 0; i < tq_job_rows(future); i++) {
        int64_t numbers[LINES];
        size_t n = 0;

        CHECK_STATUS(tq_job_row(future, i, &row), TQ_OK);
        for (int l = 0; l < LINES; l++)
            if (lines[l].key == (int)i)
                numbers[n++] = lines[l].number;
        qsort(numbers, n, sizeof *numbers, by_number);
        CHECK_THAT(row.i64 == numbers[n / 2], "key %d: %" PRId64 ", not %" PRId64, (int)i, row.i64, numbers[n / 2]);
        CHECK(row.value.size == sizeof row.i64 && memcmp(row.value.data, &row.i64, sizeof row.i64) == 0);
    }
    tq_future_release(future);
}

/* No row for keys that divide by 3; for the others a row of a key of their own, and two of keys that several write. */
static int scatter(tq_slice key, tq_values *values, tq_rows_out *out, void *user)
{
    int number = key_number(key);
    int64_t n = (int64_t)tq_values_count(values);
    char other[16];

    (void)user;
    if (number % 3 == 0)
        return 0;
    int size = snprintf(other, sizeof other, "own-%02d", number);
    if (tq_write_row_i64(out, (tq_slice){other, (size_t)size}, n))
        return 1;
    size = snprintf(other, sizeof other, "shared-%d", number % 2);
    if (tq_write_row_i64(out, (tq_slice){other, (size_t)size}, number))
        return 1;
    return tq_write_row_i64(out, (tq_slice){"", 0}, number) != TQ_OK;
}

static void test_scatter(const struct trial *trial, const char *const *input, tq_order order)
{
    tq_job job = job_of(input);
    word_row expected[3 * KEYS];
    char keys[KEYS][2][16];
    size_t n = 0;

    for (int key = 0; key < KEYS; key++) {
        int64_t count = 0;

        if (key % 3 == 0)
            continue;
        for (int l = 0; l < LINES; l++)
            count += lines[l].key == key;
        size_t size = (size_t)snprintf(keys[key][0], 16, "own-%02d", key);
        expected[n++] = (word_row){keys[key][0], size, count};
        size = (size_t)snprintf(keys[key][1], 16, "shared-%d", key % 2);
        expected[n++] = (word_row){keys[key][1], size, key};
        expected[n++] = (word_row){"", 0, key};
    }
    job.combine = TQ_COMBINE_NONE;
    job.reduce = scatter;
    job.result_type = TQ_I64;
    job.order = order;
    tq_future *future = run_well(trial, &job);
    word_rows rows = kept_rows(future);
    if (trial->rank == 0) {
        /* Several rows have one key: their values ascend, whereas by value the keys do. */
        for (size_t i = 1; i < n; i++)
            for (size_t j = i; j > 0; j--) {
                int keys_order = compare_keys(&expected[j - 1], &expected[j]);
                int64_t a = expected[j - 1].value, b = expected[j].value;
                word_row swap = expected[j];

                if (order == TQ_ORDER_KEY ? keys_order < 0 || (keys_order == 0 && a <= b)
                                          : a > b || (a == b && keys_order <= 0))
                    break;
                expected[j] = expected[j - 1];
                expected[j - 1] = swap;
            }
        check_rows(&rows, expected, n, order == TQ_ORDER_KEY ? "scattered by key" : "scattered by value");
    }
    free(rows.rows);
    tq_future_release(future);
}

/* ---- Records ---- */

/* A digest of the records, whatever their number: key = size and offset of a record, and it must be what the file has
 * there. In chunks the records are found here, by their delimiters. */
static int note_record(const tq_record *record, size_t at, size_t size, tq_emitter *emitter)
{
    char key[64];
    int n = snprintf(key, sizeof key, "%08" PRIu64 "+%zu", record->offset + at, size);

    return tq_emit_i64(emitter, (tq_slice){key, (size_t)n}, 1) != TQ_OK;
}

static int map_record(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    return note_record(record, 0, record->size, emitter);
}

static int map_lines_of_chunk(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    for (size_t at = 0; at < record->size;) {
        const char *end = memchr(record->data + at, '\n', record->size - at);
        size_t size = (end ? (size_t)(end - record->data) : record->size) - at;

        if (note_record(record, at, size, emitter))
            return 1;
        at += size + 1;
    }
    return 0;
}

static int map_words_of_chunk(const tq_record *record, tq_emitter *emitter, void *user)
{
    tq_slice text = {record->data, record->size}, words[5];

    (void)user;
    for (size_t n; (n = tq_next_words(&text, words, 5)) != 0;)
        for (size_t i = 0; i < n; i++)
            if (note_record(record, (size_t)(words[i].data - record->data), words[i].size, emitter))
                return 1;
    return 0;
}

/* The records of a text, one key of note_record a line. */
static char *expected_records(const char *text, size_t size, tq_records records)
{
    char *notes = malloc(40 * size + 1), *to = notes;

    CHECK(notes);
    *to = '\0';
    for (size_t at = 0; at < size;) {
        size_t end = at;

        while (end < size && (records == TQ_LINES ? text[end] != '\n' : !is_gap(text[end])))
            end++;
        if (records == TQ_LINES || end > at)
            to += sprintf(to, "%08zu+%zu\t1\n", at, end - at);
        at = end + 1;
    }
    return notes;
}

static void test_records(struct trial *trial)
{
    static const uint64_t splits[] = {0, 1, 13};
    char path[PATH_SIZE], output[PATH_SIZE];
    size_t size, got_size;
    char *text = make_text(900, 50, 99, &size);
    const char *input = path_of(trial, path, "in/records");

    text[size - 1] = 'x'; /* the last record has no delimiter behind it */
    if (trial->rank == 0)
        write_file(input, text, size);
    for (int records = TQ_LINES; records <= TQ_WORDS; records++)
        for (int i = 0; i < 6; i++) {
            tq_job job = count_words_in(&input);

            job.records = (tq_records)records;
            job.map = i % 2 ? NULL : map_record;
            job.map_chunk = !(i % 2) ? NULL : records == TQ_LINES ? map_lines_of_chunk : map_words_of_chunk;
            job.split_bytes = splits[i / 2];
            job.output = TQ_OUTPUT_FILE;
            job.output_path = path_of(trial, output, "out/records");
            tq_future_release(run_well(trial, &job));
            if (trial->rank != 0)
                continue;
            char *got = read_file(output, &got_size), *expected = expected_records(text, size, (tq_records)records);
            check_text(got, got_size, expected, strlen(expected), records == TQ_LINES ? "lines" : "words");
            free(expected);
            free(got);
        }
    free(text);
}

/* ---- The same bytes, however the input is cut ---- */

static void test_same_bytes(const struct trial *trial, const char *const *input)
{
    static const uint64_t splits[] = {0, 64, 1000, 1u << 20}, rounds[] = {0, 64, 300, 0};
    char path[PATH_SIZE], *first = NULL;
    size_t first_size = 0, size;

    for (int reducing = 0; reducing < 2; reducing++) {
        for (int i = 0; i < 4; i++) {
            tq_job job = job_of(input);

            job.map = map_offset;
            job.value_type = job.result_type = TQ_BYTES;
            job.combine = TQ_COMBINE_NONE;
            job.reduce = reducing ? join : NULL;
            job.order = TQ_ORDER_NONE;
            job.split_bytes = splits[i];
            job.round_bytes = rounds[i];
            job.output = TQ_OUTPUT_FILE;
            job.output_path = path_of(trial, path, "out/same");
            tq_future_release(run_well(trial, &job));
            if (trial->rank != 0)
                continue;
            char *text = read_file(path, &size);
            if (i > 0)
                check_text(text, size, first, first_size, reducing ? "reduced, no order" : "all pairs, no order");
            free(i > 0 ? text : first);
            if (i == 0) {
                first = text;
                first_size = size;
            }
        }
    }
    free(first);
}

int main(int argc, char **argv)
{
    struct trial trial;
    char path[PATH_SIZE];
    const char *input;
    size_t size;

    char *text = make_lines(&size);
    begin_trial(&trial, argc, argv, "values");
    input = path_of(&trial, path, "in/lines");
    if (trial.rank == 0)
        write_file(path, text, size);
    free(text);
    test_numbers(&trial, &input);
    test_fixed(&trial, &input);
    test_index(&trial, &input);
    test_all_pairs(&trial, &input);
    test_median(&trial, &input);
    test_scatter(&trial, &input, TQ_ORDER_KEY);
    test_scatter(&trial, &input, TQ_ORDER_VALUE_DESC);
    test_records(&trial);
    test_same_bytes(&trial, &input);
    return end_trial(&trial);
}
