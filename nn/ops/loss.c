/* nn/ops/loss.c: ops whose result is one number. The gradient of this number stays on the device, so the backward
 * passes read it in kernels. For example, the backward pass of sum_squares treats x as a matrix [1, n]. The kernel
 * row_scale multiplies each row of a matrix by one number, which it reads from the device: here the single row by 2
 * times the gradient. */
#include "nn/tape.h"

/* Allocates a tensor of x's size that an op fills in addition to its result. */
static Tensor *scratch_like(Tape *t, const Tensor *x)
{
    return tape_constant(t, F32, x ? x->count : 0, NULL);
}

/* Adds a dy[0] x to the gradient of `to`; x has as many elements as `to`. */
static void add_times_scalar(Tape *t, Tensor *to, float a, const float *dy, const float *x)
{
    float *s = grad_needed(to) ? step_floats(t, 1) : NULL, beta;
    if (!s)
        return;
    t->k->axpby(&t->run, 1, a, dy, 0, s);
    float *g = grad_into(t, to, &beta);
    if (g)
        t->k->row_scale(&t->run, 1, to->count, x, s, beta, g);
    step_release_floats(t, s, 1);
}

static void sum_back(Tape *t, Node *n)
{
    t->k->axpby(&t->run, 1, n->f, n->grad, 0, n->grad);
    float *g = grad_zeroed(t, n->in[0]);
    if (g) /* adds the one gradient to every element: g is a matrix [count, 1], and the bias has one number */
        t->k->add_bias(&t->run, n->in[0]->count, 1, F32, g, n->grad, ACT_NONE, 0, g);
}

/* Computes the sum of x, or its mean if by_count. */
static Tensor *sum_op(Tape *t, const Op *op, Tensor *x, bool by_count)
{
    Node *n = node_new(t, op, INPUTS(x));
    if (!n || !node_out(t, n, F32, SHAPE(1)))
        return tape_failed(t);
    n->f = by_count && x->count ? 1.0f / (float)x->count : 1.0f;
    if (tape_live(t) && tape_work(t, t->k->sum_work(&t->run, x->count))) {
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
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_out(t, n, F32, SHAPE(1)))
        return tape_failed(t);
    if (tape_live(t) && tape_work(t, t->k->sum_work(&t->run, x->count)))
        t->k->sum_squares(&t->run, x->count, x->data, n->out.data);
    return node_done(t, n, 2.0 * (double)x->count, 4.0 * (double)x->count);
}

static void frobenius_back(Tape *t, Node *n)
{
    add_times_scalar(t, n->in[0], 1, n->grad, n->in[1]->data);
}

/* x is one row: computes its norm, and x / norm for the backward pass. */
Tensor *frobenius(Tape *t, Tensor *x)
{
    static const Op op = {.name = "frobenius", .back_name = "frobenius back", .back = frobenius_back};
    Node *n = node_new(t, &op, INPUTS(x, scratch_like(t, x)));
    if (!n || !node_out(t, n, F32, SHAPE(1)))
        return tape_failed(t);
    if (tape_live(t)) /* a norm below 1e-30 becomes 1e-30, so that the gradient of zeros is 0 */
        t->k->row_normalize(&t->run, 1, x->count, 1e-30f, x->data, n->in[1]->data, n->out.data);
    return node_done(t, n, 2.0 * (double)x->count, 8.0 * (double)x->count);
}

/* ---- BPR: inputs are user, pos, neg of each part, then space for a loss per row -------------- */

/* Returns the parts of a BPR node for the kernels. `back`: with the gradients. Returns NULL if memory ran out. */
static const BprPart *bpr_parts(Tape *t, const Node *n, bool back)
{
    int parts = n->inputs / 3;
    const float *eps = n->spec;
    BprPart *part = tape_scratch(t, parts, sizeof *part);
    for (int k = 0; part && k < parts; k++) {
        Tensor **in = &n->in[3 * k];
        part[k] = (BprPart){.D = cols_of(in[0]), .eps = eps[k]};
        for (int i = 0; i < 3; i++) {
            part[k].x[i] = in[i]->data;
            part[k].dx[i] = back ? grad_into(t, in[i], &part[k].beta[i]) : NULL;
        }
    }
    return part;
}

static void bpr_loss_back(Tape *t, Node *n)
{
    const BprPart *part = bpr_parts(t, n, true);
    int64_t B = rows_of(n->in[0]);
    if (part && t->error.code == SP_OK)
        t->k->bpr_back(&t->run, B, n->inputs / 3, part, n->f, n->keep[0], 1.0f / (float)B, n->grad);
}

static Node *bpr_node(Tape *t, const Op *op, int parts, const Triples *x)
{
    Tensor **in = tape_scratch(t, 3 * parts + 1, sizeof *in);
    float *eps = tape_scratch(t, parts, sizeof *eps);
    if (!in || !eps)
        return NULL;
    for (int k = 0; k < parts; k++) {
        memcpy(&in[3 * k], (Tensor *[]){x[k].user, x[k].pos, x[k].neg}, 3 * sizeof *in);
        eps[k] = x[k].eps;
    }
    in[3 * parts] = tape_constant(t, F32, x->user ? rows_of(x->user) : 0, NULL);
    Node *n = node_new(t, op, 3 * parts + 1, in);
    for (int k = 0; n && k < 3 * parts; k++)
        if (!node_fits(t, n,
                       rows_of(in[k]) == rows_of(in[0]) && rows_of(in[0]) > 0 &&
                           tensor_same_shape(in[k], in[k / 3 * 3])))
            return NULL;
    if (n)
        n->spec = eps;
    return n && node_out(t, n, F32, SHAPE(1)) ? n : NULL;
}

Tensor *bpr_loss(Tape *t, int parts, const Triples *x, float l2)
{
    static const Op op = {.name = "bpr_loss", .back_name = "bpr_loss back", .back = bpr_loss_back};
    if (parts < 1)
        tape_fail(t, SP_USAGE, "bpr_loss: expected at least one part");
    Node *n = t->error.code == SP_OK ? bpr_node(t, &op, parts, x) : NULL;
    const BprPart *part = n ? bpr_parts(t, n, false) : NULL;
    if (!part)
        return tape_failed(t);
    int64_t B = rows_of(n->in[0]), D = 0;
    float *loss = n->in[3 * parts]->data;
    n->f = l2;
    n->unread = UNREAD(RESULT) | (3 * parts < RESULT ? UNREAD(3 * parts) : 0);
    n->keep[0] = n->out.needs_grad ? step_floats(t, B) : NULL;
    for (int k = 0; k < parts; k++)
        D += part[k].D;
    if (tape_live(t) && tape_work(t, t->k->sum_work(&t->run, B))) {
        t->k->bpr(&t->run, B, parts, part, l2, loss, n->keep[0]);
        t->k->sum(&t->run, B, loss, n->out.data);
        t->k->axpby(&t->run, 1, 1.0f / (float)B, n->out.data, 0, n->out.data);
    }
    return node_done(t, n, (double)B * (4.0 * (double)D + 20.0), (double)B * (12.0 * (double)D + 12.0));
}
