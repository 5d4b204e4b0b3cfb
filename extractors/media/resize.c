/* extractors/media/resize.c: antialiased resampling of 8-bit RGB with the exact bytes of Pillow (libImaging/Resample.c)
 * or of torchvision (ATen/native/cpu/UpSampleKernelAVXAntialias.h): two passes with the weights of axis.c, each rounded
 * to 8 bits. Also nearest-neighbour resampling. */
#include "extractors/media/axis.h"

#include <math.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* The most pixels of the whole image for RESIZE_TORCHVISION, even if a crop takes only a part. torchvision computes all
 * weights before the first pixel and makes the whole image. */
enum { MAX_TORCHVISION = 178956970 };

/* bytes of a vector; rows and columns of the squares that are transposed */
enum { SIDE = 16 };

typedef unsigned char Bytes __attribute__((vector_size(SIDE)));
typedef unsigned char BytesAny __attribute__((vector_size(SIDE), aligned(1), may_alias));

static inline unsigned char clip(int32_t sum, int bits)
{
    int32_t v = sum >> bits;
    return (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Computes to[0 .. 15], the sums of position i for the 16 bytes at p, p + step, ... An instruction of SSE2 multiplies
 * two pairs of 16-bit numbers and adds the two products. A weight may have more than 16 bits, so it is split into an
 * upper and a lower part (Axis.pairs). The upper parts of two neighbouring weights are one pair, their lower parts are
 * another. The integer results are the same as without SSE2. */
static inline void weigh(const Axis *ax, int64_t i, const unsigned char *p, int64_t step, unsigned char *to)
{
#if defined(__SSE2__)
    const __m128i zero = _mm_setzero_si128();
    const int32_t *w = ax->pairs + i * (ax->size + 1);
    __m128i high[4] = {zero, zero, zero, zero}, low[4];
    UNROLL
    for (int v = 0; v < 4; v++)
        low[v] = _mm_set1_epi32(1 << (ax->bits - 1));
    for (int64_t k = ax->count[i]; k > 0; k -= 2, p += 2 * step, w += 2) {
        const __m128i a = _mm_loadu_si128((const __m128i *)p),
                      b = k > 1 ? _mm_loadu_si128((const __m128i *)(p + step)) : zero;
        const __m128i w_high = _mm_set1_epi32(w[0]), w_low = _mm_set1_epi32(w[1]);
        const __m128i first = _mm_unpacklo_epi8(a, b), second = _mm_unpackhi_epi8(a, b);
        const __m128i pairs[4] = {_mm_unpacklo_epi8(first, zero), _mm_unpackhi_epi8(first, zero),
                                  _mm_unpacklo_epi8(second, zero), _mm_unpackhi_epi8(second, zero)};
        UNROLL
        for (int v = 0; v < 4; v++) {
            high[v] = _mm_add_epi32(high[v], _mm_madd_epi16(pairs[v], w_high));
            low[v] = _mm_add_epi32(low[v], _mm_madd_epi16(pairs[v], w_low));
        }
    }
    UNROLL
    for (int v = 0; v < 4; v++)
        low[v] = _mm_srai_epi32(_mm_add_epi32(low[v], _mm_slli_epi32(high[v], HALF_BITS)), ax->bits);
    _mm_storeu_si128((__m128i *)to, _mm_packus_epi16(_mm_packs_epi32(low[0], low[1]), _mm_packs_epi32(low[2], low[3])));
#else
    int32_t sum[SIDE];
    for (int v = 0; v < SIDE; v++)
        sum[v] = 1 << (ax->bits - 1);
    for (int64_t k = 0; k < ax->count[i]; k++, p += step)
        for (int v = 0; v < SIDE; v++)
            sum[v] += p[v] * ax->weight[i * ax->size + k];
    for (int v = 0; v < SIDE; v++)
        to[v] = clip(sum[v], ax->bits);
#endif
}

/* Computes the same sums for n < 16 bytes. */
static void weigh_few(const Axis *ax, int64_t i, const unsigned char *p, int64_t step, int64_t n, unsigned char *to)
{
    for (int64_t v = 0; v < n; v++) {
        int32_t sum = 1 << (ax->bits - 1);
        for (int64_t k = 0; k < ax->count[i]; k++)
            sum += p[k * step + v] * ax->weight[i * ax->size + k];
        to[v] = clip(sum, ax->bits);
    }
}

/* Transposes a square of 16 x 16 bytes: to[j,r] = from[r,j]. The address of a byte in the square has 8 bits: four for
 * the row, then four for the column. Each INTERLEAVE interleaves rows 0 .. 7 with rows 8 .. 15, which rotates these
 * bits to the left by one. After four rounds, row and column are exchanged. */
static void transpose16(const unsigned char *from, int64_t ld_from, unsigned char *to, int64_t ld_to)
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

/* Horizontal pass: computes the axis's columns of `out`, from column x0 on, from the rows first .. of `in`. Column 0 of
 * `in` is column `shift` of the whole image.
 *
 * Sixteen rows are transposed, so that the bytes of all rows at one position are contiguous and are computed together.
 * The last square and the last sixteen rows overlap the previous ones. docs/kernels/resize.md has the steps. */
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
    unsigned char *transposed = NEW(a, unsigned char, SIDE *(read + n), e), *results;
    if (!transposed)
        return false;
    results = transposed + SIDE * read;
    for (int64_t band = 0; band < out->height; band += SIDE) {
        int64_t y = MIN(band, out->height - SIDE);
        for (int64_t x = 0; x < read; x += SIDE) {
            int64_t at = MIN(x, read - SIDE);
            transpose16(source + y * from + at, from, transposed + at * SIDE, SIDE);
        }
        for (int64_t x = 0; x < n; x++)
            weigh(across, x / 3, transposed + ((across->start[x / 3] - begin) * 3 + x % 3) * SIDE, 3 * SIDE,
                  results + x * SIDE);
        for (int64_t x = 0; x < n; x += SIDE) {
            int64_t at = MIN(x, n - SIDE);
            transpose16(results + at * SIDE, SIDE, target + y * to + at, to);
        }
    }
    return true;
}

/* Vertical pass: computes the axis's rows of `out`, from row y0 on, from the columns left .. left + out->width - 1 of
 * `in`. Row 0 of `in` is row `first` of the whole image. */
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

/* all_across and all_down run a pass block by block. The table of a block is freed after it. */
static bool all_across(Image *out, const Image *in, const AxisResize *s, int64_t first, int64_t shift, Arena *a,
                       Error *e)
{
    Axis axis;
    for (int64_t done = 0; done < s->n; done += axis.n) {
        ArenaMark mark = arena_mark(a);
        AxisResize block = axis_resize_block(s, done);
        if (!axis_make(&axis, &block, a, e) || !pass_across(out, in, &axis, done, first, shift, a, e))
            return false;
        arena_rewind(a, mark);
    }
    return true;
}

static bool all_down(Image *out, const Image *in, const AxisResize *s, int64_t first, int64_t left, Arena *a, Error *e)
{
    Axis axis;
    for (int64_t done = 0; done < s->n; done += axis.n) {
        ArenaMark mark = arena_mark(a);
        AxisResize block = axis_resize_block(s, done);
        if (!axis_make(&axis, &block, a, e))
            return false;
        pass_down(out, in, &axis, done, first, left);
        arena_rewind(a, mark);
    }
    return true;
}

/* ---- nearest --------------------------------------------------------------------------------- */

/* Returns the input of each position of `s`. Pillow adds up steps in double precision (libImaging/Geometry.c,
 * ImagingScaleAffine); if a sum is beyond the last input, there is no input (-1). torch multiplies in float32. */
static int64_t *nearest_inputs(const AxisResize *s, Resizer resizer, Arena *a, Error *e)
{
    int64_t *in = NEW(a, int64_t, s->n, e);
    double step = (double)s->in / (double)s->out, at = step * 0.5;
    float scale = (float)s->in / (float)s->out;
    for (int64_t i = 0; in && resizer == RESIZE_TORCHVISION && i < s->n; i++)
        in[i] = MIN((int64_t)floorf((float)((double)(s->first + i) + 0.5) * scale), s->in - 1);
    for (int64_t i = 0; in && resizer != RESIZE_TORCHVISION && i < s->first + s->n; i++, at += step)
        if (i >= s->first)
            in[i - s->first] = (int64_t)at < s->in ? (int64_t)at : -1;
    return in;
}

/* Copies the input of each pixel. A pixel without an input stays black. */
static bool resize_nearest(Image *out, const Image *in, const AxisResize *across, const AxisResize *down, Resizer r,
                           Arena *a, Error *e)
{
    int64_t *columns = nearest_inputs(across, r, a, e), *rows = nearest_inputs(down, r, a, e);
    if (!columns || !rows)
        return false;
    for (int64_t y = 0; y < out->height; y++)
        for (int64_t x = 0; rows[y] >= 0 && x < out->width; x++)
            if (columns[x] >= 0) /* a pixel without an input stays as it is */
                memcpy(out->pixels + (y * out->width + x) * 3, in->pixels + (rows[y] * in->width + columns[x]) * 3, 3);
    return true;
}

/* ---- images ---------------------------------------------------------------------------------- */

/* Memory in addition to the result: the image between the passes; 8 MB for a table, or 16 bytes per pixel of the longer
 * side if that is more; 48 bytes per pixel of a row that the horizontal pass reads, and of a row that it writes. */
bool image_resize_part(Image *out, const Image *in, int64_t full_w, int64_t full_h, int64_t left, int64_t top,
                       int64_t width, int64_t height, Resampling r, Arena *a, Error *e)
{
    if (full_w <= 0 || full_h <= 0 || full_w > INT32_MAX || full_h > INT32_MAX ||
        (r.resizer == RESIZE_TORCHVISION && full_w > MAX_TORCHVISION / full_h))
        return fail(e, SP_USAGE, "an image of %lld x %lld cannot be resized to %lld x %lld", (long long)in->width,
                    (long long)in->height, (long long)full_w, (long long)full_h);
    AxisResize across, down;
    Image middle;
    int64_t lost_w = in->width - full_w, lost_h = in->height - full_h, first, last;
    if (!image_room(out, width, height, "resize", 0, a, e) ||
        !axis_resize_make(&across, in->width, full_w, left, width, r, a, e) ||
        !axis_resize_make(&down, in->height, full_h, top, height, r, a, e))
        return false;
    if (r.filter == FILTER_NEAREST)
        return resize_nearest(out, in, &across, &down, r.resizer, a, e);
    if (r.resizer == RESIZE_PILLOW && lost_h > 0 && lost_h > 2 * lost_w) {
        axis_resize_range(&across, &first, &last); /* the columns that the second pass reads */
        return image_room(&middle, last - first, height, "resize", 0, a, e) &&
               all_down(&middle, in, &down, 0, first, a, e) && all_across(out, &middle, &across, 0, first, a, e);
    }
    axis_resize_range(&down, &first, &last); /* the rows that the second pass reads */
    return image_room(&middle, width, last - first, "resize", 0, a, e) &&
           all_across(&middle, in, &across, first, 0, a, e) && all_down(out, &middle, &down, first, 0, a, e);
}

bool image_resize(Image *out, const Image *in, int64_t width, int64_t height, Resampling r, Arena *a, Error *e)
{
    return image_resize_part(out, in, width, height, 0, 0, width, height, r, a, e);
}
