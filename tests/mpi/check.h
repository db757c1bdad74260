/* What the programs in this folder share: a check that ends the run, a folder of their own, and running a job. Each
 * program is started as  NAME THREADS  by every rank, all of them on one host, and uses no MPI but through tequio.
 *
 * The main thread of a program uses it, unless a function says otherwise. */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tequio/tequio.h>
#include <time.h>
#include <unistd.h>

/* Nothing here takes a second; only what hangs takes this long. */
#define HANG_S    50.0
#define PATH_SIZE 512

/* One run of a program. */
struct trial {
    int threads; /* what the command line asks for */
    int rank, size;
    tq_cluster *cluster;
    char folder[PATH_SIZE / 2]; /* the same on all ranks; rank 0 makes and removes it */
    unsigned step;              /* counts the exchanges of files between ranks */
};

static int check_rank = -1; /* for messages; set once, before there are threads */

/* Say what is not as it should be, and end this rank: the launcher ends the others. Any thread. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            check_failed(__FILE__, __LINE__, "%s", #condition);                                                        \
    } while (0)

/* The same with a message in the way of printf. */
#define CHECK_THAT(condition, ...)                                                                                     \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            check_failed(__FILE__, __LINE__, __VA_ARGS__);                                                             \
    } while (0)

#define CHECK_STATUS(call, expected) check_status(__FILE__, __LINE__, #call, (call), (expected))

_Noreturn static inline void check_failed(const char *file, int line, const char *format, ...) TQ_PRINTF(3, 4);

_Noreturn static inline void check_failed(const char *file, int line, const char *format, ...)
{
    char text[2048];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "rank %d: %s:%d: %s\n", check_rank, file, line, text);
    fflush(NULL);
    _exit(1);
}

static inline void check_status(const char *file, int line, const char *call, tq_status got, tq_status expected)
{
    if (got != expected)
        check_failed(file, line, "%s: %s, not %s", call, tq_status_name(got), tq_status_name(expected));
}

static inline double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline void sleep_s(double seconds)
{
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        continue;
}

/* ---- Files ---- */

/* FOLDER/NAME, or with an empty name the folder. Returns path. */
static inline const char *path_of(const struct trial *trial, char path[PATH_SIZE], const char *name)
{
    snprintf(path, PATH_SIZE, "%s%s%s", trial->folder, name[0] ? "/" : "", name);
    return path;
}

static inline void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    CHECK_THAT(file, "%s: %s", path, strerror(errno));
    CHECK(fwrite(bytes, 1, size, file) == size);
    CHECK(fclose(file) == 0);
}

/* The whole file with a NUL behind it; the caller frees it. */
static inline char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    struct stat info;

    CHECK_THAT(file, "%s: %s", path, strerror(errno));
    CHECK(fstat(fileno(file), &info) == 0);
    *size = (size_t)info.st_size;
    char *bytes = calloc(*size + 1, 1);
    CHECK(bytes);
    CHECK(fread(bytes, 1, *size, file) == *size);
    fclose(file);
    return bytes;
}

/* How many names are in a folder; the last of them in last (may be NULL). */
static inline int count_names(const char *folder, char last[PATH_SIZE])
{
    DIR *names = opendir(folder);
    int n = 0;

    CHECK_THAT(names, "%s: %s", folder, strerror(errno));
    for (struct dirent *name; (name = readdir(names)) != NULL;) {
        if (strcmp(name->d_name, ".") == 0 || strcmp(name->d_name, "..") == 0)
            continue;
        n++;
        if (last)
            snprintf(last, PATH_SIZE, "%s", name->d_name);
    }
    closedir(names);
    return n;
}

/* Remove what is in a folder, so many levels deep. Takes the descriptor. */
static inline void empty_folder(int folder, int levels)
{
    DIR *names = fdopendir(folder);

    CHECK(names);
    for (struct dirent *name; (name = readdir(names)) != NULL;) {
        if (strcmp(name->d_name, ".") == 0 || strcmp(name->d_name, "..") == 0)
            continue;
        if (unlinkat(folder, name->d_name, 0) == 0 || levels < 2)
            continue;
        int inner = openat(folder, name->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (inner >= 0)
            empty_folder(inner, levels - 1);
        unlinkat(folder, name->d_name, AT_REMOVEDIR);
    }
    closedir(names);
}

/* Remove a folder of a run. It need not exist. */
static inline void remove_folder(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder >= 0)
        empty_folder(folder, 2);
    rmdir(path);
}

/* ---- A run ---- */

/* All ranks have the launcher as their parent, and so a name in common. */
static inline void name_folder(struct trial *trial, const char *name)
{
    const char *tmpdir = getenv("TMPDIR");

    snprintf(trial->folder, sizeof trial->folder, "%.100s/tequio-%.40s-%d", tmpdir && tmpdir[0] ? tmpdir : "/tmp", name,
             (int)getppid());
}

/* Rank 0: FOLDER with in/ (inputs), out/ (outputs), tmp/ (spill files) and told/ (what ranks tell each other). */
static inline void make_folders(const struct trial *trial)
{
    static const char *const names[] = {"", "in", "out", "tmp", "told"};
    char path[PATH_SIZE];

    remove_folder(trial->folder);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        path_of(trial, path, names[i]);
        CHECK_THAT(mkdir(path, 0700) == 0, "%s: %s", path, strerror(errno));
    }
    write_file(path_of(trial, path, "in/one"), "one\n", 4);
}

static inline int map_to_one(const tq_record *record, tq_emitter *emitter, void *user)
{
    (void)user;
    return tq_emit_i64(emitter, (tq_slice){record->data, record->size}, 1) != TQ_OK;
}

/* A word count of input, whose strings must live until it is submitted. */
static inline tq_job count_words_in(const char *const *input)
{
    tq_job job = TQ_JOB_INIT;

    job.inputs = input;
    job.n_inputs = 1;
    job.records = TQ_WORDS;
    job.map = map_to_one;
    job.combine = TQ_SUM;
    return job;
}

/* Wait for a job, in whatever way it ends, and return its status. Any thread. */
static inline tq_status await(tq_future *future)
{
    CHECK(future);
    CHECK_STATUS(tq_future_wait(future, HANG_S), TQ_OK);
    return tq_future_status(future);
}

/* Submit a job that must end well. Collective. The caller releases the future. */
static inline tq_future *run_well(const struct trial *trial, const tq_job *job)
{
    tq_future *future = tq_submit(trial->cluster, job);
    tq_status status = await(future);

    CHECK_THAT(status == TQ_OK, "%s", tq_future_error(future));
    return future;
}

/* Submit a job that must end with this status and say this. Collective. The caller releases the future. */
static inline tq_future *run_badly(const struct trial *trial, const tq_job *job, tq_status status, const char *said)
{
    tq_future *future = tq_submit(trial->cluster, job);
    tq_error error;

    CHECK_STATUS(await(future), status);
    CHECK_STATUS(tq_job_error(future, &error), TQ_OK);
    CHECK_THAT(strstr(error.message, said), "%s", error.message);
    return future;
}

/* A job that works, whatever was before. When it is over on one rank, all ranks have submitted it. Collective. */
static inline void meet(const struct trial *trial)
{
    char path[PATH_SIZE];
    const char *input = path_of(trial, path, "in/one");
    tq_job job = count_words_in(&input);
    tq_row row;

    job.output = TQ_OUTPUT_GATHER;
    tq_future *future = run_well(trial, &job);
    CHECK(tq_job_rows(future) == (trial->rank == 0));
    if (trial->rank == 0) {
        CHECK_STATUS(tq_job_row(future, 0, &row), TQ_OK);
        CHECK(row.key.size == 3 && memcmp(row.key.data, "one", 3) == 0 && row.i64 == 1);
    }
    tq_future_release(future);
}

/* Every rank's bytes for rank 0: tell_all on every rank (collective), then told on rank 0, which returns what a rank
 * said; the caller frees it. */
static inline void tell_all(struct trial *trial, const void *bytes, size_t size)
{
    char name[64], path[PATH_SIZE];

    snprintf(name, sizeof name, "told/%u-%d", ++trial->step, trial->rank);
    write_file(path_of(trial, path, name), bytes, size);
    meet(trial);
}

static inline char *told(const struct trial *trial, int rank, size_t *size)
{
    char name[64], path[PATH_SIZE];

    snprintf(name, sizeof name, "told/%u-%d", trial->step, rank);
    return read_file(path_of(trial, path, name), size);
}

/* Open the cluster and make the folder. Collective. */
static inline void begin_trial(struct trial *trial, int argc, char **argv, const char *name)
{
    tq_cluster_options options = TQ_CLUSTER_OPTIONS_INIT;
    tq_error error;

    CHECK_THAT(argc == 2, "usage: %s THREADS", name);
    *trial = (struct trial){.threads = atoi(argv[1])};
    name_folder(trial, name);
    options.threads = trial->threads;
    tq_status status = tq_cluster_open(&options, &trial->cluster, &error);
    CHECK_THAT(status == TQ_OK, "opening the cluster: %s", error.message);
    check_rank = trial->rank = tq_cluster_rank(trial->cluster);
    trial->size = tq_cluster_size(trial->cluster);
    if (trial->rank == 0)
        make_folders(trial);
    meet(trial);
}

/* Close the cluster; nothing may be left in tmp/. Collective. */
static inline int end_trial(struct trial *trial)
{
    char path[PATH_SIZE];

    tq_cluster_close(trial->cluster);
    if (trial->rank == 0) {
        CHECK(count_names(path_of(trial, path, "tmp"), NULL) == 0);
        remove_folder(trial->folder);
    }
    return 0;
}

#endif
