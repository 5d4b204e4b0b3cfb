/* recsys/models/mgcn.c: MGCN: Yu et al. 2023, "Multi-View Graph Convolutional Network for Multimedia Recommendation",
 * as MMRec trains it. Elliot has no MGCN: under its protocol, the same recipe is used (recipes.md 7.23).
 *
 *   h_m = E_i * sigmoid(gate_m(W_m f_m + b_m)),  y_m = S_m^n_layers h_m,  V_m = [R y_m; y_m]
 *   C = mean of layers 0 .. n_ui_layers of LightGCN
 *   a = softmax over modalities of q1 tanh(q0 V_m),  common = sum of a_m V_m
 *   side = (common + sum of (V_m - common) * sigmoid(prefer_m(C))) / (modalities + 1),  vectors = C + side
 *   loss = BPR + reg_weight / 2 squares / batch_size + cl_loss [InfoNCE(side_i, C_i) + InfoNCE(side_u, C_u)]
 *
 * S_m [I, I] is made once from the raw features. R [U, I] is the users' block of LightGCN's graph.
 *
 * Everything except the products with these graphs is computed row by row. A step therefore computes V, a, side and the
 * losses only for the users and items of its batch; y_m for these items and the items of these users; and h_m, with the
 * projection, for the neighbours of these items. On Amazon Baby these are nearly all items. There, a step costs three
 * products of [I, D_m] by [D_m, D] per modality (forward pass, gradient of W_m, gradient of the features), and a step
 * of Adam for the features, whose gradient is stored as two factors. */
#include "recsys/models/models.h"

typedef struct View { /* one modality */
    Csr *items;       /* S_m [I, I] */
    Linear gate, prefer;
} View;
typedef struct Mgcn {
    Tables x;
    Modality *modality;     /* [M] trained features */
    View *view;             /* [M] */
    Linear query, score;    /* q0, q1 */
    Csr *adjacency, *block; /* [U + I, U + I], R [U, I] */
} Mgcn;

typedef struct MgcnSettings {
    CommonSettings common;
    int64_t factors, n_ui_layers, n_layers, knn_k;
    KnnSource knn;
    double cl_loss, reg_weight;
} MgcnSettings;
static const Setting settings[] = {
    FACTORS_SETTING(MgcnSettings),
    I64_SETTING(MgcnSettings, n_ui_layers, "2", "2", "propagation steps on the graph of users and items", 0,
                MOST_LAYERS),
    I64_SETTING(MgcnSettings, n_layers, "1", "1", "propagation steps on the item graphs", 0, MOST_LAYERS),
    I64_SETTING(MgcnSettings, knn_k, "10", "10", "neighbours kept per item", 1, INT32_MAX),
    KNN_SETTINGS(MgcnSettings),
    F64_SETTING(MgcnSettings, cl_loss, "0.001", "0.01", "weight of the contrastive loss", 0, FLT_MAX),
    F64_ALSO(MgcnSettings, reg_weight, "1e-4", "1e-4", "weight of half the squares of the batch's vectors", 0, FLT_MAX,
             NOT_HERE("l_w", "set reg_weight"), NOT_HERE("lambda_coeff", "MGCN's code does not use it: leave it out")),
    {"lr_decay", "0.96", "0.96", "the learning rate changes by this factor per 50 epochs",
     F64_OF(MgcnSettings, common.lr_decay), 0, FLT_MAX, lr_decay_aliases},
    {0},
};

/* Makes a layer like PyTorch's Linear(D, out). */
static Linear layer(Model *m, const char *format, const char *name, int64_t out, bool bias, Error *e)
{
    const MgcnSettings *s = m->settings;
    const Init init = {INIT_FAN_IN, 0};
    const char *full = e->code == SP_OK ? arena_printf(m->arena, e, format, name) : NULL;
    return full ? linear_new(m->store, full, out, s->factors, bias, init, init, m->seed, e) : (Linear){0};
}

static bool init(Model *m, Error *e)
{
    const MgcnSettings *s = m->settings;
    Mgcn *g = m->own = NEW(m->arena, Mgcn, 1, e);
    size_t M = m->data->feature_count;
    const ModalityPlan plan = {.trained = true, .width = s->factors, .w = {INIT_FAN_IN, 0}, .b = {INIT_FAN_IN, 0}};
    if (!g || !(g->view = NEW(m->arena, View, M, e)) ||
        !tables_new(m, &g->x, s->factors, (Init){INIT_XAVIER_UNIFORM, 0}, e) ||
        !(g->modality = modalities_new(m, plan, e)))
        return false;
    for (size_t i = 0; i < M; i++) {
        const char *name = g->modality[i].name, *graph = arena_printf(m->arena, e, "items.%s", name);
        g->view[i].gate = layer(m, "gate.%s", name, s->factors, true, e);
        g->view[i].prefer = layer(m, "prefer.%s", name, s->factors, true, e);
        if (!graph || e->code != SP_OK ||
            !(g->view[i].items = item_graph(m, graph, 1, &g->modality[i], NULL, s->knn_k, KNN_COSINE, s->knn, e)))
            return false;
    }
    g->query = layer(m, "query.%s", "0", s->factors, true, e);
    g->score = layer(m, "query.%s", "1", 1, false, e);
    return e->code == SP_OK && (g->adjacency = user_item_graph(m, "adjacency", ADJ_SYM, e)) &&
           (g->block = interaction_graph(m, "block", EDGE_SYM, e));
}

static Propagation of_nodes(const Model *m)
{
    const MgcnSettings *s = m->settings;
    const Mgcn *g = m->own;
    return (Propagation){.graph = g->adjacency, .layers = s->n_ui_layers};
}

static Propagation of_items(const Model *m, size_t i)
{
    const MgcnSettings *s = m->settings;
    const Mgcn *g = m->own;
    return (Propagation){.graph = g->view[i].items, .layers = s->n_layers, .combine = COMBINE_LAST};
}

/* The rows that the vectors of some users and items depend on. A list that is NULL means all rows. */
typedef struct StepRows {
    int64_t user_count, item_count;
    Reach nodes;
    Reach *items;     /* [M]: the rows of y_m that are computed, and the rows they depend on */
    const Csr *block; /* the rows of R of these users */
    /* Positions among the computed rows of y_m: had_at of the train items of these users (the columns of `block`),
     * item_at of the items of the batch. */
    Tensor *had_at, *item_at;
} StepRows;

/* Makes all lists of a step. r NULL: for all users and items. */
static bool make_lists(Tape *t, const Model *m, const BatchRows *r, StepRows *x)
{
    const Mgcn *g = m->own;
    int M = (int)m->data->feature_count;
    Tensor **together = tape_scratch(t, M + 1, sizeof *together), *had, *unused, *smooth = NULL;
    *x = (StepRows){.user_count = r ? rows_of(r->users) : m->data->U,
                    .item_count = r ? rows_of(r->items) : m->data->I,
                    .items = tape_scratch(t, M, sizeof *x->items),
                    .item_at = r ? r->items : NULL};
    if (!together || !x->items)
        return false;
    const Propagation nodes = of_nodes(m);
    x->nodes = reach(t, &nodes, g->x.user, g->x.item, r ? ids_join(t, r->users, m->data->U, r->items) : NULL);
    x->block = csr_rows(t, g->block, r ? r->users : NULL, &had, &unused);
    if (r && had)
        smooth = distinct(t, had, r->items, &x->had_at, &x->item_at);
    together[0] = x->nodes.high_rows;
    for (int i = 0; i < M; i++) {
        const Propagation items = of_items(m, (size_t)i);
        x->items[i] = reach(t, &items, g->x.item, NULL, smooth);
        together[i + 1] = x->items[i].low_rows;
    }
    ids_together(t, M + 1, together);
    return true;
}

static Tensor *pick(Tape *t, Tensor *x, Tensor *ids)
{
    return ids ? gather(t, x, ids) : x;
}

/* Returns V_m of the users, followed by V_m of the items. */
static Tensor *view(Tape *t, const Model *m, size_t i, const StepRows *x)
{
    const Mgcn *g = m->own;
    int64_t mark = tape_mark(t);
    const Propagation items = of_items(m, i);
    Reach picked = x->items[i];
    Tensor *low = picked.low_rows,
           *gate = linear_act(t, project(t, &g->modality[i], low), &g->view[i].gate, ACT_SIGMOID, 0);
    picked.low_rows = NULL; /* the table for propagate has only the rows `low`, so all of its rows are used */
    Tensor *y = propagate(t, &items, mul(t, pick(t, g->x.item, low), gate), NULL, &picked);
    y = stack_rows(t, spmm(t, x->block, pick(t, y, x->had_at)), pick(t, y, x->item_at));
    tape_drop(t, mark, 1, &y);
    return y;
}

/* Computes side and C, each [users + items, D]. */
static void compute(Tape *t, const Model *m, const StepRows *x, Tensor **side, Tensor **content)
{
    const Mgcn *g = m->own;
    int M = (int)m->data->feature_count;
    Tensor **v = tape_scratch(t, M, sizeof *v), *scores = NULL, *common = NULL;
    if (!v)
        return;
    const Propagation nodes = of_nodes(m);
    int64_t mark = tape_mark(t);
    *content = propagate(t, &nodes, g->x.user, g->x.item, &x->nodes);
    for (int i = 0; i < M; i++) {
        v[i] = view(t, m, (size_t)i, x);
        Tensor *score = linear(t, linear_act(t, v[i], &g->query, ACT_TANH, 0), &g->score);
        scores = scores ? concat(t, scores, score) : score;
    }
    Tensor *share = softmax(t, scores);
    for (int i = 0; i < M; i++) {
        Tensor *part = row_scale(t, v[i], cols(t, share, i, 1));
        common = common ? add(t, common, part) : part;
    }
    Tensor *sum = common;
    for (int i = 0; i < M; i++) {
        Tensor *prefer = linear_act(t, *content, &g->view[i].prefer, ACT_SIGMOID, 0);
        sum = add(t, sum, mul(t, sub(t, v[i], common), prefer));
    }
    *side = scale(t, sum, 1.0f / (float)(M + 1));
    tape_drop(t, mark, 2, (Tensor *[]){*side, *content});
}

/* Returns InfoNCE of rows first .. first + count - 1 of both tensors, at positions `at`: with cosines, and the other
 * rows of the batch as negatives. */
static Tensor *contrast(Tape *t, Tensor *side, Tensor *content, int64_t first, int64_t count, Tensor *at)
{
    Tensor *a = gather(t, row_normalize(t, rows(t, side, first, count), 1e-12f), at);
    Tensor *b = gather(t, row_normalize(t, rows(t, content, first, count), 1e-12f), at);
    return mean(t, info_nce(t, a, b, NULL, 0.2));
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const MgcnSettings *s = m->settings;
    BatchRows r = batch_rows(t, b);
    StepRows x;
    Tensor *side = NULL, *content = NULL;
    if (make_lists(t, m, &r, &x))
        compute(t, m, &x, &side, &content);
    int64_t n = x.user_count, k = x.item_count;
    Tensor *all = add(t, content, side);
    /* MMRec divides the squares by the configured batch size, even for a shorter last batch. */
    double l2 = s->reg_weight / 2 * (double)b->B / (double)s->common.batch_size;
    Tensor *sum = rows_bpr(t, rows(t, all, 0, n), rows(t, all, n, k), &r, l2);
    if (s->cl_loss > 0)
        sum =
            add_term(t, sum, add(t, contrast(t, side, content, n, k, r.pos), contrast(t, side, content, 0, n, r.user)),
                     s->cl_loss);
    return sum;
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    StepRows x;
    Tensor *side = NULL, *content = NULL;
    if (make_lists(t, m, NULL, &x))
        compute(t, m, &x, &side, &content);
    split_nodes(t, m, add(t, content, side), users, items);
    return true;
}

const Recommender recommender_mgcn = {
    .name = "MGCN",
    .paper = "Multi-View Graph Convolutional Network for Multimedia Recommendation (Yu et al., MM 2023)",
    .settings = settings,
    .settings_size = sizeof(MgcnSettings),
    .sampling = sampling_every_edge,
    .needs_features = true,
    .init = init,
    .loss = loss,
    .represent = represent,
};
