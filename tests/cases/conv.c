/* tests/cases/conv.c: Cases of kernels/cpu/conv.c and pool.c. */
#include <math.h>

#include "tests/kernel_cases.h"

/* ---- conv ------------------------------------------------------------------------------------ */

enum {
    B_,
    H_,
    W_,
    C_,
    O_,
    KH,
    KW,
    STRIDE,
    TOP_LEFT,
    BOTTOM_RIGHT,
    EXTRA,
    ACT
}; /* padding as 10 a + b; extra 1: bias, 2: residual, 4: Winograd by 6; C 0: depthwise */
static const Case conv_cases[] = {CASE(2, 9, 11, 3, 20, 7, 7, 2, 33, 33, 1, ACT_RELU),
                                  CASE(1, 14, 14, 16, 40, 3, 3, 1, 11, 11, 3, ACT_RELU),
                                  CASE(2, 7, 7, 130, 33, 3, 3, 1, 11, 11, 0, 0),
                                  CASE(1, 14, 14, 32, 48, 3, 3, 1, 11, 11, 3, ACT_RELU),
                                  CASE(2, 9, 30, 64, 32, 3, 3, 1, 11, 11, 1, ACT_RELU),
                                  CASE(1, 5, 3, 256, 80, 3, 3, 1, 0, 0, 2, 0),
                                  CASE(1, 2, 17, 48, 160, 3, 3, 1, 23, 12, 0, ACT_SWISH),
                                  CASE(3, 1, 1, 384, 384, 3, 3, 1, 11, 11, 0, 0),
                                  CASE(2, 7, 5, 400, 32, 3, 3, 1, 11, 11, 3, ACT_RELU),
                                  CASE(1, 1, 6, 48, 512, 3, 3, 1, 12, 21, 1, 0),
                                  CASE(1, 4, 4, 528, 32, 3, 3, 1, 11, 11, 1, 0),
                                  CASE(0, 14, 14, 64, 64, 3, 3, 1, 11, 11, 0, 0),
                                  CASE(1, 10, 9, 512, 35, 3, 3, 2, 11, 11, 1, ACT_RELU6),
                                  CASE(1, 6, 5, 600, 17, 1, 1, 1, 0, 0, 3, ACT_SWISH),
                                  CASE(2, 9, 7, 256, 64, 1, 1, 2, 0, 0, 2, 0),
                                  CASE(1, 8, 8, 24, 100, 1, 1, 2, 0, 0, 1, ACT_RELU),
                                  CASE(1, 8, 8, 5, 7, 1, 1, 1, 12, 1, 0, 0),
                                  CASE(1, 13, 6, 8, 350, 2, 3, 3, 1, 10, 0, ACT_GELU),
                                  CASE(1, 60, 90, 64, 10, 5, 1, 1, 20, 20, 0, 0),
                                  CASE(1, 32, 32, 3, 48, 16, 16, 16, 0, 0, 1, 0),
                                  CASE(2, 12, 13, 0, 32, 3, 3, 1, 11, 11, 1, ACT_RELU6),
                                  CASE(1, 11, 12, 0, 37, 5, 5, 2, 11, 22, 1, ACT_RELU),
                                  CASE(1, 3, 2, 0, 9, 5, 5, 1, 22, 22, 2, 0),
                                  CASE(1, 4, 4, 0, 6, 3, 3, 1, 3, 43, 3, 0),
                                  CASE(0, 4, 4, 6, 6, 3, 3, 1, 11, 11, 0, 0),
                                  CASE(1, 2, 2, 4, 4, 5, 5, 1, 0, 0, 0, 0),
                                  TIMED(1, 224, 224, 3, 64, 7, 7, 2, 33, 33, 1, ACT_RELU),
                                  TIMED(1, 56, 56, 64, 64, 3, 3, 1, 11, 11, 1, ACT_RELU),
                                  TIMED(1, 28, 28, 128, 128, 3, 3, 1, 11, 11, 1, ACT_RELU),
                                  TIMED(1, 14, 14, 256, 256, 3, 3, 1, 11, 11, 1, ACT_RELU),
                                  TIMED(1, 7, 7, 512, 512, 3, 3, 1, 11, 11, 1, ACT_RELU),
                                  TIMED(1, 56, 56, 64, 256, 1, 1, 1, 0, 0, 3, ACT_RELU),
                                  TIMED(1, 14, 14, 1024, 256, 1, 1, 1, 0, 0, 1, ACT_RELU),
                                  TIMED(1, 56, 56, 256, 512, 1, 1, 2, 0, 0, 1, 0),
                                  TIMED(1, 112, 112, 0, 32, 3, 3, 1, 11, 11, 1, ACT_RELU6),
                                  TIMED(1, 14, 14, 0, 672, 5, 5, 1, 22, 22, 1, ACT_RELU6)};
enum { CONV_X, CONV_WEIGHTS, CONV_Y, CONV_BIAS, CONV_RESIDUAL, CONV_PACKED };

static Conv conv_of(const Job *j, const int64_t *s)
{
    Conv c = {.B = s[B_],
              .H = s[H_],
              .W = s[W_],
              .C = s[C_] ? s[C_] : s[O_],
              .O = s[O_],
              .kh = s[KH],
              .kw = s[KW],
              .stride = s[STRIDE],
              .groups = s[C_] ? 1 : s[O_],
              .top = s[TOP_LEFT] / 10,
              .left = s[TOP_LEFT] % 10,
              .bottom = s[BOTTOM_RIGHT] / 10,
              .right = s[BOTTOM_RIGHT] % 10,
              .act = (Act)s[ACT],
              .winograd = s[EXTRA] & 4 ? 6 : 0};
    if (j->n > CONV_PACKED) {
        c.x = F32(j, CONV_X);
        c.packed = j->b[CONV_PACKED].data;
        c.y = F32(j, CONV_Y);
        c.bias = s[EXTRA] & 1 ? F32(j, CONV_BIAS) : NULL;
        c.residual = s[EXTRA] & 2 ? F32(j, CONV_RESIDUAL) : NULL;
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
static void conv_make(Job *j, const int64_t *s)
{
    const Conv shape = conv_of(j, s);
    const int64_t outputs = shape.B * out_high(&shape) * out_wide(&shape) * shape.O,
                  taps = shape.C / shape.groups * shape.kh * shape.kw;
    case_f32(j, "x", IN, shape.B * shape.H * shape.W * shape.C);
    float *weights = case_f32(j, "weights", IN, shape.O * taps);
    for (int64_t i = 0; j->ok && i < shape.O * taps;
         i++) { /* results of order 1: the tolerance means the same for all sizes */
        weights[i] /= sqrtf((float)taps);
    }
    if (j->ok) {
        case_set(j, CONV_WEIGHTS);
    }
    case_f32(j, "y", OUT, outputs);
    case_f32(j, "bias", IN, shape.O);
    case_f32(j, "residual", IN, outputs);
    void *packed = case_bytes(j, "packed", IN, j->k->conv_pack_bytes(&shape));
    const Conv c = conv_of(j, s);
    case_work(j, j->k->conv_work(&c, j->threads));
    if (j->ok)
        j->k->conv_pack(&j->run, &shape, weights, packed);
    j->flops = 2.0 * (double)outputs * (double)taps;
    j->bytes = 4.0 * (double)(shape.B * shape.H * shape.W * shape.C + outputs + shape.O * taps);
}
static void conv_call(Job *j, const int64_t *s)
{
    const Conv c = conv_of(j, s);
    j->k->conv(&j->run, &c);
}
static void conv_reference(Job *j, const int64_t *s)
{
    const Conv c = conv_of(j, s);
    const int64_t oh = out_high(&c), ow = out_wide(&c), group = c.C / c.groups;
    const double *x = EXACT(j, CONV_X), *weights = EXACT(j, CONV_WEIGHTS);
    for (int64_t at = 0; at < c.B * oh * ow * c.O; at++) {
        const int64_t o = at % c.O, q = at / c.O % ow, p = at / c.O / ow % oh, b = at / c.O / ow / oh;
        double sum = (c.bias ? EXACT(j, CONV_BIAS)[o] : 0) + (c.residual ? EXACT(j, CONV_RESIDUAL)[at] : 0);
        for (int64_t i = 0; i < c.kh; i++) {
            for (int64_t l = 0; l < c.kw; l++) {
                const int64_t h = p * c.stride + i - c.top, w = q * c.stride + l - c.left;
                for (int64_t ch = 0; ch < group && h >= 0 && h < c.H && w >= 0 && w < c.W; ch++)
                    sum += x[((b * c.H + h) * c.W + w) * c.C + (c.groups > 1 ? o : ch)] *
                           weights[((o * group + ch) * c.kh + i) * c.kw + l];
            }
        }
        EXACT(j, CONV_Y)[at] = case_act(c.act, 0, sum);
    }
}
const Family family_conv = {.kernel = "conv",
                            .letters = "B H W C O kh kw stride top/left bottom/right extra act",
                            .cases = conv_cases,
                            .count = COUNT(conv_cases),
                            .make = conv_make,
                            .call = conv_call,
                            .reference = conv_reference,
                            .tolerance = 1.5e-5};

/* F(6,3), which rounds more; with images of less than a square, parts of squares, and more channels than it takes. */
static const Case conv_wide_cases[] = {CASE(1, 14, 14, 32, 48, 3, 3, 1, 11, 11, 7, ACT_RELU),
                                       CASE(2, 9, 30, 64, 32, 3, 3, 1, 11, 11, 5, ACT_RELU),
                                       CASE(1, 5, 3, 128, 80, 3, 3, 1, 0, 0, 6, 0),
                                       CASE(1, 2, 17, 48, 128, 3, 3, 1, 23, 12, 4, ACT_SWISH),
                                       CASE(3, 1, 1, 128, 128, 3, 3, 1, 11, 11, 4, 0),
                                       CASE(0, 14, 14, 64, 64, 3, 3, 1, 11, 11, 4, 0),
                                       CASE(1, 6, 12, 256, 64, 3, 3, 1, 11, 11, 4, 0),
                                       CASE(1, 8, 7, 24, 40, 3, 3, 1, 11, 11, 5, 0),
                                       CASE(1, 24, 18, 96, 112, 3, 3, 1, 11, 11, 7, ACT_GELU),
                                       TIMED(1, 56, 56, 64, 64, 3, 3, 1, 11, 11, 5, ACT_RELU)};
const Family family_conv_wide = {.kernel = "conv_wide",
                                 .letters = "B H W C O kh kw stride top/left bottom/right extra act",
                                 .cases = conv_wide_cases,
                                 .count = COUNT(conv_wide_cases),
                                 .make = conv_make,
                                 .call = conv_call,
                                 .reference = conv_reference,
                                 .tolerance = 6e-5};

/* ---- max_pool, mean_pool --------------------------------------------------------------------- */

static const Case max_pool_cases[] = {CASE(0, 4, 4, 3, 2, 2, 0), CASE(2, 13, 11, 19, 3, 2, 1),
                                      CASE(1, 7, 7, 64, 2, 2, 0), CASE(1, 20, 10, 5, 5, 1, 2),
                                      TIMED(1, 112, 112, 64, 3, 2, 1)};
enum { P_B, P_H, P_W, P_C, P_K, P_STRIDE, P_PAD };
enum { POOL_X, POOL_Y };
static void max_pool_make(Job *j, const int64_t *s)
{
    const int64_t oh = conv_out(s[P_H], s[P_K], s[P_STRIDE], 2 * s[P_PAD]),
                  ow = conv_out(s[P_W], s[P_K], s[P_STRIDE], 2 * s[P_PAD]);
    case_f32(j, "x", IN, s[P_B] * s[P_H] * s[P_W] * s[P_C]);
    case_f32(j, "y", OUT, s[P_B] * oh * ow * s[P_C]);
    j->flops = (double)(s[P_B] * oh * ow * s[P_C] * s[P_K] * s[P_K]);
    j->bytes = 4.0 * (double)(s[P_B] * (s[P_H] * s[P_W] + oh * ow) * s[P_C]);
}
static void max_pool_call(Job *j, const int64_t *s)
{
    j->k->max_pool(&j->run, s[P_B], s[P_H], s[P_W], s[P_C], s[P_K], s[P_STRIDE], s[P_PAD], F32(j, POOL_X),
                   F32(j, POOL_Y));
}
static void max_pool_reference(Job *j, const int64_t *s)
{
    const int64_t H = s[P_H], W = s[P_W], C = s[P_C], step = s[P_STRIDE], pad = s[P_PAD];
    const int64_t oh = conv_out(H, s[P_K], step, 2 * pad), ow = conv_out(W, s[P_K], step, 2 * pad);
    for (int64_t at = 0; at < s[P_B] * oh * ow * C; at++) {
        const int64_t c = at % C, q = at / C % ow, p = at / C / ow % oh, b = at / C / ow / oh;
        double most = -INFINITY;
        for (int64_t h = MAX(p * step - pad, 0); h < MIN(p * step - pad + s[P_K], H); h++) {
            for (int64_t w = MAX(q * step - pad, 0); w < MIN(q * step - pad + s[P_K], W); w++)
                most = fmax(most, EXACT(j, POOL_X)[((b * H + h) * W + w) * C + c]);
        }
        EXACT(j, POOL_Y)[at] = most;
    }
}
const Family family_max_pool = {.kernel = "max_pool",
                                .letters = "B H W C k stride pad",
                                .cases = max_pool_cases,
                                .count = COUNT(max_pool_cases),
                                .make = max_pool_make,
                                .call = max_pool_call,
                                .reference = max_pool_reference};

static const Case mean_pool_cases[] = {CASE(0, 4, 3), CASE(2, 1, 19), CASE(3, 49, 64), CASE(1, 200, 5),
                                       TIMED(1, 49, 2048)};
static void mean_pool_make(Job *j, const int64_t *s)
{
    case_f32(j, "x", IN, s[0] * s[1] * s[2]);
    case_f32(j, "y", OUT, s[0] * s[2]);
    j->flops = (double)(s[0] * s[1] * s[2]);
    j->bytes = 4.0 * (double)(s[0] * (s[1] + 1) * s[2]);
}
static void mean_pool_call(Job *j, const int64_t *s)
{
    j->k->mean_pool(&j->run, s[0], s[1], s[2], F32(j, POOL_X), F32(j, POOL_Y));
}
static void mean_pool_reference(Job *j, const int64_t *s)
{
    for (int64_t at = 0; at < s[0] * s[2]; at++) {
        double sum = 0;
        for (int64_t i = 0; i < s[1]; i++)
            sum += EXACT(j, POOL_X)[(at / s[2] * s[1] + i) * s[2] + at % s[2]];
        EXACT(j, POOL_Y)[at] = sum / (double)s[1];
    }
}
const Family family_mean_pool = {.kernel = "mean_pool",
                                 .letters = "B HW C",
                                 .cases = mean_pool_cases,
                                 .count = COUNT(mean_pool_cases),
                                 .make = mean_pool_make,
                                 .call = mean_pool_call,
                                 .reference = mean_pool_reference};
