#include "mpi/schedule.h"

/* Splits from next on, at least one, until they are so much work. */
static tqi_range take(tqi_schedule *schedule, uint64_t work)
{
    const tqi_inputs *inputs = schedule->inputs;
    uint64_t first = schedule->next, before = tqi_inputs_work_before(inputs, first);
    uint64_t low = first + 1, high = inputs->splits;

    if (first == inputs->splits)
        return (tqi_range){first, 0};
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (tqi_inputs_work_before(inputs, middle) - before < work)
            low = middle + 1;
        else
            high = middle;
    }
    low = tqi_inputs_share_end(inputs, low);
    schedule->next = low;
    return (tqi_range){first, low - first};
}

static uint64_t share_of_what_is_left(const tqi_schedule *schedule)
{
    const tqi_inputs *inputs = schedule->inputs;
    uint64_t left = tqi_inputs_work_before(inputs, inputs->splits) - tqi_inputs_work_before(inputs, schedule->next);

    return left / TQI_SHARE_PART / schedule->ranks;
}

void tqi_schedule_start(tqi_schedule *schedule, const tqi_inputs *inputs, int ranks, tqi_range *first)
{
    *schedule = (tqi_schedule){.inputs = inputs, .ranks = (uint64_t)ranks};
    uint64_t share = inputs ? share_of_what_is_left(schedule) : 0;

    for (int r = 0; r < ranks; r++)
        first[r] = inputs ? take(schedule, share) : (tqi_range){0};
}

tqi_range tqi_schedule_next(tqi_schedule *schedule)
{
    if (!schedule->inputs)
        return (tqi_range){0};
    return take(schedule, share_of_what_is_left(schedule));
}
