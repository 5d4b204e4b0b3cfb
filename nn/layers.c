/* nn/layers.c: layers with their weights: made for training, or loaded as WeightForm says: packed, plain, as
 * parameters, with low-rank adapters. */
// flags: -Os
#include <math.h>

#include "nn/tape.h"

Linear linear_new(Store *s, const char *name, int64_t N, int64_t K, bool bias, Init w, Init b, uint64_t seed, Error *e)
{
    Linear l = {.N = N, .K = K};
    if (b.kind == INIT_FAN_IN)
        b = (Init){INIT_UNIFORM, 1 / sqrt((double)K)};
    char *of_w = arena_printf(store_arena(s), e, "%s.weight", name);
    char *of_b = arena_printf(store_arena(s), e, "%s.bias", name);
    if (!of_w || !of_b || !(l.w = param_new(s, of_w, N, K, w, seed, e)))
        return (Linear){0};
    if (bias && !(l.b = param_new(s, of_b, N, 0, b, seed, e)))
        return (Linear){0};
    return l;
}

static bool host_scratch(float **p, const Heap *heap, int64_t n, Error *e)
{
    *p = heap_alloc(heap, (size_t)MAX(n, 1) * sizeof(float));
    return *p || fail_memory(e, (size_t)n * sizeof(float), "loading weights");
}

static void host_give(float *p, const Heap *heap, int64_t n)
{
    if (p)
        heap_free(heap, p, (size_t)MAX(n, 1) * sizeof(float));
}

/* Packs n arrays that are stacked along N. */
static bool linear_pack(Linear *l, Store *s, int n, const Array *const *w, Error *e)
{
    const Device *d = store_device(s);
    int64_t K = l->K, N = l->N;
    const float *view = n == 1 ? array_view(w[0]) : NULL; /* a single float32 array is packed without a copy */
    float *host = NULL;
    Mirror m = {.d = d};
    bool ok = view || host_scratch(&host, d->heap, N * K, e);
    for (int64_t i = 0, at = 0; ok && !view && i < n; at += w[i]->count, i++)
        array_f32(w[i], 0, w[i]->count, host + at);
    const float *source = ok ? mirror_in(&m, view ? view : host, (size_t)(N * K) * sizeof(float), e) : NULL;
    void *packed = source ? store_packed(s, d->k->gemm_pack_bytes(l->pack, K, N), e) : NULL;
    if (packed) {
        Run run = store_run(s);
        d->k->gemm_pack(&run, l->pack, K, N, source, 1, K, packed);
        l->packed = packed;
    }
    mirror_close(&m);
    host_give(host, d->heap, N * K);
    for (int i = 0; i < n; i++)
        array_done(w[i]);
    return packed != NULL;
}

/* Makes the adapter of array w, whose rows are the rows first, first + 1, ... of the layer's weights. */
static bool adapter_new(Adapter *a, Store *s, const Array *w, int64_t first, const WeightForm *how, Error *e)
{
    static const char SUFFIX[] = ".weight";
    Text name = w->name;
    if (text_ends(name, SUFFIX))
        name.n -= strlen(SUFFIX);
    int64_t K = w->count / w->shape[0];
    const char *of_a = arena_printf(store_arena(s), e, "%.*s.lora_A.weight", (int)name.n, name.p),
               *of_b = arena_printf(store_arena(s), e, "%.*s.lora_B.weight", (int)name.n, name.p);
    if (how->rank < 1 || how->rank > INT32_MAX)
        return fail(e, SP_USAGE, "a low-rank adapter: expected a rank of at least 1, found %lld", (long long)how->rank);
    *a = (Adapter){.first = first, .scale = (float)(how->alpha / (double)how->rank), .dropout = how->dropout};
    return of_a && of_b &&
           (a->a = param_new(s, of_a, how->rank, K, (Init){INIT_UNIFORM, 1 / sqrt((double)K)}, how->seed, e)) &&
           (a->b = param_new(s, of_b, w->shape[0], how->rank, (Init){INIT_ZERO, 0}, how->seed, e));
}

static bool adapters_load(Linear *l, Store *s, int n, const Array *const *w, const WeightForm *how, Error *e)
{
    Adapter *list = how->adapt ? NEW(store_arena(s), Adapter, n, e) : NULL;
    if (how->adapt && !list)
        return false;
    for (int64_t i = 0, first = 0; i < n; first += w[i++]->shape[0])
        if ((how->adapt >> i & 1) && !adapter_new(&list[l->adapters++], s, w[i], first, how, e))
            return false;
    l->adapter = list;
    return true;
}

bool linear_load(Linear *l, Store *s, int n, const Array *const *w, const Array *const *b, const WeightForm *how,
                 Error *e)
{
    int64_t K = n > 0 && w[0]->dims >= 1 && w[0]->shape[0] > 0 ? w[0]->count / w[0]->shape[0] : 0, N = 0;
    int64_t rows[32];
    if (n < 1 || n > (int)COUNT(rows))
        return fail(e, SP_USAGE, "a layer: expected 1 to %zu arrays, found %d", COUNT(rows), n);
    for (int i = 0; i < n; i++) {
        const Array *a = w[i];
        if (a->dims < 1 || a->count < 1)
            return fail(e, SP_SHAPE, "%s: tensor %s: has no numbers", a->file, a->name.p);
        if (a->count / a->shape[0] != K)
            return fail(e, SP_SHAPE, "%s: tensor %s: expected %lld numbers per row", a->file, a->name.p, (long long)K);
        if (b && b[i] && b[i]->count != a->shape[0])
            return fail(e, SP_SHAPE, "%s: tensor %s: expected a bias of %lld numbers, found %lld", b[i]->file,
                        b[i]->name.p, (long long)a->shape[0], (long long)b[i]->count);
        N += rows[i] = a->shape[0];
    }
    *l = (Linear){.N = N, .K = K, .pack = K <= PACK_INT8_K ? how->pack : PACK_F32};
    bool held = how->train_w  ? (l->w = store_stack(s, n, w, rows, how->train_w, e)) != NULL
                : !how->plain ? linear_pack(l, s, n, w, e)
                : n == 1      ? (l->w = store_array(s, w[0], e)) != NULL
                              : (l->w = store_stack(s, n, w, rows, 0, e)) != NULL;
    return held && (!b || (l->b = store_stack(s, n, b, rows, how->train_b, e))) && adapters_load(l, s, n, w, how, e);
}

Tensor *tensor_load(Store *s, const Array *a, const WeightForm *how, Error *e)
{
    return how->train_w & 1 ? store_stack(s, 1, &a, a->shape, 1, e) : store_array(s, a, e);
}

bool norm_load(Norm *n, Store *s, const Array *gamma, const Array *beta, float eps, const WeightForm *how, Error *e)
{
    *n = (Norm){.eps = eps};
    if (gamma->count != beta->count)
        return fail(e, SP_SHAPE, "%s: tensor %s: the weight and the bias of a norm differ in length", beta->file,
                    beta->name.p);
    return (n->gamma = tensor_load(s, gamma, how, e)) &&
           (n->beta = tensor_load(s, beta, &(WeightForm){.train_w = how->train_b}, e));
}

Conv conv_shape(const Conv2d *c)
{
    return (Conv){.C = c->C,
                  .O = c->O,
                  .kh = c->kh,
                  .kw = c->kw,
                  .stride = c->stride,
                  .groups = c->groups,
                  .top = c->top,
                  .left = c->left,
                  .bottom = c->bottom,
                  .right = c->right,
                  .pack = c->pack,
                  .winograd = c->winograd};
}

/* Packs weights [O, C/groups, kh, kw] from host memory. */
static bool conv_pack(Conv2d *c, Store *s, const float *host, Error *e)
{
    const Device *d = store_device(s);
    Conv shape = conv_shape(c);
    Mirror m = {.d = d};
    size_t bytes = (size_t)(c->O * c->C / c->groups * c->kh * c->kw) * sizeof(float);
    const float *source = mirror_in(&m, host, bytes, e);
    void *packed = source ? store_packed(s, d->k->conv_pack_bytes(&shape), e) : NULL;
    if (packed) {
        Run run = store_run(s);
        d->k->conv_pack(&run, &shape, source, packed);
        c->packed = packed;
    }
    mirror_close(&m);
    return packed != NULL;
}

/* Loads an array as a kept tensor, which steps may change. */
static Tensor *kept_load(Store *s, const Array *a, Error *e)
{
    Tensor *x = store_copy(s, a, e);
    if (x)
        ((Stored *)x)->kept = true;
    return x;
}

/* Loads the convolution with tensors as in the file. by_channel: bias, gamma, beta, mean and var; NULL for each that
 * the file does not have. */
static bool conv_trained(Conv2d *c, Store *s, const Array *const *by_channel, const Array *w, double eps,
                         const WeightForm *how, Error *e)
{
    Tensor **const to[] = {&c->bias, &c->norm.gamma, &c->norm.beta};
    const uint32_t train[] = {how->train_b & 1, how->train_w >> 1 & 1, how->train_b >> 1 & 1};
    c->norm.eps = eps;
    c->norm.momentum = 0.1;
    c->norm.batch = how->batch;
    if (!(c->w = tensor_load(s, w, how, e)))
        return false;
    for (size_t i = 0; i < COUNT(to); i++)
        if (by_channel[i] && !(*to[i] = tensor_load(s, by_channel[i], &(WeightForm){.train_w = train[i]}, e)))
            return false;
    Tensor *(*load)(Store *, const Array *, Error *) = how->batch ? kept_load : store_array;
    if (by_channel[3] && (!(c->norm.mean = load(s, by_channel[3], e)) || !(c->norm.var = load(s, by_channel[4], e))))
        return false;
    return true;
}

/* Loads the convolution with its norm folded into the weights, computed in double:
 *
 *   y = gamma (conv + bias - mean) / sqrt(var + eps) + beta */
static bool conv_folded(Conv2d *c, Store *s, const Array *const *by_channel, const Array *w, double eps, bool plain,
                        Error *e)
{
    static const float neutral[] = {0, 1, 0, 0, 1};
    const Device *d = store_device(s);
    int64_t O = c->O, per = w->count / O;
    float *host = NULL, *numbers = NULL; /* numbers [6, O]: bias, gamma, beta, mean, var, and the folded bias */
    bool ok = host_scratch(&host, d->heap, w->count, e) && host_scratch(&numbers, d->heap, 6 * O, e);
    if (ok) {
        array_f32(w, 0, w->count, host);
        for (int i = 0; i < 5; i++)
            for (int64_t o = 0; o < O; o++)
                numbers[i * O + o] = neutral[i];
        for (int i = 0; i < 5; i++)
            if (by_channel[i])
                array_f32(by_channel[i], 0, O, numbers + i * O);
        for (int64_t o = 0; o < O; o++) {
            double g = by_channel[4] ? numbers[O + o] / sqrt((double)numbers[4 * O + o] + eps) : numbers[O + o];
            for (int64_t i = 0; i < per; i++)
                host[o * per + i] = (float)(g * host[o * per + i]);
            numbers[5 * O + o] = (float)(g * ((double)numbers[o] - numbers[3 * O + o]) + numbers[2 * O + o]);
        }
        c->bias = store_f32(s, "", 1, &O, numbers + 5 * O, e);
        ok = c->bias && (plain ? (c->w = store_f32(s, "", 4, w->shape, host, e)) != NULL : conv_pack(c, s, host, e));
    }
    host_give(host, d->heap, w->count);
    host_give(numbers, d->heap, 6 * O);
    array_done(w);
    return ok;
}

bool conv_load(Conv2d *c, Store *s, const Array *w, const Array *bias, const Array *gamma, const Array *beta,
               const Array *mean, const Array *var, double eps, int64_t stride, int64_t pad, int64_t groups,
               const WeightForm *how, Error *e)
{
    if (w->dims != 4 || w->shape[0] <= 0 || w->count <= 0)
        return fail(e, SP_SHAPE, "%s: tensor %s: expected a convolution of shape [out, in, height, width]", w->file,
                    w->name.p);
    int64_t O = w->shape[0];
    const Array *const by_channel[] = {bias, gamma, beta, mean, var};
    for (size_t i = 0; i < COUNT(by_channel); i++)
        if (by_channel[i] && by_channel[i]->count != O)
            return fail(e, SP_SHAPE, "%s: tensor %s: expected %lld numbers, one per channel of %s", by_channel[i]->file,
                        by_channel[i]->name.p, (long long)O, w->name.p);
    if (stride < 1 || pad < 0)
        return fail(e, SP_USAGE, "%s: tensor %s: expected a stride of at least 1 and no negative padding", w->file,
                    w->name.p);
    if (groups < 1 || O % groups)
        return fail(e, SP_USAGE, "%s: tensor %s: expected groups that divide its %lld channels, found %lld", w->file,
                    w->name.p, (long long)O, (long long)groups);
    *c = (Conv2d){.O = O,
                  .C = w->shape[1] * groups,
                  .kh = w->shape[2],
                  .kw = w->shape[3],
                  .stride = stride,
                  .groups = groups,
                  .top = pad,
                  .left = pad,
                  .bottom = pad,
                  .right = pad};
    c->pack = c->C <= PACK_INT8_K ? how->pack : PACK_F32;
    c->winograd = how->winograd;
    bool trained = how->train_w & 3 || how->train_b & 3, norm = gamma && beta && mean && var;
    if (trained && !norm && (gamma || beta || mean || var))
        return fail(e, SP_UNSUPPORTED, "%s: tensor %s: a batch norm is trained with weight, bias, mean and variance",
                    w->file, w->name.p);
    if (trained)
        return conv_trained(c, s, by_channel, w, eps, how, e);
    return conv_folded(c, s, by_channel, w, eps, how->plain, e);
}
