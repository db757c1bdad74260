#include "mpi/stats.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a rank sends; it travels as it is. */
typedef struct rank_report {
    tq_rank_stats stats;
    uint64_t hottest_bytes;
    uint64_t hottest_partition;
    uint64_t rounds;
    uint64_t merged_early, not_tried;
} rank_report;

double tqi_cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static rank_report report_of(tqi_job *job)
{
    rank_report report = {.hottest_bytes = job->hottest_bytes,
                          .hottest_partition = job->hottest_partition,
                          .rounds = job->rounds,
                          .merged_early = job->merged_early,
                          .not_tried = job->not_tried};
    struct rusage usage;

    for (int p = 0; p < TQ_PHASES; p++) {
        report.stats.seconds[p] = tqi_hub_seconds(job->hub, (tq_phase)p);
        report.stats.bytes[p] = job->counts.phase[p].bytes;
        report.stats.records[p] = job->counts.phase[p].records;
    }
    getrusage(RUSAGE_SELF, &usage);
    report.stats.sent_bytes = job->sent;
    report.stats.peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
    report.stats.spilled_bytes = job->spilled + job->store.spilled + job->results.spilled;
    report.stats.spilled_raw_bytes = job->spilled_raw + job->store.spilled_raw + job->results.spilled_raw;
    report.stats.budget_bytes = job->budget.limit;
    report.stats.reduce_passes = job->passes;
    report.stats.cpu_s = tqi_cpu_seconds() - job->cpu_begin_s;
    report.stats.threads = tq_executor_workers(job->executor);
    gethostname(report.stats.host, sizeof report.stats.host - 1);
    return report;
}

static void fill_load(tq_stats *stats)
{
    uint64_t total = 0, most = 0;

    for (int r = 0; r < stats->ranks; r++) {
        uint64_t records = stats->rank[r].records[TQ_PHASE_REDUCE];

        total += records;
        if (records <= most)
            continue;
        most = records;
        stats->load_max_rank = r;
    }
    stats->load_max_over_mean = total ? (double)most * stats->ranks / (double)total : 1;
}

static void fill(tqi_job *job, const rank_report *reports)
{
    tq_stats *stats = &job->stats;
    tq_progress progress;

    tqi_hub_snapshot(job->hub, &progress);
    stats->seconds = progress.seconds;
    stats->files = job->inputs.n;
    stats->splits = job->shipped ? job->control.chunks : job->inputs.splits;
    stats->rows = job->total_rows;
    stats->partitions = tqi_is_direct(job) ? job->order_spec.partitions : job->spec.partitions;
    stats->emitted = job->emitted;
    stats->flushed = job->flushed;
    stats->shuffled = job->shuffled;
    stats->reduced = job->reduced;
    stats->ordered = job->ordered;
    stats->written = job->written;
    stats->n_counters = job->description.n_counters;
    stats->counter_names = job->description.counters;
    stats->counters = job->counters;
    stats->bad_records = job->bad.count;
    for (size_t i = 0; i < job->bad.n; i++)
        job->bad_shown[i] = (tq_bad){job->bad.places[i].file, job->bad.places[i].offset, job->bad.places[i].reason};
    _Static_assert((int)TQI_BAD_KEPT == TQ_BAD_SHOWN, "what is kept is shown");
    stats->n_bad = job->bad.n;
    stats->bad = job->bad_shown;
    stats->ranks = job->comm->size;
    stats->rank = job->rank_stats;
    for (int r = 0; r < job->comm->size; r++) {
        job->rank_stats[r] = reports[r].stats;
        stats->merged_early += reports[r].merged_early;
        stats->not_tried += reports[r].not_tried;
        stats->input_bytes += reports[r].stats.bytes[TQ_PHASE_MAP];
        if (reports[r].hottest_bytes > stats->hottest_bytes) {
            stats->hottest_bytes = reports[r].hottest_bytes;
            stats->hottest_partition = (int)reports[r].hottest_partition;
            stats->hottest_rank = r;
        }
        stats->rounds = reports[r].rounds; /* the same on all ranks */
    }
    fill_load(stats);
}

tq_status tqi_stats_collect(tqi_job *job, tq_error *error)
{
    rank_report mine = report_of(job);
    char *all;
    size_t size;
    tq_status status = tqi_comm_gather(job->comm, &mine, sizeof mine, &all, &size, error);

    if (!status && job->comm->rank == 0) {
        job->rank_stats = calloc((size_t)job->comm->size, sizeof *job->rank_stats);
        if (job->rank_stats)
            fill(job, (const rank_report *)(const void *)all);
    }
    free(all);
    return status;
}
