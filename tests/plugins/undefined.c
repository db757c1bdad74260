/* Calls what no tequio has. */
#include <tequio/plugin.h>

TQ_API void tq_of_another_version(void);

const tq_plugin *tq_plugin_entry(void)
{
    tq_of_another_version();
    return NULL;
}
