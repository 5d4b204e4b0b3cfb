/* kernels/cpu/loss.c: the BPR loss (Rendle et al. 2009) over a batch. pos and neg are the scores of a user with a
 * positive and with a negative item:
 *
 *   loss[b] = softplus(neg - pos) + l2 (sum of squares)
 *   slope[b] = d loss / d pos = -sigmoid(neg - pos)
 *
 * How the loop is arranged: a task has some rows of the batch. Each pass reads the three rows of a sample once; a row
 * is read again from the L1 cache. The logarithm is computed for a vector of samples. */
// flags baseline: -Os
#include "kernels/cpu/row_sum.h"

/* ---- BPR ------------------------------------------------------------------------------------- */

typedef struct Batch {
    int parts;
    const BprPart *part;
    float l2;
    float *loss, *slope;
    float dloss; /* backward pass: the gradient by loss[b], equal for all b */
} Batch;

/* Returns the factor of the item row x before its product with the user's row: 1, or 1 / max(|x|, eps) if eps > 0. In
 * the second case, also writes |x| to *length. */
static NOINLINE float to_unit(const float *x, int64_t D, float eps, float *length)
{
    if (eps <= 0.0f)
        return 1.0f;
    ROW_SUM(squares, D, square(LOAD(x)))
    *length = __builtin_sqrtf(squares);
    return 1.0f / (*length > eps ? *length : eps);
}

/* Returns neg - pos of row b, and adds the sum of squares of the user's, the positive and the negative row to *penalty
 * if l2 is used. */
INLINE float score_difference(const Batch *t, int64_t b, float *penalty)
{
    float sum = 0, length;
    for (int k = 0; k < t->parts; k++) {
        const BprPart *p = &t->part[k];
        const int64_t D = p->D;
        const float *u = p->x[BPR_USER] + b * D, *x = p->x[BPR_POS] + b * D, *y = p->x[BPR_NEG] + b * D;
        const vf sx = v_set(to_unit(x, D, p->eps, &length)), sy = v_set(to_unit(y, D, p->eps, &length));
        ROW_SUM(dot, D, LOAD(u) * (sy * LOAD(y) - sx * LOAD(x)))
        sum += dot;
        if (t->l2 != 0.0f) {
            ROW_SUM(squares, D, square(LOAD(u)) + square(sx * LOAD(x)) + square(sy * LOAD(y)))
            *penalty += squares;
        }
    }
    return sum;
}

static void bpr_range(const void *arg, int64_t first, int64_t last)
{
    const Batch *t = arg;
    for (int64_t b = first; b < last; b += VW) { /* VW rows together: one vector logarithm, which takes the most time */
        const int n = (int)MIN(VW, last - b);
        float difference[VW] = {0}, penalty[VW] = {0};
        for (int i = 0; i < n; i++)
            difference[i] = score_difference(t, b + i, &penalty[i]);
        const vf d = v_load(difference);
        store_part(t->loss + b, v_fma(v_set(t->l2), v_load(penalty), v_softplus(d)), n);
        if (t->slope)
            store_part(t->slope + b, -v_sigmoid(d), n);
    }
}

static int64_t row_floats(int parts, const BprPart *part) /* floats that are read per row of the batch */
{
    int64_t sum = 1;
    for (int k = 0; k < parts; k++)
        sum += 3 * part[k].D;
    return sum;
}

void FN(bpr)(const Run *run, int64_t B, int parts, const BprPart *part, float l2, float *loss, float *slope)
{
    const Batch t = {.parts = parts, .part = part, .l2 = l2, .loss = loss, .slope = slope};
    run_rows(run, B, row_floats(parts, part), bpr_range, &t);
}

/* dx = beta dx + the gradient by the row x of an item. The differentiated term is slope (u . y) + l2 |y|^2, with y =
 * scale x (to_unit). */
static NOINLINE void item_back(const BprPart *p, const float *u, const float *x, float scale, float length, float slope,
                               float l2, float beta, float *dx)
{
    const int64_t D = p->D;
    float projection = 0;
    const vf s = v_set(slope), penalty_scale = v_set(2 * l2 * scale), to_y = v_set(scale);
    /* the length of x does not change y: removes the part of the gradient along x */
    if (p->eps > 0.0f && length > p->eps) {
        ROW_SUM(dot, D, v_fma(s, LOAD(u), penalty_scale * LOAD(x)) * LOAD(x))
        projection = dot * scale * scale;
    }
    const vf projected = v_set(projection);
    FOR_VECTORS(0, D, {
        const vf d = (v_fma(s, LOAD(u), penalty_scale * LOAD(x)) - projected * LOAD(x)) * to_y;
        store_part(dx + i, beta == 0.0f ? d : v_fma(v_set(beta), LOAD(dx), d), n);
    })
}

static void bpr_back_range(const void *arg, int64_t first, int64_t last)
{
    const Batch *t = arg;
    for (int64_t b = first; b < last; b++) {
        const float slope = t->slope[b] * t->dloss, l2 = t->l2 * t->dloss;
        for (int k = 0; k < t->parts; k++) {
            const BprPart *p = &t->part[k];
            const int64_t D = p->D, at = b * D;
            const float *u = p->x[BPR_USER] + at, *x = p->x[BPR_POS] + at, *y = p->x[BPR_NEG] + at;
            float x_length = 0, y_length = 0;
            const float x_scale = to_unit(x, D, p->eps, &x_length), y_scale = to_unit(y, D, p->eps, &y_length);
            if (p->dx[BPR_USER]) {
                float *du = p->dx[BPR_USER] + at;
                const vf to_x = v_set(slope * x_scale), to_y = v_set(slope * y_scale), penalty_scale = v_set(2 * l2);
                const float beta = p->beta[BPR_USER];
                FOR_VECTORS(0, D, {
                    const vf d = v_fma(to_x, LOAD(x), v_fma(-to_y, LOAD(y), penalty_scale * LOAD(u)));
                    store_part(du + i, beta == 0.0f ? d : v_fma(v_set(beta), LOAD(du), d), n);
                })
            }
            if (p->dx[BPR_POS])
                item_back(p, u, x, x_scale, x_length, slope, l2, p->beta[BPR_POS], p->dx[BPR_POS] + at);
            if (p->dx[BPR_NEG])
                item_back(p, u, y, y_scale, y_length, -slope, l2, p->beta[BPR_NEG], p->dx[BPR_NEG] + at);
        }
    }
}

void FN(bpr_back)(const Run *run, int64_t B, int parts, const BprPart *part, float l2, const float *slope, float scale,
                  const float *dloss)
{
    const Batch t = {.parts = parts, .part = part, .l2 = l2, .slope = (float *)slope, .dloss = scale * dloss[0]};
    run_rows(run, B, 2 * row_floats(parts, part), bpr_back_range, &t);
}
