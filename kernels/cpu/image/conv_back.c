/* kernels/cpu/image/conv_back.c: the gradients of a convolution by its input and by its weights. No matrix of patches
 * is built.
 *
 * Gradient by the input. For each tap (i, j) of the kernel:
 *
 *   dx[pixels under the tap, C] += dy[pixels, O] W[:, :, i, j] [O, C]
 *
 * The pixels of dx under a tap are `stride` pixels apart. So the rows of the product's result are not contiguous in dx.
 * A task computes some rows of an image of dx, tap by tap. These rows stay in the L2 cache.
 *
 * Gradient by the weights. Channels are last in memory, so the pixels under one row of the kernel are contiguous. The
 * gradient [kw C, O] of kernel row i is a product over the output pixels. Its A is x, read by columns from a band of
 * the image with a border of zeros. Its B is dy, packed in panels. The images are split into parts, which depend on the
 * shape only. Each part has its own sum, and the sums are added in order.
 *
 * 1 x 1 without stride and padding is one gemm over all pixels. Depthwise convolutions use vectors of channels. */
// flags: -O3
// flags baseline: -Os
#include "kernels/cpu/gemm/tile.h"
#include "kernels/cpu/loops.h"

enum {
    BAND = 1 << 16,        /* floats of dx per task: 256 KB of the L2 cache */
    PARTS = 16,            /* the largest number of parts of the images */
    PART_FLOATS = 1 << 21, /* floats of the sums of all parts, if there are several parts */
    CHANNELS = 64          /* channels per depthwise task */
};

typedef struct Plan {
    int64_t oh, ow, taps;
    bool plain, depthwise;
    /* for the gradient by the input */
    int64_t bands, x_blocks; /* bands: groups of rows of an image; x_blocks: blocks of the panels of C */
    size_t weights;          /* floats: the packed weights, or [taps, C] */
    /* for the gradient by the weights */
    int64_t parts, w_blocks;  /* w_blocks: blocks of the panels of O, or of channels */
    int64_t rows, width;      /* of a band: output rows, pixels per padded row */
    size_t sums, band, panel; /* floats: the sum of a part; the band of a worker, and its packed dy */
} Plan;

static bool is_empty(const Conv *c)
{
    return c->B == 0 || c->O == 0 || c->C == 0 || c->H + c->top + c->bottom < c->kh ||
           c->W + c->left + c->right < c->kw;
}

static Plan make_plan(const Conv *c, int threads)
{
    Plan p = {.oh = conv_out(c->H, c->kh, c->stride, c->top + c->bottom),
              .ow = conv_out(c->W, c->kw, c->stride, c->left + c->right),
              .taps = c->kh * c->kw,
              .depthwise = c->groups > 1};
    p.plain = !p.depthwise && p.taps == 1 && c->stride == 1 && !c->top && !c->left && !c->bottom && !c->right;
    p.sums = (size_t)(p.taps * c->C * (p.depthwise ? 1 : c->O));
    p.parts = MIN(c->B, MAX(1, MIN(PARTS, PART_FLOATS / (int64_t)p.sums)));
    if (p.depthwise) {
        p.weights = (size_t)(p.taps * c->C);
        p.w_blocks = div_up(c->C, CHANNELS);
        return p;
    }
    p.weights = (size_t)(p.taps * round_up(c->C, TILE_COLS) * c->O);
    p.bands = MIN(div_up(c->H * c->W * c->C, BAND), c->H);
    p.x_blocks = div_up(c->C, N_BLOCK);
    p.w_blocks = div_up(c->O, N_BLOCK);
    if (threads > 1) {
        const int64_t most = div_up(2 * threads, c->B);
        p.bands = MIN(MAX(p.bands, most), c->H);
        if (p.bands < most)
            p.x_blocks = MAX(p.x_blocks, MIN(div_up(most, p.bands), div_up(c->C, TILE_COLS)));
        p.w_blocks = MAX(p.w_blocks, MIN(div_up(2 * threads, p.parts), div_up(c->O, TILE_COLS)));
    }
    p.rows = MIN(MAX(K_STEP / p.ow, 1), p.oh);
    p.width = c->W + c->left + c->right;
    p.band = (size_t)round_up(((p.rows - 1) * c->stride + c->kh) * p.width * c->C, 16);
    p.panel = (size_t)(p.rows * p.ow * (div_up(div_up(c->O, TILE_COLS), p.w_blocks) * TILE_COLS));
    return p;
}

/* Both gradients of a 1 x 1 convolution without stride and padding, as products over all pixels:
 *
 *   dx [pixels, C] = dy [pixels, O] W [O, C],  dW [O, C] = dy' [O, pixels] x [pixels, C] */
static Gemm to_input(const ConvBack *b)
{
    const Conv *c = &b->forward;
    return (Gemm){.M = c->B * c->H * c->W,
                  .N = c->C,
                  .K = c->O,
                  .A = b->dy,
                  .a_row = c->O,
                  .a_col = 1,
                  .B = b->weights,
                  .b_row = c->C,
                  .b_col = 1,
                  .C = b->dx,
                  .ldc = c->C,
                  .alpha = 1,
                  .beta = b->x_beta};
}

static Gemm to_weights(const ConvBack *b)
{
    const Conv *c = &b->forward;
    return (Gemm){.M = c->O,
                  .N = c->C,
                  .K = c->B * c->H * c->W,
                  .A = b->dy,
                  .a_row = 1,
                  .a_col = c->O,
                  .B = c->x,
                  .b_row = c->C,
                  .b_col = 1,
                  .C = b->dweights,
                  .ldc = c->C,
                  .alpha = 1,
                  .beta = b->w_beta};
}

size_t FN(conv_back_work)(const Run *run, const ConvBack *b)
{
    const Conv *c = &b->forward;
    if (is_empty(c))
        return 0;
    const Plan p = make_plan(c, threads_of(run));
    if (p.plain) {
        const Gemm x = to_input(b), w = to_weights(b);
        return MAX(FN(gemm_work)(run, &x), FN(gemm_work)(run, &w));
    }
    const size_t floats = (size_t)round_up((int64_t)(p.sums * (size_t)p.parts), 16);
    return MAX(p.weights, floats + (p.band + p.panel) * (size_t)threads_of(run)) * sizeof(float);
}

typedef struct Job {
    const ConvBack *b;
    Plan p;
    float *work;
} Job;

/* y [count] = beta y; if beta is 0, y is not read */
static void start_row(float *y, int64_t count, float beta)
{
    if (beta == 0.0f)
        memset(y, 0, (size_t)count * sizeof(float));
    else if (beta != 1.0f)
        FOR_VECTORS(0, count, store_part(y + i, load_part(y + i, n) * beta, n))
}

/* Returns the end of the range of outputs whose pixel under one tap is inside the image, and writes its start to
 * *first. n: pixels of the image along the axis; at: the pixel of output 0 under the tap, may be negative. */
static int64_t outputs_over(int64_t n, int64_t at, int64_t stride, int64_t outputs, int64_t *first)
{
    *first = at < 0 ? div_up(-at, stride) : 0;
    return n - 1 - at < 0 ? 0 : MIN(outputs, (n - 1 - at) / stride + 1);
}

/* ---- gradient by the input ------------------------------------------------------------------- */

/* Packs the panel [O, TILE_COLS] of one tap. */
static void pack_panel(void *arg, size_t task, int worker)
{
    (void)worker;
    const Job *job = arg;
    const Conv *c = &job->b->forward;
    const int64_t panels = div_up(c->C, TILE_COLS), tap = (int64_t)task / panels,
                  ch = (int64_t)task % panels * TILE_COLS;
    FN(tile_pack)
    (c->O, MIN(c->C - ch, TILE_COLS), job->b->weights + ch * job->p.taps + tap, c->C * job->p.taps, job->p.taps,
     job->work + (int64_t)task * c->O * TILE_COLS);
}

/* Computes dx of one band of rows of an image, for one block of channels. */
static void fill_band(void *arg, size_t task, int worker)
{
    (void)worker;
    const Job *job = arg;
    const ConvBack *back = job->b;
    const Conv *c = &back->forward;
    const Plan *p = &job->p;
    const int64_t part = (int64_t)task % p->x_blocks, strip = (int64_t)task / p->x_blocks % p->bands,
                  b = (int64_t)task / p->x_blocks / p->bands;
    const int64_t panels = div_up(c->C, TILE_COLS), panel0 = part_begin(panels, p->x_blocks, part),
                  n0 = panel0 * TILE_COLS;
    const int64_t N = MIN(part_begin(panels, p->x_blocks, part + 1) * TILE_COLS, c->C) - n0;
    const int64_t h0 = part_begin(c->H, p->bands, strip), h1 = part_begin(c->H, p->bands, strip + 1);
    const int64_t steps = div_up(c->O, K_STEP + 128);
    float *dx = back->dx + b * c->H * c->W * c->C + n0;
    for (int64_t pixel = h0 * c->W; pixel < h1 * c->W; pixel++)
        start_row(dx + pixel * c->C, N, back->x_beta);
    Tile t = {.a_row = c->O,
              .a_step = 1,
              .segs = 1,
              .b_row = TILE_COLS,
              .b_panel = c->O * TILE_COLS,
              .ldc = c->stride * c->C};
    for (int64_t tap = 0; tap < p->taps; tap++) {
        const int64_t down = tap / c->kw - c->top, across = tap % c->kw - c->left;
        int64_t w0, oh0;
        const int64_t w1 = outputs_over(c->W, across, c->stride, p->ow, &w0),
                      oh1 = outputs_over(h1, down, c->stride, p->oh, &oh0), tiles = div_up(w1 - w0, TILE_ROWS);
        const float *weights = job->work + (tap * panels + panel0) * c->O * TILE_COLS;
        for (int64_t s = 0; s < steps; s++) {
            const int64_t k = part_begin(c->O, steps, s);
            t.len = part_begin(c->O, steps, s + 1) - k;
            t.b = weights + k * TILE_COLS;
            for (int64_t oh = MAX(oh0, div_up(h0 - down, c->stride)); oh < oh1; oh++) {
                const float *dy = back->dy + ((b * p->oh + oh) * p->ow + w0) * c->O + k;
                float *row = dx + ((oh * c->stride + down) * c->W + w0 * c->stride + across) * c->C;
                for (int64_t i = 0; i < tiles; i++) {
                    const int64_t m = part_begin(w1 - w0, tiles, i);
                    t.a = dy + m * c->O;
                    t.c = row + m * t.ldc;
                    FN(tile_row)(t, (int)(part_begin(w1 - w0, tiles, i + 1) - m), N);
                }
            }
        }
    }
}

/* Computes one row of an image of dx. The scratch has the weights as [taps, C]. */
static void depthwise_row(void *arg, size_t task, int worker)
{
    (void)worker;
    const Job *job = arg;
    const ConvBack *back = job->b;
    const Conv *c = &back->forward;
    const Plan *p = &job->p;
    const int64_t C = c->C, b = (int64_t)task / c->H, h = (int64_t)task % c->H;
    float *dx = back->dx + (int64_t)task * c->W * C;
    start_row(dx, c->W * C, back->x_beta);
    for (int64_t tap = 0; tap < p->taps; tap++) {
        const int64_t at = h + c->top - tap / c->kw, across = tap % c->kw - c->left, oh = at / c->stride;
        int64_t w0;
        const int64_t w1 = outputs_over(c->W, across, c->stride, p->ow, &w0);
        if (at < 0 || at % c->stride != 0 || oh >= p->oh)
            continue;
        const float *weights = job->work + tap * C;
        for (int64_t w = w0; w < w1; w++) {
            const float *dy = back->dy + ((b * p->oh + oh) * p->ow + w) * C;
            float *to = dx + (w * c->stride + across) * C;
            FOR_VECTORS(
                0, C,
                store_part(to + i, v_fma(load_part(dy + i, n), load_part(weights + i, n), load_part(to + i, n)), n))
        }
    }
}

static void back_to_input(const Run *run, Job *job)
{
    const ConvBack *b = job->b;
    const Conv *c = &b->forward;
    if (job->p.plain) {
        const Gemm g = to_input(b);
        FN(gemm)(run, &g);
    } else if (job->p.depthwise) {
        for (int64_t tap = 0; tap < job->p.taps; tap++) {
            for (int64_t ch = 0; ch < c->C; ch++)
                job->work[tap * c->C + ch] = b->weights[ch * job->p.taps + tap];
        }
        pool_run(run->context, (size_t)(c->B * c->H), depthwise_row, job);
    } else {
        pool_run(run->context, (size_t)(job->p.taps * div_up(c->C, TILE_COLS)), pack_panel, job);
        pool_run(run->context, (size_t)(c->B * job->p.bands * job->p.x_blocks), fill_band, job);
    }
}

/* ---- gradient by the weights ----------------------------------------------------------------- */

/* Copies to `to` [input rows, width, C] the pixels that the output rows oh0 .. oh0+rows-1 of image b read. The border
 * is filled with zeros. */
static void copy_band(const Conv *c, const Plan *p, int64_t b, int64_t oh0, int64_t rows, float *to)
{
    const size_t left = (size_t)(c->left * c->C), inner = (size_t)(c->W * c->C), right = (size_t)(c->right * c->C);
    const int64_t h0 = oh0 * c->stride - c->top;
    for (int64_t h = h0; h < h0 + (rows - 1) * c->stride + c->kh; h++, to += p->width * c->C) {
        if (h < 0 || h >= c->H) {
            memset(to, 0, (left + inner + right) * sizeof(float));
            continue;
        }
        memset(to, 0, left * sizeof(float));
        memcpy(to + left, (const float *)c->x + (b * c->H + h) * c->W * c->C, inner * sizeof(float));
        memset(to + left + inner, 0, right * sizeof(float));
    }
}

/* Computes the gradient of the weights, [kh, kw C, O], over one part of the images, for some panels of O. */
static void sum_part(void *arg, size_t task, int worker)
{
    const Job *job = arg;
    const ConvBack *back = job->b;
    const Conv *c = &back->forward;
    const Plan *p = &job->p;
    const int64_t block = (int64_t)task % p->w_blocks, part = (int64_t)task / p->w_blocks;
    const int64_t panels = div_up(c->O, TILE_COLS), n0 = part_begin(panels, p->w_blocks, block) * TILE_COLS;
    const int64_t N = MIN(part_begin(panels, p->w_blocks, block + 1) * TILE_COLS, c->O) - n0, line = c->kw * c->C;
    float *sums = job->work + p->sums * (size_t)part + n0;
    float *band =
              job->work + round_up((int64_t)(p->sums * (size_t)p->parts), 16) + (p->band + p->panel) * (size_t)worker,
          *packed = band + p->band;
    Tile t = {.a_row = 1,
              .a_step = c->stride * c->C,
              .a_seg = c->stride * p->width * c->C,
              .len = p->ow,
              .b = packed,
              .b_row = TILE_COLS,
              .ldc = c->O,
              .first = true};
    for (int64_t b = part_begin(c->B, p->parts, part); b < part_begin(c->B, p->parts, part + 1); b++) {
        for (int64_t oh = 0; oh < p->oh; oh += p->rows, t.first = false) {
            t.segs = MIN(p->rows, p->oh - oh);
            t.b_panel = t.segs * p->ow * TILE_COLS;
            copy_band(c, p, b, oh, t.segs, band);
            for (int64_t n = 0; n < N; n += TILE_COLS)
                FN(tile_pack)
            (t.segs * p->ow, MIN(N - n, TILE_COLS), back->dy + (b * p->oh + oh) * p->ow * c->O + n0 + n, c->O, 1,
             packed + n * t.segs * p->ow);
            for (int64_t i = 0; i < c->kh; i++) {
                for (int64_t m = 0; m < line; m += TILE_ROWS) {
                    t.a = band + i * p->width * c->C + m;
                    t.c = sums + (i * line + m) * c->O;
                    FN(tile_row)(t, (int)MIN(line - m, TILE_ROWS), N);
                }
            }
        }
    }
}

/* Computes the gradient [taps, C] of the weights of a depthwise convolution, over one part of the images, for some
 * channels. The gradient of a tap is the sum, over output pixels, of dy times the number of x under the tap. Each
 * output row is one chain of additions. */
static void sum_depthwise(void *arg, size_t task, int worker)
{
    (void)worker;
    const Job *job = arg;
    const ConvBack *back = job->b;
    const Conv *c = &back->forward;
    const Plan *p = &job->p;
    const int64_t C = c->C, block = (int64_t)task % p->w_blocks, part = (int64_t)task / p->w_blocks,
                  first = block * CHANNELS, last = MIN(first + CHANNELS, C);
    float *sums = job->work + p->sums * (size_t)part;
    for (int64_t tap = 0; tap < p->taps; tap++)
        memset(sums + tap * C + first, 0, (size_t)(last - first) * sizeof(float));
    for (int64_t b = part_begin(c->B, p->parts, part); b < part_begin(c->B, p->parts, part + 1); b++) {
        for (int64_t at = 0; at < p->oh * p->taps; at++) {
            const int64_t oh = at / p->taps, tap = at % p->taps, h = oh * c->stride + tap / c->kw - c->top,
                          across = tap % c->kw - c->left;
            int64_t w0;
            const int64_t w1 = outputs_over(c->W, across, c->stride, p->ow, &w0);
            if (h < 0 || h >= c->H)
                continue;
            const float *dy = back->dy + (b * p->oh + oh) * p->ow * C,
                        *x = (const float *)c->x + ((b * c->H + h) * c->W + across) * C;
            float *sum = sums + tap * C;
            FOR_VECTORS(first, last, {
                vf row = v_zero();
                for (int64_t w = w0; w < w1; w++)
                    row = v_fma(load_part(dy + w * C + i, n), load_part(x + w * c->stride * C + i, n), row);
                store_part(sum + i, load_part(sum + i, n) + row, n);
            })
        }
    }
}

/* Adds the sums of the parts, and writes the channels first .. last-1 of the gradient. */
static void finish_channels(const void *arg, int64_t first, int64_t last)
{
    const Job *job = arg;
    const ConvBack *back = job->b;
    const Conv *c = &back->forward;
    const Plan *p = &job->p;
    const int64_t O = p->depthwise ? 1 : c->O, inner = p->depthwise ? 1 : c->C;
    for (int64_t at = first * p->taps; at < last * p->taps; at++) {
        const int64_t tap = at % p->taps, ch = at / p->taps;
        float *sum = job->work + (tap * c->C + ch) * O;
        for (int64_t part = 1; part < p->parts; part++) {
            const float *next = sum + (int64_t)p->sums * part;
            FOR_VECTORS(0, O, store_part(sum + i, load_part(sum + i, n) + load_part(next + i, n), n))
        }
        float *to = back->dweights + ch * p->taps + tap;
        for (int64_t o = 0; o < O; o++, to += inner * p->taps)
            *to = sum[o] + (back->w_beta == 0.0f ? 0.0f : back->w_beta * *to);
    }
}

static void back_to_weights(const Run *run, Job *job)
{
    const Conv *c = &job->b->forward;
    if (job->p.plain) {
        const Gemm g = to_weights(job->b);
        FN(gemm)(run, &g);
        return;
    }
    pool_run(run->context, (size_t)(job->p.parts * job->p.w_blocks), job->p.depthwise ? sum_depthwise : sum_part, job);
    run_ranges(run, c->C, 8, finish_channels, job);
}

void FN(conv_back)(const Run *run, const ConvBack *b)
{
    const Conv *c = &b->forward;
    if (is_empty(c)) {
        if (b->dx)
            start_row(b->dx, c->B * c->H * c->W * c->C, b->x_beta);
        if (b->dweights)
            start_row(b->dweights, c->O * (c->C / c->groups) * c->kh * c->kw, b->w_beta);
        return;
    }
    Job job = {b, make_plan(c, threads_of(run)), run->work};
    if (b->dx)
        back_to_input(run, &job);
    if (b->dweights)
        back_to_weights(run, &job);
}
