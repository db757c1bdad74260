/* Keys that belong together though they differ (tq_job.group, or since their places are behind them, node/arrival.h): the pairs of
 * a partition in the order in which a reducer gets them. Groups come by hash, the pairs of a group by the keys that were emitted,
 * those of one key by place, or by value.
 *
 * The job's function is not believed: whatever it answers, no pair is lost, and nothing is read behind a key. Workers, several
 * at a time, on tables of their own. */
#ifndef TQI_GROUPING_H
#define TQI_GROUPING_H

#include "node/table.h"

/* Put the entries of a table that is for groups (tqi_table_keep_all) in order, and combine those of equal keys. TQ_E_MEMORY,
 * TQ_E_CANCELLED, TQ_E_USER: the combiner failed (table->user_code). */
tq_status tqi_grouping_sort(tqi_table *table);

/* Whether a comes before b in that order: by hash, group, key, and place or value. Both have the hash of their group. */
bool tqi_grouping_before(const tqi_spec *spec, const tqi_entry *a, const tqi_entry *b);

/* The end of the group that begins at first, of n entries in order. *group: its key. */
size_t tqi_grouping_end(const tqi_spec *spec, const tqi_entry *entries, size_t first, size_t n, tq_slice *group);

#endif
