/* Leaving MPI while a thread of Open MPI's still has an event of PMIx's to handle, whose code MPI_Finalize unloads. Here
 * this program stands before libevent, and makes such events last until the cluster is being closed, and a while longer.
 * Where the MPI library has no such events nothing is tried. */
#include "check.h"

#include <dlfcn.h>
#include <stdatomic.h>

typedef void (*handler_fn)(int fd, short what, void *user);
typedef int (*assign_fn)(void *event, void *base, int fd, short what, handler_fn handler, void *user);

/* An event and what it is for. */
struct late {
    handler_fn handler;
    void *user;
};

static const double LATE_S = 0.2;
static atomic_bool closing;
static atomic_int n_late;

/* Busy all the time, as a thread that sleeps has nothing to do. */
static void handle_late(int fd, short what, void *user)
{
    struct late late = *(struct late *)user;
    double hang_s = now_s() + HANG_S;

    free(user);
    while (!atomic_load(&closing) && now_s() < hang_s)
        ;
    for (double until_s = now_s() + LATE_S; now_s() < until_s;)
        ;
    late.handler(fd, what, late.user);
}

/* Of libevent. */
__attribute__((visibility("default"))) int event_assign(void *event, void *base, int fd, short what, handler_fn handler,
                                                        void *user);

int event_assign(void *event, void *base, int fd, short what, handler_fn handler, void *user)
{
    assign_fn assign = (assign_fn)(uintptr_t)dlsym(RTLD_NEXT, "event_assign");
    void *code = (void *)(uintptr_t)handler;
    Dl_info where;

    if (dladdr(code, &where) && strstr(where.dli_fname, "/mca_pmix_")) {
        struct late *late = malloc(sizeof *late);

        CHECK(late);
        *late = (struct late){handler, user};
        atomic_fetch_add(&n_late, 1);
        return assign(event, base, fd, what, handle_late, late);
    }
    return assign(event, base, fd, what, handler, user);
}

int main(int argc, char **argv)
{
    tq_cluster_options options = TQ_CLUSTER_OPTIONS_INIT;
    tq_cluster *cluster;

    options.threads = argc > 1 ? atoi(argv[1]) : 1;
    CHECK_STATUS(tq_cluster_open(&options, &cluster, NULL), TQ_OK);
    int tried = atomic_load(&n_late);
    atomic_store(&closing, true);
    tq_cluster_close(cluster);
    return tried ? 0 : 77;
}
