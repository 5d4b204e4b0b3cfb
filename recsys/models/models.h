/* recsys/models/models.h: what the recommenders share. Registry: one line per model in recsys/registry.c. Comments name
 * the models that use a function; some of them are not in the registry yet. */
#ifndef SAPOR_MODELS_H
#define SAPOR_MODELS_H

#include <float.h>

#include "recsys/recsys.h"

/* Whether the setting `variant` says mmrec (recipes.md 7). The default follows the protocol, in a model without the
 * setting too. */
bool is_mmrec(const Model *m);
/* Whether it says paper: the authors' code, or the paper where they published none. */
bool is_paper(const Model *m);
enum { MOST_LAYERS = 1000 };
extern const char *const mmrec_variants[2], *const paper_variants[3], *const elliot_variants[3];
/* Rows that several tables of settings have; S is the recommender's struct, with the member that the row names. */
#define VARIANT_SETTING                                                                                                \
    {                                                                                                                  \
        "variant", "elliot", "mmrec", "the recipe to follow: elliot or mmrec",                                         \
            WORD_OF(CommonSettings, variant, mmrec_variants), 0, 0, NULL                                               \
    }
/* The same where the recipe of the paper differs from both; and of a model that Elliot has and MMRec does not: under
 * MMRec's protocol its default is elliot too. Recommender.paper_settings has the defaults of paper. */
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
/* A number whose key is the member's name. I64_SETTING, F64_SETTING: other systems call it the same. I64_ALSO, F64_ALSO
 * and WORD_ALSO end with other names of it: SAME_AS("knn_k") is accepted, NOT_HERE("reg_weight", "set l_w") is refused.
 * Any row may have a refused name: it need not be a name of that setting. */
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
/* A setting that is one of words, an array such as view_names: its member is an int, or an enum's number in an int.
 * Words are compared exactly, and aliases do not map them: refuse another system's name with other words (RecBole's
 * type: ED) by NOT_HERE. WORD_OF(S, member, words) is the same member in a row that is written out; it counts the
 * array, so a pointer to one does not do. */
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
/* reg_weight is MMRec's weight of norms; Elliot's l_w weighs halves of squares: for models with VARIANT_SETTING whose
 * recipes differ so (add_l2, add_norms). Where reg_weight means the same in both, or l_w is another weight: F64_ALSO
 * with SAME_AS("reg_weight") or NOT_HERE. */
#define L_W_SETTING(S, elliot, mmrec)                                                                                  \
    {                                                                                                                  \
        "l_w", elliot, mmrec, "weight of the regularisation", F64_OF(S, l_w), 0, FLT_MAX,                              \
            ALIASES({"reg_weight", REG_WEIGHT_INSTEAD, ALIAS_VARIANT_MMREC, 0})                                        \
    }
#define REG_WEIGHT_INSTEAD                                                                                             \
    "set variant=mmrec, whose recipe has this setting, or set l_w, the weight in the recipe of variant elliot"

/* Recommender.sampling of a model that always draws in one way; sampling_by_variant: uniform users as in Elliot's
 * recipe, or every pair once as in MMRec's. */
Sampling sampling_none(const Model *m);
Sampling sampling_uniform_user(const Model *m);
Sampling sampling_distinct_users_full(const Model *m); /* NGCF's own sampler; LATTICE's cuts the last batch */
Sampling sampling_every_edge(const Model *m);
Sampling sampling_every_edge_repeated(const Model *m);
Sampling sampling_no_negative(const Model *m);
Sampling sampling_by_variant(const Model *m);

/* ---- what a model says (shared/told.c) ------------------------------------------------------- */

/* A sentence about the model's work, without a full stop: `sapor train` prints it behind the model's name. false: the
 * run is to end. */
bool model_note(const Model *m, Error *e, const char *format, ...) PRINTF_LIKE(3, 4);
/* Of `init`: so many parts of the work are done. To be called at least once a second where the work takes long: the
 * user may end the run, and then the result is false. */
bool model_made(const Model *m, int64_t made, int64_t parts, Error *e);
/* pool_run on the store's device, some tasks at a time; after each time model_made with before + the tasks done. */
bool model_tasks(const Model *m, size_t tasks, PoolTask *task, void *arg, int64_t before, int64_t parts, Error *e);

/* ---- tables (shared/tables.c) ---------------------------------------------------------------- */

/* The embeddings of users [U, D] and items [I, D]: parameters "user" and "item". All recommenders that learn. Numbers
 * that a recipe draws and never trains are store_random's (MMGCN). */
typedef struct Tables {
    Tensor *user, *item;
} Tables;
bool tables_new(Model *m, Tables *x, int64_t D, Init init, Error *e);

/* One modality: its features, and their projection W f + b. */
typedef struct Modality {
    const char *name; /* of the data set's feature: "visual" */
    Tensor *features; /* [I, D_m], "features.NAME" */
    Linear linear;    /* [width, D_m], "projection.NAME.weight" and ".bias"; w NULL where width is 0 */
} Modality;
typedef struct ModalityPlan {
    bool trained;  /* the features are parameters that start at the data's numbers: BM3, FREEDOM, LATTICE, MGCN */
    bool joined;   /* one projection of all features side by side, in one piece a modality; the first has its bias */
    int64_t width; /* of a projection; 0: none */
    Init w, b;     /* (Init){INIT_FAN_IN, 0} is torch's default for both */
} ModalityPlan;
/* The data set's modalities, in its order: m->data->feature_count of them. NULL on failure. Without `trained` the
 * features are a view of the file where it allows that. */
Modality *modalities_new(Model *m, ModalityPlan plan, Error *e);
/* W f + b of items ids [n], or of all where ids is NULL -> [n, width]. Give each item once (batch_rows): a projection
 * costs D_m x width products an item. */
Tensor *project(Tape *t, const Modality *x, Tensor *ids);
/* sum over n modalities of W_m f_m, with one b: W [f_1 || f_2] + b of a joined plan. The table of all features side by
 * side never exists. VBPR, NGCF-M. */
Tensor *project_joined(Tape *t, const Modality *x, size_t n, Tensor *ids);
/* The same for items that training does not have, in new_items: by the trained parameters in m->store alone;
 * features[i] [n, D_m] of each modality -> [n, width]. */
Tensor *project_new(Tape *t, const Model *m, Tensor *const *features);
/* A data set's features as a constant [I, D_m]: a view, not a copy, where the file allows. */
Tensor *feature_tensor(Model *m, const Feature *f, Error *e);

/* ---- batches (shared/propagate.c) ------------------------------------------------------------ */

/* A batch's users and items, each once and ascending, and where the batch's rows are in these lists. What a step
 * computes for `users` and `items` alone it computes once. LightGCN, SGL, LATTICE, VBPR, FREEDOM, BM3, MGCN. */
typedef struct BatchRows {
    Tensor *users, *items;    /* I32 [n] */
    Tensor *user, *pos, *neg; /* I32 [B]: users[user[b]] is b's user; neg NULL where the batch has none */
} BatchRows;
BatchRows batch_rows(Tape *t, const Batch *b);
/* batch_bpr from vectors of r->users and r->items. LightGCN, SGL, LATTICE, FREEDOM, MGCN. */
Tensor *rows_bpr(Tape *t, Tensor *users, Tensor *items, const BatchRows *r, double l2);

/* ---- propagation (shared/propagate.c) -------------------------------------------------------- */

typedef enum Combine { COMBINE_MEAN, COMBINE_SUM, COMBINE_LAST } Combine;
/* E_l = A E_(l-1), l = 1 .. layers, and what becomes of the layers: their mean (LightGCN, BM3, FREEDOM, SGL, SLMRec,
 * MGCN), sum (GRCN, DualGNN, LayerGCN) or the last (item graphs; LGMRec's modalities). */
typedef struct Propagation {
    const Csr *graph;
    const Csr *const *graphs; /* one per layer instead of graph (SGL's random walks), or NULL */
    int64_t layers;
    Combine combine;
    bool skip_input; /* layer 0 is not one of those that are combined: SimGCL, LayerGCN */
    bool normalize;  /* each layer by row_normalize: GRCN, Elliot's LATTICE */
    float noise;     /* > 0: E_l += noise sign(E_l) normalize(draws of [0, 1)): SimGCL, MENTOR */
} Propagation;
/* What some rows of the result read of each layer below, as lists of ids. */
typedef struct Reach {
    Tensor *low, *high;    /* layer 0: these rows of each table; NULL: all rows */
    const struct Hop *hop; /* the layers above; NULL: all rows of all layers */
} Reach;
/* Of rows ids, ascending and each once; NULL: all. Make the lists of a step before its first op that reads one: they
 * travel to the device in one upload. Where two reaches read one table, say so by ids_together, as in two_graphs. */
Reach reach(Tape *t, const Propagation *p, Tensor *low, Tensor *high, Tensor *ids);
/* The rows of the result that `of` says (NULL: all). E_0 is `low` with the rows of `high` behind it, or `low` alone
 * where high is NULL. With a reach only the nodes that its rows read are computed: cheaper than all where layers are
 * few and the graph is sparse, and the gradients of low and high are those of rows. */
Tensor *propagate(Tape *t, const Propagation *p, Tensor *low, Tensor *high, const Reach *of);
/* Two propagations over the same tables: items' embeddings on a graph of items, and all nodes on that of users and
 * items. LATTICE, FREEDOM, DRAGON, MENTOR, PGL. */
typedef struct TwoGraphs {
    Propagation items, nodes;
    Reach item_reach, node_reach; /* set by two_graphs_reach, with the numbers of rows */
    int64_t user_count, item_count;
} TwoGraphs;
/* The lists of a step, for users and items as batch_rows has them (both NULL: all). A graph whose values are not made
 * yet (nn.h) may be given: its values come later. */
void two_graphs_reach(Tape *t, const Model *m, TwoGraphs *g, const Tables *x, Tensor *users, Tensor *items);
/* Outputs *users and *items: the vectors [n, D] by `nodes` of two_graphs_reach's users and items. The result: those of
 * the items by `items`. FREEDOM's step, r = batch_rows(t, b):
 *     two_graphs_reach(t, m, &g, &x, r.users, r.items);
 *     Tensor *users, *items, *near = two_graphs(t, &g, &x, &users, &items);
 *     loss = rows_bpr(t, users, add(t, items, near), &r, 0); */
Tensor *two_graphs(Tape *t, const TwoGraphs *g, const Tables *x, Tensor **users, Tensor **items);
/* A tensor [U + I, D] as users [U, D] and items [I, D]. */
void split_nodes(Tape *t, const Model *m, Tensor *x, Tensor **users, Tensor **items);
/* The mean of layers 0 to `layers` of r's users and items (NULL: all): LightGCN, BM3, FREEDOM, SGL, SLMRec, MGCN,
 * LGMRec, PGL. With r, the nodes that these rows read are computed, as with a reach. */
void light_gcn(Tape *t, const Model *m, const Csr *graph, int64_t layers, const Tables *x, const BatchRows *r,
               Tensor **users, Tensor **items);

/* ---- NGCF's layers (shared/ngcf.c) ----------------------------------------------------------- */

/* M = A E_l,  E_l+1 = normalize(dropout(LeakyReLU(M W1' + b1 + (M * E_l) W2' + b2))): Elliot's NGCF and NGCF-M. */
typedef struct NgcfLayers {
    Linear *sum, *product; /* [layers]: W1, b1: parameters "sum.L"; W2, b2: "product.L" */
    int64_t layers;
    float slope;    /* of LeakyReLU */
    bool two_acts;  /* LeakyReLU(M W1' + b1) + LeakyReLU((M * E_l) W2' + b2): the paper, MMRec's LATTICE */
    bool raw_input; /* the next layer reads the rows before normalize: the paper, MMRec's LATTICE */
} NgcfLayers;
/* The parameters of g: layer 0 reads rows of length D, each layer's result has rows of length `width`. */
bool ngcf_new(Model *m, NgcfLayers *g, int64_t D, int64_t width, int64_t layers, Init w, Init b, Error *e);
/* layer[0] [n, D] is given; sets layer[1 .. g->layers]. graph: [n, n]. drop: also where the tape does not train. */
void ngcf_layers(Tape *t, const NgcfLayers *g, const Csr *graph, float drop, Tensor **layer);
/* NGCF's and NGCF-M's rows. */
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

/* The train pairs as a graph [U + I, U + I], users first. Call csr_index for graph_with (GRCN, DGCF). */
Csr *user_item_graph(Model *m, const char *name, Adjacency how, Error *e);

/* g (without values) with each entry dropped with probability p and the others divided by 1 - p, drawn for m->epoch:
 * NGCF's node dropout. Call it from `epoch`. */
Csr *dropped_graph(Model *m, const char *name, const Csr *g, double p, Error *e);

typedef enum Share {
    SHARE_ONES, /* R */
    SHARE_SYM,  /* D_u^-1/2 R D_i^-1/2: a block of ADJ_SYM. MGCN, SMORE */
    SHARE_USER, /* D_u^-1 R: means of a user's items. LGMRec, MMSSL */
    SHARE_ITEM  /* R D_i^-1: its transpose has means of an item's users */
} Share;
/* The train pairs as a block [U, I]; [I, U] is csr_turned's. A node without pairs gets no message. */
Csr *interaction_graph(Model *m, const char *name, Share how, Error *e);

typedef enum ThinKind {
    THIN_EDGES,     /* keep int(E (1 - drop)) pairs, all as likely. SGL: two_views */
    THIN_BY_DEGREE, /* the same with probabilities ~ 1 / sqrt(d_u d_i), without replacement: FREEDOM, MMGCF, LayerGCN */
    THIN_NODES      /* drop int(U drop) users and int(I drop) items with all their pairs */
} ThinKind;
typedef struct Thinning {
    ThinKind kind;
    double drop;     /* [0, 1) */
    uint32_t stream; /* below 2^31; other numbers have other draws */
    Adjacency adjacency;
    bool rounded; /* THIN_EDGES, THIN_NODES: round(n drop) things are dropped, ties to even, as Elliot does */
} Thinning;
/* user_item_graph of a part of the train pairs, normalised by its own degrees. The part is a function of (m->seed,
 * m->epoch, stream): call it from `epoch`, and a resumed run has the same graphs. One name is one graph, refilled; the
 * name is copied. */
Csr *thinned_graph(Model *m, const char *name, Thinning how, Error *e);

typedef enum ViewKind {
    VIEW_EDGES, /* THIN_EDGES: SGL's ED */
    VIEW_NODES, /* THIN_NODES: SGL's ND */
    VIEW_WALKS  /* THIN_EDGES, drawn anew for each layer: SGL's RW */
} ViewKind;
extern const char *const view_names[3]; /* the words of a setting with a ViewKind: ed, nd, rw */
typedef struct Views {
    const Csr **view[2]; /* view[v][l] is the graph of layer l + 1: Propagation.graphs is view[v] */
} Views;
/* Two views of the train pairs, drawn for m->epoch: call it from `epoch`, always with the same x, {0} at first (NEW
 * gives zeros). A view has one graph for all layers, but for VIEW_WALKS. `how` is that of all graphs but for kind and
 * stream. The graphs have names of their own in the store, "view.V.LAYER": one Views per model. */
bool two_views(Model *m, Views *x, ViewKind kind, Thinning how, int64_t layers, Error *e);
/* light_gcn of both views, each layer with its graph: users[v] and items[v] are those of view v. `layers` as given to
 * two_views. */
void light_gcn_views(Tape *t, const Model *m, const Views *v, int64_t layers, const Tables *x, Tensor *users[2],
                     Tensor *items[2]);

/* ---- graphs of items, graphs of users (shared/neighbours.c) ---------------------------------- */

/* Where nearest items are from: the settings knn and knn_file. */
typedef struct KnnSource {
    int search; /* a KnnSearch */
    const char
        *file; /* "visual=PATH,textual=PATH": those of these modalities are read; "none" or NULL: no file is read */
} KnnSource;
typedef enum KnnKind {
    KNN_BINARY, /* each of the k values is 1 / k. FREEDOM, DRAGON, PGL, MENTOR */
    KNN_COSINE  /* s_i^-1/2 cos(f_i, f_j) s_j^-1/2, s = sums of rows. MGCN, SMORE, MICRO */
} KnnKind;
/* sum over n modalities of weight[i] (NULL: 1) times the graph [I, I] of each item's k nearest by cosine of features,
 * itself included. Made once, in tiles, and kept in the store under `name`; it has no gradient. */
Csr *item_graph(Model *m, const char *name, size_t n, const Modality *x, const double *weight, int64_t k, KnnKind kind,
                KnnSource source, Error *e);
/* The settings `knn` and `knn_file`: how the nearest items are found. Their member is a KnnSource, `knn`. FREEDOM,
 * MGCN, LATTICE. */
#define KNN_SETTINGS(S)                                                                                                \
    {"knn",                                                                                                            \
     "auto",                                                                                                           \
     "auto",                                                                                                           \
     "search of the nearest items: exact, index (approximate), or auto: an index where exact takes too long",          \
     WORD_OF(S, knn.search, knn_searches),                                                                             \
     0,                                                                                                                \
     0,                                                                                                                \
     NULL},                                                                                                            \
    {                                                                                                                  \
        "knn_file", "none", "none", "NAME=PATH,...: an .npy of the nearest items by these features, found elsewhere",  \
            TEXT_OF(S, knn.file), 0, 0, NULL                                                                           \
    }
/* knn_graph of the items by x [I, D], the raw features of modality `name`: read or found as `source` says. A note says
 * how. */
Csr *nearest_items(Tape *t, Model *m, const char *name, Tensor *x, int64_t k, KnnSource source);
/* The same by projected features, which change: never read. A note says so only if an index was made. */
Csr *nearest_again(Tape *t, const Model *m, const char *name, Tensor *x, int64_t k, KnnSource source);

/* Weights of item graphs [M], m->data->feature_count of them, for item_graph: modality `name` has `weight`, the others
 * share 1 - weight; the only one has 1, whatever its name. It is an error (NULL) if there are several and none has this
 * name. Data sets name features as --features does; "visual", "textual", "audio" are usual. FREEDOM (mm_image_weight),
 * DRAGON, MENTOR, PGL. */
const double *modality_weights(Model *m, const char *name, double weight, Error *e);

typedef enum Side { SIDE_USERS, SIDE_ITEMS } Side;
/* For each user (item) the k others with the most items (users) in common, at least `least` of them; ties go to the
 * lower number. The values are these counts: edge_softmax makes DualGNN's weights of them. [U, U] or [I, I]. DualGNN,
 * DRAGON (users), DA-MRS (items). */
Csr *cooccurrence_graph(Model *m, const char *name, Side side, int64_t k, int64_t least, Error *e);

/* ---- losses (shared/losses.c) ---------------------------------------------------------------- */

/* BPR of a batch from vectors of all users and items, with l2 as bpr_loss has it. */
Tensor *batch_bpr(Tape *t, Tensor *users, Tensor *items, const Batch *b, double l2);
/* loss + weight term, both of one number; loss NULL: 0. A number alone is add_number's (nn.h). Losses here are means
 * over the batch. A paper that adds up (SGL): add all terms as means, then scale the total by B once. */
Tensor *add_term(Tape *t, Tensor *loss, Tensor *term, double weight);
/* l_w as each system means it, of tensors x[0..n): elliot and LATTICE, l_w/2 sum of squares / B; MMRec's EmbLoss, l_w
 * sum of Frobenius norms / B. Usually x are the batch's rows and B is their number, but any tensors and any B will do:
 * BM3 has all users and items and their number. Returns loss + that; loss NULL: 0. */
Tensor *add_l2(Tape *t, Tensor *loss, double l_w, int n, Tensor *const *x, int64_t B);
Tensor *add_norms(Tape *t, Tensor *loss, double l_w, int n, Tensor *const *x, int64_t B);
/* cos(a[b], b[b]) of each row -> [B], as F.cosine_similarity: BM3, SELFCF. */
Tensor *cosines(Tape *t, Tensor *a, Tensor *b);
/* mean over rows of 1 - cos(a[b], b[b]) -> [1]: BM3, SELFCF. */
Tensor *cosine_distance(Tape *t, Tensor *a, Tensor *b);
/* InfoNCE, van den Oord et al. 2018: for each row log sum over n of exp(a_i . all_n / tau) - a_i . pos_i / tau -> [B].
 * tau > 0. all NULL: pos, the batch's own rows. Rows are taken as they are; row_normalize makes cosines of products.
 * The products [B, N] are never stored. Over the batch: SLMRec, SimGCL, MGCN, PGL, SMORE; over all nodes: SGL, LGMRec,
 * DiffMM, MENTOR. mean() or sum() follows. */
Tensor *info_nce(Tape *t, Tensor *a, Tensor *pos, Tensor *all, double tau);
/* info_nce of rows ids of two views [N, D] of the same nodes, as cosines, against all rows of b -> [B]: SGL, MENTOR. */
Tensor *contrast_views(Tape *t, Tensor *a, Tensor *b, Tensor *ids, double tau);
/* The mean over the batch of contrast_views of its users, plus that of its positive items -> [1]: SGL. */
Tensor *contrast_batch(Tape *t, Tensor *const users[2], Tensor *const items[2], const Batch *b, double tau);

#endif
