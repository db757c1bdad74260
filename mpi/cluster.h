/* The cluster handle: the engine thread, its queue of jobs, and the pool of workers.
 *
 * queue, closing, alive and submitted are guarded by lock. comm and executor are set before the handle is given out and
 * stay. The engine thread makes every MPI call; with threads = 0 there is none, and the callers of tq_ functions make them. */
#ifndef TQI_CLUSTER_H
#define TQI_CLUSTER_H

#include "mpi/job.h"

struct tq_cluster {
    tqi_comm comm;
    tq_cluster_options options; /* threads: asked for at first; 0 = inline */
    tq_executor *executor;
    MPI_Comm parent; /* MPI_COMM_NULL: the world */
    tq_status opened;
    tq_error error;
    char mpi_version[MPI_MAX_LIBRARY_VERSION_STRING];

    pthread_t engine;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready, closing;
    tqi_job *queue, **queue_end;
    tqi_job *alive; /* jobs whose notifier may still run */
    uint64_t submitted;
};

tq_status tqi_cluster_open(MPI_Comm parent, const tq_cluster_options *options, tq_cluster **cluster, tq_error *error);

#endif
