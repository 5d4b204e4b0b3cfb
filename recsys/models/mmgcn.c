/* recsys/models/mmgcn.c: MMGCN: Wei et al. 2019, "MMGCN: Multi-modal Graph Convolution Network for Personalized
 * Recommendation of Micro-video", as MMRec and Elliot train it (recipes.md 7.17).
 *
 * For each modality, layer 0 is a preference of each user and the features of each item, as rows of length 1. A layer
 * is:
 *
 *   h = LeakyReLU(mean of neighbours' (x W'))       conv
 *   z = LeakyReLU(x L' + l) + identity              linear
 *   x = LeakyReLU([h, z] G' + g)                    combine
 *
 * `identity` is a table with one vector per node, the embedding of the node's id. All modalities and layers use the
 * same table.
 *
 * The vector of a node is the mean of the last layer over the modalities. Visual features are projected first. Other
 * features are used without projection: a text of 384 numbers has a W of 384 x 384 in conv of the first layer.
 *
 * MMRec and the authors' code draw identities and preferences at the start and do not train them. train_id=true
 * trains them, as in Elliot's code and as the paper describes.
 *
 * Cost. The first layer costs most, with D numbers per node: 256, or 384 for raw texts. The products with W have I
 * rows, not U + I:
 * - Result for users: the I items are projected (x_i W'). Then each user gets the mean of the user's projected items.
 * - Result for items: each item gets the mean of the item's users. Then the I means are projected.
 *
 * If preferences are not trained, the means that items get in the first layer are constant. The normalised preferences
 * and texts are constant, too. These constants are made in the first step: [U, D] and at most twice [I, D] per
 * modality. Later steps sum no rows of users in the first layer.
 *
 * The remaining cost per step and modality, in multiplications: I D_m D for the projection, 2 I D^2 for `conv`, (U + I)
 * D 64 for `linear` and (U + I) (D + 64) 64 for `combine` (64: factors). The backward pass repeats this for W, L and G,
 * and once more for x if x has a gradient. With the two modalities of Baby (4,096 and 384 numbers), the visual
 * projection is half of the total.
 *
 * MMRec and Elliot evaluate the vectors of the last step's forward pass. Here they are computed from the parameters, as
 * in GRCN (recipes.md 7.16). */
#include <math.h>

#include "recsys/models/models.h"

#define SLOPE 0.01f /* slope of LeakyReLU */

typedef struct Channel { /* the tensors of one modality */
    Tensor *features;    /* [I, D_m] */
    Linear projection;   /* [D, D_m]; w NULL: the features are not projected, and D is D_m */
    Tensor *preference;  /* [U, D] */
    /* Constants of layer 0: rows of length 1, and the means that items receive. NULL if each step computes them */
    Tensor *user, *item, *received;  /* [U, D], [I, D], [I, D] */
    Linear *conv, *linear, *combine; /* [n_layers]: W, L and l, G and g */
} Channel;
typedef struct Mmgcn {
    Tables identity;
    Channel *channel;               /* [M] */
    Tensor *squares;                /* [1] the sum of squares of the first channel's preference, if it is constant */
    int64_t first;                  /* the channel that is projected and regularised; -1: none */
    const Csr *to_users, *to_items; /* means over neighbours: [U, I], [I, U] */
    bool ready;                     /* the constants exist */
} Mmgcn;

typedef struct MmgcnSettings {
    CommonSettings common;
    int64_t factors, factors_multimod, n_layers;
    bool train_id;
    double l_w;
} MmgcnSettings;
#define BOTH_HAVE_IT "leave it out: means of neighbours, joined vectors and identities are part of both recipes"
static const Setting settings[] = {
    VARIANT_SETTING,
    FACTORS_SETTING(MmgcnSettings),
    I64_SETTING(MmgcnSettings, factors_multimod, "256", "256", "length of projected visual features; 0: no projection",
                0, INT32_MAX),
    /* Elliot's default is that of its code, because the benchmark has no MMGCN. MMRec's code always has 3, whatever its
     * configuration says. */
    I64_ALSO(MmgcnSettings, n_layers, "2", "3", "propagation steps on the graph of users and items", 1, MOST_LAYERS,
             SAME_AS("num_layers")),
    {"train_id", "true", "false", "train identities and preferences; MMRec's code keeps their initial values",
     BOOL_OF(MmgcnSettings, train_id), 0, 0,
     ALIASES(NOT_HERE("has_id", BOTH_HAVE_IT), NOT_HERE("aggregation", BOTH_HAVE_IT),
             NOT_HERE("concatenation", BOTH_HAVE_IT))},
    F64_ALSO(MmgcnSettings, l_w, "1e-2", "1e-4", "weight of the regularisation; no effect without train_id", 0, FLT_MAX,
             SAME_AS("reg_weight")), /* Elliot's default is that of its code */
    {0},
};

/* ---- parameters and constants ---------------------------------------------------------------- */

/* Draws a table [rows, cols] of identities or preferences. of_rows: the rows of the whole table that it is a part of.
 */
static Tensor *table_new(Model *m, const char *name, int64_t rows, int64_t cols, int64_t of_rows, Error *e)
{
    const MmgcnSettings *s = m->settings;
    Init start = {INIT_XAVIER_UNIFORM, 0};
    if (is_mmrec(m)) /* xavier_normal */
        start = (Init){INIT_NORMAL, sqrt(2.0 / ((double)of_rows + (double)cols))};
    return (s->train_id ? param_new : store_random)(m->store, name, rows, cols, start, m->seed, e);
}

/* "KIND.NAME.LAYER", [N, K] */
static bool layer_new(Model *m, Linear *l, const char *kind, const Feature *f, int64_t layer, int64_t N, int64_t K,
                      bool bias, Init w, Error *e)
{
    const char *name = arena_printf(m->arena, e, "%s.%s.%lld", kind, f->name, (long long)layer);
    if (name)
        *l = linear_new(m->store, name, N, K, bias, w, (Init){INIT_FAN_IN, 0}, m->seed, e);
    return e->code == SP_OK;
}

static bool constants_new(Model *m, Channel *c, int64_t D, Error *e)
{
    const MmgcnSettings *s = m->settings;
    const int64_t users[] = {m->data->U, D}, items[] = {m->data->I, D};
    return (s->train_id || ((c->user = store_f32(m->store, "", 2, users, NULL, e)) &&
                            (c->received = store_f32(m->store, "", 2, items, NULL, e)))) &&
           (c->projection.w || (c->item = store_f32(m->store, "", 2, items, NULL, e)));
}

static bool channel_new(Model *m, Channel *c, const Feature *f, bool projected, Error *e)
{
    const MmgcnSettings *s = m->settings;
    int64_t D = projected ? s->factors_multimod : f->D;
    const Init usual = {INIT_FAN_IN, 0}, xavier = {is_mmrec(m) ? INIT_XAVIER_NORMAL : INIT_XAVIER_UNIFORM, 0};
    const char *projection = arena_printf(m->arena, e, "projection.%s", f->name),
               *preference = arena_printf(m->arena, e, "preference.%s", f->name);
    if (!projection || !preference || !(c->features = feature_tensor(m, f, e)) ||
        !(c->conv = NEW(m->arena, Linear, s->n_layers, e)) || !(c->linear = NEW(m->arena, Linear, s->n_layers, e)) ||
        !(c->combine = NEW(m->arena, Linear, s->n_layers, e)))
        return false;
    if (projected)
        c->projection = linear_new(m->store, projection, D, f->D, true, usual, usual, m->seed, e);
    if (e->code != SP_OK || !(c->preference = table_new(m, preference, m->data->U, D, m->data->U, e)) ||
        !constants_new(m, c, D, e))
        return false;
    for (int64_t l = 0; l < s->n_layers; l++) {
        /* MMRec draws G with xavier only in the first layer */
        Init combine = l == 0 || !is_mmrec(m) ? xavier : usual;
        if (!layer_new(m, &c->conv[l], "conv", f, l, D, D, false, xavier, e) ||
            !layer_new(m, &c->linear[l], "linear", f, l, s->factors, D, true, xavier, e) ||
            !layer_new(m, &c->combine[l], "combine", f, l, s->factors, D + s->factors, true, combine, e))
            return false;
        D = s->factors;
    }
    return true;
}

/* Finds the modality that is projected and regularised: "visual". If no modality has this name, Elliot takes the first
 * modality, and MMRec takes none (-1). */
static bool find_first(const Model *m, int64_t *first, Error *e)
{
    const MmgcnSettings *s = m->settings;
    *first = is_mmrec(m) ? -1 : 0;
    for (size_t i = 0; i < m->data->feature_count; i++)
        if (!strcmp(m->data->features[i].name, "visual"))
            *first = (int64_t)i;
    if (*first < 0 && m->data->feature_count > 1 && s->factors_multimod > 0)
        return fail(e, SP_USAGE,
                    "MMGCN: no features are named visual; give images as --features visual=PATH, or set "
                    "factors_multimod=0 (no projection)");
    return true;
}

static bool init(Model *m, Error *e)
{
    const MmgcnSettings *s = m->settings;
    const DataSet *d = m->data;
    Mmgcn *g = m->own = NEW(m->arena, Mmgcn, 1, e);
    if (!g || !find_first(m, &g->first, e) || !(g->channel = NEW(m->arena, Channel, d->feature_count, e)))
        return false;
    /* MMRec has the identities of users and items in one table */
    if (!(g->identity.user = table_new(m, "identity.user", d->U, s->factors, d->U + d->I, e)) ||
        !(g->identity.item = table_new(m, "identity.item", d->I, s->factors, d->U + d->I, e)))
        return false;
    for (size_t i = 0; i < d->feature_count; i++)
        if (!channel_new(m, &g->channel[i], &d->features[i], (int64_t)i == g->first && s->factors_multimod > 0, e))
            return false;
    if (!s->train_id && g->first >= 0 && !(g->squares = store_f32(m->store, "", 1, (int64_t[]){1}, NULL, e)))
        return false;
    const Csr *shares = interaction_graph(m, "shares", EDGE_ITEM, e);
    return shares && (g->to_items = csr_transpose(m->store, shares, e)) &&
           (g->to_users = interaction_graph(m, "to_users", EDGE_USER, e));
}

/* Makes the constants once, in the first step, because they depend on the initial values of the tables. */
static void make_constants(Tape *t, Mmgcn *g, size_t channels)
{
    for (size_t i = 0; i < channels && !g->ready; i++) {
        const Channel *c = &g->channel[i];
        int64_t mark = tape_mark(t);
        if (c->item)
            tape_keep(t, row_normalize(t, c->features, 1e-12f), c->item, 0);
        if (c->user) {
            Tensor *user = row_normalize(t, c->preference, 1e-12f);
            tape_keep(t, user, c->user, 0);
            tape_keep(t, spmm(t, g->to_items, user), c->received, 0);
        }
        if (g->squares && (int64_t)i == g->first)
            tape_keep(t, sum_squares(t, c->preference), g->squares, 0);
        tape_drop(t, mark, 0, NULL);
    }
    Error ignored = {0};
    g->ready = tape_ok(t, &ignored);
}

/* ---- layers ---------------------------------------------------------------------------------- */

typedef struct Joined { /* Computes [h, z] G' + g as h A' + z B' + g, without storing the concatenated rows. */
    Linear h, z;
} Joined;

static Joined combine_of(Tape *t, const Linear *l, int64_t D)
{
    int64_t N = l->N, K = l->K;
    return (Joined){{.w = cols(t, l->w, 0, D), .N = N, .K = D},
                    {.w = cols(t, l->w, D, K - D), .b = l->b, .N = N, .K = K - D}};
}

/* Returns the result of a layer for the users or the items; h is the value before its LeakyReLU. */
static Tensor *next(Tape *t, const Linear *l, const Joined *c, Tensor *x, Tensor *h, Tensor *identity)
{
    h = activate(t, h, ACT_LEAKY_RELU, SLOPE);
    Tensor *z = add(t, linear_act(t, x, l, ACT_LEAKY_RELU, SLOPE), identity);
    return activate(t, linear_add(t, z, &c->z, linear(t, h, &c->h)), ACT_LEAKY_RELU, SLOPE);
}

/* Returns the last layer of a modality. */
static Tables channel_layers(Tape *t, const Model *m, const Channel *c)
{
    const MmgcnSettings *s = m->settings;
    const Mmgcn *g = m->own;
    Tables x = {c->user, c->item};
    if (!x.user)
        x.user = row_normalize(t, c->preference, 1e-12f);
    if (!x.item)
        x.item = row_normalize(t, linear(t, c->features, &c->projection), 1e-12f);
    for (int64_t l = 0; l < s->n_layers; l++) {
        int64_t mark = tape_mark(t);
        Joined both = combine_of(t, &c->combine[l], c->conv[l].N);
        Tensor *item = linear(t, l == 0 && c->received ? c->received : spmm(t, g->to_items, x.user), &c->conv[l]);
        Tensor *user = spmm(t, g->to_users, linear(t, x.item, &c->conv[l]));
        x = (Tables){next(t, &c->linear[l], &both, x.user, user, g->identity.user),
                     next(t, &c->linear[l], &both, x.item, item, g->identity.item)};
        tape_drop(t, mark, 2, (Tensor *[]){x.user, x.item});
    }
    return x;
}

/* Computes the vectors of users [U, D] and items [I, D]; if b is not NULL, only those in its lists. */
static void compute(Tape *t, const Model *m, const BatchRows *b, Tensor **users, Tensor **items)
{
    Mmgcn *g = m->own;
    size_t M = m->data->feature_count;
    make_constants(t, g, M);
    *users = *items = NULL;
    for (size_t i = 0; i < M; i++) {
        Tables x = channel_layers(t, m, &g->channel[i]);
        if (b)
            x = (Tables){gather(t, x.user, b->users), gather(t, x.item, b->items)};
        *users = i ? add(t, *users, x.user) : x.user;
        *items = i ? add(t, *items, x.item) : x.item;
    }
    *users = scale(t, *users, 1 / (float)M);
    *items = scale(t, *items, 1 / (float)M);
}

/* Adds l_w times two terms:
 * - The mean over the 2 B pairs of the batch and over the factors of (identity of the user)^2 + (identity of the
 *   item)^2. Each triple is two pairs: (user, positive item) and (user, negative item). So the user counts twice.
 * - The mean of squares of all preferences of the modality g->first, if there is one. */
static Tensor *add_regularisation(Tape *t, const Model *m, const Batch *b, Tensor *loss)
{
    const MmgcnSettings *s = m->settings;
    const Mmgcn *g = m->own;
    double each = s->l_w / (2 * (double)b->B * (double)s->factors);
    loss = add_term(t, loss, sum_squares(t, gather(t, g->identity.user, b->user)), 2 * each);
    loss = add_term(t, loss, sum_squares(t, gather(t, g->identity.item, b->pos)), each);
    loss = add_term(t, loss, sum_squares(t, gather(t, g->identity.item, b->neg)), each);
    if (g->first < 0)
        return loss;
    Tensor *preference = g->channel[g->first].preference;
    return add_term(t, loss, g->squares ? g->squares : sum_squares(t, preference), s->l_w / (double)preference->count);
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    Tensor *users, *items;
    BatchRows r = batch_rows(t, b);
    compute(t, m, &r, &users, &items);
    return add_regularisation(t, m, b, rows_bpr(t, users, items, &r, 0));
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    compute(t, m, NULL, users, items);
    return true;
}

const Recommender recommender_mmgcn = {
    .name = "MMGCN",
    .paper = "MMGCN: Multi-modal Graph Convolution Network for Personalized Recommendation of Micro-video (Wei et al., "
             "MM 2019)",
    .settings = settings,
    .settings_size = sizeof(MmgcnSettings),
    .sampling = sampling_every_edge,
    .needs_features = true,
    .init = init,
    .loss = loss,
    .represent = represent,
};
