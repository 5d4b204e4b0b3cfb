/* kernels/cuda/peak.cu: measures the peak rates of a card, for the percentages of `sapor bench`: multiply-adds of
 * numbers that stay in registers, and copies. The results are not used.
 *
 * The rate of tensor cores is that of mma.sync, which all cards have. Cards of compute capability 9 also have wgmma,
 * which is faster. */
#include "kernels/cuda/context.h"
#include "kernels/cuda/gemm/gemm.h"

/* Each thread (for tensor cores: each warp) has CHAINS independent sums, so that no instruction waits for the result of
 * the one before. BLOCKS blocks fill any card several times. On the emulator, the loops are only as long as a test
 * needs. */
#ifdef SAPOR_CUDA_EMU
constexpr int BLOCKS = 2, THREADS = 32, ROUNDS = 4;
#define COPY_BYTES ((int64_t)1 << 12)
#else
constexpr int BLOCKS = 8192, THREADS = 256, ROUNDS = 1024;
#define COPY_BYTES ((int64_t)1 << 28)
#endif
constexpr int CHAINS = 8;
constexpr uint32_t ONES = 0x3c003c00; /* two f16 numbers 1; in tf32 and bf16 about 2^-7, in int8 0 and 60 */

/* Runs CHAINS chains of multiply-adds per thread; arithmetic-bound. The sum is never -1, but the compiler cannot prove
 * this. The store to y therefore keeps the loop from being removed. */
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

/* Runs chains of matrix products on tensor cores: CHAINS tiles of sums per warp. Bounded by the tensor cores. */
template <Unit UNIT, class T> static __global__ void __launch_bounds__(THREADS) mma_kernel(uint32_t bits, float *y)
{
    const uint32_t a[4] = {bits, bits, bits, bits}, b[2] = {bits, bits};
    T c[CHAINS][4];
    UNROLL
    for (int i = 0; i < 4 * CHAINS; i++)
        c[i / 4][i % 4] = (T)(threadIdx.x + i); /* the compiler would compute equal chains only once */
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

/* Copies 4 * `fours` floats from x to y, and repeats this `turns` times. A thread copies 16 bytes at a time, so a warp
 * reads and writes whole lines of 128 bytes. The kernel is memory-bound. */
static __global__ void __launch_bounds__(256) copy_kernel(int64_t fours, int turns, const float *x, float *y)
{
    for (int t = 0; t < turns; t++)
        for (int64_t i = first_index(); i < fours; i += all_threads())
            store4(y + 4 * i, load4_l2(x + 4 * i));
}

/* Launches the kernel of `what` once. Returns the number of its operations, or of bytes for "copy". Returns 0 if `what`
 * is unknown or the scratch memory is too small. */
static double launch(const Run *run, const char *what)
{
    float *y = (float *)run->work;
    /* a product of tiles has 2 * 16 * 8 * k operations, with k = 8, 16 or 32 */
    const double tiles = 1.0 * BLOCKS * (THREADS / 32) * CHAINS * ROUNDS;
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
    launch(run, what); /* warms up: the clock of the card rises */
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
