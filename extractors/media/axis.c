/* extractors/media/axis.c: the weights of one axis. A filter is stretched by the scale, computed in double, normalised,
 * and rounded to fixed point. Pillow uses 22 fractional bits (libImaging/Resample.c). torch uses the largest number of
 * bits for which the largest weight of the axis fits into 16 bits (ATen/native/cpu/UpSampleKernel.cpp). */
#include "extractors/media/axis.h"

#include <math.h>

enum { PILLOW_BITS = 32 - 8 - 2 };

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x)
{
    x = fabs(x);
    if (x == 0.0)
        return 1.0;
    if (x >= 1.0)
        return 0.0;
    x *= M_PI;
    return sin(x) / x * ((double)0.54f + (double)0.46f * cos(x)); /* Pillow has these constants in float32 */
}

static double cubic(double x) /* Keys's kernel with a = -0.5 */
{
    double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * a : 0.0;
}

static double sinc(double x)
{
    if (x == 0.0)
        return 1.0;
    x *= M_PI;
    return sin(x) / x;
}

static double lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

/* support: the distance from the centre at which a filter ends, in inputs, before it is stretched */
static const struct {
    double support, (*weight)(double x);
} FILTERS[] = {
    [FILTER_BILINEAR] = {1.0, triangle}, [FILTER_BICUBIC] = {2.0, cubic},   [FILTER_NEAREST] = {0.5, box},
    [FILTER_BOX] = {0.5, box},           [FILTER_HAMMING] = {1.0, hamming}, [FILTER_LANCZOS] = {3.0, lanczos}};

/* The most weights in a table, 8 bytes each. For a longer axis (a million pixels, for example), the table would be
 * larger than the image. Such an axis is computed in blocks of positions, with one table per block. */
enum { TABLE_MOST = 1 << 20 };

static double scale_of(const AxisResize *s)
{
    return MAX((double)s->in / (double)s->out, 1.0);
}

static double support_of(const AxisResize *s)
{
    return FILTERS[s->filter].support * scale_of(s);
}

/* Returns the most inputs that one position reads. */
static int64_t size_of(const AxisResize *s)
{
    return MIN((int64_t)ceil(support_of(s)) * 2 + 1, s->in);
}

/* Finds the inputs [*start, *end) of position i. Returns the position's centre, in inputs. */
static double span_of(const AxisResize *s, int64_t i, int64_t *start, int64_t *end)
{
    double centre = ((double)i + 0.5) * ((double)s->in / (double)s->out), support = support_of(s);
    *start = MAX((int64_t)(centre - support + 0.5), 0);
    *end = MIN((int64_t)(centre + support + 0.5), s->in);
    return centre;
}

/* Writes the normalised weights of position i to w. Returns the number of its inputs. */
static int64_t weights_of(const AxisResize *s, int64_t i, double *w, int64_t *start)
{
    int64_t end;
    double centre = span_of(s, i, start, &end), sum = 0.0, inverse = 1.0 / scale_of(s);
    int64_t count = end - *start;
    for (int64_t j = 0; j < count; j++) {
        w[j] = FILTERS[s->filter].weight(((double)(j + *start) - centre + 0.5) * inverse);
        sum += w[j];
    }
    for (int64_t j = 0; j < count && sum != 0.0; j++)
        w[j] /= sum;
    return count;
}

/* Finds the number of bits of torch's weights. The weights of the whole axis decide, even if only a part is computed.
 */
static bool torch_bits(AxisResize *s, Arena *a, Error *e)
{
    ArenaMark mark = arena_mark(a);
    int64_t start;
    double *w = NEW(a, double, size_of(s), e), most = 0.0;
    if (!w)
        return false;
    for (int64_t i = 0; i < s->out; i++) {
        int64_t count = weights_of(s, i, w, &start);
        for (int64_t j = 0; j < count; j++)
            most = MAX(most, w[j]);
    }
    arena_rewind(a, mark);
    s->bits = 0;
    while (s->bits < PILLOW_BITS && (int)(0.5 + most * (1 << (s->bits + 1))) < 1 << 15)
        s->bits++;
    return true;
}

bool axis_resize_make(AxisResize *s, int64_t in, int64_t out, int64_t first, int64_t n, Resampling r, Arena *a,
                      Error *e)
{
    *s = (AxisResize){in, out, first, n, r.filter, PILLOW_BITS};
    return r.resizer != RESIZE_TORCHVISION || torch_bits(s, a, e);
}

void axis_resize_range(const AxisResize *s, int64_t *start, int64_t *end)
{
    int64_t unused; /* starts and ends increase with the position */
    span_of(s, s->first, start, &unused);
    span_of(s, s->first + s->n - 1, &unused, end);
}

AxisResize axis_resize_block(const AxisResize *s, int64_t done)
{
    AxisResize b = *s;
    b.first += done;
    b.n = MIN(s->n - done, MAX(TABLE_MOST / MAX(size_of(s), 1), 1));
    return b;
}

bool axis_make(Axis *ax, const AxisResize *s, Arena *a, Error *e)
{
    int64_t n = s->n;
    *ax = (Axis){.n = n, .size = size_of(s), .bits = s->bits};
    ax->start = NEW(a, int64_t, n, e);
    ax->count = NEW(a, int64_t, n, e);
    ax->weight = arena_alloc(a, (size_t)n, (size_t)ax->size * sizeof(int32_t), e);
    ax->pairs = arena_alloc(a, (size_t)n, (size_t)(ax->size + 1) * sizeof(int32_t), e);
    double *w = NEW(a, double, ax->size, e);
    if (!ax->start || !ax->count || !ax->weight || !ax->pairs || !w)
        return false;
    for (int64_t i = 0; i < n; i++) {
        int64_t count = weights_of(s, s->first + i, w, &ax->start[i]);
        for (int64_t j = 0; j < count; j++) {
            double fixed = w[j] * (1 << s->bits);
            ax->weight[i * ax->size + j] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
        for (int64_t j = 0; j < count; j += 2) {
            const int32_t *x = ax->weight + i * ax->size + j, y = j + 1 < count ? x[1] : 0, low = (1 << HALF_BITS) - 1;
            ax->pairs[i * (ax->size + 1) + j] =
                (int32_t)((uint32_t)(y >> HALF_BITS) << 16 | (uint16_t)(x[0] >> HALF_BITS));
            ax->pairs[i * (ax->size + 1) + j + 1] = (y & low) << 16 | (x[0] & low);
        }
        ax->count[i] = count;
    }
    return true;
}
