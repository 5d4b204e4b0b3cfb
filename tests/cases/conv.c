/* tests/cases/conv.c: cases of kernels/cpu/image/conv.c and pool.c. */
#include <math.h>

#include "tests/kernel_cases.h"

/* ---- conv ------------------------------------------------------------------------------------ */

#define SAME_3X3 .kh = 3, .kw = 3, .stride = 1, .top_left = 11, .bottom_right = 11
/* clang-format off */
static const Case conv_cases[] = {
    {.conv = {.B = 2, .H = 9, .W = 11, .C = 3, .O = 20, .kh = 7, .kw = 7, .stride = 2, .top_left = 33,
              .bottom_right = 33, .extra = 1, .act = ACT_RELU}},
    {.conv = {.B = 1, .H = 14, .W = 14, .C = 16, .O = 40, SAME_3X3, .extra = 3, .act = ACT_RELU}},
    {.conv = {.B = 2, .H = 7, .W = 7, .C = 130, .O = 33, SAME_3X3}},
    {.conv = {.B = 1, .H = 14, .W = 14, .C = 32, .O = 48, SAME_3X3, .extra = 3, .act = ACT_RELU}},
    {.conv = {.B = 2, .H = 9, .W = 30, .C = 64, .O = 32, SAME_3X3, .extra = 1, .act = ACT_RELU}},
    {.conv = {.B = 1, .H = 5, .W = 3, .C = 256, .O = 80, .kh = 3, .kw = 3, .stride = 1, .extra = 2}},
    {.conv = {.B = 1, .H = 2, .W = 17, .C = 48, .O = 160, .kh = 3, .kw = 3, .stride = 1, .top_left = 23,
              .bottom_right = 12, .act = ACT_SWISH}},
    {.conv = {.B = 3, .H = 1, .W = 1, .C = 384, .O = 384, SAME_3X3}},
    {.conv = {.B = 2, .H = 7, .W = 5, .C = 400, .O = 32, SAME_3X3, .extra = 3, .act = ACT_RELU}},
    {.conv = {.B = 1, .H = 1, .W = 6, .C = 48, .O = 512, .kh = 3, .kw = 3, .stride = 1, .top_left = 12,
              .bottom_right = 21, .extra = 1}},
    {.conv = {.B = 1, .H = 4, .W = 4, .C = 528, .O = 32, SAME_3X3, .extra = 1}},
    {.conv = {.B = 0, .H = 14, .W = 14, .C = 64, .O = 64, SAME_3X3}},
    {.conv = {.B = 1, .H = 10, .W = 9, .C = 512, .O = 35, .kh = 3, .kw = 3, .stride = 2, .top_left = 11,
              .bottom_right = 11, .extra = 1, .act = ACT_RELU6}},
    {.conv = {.B = 1, .H = 6, .W = 5, .C = 600, .O = 17, .kh = 1, .kw = 1, .stride = 1, .extra = 3, .act = ACT_SWISH}},
    {.conv = {.B = 2, .H = 9, .W = 7, .C = 256, .O = 64, .kh = 1, .kw = 1, .stride = 2, .extra = 2}},
    {.conv = {.B = 1, .H = 8, .W = 8, .C = 24, .O = 100, .kh = 1, .kw = 1, .stride = 2, .extra = 1, .act = ACT_RELU}},
    {.conv = {.B = 1, .H = 8, .W = 8, .C = 5, .O = 7, .kh = 1, .kw = 1, .stride = 1, .top_left = 12,
              .bottom_right = 1}},
    {.conv = {.B = 1, .H = 13, .W = 6, .C = 8, .O = 350, .kh = 2, .kw = 3, .stride = 3, .top_left = 1,
              .bottom_right = 10, .act = ACT_GELU}},
    {.conv = {.B = 1, .H = 60, .W = 90, .C = 64, .O = 10, .kh = 5, .kw = 1, .stride = 1, .top_left = 20,
              .bottom_right = 20}},
    {.conv = {.B = 1, .H = 32, .W = 32, .C = 3, .O = 48, .kh = 16, .kw = 16, .stride = 16, .extra = 1}},
    {.conv = {.B = 2, .H = 12, .W = 13, .C = 0, .O = 32, SAME_3X3, .extra = 1, .act = ACT_RELU6}},
    {.conv = {.B = 1, .H = 11, .W = 12, .C = 0, .O = 37, .kh = 5, .kw = 5, .stride = 2, .top_left = 11,
              .bottom_right = 22, .extra = 1, .act = ACT_RELU}},
    {.conv = {.B = 1, .H = 3, .W = 2, .C = 0, .O = 9, .kh = 5, .kw = 5, .stride = 1, .top_left = 22, .bottom_right = 22,
              .extra = 2}},
    {.conv = {.B = 1, .H = 4, .W = 4, .C = 0, .O = 6, .kh = 3, .kw = 3, .stride = 1, .top_left = 3, .bottom_right = 43,
              .extra = 3}},
    {.conv = {.B = 0, .H = 4, .W = 4, .C = 6, .O = 6, SAME_3X3}},
    {.conv = {.B = 2, .H = 9, .W = 7, .C = 128, .O = 128, SAME_3X3, .groups = 32, .extra = 1, .act = ACT_RELU}},
    {.conv = {.B = 1, .H = 5, .W = 6, .C = 12, .O = 18, .kh = 3, .kw = 3, .stride = 2, .top_left = 11,
              .bottom_right = 11, .groups = 3, .extra = 3, .act = ACT_RELU}},
    {.conv = {.B = 1, .H = 6, .W = 5, .C = 256, .O = 320, .kh = 2, .kw = 3, .stride = 1, .top_left = 10,
              .bottom_right = 2, .groups = 4, .extra = 2}},
    {.conv = {.B = 1, .H = 4, .W = 4, .C = 14, .O = 7, .kh = 1, .kw = 1, .stride = 1, .groups = 7, .extra = 1}},
    {.conv = {.B = 1, .H = 5, .W = 4, .C = 60, .O = 120, .kh = 1, .kw = 1, .stride = 2, .groups = 30}},
    {.conv = {.B = 1, .H = 3, .W = 3, .C = 8, .O = 16, SAME_3X3, .groups = 8}},
    {.conv = {.B = 0, .H = 4, .W = 4, .C = 6, .O = 6, SAME_3X3, .groups = 2}},
    {.conv = {.B = 1, .H = 5, .W = 6, .C = 6, .O = 34, SAME_3X3, .groups = 2, .extra = 1}},
    {.conv = {.B = 1, .H = 5, .W = 4, .C = 8, .O = 13, SAME_3X3, .extra = 2}},
    {.conv = {.B = 3, .H = 73, .W = 50, .C = 4, .O = 132, .kh = 1, .kw = 2, .stride = 1, .top_left = 1, .extra = 1}},
    {.conv = {.B = 1, .H = 2, .W = 2, .C = 4, .O = 4, .kh = 5, .kw = 5, .stride = 1}},
    {.conv = {.B = 1, .H = 224, .W = 224, .C = 3, .O = 64, .kh = 7, .kw = 7, .stride = 2, .top_left = 33,
              .bottom_right = 33, .extra = 1, .act = ACT_RELU}, .timed = true},
    {.conv = {.B = 1, .H = 56, .W = 56, .C = 64, .O = 64, SAME_3X3, .extra = 1, .act = ACT_RELU}, .timed = true},
    {.conv = {.B = 1, .H = 28, .W = 28, .C = 128, .O = 128, SAME_3X3, .extra = 1, .act = ACT_RELU}, .timed = true},
    {.conv = {.B = 1, .H = 14, .W = 14, .C = 256, .O = 256, SAME_3X3, .extra = 1, .act = ACT_RELU}, .timed = true},
    {.conv = {.B = 1, .H = 7, .W = 7, .C = 512, .O = 512, SAME_3X3, .extra = 1, .act = ACT_RELU}, .timed = true},
    {.conv = {.B = 1, .H = 56, .W = 56, .C = 64, .O = 256, .kh = 1, .kw = 1, .stride = 1, .extra = 3, .act = ACT_RELU},
              .timed = true},
    {.conv = {.B = 1, .H = 14, .W = 14, .C = 1024, .O = 256, .kh = 1, .kw = 1, .stride = 1, .extra = 1,
              .act = ACT_RELU}, .timed = true},
    {.conv = {.B = 1, .H = 56, .W = 56, .C = 256, .O = 512, .kh = 1, .kw = 1, .stride = 2, .extra = 1}, .timed = true},
    {.conv = {.B = 1, .H = 56, .W = 56, .C = 128, .O = 128, SAME_3X3, .groups = 32, .extra = 1, .act = ACT_RELU},
              .timed = true},
    {.conv = {.B = 1, .H = 112, .W = 112, .C = 0, .O = 32, SAME_3X3, .extra = 1, .act = ACT_RELU6}, .timed = true},
    {.conv = {.B = 1, .H = 14, .W = 14, .C = 0, .O = 672, .kh = 5, .kw = 5, .stride = 1, .top_left = 22,
              .bottom_right = 22, .extra = 1, .act = ACT_RELU6}, .timed = true},
};
/* clang-format on */
enum { CONV_X, CONV_WEIGHTS, CONV_Y, CONV_BIAS, CONV_RESIDUAL, CONV_PACKED };

static Conv conv_of(const Job *j, const Case *s)
{
    Conv c = {.B = s->conv.B,
              .H = s->conv.H,
              .W = s->conv.W,
              .C = s->conv.C ? s->conv.C : s->conv.O,
              .O = s->conv.O,
              .kh = s->conv.kh,
              .kw = s->conv.kw,
              .stride = s->conv.stride,
              .groups = s->conv.groups ? s->conv.groups
                        : s->conv.C    ? 1
                                       : s->conv.O,
              .top = s->conv.top_left / 10,
              .left = s->conv.top_left % 10,
              .bottom = s->conv.bottom_right / 10,
              .right = s->conv.bottom_right % 10,
              .act = (Act)s->conv.act,
              .winograd = s->conv.extra & 4 ? 6 : 0};
    if (j->n > CONV_PACKED) {
        c.x = f32_of(j, CONV_X);
        c.packed = device_of(j, CONV_PACKED);
        c.y = f32_of(j, CONV_Y);
        c.bias = s->conv.extra & 1 ? f32_of(j, CONV_BIAS) : NULL;
        c.residual = s->conv.extra & 2 ? f32_of(j, CONV_RESIDUAL) : NULL;
    }
    return c;
}
static int64_t out_high(const Conv *c)
{
    return MAX(conv_out(c->H, c->kh, c->stride, c->top + c->bottom), 0);
}
static int64_t out_wide(const Conv *c)
{
    return MAX(conv_out(c->W, c->kw, c->stride, c->left + c->right), 0);
}
static void conv_make(Job *j, const Case *s)
{
    const Conv shape = conv_of(j, s);
    const int64_t outputs = shape.B * out_high(&shape) * out_wide(&shape) * shape.O,
                  taps = shape.C / shape.groups * shape.kh * shape.kw;
    case_f32(j, "x", ROLE_IN, shape.B * shape.H * shape.W * shape.C);
    float *weights = case_f32(j, "weights", ROLE_IN, shape.O * taps);
    for (int64_t i = 0; j->ok && i < shape.O * taps;
         i++) { /* results of order 1: the tolerance then has the same meaning for all sizes */
        weights[i] /= sqrtf((float)taps);
    }
    if (j->ok) {
        case_set(j, CONV_WEIGHTS);
    }
    case_f32(j, "y", ROLE_OUT, outputs);
    case_f32(j, "bias", ROLE_IN, shape.O);
    case_f32(j, "residual", ROLE_IN, outputs);
    case_bytes(j, "packed", ROLE_IN, j->k->conv_pack_bytes(&shape));
    const Conv c = conv_of(j, s);
    case_work(j, j->k->conv_work(&j->run, &c));
    if (j->ok) {
        case_send(j, CONV_WEIGHTS);
        j->k->conv_pack(&j->run, &shape, f32_of(j, CONV_WEIGHTS), device_of(j, CONV_PACKED));
        case_fetch(j, CONV_PACKED);
    }
    j->flops = 2.0 * (double)outputs * (double)taps;
    j->bytes = 4.0 * (double)(shape.B * shape.H * shape.W * shape.C + outputs + shape.O * taps);
}
static void conv_call(Job *j, const Case *s)
{
    const Conv c = conv_of(j, s);
    j->k->conv(&j->run, &c);
}
static void conv_reference(Job *j, const Case *s)
{
    const Conv c = conv_of(j, s);
    const int64_t oh = out_high(&c), ow = out_wide(&c), group = c.C / c.groups;
    const double *x = exact_of(j, CONV_X), *weights = exact_of(j, CONV_WEIGHTS);
    for (int64_t at = 0; at < c.B * oh * ow * c.O; at++) {
        const int64_t o = at % c.O, q = at / c.O % ow, p = at / c.O / ow % oh, b = at / c.O / ow / oh;
        double sum = (c.bias ? exact_of(j, CONV_BIAS)[o] : 0) + (c.residual ? exact_of(j, CONV_RESIDUAL)[at] : 0);
        for (int64_t i = 0; i < c.kh; i++) {
            for (int64_t l = 0; l < c.kw; l++) {
                const int64_t h = p * c.stride + i - c.top, w = q * c.stride + l - c.left;
                for (int64_t ch = 0; ch < group && h >= 0 && h < c.H && w >= 0 && w < c.W; ch++)
                    sum += x[((b * c.H + h) * c.W + w) * c.C + o / (c.O / c.groups) * group + ch] *
                           weights[((o * group + ch) * c.kh + i) * c.kw + l];
            }
        }
        exact_of(j, CONV_Y)[at] = case_act(c.act, 0, sum);
    }
}
const Family family_conv = {.kernel = "conv",
                            .names = "B H W C O kh kw stride top/left bottom/right groups extra act",
                            .cases = conv_cases,
                            .count = COUNT(conv_cases),
                            .make = conv_make,
                            .call = conv_call,
                            .reference = conv_reference,
                            .tolerance = 1.5e-5};

/* Winograd's F(6,3), which has larger rounding errors. Cases: images smaller than a square, parts of squares, and more
 * channels than one pass takes. */
/* clang-format off */
static const Case conv_wide_cases[] = {
    {.conv = {.B = 1, .H = 14, .W = 14, .C = 32, .O = 48, SAME_3X3, .extra = 7, .act = ACT_RELU}},
    {.conv = {.B = 2, .H = 9, .W = 30, .C = 64, .O = 32, SAME_3X3, .extra = 5, .act = ACT_RELU}},
    {.conv = {.B = 1, .H = 5, .W = 3, .C = 128, .O = 80, .kh = 3, .kw = 3, .stride = 1, .extra = 6}},
    {.conv = {.B = 1, .H = 2, .W = 17, .C = 48, .O = 128, .kh = 3, .kw = 3, .stride = 1, .top_left = 23,
              .bottom_right = 12, .extra = 4, .act = ACT_SWISH}},
    {.conv = {.B = 3, .H = 1, .W = 1, .C = 128, .O = 128, SAME_3X3, .extra = 4}},
    {.conv = {.B = 0, .H = 14, .W = 14, .C = 64, .O = 64, SAME_3X3, .extra = 4}},
    {.conv = {.B = 1, .H = 6, .W = 12, .C = 256, .O = 64, SAME_3X3, .extra = 4}},
    {.conv = {.B = 1, .H = 8, .W = 7, .C = 24, .O = 40, SAME_3X3, .extra = 5}},
    {.conv = {.B = 1, .H = 24, .W = 18, .C = 96, .O = 112, SAME_3X3, .extra = 7, .act = ACT_GELU}},
    {.conv = {.B = 1, .H = 56, .W = 56, .C = 64, .O = 64, SAME_3X3, .extra = 5, .act = ACT_RELU}, .timed = true},
};
/* clang-format on */
const Family family_conv_wide = {.kernel = "conv_wide",
                                 .names = "B H W C O kh kw stride top/left bottom/right groups extra act",
                                 .cases = conv_wide_cases,
                                 .count = COUNT(conv_wide_cases),
                                 .make = conv_make,
                                 .call = conv_call,
                                 .reference = conv_reference,
                                 .tolerance = 6e-5};

/* ---- max_pool, mean_pool --------------------------------------------------------------------- */

static const Case max_pool_cases[] = {
    {.max_pool = {.B = 0, .H = 4, .W = 4, .C = 3, .k = 2, .stride = 2}},
    {.max_pool = {.B = 2, .H = 13, .W = 11, .C = 19, .k = 3, .stride = 2, .pad = 1}},
    {.max_pool = {.B = 1, .H = 7, .W = 7, .C = 64, .k = 2, .stride = 2}},
    {.max_pool = {.B = 1, .H = 20, .W = 10, .C = 5, .k = 5, .stride = 1, .pad = 2}},
    {.max_pool = {.B = 1, .H = 112, .W = 112, .C = 64, .k = 3, .stride = 2, .pad = 1}, .timed = true},
};
enum { POOL_X, POOL_Y };
static void max_pool_make(Job *j, const Case *s)
{
    const int64_t oh = conv_out(s->max_pool.H, s->max_pool.k, s->max_pool.stride, 2 * s->max_pool.pad),
                  ow = conv_out(s->max_pool.W, s->max_pool.k, s->max_pool.stride, 2 * s->max_pool.pad);
    case_f32(j, "x", ROLE_IN, s->max_pool.B * s->max_pool.H * s->max_pool.W * s->max_pool.C);
    case_f32(j, "y", ROLE_OUT, s->max_pool.B * oh * ow * s->max_pool.C);
    j->flops = (double)(s->max_pool.B * oh * ow * s->max_pool.C * s->max_pool.k * s->max_pool.k);
    j->bytes = 4.0 * (double)(s->max_pool.B * (s->max_pool.H * s->max_pool.W + oh * ow) * s->max_pool.C);
}
static void max_pool_call(Job *j, const Case *s)
{
    j->k->max_pool(&j->run, s->max_pool.B, s->max_pool.H, s->max_pool.W, s->max_pool.C, s->max_pool.k,
                   s->max_pool.stride, s->max_pool.pad, f32_of(j, POOL_X), f32_of(j, POOL_Y));
}
static void max_pool_reference(Job *j, const Case *s)
{
    const int64_t H = s->max_pool.H, W = s->max_pool.W, C = s->max_pool.C, step = s->max_pool.stride,
                  pad = s->max_pool.pad;
    const int64_t oh = conv_out(H, s->max_pool.k, step, 2 * pad), ow = conv_out(W, s->max_pool.k, step, 2 * pad);
    for (int64_t at = 0; at < s->max_pool.B * oh * ow * C; at++) {
        const int64_t c = at % C, q = at / C % ow, p = at / C / ow % oh, b = at / C / ow / oh;
        double most = -INFINITY;
        for (int64_t h = MAX(p * step - pad, 0); h < MIN(p * step - pad + s->max_pool.k, H); h++) {
            for (int64_t w = MAX(q * step - pad, 0); w < MIN(q * step - pad + s->max_pool.k, W); w++)
                most = fmax(most, exact_of(j, POOL_X)[((b * H + h) * W + w) * C + c]);
        }
        exact_of(j, POOL_Y)[at] = most;
    }
}
const Family family_max_pool = {.kernel = "max_pool",
                                .names = "B H W C k stride pad",
                                .cases = max_pool_cases,
                                .count = COUNT(max_pool_cases),
                                .make = max_pool_make,
                                .call = max_pool_call,
                                .reference = max_pool_reference};

static const Case mean_pool_cases[] = {CASE(0, 4, 3), CASE(2, 1, 19), CASE(3, 49, 64), CASE(1, 200, 5),
                                       TIMED(1, 49, 2048)};
static void mean_pool_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1] * s->n[2]);
    case_f32(j, "y", ROLE_OUT, s->n[0] * s->n[2]);
    j->flops = (double)(s->n[0] * s->n[1] * s->n[2]);
    j->bytes = 4.0 * (double)(s->n[0] * (s->n[1] + 1) * s->n[2]);
}
static void mean_pool_call(Job *j, const Case *s)
{
    j->k->mean_pool(&j->run, s->n[0], s->n[1], s->n[2], f32_of(j, POOL_X), f32_of(j, POOL_Y));
}
static void mean_pool_reference(Job *j, const Case *s)
{
    for (int64_t at = 0; at < s->n[0] * s->n[2]; at++) {
        double sum = 0;
        for (int64_t i = 0; i < s->n[1]; i++)
            sum += exact_of(j, POOL_X)[(at / s->n[2] * s->n[1] + i) * s->n[2] + at % s->n[2]];
        exact_of(j, POOL_Y)[at] = sum / (double)s->n[1];
    }
}
const Family family_mean_pool = {.kernel = "mean_pool",
                                 .names = "B HW C",
                                 .cases = mean_pool_cases,
                                 .count = COUNT(mean_pool_cases),
                                 .make = mean_pool_make,
                                 .call = mean_pool_call,
                                 .reference = mean_pool_reference};

/* ---- channel_scale --------------------------------------------------------------------------- */

static const Case channel_scale_cases[] = {CASE(0, 4, 3),   CASE(2, 1, 19), CASE(3, 49, 64),
                                           CASE(1, 200, 5), CASE(2, 65, 1), TIMED(1, 3136, 144)};
enum { SCALE_X, SCALE_S, SCALE_Y };
static void channel_scale_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1] * s->n[2]);
    case_f32(j, "s", ROLE_IN, s->n[0] * s->n[2]);
    case_f32(j, "y", ROLE_OUT, s->n[0] * s->n[1] * s->n[2]);
    j->flops = (double)(s->n[0] * s->n[1] * s->n[2]);
    j->bytes = 8.0 * (double)(s->n[0] * s->n[1] * s->n[2]);
}
static void channel_scale_call(Job *j, const Case *s)
{
    j->k->channel_scale(&j->run, s->n[0], s->n[1], s->n[2], f32_of(j, SCALE_X), f32_of(j, SCALE_S), f32_of(j, SCALE_Y));
}
static void channel_scale_reference(Job *j, const Case *s)
{
    for (int64_t at = 0; at < s->n[0] * s->n[1] * s->n[2]; at++)
        exact_of(j, SCALE_Y)[at] =
            exact_of(j, SCALE_X)[at] * exact_of(j, SCALE_S)[at / s->n[2] / s->n[1] * s->n[2] + at % s->n[2]];
}
const Family family_channel_scale = {.kernel = "channel_scale",
                                     .names = "B HW C",
                                     .cases = channel_scale_cases,
                                     .count = COUNT(channel_scale_cases),
                                     .make = channel_scale_make,
                                     .call = channel_scale_call,
                                     .reference = channel_scale_reference,
                                     .in_place = {{SCALE_Y, SCALE_X}},
                                     .in_place_count = 1};
