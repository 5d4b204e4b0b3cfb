/* 3 x 3 convolutions of stride 1 by Winograd's F(4x4, 3x3) (Lavin & Gray 2016): each 4 x 4 square of outputs comes from its 6 x 6 square
 * of inputs by 36 products where the direct way takes 144. Squares of a band of the image, taken apart by B', make 36 matrices
 * [squares, C], each multiplied with its [C, O] of the weights (made at packing, in double), and put together by A'.
 * Of a convolution's shape only C and O decide who comes here, and a square's bits depend on nothing but its own pixels. */
#include "kernels/cpu/winograd.h"

enum {
    IN = 6,
    OUT = 4,
    AT = IN * IN, /* places of the transformed square */
    SLACK = 16,   /* rows of A a power of two apart would share cache sets */
    BAND_FLOATS =
        3 << 16, /* transformed squares before and after the product that a task works on: three quarters of 1 MB */
    LARGEST = 384
};

bool K(winograd_takes)(const Conv *c)
{
    return c->kh == 3 && c->kw == 3 && c->stride == 1 && c->groups == 1 && c->C % 16 == 0 && c->O % 16 == 0 && c->C >= 32 &&
           c->O >= 32 && c->C <= LARGEST && c->O <= LARGEST;
}

static int64_t up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t cut(int64_t n, int64_t parts, int64_t i) /* part i of n things in parts begins here, evenly */
{
    return n / parts * i + MIN(n % parts, i);
}

/* ---- weights ---------------------------------------------------------------------------------------------------------------- */

size_t K(winograd_pack_bytes)(const Conv *c)
{
    return (size_t)(AT * up(c->O, TILE_COLS) * TILE_COLS * c->C) * sizeof(float);
}

typedef struct Packing {
    const Conv *c;
    const float *weights;
    float *packed;
} Packing;

/* The points are 0, +-P, +-Q and infinity. Lavin & Gray's 1 and 2 would save a few products, but err 2.2 times as much (root mean
 * square, 256 channels); these err 1.7 times as much as the direct way. Every constant below is a float32 number. */
#define P  0.6875
#define Q  1.5
#define PP (P * P)
#define QQ (Q * Q)

/* G w: 3 numbers to 6 */
static void spread(const double w[3], double to[IN])
{
    const double p = 1 / (2 * PP * (PP - QQ)), q = 1 / (2 * QQ * (QQ - PP));
    to[0] = w[0] / (PP * QQ);
    to[1] = p * (w[0] + P * w[1] + PP * w[2]);
    to[2] = p * (w[0] - P * w[1] + PP * w[2]);
    to[3] = q * (w[0] + Q * w[1] + QQ * w[2]);
    to[4] = q * (w[0] - Q * w[1] + QQ * w[2]);
    to[5] = w[2];
}

static __attribute__((cold)) void pack_panel(void *arg, size_t panel, int worker)
{
    (void)worker;
    const Packing *p = arg;
    const int64_t C = p->c->C, panels = up(p->c->O, TILE_COLS);
    float *to = p->packed + (int64_t)panel * C * TILE_COLS;
    for (int64_t c = 0; c < C; c++) {
        for (int64_t n = 0; n < TILE_COLS; n++) {
            const int64_t o = (int64_t)panel * TILE_COLS + n;
            double column[3][IN] = {{0}}, row[IN];
            for (int j = 0; j < 3 && o < p->c->O; j++) {
                const float *w = p->weights + (o * C + c) * 9 + j;
                spread((double[]){w[0], w[3], w[6]}, column[j]);
            }
            for (int i = 0; i < IN; i++) {
                spread((double[]){column[0][i], column[1][i], column[2][i]}, row);
                for (int j = 0; j < IN; j++) {
                    to[((i * IN + j) * panels * C + c) * TILE_COLS + n] = (float)row[j];
                }
            }
        }
    }
}

void K(winograd_pack)(const Run *run, const Conv *c, const float *weights, void *packed)
{
    Packing p = {c, weights, packed};
    pool_run(run->pool, (size_t)up(c->O, TILE_COLS), pack_panel, &p);
}

/* ---- squares ---------------------------------------------------------------------------------------------------------------- */

typedef struct Job {
    const Conv *c;
    int64_t oh, ow, high, wide; /* outputs; squares */
    int64_t bands, rows;        /* of squares; rows of the largest band */
    float *work;
} Job;

static Job plan(const Conv *c, int threads)
{
    Job j = {.c = c, .oh = conv_out(c->H, 3, 1, c->top + c->bottom), .ow = conv_out(c->W, 3, 1, c->left + c->right)};
    j.high = up(j.oh, OUT);
    j.wide = up(j.ow, OUT);
    const int64_t row = AT * j.wide * (c->C + c->O + 2 * SLACK);
    j.bands = MIN(up(j.high * row, BAND_FLOATS), j.high);
    if (threads > 1) {
        j.bands = MIN(MAX(j.bands, up(2 * threads, MAX(c->B, 1))), j.high);
    }
    j.rows = up(j.high, MAX(j.bands, 1));
    return j;
}

static size_t squares_floats(const Job *j) /* of one worker */
{
    return (size_t)(AT * j->rows * j->wide * (j->c->C + j->c->O + 2 * SLACK));
}

size_t K(winograd_work)(const Conv *c, int threads)
{
    const Job j = plan(c, threads);
    return squares_floats(&j) * sizeof(float) * (size_t)threads;
}

INLINE vf times(double a, vf x, vf y) /* a x + y */
{
    return v_fma(v_set((float)a), x, y);
}

/* B' d: six vectors to six. What +-P and +-Q share is computed once. */
INLINE void apart(const vf d[IN], vf to[IN])
{
    const vf p = times(-QQ, d[2], d[4]), p_odd = times(-QQ, d[1], d[3]);
    const vf q = times(-PP, d[2], d[4]), q_odd = times(-PP, d[1], d[3]);
    to[0] = times(PP * QQ, d[0], times(-(PP + QQ), d[2], d[4]));
    to[1] = times(P, p_odd, p);
    to[2] = times(-P, p_odd, p);
    to[3] = times(Q, q_odd, q);
    to[4] = times(-Q, q_odd, q);
    to[5] = times(PP * QQ, d[1], times(-(PP + QQ), d[3], d[5]));
}

/* A' m: six vectors to four */
INLINE void together(const vf m[IN], vf to[OUT])
{
    const vf p = m[1] + m[2], p_odd = m[1] - m[2], q = m[3] + m[4], q_odd = m[3] - m[4];
    to[0] = m[0] + p + q;
    to[1] = times(P, p_odd, q_odd * (float)Q);
    to[2] = times(PP, p, q * (float)QQ);
    to[3] = times(P * PP, p_odd, times(Q * QQ, q_odd, m[5]));
}

/* The square under outputs (h, w) .. (h + 3, w + 3) of image x, all channels: place p goes to to + p ld. */
static void take_apart(const Conv *c, const float *x, int64_t h, int64_t w, float *to, int64_t ld)
{
    static const float zeros[LARGEST] = {0};
    const float *pixel[IN][IN];
    for (int i = 0; i < IN; i++) {
        for (int j = 0; j < IN; j++) {
            const int64_t y = h - c->top + i, z = w - c->left + j;
            pixel[i][j] = y >= 0 && y < c->H && z >= 0 && z < c->W ? x + (y * c->W + z) * c->C : zeros;
        }
    }
    for (int64_t ch = 0; ch < c->C; ch += VW) {
        vf half[IN][IN]; /* [row][column], rows transformed */
        for (int j = 0; j < IN; j++) {
            vf d[IN], t[IN];
            for (int i = 0; i < IN; i++) {
                d[i] = v_load(pixel[i][j] + ch);
            }
            apart(d, t);
            for (int i = 0; i < IN; i++) {
                half[i][j] = t[i];
            }
        }
        for (int i = 0; i < IN; i++) {
            vf t[IN];
            apart(half[i], t);
            for (int j = 0; j < IN; j++) {
                v_store(to + (i * IN + j) * ld + ch, t[j]);
            }
        }
    }
}

/* The products of one square become its outputs, of which rows x cols are inside the image; y is the first. */
static void put_together(const float *from, int64_t ld, int64_t O, int64_t rows, int64_t cols, float *y, int64_t y_row)
{
    for (int64_t o = 0; o < O; o += VW) {
        vf half[OUT][IN];
        for (int j = 0; j < IN; j++) {
            vf m[IN], t[OUT];
            for (int i = 0; i < IN; i++) {
                m[i] = v_load(from + (i * IN + j) * ld + o);
            }
            together(m, t);
            for (int i = 0; i < OUT; i++) {
                half[i][j] = t[i];
            }
        }
        for (int i = 0; i < OUT; i++) {
            vf t[OUT];
            together(half[i], t);
            for (int j = 0; j < OUT; j++) {
                if (i < rows && j < cols) {
                    v_store(y + i * y_row + j * O + o, t[j]);
                }
            }
        }
    }
}

static void band(void *arg, size_t task, int worker)
{
    const Job *j = arg;
    const Conv *c = j->c;
    const int64_t b = (int64_t)task / j->bands, strip = (int64_t)task % j->bands, r0 = cut(j->high, j->bands, strip),
                  rows = cut(j->high, j->bands, strip + 1) - r0, squares = rows * j->wide;
    const int64_t in_ld = c->C + SLACK, out_ld = c->O + SLACK, panel = c->C * TILE_COLS,
                  matrix = up(c->O, TILE_COLS) * panel;
    float *in = j->work + squares_floats(j) * (size_t)worker, *out = in + AT * squares * in_ld;
    const float *x = c->x + b * c->H * c->W * c->C;
    for (int64_t s = 0; s < squares; s++) {
        take_apart(c, x, (r0 + s / j->wide) * OUT, s % j->wide * OUT, in + s * in_ld, squares * in_ld);
    }
    for (int64_t at = 0; at < AT; at++) {
        Tile t = {.len = c->C,
                  .segs = 1,
                  .a_row = in_ld,
                  .a_step = 1,
                  .b = (const float *)c->packed + at * matrix,
                  .b_row = TILE_COLS,
                  .b_panel = panel,
                  .ldc = out_ld,
                  .first = true};
        const int64_t tiles = up(squares, TILE_ROWS);
        for (int64_t i = 0; i < tiles; i++) {
            const int64_t m = cut(squares, tiles, i);
            t.a = in + (at * squares + m) * in_ld;
            t.c = out + (at * squares + m) * out_ld;
            K(tile_row)(t, (int)(cut(squares, tiles, i + 1) - m), c->O);
        }
    }
    const int64_t row = j->ow * c->O, first = (b * j->oh + r0 * OUT) * row;
    for (int64_t s = 0; s < squares; s++) {
        const int64_t h = (r0 + s / j->wide) * OUT, w = s % j->wide * OUT;
        put_together(out + s * out_ld, squares * out_ld, c->O, MIN(OUT, j->oh - h), MIN(OUT, j->ow - w),
                     c->y + (b * j->oh + h) * row + w * c->O, row);
    }
    if (c->bias || c->residual || c->act != ACT_NONE) {
        const Finish f = {1, 0, c->bias, c->residual ? c->residual + first : NULL, c->O, c->act, 0};
        const int64_t pixels = MIN(rows * OUT, j->oh - r0 * OUT) * j->ow;
        K(tile_finish)(&f, pixels, c->O, c->y + first, c->O, c->y + first, c->O);
    }
}

void K(winograd)(const Run *run, const Conv *c)
{
    Job j = plan(c, pool_threads(run->pool));
    j.work = run->work;
    pool_run(run->pool, (size_t)(c->B * j.bands), band, &j);
}
