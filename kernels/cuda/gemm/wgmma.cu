/* kernels/cuda/gemm/wgmma.cu: C = A B in f16 and bf16 by wgmma, for the H100 (sm_90a). It computes the same products as
 * tensor.cu, but the tensor cores read the operands directly from shared memory. It has not run on a card yet, and the
 * emulator does not have wgmma. Only cuda_gemm_wgmma, the level "cuda:wgmma", calls it.
 *
 * Sums stay in the accumulators, which truncate when they add (tensor.cu). Products with f16 weights therefore do not
 * have the accuracy of float32 here. The order of a sum: blocks of 16 numbers of K are added in order; the order inside
 * a block is that of the tensor core. */
#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/gemm/wgmma.h"

#ifdef SAPOR_CUDA_EMU
bool wgmma_product(const Run *, Unit, const Side &, const Side &, const Finish &)
{
    return false;
}
#else

enum {
    TILE = 128, /* rows and columns of C per block; a group of four warps has 64 rows and all columns */
    BK = 64,    /* a line of 128 bytes */
    GROUP = 128,
    THREADS = TILE / 64 * GROUP,
    STAGES = 3,
    PART = TILE * BK * 2, /* bytes of an operand per stage */
    ALIGN = 1024,
    BYTES = STAGES * 2 * PART + ALIGN
};
static_assert(TILE * (TILE + 4) * 4 <= STAGES * 2 * PART, "the tile of C goes where the stages were");

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
static __device__ inline void multiply(Half, float (&c)[64], uint64_t a, uint64_t b)
{
    wgmma_f16(c, a, b);
}
static __device__ inline void multiply(Brain, float (&c)[64], uint64_t a, uint64_t b)
{
    wgmma_bf16(c, a, b);
}
/* Copies 128 lines of `left` numbers, at most BK, from column `from` of the operand on. A thread copies 16 bytes of
 * every 32nd line, at the same place of each line. Eight threads copy one line, so reads are coalesced. */
template <class T>
static __device__ inline void copy_part(unsigned char *to, const Side &x, int64_t i0, int64_t from, int64_t left)
{
    const int chunk = (int)threadIdx.x % 8, line = (int)threadIdx.x / 8;
    const int valid = (int)MIN(MAX(left - chunk * 8, (int64_t)0), (int64_t)8) * 2;
    UNROLL
    for (int i = line; i < TILE; i += THREADS / 8)
        cp_async16(to + i * 128 + (chunk ^ i % 8) * 16, (const T *)x.p + (i0 + i) * x.step + from + chunk * 8,
                   i0 + i < x.count ? valid : 0);
}
#endif

/* Computes one tile per block, limited by the tensor cores. The four instructions of a step multiply [64, 64] by [64,
 * 128] for each group of four warps. No thread loads these operands into registers. The numbers of the next two steps
 * are copied at the same time. */
template <class T>
static __global__ void __launch_bounds__(THREADS, 2) wgmma_kernel(Side a, Side b, Finish f, Grid grid)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    DYNAMIC_SHARED(unsigned char, memory);
    const uint32_t unaligned = (uint32_t)__cvta_generic_to_shared(memory);
    unsigned char *shared = memory + (ALIGN - unaligned % ALIGN) % ALIGN;
    const uint32_t address = unaligned + (ALIGN - unaligned % ALIGN) % ALIGN;
    const Place at = place_of(grid);
    const int group = (int)threadIdx.x / GROUP;
    const int part_steps = (int)((b.K + BK - 1) / BK), steps = part_steps * grid.parts;
    float c[64];
    UNROLL
    for (int i = 0; i < 64; i++)
        c[i] = 0;
    for (int s = -(STAGES - 1); s < steps; s++) {
        const int next = s + STAGES - 1;
        if (s >= 0) {
            cp_async_wait<STAGES - 2>();
            wgmma_publish();
            __syncthreads();
        }
        if (next < steps) {
            unsigned char *to = shared + next % STAGES * 2 * PART;
            const int64_t k0 = (int64_t)(next % part_steps) * BK;
            copy_part<T>(to, a, (int64_t)at.m * TILE, next / part_steps * b.K + k0, b.K - k0);
            copy_part<T>(to + PART, b, (int64_t)at.n * TILE, k0, b.K - k0);
        }
        cp_async_commit();
        if (s >= 0) {
            const uint32_t now = address + s % STAGES * 2 * PART;
            wgmma_fence();
            UNROLL
            for (int k = 0; k < BK / 16; k++)
                multiply(T(), c, wgmma_descriptor(now + group * (PART / 2) + k * 32),
                         wgmma_descriptor(now + PART + k * 32));
            wgmma_commit();
            wgmma_wait<0>();
        }
    }
    __syncthreads();
    float *tile = (float *)shared;
    const int row = (int)threadIdx.x / WARP * 16 + lane_id() / 4, column = lane_id() % 4 * 2;
    UNROLL
    for (int j = 0; j < TILE / 8; j++) {
        float *to = tile + row * (TILE + 4) + column + j * 8;
        to[0] = c[4 * j];
        to[1] = c[4 * j + 1];
        to[8 * (TILE + 4)] = c[4 * j + 2];
        to[8 * (TILE + 4) + 1] = c[4 * j + 3];
    }
    __syncthreads();
    finish_slice<1, TILE, TILE, TILE, THREADS>(f, at, 0, tile);
#else
    (void)a, (void)b, (void)f, (void)grid;
#endif
}

template <class T> static void launch(const Run *run, const Side &a, const Side &b, const Finish &f)
{
    Grid grid;
    grid.m_tiles = (int)div_up(f.M, TILE);
    grid.n_tiles = (int)div_up(f.N, TILE);
    grid.K = a.K;
    grid.parts = b.K > 0 ? (int)(a.K / b.K) : 0;
    allow_shared(wgmma_kernel<T>, BYTES);
    LAUNCH(run, wgmma_kernel<T>, (int64_t)grid.m_tiles * grid.n_tiles, THREADS, BYTES, a, b, f, grid);
}

/* Code for sm_90a runs only on cards of compute capability 9.0. */
static bool card_has_wgmma(void)
{
    int device = 0, major = 0, minor = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
           cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess && major == 9 &&
           minor == 0;
}

bool wgmma_product(const Run *run, Unit unit, const Side &a, const Side &b, const Finish &f)
{
    if ((unit != UNIT_F16 && unit != UNIT_BF16) || !card_has_wgmma())
        return false;
    unit == UNIT_F16 ? launch<Half>(run, a, b, f) : launch<Brain>(run, a, b, f);
    return true;
}
#endif
