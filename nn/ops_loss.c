/* nn/ops_loss.c: sums to one number. The number stays on the device, so the backward passes scale by it as a row of one. */
#include "nn/tape.h"

/* Memory of x's size that an op fills beside its result. */
static Tensor *scratch_like(Tape *t, const Tensor *x)
{
    return tape_constant(t, F32, x ? x->count : 0, NULL);
}

/* Adds a dy[0] x to the gradient of `to`; x has to's count. */
static void add_times_scalar(Tape *t, Tensor *to, float a, const float *dy, const float *x)
{
    float *s = wants(to) ? step_floats(t, 1) : NULL, beta;
    if (!s)
        return;
    t->k->axpby(&t->run, 1, a, dy, 0, s);
    float *g = grad_into(t, to, &beta);
    if (g)
        t->k->row_scale(&t->run, 1, to->count, x, s, beta, g);
    step_give_floats(t, s, 1);
}

static void sum_back(Tape *t, Node *n)
{
    t->k->axpby(&t->run, 1, n->f, n->grad, 0, n->grad);
    float *g = grad_zeroed(t, n->in[0]); /* every element gets the same number: a bias of one column */
    if (g)
        t->k->add_bias(&t->run, n->in[0]->count, 1, g, n->grad, ACT_NONE, 0, g);
}

/* factor times the sum of x */
static Tensor *sum_op(Tape *t, const Op *op, Tensor *x, bool by_count)
{
    Node *n = node_new(t, op, IN(x));
    if (!n || !node_out(t, n, F32, SHAPE(1)))
        return tape_failed(t);
    n->f = by_count && x->count ? 1.0f / (float)x->count : 1.0f;
    if (live(t) && tape_work(t, t->k->sum_work(x->count, tape_threads(t)))) {
        t->k->sum(&t->run, x->count, x->data, n->out.data);
        if (n->f != 1)
            t->k->axpby(&t->run, 1, n->f, n->out.data, 0, n->out.data);
    }
    return node_done(t, n, (double)x->count, 4.0 * (double)x->count);
}

Tensor *sum(Tape *t, Tensor *x)
{
    static const Op op = {.name = "sum", .back_name = "sum back", .back = sum_back};
    return sum_op(t, &op, x, false);
}

Tensor *mean(Tape *t, Tensor *x)
{
    static const Op op = {.name = "mean", .back_name = "mean back", .back = sum_back};
    return sum_op(t, &op, x, true);
}

static void sum_squares_back(Tape *t, Node *n)
{
    add_times_scalar(t, n->in[0], 2, n->grad, n->in[0]->data);
}

Tensor *sum_squares(Tape *t, Tensor *x)
{
    static const Op op = {.name = "sum_squares", .back_name = "sum_squares back", .back = sum_squares_back};
    Node *n = node_new(t, &op, IN(x));
    if (!n || !node_out(t, n, F32, SHAPE(1)))
        return tape_failed(t);
    if (live(t) && tape_work(t, t->k->sum_work(x->count, tape_threads(t))))
        t->k->sum_squares(&t->run, x->count, x->data, n->out.data);
    return node_done(t, n, 2.0 * (double)x->count, 4.0 * (double)x->count);
}

static void frobenius_back(Tape *t, Node *n)
{
    add_times_scalar(t, n->in[0], 1, n->grad, n->in[1]->data);
}

/* The whole of x is one row: its norm, and x / norm for the way back. */
Tensor *frobenius(Tape *t, Tensor *x)
{
    static const Op op = {.name = "frobenius", .back_name = "frobenius back", .back = frobenius_back};
    Node *n = node_new(t, &op, IN(x, scratch_like(t, x)));
    if (!n || !node_out(t, n, F32, SHAPE(1)))
        return tape_failed(t);
    if (live(t)) /* below 1e-30 the norm counts as zero and has no direction */
        t->k->row_normalize(&t->run, 1, x->count, 1e-30f, x->data, n->in[1]->data, n->out.data);
    return node_done(t, n, 2.0 * (double)x->count, 8.0 * (double)x->count);
}

static void bpr_loss_back(Tape *t, Node *n)
{
    float each = 1.0f / (float)n->in[0]->count;
    add_times_scalar(t, n->in[0], each, n->grad, n->keep[0]);
    add_times_scalar(t, n->in[1], -each, n->grad, n->keep[0]);
}

Tensor *bpr_loss(Tape *t, Tensor *pos, Tensor *neg)
{
    static const Op op = {.name = "bpr_loss", .back_name = "bpr_loss back", .back = bpr_loss_back};
    Node *n = node_new(t, &op, IN(pos, neg, scratch_like(t, pos)));
    if (!n || !node_fits(t, n, pos->count == neg->count && pos->count > 0) || !node_out(t, n, F32, SHAPE(1)))
        return tape_failed(t);
    int64_t B = pos->count;
    float *loss = n->in[2]->data;
    n->keep[0] = n->out.needs_grad ? step_floats(t, B) : NULL;
    if (live(t) && tape_work(t, t->k->sum_work(B, tape_threads(t)))) {
        t->k->bpr(&t->run, B, pos->data, neg->data, loss, n->keep[0]);
        t->k->sum(&t->run, B, loss, n->out.data);
        t->k->axpby(&t->run, 1, 1.0f / (float)B, n->out.data, 0, n->out.data);
    }
    return node_done(t, n, 20.0 * (double)B, 12.0 * (double)B);
}
