/* kernels/cuda/sparse/columns.h: how gathers, sums of rows, sparse products and losses read and write rows of D
 * numbers: four columns per thread.
 *
 * `vector` is true if all rows begin at multiples of the size of four numbers (16 bytes for float) and D is a multiple
 * of 4. Then the four columns of a lane are neighbours and are read in one access: a warp reads 512 bytes per
 * instruction and needs a quarter of the load instructions. With fewer load instructions per row, a warp can have the
 * loads of more rows in flight. If `vector` is false, a lane makes four accesses of one number. `vector` is the same
 * for all threads, and is a template argument in most kernels. It never changes the order of a sum. */
#ifndef SAPOR_CUDA_COLUMNS_H
#define SAPOR_CUDA_COLUMNS_H

#include "kernels/cuda/cuda.h"

/* Threads and warps per block. A block ends when its slowest warp ends, and the other warps of the block wait for it.
 * So the blocks are small: few warps wait. Eight blocks of this size fill a multiprocessor. */
enum { BLOCK = 256, WARPS = BLOCK / WARP };
enum { EACH = 4, TILE = EACH * WARP }; /* columns per lane, columns per warp */

static __device__ inline int warp_in_block(void)
{
    return (int)threadIdx.x / WARP;
}

/* Returns the number of lanes that share a row: a power of two, enough for D columns, at most a warp. Gathers and spmm
 * cut wider rows into tiles of TILE columns, one per block in the y dimension of the grid (at most 65,535 tiles: D is
 * at most 8,388,480). */
static inline int lanes_for(int64_t D)
{
    int lanes = 1;
    while (lanes < WARP && lanes * EACH < D)
        lanes *= 2;
    return lanes;
}
static inline unsigned tiles_for(int64_t D)
{
    return (unsigned)div_up(D, TILE);
}
/* Returns the first column of this block's tile. */
static __device__ inline int64_t tile_first(void)
{
    return (int64_t)blockIdx.y * TILE;
}
static __device__ inline int tile_columns(int64_t D)
{
    return (int)MIN(D - tile_first(), (int64_t)TILE);
}
/* Reports whether four neighbouring numbers of a row can be read in one access. The rows are ld numbers apart, and a
 * number has `size` bytes. */
static inline bool rows_in_fours(const void *p, int64_t ld, size_t size)
{
    return (uintptr_t)p % (EACH * size) == 0 && ld % EACH == 0;
}
/* Compiles the statement twice, with V as the constant true or false, and runs the one for `condition`. */
#define WITH_VECTOR(condition, V, ...)                                                                                 \
    do {                                                                                                               \
        if (condition) {                                                                                               \
            constexpr bool V = true;                                                                                   \
            __VA_ARGS__;                                                                                               \
        } else {                                                                                                       \
            constexpr bool V = false;                                                                                  \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
    } while (0)

/* Compiles the statement for each result of lanes_for, with L as a constant, and runs the one for `lanes`. */
#define WITH_LANES(lanes, L, ...)                                                                                      \
    do {                                                                                                               \
        switch (lanes) {                                                                                               \
            LANES_CASE(1, L, __VA_ARGS__)                                                                              \
            LANES_CASE(2, L, __VA_ARGS__)                                                                              \
            LANES_CASE(4, L, __VA_ARGS__)                                                                              \
            LANES_CASE(8, L, __VA_ARGS__)                                                                              \
            LANES_CASE(16, L, __VA_ARGS__)                                                                             \
            LANES_CASE(32, L, __VA_ARGS__)                                                                             \
        }                                                                                                              \
    } while (0)
#define LANES_CASE(value, L, ...)                                                                                      \
    case value: {                                                                                                      \
        constexpr int L = value;                                                                                       \
        __VA_ARGS__;                                                                                                   \
        break;                                                                                                         \
    }

/* Loads four numbers in one access. The pointer must be aligned to the size of four numbers. */
static __device__ inline void load_four(const float *p, float x[EACH])
{
    const float4 v = load4(p);
    x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
}
template <class T> static __device__ inline void load_four(const T *p, float x[EACH]) /* Half, Brain */
{
    CHECK_ALIGNED(p, EACH * sizeof(T));
    const uint64_t bits = *(const uint64_t *)p;
    for (int k = 0; k < EACH; k++)
        x[k] = to_f32(T{(uint16_t)(bits >> (16 * k))});
}

/* ---- the columns of a lane ------------------------------------------------------------------- */

/* Returns column k of the four columns of a lane. `lane` is the number of the lane among the `lanes` lanes of a row.
 * With `vector` these are the neighbours 4 lane .. 4 lane + 3. Without `vector` they are lane, lane + lanes, ..., so
 * that neighbouring lanes read neighbouring numbers in each of the four accesses. */
static __device__ inline int column_of(bool vector, int lane, int lanes, int k)
{
    return vector ? EACH * lane + k : lane + k * lanes;
}
/* Loads the four columns of a lane. Columns from `count` on are zeros. */
template <class T>
static __device__ inline void load_columns(const T *row, bool vector, int lane, int lanes, int count, float x[EACH])
{
    for (int k = 0; k < EACH; k++)
        x[k] = 0.0f;
    if (vector) {
        if (EACH * lane < count)
            load_four(row + EACH * lane, x);
    } else {
        for (int k = 0; k < EACH; k++) {
            const int c = column_of(false, lane, lanes, k);
            if (c < count)
                x[k] = to_f32(row[c]);
        }
    }
}
static __device__ inline void store_columns(float *row, bool vector, int lane, int lanes, int count,
                                            const float x[EACH])
{
    if (vector) {
        if (EACH * lane < count)
            store4(row + EACH * lane, float4{x[0], x[1], x[2], x[3]});
    } else {
        for (int k = 0; k < EACH; k++) {
            const int c = column_of(false, lane, lanes, k);
            if (c < count)
                row[c] = x[k];
        }
    }
}
/* Computes row = scale x + beta row. If beta is 0, `row` is not read. */
static __device__ inline void write_columns(float *row, bool vector, int lane, int lanes, int count, float scale,
                                            float beta, const float x[EACH])
{
    float y[EACH];
    if (beta != 0.0f)
        load_columns(row, vector, lane, lanes, count, y);
    for (int k = 0; k < EACH; k++)
        y[k] = beta == 0.0f ? scale * x[k] : fmaf(scale, x[k], beta * y[k]);
    store_columns(row, vector, lane, lanes, count, y);
}

/* The functions below are for columns that are added to one sum. A lane's four columns are neighbours even if `vector`
 * is false, so that `vector` does not change the order of the sum. */

/* Loads columns d .. d + 3 of a row of D numbers. Columns from D on are zeros. */
static __device__ inline void load_neighbours(const float *row, bool vector, int64_t d, int64_t D, float x[EACH])
{
    if (vector) {
        load_four(row + d, x);
    } else {
        for (int k = 0; k < EACH; k++)
            x[k] = d + k < D ? row[d + k] : 0.0f;
    }
}
/* Computes row = x + beta row. If beta is 0, `row` is not read. */
static __device__ inline void write_neighbours(float *row, bool vector, int64_t d, int64_t D, float beta,
                                               const float x[EACH])
{
    float y[EACH] = {0};
    if (beta != 0.0f)
        load_neighbours(row, vector, d, D, y);
    for (int k = 0; k < EACH; k++)
        y[k] = beta == 0.0f ? x[k] : fmaf(beta, y[k], x[k]);
    if (vector) {
        store4(row + d, float4{y[0], y[1], y[2], y[3]});
    } else {
        for (int k = 0; k < EACH; k++) {
            if (d + k < D)
                row[d + k] = y[k];
        }
    }
}

#endif
