/* kernels/cuda/image/product.cu: sums over windows as a product of matrices whose left one is never made (implicit
 * GEMM; Chetlur et al. 2014, cuDNN): y [pixels, columns] = A [pixels, taps depth] weights, where row m of A has the
 * numbers under the window of pixel m. A tile of A is read from the image straight to shared memory. */
#include <limits.h>

#include "kernels/cuda/image/image.h"

enum {
    STEP = 16,       /* of the sum's length, in shared memory at once */
    A_LD = STEP + 4, /* rows of a warp's four fragments of A are in different banks */
    STAGES = 3       /* steps in shared memory: one is computed, two are on their way */
};

/* Numbers of A, VECTOR (4 or 1) next to each other at a time: of channels, so that they are in one tap. Each thread has
 * one column of the tile, and so one tap of the step, for all its rows. Zeros are the border, rows behind the last
 * pixel and the end of the sum. 16 x 4 bytes of a pixel are read next to each other. */
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

/* Rows k0 .. of the group's weights, columns n0 .. */
template <int COLS, int THREADS>
static __device__ inline void load_weights(const Windows &w, int group, int n0, int k0, float *tile)
{
    enum { ACROSS = COLS / 4 };
    const int column = (int)threadIdx.x % ACROSS * 4;
    const float *from = w.packed + (int64_t)group * w.apart + n0 + column;
    for (int row = (int)threadIdx.x / ACROSS; row < STEP; row += THREADS / ACROSS) {
        const int k = k0 + row, tap = k / w.depth, t = tap / w.taps_w;
        const int number = w.tap_first + t * w.tap_h + (tap - t * w.taps_w) * w.tap_w;
        const bool in = k < w.taps_h * w.taps_w * w.depth && n0 + column < w.apart;
        copy_async<4>(tile + row * COLS + column,
                      in ? from + ((int64_t)number * w.depth + k - tap * w.depth) * w.ld : w.packed, in);
    }
}

/* A thread has TM rows, ROWS / TM apart, and TN columns, four next to each other. A's fragment is four steps long: of
 * TM + TN float4 that are read in four steps, 4 TM TN multiply-adds are made. */
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

/* The block's sums go through shared memory, so that a warp writes 32 columns of a pixel next to each other wherever y
 * begins, and so that the activation is compiled once. */
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

/* A block computes ROWS pixels x COLS columns of one group; a thread TM x TN of them. Blocks next to each other read
 * the same weights and neighbouring pixels, which the L2 cache has then. Large tiles are bound by
 * multiply-adds: at 8 x 8 a thread makes 64 of them for four reads of 16 bytes from shared memory, which is what both
 * can do in the same time. A sum goes through taps and channels in their order, in one chain, whatever the tile is. */
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
            p.h = INT_MIN / 2; /* outside for each tap */
        place[row] = p;
    }
    float acc[TM][TN];
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j++)
            acc[i][j] = 0;
    __syncthreads();
    const int steps = (w.taps_h * w.taps_w * w.depth + STEP - 1) / STEP;
    for (int s = 0; s < steps + STAGES - 1; s++) { /* step s is asked for, step s - 2 computed */
        const int now = s - (STAGES - 1);
        if (now >= 0) {
            cp_async_wait<STAGES - 2>();
            __syncthreads(); /* all have what they copied, and have computed the step whose memory is next */
        }
        if (s < steps) {
            float *to = memory + s % STAGES * STAGE;
            load_windows<VECTOR, ROWS, THREADS>(w, place, group, s * STEP, to);
            load_weights<COLS, THREADS>(w, group, n0, s * STEP, to + A);
        }
        cp_async_commit(); /* an empty group at the end: the count of groups is that of steps */
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
    enum { MANY = 256 /* blocks: two for each multiprocessor of a large card */ };
    const int64_t pixels = w->B * w->high * w->wide;
    if (pixels == 0)
        return;
    if (w->columns > 32 && div_up(pixels, 128) * div_up(w->columns, 64) * w->groups >= MANY)
        launch<8, 8, 8, 16>(run, w, pixels); /* 128 x 64, 128 threads */
    else
        launch<8, 4, 8, 8>(run, w, pixels); /* 64 x 32, 64 threads: more blocks */
}
