/* nn/ops/media.c: texts (ragged rows) and images (NHWC). */
#include <math.h>

#include "nn/tape.h"

/* The offsets as a tensor, uploaded once a run and for all layers. */
static Tensor *offsets_of(Tape *t, const Ragged *r)
{
    if (t->error.code == SP_OK && (r->B < 1 || !r->offsets || r->offsets[0] != 0 || r->offsets[r->B] != r->total))
        tape_fail(t, SP_USAGE, "ragged rows: expected %lld offsets, from 0 to %lld", (long long)r->B + 1,
                  (long long)r->total);
    if (t->error.code == SP_OK && (!t->ragged || t->ragged_host != r->offsets || t->ragged->count != r->B + 1)) {
        t->ragged = tape_constant(t, I32, r->B + 1, r->offsets);
        t->ragged_host = r->offsets;
    }
    return t->error.code == SP_OK ? t->ragged : NULL;
}

/* ---- attention ------------------------------------------------------------------------------- */

enum { ATTENTION_QKV, ATTENTION_OFFSETS, ATTENTION_TABLE };

static Attention attention_of(const Node *n)
{
    const Tensor *qkv = n->in[ATTENTION_QKV], *table = n->in[ATTENTION_TABLE];
    int64_t C = cols_of(&n->out), H = n->i[0], D = C / H;
    const float *q = qkv->data;
    return (Attention){.B = n->in[ATTENTION_OFFSETS]->count - 1,
                       .H = H,
                       .D = D,
                       .q_offsets = n->in[ATTENTION_OFFSETS]->data,
                       .q_longest = n->i[3],
                       .q = q,
                       .k = q + C,
                       .v = q + 2 * C,
                       .q_ld = 3 * C,
                       .k_ld = 3 * C,
                       .v_ld = 3 * C,
                       .out = n->out.data,
                       .out_ld = C,
                       .scale = n->f,
                       .relative = table ? table->data : NULL,
                       .R = n->i[1],
                       .causal = n->i[2] != 0,
                       .lse = n->keep[0]};
}

static void attention_op_back(Tape *t, Node *n)
{
    Tensor *qkv = n->in[ATTENTION_QKV];
    int64_t C = cols_of(&n->out);
    float *d = step_floats(t, qkv->count);
    if (!d)
        return;
    AttentionBack a = {.forward = attention_of(n),
                       .dout = n->grad,
                       .dq = d,
                       .dk = d + C,
                       .dv = d + 2 * C,
                       .dq_ld = 3 * C,
                       .dk_ld = 3 * C,
                       .dv_ld = 3 * C};
    if (tape_work(t, t->k->attention_back_work(&t->run, &a))) {
        t->k->attention_back(&t->run, &a);
        grad_put(t, qkv, d);
    }
}

Tensor *attention(Tape *t, Tensor *qkv, const Ragged *r, int64_t H, Relative bias, bool causal)
{
    static const Op op = {.name = "attention",
                          .back_name = "attention back",
                          .back = attention_op_back,
                          .optional = 1 << ATTENTION_TABLE,
                          .integer = 1 << ATTENTION_OFFSETS};
    Node *n = node_new(t, &op, INPUTS(qkv, offsets_of(t, r), bias.table));
    if (!n || !node_fits(t, n,
                         qkv->dims == 2 && qkv->shape[0] == r->total && H > 0 && qkv->shape[1] % (3 * H) == 0 &&
                             (!bias.table || bias.table->count == H * (2 * bias.R + 1))))
        return tape_failed(t);
    int64_t C = qkv->shape[1] / 3;
    if (grad_needed(bias.table))
        tape_fail(t, SP_UNSUPPORTED, "attention: the relative position table has no gradient");
    if (!node_trains(t, n, t->k->attention_back != NULL) || !node_out(t, n, F32, SHAPE(r->total, C)))
        return tape_failed(t);
    memcpy(n->i, (int64_t[]){H, bias.R, causal}, 3 * sizeof n->i[0]);
    int64_t D = C / H;
    n->f = (float)(1 / sqrt((double)D));
    if (n->out.needs_grad)
        n->keep[0] = step_floats(t, H * r->total);
    double pairs = 0;
    for (int64_t b = 0; b < r->B; b++) {
        int64_t rows = r->offsets[b + 1] - r->offsets[b];
        pairs += (double)rows * (double)rows;
        n->i[3] = MAX(n->i[3], rows);
    }
    if (tape_live(t)) {
        Attention a = attention_of(n);
        if (tape_work(t, t->k->attention_work(&t->run, &a)))
            t->k->attention(&t->run, &a);
    }
    return node_done(t, n, (causal ? 2.0 : 4.0) * pairs * (double)C, 16.0 * (double)n->out.count);
}

/* ---- pooling of texts ------------------------------------------------------------------------ */

static void pool_ragged_back(Tape *t, Node *n)
{
    Tensor *x = n->in[0];
    float *dx = step_floats(t, x->count);
    if (!dx)
        return;
    t->k->segment_pool_back(&t->run, n->out.shape[0], cols_of(x), n->in[1]->data, (Reduce)n->i[0],
                            (const int32_t *)n->spec, n->grad, dx);
    grad_put(t, x, dx);
}

Tensor *pool_ragged(Tape *t, Tensor *x, const Ragged *r, Reduce how)
{
    static const Op op = {
        .name = "pool_ragged", .back_name = "pool_ragged back", .back = pool_ragged_back, .integer = 2};
    Node *n = node_new(t, &op, INPUTS(x, offsets_of(t, r)));
    if (!n || !node_fits(t, n, x->dims == 2 && x->shape[0] == r->total) ||
        !node_out(t, n, F32, SHAPE(r->B, cols_of(x))))
        return tape_failed(t);
    n->i[0] = how;
    int32_t *arg = n->out.needs_grad && how == REDUCE_MAX ? step_alloc(t, (size_t)n->out.count * sizeof *arg) : NULL;
    n->spec = arg;
    if (tape_live(t))
        t->k->segment_pool(&t->run, r->B, cols_of(x), n->in[1]->data, how, x->data, n->out.data, arg);
    return node_done(t, n, (double)x->count, 4.0 * (double)x->count);
}

/* ---- images: inference only ------------------------------------------------------------------ */

Tensor *conv(Tape *t, Tensor *x, const Conv2d *c, Tensor *residual, Act act)
{
    static const Op op = {.name = "conv", .optional = 2 | 4};
    Node *n = node_new(t, &op, INPUTS(x, c->bias, residual));
    if (!n || !node_fits(t, n,
                         x->dims == 4 && x->shape[3] == c->C && c->packed &&
                             x->shape[1] + c->top + c->bottom >= c->kh && x->shape[2] + c->left + c->right >= c->kw))
        return tape_failed(t);
    int64_t B = x->shape[0], OH = conv_out(x->shape[1], c->kh, c->stride, c->top + c->bottom),
            OW = conv_out(x->shape[2], c->kw, c->stride, c->left + c->right);
    if ((residual && !node_fits(t, n, residual->count == B * OH * OW * c->O)) ||
        !node_out(t, n, F32, SHAPE(B, OH, OW, c->O)))
        return tape_failed(t);
    Conv k = {.B = B,
              .H = x->shape[1],
              .W = x->shape[2],
              .C = c->C,
              .O = c->O,
              .kh = c->kh,
              .kw = c->kw,
              .stride = c->stride,
              .groups = c->groups,
              .top = c->top,
              .left = c->left,
              .bottom = c->bottom,
              .right = c->right,
              .x = x->data,
              .packed = c->packed,
              .pack = c->pack,
              .winograd = c->winograd,
              .y = n->out.data,
              .bias = c->bias ? c->bias->data : NULL,
              .residual = residual ? residual->data : NULL,
              .act = act};
    if (tape_live(t) && tape_work(t, t->k->conv_work(&t->run, &k)))
        t->k->conv(&t->run, &k);
    double each = (double)(c->kh * c->kw) * (double)c->C / (double)c->groups;
    return node_done(t, n, 2.0 * (double)n->out.count * each,
                     4.0 * ((double)x->count + (double)n->out.count + (double)c->O * each));
}

Tensor *max_pool(Tape *t, Tensor *x, int64_t k, int64_t stride, int64_t pad)
{
    static const Op op = {.name = "max_pool"};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n ||
        !node_fits(t, n,
                   x->dims == 4 && k > 0 && stride > 0 && x->shape[1] + 2 * pad >= k && x->shape[2] + 2 * pad >= k))
        return tape_failed(t);
    int64_t B = x->shape[0], H = x->shape[1], W = x->shape[2], C = x->shape[3];
    if (!node_out(t, n, F32, SHAPE(B, conv_out(H, k, stride, 2 * pad), conv_out(W, k, stride, 2 * pad), C)))
        return tape_failed(t);
    if (tape_live(t))
        t->k->max_pool(&t->run, B, H, W, C, k, stride, pad, x->data, n->out.data);
    return node_done(t, n, (double)(k * k) * (double)n->out.count, 4.0 * (double)(x->count + n->out.count));
}

Tensor *mean_pool(Tape *t, Tensor *x)
{
    static const Op op = {.name = "mean_pool"};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_fits(t, n, x->dims == 4) || !node_out(t, n, F32, SHAPE(x->shape[0], x->shape[3])))
        return tape_failed(t);
    if (tape_live(t))
        t->k->mean_pool(&t->run, x->shape[0], x->shape[1] * x->shape[2], x->shape[3], x->data, n->out.data);
    return node_done(t, n, (double)x->count, 4.0 * (double)x->count);
}
