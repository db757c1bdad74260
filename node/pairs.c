#include "node/pairs.h"

#include "common/fault.h"
#include "node/compact.h"
#include <string.h>

/* The hot table gets other units when more than one in so many values does not fit those that it has. */
enum { MISFITS = 16 };

/* A full table is emptied only after so many values for each of its keys; that is looked at every so many values. */
enum { PAYS = 8, FULL_WINDOW = 2048 };

/* ---- The hot table ---- */

tq_status tqi_pairs_pour(tq_emitter *emitter, unsigned decimals)
{
    bool drop = tqi_fault("drop-record", emitter->spec->rank);
    const tqi_hot_entry *entry;
    tq_status status = TQ_OK;

    for (size_t next = 0; !status && (entry = tqi_hot_next(&emitter->hot, &next)) != NULL; drop = false) {
        tqi_key key = tqi_hot_key(entry);
        tq_summary summary = tqi_hot_summary(&emitter->hot, entry);

        if (!drop)
            status = tqi_emitter_put(emitter, &key, tqi_key_hash(&key), 0,
                                     (tq_slice){(const char *)&summary, sizeof summary});
    }
    tqi_hot_clear(&emitter->hot, decimals);
    return status;
}

/* The largest units in which nearly all values are whole. */
static unsigned fitting_decimals(const tqi_units *units, uint64_t values)
{
    unsigned decimals = TQ_DECIMALS_MAX;
    uint64_t finer = 0;

    while (decimals > 0 && (finer + units->seen[decimals]) * MISFITS <= values)
        finer += units->seen[decimals--];
    return decimals;
}

/* Give the hot table other units, if those that it has have not fitted; otherwise look whether it pays at all. */
static void look(tq_emitter *emitter)
{
    uint64_t values = emitter->emitted.records - emitter->trial.records;
    unsigned decimals = fitting_decimals(&emitter->units, values);
    bool other = emitter->trial.on && decimals != emitter->hot.decimals && emitter->units.misfits * MISFITS > values;

    if (other)
        tqi_pairs_pour(emitter, decimals);
    emitter->units = (tqi_units){0};
    tqi_emitter_look(emitter, other);
}

/* A full table of keys of which less than half of the values are that come now is emptied, if that pays. */
static void look_at_full(tq_emitter *emitter, const tqi_hot_pairs *pairs)
{
    tqi_hot *hot = &emitter->hot;
    tqi_full *full = &emitter->full;

    full->values += pairs->n;
    full->left += emitter->hot_done.n_others;
    if (full->values < FULL_WINDOW)
        return;
    if (full->left > full->values / 2 && hot->values >= PAYS * hot->n)
        tqi_pairs_pour(emitter, hot->decimals);
    *full = (tqi_full){0};
}

/* ---- Emitting ---- */

/* One value into its bin. */
static tq_status put_value(tq_emitter *emitter, tq_slice bytes, int64_t value, unsigned decimals)
{
    tqi_key key = tqi_emitter_load_key(emitter, bytes);
    uint64_t hash = tqi_key_hash(&key);
    tqi_digest digest = tqi_digest_of(decimals);
    uint64_t added = tqi_digest_value(&digest, value);
    tqi_bin *bin = tqi_bin_of(&emitter->bins, hash);

    if (bin->at >= bin->end || key.size > TQI_KEY_MEDIUM || tqi_spec_is_placed(emitter->spec)) {
        tq_summary summary = tqi_summary_of(value, decimals);

        return tqi_emitter_put(emitter, &key, hash, 0, (tq_slice){(const char *)&summary, sizeof summary});
    }
    tqi_account_linear(&emitter->bins.written, hash, 1, added);
    if (!tqi_fault("drop-record", emitter->spec->rank))
        tqi_bin_write_value(bin, &key, value, decimals);
    return TQ_OK;
}

/* All of them into their bins. */
static tq_status put_pairs(tq_emitter *emitter, const tqi_hot_pairs *pairs)
{
    tqi_digest digest = tqi_digest_of(pairs->decimals);

    for (size_t i = 0; i < pairs->n && !emitter->status; i++) {
        uint64_t hash = tqi_hash(pairs->keys[i].data, pairs->keys[i].size);

        emitter->emitted.check += hash * tqi_digest_value(&digest, pairs->values[i]);
        put_value(emitter, pairs->keys[i], pairs->values[i], pairs->decimals);
    }
    return emitter->status;
}

/* What the hot table takes of them, and the others into their bins. */
static tq_status combine(tq_emitter *emitter, const tqi_hot_pairs *pairs)
{
    tqi_hot *hot = &emitter->hot;
    tqi_hot_done *done = &emitter->hot_done;

    if (hot->values + pairs->n > TQI_HOT_VALUES)
        tqi_pairs_pour(emitter, hot->decimals);
    size_t before = hot->n;
    tqi_hot_add(hot, pairs, done);
    emitter->emitted.check += done->check;
    emitter->merged_early += pairs->n - done->n_others - (hot->n - before);
    emitter->units.misfits += done->n_others;
    for (size_t i = 0; i < done->n_others && !emitter->status; i++)
        put_value(emitter, pairs->keys[done->others[i]], pairs->values[done->others[i]], pairs->decimals);
    if (hot->full)
        look_at_full(emitter, pairs);
    return emitter->status;
}

static bool has_huge_key(const tq_slice *keys, size_t n)
{
    bool huge = false;

    for (size_t i = 0; i < n; i++)
        huge |= keys[i].size > TQI_KEY_MAX;
    return huge;
}

static tq_status emit_batch(tq_emitter *emitter, tqi_hot_pairs pairs)
{
    if (tqi_emitter_stopped(emitter))
        return tqi_emitter_fail(emitter, TQ_E_CANCELLED, "cancelled");
    if (has_huge_key(pairs.keys, pairs.n))
        return tqi_emitter_fail(emitter, TQ_E_USER, "a key of more than 1 GiB was emitted");
    if (emitter->emitted.records >= emitter->trial.until)
        look(emitter);
    emitter->emitted.records += pairs.n;
    emitter->emitted.weight += pairs.n;
    emitter->units.seen[pairs.decimals] += pairs.n;
    if (emitter->trial.on) {
        pairs.padded = emitter->hot.kernel->wants_padded && tqi_emitter_in_text(emitter, pairs.keys, pairs.n);
        return combine(emitter, &pairs);
    }
    return put_pairs(emitter, &pairs);
}

tq_status tq_emit_pairs_decimal(tq_emitter *emitter, const tq_slice *keys, const int64_t *values, size_t n,
                                unsigned decimals)
{
    if (emitter->spec->combine != TQ_STATS)
        return tqi_emitter_fail(emitter, TQ_E_USER, "tq_emit_pairs_decimal in a job that does not combine by TQ_STATS");
    if (decimals > TQ_DECIMALS_MAX)
        return tqi_emitter_fail(emitter, TQ_E_USER, "numbers with more decimals than TQ_DECIMALS_MAX were emitted");
    for (size_t i = 0; i < n && !emitter->status; i += TQI_HOT_BATCH) {
        size_t some = n - i < TQI_HOT_BATCH ? n - i : TQI_HOT_BATCH;

        emit_batch(emitter, (tqi_hot_pairs){keys + i, values + i, some, decimals, false});
    }
    return emitter->status;
}
