/* The definition. The inner loop walks down a column of B, so each number comes from another cache line. Each addition
 * waits about four cycles for the one before, because the compiler may not reorder a float sum. */
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
