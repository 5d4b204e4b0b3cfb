/* extractors/resize.c: Pillow's antialiased resampling for 8-bit RGB, to the last bit (libImaging/Resample.c): weights of a filter
 * stretched by the scale, computed in double, normalised, rounded to fixed point; two passes, each rounded to 8 bits. */
#include "extractors/image.h"

#include <math.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { PRECISION_BITS = 32 - 8 - 2, HALF_BITS = 12 };

/* Output position i of one axis = sum over j < count[i] of weight[i size + j] * input[start[i] + j]. */
typedef struct Axis {
    int64_t n, size;
    int64_t *start, *count;
    int32_t *weight;
    int32_t *
        pairs; /* [n, size + 1]: of weights 2 j and 2 j + 1 the upper parts (>> HALF_BITS), 16 bits each, then the lower ones */
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
    ax->pairs = arena_alloc(a, (size_t)n, (size_t)(ax->size + 1) * sizeof(int32_t), e);
    double *w = NEW(a, double, ax->size, e);
    if (!ax->start || !ax->count || !ax->weight || !ax->pairs || !w)
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
        for (int64_t j = 0; j < count; j += 2) {
            const int32_t *x = ax->weight + i * ax->size + j, y = j + 1 < count ? x[1] : 0, low = (1 << HALF_BITS) - 1;
            ax->pairs[i * (ax->size + 1) + j] = (int32_t)((uint32_t)(y >> HALF_BITS) << 16 | (uint16_t)(x[0] >> HALF_BITS));
            ax->pairs[i * (ax->size + 1) + j + 1] = (y & low) << 16 | (x[0] & low);
        }
        ax->start[i] = start;
        ax->count[i] = count;
    }
    return true;
}

enum { ROUND = 1 << (PRECISION_BITS - 1), SIDE = 16 };

typedef unsigned char Bytes __attribute__((vector_size(SIDE)));
typedef unsigned char BytesAny __attribute__((vector_size(SIDE), aligned(1), may_alias));

static inline unsigned char clip(int32_t sum)
{
    int32_t v = sum >> PRECISION_BITS;
    return (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* to[0 .. 15] = the sums for place i of 16 bytes at p, p + step, ... SSE2 multiplies 16 bits by 16 and adds pairs, so weights come as
 * pairs in two halves: the same whole numbers. */
static inline void weigh(const Axis *ax, int64_t i, const unsigned char *p, int64_t step, unsigned char *to)
{
#if defined(__SSE2__)
    const __m128i none = _mm_setzero_si128();
    const int32_t *w = ax->pairs + i * (ax->size + 1);
    __m128i high[4] = {none, none, none, none}, low[4];
    UNROLL
    for (int v = 0; v < 4; v++)
        low[v] = _mm_set1_epi32(ROUND);
    for (int64_t k = ax->count[i]; k > 0; k -= 2, p += 2 * step, w += 2) {
        const __m128i a = _mm_loadu_si128((const __m128i *)p),
                      b = k > 1 ? _mm_loadu_si128((const __m128i *)(p + step)) : none;
        const __m128i w_high = _mm_set1_epi32(w[0]), w_low = _mm_set1_epi32(w[1]);
        const __m128i first = _mm_unpacklo_epi8(a, b), second = _mm_unpackhi_epi8(a, b);
        const __m128i pairs[4] = {_mm_unpacklo_epi8(first, none), _mm_unpackhi_epi8(first, none),
                                  _mm_unpacklo_epi8(second, none), _mm_unpackhi_epi8(second, none)};
        UNROLL
        for (int v = 0; v < 4; v++) {
            high[v] = _mm_add_epi32(high[v], _mm_madd_epi16(pairs[v], w_high));
            low[v] = _mm_add_epi32(low[v], _mm_madd_epi16(pairs[v], w_low));
        }
    }
    UNROLL
    for (int v = 0; v < 4; v++)
        low[v] = _mm_srai_epi32(_mm_add_epi32(low[v], _mm_slli_epi32(high[v], HALF_BITS)), PRECISION_BITS);
    _mm_storeu_si128((__m128i *)to, _mm_packus_epi16(_mm_packs_epi32(low[0], low[1]), _mm_packs_epi32(low[2], low[3])));
#else
    int32_t sum[SIDE];
    for (int v = 0; v < SIDE; v++)
        sum[v] = ROUND;
    for (int64_t k = 0; k < ax->count[i]; k++, p += step)
        for (int v = 0; v < SIDE; v++)
            sum[v] += p[v] * ax->weight[i * ax->size + k];
    for (int v = 0; v < SIDE; v++)
        to[v] = clip(sum[v]);
#endif
}

/* The same for n < 16 bytes */
static void weigh_few(const Axis *ax, int64_t i, const unsigned char *p, int64_t step, int64_t n, unsigned char *to)
{
    for (int64_t v = 0; v < n; v++) {
        int32_t sum = ROUND;
        for (int64_t k = 0; k < ax->count[i]; k++)
            sum += p[k * step + v] * ax->weight[i * ax->size + k];
        to[v] = clip(sum);
    }
}

/* to[j,r] = from[r,j], 16 x 16 bytes. Interleaving the halves of 16 rows moves each bit of a byte's address up by one: four times
 * swaps row and column. */
static void turn(const unsigned char *from, int64_t ld_from, unsigned char *to, int64_t ld_to)
{
    Bytes a[SIDE], b[SIDE];
    UNROLL
    for (int r = 0; r < SIDE; r++)
        a[r] = *(const BytesAny *)(from + r * ld_from);
#define INTERLEAVE(x, y)                                                                                                    \
    UNROLL                                                                                                                  \
    for (int r = 0; r < SIDE / 2; r++) {                                                                                    \
        y[2 * r] = __builtin_shufflevector(x[r], x[r + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);         \
        y[2 * r + 1] =                                                                                                      \
            __builtin_shufflevector(x[r], x[r + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);          \
    }
    INTERLEAVE(a, b)
    INTERLEAVE(b, a)
    INTERLEAVE(a, b)
    INTERLEAVE(b, a)
#undef INTERLEAVE
    UNROLL
    for (int r = 0; r < SIDE; r++)
        *(BytesAny *)(to + r * ld_to) = a[r];
}

/* Rows first .. of `in` across. Sixteen rows are turned, so that the same place of all stands together and they go side by side; the last
 * squares and the last sixteen rows begin where whole ones are left. docs/kernels/resize.md has the steps. */
static bool pass_across(Image *out, const Image *in, const Axis *across, int64_t first, Arena *a, Error *e)
{
    const int64_t from = in->width * 3, to = out->width * 3;
    if (out->height < SIDE || from < SIDE || to < SIDE) {
        for (int64_t y = 0; y < out->height; y++)
            for (int64_t x = 0; x < out->width; x++)
                weigh_few(across, x, in->pixels + (y + first) * from + across->start[x] * 3, 3, 3,
                          out->pixels + y * to + x * 3);
        return true;
    }
    unsigned char *turned = NEW(a, unsigned char, SIDE *(from + to), e), *results;
    if (!turned)
        return false;
    results = turned + SIDE * from;
    for (int64_t band = 0; band < out->height; band += SIDE) {
        const int64_t y = MIN(band, out->height - SIDE);
        for (int64_t x = 0; x < from; x += SIDE) {
            const int64_t at = MIN(x, from - SIDE);
            turn(in->pixels + (y + first) * from + at, from, turned + at * SIDE, SIDE);
        }
        for (int64_t x = 0; x < to; x++)
            weigh(across, x / 3, turned + (across->start[x / 3] * 3 + x % 3) * SIDE, 3 * SIDE, results + x * SIDE);
        for (int64_t x = 0; x < to; x += SIDE) {
            const int64_t at = MIN(x, to - SIDE);
            turn(results + at * SIDE, SIDE, out->pixels + y * to + at, to);
        }
    }
    return true;
}

/* Row 0 of `in` is row `first` of the picture that the axis speaks of; x in pixels, columns left .. left + out->width - 1. */
static void pass_down(Image *out, const Image *in, const Axis *down, int64_t first, int64_t left)
{
    const int64_t from = in->width * 3, to = out->width * 3;
    for (int64_t y = 0; y < out->height; y++) {
        const unsigned char *p = in->pixels + (down->start[y] - first) * from + left * 3;
        if (to < SIDE)
            weigh_few(down, y, p, from, to, out->pixels + y * to);
        for (int64_t x = 0; x < to && to >= SIDE; x += SIDE) {
            const int64_t at = MIN(x, to - SIDE);
            weigh(down, y, p + at, from, out->pixels + y * to + at);
        }
    }
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
        return pass_across(out, &middle, &across, 0, a, e);
    } else {
        int64_t first = down.start[0]; /* the rows that the second pass reads */
        last = down.start[height - 1] + down.count[height - 1];
        if (!image_room(&middle, width, last - first, "resize", 0, a, e))
            return false;
        if (!pass_across(&middle, in, &across, first, a, e))
            return false;
        pass_down(out, &middle, &down, first, 0);
    }
    return true;
}

bool image_resize(Image *out, const Image *in, int64_t width, int64_t height, Resampling r, Arena *a, Error *e)
{
    return image_resize_part(out, in, width, height, 0, 0, width, height, r, a, e);
}
