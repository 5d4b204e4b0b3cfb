/* kernels/cpu/image/conv.c: convolution, in NHWC.
 *
 *   y[b,h,w,o] = act(sum over i, j, c of x[b, h stride + i - top, w stride + j - left, c] W[o,c,i,j] + bias + residual)
 *
 * Each kind of convolution has its own loop:
 * - 1 x 1 without stride and padding: one gemm over all pixels.
 * - k x k: an implicit gemm. A matrix A of patches is never built. Channels are last in memory, so the pixels under one
 *   row of the kernel are contiguous: K is kh segments of kw C numbers. The outputs of one image row are rows of A that
 *   are stride C numbers apart. Only a band of the image is copied, with its border of zeros; it stays in the L2 cache.
 *   The products are register tiles (gemm/tile.h).
 * - Depthwise: vectors of channels, four output pixels at a time in registers.
 * - Grouped: several groups together are one product, enough groups to fill the width of a tile. The weights are zero
 *   between different groups.
 * - Most 3 x 3 kernels of stride 1: Winograd's method, see winograd.c. */
// flags: -O3
#include "kernels/cpu/image/winograd.h"

enum {
    BAND = 1 << 16, /* floats of padded input that a task copies: 256 KB of the L2 cache */
    PIXELS = 4      /* output pixels per step of a depthwise convolution */
};

typedef struct Plan {
    int64_t oh, ow;
    bool depthwise, plain; /* plain: one gemm over all pixels */
    bool picks;            /* 1 x 1 with stride: the band has only the pixels that are used, contiguously */
    /* many channels: a step of K is in one tap of the kernel, and pixels in the band may be padded */
    bool taps;
    int64_t sets;         /* grouped: the number of products (sets of groups); else 1 */
    int64_t channels;     /* input channels of a product */
    int64_t width, pixel; /* of the band: pixels per row, floats per pixel */
    int64_t bands, n_blocks;
    size_t floats; /* scratch per worker, in floats */
} Plan;

static Gemm as_gemm(const Conv *c)
{
    return (Gemm){.M = c->B * c->H * c->W,
                  .N = c->O,
                  .K = c->C,
                  .A = c->x,
                  .a_row = c->C,
                  .a_col = 1,
                  .packed = c->packed,
                  .pack = c->pack,
                  .C = c->y,
                  .ldc = c->O,
                  .alpha = 1,
                  .bias = c->bias,
                  .residual = c->residual,
                  .ldr = c->O,
                  .act = c->act};
}

static bool is_depthwise(const Conv *c)
{
    return c->groups > 1 && c->groups == c->C && c->O == c->C;
}

/* Returns the number of sets of groups. Each set is one product. It is the largest number of sets whose outputs still
 * fill the width of a tile. */
static int64_t count_of_sets(const Conv *c)
{
    int64_t sets = c->groups;
    while (sets > 1 && (c->O / sets < TILE_COLS || c->groups % sets))
        sets--;
    return sets;
}

/* Returns the number of floats of the packed weights of a set. */
static int64_t floats_of_set(const Conv *c, int64_t sets)
{
    return c->kh * c->kw * (c->C / sets) * round_up(c->O / sets, TILE_COLS);
}

static bool is_1x1(const Conv *c)
{
    return c->kh == 1 && c->kw == 1 && c->top == 0 && c->left == 0 && c->bottom == 0 && c->right == 0;
}

static bool is_plain(const Conv *c)
{
    return c->groups == 1 && is_1x1(c) && c->stride == 1;
}

static Plan make_plan(const Conv *c, int threads)
{
    Plan p = {.oh = conv_out(c->H, c->kh, c->stride, c->top + c->bottom),
              .ow = conv_out(c->W, c->kw, c->stride, c->left + c->right)};
    p.depthwise = is_depthwise(c);
    p.sets = p.depthwise ? 1 : count_of_sets(c);
    p.plain = is_plain(c);
    p.picks = !p.depthwise && is_1x1(c) && c->stride > 1;
    p.channels = c->C / p.sets;
    p.taps = c->C >= 128 || c->groups > 1;
    p.pixel = p.taps && p.channels * c->stride % 512 == 0 ? p.channels + 16
                                                          /* padded: rows of A must not fall into the same cache sets */
                                                          : p.channels;
    p.width = p.picks ? p.ow : c->W + c->left + c->right;
    const int64_t row = p.width * p.pixel * (p.picks ? 1 : c->stride); /* floats of input per output row */
    p.bands = MIN(div_up(p.oh * row, BAND), p.oh);
    p.n_blocks = c->groups > 1 ? p.sets : div_up(c->O, N_BLOCK);
    if (threads > 1 && c->groups > 1) {
        p.bands = MIN(MAX(p.bands, div_up(2 * threads, c->B * p.sets)), p.oh);
    } else if (threads > 1) {
        const int64_t most = div_up(2 * threads, c->B);
        p.bands = MIN(MAX(p.bands, most), p.oh);
        p.n_blocks =
            p.bands >= most ? p.n_blocks : MAX(p.n_blocks, MIN(div_up(most, p.bands), div_up(c->O, 2 * TILE_COLS)));
    }
    const int64_t rows = div_up(p.oh, p.bands);
    p.floats = p.depthwise || p.plain
                   ? 0
                   : (size_t)round_up((p.picks ? rows : (rows - 1) * c->stride + c->kh) * p.width * p.pixel, 16);
    return p;
}

static bool is_empty(const Conv *c)
{
    return c->B == 0 || c->O == 0 || c->H + c->top + c->bottom < c->kh || c->W + c->left + c->right < c->kw;
}

size_t FN(conv_work)(const Run *run, const Conv *c)
{
    if (is_empty(c))
        return 0;
    if (FN(winograd_supports)(c))
        return FN(winograd_work)(run, c);
    const Plan p = make_plan(c, threads_of(run));
    if (p.plain) {
        const Gemm g = as_gemm(c);
        return FN(gemm_work)(run, &g);
    }
    return p.floats * sizeof(float) * (size_t)threads_of(run);
}

Way FN(conv_way)(const Run *run, const Conv *c)
{
    if (FN(winograd_supports)(c)) {
        Way way = {.why = "3x3, stride 1: fewer multiplications than direct"};
        snprintf(way.name, sizeof way.name, "winograd %d,3", FN(winograd_outputs)(c));
        return way;
    }
    const Plan p = make_plan(c, threads_of(run));
    return p.depthwise     ? (Way){"depthwise", "each channel separately; vectors of channels"}
           : c->groups > 1 ? (Way){"grouped", "some groups together are a product, with zeros between them"}
           : p.plain       ? (Way){"1x1: gemm", "all pixels are the rows of one product"}
           : p.picks       ? (Way){"picked pixels", "stride: only the used pixels are rows of a product"}
           : c->kh == 3 && c->kw == 3 && c->stride == 1
               ? (Way){"implicit gemm", "channels unsuitable for Winograd; a product"}
               : (Way){"implicit gemm", "a product whose A is read from a padded image"};
}

size_t FN(conv_pack_bytes)(const Conv *c)
{
    if (FN(winograd_supports)(c))
        return FN(winograd_pack_bytes)(c);
    if (c->groups > 1 && !is_depthwise(c))
        return (size_t)(count_of_sets(c) * floats_of_set(c, count_of_sets(c))) * sizeof(float);
    return c->groups > 1 ? (size_t)(c->kh * c->kw * c->C) * sizeof(float)
                         : FN(gemm_pack_bytes)(is_plain(c) ? c->pack : PACK_F32, c->kh * c->kw * c->C, c->O);
}

typedef struct Packing {
    const Conv *c;
    const float *weights;
    float *packed;
} Packing;

/* Packs a panel of output channels. The panel has one row for each tap (i, j) and each channel, in the order in which
 * the product adds them. */
static void pack_panel(void *arg, size_t panel, int worker)
{
    (void)worker;
    const Packing *p = arg;
    const int64_t taps = p->c->kh * p->c->kw, C = p->c->C, o = (int64_t)panel * TILE_COLS;
    for (int64_t tap = 0; tap < taps; tap++) {
        FN(tile_pack)
        (C, MIN(p->c->O - o, TILE_COLS), p->weights + o * C * taps + tap, taps, C * taps,
         p->packed + o * C * taps + tap * C * TILE_COLS);
    }
}

/* Packs a set of groups. The packed matrix has one row for each tap and each channel of the set, in the order in which
 * the product adds them. Weights between different groups are zero. */
static void pack_set(void *arg, size_t set, int worker)
{
    (void)worker;
    const Packing *p = arg;
    const Conv *c = p->c;
    const int64_t sets = count_of_sets(c), taps = c->kh * c->kw, C = c->C / sets, O = c->O / sets;
    const int64_t group_C = c->C / c->groups, group_O = c->O / c->groups, first = (int64_t)set * O;
    float *to = p->packed + (int64_t)set * floats_of_set(c, sets);
    memset(to, 0, (size_t)floats_of_set(c, sets) * sizeof(float));
    for (int64_t o = 0; o < O; o++) {
        float *column = to + o / TILE_COLS * TILE_COLS * taps * C + o % TILE_COLS;
        for (int64_t ch = 0; ch < group_C; ch++)
            for (int64_t tap = 0; tap < taps; tap++)
                column[(tap * C + o / group_O * group_C + ch) * TILE_COLS] =
                    p->weights[((first + o) * group_C + ch) * taps + tap];
    }
}

void FN(conv_pack)(const Run *run, const Conv *c, const float *weights, void *packed)
{
    if (c->groups > 1 && !is_depthwise(c)) {
        Packing p = {c, weights, packed};
        pool_run(run->context, (size_t)count_of_sets(c), pack_set, &p);
        return;
    }
    if (c->groups > 1) { /* [kh, kw, C] */
        float *to = packed;
        for (int64_t tap = 0; tap < c->kh * c->kw; tap++) {
            for (int64_t ch = 0; ch < c->C; ch++)
                *to++ = weights[ch * c->kh * c->kw + tap];
        }
        return;
    }
    if (FN(winograd_supports)(c)) {
        FN(winograd_pack)(run, c, weights, packed);
        return;
    }
    if (is_plain(c)) {
        FN(gemm_pack)(run, c->pack, c->C, c->O, weights, 1, c->C, packed);
        return;
    }
    Packing p = {c, weights, packed};
    pool_run(run->context, (size_t)div_up(c->O, TILE_COLS), pack_panel, &p);
}

typedef struct Job {
    const Conv *c;
    Plan p;
    float *work;
} Job;

/* Copies the pixels that the output rows oh0 .. oh0+rows-1 of image b read to [input rows, width, pixel]. `first` is
 * the first of the copied channels. The border is filled with zeros. If p->picks, only one pixel per
 * output is copied, to [rows, ow, pixel], and there is no border. */
static void copy_band(const Conv *c, const Plan *p, int64_t b, int64_t oh0, int64_t rows, int64_t first, float *to)
{
    const float *x = (const float *)c->x + b * c->H * c->W * c->C + first;
    const size_t bytes = (size_t)p->channels * sizeof(float);
    if (p->picks) {
        for (int64_t h = oh0; h < oh0 + rows; h++) {
            for (int64_t w = 0; w < p->ow; w++, to += p->pixel) { /* the pixel at row h stride, column w stride */
                memcpy(to, x + (h * c->W + w) * c->stride * c->C, bytes);
            }
        }
        return;
    }
    const int64_t h0 = oh0 * c->stride - c->top, in_rows = (rows - 1) * c->stride + c->kh;
    for (int64_t h = h0; h < h0 + in_rows; h++, to += p->width * p->pixel) {
        if (h < 0 || h >= c->H) {
            memset(to, 0, (size_t)(p->width * p->pixel) * sizeof(float));
            continue;
        }
        memset(to, 0, (size_t)(c->left * p->pixel) * sizeof(float));
        float *at = to + c->left * p->pixel;
        if (p->pixel == c->C && p->channels == c->C) {
            memcpy(at, x + h * c->W * c->C, (size_t)c->W * bytes);
            at += c->W * c->C;
        } else {
            for (int64_t w = 0; w < c->W; w++, at += p->pixel)
                memcpy(at, x + (h * c->W + w) * c->C, bytes);
        }
        memset(at, 0, (size_t)(c->right * p->pixel) * sizeof(float));
    }
}

/* Computes one step of K for all outputs of the band. t.a points to A (t.segs segments of t.len numbers), t.b to the
 * rows of B. The last step applies bias, residual and activation. */
static void sweep(const Conv *c, const Plan *p, Tile t, int64_t rows, int64_t n0, int64_t N, float *y,
                  const float *residual, bool last)
{
    const Finish finish = {1, 0, c->bias ? c->bias + n0 : NULL, NULL, c->O, c->act, 0};
    const bool finishes = last && (c->bias || residual || c->act != ACT_NONE);
    const int64_t lines = p->picks ? 1 : rows, line = p->picks ? rows * p->ow : p->ow, tiles = div_up(line, TILE_ROWS);
    const float *a = t.a;
    t.a_row = p->pixel * (p->picks ? 1 : c->stride);
    t.a_step = 1;
    t.ldc = t.prefetch_ld = c->O;
    for (int64_t r = 0; r < lines; r++) {
        for (int64_t i = 0; i < tiles; i++) {
            const int64_t m = part_begin(line, tiles, i), count = part_begin(line, tiles, i + 1) - m,
                          at = (r * line + m) * c->O;
            t.a = a + r * c->stride * p->width * p->pixel + m * t.a_row;
            t.c = y + at;
            const float *added = last && residual ? residual + at : NULL;
            t.prefetch = added;
            FN(tile_row)(t, (int)count, N);
            if (finishes) {
                Finish f = finish;
                f.residual = added;
                FN(tile_finish)(&f, count, N, t.c, c->O, t.c, c->O);
            }
        }
    }
}

/* Computes all taps for a set of groups. A row of the kernel is kw segments of the set's channels. */
static void sweep_set(const Conv *c, const Plan *p, const float *image, int64_t set, int64_t rows, float *y,
                      const float *residual)
{
    const int64_t C = p->channels, O = c->O / p->sets, K = c->kh * c->kw * C;
    Tile t = {.b = (const float *)c->packed + set * floats_of_set(c, p->sets),
              .b_row = TILE_COLS,
              .b_panel = K * TILE_COLS,
              .a_seg = p->pixel,
              .segs = p->picks ? 1 : c->kw,
              .len = C,
              .first = true};
    for (int64_t i = 0; i < c->kh; i++) {
        t.a = image + i * p->width * p->pixel;
        sweep(c, p, t, rows, set * O, O, y, residual, i + 1 == c->kh);
        t.b += t.segs * C * TILE_COLS;
        t.first = false;
    }
}

static void band(void *arg, size_t task, int worker)
{
    const Job *job = arg;
    const Conv *c = job->c;
    const Plan *p = &job->p;
    const int64_t part = (int64_t)task % p->n_blocks, strip = (int64_t)task / p->n_blocks % p->bands,
                  b = (int64_t)task / p->n_blocks / p->bands;
    const int64_t panels = div_up(c->O, TILE_COLS);
    const int64_t n0 = c->groups > 1 ? part * (c->O / p->sets) : part_begin(panels, p->n_blocks, part) * TILE_COLS;
    const int64_t N = MIN(part_begin(panels, p->n_blocks, part + 1) * TILE_COLS, c->O) - n0;
    const int64_t oh0 = part_begin(p->oh, p->bands, strip), rows = part_begin(p->oh, p->bands, strip + 1) - oh0;
    float *image = job->work + p->floats * (size_t)worker;
    copy_band(c, p, b, oh0, rows, c->groups > 1 ? part * p->channels : 0, image);
    const int64_t K = c->kh * c->kw * c->C, at = (b * p->oh + oh0) * p->ow * c->O + n0;
    float *y = (float *)c->y + at;
    const float *residual = c->residual ? (const float *)c->residual + at : NULL;
    if (c->groups > 1) {
        sweep_set(c, p, image, part, rows, y, residual);
        return;
    }
    Tile t = {.b = (const float *)c->packed + n0 * K,
              .b_row = TILE_COLS,
              .b_panel = K * TILE_COLS,
              .a_seg = p->width * p->pixel,
              .first = true};
    if (!p->taps) { /* a step has whole rows of the kernel, up to about K_STEP numbers */
        const int64_t run = c->kw * c->C, group = MAX(K_STEP / MAX(run, 1), 1);
        for (int64_t i = 0; i < c->kh; i += group) {
            t.a = image + i * t.a_seg;
            t.segs = MIN(group, c->kh - i);
            t.len = run;
            sweep(c, p, t, rows, n0, N, y, residual, i + group >= c->kh);
            t.b += t.segs * run * TILE_COLS;
            t.first = false;
        }
        return;
    }
    t.segs = 1;
    for (int64_t tap = 0; tap < c->kh * c->kw; tap++) {
        const int64_t steps = div_up(c->C, K_STEP + 128);
        for (int64_t s = 0; s < steps; s++) {
            const int64_t ch = part_begin(c->C, steps, s);
            t.a = image + tap / c->kw * t.a_seg + tap % c->kw * p->pixel + ch;
            t.len = part_begin(c->C, steps, s + 1) - ch;
            sweep(c, p, t, rows, n0, N, y, residual, tap == c->kh * c->kw - 1 && s == steps - 1);
            t.b += t.len * TILE_COLS;
            t.first = false;
        }
    }
}

/* ---- depthwise ------------------------------------------------------------------------------- */

/* Computes `pixels` consecutive outputs for all channels, from the kernel rows i0 .. i1-1 and the kernel columns j0 ..
 * j1-1. x is the pixel under the top left corner of the first output's kernel; it may be outside the image. */
INLINE void depthwise_pixels(const Conv *c, const int pixels, const float *x, int64_t i0, int64_t i1, int64_t j0,
                             int64_t j1, float *y)
{
    const int64_t C = c->C, step = c->stride * C;
    for (int64_t ch = 0; ch < C; ch += VW) {
        const int lanes = (int)MIN(C - ch, VW);
        vf acc[PIXELS];
        for (int q = 0; q < pixels; q++)
            acc[q] = v_zero();
        for (int64_t i = i0; i < i1; i++) {
            for (int64_t j = j0; j < j1; j++) {
                const float *w = (const float *)c->packed + (i * c->kw + j) * C + ch,
                            *from = x + (i * c->W + j) * C + ch;
                const vf wj = lanes == VW ? v_load(w) : v_load_n(w, lanes);
                for (int q = 0; q < pixels; q++)
                    acc[q] =
                        v_fma(lanes == VW ? v_load(from + q * step) : v_load_n(from + q * step, lanes), wj, acc[q]);
            }
        }
        for (int q = 0; q < pixels; q++) {
            if (lanes == VW)
                v_store(y + q * C + ch, acc[q]);
            else
                v_store_n(y + q * C + ch, acc[q], lanes);
        }
    }
}

static void depthwise_row(void *arg, size_t task, int worker)
{
    (void)worker;
    const Job *job = arg;
    const Conv *c = job->c;
    const int64_t ow = job->p.ow, b = (int64_t)task / job->p.oh, oh = (int64_t)task % job->p.oh,
                  h = oh * c->stride - c->top;
    const int64_t i0 = MAX(-h, 0), i1 = MIN(c->kh, c->H - h);
    const float *x = (const float *)c->x + b * c->H * c->W * c->C + (h * c->W - c->left) * c->C;
    float *y = (float *)c->y + (int64_t)task * ow * c->C;
    const int64_t inner_end =
        /* outputs before this one have kernels that do not cross the right border */
        c->W + c->left - c->kw >= 0 ? (c->W + c->left - c->kw) / c->stride + 1 : 0;
    for (int64_t w = 0, count; w < ow; w += count) {
        const float *from = x + w * c->stride * c->C;
        float *to = y + w * c->C;
        const int64_t left = w * c->stride - c->left;
        count = 1;
        if (left < 0 || w >= inner_end) {
            depthwise_pixels(c, 1, from, i0, i1, MAX(-left, 0), MIN(c->kw, c->W - left), to);
        } else if (w + PIXELS <= MIN(inner_end, ow)) {
            count = PIXELS;
            depthwise_pixels(c, PIXELS, from, i0, i1, 0, c->kw, to);
        } else {
            depthwise_pixels(c, 1, from, i0, i1, 0, c->kw, to);
        }
    }
    if (c->bias || c->residual || c->act != ACT_NONE) {
        const Finish f = {1,    0,      c->bias, c->residual ? (const float *)c->residual + (y - (float *)c->y) : NULL,
                          c->O, c->act, 0};
        FN(tile_finish)(&f, ow, c->O, y, c->O, y, c->O);
    }
}

void FN(conv)(const Run *run, const Conv *c)
{
    if (is_empty(c))
        return;
    if (FN(winograd_supports)(c)) {
        FN(winograd)(run, c);
        return;
    }
    Job job = {c, make_plan(c, threads_of(run)), run->work};
    if (job.p.plain) {
        const Gemm g = as_gemm(c);
        FN(gemm)(run, &g);
    } else if (job.p.depthwise) {
        pool_run(run->context, (size_t)(c->B * job.p.oh), depthwise_row, &job);
    } else {
        pool_run(run->context, (size_t)(c->B * job.p.bands * job.p.n_blocks), band, &job);
    }
}
