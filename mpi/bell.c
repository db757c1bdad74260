#include "mpi/bell.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

tqi_bells *tqi_bells_new(void)
{
    tqi_bells *bells = aligned_alloc(_Alignof(tqi_bells), sizeof *bells);

    if (!bells)
        return NULL;
    memset(bells, 0, sizeof *bells);
    atomic_init(&bells->holders, 1);
    bells->own = &bells->alone;
    return bells;
}

void tqi_bells_hold(tqi_bells *bells)
{
    atomic_fetch_add(&bells->holders, 1);
}

void tqi_bells_let_go(tqi_bells *bells)
{
    if (!bells || atomic_fetch_sub(&bells->holders, 1) > 1)
        return;
    if (bells->shared)
        munmap(bells->shared, bells->shared_bytes);
    free(bells->place);
    free(bells);
}

/* ---- Ringing and sleeping ---- */

static void ring(tqi_bell *bell)
{
    atomic_fetch_add(&bell->rings, 1);
    /* The first to see it asleep wakes it, for all who ring until it sleeps again. */
    if (atomic_load(&bell->asleep) && atomic_exchange(&bell->asleep, 0))
        syscall(SYS_futex, &bell->rings, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void tqi_bells_ring_own(tqi_bells *bells)
{
    ring(bells->own);
}

void tqi_bells_ring(const tqi_bells *bells, int rank)
{
    if (bells->shared && bells->place[rank] > 0)
        ring(&bells->shared[bells->place[rank]]);
}

bool tqi_bells_sleep(tqi_bells *bells, unsigned us)
{
    struct timespec time = {us / 1000000, us % 1000000 * 1000L};
    tqi_bell *own = bells->own;
    uint32_t heard = bells->heard;

    if (atomic_load(&own->rings) == heard) {
        atomic_store(&own->asleep, 1);
        /* The kernel looks at rings again, so a ring in between is not slept through. */
        syscall(SYS_futex, &own->rings, FUTEX_WAIT, heard, &time, NULL, 0);
        atomic_store(&own->asleep, 0);
    }
    bells->heard = atomic_load(&own->rings);
    return bells->heard != heard;
}

/* ---- Sharing ---- */

/* What the first rank of a host tells the others: where it has the memory, and what stands in place 0 of it. */
typedef struct offer {
    int64_t process;
    int64_t descriptor;
    uint64_t token;
} offer;

static tqi_bell *map_bells(int descriptor, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static tqi_bell *make_memory(size_t bytes, offer *made)
{
    struct timespec now;
    int descriptor = memfd_create("tequio-bells", MFD_CLOEXEC);
    tqi_bell *memory =
        descriptor >= 0 && ftruncate(descriptor, (off_t)bytes) == 0 ? map_bells(descriptor, bytes) : NULL;

    clock_gettime(CLOCK_REALTIME, &now);
    *made = (offer){getpid(), descriptor, (uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 20};
    if (memory)
        memcpy((void *)memory, &made->token, sizeof made->token);
    return memory;
}

/* The memory has no name, so nothing of it is left behind; its descriptor is reached through the process that made it. */
static tqi_bell *find_memory(size_t bytes, const offer *made)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)made->process, (long long)made->descriptor);
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0)
        return NULL;
    tqi_bell *memory = map_bells(descriptor, bytes);
    close(descriptor);
    if (memory && memcmp((const void *)memory, &made->token, sizeof made->token) != 0) {
        munmap(memory, bytes); /* of another process of that number: it is seen from another namespace */
        memory = NULL;
    }
    return memory;
}

/* Which places the ranks of the cluster have on this host. NULL: no memory. */
static int *find_places(MPI_Comm host, MPI_Comm cluster, int host_ranks, int ranks)
{
    MPI_Group host_group, group;
    int *place = calloc((size_t)ranks + 2 * (size_t)host_ranks, sizeof *place);
    int *here = place + ranks, *there = here + host_ranks;

    if (!place)
        return NULL;
    for (int i = 0; i < host_ranks; i++)
        here[i] = i;
    MPI_Comm_group(host, &host_group);
    MPI_Comm_group(cluster, &group);
    MPI_Group_translate_ranks(host_group, host_ranks, here, group, there);
    MPI_Group_free(&host_group);
    MPI_Group_free(&group);
    for (int i = 0; i < host_ranks; i++)
        place[there[i]] = 1 + i;
    return place;
}

int tqi_bells_share(tqi_bells *bells, MPI_Comm host, MPI_Comm cluster)
{
    int rank, host_ranks, ranks, works = 0;
    offer made = {0, -1, 0};

    MPI_Comm_rank(host, &rank);
    MPI_Comm_size(host, &host_ranks);
    MPI_Comm_size(cluster, &ranks);
    if (host_ranks == 1)
        return MPI_SUCCESS;
    size_t bytes = ((size_t)host_ranks + 1) * sizeof(tqi_bell);
    tqi_bell *memory = rank == 0 ? make_memory(bytes, &made) : NULL;
    int code = MPI_Bcast(&made, sizeof made, MPI_BYTE, 0, host);
    if (code == MPI_SUCCESS && rank != 0 && made.descriptor >= 0)
        memory = find_memory(bytes, &made);
    int *place = memory ? find_places(host, cluster, host_ranks, ranks) : NULL;
    int mine = place != NULL;
    if (code == MPI_SUCCESS)
        code = MPI_Allreduce(&mine, &works, 1, MPI_INT, MPI_MIN, host);
    if (rank == 0 && made.descriptor >= 0)
        close((int)made.descriptor);
    if (!works) {
        if (memory)
            munmap(memory, bytes);
        free(place);
        return code;
    }
    bells->shared_bytes = bytes;
    bells->shared = memory;
    bells->own = &memory[1 + rank];
    bells->place = place;
    bells->all = host_ranks == ranks;
    return code;
}
