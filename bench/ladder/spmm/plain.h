/* The definition, for the two steps that compile it with different flags. */
#include "bench/ladder/spmm/case.h"

static void spmm_plain(Case *c)
{
    memset(c->y, 0, (size_t)(c->nodes * D) * sizeof *c->y);
    for (int64_t r = 0; r < c->nodes; r++) {
        float *restrict y = c->y + r * D;
        for (int64_t e = c->start[r]; e < c->start[r + 1]; e++) {
            const float *x = c->x + (int64_t)c->col[e] * D;
            for (int d = 0; d < D; d++)
                y[d] += c->val[e] * x[d];
        }
    }
}
