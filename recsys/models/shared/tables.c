/* recsys/models/shared/tables.c: embeddings, features and their projections: see models.h. */
#include "recsys/models/models.h"

bool tables_new(Model *m, Tables *x, int64_t D, Init init, Error *e)
{
    x->user = param_new(m->store, "user", m->data->U, D, init, m->seed, e);
    x->item = x->user ? param_new(m->store, "item", m->data->I, D, init, m->seed, e) : NULL;
    return x->item != NULL;
}

Tensor *feature_tensor(Model *m, const Feature *f, Error *e)
{
    const char *name = arena_printf(m->arena, e, "features.%s", f->name);
    Array view = {.name = text_of(name ? name : ""),
                  .type = F32,
                  .dims = 2,
                  .shape = {m->data->I, f->D},
                  .count = m->data->I * f->D,
                  .data = f->data,
                  .file = f->name};
    return name ? store_array(m->store, &view, e) : NULL;
}

Modality *modalities_new(Model *m, ModalityPlan plan, Error *e)
{
    size_t n = m->data->feature_count;
    Modality *x = NEW(m->arena, Modality, n, e);
    for (size_t i = 0; x && i < n; i++) {
        const Feature *f = &m->data->features[i];
        const char *table = arena_printf(m->arena, e, "features.%s", f->name),
                   *linear = table ? arena_printf(m->arena, e, "projection.%s", f->name) : NULL;
        if (!linear)
            return NULL;
        x[i].name = f->name;
        x[i].features =
            plan.trained ? param_from(m->store, table, m->data->I, f->D, f->data, e) : feature_tensor(m, f, e);
        if (x[i].features && plan.width)
            x[i].linear = linear_new(m->store, linear, plan.width, f->D, true, plan.w, plan.b, m->seed, e);
        if (e->code != SP_OK)
            return NULL;
    }
    return x;
}

Tensor *project(Tape *t, const Modality *x, Tensor *ids)
{
    return linear(t, ids ? gather(t, x->features, ids) : x->features, &x->linear);
}
