/* kernels/cuda/loops.h: the two loops of most kernels: over numbers, and over the rows of x [M, C]. Both are
 * memory-bound. A warp should therefore read whole lines of 128 bytes, with 16 bytes per thread if the pointers are
 * aligned, and read each number once.
 *
 * Numbers: a thread has V consecutive numbers, 4 or 1. LAUNCH_NUMBERS chooses V by the alignment of the pointers.
 *
 *     template <int V> static __global__ void __launch_bounds__(256) root_kernel(int64_t n, const float *x, float *y)
 *     {
 *         for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
 *             float v[V];
 *             load_part<V>(x, i, n, v);
 *             for (int j = 0; j < V; j++)
 *                 v[j] = sqrtf(v[j]);
 *             store_part<V>(v, y, i, n);
 *         }
 *     }
 *     LAUNCH_NUMBERS(run, root_kernel, n, aligned16(x) && aligned16(y), n, x, y);
 *
 * Rows: T threads share one row. Thread t has the numbers V (t + T k) .. V (t + T k) + V - 1 for k = 0, 1, ... Up to K
 * of these pieces stay in registers between the passes over a row. With K = 0 the row is longer, and each pass reads it
 * again from the L2 cache.
 *
 * V, T and K depend only on C, and so does the order of a sum:
 *
 * 1. Each thread makes V sums of its numbers, then adds these V sums together (thread_total).
 * 2. Threads of a warp add their sums: first threads that are T/2 (at most 16) apart, ..., then 2 apart, then 1 apart.
 * 3. The sums of the warps of a block are added one after the other.
 *
 * LAUNCH_ROWS chooses V, T and K:
 *
 *     T     K    C with V 4             C with V 1    threads that      registers per thread
 *                (C % 4 = 0)                          share a row       for a row: V 4, V 1
 *     16    1    up to 64               up to 16      half a warp       4, 1
 *     32    1    up to 128              up to 32      a warp            4, 1
 *     32    4    up to 512              up to 128     a warp            16, 4
 *     32    8    up to 1024             up to 256     a warp            32, 8
 *     256   4    up to 4096             up to 1024    a block           16, 4
 *     256   0    above 4096             above 1024    a block           none
 *
 * W is the number of floats per load: V, or 1 if V is 4 and a pointer is not aligned to 16 bytes. A block has 256
 * threads. Fewer threads per row would need more registers than a thread has. More than 32 threads per row must wait
 * for each other at barriers. */
#ifndef SAPOR_CUDA_LOOPS_H
#define SAPOR_CUDA_LOOPS_H

#include "kernels/cuda/cuda.h"

/* ---- the V numbers of a thread --------------------------------------------------------------- */

template <int V, int W> static __device__ inline void load_numbers(const float *p, float *v)
{
    if constexpr (W == 4) {
        const float4 x = load4(p);
        v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
    } else {
        for (int j = 0; j < V; j++)
            v[j] = p[j];
    }
}
template <int V, int W> static __device__ inline void store_numbers(const float *v, float *p)
{
    if constexpr (W == 4) {
        store4(p, make_float4(v[0], v[1], v[2], v[3]));
    } else {
        for (int j = 0; j < V; j++)
            p[j] = v[j];
    }
}
/* Numbers from index n on are read as 0 and are not stored. */
template <int V> static __device__ inline void load_part(const float *x, int64_t i, int64_t n, float *v)
{
    if (i + V <= n) {
        load_numbers<V, V>(x + i, v);
    } else {
        for (int j = 0; j < V; j++)
            v[j] = i + j < n ? x[i + j] : 0.0f;
    }
}
template <int V> static __device__ inline void store_part(const float *v, float *y, int64_t i, int64_t n)
{
    if (i + V <= n) {
        store_numbers<V, V>(v, y + i);
    } else {
        for (int j = 0; j < V && i + j < n; j++)
            y[i + j] = v[j];
    }
}
/* i / C for i >= 0. If both fit in 32 bits, the division has 32 bits, which takes a third of the instructions. */
static __device__ inline int64_t row_of(int64_t i, int64_t C)
{
    return (i | C) >> 32 == 0 ? (int64_t)((uint32_t)i / (uint32_t)C) : i / C;
}

#define LAUNCH_NUMBERS(run, kernel, n, aligned, ...)                                                                   \
    do {                                                                                                               \
        if (aligned)                                                                                                   \
            LAUNCH(run, (kernel<4>), blocks_for(n, 1024), 256, 0, __VA_ARGS__);                                        \
        else                                                                                                           \
            LAUNCH(run, (kernel<1>), blocks_for(n, 256), 256, 0, __VA_ARGS__);                                         \
    } while (0)

/* ---- rows ------------------------------------------------------------------------------------ */

/* The rows of a thread: for (int64_t m = first_row<T>(); any_row<T>(m, M); m += all_rows<T>()). All threads of a warp
 * (T 256: of a block) stay in this loop together. With T 16, the body may also run with m >= M. It must then use 0 as
 * the length of the row, and must not write a result. */
template <int T> static __device__ inline int64_t first_row(void)
{
    return first_index() / T;
}
template <int T> static __device__ inline int64_t all_rows(void)
{
    return all_threads() / T;
}
template <int T> static __device__ inline bool any_row(int64_t m, int64_t M)
{
    return T < WARP ? m - lane_id() / T < M : m < M;
}
template <int T> static __device__ inline int thread_of_row(void)
{
    return (int)(threadIdx.x % T);
}
/* Loads a thread's pieces of a row before any of them is used, so that all loads are in flight together. `pieces` is
 * float [MAX(K, 1)][V]; numbers from index n on are 0. With K = 0, nothing is loaded. */
template <int V, int W, int T, int K>
static __device__ inline void load_row(const float *row, int64_t n, float (*pieces)[V])
{
    for (int k = 0; k < K; k++) {
        const int64_t c = V * (thread_of_row<T>() + T * k);
        if (c < n) {
            load_numbers<V, W>(row + c, pieces[k]);
        } else {
            for (int j = 0; j < V; j++)
                pieces[k][j] = 0.0f;
        }
    }
}
/* Runs the statement that follows for each piece k of the thread in a row of n numbers; c is the column at which the
 * piece begins. */
#define FOR_PIECES(V, T, K, n)                                                                                         \
    for (int64_t k = 0, c = (V) * (int64_t)thread_of_row<T>(); (K) > 0 ? k < (K) : c < (n); k++, c += (V) * (T))       \
        if ((K) == 0 || c < (n))
/* Returns piece k in v: from `pieces`, or, if K is 0, loaded from p. */
template <int V, int W, int K>
static __device__ inline void load_piece(const float *p, int64_t k, const float (*pieces)[V], float *v)
{
    if constexpr (K > 0) {
        for (int j = 0; j < V; j++)
            v[j] = pieces[k][j];
    } else {
        load_numbers<V, W>(p, v);
    }
}

/* thread_total: the sum of a thread's V sums. row_total and row_largest: the sum and the maximum over the threads of a
 * row, returned in each of these threads. All threads of a warp (T 256: of a block) must call these two. */
template <int V> static __device__ inline float thread_total(const float *sum)
{
    if constexpr (V == 4)
        return (sum[0] + sum[1]) + (sum[2] + sum[3]);
    else
        return sum[0];
}
template <int T> static __device__ inline float row_total(float x)
{
    if constexpr (T > WARP)
        return block_sum<T>(x);
    else
        for (int apart = T / 2; apart > 0; apart /= 2)
            x += __shfl_xor_sync(FULL_MASK, x, apart);
    return x;
}
template <int T> static __device__ inline float row_largest(float x)
{
    if constexpr (T > WARP)
        return block_max<T>(x);
    else
        for (int apart = T / 2; apart > 0; apart /= 2)
            x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, apart));
    return x;
}

/* Returns the dot product of two rows of n numbers in all threads of the row. Loads both rows to pieces_a and pieces_b,
 * as load_row does. */
template <int V, int W, int T, int K>
static __device__ inline float dot_of_rows(const float *a, const float *b, int64_t n, float (*pieces_a)[V],
                                           float (*pieces_b)[V])
{
    float dot[V] = {0.0f}, v[V], w[V];
    load_row<V, W, T, K>(a, n, pieces_a);
    load_row<V, W, T, K>(b, n, pieces_b);
    FOR_PIECES(V, T, K, n)
    {
        load_piece<V, W, K>(a + c, k, pieces_a, v);
        load_piece<V, W, K>(b + c, k, pieces_b, w);
        for (int j = 0; j < V; j++)
            dot[j] = fmaf(v[j], w[j], dot[j]);
    }
    return row_total<T>(thread_total<V>(dot));
}

#define LAUNCH_ROWS_AS(run, kernel, V, W, M, C, ...)                                                                   \
    do {                                                                                                               \
        if ((C) <= 16 * (V))                                                                                           \
            LAUNCH(run, (kernel<V, W, 16, 1>), blocks_for(M, 16), 256, 0, __VA_ARGS__);                                \
        else if ((C) <= 32 * (V))                                                                                      \
            LAUNCH(run, (kernel<V, W, 32, 1>), blocks_for(M, 8), 256, 0, __VA_ARGS__);                                 \
        else if ((C) <= 128 * (V))                                                                                     \
            LAUNCH(run, (kernel<V, W, 32, 4>), blocks_for(M, 8), 256, 0, __VA_ARGS__);                                 \
        else if ((C) <= 256 * (V))                                                                                     \
            LAUNCH(run, (kernel<V, W, 32, 8>), blocks_for(M, 8), 256, 0, __VA_ARGS__);                                 \
        else if ((C) <= 1024 * (V))                                                                                    \
            LAUNCH(run, (kernel<V, W, 256, 4>), blocks_for(M, 1), 256, 0, __VA_ARGS__);                                \
        else                                                                                                           \
            LAUNCH(run, (kernel<V, W, 256, 0>), blocks_for(M, 1), 256, 0, __VA_ARGS__);                                \
    } while (0)
/* aligned: whether the row pointers that the kernel reads or writes V numbers at a time are aligned to 16 bytes. */
#define LAUNCH_ROWS(run, kernel, M, C, aligned, ...)                                                                   \
    do {                                                                                                               \
        if ((C) % 4 != 0)                                                                                              \
            LAUNCH_ROWS_AS(run, kernel, 1, 1, M, C, __VA_ARGS__);                                                      \
        else if (aligned)                                                                                              \
            LAUNCH_ROWS_AS(run, kernel, 4, 4, M, C, __VA_ARGS__);                                                      \
        else                                                                                                           \
            LAUNCH_ROWS_AS(run, kernel, 4, 1, M, C, __VA_ARGS__);                                                      \
    } while (0)

/* Sets, for c < C,
 *
 *   y[c] = beta y[c] + the sum over m < M of x[m ld + c]
 *
 * One block sums 32 columns, so M should be at most some thousand (reduce.cu). */
void add_rows(const Run *run, int64_t M, int64_t C, const float *x, int64_t ld, float beta, float *y);

#endif
