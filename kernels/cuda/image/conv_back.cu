/* kernels/cuda/image/conv_back.cu: the gradients of a convolution.
 *
 * The gradient to the input is a sum over windows of dy. Pixel (h, w) of dx has a term of tap (i, j) if h + top - i and
 * w + left - j are multiples of the stride. Pixels that are a stride apart have the same taps. They are the results of
 * one launch, so that no multiply-add is wasted: there are stride^2 launches.
 *
 * The gradient to the weights is, for each tap, the product of dy' (dy transposed) and x. Its sums go over all pixels
 * of all images: they are few and long. They are divided into pieces, whose number depends only on the number of
 * pixels. The pieces' sums are in scratch and are added in order. */
#include "kernels/cuda/image/image.h"

enum {
    PIECE = 512, /* pixels of dy per piece: the `length_limit` of piece_count */
    PIECES = 32  /* pieces, at most: a piece is longer than PIECE only if there are PIECES pieces */
};

static bool is_depthwise(const Conv *c)
{
    return c->groups > 1;
}

static int64_t pixel_count(const Conv *c)
{
    return c->B * conv_high(c) * conv_wide(c);
}

static int64_t weight_pieces(const Conv *c)
{
    return piece_count(pixel_count(c), PIECE, PIECES);
}

static int64_t weight_count(const Conv *c)
{
    return c->O * (c->C / c->groups) * c->kh * c->kw;
}

/* Returns the packing of the weights for the gradient to x: the sum is over output channels, and there is one column
 * per input channel. */
static Packing packing_of(const Conv *c)
{
    Packing p = {};
    p.taps = c->kh * c->kw;
    p.depth = is_depthwise(c) ? 1 : c->O;
    p.groups = c->groups;
    p.columns = is_depthwise(c) ? 1 : c->C;
    p.group_step = is_depthwise(c) ? 1 : round_up(c->C, 4);
    p.by_depth = is_depthwise(c) ? 0 : c->C * p.taps;
    p.by_column = p.taps;
    return p;
}

static size_t packed_bytes(const ConvBack *b)
{
    const Packing p = packing_of(&b->forward);
    return b->dx ? size_round_up((size_t)packed_floats(&p) * sizeof(float), 64) : 0;
}

size_t cuda_conv_back_work(const Run *run, const ConvBack *b)
{
    (void)run;
    const Conv *c = &b->forward;
    return packed_bytes(b) + (b->dweights ? (size_t)(weight_pieces(c) * weight_count(c)) * sizeof(float) : 0);
}

/* ---- to the input ---------------------------------------------------------------------------- */

/* Describes one axis of n pixels for a launch that computes the pixels first, first + stride, .... Returns the number
 * of these pixels.
 * - `tap`: the first tap that these pixels read. The others are `stride` apart.
 * - `taps`: the number of taps.
 * - `from`: the output that the first pixel reads by its first tap. */
static int along(int64_t n, int64_t kernel, int64_t stride, int64_t pad, int64_t first, int *tap, int *taps, int *from)
{
    *tap = (int)((first + pad) % stride);
    *taps = *tap < kernel ? (int)div_up(kernel - *tap, stride) : 0;
    *from = (int)((first + pad - *tap) / stride);
    return first < n ? (int)div_up(n - first, stride) : 0;
}

static void input_gradient(const Run *run, const ConvBack *b, const float *packed)
{
    const Conv *c = &b->forward;
    const Packing p = packing_of(c);
    Windows w = {};
    w.x = b->dy;
    w.B = c->B;
    w.C = c->O;
    w.H = (int)conv_high(c);
    w.W = (int)conv_wide(c);
    w.scale = 1;
    w.step = -1;
    w.packed = packed;
    w.groups = (int)p.groups;
    w.depth = (int)p.depth;
    w.columns = (int)p.columns;
    w.group_step = (int)p.group_step;
    w.ld = (int)(p.groups * p.group_step);
    w.tap_h = (int)(c->stride * c->kw);
    w.tap_w = (int)c->stride;
    w.y = b->dx;
    w.y_image = c->H * c->W;
    w.y_row = c->stride * c->W;
    w.y_column = c->stride;
    w.residual = b->x_beta != 0 ? b->dx : NULL;
    for (int64_t h = 0; h < c->stride; h++) {
        for (int64_t l = 0; l < c->stride; l++) {
            int tap_h, tap_w;
            w.high = along(c->H, c->kh, c->stride, c->top, h, &tap_h, &w.taps_h, &w.first_h);
            w.wide = along(c->W, c->kw, c->stride, c->left, l, &tap_w, &w.taps_w, &w.first_w);
            w.tap_first = tap_h * (int)c->kw + tap_w;
            w.y_first = h * c->W + l;
            if (is_depthwise(c))
                windows_direct(run, &w);
            else
                windows_product(run, &w);
        }
    }
}

/* ---- to the weights -------------------------------------------------------------------------- */

typedef struct Slopes {
    const float *x, *dy;
    int64_t pixels, pieces;
    int C, O, H, W, high, wide, kw, stride, top, left;
    int columns; /* taps C */
    float *sums; /* [pieces, O, taps, C], or depthwise [pieces, taps, C] */
} Slopes;

/* A pixel of dy: number m, row r and column c of image b. It is advanced without divisions. */
typedef struct Pixel {
    int64_t m, b;
    int r, c;
} Pixel;
static __device__ inline Pixel pixel_at(const Slopes &s, int64_t m)
{
    const int64_t image = (int64_t)s.high * s.wide, at = m % image;
    Pixel p;
    p.m = m;
    p.b = m / image;
    p.r = (int)(at / s.wide);
    p.c = (int)(at % s.wide);
    return p;
}
static __device__ inline void advance(const Slopes &s, Pixel *p, int by)
{
    p->m += by;
    p->c += by;
    while (p->c >= s.wide) {
        p->c -= s.wide;
        if (++p->r == s.high) {
            p->r = 0;
            p->b++;
        }
    }
}
/* Returns the pixel of x under tap (i, j), or -1 for a pixel of the border. */
static __device__ inline int64_t under(const Slopes &s, const Pixel &p, int i, int j)
{
    const int h = p.r * s.stride + i - s.top, w = p.c * s.stride + j - s.left;
    return inside(h, s.H) && inside(w, s.W) ? (p.b * s.H + h) * s.W + w : -1;
}

enum {
    STEP = 16, /* pixels per stage in shared memory */
    STAGES = 3 /* stages in shared memory: one is computed while two are loaded */
};

/* Copies STEP pixels of dy, channels o0 .. o0+ROWS-1, to shared memory, VECTOR channels at a time. Pixels after the end
 * are zeros. */
template <int VECTOR, int ROWS, int THREADS>
static __device__ inline void load_dy(const Slopes &s, int64_t m0, int64_t end, int o0, float *tile)
{
    enum { ACROSS = ROWS / VECTOR };
    const int column = (int)threadIdx.x % ACROSS * VECTOR;
    for (int row = (int)threadIdx.x / ACROSS; row < STEP; row += THREADS / ACROSS) {
        const bool in = m0 + row < end && o0 + column < s.O;
        copy_async<VECTOR>(tile + row * ROWS + column, in ? s.dy + (m0 + row) * s.O + o0 + column : s.dy, in);
    }
}

/* Copies to shared memory the numbers of x that COLS pairs of tap and channel read for STEP pixels. A thread has the
 * same column n in all its rows. `*p` is the pixel of the thread's next row. */
template <int VECTOR, int COLS, int THREADS>
static __device__ inline void load_x(const Slopes &s, Pixel *p, int64_t end, int n, float *tile)
{
    enum { ACROSS = COLS / VECTOR };
    const int column = (int)threadIdx.x % ACROSS * VECTOR, tap = n / s.C, i = tap / s.kw;
    for (int row = (int)threadIdx.x / ACROSS; row < STEP; row += THREADS / ACROSS) {
        const int64_t at = p->m < end && n < s.columns ? under(s, *p, i, tap - i * s.kw) : -1;
        copy_async<VECTOR>(tile + row * COLS + column, at < 0 ? s.x : s.x + at * s.C + (n - tap * s.C), at >= 0);
        advance(s, p, THREADS / ACROSS);
    }
}

template <int TM, int TN, int ACROSS, int DOWN>
static __device__ inline void multiply(const float *a, const float *b, float acc[TM][TN])
{
    enum { ROWS = DOWN * TM, COLS = ACROSS * TN };
    a += (int)threadIdx.x / ACROSS * 4;
    b += (int)threadIdx.x % ACROSS * 4;
    for (int k = 0; k < STEP; k++) {
        float right[TN];
        for (int j = 0; j < TN; j += 4) {
            const float4 v = load4(b + k * COLS + j * ACROSS);
            right[j] = v.x, right[j + 1] = v.y, right[j + 2] = v.z, right[j + 3] = v.w;
        }
        for (int i = 0; i < TM; i += 4) {
            const float4 v = load4(a + k * ROWS + i * DOWN);
            for (int j = 0; j < TN; j++) {
                acc[i][j] = fmaf(v.x, right[j], acc[i][j]);
                acc[i + 1][j] = fmaf(v.y, right[j], acc[i + 1][j]);
                acc[i + 2][j] = fmaf(v.z, right[j], acc[i + 2][j]);
                acc[i + 3][j] = fmaf(v.w, right[j], acc[i + 3][j]);
            }
        }
    }
}

/* Computes the sums of a piece for ROWS output channels x COLS pairs of tap and channel per block. A thread computes TM
 * x TN of them, in groups of four neighbours. dy and x are read in the order of memory (neighbouring channels:
 * coalesced) and go through shared memory. Large tiles are bound by the multiply-adds (product.cu). A sum goes through
 * the pixels of the piece in their order. */
template <int VECTOR, int TM, int TN, int ACROSS, int DOWN>
static __global__ void __launch_bounds__(ACROSS *DOWN) weights_kernel(Slopes s, unsigned row_tiles)
{
    const int ROWS = DOWN * TM, COLS = ACROSS * TN, THREADS = ACROSS * DOWN, A = STEP * ROWS, STAGE = A + STEP * COLS;
    SHARED(float, memory, [STAGES * STAGE]);
    const int o0 = (int)(blockIdx.x % row_tiles) * ROWS, n0 = (int)blockIdx.y * COLS,
              n = n0 + (int)threadIdx.x % (COLS / VECTOR) * VECTOR;
    const int64_t piece = blockIdx.x / row_tiles, begin = piece_begin(s.pixels, s.pieces, piece),
                  end = piece_begin(s.pixels, s.pieces, piece + 1);
    Pixel p = pixel_at(s, begin + (int)threadIdx.x / (COLS / VECTOR));
    float acc[TM][TN];
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j++)
            acc[i][j] = 0;
    const int64_t steps = (end - begin + STEP - 1) / STEP;
    for (int64_t step = 0; step < steps + STAGES - 1; step++) { /* as in product.cu */
        const int64_t now = step - (STAGES - 1);
        if (now >= 0) {
            cp_async_wait<STAGES - 2>();
            __syncthreads();
        }
        if (step < steps) {
            float *to = memory + step % STAGES * STAGE;
            load_dy<VECTOR, ROWS, THREADS>(s, begin + step * STEP, end, o0, to);
            load_x<VECTOR, COLS, THREADS>(s, &p, end, n, to + A);
        }
        cp_async_commit();
        if (now >= 0) {
            const float *from = memory + now % STAGES * STAGE;
            multiply<TM, TN, ACROSS, DOWN>(from, from + A, acc);
        }
    }
    for (int i = 0; i < TM; i++) {
        const int o = o0 + i / 4 * 4 * DOWN + (int)threadIdx.x / ACROSS * 4 + i % 4;
        for (int j = 0; j < TN; j++) {
            const int to = n0 + j / 4 * 4 * ACROSS + (int)threadIdx.x % ACROSS * 4 + j % 4;
            if (o < s.O && to < s.columns)
                s.sums[(piece * s.O + o) * s.columns + to] = acc[i][j];
        }
    }
}

template <int TM, int TN, int ACROSS, int DOWN> static void launch(const Run *run, const Slopes *s)
{
    const unsigned row_tiles = (unsigned)div_up(s->O, DOWN * TM);
    const dim3 grid(row_tiles * (unsigned)s->pieces, (unsigned)div_up(s->columns, ACROSS * TN));
    if (s->C % 4 == 0 && s->O % 4 == 0 && aligned16(s->x) && aligned16(s->dy))
        LAUNCH(run, (weights_kernel<4, TM, TN, ACROSS, DOWN>), grid, ACROSS * DOWN, 0, *s, row_tiles);
    else
        LAUNCH(run, (weights_kernel<1, TM, TN, ACROSS, DOWN>), grid, ACROSS * DOWN, 0, *s, row_tiles);
}

enum { TAPS = 4 /* taps per thread of a depthwise gradient */ };

/* Computes the sums of a piece for 32 channels and TAPS taps per block. Each lane has every 8th pixel (image.h). dy is
 * read once for all TAPS taps; x is read at neighbouring channels (coalesced). The loads bound it: there is about one
 * per multiply-add. */
static __global__ void __launch_bounds__(COLUMNS *LANES) depthwise_kernel(Slopes s)
{
    const int tap0 = (int)blockIdx.z * TAPS;
    const int64_t ch = column_id(), begin = piece_begin(s.pixels, s.pieces, blockIdx.x),
                  end = piece_begin(s.pixels, s.pieces, blockIdx.x + 1), taps = s.columns / s.C;
    float sum[TAPS] = {0};
    for (Pixel p = pixel_at(s, begin + threadIdx.y); p.m < end && ch < s.C; advance(s, &p, LANES)) {
        const float dy = s.dy[p.m * s.C + ch];
        for (int i = 0; i < TAPS; i++) {
            const int64_t at = tap0 + i < taps ? under(s, p, (tap0 + i) / s.kw, (tap0 + i) % s.kw) : -1;
            if (at >= 0)
                sum[i] = fmaf(dy, s.x[at * s.C + ch], sum[i]);
        }
    }
    for (int i = 0; i < TAPS; i++) {
        const float total = lanes_sum(sum[i]);
        if (threadIdx.y == 0 && ch < s.C && tap0 + i < taps)
            s.sums[blockIdx.x * s.columns + (tap0 + i) * s.C + ch] = total;
    }
}

/* Computes dweights [rows, C, taps] = beta dweights + the pieces' sums [pieces, rows, taps, C], added in order. rows is
 * O, or 1 for a depthwise convolution. One thread per number. Most accesses are reads, and these are coalesced.
 * Memory-bound. */
static __global__ void __launch_bounds__(256) add_pieces_kernel(int64_t n, int64_t pieces, int64_t C, int64_t taps,
                                                                const float *sums, float beta, float *dweights)
{
    for (int64_t i = first_index(); i < n; i += all_threads()) {
        float sum = 0;
        for (int64_t piece = 0; piece < pieces; piece++)
            sum += sums[piece * n + i];
        float *to = dweights + (i / (taps * C) * C + i % C) * taps + i / C % taps;
        *to = beta != 0 ? fmaf(beta, *to, sum) : sum;
    }
}

static void weight_gradient(const Run *run, const ConvBack *b, float *sums)
{
    const Conv *c = &b->forward;
    Slopes s = {};
    s.x = (const float *)c->x;
    s.dy = b->dy;
    s.C = (int)c->C;
    s.O = (int)c->O;
    s.pixels = pixel_count(c);
    s.pieces = weight_pieces(c);
    s.H = (int)c->H;
    s.W = (int)c->W;
    s.high = (int)conv_high(c);
    s.wide = (int)conv_wide(c);
    s.kw = (int)c->kw;
    s.stride = (int)c->stride;
    s.top = (int)c->top;
    s.left = (int)c->left;
    s.columns = (int)(c->kh * c->kw * c->C);
    s.sums = sums;
    const int64_t n = weight_count(c);
    if (is_depthwise(c)) {
        dim3 grid = column_grid(s.pieces, c->C);
        grid.z = (unsigned)div_up(c->kh * c->kw, TAPS);
        LAUNCH(run, depthwise_kernel, grid, column_block(), 0, s);
    } else if (c->O > 64 && c->C > 0) {
        launch<8, 8, 8, 16>(run, &s); /* 128 x 64, 128 threads */
    } else if (c->C > 0) {
        launch<8, 4, 8, 8>(run, &s); /* 64 x 32, 64 threads */
    }
    LAUNCH(run, add_pieces_kernel, blocks_for(n, 256), 256, 0, n, s.pieces, c->C, c->kh * c->kw, sums, b->w_beta,
           b->dweights);
}

void cuda_conv_back(const Run *run, const ConvBack *b)
{
    float *packed = (float *)run->work, *sums = packed + packed_bytes(b) / sizeof(float);
    if (b->dx) {
        const Packing p = packing_of(&b->forward);
        windows_pack(run, &p, b->weights, packed);
        input_gradient(run, b, packed);
    }
    if (b->dweights)
        weight_gradient(run, b, sums);
}
