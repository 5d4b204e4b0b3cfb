/* kernels/cuda/gemm/pack.cu: packs weights once, and converts A to the type of the packed weights. All kernels here are
 * memory-bound. Those for weights run once, when a model is loaded. */
#include "kernels/cpu/forms.h"
#include "kernels/cuda/gemm/gemm.h"

Pack pack_type(Pack form)
{
    return form < PACK_COUNT ? form : form < PACK_INT8_DOTS ? PACK_BF16 : PACK_INT8;
}

/* A bf16 or int8 product here has A in bf16 or int8, as the forms named DOTS specify. The forms named WIDE and AMX are
 * for the CPU only. */
bool cuda_gemm_packs(Pack form)
{
    return form <= PACK_INT8 || form == PACK_BF16_DOTS || form == PACK_INT8_DOTS;
}

size_t cuda_gemm_pack_bytes(Pack form, int64_t K, int64_t N)
{
    const Pack type = pack_type(form);
    const size_t line = (size_t)pack_line(type, K, N);
    return type == PACK_F32    ? (size_t)K * line * sizeof(float)
           : type == PACK_INT8 ? (size_t)N * (line + sizeof(float) + sizeof(int32_t))
                               : (size_t)N * line * sizeof(uint16_t);
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* Copies and converts a matrix (gemm.h: copy_matrix). A block copies squares of 32 x 32 numbers. It reads a square
 * along the smaller step of x, transposes it in shared memory if needed, and writes it along the lines of y. If the
 * smaller step is 1, reads and writes are whole lines of 32 numbers. */
template <class X, class Y>
static __global__ void __launch_bounds__(256)
    copy_kernel(int64_t rows, int64_t cols, const X *x, int64_t row, int64_t col, Y *y, int64_t ld)
{
    SHARED(X, square, [WARP][WARP + 1]);
    const int64_t across = (ld + WARP - 1) / WARP, squares = ((rows + WARP - 1) / WARP) * across;
    const int warp = (int)threadIdx.x / WARP, warps = (int)blockDim.x / WARP, lane = lane_id();
    const bool transposed = row < col;
    for (int64_t s = blockIdx.x; s < squares; s += gridDim.x) {
        const int64_t r0 = s / across * WARP, c0 = s % across * WARP;
        for (int j = warp; j < WARP; j += warps) {
            const int r = transposed ? lane : j, c = transposed ? j : lane;
            if (r0 + r < rows && c0 + c < cols)
                square[r][c] = x[(r0 + r) * row + (c0 + c) * col];
        }
        __syncthreads();
        for (int j = warp; j < WARP; j += warps) {
            Y *to = y + (r0 + j) * ld + c0 + lane;
            if (r0 + j < rows && c0 + lane < cols)
                convert_number(square[j][lane], to);
            else if (r0 + j < rows && c0 + lane < ld)
                from_f32(0.0f, to);
        }
        __syncthreads();
    }
}

void copy_matrix(const Run *run, int64_t rows, int64_t cols, DType x_type, const void *x, int64_t row, int64_t col,
                 DType y_type, void *y, int64_t ld)
{
    const int64_t squares = div_up(rows, WARP) * div_up(ld, WARP);
    WITH_TYPE(x_type, X,
              WITH_TYPE(y_type, Y,
                        LAUNCH(run, (copy_kernel<X, Y>), blocks_for(squares, 1), 256, 0, rows, cols, (const X *)x, row,
                               col, (Y *)y, ld)));
}

/* ---- packed weights -------------------------------------------------------------------------- */

/* Returns rows k .. k + 3 of a column as four bytes, 127 / `most` times the numbers, and adds the bytes to *sum. `most`
 * is the largest absolute value of the column. */
static __device__ inline uint32_t four_bytes(int64_t K, const float *column, int64_t b_row, int64_t k, float most,
                                             int32_t *sum)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4 && k + i < K; i++) {
        const float byte = most > 0.0f ? column[(k + i) * b_row] / most * 127.0f : 0.0f;
        const int32_t whole = (int32_t)rintf(fminf(fmaxf(byte, -127.0f), 127.0f));
        *sum += whole;
        unit |= ((uint32_t)whole & 255u) << 8 * i;
    }
    return unit;
}
/* Packs B to bytes, 32 columns per block. `line` is the length of a line of `to`, in words of four bytes. Each lane has
 * one column, and the 8 warps share the rows. If b_col is 1, the rows of B are read in whole lines. The bytes are
 * written four at a time, each lane in another line. The sums are of integers, so their order does not matter. A column
 * with an infinity or a NaN gets a NaN as its scale: `probes` are sums of 0 times each number. */
static __global__ void __launch_bounds__(256)
    pack_bytes_kernel(int64_t K, int64_t N, const float *B, int64_t b_row, int64_t b_col, uint32_t *to, int64_t line,
                      float *scale, int32_t *sum)
{
    enum { WARPS = 8 };
    SHARED(float, largest, [WARPS][WARP]);
    SHARED(float, probes, [WARPS][WARP]);
    SHARED(int32_t, sums, [WARPS][WARP]);
    const int warp = (int)threadIdx.x / WARP, lane = lane_id();
    const int64_t n = (int64_t)blockIdx.x * WARP + lane;
    const float *column = B + MIN(n, N - 1) * b_col;
    float most = 0, probe = 0;
    for (int64_t k = warp; k < K; k += WARPS) {
        most = fmaxf(most, fabsf(column[k * b_row]));
        probe += column[k * b_row] * 0.0f;
    }
    largest[warp][lane] = most;
    probes[warp][lane] = probe;
    __syncthreads();
    for (int w = 0; w < WARPS; w++)
        most = fmaxf(most, largest[w][lane]);
    int32_t mine = 0;
    for (int64_t k = 4 * warp; k < line * 4; k += 4 * WARPS) {
        const uint32_t unit = four_bytes(K, column, b_row, k, most, &mine);
        if (n < N)
            to[n * line + k / 4] = unit;
    }
    sums[warp][lane] = mine;
    __syncthreads();
    if (warp == 0 && n < N) {
        float not_finite = 0;
        int32_t all = 0;
        for (int w = 0; w < WARPS; w++) {
            not_finite += probes[w][lane];
            all += sums[w][lane];
        }
        scale[n] = most / 127.0f + not_finite;
        sum[n] = all;
    }
}

void cuda_gemm_pack(const Run *run, Pack form, int64_t K, int64_t N, const float *B, int64_t b_row, int64_t b_col,
                    void *packed)
{
    const Pack type = pack_type(form);
    const int64_t line = pack_line(type, K, N);
    if (type == PACK_F32) {
        copy_matrix(run, K, N, F32, B, b_row, b_col, F32, packed, line);
    } else if (type == PACK_INT8) {
        float *scale = (float *)((int8_t *)packed + N * line);
        LAUNCH(run, pack_bytes_kernel, div_up(N, WARP), 256, 0, K, N, B, b_row, b_col, (uint32_t *)packed, line / 4,
               scale, (int32_t *)(scale + N));
    } else {
        copy_matrix(run, N, K, F32, B, b_col, b_row, type == PACK_F16 ? F16 : BF16, packed, line);
    }
}

/* Unpacks n columns of B, from column `first` on. One thread per number; writes are coalesced. */
static __global__ void __launch_bounds__(256)
    unpack_kernel(Pack type, int64_t K, int64_t N, const void *packed, int64_t line, int64_t first, int64_t n, float *B,
                  int64_t ldb)
{
    for (int64_t i = first_index(); i < K * n; i += all_threads()) {
        const int64_t k = i / n, j = first + i % n;
        const int8_t *bytes = (const int8_t *)packed;
        float x;
        if (type == PACK_F32)
            x = ((const float *)packed)[k * line + j];
        else if (type == PACK_F16)
            x = to_f32(((const Half *)packed)[j * line + k]);
        else if (type == PACK_BF16)
            x = to_f32(((const Brain *)packed)[j * line + k]);
        else
            x = (float)bytes[j * line + k] * ((const float *)(bytes + N * line))[j];
        B[k * ldb + i % n] = x;
    }
}
void cuda_gemm_unpack(const Run *run, Pack form, int64_t K, int64_t N, const void *packed, int64_t first, int64_t n,
                      float *B, int64_t ldb)
{
    const Pack type = pack_type(form);
    LAUNCH(run, unpack_kernel, blocks_for(K * n, 256), 256, 0, type, K, N, packed, pack_line(type, K, N), first, n, B,
           ldb);
}

/* ---- rows of A ------------------------------------------------------------------------------- */

enum { ROW_THREADS = 128 }; /* a block reads a row twice; the second read comes from the L2 cache */

/* Splits a row of A into two f16 numbers per number (gemm.h: split_rows). One block per row. The first number is the
 * f16 nearest to x / scale, the second is the f16 nearest to the remainder.
 *
 * The scale is a power of two such that the row's largest number, divided by the scale, is below 2^15. Both numbers
 * together have 22 bits or more if |x / scale| is at least 1/8. The remainder of a smaller x is a subnormal f16, with
 * an error of at most 2^-25 scale. Infinities and NaN keep their values, and the scale is computed from the other
 * numbers. */
template <class X>
static __global__ void __launch_bounds__(ROW_THREADS)
    split_kernel(int64_t K, const X *A, int64_t row, int64_t col, Half *y, int64_t ld, float *scale)
{
    const int64_t m = blockIdx.x;
    float most = 0;
    for (int64_t k = threadIdx.x; k < K; k += ROW_THREADS) {
        const float x = fabsf(to_f32(A[m * row + k * col]));
        most = x < INFINITY ? fmaxf(most, x) : most;
    }
    most = block_max<ROW_THREADS>(most);
    int exponent = 0;
    frexpf(most, &exponent);
    exponent = most > 0.0f ? MAX(exponent - 15, -126) : 0;
    const float one = ldexpf(1.0f, exponent), back = ldexpf(1.0f, -exponent);
    if (threadIdx.x == 0)
        scale[m] = one;
    for (int64_t k = threadIdx.x; k < ld; k += ROW_THREADS) {
        const float x = k < K ? to_f32(A[m * row + k * col]) * back : 0.0f;
        Half high, low;
        from_f32(x, &high);
        if (fabsf(x) == INFINITY)
            high.bits = (uint16_t)(x > 0.0f ? 0x7c00 : 0xfc00);
        from_f32(fabsf(x) < INFINITY ? x - to_f32(high) : 0.0f, &low);
        y[m * 2 * ld + k] = high;
        y[m * 2 * ld + ld + k] = low;
    }
}
void split_rows(const Run *run, int64_t M, int64_t K, DType type, const void *A, int64_t row, int64_t col, Half *y,
                int64_t ld, float *scale)
{
    WITH_TYPE(type, X, LAUNCH(run, split_kernel<X>, M, ROW_THREADS, 0, K, (const X *)A, row, col, y, ld, scale));
}

/* Quantises a row of A to bytes, -128 to 127 (gemm.h: quantise_rows). One block per row. The number 0 is exactly one of
 * the bytes, so that zeros stay zeros. A row with an infinity or a NaN gets a NaN as its scale. */
template <class X>
static __global__ void __launch_bounds__(ROW_THREADS)
    quantise_kernel(int64_t K, const X *A, int64_t row, int64_t col, int8_t *y, int64_t ld, float *scale, int32_t *zero)
{
    constexpr float TOP = 255;
    constexpr int MIDDLE = 128;
    const int64_t m = blockIdx.x;
    float low = 0, high = 0, probe = 0;
    for (int64_t k = threadIdx.x; k < K; k += ROW_THREADS) {
        const float x = to_f32(A[m * row + k * col]);
        low = fminf(low, x);
        high = fmaxf(high, x);
        probe += x * 0.0f;
    }
    low = -block_max<ROW_THREADS>(-low);
    high = block_max<ROW_THREADS>(high);
    probe = block_sum<ROW_THREADS>(probe);
    const float range = high - low, steps = range < INFINITY ? TOP / range : 0;
    const float by = steps < INFINITY ? steps : 0; /* a row of zeros, or of numbers close to 0, becomes zeros */
    const float begin = rintf(by > 0 ? -low * by : 0);
    if (threadIdx.x == 0) {
        scale[m] = range / TOP + probe;
        zero[m] = (int32_t)begin - MIDDLE;
    }
    for (int64_t k = threadIdx.x; k < ld; k += ROW_THREADS) {
        const float x = k < K ? to_f32(A[m * row + k * col]) * by + begin : 0.0f;
        y[m * ld + k] = (int8_t)((int)rintf(fminf(fmaxf(x, 0.0f), TOP)) - MIDDLE);
    }
}
void quantise_rows(const Run *run, int64_t M, int64_t K, DType type, const void *A, int64_t row, int64_t col, int8_t *y,
                   int64_t ld, float *scale, int32_t *zero)
{
    WITH_TYPE(type, X,
              LAUNCH(run, quantise_kernel<X>, M, ROW_THREADS, 0, K, (const X *)A, row, col, y, ld, scale, zero));
}
