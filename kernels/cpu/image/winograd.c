/* kernels/cpu/image/winograd.c: 3 x 3 convolutions of stride 1 by Winograd's method (Lavin & Gray 2016). In the paper's
 * letters, for an input square d and a filter g (' means transposed, * multiplies element by element):
 *
 *   Y = A' [sum over channels of (G g G') * (B' d B)] A
 *
 * A square is what the paper calls a tile; in this code a tile is the register tile of gemm. F(4x4, 3x3) computes a
 * square of 4 x 4 outputs from 6 x 6 inputs with 36 products. The direct method needs 144.
 *
 * How the loop is arranged, for a band of rows of squares (one task). The transformed squares of a band stay in the L2
 * cache. But if the weights are larger than this cache and the squares are few, AVX2 computes whole images:
 * - The input transform B' d B writes 36 matrices [squares, C], one per place in a square.
 * - Each matrix is multiplied by the matrix [C, O] of its place in register tiles. The filter transform G g G' is
 *   computed in float64 when the weights are packed.
 * - The output transform A' M A turns the products M into outputs, and adds bias, residual and activation.
 *
 * The choice of F depends only on C, O and Conv.winograd:
 * - F(2x2, 3x3) if C or O is above 384: 2 x 2 outputs from 4 x 4 inputs with 16 products. The direct method needs 36.
 *   Layers of this size read their weights from memory. F(2x2, 3x3) has 16 matrices of weights, F(4x4, 3x3) has 36.
 * - F(6x6, 3x3) if Conv.winograd is 6 and C and O are at most 128: 6 x 6 outputs from 8 x 8 inputs with 64 products.
 *   The direct method needs 324. Compared with F(4x4, 3x3), this is a fifth less work, but the rounding errors are four
 *   times as large.
 * - F(4x4, 3x3) otherwise.
 *
 * The bits of a square depend on its own pixels only. */
#include "kernels/cpu/image/winograd.h"

enum {
    MAX_OUT = 6,
    MAX_IN = MAX_OUT + 2,
    SLACK = 16, /* padding of rows of A and C, in floats: rows a power of two apart would share cache sets */
    /* floats of a task's transformed squares, before and after the product: three quarters of 1 MB */
    BAND_FLOATS = 3 << 16,
    L2_FLOATS = 1 << 17,   /* floats of weights that fit into the L2 cache together with the squares */
    FEW_SQUARES = 64,      /* small images have at most this number of squares */
    MAX_SQUARES = 256,     /* squares at a time, if the threads share them */
    MAX_CHANNELS = 512,    /* the largest C and the largest O */
    MAX_CHANNELS_F4 = 384, /* for F(4,3): with more channels, none of the 36 weight matrices would stay in a cache */
    MAX_CHANNELS_F6 = 128  /* for F(6,3): with more channels, the 64 weight matrices do not stay in the L2 cache */
};

/* The evaluation points along one axis. The out + 2 inputs and the 3 weights are polynomials, evaluated at 0, +-p[0],
 * +-p[1], ... and infinity. */
typedef struct Points {
    int out, pairs;
    double p[3];
    float all_pairs[4];       /* the coefficients of x^0, x^2, ... in the product of (x^2 - p^2) over all pairs */
    float without_pair[3][3]; /* the same product without pair i */
    float power[3][6];        /* p[i]^j */
} Points;

/* The points of F(4,3). The root mean square error for 256 channels, compared with the direct method:
 * - P = 0.6875, Q = 1.5: 1.7 times as large. No other multiples of 1/16 are better.
 * - Lavin & Gray's points 1 and 2: about 3.7 times as large. They would save a few multiplications.
 * - 0.5, 1 and 2 (F(6,3)): 7 times as large.
 *
 * Every constant is an exact float32 number. */
#define P  0.6875f
#define Q  1.5f
#define PP (P * P)
#define QQ (Q * Q)
static const Points points_2 = {
    .out = 2, .pairs = 1, .p = {1}, .all_pairs = {-1, 1}, .without_pair = {{1}}, .power = {{1, 1}}};
static const Points points_4 = {.out = 4,
                                .pairs = 2,
                                .p = {P, Q},
                                .all_pairs = {PP * QQ, -(PP + QQ), 1},
                                .without_pair = {{-QQ, 1}, {-PP, 1}},
                                .power = {{1, P, PP, P *PP}, {1, Q, QQ, Q *QQ}}};
static const Points points_6 = {
    .out = 6,
    .pairs = 3,
    .p = {0.5, 1, 2},
    .all_pairs = {-1, 5.25f, -5.25f, 1},
    .without_pair = {{4, -5, 1}, {1, -4.25f, 1}, {0.25f, -1.25f, 1}},
    .power = {{1, 0.5f, 0.25f, 0.125f, 0.0625f, 0.03125f}, {1, 1, 1, 1, 1, 1}, {1, 2, 4, 8, 16, 32}}};

bool FN(winograd_supports)(const Conv *c)
{
    return c->kh == 3 && c->kw == 3 && c->stride == 1 && c->groups == 1 && c->C % 16 == 0 && c->O % 16 == 0 &&
           c->C >= 32 && c->O >= 32 && c->C <= MAX_CHANNELS && c->O <= MAX_CHANNELS;
}

static const Points *points_of(const Conv *c)
{
    if (c->C > MAX_CHANNELS_F4 || c->O > MAX_CHANNELS_F4)
        return &points_2;
    return c->winograd == 6 && c->C <= MAX_CHANNELS_F6 && c->O <= MAX_CHANNELS_F6 ? &points_6 : &points_4;
}

static int places(const Conv *c) /* the number of values in a transformed square */
{
    const int in = points_of(c)->out + 2;
    return in * in;
}

/* ---- weights --------------------------------------------------------------------------------- */

size_t FN(winograd_pack_bytes)(const Conv *c)
{
    return (size_t)(places(c) * div_up(c->O, TILE_COLS) * TILE_COLS * c->C) * sizeof(float);
}

typedef struct Packing {
    const Conv *c;
    const float *weights;
    float *packed;
} Packing;

/* Computes the filter transform along one axis, G w: f->out + 2 values from 3 weights. f->out is the number of outputs
 * of a tile along this axis. */
static void filter_transform_1d(const Points *f, const double w[3], double to[MAX_IN])
{
    to[0] = w[0] / (double)f->all_pairs[0];
    for (int i = 0; i < f->pairs; i++) {
        const double p = f->p[i], pp = p * p;
        double slope = 2 * pp;
        for (int j = 0; j < f->pairs; j++)
            slope *= j == i ? 1 : pp - f->p[j] * f->p[j];
        to[2 * i + 1] = (w[0] + p * w[1] + pp * w[2]) / slope;
        to[2 * i + 2] = (w[0] - p * w[1] + pp * w[2]) / slope;
    }
    to[f->out + 1] = w[2];
}

static __attribute__((cold)) void pack_panel(void *arg, size_t panel, int worker)
{
    (void)worker;
    const Packing *p = arg;
    const Points *f = points_of(p->c);
    const int in = f->out + 2;
    const int64_t C = p->c->C, panels = div_up(p->c->O, TILE_COLS);
    float *to = p->packed + (int64_t)panel * C * TILE_COLS;
    for (int64_t c = 0; c < C; c++) {
        for (int64_t n = 0; n < TILE_COLS; n++) {
            const int64_t o = (int64_t)panel * TILE_COLS + n;
            double column[3][MAX_IN] = {{0}}, row[MAX_IN];
            for (int j = 0; j < 3 && o < p->c->O; j++) {
                const float *w = p->weights + (o * C + c) * 9 + j;
                filter_transform_1d(f, (double[]){w[0], w[3], w[6]}, column[j]);
            }
            for (int i = 0; i < in; i++) {
                filter_transform_1d(f, (double[]){column[0][i], column[1][i], column[2][i]}, row);
                for (int j = 0; j < in; j++)
                    to[((i * in + j) * panels * C + c) * TILE_COLS + n] = (float)row[j];
            }
        }
    }
}

void FN(winograd_pack)(const Run *run, const Conv *c, const float *weights, void *packed)
{
    Packing p = {c, weights, packed};
    pool_run(run->context, (size_t)div_up(c->O, TILE_COLS), pack_panel, &p);
}

/* ---- squares --------------------------------------------------------------------------------- */

typedef struct Job {
    const Conv *c;
    const Points *points;
    int64_t oh, ow, high, wide; /* oh, ow: outputs per image; high, wide: squares per image */
    /* true: all threads work on the same stage, for some rows of squares at a time; false: each band is a task */
    bool shared;
    int64_t rows;  /* rows of squares at a time, over all images (shared), or rows of the largest band */
    int64_t bands; /* per image */
    float *work;
} Job;

/* Some rows of squares, from `first` on, that are transformed and multiplied together. Rows are counted over all
 * images. */
typedef struct Part {
    const Job *job;
    int64_t first, rows;
    float *in, *out; /* [place][square][channel] */
} Part;

static Job plan(const Conv *c, int threads)
{
    Job j = {.c = c,
             .points = points_of(c),
             .oh = conv_out(c->H, 3, 1, c->top + c->bottom),
             .ow = conv_out(c->W, 3, 1, c->left + c->right)};
    j.high = div_up(j.oh, j.points->out);
    j.wide = div_up(j.ow, j.points->out);
    const int64_t row = places(c) * j.wide * (c->C + c->O + 2 * SLACK);
    j.bands = MIN(div_up(j.high * row, BAND_FLOATS), j.high);
    /* few squares and many weights: each of several bands would read all weights from memory */
    const bool few = j.high * j.wide <= FEW_SQUARES && places(c) * c->C * c->O > L2_FLOATS;
    if (few && BY_PANEL)
        j.bands = 1;
    if (threads > 1)
        j.bands = MIN(MAX(j.bands, div_up(2 * threads, MAX(c->B, 1))), j.high);
    j.rows = div_up(j.high, MAX(j.bands, 1));
    j.shared = c->B < threads && few;
    if (j.shared)
        j.rows = MIN(c->B * j.high, div_up(MAX_SQUARES, j.wide));
    return j;
}

static size_t part_floats(const Job *j)
{
    return (size_t)(places(j->c) * j->rows * j->wide * (j->c->C + j->c->O + 2 * SLACK));
}

int FN(winograd_outputs)(const Conv *c)
{
    return points_of(c)->out;
}

size_t FN(winograd_work)(const Run *run, const Conv *c)
{
    const int threads = threads_of(run);
    const Job j = plan(c, threads);
    return part_floats(&j) * sizeof(float) * (size_t)(j.shared ? 1 : threads);
}

/* Returns the sum over k < n of by[k] d[2 k]; by[n-1] is 1. */
INLINE vf even_sum(const int n, const float *by, const vf *d)
{
    vf sum = d[2 * n - 2];
    UNROLL
    for (int k = n - 2; k >= 0; k--)
        sum = v_fma(v_set(by[k]), d[2 * k], sum);
    return sum;
}

/* The input transform along one axis, B' d: out + 2 vectors become out + 2 vectors. The terms that +p and -p share are
 * computed once. */
INLINE void input_transform_1d(const Points *f, const int pairs, const vf *d, vf *to)
{
    to[0] = even_sum(pairs + 1, f->all_pairs, d);
    UNROLL
    for (int i = 0; i < pairs; i++) {
        const vf even = even_sum(pairs, f->without_pair[i], d + 2), odd = even_sum(pairs, f->without_pair[i], d + 1);
        to[2 * i + 1] = v_fma(v_set(f->power[i][1]), odd, even);
        to[2 * i + 2] = v_fma(v_set(-f->power[i][1]), odd, even);
    }
    to[2 * pairs + 1] = even_sum(pairs + 1, f->all_pairs, d + 1);
}

/* The output transform along one axis, A' m: out + 2 vectors become out vectors. */
INLINE void output_transform_1d(const Points *f, const int pairs, const vf *m, vf *to)
{
    vf even[3], odd[3], sum = m[0];
    UNROLL
    for (int i = 0; i < pairs; i++) {
        even[i] = m[2 * i + 1] + m[2 * i + 2];
        odd[i] = m[2 * i + 1] - m[2 * i + 2];
        sum += even[i];
    }
    to[0] = sum;
    UNROLL
    for (int j = 1; j < 2 * pairs; j++) {
        const vf *x = j % 2 ? odd : even;
        const float last = f->power[pairs - 1][j];
        sum = j < 2 * pairs - 1 ? x[pairs - 1] * last : v_fma(v_set(last), x[pairs - 1], m[2 * pairs + 1]);
        UNROLL
        for (int i = pairs - 2; i >= 0; i--)
            sum = v_fma(v_set(f->power[i][j]), x[i], sum);
        to[j] = sum;
    }
}

/* Writes pointers to the `in` x `in` input pixels of the square whose first output is (h, w); x is the image. Pointers
 * of pixels outside the image point to zeros. */
static NOINLINE void find_pixels(const Conv *c, const float *x, int64_t h, int64_t w, int in,
                                 const float *pixel[MAX_IN][MAX_IN])
{
    static const float zeros[MAX_CHANNELS] = {0};
    for (int i = 0; i < in; i++) {
        for (int j = 0; j < in; j++) {
            const int64_t y = h - c->top + i, z = w - c->left + j;
            pixel[i][j] = y >= 0 && y < c->H && z >= 0 && z < c->W ? x + (y * c->W + z) * c->C : zeros;
        }
    }
}

/* Transforms the input square whose first output is (h, w), for all channels; x is the image. The values of place p are
 * written to to + p ld. */
INLINE void input_transform_2d(const Points *f, const int pairs, const Conv *c, const float *x, int64_t h, int64_t w,
                               float *to, int64_t ld)
{
    enum { IN = MAX_IN };
    const int in = 2 * pairs + 2;
    const float *pixel[IN][IN];
    find_pixels(c, x, h, w, in, pixel);
    for (int64_t ch = 0; ch < c->C; ch += VW) {
        vf half[IN][IN]; /* [row][column]: transformed along the columns */
        for (int j = 0; j < in; j++) {
            vf d[IN], t[IN];
            UNROLL
            for (int i = 0; i < in; i++)
                d[i] = v_load(pixel[i][j] + ch);
            input_transform_1d(f, pairs, d, t);
            UNROLL
            for (int i = 0; i < in; i++)
                half[i][j] = t[i];
        }
        for (int i = 0; i < in; i++) {
            vf t[IN];
            input_transform_1d(f, pairs, half[i], t);
            UNROLL
            for (int j = 0; j < in; j++)
                v_store(to + (i * in + j) * ld + ch, t[j]);
        }
    }
}
/* Transforms the products of one square to outputs. rows x cols of the outputs are inside the image. y is the first
 * output. */
INLINE void output_transform_2d(const Points *f, const int pairs, const float *from, int64_t ld, int64_t O,
                                int64_t rows, int64_t cols, float *y, int64_t y_row)
{
    const int out = 2 * pairs, in = out + 2;
    for (int64_t o = 0; o < O; o += VW) {
        vf half[MAX_OUT][MAX_IN];
        for (int j = 0; j < in; j++) {
            vf m[MAX_IN], t[MAX_OUT];
            UNROLL
            for (int i = 0; i < in; i++)
                m[i] = v_load(from + (i * in + j) * ld + o);
            output_transform_1d(f, pairs, m, t);
            UNROLL
            for (int i = 0; i < out; i++)
                half[i][j] = t[i];
        }
        for (int i = 0; i < out && i < rows; i++) {
            vf t[MAX_OUT];
            output_transform_1d(f, pairs, half[i], t);
            UNROLL
            for (int j = 0; j < out; j++) {
                if (j < cols)
                    v_store(y + i * y_row + j * O + o, t[j]);
            }
        }
    }
}
/* Both transforms for one size. The sizes and the points are compile-time constants. */
typedef struct Transform {
    void (*input_transform_2d)(const Conv *c, const float *x, int64_t h, int64_t w, float *to, int64_t ld);
    void (*output_transform_2d)(const float *from, int64_t ld, int64_t O, int64_t rows, int64_t cols, float *y,
                                int64_t y_row);
} Transform;
#define TRANSFORM(out)                                                                                                 \
    static void input_transform_##out(const Conv *c, const float *x, int64_t h, int64_t w, float *to, int64_t ld)      \
    {                                                                                                                  \
        input_transform_2d(&points_##out, out / 2, c, x, h, w, to, ld);                                                \
    }                                                                                                                  \
    static void output_transform_##out(const float *from, int64_t ld, int64_t O, int64_t rows, int64_t cols, float *y, \
                                       int64_t y_row)                                                                  \
    {                                                                                                                  \
        output_transform_2d(&points_##out, out / 2, from, ld, O, rows, cols, y, y_row);                                \
    }
TRANSFORM(2)
TRANSFORM(4)
TRANSFORM(6)
static const Transform transforms[] = {{input_transform_2, output_transform_2},
                                       {input_transform_4, output_transform_4},
                                       {input_transform_6, output_transform_6}};

static const Transform *transform_of(const Points *f)
{
    return &transforms[f->pairs - 1];
}

static void input_row(void *arg, size_t task, int worker)
{
    (void)worker;
    const Part *p = arg;
    const Job *j = p->job;
    const Conv *c = j->c;
    const int64_t row = p->first + (int64_t)task, b = row / j->high, h = row % j->high * j->points->out,
                  ld = c->C + SLACK;
    const float *x = (const float *)c->x + b * c->H * c->W * c->C;
    float *to = p->in + (int64_t)task * j->wide * ld;
    for (int64_t w = 0; w < j->ow; w += j->points->out, to += ld)
        transform_of(j->points)->input_transform_2d(c, x, h, w, to, p->rows * j->wide * ld);
}

static void multiply_place(void *arg, size_t at, int worker)
{
    (void)worker;
    const Part *p = arg;
    const Conv *c = p->job->c;
    const int64_t squares = p->rows * p->job->wide, first = (int64_t)at * squares, tiles = div_up(squares, TILE_ROWS);
    Tile t = {.len = c->C,
              .segs = 1,
              .a_row = c->C + SLACK,
              .a_step = 1,
              .b = (const float *)c->packed + (int64_t)at * div_up(c->O, TILE_COLS) * TILE_COLS * c->C,
              .b_row = TILE_COLS,
              .b_panel = c->C * TILE_COLS,
              .ldc = c->O + SLACK,
              .first = true};
#if BY_PANEL
    if (tiles > 2 && places(c) * c->C * c->O > L2_FLOATS) {
        t.a = p->in + first * t.a_row;
        for (int64_t n = 0; n < c->O; n += TILE_COLS, t.b += t.b_panel) {
            t.c = p->out + first * t.ldc + n;
            FN(tile_panel)(t, squares, tiles, MIN(c->O - n, TILE_COLS));
        }
        return;
    }
#endif
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t m = part_begin(squares, tiles, i);
        t.a = p->in + (first + m) * t.a_row;
        t.c = p->out + (first + m) * t.ldc;
        FN(tile_row)(t, (int)(part_begin(squares, tiles, i + 1) - m), c->O);
    }
}

static void output_row(void *arg, size_t task, int worker)
{
    (void)worker;
    const Part *p = arg;
    const Job *j = p->job;
    const Conv *c = j->c;
    const int64_t row = p->first + (int64_t)task, b = row / j->high, h = row % j->high * j->points->out,
                  ld = c->O + SLACK;
    const int64_t side = j->points->out, rows = MIN(side, j->oh - h), y_row = j->ow * c->O,
                  at = (b * j->oh + h) * y_row;
    const float *from = p->out + (int64_t)task * j->wide * ld;
    for (int64_t w = 0; w < j->ow; w += side, from += ld)
        transform_of(j->points)->output_transform_2d(from, p->rows * j->wide * ld, c->O, rows, MIN(side, j->ow - w),
                                                     (float *)c->y + at + w * c->O, y_row);
    if (c->bias || c->residual || c->act != ACT_NONE) {
        const Finish f = {1, 0, c->bias, c->residual ? (const float *)c->residual + at : NULL, c->O, c->act, 0};
        FN(tile_finish)(&f, rows * j->ow, c->O, (float *)c->y + at, c->O, (float *)c->y + at, c->O);
    }
}

static Part part_of(const Job *j, int64_t first, int64_t rows, int worker)
{
    Part p = {j, first, rows, j->work + part_floats(j) * (size_t)worker, NULL};
    p.out = p.in + places(j->c) * rows * j->wide * (j->c->C + SLACK);
    return p;
}

/* Computes one band of an image: rows of squares that fit into a cache. image_row is the first row of squares of the
 * image among all images. */
static void band(void *arg, size_t task, int worker)
{
    const Job *j = arg;
    const int64_t image_row = (int64_t)task / j->bands * j->high, strip = (int64_t)task % j->bands,
                  first = part_begin(j->high, j->bands, strip);
    Part p = part_of(j, image_row + first, part_begin(j->high, j->bands, strip + 1) - first, worker);
    for (int64_t row = 0; row < p.rows; row++)
        input_row(&p, (size_t)row, worker);
    for (int at = 0; at < places(j->c); at++)
        multiply_place(&p, (size_t)at, worker);
    for (int64_t row = 0; row < p.rows; row++)
        output_row(&p, (size_t)row, worker);
}

void FN(winograd)(const Run *run, const Conv *c)
{
    Job j = plan(c, threads_of(run));
    j.work = run->work;
    if (!j.shared) {
        pool_run(run->context, (size_t)(c->B * j.bands), band, &j);
        return;
    }
    for (int64_t row = 0; row < c->B * j.high; row += j.rows) {
        Part p = part_of(&j, row, MIN(j.rows, c->B * j.high - row), 0);
        pool_run(run->context, (size_t)p.rows, input_row, &p);
        pool_run(run->context, (size_t)places(c), multiply_place, &p);
        pool_run(run->context, (size_t)p.rows, output_row, &p);
    }
}
