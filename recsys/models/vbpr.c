/* recsys/models/vbpr.c: VBPR: He and McAuley 2016, as the benchmark's Elliot and MMRec train it (recipes.md 7.7).
 *
 *   elliot  score(u, i) = g_u . g_i + t_u . normalize(W f_i + b)
 *   mmrec   score(u, i) = g_u . [g_i || W f_i + b],  g_u has twice the length
 *
 * f_i is the concatenation of all modalities; it is not trained. W is stored in one piece per modality: W f = sum over
 * m of W_m f_m, so the concatenated features are never stored. Only the distinct items of a batch are projected. */
#include "recsys/models/models.h"

typedef struct Vbpr {
    Tensor *user, *item, *user_visual; /* [U, D] (mmrec: [U, 2 D]); [I, D]; [U, D] (elliot only) */
    Modality *modality;                /* projections are [D, D_m] */
} Vbpr;

typedef struct VbprSettings {
    CommonSettings common;
    int64_t factors;
    double l_w;
} VbprSettings;
static const Setting settings[] = {
    VARIANT_SETTING,
    FACTORS_SETTING(VbprSettings),
    L_W_SETTING(VbprSettings, "1e-5", "1e-2"),
    {0},
};

static bool init(Model *m, Error *e)
{
    const VbprSettings *s = m->settings;
    const DataSet *d = m->data;
    Vbpr *v = m->own = NEW(m->arena, Vbpr, 1, e);
    if (!v)
        return false;
    bool mmrec = is_mmrec(m);
    int64_t D = s->factors;
    Init xavier = {INIT_XAVIER_UNIFORM, 0};
    v->user = param_new(m->store, "user", d->U, mmrec ? 2 * D : D, xavier, m->seed, e);
    v->item = param_new(m->store, "item", d->I, D, xavier, m->seed, e);
    if (!mmrec) /* Elliot's code initialises g_u twice and never t_u, which keeps torch's N(0, 1) */
        v->user_visual = param_new(m->store, "user_visual", d->U, D, (Init){INIT_NORMAL, 1}, m->seed, e);
    if (e->code != SP_OK)
        return false;
    ModalityPlan plan = {.joined = true, .width = D, .w = {INIT_FAN_IN, 0}, .b = {INIT_FAN_IN, 0}};
    if (mmrec) {
        plan.w = (Init){INIT_XAVIER_NORMAL, 0};
        plan.b = (Init){INIT_ZERO, 0};
    }
    return (v->modality = modalities_new(m, plan, e));
}

/* Returns W f + b of items ids -> [n, D], or of all items if ids is NULL. */
static Tensor *visual(Tape *t, const Model *m, Tensor *ids)
{
    const Vbpr *v = m->own;
    return project_joined(t, v->modality, m->data->feature_count, ids);
}

/* Elliot limits differences of scores to at least -80, so a triple with a larger error has no gradient. Sapor does not:
 * differences are a few units at first, and the triples with the largest errors should be learned. */
static Tensor *loss_elliot(Tape *t, Model *m, const Batch *b)
{
    const VbprSettings *s = m->settings;
    const Vbpr *v = m->own;
    Tensor *pos_at, *neg_at, *items = distinct(t, b->pos, b->neg, &pos_at, &neg_at);
    Tensor *gu = gather(t, v->user, b->user), *tu = gather(t, v->user_visual, b->user);
    Tensor *p = visual(t, m, items);
    const Triples triples[] = {{gu, gather(t, v->item, b->pos), gather(t, v->item, b->neg), 0},
                               {tu, gather(t, p, pos_at), gather(t, p, neg_at), 1e-12f}};
    return bpr_loss(t, 2, triples, (float)(s->l_w / 2));
}

static Tensor *loss_mmrec(Tape *t, Model *m, const Batch *b)
{
    const VbprSettings *s = m->settings;
    const Vbpr *v = m->own;
    Tensor *pos_at, *neg_at, *items = distinct(t, b->pos, b->neg, &pos_at, &neg_at);
    Tensor *u = gather(t, v->user, b->user);
    Tensor *p = visual(t, m, items);
    Tensor *i = concat(t, gather(t, v->item, b->pos), gather(t, p, pos_at));
    Tensor *j = concat(t, gather(t, v->item, b->neg), gather(t, p, neg_at));
    return add_norms(t, bpr_loss(t, 1, &(Triples){u, i, j, 0}, 0), s->l_w, 3, (Tensor *[]){u, i, j}, b->B);
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    return is_mmrec(m) ? loss_mmrec(t, m, b) : loss_elliot(t, m, b);
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    const Vbpr *v = m->own;
    Tensor *p = visual(t, m, NULL);
    *users = is_mmrec(m) ? v->user : concat(t, v->user, v->user_visual);
    *items = concat(t, v->item, is_mmrec(m) ? p : row_normalize(t, p, 1e-12f));
    return true;
}

/* Returns the vectors of items without interactions: g_i = 0, so only the features count. */
static Tensor *new_items(Tape *t, const Model *m, Tensor *const *features)
{
    Tensor *p = project_new(t, m, features);
    if (!is_mmrec(m))
        p = row_normalize(t, p, 1e-12f);
    return concat(t, filled(t, 0, 2, p->shape), p);
}

const Recommender recommender_vbpr = {
    .name = "VBPR",
    .paper = "VBPR: Visual Bayesian Personalized Ranking from Implicit Feedback (He and McAuley, AAAI 2016)",
    .settings = settings,
    .settings_size = sizeof(VbprSettings),
    .sampling = sampling_by_variant,
    .needs_features = true,
    .init = init,
    .loss = loss,
    .represent = represent,
    .new_items = new_items,
};
