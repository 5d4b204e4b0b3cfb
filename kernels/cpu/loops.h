/* kernels/cpu/loops.h: the two loops of most kernels. The outer loop cuts a range into pieces for the pool. The cuts
 * only balance the load: the result for an index must not depend on where its piece begins. The inner loop computes a
 * row in vectors, the last of which may be partial. */
#ifndef SAPOR_LOOPS_H
#define SAPOR_LOOPS_H

#include "kernels/cpu/cpu.h"

/* Computes the indices first .. last-1 of a kernel with the arguments `arg`. */
typedef void RangeFn(const void *arg, int64_t first, int64_t last);

typedef struct Ranges {
    RangeFn *fn;
    const void *arg;
    int64_t n, grain; /* the number of indices; the number of indices per task */
} Ranges;

static inline void ranges_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const Ranges *r = arg;
    int64_t first = (int64_t)task * r->grain;
    r->fn(r->arg, first, MIN(r->n, first + r->grain));
}

/* Calls fn for the indices 0 .. n-1 in pieces of `grain` indices, or in one piece if there is one thread. */
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

/* Calls fn for M rows of C numbers, in pieces of about 64 KB. */
INLINE void run_rows(const Run *run, int64_t M, int64_t C, RangeFn *fn, const void *arg)
{
    run_ranges(run, M, MAX(1, 16384 / MAX(1, C)), fn, arg);
}

/* Executes the last argument once per vector of [first, last). i is the first index of the vector. n is the number of
 * valid lanes: VW, or fewer in the last vector. */
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
/* Loads n numbers of the type F32, F16 or BF16, beginning at number i. `type` is a constant in every call. */
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
/* Returns x with zeros in the lanes n, n + 1, ... */
INLINE vf keep_part(vf x, int n)
{
    return n == VW ? x : v_select(v_lanes() < n, x, v_zero());
}

#endif
