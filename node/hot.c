#include "node/hot_rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FIRST_SLOTS = 1024, LEAST_SLOTS = 64, SPARSE = 32, FULL = 2, HUGE_PAGE = 2 << 20 };

/* Of long keys. */
enum { MOST_KEY_BYTES = 1 << 20 };

/* ---- Memory ---- */

/* slots lines of 0, aligned to lines. NULL: no memory, or the budget does not allow it. */
static void *allocate_lines(tqi_budget *budget, size_t slots)
{
    size_t bytes = slots * sizeof(tqi_hot_entry);

    if (!tqi_budget_take(budget, bytes))
        return NULL;
    size_t alignment = bytes < HUGE_PAGE ? sizeof(tqi_hot_entry) : HUGE_PAGE;
    void *lines = aligned_alloc(alignment, bytes);
    if (!lines) {
        tqi_budget_give(budget, bytes);
        return NULL;
    }
    if (alignment == HUGE_PAGE)
        madvise(lines, bytes, MADV_HUGEPAGE);
    return memset(lines, 0, bytes);
}

static void free_lines(tqi_budget *budget, void *lines, size_t slots)
{
    if (lines)
        tqi_budget_give(budget, slots * sizeof(tqi_hot_entry));
    free(lines);
}

static void set_lines(tqi_hot *hot, tqi_hot_entry *entries, tqi_hot_large *large, size_t slots)
{
    hot->entries = entries;
    hot->large = large;
    hot->slots = slots;
    hot->shift = 64 - (unsigned)__builtin_ctzll(slots);
}

bool tqi_hot_init(tqi_hot *hot, tqi_budget *budget, size_t bytes)
{
    size_t most = LEAST_SLOTS, n;
    const tqi_hot_kernel *best = tqi_hot_kernels(&n) + n - 1;

    *hot = (tqi_hot){.kernel = best, .budget = budget};
    tqi_arena_init(&hot->arena, budget);
    if (bytes < most * sizeof(tqi_hot_entry))
        return false;
    while (2 * most * sizeof(tqi_hot_entry) <= bytes)
        most *= 2;
    size_t slots = most < FIRST_SLOTS ? most : FIRST_SLOTS;
    tqi_hot_entry *entries = allocate_lines(budget, slots);
    hot->most_slots = most;
    if (entries)
        set_lines(hot, entries, NULL, slots);
    return entries != NULL;
}

void tqi_hot_free(tqi_hot *hot)
{
    free_lines(hot->budget, hot->entries, hot->slots);
    free_lines(hot->budget, hot->large, hot->slots);
    tqi_arena_free(&hot->arena);
    hot->entries = NULL;
    hot->large = NULL;
    hot->n = 0;
}

void tqi_hot_clear(tqi_hot *hot, unsigned decimals)
{
    memset(hot->entries, 0, hot->slots * sizeof *hot->entries);
    if (hot->large)
        memset(hot->large, 0, hot->slots * sizeof *hot->large);
    tqi_arena_reset(&hot->arena);
    hot->n = 0;
    hot->values = 0;
    hot->full = false;
    hot->decimals = decimals;
}

static inline size_t next_slot(const tqi_hot *hot, size_t slot)
{
    return (slot + 1) & (hot->slots - 1);
}

/* The first empty slot for a hash. */
static size_t empty_slot(const tqi_hot *hot, uint64_t hash)
{
    size_t slot = hash >> hot->shift;

    while (hot->entries[slot].tag)
        slot = next_slot(hot, slot);
    return slot;
}

static void move_all(tqi_hot *to, const tqi_hot *from)
{
    for (size_t i = 0; i < from->slots; i++) {
        if (from->entries[i].tag == 0)
            continue;
        tqi_key key = tqi_hot_key(&from->entries[i]);
        size_t slot = empty_slot(to, tqi_key_hash(&key));
        to->entries[slot] = from->entries[i];
        if (from->large)
            to->large[slot] = from->large[i];
    }
}

/* Twice as many slots, if it may have them, and there is memory. */
static void grow(tqi_hot *hot)
{
    tqi_hot old = *hot;
    size_t slots = 2 * old.slots;

    if (old.slots == old.most_slots)
        return;
    tqi_hot_entry *entries = allocate_lines(hot->budget, slots);
    tqi_hot_large *large = entries && old.large ? allocate_lines(hot->budget, slots) : NULL;
    if (!entries || !large != !old.large) {
        free_lines(hot->budget, entries, slots);
        hot->most_slots = old.slots;
        return;
    }
    set_lines(hot, entries, large, slots);
    move_all(hot, &old);
    free_lines(hot->budget, old.entries, old.slots);
    free_lines(hot->budget, old.large, old.slots);
}

/* ---- What is not where its hash says, or not small ---- */

enum { NOWHERE = -1 };

/* A slot for a key that is not there; NOWHERE: the table is full. As long as it may grow it is kept so sparse that a
 * key is mostly where its hash says. */
static ptrdiff_t enter(tqi_hot *hot, const tqi_key *key, uint64_t hash)
{
    tqi_key kept = *key;

    if (hot->n >= hot->slots / SPARSE)
        grow(hot);
    hot->full = hot->n >= hot->slots / FULL || hot->arena.used > MOST_KEY_BYTES;
    if (hot->full)
        return NOWHERE;
    if (key->size > TQI_KEY_INLINE) {
        const char *copy = tqi_arena_copy(&hot->arena, (const void *)(uintptr_t)key->word[1], key->size);

        if (!copy)
            return NOWHERE;
        kept.word[1] = (uint64_t)(uintptr_t)copy;
    }
    size_t slot = empty_slot(hot, hash);
    hot->entries[slot] = (tqi_hot_entry){.word = {kept.word[0], kept.word[1]},
                                         .most = {INT32_MIN, INT32_MIN},
                                         .tag = (uint32_t)key->size + 1,
                                         .hash32 = (uint32_t)(hash >> 32)};
    hot->n++;
    return (ptrdiff_t)slot;
}

static bool same_key(const tqi_hot_entry *entry, const tqi_key *key, uint64_t hash)
{
    if (entry->tag != key->size + 1)
        return false;
    if (key->size <= TQI_KEY_INLINE)
        return ((entry->word[0] ^ key->word[0]) | (entry->word[1] ^ key->word[1])) == 0;
    return entry->hash32 == (uint32_t)(hash >> 32) &&
           memcmp((const void *)(uintptr_t)entry->word[1], (const void *)(uintptr_t)key->word[1], key->size) == 0;
}

static ptrdiff_t find(tqi_hot *hot, const tqi_key *key, uint64_t hash)
{
    size_t slot = hash >> hot->shift;

    for (; hot->entries[slot].tag; slot = next_slot(hot, slot))
        if (same_key(&hot->entries[slot], key, hash))
            return (ptrdiff_t)slot;
    return enter(hot, key, hash);
}

static void add_large(tqi_hot_large *large, int64_t value)
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    tqi_u128 square = (tqi_u128)size * size;
    uint64_t words[3] = {(uint64_t)value, (uint64_t)(value >> 63), 0};

    tqi_words_add(large->sum, words, 2);
    words[0] = (uint64_t)square;
    words[1] = (uint64_t)(square >> 64);
    tqi_words_add(large->squares, words, 3);
    large->min = large->count == 0 || value < large->min ? value : large->min;
    large->max = large->count == 0 || value > large->max ? value : large->max;
    large->count++;
}

static bool has_large(tqi_hot *hot)
{
    if (!hot->large)
        hot->large = allocate_lines(hot->budget, hot->slots);
    return hot->large != NULL;
}

void tqi_hot_add_slowly(tqi_hot *hot, const tqi_hot_pairs *pairs, size_t i, const tqi_hot_rows *rows, size_t r,
                        const tqi_hot_scale *by, tqi_hot_done *done)
{
    tq_slice bytes = pairs->keys[i];
    int64_t value = pairs->values[i];
    bool is_small = tqi_hot_is_within(value, by->most_small);
    ptrdiff_t slot = NOWHERE;

    if (bytes.size <= TQI_HOT_LONGEST_KEY &&
        (is_small || (tqi_hot_is_within(value, by->most_large) && has_large(hot)))) {
        tqi_key key = bytes.size > TQI_KEY_INLINE ? tqi_key_borrow_long(bytes.data, bytes.size)
                                                  : tqi_key_load_short(bytes.data, bytes.size);

        slot = find(hot, &key, rows->hash[r]);
    }
    if (slot == NOWHERE)
        done->others[done->n_others++] = (uint32_t)i;
    else if (is_small)
        tqi_hot_add_row(&hot->entries[slot], rows, r);
    else
        add_large(&hot->large[slot], value * by->factor);
}

/* ---- Adding ---- */

/* All of them, since their units are smaller than those of the table. */
static void leave_all(const tqi_hot_pairs *pairs, tqi_hot_done *done)
{
    tqi_digest digest = tqi_digest_of(pairs->decimals);

    done->n_others = pairs->n;
    for (size_t i = 0; i < pairs->n; i++) {
        done->others[i] = (uint32_t)i;
        done->check += tqi_hash(pairs->keys[i].data, pairs->keys[i].size) * tqi_digest_value(&digest, pairs->values[i]);
    }
}

void tqi_hot_add(tqi_hot *hot, const tqi_hot_pairs *pairs, tqi_hot_done *done)
{
    done->n_others = 0;
    done->check = 0;
    if (hot->n == 0 && hot->decimals < pairs->decimals)
        hot->decimals = pairs->decimals;
    if (hot->decimals < pairs->decimals)
        leave_all(pairs, done);
    else
        hot->kernel->add(hot, pairs, done);
    hot->values += pairs->n;
}

/* ---- Emptying ---- */

const tqi_hot_entry *tqi_hot_next(const tqi_hot *hot, size_t *next)
{
    while (hot->entries && *next < hot->slots) {
        const tqi_hot_entry *entry = &hot->entries[(*next)++];

        if (entry->tag)
            return entry;
    }
    return NULL;
}

tqi_key tqi_hot_key(const tqi_hot_entry *entry)
{
    return (tqi_key){{entry->word[0], entry->word[1]}, entry->tag - 1};
}

static tq_summary summary_of_small(const tqi_hot_entry *entry, unsigned decimals)
{
    tq_summary made = {.count = entry->sums[3], .decimals = decimals};
    tqi_u128 squares = ((tqi_u128)entry->sums[2] << 32) + entry->sums[1];

    tqi_words_set(made.sum, TQI_SUM_WORDS, (int64_t)entry->sums[0]);
    tqi_words_set(made.max, TQI_EXTREME_WORDS, entry->most[0]);
    tqi_words_set(made.min, TQI_EXTREME_WORDS, ~(int64_t)entry->most[1]);
    made.squares[0] = (uint64_t)squares;
    made.squares[1] = (uint64_t)(squares >> 64);
    return made;
}

static tq_summary summary_of_large(const tqi_hot_large *large, unsigned decimals)
{
    tq_summary made = {.count = large->count, .decimals = decimals};

    memcpy(made.sum, large->sum, sizeof large->sum);
    made.sum[2] = (uint64_t)((int64_t)large->sum[1] >> 63);
    memcpy(made.squares, large->squares, sizeof large->squares);
    tqi_words_set(made.min, TQI_EXTREME_WORDS, large->min);
    tqi_words_set(made.max, TQI_EXTREME_WORDS, large->max);
    return made;
}

tq_summary tqi_hot_summary(const tqi_hot *hot, const tqi_hot_entry *entry)
{
    const tqi_hot_large *large = hot->large ? &hot->large[entry - hot->entries] : NULL;

    if (!large || large->count == 0)
        return summary_of_small(entry, hot->decimals);
    tq_summary made = summary_of_large(large, hot->decimals);
    if (entry->sums[3]) {
        tq_summary small = summary_of_small(entry, hot->decimals);

        tqi_summary_merge(&made, &small);
    }
    return made;
}
