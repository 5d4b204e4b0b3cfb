/* recsys/models/bprmf.c: BPR-MF: Rendle et al. 2009, as Elliot and MMRec train it (recipes.md 7.4). score(u, i) = g_u .
 * g_i, no biases. */
#include "recsys/models/models.h"

typedef struct BprmfSettings {
    CommonSettings common;
    int64_t factors;
    double l_w;
} BprmfSettings;
static const Setting settings[] = {
    VARIANT_SETTING,
    FACTORS_SETTING(BprmfSettings),
    L_W_SETTING(BprmfSettings, "1e-5", "1e-2"),
    {0},
};

static bool init(Model *m, Error *e)
{
    const BprmfSettings *s = m->settings;
    Tables *x = m->own = NEW(m->arena, Tables, 1, e);
    return x && tables_new(m, x, s->factors, (Init){is_mmrec(m) ? INIT_XAVIER_NORMAL : INIT_XAVIER_UNIFORM, 0}, e);
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const BprmfSettings *s = m->settings;
    const Tables *w = m->own;
    Tensor *x[] = {gather(t, w->user, b->user), gather(t, w->item, b->pos), gather(t, w->item, b->neg)};
    const Triples triples = {x[0], x[1], x[2], 0};
    return is_mmrec(m) ? add_norms(t, bpr_loss(t, 1, &triples, 0), s->l_w, 3, x, b->B)
                       : bpr_loss(t, 1, &triples, (float)(s->l_w / 2));
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    (void)t;
    const Tables *w = m->own;
    *users = w->user;
    *items = w->item;
    return true;
}

const Recommender recommender_bprmf = {
    .name = "BPRMF",
    .alias = "BPR",
    .paper = "BPR: Bayesian Personalized Ranking from Implicit Feedback (Rendle et al., UAI 2009)",
    .settings = settings,
    .settings_size = sizeof(BprmfSettings),
    .sampling = sampling_by_variant,
    .init = init,
    .loss = loss,
    .represent = represent,
};
