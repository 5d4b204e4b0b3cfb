/* kernels/cpu/row_sum.h: sums and softmax over one row of C numbers. A sum has four vectors of partial sums, s0 .. s3.
 * At the end, v_sum adds the lanes of (s0 + s1) + (s2 + s3). The order of the additions depends on C alone. */
#ifndef SAPOR_ROW_SUM_H
#define SAPOR_ROW_SUM_H

#include "kernels/cpu/loops.h"

/* Defines `result`, the sum of `term` over i < C. `term` is an expression of the index i and of n, the number of valid
 * lanes. The other lanes of `term` must be 0. */
#define ROW_SUM(result, C, term)                                                                                       \
    float result;                                                                                                      \
    {                                                                                                                  \
        const int64_t stop_ = (C);                                                                                     \
        vf s0_ = v_zero(), s1_ = s0_, s2_ = s0_, s3_ = s0_;                                                            \
        int64_t i = 0;                                                                                                 \
        for (; i + 4 * VW <= stop_;) {                                                                                 \
            const int n = VW;                                                                                          \
            s0_ += (term), i += VW;                                                                                    \
            s1_ += (term), i += VW;                                                                                    \
            s2_ += (term), i += VW;                                                                                    \
            s3_ += (term), i += VW;                                                                                    \
        }                                                                                                              \
        for (; i + VW <= stop_; i += VW) {                                                                             \
            const int n = VW;                                                                                          \
            s0_ += (term);                                                                                             \
        }                                                                                                              \
        if (i < stop_) {                                                                                               \
            const int n = (int)(stop_ - i);                                                                            \
            s1_ += (term);                                                                                             \
        }                                                                                                              \
        result = v_sum((s0_ + s1_) + (s2_ + s3_));                                                                     \
    }
#define LOAD(p) load_part((p) + i, n)

INLINE vf square(vf x)
{
    return x * x;
}

/* y = softmax(x). y may be x */
INLINE void softmax_row(int64_t C, const float *x, float *y)
{
    const vf lowest = v_set(-__builtin_inff());
    vf top = lowest;
    FOR_VECTORS(0, C, top = v_max(top, n == VW ? v_load(x + i) : v_select(v_lanes() < n, v_load_n(x + i, n), lowest)))
    const float max = v_max_lane(top);
    FOR_VECTORS(0, C, store_part(y + i, v_exp(LOAD(x) - max), n))
    ROW_SUM(sum, C, LOAD(y))
    const float scale = 1.0f / sum;
    FOR_VECTORS(0, C, store_part(y + i, LOAD(y) * scale, n))
}
/* dx = y (dy - y . dy). dx may be dy */
INLINE void softmax_back_row(int64_t C, const float *y, const float *dy, float *dx)
{
    ROW_SUM(dot, C, LOAD(y) * LOAD(dy))
    FOR_VECTORS(0, C, store_part(dx + i, LOAD(y) * (LOAD(dy) - dot), n))
}

#endif
