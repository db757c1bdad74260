/* What a job's own code works with: records in, emitted pairs, combined and reduced values, ordered rows. Part of
 * tequio/tequio.h; needs no MPI. */
#ifndef TEQUIO_MAPREDUCE_H
#define TEQUIO_MAPREDUCE_H

#include <stdbool.h>
#include <tequio/status.h>
#include <tequio/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Job: input and map ------------------------------------------------------------------------------------------ */

/* Where one record ends and the next begins. */
typedef enum tq_records {
    TQ_LINES, /* after each LF; the mapper gets the line without it */
    TQ_WORDS, /* after each of the six ASCII white-space bytes; the mapper gets words, never an empty one */
    TQ_FIXED_RECORDS /* after each record_bytes bytes of a file, whose size must be a multiple of that */
} tq_records;

/* What is done with inputs that are compressed by gzip, bzip2, xz, Zstandard or LZ4. Their first bytes say so, not their
 * names; formats whose library this tequio was built without are known, and an error. */
typedef enum tq_decompress {
    TQ_DECOMPRESS_AUTO, /* they are decoded: records, and the offsets of records, are those of the text. A file that is damaged,
                         * or ends too early, is an error at a byte of the compressed file. So is a text that begins like a
                         * compressed file by chance. */
    TQ_DECOMPRESS_NONE /* they are read as they are */
} tq_decompress;

/* A record (for map) or a row of whole records (for map_chunk). Valid during the call. TQ_SLACK bytes behind data may
 * be read, too, whatever they are. */
#define TQ_SLACK 16
typedef struct tq_record {
    const char *data;
    size_t size;
    const char *file;   /* the path as it was found; "-" for the standard input */
    uint64_t offset;    /* of data in file; if that is compressed, in what it holds */
    size_t file_number; /* of file: 0 for the first of the input, whose order is that of inputs, folders by name */
    size_t files;       /* in the whole input */
    tq_slice header;    /* if the job has headers: the first line of the file, without its end */
} tq_record;

typedef struct tq_emitter tq_emitter;

/* The mapper. Called by this rank's workers, several at a time on different records. Returns 0, or another number to
 * end the job with TQ_E_USER (see tq_emit_fail to give a reason). user is the job's. */
typedef int (*tq_map_fn)(const tq_record *record, tq_emitter *emitter, void *user);

/* A row of a result. The slices are valid during the call that got it, or as long as that says. */
typedef struct tq_row {
    tq_slice key;
    tq_slice value; /* TQ_I64: the eight bytes of i64 */
    int64_t i64;    /* TQ_I64 */
} tq_row;

/* The mapper of a job whose input is the rows of an earlier one (tq_job.rows): as tq_map_fn, but for a row, which is of
 * the earlier job's result type. */
typedef int (*tq_map_row_fn)(const tq_row *row, tq_emitter *emitter, void *user);

/* Emit a key and a value; both are copied. Only from a mapper, with its own emitter. tq_emit_i64 for TQ_I64 values,
 * tq_emit for the other types (value must have value_bytes bytes with TQ_FIXED). Keys hold any bytes, at most 1 GiB.
 * Returns TQ_OK; after any other answer the mapper should return: the job is ending anyway. (What there is no memory for
 * may be noticed a few calls later.) */
TQ_API tq_status tq_emit_i64(tq_emitter *emitter, tq_slice key, int64_t value);
TQ_API tq_status tq_emit(tq_emitter *emitter, tq_slice key, tq_slice value);

/* tq_emit_i64 of the same value for each of n keys: faster than one at a time. */
TQ_API tq_status tq_emit_keys_i64(tq_emitter *emitter, const tq_slice *keys, size_t n, int64_t value);

/* tq_emit_i64 of values[i] for keys[i]: faster than one at a time. */
TQ_API tq_status tq_emit_pairs_i64(tq_emitter *emitter, const tq_slice *keys, const int64_t *values, size_t n);

/* n pairs of a job with TQ_STATS, whose values are values[i] x 10^-decimals, decimals <= TQ_DECIMALS_MAX. Calls may
 * differ in decimals: what comes out is exact. Fastest with values of less than 2^31 units, and with the same decimals
 * each time. */
#define TQ_DECIMALS_MAX 18
TQ_API tq_status tq_emit_pairs_decimal(tq_emitter *emitter, const tq_slice *keys, const int64_t *values, size_t n,
                                       unsigned decimals);

/* Many pairs, back to back: for callers to whom each call is dear, such as programs in other languages. */
typedef struct tq_block {
    size_t n;
    const char *keys;
    const uint32_t *key_sizes; /* of each key */
    const char *values;        /* TQ_I64: n of int64_t; TQ_FIXED: n of value_bytes */
    const uint32_t *value_sizes; /* TQ_BYTES: of each value; not looked at otherwise */
} tq_block;

/* tq_emit, or tq_emit_i64, of each pair in turn, for values of any type. */
TQ_API tq_status tq_emit_block(tq_emitter *emitter, const tq_block *block);

/* Say why the mapper fails: kept as the reason of the error. Returns 1, so that a mapper can return it. */
TQ_API int tq_emit_fail(tq_emitter *emitter, const char *format, ...) TQ_PRINTF(2, 3);

/* Add n to counter number index of those that the job has (tq_job.counters). Each worker adds to a number of its own, so it
 * costs no lock; the sums are known when the job is over: tq_job_counter. TQ_E_USER, which ends the job, for a counter that it
 * does not have. From a mapper, with its own emitter; tq_reduce_count from a reducer. */
#define TQ_MAX_COUNTERS 64
TQ_API tq_status tq_emit_count(tq_emitter *emitter, size_t index, int64_t n);

/* The job's side data (tq_job.side): the bytes that rank 0 gave, here. Nobody changes them while the job runs. The same for a
 * reducer: tq_rows_side. (A combiner gets user alone, in which a mapper may have left where they are.) */
TQ_API tq_slice tq_emitter_side(const tq_emitter *emitter);

/* The calling worker's own array of tq_job.dense numbers, all 0 at first, to which the mapper may add as it likes; the same
 * array in all calls on one worker, and no other worker's. NULL if the job has no dense result, and
 * in tq_dense_fn. */
TQ_API int64_t *tq_emitter_dense(tq_emitter *emitter);

/* Rows made of a dense result: called once, on rank 0, by a worker, when everything is mapped, with the n numbers summed over
 * all workers and ranks. It may emit keys and values, which become rows like all others. Returns 0, or another number to end
 * the job with TQ_E_USER. */
typedef int (*tq_dense_fn)(const int64_t *dense, size_t n, tq_emitter *emitter, void *user);

/* A record is bad: it stands at byte offset of file (a record's), and why it is bad the rest says. Returns TQ_OK if
 * the mapper can go on with the next, because the job's skip_bad allows it: then the record is counted, and perhaps
 * listed (see tq_stats). Otherwise the job ends with TQ_E_INPUT and this record's place. */
TQ_API tq_status tq_emit_bad(tq_emitter *emitter, const char *file, uint64_t offset, const char *format, ...)
    TQ_PRINTF(4, 5);

/* The input is wrong at that place, whatever skip_bad says: the job ends with TQ_E_INPUT. Returns 1, so that a mapper
 * can return it. */
TQ_API int tq_emit_refuse(tq_emitter *emitter, const char *file, uint64_t offset, const char *format, ...)
    TQ_PRINTF(4, 5);

/* The rank and worker a mapper runs on: for per-worker state. */
TQ_API int tq_emitter_rank(const tq_emitter *emitter);
TQ_API int tq_emitter_worker(const tq_emitter *emitter);

/* Whether the job is ending early: a mapper that waits for something else than its input (another process, say) looks some
 * times a second, and returns when it is so. */
TQ_API bool tq_emitter_stopping(const tq_emitter *emitter);

/* Count bytes of memory that the mapper is about to allocate for itself against the job's budget, and take them off again.
 * What is still counted when the mapper returns is taken off then. TQ_E_MEMORY: the budget has not so much left, and the
 * job ends. */
TQ_API tq_status tq_emitter_reserve(tq_emitter *emitter, size_t bytes);
TQ_API void tq_emitter_give_back(tq_emitter *emitter, size_t bytes);

/* Cut text into words: the longest runs of bytes other than the six ASCII white-space bytes. Fills words with at most
 * capacity words, moves *text behind the last of them, and returns how many; 0 when the text holds no more. */
TQ_API size_t tq_next_words(tq_slice *text, tq_slice *words, size_t capacity);

/* ---- Job: a mapper that pulls ------------------------------------------------------------------------------------ */

/* A split of the input: what one worker of one rank maps in one go. */
typedef struct tq_split tq_split;

/* A mapper for whole splits, which pulls what it wants to read: for one that has something to begin before many records
 * and to end after them, such as a process that it feeds. Called for each split in which a record begins, by this rank's
 * workers, several at a time on different splits. It need not read to the end. Returns like a tq_map_fn. Splits of such a
 * job are larger: of 1 to 32 MiB, as the input and the memory allow, unless split_bytes says otherwise. Everything that is
 * said of mappers and emitters holds for it. */
typedef int (*tq_map_split_fn)(tq_split *split, tq_emitter *emitter, void *user);

/* The next piece of the split: a row of whole records with their delimiters, up to 1 MiB or one record that is longer; of
 * a stream, or a file that only rank 0 sees, all of the split at once. The last record of a file may lack its delimiter.
 * piece is valid until the next call of this function or of tq_split_rewind. TQ_OK with piece->size = 0: that was all.
 * After any other answer the mapper should return: the input cannot be read, or the job is ending. */
TQ_API tq_status tq_split_next(tq_split *split, tq_record *piece);

/* Begin again with the first piece. What was emitted stays emitted. */
TQ_API void tq_split_rewind(tq_split *split);

/* Where it lies: the records that begin in the bytes [begin, end) of file are the split's. */
typedef struct tq_split_place {
    const char *file; /* as in tq_record */
    uint64_t begin, end;
    size_t file_number; /* as in tq_record: with begin, the place of the split in the input */
} tq_split_place;
TQ_API tq_split_place tq_split_where(const tq_split *split);

/* ---- Job: values, combining, reducing ---------------------------------------------------------------------------- */

/* How two values of one key become one. A combiner must be associative and commutative: it is applied wherever two
 * values of a key meet, in no particular order. */
typedef enum tq_combine {
    TQ_COMBINE_NONE, /* every value is kept; a reducer sees them all */
    TQ_SUM,          /* TQ_I64 */
    TQ_MIN,          /* TQ_I64 */
    TQ_MAX,          /* TQ_I64 */
    TQ_COMBINE_USER, /* combine_fn; TQ_I64 or TQ_FIXED */
    TQ_STATS         /* TQ_I64: count, sum, sum of squares, min and max, as a tq_summary */
} tq_combine;

/* Merge value into into; both point to a value of the job's type (an int64_t or value_bytes bytes), not necessarily
 * aligned for TQ_FIXED. Non-zero ends the job with TQ_E_USER. Called by several workers at a time. */
typedef int (*tq_combine_fn)(tq_slice key, void *into, const void *value, void *user);

/* What TQ_STATS makes of the values of one key: integers, exact whatever the values and however many. They are in
 * units of 10^-decimals (squares: 10^(-2 decimals)), where decimals is the least for which all of them are whole, so
 * that equal values give equal summaries. Several words are one number, the lowest first, and a negative one is a
 * two's complement. A row of such a job without a reducer has these bytes as its value, and so has the one value that
 * a reducer gets; they may not be aligned: copy them. */
typedef struct tq_summary {
    uint64_t count;
    uint64_t sum[3];
    uint64_t squares[5]; /* the sum of the squares of the values */
    uint64_t min[2], max[2];
    uint64_t decimals;
} tq_summary;

typedef enum tq_statistic {
    TQ_STAT_COUNT,
    TQ_STAT_SUM,
    TQ_STAT_MIN,
    TQ_STAT_MEAN,
    TQ_STAT_MAX,
    TQ_STAT_DEVIATION /* standard deviation of the values themselves: of the population */
} tq_statistic;

/* Write one of them as a decimal number without an exponent: count, sum, min and max are exact, mean and deviation
 * rounded correctly (half to even) to TQ_DIGITS significant digits; zeros at the end of a fraction are left out. text
 * has room for TQ_SUMMARY_TEXT bytes; returns the length without the NUL at its end. Any thread. */
#define TQ_DIGITS       15
#define TQ_SUMMARY_TEXT 80
TQ_API size_t tq_summary_text(const tq_summary *summary, tq_statistic statistic, char *text);

/* Which part of a key decides what meets in a reducer: its first so many bytes, all of them if that is more. Keys of a job
 * that have it are composite, such as "Oslo" TAB "2024-07-01" with a group that ends before the TAB: one call of the reducer
 * gets the pairs of one group, with the group's bytes as key, in the order of their whole keys' bytes, and those of one key by
 * value; tq_values_key has the whole key of each. So values come sorted by something that is not the value, however many they
 * are. A combiner merges values of equal whole keys.
 *
 * It must depend on key and user alone, and is called by several workers at a time, many times for a key; the answers are
 * compared as those of tq_partition_fn are. */
typedef size_t (*tq_group_fn)(tq_slice key, void *user);

/* Which keys belong together: those of equal numbers are reduced by one worker of one rank, which also keeps their rows if the
 * job has TQ_OUTPUT_KEEP and TQ_ORDER_NONE. Numbers may be any; those that follow each other are divided evenly. Without such a
 * function keys are divided by a hash. What is written does not depend on it.
 *
 * In a job with groups it is called with the group's bytes as key. It must depend on key and user alone. It is called by
 * several workers at a time, for a key where that is emitted and again
 * where it is reduced: if the answers differ, the job ends with TQ_E_USER. (What each rank takes for its own, and only that,
 * goes unnoticed: then no pair is lost, but values of one key meet in as many places as there were answers.) */
typedef uint64_t (*tq_partition_fn)(tq_slice key, void *user);

/* All values of one key, in ascending order (integers by value, others by their bytes); of one group: see tq_group_fn. */
typedef struct tq_values tq_values;
TQ_API uint64_t tq_values_count(const tq_values *values);
TQ_API bool tq_values_next_i64(tq_values *values, int64_t *value); /* false when there is none left */
TQ_API bool tq_values_next(tq_values *values, tq_slice *value);    /* valid until the next call */
TQ_API tq_slice tq_values_key(const tq_values *values); /* the whole key of the value that was given last; the same */

/* The order in which a reducer gets the values of a key. */
typedef enum tq_values_order {
    TQ_VALUES_ASCENDING, /* see tq_values */
    TQ_VALUES_ARRIVAL    /* as they were emitted: by the place in the input of the record that the mapper had, whichever rank and
                          * worker that was (of a row of an earlier job: in the order of that), and in the order of the calls
                          * for one record; in a group, of equal whole keys. Each pair takes 16 bytes more on its way. For jobs
                          * with reduce, map, map_chunk or map_row, and no combiner. */
} tq_values_order;

typedef struct tq_rows_out tq_rows_out;

/* The reducer: called once a key, by several workers at a time on different keys. It may write any number of rows for
 * its key, of the job's result_type. Returns 0, or another number to end the job with TQ_E_USER. Without a reducer the
 * combined values (or, with TQ_COMBINE_NONE, every key with every value) are the result. */
typedef int (*tq_reduce_fn)(tq_slice key, tq_values *values, tq_rows_out *out, void *user);
TQ_API tq_status tq_write_row_i64(tq_rows_out *out, tq_slice key, int64_t value);
TQ_API tq_status tq_write_row(tq_rows_out *out, tq_slice key, tq_slice value);
TQ_API tq_status tq_write_block(tq_rows_out *out, const tq_block *block); /* each of many rows */

TQ_API int tq_reduce_fail(tq_rows_out *out, const char *format, ...) TQ_PRINTF(2, 3);
TQ_API tq_status tq_reduce_count(tq_rows_out *out, size_t index, int64_t n); /* as tq_emit_count */
TQ_API tq_slice tq_rows_side(const tq_rows_out *out);                        /* as tq_emitter_side */

/* As tq_emitter_stopping. */
TQ_API bool tq_rows_stopping(const tq_rows_out *out);

/* Forget all rows that this call of the reducer has written. */
TQ_API void tq_rows_forget(tq_rows_out *out);

/* Keys, in ascending order of their bytes. */
typedef struct tq_keys tq_keys;

/* A reducer that pulls its keys, for one that has something to begin before many keys and to end after them. Called for
 * each partition that has keys, by several workers at a time; where the values of a partition do not all fit the memory,
 * several times, each time for some of its keys. All values of a key are in one call. It need not read to the end, and
 * returns like a tq_reduce_fn. A job with such a reducer has fewer partitions, of about 8 MiB of the input, and
 * TQ_ORDER_NONE is TQ_ORDER_KEY. Which keys share a partition depends on the number of ranks and on the memory, so what is
 * written for a key should not depend on other keys. */
typedef int (*tq_reduce_keys_fn)(tq_keys *keys, tq_rows_out *out, void *user);

/* The next key and its values, which are valid until the next call. False: that was all, or the job is ending. */
TQ_API bool tq_keys_next(tq_keys *keys, tq_slice *key, tq_values **values);

/* Some keys, each with all of its values, back to back: those of the first key, then those of the second. */
typedef struct tq_groups {
    size_t n;
    const char *keys;
    const uint32_t *key_sizes;
    const uint64_t *counts;      /* of the values of each key */
    size_t n_values;             /* of all keys */
    const char *values;          /* as in tq_block; in ascending order for each key */
    const uint32_t *value_sizes; /* TQ_BYTES; NULL otherwise */
} tq_groups;

/* The next keys with their values, for callers to whom each call is dear: as many as take a few hundred KiB, or one that
 * takes more. What *groups points to is valid until the next call, and counts against the budget. groups->n = 0: that was all.
 * After another answer than TQ_OK the reducer should return: the job is ending, or there is no memory for a second
 * copy of the values of one key (which tq_keys_next does without). */
TQ_API tq_status tq_keys_next_groups(tq_keys *keys, tq_groups *groups);

/* Begin again with the first key. The rows stay: see tq_rows_forget. */
TQ_API void tq_keys_rewind(tq_keys *keys);

/* ---- Job: order and format of the rows --------------------------------------------------------------------------- */

/* The order of the result, the same for any number of ranks, threads and splits. Rows that are equal in what an order
 * compares are ordered by key, then by value. */
typedef enum tq_order {
    TQ_ORDER_KEY,        /* by the key's bytes, ascending */
    TQ_ORDER_VALUE_DESC, /* by the value, descending (TQ_I64 results only) */
    TQ_ORDER_NONE,       /* whichever is cheapest: by a fixed hash of the key */
    TQ_ORDER_STABLE,     /* by the key's bytes, ascending, and rows of one key in the order in which they were emitted: by the
                          * place in the input of the record that the mapper had. For jobs without combiner and reducer,
                          * whose mapper is map or map_chunk.
                          * Rows are sorted once, in the ranges of keys that they were mapped to. Where those lie is learned
                          * from a sample before, so the mapper may be called for a record more than once. */
    TQ_ORDER_USER        /* by tq_job.compare */
} tq_order;

typedef enum tq_format {
    TQ_TEXT, /* key TAB value LF; a tab, newline or backslash inside is written \t \n \\ unless raw_text */
    TQ_JSON  /* {"key":"...","value":...} LF; a byte that is not UTF-8 becomes \udc80 .. \udcff, as Python's
              * surrogateescape has it, so that no two keys look alike */
} tq_format;

/* What of a row its TQ_TEXT shows; from TQ_ROW_VALUE_BYTES on nothing is escaped. TQ_JSON has an object of the same columns,
 * and one of key_name alone for TQ_ROW_BYTES and TQ_ROW_LINE. */
typedef enum tq_row_text {
    TQ_ROW_PAIR,        /* key TAB value LF */
    TQ_ROW_KEY,         /* key LF */
    TQ_ROW_VALUE,       /* value LF */
    TQ_ROW_VALUE_BYTES, /* value, and nothing behind it */
    TQ_ROW_BYTES,       /* key and value, and nothing between or behind them */
    TQ_ROW_LINE         /* key and value, and nothing between them, LF */
} tq_row_text;

/* An order of the job's own: less than 0 if row a comes before b, greater if behind it, 0 if it does not matter; then the key's
 * bytes decide, and then the value. It must depend on the two rows and user alone, and be an order: if a comes before b and b
 * before c, then a before c; and b behind a if a is before b. What is none loses no row and ends all the same, but how the rows
 * come out then may depend on ranks, threads and splits.
 *
 * Called on all ranks by several workers at a time on different rows: it may read what user points to, and change none of
 * it. It sees whole rows of the result; and as every comparison is a call, it is slower than the other orders. */
typedef int (*tq_compare_fn)(const tq_row *a, const tq_row *b, void *user);

/* Bytes of the output that a function of the job appends to: any bytes; a number in decimal; a string of JSON, with its
 * quotes, in which a byte that is not UTF-8 becomes what TQ_JSON makes of it. TQ_OK; after any other answer the function
 * should return: the job is ending anyway. */
typedef struct tq_text tq_text;
TQ_API tq_status tq_text_put(tq_text *text, tq_slice bytes);
TQ_API tq_status tq_text_put_number(tq_text *text, int64_t number);
TQ_API tq_status tq_text_put_json(tq_text *text, tq_slice string);

/* How a row is written, where that is not key TAB value: appends what stands for it in the output, be it several lines or
 * nothing, with the newline at its end. Returns 0, or another number to end the job with TQ_E_USER.
 *
 * Called on all ranks by several workers at a time on different rows: it may read what user points to, and change none of
 * it. With write_in_order it is called on rank 0 alone, by one thread at a time, for each row of the whole result in
 * order, and may keep state from row to row (a running sum, the key before); and once more with row NULL behind the last,
 * even if there was none. Then rank 0 alone makes all text, and writes it as it is made: a call may append more than there is
 * memory for. */
typedef int (*tq_write_fn)(const tq_row *row, tq_text *text, void *user);

/* Say why it fails. Returns 1. */
TQ_API int tq_text_fail(tq_text *text, const char *format, ...) TQ_PRINTF(2, 3);

/* Which of several outputs (tq_job.output_paths) a row belongs to: less than n_outputs, or the job ends with TQ_E_USER.
 * Called on all ranks by several workers at a time; the answer may depend on the row and on what user points to alone. What
 * it looks at in the key or the value need not be seen in the output: write_text may leave it out. */
#define TQ_MAX_OUTPUTS 256
typedef size_t (*tq_choose_fn)(const tq_row *row, void *user);

/* Of what is spilled to a disk. Which of them a build of tequio has depends on the libraries it found. */
typedef enum tq_compression {
    TQ_COMPRESSION_NONE,
    TQ_COMPRESSION_LZ4, /* faster than most disks */
    TQ_COMPRESSION_ZSTD /* smaller; for slow disks, or small ones */
} tq_compression;

/* ---- Where a worker stands --------------------------------------------------------------------------------------- */

/* Where a worker stands in the job's own code. */
typedef struct tq_place {
    const char *phase; /* "map", "reduce", "order" (a tq_compare_fn, but for rows that are ordered while reducing) or "write" */
    int rank, worker;
    const char *file; /* map: of the record that the mapper has (map_chunk, map_split: the piece), NULL between two; */
    uint64_t offset;  /* and where that begins in file, as in tq_record. map_row: the name of the earlier job, and the
                       * number of the row among all that it made, from 0 */
    uint32_t partition; /* reduce */
    tq_slice key;       /* reduce, order, write: that of the call (of the first row, if it compares two); size 0: none yet, or an empty one */
} tq_place;

/* Where the calling thread stands. False: in no function of a job. What *place points to stays while the
 * thread does not go on. May be called in a handler of a signal such as SIGSEGV. */
TQ_API bool tq_here(tq_place *place);

#ifdef __cplusplus
}
#endif
#endif
