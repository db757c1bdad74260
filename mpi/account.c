/* The end of the account: the stages of a job, summed over all ranks, must say the same. */
#include "common/account.h"
#include "common/error.h"
#include "mpi/job.h"

#include <inttypes.h>

enum { NUMBERS = 3 };

static void put(uint64_t *numbers, const tq_account *account)
{
    numbers[0] = account->records;
    numbers[1] = account->weight;
    numbers[2] = account->check;
}

static tq_account get(const uint64_t *numbers)
{
    return (tq_account){numbers[0], numbers[1], numbers[2]};
}

/* Sum n accounts and merged over all ranks, in place. */
static tq_status sum(tqi_job *job, tq_account *accounts, int n, uint64_t *merged, tq_error *error)
{
    uint64_t numbers[NUMBERS * 4 + 1] = {0};

    for (int i = 0; i < n; i++)
        put(numbers + NUMBERS * i, &accounts[i]);
    numbers[NUMBERS * n] = *merged;
    tq_status status = tqi_comm_sum(job->comm, numbers, NUMBERS * n + 1, error);
    for (int i = 0; i < n; i++)
        accounts[i] = get(numbers + NUMBERS * i);
    *merged = numbers[NUMBERS * n];
    return status;
}

static tq_status differ(const char *first, const tq_account *a, const char *second, const tq_account *b,
                        tq_error *error)
{
    return tqi_fail(error, TQ_E_ACCOUNT,
                    "records were lost or corrupted: %s %" PRIu64 " records (weight %" PRIu64 ", check %016" PRIx64
                    "), but %s %" PRIu64 " (weight %" PRIu64 ", check %016" PRIx64 ")",
                    first, a->records, a->weight, a->check, second, b->records, b->weight, b->check);
}

static bool same(const tq_account *a, const tq_account *b)
{
    return a->weight == b->weight && a->check == b->check;
}

/* Stage b got what stage a gave, and combined merged records away. Sums and summaries keep weight and check through
 * combining; other combiners keep the number of records that went in. */
static tq_status check_combined(const tqi_job *job, const char *first, const tq_account *a, const char *second,
                                const tq_account *b, uint64_t merged, tq_error *error)
{
    bool ok = a->records == b->records + merged;

    if (job->spec.combine == TQ_SUM || job->spec.combine == TQ_STATS || job->spec.combine == TQ_COMBINE_NONE)
        ok = ok && same(a, b);
    return ok ? TQ_OK : differ(first, a, second, b, error);
}

static tq_status check_moved(const char *first, const tq_account *a, const char *second, const tq_account *b,
                             tq_error *error)
{
    return a->records == b->records && same(a, b) ? TQ_OK : differ(first, a, second, b, error);
}

tq_status tqi_account_check_reduced(tqi_job *job, tq_error *error)
{
    tq_account all[4] = {job->emitted, job->flushed, job->shuffled, job->reduced};
    uint64_t mapped = job->merged_mapping, reduced = job->merged_reducing;
    tq_account nothing = {0};
    tq_status status = sum(job, all, 4, &mapped, error);

    if (!status)
        status = sum(job, &nothing, 1, &reduced, error);
    if (status)
        return status;
    job->emitted = all[0];
    job->flushed = all[1];
    job->shuffled = all[2];
    job->reduced = all[3];
    status = check_combined(job, "the mappers emitted", &all[0], "their tables sent", &all[1], mapped, error);
    if (!status)
        status = check_moved("the tables sent", &all[1], "the partitions received", &all[2], error);
    if (!status)
        status = check_combined(job, "the partitions received", &all[2], "reducing kept", &all[3], reduced, error);
    return status;
}

tq_status tqi_account_check_direct(tqi_job *job, tq_error *error)
{
    tq_account all[4] = {job->emitted, job->flushed, job->ordered, job->left_out};
    uint64_t none = 0;
    tq_status status = sum(job, all, 4, &none, error);

    if (status)
        return status;
    job->emitted = all[0];
    job->flushed = all[1];
    job->ordered = job->shuffled = job->reduced = all[2];
    /* Rows are left out while they are mapped, or when they are routed later. */
    if (job->routes)
        tqi_account_add(&all[1], &all[3]);
    tqi_account_add(&all[2], &all[3]);
    status = check_moved("the mappers emitted", &all[0], "their pages have", &all[1], error);
    return status ? status : check_moved("the mappers emitted", &all[0], "the ranges received", &all[2], error);
}

tq_status tqi_account_check_ordered(tqi_job *job, tq_error *error)
{
    tq_account all[2] = {job->result, job->ordered};
    uint64_t none = 0;
    tq_status status = sum(job, all, 2, &none, error);

    if (status)
        return status;
    job->result = all[0];
    job->ordered = all[1];
    return check_moved("reducing made", &all[0], "ordering received", &all[1], error);
}

tq_status tqi_account_check_written(tqi_job *job, tq_error *error)
{
    tq_account all[2] = {job->written, job->dropped};
    uint64_t none = 0;
    tq_status status = sum(job, all, 2, &none, error);

    if (status)
        return status;
    job->written = all[0];
    if (job->spec.unique)
        job->total_rows = all[0].records;
    tqi_account_add(&all[0], &all[1]);
    return check_moved("the result has", &job->ordered, "writing kept", &all[0], error);
}
