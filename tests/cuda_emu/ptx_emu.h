/* tests/cuda_emu/ptx_emu.h: the functions of kernels/cuda/ptx.h on the emulator. */
#ifndef SAPOR_PTX_EMU_H
#define SAPOR_PTX_EMU_H

#include <cuda_runtime.h>

extern "C" {
void emu_check_aligned(const void *p, size_t bytes);
int64_t emu_most_blocks(void);
void emu_memory_show(cudaStream_t stream, void *p, size_t bytes);
void emu_memory_hide(cudaStream_t stream, void *p, size_t bytes);
typedef enum EmuMma { EMU_MMA_BF16, EMU_MMA_F16, EMU_MMA_TF32, EMU_MMA_S8 } EmuMma;
void emu_mma(EmuMma kind, void *c, const uint32_t *a, const uint32_t *b);
void emu_ldmatrix(uint32_t *r, const void *row, bool transposed);
void emu_cp_async(void *shared, const void *global, int bytes, int valid);
void emu_cp_commit(void);
void emu_cp_wait(int pending);
float emu_f16_to_f32(uint16_t bits);
uint16_t emu_f32_to_f16(float x);
}
#define CHECK_ALIGNED(p, bytes)       emu_check_aligned(p, bytes)
#define MEMORY_SHOW(stream, p, bytes) emu_memory_show(stream, p, bytes)
#define MEMORY_HIDE(stream, p, bytes) emu_memory_hide(stream, p, bytes)
#define MEMORY_GAP                    256 /* an overrun of one array does not reach the next one */

static inline float bits_f32(uint32_t bits)
{
    return __uint_as_float(bits);
}
static inline uint32_t f32_bits(float x)
{
    return __float_as_uint(x);
}
static inline float f16_to_f32(uint16_t bits)
{
    return emu_f16_to_f32(bits);
}
static inline uint16_t f32_to_f16(float x)
{
    if (fabsf(x) < INFINITY) /* infinities and NaN do not change */
        x = fminf(fmaxf(x, -65504.0f), 65504.0f);
    return emu_f32_to_f16(x);
}
static inline uint16_t f32_to_bf16(float x)
{
    uint32_t bits = f32_bits(x);
    return x != x ? 0x7fff : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
static inline uint32_t f32_to_tf32(float x)
{
    uint32_t bits = f32_bits(x);
    return x != x ? bits : (bits + 0x1000) & ~0x1fffu;
}
static inline uint32_t pack_bf16(float low, float high)
{
    return f32_to_bf16(low) | (uint32_t)f32_to_bf16(high) << 16;
}
static inline uint32_t pack_f16(float low, float high)
{
    return emu_f32_to_f16(low) | (uint32_t)emu_f32_to_f16(high) << 16;
}
static inline float exp2_fast(float x)
{
    float y = exp2f(x);
    return y < 0x1p-126f ? 0.0f : y;
}
static inline void mma_bf16(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    emu_mma(EMU_MMA_BF16, c, a, b);
}
static inline void mma_f16(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    emu_mma(EMU_MMA_F16, c, a, b);
}
static inline void mma_tf32(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    emu_mma(EMU_MMA_TF32, c, a, b);
}
static inline void mma_s8(int32_t c[4], const uint32_t a[4], const uint32_t b[2])
{
    emu_mma(EMU_MMA_S8, c, a, b);
}
static inline void ldmatrix_x4(uint32_t r[4], const void *row)
{
    emu_ldmatrix(r, row, false);
}
static inline void ldmatrix_x4_trans(uint32_t r[4], const void *row)
{
    emu_ldmatrix(r, row, true);
}
static inline void cp_async16(void *shared, const void *global, int valid)
{
    emu_cp_async(shared, global, 16, valid);
}
static inline void cp_async4(void *shared, const void *global, int valid)
{
    emu_cp_async(shared, global, 4, valid);
}
static inline void cp_async_commit(void)
{
    emu_cp_commit();
}
template <int PENDING> static inline void cp_async_wait(void)
{
    emu_cp_wait(PENDING);
}

#endif
