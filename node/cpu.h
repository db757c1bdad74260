/* Which sets of instructions this CPU has, for tables of kernels; and the choice among them. Any thread. */
#ifndef TQI_CPU_H
#define TQI_CPU_H

#include <stdatomic.h>
#include <stdbool.h>

static inline bool tqi_cpu_any(void)
{
    return true;
}

#if defined(__x86_64__)

/* AVX2 with both sets of bit manipulation, and popcnt. */
static inline bool tqi_cpu_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

/* With F, BW, VL and DQ. */
static inline bool tqi_cpu_avx512(void)
{
    return tqi_cpu_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/* With F, BW, VL and both sets of byte manipulation. */
static inline bool tqi_cpu_avx512_bytes(void)
{
    return tqi_cpu_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2");
}

#endif

/* The body of a function that returns the last kernel of a table of this type whose supported() is true, which that of the first
 * always is. It is kept: who asks at the same time finds the same. */
#define TQI_CPU_BEST(type, table)                                                                                      \
    static const type *_Atomic best; /* NULL until somebody asks */                                                    \
    const type *found = atomic_load_explicit(&best, memory_order_relaxed);                                             \
                                                                                                                       \
    if (!found) {                                                                                                      \
        found = &(table)[sizeof(table) / sizeof(table)[0] - 1];                                                        \
        while (!found->supported())                                                                                    \
            found--;                                                                                                   \
        atomic_store_explicit(&best, found, memory_order_relaxed);                                                     \
    }                                                                                                                  \
    return found

#endif
