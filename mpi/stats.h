/* What a job cost: collected on rank 0 at its end. Only the engine. */
#ifndef TQI_STATS_H
#define TQI_STATS_H

#include "mpi/job.h"

/* Processor time of this process so far, in seconds. */
double tqi_cpu_seconds(void);

/* Fill job->stats on rank 0. Collective. */
tq_status tqi_stats_collect(tqi_job *job, tq_error *error);

#endif
