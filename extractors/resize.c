/* extractors/resize.c: Pillow's antialiased resampling for 8-bit RGB, to the last bit (libImaging/Resample.c): weights of a filter
 * stretched by the scale, computed in double, normalised, rounded to fixed point; two passes, each rounded to 8 bits. */
#include "extractors/image.h"

#include <math.h>

enum { PRECISION_BITS = 32 - 8 - 2 };

/* Output position i of one axis = sum over j < count[i] of weight[i size + j] * input[start[i] + j]. */
typedef struct Axis {
    int64_t n, size;
    int64_t *start, *count;
    int32_t *weight;
} Axis;

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double cubic(double x) /* Keys's kernel with a = -0.5 */
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * a : 0.0;
}

/* Positions [first, first + n) of an axis resampled from `in` to `out`. */
static bool axis_make(Axis *ax, int64_t in, int64_t out, int64_t first, int64_t n, Filter f, Arena *a, Error *e)
{
    double scale = (double)in / (double)out, stretch = MAX(scale, 1.0);
    double support = (f == FILTER_BICUBIC ? 2.0 : 1.0) * stretch;
    *ax = (Axis){.n = n, .size = MIN((int64_t)ceil(support) * 2 + 1, in)};
    ax->start = NEW(a, int64_t, n, e);
    ax->count = NEW(a, int64_t, n, e);
    ax->weight = arena_alloc(a, (size_t)n, (size_t)ax->size * sizeof(int32_t), e);
    double *w = NEW(a, double, ax->size, e);
    if (!ax->start || !ax->count || !ax->weight || !w)
        return false;
    for (int64_t i = 0; i < n; i++) {
        double centre = ((double)(first + i) + 0.5) * scale, inverse = 1.0 / stretch, sum = 0.0;
        int64_t start = MAX((int64_t)(centre - support + 0.5), 0), end = MIN((int64_t)(centre + support + 0.5), in);
        int64_t count = end - start;
        for (int64_t j = 0; j < count; j++) {
            double at = ((double)(j + start) - centre + 0.5) * inverse;
            w[j] = f == FILTER_BICUBIC ? cubic(at) : triangle(at);
            sum += w[j];
        }
        for (int64_t j = 0; j < count; j++) {
            double fixed = (sum != 0.0 ? w[j] / sum : w[j]) * (1 << PRECISION_BITS);
            ax->weight[i * ax->size + j] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
        ax->start[i] = start;
        ax->count[i] = count;
    }
    return true;
}

static inline unsigned char clip(int32_t sum)
{
    int32_t v = sum >> PRECISION_BITS;
    return (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
}

enum { ROUND = 1 << (PRECISION_BITS - 1) };

/* One row [any, 3] -> [ax.n, 3]. */
static void resample_row(const Axis *ax, const unsigned char *in, unsigned char *out)
{
    for (int64_t x = 0; x < ax->n; x++) {
        const unsigned char *p = in + 3 * ax->start[x];
        const int32_t *w = ax->weight + x * ax->size;
        int32_t r = ROUND, g = ROUND, b = ROUND;
        for (int64_t j = 0; j < ax->count[x]; j++) {
            r += p[3 * j] * w[j];
            g += p[3 * j + 1] * w[j];
            b += p[3 * j + 2] * w[j];
        }
        out[3 * x] = clip(r);
        out[3 * x + 1] = clip(g);
        out[3 * x + 2] = clip(b);
    }
}

/* out[0 : bytes] = weighted sum of rows in, in + stride, ... */
static void resample_column(const unsigned char *in, int64_t stride, const int32_t *w, int64_t count, int64_t bytes,
                            unsigned char *out)
{
    enum { STRIP = 64 }; /* sums that stay in registers */
    for (int64_t x = 0; x < bytes; x += STRIP) {
        int64_t n = MIN(STRIP, bytes - x);
        int32_t sum[STRIP];
        for (int i = 0; i < STRIP; i++)
            sum[i] = ROUND;
        for (int64_t j = 0; j < count; j++) {
            const unsigned char *p = in + j * stride + x;
            int32_t k = w[j];
            if (n == STRIP)
                for (int i = 0; i < STRIP; i++)
                    sum[i] += p[i] * k;
            else
                for (int64_t i = 0; i < n; i++)
                    sum[i] += p[i] * k;
        }
        for (int64_t i = 0; i < n; i++)
            out[x + i] = clip(sum[i]);
    }
}

static void pass_across(Image *out, const Image *in, const Axis *across, int64_t first)
{
    for (int64_t y = 0; y < out->height; y++)
        resample_row(across, in->pixels + (y + first) * in->width * 3, out->pixels + y * out->width * 3);
}

/* Row 0 of `in` is row `first` of the picture that the axis speaks of; x in pixels, columns left .. left + out->width - 1. */
static void pass_down(Image *out, const Image *in, const Axis *down, int64_t first, int64_t left)
{
    for (int64_t y = 0; y < out->height; y++)
        resample_column(in->pixels + ((down->start[y] - first) * in->width + left) * 3, in->width * 3,
                        down->weight + y * down->size, down->count[y], out->width * 3, out->pixels + y * out->width * 3);
}

bool image_resize_part(Image *out, const Image *in, int64_t full_w, int64_t full_h, int64_t left, int64_t top, int64_t width,
                       int64_t height, Resampling r, Arena *a, Error *e)
{
    if (full_w > INT32_MAX || full_h > INT32_MAX)
        return fail(e, SP_USAGE, "a picture of %lld x %lld cannot be resized to %lld x %lld", (long long)in->width,
                    (long long)in->height, (long long)full_w, (long long)full_h);
    Axis across, down;
    Image middle;
    if (!image_room(out, width, height, "resize", 0, a, e) ||
        !axis_make(&across, in->width, full_w, left, width, r.filter, a, e) ||
        !axis_make(&down, in->height, full_h, top, height, r.filter, a, e))
        return false;
    int64_t lost_w = in->width - full_w, lost_h = in->height - full_h, last;
    if (r.passes == PASSES_PILLOW_13 && lost_h > 0 && lost_h > 2 * lost_w) {
        int64_t first = across.start[0]; /* the columns that the second pass reads */
        last = across.start[width - 1] + across.count[width - 1];
        if (!image_room(&middle, last - first, height, "resize", 0, a, e))
            return false;
        for (int64_t x = 0; x < width; x++)
            across.start[x] -= first;
        pass_down(&middle, in, &down, 0, first);
        pass_across(out, &middle, &across, 0);
    } else {
        int64_t first = down.start[0]; /* the rows that the second pass reads */
        last = down.start[height - 1] + down.count[height - 1];
        if (!image_room(&middle, width, last - first, "resize", 0, a, e))
            return false;
        pass_across(&middle, in, &across, first);
        pass_down(out, &middle, &down, first, 0);
    }
    return true;
}

bool image_resize(Image *out, const Image *in, int64_t width, int64_t height, Resampling r, Arena *a, Error *e)
{
    return image_resize_part(out, in, width, height, 0, 0, width, height, r, a, e);
}
