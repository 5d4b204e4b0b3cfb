/* bench/ladder/cuda_gemm/03-registers.cu: a thread computes 8 x 8 elements, with 16 reads of shared memory for 64
 * multiply-adds. The step before needed 128. The tile of a block is 128 x 128, so each number of A and B that is read
 * from memory is used for 128 products. */
#include "bench/ladder/cuda_gemm/case.h"

enum { TILE = 128, STEP_K = 8, EACH = 8, THREADS = 256 };

static __global__ void __launch_bounds__(THREADS)
    registers_kernel(int N, int K, const float *A, const float *B, float *C)
{
    SHARED(float, a, [TILE][STEP_K]);
    SHARED(float, b, [STEP_K][TILE]);
    const int t = (int)threadIdx.x, row = t / 16 * EACH, column = t % 16 * EACH;
    const int64_t m0 = (int64_t)blockIdx.y * TILE, n0 = (int64_t)blockIdx.x * TILE;
    float sum[EACH][EACH] = {};
    for (int k0 = 0; k0 < K; k0 += STEP_K) {
        for (int i = t; i < TILE * STEP_K; i += THREADS) {
            a[i / STEP_K][i % STEP_K] = A[(m0 + i / STEP_K) * K + k0 + i % STEP_K];
            b[i / TILE][i % TILE] = B[(int64_t)(k0 + i / TILE) * N + n0 + i % TILE];
        }
        __syncthreads();
        for (int k = 0; k < STEP_K; k++) {
            UNROLL
            for (int i = 0; i < EACH; i++) {
                UNROLL
                for (int j = 0; j < EACH; j++)
                    sum[i][j] = fmaf(a[row + i][k], b[k][column + j], sum[i][j]);
            }
        }
        __syncthreads();
    }
    UNROLL
    for (int i = 0; i < EACH; i++) {
        UNROLL
        for (int j = 0; j < EACH; j++)
            C[(m0 + row + i) * N + n0 + column + j] = sum[i][j];
    }
}

void step_registers(const Case *c)
{
    LAUNCH(&c->run, registers_kernel, dim3((unsigned)(c->N / TILE), (unsigned)(c->M / TILE)), THREADS, 0, c->N, c->K,
           c->A, c->B, c->C);
}
