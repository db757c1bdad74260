/* What a job tells about itself while it runs: the callbacks, their order and their numbers, that a slow one holds
 * nothing up, that none comes too late, and snapshots from another thread. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LINES = 1500, LINE = 16 };

static struct trial trial;
static char input_path[PATH_SIZE], *const input_paths[] = {input_path};

/* What one phase has said so far. */
struct said {
    uint64_t calls, done, total, not_done;
};

/* What the callbacks of a job share; they are called by one thread, and read when no more come. */
struct diary {
    struct said by_tag[TQ_PHASES], by_snapshot[TQ_PHASES];
    atomic_int calls;
    atomic_bool released; /* tq_future_release has returned */
    atomic_bool hold;     /* a call of the callback does not return */
    double map_pause_s;   /* that a record takes */
};

static int map_with_pauses(const tq_record *record, tq_emitter *emitter, void *user)
{
    struct diary *diary = user;

    sleep_s(diary->map_pause_s);
    return tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1) != TQ_OK;
}

static int phase_of(const char *tag)
{
    for (int p = 0; p < TQ_PHASES; p++)
        if (strcmp(tag, tq_phase_tag((tq_phase)p)) == 0)
            return p;
    check_failed(__FILE__, __LINE__, "the tag is '%s'", tag);
}

static void note(struct said *said, uint64_t done, uint64_t not_done, const char *tag)
{
    CHECK_THAT(done >= said->done, "%s: done fell from %" PRIu64 " to %" PRIu64, tag, said->done, done);
    CHECK_THAT(done + not_done >= said->total, "%s: done + not_done fell from %" PRIu64 " to %" PRIu64, tag,
               said->total, done + not_done);
    CHECK_THAT(said->calls == 0 || said->not_done > 0 || not_done == 0 || done + not_done > said->total,
               "%s: not_done came back", tag);
    *said = (struct said){said->calls + 1, done, done + not_done, not_done};
}

static void count_call(struct diary *diary)
{
    CHECK_THAT(trial.rank == 0, "a callback on rank %d", trial.rank);
    CHECK_THAT(!atomic_load(&diary->released), "a callback after tq_future_release");
    atomic_fetch_add(&diary->calls, 1);
    while (atomic_load(&diary->hold))
        sleep_s(0.001);
    CHECK_THAT(!atomic_load(&diary->released), "a callback outlived tq_future_release");
}

static int on_progress(const char *tag, uint64_t done, uint64_t not_done, void *user)
{
    struct diary *diary = user;

    note(&diary->by_tag[phase_of(tag)], done, not_done, tag);
    count_call(diary);
    return 0;
}

static void check_phase(const tq_phase_progress *now)
{
    if (!now->started)
        CHECK_THAT(!now->finished && now->done == 0 && now->seconds == 0, "%s says something before it starts",
                   now->tag);
    if (now->finished)
        CHECK_THAT(now->not_done == 0, "%s is finished, and %" PRIu64 " not done", now->tag, now->not_done);
    CHECK(now->seconds >= 0);
    CHECK(now->slowest_rank >= -1 && now->slowest_rank < trial.size);
    if (now->slowest_rank >= 0)
        CHECK_THAT(now->slowest_not_done > 0, "%s: the slowest rank has done everything", now->tag);
}

static void check_snapshot(const tq_progress *progress)
{
    CHECK(progress->ranks == trial.size && progress->seconds >= 0);
    CHECK((unsigned)progress->phase < TQ_PHASES);
    CHECK(progress->silent_s >= 0 && progress->silent_rank >= -1 && progress->silent_rank < trial.size);
    for (int p = 0; p < TQ_PHASES; p++) {
        CHECK(phase_of(progress->phases[p].tag) == p);
        check_phase(&progress->phases[p]);
        if (p < (int)progress->phase)
            CHECK_THAT(progress->phases[p].finished, "%s is not finished, but the phase is %s", progress->phases[p].tag,
                       tq_phase_tag(progress->phase));
    }
}

static int on_snapshot(const tq_progress *progress, tq_phase phase, void *user)
{
    struct diary *diary = user;
    const tq_phase_progress *now = &progress->phases[phase];

    CHECK((unsigned)phase < TQ_PHASES && now->started);
    check_snapshot(progress);
    note(&diary->by_snapshot[phase], now->done, now->not_done, now->tag);
    count_call(diary);
    return 0;
}

static tq_job job_of(struct diary *diary)
{
    tq_job job = count_words_in((const char *const *)input_paths);

    job.map = map_with_pauses;
    job.split_bytes = 3 * LINE;
    job.interval_s = 0.005;
    job.user = diary;
    return job;
}

/* ---- The sequence ---- */

static void check_diary(const struct diary *diary, const tq_stats *stats, bool tags, bool snapshots)
{
    for (int p = 0; p < TQ_PHASES; p++) {
        for (int s = 0; s < 2; s++) {
            const struct said *said = s ? &diary->by_snapshot[p] : &diary->by_tag[p];
            const char *tag = tq_phase_tag((tq_phase)p);

            CHECK_THAT((said->calls > 0) == (s ? snapshots : tags), "%s: %" PRIu64 " calls", tag, said->calls);
            CHECK_THAT(said->not_done == 0, "%s ended with %" PRIu64 " not done", tag, said->not_done);
            if (said->calls > 0 && p == TQ_PHASE_MAP)
                CHECK_THAT(said->done == stats->splits, "%" PRIu64 " splits, not %" PRIu64, said->done, stats->splits);
            if (said->calls > 0 && p == TQ_PHASE_WRITE)
                CHECK_THAT(said->done == stats->rows, "%" PRIu64 " rows, not %" PRIu64, said->done, stats->rows);
        }
    }
}

static void test_sequence(bool tags, bool snapshots, tq_output_kind output, double map_pause_s)
{
    struct diary diary = {.map_pause_s = map_pause_s};
    tq_job job = job_of(&diary);
    char path[PATH_SIZE];

    job.progress = tags ? on_progress : NULL;
    job.on_snapshot = snapshots ? on_snapshot : NULL;
    job.output = output;
    job.output_path = path_of(&trial, path, "out/words");
    tq_future *future = run_well(&trial, &job);
    const tq_stats *stats = tq_job_stats(future);
    CHECK((stats != NULL) == (trial.rank == 0));
    tq_stats kept = stats ? *stats : (tq_stats){0};
    tq_future_release(future);
    atomic_store(&diary.released, true);
    if (trial.rank == 0)
        check_diary(&diary, &kept, tags, snapshots);
    else
        CHECK(atomic_load(&diary.calls) == 0);
    sleep_s(0.02); /* time for a callback that comes too late */
    meet(&trial);
}

/* ---- Slow callbacks ---- */

/* A callback that does not return before the job is over: if anything waited for it, the job would never end. What it has
 * missed comes afterwards: the end of each phase. Closes the cluster, which waits for callbacks as releasing does. */
static void test_slow_callback(void)
{
    struct diary diary = {.hold = true};
    tq_job job = job_of(&diary);

    job.progress = on_progress;
    job.interval_s = 0.001;
    tq_future *future = run_well(&trial, &job);
    CHECK_THAT(atomic_load(&diary.calls) <= 1, "%d calls at a time", atomic_load(&diary.calls));
    atomic_store(&diary.hold, false);
    if (trial.size % 2)
        tq_cluster_close(trial.cluster);
    else
        tq_future_release(future);
    atomic_store(&diary.released, true);
    if (trial.rank == 0)
        CHECK(atomic_load(&diary.calls) >= TQ_PHASES);
    if (trial.size % 2)
        tq_future_release(future);
    else
        tq_cluster_close(trial.cluster);
    trial.cluster = NULL;
}

/* ---- Snapshots of another thread ---- */

struct watch {
    tq_future *future;
    atomic_bool stop;
    int snapshots;
};

static void *keep_watching(void *argument)
{
    struct watch *watch = argument;
    struct said said[TQ_PHASES] = {{0}};
    tq_progress progress;
    double seconds = 0;

    do {
        CHECK_STATUS(tq_job_progress(watch->future, &progress), TQ_OK);
        check_snapshot(&progress);
        CHECK_THAT(progress.seconds >= seconds, "the job's seconds fell from %f to %f", seconds, progress.seconds);
        seconds = progress.seconds;
        for (int p = 0; p < TQ_PHASES; p++)
            note(&said[p], progress.phases[p].done, progress.phases[p].not_done, progress.phases[p].tag);
        watch->snapshots++;
        sleep_s(0.0005);
    } while (!atomic_load(&watch->stop));
    return NULL;
}

/* What is known of a job that is done; on rank 0 of all ranks, elsewhere of this one. */
static void check_final(const tq_future *future)
{
    const tq_stats *stats = tq_job_stats(future);
    tq_progress progress;
    const tq_phase_progress *map = &progress.phases[TQ_PHASE_MAP], *write = &progress.phases[TQ_PHASE_WRITE];

    CHECK_STATUS(tq_job_progress(future, &progress), TQ_OK);
    check_snapshot(&progress);
    for (int p = 0; p < TQ_PHASES; p++)
        CHECK_THAT(progress.phases[p].started && progress.phases[p].finished, "%s is not finished",
                   progress.phases[p].tag);
    if (trial.rank != 0) {
        CHECK_THAT(write->done == tq_job_rows(future), "%" PRIu64 " rows written here, and %" PRIu64 " kept",
                   write->done, tq_job_rows(future));
        return;
    }
    CHECK_THAT(map->records == stats->emitted.records, "%" PRIu64 " records are said to be mapped, of %" PRIu64,
               map->records, stats->emitted.records);
    CHECK_THAT(map->bytes == stats->input_bytes && map->bytes_total == stats->input_bytes,
               "%" PRIu64 " of %" PRIu64 " bytes are said to be mapped, of %" PRIu64, map->bytes, map->bytes_total,
               stats->input_bytes);
    CHECK_THAT(write->records == stats->rows, "%" PRIu64 " rows are said to be written, of %" PRIu64, write->records,
               stats->rows);
}

static void test_watching(void)
{
    struct diary diary = {.map_pause_s = 0.0002};
    struct watch watch = {0};
    tq_job job = job_of(&diary);
    pthread_t thread;
    tq_progress progress;

    CHECK_STATUS(tq_job_progress(NULL, &progress), TQ_E_USAGE);
    watch.future = tq_submit(trial.cluster, &job);
    CHECK(watch.future);
    CHECK(pthread_create(&thread, NULL, keep_watching, &watch) == 0);
    CHECK_STATUS(await(watch.future), TQ_OK);
    atomic_store(&watch.stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(watch.snapshots > 0);
    check_final(watch.future);
    tq_future_release(watch.future);
}

/* A job that waits for its turn has not begun. */
static void test_queued(void)
{
    struct diary first = {.map_pause_s = 0.0005}, second = {0};
    tq_job one = job_of(&first), other = job_of(&second);
    tq_progress progress;

    other.progress = on_progress;
    tq_future *running = tq_submit(trial.cluster, &one), *queued = tq_submit(trial.cluster, &other);
    CHECK(running && queued);
    CHECK_STATUS(tq_job_progress(queued, &progress), TQ_OK);
    check_snapshot(&progress);
    if (!tq_future_done(running)) {
        CHECK(progress.seconds == 0 || tq_future_done(running));
        CHECK(!progress.phases[TQ_PHASE_MAP].started || tq_future_done(running));
    }
    CHECK_STATUS(await(running), TQ_OK);
    CHECK_STATUS(await(queued), TQ_OK);
    tq_future_release(running);
    tq_future_release(queued);
    atomic_store(&second.released, true);
    if (trial.rank == 0)
        CHECK(atomic_load(&second.calls) >= TQ_PHASES);
}

/* The callback may have a user pointer of its own. */
static void test_progress_user(void)
{
    struct diary diary = {.map_pause_s = 0.0001}, other = {0};
    tq_job job = job_of(&diary);

    job.progress = on_progress;
    job.progress_user = &other;
    tq_future *future = tq_submit(trial.cluster, &job);
    CHECK(future);
    CHECK_STATUS(await(future), TQ_OK);
    tq_future_release(future);
    atomic_store(&other.released, true);
    CHECK(atomic_load(&diary.calls) == 0);
    CHECK((atomic_load(&other.calls) >= TQ_PHASES) == (trial.rank == 0));
}

/* ---- A worker that does not get on ---- */

enum { STUCK = 7 }; /* the number of the line */

static char seen_path[PATH_SIZE];

/* Does not return from one line until rank 0 has seen it there. */
static int map_until_seen(const tq_record *record, tq_emitter *emitter, void *user)
{
    tq_place place;

    (void)user;
    CHECK(tq_here(&place) && place.rank == trial.rank && place.worker == tq_emitter_worker(emitter));
    CHECK(place.offset == record->offset && strcmp(place.file, input_path) == 0 && strcmp(place.phase, "map") == 0);
    for (double began = now_s(); record->offset == LINE * STUCK && access(seen_path, F_OK) != 0;) {
        CHECK(now_s() - began < HANG_S);
        sleep_s(0.01);
    }
    return tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1) != TQ_OK;
}

static void await_still(const tq_future *future)
{
    tq_progress progress;
    double began = now_s();

    do {
        CHECK_THAT(now_s() - began < HANG_S, "the worker that stands still was not seen");
        sleep_s(0.01);
        CHECK_STATUS(tq_job_progress(future, &progress), TQ_OK);
    } while (progress.still.rank < 0 || progress.still.seconds < 0.3 || progress.still.offset != LINE * STUCK);
    CHECK(strcmp(progress.still.file, input_path) == 0);
    CHECK(progress.still.phase == TQ_PHASE_MAP && progress.still.rank < trial.size);
    write_file(seen_path, "", 0);
}

static void test_still(void)
{
    struct diary diary = {0};
    tq_job job = job_of(&diary);
    tq_progress progress;
    tq_place place;

    if (trial.threads == 0) /* a rank without workers says nothing while it maps */
        return;
    job.map = map_until_seen;
    job.split_bytes = LINE;
    path_of(&trial, seen_path, "seen");
    tq_future *future = tq_submit(trial.cluster, &job);
    CHECK(future);
    if (trial.rank == 0)
        await_still(future);
    CHECK_STATUS(await(future), TQ_OK);
    CHECK_STATUS(tq_job_progress(future, &progress), TQ_OK);
    CHECK(progress.still.rank == -1 && !tq_here(&place));
    tq_future_release(future);
    if (trial.rank == 0)
        CHECK(unlink(seen_path) == 0);
}

static void make_lines(void)
{
    char *text = malloc(LINE * LINES + 1);

    CHECK(text);
    for (int i = 0; i < LINES; i++)
        sprintf(text + LINE * i, "word-%010d\n", i % 1000);
    write_file(input_path, text, LINE * LINES);
    free(text);
}

int main(int argc, char **argv)
{
    char path[PATH_SIZE];

    CHECK(strcmp(tq_phase_tag(TQ_PHASES), "") == 0 && strcmp(tq_phase_tag(TQ_PHASE_SHUFFLE), "shuffle") == 0);
    begin_trial(&trial, argc, argv, "progress");
    path_of(&trial, input_path, "in/lines");
    if (trial.rank == 0)
        make_lines();
    test_sequence(true, false, TQ_OUTPUT_KEEP, 0.0002);
    test_sequence(false, true, TQ_OUTPUT_GATHER, 0.0002);
    test_sequence(true, true, TQ_OUTPUT_FILE, 0);
    if (trial.rank == 0)
        CHECK(unlink(path_of(&trial, path, "out/words")) == 0);
    test_watching();
    test_queued();
    test_progress_user();
    test_still();
    test_slow_callback();
    return end_trial(&trial);
}
