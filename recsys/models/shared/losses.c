/* recsys/models/shared/losses.c: losses of several recommenders: see models.h. */
#include "recsys/models/models.h"

bool is_mmrec(const Model *m)
{
    const CommonSettings *s = m->settings;
    return s->variant == PROTOCOL_MMREC;
}

Tensor *batch_bpr(Tape *t, Tensor *users, Tensor *items, const Batch *b, double l2)
{
    const Triples triples = {gather(t, users, b->user), gather(t, items, b->pos), gather(t, items, b->neg), 0};
    return bpr_loss(t, 1, &triples, (float)l2);
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

Tensor *cosines(Tape *t, Tensor *a, Tensor *b)
{
    return row_dot(t, row_normalize(t, a, 1e-8f), row_normalize(t, b, 1e-8f));
}

Tensor *info_nce(Tape *t, Tensor *a, Tensor *pos, Tensor *all, double tau)
{
    float by = (float)(1 / tau);
    return add_scaled(t, log_sum_exp(t, a, all ? all : pos, by), row_dot(t, a, pos), -by);
}
