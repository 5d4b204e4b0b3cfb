/* kernels/cuda/loss.cu: BPR, the loss of a user's row with the rows of a positive and of a negative item. The forward
 * pass and the backward pass are one kernel each.
 *
 * One warp per row of the batch; the row has one or more parts. A lane reads four neighbouring columns at a time, so a
 * warp reads whole lines of 128 bytes. Rows that are read again come from the cache. A batch has thousands of rows of
 * some hundred numbers. This does not fill a large card, so the kernels are limited by the latency of the loads and
 * sums of a row. */
#include "kernels/cuda/act.h"
#include "kernels/cuda/sparse/columns.h"

enum { MOST_PARTS = 4 };

/* The parts of one launch. The descriptors are copied into the kernel's parameters, whose size is limited (4 KB before
 * CUDA 12.1). More than MOST_PARTS parts need several launches. */
typedef struct Parts {
    int count;
    BprPart part[MOST_PARTS];
    bool vector[MOST_PARTS]; /* one access reads or writes four numbers */
} Parts;

static Parts some_parts(int count, const BprPart *part)
{
    Parts p = {MIN(count, (int)MOST_PARTS), {}, {}};
    for (int k = 0; k < p.count; k++) {
        p.part[k] = part[k];
        p.vector[k] = true;
        for (int i = 0; i < 3; i++)
            p.vector[k] = p.vector[k] && rows_in_fours(part[k].x[i], part[k].D, sizeof(float)) &&
                          rows_in_fours(part[k].dx[i], part[k].D, sizeof(float));
    }
    return p;
}

/* Runs the statement that follows for each four columns d .. d + 3 of a lane. The sums of the lanes are then added by
 * warp_sum, so the order of a sum depends only on D. */
#define FOR_FOURS(d, D) for (int64_t d = EACH * lane_id(); d < (D); d += TILE)

/* Returns the factor by which item row x is multiplied before its score is computed: 1 if eps <= 0, otherwise 1 /
 * max(|x|, eps). *length: |x| in the second case, otherwise 0. */
static __device__ inline float to_unit(const float *x, bool vector, int64_t D, float eps, float *length)
{
    *length = 0.0f;
    if (eps <= 0.0f)
        return 1.0f;
    float squares = 0.0f;
    FOR_FOURS(d, D)
    {
        float v[EACH];
        load_neighbours(x, vector, d, D, v);
        for (int k = 0; k < EACH; k++)
            squares = fmaf(v[k], v[k], squares);
    }
    *length = sqrtf(warp_sum(squares));
    return 1.0f / fmaxf(*length, eps);
}

/* Returns, for row b, the score of the negative item minus the score of the positive item, summed over the parts.
 * *penalty: the sum of the squares that l2 multiplies. */
static __device__ inline float score_difference(const Parts &parts, int64_t b, float *penalty)
{
    float sum = 0.0f, squares = 0.0f, length;
    for (int i = 0; i < parts.count; i++) {
        const BprPart &p = parts.part[i];
        const bool vector = parts.vector[i];
        const float *user = p.x[BPR_USER] + b * p.D, *pos = p.x[BPR_POS] + b * p.D, *neg = p.x[BPR_NEG] + b * p.D;
        const float pos_scale = to_unit(pos, vector, p.D, p.eps, &length),
                    neg_scale = to_unit(neg, vector, p.D, p.eps, &length);
        FOR_FOURS(d, p.D)
        {
            float u[EACH], x[EACH], y[EACH];
            load_neighbours(user, vector, d, p.D, u);
            load_neighbours(pos, vector, d, p.D, x);
            load_neighbours(neg, vector, d, p.D, y);
            for (int k = 0; k < EACH; k++) {
                const float a = pos_scale * x[k], c = neg_scale * y[k];
                sum = fmaf(u[k], c - a, sum);
                squares = fmaf(u[k], u[k], fmaf(a, a, fmaf(c, c, squares)));
            }
        }
    }
    *penalty = warp_sum(squares);
    return warp_sum(sum);
}

/* What a launch computes from its parts. With at most MOST_PARTS parts, there is one launch, PASS_LOSS. Otherwise:
 *
 * - PASS_DIFFERENCE: adds the score differences of its parts to `loss`. For all parts but the last ones.
 * - PASS_LOSS: computes the loss and the slope, with the penalty of its own parts. For the last parts.
 * - PASS_PENALTY: adds the penalty of the earlier parts to `loss`. */
typedef enum Pass { PASS_DIFFERENCE, PASS_LOSS, PASS_PENALTY } Pass;

/* Computes, for each row b of the batch, with d = the score of the negative item - the score of the positive item:
 *
 *   loss[b] = softplus(d) + l2 penalty
 *   slope[b] = -sigmoid(d)
 *
 * `pass` says which part of this a launch computes. first: no launch has written to `loss` yet. */
static __global__ void __launch_bounds__(BLOCK)
    bpr_kernel(Parts parts, int64_t B, Pass pass, bool first, float l2, float *loss, float *slope)
{
    for (int64_t b = first_warp(); b < B; b += all_warps()) {
        float penalty, d = score_difference(parts, b, &penalty);
        if (lane_id() != 0)
            continue;
        if (!first)
            d += loss[b];
        if (pass == PASS_DIFFERENCE)
            loss[b] = d;
        if (pass == PASS_LOSS) {
            loss[b] = fmaf(l2, penalty, softplus_of(d));
            if (slope)
                slope[b] = -sigmoid_of(d);
        }
        if (pass == PASS_PENALTY)
            loss[b] = fmaf(l2, penalty, loss[b]);
    }
}

static void launch_bpr(const Run *run, int64_t B, int count, const BprPart *part, Pass pass, bool first, float l2,
                       float *loss, float *slope)
{
    LAUNCH(run, bpr_kernel, blocks_for(B, WARPS), BLOCK, 0, some_parts(count, part), B, pass, first, l2, loss, slope);
}

void cuda_bpr(const Run *run, int64_t B, int parts, const BprPart *part, float l2, float *loss, float *slope)
{
    int k = 0;
    for (; parts - k > MOST_PARTS; k += MOST_PARTS)
        launch_bpr(run, B, MOST_PARTS, part + k, PASS_DIFFERENCE, k == 0, l2, loss, NULL);
    launch_bpr(run, B, parts - k, part + k, PASS_LOSS, k == 0, l2, loss, slope);
    for (int before = 0; before < k && l2 != 0.0f; before += MOST_PARTS)
        launch_bpr(run, B, MOST_PARTS, part + before, PASS_PENALTY, false, l2, loss, NULL);
}

/* ---- backward pass --------------------------------------------------------------------------- */

/* The row of an item, and the factor and the length of to_unit. The gradients are linear combinations of the rows of
 * the user and the items, column by column. */
typedef struct Item {
    const float *x; /* the item's row */
    float scale, length;
} Item;

/* Computes the gradient by u, the user's row. y_pos and y_neg are the rows of the items, each multiplied by the factor
 * that to_unit returned for it:
 *
 *   dx = beta dx + the gradient of slope (u . (y_pos - y_neg)) + l2 |u|^2 by u */
static __device__ inline void user_back(const BprPart &p, bool vector, const float *user, const Item &pos,
                                        const Item &neg, float slope, float l2, float *dx)
{
    FOR_FOURS(d, p.D)
    {
        float u[EACH], x[EACH], y[EACH], g[EACH];
        load_neighbours(user, vector, d, p.D, u);
        load_neighbours(pos.x, vector, d, p.D, x);
        load_neighbours(neg.x, vector, d, p.D, y);
        for (int k = 0; k < EACH; k++)
            g[k] = fmaf(slope * pos.scale, x[k], fmaf(-slope * neg.scale, y[k], 2.0f * l2 * u[k]));
        write_neighbours(dx, vector, d, p.D, p.beta[BPR_USER], g);
    }
}

/* Computes, with y = scale x,
 *
 *   dx = beta dx + the gradient of slope (u . y) + l2 |y|^2 by x
 *
 * The scale depends on x if eps > 0 and |x| > eps (to_unit). The caller negates `slope` for the negative item. */
static __device__ inline void item_back(const BprPart &p, bool vector, const float *user, const Item &item, float slope,
                                        float l2, float beta, float *dx)
{
    const float penalty_scale = 2.0f * l2 * item.scale;
    float projection = 0.0f;
    /* A change of x along y does not change y: the part of the gradient along y is subtracted. */
    if (p.eps > 0.0f && item.length > p.eps) {
        float dot = 0.0f;
        FOR_FOURS(d, p.D)
        {
            float u[EACH], x[EACH];
            load_neighbours(user, vector, d, p.D, u);
            load_neighbours(item.x, vector, d, p.D, x);
            for (int k = 0; k < EACH; k++)
                dot = fmaf(fmaf(slope, u[k], penalty_scale * x[k]), x[k], dot);
        }
        projection = warp_sum(dot) * item.scale * item.scale;
    }
    FOR_FOURS(d, p.D)
    {
        float u[EACH], x[EACH], g[EACH];
        load_neighbours(user, vector, d, p.D, u);
        load_neighbours(item.x, vector, d, p.D, x);
        for (int k = 0; k < EACH; k++)
            g[k] = (fmaf(slope, u[k], penalty_scale * x[k]) - projection * x[k]) * item.scale;
        write_neighbours(dx, vector, d, p.D, beta, g);
    }
}

/* Computes the gradients of the rows from `slope` and from the gradient of the loss (scale dloss[0]). One warp per row
 * of the batch; lanes read and write neighbouring columns.
 *
 * A lane has the same columns in every pass, whether `vector` is true or not. If several operands have the same dx, a
 * lane therefore adds to numbers that it wrote itself, and no barrier is needed. */
static __global__ void __launch_bounds__(BLOCK)
    bpr_back_kernel(Parts parts, int64_t B, float l2, const float *slope, float scale, const float *dloss)
{
    const float each = scale * dloss[0];
    for (int64_t b = first_warp(); b < B; b += all_warps()) {
        const float s = slope[b] * each;
        for (int i = 0; i < parts.count; i++) {
            const BprPart &p = parts.part[i];
            const bool vector = parts.vector[i];
            const int64_t at = b * p.D;
            const float *user = p.x[BPR_USER] + at;
            Item pos = {p.x[BPR_POS] + at, 0, 0}, neg = {p.x[BPR_NEG] + at, 0, 0};
            pos.scale = to_unit(pos.x, vector, p.D, p.eps, &pos.length);
            neg.scale = to_unit(neg.x, vector, p.D, p.eps, &neg.length);
            if (p.dx[BPR_USER])
                user_back(p, vector, user, pos, neg, s, l2 * each, p.dx[BPR_USER] + at);
            if (p.dx[BPR_POS])
                item_back(p, vector, user, pos, s, l2 * each, p.beta[BPR_POS], p.dx[BPR_POS] + at);
            if (p.dx[BPR_NEG])
                item_back(p, vector, user, neg, -s, l2 * each, p.beta[BPR_NEG], p.dx[BPR_NEG] + at);
        }
    }
}

void cuda_bpr_back(const Run *run, int64_t B, int parts, const BprPart *part, float l2, const float *slope, float scale,
                   const float *dloss)
{
    for (int k = 0; k < parts; k += MOST_PARTS)
        LAUNCH(run, bpr_back_kernel, blocks_for(B, WARPS), BLOCK, 0, some_parts(parts - k, part + k), B, l2, slope,
               scale, dloss);
}
