/* kernels/cpu/norm.c: kernels over the rows of x [M,C]: layer norm, softmax, dot products of rows, and sums over rows
 * and columns. kernels.h has the formulas.
 *
 * How the loops are arranged: a task has some rows. A row is read from memory once, and then from the L1 cache again in
 * each further pass over the row. Sums over a row are computed in four vectors and then by halves, in an order that
 * depends on C alone (row_sum.h). Sums over columns are computed in parts of rows. */
// flags baseline: -Os
#include "kernels/cpu/row_sum.h"

/* The arguments of a kernel, for its tasks. Each kernel uses some members. A few operands of kernels.h have another
 * name here: `mean` is the norm of row_normalize, `gamma` the s of row_scale, x and dy are the a and b of row_dot. In
 * the backward passes of softmax and row_normalize, x is the y of the forward pass, and y is dx. */
typedef struct Rows {
    int64_t M, C, ldx, ldy;
    const float *x, *residual, *gamma, *bias, *dy;
    const float *mean_in, *rstd_in;
    float *y, *mean, *rstd;
    float eps, beta;
} Rows;

/* ---- layer norm ------------------------------------------------------------------------------ */

/* Stores n numbers of x in y and returns x. */
INLINE vf store_and_return(float *y, vf x, int n)
{
    store_part(y, x, n);
    return x;
}

static void layer_norm_rows(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    const int64_t C = r->C;
    const float scale = 1.0f / (float)MAX(C, 1);
    for (int64_t m = first; m < last; m++) {
        const float *s = r->x + m * C;
        float *y = r->y + m * C, mean;
        if (r->residual) { /* y holds x + residual until the last pass */
            const float *residual = r->residual + m * C;
            ROW_SUM(sum, C, store_and_return(y + i, LOAD(s) + LOAD(residual), n))
            mean = sum * scale;
            s = y;
        } else {
            ROW_SUM(sum, C, LOAD(s))
            mean = sum * scale;
        }
        ROW_SUM(squares, C, square(keep_part(LOAD(s) - mean, n)))
        const float rstd = 1.0f / __builtin_sqrtf(squares * scale + r->eps);
        FOR_VECTORS(0, C, store_part(y + i, v_fma((LOAD(s) - mean) * rstd, LOAD(r->gamma), LOAD(r->bias)), n))
        if (r->mean)
            r->mean[m] = mean;
        if (r->rstd)
            r->rstd[m] = rstd;
    }
}

void FN(layer_norm)(const Run *run, int64_t M, int64_t C, DType type, const void *x, const void *residual,
                    const float *gamma, const float *beta, float eps, void *y, float *mean, float *rstd)
{
    (void)type; /* F32: the only type that `supports` reports */

    Rows r = {.M = M,
              .C = C,
              .x = x,
              .residual = residual,
              .gamma = gamma,
              .bias = beta,
              .eps = eps,
              .y = y,
              .mean = mean,
              .rstd = rstd};
    run_rows(run, M, C, layer_norm_rows, &r);
}

/* Sums over columns are computed in at most PARTS parts. The number of rows per part depends on M alone. */
enum { PARTS = 64, PART_ROWS = 32 };

static int64_t part_rows(int64_t M)
{
    return MAX(PART_ROWS, div_up(M, PARTS));
}
static int64_t part_count(int64_t M)
{
    return div_up(M, part_rows(M));
}

/* y = beta y + the sum of the rows of parts [count, ld], columns 0 .. C-1. The sum is made in the first row of
 * parts, which is overwritten. */
static void add_parts(int64_t count, int64_t C, const float *parts, int64_t ld, float beta, float *y)
{
    for (int64_t p = 1; p < count; p++) {
        float *sum = (float *)parts;
        const float *next = parts + p * ld;
        FOR_VECTORS(0, C, store_part(sum + i, LOAD(sum) + LOAD(next), n))
    }
    FOR_VECTORS(0, C, store_part(y + i, beta == 0.0f ? LOAD(parts) : v_fma(v_set(beta), LOAD(y), LOAD(parts)), n))
}

typedef struct NormBack {
    Rows r;
    float *dx, *parts; /* parts [part_count, 2 C]: dgamma, then dbeta, of each part of the rows; NULL: not computed */
} NormBack;

static void layer_norm_back_parts(const void *arg, int64_t first, int64_t last)
{
    const NormBack *b = arg;
    const Rows *r = &b->r;
    const int64_t C = r->C;
    const float scale = 1.0f / (float)MAX(C, 1);
    for (int64_t p = first; p < last; p++) {
        float *dgamma = b->parts ? b->parts + p * 2 * C : NULL, *dbeta = dgamma ? dgamma + C : NULL;
        if (dgamma)
            memset(dgamma, 0, (size_t)(2 * C) * sizeof(float));
        for (int64_t m = p * part_rows(r->M); m < MIN(r->M, (p + 1) * part_rows(r->M)); m++) {
            const float *x = r->x + m * C, *residual = r->residual ? r->residual + m * C : NULL, *dy = r->dy + m * C;
            float *dx = b->dx + m * C;
            const float mean = r->mean_in[m], rstd = r->rstd_in[m];
#define XHAT (keep_part((residual ? LOAD(x) + LOAD(residual) : LOAD(x)) - mean, n) * rstd)
            ROW_SUM(sum_dy, C, LOAD(dy) * LOAD(r->gamma))
            ROW_SUM(sum_dyx, C, LOAD(dy) * LOAD(r->gamma) * XHAT)
            const float mean_dy = sum_dy * scale, mean_dyx = sum_dyx * scale;
            FOR_VECTORS(0, C, {
                const vf xhat = XHAT, d = LOAD(dy);
                if (dgamma) {
                    store_part(dgamma + i, v_fma(d, xhat, LOAD(dgamma)), n);
                    store_part(dbeta + i, d + LOAD(dbeta), n);
                }
                store_part(dx + i, (v_fma(d, LOAD(r->gamma), -xhat * mean_dyx) - mean_dy) * rstd, n);
            })
#undef XHAT
        }
    }
}

size_t FN(layer_norm_back_work)(const Run *run, int64_t M, int64_t C)
{
    (void)run;
    return (size_t)(part_count(M) * 2 * C) * sizeof(float);
}

void FN(layer_norm_back)(const Run *run, int64_t M, int64_t C, const float *x, const float *residual,
                         const float *gamma, const float *mean, const float *rstd, const float *dy, float *dx,
                         float *dgamma, float *dbeta)
{
    float *parts = dgamma || dbeta ? run->work : NULL;
    NormBack b = {
        {.M = M, .C = C, .x = x, .residual = residual, .gamma = gamma, .dy = dy, .mean_in = mean, .rstd_in = rstd},
        dx,
        parts};
    if (M == 0 || C == 0)
        return;
    run_ranges(run, part_count(M), 1, layer_norm_back_parts, &b);
    if (dgamma)
        add_parts(part_count(M), C, parts, 2 * C, 1.0f, dgamma);
    if (dbeta)
        add_parts(part_count(M), C, parts + C, 2 * C, 1.0f, dbeta);
}

/* ---- softmax --------------------------------------------------------------------------------- */

static void softmax_rows(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    for (int64_t m = first; m < last; m++)
        softmax_row(r->C, r->x + m * r->C, r->y + m * r->C);
}

void FN(softmax)(const Run *run, int64_t M, int64_t C, const float *x, float *y)
{
    Rows r = {.M = M, .C = C, .x = x, .y = y};
    run_rows(run, M, C, softmax_rows, &r);
}

static void softmax_back_rows(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    for (int64_t m = first; m < last; m++)
        softmax_back_row(r->C, r->x + m * r->C, r->dy + m * r->C, r->y + m * r->C);
}

void FN(softmax_back)(const Run *run, int64_t M, int64_t C, const float *y, const float *dy, float *dx)
{
    Rows r = {.M = M, .C = C, .x = y, .dy = dy, .y = dx};
    run_rows(run, M, C, softmax_back_rows, &r);
}

/* ---- length, products and sums of rows ------------------------------------------------------- */

static void row_normalize_rows(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    const int64_t C = r->C;
    for (int64_t m = first; m < last; m++) {
        const float *x = r->x + m * C;
        float *y = r->y + m * C;
        ROW_SUM(squares, C, square(LOAD(x)))
        const float length = __builtin_sqrtf(squares), norm = length > r->eps ? length : r->eps,
                    scale = norm > 0.0f ? 1.0f / norm : 0.0f;
        FOR_VECTORS(0, C, store_part(y + i, LOAD(x) * scale, n))
        if (r->mean)
            r->mean[m] = norm;
    }
}

void FN(row_normalize)(const Run *run, int64_t M, int64_t C, float eps, const float *x, float *y, float *norm)
{
    Rows r = {.M = M, .C = C, .x = x, .y = y, .eps = eps, .mean = norm};
    run_rows(run, M, C, row_normalize_rows, &r);
}

/* dx = (dy - y (y . dy)) / norm. If the length of a row was below eps, the row was divided by the constant eps: dx = dy
 * / eps. In Rows, x is y, y is dx, and mean_in is norm. */
static void row_normalize_back_rows(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    const int64_t C = r->C;
    for (int64_t m = first; m < last; m++) {
        const float *y = r->x + m * C, *dy = r->dy + m * C;
        float *dx = r->y + m * C;
        const float norm = r->mean_in[m], scale = norm > 0.0f ? 1.0f / norm : 0.0f;
        ROW_SUM(dot, C, LOAD(y) * LOAD(dy))
        const float along = norm > r->eps ? dot : 0.0f;
        FOR_VECTORS(0, C, store_part(dx + i, (LOAD(dy) - LOAD(y) * along) * scale, n))
    }
}

void FN(row_normalize_back)(const Run *run, int64_t M, int64_t C, float eps, const float *y, const float *norm,
                            const float *dy, float *dx)
{
    Rows r = {.M = M, .C = C, .x = y, .dy = dy, .y = dx, .eps = eps, .mean_in = norm};
    run_rows(run, M, C, row_normalize_back_rows, &r);
}

static void row_dot_rows(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    for (int64_t m = first; m < last; m++) {
        const float *a = r->x + m * r->C, *b = r->dy + m * r->C;
        ROW_SUM(dot, r->C, LOAD(a) * LOAD(b))
        r->y[m] = dot;
    }
}

void FN(row_dot)(const Run *run, int64_t M, int64_t C, const float *a, const float *b, float *y)
{
    Rows r = {.M = M, .C = C, .x = a, .dy = b, .y = y};
    run_rows(run, M, C, row_dot_rows, &r);
}

static void row_scale_rows(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    const vf beta = v_set(r->beta);
    for (int64_t m = first; m < last; m++) {
        const float *x = r->x + m * r->C;
        float *y = r->y + m * r->C;
        const vf s = v_set(r->gamma[m]);
        if (r->beta == 0.0f) {
            FOR_VECTORS(0, r->C, store_part(y + i, s * LOAD(x), n))
        } else {
            FOR_VECTORS(0, r->C, store_part(y + i, v_fma(s, LOAD(x), beta * LOAD(y)), n))
        }
    }
}

void FN(row_scale)(const Run *run, int64_t M, int64_t C, const float *x, const float *s, float beta, float *y)
{
    Rows r = {.M = M, .C = C, .x = x, .gamma = s, .beta = beta, .y = y};
    run_rows(run, M, C, row_scale_rows, &r);
}

static void row_sum_rows(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    for (int64_t m = first; m < last; m++) {
        const float *x = r->x + m * r->C;
        ROW_SUM(sum, r->C, LOAD(x))
        r->y[m] = sum;
    }
}

void FN(row_sum)(const Run *run, int64_t M, int64_t C, const float *x, float *y)
{
    Rows r = {.M = M, .C = C, .x = x, .y = y};
    run_rows(run, M, C, row_sum_rows, &r);
}

static void log_sum_exp_rows(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    for (int64_t m = first; m < last; m++) {
        const float *x = r->x + m * r->C;
        const vf before = v_set(r->y[m]);
        vf top = before, sum = v_zero();
        for (int64_t i = 0; i < r->C; i += VW) {
            const int n = (int)MIN(r->C - i, VW);
            top = v_max(top, n == VW ? LOAD(x) : v_select(v_lanes() < n, LOAD(x), before));
        }
        const float max = v_max_lane(top);
        if (max == -__builtin_inff())
            continue;
        for (int64_t i = 0; i < r->C; i += VW) {
            const int n = (int)MIN(r->C - i, VW);
            sum += keep_part(v_exp(LOAD(x) - max), n);
        }
        r->y[m] = max + v_log(v_set(v_sum(sum) + v_exp(before - max)[0]))[0];
    }
}

void FN(log_sum_exp)(const Run *run, int64_t M, int64_t C, const float *x, float *y)
{
    Rows r = {.M = M, .C = C, .x = x, .y = y};
    run_rows(run, M, C, log_sum_exp_rows, &r);
}

static void col_sum_parts(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    const int64_t C = r->C, step = part_rows(r->M);
    for (int64_t p = first; p < last; p++) {
        float *sum = r->y + p * C;
        memcpy(sum, r->x + p * step * C, (size_t)C * sizeof(float));
        for (int64_t m = p * step + 1; m < MIN(r->M, (p + 1) * step); m++) {
            const float *x = r->x + m * C;
            FOR_VECTORS(0, C, store_part(sum + i, LOAD(sum) + LOAD(x), n))
        }
    }
}

size_t FN(col_sum_work)(const Run *run, int64_t M, int64_t C)
{
    (void)run;
    return (size_t)(part_count(M) * C) * sizeof(float);
}

void FN(col_sum)(const Run *run, int64_t M, int64_t C, const float *x, float beta, float *y)
{
    if (C == 0)
        return;
    if (M == 0) {
        FOR_VECTORS(0, C, store_part(y + i, beta == 0.0f ? v_zero() : LOAD(y) * beta, n))
        return;
    }
    Rows r = {.M = M, .C = C, .x = x, .y = run->work};
    run_ranges(run, part_count(M), 1, col_sum_parts, &r);
    add_parts(part_count(M), C, run->work, C, beta, y);
}

static void copy_cols_rows(const void *arg, int64_t first, int64_t last)
{
    const Rows *r = arg;
    const vf beta = v_set(r->beta);
    for (int64_t m = first; m < last; m++) {
        const float *x = r->x + m * r->ldx;
        float *y = r->y + m * r->ldy;
        if (r->beta == 0.0f) {
            FOR_VECTORS(0, r->C, store_part(y + i, LOAD(x), n))
        } else {
            FOR_VECTORS(0, r->C, store_part(y + i, v_fma(beta, LOAD(y), LOAD(x)), n))
        }
    }
}

void FN(copy_cols)(const Run *run, int64_t M, int64_t C, const float *x, int64_t ldx, float beta, float *y, int64_t ldy)
{
    Rows r = {.M = M, .C = C, .x = x, .ldx = ldx, .beta = beta, .y = y, .ldy = ldy};
    run_rows(run, M, C, copy_cols_rows, &r);
}
