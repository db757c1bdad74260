#include "cli/plugin.h"
#include "cli/crash.h"
#include "cli/values.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char how_made[] = "cc -shared -fPIC $(pkg-config --cflags tequio) job.c -o job.so";

const char *cli_plugin_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* All that is said about a plug-in names its file. */
static tq_status fail(const cli_plugin *plugin, tq_error *error, tq_status status, const char *format, ...)
    TQ_PRINTF(4, 5);

static tq_status fail(const cli_plugin *plugin, tq_error *error, tq_status status, const char *format, ...)
{
    va_list arguments;
    *error = (tq_error){.status = status, .rank = -1};
    snprintf(error->file, sizeof error->file, "%s", plugin->path);
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- Loading ----------------------------------------------------------------------------------------------------- */

/* dlopen's own words for these would be about its search, and it would wait for a pipe. */
static tq_status check_file(const cli_plugin *plugin, tq_error *error)
{
    struct stat file;
    if (stat(plugin->path, &file) != 0)
        return fail(plugin, error, TQ_E_INPUT, "%s", strerror(errno));
    if (!S_ISREG(file.st_mode))
        return fail(plugin, error, TQ_E_USAGE, "is no shared object but a %s",
                    S_ISDIR(file.st_mode) ? "folder" : "special file");
    int fd = open(plugin->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(plugin, error, TQ_E_INPUT, "%s", strerror(errno));
    close(fd);
    return TQ_OK;
}

/* What dlopen says, without the path, which stands in front of it already. */
static const char *reason_of_dl(const cli_plugin *plugin)
{
    const char *reason = dlerror();
    size_t length = strlen(plugin->path);
    if (reason == NULL)
        return "unknown reason";
    bool has_path = strncmp(reason, plugin->path, length) == 0 && strncmp(reason + length, ": ", 2) == 0;
    return has_path ? reason + length + 2 : reason;
}

static tq_status check_table(const cli_plugin *plugin, const tq_plugin *table, tq_error *error)
{
    if (table == NULL)
        return fail(plugin, error, TQ_E_USAGE, "its tq_plugin_entry returned NULL");
    if (table->abi != TQ_PLUGIN_ABI || table->job_abi != TQ_JOB_ABI)
        return fail(plugin, error, TQ_E_USAGE,
                    "was compiled for another version of tequio (plug-in interface %" PRIu32 ", jobs %" PRIu32
                    "; tequio %s has %d and %d): compile it again with the headers of this one",
                    table->abi, table->job_abi, tq_version(), TQ_PLUGIN_ABI, TQ_JOB_ABI);
    if (table->bytes != sizeof(tq_plugin) || table->job_bytes != sizeof(tq_job))
        return fail(plugin, error, TQ_E_USAGE,
                    "was compiled with other headers than this tequio (a tq_plugin of %" PRIu32
                    " bytes and a tq_job of "
                    "%" PRIu32 ", not %zu and %zu): compile it again with the headers of tequio %s",
                    table->bytes, table->job_bytes, sizeof(tq_plugin), sizeof(tq_job), tq_version());
    if (table->describe == NULL)
        return fail(plugin, error, TQ_E_USAGE, "its table has no describe");
    return TQ_OK;
}

tq_status cli_plugin_load(cli_plugin *plugin, const char *path, tq_error *error)
{
    *plugin = (cli_plugin){.path = path};
    *error = (tq_error){.status = TQ_OK, .rank = -1};
    if (check_file(plugin, error) != TQ_OK)
        return error->status;
    cli_crash_enter(" while it was loaded");
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* all that it needs must be there before the run begins */
    cli_crash_leave();
    if (handle == NULL)
        return fail(plugin, error, TQ_E_USAGE, "cannot be loaded: %s (a plug-in is made by %s)", reason_of_dl(plugin),
                    how_made);
    /* ISO C has no conversion from an object pointer to a function's; POSIX promises that this one works. */
    const tq_plugin *(*entry)(void);
    *(void **)&entry = dlsym(handle, "tq_plugin_entry");
    if (entry == NULL)
        return fail(plugin, error, TQ_E_USAGE,
                    "is no plug-in: it does not export tq_plugin_entry (see tequio/plugin.h)");
    cli_crash_enter(" in tq_plugin_entry");
    const tq_plugin *table = entry();
    cli_crash_leave();
    if (check_table(plugin, table, error) != TQ_OK)
        return error->status;
    plugin->table = table;
    return TQ_OK;
}

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

static size_t size_of(tq_setting_type type)
{
    switch (type) {
    case TQ_SETTING_FLAG: return sizeof(bool);
    case TQ_SETTING_INTEGER: return sizeof(int64_t);
    case TQ_SETTING_NUMBER: return sizeof(double);
    case TQ_SETTING_SIZE: return sizeof(uint64_t);
    case TQ_SETTING_TEXT: return sizeof(const char *);
    }
    return 0;
}

static const char *form_of(tq_setting_type type)
{
    switch (type) {
    case TQ_SETTING_FLAG: return "1 or 0";
    case TQ_SETTING_INTEGER: return "a whole number";
    case TQ_SETTING_NUMBER: return "a number";
    case TQ_SETTING_SIZE: return "a number of bytes, such as 4096, 64k, 2M or 1G";
    case TQ_SETTING_TEXT: return "text";
    }
    return "";
}

static bool store_integer(int64_t *value, const char *text)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    *value = number;
    return end != text && *end == '\0' && errno == 0;
}

static bool store_number(double *value, const char *text)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value);
}

static bool store(const tq_setting *setting, void *settings, const char *text)
{
    char why[256];
    void *value = (char *)settings + setting->offset;
    option_row row = {.name = setting->name, .offset = setting->offset};
    switch (setting->type) {
    case TQ_SETTING_TEXT: *(const char **)value = text; return true;
    case TQ_SETTING_INTEGER: return store_integer(value, text);
    case TQ_SETTING_NUMBER: return store_number(value, text);
    case TQ_SETTING_FLAG: row.type = OPTION_FLAG; break;
    case TQ_SETTING_SIZE: row.type = OPTION_SIZE; break;
    }
    return cli_value_store(&row, settings, text, setting->name, why, sizeof why);
}

/* A table that does not fit itself would have us write somewhere. */
static tq_status preset_settings(cli_plugin *plugin, tq_error *error)
{
    const tq_plugin *table = plugin->table;
    plugin->settings = table->settings_bytes > 0 ? calloc(1, table->settings_bytes) : NULL;
    if (table->settings_bytes > 0 && plugin->settings == NULL)
        return fail(plugin, error, TQ_E_MEMORY, "no memory for its settings");
    for (size_t i = 0; i < table->n_settings; i++) {
        const tq_setting *setting = &table->settings[i];
        size_t size = size_of(setting->type);
        if (setting->name == NULL || size == 0 || size > table->settings_bytes ||
            setting->offset > table->settings_bytes - size)
            return fail(plugin, error, TQ_E_USAGE,
                        "setting number %zu of its table has no name, an unknown type, or lies "
                        "outside of settings_bytes",
                        i);
        if (setting->preset != NULL && !store(setting, plugin->settings, setting->preset))
            return fail(plugin, error, TQ_E_USAGE, "its setting %s takes %s, and is preset to '%s'", setting->name,
                        form_of(setting->type), setting->preset);
    }
    return TQ_OK;
}

static tq_status refuse_name(const cli_plugin *plugin, const char *given, int length, tq_error *error)
{
    char names[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < plugin->table->n_settings && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, " %s", plugin->table->settings[i].name);
    return used > 0 ? fail(plugin, error, TQ_E_USAGE, "has no setting '%.*s'; its settings:%s", length, given, names)
                    : fail(plugin, error, TQ_E_USAGE, "has no setting '%.*s', nor any other", length, given);
}

/* given: NAME=VALUE. */
static tq_status set_one(cli_plugin *plugin, const char *given, tq_error *error)
{
    const tq_plugin *table = plugin->table;
    size_t length = strcspn(given, "=");
    for (size_t i = 0; i < table->n_settings; i++) {
        const tq_setting *setting = &table->settings[i];
        if (strlen(setting->name) != length || memcmp(setting->name, given, length) != 0)
            continue;
        const char *text = given + length + 1;
        if (store(setting, plugin->settings, text))
            return TQ_OK;
        return fail(plugin, error, TQ_E_USAGE, "its setting %s takes %s, not '%s'", setting->name,
                    form_of(setting->type), text);
    }
    return refuse_name(plugin, given, (int)length, error);
}

/* ---- Describing -------------------------------------------------------------------------------------------------- */

/* A plug-in does not end the run as if the command itself had failed. */
static tq_status status_of(tq_status answer)
{
    bool is_allowed = answer == TQ_E_USAGE || answer == TQ_E_INPUT || answer == TQ_E_MEMORY;
    return is_allowed ? answer : TQ_E_USER;
}

tq_status cli_plugin_describe(cli_plugin *plugin, const option_list *set, const tq_process *process, tq_job *job,
                              tq_error *error)
{
    char why[sizeof error->message] = "";
    if (preset_settings(plugin, error) != TQ_OK)
        return error->status;
    for (size_t i = 0; i < set->n; i++)
        if (set_one(plugin, set->items[i], error) != TQ_OK)
            return error->status;
    job->user = plugin->settings;
    cli_crash_enter(" in describe");
    tq_status answer = plugin->table->describe(job, process, why, sizeof why);
    cli_crash_leave();
    if (answer != TQ_OK && why[0] == '\0')
        snprintf(why, sizeof why, "its describe returned %d", (int)answer);
    why[strcspn(why, "\n")] = '\0';
    if (answer != TQ_OK)
        return fail(plugin, error, status_of(answer), "%s", why);
    plugin->user = job->user;
    plugin->described = true;
    return TQ_OK;
}

void cli_plugin_end(cli_plugin *plugin)
{
    cli_crash_enter(" in end");
    if (plugin->described && plugin->table->end != NULL)
        plugin->table->end(plugin->user);
    cli_crash_leave();
    plugin->described = false;
    free(plugin->settings);
    plugin->settings = NULL;
}

/* ---- Help -------------------------------------------------------------------------------------------------------- */

void cli_plugin_help(const cli_plugin *plugin, FILE *out)
{
    const tq_plugin *table = plugin->table;
    fprintf(out, "%s: %s\n", cli_plugin_name(plugin->path), table->summary != NULL ? table->summary : "a job");
    for (size_t i = 0; i < table->n_settings; i++) {
        const tq_setting *setting = &table->settings[i];
        int length = fprintf(out, "  --set %s=%s", setting->name, setting->preset != NULL ? setting->preset : "");
        fprintf(out, "%*s%s\n", length < 27 ? 29 - length : 2, "", setting->help != NULL ? setting->help : "");
    }
    if (table->n_settings == 0)
        fputs("It has no settings.\n", out);
}
