/* kernels/cuda/optim.cu: optimisers. One thread per number of the parameters, except in factored_kernel. The kernels
 * are memory-bound.
 *
 * Every Adam calls adam_number, whose operations are rounded one by one (no fmaf). A number therefore gets the same
 * bits from the dense and from the lazy forms. Neighbouring threads have neighbouring numbers, so all accesses are
 * coalesced. A warp reads 128 bytes of each operand at a time. A full multiprocessor has 32 KB of loads in flight (2048
 * threads, 4 floats each), more than its share of the bandwidth needs, so wider loads would not help.
 *
 * A lazy form is two launches: the first one updates the numbers, the second one updates `last` of their rows. Several
 * warps read last[row] of one row, so none of them may write it in the first launch. */
#include "kernels/cuda/loops.h"

enum { THREADS = 256 };

/* Returns 0 for numbers below the normal range (see kernels/cpu/optim.c). */
static __device__ inline float flush_to_zero(float x)
{
    return fabsf(x) < 1.17549435e-38f ? 0.0f : x;
}

/* Computes one step of Adam for one number p with gradient g and moments m and v (kernels.h: AdamStep):
 *
 *   g_new = g + weight_decay p
 *   p_new = shrink p
 *   m_new = m + (1 - beta1) (g_new - m)
 *   v_new = beta2 v + (1 - beta2) g_new^2
 *   p = p_new - step_size m_new / (sqrt(v_new) root_scale + eps)
 *
 * Subnormal m_new and v_new become 0. */
static __device__ inline void adam_number(const AdamStep *s, float g, float *p, float *m, float *v)
{
    if (s->weight_decay != 0.0f)
        g = g + s->weight_decay * *p;
    if (s->shrink != 1.0f)
        *p = s->shrink * *p;
    *m = flush_to_zero(*m + (1.0f - s->beta1) * (g - *m));
    *v = flush_to_zero(s->beta2 * *v + (1.0f - s->beta2) * (g * g));
    *p = *p - s->step_size * *m / (sqrtf(*v) * s->root_scale + s->eps);
}

/* Computes one step of Adam for n numbers. One thread per number, coalesced, memory-bound. */
static __global__ void __launch_bounds__(THREADS)
    adam_kernel(int64_t n, AdamStep s, const float *g, float *p, float *m, float *v)
{
    for (int64_t i = first_index(); i < n; i += all_threads()) {
        float pi = p[i], mi = m[i], vi = v[i];
        adam_number(&s, g[i], &pi, &mi, &vi);
        p[i] = pi;
        m[i] = mi;
        v[i] = vi;
    }
}
void cuda_adam(const Run *run, int64_t n, const AdamStep *s, const float *g, float *p, float *m, float *v)
{
    LAUNCH(run, adam_kernel, blocks_for(n, THREADS), THREADS, 0, n, *s, g, p, m, v);
}

/* Writes the step `now` to the history, which is in device memory. */
static __global__ void __launch_bounds__(WARP) adam_note_kernel(AdamStep s, int32_t now, AdamStep *history)
{
    if (threadIdx.x == 0)
        history[now] = s;
}
void cuda_adam_note(const Run *run, const AdamStep *s, int32_t now, AdamStep *history)
{
    LAUNCH(run, adam_note_kernel, 1, WARP, 0, *s, now, history);
}

/* ---- lazy forms ------------------------------------------------------------------------------ */

/* The operands of a lazy form. Row r of the list is row ids[r] of the parameter, or row r if `ids` is NULL. */
typedef struct Lazy {
    int64_t n, D; /* rows of the list, numbers per row */
    const int32_t *ids;
    const AdamStep *history; /* history[t]: the numbers of step t */
    int32_t now;
    int32_t *last;    /* [rows]: the last step of each row that was computed */
    float *p, *m, *v; /* [rows, D], with all rows of the parameter */
} Lazy;

/* Replays steps from+1 .. to, which have no gradient. If D is a multiple of 32, the threads of a warp have the same
 * row: they replay the same number of steps and read the same steps of the history.
 *
 * If m is zero, eps is not zero and there is no weight decay, p does not change and v is only multiplied by beta2. The
 * short form below computes this. It gives the same bits as adam_number, without the root and the division, whose
 * latency would add up over the steps. (With eps = 0, p could become 0 / 0.) */
static __device__ inline void replay(const AdamStep *history, int32_t from, int32_t to, float *p, float *m, float *v)
{
    for (int32_t t = from + 1; t <= to; t++) {
        const AdamStep s = history[t];
        if (*m != 0.0f || s.weight_decay != 0.0f || s.shrink != 1.0f || s.eps == 0.0f)
            adam_number(&s, 0.0f, p, m, v);
        else
            *v = flush_to_zero(s.beta2 * *v);
    }
}

/* Updates column d of row r of the list: replays its delayed steps, up to step `to`. If g is not NULL, *g is the
 * gradient of the step after `to`, and this step is computed, too. */
static __device__ inline void catch_up(const Lazy *a, int64_t r, int64_t d, int32_t to, const float *g)
{
    const int64_t id = a->ids ? a->ids[r] : r, at = id * a->D + d;
    const int32_t from = a->last[id];
    if (!g && from >= to)
        return;
    float p = a->p[at], m = a->m[at], v = a->v[at];
    replay(a->history, from, to, &p, &m, &v);
    if (g) {
        const AdamStep s = a->history[to + 1];
        adam_number(&s, *g, &p, &m, &v);
    }
    a->p[at] = p;
    a->m[at] = m;
    a->v[at] = v;
}

/* Replays the delayed steps of the rows of the list. With gradients, it then computes step `now`. One thread per
 * number, coalesced along the rows, memory-bound if few steps are replayed.
 * - g [n, D]: the gradient of step `now`. NULL: the delayed steps are replayed up to step `now`. */
static __global__ void __launch_bounds__(THREADS) lazy_kernel(Lazy a, const float *g)
{
    for (int64_t i = first_index(); i < a.n * a.D; i += all_threads()) {
        const int64_t r = row_of(i, a.D);
        catch_up(&a, r, i - r * a.D, g ? a.now - 1 : a.now, g ? g + i : NULL);
    }
}
/* Sets `last` of the n rows to `now`. One thread per row. stepped: the rows had a gradient. Otherwise only smaller
 * values are replaced. */
static __global__ void __launch_bounds__(THREADS) last_kernel(Lazy a, bool stepped)
{
    for (int64_t r = first_index(); r < a.n; r += all_threads()) {
        const int64_t id = a.ids ? a.ids[r] : r;
        if (stepped || a.last[id] < a.now)
            a.last[id] = a.now;
    }
}

void cuda_adam_replay(const Run *run, int64_t n, int64_t D, const int32_t *ids, const AdamStep *history, int32_t now,
                      int32_t *last, float *p, float *m, float *v)
{
    const Lazy a = {n, D, ids, history, now, last, p, m, v};
    LAUNCH(run, lazy_kernel, blocks_for(n * D, THREADS), THREADS, 0, a, (const float *)NULL);
    LAUNCH(run, last_kernel, blocks_for(n, THREADS), THREADS, 0, a, false);
}

void cuda_adam_rows(const Run *run, int64_t n, int64_t D, const int32_t *ids, const AdamStep *history, int32_t now,
                    const float *g, int32_t *last, float *p, float *m, float *v)
{
    const Lazy a = {n, D, ids, history, now, last, p, m, v};
    LAUNCH(run, lazy_kernel, blocks_for(n * D, THREADS), THREADS, 0, a, g);
    LAUNCH(run, last_kernel, blocks_for(n, THREADS), THREADS, 0, a, true);
}

/* ---- factored -------------------------------------------------------------------------------- */

/* Adam with the gradient dy w [n, D], a product that is not stored: dy [n, K], w [K, D].
 *
 * A block computes SIDE x SIDE numbers of the gradient, one thread 4 x 4 of them. K is processed in parts of PART
 * numbers. The gradient then goes through shared memory, so that the step itself is coalesced: a warp has 32
 * neighbouring columns of a row. The step moves 24 bytes per number. With K = 64 the product has 128 operations per 24
 * bytes, so the kernel is memory-bound if the product reaches 40 % of an A100's peak, or 27 % of an H100's. Small tiles
 * without prefetch suffice for this.
 *
 * A number of the gradient is one chain of fmaf over k = 0 .. K-1, starting from 0. These are the bits of gemm, which
 * cuts only chains above 384. */
enum { SIDE = 64, PART = 16 };

/* Loads `count` columns of dy and rows of w, from k on, into shared memory. Rows and columns outside x become zeros.
 * - a[i][j] = dy[row0 + j, k + i]: 16 neighbouring threads read 64 bytes of a row.
 * - b[i][j] = w[k + i, col0 + j]: coalesced. */
static __device__ inline void load_factors(const Lazy *x, int64_t K, const float *dy, const float *w, int64_t row0,
                                           int64_t col0, int64_t k, int count, float (*a)[SIDE + 4], float (*b)[SIDE])
{
    for (int i = (int)threadIdx.x; i < SIDE * PART; i += THREADS) {
        const int row = i / PART, k_of_row = i % PART, k_of_col = i / SIDE, col = i % SIDE;
        if (k_of_row < count)
            a[k_of_row][row] = row0 + row < x->n ? dy[(row0 + row) * K + k + k_of_row] : 0.0f;
        if (k_of_col < count)
            b[k_of_col][col] = col0 + col < x->D ? w[(k + k_of_col) * x->D + col0 + col] : 0.0f;
    }
}

static __global__ void __launch_bounds__(THREADS) factored_kernel(Lazy x, int64_t K, const float *dy, const float *w)
{
    SHARED(float, a, [PART][SIDE + 4]);
    SHARED(float, b, [PART][SIDE]);
    SHARED(float, g, [SIDE][SIDE]);
    const int64_t tiles = (x.D + SIDE - 1) / SIDE, row0 = blockIdx.x / tiles * SIDE, col0 = blockIdx.x % tiles * SIDE;
    const int row = (int)threadIdx.x / 16 * 4, col = (int)threadIdx.x % 16 * 4;
    float sum[4][4] = {};
    for (int64_t k = 0; k < K; k += PART) {
        const int count = (int)MIN(K - k, (int64_t)PART);
        load_factors(&x, K, dy, w, row0, col0, k, count, a, b);
        __syncthreads();
        for (int i = 0; i < count; i++) {
            const float4 l = load4(&a[i][row]), r = load4(&b[i][col]);
            const float left[4] = {l.x, l.y, l.z, l.w}, right[4] = {r.x, r.y, r.z, r.w};
            for (int y = 0; y < 4; y++)
                for (int c = 0; c < 4; c++)
                    sum[y][c] = fmaf(left[y], right[c], sum[y][c]);
        }
        __syncthreads();
    }
    for (int y = 0; y < 4; y++)
        store4(&g[row + y][col], make_float4(sum[y][0], sum[y][1], sum[y][2], sum[y][3]));
    __syncthreads();
    for (int i = (int)threadIdx.x; i < SIDE * SIDE; i += THREADS) {
        const int64_t r = row0 + i / SIDE, d = col0 + i % SIDE;
        if (r < x.n && d < x.D)
            catch_up(&x, r, d, x.now - 1, &g[i / SIDE][i % SIDE]);
    }
}

size_t cuda_adam_factored_work(const Run *run, int64_t n, int64_t D, int64_t K)
{
    (void)run, (void)n, (void)D, (void)K;
    return 0;
}

void cuda_adam_factored(const Run *run, int64_t n, int64_t D, int64_t K, const int32_t *ids, const AdamStep *history,
                        int32_t now, const float *dy, const float *w, int32_t *last, float *p, float *m, float *v)
{
    const Lazy a = {n, D, ids, history, now, last, p, m, v};
    LAUNCH(run, factored_kernel, div_up(n, SIDE) * div_up(D, SIDE), THREADS, 0, a, K, dy, w);
    LAUNCH(run, last_kernel, blocks_for(n, THREADS), THREADS, 0, a, true);
}

/* ---- the other optimisers, without lazy forms ------------------------------------------------ */

/* Computes one step of SGD for n numbers. `buffer` has the momentum; NULL: no momentum. One thread per number,
 * coalesced, memory-bound. */
static __global__ void __launch_bounds__(THREADS)
    sgd_kernel(int64_t n, SgdStep s, const float *g, float *p, float *buffer)
{
    for (int64_t i = first_index(); i < n; i += all_threads()) {
        const float old = p[i];
        float d = g[i] + s.weight_decay * old;
        if (buffer) {
            const float sum = s.momentum * buffer[i] + s.damped * d;
            buffer[i] = sum;
            d = s.nesterov ? d + s.momentum * sum : sum;
        }
        p[i] = old - s.lr * d;
    }
}
void cuda_sgd(const Run *run, int64_t n, const SgdStep *s, const float *g, float *p, float *buffer)
{
    LAUNCH(run, sgd_kernel, blocks_for(n, THREADS), THREADS, 0, n, *s, g, p, buffer);
}

/* Computes one step of Adagrad for n rows of D numbers. ids: for each row of g, its row in p and `sum`; NULL: the same
 * row. One thread per number, coalesced along the rows, memory-bound. */
static __global__ void __launch_bounds__(THREADS)
    adagrad_kernel(int64_t n, int64_t D, const int32_t *ids, AdagradStep s, const float *g, float *p, float *sum)
{
    for (int64_t i = first_index(); i < n * D; i += all_threads()) {
        const int64_t r = row_of(i, D), at = ids ? ids[r] * D + (i - r * D) : i;
        const float old = p[at], d = g[i] + s.weight_decay * old, squares = sum[at] + d * d;
        sum[at] = squares;
        p[at] = old - s.lr * d / (sqrtf(squares) + s.eps);
    }
}
void cuda_adagrad(const Run *run, int64_t n, int64_t D, const int32_t *ids, const AdagradStep *s, const float *g,
                  float *p, float *sum)
{
    LAUNCH(run, adagrad_kernel, blocks_for(n * D, THREADS), THREADS, 0, n, D, ids, *s, g, p, sum);
}

/* Computes one step of RMSprop for n numbers. `mean` is for the centred form, `buffer` for momentum; NULL: not used.
 * One thread per number, coalesced, memory-bound. */
static __global__ void __launch_bounds__(THREADS)
    rmsprop_kernel(int64_t n, RmspropStep s, const float *g, float *p, float *v, float *mean, float *buffer)
{
    for (int64_t i = first_index(); i < n; i += all_threads()) {
        const float old = p[i], d = g[i] + s.weight_decay * old, square = s.alpha * v[i] + s.fresh * (d * d);
        float centred = square;
        v[i] = square;
        if (mean) {
            const float average = s.alpha * mean[i] + s.fresh * d, rest = square - average * average;
            mean[i] = average;
            centred = rest < 0.0f ? 0.0f : rest; /* rounding may make it negative; a NaN stays */
        }
        float u = d / (sqrtf(centred) + s.eps);
        if (buffer) {
            u = s.momentum * buffer[i] + u;
            buffer[i] = u;
        }
        p[i] = old - s.lr * u;
    }
}
void cuda_rmsprop(const Run *run, int64_t n, const RmspropStep *s, const float *g, float *p, float *v, float *mean,
                  float *buffer)
{
    LAUNCH(run, rmsprop_kernel, blocks_for(n, THREADS), THREADS, 0, n, *s, g, p, v, mean, buffer);
}
