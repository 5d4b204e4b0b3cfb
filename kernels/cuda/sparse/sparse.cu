/* kernels/cuda/sparse/sparse.cu: kernels that compute one number per entry of a sparse matrix, or one per row. */
#include "kernels/cuda/loops.h"
#include "kernels/cuda/sparse/sparse.h"

/* by entry: no sum over a row, so entries are divided evenly, whatever the rows' lengths */

/* Returns the row of entry e: the last row that begins at or before e. All lanes of a warp take nearly the same path,
 * so that one access to the cache serves all of them. */
static __device__ inline int32_t row_of(const Sparse &A, int64_t e)
{
    int64_t low = 0, high = A.rows;
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (A.start[middle] <= e)
            low = middle;
        else
            high = middle;
    }
    return (int32_t)low;
}

/* Computes, for each entry e at (r, c) of A,
 *
 *   out[e] = alpha row_scale[r] col_scale[c] (sum over d of x[r, d] y[c, d]) + beta out[e]
 *
 * One warp per 32 entries. Each lane finds the row and the column of one entry. Then the warp is split into places: a
 * place is a group of LANES lanes that computes one entry. Each of these lanes reads four neighbouring columns of both
 * rows, and the lanes' sums are added as a tree. Finally each lane writes its entry (coalesced). The order of a sum
 * depends only on D.
 *
 * Memory-bound, as spmm: the scattered rows of y take the time. Neighbouring entries read the same row of x, which
 * stays in the L1 cache. */
template <bool VECTOR, int LANES>
static __global__ void __launch_bounds__(BLOCK)
    sddmm_kernel(Sparse A, int64_t D, const float *x, const float *y, float alpha, float beta, float *out)
{
    enum { PLACES = WARP / LANES, DEEP = LANES < 2 ? 1 : 2 }; /* DEEP: entries that a place loads together */
    const int place = lane_id() / LANES, lane = lane_id() % LANES;
    for (int64_t at = first_warp() * WARP; at < A.entries; at += all_warps() * WARP) {
        const int n = (int)MIN(A.entries - at, (int64_t)WARP);
        const int64_t e = at + lane_id();
        const int32_t row = lane_id() < n ? row_of(A, e) : 0, col = lane_id() < n ? A.col[e] : 0;
        float dot = 0.0f;
        for (int i = 0; i < n; i += PLACES * DEEP) {
            int32_t r[DEEP], c[DEEP];
            float sum[DEEP] = {0};
            for (int k = 0; k < DEEP; k++) {
                r[k] = __shfl_sync(FULL_MASK, row, i + k * PLACES + place);
                c[k] = __shfl_sync(FULL_MASK, col, i + k * PLACES + place);
            }
            for (int64_t d = EACH * lane; d < D; d += EACH * LANES) {
                float a[DEEP][EACH], b[DEEP][EACH];
                for (int k = 0; k < DEEP; k++) {
                    load_neighbours(x + r[k] * D, VECTOR, d, D, a[k]);
                    load_neighbours(y + c[k] * D, VECTOR, d, D, b[k]);
                }
                for (int k = 0; k < DEEP; k++) {
                    for (int j = 0; j < EACH; j++)
                        sum[k] = fmaf(a[k][j], b[k][j], sum[k]);
                }
            }
            for (int k = 0; k < DEEP; k++) {
                for (int apart = LANES / 2; apart > 0; apart /= 2)
                    sum[k] += __shfl_xor_sync(FULL_MASK, sum[k], apart);
                /* Place p has computed the dot product of entry i + k PLACES + p. The lane that found the row and the
                 * column of this entry fetches the product. */
                const float mine = __shfl_sync(FULL_MASK, sum[k], lane_id() % PLACES * LANES);
                if (lane_id() / PLACES == i / PLACES + k)
                    dot = mine;
            }
        }
        if (lane_id() < n) {
            const float scale = A.row_scale ? alpha * A.row_scale[row] : alpha;
            const float term = (A.col_scale ? scale * A.col_scale[col] : scale) * dot;
            out[e] = beta == 0.0f ? term : beta * out[e] + term;
        }
    }
}

void cuda_sddmm(const Run *run, const Sparse *A, int64_t D, const float *x, const float *y, float alpha, float beta,
                float *out)
{
    const bool fours = rows_in_fours(x, D, sizeof *x) && rows_in_fours(y, D, sizeof *y);
    WITH_VECTOR(fours, V,
                WITH_LANES(lanes_for(D), L,
                           LAUNCH(run, (sddmm_kernel<V, L>), blocks_for(A->entries, BLOCK), BLOCK, 0, *A, D, x, y,
                                  alpha, beta, out)));
}

/* Computes out[e] = val[e] rs[row] cs[column]; rs and cs may be NULL. One thread per entry. Memory-bound, except for
 * the search for the row. */
static __global__ void __launch_bounds__(BLOCK)
    edge_scale_kernel(Sparse A, const float *val, const float *rs, const float *cs, float *out)
{
    for (int64_t e = first_index(); e < A.entries; e += all_threads()) {
        const float scaled = rs ? val[e] * rs[row_of(A, e)] : val[e];
        out[e] = cs ? scaled * cs[A.col[e]] : scaled;
    }
}
void cuda_edge_scale(const Run *run, const Sparse *A, const float *val, const float *rs, const float *cs, float *out)
{
    LAUNCH(run, edge_scale_kernel, blocks_for(A->entries, BLOCK), BLOCK, 0, *A, val, rs, cs, out);
}

/* by row: THREADS is 32 (a warp), or BLOCK for a long row */

/* In the functions below, thread t of THREADS reads entries t, t + THREADS, ... of the row (coalesced). The threads'
 * sums are added in the order of loops.h. Memory-bound. */

/* Computes the softmax of a row's entries. Makes three passes over the row, which is in a cache after the first. A
 * thread reads only what it wrote, so that y may be x. */
template <int THREADS> static __device__ inline void softmax_row(const Sparse &A, int64_t r, const float *x, float *y)
{
    const int64_t first = A.start[r] + threadIdx.x % THREADS, end = A.start[r + 1];
    float most = -INFINITY, sum = 0.0f;
    for (int64_t e = first; e < end; e += THREADS)
        most = fmaxf(most, x[e]);
    most = row_largest<THREADS>(most);
    for (int64_t e = first; e < end; e += THREADS) {
        const float power = expf(x[e] - most);
        y[e] = power;
        sum += power;
    }
    const float scale = 1.0f / row_total<THREADS>(sum);
    for (int64_t e = first; e < end; e += THREADS)
        y[e] *= scale;
}
static __global__ void __launch_bounds__(BLOCK) edge_softmax_kernel(Sparse A, const float *x, float *y)
{
    FOR_ROWS(A, r, softmax_row<WARP>(A, r, x, y), softmax_row<BLOCK>(A, r, x, y))
}
void cuda_edge_softmax(const Run *run, const Sparse *A, const float *x, float *y)
{
    LAUNCH(run, edge_softmax_kernel, row_blocks(A), BLOCK, 0, *A, x, y);
}

/* Computes dx[e] = y[e] (dy[e] - sum of y dy over the row), the gradient of the softmax, in two passes over the row. */
template <int THREADS>
static __device__ inline void softmax_back_row(const Sparse &A, int64_t r, const float *y, const float *dy, float *dx)
{
    const int64_t first = A.start[r] + threadIdx.x % THREADS, end = A.start[r + 1];
    float dot = 0.0f;
    for (int64_t e = first; e < end; e += THREADS)
        dot = fmaf(y[e], dy[e], dot);
    dot = row_total<THREADS>(dot);
    for (int64_t e = first; e < end; e += THREADS)
        dx[e] = y[e] * (dy[e] - dot);
}
static __global__ void __launch_bounds__(BLOCK)
    edge_softmax_back_kernel(Sparse A, const float *y, const float *dy, float *dx)
{
    FOR_ROWS(A, r, softmax_back_row<WARP>(A, r, y, dy, dx), softmax_back_row<BLOCK>(A, r, y, dy, dx))
}
void cuda_edge_softmax_back(const Run *run, const Sparse *A, const float *y, const float *dy, float *dx)
{
    LAUNCH(run, edge_softmax_back_kernel, row_blocks(A), BLOCK, 0, *A, y, dy, dx);
}

/* Computes out[r], the sum of the values of row r. */
template <int THREADS> static __device__ inline void sum_row(const Sparse &A, int64_t r, const float *val, float *out)
{
    float sum = 0.0f;
    for (int64_t e = A.start[r] + threadIdx.x % THREADS; e < A.start[r + 1]; e += THREADS)
        sum += val[A.val_index ? A.val_index[e] : e];
    sum = row_total<THREADS>(sum);
    if (threadIdx.x % THREADS == 0)
        out[r] = sum;
}
static __global__ void __launch_bounds__(BLOCK) edge_row_sum_kernel(Sparse A, const float *val, float *out)
{
    FOR_ROWS(A, r, sum_row<WARP>(A, r, val, out), sum_row<BLOCK>(A, r, val, out))
}
void cuda_edge_row_sum(const Run *run, const Sparse *A, const float *val, float *out)
{
    LAUNCH(run, edge_row_sum_kernel, row_blocks(A), BLOCK, 0, *A, val, out);
}
