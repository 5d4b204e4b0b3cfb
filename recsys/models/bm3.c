/* recsys/models/bm3.c: BM3: Zhou et al. 2023, "Bootstrap Latent Representations for Multi-modal Recommendation", as the
 * benchmark's Elliot and MMRec train it. Both have the same recipe, without negatives (recipes.md 7.19).
 *
 *   O_u, O_i = LightGCN, O_i += E_i;  t_m = W_m f_m + b_m;  P a linear layer;  x~ = dropout(x), without gradient
 *   loss = d(P O_u, O_i~) + d(P O_i, O_u~) + cl_weight sum over m of [d(P t_m, O_i~) + d(P t_m, t_m~)]
 *          + reg_weight (|O_u|_F + |O_i|_F) / I,  d(x, y) the mean of 1 - cos(x, y) over the batch's pairs
 *   score(u, i) = P O_u . P O_i
 *
 * The norms are over all users and items, so a step propagates all of them. The other terms read only the rows of the
 * batch: a step projects the distinct items of the batch, and applies P to its distinct users and items. The published
 * code computes all items and applies dropout to whole tables, with one mask per row. Therefore each user and item of a
 * batch has one mask here, too. */
#include "recsys/models/models.h"

typedef struct Bm3 {
    Tables x;
    Modality *modality; /* trained features */
    Linear predictor;   /* P [D, D] */
    Csr *adjacency;     /* [U + I, U + I] */
} Bm3;

typedef struct Bm3Settings {
    CommonSettings common;
    int64_t factors, n_layers;
    double dropout, reg_weight, cl_weight;
} Bm3Settings;
#define SET_FACTORS "set factors, the length of the projected features"
static const Setting settings[] = {
    FACTORS_SETTING(Bm3Settings),
    LAYERS_SETTING(Bm3Settings, "2", "1"),
    F64_SETTING(Bm3Settings, dropout, "0.3", "0.5", "share of the targets' numbers dropped (below 1)", 0, BELOW_ONE),
    F64_ALSO(Bm3Settings, reg_weight, "0.1", "0.1", "weight of the norms of all users' and items' vectors", 0, FLT_MAX,
             NOT_HERE("l_w", "set reg_weight")),
    F64_ALSO(Bm3Settings, cl_weight, "2.0", "2.0", "weight of the losses of the modalities", 0, FLT_MAX,
             NOT_HERE("feat_embed_dim", SET_FACTORS), NOT_HERE("multimod_factors", SET_FACTORS)),
    {0},
};

static bool init(Model *m, Error *e)
{
    const Bm3Settings *s = m->settings;
    Bm3 *x = m->own = NEW(m->arena, Bm3, 1, e);
    const Init w = {INIT_XAVIER_NORMAL, 0}, b = {INIT_FAN_IN, 0};
    const ModalityPlan plan = {.trained = true, .width = s->factors, .w = w, .b = b};
    if (!x || !tables_new(m, &x->x, s->factors, (Init){INIT_XAVIER_UNIFORM, 0}, e) ||
        !(x->modality = modalities_new(m, plan, e)))
        return false;
    x->predictor = linear_new(m->store, "predictor", s->factors, s->factors, true, w, b, m->seed, e);
    return e->code == SP_OK && (x->adjacency = user_item_graph(m, "adjacency", ADJ_SYM_EPS, e));
}

static void compute(Tape *t, const Model *m, Tensor **users, Tensor **items)
{
    const Bm3Settings *s = m->settings;
    const Bm3 *x = m->own;
    light_gcn(t, m, x->adjacency, s->n_layers, &x->x, NULL, users, items);
    *items = add(t, *items, x->x.item);
}

/* Returns x~ for the batch's rows `at` of the distinct users or items x. */
static Tensor *target(Tape *t, Tensor *x, double p, Tensor *at)
{
    return gather(t, dropout(t, detach(t, x), (float)p), at);
}

static Tensor *predicted(Tape *t, Tensor *x, const Linear *predictor, Tensor *at)
{
    return gather(t, linear(t, x, predictor), at);
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const Bm3Settings *s = m->settings;
    const Bm3 *x = m->own;
    BatchRows r = batch_rows(t, b);
    Tensor *users, *items;
    compute(t, m, &users, &items);
    Tensor *user = gather(t, users, r.users), *item = gather(t, items, r.items);
    Tensor *user_target = target(t, user, s->dropout, r.user);
    Tensor *item_target = target(t, item, s->dropout, r.pos);
    Tensor *sum = add(t, cosine_distance(t, predicted(t, user, &x->predictor, r.user), item_target),
                      cosine_distance(t, predicted(t, item, &x->predictor, r.pos), user_target));
    sum = add_norms(t, sum, s->reg_weight, 2, (Tensor *[]){users, items}, m->data->I);
    for (size_t i = 0; i < m->data->feature_count; i++) {
        Tensor *feature = project(t, &x->modality[i], r.items), *p = predicted(t, feature, &x->predictor, r.pos);
        sum = add_term(t, sum, cosine_distance(t, p, item_target), s->cl_weight);
        sum = add_term(t, sum, cosine_distance(t, p, target(t, feature, s->dropout, r.pos)), s->cl_weight);
    }
    return sum;
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    const Bm3 *x = m->own;
    compute(t, m, users, items);
    *users = linear(t, *users, &x->predictor);
    *items = linear(t, *items, &x->predictor);
    return true;
}

const Recommender recommender_bm3 = {
    .name = "BM3",
    .paper = "Bootstrap Latent Representations for Multi-modal Recommendation (Zhou et al., WWW 2023)",
    .settings = settings,
    .settings_size = sizeof(Bm3Settings),
    .sampling = sampling_no_negative,
    .needs_features = true,
    .init = init,
    .loss = loss,
    .represent = represent,
};
