/* Four rows of C and four steps of k together: 4 x 4 multiply-adds for 4 vectors of B, 4 loads and 4 stores of C. Still
 * plain C. */
#include "bench/ladder/gemm/case.h"

/* Adds R x S numbers of A times S rows of B to R rows of C. R and S are constants after inlining. */
INLINE void block(int R, int S, int64_t N, const float *A, int64_t lda, const float *restrict B, float *restrict C)
{
    for (int64_t n = 0; n < N; n++) {
        UNROLL
        for (int r = 0; r < R; r++) {
            float sum = C[r * N + n];
            UNROLL
            for (int s = 0; s < S; s++)
                sum += A[r * lda + s] * B[s * N + n];
            C[r * N + n] = sum;
        }
    }
}

static void gemm(Case *c)
{
    const int64_t M = c->M, N = c->N, K = c->K;
    memset(c->C, 0, (size_t)(M * N) * sizeof *c->C);
    for (int64_t m = 0; m < M; m += m + 4 <= M ? 4 : 1) {
        for (int64_t k = 0; k < K; k += k + 4 <= K ? 4 : 1) {
            const float *A = c->A + m * K + k, *B = c->B + k * N;
            float *C = c->C + m * N;
            if (m + 4 <= M && k + 4 <= K)
                block(4, 4, N, A, K, B, C);
            else if (m + 4 <= M)
                block(4, 1, N, A, K, B, C);
            else if (k + 4 <= K)
                block(1, 4, N, A, K, B, C);
            else
                block(1, 1, N, A, K, B, C);
        }
    }
}
STEP("four rows by four steps of k for each load and store of C", NULL, gemm)
