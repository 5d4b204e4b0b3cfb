/* Shared by steps 01 to 03: a sum in four vectors, so that no addition waits for the one before, and the last pass */
#ifndef SAPOR_LADDER_ROWS_H
#define SAPOR_LADDER_ROWS_H

#include "bench/ladder/norm/case.h"

INLINE float total(const vf s[4])
{
    return v_sum((s[0] + s[1]) + (s[2] + s[3]));
}

/* sum_of returns the sum of s[i] over i < C. squares_of returns the sum of (s[i] - mean)^2. */
INLINE float sum_of(int64_t C, const float *s)
{
    vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    for (int64_t i = 0; i < C; i += 4 * VW) {
        UNROLL
        for (int k = 0; k < 4; k++)
            sum[k] += v_load(s + i + k * VW);
    }
    return total(sum);
}

INLINE float squares_of(int64_t C, const float *s, float mean)
{
    vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    for (int64_t i = 0; i < C; i += 4 * VW) {
        UNROLL
        for (int k = 0; k < 4; k++) {
            const vf off = v_load(s + i + k * VW) - mean;
            sum[k] = v_fma(off, off, sum[k]);
        }
    }
    return total(sum);
}

/* Computes y = (y - mean) rstd gamma + beta in place, with rstd = 1 / sqrt(variance + eps). */
INLINE void scale_row(const Case *c, float *y, float mean, float variance)
{
    const float rstd = 1.0f / __builtin_sqrtf(variance + c->eps);
    for (int64_t i = 0; i < c->C; i += VW)
        v_store(y + i, v_fma((v_load(y + i) - mean) * rstd, v_load(c->gamma + i), v_load(c->beta + i)));
}

#endif
