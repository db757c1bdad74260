/* Tables that the command must not take; which of them, the definition WRONG says. */
#include <tequio/plugin.h>

#define OTHER_ABI       1
#define OTHER_JOB_ABI   2
#define OTHER_JOB_BYTES 3
#define NO_TABLE        4
#define NO_DESCRIBE     5
#define BAD_OFFSET      6
#define BAD_PRESET      7
#define BAD_JOB         8

static tq_status describe(tq_job *job, const tq_process *process, char *why, size_t size)
{
    (void)process, (void)why, (void)size;
    job->records = TQ_LINES; /* and no mapper */
    return TQ_OK;
}

const tq_plugin *tq_plugin_entry(void)
{
    static const tq_setting settings[] = {
        {"number", TQ_SETTING_INTEGER, WRONG == BAD_OFFSET ? 1 : 0, WRONG == BAD_PRESET ? "many" : "1", NULL}};
    static tq_plugin plugin = {TQ_PLUGIN_INIT, NULL, settings, 1, sizeof(int64_t), describe, NULL};

    plugin.abi += WRONG == OTHER_ABI;
    plugin.job_abi += WRONG == OTHER_JOB_ABI;
    plugin.job_bytes -= WRONG == OTHER_JOB_BYTES ? 8 : 0;
    if (WRONG == NO_DESCRIBE)
        plugin.describe = NULL;
    return WRONG == NO_TABLE ? NULL : &plugin;
}
