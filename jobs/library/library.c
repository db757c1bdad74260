/* The built-in jobs without the command: libtequio-jobs.so, for the Python package. It lists them with their option tables,
 * and says where the members of its structs lie (as tq_layouts does for the public ones). Everything is constant. */
#include "jobs/jobs.h"

#define WHOLE(type)          {#type, 0, sizeof(type)}
#define MEMBER(type, member) {#type "." #member, offsetof(type, member), sizeof(((type *)0)->member)}

static const tq_layout layouts[] = {
    WHOLE(jobs_context),
    MEMBER(jobs_context, settings),
    WHOLE(jobs_entry),
    MEMBER(jobs_entry, name),
    MEMBER(jobs_entry, summary),
    MEMBER(jobs_entry, operand),
    MEMBER(jobs_entry, rows),
    MEMBER(jobs_entry, n_rows),
    MEMBER(jobs_entry, settings_bytes),
    MEMBER(jobs_entry, describe),
    MEMBER(jobs_entry, end),
    WHOLE(option_list),
    MEMBER(option_list, items),
    MEMBER(option_list, n),
    WHOLE(option_row),
    MEMBER(option_row, name),
    MEMBER(option_row, argument),
    MEMBER(option_row, type),
    MEMBER(option_row, offset),
    MEMBER(option_row, preset),
    MEMBER(option_row, help),
    MEMBER(option_row, least),
    MEMBER(option_row, most),
};

TQ_API const tq_layout *tequio_jobs_layouts(size_t *n);
TQ_API const jobs_entry *tequio_jobs_at(size_t index);

const tq_layout *tequio_jobs_layouts(size_t *n)
{
    *n = sizeof layouts / sizeof layouts[0];
    return layouts;
}

const jobs_entry *tequio_jobs_at(size_t index)
{
    return jobs_at(index);
}
