/* nn/tape.c: the tape: nodes, inputs, and functions that several ops need. */
#include "nn/tape.h"

/* ---- start and end --------------------------------------------------------------------------- */

Tape *tape_new(const Device *d, bool training, Error *e)
{
    Tape *t = heap_alloc(d->heap, sizeof *t);
    Arena *meta = t ? arena_new(d->heap, 0) : NULL;
    if (!meta) {
        heap_free(d->heap, t, sizeof *t);
        fail_memory(e, sizeof *t, "a tape");
        return NULL;
    }
    *t = (Tape){.d = d,
                .k = d->k,
                .heap = d->heap,
                .run = device_run(d),
                .training = training,
                .host_memory = device_is_host(d),
                .meta = meta};
    t->empty = arena_mark(meta);
    t->failed = (Tensor){.type = F32, .dims = 1, .id = -2};
    return t;
}

void tape_free(Tape *t)
{
    if (!t)
        return;
    const Heap *heap = t->heap;
    plan_forget(t);
    lists_free(t);
    step_free(t);
    if (t->nodes)
        heap_free(heap, t->nodes, t->room * sizeof *t->nodes);
    arena_free(t->meta);
    heap_free(heap, t, sizeof *t);
}

void tape_reset(Tape *t, Draw draw)
{
    step_reset(t);
    lists_reset(t);
    arena_rewind(t->meta, t->empty);
    t->count = t->buffer_count = 0;
    t->drawn = 0;
    t->draw = draw;
    t->grads = NULL;
    t->stacks = NULL;
    t->transposed = NULL;
    t->ragged = NULL;
    t->ragged_host = NULL;
    t->mode = MODE_EAGER;
    error_clear(&t->error);
}

bool tape_ok(const Tape *t, Error *e)
{
    return t->error.code == SP_OK ? t->k->check(&t->run, e) : fail(e, t->error.code, "%s", t->error.message);
}

bool tape_fail(Tape *t, sp_status code, const char *format, ...)
{
    char text[sizeof t->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail(&t->error, code, "%s", text); /* only the first failure is kept */
}

bool tape_training(const Tape *t)
{
    return t->training;
}

const Device *tape_device(const Tape *t)
{
    return t->d;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

bool shape_count(int dims, const int64_t *shape, int64_t *count)
{
    /* a dimension of 0 counts as 1, so that the product of any subset of the dimensions fits too */
    size_t n = 1, bytes;
    bool empty = false;
    for (int i = 0; i < dims; i++) {
        empty = empty || shape[i] == 0;
        if (shape[i] < 0 || !size_mul(n, (size_t)MAX(shape[i], (int64_t)1), &n) || !size_mul(n, 8, &bytes) ||
            bytes > PTRDIFF_MAX)
            return false;
    }
    *count = empty ? 0 : (int64_t)n;
    return true;
}

int64_t rows_of(const Tensor *x)
{
    return x->shape[0];
}

int64_t cols_of(const Tensor *x)
{
    int64_t n = 1;
    for (int i = 1; i < x->dims; i++)
        n *= x->shape[i];
    return n;
}

void tape_range(const Tensor *ids, int32_t *lo, int32_t *hi)
{
    *lo = ids->id < 0 ? ((const Stored *)ids)->lo : ((const Node *)ids)->lo;
    *hi = ids->id < 0 ? ((const Stored *)ids)->hi : ((const Node *)ids)->hi;
}

Node *node_new(Tape *t, const Op *op, int inputs, Tensor *const *in)
{
    if (t->error.code != SP_OK)
        return NULL;
    Node *n = NEW(t->meta, Node, 1, &t->error);
    Tensor **copy = n ? NEW(t->meta, Tensor *, MAX(inputs, 1), &t->error) : NULL;
    if (!copy)
        return NULL;
    *n = (Node){.op = op, .inputs = inputs, .in = copy, .buffer = -1};
    bool lists = false;
    for (int i = 0; i < inputs; i++) {
        Tensor *x = copy[i] = in[i];
        if (!x && has_bit(op->optional, i))
            continue;
        if (!x || x == &t->failed)
            return tape_fail(t, SP_USAGE, "%s: input %d is missing", op->name, i), NULL;
        if (x->id != -1 && (x->id < 0 || (size_t)x->id >= t->count || &t->nodes[x->id]->out != x))
            return tape_fail(t, SP_USAGE, "%s: input %d belongs to another tape or to an earlier step", op->name, i),
                   NULL;
        if (x->id >= 0 && t->nodes[x->id]->dropped)
            return tape_fail(t, SP_USAGE, "%s: input %d was dropped", op->name, i), NULL;
        if ((x->type != F32) != has_bit(op->integer, i) &&
            !((x->type == F16 || x->type == BF16) && has_bit(op->narrow, i)))
            return tape_fail(t, SP_SHAPE, "%s: input %d has type %s, expected %s", op->name, i, dtype_name(x->type),
                             x->type == F32 ? "integers" : "F32"),
                   NULL;
        n->out.needs_grad |= t->training && x->needs_grad;
        lists = lists || (x->id >= 0 && t->nodes[x->id]->host);
        int32_t b = x->id < 0 ? -1 : t->nodes[x->id]->buffer;
        if (t->mode == MODE_DRY && b >= 0)
            t->buffers[b].last = (int64_t)t->count;
        if (t->mode != MODE_DRY && !has_bit(op->by_row, i))
            tensor_settle(x);
    }
    if (n->out.needs_grad && !op->back)
        return tape_fail(t, SP_UNSUPPORTED, "%s has no gradient: detach its input or freeze what it depends on",
                         op->name),
               NULL;
    if (lists)
        lists_send(t);
    n->begun = tape_live(t) ? tape_clock(t, op->name) : 0;
    return n;
}

bool node_fits(Tape *t, const Node *n, bool fits)
{
    if (fits)
        return true;
    char text[256];
    size_t at = 0;
    for (int i = 0; i < n->inputs && at + 64 < sizeof text; i++) {
        const Tensor *x = n->in[i];
        for (int k = 0; x && k < x->dims && at + 32 < sizeof text; k++)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%lld%s",
                                   k    ? ","
                                   : at ? " ["
                                        : "[",
                                   (long long)x->shape[k], k + 1 < x->dims ? "" : "]");
    }
    return tape_fail(t, SP_SHAPE, "%s: shapes do not fit: %s", n->op->name, at ? text : "no inputs");
}

static bool node_add(Tape *t, Node *n, DType type, int dims, const int64_t *shape)
{
    n->out.type = type;
    n->out.dims = dims;
    n->out.id = (int32_t)t->count;
    if (dims < 1 || dims > 4 || t->count >= INT32_MAX || !shape_count(dims, shape, &n->out.count))
        return tape_fail(t, SP_SHAPE, "%s: its result has a shape that does not fit in memory", n->op->name);
    memcpy(n->out.shape, shape, sizeof shape[0] * (size_t)dims);
    if (!tape_grow(t, (void **)&t->nodes, t->count, &t->room, sizeof *t->nodes))
        return false;
    t->nodes[t->count++] = n;
    return true;
}

bool node_trains(Tape *t, const Node *n, bool has_kernel)
{
    return !n->out.needs_grad || has_kernel ||
           tape_fail(t, SP_UNSUPPORTED, "%s: this build has no backward pass of it (MINIMAL trains no encoders)",
                     n->op->name);
}

bool node_out(Tape *t, Node *n, DType type, int dims, const int64_t *shape)
{
    if (!node_add(t, n, type, dims, shape))
        return false;
    size_t bytes = aligned_bytes((size_t)n->out.count * dtype_bytes(type));
    if (t->mode == MODE_EAGER)
        return (n->out.data = step_alloc(t, bytes));
    n->buffer = (int32_t)t->buffer_count;
    if (t->mode == MODE_PLANNED) {
        size_t b = t->buffer_count++;
        if (b >= t->plan->buffers || t->plan->buffer[b].bytes != bytes || t->plan->buffer[b].first != n->out.id)
            return tape_fail(t, SP_USAGE, "%s: the model did not call the same ops as in the first pass", n->op->name);
        n->out.data = t->block + t->plan->offset[b];
        return true;
    }
    if (!tape_grow(t, (void **)&t->buffers, t->buffer_count, &t->buffer_room, sizeof *t->buffers))
        return false;
    t->buffers[t->buffer_count++] = (Buffer){.bytes = bytes, .first = n->out.id, .last = n->out.id};
    return true;
}

bool node_view(Tape *t, Node *n, Tensor *base, int64_t first, int dims, const int64_t *shape)
{
    if (!node_add(t, n, base->type, dims, shape))
        return false;
    n->buffer = base->id < 0 ? -1 : t->nodes[base->id]->buffer;
    n->view = true;
    n->base = base->id < 0 ? NULL : t->nodes[base->id];
    tape_range(base, &n->lo, &n->hi);
    const void *host = base->id < 0 ? ((const Stored *)base)->host : t->nodes[base->id]->host;
    size_t offset = (size_t)first * dtype_bytes(base->type);
    if (host)
        n->host = (const char *)host + offset;
    if (base->data)
        n->out.data = (char *)base->data + offset;
    return true;
}

Tensor *node_done(Tape *t, Node *n, double flops, double bytes)
{
    n->flops = flops;
    n->bytes = bytes;
    if (tape_live(t) && t->run.trace)
        tape_trace(t, n->begun, n->op->name, flops, bytes);
    return t->error.code == SP_OK ? &n->out : &t->failed;
}

/* The trace waits for the device before and after an op, so that the measured time is that of the op. */
#ifndef SAPOR_MINIMAL
double tape_clock(Tape *t, const char *name)
{
    if (!t->run.trace)
        return 0;
    t->k->range(&t->run, name);
    return t->k->clock(&t->run);
}

void tape_trace(Tape *t, double begun, const char *name, double flops, double bytes)
{
    if (!t->run.trace)
        return;
    trace_add(t->run.trace, begun, t->k->clock(&t->run), name, flops, bytes);
    t->k->range(&t->run, NULL);
}
#endif

/* ---- inputs ---------------------------------------------------------------------------------- */

static void note_range(Node *n, const int32_t *ids)
{
    for (int64_t i = 0; i < n->out.count; i++) {
        n->lo = i ? MIN(n->lo, ids[i]) : ids[i];
        n->hi = i ? MAX(n->hi, ids[i]) : ids[i];
    }
}

static const Op INPUT = {.name = "input"};

Tensor *list_tensor(Tape *t, DType type, int64_t count, void *host)
{
    Node *n = node_new(t, &INPUT, 0, NULL);
    if (!n || !node_add(t, n, type, 1, &count) || !(n->out.data = list_device(t, host)))
        return tape_failed(t);
    n->host = host;
    if (type == I32)
        note_range(n, host);
    return node_done(t, n, 0, 0);
}

enum { SMALL_INPUT = 4096 }; /* bytes */

/* Makes an input. If `host` is not NULL, it is copied to the device in one of two ways:
 *
 * - Integers, and short arrays of floats outside a planned run, become lists (lists.c). All lists of a step are copied
 *   in one upload.
 * - Any other array of floats is copied in its own upload. In a planned run no array of floats becomes a list, because
 *   the plan gives each of them a fixed place in device memory. */
static Tensor *input(Tape *t, DType type, const void *host, int dims, const int64_t *shape)
{
    Node *n = node_new(t, &INPUT, 0, NULL);
    int64_t count = 0;
    size_t bytes = n && shape_count(dims, shape, &count) ? (size_t)count * dtype_bytes(type) : SIZE_MAX;
    bool list = type != F32 || (host && t->mode == MODE_EAGER && bytes <= SMALL_INPUT);
    if (!n || !(list ? node_add(t, n, type, dims, shape) : node_out(t, n, type, dims, shape)))
        return tape_failed(t);
    void *copy = list && tape_live(t) ? list_alloc(t, count, dtype_bytes(type)) : NULL;
    if (copy) {
        if (bytes)
            memcpy(copy, host, bytes);
        n->host = copy;
        n->out.data = list_device(t, copy);
        if (type == I32)
            note_range(n, copy);
    } else if (tape_live(t) && host) {
        t->k->upload(&t->run, n->out.data, host, bytes);
    }
    return node_done(t, n, 0, (double)bytes);
}

Tensor *input_f32(Tape *t, const float *host, int dims, const int64_t *shape)
{
    return input(t, F32, host, dims, shape);
}

Tensor *input_i32(Tape *t, const int32_t *host, int64_t n)
{
    return input(t, I32, host, 1, &n);
}

Tensor *tape_constant(Tape *t, DType type, int64_t n, const void *host)
{
    return input(t, type, host, 1, &n);
}

/* ---- functions that several ops need --------------------------------------------------------- */

void tape_gemm(Tape *t, const Gemm *g)
{
    if (tape_work(t, t->k->gemm_work(&t->run, g)))
        t->k->gemm(&t->run, g);
}

void tape_product(Tape *t, int64_t M, int64_t N, int64_t K, const float *A, int64_t ar, int64_t ac, const float *B,
                  int64_t br, int64_t bc, float *C, float beta)
{
    if (C)
        tape_gemm(t, &(Gemm){.M = M,
                             .N = N,
                             .K = K,
                             .A = A,
                             .a_row = ar,
                             .a_col = ac,
                             .B = B,
                             .b_row = br,
                             .b_col = bc,
                             .C = C,
                             .ldc = N,
                             .alpha = 1,
                             .beta = beta});
}
