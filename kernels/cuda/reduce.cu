/* kernels/cuda/reduce.cu: sums of all numbers, of rows and of columns, the scaling of rows, and the copy of columns.
 * Each number is read once from memory; loads are coalesced, and the kernels are memory-bound. The order of a sum
 * depends only on the sizes. */
#include "kernels/cuda/loops.h"

/* ---- the sum of all numbers ------------------------------------------------------------------ */

enum { SUM_BLOCK = 4096 };

/* Sums blocks of SUM_BLOCK numbers, or their squares, in float32: parts[b] = the sum of block b. One block of threads
 * per block of numbers. Thread t has four sums; sum j adds the numbers 4 t + 1024 k + j for k = 0 .. 3. */
template <int W, bool SQUARES>
static __global__ void __launch_bounds__(256) sum_blocks_kernel(int64_t n, const float *x, float *parts)
{
    enum { PIECES = SUM_BLOCK / 1024 };
    for (int64_t b = blockIdx.x; b < (n + SUM_BLOCK - 1) / SUM_BLOCK; b += gridDim.x) {
        float v[PIECES][4], sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (int k = 0; k < PIECES; k++) {
            const int64_t i = b * SUM_BLOCK + 1024 * k + 4 * (int)threadIdx.x;
            if (i + 4 <= n) {
                load_numbers<4, W>(x + i, v[k]);
            } else {
                for (int j = 0; j < 4; j++)
                    v[k][j] = i + j < n ? x[i + j] : 0.0f;
            }
        }
        for (int k = 0; k < PIECES; k++)
            for (int j = 0; j < 4; j++)
                sum[j] = SQUARES ? fmaf(v[k][j], v[k][j], sum[j]) : sum[j] + v[k][j];
        const float total = block_sum<256>(thread_total<4>(sum));
        if (threadIdx.x == 0)
            parts[b] = total;
    }
}

/* Sums the parts in double, in one block. Thread t adds the parts t, t + PART_THREADS, ... */
enum { PART_THREADS = 1024 };

static __device__ inline double sum_of_parts(int64_t count, const float *parts)
{
    double sum = 0;
    for (int64_t i = threadIdx.x; i < count; i += PART_THREADS)
        sum += (double)parts[i];
    return block_sum<PART_THREADS>(sum);
}
static __global__ void __launch_bounds__(PART_THREADS) sum_parts_kernel(int64_t count, const float *parts, float *out)
{
    const double sum = sum_of_parts(count, parts);
    if (threadIdx.x == 0)
        out[0] = (float)sum;
}

size_t cuda_sum_work(const Run *run, int64_t n)
{
    (void)run;
    return (size_t)div_up(n, SUM_BLOCK) * sizeof(float);
}

template <bool SQUARES> static void sum_all(const Run *run, int64_t n, const float *x, float *out)
{
    float *parts = (float *)run->work;
    const int64_t count = div_up(n, SUM_BLOCK);
    if (aligned16(x))
        LAUNCH(run, (sum_blocks_kernel<4, SQUARES>), blocks_for(count, 1), 256, 0, n, x, parts);
    else
        LAUNCH(run, (sum_blocks_kernel<1, SQUARES>), blocks_for(count, 1), 256, 0, n, x, parts);
    LAUNCH(run, sum_parts_kernel, 1, PART_THREADS, 0, count, parts, out);
}
void cuda_sum(const Run *run, int64_t n, const float *x, float *out)
{
    sum_all<false>(run, n, x, out);
}
void cuda_sum_squares(const Run *run, int64_t n, const float *x, float *out)
{
    sum_all<true>(run, n, x, out);
}

/* Computes the factor that scales gradients to a length of at most `most`:
 *
 *   out = min(most / (sqrt(sum of squares) + 1e-6), 1)
 *
 * One block. `squares` has n sums of squares. */
static __global__ void __launch_bounds__(PART_THREADS)
    clip_factor_kernel(int64_t n, const float *squares, float most, float *out)
{
    const float length = sqrtf((float)sum_of_parts(n, squares)), factor = most / (length + 1e-6f);
    if (threadIdx.x == 0)
        out[0] = factor > 1.0f ? 1.0f : factor; /* a NaN if the sum is a NaN */
}
void cuda_clip_factor(const Run *run, int64_t n, const float *squares, float most, float *out)
{
    LAUNCH(run, clip_factor_kernel, 1, PART_THREADS, 0, n, squares, most, out);
}

/* ---- columns --------------------------------------------------------------------------------- */

/* Sums the columns of x [M, C], whose rows are `ld` numbers apart, over the rows of part blockIdx.y, part_rows each. y
 * has a row of C sums per part. A block of 32 R threads has 32 columns. Thread (r, lane) adds the rows r, r + R, ... of
 * the part. Then the sums of the threads that are R / 2, R / 4, ..., 1 rows apart are added in shared memory. A warp
 * reads 32 consecutive numbers of a row. Memory-bound. */
template <int R>
static __global__ void __launch_bounds__(32 * R)
    add_rows_kernel(int64_t M, int64_t C, const float *x, int64_t ld, int64_t part_rows, float beta, float *y)
{
    SHARED(float, sums, [R][WARP]);
    const int lane = lane_id(), r = (int)threadIdx.x / WARP;
    const int64_t c = (int64_t)blockIdx.x * WARP + lane, p = blockIdx.y, last = MIN(M, (p + 1) * part_rows);
    float sum = 0.0f;
    if (c < C)
        for (int64_t m = p * part_rows + r; m < last; m += R)
            sum += x[m * ld + c];
    sums[r][lane] = sum;
    for (int half = R / 2; half > 0; half /= 2) {
        __syncthreads();
        if (r < half)
            sums[r][lane] += sums[r + half][lane];
    }
    if (r == 0 && c < C)
        y[p * C + c] = beta == 0.0f ? sums[0][lane] : fmaf(beta, y[p * C + c], sums[0][lane]);
}
void add_rows(const Run *run, int64_t M, int64_t C, const float *x, int64_t ld, float beta, float *y)
{
    LAUNCH(run, add_rows_kernel<32>, div_up(C, WARP), 32 * WARP, 0, M, C, x, ld, M, beta, y);
}

/* col_sum first sums parts of the rows, at most COLUMN_PARTS parts of at least COLUMN_ROWS rows, then adds the parts.
 * The number of parts depends only on M. */
enum { COLUMN_PARTS = 512, COLUMN_ROWS = 32 };

static int64_t column_rows(int64_t M)
{
    return MAX((int64_t)COLUMN_ROWS, div_up(M, COLUMN_PARTS));
}
size_t cuda_col_sum_work(const Run *run, int64_t M, int64_t C)
{
    (void)run;
    return (size_t)(div_up(M, column_rows(M)) * C) * sizeof(float);
}
void cuda_col_sum(const Run *run, int64_t M, int64_t C, const float *x, float beta, float *y)
{
    const int64_t rows = column_rows(M), parts = div_up(M, rows);
    float *sums = (float *)run->work;
    if (parts <= 1) {
        add_rows(run, M, C, x, C, beta, y);
        return;
    }
    LAUNCH(run, add_rows_kernel<8>, dim3((unsigned)div_up(C, WARP), (unsigned)parts), 8 * WARP, 0, M, C, x, C, rows,
           0.0f, sums);
    add_rows(run, parts, C, sums, C, beta, y);
}

/* ---- sums of rows ---------------------------------------------------------------------------- */

/* Computes y[m] = the sum over c of x[m, c]. */
template <int V, int W, int T, int K>
static __global__ void __launch_bounds__(256) row_sum_kernel(int64_t M, int64_t C, const float *x, float *y)
{
    for (int64_t m = first_row<T>(); any_row<T>(m, M); m += all_rows<T>()) {
        const int64_t n = m < M ? C : 0;
        float pieces[MAX(K, 1)][V], sum[V] = {0.0f}, v[V];
        load_row<V, W, T, K>(x + m * C, n, pieces);
        FOR_PIECES(V, T, K, n)
        {
            load_piece<V, W, K>(x + m * C + c, k, pieces, v);
            for (int j = 0; j < V; j++)
                sum[j] += v[j];
        }
        const float total = row_total<T>(thread_total<V>(sum));
        if (m < M && thread_of_row<T>() == 0)
            y[m] = total;
    }
}
void cuda_row_sum(const Run *run, int64_t M, int64_t C, const float *x, float *y)
{
    LAUNCH_ROWS(run, row_sum_kernel, M, C, aligned16(x), M, C, x, y);
}

/* Computes y[m] = the sum over c of a[m, c] b[m, c]. */
template <int V, int W, int T, int K>
static __global__ void __launch_bounds__(256)
    row_dot_kernel(int64_t M, int64_t C, const float *a, const float *b, float *y)
{
    for (int64_t m = first_row<T>(); any_row<T>(m, M); m += all_rows<T>()) {
        const int64_t n = m < M ? C : 0;
        float pieces_a[MAX(K, 1)][V], pieces_b[MAX(K, 1)][V];
        const float total = dot_of_rows<V, W, T, K>(a + m * C, b + m * C, n, pieces_a, pieces_b);
        if (m < M && thread_of_row<T>() == 0)
            y[m] = total;
    }
}
void cuda_row_dot(const Run *run, int64_t M, int64_t C, const float *a, const float *b, float *y)
{
    LAUNCH_ROWS(run, row_dot_kernel, M, C, aligned16(a) && aligned16(b), M, C, a, b, y);
}

/* ---- rows scaled to length 1 ----------------------------------------------------------------- */

/* Computes y = x / norm by row, with norm = max(|x|, eps), and writes the norms unless `norm` is NULL. Rows with norm 0
 * become 0. */
template <int V, int W, int T, int K>
static __global__ void __launch_bounds__(256)
    row_normalize_kernel(int64_t M, int64_t C, float eps, const float *x, float *y, float *norm)
{
    for (int64_t m = first_row<T>(); any_row<T>(m, M); m += all_rows<T>()) {
        const int64_t n = m < M ? C : 0;
        float pieces[MAX(K, 1)][V], squares[V] = {0.0f}, v[V];
        load_row<V, W, T, K>(x + m * C, n, pieces);
        FOR_PIECES(V, T, K, n)
        {
            load_piece<V, W, K>(x + m * C + c, k, pieces, v);
            for (int j = 0; j < V; j++)
                squares[j] = fmaf(v[j], v[j], squares[j]);
        }
        const float length = sqrtf(row_total<T>(thread_total<V>(squares))), size = length > eps ? length : eps,
                    scale = size > 0.0f ? 1.0f / size : 0.0f;
        FOR_PIECES(V, T, K, n)
        {
            load_piece<V, W, K>(x + m * C + c, k, pieces, v);
            for (int j = 0; j < V; j++)
                v[j] *= scale;
            store_numbers<V, W>(v, y + m * C + c);
        }
        if (norm && m < M && thread_of_row<T>() == 0)
            norm[m] = size;
    }
}
void cuda_row_normalize(const Run *run, int64_t M, int64_t C, float eps, const float *x, float *y, float *norm)
{
    LAUNCH_ROWS(run, row_normalize_kernel, M, C, aligned16(x) && aligned16(y), M, C, eps, x, y, norm);
}

/* Computes dx = (dy - y (y . dy)) / norm. If the norm was raised to eps, it was a constant in the forward pass, and dx
 * = dy / norm. */
template <int V, int W, int T, int K>
static __global__ void __launch_bounds__(256) row_normalize_back_kernel(int64_t M, int64_t C, float eps, const float *y,
                                                                        const float *norm, const float *dy, float *dx)
{
    for (int64_t m = first_row<T>(); any_row<T>(m, M); m += all_rows<T>()) {
        const int64_t n = m < M ? C : 0;
        float pieces[MAX(K, 1)][V], pieces_d[MAX(K, 1)][V], v[V], d[V];
        const float dot = dot_of_rows<V, W, T, K>(y + m * C, dy + m * C, n, pieces, pieces_d),
                    size = m < M ? norm[m] : 0.0f, scale = size > 0.0f ? 1.0f / size : 0.0f,
                    along = size > eps ? dot : 0.0f;
        FOR_PIECES(V, T, K, n)
        {
            load_piece<V, W, K>(y + m * C + c, k, pieces, v);
            load_piece<V, W, K>(dy + m * C + c, k, pieces_d, d);
            for (int j = 0; j < V; j++)
                d[j] = fmaf(-v[j], along, d[j]) * scale;
            store_numbers<V, W>(d, dx + m * C + c);
        }
    }
}
void cuda_row_normalize_back(const Run *run, int64_t M, int64_t C, float eps, const float *y, const float *norm,
                             const float *dy, float *dx)
{
    LAUNCH_ROWS(run, row_normalize_back_kernel, M, C, aligned16(y) && aligned16(dy) && aligned16(dx), M, C, eps, y,
                norm, dy, dx);
}

/* ---- rows without sums: a thread has V numbers of one row ------------------------------------ */

/* Computes y[m, c] = s[m] x[m, c] + beta y[m, c]. n is M C. */
template <int V>
static __global__ void __launch_bounds__(256)
    row_scale_kernel(int64_t n, int64_t C, const float *x, const float *s, float beta, float *y)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        const float scale = s[row_of(i, C)];
        float v[V], w[V];
        load_numbers<V, V>(x + i, v);
        if (beta == 0.0f) {
            for (int j = 0; j < V; j++)
                v[j] *= scale;
        } else {
            load_numbers<V, V>(y + i, w);
            for (int j = 0; j < V; j++)
                v[j] = fmaf(scale, v[j], beta * w[j]);
        }
        store_numbers<V, V>(v, y + i);
    }
}
void cuda_row_scale(const Run *run, int64_t M, int64_t C, const float *x, const float *s, float beta, float *y)
{
    LAUNCH_NUMBERS(run, row_scale_kernel, M * C, C % 4 == 0 && aligned16(x) && aligned16(y), M * C, C, x, s, beta, y);
}

/* Computes y[m ldy + c] = x[m ldx + c] + beta y[m ldy + c] for c < C. n is M C. */
template <int V>
static __global__ void __launch_bounds__(256)
    copy_cols_kernel(int64_t n, int64_t C, const float *x, int64_t ldx, float beta, float *y, int64_t ldy)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        const int64_t m = row_of(i, C), c = i - m * C;
        float v[V], w[V];
        load_numbers<V, V>(x + m * ldx + c, v);
        if (beta != 0.0f) {
            load_numbers<V, V>(y + m * ldy + c, w);
            for (int j = 0; j < V; j++)
                v[j] = fmaf(beta, w[j], v[j]);
        }
        store_numbers<V, V>(v, y + m * ldy + c);
    }
}
void cuda_copy_cols(const Run *run, int64_t M, int64_t C, const float *x, int64_t ldx, float beta, float *y,
                    int64_t ldy)
{
    const bool aligned = C % 4 == 0 && ldx % 4 == 0 && ldy % 4 == 0 && aligned16(x) && aligned16(y);
    LAUNCH_NUMBERS(run, copy_cols_kernel, M * C, aligned, M * C, C, x, ldx, beta, y, ldy);
}
