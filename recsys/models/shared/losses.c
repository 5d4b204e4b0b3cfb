/* recsys/models/shared/losses.c: losses of several recommenders: see models.h. */
#include "recsys/models/models.h"

Tensor *batch_bpr(Tape *t, Tensor *users, Tensor *items, const Batch *b, double l2)
{
    const Triples triples = {gather(t, users, b->user), gather(t, items, b->pos), gather(t, items, b->neg), 0};
    return bpr_loss(t, 1, &triples, (float)l2);
}

Tensor *rows_bpr(Tape *t, Tensor *users, Tensor *items, const BatchRows *r, double l2)
{
    return batch_bpr(t, users, items, &(Batch){.user = r->user, .pos = r->pos, .neg = r->neg}, l2);
}

Tensor *add_term(Tape *t, Tensor *loss, Tensor *term, double weight)
{
    return loss ? add_scaled(t, loss, term, (float)weight) : scale(t, term, (float)weight);
}

Tensor *add_l2(Tape *t, Tensor *loss, double l_w, int n, Tensor *const *x, int64_t B)
{
    for (int i = 0; i < n; i++)
        loss = add_term(t, loss, sum_squares(t, x[i]), l_w / 2 / (double)B);
    return loss;
}

Tensor *add_norms(Tape *t, Tensor *loss, double l_w, int n, Tensor *const *x, int64_t B)
{
    for (int i = 0; i < n; i++)
        loss = add_term(t, loss, frobenius(t, x[i]), l_w / (double)B);
    return loss;
}

Tensor *cosines(Tape *t, Tensor *a, Tensor *b)
{
    return row_dot(t, row_normalize(t, a, 1e-8f), row_normalize(t, b, 1e-8f));
}

Tensor *cosine_distance(Tape *t, Tensor *a, Tensor *b)
{
    return add_number(t, scale(t, mean(t, cosines(t, a, b)), -1), 1);
}

Tensor *info_nce(Tape *t, Tensor *a, Tensor *pos, Tensor *all, double tau)
{
    float by = (float)(1 / tau);
    return add_scaled(t, log_sum_exp(t, a, all ? all : pos, by), row_dot(t, a, pos), -by);
}

Tensor *contrast_views(Tape *t, Tensor *a, Tensor *b, Tensor *ids, double tau)
{
    Tensor *all = row_normalize(t, b, 1e-12f);
    return info_nce(t, row_normalize(t, gather(t, a, ids), 1e-12f), gather(t, all, ids), all, tau);
}

Tensor *contrast_batch(Tape *t, Tensor *const users[2], Tensor *const items[2], const Batch *b, double tau)
{
    return add(t, mean(t, contrast_views(t, users[0], users[1], b->user, tau)),
               mean(t, contrast_views(t, items[0], items[1], b->pos, tau)));
}
