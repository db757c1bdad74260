#include "mpi/schedule.h"

/* A rank's first share is an eighth of what it would map if all were equally fast: enough to keep it busy while the
 * next share comes, little enough that a rank that is ten times slower does not hold up the others. A later share is
 * half of an equal part of what is left. */
enum { FIRST_SHARE_PART = 8, LATER_SHARE_PART = 2 };

static tqi_range take(tqi_schedule *schedule, uint64_t count)
{
    uint64_t left = schedule->splits - schedule->next;
    tqi_range range = {schedule->next, count < left ? count : left};

    schedule->next += range.count;
    return range;
}

static uint64_t share_of(uint64_t left, uint64_t parts)
{
    return left / parts + (left % parts != 0);
}

void tqi_schedule_start(tqi_schedule *schedule, uint64_t splits, int ranks, tqi_range *first)
{
    *schedule = (tqi_schedule){.splits = splits, .ranks = (uint64_t)ranks};
    uint64_t share = share_of(splits, FIRST_SHARE_PART * schedule->ranks);
    for (int r = 0; r < ranks; r++)
        first[r] = take(schedule, share);
}

tqi_range tqi_schedule_next(tqi_schedule *schedule)
{
    return take(schedule, share_of(schedule->splits - schedule->next, LATER_SHARE_PART * schedule->ranks));
}
