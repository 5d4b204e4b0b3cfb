/* nn/ops/dense.c: matrix products and elementwise ops. */
#include "nn/tape.h"

/* Computes the output shape of an op that keeps all dimensions except the last. */
static void with_last(const Tensor *x, int64_t last, int64_t shape[4])
{
    memcpy(shape, x->shape, sizeof x->shape);
    shape[x->dims - 1] = last;
}

/* Returns the product of all dimensions except the last. */
static int64_t leading(const Tensor *x)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < x->dims; i++)
        n *= x->shape[i];
    return n;
}

/* ---- linear: y = act(x W' + b + residual) ---------------------------------------------------- */

enum { LINEAR_X, LINEAR_W, LINEAR_B, LINEAR_RESIDUAL };

enum { UNPACKED = 256 }; /* columns of packed weights per conversion to float32 */

/* Converts columns first .. first + n - 1 of a layer's packed W' to float32 [K, n], written to `to`. Returns `to`. */
static float *unpack(Tape *t, const Linear *l, int64_t first, int64_t n, float *to)
{
    t->k->gemm_unpack(&t->run, l->pack, l->K, l->N, l->packed, first, n, to, n);
    return to;
}

/* Computes the product g of a packed layer, with the weights converted to float32. It is for training tapes. Inference
 * may also round x to the narrow type of the weights. A training tape does not, so that the gradients match its forward
 * pass. */
static void unpacked_gemm(Tape *t, const Linear *l, const Gemm *g)
{
    float *w = step_floats(t, l->K * MIN(l->N, (int64_t)UNPACKED));
    for (int64_t at = 0; w && at < l->N; at += UNPACKED) {
        Gemm part = *g;
        part.N = MIN(l->N - at, (int64_t)UNPACKED);
        part.packed = NULL;
        part.B = unpack(t, l, at, part.N, w);
        part.b_row = part.N;
        part.b_col = 1;
        part.C = (float *)g->C + at;
        part.bias = g->bias ? g->bias + at : NULL;
        part.residual = g->residual ? (const float *)g->residual + at : NULL;
        tape_gemm(t, &part);
    }
    step_release_floats(t, w, l->K * MIN(l->N, (int64_t)UNPACKED));
}

/* Computes dx += dz W of packed weights, or dx = dz W if beta is 0. */
static void unpacked_back(Tape *t, const Linear *l, int64_t M, const float *dz, float *dx, float beta)
{
    float *w = step_floats(t, l->K * MIN(l->N, (int64_t)UNPACKED));
    for (int64_t at = 0; w && dx && at < l->N; at += UNPACKED, beta = 1) {
        int64_t n = MIN(l->N - at, (int64_t)UNPACKED);
        tape_product(t, M, l->K, n, dz + at, l->N, 1, unpack(t, l, at, n, w), 1, n, dx, beta);
    }
    step_release_floats(t, w, l->K * MIN(l->N, (int64_t)UNPACKED));
}

static void linear_back(Tape *t, Node *n)
{
    Tensor *x = n->in[LINEAR_X], *w = n->in[LINEAR_W];
    int64_t M = n->i[0], N = n->i[1], K = n->i[2];
    Act act = (Act)(n->i[3] & 0xff);
    Linear l = {.packed = n->spec, .pack = (Pack)(n->i[3] >> 8), .N = N, .K = K};
    float *dz = grad_take(n), beta;
    if (act != ACT_NONE)
        t->k->act_back(&t->run, M * N, act, n->f, n->keep[0] ? n->keep[0] : n->out.data, dz, dz);
    if (grad_needed(w)) {
        float *dw = grad_into(t, w, &beta);
        tape_product(t, N, K, M, dz, 1, N, x->data, K, 1, dw, beta);
    }
    float *db = grad_needed(n->in[LINEAR_B]) ? grad_into(t, n->in[LINEAR_B], &beta) : NULL;
    if (db && tape_work(t, t->k->col_sum_work(&t->run, M, N)))
        t->k->col_sum(&t->run, M, N, dz, beta, db);
    /* The gradient of a table that is trained, or of some of its rows, is stored as two factors. Weights on the tape
     * are freed before the step, so they cannot be a factor. */
    const Tensor *ids = NULL;
    Tensor *table = !grad_needed(x) || !w || w->id >= 0 ? NULL : x->param ? x : gathered_from(t, x, &ids);
    if (table) {
        ParamGrad *g = grad_of_param(t, table->param, true);
        FactorPart *f = g ? tape_scratch(t, 1, sizeof *f) : NULL;
        if (f) {
            if (grad_needed(n->in[LINEAR_RESIDUAL]))
                grad_axpy(t, n->in[LINEAR_RESIDUAL], 1, dz);
            *f = (FactorPart){g->factors, ids, N, dz, w->data};
            g->factors = f;
        }
        return;
    }
    if (grad_needed(x)) {
        float *dx = grad_into(t, x, &beta);
        if (w)
            tape_product(t, M, K, N, dz, N, 1, w->data, K, 1, dx, beta);
        else
            unpacked_back(t, &l, M, dz, dx, beta);
    }
    if (n->in[LINEAR_RESIDUAL])
        grad_put(t, n->in[LINEAR_RESIDUAL], dz);
    else
        step_release_floats(t, dz, M * N);
}

static Tensor *linear_op(Tape *t, Tensor *x, const Linear *l, Tensor *residual, Act act, float param)
{
    static const Op op = {.name = "linear",
                          .back_name = "linear back",
                          .back = linear_back,
                          .optional = 1 << LINEAR_W | 1 << LINEAR_B | 1 << LINEAR_RESIDUAL};
    Node *n = node_new(t, &op, INPUTS(x, l->w, l->b, residual));
    bool trains = l->w || t->k->gemm_unpack;
    int64_t shape[4];
    if (!n ||
        !node_fits(t, n,
                   x->dims >= 1 && tensor_last_dim(x) == l->K && (!l->b || l->b->count == l->N) && (l->w || l->packed)))
        return tape_failed(t);
    with_last(x, l->N, shape);
    int64_t M = leading(x);
    if (residual && !node_fits(t, n, residual->count == M * l->N))
        return tape_failed(t);
    if (!node_trains(t, n, trains) || !node_out(t, n, F32, x->dims, shape))
        return tape_failed(t);
    memcpy(n->i, (int64_t[]){M, l->N, l->K, (int)act | (int)l->pack << 8}, sizeof n->i);
    n->spec = l->packed;
    n->unread = (act == ACT_NONE ? UNREAD(RESULT) : 0) | UNREAD(LINEAR_RESIDUAL);
    n->f = param;
    bool keep = n->out.needs_grad && !act_from_result(act, param);
    if (keep)
        n->keep[0] = step_floats(t, M * l->N);
    if (tape_live(t)) {
        Gemm g = {.M = M,
                  .N = l->N,
                  .K = l->K,
                  .A = x->data,
                  .a_row = l->K,
                  .a_col = 1,
                  .B = l->w ? l->w->data : NULL,
                  .b_row = 1,
                  .b_col = l->K,
                  .packed = l->packed,
                  .pack = l->pack,
                  .C = keep ? n->keep[0] : n->out.data,
                  .ldc = l->N,
                  .alpha = 1,
                  .bias = l->b ? l->b->data : NULL,
                  .residual = residual ? residual->data : NULL,
                  .ldr = l->N,
                  .act = keep ? ACT_NONE : act,
                  .act_param = param};
        if (t->training && l->packed && l->pack != PACK_F32 && t->k->gemm_unpack)
            unpacked_gemm(t, l, &g);
        else
            tape_gemm(t, &g);
        if (keep)
            t->k->act(&t->run, M * l->N, act, param, F32, n->keep[0], n->out.data);
    }
    size_t weights = l->packed ? t->k->gemm_pack_bytes(l->pack, l->K, l->N) : (size_t)(l->N * l->K) * sizeof(float);
    return node_done(t, n, 2.0 * (double)M * (double)l->N * (double)l->K,
                     4.0 * (double)M * (double)(l->K + l->N) + (double)weights);
}

/* ---- low-rank adapters: residual + scale B A x ----------------------------------------------- */

/* spec: the adapters; inputs: the residual, then A x and B of each adapter */
static void adapters_back(Tape *t, Node *n)
{
    const Adapter *a = n->spec;
    int64_t M = n->i[0], N = n->i[1];
    for (int i = 0; 1 + 2 * i < n->inputs; i++, a++) {
        Tensor *u = n->in[1 + 2 * i], *b = n->in[2 + 2 * i];
        int64_t r = cols_of(b), rows = rows_of(b);
        Gemm g = {.M = M,
                  .N = r,
                  .K = rows,
                  .A = n->grad + a->first,
                  .a_row = N,
                  .a_col = 1,
                  .B = b->data,
                  .b_row = r,
                  .b_col = 1,
                  .ldc = r,
                  .alpha = a->scale};
        if (grad_needed(u) && (g.C = grad_into(t, u, &g.beta)))
            tape_gemm(t, &g);
        g = (Gemm){.M = rows,
                   .N = r,
                   .K = M,
                   .A = n->grad + a->first,
                   .a_row = 1,
                   .a_col = N,
                   .B = u->data,
                   .b_row = r,
                   .b_col = 1,
                   .ldc = r,
                   .alpha = a->scale};
        if (grad_needed(b) && (g.C = grad_into(t, b, &g.beta)))
            tape_gemm(t, &g);
    }
    if (n->in[0])
        grad_put(t, n->in[0], grad_take(n));
}

/* Returns the sum of the residual and of what the adapters of a layer add to its result. */
static Tensor *adapters_add(Tape *t, Tensor *x, const Linear *l, Tensor *residual)
{
    static const Op op = {.name = "adapter", .back_name = "adapter back", .back = adapters_back, .optional = 1};
    int count = 1 + 2 * l->adapters;
    Tensor **in = tape_scratch(t, count, sizeof(Tensor *));
    int64_t M = leading(x);
    if (!in)
        return tape_failed(t);
    in[0] = residual;
    if (x->dims != 2)
        x = reshape(t, x, SHAPE(M, l->K));
    for (int i = 0; i < l->adapters; i++) {
        const Adapter *a = &l->adapter[i];
        in[1 + 2 * i] = matmul(t, dropout(t, x, a->dropout), false, a->a, true);
        in[2 + 2 * i] = a->b;
    }
    Node *n = node_new(t, &op, count, in);
    if (!n || !node_fits(t, n, !residual || residual->count == M * l->N) || !node_out(t, n, F32, SHAPE(M, l->N)))
        return tape_failed(t);
    n->spec = l->adapter;
    n->i[0] = M;
    n->i[1] = l->N;
    n->unread = UNREAD(RESULT) | UNREAD(0);
    double flops = 0;
    if (tape_live(t) && residual)
        t->k->copy(&t->run, n->out.data, residual->data, (size_t)n->out.count * sizeof(float));
    else if (tape_live(t))
        t->k->zero(&t->run, n->out.data, (size_t)n->out.count * sizeof(float));
    for (int i = 0; i < l->adapters; i++) {
        const Adapter *a = &l->adapter[i];
        int64_t r = cols_of(a->b), rows = rows_of(a->b);
        if (tape_live(t))
            tape_gemm(t, &(Gemm){.M = M,
                                 .N = rows,
                                 .K = r,
                                 .A = in[1 + 2 * i]->data,
                                 .a_row = r,
                                 .a_col = 1,
                                 .B = a->b->data,
                                 .b_row = 1,
                                 .b_col = r,
                                 .C = (float *)n->out.data + a->first,
                                 .ldc = l->N,
                                 .alpha = a->scale,
                                 .beta = 1});
        flops += 2.0 * (double)M * (double)r * (double)rows;
    }
    return node_done(t, n, flops, 8.0 * (double)n->out.count);
}

static Tensor *linear_with(Tape *t, Tensor *x, const Linear *l, Tensor *residual, Act act, float param)
{
    bool fits = x->dims >= 1 && tensor_last_dim(x) == l->K; /* if false, linear_op reports it */
    if (l->adapters && fits)
        residual = adapters_add(t, x, l, residual);
    return linear_op(t, x, l, residual, act, param);
}

Tensor *linear(Tape *t, Tensor *x, const Linear *w)
{
    return linear_with(t, x, w, NULL, ACT_NONE, 0);
}

Tensor *linear_act(Tape *t, Tensor *x, const Linear *w, Act act, float param)
{
    return linear_with(t, x, w, NULL, act, param);
}

Tensor *linear_add(Tape *t, Tensor *x, const Linear *w, Tensor *residual)
{
    if (!residual)
        tape_fail(t, SP_USAGE, "linear: the residual is missing");
    return linear_with(t, x, w, residual, ACT_NONE, 0);
}

/* ---- matmul: C = op(A) op(B) ----------------------------------------------------------------- */

static void matmul_back(Tape *t, Node *n)
{
    Tensor *a = n->in[0], *b = n->in[1];
    bool at = n->i[3] & 1, bt = n->i[3] & 2;
    int64_t M = n->i[0], N = n->i[1], K = n->i[2];
    int64_t ar = at ? 1 : K, ac = at ? M : 1, br = bt ? 1 : N, bc = bt ? K : 1;
    float beta;
    if (grad_needed(a)) {
        float *da = grad_into(t, a, &beta);
        if (at)
            tape_product(t, K, M, N, b->data, br, bc, n->grad, 1, N, da, beta);
        else
            tape_product(t, M, K, N, n->grad, N, 1, b->data, bc, br, da, beta);
    }
    if (grad_needed(b)) {
        float *db = grad_into(t, b, &beta);
        if (bt)
            tape_product(t, N, K, M, n->grad, 1, N, a->data, ar, ac, db, beta);
        else
            tape_product(t, K, N, M, a->data, ac, ar, n->grad, N, 1, db, beta);
    }
}

Tensor *matmul(Tape *t, Tensor *a, bool at, Tensor *b, bool bt)
{
    static const Op op = {.name = "matmul", .back_name = "matmul back", .back = matmul_back};
    Node *n = node_new(t, &op, INPUTS(a, b));
    if (!n || !node_fits(t, n, a->dims == 2 && b->dims == 2 && a->shape[at ? 0 : 1] == b->shape[bt ? 1 : 0]))
        return tape_failed(t);
    int64_t M = a->shape[at ? 1 : 0], K = a->shape[at ? 0 : 1], N = b->shape[bt ? 0 : 1];
    if (!node_out(t, n, F32, SHAPE(M, N)))
        return tape_failed(t);
    memcpy(n->i, (int64_t[]){M, N, K, (at ? 1 : 0) | (bt ? 2 : 0)}, sizeof n->i);
    if (tape_live(t))
        tape_product(t, M, N, K, a->data, at ? 1 : K, at ? M : 1, b->data, bt ? 1 : N, bt ? K : 1, n->out.data, 0);
    return node_done(t, n, 2.0 * (double)M * (double)N * (double)K, 4.0 * (double)(M * K + K * N + M * N));
}

/* ---- sum of two tensors: x + a y ------------------------------------------------------------- */

/* f is the factor of y */
static void sum_of_two_back(Tape *t, Node *n)
{
    grad_axpy(t, n->in[1], n->f, n->grad);
    grad_put(t, n->in[0], grad_take(n));
}

static Tensor *sum_of_two(Tape *t, const Op *op, Tensor *x, Tensor *y, float a)
{
    Node *n = node_new(t, op, INPUTS(x, y));
    if (!n || !node_fits(t, n, tensor_same_shape(x, y)) || !node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    n->f = a;
    n->unread = UNREAD_ALL;
    if (tape_live(t) && (a == 1 || a == -1)) {
        t->k->binary(&t->run, x->count, a == 1 ? BIN_ADD : BIN_SUB, x->data, y->data, n->out.data);
    } else if (tape_live(t)) {
        t->k->copy(&t->run, n->out.data, x->data, (size_t)x->count * sizeof(float));
        t->k->axpby(&t->run, x->count, a, y->data, 1, n->out.data);
    }
    return node_done(t, n, (double)x->count, 12.0 * (double)x->count);
}

Tensor *add(Tape *t, Tensor *a, Tensor *b)
{
    static const Op op = {.name = "add", .back_name = "add back", .back = sum_of_two_back};
    return sum_of_two(t, &op, a, b, 1);
}

Tensor *sub(Tape *t, Tensor *a, Tensor *b)
{
    static const Op op = {.name = "sub", .back_name = "sub back", .back = sum_of_two_back};
    return sum_of_two(t, &op, a, b, -1);
}

Tensor *add_scaled(Tape *t, Tensor *x, Tensor *y, float a)
{
    static const Op op = {.name = "add_scaled", .back_name = "add_scaled back", .back = sum_of_two_back};
    return sum_of_two(t, &op, x, y, a);
}

static void mul_back(Tape *t, Node *n)
{
    Tensor *a = n->in[0], *b = n->in[1];
    float *db = grad_needed(b) ? step_floats(t, n->out.count) : NULL;
    if (db) {
        t->k->binary(&t->run, n->out.count, BIN_MUL, n->grad, a->data, db);
        grad_put(t, b, db);
    }
    if (grad_needed(a)) {
        t->k->binary(&t->run, n->out.count, BIN_MUL, n->grad, b->data, n->grad);
        grad_put(t, a, grad_take(n));
    }
}

Tensor *mul(Tape *t, Tensor *a, Tensor *b)
{
    static const Op op = {.name = "mul", .back_name = "mul back", .back = mul_back};
    Node *n = node_new(t, &op, INPUTS(a, b));
    if (!n || !node_fits(t, n, tensor_same_shape(a, b)) || !node_out(t, n, F32, a->dims, a->shape))
        return tape_failed(t);
    if (tape_live(t))
        t->k->binary(&t->run, a->count, BIN_MUL, a->data, b->data, n->out.data);
    return node_done(t, n, (double)a->count, 12.0 * (double)a->count);
}

/* ---- ops of one tensor ----------------------------------------------------------------------- */

/* Makes a node with x's shape. NULL if the tape has failed. */
static Node *node_like(Tape *t, const Op *op, Tensor *x)
{
    Node *n = node_new(t, op, INPUTS(x));
    return n && node_out(t, n, F32, x->dims, x->shape) ? n : NULL;
}

static void scale_back(Tape *t, Node *n)
{
    t->k->axpby(&t->run, n->out.count, n->f, n->grad, 0, n->grad);
    grad_put(t, n->in[0], grad_take(n));
}

Tensor *scale(Tape *t, Tensor *x, float a)
{
    static const Op op = {.name = "scale", .back_name = "scale back", .back = scale_back};
    Node *n = node_like(t, &op, x);
    if (!n)
        return tape_failed(t);
    n->f = a;
    n->unread = UNREAD_ALL;
    if (tape_live(t))
        t->k->axpby(&t->run, x->count, a, x->data, 0, n->out.data);
    return node_done(t, n, (double)x->count, 8.0 * (double)x->count);
}

static void activate_back(Tape *t, Node *n)
{
    Act act = (Act)n->i[0];
    t->k->act_back(&t->run, n->out.count, act, n->f, act_from_result(act, n->f) ? n->out.data : n->in[0]->data, n->grad,
                   n->grad);
    grad_put(t, n->in[0], grad_take(n));
}

Tensor *activate(Tape *t, Tensor *x, Act act, float param)
{
    static const Op op = {.name = "activate", .back_name = "activate back", .back = activate_back};
    Node *n = node_like(t, &op, x);
    if (!n)
        return tape_failed(t);
    n->i[0] = act;
    n->f = param;
    n->unread = act_from_result(act, param) ? UNREAD(0) : UNREAD(RESULT);
    if (tape_live(t))
        t->k->act(&t->run, x->count, act, param, F32, x->data, n->out.data);
    return node_done(t, n, (double)x->count, 8.0 * (double)x->count);
}

static void dropout_back(Tape *t, Node *n)
{
    t->k->dropout(&t->run, n->out.count, n->f, t->draw, (uint64_t)n->i[0], n->grad, n->grad);
    grad_put(t, n->in[0], grad_take(n));
}

Tensor *dropout(Tape *t, Tensor *x, float p)
{
    return t->training ? dropout_always(t, x, p) : x;
}

Tensor *dropout_always(Tape *t, Tensor *x, float p)
{
    static const Op op = {.name = "dropout", .back_name = "dropout back", .back = dropout_back};
    if (p <= 0)
        return x;
    Node *n = node_like(t, &op, x);
    if (!n)
        return tape_failed(t);
    n->f = p;
    n->i[0] = (int64_t)t->drawn; /* so that each dropout of a step has other draws */
    t->drawn += (uint64_t)x->count;
    if (tape_live(t))
        t->k->dropout(&t->run, x->count, p, t->draw, (uint64_t)n->i[0], x->data, n->out.data);
    return node_done(t, n, (double)x->count, 8.0 * (double)x->count);
}

static void reshape_back(Tape *t, Node *n)
{
    grad_put(t, n->in[0], grad_take(n));
}

Tensor *reshape(Tape *t, Tensor *x, int dims, const int64_t *shape)
{
    static const Op op = {.name = "reshape", .back_name = "reshape back", .back = reshape_back};
    int64_t count;
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_fits(t, n, dims >= 1 && dims <= 4 && shape_count(dims, shape, &count) && count == x->count) ||
        !node_view(t, n, x, 0, dims, shape))
        return tape_failed(t);
    n->unread = UNREAD_ALL;
    return node_done(t, n, 0, 0);
}

static void swap_axes_back(Tape *t, Node *n)
{
    int64_t M = n->out.shape[0], N = n->out.shape[1];
    float beta, *d = grad_into(t, n->in[0], &beta);
    for (int64_t i = 0; d && i < M; i++) /* x is [N, M] */
        t->k->copy_cols(&t->run, N, 1, n->grad + i * N, 1, beta, d + i, M);
}

Tensor *swap_axes(Tape *t, Tensor *x)
{
    static const Op op = {.name = "swap_axes", .back_name = "swap_axes back", .back = swap_axes_back};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_fits(t, n, x->dims == 2) || !node_out(t, n, F32, SHAPE(x->shape[1], x->shape[0])))
        return tape_failed(t);
    int64_t M = x->shape[0], N = x->shape[1];
    n->unread = UNREAD_ALL;
    for (int64_t i = 0; tape_live(t) && i < N; i++)
        t->k->copy_cols(&t->run, M, 1, (const float *)x->data + i, N, 0, (float *)n->out.data + i * M, 1);
    return node_done(t, n, 0, 8.0 * (double)x->count);
}

static void nothing_back(Tape *t, Node *n)
{
    (void)t, (void)n;
}

Tensor *detach(Tape *t, Tensor *x)
{
    static const Op op = {.name = "detach", .back = nothing_back};
    Node *n = node_new(t, &op, INPUTS(x));
    if (!n || !node_view(t, n, x, 0, x->dims, x->shape))
        return tape_failed(t);
    n->out.needs_grad = false;
    return node_done(t, n, 0, 0);
}
