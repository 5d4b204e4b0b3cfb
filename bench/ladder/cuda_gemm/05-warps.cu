/* bench/ladder/cuda_gemm/05-warps.cu: a warp computes a tile of 32 x 64. Its lanes compute groups of 4 x 4 that are 16
 * rows or 32 columns apart. There are no bank conflicts: one load of a warp reads contiguous bytes from shared memory.
 *
 * - A: 4 different pieces of 16 bytes (64 bytes). The lanes with the same rows read the same piece.
 * - B: 8 different pieces of 16 bytes (128 bytes). The lanes with the same columns read the same piece.
 *
 * The next part of A and B is copied (cp.async) while the current part is used: only the copy of the first part is not
 * hidden. There is one barrier per step. */
#include "bench/ladder/cuda_gemm/case.h"

enum { TILE = 128, STEP_K = 8, EACH = 8, THREADS = 256, LD = TILE + 4, STAGES = 3 };

static __device__ inline void copy(float *a, float *b, int64_t m0, int64_t n0, int k0, int N, int K, const float *A,
                                   const float *B)
{
    const int t = (int)threadIdx.x;
    if (k0 < K) {
        for (int m = t / STEP_K; m < TILE; m += THREADS / STEP_K) /* transposed: 4 bytes per copy */
            cp_async4(a + t % STEP_K * LD + m, A + (m0 + m) * K + k0 + t % STEP_K, 4);
        cp_async16(b + t / 32 * LD + t % 32 * 4, B + (int64_t)(k0 + t / 32) * N + n0 + t % 32 * 4, 16);
    }
    cp_async_commit();
}
static __device__ inline void take(const float *p, int apart, float *x)
{
    const float4 u = load4(p), v = load4(p + apart);
    x[0] = u.x, x[1] = u.y, x[2] = u.z, x[3] = u.w, x[4] = v.x, x[5] = v.y, x[6] = v.z, x[7] = v.w;
}

static __global__ void __launch_bounds__(THREADS, 2)
    warps_kernel(int N, int K, const float *A, const float *B, float *C)
{
    SHARED(float, a, [STAGES][STEP_K * LD]);
    SHARED(float, b, [STAGES][STEP_K * LD]);
    const int warp = (int)threadIdx.x / WARP, lane = lane_id();
    const int row = warp / 2 * 32 + lane / 8 * 4, column = warp % 2 * 64 + lane % 8 * 4;
    const int64_t m0 = (int64_t)blockIdx.y * TILE, n0 = (int64_t)blockIdx.x * TILE;
    float sum[EACH][EACH] = {};
    copy(a[0], b[0], m0, n0, 0, N, K, A, B);
    copy(a[1], b[1], m0, n0, STEP_K, N, K, A, B);
    for (int k0 = 0, now = 0; k0 < K; k0 += STEP_K, now = (now + 1) % STAGES) {
        cp_async_wait<1>();
        __syncthreads();
        copy(a[(now + 2) % STAGES], b[(now + 2) % STAGES], m0, n0, k0 + 2 * STEP_K, N, K, A, B);
        UNROLL
        for (int k = 0; k < STEP_K; k++) {
            float u[EACH], v[EACH];
            take(a[now] + k * LD + row, 16, u);
            take(b[now] + k * LD + column, 32, v);
            UNROLL
            for (int i = 0; i < EACH; i++) {
                UNROLL
                for (int j = 0; j < EACH; j++)
                    sum[i][j] = fmaf(u[i], v[j], sum[i][j]);
            }
        }
    }
    UNROLL
    for (int i = 0; i < EACH; i++) {
        UNROLL
        for (int j = 0; j < EACH; j += 4)
            store4(C + (m0 + row + i / 4 * 16 + i % 4) * N + n0 + column + j / 4 * 32,
                   make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]));
    }
}

void step_warps(const Case *c)
{
    LAUNCH(&c->run, warps_kernel, dim3((unsigned)(c->N / TILE), (unsigned)(c->M / TILE)), THREADS, 0, c->N, c->K, c->A,
           c->B, c->C);
}
