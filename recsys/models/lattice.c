/* recsys/models/lattice.c: LATTICE: Zhang et al. 2021, "Mining Latent Structures for Multimedia Recommendation", as the
 * benchmark's Elliot and MMRec train it (recipes.md 7.8).
 *
 * A graph of alike items is mined from each modality's features: once from the raw ones, and once an epoch from their
 * learned projections. Both kinds are mixed over modalities with learned weights, then with each other; item embeddings
 * are smoothed on the mixture and added to those of a graph convolution on users and items.
 *
 * The mixture is made with gradient on an epoch's first batch and is a constant for its others. The reference code
 * holds dense item x item matrices; here every graph keeps k entries a row, and gradients flow through the kept cosines
 * alone, as they do there. */
#include <math.h>

#include "recsys/models/models.h"

typedef struct Modality {
    Tensor *features;  /* [I, D_m], trainable */
    Linear projection; /* [P, D_m] */
    Csr *original;     /* [I, I], from the raw features, normalised */
    Csr *nearest;      /* the last evaluation's neighbours by projected features */
    const char *key;   /* that one's name in the store */
} Modality;
typedef struct Hop { /* of one layer: the graph's rows `ids`, where these stand in the layer below */
    const Csr *graph;
    Tensor *ids, *at;
} Hop;
typedef struct Lattice {
    Tensor *user, *item, *modal_weight; /* [U, D], [I, D], [M] */
    size_t modalities;
    Modality *m;
    Csr **learned, **originals; /* [M]: room for mine_items' lists */
    Tensor **weights;           /* [M] likewise */
    Csr *adjacency;             /* [U + I, U + I] */
    Csr *items;                 /* the epoch's item graph, without gradient */
    Hop *hop, *item_hop;        /* [layers + 1]: room for plan_hops */
    bool evaluated;             /* no step since the last evaluation: `nearest` holds for the next epoch */
} Lattice;

typedef struct LatticeSettings {
    CommonSettings common;
    int64_t factors, factors_multimod, n_layers, n_ui_layers, top_k;
    double l_m, l_w;
} LatticeSettings;
static const Setting settings[] = {
    VARIANT_SETTING,
    FACTORS_SETTING(LatticeSettings),
    {"factors_multimod", "64", "64", "length of the projected features", I64_OF(LatticeSettings, factors_multimod), 1,
     INT32_MAX, ALIASES({"feat_embed_dim", NULL, ALIAS_SAME, 0})},
    {"n_layers", "1", "1", "propagation steps on the item graph", I64_OF(LatticeSettings, n_layers), 0, MOST_LAYERS,
     NULL},
    {"n_ui_layers", "2", "2", "propagation steps on the graph of users and items", I64_OF(LatticeSettings, n_ui_layers),
     0, MOST_LAYERS,
     ALIASES(
         {"weight_size", "set n_ui_layers, the length of that list", ALIAS_REFUSED, 0},
         {"cf_model", "the convolution is always that of LightGCN: leave it out", ALIAS_REFUSED, 0},
         {"mess_dropout", "it is a setting of cf_model=ngcf, which is not supported: leave it out", ALIAS_REFUSED, 0})},
    {"top_k", "20", "10", "neighbours kept per item", I64_OF(LatticeSettings, top_k), 1, INT32_MAX,
     ALIASES({"knn_k", NULL, ALIAS_SAME, 0})},
    {"l_m", "0.7", "0.9", "weight of the graph of the input features; the learned graph has weight 1 - l_m",
     F64_OF(LatticeSettings, l_m), 0, FLT_MAX, ALIASES({"lambda_coeff", NULL, ALIAS_SAME, 0})},
    L_W_SETTING(LatticeSettings, "1e-5", "1e-3"),
    {"lr_decay", "0.96", "0.96", "the learning rate is multiplied by this over 50 epochs",
     F64_OF(LatticeSettings, common.lr_decay), 0, FLT_MAX, lr_decay_aliases},
    {0},
};

static Sampling sampling(const Model *m)
{
    return is_mmrec(m) ? SAMPLE_EVERY_EDGE : SAMPLE_DISTINCT_USERS;
}

/* Elliot's normalisation sets the diagonal to 1 first; MMRec's leaves the cosine of an item with itself. */
static Csr *normalized(Tape *t, const Model *m, Csr *g)
{
    return graph_normalize(t, is_mmrec(m) ? g : graph_set_diagonal(t, g, 1));
}

static Csr *neighbours(Tape *t, const Model *m, Tensor *x)
{
    const LatticeSettings *s = m->settings;
    return knn_graph(t, x, s->top_k);
}

/* g alone stays of what was made since `mark`. */
static Csr *only(Tape *t, int64_t mark, Csr *g)
{
    if (g)
        tape_drop(t, mark, 3, (Tensor *[]){g->start, g->col, g->val});
    return g;
}

/* The graph of the raw features, kept in the store. */
static bool mine_original(Model *m, Modality *x, const char *name, Error *e)
{
    Tape *t = tape_new(store_device(m->store), false, e);
    const char *key = arena_printf(m->arena, e, "original.%s", name);
    if (t && key)
        x->original = csr_keep_rows(t, m->store, key, normalized(t, m, neighbours(t, m, x->features)), e);
    tape_free(t);
    return x->original != NULL;
}

static bool init(Model *m, Error *e)
{
    const LatticeSettings *s = m->settings;
    const DataSet *d = m->data;
    Lattice *l = m->own = NEW(m->arena, Lattice, 1, e);
    size_t M = d->feature_count;
    if (!l || !(l->m = NEW(m->arena, Modality, M, e)) || !(l->learned = NEW(m->arena, Csr *, M, e)) ||
        !(l->originals = NEW(m->arena, Csr *, M, e)) || !(l->weights = NEW(m->arena, Tensor *, M, e)))
        return false;
    l->modalities = M;
    if (!(l->hop = NEW(m->arena, Hop, s->n_ui_layers + 1, e)) ||
        !(l->item_hop = NEW(m->arena, Hop, s->n_layers + 1, e)))
        return false;
    Init xavier = {INIT_XAVIER_UNIFORM, 0};
    int64_t D = s->factors, P = s->factors_multimod;
    l->user = param_new(m->store, "user", d->U, D, xavier, m->seed, e);
    l->item = param_new(m->store, "item", d->I, D, xavier, m->seed, e);
    l->modal_weight =
        param_new(m->store, "modal_weight", (int64_t)M, 0, (Init){INIT_CONSTANT, 1.0 / (double)M}, m->seed, e);
    for (size_t i = 0; i < M && e->code == SP_OK; i++) {
        const Feature *f = &d->features[i];
        Init bound = {INIT_UNIFORM, 1 / sqrt((double)f->D)}; /* torch's Linear default */
        const char *table = arena_printf(m->arena, e, "features.%s", f->name);
        const char *linear = arena_printf(m->arena, e, "projection.%s", f->name);
        if (!table || !linear || !(l->m[i].key = arena_printf(m->arena, e, "nearest.%s", f->name)))
            return false;
        l->m[i].features = param_from(m->store, table, d->I, f->D, f->data, e);
        l->m[i].projection = linear_new(m->store, linear, P, f->D, true, bound, bound, m->seed, e);
        if (e->code != SP_OK || !mine_original(m, &l->m[i], f->name, e))
            return false;
    }
    l->adjacency = e->code == SP_OK ? csr_bipartite(m->store, "adjacency", d->U, d->I, d->train.start, d->train.item,
                                                    is_mmrec(m) ? ADJ_ROW_SELF : ADJ_BOTH_SELF, e)
                                    : NULL;
    return l->adjacency != NULL;
}

/* Neighbours by projected features. An epoch begins with the parameters that were evaluated last: what was found then
 * is kept. */
static Csr *learned(Tape *t, const Model *m, Modality *x)
{
    const Lattice *l = m->own;
    Tensor *projected = linear(t, x->features, &x->projection);
    if (tape_training(t) && l->evaluated)
        return cosine_graph(t, projected, x->nearest);
    Csr *g = neighbours(t, m, projected);
    Error e = {0};
    if (g && !tape_training(t) && !(x->nearest = csr_keep_rows(t, m->store, x->key, g, &e)))
        tape_fail(t, e.code, "%s", e.message);
    return g;
}

/* (1 - l_m) normalise(sum w_m knn(W_m f + b)) + l_m sum w_m original_m, w = softmax(modal_weight) */
static Csr *mine_items(Tape *t, Model *m)
{
    const LatticeSettings *s = m->settings;
    const Lattice *l = m->own;
    int M = (int)l->modalities;
    int64_t mark = tape_mark(t), part;
    Tensor *share = softmax(t, l->modal_weight);
    for (int i = 0; i < M; i++) {
        l->weights[i] = rows(t, share, i, 1);
        part = tape_mark(t);
        l->learned[i] = only(t, part, learned(t, m, &l->m[i]));
        l->originals[i] = l->m[i].original;
    }
    float l_m = (float)s->l_m, rest = 1 - l_m;
    part = tape_mark(t);
    Csr *mixed = only(t, part, normalized(t, m, graph_mix(t, M, l->learned, l->weights)));
    part = tape_mark(t);
    Csr *both[] = {mixed, only(t, part, graph_mix(t, M, l->originals, l->weights))};
    Tensor *shares[] = {input_f32(t, &rest, 1, (int64_t[]){1}), input_f32(t, &l_m, 1, (int64_t[]){1})};
    return only(t, mark, graph_mix(t, 2, both, shares));
}

static Tensor *pick(Tape *t, Tensor *x, Tensor *ids)
{
    return ids ? gather(t, x, ids) : x;
}

/* hop[n] to hop[1]: what each layer of n reads of the one below, to end with rows ids (NULL: all). */
static void plan_hops(Tape *t, const Csr *graph, Tensor *ids, int64_t n, Hop *hop)
{
    hop[n].ids = ids;
    for (; n > 0; n--)
        hop[n].graph = csr_rows(t, graph, hop[n].ids, &hop[n - 1].ids, &hop[n].at);
}

/* A^n item, at the rows that hop[0 .. n] ends with */
static Tensor *smooth_items(Tape *t, const Lattice *l, const Hop *hop, int64_t n)
{
    int64_t mark = tape_mark(t);
    Tensor *h = pick(t, l->item, hop[0].ids);
    for (int64_t i = 1; i <= n; i++) {
        h = spmm(t, hop[i].graph, h);
        tape_drop(t, mark, 1, &h);
    }
    return h;
}

/* The mean of n + 1 layers on the graph of users and items, at the rows that hop[0 .. n] ends with. users and items:
 * those of layer 0, NULL for all. */
static Tensor *convolve(Tape *t, const Model *m, Tensor *users, Tensor *items, const Hop *hop, int64_t n)
{
    const Lattice *l = m->own;
    int64_t mark = tape_mark(t);
    Tensor *x = stack_rows(t, pick(t, l->user, users), pick(t, l->item, items)), *sum = x;
    for (int64_t i = 1; i <= n; i++) {
        x = spmm(t, hop[i].graph, x);
        if (!is_mmrec(m))
            x = row_normalize(t, x, 1e-12f);
        sum = add(t, pick(t, sum, hop[i].at), x);
        tape_drop(t, mark, 2, (Tensor *[]){x, sum});
    }
    return scale(t, sum, 1.0f / (float)(n + 1));
}

/* Final vectors of users and items (NULL: of all). A batch reads few rows, and these read few of a large graph. */
static void propagate(Tape *t, Model *m, const Csr *graph, Tensor **users, Tensor **items)
{
    const LatticeSettings *s = m->settings;
    const Lattice *l = m->own;
    int64_t mark = tape_mark(t), U = *users ? rows_of(*users) : m->data->U, I = *items ? rows_of(*items) : m->data->I;
    Tensor *low = NULL, *high = NULL;
    plan_hops(t, graph, *items, s->n_layers, l->item_hop); /* lists first, of both graphs: one upload */
    plan_hops(t, l->adjacency, *users ? ids_join(t, *users, m->data->U, *items) : NULL, s->n_ui_layers, l->hop);
    if (l->hop[0].ids)
        low = ids_split(t, l->hop[0].ids, m->data->U, &high);
    if (high && l->item_hop[0].ids) /* both are rows of `item` */
        ids_together(t, 2, (Tensor *[]){l->item_hop[0].ids, high});
    Tensor *h = smooth_items(t, l, l->item_hop, s->n_layers);
    Tensor *x = convolve(t, m, low, high, l->hop, s->n_ui_layers);
    *users = rows(t, x, 0, U);
    *items = add(t, rows(t, x, U, I), row_normalize(t, h, 1e-12f));
    tape_drop(t, mark, 2, (Tensor *[]){*users, *items});
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const LatticeSettings *s = m->settings;
    Lattice *l = m->own;
    const Csr *graph = l->items;
    Tensor *user_at, *pos_at, *neg_at;
    Tensor *users = distinct(t, b->user, NULL, &user_at, NULL), *items = distinct(t, b->pos, b->neg, &pos_at, &neg_at);
    int64_t mark = tape_mark(t);
    if (b->index == 0) {
        Csr *mined = mine_items(t, m);
        l->evaluated = false;
        Error e = {0};
        graph = mined;
        l->items = csr_keep_rows(t, m->store, "items", mined, &e);
        if (!l->items)
            tape_fail(t, e.code, "%s", e.message);
    }
    propagate(t, m, graph, &users, &items);
    tape_drop(t, mark, 2, (Tensor *[]){users, items});
    const Triples triples = {gather(t, users, user_at), gather(t, items, pos_at), gather(t, items, neg_at), 0};
    /* MMRec divides the squares by the configured batch size, of an epoch's short last batch too; Elliot by the batch's
     * rows. */
    double size = is_mmrec(m) ? (double)s->common.batch_size : (double)b->B;
    return bpr_loss(t, 1, &triples, (float)(s->l_w / 2 * ((double)b->B / size)));
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    Lattice *l = m->own;
    *users = *items = NULL;
    propagate(t, m, mine_items(t, m), users, items);
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
