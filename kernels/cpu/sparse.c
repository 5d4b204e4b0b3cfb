/* kernels/cpu/sparse.c: products with a sparse matrix A in CSR form, and sums over the entries of its rows.
 * docs/kernels/spmm.md describes how spmm was developed.
 *
 *   spmm: y = alpha A x + beta y
 *
 * How the loop is arranged: tasks have rows with about the same number of entries. The result of a row, up to 8 vectors
 * of columns at a time, stays in registers during the loop over the row's entries. Each entry reads one row of x, which
 * is prefetched PREFETCH_DISTANCE entries ahead: the kernel is memory-bound. */
// flags baseline: -Os
#include <math.h>

#include "kernels/cpu/sparse.h"

enum { PREFETCH_DISTANCE = 24 };

/* The source of an entry's weight (sparse.h), a compile-time constant in each copy of the loop:
 * - ONE: the weight is 1. ONE_IN_ORDER: also, `col` is NULL, so that entry e reads row e of x.
 * - BY_COL: col_scale[col]. BY_VALUE: val[e]. BY_VALUE_INDEX: val[val_index[e]].
 * - BY_ALL: the product of the value and col_scale; each of them and `val_index` may be NULL. */
typedef enum Weight { ONE, ONE_IN_ORDER, BY_COL, BY_VALUE, BY_VALUE_INDEX, BY_ALL } Weight;

INLINE float weight_of(const GatherSum *g, Weight w, int64_t e, int64_t c)
{
    switch (w) {
    case BY_COL: return g->col_scale[c];
    case BY_VALUE: return g->val[e];
    case BY_VALUE_INDEX: return g->val[g->val_index[e]];
    case BY_ALL:
        return (g->val ? g->val[g->val_index ? g->val_index[e] : e] : 1.0f) * (g->col_scale ? g->col_scale[c] : 1.0f);
    case ONE:
    case ONE_IN_ORDER: break;
    }
    return 1.0f;
}

/* Computes the columns d .. d + V VW - 1 of row r. The last vector has `lanes` lanes. V is a constant in every call. */
INLINE void row_block(const GatherSum *g, Weight w, int V, int lanes, int64_t r, int64_t d)
{
    const float *x = g->x + d;
    const int64_t ldx = g->ldx, last = g->start[g->rows] - 1;
    vf acc[8];
    UNROLL
    for (int v = 0; v < V; v++)
        acc[v] = v_zero();
    for (int64_t e = g->start[r]; e < g->start[r + 1]; e++) {
        const int64_t c = w == ONE_IN_ORDER ? e : g->col[e];
        if (w != ONE_IN_ORDER) {
            const float *next = x + g->col[MIN(e + PREFETCH_DISTANCE, last)] * ldx;
            UNROLL
            for (int v = 0; v < V * VW; v += 16)
                __builtin_prefetch(next + v);
        }
        const float *row = x + c * ldx;
        if (w == ONE || w == ONE_IN_ORDER) {
            UNROLL
            for (int v = 0; v < V; v++)
                acc[v] += load_part(row + v * VW, v == V - 1 ? lanes : VW);
        } else {
            const vf weight = v_set(weight_of(g, w, e, c));
            UNROLL
            for (int v = 0; v < V; v++)
                acc[v] = v_fma(weight, load_part(row + v * VW, v == V - 1 ? lanes : VW), acc[v]);
        }
    }
    const vf scale = v_set(g->row_scale ? g->alpha * g->row_scale[r] : g->alpha);
    float *y = g->y + (g->to ? g->to[r] : r) * g->ldy + d;
    UNROLL
    for (int v = 0; v < V; v++) {
        const int n = v == V - 1 ? lanes : VW;
        if (g->beta == 0.0f)
            store_part(y + v * VW, scale * acc[v], n);
        else
            store_part(y + v * VW, v_fma(scale, acc[v], g->beta * load_part(y + v * VW, n)), n);
    }
}

INLINE void gather_rows(const GatherSum *g, Weight w, int64_t first, int64_t last)
{
    for (int64_t r = first; r < last; r++) {
        int64_t d = 0;
        for (; d + 8 * VW <= g->D; d += 8 * VW)
            row_block(g, w, 8, VW, r, d);
        for (; d + 4 * VW <= g->D; d += 4 * VW)
            row_block(g, w, 4, VW, r, d);
        for (; d + 2 * VW <= g->D; d += 2 * VW)
            row_block(g, w, 2, VW, r, d);
        for (; d + VW <= g->D; d += VW)
            row_block(g, w, 1, VW, r, d);
        if (d < g->D)
            row_block(g, w, 1, (int)(g->D - d), r, d);
    }
}

#define ROWS_BY(name, weight)                                                                                          \
    static void name(const void *arg, int64_t first, int64_t last)                                                     \
    {                                                                                                                  \
        gather_rows(arg, weight, first, last);                                                                         \
    }
ROWS_BY(rows_of_ones, ONE)
ROWS_BY(rows_in_order, ONE_IN_ORDER)
ROWS_BY(rows_by_col, BY_COL)
ROWS_BY(rows_by_value, BY_VALUE)
ROWS_BY(rows_by_value_index, BY_VALUE_INDEX)
ROWS_BY(rows_by_all, BY_ALL)

void FN(gather_sum)(const Run *run, const GatherSum *g)
{
    RangeFn *fn = !g->col                  ? rows_in_order
                  : g->val && g->col_scale ? rows_by_all
                  : g->val && g->val_index ? rows_by_value_index
                  : g->val                 ? rows_by_value
                  : g->col_scale           ? rows_by_col
                                           : rows_of_ones;
    if (g->D > 0)
        run_balanced(run, g->rows, g->start, g->D, fn, g);
}

void FN(spmm)(const Run *run, const Sparse *A, int64_t D, DType type, const void *x, int64_t ldx, float alpha,
              float beta, void *y, int64_t ldy)
{
    (void)type; /* F32: the only type that `supports` reports */

    GatherSum g = {.rows = A->rows,
                   .D = D,
                   .start = A->start,
                   .col = A->col,
                   .val_index = A->val_index,
                   .val = A->val,
                   .row_scale = A->row_scale,
                   .col_scale = A->col_scale,
                   .x = x,
                   .ldx = ldx,
                   .alpha = alpha,
                   .beta = beta,
                   .y = y,
                   .ldy = ldy};
    FN(gather_sum)(run, &g);
}

/* ---- one number per entry -------------------------------------------------------------------- */

/* The arguments of a kernel, for its tasks. In the backward pass of edge_softmax, x is y, y is dy, and out is dx. */
typedef struct Edges {
    const Sparse *A;
    int64_t D;
    const float *x, *y, *val, *row_scale, *col_scale;
    float alpha, beta;
    float *out;
} Edges;

INLINE void sddmm_rows(const Edges *g, int64_t D, int64_t first, int64_t last)
{
    const Sparse *A = g->A;
    const int64_t last_entry = A->start[A->rows] - 1;
    for (int64_t r = first; r < last; r++) {
        const float *x = g->x + r * D, alpha = A->row_scale ? g->alpha * A->row_scale[r] : g->alpha;
        for (int64_t e = A->start[r]; e < A->start[r + 1]; e++) {
            const int64_t c = A->col[e];
            const float *next = g->y + A->col[MIN(e + PREFETCH_DISTANCE, last_entry)] * D, *y = g->y + c * D;
            for (int64_t d = 0; d < D; d += 16)
                __builtin_prefetch(next + d);
            ROW_SUM(dot, D, LOAD(x) * LOAD(y))
            const float term = (A->col_scale ? alpha * A->col_scale[c] : alpha) * dot;
            g->out[e] = g->beta == 0.0f ? term : g->beta * g->out[e] + term;
        }
    }
}

static void sddmm_any(const void *arg, int64_t first, int64_t last)
{
    sddmm_rows(arg, ((const Edges *)arg)->D, first, last);
}
static void sddmm_64(const void *arg, int64_t first, int64_t last)
{
    sddmm_rows(arg, 64, first, last);
}

void FN(sddmm)(const Run *run, const Sparse *A, int64_t D, const float *x, const float *y, float alpha, float beta,
               float *out)
{
    Edges g = {.A = A, .D = D, .x = x, .y = y, .alpha = alpha, .beta = beta, .out = out};
    run_balanced(run, A->rows, A->start, MAX(D, 1), D == 64 ? sddmm_64 : sddmm_any, &g);
}

static void edge_softmax_rows(const void *arg, int64_t first, int64_t last)
{
    const Edges *g = arg;
    for (int64_t r = first; r < last; r++) {
        const int64_t e = g->A->start[r], n = g->A->start[r + 1] - e;
        if (n > 0)
            softmax_row(n, g->x + e, g->out + e);
    }
}

void FN(edge_softmax)(const Run *run, const Sparse *A, const float *x, float *y)
{
    Edges g = {.A = A, .x = x, .out = y};
    run_balanced(run, A->rows, A->start, 4, edge_softmax_rows, &g);
}

static void edge_softmax_back_rows(const void *arg, int64_t first, int64_t last)
{
    const Edges *g = arg;
    for (int64_t r = first; r < last; r++) {
        const int64_t e = g->A->start[r];
        softmax_back_row(g->A->start[r + 1] - e, g->x + e, g->y + e, g->out + e);
    }
}

void FN(edge_softmax_back)(const Run *run, const Sparse *A, const float *y, const float *dy, float *dx)
{
    Edges g = {.A = A, .x = y, .y = dy, .out = dx};
    run_balanced(run, A->rows, A->start, 2, edge_softmax_back_rows, &g);
}

static void edge_row_sum_rows(const void *arg, int64_t first, int64_t last)
{
    const Edges *g = arg;
    for (int64_t r = first; r < last; r++) {
        const int64_t e = g->A->start[r], n_entries = g->A->start[r + 1] - e;
        if (g->A->val_index) {
            float sum = 0;
            for (int64_t j = e; j < e + n_entries; j++)
                sum += g->val[g->A->val_index[j]];
            g->out[r] = sum;
        } else {
            const float *val = g->val + e;
            ROW_SUM(sum, n_entries, LOAD(val))
            g->out[r] = sum;
        }
    }
}

void FN(edge_row_sum)(const Run *run, const Sparse *A, const float *val, float *out)
{
    Edges g = {.A = A, .val = val, .out = out};
    run_balanced(run, A->rows, A->start, 2, edge_row_sum_rows, &g);
}

static void edge_scale_rows(const void *arg, int64_t first, int64_t last)
{
    const Edges *g = arg;
    for (int64_t r = first; r < last; r++) {
        const float row = g->row_scale ? g->row_scale[r] : 1.0f;
        for (int64_t e = g->A->start[r]; e < g->A->start[r + 1]; e++) {
            const float scaled = g->val[e] * row;
            g->out[e] = g->col_scale ? scaled * g->col_scale[g->A->col[e]] : scaled;
        }
    }
}

void FN(edge_scale)(const Run *run, const Sparse *A, const float *val, const float *rs, const float *cs, float *out)
{
    Edges g = {.A = A, .val = val, .row_scale = rs, .col_scale = cs, .out = out};
    run_balanced(run, A->rows, A->start, 2, edge_scale_rows, &g);
}

/* ---- scales of nodes ------------------------------------------------------------------------- */

typedef struct Roots { /* for inverse_root_back: x is y, and y is d */
    const float *x;
    float *y;
} Roots;

static void inverse_root_range(const void *arg, int64_t first, int64_t last)
{
    const Roots *r = arg;
    for (int64_t i = first; i < last; i++)
        r->y[i] = r->x[i] > 0 ? (float)(1 / sqrt((double)r->x[i])) : 0;
}

void FN(inverse_root)(const Run *run, int64_t n, const float *x, float *y)
{
    Roots r = {x, y};
    run_ranges(run, n, 4096, inverse_root_range, &r);
}

static void inverse_root_back_range(const void *arg, int64_t first, int64_t last)
{
    const Roots *r = arg;
    for (int64_t i = first; i < last; i++)
        r->y[i] = (float)(-0.5 * (double)r->x[i] * r->x[i] * r->x[i] * r->y[i]);
}

void FN(inverse_root_back)(const Run *run, int64_t n, const float *y, float *d)
{
    Roots r = {y, d};
    run_ranges(run, n, 4096, inverse_root_back_range, &r);
}
