#include "bench/smpi/meter.h"
#include "bench/smpi/shim.h"

#include "mpi/job.h"
#include <stdbool.h>
#include <time.h>

static const char *const names[TQS_KINDS] = {"tree",    "broadcast", "up",      "down",     "statement", "decision",
                                             "bcast",   "gather",    "gatherv", "scatter",  "counts",    "data",
                                             "request", "share",     "chunk",   "progress", "text",      "farewell"};

static struct {
    unsigned long long calls; /* collectives: by rank 0 */
    unsigned long long messages, bytes;
    double waited_s, longest_s; /* by rank 0 */
    unsigned long long noticed; /* messages that were probed for, and how late that was */
    double late_s, latest_s;
} totals[TQS_KINDS];

/* The newest message of the one of its two ranks that is farther from rank 0; 0: it was noticed already. */
static double sent_at[TQS_KINDS][TQS_MOST_RANKS];

tqs_kind tqs_kind_of(int tag)
{
    static const tqs_kind kinds[] = {
        [TQI_TAG_REQUEST] = TQS_REQUEST,   [TQI_TAG_SHARE] = TQS_SHARE,       [TQI_TAG_CHUNK] = TQS_CHUNK,
        [TQI_TAG_PROGRESS] = TQS_PROGRESS, [TQI_TAG_TEXT] = TQS_TEXT,         [TQI_TAG_STATEMENT] = TQS_STATEMENT,
        [TQI_TAG_DECISION] = TQS_DECISION, [TQI_TAG_FAREWELL] = TQS_FAREWELL, [TQI_TAG_UP] = TQS_UP,
        [TQI_TAG_DOWN] = TQS_DOWN};

    return kinds[tag];
}

void tqs_count_message(tqs_kind what, int count, MPI_Datatype type)
{
    int size;

    MPI_Type_size(type, &size);
    totals[what].messages++;
    totals[what].bytes += (unsigned long long)count * (unsigned long long)size;
}

static double *time_of(int tag, int sender, int receiver)
{
    bool outwards = tag == TQI_TAG_SHARE || tag == TQI_TAG_CHUNK || tag == TQI_TAG_DECISION || tag == TQI_TAG_DOWN;

    return &sent_at[tqs_kind_of(tag)][outwards ? receiver : sender];
}

void tqs_note_sent(int tag, int sender, int receiver)
{
    *time_of(tag, sender, receiver) = MPI_Wtime();
}

void tqs_note_seen(int tag, int sender, int receiver)
{
    double *sent = time_of(tag, sender, receiver), late = MPI_Wtime() - *sent;
    tqs_kind what = tqs_kind_of(tag);

    if (*sent <= 0)
        return;
    *sent = 0;
    totals[what].noticed++;
    totals[what].late_s += late;
    if (late > totals[what].latest_s)
        totals[what].latest_s = late;
}

void tqs_count_call(tqs_kind what, double begun)
{
    double waited = MPI_Wtime() - begun;

    totals[what].calls++;
    totals[what].waited_s += waited;
    if (waited > totals[what].longest_s)
        totals[what].longest_s = waited;
}

/* ---- What all ranks do together: linked with --wrap ---- */

#define WRAP(what, name, parameters, ...)                                                                              \
    tq_status __real_##name parameters;                                                                                \
    tq_status __wrap_##name parameters;                                                                                \
    tq_status __wrap_##name parameters                                                                                 \
    {                                                                                                                  \
        double begun = MPI_Wtime();                                                                                    \
        tq_status status = __real_##name(__VA_ARGS__);                                                                 \
                                                                                                                       \
        if (comm->rank == 0)                                                                                           \
            tqs_count_call(what, begun);                                                                               \
        return status;                                                                                                 \
    }

WRAP(TQS_TREE, tqi_comm_sum, (const tqi_comm *comm, uint64_t *numbers, int n, tq_error *error), comm, numbers, n, error)
WRAP(TQS_TREE, tqi_comm_max, (const tqi_comm *comm, uint64_t *numbers, int n, tq_error *error), comm, numbers, n, error)
WRAP(TQS_TREE, tqi_comm_sum_before, (const tqi_comm *comm, uint64_t mine, uint64_t *before, tq_error *error), comm,
     mine, before, error)
WRAP(TQS_TREE, tqi_comm_agree, (const tqi_comm *comm, tq_error *error), comm, error)
WRAP(TQS_BROADCAST, tqi_comm_broadcast, (const tqi_comm *comm, int root, char **bytes, size_t *size, tq_error *error),
     comm, root, bytes, size, error)

/* ---- The phases of rank 0: each begins with a function that no other calls first, wrapped likewise ---- */

enum { PLAN, MAP, RANGES, REDUCE, WRITE, END, PHASES };

static const char *const phases[PHASES] = {"plan", "map", "ranges", "reduce", "write", "end"};
static double began[PHASES];

static void begin(const tqi_comm *comm, int phase)
{
    if (comm->rank == 0 && began[phase] <= 0)
        began[phase] = MPI_Wtime();
}

#define BEGINS(phase, type, name, parameters, ...)                                                                     \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        begin(job->comm, phase);                                                                                       \
        return __real_##name(__VA_ARGS__);                                                                             \
    }

BEGINS(MAP, tq_status, tqi_map_start, (tqi_job * job, tq_error *error), job, error)
BEGINS(RANGES, tq_status, tqi_reduce_start, (tqi_job * job, tq_error *error), job, error)
BEGINS(REDUCE, bool, tqi_reduce_step, (tqi_job * job, tqi_vote *vote), job, vote)
BEGINS(WRITE, tq_status, tqi_write_start, (tqi_job * job, tq_error *error), job, error)

void __real_tqi_job_run(tqi_job *job);
void __wrap_tqi_job_run(tqi_job *job);
void __wrap_tqi_job_run(tqi_job *job)
{
    begin(job->comm, PLAN);
    __real_tqi_job_run(job);
}

tq_status __real_tqi_pulse_finish(tqi_pulse *pulse, tq_error *error);
tq_status __wrap_tqi_pulse_finish(tqi_pulse *pulse, tq_error *error);
tq_status __wrap_tqi_pulse_finish(tqi_pulse *pulse, tq_error *error)
{
    begin(pulse->comm, END);
    return __real_tqi_pulse_finish(pulse, error);
}

/* ---- Rests ---- */

/* A rank is the only one of its host, and its engine inline: nobody rings it while it sleeps. */
bool __wrap_tqi_bells_sleep(tqi_bells *bells, unsigned us);
bool __wrap_tqi_bells_sleep(tqi_bells *bells, unsigned us)
{
    uint32_t heard = bells->heard;
    struct timespec time = {us / 1000000, us % 1000000 * 1000L + SLACK_NS};

    if (atomic_load(&bells->own->rings) == heard)
        smpi_nanosleep(&time, NULL);
    bells->heard = atomic_load(&bells->own->rings);
    return bells->heard != heard;
}

/* ---- The report ---- */

static void report_phases(FILE *to)
{
    double until = MPI_Wtime();

    fprintf(to, "kind phases total %.9f", until - began[PLAN]);
    for (int p = PHASES - 1; p >= 0; p--) {
        fprintf(to, " %s %.9f", phases[p], until - began[p]);
        until = began[p];
    }
    fprintf(to, "\n");
}

void tqs_report(FILE *to)
{
    report_phases(to);
    for (int k = 0; k < TQS_KINDS; k++)
        if (totals[k].messages || totals[k].calls)
            fprintf(to,
                    "kind %s calls %llu messages %llu bytes %llu waited_s %.9f longest_s %.9f noticed %llu late_s %.9f "
                    "latest_s %.9f\n",
                    names[k], totals[k].calls, totals[k].messages, totals[k].bytes, totals[k].waited_s,
                    totals[k].longest_s, totals[k].noticed, totals[k].late_s, totals[k].latest_s);
}
