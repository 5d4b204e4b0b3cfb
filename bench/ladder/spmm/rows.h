/* The loop of the later steps. Its arguments are constants after inlining. */
#include "bench/ladder/spmm/case.h"

/* Computes rows 0 .. nodes-1 of y from the rows all_x [nodes, D]. Each entry e prefetches the row of x that entry e +
 * prefetch_distance will read (0: no prefetch). `stored`: values are read from `val`; otherwise they are the product of
 * the scales of two nodes. */
INLINE void rows(const Case *c, const int prefetch_distance, const bool stored, const float *all_x)
{
    const int64_t last = c->start[c->nodes] - 1;
    for (int64_t r = 0; r < c->nodes; r++) {
        vf sum[VECTORS];
        UNROLL
        for (int v = 0; v < VECTORS; v++)
            sum[v] = v_zero();
        for (int64_t e = c->start[r]; e < c->start[r + 1]; e++) {
            const float *x = all_x + (int64_t)c->col[e] * D;
            if (prefetch_distance) {
                const float *next = all_x + (int64_t)c->col[MIN(e + prefetch_distance, last)] * D;
                UNROLL
                for (int d = 0; d < D; d += 16)
                    __builtin_prefetch(next + d);
            }
            const vf val = v_set(stored ? c->val[e] : c->scale[c->col[e]]);
            UNROLL
            for (int v = 0; v < VECTORS; v++)
                sum[v] = v_fma(val, v_load(x + v * VW), sum[v]);
        }
        const float scale = stored ? 1.0f : c->scale[r];
        UNROLL
        for (int v = 0; v < VECTORS; v++)
            v_store(c->y + r * D + v * VW, stored ? sum[v] : scale * sum[v]);
    }
}
