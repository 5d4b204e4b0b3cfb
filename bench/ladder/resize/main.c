/* Resizing: a poster to ResNet's 256 pixels across, reference, and Sapor's kernel as the last step. */
#include <math.h>
#include <stdlib.h>

#include "bench/ladder/resize/case.h"

typedef struct Size {
    int64_t w, h, out_w, out_h;
} Size;
static const Size SIZES[] = {{500, 740, 256, 379}}, TINY = {61, 40, 23, 17};

/* The weights of a triangle stretched by the scale, as weights_of in extractors/media/axis.c computes them. */
static Axis axis_of(int64_t in, int64_t out)
{
    const double scale = (double)in / (double)out;
    Axis a = {.in = in, .out = out, .size = (int64_t)ceil(scale) * 2 + 1};
    a.start = ladder_room((size_t)out, sizeof *a.start);
    a.count = ladder_room((size_t)out, sizeof *a.count);
    a.weight = ladder_room((size_t)(out * a.size), sizeof *a.weight);
    for (int64_t i = 0; i < out; i++) {
        const double centre = ((double)i + 0.5) * scale;
        const int64_t end = MIN((int64_t)(centre + scale + 0.5), in);
        double w[64], sum = 0;
        a.start[i] = MAX((int64_t)(centre - scale + 0.5), 0);
        a.count[i] = end - a.start[i];
        for (int64_t k = 0; k < a.count[i]; k++) {
            w[k] = fmax(1 - fabs((double)(a.start[i] + k) - centre + 0.5) / scale, 0);
            sum += w[k];
        }
        for (int64_t k = 0; k < a.count[i]; k++)
            a.weight[i * a.size + k] = (int32_t)(w[k] / sum * (1 << BITS) + 0.5);
    }
    return a;
}

static void reference(const Case *c)
{
    const Axis *x = &c->across, *y = &c->down;
    for (int64_t at = 0; at < y->in * x->out * 3; at++) {
        const int64_t i = at / (x->out * 3), j = at / 3 % x->out;
        int64_t sum = HALF;
        for (int64_t k = 0; k < x->count[j]; k++)
            sum += (int64_t)x->weight[j * x->size + k] * c->in[(i * x->in + x->start[j] + k) * 3 + at % 3];
        c->middle[at] = (unsigned char)(sum >> BITS);
    }
    for (int64_t at = 0; at < y->out * x->out * 3; at++) {
        const int64_t i = at / (x->out * 3), j = at % (x->out * 3);
        int64_t sum = HALF;
        for (int64_t k = 0; k < y->count[i]; k++)
            sum += (int64_t)y->weight[i * y->size + k] * c->middle[(y->start[i] + k) * x->out * 3 + j];
        c->expected[at] = (unsigned char)(sum >> BITS);
    }
}

static Case *make(int shape, Work *work)
{
    const Size *z = shape < 0 ? &TINY : &SIZES[shape];
    const int64_t in = z->w * z->h * 3, out = z->out_w * z->out_h * 3, middle = z->out_w * z->h * 3;
    const float *draws = ladder_numbers((size_t)in);
    Case *c = ladder_room(1, sizeof *c);
    *c = (Case){.across = axis_of(z->w, z->out_w),
                .down = axis_of(z->h, z->out_h),
                .in = ladder_room((size_t)in, 1),
                .out = ladder_room((size_t)out, 1),
                .middle = ladder_room((size_t)middle + 64, 1),
                .room = ladder_room((size_t)(z->w + z->out_w) * 48, 1),
                .expected = ladder_room((size_t)out, 1),
                .arena = ladder_arena()};
    for (int64_t i = 0; i < in; i++)
        c->in[i] = (unsigned char)(127.5f + 127.5f * draws[i]);
    c->picture = (Image){.width = z->w, .height = z->h, .pixels = c->in};
    reference(c);
    *work = (Work){.bytes = (double)(in + 2 * middle + out), .working_set = (double)(in + middle), .limit = 1.1 / 255};
    snprintf(work->name, sizeof work->name, "%lld x %lld to %lld x %lld", (long long)z->w, (long long)z->h,
             (long long)z->out_w, (long long)z->out_h);
    return c;
}

static void reset(Case *c)
{
    memset(c->out, 0, (size_t)(c->across.out * c->down.out * 3));
}

static double error_of(const Case *c)
{
    int largest_error = 0;
    for (int64_t i = 0; i < c->across.out * c->down.out * 3; i++)
        largest_error = MAX(largest_error, abs(c->out[i] - c->expected[i]));
    return largest_error / 255.0;
}

const Ladder ladder = {COUNT(SIZES), make, reset, error_of};

/* Computes its weights and allocates memory in each call. */
static void sapor(Case *c)
{
    const ArenaMark mark = arena_mark(c->arena);
    Error e = {0};
    Image out;
    if (image_resize(&out, &c->picture, c->across.out, c->down.out, (Resampling){FILTER_BILINEAR, RESIZE_PILLOW_12},
                     c->arena, &e)) {
        memcpy(c->out, out.pixels, (size_t)(c->across.out * c->down.out * 3));
    }
    arena_rewind(c->arena, mark);
}
STEP("Sapor", NULL, sapor)
