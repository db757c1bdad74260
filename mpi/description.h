/* Descriptions of jobs: what tq_submit was given, copied and checked. The thread that submits copies; the engine checks
 * and frees. */
#ifndef TQI_DESCRIPTION_H
#define TQI_DESCRIPTION_H

#include <tequio/tequio.h>

/* Copy from with all its strings, and put the defaults where nothing is set. What is of another ABI is copied as
 * nothing but its number. False: no memory; *to can still be freed. */
bool tqi_description_copy(tq_job *to, const tq_job *from);
void tqi_description_free(tq_job *description);

/* What makes no sense in it; NULL if it is fine. */
const char *tqi_description_wrong(const tq_job *job);

#endif
