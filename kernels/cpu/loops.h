/* kernels/cpu/loops.h: the two loops of most kernels. A range is cut into pieces for the pool, for balance alone: what
 * is computed for an index must not depend on where its piece begins. A row is walked in vectors, the last one
 * partial. */
#ifndef SAPOR_LOOPS_H
#define SAPOR_LOOPS_H

#include "kernels/cpu/cpu.h"

typedef void RangeFn(const void *arg, int64_t first, int64_t last);

typedef struct Ranges {
    RangeFn *fn;
    const void *arg;
    int64_t n, grain;
} Ranges;

static inline void ranges_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const Ranges *r = arg;
    int64_t first = (int64_t)task * r->grain;
    r->fn(r->arg, first, MIN(r->n, first + r->grain));
}

/* fn over [0, n) in pieces of `grain`, in one piece where there is one thread. */
INLINE void run_ranges(const Run *run, int64_t n, int64_t grain, RangeFn *fn, const void *arg)
{
    if (n <= 0)
        return;
    if (n <= grain || threads_of(run) == 1) {
        fn(arg, 0, n);
        return;
    }
    Ranges r = {fn, arg, n, grain};
    pool_run(run->context, (size_t)div_up(n, grain), ranges_task, &r);
}

/* Rows of C numbers: pieces of about 64 KB. */
INLINE void run_rows(const Run *run, int64_t M, int64_t C, RangeFn *fn, const void *arg)
{
    run_ranges(run, M, MAX(1, 16384 / MAX(1, C)), fn, arg);
}

/* The last argument once for each vector of [first, last): i is where it begins, n how many lanes count (VW, fewer in
 * the last). */
#define FOR_VECTORS(first, last, ...)                                                                                  \
    {                                                                                                                  \
        const int64_t stop_ = (last);                                                                                  \
        int64_t i = (first);                                                                                           \
        for (; i + VW <= stop_; i += VW) {                                                                             \
            const int n = VW;                                                                                          \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
        if (i < stop_) {                                                                                               \
            const int n = (int)(stop_ - i);                                                                            \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
    }

INLINE vf load_part(const float *p, int n)
{
    return n == VW ? v_load(p) : v_load_n(p, n);
}
/* n numbers of type F32, F16 or BF16 (a constant at each call), from number i on */
INLINE vf load_as(const DType type, const void *x, int64_t i, int n)
{
    if (type == F32)
        return load_part((const float *)x + i, n);
    uint16_t part[VW] = {0};
    const uint16_t *from = (const uint16_t *)x + i;
    if (n < VW)
        from = memcpy(part, from, (size_t)n * sizeof *from);
    return type == F16 ? v_from_f16(vh_load(from)) : v_from_bf16(vh_load(from));
}
INLINE void store_part(float *p, vf x, int n)
{
    if (n == VW)
        v_store(p, x);
    else
        v_store_n(p, x, n);
}
/* x with zeros in the lanes from n on */
INLINE vf keep_part(vf x, int n)
{
    return n == VW ? x : v_select(v_lanes() < n, x, v_zero());
}

#endif
