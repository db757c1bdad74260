/* Blocks: many pairs back to back, as they cross into programs for which a call is dear (tequio/mapreduce.h). Here they
 * are read pair by pair, and the groups of a reducer are made into them.
 *
 * Belongs to one worker at a time. */
#ifndef TQI_BLOCK_H
#define TQI_BLOCK_H

#include "common/budget.h"
#include "node/entry.h"
#include <stdbool.h>
#include <tequio/mapreduce.h>

typedef struct tqi_block_reader {
    const tq_block *block;
    const tqi_value_shape *shape;
    size_t next;
    const char *key, *value;
} tqi_block_reader;

tqi_block_reader tqi_block_read(const tq_block *block, const tqi_value_shape *shape);

/* The next pair; number is its value for TQ_I64, value for the other types. False: there is none left. */
bool tqi_block_next(tqi_block_reader *reader, tq_slice *key, int64_t *number, tq_slice *value);

/* Groups for a reducer of many keys. Count those that come together, as long as there is room; then fill them in. */
typedef struct tqi_groups {
    tqi_budget *budget;
    const tqi_value_shape *shape;
    tq_groups groups;
    size_t key_bytes, value_bytes;
    char *memory;
    size_t capacity;
} tqi_groups;

void tqi_groups_clear(tqi_groups *packed);
void tqi_groups_free(tqi_groups *packed);

/* Always for the first group, however large. */
bool tqi_groups_has_room(const tqi_groups *packed);

/* One more group: n entries of one key. */
void tqi_groups_count(tqi_groups *packed, const tqi_entry *group, size_t n);

/* All groups that were counted, back to back from entries on; same tells where one ends. TQ_E_MEMORY. */
tq_status tqi_groups_fill(tqi_groups *packed, const tqi_entry *entries, size_t n,
                          bool (*same)(const tqi_entry *a, const tqi_entry *b));

#endif
