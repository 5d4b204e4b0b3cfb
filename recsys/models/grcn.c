/* recsys/models/grcn.c: GRCN: Wei et al. 2020, "Graph-Refined Convolutional Network for Multimedia Recommendation with
 * Implicit Feedback", as the benchmark's Elliot and MMRec train it (recipes.md 7.16).
 *
 * For each modality, a user has a preference and an item has its projected features, all scaled to length 1. Attention
 * between them, over the train pairs of a node, gives the vectors of the modality and a weight of each pair in both
 * directions. Each node has one learned number per modality, its confidence. The weight of a pair in one direction is
 * multiplied by the confidence of the node that receives the message (Elliot) or of the node that sends it (MMRec). The
 * largest product over the modalities, at least 0, is the weight of the pair in the graph on which the embeddings of
 * users and items are convolved. The vector of a node is the concatenation of its convolved embedding and its vectors
 * of all modalities.
 *
 * Both directions of attention use the same scores p_u . f_i, computed once per pair. Each direction is a block, [U, I]
 * or [I, U].
 *
 * Elliot and MMRec evaluate the vectors of the last step's forward pass, which are one step older than the parameters.
 * Here they are computed from the parameters: recipes.md 7.16 gives the reason. */
#include <math.h>

#include "recsys/models/models.h"

#define SLOPE 0.01f /* slope of LeakyReLU */

typedef struct Grcn {
    Tables x;
    Modality *modality;
    Tensor **preference; /* [M]: [U, P] */
    Tensor *confidence;  /* [U + I, M]; NULL if no weight depends on it */
    Csr *to_users;       /* [U, I]: an entry is a message from an item to a user */
    Csr *to_items;       /* [I, U]: an entry is a message from a user to an item */
} Grcn;

static const char *const weight_modes[] = {"confid", "max", "mean"};
typedef enum WeightMode { WEIGHT_CONFIDENCE, WEIGHT_MAX, WEIGHT_MEAN } WeightMode;
static const char *const fusion_modes[] = {"concat", "id", "mean"};
typedef enum FusionMode { FUSION_CONCAT, FUSION_ID, FUSION_MEAN } FusionMode;
static const char *const edge_orders[] = {"paper", "elliot"};
typedef enum EdgeOrder { ORDER_PAPER, ORDER_ELLIOT } EdgeOrder;

typedef struct GrcnSettings {
    CommonSettings common;
    int64_t factors, factors_multimod, num_layers, num_routings;
    int weight_mode, fusion_mode, edge_order;
    bool pruning, has_act;
    double l_w;
} GrcnSettings;
static const Setting settings[] = {
    VARIANT_SETTING,
    FACTORS_SETTING(GrcnSettings),
    I64_ALSO(GrcnSettings, factors_multimod, "128", "64", "length of a modality's vectors", 1, INT32_MAX,
             SAME_AS("latent_embedding")),
    I64_ALSO(GrcnSettings, num_layers, "2", "2", "propagation steps of the embeddings", 0, MOST_LAYERS,
             NOT_HERE("n_layers", "leave it out: it has no effect in MMRec; for propagation steps, set num_layers")),
    I64_SETTING(GrcnSettings, num_routings, "3", "3", "routings of preferences; no effect with variant mmrec", 0,
                MOST_LAYERS),
    WORD_ALSO(GrcnSettings, weight_mode, weight_modes, "confid", "confid",
              "weight of a pair: max or mean over modalities; confid: max of weight x confidence",
              NOT_HERE("aggregation", "leave it out: Elliot's code does not use it")),
    WORD_SETTING(GrcnSettings, fusion_mode, fusion_modes, "concat", "concat",
                 "a node's vector: concat (of embedding and modalities), id (embedding), or mean"),
    {"pruning", "true", "true", "set weights below 0 to 0", BOOL_OF(GrcnSettings, pruning), 0, 0, NULL},
    {"has_act", "false", "false", "LeakyReLU after each sum of messages", BOOL_OF(GrcnSettings, has_act), 0, 0, NULL},
    WORD_SETTING(GrcnSettings, edge_order, edge_orders, "paper", "paper",
                 "order of pairs in the attention to items: paper or elliot (recipes.md 7.16)"),
    L_W_SETTING(GrcnSettings, "1e-5", "1e-3"),
    {0},
};

/* Returns the Init of some rows of a matrix [rows, cols], as if the whole matrix were drawn. */
static Init part_of(Init init, int64_t rows, int64_t cols)
{
    return init.kind == INIT_XAVIER_NORMAL ? (Init){INIT_NORMAL, sqrt(2.0 / ((double)rows + (double)cols))} : init;
}

static bool check(const Model *m, Error *e)
{
    const GrcnSettings *s = m->settings;
    if (is_mmrec(m) && s->edge_order == ORDER_ELLIOT)
        return fail(e, SP_USAGE, "GRCN: edge_order=elliot is part of Elliot's recipe; set variant=elliot");
    if (s->fusion_mode == FUSION_MEAN && s->factors != s->factors_multimod)
        return fail(e, SP_USAGE, "GRCN: factors=%lld and factors_multimod=%lld: fusion_mode=mean expects equal lengths",
                    (long long)s->factors, (long long)s->factors_multimod);
    return true;
}

static bool init(Model *m, Error *e)
{
    const GrcnSettings *s = m->settings;
    const DataSet *d = m->data;
    Grcn *g = m->own = NEW(m->arena, Grcn, 1, e);
    if (!g || !check(m, e))
        return false;
    int64_t M = (int64_t)d->feature_count, P = s->factors_multimod;
    Init start = {is_mmrec(m) ? INIT_XAVIER_NORMAL : INIT_XAVIER_UNIFORM, 0};
    const ModalityPlan plan = {
        .width = P, .w = {is_mmrec(m) ? INIT_XAVIER_NORMAL : INIT_FAN_IN, 0}, .b = {INIT_FAN_IN, 0}};
    /* MMRec has users and items in one table */
    if (!tables_new(m, &g->x, s->factors, part_of(start, d->U + d->I, s->factors), e) ||
        !(g->modality = modalities_new(m, plan, e)) || !(g->preference = NEW(m->arena, Tensor *, M, e)))
        return false;
    for (int64_t i = 0; i < M; i++) {
        const char *name = arena_printf(m->arena, e, "preference.%s", d->features[i].name);
        if (!name || !(g->preference[i] = param_new(m->store, name, d->U, P, start, m->seed, e)))
            return false;
    }
    if (s->weight_mode == WEIGHT_CONFIDENCE &&
        !(g->confidence = param_new(m->store, "confidence", d->U + d->I, M, start, m->seed, e)))
        return false;
    return (g->to_users = interaction_graph(m, "to_users", EDGE_ONES, e)) && csr_index(m->store, g->to_users, e) &&
           (g->to_items = csr_transpose(m->store, g->to_users, e)) && csr_index(m->store, g->to_items, e);
}

/* Returns the sums of messages x, weighted by the entries of the graph. */
static Tensor *messages(Tape *t, const Model *m, const Csr *g, Tensor *weight, Tensor *x)
{
    const GrcnSettings *s = m->settings;
    Tensor *sum = spmm(t, graph_with(t, g, weight), x);
    return s->has_act ? activate(t, sum, ACT_LEAKY_RELU, SLOPE) : sum;
}

typedef struct Refined {         /* the results of one modality */
    Tensor *user, *item;         /* [U, P], [I, P] */
    Tensor *to_users, *to_items; /* attention of each entry */
} Refined;

static Refined refine(Tape *t, const Model *m, const Modality *x, Tensor *preference)
{
    const GrcnSettings *s = m->settings;
    const Grcn *g = m->own;
    int64_t mark = tape_mark(t);
    Tensor *p = row_normalize(t, preference, 1e-12f);
    Tensor *f = row_normalize(t, linear_act(t, x->features, &x->linear, ACT_LEAKY_RELU, SLOPE), 1e-12f);
    /* MMRec's routings send messages from users to items, but add the messages that users received, which are 0. So
     * nothing is done */
    for (int64_t i = 0; i < s->num_routings && !is_mmrec(m); i++) {
        Tensor *attention = edge_softmax(t, g->to_users, sddmm(t, g->to_users, p, f));
        p = row_normalize(t, add(t, p, messages(t, m, g->to_users, attention, f)), 1e-12f);
    }
    Tensor *score = sddmm(t, g->to_users, p, f);
    /* Elliot gives the scores to the items in the order of the users' entries: entry n of the block [I, U] gets the
     * score of entry n of [U, I] */
    Tensor *turned = s->edge_order == ORDER_ELLIOT ? score : edge_transpose(t, g->to_users, g->to_items, score);
    Refined r = {.to_users = edge_softmax(t, g->to_users, score), .to_items = edge_softmax(t, g->to_items, turned)};
    r.user = add(t, p, messages(t, m, g->to_users, r.to_users, f));
    r.item = add(t, f, messages(t, m, g->to_items, r.to_items, p));
    tape_drop(t, mark, 4, (Tensor *[]){r.user, r.item, r.to_users, r.to_items});
    return r;
}

/* Returns, for each entry of g, x [rows] of its row, or x [cols] of its column. */
static Tensor *at_entries(Tape *t, const Csr *g, bool by_row, Tensor *x)
{
    Tensor *ones = filled(t, 1, 2, (int64_t[]){by_row ? g->cols : g->rows, 1});
    return by_row ? sddmm(t, g, x, ones) : sddmm(t, g, ones, x);
}

/* Returns the weight of each entry, computed over the M modalities. */
static Tensor *weigh(Tape *t, const Model *m, const Refined *r, bool to_items)
{
    const GrcnSettings *s = m->settings;
    const Grcn *g = m->own;
    int64_t M = (int64_t)m->data->feature_count, U = m->data->U, I = m->data->I;
    /* Elliot uses the confidence of the receiver of a message, MMRec that of the sender */
    bool of_items = to_items != is_mmrec(m);
    /* with edge_order=elliot, entry n of the block [I, U] gets the confidence of entry n of [U, I] */
    const Csr *order = to_items && s->edge_order == ORDER_PAPER ? g->to_items : g->to_users;
    /* true if the confidences belong to the nodes that are the rows of `order`; false: to those that are its columns */
    bool by_row = of_items == (order == g->to_items);
    Tensor *confidence = g->confidence ? rows(t, g->confidence, of_items ? U : 0, of_items ? I : U) : NULL, *sum = NULL;
    for (int64_t i = 0; i < M; i++) {
        Tensor *w = to_items ? r[i].to_items : r[i].to_users;
        if (confidence)
            w = mul(t, w, at_entries(t, order, by_row, cols(t, confidence, i, 1)));
        sum = !sum ? w : s->weight_mode == WEIGHT_MEAN ? add(t, sum, w) : maximum(t, sum, w);
    }
    if (s->weight_mode == WEIGHT_MEAN)
        sum = scale(t, sum, 1 / (float)M);
    return s->pruning ? activate(t, sum, ACT_RELU, 0) : sum;
}

/* Convolves the embeddings: the sum of layers 0 to num_layers. */
static void convolve(Tape *t, const Model *m, const Refined *r, Tensor **users, Tensor **items)
{
    const GrcnSettings *s = m->settings;
    const Grcn *g = m->own;
    int64_t mark = tape_mark(t);
    Tensor *u = *users = row_normalize(t, g->x.user, 1e-12f), *i = *items = row_normalize(t, g->x.item, 1e-12f);
    Tensor *to_users = weigh(t, m, r, false), *to_items = weigh(t, m, r, true);
    for (int64_t l = 0; l < s->num_layers; l++) {
        Tensor *next = messages(t, m, g->to_users, to_users, i);
        i = messages(t, m, g->to_items, to_items, u);
        u = next;
        if (!is_mmrec(m)) {
            u = row_normalize(t, u, 1e-12f);
            i = row_normalize(t, i, 1e-12f);
        }
        *users = add(t, *users, u);
        *items = add(t, *items, i);
    }
    tape_drop(t, mark, 2, (Tensor *[]){*users, *items});
}

typedef struct Parts { /* the parts of the vectors, which are concatenated */
    int count;
    Tensor **user, **item;
} Parts;

/* Computes the parts of the vectors: part 0 from the graph, part 1 + i from modality i. With FUSION_ID only part 0 is
 * used, and with FUSION_MEAN part 0 becomes the mean of all parts. Returns false if the tape has failed. */
static bool compute(Tape *t, const Model *m, Parts *out)
{
    const GrcnSettings *s = m->settings;
    const Grcn *g = m->own;
    int M = (int)m->data->feature_count;
    Refined *r = tape_scratch(t, M, sizeof *r);
    *out = (Parts){s->fusion_mode == FUSION_CONCAT ? 1 + M : 1, tape_scratch(t, 1 + M, sizeof *out->user),
                   tape_scratch(t, 1 + M, sizeof *out->item)};
    if (!r || !out->user || !out->item)
        return false;
    for (int i = 0; i < M; i++) {
        r[i] = refine(t, m, &g->modality[i], g->preference[i]);
        out->user[1 + i] = r[i].user;
        out->item[1 + i] = r[i].item;
    }
    convolve(t, m, r, &out->user[0], &out->item[0]);
    for (int i = 0; i < M && s->fusion_mode == FUSION_MEAN; i++) {
        out->user[0] = add(t, out->user[0], r[i].user);
        out->item[0] = add(t, out->item[0], r[i].item);
    }
    if (s->fusion_mode == FUSION_MEAN) {
        out->user[0] = scale(t, out->user[0], 1 / (float)(1 + M));
        out->item[0] = scale(t, out->item[0], 1 / (float)(1 + M));
    }
    return true;
}

/* Adds the regularisation. The terms are means of squares (add_l2 has half sums): of the embeddings of users and items.
 * A sample is two pairs, (user, positive) and (user, negative), so its user counts twice. Elliot adds the preferences
 * without a weight. MMRec adds them with the weight, and adds the visual preferences of all users once more. */
static Tensor *add_regularisation(Tape *t, const Model *m, const Batch *b, Tensor *loss)
{
    const GrcnSettings *s = m->settings;
    const Grcn *g = m->own;
    double preferences = is_mmrec(m) ? s->l_w : 1, each = s->l_w / (2 * (double)b->B * (double)s->factors);
    loss = add_term(t, loss, sum_squares(t, gather(t, g->x.user, b->user)), 2 * each);
    loss = add_term(t, loss, sum_squares(t, gather(t, g->x.item, b->pos)), each);
    loss = add_term(t, loss, sum_squares(t, gather(t, g->x.item, b->neg)), each);
    for (size_t i = 0; i < m->data->feature_count; i++) {
        Tensor *batch = gather(t, g->preference[i], b->user);
        loss = add_term(t, loss, sum_squares(t, batch), preferences / (double)batch->count);
        if (is_mmrec(m) && !strcmp(m->data->features[i].name, "visual"))
            loss = add_term(t, loss, sum_squares(t, g->preference[i]), s->l_w / (double)g->preference[i]->count);
    }
    return loss;
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    Parts x;
    Triples *triples = compute(t, m, &x) ? tape_scratch(t, x.count, sizeof *triples) : NULL;
    for (int i = 0; triples && i < x.count; i++)
        triples[i] =
            (Triples){gather(t, x.user[i], b->user), gather(t, x.item[i], b->pos), gather(t, x.item[i], b->neg), 0};
    return add_regularisation(t, m, b, bpr_loss(t, triples ? x.count : 0, triples, 0));
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    Parts x;
    if (!compute(t, m, &x))
        return true; /* the caller checks the tape */
    *users = x.user[0];
    *items = x.item[0];
    for (int i = 1; i < x.count; i++) {
        *users = concat(t, *users, x.user[i]);
        *items = concat(t, *items, x.item[i]);
    }
    return true;
}

const Recommender recommender_grcn = {
    .name = "GRCN",
    .paper = "Graph-Refined Convolutional Network for Multimedia Recommendation with Implicit Feedback (Wei et al., "
             "MM 2020)",
    .settings = settings,
    .settings_size = sizeof(GrcnSettings),
    .sampling = sampling_every_edge,
    .needs_features = true,
    .init = init,
    .loss = loss,
    .represent = represent,
};
