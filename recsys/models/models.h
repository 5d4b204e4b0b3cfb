/* recsys/models/models.h: functions that recommenders share. The registry is recsys/registry.c, with one line per
 * model. Comments name the models that use a function; some of these models are not in the registry yet. */
#ifndef SAPOR_MODELS_H
#define SAPOR_MODELS_H

#include <float.h>

#include "recsys/recsys.h"

/* Reports whether the setting `variant` is mmrec (recipes.md 7). In a model without this setting, the protocol decides.
 */
bool is_mmrec(const Model *m);
/* Reports whether the setting `variant` is paper: the recipe of the authors' code, or of the paper if the authors
 * published no code. */
bool is_paper(const Model *m);
enum { MOST_LAYERS = 1000 };
extern const char *const mmrec_variants[2], *const paper_variants[3], *const elliot_variants[3];
/* Rows that several tables of settings have. S is the recommender's settings struct, with a member of the row's name.
 */
#define VARIANT_SETTING                                                                                                \
    {                                                                                                                  \
        "variant", "elliot", "mmrec", "the recipe to follow: elliot or mmrec",                                         \
            WORD_OF(CommonSettings, variant, mmrec_variants), 0, 0, NULL                                               \
    }
/* VARIANT_PAPER_SETTING is for a model whose recipe in the paper differs from Elliot's and from MMRec's.
 * VARIANT_ELLIOT_PAPER_SETTING is for a model that MMRec does not have. Its default is elliot under MMRec's protocol
 * too. For both, Recommender.paper_settings has the defaults of the variant paper. */
#define VARIANT_PAPER_SETTING                                                                                          \
    {                                                                                                                  \
        "variant", "elliot", "mmrec", "the recipe to follow: elliot, mmrec or paper",                                  \
            WORD_OF(CommonSettings, variant, paper_variants), 0, 0, NULL                                               \
    }
#define VARIANT_ELLIOT_PAPER_SETTING                                                                                   \
    {                                                                                                                  \
        "variant", "elliot", "elliot", "the recipe to follow: elliot or paper",                                        \
            WORD_OF(CommonSettings, variant, elliot_variants), 0, 0, NULL                                              \
    }
#define FACTORS_SETTING(S)                                                                                             \
    {                                                                                                                  \
        "factors", "64", "64", "length D of the embeddings", I64_OF(S, factors), 1, INT32_MAX,                         \
            ALIASES({"embedding_size", NULL, ALIAS_SAME, 0})                                                           \
    }
#define LAYERS_SETTING(S, elliot, mmrec)                                                                               \
    {                                                                                                                  \
        "n_layers", elliot, mmrec, "propagation steps on the graph of users and items", I64_OF(S, n_layers), 0,        \
            MOST_LAYERS, NULL                                                                                          \
    }
/* A setting that is a number. Its key is the name of the member.
 *
 * - I64_SETTING, F64_SETTING: the other systems use the same name.
 * - I64_ALSO, F64_ALSO, and WORD_ALSO below: the last arguments are the names in other systems (aliases).
 *   SAME_AS("knn_k") is an accepted name. NOT_HERE("reg_weight", "set l_w") is a refused name, and the error says "set
 *   l_w".
 *
 * NOT_HERE may be given with any setting of the table: a refused name is searched in the aliases of all settings, and
 * its error is the same. SAME_AS must be given with the setting that the name means. */
#define I64_SETTING(S, member, elliot, mmrec, about, least, most)                                                      \
    {                                                                                                                  \
#member, elliot, mmrec, about, I64_OF(S, member), least, most, NULL                                            \
    }
#define F64_SETTING(S, member, elliot, mmrec, about, least, most)                                                      \
    {                                                                                                                  \
#member, elliot, mmrec, about, F64_OF(S, member), least, most, NULL                                            \
    }
#define I64_ALSO(S, member, elliot, mmrec, about, least, most, ...)                                                    \
    {                                                                                                                  \
#member, elliot, mmrec, about, I64_OF(S, member), least, most, ALIASES(__VA_ARGS__)                            \
    }
#define F64_ALSO(S, member, elliot, mmrec, about, least, most, ...)                                                    \
    {                                                                                                                  \
#member, elliot, mmrec, about, F64_OF(S, member), least, most, ALIASES(__VA_ARGS__)                            \
    }
/* A setting whose value is one of several words. `words` is an array such as view_names (not a pointer: its elements
 * are counted), and the member is an int, possibly the number of an enum. Words are compared exactly, and aliases do
 * not translate them: if another system uses other words (RecBole's type: ED), refuse its name with NOT_HERE. In a row
 * without these macros, the member is WORD_OF(S, member, words). */
#define WORD_SETTING(S, member, words, elliot, mmrec, about)                                                           \
    {                                                                                                                  \
#member, elliot, mmrec, about, WORD_OF(S, member, words), 0, 0, NULL                                           \
    }
#define WORD_ALSO(S, member, words, elliot, mmrec, about, ...)                                                         \
    {                                                                                                                  \
#member, elliot, mmrec, about, WORD_OF(S, member, words), 0, 0, ALIASES(__VA_ARGS__)                           \
    }
#define SAME_AS(name)                                                                                                  \
    {                                                                                                                  \
        name, NULL, ALIAS_SAME, 0                                                                                      \
    }
#define NOT_HERE(name, instead)                                                                                        \
    {                                                                                                                  \
        name, instead, ALIAS_REFUSED, 0                                                                                \
    }
/* MMRec's reg_weight multiplies the sum of norms (add_norms, below). Elliot's l_w multiplies half of the sum of squares
 * (add_l2). L_W_SETTING is for models with VARIANT_SETTING whose recipes differ in this way. If reg_weight has the same
 * meaning in both, or l_w is another weight, use F64_ALSO with SAME_AS("reg_weight") or NOT_HERE. */
#define L_W_SETTING(S, elliot, mmrec)                                                                                  \
    {                                                                                                                  \
        "l_w", elliot, mmrec, "weight of the regularisation", F64_OF(S, l_w), 0, FLT_MAX,                              \
            ALIASES({"reg_weight", REG_WEIGHT_INSTEAD, ALIAS_VARIANT_MMREC, 0})                                        \
    }
#define REG_WEIGHT_INSTEAD                                                                                             \
    "set variant=mmrec, whose recipe has this setting, or set l_w, the weight in the recipe of variant elliot"

/* Functions for Recommender.sampling. All except sampling_by_variant always return the same value. sampling_by_variant:
 * uniform users as in Elliot's recipe, or every pair once as in MMRec's. */
Sampling sampling_none(const Model *m);
Sampling sampling_uniform_user(const Model *m);
/* Batches of distinct users. The last batch has the full size too, as in NGCF. (LATTICE's last batch is smaller.) */
Sampling sampling_distinct_users_full(const Model *m);
Sampling sampling_every_edge(const Model *m);
Sampling sampling_every_edge_repeated(const Model *m);
Sampling sampling_no_negative(const Model *m);
Sampling sampling_by_variant(const Model *m);

/* ---- notes of a model (shared/notes.c) ------------------------------------------------------- */

/* Reports a sentence about the model's work, without a full stop. `sapor train` prints it after the model's name. If
 * the result is false, the run must end. */
bool model_note(const Model *m, Error *e, const char *format, ...) PRINTF_LIKE(3, 4);
/* For `init`: reports that `made` of `parts` parts of the work are done. Call it at least once per second in long work.
 * If the result is false, the user ended the run. */
bool model_made(const Model *m, int64_t made, int64_t parts, Error *e);
/* Calls pool_run on the store's device, for some tasks at a time. After each call it reports with model_made that
 * `before` + f of `parts` parts are done. f is the number of tasks that are finished. */
bool model_tasks(const Model *m, size_t tasks, PoolTask *task, void *arg, int64_t before, int64_t parts, Error *e);

/* ---- tables (shared/tables.c) ---------------------------------------------------------------- */

/* The embeddings of users [U, D] and items [I, D]: the parameters "user" and "item" of all recommenders that are
 * trained. For numbers that are drawn and never trained, use store_random (MMGCN). */
typedef struct Tables {
    Tensor *user, *item;
} Tables;
bool tables_new(Model *m, Tables *x, int64_t D, Init init, Error *e);

/* One modality: its features, and their projection W f + b. */
typedef struct Modality {
    const char *name; /* name of the data set's feature: "visual" */
    Tensor *features; /* [I, D_m], "features.NAME" */
    Linear linear;    /* [width, D_m], "projection.NAME.weight" and ".bias"; w is NULL if width is 0 */
} Modality;
typedef struct ModalityPlan {
    bool trained; /* the features are parameters with the data as initial values: BM3, FREEDOM, LATTICE, MGCN */
    /* one projection of the concatenated features, stored in one piece per modality; the first piece has the bias */
    bool joined;
    int64_t width; /* width of the projection; 0: none */
    Init w, b;     /* (Init){INIT_FAN_IN, 0} is torch's default for both */
} ModalityPlan;
/* Makes the modalities of the data set, m->data->feature_count of them, in its order. NULL on failure. Without
 * `trained`, the features are a view of the file if the file allows it. */
Modality *modalities_new(Model *m, ModalityPlan plan, Error *e);
/* Computes W f + b -> [n, width] for items ids [n], or for all items if ids is NULL. List each item once (batch_rows):
 * a projection costs D_m x width multiplications per item. */
Tensor *project(Tape *t, const Modality *x, Tensor *ids);
/* Computes W [f_1 || f_2] + b of a joined plan, as the sum over n modalities of W_m f_m, plus b. The concatenated
 * features are never stored. VBPR, NGCF-M. */
Tensor *project_joined(Tape *t, const Modality *x, size_t n, Tensor *ids);
/* Like project_joined, for the function Recommender.new_items: it uses only the trained parameters of m->store.
 * features[i] [n, D_m] are the features of modality i. Returns [n, width]. */
Tensor *project_new(Tape *t, const Model *m, Tensor *const *features);
/* Makes a constant [I, D_m] of a data set's features: a view, not a copy, if the file allows it. */
Tensor *feature_tensor(Model *m, const Feature *f, Error *e);

/* ---- batches (shared/propagate.c) ------------------------------------------------------------ */

/* The distinct users and items of a batch, in ascending order, and the position of each row of the batch in these
 * lists. A step computes once what depends on `users` and `items` only. LightGCN, SGL, LATTICE, FREEDOM, BM3, MGCN,
 * MMGCN, NGCF-M. */
typedef struct BatchRows {
    Tensor *users, *items; /* I32 [n] */
    /* I32 [B]: users[user[b]] is the user of row b; neg is NULL if the batch has no negatives */
    Tensor *user, *pos, *neg;
} BatchRows;
BatchRows batch_rows(Tape *t, const Batch *b);

/* ---- propagation (shared/propagate.c) -------------------------------------------------------- */

typedef enum Combine { COMBINE_MEAN, COMBINE_SUM, COMBINE_LAST } Combine;
/* E_l = A E_(l-1) for l = 1 .. layers, and how the layers are combined: their mean (LightGCN, BM3, FREEDOM, SGL,
 * SLMRec, MGCN), their sum (DualGNN, LayerGCN), or the last layer (item graphs; LGMRec's modalities). */
typedef struct Propagation {
    const Csr *graph;
    const Csr *const *graphs; /* one graph per layer (SGL's random walks), instead of `graph`; or NULL */
    int64_t layers;
    Combine combine;
    bool skip_input; /* layer 0 is not combined: SimGCL, LayerGCN */
    bool normalize;  /* row_normalize of each layer: Elliot's LATTICE */
    float noise;     /* if above 0: E_l += noise sign(E_l) normalize(draws of [0, 1)): SimGCL, MENTOR */
} Propagation;
/* The nodes of each layer that some rows of the result depend on, as lists of ids. Layer 0 is E_0: the rows of the
 * table `low`, followed by the rows of the table `high` (see propagate). */
typedef struct Reach {
    Tensor *low_rows, *high_rows; /* the rows of each table that the result depends on; NULL: all rows */
    const struct Hop *hop;        /* the nodes of each layer; NULL: all nodes of all layers */
} Reach;
/* Makes the reach of the rows `ids` of the result. `ids` are distinct and in ascending order; NULL: all rows. Make all
 * lists of a step before the first op that uses a list. Then one upload copies them all. If two reaches use the same
 * table, call ids_together, as two_graphs_reach does: the gradients of the table then have one list of rows. */
Reach reach(Tape *t, const Propagation *p, Tensor *low, Tensor *high, Tensor *ids);
/* Computes the rows of the result that are listed in `of` (NULL: all). E_0 is the rows of the table `low`, followed by
 * the rows of the table `high`: users and items, for example. If `high` is NULL, E_0 is `low`. With a reach, only the
 * nodes that these rows depend on are computed, and the gradients of `low` and `high` are sparse: they have only the
 * rows that are used. This is cheaper if there are few layers and the graph is sparse. */
Tensor *propagate(Tape *t, const Propagation *p, Tensor *low, Tensor *high, const Reach *of);
/* Two propagations over the same tables: embeddings of items on a graph of items, and of all nodes on the graph of
 * users and items. LATTICE, FREEDOM, DRAGON, MENTOR, PGL. */
typedef struct TwoGraphs {
    Propagation items, nodes;
    Reach item_reach, node_reach; /* two_graphs_reach sets these, and the numbers of rows */
    int64_t user_count, item_count;
} TwoGraphs;
/* Makes the lists of a step, for users and items as in batch_rows (both NULL: all). Only rows and columns
 * of the graphs are read here: their values may still be unknown (nn.h). */
void two_graphs_reach(Tape *t, const Model *m, TwoGraphs *g, const Tables *x, Tensor *users, Tensor *items);
/* Computes two results for the users and items of two_graphs_reach:
 *
 * - *users and *items: vectors [n, D] by the propagation `nodes`;
 * - the returned tensor: vectors of the items by the propagation `items`.
 *
 * FREEDOM's step, with r = batch_rows(t, b):
 *
 *     two_graphs_reach(t, m, &g, &x, r.users, r.items);
 *     Tensor *users, *items, *near = two_graphs(t, &g, &x, &users, &items);
 *     loss = rows_bpr(t, users, add(t, items, near), &r, 0); */
Tensor *two_graphs(Tape *t, const TwoGraphs *g, const Tables *x, Tensor **users, Tensor **items);
/* Splits a tensor [U + I, D] into users [U, D] and items [I, D]. */
void split_nodes(Tape *t, const Model *m, Tensor *x, Tensor **users, Tensor **items);
/* Computes LightGCN's mean of layers 0 to `layers` for r's users and items (r NULL: all). With r, only the nodes that
 * these rows depend on are computed, as with a reach. LightGCN, BM3, SGL, SLMRec, LGMRec, PGL. */
void light_gcn(Tape *t, const Model *m, const Csr *graph, int64_t layers, const Tables *x, const BatchRows *r,
               Tensor **users, Tensor **items);

/* ---- NGCF's layers (shared/ngcf.c) ----------------------------------------------------------- */

/* The layers of Elliot's NGCF and NGCF-M:
 *
 *   M = A E_l,  E_(l+1) = normalize(dropout(LeakyReLU(M W1' + b1 + (M * E_l) W2' + b2)))
 *
 * `*` is the product of elements, W' the transposed W. */
typedef struct NgcfLayers {
    Linear *sum, *product; /* [layers]: W1, b1 are the parameters "sum.L"; W2, b2 are "product.L" */
    int64_t layers;
    float slope;    /* slope of LeakyReLU */
    bool two_acts;  /* LeakyReLU(M W1' + b1) + LeakyReLU((M * E_l) W2' + b2) instead: the paper, MMRec's LATTICE */
    bool raw_input; /* the next layer reads the rows before normalize: the paper, MMRec's LATTICE */
} NgcfLayers;
/* Makes the parameters of g. Layer 0 reads rows of length D; the result of each layer has rows of length `width`. */
bool ngcf_new(Model *m, NgcfLayers *g, int64_t D, int64_t width, int64_t layers, Init w, Init b, Error *e);
/* Computes layer[1 .. g->layers] from layer[0] [n, D]. graph: [n, n]. `drop` is applied even if the tape is not
 * training. */
void ngcf_layers(Tape *t, const NgcfLayers *g, const Csr *graph, float drop, Tensor **layer);
/* Rows of the settings of NGCF and NGCF-M. */
#define NODE_DROPOUT_SETTING(S)                                                                                        \
    F64_SETTING(S, node_dropout, "0.1", "0.1", "share of graph entries dropped per epoch (below 1)", 0, BELOW_ONE)
#define MESSAGE_DROPOUT_SETTING(S)                                                                                     \
    F64_SETTING(S, message_dropout, "0.1", "0.1", "share of layer outputs dropped per step (below 1)", 0, BELOW_ONE)
#define EVALUATION_DROPOUT_SETTING(S)                                                                                  \
    {                                                                                                                  \
        "evaluation_dropout", "true", "false", "use message_dropout in evaluation too, as Elliot's code does",         \
            BOOL_OF(S, evaluation_dropout), 0, 0, NULL                                                                 \
    }

/* ---- graphs of users and items (shared/user_item.c) ------------------------------------------ */

/* Makes the graph of the train pairs [U + I, U + I], users first. Call csr_index if graph_with follows (GRCN, DGCF). */
Csr *user_item_graph(Model *m, const char *name, Adjacency how, Error *e);

/* Copies g (which has no values): each entry is dropped (becomes 0) with probability p, and the others are multiplied
 * by 1 / (1 - p). The draws depend on m->epoch. This is NGCF's node dropout. Call it from `epoch`. */
Csr *dropped_graph(Model *m, const char *name, const Csr *g, double p, Error *e);

/* The weights of the train pairs R [U, I]. D_u and D_i: the degrees of users and items. */
typedef enum EdgeWeight {
    EDGE_ONES, /* R */
    EDGE_SYM,  /* D_u^-1/2 R D_i^-1/2: a block of ADJ_SYM. MGCN, SMORE */
    EDGE_USER, /* D_u^-1 R: the mean over a user's items. LGMRec, MMSSL */
    EDGE_ITEM  /* R D_i^-1: its transpose gives the mean over an item's users */
} EdgeWeight;
/* Makes the train pairs as a block [U, I]; csr_transpose gives [I, U]. A node without pairs gets zeros. */
Csr *interaction_graph(Model *m, const char *name, EdgeWeight how, Error *e);

typedef enum ThinKind {
    THIN_EDGES, /* keep int(E (1 - drop)) of the E pairs, with equal probabilities. SGL: two_views */
    /* the same with probabilities proportional to 1 / sqrt(d_u d_i), without replacement: FREEDOM, MMGCF, LayerGCN */
    THIN_BY_DEGREE,
    THIN_NODES /* drop int(U drop) users and int(I drop) items, with all their pairs */
} ThinKind;
typedef struct Thinning {
    ThinKind kind;
    double drop;     /* [0, 1) */
    uint32_t stream; /* below 2^31; different streams have different draws */
    Adjacency adjacency;
    bool rounded; /* THIN_EDGES, THIN_NODES: round(n drop) of n are dropped, ties to even, as in Elliot */
} Thinning;
/* Makes user_item_graph of a part of the train pairs, normalised by the degrees of this part. The part is a function of
 * (m->seed, m->epoch, stream): call it from `epoch`, and a resumed run gets graphs of equal contents. A
 * second call with the same `name` returns the same Csr, with new contents. The name is copied. */
Csr *thinned_graph(Model *m, const char *name, Thinning how, Error *e);

typedef enum ViewKind {
    VIEW_EDGES, /* THIN_EDGES: SGL's ED */
    VIEW_NODES, /* THIN_NODES: SGL's ND */
    VIEW_WALKS  /* THIN_EDGES, drawn again for each layer: SGL's RW */
} ViewKind;
extern const char *const view_names[3]; /* the words of a setting of type ViewKind: ed, nd, rw */
typedef struct Views {
    const Csr **view[2]; /* view[v][l] is the graph of layer l + 1; use view[v] as Propagation.graphs */
} Views;
/* Draws two views of the train pairs for m->epoch. Call it from `epoch`, always with the same x, which is {0} at first
 * (as NEW makes it). A view has one graph for all layers, except with VIEW_WALKS. The members of `how` apply to all
 * graphs; its kind and stream are ignored. The graphs are named "view.V.LAYER" in the store, so a model has only one
 * Views. */
bool two_views(Model *m, Views *x, ViewKind kind, Thinning how, int64_t layers, Error *e);
/* Computes light_gcn for both views, with the graph of each layer: users[v] and items[v] belong to view v. `layers`
 * must be that of two_views. (shared/propagate.c) */
void light_gcn_views(Tape *t, const Model *m, const Views *v, int64_t layers, const Tables *x, Tensor *users[2],
                     Tensor *items[2]);

/* ---- graphs of items, graphs of users (shared/neighbours.c) ---------------------------------- */

/* The source of the nearest items: the settings knn and knn_file. */
typedef struct KnnSource {
    int search;       /* a KnnSearch */
    const char *file; /* "visual=PATH,textual=PATH": files for these modalities; "none" or NULL: no file */
} KnnSource;
typedef enum KnnKind {
    KNN_BINARY, /* each of the k values is 1 / k. FREEDOM, DRAGON, PGL, MENTOR */
    /* s_i^-1/2 cos(f_i, f_j) s_j^-1/2; s_i is the sum of the k cosines in row i of the graph. MGCN, SMORE, MICRO */
    KNN_COSINE
} KnnKind;
/* Makes the sum over n modalities of weight[i] (NULL: 1) times the graph [I, I] of the k nearest items of each item, by
 * cosine of features, including the item itself. The graph is computed once, in tiles, and stored under `name`. It has
 * no gradient. */
Csr *item_graph(Model *m, const char *name, size_t n, const Modality *x, const double *weight, int64_t k, KnnKind kind,
                KnnSource source, Error *e);
/* The settings `knn` and `knn_file`: how the nearest items are found. The struct has a member `knn` of type KnnSource.
 * FREEDOM, MGCN, LATTICE. */
#define KNN_SETTINGS(S)                                                                                                \
    {"knn",                                                                                                            \
     "auto",                                                                                                           \
     "auto",                                                                                                           \
     "search of the nearest items: exact, index (approximate), or auto: an index if exact takes too long",             \
     WORD_OF(S, knn.search, knn_searches),                                                                             \
     0,                                                                                                                \
     0,                                                                                                                \
     NULL},                                                                                                            \
    {                                                                                                                  \
        "knn_file", "none", "none", "NAME=PATH,...: .npy files of the nearest items by the features NAME",             \
            TEXT_OF(S, knn.file), 0, 0, NULL                                                                           \
    }
/* Makes knn_graph of the items from x [I, D], the raw features of modality `name`. The neighbours are read or computed
 * as `source` says; a note reports it. */
Csr *nearest_items(Tape *t, Model *m, const char *name, Tensor *x, int64_t k, KnnSource source);
/* The same with projected features. These change in each step, so the neighbours are never read from a file. A note is
 * reported only if an index was made. */
Csr *nearest_again(Tape *t, const Model *m, const char *name, Tensor *x, int64_t k, KnnSource source);

/* Returns the weights of item graphs, one per modality of the data set, for item_graph. Modality `name` has `weight`;
 * the others share 1 - weight. A single modality has 1, whatever its name is. If there are several and none has this
 * name, it is an error (NULL). The names are those of --features; usual names are "visual", "textual", "audio". FREEDOM
 * (mm_image_weight), DRAGON, MENTOR, PGL. */
const double *modality_weights(Model *m, const char *name, double weight, Error *e);

typedef enum Side { SIDE_USERS, SIDE_ITEMS } Side;
/* Makes a graph whose row of a user has the k other users who share the most items with this user. A user who shares
 * fewer than `least` items is not in the row. Of users with equal counts, those with the lower numbers are chosen.
 * (SIDE_ITEMS: the same with users and items exchanged.) The values are the counts of shared items; edge_softmax turns
 * them into DualGNN's weights. The shape is [U, U] or [I, I]. DualGNN, DRAGON (users), DA-MRS (items). */
Csr *cooccurrence_graph(Model *m, const char *name, Side side, int64_t k, int64_t least, Error *e);

/* ---- losses (shared/losses.c) ---------------------------------------------------------------- */

/* Computes BPR of a batch from the vectors of all users and items. l2 is as in bpr_loss. */
Tensor *batch_bpr(Tape *t, Tensor *users, Tensor *items, const Batch *b, double l2);
/* Computes the BPR loss of a batch (bpr_loss) from vectors of r->users and r->items only. LightGCN, SGL, LATTICE,
 * FREEDOM, MGCN, MMGCN. */
Tensor *rows_bpr(Tape *t, Tensor *users, Tensor *items, const BatchRows *r, double l2);
/* Returns loss + weight * term; both are one number; loss NULL: 0. To add a plain number, use add_number (nn.h). Losses
 * in this file are means over the batch. If a paper has sums (SGL), add all terms as means, then multiply the total by
 * B once. */
Tensor *add_term(Tape *t, Tensor *loss, Tensor *term, double weight);
/* Return loss + the regularisation of tensors x[0..n); loss NULL: 0.
 *
 *   add_l2     l_w / 2 (sum of squares) / B            elliot; LATTICE
 *   add_norms  l_w (sum of the Frobenius norms) / B    MMRec's EmbLoss
 *
 * Usually x are the rows of the batch and B is their number. Any tensors and any B are allowed: BM3 uses all users and
 * items, and their number. */
Tensor *add_l2(Tape *t, Tensor *loss, double l_w, int n, Tensor *const *x, int64_t B);
Tensor *add_norms(Tape *t, Tensor *loss, double l_w, int n, Tensor *const *x, int64_t B);
/* Returns the cosine of a[i] and b[i] for each row i -> [B], as F.cosine_similarity: BM3, SELFCF. */
Tensor *cosines(Tape *t, Tensor *a, Tensor *b);
/* Returns the mean over the rows i of 1 - cos(a[i], b[i]) -> [1]: BM3, SELFCF. */
Tensor *cosine_distance(Tape *t, Tensor *a, Tensor *b);
/* InfoNCE (van den Oord et al. 2018), for each row -> [B]:
 *
 *   log(sum over n of exp(a_i . all_n / tau)) - a_i . pos_i / tau,  tau > 0
 *
 * `all` NULL means `pos`: the rows of the batch itself. Rows are not scaled; apply row_normalize first to get cosines.
 * The products [B, N] are never stored. mean() or sum() follows. Over the batch: SLMRec, SimGCL, MGCN, PGL, SMORE. Over
 * all nodes: SGL, LGMRec, DiffMM, MENTOR. */
Tensor *info_nce(Tape *t, Tensor *a, Tensor *pos, Tensor *all, double tau);
/* Computes info_nce of rows ids of two views [N, D] of the same nodes, with cosines, against all rows of b -> [B]: SGL,
 * MENTOR. */
Tensor *contrast_views(Tape *t, Tensor *a, Tensor *b, Tensor *ids, double tau);
/* Returns the mean over the batch of contrast_views of the users, plus that of the positive items -> [1]: SGL. */
Tensor *contrast_batch(Tape *t, Tensor *const users[2], Tensor *const items[2], const Batch *b, double tau);

#endif
