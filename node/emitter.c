#include "node/emitter.h"

#include "common/account.h"
#include "common/error.h"
#include "common/fault.h"
#include "node/compact.h"
#include "node/inside.h"
#include "node/pairs.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Early combining is tried on so many records, and left out for so many when less than one in USEFUL was merged. */
static const uint64_t TRIED = 1 << 15, LEFT_OUT = 1 << 20;
enum { USEFUL = 8 };

/* A small table is emptied when its keys and values take more than this. */
enum { FIRST_ENTRIES = 1024, MOST_EARLY_ENTRIES = 16 << 10, MOST_EARLY_BYTES = 1 << 20 };

/* The front, or the table of what is no sum. Without memory for it there is none, which is slower. */
static void init_early(tq_emitter *emitter, size_t bytes)
{
    const tqi_spec *spec = emitter->spec;

    emitter->special = spec->direct || spec->arrival;
    emitter->sums = spec->combine == TQ_SUM && !tqi_spec_is_placed(spec);
    bool has_front = emitter->sums && tqi_front_init(&emitter->front, spec->budget, bytes);
    bool has_hot = spec->combine == TQ_STATS && tqi_hot_init(&emitter->hot, spec->budget, bytes);

    if (!emitter->sums && spec->combine != TQ_STATS && spec->combine != TQ_COMBINE_NONE) {
        size_t limit = bytes / TQI_ENTRY_COST;

        limit = limit < FIRST_ENTRIES ? FIRST_ENTRIES : limit > MOST_EARLY_ENTRIES ? MOST_EARLY_ENTRIES : limit;
        emitter->has_table = !tqi_table_init(&emitter->table, spec, FIRST_ENTRIES, limit, false);
    }
    emitter->trial = (tqi_trial){.on = has_front || has_hot || emitter->has_table, .until = TRIED};
    if (!emitter->trial.on)
        emitter->trial.until = UINT64_MAX;
}

static tq_status init_bins(tq_emitter *emitter)
{
    const tqi_spec *spec = emitter->spec;

    if (spec->direct)
        return TQ_OK;
    return tqi_bins_init(&emitter->bins, spec, tqi_bins_count(spec->partitions), spec->worker_bytes);
}

tq_status tqi_emitter_init(tq_emitter *emitter, const tqi_spec *spec, int worker, tqi_deliver_fn deliver, void *owner,
                           const atomic_bool *stop, size_t early_bytes)
{
    memset(emitter, 0, sizeof *emitter);
    emitter->spec = spec;
    emitter->worker = worker;
    emitter->deliver = deliver;
    emitter->owner = owner;
    emitter->stop = stop;
    tqi_error_clear(&emitter->error);
    tq_status status = tqi_fault("enomem-map", spec->rank)
                           ? TQ_E_MEMORY
                           : init_bins(emitter);
    if (!status && emitter->bins.n > 0 && !emitter->bins.whole)
        status = tqi_run_builder_init(&emitter->builder, spec, &spec->shape, 0, spec->partitions);
    if (!status)
        init_early(emitter, early_bytes);
    if (status) {
        tqi_fail(&emitter->error, status, "no memory for a worker's pages (see --memory)");
        emitter->status = status;
        tqi_emitter_free(emitter);
    }
    return status;
}

void tqi_emitter_free(tq_emitter *emitter)
{
    tqi_front_free(&emitter->front, emitter->spec->budget);
    if (emitter->hot.entries)
        tqi_hot_free(&emitter->hot);
    tqi_table_free(&emitter->table);
    tqi_table_free(&emitter->scratch);
    tqi_bins_free(&emitter->bins);
    tqi_run_builder_free(&emitter->builder);
    tqi_direct_free(&emitter->direct);
    tqi_arrival_free(&emitter->arrival, emitter->spec->budget);
    tqi_bad_free(&emitter->bad);
}

tq_status tqi_emitter_go_direct(tq_emitter *emitter, const tqi_spec *ranges, const tqi_splitters *splitters,
                                uint64_t memory, tqi_sampler *sampler)
{
    emitter->sampler = sampler;
    tq_status status = tqi_direct_init(&emitter->direct, ranges, splitters, memory, emitter->deliver, emitter->owner);
    return status ? tqi_emitter_fail(emitter, status, "no memory for a worker's pages (see --memory)") : TQ_OK;
}

void tqi_emitter_only_sample(tq_emitter *emitter, tqi_sampler *sampler)
{
    emitter->direct.spec = emitter->spec;
    emitter->sampler = sampler;
    emitter->samples = true;
}

tq_status tqi_emitter_fail(tq_emitter *emitter, tq_status status, const char *message)
{
    if (!emitter->status) {
        emitter->status = status;
        tqi_fail(&emitter->error, status, "%s", message);
    }
    return emitter->status;
}

uint64_t tqi_emitter_merged(const tq_emitter *emitter)
{
    return emitter->merged_early + emitter->table.merged + emitter->scratch.merged;
}

/* ---- Into the bins ---- */

static tq_status describe_put(tq_emitter *emitter, uint64_t size)
{
    char message[128];

    snprintf(message, sizeof message, "no memory for a key and value of %" PRIu64 " bytes (see --memory)", size);
    return tqi_emitter_fail(emitter, TQ_E_MEMORY, message);
}

__attribute__((noinline)) tq_status tqi_emitter_put(tq_emitter *emitter, const tqi_key *key, uint64_t hash,
                                                    int64_t number, tq_slice value)
{
    tq_status status = tqi_bins_put(&emitter->bins, key, hash, number, value, false);

    if (status == TQ_E_AGAIN) {
        status = tqi_compact(emitter);
        if (status)
            return status;
        status = tqi_bins_put(&emitter->bins, key, hash, number, value, true);
    }
    return status ? describe_put(emitter, key->size + value.size) : TQ_OK;
}

/* Put a sum into its bin. */
static inline tq_status put_sum(tq_emitter *emitter, const tqi_key *key, uint64_t hash, uint64_t number)
{
    tqi_bin *bin = tqi_bin_of(&emitter->bins, hash);

    if (__builtin_expect(bin->at >= bin->end || key->size > TQI_KEY_MEDIUM, 0))
        return tqi_emitter_put(emitter, key, hash, (int64_t)number, (tq_slice){NULL, 0});
    tqi_account_sum(&emitter->bins.written, hash, number);
    if (tqi_fault("drop-record", emitter->spec->rank))
        return TQ_OK;
    if (key->size > TQI_KEY_INLINE)
        tqi_bin_write_medium(bin, (const char *)(uintptr_t)key->word[1], key->size, tqi_zigzag((int64_t)number));
    else
        tqi_bin_write(bin, key->word[0], key->word[1], (uint32_t)key->size, tqi_zigzag((int64_t)number));
    return TQ_OK;
}

/* A sum that the front has given up, on its way. */
static inline void put_evicted(tq_emitter *emitter, const tqi_evicted *evicted)
{
    const tqi_key *key = &evicted->key;

    if (key->size)
        put_sum(emitter, key, tqi_hash_short(key->word[0], key->word[1]), evicted->value);
}

static inline void put_evicted32(tq_emitter *emitter, const tqi_evicted32 *evicted)
{
    const char *bytes = (const char *)evicted->word;

    if (evicted->size == 0)
        return;
    tqi_key key = tqi_key_borrow_long(bytes, evicted->size);
    put_sum(emitter, &key, tqi_hash_medium(bytes, evicted->size), evicted->value);
}

/* Whether a key of 17 to 32 bytes belongs into the front: then its padded words. */
static bool load_medium(const tqi_key *key, uint64_t hash, tqi_key32 *loaded)
{
    const char *bytes = (const char *)(uintptr_t)key->word[1];

    if (key->size <= TQI_KEY_INLINE || key->size > TQI_KEY_MEDIUM || bytes[key->size - 1] == 0)
        return false;
    *loaded = (tqi_key32){.hash = hash};
    memcpy(loaded->word, bytes, key->size);
    return true;
}

static void add_medium(tq_emitter *emitter, const tqi_key32 *key, uint64_t number)
{
    tqi_evicted32 evicted;

    if (tqi_front_add32(&emitter->front, key, number, &evicted))
        emitter->merged_early++;
    else
        put_evicted32(emitter, &evicted);
}

/* Into the front, if it is a key for it, or past it. */
static inline void add_sum(tq_emitter *emitter, const tqi_key *key, uint64_t hash, uint64_t number)
{
    tqi_front *front = &emitter->front;
    unsigned class = tqi_front_class(key);
    tqi_evicted evicted;
    tqi_key32 medium;

    if (class == 2 && load_medium(key, hash, &medium))
        add_medium(emitter, &medium, number);
    else if (class == 2)
        put_sum(emitter, key, hash, number);
    else if (class == 0 ? tqi_front_add8(front, &(tqi_key8){key->word[0], hash}, number, &evicted)
                        : tqi_front_add16(front, &(tqi_key16){key->word[0], key->word[1], hash}, number, &evicted))
        emitter->merged_early++;
    else
        put_evicted(emitter, &evicted);
}

/* Everything in the small table, on its way. */
static tq_status pour(tq_emitter *emitter)
{
    tqi_table *table = &emitter->table;
    tqi_hashes all = {1, 0, 0};
    tq_status status = TQ_OK;

    for (size_t i = 0; i < table->n && !status; i++) {
        const tqi_entry *entry = &table->entries[i];
        tqi_key key = {{entry->word[0], entry->word[1]}, entry->size};

        status = tqi_emitter_put(emitter, &key, tqi_entry_hash(entry), (int64_t)entry->value,
                                 tqi_entry_value(&emitter->spec->shape, entry));
    }
    tqi_table_clear(table, all);
    return status;
}

/* Pairs that went straight to their ranges. */
static tq_status finish_direct(tq_emitter *emitter)
{
    if (emitter->status)
        return emitter->status;
    tqi_direct_flush(&emitter->direct);
    emitter->flushed = emitter->direct.written;
    return TQ_OK;
}

tq_status tqi_emitter_finish(tq_emitter *emitter)
{
    if (emitter->spec->direct)
        return finish_direct(emitter);
    tqi_evicted evicted;
    tqi_evicted32 evicted32;

    for (size_t next = 0; !emitter->status && tqi_front_drain(&emitter->front, &next, &evicted);)
        put_evicted(emitter, &evicted);
    for (size_t next = 0; !emitter->status && tqi_front_drain32(&emitter->front, &next, &evicted32);)
        put_evicted32(emitter, &evicted32);
    tqi_front_free(&emitter->front, emitter->spec->budget);
    if (emitter->has_table && !emitter->status)
        pour(emitter);
    if (emitter->hot.entries && !emitter->status) {
        tqi_pairs_pour(emitter, 0);
        tqi_hot_free(&emitter->hot);
    }
    if (!emitter->trial.on && emitter->trial.until != UINT64_MAX)
        emitter->trial.passed += emitter->emitted.records - emitter->trial.records;
    tq_status status = tqi_compact_last(emitter);
    const tq_account *written = &emitter->bins.written, *taken = &emitter->bins.taken, *built = &emitter->built;

    emitter->flushed =
        (tq_account){written->records - taken->records + built->records,
                     written->weight - taken->weight + built->weight, written->check - taken->check + built->check};
    return status;
}

/* ---- Emitting ---- */

/* Look whether combining early has paid since the last look, and choose for the next records. */
__attribute__((noinline)) void tqi_emitter_look(tq_emitter *emitter, bool again)
{
    tqi_trial *trial = &emitter->trial;
    uint64_t records = emitter->emitted.records, merged = emitter->merged_early + emitter->table.merged;

    if (trial->on)
        trial->on = again || (merged - trial->merged) * USEFUL >= records - trial->records;
    else
        trial->passed += records - trial->records, trial->on = true;
    trial->until = records + (trial->on ? TRIED : LEFT_OUT);
    trial->records = records;
    trial->merged = merged;
}

static tq_status combine_early(tq_emitter *emitter, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value)
{
    tq_status status = tqi_table_add(&emitter->table, key, hash, number, value);

    if (status == TQ_E_AGAIN || emitter->table.arena.used > MOST_EARLY_BYTES) {
        bool again = status == TQ_E_AGAIN;
        tq_status poured = pour(emitter);

        if (poured)
            return poured;
        if (again)
            status = tqi_table_add(&emitter->table, key, hash, number, value);
    }
    if (status == TQ_E_MEMORY || status == TQ_E_AGAIN)
        return tqi_emitter_put(emitter, key, hash, number, value);
    if (status) {
        char message[64];

        snprintf(message, sizeof message, "the combiner returned %d", emitter->table.user_code);
        tqi_emitter_fail(emitter, status, message);
    }
    return status;
}

static tq_status add_direct(tq_emitter *emitter, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value)
{
    const tqi_spec *spec = emitter->spec;
    tq_account pair = {0};

    if (emitter->sampler) {
        tqi_entry sample = tqi_direct_sample(&emitter->direct, key, number, value);

        tqi_sampler_see(emitter->sampler, &sample, 1);
    }
    if (emitter->samples) {
        emitter->sampled.rows++;
        emitter->sampled.bytes += tqi_record_size(&spec->shape, key->size, number, value);
        return TQ_OK;
    }
    tqi_account_pair(spec, hash, number, value, &pair);
    tqi_account_add(&emitter->emitted, &pair);
    if (tqi_fault("drop-record", spec->rank))
        return TQ_OK;
    tq_status status = tqi_direct_put(&emitter->direct, key, number, value, &pair);
    return status ? describe_put(emitter, key->size + value.size) : TQ_OK;
}

/* TQ_VALUES_ARRIVAL. */
static tq_status add_with_place(tq_emitter *emitter, const tqi_key *key, int64_t number, tq_slice value)
{
    tqi_key longer;

    if (tqi_arrival_add(&emitter->arrival, emitter->spec->budget, key, &longer))
        return describe_put(emitter, key->size + value.size);
    uint64_t hash = tqi_key_hash(&longer);
    tqi_account_pair(emitter->spec, hash, number, value, &emitter->emitted);
    return tqi_emitter_put(emitter, &longer, hash, number, value);
}

static tq_status add_specially(tq_emitter *emitter, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value)
{
    if (emitter->spec->direct)
        return add_direct(emitter, key, hash, number, value);
    return add_with_place(emitter, key, number, value);
}

static inline tq_status add(tq_emitter *emitter, const tqi_key *key, uint64_t hash, int64_t number, tq_slice value)
{
    if (__builtin_expect(emitter->emitted.records >= emitter->trial.until, 0))
        tqi_emitter_look(emitter, false);
    if (emitter->special)
        return add_specially(emitter, key, hash, number, value);
    tqi_account_pair(emitter->spec, hash, number, value, &emitter->emitted);
    if (emitter->sums) {
        if (!emitter->trial.on)
            return put_sum(emitter, key, hash, (uint64_t)number);
        add_sum(emitter, key, hash, (uint64_t)number);
        return emitter->status;
    }
    if (emitter->trial.on)
        return combine_early(emitter, key, hash, number, value);
    return tqi_emitter_put(emitter, key, hash, number, value);
}

/* Sums that have moved on from the front, into their bins: as put_evicted does it for one, with everything in registers
 * that a byte written to a page might be taken to change. */
static void put_all(tq_emitter *emitter, const tqi_evicted *sums, size_t n)
{
    tqi_bins *bins = &emitter->bins;
    tqi_bin *first = bins->bins;
    uint32_t n_bins = bins->n;
    tq_account written = {0};

    for (size_t i = 0; i < n; i++) {
        uint64_t word0 = sums[i].key.word[0], word1 = sums[i].key.word[1], value = sums[i].value;
        size_t size = sums[i].key.size;
        uint64_t hash = tqi_hash_short(word0, word1);
        tqi_bin *bin = &first[tqi_partition_of((uint32_t)(hash >> 32), n_bins)];

        if (__builtin_expect(size == 0, 0))
            continue;
        if (__builtin_expect(bin->at >= bin->end || tqi_fault("drop-record", emitter->spec->rank), 0)) {
            put_evicted(emitter, &sums[i]);
            continue;
        }
        tqi_account_sum(&written, hash, value);
        tqi_bin_write(bin, word0, word1, (uint32_t)size, tqi_zigzag((int64_t)value));
    }
    tqi_account_add(&bins->written, &written);
}

/* Of the keys that are not for the front. */
static void put_others(tq_emitter *emitter, const tq_slice *keys, const uint64_t *values)
{
    for (size_t i = 0; i < emitter->batch.n_others && !emitter->status; i++) {
        uint32_t k = emitter->batch.others[i];
        tqi_key key = tqi_emitter_load_key(emitter, keys[k]);
        uint64_t hash = tqi_key_hash(&key);

        tqi_account_sum(&emitter->emitted, hash, values[k]);
        put_sum(emitter, &key, hash, values[k]);
    }
}

/* n sums, n <= TQI_FRONT_BATCH, of keys that have slack behind them. */
static tq_status emit_sums(tq_emitter *emitter, const tq_slice *keys, const uint64_t *values, size_t n)
{
    tqi_batch *batch = &emitter->batch;

    emitter->front.kernel->add(&emitter->front, keys, values, n, batch);
    tqi_account_add(&emitter->emitted, &batch->held);
    emitter->merged_early += n - batch->n_others - batch->n_evicted - batch->n_evicted32;
    put_all(emitter, batch->evicted, batch->n_evicted);
    for (size_t i = 0; i < batch->n_evicted32 && !emitter->status; i++)
        put_evicted32(emitter, &batch->evicted32[i]);
    put_others(emitter, keys, values);
    return emitter->status;
}

/* n numbers, n <= TQI_FRONT_BATCH. padded: all keys have slack behind them, and none is too large. */
static tq_status emit_batch(tq_emitter *emitter, const tq_slice *keys, const uint64_t *values, size_t n, bool padded)
{
    if (tqi_emitter_stopped(emitter))
        return tqi_emitter_fail(emitter, TQ_E_CANCELLED, "cancelled");
    if (emitter->emitted.records >= emitter->trial.until)
        tqi_emitter_look(emitter, false);
    if (padded && emitter->sums && emitter->trial.on)
        return emit_sums(emitter, keys, values, n);
    for (size_t i = 0; i < n && !emitter->status; i++) {
        if (keys[i].size > TQI_KEY_MAX)
            return tqi_emitter_fail(emitter, TQ_E_USER, "a key of more than 1 GiB was emitted");
        tqi_key key = tqi_emitter_load_key(emitter, keys[i]);

        add(emitter, &key, tqi_key_hash(&key), (int64_t)values[i], (tq_slice){NULL, 0});
    }
    return emitter->status;
}

bool tqi_emitter_in_text(const tq_emitter *emitter, const tq_slice *keys, size_t n)
{
    return tqi_keys_inside(keys, n, emitter->padded_begin, emitter->padded_end);
}

/* n numbers, n <= TQI_FRONT_BATCH, of a job that takes them. */
static tq_status emit_some(tq_emitter *emitter, const tq_slice *keys, const int64_t *values, size_t n)
{
    if (emitter->spec->combine == TQ_STATS)
        return tq_emit_pairs_decimal(emitter, keys, values, n, 0);
    return emit_batch(emitter, keys, (const uint64_t *)values, n, tqi_emitter_in_text(emitter, keys, n));
}

static bool takes_numbers(const tq_emitter *emitter)
{
    return emitter->spec->shape.type == TQ_I64 || emitter->spec->combine == TQ_STATS;
}

tq_status tq_emit_pairs_i64(tq_emitter *emitter, const tq_slice *keys, const int64_t *values, size_t n)
{
    if (!takes_numbers(emitter))
        return tqi_emitter_fail(emitter, TQ_E_USER, "tq_emit_pairs_i64 in a job whose values are not TQ_I64");
    for (size_t i = 0; i < n && !emitter->status; i += TQI_FRONT_BATCH)
        emit_some(emitter, keys + i, values + i, n - i < TQI_FRONT_BATCH ? n - i : TQI_FRONT_BATCH);
    return emitter->status;
}

tq_status tq_emit_keys_i64(tq_emitter *emitter, const tq_slice *keys, size_t n, int64_t value)
{
    int64_t values[TQI_FRONT_BATCH];

    if (!takes_numbers(emitter))
        return tqi_emitter_fail(emitter, TQ_E_USER, "tq_emit_keys_i64 in a job whose values are not TQ_I64");
    for (size_t i = 0; i < n && i < TQI_FRONT_BATCH; i++)
        values[i] = value;
    for (size_t i = 0; i < n && !emitter->status; i += TQI_FRONT_BATCH)
        emit_some(emitter, keys + i, values, n - i < TQI_FRONT_BATCH ? n - i : TQI_FRONT_BATCH);
    return emitter->status;
}

/* ---- One at a time ---- */

static tq_status emit(tq_emitter *emitter, tq_slice key, int64_t number, tq_slice value)
{
    if (emitter->status)
        return emitter->status;
    if (tqi_emitter_stopped(emitter))
        return tqi_emitter_fail(emitter, TQ_E_CANCELLED, "cancelled");
    if (key.size > TQI_KEY_MAX || value.size > TQI_KEY_MAX)
        return tqi_emitter_fail(emitter, TQ_E_USER, "a key or value of more than 1 GiB was emitted");
    tqi_key loaded = tqi_emitter_load_key(emitter, key);
    return add(emitter, &loaded, tqi_key_hash(&loaded), number, value);
}

void tqi_emitter_begin(tq_emitter *emitter, const tq_record *chunk)
{
    tqi_pending *pending = &emitter->pending;

    if (emitter->spec->arrival)
        tqi_arrival_begin(&emitter->arrival, chunk->file_number, chunk->offset);
    if (emitter->spec->direct)
        tqi_direct_begin(&emitter->direct, (tqi_origin){chunk->offset, (uint32_t)chunk->file_number});
    emitter->padded_begin = chunk->data;
    emitter->padded_end = chunk->data + chunk->size;
    /* Waiting pays where many go through front or hot table at once. */
    pending->n = 0;
    pending->open = emitter->front.lines8 != NULL || emitter->hot.entries != NULL;
    pending->text = (uintptr_t)chunk->data;
    pending->text_bytes = pending->open ? chunk->size : 0;
}

static __attribute__((noinline)) tq_status emit_pending(tq_emitter *emitter)
{
    tqi_pending *pending = &emitter->pending;
    size_t n = pending->n;

    pending->n = 0;
    if (emitter->status || n == 0)
        return emitter->status;
    if (emitter->spec->combine == TQ_STATS)
        return tq_emit_pairs_decimal(emitter, pending->keys, pending->values, n, 0);
    return emit_batch(emitter, pending->keys, (const uint64_t *)pending->values, n, true);
}

tq_status tqi_emitter_end(tq_emitter *emitter)
{
    tq_status status = emit_pending(emitter);

    emitter->pending.open = false;
    emitter->pending.text_bytes = 0;
    emitter->padded_begin = emitter->padded_end = NULL;
    return status;
}

static inline tq_status append(tq_emitter *emitter, tq_slice key, int64_t value)
{
    tqi_pending *pending = &emitter->pending;

    pending->keys[pending->n] = key;
    pending->values[pending->n] = value;
    if (__builtin_expect(++pending->n == TQI_FRONT_BATCH, 0))
        return emit_pending(emitter);
    return emitter->status;
}

/* The mapper may use the key's memory again at once. */
static tq_status append_copy(tq_emitter *emitter, tq_slice key, int64_t value)
{
    char *copy = emitter->pending.copies[emitter->pending.n];

    if (key.size) /* its data may be anything otherwise */
        memcpy(copy, key.data, key.size);
    return append(emitter, (tq_slice){copy, key.size}, value);
}

tq_status tq_emit_i64(tq_emitter *emitter, tq_slice key, int64_t value)
{
    const tqi_pending *pending = &emitter->pending;

    if (__builtin_expect(key.size <= TQI_KEY_MEDIUM && (uintptr_t)key.data - pending->text < pending->text_bytes, 1))
        return append(emitter, key, value);
    if (!takes_numbers(emitter))
        return tqi_emitter_fail(emitter, TQ_E_USER, "tq_emit_i64 in a job whose values are not TQ_I64");
    if (pending->open && key.size <= TQI_KEY_MEDIUM)
        return append_copy(emitter, key, value);
    if (emitter->spec->combine == TQ_STATS)
        return tq_emit_pairs_decimal(emitter, &key, &value, 1, 0);
    return emit(emitter, key, value, (tq_slice){NULL, 0});
}

tq_status tq_emit(tq_emitter *emitter, tq_slice key, tq_slice value)
{
    if (takes_numbers(emitter))
        return tqi_emitter_fail(emitter, TQ_E_USER, "tq_emit in a job whose values are TQ_I64: use tq_emit_i64");
    if (emitter->spec->shape.type == TQ_FIXED && value.size != emitter->spec->shape.bytes)
        return tqi_emitter_fail(emitter, TQ_E_USER, "a value has another size than the job's value_bytes");
    return emit(emitter, key, 0, value);
}

tq_status tq_emit_count(tq_emitter *emitter, size_t index, int64_t n)
{
    if (index >= emitter->spec->n_counters)
        return tqi_emitter_fail(emitter, TQ_E_USER, "tq_emit_count of a counter that the job does not have");
    if (!emitter->samples) /* what is sampled is mapped again */
        emitter->counts[index] += (uint64_t)n;
    return emitter->status;
}

tq_slice tq_emitter_side(const tq_emitter *emitter)
{
    return emitter->spec->side;
}

int64_t *tq_emitter_dense(tq_emitter *emitter)
{
    return emitter->dense;
}

int tq_emitter_rank(const tq_emitter *emitter)
{
    return emitter->spec->rank;
}

int tq_emitter_worker(const tq_emitter *emitter)
{
    return emitter->worker;
}
