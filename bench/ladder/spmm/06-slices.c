/* x in slices of one cache line per node. A slice of 9,300 nodes is 0.6 MB and fits the L2 cache; all of x (2.4 MB)
 * does not. But all entries are read once per slice. The copy into slices is timed. */
#include "bench/ladder/spmm/case.h"

enum { SLICE = 16, V = SLICE / VW };

static void spmm(Case *c)
{
    float *slice = c->work;
    for (int d = 0; d < D; d += SLICE) {
        for (int64_t i = 0; i < c->nodes; i++) {
            UNROLL
            for (int v = 0; v < V; v++)
                v_store(slice + i * SLICE + v * VW, c->scale[i] * v_load(c->x + i * D + d + v * VW));
        }
        for (int64_t r = 0; r < c->nodes; r++) {
            vf sum[V];
            UNROLL
            for (int v = 0; v < V; v++)
                sum[v] = v_zero();
            for (int64_t e = c->start[r]; e < c->start[r + 1]; e++) {
                UNROLL
                for (int v = 0; v < V; v++)
                    sum[v] += v_load(slice + (int64_t)c->col[e] * SLICE + v * VW);
            }
            UNROLL
            for (int v = 0; v < V; v++)
                v_store(c->y + r * D + d + v * VW, c->scale[r] * sum[v]);
        }
    }
}
ASIDE("x in slices of 16 columns that fit the L2 cache", NULL, spmm)
