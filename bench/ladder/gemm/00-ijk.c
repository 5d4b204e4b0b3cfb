/* The definition. The inner loop walks down a column of B: every number from another cache line; and the sum waits for
 * itself, four cycles an addition, since the compiler may not reorder it. */
#include "bench/ladder/gemm/case.h"

static void gemm(Case *c)
{
    for (int64_t m = 0; m < c->M; m++) {
        for (int64_t n = 0; n < c->N; n++) {
            float sum = 0;
            for (int64_t k = 0; k < c->K; k++)
                sum += c->A[m * c->K + k] * c->B[k * c->N + n];
            c->C[m * c->N + n] = sum;
        }
    }
}
STEP("i j k, as written", NULL, gemm)
