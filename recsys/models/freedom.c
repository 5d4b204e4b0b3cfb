/* recsys/models/freedom.c: FREEDOM: Zhou and Shen 2023, "A Tale of Two Graphs: Freezing and Denoising Graph Structures
 * for Multimodal Recommendation", as the benchmark's Elliot and MMRec train it. Both have the same recipe (recipes.md
 * 7.18).
 *
 *   user = mean of layers 0 .. n_ui_layers of LightGCN;  item = the same + S^n_layers E_i
 *   loss = BPR(user, item) + l_w sum over modalities of BPR(user, W_m f_m + b_m)
 *
 * S is computed once from the nearest items of each modality; it does not change. The features in the loss are trained.
 * Each epoch trains on a part of the train pairs, drawn with probabilities proportional to 1 / sqrt(d_u d_i). An
 * evaluation uses all pairs.
 *
 * A step computes only the rows of both graphs that its batch depends on, and projects the distinct items of the batch.
 * If l_w is 0, the features are read only to make S: they are constants, and there are no projections. */
#include "recsys/models/models.h"

typedef struct Freedom {
    Tables x;
    Modality *modality;
    Csr *items;           /* S [I, I] */
    Csr *whole, *thinned; /* [U + I, U + I] */
} Freedom;

typedef struct FreedomSettings {
    CommonSettings common;
    int64_t factors, n_layers, n_ui_layers, top_k;
    KnnSource knn;
    double mm_image_weight, drop, l_w;
} FreedomSettings;
#define SET_FACTORS "set factors, the length of the projected features"
static const Setting settings[] = {
    FACTORS_SETTING(FreedomSettings),
    I64_ALSO(FreedomSettings, n_layers, "1", "1", "propagation steps on the item graph", 0, MOST_LAYERS,
             SAME_AS("n_mm_layers")),
    I64_ALSO(FreedomSettings, n_ui_layers, "2", "2", "propagation steps on the graph of users and items", 0,
             MOST_LAYERS, NOT_HERE("weight_size", "set n_ui_layers")),
    I64_ALSO(FreedomSettings, top_k, "10", "10", "neighbours kept per item", 1, INT32_MAX, SAME_AS("knn_k")),
    KNN_SETTINGS(FreedomSettings),
    F64_ALSO(FreedomSettings, mm_image_weight, "0.1", "0.1",
             "weight of the item graph of the feature visual; the others share the rest", 0, 1,
             NOT_HERE("mw", "set mm_image_weight, the first number of that pair"),
             NOT_HERE("lambda_coeff", "FREEDOM's code does not use it: leave it out")),
    F64_ALSO(FreedomSettings, drop, "0.8", "0.8", "share of train pairs dropped per epoch (below 1)", 0, BELOW_ONE,
             SAME_AS("dropout")),
    F64_ALSO(FreedomSettings, l_w, "1e-5", "1e-3", "weight of the losses of the modalities", 0, FLT_MAX,
             SAME_AS("reg_weight"), NOT_HERE("feat_embed_dim", SET_FACTORS), NOT_HERE("factors_multimod", SET_FACTORS)),
    {0},
};

static bool init(Model *m, Error *e)
{
    const FreedomSettings *s = m->settings;
    Freedom *f = m->own = NEW(m->arena, Freedom, 1, e);
    bool trained = s->l_w > 0;
    const ModalityPlan plan = {
        .trained = trained, .width = trained ? s->factors : 0, .w = {INIT_FAN_IN, 0}, .b = {INIT_FAN_IN, 0}};
    if (!f || !tables_new(m, &f->x, s->factors, (Init){INIT_XAVIER_UNIFORM, 0}, e) ||
        !(f->modality = modalities_new(m, plan, e)))
        return false;
    const double *weight = modality_weights(m, "visual", s->mm_image_weight, e);
    return weight && (f->whole = f->thinned = user_item_graph(m, "whole", ADJ_SYM_EPS, e)) &&
           (f->items =
                item_graph(m, "items", m->data->feature_count, f->modality, weight, s->top_k, KNN_BINARY, s->knn, e));
}

/* Draws the edges of the graph that this epoch uses, unless `drop` is 0. */
static bool epoch(Model *m, Error *e)
{
    const FreedomSettings *s = m->settings;
    Freedom *f = m->own;
    const Thinning how = {.kind = THIN_BY_DEGREE, .drop = s->drop, .adjacency = ADJ_SYM_EPS};
    return s->drop == 0 || (f->thinned = thinned_graph(m, "thinned", how, e));
}

/* Computes the vectors of the users and items in batch_rows; r NULL: of all. */
static void compute(Tape *t, const Model *m, const Csr *graph, const BatchRows *r, Tensor **users, Tensor **items)
{
    const FreedomSettings *s = m->settings;
    const Freedom *f = m->own;
    TwoGraphs g = {
        .items = {.graph = f->items, .layers = s->n_layers, .combine = COMBINE_LAST},
        .nodes = {.graph = graph, .layers = s->n_ui_layers},
    };
    two_graphs_reach(t, m, &g, &f->x, r ? r->users : NULL, r ? r->items : NULL);
    Tensor *near = two_graphs(t, &g, &f->x, users, items);
    *items = add(t, *items, near);
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const FreedomSettings *s = m->settings;
    const Freedom *f = m->own;
    Tensor *users, *items;
    BatchRows r = batch_rows(t, b);
    compute(t, m, f->thinned, &r, &users, &items);
    Tensor *sum = rows_bpr(t, users, items, &r, 0);
    for (size_t i = 0; i < m->data->feature_count && s->l_w > 0; i++)
        sum = add_term(t, sum, rows_bpr(t, users, project(t, &f->modality[i], r.items), &r, 0), s->l_w);
    return sum;
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    const Freedom *f = m->own;
    compute(t, m, f->whole, NULL, users, items);
    return true;
}

const Recommender recommender_freedom = {
    .name = "FREEDOM",
    .paper = "A Tale of Two Graphs: Freezing and Denoising Graph Structures for Multimodal Recommendation (Zhou and "
             "Shen, MM 2023)",
    .settings = settings,
    .settings_size = sizeof(FreedomSettings),
    .sampling = sampling_every_edge,
    .needs_features = true,
    .init = init,
    .epoch = epoch,
    .loss = loss,
    .represent = represent,
};
