/* kernels/cpu/optim.c: optimisers. One step of Adam (Kingma & Ba 2015), for the gradient g:
 *
 *   m_new = beta1 m + (1 - beta1) g
 *   v_new = beta2 v + (1 - beta2) g^2
 *   p_new = p - lr m_new / (1 - beta1^t) / (sqrt(v_new / (1 - beta2^t)) + eps)
 *
 * All forms of Adam call adam_vector for each vector of a row. Its operations are rounded one by one (no fma) and
 * independently per lane. So a row gets the same bits from the dense form and from the lazy forms. A lazy form replays
 * the missed steps of a row when the row is next read.
 *
 * How the loops are arranged: all forms are memory-bound; p, m and v are read and written once per call. During a
 * replay, up to four vectors of a row stay in registers. A task has some rows. */
// flags baseline: -Os
#include <math.h>

#include "kernels/cpu/gemm/tile.h"
#include "kernels/cpu/loops.h"

/* Returns x, with subnormal numbers replaced by zero. Otherwise a momentum without new gradients would stay at the
 * smallest subnormal number forever. */
INLINE vf flush_to_zero(vf x)
{
    return v_select(v_abs(x) < 1.17549435e-38f, v_zero(), x);
}

/* Computes one step (AdamStep in kernels.h) for a vector of p with the gradient g and the moments m and v. */
INLINE void adam_vector(const AdamStep *s, vf g, vf *p, vf *m, vf *v)
{
    if (s->weight_decay != 0.0f)
        g = g + s->weight_decay * *p;
    if (s->shrink != 1.0f)
        *p = s->shrink * *p;
    *m = flush_to_zero(*m + (1.0f - s->beta1) * (g - *m));
    *v = flush_to_zero(s->beta2 * *v + (1.0f - s->beta2) * (g * g));
    *p = *p - s->step_size * *m / (v_sqrt(*v) * s->root_scale + s->eps);
}

typedef struct Adam {
    int64_t D;
    const int32_t *ids;
    const AdamStep *history; /* in the dense form: only the current step */
    int32_t now;
    const float *g;
    int32_t *last;
    float *p, *m, *v;
} Adam;

static void adam_range(const void *arg, int64_t first, int64_t last)
{
    const Adam *a = arg;
    const AdamStep step = *a->history;
    FOR_VECTORS(first, last, vf p = load_part(a->p + i, n); vf m = load_part(a->m + i, n);
                vf v = load_part(a->v + i, n); adam_vector(&step, load_part(a->g + i, n), &p, &m, &v);
                store_part(a->p + i, p, n); store_part(a->m + i, m, n); store_part(a->v + i, v, n))
}

void FN(adam)(const Run *run, int64_t n, const AdamStep *s, const float *g, float *p, float *m, float *v)
{
    Adam a = {.history = s, .g = g, .p = p, .m = m, .v = v};
    run_ranges(run, n, 8192, adam_range, &a);
}

void FN(adam_note)(const Run *run, const AdamStep *s, int32_t now, AdamStep *history)
{
    (void)run;
    history[now] = *s;
}

/* Computes the steps from+1 .. to for V vectors without a gradient. Each step of a vector depends on the one before, so
 * several vectors are computed together. If m is zero, eps is not zero and there is no weight decay, p does not change
 * and v is only multiplied by beta2: the same bits as adam_vector, with less work. */
INLINE void replay(const AdamStep *history, int32_t from, int32_t to, int V, vf *p, vf *m, vf *v)
{
    vi m_nonzero = *m != 0.0f, v_nonzero = *v != 0.0f;
    UNROLL
    for (int k = 1; k < V; k++) {
        m_nonzero |= m[k] != 0.0f;
        v_nonzero |= v[k] != 0.0f;
    }
    bool p_changes = v_mask(m_nonzero) != 0;
    for (int32_t t = from + 1; t <= to && !p_changes; t++)
        p_changes = history[t].weight_decay != 0.0f || history[t].shrink != 1.0f || history[t].eps == 0.0f;
    for (int32_t t = from + 1; t <= to && p_changes; t++) {
        const AdamStep s = history[t];
        UNROLL
        for (int k = 0; k < V; k++)
            adam_vector(&s, v_zero(), &p[k], &m[k], &v[k]);
    }
    for (int32_t t = from + 1; t <= to && !p_changes && v_mask(v_nonzero) != 0; t++) {
        UNROLL
        for (int k = 0; k < V; k++)
            v[k] = flush_to_zero(history[t].beta2 * v[k]);
    }
}

/* Replays the missed steps of V vectors of a row. If g is not NULL, also computes the next step. The last vector has n
 * lanes. */
INLINE void catch_up_part(const Adam *a, int32_t from, int32_t to, const float *g, int V, int n, float *prow,
                          float *mrow, float *vrow)
{
    vf p[4], m[4], v[4];
    UNROLL
    for (int k = 0; k < V; k++) {
        p[k] = load_part(prow + k * VW, k == V - 1 ? n : VW);
        m[k] = load_part(mrow + k * VW, k == V - 1 ? n : VW);
        v[k] = load_part(vrow + k * VW, k == V - 1 ? n : VW);
    }
    if (from < to)
        replay(a->history, from, to, V, p, m, v);
    UNROLL
    for (int k = 0; k < V; k++) {
        if (g)
            adam_vector(&a->history[to + 1], load_part(g + k * VW, k == V - 1 ? n : VW), &p[k], &m[k], &v[k]);
        store_part(prow + k * VW, p[k], k == V - 1 ? n : VW);
        store_part(mrow + k * VW, m[k], k == V - 1 ? n : VW);
        store_part(vrow + k * VW, v[k], k == V - 1 ? n : VW);
    }
}

/* Replays the missed steps of the columns first .. last-1 of row id, up to step `to`. If g is not NULL, it is the
 * gradient of these columns, and step to + 1 is computed too. The caller sets a->last[id] after all columns. */
INLINE void catch_up_span(const Adam *a, int64_t id, int64_t first, int64_t last, int32_t to, const float *g)
{
    const int32_t from = a->last[id];
    float *p = a->p + id * a->D + first, *m = a->m + id * a->D + first, *v = a->v + id * a->D + first;
    const int64_t n = last - first;
    int64_t d = 0;
    for (; d + 4 * VW <= n; d += 4 * VW)
        catch_up_part(a, from, to, g ? g + d : NULL, 4, VW, p + d, m + d, v + d);
    for (; d < n; d += VW)
        catch_up_part(a, from, to, g ? g + d : NULL, 1, (int)MIN(n - d, VW), p + d, m + d, v + d);
}

INLINE void catch_up(const Adam *a, int64_t id, int32_t to, const float *g)
{
    catch_up_span(a, id, 0, a->D, to, g);
    a->last[id] = g ? to + 1 : to;
}

static void adam_replay_rows(const void *arg, int64_t first, int64_t last)
{
    const Adam *a = arg;
    for (int64_t r = first; r < last; r++) {
        const int64_t id = a->ids ? a->ids[r] : r;
        if (a->last[id] < a->now)
            catch_up(a, id, a->now, NULL);
    }
}

void FN(adam_replay)(const Run *run, int64_t n, int64_t D, const int32_t *ids, const AdamStep *history, int32_t now,
                     int32_t *last, float *p, float *m, float *v)
{
    Adam a = {.D = D, .ids = ids, .history = history, .now = now, .last = last, .p = p, .m = m, .v = v};
    run_rows(run, n, 4 * D, adam_replay_rows, &a);
}

static void adam_rows_rows(const void *arg, int64_t first, int64_t last)
{
    const Adam *a = arg;
    for (int64_t r = first; r < last; r++)
        catch_up(a, a->ids ? a->ids[r] : r, a->now - 1, a->g + r * a->D);
}

void FN(adam_rows)(const Run *run, int64_t n, int64_t D, const int32_t *ids, const AdamStep *history, int32_t now,
                   const float *g, int32_t *last, float *p, float *m, float *v)
{
    Adam a = {.D = D, .ids = ids, .history = history, .now = now, .g = g, .last = last, .p = p, .m = m, .v = v};
    run_rows(run, n, 4 * D, adam_rows_rows, &a);
}

/* ---- factored -------------------------------------------------------------------------------- */

/* The gradient dy w is never stored completely. For TILE_ROWS rows at a time, CHUNK columns of it are computed into the
 * L1 cache and used immediately. Meanwhile p, m and v of the next CHUNK columns are prefetched, because they come from
 * memory. */
enum { CHUNK = 64, TASK_TILES = 3 }; /* TASK_TILES: groups of TILE_ROWS rows per task */

typedef struct Factored {
    Adam a;
    int64_t n, K;
    const float *dy, *packed;
} Factored;

/* Computes the columns d .. d+n-1 of the rows row .. row+rows-1 of dy w and writes them to g, whose rows are CHUNK
 * numbers apart. The bits are those of gemm. */
static void gradient_part(const Factored *f, int64_t row, int rows, int64_t d, int64_t n, float *g)
{
    const int64_t k_blocks = MAX(div_up(f->K, K_STEP), 1);
    for (int64_t kb = 0; kb < k_blocks; kb++) {
        const int64_t k = part_begin(f->K, k_blocks, kb);
        const Tile t = {.a = f->dy + row * f->K + k,
                        .a_row = f->K,
                        .a_step = 1,
                        .len = part_begin(f->K, k_blocks, kb + 1) - k,
                        .segs = 1,
                        .first = kb == 0,
                        .b_row = TILE_COLS,
                        .b_panel = f->K * TILE_COLS,
                        .b = f->packed + d / TILE_COLS * f->K * TILE_COLS + k * TILE_COLS,
                        .c = g,
                        .ldc = CHUNK};
        FN(tile_row)(t, rows, n);
    }
}

INLINE void prefetch_part(const Adam *a, int64_t id, int64_t d)
{
    for (int64_t line = d; line < MIN(d + CHUNK, a->D); line += 16) {
        __builtin_prefetch(a->p + id * a->D + line, 0, 2);
        __builtin_prefetch(a->m + id * a->D + line, 0, 2);
        __builtin_prefetch(a->v + id * a->D + line, 0, 2);
    }
}

static void adam_factored_rows(const Factored *f, int64_t first, int rows)
{
    const Adam *a = &f->a;
    float g[TILE_ROWS * CHUNK];
    for (int64_t d = 0; d < a->D; d += CHUNK) {
        const int64_t n = MIN(CHUNK, a->D - d);
        gradient_part(f, first, rows, d, n, g);
        for (int r = 0; r < rows; r++) {
            const int64_t id = a->ids ? a->ids[first + r] : first + r;
            prefetch_part(a, id, d + CHUNK);
            catch_up_span(a, id, d, d + n, a->now - 1, g + r * CHUNK);
        }
    }
    for (int r = 0; r < rows; r++)
        a->last[a->ids ? a->ids[first + r] : first + r] = a->now;
}

static void adam_factored_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const Factored *f = arg;
    const int64_t first = (int64_t)task * TASK_TILES * TILE_ROWS;
    for (int64_t row = first; row < MIN(first + TASK_TILES * TILE_ROWS, f->n); row += TILE_ROWS)
        adam_factored_rows(f, row, (int)MIN(TILE_ROWS, f->n - row));
}

size_t FN(adam_factored_work)(const Run *run, int64_t n, int64_t D, int64_t K)
{
    (void)run;
    return n == 0 ? 0 : FN(gemm_pack_bytes)(PACK_F32, K, D);
}

void FN(adam_factored)(const Run *run, int64_t n, int64_t D, int64_t K, const int32_t *ids, const AdamStep *history,
                       int32_t now, const float *dy, const float *w, int32_t *last, float *p, float *m, float *v)
{
    if (n == 0)
        return;
    FN(gemm_pack)(run, PACK_F32, K, D, w, D, 1, run->work);
    Factored f = {.a = {.D = D, .ids = ids, .history = history, .now = now, .last = last, .p = p, .m = m, .v = v},
                  .n = n,
                  .K = K,
                  .dy = dy,
                  .packed = run->work};
    pool_run(run->context, (size_t)div_up(n, TASK_TILES * TILE_ROWS), adam_factored_task, &f);
}

/* ---- optimisers without lazy forms ----------------------------------------------------------- */

typedef struct Sgd {
    SgdStep s;
    const float *g;
    float *p, *buffer;
} Sgd;

INLINE void sgd_part(const Sgd *a, int64_t i, int n)
{
    const SgdStep s = a->s;
    const vf p = load_part(a->p + i, n);
    vf d = load_part(a->g + i, n) + s.weight_decay * p;
    if (a->buffer) {
        const vf buffer = s.momentum * load_part(a->buffer + i, n) + s.damped * d;
        store_part(a->buffer + i, buffer, n);
        d = s.nesterov ? d + s.momentum * buffer : buffer;
    }
    store_part(a->p + i, p - s.lr * d, n);
}

static void sgd_range(const void *arg, int64_t first, int64_t last)
{
    FOR_VECTORS(first, last, sgd_part(arg, i, n))
}

void FN(sgd)(const Run *run, int64_t n, const SgdStep *s, const float *g, float *p, float *buffer)
{
    Sgd a = {*s, g, p, buffer};
    run_ranges(run, n, 16384, sgd_range, &a);
}

typedef struct Adagrad {
    int64_t D;
    const int32_t *ids;
    AdagradStep s;
    const float *g;
    float *p, *sum;
} Adagrad;

INLINE void adagrad_part(const AdagradStep *s, const float *g, float *p_at, float *sum_at, int n)
{
    const vf p = load_part(p_at, n), d = load_part(g, n) + s->weight_decay * p;
    const vf sum = load_part(sum_at, n) + d * d;
    store_part(sum_at, sum, n);
    store_part(p_at, p - s->lr * d / (v_sqrt(sum) + s->eps), n);
}

static void adagrad_rows(const void *arg, int64_t first, int64_t last)
{
    const Adagrad *a = arg;
    const AdagradStep s = a->s;
    for (int64_t r = first; r < last; r++) {
        const int64_t at = (a->ids ? a->ids[r] : r) * a->D;
        FOR_VECTORS(0, a->D, adagrad_part(&s, a->g + r * a->D + i, a->p + at + i, a->sum + at + i, n))
    }
}

void FN(adagrad)(const Run *run, int64_t n, int64_t D, const int32_t *ids, const AdagradStep *s, const float *g,
                 float *p, float *sum)
{
    Adagrad a = {D, ids, *s, g, p, sum};
    run_rows(run, n, 4 * D, adagrad_rows, &a);
}

typedef struct Rmsprop {
    RmspropStep s;
    const float *g;
    float *p, *v, *mean, *buffer;
} Rmsprop;

INLINE void rmsprop_part(const Rmsprop *a, int64_t i, int n)
{
    const RmspropStep s = a->s;
    const vf p = load_part(a->p + i, n), d = load_part(a->g + i, n) + s.weight_decay * p;
    const vf v = s.alpha * load_part(a->v + i, n) + s.fresh * (d * d);
    vf centred = v;
    store_part(a->v + i, v, n);
    if (a->mean) {
        const vf mean = s.alpha * load_part(a->mean + i, n) + s.fresh * d;
        store_part(a->mean + i, mean, n);
        centred = v_max(v_zero(), v - mean * mean); /* rounding errors may make it negative */
    }
    vf u = d / (v_sqrt(centred) + s.eps);
    if (a->buffer) {
        u = s.momentum * load_part(a->buffer + i, n) + u;
        store_part(a->buffer + i, u, n);
    }
    store_part(a->p + i, p - s.lr * u, n);
}

static void rmsprop_range(const void *arg, int64_t first, int64_t last)
{
    FOR_VECTORS(first, last, rmsprop_part(arg, i, n))
}

void FN(rmsprop)(const Run *run, int64_t n, const RmspropStep *s, const float *g, float *p, float *v, float *mean,
                 float *buffer)
{
    Rmsprop a = {*s, g, p, v, mean, buffer};
    run_ranges(run, n, 16384, rmsprop_range, &a);
}

void FN(clip_factor)(const Run *run, int64_t n, const float *squares, float max_norm, float *out)
{
    (void)run;
    float sum = 0.0f;
    for (int64_t i = 0; i < n; i++)
        sum += squares[i];
    const float factor = max_norm / (sqrtf(sum) + 1e-6f);
    *out = factor > 1.0f ? 1.0f : factor; /* NaN if the sum is NaN, as in torch */
}
