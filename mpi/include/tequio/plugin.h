/* Plug-ins: jobs of your own for the tequio command. A plug-in is a shared object that describes a job; the command loads
 * it, and input, order, output, ranks, memory and progress are the command's options as with any job:
 *
 *     cc -O2 -shared -fPIC $(pkg-config --cflags tequio) job.c -o job.so
 *     tequio run ./job.so FILE...
 *     tequio -n 4 run ./job.so --set least=5 --top 20 -r texts/
 *
 * It is linked against nothing of tequio: it finds the tq_ functions in the command. examples/plugin.c is one to start from.
 *
 * It exports one function, tq_plugin_entry, which returns a table; what else it defines should be static. Every rank
 * loads it by the same path, and then, each in a process of its own:
 *
 *     tq_plugin_entry()    main thread      the table, which stays valid and unchanged
 *     describe()           main thread      once; fills in what the job does
 *     map, combine, reduce worker threads   several at a time, on different records and keys
 *     group, partition, compare  worker threads   the same, on different rows
 *     write_text, ..._json worker threads   the same, or on rank 0 one at a time: tq_write_fn
 *     end()                main thread      once, when the job has ended, well or not; not if describe failed
 *
 * Nothing of it is unloaded before the process ends. A plug-in makes no MPI call, opens no cluster and does not fork. What
 * it writes to the standard output would stand among the rows; the standard error is free to use.
 *
 * Errors: what describe returns ends the run before it begins, on all ranks; a mapper, combiner or reducer that does not
 * return 0 ends it with TQ_E_USER (6), and tq_emit_fail and tq_reduce_fail say why. If the plug-in's code crashes, or calls
 * exit, the command says on which rank and at which record that was, and ends with TQ_E_USER too. */
#ifndef TEQUIO_PLUGIN_H
#define TEQUIO_PLUGIN_H

#include <tequio/tequio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a setting is, and how it is written. */
typedef enum tq_setting_type {
    TQ_SETTING_FLAG,    /* bool: 1, yes, true, 0, no, false */
    TQ_SETTING_INTEGER, /* int64_t: -12 */
    TQ_SETTING_NUMBER,  /* double: 0.5, 1e-3 */
    TQ_SETTING_SIZE,    /* uint64_t, bytes: 4096, 64k, 2M, 1G */
    TQ_SETTING_TEXT     /* const char *: anything; valid until the process ends */
} tq_setting_type;

/* Something that the user may choose, by --set NAME=VALUE. */
typedef struct tq_setting {
    const char *name;
    tq_setting_type type;
    size_t offset;      /* of its value in the struct of all settings */
    const char *preset; /* VALUE when it is not given; NULL = false, 0 or a NULL pointer */
    const char *help;   /* for tequio run ./job.so --help, within one line */
} tq_setting;

/* The process that a plug-in runs in. */
typedef struct tq_process {
    int rank, ranks;
    int threads; /* workers of this rank: what tq_emitter_worker returns is less, or 0 */
} tq_process;

/* The table. The first four members are the same in all versions: the command looks at them before all else, and refuses a
 * plug-in that was compiled for other headers than its own. */
typedef struct tq_plugin {
    uint32_t abi; /* these four: TQ_PLUGIN_INIT */
    uint32_t bytes, job_abi, job_bytes;

    const char *summary;        /* what the job does, within one line; may be NULL */
    const tq_setting *settings; /* n_settings of them */
    size_t n_settings;
    size_t settings_bytes; /* the size of the struct that their offsets mean */

    /* Fill in what the job does: records, record_bytes, map, map_chunk or map_split, header, own_headers, skip_bad,
     * value_type, value_bytes, combine, combine_fn, values_order, group, partition, reduce or reduce_keys, result_type,
     * compare, counters, n_counters, side, side_bytes, side_path, dense, dense_rows, row_text, raw_text, key_name,
     * value_name, write_text, write_json, write_in_order. All of job is as TQ_JOB_INIT leaves it but user, which points
     * to the filled-in struct of settings (NULL without settings; the command's, valid until end has returned) and is
     * handed to map, combine_fn, group, partition, reduce, compare, write_text and write_json. describe may have it
     * point to something else. What it sets in job besides is ignored.
     * With a compare the rows are in its order, and --top N keeps the first N of it.
     *
     * The job must be the same on all ranks. Returns TQ_OK; TQ_E_USAGE for settings that contradict each other,
     * TQ_E_INPUT for a file of its own that it cannot read, TQ_E_MEMORY; any other answer counts as TQ_E_USER. why (size
     * bytes, "" at first) then says what is wrong, in one line. */
    tq_status (*describe)(tq_job *job, const tq_process *process, char *why, size_t size);

    /* Give back what describe made. user: job->user as describe left it. May be NULL. */
    void (*end)(void *user);
} tq_plugin;

#define TQ_PLUGIN_ABI 1
#define TQ_PLUGIN_INIT                                                                                                 \
    .abi = TQ_PLUGIN_ABI, .bytes = sizeof(tq_plugin), .job_abi = TQ_JOB_ABI, .job_bytes = sizeof(tq_job)

/* The plug-in defines this; the command calls it. */
TQ_API const tq_plugin *tq_plugin_entry(void);

#ifdef __cplusplus
}
#endif
#endif
