/* bench/ladder/cuda_gemm/02-shared.cu: a block copies squares of 32 x 32 of A and B to shared memory and uses each
 * number 32 times, so memory is read a 32nd as often. Now shared memory is the limit: two reads for each multiply-add.
 */
#include "bench/ladder/cuda_gemm/case.h"

enum { SIDE = 32 };

static __global__ void __launch_bounds__(SIDE *SIDE)
    shared_kernel(int N, int K, const float *A, const float *B, float *C)
{
    SHARED(float, a, [SIDE][SIDE]);
    SHARED(float, b, [SIDE][SIDE]);
    const int x = (int)threadIdx.x % SIDE, y = (int)threadIdx.x / SIDE;
    const int64_t m = (int64_t)blockIdx.y * SIDE + y, n = (int64_t)blockIdx.x * SIDE + x;
    float sum = 0;
    for (int k0 = 0; k0 < K; k0 += SIDE) {
        a[y][x] = A[m * K + k0 + x];
        b[y][x] = B[(int64_t)(k0 + y) * N + n];
        __syncthreads();
        for (int k = 0; k < SIDE; k++)
            sum = fmaf(a[y][k], b[k][x], sum);
        __syncthreads();
    }
    C[m * N + n] = sum;
}

void step_shared(const Case *c)
{
    LAUNCH(&c->run, shared_kernel, dim3((unsigned)(c->N / SIDE), (unsigned)(c->M / SIDE)), SIDE * SIDE, 0, c->N, c->K,
           c->A, c->B, c->C);
}
