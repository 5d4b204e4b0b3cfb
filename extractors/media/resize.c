/* extractors/media/resize.c: Pillow's antialiased resampling for 8-bit RGB, to the last bit (libImaging/Resample.c):
 * weights of a filter stretched by the scale, computed in double, normalised, rounded to fixed point; two passes, each
 * rounded to 8 bits. */
#include "extractors/media/decode.h"

#include <math.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { PRECISION_BITS = 32 - 8 - 2, HALF_BITS = 12 };

/* One axis: positions first .. first+n-1 of `out` that `in` is resampled to. */
typedef struct Stretch {
    int64_t in, out, first, n;
    Filter filter;
} Stretch;

/* Output position i of one axis = sum over j < count[i] of weight[i size + j] * input[start[i] + j]. */
typedef struct Axis {
    int64_t n, size;
    int64_t *start, *count;
    int32_t *weight;
    /* [n, size + 1]: of weights 2 j and 2 j + 1 the upper parts (>> HALF_BITS), 16 bits each, then the lower parts */
    int32_t *pairs;
} Axis;

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double cubic(double x) /* Keys's kernel with a = -0.5 */
{
    double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * a : 0.0;
}

/* The most weights in a table, 8 bytes each. For a longer axis, a million pixels for example, the table would be larger
 * than the image; it is then made for a block of positions at a time. */
enum { TABLE_MOST = 1 << 20 };

static double stretch_of(const Stretch *s)
{
    return MAX((double)s->in / (double)s->out, 1.0);
}

static double support_of(const Stretch *s)
{
    return (s->filter == FILTER_BICUBIC ? 2.0 : 1.0) * stretch_of(s);
}

/* The most inputs that a position has. */
static int64_t size_of(const Stretch *s)
{
    return MIN((int64_t)ceil(support_of(s)) * 2 + 1, s->in);
}

/* Inputs [*start, *end) of position i, and where its centre is among them. */
static double span_of(const Stretch *s, int64_t i, int64_t *start, int64_t *end)
{
    double centre = ((double)i + 0.5) * ((double)s->in / (double)s->out), support = support_of(s);
    *start = MAX((int64_t)(centre - support + 0.5), 0);
    *end = MIN((int64_t)(centre + support + 0.5), s->in);
    return centre;
}

/* The inputs of all its positions: starts and ends never fall. */
static void range_of(const Stretch *s, int64_t *start, int64_t *end)
{
    int64_t none;
    span_of(s, s->first, start, &none);
    span_of(s, s->first + s->n - 1, &none, end);
}

/* The next positions behind the first `done` whose table is small enough. */
static Stretch block_of(const Stretch *s, int64_t done)
{
    Stretch b = *s;
    b.first += done;
    b.n = MIN(s->n - done, MAX(TABLE_MOST / MAX(size_of(s), 1), 1));
    return b;
}

static bool axis_make(Axis *ax, const Stretch *s, Arena *a, Error *e)
{
    int64_t n = s->n;
    *ax = (Axis){.n = n, .size = size_of(s)};
    ax->start = NEW(a, int64_t, n, e);
    ax->count = NEW(a, int64_t, n, e);
    ax->weight = arena_alloc(a, (size_t)n, (size_t)ax->size * sizeof(int32_t), e);
    ax->pairs = arena_alloc(a, (size_t)n, (size_t)(ax->size + 1) * sizeof(int32_t), e);
    double *w = NEW(a, double, ax->size, e), inverse = 1.0 / stretch_of(s);
    if (!ax->start || !ax->count || !ax->weight || !ax->pairs || !w)
        return false;
    for (int64_t i = 0; i < n; i++) {
        int64_t start, end;
        double centre = span_of(s, s->first + i, &start, &end), sum = 0.0;
        int64_t count = end - start;
        for (int64_t j = 0; j < count; j++) {
            double at = ((double)(j + start) - centre + 0.5) * inverse;
            w[j] = s->filter == FILTER_BICUBIC ? cubic(at) : triangle(at);
            sum += w[j];
        }
        for (int64_t j = 0; j < count; j++) {
            double fixed = (sum != 0.0 ? w[j] / sum : w[j]) * (1 << PRECISION_BITS);
            ax->weight[i * ax->size + j] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
        for (int64_t j = 0; j < count; j += 2) {
            const int32_t *x = ax->weight + i * ax->size + j, y = j + 1 < count ? x[1] : 0, low = (1 << HALF_BITS) - 1;
            ax->pairs[i * (ax->size + 1) + j] =
                (int32_t)((uint32_t)(y >> HALF_BITS) << 16 | (uint16_t)(x[0] >> HALF_BITS));
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

/* to[0 .. 15] = the sums for place i of 16 bytes at p, p + step, ... SSE2 multiplies 16 bits by 16 and adds pairs, so
 * weights come as pairs in two halves: the same whole numbers. */
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

/* to[j,r] = from[r,j], 16 x 16 bytes. Interleaving the halves of 16 rows moves each bit of a byte's address up by one:
 * four times swaps row and column. */
static void turn(const unsigned char *from, int64_t ld_from, unsigned char *to, int64_t ld_to)
{
    Bytes a[SIDE], b[SIDE];
    UNROLL
    for (int r = 0; r < SIDE; r++)
        a[r] = *(const BytesAny *)(from + r * ld_from);
#define INTERLEAVE(x, y)                                                                                               \
    UNROLL                                                                                                             \
    for (int r = 0; r < SIDE / 2; r++) {                                                                               \
        y[2 * r] = __builtin_shufflevector(x[r], x[r + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);    \
        y[2 * r + 1] =                                                                                                 \
            __builtin_shufflevector(x[r], x[r + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);     \
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

/* Columns x0 .. of `out`, the axis's, from rows first .. of `in` across; column 0 of `in` is column `shift` of the
 * whole image. Sixteen rows are transposed, so that the same place of all is contiguous and they are computed together.
 * The last squares and the last sixteen rows overlap the ones before. docs/kernels/resize.md has the steps. */
static bool pass_across(Image *out, const Image *in, const Axis *across, int64_t x0, int64_t first, int64_t shift,
                        Arena *a, Error *e)
{
    int64_t from = in->width * 3, to = out->width * 3, n = across->n * 3, begin = across->start[0],
            end = across->start[across->n - 1] + across->count[across->n - 1], read = (end - begin) * 3;
    const unsigned char *source = in->pixels + first * from + (begin - shift) * 3;
    unsigned char *target = out->pixels + x0 * 3;
    if (out->height < SIDE || read < SIDE || n < SIDE) {
        for (int64_t y = 0; y < out->height; y++)
            for (int64_t x = 0; x < across->n; x++)
                weigh_few(across, x, source + y * from + (across->start[x] - begin) * 3, 3, 3, target + y * to + x * 3);
        return true;
    }
    unsigned char *turned = NEW(a, unsigned char, SIDE *(read + n), e), *results;
    if (!turned)
        return false;
    results = turned + SIDE * read;
    for (int64_t band = 0; band < out->height; band += SIDE) {
        int64_t y = MIN(band, out->height - SIDE);
        for (int64_t x = 0; x < read; x += SIDE) {
            int64_t at = MIN(x, read - SIDE);
            turn(source + y * from + at, from, turned + at * SIDE, SIDE);
        }
        for (int64_t x = 0; x < n; x++)
            weigh(across, x / 3, turned + ((across->start[x / 3] - begin) * 3 + x % 3) * SIDE, 3 * SIDE,
                  results + x * SIDE);
        for (int64_t x = 0; x < n; x += SIDE) {
            int64_t at = MIN(x, n - SIDE);
            turn(results + at * SIDE, SIDE, target + y * to + at, to);
        }
    }
    return true;
}

/* Rows y0 .. of `out`, the axis's. Row 0 of `in` is row `first` of the whole image; columns left ..
 * left + out->width - 1. */
static void pass_down(Image *out, const Image *in, const Axis *down, int64_t y0, int64_t first, int64_t left)
{
    int64_t from = in->width * 3, to = out->width * 3;
    for (int64_t y = 0; y < down->n; y++) {
        const unsigned char *p = in->pixels + (down->start[y] - first) * from + left * 3;
        unsigned char *target = out->pixels + (y0 + y) * to;
        if (to < SIDE)
            weigh_few(down, y, p, from, to, target);
        for (int64_t x = 0; x < to && to >= SIDE; x += SIDE) {
            int64_t at = MIN(x, to - SIDE);
            weigh(down, y, p + at, from, target + at);
        }
    }
}

/* Both work block by block; a block's table is freed after it. */
static bool all_across(Image *out, const Image *in, const Stretch *s, int64_t first, int64_t shift, Arena *a, Error *e)
{
    Axis axis;
    for (int64_t done = 0; done < s->n; done += axis.n) {
        ArenaMark mark = arena_mark(a);
        Stretch block = block_of(s, done);
        if (!axis_make(&axis, &block, a, e) || !pass_across(out, in, &axis, done, first, shift, a, e))
            return false;
        arena_rewind(a, mark);
    }
    return true;
}

static bool all_down(Image *out, const Image *in, const Stretch *s, int64_t first, int64_t left, Arena *a, Error *e)
{
    Axis axis;
    for (int64_t done = 0; done < s->n; done += axis.n) {
        ArenaMark mark = arena_mark(a);
        Stretch block = block_of(s, done);
        if (!axis_make(&axis, &block, a, e))
            return false;
        pass_down(out, in, &axis, done, first, left);
        arena_rewind(a, mark);
    }
    return true;
}

/* Takes, in addition to the result, the image between the passes and 8 MB for a table, or 16 bytes for each pixel of
 * the longer side where that is more; 48 bytes for each pixel of a row that is read. */
bool image_resize_part(Image *out, const Image *in, int64_t full_w, int64_t full_h, int64_t left, int64_t top,
                       int64_t width, int64_t height, Resampling r, Arena *a, Error *e)
{
    if (full_w > INT32_MAX || full_h > INT32_MAX)
        return fail(e, SP_USAGE, "an image of %lld x %lld cannot be resized to %lld x %lld", (long long)in->width,
                    (long long)in->height, (long long)full_w, (long long)full_h);
    Stretch across = {in->width, full_w, left, width, r.filter}, down = {in->height, full_h, top, height, r.filter};
    Image middle;
    int64_t lost_w = in->width - full_w, lost_h = in->height - full_h, first, last;
    if (!image_room(out, width, height, "resize", 0, a, e))
        return false;
    if (r.passes == PASSES_PILLOW_13 && lost_h > 0 && lost_h > 2 * lost_w) {
        range_of(&across, &first, &last); /* the columns that the second pass reads */
        return image_room(&middle, last - first, height, "resize", 0, a, e) &&
               all_down(&middle, in, &down, 0, first, a, e) && all_across(out, &middle, &across, 0, first, a, e);
    }
    range_of(&down, &first, &last); /* the rows that the second pass reads */
    return image_room(&middle, width, last - first, "resize", 0, a, e) &&
           all_across(&middle, in, &across, first, 0, a, e) && all_down(out, &middle, &down, first, 0, a, e);
}

bool image_resize(Image *out, const Image *in, int64_t width, int64_t height, Resampling r, Arena *a, Error *e)
{
    return image_resize_part(out, in, width, height, 0, 0, width, height, r, a, e);
}
