/* The most important step. A tile of C, 4 rows x 2 vectors, stays in registers while k runs through all of K. It is
 * stored once, at the end. Eight sums hide the four cycles of latency. But 8 multiply-adds still need 6 loads. */
#include "bench/ladder/gemm/case.h"

/* R is a constant after inlining. */
INLINE void block(int R, const Case *c, int64_t m, int64_t n)
{
    const float *a = c->A + m * c->K, *b = c->B + n;
    float *to = c->C + m * c->N + n;
    vf sum[4][2];
    UNROLL
    for (int r = 0; r < R; r++)
        sum[r][0] = sum[r][1] = v_zero();
    for (int64_t k = 0; k < c->K; k++, a++, b += c->N) {
        const vf b0 = v_load(b), b1 = v_load(b + VW);
        UNROLL
        for (int r = 0; r < R; r++) {
            const vf ar = v_set(a[r * c->K]);
            sum[r][0] = v_fma(ar, b0, sum[r][0]);
            sum[r][1] = v_fma(ar, b1, sum[r][1]);
        }
    }
    UNROLL
    for (int r = 0; r < R; r++) {
        v_store(to + r * c->N, sum[r][0]);
        v_store(to + r * c->N + VW, sum[r][1]);
    }
}

static void gemm(Case *c)
{
    for (int64_t m = 0; m < c->M; m += m + 4 <= c->M ? 4 : 1) {
        for (int64_t n = 0; n < c->N; n += 2 * VW) {
            if (m + 4 <= c->M)
                block(4, c, m, n);
            else
                block(1, c, m, n);
        }
    }
}
STEP("4 rows x 2 vectors of C in registers while k runs", NULL, gemm)
