/* nn/ops/math.c: elementwise ops of two tensors with broadcasting, functions of one tensor, sums of rows and columns,
 * noise, and the log-sum-exp of a product that is never stored. */
#include <math.h>

#include "nn/tape.h"

/* ---- two operands: both [M,C], or the second is a row, a column or one number ---------------- */

enum { SPREAD_NOT = SPREAD_NUMBER + 1 };

/* Computes y = a op v, where v has the shape of the node's second input. */
static void spread(Tape *t, const Node *n, Binary op, const float *a, const float *v, float *y)
{
    if (n->i[1] == SPREAD_NOT)
        t->k->binary(&t->run, n->out.count, op, a, v, y);
    else
        t->k->broadcast(&t->run, rows_of(&n->out), cols_of(&n->out), op, (Spread)n->i[1], a, v, y);
}

/* Sums x [M,C] to the shape of the node's second input. Returns x itself, or memory of the step. */
static float *summed(Tape *t, const Node *n, float *x)
{
    int64_t M = rows_of(&n->out), C = cols_of(&n->out);
    float *sum = n->i[1] == SPREAD_NOT ? x : step_floats(t, n->in[1]->count);
    if (!sum || sum == x)
        return sum;
    if (n->i[1] == SPREAD_COLUMN)
        t->k->row_sum(&t->run, M, C, x, sum);
    else if (n->i[1] == SPREAD_ROW && tape_work(t, t->k->col_sum_work(&t->run, M, C)))
        t->k->col_sum(&t->run, M, C, x, 0, sum);
    else if (n->i[1] == SPREAD_NUMBER && tape_work(t, t->k->sum_work(&t->run, M * C)))
        t->k->sum(&t->run, M * C, x, sum);
    return sum;
}

/* The backward pass of BIN_MUL, BIN_DIV and BIN_MAX. Writes two arrays:
 *
 * - dx [M,C]: the gradient of the first operand.
 * - dv [M,C]: terms. Their sum is the gradient of the second operand. For BIN_DIV the sum is minus this gradient, and
 *   the caller subtracts it. */
static void slopes(Tape *t, const Node *n, float *dx, float *dv)
{
    const float *x = n->in[0]->data, *v = n->in[1]->data, *y = n->out.data, *dy = n->grad;
    int64_t count = n->out.count;
    switch ((Binary)n->i[0]) {
    case BIN_MUL:
        t->k->binary(&t->run, count, BIN_MUL, dy, x, dv);
        spread(t, n, BIN_MUL, dy, v, dx);
        break;
    case BIN_DIV: /* the gradient of v is -sum(dy y / v); dv = dy y / v */
        t->k->binary(&t->run, count, BIN_MUL, dy, y, dv);
        spread(t, n, BIN_DIV, dv, v, dv);
        spread(t, n, BIN_DIV, dy, v, dx);
        break;
    case BIN_MAX:
        spread(t, n, BIN_ABOVE, x, v, dx);
        t->k->binary(&t->run, count, BIN_MUL, dy, dx, dx);
        t->k->binary(&t->run, count, BIN_SUB, dy, dx, dv);
        break;
    case BIN_ADD:
    case BIN_SUB:
    case BIN_ABOVE: break;
    }
}

static void broadcast_back(Tape *t, Node *n)
{
    bool sums = n->i[0] == BIN_ADD || n->i[0] == BIN_SUB, minus = n->i[0] == BIN_SUB || n->i[0] == BIN_DIV;
    int64_t count = n->out.count;
    float *dx = sums ? n->grad : step_floats(t, count), *dv = sums ? n->grad : step_floats(t, count);
    if (!dx || !dv)
        return;
    if (!sums)
        slopes(t, n, dx, dv);
    float *sum = grad_needed(n->in[1]) ? summed(t, n, dv) : NULL;
    grad_axpy(t, n->in[1], minus ? -1 : 1, sum);
    if (sum != dv)
        step_release_floats(t, sum, n->in[1]->count);
    if (!sums)
        step_release_floats(t, dv, count);
    grad_put(t, n->in[0], sums ? grad_take(n) : dx);
}

static Tensor *two_op(Tape *t, const Op *op, Binary how, int64_t spreads, Tensor *x, Tensor *v)
{
    Node *n = node_new(t, op, INPUTS(x, v));
    if (!n || !node_fits(t, n,
                         spreads == SPREAD_NOT      ? tensor_same_shape(x, v)
                         : spreads == SPREAD_ROW    ? v->count == cols_of(x)
                         : spreads == SPREAD_COLUMN ? v->count == rows_of(x)
                                                    : v->count == 1))
        return tape_failed(t);
    if (how == BIN_ABOVE)
        tape_fail(t, SP_UNSUPPORTED, "%s: BIN_ABOVE is for backward passes", op->name);
    if (!node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    n->i[0] = how;
    n->i[1] = spreads;
    n->unread = how == BIN_ADD || how == BIN_SUB ? UNREAD_ALL : how == BIN_DIV ? UNREAD(0) : UNREAD(RESULT);
    if (tape_live(t))
        spread(t, n, how, x->data, v->data, n->out.data);
    return node_done(t, n, (double)x->count, 8.0 * (double)x->count + 4.0 * (double)v->count);
}

Tensor *divide(Tape *t, Tensor *a, Tensor *b)
{
    static const Op op = {.name = "divide", .back_name = "divide back", .back = broadcast_back};
    return two_op(t, &op, BIN_DIV, SPREAD_NOT, a, b);
}

Tensor *maximum(Tape *t, Tensor *a, Tensor *b)
{
    static const Op op = {.name = "maximum", .back_name = "maximum back", .back = broadcast_back};
    return two_op(t, &op, BIN_MAX, SPREAD_NOT, a, b);
}

Tensor *broadcast(Tape *t, Binary which, Spread how, Tensor *x, Tensor *v)
{
    static const Op op = {.name = "broadcast", .back_name = "broadcast back", .back = broadcast_back};
    return two_op(t, &op, which, how, x, v);
}

/* ---- functions of one tensor ----------------------------------------------------------------- */

static void unary_back(Tape *t, Node *n)
{
    int64_t count = n->out.count;
    const float *x = n->in[0]->data, *y = n->out.data, *limit = n->spec;
    float *d = grad_take(n), *inside;
    switch ((Unary)n->i[0]) {
    case UN_EXP: t->k->binary(&t->run, count, BIN_MUL, d, y, d); break;
    case UN_LOG: t->k->binary(&t->run, count, BIN_DIV, d, x, d); break;
    case UN_SQRT:
        t->k->binary(&t->run, count, BIN_DIV, d, y, d);
        t->k->axpby(&t->run, count, 0.5f, d, 0, d);
        break;
    case UN_CLAMP:
        if (!(inside = step_floats(t, count)))
            return;
        t->k->unary(&t->run, count, UN_INSIDE, limit[0], limit[1], x, inside);
        t->k->binary(&t->run, count, BIN_MUL, d, inside, d);
        step_release_floats(t, inside, count);
        break;
    case UN_SIGN:
    case UN_INSIDE: break;
    }
    grad_put(t, n->in[0], d);
}

static Tensor *one_op(Tape *t, const Op *op, Unary which, float lo, float hi, Tensor *x)
{
    Node *n = node_new(t, op, INPUTS(x));
    float *limit = tape_scratch(t, 2, sizeof *limit);
    if (!n || !limit || !node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    if (which == UN_SIGN)
        n->out.needs_grad = false;
    limit[0] = lo;
    limit[1] = hi;
    n->i[0] = which;
    n->spec = limit;
    n->unread = which == UN_EXP || which == UN_SQRT ? UNREAD(0) : UNREAD(RESULT);
    if (tape_live(t))
        t->k->unary(&t->run, x->count, which, lo, hi, x->data, n->out.data);
    return node_done(t, n, 10.0 * (double)x->count, 8.0 * (double)x->count);
}

Tensor *unary(Tape *t, Tensor *x, Unary which)
{
    static const Op op = {.name = "unary", .back_name = "unary back", .back = unary_back};
    if (which == UN_CLAMP || which == UN_INSIDE)
        tape_fail(t, SP_USAGE, "unary: the limits are missing: call clamp");
    return one_op(t, &op, which, 0, 0, x);
}

Tensor *clamp(Tape *t, Tensor *x, float lo, float hi)
{
    static const Op op = {.name = "clamp", .back_name = "clamp back", .back = unary_back};
    return one_op(t, &op, UN_CLAMP, lo, hi, x);
}

/* ---- sums of rows and of columns ------------------------------------------------------------- */

static void row_sum_back(Tape *t, Node *n)
{
    Tensor *x = n->in[0];
    float *g = grad_zeroed(t, x);
    if (g)
        t->k->broadcast(&t->run, rows_of(x), cols_of(x), BIN_ADD, SPREAD_COLUMN, g, n->grad, g);
}

Tensor *row_sum(Tape *t, Tensor *x)
{
    static const Op op = {.name = "row_sum", .back_name = "row_sum back", .back = row_sum_back};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_out(t, n, F32, SHAPE(rows_of(x))))
        return tape_failed(t);
    n->unread = UNREAD_ALL;
    if (tape_live(t))
        t->k->row_sum(&t->run, rows_of(x), cols_of(x), x->data, n->out.data);
    return node_done(t, n, (double)x->count, 4.0 * (double)x->count);
}

static void col_sum_back(Tape *t, Node *n)
{
    Tensor *x = n->in[0];
    float *g = grad_zeroed(t, x);
    if (g)
        t->k->broadcast(&t->run, rows_of(x), cols_of(x), BIN_ADD, SPREAD_ROW, g, n->grad, g);
}

Tensor *col_sum(Tape *t, Tensor *x)
{
    static const Op op = {.name = "col_sum", .back_name = "col_sum back", .back = col_sum_back};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_out(t, n, F32, SHAPE(cols_of(x))))
        return tape_failed(t);
    n->unread = UNREAD_ALL;
    if (tape_live(t) && tape_work(t, t->k->col_sum_work(&t->run, rows_of(x), cols_of(x))))
        t->k->col_sum(&t->run, rows_of(x), cols_of(x), x->data, 0, n->out.data);
    return node_done(t, n, (double)x->count, 4.0 * (double)x->count);
}

/* ---- noise, constants ------------------------------------------------------------------------ */

Tensor *noise(Tape *t, Noise kind, int dims, const int64_t *shape)
{
    static const Op op = {.name = "noise"};
    Node *n = node_new(t, &op, 0, NULL);
    if (!n || !node_out(t, n, F32, dims, shape))
        return tape_failed(t);
    if (tape_live(t))
        t->k->noise(&t->run, n->out.count, kind, t->draw, t->drawn, n->out.data);
    t->drawn += (uint64_t)n->out.count; /* so that each call in a step has other draws */
    return node_done(t, n, 10.0 * (double)n->out.count, 4.0 * (double)n->out.count);
}

Tensor *filled(Tape *t, float value, int dims, const int64_t *shape)
{
    static const Op op = {.name = "filled"};
    Node *n = node_new(t, &op, 0, NULL);
    if (!n || !node_out(t, n, F32, dims, shape))
        return tape_failed(t);
    if (tape_live(t))
        t->k->fill(&t->run, n->out.count, value, n->out.data);
    return node_done(t, n, 0, 4.0 * (double)n->out.count);
}

Tensor *add_number(Tape *t, Tensor *x, float value)
{
    return broadcast(t, BIN_ADD, SPREAD_NUMBER, x, filled(t, value, SHAPE(1)));
}

/* ---- y[m] = log sum over n of exp(scale a[m] . b[n]) ----------------------------------------- */

/* The product is computed tile by tile, in the forward pass and again in the backward pass. A tile fits the L2 cache.
 * The order of sums depends on the sizes only. */
enum { PRODUCT_ROWS = 256, PRODUCT_COLS = 1024 };

typedef struct ProductTile {
    int64_t m, n, M, N; /* first row m and column n of a tile, and its numbers of rows M and columns N */
} ProductTile;

/* Moves to the next tile; *p is {0} before the first call. Returns false after the last tile. */
static bool next_tile(ProductTile *p, int64_t rows, int64_t columns)
{
    p->n += p->N;
    if (p->N == 0 || p->n >= columns) {
        p->m += p->M;
        p->n = 0;
    }
    p->M = MIN(PRODUCT_ROWS, rows - p->m);
    p->N = MIN(PRODUCT_COLS, columns - p->n);
    return p->M > 0 && p->N > 0;
}

/* Computes a tile of scale a b'. */
static void tile_product(Tape *t, const Node *n, const ProductTile *p, float *out)
{
    int64_t D = cols_of(n->in[0]);
    tape_gemm(t, &(Gemm){.M = p->M,
                         .N = p->N,
                         .K = D,
                         .A = (const float *)n->in[0]->data + p->m * D,
                         .a_row = D,
                         .a_col = 1,
                         .B = (const float *)n->in[1]->data + p->n * D,
                         .b_row = 1,
                         .b_col = D,
                         .C = out,
                         .ldc = p->N,
                         .alpha = n->f});
}

/* P = dy scale softmax(scale a b'); da = P b, db = P' a */
static void log_sum_exp_back(Tape *t, Node *n)
{
    Tensor *a = n->in[0], *b = n->in[1];
    int64_t D = cols_of(a);
    float *tile = step_floats(t, PRODUCT_ROWS * PRODUCT_COLS);
    float *da = grad_zeroed(t, a), *db = grad_zeroed(t, b);
    if (!tile)
        return;
    t->k->axpby(&t->run, n->out.count, n->f, n->grad, 0, n->grad);
    for (ProductTile p = {0}; next_tile(&p, rows_of(a), rows_of(b)) && t->error.code == SP_OK;) {
        tile_product(t, n, &p, tile);
        t->k->broadcast(&t->run, p.M, p.N, BIN_SUB, SPREAD_COLUMN, tile, (float *)n->out.data + p.m, tile);
        t->k->unary(&t->run, p.M * p.N, UN_EXP, 0, 0, tile, tile);
        t->k->broadcast(&t->run, p.M, p.N, BIN_MUL, SPREAD_COLUMN, tile, n->grad + p.m, tile);
        if (da)
            tape_product(t, p.M, D, p.N, tile, p.N, 1, (float *)b->data + p.n * D, D, 1, da + p.m * D, 1);
        if (db)
            tape_product(t, p.N, D, p.M, tile, 1, p.N, (float *)a->data + p.m * D, D, 1, db + p.n * D, 1);
    }
    step_release_floats(t, tile, PRODUCT_ROWS * PRODUCT_COLS);
}

Tensor *log_sum_exp(Tape *t, Tensor *a, Tensor *b, float scale)
{
    static const Op op = {.name = "log_sum_exp", .back_name = "log_sum_exp back", .back = log_sum_exp_back};
    Node *n = node_new(t, &op, INPUTS(a, b));
    if (!n || !node_fits(t, n, a->dims == 2 && b->dims == 2 && cols_of(a) == cols_of(b) && rows_of(b) > 0) ||
        !node_out(t, n, F32, SHAPE(rows_of(a))))
        return tape_failed(t);
    n->f = scale;
    float *tile = tape_live(t) ? step_floats(t, PRODUCT_ROWS * PRODUCT_COLS) : NULL;
    if (tile)
        t->k->fill(&t->run, n->out.count, -INFINITY, n->out.data);
    for (ProductTile p = {0}; tile && next_tile(&p, rows_of(a), rows_of(b)) && t->error.code == SP_OK;) {
        tile_product(t, n, &p, tile);
        t->k->log_sum_exp(&t->run, p.M, p.N, tile, (float *)n->out.data + p.m);
    }
    if (tile)
        step_release_floats(t, tile, PRODUCT_ROWS * PRODUCT_COLS);
    double products = (double)rows_of(a) * (double)rows_of(b);
    return node_done(t, n, products * (2.0 * (double)cols_of(a) + 10.0), 4.0 * (double)(a->count + b->count));
}
