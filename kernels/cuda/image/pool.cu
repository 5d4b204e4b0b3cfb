/* kernels/cuda/image/pool.cu: pooling over NHWC images, and scales of channels. All kernels are memory-bound, and their
 * reads and writes are coalesced: neighbouring threads have neighbouring channels. */
#include "kernels/cuda/image/image.h"

/* ---- maxima ---------------------------------------------------------------------------------- */

typedef struct Pool2d {
    int64_t B;
    int C, H, W, k, stride, pad, high, wide; /* high, wide: of the result */
} Pool2d;

static Pool2d pool_of(int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride, int64_t pad)
{
    const int64_t high = outputs(H, k, stride, 2 * pad), wide = outputs(W, k, stride, 2 * pad);
    const Pool2d p = {B, (int)C, (int)H, (int)W, (int)k, (int)stride, (int)pad, (int)high, (int)wide};
    return p;
}

/* Computes the maxima of one row of the result per block, or of a part of a row. A thread computes one maximum at a
 * time. Numbers that several windows share are in the L1 cache. */
static __global__ void __launch_bounds__(ROW_THREADS) max_pool_kernel(Pool2d s, const float *x, float *y)
{
    const int64_t b = blockIdx.x / (unsigned)s.high;
    const int h0 = (int)(blockIdx.x % (unsigned)s.high) * s.stride - s.pad;
    y += (int64_t)blockIdx.x * s.wide * s.C;
    for (unsigned item = first_item(); item < (unsigned)(s.wide * s.C); item += all_items()) {
        const unsigned c = item % (unsigned)s.C;
        const int w0 = (int)(item / (unsigned)s.C) * s.stride - s.pad;
        float most = -INFINITY;
        for (int h = MAX(h0, 0); h < MIN(h0 + s.k, s.H); h++)
            for (int w = MAX(w0, 0); w < MIN(w0 + s.k, s.W); w++)
                most = fmaxf(most, x[((b * s.H + h) * s.W + w) * s.C + c]);
        y[item] = most;
    }
}

void cuda_max_pool(const Run *run, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride, int64_t pad,
                   const float *x, float *y)
{
    const Pool2d s = pool_of(B, H, W, C, k, stride, pad);
    LAUNCH(run, max_pool_kernel, row_grid(B * s.high, s.wide * C), ROW_THREADS, 0, s, x, y);
}

/* Reports whether x[h, w] is the first number of a window that equals its maximum `most`. The window begins at row h0,
 * column w0. xb points to the image and the channel. */
static __device__ inline bool is_first(const Pool2d &s, const float *xb, int h0, int w0, int h, int w, float most)
{
    if (xb[((int64_t)h * s.W + w) * s.C] != most)
        return false;
    for (int i = MAX(h0, 0); i <= h; i++)
        for (int j = MAX(w0, 0); j < (i < h ? MIN(w0 + s.k, s.W) : w); j++)
            if (xb[((int64_t)i * s.W + j) * s.C] == most)
                return false;
    return true;
}

/* Computes numbers of one row of dx per block. A thread computes one number at a time, so no two threads write to the
 * same number. It adds the dy of each window in which the number is the first maximum, in the order of the windows, row
 * by row. */
static __global__ void __launch_bounds__(ROW_THREADS)
    max_pool_back_kernel(Pool2d s, const float *x, const float *y, const float *dy, float *dx)
{
    const int64_t b = blockIdx.x / (unsigned)s.H;
    const int h = (int)(blockIdx.x % (unsigned)s.H);
    dx += (int64_t)blockIdx.x * s.W * s.C;
    const int p0 = MAX(h + s.pad - s.k + s.stride, 0) / s.stride, p1 = MIN((h + s.pad) / s.stride, s.high - 1);
    for (unsigned item = first_item(); item < (unsigned)(s.W * s.C); item += all_items()) {
        const unsigned c = item % (unsigned)s.C;
        const int w = (int)(item / (unsigned)s.C);
        const int q0 = MAX(w + s.pad - s.k + s.stride, 0) / s.stride, q1 = MIN((w + s.pad) / s.stride, s.wide - 1);
        float sum = 0;
        for (int p = p0; p <= p1; p++) {
            for (int q = q0; q <= q1; q++) {
                const int64_t window = ((b * s.high + p) * s.wide + q) * s.C + c;
                if (is_first(s, x + b * s.H * s.W * s.C + c, p * s.stride - s.pad, q * s.stride - s.pad, h, w,
                             y[window]))
                    sum += dy[window];
            }
        }
        dx[item] = sum;
    }
}

void cuda_max_pool_back(const Run *run, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride,
                        int64_t pad, const float *x, const float *y, const float *dy, float *dx)
{
    const Pool2d s = pool_of(B, H, W, C, k, stride, pad);
    LAUNCH(run, max_pool_back_kernel, row_grid(B * H, W * C), ROW_THREADS, 0, s, x, y, dy, dx);
}

/* sums over the pixels of an image */

/* Computes y [B, C], the sum over the pixels of an image of a, or of a b if b is not NULL, divided by `divisor`. One
 * block per image and 32 channels (image.h: columns of a matrix). The 8 lanes read 8 pixels at a time. */
static __global__ void __launch_bounds__(COLUMNS *LANES)
    places_kernel(int64_t HW, int64_t C, const float *a, const float *b, float divisor, float *y)
{
    const int64_t c = column_id(), image = (int64_t)blockIdx.x * HW * C + c;
    float sum = 0;
    for (int64_t p = threadIdx.y; p < HW && c < C; p += LANES) {
        const int64_t at = image + p * C;
        sum = b ? fmaf(a[at], b[at], sum) : sum + a[at];
    }
    sum = lanes_sum(sum);
    if (threadIdx.y == 0 && c < C)
        y[blockIdx.x * C + c] = sum / divisor;
}

void cuda_mean_pool(const Run *run, int64_t B, int64_t HW, int64_t C, const float *x, float *y)
{
    LAUNCH(run, places_kernel, column_grid(B, C), column_block(), 0, HW, C, x, (const float *)NULL, (float)HW, y);
}

void cuda_channel_dot(const Run *run, int64_t B, int64_t HW, int64_t C, const float *a, const float *b, float *y)
{
    LAUNCH(run, places_kernel, column_grid(B, C), column_block(), 0, HW, C, a, b, 1.0f, y);
}

/* numbers of a channel, spread over all pixels */

enum { PLACES = 64 /* pixels per block: a thread loads the number of its channel once for eight pixels */ };

/* Computes y[b, p, c] = s[b, c] / divisor, multiplied by x[b, p, c] if x is not NULL. One block per 32 channels of
 * PLACES pixels. */
static __global__ void __launch_bounds__(COLUMNS *LANES)
    spread_kernel(int64_t HW, int64_t C, unsigned blocks, const float *x, const float *s, float divisor, float *y)
{
    const int64_t c = column_id(), b = blockIdx.x / blocks, first = (int64_t)(blockIdx.x % blocks) * PLACES;
    if (c >= C)
        return;
    const float value = s[b * C + c] / divisor;
    for (int64_t p = first + threadIdx.y; p < MIN(first + PLACES, HW); p += LANES) {
        const int64_t at = (b * HW + p) * C + c;
        y[at] = x ? x[at] * value : value;
    }
}

static void spread(const Run *run, int64_t B, int64_t HW, int64_t C, const float *x, const float *s, float divisor,
                   float *y)
{
    const unsigned blocks = (unsigned)div_up(HW, PLACES);
    LAUNCH(run, spread_kernel, column_grid(B * blocks, C), column_block(), 0, HW, C, blocks, x, s, divisor, y);
}

void cuda_channel_scale(const Run *run, int64_t B, int64_t HW, int64_t C, const float *x, const float *s, float *y)
{
    spread(run, B, HW, C, x, s, 1.0f, y);
}

void cuda_mean_pool_back(const Run *run, int64_t B, int64_t HW, int64_t C, const float *dy, float *dx)
{
    spread(run, B, HW, C, NULL, dy, (float)HW, dx);
}
