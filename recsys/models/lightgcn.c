/* recsys/models/lightgcn.c: LightGCN: He et al. 2020, as the benchmark's Elliot and MMRec train it (recipes.md 7.5).
 *
 * E_l+1 = A E_l on the graph of users and items, A = D^-1/2 R D^-1/2 without self loops; a node's vector is the mean of
 * its layers 0 to n_layers, score(u, i) their dot product. Both regularise layer 0 of the batch's rows. They differ in
 * the start (N(0, 0.1) or xavier_uniform), in the degree (MMRec adds 1e-7) and in the norm. Elliot passes scores
 * through a sigmoid, which ranks alike but above about 17, where all are 1 in float32: not done here. */
#include "recsys/models/models.h"

typedef struct LightGcn {
    Tensor *user, *item; /* [U, D], [I, D] */
    Csr *adjacency;      /* [U + I, U + I] */
} LightGcn;

typedef struct LightGcnSettings {
    CommonSettings common;
    int64_t factors, n_layers;
    double l_w;
} LightGcnSettings;
static const Setting settings[] = {
    VARIANT_SETTING,
    FACTORS_SETTING(LightGcnSettings),
    {"n_layers", "3", "3", "propagation steps on the graph of users and items", I64_OF(LightGcnSettings, n_layers), 0,
     MOST_LAYERS, NULL},
    L_W_SETTING(LightGcnSettings, "1e-5", "1e-4"),
    {0},
};

static Sampling sampling(const Model *m)
{
    return is_mmrec(m) ? SAMPLE_EVERY_EDGE : SAMPLE_UNIFORM_USER;
}

static bool init(Model *m, Error *e)
{
    const DataSet *d = m->data;
    const LightGcnSettings *s = m->settings;
    LightGcn *g = m->own = NEW(m->arena, LightGcn, 1, e);
    if (!g)
        return false;
    Init start = is_mmrec(m) ? (Init){INIT_XAVIER_UNIFORM, 0} : (Init){INIT_NORMAL, 0.1};
    g->user = param_new(m->store, "user", d->U, s->factors, start, m->seed, e);
    g->item = param_new(m->store, "item", d->I, s->factors, start, m->seed, e);
    g->adjacency = csr_bipartite(m->store, "adjacency", d->U, d->I, d->train.start, d->train.item,
                                 is_mmrec(m) ? ADJ_SYM_EPS : ADJ_SYM, e);
    return g->user && g->item && g->adjacency;
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    const LightGcnSettings *s = m->settings;
    const LightGcn *g = m->own;
    Tensor *x = stack_rows(t, g->user, g->item), *sum = x;
    for (int64_t l = 0; l < s->n_layers; l++) {
        x = spmm(t, g->adjacency, x);
        sum = add(t, sum, x);
    }
    x = scale(t, sum, 1.0f / (float)(s->n_layers + 1));
    *users = rows(t, x, 0, m->data->U);
    *items = rows(t, x, m->data->U, m->data->I);
    return true;
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const LightGcnSettings *s = m->settings;
    const LightGcn *g = m->own;
    Tensor *users, *items;
    represent(t, m, &users, &items);
    const Triples triples = {gather(t, users, b->user), gather(t, items, b->pos), gather(t, items, b->neg), 0};
    Tensor *bpr = bpr_loss(t, 1, &triples, 0);
    Tensor *ego[] = {gather(t, g->user, b->user), gather(t, g->item, b->pos), gather(t, g->item, b->neg)};
    return is_mmrec(m) ? add_norms(t, bpr, s->l_w, 3, ego, b->B) : add_l2(t, bpr, s->l_w, 3, ego, b->B);
}

const Recommender recommender_lightgcn = {
    .name = "LightGCN",
    .paper = "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation (He et al., SIGIR 2020)",
    .settings = settings,
    .settings_size = sizeof(LightGcnSettings),
    .sampling = sampling,
    .init = init,
    .loss = loss,
    .represent = represent,
};
