/* bench/ladder/cuda_gemm/04-vectors.cu: 16 bytes per load, from memory and from shared memory: a quarter of the load
 * instructions. For this, A is transposed on its way to shared memory, so that the 8 rows of a thread are contiguous.
 */
#include "bench/ladder/cuda_gemm/case.h"

enum { TILE = 128, STEP_K = 8, EACH = 8, THREADS = 256 };

static __device__ inline void take8(const float *p, float *x)
{
    const float4 u = load4(p), v = load4(p + 4);
    x[0] = u.x, x[1] = u.y, x[2] = u.z, x[3] = u.w, x[4] = v.x, x[5] = v.y, x[6] = v.z, x[7] = v.w;
}

static __global__ void __launch_bounds__(THREADS) vectors_kernel(int N, int K, const float *A, const float *B, float *C)
{
    SHARED(float, a, [STEP_K][TILE]);
    SHARED(float, b, [STEP_K][TILE]);
    const int t = (int)threadIdx.x, row = t / 16 * EACH, column = t % 16 * EACH;
    const int64_t m0 = (int64_t)blockIdx.y * TILE, n0 = (int64_t)blockIdx.x * TILE;
    const float *a_from = A + (m0 + t / 2) * K + t % 2 * 4, *b_from = B + (int64_t)(t / 32) * N + n0 + t % 32 * 4;
    float sum[EACH][EACH] = {};
    for (int k0 = 0; k0 < K; k0 += STEP_K) {
        const float4 x = load4(a_from + k0);
        a[t % 2 * 4][t / 2] = x.x, a[t % 2 * 4 + 1][t / 2] = x.y;
        a[t % 2 * 4 + 2][t / 2] = x.z, a[t % 2 * 4 + 3][t / 2] = x.w;
        store4(&b[t / 32][t % 32 * 4], load4(b_from + (int64_t)k0 * N));
        __syncthreads();
        UNROLL
        for (int k = 0; k < STEP_K; k++) {
            float u[EACH], v[EACH];
            take8(&a[k][row], u);
            take8(&b[k][column], v);
            UNROLL
            for (int i = 0; i < EACH; i++) {
                UNROLL
                for (int j = 0; j < EACH; j++)
                    sum[i][j] = fmaf(u[i], v[j], sum[i][j]);
            }
        }
        __syncthreads();
    }
    UNROLL
    for (int i = 0; i < EACH; i++) {
        UNROLL
        for (int j = 0; j < EACH; j += 4)
            store4(C + (m0 + row + i) * N + n0 + column + j,
                   make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]));
    }
}

void step_vectors(const Case *c)
{
    LAUNCH(&c->run, vectors_kernel, dim3((unsigned)(c->N / TILE), (unsigned)(c->M / TILE)), THREADS, 0, c->N, c->K,
           c->A, c->B, c->C);
}
