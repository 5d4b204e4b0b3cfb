/* kernels/cuda/sparse/gather.cu: gathers, sums and pools of rows that are chosen by index. All are memory-bound: there
 * is at most one addition per number. A lane takes four columns (columns.h), and neighbouring lanes read whole cache
 * lines. The rows themselves may be anywhere in memory. */
#include "kernels/cuda/sparse/columns.h"

/* Returns the shape of a block: threadIdx.x is the lane in a row, threadIdx.y is the row. */
static dim3 row_block(int lanes)
{
    return dim3((unsigned)lanes, (unsigned)(BLOCK / lanes));
}
static dim3 row_grid(int64_t rows, int64_t D, int lanes)
{
    return dim3((unsigned)blocks_for(rows, BLOCK / lanes), tiles_for(D));
}
static __device__ inline int64_t block_row(void)
{
    return (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
}
static __device__ inline int64_t all_rows(void)
{
    return (int64_t)gridDim.x * blockDim.y;
}

/* ---- gather ---------------------------------------------------------------------------------- */

/* Computes y[i, :] = table[ids[i], :] + beta y[i, :]. A negative id stands for a row of zeros. One thread per four
 * columns of row i. No row waits for another: the loads of all threads of a multiprocessor are in flight together. */
template <class T, bool VECTOR>
static __global__ void __launch_bounds__(BLOCK)
    gather_kernel(int64_t n, int64_t D, const T *table, const int32_t *ids, float beta, float *y)
{
    const int columns = tile_columns(D), lane = (int)threadIdx.x, lanes = (int)blockDim.x;
    for (int64_t i = block_row(); i < n; i += all_rows()) {
        const int64_t id = ids[i];
        float row[EACH];
        load_columns(table + MAX(id, (int64_t)0) * D + tile_first(), VECTOR, lane, lanes, id < 0 ? 0 : columns, row);
        write_columns(y + i * D + tile_first(), VECTOR, lane, lanes, columns, 1.0f, beta, row);
    }
}

void cuda_gather(const Run *run, int64_t n, int64_t D, DType type, const void *table, const int32_t *ids, float beta,
                 float *y)
{
    const int lanes = lanes_for(D);
    WITH_TYPE(type, T,
              WITH_VECTOR(rows_in_fours(table, D, sizeof(T)) && rows_in_fours(y, D, sizeof *y), V,
                          LAUNCH(run, (gather_kernel<T, V>), row_grid(n, D, lanes), row_block(lanes), 0, n, D,
                                 (const T *)table, ids, beta, y)));
}

/* Adds rows x[order ? order[j] : j, :] of D numbers to the four columns of a thread, for j = first, first + step, ...
 * below `end`, in this order. Four rows are loaded before they are added, so that their latencies overlap. */
static __device__ inline void add_rows(const float *x, int64_t D, const int32_t *order, int64_t first, int64_t end,
                                       int step, bool vector, int lane, int lanes, float sum[EACH])
{
    enum { DEEP = 4 };
    const int columns = tile_columns(D);
    for (int64_t j = first; j < end; j += DEEP * step) {
        float row[DEEP][EACH];
        for (int k = 0; k < DEEP; k++) {
            const int64_t at = j + k * step, r = at >= end ? 0 : order ? order[at] : at;
            load_columns(x + r * D + tile_first(), vector, lane, lanes, at < end ? columns : 0, row[k]);
        }
        for (int k = 0; k < DEEP; k++) {
            for (int c = 0; c < EACH; c++)
                sum[c] += row[k][c];
        }
    }
}

/* ---- segment_sum ----------------------------------------------------------------------------- */

/* Computes, with r = to[s] (s if `to` is NULL) and the sum over the rows j of segment s (order[j] if given),
 *
 *   y[r, :] = scale (sum of x[j, :]) + beta y[r, :]
 *
 * One thread per four columns of segment s. The rows are added in the order of j, as kernels.h requires, so a long
 * segment is not divided among threads. */
template <bool VECTOR>
static __global__ void __launch_bounds__(BLOCK)
    segment_sum_kernel(int64_t S, int64_t D, const int64_t *start, const int32_t *order, const int32_t *to,
                       const float *x, float scale, float beta, float *y)
{
    const int columns = tile_columns(D), lane = (int)threadIdx.x, lanes = (int)blockDim.x;
    for (int64_t s = block_row(); s < S; s += all_rows()) {
        float sum[EACH] = {0};
        add_rows(x, D, order, start[s], start[s + 1], 1, VECTOR, lane, lanes, sum);
        write_columns(y + (to ? to[s] : s) * D + tile_first(), VECTOR, lane, lanes, columns, scale, beta, sum);
    }
}

void cuda_segment_sum(const Run *run, int64_t S, int64_t D, const int64_t *start, const int32_t *order,
                      const int32_t *to, DType type, const void *x, float scale, float beta, float *y)
{
    (void)type;

    const int lanes = lanes_for(D);
    WITH_VECTOR(rows_in_fours(x, D, sizeof(float)) && rows_in_fours(y, D, sizeof *y), V,
                LAUNCH(run, (segment_sum_kernel<V>), row_grid(S, D, lanes), row_block(lanes), 0, S, D, start, order, to,
                       (const float *)x, scale, beta, y));
}

/* ---- pools of ragged rows -------------------------------------------------------------------- */

/* A block computes 128 columns of one segment (a text) at a time. There are few texts, and each has many rows. So the
 * rows of a text are divided among the warps: warp w takes rows first + w, first + w + 8, .... The results of the warps
 * are combined in the order of the warps. A Segment has the rows that are pooled, at most one for REDUCE_FIRST, and the
 * factor of their sum: 1 / their number for REDUCE_MEAN, otherwise 1. */
typedef struct Segment {
    int64_t first, end; /* rows */
    float scale;
} Segment;
static __device__ inline Segment segment_at(const int32_t *offsets, int64_t b, Reduce how)
{
    const int64_t first = offsets[b], end = offsets[b + 1];
    return (Segment){first, how == REDUCE_FIRST ? MIN(first + 1, end) : end,
                     how == REDUCE_MEAN ? 1.0f / (float)MAX(end - first, (int64_t)1) : 1.0f};
}

/* REDUCE_SUM, REDUCE_MEAN, REDUCE_FIRST */
template <bool VECTOR>
static __global__ void __launch_bounds__(BLOCK)
    sum_pool_kernel(int64_t B, int64_t D, const int32_t *offsets, Reduce how, const float *x, float *y)
{
    SHARED(float, part, [WARPS][TILE]);
    const int columns = tile_columns(D), lane = lane_id(), warp = warp_in_block();
    for (int64_t b = blockIdx.x; b < B; b += gridDim.x) {
        const Segment segment = segment_at(offsets, b, how);
        float sum[EACH] = {0};
        add_rows(x, D, NULL, segment.first + warp, segment.end, WARPS, VECTOR, lane, WARP, sum);
        store_columns(part[warp], VECTOR, lane, WARP, columns, sum);
        __syncthreads();
        if ((int)threadIdx.x < columns) {
            float total = part[0][threadIdx.x];
            for (int w = 1; w < WARPS; w++)
                total += part[w][threadIdx.x];
            y[b * D + tile_first() + threadIdx.x] = total * segment.scale;
        }
        __syncthreads();
    }
}

/* REDUCE_MAX. If several rows have the maximum, the first of them counts: a later row of the same warp must be larger,
 * and of two warps with equal maxima the one with the lower row counts. */
template <bool VECTOR>
static __global__ void __launch_bounds__(BLOCK)
    max_pool_kernel(int64_t B, int64_t D, const int32_t *offsets, const float *x, float *y, int32_t *arg)
{
    SHARED(float, part, [WARPS][TILE]);
    SHARED(int32_t, part_row, [WARPS][TILE]);
    const int columns = tile_columns(D), lane = lane_id(), warp = warp_in_block();
    for (int64_t b = blockIdx.x; b < B; b += gridDim.x) {
        const Segment segment = segment_at(offsets, b, REDUCE_MAX);
        float best[EACH] = {0};
        int32_t best_row[EACH] = {-1, -1, -1, -1};
        for (int64_t r = segment.first + warp; r < segment.end; r += WARPS) {
            float row[EACH];
            load_columns(x + r * D + tile_first(), VECTOR, lane, WARP, columns, row);
            for (int k = 0; k < EACH; k++) {
                if (best_row[k] < 0 || row[k] > best[k]) {
                    best[k] = row[k];
                    best_row[k] = (int32_t)r;
                }
            }
        }
        store_columns(part[warp], VECTOR, lane, WARP, columns, best);
        for (int k = 0; k < EACH; k++)
            part_row[warp][column_of(VECTOR, lane, WARP, k)] = best_row[k];
        __syncthreads();
        if ((int)threadIdx.x < columns) {
            float most = part[0][threadIdx.x];
            int32_t row = part_row[0][threadIdx.x];
            for (int w = 1; w < WARPS; w++) {
                const float other = part[w][threadIdx.x];
                const int32_t other_row = part_row[w][threadIdx.x];
                if (other_row >= 0 && (other > most || (other == most && other_row < row))) {
                    most = other;
                    row = other_row;
                }
            }
            y[b * D + tile_first() + threadIdx.x] = most;
            if (arg)
                arg[b * D + tile_first() + threadIdx.x] = row;
        }
        __syncthreads();
    }
}

void cuda_segment_pool(const Run *run, int64_t B, int64_t D, const int32_t *offsets, Reduce how, const float *x,
                       float *y, int32_t *arg)
{
    const dim3 grid((unsigned)blocks_for(B, 1), tiles_for(D));
    const bool fours = rows_in_fours(x, D, sizeof *x);
    if (how == REDUCE_MAX)
        WITH_VECTOR(fours, V, LAUNCH(run, (max_pool_kernel<V>), grid, BLOCK, 0, B, D, offsets, x, y, arg));
    else
        WITH_VECTOR(fours, V, LAUNCH(run, (sum_pool_kernel<V>), grid, BLOCK, 0, B, D, offsets, how, x, y));
}

/* Computes dx of the pools. One warp per row of a segment, in turn as above. Each row of dx is written once and
 * completely. */
template <bool VECTOR>
static __global__ void __launch_bounds__(BLOCK)
    segment_pool_back_kernel(int64_t B, int64_t D, const int32_t *offsets, Reduce how, const int32_t *arg,
                             const float *dy, float *dx)
{
    const int columns = tile_columns(D), lane = lane_id();
    for (int64_t b = blockIdx.x; b < B; b += gridDim.x) {
        const Segment segment = segment_at(offsets, b, how);
        float gradient[EACH];
        int32_t best_row[EACH] = {-1, -1, -1, -1};
        load_columns(dy + b * D + tile_first(), VECTOR, lane, WARP, columns, gradient);
        for (int k = 0; k < EACH; k++) {
            const int c = column_of(VECTOR, lane, WARP, k);
            gradient[k] *= segment.scale;
            if (how == REDUCE_MAX && c < columns)
                best_row[k] = arg[b * D + tile_first() + c];
        }
        for (int64_t r = offsets[b] + warp_in_block(); r < offsets[b + 1]; r += WARPS) {
            float row[EACH];
            for (int k = 0; k < EACH; k++)
                row[k] = (how == REDUCE_MAX ? r == best_row[k] : r < segment.end) ? gradient[k] : 0.0f;
            store_columns(dx + r * D + tile_first(), VECTOR, lane, WARP, columns, row);
        }
    }
}

void cuda_segment_pool_back(const Run *run, int64_t B, int64_t D, const int32_t *offsets, Reduce how,
                            const int32_t *arg, const float *dy, float *dx)
{
    WITH_VECTOR(rows_in_fours(dy, D, sizeof *dy) && rows_in_fours(dx, D, sizeof *dx), V,
                LAUNCH(run, (segment_pool_back_kernel<V>), dim3((unsigned)blocks_for(B, 1), tiles_for(D)), BLOCK, 0, B,
                       D, offsets, how, arg, dy, dx));
}
