/* The groups of a spool, for a reducer: pairs that the memory has no room for, group by group and value by value. The entries
 * are those of spec->shape, in the order in which node/reduce.c has sorted them.
 *
 * One thread at a time. */
#ifndef TQI_GROUP_STREAM_H
#define TQI_GROUP_STREAM_H

#include "node/place.h"
#include "node/spool.h"

/* Who hears of a stream's groups and rows. */
typedef struct tqi_stream_sink {
    tq_status (*group)(void *owner, const tqi_entry *first, tq_error *error); /* the first entry of each group */
    tq_status (*rows)(void *owner, tqi_rows *rows, tq_error *error);          /* some rows; it forgets them */
    void *owner;
    tq_account *reduced; /* all entries are added to it, once */
    tqi_place *place;    /* follows the keys; NULL: nobody asks */
} tqi_stream_sink;

/* Two readers read the same runs: one goes ahead to find where a group ends, the other gives its values. */
typedef struct tqi_group_stream {
    const tqi_spool *spool;
    const tqi_stream_sink *sink;
    tqi_spool_reader ahead, behind;
    const tqi_entry *next; /* the first entry of the next group; NULL: there is none */
    uint64_t left;         /* of the group, for behind */
    char *group;           /* its key, of size bytes */
    size_t size, capacity;
    uint64_t seen, accounted; /* entries, since the beginning and at most */
    tq_error *error;
} tqi_group_stream;

/* spool is sealed. What goes wrong stands in error, which is clear now and outlives the stream: the errors of a
 * spool, TQ_E_CANCELLED, and what sink answers. */
void tqi_group_stream_open(tqi_group_stream *from, const tqi_spool *spool, const tqi_stream_sink *sink, tq_error *error);
void tqi_group_stream_close(tqi_group_stream *from);

/* Begin again. */
void tqi_group_stream_rewind(tqi_group_stream *from);

/* Go on to the next group: its key is from->group, the number of its values from->left. False: there is none, or
 * error says why. */
bool tqi_group_stream_next(tqi_group_stream *from);

/* The next value of the group, valid until the next call, or NULL. */
const tqi_entry *tqi_group_stream_value(tqi_group_stream *from);

/* Past one entry, whatever its group: from->next is the one behind it. Not together with the two above. */
void tqi_group_stream_pass(tqi_group_stream *from);

#endif
