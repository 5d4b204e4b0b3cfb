/* kernels/cuda/ptx.h: instructions for which CUDA C++ has no function, and the bits of numbers. The emulator has
 * functions with the same names (tests/cuda_emu/ptx_emu.h), so the kernels contain no assembly.
 *
 * Fragments of mma (PTX ISA, "Matrix fragments for mma.m16n8k16" and the sections next to it), with g = lane / 4 and t
 * = lane % 4:
 *   A [16, 16], 16-bit numbers, row-major: a[0] = A[g][2t, 2t+1], a[1] = A[g+8][2t, 2t+1], a[2] = A[g][2t+8, 2t+9],
 *     a[3] = A[g+8][2t+8, 2t+9]
 *   B [16, 8], 16-bit numbers: b[0] = B[2t, 2t+1][g], b[1] = B[2t+8, 2t+9][g]
 *   A [16, 8], tf32: a[0] = A[g][t], a[1] = A[g+8][t], a[2] = A[g][t+4], a[3] = A[g+8][t+4]
 *   B [8, 8], tf32: b[0] = B[t][g], b[1] = B[t+4][g]
 *   A [16, 32], int8: a[0] = A[g][4t .. 4t+3], a[1] = A[g+8][4t .. 4t+3], a[2] = A[g][4t+16 .. 4t+19],
 *     a[3] = A[g+8][4t+16 .. 4t+19]
 *   B [32, 8], int8: b[0] = B[4t .. 4t+3][g], b[1] = B[4t+16 .. 4t+19][g]
 *   C [16, 8]: c[0] = C[g][2t], c[1] = C[g][2t+1], c[2] = C[g+8][2t], c[3] = C[g+8][2t+1]
 * The number with the lower index is in the lower bits. All 32 lanes of a warp must call mma_ and ldmatrix_ functions
 * together. */
#ifndef SAPOR_PTX_H
#define SAPOR_PTX_H

#ifdef SAPOR_CUDA_EMU
#include "tests/cuda_emu/ptx_emu.h"
#else
#include <stdint.h>

#define CHECK_ALIGNED(p, bytes)       ((void)0) /* only the emulator checks */
/* MEMORY_SHOW: this part of the device memory of memory.cu is in use from this point of the stream on. MEMORY_HIDE: it
 * is no longer in use. The emulator reports accesses to hidden parts. */
#define MEMORY_SHOW(stream, p, bytes) ((void)(stream))
#define MEMORY_HIDE(stream, p, bytes) ((void)(stream))
#define MEMORY_GAP                    0 /* unused bytes after each allocation of memory.cu */

static __device__ inline float bits_f32(uint32_t bits)
{
    return __uint_as_float(bits);
}
static __device__ inline uint32_t f32_bits(float x)
{
    return __float_as_uint(x);
}
static __device__ inline float f16_to_f32(uint16_t bits)
{
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}
/* Rounds to the nearest number, ties to even. Finite numbers beyond 65504 become 65504. Infinity and NaN stay. */
static __device__ inline uint16_t f32_to_f16(float x)
{
    uint16_t bits;
    if (fabsf(x) < __int_as_float(0x7f800000))
        x = fminf(fmaxf(x, -65504.0f), 65504.0f);
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}
static __device__ inline uint16_t f32_to_bf16(float x)
{
    uint16_t bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}
/* Rounds to the nearest number of tf32 (10 bits of fraction), ties away from zero. Returns the bits of a float. */
static __device__ inline uint32_t f32_to_tf32(float x)
{
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

/* Rounds two numbers to the nearest 16-bit numbers and packs them: `low` is in the lower half. */
static __device__ inline uint32_t pack_bf16(float low, float high)
{
    uint32_t bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
}
static __device__ inline uint32_t pack_f16(float low, float high)
{
    uint32_t bits;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
}
/* 2^x, within 2 units in the last place. A result below 2^-126 is 0. This is one instruction; exp2f has four. */
static __device__ inline float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* c += A B, with sums in float32. A tensor core does not round a sum to the nearest number: it keeps one or two bits
 * more than a float has and cuts off the rest (Fasi, Higham, Mikaitis & Pranesh 2021). All assembly here that needs the
 * whole warp is volatile: the compiler does not know that all lanes must execute it together, and could move it into a
 * branch that only some lanes take. */
static __device__ inline void mma_bf16(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
static __device__ inline void mma_f16(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
static __device__ inline void mma_tf32(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/* The same for int8 [16, 32] and [32, 8], with exact sums in int32. */
static __device__ inline void mma_s8(int32_t c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, "
                 "%1, %2, %3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Loads four 8 x 8 matrices of 16-bit numbers from shared memory. Lane l passes the address of row l % 8 of matrix l /
 * 8: 16 bytes, aligned. Its r[i] receives two numbers of matrix i: row lane / 4, columns 2 (lane % 4) and the next. The
 * version with _trans loads the transposed matrices. */
static __device__ inline void ldmatrix_x4(uint32_t r[4], const void *row)
{
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}
static __device__ inline void ldmatrix_x4_trans(uint32_t r[4], const void *row)
{
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/* Copies 16 bytes (both sides aligned) from global to shared memory without waiting. Only the first `valid` bytes, 0 to
 * 16, are read; the rest of the 16 bytes becomes zero. A thread may read its own copy after cp_async_wait. The other
 * threads of the block may read it after a barrier that follows that wait. */
static __device__ inline void cp_async16(void *shared, const void *global, int valid)
{
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(global), "r"(valid) : "memory");
}
/* The same for 4 bytes: `valid` is 0 or 4. */
static __device__ inline void cp_async4(void *shared, const void *global, int valid)
{
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(at), "l"(global), "r"(valid) : "memory");
}
/* cp_async_commit makes one group of the copies since the last commit. cp_async_wait waits until at most PENDING groups
 * of this thread are unfinished. */
static __device__ inline void cp_async_commit(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int PENDING> static __device__ inline void cp_async_wait(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}
#endif
#endif
