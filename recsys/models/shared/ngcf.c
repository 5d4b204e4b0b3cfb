/* recsys/models/shared/ngcf.c: NGCF's layers: see models.h. */
#include "recsys/models/models.h"

bool ngcf_new(Model *m, NgcfLayers *g, int64_t D, int64_t width, int64_t layers, Init w, Init b, Error *e)
{
    g->layers = layers;
    if (!(g->sum = NEW(m->arena, Linear, layers, e)) || !(g->product = NEW(m->arena, Linear, layers, e)))
        return false;
    for (int64_t l = 0; l < layers; l++) {
        const char *sum = arena_printf(m->arena, e, "sum.%lld", (long long)l);
        const char *product = arena_printf(m->arena, e, "product.%lld", (long long)l);
        if (!sum || !product)
            return false;
        g->sum[l] = linear_new(m->store, sum, width, l ? width : D, true, w, b, m->seed, e);
        g->product[l] = linear_new(m->store, product, width, l ? width : D, true, w, b, m->seed, e);
        if (e->code != SP_OK)
            return false;
    }
    return true;
}

void ngcf_layers(Tape *t, const NgcfLayers *g, const Csr *graph, float drop, Tensor **layer)
{
    Tensor *x = layer[0];
    for (int64_t l = 0; l < g->layers; l++) {
        Tensor *message = spmm(t, graph, x), *product = mul(t, message, x);
        if (g->two_acts)
            x = add(t, linear_act(t, message, &g->sum[l], ACT_LEAKY_RELU, g->slope),
                    linear_act(t, product, &g->product[l], ACT_LEAKY_RELU, g->slope));
        else
            x = activate(t, linear_add(t, product, &g->product[l], linear(t, message, &g->sum[l])), ACT_LEAKY_RELU,
                         g->slope);
        x = dropout_always(t, x, drop);
        layer[l + 1] = row_normalize(t, x, 1e-12f);
        x = g->raw_input ? x : layer[l + 1];
    }
}
