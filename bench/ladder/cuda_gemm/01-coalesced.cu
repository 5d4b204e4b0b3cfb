/* bench/ladder/cuda_gemm/01-coalesced.cu: threads of a warp have neighbouring columns. A warp's read of B and its write
 * to C are one line of 128 bytes each. Its read of A is one number for all threads. Each multiply-add still waits for
 * two loads. */
#include "bench/ladder/cuda_gemm/case.h"

static __global__ void __launch_bounds__(128) coalesced_kernel(int N, int K, const float *A, const float *B, float *C)
{
    const int n = (int)(blockIdx.x * blockDim.x + threadIdx.x), m = (int)blockIdx.y;
    float sum = 0;
    for (int k = 0; k < K; k++)
        sum = fmaf(A[(int64_t)m * K + k], B[(int64_t)k * N + n], sum);
    C[(int64_t)m * N + n] = sum;
}

void step_coalesced(const Case *c)
{
    LAUNCH(&c->run, coalesced_kernel, dim3((unsigned)(c->N / 128), (unsigned)c->M), 128, 0, c->N, c->K, c->A, c->B,
           c->C);
}
