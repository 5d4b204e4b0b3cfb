/* recsys/models/lattice.c: LATTICE: Zhang et al. 2021, "Mining Latent Structures for Multimedia Recommendation", as the
 * benchmark's Elliot and MMRec train it (recipes.md 7.8).
 *
 * A graph of similar items is made from the features of each modality: once from the raw features, and once per epoch
 * from their learned projections. Each kind is mixed over modalities with learned weights, then both mixtures are
 * mixed. Item embeddings are smoothed on the result, and added to those of a graph convolution on users and items.
 *
 * cf_model (a setting of MMRec) is this convolution: LightGCN, NGCF's layers, or none (mf).
 *
 * The mixture is computed with gradient in the first batch of an epoch; it is a constant in the other batches. The
 * reference code has dense item x item matrices. Here every graph has k entries per row. As in the reference code,
 * gradients flow only through the kept cosines. */
#include "recsys/models/models.h"

typedef struct Mined { /* graphs of one modality */
    Csr *original;     /* [I, I], from the raw features, normalised */
    Csr *nearest;      /* the neighbours by projected features, from the last evaluation */
    const char *key;   /* name of `nearest` in the store */
} Mined;
typedef struct Lattice {
    Tables x;
    Tensor *modal_weight; /* [M] */
    Modality *modality;   /* [M] trained features; projections are [P, D_m] */
    Mined *mined;         /* [M] */
    Csr *adjacency;       /* [U + I, U + I] */
    NgcfLayers ngcf;      /* if cf_model=ngcf */
    Tensor **layer;       /* [n_ui_layers + 1] layers of a pass, each [U + I, D] */
    Csr *items;           /* item graph of the epoch, without gradient */
    bool evaluated;       /* no step was taken since the last evaluation, so `nearest` is valid for the next epoch */
} Lattice;

typedef enum CfModel { CF_LIGHTGCN, CF_NGCF, CF_MF } CfModel;
static const char *const cf_models[] = {"lightgcn", "ngcf", "mf"};
typedef struct LatticeSettings {
    CommonSettings common;
    int64_t factors, factors_multimod, n_layers, n_ui_layers, top_k;
    int cf_model;
    KnnSource knn;
    double mess_dropout, l_m, l_w;
} LatticeSettings;
static const Setting settings[] = {
    VARIANT_SETTING,
    FACTORS_SETTING(LatticeSettings),
    I64_ALSO(LatticeSettings, factors_multimod, "64", "64", "length of the projected features", 1, INT32_MAX,
             SAME_AS("feat_embed_dim")),
    I64_SETTING(LatticeSettings, n_layers, "1", "1", "propagation steps on the item graph", 0, MOST_LAYERS),
    I64_ALSO(LatticeSettings, n_ui_layers, "2", "2", "propagation steps on the graph of users and items", 0,
             MOST_LAYERS, NOT_HERE("weight_size", "set n_ui_layers, the length of that list")),
    WORD_SETTING(LatticeSettings, cf_model, cf_models, "lightgcn", "lightgcn",
                 "convolution of users and items: lightgcn; ngcf or mf (none), with variant mmrec"),
    F64_SETTING(LatticeSettings, mess_dropout, "0.1", "0.1",
                "share of numbers dropped after each layer of cf_model=ngcf (below 1)", 0, BELOW_ONE),
    I64_ALSO(LatticeSettings, top_k, "20", "10", "neighbours kept per item", 1, INT32_MAX, SAME_AS("knn_k")),
    KNN_SETTINGS(LatticeSettings),
    F64_ALSO(LatticeSettings, l_m, "0.7", "0.9",
             "weight of the graph of the input features; the learned graph has weight 1 - l_m", 0, FLT_MAX,
             SAME_AS("lambda_coeff")),
    L_W_SETTING(LatticeSettings, "1e-5", "1e-3"),
    {"lr_decay", "0.96", "0.96", "the learning rate changes by this factor per 50 epochs",
     F64_OF(LatticeSettings, common.lr_decay), 0, FLT_MAX, lr_decay_aliases},
    {0},
};

static Sampling sampling(const Model *m)
{
    return is_mmrec(m) ? SAMPLE_EVERY_EDGE : SAMPLE_DISTINCT_USERS;
}

/* Elliot's normalisation first sets the diagonal to 1. MMRec's keeps the cosine of an item with itself. */
static Csr *normalized(Tape *t, const Model *m, Csr *g)
{
    return graph_normalize(t, is_mmrec(m) ? g : graph_set_diagonal(t, g, 1));
}

/* Frees all tensors made since `mark` except those of g. Does nothing if the values of g are not computed yet. Returns
 * g. */
static Csr *keep_only(Tape *t, int64_t mark, Csr *g)
{
    if (g && !g->later)
        tape_drop(t, mark, 3, (Tensor *[]){g->start, g->col, g->val});
    return g;
}

/* Makes the graph of the raw features, and stores it. */
static bool mine_original(Model *m, Mined *g, const Modality *x, Error *e)
{
    const LatticeSettings *s = m->settings;
    Tape *t = tape_new(store_device(m->store), false, e);
    const char *key = arena_printf(m->arena, e, "original.%s", x->name);
    if (t && key) {
        Csr *found = nearest_items(t, m, x->name, x->features, s->top_k, s->knn);
        g->original = csr_keep_rows(t, m->store, key, normalized(t, m, found), e);
    }
    tape_free(t);
    return g->original && (g->key = arena_printf(m->arena, e, "nearest.%s", x->name));
}

static bool init(Model *m, Error *e)
{
    const LatticeSettings *s = m->settings;
    if (s->cf_model != CF_LIGHTGCN && !is_mmrec(m))
        return fail(e, SP_USAGE, "LATTICE: setting cf_model=%s: only in MMRec; set variant=mmrec too",
                    cf_models[s->cf_model]);
    Lattice *l = m->own = NEW(m->arena, Lattice, 1, e);
    size_t M = m->data->feature_count;
    if (!l || !(l->mined = NEW(m->arena, Mined, M, e)) ||
        !tables_new(m, &l->x, s->factors, (Init){INIT_XAVIER_UNIFORM, 0}, e))
        return false;
    l->ngcf = (NgcfLayers){.slope = 0.01f, .two_acts = true, .raw_input = true};
    const Init linear = {INIT_FAN_IN, 0};
    if (s->cf_model == CF_NGCF && (!(l->layer = NEW(m->arena, Tensor *, s->n_ui_layers + 1, e)) ||
                                   !ngcf_new(m, &l->ngcf, s->factors, s->factors, s->n_ui_layers, linear, linear, e)))
        return false;
    l->modal_weight =
        param_new(m->store, "modal_weight", (int64_t)M, 0, (Init){INIT_CONSTANT, 1.0 / (double)M}, m->seed, e);
    const ModalityPlan plan = {
        .trained = true, .width = s->factors_multimod, .w = {INIT_FAN_IN, 0}, .b = {INIT_FAN_IN, 0}};
    if (!l->modal_weight || !(l->modality = modalities_new(m, plan, e)))
        return false;
    for (size_t i = 0; i < M; i++)
        if (!mine_original(m, &l->mined[i], &l->modality[i], e))
            return false;
    return (l->adjacency = user_item_graph(m, "adjacency", is_mmrec(m) ? ADJ_ROW_SELF : ADJ_BOTH_SELF, e));
}

/* Finds the neighbours by projected features. If the parameters have not changed since the last evaluation, its
 * neighbours are used again. */
static Csr *learn(Tape *t, const Model *m, int i)
{
    const LatticeSettings *s = m->settings;
    const Lattice *l = m->own;
    Mined *x = &l->mined[i];
    int64_t mark = tape_mark(t);
    Tensor *projected = project(t, &l->modality[i], NULL);
    if (tape_training(t) && l->evaluated)
        return keep_only(t, mark, cosine_graph(t, projected, x->nearest));
    Csr *g = nearest_again(t, m, l->modality[i].name, projected, s->top_k, s->knn);
    Error e = {0};
    if (g && !tape_training(t) && !(x->nearest = csr_keep_rows(t, m->store, x->key, g, &e)))
        tape_fail(t, e.code, "%s", e.message);
    return keep_only(t, mark, g);
}

/* Returns (1 - l_m) normalise(sum w_m knn(W_m f + b)) + l_m sum w_m original_m, with w = softmax(modal_weight). */
static Csr *mine_items(Tape *t, Model *m)
{
    const LatticeSettings *s = m->settings;
    const Lattice *l = m->own;
    int M = (int)m->data->feature_count;
    Csr **learned = tape_scratch(t, M, sizeof(Csr *)), **originals = tape_scratch(t, M, sizeof(Csr *));
    Tensor **weights = tape_scratch(t, M, sizeof(Tensor *));
    if (!learned || !originals || !weights)
        return NULL;
    int64_t mark = tape_mark(t), part;
    Tensor *share = softmax(t, l->modal_weight);
    for (int i = 0; i < M; i++) {
        weights[i] = rows(t, share, i, 1);
        learned[i] = learn(t, m, i);
        originals[i] = l->mined[i].original;
    }
    float l_m = (float)s->l_m;
    part = tape_mark(t);
    Csr *mixed = keep_only(t, part, normalized(t, m, graph_mix(t, M, learned, weights)));
    part = tape_mark(t);
    Csr *both[] = {mixed, keep_only(t, part, graph_mix(t, M, originals, weights))};
    Tensor *shares[] = {filled(t, 1 - l_m, 1, (int64_t[]){1}), filled(t, l_m, 1, (int64_t[]){1})};
    return keep_only(t, mark, graph_mix(t, 2, both, shares));
}

/* The rows that the vectors of some users and items depend on. A batch reads few rows, and these depend on few rows of
 * a large graph. Only the layers of NGCF are computed for all nodes. */
typedef struct Parts {
    TwoGraphs two;
    Tensor *ngcf_nodes; /* if cf_model=ngcf: the users and items in one list of nodes; NULL: all nodes */
} Parts;
/* Makes the lists for these users and items. NULL: for all users and items. */
static Parts graphs(Tape *t, const Model *m, const Csr *items_graph, Tensor *users, Tensor *items)
{
    const LatticeSettings *s = m->settings;
    const Lattice *l = m->own;
    bool light = s->cf_model == CF_LIGHTGCN; /* otherwise two.nodes has 0 layers: its result is rows of the tables */
    Parts p = {.two = {
                   .items = {.graph = items_graph, .layers = s->n_layers, .combine = COMBINE_LAST},
                   .nodes = {.graph = l->adjacency, .layers = light ? s->n_ui_layers : 0, .normalize = !is_mmrec(m)},
               }};
    two_graphs_reach(t, m, &p.two, &l->x, users, items);
    if (s->cf_model == CF_NGCF && users)
        p.ngcf_nodes = ids_join(t, users, m->data->U, items);
    return p;
}

/* Computes the mean of NGCF's layers, for the users and items of p. */
static void ngcf(Tape *t, const Model *m, const Parts *p, Tensor **users, Tensor **items)
{
    const LatticeSettings *s = m->settings;
    const Lattice *l = m->own;
    l->layer[0] = stack_rows(t, l->x.user, l->x.item);
    ngcf_layers(t, &l->ngcf, l->adjacency, tape_training(t) ? (float)s->mess_dropout : 0, l->layer);
    Tensor *sum = NULL;
    for (int64_t i = 0; i <= s->n_ui_layers; i++) {
        Tensor *x = p->ngcf_nodes ? gather(t, l->layer[i], p->ngcf_nodes) : l->layer[i];
        sum = sum ? add(t, sum, x) : x;
    }
    sum = scale(t, sum, 1.0f / (float)(s->n_ui_layers + 1));
    *users = rows(t, sum, 0, p->two.user_count);
    *items = rows(t, sum, p->two.user_count, p->two.item_count);
}

static void compute(Tape *t, const Model *m, const Parts *p, Tensor **users, Tensor **items)
{
    const LatticeSettings *s = m->settings;
    const Lattice *l = m->own;
    int64_t mark = tape_mark(t);
    Tensor *near = two_graphs(t, &p->two, &l->x, users, items);
    if (s->cf_model == CF_NGCF)
        ngcf(t, m, p, users, items);
    *items = add(t, *items, row_normalize(t, near, 1e-12f));
    tape_drop(t, mark, 2, (Tensor *[]){*users, *items});
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const LatticeSettings *s = m->settings;
    Lattice *l = m->own;
    BatchRows r = batch_rows(t, b);
    int64_t mark = tape_mark(t);
    bool mines = b->index == 0 && !b->again;
    Csr *mined = mines ? mine_items(t, m) : l->items;
    Parts p = graphs(t, m, mined, r.users, r.items); /* all patterns are made first, so that they are one upload */
    if (mines) {
        Error e = {0};
        l->evaluated = false;
        l->items = csr_keep_rows(t, m->store, "items", mined, &e);
        if (!l->items)
            tape_fail(t, e.code, "%s", e.message);
    }
    compute(t, m, &p, &r.users, &r.items);
    tape_drop(t, mark, 2, (Tensor *[]){r.users, r.items});
    /* MMRec divides the squares by the configured batch size, even for a shorter last batch. Elliot divides by the rows
     * of the batch. */
    double size = is_mmrec(m) ? (double)s->common.batch_size : (double)b->B;
    return rows_bpr(t, r.users, r.items, &r, s->l_w / 2 * ((double)b->B / size));
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    Lattice *l = m->own;
    int64_t mark = tape_mark(t);
    Csr *mined = mine_items(t, m);
    csr_values(t, mined);
    Parts p = graphs(t, m, keep_only(t, mark, mined), NULL, NULL);
    compute(t, m, &p, users, items);
    l->evaluated = true;
    return true;
}

const Recommender recommender_lattice = {
    .name = "LATTICE",
    .paper = "Mining Latent Structures for Multimedia Recommendation (Zhang et al., MM 2021)",
    .settings = settings,
    .settings_size = sizeof(LatticeSettings),
    .sampling = sampling,
    .needs_features = true,
    .init = init,
    .loss = loss,
    .represent = represent,
};
