/* e^(s - max) in vectors, for the later steps. */
#ifndef SAPOR_LADDER_SOFTMAX_H
#define SAPOR_LADDER_SOFTMAX_H

#include <math.h>

#include "bench/ladder/attention/case.h"

/* Replaces s [n] by e^(s - top) and returns the sum of these numbers. `top` is first raised to the maximum of s. s is
 * padded with -infinity to whole vectors. */
static inline float exponentials_of(float *s, int64_t n, float *top)
{
    vf largest = v_set(*top), sum = v_zero();
    for (int64_t j = 0; j < n; j += VW)
        largest = v_max(largest, v_load(s + j));
    *top = v_max_lane(largest);
    for (int64_t j = 0; j < n; j += VW) {
        const vf e = v_exp(v_load(s + j) - *top);
        v_store(s + j, e);
        sum += e;
    }
    return v_sum(sum);
}

static inline void pad(float *s, int64_t n)
{
    for (; n % VW != 0; n++)
        s[n] = -INFINITY;
}

/* Packs n keys of head h, transposed, and n values, from token j on, for gemm. */
static inline void pack_head(const Case *c, int64_t h, int64_t j, int64_t n)
{
    const Kernels *k = ladder_kernels();
    k->gemm_pack(&c->run, PACK_F32, c->D, n, c->k + j * c->ld + h * c->D, 1, c->ld, c->keys);
    k->gemm_pack(&c->run, PACK_F32, n, c->D, c->v + j * c->ld + h * c->D, c->ld, 1, c->values);
}

#endif
