/* Members of the objects of JSON Lines: a line is an object, in which some members are looked for by their names.
 *
 * What a string holds is taken as UTF-8 (half a surrogate pair is no character: '?'); a number, true, false or null as it is
 * written: no digit of a number is lost. Members of objects inside the object are not looked at; of several members of one
 * name the last counts. A line of white space is no record. A line that is no object, or lacks a member, is a bad record.
 *
 * Any thread, each with a record and an emitter of its own. */
#ifndef JOBS_MEMBERS_H
#define JOBS_MEMBERS_H

#include <stdbool.h>
#include <tequio/mapreduce.h>

enum { MEMBERS_MOST = 2 };

typedef struct members_wanted {
    const char *name;
    bool number; /* anything else is a bad record */
} members_wanted;

/* Takes the n wanted members of one line, which are valid during the call. line: in the chunk, without its LF. */
typedef tq_status (*members_take_fn)(void *to, tq_slice line, const tq_slice *members);

/* Hand the n wanted members (n <= MEMBERS_MOST) of each line of chunk to take, in the order of wanted. */
tq_status members_of(const tq_record *chunk, tq_emitter *emitter, const members_wanted *wanted, size_t n,
                     members_take_fn take, void *to);

#endif
