/* tests/cases/conv_back.c: cases of the backward passes in kernels/cpu/image/, and of batch_norm.c. */
#include <math.h>

#include "tests/kernel_cases.h"

/* ---- conv_back ------------------------------------------------------------------------------- */

#define SAME_3X3 .kh = 3, .kw = 3, .stride = 1, .top_left = 11, .bottom_right = 11
/* clang-format off */
static const Case conv_back_cases[] = {
    {.conv = {.B = 2, .H = 5, .W = 6, .C = 3, .O = 20, .kh = 7, .kw = 7, .stride = 2, .top_left = 33,
              .bottom_right = 33}},
    {.conv = {.B = 1, .H = 6, .W = 5, .C = 4, .O = 9, SAME_3X3, .extra = 3}},
    {.conv = {.B = 3, .H = 4, .W = 3, .C = 33, .O = 10, SAME_3X3, .extra = 1}},
    {.conv = {.B = 2, .H = 3, .W = 3, .C = 5, .O = 70, SAME_3X3, .extra = 2}},
    {.conv = {.B = 1, .H = 3, .W = 2, .C = 2, .O = 530, SAME_3X3}},
    {.conv = {.B = 2, .H = 5, .W = 4, .C = 17, .O = 19, .kh = 1, .kw = 1, .stride = 1, .extra = 3}},
    {.conv = {.B = 2, .H = 5, .W = 4, .C = 7, .O = 34, .kh = 1, .kw = 1, .stride = 2}},
    {.conv = {.B = 1, .H = 1, .W = 1, .C = 3, .O = 2, .kh = 1, .kw = 1, .stride = 1}},
    {.conv = {.B = 1, .H = 1, .W = 1, .C = 40, .O = 3, SAME_3X3}},
    {.conv = {.B = 1, .H = 8, .W = 7, .C = 3, .O = 4, .kh = 2, .kw = 1, .stride = 3, .top_left = 1,
              .bottom_right = 10}},
    {.conv = {.B = 2, .H = 8, .W = 8, .C = 3, .O = 5, .kh = 4, .kw = 4, .stride = 4, .extra = 3}},
    {.conv = {.B = 1, .H = 5, .W = 5, .C = 2, .O = 3, .kh = 1, .kw = 1, .stride = 1, .top_left = 12,
              .bottom_right = 1}},
    {.conv = {.B = 1, .H = 2, .W = 400, .C = 2, .O = 3, .kh = 1, .kw = 3, .stride = 1, .top_left = 1}},
    {.conv = {.B = 20, .H = 3, .W = 4, .C = 2, .O = 3, SAME_3X3}},
    {.conv = {.B = 1, .H = 2, .W = 2, .C = 4, .O = 4, .kh = 5, .kw = 5, .stride = 1}},
    {.conv = {.B = 1, .H = 2, .W = 2, .C = 4, .O = 4, .kh = 5, .kw = 5, .stride = 1, .extra = 3}},
    {.conv = {.B = 1, .H = 2, .W = 3, .C = 4, .O = 4, .kh = 5, .kw = 5, .stride = 2, .top_left = 22,
              .bottom_right = 22}},
    {.conv = {.B = 2, .H = 4, .W = 3, .C = 4, .O = 4, SAME_3X3}},
    {.conv = {.B = 0, .H = 4, .W = 4, .C = 6, .O = 6, SAME_3X3}},
    {.conv = {.B = 0, .H = 4, .W = 4, .C = 6, .O = 6, SAME_3X3, .extra = 2}},
    {.conv = {.B = 2, .H = 4, .W = 2, .C = 0, .O = 5, SAME_3X3}},
    {.conv = {.B = 2, .H = 6, .W = 7, .C = 0, .O = 37, SAME_3X3}},
    {.conv = {.B = 2, .H = 6, .W = 7, .C = 0, .O = 70, .kh = 5, .kw = 5, .stride = 2, .top_left = 11,
              .bottom_right = 22, .extra = 3}},
    {.conv = {.B = 1, .H = 7, .W = 7, .C = 0, .O = 3, .kh = 2, .kw = 2, .stride = 3, .extra = 1}},
    {.conv = {.B = 1, .H = 1, .W = 1, .C = 0, .O = 9, .kh = 5, .kw = 5, .stride = 1, .top_left = 22,
              .bottom_right = 22}},
    {.conv = {.B = 0, .H = 4, .W = 4, .C = 0, .O = 6, SAME_3X3}},
    {.conv = {.B = 2, .H = 20, .W = 30, .C = 0, .O = 5, SAME_3X3}},
    {.conv = {.B = 2, .H = 20, .W = 30, .C = 4, .O = 68, .kh = 1, .kw = 2, .stride = 1, .top_left = 1, .extra = 2}},
    {.conv = {.B = 8, .H = 112, .W = 112, .C = 3, .O = 64, .kh = 7, .kw = 7, .stride = 2, .top_left = 33,
              .bottom_right = 33}, .timed = true},
    {.conv = {.B = 1, .H = 56, .W = 56, .C = 64, .O = 64, SAME_3X3}, .timed = true},
    {.conv = {.B = 4, .H = 7, .W = 7, .C = 512, .O = 512, SAME_3X3}, .timed = true},
    {.conv = {.B = 4, .H = 28, .W = 28, .C = 256, .O = 128, .kh = 1, .kw = 1, .stride = 1}, .timed = true},
    {.conv = {.B = 2, .H = 224, .W = 224, .C = 3, .O = 768, .kh = 16, .kw = 16, .stride = 16}, .timed = true},
    {.conv = {.B = 1, .H = 56, .W = 56, .C = 0, .O = 144, SAME_3X3}, .timed = true},
};
/* clang-format on */
enum { CONV_X, CONV_WEIGHTS, CONV_DY, CONV_DX, CONV_DWEIGHTS };

static ConvBack conv_back_of(const Job *j, const Case *s)
{
    ConvBack b = {.forward = {.B = s->conv.B,
                              .H = s->conv.H,
                              .W = s->conv.W,
                              .C = s->conv.C ? s->conv.C : s->conv.O,
                              .O = s->conv.O,
                              .kh = s->conv.kh,
                              .kw = s->conv.kw,
                              .stride = s->conv.stride,
                              .groups = s->conv.C ? 1 : s->conv.O,
                              .top = s->conv.top_left / 10,
                              .left = s->conv.top_left % 10,
                              .bottom = s->conv.bottom_right / 10,
                              .right = s->conv.bottom_right % 10},
                  .x_beta = s->conv.extra & 1 ? 1.0f : 0.0f,
                  .w_beta = s->conv.extra & 2 ? 1.0f : 0.0f};
    if (j->n > CONV_DWEIGHTS) {
        b.forward.x = f32_of(j, CONV_X);
        b.weights = f32_of(j, CONV_WEIGHTS);
        b.dy = f32_of(j, CONV_DY);
        b.dx = f32_of(j, CONV_DX);
        b.dweights = f32_of(j, CONV_DWEIGHTS);
    }
    return b;
}
static int64_t out_high(const Conv *c)
{
    return c->H + c->top + c->bottom < c->kh ? 0 : conv_out(c->H, c->kh, c->stride, c->top + c->bottom);
}
static int64_t out_wide(const Conv *c)
{
    return c->W + c->left + c->right < c->kw ? 0 : conv_out(c->W, c->kw, c->stride, c->left + c->right);
}
/* Scales the numbers so that results are of order 1: the tolerance then has the same meaning for all cases. */
static void shrink(Job *j, int buffer, int64_t terms)
{
    float *x = host_f32(j, buffer);
    for (size_t i = 0; j->ok && i < j->b[buffer].count; i++)
        x[i] /= sqrtf((float)MAX(terms, 1));
    if (j->ok)
        case_set(j, buffer);
}
static void conv_back_make(Job *j, const Case *s)
{
    const Conv c = conv_back_of(j, s).forward;
    const int64_t pixels = c.B * out_high(&c) * out_wide(&c), taps = c.C / c.groups * c.kh * c.kw,
                  inputs = c.B * c.H * c.W * c.C;
    case_f32(j, "x", ROLE_IN, inputs);
    case_f32(j, "weights", ROLE_IN, c.O * taps);
    shrink(j, CONV_WEIGHTS, c.O);
    case_f32(j, "dy", ROLE_IN, pixels * c.O);
    shrink(j, CONV_DY, pixels);
    case_f32(j, "dx", s->conv.extra & 1 ? ROLE_INOUT : ROLE_OUT, inputs);
    case_f32(j, "dweights", s->conv.extra & 2 ? ROLE_INOUT : ROLE_OUT, c.O * taps);
    const ConvBack b = conv_back_of(j, s);
    case_work(j, j->k->conv_back_work(&j->run, &b));
    j->flops = 4.0 * (double)(pixels * c.O) * (double)taps;
    j->bytes = 8.0 * (double)(inputs + pixels * c.O + c.O * taps);
}
static void conv_back_call(Job *j, const Case *s)
{
    const ConvBack b = conv_back_of(j, s);
    j->k->conv_back(&j->run, &b);
}
/* Calls `each` for every product dy x w of the loss, the sum of dy conv(x, w), with the three indices. */
typedef void Product(const Job *j, int64_t dy, int64_t x, int64_t w, double *sum);
static void each_product(const Job *j, const Case *s, Product *each, double *sum)
{
    const Conv c = conv_back_of(j, s).forward;
    const int64_t oh = out_high(&c), ow = out_wide(&c), group = c.C / c.groups;
    for (int64_t at = 0; at < c.B * oh * ow * c.O; at++) {
        const int64_t o = at % c.O, q = at / c.O % ow, p = at / c.O / ow % oh, b = at / c.O / ow / oh;
        for (int64_t tap = 0; tap < c.kh * c.kw; tap++) {
            const int64_t h = p * c.stride + tap / c.kw - c.top, w = q * c.stride + tap % c.kw - c.left;
            for (int64_t ch = 0; ch < group && h >= 0 && h < c.H && w >= 0 && w < c.W; ch++)
                each(j, at, ((b * c.H + h) * c.W + w) * c.C + (c.groups > 1 ? o : ch),
                     (o * group + ch) * c.kh * c.kw + tap, sum);
        }
    }
}
static void add_gradients(const Job *j, int64_t dy, int64_t x, int64_t w, double *sum)
{
    (void)sum;
    exact_of(j, CONV_DX)[x] += exact_of(j, CONV_DY)[dy] * exact_of(j, CONV_WEIGHTS)[w];
    exact_of(j, CONV_DWEIGHTS)[w] += exact_of(j, CONV_DY)[dy] * exact_of(j, CONV_X)[x];
}
static void conv_back_reference(Job *j, const Case *s)
{
    for (int i = CONV_DX; i <= CONV_DWEIGHTS; i++) {
        for (size_t at = 0; at < j->b[i].count && j->b[i].role == ROLE_OUT; at++)
            exact_of(j, i)[at] = 0;
    }
    each_product(j, s, add_gradients, NULL);
}
static void add_product(const Job *j, int64_t dy, int64_t x, int64_t w, double *sum)
{
    *sum += exact_of(j, CONV_DY)[dy] * exact_of(j, CONV_X)[x] * exact_of(j, CONV_WEIGHTS)[w];
}
static double conv_back_loss(const Job *j, const Case *s)
{
    double sum = 0;
    each_product(j, s, add_product, &sum);
    return sum;
}
const Family family_conv_back = {.kernel = "conv_back",
                                 .names = "B H W C O kh kw stride top/left bottom/right groups extra act",
                                 .cases = conv_back_cases,
                                 .count = COUNT(conv_back_cases),
                                 .make = conv_back_make,
                                 .call = conv_back_call,
                                 .reference = conv_back_reference,
                                 .loss = conv_back_loss,
                                 .by = {{CONV_X, CONV_DX}, {CONV_WEIGHTS, CONV_DWEIGHTS}},
                                 .by_count = 2,
                                 .tolerance = 1.5e-5,
                                 .optional = {CONV_DX, CONV_DWEIGHTS},
                                 .optional_count = 2};

/* ---- max_pool_back, mean_pool_back ----------------------------------------------------------- */

static const Case max_pool_back_cases[] = {
    {.max_pool = {.B = 0, .H = 4, .W = 4, .C = 3, .k = 2, .stride = 2}},
    {.max_pool = {.B = 2, .H = 7, .W = 6, .C = 19, .k = 3, .stride = 2, .pad = 1}},
    {.max_pool = {.B = 1, .H = 7, .W = 7, .C = 70, .k = 2, .stride = 3}},
    {.max_pool = {.B = 1, .H = 9, .W = 4, .C = 5, .k = 5, .stride = 1, .pad = 2}},
    {.max_pool = {.B = 1, .H = 1, .W = 1, .C = 5, .k = 1, .stride = 1}},
    {.max_pool = {.B = 2, .H = 2, .W = 3, .C = 5, .k = 4, .stride = 1}},
    {.max_pool = {.B = 4, .H = 112, .W = 112, .C = 64, .k = 3, .stride = 2, .pad = 1}, .timed = true},
};
enum { POOL_X, POOL_Y, POOL_DY, POOL_DX };
static int64_t pool_out(const Case *s, int64_t n)
{
    const int64_t k = s->max_pool.k, pad = 2 * s->max_pool.pad;
    return n + pad < k ? 0 : conv_out(n, k, s->max_pool.stride, pad);
}
/* Returns the index of the first largest number of a window, in its channel. */
static int64_t first_largest(const Job *j, const Case *s, int64_t window)
{
    const int64_t H = s->max_pool.H, W = s->max_pool.W, C = s->max_pool.C, step = s->max_pool.stride,
                  pad = s->max_pool.pad, oh = pool_out(s, H), ow = pool_out(s, W);
    const int64_t c = window % C, q = window / C % ow, p = window / C / ow % oh, b = window / C / ow / oh;
    int64_t found = -1;
    for (int64_t h = MAX(p * step - pad, 0); h < MIN(p * step - pad + s->max_pool.k, H); h++) {
        for (int64_t w = MAX(q * step - pad, 0); w < MIN(q * step - pad + s->max_pool.k, W); w++) {
            const int64_t at = ((b * H + h) * W + w) * C + c;
            if (found < 0 || exact_of(j, POOL_X)[at] > exact_of(j, POOL_X)[found])
                found = at;
        }
    }
    return found;
}
static void max_pool_back_make(Job *j, const Case *s)
{
    const int64_t inputs = s->max_pool.B * s->max_pool.H * s->max_pool.W * s->max_pool.C;
    const int64_t outputs = s->max_pool.B * pool_out(s, s->max_pool.H) * pool_out(s, s->max_pool.W) * s->max_pool.C;
    float *x = case_f32(j, "x", ROLE_IN, inputs);
    for (int64_t i = 0; j->ok && i < inputs; i++) /* many numbers are equal */
        x[i] = rintf(2 * x[i]);
    if (j->ok)
        case_set(j, POOL_X);
    float *y = case_f32(j, "y", ROLE_IN, outputs);
    for (int64_t i = 0; j->ok && i < outputs; i++)
        y[i] = x[first_largest(j, s, i)];
    case_f32(j, "dy", ROLE_IN, outputs);
    case_f32(j, "dx", ROLE_OUT, inputs);
    j->flops = (double)(outputs * s->max_pool.k * s->max_pool.k);
    j->bytes = 8.0 * (double)(inputs + outputs);
}
static void max_pool_back_call(Job *j, const Case *s)
{
    j->k->max_pool_back(&j->run, s->max_pool.B, s->max_pool.H, s->max_pool.W, s->max_pool.C, s->max_pool.k,
                        s->max_pool.stride, s->max_pool.pad, f32_of(j, POOL_X), f32_of(j, POOL_Y), f32_of(j, POOL_DY),
                        f32_of(j, POOL_DX));
}
static void max_pool_back_reference(Job *j, const Case *s)
{
    for (size_t i = 0; i < j->b[POOL_DX].count; i++)
        exact_of(j, POOL_DX)[i] = 0;
    for (size_t i = 0; i < j->b[POOL_DY].count; i++)
        exact_of(j, POOL_DX)[first_largest(j, s, (int64_t)i)] += exact_of(j, POOL_DY)[i];
}
const Family family_max_pool_back = {.kernel = "max_pool_back",
                                     .names = "B H W C k stride pad",
                                     .cases = max_pool_back_cases,
                                     .count = COUNT(max_pool_back_cases),
                                     .make = max_pool_back_make,
                                     .call = max_pool_back_call,
                                     .reference = max_pool_back_reference,
                                     .tolerance = 1e-6};

static const Case mean_pool_back_cases[] = {CASE(0, 4, 3), CASE(2, 1, 19), CASE(3, 49, 64), CASE(1, 200, 5)};
static void mean_pool_back_make(Job *j, const Case *s)
{
    case_f32(j, "dy", ROLE_IN, s->n[0] * s->n[2]);
    case_f32(j, "dx", ROLE_OUT, s->n[0] * s->n[1] * s->n[2]);
    j->bytes = 4.0 * (double)(s->n[0] * (s->n[1] + 1) * s->n[2]);
}
static void mean_pool_back_call(Job *j, const Case *s)
{
    j->k->mean_pool_back(&j->run, s->n[0], s->n[1], s->n[2], f32_of(j, 0), f32_of(j, 1));
}
static void mean_pool_back_reference(Job *j, const Case *s)
{
    for (int64_t at = 0; at < s->n[0] * s->n[1] * s->n[2]; at++)
        exact_of(j, 1)[at] = exact_of(j, 0)[at / s->n[2] / s->n[1] * s->n[2] + at % s->n[2]] / (double)s->n[1];
}
const Family family_mean_pool_back = {.kernel = "mean_pool_back",
                                      .names = "B HW C",
                                      .cases = mean_pool_back_cases,
                                      .count = COUNT(mean_pool_back_cases),
                                      .make = mean_pool_back_make,
                                      .call = mean_pool_back_call,
                                      .reference = mean_pool_back_reference,
                                      .tolerance = 1e-6};

static const Case channel_dot_cases[] = {CASE(0, 4, 3), CASE(2, 1, 19), CASE(3, 49, 64), CASE(1, 200, 5),
                                         CASE(2, 0, 7)};
static void channel_dot_make(Job *j, const Case *s)
{
    case_f32(j, "a", ROLE_IN, s->n[0] * s->n[1] * s->n[2]);
    case_f32(j, "b", ROLE_IN, s->n[0] * s->n[1] * s->n[2]);
    case_f32(j, "y", ROLE_OUT, s->n[0] * s->n[2]);
    j->bytes = 8.0 * (double)(s->n[0] * s->n[1] * s->n[2]);
}
static void channel_dot_call(Job *j, const Case *s)
{
    j->k->channel_dot(&j->run, s->n[0], s->n[1], s->n[2], f32_of(j, 0), f32_of(j, 1), f32_of(j, 2));
}
static void channel_dot_reference(Job *j, const Case *s)
{
    for (int64_t at = 0; at < s->n[0] * s->n[2]; at++) {
        exact_of(j, 2)[at] = 0;
        for (int64_t p = 0; p < s->n[1]; p++) {
            int64_t i = (at / s->n[2] * s->n[1] + p) * s->n[2] + at % s->n[2];
            exact_of(j, 2)[at] += exact_of(j, 0)[i] * exact_of(j, 1)[i];
        }
    }
}
const Family family_channel_dot = {.kernel = "channel_dot",
                                   .names = "B HW C",
                                   .cases = channel_dot_cases,
                                   .count = COUNT(channel_dot_cases),
                                   .make = channel_dot_make,
                                   .call = channel_dot_call,
                                   .reference = channel_dot_reference};

/* ---- batch_norm, batch_norm_back ------------------------------------------------------------- */

static const Case batch_norm_cases[] = {CASE(0, 5, 1),   CASE(1, 5, 0),    CASE(2, 7, 1),     CASE(33, 19, 1),
                                        CASE(70, 33, 0), CASE(2500, 3, 1), CASE(300, 64, 1),  CASE(40, 0, 1),
                                        CASE(1, 9, 1),   CASE(3000, 1, 0), TIMED(3136, 64, 1)};
enum {
    BN_X,
    BN_GAMMA,
    BN_BETA,
    BN_RUNNING_MEAN,
    BN_RUNNING_VAR,
    BN_MEAN,
    BN_RSTD,
    BN_Y,
    BN_BACK_DY = BN_Y,
    BN_DX,
    BN_DGAMMA,
    BN_DBETA
};
static const double BN_EPS = 1e-3, BN_MOMENTUM = 0.25;

static BatchNorm batch_norm_of(const Job *j, const Case *s)
{
    BatchNorm t = {.M = s->n[0], .C = s->n[1], .batch = s->n[2], .eps = (float)BN_EPS, .momentum = (float)BN_MOMENTUM};
    if (j->n > BN_RSTD) {
        t.x = f32_of(j, BN_X);
        t.gamma = f32_of(j, BN_GAMMA);
        t.beta = f32_of(j, BN_BETA);
        t.running_mean = f32_of(j, BN_RUNNING_MEAN);
        t.running_var = f32_of(j, BN_RUNNING_VAR);
        t.mean = f32_of(j, BN_MEAN);
        t.rstd = f32_of(j, BN_RSTD);
    }
    return t;
}
static void statistics_make(Job *j, const Case *s, bool back)
{
    const Role running = back || !s->n[2] || s->n[0] == 0 ? ROLE_IN : ROLE_INOUT;
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "gamma", ROLE_IN, s->n[1]);
    case_f32(j, "beta", ROLE_IN, s->n[1]);
    case_f32(j, "running_mean", running, s->n[1]);
    float *var = case_f32(j, "running_var", running, s->n[1]);
    for (int64_t c = 0; j->ok && c < s->n[1]; c++)
        var[c] = 0.3f + fabsf(var[c]);
    if (j->ok)
        case_set(j, BN_RUNNING_VAR);
    case_f32(j, "mean", back ? ROLE_IN : ROLE_OUT, s->n[0] ? s->n[1] : 0);
    case_f32(j, "rstd", back ? ROLE_IN : ROLE_OUT, s->n[0] ? s->n[1] : 0);
}
static void batch_norm_make(Job *j, const Case *s)
{
    statistics_make(j, s, false);
    case_f32(j, "y", ROLE_OUT, s->n[0] * s->n[1]);
    const BatchNorm t = batch_norm_of(j, s);
    case_work(j, j->k->batch_norm_work(&j->run, &t));
    j->flops = 7.0 * (double)(s->n[0] * s->n[1]);
    j->bytes = 16.0 * (double)(s->n[0] * s->n[1]);
}
static void batch_norm_call(Job *j, const Case *s)
{
    BatchNorm t = batch_norm_of(j, s);
    t.y = f32_of(j, BN_Y);
    j->k->batch_norm(&j->run, &t);
}
/* Computes a column's mean and 1 / sqrt(variance + eps). *var is the variance that updates the running variance. */
static void statistics(const Job *j, const Case *s, int64_t c, double *mean, double *rstd, double *var)
{
    const double *x = exact_of(j, BN_X);
    const int64_t M = s->n[0], C = s->n[1];
    *mean = s->n[2] ? 0 : exact_of(j, BN_RUNNING_MEAN)[c];
    *var = s->n[2] ? 0 : exact_of(j, BN_RUNNING_VAR)[c];
    for (int64_t m = 0; s->n[2] && m < M; m++)
        *mean += x[m * C + c] / (double)M;
    for (int64_t m = 0; s->n[2] && m < M; m++)
        *var += (x[m * C + c] - *mean) * (x[m * C + c] - *mean) / (double)M;
    *rstd = 1 / sqrt(*var + (double)(float)BN_EPS);
    *var *= s->n[2] ? (double)M / (double)MAX(M - 1, 1) : 1;
}
static void batch_norm_reference(Job *j, const Case *s)
{
    const int64_t M = s->n[0], C = s->n[1];
    for (int64_t c = 0; M > 0 && c < C; c++) {
        double mean, rstd, var;
        statistics(j, s, c, &mean, &rstd, &var);
        exact_of(j, BN_MEAN)[c] = mean;
        exact_of(j, BN_RSTD)[c] = rstd;
        for (int64_t m = 0; m < M; m++)
            exact_of(j, BN_Y)[m * C + c] =
                (exact_of(j, BN_X)[m * C + c] - mean) * rstd * exact_of(j, BN_GAMMA)[c] + exact_of(j, BN_BETA)[c];
        if (s->n[2]) {
            exact_of(j, BN_RUNNING_MEAN)[c] += BN_MOMENTUM * (mean - exact_of(j, BN_RUNNING_MEAN)[c]);
            exact_of(j, BN_RUNNING_VAR)[c] += BN_MOMENTUM * (var - exact_of(j, BN_RUNNING_VAR)[c]);
        }
    }
}
const Family family_batch_norm = {.kernel = "batch_norm",
                                  .names = "M C batch",
                                  .cases = batch_norm_cases,
                                  .count = COUNT(batch_norm_cases),
                                  .make = batch_norm_make,
                                  .call = batch_norm_call,
                                  .reference = batch_norm_reference,
                                  .in_place = {{BN_Y, BN_X}},
                                  .in_place_count = 1};

static const Case batch_norm_back_cases[] = {CASE(0, 5, 1),   CASE(1, 5, 0),     CASE(3, 7, 1),    CASE(33, 19, 1),
                                             CASE(70, 33, 0), CASE(2500, 3, 1),  CASE(300, 64, 1), CASE(40, 0, 1),
                                             CASE(90, 1, 0),  TIMED(3136, 64, 1)};
static BatchNormBack batch_norm_back_of(const Job *j, const Case *s)
{
    BatchNormBack b = {.forward = batch_norm_of(j, s)};
    if (j->n > BN_DBETA) {
        b.dy = f32_of(j, BN_BACK_DY);
        b.dx = f32_of(j, BN_DX);
        b.dgamma = f32_of(j, BN_DGAMMA);
        b.dbeta = f32_of(j, BN_DBETA);
    }
    return b;
}
static void batch_norm_back_make(Job *j, const Case *s)
{
    statistics_make(j, s, true);
    for (int64_t c = 0; j->ok && c < (int64_t)j->b[BN_MEAN].count; c++) {
        double mean, rstd, var;
        statistics(j, s, c, &mean, &rstd, &var);
        host_f32(j, BN_MEAN)[c] = (float)mean;
        host_f32(j, BN_RSTD)[c] = (float)rstd;
    }
    case_f32(j, "dy", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "dx", ROLE_OUT, s->n[0] * s->n[1]);
    case_f32(j, "dgamma", ROLE_INOUT, s->n[1]);
    case_f32(j, "dbeta", ROLE_INOUT, s->n[1]);
    const BatchNormBack b = batch_norm_back_of(j, s);
    case_work(j, j->k->batch_norm_back_work(&j->run, &b));
    j->flops = 12.0 * (double)(s->n[0] * s->n[1]);
    j->bytes = 20.0 * (double)(s->n[0] * s->n[1]);
}
static void batch_norm_back_call(Job *j, const Case *s)
{
    const BatchNormBack b = batch_norm_back_of(j, s);
    j->k->batch_norm_back(&j->run, &b);
}
static double batch_norm_back_loss(const Job *j, const Case *s)
{
    const int64_t M = s->n[0], C = s->n[1];
    double sum = 0;
    for (int64_t c = 0; c < C; c++) {
        double mean, rstd, var;
        statistics(j, s, c, &mean, &rstd, &var);
        for (int64_t m = 0; m < M; m++)
            sum += exact_of(j, BN_BACK_DY)[m * C + c] *
                   ((exact_of(j, BN_X)[m * C + c] - mean) * rstd * exact_of(j, BN_GAMMA)[c] + exact_of(j, BN_BETA)[c]);
    }
    return sum;
}
const Family family_batch_norm_back = {.kernel = "batch_norm_back",
                                       .names = "M C batch",
                                       .cases = batch_norm_back_cases,
                                       .count = COUNT(batch_norm_back_cases),
                                       .make = batch_norm_back_make,
                                       .call = batch_norm_back_call,
                                       .loss = batch_norm_back_loss,
                                       .by = {{BN_X, BN_DX}, {BN_GAMMA, BN_DGAMMA}, {BN_BETA, BN_DBETA}},
                                       .by_count = 3,
                                       .tolerance = 3e-5,
                                       .in_place = {{BN_DX, BN_BACK_DY}},
                                       .in_place_count = 1,
                                       .optional = {BN_DX, BN_DGAMMA, BN_DBETA},
                                       .optional_count = 3};
