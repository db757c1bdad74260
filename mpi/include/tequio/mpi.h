/* For programs that use MPI themselves: a cluster on a communicator of theirs. */
#ifndef TEQUIO_MPI_H
#define TEQUIO_MPI_H

#include <mpi.h>
#include <tequio/tequio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* tq_cluster_open on a duplicate of communicator. Collective over it. MPI must be initialized; its thread level
 * decides:
 *   MPI_THREAD_MULTIPLE     everything is allowed.
 *   MPI_THREAD_SERIALIZED   the program makes no MPI call of its own while a collective tequio call or a job runs.
 *   lower                   TQ_E_USAGE, unless options->threads is 0: then every MPI call is made inside tq_
 *                           functions, on the caller's thread, which must be the one that initialized MPI.
 * MPI is not finalized by tq_cluster_close, which must come before MPI_Finalize. */
TQ_API tq_status tq_cluster_open_on(MPI_Comm communicator, const tq_cluster_options *options, tq_cluster **cluster,
                                    tq_error *error);

#ifdef __cplusplus
}
#endif
#endif
