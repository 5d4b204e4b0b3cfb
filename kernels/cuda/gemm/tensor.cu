/* kernels/cuda/gemm/tensor.cu: C = A B by tensor cores (mma.sync), in tf32, f16, bf16 and int8. Both operands are in
 * shared memory with K inner: the rows of A, the columns of B. The four types then differ only in the instruction. An
 * instruction processes 32 bytes of K, and ldmatrix loads the part of each lane, whatever the type of the bytes.
 *
 * The order of a sum of floats: blocks of 32 bytes of K are added in order, each with one rounding to nearest. The
 * order inside a block is that of the tensor core. It depends only on K. Sums of int8 are exact. */
#include "kernels/cuda/gemm/gemm.h"

/* The type of the sums of each type of operands. */
template <class T> struct Sum {
    typedef float type;
};
template <> struct Sum<int8_t> {
    typedef int32_t type;
};
/* Rounds four floats from memory to tf32, the operands of the tensor core. Numbers of other types stay as they are. */
static __device__ inline void round_to(float, uint32_t x[4])
{
    UNROLL
    for (int i = 0; i < 4; i++)
        x[i] = f32_to_tf32(bits_f32(x[i]));
}
template <class T> static __device__ inline void round_to(T, uint32_t *)
{
}
static __device__ inline float sum_bits(float x)
{
    return x;
}
static __device__ inline float sum_bits(int32_t x)
{
    return bits_f32((uint32_t)x);
}

/* A block computes BM x BN of C; a step has STEP_BYTES bytes of K. A warp computes WM x WN, one instruction 16 x 8. */
template <class T_, int BM_, int BN_, int WM_, int WN_, int STAGES_> struct Shape {
    typedef T_ T;
    static constexpr int BM = BM_, BN = BN_, WM = WM_, WN = WN_, STAGES = STAGES_;
    static constexpr int BK = STEP_BYTES / (int)sizeof(T), WARPS_M = BM / WM, WARPS_N = BN / WN;
    static constexpr int THREADS = WARPS_M * WARPS_N * WARP;
    typedef Part<T, BM, BK, true, THREADS> A;
    typedef Part<T, BN, BK, true, THREADS> B;
    static constexpr int STAGE = A::NUMBERS + B::NUMBERS;
    static constexpr int BYTES = MAX(STAGES * STAGE * (int)sizeof(T), BM *(BN + 4) * (int)sizeof(float));
};

/* Starts the copies of A and B for the next step. B begins again for the second part of A. */
template <class S>
static __device__ inline void copy_parts(typename S::T *to, const Side &a, Cursor<typename S::T> &a_at, const Side &b,
                                         Cursor<typename S::T> &b_at, int left)
{
    if (left > 0) {
        const int count = MIN(left, S::BK);
        stage<typename S::A>(to, a, a_at, count);
        stage<typename S::B>(to + S::A::NUMBERS, b, b_at, count);
        if (left - S::BK == b.K)
            b_at.from -= b.K * b.k_step;
    }
    cp_async_commit();
}

/* Adds A B for 32 bytes of K to `sum`.
 *
 * A tensor core truncates when it adds; it does not round to nearest (Fasi, Higham, Mikaitis & Pranesh 2021). A long
 * sum that stays in its accumulators becomes too small, by half a unit in the last place for each 8 products. Therefore
 * the products of an instruction start from zero, and normal additions add them to the sum, as in Ootomo & Yokota
 * (2022). This takes 4 additions per lane for an instruction of 8 cycles (A100). Sums of int8 are exact. */
template <class T> static __device__ inline void add_products(T, float sum[4], const uint32_t a[4], const uint32_t b[2])
{
    float part[4] = {};
    multiply(T(), part, a, b);
    UNROLL
    for (int i = 0; i < 4; i++)
        sum[i] += part[i];
}
static __device__ inline void add_products(int8_t, int32_t sum[4], const uint32_t a[4], const uint32_t b[2])
{
    multiply(int8_t(), sum, a, b);
}

/* Computes the products of one step. For ldmatrix, lane l points to line l % 8 of matrix l / 8. The matrices of A are
 * rows 0 - 7 and 8 - 15 of the first 16 bytes of K, then the same rows of the second 16 bytes. The matrices of B are
 * the first and the second 16 bytes of columns 0 - 7, then those of columns 8 - 15. Lines are 80 bytes apart, so the 8
 * lines of a matrix are in different banks. */
template <class S>
static __device__ inline void multiply_step(const typename S::T *a_part, const typename S::T *b_part,
                                            typename Sum<typename S::T>::type (&acc)[S::WM / 16][S::WN / 8][4])
{
    typedef typename S::T T;
    constexpr int HALF = 16 / (int)sizeof(T);
    const int lane = lane_id();
    const T *a_line = a_part + lane % 16 * S::A::LD + lane / 16 * HALF;
    const T *b_line = b_part + (lane / 16 * 8 + lane % 8) * S::B::LD + lane / 8 % 2 * HALF;
    NO_UNROLL /* the operands of a second turn would not fit into 128 registers */
    for (int k = 0; k < S::BK; k += 2 * HALF) {
        uint32_t b[S::WN / 16][4];
        UNROLL
        for (int j = 0; j < S::WN / 16; j++) {
            ldmatrix_x4(b[j], b_line + j * 16 * S::B::LD + k);
            round_to(T(), b[j]);
        }
        UNROLL
        for (int i = 0; i < S::WM / 16; i++) {
            uint32_t a[4];
            ldmatrix_x4(a, a_line + i * 16 * S::A::LD + k);
            round_to(T(), a);
            UNROLL
            for (int j = 0; j < S::WN / 16; j++) {
                add_products(T(), acc[i][2 * j], a, b[j]);
                add_products(T(), acc[i][2 * j + 1], a, b[j] + 2);
            }
        }
    }
}

/* Computes one tile per block. Shared memory has STAGES parts of A and B, with one barrier per step, as in f32.cu.
 * Copies from memory are asynchronous and coalesced.
 *
 * In the tile of 128 x 128, a warp has 64 x 32 elements. It reads 6 x 512 bytes of shared memory for 16 instructions. A
 * lane has 64 sums and its operands, so two blocks fit into a multiprocessor. Large products are limited by the tensor
 * cores, products with few rows by memory. */
template <class S>
static __global__ void __launch_bounds__(S::THREADS, 256 / S::THREADS * 2)
    tensor_kernel(Side a, Side b, Finish f, Grid grid)
{
    typedef typename S::T T;
    DYNAMIC_SHARED(T, shared);
    const Place at = place_of(grid);
    const int warp = (int)threadIdx.x / WARP, warp_m = warp / S::WARPS_N, warp_n = warp % S::WARPS_N;
    Cursor<T> a_at = cursor_of<typename S::A>(a, (int64_t)at.m * S::BM, 0),
              b_at = cursor_of<typename S::B>(b, (int64_t)at.n * S::BN, 0);
    constexpr int AHEAD = (S::STAGES - 1) * S::BK; /* numbers of K whose copies are in flight */
    const int K = (int)grid.K;
    for (int s = 0; s < S::STAGES - 1; s++)
        copy_parts<S>(shared + s * S::STAGE, a, a_at, b, b_at, K - s * S::BK);
    typename Sum<T>::type acc[S::WM / 16][S::WN / 8][4] = {};
    int stage_now = 0, stage_next = S::STAGES - 1;
    for (int left = K; left > 0; left -= S::BK) {
        cp_async_wait<S::STAGES - 2>();
        __syncthreads();
        copy_parts<S>(shared + stage_next * S::STAGE, a, a_at, b, b_at, left - AHEAD);
        const T *now = shared + stage_now * S::STAGE;
        multiply_step<S>(now + warp_m * S::WM * S::A::LD, now + S::A::NUMBERS + warp_n * S::WN * S::B::LD, acc);
        stage_now = stage_now + 1 < S::STAGES ? stage_now + 1 : 0;
        stage_next = stage_next + 1 < S::STAGES ? stage_next + 1 : 0;
    }
    __syncthreads();
    float *tile = (float *)shared;
    const int g = lane_id() / 4, t = lane_id() % 4;
    UNROLL
    for (int i = 0; i < S::WM / 16; i++) {
        UNROLL
        for (int j = 0; j < S::WN / 8; j++) {
            float *to = tile + (warp_m * S::WM + i * 16 + g) * (S::BN + 4) + warp_n * S::WN + j * 8 + 2 * t;
            to[0] = sum_bits(acc[i][j][0]);
            to[1] = sum_bits(acc[i][j][1]);
            to[8 * (S::BN + 4)] = sum_bits(acc[i][j][2]);
            to[8 * (S::BN + 4) + 1] = sum_bits(acc[i][j][3]);
        }
    }
    __syncthreads();
    finish_slice<1, S::BM, S::BM, S::BN, S::THREADS>(f, at, 0, tile);
}

template <class S> static void launch(const Run *run, const Side &a, const Side &b, const Finish &f)
{
    Grid grid;
    grid.m_tiles = (int)div_up(f.M, S::BM);
    grid.n_tiles = (int)div_up(f.N, S::BN);
    grid.K = a.K;
    grid.parts = 1;
    if (S::BYTES > 48 << 10)
        allow_shared(tensor_kernel<S>, S::BYTES);
    LAUNCH(run, (tensor_kernel<S>), (int64_t)grid.m_tiles * grid.n_tiles, S::THREADS, S::BYTES, a, b, f, grid);
}

template <class T> static void launch_tile(const Run *run, const Side &a, const Side &b, const Finish &f, Tile tile)
{
    if (tile == TILE_128)
        launch<Shape<T, 128, 128, 64, 32, 3>>(run, a, b, f);
    else if (tile == TILE_64)
        launch<Shape<T, 64, 64, 32, 32, 4>>(run, a, b, f);
    else
        launch<Shape<T, 16, 64, 16, 16, 4>>(run, a, b, f);
}

Tile tensor_tile(int64_t M, int64_t N)
{
    return M <= 16                                             ? TILE_16_ROWS
           : div_up(M, 128) * div_up(N, 128) >= ENOUGH_TILES   ? TILE_128
           : div_up(M, 64) * div_up(N, 64) >= ENOUGH_TILES / 4 ? TILE_64
                                                               : TILE_16_ROWS;
}

void tensor_product(const Run *run, Unit unit, const Side &a, const Side &b, const Finish &f, Tile tile)
{
    switch (unit) {
    case UNIT_F16: launch_tile<Half>(run, a, b, f, tile); break;
    case UNIT_BF16: launch_tile<Brain>(run, a, b, f, tile); break;
    case UNIT_INT8: launch_tile<int8_t>(run, a, b, f, tile); break;
    default: launch_tile<float>(run, a, b, f, tile); break;
    }
}
