/* nn/tape.c: recording, the memory of a step, the walk back. */
#include "nn/tape.h"

/* ---- life ------------------------------------------------------------------------------------ */

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
                .run = {.pool = d->pool, .trace = d->trace},
                .training = training,
                .meta = meta};
    t->empty = arena_mark(meta);
    t->failed = (Tensor){.type = F32, .dims = 1, .id = -2};
    return t;
}

static void free_list(const Heap *heap, void *p, size_t room, size_t size)
{
    if (p)
        heap_free(heap, p, room * size);
}

static void free_blocks(Tape *t)
{
    for (size_t i = 0; i < t->step.block_count; i++)
        t->k->free(t->heap, t->step.blocks[i].p, t->step.blocks[i].bytes);
    t->step.block_count = 0;
}

void tape_free(Tape *t)
{
    if (!t)
        return;
    const Heap *heap = t->heap;
    free_blocks(t);
    plan_forget(t);
    if (t->run.work)
        t->k->free(heap, t->run.work, t->run.work_bytes);
    free_list(heap, t->step.blocks, t->step.block_room, sizeof *t->step.blocks);
    free_list(heap, t->step.spare, t->step.spare_room, sizeof *t->step.spare);
    free_list(heap, t->nodes, t->room, sizeof *t->nodes);
    while (t->arena_count)
        arena_free(t->arenas[--t->arena_count]);
    free_list(heap, t->arenas, t->arena_room, sizeof *t->arenas);
    arena_free(t->meta);
    heap_free(heap, t, sizeof *t);
}

void tape_reset(Tape *t, Draw draw)
{
    StepMemory *m = &t->step;
    if (m->block_count > 1) { /* one block as large as they were together */
        size_t bytes = m->total + m->used;
        free_blocks(t);
        unsigned char *p = t->k->alloc(t->heap, bytes);
        if (p)
            m->blocks[m->block_count++] = (Piece){p, bytes};
    }
    m->used = m->total = m->spare_count = 0;
    arena_rewind(t->meta, t->empty);
    t->count = t->buffer_count = 0;
    t->drawn = 0;
    t->draw = draw;
    t->grads = NULL;
    t->transposed = NULL;
    t->ragged = NULL;
    t->ragged_host = NULL;
    t->mode = MODE_EAGER;
    error_clear(&t->error);
}

bool tape_ok(const Tape *t, Error *e)
{
    return t->error.code == SP_OK || fail(e, t->error.code, "%s", t->error.message);
}

bool tape_fail(Tape *t, sp_status code, const char *format, ...)
{
    char text[sizeof t->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail(&t->error, code, "%s", text); /* which keeps the first */
}

bool tape_training(const Tape *t)
{
    return t->training;
}

int tape_threads(const Tape *t)
{
    return pool_threads(t->run.pool);
}

/* ---- memory of a step ------------------------------------------------------------------------ */

static bool grow_list(Tape *t, void **list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return true;
    size_t more = MAX((size_t)64, 2 * *room);
    void *p = heap_alloc(t->heap, more * size);
    if (!p)
        return fail_memory(&t->error, more * size, "a tape");
    if (*list) {
        memcpy(p, *list, count * size);
        heap_free(t->heap, *list, *room * size);
    }
    *list = p;
    *room = more;
    return true;
}

Arena *tape_arena(Tape *t, int number, Error *e)
{
    while (t->arena_count <= (size_t)number) {
        if (!grow_list(t, (void **)&t->arenas, t->arena_count, &t->arena_room, sizeof *t->arenas) ||
            !(t->arenas[t->arena_count] = arena_new(t->heap, 0))) {
            fail_memory(e, sizeof *t->arenas, "a tape");
            return NULL;
        }
        t->arena_count++;
    }
    arena_rewind(t->arenas[number], (ArenaMark){0});
    return t->arenas[number];
}

static size_t piece_bytes(size_t bytes)
{
    return bytes > SIZE_MAX - ALIGN ? bytes : (MAX(bytes, (size_t)1) + ALIGN - 1) / ALIGN * ALIGN;
}

void *step_alloc(Tape *t, size_t bytes)
{
    StepMemory *m = &t->step;
    if (t->error.code != SP_OK)
        return NULL;
    bytes = piece_bytes(bytes);
    size_t best = m->spare_count; /* the smallest piece given back that is large enough */
    for (size_t i = 0; i < m->spare_count; i++)
        if (m->spare[i].bytes >= bytes && (best == m->spare_count || m->spare[i].bytes < m->spare[best].bytes))
            best = i;
    if (best < m->spare_count) {
        Piece *s = &m->spare[best];
        void *p = s->p;
        s->p += bytes;
        s->bytes -= bytes;
        if (!s->bytes)
            *s = m->spare[--m->spare_count];
        return p;
    }
    if (!m->block_count || m->blocks[m->block_count - 1].bytes - m->used < bytes) {
        if (!grow_list(t, (void **)&m->blocks, m->block_count, &m->block_room, sizeof *m->blocks))
            return NULL;
        size_t size = MAX(bytes, MAX((size_t)1 << 18, m->total / 2));
        unsigned char *p = t->k->alloc(t->heap, size);
        if (!p) {
            fail_memory(&t->error, size, "a step's tensors");
            return NULL;
        }
        m->total += m->used;
        m->used = 0;
        m->blocks[m->block_count++] = (Piece){p, size};
    }
    void *p = m->blocks[m->block_count - 1].p + m->used;
    m->used += bytes;
    return p;
}

void step_give(Tape *t, void *p, size_t bytes)
{
    StepMemory *m = &t->step;
    Piece own = {p, piece_bytes(bytes)};
    for (size_t i = 0; p && i < m->spare_count;) { /* with its neighbours it is one piece */
        Piece s = m->spare[i];
        if (s.p + s.bytes != own.p && own.p + own.bytes != s.p) {
            i++;
            continue;
        }
        own = (Piece){MIN(s.p, own.p), s.bytes + own.bytes};
        m->spare[i] = m->spare[--m->spare_count];
    }
    /* where the list cannot grow the piece is lost until the reset */
    if (p && grow_list(t, (void **)&m->spare, m->spare_count, &m->spare_room, sizeof *m->spare))
        m->spare[m->spare_count++] = own;
}

float *step_floats(Tape *t, int64_t n)
{
    return step_alloc(t, (size_t)n * sizeof(float));
}

void step_give_floats(Tape *t, float *p, int64_t n)
{
    step_give(t, p, (size_t)n * sizeof(float));
}

bool tape_work(Tape *t, size_t bytes)
{
    if (bytes <= t->run.work_bytes)
        return true;
    if (t->run.work)
        t->k->free(t->heap, t->run.work, t->run.work_bytes);
    t->run.work_bytes = 0;
    if (!(t->run.work = t->k->alloc(t->heap, bytes)))
        return fail_memory(&t->error, bytes, "workspace");
    t->run.work_bytes = bytes;
    return true;
}

void *host_alloc(Tape *t, int64_t count, size_t size)
{
    return t->error.code == SP_OK ? arena_alloc(t->meta, (size_t)MAX(count, 1), size, &t->error) : NULL;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

bool shape_count(int dims, const int64_t *shape, int64_t *count)
{
    size_t n = 1, bytes;
    for (int i = 0; i < dims; i++)
        if (shape[i] < 0 || !size_mul(n, (size_t)shape[i], &n) || !size_mul(n, 8, &bytes) || bytes > PTRDIFF_MAX)
            return false;
    *count = (int64_t)n;
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

static bool has_bit(uint32_t set, int i) /* ops of many inputs have nothing to say of the later ones */
{
    return i < 32 && set >> i & 1;
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
    for (int i = 0; i < inputs; i++) {
        Tensor *x = copy[i] = in[i];
        if (!x && has_bit(op->optional, i))
            continue;
        if (!x || x == &t->failed)
            return tape_fail(t, SP_USAGE, "%s: input %d is missing", op->name, i), NULL;
        if (x->id != -1 && (x->id < 0 || (size_t)x->id >= t->count || &t->nodes[x->id]->out != x))
            return tape_fail(t, SP_USAGE, "%s: input %d belongs to another tape or to a step that is over", op->name,
                             i),
                   NULL;
        if (x->id >= 0 && t->nodes[x->id]->dropped)
            return tape_fail(t, SP_USAGE, "%s: input %d was dropped", op->name, i), NULL;
        if ((x->type != F32) != has_bit(op->integer, i))
            return tape_fail(t, SP_SHAPE, "%s: input %d is %s", op->name, i, dtype_name(x->type)), NULL;
        n->out.needs_grad |= t->training && x->needs_grad;
        int32_t b = x->id < 0 ? -1 : t->nodes[x->id]->buffer;
        if (t->mode == MODE_DRY && b >= 0)
            t->buffers[b].last = (int64_t)t->count;
        if (x->param && t->mode != MODE_DRY && !has_bit(op->by_row, i))
            param_settle(x->param);
    }
    if (n->out.needs_grad && !op->back)
        return tape_fail(t, SP_UNSUPPORTED, "%s has no gradient: detach its input or freeze what it depends on",
                         op->name),
               NULL;
    n->begun = live(t) ? trace_begin(t->run.trace) : 0;
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
    if (!grow_list(t, (void **)&t->nodes, t->count, &t->room, sizeof *t->nodes))
        return false;
    t->nodes[t->count++] = n;
    return true;
}

bool node_out(Tape *t, Node *n, DType type, int dims, const int64_t *shape)
{
    if (!node_add(t, n, type, dims, shape))
        return false;
    size_t bytes = piece_bytes((size_t)n->out.count * dtype_bytes(type));
    if (t->mode == MODE_EAGER)
        return (n->out.data = step_alloc(t, bytes));
    n->buffer = (int32_t)t->buffer_count;
    if (t->mode == MODE_PLANNED) {
        size_t b = t->buffer_count++;
        if (b >= t->plan->buffers || t->plan->buffer[b].bytes != bytes || t->plan->buffer[b].first != n->out.id)
            return tape_fail(t, SP_USAGE, "%s: the model took another path than on its dry run", n->op->name);
        n->out.data = t->block + t->plan->offset[b];
        return true;
    }
    if (!grow_list(t, (void **)&t->buffers, t->buffer_count, &t->buffer_room, sizeof *t->buffers))
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
    if (base->data)
        n->out.data = (char *)base->data + (size_t)first * dtype_bytes(base->type);
    return true;
}

Tensor *node_done(Tape *t, Node *n, double flops, double bytes)
{
    n->flops = flops;
    n->bytes = bytes;
    if (live(t) && t->run.trace)
        trace_end(t->run.trace, n->begun, n->op->name, flops, bytes);
    return t->error.code == SP_OK ? &n->out : &t->failed;
}

void kernel_trace(Tape *t, double begun, const char *name, double flops, double bytes)
{
    if (t->run.trace)
        trace_end(t->run.trace, begun, name, flops, bytes);
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static void note_range(Node *n, const int32_t *ids)
{
    for (int64_t i = 0; i < n->out.count; i++) {
        n->lo = i ? MIN(n->lo, ids[i]) : ids[i];
        n->hi = i ? MAX(n->hi, ids[i]) : ids[i];
    }
}

static Tensor *input(Tape *t, const Op *op, DType type, const void *host, int dims, const int64_t *shape)
{
    Node *n = node_new(t, op, 0, NULL);
    if (!n || !node_out(t, n, type, dims, shape))
        return tape_failed(t);
    size_t bytes = (size_t)n->out.count * dtype_bytes(type);
    if (live(t) && host)
        t->k->upload(&t->run, n->out.data, host, bytes);
    if (type == I32 && live(t) && host)
        note_range(n, host);
    return node_done(t, n, 0, (double)bytes);
}

static const Op INPUT = {.name = "input"};

Tensor *input_f32(Tape *t, const float *host, int dims, const int64_t *shape)
{
    return input(t, &INPUT, F32, host, dims, shape);
}

Tensor *input_i32(Tape *t, const int32_t *host, int64_t n)
{
    return input(t, &INPUT, I32, host, 1, &n);
}

Tensor *tape_constant(Tape *t, DType type, int64_t n, const void *host)
{
    return input(t, &INPUT, type, host, 1, &n);
}

void *stage(Tape *t, int64_t count, size_t size)
{
    size_t bytes;
    if (!device_is_host(t->d))
        return host_alloc(t, count, size);
    if (!size_mul((size_t)MAX(count, 1), size, &bytes))
        return tape_fail(t, SP_MEMORY, "a step's lists do not fit in memory"), NULL;
    return step_alloc(t, bytes);
}

void *staged(Tape *t, void *host, size_t bytes)
{
    if (device_is_host(t->d))
        return host;
    void *p = step_alloc(t, bytes);
    if (p)
        t->k->upload(&t->run, p, host, bytes);
    return p;
}

void unstage(Tape *t, void *host, size_t bytes)
{
    if (device_is_host(t->d))
        step_give(t, host, bytes);
}

Tensor *tape_adopt(Tape *t, DType type, int64_t count, void *host)
{
    Node *n = node_new(t, &INPUT, 0, NULL);
    if (!n || !node_add(t, n, type, 1, &count) || !(n->out.data = staged(t, host, (size_t)count * dtype_bytes(type))))
        return tape_failed(t);
    if (type == I32)
        note_range(n, host);
    return node_done(t, n, 0, 0);
}

void tape_pin(Tape *t, const Tensor *x)
{
    if (x && x->id >= 0)
        t->nodes[x->id]->pinned = true;
}

/* ---- dropping what nobody reads any more ----------------------------------------------------- */

static Node *root(Node *n)
{
    while (n && n->view)
        n = n->base;
    return n;
}

static void drop(Tape *t, Node *n)
{
    if (!n->view && !n->dropped && n->out.data)
        step_give(t, n->out.data, (size_t)n->out.count * dtype_bytes(n->out.type));
    n->dropped = true;
}

int64_t tape_mark(const Tape *t)
{
    return (int64_t)t->count;
}

void tape_drop(Tape *t, int64_t mark, int n_keep, Tensor *const *keep)
{
    bool *needed = t->mode == MODE_EAGER ? host_alloc(t, (int64_t)t->count, sizeof *needed) : NULL;
    if (!needed)
        return;
    for (int i = 0; i < n_keep; i++)
        if (keep[i] && keep[i]->id >= 0)
            needed[root(t->nodes[keep[i]->id])->out.id] = true;
    for (int64_t i = mark; i < (int64_t)t->count; i++) {
        Node *n = t->nodes[i], *own = root(n);
        if (own && (n->pinned || (n->out.needs_grad && !has_bit(n->unread, RESULT))))
            needed[own->out.id] = true;
        for (int j = 0; n->out.needs_grad && j < n->inputs; j++) {
            Node *in = n->in[j] && n->in[j]->id >= 0 ? root(t->nodes[n->in[j]->id]) : NULL;
            if (in && (j >= RESULT || !has_bit(n->unread, j)))
                needed[in->out.id] = true;
        }
    }
    for (int64_t i = mark; i < (int64_t)t->count; i++) {
        Node *own = root(t->nodes[i]);
        if (!own || needed[own->out.id])
            continue;
        if (t->nodes[i]->view)
            t->nodes[i]->dropped = true;
        else
            drop(t, own);
    }
}

/* ---- going back ------------------------------------------------------------------------------ */

ParamGrad *grad_of_param(Tape *t, Param *p, bool make)
{
    for (ParamGrad *g = t->grads; g; g = g->next)
        if (g->param == p)
            return g;
    ParamGrad *g = make ? host_alloc(t, 1, sizeof *g) : NULL;
    if (g) {
        *g = (ParamGrad){.next = t->grads, .param = p};
        t->grads = g;
    }
    return g;
}

/* Where x's gradient lives; NULL when it wants none or the tape has failed. */
static float **grad_slot(Tape *t, Tensor *x)
{
    if (!wants(x) || t->error.code != SP_OK)
        return NULL;
    if (x->id >= 0)
        return &t->nodes[x->id]->grad;
    ParamGrad *g = grad_of_param(t, x->param, true);
    return g ? &g->dense : NULL;
}

float *grad_into(Tape *t, Tensor *x, float *beta)
{
    float **slot = grad_slot(t, x);
    if (!slot)
        return NULL;
    *beta = *slot ? 1.0f : 0.0f;
    if (!*slot)
        *slot = step_floats(t, x->count);
    return *slot;
}

float *grad_zeroed(Tape *t, Tensor *x)
{
    float beta, *g = grad_into(t, x, &beta);
    if (g && beta == 0)
        t->k->zero(&t->run, g, (size_t)x->count * sizeof *g);
    return g;
}

void grad_axpy(Tape *t, Tensor *x, float a, const float *p)
{
    float beta, *g = p ? grad_into(t, x, &beta) : NULL;
    if (g)
        t->k->axpby(&t->run, x->count, a, p, beta, g);
}

void grad_put(Tape *t, Tensor *x, float *p)
{
    float **slot = p ? grad_slot(t, x) : NULL;
    if (slot && !*slot) {
        *slot = p;
        return;
    }
    if (slot)
        grad_axpy(t, x, 1, p);
    step_give_floats(t, p, x ? x->count : 0);
}

float *grad_take(Node *n)
{
    float *g = n->grad;
    n->grad = NULL;
    return g;
}

bool backward(Tape *t, Tensor *loss, Error *e)
{
    if (t->error.code == SP_OK && (!t->training || loss->id < 0 || loss->count != 1 || !loss->needs_grad))
        tape_fail(t, SP_USAGE, "backward: needs a training tape and one number that depends on a parameter");
    if (t->error.code == SP_OK) {
        Node *last = t->nodes[loss->id];
        if (!last->grad && (last->grad = step_floats(t, 1)))
            t->k->fill(&t->run, 1, 1.0f, last->grad);
        for (int64_t i = loss->id; i >= 0 && t->error.code == SP_OK; i--) {
            Node *n = t->nodes[i];
            if (!n->grad)
                continue;
            int wanted = 0;
            for (int j = 0; j < n->inputs; j++)
                wanted += wants(n->in[j]);
            double begun = trace_begin(t->run.trace);
            n->op->back(t, n);
            kernel_trace(t, begun, n->op->back_name, wanted * n->flops, wanted * n->bytes);
            step_give_floats(t, grad_take(n), n->out.count);
            if (i != loss->id && !n->pinned) /* nothing before it reads it */
                drop(t, n);
        }
    }
    return tape_ok(t, e);
}

bool tensor_grad(Tape *t, const Tensor *x, float *host, Error *e)
{
    if (!x->param)
        return fail(e, SP_USAGE, "tensor_grad: only parameters keep their gradient");
    ParamGrad *g = grad_of_param(t, x->param, false);
    size_t bytes = (size_t)x->count * sizeof *host;
    if (!g)
        memset(host, 0, bytes);
    float *sum = g ? step_floats(t, x->count) : NULL;
    if (sum) {
        if (g->dense)
            t->k->copy(&t->run, sum, g->dense, bytes);
        else
            t->k->zero(&t->run, sum, bytes);
        if (grad_dense(t, g, sum))
            t->k->download(&t->run, host, sum, bytes);
        step_give(t, sum, bytes);
    }
    return tape_ok(t, e);
}

/* ---- what several ops need ------------------------------------------------------------------- */

void tape_gemm(Tape *t, const Gemm *g)
{
    if (tape_work(t, t->k->gemm_work(g, tape_threads(t))))
        t->k->gemm(&t->run, g);
}

void product(Tape *t, int64_t M, int64_t N, int64_t K, const float *A, int64_t ar, int64_t ac, const float *B,
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

bool tape_group(Tape *t, int64_t n, const int32_t *ids, Groups *g)
{
    int32_t *host = host_alloc(t, 7 * n, sizeof *host); /* ids, unique, order, scratch [4 n] */
    int64_t *start = host_alloc(t, n + 1, sizeof *start);
    if (!host || !start)
        return false;
    t->k->download(&t->run, host, ids, (size_t)n * sizeof *host);
    g->count = t->k->group_ids(&t->run, n, host, host + n, start, host + 2 * n, host + 3 * n);
    g->as_is = g->count == n && (n == 0 || memcmp(host, host + n, (size_t)n * sizeof *host) == 0);
    g->unique = step_alloc(t, (size_t)n * sizeof *host);
    g->order = step_alloc(t, (size_t)n * sizeof *host);
    g->start = step_alloc(t, (size_t)(n + 1) * sizeof *start);
    if (!g->unique || !g->order || !g->start)
        return false;
    t->k->upload(&t->run, g->unique, host + n, (size_t)g->count * sizeof *host);
    t->k->upload(&t->run, g->order, host + 2 * n, (size_t)n * sizeof *host);
    t->k->upload(&t->run, g->start, start, (size_t)(g->count + 1) * sizeof *start);
    return true;
}
