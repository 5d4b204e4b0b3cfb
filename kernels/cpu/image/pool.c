/* kernels/cpu/image/pool.c: pooling over NHWC images, and products by channel. Channels are contiguous, so a vector
 * holds VW channels of one pixel. A task is one output row, one image, or MEAN_BLOCK pixels. */
#include <math.h>

#include "kernels/cpu/cpu.h"

typedef struct Job {
    int64_t B, H, W, C, k, stride, pad, oh, ow;
    int64_t pixels; /* H W; set instead of H and W, except for max pooling */
    const float *x;
    const float *s; /* the second operand of channel_scale and of channel_dot */
    float *y;       /* max_pool_back only reads it */
    const float *dy;
    float *dx;
} Job;

static vf load_some(const float *p, int64_t n)
{
    return n >= VW ? v_load(p) : v_load_n(p, (int)n);
}

static void store_some(float *p, vf x, int64_t n)
{
    if (n >= VW)
        v_store(p, x);
    else
        v_store_n(p, x, (int)n);
}

static void max_row(void *arg, size_t task, int worker)
{
    (void)worker;
    const Job *j = arg;
    const int64_t b = (int64_t)task / j->oh, h = (int64_t)task % j->oh * j->stride - j->pad;
    float *y = j->y + (int64_t)task * j->ow * j->C;
    for (int64_t o = 0; o < j->ow; o++, y += j->C) {
        const int64_t w = o * j->stride - j->pad;
        for (int64_t c = 0; c < j->C; c += VW) {
            vf most = v_set(-INFINITY);
            for (int64_t i = MAX(h, 0); i < MIN(h + j->k, j->H); i++) {
                for (int64_t l = MAX(w, 0); l < MIN(w + j->k, j->W); l++)
                    most = v_max(most, load_some(j->x + ((b * j->H + i) * j->W + l) * j->C + c, j->C - c));
            }
            store_some(y + c, most, j->C - c);
        }
    }
}

/* Returns a job with the sizes of the output. An image that is smaller than a window has no output. */
static Job windows(int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride, int64_t pad)
{
    Job j = {.B = B, .H = H, .W = W, .C = C, .k = k, .stride = stride, .pad = pad};
    if (H + 2 * pad >= k && W + 2 * pad >= k) {
        j.oh = conv_out(H, k, stride, 2 * pad);
        j.ow = conv_out(W, k, stride, 2 * pad);
    }
    return j;
}

void FN(max_pool)(const Run *run, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride, int64_t pad,
                  const float *x, float *y)
{
    Job j = windows(B, H, W, C, k, stride, pad);
    j.x = x;
    j.y = y;
    pool_run(run->context, (size_t)(B * j.oh), max_row, &j);
}

enum { MEAN_BLOCK = 64 /* pixels per block: each block is one chain of additions, and blocks are added in order */ };

static void mean_image(void *arg, size_t b, int worker)
{
    (void)worker;
    const Job *j = arg;
    const float *x = j->x + (int64_t)b * j->pixels * j->C;
    for (int64_t c = 0; c < j->C; c += VW) {
        vf sum = v_zero();
        for (int64_t p0 = 0; p0 < j->pixels; p0 += MEAN_BLOCK) {
            vf part = v_zero();
            for (int64_t p = p0; p < MIN(p0 + MEAN_BLOCK, j->pixels); p++)
                part = part + load_some(x + p * j->C + c, j->C - c);
            sum = sum + part;
        }
        store_some(j->y + (int64_t)b * j->C + c, sum / (float)j->pixels, j->C - c);
    }
}

void FN(mean_pool)(const Run *run, int64_t B, int64_t HW, int64_t C, const float *x, float *y)
{
    Job j = {.B = B, .pixels = HW, .C = C, .x = x, .y = y};
    pool_run(run->context, (size_t)B, mean_image, &j);
}

static void scale_places(void *arg, size_t task, int worker)
{
    (void)worker;
    const Job *j = arg;
    const int64_t blocks = div_up(j->pixels, MEAN_BLOCK), b = (int64_t)task / blocks,
                  first = (int64_t)task % blocks * MEAN_BLOCK, end = MIN(first + MEAN_BLOCK, j->pixels);
    const float *s = j->s + b * j->C;
    for (int64_t p = b * j->pixels + first; p < b * j->pixels + end; p++) {
        const float *x = j->x + p * j->C;
        float *y = j->y + p * j->C;
        for (int64_t c = 0; c < j->C; c += VW)
            store_some(y + c, load_some(x + c, j->C - c) * load_some(s + c, j->C - c), j->C - c);
    }
}

void FN(channel_scale)(const Run *run, int64_t B, int64_t HW, int64_t C, const float *x, const float *s, float *y)
{
    Job j = {.B = B, .pixels = HW, .C = C, .x = x, .s = s, .y = y};
    pool_run(run->context, (size_t)(B * div_up(HW, MEAN_BLOCK)), scale_places, &j);
}

/* ---- backward -------------------------------------------------------------------------------- */

enum { CHANNELS = 64 /* per task */ };

/* For some channels of an image: each window adds its dy to the first of its pixels whose x equals the maximum y. */
static void max_image_back(void *arg, size_t task, int worker)
{
    (void)worker;
    const Job *j = arg;
    const int64_t blocks = div_up(j->C, CHANNELS), b = (int64_t)task / blocks, c0 = (int64_t)task % blocks * CHANNELS,
                  c1 = MIN(c0 + CHANNELS, j->C);
    const float *x = j->x + b * j->H * j->W * j->C;
    float *dx = j->dx + b * j->H * j->W * j->C;
    for (int64_t p = 0; p < j->H * j->W; p++)
        memset(dx + p * j->C + c0, 0, (size_t)(c1 - c0) * sizeof(float));
    for (int64_t o = 0; o < j->oh * j->ow; o++) {
        const int64_t h = o / j->ow * j->stride - j->pad, w = o % j->ow * j->stride - j->pad,
                      at = (b * j->oh * j->ow + o) * j->C;
        for (int64_t c = c0; c < c1; c += VW) {
            const vf most = load_some(j->y + at + c, c1 - c);
            vf left = load_some(j->dy + at + c, c1 - c); /* set to 0 when the pixel is found */
            for (int64_t i = MAX(h, 0); i < MIN(h + j->k, j->H); i++) {
                for (int64_t l = MAX(w, 0); l < MIN(w + j->k, j->W); l++) {
                    const int64_t place = (i * j->W + l) * j->C + c;
                    const vi here = load_some(x + place, c1 - c) == most;
                    store_some(dx + place, load_some(dx + place, c1 - c) + v_select(here, left, v_zero()), c1 - c);
                    left = v_select(here, v_zero(), left);
                }
            }
        }
    }
}

void FN(max_pool_back)(const Run *run, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride,
                       int64_t pad, const float *x, const float *y, const float *dy, float *dx)
{
    Job j = windows(B, H, W, C, k, stride, pad);
    j.x = x;
    j.y = (float *)y;
    j.dy = dy;
    j.dx = dx;
    pool_run(run->context, (size_t)(B * div_up(C, CHANNELS)), max_image_back, &j);
}

static void mean_image_back(void *arg, size_t b, int worker)
{
    (void)worker;
    const Job *j = arg;
    const float *dy = j->dy + (int64_t)b * j->C;
    float *dx = j->dx + (int64_t)b * j->pixels * j->C;
    for (int64_t p = 0; p < j->pixels; p++, dx += j->C) {
        for (int64_t c = 0; c < j->C; c += VW)
            store_some(dx + c, load_some(dy + c, j->C - c) / (float)j->pixels, j->C - c);
    }
}

void FN(mean_pool_back)(const Run *run, int64_t B, int64_t HW, int64_t C, const float *dy, float *dx)
{
    Job j = {.B = B, .pixels = HW, .C = C, .dy = dy, .dx = dx};
    pool_run(run->context, (size_t)B, mean_image_back, &j);
}

static void dot_image(void *arg, size_t b, int worker)
{
    (void)worker;
    const Job *j = arg;
    const float *x = j->x + (int64_t)b * j->pixels * j->C, *s = j->s + (int64_t)b * j->pixels * j->C;
    for (int64_t c = 0; c < j->C; c += VW) {
        vf sum = v_zero();
        for (int64_t p0 = 0; p0 < j->pixels; p0 += MEAN_BLOCK) {
            vf part = v_zero();
            for (int64_t p = p0; p < MIN(p0 + MEAN_BLOCK, j->pixels); p++)
                part = v_fma(load_some(x + p * j->C + c, j->C - c), load_some(s + p * j->C + c, j->C - c), part);
            sum = sum + part;
        }
        store_some(j->y + (int64_t)b * j->C + c, sum, j->C - c);
    }
}

void FN(channel_dot)(const Run *run, int64_t B, int64_t HW, int64_t C, const float *a, const float *b, float *y)
{
    Job j = {.B = B, .pixels = HW, .C = C, .x = a, .s = b, .y = y};
    pool_run(run->context, (size_t)B, dot_image, &j);
}
