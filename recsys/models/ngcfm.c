/* recsys/models/ngcfm.c: NGCF-M: NGCF's propagation (Wang et al. 2019) with VBPR's features (He and McAuley 2016), as
 * the benchmark's Elliot trains it (recipes.md 7.15). MMRec has no NGCF-M: under its protocol, the same recipe is used.
 *
 *   score(u, i) = g_u . g_i + t_u . normalize(W f_i + b)
 *
 * g is the mean of NGCF's layers 0 to n_layers, so all layers have the width `factors`. f_i is the concatenation of all
 * modalities; it is not trained. As in NGCF, node dropout drops entries of the graph once per epoch, and message
 * dropout stays on in evaluation under Elliot (ngcf.c gives the reason). As in VBPR, only the distinct items of a batch
 * are projected. */
#include <math.h>

#include "recsys/models/models.h"

typedef struct NgcfM {
    Tables x;
    Tensor *user_visual; /* [U, D]: t_u */
    Modality *modality;  /* projections are [D, D_m] */
    NgcfLayers ngcf;
    Tensor **layer;   /* [n_layers + 1] layers of the last pass, each [U + I, D] */
    Csr *adjacency;   /* [U + I, U + I] */
    const Csr *epoch; /* the same graph after node dropout */
} NgcfM;

typedef struct NgcfMSettings {
    CommonSettings common;
    int64_t factors, n_layers;
    double node_dropout, message_dropout, l_w;
    bool evaluation_dropout;
} NgcfMSettings;
static const Setting settings[] = {
    {"factors", "64", "64", "length D of the embeddings and of each layer's output", I64_OF(NgcfMSettings, factors), 1,
     INT32_MAX, ALIASES(SAME_AS("embedding_size"), NOT_HERE("weight_size", "set factors: each layer has its length"))},
    LAYERS_SETTING(NgcfMSettings, "3", "3"),
    NODE_DROPOUT_SETTING(NgcfMSettings),
    MESSAGE_DROPOUT_SETTING(NgcfMSettings),
    EVALUATION_DROPOUT_SETTING(NgcfMSettings),
    F64_ALSO(NgcfMSettings, l_w, "1e-5", "1e-5", "weight of the regularisation", 0, FLT_MAX,
             NOT_HERE("reg_weight",
                      "set l_w: NGCF-M follows Elliot's recipe, whose penalty is l_w times half the sum of squares")),
    {0},
};

static bool init(Model *m, Error *e)
{
    const NgcfMSettings *s = m->settings;
    NgcfM *g = m->own = NEW(m->arena, NgcfM, 1, e);
    if (!g)
        return false;
    int64_t D = s->factors;
    Init xavier = {INIT_XAVIER_UNIFORM, 0}, bias = {INIT_UNIFORM, sqrt(6.0 / (1.0 + (double)D))};
    const ModalityPlan plan = {.joined = true, .width = D, .w = {INIT_FAN_IN, 0}, .b = {INIT_FAN_IN, 0}};
    g->ngcf = (NgcfLayers){.slope = 0.2f};
    return (g->layer = NEW(m->arena, Tensor *, s->n_layers + 1, e)) && tables_new(m, &g->x, D, xavier, e) &&
           (g->user_visual = param_new(m->store, "user_visual", m->data->U, D, xavier, m->seed, e)) &&
           (g->modality = modalities_new(m, plan, e)) && ngcf_new(m, &g->ngcf, D, D, s->n_layers, xavier, bias, e) &&
           (g->epoch = g->adjacency = user_item_graph(m, "adjacency", ADJ_ROW_SELF, e));
}

static bool epoch(Model *m, Error *e)
{
    const NgcfMSettings *s = m->settings;
    NgcfM *g = m->own;
    if (s->node_dropout > 0)
        g->epoch = dropped_graph(m, "epoch", g->adjacency, s->node_dropout, e);
    return e->code == SP_OK;
}

/* Returns the mean of the layers for nodes ids, or for all if ids is NULL. Rows are gathered before they are added. */
static Tensor *mean_of_layers(Tape *t, const Model *m, const Csr *graph, Tensor *ids)
{
    const NgcfMSettings *s = m->settings;
    const NgcfM *g = m->own;
    g->layer[0] = stack_rows(t, g->x.user, g->x.item);
    ngcf_layers(t, &g->ngcf, graph, tape_training(t) || s->evaluation_dropout ? (float)s->message_dropout : 0,
                g->layer);
    Tensor *sum = NULL;
    for (int64_t l = 0; l <= s->n_layers; l++) {
        Tensor *x = ids ? gather(t, g->layer[l], ids) : g->layer[l];
        sum = sum ? add(t, sum, x) : x;
    }
    return scale(t, sum, 1 / (float)(s->n_layers + 1));
}

/* Elliot limits differences of scores to at least -80, as in VBPR. Sapor does not (recipes.md 7.7). */
static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const NgcfMSettings *s = m->settings;
    const NgcfM *g = m->own;
    BatchRows r = batch_rows(t, b);
    Tensor *nodes = mean_of_layers(t, m, g->epoch, ids_join(t, r.users, m->data->U, r.items));
    Tensor *users = rows(t, nodes, 0, rows_of(r.users)), *items = rows(t, nodes, rows_of(r.users), rows_of(r.items));
    Tensor *p = project_joined(t, g->modality, m->data->feature_count, r.items);
    const Triples triples[] = {{gather(t, users, r.user), gather(t, items, r.pos), gather(t, items, r.neg), 0},
                               {gather(t, g->user_visual, b->user), gather(t, p, r.pos), gather(t, p, r.neg), 1e-12f}};
    return bpr_loss(t, 2, triples, (float)(s->l_w / 2));
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    const NgcfM *g = m->own;
    split_nodes(t, m, mean_of_layers(t, m, g->adjacency, NULL), users, items);
    Tensor *p = project_joined(t, g->modality, m->data->feature_count, NULL);
    *users = concat(t, *users, g->user_visual);
    *items = concat(t, *items, row_normalize(t, p, 1e-12f));
    return true;
}

/* An item without interactions has g_i = 0, as in VBPR. With an embedding of zeros, the layers would give a vector that
 * depends only on their biases. It would be the same for each new item, and without information about it (recipes.md
 * 7.15). */
static Tensor *new_items(Tape *t, const Model *m, Tensor *const *features)
{
    Tensor *p = row_normalize(t, project_new(t, m, features), 1e-12f);
    return concat(t, filled(t, 0, 2, p->shape), p);
}

const Recommender recommender_ngcfm = {
    .name = "NGCF-M",
    .alias = "NGCFM",
    .paper = "Neural Graph Collaborative Filtering (Wang et al., SIGIR 2019) with the features of VBPR (He and "
             "McAuley, AAAI 2016)",
    .settings = settings,
    .settings_size = sizeof(NgcfMSettings),
    .sampling = sampling_distinct_users_full,
    .needs_features = true,
    .init = init,
    .epoch = epoch,
    .loss = loss,
    .represent = represent,
    .new_items = new_items,
};
