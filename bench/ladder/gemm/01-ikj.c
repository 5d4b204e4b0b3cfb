/* The two inner loops are exchanged. The innermost one now runs along a row of B and a row of C, and the compiler makes
 * vectors of it. But each multiply-add needs two loads and one store. */
#include "bench/ladder/gemm/case.h"

static void gemm(Case *c)
{
    memset(c->C, 0, (size_t)(c->M * c->N) * sizeof *c->C);
    for (int64_t m = 0; m < c->M; m++) {
        float *restrict C = c->C + m * c->N;
        for (int64_t k = 0; k < c->K; k++) {
            const float a = c->A[m * c->K + k], *B = c->B + k * c->N;
            for (int64_t n = 0; n < c->N; n++)
                C[n] += a * B[n];
        }
    }
}
STEP("i k j: the inner loop runs along rows", NULL, gemm)
