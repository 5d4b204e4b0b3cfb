/* kernels/cuda/cuda.h: what the CUDA kernels share: launches, types of numbers, loads, sums of a warp and of a block.
 *
 * A kernel is a `static __global__` function. It is launched by a host function cuda_NAME, which has the signature of
 * the member NAME of the table `Kernels` (kernels.h):
 *
 *     static __global__ void fill_kernel(int64_t n, float value, float *y)
 *     {
 *         for (int64_t i = first_index(); i < n; i += all_threads())
 *             y[i] = value;
 *     }
 *     void cuda_fill(const Run *run, int64_t n, float value, float *y)
 *     {
 *         LAUNCH(run, fill_kernel, blocks_for(n, 256), 256, 0, n, value, y);
 *     }
 *
 * The same sources are compiled by nvcc for a GPU and by g++ for the emulator (tests/cuda_emu). The emulator runs them
 * in tests. It finds accesses out of bounds, reads of shared memory that was never written, races, and barriers that
 * not all threads of a block reach. Most kernels use this file and ptx.h and do not depend on the compiler.
 * gemm/wgmma.cu, peak.cu, libs/ and context.cu have code of their own for each compiler.
 *
 * Every run gives the same bits: the order of a sum depends only on its length, never on the grid or on the card. There
 * are no atomics on floats. The build has -fmad=false, so a fused multiply-add is computed only where the code says
 * fmaf(). */
#ifndef SAPOR_CUDA_H
#define SAPOR_CUDA_H

#include <cuda_runtime.h> /* from the toolkit, or from the emulator */
#include <math.h>
extern "C" {
#include "kernels/list.h"
#include "kernels/kernels.h"
}
#include "kernels/cuda/ptx.h"

#define FULL_MASK 0xffffffffu
enum { WARP = 32 };

/* Declares cuda_NAME for each kernel of KERNEL_LIST, with the type of the member of `Kernels`. */
template <class T> struct Pointee;
template <class T> struct Pointee<T *> {
    typedef T type;
};
#define DECLARE_KERNEL(name) Pointee<decltype(Kernels::name)>::type cuda_##name;
extern "C" {
KERNEL_LIST(DECLARE_KERNEL)
}

/* ---- launches -------------------------------------------------------------------------------- */

typedef struct Cuda Cuda; /* context.h */
cudaStream_t cuda_stream(const Run *run);
/* Returns false if an earlier call with the context failed. Then nothing is launched. */
bool cuda_ready(const Run *run);
/* Is called after each launch. Keeps the first error for `check`. */
void cuda_launched(const Run *run, const char *kernel);

static inline dim3 as_grid(int64_t x)
{
    return dim3((unsigned)x);
}
static inline dim3 as_grid(dim3 g)
{
    return g;
}
/* LAUNCH(run, kernel, grid, block, dynamic, ...) launches a kernel. `grid` and `block` are a count or a dim3, `dynamic`
 * is the number of bytes of dynamic shared memory. If a size of the grid is 0, nothing is launched. The arguments are
 * copied and converted to the types of the kernel's parameters. A kernel with template arguments must be in
 * parentheses. */
#ifdef SAPOR_CUDA_EMU
#define LAUNCH_KERNEL(stream, kernel, grid, block, dynamic, ...)                                                       \
    emu_launch(stream, #kernel, grid, block, dynamic, kernel, __VA_ARGS__)
#define SHARED(type, name, dims)                                                                                       \
    typedef type name##_shared dims;                                                                                   \
    static char name##_site;                                                                                           \
    name##_shared &name = *(name##_shared *)emu_shared(&name##_site, #name, sizeof *(name##_shared *)0)
#define DYNAMIC_SHARED(type, name) type *name = (type *)emu_dynamic_shared()
#undef UNROLL
#define UNROLL /* unrolling would only make the emulator's code larger */
#define NO_UNROLL
#else
#define LAUNCH_KERNEL(stream, kernel, grid, block, dynamic, ...) (kernel)<<<grid, block, dynamic, stream>>>(__VA_ARGS__)
/* SHARED(float, tile, [32][33]) declares an array in the shared memory of the block. */
#define SHARED(type, name, dims)                                 __shared__ __align__(16) type name dims
/* The dynamic shared memory, aligned to 16 bytes: its size is the argument `dynamic` of LAUNCH. More than 48 KB need
 * allow_shared. */
#define DYNAMIC_SHARED(type, name)                                                                                     \
    extern __shared__ __align__(16) unsigned char dynamic_shared[];                                                    \
    type *name = (type *)dynamic_shared
#undef UNROLL
#define UNROLL    _Pragma("unroll") /* nvcc's spelling; base.h has those of gcc and clang */
#define NO_UNROLL _Pragma("unroll 1")
#endif
#define LAUNCH(run, kernel, grid, block, dynamic, ...)                                                                 \
    do {                                                                                                               \
        const dim3 grid_ = as_grid(grid);                                                                              \
        if (grid_.x > 0 && grid_.y > 0 && grid_.z > 0 && cuda_ready(run)) {                                            \
            LAUNCH_KERNEL(cuda_stream(run), kernel, grid_, dim3(block), dynamic, __VA_ARGS__);                         \
            cuda_launched(run, #kernel);                                                                               \
        }                                                                                                              \
    } while (0)
/* Must be called before the launch of a kernel with more than 48 KB of shared memory per block. */
#define allow_shared(kernel, bytes)                                                                                    \
    (void)cudaFuncSetAttribute((const void *)(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes))

/* Returns the number of blocks for a loop over n with the stride of the grid. MOST_BLOCKS fill any card several times.
 * The emulator has few blocks, so that these loops take more than one turn for the small sizes of tests. Its number of
 * blocks changes after each download: a result that depends on it has other bits when the case runs again. */
#ifdef SAPOR_CUDA_EMU
#define MOST_BLOCKS emu_most_blocks()
#else
enum { MOST_BLOCKS = 1 << 16 };
#endif
static inline int64_t blocks_for(int64_t n, int64_t per_block)
{
    return MIN(div_up(n, per_block), (int64_t)MOST_BLOCKS);
}
static __device__ inline int64_t first_index(void)
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}
static __device__ inline int64_t all_threads(void)
{
    return (int64_t)gridDim.x * blockDim.x;
}
/* The same for work that is divided among warps: the warp's number in the grid, and the number of warps. A block is a
 * multiple of 32 threads. */
static __device__ inline int64_t first_warp(void)
{
    return first_index() / WARP;
}
static __device__ inline int64_t all_warps(void)
{
    return all_threads() / WARP;
}
static __device__ inline int lane_id(void)
{
    return (int)(threadIdx.x % WARP);
}

/* ---- types of numbers ------------------------------------------------------------------------ */

/* The types F16 (Half) and BF16 (Brain), stored as bits. F16: finite numbers beyond the largest F16 become the largest
 * one (kernels.h: convert). */
typedef struct Half {
    uint16_t bits;
} Half;
typedef struct Brain {
    uint16_t bits;
} Brain;
static __device__ inline float to_f32(float x)
{
    return x;
}
static __device__ inline float to_f32(Half x)
{
    return f16_to_f32(x.bits);
}
static __device__ inline float to_f32(Brain x)
{
    return bits_f32((uint32_t)x.bits << 16);
}
static __device__ inline void from_f32(float x, float *y)
{
    *y = x;
}
static __device__ inline void from_f32(float x, Half *y)
{
    y->bits = f32_to_f16(x);
}
static __device__ inline void from_f32(float x, Brain *y)
{
    y->bits = f32_to_bf16(x);
}
/* Converts a number to another type. If the type is the same, the bits stay the same, also those of a NaN or an
 * infinity. */
template <class X, class Y> static __device__ inline void convert_number(X x, Y *y)
{
    from_f32(to_f32(x), y);
}
template <class T> static __device__ inline void convert_number(T x, T *y)
{
    *y = x;
}
/* Compiles the statement three times, with T as float, Half or Brain, and runs the one for `dtype`. */
#define WITH_TYPE(dtype, T, ...)                                                                                       \
    do {                                                                                                               \
        if ((dtype) == F16) {                                                                                          \
            typedef Half T;                                                                                            \
            __VA_ARGS__;                                                                                               \
        } else if ((dtype) == BF16) {                                                                                  \
            typedef Brain T;                                                                                           \
            __VA_ARGS__;                                                                                               \
        } else {                                                                                                       \
            typedef float T;                                                                                           \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
    } while (0)

/* c += A B by tensor cores, with the fragments that ptx.h describes. The first argument only selects the type of A and
 * B; float means that their numbers are in tf32. */
static __device__ inline void multiply(float, float c[4], const uint32_t a[4], const uint32_t b[2])
{
    mma_tf32(c, a, b);
}
static __device__ inline void multiply(Half, float c[4], const uint32_t a[4], const uint32_t b[2])
{
    mma_f16(c, a, b);
}
static __device__ inline void multiply(Brain, float c[4], const uint32_t a[4], const uint32_t b[2])
{
    mma_bf16(c, a, b);
}
static __device__ inline void multiply(int8_t, int32_t c[4], const uint32_t a[4], const uint32_t b[2])
{
    mma_s8(c, a, b);
}

/* Loads and stores of four floats. The pointer must be aligned to 16 bytes. */
static inline bool aligned16(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}
static __device__ inline float4 load4(const float *p)
{
    CHECK_ALIGNED(p, 16);
    return *(const float4 *)p;
}
/* Loads from the L2 cache or from memory, not from the L1 cache of the multiprocessor. */
static __device__ inline float4 load4_l2(const float *p)
{
    CHECK_ALIGNED(p, 16);
#ifdef SAPOR_CUDA_EMU
    return *(const float4 *)p;
#else
    return __ldcg((const float4 *)p);
#endif
}
static __device__ inline void store4(float *p, float4 x)
{
    CHECK_ALIGNED(p, 16);
    *(float4 *)p = x;
}

/* ---- sums of a warp and of a block ----------------------------------------------------------- */

/* Returns the sum over the 32 lanes in every lane. The order is a tree: lanes 16, 8, 4, 2 and 1 apart are added. All
 * lanes must call this function, and warp_max. */
template <class T> static __device__ inline T warp_sum(T x)
{
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        x += __shfl_xor_sync(FULL_MASK, x, apart);
    return x;
}
static __device__ inline float warp_max(float x)
{
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, apart));
    return x;
}
/* Returns the sum over a block of THREADS threads (a multiple of 32) in every thread. All threads must call it. Each
 * warp adds up its numbers, then the sums of the warps are added from the first to the last. Another call may follow
 * immediately. block_max is the same for the maximum. */
template <int THREADS, class T> static __device__ inline T block_sum(T x)
{
    SHARED(T, part, [THREADS / WARP]);
    x = warp_sum(x);
    if (lane_id() == 0)
        part[threadIdx.x / WARP] = x;
    __syncthreads();
    T sum = part[0];
    for (int w = 1; w < THREADS / WARP; w++)
        sum += part[w];
    __syncthreads();
    return sum;
}
template <int THREADS> static __device__ inline float block_max(float x)
{
    SHARED(float, most, [THREADS / WARP]);
    x = warp_max(x);
    if (lane_id() == 0)
        most[threadIdx.x / WARP] = x;
    __syncthreads();
    float largest = most[0];
    for (int w = 1; w < THREADS / WARP; w++)
        largest = fmaxf(largest, most[w]);
    __syncthreads();
    return largest;
}

#endif
