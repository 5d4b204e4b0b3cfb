/* nn/ops/rows.c: ops on the rows and columns of matrices. */
#include "nn/tape.h"

/* ---- gather ---------------------------------------------------------------------------------- */

static void gather_back(Tape *t, Node *n)
{
    Tensor *table = n->in[0], *ids = n->in[1];
    if (table->param) { /* the gradient of these rows is the gradient of the result, unchanged */
        ParamGrad *g = grad_of_param(t, table->param, true);
        RowPart *r = g ? tape_scratch(t, 1, sizeof *r) : NULL;
        if (r) {
            *r = (RowPart){g->rows, ids, grad_take(n)};
            g->rows = r;
        }
        return;
    }
    const Groups *g = ids_groups(t, ids);
    float *d = g ? grad_zeroed(t, table) : NULL;
    lists_send(t);
    if (d)
        t->k->segment_sum(&t->run, g->count, cols_of(table), g->device.start, g->device.order, g->device.unique, F32,
                          n->grad, 1, 1, d);
}

Tensor *gathered_from(Tape *t, const Tensor *x, const Tensor **ids)
{
    const Node *n = x->id >= 0 ? t->nodes[x->id] : NULL;
    if (!n || n->op->back != gather_back || !n->in[0]->param)
        return NULL;
    const Groups *g = ids_groups(t, *ids = n->in[1]);
    return g && g->distinct ? n->in[0] : NULL;
}

/* Does the delayed steps of the rows `ids` of a parameter. `lo` is the smallest id; if it is negative, all rows are
 * included. The lists of one call of input_ids or ids_together share their groups, so the rows in the other lists of
 * that call are included, too. */
static void replay_rows(Tape *t, Param *p, const Tensor *ids, int32_t lo)
{
    const IdSet *set = ids->id >= 0 ? t->nodes[ids->id]->set : NULL;
    if (lo < 0) {
        param_settle(p);
        return;
    }
    const Groups *g = set ? set->groups : ids_groups(t, ids);
    /* an id is too large for this parameter: the other lists have ids of another table */
    if (set && g->count && g->host.unique[g->count - 1] >= rows_of(p->x))
        g = ids_groups(t, ids);
    lists_send(t);
    if (g)
        t->k->adam_replay(&t->run, g->count, param_width(p), g->device.unique, p->history, p->pending, p->last,
                          p->x->data, p->state[STATE_M], p->state[STATE_V]);
}

Tensor *gather(Tape *t, Tensor *table, Tensor *ids)
{
    static const Op op = {
        .name = "gather", .back_name = "gather back", .back = gather_back, .integer = 2, .narrow = 1, .by_row = 1};
    Node *n = node_new(t, &op, INPUTS(table, ids));
    if (!n || !node_fits(t, n, ids->dims == 1 && ids->type == I32) ||
        !node_out(t, n, F32, SHAPE(ids->count, cols_of(table))))
        return tape_failed(t);
    if (table->type != F32 && (table->needs_grad || !t->k->supports("gather", "table", table->type)))
        tape_fail(t, SP_UNSUPPORTED, "gather: a table of %s %s; convert it to F32", dtype_name(table->type),
                  table->needs_grad ? "has no gradient" : "is not supported by this device");
    n->unread = UNREAD(RESULT) | UNREAD(0);
    int32_t lo, hi;
    tape_range(ids, &lo, &hi);
    if (tape_live(t) && ids->count && (hi >= rows_of(table) || (lo < 0 && n->out.needs_grad)))
        tape_fail(t, SP_USAGE, "gather: row %d is out of range: the table has %lld rows",
                  hi >= rows_of(table) ? hi : lo, (long long)rows_of(table));
    if (tape_live(t) && table->param && table->param->pending)
        replay_rows(t, table->param, ids, lo);
    else if (tape_live(t) && !table->param) /* a stack of parameters may have delayed steps: do them now */
        tensor_settle(table);
    if (tape_live(t))
        t->k->gather(&t->run, ids->count, cols_of(table), table->type, table->data, ids->data, 0, n->out.data);
    return node_done(t, n, 0, 8.0 * (double)n->out.count);
}

/* ---- slices and stacks ----------------------------------------------------------------------- */

/* i[0]: first element of x */
static void rows_back(Tape *t, Node *n)
{
    float beta, *d = grad_into(t, n->in[0], &beta);
    int64_t first = n->i[0], count = n->out.count, end = first + count;
    if (!d)
        return;
    if (beta == 0) {
        t->k->zero(&t->run, d, (size_t)first * sizeof *d);
        t->k->zero(&t->run, d + end, (size_t)(n->in[0]->count - end) * sizeof *d);
    }
    t->k->axpby(&t->run, count, 1, n->grad, beta, d + first);
}

Tensor *rows(Tape *t, Tensor *x, int64_t first, int64_t count)
{
    static const Op op = {.name = "rows", .back_name = "rows back", .back = rows_back};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_fits(t, n, first >= 0 && count >= 0 && first + count <= rows_of(x)))
        return tape_failed(t);
    int64_t shape[4];
    memcpy(shape, x->shape, sizeof shape);
    shape[0] = count;
    n->i[0] = first * cols_of(x);
    n->unread = UNREAD_ALL;
    return node_view(t, n, x, n->i[0], x->dims, shape) ? node_done(t, n, 0, 0) : tape_failed(t);
}

static void stack_rows_back(Tape *t, Node *n)
{
    Tensor *a = n->in[0], *b = n->in[1];
    /* The gradient is split in two, and each part is passed on without a copy. This is possible only if the size of the
     * first part is a multiple of ALIGN: then each part can be freed separately. */
    if (a->count > 0 && b->count > 0 && (size_t)a->count * sizeof(float) % ALIGN == 0) {
        float *d = grad_take(n);
        grad_put(t, a, d);
        grad_put(t, b, d + a->count);
    } else {
        grad_axpy(t, a, 1, n->grad);
        grad_axpy(t, b, 1, n->grad + a->count);
    }
}

Tensor *stack_rows(Tape *t, Tensor *a, Tensor *b)
{
    static const Op op = {.name = "stack_rows", .back_name = "stack_rows back", .back = stack_rows_back};
    Node *n = node_new(t, &op, INPUTS(a, b));
    if (!n || !node_fits(t, n, a->dims == b->dims && cols_of(a) == cols_of(b)))
        return tape_failed(t);
    int64_t shape[4];
    memcpy(shape, a->shape, sizeof shape);
    shape[0] += b->shape[0];
    if (!node_out(t, n, F32, a->dims, shape))
        return tape_failed(t);
    n->unread = UNREAD_ALL;
    if (tape_live(t)) {
        t->k->copy(&t->run, n->out.data, a->data, (size_t)a->count * sizeof(float));
        t->k->copy(&t->run, (float *)n->out.data + a->count, b->data, (size_t)b->count * sizeof(float));
    }
    return node_done(t, n, 0, 8.0 * (double)n->out.count);
}

static void concat_back(Tape *t, Node *n)
{
    int64_t at = 0, D = cols_of(&n->out);
    for (int i = 0; i < 2; i++) {
        int64_t d = cols_of(n->in[i]);
        float beta, *g = grad_into(t, n->in[i], &beta);
        if (g)
            t->k->copy_cols(&t->run, rows_of(&n->out), d, n->grad + at, D, beta, g, d);
        at += d;
    }
}

Tensor *concat(Tape *t, Tensor *a, Tensor *b)
{
    static const Op op = {.name = "concat", .back_name = "concat back", .back = concat_back};
    Node *n = node_new(t, &op, INPUTS(a, b));
    if (!n || !node_fits(t, n, rows_of(a) == rows_of(b)))
        return tape_failed(t);
    int64_t M = rows_of(a), da = cols_of(a), db = cols_of(b);
    if (!node_out(t, n, F32, SHAPE(M, da + db)))
        return tape_failed(t);
    if (tape_live(t)) {
        t->k->copy_cols(&t->run, M, da, a->data, da, 0, n->out.data, da + db);
        t->k->copy_cols(&t->run, M, db, b->data, db, 0, (float *)n->out.data + da, da + db);
    }
    return node_done(t, n, 0, 8.0 * (double)n->out.count);
}

static void cols_back(Tape *t, Node *n)
{
    int64_t D = cols_of(n->in[0]), d = cols_of(&n->out);
    float *g = grad_zeroed(t, n->in[0]);
    if (g)
        t->k->copy_cols(&t->run, rows_of(&n->out), d, n->grad, d, 1, g + n->i[0], D);
}

Tensor *cols(Tape *t, Tensor *x, int64_t first, int64_t count)
{
    static const Op op = {.name = "cols", .back_name = "cols back", .back = cols_back};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_fits(t, n, first >= 0 && count >= 0 && first + count <= cols_of(x)) ||
        !node_out(t, n, F32, SHAPE(rows_of(x), count)))
        return tape_failed(t);
    n->i[0] = first;
    if (tape_live(t))
        t->k->copy_cols(&t->run, rows_of(x), count, (const float *)x->data + first, cols_of(x), 0, n->out.data, count);
    return node_done(t, n, 0, 8.0 * (double)n->out.count);
}

/* ---- ops on each row ------------------------------------------------------------------------- */

static void row_dot_back(Tape *t, Node *n)
{
    for (int i = 0; i < 2; i++) {
        Tensor *x = n->in[i], *other = n->in[1 - i];
        float beta, *g = grad_into(t, x, &beta);
        if (g)
            t->k->row_scale(&t->run, rows_of(x), cols_of(x), other->data, n->grad, beta, g);
    }
}

Tensor *row_dot(Tape *t, Tensor *a, Tensor *b)
{
    static const Op op = {.name = "row_dot", .back_name = "row_dot back", .back = row_dot_back};
    Node *n = node_new(t, &op, INPUTS(a, b));
    if (!n || !node_fits(t, n, tensor_same_shape(a, b)) || !node_out(t, n, F32, SHAPE(rows_of(a))))
        return tape_failed(t);
    if (tape_live(t))
        t->k->row_dot(&t->run, rows_of(a), cols_of(a), a->data, b->data, n->out.data);
    return node_done(t, n, 2.0 * (double)a->count, 8.0 * (double)a->count);
}

static void row_scale_back(Tape *t, Node *n)
{
    Tensor *x = n->in[0], *s = n->in[1];
    int64_t M = rows_of(x), C = cols_of(x);
    float *ds = grad_needed(s) ? step_floats(t, M) : NULL;
    if (ds) {
        t->k->row_dot(&t->run, M, C, x->data, n->grad, ds);
        grad_put(t, s, ds);
    }
    float beta, *dx = grad_into(t, x, &beta);
    if (dx)
        t->k->row_scale(&t->run, M, C, n->grad, s->data, beta, dx);
}

Tensor *row_scale(Tape *t, Tensor *x, Tensor *s)
{
    static const Op op = {.name = "row_scale", .back_name = "row_scale back", .back = row_scale_back};
    Node *n = node_new(t, &op, INPUTS(x, s));
    if (!n || !node_fits(t, n, s->count == rows_of(x)) || !node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    n->unread = UNREAD(RESULT) | (grad_needed(s) ? 0 : UNREAD(0));
    if (tape_live(t))
        t->k->row_scale(&t->run, rows_of(x), cols_of(x), x->data, s->data, 0, n->out.data);
    return node_done(t, n, (double)x->count, 8.0 * (double)x->count);
}

static void row_normalize_back(Tape *t, Node *n)
{
    float *dx = step_floats(t, n->out.count);
    if (!dx)
        return;
    t->k->row_normalize_back(&t->run, rows_of(&n->out), cols_of(&n->out), n->f, n->out.data, n->keep[0], n->grad, dx);
    grad_put(t, n->in[0], dx);
}

Tensor *row_normalize(Tape *t, Tensor *x, float eps)
{
    static const Op op = {.name = "row_normalize", .back_name = "row_normalize back", .back = row_normalize_back};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    n->f = eps;
    n->unread = UNREAD(0);
    if (n->out.needs_grad)
        n->keep[0] = step_floats(t, rows_of(x));
    if (tape_live(t))
        t->k->row_normalize(&t->run, rows_of(x), cols_of(x), eps, x->data, n->out.data, n->keep[0]);
    return node_done(t, n, 3.0 * (double)x->count, 8.0 * (double)x->count);
}

static void softmax_op_back(Tape *t, Node *n)
{
    int64_t C = tensor_last_dim(&n->out);
    float *dx = step_floats(t, n->out.count);
    if (!dx)
        return;
    t->k->softmax_back(&t->run, n->out.count / C, C, n->out.data, n->grad, dx);
    grad_put(t, n->in[0], dx);
}

Tensor *softmax(Tape *t, Tensor *x)
{
    static const Op op = {.name = "softmax", .back_name = "softmax back", .back = softmax_op_back};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_fits(t, n, tensor_last_dim(x) > 0) || !node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    if (tape_live(t))
        t->k->softmax(&t->run, x->count / tensor_last_dim(x), tensor_last_dim(x), x->data, n->out.data);
    return node_done(t, n, 5.0 * (double)x->count, 8.0 * (double)x->count);
}

/* ---- layer norm ------------------------------------------------------------------------------ */

enum { NORM_X, NORM_RESIDUAL, NORM_GAMMA, NORM_BETA };

static void layer_norm_op_back(Tape *t, Node *n)
{
    Tensor *residual = n->in[NORM_RESIDUAL];
    int64_t C = tensor_last_dim(&n->out), M = n->out.count / C;
    float *dx = step_floats(t, n->out.count), *dgamma = grad_zeroed(t, n->in[NORM_GAMMA]),
          *dbeta = grad_zeroed(t, n->in[NORM_BETA]);
    if (!dx || !tape_work(t, t->k->layer_norm_back_work(&t->run, M, C)))
        return;
    t->k->layer_norm_back(&t->run, M, C, n->in[NORM_X]->data, residual ? residual->data : NULL, n->in[NORM_GAMMA]->data,
                          n->keep[0], n->keep[1], n->grad, dx, dgamma, dbeta);
    if (residual)
        grad_axpy(t, residual, 1, dx);
    grad_put(t, n->in[NORM_X], dx);
}

static Tensor *layer_norm_op(Tape *t, Tensor *x, Tensor *residual, const Norm *norm)
{
    static const Op op = {.name = "layer_norm",
                          .back_name = "layer_norm back",
                          .back = layer_norm_op_back,
                          .optional = 1 << NORM_RESIDUAL};
    Node *n = node_new(t, &op, INPUTS(x, residual, norm->gamma, norm->beta));
    if (!n ||
        !node_fits(t, n,
                   tensor_last_dim(x) > 0 && norm->gamma->count == tensor_last_dim(x) &&
                       norm->beta->count == tensor_last_dim(x) && (!residual || residual->count == x->count)) ||
        !node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    int64_t C = tensor_last_dim(x), M = x->count / C;
    if (n->out.needs_grad) {
        n->keep[0] = step_floats(t, M);
        n->keep[1] = step_floats(t, M);
    }
    if (tape_live(t))
        t->k->layer_norm(&t->run, M, C, F32, x->data, residual ? residual->data : NULL, norm->gamma->data,
                         norm->beta->data, norm->eps, n->out.data, n->keep[0], n->keep[1]);
    return node_done(t, n, 8.0 * (double)x->count, (residual ? 12.0 : 8.0) * (double)x->count);
}

Tensor *layer_norm(Tape *t, Tensor *x, const Norm *n)
{
    return layer_norm_op(t, x, NULL, n);
}

Tensor *layer_norm_add(Tape *t, Tensor *x, Tensor *residual, const Norm *n)
{
    if (!residual)
        tape_fail(t, SP_USAGE, "layer_norm: the residual is missing");
    return layer_norm_op(t, x, residual, n);
}
