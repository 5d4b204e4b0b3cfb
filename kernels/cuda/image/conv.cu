/* kernels/cuda/image/conv.cu: the convolution of NHWC images: the choice of the kernel, and the packed weights.
 *
 *   1 x 1 without stride and padding   a gemm over all pixels
 *   depthwise, small groups            direct.cu
 *   all others                         product.cu
 *
 * The algorithms of Winograd are not used: they round more (docs/kernels/conv.md). */
#include <stdio.h>

#include "kernels/cuda/image/image.h"

enum {
    SMALL_GROUP = 16 /* output channels per group: with fewer, more than half of a tile of 32 columns would be empty */
};

static bool is_plain(const Conv *c)
{
    return c->groups == 1 && c->kh == 1 && c->kw == 1 && c->stride == 1 && c->top == 0 && c->left == 0 &&
           c->bottom == 0 && c->right == 0;
}

static bool is_direct(const Conv *c)
{
    return c->groups > 1 && c->O / c->groups < SMALL_GROUP;
}

static Gemm as_gemm(const Conv *c)
{
    Gemm g = {};
    g.M = c->B * c->H * c->W;
    g.N = c->O;
    g.K = c->C;
    g.A = c->x;
    g.A_type = c->x_type;
    g.a_row = c->C;
    g.a_col = 1;
    g.packed = c->packed;
    g.pack = c->pack;
    g.C = c->y;
    g.C_type = c->y_type;
    g.ldc = c->O;
    g.alpha = 1;
    g.bias = c->bias;
    g.residual = c->residual;
    g.residual_type = c->y_type;
    g.ldr = c->O;
    g.act = c->act;
    return g;
}

/* ---- weights --------------------------------------------------------------------------------- */

/* Packs the weights. One thread per packed number. Writes are coalesced. Reads are not: neighbouring threads read
 * numbers that are at least `taps` numbers apart. This costs little time. The weights of an encoder are packed once,
 * when they are loaded. In training they are packed in each step, but this reads each weight once, and the convolution
 * uses each weight for all images and pixels. */
static __global__ void __launch_bounds__(256) pack_kernel(Packing p, int64_t n, const float *weights, float *packed)
{
    const int64_t ld = p.groups * p.group_step;
    for (int64_t i = first_index(); i < n; i += all_threads()) {
        const int64_t row = i / ld, column = i % ld, group = column / p.group_step, in_group = column % p.group_step;
        packed[i] =
            in_group < p.columns
                ? weights[(group * p.columns + in_group) * p.by_column + row % p.depth * p.by_depth + row / p.depth]
                : 0.0f;
    }
}

void windows_pack(const Run *run, const Packing *p, const float *weights, float *packed)
{
    const int64_t n = packed_floats(p);
    LAUNCH(run, pack_kernel, blocks_for(n, 256), 256, 0, *p, n, weights, packed);
}

static Packing packing_of(const Conv *c)
{
    Packing p = {};
    p.taps = c->kh * c->kw;
    p.depth = c->C / c->groups;
    p.groups = c->groups;
    p.columns = c->O / c->groups;
    p.group_step = is_direct(c) ? p.columns : round_up(p.columns, 4);
    p.by_depth = p.taps;
    p.by_column = p.depth * p.taps;
    return p;
}

size_t cuda_conv_pack_bytes(const Conv *c)
{
    const Packing p = packing_of(c);
    return is_plain(c) ? cuda_gemm_pack_bytes(c->pack, c->C, c->O) : (size_t)packed_floats(&p) * sizeof(float);
}

void cuda_conv_pack(const Run *run, const Conv *c, const float *weights, void *packed)
{
    const Packing p = packing_of(c);
    if (is_plain(c))
        cuda_gemm_pack(run, c->pack, c->C, c->O, weights, 1, c->C, packed);
    else
        windows_pack(run, &p, weights, (float *)packed);
}

/* ---- the convolution ------------------------------------------------------------------------- */

size_t cuda_conv_work(const Run *run, const Conv *c)
{
    if (!is_plain(c))
        return 0;
    const Gemm g = as_gemm(c);
    return cuda_gemm_work(run, &g);
}

Way cuda_conv_way(const Run *run, const Conv *c)
{
    (void)run;
    const char *name = is_plain(c)    ? "1x1: gemm"
                       : is_direct(c) ? c->groups == c->C ? "depthwise" : "small groups"
                                      : "implicit gemm";
    Way way = {};
    snprintf(way.name, sizeof way.name, "%s", name);
    way.why = is_plain(c)    ? "all pixels are the rows of one product"
              : is_direct(c) ? "few channels of a group: a thread for four results, no tiles"
                             : "a product whose A is read from the image, tile by tile; rounds less than Winograd";
    return way;
}

static Windows windows_of(const Conv *c)
{
    const Packing p = packing_of(c);
    Windows w = {};
    w.x = (const float *)c->x;
    w.B = c->B;
    w.C = c->C;
    w.H = (int)c->H;
    w.W = (int)c->W;
    w.high = (int)conv_high(c);
    w.wide = (int)conv_wide(c);
    w.scale = (int)c->stride;
    w.first_h = -(int)c->top;
    w.first_w = -(int)c->left;
    w.step = 1;
    w.taps_h = (int)c->kh;
    w.taps_w = (int)c->kw;
    w.packed = (const float *)c->packed;
    w.groups = (int)p.groups;
    w.depth = (int)p.depth;
    w.columns = (int)p.columns;
    w.group_step = (int)p.group_step;
    w.ld = (int)(p.groups * p.group_step);
    w.tap_h = w.taps_w;
    w.tap_w = 1;
    w.y = (float *)c->y;
    w.y_image = (int64_t)w.high * w.wide;
    w.y_row = w.wide;
    w.y_column = 1;
    w.bias = c->bias;
    w.residual = (const float *)c->residual;
    w.act = c->act;
    return w;
}

void cuda_conv(const Run *run, const Conv *c)
{
    if (is_plain(c)) {
        const Gemm g = as_gemm(c);
        cuda_gemm(run, &g);
        return;
    }
    const Windows w = windows_of(c);
    if (is_direct(c))
        windows_direct(run, &w);
    else
        windows_product(run, &w);
}
