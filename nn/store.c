/* nn/store.c: tensors that stay valid when tapes are freed: parameters with their optimiser state, frozen features,
 * weights of encoders. */
#include <math.h>

#include "nn/tape.h"

typedef struct Kept { /* a named graph, which csr_new and csr_keep refill */
    struct Kept *next;
    const char *name;
    Csr csr;
} Kept;

struct Store {
    Device d;
    Arena *arena;
    TextIndex *names;
    size_t *named; /* named[i]: index in items of the tensor whose name has number i in `names` */
    size_t named_count, named_room;
    Stored **items;
    size_t count, room;
    Piece *blobs; /* device memory to free at the end */
    size_t blob_count, blob_room;
    Kept *kept;
    /* packed weights are allocated next to each other, on large pages (base/memory.c): loading all-MiniLM-L6-v2 then
     * takes 18 ms less */
    char *slab;
    size_t slab_left, packed_bytes;
};

Store *store_new(const Device *d, Error *e)
{
    Arena *a = arena_new(d->heap, 0);
    Store *s = a ? NEW(a, Store, 1, e) : NULL;
    if (!s || !(s->names = text_index_new(a, e))) {
        fail_memory(e, sizeof *s, "a store of tensors");
        arena_free(a);
        return NULL;
    }
    s->d = *d;
    s->arena = a;
    return s;
}

void store_free(Store *s)
{
    if (!s)
        return;
    Run run = store_run(s);
    for (size_t i = 0; i < s->blob_count; i++)
        s->d.k->free(&run, s->d.heap, s->blobs[i].p, s->blobs[i].bytes);
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i]->host_bytes)
            heap_free(s->d.heap, s->items[i]->host, s->items[i]->host_bytes);
    arena_free(s->arena);
}

const Device *store_device(const Store *s)
{
    return &s->d;
}

Arena *store_arena(Store *s)
{
    return s->arena;
}

Run store_run(const Store *s)
{
    return device_run(&s->d);
}

void *store_alloc(Store *s, size_t bytes, const char *what, Error *e)
{
    Piece *blobs = arena_grow(s->arena, s->blobs, s->blob_count, &s->blob_room, sizeof *blobs, e);
    if (!blobs)
        return NULL;
    s->blobs = blobs;
    bytes = MAX(bytes, (size_t)ALIGN);
    Run run = store_run(s);
    void *p = s->d.k->alloc(&run, s->d.heap, bytes);
    if (!p) {
        device_fail_memory(s->d.k, &run, bytes, what, e);
        return NULL;
    }
    blobs[s->blob_count++] = (Piece){p, bytes};
    return p;
}

void *store_packed(Store *s, size_t bytes, Error *e)
{
    enum { SMALL = 256 << 10, LEAST = 8 << 20, MOST = 64 << 20 };
    size_t whole = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (whole < SMALL) /* allocated alone: a model with small arrays only must not get a block of LEAST bytes */
        return store_alloc(s, whole, "packed weights", e);
    if (whole > s->slab_left) {
        size_t slab = MAX(whole, MIN(MAX(s->packed_bytes / 4, (size_t)LEAST), (size_t)MOST));
        char *p = store_alloc(s, slab, "packed weights", e);
        if (!p && slab > whole) { /* if the large block failed, a smaller one may succeed */
            error_clear(e);
            return store_alloc(s, whole, "packed weights", e);
        }
        if (!p)
            return NULL;
        s->slab = p;
        s->slab_left = slab;
    }
    void *p = s->slab;
    s->slab += whole;
    s->slab_left -= whole;
    s->packed_bytes += whole;
    return p;
}

void store_release(Store *s, void *p)
{
    Run run = store_run(s);
    for (size_t i = s->blob_count; p && i-- > 0;)
        if (s->blobs[i].p == p) {
            s->d.k->free(&run, s->d.heap, p, s->blobs[i].bytes);
            s->blobs[i] = s->blobs[--s->blob_count];
            return;
        }
}

Stored *store_tensor(Store *s, const char *name, DType type, int dims, const int64_t *shape, Error *e)
{
    Stored **items = arena_grow(s->arena, s->items, s->count, &s->room, sizeof *items, e);
    Stored *x = items ? NEW(s->arena, Stored, 1, e) : NULL;
    if (!x)
        return NULL;
    s->items = items;
    x->name = arena_strndup(s->arena, name, strlen(name), e);
    if (!x->name)
        return NULL;
    x->x = (Tensor){.type = type, .dims = dims, .id = -1};
    if (dims < 1 || dims > 4 || !shape_count(dims, shape, &x->x.count)) {
        fail(e, SP_SHAPE, "tensor %s: expected 1 to 4 dimensions that fit in memory, found %d", name, dims);
        return NULL;
    }
    memcpy(x->x.shape, shape, sizeof shape[0] * (size_t)dims);
    if (name[0]) {
        if (store_find(s, name)) {
            fail(e, SP_USAGE, "tensor %s: the store has a tensor of this name already", name);
            return NULL;
        }
        size_t *named = arena_grow(s->arena, s->named, s->named_count, &s->named_room, sizeof *named, e);
        if (!named || text_index_add(s->names, text_of(name), e) < 0)
            return NULL;
        s->named = named;
        s->named[s->named_count++] = s->count;
    }
    s->items[s->count++] = x;
    return x;
}

Csr *store_kept(Store *s, const char *name, Error *e)
{
    for (Kept *k = s->kept; k; k = k->next)
        if (strcmp(k->name, name) == 0)
            return &k->csr;
    Kept *k = NEW(s->arena, Kept, 1, e);
    if (!k || !(k->name = arena_strndup(s->arena, name, strlen(name), e)))
        return NULL;
    k->next = s->kept;
    s->kept = k;
    return &k->csr;
}

/* Makes a tensor like store_tensor, and allocates memory of the store for it. The numbers are copied from `host`; host
 * NULL: zeros. */
static Stored *store_filled(Store *s, const char *name, DType type, int dims, const int64_t *shape, const void *host,
                            Error *e)
{
    Stored *x = store_tensor(s, name, type, dims, shape, e);
    if (!x)
        return NULL;
    x->bytes = (size_t)x->x.count * dtype_bytes(type);
    if (!(x->x.data = store_alloc(s, x->bytes, name[0] ? name : "a tensor", e)))
        return NULL;
    Run run = store_run(s);
    if (host)
        s->d.k->upload(&run, x->x.data, host, x->bytes);
    else
        s->d.k->zero(&run, x->x.data, x->bytes);
    return x;
}

Tensor *store_f32(Store *s, const char *name, int dims, const int64_t *shape, const float *data, Error *e)
{
    Stored *x = store_filled(s, name, F32, dims, shape, data, e);
    return x ? &x->x : NULL;
}

bool stored_host(Store *s, Stored *x, const void *data, Error *e)
{
    if (device_is_host(&s->d)) {
        x->host = x->x.data;
        return true;
    }
    size_t bytes = (size_t)x->x.count * dtype_bytes(x->x.type);
    if (x->host_bytes < bytes || !x->host) {
        if (x->host_bytes)
            heap_free(s->d.heap, x->host, x->host_bytes);
        x->host_bytes = MAX(bytes + bytes / 8, (size_t)1);
        if (!(x->host = heap_alloc(s->d.heap, x->host_bytes))) {
            x->host_bytes = 0;
            return fail_memory(e, bytes, "a list");
        }
    }
    if (data)
        memcpy(x->host, data, bytes);
    else
        memset(x->host, 0, bytes);
    return true;
}

Tensor *store_scale(Store *s, int64_t n, const float *data, Error *e)
{
    Stored *x = store_filled(s, "", F32, 1, &n, data, e);
    return x && stored_host(s, x, data, e) ? &x->x : NULL;
}

void stored_range(Stored *x, const int32_t *ids)
{
    x->lo = x->hi = 0;
    for (int64_t i = 0; i < x->x.count; i++) {
        x->lo = i ? MIN(x->lo, ids[i]) : ids[i];
        x->hi = i ? MAX(x->hi, ids[i]) : ids[i];
    }
}

Tensor *store_i32(Store *s, const char *name, int dims, const int64_t *shape, const int32_t *data, Error *e)
{
    Stored *x = store_filled(s, name, I32, dims, shape, data, e);
    if (!x || !stored_host(s, x, data, e))
        return NULL;
    if (data)
        stored_range(x, data);
    return &x->x;
}

Tensor *store_i64(Store *s, const char *name, int dims, const int64_t *shape, const int64_t *data, Error *e)
{
    Stored *x = store_filled(s, name, I64, dims, shape, data, e);
    return x && stored_host(s, x, data, e) ? &x->x : NULL;
}

const float *array_view(const Array *a)
{
    return a->type == F32 && (uintptr_t)a->data % sizeof(float) == 0 ? a->data : NULL;
}

/* Writes the array's numbers as float32 into x, from number `at` on. */
static bool array_upload(Store *s, const Array *a, Tensor *x, int64_t at, Error *e)
{
    enum { CHUNK = 1 << 16 };
    float *chunk = heap_alloc(s->d.heap, CHUNK * sizeof(float));
    if (!chunk)
        return fail_memory(e, CHUNK * sizeof(float), "converting a tensor");
    for (int64_t i = 0; i < a->count; i += CHUNK) {
        int64_t n = MIN((int64_t)CHUNK, a->count - i);
        array_f32(a, i, n, chunk);
        tensor_write(&s->d, x, at + i, n, chunk);
    }
    heap_free(s->d.heap, chunk, CHUNK * sizeof(float));
    array_done(a);
    return true;
}

/* Returns a name for a tensor of the array: its name, unless the store already has a tensor of that name. */
static const char *unused_name(const Store *s, const Array *a)
{
    return a->name.n && !store_find(s, a->name.p) ? a->name.p : "";
}

Tensor *store_copy(Store *s, const Array *a, Error *e)
{
    Stored *x = store_filled(s, unused_name(s, a), F32, a->dims, a->shape, NULL, e);
    return x && array_upload(s, a, &x->x, 0, e) ? &x->x : NULL;
}

Tensor *store_array(Store *s, const Array *a, Error *e)
{
    if (a->dims < 1 || a->dims > 4) {
        fail(e, SP_SHAPE, "%s: tensor %.*s: has %d dimensions; 1 to 4 are supported", a->file, (int)a->name.n,
             a->name.p, a->dims);
        return NULL;
    }
    if (!device_is_host(&s->d) || !array_view(a))
        return store_copy(s, a, e);
    Stored *x = store_tensor(s, unused_name(s, a), F32, a->dims, a->shape, e);
    if (x)
        x->x.data = (void *)a->data;
    return x ? &x->x : NULL;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static bool make_param(Store *s, Stored *x, Error *e)
{
    Param *p = NEW(s->arena, Param, 1, e);
    if (!p)
        return false;
    *p = (Param){.store = s, .x = &x->x};
    x->x.param = p;
    x->x.needs_grad = true;
    return true;
}

Tensor *param_from(Store *s, const char *name, int64_t rows, int64_t cols, const float *data, Error *e)
{
    Stored *x = store_filled(s, name, F32, cols ? 2 : 1, (int64_t[]){rows, cols}, data, e);
    return x && make_param(s, x, e) ? &x->x : NULL;
}

/* Makes a tensor that is a view of `rows` rows of `whole`, from its number `first` (an element, not a row) on; a
 * parameter if `name` is not NULL. */
static Tensor *stack_part(Store *s, Stored *whole, int64_t first, int64_t rows, const char *name, Error *e)
{
    int64_t shape[4] = {rows, cols_of(&whole->x)};
    Stored *x = store_tensor(s, name ? name : "", F32, whole->x.dims, shape, e);
    if (!x)
        return NULL;
    x->x.data = (float *)whole->x.data + first;
    return !name || make_param(s, x, e) ? &x->x : NULL;
}

Tensor *store_stack(Store *s, int n, const Array *const *a, const int64_t *rows, uint32_t train, Error *e)
{
    int64_t total = 0, width = 0;
    if (n == 1 && a[0] && (train & 1)) {
        Stored *x = store_filled(s, a[0]->name.p, F32, a[0]->dims, a[0]->shape, NULL, e);
        return x && array_upload(s, a[0], &x->x, 0, e) && make_param(s, x, e) ? &x->x : NULL;
    }
    for (int i = 0; i < n; i++) {
        total += rows[i];
        width = a[i] && a[i]->dims > 1 ? a[i]->count / rows[i] : width;
    }
    Stored *x = store_filled(s, "", F32, width ? 2 : 1, (int64_t[]){total, width}, NULL, e);
    if (!x || (train && !(x->part = NEW(s->arena, Tensor *, n, e))))
        return NULL;
    for (int64_t i = 0, first = 0; i < n; first += rows[i++] * MAX(width, 1)) {
        bool trained = a[i] && train >> i & 1;
        if ((a[i] && !array_upload(s, a[i], &x->x, first, e)) ||
            (train && !(x->part[i] = stack_part(s, x, first, rows[i], trained ? a[i]->name.p : NULL, e))))
            return NULL;
    }
    x->x.needs_grad = train != 0;
    x->parts = train ? n : 0;
    return &x->x;
}

typedef struct Filler { /* draws elements first .. first + n - 1 into host memory, in parallel */
    Draw draw;
    Init init;
    double a;
    int64_t first, n;
    float *host;
} Filler;
enum { FILL_TASK = 4096, FILL_CHUNK = 64 * FILL_TASK };

static void fill_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const Filler *f = arg;
    int64_t end = MIN(f->n, (int64_t)(task + 1) * FILL_TASK);
    for (int64_t i = (int64_t)task * FILL_TASK; i < end; i++) {
        uint64_t at = (uint64_t)(f->first + i);
        if (f->init.kind == INIT_CONSTANT)
            f->host[i] = (float)f->a;
        else if (f->init.kind == INIT_UNIFORM || f->init.kind == INIT_XAVIER_UNIFORM || f->init.kind == INIT_FAN_IN)
            f->host[i] = (float)(f->a * (2.0 * draw_uniform(f->draw, at) - 1.0));
        else
            f->host[i] = (float)(f->a * draw_normal(f->draw, at));
    }
}

/* Fills x [rows, cols] with draws of (seed, DRAW_INIT, hash of name). */
static Tensor *drawn(Store *s, Tensor *x, const char *name, Init init, uint64_t seed, Error *e)
{
    if (!x || init.kind == INIT_ZERO)
        return x;
    Filler f = {.draw = {seed, DRAW_INIT, draw_name(name)}, .init = init, .a = init.a};
    double cols = (double)cols_of(x), fans = (double)rows_of(x) + cols;
    if (init.kind == INIT_XAVIER_UNIFORM)
        f.a = sqrt(6.0 / fans);
    if (init.kind == INIT_XAVIER_NORMAL)
        f.a = sqrt(2.0 / fans);
    if (init.kind == INIT_FAN_IN)
        f.a = 1 / sqrt(cols);
    size_t bytes = (size_t)MIN(x->count, (int64_t)FILL_CHUNK) * sizeof(float);
    if (!(f.host = heap_alloc(s->d.heap, bytes))) {
        fail_memory(e, bytes, name);
        return NULL;
    }
    for (; f.first < x->count; f.first += FILL_CHUNK) {
        f.n = MIN((int64_t)FILL_CHUNK, x->count - f.first);
        pool_run(s->d.pool, (size_t)((f.n + FILL_TASK - 1) / FILL_TASK), fill_task, &f);
        tensor_write(&s->d, x, f.first, f.n, f.host);
    }
    heap_free(s->d.heap, f.host, bytes);
    return x;
}

Tensor *param_new(Store *s, const char *name, int64_t rows, int64_t cols, Init init, uint64_t seed, Error *e)
{
    return drawn(s, param_from(s, name, rows, cols, NULL, e), name, init, seed, e);
}

Tensor *store_random(Store *s, const char *name, int64_t rows, int64_t cols, Init init, uint64_t seed, Error *e)
{
    return drawn(s, store_f32(s, name, 2, (int64_t[]){rows, cols}, NULL, e), name, init, seed, e);
}

bool param_state(Param *p, unsigned states, bool lazy, Error *e)
{
    const Kernels *k = p->store->d.k;
    Run run = store_run(p->store);
    size_t bytes = (size_t)p->x->count * sizeof(float), rows = (size_t)rows_of(p->x) * sizeof(int32_t);
    for (OptimState i = 0; i < STATE_COUNT; i++) {
        if (!(states >> i & 1) || p->state[i])
            continue;
        if (p->steps)
            return fail(e, SP_USAGE, "%s: another optimiser has stepped it %lld times", store_name(p->store, p->x),
                        (long long)p->steps);
        if (!(p->state[i] = store_alloc(p->store, bytes, "an optimiser's state", e)))
            return false;
        k->zero(&run, p->state[i], bytes);
    }
    if (lazy && !p->history &&
        !(p->history = store_alloc(p->store, (HISTORY + 1) * sizeof(AdamStep), "an optimiser's history", e)))
        return false;
    if (lazy && !p->last) {
        if (!(p->last = store_alloc(p->store, rows, "an optimiser's history", e)))
            return false;
        k->zero(&run, p->last, rows);
    }
    return true;
}

void param_mark_settled(const Run *r, Param *p)
{
    p->store->d.k->zero(r, p->last, (size_t)rows_of(p->x) * sizeof(int32_t));
    p->pending = 0;
}

void param_settle(Param *p)
{
    if (!p->pending)
        return;
    Run run = store_run(p->store);
    double begun = begin_op(p->store->d.k, &run);
    p->store->d.k->adam_replay(&run, rows_of(p->x), param_width(p), NULL, p->history, p->pending, p->last, p->x->data,
                               p->state[STATE_M], p->state[STATE_V]);
    end_op(p->store->d.k, &run, begun, "adam replay", 0, 24.0 * (double)p->x->count);
    param_mark_settled(&run, p);
}

void tensor_settle(const Tensor *x)
{
    const Stored *s = x->id == -1 ? (const Stored *)x : NULL;
    if (x->param)
        param_settle(x->param);
    for (int i = 0; s && i < s->parts; i++)
        if (s->part[i]->param)
            param_settle(s->part[i]->param);
}

void store_settle(Store *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i]->x.param)
            param_settle(s->items[i]->x.param);
}

/* ---- reading --------------------------------------------------------------------------------- */

Tensor *store_find(const Store *s, const char *name)
{
    int64_t i = text_index_find(s->names, text_of(name));
    return i < 0 ? NULL : &s->items[s->named[i]]->x;
}

size_t store_count(const Store *s)
{
    return s->count;
}

Tensor *store_at(const Store *s, size_t i)
{
    return &s->items[i]->x;
}

const char *store_name(const Store *s, const Tensor *x)
{
    (void)s;
    return x->id < 0 ? ((const Stored *)x)->name : "";
}

size_t store_bytes(const Store *s)
{
    size_t sum = 0;
    for (size_t i = 0; i < s->blob_count; i++)
        sum += s->blobs[i].bytes;
    return sum;
}

void tensor_read(const Device *d, const Tensor *x, int64_t first, int64_t n, void *host)
{
    tensor_settle(x);
    Run run = device_run(d);
    size_t size = dtype_bytes(x->type);
    const char *own = x->id < 0 ? ((const Stored *)x)->host : ((const Node *)x)->host;
    if (own) { /* the host has a copy, so no download is needed */
        memcpy(host, own + (size_t)first * size, (size_t)n * size);
        return;
    }
    d->k->download(&run, host, (const char *)x->data + (size_t)first * size, (size_t)n * size);
}

void tensor_write(const Device *d, Tensor *x, int64_t first, int64_t n, const void *host)
{
    tensor_settle(x);
    Run run = device_run(d);
    size_t size = dtype_bytes(x->type);
    d->k->upload(&run, (char *)x->data + (size_t)first * size, host, (size_t)n * size);
    Stored *list = x->id == -1 && ((Stored *)x)->host ? (Stored *)x : NULL;
    if (list && list->host != x->data)
        memcpy((char *)list->host + (size_t)first * size, host, (size_t)n * size);
    for (int64_t i = 0; list && x->type == I32 && i < n; i++) { /* gather checks ids against this range */
        list->lo = MIN(list->lo, ((const int32_t *)host)[i]);
        list->hi = MAX(list->hi, ((const int32_t *)host)[i]);
    }
}
