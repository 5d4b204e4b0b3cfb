/* kernels/cuda/gemm/gemm.h: what the files of the matrix product C = A B share: the operands, their copies to shared
 * memory, and the operations after the product. A is [M, K], B is [K, N], C is [M, N].
 *
 *   pack.cu     packs weights, and converts A to the type of the packed weights
 *   f32.cu      float32 by multiply-adds: chains over k = 0, 1, 2, ... of at most K_STEP numbers
 *   tensor.cu   tf32, bf16, f16 and int8 by tensor cores (mma.sync)
 *   wgmma.cu    bf16 and f16 by wgmma, an instruction of the H100; not compiled for the emulator
 *   gemm.cu     chooses one of them; the entries of the table
 *
 * The forms of packed B [K, N]. Each row of a packed form is padded with zeros.
 *
 *   PACK_F32              [K, N_pad] float32, N_pad a multiple of 4: the rows of B
 *   PACK_F16, PACK_BF16   [N, K_pad] 16-bit numbers, K_pad a multiple of 32: the columns of B,
 *                         as tensor cores read them
 *   PACK_INT8             [N, K_pad] signed bytes, K_pad a multiple of 64; then scale [N] (float32)
 *                         and sum [N] (int32): B[k,n] = scale[n] byte, |byte| <= 127; sum[n] is the
 *                         sum of the bytes of column n */
#ifndef SAPOR_CUDA_GEMM_H
#define SAPOR_CUDA_GEMM_H

#include "kernels/cuda/act.h"

/* The number of bytes that one step of tensor.cu's kernels reads from each row of an operand. The sizes
 * of the areas in gemm.cu's scratch memory are rounded up to a multiple of it. */
enum { STEP_BYTES = 64 };

/* ---- operands -------------------------------------------------------------------------------- */

/* An operand: A [count, K] or the transposed B [count, K]. Number (i, k) is at p[i step + k k_step].
 *
 * - `wide`: groups of 16 bytes can be copied. The pointer is then a multiple of 16 bytes. For tensor.cu, k_step is 1
 *   and `step` is a multiple of 16 bytes. For f32.cu, `step` is 1 and k_step is a multiple of 16 bytes. Operands of
 *   tensor.cu that are not float32 are always wide. */
typedef struct Side {
    const void *p;
    int64_t step, k_step;
    int64_t count, K;
    bool wide;
} Side;

/* The tiles of C, one per block. place_of returns the tile of this block. Consecutive blocks have 8 tiles of one column
 * of tiles, then 8 tiles of the next column. The blocks that run at the same time then read fewer different rows of A
 * and B, so more reads hit the L2 cache. */
typedef struct Grid {
    int m_tiles, n_tiles; /* tiles along M and along N */
    /* - f32.cu: the number of parts into which K is divided.
     * - wgmma.cu: 1, or 2 if split_rows (below) has split A into two f16 matrices. A row of A is then twice as long as
     *   the K of B: first the larger parts of all its numbers, then their smaller parts.
     * - tensor.cu: 1. */
    int parts;
    int64_t K; /* numbers per row of A; after split_rows, twice the K of B */
} Grid;
typedef struct Place {
    int m, n; /* in tiles */
} Place;
static __device__ inline Place place_of(Grid grid)
{
    enum { DOWN = 8 };
    const int strip = DOWN * grid.n_tiles, block = (int)blockIdx.x, first = block / strip * DOWN;
    const int rows = MIN(grid.m_tiles - first, (int)DOWN);
    Place at;
    at.m = first + block % strip % rows;
    at.n = block % strip / rows;
    return at;
}

/* The part of an operand for one step: I x BK numbers in shared memory. Number (i, k) is at tile[i LD + k] if K_INNER,
 * otherwise at tile[k LD + i]. So the part is stored as OUTER rows of INNER numbers. Each row is followed by 16 unused
 * bytes, so that the rows begin in different banks. */
template <class T, int I_, int BK_, bool K_INNER_, int THREADS_> struct Part {
    typedef T type;
    static constexpr bool K_INNER = K_INNER_;
    static constexpr int I = I_, BK = BK_, THREADS = THREADS_;
    static constexpr int VEC = 16 / (int)sizeof(T); /* numbers per copy of 16 bytes */
    static constexpr int INNER = K_INNER ? BK : I, OUTER = K_INNER ? I : BK;
    static constexpr int VECS = INNER / VEC; /* copies of 16 bytes per row of the part */
    static constexpr int LD = INNER + VEC, NUMBERS = OUTER * LD;
};
/* The source of a thread's copies.
 *
 * - `from`: the first number that the thread copies.
 * - `count`: how many rows of the part, from the row of `from` on, are inside the operand. */
template <class T> struct Cursor {
    const T *from;
    int count;
};

/* Returns the place (i, k) of a thread's first number in a part. For wide operands a thread copies 16 bytes at a time.
 * Other operands have 4-byte numbers, which are copied one by one. A warp copies a patch of 8 x 4 numbers: 8 in the
 * dimension (i or k) whose step in memory is smaller, and 4 in the other dimension. So the warp reads whole sectors of
 * 32 bytes and writes to 32 different banks. */
template <class P> static __device__ inline int2 first_of(const Side &x)
{
    typedef typename P::type T;
    const int t = (int)threadIdx.x, warp = t / WARP, fast = lane_id() % 8, slow = lane_id() / 8;
    if (sizeof(T) != 4 || x.wide) {
        const int inner = t % P::VECS * P::VEC, outer = t / P::VECS;
        return P::K_INNER ? make_int2(outer, inner) : make_int2(inner, outer);
    }
    static_assert(sizeof(T) != 4 || (P::THREADS / 8 % P::BK == 0 && P::I * P::BK % P::THREADS == 0),
                  "a pass must consist of whole patches");
    return x.k_step < x.step ? make_int2(warp / MAX(P::BK / 8, 1) * 4 + slow, warp % MAX(P::BK / 8, 1) * 8 + fast)
                             : make_int2(warp / MAX(P::BK / 4, 1) * 8 + fast, warp % MAX(P::BK / 4, 1) * 4 + slow);
}
template <class P> static __device__ inline Cursor<typename P::type> cursor_of(const Side &x, int64_t i0, int64_t k0)
{
    const int2 at = first_of<P>(x);
    Cursor<typename P::type> c;
    c.from = (const typename P::type *)x.p + (i0 + at.x) * x.step + (k0 + at.y) * x.k_step;
    c.count = (int)MIN(x.count - i0, (int64_t)P::I) - at.x;
    return c;
}
/* Starts the asynchronous copy of a part to shared memory (cp.async, without registers) and advances the cursor to the
 * next part. The first `left` numbers of K of this part exist; left is at most BK. Numbers outside the operand become
 * zero. */
template <class P>
static __device__ inline void stage(typename P::type *tile, const Side &x, Cursor<typename P::type> &c, int left)
{
    typedef typename P::type T;
    const int2 at = first_of<P>(x);
    T *to = tile + (P::K_INNER ? at.x * P::LD + at.y : at.y * P::LD + at.x);
    const T *from = c.from;
    if (sizeof(T) != 4 || x.wide) {
        constexpr int PASS = MAX(P::THREADS / P::VECS, 1); /* rows of the part per pass of all threads */
        const int64_t next = PASS * (P::K_INNER ? x.step : x.k_step);
        UNROLL
        for (int j = 0; j < P::OUTER; j += PASS) {
            const int valid = P::K_INNER ? (j < c.count ? left - at.y : 0) : (j < left - at.y ? c.count : 0);
            if (P::OUTER % PASS == 0 || j + (P::K_INNER ? at.x : at.y) < P::OUTER)
                cp_async16(to + j * P::LD, from, MIN(MAX(valid, 0), P::VEC) * (int)sizeof(T));
            from += next;
        }
    } else if constexpr (sizeof(T) == 4) {
        constexpr int PASS = P::THREADS / P::BK;
        const int64_t next = PASS * x.step;
        UNROLL
        for (int j = 0; j < P::I; j += PASS) {
            cp_async4(to + (P::K_INNER ? j * P::LD : j), from, at.y < left && j < c.count ? 4 : 0);
            from += next;
        }
    }
    c.from += P::BK * x.k_step;
}

/* ---- the operations after the product -------------------------------------------------------- */

/* C = act(alpha x + beta C + bias + residual). x is computed from the sums of a tile; without scales, x is the sum. */
typedef struct Finish {
    int64_t M, N;
    float alpha, beta;
    const float *bias;
    const void *residual;
    DType residual_type, C_type;
    int64_t ldr, ldc;
    void *C;
    Act act;
    float act_param;
    bool vectors; /* C and residual are float32 and are accessed by 16 bytes */
    /* NULL, or the scales of x:
     * - int8: x = (sum - row_zero[m] column_sum[n]) column_scale[n] row_scale[m], with an int32 sum.
     * - column_scale is NULL: x = sum row_scale[m]. */
    const float *row_scale, *column_scale;
    const int32_t *row_zero, *column_sum;
} Finish;
Finish finish_of(const Gemm *g); /* of gemm.cu; without scales */

static __device__ inline float load_typed(DType type, const void *p, int64_t i)
{
    return type == F16    ? to_f32(((const Half *)p)[i])
           : type == BF16 ? to_f32(((const Brain *)p)[i])
                          : ((const float *)p)[i];
}
static __device__ inline void store_typed(DType type, void *p, int64_t i, float x)
{
    if (type == F16)
        from_f32(x, (Half *)p + i);
    else if (type == BF16)
        from_f32(x, (Brain *)p + i);
    else
        ((float *)p)[i] = x;
}
/* Returns x of Finish for element (m, n) of C. `sum` is the element's sum; for int8 it has the bits of an int32. */
static __device__ inline float scaled(const Finish &f, int64_t m, int64_t n, float sum)
{
    if (f.column_scale) {
        const int32_t dot = (int32_t)f32_bits(sum) - f.row_zero[m] * f.column_sum[n];
        return (float)dot * (f.column_scale[n] * f.row_scale[m]);
    }
    return f.row_scale ? sum * f.row_scale[m] : sum;
}
/* Returns alpha x + beta old + bias[n] + residual. */
static __device__ inline float added(const Finish &f, int64_t n, float x, float old, float residual)
{
    x *= f.alpha;
    if (f.beta != 0.0f)
        x = fmaf(f.beta, old, x);
    if (f.bias)
        x += f.bias[n];
    return f.residual ? x + residual : x;
}
/* Writes columns n .. n + 3 of row m of C. If C or residual cannot be accessed by 16 bytes, or if fewer columns are
 * left, the numbers are accessed one by one. */
static __device__ inline void finish4(const Finish &f, int64_t m, int64_t n, float4 sum)
{
    float x[4] = {sum.x, sum.y, sum.z, sum.w}, old[4] = {0, 0, 0, 0}, residual[4] = {0, 0, 0, 0};
    const int count = (int)MIN(f.N - n, (int64_t)4);
    float *C = (float *)f.C + m * f.ldc + n;
    const bool whole = f.vectors && count == 4;
    if (whole) {
        if (f.beta != 0.0f) {
            const float4 y = load4(C);
            old[0] = y.x, old[1] = y.y, old[2] = y.z, old[3] = y.w;
        }
        if (f.residual) {
            const float4 y = load4((const float *)f.residual + m * f.ldr + n);
            residual[0] = y.x, residual[1] = y.y, residual[2] = y.z, residual[3] = y.w;
        }
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        if (i < count) {
            if (!whole && f.beta != 0.0f)
                old[i] = load_typed(f.C_type, f.C, m * f.ldc + n + i);
            if (!whole && f.residual)
                residual[i] = load_typed(f.residual_type, f.residual, m * f.ldr + n + i);
            x[i] = added(f, n + i, scaled(f, m, n + i, x[i]), old[i], residual[i]);
        }
    }
    act_each<4>(f.act, f.act_param, x);
    if (whole) {
        store4(C, make_float4(x[0], x[1], x[2], x[3]));
        return;
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        if (i < count)
            store_typed(f.C_type, f.C, m * f.ldc + n + i, x[i]);
    }
}
/* Writes a slice of the block's tile to C. The tile has WARPS_M groups of WM rows. A slice has R rows of each group.
 *
 * - `tile`: the position of the tile in C, counted in tiles.
 * - `slice`: the number of the slice. 0 has the first R rows of each group.
 * - `sums` [WARPS_M R, BN + 4]: the numbers of the slice, in shared memory. Row r of `sums` is this row of the tile:
 *
 *   (r / R) WM + slice R + r % R
 *
 * Consecutive threads have consecutive columns, so C, residual and bias are accessed in whole cache lines. */
template <int WARPS_M, int WM, int R, int BN, int THREADS>
static __device__ inline void finish_slice(const Finish &f, Place tile, int slice, const float *sums)
{
    for (int i = (int)threadIdx.x; i < WARPS_M * R * (BN / 4); i += THREADS) {
        const int r = i / (BN / 4), c = i % (BN / 4) * 4;
        const int64_t m = (int64_t)tile.m * (WARPS_M * WM) + r / R * WM + slice * R + r % R,
                      n = (int64_t)tile.n * BN + c;
        if (m < f.M && n < f.N)
            finish4(f, m, n, load4(sums + r * (BN + 4) + c));
    }
}

/* ---- the products ---------------------------------------------------------------------------- */

/* The sizes of the tile of C that a block computes. The result does not depend on the size. */
typedef enum Tile { TILE_128, TILE_64, TILE_32, TILE_8_ROWS, TILE_8_COLUMNS, TILE_16_ROWS, TILE_COUNT } Tile;
/* A number of tiles that keeps the largest cards busy: an H100 has 132 multiprocessors. */
enum { ENOUGH_TILES = 128 };

/* f32.cu has TILE_128, TILE_64, TILE_32, TILE_8_ROWS and TILE_8_COLUMNS. `partial`: f32_partial_bytes of scratch
 * memory. */
enum { K_STEP = 384 };
Tile f32_tile(int64_t M, int64_t N);
size_t f32_partial_bytes(int64_t M, int64_t N, int64_t K, Tile tile);
void f32_product(const Run *run, const Side &a, const Side &b, const Finish &f, Tile tile, float *partial);

/* tensor.cu has TILE_128, TILE_64 and TILE_16_ROWS. Unit: the type of the numbers that are multiplied. */
typedef enum Unit { UNIT_F32, UNIT_TF32, UNIT_F16, UNIT_BF16, UNIT_INT8 } Unit;
Tile tensor_tile(int64_t M, int64_t N);
/* a.K is b.K or 2 b.K. If it is 2 b.K, A has two parts; each is multiplied by the same B, and the products are added.
 * b.K numbers are then a multiple of STEP_BYTES bytes. */
void tensor_product(const Run *run, Unit unit, const Side &a, const Side &b, const Finish &f, Tile tile);

/* wgmma.cu: tensor_product for f16 and bf16 by wgmma. Returns false and does nothing if the card or the unit is not
 * supported. */
bool wgmma_product(const Run *run, Unit unit, const Side &a, const Side &b, const Finish &f);

/* ---- pack.cu --------------------------------------------------------------------------------- */
Pack pack_type(Pack form); /* Returns F32, F16, BF16 or INT8, also for the forms of kernels/cpu/forms.h. */
/* numbers between the beginnings of two rows of the packed form */
static inline int64_t pack_line(Pack type, int64_t K, int64_t N)
{
    return type == PACK_F32 ? round_up(N, 4) : round_up(K, type == PACK_INT8 ? STEP_BYTES : STEP_BYTES / 2);
}
/* Copies and converts a matrix: y[r ld + c] = x[r * row + c * col], with the steps `row` and `col` of x. Columns from
 * `cols` to ld-1 of y become 0. */
void copy_matrix(const Run *run, int64_t rows, int64_t cols, DType x_type, const void *x, int64_t row, int64_t col,
                 DType y_type, void *y, int64_t ld);
/* Splits A [M, K] into the sum of two f16 numbers:
 *
 *   A[m,k] = scale[m] (y[m,k] + y[m, ld + k])
 *
 * scale[m] is a power of two. y is [M, 2 ld]. The first ld numbers of a row are the larger parts, the last ld numbers
 * the smaller parts. */
void split_rows(const Run *run, int64_t M, int64_t K, DType type, const void *A, int64_t row, int64_t col, Half *y,
                int64_t ld, float *scale);
/* Quantises the rows of A to bytes: A[m,k] = scale[m] (y[m,k] - zero[m]). */
void quantise_rows(const Run *run, int64_t M, int64_t K, DType type, const void *A, int64_t row, int64_t col, int8_t *y,
                   int64_t ld, float *scale, int32_t *zero);

/* The level "cuda:tf32": cuda_gemm, but products of float32 operands are computed by tensor cores in tf32. */
void cuda_gemm_tf32(const Run *run, const Gemm *g);
Way cuda_gemm_way_tf32(const Run *run, const Gemm *g);
/* The level "cuda:wgmma": cuda_gemm, but large products of f16 and bf16 use wgmma on an H100. Not the default until a
 * run on a card has shown that the results are correct. */
void cuda_gemm_wgmma(const Run *run, const Gemm *g);
Way cuda_gemm_way_wgmma(const Run *run, const Gemm *g);

#endif
