/* recsys/models/ngcf.c: NGCF: Wang et al. 2019, as the benchmark's Elliot and the authors' code train it (recipes.md
 * 7.6). MMRec has no NGCF: under its protocol, Elliot's recipe is used.
 *
 *   M = L E_l,  E_(l+1) = normalize(dropout(LeakyReLU_0.2(M W1' + b1 + (M * E_l) W2' + b2))),  L = D^-1 (A + I)
 *
 * The vector of a node is the concatenation of its layers 0 to n_layers; score(u, i) is the dot product. The vectors of
 * the batch are regularised. Node dropout drops entries of L, once per epoch. Under Elliot, message dropout stays on in
 * evaluation: its code has the dropout layers in a plain list, which eval() does not reach. A run writes the vectors
 * that were evaluated.
 *
 * In variant paper, each of the two terms has its own LeakyReLU, and the next layer reads the rows before they are
 * normalised. Node dropout is off, and message dropout is off in evaluation. */
#include <math.h>

#include "recsys/models/models.h"

typedef struct Ngcf {
    Tables x;
    NgcfLayers ngcf;
    Tensor **layer;   /* [n_layers + 1] layers of the last pass, each [U + I, width of the layer] */
    Csr *adjacency;   /* [U + I, U + I] */
    const Csr *epoch; /* the same graph after node dropout */
} Ngcf;

typedef struct NgcfSettings {
    CommonSettings common;
    int64_t factors, weight_size, n_layers;
    double node_dropout, message_dropout, l_w;
    bool evaluation_dropout;
} NgcfSettings;
static const Setting settings[] = {
    VARIANT_ELLIOT_PAPER_SETTING,
    FACTORS_SETTING(NgcfSettings),
    {"weight_size", "64", "64", "length of each layer's output", I64_OF(NgcfSettings, weight_size), 1, INT32_MAX,
     ALIASES({"hidden_size_list", "set weight_size and n_layers: [64, 64, 64] is weight_size=64 n_layers=3",
              ALIAS_REFUSED, 0})},
    LAYERS_SETTING(NgcfSettings, "3", "3"),
    NODE_DROPOUT_SETTING(NgcfSettings),
    MESSAGE_DROPOUT_SETTING(NgcfSettings),
    EVALUATION_DROPOUT_SETTING(NgcfSettings),
    {"l_w", "1e-5", "1e-5", "weight of the regularisation", F64_OF(NgcfSettings, l_w), 0, FLT_MAX,
     ALIASES({"reg_weight", "set l_w: NGCF follows Elliot's recipe, whose penalty is l_w times half the sum of squares",
              ALIAS_REFUSED, 0})},
    {0},
};

static bool init(Model *m, Error *e)
{
    const NgcfSettings *s = m->settings;
    Ngcf *g = m->own = NEW(m->arena, Ngcf, 1, e);
    if (!g)
        return false;
    /* the limits of xavier for [1, weight_size] */
    Init xavier = {INIT_XAVIER_UNIFORM, 0}, bias = {INIT_UNIFORM, sqrt(6.0 / (1.0 + (double)s->weight_size))};
    g->ngcf = (NgcfLayers){.slope = 0.2f, .two_acts = is_paper(m), .raw_input = is_paper(m)};
    if (!(g->layer = NEW(m->arena, Tensor *, s->n_layers + 1, e)) || !tables_new(m, &g->x, s->factors, xavier, e) ||
        !ngcf_new(m, &g->ngcf, s->factors, s->weight_size, s->n_layers, xavier, bias, e))
        return false;
    g->epoch = g->adjacency = user_item_graph(m, "adjacency", ADJ_ROW_SELF, e);
    return g->adjacency != NULL;
}

/* Draws the entries of the graph that this epoch uses, if node_dropout is above 0. */
static bool epoch(Model *m, Error *e)
{
    const NgcfSettings *s = m->settings;
    Ngcf *g = m->own;
    if (s->node_dropout > 0)
        g->epoch = dropped_graph(m, "epoch", g->adjacency, s->node_dropout, e);
    return e->code == SP_OK;
}

static void make_layers(Tape *t, const Model *m, const Csr *graph)
{
    const NgcfSettings *s = m->settings;
    const Ngcf *g = m->own;
    g->layer[0] = stack_rows(t, g->x.user, g->x.item);
    ngcf_layers(t, &g->ngcf, graph, tape_training(t) || s->evaluation_dropout ? (float)s->message_dropout : 0,
                g->layer);
}

/* Returns the concatenated layers of some of the nodes first to first + count - 1 (the users or the items). ids [n]
 * selects among them, as numbers from 0; NULL: all of them. Rows are gathered before they are concatenated, so the
 * whole table [U + I, D + n_layers weight_size] exists only in evaluation. */
static Tensor *concat_layers(Tape *t, const Ngcf *g, int64_t first, int64_t count, Tensor *ids)
{
    Tensor *out = NULL;
    for (int64_t l = 0; l <= g->ngcf.layers; l++) {
        Tensor *x = rows(t, g->layer[l], first, count);
        x = ids ? gather(t, x, ids) : x;
        out = out ? concat(t, out, x) : x;
    }
    return out;
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const NgcfSettings *s = m->settings;
    const Ngcf *g = m->own;
    int64_t U = m->data->U, I = m->data->I;
    make_layers(t, m, g->epoch);
    const Triples triples = {concat_layers(t, g, 0, U, b->user), concat_layers(t, g, U, I, b->pos),
                             concat_layers(t, g, U, I, b->neg), 0};
    return bpr_loss(t, 1, &triples, (float)(s->l_w / 2));
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    const Ngcf *g = m->own;
    make_layers(t, m, g->adjacency);
    *users = concat_layers(t, g, 0, m->data->U, NULL);
    *items = concat_layers(t, g, m->data->U, m->data->I, NULL);
    return true;
}

const Recommender recommender_ngcf = {
    .name = "NGCF",
    .paper = "Neural Graph Collaborative Filtering (Wang et al., SIGIR 2019)",
    .settings = settings,
    .settings_size = sizeof(NgcfSettings),
    .paper_settings = "lr=0.0001 epochs=400 node_dropout=0 evaluation_dropout=false",
    .sampling = sampling_distinct_users_full,
    .init = init,
    .epoch = epoch,
    .loss = loss,
    .represent = represent,
};
