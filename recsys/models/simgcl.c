/* recsys/models/simgcl.c: SimGCL: Yu et al. 2022, as Elliot and the authors' QRec train it (recipes.md 7.13). MMRec has
 * no SimGCL: under its protocol, Elliot's recipe is used.
 *
 *   E_(l+1) = A E_l;  in a noisy view E_(l+1) = A E_l + eps sign(A E_l) * normalize(draws of [0, 1))
 *
 * The vector of a node is the mean of layers 1 to n_layers, without layer 0. Two noisy views are contrasted over the
 * distinct users of the batch, and over its distinct positive items. The negatives of a row are the other rows of the
 * list.
 *
 *   elliot: mean of BPR + reg_cl (means of InfoNCE) + l_w (norm of the users' vectors + norm of the positives') / B
 *   paper:  sum of BPR + reg_cl (sums of InfoNCE) + l_w / 2 (squares of users', positives' and negatives' vectors)
 *
 * Elliot seeds Python's generator in every epoch, so all epochs have the order and the negatives of the first. The
 * noise is drawn again in each step, in Elliot and in the authors' code. */
#include "recsys/models/models.h"

typedef struct Simgcl {
    Tables x;
    Csr *adjacency; /* [U + I, U + I] */
} Simgcl;

typedef struct SimgclSettings {
    CommonSettings common;
    int64_t factors, n_layers;
    double eps, reg_cl, temperature, l_w;
} SimgclSettings;
static const Setting settings[] = {
    VARIANT_ELLIOT_PAPER_SETTING,
    FACTORS_SETTING(SimgclSettings),
    I64_SETTING(SimgclSettings, n_layers, "3", "3", "propagation steps; layer 0 is not in the mean", 1, MOST_LAYERS),
    F64_SETTING(SimgclSettings, eps, "0.1", "0.1", "length of a view's noise in each layer", 0, FLT_MAX),
    F64_SETTING(SimgclSettings, reg_cl, "0.5", "0.5", "weight of the contrastive loss", 0, FLT_MAX),
    F64_SETTING(SimgclSettings, temperature, "0.2", "0.2", "temperature of the contrastive loss", 1e-6, FLT_MAX),
    F64_ALSO(SimgclSettings, l_w, "1e-4", "1e-4", "weight of the regularisation", 0, FLT_MAX,
             NOT_HERE("reg_weight", "set l_w, the weight of the norms (paper: of half the squares)")),
    {0},
};

static Sampling sampling(const Model *m)
{
    return is_paper(m) ? SAMPLE_EVERY_EDGE : SAMPLE_EVERY_EDGE_REPEATED;
}

static bool init(Model *m, Error *e)
{
    const SimgclSettings *s = m->settings;
    Simgcl *x = m->own = NEW(m->arena, Simgcl, 1, e);
    return x && tables_new(m, &x->x, s->factors, (Init){INIT_XAVIER_UNIFORM, 0}, e) &&
           (x->adjacency = user_item_graph(m, "adjacency", ADJ_SYM, e));
}

static void encode(Tape *t, const Model *m, double noise, Tensor **users, Tensor **items)
{
    const SimgclSettings *s = m->settings;
    const Simgcl *x = m->own;
    const Propagation p = {.graph = x->adjacency, .layers = s->n_layers, .skip_input = true, .noise = (float)noise};
    split_nodes(t, m, propagate(t, &p, x->x.user, x->x.item, NULL), users, items);
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    encode(t, m, 0, users, items);
    return true;
}

/* Returns InfoNCE of rows ids of two views, with cosines -> [n]. */
static Tensor *contrast(Tape *t, Tensor *const view[2], Tensor *ids, double tau)
{
    Tensor *a = row_normalize(t, gather(t, view[0], ids), 1e-12f);
    return info_nce(t, a, row_normalize(t, gather(t, view[1], ids), 1e-12f), NULL, tau);
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const SimgclSettings *s = m->settings;
    Tensor *at, *user_ids = distinct(t, b->user, NULL, &at, NULL), *item_ids = distinct(t, b->pos, NULL, &at, NULL);
    Tensor *users, *items, *u[2], *i[2];
    encode(t, m, 0, &users, &items);
    for (int v = 0; v < 2; v++)
        encode(t, m, s->eps, &u[v], &i[v]);
    Tensor *of_users = contrast(t, u, user_ids, s->temperature), *of_items = contrast(t, i, item_ids, s->temperature);
    const Triples rows = {gather(t, users, b->user), gather(t, items, b->pos), gather(t, items, b->neg), 0};
    if (is_paper(m)) {
        Tensor *bpr = scale(t, bpr_loss(t, 1, &rows, (float)(s->l_w / 2)), (float)b->B);
        return add_term(t, bpr, add(t, sum(t, of_users), sum(t, of_items)), s->reg_cl);
    }
    Tensor *bpr = add_norms(t, bpr_loss(t, 1, &rows, 0), s->l_w, 2, (Tensor *[]){rows.user, rows.pos}, b->B);
    return add_term(t, bpr, add(t, mean(t, of_users), mean(t, of_items)), s->reg_cl);
}

const Recommender recommender_simgcl = {
    .name = "SimGCL",
    .paper = "Are Graph Augmentations Necessary? Simple Graph Contrastive Learning for Recommendation (Yu et al., "
             "SIGIR 2022)",
    .settings = settings,
    .settings_size = sizeof(SimgclSettings),
    .paper_settings = "n_layers=2 batch_size=2048 epochs=20",
    .sampling = sampling,
    .init = init,
    .loss = loss,
    .represent = represent,
};
