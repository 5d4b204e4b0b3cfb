/* D is known. The row of y is four vectors in registers (eight with AVX2) during its entries, and is stored once. */
#include "bench/ladder/spmm/case.h"

static void spmm(Case *c)
{
    for (int64_t r = 0; r < c->nodes; r++) {
        vf sum[VECTORS];
        UNROLL
        for (int v = 0; v < VECTORS; v++)
            sum[v] = v_zero();
        for (int64_t e = c->start[r]; e < c->start[r + 1]; e++) {
            const float *x = c->x + (int64_t)c->col[e] * D;
            const vf val = v_set(c->val[e]);
            UNROLL
            for (int v = 0; v < VECTORS; v++)
                sum[v] = v_fma(val, v_load(x + v * VW), sum[v]);
        }
        UNROLL
        for (int v = 0; v < VECTORS; v++)
            v_store(c->y + r * D + v * VW, sum[v]);
    }
}
STEP("the row of y in registers during its entries", NULL, spmm)
