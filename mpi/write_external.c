/* Writing a range that does not fit the memory (node/external.h): its text is made a part at a time, by one task after
 * the other. */
#include "mpi/job.h"

#include "common/error.h"
#include "node/external.h"

/* Of a range that does not fit the memory: what is sorted at once, at least, and rows of which one text is made. */
enum { LEAST_TO_SORT = 1 << 20, LEAST_AT_ONCE = 64 << 10, MOST_AT_ONCE = 4 << 20 };

/* Of what one text is made of a range that does not fit the memory. */
static uint64_t bytes_at_once(const tqi_job *job)
{
    uint64_t range = tqi_range_bytes(job);

    return range / 4 > MOST_AT_ONCE ? MOST_AT_ONCE : range / 4 < LEAST_AT_ONCE ? LEAST_AT_ONCE : range / 4;
}

void tqi_write_more(tqi_work *work, int worker)
{
    tqi_job *job = work->job;
    uint64_t bytes = bytes_at_once(job);
    tqi_rows rows;
    tq_status status = TQ_OK;

    tqi_rows_init(&rows, NULL); /* they are few: the range must get on, however much others have */
    tqi_budget_take_anyway(&job->budget, bytes);
    if (!work->text.data && (work->text.data = tqi_budget_force(&job->budget, 4 * bytes)))
        work->text.capacity = 4 * bytes;
    while (!status && rows.n == 0 && !tqi_external_is_over(work->rest)) {
        tqi_place *place = tqi_enter_order(job, worker);

        status = tqi_external_next(work->rest, bytes, &rows, &work->dropped, &work->error);
        tqi_leave_order(place);
    }
    tqi_count_rows(job, &rows, 0, rows.n, &work->account);
    if (!status)
        tqi_make_text(work, worker, &rows);
    tqi_rows_free(&rows);
    tqi_budget_give(&job->budget, bytes);
    if (status || !tqi_external_is_over(work->rest))
        return;
    tqi_external_spilled(work->rest, &work->spilled, &work->spilled_raw);
    tqi_external_free(work->rest);
    work->rest = NULL;
}

void tqi_write_externally(tqi_work *work, int worker, size_t kept)
{
    tqi_job *job = work->job;
    uint64_t range = tqi_range_bytes(job);

    if (!tqi_makes_text(job) || !tqi_spec_orders(&job->spec))
        return;
    tqi_error_clear(&work->error);
    tqi_text_free(&work->text);
    work->loaded = work->account = work->dropped = (tq_account){0};
    work->bytes = 0;
    tqi_place *place = tqi_enter_order(job, worker);
    tqi_external_sort(job->final_spec, job->final, work->part, range > LEAST_TO_SORT ? range : LEAST_TO_SORT,
                      &work->loaded, &work->rest, &work->error);
    tqi_leave_order(place);
    tqi_store_drop(job->final, work->part);
    if (!work->rest)
        return;
    tqi_external_limit(work->rest, kept);
    tqi_write_more(work, worker);
}
