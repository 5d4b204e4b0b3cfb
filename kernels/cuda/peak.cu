/* kernels/cuda/peak.cu: what a card does at most, for the shares of `sapor bench`: multiply-adds of numbers that stay
 * in registers, and copies. They compute nothing that is used.
 *
 * Of tensor cores it is the rate of mma.sync, which all cards have. Cards of compute capability 9 have wgmma, too,
 * which is faster. */
#include "kernels/cuda/context.h"
#include "kernels/cuda/gemm/gemm.h"

/* CHAINS sums that do not depend on each other, so that none waits for the one before. Enough blocks to fill any card
 * several times; on the emulator, what shows that the loops run. */
#ifdef SAPOR_CUDA_EMU
constexpr int BLOCKS = 2, THREADS = 32, ROUNDS = 4;
#define COPY_BYTES ((int64_t)1 << 12)
#else
constexpr int BLOCKS = 8192, THREADS = 256, ROUNDS = 1024;
#define COPY_BYTES ((int64_t)1 << 28)
#endif
constexpr int CHAINS = 8;
constexpr uint32_t ONES = 0x3c003c00; /* 1 twice of f16, small numbers of the other types */

/* Each thread has its own chains; y is written where a sum is a number that it never is, so that the loop is kept. */
static __global__ void __launch_bounds__(THREADS) fma_kernel(float a, float b, float *y)
{
    float x[CHAINS];
    UNROLL
    for (int i = 0; i < CHAINS; i++)
        x[i] = (float)(threadIdx.x + i);
    for (int r = 0; r < ROUNDS; r++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++)
            x[i] = fmaf(x[i], a, b);
    }
    float sum = 0;
    UNROLL
    for (int i = 0; i < CHAINS; i++)
        sum += x[i];
    if (sum == -1.0f)
        *y = sum;
}

/* The same with products of tiles, a warp each: CHAINS tiles of sums. */
template <Unit UNIT, class T> static __global__ void __launch_bounds__(THREADS) mma_kernel(uint32_t bits, float *y)
{
    const uint32_t a[4] = {bits, bits, bits, bits}, b[2] = {bits, bits};
    T c[CHAINS][4];
    UNROLL
    for (int i = 0; i < 4 * CHAINS; i++)
        c[i / 4][i % 4] = (T)(threadIdx.x + i); /* equal chains would be made one */
    for (int r = 0; r < ROUNDS; r++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) {
            if constexpr (UNIT == UNIT_TF32)
                mma_tf32(c[i], a, b);
            else if constexpr (UNIT == UNIT_F16)
                mma_f16(c[i], a, b);
            else if constexpr (UNIT == UNIT_BF16)
                mma_bf16(c[i], a, b);
            else
                mma_s8(c[i], a, b);
        }
    }
    T sum = 0;
    UNROLL
    for (int i = 0; i < CHAINS; i++)
        sum += c[i][0] + c[i][1] + c[i][2] + c[i][3];
    if (sum == (T)-1)
        *y = (float)sum;
}

/* A thread copies 16 bytes at a time, a warp whole lines. */
static __global__ void __launch_bounds__(256) copy_kernel(int64_t fours, int turns, const float *x, float *y)
{
    for (int t = 0; t < turns; t++)
        for (int64_t i = first_index(); i < fours; i += all_threads())
            store4(y + 4 * i, load4_l2(x + 4 * i));
}

/* Launches once. Returns operations, or bytes; 0: unknown */
static double launch(const Run *run, const char *what)
{
    float *y = (float *)run->work;
    const double tiles = 1.0 * BLOCKS * (THREADS / 32) * CHAINS * ROUNDS; /* 2 16 8 K operations each */
    if (strcmp(what, "f32") == 0) {
        LAUNCH(run, fma_kernel, BLOCKS, THREADS, 0, 0.5f, 1.0f, y);
        return 2.0 * BLOCKS * THREADS * CHAINS * ROUNDS;
    }
    if (strcmp(what, "tf32") == 0) {
        LAUNCH(run, (mma_kernel<UNIT_TF32, float>), BLOCKS, THREADS, 0, ONES, y);
        return tiles * 256 * 8;
    }
    if (strcmp(what, "f16") == 0) {
        LAUNCH(run, (mma_kernel<UNIT_F16, float>), BLOCKS, THREADS, 0, ONES, y);
        return tiles * 256 * 16;
    }
    if (strcmp(what, "bf16") == 0) {
        LAUNCH(run, (mma_kernel<UNIT_BF16, float>), BLOCKS, THREADS, 0, ONES, y);
        return tiles * 256 * 16;
    }
    if (strcmp(what, "int8") == 0) {
        LAUNCH(run, (mma_kernel<UNIT_INT8, int32_t>), BLOCKS, THREADS, 0, ONES, y);
        return tiles * 256 * 32;
    }
    const int64_t fours = (int64_t)(run->work_bytes / 32);
    if (strcmp(what, "copy") != 0 || fours == 0)
        return 0;
    const int turns = (int)MAX(COPY_BYTES / (32 * fours), (int64_t)1);
    LAUNCH(run, copy_kernel, blocks_for(fours, 256), 256, 0, fours, turns, y, y + 4 * fours);
    return 32.0 * (double)fours * turns;
}

double cuda_peak(const Run *run, const char *what, double seconds)
{
    double best = 0, spent = 0, launches = 1;
    launch(run, what); /* the clock of the card rises */
    for (double at = cuda_clock(run); cuda_ready(run) && (best == 0 || spent < seconds);) {
        double done = 0;
        for (int i = 0; i < (int)launches; i++)
            done += launch(run, what);
        if (done == 0)
            return 0;
        const double now = cuda_clock(run), took = now - at;
        at = now;
        spent += took;
        best = took > 0 ? MAX(best, done / took) : best;
        launches = took < 2e-3 && launches < 1000 ? 2 * launches : launches;
        if (took <= 0 && launches >= 1000)
            return 0;
    }
    return cuda_ready(run) ? best : 0;
}
