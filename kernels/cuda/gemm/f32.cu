/* kernels/cuda/gemm/f32.cu: C = A B in float32, by multiply-adds. An element is a chain of fmaf over k = 0, 1, 2, ...,
 * starting from 0, whatever tile contains it. If K is above K_STEP, it is cut into parts whose lengths differ by at
 * most one. The chain of each part is added to the sum of the parts before, as in kernels/cpu/gemm/tile.h: one chain of
 * 4480 numbers would have 2.5 times the rounding error.
 *
 * The order depends only on K: K is not split over threads or blocks. A product with few elements therefore keeps few
 * threads busy. Such products are limited by memory (docs/kernels/cuda-gemm.md). */
#include "kernels/cuda/gemm/gemm.h"

/* The tile of a block: BM x BN of C, with BK numbers of K per step. A warp has LANES_M x 32 / LANES_M lanes. A lane
 * computes TM x TN elements in groups of V x V: V consecutive rows and columns. The next group is LANES_M V rows or
 * LANES_N V columns further, so that the lanes of a warp read shared memory in whole lines. Shared memory has STAGES
 * parts of A and B: one is used while the others are being copied. */
template <int BM_, int BN_, int BK_, int TM_, int TN_, int V_, int STAGES_> struct Shape {
    typedef Part<float, BM_, BK_, false, BM_ / TM_ *(BN_ / TN_)> A;
    typedef Part<float, BN_, BK_, false, BM_ / TM_ *(BN_ / TN_)> B;
    static constexpr int BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_, V = V_, STAGES = STAGES_;
    static constexpr int LANES_M = 4, LANES_N = WARP / LANES_M, WM = LANES_M * TM, WN = LANES_N * TN;
    static constexpr int WARPS_M = BM / WM, WARPS_N = BN / WN, THREADS = WARPS_M * WARPS_N * WARP;
    static constexpr int STAGE = A::NUMBERS + B::NUMBERS;
    static constexpr int SLICE = LANES_M * V; /* rows of a warp that are finished together */
    static constexpr int FLOATS = MAX(STAGES * STAGE, WARPS_M *SLICE *(BN + 4));
    /* true: the sums of the earlier parts of K are in registers; false: in memory */
    static constexpr bool KEEPS = TM * TN <= 16;
};

/* The shapes:
 * - Large, 128 x 128: a lane reads 16 numbers for 64 multiply-adds. 64 sums and two sets of operands fit into 128
 *   registers, so two blocks share a multiprocessor.
 * - Medium and Small: they read more numbers per multiply-add. They are for products that would have too few large
 *   tiles. A step of Small is so short that seven steps are copied ahead.
 * - Rows and Columns, for 8 rows or 8 columns: A or B is thin, and the other operand is read once, at the bandwidth of
 *   the memory. 96 numbers of K are in flight for each of the 32 columns (rows). */
typedef Shape<128, 128, 8, 8, 8, 4, 4> Large;
typedef Shape<64, 64, 8, 8, 4, 4, 4> Medium;
typedef Shape<32, 32, 8, 4, 4, 4, 8> Small;
typedef Shape<8, 32, 32, 1, 1, 1, 4> Rows;
typedef Shape<32, 8, 32, 1, 1, 1, 4> Columns;

/* Loads T numbers of a line of shared memory into x, in groups of V numbers whose beginnings are `apart` numbers apart.
 */
template <int T, int V> static __device__ inline void take(const float *line, int apart, float *x)
{
    UNROLL
    for (int i = 0; i < T; i += V) {
        if constexpr (V == 4) {
            const float4 y = load4(line + i / V * apart);
            x[i] = y.x, x[i + 1] = y.y, x[i + 2] = y.z, x[i + 3] = y.w;
        } else {
            x[i] = line[i * apart];
        }
    }
}

/* Adds the products of one k to all sums of a lane. */
template <class S>
static __device__ inline void multiply_add(const float *a_line, const float *b_line, float (&acc)[S::TM][S::TN])
{
    float a[S::TM], b[S::TN];
    take<S::TM, S::V>(a_line, S::LANES_M * S::V, a);
    take<S::TN, S::V>(b_line, S::LANES_N * S::V, b);
    UNROLL
    for (int i = 0; i < S::TM; i++) {
        UNROLL
        for (int j = 0; j < S::TN; j++)
            acc[i][j] = fmaf(a[i], b[j], acc[i][j]);
    }
}

/* Starts the copies of A and B for the next step, if this part of K has more numbers. */
template <class S>
static __device__ inline void copy_parts(float *to, const Side &a, Cursor<float> &a_at, const Side &b,
                                         Cursor<float> &b_at, int left)
{
    if (left > 0) {
        const int count = MIN(left, S::BK);
        stage<typename S::A>(to, a, a_at, count);
        stage<typename S::B>(to + S::A::NUMBERS, b, b_at, count);
    }
    cp_async_commit();
}

/* Computes the chains of one part of K: k0 .. k0 + len - 1. There is one barrier per step of BK. After it, all threads
 * can read the numbers that were copied, and the memory of the step before may be overwritten. */
template <class S>
static __device__ inline void chains(float *shared, const Side &a, const Side &b, Place at, int64_t k0, int len,
                                     int row, int column, float (&acc)[S::TM][S::TN])
{
    Cursor<float> a_at = cursor_of<typename S::A>(a, (int64_t)at.m * S::BM, k0),
                  b_at = cursor_of<typename S::B>(b, (int64_t)at.n * S::BN, k0);
    int to_copy = len;
    for (int s = 0; s < S::STAGES - 1; s++, to_copy -= S::BK)
        copy_parts<S>(shared + s * S::STAGE, a, a_at, b, b_at, to_copy);
    UNROLL
    for (int i = 0; i < S::TM; i++) {
        UNROLL
        for (int j = 0; j < S::TN; j++)
            acc[i][j] = 0;
    }
    int now = 0, next = S::STAGES - 1; /* stages */
    for (int left = len; left > 0; left -= S::BK, to_copy -= S::BK) {
        cp_async_wait<S::STAGES - 2>();
        __syncthreads();
        copy_parts<S>(shared + next * S::STAGE, a, a_at, b, b_at, to_copy);
        const float *a_line = shared + now * S::STAGE + row;
        const float *b_line = shared + now * S::STAGE + S::A::NUMBERS + column;
        if (left >= S::BK) {
            UNROLL
            for (int k = 0; k < S::BK; k++)
                multiply_add<S>(a_line + k * S::A::LD, b_line + k * S::B::LD, acc);
        } else { /* no padding with zeros: fmaf(0, 0, -0) would turn a sum of -0 into 0 */
            for (int k = 0; k < left; k++)
                multiply_add<S>(a_line + k * S::A::LD, b_line + k * S::B::LD, acc);
        }
        now = now + 1 < S::STAGES ? now + 1 : 0;
        next = next + 1 < S::STAGES ? next + 1 : 0;
    }
}

/* Sets acc = old + acc and old = acc for a thread's sums. `old` is in registers (earlier) or in memory (partial). In
 * memory, consecutive threads have consecutive numbers, so accesses are coalesced. A block has 64 KB there with Large
 * and 16 KB with Medium; the sums of the running blocks stay in the L2 cache. */
template <class S>
static __device__ inline void add_part(float (&acc)[S::TM][S::TN], float (&earlier)[S::KEEPS ? S::TM : 1][S::TN],
                                       float *partial, bool first)
{
    UNROLL
    for (int i = 0; i < S::TM; i++) {
        UNROLL
        for (int j = 0; j < S::TN; j++) {
            float *old = S::KEEPS ? &earlier[S::KEEPS ? i : 0][j] : partial + (i * S::TN + j) * S::THREADS;
            acc[i][j] = first ? acc[i][j] : *old + acc[i][j];
            *old = acc[i][j];
        }
    }
}

/* Computes one tile per block, with A and B in shared memory. Copies from memory are asynchronous and coalesced. The
 * larger tiles are limited by multiply-adds: for each k, a lane of the largest tile reads 4 x 16 bytes of shared memory
 * for 64 multiply-adds.
 * - `partial`: S::BM x S::BN floats per block, if K has several parts and the registers do not keep their sums. */
template <class S>
static __global__ void __launch_bounds__(S::THREADS, S::THREADS *S::TM *S::TN > 8192 ? 2 : 1)
    f32_kernel(Side a, Side b, Finish f, Grid grid, float *partial)
{
    SHARED(float, shared, [S::FLOATS]);
    const Place at = place_of(grid);
    const int warp = (int)threadIdx.x / WARP, warp_m = warp / S::WARPS_N, warp_n = warp % S::WARPS_N;
    const int row = lane_id() / S::LANES_N * S::V, column = warp_n * S::WN + lane_id() % S::LANES_N * S::V;
    float acc[S::TM][S::TN] = {}, earlier[S::KEEPS ? S::TM : 1][S::TN] = {};
    partial += (int64_t)blockIdx.x * (S::BM * S::BN) + threadIdx.x;
    int64_t k0 = 0;
    for (int part = 0; part < grid.parts; part++) {
        const int len = (int)(grid.K / grid.parts + (part < grid.K % grid.parts));
        __syncthreads();
        chains<S>(shared, a, b, at, k0, len, warp_m * S::WM + row, column, acc);
        if (grid.parts > 1)
            add_part<S>(acc, earlier, partial, part == 0);
        k0 += len;
    }
    for (int slice = 0; slice < S::TM / S::V; slice++) {
        __syncthreads();
        UNROLL
        for (int i = 0; i < S::TM; i++) {
            UNROLL
            for (int j = 0; j < S::TN && i / S::V == slice; j++)
                shared[(warp_m * S::SLICE + row + i % S::V) * (S::BN + 4) + column + j / S::V * S::LANES_N * S::V +
                       j % S::V] = acc[i][j];
        }
        __syncthreads();
        finish_slice<S::WARPS_M, S::WM, S::SLICE, S::BN, S::THREADS>(f, at, slice, shared);
    }
}

template <class S> static void launch(const Run *run, const Side &a, const Side &b, const Finish &f, float *partial)
{
    Grid grid;
    grid.m_tiles = (int)div_up(f.M, S::BM);
    grid.n_tiles = (int)div_up(f.N, S::BN);
    grid.K = a.K;
    grid.parts = (int)MAX(div_up(a.K, K_STEP), (int64_t)1);
    LAUNCH(run, (f32_kernel<S>), (int64_t)grid.m_tiles * grid.n_tiles, S::THREADS, 0, a, b, f, grid, partial);
}

Tile f32_tile(int64_t M, int64_t N)
{
    return M <= 8                                            ? TILE_8_ROWS
           : N <= 8                                          ? TILE_8_COLUMNS
           : div_up(M, 128) * div_up(N, 128) >= ENOUGH_TILES ? TILE_128
           : div_up(M, 64) * div_up(N, 64) >= ENOUGH_TILES   ? TILE_64
                                                             : TILE_32;
}

size_t f32_partial_bytes(int64_t M, int64_t N, int64_t K, Tile tile)
{
    const int64_t side = tile == TILE_128 ? Large::BM : tile == TILE_64 ? Medium::BM : 0;
    return side && K > K_STEP ? (size_t)(round_up(M, side) * round_up(N, side)) * sizeof(float) : 0;
}

void f32_product(const Run *run, const Side &a, const Side &b, const Finish &f, Tile tile, float *partial)
{
    switch (tile) {
    case TILE_128: launch<Large>(run, a, b, f, partial); break;
    case TILE_64: launch<Medium>(run, a, b, f, partial); break;
    case TILE_8_ROWS: launch<Rows>(run, a, b, f, partial); break;
    case TILE_8_COLUMNS: launch<Columns>(run, a, b, f, partial); break;
    default: launch<Small>(run, a, b, f, partial); break;
    }
}
