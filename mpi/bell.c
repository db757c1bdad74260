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

/* What the ranks of a host share. Behind the bells come the numbers that are left at gates: for even gates and for odd
 * ones, by the rank that left them, one for each rank. Who comes to gate n + 2 has passed gate n + 1, so all have come to
 * that one, and are done with what they found at gate n. */
typedef struct tqi_host {
    uint64_t token;        /* tells this memory from any other */
    _Atomic uint32_t came; /* to all gates, all together */
    tqi_bell bells[];
} tqi_host;

static size_t bytes_of(int ranks)
{
    size_t n = (size_t)ranks;

    return sizeof(tqi_host) + n * sizeof(tqi_bell) + 2 * n * n * sizeof(int);
}

static int *numbers_at(const tqi_bells *bells, int rank)
{
    size_t n = (size_t)bells->ranks;

    return (int *)(void *)&bells->host->bells[n] + (bells->gate % 2 * n + (size_t)rank) * n;
}

tqi_bells *tqi_bells_new(void)
{
    tqi_bells *bells = aligned_alloc(_Alignof(tqi_bells), sizeof *bells);

    if (!bells)
        return NULL;
    memset(bells, 0, sizeof *bells);
    atomic_init(&bells->holders, 1);
    bells->own = &bells->alone;
    bells->looks = true;
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
    if (bells->host)
        munmap(bells->host, bells->host_bytes);
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
    if (!bells->host || bells->place[rank] == 0)
        return;
    tqi_bell *bell = &bells->host->bells[bells->place[rank] - 1];
    atomic_fetch_add(&bell->mail, 1);
    ring(bell);
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
    bells->timed_out = bells->heard == heard;
    return !bells->timed_out;
}

void tqi_bells_look(tqi_bells *bells, bool anyway)
{
    uint32_t mail = atomic_load(&bells->own->mail);

    bells->looks = anyway || !bells->all || bells->timed_out || mail != bells->read;
    bells->read = mail;
    bells->timed_out = false;
}

/* ---- Gates ---- */

void tqi_bells_come(tqi_bells *bells, const int *numbers)
{
    uint32_t n = (uint32_t)bells->ranks;

    bells->gate++;
    if (numbers)
        memcpy(numbers_at(bells, bells->own_place), numbers, n * sizeof *numbers);
    if (atomic_fetch_add(&bells->host->came, 1) + 1 != bells->gate * n)
        return;
    for (uint32_t i = 0; i < n; i++)
        ring(&bells->host->bells[i]);
}

bool tqi_bells_all_came(const tqi_bells *bells)
{
    uint32_t missing = bells->gate * (uint32_t)bells->ranks - atomic_load(&bells->host->came);

    return missing == 0 || missing > UINT32_MAX / 2; /* some may have come to the next already */
}

void tqi_bells_find(const tqi_bells *bells, int *numbers)
{
    for (int r = 0; r < bells->ranks; r++)
        numbers[r] = numbers_at(bells, r)[bells->own_place];
}

/* ---- Sharing ---- */

/* What the first rank of a host tells the others: where it has the memory, and what stands in it. */
typedef struct offer {
    int64_t process;
    int64_t descriptor;
    uint64_t token;
} offer;

static tqi_host *map_host(int descriptor, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static tqi_host *make_host(size_t bytes, offer *made)
{
    struct timespec now;
    int descriptor = memfd_create("tequio-bells", MFD_CLOEXEC);
    tqi_host *host = descriptor >= 0 && ftruncate(descriptor, (off_t)bytes) == 0 ? map_host(descriptor, bytes) : NULL;

    clock_gettime(CLOCK_REALTIME, &now);
    *made = (offer){getpid(), descriptor, (uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 20};
    if (host)
        host->token = made->token;
    return host;
}

/* The memory has no name, so nothing of it is left behind; its descriptor is reached through the process that made it. */
static tqi_host *find_host(size_t bytes, const offer *made)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)made->process, (long long)made->descriptor);
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0)
        return NULL;
    tqi_host *host = map_host(descriptor, bytes);
    close(descriptor);
    if (host && host->token != made->token) {
        munmap(host, bytes); /* of another process of that number: it is seen from another namespace */
        host = NULL;
    }
    return host;
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
    size_t bytes = bytes_of(host_ranks);
    tqi_host *memory = rank == 0 ? make_host(bytes, &made) : NULL;
    int code = MPI_Bcast(&made, sizeof made, MPI_BYTE, 0, host);
    if (code == MPI_SUCCESS && rank != 0 && made.descriptor >= 0)
        memory = find_host(bytes, &made);
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
    bells->host = memory;
    bells->host_bytes = bytes;
    bells->ranks = host_ranks;
    bells->own = &memory->bells[rank];
    bells->own_place = rank;
    bells->place = place;
    bells->all = host_ranks == ranks;
    return code;
}
