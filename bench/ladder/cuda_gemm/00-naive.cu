/* bench/ladder/cuda_gemm/00-naive.cu: the definition, one thread per element. The threads of a warp have neighbouring
 * rows. Each thread therefore reads A from its own line of 128 bytes, writes C to its own line, and uses only 4 bytes
 * of each. */
#include "bench/ladder/cuda_gemm/case.h"

static __global__ void __launch_bounds__(256)
    naive_kernel(int M, int N, int K, const float *A, const float *B, float *C)
{
    const int m = (int)(blockIdx.x * blockDim.x + threadIdx.x), n = (int)blockIdx.y;
    if (m >= M)
        return;
    float sum = 0;
    for (int k = 0; k < K; k++)
        sum = fmaf(A[(int64_t)m * K + k], B[(int64_t)k * N + n], sum);
    C[(int64_t)m * N + n] = sum;
}

void step_naive(const Case *c)
{
    LAUNCH(&c->run, naive_kernel, dim3((unsigned)div_up(c->M, 256), (unsigned)c->N), 256, 0, c->M, c->N, c->K, c->A,
           c->B, c->C);
}
