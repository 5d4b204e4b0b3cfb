/* nn/layers.c: layers with their weights: made new for training, or loaded and packed for inference. */
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

bool linear_load(Linear *l, Store *s, int n, const Array *const *w, const Array *const *b, Error *e)
{
    const Device *d = store_device(s);
    int64_t K = n > 0 && w[0]->dims >= 1 && w[0]->shape[0] > 0 ? w[0]->count / w[0]->shape[0] : 0, N = 0;
    for (int i = 0; i < n; i++) {
        const Array *a = w[i];
        if (a->dims < 1 || a->shape[0] <= 0 || a->count / a->shape[0] != K)
            return fail(e, SP_SHAPE, "%s: tensor %s: expected %lld numbers per row", a->file, a->name.p, (long long)K);
        if (b && b[i] && b[i]->count != a->shape[0])
            return fail(e, SP_SHAPE, "%s: tensor %s: expected a bias of %lld numbers, found %lld", b[i]->file,
                        b[i]->name.p, (long long)a->shape[0], (long long)b[i]->count);
        N += a->shape[0];
    }
    *l = (Linear){.N = N, .K = K, .pack = K <= PACK_INT8_K ? store_pack(s) : PACK_F32};
    const float *view = n == 1 ? array_view(w[0]) : NULL; /* one float32 array is packed from where it is */
    float *host = NULL, *bias = NULL;
    Mirror m = {.d = d};
    bool ok = (view || host_scratch(&host, d->heap, N * K, e)) && (!b || host_scratch(&bias, d->heap, N, e));
    for (int64_t i = 0, at = 0; ok && i < n; at += w[i]->shape[0], i++) {
        if (!view)
            array_f32(w[i], 0, w[i]->count, host + at * K);
        if (b && b[i])
            array_f32(b[i], 0, b[i]->count, bias + at);
        else if (b)
            memset(bias + at, 0, (size_t)w[i]->shape[0] * sizeof(float));
    }
    const float *source = ok ? mirror_in(&m, view ? view : host, (size_t)(N * K) * sizeof(float), e) : NULL;
    void *packed = source ? store_packed(s, d->k->gemm_pack_bytes(l->pack, K, N), e) : NULL;
    ok = packed && (!b || (l->b = store_f32(s, "", 1, &N, bias, e)));
    if (ok) {
        Run run = store_run(s);
        d->k->gemm_pack(&run, l->pack, K, N, source, 1, K, packed);
        l->packed = packed;
    }
    mirror_close(&m);
    host_give(host, d->heap, N * K);
    host_give(bias, d->heap, N);
    return ok;
}

bool norm_load(Norm *n, Store *s, const Array *gamma, const Array *beta, float eps, Error *e)
{
    *n = (Norm){.eps = eps};
    if (gamma->count != beta->count)
        return fail(e, SP_SHAPE, "%s: tensor %s: the weight and the bias of a norm differ in length", beta->file,
                    beta->name.p);
    return (n->gamma = store_array(s, gamma, e)) && (n->beta = store_array(s, beta, e));
}

bool conv_load(Conv2d *c, Store *s, const Array *w, const Array *bias, const Array *gamma, const Array *beta,
               const Array *mean, const Array *var, double eps, int64_t stride, int64_t pad, int64_t groups, Error *e)
{
    const Device *d = store_device(s);
    if (w->dims != 4 || w->shape[0] <= 0 || w->count <= 0)
        return fail(e, SP_SHAPE, "%s: tensor %s: expected a convolution of shape [out, in, height, width]", w->file,
                    w->name.p);
    int64_t O = w->shape[0], per = w->count / O;
    const Array *by_channel[] = {bias, gamma, beta, mean, var};
    for (size_t i = 0; i < COUNT(by_channel); i++)
        if (by_channel[i] && by_channel[i]->count != O)
            return fail(e, SP_SHAPE, "%s: tensor %s: expected %lld numbers, one per channel of %s", by_channel[i]->file,
                        by_channel[i]->name.p, (long long)O, w->name.p);
    if (groups != 1 && (groups != O || w->shape[1] != 1))
        return fail(e, SP_UNSUPPORTED, "%s: tensor %s: expected 1 group or one group per channel", w->file, w->name.p);
    *c = (Conv2d){.O = O,
                  .C = groups == 1 ? w->shape[1] : groups,
                  .kh = w->shape[2],
                  .kw = w->shape[3],
                  .stride = stride,
                  .groups = groups,
                  .top = pad,
                  .left = pad,
                  .bottom = pad,
                  .right = pad};
    c->pack = c->C <= PACK_INT8_K ? store_pack(s) : PACK_F32;
    c->winograd = store_winograd(s);
    Conv shape = {.C = c->C,
                  .O = O,
                  .kh = c->kh,
                  .kw = c->kw,
                  .stride = stride,
                  .groups = groups,
                  .top = pad,
                  .left = pad,
                  .bottom = pad,
                  .right = pad,
                  .pack = c->pack,
                  .winograd = c->winograd};
    float *host = NULL, *numbers = NULL; /* numbers: [6, O]: bias, gamma, beta, mean, var; the folded bias */
    bool ok = host_scratch(&host, d->heap, w->count, e) && host_scratch(&numbers, d->heap, 6 * O, e);
    if (ok) {
        static const float neutral[] = {0, 1, 0, 0, 1};
        array_f32(w, 0, w->count, host);
        for (int i = 0; i < 5; i++)
            for (int64_t o = 0; o < O; o++)
                numbers[i * O + o] = neutral[i];
        for (int i = 0; i < 5; i++)
            if (by_channel[i])
                array_f32(by_channel[i], 0, O, numbers + i * O);
        for (int64_t o = 0; o < O; o++) { /* y = gamma (conv + bias - mean) / sqrt(var + eps) + beta, in double */
            double g = var ? numbers[O + o] / sqrt((double)numbers[4 * O + o] + eps) : numbers[O + o];
            for (int64_t i = 0; i < per; i++)
                host[o * per + i] = (float)(g * host[o * per + i]);
            numbers[5 * O + o] = (float)(g * ((double)numbers[o] - numbers[3 * O + o]) + numbers[2 * O + o]);
        }
    }
    Mirror m = {.d = d};
    const float *source = ok ? mirror_in(&m, host, (size_t)w->count * sizeof(float), e) : NULL;
    void *packed = source ? store_packed(s, d->k->conv_pack_bytes(&shape), e) : NULL;
    ok = packed && (c->bias = store_f32(s, "", 1, &O, numbers + 5 * O, e));
    if (ok) {
        Run run = store_run(s);
        d->k->conv_pack(&run, &shape, source, packed);
        c->packed = packed;
    }
    mirror_close(&m);
    host_give(host, d->heap, w->count);
    host_give(numbers, d->heap, 6 * O);
    return ok;
}
