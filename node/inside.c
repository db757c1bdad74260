#include "node/inside.h"

#include "node/cpu.h"
#include <stdint.h>

/* One body, which the compiler makes instructions of each set from. */
static inline __attribute__((always_inline)) bool inside(const tq_slice *keys, size_t n, const char *begin,
                                                         const char *end)
{
    uint64_t first = (uint64_t)(uintptr_t)begin, bytes = (uint64_t)(end - begin), outside = 0;

    for (size_t i = 0; i < n; i++)
        outside |= (uint64_t)((uint64_t)(uintptr_t)keys[i].data - first >= bytes) | (uint64_t)keys[i].size >> 30;
    return outside == 0;
}

static bool portable_inside(const tq_slice *keys, size_t n, const char *begin, const char *end)
{
    return inside(keys, n, begin, end);
}

#if defined(__x86_64__)

__attribute__((target("avx2,bmi,bmi2"))) static bool avx2_inside(const tq_slice *keys, size_t n, const char *begin,
                                                                 const char *end)
{
    return inside(keys, n, begin, end);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2"))) static bool
avx512_inside(const tq_slice *keys, size_t n, const char *begin, const char *end)
{
    return inside(keys, n, begin, end);
}

#endif

static const tqi_inside_kernel kernels[] = {
    {"portable", portable_inside, tqi_cpu_any},
#if defined(__x86_64__)
    {"avx2", avx2_inside, tqi_cpu_avx2},
    {"avx512", avx512_inside, tqi_cpu_avx512},
#endif
};

const tqi_inside_kernel *tqi_inside_kernels(size_t *n)
{
    *n = sizeof kernels / sizeof kernels[0];
    while (!kernels[*n - 1].supported())
        --*n;
    return kernels;
}

static const tqi_inside_kernel *best_kernel(void)
{
    TQI_CPU_BEST(tqi_inside_kernel, kernels);
}

bool tqi_keys_inside(const tq_slice *keys, size_t n, const char *begin, const char *end)
{
    return best_kernel()->inside(keys, n, begin, end);
}
