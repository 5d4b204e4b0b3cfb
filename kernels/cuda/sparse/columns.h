/* kernels/cuda/sparse/columns.h: rows of D numbers, four columns a thread: how gathers, sums of rows, sparse products
 * and losses read and write them.
 *
 * Where all rows begin at multiples of 16 bytes and D is a multiple of 4, `vector` is true: a lane's four columns are
 * neighbours and move in one access. A warp then reads 512 bytes at once, and has a quarter of the instructions of a
 * loop over single numbers, which matters where the loads of many rows must be in flight together. Else four accesses
 * of one number take the place of it. `vector` is the same for all threads, and mostly a template's argument. It never
 * changes the order of a sum. */
#ifndef SAPOR_CUDA_COLUMNS_H
#define SAPOR_CUDA_COLUMNS_H

#include "kernels/cuda/cuda.h"

/* Threads and warps of a block: few warps wait for the slowest one, and eight blocks fill a multiprocessor. */
enum { BLOCK = 256, WARPS = BLOCK / WARP };
enum { EACH = 4, TILE = EACH * WARP }; /* columns of a lane, of a warp */

static __device__ inline int warp_in_block(void)
{
    return (int)threadIdx.x / WARP;
}

/* Lanes that share a row: a power of two, enough for D columns, at most a warp. Wider rows are cut in tiles: the y
 * dimension of the grid (at most 65,535 tiles: D is below 8,388,608). */
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
/* Columns of this block's tile from the first one on */
static __device__ inline int64_t tile_first(void)
{
    return (int64_t)blockIdx.y * TILE;
}
static __device__ inline int tile_columns(int64_t D)
{
    return (int)MIN(D - tile_first(), (int64_t)TILE);
}
/* Whether rows ld numbers apart of `size` bytes can be read four at once */
static inline bool rows_in_fours(const void *p, int64_t ld, size_t size)
{
    return (uintptr_t)p % (EACH * size) == 0 && ld % EACH == 0;
}
/* The statement with V as a constant true or false, by a condition. */
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

/* The statement with L as a constant: lanes_for's result. */
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

/* Four numbers at once; the pointer is a multiple of their size. */
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

/* ---- columns that do not meet: lane l of `lanes` --------------------------------------------- */

/* Column k of a lane's four: the neighbours 4 l .. 4 l + 3; without vector l, l + lanes, ..., so that each of the four
 * accesses is of neighbours, too. */
static __device__ inline int column_of(bool vector, int lane, int lanes, int k)
{
    return vector ? EACH * lane + k : lane + k * lanes;
}
/* Zeros from `count` on. */
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
/* row = scale x + beta row; beta 0: row is not read */
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

/* ---- columns that are summed: always neighbours, so the order is the same without vector ----- */

/* Columns d .. d + 3 of a row of D, zeros from D on */
static __device__ inline void load_neighbours(const float *row, bool vector, int64_t d, int64_t D, float x[EACH])
{
    if (vector) {
        load_four(row + d, x);
    } else {
        for (int k = 0; k < EACH; k++)
            x[k] = d + k < D ? row[d + k] : 0.0f;
    }
}
/* row = x + beta row; beta 0: row is not read */
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
