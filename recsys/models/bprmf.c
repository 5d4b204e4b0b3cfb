/* recsys/models/bprmf.c: BPR-MF: Rendle et al. 2009, as Elliot and MMRec train it (recipes.md 7.4). There are no
 * biases:
 *
 *   score(u, i) = g_u . g_i
 *
 * Variant paper is LearnBPR, with the initial values of the authors' MyMediaLite. It is SGD on a sum over the batch:
 * -log sigmoid, plus l_w / 2 times the squares of the batch's rows. A step of LearnBPR has one triple: batch_size 1. A
 * larger batch adds up the gradients of its triples. */
#include "recsys/models/models.h"

typedef struct BprmfSettings {
    CommonSettings common;
    int64_t factors;
    double l_w;
} BprmfSettings;
static const Setting settings[] = {
    VARIANT_PAPER_SETTING,
    FACTORS_SETTING(BprmfSettings),
    L_W_SETTING(BprmfSettings, "1e-5", "1e-2"),
    {0},
};

static Sampling sampling(const Model *m)
{
    return is_paper(m) ? SAMPLE_UNIFORM_EDGE : sampling_by_variant(m);
}

static Optim optim(const Model *m)
{
    const BprmfSettings *s = m->settings;
    return optim_default(is_paper(m) ? OPTIM_SGD : OPTIM_ADAM, s->common.lr);
}

static bool init(Model *m, Error *e)
{
    const BprmfSettings *s = m->settings;
    Tables *x = m->own = NEW(m->arena, Tables, 1, e);
    Init start = is_paper(m)   ? (Init){INIT_NORMAL, 0.1}
                 : is_mmrec(m) ? (Init){INIT_XAVIER_NORMAL, 0}
                               : (Init){INIT_XAVIER_UNIFORM, 0};
    return x && tables_new(m, x, s->factors, start, e);
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const BprmfSettings *s = m->settings;
    const Tables *w = m->own;
    Tensor *x[] = {gather(t, w->user, b->user), gather(t, w->item, b->pos), gather(t, w->item, b->neg)};
    const Triples triples = {x[0], x[1], x[2], 0};
    if (is_mmrec(m))
        return add_norms(t, bpr_loss(t, 1, &triples, 0), s->l_w, 3, x, b->B);
    Tensor *loss = bpr_loss(t, 1, &triples, (float)(s->l_w / 2));
    return is_paper(m) ? scale(t, loss, (float)b->B) : loss;
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
    .paper_settings = "lr=0.05 l_w=0.0025 batch_size=1",
    .sampling = sampling,
    .optim = optim,
    .init = init,
    .loss = loss,
    .represent = represent,
};
