/* nn/ops/media.c: ops on texts (ragged rows) and images (NHWC). */
#include <math.h>

#include "nn/tape.h"

static bool are_offsets(const Ragged *r)
{
    bool ascends = r->B >= 1 && r->offsets && r->offsets[0] == 0 && r->offsets[r->B] == r->total;
    for (int64_t b = 0; ascends && b < r->B; b++)
        ascends = r->offsets[b] <= r->offsets[b + 1];
    return ascends;
}

/* Returns the offsets as a tensor. They are uploaded once per run, for all layers. */
static Tensor *offsets_of(Tape *t, const Ragged *r)
{
    if (t->error.code == SP_OK && !are_offsets(r))
        tape_fail(t, SP_USAGE, "ragged rows: expected %lld offsets that ascend from 0 to %lld", (long long)r->B + 1,
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
    if (grad_needed(n->in[ATTENTION_TABLE]))
        a.drelative = grad_zeroed(t, n->in[ATTENTION_TABLE]);
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

/* ---- images ---------------------------------------------------------------------------------- */

enum { CONV_X, CONV_W, CONV_BIAS, CONV_RESIDUAL };

static void conv_op_back(Tape *t, Node *n)
{
    Tensor *x = n->in[CONV_X], *w = n->in[CONV_W], *bias = n->in[CONV_BIAS];
    ConvBack b = {.forward = *(const Conv *)n->spec, .weights = w->data};
    Act act = (Act)n->i[0];
    int64_t count = n->out.count, O = b.forward.O;
    float *dz = grad_take(n), beta;
    if (act != ACT_NONE)
        t->k->act_back(&t->run, count, act, 0, n->keep[0] ? n->keep[0] : n->out.data, dz, dz);
    float *db = grad_needed(bias) ? grad_into(t, bias, &beta) : NULL;
    if (db && tape_work(t, t->k->col_sum_work(&t->run, count / O, O)))
        t->k->col_sum(&t->run, count / O, O, dz, beta, db);
    b.forward.x = x->data;
    b.dy = dz;
    if (grad_needed(x))
        b.dx = grad_into(t, x, &b.x_beta);
    if (grad_needed(w))
        b.dweights = grad_into(t, w, &b.w_beta);
    if ((b.dx || b.dweights) && tape_work(t, t->k->conv_back_work(&t->run, &b)))
        t->k->conv_back(&t->run, &b);
    if (grad_needed(n->in[CONV_RESIDUAL]))
        grad_put(t, n->in[CONV_RESIDUAL], dz);
    else
        step_release_floats(t, dz, count);
}

/* Runs k. Weights that are not packed are packed into the scratch, for this call. */
static void conv_run(Tape *t, Conv k, const Tensor *w)
{
    size_t packed = w ? aligned_bytes(t->k->conv_pack_bytes(&k)) : 0;
    if (w)
        k.packed = w->data; /* conv_work checks only whether there are packed weights */
    if (!tape_work(t, packed + t->k->conv_work(&t->run, &k)))
        return;
    Run run = t->run;
    if (w) {
        run.work = (unsigned char *)run.work + packed;
        run.work_bytes -= packed;
        k.packed = t->run.work;
        t->k->conv_pack(&run, &k, w->data, t->run.work);
    }
    t->k->conv(&run, &k);
}

/* Computes act(conv(x) + bias + residual), without the batch norm. */
static Tensor *conv_op(Tape *t, Tensor *x, const Conv2d *c, Tensor *residual, Act act)
{
    static const Op op = {.name = "conv",
                          .back_name = "conv back",
                          .back = conv_op_back,
                          .optional = 1 << CONV_W | 1 << CONV_BIAS | 1 << CONV_RESIDUAL};
    Node *n = node_new(t, &op, INPUTS(x, c->packed ? NULL : c->w, c->bias, residual));
    int64_t weights = c->O * (c->C / MAX(c->groups, 1)) * c->kh * c->kw;
    if (!n || !node_fits(t, n,
                         x->dims == 4 && x->shape[3] == c->C && (c->packed || (c->w && c->w->count == weights)) &&
                             (!c->bias || c->bias->count == c->O) && MIN(c->top, c->left) >= 0 &&
                             MIN(c->bottom, c->right) >= 0 && x->shape[1] + c->top + c->bottom >= c->kh &&
                             x->shape[2] + c->left + c->right >= c->kw))
        return tape_failed(t);
    int64_t B = x->shape[0], OH = conv_out(x->shape[1], c->kh, c->stride, c->top + c->bottom),
            OW = conv_out(x->shape[2], c->kw, c->stride, c->left + c->right);
    if (n->out.needs_grad && c->packed)
        tape_fail(t, SP_UNSUPPORTED, "conv: packed weights have no gradient: load them plain or as parameters");
    if ((residual && !node_fits(t, n, residual->count == B * OH * OW * c->O)) ||
        !node_trains(t, n, t->k->conv_back != NULL) || !node_out(t, n, F32, SHAPE(B, OH, OW, c->O)))
        return tape_failed(t);
    bool keep = n->out.needs_grad && !act_from_result(act, 0);
    if (keep)
        n->keep[0] = step_floats(t, n->out.count);
    Conv k = conv_shape(c);
    k.B = B;
    k.H = x->shape[1];
    k.W = x->shape[2];
    k.x = x->data;
    k.packed = c->packed;
    k.pack = c->packed ? c->pack : PACK_F32;
    k.y = keep ? n->keep[0] : n->out.data;
    k.bias = c->bias ? c->bias->data : NULL;
    k.residual = residual ? residual->data : NULL;
    k.act = keep ? ACT_NONE : act;
    if (n->out.needs_grad) {
        Conv *shape = tape_scratch(t, 1, sizeof *shape);
        if (shape)
            *shape = k;
        n->spec = shape;
    }
    n->i[0] = act;
    n->unread = (keep || act == ACT_NONE ? UNREAD(RESULT) : 0) | UNREAD(CONV_BIAS) | UNREAD(CONV_RESIDUAL) |
                (grad_needed(c->w) ? 0 : UNREAD(CONV_X));
    if (tape_live(t)) {
        conv_run(t, k, c->packed ? NULL : c->w);
        if (keep && t->error.code == SP_OK)
            t->k->act(&t->run, n->out.count, act, 0, F32, n->keep[0], n->out.data);
    }
    double each = (double)(c->kh * c->kw) * (double)c->C / (double)c->groups;
    return node_done(t, n, 2.0 * (double)n->out.count * each,
                     4.0 * ((double)x->count + (double)n->out.count + (double)c->O * each));
}

/* Computes groups first .. first + n - 1 of a grouped convolution; each group is a separate convolution. x [pixels, C]
 * of B images of H x W, w [O, K]; the result is [pixels, outputs of these groups]. */
static Tensor *conv_groups(Tape *t, Tensor *x, Tensor *w, const int64_t image[3], const Conv2d *c, int64_t first,
                           int64_t n)
{
    if (n > 1)
        return concat(t, conv_groups(t, x, w, image, c, first, n / 2),
                      conv_groups(t, x, w, image, c, first + n / 2, n - n / 2));
    Conv2d one = *c;
    one.groups = 1;
    one.C = c->C / c->groups;
    one.O = c->O / c->groups;
    one.bias = NULL;
    one.w = reshape(t, rows(t, w, first * one.O, one.O), 4, (int64_t[]){one.O, one.C, c->kh, c->kw});
    x = reshape(t, cols(t, x, first * one.C, one.C), 4, (int64_t[]){image[0], image[1], image[2], one.C});
    x = conv_op(t, x, &one, NULL, ACT_NONE);
    return reshape(t, x, 2, (int64_t[]){x->count / one.O, one.O});
}

/* conv_back does not support groups, so the groups of a ResNeXt are trained one by one. */
static Tensor *conv_trained(Tape *t, Tensor *x, const Conv2d *c)
{
    if (x->dims != 4 || x->shape[3] != c->C || !c->w || c->w->count != c->O * (c->C / c->groups) * c->kh * c->kw)
        return conv_op(t, x, c, NULL, ACT_NONE); /* conv_op reports the failure */
    const int64_t image[3] = {x->shape[0], x->shape[1], x->shape[2]},
                  OH = conv_out(image[1], c->kh, c->stride, c->top + c->bottom),
                  OW = conv_out(image[2], c->kw, c->stride, c->left + c->right);
    Tensor *w = reshape(t, c->w, 2, (int64_t[]){c->O, c->w->count / c->O});
    x = reshape(t, x, 2, (int64_t[]){x->count / c->C, c->C});
    x = conv_groups(t, x, w, image, c, 0, c->groups);
    x = c->bias ? broadcast(t, BIN_ADD, SPREAD_ROW, x, c->bias) : x;
    return reshape(t, x, 4, (int64_t[]){image[0], OH, OW, c->O});
}

Tensor *conv(Tape *t, Tensor *x, const Conv2d *c, Tensor *residual, Act act)
{
    bool depthwise = c->groups == c->C && c->O == c->C;
    if (c->groups > 1 && !depthwise && (grad_needed(x) || grad_needed(c->w) || grad_needed(c->bias))) {
        x = conv_trained(t, x, c);
        if (c->norm.gamma)
            x = batch_norm(t, x, &c->norm);
        return activate(t, residual ? add(t, x, reshape(t, residual, x->dims, x->shape)) : x, act, 0);
    }
    if (!c->norm.gamma)
        return conv_op(t, x, c, residual, act);
    x = batch_norm(t, conv_op(t, x, c, NULL, ACT_NONE), &c->norm);
    if (residual)
        x = add(t, x, reshape(t, residual, x->dims, x->shape));
    return activate(t, x, act, 0);
}

enum { NORM_X, NORM_GAMMA, NORM_BETA, NORM_MEAN, NORM_VAR };

static BatchNorm batch_norm_of(const Node *n, float *mean)
{
    int64_t C = tensor_last_dim(&n->out);
    return (BatchNorm){.M = C ? n->out.count / C : 0,
                       .C = C,
                       .x = n->in[NORM_X]->data,
                       .gamma = n->in[NORM_GAMMA]->data,
                       .beta = n->in[NORM_BETA]->data,
                       .batch = n->i[0] != 0,
                       .eps = n->f,
                       .running_mean = n->in[NORM_MEAN]->data,
                       .running_var = n->in[NORM_VAR]->data,
                       .y = n->out.data,
                       .mean = mean,
                       .rstd = mean ? mean + C : NULL};
}

static void batch_norm_op_back(Tape *t, Node *n)
{
    Tensor *x = n->in[NORM_X];
    float *d = grad_take(n);
    BatchNormBack b = {.forward = batch_norm_of(n, n->keep[0]), .dy = d, .dx = grad_needed(x) ? d : NULL};
    b.dgamma = grad_zeroed(t, n->in[NORM_GAMMA]);
    b.dbeta = grad_zeroed(t, n->in[NORM_BETA]);
    if (tape_work(t, t->k->batch_norm_back_work(&t->run, &b)))
        t->k->batch_norm_back(&t->run, &b);
    if (b.dx)
        grad_put(t, x, d);
    else
        step_release_floats(t, d, n->out.count);
}

Tensor *batch_norm(Tape *t, Tensor *x, const Norm2d *c)
{
    static const Op op = {.name = "batch_norm", .back_name = "batch_norm back", .back = batch_norm_op_back};
    Node *n = node_new(t, &op, INPUTS(x, c->gamma, c->beta, c->mean, c->var));
    int64_t C = n ? tensor_last_dim(x) : 0;
    if (!n || !node_fits(t, n,
                         x->dims >= 1 && c->gamma->count == C && c->beta->count == C && c->mean->count == C &&
                             c->var->count == C))
        return tape_failed(t);
    bool batch = c->batch && t->training;
    if (batch && x->count == C)
        tape_fail(t, SP_USAGE, "batch_norm: one value per channel has no variance: train with larger batches");
    if (!t->k->batch_norm)
        tape_fail(t, SP_UNSUPPORTED, "batch_norm: this build has no kernel for it (MINIMAL trains no encoders)");
    if (t->error.code != SP_OK || !node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    n->i[0] = batch;
    n->f = (float)c->eps;
    n->unread = UNREAD(RESULT);
    if (n->out.needs_grad)
        n->keep[0] = step_floats(t, 2 * C);
    if (tape_live(t)) {
        BatchNorm b = batch_norm_of(n, n->keep[0]);
        b.momentum = (float)c->momentum;
        size_t work = aligned_bytes(t->k->batch_norm_work(&t->run, &b));
        if (tape_work(t, work + 2 * (size_t)C * sizeof(float))) {
            if (!b.mean)
                b.mean = (float *)(void *)((unsigned char *)t->run.work + work);
            b.rstd = b.mean + C;
            t->k->batch_norm(&t->run, &b);
        }
    }
    return node_done(t, n, 7.0 * (double)x->count, 12.0 * (double)x->count);
}

enum { POOL_K, POOL_STRIDE, POOL_PAD };

static void max_pool_op_back(Tape *t, Node *n)
{
    Tensor *x = n->in[0];
    float *dx = step_floats(t, x->count);
    if (!dx)
        return;
    t->k->max_pool_back(&t->run, x->shape[0], x->shape[1], x->shape[2], x->shape[3], n->i[POOL_K], n->i[POOL_STRIDE],
                        n->i[POOL_PAD], x->data, n->out.data, n->grad, dx);
    grad_put(t, x, dx);
}

Tensor *max_pool(Tape *t, Tensor *x, int64_t k, int64_t stride, int64_t pad)
{
    static const Op op = {.name = "max_pool", .back_name = "max_pool back", .back = max_pool_op_back};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n ||
        !node_fits(t, n,
                   x->dims == 4 && k > 0 && stride > 0 && x->shape[1] + 2 * pad >= k && x->shape[2] + 2 * pad >= k))
        return tape_failed(t);
    int64_t B = x->shape[0], H = x->shape[1], W = x->shape[2], C = x->shape[3];
    if (!node_trains(t, n, t->k->max_pool_back != NULL) ||
        !node_out(t, n, F32, SHAPE(B, conv_out(H, k, stride, 2 * pad), conv_out(W, k, stride, 2 * pad), C)))
        return tape_failed(t);
    memcpy(n->i, (int64_t[]){k, stride, pad}, 3 * sizeof n->i[0]);
    if (tape_live(t))
        t->k->max_pool(&t->run, B, H, W, C, k, stride, pad, x->data, n->out.data);
    return node_done(t, n, (double)(k * k) * (double)n->out.count, 4.0 * (double)(x->count + n->out.count));
}

static void mean_pool_op_back(Tape *t, Node *n)
{
    Tensor *x = n->in[0];
    float *dx = step_floats(t, x->count);
    if (!dx)
        return;
    t->k->mean_pool_back(&t->run, x->shape[0], x->shape[1] * x->shape[2], x->shape[3], n->grad, dx);
    grad_put(t, x, dx);
}

Tensor *mean_pool(Tape *t, Tensor *x)
{
    static const Op op = {.name = "mean_pool", .back_name = "mean_pool back", .back = mean_pool_op_back};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_fits(t, n, x->dims == 4) || !node_trains(t, n, t->k->mean_pool_back != NULL) ||
        !node_out(t, n, F32, SHAPE(x->shape[0], x->shape[3])))
        return tape_failed(t);
    n->unread = UNREAD_ALL;
    if (tape_live(t))
        t->k->mean_pool(&t->run, x->shape[0], x->shape[1] * x->shape[2], x->shape[3], x->data, n->out.data);
    return node_done(t, n, (double)x->count, 4.0 * (double)x->count);
}

static void channel_scale_back(Tape *t, Node *n)
{
    Tensor *x = n->in[0], *s = n->in[1];
    int64_t B = x->shape[0], HW = x->shape[1] * x->shape[2], C = x->shape[3];
    float *ds = grad_needed(s) ? step_floats(t, s->count) : NULL,
          *dx = grad_needed(x) ? step_floats(t, x->count) : NULL;
    if (ds) {
        t->k->channel_dot(&t->run, B, HW, C, x->data, n->grad, ds);
        grad_put(t, s, ds);
    }
    if (dx) {
        t->k->channel_scale(&t->run, B, HW, C, n->grad, s->data, dx);
        grad_put(t, x, dx);
    }
}

Tensor *channel_scale(Tape *t, Tensor *x, Tensor *s)
{
    static const Op op = {.name = "channel_scale", .back_name = "channel_scale back", .back = channel_scale_back};
    Node *n = node_new(t, &op, INPUTS(x, s));
    if (!n ||
        !node_fits(t, n, x->dims == 4 && s->dims == 2 && s->shape[0] == x->shape[0] && s->shape[1] == x->shape[3]) ||
        !node_trains(t, n, t->k->channel_dot != NULL) || !node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    n->unread = UNREAD(RESULT);
    if (tape_live(t))
        t->k->channel_scale(&t->run, x->shape[0], x->shape[1] * x->shape[2], x->shape[3], x->data, s->data,
                            n->out.data);
    return node_done(t, n, (double)x->count, 8.0 * (double)x->count);
}
