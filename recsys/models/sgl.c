/* recsys/models/sgl.c: SGL: Wu et al. 2021, as Elliot and the authors' SGL-Torch train it (recipes.md 7.12). MMRec has
 * no SGL: under its protocol, Elliot's recipe is used.
 *
 *   loss = sum over the batch of BPR + l_w / 2 (squares of layer 0 of its rows)
 *          + ssl_reg sum over its users u of [log sum over all v of exp(cos(y_u, z_v) / ssl_temp)
 *                                             - cos(y_u, z_u) / ssl_temp], and the same over its positive items
 *
 * Vectors are LightGCN's mean of layers 0 to n_layers. y and z are the vectors of two views: parts of the train pairs
 * that are drawn in each epoch. ed drops a share of the pairs; nd drops a share of users and items; rw drops other
 * pairs in each layer. The variants differ in how many pairs or nodes are dropped:
 *
 *   variant elliot    the number dropped is rounded to the nearest whole number
 *   variant paper     ed, rw: the number of kept pairs is rounded down; nd: the number of dropped nodes is rounded down
 */
#include "recsys/models/models.h"

typedef struct Sgl {
    Tables x;
    Csr *whole; /* [U + I, U + I] */
    Views views;
} Sgl;

typedef struct SglSettings {
    CommonSettings common;
    int64_t factors, n_layers;
    double ssl_temp, ssl_reg, ssl_ratio, l_w;
    int sampling;
} SglSettings;
static const Setting settings[] = {
    VARIANT_ELLIOT_PAPER_SETTING,
    FACTORS_SETTING(SglSettings),
    LAYERS_SETTING(SglSettings, "3", "3"),
    F64_ALSO(SglSettings, ssl_temp, "0.2", "0.2", "temperature of the contrastive loss", 1e-6, FLT_MAX,
             SAME_AS("ssl_tau")),
    F64_ALSO(SglSettings, ssl_reg, "0.1", "0.1", "weight of the contrastive loss", 0, FLT_MAX, SAME_AS("ssl_weight")),
    F64_ALSO(SglSettings, ssl_ratio, "0.1", "0.1", "share dropped per view", 0, BELOW_ONE, SAME_AS("drop_ratio")),
    WORD_SETTING(SglSettings, sampling, view_names, "ed", "ed", "drop pairs (ed), nodes (nd), or pairs per layer (rw)"),
    F64_ALSO(SglSettings, l_w, "1e-5", "1e-4", "weight of the regularisation", 0, FLT_MAX,
             NOT_HERE("reg_weight", "set l_w, the weight of half the squares"), NOT_HERE("type", "set sampling")),
    {0},
};

static bool init(Model *m, Error *e)
{
    const SglSettings *s = m->settings;
    Sgl *x = m->own = NEW(m->arena, Sgl, 1, e);
    return x && tables_new(m, &x->x, s->factors, (Init){INIT_XAVIER_UNIFORM, 0}, e) &&
           (x->whole = user_item_graph(m, "whole", ADJ_SYM, e));
}

static bool epoch(Model *m, Error *e)
{
    const SglSettings *s = m->settings;
    Sgl *x = m->own;
    const Thinning how = {.drop = s->ssl_ratio, .adjacency = ADJ_SYM, .rounded = !is_paper(m)};
    return two_views(m, &x->views, (ViewKind)s->sampling, how, s->n_layers, e);
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    const SglSettings *s = m->settings;
    const Sgl *x = m->own;
    light_gcn(t, m, x->whole, s->n_layers, &x->x, NULL, users, items);
    return true;
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const SglSettings *s = m->settings;
    const Sgl *x = m->own;
    Tensor *users, *items, *u[2], *i[2];
    BatchRows r = batch_rows(t, b);
    light_gcn(t, m, x->whole, s->n_layers, &x->x, &r, &users, &items);
    light_gcn_views(t, m, &x->views, s->n_layers, &x->x, u, i);
    Tensor *ego[] = {gather(t, x->x.user, b->user), gather(t, x->x.item, b->pos), gather(t, x->x.item, b->neg)};
    Tensor *sum = add_l2(t, rows_bpr(t, users, items, &r, 0), s->l_w, 3, ego, b->B);
    sum = add_term(t, sum, contrast_batch(t, u, i, b, s->ssl_temp), s->ssl_reg);
    return scale(t, sum, (float)b->B);
}

const Recommender recommender_sgl = {
    .name = "SGL",
    .paper = "Self-supervised Graph Learning for Recommendation (Wu et al., SIGIR 2021)",
    .settings = settings,
    .settings_size = sizeof(SglSettings),
    .paper_settings = "l_w=1e-4 batch_size=2048 epochs=1000",
    .sampling = sampling_uniform_user,
    .init = init,
    .epoch = epoch,
    .loss = loss,
    .represent = represent,
};
