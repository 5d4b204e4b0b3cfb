/* kernels/cuda/gemm/wgmma.h: the instructions of sm_90a by which four warps multiply [64, 16] by [16, 128] numbers in
 * shared memory (PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate"). Only code for sm_90a has them: a
 * kernel must use them inside `#ifdef __CUDA_ARCH_FEAT_SM90_ALL`. The emulator has none of them. */
#ifndef SAPOR_WGMMA_H
#define SAPOR_WGMMA_H

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include <stdint.h>

/* Returns the descriptor of an operand. In both operands K is the contiguous dimension, in lines of 128 bytes. 8 lines
 * are a block of 1024 bytes, aligned to 1024. In line r, group c of 16 bytes is at place c ^ (r % 8): this is the
 * swizzle of 128 bytes, mode 1 in bits 62 and 63. Blocks are 1024 bytes apart (bits 32 to 45, in units of 16 bytes).
 * The leading dimension offset (bits 16 to 29) is not used in this mode. The next 16 numbers of K are 32 bytes further.
 */
static __device__ inline uint64_t wgmma_descriptor(uint32_t shared_address)
{
    return (uint64_t)((shared_address & 0x3ffff) >> 4) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}
/* Makes this thread's writes to shared memory visible to wgmma, after a barrier. */
static __device__ inline void wgmma_publish(void)
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
/* Must be called before the first wgmma, and again if the registers of the sums were accessed since the last wgmma. */
static __device__ inline void wgmma_fence(void)
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
static __device__ inline void wgmma_commit(void)
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int PENDING> static __device__ inline void wgmma_wait(void)
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

/* c += A B, with A [64, 16] and B [16, 128]. Warp w of the four has rows 16 w to 16 w + 15. c[4 j .. 4 j + 3] are in
 * columns 8 j to 8 j + 7. In each group of 8 columns, a lane has the four elements that ptx.h lists for C of mma. */
#define WGMMA_4(c, i)  "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define WGMMA_16(c, i) WGMMA_4(c, i), WGMMA_4(c, i + 4), WGMMA_4(c, i + 8), WGMMA_4(c, i + 12)
#define WGMMA(type)                                                                                                    \
    "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " "                                                   \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, "  \
    "%24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, "   \
    "%46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, 1, 1, 1, "   \
    "0, 0;"
static __device__ inline void wgmma_f16(float (&c)[64], uint64_t a, uint64_t b)
{
    asm volatile(WGMMA("f16") : WGMMA_16(c, 0), WGMMA_16(c, 16), WGMMA_16(c, 32), WGMMA_16(c, 48) : "l"(a), "l"(b));
}
static __device__ inline void wgmma_bf16(float (&c)[64], uint64_t a, uint64_t b)
{
    asm volatile(WGMMA("bf16") : WGMMA_16(c, 0), WGMMA_16(c, 16), WGMMA_16(c, 32), WGMMA_16(c, 48) : "l"(a), "l"(b));
}
#undef WGMMA
#undef WGMMA_4
#undef WGMMA_16
#endif
#endif
