/* Cutting text into words, 64 bytes at a time, with what the CPU at hand has: one kernel for each set of instructions,
 * all with the same answers, behind one type. tq_next_words (node/words.c) calls the best of them.
 *
 * A mask says which of the 64 bytes are part of a word; where it differs from itself shifted by one, a word starts or
 * ends. (The technique is that of simdjson's structural index: Langdale and Lemire, "Parsing gigabytes of JSON per
 * second", 2019.) The number of words in a block is random, and a loop that ends at it mispredicts once a block. So
 * words are written a fixed number at a time, beyond the last if need be, and the mask tells how many they are.
 *
 * Any thread. All tables are constant. The best cutter is looked for once and kept in an atomic pointer that nobody else
 * sees; threads that look at the same time find the same. */
#ifndef TQI_CUTTER_H
#define TQI_CUTTER_H

#include <stdbool.h>
#include <stdint.h>
#include <tequio/mapreduce.h>

enum {
    TQI_CUT_BLOCK = 64,
    /* A kernel writes at most so many words beyond those that are complete: one that a block closes, and 32 of its own,
     * the last of them perhaps not complete. */
    TQI_CUT_ROOM = 33
};

/* A text being cut. One thread's. */
typedef struct tqi_cut {
    const char *at; /* the block that comes next */
    size_t open;    /* length up to here of the word that ends at at, or goes on there; 0 if none does */
    tq_slice *words;
    size_t count; /* of words, complete */
    size_t most;  /* no block is begun with more words than this: capacity - TQI_CUT_ROOM */
} tqi_cut;

/* Cut blocks of 64 bytes, up to as many as there are or until count > most. The blocks stand at bytes; what is written
 * to words are addresses from cut->at on (the last block of a text is a copy with spaces behind it). Reads no byte
 * outside the blocks. */
typedef void tqi_cut_fn(tqi_cut *cut, const char *bytes, size_t blocks);

typedef struct tqi_cutter {
    const char *name;
    tqi_cut_fn *cut_blocks;
    bool (*supported)(void); /* by the CPU */
} tqi_cutter;

/* The one that tq_next_words takes: the last that this CPU supports. */
const tqi_cutter *tqi_cutter_best(void);

/* All that were compiled, the portable one first and the best last. For tests and measurements. */
const tqi_cutter *tqi_cutters(size_t *n);

/* tq_next_words with this cutter. */
size_t tqi_cut_words(const tqi_cutter *cutter, tq_slice *text, tq_slice *words, size_t capacity);

#endif
