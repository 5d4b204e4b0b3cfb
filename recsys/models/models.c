/* recsys/models/models.c: what the recommenders share: see models.h. */
#include "recsys/models/models.h"

bool is_mmrec(const Model *m)
{
    const CommonSettings *s = m->settings;
    return s->variant == PROTOCOL_MMREC;
}

Tensor *add_l2(Tape *t, Tensor *loss, double l_w, int n, Tensor *const *x, int64_t B)
{
    for (int i = 0; i < n; i++)
        loss = add_scaled(t, loss, sum_squares(t, x[i]), (float)(l_w / 2 / (double)B));
    return loss;
}

Tensor *add_norms(Tape *t, Tensor *loss, double l_w, int n, Tensor *const *x, int64_t B)
{
    for (int i = 0; i < n; i++)
        loss = add_scaled(t, loss, frobenius(t, x[i]), (float)(l_w / (double)B));
    return loss;
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
