/* What stands between tequio and SimGrid's MPI: included in front of every source file (-include), so that the sources
 * are compiled as they are.
 *
 * Time: smpicc makes clock_gettime and usleep simulated, and tqi_bells_sleep, in which engines rest, is replaced
 * (meter.c). As on Linux, a sleep takes longer than it should, by SLACK_NS.
 * Collectives: SMPI's own non-blocking ones send from every rank to every other, whatever they are. Here they send
 * what Open MPI's libnbc sends (bench/smpi/libnbc.c), and everything is counted. */
#ifndef TQS_SHIM_H
#define TQS_SHIM_H

#include <mpi.h>
#include <stdio.h>

enum { SLACK_NS = 60000 };

int tqs_ibcast(void *bytes, int count, MPI_Datatype type, int root, MPI_Comm comm, MPI_Request *request);
int tqs_igather(const void *mine, int count, MPI_Datatype type, void *all, int each, MPI_Datatype all_type, int root,
                MPI_Comm comm, MPI_Request *request);
int tqs_igatherv(const void *mine, int count, MPI_Datatype type, void *all, const int *counts, const int *places,
                 MPI_Datatype all_type, int root, MPI_Comm comm, MPI_Request *request);
int tqs_iscatter(const void *all, int each, MPI_Datatype all_type, void *mine, int count, MPI_Datatype type, int root,
                 MPI_Comm comm, MPI_Request *request);
int tqs_ialltoall(const void *send, int count, MPI_Datatype type, void *receive, int each, MPI_Datatype receive_type,
                  MPI_Comm comm, MPI_Request *request);
int tqs_ialltoallv(const void *send, const int *counts, const int *places, MPI_Datatype type, void *receive,
                   const int *receive_counts, const int *receive_places, MPI_Datatype receive_type, MPI_Comm comm,
                   MPI_Request *request);
int tqs_test(MPI_Request *request, int *done, MPI_Status *status);
int tqs_isend(const void *bytes, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request);
int tqs_iprobe(int from, int tag, MPI_Comm comm, int *there, MPI_Status *status);

/* SMPI has no matched probes. Each rank being one thread, a probe and a receive from the same rank do. */
typedef struct tqs_message *tqs_message;
int tqs_improbe(int from, int tag, MPI_Comm comm, int *there, tqs_message *message, MPI_Status *status);
int tqs_imrecv(void *bytes, int count, MPI_Datatype type, tqs_message *message, MPI_Request *request);
int tqs_mrecv(void *bytes, int count, MPI_Datatype type, tqs_message *message, MPI_Status *status);

/* Calls, messages and bytes of each kind so far, over all ranks; how long rank 0 waited for what all ranks do together; and
 * how long after it was sent a message was noticed. */
void tqs_report(FILE *to);

#define MPI_Ibcast     tqs_ibcast
#define MPI_Igather    tqs_igather
#define MPI_Igatherv   tqs_igatherv
#define MPI_Iscatter   tqs_iscatter
#define MPI_Ialltoall  tqs_ialltoall
#define MPI_Ialltoallv tqs_ialltoallv
#define MPI_Test       tqs_test
#define MPI_Isend      tqs_isend
#define MPI_Iprobe     tqs_iprobe
#define MPI_Message    tqs_message
#define MPI_Improbe    tqs_improbe
#define MPI_Imrecv     tqs_imrecv
#define MPI_Mrecv      tqs_mrecv

#endif
