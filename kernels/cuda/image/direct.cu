/* kernels/cuda/image/direct.cu: sums over windows of few channels: depthwise convolutions, and groups that are too
 * small to fill a tile of a product. */
#include "kernels/cuda/image/image.h"

enum { PIXELS = 4 /* results per thread */ };

/* A block computes results of one row of an image. A thread computes PIXELS neighbouring results of one channel, so
 * that each weight is loaded once for all of them. Neighbouring threads have neighbouring channels: in a depthwise
 * convolution a warp reads 128 neighbouring bytes of a pixel. Each number of x is read about taps / stride^2 times,
 * mostly from the L1 cache. The loads bound it: there is one per multiply-add. A sum is one chain over the taps and
 * channels in their order. Terms outside the image are left out. */
static __global__ void __launch_bounds__(ROW_THREADS) direct_kernel(Windows w, unsigned items)
{
    const unsigned channels = (unsigned)(w.groups * w.columns), b = blockIdx.x / (unsigned)w.high;
    const int r = (int)(blockIdx.x % (unsigned)w.high);
    for (unsigned item = first_item(); item < items; item += all_items()) {
        const int n = (int)(item % channels), c = (int)(item / channels) * PIXELS;
        const Origin p = place_of(w, b, r, c);
        const float *x = w.x + p.from + (int64_t)(n / w.columns) * w.depth;
        float acc[PIXELS] = {0};
        for (int t = 0; t < w.taps_h; t++) {
            if (!inside(p.h + t * w.step, w.H))
                continue;
            for (int u = 0; u < w.taps_w; u++) {
                const float *from = x + ((int64_t)(t * w.step) * w.W + u * w.step) * w.C;
                const float *weight =
                    w.packed + (int64_t)(w.tap_first + t * w.tap_h + u * w.tap_w) * w.depth * w.ld + n;
                for (int d = 0; d < w.depth; d++) {
                    const float by = weight[(int64_t)d * w.ld];
                    for (int q = 0; q < PIXELS; q++)
                        if (inside(p.w + q * w.scale + u * w.step, w.W))
                            acc[q] = fmaf(from[q * w.scale * w.C + d], by, acc[q]);
                }
            }
        }
        const int64_t apart = w.y_column * channels;
        for (int q = 0; q < PIXELS; q++) {
            if (w.bias)
                acc[q] += w.bias[n];
            if (w.residual && c + q < w.wide)
                acc[q] += w.residual[p.to + q * apart + n];
        }
        act_each<PIXELS>(w.act, 0, acc);
        for (int q = 0; q < PIXELS; q++)
            if (c + q < w.wide)
                w.y[p.to + q * apart + n] = acc[q];
    }
}

void windows_direct(const Run *run, const Windows *w)
{
    const int64_t items = div_up(w->wide, PIXELS) * w->groups * w->columns;
    if (w->B * w->high > 0)
        LAUNCH(run, direct_kernel, row_grid(w->B * w->high, items), ROW_THREADS, 0, *w, items);
}
