/* kernels/cuda/image/product.cu: sums over windows as a product of matrices whose left operand is never stored
 * (implicit GEMM; Chetlur et al. 2014, cuDNN):
 *
 *   y [pixels, columns] = A [pixels, taps depth] weights [taps depth, columns]
 *
 * Row m of A has the numbers under the window of pixel m. A tile of A is copied from the image directly to shared
 * memory. */
#include <limits.h>

#include "kernels/cuda/image/image.h"

enum {
    STEP = 16,       /* elements of the sum that are in shared memory per stage */
    A_LD = STEP + 4, /* padded: the rows of a warp's four fragments of A are in different banks */
    STAGES = 3       /* stages in shared memory: one is computed while two are loaded */
};

/* Copies a tile of A, VECTOR (4 or 1) neighbouring channels at a time, which belong to one tap. Each thread has the
 * same column of the tile in all its rows, so it computes the tap only once. The border, rows after the last pixel and
 * columns after the end of the sum are zeros. Neighbouring threads read 64 neighbouring bytes of a pixel. */
template <int VECTOR, int ROWS, int THREADS>
static __device__ inline void load_windows(const Windows &w, const Origin *place, int group, int k0, float *tile)
{
    enum { ACROSS = STEP / VECTOR };
    const int column = (int)threadIdx.x % ACROSS * VECTOR, k = k0 + column, tap = k / w.depth, d = k - tap * w.depth;
    const int t = tap / w.taps_w, dh = t * w.step, dw = (tap - t * w.taps_w) * w.step;
    const float *x = w.x + ((int64_t)dh * w.W + dw) * w.C + (int64_t)group * w.depth + d;
    const bool any = k < w.taps_h * w.taps_w * w.depth;
    for (int row = (int)threadIdx.x / ACROSS; row < ROWS; row += THREADS / ACROSS) {
        const Origin p = place[row];
        const bool in = any && inside(p.h + dh, w.H) && inside(p.w + dw, w.W);
        copy_async<VECTOR>(tile + row * A_LD + column, in ? x + p.from : w.x, in);
    }
}

/* Copies rows k0 .. of the group's weights, columns n0 .., to shared memory. */
template <int COLS, int THREADS>
static __device__ inline void load_weights(const Windows &w, int group, int n0, int k0, float *tile)
{
    enum { ACROSS = COLS / 4 };
    const int column = (int)threadIdx.x % ACROSS * 4;
    const float *from = w.packed + (int64_t)group * w.group_step + n0 + column;
    for (int row = (int)threadIdx.x / ACROSS; row < STEP; row += THREADS / ACROSS) {
        const int k = k0 + row, tap = k / w.depth, t = tap / w.taps_w;
        const int number = w.tap_first + t * w.tap_h + (tap - t * w.taps_w) * w.tap_w;
        const bool in = k < w.taps_h * w.taps_w * w.depth && n0 + column < w.group_step;
        copy_async<4>(tile + row * COLS + column,
                      in ? from + ((int64_t)number * w.depth + k - tap * w.depth) * w.ld : w.packed, in);
    }
}

/* Multiplies one stage. A thread has TM rows, which are DOWN apart, and TN columns in groups of four neighbours. It
 * reads four neighbouring numbers of a row of A per access. So in four steps a thread reads TM + TN float4 from shared
 * memory and makes 4 TM TN multiply-adds. */
template <int TM, int TN, int ACROSS, int DOWN>
static __device__ inline void multiply(const float *a, const float *b, float acc[TM][TN])
{
    enum { COLS = ACROSS * TN };
    a += (int)threadIdx.x / ACROSS * A_LD;
    b += (int)threadIdx.x % ACROSS * 4;
    for (int k = 0; k < STEP; k += 4) {
        float left[TM][4];
        for (int i = 0; i < TM; i++) {
            const float4 v = load4(a + i * DOWN * A_LD + k);
            left[i][0] = v.x, left[i][1] = v.y, left[i][2] = v.z, left[i][3] = v.w;
        }
        for (int e = 0; e < 4; e++) {
            for (int j = 0; j < TN; j += 4) {
                const float4 v = load4(b + (k + e) * COLS + j * ACROSS);
                for (int i = 0; i < TM; i++) {
                    acc[i][j] = fmaf(left[i][e], v.x, acc[i][j]);
                    acc[i][j + 1] = fmaf(left[i][e], v.y, acc[i][j + 1]);
                    acc[i][j + 2] = fmaf(left[i][e], v.z, acc[i][j + 2]);
                    acc[i][j + 3] = fmaf(left[i][e], v.w, acc[i][j + 3]);
                }
            }
        }
    }
}

/* Adds bias and residual, applies the activation and writes the block's results. The sums are first copied to shared
 * memory, for two reasons:
 * - Each thread then writes single floats, and a warp writes up to 32 neighbouring channels of a pixel. So the writes
 *   are coalesced, and y need not be aligned to 16 bytes.
 * - The code of the activation exists only once, in a loop. */
template <int TM, int TN, int ACROSS, int DOWN>
static __device__ inline void finish(const Windows &w, const Origin *place, int rows, int group, int n0,
                                     const float acc[TM][TN], float *tile)
{
    enum { COLS = ACROSS * TN, ROWS = DOWN * TM };
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j += 4)
            store4(tile + ((int)threadIdx.x / ACROSS + i * DOWN) * COLS + (int)threadIdx.x % ACROSS * 4 + j * ACROSS,
                   make_float4(acc[i][j], acc[i][j + 1], acc[i][j + 2], acc[i][j + 3]));
    __syncthreads();
    for (int e = (int)threadIdx.x; e < rows * COLS; e += ACROSS * DOWN) {
        const int n = n0 + e % COLS;
        if (n >= w.columns)
            continue;
        const int channel = group * w.columns + n;
        const int64_t at = place[e / COLS].to + channel;
        float sum = tile[e];
        if (w.bias)
            sum += w.bias[channel];
        if (w.residual)
            sum += w.residual[at];
        w.y[at] = act_of(w.act, 0, sum);
    }
}

/* A block computes ROWS pixels x COLS columns of one group; a thread computes TM x TN of them. Neighbouring blocks read
 * the same weights and neighbouring pixels, which are then in the L2 cache. Large tiles are bound by the multiply-adds:
 * at 8 x 8 a thread makes 64 of them per four reads of 16 bytes from shared memory, and a multiprocessor does both in
 * the same time. A sum is one chain over the taps and channels in their order, whatever the tile is. */
template <int VECTOR, int TM, int TN, int ACROSS, int DOWN>
static __global__ void __launch_bounds__(ACROSS *DOWN) product_kernel(Windows w, int64_t pixels, unsigned row_tiles)
{
    const int ROWS = DOWN * TM, COLS = ACROSS * TN, THREADS = ACROSS * DOWN, A = ROWS * A_LD, STAGE = A + STEP * COLS;
    static_assert(STAGES * STAGE >= ROWS * COLS, "the sums have the memory of the stages");
    SHARED(float, memory, [STAGES * STAGE]);
    SHARED(Origin, place, [ROWS]);
    const int group = (int)(blockIdx.x / row_tiles), n0 = (int)blockIdx.y * COLS;
    const int64_t m0 = (int64_t)(blockIdx.x % row_tiles) * ROWS, image = (int64_t)w.high * w.wide;
    for (int row = (int)threadIdx.x; row < ROWS; row += THREADS) {
        const int64_t m = MIN(m0 + row, pixels - 1), b = m / image, at = m % image;
        Origin p = place_of(w, b, (int)(at / w.wide), (int)(at % w.wide));
        if (m0 + row >= pixels)
            p.h = INT_MIN / 2; /* outside the source for each tap */
        place[row] = p;
    }
    float acc[TM][TN];
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j++)
            acc[i][j] = 0;
    __syncthreads();
    const int steps = (w.taps_h * w.taps_w * w.depth + STEP - 1) / STEP;
    for (int s = 0; s < steps + STAGES - 1; s++) { /* starts the copies of step s and computes step s - 2 */
        const int now = s - (STAGES - 1);
        if (now >= 0) {
            cp_async_wait<STAGES - 2>();
            /* After this barrier the copies of all threads have arrived, and no thread still reads the stage that is
             * overwritten next. */
            __syncthreads();
        }
        if (s < steps) {
            float *to = memory + s % STAGES * STAGE;
            load_windows<VECTOR, ROWS, THREADS>(w, place, group, s * STEP, to);
            load_weights<COLS, THREADS>(w, group, n0, s * STEP, to + A);
        }
        /* At the end the groups are empty: cp_async_wait counts groups, so there must be one per step. */
        cp_async_commit();
        if (now >= 0) {
            const float *from = memory + now % STAGES * STAGE;
            multiply<TM, TN, ACROSS, DOWN>(from, from + A, acc);
        }
    }
    __syncthreads();
    finish<TM, TN, ACROSS, DOWN>(w, place, (int)MIN(pixels - m0, (int64_t)ROWS), group, n0, acc, memory);
}

template <int TM, int TN, int ACROSS, int DOWN> static void launch(const Run *run, const Windows *w, int64_t pixels)
{
    const unsigned row_tiles = (unsigned)div_up(pixels, DOWN * TM);
    const dim3 grid(row_tiles * (unsigned)w->groups, (unsigned)div_up(w->columns, ACROSS * TN));
    if (w->depth % 4 == 0 && w->C % 4 == 0 && aligned16(w->x))
        LAUNCH(run, (product_kernel<4, TM, TN, ACROSS, DOWN>), grid, ACROSS * DOWN, 0, *w, pixels, row_tiles);
    else
        LAUNCH(run, (product_kernel<1, TM, TN, ACROSS, DOWN>), grid, ACROSS * DOWN, 0, *w, pixels, row_tiles);
}

void windows_product(const Run *run, const Windows *w)
{
    enum { ENOUGH_BLOCKS = 256 /* blocks: two for each multiprocessor of a large card */ };
    const int64_t pixels = w->B * w->high * w->wide;
    if (pixels == 0)
        return;
    if (w->columns > 32 && div_up(pixels, 128) * div_up(w->columns, 64) * w->groups >= ENOUGH_BLOCKS)
        launch<8, 8, 8, 16>(run, w, pixels); /* 128 x 64, 128 threads */
    else
        launch<8, 4, 8, 8>(run, w, pixels); /* 64 x 32, 64 threads: more blocks */
}
