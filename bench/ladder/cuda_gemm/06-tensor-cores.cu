/* bench/ladder/cuda_gemm/06-tensor-cores.cu: one instruction multiplies 16 x 8 by 8 x 8 numbers, rounded to tf32 (10
 * bits of fraction). A warp does 1024 multiply-adds per instruction, and 32 with fmaf. Lanes load their parts of A and
 * B from shared memory one number at a time. Rows of A are 12 numbers apart and rows of B 136, so that the 32 lanes use
 * 32 banks. kernels/cuda/gemm/tensor.cu also uses ldmatrix and copies ahead. */
#include "bench/ladder/cuda_gemm/case.h"

enum { TILE = 128, STEP_K = 8, THREADS = 256, LDA = STEP_K + 4, LDB = TILE + 8, WARP_M = 64, WARP_N = 32 };

static __global__ void __launch_bounds__(THREADS) tensor_kernel(int N, int K, const float *A, const float *B, float *C)
{
    SHARED(float, a, [TILE][LDA]);
    SHARED(float, b, [STEP_K][LDB]);
    const int x = (int)threadIdx.x, warp = x / WARP, g = lane_id() / 4, t = lane_id() % 4;
    const int row = warp / 4 * WARP_M, column = warp % 4 * WARP_N;
    const int64_t m0 = (int64_t)blockIdx.y * TILE, n0 = (int64_t)blockIdx.x * TILE;
    float sum[WARP_M / 16][WARP_N / 8][4] = {};
    for (int k0 = 0; k0 < K; k0 += STEP_K) {
        store4(&a[x / 2][x % 2 * 4], load4(A + (m0 + x / 2) * K + k0 + x % 2 * 4));
        store4(&b[x / 32][x % 32 * 4], load4(B + (int64_t)(k0 + x / 32) * N + n0 + x % 32 * 4));
        __syncthreads();
        uint32_t v[WARP_N / 8][2];
        UNROLL
        for (int j = 0; j < WARP_N / 8; j++) {
            v[j][0] = f32_to_tf32(b[t][column + j * 8 + g]);
            v[j][1] = f32_to_tf32(b[t + 4][column + j * 8 + g]);
        }
        UNROLL
        for (int i = 0; i < WARP_M / 16; i++) {
            const int m = row + i * 16 + g;
            const uint32_t u[4] = {f32_to_tf32(a[m][t]), f32_to_tf32(a[m + 8][t]), f32_to_tf32(a[m][t + 4]),
                                   f32_to_tf32(a[m + 8][t + 4])};
            UNROLL
            for (int j = 0; j < WARP_N / 8; j++)
                mma_tf32(sum[i][j], u, v[j]);
        }
        __syncthreads();
    }
    UNROLL
    for (int i = 0; i < WARP_M / 16; i++) {
        UNROLL
        for (int j = 0; j < WARP_N / 8; j++) {
            float *to = C + (m0 + row + i * 16 + g) * N + n0 + column + j * 8 + 2 * t;
            to[0] = sum[i][j][0];
            to[1] = sum[i][j][1];
            to[8 * (int64_t)N] = sum[i][j][2];
            to[8 * (int64_t)N + 1] = sum[i][j][3];
        }
    }
}

void step_tensor_cores(const Case *c)
{
    LAUNCH(&c->run, tensor_kernel, dim3((unsigned)(c->N / TILE), (unsigned)(c->M / TILE)), THREADS, 0, c->N, c->K, c->A,
           c->B, c->C);
}
