/* recsys/models/lightgcn.c: LightGCN: He et al. 2020, as the benchmark's Elliot, MMRec and the authors' PyTorch code
 * train it (recipes.md 7.5).
 *
 *   E_(l+1) = A E_l,  A = D^-1/2 R D^-1/2 on the graph of users and items, without self loops
 *
 * The vector of a node is the mean of its layers 0 to n_layers; score(u, i) is the dot product. All recipes regularise
 * layer 0 of the batch's rows. Elliot and MMRec differ in the initial values (N(0, 0.1) or xavier_uniform), in the
 * degrees (MMRec adds 1e-7) and in the norm. Elliot's recipe is that of the authors' code; variant paper has the
 * authors' defaults. Elliot and the authors apply a sigmoid to the scores. It does not change the ranking, except above
 * about 17, where all values are 1 in float32. Sapor does not apply it. */
#include "recsys/models/models.h"

typedef struct LightGcn {
    Tables x;
    Csr *adjacency; /* [U + I, U + I] */
} LightGcn;

typedef struct LightGcnSettings {
    CommonSettings common;
    int64_t factors, n_layers;
    double l_w;
} LightGcnSettings;
static const Setting settings[] = {
    VARIANT_PAPER_SETTING,
    FACTORS_SETTING(LightGcnSettings),
    LAYERS_SETTING(LightGcnSettings, "3", "3"),
    L_W_SETTING(LightGcnSettings, "1e-5", "1e-4"),
    {0},
};

static bool init(Model *m, Error *e)
{
    const LightGcnSettings *s = m->settings;
    LightGcn *g = m->own = NEW(m->arena, LightGcn, 1, e);
    Init start = is_mmrec(m) ? (Init){INIT_XAVIER_UNIFORM, 0} : (Init){INIT_NORMAL, 0.1};
    return g && tables_new(m, &g->x, s->factors, start, e) &&
           (g->adjacency = user_item_graph(m, "adjacency", is_mmrec(m) ? ADJ_SYM_EPS : ADJ_SYM, e));
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    const LightGcnSettings *s = m->settings;
    const LightGcn *g = m->own;
    light_gcn(t, m, g->adjacency, s->n_layers, &g->x, NULL, users, items);
    return true;
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const LightGcnSettings *s = m->settings;
    const LightGcn *g = m->own;
    Tensor *users, *items;
    BatchRows r = batch_rows(t, b);
    light_gcn(t, m, g->adjacency, s->n_layers, &g->x, &r, &users, &items);
    Tensor *bpr = rows_bpr(t, users, items, &r, 0);
    Tensor *ego[] = {gather(t, g->x.user, b->user), gather(t, g->x.item, b->pos), gather(t, g->x.item, b->neg)};
    return is_mmrec(m) ? add_norms(t, bpr, s->l_w, 3, ego, b->B) : add_l2(t, bpr, s->l_w, 3, ego, b->B);
}

const Recommender recommender_lightgcn = {
    .name = "LightGCN",
    .paper = "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation (He et al., SIGIR 2020)",
    .settings = settings,
    .settings_size = sizeof(LightGcnSettings),
    .paper_settings = "l_w=1e-4 batch_size=2048 epochs=1000",
    .sampling = sampling_by_variant,
    .init = init,
    .loss = loss,
    .represent = represent,
};
